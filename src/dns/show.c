#include "dns/show.h"

#include <stdio.h>

#include "base/mem.h"

static void put_text_data(struct buf *out, struct rd *data)
{
	buf_add_u8(out, '[');
	for (bool first = true; rd_left(data); first = false) {
		size_t n = rd_u8(data);
		const uint8_t *p = rd_view(data, n);

		buf_add_str(out, first ? "\"" : " \"");
		for (size_t i = 0; p && i < n; i++) {
			bool plain = p[i] >= ' ' && p[i] < 0x7f && p[i] != '"' && p[i] != '\\';

			buf_fmt(out, plain ? "%c" : "\\x%02x", p[i]);
		}
		buf_add_u8(out, '"');
	}
	buf_add_u8(out, ']');
}

static void put_bytes(struct buf *out, struct rd *data)
{
	while (rd_left(data))
		buf_fmt(out, "%02x", rd_u8(data));
}

static const char *name_at(struct rd *data, struct span msg, char dst[static DNS_NAME_TEXT_MAX])
{
	struct dns_name n;

	return dns_name_read(data, msg, &n) < 0 ? "?" : dns_name_text(&n, dst);
}

/* A record's data as the stock command writes it; what it does not know in hexadecimal. */
static void put_body(struct buf *out, struct dns_rr *rr, struct span msg)
{
	char text[DNS_NAME_TEXT_MAX];
	struct ip ip;
	unsigned a, b, c;

	switch (rr->type) {
	case DNS_A:
	case DNS_AAAA:
		if (rd_left(&rr->data) != (rr->type == DNS_A ? 4u : 16u))
			break;
		ip = rr->type == DNS_A ? ip4_of(rr->data.p) : ip6_of(rr->data.p);
		buf_add_str(out, ip_text(&ip, text));
		break;
	case DNS_CNAME:
	case DNS_NS:
	case DNS_PTR:
		buf_add_str(out, name_at(&rr->data, msg, text));
		break;
	case DNS_MX:
		a = rd_be16(&rr->data);
		buf_fmt(out, "%s (Priority=%u)", name_at(&rr->data, msg, text), a);
		break;
	case DNS_SRV:
		a = rd_be16(&rr->data);
		b = rd_be16(&rr->data);
		c = rd_be16(&rr->data);
		buf_fmt(out, "Target=%s, Port=%u, Priority=%u, Weight=%u",
		        name_at(&rr->data, msg, text), c, a, b);
		break;
	case DNS_TXT:
		put_text_data(out, &rr->data);
		break;
	default:
		put_bytes(out, &rr->data);
	}
}

static void put_record(struct js_wr *w, struct dns_rr *rr, struct span msg)
{
	AUTO_DONE(buf) struct buf text = { 0 };
	char owner[DNS_NAME_TEXT_MAX];
	const char *type = dns_type_name(rr->type);

	js_wr_open(w, JS_OBJECT);
	js_wr_kv_str(w, "Name", dns_name_text(&rr->owner, owner));
	js_wr_kv_int(w, "TTL", rr->ttl_s);
	if (rr->class == DNS_CLASS_IN)
		buf_add_str(&text, "ClassINET");
	else
		buf_fmt(&text, "%u", rr->class);
	js_wr_kv_str(w, "Class", buf_text(&text));
	buf_clear(&text);
	if (type)
		buf_fmt(&text, "Type%s", type);
	else
		buf_fmt(&text, "%u", rr->type);
	js_wr_kv_str(w, "Type", buf_text(&text));
	buf_clear(&text);
	put_body(&text, rr, msg);
	js_wr_kv_str(w, "Body", buf_text(&text));
	js_wr_close(w, JS_OBJECT);
}

void dns_show_answer(struct js_wr *w, struct span msg)
{
	unsigned rcode = msg.n >= DNS_HEADER ? msg.p[3] & 15 : DNS_SERVFAIL;
	struct dns_rrs all;
	struct dns_rr rr;

	js_wr_kv_str(w, "ResponseCode", dns_rcode_name(rcode));
	if (rcode != DNS_NOERROR)
		return;
	js_wr_key(w, "Answers");
	js_wr_open(w, JS_ARRAY);
	dns_rrs_start(&all, msg);
	while (dns_rrs_next(&all, &rr))
		put_record(w, &rr, msg);
	js_wr_close(w, JS_ARRAY);
}

void dns_show_upstreams(struct js_wr *w, const struct dns_upstream *v, size_t n)
{
	enum { DNS_PORT = 53 };
	char text[ADDR_TEXT_MAX];

	js_wr_open(w, JS_ARRAY);
	for (size_t i = 0; i < n; i++) {
		js_wr_open(w, JS_OBJECT);
		if (v[i].kind == DNS_UPSTREAM_HTTP)
			js_wr_kv_str(w, "Addr", v[i].url);
		else if (v[i].addr.port == DNS_PORT)
			js_wr_kv_str(w, "Addr", ip_text(&v[i].addr.ip, text));
		else
			js_wr_kv_str(w, "Addr", addr_text(&v[i].addr, text));
		js_wr_close(w, JS_OBJECT);
	}
	js_wr_close(w, JS_ARRAY);
}

const char *dns_show_why(const struct dns_config *c, const struct dns_name *name,
                         char dst[static DNS_WHY_MAX])
{
	const struct dns_name *zone = dns_config_zone_of(c, name);
	const struct dns_route *route = dns_config_route_of(c, name);
	char text[DNS_NAME_TEXT_MAX];

	if (dns_config_find(c, name))
		(void)snprintf(dst, DNS_WHY_MAX, "answered here: a name of the tailnet");
	else if (zone)
		(void)snprintf(dst, DNS_WHY_MAX,
		               "answered here: under %s, which is asked of nobody else",
		               dns_name_text(zone, text));
	else if (!route)
		(void)snprintf(dst, DNS_WHY_MAX, "no resolver is known for it");
	else if (route->suffix.labels == 0)
		(void)snprintf(dst, DNS_WHY_MAX, "asked of the resolvers for all names");
	else
		(void)snprintf(dst, DNS_WHY_MAX, "asked of the resolvers for %s",
		               dns_name_text(&route->suffix, text));
	return dst;
}
