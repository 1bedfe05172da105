#pragma once
/*
 * Requests of ours to a node ("control to node"): a PingRequest on its map stream
 * carries an HTTP request, the node POSTs the whole HTTP response back over Noise.
 *
 * Bounded in all and for each node; who does not answer in time is given up.
 */
#include "coordinator/coord.h"

enum { C2N_ANSWER_MAX = 1 << 20 };

struct c2n;
struct c2n_call;

struct c2n *c2n_new(struct coord *co);
void c2n_free(struct c2n *c);

struct c2n_answer {
	int error; /* ERR_UNKNOWN: not connected, ERR_LIMIT, ERR_TIMEOUT, ERR_MALFORMED */
	unsigned status;
	struct span type, body; /* views, good during the call */
};
/*
 * done is called once, from the loop or from here when the node cannot be asked;
 * NULL then. method and path go into a request line and are the caller's to check.
 */
struct c2n_call *c2n_ask(struct c2n *c, uint64_t node, const char *method, const char *path,
                         struct span body, int64_t timeout_us,
                         void (*done)(void *owner, const struct c2n_answer *a), void *owner);
/* Before done was called. */
void c2n_cancel(struct c2n_call *call);

/* POST /machine/c2n/{id}, with the body read. */
void c2n_answered(struct coord_call *c);
