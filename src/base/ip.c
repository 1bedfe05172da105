#include "base/ip.h"

#include <arpa/inet.h>
#include <stdio.h>

#include "base/err.h"

static const struct prefix net_private[] = {
	{ { { [10] = 0xff, [11] = 0xff, 10 } }, 8 },
	{ { { [10] = 0xff, [11] = 0xff, 172, 16 } }, 12 },
	{ { { [10] = 0xff, [11] = 0xff, 192, 168 } }, 16 },
	{ { { 0xfc } }, 7 },
};

bool ip_is_zero(const struct ip *ip)
{
	static const struct ip none;

	return ip_eq(ip, &none) || (ip_is4(ip) && memcmp(ip_v4(ip), none.b, 4) == 0);
}

bool ip_is_loopback(const struct ip *ip)
{
	static const struct ip one = { { [15] = 1 } };

	return ip_is4(ip) ? ip_v4(ip)[0] == 127 : ip_eq(ip, &one);
}

bool ip_is_link_local(const struct ip *ip)
{
	if (ip_is4(ip))
		return ip_v4(ip)[0] == 169 && ip_v4(ip)[1] == 254;
	return ip->b[0] == 0xfe && (ip->b[1] & 0xc0) == 0x80;
}

bool ip_is_multicast(const struct ip *ip)
{
	return ip_is4(ip) ? (ip_v4(ip)[0] & 0xf0) == 0xe0 : ip->b[0] == 0xff;
}

bool ip_is_private(const struct ip *ip)
{
	for (size_t i = 0; i < ARRAY_LEN(net_private); i++) {
		if (prefix_contains(&net_private[i], ip))
			return true;
	}
	return false;
}

/* Bits counted from the front of the 16 bytes. */
static unsigned full_bits(const struct prefix *p)
{
	return prefix_is4(p) ? p->bits + 96u : p->bits;
}

static bool same_bits(const struct ip *a, const struct ip *b, unsigned bits)
{
	unsigned whole = bits / 8;

	if (memcmp(a->b, b->b, whole) != 0)
		return false;
	return bits % 8 == 0 || (a->b[whole] ^ b->b[whole]) >> (8 - bits % 8) == 0;
}

bool prefix_contains(const struct prefix *p, const struct ip *ip)
{
	return prefix_is4(p) == ip_is4(ip) && same_bits(&p->ip, ip, full_bits(p));
}

bool prefix_covers(const struct prefix *outer, const struct prefix *inner)
{
	return outer->bits <= inner->bits && prefix_contains(outer, &inner->ip);
}

bool prefix_overlaps(const struct prefix *a, const struct prefix *b)
{
	return a->bits <= b->bits ? prefix_contains(a, &b->ip) : prefix_contains(b, &a->ip);
}

int prefix_cmp(const struct prefix *a, const struct prefix *b)
{
	if (prefix_is4(a) != prefix_is4(b))
		return prefix_is4(a) ? -1 : 1;

	int c = ip_cmp(&a->ip, &b->ip);

	return c ? c : a->bits - b->bits;
}

struct prefix prefix_masked(struct prefix p)
{
	unsigned bits = full_bits(&p);

	for (unsigned i = 0; i < 16; i++) {
		unsigned keep = bits > i * 8 ? bits - i * 8 : 0;

		if (keep < 8)
			p.ip.b[i] &= (uint8_t)(0xff00u >> keep);
	}
	return p;
}

struct prefix prefix_host(struct ip ip)
{
	return (struct prefix){ ip, ip_is4(&ip) ? 32 : 128 };
}

const char *ip_text(const struct ip *ip, char dst[static IP_TEXT_MAX])
{
	if (ip_is4(ip))
		(void)inet_ntop(AF_INET, ip_v4(ip), dst, IP_TEXT_MAX);
	else
		(void)inet_ntop(AF_INET6, ip->b, dst, IP_TEXT_MAX);
	return dst;
}

const char *addr_text(const struct addr *a, char dst[static ADDR_TEXT_MAX])
{
	char ip[IP_TEXT_MAX];

	(void)ip_text(&a->ip, ip);
	if (ip_is4(&a->ip))
		(void)snprintf(dst, ADDR_TEXT_MAX, "%s:%u", ip, a->port);
	else if (a->zone)
		(void)snprintf(dst, ADDR_TEXT_MAX, "[%s%%%u]:%u", ip, a->zone, a->port);
	else
		(void)snprintf(dst, ADDR_TEXT_MAX, "[%s]:%u", ip, a->port);
	return dst;
}

const char *prefix_text(const struct prefix *p, char dst[static PREFIX_TEXT_MAX])
{
	char ip[IP_TEXT_MAX];

	(void)snprintf(dst, PREFIX_TEXT_MAX, "%s/%u", ip_text(&p->ip, ip), p->bits);
	return dst;
}

int ip_parse(struct span s, struct ip *ret)
{
	char text[IP_TEXT_MAX];
	struct ip ip;

	if (s.n == 0 || s.n >= sizeof(text) || memchr(s.p, 0, s.n))
		return ERR_MALFORMED;
	memcpy(text, s.p, s.n);
	text[s.n] = '\0';
	if (!strchr(text, ':')) {
		uint8_t four[4];

		if (inet_pton(AF_INET, text, four) != 1)
			return ERR_MALFORMED;
		*ret = ip4_of(four);
		return 0;
	}
	if (inet_pton(AF_INET6, text, ip.b) != 1)
		return ERR_MALFORMED;
	*ret = ip;
	return 0;
}

int addr_parse(struct span s, struct addr *ret)
{
	struct addr a = { 0 };
	struct span host;
	uint64_t port;
	size_t colon;

	if (s.n && s.p[0] == '[') {
		size_t end = span_find(s, ']');

		if (end + 1 >= s.n || s.p[end + 1] != ':')
			return ERR_MALFORMED;
		host = span_from(span_first(s, end), 1);
		colon = end + 1;

		size_t zone = span_find(host, '%');

		if (zone < host.n) {
			uint64_t index;

			if (span_u64(span_from(host, zone + 1), UINT16_MAX, &index) < 0)
				return ERR_MALFORMED;
			a.zone = (uint16_t)index;
			host = span_first(host, zone);
		}
		if (span_find(host, ':') == host.n)
			return ERR_MALFORMED;
	} else {
		colon = span_find(s, ':');
		host = span_first(s, colon);
	}
	if (colon >= s.n || span_u64(span_from(s, colon + 1), UINT16_MAX, &port) < 0)
		return ERR_MALFORMED;

	int r = ip_parse(host, &a.ip);

	if (r < 0)
		return r;
	a.port = (uint16_t)port;
	*ret = a;
	return 0;
}

int prefix_parse(struct span s, struct prefix *ret)
{
	size_t slash = span_find(s, '/');
	struct ip ip;
	int r = ip_parse(span_first(s, slash), &ip);

	if (r < 0)
		return r;

	struct prefix p = prefix_host(ip);

	if (slash < s.n) {
		struct span text = span_from(s, slash + 1);
		uint64_t bits;

		if (span_u64(text, p.bits, &bits) < 0 || (text.n > 1 && text.p[0] == '0'))
			return ERR_MALFORMED;
		p.bits = (uint8_t)bits;
	}
	*ret = p;
	return 0;
}

int prefix_parse_strict(struct span s, struct prefix *ret)
{
	struct prefix p;
	int r = prefix_parse(s, &p);

	if (r < 0)
		return r;

	struct prefix masked = prefix_masked(p);

	if (span_find(s, '/') == s.n || !prefix_eq(&masked, &p))
		return ERR_MALFORMED;
	*ret = p;
	return 0;
}
