#include "platform/http_server.h"

#include <stdlib.h>

#include "base/err.h"
#include "platform/http_priv.h"

enum { LINGER_US = 5 * 1000 * 1000, PUMP_BYTES = 64 << 10, HEAD_QUEUE_MAX = HTTP_HEAD_MAX };

static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/* ---- life ---- */

static void destroy(struct http_conn *c)
{
	struct request *r, *next;

	ev_timer_stop(c->srv->cfg.ev, &c->timer);
	ev_defer_stop(&c->pump);
	c->depth++; /* what is told below must not come back here */
	if (c->h2)
		h2_free(TAKE(c->h2));
	list_each_safe(r, next, &c->reqs, link) {
		request_gone(r);
	}
	server_forget(c->srv, c);
	if (c->pipe)
		c->pipe->close(c->arg, c->flush);
	free(c);
}

void conn_enter(struct http_conn *c)
{
	c->depth++;
}

void conn_leave(struct http_conn *c)
{
	if (--c->depth == 0 && c->over)
		destroy(c);
}

void conn_close(struct http_conn *c, bool flush)
{
	if (c->over)
		return;
	c->over = true;
	c->flush = flush;
	if (c->depth == 0)
		destroy(c);
}

void conn_drop(struct http_conn *c, enum http_drop why)
{
	c->srv->stats.drops[why]++;
	conn_close(c, false);
}

void conn_write(struct http_conn *c, struct span bytes)
{
	if (c->over)
		return;
	if (c->pipe->write(c->arg, bytes) < 0)
		conn_close(c, false);
}

static int64_t patience(const struct http_conn *c)
{
	const struct http_server_cfg *cfg = &c->srv->cfg;

	switch (c->stage) {
	case STAGE_TLS:
	case STAGE_HEAD:
		return cfg->head_us;
	case STAGE_BODY:
		return cfg->body_us;
	case STAGE_IDLE:
		return cfg->idle_us;
	case STAGE_ANSWER:
		return 0;
	}
	return 0;
}

/* The head's time began with the connection: TLS does not start it anew. */
void conn_stage(struct http_conn *c, enum conn_stage stage)
{
	bool goes_on = c->stage == STAGE_TLS && stage == STAGE_HEAD;

	c->stage = stage;
	if (goes_on)
		return;
	if (patience(c) > 0)
		ev_timer_after(c->srv->cfg.ev, &c->timer, patience(c));
	else
		ev_timer_stop(c->srv->cfg.ev, &c->timer);
}

static void on_timer(struct ev_timer *t, mono now)
{
	static const enum http_drop why[] = {
		[STAGE_TLS] = HTTP_DROP_SLOW_TLS,   [STAGE_HEAD] = HTTP_DROP_SLOW_HEAD,
		[STAGE_BODY] = HTTP_DROP_SLOW_BODY, [STAGE_ANSWER] = HTTP_DROP_SLOW_READER,
		[STAGE_IDLE] = HTTP_DROP_IDLE,
	};
	struct http_conn *c = CONTAINER_OF(t, struct http_conn, timer);

	(void)now;
	conn_drop(c, why[c->stage]);
}

/* ---- HTTP/2 ---- */

static void settle_h2(struct http_conn *c)
{
	enum conn_stage want = h2_n_streams(c->h2) > 0 ? STAGE_ANSWER : STAGE_IDLE;

	if (c->stage != want)
		conn_stage(c, want);
}

void conn_pump(struct http_conn *c)
{
	if (c->over || !c->h2)
		return;
	if (c->full && c->pipe->queued(c->arg) > 0)
		return;
	c->full = false;
	while (!c->full) {
		AUTO_DONE(buf) struct buf out = { 0 };
		int r = h2_send(c->h2, &out, PUMP_BYTES);

		if (r == 0 && out.n == 0)
			break;
		if (r == 0)
			r = c->pipe->write(c->arg, buf_span(&out));
		if (r < 0) {
			conn_close(c, false);
			return;
		}
		c->full = r == STREAM_FULL;
	}
	if (h2_is_over(c->h2))
		conn_close(c, true);
	else
		settle_h2(c);
}

static void on_pump(struct ev_defer *d)
{
	struct http_conn *c = CONTAINER_OF(d, struct http_conn, pump);

	conn_enter(c);
	conn_pump(c);
	conn_leave(c);
}

static void tell_request(struct http_conn *c, struct request *r)
{
	c->srv->stats.requests++;
	c->srv->cfg.request(c->srv->cfg.owner, &r->pub);
}

static void h2_on_head(void *owner, struct h2_stream *st, const struct http_head *head)
{
	struct http_conn *c = owner;
	struct request *r = request_new(c, head);

	r->st = st;
	h2_stream_set_owner(st, r);
	tell_request(c, r);
}

static size_t h2_on_body(void *owner, struct h2_stream *st, struct span bytes)
{
	struct request *r = h2_stream_owner(st);

	(void)owner;
	if (r)
		request_body(r, bytes);
	return bytes.n;
}

static void h2_on_end(void *owner, struct h2_stream *st)
{
	struct request *r = h2_stream_owner(st);

	(void)owner;
	if (r)
		request_body_end(r);
}

static void h2_on_drained(void *owner, struct h2_stream *st)
{
	struct request *r = h2_stream_owner(st);

	(void)owner;
	if (r && !r->over && r->later.drained)
		r->later.drained(&r->pub, r->later.arg);
}

static void h2_on_closed(void *owner, struct h2_stream *st, int why)
{
	struct request *r = h2_stream_owner(st);

	(void)owner;
	(void)why;
	if (!r)
		return;
	r->st = NULL;
	request_gone(r);
}

static const struct h2_ops h2_ops = { .head = h2_on_head,
	                              .body = h2_on_body,
	                              .end = h2_on_end,
	                              .drained = h2_on_drained,
	                              .closed = h2_on_closed };

static void start_h2(struct http_conn *c)
{
	static const struct h2_cfg cfg = { .side = H2_SERVER };

	c->h2 = h2_new(&cfg, &h2_ops, c);
	c->started = true;
}

static void h2_input(struct http_conn *c, struct span bytes)
{
	if (h2_recv(c->h2, bytes) < 0) {
		c->srv->stats.drops[HTTP_DROP_BAD_REQUEST]++;
		conn_pump(c);
		conn_close(c, true);
		return;
	}
	conn_pump(c);
}

/* ---- HTTP/1 ---- */

static void refuse(struct http_conn *c, unsigned status)
{
	c->srv->stats.drops[HTTP_DROP_BAD_REQUEST]++;
	conn_refuse(c, status);
	conn_close(c, true);
}

static void h1_begin(struct http_conn *c, const struct http_head *head)
{
	struct request *r = request_new(c, head);
	struct http_head unused;
	struct h1_step end;

	r->keep_alive = c->h1.keep_alive && !c->srv->stopping;
	r->continued = !c->h1.wants_continue;
	c->cur = r;
	conn_stage(c, c->h1.has_body ? STAGE_BODY : STAGE_ANSWER);
	/* Without a body the end is known at once, and an upgrade may follow. */
	if (!c->h1.has_body && h1_read(&c->h1, (struct span){ 0 }, &unused, &end) == 0)
		r->body_done = true;
	tell_request(c, r);
}

static void h1_body(struct http_conn *c, struct span bytes)
{
	conn_stage(c, STAGE_BODY);
	request_body(c->cur, bytes);
}

static void h1_end(struct http_conn *c)
{
	conn_stage(c, STAGE_ANSWER);
	request_body_end(c->cur);
}

static bool h1_step(struct http_conn *c, struct span bytes, size_t *used)
{
	struct http_head head;
	struct h1_step step;
	int r = h1_read(&c->h1, span_from(bytes, *used), &head, &step);

	if (r < 0) {
		refuse(c, c->h1.refuse);
		return false;
	}
	*used += step.used;
	if (step.event == H1_HEAD)
		h1_begin(c, &head);
	else if (step.event == H1_BODY)
		h1_body(c, step.body);
	else if (step.event == H1_END)
		h1_end(c);
	else if (*used < bytes.n && c->stage == STAGE_IDLE)
		conn_stage(c, STAGE_HEAD);
	return step.event != H1_MORE;
}

static size_t h1_input(struct http_conn *c, struct span bytes)
{
	size_t used = 0;

	while (!c->over) {
		if (c->cur && c->cur->body_done) {
			/* Pipelined: it waits its turn. */
			if (used < bytes.n)
				stream_pause(c->s);
			break;
		}
		if (!h1_step(c, bytes, &used))
			break;
	}
	return used;
}

void conn_answered(struct http_conn *c, bool keep)
{
	struct request *r = TAKE(c->cur);

	request_free(r);
	if (!keep || c->srv->stopping) {
		conn_close(c, true);
		return;
	}
	conn_stage(c, STAGE_IDLE);
	stream_resume(c->s);
	stream_read_again(c->s);
}

/* ---- the stream ---- */

static int pipe_write(void *arg, struct span bytes)
{
	struct http_conn *c = arg;

	return stream_write(c->s, bytes);
}

static size_t pipe_queued(void *arg)
{
	struct http_conn *c = arg;

	return stream_queued(c->s);
}

static void pipe_close(void *arg, bool flush)
{
	struct http_conn *c = arg;

	if (c->s && flush)
		stream_linger(TAKE(c->s), LINGER_US);
	else if (c->s)
		stream_free(TAKE(c->s));
}

static const struct http_pipe stream_pipe = { pipe_write, pipe_queued, pipe_close };

/* False: too early to tell. */
static bool tell_version(struct http_conn *c, struct span bytes)
{
	size_t n = bytes.n < sizeof(preface) - 1 ? bytes.n : sizeof(preface) - 1;

	if (memcmp(bytes.p, preface, n) == 0) {
		if (n < sizeof(preface) - 1)
			return false;
		start_h2(c);
	}
	c->started = true;
	return true;
}

static size_t on_read(struct stream *s, void *owner, struct span bytes)
{
	struct http_conn *c = owner;
	size_t used = bytes.n;

	(void)s;
	conn_enter(c);
	if (!c->started && !tell_version(c, bytes))
		used = 0;
	else if (c->h2)
		h2_input(c, bytes);
	else
		used = h1_input(c, bytes);
	conn_leave(c);
	return used;
}

static void on_open(struct stream *s, void *owner)
{
	struct http_conn *c = owner;
	struct stream_tls_info info;

	conn_stage(c, STAGE_HEAD);
	if (stream_tls_info(s, &info) == 0 && strcmp(info.alpn, "h2") == 0) {
		start_h2(c);
		conn_enter(c);
		conn_pump(c);
		conn_leave(c);
	} else if (info.alpn[0]) {
		c->started = true;
	}
}

static void on_drained(struct stream *s, void *owner)
{
	struct http_conn *c = owner;

	(void)s;
	http_conn_drained(c);
}

static void on_closed(struct stream *s, void *owner, int why)
{
	struct http_conn *c = owner;

	(void)s;
	if (why == ERR_TLS)
		c->srv->stats.drops[HTTP_DROP_BAD_TLS]++;
	else if (why == ERR_TIMEOUT)
		c->srv->stats.drops[HTTP_DROP_SLOW_READER]++;
	conn_close(c, false);
}

/*
 * No `eof`: a client that closes its half cannot be told from one that left,
 * and who waits on its behalf should hear of that. Go's servers see it so too.
 */
static const struct stream_ops ops = {
	.open = on_open, .read = on_read, .drained = on_drained, .closed = on_closed
};

static struct http_conn *conn_new(struct http_server *srv, const struct addr *peer)
{
	struct http_conn *c = mem_new(struct http_conn);

	c->srv = srv;
	c->peer = *peer;
	c->timer.fn = on_timer;
	c->pump.fn = on_pump;
	list_init(&c->reqs);
	h1_reader_init(&c->h1, H1_REQUEST);
	return c;
}

static int start_stream(struct http_conn *c, int fd, struct tls_server *tls)
{
	static const struct stream_tcp tcp = { .keepalive_s = 60, .user_timeout_ms = 60000 };
	struct stream_cfg cfg = { .in_max = HEAD_QUEUE_MAX + 1,
		                  .out_max = 32 << 20,
		                  .out_high = 128 << 10,
		                  .stall_us = c->srv->cfg.stall_us };
	int r = stream_new(c->srv->cfg.ev, fd, &cfg, &ops, c, &c->s);

	if (r < 0)
		return r;
	stream_tune(c->s, &tcp);
	c->pipe = &stream_pipe;
	c->arg = c;
	c->secure = tls != NULL;
	return tls ? stream_start_tls_server(c->s, tls) : 0;
}

void conn_accept(struct http_server *srv, int fd, const struct addr *peer, struct tls_server *tls)
{
	struct http_conn *c = conn_new(srv, peer);

	if (server_admit(srv, c) < 0) {
		fd_close(fd);
		free(c);
		return;
	}
	c->stage = STAGE_IDLE;
	if (start_stream(c, fd, tls) < 0)
		conn_close(c, false);
	else
		conn_stage(c, tls ? STAGE_TLS : STAGE_HEAD);
}

/* ---- over the caller's bytes ---- */

struct http_conn *http_conn_new(struct http_server *s, const struct http_pipe *pipe, void *arg,
                                const struct addr *peer, bool secure)
{
	struct http_conn *c = conn_new(s, peer);

	if (server_admit(s, c) < 0) {
		free(c);
		return NULL;
	}
	c->pipe = pipe;
	c->arg = arg;
	c->secure = secure;
	conn_stage(c, STAGE_HEAD);
	start_h2(c);
	ev_defer(s->cfg.ev, &c->pump);
	return c;
}

void http_conn_input(struct http_conn *c, struct span bytes)
{
	conn_enter(c);
	h2_input(c, bytes);
	conn_leave(c);
}

void http_conn_drained(struct http_conn *c)
{
	conn_enter(c);
	c->full = false;
	if (c->h2)
		conn_pump(c);
	else if (c->cur && !c->cur->over && c->cur->later.drained)
		c->cur->later.drained(&c->cur->pub, c->cur->later.arg);
	conn_leave(c);
}

void http_conn_lost(struct http_conn *c)
{
	c->pipe = NULL;
	conn_close(c, false);
}
