#include "coordinator/attributes.h"

#include "base/err.h"

static const char prefix[] = "custom:";

static bool name_byte(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '_' || c == '-';
}

bool attr_name_valid(struct span name)
{
	struct span rest = span_from(name, sizeof(prefix) - 1);

	if (!span_starts(name, prefix) || !rest.n || name.n > ATTR_NAME_MAX)
		return false;
	for (size_t i = 0; i < rest.n; i++)
		if (!name_byte(rest.p[i]))
			return false;
	return true;
}

static wall expiry_of(const struct js *one)
{
	return (wall){ js_int(js_get(one, "expiry"), 0) };
}

static const struct js *parse(struct arena *a, const char *text)
{
	struct js *tree = NULL;

	/* Our own text: it was checked when it was made. */
	if (!text || js_parse(a, span_str(text), false, &tree, NULL) < 0)
		return NULL;
	return tree;
}

static int check(const struct js *update, struct fault *reterr)
{
	if (!update || update->kind != JS_OBJECT)
		return fault_set(reterr, ERR_MALFORMED, 0, 0, "expected attributes and values");
	for (const struct js *m = js_first(update); m; m = m->next) {
		if (!attr_name_valid(m->key))
			return fault_set(reterr, ERR_MALFORMED, 0, 0,
			                 "\"%.*s\" is no attribute's name: custom:NAME",
			                 SPAN_FMT(span_first(m->key, ATTR_NAME_MAX)));
		if (m->kind == JS_ARRAY || m->kind == JS_OBJECT || m->text.n > ATTR_VALUE_MAX)
			return fault_set(reterr, ERR_MALFORMED, 0, 0,
			                 "%.*s: a text, a number, true, false or null is expected",
			                 SPAN_FMT(m->key));
	}
	return 0;
}

static bool is_updated(const struct js *update, struct span name)
{
	for (const struct js *m = js_first(update); m; m = m->next)
		if (span_eq(m->key, name))
			return true;
	return false;
}

static void put_one(struct js_wr *w, const struct js *m, wall expiry)
{
	js_wr_key_span(w, m->key);
	js_wr_open(w, JS_OBJECT);
	js_wr_key(w, "value");
	js_wr_tree(w, m);
	if (expiry.us)
		js_wr_kv_int(w, "expiry", expiry.us);
	js_wr_close(w, JS_OBJECT);
}

int attrs_update(const char *text, const struct js *update, wall expiry, wall now, char **ret,
                 struct fault *reterr)
{
	__attribute__((cleanup(arena_done))) struct arena a = { 0 };
	AUTO_DONE(buf) struct buf out = { 0 };
	struct js_wr w = js_wr_of(&out);
	size_t n = 0;
	int r = check(update, reterr);

	if (r < 0)
		return r;
	js_wr_open(&w, JS_OBJECT);
	for (const struct js *m = js_first(parse(&a, text)); m; m = m->next) {
		wall end = expiry_of(m);

		if (is_updated(update, m->key) || (end.us && end.us <= now.us))
			continue;
		js_wr_key_span(&w, m->key);
		js_wr_tree(&w, m);
		n++;
	}
	for (const struct js *m = js_first(update); m; m = m->next) {
		if (m->kind == JS_NULL)
			continue;
		put_one(&w, m, expiry);
		n++;
	}
	js_wr_close(&w, JS_OBJECT);
	if (n > ATTRS_MAX)
		return fault_set(reterr, ERR_LIMIT, 0, 0, "more than %d attributes", ATTRS_MAX);
	*ret = n ? buf_take_text(&out) : NULL;
	return 0;
}

wall attrs_until(const char *text)
{
	__attribute__((cleanup(arena_done))) struct arena a = { 0 };
	wall first = { 0 };

	for (const struct js *m = js_first(parse(&a, text)); m; m = m->next) {
		wall end = expiry_of(m);

		if (end.us && (!first.us || end.us < first.us))
			first = end;
	}
	return first;
}

static const char *text_of(struct arena *a, const struct js *value)
{
	if (value && value->kind == JS_BOOL)
		return value->truth ? "true" : "false";
	return arena_str(a, value ? value->text : (struct span){ 0 });
}

size_t attrs_read(struct arena *a, const char *text, struct attr ret[static ATTRS_MAX])
{
	size_t n = 0;

	for (const struct js *m = js_first(parse(a, text)); m && n < ATTRS_MAX; m = m->next)
		ret[n++] = (struct attr){ arena_str(a, m->key), text_of(a, js_get(m, "value")) };
	return n;
}
