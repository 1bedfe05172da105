/*
 * /dns-query of the PeerAPI: DNS over HTTP (RFC 8484, though without TLS, which
 * the tunnel stands for), for peers whose exit node we are. Asked is the host's
 * own resolver, as if the query were the host's.
 */
#include <stdlib.h>
#include <string.h>

#include "base/enc.h"
#include "base/err.h"
#include "base/list.h"
#include "node/dnsd.h"
#include "node/engine.h"
#include "node/localapi.h"
#include "node/peerapi.h"

enum {
	ANSWER_LIMIT_US = 5000000,
	DNS_PORT = 53,
	BODY_MAX = DNS_FORWARD_QUERY_MAX,
};

struct doh {
	struct link link; /* of the PeerAPI's asks */
	struct peerapi *api;
	struct http_req *req; /* NULL once answered */
	struct dnsd_ask *ask;
	struct ev_timer limit;
	struct ip from;
	bool pretty; /* for people: JSON */
};

/* ---- who may ---- */

static bool offers_internet(const struct node *n)
{
	const struct prefs *p = node_prefs(n);

	for (size_t i = 0; i < p->advertise_routes.n; i++)
		if (prefix_is_default(&p->advertise_routes.v[i]))
			return true;
	return p->app_connector;
}

/* Those of our user; else those who may reach the internet through us. */
static bool may_ask(const struct node *n, const struct peerapi_peer *peer)
{
	/* Addresses that stand for the internet, as stock nodes take them. */
	static const struct ip six = { { 0x20 } };
	const struct ip four = ip4(0, 0, 0, 0);
	const struct filter *f = n->engine ? mesh_filter(n->engine->mesh) : NULL;

	if (peer->is_self)
		return true;
	return f && offers_internet(n) &&
	       filter_allows(f, IPPKT_TCP, &peer->ip, ip_is4(&peer->ip) ? &four : &six, DNS_PORT);
}

/* Names the coordinator does not want resolved for others. Entries with a dot in front are
 * suffixes. */
static bool is_filtered(const struct node *n, const struct dns_name *name)
{
	const struct netmap *m = node_map(n);
	const struct js_strs *set = m && m->dns ? &m->dns->exit_node_filtered_set : NULL;

	for (size_t i = 0; set && i < set->n; i++) {
		struct span entry = set->v[i];
		bool suffix = entry.n && entry.p[0] == '.';
		struct dns_name bad;

		if (entry.n == 0 || dns_name_of(span_from(entry, suffix), &bad) < 0)
			continue;
		if (suffix ? dns_name_under(name, &bad) && name->labels > bad.labels
		           : dns_name_eq(name, &bad))
			return true;
	}
	return false;
}

static bool asks_too_much(struct peerapi *a, const struct ip *from)
{
	struct doh *d;
	size_t n = 0;

	list_each(d, peerapi_asks(a), link)
		n += ip_eq(&d->from, from);
	return n >= PEERAPI_ASKS_PEER_MAX;
}

/* ---- the answer ---- */

static void doh_free(struct doh *d)
{
	dnsd_cancel(d->ask);
	ev_timer_stop(peerapi_node(d->api)->ev, &d->limit);
	list_remove(&d->link);
	free(d);
}

static void put_pretty(struct buf *out, struct span answer)
{
	struct js_wr w = js_wr_of(out);
	struct ip ips[64];
	size_t n = dns_addresses(answer, ips, ARRAY_LEN(ips));
	unsigned rcode = answer.n >= DNS_HEADER ? answer.p[3] & 15 : DNS_SERVFAIL;
	char text[IP_TEXT_MAX];

	if (rcode != DNS_NOERROR) {
		AUTO_FREE char *why = str_fmt("DNS RCode = %s", dns_rcode_name(rcode));

		js_wr_open(&w, JS_OBJECT);
		js_wr_kv_str(&w, "Error", why);
		js_wr_close(&w, JS_OBJECT);
	} else {
		js_wr_open(&w, JS_ARRAY);
		for (size_t i = 0; i < n; i++)
			js_wr_str(&w, ip_text(&ips[i], text));
		js_wr_close(&w, JS_ARRAY);
	}
	buf_add_u8(out, '\n');
}

static void on_answer(void *owner, struct span answer)
{
	struct doh *d = owner;
	AUTO_DONE(buf) struct buf text = { 0 };

	d->ask = NULL;
	if (answer.n == 0) {
		http_answer_text(d->req, 500, "DNS forwarding error");
	} else if (d->pretty) {
		put_pretty(&text, answer);
		http_answer(d->req, 200, "application/json", buf_span(&text));
	} else {
		http_answer(d->req, 200, "application/dns-message", answer);
	}
	doh_free(d);
}

static void on_limit(struct ev_timer *t, mono now)
{
	struct doh *d = CONTAINER_OF(t, struct doh, limit);

	(void)now;
	http_answer_text(d->req, 500, "context deadline exceeded");
	doh_free(d);
}

static void on_gone(struct http_req *req, void *arg)
{
	(void)req;
	doh_free(arg);
}

/* ---- the question ---- */

static void refuse(struct http_req *req, const struct dns_query *q)
{
	uint8_t bytes[DNS_UDP_PLAIN];
	struct dns_answer a;

	dns_answer_start(&a, q, bytes, sizeof(bytes), DNS_REFUSED, true);
	http_answer(req, 200, "application/dns-message", span(bytes, dns_answer_end(&a)));
}

static void ask(struct peerapi *a, struct http_req *req, const struct ip *from, struct span msg,
                bool pretty)
{
	struct node *n = peerapi_node(a);
	struct names *names = n->engine ? n->engine->names : NULL;
	struct http_later later = { .gone = on_gone };
	struct dns_upstream up;
	struct dns_query q;
	struct doh *d;

	if (!names || dns_query_read(msg, &q) < 0) {
		http_answer_text(req, 500, "DNS forwarding error");
		return;
	}
	if (is_filtered(n, &q.name)) {
		refuse(req, &q);
		return;
	}
	if (asks_too_much(a, from)) {
		http_answer_text(req, 503, "too many questions at once");
		return;
	}
	d = mem_new(struct doh);
	d->api = a;
	d->req = req;
	d->from = *from;
	d->pretty = pretty;
	d->limit.fn = on_limit;
	later.arg = d;
	list_append(peerapi_asks(a), &d->link);
	http_answer_later(req, &later);
	ev_timer_after(n->ev, &d->limit, ANSWER_LIMIT_US);

	size_t n_up = names_host_resolver(names, &up);
	/* If there is no way to ask it has been answered, and is gone. */
	struct dnsd_ask *asked = dnsd_query_of(names_dnsd(names), msg, &up, n_up, on_answer, d);

	if (asked)
		d->ask = asked;
}

struct posted {
	struct peerapi *api;
	struct ip from;
};

static void on_body(struct http_req *req, void *arg, struct span body)
{
	struct posted *p = arg;

	ask(p->api, req, &p->from, body, false);
}

static void post_query(struct peerapi *a, struct http_req *req, const struct peerapi_peer *peer)
{
	struct posted *p = arena_new(&req->arena, struct posted);

	*p = (struct posted){ a, peer->ip };
	if (!http_media_is(http_find(req->head, "content-type"), "application/dns-message"))
		http_answer_text(req, 400, "unexpected Content-Type");
	else
		http_read_body(req, BODY_MAX, on_body, p);
}

static void get_pretty(struct peerapi *a, struct http_req *req, const struct peerapi_peer *peer,
                       const char *name)
{
	const char *t = api_query(req, "t");
	uint16_t type = t && strcasecmp(t, "aaaa") == 0  ? DNS_AAAA
	                : t && strcasecmp(t, "txt") == 0 ? DNS_TXT
	                                                 : DNS_A;
	uint8_t msg[DNS_QUERY_MAX];
	struct dns_name n;

	if (dns_name_of(span_str(name), &n) < 0)
		http_answer_text(req, 400, "not a name");
	else
		ask(a, req, &peer->ip, span(msg, dns_query_make(msg, 1, &n, type)), true);
}

static void get_query(struct peerapi *a, struct http_req *req, const struct peerapi_peer *peer)
{
	const char *given = api_query(req, "dns"), *name = api_query(req, "q");
	uint8_t msg[BODY_MAX];
	size_t n;

	if (!given || !*given) {
		if (name && *name)
			get_pretty(a, req, peer, name);
		else
			http_answer_text(
				req, 400,
				"missing 'dns' parameter; try '?dns=' (DoH standard) or use "
				"'?q=<name>' for JSON debug mode");
		return;
	}
	if (strlen(given) > BASE64_LEN(BODY_MAX - 4))
		http_answer_text(req, 400, "query too large");
	else if (base64_decode_any(msg, sizeof(msg), span_str(given), &n) < 0)
		http_answer_text(req, 400, "invalid 'dns' base64 encoding");
	else
		ask(a, req, &peer->ip, span(msg, n), false);
}

static void dns_query(struct peerapi *a, struct http_req *req, const struct peerapi_peer *peer)
{
	if (!may_ask(peerapi_node(a), peer))
		http_answer_text(req, 403, "DNS access denied");
	else if (span_is(req->head->method, "POST"))
		post_query(a, req, peer);
	else if (span_is(req->head->method, "GET"))
		get_query(a, req, peer);
	else
		http_answer_text(req, 400, "bad HTTP method");
}

const struct peerapi_row peerapi_dns_rows[] = {
	{ { "*", "/dns-query" }, dns_query },
};
const size_t peerapi_dns_n = ARRAY_LEN(peerapi_dns_rows);
