#include "platform/http_client.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/mem.h"
#include "http/h1.h"

struct fetch {
	const struct http_client *client;
	struct arena arena; /* the request and the answer's head */
	struct fetch_cfg cfg;
	struct tls_peer peer;
	struct url url;
	unsigned redirects;
	struct dial *dial;
	struct stream *s;
	struct ev_timer deadline;
	struct ev_defer report;
	struct h1_reader reader;
	struct http_head *head;
	struct buf body;
	void (*done)(void *owner, int r, const struct fetched *found);
	void *owner;
	char error[200];
	int r;
	bool over, got_all;
	unsigned depth;
	bool dead;
};

/* ---- the end ---- */

static void disconnect(struct fetch *f)
{
	dial_cancel(TAKE(f->dial));
	stream_free(TAKE(f->s));
}

static void destroy(struct fetch *f)
{
	buf_done(&f->body);
	arena_done(&f->arena);
	free(f);
}

void fetch_cancel(struct fetch *f)
{
	if (!f || f->dead)
		return;
	f->dead = f->over = true;
	ev_timer_stop(f->client->ev, &f->deadline);
	ev_defer_stop(&f->report);
	disconnect(f);
	if (f->depth == 0)
		destroy(f);
}

const char *fetch_error(const struct fetch *f)
{
	return f->error;
}

static void finish(struct fetch *f, int r)
{
	if (f->over)
		return;
	f->over = true;
	f->r = r;
	ev_timer_stop(f->client->ev, &f->deadline);
	ev_defer(f->client->ev, &f->report);
}

static void on_report(struct ev_defer *d)
{
	struct fetch *f = CONTAINER_OF(d, struct fetch, report);
	struct fetched found = { .body = buf_span(&f->body), .head = f->head };

	disconnect(f);
	if (f->r == 0)
		found.status = f->head->status;
	f->depth++;
	f->done(f->owner, f->r, f->r == 0 ? &found : NULL);
	f->depth--;
	f->dead = false;
	fetch_cancel(f);
}

static void on_deadline(struct ev_timer *t, mono now)
{
	(void)now;
	finish(CONTAINER_OF(t, struct fetch, deadline), ERR_TIMEOUT);
}

/* ---- the answer ---- */

static void begin(struct fetch *f);

static bool is_redirect(const struct fetch *f)
{
	unsigned s = f->head->status;

	return s == 301 || s == 302 || s == 303 || s == 307 || s == 308;
}

/* "/path", "//host/path" and whole URLs; the rarer relative forms are not followed. */
static const char *absolute(struct fetch *f, struct span to)
{
	AUTO_DONE(buf) struct buf b = { .max = URL_MAX };

	if (span_starts(to, "http://") || span_starts(to, "https://"))
		return arena_str(&f->arena, to);
	buf_add_str(&b, f->url.https ? "https:" : "http:");
	if (!span_starts(to, "//")) {
		buf_add_str(&b, "//");
		url_put_authority(&b, &f->url);
	}
	if (to.n == 0 || to.p[0] != '/')
		return NULL;
	buf_add_span(&b, to);
	return b.full ? NULL : arena_str(&f->arena, buf_span(&b));
}

static void follow(struct fetch *f)
{
	const char *to = absolute(f, http_find(f->head, "location"));
	struct url url;

	if (!to || url_parse(span_str(to), &url) < 0 || (f->url.https && !url.https)) {
		finish(f, ERR_DENIED);
		return;
	}
	f->redirects++;
	f->cfg.url = to;
	f->url = url;
	f->head = NULL;
	buf_clear(&f->body);
	disconnect(f);
	begin(f);
}

static void got_all(struct fetch *f)
{
	if (f->got_all || f->over)
		return;
	f->got_all = true;
	if (is_redirect(f) && f->redirects < f->cfg.redirects) {
		ev_defer(f->client->ev, &f->report);
		return;
	}
	finish(f, 0);
}

/* The stream that told of the redirect is not to be freed from within its callback. */
static void on_soon(struct ev_defer *d)
{
	struct fetch *f = CONTAINER_OF(d, struct fetch, report);

	if (!f->over && f->got_all)
		follow(f);
	else
		on_report(d);
}

static void got_head(struct fetch *f, const struct http_head *head)
{
	f->head = http_head_dup(&f->arena, head);
	if (f->cfg.head && !(is_redirect(f) && f->redirects < f->cfg.redirects))
		f->cfg.head(f->owner, f->head);
}

static void got_bytes(struct fetch *f, struct span bytes)
{
	if (f->cfg.bytes) {
		f->cfg.bytes(f->owner, bytes);
		return;
	}
	buf_add_span(&f->body, bytes);
	if (f->body.full)
		finish(f, ERR_LIMIT);
}

static bool take_step(struct fetch *f, struct span bytes, size_t *used)
{
	struct http_head head;
	struct h1_step step;
	int r = h1_read(&f->reader, span_from(bytes, *used), &head, &step);

	if (r < 0) {
		finish(f, ERR_MALFORMED);
		return false;
	}
	*used += step.used;
	if (step.event == H1_HEAD)
		got_head(f, &head);
	else if (step.event == H1_BODY)
		got_bytes(f, step.body);
	else if (step.event == H1_END || step.event == H1_RAW)
		got_all(f);
	return step.event == H1_HEAD || step.event == H1_BODY;
}

static size_t on_read(struct stream *s, void *owner, struct span bytes)
{
	struct fetch *f = owner;
	size_t used = 0;

	(void)s;
	f->depth++;
	while (!f->over && !f->got_all && take_step(f, bytes, &used))
		;
	if (f->over || f->got_all)
		used = bytes.n;
	if (--f->depth == 0 && f->dead)
		destroy(f);
	return used;
}

static void on_closed(struct stream *s, void *owner, int why)
{
	struct fetch *f = owner;
	bool complete = false;

	stream_free(s);
	f->s = NULL;
	if (why == ERR_CLOSED && h1_end_of_input(&f->reader, &complete) == 0 && complete && f->head)
		got_all(f);
	else if (!f->got_all)
		finish(f, why);
}

static const struct stream_ops ops = { .read = on_read, .closed = on_closed };

/* ---- the request ---- */

static void put_fields(struct fetch *f, struct buf *b)
{
	bool has_agent = false;

	for (size_t i = 0; i < f->cfg.n_fields; i++) {
		has_agent |= span_is_nocase(f->cfg.fields[i].name, "user-agent");
		(void)!h1_put_span(b, f->cfg.fields[i].name, f->cfg.fields[i].value);
	}
	if (!has_agent)
		h1_put(b, "User-Agent",
		       f->client->user_agent ? f->client->user_agent
		                             : "fairlead/" FAIRLEAD_VERSION);
}

static void write_request(struct fetch *f, struct buf *b)
{
	AUTO_DONE(buf) struct buf authority = { 0 };

	url_put_authority(&authority, &f->url);
	h1_write_request(b, span_str(f->cfg.method), f->url.target);
	h1_put(b, "Host", buf_text(&authority));
	put_fields(f, b);
	h1_put(b, "Connection", "close");
	if (f->cfg.type)
		h1_put(b, "Content-Type", f->cfg.type);
	if (f->cfg.body.n > 0 || strcmp(f->cfg.method, "POST") == 0 ||
	    strcmp(f->cfg.method, "PUT") == 0)
		h1_put_u64(b, "Content-Length", f->cfg.body.n);
	h1_end_head(b);
	buf_add_span(b, f->cfg.body);
}

static void connected(struct fetch *f)
{
	AUTO_DONE(buf) struct buf b = { .secret = true };

	h1_reader_init(&f->reader, H1_RESPONSE);
	f->reader.answers_head = strcmp(f->cfg.method, "HEAD") == 0;
	f->got_all = false;
	write_request(f, &b);

	int r = stream_write(f->s, buf_span(&b));

	if (r < 0)
		finish(f, r);
}

static void on_dialled(void *owner, int r, struct stream *s)
{
	struct fetch *f = owner;

	if (r < 0)
		(void)snprintf(f->error, sizeof(f->error), "%s", dial_error(f->dial));
	f->dial = NULL;
	if (r < 0) {
		finish(f, r);
		return;
	}
	f->s = s;
	stream_hand_over(s, &ops, f);
	connected(f);
}

static struct stream_cfg stream_limits(const struct fetch *f)
{
	return (struct stream_cfg){ .out_max = f->cfg.body.n + (64 << 10),
		                    .in_max = HTTP_HEAD_MAX + 1 };
}

static void begin_unix(struct fetch *f)
{
	struct stream_cfg limits = stream_limits(f);
	int fd = -1;
	int r = dial_unix(f->cfg.unix_path, &fd);

	if (r == 0)
		r = stream_new(f->client->ev, fd, &limits, &ops, f, &f->s);
	if (r < 0)
		finish(f, r);
	else
		connected(f);
}

static void begin(struct fetch *f)
{
	struct stream_cfg limits = stream_limits(f);
	const struct http_client *c = f->client;
	struct url proxy;
	bool use = false;
	int r = 0;

	if (f->cfg.unix_path) {
		begin_unix(f);
		return;
	}
	if (f->url.https && !c->tls)
		r = ERR_TLS;
	if (r == 0 && c->proxy)
		r = proxy_for(c->proxy, f->url.https, f->url.host, f->url.port, &proxy, &use);
	if (r < 0) {
		finish(f, r);
		return;
	}

	struct dial_cfg d = {
		.ev = c->ev,
		.resolver = c->resolver,
		.host = arena_str(&f->arena, f->url.host),
		.port = f->url.port,
		.proxy = use ? &proxy : NULL,
		.tls = f->url.https ? c->tls : NULL,
		.peer = f->cfg.peer,
		.timeout_us = f->cfg.timeout_us > 0 ? f->cfg.timeout_us : 0,
		.stream = &limits,
		.prepare = c->prepare,
		.prepare_arg = c->prepare_arg,
	};

	f->dial = dial_start(&d, on_dialled, f);
}

static const char *copy_text(struct arena *a, const char *s)
{
	return s ? arena_str(a, span_str(s)) : NULL;
}

static struct span copy_span(struct arena *a, struct span s)
{
	return s.n ? span(arena_dup(a, s.p, s.n), s.n) : (struct span){ 0 };
}

static void copy_cfg(struct fetch *f, const struct fetch_cfg *cfg)
{
	struct arena *a = &f->arena;
	struct http_field *fields = arena_new_n(a, struct http_field, cfg->n_fields + 1);

	f->cfg = *cfg;
	f->cfg.method = copy_text(a, cfg->method ? cfg->method : cfg->body.n ? "POST" : "GET");
	f->cfg.url = copy_text(a, cfg->url);
	f->cfg.unix_path = copy_text(a, cfg->unix_path);
	f->cfg.type = copy_text(a, cfg->type);
	f->cfg.body = copy_span(a, cfg->body);
	for (size_t i = 0; i < cfg->n_fields; i++)
		fields[i] = (struct http_field){ copy_span(a, cfg->fields[i].name),
			                         copy_span(a, cfg->fields[i].value) };
	f->cfg.fields = fields;
	if (strcmp(f->cfg.method, "GET") != 0 && strcmp(f->cfg.method, "HEAD") != 0)
		f->cfg.redirects = 0;
	if (f->cfg.redirects > FETCH_REDIRECTS_MAX)
		f->cfg.redirects = FETCH_REDIRECTS_MAX;
	if (!cfg->peer)
		return;
	f->peer = *cfg->peer;
	f->peer.sni = copy_text(a, cfg->peer->sni);
	f->peer.name = copy_text(a, cfg->peer->name);
	f->peer.pass_over = copy_text(a, cfg->peer->pass_over);
	f->cfg.peer = &f->peer;
}

struct fetch *http_fetch(const struct http_client *client, const struct fetch_cfg *cfg,
                         void (*done)(void *owner, int r, const struct fetched *found), void *owner)
{
	struct fetch *f = mem_new(struct fetch);

	f->client = client;
	f->done = done;
	f->owner = owner;
	f->deadline.fn = on_deadline;
	f->report.fn = on_soon;
	copy_cfg(f, cfg);
	f->body.max = cfg->body_max ? cfg->body_max : FETCH_BODY_MAX;
	if (cfg->timeout_us >= 0)
		ev_timer_after(client->ev, &f->deadline,
		               cfg->timeout_us ? cfg->timeout_us : FETCH_TIMEOUT_US);

	int r = url_parse(span_str(f->cfg.url), &f->url);

	if (r < 0)
		finish(f, r);
	else
		begin(f);
	return f;
}
