#pragma once
/*
 * Sets of addresses of both families as sorted, disjoint ranges.
 *
 * Build with the add functions in any order, then ipset_seal once; everything
 * below "Queries" wants a sealed set. The two families never touch: IPv6 ranges
 * leave out ::ffff:0:0/96, where IPv4 lives in struct ip.
 */
#include <stdbool.h>
#include <stddef.h>

#include "base/ip.h"

struct iprange {
	struct ip lo, hi; /* both inside, one family */
};

/* Zeroed memory is the empty set, sealed. */
struct ipset {
	struct iprange *v;
	size_t n, cap;
};

enum { IPRANGE_TEXT_MAX = 2 * IP_TEXT_MAX };

void ipset_done(struct ipset *s);
void ipset_add_range(struct ipset *s, const struct iprange *r);
void ipset_add_prefix(struct ipset *s, const struct prefix *p);
void ipset_add_ip(struct ipset *s, const struct ip *ip);
void ipset_add_all(struct ipset *s); /* 0.0.0.0/0 and ::/0 */
void ipset_add_set(struct ipset *s, const struct ipset *other);
void ipset_seal(struct ipset *s);

/* Queries and algebra on sealed sets; results are sealed. */
void ipset_subtract(struct ipset *s, const struct ipset *other);
bool ipset_has(const struct ipset *s, const struct ip *ip);
bool ipset_overlaps(const struct ipset *a, const struct ipset *b);
bool ipset_covers(const struct ipset *outer, const struct ipset *inner);
bool ipset_overlaps_range(const struct ipset *s, const struct iprange *r);
bool ipset_covers_range(const struct ipset *s, const struct iprange *r);
bool ipset_eq(const struct ipset *a, const struct ipset *b);

/* ::/0 becomes the part below ::ffff:0:0/96: the first of the two ranges it stands for. */
struct iprange iprange_of(const struct prefix *p);
struct iprange iprange_host(const struct ip *ip);
/* True and the prefix, if the range is exactly one. */
bool iprange_prefix(const struct iprange *r, struct prefix *ret);
static inline bool iprange_has(const struct iprange *r, const struct ip *ip)
{
	return ip_cmp(&r->lo, ip) <= 0 && ip_cmp(ip, &r->hi) <= 0;
}
static inline bool iprange_overlaps(const struct iprange *a, const struct iprange *b)
{
	return ip_cmp(&a->lo, &b->hi) <= 0 && ip_cmp(&b->lo, &a->hi) <= 0;
}

/* The next prefix of the range from its low end, which it is shortened by; false: it was the last.
 */
bool iprange_cut_prefix(struct iprange *r, struct prefix *ret);

/*
 * One address, CIDR or inclusive range "a-b" of one family. ERR_MALFORMED also
 * for host bits set in a CIDR and for a range that runs backwards.
 */
NODISCARD int iprange_parse(struct span text, struct iprange *ret);
/* The shortest of those forms. */
const char *iprange_text(const struct iprange *r, char dst[static IPRANGE_TEXT_MAX]);
