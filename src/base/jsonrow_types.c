/* The scalars that rows are made of. Keys are in crypto/keyjson. */
#include "base/enc.h"
#include "base/err.h"
#include "base/jsonrow.h"

#define GO_ZERO_TIME "0001-01-01T00:00:00Z"

static int read_bool(struct js_rd *r, const struct js_type *t, void *at)
{
	(void)t;
	return js_rd_bool(r, at);
}

static void write_bool(struct js_wr *w, const struct js_type *t, const void *at)
{
	(void)t;
	js_wr_bool(w, *(const bool *)at);
}

static int read_obool(struct js_rd *r, const struct js_type *t, void *at)
{
	bool truth = false;
	int e = js_rd_bool(r, &truth);

	(void)t;
	if (e == 0)
		*(enum js_obool *)at = obool(truth);
	return e;
}

static void write_obool(struct js_wr *w, const struct js_type *t, const void *at)
{
	enum js_obool v = *(const enum js_obool *)at;

	(void)t;
	if (v == OBOOL_UNSET)
		js_wr_null(w);
	else
		js_wr_bool(w, v == OBOOL_TRUE);
}

static int read_int(struct js_rd *r, const struct js_type *t, void *at)
{
	(void)t;
	return js_rd_int(r, INT64_MIN, INT64_MAX, at);
}

static void write_int(struct js_wr *w, const struct js_type *t, const void *at)
{
	(void)t;
	js_wr_int(w, *(const int64_t *)at);
}

static int read_uint(struct js_rd *r, const struct js_type *t, void *at)
{
	struct span s;
	int e = js_rd_number(r, &s);

	(void)t;
	if (e == 0 && span_u64(s, UINT64_MAX, at) < 0)
		return js_rd_fail(r, ERR_MALFORMED, "expected a whole number that is not negative");
	return e;
}

static void write_uint(struct js_wr *w, const struct js_type *t, const void *at)
{
	(void)t;
	js_wr_uint(w, *(const uint64_t *)at);
}

static int read_u16(struct js_rd *r, const struct js_type *t, void *at)
{
	int64_t v = 0;
	int e = js_rd_int(r, 0, UINT16_MAX, &v);

	(void)t;
	if (e == 0)
		*(uint16_t *)at = (uint16_t)v;
	return e;
}

static void write_u16(struct js_wr *w, const struct js_type *t, const void *at)
{
	(void)t;
	js_wr_uint(w, *(const uint16_t *)at);
}

static int read_double(struct js_rd *r, const struct js_type *t, void *at)
{
	(void)t;
	return js_rd_double(r, at);
}

static void write_double(struct js_wr *w, const struct js_type *t, const void *at)
{
	(void)t;
	js_wr_double(w, *(const double *)at);
}

static int read_str(struct js_rd *r, const struct js_type *t, void *at)
{
	(void)t;
	return js_rd_string(r, at);
}

static void write_str(struct js_wr *w, const struct js_type *t, const void *at)
{
	(void)t;
	js_wr_span(w, *(const struct span *)at);
}

static int read_raw(struct js_rd *r, const struct js_type *t, void *at)
{
	struct span text;
	uint8_t *copy;
	int e = js_rd_skip(r, &text);

	(void)t;
	if (e < 0)
		return e;
	copy = js_rd_alloc(r, text.n + 1);
	if (!copy)
		return r->err;
	memcpy(copy, text.p, text.n);
	*(struct span *)at = span(copy, text.n);
	return 0;
}

static void write_raw(struct js_wr *w, const struct js_type *t, const void *at)
{
	struct span s = *(const struct span *)at;

	(void)t;
	js_wr_raw(w, s.n ? s : SPAN_LIT("null"));
}

static int read_b64(struct js_rd *r, const struct js_type *t, void *at)
{
	struct span text;
	int e = js_rd_string_view(r, &text);
	uint8_t *bytes;
	size_t cap, n;

	(void)t;
	if (e < 0)
		return e;
	cap = text.n / 4 * 3 + 3;
	bytes = js_rd_alloc(r, cap + 1);
	if (!bytes)
		return r->err;
	if (base64_decode_any(bytes, cap, text, &n) < 0)
		return js_rd_fail(r, ERR_MALFORMED, "expected base64");
	*(struct span *)at = span(bytes, n);
	return 0;
}

static void write_b64(struct js_wr *w, const struct js_type *t, const void *at)
{
	struct span s = *(const struct span *)at;

	(void)t;
	if (s.p)
		js_wr_base64(w, s);
	else
		js_wr_null(w);
}

static int read_time(struct js_rd *r, const struct js_type *t, void *at)
{
	struct span text;
	int e = js_rd_string_view(r, &text);

	(void)t;
	if (e < 0)
		return e;
	if (span_is(text, GO_ZERO_TIME))
		*(wall *)at = (wall){ 0 };
	else if (wall_parse(text, at) < 0)
		return js_rd_fail(r, ERR_MALFORMED, "expected a time");
	return 0;
}

static void write_time(struct js_wr *w, const struct js_type *t, const void *at)
{
	char text[TIME_TEXT_MAX];
	wall v = *(const wall *)at;

	(void)t;
	js_wr_str(w, v.us == 0 ? GO_ZERO_TIME : wall_text(v, text));
}

static int read_ip(struct js_rd *r, const struct js_type *t, void *at)
{
	struct span text;
	int e = js_rd_string_view(r, &text);

	(void)t;
	if (e == 0 && text.n && ip_parse(text, at) < 0)
		return js_rd_fail(r, ERR_MALFORMED, "expected an IP address");
	return e;
}

static void write_ip(struct js_wr *w, const struct js_type *t, const void *at)
{
	static const struct ip none;
	char text[IP_TEXT_MAX];

	(void)t;
	js_wr_str(w, ip_eq(at, &none) ? "" : ip_text(at, text));
}

static int read_addr(struct js_rd *r, const struct js_type *t, void *at)
{
	struct span text;
	int e = js_rd_string_view(r, &text);

	(void)t;
	if (e == 0 && text.n && addr_parse(text, at) < 0)
		return js_rd_fail(r, ERR_MALFORMED, "expected an address and port");
	return e;
}

static void write_addr(struct js_wr *w, const struct js_type *t, const void *at)
{
	static const struct addr none;
	char text[ADDR_TEXT_MAX];

	(void)t;
	js_wr_str(w, addr_eq(at, &none) ? "" : addr_text(at, text));
}

static int read_prefix(struct js_rd *r, const struct js_type *t, void *at)
{
	struct span text;
	int e = js_rd_string_view(r, &text);

	(void)t;
	if (e == 0 && (span_find(text, '/') == text.n || prefix_parse(text, at) < 0))
		return js_rd_fail(r, ERR_MALFORMED, "expected a prefix");
	return e;
}

static void write_prefix(struct js_wr *w, const struct js_type *t, const void *at)
{
	char text[PREFIX_TEXT_MAX];

	(void)t;
	js_wr_str(w, prefix_text(at, text));
}

/* clang-format off */
#define SCALAR(T, verb) { .shape = JS_SCALAR, .size = sizeof(T), .read = read_##verb, .write = write_##verb }
#define BYTES(verb) { .shape = JS_BYTES, .size = sizeof(struct span), .read = read_##verb, .write = write_##verb }
const struct js_type js_t_bool   = SCALAR(bool, bool);
const struct js_type js_t_obool  = SCALAR(enum js_obool, obool);
const struct js_type js_t_int    = SCALAR(int64_t, int);
const struct js_type js_t_uint   = SCALAR(uint64_t, uint);
const struct js_type js_t_u16    = SCALAR(uint16_t, u16);
const struct js_type js_t_double = SCALAR(double, double);
const struct js_type js_t_str    = BYTES(str);
const struct js_type js_t_b64    = BYTES(b64);
const struct js_type js_t_time   = SCALAR(wall, time);
const struct js_type js_t_ip     = SCALAR(struct ip, ip);
const struct js_type js_t_addr   = SCALAR(struct addr, addr);
const struct js_type js_t_prefix = SCALAR(struct prefix, prefix);
#define LIST(elem) { .shape = JS_LIST, .size = sizeof(struct js_list), .of = &(elem) }
const struct js_type js_t_strs     = LIST(js_t_str);
const struct js_type js_t_ints     = LIST(js_t_int);
const struct js_type js_t_ips      = LIST(js_t_ip);
const struct js_type js_t_addrs    = LIST(js_t_addr);
const struct js_type js_t_prefixes = LIST(js_t_prefix);
/* clang-format on */
const struct js_type js_t_raw = { .shape = JS_BYTES,
	                          .size = sizeof(struct span),
	                          .read = read_raw,
	                          .write = write_raw,
	                          .takes_null = true };

const struct js_type js_t_raws = { .shape = JS_LIST,
	                           .size = sizeof(struct js_list),
	                           .of = &js_t_raw };
