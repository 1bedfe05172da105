#include "http/url.h"

#include "base/err.h"
#include "base/ip.h"

enum { PORT_HTTP = 80, PORT_HTTPS = 443 };

static bool is_host_char(uint8_t c)
{
	if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'))
		return true;
	return c == '-' || c == '.' || c == '_';
}

static int check_host(struct span host)
{
	if (host.n == 0)
		return ERR_MALFORMED;
	if (host.n > URL_HOST_MAX)
		return ERR_LIMIT;
	for (size_t i = 0; i < host.n; i++) {
		if (!is_host_char(host.p[i]))
			return ERR_MALFORMED;
	}
	return 0;
}

/* "[v6]" and what follows it. */
static int cut_brackets(struct span text, struct span *ret_host, struct span *ret_rest)
{
	size_t end = span_find(text, ']');
	struct ip ip;

	if (end == text.n)
		return ERR_MALFORMED;
	*ret_host = span(text.p + 1, end - 1);
	*ret_rest = span_from(text, end + 1);
	return ip_parse(*ret_host, &ip) == 0 && !ip_is4(&ip) ? 0 : ERR_MALFORMED;
}

static int split_host(struct span text, struct span *ret_host, struct span *ret_rest, bool *ret_ip6)
{
	*ret_ip6 = text.n > 0 && text.p[0] == '[';
	if (*ret_ip6)
		return cut_brackets(text, ret_host, ret_rest);

	size_t colon = span_find(text, ':');

	*ret_host = span_first(text, colon);
	*ret_rest = span_from(text, colon);
	return check_host(*ret_host);
}

static int read_port(struct span rest, uint16_t fallback, uint16_t *ret, bool *ret_written)
{
	uint64_t port = fallback;

	*ret_written = rest.n > 1;
	if (rest.n > 0 && rest.p[0] != ':')
		return ERR_MALFORMED;
	if (rest.n > 1 && (rest.n > 6 || span_u64(span_from(rest, 1), UINT16_MAX, &port) < 0))
		return ERR_MALFORMED;
	if (port == 0)
		return ERR_MALFORMED;
	*ret = (uint16_t)port;
	return 0;
}

int host_port_parse(struct span text, uint16_t fallback, struct span *ret_host, uint16_t *ret_port)
{
	struct span host, rest;
	bool ip6, written;
	uint16_t port;
	int r = split_host(text, &host, &rest, &ip6);

	if (r == 0)
		r = read_port(rest, fallback, &port, &written);
	if (r < 0)
		return r;
	*ret_host = host;
	*ret_port = port;
	return 0;
}

static int read_authority(struct span text, struct url *u)
{
	uint16_t fallback = u->https ? PORT_HTTPS : PORT_HTTP;
	struct span rest;
	size_t at = text.n;

	while (at > 0 && text.p[at - 1] != '@')
		at--;
	if (at > 0) {
		u->userinfo = span_first(text, at - 1);
		text = span_from(text, at);
	}

	int r = split_host(text, &u->host, &rest, &u->host_is_ip6);

	return r < 0 ? r : read_port(rest, fallback, &u->port, &u->port_written);
}

static bool is_clean(struct span s)
{
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] <= 0x20 || s.p[i] == 0x7f)
			return false;
	}
	return true;
}

static size_t authority_end(struct span s)
{
	size_t i = 0;

	while (i < s.n && s.p[i] != '/' && s.p[i] != '?' && s.p[i] != '#')
		i++;
	return i;
}

int url_parse(struct span text, struct url *ret)
{
	struct url u = { 0 };
	size_t colon = span_find(text, ':');

	if (text.n > URL_MAX)
		return ERR_LIMIT;
	if (!is_clean(text) || !span_starts(span_from(text, colon), "://"))
		return ERR_MALFORMED;
	u.https = span_is_nocase(span_first(text, colon), "https");
	if (!u.https && !span_is_nocase(span_first(text, colon), "http"))
		return ERR_UNKNOWN;
	text = span_from(text, colon + 3);

	size_t end = authority_end(text);
	int r = read_authority(span_first(text, end), &u);

	if (r < 0)
		return r;
	text = span_from(text, end);
	u.target = span_first(text, span_find(text, '#'));
	if (u.target.n == 0)
		u.target = SPAN_LIT("/");
	else if (u.target.p[0] != '/')
		return ERR_MALFORMED; /* "http://host?query": say it with a slash */
	*ret = u;
	return 0;
}

void url_put_authority(struct buf *b, const struct url *u)
{
	buf_fmt(b, u->host_is_ip6 ? "[%.*s]" : "%.*s", SPAN_FMT(u->host));
	if (u->port != (u->https ? PORT_HTTPS : PORT_HTTP))
		buf_fmt(b, ":%u", u->port);
}

void target_split(struct span target, struct span *ret_path, struct span *ret_query)
{
	struct url u;

	if (target.n > 0 && target.p[0] != '/' && url_parse(target, &u) == 0)
		target = u.target;

	size_t q = span_find(target, '?');

	*ret_path = span_first(target, q);
	*ret_query = span_from(target, q + 1);
}

static int hex(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int url_decode(struct span s, enum url_plus plus, struct buf *ret)
{
	for (size_t i = 0; i < s.n; i++) {
		uint8_t c = s.p[i];

		if (c == '+' && plus == URL_PLUS_IS_SPACE) {
			c = ' ';
		} else if (c == '%') {
			if (s.n - i < 3 || hex(s.p[i + 1]) < 0 || hex(s.p[i + 2]) < 0)
				return ERR_MALFORMED;
			c = (uint8_t)(hex(s.p[i + 1]) << 4 | hex(s.p[i + 2]));
			i += 2;
		}
		if (c == '\0')
			return ERR_MALFORMED;
		buf_add_u8(ret, c);
	}
	return buf_ok(ret);
}

void url_encode(struct buf *b, struct span s)
{
	static const char digits[] = "0123456789ABCDEF";

	for (size_t i = 0; i < s.n; i++) {
		uint8_t c = s.p[i];

		if (is_host_char(c) || c == '~') {
			buf_add_u8(b, c);
			continue;
		}
		buf_add_u8(b, '%');
		buf_add_u8(b, (uint8_t)digits[c >> 4]);
		buf_add_u8(b, (uint8_t)digits[c & 15]);
	}
}
