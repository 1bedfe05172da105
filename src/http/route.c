#include "http/route.h"

#include "base/buf.h"
#include "base/err.h"
#include "http/url.h"

struct path {
	size_t n;
	const char *segment[ROUTE_SEGMENTS_MAX];
	bool slash_at_end;
};

static int add_segment(struct path *p, struct span raw, struct arena *a)
{
	AUTO_DONE(buf) struct buf b = { 0 };
	int r = url_decode(raw, URL_PLUS_IS_PLUS, &b);
	struct span s = buf_span(&b);

	if (r < 0)
		return r;
	if (s.n == 0 || span_is(s, ".") || span_is(s, "..") || span_find(s, '/') < s.n)
		return ERR_MALFORMED;
	if (p->n == ROUTE_SEGMENTS_MAX)
		return ERR_UNKNOWN;
	p->segment[p->n++] = arena_str(a, s);
	return 0;
}

static int split_path(struct span path, struct arena *a, struct path *ret)
{
	struct span part;

	*ret = (struct path){ 0 };
	if (path.n == 0 || path.p[0] != '/')
		return ERR_MALFORMED;
	path = span_from(path, 1);
	ret->slash_at_end = path.n == 0 || path.p[path.n - 1] == '/';
	if (path.n > 0 && ret->slash_at_end)
		path.n--;
	while (path.n > 0 && span_cut(&path, '/', &part)) {
		int r = add_segment(ret, part, a);

		if (r < 0)
			return r;
	}
	return 0;
}

static bool is_param(struct span s, struct span *ret_name, bool *ret_rest)
{
	if (s.n < 3 || s.p[0] != '{' || s.p[s.n - 1] != '}')
		return false;
	*ret_name = span(s.p + 1, s.n - 2);
	*ret_rest = span_ends(*ret_name, "...");
	if (*ret_rest)
		ret_name->n -= 3;
	return true;
}

static const char *join(const struct path *p, size_t from, struct arena *a)
{
	AUTO_DONE(buf) struct buf b = { 0 };

	for (size_t i = from; i < p->n; i++)
		buf_fmt(&b, "%s%s", i > from ? "/" : "", p->segment[i]);
	if (p->slash_at_end && p->n > from)
		buf_add_u8(&b, '/');
	return arena_str(a, buf_span(&b));
}

static void set_param(struct route_match *m, struct span name, const char *value)
{
	if (m->n < ROUTE_PARAMS_MAX)
		m->param[m->n++] = (struct route_param){ name, value };
}

static bool fits(const char *pattern, const struct path *p, struct arena *a, struct route_match *m)
{
	struct span rest = span_from(span_str(pattern), 1), part, name;
	bool slash = rest.n == 0 || rest.p[rest.n - 1] == '/';
	bool takes_rest;
	size_t i = 0;

	m->n = 0;
	if (slash && rest.n > 0)
		rest.n--;
	while (rest.n > 0 && span_cut(&rest, '/', &part)) {
		bool param = is_param(part, &name, &takes_rest);

		if (param && takes_rest) {
			set_param(m, name, join(p, i, a));
			return true;
		}
		if (i == p->n || (!param && !span_is(part, p->segment[i])))
			return false;
		if (param)
			set_param(m, name, p->segment[i]);
		i++;
	}
	return i == p->n && (slash == p->slash_at_end);
}

static bool method_fits(const char *want, struct span method)
{
	if (strcmp(want, "*") == 0 || span_is(method, want))
		return true;
	return strcmp(want, "GET") == 0 && span_is(method, "HEAD");
}

int route_find(const void *rows, size_t n_rows, size_t row_size, struct span method,
               struct span path, struct arena *a, struct route_match *ret, const char **ret_allow)
{
	AUTO_DONE(buf) struct buf allow = { 0 };
	struct path p;
	struct route_match m;
	int r = split_path(path, a, &p);

	if (r < 0)
		return r;
	for (size_t i = 0; i < n_rows; i++) {
		const struct route *row = (const void *)((const uint8_t *)rows + i * row_size);

		if (!fits(row->pattern, &p, a, &m))
			continue;
		if (method_fits(row->method, method)) {
			m.row = row;
			*ret = m;
			return 0;
		}
		buf_fmt(&allow, "%s%s", allow.n ? ", " : "", row->method);
	}
	if (allow.n == 0)
		return ERR_UNKNOWN;
	*ret_allow = arena_str(a, buf_span(&allow));
	return ERR_DENIED;
}

const char *route_param(const struct route_match *m, const char *name)
{
	for (size_t i = 0; i < m->n; i++) {
		if (span_is(m->param[i].name, name))
			return m->param[i].value;
	}
	return NULL;
}
