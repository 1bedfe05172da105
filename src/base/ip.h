#pragma once
/*
 * Addresses and prefixes, family-neutral: 16 bytes, IPv4 as ::ffff:a.b.c.d.
 * sockaddr appears in platform/ only. All functions are pure.
 */
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/own.h"
#include "base/span.h"

struct ip {
	uint8_t b[16];
};

/* An endpoint: address and port (host order). All zero: none. */
struct addr {
	struct ip ip;
	uint16_t port;
	uint16_t zone; /* 0, or the interface index a link-local address belongs to */
};

/* bits counts within the family: 0..32 for IPv4, 0..128 for IPv6. */
struct prefix {
	struct ip ip;
	uint8_t bits;
};

enum { IP_TEXT_MAX = 48, ADDR_TEXT_MAX = 64, PREFIX_TEXT_MAX = 56 };

static inline bool ip_is4(const struct ip *ip)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };

	return memcmp(ip->b, mapped, 12) == 0;
}

static inline struct ip ip4(uint8_t a, uint8_t b, uint8_t c, uint8_t d)
{
	return (struct ip){ { [10] = 0xff, [11] = 0xff, a, b, c, d } };
}

static inline struct ip ip4_of(const uint8_t bytes[static 4])
{
	return ip4(bytes[0], bytes[1], bytes[2], bytes[3]);
}

static inline struct ip ip6_of(const uint8_t bytes[static 16])
{
	struct ip ip;

	memcpy(ip.b, bytes, 16);
	return ip;
}

/* The four bytes of an IPv4 address. */
static inline const uint8_t *ip_v4(const struct ip *ip)
{
	return ip->b + 12;
}

static inline bool ip_eq(const struct ip *a, const struct ip *b)
{
	return memcmp(a->b, b->b, 16) == 0;
}

static inline int ip_cmp(const struct ip *a, const struct ip *b)
{
	return memcmp(a->b, b->b, 16);
}

bool ip_is_zero(const struct ip *ip); /* ::, 0.0.0.0 or not set */
bool ip_is_loopback(const struct ip *ip);
bool ip_is_link_local(const struct ip *ip);
bool ip_is_multicast(const struct ip *ip);
bool ip_is_private(const struct ip *ip); /* RFC 1918, fc00::/7 */

static inline bool addr_eq(const struct addr *a, const struct addr *b)
{
	return ip_eq(&a->ip, &b->ip) && a->port == b->port && a->zone == b->zone;
}

static inline bool addr_is_set(const struct addr *a)
{
	return a->port != 0;
}

static inline bool prefix_eq(const struct prefix *a, const struct prefix *b)
{
	return ip_eq(&a->ip, &b->ip) && a->bits == b->bits;
}

/* IPv4 first, then by address, then by length. */
int prefix_cmp(const struct prefix *a, const struct prefix *b);
bool prefix_contains(const struct prefix *p, const struct ip *ip);
bool prefix_overlaps(const struct prefix *a, const struct prefix *b);
/* Every address of inner is in outer. */
bool prefix_covers(const struct prefix *outer, const struct prefix *inner);
/* Host bits cleared. */
struct prefix prefix_masked(struct prefix p);
struct prefix prefix_host(struct ip ip); /* /32 or /128 */

static inline bool prefix_is4(const struct prefix *p)
{
	return ip_is4(&p->ip);
}

static inline uint8_t prefix_max_bits(const struct prefix *p)
{
	return prefix_is4(p) ? 32 : 128;
}

static inline bool prefix_is_host(const struct prefix *p)
{
	return p->bits == prefix_max_bits(p);
}

static inline bool prefix_is_default(const struct prefix *p)
{
	return p->bits == 0;
}

/*
 * Text, as Go's netip prints it (RFC 5952 for IPv6). Parsing takes the whole
 * span and is strict: no leading zeros in IPv4, no shorthand.
 *   ERR_MALFORMED
 */
const char *ip_text(const struct ip *ip, char dst[static IP_TEXT_MAX]);
const char *addr_text(const struct addr *a, char dst[static ADDR_TEXT_MAX]);
const char *prefix_text(const struct prefix *p, char dst[static PREFIX_TEXT_MAX]);
NODISCARD int ip_parse(struct span s, struct ip *ret);
/* "1.2.3.4:5", "[::1]:5"; zones by number only, "[fe80::1%3]:5" */
NODISCARD int addr_parse(struct span s, struct addr *ret);
/* "10.0.0.0/8"; a bare address is a host prefix. Host bits are kept. */
NODISCARD int prefix_parse(struct span s, struct prefix *ret);
/* The same, but host bits set are ERR_MALFORMED and "/bits" is required. */
NODISCARD int prefix_parse_strict(struct span s, struct prefix *ret);
