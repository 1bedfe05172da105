#include "coordinator/routes.h"

#include <stdlib.h>

#include "base/sorted.h"

void routes_done(struct routes *t)
{
	vec_done(&t->table);
}

bool node_ids_has(const struct node_ids *ids, uint64_t id)
{
	return sorted_has(ids->v, ids->n, id);
}

void node_ids_add(struct node_ids *ids, uint64_t id)
{
	size_t at = sorted_place(ids->v, ids->n, id);

	if (at < ids->n && ids->v[at] == id)
		return;
	vec_reserve(ids, ids->n + 1);
	memmove(&ids->v[at + 1], &ids->v[at], (ids->n - at) * sizeof(*ids->v));
	ids->v[at] = id;
	ids->n++;
}

static int by_prefix_then_node(const void *a, const void *b)
{
	const struct route_offer *x = a, *y = b;
	int c = prefix_cmp(&x->prefix, &y->prefix);

	return c ? c : (x->node > y->node) - (x->node < y->node);
}

static const struct subnet_route *find(const struct routes *t, const struct prefix *p)
{
	size_t lo = 0, hi = t->table.n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		int c = prefix_cmp(&t->table.v[mid].prefix, p);

		if (c == 0)
			return &t->table.v[mid];
		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

uint64_t routes_primary(const struct routes *t, const struct prefix *p)
{
	const struct subnet_route *r = find(t, p);

	return r ? r->primary : 0;
}

bool routes_is_shared(const struct routes *t, const struct prefix *p)
{
	const struct subnet_route *r = find(t, p);

	return r && r->servers > 1;
}

/* Among offers of one prefix. */
static uint64_t elect(const struct route_offer *offers, size_t n, uint64_t present)
{
	uint64_t healthy = 0, there = 0;

	for (size_t i = 0; i < n; i++) {
		const struct route_offer *o = &offers[i];

		if (o->there && (!there || o->node == present))
			there = o->node;
		if (o->there && o->healthy && (!healthy || o->node == present))
			healthy = o->node;
	}
	return healthy ? healthy : there;
}

static void name(struct node_ids *ids, uint64_t id)
{
	if (id)
		node_ids_add(ids, id);
}

/* Both tables are sorted: whoever lost or gained a prefix is named. */
static void name_moved(const struct routes *old, const struct routes *new, struct node_ids *moved)
{
	for (size_t i = 0; i < old->table.n; i++) {
		const struct subnet_route *was = &old->table.v[i];
		uint64_t is = routes_primary(new, &was->prefix);

		if (is != was->primary) {
			name(moved, was->primary);
			name(moved, is);
		}
	}
	for (size_t i = 0; i < new->table.n; i++)
		if (!find(old, &new->table.v[i].prefix))
			name(moved, new->table.v[i].primary);
}

void routes_update(struct routes *t, struct route_offer *offers, size_t n, struct node_ids *moved)
{
	struct routes next = { 0 };

	if (n > 1)
		qsort(offers, n, sizeof(*offers), by_prefix_then_node);
	for (size_t i = 0, end; i < n; i = end) {
		for (end = i + 1; end < n && prefix_eq(&offers[end].prefix, &offers[i].prefix);)
			end++;

		struct subnet_route r = {
			.prefix = offers[i].prefix,
			.primary = elect(&offers[i], end - i, routes_primary(t, &offers[i].prefix)),
			.servers = (unsigned)(end - i),
		};

		vec_push(&next.table, r);
	}
	name_moved(t, &next, moved);
	routes_done(t);
	*t = next;
}
