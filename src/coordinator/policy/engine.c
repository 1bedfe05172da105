/* Users and nodes, and what selectors mean for them. */
#include "coordinator/policy/engine.h"

#include <stdlib.h>

#include "base/err.h"
#include "base/sorted.h"
#include "coordinator/policy/inner.h"
#include "coordinator/policy/parse.h"

const char pol_role_names[] =
#define X(name, text) " " text
	POL_ROLES(X)
#undef X
	;

bool pol_role_parse(struct span text, enum pol_role *ret)
{
	static const char *const texts[] = {
#define X(name, text) text,
		POL_ROLES(X)
#undef X
	};

	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		if (span_is(text, texts[i])) {
			*ret = (enum pol_role)i;
			return true;
		}
	return false;
}

/* ---- look-ups ---- */

struct enode *engine_node(const struct pol_engine *e, uint64_t id)
{
	for (struct map_node *m = map_find(&e->nodes, map_hash(&e->nodes, &id, sizeof(id))); m;
	     m = map_again(m)) {
		struct enode *n = CONTAINER_OF(m, struct enode, by_id);

		if (n->n.id == id)
			return n;
	}
	return NULL;
}

struct enode *engine_node_by_ip(const struct pol_engine *e, const struct ip *ip)
{
	for (struct map_node *m = map_find(&e->by_ip4, map_hash(&e->by_ip4, ip->b, 16)); m;
	     m = map_again(m)) {
		struct enode *n = CONTAINER_OF(m, struct enode, by_ip4);

		if (ip_eq(&n->n.ip4, ip))
			return n;
	}
	for (struct map_node *m = map_find(&e->by_ip6, map_hash(&e->by_ip6, ip->b, 16)); m;
	     m = map_again(m)) {
		struct enode *n = CONTAINER_OF(m, struct enode, by_ip6);

		if (ip_eq(&n->n.ip6, ip))
			return n;
	}
	return NULL;
}

const struct euser *engine_user(const struct pol_engine *e, uint64_t id)
{
	for (struct map_node *m =
	             map_find(&e->user_by_id, map_hash(&e->user_by_id, &id, sizeof(id)));
	     m; m = map_again(m)) {
		const struct euser *u = CONTAINER_OF(m, struct euser, by_id);

		if (u->id == id)
			return u;
	}
	return NULL;
}

static struct eowner *find_owner(struct pol_engine *e, uint64_t user, bool make)
{
	uint64_t h = map_hash(&e->owners, &user, sizeof(user));

	for (struct map_node *m = map_find(&e->owners, h); m; m = map_again(m)) {
		struct eowner *o = CONTAINER_OF(m, struct eowner, by_user);

		if (o->user == user)
			return o;
	}
	if (!make)
		return NULL;
	struct eowner *o = mem_new(struct eowner);

	o->user = user;
	list_init(&o->nodes);
	map_insert(&e->owners, &o->by_user, h);
	return o;
}

/* ---- life ---- */

/* Does what a node may do depend on more than who it is: its addresses, its attributes? */
static bool names_addresses(const struct pol_engine *e)
{
	vec_each(const struct srcset *, s, &e->sets)
		if (s->postures.n)
			return true;
	for (size_t i = 0; i < e->p->sels.n; i++)
		if (engine_sel(e, (uint32_t)i)->kind == SEL_LITERAL)
			return true;
	return false;
}

struct pol_engine *pol_engine_new(struct policy *take)
{
	struct pol_engine *e = mem_new(struct pol_engine);
	static const char *const parts[] = { "100.64.0.0-100.115.91.255",
		                             "100.115.94.0-100.127.255.255",
		                             "fd7a:115c:a1e0::/48" };
	struct policy_issues issues = { 0 };

	if (!take && policy_parse(SPAN_LIT("{}"), &take, &issues) < 0)
		abort();
	policy_issues_done(&issues);
	e->p = take;
	e->changes = changes_new();
	map_init(&e->user_by_id);
	map_init(&e->nodes);
	map_init(&e->by_ip4);
	map_init(&e->by_ip6);
	map_init(&e->classes);
	map_init(&e->owners);
	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		struct iprange r;

		if (iprange_parse(span_str(parts[i]), &r) == 0)
			ipset_add_range(&e->tailnet, &r);
	}
	ipset_seal(&e->tailnet);
	policy_internet(&e->internet);
	e->sels = mem_new_n(struct esel, e->p->sels.n + 1);
	engine_make_sets(e);
	e->by_address = names_addresses(e);
	pol_engine_users(e, NULL, 0, NULL);
	return e;
}

static void drop_node(struct pol_engine *e, struct enode *n);

void pol_engine_free(struct pol_engine *e)
{
	if (!e)
		return;
	for (struct map_node *m = map_first(&e->nodes), *next; m; m = next) {
		next = map_next(&e->nodes, m);
		drop_node(e, CONTAINER_OF(m, struct enode, by_id));
	}
	vec_each(struct eroute *, r, &e->routes)
		vec_done(&r->nodes);
	vec_done(&e->routes);
	engine_free_users(e);
	for (size_t i = 0; i < e->p->sels.n; i++)
		vec_done(&e->sels[i].users);
	free(e->sels);
	engine_free_sets(e);
	ipset_done(&e->tailnet);
	ipset_done(&e->internet);
	map_done(&e->user_by_id);
	map_done(&e->nodes);
	map_done(&e->by_ip4);
	map_done(&e->by_ip6);
	map_done(&e->classes);
	map_done(&e->owners);
	policy_free(e->p);
	changes_free(e->changes);
	free(e);
}

const struct policy *pol_engine_policy(const struct pol_engine *e)
{
	return e->p;
}

size_t pol_engine_classes(const struct pol_engine *e)
{
	return e->classes.n;
}

/* ---- selectors and nodes ---- */

bool pnode_has_tag(const struct pol_node *n, struct span tag)
{
	for (size_t i = 0; i < n->n_tags; i++)
		if (span_is(tag, n->tags[i]))
			return true;
	return false;
}

static bool is_users(const struct pol_engine *e, uint32_t id, const struct pol_node *n)
{
	const struct user_ids *users = &e->sels[id].users;

	return n->n_tags == 0 && n->user && sorted_has(users->v, users->n, n->user);
}

bool sel_names(const struct pol_engine *e, uint32_t id, const struct pol_node *n)
{
	const struct sel *s = engine_sel(e, id);

	switch (s->kind) {
	case SEL_TAG:
		return pnode_has_tag(n, s->text);
	case SEL_USER:
	case SEL_DOMAIN:
	case SEL_GROUP:
		return is_users(e, id, n);
	case SEL_AUTO:
		if (s->autogroup == AG_TAGGED)
			return n->n_tags > 0;
		if (s->autogroup == AG_MEMBER)
			return n->n_tags == 0 && n->user;
		return is_users(e, id, n);
	case SEL_ALL:
	case SEL_LITERAL:
	case SEL_SERVICE:
	case SEL_BAD:
		break;
	}
	return false;
}

static bool set_has_node(const struct ipset *s, const struct enode *n)
{
	return (ip_is4(&n->ip4) && ipset_has(s, &n->ip4)) ||
	       (!ip_is_zero(&n->n.ip6) && ipset_has(s, &n->n.ip6));
}

bool sel_has_src(const struct pol_engine *e, uint32_t id, const struct enode *n)
{
	const struct sel *s = engine_sel(e, id);

	if (s->kind == SEL_ALL)
		return set_has_node(&e->tailnet, n);
	if (s->kind == SEL_AUTO && s->autogroup == AG_DANGER_ALL)
		return true;
	return s->kind == SEL_LITERAL ? set_has_node(&s->ranges, n) : sel_names(e, id, &n->n);
}

bool sel_has_dst(const struct pol_engine *e, uint32_t id, const struct enode *n)
{
	const struct sel *s = engine_sel(e, id);

	if (s->kind == SEL_ALL)
		return true;
	if (s->kind == SEL_LITERAL || (s->kind == SEL_AUTO && s->autogroup == AG_INTERNET))
		return set_has_node(&s->ranges, n);
	return sel_names(e, id, &n->n);
}

static bool ranges_meet(const struct sel *s, const struct prefix *route)
{
	struct iprange r = iprange_of(route);

	return ipset_overlaps_range(&s->ranges, &r);
}

bool sel_meets_src(const struct pol_engine *e, uint32_t id, const struct prefix *route)
{
	const struct sel *s = engine_sel(e, id);

	if (s->kind == SEL_ALL || (s->kind == SEL_AUTO && s->autogroup == AG_DANGER_ALL))
		return true;
	return s->kind == SEL_LITERAL && ranges_meet(s, route);
}

bool sel_meets_via(const struct pol_engine *e, uint32_t id, const struct prefix *route)
{
	const struct sel *s = engine_sel(e, id);

	return (s->kind == SEL_LITERAL || (s->kind == SEL_AUTO && s->autogroup == AG_INTERNET)) &&
	       ranges_meet(s, route);
}

bool sel_meets_dst(const struct pol_engine *e, uint32_t id, const struct prefix *route)
{
	return engine_sel(e, id)->kind == SEL_ALL || sel_meets_via(e, id, route);
}

bool enode_has_via(const struct pol_engine *e, const struct rule *r, const struct enode *n)
{
	for (size_t i = 0; i < r->via.n; i++)
		if (pnode_has_tag(&n->n, engine_sel(e, r->via.v[i])->text))
			return true;
	return false;
}

bool engine_postures_hold(const struct pol_engine *e, const struct ids *postures,
                          const struct posture_attr *attrs, size_t n)
{
	for (size_t i = 0; i < postures->n; i++) {
		const struct posture_def *d = &e->p->postures.v[postures->v[i]];
		bool all = true;

		for (size_t k = 0; all && k < d->n; k++)
			all = posture_holds(&d->checks[k], attrs, n);
		if (all)
			return true;
	}
	return postures->n == 0;
}

bool enode_is_exit(const struct enode *n)
{
	return n->exit4 || n->exit6;
}

/* ---- routes of the tailnet ---- */

static size_t route_place(const struct pol_engine *e, const struct prefix *p)
{
	size_t lo = 0, hi = e->routes.n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (prefix_cmp(&e->routes.v[mid].prefix, p) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static void add_route(struct pol_engine *e, const struct prefix *p, uint64_t node)
{
	size_t at = route_place(e, p), i;

	if (at == e->routes.n || !prefix_eq(&e->routes.v[at].prefix, p)) {
		(void)vec_add(&e->routes);
		memmove(&e->routes.v[at + 1], &e->routes.v[at],
		        (e->routes.n - at - 1) * sizeof(*e->routes.v));
		e->routes.v[at] = (struct eroute){ .prefix = *p };
	}
	struct pol_ids *ids = &e->routes.v[at].nodes;

	vec_push(ids, node);
	for (i = ids->n - 1; i > 0 && ids->v[i - 1] > node; i--)
		ids->v[i] = ids->v[i - 1];
	ids->v[i] = node;
}

static void remove_route(struct pol_engine *e, const struct prefix *p, uint64_t node)
{
	size_t at = route_place(e, p);

	if (at == e->routes.n || !prefix_eq(&e->routes.v[at].prefix, p))
		return;
	struct pol_ids *ids = &e->routes.v[at].nodes;

	for (size_t i = 0; i < ids->n; i++)
		if (ids->v[i] == node) {
			vec_remove(ids, i);
			break;
		}
	if (ids->n == 0) {
		vec_done(ids);
		vec_remove(&e->routes, at);
	}
}

/* ---- nodes ---- */

/* Sorted, each once, so that nodes with equal routes look equal. */
static void copy_routes(struct enode *n, const struct pol_node *from)
{
	struct prefix *v = arena_new_n(&n->memory, struct prefix, from->n_routes + 1);
	size_t count = 0;

	for (size_t i = 0; i < from->n_routes; i++) {
		struct prefix p = prefix_masked(from->routes[i]);
		size_t at = count;

		while (at > 0 && prefix_cmp(&p, &v[at - 1]) < 0)
			at--;
		if (at > 0 && prefix_eq(&v[at - 1], &p))
			continue;
		memmove(&v[at + 1], &v[at], (count - at) * sizeof(*v));
		v[at] = p;
		count++;
		n->exit4 |= prefix_is_default(&p) && prefix_is4(&p);
		n->exit6 |= prefix_is_default(&p) && !prefix_is4(&p);
	}
	n->n.routes = v;
	n->n.n_routes = count;
}

static char *keep(struct enode *n, const char *s)
{
	return arena_str(&n->memory, span_str(s ? s : ""));
}

static struct enode *copy_node(const struct pol_engine *e, const struct pol_node *from)
{
	struct enode *n = mem_new(struct enode);
	const char **tags = arena_new_n(&n->memory, const char *, from->n_tags + 1);
	struct posture_attr *attrs = arena_new_n(&n->memory, struct posture_attr,
	                                         from->n_attrs + 1);

	n->n = *from;
	for (size_t i = 0; i < from->n_tags; i++)
		tags[i] = keep(n, from->tags[i]);
	for (size_t i = 0; i < from->n_attrs; i++)
		attrs[i] = (struct posture_attr){ keep(n, from->attrs[i].key),
			                          keep(n, from->attrs[i].value) };
	n->n.tags = tags;
	n->n.attrs = attrs;
	n->n.name = keep(n, from->name);
	if (n->n.n_tags)
		n->n.user = 0;
	copy_routes(n, from);
	if (!engine_disables_ipv4(e, &n->n))
		n->ip4 = n->n.ip4;
	return n;
}

/*
 * Where the policy speaks of users, groups and tags alone, devices of one person
 * stand alike: the class of another one of them will do.
 */
static struct eclass *class_of_sibling(const struct pol_engine *e, const struct enode *n)
{
	const struct enode *other;

	if (e->by_address || !n->owner || n->n.n_routes || !set_has_node(&e->tailnet, n))
		return NULL;
	list_each(other, &n->owner->nodes, in_owner)
		if (other->class && other->n.n_routes == 0 && set_has_node(&e->tailnet, other))
			return other->class;
	return NULL;
}

/* Its devices are others now. */
static void forget_sources(struct eowner *o)
{
	arena_done(&o->memory);
	o->self[0] = o->self[1] = NULL;
}

static void join(struct pol_engine *e, struct enode *n)
{
	if (n->n.user) {
		n->owner = find_owner(e, n->n.user, true);
		n->class = class_of_sibling(e, n);
		list_prepend(&n->owner->nodes, &n->in_owner);
		n->owner->n++;
		forget_sources(n->owner);
	}
	if (!n->class)
		n->class = engine_classify(e, n);
	list_append(&n->class->members, &n->in_class);
	n->class->n++;
}

static void leave(struct pol_engine *e, struct enode *n)
{
	list_remove(&n->in_class);
	if (--n->class->n == 0) {
		map_remove(&e->classes, &n->class->by_bits);
		free(n->class);
	}
	n->class = NULL;
	if (!n->owner)
		return;
	list_remove(&n->in_owner);
	forget_sources(n->owner);
	if (--n->owner->n == 0) {
		map_remove(&e->owners, &n->owner->by_user);
		free(n->owner);
	}
	n->owner = NULL;
}

static void add_node(struct pol_engine *e, struct enode *n)
{
	map_insert(&e->nodes, &n->by_id, map_hash(&e->nodes, &n->n.id, sizeof(n->n.id)));
	map_insert(&e->by_ip4, &n->by_ip4, map_hash(&e->by_ip4, n->n.ip4.b, 16));
	map_insert(&e->by_ip6, &n->by_ip6, map_hash(&e->by_ip6, n->n.ip6.b, 16));
	for (size_t i = 0; i < n->n.n_routes; i++)
		if (prefix_is_subnet(&n->n.routes[i]))
			add_route(e, &n->n.routes[i], n->n.id);
	join(e, n);
}

static void drop_node(struct pol_engine *e, struct enode *n)
{
	leave(e, n);
	for (size_t i = 0; i < n->n.n_routes; i++)
		if (prefix_is_subnet(&n->n.routes[i]))
			remove_route(e, &n->n.routes[i], n->n.id);
	map_remove(&e->nodes, &n->by_id);
	map_remove(&e->by_ip4, &n->by_ip4);
	map_remove(&e->by_ip6, &n->by_ip6);
	arena_done(&n->memory);
	free(n);
}

/* The users changed: what every node is, may be different. */
void engine_judge_again(struct pol_engine *e)
{
	static const struct ip none;

	/* All leave before one joins: a sibling that stayed would hand on what it was. */
	for (struct map_node *m = map_first(&e->nodes); m; m = map_next(&e->nodes, m))
		leave(e, CONTAINER_OF(m, struct enode, by_id));
	for (struct map_node *m = map_first(&e->nodes); m; m = map_next(&e->nodes, m)) {
		struct enode *n = CONTAINER_OF(m, struct enode, by_id);

		n->ip4 = engine_disables_ipv4(e, &n->n) ? none : n->n.ip4;
		join(e, n);
	}
	vec_each(struct srcset *, s, &e->sets)
		s->stale = true;
	changes_all(e);
}

/* ---- changes ---- */

/* What is compared before and after. */
struct footprint {
	bool present;
	uint64_t *listed, *to; /* copies */
	struct eclass *class;  /* for identity only: it may be gone */
	struct ip ip4, ip6;
	uint64_t user;
	VEC(struct prefix) routes;
};

static void take_footprint(const struct pol_engine *e, const struct enode *n, struct footprint *f)
{
	if (!n)
		return;
	f->present = true;
	f->listed = mem_dup(n->class->listed, e->set_words * sizeof(uint64_t));
	f->to = mem_dup(n->class->to, e->rule_words * sizeof(uint64_t));
	f->ip4 = n->ip4;
	f->ip6 = n->n.ip6;
	f->user = n->n.user;
	for (size_t i = 0; i < n->n.n_routes; i++)
		if (prefix_is_subnet(&n->n.routes[i]))
			vec_push(&f->routes, n->n.routes[i]);
}

static void footprint_done(struct footprint *f)
{
	free(f->listed);
	free(f->to);
	vec_done(&f->routes);
}

static bool same_routes(const struct footprint *a, const struct footprint *b)
{
	if (a->routes.n != b->routes.n)
		return false;
	for (size_t i = 0; i < a->routes.n; i++)
		if (!prefix_eq(&a->routes.v[i], &b->routes.v[i]))
			return false;
	return true;
}

/* Marks the source sets that are different now, and reports their rules. */
static void compare(struct pol_engine *e, const struct footprint *a, const struct footprint *b,
                    struct pol_change *ret)
{
	bool moved = a->present != b->present || !ip_eq(&a->ip4, &b->ip4) ||
	             !ip_eq(&a->ip6, &b->ip6);

	ret->routes = !same_routes(a, b);
	for (uint32_t i = 0; i < e->sets.n; i++) {
		struct srcset *s = &e->sets.v[i];
		bool was = a->present && bit_get(a->listed, i),
		     is = b->present && bit_get(b->listed, i);
		bool stale = was != is || (moved && (was || is)) || (ret->routes && s->wildcard) ||
		             (s->postures.n && s->literal.n);

		s->stale |= stale;
		if (stale && bit_get(e->ssh_sets, i))
			ret->ssh = true;
		for (size_t r = 0; stale && r < e->p->rules.n; r++)
			if (e->rule_set[r] == i)
				bit_set(e->changed, r);
	}
	for (size_t r = 0; r < e->p->rules.n; r++)
		if (bit_get(e->companions, r) &&
		    ((a->present && bit_get(a->to, r)) || (b->present && bit_get(b->to, r))))
			bit_set(e->changed, r);
	ret->sources = bits_meet(e->changed, e->changed, e->rule_words);
	ret->users[0] = a->user;
	ret->users[1] = b->user;
}

static void begin_change(struct pol_engine *e, struct pol_change *ret)
{
	memset(e->changed, 0, e->rule_words * sizeof(*e->changed));
	*ret = (struct pol_change){ .rules = e->changed };
}

void pol_engine_put(struct pol_engine *e, const struct pol_node *n, struct pol_change *ret)
{
	struct enode *old = engine_node(e, n->id), *new = copy_node(e, n);
	struct footprint before = { 0 }, after = { 0 };

	begin_change(e, ret);
	take_footprint(e, old, &before);
	before.class = old ? old->class : NULL;
	if (old)
		old->class->n++; /* kept, to see whether the new one lands in the same */
	add_node(e, new);
	take_footprint(e, new, &after);
	compare(e, &before, &after, ret);
	ret->any = before.class != new->class || ret->sources || ret->routes ||
	           before.user != after.user || !ip_eq(&before.ip4, &after.ip4) ||
	           !ip_eq(&before.ip6, &after.ip6);
	if (old) {
		old->class->n--;
		drop_node(e, old);
	}
	changes_note(e, n->id, ret);
	footprint_done(&before);
	footprint_done(&after);
}

void pol_engine_remove(struct pol_engine *e, uint64_t id, struct pol_change *ret)
{
	struct enode *old = engine_node(e, id);
	struct footprint before = { 0 }, after = { 0 };

	begin_change(e, ret);
	if (!old)
		return;
	take_footprint(e, old, &before);
	drop_node(e, old);
	compare(e, &before, &after, ret);
	ret->any = true;
	changes_note(e, id, ret);
	footprint_done(&before);
}

bool pol_filter_touched(const struct pol_engine *e, uint64_t node, const struct pol_change *c)
{
	const struct enode *n = engine_node(e, node);

	if (!n || !c->any)
		return false;
	if (e->any_self && n->n.user && (n->n.user == c->users[0] || n->n.user == c->users[1]))
		return true;
	if (!c->sources)
		return false;
	if (enode_is_exit(n) || bits_meet(n->class->to, c->rules, e->rule_words))
		return true;
	for (size_t i = 0; i < e->rule_words; i++)
		if (n->class->from[i] & e->companions[i] & c->rules[i])
			return true;
	return false;
}
