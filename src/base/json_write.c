#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/enc.h"
#include "base/json.h"

static void new_line(struct js_wr *w)
{
	if (!w->indent)
		return;
	buf_add_u8(w->out, '\n');
	for (unsigned i = 0; i < w->depth; i++)
		buf_add_str(w->out, w->indent);
}

/* Whatever must stand before a value or a name. */
static void lead(struct js_wr *w)
{
	if (w->after_key) {
		w->after_key = false;
		return;
	}
	if (w->more)
		buf_add_u8(w->out, ',');
	if (w->depth)
		new_line(w);
	w->more = true;
}

void js_wr_open(struct js_wr *w, enum js_kind kind)
{
	lead(w);
	buf_add_u8(w->out, kind == JS_OBJECT ? '{' : '[');
	w->depth++;
	w->more = false;
}

void js_wr_close(struct js_wr *w, enum js_kind kind)
{
	w->depth--;
	if (w->more)
		new_line(w);
	buf_add_u8(w->out, kind == JS_OBJECT ? '}' : ']');
	w->more = true;
}

static bool is_html(uint8_t c)
{
	return c == '<' || c == '>' || c == '&';
}

static void add_escaped(struct buf *b, uint8_t c)
{
	static const char from[] = "\"\\\b\f\n\r\t", to[] = "\"\\bfnrt";
	const char *at = c ? strchr(from, c) : NULL;

	if (at)
		buf_fmt(b, "\\%c", to[at - from]);
	else
		buf_fmt(b, "\\u%04x", c);
}

/* The length of the UTF-8 sequence at the start of s, which is not ASCII; 0 if it is none. */
static size_t sequence_len(struct span s)
{
	size_t n = s.p[0] >= 0xf0 ? 4 : s.p[0] >= 0xe0 ? 3 : 2;
	uint32_t c = s.p[0] & (0x7fu >> n);
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };

	if (s.p[0] < 0xc2 || s.p[0] > 0xf4 || n > s.n)
		return 0;
	for (size_t i = 1; i < n; i++) {
		if ((s.p[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (s.p[i] & 0x3f);
	}
	return c >= least[n] && c <= 0x10ffff && (c < 0xd800 || c > 0xdfff) ? n : 0;
}

static size_t add_sequence(struct js_wr *w, struct span s)
{
	size_t n = sequence_len(s);

	if (n == 0)
		buf_add_str(w->out, "\\ufffd");
	else if (n == 3 && s.p[0] == 0xe2 && s.p[1] == 0x80 && (s.p[2] & 0xfe) == 0xa8)
		buf_fmt(w->out, "\\u20%02x", s.p[2] - 0x80);
	else
		buf_add(w->out, s.p, n);
	return n ? n : 1;
}

static void add_string(struct js_wr *w, struct span s)
{
	size_t from = 0, i = 0;

	buf_add_u8(w->out, '"');
	while (i < s.n) {
		uint8_t c = s.p[i];

		if (c >= 0x20 && c < 0x80 && c != '"' && c != '\\' && (w->plain || !is_html(c))) {
			i++;
			continue;
		}
		buf_add(w->out, s.p + from, i - from);
		if (c < 0x80) {
			add_escaped(w->out, c);
			i++;
		} else {
			i += add_sequence(w, span_from(s, i));
		}
		from = i;
	}
	if (s.n > from)
		buf_add(w->out, s.p + from, s.n - from);
	buf_add_u8(w->out, '"');
}

void js_wr_key_span(struct js_wr *w, struct span name)
{
	lead(w);
	add_string(w, name);
	buf_add_str(w->out, w->indent ? ": " : ":");
	w->after_key = true;
}

void js_wr_key(struct js_wr *w, const char *name)
{
	js_wr_key_span(w, span_str(name));
}

void js_wr_null(struct js_wr *w)
{
	js_wr_raw(w, SPAN_LIT("null"));
}

void js_wr_bool(struct js_wr *w, bool v)
{
	js_wr_raw(w, v ? SPAN_LIT("true") : SPAN_LIT("false"));
}

void js_wr_int(struct js_wr *w, int64_t v)
{
	lead(w);
	buf_fmt(w->out, "%lld", (long long)v);
}

void js_wr_uint(struct js_wr *w, uint64_t v)
{
	lead(w);
	buf_fmt(w->out, "%llu", (unsigned long long)v);
}

void js_wr_double(struct js_wr *w, double v)
{
	char text[40];

	lead(w);
	if (!isfinite(v))
		v = 0;
	for (int digits = 1; digits <= 17; digits++) {
		(void)snprintf(text, sizeof(text), "%.*g", digits, v);
		if (strtod(text, NULL) == v)
			break;
	}
	buf_add_str(w->out, text);
}

void js_wr_span(struct js_wr *w, struct span s)
{
	lead(w);
	add_string(w, s);
}

void js_wr_str(struct js_wr *w, const char *s)
{
	js_wr_span(w, span_str(s));
}

void js_wr_raw(struct js_wr *w, struct span json)
{
	lead(w);
	buf_add_span(w->out, json);
}

void js_wr_base64(struct js_wr *w, struct span bytes)
{
	AUTO_FREE char *text = mem_alloc(BASE64_LEN(bytes.n) + 1);

	js_wr_str(w, base64_encode(text, bytes.p, bytes.n));
}

static void write_members(struct js_wr *w, const struct js *v)
{
	js_wr_open(w, v->kind);
	for (const struct js *m = v->first; m; m = m->next) {
		if (v->kind == JS_OBJECT)
			js_wr_key_span(w, m->key);
		js_wr_tree(w, m);
	}
	js_wr_close(w, v->kind);
}

void js_wr_tree(struct js_wr *w, const struct js *v)
{
	switch (v->kind) {
	case JS_NULL:
		js_wr_null(w);
		break;
	case JS_BOOL:
		js_wr_bool(w, v->truth);
		break;
	case JS_NUMBER:
		js_wr_raw(w, v->text);
		break;
	case JS_STRING:
		js_wr_span(w, v->text);
		break;
	case JS_ARRAY:
	case JS_OBJECT:
		write_members(w, v);
		break;
	}
}

void js_wr_kv_str(struct js_wr *w, const char *name, const char *s)
{
	js_wr_key(w, name);
	js_wr_str(w, s);
}

void js_wr_kv_span(struct js_wr *w, const char *name, struct span s)
{
	js_wr_key(w, name);
	js_wr_span(w, s);
}

void js_wr_kv_int(struct js_wr *w, const char *name, int64_t v)
{
	js_wr_key(w, name);
	js_wr_int(w, v);
}

void js_wr_kv_bool(struct js_wr *w, const char *name, bool v)
{
	js_wr_key(w, name);
	js_wr_bool(w, v);
}
