#include "relay/pages.h"

#include <stdio.h>

#include "http/h1.h"

enum { CHALLENGE_MAX = 64 };

struct row {
	const char *path; /* ends in '/' and more: all below it */
	bool get_only;
	bool private;
	void (*fn)(const struct http_head *head, struct span query, const struct page_env *env,
	           struct page *ret);
};

void page_done(struct page *p)
{
	buf_done(&p->body);
}

static void field(struct page *p, const char *name, const char *value)
{
	p->field[p->n_fields].name = name;
	(void)snprintf(p->field[p->n_fields].value, sizeof(p->field[0].value), "%s", value);
	p->n_fields++;
}

static void text(struct page *p, unsigned status, const char *body)
{
	p->status = status;
	p->type = "text/plain; charset=utf-8";
	buf_add_str(&p->body, body);
}

/* --- what clients ask for --- */

static void probe(const struct http_head *head, struct span query, const struct page_env *env,
                  struct page *ret)
{
	(void)head;
	(void)query;
	(void)env;
	ret->status = 200;
	field(ret, "Access-Control-Allow-Origin", "*");
}

static bool is_challenge(struct span c)
{
	for (size_t i = 0; i < c.n; i++) {
		uint8_t b = c.p[i];

		if (!((b >= 'a' && b <= 'z') || (b >= 'A' && b <= 'Z') || (b >= '0' && b <= '9') ||
		      b == '.' || b == '-' || b == '_' || b == ':'))
			return false;
	}
	return c.n > 0 && c.n <= CHALLENGE_MAX;
}

/* Behind a captive portal somebody else answers: only we can echo the challenge. */
static void no_content(const struct http_head *head, struct span query, const struct page_env *env,
                       struct page *ret)
{
	struct span challenge = http_find(head, "X-Tailscale-Challenge");
	char answer[160];

	(void)query;
	(void)env;
	ret->status = 204;
	field(ret, "Cache-Control", "no-cache, no-store, must-revalidate, no-transform, max-age=0");
	if (!is_challenge(challenge))
		return;
	(void)snprintf(answer, sizeof(answer), "response %.*s", SPAN_FMT(challenge));
	field(ret, "X-Tailscale-Response", answer);
}

static struct span query_value(struct span query, const char *name)
{
	struct span part, none = { NULL, 0 };
	size_t n = strlen(name);

	while (span_cut(&query, '&', &part)) {
		if (span_starts(part, name) && part.n > n && part.p[n] == '=')
			return span_from(part, n + 1);
	}
	return none;
}

static void bootstrap_dns(const struct http_head *head, struct span query,
                          const struct page_env *env, struct page *ret)
{
	struct span q = query_value(query, "q");
	const struct buf *answer = q.n && env->look_up ? env->look_up(env->owner, q) : NULL;

	(void)head;
	if (!answer)
		answer = env->names;
	ret->status = 200;
	ret->type = "application/json";
	ret->close = true; /* asked once in a while, by those who cannot resolve */
	if (answer)
		buf_add_span(&ret->body, buf_span(answer));
	else
		buf_add_str(&ret->body, "{}\n");
}

/* --- what people and their programs ask for --- */

static void robots(const struct http_head *head, struct span query, const struct page_env *env,
                   struct page *ret)
{
	(void)head;
	(void)query;
	(void)env;
	text(ret, 200, "User-agent: *\nDisallow: /\n");
}

static void secure(struct page *ret, const struct page_env *env)
{
	if (env->tls)
		field(ret, "Strict-Transport-Security", "max-age=63072000; includeSubDomains");
	field(ret, "Content-Security-Policy",
	      "default-src 'none'; frame-ancestors 'none'; form-action 'none'; base-uri 'self'");
	field(ret, "X-Frame-Options", "DENY");
	field(ret, "X-Content-Type-Options", "nosniff");
}

static void front(const struct http_head *head, struct span query, const struct page_env *env,
                  struct page *ret)
{
	(void)head;
	(void)query;
	secure(ret, env);
	if (env->front && env->front[0]) {
		ret->status = 302;
		field(ret, "Location", env->front);
		return;
	}
	ret->status = 200;
	ret->type = "text/html; charset=utf-8";
	if (env->front)
		return;
	buf_add_str(&ret->body,
	            "<!doctype html>\n<html lang=\"en\"><title>fairlead relay</title>\n"
	            "<h1>fairlead relay</h1>\n"
	            "<p>A relay for encrypted packets of a WireGuard mesh. It passes on what it\n"
	            "cannot read, for nodes that find no direct way to each other.</p>\n</html>\n");
}

static void healthz(const struct http_head *head, struct span query, const struct page_env *env,
                    struct page *ret)
{
	const char *trouble = env->trouble ? env->trouble(env->owner) : NULL;

	(void)head;
	(void)query;
	text(ret, trouble ? 503 : 200, trouble ? trouble : "ok");
	buf_add_str(&ret->body, "\n");
}

/* From this machine, and not by a proxy on it for somebody else. */
static bool is_trusted(const struct http_head *head, const struct page_env *env)
{
	static const char *const of_proxies[] = { "Forwarded", "X-Forwarded-For", "X-Real-IP",
		                                  "Via" };

	for (size_t i = 0; i < ARRAY_LEN(of_proxies); i++) {
		if (http_find(head, of_proxies[i]).p)
			return false;
	}
	return env->trusted;
}

static void metrics(const struct http_head *head, struct span query, const struct page_env *env,
                    struct page *ret)
{
	(void)query;
	if (!is_trusted(head, env) && !env->metrics) {
		text(ret, 404, "not found\n");
		return;
	}
	ret->status = 200;
	ret->type = "text/plain; version=0.0.4; charset=utf-8";
	relay_metrics(env->relay, &ret->body);
	if (env->more_metrics)
		env->more_metrics(env->owner, &ret->body);
}

static struct span path_of(const struct http_head *head, struct span *ret_query);

static void debug(const struct http_head *head, struct span query, const struct page_env *env,
                  struct page *ret)
{
	(void)query;
	page_debug(span_from(path_of(head, &query), strlen("/debug/")), env, ret);
}

/* clang-format off */
static const struct row rows[] = {
	{ "/derp/probe",         true,  false, probe         },
	{ "/derp/latency-check", true,  false, probe         },
	{ "/generate_204",       false, false, no_content    },
	{ "/bootstrap-dns",      true,  false, bootstrap_dns },
	{ "/robots.txt",         true,  false, robots        },
	{ "/healthz",            true,  false, healthz       },
	{ "/metrics",            true,  false, metrics       },
	{ "/debug/",             true,  true,  debug         },
	{ "/",                   true,  false, front         },
};
/* clang-format on */

static struct span path_of(const struct http_head *head, struct span *ret_query)
{
	size_t at = span_find(head->target, '?');

	*ret_query = span_from(head->target, at + 1);
	return span_first(head->target, at);
}

static bool fits(const struct row *row, struct span path)
{
	struct span want = span_str(row->path);

	if (want.n > 1 && span_ends(want, "/"))
		return span_starts(path, row->path);
	return span_eq(path, want);
}

bool page_is_derp(const struct http_head *head)
{
	struct span query;

	return span_is(path_of(head, &query), "/derp");
}

void page_no_upgrade(struct page *ret)
{
	*ret = (struct page){ 0 };
	text(ret, 426, "DERP requires connection upgrade\n");
	field(ret, "Connection", "Upgrade");
	field(ret, "Upgrade", "DERP");
}

static void not_found(struct page *ret)
{
	text(ret, 404, "not found\n");
}

bool page_find(const struct http_head *head, const struct page_env *env, struct page *ret)
{
	struct span query, path = path_of(head, &query);
	bool get = span_is(head->method, "GET") || span_is(head->method, "HEAD");

	*ret = (struct page){ 0 };
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (!fits(&rows[i], path))
			continue;
		if (rows[i].private && !is_trusted(head, env))
			break;
		if (rows[i].get_only && !get) {
			text(ret, 405, "method not allowed\n");
			field(ret, "Allow", "GET, HEAD");
		} else {
			rows[i].fn(head, query, env, ret);
		}
		return true;
	}
	not_found(ret);
	return false;
}

void page_write(struct buf *out, const struct http_head *head, const struct page *p, bool keep)
{
	h1_write_status(out, p->status);
	for (size_t i = 0; i < p->n_fields; i++)
		h1_put(out, p->field[i].name, p->field[i].value);
	if (p->type)
		h1_put(out, "Content-Type", p->type);
	if (http_status_has_body(p->status))
		h1_put_u64(out, "Content-Length", p->body.n);
	if (!keep && p->status != 426)
		h1_put(out, "Connection", "close");
	h1_end_head(out);
	if (!span_is(head->method, "HEAD") && http_status_has_body(p->status))
		buf_add_span(out, buf_span(&p->body));
}

/* --- metrics --- */

static void metric(struct buf *out, const char *name, const char *type, const char *help,
                   uint64_t v)
{
	buf_fmt(out,
	        "# HELP fairlead_relay_%s %s\n# TYPE fairlead_relay_%s %s\nfairlead_relay_%s "
	        "%llu\n",
	        name, help, name, type, name, (unsigned long long)v);
}

static void gauges(struct relay *r, struct buf *out)
{
	const struct hub *h = relay_hub(r);

	metric(out, "clients", "gauge", "connections that have logged in", h->n_clients);
	metric(out, "clients_pending", "gauge", "connections that have not", relay_pending(r));
	metric(out, "clients_home", "gauge", "clients whose home this relay is", h->n_home);
	metric(out, "keys", "gauge", "node keys connected here", h->n_peers_local);
	metric(out, "keys_remote", "gauge", "node keys at neighbours", h->n_peers_remote);
	metric(out, "keys_duplicate", "gauge", "node keys connected more than once", h->n_dup_keys);
	metric(out, "packet_memory_bytes", "gauge", "packet memory in use", h->pool.used);
	metric(out, "packet_memory_max_bytes", "gauge", "what it may grow to", h->pool.max);
}

static void drops(const struct hub *h, struct buf *out)
{
	static const char *const labels[] = {
#define X(name, label, text) label,
		HUB_DROP_LIST(X)
#undef X
	};
	static const char *const kinds[HUB_KINDS] = { "data", "disco" };

	buf_add_str(out, "# HELP fairlead_relay_dropped_total packets dropped, by reason\n"
	                 "# TYPE fairlead_relay_dropped_total counter\n");
	for (unsigned i = 0; i < HUB_DROPS; i++) {
		for (enum hub_kind k = 0; k < HUB_KINDS; k++)
			buf_fmt(out,
			        "fairlead_relay_dropped_total{reason=\"%s\",kind=\"%s\"} %llu\n",
			        labels[i], kinds[k], (unsigned long long)h->count.drops[i][k]);
	}
}

static void closes(const struct relay_counts *c, struct buf *out)
{
	static const char *const labels[] = {
#define X(name, label, text) label,
		RELAY_CLOSE_LIST(X)
#undef X
	};

	buf_add_str(out, "# HELP fairlead_relay_closed_total connections ended, by reason\n"
	                 "# TYPE fairlead_relay_closed_total counter\n");
	for (unsigned i = 0; i < RELAY_CLOSES; i++)
		buf_fmt(out, "fairlead_relay_closed_total{reason=\"%s\"} %llu\n", labels[i],
		        (unsigned long long)c->closed[i]);
}

void relay_metrics(struct relay *r, struct buf *out)
{
	const struct relay_counts *c = relay_counts(r);
	const struct hub *h = relay_hub(r);

	gauges(r, out);
#define X(name, text) metric(out, #name "_total", "counter", text, h->count.name);
	HUB_COUNT_LIST(X)
#undef X
	drops(h, out);
	metric(out, "accepted_total", "counter", "connections that asked for DERP", c->accepted);
	metric(out, "fast_starts_total", "counter", "of these without waiting for HTTP",
	       c->fast_starts);
	metric(out, "websockets_total", "counter", "of these inside a WebSocket", c->websockets);
	metric(out, "logins_total", "counter", "logins let in", c->logins);
	metric(out, "throttled_total", "counter", "times a client waited for its rate",
	       c->throttled);
	metric(out, "held_back_total", "counter", "times a client waited as it flooded a queue",
	       c->held_back);
	closes(c, out);
}
