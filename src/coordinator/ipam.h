#pragma once
/*
 * Addresses for nodes. Says which address is next; who holds one is the state's
 * to know, and the unique index of the store is the last guard.
 *
 * Sequential hands out the lowest address above the last one it gave and starts
 * again at the bottom, so an address that was freed rests as long as possible.
 * Random draws, and falls back on a scan when the range is crowded.
 *
 * Never given: network and broadcast address, the service addresses
 * 100.100.100.100 and fd7a:115c:a1e0::53, 100.115.92.0/23 (ChromeOS's own), and
 * fd7a:115c:a1e0:b1a::/64 (4via6).
 */
#include "base/ip.h"
#include "base/own.h"
#include "base/rand.h"

enum ipam_order { IPAM_SEQUENTIAL, IPAM_RANDOM };

struct ipam_range {
	struct prefix prefix; /* bits 0 with a zero address: none of this family */
	uint64_t last;        /* offset of the last one given */
};

struct ipam {
	struct ipam_range v4, v6;
	enum ipam_order order;
};

/* Inside 100.64.0.0/10 and fd7a:115c:a1e0::/48, and of a useful size. ERR_DENIED, ERR_LIMIT */
NODISCARD int ipam_check(const struct prefix *p);

/* ERR_LIMIT when none is free. */
NODISCARD int ipam_next(struct ipam *a, struct ipam_range *r, struct rand_src *rand,
                        bool (*taken)(const void *arg, const struct ip *ip), const void *arg,
                        struct ip *ret);
