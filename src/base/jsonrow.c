#include "base/jsonrow.h"

#include <stdlib.h>

#include "base/err.h"

enum { KEY_SIZE = sizeof(struct span) };

/* A map's member: a key, then the value, padded to whole words (JS_MAP_OF's layout). */
static size_t entry_size(const struct js_type *map)
{
	return KEY_SIZE + (map->of->size + 7) / 8 * 8;
}

static size_t member_size(const struct js_type *t)
{
	return t->shape == JS_MAP ? entry_size(t) : t->of->size;
}

static void *field(void *at, size_t offset)
{
	return (uint8_t *)at + offset;
}

static const void *cfield(const void *at, size_t offset)
{
	return (const uint8_t *)at + offset;
}

/* ---- reading ---- */

static int charge(struct js_rd *r, size_t n)
{
	if (n > r->budget)
		return js_rd_fail(r, ERR_LIMIT, "the values take too much memory");
	r->budget -= n;
	return 0;
}

/* A list's members while they are counted. */
struct growing {
	uint8_t *v;
	size_t n, cap, size;
};

static void growing_done(struct growing *g)
{
	free(g->v);
}

static void *growing_add(struct js_rd *r, struct growing *g)
{
	if (charge(r, g->size) < 0)
		return NULL;
	if (g->n == g->cap) {
		g->cap = g->cap ? g->cap * 2 : 4;
		g->v = mem_grow(g->v, g->cap, g->size);
	}

	void *at = g->v + g->n++ * g->size;

	memset(at, 0, g->size);
	return at;
}

static int copy_key(struct js_rd *r, struct span key, struct span *ret)
{
	uint8_t *copy = js_rd_alloc(r, key.n + 1);

	if (!copy)
		return r->err;
	if (key.n)
		memcpy(copy, key.p, key.n);
	*ret = span(copy, key.n);
	return 0;
}

static int read_member(struct js_rd *r, const struct js_type *t, struct span key, void *at)
{
	int e;

	if (!at)
		return r->err;
	if (t->shape == JS_LIST)
		return js_rd_value(r, t->of, at);
	e = copy_key(r, key, at);
	return e < 0 ? e : js_rd_value(r, t->of, field(at, KEY_SIZE));
}

static int read_list(struct js_rd *r, const struct js_type *t, struct js_list *ret)
{
	AUTO_DONE(growing) struct growing g = { .size = member_size(t) };
	struct span key = { 0 };
	bool map = t->shape == JS_MAP;
	int e = js_rd_enter(r, map ? JS_OBJECT : JS_ARRAY);

	while (e >= 0 && (e = map ? js_rd_next_key(r, &key) : js_rd_next(r)) > 0)
		e = read_member(r, t, key, growing_add(r, &g));
	if (e < 0)
		return e;
	*ret = (struct js_list){ .n = g.n, .set = true };
	if (g.n)
		ret->v = arena_dup(r->arena, g.v, g.n * g.size);
	return 0;
}

/* Names mostly come in the order of the rows, so the search goes on where it last ended. */
static const struct js_row *find_row(const struct js_type *t, struct span key, size_t *hint)
{
	for (size_t i = *hint; t->rows[i].name; i++)
		if (span_is(key, t->rows[i].name)) {
			*hint = i + 1;
			return &t->rows[i];
		}
	for (size_t i = 0; i < *hint; i++)
		if (span_is(key, t->rows[i].name)) {
			*hint = i + 1;
			return &t->rows[i];
		}
	for (const struct js_row *row = t->rows; row->name; row++)
		if (span_is_nocase(key, row->name))
			return row;
	return NULL;
}

static int read_struct(struct js_rd *r, const struct js_type *t, void *at)
{
	struct span key = { 0 }, ignored;
	size_t hint = 0;
	int e = js_rd_enter(r, JS_OBJECT);

	while (e >= 0 && (e = js_rd_next_key(r, &key)) > 0) {
		const struct js_row *row = find_row(t, key, &hint);

		if (row) {
			e = js_rd_value(r, row->type, field(at, row->at));
			continue;
		}
		if (r->unknown)
			buf_fmt(r->unknown, "%s.%.*s\n", t->name, SPAN_FMT(key));
		e = js_rd_skip(r, &ignored);
	}
	return e;
}

static int read_ptr(struct js_rd *r, const struct js_type *t, void **ret)
{
	void *p = js_rd_alloc(r, t->of->size);

	if (!p)
		return r->err;
	*ret = p;
	return js_rd_value(r, t->of, p);
}

int js_rd_value(struct js_rd *r, const struct js_type *t, void *ret)
{
	enum js_kind kind = js_peek(r);

	if (r->err < 0)
		return r->err;
	if (kind == JS_NULL && !t->takes_null) {
		memset(ret, 0, t->size);
		return js_rd_null(r);
	}
	switch (t->shape) {
	case JS_SCALAR:
	case JS_BYTES:
		return t->read(r, t, ret);
	case JS_LIST:
	case JS_MAP:
		return read_list(r, t, ret);
	case JS_PTR:
		return read_ptr(r, t, ret);
	case JS_STRUCT:
		break;
	}
	return read_struct(r, t, ret);
}

int js_decode(struct arena *arena, struct span text, const struct js_type *t, void *ret,
              struct fault *reterr)
{
	struct js_rd r;

	memset(ret, 0, t->size);
	js_rd_init(&r, arena, text);
	if (js_rd_value(&r, t, ret) < 0 || js_rd_end(&r) < 0)
		return js_rd_fault(&r, reterr);
	return 0;
}

/* ---- writing ---- */

static bool all_zero(const uint8_t *p, size_t n)
{
	while (n && *p == 0) {
		p++;
		n--;
	}
	return n == 0;
}

bool js_is_empty(const struct js_type *t, const void *at)
{
	switch (t->shape) {
	case JS_BYTES:
		return ((const struct span *)at)->n == 0;
	case JS_LIST:
	case JS_MAP:
		return ((const struct js_list *)at)->n == 0;
	case JS_PTR:
		return *(void *const *)at == NULL;
	case JS_SCALAR:
		return all_zero(at, t->size);
	case JS_STRUCT:
		break;
	}
	for (const struct js_row *row = t->rows; row->name; row++)
		if (!js_is_empty(row->type, cfield(at, row->at)))
			return false;
	return true;
}

static bool left_out(const struct js_row *row, const void *at)
{
	if (row->omit == JS_OMIT_NULL)
		return !((const struct js_list *)at)->set;
	return row->omit == JS_OMIT && js_is_empty(row->type, at);
}

static void write_struct(struct js_wr *w, const struct js_type *t, const void *at)
{
	js_wr_open(w, JS_OBJECT);
	for (const struct js_row *row = t->rows; row->name; row++) {
		if (left_out(row, cfield(at, row->at)))
			continue;
		js_wr_key(w, row->name);
		js_wr_value(w, row->type, cfield(at, row->at));
	}
	js_wr_close(w, JS_OBJECT);
}

static void write_list(struct js_wr *w, const struct js_type *t, const struct js_list *l)
{
	bool map = t->shape == JS_MAP;
	size_t size = member_size(t);

	if (!l->set && l->n == 0) {
		js_wr_null(w);
		return;
	}
	js_wr_open(w, map ? JS_OBJECT : JS_ARRAY);
	for (size_t i = 0; i < l->n; i++) {
		const void *at = cfield(l->v, i * size);

		if (map)
			js_wr_key_span(w, *(const struct span *)at);
		js_wr_value(w, t->of, map ? cfield(at, KEY_SIZE) : at);
	}
	js_wr_close(w, map ? JS_OBJECT : JS_ARRAY);
}

void js_wr_value(struct js_wr *w, const struct js_type *t, const void *at)
{
	switch (t->shape) {
	case JS_SCALAR:
	case JS_BYTES:
		t->write(w, t, at);
		break;
	case JS_LIST:
	case JS_MAP:
		write_list(w, t, at);
		break;
	case JS_PTR:
		if (*(void *const *)at)
			js_wr_value(w, t->of, *(void *const *)at);
		else
			js_wr_null(w);
		break;
	case JS_STRUCT:
		write_struct(w, t, at);
		break;
	}
}

void js_encode(struct buf *out, const struct js_type *t, const void *at)
{
	struct js_wr w = js_wr_of(out);

	js_wr_value(&w, t, at);
}

/* ---- comparing ---- */

static bool same_list(const struct js_type *t, const struct js_list *a, const struct js_list *b)
{
	size_t size = member_size(t), skip = t->shape == JS_MAP ? (size_t)KEY_SIZE : 0;

	if (a->n != b->n || (a->n == 0 && a->set != b->set))
		return false;
	for (size_t i = 0; i < a->n; i++) {
		const void *x = cfield(a->v, i * size), *y = cfield(b->v, i * size);

		if (skip && !span_eq(*(const struct span *)x, *(const struct span *)y))
			return false;
		if (!js_same(t->of, cfield(x, skip), cfield(y, skip)))
			return false;
	}
	return true;
}

static bool same_ptr(const struct js_type *t, const void *a, const void *b)
{
	return a == b || (a && b && js_same(t->of, a, b));
}

bool js_same(const struct js_type *t, const void *a, const void *b)
{
	switch (t->shape) {
	case JS_SCALAR:
		return memcmp(a, b, t->size) == 0;
	case JS_BYTES:
		return span_eq(*(const struct span *)a, *(const struct span *)b);
	case JS_LIST:
	case JS_MAP:
		return same_list(t, a, b);
	case JS_PTR:
		return same_ptr(t, *(void *const *)a, *(void *const *)b);
	case JS_STRUCT:
		break;
	}
	for (const struct js_row *row = t->rows; row->name; row++)
		if (!js_same(row->type, cfield(a, row->at), cfield(b, row->at)))
			return false;
	return true;
}

/* ---- copying ---- */

/* Takes memory from an arena, or from a block; with neither it only counts. */
struct room {
	struct arena *arena;
	uint8_t *block;
	size_t used;
};

static void *room_dup(struct room *m, const void *p, size_t n)
{
	size_t rounded = (n + 15) / 16 * 16;
	uint8_t *at = m->arena ? arena_alloc(m->arena, n) : m->block ? m->block + m->used : NULL;

	m->used += rounded;
	if (at && n)
		memcpy(at, p, n);
	return at;
}

static void copy_inside(struct room *m, const struct js_type *t, void *dst, const void *src);

static void copy_bytes(struct room *m, struct span *dst, const struct span *src)
{
	uint8_t *at;

	if (!src->p)
		return;
	at = room_dup(m, src->p, src->n + 1);
	if (at && dst)
		*dst = span(at, src->n);
	if (at)
		at[src->n] = 0;
}

static void copy_list(struct room *m, const struct js_type *t, struct js_list *dst,
                      const struct js_list *src)
{
	size_t size = member_size(t), skip = t->shape == JS_MAP ? (size_t)KEY_SIZE : 0;
	uint8_t *v = src->n ? room_dup(m, src->v, src->n * size) : NULL;

	if (dst)
		dst->v = v;
	for (size_t i = 0; i < src->n; i++) {
		const void *from = cfield(src->v, i * size);
		uint8_t *to = v ? v + i * size : NULL;

		if (skip)
			copy_bytes(m, (struct span *)(void *)to, from);
		copy_inside(m, t->of, to ? to + skip : NULL, cfield(from, skip));
	}
}

static void copy_ptr(struct room *m, const struct js_type *t, void **dst, void *const *src)
{
	void *p;

	if (!*src)
		return;
	p = room_dup(m, *src, t->of->size);
	if (dst)
		*dst = p;
	copy_inside(m, t->of, p, *src);
}

/* dst is a flat copy of src already; what src points to is copied behind it. NULL: count. */
static void copy_inside(struct room *m, const struct js_type *t, void *dst, const void *src)
{
	switch (t->shape) {
	case JS_SCALAR:
		break;
	case JS_BYTES:
		copy_bytes(m, dst, src);
		break;
	case JS_LIST:
	case JS_MAP:
		copy_list(m, t, dst, src);
		break;
	case JS_PTR:
		copy_ptr(m, t, dst, src);
		break;
	case JS_STRUCT:
		for (const struct js_row *row = t->rows; row->name; row++)
			copy_inside(m, row->type, dst ? field(dst, row->at) : NULL,
			            cfield(src, row->at));
		break;
	}
}

void *js_clone(const struct js_type *t, const void *at)
{
	struct room m = { 0 };

	(void)room_dup(&m, at, t->size);
	copy_inside(&m, t, NULL, at);
	m = (struct room){ .block = mem_alloc(m.used) };

	void *copy = room_dup(&m, at, t->size);

	copy_inside(&m, t, copy, at);
	return copy;
}

void js_copy(struct arena *arena, const struct js_type *t, void *dst, const void *src)
{
	struct room m = { .arena = arena };

	if (dst != src)
		memcpy(dst, src, t->size);
	copy_inside(&m, t, dst, src);
}
