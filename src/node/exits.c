#include "node/exits.h"

#include <math.h>

#include "base/err.h"
#include "base/vec.h"

struct candidate {
	const struct tc_node *node;
	double distance; /* metres; negative: no place is known */
	int64_t priority;
};

struct candidates {
	VEC(struct candidate) v;
};

static bool is_candidate(const struct tc_node *n)
{
	return n->online == OBOOL_TRUE && tc_cap_find(&n->cap_map, "suggest-exit-node") &&
	       tc_node_is_exit(n);
}

/* On a sphere: the places are of cities, and of relays. */
static double distance(double lat1, double long1, double lat2, double long2)
{
	const double rad = 0.017453292519943295, earth = 6371000;
	double a = pow(sin((lat1 - lat2) * rad / 2), 2) +
	           cos(lat1 * rad) * cos(lat2 * rad) * pow(sin((long1 - long2) * rad / 2), 2);

	return earth * 2 * atan2(sqrt(a), sqrt(1 - a));
}

static const struct tc_derp_region *find_region(const struct netmap *m, int64_t id)
{
	for (size_t i = 0; m->derp_map && i < m->derp_map->regions.n; i++) {
		const struct tc_derp_region *r = m->derp_map->regions.v[i].value;

		if (r && r->region_id == id)
			return r;
	}
	return NULL;
}

static double latency_of(const struct exits_input *in, const struct tc_node *n)
{
	double s = in->latency(in->ctx, tc_node_home_derp(n));

	return s < 0 ? HUGE_VAL : s;
}

/* Those behind the nearest relay stay; false: none has a relay. */
static bool keep_nearest_relay(const struct exits_input *in, struct candidates *c)
{
	const struct tc_node *best = NULL;

	vec_each(const struct candidate *, x, &c->v) {
		if (tc_node_home_derp(x->node) &&
		    (!best || latency_of(in, x->node) < latency_of(in, best)))
			best = x->node;
	}
	for (size_t i = c->v.n; best && i-- > 0;)
		if (tc_node_home_derp(c->v.v[i].node) != tc_node_home_derp(best))
			vec_remove(&c->v, i);
	return best != NULL;
}

static const struct tc_location *place_of(const struct tc_node *n)
{
	return n->hostinfo ? n->hostinfo->location : NULL;
}

static double measure(struct candidates *c, const struct tc_derp_region *home)
{
	double least = HUGE_VAL;

	vec_each(struct candidate *, x, &c->v) {
		const struct tc_location *l = place_of(x->node);

		x->distance = l ? distance(home->latitude, home->longitude, l->latitude,
		                           l->longitude)
		                : -1;
		x->priority = l ? l->priority : 0;
		if (l && x->distance < least)
			least = x->distance;
	}
	return least;
}

/* The near ones of the highest priority stay; all, if none has a place. */
static void keep_nearest_place(struct candidates *c, const struct tc_derp_region *home)
{
	double least = measure(c, home);
	int64_t most = 0;

	if (least == HUGE_VAL)
		return;
	for (size_t i = c->v.n; i-- > 0;) {
		const struct candidate *x = &c->v.v[i];

		if (x->distance < 0 || x->distance > least + EXITS_ALLOWANCE_M)
			vec_remove(&c->v, i);
		else if (x->priority > most)
			most = x->priority;
	}
	for (size_t i = c->v.n; i-- > 0;)
		if (c->v.v[i].priority < most)
			vec_remove(&c->v, i);
}

static const struct tc_node *pick(const struct exits_input *in, const struct candidates *c)
{
	vec_each(const struct candidate *, x, &c->v) {
		if (in->previous.n && span_eq(x->node->stable_id, in->previous))
			return x->node;
	}
	return c->v.v[in->chance % c->v.n].node;
}

static int choose(const struct exits_input *in, struct candidates *c, const struct tc_node **ret)
{
	const struct tc_derp_region *home = find_region(in->map, in->home);

	if (c->v.n > 1 && !home)
		return ERR_BADSTATE;
	if (c->v.n > 1 && !keep_nearest_relay(in, c))
		keep_nearest_place(c, home);
	*ret = c->v.n ? pick(in, c) : NULL;
	return 0;
}

int exits_suggest(const struct exits_input *in, const struct tc_node **ret)
{
	struct candidates c = { 0 };

	if (!in->map || !in->home || !in->map->derp_map)
		return ERR_BADSTATE;
	for (struct netmap_peer *p = netmap_first(in->map); p; p = netmap_next(in->map, p))
		if (is_candidate(p->node))
			vec_push(&c.v, ((struct candidate){ .node = p->node }));

	int r = choose(in, &c, ret);

	vec_done(&c.v);
	return r;
}

struct span exits_resolve(const struct prefs *p, const struct netmap *m,
                          const struct tc_node *suggestion)
{
	struct netmap_peer *named = ip_is_zero(&p->exit_node_ip)
	                                    ? NULL
	                                    : netmap_peer_by_ip(m, &p->exit_node_ip);

	if (p->auto_exit_node.n && suggestion)
		return suggestion->stable_id;
	if (p->auto_exit_node.n && !p->exit_node_id.n)
		return SPAN_LIT(EXITS_UNRESOLVED);
	return named ? named->node->stable_id : p->exit_node_id;
}
