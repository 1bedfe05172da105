/*
 * What the coordinator asks of us inside the map stream: to answer at a URL, so
 * that it knows we are there, or to run an HTTP request ("c2n") and post the
 * answer.
 */
#include <stdlib.h>

#include "http/url.h"
#include "node/session_priv.h"

enum { PINGS_MAX = 16, PING_US = 15000000, C2N_US = 60000000 };

struct ping {
	struct link link;
	struct session *s;
	struct fetch *fetch;
	struct ctl_call *call;
	struct asked *asked; /* a peer: it is told that nobody listens */
};

static void forget(struct asked *a);

static void ping_free(struct ping *p)
{
	list_remove(&p->link);
	fetch_cancel(p->fetch);
	ctl_cancel(p->call);
	if (p->asked)
		forget(p->asked);
	free(p);
}

void session_pings_cancel(struct session *s)
{
	struct ping *p, *tmp;

	list_each_safe(p, tmp, &s->pings, link)
		ping_free(p);
}

static void on_fetched(void *owner, int r, const struct fetched *found)
{
	struct ping *p = owner;

	(void)r;
	(void)found;
	p->fetch = NULL;
	ping_free(p);
}

static void on_called(void *owner, int r, unsigned status, struct span body, int64_t retry)
{
	struct ping *p = owner;

	(void)r;
	(void)status;
	(void)body;
	(void)retry;
	p->call = NULL;
	ping_free(p);
}

static struct ping *ping_new(struct session *s)
{
	struct ping *p = mem_new(struct ping);

	p->s = s;
	list_append(&s->pings, &p->link);
	return p;
}

/* Over Noise the host of the URL does not matter. */
static void over_noise(struct session *s, const char *method, struct span url, struct span body)
{
	struct url u;
	AUTO_FREE char *path = NULL;
	struct ctl_call_cfg call = { .method = method,
		                     .body = body,
		                     .timeout_us = body.n ? C2N_US : PING_US,
		                     .done = on_called };
	struct ping *p;

	if (url_parse(url, &u) < 0)
		return;
	path = span_dup(u.target);
	p = ping_new(s);
	call.path = path;
	call.owner = p;
	p->call = ctl_call(s->ctl, &call);
}

static void over_http(struct session *s, struct span url)
{
	AUTO_FREE char *text = span_dup(url);
	struct fetch_cfg cfg = { .method = "HEAD", .url = text, .timeout_us = PING_US };
	struct ping *p = ping_new(s);

	p->fetch = http_fetch(s->cfg.http, &cfg, on_fetched, p);
}

static void run_c2n(struct session *s, const struct tc_ping_request *q)
{
	AUTO_DONE(buf) struct buf answer = { 0 };

	s->cfg.hooks.c2n(s->cfg.hooks.ctx, q->payload, &answer);
	if (answer.n)
		over_noise(s, "POST", q->url, buf_span(&answer));
}

static size_t n_pings(const struct session *s)
{
	const struct ping *p;
	size_t n = 0;

	list_each(p, &s->pings, link)
		n++;
	return n;
}

/* ---- pings of peers ---- */

/* The peer's answer may come when the session is gone, or has stopped listening. */
struct asked {
	struct ping *ping; /* NULL: nobody listens */
	char *url;
	bool noise;
};

static void forget(struct asked *a)
{
	a->ping = NULL;
}

static void asked_free(struct asked *a)
{
	free(a->url);
	free(a);
}

static void post(struct session *s, const char *url, bool noise, struct span body)
{
	struct fetch_cfg cfg = {
		.method = "POST", .url = url, .body = body, .timeout_us = PING_US
	};
	struct ping *p;

	if (noise) {
		over_noise(s, "POST", span_str(url), body);
		return;
	}
	p = ping_new(s);
	p->fetch = http_fetch(s->cfg.http, &cfg, on_fetched, p);
}

static void on_peer_answer(void *arg, const struct tc_ping_response *answer)
{
	struct asked *a = arg;
	struct session *s = a->ping ? a->ping->s : NULL;
	AUTO_DONE(buf) struct buf body = { 0 };

	if (s) {
		a->ping->asked = NULL;
		ping_free(a->ping);
	}
	if (s && answer) {
		js_encode(&body, &tc_ping_response_type, answer);
		post(s, a->url, a->noise, buf_span(&body));
	}
	asked_free(a);
}

/* Each of the kinds named, separated by commas. */
static void ping_peer(struct session *s, const struct tc_ping_request *q)
{
	struct span rest = q->types, type;

	while (rest.n && n_pings(s) < PINGS_MAX && span_cut(&rest, ',', &type)) {
		AUTO_FREE char *name = span_dup(span_trim(type));
		struct asked *a = mem_new(struct asked);

		*a = (struct asked){ ping_new(s), span_dup(q->url), q->url_is_noise };
		a->ping->asked = a;
		s->cfg.hooks.ping(s->cfg.hooks.ctx, &q->ip, name, on_peer_answer, a);
	}
}

void session_ping(struct session *s, const struct tc_ping_request *q)
{
	if (q->url.n == 0 || (s->last_ping_url && span_is(q->url, s->last_ping_url)) ||
	    n_pings(s) >= PINGS_MAX)
		return;
	free(s->last_ping_url);
	s->last_ping_url = span_dup(q->url);
	if (span_is(q->types, "c2n"))
		run_c2n(s, q);
	else if (q->types.n == 0 && q->url_is_noise)
		over_noise(s, "HEAD", q->url, span(NULL, 0));
	else if (q->types.n == 0)
		over_http(s, q->url);
	else if (q->types.n)
		ping_peer(s, q);
}
