#pragma once
/*
 * Remembers which UDP and SCTP flows we started, so that answers may come back.
 *
 * A table of fixed size, four places to a bucket; in a full bucket the flow
 * that was quiet longest gives way. Flows are kept as 64-bit tags under a
 * random key: a stranger can neither aim at a bucket nor forge a tag.
 *
 * Threads	any number, no locks: a lost race forgets one flow, which the
 *		next outgoing packet notes again.
 */
#include <stdbool.h>
#include <stddef.h>

#include "base/own.h"
#include "base/time.h"
#include "protocol/ippkt.h"

struct flow_table;

enum { FLOW_TABLE_DEFAULT = 16384, FLOW_TABLE_MAX = 1 << 22 };

/* Room for n flows, rounded up to a power of two. The key must not be guessable. */
struct flow_table *flow_table_new(size_t n, const uint64_t key[static 2]);
void flow_table_free(struct flow_table *t);
DEFINE_AUTO(flow_table_free, struct flow_table *)

/* An outgoing packet. */
void flow_note(struct flow_table *t, const struct ippkt *p, mono now);
/* Is this incoming packet the answer to one noted? Keeps the flow fresh if so. */
bool flow_known(struct flow_table *t, const struct ippkt *p, mono now);
/* Forgets everything; for when shields go up. */
void flow_table_clear(struct flow_table *t);
