#include "node/ctl.h"

#include <stdio.h>

#include "base/err.h"
#include "base/log.h"
#include "control/noiseconn.h"
#include "control/tailcfg.h"
#include "http/h1.h"
#include "http/h2.h"
#include "node/ctlplan.h"
#include "platform/stream.h"

enum {
	KEY_MAX = 64 << 10,
	CALL_BODY_MAX = 1 << 20,
	DIAL_US = 10000000,
	KEEPALIVE_S = 30,
	OUT_STEP = 16 << 10,
};

enum state {
	CTL_IDLE,
	CTL_KEY,  /* asks for the server's key */
	CTL_DIAL, /* attempts race */
	CTL_OPEN,
};

/* One way to the Noise endpoint, up to the upgrade. */
struct attempt {
	struct ctl *ctl;
	bool https, failed;
	struct dial *dial;
	struct stream *stream;
	struct h1_reader h1;
	struct noiseconn *noise;
};

struct ctl_call {
	struct link link; /* in ctl->calls */
	struct ctl *ctl;
	struct ctl_call_cfg cfg;
	char *method, *path, *hint;
	struct buf body, answer;
	struct h2_stream *stream; /* NULL: not sent yet, or over */
	struct ev_timer timeout;
	unsigned status;
	int64_t retry_after_s;
	bool complete, over;
	int why;
};

struct ctl {
	struct ctl_cfg cfg;
	char *url_text, error[200];
	struct url url;
	struct machine_pub server;
	bool have_key;
	enum state state;
	struct fetch *key_fetch;
	struct ctlplan plan;
	struct attempt attempts[CTLPLAN_MAX];
	size_t started; /* attempts begun */
	struct ev_timer second;
	mono dialled; /* when the last dialling began; 0: never */
	struct stream *stream;
	struct noiseconn *noise;
	struct h2 *h2;
	struct link calls;
	struct ev_defer sweep; /* ends what is over, outside of all callbacks */
	struct ev_defer pump;
	int lost; /* not 0: the connection is to be torn down, and why */
};

static struct ev *loop(const struct ctl *c)
{
	return c->cfg.http->ev;
}

const char *ctl_error(const struct ctl *c)
{
	return c->error;
}

bool ctl_is_connected(const struct ctl *c)
{
	return c->state == CTL_OPEN && !c->lost;
}

/* ---- calls ---- */

static void call_free(struct ctl_call *call)
{
	list_remove(&call->link);
	ev_timer_stop(loop(call->ctl), &call->timeout);
	if (call->stream) {
		h2_stream_set_owner(call->stream, NULL);
		h2_reset(call->stream, H2_CANCEL);
		ev_defer(loop(call->ctl), &call->ctl->pump);
	}
	free(call->method);
	free(call->path);
	free(call->hint);
	buf_done(&call->body);
	buf_done(&call->answer);
	free(call);
}

static void call_over(struct ctl_call *call, int why)
{
	if (call->over)
		return;
	call->over = true;
	call->why = why;
	ev_defer(loop(call->ctl), &call->ctl->sweep);
}

static void on_timeout(struct ev_timer *t, mono now)
{
	(void)now;
	call_over(CONTAINER_OF(t, struct ctl_call, timeout), ERR_TIMEOUT);
}

void ctl_cancel(struct ctl_call *call)
{
	if (call)
		call_free(call);
}

static void call_finish(struct ctl_call *call)
{
	struct ctl_call_cfg cfg = call->cfg;
	struct buf answer = call->answer;
	unsigned status = call->status;
	int64_t retry = call->retry_after_s;
	int why = call->why;

	call->answer = (struct buf){ 0 };
	call_free(call);
	cfg.done(cfg.owner, why, status, buf_span(&answer), retry);
	buf_done(&answer);
}

static struct ctl_call *first_over(struct ctl *c)
{
	struct ctl_call *call;

	list_each(call, &c->calls, link)
		if (call->over)
			return call;
	return NULL;
}

static void fail_all(struct ctl *c, int why)
{
	struct ctl_call *call;

	list_each(call, &c->calls, link)
		call_over(call, why);
}

/* ---- HTTP/2 ---- */

static void on_head(void *owner, struct h2_stream *st, const struct http_head *head)
{
	struct ctl_call *call = h2_stream_owner(st);
	uint64_t retry;

	(void)owner;
	if (!call)
		return;
	call->status = head->status;
	if (span_u64(http_find(head, "retry-after"), 3600, &retry) == 0)
		call->retry_after_s = (int64_t)retry;
}

static size_t on_body(void *owner, struct h2_stream *st, struct span bytes)
{
	struct ctl_call *call = h2_stream_owner(st);

	(void)owner;
	if (!call || call->over)
		return bytes.n;
	if (call->cfg.bytes && call->status == 200) {
		call->cfg.bytes(call->cfg.owner, bytes);
		return bytes.n;
	}
	buf_add_span(&call->answer, bytes);
	if (buf_ok(&call->answer) < 0)
		call_over(call, ERR_LIMIT);
	return bytes.n;
}

static void on_end(void *owner, struct h2_stream *st)
{
	struct ctl_call *call = h2_stream_owner(st);

	(void)owner;
	if (call)
		call->complete = true;
}

static void on_closed(void *owner, struct h2_stream *st, int why)
{
	struct ctl_call *call = h2_stream_owner(st);

	(void)owner;
	if (!call)
		return;
	call->stream = NULL;
	call_over(call, call->complete ? 0 : why < 0 ? why : ERR_CLOSED);
}

static const struct h2_ops h2_ops = {
	.head = on_head,
	.body = on_body,
	.end = on_end,
	.closed = on_closed,
};

static void send_call(struct ctl_call *call)
{
	struct ctl *c = call->ctl;
	struct http_head head = { .method = span_str(call->method),
		                  .target = span_str(call->path) };
	AUTO_DONE(buf) struct buf authority = { 0 };
	char length[24];
	int r;

	url_put_authority(&authority, &c->url);
	head.authority = buf_span(&authority);
	head.scheme = SPAN_LIT("https");
	(void)snprintf(length, sizeof(length), "%zu", call->body.n);
	http_put(&head, "content-length", length);
	if (call->hint)
		http_put(&head, "ts-lb", call->hint);
	r = h2_request(c->h2, &head, call->body.n == 0, call, &call->stream);
	if (r == 0 && call->body.n)
		r = h2_write(call->stream, buf_span(&call->body), true);
	if (r < 0)
		call_over(call, r);
}

/* ---- bytes out ---- */

static void lose(struct ctl *c, int why)
{
	if (c->lost)
		return;
	c->lost = why < 0 ? why : ERR_CLOSED;
	ev_defer(loop(c), &c->sweep);
}

static int pump_step(struct ctl *c)
{
	AUTO_DONE(buf) struct buf plain = { 0 };
	AUTO_DONE(buf) struct buf wire = { 0 };
	int r = h2_send(c->h2, &plain, OUT_STEP);

	if (r == 0)
		r = noiseconn_send(c->noise, buf_span(&plain), &wire);
	return r < 0 ? r : stream_write(c->stream, buf_span(&wire));
}

static void pump(struct ctl *c)
{
	int r = 0;

	while (c->state == CTL_OPEN && !c->lost && r == 0 && h2_has_output(c->h2))
		r = pump_step(c);
	if (r < 0)
		lose(c, r);
}

static void on_pump(struct ev_defer *d)
{
	pump(CONTAINER_OF(d, struct ctl, pump));
}

static void send_waiting(struct ctl *c)
{
	struct ctl_call *call;

	list_each(call, &c->calls, link)
		if (!call->stream && !call->over && !call->status)
			send_call(call);
	pump(c);
}

/* ---- the open connection ---- */

static size_t open_read(struct stream *s, void *owner, struct span bytes)
{
	struct ctl *c = owner;
	AUTO_DONE(buf) struct buf plain = { 0 };
	int r;

	(void)s;
	if (c->lost)
		return bytes.n;
	r = noiseconn_recv(c->noise, bytes, &plain);
	if (r == 0 && plain.n)
		r = h2_recv(c->h2, buf_span(&plain));
	if (r < 0)
		lose(c, r);
	else
		ev_defer(loop(c), &c->pump);
	return bytes.n;
}

static void open_drained(struct stream *s, void *owner)
{
	(void)s;
	pump(owner);
}

static void open_closed(struct stream *s, void *owner, int why)
{
	(void)s;
	lose(owner, why);
}

static const struct stream_ops open_ops = {
	.read = open_read,
	.drained = open_drained,
	.closed = open_closed,
};

/* ---- attempts ---- */

static void attempt_end(struct attempt *a)
{
	dial_cancel(TAKE(a->dial));
	stream_free(TAKE(a->stream));
	if (a->noise)
		noiseconn_wipe(a->noise);
	free(TAKE(a->noise));
}

static void attempts_end(struct ctl *c)
{
	for (size_t i = 0; i < CTLPLAN_MAX; i++)
		attempt_end(&c->attempts[i]);
	ev_timer_stop(loop(c), &c->second);
}

static void start_next(struct ctl *c);

static bool others_alive(const struct ctl *c)
{
	for (size_t i = 0; i < c->started; i++)
		if (!c->attempts[i].failed)
			return true;
	return c->started < c->plan.n;
}

static void attempt_failed(struct attempt *a, int why, const char *what)
{
	struct ctl *c = a->ctl;

	if (a->failed)
		return;
	a->failed = true;
	(void)snprintf(c->error, sizeof(c->error), "%s: %s: %s", a->https ? "https" : "http", what,
	               err_text(why));
	if (!others_alive(c))
		lose(c, why);
	else if (c->started < c->plan.n)
		start_next(c);
}

/* The upgrade is done: this attempt is the connection. */
static void attempt_won(struct attempt *a)
{
	static const struct h2_cfg cfg = { .side = H2_CLIENT };
	static const struct stream_tcp tcp = { .keepalive_s = KEEPALIVE_S,
		                               .user_timeout_ms = 60000 };
	struct ctl *c = a->ctl;

	c->stream = TAKE(a->stream);
	c->noise = TAKE(a->noise);
	attempts_end(c);
	c->state = CTL_OPEN;
	c->error[0] = 0;
	c->h2 = h2_new(&cfg, &h2_ops, c);
	stream_deadline(c->stream, MONO_NEVER);
	stream_tune(c->stream, &tcp);
	stream_hand_over(c->stream, &open_ops, c);
	send_waiting(c);
}

static int take_upgrade(const struct http_head *head)
{
	if (head->status != 101)
		return ERR_DENIED;
	return span_is(http_find(head, "upgrade"), "tailscale-control-protocol") ? 0
	                                                                         : ERR_MALFORMED;
}

/* Before the answer of the Noise handshake the bytes are the attempt's. */
static size_t attempt_noise(struct attempt *a, struct span bytes)
{
	AUTO_DONE(buf) struct buf plain = { 0 };
	size_t n = bytes.n < NOISECONN_ANSWER ? bytes.n : NOISECONN_ANSWER;
	int r = noiseconn_recv(a->noise, span_first(bytes, n), &plain);

	if (r < 0)
		attempt_failed(a, r, a->noise->error[0] ? a->noise->error : "handshake");
	else if (a->noise->state == NOISECONN_OPEN)
		attempt_won(a);
	return n;
}

static size_t attempt_read(struct stream *s, void *owner, struct span bytes)
{
	struct attempt *a = owner;
	struct http_head head = { 0 };
	struct h1_step step;
	size_t used = 0;

	(void)s;
	while (!a->failed && used < bytes.n) {
		int r = h1_read(&a->h1, span_from(bytes, used), &head, &step);

		if (r == 0 && step.event == H1_RAW)
			return used + step.used +
			       attempt_noise(a, span_from(bytes, used + step.used));
		used += r == 0 ? step.used : 0;
		if (r == 0 && step.event == H1_HEAD)
			r = take_upgrade(&head);
		if (r < 0)
			attempt_failed(a, r, "upgrade refused");
		if (r < 0 || step.event == H1_MORE)
			break;
	}
	return a->failed ? bytes.n : used;
}

static void attempt_closed(struct stream *s, void *owner, int why)
{
	struct attempt *a = owner;

	(void)s;
	attempt_failed(a, why, "connection");
}

static const struct stream_ops attempt_ops = {
	.read = attempt_read,
	.closed = attempt_closed,
};

static int send_upgrade(struct attempt *a)
{
	struct ctl *c = a->ctl;
	AUTO_WIPE(machine_priv) eph;
	AUTO_DONE(buf) struct buf out = { 0 };
	AUTO_DONE(buf) struct buf host = { 0 };
	uint8_t hello[NOISECONN_HELLO];
	char text[BASE64_LEN(NOISECONN_HELLO) + 1];
	int r;

	machine_priv_new(&eph);
	a->noise = mem_new(struct noiseconn);
	r = noiseconn_connect(a->noise, c->cfg.version, c->cfg.machine, &c->server, &eph, hello);
	if (r < 0)
		return r;
	url_put_authority(&host, &c->url);
	h1_write_request(&out, SPAN_LIT("POST"), SPAN_LIT("/ts2021"));
	h1_put(&out, "Host", buf_text(&host));
	h1_put(&out, "Upgrade", "tailscale-control-protocol");
	h1_put(&out, "Connection", "upgrade");
	h1_put(&out, "X-Tailscale-Handshake", base64_encode(text, hello, sizeof(hello)));
	h1_put(&out, "Content-Length", "0");
	h1_end_head(&out);
	r = stream_write(a->stream, buf_span(&out));
	return r < 0 ? r : 0;
}

static void on_dialled(void *owner, int r, struct stream *s)
{
	struct attempt *a = owner;
	char why[120];

	(void)snprintf(why, sizeof(why), "dial %s", r < 0 ? dial_error(a->dial) : "");
	a->dial = NULL;
	if (r < 0) {
		attempt_failed(a, r, why);
		return;
	}
	a->stream = s;
	stream_hand_over(s, &attempt_ops, a);
	stream_deadline(s, mono_after(ev_now(loop(a->ctl)), DIAL_US));
	h1_reader_init(&a->h1, H1_RESPONSE);
	r = send_upgrade(a);
	if (r < 0)
		attempt_failed(a, r, "upgrade");
}

static void start_next(struct ctl *c)
{
	const struct ctlplan_try *t = &c->plan.try[c->started];
	struct attempt *a = &c->attempts[c->started++];
	AUTO_FREE char *host = span_dup(c->url.host);
	/* Noise authenticates the server; the certificate's name does not matter. */
	struct tls_peer any = { .sni = host, .trust = TLS_TRUST_ANY };
	struct url proxy;
	bool use = false;
	struct dial_cfg cfg = {
		.ev = loop(c),
		.resolver = c->cfg.http->resolver,
		.host = host,
		.port = t->port,
		.tls = t->https ? c->cfg.http->tls : NULL,
		.peer = &any,
		.timeout_us = DIAL_US,
		.prepare = c->cfg.http->prepare,
		.prepare_arg = c->cfg.http->prepare_arg,
	};

	*a = (struct attempt){ .ctl = c, .https = t->https };
	if (c->cfg.http->proxy &&
	    proxy_for(c->cfg.http->proxy, t->https, c->url.host, t->port, &proxy, &use) == 0 && use)
		cfg.proxy = &proxy;
	a->dial = dial_start(&cfg, on_dialled, a);
	if (c->started < c->plan.n)
		ev_timer_after(loop(c), &c->second, CTLPLAN_SECOND_US);
}

static void on_second(struct ev_timer *t, mono now)
{
	struct ctl *c = CONTAINER_OF(t, struct ctl, second);

	(void)now;
	if (c->state == CTL_DIAL && !c->lost && c->started < c->plan.n)
		start_next(c);
}

static void start_dial(struct ctl *c)
{
	mono now = ev_now(loop(c));
	bool recent = c->dialled.us && mono_since(c->dialled, now) < CTLPLAN_RECENT_US;

	c->state = CTL_DIAL;
	c->dialled = now;
	c->started = 0;
	c->plan = ctlplan_of(&c->url, recent, c->cfg.force_https);
	start_next(c);
}

/* ---- the server's key ---- */

static int take_key(struct ctl *c, const struct fetched *f)
{
	struct arena a = { 0 };
	struct tc_key_response k;
	int r = f->status == 200 ? js_decode(&a, f->body, &tc_key_response_type, &k, NULL)
	                         : ERR_DENIED;

	arena_done(&a);
	if (r < 0)
		return r;
	if (machine_pub_is_zero(&k.public_key))
		return ERR_VERSION;
	c->server = k.public_key;
	c->have_key = true;
	return 0;
}

static void on_key(void *owner, int r, const struct fetched *found)
{
	struct ctl *c = owner;

	if (r < 0)
		(void)snprintf(c->error, sizeof(c->error), "fetch control key: %s %s", err_text(r),
		               fetch_error(c->key_fetch));
	c->key_fetch = NULL;
	if (r == 0) {
		r = take_key(c, found);
		if (r < 0)
			(void)snprintf(c->error, sizeof(c->error),
			               "fetch control key: status %u: %s", found->status,
			               err_text(r));
	}
	if (r < 0)
		lose(c, r);
	else
		start_dial(c);
}

static void start_key(struct ctl *c)
{
	AUTO_FREE char *url = str_fmt("%s/key?v=%u", c->url_text, c->cfg.version);
	struct fetch_cfg cfg = { .url = url, .body_max = KEY_MAX, .timeout_us = DIAL_US };

	c->state = CTL_KEY;
	c->key_fetch = http_fetch(c->cfg.http, &cfg, on_key, c);
}

/* ---- life ---- */

static void teardown(struct ctl *c)
{
	fetch_cancel(TAKE(c->key_fetch));
	attempts_end(c);
	h2_free(TAKE(c->h2));
	stream_free(TAKE(c->stream));
	if (c->noise)
		noiseconn_wipe(c->noise);
	free(TAKE(c->noise));
	ev_defer_stop(&c->pump);
	c->state = CTL_IDLE;
	c->lost = 0;
}

static void on_sweep(struct ev_defer *d)
{
	struct ctl *c = CONTAINER_OF(d, struct ctl, sweep);
	struct ctl_call *call = first_over(c);
	int lost = c->lost;

	if (lost) {
		/* A server that was set up anew has another key. */
		if (c->state == CTL_DIAL)
			c->have_key = false;
		teardown(c);
		fail_all(c, lost);
		call = first_over(c);
	}
	/* One a turn: its owner may free us. */
	if (!call)
		return;
	ev_defer(loop(c), &c->sweep);
	call_finish(call);
}

int ctl_new(const struct ctl_cfg *cfg, struct ctl **ret)
{
	AUTO(ctl_free) struct ctl *c = mem_new(struct ctl);
	int r;

	c->cfg = *cfg;
	c->url_text = str_dup(cfg->url);
	list_init(&c->calls);
	c->sweep.fn = on_sweep;
	c->pump.fn = on_pump;
	c->second.fn = on_second;
	r = url_parse(span_str(c->url_text), &c->url);
	if (r < 0)
		return r;
	*ret = TAKE(c);
	return 0;
}

void ctl_free(struct ctl *c)
{
	struct ctl_call *call, *tmp;

	if (!c)
		return;
	teardown(c);
	list_each_safe(call, tmp, &c->calls, link)
		call_free(call);
	ev_defer_stop(&c->pump);
	ev_defer_stop(&c->sweep);
	free(c->url_text);
	free(c);
}

void ctl_reconnect(struct ctl *c)
{
	if (c->state != CTL_IDLE)
		lose(c, ERR_CLOSED);
}

struct ctl_call *ctl_call(struct ctl *c, const struct ctl_call_cfg *cfg)
{
	struct ctl_call *call = mem_new(struct ctl_call);

	call->ctl = c;
	call->cfg = *cfg;
	call->method = str_dup(cfg->method);
	call->path = str_dup(cfg->path);
	call->hint = str_dup(cfg->hint);
	buf_add_span(&call->body, cfg->body);
	call->answer.max = cfg->body_max ? cfg->body_max : CALL_BODY_MAX;
	call->timeout.fn = on_timeout;
	list_append(&c->calls, &call->link);
	if (cfg->timeout_us)
		ev_timer_after(loop(c), &call->timeout, cfg->timeout_us);
	if (c->lost)
		call_over(call, c->lost);
	else if (c->state == CTL_OPEN)
		send_waiting(c);
	else if (c->state == CTL_IDLE && c->have_key)
		start_dial(c);
	else if (c->state == CTL_IDLE)
		start_key(c);
	return call;
}
