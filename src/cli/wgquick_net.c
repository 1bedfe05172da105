#include <errno.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"
#include "cli/wgdev.h"
#include "cli/wgquick.h"
#include "platform/nft.h"
#include "platform/sysctl.h"
#include "wireguard/value.h"

enum {
	TABLE_FIRST = 51820, /* routing tables for default routes, from here up */
	TABLE_LAST = TABLE_FIRST + 1000,
	OVERHEAD = 80, /* 40 IPv6, 8 UDP, 32 of a data message */
	MTU_UNKNOWN = 1500,
};

#define SRC_VALID_MARK "net/ipv4/conf/all/src_valid_mark"

int quick_add_addresses(struct quick *q)
{
	char text[PREFIX_TEXT_MAX];

	vec_each(const struct prefix *, p, &q->conf.quick.addresses) {
		struct rtnl_addr a = { .index = q->link.index, .prefix = *p };

		quick_say(q, "ip -%c address add %s dev %s", prefix_is4(p) ? '4' : '6',
		          wg_prefix_text(p, text), q->name);

		int r = rtnl_addr_add(q->nl, &a);

		if (r < 0)
			return quick_fail(q, r, "cannot add the address %s",
			                  wg_prefix_text(p, text));
	}
	return 0;
}

/* What the way to this address lets through; 0: there is no way. */
static uint32_t path_mtu(struct quick *q, const struct ip *dst)
{
	struct rtnl_route way;
	struct rtnl_link l;

	if (rtnl_route_get(q->nl, dst, 0, &way) < 0)
		return 0;
	if (way.mtu)
		return way.mtu;
	return rtnl_link_get_index(q->nl, way.index, &l) < 0 ? 0 : l.mtu;
}

static int see_default(void *arg, const struct rtnl_route *route)
{
	struct rtnl_route *best = arg;

	if (route->dst.bits == 0 && route->table == RTNL_TABLE_MAIN &&
	    (route->type == RTN_UNICAST) && (!best->table || route->metric < best->metric))
		*best = *route;
	return 0;
}

static uint32_t default_mtu(struct quick *q)
{
	struct rtnl_route best = { 0 };
	struct rtnl_link l;

	if (rtnl_route_each(q->nl, see_default, &best) < 0 || !best.table)
		return MTU_UNKNOWN;
	if (best.mtu)
		return best.mtu;
	return rtnl_link_get_index(q->nl, best.index, &l) < 0 ? MTU_UNKNOWN : l.mtu;
}

static uint32_t work_out_mtu(struct quick *q)
{
	uint32_t least = 0;

	vec_each(const struct wg_peer_change *, p, &q->conf.change.peers) {
		uint32_t mtu = addr_is_set(&p->endpoint) ? path_mtu(q, &p->endpoint.ip) : 0;

		if (mtu && (!least || mtu < least))
			least = mtu;
	}
	if (!least)
		least = default_mtu(q);
	/* The loopback device's 65536 is more than a packet can have. */
	if (least > WG_MTU_MAX)
		least = WG_MTU_MAX;
	return least > 68 + OVERHEAD ? least - OVERHEAD : 68;
}

int quick_set_up(struct quick *q)
{
	uint32_t mtu = q->conf.quick.mtu ? q->conf.quick.mtu : work_out_mtu(q);

	quick_say(q, "ip link set mtu %u up dev %s", mtu, q->name);

	int r = rtnl_link_up(q->nl, q->link.index, mtu);

	return r < 0 ? quick_fail(q, r, "cannot set the MTU to %u and bring the link up", mtu) : 0;
}

static int longest_first(const void *a, const void *b)
{
	const struct prefix *x = a, *y = b;

	return x->bits != y->bits ? y->bits - x->bits : prefix_cmp(y, x);
}

size_t quick_prefixes(const struct wg_change *c, struct prefix **ret)
{
	size_t n = 0, kept = 0;

	vec_each(const struct wg_peer_change *, p, &c->peers)
		n += p->ips.n;

	struct prefix *all = mem_new_n(struct prefix, n ? n : 1);

	n = 0;
	vec_each(const struct wg_peer_change *, p, &c->peers)
		for (size_t i = 0; i < p->ips.n; i++)
			if (!p->ips.v[i].remove)
				all[n++] = prefix_masked(p->ips.v[i].prefix);
	qsort(all, n, sizeof(*all), longest_first);
	for (size_t i = 0; i < n; i++)
		if (kept == 0 || !prefix_eq(&all[kept - 1], &all[i]))
			all[kept++] = all[i];
	*ret = all;
	return kept;
}

/* A table by number or by its name in rt_tables. */
static int table_number(struct quick *q, uint32_t *ret)
{
	static const char *const files[] = { "/etc/iproute2/rt_tables",
		                             "/usr/share/iproute2/rt_tables" };
	struct span want = span_str(q->conf.quick.table_name);
	uint64_t v;

	if (span_u64(want, UINT32_MAX, &v) == 0) {
		*ret = (uint32_t)v;
		return 0;
	}
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		AUTO_DONE(buf) struct buf text = { 0 };
		struct span line, rest, number, name;

		if (file_read(files[i], 1 << 20, &text) < 0)
			continue;
		rest = buf_span(&text);
		while (span_cut(&rest, '\n', &line)) {
			line = span_first(line, span_find(line, '#'));
			if (span_word(&line, &number) && span_word(&line, &name) &&
			    span_eq(name, want) && span_u64(number, UINT32_MAX, &v) == 0) {
				*ret = (uint32_t)v;
				return 0;
			}
		}
	}
	return quick_fail(q, ERR_UNKNOWN, "Table: there is no routing table \"%s\"",
	                  q->conf.quick.table_name);
}

static int add_route(struct quick *q, const struct prefix *p, uint32_t table)
{
	struct rtnl_route route = { .dst = *p, .index = q->link.index, .table = table };
	char text[PREFIX_TEXT_MAX], in[24] = "";

	if (table != RTNL_TABLE_MAIN)
		(void)snprintf(in, sizeof(in), " table %u", table);
	quick_say(q, "ip -%c route add %s dev %s%s", prefix_is4(p) ? '4' : '6',
	          wg_prefix_text(p, text), q->name, in);

	int r = rtnl_route_add(q->nl, &route);

	return r < 0 ? quick_fail(q, r, "cannot add the route %s", wg_prefix_text(p, text)) : 0;
}

struct covered {
	int index;
	struct prefix prefix;
	bool yes;
};

static int see_cover(void *arg, const struct rtnl_route *route)
{
	struct covered *c = arg;

	c->yes |= route->index == c->index && route->table == RTNL_TABLE_MAIN &&
	          prefix_is4(&route->dst) == prefix_is4(&c->prefix) &&
	          prefix_covers(&route->dst, &c->prefix);
	return 0;
}

/* An address of the interface brings the route to its network along. */
static int add_main_route(struct quick *q, const struct prefix *p)
{
	struct covered c = { q->link.index, *p, false };

	if (rtnl_route_each(q->nl, see_cover, &c) == 0 && c.yes)
		return 0;
	return add_route(q, p, RTNL_TABLE_MAIN);
}

struct used {
	uint32_t table;
	bool yes;
};

static int see_use(void *arg, const struct rtnl_route *route)
{
	struct used *u = arg;

	u->yes |= route->table == u->table;
	return 0;
}

/* The interface's mark, which is also the number of its table; made up if it has none. */
static int default_mark(struct quick *q, uint32_t *ret)
{
	struct wg_change set = { .set = WG_SET_FWMARK };

	if (q->conf.change.fwmark) {
		*ret = q->conf.change.fwmark;
		return 0;
	}
	for (uint32_t table = TABLE_FIRST; table <= TABLE_LAST; table++) {
		struct used u = { table, false };
		int r = rtnl_route_each(q->nl, see_use, &u);

		if (r < 0)
			return quick_fail(q, r, "cannot read the routes");
		if (u.yes)
			continue;
		quick_say(q, "wg set %s fwmark %u", q->name, table);
		set.fwmark = table;
		r = wgdev_set(q->name, &set);
		if (r < 0)
			return quick_fail(q, r, "cannot set the mark of the interface");
		q->conf.change.fwmark = *ret = table;
		return 0;
	}
	return quick_fail(q, ERR_LIMIT, "no free routing table from %d on", TABLE_FIRST);
}

static int add_rule(struct quick *q, const struct rtnl_rule *rule, const char *text)
{
	quick_say(q, "ip -%c rule add %s", rule->ip6 ? '6' : '4', text);

	int r = rtnl_rule_add(q->nl, rule);

	/* Another tunnel may have set the same one for both. */
	if (r < 0 && r != -EEXIST)
		return quick_fail(q, r, "cannot add the rule");
	return 0;
}

static struct rtnl_rule suppress_rule(bool ip6)
{
	return (struct rtnl_rule){ .ip6 = ip6, .table = RTNL_TABLE_MAIN, .suppress_prefix = 0 };
}

static int add_rules(struct quick *q, bool ip6, uint32_t mark)
{
	struct rtnl_rule to_tunnel = { .ip6 = ip6,
		                       .invert = true,
		                       .mark = mark,
		                       .mask = UINT32_MAX,
		                       .table = mark,
		                       .suppress_prefix = -1 };
	struct rtnl_rule suppress = suppress_rule(ip6);
	AUTO_FREE char *text = str_fmt("not fwmark %u table %u", mark, mark);
	int r = add_rule(q, &to_tunnel, text);

	return r < 0 ? r : add_rule(q, &suppress, "table main suppress_prefixlength 0");
}

void quick_nft_text(struct buf *out, const char *name, bool ip6, uint32_t mark,
                    const struct prefix *addresses, size_t n)
{
	const char *pf = ip6 ? "ip6" : "ip";
	char text[IP_TEXT_MAX];

	buf_fmt(out, "add table %s wg-quick-%s\n", pf, name);
	buf_fmt(out,
	        "add chain %s wg-quick-%s preraw { type filter hook prerouting priority -300; }\n",
	        pf, name);
	buf_fmt(out,
	        "add chain %s wg-quick-%s premangle { type filter hook prerouting priority -150; "
	        "}\n",
	        pf, name);
	buf_fmt(out,
	        "add chain %s wg-quick-%s postmangle { type filter hook postrouting priority -150; "
	        "}\n",
	        pf, name);
	for (size_t i = 0; i < n; i++) {
		if (prefix_is4(&addresses[i]) == ip6)
			continue;
		buf_fmt(out,
		        "add rule %s wg-quick-%s preraw iifname != \"%s\" %s daddr %s "
		        "fib saddr type != local drop\n",
		        pf, name, name, pf, ip_text(&addresses[i].ip, text));
	}
	buf_fmt(out,
	        "add rule %s wg-quick-%s postmangle meta l4proto udp mark %u ct mark set mark\n",
	        pf, name, mark);
	buf_fmt(out, "add rule %s wg-quick-%s premangle meta l4proto udp meta mark set ct mark\n",
	        pf, name);
}

struct live {
	int index;
	VEC(struct prefix) list;
};

static int see_live(void *arg, const struct rtnl_addr *a)
{
	struct live *l = arg;

	if (a->index == l->index)
		vec_push(&l->list, a->prefix);
	return 0;
}

static int add_firewall(struct quick *q, bool ip6, uint32_t mark)
{
	AUTO_DONE(buf) struct buf text = { 0 }, said = { 0 };
	struct live live = { .index = q->link.index };
	int r = rtnl_addr_each(q->nl, see_live, &live);

	/* Also those that a hook or the kernel added. */
	quick_nft_text(&text, q->name, ip6, mark, live.list.v, live.list.n);
	vec_done(&live.list);
	if (r < 0)
		return quick_fail(q, r, "cannot read the addresses");
	quick_say(q, "nft -f -");
	r = nft_apply(buf_span(&text), &said);

	if (r == -ENOENT)
		return quick_fail(q, r,
		                  "nft is needed to keep packets from leaking: install nftables");
	return r < 0 ? quick_fail(q, r, "nft: %s", buf_text(&said)) : 0;
}

static int mark_valid_sources(struct quick *q)
{
	int old;
	int r = sysctl_get(SRC_VALID_MARK, &old);

	quick_say(q, "sysctl -q net.ipv4.conf.all.src_valid_mark=1");
	if (r == 0 && old != 1) {
		r = sysctl_set(SRC_VALID_MARK, 1);
		q->old_mark_rule = r == 0 ? old : -1;
	}
	return r < 0 ? quick_fail(q, r, "cannot set src_valid_mark") : 0;
}

static int add_default(struct quick *q, const struct prefix *p)
{
	bool ip6 = !prefix_is4(p);
	uint32_t mark = 0;
	int r = default_mark(q, &mark);

	if (r == 0)
		r = add_route(q, p, mark);
	if (r == 0)
		r = add_rules(q, ip6, mark);
	if (r == 0 && !ip6)
		r = mark_valid_sources(q);
	return r == 0 ? add_firewall(q, ip6, mark) : r;
}

int quick_add_routes(struct quick *q)
{
	AUTO_FREE struct prefix *list = NULL;
	uint32_t table = RTNL_TABLE_MAIN;
	int r = 0;

	if (q->conf.quick.table == WG_TABLE_OFF)
		return 0;
	if (q->conf.quick.table == WG_TABLE_NAMED)
		r = table_number(q, &table);

	size_t n = quick_prefixes(&q->conf.change, &list);

	for (size_t i = 0; i < n && r == 0; i++) {
		if (q->conf.quick.table == WG_TABLE_NAMED)
			r = add_route(q, &list[i], table);
		else if (prefix_is_default(&list[i]))
			r = add_default(q, &list[i]);
		else
			r = add_main_route(q, &list[i]);
	}
	return r;
}

/* Rules of ours, and whether another tunnel of this kind is left. */
struct rule_hunt {
	uint32_t mark;
	bool ours, others, suppress;
	bool ip6;
};

static bool is_tunnel_rule(const struct rtnl_rule *rule)
{
	return rule->invert && rule->mask && rule->action == RTNL_LOOKUP &&
	       rule->mark == rule->table;
}

static int see_rule(void *arg, const struct rtnl_rule *rule)
{
	struct rule_hunt *h = arg;
	struct rtnl_rule suppress = suppress_rule(h->ip6);

	if (rule->ip6 != h->ip6)
		return 0;
	if (is_tunnel_rule(rule)) {
		h->ours |= rule->mark == h->mark;
		h->others |= rule->mark != h->mark;
	}
	h->suppress |= rtnl_rule_eq(rule, &suppress);
	return 0;
}

static void remove_rules(struct quick *q, bool ip6, uint32_t mark)
{
	struct rule_hunt h = { .mark = mark, .ip6 = ip6 };
	struct rtnl_rule ours = { .ip6 = ip6,
		                  .invert = true,
		                  .mark = mark,
		                  .mask = UINT32_MAX,
		                  .table = mark,
		                  .suppress_prefix = -1 };
	struct rtnl_rule suppress = suppress_rule(ip6);

	if (rtnl_rule_each(q->nl, see_rule, &h) < 0 || !h.ours)
		return;
	quick_say(q, "ip -%c rule delete table %u", ip6 ? '6' : '4', mark);
	(void)!rtnl_rule_del(q->nl, &ours);
	if (h.others || !h.suppress)
		return;
	quick_say(q, "ip -%c rule delete table main suppress_prefixlength 0", ip6 ? '6' : '4');
	(void)!rtnl_rule_del(q->nl, &suppress);
}

static void remove_firewall(struct quick *q, const char *family)
{
	AUTO_FREE char *table = str_fmt("%s wg-quick-%s", family, q->name);

	if (!nft_has(table))
		return;
	quick_say(q, "nft delete table %s", table);
	(void)!nft_remove(table);
}

struct tunnel_rules {
	VEC(struct rtnl_rule) list;
};

static int see_tunnel(void *arg, const struct rtnl_rule *rule)
{
	struct tunnel_rules *t = arg;

	if (is_tunnel_rule(rule))
		vec_push(&t->list, *rule);
	return 0;
}

/* A tunnel's routes go with its interface, and its rules do not: they lead to an empty table. */
static void remove_dead_rules(struct quick *q)
{
	struct tunnel_rules t = { 0 };

	(void)!rtnl_rule_each(q->nl, see_tunnel, &t);
	vec_each(const struct rtnl_rule *, rule, &t.list) {
		struct used u = { rule->table, false };

		if (rtnl_route_each(q->nl, see_use, &u) == 0 && !u.yes)
			remove_rules(q, rule->ip6, rule->mark);
	}
	vec_done(&t.list);
}

bool quick_remove_left(struct quick *q)
{
	static const char *const families[] = { "ip", "ip6" };
	bool left = false;

	for (size_t i = 0; i < ARRAY_LEN(families) && nft_have(); i++) {
		AUTO_FREE char *table = str_fmt("%s wg-quick-%s", families[i], q->name);

		left |= nft_has(table);
	}
	if (!left)
		return false;
	remove_dead_rules(q);
	remove_firewall(q, "ip");
	remove_firewall(q, "ip6");
	return true;
}

int quick_remove(struct quick *q)
{
	__attribute__((cleanup(wg_info_done))) struct wg_info info = { 0 };
	int r;

	if (wgdev_get(q->name, &info) == 0 && info.fwmark) {
		remove_rules(q, false, info.fwmark);
		remove_rules(q, true, info.fwmark);
	}
	if (nft_have()) {
		remove_firewall(q, "ip");
		remove_firewall(q, "ip6");
	}
	if (q->old_mark_rule >= 0)
		(void)!sysctl_set(SRC_VALID_MARK, q->old_mark_rule);
	if (rtnl_link_get(q->nl, q->name, &q->link) < 0)
		return 0; /* it never came, or went by itself */
	quick_say(q, "ip link delete dev %s", q->name);
	r = rtnl_link_del(q->nl, q->link.index);
	return r < 0 ? quick_fail(q, r, "cannot delete the interface") : 0;
}
