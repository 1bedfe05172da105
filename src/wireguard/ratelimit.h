#pragma once
/*
 * Token buckets by source address: IPv4 by address, IPv6 by its first 64 bits,
 * as one host commands a whole /64.
 *
 * Memory is bounded: a full table admits no new source (which a caller that
 * first makes sources prove their address may do), and sources that have been
 * quiet long enough for a full bucket are forgotten.
 *
 * Threads	none inside.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/ip.h"
#include "base/map.h"
#include "base/time.h"

struct wg_ratelimit {
	struct map sources; /* private, like all */
	int64_t cost_us, cap_us;
	size_t max;
	mono swept;
};

/* per_second events in the long run, `burst` at once, at most max sources. */
void wg_ratelimit_init(struct wg_ratelimit *rl, unsigned per_second, unsigned burst, size_t max);
void wg_ratelimit_done(struct wg_ratelimit *rl);
/* One more event of this source: within its rate? */
bool wg_ratelimit_allow(struct wg_ratelimit *rl, mono now, const struct ip *source);
