#include "base/json.h"

#include <stdlib.h>

#include "base/enc.h"
#include "base/err.h"

struct js_place js_place_of(struct span text, size_t at)
{
	struct js_place p = { 1, 1 };

	for (size_t i = 0; i < at && i < text.n; i++) {
		p.column++;
		if (text.p[i] == '\n')
			p = (struct js_place){ p.line + 1, 1 };
	}
	return p;
}

void js_rd_init(struct js_rd *r, struct arena *arena, struct span text)
{
	*r = (struct js_rd){ .text = text, .arena = arena, .budget = JS_MEMORY_MAX };
	if (text.n > JS_TEXT_MAX)
		js_rd_fail(r, ERR_LIMIT, "the text is too long");
}

int js_rd_fail(struct js_rd *r, int err, const char *why)
{
	if (r->err == 0) {
		r->err = err;
		r->why = why;
	}
	return r->err;
}

int js_rd_fault(const struct js_rd *r, struct fault *reterr)
{
	struct js_place p = js_place_of(r->text, r->at);

	return fault_set(reterr, r->err, p.line, p.column, "%s", r->why ? r->why : "malformed");
}

void *js_rd_alloc(struct js_rd *r, size_t n)
{
	if (r->err < 0)
		return NULL;
	if (n > r->budget) {
		js_rd_fail(r, ERR_LIMIT, "the values take too much memory");
		return NULL;
	}
	r->budget -= n;
	return arena_alloc(r->arena, n);
}

static bool is_space(uint8_t c)
{
	return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

/* The next byte that is not space, left where it is; 0 at the end. */
static uint8_t ahead(struct js_rd *r)
{
	if (r->err < 0)
		return 0;
	while (r->at < r->text.n && is_space(r->text.p[r->at]))
		r->at++;
	return r->at < r->text.n ? r->text.p[r->at] : 0;
}

static int want(struct js_rd *r, uint8_t c, const char *why)
{
	if (r->err < 0)
		return r->err;
	if (ahead(r) != c || r->at >= r->text.n)
		return js_rd_fail(r, ERR_MALFORMED, why);
	r->at++;
	return 0;
}

enum js_kind js_peek(struct js_rd *r)
{
	uint8_t c = ahead(r);

	if (c == '{')
		return JS_OBJECT;
	if (c == '[')
		return JS_ARRAY;
	if (c == '"')
		return JS_STRING;
	if (c == 't' || c == 'f')
		return JS_BOOL;
	if (c == '-' || (c >= '0' && c <= '9'))
		return JS_NUMBER;
	if (c != 'n')
		js_rd_fail(r, ERR_MALFORMED, "expected a value");
	return JS_NULL;
}

static bool take_word(struct js_rd *r, const char *word)
{
	struct span rest = span_from(r->text, r->at);

	if (r->err < 0 || !span_starts(rest, word))
		return false;
	r->at += strlen(word);
	return true;
}

int js_rd_null(struct js_rd *r)
{
	(void)ahead(r);
	return take_word(r, "null") ? 0 : js_rd_fail(r, ERR_MALFORMED, "expected null");
}

int js_rd_bool(struct js_rd *r, bool *ret)
{
	(void)ahead(r);
	if (take_word(r, "true"))
		*ret = true;
	else if (take_word(r, "false"))
		*ret = false;
	else
		return js_rd_fail(r, ERR_MALFORMED, "expected true or false");
	return 0;
}

/* ---- numbers ---- */

static size_t digits(struct span s)
{
	size_t n = 0;

	while (n < s.n && s.p[n] >= '0' && s.p[n] <= '9')
		n++;
	return n;
}

static bool byte_is(struct span s, size_t at, char c)
{
	return at < s.n && s.p[at] == (uint8_t)c;
}

/* The length of the number s begins with; 0 if it begins with none. */
static size_t number_len(struct span s)
{
	size_t n = byte_is(s, 0, '-');
	size_t whole = digits(span_from(s, n));

	if (whole == 0 || (whole > 1 && s.p[n] == '0'))
		return 0;
	n += whole;
	if (byte_is(s, n, '.')) {
		size_t more = digits(span_from(s, n + 1));
		if (more == 0)
			return 0;
		n += 1 + more;
	}
	if (byte_is(s, n, 'e') || byte_is(s, n, 'E')) {
		size_t sign = byte_is(s, n + 1, '+') || byte_is(s, n + 1, '-');
		size_t more = digits(span_from(s, n + 1 + sign));
		if (more == 0)
			return 0;
		n += 1 + sign + more;
	}
	return n;
}

int js_rd_number(struct js_rd *r, struct span *ret)
{
	(void)ahead(r);

	struct span rest = span_from(r->text, r->at);
	size_t n = r->err < 0 ? 0 : number_len(rest);

	if (n == 0)
		return js_rd_fail(r, ERR_MALFORMED, "expected a number");
	*ret = span_first(rest, n);
	r->at += n;
	return 0;
}

int js_rd_int(struct js_rd *r, int64_t min, int64_t max, int64_t *ret)
{
	struct span s;
	size_t before = r->at;
	int e = js_rd_number(r, &s);
	if (e < 0)
		return e;

	bool minus = s.p[0] == '-';
	uint64_t v = 0;

	e = span_u64(span_from(s, minus), minus ? (uint64_t)INT64_MAX + 1 : INT64_MAX, &v);
	if (e == 0) {
		int64_t n = minus ? (int64_t)(0 - v) : (int64_t)v;
		if (n >= min && n <= max) {
			*ret = n;
			return 0;
		}
	}
	r->at = before;
	return js_rd_fail(r, ERR_MALFORMED,
	                  e == ERR_MALFORMED ? "expected a whole number"
	                                     : "the number does not fit");
}

int js_rd_double(struct js_rd *r, double *ret)
{
	struct span s;
	char text[64];
	int e = js_rd_number(r, &s);
	if (e < 0)
		return e;
	if (s.n >= sizeof(text))
		return js_rd_fail(r, ERR_LIMIT, "the number is too long");
	memcpy(text, s.p, s.n);
	text[s.n] = 0;
	*ret = strtod(text, NULL);
	return 0;
}

/* ---- strings ---- */

/* The number of bytes of the UTF-8 sequence s begins with; 0 if it is not one. */
static size_t utf8_len(struct span s)
{
	uint8_t c = s.p[0];
	size_t n = c < 0x80 ? 1 : c < 0xc2 ? 0 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : c < 0xf5 ? 4 : 0;

	if (n > s.n)
		return 0;
	for (size_t i = 1; i < n; i++)
		if ((s.p[i] & 0xc0) != 0x80)
			return 0;
	if ((c == 0xe0 && s.p[1] < 0xa0) || (c == 0xed && s.p[1] > 0x9f) ||
	    (c == 0xf0 && s.p[1] < 0x90) || (c == 0xf4 && s.p[1] > 0x8f))
		return 0;
	return n;
}

static int hex4(struct span s, uint32_t *ret)
{
	uint8_t b[2];

	if (s.n < 4 || hex_decode(b, 2, span_first(s, 4)) < 0)
		return ERR_MALFORMED;
	*ret = (uint32_t)b[0] << 8 | b[1];
	return 0;
}

static size_t put_utf8(uint8_t *dst, uint32_t c)
{
	if (c < 0x80) {
		dst[0] = (uint8_t)c;
		return 1;
	}
	if (c < 0x800) {
		dst[0] = (uint8_t)(0xc0 | c >> 6);
		dst[1] = (uint8_t)(0x80 | (c & 0x3f));
		return 2;
	}
	if (c < 0x10000) {
		dst[0] = (uint8_t)(0xe0 | c >> 12);
		dst[1] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
		dst[2] = (uint8_t)(0x80 | (c & 0x3f));
		return 3;
	}
	dst[0] = (uint8_t)(0xf0 | c >> 18);
	dst[1] = (uint8_t)(0x80 | (c >> 12 & 0x3f));
	dst[2] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
	dst[3] = (uint8_t)(0x80 | (c & 0x3f));
	return 4;
}

/* s begins after "\u". How many bytes the escape takes from there; 0 if it is none. */
static size_t unescape_u(struct span s, uint32_t *ret)
{
	uint32_t c, low;

	if (hex4(s, &c) < 0)
		return 0;
	*ret = c;
	if (c < 0xd800 || c > 0xdfff)
		return 4;
	*ret = 0xfffd;
	if (c > 0xdbff || s.n < 10 || s.p[4] != '\\' || s.p[5] != 'u' ||
	    hex4(span_from(s, 6), &low) < 0 || low < 0xdc00 || low > 0xdfff)
		return 4;
	*ret = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
	return 10;
}

/* s begins after the backslash. */
static size_t unescape_one(struct span s, uint32_t *ret)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	const char *at = s.n && s.p[0] ? strchr(from, s.p[0]) : NULL;

	if (at) {
		*ret = (uint8_t)to[at - from];
		return 1;
	}
	if (s.n == 0 || s.p[0] != 'u')
		return 0;

	size_t n = unescape_u(span_from(s, 1), ret);

	return n ? n + 1 : 0;
}

/* Bytes that the character at s[i] takes inside a string; 0 if it may not stand there. */
static size_t char_len(struct span s, size_t i)
{
	uint32_t c;

	if (s.p[i] == '\\') {
		size_t n = unescape_one(span_from(s, i + 1), &c);
		return n ? n + 1 : 0;
	}
	if (s.p[i] < 0x20)
		return 0;
	return s.p[i] < 0x80 ? 1 : utf8_len(span_from(s, i));
}

/* Finds the closing quote of the string whose first byte is at r->at. */
static int string_extent(struct js_rd *r, size_t *ret_n, bool *ret_escapes)
{
	struct span s = span_from(r->text, r->at);
	size_t i = 0;

	*ret_escapes = false;
	while (i < s.n && s.p[i] != '"') {
		size_t n = char_len(s, i);

		if (n == 0) {
			r->at += i;
			return js_rd_fail(r, ERR_MALFORMED,
			                  "what stands here may not stand in a string");
		}
		*ret_escapes |= s.p[i] == '\\';
		i += n;
	}
	if (i >= s.n)
		return js_rd_fail(r, ERR_MALFORMED, "the string has no end");
	*ret_n = i;
	return 0;
}

/* Of text that string_extent passed. Escapes only ever shrink, so dst needs no more than s. */
static size_t unescape(struct span s, uint8_t *dst)
{
	size_t n = 0, i = 0;

	while (i < s.n) {
		uint32_t c = s.p[i];

		if (c != '\\') {
			dst[n++] = s.p[i++];
			continue;
		}
		i += 1 + unescape_one(span_from(s, i + 1), &c);
		n += put_utf8(dst + n, c);
	}
	return n;
}

static int read_string(struct js_rd *r, bool view, struct span *ret)
{
	size_t n = 0;
	bool escapes = false;
	int e = want(r, '"', "expected a string");

	if (e < 0 || (e = string_extent(r, &n, &escapes)) < 0)
		return e;

	struct span s = span_first(span_from(r->text, r->at), n);

	if (!view || escapes) {
		uint8_t *copy = js_rd_alloc(r, n + 1);

		if (!copy)
			return r->err;
		s = span(copy, unescape(s, copy));
	}
	r->at += n + 1;
	*ret = s;
	return 0;
}

int js_rd_string(struct js_rd *r, struct span *ret)
{
	return read_string(r, false, ret);
}

int js_rd_string_view(struct js_rd *r, struct span *ret)
{
	return read_string(r, true, ret);
}

/* ---- containers ---- */

int js_rd_enter(struct js_rd *r, enum js_kind kind)
{
	bool object = kind == JS_OBJECT;
	int e = want(r, object ? '{' : '[', object ? "expected an object" : "expected an array");
	if (e < 0)
		return e;
	if (++r->depth > JS_DEPTH_MAX)
		return js_rd_fail(r, ERR_LIMIT, "nested too deep");
	return 0;
}

/* Is the byte before r->at, space aside, the bracket that opened this container? */
static bool at_first(const struct js_rd *r)
{
	size_t i = r->at;

	while (i > 0 && is_space(r->text.p[i - 1]))
		i--;
	return i > 0 && (r->text.p[i - 1] == '[' || r->text.p[i - 1] == '{');
}

static int next_member(struct js_rd *r, uint8_t close, const char *why)
{
	bool first = r->err == 0 && at_first(r);
	uint8_t c = ahead(r);

	if (r->err < 0)
		return r->err;
	if (c == close && r->at < r->text.n) {
		r->at++;
		r->depth--;
		return 0;
	}
	if (first)
		return 1;
	return want(r, ',', why) < 0 ? r->err : 1;
}

int js_rd_next(struct js_rd *r)
{
	return next_member(r, ']', "expected , or ]");
}

int js_rd_next_key(struct js_rd *r, struct span *ret_key)
{
	int e = next_member(r, '}', "expected , or }");
	if (e <= 0)
		return e;
	if (ahead(r) != '"')
		return js_rd_fail(r, ERR_MALFORMED, "expected a name in quotes");
	r->key_at = r->at;
	e = js_rd_string_view(r, ret_key);
	if (e < 0)
		return e;
	e = want(r, ':', "expected : after the name");
	return e < 0 ? e : 1;
}

int js_rd_end(struct js_rd *r)
{
	(void)ahead(r);
	if (r->err == 0 && r->at < r->text.n)
		return js_rd_fail(r, ERR_MALFORMED, "something stands after the value");
	return r->err;
}

static int skip_value(struct js_rd *r)
{
	struct span ignored;
	bool truth;
	size_t n;
	bool escapes;
	enum js_kind kind = js_peek(r);
	int e;

	if (r->err < 0)
		return r->err;
	switch (kind) {
	case JS_NULL:
		return js_rd_null(r);
	case JS_BOOL:
		return js_rd_bool(r, &truth);
	case JS_NUMBER:
		return js_rd_number(r, &ignored);
	case JS_STRING:
		e = want(r, '"', "expected a string");
		if (e == 0)
			e = string_extent(r, &n, &escapes);
		if (e == 0)
			r->at += n + 1;
		return e;
	case JS_ARRAY:
		e = js_rd_enter(r, JS_ARRAY);
		while (e >= 0 && (e = js_rd_next(r)) > 0)
			e = skip_value(r);
		return e;
	case JS_OBJECT:
		break;
	}
	e = js_rd_enter(r, JS_OBJECT);
	while (e >= 0 && (e = js_rd_next_key(r, &ignored)) > 0)
		e = skip_value(r);
	return e;
}

int js_rd_skip(struct js_rd *r, struct span *ret_text)
{
	(void)ahead(r);

	size_t from = r->at;
	int e = skip_value(r);
	if (e < 0)
		return e;
	*ret_text = span(r->text.p + from, r->at - from);
	return 0;
}
