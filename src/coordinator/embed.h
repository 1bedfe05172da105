#pragma once
/*
 * The embedded relay: DERP on the coordinator's own listener, and STUN beside
 * it. Lets in whom the tailnet knows, unless configured otherwise.
 */
#include "coordinator/coord.h"

struct embed;

/* -errno and our own; what is wrong was logged. */
NODISCARD int embed_new(struct coord *co, const struct node_priv *key, struct embed **ret);
void embed_free(struct embed *e);
/* Closes connections of nodes that are no longer known. */
void embed_recheck(struct embed *e);

/* GET /derp, /derp/probe, /derp/latency-check */
void embed_upgrade(struct coord_call *c);
void embed_probe(struct coord_call *c);
