/* Node attributes, route approval, ownership of tags. */
#include <stdlib.h>

#include "coordinator/policy/inner.h"

/* ---- targets ---- */

static bool literal_has(const struct sel *s, const struct pol_node *n)
{
	return (ip_is4(&n->ip4) && ipset_has(&s->ranges, &n->ip4)) ||
	       (!ip_is_zero(&n->ip6) && ipset_has(&s->ranges, &n->ip6));
}

static bool is_target(const struct pol_engine *e, const struct ids *target,
                      const struct pol_node *n)
{
	for (size_t i = 0; i < target->n; i++) {
		const struct sel *s = engine_sel(e, target->v[i]);

		if (s->kind == SEL_ALL || (s->kind == SEL_LITERAL && literal_has(s, n)) ||
		    sel_names(e, target->v[i], n))
			return true;
	}
	return false;
}

static bool gives_attr(const struct pol_engine *e, const struct pol_node *n, const char *name)
{
	vec_each(const struct node_attr *, a, &e->p->attrs)
		for (size_t i = 0; i < a->attrs.n; i++)
			if (span_is(a->attrs.v[i], name) && is_target(e, &a->target, n))
				return true;
	return false;
}

bool engine_disables_ipv4(const struct pol_engine *e, const struct pol_node *n)
{
	return !ip_is_zero(&n->ip6) && (e->p->disable_ipv4 || gives_attr(e, n, "disable-ipv4"));
}

bool pol_has_attr(const struct pol_engine *e, uint64_t id, const char *name)
{
	const struct enode *n = engine_node(e, id);

	return n && gives_attr(e, &n->n, name);
}

/* ---- the list ---- */

void pol_attrs_done(struct pol_attrs *a)
{
	vec_done(&a->list);
	arena_done(&a->arena);
}

static void add_attr(struct pol_attrs *to, struct span name, struct span values)
{
	vec_push(&to->list, ((struct pol_attr){ name, values }));
}

static void add_app(struct pol_attrs *to, const struct js *app)
{
	for (const struct js *m = js_first(app); m; m = m->next) {
		AUTO_DONE(buf) struct buf text = { 0 };
		struct js_wr w = js_wr_of(&text);

		js_wr_tree(&w, m);
		add_attr(to, m->key, span(arena_dup(&to->arena, text.p, text.n), text.n));
	}
}

static int by_name(const void *a, const void *b)
{
	const struct pol_attr *x = a, *y = b;
	size_t n = x->name.n < y->name.n ? x->name.n : y->name.n;
	int c = n ? memcmp(x->name.p, y->name.p, n) : 0;

	return c ? c : (x->name.n > y->name.n) - (x->name.n < y->name.n);
}

/* Two entries of one name become one, the values of both in it. */
static struct span both(struct arena *a, struct span x, struct span y)
{
	if (span_is(x, "null") || span_is(x, "[]"))
		return y;
	if (span_is(y, "null") || span_is(y, "[]") || span_eq(x, y))
		return x;
	return span_str(arena_fmt(a, "%.*s,%.*s", (int)x.n - 1, (const char *)x.p, (int)y.n - 1,
	                          (const char *)y.p + 1));
}

static void unite(struct pol_attrs *a)
{
	size_t kept = 0;

	if (a->list.n == 0)
		return;
	qsort(a->list.v, a->list.n, sizeof(*a->list.v), by_name);
	for (size_t i = 1; i < a->list.n; i++) {
		struct pol_attr *last = &a->list.v[kept];

		if (span_eq(last->name, a->list.v[i].name))
			last->values = both(&a->arena, last->values, a->list.v[i].values);
		else
			a->list.v[++kept] = a->list.v[i];
	}
	a->list.n = kept + 1;
}

static void add_options(const struct policy *p, const struct pol_node *n, struct pol_attrs *to)
{
	bool mac = false;

	if (p->randomize_client_port)
		add_attr(to, SPAN_LIT("randomize-client-port"), SPAN_LIT("null"));
	for (size_t i = 0; i < n->n_attrs; i++)
		mac |= strcmp(n->attrs[i].key, "node:os") == 0 &&
		       strcmp(n->attrs[i].value, "macos") == 0;
	if (mac && span_is(p->one_cgnat, "mac-always"))
		add_attr(to, SPAN_LIT("one-cgnat?v=true"), SPAN_LIT("null"));
	if (mac && span_is(p->one_cgnat, "mac-never"))
		add_attr(to, SPAN_LIT("one-cgnat?v=false"), SPAN_LIT("null"));
}

/* Funnel's ports are a capability of their own. */
static void add_implied(struct pol_attrs *to, struct span attr)
{
	if (!span_is(attr, "funnel"))
		return;
	add_attr(to, SPAN_LIT("https://tailscale.com/cap/funnel-ports?ports=443,8443,10000"),
	         SPAN_LIT("null"));
}

void pol_attrs_of(const struct pol_engine *e, uint64_t id, struct pol_attrs *ret)
{
	const struct enode *n = engine_node(e, id);

	pol_attrs_done(ret);
	if (!n)
		return;
	vec_each(const struct node_attr *, a, &e->p->attrs) {
		if (!is_target(e, &a->target, &n->n))
			continue;
		for (size_t i = 0; i < a->attrs.n; i++) {
			add_attr(ret, a->attrs.v[i], SPAN_LIT("null"));
			add_implied(ret, a->attrs.v[i]);
		}
		add_app(ret, a->app);
	}
	add_options(e->p, &n->n, ret);
	unite(ret);
}

void pol_peer_attrs_of(const struct pol_engine *e, uint64_t id, struct pol_attrs *ret)
{
	const struct enode *n = engine_node(e, id);

	pol_attrs_done(ret);
	if (!n)
		return;
	if (gives_attr(e, &n->n, "dns-subdomain-resolve"))
		add_attr(ret, SPAN_LIT("dns-subdomain-resolve"), SPAN_LIT("null"));
	if (enode_is_exit(n) && gives_attr(e, &n->n, "suggest-exit-node"))
		add_attr(ret, SPAN_LIT("suggest-exit-node"), SPAN_LIT("null"));
}

void pol_ip_pools(const struct pol_engine *e, const struct pol_node *n, struct pol_prefixes *ret)
{
	vec_each(const struct node_attr *, a, &e->p->attrs)
		if (a->ip_pool.n && is_target(e, &a->target, n))
			for (size_t i = 0; i < a->ip_pool.n; i++)
				vec_push(ret, a->ip_pool.v[i]);
}

/* ---- approval ---- */

static bool any_names(const struct pol_engine *e, const struct ids *who, const struct pol_node *n)
{
	for (size_t i = 0; i < who->n; i++)
		if (sel_names(e, who->v[i], n))
			return true;
	return false;
}

/* Routes inside the tailnet's own addresses or the loopback would take traffic from nodes. */
static bool is_forbidden(const struct prefix *route)
{
	static const struct prefix never[] = {
		{ { { [10] = 0xff, [11] = 0xff, 100, 64 } }, 10 },
		{ { { [10] = 0xff, [11] = 0xff, 127 } }, 8 },
		{ { { [15] = 1 } }, 128 },
	};

	for (size_t i = 0; i < ARRAY_LEN(never); i++)
		if (prefix_covers(&never[i], route))
			return true;
	return false;
}

bool pol_auto_approves(const struct pol_engine *e, const struct pol_node *n,
                       const struct prefix *route)
{
	if (prefix_is_default(route))
		return any_names(e, &e->p->exit_approvers, n);
	if (is_forbidden(route))
		return false;
	vec_each(const struct approver *, a, &e->p->route_approvers)
		if (prefix_covers(&a->prefix, route) && any_names(e, &a->who, n))
			return true;
	return false;
}

/* ---- ownership of tags ---- */

static bool owns(const struct pol_engine *e, const struct tag_def *t, const struct pol_node *asker)
{
	return any_names(e, &t->owners, asker) || pnode_has_tag(asker, t->name);
}

static bool may_use_all_tags(const struct euser *u)
{
	return u && (u->role == POL_ROLE_OWNER || u->role == POL_ROLE_ADMIN ||
	             u->role == POL_ROLE_NETWORK_ADMIN);
}

bool pol_may_tag(const struct pol_engine *e, uint64_t user, const char *const *tags, size_t n_tags,
                 struct span tag)
{
	struct pol_node asker = { .user = n_tags ? 0 : user, .tags = tags, .n_tags = n_tags };
	const struct tag_def *t = NULL;

	for (size_t i = 0; i < e->p->n_tags; i++)
		if (span_eq(e->p->tags[i].name, tag))
			t = &e->p->tags[i];
	if (!t)
		return false;
	return (n_tags == 0 && may_use_all_tags(engine_user(e, user))) || owns(e, t, &asker);
}
