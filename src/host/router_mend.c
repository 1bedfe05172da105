/* What others took away of ours is found by asking the kernel for all there is, and put back. */
#include <errno.h>
#include <linux/rtnetlink.h>

#include "base/err.h"
#include "base/mem.h"
#include "host/router_priv.h"
#include "platform/nft.h"
#include "router/doors.h"

/* Which of the things we did are there. */
struct seen {
	const struct done *done;
	bool *addresses, *routes, *rules; /* as many as in `done` */
	bool guard[2];                    /* by ip6 */
	bool up, nft;
	struct buf doors; /* what would open them */
};

static void seen_done(struct seen *s)
{
	free(s->addresses);
	free(s->routes);
	free(s->rules);
	buf_done(&s->doors);
}

static int see_address(void *arg, const struct rtnl_addr *a)
{
	struct seen *s = arg;

	for (size_t i = 0; a->index == s->done->index && i < s->done->addresses.n; i++)
		s->addresses[i] |= prefix_eq(&a->prefix, &s->done->addresses.v[i]);
	return 0;
}

static int by_destination(const void *key, const void *item)
{
	return prefix_cmp(key, &((const struct router_route *)item)->dst);
}

static int see_route(void *arg, const struct rtnl_route *route)
{
	struct seen *s = arg;
	const struct done *d = s->done;
	const struct router_route *ours;
	struct rtnl_route want;

	if (route->table != ROUTER_TABLE || route->protocol != HOST_ROUTER_PROTOCOL)
		return 0;
	if (route->type == RTN_UNREACHABLE) {
		s->guard[!prefix_is4(&route->dst)] = true;
		return 0;
	}
	ours = d->routes.n ? bsearch(&route->dst, d->routes.v, d->routes.n, sizeof(*ours),
	                             by_destination)
	                   : NULL;
	if (!ours)
		return 0;
	want = router_kernel_route(ours, d->index);
	s->routes[ours - d->routes.v] |= route->type == want.type && route->index == want.index;
	return 0;
}

static int see_rule(void *arg, const struct rtnl_rule *rule)
{
	struct seen *s = arg;

	for (size_t i = 0; i < s->done->rules.n; i++) {
		struct rtnl_rule ours = router_kernel_rule(&s->done->rules.v[i]);

		s->rules[i] |= rtnl_rule_eq(rule, &ours);
	}
	return 0;
}

/* A device that somebody set down has no routes, by his wish; they come back when it is up. */
static bool is_up(struct host_router *r)
{
	struct rtnl_link l;

	return r->done.index && rtnl_link_get_index(r->nl, r->done.index, &l) == 0 &&
	       (l.flags & IFF_UP);
}

static int look(struct host_router *r, struct seen *s)
{
	const struct done *d = &r->done;
	int err;

	*s = (struct seen){
		.done = d,
		.addresses = mem_new_n(bool, d->addresses.n),
		.routes = mem_new_n(bool, d->routes.n),
		.rules = mem_new_n(bool, d->rules.n),
		.up = is_up(r),
		.nft = !d->nft.n || nft_has(ROUTER_NFT_TABLE),
	};
	if (d->doors)
		router_find_doors(&s->doors, &(struct router_door){ d->dev, d->udp_port });
	err = rtnl_rule_each(r->nl, see_rule, s);
	if (err == 0 && s->up)
		err = rtnl_addr_each(r->nl, see_address, s);
	return err < 0 ? err : rtnl_route_each(r->nl, see_route, s);
}

static size_t count_false(const bool *v, size_t n)
{
	size_t missing = 0;

	for (size_t i = 0; i < n; i++)
		missing += !v[i];
	return missing;
}

static bool lacks_guard(const struct seen *s)
{
	bool ip6 = false;

	vec_each(const struct router_rule *, rule, &s->done->rules)
		ip6 |= rule->ip6;
	return s->done->guard && (!s->guard[0] || (ip6 && !s->guard[1]));
}

static int count_missing(const struct seen *s)
{
	const struct done *d = s->done;
	size_t n = count_false(s->rules, d->rules.n) + !s->nft + (s->doors.n > 0) + lacks_guard(s);

	if (s->up)
		n += count_false(s->addresses, d->addresses.n) +
		     count_false(s->routes, d->routes.n);
	return (int)n;
}

/* One of a bucket of repairs, which fills slowly. */
static bool may_mend(struct host_router *r)
{
	mono now = mono_now();
	int64_t back = mono_since(r->mend_last, now) / HOST_ROUTER_MEND_US;

	if (back > 0) {
		r->mends_spent = back >= r->mends_spent ? 0 : r->mends_spent - (int)back;
		r->mend_last = now;
	}
	if (r->mends_spent >= HOST_ROUTER_MENDS)
		return false;
	r->mends_spent++;
	return true;
}

/* Addresses first: with its last one a device had lost its routes too, unseen. */
static int mend_device(struct host_router *r, const struct seen *s)
{
	const struct done *d = s->done;
	int err = 0;

	for (size_t i = 0; i < d->addresses.n && err >= 0; i++) {
		struct rtnl_addr a = { .index = d->index,
			               .prefix = d->addresses.v[i],
			               .aside = router_is_service(&d->addresses.v[i].ip) };

		if (!s->addresses[i] && (err = rtnl_addr_add(r->nl, &a)) == -EEXIST)
			err = 0;
	}
	for (size_t i = 0; i < d->routes.n && err >= 0; i++) {
		struct rtnl_route route = router_kernel_route(&d->routes.v[i], d->index);

		if (!s->routes[i])
			err = rtnl_route_replace(r->nl, &route);
	}
	return err;
}

static int mend_guard(struct host_router *r)
{
	int err = router_put_guard(r, false, true);

	return err < 0 ? err : router_put_guard(r, true, true);
}

static int mend_rules(struct host_router *r, const struct seen *s)
{
	int err = 0;

	for (size_t i = 0; i < s->done->rules.n && err >= 0; i++) {
		struct rtnl_rule rule = router_kernel_rule(&s->done->rules.v[i]);

		if (!s->rules[i] && (err = rtnl_rule_add(r->nl, &rule)) == -EEXIST)
			err = 0;
	}
	return err;
}

static int mend_nft(struct host_router *r)
{
	AUTO_DONE(buf) struct buf text = { 0 };

	buf_add_span(&text, buf_span(&r->done.nft));
	router_counters_diff(&text, NULL, 0, r->done.counters.v, r->done.counters.n);
	buf_clear(&r->said);
	return nft_apply(buf_span(&text), &r->said);
}

/* In the order of host_router_apply: the way back, the guard, the ways in, what leads there. */
static int mend(struct host_router *r, const struct seen *s)
{
	int err = s->nft ? 0 : mend_nft(r);

	if (err >= 0 && s->doors.n)
		err = nft_apply(buf_span(&s->doors), &r->said);
	if (err >= 0 && lacks_guard(s))
		err = mend_guard(r);
	if (err >= 0 && s->up)
		err = mend_device(r, s);
	return err < 0 ? err : mend_rules(r, s);
}

int host_router_mend(struct host_router *r)
{
	struct seen s;
	int err = look(r, &s);
	int missing = count_missing(&s);

	if (err >= 0 && missing)
		err = may_mend(r) ? mend(r, &s) : ERR_LIMIT;
	seen_done(&s);
	return err < 0 ? err : missing;
}
