#pragma once
/*
 * What a node says of itself (Hostinfo, and NetInfo inside it): kept as compact
 * JSON, with the few fields the coordinator acts on taken out into the record.
 *
 * Source: the control protocol's Hostinfo; NetInfo may be left out when it did
 * not change, and is kept then.
 */
#include "base/buf.h"
#include "base/own.h"
#include "coordinator/model.h"

/*
 * Takes over a Hostinfo. "null" and an empty span leave everything as it is.
 *   ERR_MALFORMED	not an object, or a field of the wrong shape
 *   ERR_LIMIT		longer than NODE_HOSTINFO_MAX, too many routes or tags
 * On failure the node is unchanged.
 */
NODISCARD int hostinfo_apply(struct node *n, struct span json);

/* Fills os, advertised and request_tags from n->hostinfo, as after loading. */
void hostinfo_derive(struct node *n);

/* The part that peers get to see, as a JSON object. */
void hostinfo_for_peers(const struct node *n, struct buf *out);
