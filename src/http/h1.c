#include "http/h1.h"

#include <stdio.h>

#include "base/err.h"

/* What is expected next. */
enum state {
	AT_HEAD,
	IN_LENGTH,  /* `left` bytes of a body */
	IN_FOREVER, /* a body until the connection ends */
	AT_CHUNK,   /* a chunk's size line */
	IN_CHUNK,
	AFTER_CHUNK, /* CR LF */
	IN_TRAILER,
	AT_END, /* H1_END is due */
	RAW,
	SPENT,
};

void h1_reader_init(struct h1_reader *r, enum h1_kind kind)
{
	*r = (struct h1_reader){ .kind = kind };
}

static int refuse(struct h1_reader *r, unsigned status, int why)
{
	r->refuse = status;
	r->state = SPENT;
	return why;
}

static int malformed(struct h1_reader *r)
{
	return refuse(r, 400, ERR_MALFORMED);
}

/* ---- lines ---- */

/*
 * The line at the front without its CR LF; ret_used counts both. 0: no whole
 * line yet. A line feed alone, or a carriage return within, is ERR_MALFORMED.
 */
static int cut_line(struct span in, size_t max, struct span *ret, size_t *ret_used)
{
	size_t at = span_find(span_first(in, max + 2), '\n');

	if (at >= in.n || at > max + 1)
		return in.n >= max + 2 ? ERR_LIMIT : 0;
	if (at == 0 || in.p[at - 1] != '\r')
		return ERR_MALFORMED;
	if (span_find(span_first(in, at), '\r') != at - 1)
		return ERR_MALFORMED;
	*ret = span_first(in, at - 1);
	*ret_used = at + 1;
	return 1;
}

/*
 * Where the head ends, or 0 if it has not; r->scanned remembers how far we
 * looked, so that a head that comes byte by byte costs no square.
 */
static int find_head_end(struct h1_reader *r, struct span in, size_t *ret)
{
	size_t at = r->scanned;

	for (;;) {
		at += span_find(span_from(in, at), '\n');
		if (at >= in.n)
			break;
		if (at == 0 || in.p[at - 1] != '\r')
			return malformed(r);
		if (at >= HTTP_HEAD_MAX)
			return refuse(r, 431, ERR_LIMIT);
		if (at >= 3 && in.p[at - 2] == '\n') {
			r->scanned = 0;
			*ret = at + 1;
			return 1;
		}
		at++;
	}
	r->scanned = (uint32_t)in.n;
	if (in.n >= HTTP_HEAD_MAX)
		return refuse(r, 431, ERR_LIMIT);
	if (in.n >= H1_LINE_MAX + 2 &&
	    span_find(span_first(in, H1_LINE_MAX + 2), '\n') == H1_LINE_MAX + 2)
		return refuse(r, 414, ERR_LIMIT);
	return 0;
}

/* ---- first lines ---- */

static bool is_target(struct span s)
{
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] <= 0x20 || s.p[i] == 0x7f)
			return false;
	}
	return s.n > 0;
}

static int read_version(struct h1_reader *r, struct span s, struct http_head *h)
{
	if (span_is(s, "HTTP/1.1") || span_is(s, "HTTP/1.0")) {
		h->minor = s.p[7] - '0';
		return 0;
	}
	if (s.n == 8 && span_starts(s, "HTTP/"))
		return refuse(r, 505, ERR_VERSION);
	return malformed(r);
}

static int read_request_line(struct h1_reader *r, struct span line, struct http_head *h)
{
	size_t a = span_find(line, ' ');
	struct span rest = span_from(line, a + 1);
	size_t b = span_find(rest, ' ');

	h->method = span_first(line, a);
	h->target = span_first(rest, b);
	if (a == line.n || b == rest.n || !http_is_token(h->method) || !is_target(h->target))
		return malformed(r);
	if (h->method.n > H1_METHOD_MAX)
		return refuse(r, 501, ERR_LIMIT);
	return read_version(r, span_from(rest, b + 1), h);
}

static int read_status_line(struct h1_reader *r, struct span line, struct http_head *h)
{
	uint64_t status;
	int e = read_version(r, span_first(line, 8), h);

	if (e < 0)
		return e;
	/* "HTTP/1.1 200", a space, and a reason that may be empty. Go omits the space with it. */
	if (line.n < 12 || line.p[8] != ' ' || (line.n > 12 && line.p[12] != ' '))
		return malformed(r);
	if (span_u64(span(line.p + 9, 3), 999, &status) < 0 || status < 100)
		return malformed(r);
	h->status = (unsigned)status;
	h->reason = span_from(line, 13);
	return http_is_value(h->reason) ? 0 : malformed(r);
}

/* ---- fields ---- */

static int read_field(struct h1_reader *r, struct span line, struct http_head *h)
{
	size_t colon = span_find(line, ':');
	struct span name = span_first(line, colon);
	struct span value = span_trim(span_from(line, colon + 1));

	if (colon == line.n || !http_is_token(name) || !http_is_value(value))
		return malformed(r);
	if (name.n > HTTP_NAME_MAX || http_add(h, name, value) < 0)
		return refuse(r, 431, ERR_LIMIT);
	return 0;
}

static int read_lines(struct h1_reader *r, struct span in, struct http_head *h)
{
	struct span line;
	size_t used;
	int e = cut_line(in, H1_LINE_MAX, &line, &used);

	if (e <= 0)
		return e == ERR_MALFORMED ? malformed(r) : refuse(r, 414, ERR_LIMIT);
	e = r->kind == H1_REQUEST ? read_request_line(r, line, h) : read_status_line(r, line, h);
	while (e == 0) {
		in = span_from(in, used);
		if (cut_line(in, HTTP_HEAD_MAX, &line, &used) <= 0)
			return malformed(r);
		if (line.n == 0)
			break;
		e = read_field(r, line, h);
	}
	return e;
}

/* ---- what the fields mean ---- */

static int read_length(struct h1_reader *r, const struct http_head *h)
{
	struct span te = http_find(h, "transfer-encoding");
	struct span cl = http_find(h, "content-length");

	r->chunked = false;
	r->length = 0;
	if (te.p) {
		if (cl.p || h->minor == 0 || http_count(h, "transfer-encoding") > 1)
			return malformed(r);
		if (!span_is_nocase(te, "chunked"))
			return refuse(r, 501, ERR_UNKNOWN);
		r->chunked = true;
	}
	if (cl.p) {
		if (http_count(h, "content-length") > 1)
			return malformed(r);
		if (span_u64(cl, H1_BODY_MAX, &r->length) < 0)
			return malformed(r);
	}
	return 0;
}

static void read_connection(struct h1_reader *r, const struct http_head *h)
{
	r->keep_alive = h->minor == 1 ? !http_has_token(h, "connection", "close")
	                              : http_has_token(h, "connection", "keep-alive");
}

static int check_request(struct h1_reader *r, struct http_head *h)
{
	struct span expect = http_find(h, "expect");
	size_t hosts = http_count(h, "host");

	if (hosts > 1 || (hosts == 0 && h->minor == 1))
		return malformed(r);
	h->authority = http_find(h, "host");
	r->wants_continue = false;
	if (expect.p && !span_is_nocase(expect, "100-continue"))
		return refuse(r, 417, ERR_UNKNOWN);
	r->wants_continue = expect.p && h->minor == 1;
	r->has_body = r->chunked || r->length > 0;
	return 0;
}

static void begin_body(struct h1_reader *r)
{
	if (r->chunked)
		r->state = AT_CHUNK;
	else
		r->state = r->length ? IN_LENGTH : AT_END;
	r->left = r->length;
}

static void begin_response_body(struct h1_reader *r, const struct http_head *h)
{
	bool has_length = http_find(h, "content-length").p;

	if (h->status == 101 || (r->answers_connect && h->status / 100 == 2)) {
		r->state = RAW;
	} else if (r->answers_head || !http_status_has_body(h->status)) {
		r->chunked = false;
		r->state = AT_END;
	} else if (r->chunked || has_length) {
		begin_body(r);
	} else {
		r->state = IN_FOREVER;
		r->keep_alive = false;
	}
	r->has_body = r->state != AT_END && r->state != RAW;
}

/* 100, 102, 103: read and forgotten. */
static bool is_interim(const struct h1_reader *r, const struct http_head *h)
{
	return r->kind == H1_RESPONSE && h->status / 100 == 1 && h->status != 101;
}

static int read_head(struct h1_reader *r, struct span in, struct http_head *h)
{
	h->n_fields = 0;
	h->method = h->target = h->authority = h->scheme = h->reason = (struct span){ 0 };
	h->status = 0;

	int e = read_lines(r, in, h);

	if (e == 0)
		e = read_length(r, h);
	if (e < 0)
		return e;
	read_connection(r, h);
	if (r->kind == H1_REQUEST) {
		e = check_request(r, h);
		if (e == 0)
			begin_body(r);
		return e;
	}
	if (is_interim(r, h))
		return ++r->interim > H1_INTERIM_MAX ? malformed(r) : 0;
	r->interim = 0;
	begin_response_body(r, h);
	return 0;
}

static int step_head(struct h1_reader *r, struct span in, struct http_head *h, struct h1_step *ret)
{
	size_t end;

	/* One empty line before a request is forgiven (RFC 9112 s.2.2). */
	if (r->kind == H1_REQUEST && r->scanned <= 1 && in.n >= 1 && in.p[0] == '\r') {
		if (in.n < 2)
			return 0;
		if (in.p[1] != '\n' || r->interim++ > 0)
			return malformed(r);
		r->scanned = 0;
		ret->used = 2;
		return 0;
	}

	int e = find_head_end(r, in, &end);

	if (e <= 0)
		return e;
	e = read_head(r, span_first(in, end), h);
	if (e < 0)
		return e;
	ret->used = end;
	if (is_interim(r, h))
		return 0;
	r->interim = 0;
	ret->event = H1_HEAD;
	return 0;
}

/* ---- bodies ---- */

static int step_bytes(struct h1_reader *r, struct span in, enum state after, struct h1_step *ret)
{
	size_t n = in.n < r->left ? in.n : (size_t)r->left;

	if (n == 0)
		return 0;
	*ret = (struct h1_step){ H1_BODY, n, span_first(in, n) };
	r->left -= n;
	if (r->left == 0)
		r->state = after;
	return 0;
}

static int hex_value(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int read_chunk_size(struct span line, uint64_t *ret)
{
	uint64_t v = 0;
	size_t i = 0;

	for (; i < line.n && hex_value(line.p[i]) >= 0; i++) {
		if (v >= H1_BODY_MAX >> 4)
			return ERR_LIMIT;
		v = v << 4 | (uint64_t)hex_value(line.p[i]);
	}
	/* After the digits an extension may follow, which nobody needs. */
	struct span rest = span_trim(span_from(line, i));

	if (i == 0 || (rest.n > 0 && rest.p[0] != ';') || !http_is_value(rest))
		return ERR_MALFORMED;
	*ret = v;
	return 0;
}

static int step_chunk_size(struct h1_reader *r, struct span in, struct h1_step *ret)
{
	struct span line;
	size_t used;
	int e = cut_line(in, H1_CHUNK_LINE_MAX, &line, &used);

	if (e == 0)
		return 0;
	if (e > 0)
		e = read_chunk_size(line, &r->left);
	if (e < 0)
		return refuse(r, 400, e);
	ret->used = used;
	r->trailer = 0;
	r->state = r->left ? IN_CHUNK : IN_TRAILER;
	return 0;
}

static int step_after_chunk(struct h1_reader *r, struct span in, struct h1_step *ret)
{
	if (in.n < 2)
		return in.n == 1 && in.p[0] != '\r' ? malformed(r) : 0;
	if (in.p[0] != '\r' || in.p[1] != '\n')
		return malformed(r);
	ret->used = 2;
	r->state = AT_CHUNK;
	return 0;
}

static bool is_field(struct span line)
{
	size_t colon = span_find(line, ':');

	return colon < line.n && http_is_token(span_first(line, colon)) &&
	       http_is_value(span_from(line, colon + 1));
}

static int step_trailer(struct h1_reader *r, struct span in, struct h1_step *ret)
{
	struct span line;
	size_t used;
	int e = cut_line(in, H1_TRAILER_MAX, &line, &used);

	if (e == 0)
		return 0;
	if (e < 0)
		return refuse(r, e == ERR_LIMIT ? 431 : 400, e);
	r->trailer += (uint32_t)used;
	if (r->trailer > H1_TRAILER_MAX)
		return refuse(r, 431, ERR_LIMIT);
	if (line.n > 0 && !is_field(line))
		return malformed(r);
	ret->used = used;
	if (line.n == 0)
		r->state = AT_END;
	return 0;
}

/* One step of the machine; may use bytes without an event. */
static int step(struct h1_reader *r, struct span in, struct http_head *h, struct h1_step *ret)
{
	switch ((enum state)r->state) {
	case AT_HEAD:
		return step_head(r, in, h, ret);
	case IN_LENGTH:
		return step_bytes(r, in, AT_END, ret);
	case IN_FOREVER:
		if (in.n)
			*ret = (struct h1_step){ H1_BODY, in.n, in };
		return 0;
	case AT_CHUNK:
		return step_chunk_size(r, in, ret);
	case IN_CHUNK:
		return step_bytes(r, in, AFTER_CHUNK, ret);
	case AFTER_CHUNK:
		return step_after_chunk(r, in, ret);
	case IN_TRAILER:
		return step_trailer(r, in, ret);
	case AT_END:
		r->state = AT_HEAD;
		ret->event = H1_END;
		return 0;
	case RAW:
		ret->event = H1_RAW;
		return 0;
	case SPENT:
		break;
	}
	return ERR_BADSTATE;
}

int h1_read(struct h1_reader *r, struct span in, struct http_head *head, struct h1_step *ret)
{
	size_t used = 0;

	for (;;) {
		struct h1_step s = { .event = H1_MORE };
		unsigned before = r->state;
		int e = step(r, span_from(in, used), head, &s);

		if (e < 0)
			return e;
		used += s.used;
		if (s.event != H1_MORE || (s.used == 0 && r->state == before)) {
			s.used = used;
			*ret = s;
			return 0;
		}
	}
}

int h1_end_of_input(struct h1_reader *r, bool *ret_complete)
{
	enum state was = r->state;

	r->state = SPENT;
	if (was != AT_HEAD && was != IN_FOREVER && was != AT_END)
		return ERR_SHORT;
	if (was == AT_HEAD && r->scanned > 0)
		return ERR_SHORT;
	*ret_complete = was != AT_HEAD;
	return 0;
}

/* ---- writing ---- */

void h1_write_request(struct buf *b, struct span method, struct span target)
{
	buf_add_span(b, method);
	buf_add_u8(b, ' ');
	buf_add_span(b, target);
	buf_add_str(b, " HTTP/1.1\r\n");
}

void h1_write_status(struct buf *b, unsigned status)
{
	buf_fmt(b, "HTTP/1.1 %03u %s\r\n", status, http_reason(status));
}

void h1_put(struct buf *b, const char *name, const char *value)
{
	buf_fmt(b, "%s: %s\r\n", name, value);
}

void h1_put_u64(struct buf *b, const char *name, uint64_t value)
{
	buf_fmt(b, "%s: %llu\r\n", name, (unsigned long long)value);
}

int h1_put_span(struct buf *b, struct span name, struct span value)
{
	if (!http_is_token(name) || !http_is_value(value))
		return ERR_MALFORMED;
	buf_add_span(b, name);
	buf_add_str(b, ": ");
	buf_add_span(b, value);
	buf_add_str(b, "\r\n");
	return 0;
}

void h1_end_head(struct buf *b)
{
	buf_add_str(b, "\r\n");
}

void h1_chunk_head(struct buf *b, size_t n)
{
	buf_fmt(b, "%zx\r\n", n);
}

void h1_chunk_end(struct buf *b)
{
	buf_add_str(b, "\r\n");
}

void h1_last_chunk(struct buf *b)
{
	buf_add_str(b, "0\r\n\r\n");
}
