#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/json.h"

static int read_value(struct js_rd *r, struct js **ret);

static int read_members(struct js_rd *r, struct js *v)
{
	struct js **tail = &v->first;
	struct span key = { 0 };
	bool object = v->kind == JS_OBJECT;
	int e = js_rd_enter(r, v->kind);

	while (e >= 0 && (e = object ? js_rd_next_key(r, &key) : js_rd_next(r)) > 0) {
		size_t key_at = r->key_at;

		e = read_value(r, tail);
		if (e < 0)
			break;
		(*tail)->key = key;
		(*tail)->key_at = key_at;
		tail = &(*tail)->next;
		v->n++;
	}
	return e;
}

static int by_key(const void *a, const void *b)
{
	const struct js *x = *(const struct js *const *)a, *y = *(const struct js *const *)b;
	size_t n = x->key.n < y->key.n ? x->key.n : y->key.n;
	int c = n ? memcmp(x->key.p, y->key.p, n) : 0;

	return c ? c : (x->key.n > y->key.n) - (x->key.n < y->key.n);
}

static int check_dup(struct js_rd *r, const struct js *v)
{
	if (!r->refuse_dup || v->n < 2)
		return 0;

	AUTO_FREE const struct js **sorted = mem_new_n(const struct js *, v->n);
	size_t n = 0;

	for (const struct js *m = v->first; m; m = m->next)
		sorted[n++] = m;
	qsort(sorted, n, sizeof(*sorted), by_key);
	for (size_t i = 1; i < n; i++)
		if (span_eq(sorted[i - 1]->key, sorted[i]->key)) {
			r->at = sorted[i - 1]->at > sorted[i]->at ? sorted[i - 1]->at
			                                          : sorted[i]->at;
			return js_rd_fail(r, ERR_MALFORMED, "this name stands twice in its object");
		}
	return 0;
}

static int read_scalar(struct js_rd *r, struct js *v)
{
	switch (v->kind) {
	case JS_NULL:
		return js_rd_null(r);
	case JS_BOOL:
		return js_rd_bool(r, &v->truth);
	case JS_NUMBER:
		return js_rd_number(r, &v->text);
	case JS_STRING:
		return js_rd_string(r, &v->text);
	case JS_ARRAY:
	case JS_OBJECT:
		break;
	}
	return js_rd_fail(r, ERR_MALFORMED, "expected a value");
}

static int read_value(struct js_rd *r, struct js **ret)
{
	enum js_kind kind = js_peek(r);
	struct js *v = js_rd_alloc(r, sizeof(*v));
	int e;

	if (!v)
		return r->err;
	v->kind = kind;
	v->at = r->at;
	*ret = v;
	if (kind != JS_ARRAY && kind != JS_OBJECT)
		return read_scalar(r, v);
	e = read_members(r, v);
	return e < 0 || kind == JS_ARRAY ? e : check_dup(r, v);
}

/* Views become the arena's, so that the tree outlives the text. */
int js_parse(struct arena *arena, struct span text, bool refuse_dup, struct js **ret,
             struct fault *reterr)
{
	struct js_rd r;
	struct js *v = NULL;

	js_rd_init(&r, arena, span(text.n ? arena_dup(arena, text.p, text.n) : NULL, text.n));
	r.refuse_dup = refuse_dup;
	if (read_value(&r, &v) < 0 || js_rd_end(&r) < 0)
		return js_rd_fault(&r, reterr);
	*ret = v;
	return 0;
}

const struct js *js_get(const struct js *object, const char *name)
{
	if (!object || object->kind != JS_OBJECT)
		return NULL;
	for (const struct js *m = object->first; m; m = m->next)
		if (span_is(m->key, name))
			return m;
	return NULL;
}

struct span js_text(const struct js *v)
{
	return v && v->kind == JS_STRING ? v->text : (struct span){ 0 };
}

int64_t js_int(const struct js *v, int64_t alternative)
{
	struct js_rd r;
	int64_t n;

	if (!v || v->kind != JS_NUMBER)
		return alternative;
	js_rd_init(&r, NULL, v->text);
	return js_rd_int(&r, INT64_MIN, INT64_MAX, &n) < 0 ? alternative : n;
}

bool js_truth(const struct js *v, bool alternative)
{
	return v && v->kind == JS_BOOL ? v->truth : alternative;
}

int js_fault(struct span text, const struct js *v, struct fault *reterr, const char *fmt, ...)
{
	struct js_place p = js_place_of(text, v->at);
	char message[sizeof(reterr->message)];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(message, sizeof(message), fmt, ap);
	va_end(ap);
	return fault_set(reterr, ERR_MALFORMED, p.line, p.column, "%s", message);
}
