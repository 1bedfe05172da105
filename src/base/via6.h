#pragma once
/*
 * Addresses of 4via6: IPv4 networks that overlap, told apart by IPv6.
 *
 *	fd7a:115c:a1e0:b1a : site, 32 bits : IPv4 address
 *
 * Source: tailscale v1.102.5 net/tsaddr; RFC 7335 for the host's address.
 */
#include <string.h>

#include "base/ip.h"
#include "base/wire.h"

#define VIA6_SITES ((struct prefix){ { { 0xfd, 0x7a, 0x11, 0x5c, 0xa1, 0xe0, 0x0b, 0x1a } }, 64 })

/*
 * The host of a router sees all clients of its sites as this address, from a range that is kept
 * for translators and is in no network.
 */
#define VIA6_HOST ((struct ip){ { [10] = 0xff, [11] = 0xff, 192, 0, 0, 6 } })

enum {
	VIA6_GROWTH = 20, /* IPv6 takes this much more, and 8 with a fragment's header */
	/* What the host may send to VIA6_HOST at once, so that it fits the tunnel's 1280. */
	VIA6_MTU = 1280 - VIA6_GROWTH - 8,
};

static inline struct ip via6_address(uint32_t site, const uint8_t v4[static 4])
{
	struct ip ip = VIA6_SITES.ip;

	put_be32(ip.b + 8, site);
	memcpy(ip.b + 12, v4, 4);
	return ip;
}

/* The IPv4 address in one of a site. */
static inline const uint8_t *via6_v4(const struct ip *site)
{
	return site->b + 12;
}

static inline bool via6_covers(const struct prefix *p)
{
	return prefix_covers(&VIA6_SITES, p);
}
