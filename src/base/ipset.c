#include "base/ipset.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/wire.h"

/* Addresses as numbers; IPv4 counts from ::ffff:0:0. */
typedef unsigned __int128 num;

static const struct ip MAPPED_FIRST = { { [10] = 0xff, [11] = 0xff } };
static const struct ip MAPPED_LAST = { { [10] = 0xff, [11] = 0xff, 0xff, 0xff, 0xff, 0xff } };

static num number(const struct ip *ip)
{
	return (num)be64_at(ip->b) << 64 | be64_at(ip->b + 8);
}

static struct ip from_number(num n)
{
	struct ip ip;

	put_be64(ip.b, (uint64_t)(n >> 64));
	put_be64(ip.b + 8, (uint64_t)n);
	return ip;
}

static struct ip after(const struct ip *ip)
{
	return from_number(number(ip) + 1);
}

static struct ip before(const struct ip *ip)
{
	return from_number(number(ip) - 1);
}

void ipset_done(struct ipset *s)
{
	free(s->v);
	*s = (struct ipset){ 0 };
}

static void push(struct ipset *s, struct ip lo, struct ip hi)
{
	if (s->n == s->cap) {
		s->cap = s->cap ? s->cap * 2 : 4;
		s->v = mem_grow(s->v, s->cap, sizeof(*s->v));
	}
	s->v[s->n++] = (struct iprange){ lo, hi };
}

void ipset_add_range(struct ipset *s, const struct iprange *r)
{
	if (ip_is4(&r->lo) || ip_cmp(&r->hi, &MAPPED_FIRST) < 0 ||
	    ip_cmp(&r->lo, &MAPPED_LAST) > 0) {
		push(s, r->lo, r->hi);
		return;
	}
	if (ip_cmp(&r->lo, &MAPPED_FIRST) < 0)
		push(s, r->lo, before(&MAPPED_FIRST));
	if (ip_cmp(&r->hi, &MAPPED_LAST) > 0)
		push(s, after(&MAPPED_LAST), r->hi);
}

/* The range of a prefix with ::ffff:0:0/96 still in it. */
static struct iprange whole(const struct prefix *p)
{
	struct prefix m = prefix_masked(*p);
	unsigned host_bits = (prefix_is4(p) ? 32u : 128u) - p->bits;
	num mask = host_bits == 128 ? ~(num)0 : ((num)1 << host_bits) - 1;

	return (struct iprange){ m.ip, from_number(number(&m.ip) | mask) };
}

void ipset_add_prefix(struct ipset *s, const struct prefix *p)
{
	struct iprange r = whole(p);

	ipset_add_range(s, &r);
}

void ipset_add_ip(struct ipset *s, const struct ip *ip)
{
	push(s, *ip, *ip);
}

void ipset_add_all(struct ipset *s)
{
	struct prefix all4 = { ip4(0, 0, 0, 0), 0 }, all6 = { { { 0 } }, 0 };

	ipset_add_prefix(s, &all4);
	ipset_add_prefix(s, &all6);
}

void ipset_add_set(struct ipset *s, const struct ipset *other)
{
	for (size_t i = 0; i < other->n; i++)
		push(s, other->v[i].lo, other->v[i].hi);
}

static int by_start(const void *a, const void *b)
{
	const struct iprange *x = a, *y = b;

	return ip_cmp(&x->lo, &y->lo);
}

/* May b, which starts no earlier, be joined to a? Neighbours of two families may not. */
static bool joins(const struct iprange *a, const struct iprange *b)
{
	if (ip_cmp(&b->lo, &a->hi) <= 0)
		return true;
	struct ip next = after(&a->hi);

	return ip_eq(&next, &b->lo) && ip_is4(&a->lo) == ip_is4(&b->lo) &&
	       number(&a->hi) != ~(num)0;
}

void ipset_seal(struct ipset *s)
{
	size_t kept = 0;

	if (s->n < 2)
		return;
	qsort(s->v, s->n, sizeof(*s->v), by_start);
	for (size_t i = 1; i < s->n; i++) {
		struct iprange *last = &s->v[kept];

		if (!joins(last, &s->v[i]))
			s->v[++kept] = s->v[i];
		else if (ip_cmp(&s->v[i].hi, &last->hi) > 0)
			last->hi = s->v[i].hi;
	}
	s->n = kept + 1;
}

void ipset_subtract(struct ipset *s, const struct ipset *other)
{
	struct ipset left = { 0 };
	size_t j = 0;

	for (size_t i = 0; i < s->n; i++) {
		struct iprange r = s->v[i];
		bool more = true;

		while (j < other->n && ip_cmp(&other->v[j].hi, &r.lo) < 0)
			j++;
		for (size_t k = j; more && k < other->n; k++) {
			const struct iprange *cut = &other->v[k];

			if (ip_cmp(&cut->lo, &r.hi) > 0)
				break;
			if (ip_cmp(&cut->lo, &r.lo) > 0)
				push(&left, r.lo, before(&cut->lo));
			more = ip_cmp(&cut->hi, &r.hi) < 0;
			if (more)
				r.lo = after(&cut->hi);
		}
		if (more)
			push(&left, r.lo, r.hi);
	}
	ipset_done(s);
	*s = left;
}

/* The first range that does not end before the address. */
static size_t lower(const struct ipset *s, const struct ip *ip)
{
	size_t lo = 0, hi = s->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (ip_cmp(&s->v[mid].hi, ip) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

bool ipset_has(const struct ipset *s, const struct ip *ip)
{
	size_t i = lower(s, ip);

	return i < s->n && ip_cmp(&s->v[i].lo, ip) <= 0;
}

bool ipset_overlaps_range(const struct ipset *s, const struct iprange *r)
{
	size_t i = lower(s, &r->lo);

	return i < s->n && ip_cmp(&s->v[i].lo, &r->hi) <= 0;
}

bool ipset_covers_range(const struct ipset *s, const struct iprange *r)
{
	size_t i = lower(s, &r->lo);

	return i < s->n && ip_cmp(&s->v[i].lo, &r->lo) <= 0 && ip_cmp(&r->hi, &s->v[i].hi) <= 0;
}

bool ipset_overlaps(const struct ipset *a, const struct ipset *b)
{
	const struct ipset *few = a->n < b->n ? a : b, *many = few == a ? b : a;

	for (size_t i = 0; i < few->n; i++)
		if (ipset_overlaps_range(many, &few->v[i]))
			return true;
	return false;
}

bool ipset_covers(const struct ipset *outer, const struct ipset *inner)
{
	for (size_t i = 0; i < inner->n; i++)
		if (!ipset_covers_range(outer, &inner->v[i]))
			return false;
	return true;
}

bool ipset_eq(const struct ipset *a, const struct ipset *b)
{
	return a->n == b->n && (a->n == 0 || memcmp(a->v, b->v, a->n * sizeof(*a->v)) == 0);
}

struct iprange iprange_of(const struct prefix *p)
{
	struct iprange r = whole(p);

	if (!ip_is4(&r.lo) && ip_cmp(&r.lo, &MAPPED_FIRST) < 0 && ip_cmp(&r.hi, &MAPPED_FIRST) >= 0)
		r.hi = before(&MAPPED_FIRST);
	return r;
}

struct iprange iprange_host(const struct ip *ip)
{
	return (struct iprange){ *ip, *ip };
}

/* Host bits of the largest aligned block that starts at lo and ends by hi. */
static unsigned block_bits(num lo, num hi, unsigned max)
{
	unsigned bits = 0;

	while (bits < max) {
		num mask = bits + 1 == 128 ? ~(num)0 : ((num)1 << (bits + 1)) - 1;

		if ((lo & mask) != 0 || mask > hi - lo)
			break;
		bits++;
	}
	return bits;
}

bool iprange_cut_prefix(struct iprange *r, struct prefix *ret)
{
	unsigned max = ip_is4(&r->lo) ? 32 : 128;
	num lo = number(&r->lo), hi = number(&r->hi);
	unsigned bits = block_bits(lo, hi, max);
	num last = lo + (bits == 128 ? ~(num)0 : ((num)1 << bits) - 1);

	*ret = (struct prefix){ r->lo, (uint8_t)(max - bits) };
	if (last == hi)
		return false;
	r->lo = from_number(last + 1);
	return true;
}

bool iprange_prefix(const struct iprange *r, struct prefix *ret)
{
	struct iprange rest = *r;
	struct prefix p;

	if (iprange_cut_prefix(&rest, &p))
		return false;
	*ret = p;
	return true;
}

static int parse_bounds(struct span text, size_t dash, struct iprange *ret)
{
	struct iprange r;

	if (ip_parse(span_first(text, dash), &r.lo) < 0 ||
	    ip_parse(span_from(text, dash + 1), &r.hi) < 0)
		return ERR_MALFORMED;
	if (ip_is4(&r.lo) != ip_is4(&r.hi) || ip_cmp(&r.lo, &r.hi) > 0)
		return ERR_MALFORMED;
	*ret = r;
	return 0;
}

int iprange_parse(struct span text, struct iprange *ret)
{
	size_t dash = span_find(text, '-');
	struct prefix p;

	if (dash < text.n)
		return parse_bounds(text, dash, ret);
	int r = span_find(text, '/') < text.n ? prefix_parse_strict(text, &p)
	                                      : prefix_parse(text, &p);
	if (r < 0)
		return r;
	*ret = iprange_of(&p);
	return 0;
}

const char *iprange_text(const struct iprange *r, char dst[static IPRANGE_TEXT_MAX])
{
	char lo[IP_TEXT_MAX], hi[IP_TEXT_MAX], net[PREFIX_TEXT_MAX];
	struct prefix p;

	if (ip_eq(&r->lo, &r->hi))
		(void)snprintf(dst, IPRANGE_TEXT_MAX, "%s", ip_text(&r->lo, lo));
	else if (iprange_prefix(r, &p))
		(void)snprintf(dst, IPRANGE_TEXT_MAX, "%s", prefix_text(&p, net));
	else
		(void)snprintf(dst, IPRANGE_TEXT_MAX, "%s-%s", ip_text(&r->lo, lo),
		               ip_text(&r->hi, hi));
	return dst;
}
