#pragma once
/*
 * The long polls: which node has one, what is written to it when, keep-alives,
 * and what having one means (online) and losing one (offline, after a grace).
 */
#include "coordinator/coord.h"
#include "coordinator/requests.h"

struct streams *streams_new(struct coord *co);
void streams_free(struct streams *s);

/* Every few seconds: what it took to let a crowd in is given back once no more come. */
void streams_tick(struct streams *s);

/* POST /machine/map with its body read. */
void streams_map(struct coord_call *c, struct span body);
/* Something changed: everybody is told what concerns them, shortly. */
void streams_wake(struct streams *s);
/* A PingRequest to one node. ERR_UNKNOWN: no stream. */
NODISCARD int streams_ping(struct streams *s, uint64_t node, struct span ping_request);
/* The node's key was replaced, or it is gone: its poll ends. */
void streams_end(struct streams *s, uint64_t node);
size_t streams_count(const struct streams *s);
