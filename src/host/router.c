#include "host/router.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"
#include "host/router_priv.h"
#include "platform/nft.h"
#include "platform/sysctl.h"
#include "router/doors.h"

#define SRC_VALID_MARK "net/ipv4/conf/all/src_valid_mark"

/* Behind every other route. */
#define GUARD_METRIC 4294967294u

static void done_clear(struct done *d)
{
	vec_done(&d->addresses);
	vec_done(&d->routes);
	vec_done(&d->rules);
	vec_done(&d->counters);
	buf_done(&d->nft);
	*d = (struct done){ 0 };
}

static void keep_first(int *first, int r)
{
	if (*first == 0 && r < 0)
		*first = r;
}

struct rtnl_rule router_kernel_rule(const struct router_rule *r)
{
	return (struct rtnl_rule){
		.ip6 = r->ip6,
		.has_priority = true,
		.priority = r->priority,
		.mark = r->bypass ? ROUTER_MARK_BYPASS : 0,
		.mask = r->bypass ? ROUTER_MARK_MASK : 0,
		.action = r->action == ROUTER_UNREACHABLE ? RTNL_UNREACHABLE : RTNL_LOOKUP,
		.table = r->table,
		.suppress_prefix = -1,
	};
}

struct rtnl_route router_kernel_route(const struct router_route *r, int index)
{
	return (struct rtnl_route){
		.dst = r->dst,
		.type = r->throw ? RTN_THROW : RTN_UNICAST,
		.index = r->throw ? 0 : index,
		.mtu = r->mtu,
		.table = ROUTER_TABLE,
		.protocol = HOST_ROUTER_PROTOCOL,
	};
}

/* What is left of an exit node's routes when their device has gone. */
static struct rtnl_route guard_route(bool ip6)
{
	return (struct rtnl_route){
		.dst = ip6 ? (struct prefix){ 0 } : (struct prefix){ ip4(0, 0, 0, 0), 0 },
		.type = RTN_UNREACHABLE,
		.table = ROUTER_TABLE,
		.metric = GUARD_METRIC,
		.protocol = HOST_ROUTER_PROTOCOL,
	};
}

/* The link: a new device has none of our addresses and routes any more. */
static int find_device(struct host_router *r, const struct router_plan *p)
{
	struct rtnl_link l;
	int err = rtnl_link_get(r->nl, p->dev, &l);

	if (err < 0)
		return err;
	if (r->done.index != l.index || strcmp(r->done.dev, p->dev) != 0) {
		r->done.addresses.n = r->done.routes.n = 0;
		r->done.mtu = 0;
	}
	memcpy(r->done.dev, p->dev, sizeof(r->done.dev));
	r->done.index = l.index;
	if (r->done.mtu == p->mtu && l.flags & IFF_UP)
		return 0;
	err = rtnl_link_up(r->nl, l.index, p->mtu);
	if (err == 0)
		r->done.mtu = p->mtu;
	return err;
}

static bool has_prefix(const struct prefix *list, size_t n, const struct prefix *p)
{
	for (size_t i = 0; i < n; i++)
		if (prefix_eq(&list[i], p))
			return true;
	return false;
}

static int apply_addresses(struct host_router *r, const struct router_plan *p)
{
	int first = 0;

	/* New ones first: with its last address a device loses its routes. */
	vec_each(const struct prefix *, want, &p->addresses) {
		struct rtnl_addr a = { .index = r->done.index,
			               .prefix = *want,
			               .aside = router_is_service(&want->ip) };

		if (has_prefix(r->done.addresses.v, r->done.addresses.n, want))
			continue;

		int err = rtnl_addr_add(r->nl, &a);

		keep_first(&first, err == -EEXIST ? 0 : err);
		if (err == 0 || err == -EEXIST)
			vec_push(&r->done.addresses, *want);
	}
	for (size_t i = r->done.addresses.n; i-- > 0;) {
		struct rtnl_addr a = { .index = r->done.index, .prefix = r->done.addresses.v[i] };

		if (has_prefix(p->addresses.v, p->addresses.n, &a.prefix))
			continue;
		(void)!rtnl_addr_del(r->nl, &a); /* it may have gone by itself */
		vec_remove(&r->done.addresses, i);
	}
	return first;
}

/* Old and new routes are sorted in the same way, so one walk finds what differs. */
static int apply_routes(struct host_router *r, const struct router_plan *p)
{
	struct done next = { 0 };
	size_t i = 0, k = 0;
	int first = 0;

	while (i < r->done.routes.n || k < p->routes.n) {
		const struct router_route *old = i < r->done.routes.n ? &r->done.routes.v[i] : NULL;
		const struct router_route *want = k < p->routes.n ? &p->routes.v[k] : NULL;
		int order = !old ? 1 : !want ? -1 : prefix_cmp(&old->dst, &want->dst);
		bool same = old && want && order == 0 &&
		            old->throw == want->throw &&old->mtu == want->mtu;
		struct rtnl_route route;

		if (old && order <= 0 && !same) {
			route = router_kernel_route(old, r->done.index);
			(void)!rtnl_route_del(r->nl, &route);
			i++;
			continue;
		}
		if (!want)
			break;
		i += same;
		k++;
		route = router_kernel_route(want, r->done.index);

		int err = same ? 0 : rtnl_route_replace(r->nl, &route);

		keep_first(&first, err);
		if (err == 0)
			vec_push(&next.routes, *want);
	}
	vec_done(&r->done.routes);
	r->done.routes.v = next.routes.v;
	r->done.routes.n = next.routes.n;
	r->done.routes.cap = next.routes.cap;
	return first;
}

int router_put_guard(struct host_router *r, bool ip6, bool want)
{
	struct rtnl_route route = guard_route(ip6);
	int err = want ? rtnl_route_add(r->nl, &route) : rtnl_route_del(r->nl, &route);

	/* A host without IPv6 has nothing to leak by it. */
	if (err == -EEXIST || err == -ESRCH || err == -ENOENT || (ip6 && err == -EAFNOSUPPORT))
		return 0;
	return err;
}

static int apply_guard(struct host_router *r, bool want)
{
	int first = 0;

	if (want == r->done.guard)
		return 0;
	for (int ip6 = 0; ip6 <= 1; ip6++)
		keep_first(&first, router_put_guard(r, ip6, want));
	if (first == 0)
		r->done.guard = want;
	return first;
}

static bool rule_eq(const struct router_rule *a, const struct router_rule *b)
{
	return a->ip6 == b->ip6 && a->priority == b->priority && a->bypass == b->bypass &&
	       a->action == b->action && a->table == b->table;
}

static bool has_rule(const struct router_rule *list, size_t n, const struct router_rule *rule)
{
	for (size_t i = 0; i < n; i++)
		if (rule_eq(&list[i], rule))
			return true;
	return false;
}

static int apply_rules(struct host_router *r, const struct router_plan *p)
{
	int first = 0;

	for (size_t i = r->done.rules.n; i-- > 0;) {
		struct rtnl_rule rule = router_kernel_rule(&r->done.rules.v[i]);

		if (has_rule(p->rules.v, p->rules.n, &r->done.rules.v[i]))
			continue;
		(void)!rtnl_rule_del(r->nl, &rule);
		vec_remove(&r->done.rules, i);
	}
	vec_each(const struct router_rule *, want, &p->rules) {
		struct rtnl_rule rule = router_kernel_rule(want);

		if (has_rule(r->done.rules.v, r->done.rules.n, want))
			continue;

		int err = rtnl_rule_add(r->nl, &rule);

		keep_first(&first, err == -EEXIST ? 0 : err);
		if (err == 0 || err == -EEXIST)
			vec_push(&r->done.rules, *want);
	}
	return first;
}

static void keep_counters(struct done *d, const struct router_plan *p)
{
	vec_done(&d->counters);
	vec_each(const struct router_counter *, c, &p->counters)
		vec_push(&d->counters, *c);
}

/* The whole table where its text changed, else the counters' elements alone: counts stay. */
static int apply_nft(struct host_router *r, const struct router_plan *p)
{
	bool anew = !span_eq(buf_span(&r->done.nft), buf_span(&p->nft));
	AUTO_DONE(buf) struct buf text = { 0 };

	if (p->nft.n == 0 && r->done.nft.n == 0)
		return 0;
	buf_clear(&r->said);
	if (p->nft.n == 0) {
		buf_clear(&r->done.nft);
		r->done.counters.n = 0;
		return nft_remove(ROUTER_NFT_TABLE);
	}
	if (anew) {
		buf_add_span(&text, buf_span(&p->nft));
		r->done.counters.n = 0;
	}
	router_counters_diff(&text, r->done.counters.v, r->done.counters.n, p->counters.v,
	                     p->counters.n);
	if (text.n == 0)
		return 0;

	int err = nft_apply(buf_span(&text), &r->said);

	if (err < 0) {
		buf_clear(&r->done.nft); /* so that the next time starts anew */
		return err;
	}
	buf_clear(&r->done.nft);
	buf_add_span(&r->done.nft, buf_span(&p->nft));
	keep_counters(&r->done, p);
	return 0;
}

void router_find_doors(struct buf *ret, const struct router_door *door)
{
	static const char *const tables[] = ROUTER_DOORS_TABLES;

	for (size_t i = 0; i < ARRAY_LEN(tables); i++) {
		AUTO_DONE(buf) struct buf listing = { 0 };

		if (nft_list(tables[i], &listing))
			router_doors(ret, tables[i], buf_span(&listing), door);
	}
}

static int set_doors(const struct router_door *door, struct buf *said)
{
	AUTO_DONE(buf) struct buf text = { 0 };

	router_find_doors(&text, door);
	return text.n ? nft_apply(buf_span(&text), said) : 0;
}

/* Those that others close are opened again by host_router_mend. */
static int apply_doors(struct host_router *r, const struct router_plan *p)
{
	struct router_door door = { p->dev, p->udp_port };
	int err;

	if (p->doors == r->done.doors && p->udp_port == r->done.udp_port)
		return 0;
	err = set_doors(p->doors ? &door : NULL, &r->said);
	if (err == 0) {
		r->done.doors = p->doors;
		r->done.udp_port = p->udp_port;
	}
	return err;
}

static int apply_sysctl(struct host_router *r, const struct router_plan *p)
{
	if (p->src_valid_mark)
		return sysctl_set(SRC_VALID_MARK, 1);
	if (r->journal.mark_rule_old < 0)
		return 0;
	return sysctl_set(SRC_VALID_MARK, r->journal.mark_rule_old);
}

/* What is about to be done, before it is. */
static int write_down(struct host_router *r, const struct router_plan *p)
{
	struct journal j = r->journal;
	int old;

	j.rules |= p->rules.n > 0;
	j.routes |= p->routes.n > 0;
	j.nft |= p->nft.n > 0;
	j.guard |= p->guard;
	if (p->src_valid_mark && j.mark_rule_old < 0 && sysctl_get(SRC_VALID_MARK, &old) == 0 &&
	    old != 1)
		j.mark_rule_old = old;
	if (journal_eq(&j, &r->journal))
		return 0;

	int err = journal_write(r->path, &j);

	if (err == 0)
		r->journal = j;
	return err;
}

int host_router_apply(struct host_router *r, const struct router_plan *plan)
{
	int first = write_down(r, plan);

	if (first < 0)
		return first; /* what is not written down cannot be undone */
	first = find_device(r, plan);
	if (first < 0)
		return first;
	/* The way back first: packets of ours must not enter before they can leave. */
	keep_first(&first, apply_sysctl(r, plan));
	keep_first(&first, apply_nft(r, plan));
	keep_first(&first, apply_doors(r, plan));
	if (plan->guard)
		keep_first(&first, apply_guard(r, true));
	keep_first(&first, apply_addresses(r, plan));
	keep_first(&first, apply_routes(r, plan));
	keep_first(&first, apply_rules(r, plan));
	if (!plan->guard)
		keep_first(&first, apply_guard(r, false));
	return first;
}

int host_router_bypass(struct host_router *r)
{
	const struct prefix any = { { { 0 } }, 128 };
	const struct router_cfg cfg = { .self = &any,
		                        .n_self = 1,
		                        .ip6 = access("/proc/sys/net/ipv6", F_OK) == 0 };
	struct router_plan p = { 0 }, rules = { 0 };
	int err;

	router_plan(&cfg, &p);
	rules.rules.v = p.rules.v;
	rules.rules.n = p.rules.n;
	err = write_down(r, &rules);
	if (err == 0)
		err = apply_rules(r, &rules);
	router_plan_done(&p);
	return err;
}

const char *host_router_said(struct host_router *r)
{
	return buf_text(&r->said);
}

/* Undoing. Works from the journal alone, as after a crash there is nothing else. */
struct route_list {
	VEC(struct rtnl_route) v;
	bool but_guard;
};

static int collect_route(void *arg, const struct rtnl_route *route)
{
	struct route_list *list = arg;

	if (route->table == ROUTER_TABLE && route->protocol == HOST_ROUTER_PROTOCOL &&
	    !(list->but_guard && route->type == RTN_UNREACHABLE))
		vec_push(&list->v, *route);
	return 0;
}

static int remove_routes(struct rtnl *nl, bool but_guard)
{
	struct route_list list = { .but_guard = but_guard };
	int first = rtnl_route_each(nl, collect_route, &list);

	vec_each(const struct rtnl_route *, route, &list.v) {
		int err = rtnl_route_del(nl, route);

		keep_first(&first, err == -ESRCH || err == -ENOENT ? 0 : err);
	}
	vec_done(&list.v);
	return first;
}

static int remove_rules(struct rtnl *nl)
{
	/* The rules of any node, both families. */
	const struct prefix any = { { { 0 } }, 128 };
	const struct router_cfg both = { .self = &any, .n_self = 1, .ip6 = true };
	struct router_plan p = { 0 };
	int first = 0;

	router_plan(&both, &p);
	vec_each(const struct router_rule *, want, &p.rules) {
		struct rtnl_rule rule = router_kernel_rule(want);
		int err = rtnl_rule_del(nl, &rule);

		keep_first(&first, err == -ENOENT || err == -EAFNOSUPPORT ? 0 : err);
	}
	router_plan_done(&p);
	return first;
}

/* All of it; with `hold`, all but the guard and the rules that lead to it. */
static int undo(struct rtnl *nl, const char *path, const struct journal *j, bool hold)
{
	const struct journal held = { .rules = true, .guard = true, .mark_rule_old = -1 };
	int first = 0;

	if (j->rules && !hold)
		keep_first(&first, remove_rules(nl));
	if (j->routes || j->guard)
		keep_first(&first, remove_routes(nl, hold));
	if (j->nft) {
		keep_first(&first, set_doors(NULL, NULL));
		keep_first(&first, nft_remove(ROUTER_NFT_TABLE));
	}
	if (j->mark_rule_old >= 0)
		keep_first(&first, sysctl_set(SRC_VALID_MARK, j->mark_rule_old));
	/* What could not be undone is tried again at the next start. */
	if (first < 0)
		return first;
	return hold ? journal_write(path, &held) : journal_remove(path);
}

static int recover(const char *journal, bool may_hold, struct journal *ret)
{
	AUTO(rtnl_free) struct rtnl *nl = NULL;
	struct journal j;
	int err = journal_read(journal, &j);

	*ret = JOURNAL_EMPTY;
	if (err < 0)
		return err == -ENOENT ? 0 : err;

	bool hold = may_hold && j.guard && j.rules;

	err = rtnl_open(&nl);
	if (err == 0)
		err = undo(nl, journal, &j, hold);
	if (err == 0 && hold)
		*ret = (struct journal){ .rules = true, .guard = true, .mark_rule_old = -1 };
	return err;
}

int host_router_cleanup(const char *journal)
{
	struct journal none;

	return recover(journal, false, &none);
}

int host_router_new(const char *journal, struct host_router **ret)
{
	AUTO(rtnl_free) struct rtnl *nl = NULL;
	struct journal left;
	int err = recover(journal, true, &left);

	if (err == 0)
		err = rtnl_open(&nl);
	if (err < 0)
		return err;

	struct host_router *r = mem_new(struct host_router);

	r->nl = TAKE(nl);
	r->path = str_dup(journal);
	r->journal = left;
	r->done.guard = left.guard;
	*ret = r;
	return 0;
}

static void remove_addresses(struct host_router *r)
{
	vec_each(const struct prefix *, p, &r->done.addresses) {
		struct rtnl_addr a = { .index = r->done.index, .prefix = *p };

		(void)!rtnl_addr_del(r->nl, &a);
	}
}

int host_router_undo(struct host_router *r, bool hold)
{
	int err = 0;

	hold = hold && r->done.guard;
	remove_addresses(r);
	if (!journal_eq(&r->journal, &JOURNAL_EMPTY))
		err = undo(r->nl, r->path, &r->journal, hold);
	done_clear(&r->done);
	if (err < 0)
		return err;
	r->journal = JOURNAL_EMPTY;
	r->journal.rules = r->journal.guard = r->done.guard = hold;
	return 0;
}

void host_router_free(struct host_router *r)
{
	if (!r)
		return;
	done_clear(&r->done);
	buf_done(&r->said);
	rtnl_free(r->nl);
	free(r->path);
	free(r);
}
