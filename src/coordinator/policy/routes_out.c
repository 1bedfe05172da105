/* Which routes a viewer sees behind a peer. */
#include "coordinator/policy/inner.h"

/* The viewer, a route, and who would carry it. */
struct look {
	const struct pol_engine *e;
	const struct enode *viewer, *peer;
	const struct prefix *route;
};

static bool dst_meets(const struct look *l, const struct rule *r, const struct prefix *route)
{
	for (size_t i = 0; i < r->dst.n; i++)
		if (sel_meets_dst(l->e, r->dst.v[i].sel, route))
			return true;
	return false;
}

static bool src_meets(const struct look *l, const struct rule *r, const struct prefix *route)
{
	for (size_t i = 0; i < r->src.n; i++)
		if (sel_meets_src(l->e, r->src.v[i], route))
			return true;
	return false;
}

static bool dst_has_viewer(const struct look *l, const struct rule *r)
{
	for (size_t i = 0; i < r->dst.n; i++)
		if (sel_has_dst(l->e, r->dst.v[i].sel, l->viewer))
			return true;
	return false;
}

/* The viewer itself may send to the route. */
static bool may_reach(const struct look *l)
{
	for (size_t i = 0; i < l->e->p->rules.n; i++) {
		const struct rule *r = &l->e->p->rules.v[i];

		if (r->via.n == 0 && bit_get(l->viewer->class->addr, i) &&
		    dst_meets(l, r, l->route))
			return true;
	}
	return false;
}

/* Between a subnet of the viewer and the route, either way. */
static bool sites_talk(const struct look *l, const struct rule *r)
{
	for (size_t i = 0; i < l->viewer->n.n_routes; i++) {
		const struct prefix *own = &l->viewer->n.routes[i];

		if (!prefix_is_subnet(own))
			continue;
		if ((src_meets(l, r, own) && dst_meets(l, r, l->route)) ||
		    (src_meets(l, r, l->route) && dst_meets(l, r, own)))
			return true;
	}
	return false;
}

/* Answers must find their way back, and sites behind the viewer theirs. */
static bool is_way_back(const struct look *l)
{
	for (size_t i = 0; i < l->viewer->n.n_routes; i++)
		if (prefix_eq(&l->viewer->n.routes[i], l->route))
			return true; /* another router of the same site */
	for (size_t i = 0; i < l->e->p->rules.n; i++) {
		const struct rule *r = &l->e->p->rules.v[i];

		if (r->via.n)
			continue;
		if (src_meets(l, r, l->route) &&
		    (dst_has_viewer(l, r) || (enode_is_exit(l->viewer) && r->internet)))
			return true;
		if (sites_talk(l, r))
			return true;
	}
	return false;
}

/* ---- via ---- */

static bool via_meets(const struct look *l, const struct rule *r)
{
	for (size_t i = 0; i < r->dst.n; i++)
		if (sel_meets_via(l->e, r->dst.v[i].sel, l->route))
			return true;
	return false;
}

/* The lowest usable node with a tag of the rule that has the route; 0: none. */
static uint64_t elect(const struct look *l, const struct rule *r)
{
	for (size_t i = 0; i < l->e->routes.n; i++) {
		const struct eroute *route = &l->e->routes.v[i];

		if (!prefix_eq(&route->prefix, l->route))
			continue;
		for (size_t k = 0; k < route->nodes.n; k++) {
			const struct enode *n = engine_node(l->e, route->nodes.v[k]);

			if (n && n->n.usable && enode_has_via(l->e, r, n))
				return n->n.id;
		}
	}
	return 0;
}

enum steered { NOT_STEERED, STEERED_HERE, STEERED_AWAY };

static enum steered steer(const struct look *l)
{
	enum steered out = NOT_STEERED;

	for (size_t i = 0; i < l->e->p->rules.n; i++) {
		const struct rule *r = &l->e->p->rules.v[i];

		if (r->via.n == 0 || !bit_get(l->viewer->class->addr, i) || !via_meets(l, r))
			continue;
		if (elect(l, r) == l->peer->n.id)
			return STEERED_HERE;
		out = STEERED_AWAY;
	}
	return out;
}

/* ---- verdicts ---- */

static bool shows_exit(const struct look *l)
{
	for (size_t i = 0; i < l->e->p->rules.n; i++) {
		const struct rule *r = &l->e->p->rules.v[i];

		if (!r->internet || !bit_get(l->viewer->class->addr, i))
			continue;
		if (r->via.n == 0 || enode_has_via(l->e, r, l->peer))
			return true;
	}
	return false;
}

static bool shows_subnet(const struct look *l, const struct pol_primaries *primaries)
{
	bool primary = primaries->of(primaries->arg, l->route) == l->peer->n.id;

	if (may_reach(l))
		return primary;
	switch (steer(l)) {
	case STEERED_HERE:
		return true;
	case STEERED_AWAY:
		return false;
	case NOT_STEERED:
		break;
	}
	return primary && is_way_back(l);
}

void pol_routes_shown(const struct pol_engine *e, uint64_t viewer, uint64_t peer,
                      const struct pol_primaries *primaries, struct pol_prefixes *ret)
{
	struct look l = { .e = e, .viewer = engine_node(e, viewer), .peer = engine_node(e, peer) };

	if (!l.viewer || !l.peer)
		return;
	for (size_t i = 0; i < l.peer->n.n_routes; i++) {
		l.route = &l.peer->n.routes[i];
		if (l.viewer == l.peer ||
		    (prefix_is_default(l.route) ? shows_exit(&l) : shows_subnet(&l, primaries)))
			vec_push(ret, *l.route);
	}
}

void pol_addresses(const struct pol_engine *e, uint64_t id, struct pol_prefixes *ret)
{
	const struct enode *n = engine_node(e, id);

	if (!n)
		return;
	if (ip_is4(&n->ip4))
		vec_push(ret, prefix_host(n->ip4));
	if (!ip_is_zero(&n->n.ip6))
		vec_push(ret, prefix_host(n->n.ip6));
}
