/* Sources of rules, interned, and their texts. */
#include <stdlib.h>

#include "coordinator/policy/inner.h"

static bool ids_eq(const struct ids *a, const struct ids *b)
{
	return a->n == b->n && (a->n == 0 || memcmp(a->v, b->v, a->n * sizeof(*a->v)) == 0);
}

static void fill_set(struct pol_engine *e, struct srcset *s)
{
	for (size_t i = 0; i < s->sels.n; i++) {
		const struct sel *sel = engine_sel(e, s->sels.v[i]);

		s->wildcard |= sel->kind == SEL_ALL;
		s->danger_all |= sel->kind == SEL_AUTO && sel->autogroup == AG_DANGER_ALL;
		if (sel->kind == SEL_LITERAL)
			ipset_add_set(&s->literal, &sel->ranges);
	}
	/* Under a posture "*" is the nodes that fulfil it, one by one. */
	if (s->wildcard && s->postures.n == 0)
		ipset_add_set(&s->literal, &e->tailnet);
	ipset_seal(&s->literal);
	s->stale = true;
}

/* The order of selectors and postures means nothing: sorted, each once. */
static struct ids sorted(const struct ids *from)
{
	struct ids to = { 0 };

	for (size_t i = 0; i < from->n; i++) {
		size_t at = to.n;

		while (at > 0 && to.v[at - 1] > from->v[i])
			at--;
		if (at > 0 && to.v[at - 1] == from->v[i])
			continue;
		vec_push(&to, 0);
		memmove(&to.v[at + 1], &to.v[at], (to.n - at - 1) * sizeof(*to.v));
		to.v[at] = from->v[i];
	}
	return to;
}

static uint32_t intern(struct pol_engine *e, const struct ids *src, const struct ids *postures)
{
	struct srcset s = { .sels = sorted(src), .postures = sorted(postures) };

	for (uint32_t i = 0; i < e->sets.n; i++)
		if (ids_eq(&e->sets.v[i].sels, &s.sels) &&
		    ids_eq(&e->sets.v[i].postures, &s.postures)) {
			vec_done(&s.sels);
			vec_done(&s.postures);
			return i;
		}
	fill_set(e, &s);
	vec_push(&e->sets, s);
	return (uint32_t)e->sets.n - 1;
}

static bool has_companion(const struct rule *r)
{
	return js_get(r->app, "tailscale.com/cap/drive") ||
	       js_get(r->app, "tailscale.com/cap/relay");
}

void engine_make_sets(struct pol_engine *e)
{
	struct policy *p = e->p;

	e->rule_words = words_for(p->rules.n);
	e->rule_set = mem_new_n(uint32_t, p->rules.n + 1);
	e->ssh_set = mem_new_n(uint32_t, p->ssh.n + 1);
	e->self_rules = mem_new_n(uint64_t, e->rule_words);
	e->companions = mem_new_n(uint64_t, e->rule_words);
	e->changed = mem_new_n(uint64_t, e->rule_words);
	for (size_t i = 0; i < p->rules.n; i++) {
		const struct rule *r = &p->rules.v[i];

		e->rule_set[i] = intern(e, &r->src, &r->postures);
		if (r->has_self && r->via.n == 0) {
			bit_set(e->self_rules, i);
			e->any_self = true;
		}
		if (has_companion(r))
			bit_set(e->companions, i);
	}
	for (size_t i = 0; i < p->ssh.n; i++)
		e->ssh_set[i] = intern(e, &p->ssh.v[i].src, &p->ssh.v[i].postures);
	e->set_words = words_for(e->sets.n);
	e->ssh_sets = mem_new_n(uint64_t, e->set_words);
	for (size_t i = 0; i < p->ssh.n; i++)
		bit_set(e->ssh_sets, e->ssh_set[i]);
}

void engine_free_sets(struct pol_engine *e)
{
	vec_each(struct srcset *, s, &e->sets) {
		vec_done(&s->sels);
		vec_done(&s->postures);
		ipset_done(&s->literal);
		arena_done(&s->memory);
	}
	vec_done(&e->sets);
	free(e->rule_set);
	free(e->ssh_set);
	free(e->self_rules);
	free(e->companions);
	free(e->changed);
	free(e->ssh_sets);
}

/* ---- texts ---- */

void src_add_range(struct src_list *l, const struct iprange *r)
{
	char text[IPRANGE_TEXT_MAX];

	vec_push(&l->v, arena_str(l->memory, span_str(iprange_text(r, text))));
}

void src_add_ip(struct src_list *l, const struct ip *ip)
{
	char text[IP_TEXT_MAX];

	vec_push(&l->v, arena_str(l->memory, span_str(ip_text(ip, text))));
}

void src_add_node(struct src_list *l, const struct enode *n)
{
	if (ip_is4(&n->ip4))
		src_add_ip(l, &n->ip4);
	if (!ip_is_zero(&n->n.ip6))
		src_add_ip(l, &n->n.ip6);
}

struct pol_src src_finish(struct src_list *l)
{
	AUTO_DONE(buf) struct buf json = { .max = SIZE_MAX / 4 };
	struct js_wr w = js_wr_of(&json);
	struct pol_src s = { .n = l->v.n };

	js_wr_open(&w, JS_ARRAY);
	for (size_t i = 0; i < l->v.n; i++)
		js_wr_str(&w, l->v.v[i]);
	js_wr_close(&w, JS_ARRAY);
	s.v = arena_dup(l->memory, l->v.v, l->v.n * sizeof(*l->v.v));
	s.json = span(arena_dup(l->memory, json.p, json.n), json.n);
	vec_done(&l->v);
	return s;
}

static int by_id(const void *a, const void *b)
{
	const struct enode *x = *(const struct enode *const *)a,
			   *y = *(const struct enode *const *)b;

	return (x->n.id > y->n.id) - (x->n.id < y->n.id);
}

static void add_listed(struct pol_engine *e, uint32_t set, struct src_list *l)
{
	VEC(const struct enode *) nodes = { 0 };

	for (struct map_node *m = map_first(&e->classes); m; m = map_next(&e->classes, m)) {
		struct eclass *c = CONTAINER_OF(m, struct eclass, by_bits);
		struct enode *n;

		if (!bit_get(c->listed, set))
			continue;
		list_each(n, &c->members, in_class)
			vec_push(&nodes, n);
	}
	if (nodes.n > 1)
		qsort(nodes.v, nodes.n, sizeof(*nodes.v), by_id);
	for (size_t i = 0; i < nodes.n; i++)
		src_add_node(l, nodes.v[i]);
	vec_done(&nodes);
}

/* Addresses of nodes that fail the posture are cut out of the literal ones. */
static void add_literal(struct pol_engine *e, const struct srcset *s, struct src_list *l)
{
	AUTO_DONE(ipset) struct ipset left = { 0 };
	AUTO_DONE(ipset) struct ipset failing = { 0 };

	ipset_add_set(&left, &s->literal);
	for (struct map_node *m = s->postures.n ? map_first(&e->nodes) : NULL; m;
	     m = map_next(&e->nodes, m)) {
		const struct enode *n = CONTAINER_OF(m, struct enode, by_id);

		if (engine_postures_hold(e, &s->postures, n->n.attrs, n->n.n_attrs))
			continue;
		if (ip_is4(&n->n.ip4))
			ipset_add_ip(&failing, &n->n.ip4);
		if (!ip_is_zero(&n->n.ip6))
			ipset_add_ip(&failing, &n->n.ip6);
	}
	ipset_seal(&failing);
	if (failing.n)
		ipset_subtract(&left, &failing);
	for (size_t i = 0; i < left.n; i++)
		src_add_range(l, &left.v[i]);
}

const struct pol_src *engine_set_text(struct pol_engine *e, uint32_t set)
{
	struct srcset *s = &e->sets.v[set];

	if (!s->stale)
		return &s->text;
	arena_done(&s->memory);
	struct src_list l = { .memory = &s->memory };

	if (s->danger_all) {
		vec_push(&l.v, "*");
	} else {
		add_literal(e, s, &l);
		for (size_t i = 0; s->wildcard && i < e->routes.n; i++) {
			struct iprange r = iprange_of(&e->routes.v[i].prefix);

			src_add_range(&l, &r);
		}
		add_listed(e, set, &l);
	}
	s->text = src_finish(&l);
	s->stale = false;
	return &s->text;
}
