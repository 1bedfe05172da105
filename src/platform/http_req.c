#include "platform/http_server.h"

#include <assert.h>
#include <stdarg.h>
#include <stdlib.h>

#include "base/err.h"
#include "http/url.h"
#include "platform/http_priv.h"

/* ---- life ---- */

/* The address that asked: from the right, the first that is no proxy of ours. */
static void look_through_proxies(struct request *r)
{
	struct http_conn *c = r->c;
	struct span list = http_find(r->pub.head, "x-forwarded-for");
	struct span proto = http_find(r->pub.head, "x-forwarded-proto");
	struct ip ip;

	if (!server_trusts(c->srv, c, &c->peer.ip))
		return;
	if (proto.p)
		r->pub.secure = span_is_nocase(span_trim(proto), "https");
	while (list.n > 0) {
		size_t comma = list.n;

		while (comma > 0 && list.p[comma - 1] != ',')
			comma--;
		if (ip_parse(span_trim(span_from(list, comma)), &ip) < 0)
			return;
		r->pub.from = (struct addr){ .ip = ip };
		if (!server_trusts(c->srv, c, &ip))
			return;
		list = span_first(list, comma ? comma - 1 : 0);
	}
}

struct request *request_new(struct http_conn *c, const struct http_head *head)
{
	struct request *r = mem_new(struct request);

	r->c = c;
	r->pub.head = http_head_dup(&r->pub.arena, head);
	target_split(r->pub.head->target, &r->pub.path, &r->pub.query);
	r->pub.from = c->peer;
	r->pub.secure = c->secure;
	r->pub.is_h2 = c->h2 != NULL;
	r->pub.stream = c->s;
	r->pub.pipe_arg = c->s ? NULL : c->arg;
	r->is_head = span_is(r->pub.head->method, "HEAD");
	r->continued = true;
	r->collected.max = HTTP_BODY_MAX; /* until somebody says how much is wanted */
	list_append(&c->reqs, &r->link);
	look_through_proxies(r);
	return r;
}

void request_free(struct request *r)
{
	if (r->pins) {
		r->freed = true;
		return;
	}
	list_remove(&r->link);
	if (r->st)
		h2_stream_set_owner(r->st, NULL);
	if (r->c->cur == r)
		r->c->cur = NULL;
	buf_done(&r->collected);
	arena_done(&r->pub.arena);
	free(r);
}

void request_gone(struct request *r)
{
	if (!r->over && r->later.gone)
		r->later.gone(&r->pub, r->later.arg);
	request_free(r);
}

void http_answer_later(struct http_req *req, const struct http_later *later)
{
	req_of(req)->later = *later;
}

/* ---- the body ---- */

static void send_continue(struct request *r)
{
	if (r->continued)
		return;
	r->continued = true;
	conn_write(r->c, SPAN_LIT("HTTP/1.1 100 Continue\r\n\r\n"));
}

/* Of a body nobody wants a little is read, so that the connection can be kept. */
static void drop_body(struct request *r, size_t n)
{
	r->dropped += n;
	if (r->dropped <= HTTP_DRAIN_MAX)
		return;
	if (r->st)
		h2_reset(r->st, H2_CANCEL);
	else
		r->keep_alive = false;
	if (!r->st && r->over)
		conn_close(r->c, true);
}

static void too_long(struct request *r)
{
	struct http_later later = r->later;

	r->later.gone = NULL;
	r->keep_alive = false;
	r->whole = NULL;
	if (later.gone)
		later.gone(&r->pub, later.arg);
	http_answer_text(&r->pub, 413, "the body is too long");
}

void request_body(struct request *r, struct span bytes)
{
	if (r->over || (!r->whole && !r->body.bytes && r->body_wanted)) {
		drop_body(r, bytes.n);
	} else if (r->body.bytes) {
		r->body.bytes(&r->pub, r->body.arg, bytes);
	} else {
		/* Wanted, or perhaps later: http_read_body sets the limit that counts. */
		buf_add_span(&r->collected, bytes);
		if (r->collected.full)
			too_long(r);
	}
}

static void tell_whole(struct request *r)
{
	void (*done)(struct http_req *, void *, struct span) = r->whole;

	r->whole = NULL;
	done(&r->pub, r->whole_arg, buf_span(&r->collected));
}

static void next_request(struct request *r)
{
	if (!r->st && r->over && (r->body_done || !r->keep_alive))
		conn_answered(r->c, r->keep_alive);
}

void request_body_end(struct request *r)
{
	r->body_done = true;
	if (r->over)
		next_request(r);
	else if (r->whole)
		tell_whole(r);
	else if (r->body.end)
		r->body.end(&r->pub, r->body.arg);
}

static bool is_announced_too_long(const struct request *r, size_t max)
{
	struct span length = http_find(r->pub.head, "content-length");
	uint64_t n;

	return length.p && span_u64(length, H1_BODY_MAX, &n) == 0 && n > max;
}

void http_read_body(struct http_req *req, size_t max,
                    void (*done)(struct http_req *req, void *arg, struct span body), void *arg)
{
	struct request *r = req_of(req);
	struct http_conn *c = r->c;

	conn_enter(c);
	r->whole = done;
	r->whole_arg = arg;
	r->body_wanted = true;
	r->collected.max = max ? max : HTTP_BODY_MAX;
	if (r->collected.n > r->collected.max || is_announced_too_long(r, r->collected.max)) {
		too_long(r);
	} else if (r->body_done) {
		tell_whole(r);
	} else {
		send_continue(r);
	}
	conn_leave(c);
}

void http_stream_body(struct http_req *req, const struct http_body *body)
{
	struct request *r = req_of(req);
	struct http_conn *c = r->c;

	conn_enter(c);
	r->body = *body;
	r->body_wanted = true;
	send_continue(r);
	r->pins++;
	if (r->collected.n > 0)
		body->bytes(req, body->arg, buf_span(&r->collected));
	if (r->body_done && !r->over)
		body->end(req, body->arg);
	if (--r->pins == 0 && r->freed)
		request_free(r);
	conn_leave(c);
}

void http_pause_body(struct http_req *req, bool pause)
{
	struct http_conn *c = req_of(req)->c;

	if (!c->s)
		return;
	if (pause)
		stream_pause(c->s);
	else
		stream_resume(c->s);
}

/* ---- the answer's head ---- */

void http_put_field(struct http_req *req, const char *name, const char *value)
{
	struct request *r = req_of(req);
	struct span n = span_str(name), v = span_str(value);

	if (!http_is_token(n) || !http_is_value(v))
		return; /* text from elsewhere that would break the head */
	n.p = arena_dup(&req->arena, n.p, n.n);
	v.p = arena_dup(&req->arena, v.p, v.n);
	if (!r->answer)
		r->answer = arena_new(&req->arena, struct http_head);
	(void)!http_add(r->answer, n, v);
}

static void put_u64(struct http_req *req, const char *name, uint64_t value)
{
	http_put_field(req, name, arena_fmt(&req->arena, "%llu", (unsigned long long)value));
}

static void put_date(struct http_req *req)
{
	char date[HTTP_DATE_MAX];

	http_put_field(req, "Date",
	               http_date(ev_wall(req_of(req)->c->srv->cfg.ev).us / US_PER_S, date));
}

static void write_h1_head(struct request *r)
{
	AUTO_DONE(buf) struct buf b = { 0 };

	if (!r->keep_alive)
		http_put_field(&r->pub, "Connection", "close");
	else if (r->pub.head->minor == 0)
		http_put_field(&r->pub, "Connection", "keep-alive");
	h1_write_status(&b, r->status);
	for (size_t i = 0; i < r->answer->n_fields; i++)
		(void)!h1_put_span(&b, r->answer->field[i].name, r->answer->field[i].value);
	h1_end_head(&b);
	conn_write(r->c, buf_span(&b));
}

/* A body not asked for and held back by the client never comes. */
static void give_up_body(struct request *r)
{
	if (!r->continued && !r->body_done)
		r->keep_alive = false;
	if (r->c->srv->stopping)
		r->keep_alive = false;
}

static void begin(struct request *r, unsigned status, const char *type, bool end)
{
	r->status = status;
	r->begun = true;
	give_up_body(r);
	if (type)
		http_put_field(&r->pub, "Content-Type", type);
	put_date(&r->pub);
	r->answer->status = status;
	if (r->st)
		(void)!h2_respond(r->st, r->answer, end);
	else
		write_h1_head(r);
	if (r->st)
		ev_defer(r->c->srv->cfg.ev, &r->c->pump);
}

/* The answer is out: what is left is the rest of the request. */
static void end(struct request *r)
{
	r->over = true;
	buf_done(&r->collected);
	if (!r->st) {
		if (!r->body_done)
			conn_stage(r->c, STAGE_BODY);
		next_request(r);
	}
}

void http_answer(struct http_req *req, unsigned status, const char *type, struct span body)
{
	struct request *r = req_of(req);
	struct http_conn *c = r->c;
	bool bare = r->is_head || !http_status_has_body(status) || body.n == 0;

	conn_enter(c);
	if (http_status_has_body(status))
		put_u64(req, "Content-Length", body.n);
	begin(r, status, type, bare);
	if (!bare && r->st && h2_write(r->st, body, true) < 0)
		h2_reset(r->st, H2_INTERNAL_ERROR);
	if (!bare && !r->st)
		conn_write(c, body);
	end(r);
	conn_leave(c);
}

void http_answer_text(struct http_req *req, unsigned status, const char *fmt, ...)
{
	AUTO_DONE(buf) struct buf b = { 0 };
	va_list ap;

	va_start(ap, fmt);
	buf_vfmt(&b, fmt, ap);
	va_end(ap);
	buf_add_u8(&b, '\n');
	http_answer(req, status, "text/plain; charset=utf-8", buf_span(&b));
}

void http_answer_redirect(struct http_req *req, unsigned status, const char *location)
{
	http_put_field(req, "Location", location);
	http_answer(req, status, NULL, (struct span){ 0 });
}

/* ---- answers in pieces ---- */

void http_begin(struct http_req *req, unsigned status, const char *type)
{
	struct request *r = req_of(req);

	conn_enter(r->c);
	r->chunked = !r->st && req->head->minor == 1 && !r->is_head && http_status_has_body(status);
	if (r->chunked)
		http_put_field(req, "Transfer-Encoding", "chunked");
	else if (!r->st && !r->is_head && http_status_has_body(status))
		r->keep_alive = false; /* the end of the connection is the end of the body */
	begin(r, status, type, false);
	conn_leave(r->c);
}

static int send_h1(struct request *r, struct span bytes)
{
	AUTO_DONE(buf) struct buf b = { 0 };

	if (!r->chunked)
		return r->c->pipe->write(r->c->arg, bytes);
	h1_chunk_head(&b, bytes.n);
	buf_add_span(&b, bytes);
	h1_chunk_end(&b);
	return r->c->pipe->write(r->c->arg, buf_span(&b));
}

int http_send(struct http_req *req, struct span bytes)
{
	struct request *r = req_of(req);

	if (bytes.n == 0 || r->is_head || !http_status_has_body(r->status))
		return 0;
	if (!r->st)
		return send_h1(r, bytes);
	ev_defer(r->c->srv->cfg.ev, &r->c->pump);
	return h2_write(r->st, bytes, false);
}

void http_settle(struct http_req *req)
{
	static const struct http_head none;
	struct request *r = req_of(req);

	assert(r->begun && r->body_done);
	req->head = &none;
	req->path = req->query = (struct span){ 0 };
	r->answer = NULL;
	arena_done(&req->arena);
	buf_done(&r->collected);
}

void http_finish(struct http_req *req)
{
	struct request *r = req_of(req);
	struct http_conn *c = r->c;

	conn_enter(c);
	if (r->st) {
		(void)!h2_write(r->st, (struct span){ 0 }, true);
		ev_defer(c->srv->cfg.ev, &c->pump);
	} else if (r->chunked) {
		conn_write(c, SPAN_LIT("0\r\n\r\n"));
	}
	end(r);
	conn_leave(c);
}

void http_abort(struct http_req *req)
{
	struct request *r = req_of(req);
	struct http_conn *c = r->c;

	conn_enter(c);
	r->over = true;
	if (r->st) {
		h2_reset(r->st, H2_INTERNAL_ERROR);
		ev_defer(c->srv->cfg.ev, &c->pump);
	} else {
		conn_close(c, false);
	}
	conn_leave(c);
}

struct stream *http_hijack(struct http_req *req)
{
	struct request *r = req_of(req);
	struct http_conn *c = r->c;
	struct stream *s = c->s;

	if (!s || r->st || !r->body_done || r->begun)
		return NULL;
	conn_enter(c);
	c->s = NULL;
	r->over = true;
	stream_resume(s);
	conn_close(c, false);
	conn_leave(c);
	return s;
}

/* ---- without a request ---- */

void conn_refuse(struct http_conn *c, unsigned status)
{
	AUTO_DONE(buf) struct buf b = { 0 };
	const char *text = http_reason(status);

	if (c->cur)
		return; /* in the middle of one: nothing sensible can be said */
	h1_write_status(&b, status);
	h1_put(&b, "Content-Type", "text/plain; charset=utf-8");
	h1_put_u64(&b, "Content-Length", strlen(text) + 1);
	h1_put(&b, "Connection", "close");
	h1_end_head(&b);
	buf_fmt(&b, "%s\n", text);
	conn_write(c, buf_span(&b));
}
