#include "http/form.h"

#include "base/err.h"
#include "http/url.h"

static int decode(struct arena *a, struct span s, const char **ret)
{
	AUTO_DONE(buf) struct buf b = { 0 };
	int r = url_decode(s, URL_PLUS_IS_SPACE, &b);

	if (r == 0)
		*ret = arena_str(a, buf_span(&b));
	return r;
}

static int read_pair(struct arena *a, struct span part, struct form *f)
{
	size_t eq = span_find(part, '=');
	struct form_pair pair;
	int r;

	if (part.n == 0)
		return 0;
	if (f->n == FORM_PAIRS_MAX)
		return ERR_LIMIT;
	r = decode(a, span_first(part, eq), &pair.name);
	if (r == 0)
		r = decode(a, span_from(part, eq + 1), &pair.value);
	if (r == 0)
		f->pair[f->n++] = pair;
	return r;
}

static size_t count(struct span text)
{
	size_t n = 1;

	for (size_t i = 0; i < text.n; i++)
		n += text.p[i] == '&';
	return n < FORM_PAIRS_MAX ? n : FORM_PAIRS_MAX;
}

int form_parse(struct arena *a, struct span text, struct form *ret)
{
	struct form f = { .pair = arena_new_n(a, struct form_pair, count(text)) };
	struct span part;

	while (text.n > 0 && span_cut(&text, '&', &part)) {
		int r = read_pair(a, part, &f);

		if (r < 0)
			return r;
	}
	*ret = f;
	return 0;
}

const char *form_get(const struct form *f, const char *name)
{
	for (size_t i = 0; i < f->n; i++) {
		if (strcmp(f->pair[i].name, name) == 0)
			return f->pair[i].value;
	}
	return NULL;
}

void form_add(struct buf *b, const char *name, struct span value)
{
	if (b->n > 0)
		buf_add_u8(b, '&');
	url_encode(b, span_str(name));
	buf_add_u8(b, '=');
	url_encode(b, value);
}

static bool find_cookie(struct span list, const char *name, struct span *ret)
{
	struct span part;

	while (span_cut(&list, ';', &part)) {
		part = span_trim(part);

		size_t eq = span_find(part, '=');

		if (eq < part.n && span_is(span_first(part, eq), name)) {
			*ret = span_from(part, eq + 1);
			return true;
		}
	}
	return false;
}

struct span cookie_get(const struct http_head *h, const char *name)
{
	struct span value = { 0 };

	for (size_t i = 0; i < h->n_fields; i++) {
		if (span_is_nocase(h->field[i].name, "cookie") &&
		    find_cookie(h->field[i].value, name, &value))
			break;
	}
	return value;
}

void cookie_put(struct buf *b, const struct cookie *c)
{
	buf_fmt(b, "%s=%s; Path=%s; HttpOnly; SameSite=%s", c->name, c->value,
	        c->path ? c->path : "/", c->site == COOKIE_STRICT ? "Strict" : "Lax");
	if (c->max_age_s)
		buf_fmt(b, "; Max-Age=%lld", (long long)(c->max_age_s < 0 ? 0 : c->max_age_s));
	if (c->secure)
		buf_add_str(b, "; Secure");
}
