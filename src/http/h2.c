#include "http/h2.h"

#include <assert.h>
#include <errno.h>
#include <nghttp2/nghttp2.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/vec.h"

/* A field being received: offsets into the session's text, which moves. */
struct got_field {
	uint32_t name, name_n, value, value_n;
};

struct h2 {
	nghttp2_session *session;
	struct h2_cfg cfg;
	void *frame; /* nghttp2's buffer for frames to send, frame_n bytes */
	size_t frame_n;
	const struct h2_ops *ops;
	void *owner;
	struct link streams;
	size_t n_streams;
	/* Heads come one at a time: the one being received. */
	struct buf text;
	VEC(struct got_field) fields;
	bool head_too_big;
	bool broken;
};

struct h2_stream {
	struct link link;
	struct h2 *h;
	int32_t id;
	void *owner;
	struct buf out;
	size_t out_at;
	size_t held;   /* bytes of the body the owner has not let go of */
	bool out_end;  /* no more will be written */
	bool deferred; /* nghttp2 waits for h2_write */
	bool full;     /* the owner waits for `drained` */
	bool told;     /* the owner knows of it */
	bool got_head, answered, got_end;
};

/* ---- streams ---- */

static struct h2_stream *stream_new(struct h2 *h, int32_t id, void *owner)
{
	struct h2_stream *st = mem_new(struct h2_stream);

	*st = (struct h2_stream){ .h = h, .id = id, .owner = owner, .out.max = h->cfg.out_max };
	list_append(&h->streams, &st->link);
	h->n_streams++;
	return st;
}

static void stream_close(struct h2_stream *st, int why)
{
	struct h2 *h = st->h;

	list_remove(&st->link);
	h->n_streams--;
	if (st->told)
		h->ops->closed(h->owner, st, why);
	buf_done(&st->out);
	free(st);
}

static struct h2_stream *find(struct h2 *h, int32_t id)
{
	return nghttp2_session_get_stream_user_data(h->session, id);
}

/* ---- what nghttp2 tells ---- */

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
	struct h2 *h = user;

	buf_clear(&h->text);
	h->fields.n = 0;
	h->head_too_big = false;
	if (frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
		struct h2_stream *st = stream_new(h, frame->hd.stream_id, NULL);

		(void)nghttp2_session_set_stream_user_data(session, st->id, st);
	}
	return 0;
}

static uint32_t keep_text(struct h2 *h, nghttp2_rcbuf *rc)
{
	nghttp2_vec v = nghttp2_rcbuf_get_buf(rc);
	uint32_t at = (uint32_t)h->text.n;

	buf_add(&h->text, v.base, v.len);
	return at;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, nghttp2_rcbuf *name,
                     nghttp2_rcbuf *value, uint8_t flags, void *user)
{
	struct h2 *h = user;
	size_t n = nghttp2_rcbuf_get_buf(name).len, v = nghttp2_rcbuf_get_buf(value).len;

	(void)session;
	(void)frame;
	(void)flags;
	/* Six more than a head has room for: the pseudo fields. */
	if (h->fields.n >= HTTP_FIELDS_MAX + 6 || n > HTTP_NAME_MAX || v > HTTP_HEAD_MAX ||
	    h->text.n + n + v > HTTP_HEAD_MAX) {
		h->head_too_big = true;
		return 0;
	}

	struct got_field *f = vec_add(&h->fields);

	f->name_n = (uint32_t)n;
	f->value_n = (uint32_t)v;
	f->name = keep_text(h, name);
	f->value = keep_text(h, value);
	return 0;
}

static int set_pseudo(struct http_head *head, struct span name, struct span value)
{
	uint64_t status;

	if (span_is(name, ":method"))
		head->method = value;
	else if (span_is(name, ":path"))
		head->target = value;
	else if (span_is(name, ":authority"))
		head->authority = value;
	else if (span_is(name, ":scheme"))
		head->scheme = value;
	else if (span_is(name, ":status") && span_u64(value, 999, &status) == 0)
		head->status = (unsigned)status;
	return 0;
}

static int read_head(const struct h2 *h, struct http_head *ret)
{
	ret->n_fields = 0;
	ret->method = ret->target = ret->authority = ret->scheme = ret->reason = (struct span){ 0 };
	ret->status = ret->minor = 0;
	for (size_t i = 0; i < h->fields.n; i++) {
		const struct got_field *f = &h->fields.v[i];
		struct span name = span(h->text.p + f->name, f->name_n);
		struct span value = span(h->text.p + f->value, f->value_n);
		int r = name.n && name.p[0] == ':' ? set_pseudo(ret, name, value)
		                                   : http_add(ret, name, value);

		if (r < 0)
			return r;
	}
	/* A request may name its host the old way. */
	if (!ret->authority.p)
		ret->authority = http_find(ret, "host");
	return 0;
}

static void refuse_head(struct h2_stream *st)
{
	if (st->h->cfg.side == H2_SERVER && !st->answered) {
		struct http_head head = { .status = 431 };

		if (h2_respond(st, &head, true) == 0)
			return;
	}
	h2_reset(st, H2_ENHANCE_YOUR_CALM);
}

static void got_head(struct h2 *h, struct h2_stream *st)
{
	struct http_head head;

	if (st->got_head)
		return; /* trailers: nobody needs them */
	if (h->head_too_big || h->text.full || read_head(h, &head) < 0) {
		refuse_head(st);
		return;
	}
	if (h->cfg.side == H2_CLIENT && head.status / 100 == 1)
		return;
	st->got_head = st->told = true;
	h->ops->head(h->owner, st, &head);
}

static void got_end(struct h2 *h, struct h2_stream *st)
{
	if (!st->got_head || st->got_end)
		return;
	st->got_end = true;
	h->ops->end(h->owner, st);
}

static void got_ping(struct h2 *h, const nghttp2_frame *frame)
{
	if ((frame->hd.flags & NGHTTP2_FLAG_ACK) && h->ops->pong)
		h->ops->pong(h->owner);
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
	struct h2 *h = user;
	struct h2_stream *st = find(h, frame->hd.stream_id);
	int32_t id = frame->hd.stream_id;

	(void)session;
	if (frame->hd.type == NGHTTP2_PING)
		got_ping(h, frame);
	if (frame->hd.type == NGHTTP2_GOAWAY && h->ops->goaway)
		h->ops->goaway(h->owner);
	if (!st || (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA))
		return 0;
	if (frame->hd.type == NGHTTP2_HEADERS) {
		got_head(h, st);
		/* Between heads an idle session holds nothing. */
		buf_done(&h->text);
		vec_done(&h->fields);
	}
	if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) && find(h, id) == st)
		got_end(h, st);
	return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data,
                   size_t n, void *user)
{
	struct h2 *h = user;
	struct h2_stream *st = find(h, id);
	size_t done = n;

	(void)flags;
	if (st && st->got_head)
		done = h->ops->body(h->owner, st, span(data, n));
	assert(done <= n);
	if (st)
		st->held += n - done;
	(void)nghttp2_session_consume(session, id, done);
	return 0;
}

static int on_close(nghttp2_session *session, int32_t id, uint32_t code, void *user)
{
	struct h2 *h = user;
	struct h2_stream *st = find(h, id);

	if (!st)
		return 0;
	(void)nghttp2_session_set_stream_user_data(session, id, NULL);
	/* What nobody will let go of any more would narrow the session's window for good. */
	(void)nghttp2_session_consume_connection(session, st->held);
	stream_close(st, code == NGHTTP2_NO_ERROR ? 0 : ERR_CLOSED);
	return 0;
}

/* ---- bodies to send ---- */

static size_t queued(const struct h2_stream *st)
{
	return st->out.n - st->out_at;
}

static void took(struct h2_stream *st, size_t n)
{
	st->out_at += n;
	if (queued(st) == 0) {
		buf_done(&st->out);
		st->out_at = 0;
	}
}

/*
 * A frame that fits the first page of the session's buffer, which counts with
 * many thousand idle connections, and one record of the control protocol's Noise.
 */
enum { DATA_MAX = 4096 - 3 - 16 - 9 };

static ssize_t on_read_body(nghttp2_session *session, int32_t id, uint8_t *dst, size_t cap,
                            uint32_t *flags, nghttp2_data_source *source, void *user)
{
	struct h2_stream *st = source->ptr;
	size_t most = cap < DATA_MAX ? cap : DATA_MAX;
	size_t n = queued(st) < most ? queued(st) : most;

	(void)session;
	(void)id;
	(void)user;
	if (n == 0 && !st->out_end) {
		st->deferred = true;
		return NGHTTP2_ERR_DEFERRED;
	}
	if (n > 0) {
		memcpy(dst, st->out.p + st->out_at, n);
		took(st, n);
	}
	if (st->out_end && queued(st) == 0)
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	return (ssize_t)n;
}

static void tell_drained(struct h2 *h)
{
	struct h2_stream *st, *next;

	if (!h->ops->drained)
		return;
	list_each_safe(st, next, &h->streams, link) {
		if (!st->full || queued(st) > h->cfg.out_high / 2)
			continue;
		st->full = false;
		h->ops->drained(h->owner, st);
	}
}

/* ---- memory ---- */

/*
 * nghttp2 builds what it sends in a buffer of 16 KiB that a session keeps. As
 * pages of its own, only the first of them is ever touched (see DATA_MAX).
 */
enum { FRAME_MIN = 16 << 10, FRAME_MAX = 17 << 10 };

/* The session's first block of that size; nghttp2 asks for it with realloc. */
static void *ng_realloc(void *p, size_t n, void *user)
{
	struct h2 *h = user;

	assert(!p || p != h->frame);
	if (p || h->frame || n < FRAME_MIN || n > FRAME_MAX)
		return realloc(p, n);
	h->frame_n = n;
	h->frame = mem_map(n);
	return h->frame;
}

static void *ng_malloc(size_t n, void *user)
{
	(void)user;
	return malloc(n);
}

static void ng_free(void *p, void *user)
{
	struct h2 *h = user;

	if (p && p == h->frame)
		mem_unmap(TAKE(h->frame), h->frame_n);
	else
		free(p);
}

static void *ng_calloc(size_t count, size_t n, void *user)
{
	(void)user;
	return calloc(count, n);
}

/* ---- the session ---- */

static void set_callbacks(nghttp2_session_callbacks *cb)
{
	nghttp2_session_callbacks_set_on_begin_headers_callback(cb, on_begin_headers);
	nghttp2_session_callbacks_set_on_header_callback2(cb, on_header);
	nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data);
	nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_close);
}

static void open_session(struct h2 *h)
{
	nghttp2_session_callbacks *cb = NULL;
	nghttp2_option *opt = NULL;
	nghttp2_mem mem = { h, ng_malloc, ng_free, ng_calloc, ng_realloc };
	int r = nghttp2_session_callbacks_new(&cb);

	if (r == 0)
		r = nghttp2_option_new(&opt);
	assert(r == 0); /* memory */
	set_callbacks(cb);
	nghttp2_option_set_no_auto_window_update(opt, 1);
	nghttp2_option_set_no_closed_streams(opt, 1);
	nghttp2_option_set_peer_max_concurrent_streams(opt, 100);
	r = h->cfg.side == H2_SERVER ? nghttp2_session_server_new3(&h->session, cb, h, opt, &mem)
	                             : nghttp2_session_client_new3(&h->session, cb, h, opt, &mem);
	assert(r == 0);
	nghttp2_option_del(opt);
	nghttp2_session_callbacks_del(cb);
}

static void send_settings(struct h2 *h)
{
	nghttp2_settings_entry s[] = {
		{ NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, h->cfg.stream_window },
		{ NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, HTTP_HEAD_MAX },
		{ NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, h->cfg.max_streams },
		{ NGHTTP2_SETTINGS_ENABLE_PUSH, 0 },
	};
	/* A server that says anything about push is in error (RFC 9113 s.6.5.2). */
	size_t n = h->cfg.side == H2_SERVER ? 3 : 4;

	(void)nghttp2_submit_settings(h->session, NGHTTP2_FLAG_NONE, s, n);
	(void)nghttp2_session_set_local_window_size(h->session, NGHTTP2_FLAG_NONE, 0,
	                                            (int32_t)h->cfg.session_window);
}

struct h2 *h2_new(const struct h2_cfg *cfg, const struct h2_ops *ops, void *owner)
{
	struct h2 *h = mem_new(struct h2);

	h->cfg = *cfg;
	h->cfg.max_streams = cfg->max_streams ? cfg->max_streams : H2_STREAMS;
	h->cfg.stream_window = cfg->stream_window ? cfg->stream_window : H2_STREAM_WINDOW;
	h->cfg.session_window = cfg->session_window ? cfg->session_window : H2_SESSION_WINDOW;
	h->cfg.out_max = cfg->out_max ? cfg->out_max : H2_OUT_MAX;
	h->cfg.out_high = cfg->out_high ? cfg->out_high : H2_OUT_HIGH;
	h->ops = ops;
	h->owner = owner;
	h->text.max = HTTP_HEAD_MAX;
	list_init(&h->streams);
	open_session(h);
	send_settings(h);
	return h;
}

void h2_free(struct h2 *h)
{
	if (!h)
		return;
	h->broken = true;
	while (!list_empty(&h->streams)) {
		struct h2_stream *st = list_first(&h->streams, struct h2_stream, link);

		(void)nghttp2_session_set_stream_user_data(h->session, st->id, NULL);
		stream_close(st, ERR_CLOSED);
	}
	nghttp2_session_del(h->session);
	buf_done(&h->text);
	vec_done(&h->fields);
	free(h);
}

int h2_recv(struct h2 *h, struct span bytes)
{
	if (h->broken)
		return ERR_MALFORMED;

	ssize_t n = nghttp2_session_mem_recv(h->session, bytes.p, bytes.n);

	if (n == (ssize_t)bytes.n)
		return 0;
	h->broken = true;
	return ERR_MALFORMED;
}

int h2_send(struct h2 *h, struct buf *ret, size_t max)
{
	while (ret->n < max) {
		const uint8_t *p;
		ssize_t n = nghttp2_session_mem_send(h->session, &p);

		if (n < 0)
			return ERR_MALFORMED;
		if (n == 0)
			break;
		buf_add(ret, p, (size_t)n);
	}
	tell_drained(h);
	return buf_ok(ret);
}

bool h2_has_output(const struct h2 *h)
{
	return nghttp2_session_want_write(h->session);
}

bool h2_is_over(const struct h2 *h)
{
	return !nghttp2_session_want_write(h->session) &&
	       (h->broken || !nghttp2_session_want_read(h->session));
}

size_t h2_n_streams(const struct h2 *h)
{
	return h->n_streams;
}

void h2_shutdown(struct h2 *h)
{
	int32_t last = nghttp2_session_get_last_proc_stream_id(h->session);

	(void)nghttp2_submit_goaway(h->session, NGHTTP2_FLAG_NONE, last, NGHTTP2_NO_ERROR, NULL, 0);
}

void h2_ping(struct h2 *h)
{
	(void)nghttp2_submit_ping(h->session, NGHTTP2_FLAG_NONE, NULL);
}

/* ---- heads to send ---- */

enum { NV_MAX = HTTP_FIELDS_MAX + 4 };

struct nv_list {
	nghttp2_nv v[NV_MAX];
	size_t n;
	struct buf names; /* lower case; sized before, so that it does not move */
};

static void nv_add(struct nv_list *l, struct span name, struct span value)
{
	l->v[l->n++] = (nghttp2_nv){ .name = (uint8_t *)(uintptr_t)name.p,
		                     .value = (uint8_t *)(uintptr_t)value.p,
		                     .namelen = name.n,
		                     .valuelen = value.n };
}

/* Fields of the connection have no place in HTTP/2 (RFC 9113 s.8.2.2). */
static bool is_hop_by_hop(struct span name)
{
	return span_is_nocase(name, "connection") || span_is_nocase(name, "keep-alive") ||
	       span_is_nocase(name, "transfer-encoding") || span_is_nocase(name, "upgrade") ||
	       span_is_nocase(name, "proxy-connection") || span_is_nocase(name, "host");
}

static struct span lower_case(struct buf *b, struct span name)
{
	size_t at = b->n;

	for (size_t i = 0; i < name.n; i++) {
		uint8_t c = name.p[i];

		buf_add_u8(b, c >= 'A' && c <= 'Z' ? c | 0x20 : c);
	}
	return span(b->p + at, name.n);
}

static int nv_fields(struct nv_list *l, const struct http_head *head)
{
	size_t total = 0;

	for (size_t i = 0; i < head->n_fields; i++)
		total += head->field[i].name.n;
	(void)buf_room(&l->names, total);
	for (size_t i = 0; i < head->n_fields; i++) {
		struct http_field f = head->field[i];

		if (!http_is_token(f.name) || !http_is_value(f.value))
			return ERR_MALFORMED;
		if (!is_hop_by_hop(f.name))
			nv_add(l, lower_case(&l->names, f.name), f.value);
	}
	return 0;
}

static nghttp2_data_provider body_of(struct h2_stream *st)
{
	return (nghttp2_data_provider){ .source.ptr = st, .read_callback = on_read_body };
}

static int from_nghttp2(int r)
{
	return r == NGHTTP2_ERR_NOMEM ? -ENOMEM : ERR_CLOSED;
}

static int submit_request(struct h2_stream *st, const struct nv_list *l, bool end)
{
	nghttp2_data_provider body = body_of(st);
	int32_t id = nghttp2_submit_request(st->h->session, NULL, l->v, l->n, end ? NULL : &body,
	                                    st);

	if (id < 0)
		return from_nghttp2(id);
	st->id = id;
	return 0;
}

int h2_request(struct h2 *h, const struct http_head *head, bool end, void *stream_owner,
               struct h2_stream **ret)
{
	struct nv_list l = { .n = 0 };
	int r;

	if (h->broken || !nghttp2_session_check_request_allowed(h->session))
		return ERR_CLOSED;
	if (h->n_streams >= H2_STREAMS_AHEAD)
		return ERR_LIMIT;
	nv_add(&l, SPAN_LIT(":method"), head->method);
	nv_add(&l, SPAN_LIT(":scheme"), head->scheme.n ? head->scheme : SPAN_LIT("https"));
	nv_add(&l, SPAN_LIT(":authority"), head->authority);
	nv_add(&l, SPAN_LIT(":path"), head->target);
	r = nv_fields(&l, head);
	if (r == 0) {
		struct h2_stream *st = stream_new(h, 0, stream_owner);

		st->answered = true;
		st->out_end = end;
		r = submit_request(st, &l, end);
		if (r < 0) {
			stream_close(st, r);
		} else {
			st->told = true;
			*ret = st;
		}
	}
	buf_done(&l.names);
	return r;
}

int h2_respond(struct h2_stream *st, const struct http_head *head, bool end)
{
	struct nv_list l = { .n = 0 };
	nghttp2_data_provider body = body_of(st);
	char status[8];
	int r;

	if (st->answered || st->h->cfg.side != H2_SERVER)
		return ERR_BADSTATE;
	(void)snprintf(status, sizeof(status), "%03u", head->status % 1000);
	nv_add(&l, SPAN_LIT(":status"), span_str(status));
	r = nv_fields(&l, head);
	if (r == 0) {
		r = nghttp2_submit_response(st->h->session, st->id, l.v, l.n, end ? NULL : &body);
		r = r < 0 ? from_nghttp2(r) : 0;
	}
	buf_done(&l.names);
	if (r == 0) {
		st->answered = true;
		st->out_end = end;
	}
	return r;
}

int h2_write(struct h2_stream *st, struct span bytes, bool end)
{
	struct h2 *h = st->h;

	if (!st->answered || st->out_end)
		return ERR_BADSTATE;
	if (bytes.n > h->cfg.out_max - queued(st))
		return ERR_LIMIT;
	if (st->out_at > 0 && st->out_at >= st->out.n / 2) {
		buf_drop(&st->out, st->out_at);
		st->out_at = 0;
	}
	st->out.max = h->cfg.out_max + st->out_at;
	buf_add_span(&st->out, bytes);
	st->out_end = end;
	if (st->deferred) {
		st->deferred = false;
		(void)nghttp2_session_resume_data(h->session, st->id);
	}
	if (queued(st) < h->cfg.out_high)
		return 0;
	st->full = true;
	return H2_FULL;
}

void h2_consume(struct h2_stream *st, size_t n)
{
	assert(n <= st->held);
	st->held -= n;
	(void)nghttp2_session_consume(st->h->session, st->id, n);
}

void h2_reset(struct h2_stream *st, enum h2_code code)
{
	(void)nghttp2_submit_rst_stream(st->h->session, NGHTTP2_FLAG_NONE, st->id, code);
}

size_t h2_queued(const struct h2_stream *st)
{
	return queued(st);
}

void *h2_stream_owner(const struct h2_stream *st)
{
	return st->owner;
}

void h2_stream_set_owner(struct h2_stream *st, void *owner)
{
	st->owner = owner;
}

struct h2 *h2_stream_session(const struct h2_stream *st)
{
	return st->h;
}
