/*
 * `debug derp REGION`: every server of a region is tried as a node comes to it, by
 * name and address, TLS with the certificate that is expected, HTTP; and what
 * STUN said last.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "node/derplink.h"
#include "node/engine.h"
#include "node/localapi.h"
#include "platform/dial.h"

enum { TRY_US = 5000000, ANSWER_MIN = 12 /* "HTTP/1.1 200" */, TRIES_MAX = 2 * DERP_NODES_MAX };

struct report {
	struct node *n;
	struct http_req *req;              /* NULL: left */
	struct buf info, warnings, errors; /* JSON texts, each followed by a comma */
	struct try *tries[TRIES_MAX];
	size_t n_tries, n_left;
};

/* A server, by one of its addresses or by its name. */
struct
try {
	struct report *report;
	char *what;
	struct dial *dial;
	struct stream *stream;
	mono sent;
};

/* ---- the report ------------------------------------------------------------------- */

static void say(struct buf *list, const char *fmt, ...) PRINTF(2, 3);

static void say(struct buf *list, const char *fmt, ...)
{
	struct js_wr w = js_wr_of(list);
	char text[400];
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	js_wr_str(&w, text);
	buf_add_str(list, ",");
}

static void put_list(struct buf *out, const char *name, const struct buf *list)
{
	buf_fmt(out, "\"%s\":", name);
	if (list->n)
		buf_fmt(out, "[%.*s]", (int)(list->n - 1), (const char *)list->p);
	else
		buf_add_str(out, "null");
}

static void try_free(struct try *t)
{
	dial_cancel(t->dial);
	stream_free(t->stream);
	free(t->what);
	free(t);
}

static void report_free(struct report *p)
{
	for (size_t i = 0; i < p->n_tries; i++)
		if (p->tries[i])
			try_free(p->tries[i]);
	buf_done(&p->info);
	buf_done(&p->warnings);
	buf_done(&p->errors);
	free(p);
}

static void answer(struct report *p)
{
	AUTO_DONE(buf) struct buf body = { 0 };

	buf_add_str(&body, "{");
	put_list(&body, "Info", &p->info);
	buf_add_str(&body, ",");
	put_list(&body, "Warnings", &p->warnings);
	buf_add_str(&body, ",");
	put_list(&body, "Errors", &p->errors);
	buf_add_str(&body, "}");
	api_json(p->req, &body);
}

static void asker_left(struct http_req *req, void *arg)
{
	(void)req;
	report_free(arg);
}

/* ---- one server ------------------------------------------------------------------- */

static void over(struct try *t)
{
	struct report *p = t->report;

	for (size_t i = 0; i < p->n_tries; i++)
		if (p->tries[i] == t)
			p->tries[i] = NULL;
	try_free(t);
	if (--p->n_left > 0)
		return;
	answer(p);
	report_free(p);
}

static size_t on_read(struct stream *s, void *owner, struct span bytes)
{
	struct try *t = owner;
	int64_t us = mono_since(t->sent, ev_tick(t->report->n->ev));

	(void)s;
	if (bytes.n < ANSWER_MIN)
		return 0;
	if (span_starts(bytes, "HTTP/1.") && bytes.p[9] == '2')
		say(&t->report->info, "%s answers in %.1f ms", t->what, (double)us / US_PER_MS);
	else
		say(&t->report->errors, "%s does not answer as a relay", t->what);
	over(t);
	return bytes.n;
}

static void on_closed(struct stream *s, void *owner, int why)
{
	struct try *t = owner;

	(void)s;
	say(&t->report->errors, "%s hung up: %s", t->what, err_text(why));
	over(t);
}

static void on_dialed(void *owner, int r, struct stream *s)
{
	static const struct stream_ops ops = { .read = on_read, .closed = on_closed };
	static const char request[] = "GET /derp/latency-check HTTP/1.1\r\nHost: relay\r\n"
				      "Connection: close\r\n\r\n";
	struct try *t = owner;
	struct ev *ev = t->report->n->ev;

	if (r < 0) {
		const char *more = dial_error(t->dial);

		say(&t->report->errors, "%s is not reached: %s%s%s", t->what, err_text(r),
		    *more ? ": " : "", more);
		t->dial = NULL;
		over(t);
		return;
	}
	t->dial = NULL;
	t->stream = s;
	stream_hand_over(s, &ops, t);
	stream_deadline(s, mono_after(ev_now(ev), TRY_US));
	t->sent = ev_tick(ev);
	if (stream_write(s, SPAN_LIT(request)) < 0)
		on_closed(s, t, ERR_CLOSED);
}

/* ip NULL: by its name, through the resolver or the proxy. */
static void try_server(struct report *p, const struct derp_node *node, const struct ip *ip)
{
	struct node *n = p->n;
	struct try *t = mem_new(struct try);
	char text[IP_TEXT_MAX] = "its name";
	struct tls_peer peer;
	struct url proxy;
	bool use = false;
	struct dial_cfg cfg = { .ev = n->ev,
		                .resolver = n->resolver,
		                .host = node->host,
		                .port = node->derp_port,
		                .addrs = ip,
		                .n_addrs = ip ? 1 : 0,
		                .tls = n->tls,
		                .peer = &peer,
		                .timeout_us = TRY_US,
		                .prepare = n->http.prepare,
		                .prepare_arg = n->http.prepare_arg };

	derplink_whom(node, &peer);
	if (proxy_for(&n->proxy, true, span_str(node->host), node->derp_port, &proxy, &use) == 0 &&
	    use)
		cfg.proxy = &proxy;
	t->report = p;
	t->what = str_fmt("server \"%s\" at %s, port %u%s", node->host,
	                  ip ? ip_text(ip, text) : text, node->derp_port,
	                  use ? ", by the proxy," : "");
	p->tries[p->n_tries++] = t;
	p->n_left++;
	t->dial = dial_start(&cfg, on_dialed, t);
}

static void try_node(struct report *p, const struct derp_node *node)
{
	bool four = !node->no4 && !ip_is_zero(&node->ip4),
	     six = !node->no6 && !ip_is_zero(&node->ip6);

	if (node->stun_only) {
		say(&p->info, "server \"%s\" is for STUN only", node->host);
		return;
	}
	if (four)
		try_server(p, node, &node->ip4);
	if (six)
		try_server(p, node, &node->ip6);
	if (!four && !six)
		try_server(p, node, NULL);
}

/* ---- the region -------------------------------------------------------------------- */

static void say_stun(struct report *p, const struct derp_region *region)
{
	struct mesh_netinfo info = { 0 };
	const struct netcheck_region *r = NULL;

	mesh_netinfo(p->n->engine->mesh, &info);
	for (size_t i = 0; info.report && i < info.report->n_regions; i++)
		if (info.report->regions[i].id == region->id)
			r = &info.report->regions[i];
	if (!r || (!r->v4_us && !r->v6_us))
		say(&p->warnings, "region %d did not answer STUN when it was asked last",
		    region->id);
	if (r && r->v4_us)
		say(&p->info, "STUN over IPv4 took %.1f ms", (double)r->v4_us / US_PER_MS);
	if (r && r->v6_us)
		say(&p->info, "STUN over IPv6 took %.1f ms", (double)r->v6_us / US_PER_MS);
}

static const struct derp_region *find(const struct derp_map *m, const char *word)
{
	uint64_t id;

	if (span_u64(span_str(word), INT32_MAX, &id) == 0)
		return derp_map_find(m, (int)id);
	for (size_t i = 0; i < m->n_regions; i++)
		if (m->regions[i].code && strcmp(m->regions[i].code, word) == 0)
			return &m->regions[i];
	return NULL;
}

static void debug_region(struct node *n, struct http_req *req, const struct route_match *m)
{
	const char *word = api_query(req, "region");
	const struct derp_map *map = n->engine ? mesh_relays(n->engine->mesh) : NULL;
	const struct derp_region *region = map && word ? find(map, word) : NULL;
	struct report *p = mem_new(struct report);
	struct http_later later = { .gone = asker_left, .arg = p };

	(void)m;
	*p = (struct report){ .n = n, .req = req };
	if (!region) {
		if (map)
			say(&p->errors, "no such region \"%s\" in the relay map", word ? word : "");
		else
			say(&p->errors, "there is no relay map: not running");
		answer(p);
		report_free(p);
		return;
	}
	say(&p->info, "Region %d == \"%s\"", region->id, region->code ? region->code : "");
	say_stun(p, region);
	http_answer_later(req, &later);
	for (size_t i = 0; i < region->n_nodes; i++)
		try_node(p, &region->nodes[i]);
	if (p->n_left == 0) {
		answer(p);
		report_free(p);
	}
}

#define V0 "/localapi/v0/"
const struct api_row api_relay_rows[] = {
	{ { "POST", V0 "debug-derp-region" }, API_WRITE, debug_region },
};
const size_t api_relay_n = ARRAY_LEN(api_relay_rows);
