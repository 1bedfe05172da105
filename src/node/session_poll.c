/* The map stream, and our reports to the coordinator. */
#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/log.h"
#include "node/session_priv.h"

enum {
	WATCHDOG_US = 120000000, /* the coordinator speaks at least once a minute */
	REPORT_DELAY_US = 50000, /* changes come in groups */
	REPORT_TIMEOUT_US = 30000000,
};

static struct ev *loop(const struct session *s)
{
	return s->cfg.http->ev;
}

static void fill_request(struct session *s, struct tc_map_request *q, struct tc_hostinfo *host)
{
	*q = (struct tc_map_request){
		.version = CAPVER_NODE,
		.compress = SPAN_LIT("zstd"),
		.keep_alive = true,
		.disco_key = s->cfg.disco,
		.hostinfo = host,
		.endpoints = { s->endpoints, s->n_endpoints, true },
		.endpoint_types = { s->endpoint_types, s->n_endpoints, true },
	};
	node_priv_public(&s->persist->node_key, &q->node_key);
	s->cfg.hooks.hostinfo(s->cfg.hooks.ctx, host);
}

/* ---- the stream ---- */

static void set_in_poll(struct session *s, bool yes)
{
	if (s->in_poll == yes)
		return;
	s->in_poll = yes;
	session_changed(s);
}

static void browse(struct session *s, struct span url)
{
	if (url.n == 0 || (s->last_pop_url && span_is(url, s->last_pop_url)))
		return;
	free(s->last_pop_url);
	s->last_pop_url = span_dup(url);
	s->cfg.hooks.browse(s->cfg.hooks.ctx, s->last_pop_url);
}

static int take_map(struct session *s, const struct tc_map_response *m)
{
	struct netmap_delta delta;
	int r = netmap_apply(&s->map, m, s->first, ev_wall(loop(s)), &delta);

	if (r < 0)
		return r;
	s->first = false;
	s->failures = 0;
	s->cfg.hooks.map(s->cfg.hooks.ctx, &delta);
	netmap_delta_done(&delta);
	return 0;
}

int session_seed(struct session *s, struct span message)
{
	struct arena a = { 0 };
	struct tc_map_response m;
	int r = js_decode(&a, message, &tc_map_response_type, &m, NULL);

	s->first = true;
	if (r == 0)
		r = take_map(s, &m);
	arena_done(&a);
	return r;
}

static int take_message(struct session *s, struct span json)
{
	struct arena a = { 0 };
	struct fault f = { 0 };
	struct tc_map_response m;
	int r = js_decode(&a, json, &tc_map_response_type, &m, &f);

	if (r < 0)
		log_warn("map message refused: %s at byte %u", f.message, f.column);
	s->last_map = ev_now(loop(s));
	ev_timer_after(loop(s), &s->watchdog, WATCHDOG_US);
	if (r == 0 && m.ping_request)
		session_ping(s, m.ping_request);
	if (r == 0)
		browse(s, m.pop_browser_url);
	if (r == 0 && !m.keep_alive)
		r = take_map(s, &m);
	arena_done(&a);
	if (r == 0)
		set_in_poll(s, true);
	return r;
}

static void poll_over(struct session *s, int64_t wait_us)
{
	ctl_cancel(TAKE(s->poll));
	ev_timer_stop(loop(s), &s->watchdog);
	mapframe_rd_done(&s->frames);
	set_in_poll(s, false);
	session_retry_poll(s, wait_us);
}

/* A message that cannot be used: what holds stays, and a new stream begins with a full map. */
static void on_bytes(void *owner, struct span bytes)
{
	struct session *s = owner;
	struct span json;
	int r;

	while ((r = mapframe_read(&s->frames, &bytes, &json)) > 0) {
		r = take_message(s, json);
		if (r < 0)
			break;
	}
	if (r < 0) {
		s->bad_messages++;
		poll_over(s, session_backoff(++s->failures + 10));
	}
}

static void on_poll_over(void *owner, int r, unsigned status, struct span body, int64_t retry)
{
	struct session *s = owner;
	int64_t wait = retry > 0 ? retry * US_PER_S : session_backoff(++s->failures);

	s->poll = NULL;
	if (r == 0 && status != 200)
		log_warn("map poll: status %u: %.*s", status,
		         SPAN_FMT(span_first(span_trim(body), 200)));
	else
		log_debug("map poll ended: %s", r < 0 ? err_text(r) : "by the server");
	poll_over(s, wait);
	/* The coordinator no longer knows this node. */
	if (status == 401 || status == 403 || status == 404)
		session_register_again(s);
}

void session_poll(struct session *s)
{
	struct tc_hostinfo host = { 0 };
	struct tc_map_request q;
	AUTO_DONE(buf) struct buf body = { 0 };
	char key[KEY_TEXT_MAX];
	struct ctl_call_cfg call = { .method = "POST",
		                     .path = "/machine/map",
		                     .bytes = on_bytes,
		                     .done = on_poll_over,
		                     .owner = s };

	if (s->poll)
		return;
	fill_request(s, &q, &host);
	q.stream = true;
	js_encode(&body, &tc_map_request_type, &q);
	call.body = buf_span(&body);
	call.hint = node_pub_text(&q.node_key, key);
	s->first = true;
	mapframe_rd_done(&s->frames);
	s->frames.zstd = true;
	ev_timer_after(loop(s), &s->watchdog, WATCHDOG_US);
	s->poll = ctl_call(s->ctl, &call);
}

static void on_watchdog(struct ev_timer *t, mono now)
{
	struct session *s = CONTAINER_OF(t, struct session, watchdog);

	(void)now;
	log_warn("the coordinator has been silent for two minutes");
	poll_over(s, 0);
	ctl_reconnect(s->ctl);
}

/* ---- reports ---- */

static void on_reported(void *owner, int r, unsigned status, struct span body, int64_t retry)
{
	struct session *s = owner;

	(void)body;
	s->lite = NULL;
	if (r == 0 && status == 200) {
		s->report_failures = 0;
		if (s->report_again)
			session_report(s);
		return;
	}
	log_debug("report to the coordinator failed: %s, status %u", r < 0 ? err_text(r) : "-",
	          status);
	ev_timer_after(loop(s), &s->report,
	               retry > 0 ? retry * US_PER_S : session_backoff(10 + ++s->report_failures));
}

static void on_report(struct ev_timer *t, mono now)
{
	struct session *s = CONTAINER_OF(t, struct session, report);
	struct tc_hostinfo host = { 0 };
	struct tc_map_request q;
	AUTO_DONE(buf) struct buf body = { 0 };
	char key[KEY_TEXT_MAX];
	struct ctl_call_cfg call = { .method = "POST",
		                     .path = "/machine/map",
		                     .timeout_us = REPORT_TIMEOUT_US,
		                     .done = on_reported,
		                     .owner = s };

	(void)now;
	if (s->state != SESSION_POLL)
		return;
	s->report_again = false;
	fill_request(s, &q, &host);
	q.omit_peers = true;
	js_encode(&body, &tc_map_request_type, &q);
	call.body = buf_span(&body);
	call.hint = node_pub_text(&q.node_key, key);
	s->lite = ctl_call(s->ctl, &call);
}

void session_report(struct session *s)
{
	if (s->lite)
		s->report_again = true;
	else if (s->state == SESSION_POLL && !ev_timer_active(&s->report))
		ev_timer_after(loop(s), &s->report, REPORT_DELAY_US);
}

void session_set_endpoints(struct session *s, const struct addr *v, const int64_t *types, size_t n)
{
	if (n > ARRAY_LEN(s->endpoints))
		n = ARRAY_LEN(s->endpoints);
	if (n == s->n_endpoints && memcmp(s->endpoints, v, n * sizeof(*v)) == 0 &&
	    memcmp(s->endpoint_types, types, n * sizeof(*types)) == 0)
		return;
	memcpy(s->endpoints, v, n * sizeof(*v));
	memcpy(s->endpoint_types, types, n * sizeof(*types));
	s->n_endpoints = n;
	session_report(s);
}

/* ---- life ---- */

void session_poll_init(struct session *s)
{
	s->watchdog.fn = on_watchdog;
	s->report.fn = on_report;
	list_init(&s->pings);
}

void session_poll_stop(struct session *s)
{
	ev_timer_stop(loop(s), &s->watchdog);
	ev_timer_stop(loop(s), &s->report);
	ctl_cancel(TAKE(s->poll));
	ctl_cancel(TAKE(s->lite));
	session_pings_cancel(s);
	mapframe_rd_done(&s->frames);
	s->in_poll = false;
}

void session_poll_done(struct session *s)
{
	free(s->last_ping_url);
	free(s->last_pop_url);
}
