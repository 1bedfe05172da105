#pragma once
/*
 * How large a packet one path carries, found out by padded pings that must not
 * be fragmented: nothing else can be relied on, as routers may drop what is too
 * large without a word.
 *
 * A survey pings with all sizes at once, twice if the largest is not answered;
 * the largest answered is proved. That is checked now and then: two checks
 * without an answer, while small pings are answered, and a new survey begins.
 *
 * Sizes are of whole IP packets on the wire.
 *
 * Threads	one. Pure: feed it, drain pmtu_next, sleep until pmtu_deadline.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/own.h"
#include "base/time.h"

enum {
	PMTU_ENOUGH = 1360,      /* the tunnel needs no more: 1280 within, 80 of headers */
	PMTU_UNKNOWN = 1200,     /* what a path is taken to carry until something is known */
	PMTU_ROUND_US = 1000000, /* for an answer; a later one counts as well */
	PMTU_CHECK_US = 10000000,
	PMTU_RAISE_US = 60000000, /* between two tries for more */
	PMTU_SURVEY_ROUNDS = 2,
	PMTU_CHECKS = 2,
};

struct pmtu {
	bool running;
	uint16_t proved;   /* 0: nothing */
	bool answered;     /* something, in this round */
	bool checking;     /* the round is of one ping */
	unsigned rounds;   /* still to come, after this one */
	unsigned next;     /* of the sizes, to be sent */
	mono at, raise_at; /* the round, or the pause, ends; MONO_NEVER: stopped */
	bool pause;
};

/* A path that nothing is known of. */
void pmtu_start(struct pmtu *m, mono now);
/* Without traffic there are no pings; what is known stays. */
void pmtu_stop(struct pmtu *m);
/* Goes on where it stopped; harmless while it runs. */
void pmtu_go(struct pmtu *m, mono now);
/* alive: the path answers small pings. */
void pmtu_timeout(struct pmtu *m, mono now, bool alive);
mono pmtu_deadline(const struct pmtu *m);
/* The size to ping with; 0: no more for now. */
uint16_t pmtu_next(struct pmtu *m);
/* A ping of this size was answered. True: more is proved than before. */
bool pmtu_answered(struct pmtu *m, uint16_t size);
