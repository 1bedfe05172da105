#pragma once
/*
 * Anti-replay window for one receiving key.
 *
 * Counters start at 0 and are accepted once each, in any order, as long as
 * they are not more than WG_REPLAY_WINDOW behind the highest accepted one.
 * Check only after the packet has authenticated: an accepted counter moves the
 * window, so a forged one would shut real packets out.
 *
 * Shape	8192-bit ring of 64-bit words; one word is spare, so the window
 *		is 8192 - 64 = 8128 counters. 1032 bytes, no pointers: embed it.
 * Threads	none inside. The owner of the key serialises calls.
 * Source	WireGuard paper s.5.4.6; RFC 6479.
 */
#include <stdint.h>

#include "base/err.h"
#include "base/own.h"

enum {
	WG_REPLAY_BITS = 8192,
	WG_REPLAY_WINDOW = WG_REPLAY_BITS - 64,
};

/* A key is spent at this counter, in both directions. */
#define WG_REJECT_AFTER_MESSAGES (UINT64_MAX - WG_REPLAY_WINDOW - 1)

struct wg_replay {
	uint64_t next; /* highest accepted counter + 1; 0: none accepted yet */
	uint64_t seen[WG_REPLAY_BITS / 64];
};

/*
 * Accepts the counter and marks it seen.
 *   0			first time, inside the window
 *   ERR_REPLAY		seen before, or too old to tell
 *   ERR_LIMIT		at or past WG_REJECT_AFTER_MESSAGES: the key is spent
 */
NODISCARD NONNULL int wg_replay_accept(struct wg_replay *w, uint64_t counter);
