#include "wireguard/value.h"

#include <arpa/inet.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/enc.h"
#include "base/err.h"

static int wrong(struct fault *f, const char *what)
{
	return fault_set(f, ERR_MALFORMED, 0, 0, "%s", what);
}

int wg_value_key(struct span text, uint8_t ret[static KEY_LEN], struct fault *f)
{
	if (base64_decode(ret, KEY_LEN, text) < 0)
		return wrong(f, "not a key: expected 44 characters of base64, the last of them =");
	return 0;
}

static bool is_digit(uint8_t c)
{
	return c >= '0' && c <= '9';
}

static int hex_u32(struct span digits, uint32_t *ret)
{
	uint64_t v = 0;

	if (digits.n == 0)
		return ERR_MALFORMED;
	for (size_t i = 0; i < digits.n; i++) {
		uint8_t c = digits.p[i];

		if (is_digit(c))
			v = v << 4 | (uint64_t)(c - '0');
		else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
			v = v << 4 | (uint64_t)((c | 0x20) - 'a' + 10);
		else
			return ERR_MALFORMED;
		if (v > UINT32_MAX)
			return ERR_LIMIT;
	}
	*ret = (uint32_t)v;
	return 0;
}

int wg_value_fwmark(struct span text, uint32_t *ret, struct fault *f)
{
	uint64_t v = 0;
	int r;

	if (span_is_nocase(text, "off")) {
		*ret = 0;
		return 0;
	}
	if (span_starts(text, "0x"))
		r = hex_u32(span_from(text, 2), ret);
	else if ((r = span_u64(text, UINT32_MAX, &v)) == 0)
		*ret = (uint32_t)v;
	return r < 0 ? wrong(f, "expected off, a number, or 0x and hex digits, up to 0xffffffff")
	             : 0;
}

int wg_value_keepalive(struct span text, uint16_t *ret, struct fault *f)
{
	uint64_t v = 0;

	if (!span_is_nocase(text, "off") && span_u64(text, UINT16_MAX, &v) < 0)
		return wrong(f, "expected off, or seconds from 0 to 65535");
	*ret = (uint16_t)v;
	return 0;
}

int wg_value_port(struct span text, uint16_t *ret, struct fault *f)
{
	uint64_t v;

	if (text.n == 0)
		return wrong(f, "expected a port");
	if (!is_digit(text.p[0]))
		return ERR_UNKNOWN;
	if (span_u64(text, UINT16_MAX, &v) < 0)
		return wrong(f, "expected a port from 0 to 65535");
	*ret = (uint16_t)v;
	return 0;
}

static int one_prefix(struct span item, struct prefix *ret)
{
	struct span ip = span_first(item, span_find(item, '/'));
	uint64_t bits;

	if (ip_parse(ip, &ret->ip) < 0)
		return ERR_MALFORMED;
	ret->bits = prefix_max_bits(ret);
	if (ip.n == item.n)
		return 0;
	if (span_u64(span_from(item, ip.n + 1), ret->bits, &bits) < 0)
		return ERR_MALFORMED;
	ret->bits = (uint8_t)bits;
	return 0;
}

static int bad_prefix(struct fault *f, struct span item)
{
	return fault_set(
		f, ERR_MALFORMED, 0, 0,
		"\"%.*s\" is not an address range: expected one like 10.0.0.0/24 or fd00::/64",
		(int)(item.n < 60 ? item.n : 60), (const char *)item.p);
}

static int add_prefix(struct span item, struct wg_peer_change *peer, bool *loose, struct fault *f)
{
	bool minus = item.n && item.p[0] == '-';
	bool signed_ = minus || (item.n && item.p[0] == '+');
	struct prefix p;

	if (one_prefix(span_from(item, signed_), &p) < 0)
		return bad_prefix(f, item);
	if (peer->ips.n >= WG_PREFIXES_MAX)
		return fault_set(f, ERR_LIMIT, 0, 0, "more than %d address ranges",
		                 WG_PREFIXES_MAX);
	if (signed_)
		peer->set &= ~(unsigned)WG_PEER_REPLACE_IPS;

	struct prefix masked = prefix_masked(p);

	*loose |= !prefix_eq(&p, &masked);
	wg_peer_change_add_ip(peer, masked, minus);
	return 0;
}

int wg_value_allowed_ips(struct span text, struct wg_peer_change *peer, bool *ret_loose,
                         struct fault *f)
{
	AUTO_DONE(buf) struct buf dense = { .max = text.n + 1 };
	bool loose = false;
	struct span item, rest;

	for (size_t i = 0; i < text.n; i++)
		if (text.p[i] != ' ' && text.p[i] != '\t')
			buf_add_u8(&dense, text.p[i]);
	rest = buf_span(&dense);
	peer->set |= WG_PEER_REPLACE_IPS;
	if (rest.n == 0)
		return 0;
	while (span_cut(&rest, ',', &item)) {
		int r = add_prefix(item, peer, &loose, f);

		if (r < 0)
			return r;
	}
	if (ret_loose)
		*ret_loose = loose;
	return 0;
}

static bool keep_part(char *dst, size_t max, struct span part)
{
	if (part.n == 0 || part.n > max || memchr(part.p, '\0', part.n))
		return false;
	memcpy(dst, part.p, part.n);
	dst[part.n] = '\0';
	return true;
}

static size_t last_colon(struct span text)
{
	size_t i = text.n;

	while (i > 0 && text.p[i - 1] != ':')
		i--;
	return i ? i - 1 : text.n;
}

int wg_value_endpoint(struct span text, struct wg_endpoint *ret, struct fault *f)
{
	struct span host, service;
	struct wg_endpoint e = { 0 };

	if (text.n && text.p[0] == '[') {
		size_t close = span_find(text, ']');

		if (close == text.n)
			return wrong(f, "no ] after the address: expected [address]:port");
		host = span(text.p + 1, close - 1);
		service = span_from(text, close + 1);
		if (!span_starts(service, ":"))
			return wrong(f, "no port: expected [address]:port");
		service = span_from(service, 1);
	} else {
		size_t colon = last_colon(text);

		host = span_first(text, colon);
		service = span_from(text, colon + 1);
	}
	if (service.n == 0)
		return wrong(f, "no port: expected host:port or [address]:port");
	if (!keep_part(e.host, WG_HOST_MAX, host) || !keep_part(e.service, WG_SERVICE_MAX, service))
		return wrong(f, "expected host:port or [address]:port");
	*ret = e;
	return 0;
}

int wg_endpoint_numeric(const struct wg_endpoint *e, struct addr *ret)
{
	struct addr a = { 0 };

	if (ip_parse(span_str(e->host), &a.ip) < 0 ||
	    wg_value_port(span_str(e->service), &a.port, NULL) < 0)
		return ERR_UNKNOWN;
	*ret = a;
	return 0;
}

/* inet_ntop writes ::/96 with dots, which RFC 5952 does not; scripts compare text. */
static const char *ntop(const struct ip *ip, char dst[static IP_TEXT_MAX])
{
	const char *text = ip_is4(ip) ? inet_ntop(AF_INET, ip_v4(ip), dst, IP_TEXT_MAX)
	                              : inet_ntop(AF_INET6, ip->b, dst, IP_TEXT_MAX);

	return text ? text : "";
}

const char *wg_prefix_text(const struct prefix *p, char dst[static PREFIX_TEXT_MAX])
{
	char ip[IP_TEXT_MAX];

	(void)snprintf(dst, PREFIX_TEXT_MAX, "%s/%u", ntop(&p->ip, ip), p->bits);
	return dst;
}

const char *wg_addr_text(const struct addr *a, char dst[static ADDR_TEXT_MAX])
{
	char ip[IP_TEXT_MAX], zone[8] = "";

	if (a->zone)
		(void)snprintf(zone, sizeof(zone), "%%%u", a->zone);
	(void)snprintf(dst, ADDR_TEXT_MAX, ip_is4(&a->ip) ? "%s%s:%u" : "[%s%s]:%u",
	               ntop(&a->ip, ip), zone, a->port);
	return dst;
}
