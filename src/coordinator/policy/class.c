/* Classes of nodes, and who sees whom. */
#include <stdlib.h>

#include "coordinator/policy/inner.h"

static size_t class_words(const struct pol_engine *e)
{
	return 3 * e->rule_words + e->set_words;
}

/* How one node stands towards one source set. */
struct standing {
	bool addr, from, listed;
};

static struct standing stand(const struct pol_engine *e, const struct srcset *s,
                             const struct enode *n)
{
	struct standing out = { 0 };
	bool named = false;

	for (size_t i = 0; i < s->sels.n; i++) {
		uint32_t sel = s->sels.v[i];

		out.addr |= sel_has_src(e, sel, n);
		named |= sel_names(e, sel, &n->n);
		for (size_t k = 0; !out.from && k < n->n.n_routes; k++)
			out.from = prefix_is_subnet(&n->n.routes[k]) &&
			           sel_meets_src(e, sel, &n->n.routes[k]);
	}
	if (s->postures.n && !engine_postures_hold(e, &s->postures, n->n.attrs, n->n.n_attrs))
		out.addr = named = false;
	else if (s->postures.n && s->wildcard)
		named |= out.addr;
	out.from |= out.addr;
	out.listed = named && !s->danger_all;
	return out;
}

static bool is_destination(const struct pol_engine *e, const struct rule *r, const struct enode *n)
{
	bool via = r->via.n > 0;

	if (via && !enode_has_via(e, r, n))
		return false;
	for (size_t i = 0; i < r->dst.n; i++) {
		uint32_t sel = r->dst.v[i].sel;

		if (!via && sel_has_dst(e, sel, n))
			return true;
		for (size_t k = 0; k < n->n.n_routes; k++)
			if (prefix_is_subnet(&n->n.routes[k]) &&
			    (via ? sel_meets_via(e, sel, &n->n.routes[k])
			         : sel_meets_dst(e, sel, &n->n.routes[k])))
				return true;
		/* Through a via "*" means the nodes, which it leaves out. */
		if (enode_is_exit(n) && engine_sel(e, sel)->internet &&
		    (!via || engine_sel(e, sel)->kind != SEL_ALL))
			return true;
	}
	return false;
}

static void fill_bits(const struct pol_engine *e, const struct enode *n, struct eclass *c)
{
	struct standing *by_set = mem_new_n(struct standing, e->sets.n + 1);

	for (size_t i = 0; i < e->sets.n; i++) {
		by_set[i] = stand(e, &e->sets.v[i], n);
		if (by_set[i].listed)
			bit_set(c->listed, i);
	}
	for (size_t i = 0; i < e->p->rules.n; i++) {
		const struct standing *s = &by_set[e->rule_set[i]];

		if (s->addr)
			bit_set(c->addr, i);
		if (s->from)
			bit_set(c->from, i);
		if (is_destination(e, &e->p->rules.v[i], n))
			bit_set(c->to, i);
	}
	free(by_set);
}

static struct eclass *new_class(const struct pol_engine *e)
{
	struct eclass *c = mem_zalloc(1, sizeof(*c) + class_words(e) * sizeof(uint64_t));

	c->addr = c->bits;
	c->from = c->addr + e->rule_words;
	c->to = c->from + e->rule_words;
	c->listed = c->to + e->rule_words;
	list_init(&c->members);
	return c;
}

struct eclass *engine_classify(struct pol_engine *e, const struct enode *n)
{
	struct eclass *c = new_class(e);
	size_t bytes = class_words(e) * sizeof(uint64_t);

	fill_bits(e, n, c);
	c->self_any = n->n.user && bits_meet(c->addr, e->self_rules, e->rule_words);

	uint64_t h = map_hash(&e->classes, c->bits, bytes);

	for (struct map_node *m = map_find(&e->classes, h); m; m = map_again(m)) {
		struct eclass *known = CONTAINER_OF(m, struct eclass, by_bits);

		if (known->self_any == c->self_any && memcmp(known->bits, c->bits, bytes) == 0) {
			free(c);
			return known;
		}
	}
	map_insert(&e->classes, &c->by_bits, h);
	return c;
}

bool classes_see(const struct pol_engine *e, const struct eclass *a, const struct eclass *b)
{
	return bits_meet(a->from, b->to, e->rule_words) || bits_meet(b->from, a->to, e->rule_words);
}

static bool self_sees(const struct enode *a, const struct enode *b)
{
	return a->owner && a->owner == b->owner && (a->class->self_any || b->class->self_any);
}

bool pol_sees(const struct pol_engine *e, uint64_t a, uint64_t b)
{
	const struct enode *x = engine_node(e, a), *y = engine_node(e, b);

	return x && y && x != y && (self_sees(x, y) || classes_see(e, x->class, y->class));
}

uint64_t pol_class_key(const struct pol_engine *e, uint64_t id)
{
	const struct enode *n = engine_node(e, id);
	uint64_t parts[3];

	if (!n)
		return 0;
	/* The class by its bits, as its address may be another's tomorrow. */
	parts[0] = n->class->by_bits.hash ^ n->class->self_any;
	parts[1] = e->any_self ? n->n.user : 0;
	/* Routers of one site see one another's routes. */
	parts[2] = n->n.n_routes ? map_hash(&e->classes, n->n.routes,
	                                    n->n.n_routes * sizeof(*n->n.routes))
	                         : 0;
	return map_hash(&e->classes, parts, sizeof(parts)) | 1;
}

void pol_peers(const struct pol_engine *e, uint64_t id, struct pol_ids *ret)
{
	const struct enode *n = engine_node(e, id);
	struct enode *other;

	if (!n)
		return;
	for (struct map_node *m = map_first(&e->classes); m; m = map_next(&e->classes, m)) {
		struct eclass *c = CONTAINER_OF(m, struct eclass, by_bits);

		if (!classes_see(e, n->class, c))
			continue;
		list_each(other, &c->members, in_class)
			if (other != n)
				vec_push(ret, other->n.id);
	}
	if (!n->owner)
		return;
	list_each(other, &n->owner->nodes, in_owner)
		if (other != n && self_sees(n, other) && !classes_see(e, n->class, other->class))
			vec_push(ret, other->n.id);
}
