/* In a network namespace of its own; skipped where we may not make one. */
#include "platform/rtnl.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <sched.h>

#include "base/mem.h"
#include "test/check.h"

static struct rtnl *nl;
static int lo; /* index of the loopback interface */

static struct prefix prefix_of(const char *text)
{
	struct prefix p = { 0 };

	CHECK_OK(prefix_parse(span_str(text), &p));
	return p;
}

static int count_links(void *arg, const struct rtnl_link *l)
{
	(void)l;
	++*(int *)arg;
	return 0;
}

static void links_are_found_by_name_and_index(void)
{
	struct rtnl_link l, again;
	int n = 0;

	CHECK_OK(rtnl_link_get(nl, "lo", &l));
	CHECK_STR(l.name, "lo");
	CHECK(l.flags & IFF_LOOPBACK);
	CHECK(l.mtu >= 1500);
	CHECK_OK(rtnl_link_get_index(nl, l.index, &again));
	CHECK_STR(again.name, "lo");
	CHECK_EQ(rtnl_link_get(nl, "nothere0", &l), -ENODEV);
	CHECK_EQ(rtnl_link_get(nl, "a-name-that-is-far-too-long", &l), -ENODEV);
	CHECK_OK(rtnl_link_each(nl, count_links, &n));
	CHECK(n >= 1);
	CHECK_OK(rtnl_link_up(nl, again.index, 9000));
	CHECK_OK(rtnl_link_get(nl, "lo", &l));
	CHECK_EQ(l.mtu, 9000);
	CHECK(l.flags & IFF_UP);
	lo = l.index;
}

struct want_addr {
	struct prefix prefix;
	int seen;
};

static int see_addr(void *arg, const struct rtnl_addr *a)
{
	struct want_addr *w = arg;

	if (prefix_eq(&a->prefix, &w->prefix))
		w->seen++;
	return 0;
}

static void addresses_come_and_go(void)
{
	static const char *const list[] = { "10.9.8.7/24", "fd00:9::7/64" };

	for (size_t i = 0; i < ARRAY_LEN(list); i++) {
		struct rtnl_addr a = { .index = lo, .prefix = prefix_of(list[i]) };
		struct want_addr w = { a.prefix, 0 };

		CHECK_OK(rtnl_addr_add(nl, &a));
		CHECK_EQ(rtnl_addr_add(nl, &a), -EEXIST);
		CHECK_OK(rtnl_addr_each(nl, see_addr, &w));
		CHECK_EQ(w.seen, 1);
		CHECK_OK(rtnl_addr_del(nl, &a));
		w.seen = 0;
		CHECK_OK(rtnl_addr_each(nl, see_addr, &w));
		CHECK_EQ(w.seen, 0);
		CHECK_EQ(rtnl_addr_del(nl, &a), -EADDRNOTAVAIL);
	}
}

struct want_route {
	struct rtnl_route route;
	int seen;
};

static int see_route(void *arg, const struct rtnl_route *route)
{
	struct want_route *w = arg;
	struct rtnl_route r = *route;

	if (!w->route.metric)
		r.metric = 0; /* the kernel gives IPv6 routes one */
	if (!w->route.index)
		r.index = 0; /* and unreachable ones a device */
	w->seen += rtnl_route_eq(&r, &w->route);
	return 0;
}

static void check_route(const char *dst, uint8_t type, uint32_t table, uint32_t mtu)
{
	struct want_route w = { { .dst = prefix_of(dst),
		                  .type = type,
		                  .index = type == RTN_UNICAST ? lo : 0,
		                  .table = table,
		                  .mtu = mtu },
		                0 };

	CHECK_OK(rtnl_route_add(nl, &w.route));
	CHECK_EQ(rtnl_route_add(nl, &w.route), -EEXIST);
	CHECK_OK(rtnl_route_replace(nl, &w.route));
	CHECK_OK(rtnl_route_each(nl, see_route, &w));
	CHECK_EQ(w.seen, 1);
	CHECK_OK(rtnl_route_del(nl, &w.route));
	w.seen = 0;
	CHECK_OK(rtnl_route_each(nl, see_route, &w));
	CHECK_EQ(w.seen, 0);
	/* -ENOENT: the table went with its last route. */
	int r = rtnl_route_del(nl, &w.route);

	CHECK(r == -ESRCH || r == -ENOENT);
}

static void routes_of_every_kind_come_and_go(void)
{
	check_route("10.1.0.0/16", RTN_UNICAST, RTNL_TABLE_MAIN, 0);
	check_route("10.1.0.0/16", RTN_UNICAST, 52, 1300);
	check_route("0.0.0.0/0", RTN_UNICAST, 51820, 0);
	check_route("10.2.0.0/16", RTN_THROW, 52, 0);
	check_route("fd00:1::/64", RTN_UNICAST, 52, 0);
	check_route("::/0", RTN_UNICAST, 51820, 0);
	check_route("fd00:2::/64", RTN_THROW, 52, 0);
}

static void the_way_to_an_address_is_told_with_its_mtu(void)
{
	struct rtnl_route way, route = {
		.dst = prefix_of("192.0.2.0/24"),
		.index = lo,
		.table = RTNL_TABLE_MAIN,
		.mtu = 1400,
	};
	struct ip dst = ip4(192, 0, 2, 1), off = ip4(198, 51, 100, 1);

	CHECK_OK(rtnl_route_add(nl, &route));
	CHECK_OK(rtnl_route_get(nl, &dst, 0, &way));
	CHECK_EQ(way.index, lo);
	CHECK_EQ(way.mtu, 1400);
	CHECK_EQ(rtnl_route_get(nl, &off, 0, &way), -ENETUNREACH);
	CHECK_OK(rtnl_route_del(nl, &route));
}

struct want_rule {
	struct rtnl_rule rule;
	int seen;
};

static int see_rule(void *arg, const struct rtnl_rule *rule)
{
	struct want_rule *w = arg;

	w->seen += rtnl_rule_eq(rule, &w->rule);
	return 0;
}

static void check_rule(struct rtnl_rule rule)
{
	struct want_rule w = { rule, 0 };

	CHECK_OK(rtnl_rule_add(nl, &rule));
	CHECK_OK(rtnl_rule_each(nl, see_rule, &w));
	CHECK_EQ(w.seen, 1);
	CHECK_OK(rtnl_rule_del(nl, &rule));
	w.seen = 0;
	CHECK_OK(rtnl_rule_each(nl, see_rule, &w));
	CHECK_EQ(w.seen, 0);
}

static void rules_of_every_kind_come_and_go(void)
{
	for (int ip6 = 0; ip6 < 2; ip6++) {
		check_rule((struct rtnl_rule){ .ip6 = ip6,
		                               .invert = true,
		                               .mark = 51820,
		                               .mask = UINT32_MAX,
		                               .table = 51820,
		                               .suppress_prefix = -1 });
		check_rule((struct rtnl_rule){
			.ip6 = ip6, .table = RTNL_TABLE_MAIN, .suppress_prefix = 0 });
		check_rule((struct rtnl_rule){ .ip6 = ip6,
		                               .mark = 0x80000,
		                               .mask = 0xff0000,
		                               .has_priority = true,
		                               .priority = 5250,
		                               .action = RTNL_UNREACHABLE,
		                               .suppress_prefix = -1 });
		check_rule((struct rtnl_rule){ .ip6 = ip6,
		                               .has_priority = true,
		                               .priority = 5270,
		                               .table = 52,
		                               .suppress_prefix = -1 });
	}
}

int main(void)
{
	if (unshare(CLONE_NEWNET) < 0 || rtnl_open(&nl) < 0) {
		check_skip("rtnetlink", "no network namespace of our own");
		return check_done();
	}
	RUN(links_are_found_by_name_and_index);
	RUN(addresses_come_and_go);
	RUN(routes_of_every_kind_come_and_go);
	RUN(the_way_to_an_address_is_told_with_its_mtu);
	RUN(rules_of_every_kind_come_and_go);
	rtnl_free(nl);
	return check_done();
}
