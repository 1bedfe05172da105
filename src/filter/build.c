/*
 * Rules as they are sent become the look-up structure: every address where some
 * rule's sources begin or end is a cut, and between two cuts the same rules
 * apply. Neighbouring cuts mostly differ by one rule, and equal lists are kept
 * once; a set of rules so tangled that the lists would outgrow FILTER_LISTS_MAX
 * is searched rule by rule instead.
 */
#include <stdlib.h>

#include "base/err.h"
#include "base/map.h"
#include "filter/filter.h"
#include "filter/inner.h"

enum { FILTER_LISTS_MAX = 1 << 22 };

struct filter_build {
	struct filter *f;
	struct filter_env env;
	size_t entries;
};

struct filter_build *filter_build_new(const struct filter_env *env)
{
	struct filter_build *b = mem_new(struct filter_build);

	b->f = mem_new(struct filter);
	if (env)
		b->env = *env;
	return b;
}

void filter_build_free(struct filter_build *b)
{
	if (!b)
		return;
	filter_free(b->f);
	free(b);
}

void filter_build_local(struct filter_build *b, const struct ipset *sealed)
{
	ipset_add_set(&b->f->local, sealed);
	ipset_seal(&b->f->local);
}

int filter_build_rule(struct filter_build *b)
{
	if (b->f->rules.n == FILTER_RULES_MAX)
		return ERR_LIMIT;
	vec_add(&b->f->rules)->default_protos = true;
	return 0;
}

static struct filter_rule *current(struct filter_build *b)
{
	return &b->f->rules.v[b->f->rules.n - 1];
}

static int count(struct filter_build *b)
{
	if (b->f->rules.n == 0)
		return ERR_BADSTATE;
	return ++b->entries > FILTER_ENTRIES_MAX ? ERR_LIMIT : 0;
}

int filter_build_src(struct filter_build *b, struct span text)
{
	struct iprange range;
	int r = count(b);

	if (r < 0)
		return r;
	if (span_is(text, "*")) {
		ipset_add_all(&current(b)->src);
		return 0;
	}
	if (span_starts(text, "cap:")) {
		if (b->env.members)
			b->env.members(b->env.ctx, span_from(text, 4), &current(b)->src);
		return 0;
	}
	r = iprange_parse(text, &range);
	if (r == 0)
		ipset_add_range(&current(b)->src, &range);
	return r;
}

void filter_build_proto(struct filter_build *b, int64_t number)
{
	if (b->f->rules.n == 0)
		return;
	current(b)->default_protos = false;
	if (number >= 0 && number <= 255)
		current(b)->protos[number / 64] |= UINT64_C(1) << number % 64;
}

int filter_build_dst(struct filter_build *b, struct span text, uint16_t first, uint16_t last)
{
	struct filter_dst d = { .first = first, .last = last };
	struct ipset all = { 0 };
	int r = count(b);

	if (r < 0)
		return r;
	if (!span_is(text, "*")) {
		r = iprange_parse(text, &d.range);
		if (r == 0)
			vec_push(&current(b)->dst, d);
		return r;
	}
	ipset_add_all(&all);
	for (size_t i = 0; i < all.n; i++) {
		d.range = all.v[i];
		vec_push(&current(b)->dst, d);
	}
	ipset_done(&all);
	return 0;
}

int filter_build_grant(struct filter_build *b, const struct prefix *dst, struct span name,
                       struct span values)
{
	struct arena *a = &b->f->arena;
	int r = count(b);

	if (r < 0)
		return r;
	struct filter_grant g = {
		.dst = iprange_of(dst),
		.src = (uint32_t)(b->f->rules.n - 1),
		.cap = { span(arena_str(a, name), name.n), span(arena_str(a, values), values.n) },
	};

	vec_push(&b->f->grants, g);
	return 0;
}

/* Where a rule's sources begin, or end (the first address after them). */
struct edge {
	struct ip at;
	uint32_t rule;
	bool begins;
};

typedef VEC(struct edge) edges;

static int by_place(const void *a, const void *b)
{
	const struct edge *x = a, *y = b;

	return ip_cmp(&x->at, &y->at);
}

static bool next_ip(struct ip *ip)
{
	for (int i = 15; i >= 0; i--)
		if (++ip->b[i])
			return true;
	return false;
}

static void add_edges(edges *to, const struct filter *f)
{
	for (size_t i = 0; i < f->rules.n; i++) {
		const struct filter_rule *r = &f->rules.v[i];

		for (size_t k = 0; r->dst.n && k < r->src.n; k++) {
			struct ip end = r->src.v[k].hi;

			vec_push(to, ((struct edge){ r->src.v[k].lo, (uint32_t)i, true }));
			if (next_ip(&end))
				vec_push(to, ((struct edge){ end, (uint32_t)i, false }));
		}
	}
	if (to->n)
		qsort(to->v, to->n, sizeof(*to->v), by_place);
}

/* Lists already written, by content. */
struct known {
	struct map_node node;
	uint32_t first, count;
};

typedef VEC(uint32_t) indexes;

static uint32_t intern(struct filter *f, struct map *seen, struct arena *a, const indexes *list)
{
	uint64_t h = map_hash(seen, list->v, list->n * sizeof(*list->v));

	for (struct map_node *n = map_find(seen, h); n; n = map_again(n)) {
		struct known *k = CONTAINER_OF(n, struct known, node);

		if (k->count == list->n &&
		    memcmp(f->lists.v + k->first, list->v, list->n * sizeof(*list->v)) == 0)
			return k->first;
	}
	struct known *k = arena_new(a, struct known);

	k->first = (uint32_t)f->lists.n;
	k->count = (uint32_t)list->n;
	for (size_t i = 0; i < list->n; i++)
		vec_push(&f->lists, list->v[i]);
	map_insert(seen, &k->node, h);
	return k->first;
}

/* The list stays sorted, so that equal sets are equal bytes. */
static void toggle(indexes *active, const struct edge *e)
{
	size_t lo = 0, hi = active->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (active->v[mid] < e->rule)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (!e->begins) {
		vec_remove(active, lo);
		return;
	}
	vec_push(active, 0);
	memmove(&active->v[lo + 1], &active->v[lo], (active->n - lo - 1) * sizeof(*active->v));
	active->v[lo] = e->rule;
}

static void sweep(struct filter *f, const edges *all)
{
	AUTO_DONE(arena) struct arena arena = { 0 };
	AUTO_DONE(map) struct map seen;
	indexes active = { 0 };

	map_init(&seen);
	for (size_t i = 0; i < all->n && !f->linear;) {
		struct filter_cut cut = { .lo = all->v[i].at };

		for (; i < all->n && ip_eq(&all->v[i].at, &cut.lo); i++)
			toggle(&active, &all->v[i]);
		cut.count = (uint32_t)active.n;
		cut.first = active.n ? intern(f, &seen, &arena, &active) : 0;
		vec_push(&f->cuts, cut);
		f->linear = f->lists.n > FILTER_LISTS_MAX;
	}
	vec_done(&active);
}

static void finish_rule(struct filter_rule *r)
{
	ipset_seal(&r->src);
	if (!r->default_protos)
		return;
	r->protos[0] |= UINT64_C(1) << IPPKT_TCP | UINT64_C(1) << IPPKT_UDP |
	                UINT64_C(1) << IPPKT_ICMP | UINT64_C(1) << IPPKT_ICMP6;
}

static void forget_rules(struct filter *f)
{
	vec_each(struct filter_rule *, r, &f->rules) {
		ipset_done(&r->src);
		vec_done(&r->dst);
	}
	f->rules.n = 0;
	f->grants.n = 0;
}

struct filter *filter_build_done(struct filter_build *take, enum filter_mode mode)
{
	struct filter *f = TAKE(take->f);
	edges all = { 0 };

	free(take);
	if (mode == FILTER_SHIELDS_UP)
		forget_rules(f);
	vec_each(struct filter_rule *, r, &f->rules)
		finish_rule(r);
	add_edges(&all, f);
	sweep(f, &all);
	vec_done(&all);
	return f;
}

void filter_add_exit(struct ipset *local, const struct prefix *route,
                     const struct ipset *own_networks, const struct ipset *own_addresses)
{
	static const char *const never[] = {
		"192.168.0.0/16", "172.16.0.0/12", "10.0.0.0/8",
		"169.254.0.0/16", "224.0.0.0/4",   "100.64.0.0/10",
		"fe80::/10",      "ff00::/8",      "fd7a:115c:a1e0::/48",
	};
	AUTO_DONE(ipset) struct ipset out = { 0 };
	AUTO_DONE(ipset) struct ipset minus = { 0 };

	ipset_add_prefix(&out, route);
	ipset_seal(&out);
	ipset_subtract(&out, own_networks);
	for (size_t i = 0; i < own_addresses->n; i++)
		if (ip_is4(&own_addresses->v[i].lo) == prefix_is4(route))
			ipset_add_range(&out, &own_addresses->v[i]);
	ipset_seal(&out);
	for (size_t i = 0; i < ARRAY_LEN(never); i++) {
		struct iprange r;

		if (iprange_parse(span_str(never[i]), &r) == 0)
			ipset_add_range(&minus, &r);
	}
	ipset_seal(&minus);
	ipset_subtract(&out, &minus);
	ipset_add_set(local, &out);
	ipset_seal(local);
}
