/* Names: what the host's resolver was before us, questions to ours, and what is in force and why.
 */
#include <stdlib.h>

#include "base/err.h"
#include "dns/show.h"
#include "node/dnsd.h"
#include "node/engine.h"
#include "node/localapi.h"

static struct names *names_of(const struct node *n)
{
	return n->engine ? n->engine->names : NULL;
}

/* ---- what the host has ---- */

static void put_ips(struct js_wr *w, const char *name, const struct ip *v, size_t n)
{
	char text[IP_TEXT_MAX];

	js_wr_key(w, name);
	js_wr_open(w, JS_ARRAY);
	for (size_t i = 0; i < n; i++)
		js_wr_str(w, ip_text(&v[i], text));
	js_wr_close(w, JS_ARRAY);
}

static void put_texts(struct js_wr *w, const char *name, char *const *v, size_t n)
{
	js_wr_key(w, name);
	js_wr_open(w, JS_ARRAY);
	for (size_t i = 0; i < n; i++)
		js_wr_str(w, v[i]);
	js_wr_close(w, JS_ARRAY);
}

static void put_base(struct js_wr *w, const struct dns_resolv *base)
{
	js_wr_open(w, JS_OBJECT);
	put_ips(w, "Nameservers", base->servers.v, base->servers.n);
	put_texts(w, "SearchDomains", base->search.v, base->search.n);
	put_texts(w, "MatchDomains", NULL, 0);
	js_wr_close(w, JS_OBJECT);
}

static void os_config(struct node *n, struct http_req *req, const struct route_match *m)
{
	const struct dns_resolv *base = names_of(n) ? names_base(names_of(n)) : NULL;
	AUTO_DONE(buf) struct buf body = { 0 };
	struct js_wr w = js_wr_of(&body);

	(void)m;
	if (!base) { /* the words are looked for by the stock command */
		http_answer_text(req, 500, "getting OS base config is not supported");
		return;
	}
	put_base(&w, base);
	api_json(req, &body);
}

/* ---- questions ---- */

struct question {
	struct http_req *req;
	struct node *n;
	struct dnsd_ask *ask;
	struct dns_name name;
	bool in_words;
	const char *asked, *type; /* as they were given */
};

static const struct dns_route *route_of(const struct question *q)
{
	struct names *names = names_of(q->n);
	const struct dns_config *c = names ? dnsd_config(names_dnsd(names)) : NULL;

	/* A host is known here, whatever the route of its name. */
	return c && !dns_config_find(c, &q->name) ? dns_config_route_of(c, &q->name) : NULL;
}

static void put_words(struct js_wr *w, const struct question *q, struct span msg)
{
	struct names *names = names_of(q->n);
	const struct dns_config *c = names ? dnsd_config(names_dnsd(names)) : NULL;
	char why[DNS_WHY_MAX];

	js_wr_kv_str(w, "Name", q->asked);
	js_wr_kv_str(w, "QueryType", q->type);
	if (c)
		js_wr_kv_str(w, "Why", dns_show_why(c, &q->name, why));
	dns_show_answer(w, msg);
}

static void answer(const struct question *q, struct span msg)
{
	const struct dns_route *route = route_of(q);
	AUTO_DONE(buf) struct buf body = { 0 };
	struct js_wr w = js_wr_of(&body);

	if (msg.n == 0) {
		http_answer_text(q->req, 500, "the question cannot be asked now");
		return;
	}
	js_wr_open(&w, JS_OBJECT);
	if (q->in_words) {
		put_words(&w, q, msg);
	} else {
		js_wr_key(&w, "Bytes");
		js_wr_base64(&w, msg);
	}
	js_wr_key(&w, "Resolvers");
	dns_show_upstreams(&w, route ? route->upstreams : NULL, route ? route->n_upstreams : 0);
	js_wr_close(&w, JS_OBJECT);
	api_json(q->req, &body);
}

static void on_answer(void *owner, struct span msg)
{
	struct question *q = owner;

	answer(q, msg);
	free(q);
}

static void on_gone(struct http_req *req, void *arg)
{
	struct question *q = arg;

	(void)req;
	dnsd_cancel(q->ask);
	free(q);
}

static void ask(struct node *n, struct http_req *req, bool in_words)
{
	const char *name = api_query(req, "name"), *type = api_query(req, "type");
	uint8_t msg[DNS_QUERY_MAX];
	uint16_t number = DNS_A;
	struct dns_name asked;
	struct http_later later = { .gone = on_gone };
	struct question *q;

	if (type && *type && dns_type_parse(span_str(type), &number) < 0) {
		http_answer_text(req, 400, "unknown DNS message type: %s", type);
		return;
	}
	if (!name || dns_name_of(span_str(name), &asked) < 0 || !names_of(n)) {
		http_answer_text(req, 500, "%s", names_of(n) ? "not a name" : "not running");
		return;
	}
	q = mem_new(struct question);
	*q = (struct question){ .req = req,
		                .n = n,
		                .name = asked,
		                .in_words = in_words,
		                .asked = name,
		                .type = type && *type ? type : "A" };
	later.arg = q;
	http_answer_later(req, &later);

	/* If it is answered at once q is gone when this returns, with NULL. */
	struct dnsd_ask *under_way = dnsd_query(names_dnsd(names_of(n)),
	                                        span(msg, dns_query_make(msg, 1, &asked, number)),
	                                        on_answer, q);

	if (under_way)
		q->ask = under_way;
}

static void query(struct node *n, struct http_req *req, const struct route_match *m)
{
	(void)m;
	ask(n, req, false);
}

static void query_in_words(struct node *n, struct http_req *req, const struct route_match *m)
{
	(void)m;
	ask(n, req, true);
}

/* ---- what is in force ---- */

static void put_routes(struct js_wr *w, const struct dns_config *c)
{
	char text[DNS_NAME_TEXT_MAX];

	js_wr_key(w, "Routes");
	js_wr_open(w, JS_ARRAY);
	vec_each(const struct dns_route *, r, &c->routes) {
		js_wr_open(w, JS_OBJECT);
		js_wr_kv_str(w, "Suffix", dns_name_text(&r->suffix, text));
		js_wr_key(w, "Resolvers");
		dns_show_upstreams(w, r->upstreams, r->n_upstreams);
		js_wr_close(w, JS_OBJECT);
	}
	js_wr_close(w, JS_ARRAY);
}

static void put_told(struct js_wr *w, const struct names *names)
{
	const struct dns_os *told = names_told(names);

	js_wr_key(w, "Told");
	if (!told) {
		js_wr_null(w);
		return;
	}
	js_wr_open(w, JS_OBJECT);
	put_ips(w, "Nameservers", told->servers.v, told->servers.n);
	put_texts(w, "SearchDomains", told->search.v, told->search.n);
	put_texts(w, "MatchDomains", told->match.v, told->match.n);
	js_wr_close(w, JS_OBJECT);
}

static void put_counts(struct js_wr *w, struct names *names)
{
	struct dns_forward_stats st;

	dnsd_stats(names_dnsd(names), &st);
	js_wr_kv_int(w, "Asked", (int64_t)st.queries);
	js_wr_kv_int(w, "FromCache", (int64_t)st.hits);
	js_wr_kv_int(w, "Unanswered", (int64_t)st.unanswered);
	js_wr_kv_int(w, "Cached", (int64_t)st.cached);
}

/* Our own: what our resolver and the host's do now, and who decided it. */
static void in_force(struct node *n, struct http_req *req, const struct route_match *m)
{
	struct names *names = names_of(n);
	const struct dns_config *c = names ? dnsd_config(names_dnsd(names)) : NULL;
	AUTO_DONE(buf) struct buf body = { 0 };
	struct js_wr w = js_wr_of(&body);

	(void)m;
	js_wr_open(&w, JS_OBJECT);
	js_wr_kv_bool(&w, "Running", names != NULL);
	if (names) {
		js_wr_kv_str(&w, "Manager", names_manager(names));
		js_wr_kv_str(&w, "Why", names_why(names));
		put_told(&w, names);
		if (c)
			put_routes(&w, c);
		put_counts(&w, names);
	}
	js_wr_close(&w, JS_OBJECT);
	api_json(req, &body);
}

#define V0 "/localapi/v0/"
/* clang-format off */
const struct api_row api_dns_rows[] = {
	{ { "GET", V0 "dns-osconfig" },        API_WRITE, os_config      },
	{ { "GET", V0 "dns-query" },           API_WRITE, query          },
	{ { "GET", V0 "dns-query-in-words" },  API_WRITE, query_in_words },
	{ { "GET", V0 "dns-in-force" },        API_WRITE, in_force       },
};
/* clang-format on */
const size_t api_dns_n = ARRAY_LEN(api_dns_rows);
