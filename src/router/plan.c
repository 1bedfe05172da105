#include "router/plan.h"

#include <stdlib.h>

#include "base/via6.h"
#include "router/priv.h"

/* 100.64.0.0/10, fd7a:115c:a1e0::/48, and the service addresses inside them. */
static const struct prefix cgnat = { { { [10] = 0xff, [11] = 0xff, 100, 64 } }, 10 };
static const struct prefix ula = { { { 0xfd, 0x7a, 0x11, 0x5c, 0xa1, 0xe0 } }, 48 };
static const struct prefix service4 = { { { [10] = 0xff, [11] = 0xff, 100, 100, 100, 100 } }, 32 };
static const struct prefix service6 = { { { 0xfd, 0x7a, 0x11, 0x5c, 0xa1, 0xe0, [15] = 0x53 } },
	                                128 };
static const struct prefix all4 = { { { [10] = 0xff, [11] = 0xff } }, 0 };
static const struct prefix all6 = { { { 0 } }, 0 };

bool router_is_service(const struct ip *ip)
{
	return ip_eq(ip, &service4.ip) || ip_eq(ip, &service6.ip);
}

static void add(struct router_plan *p, struct prefix dst, bool throw)
{
	vec_push(&p->routes, ((struct router_route){ prefix_masked(dst), throw, 0 }));
}

/* IPv4 first, then by address, then by length; of two that are equal the throw route first. */
static int by_prefix(const void *a, const void *b)
{
	const struct router_route *x = a, *y = b;
	int order = prefix_cmp(&x->dst, &y->dst);

	return order ? order : (int)y->throw -(int)x->throw;
}

static void sort_routes(struct router_plan *p, bool ip6)
{
	size_t n = 0;

	if (p->routes.n)
		qsort(p->routes.v, p->routes.n, sizeof(*p->routes.v), by_prefix);
	for (size_t i = 0; i < p->routes.n; i++) {
		const struct router_route *r = &p->routes.v[i];

		if (!ip6 && !prefix_is4(&r->dst))
			continue;
		if (n && prefix_eq(&p->routes.v[n - 1].dst, &r->dst))
			continue;
		p->routes.v[n++] = *r;
	}
	p->routes.n = n;
}

/* Whether a peer's prefix is one of its own addresses. */
static bool is_own(const struct router_peer *peer, const struct prefix *p)
{
	if (!prefix_is_host(p))
		return false;
	for (size_t i = 0; i < peer->n_addrs; i++)
		if (ip_eq(&peer->addrs[i], &p->ip))
			return true;
	return false;
}

static bool overlaps_host(const struct router_cfg *cfg, const struct prefix *p)
{
	for (size_t i = 0; i < cfg->n_nets; i++)
		if (prefix_is4(&cfg->nets[i].prefix) == prefix_is4(p) &&
		    prefix_overlaps(&cfg->nets[i].prefix, p))
			return true;
	return false;
}

static void add_subnet(struct router_plan *p, const struct router_cfg *cfg,
                       const struct prefix *dst)
{
	if (!cfg->accept_routes)
		return;
	if (overlaps_host(cfg, dst))
		vec_push(&p->shadowed, prefix_masked(*dst));
	add(p, *dst, false);
}

static void tell_overlap(struct buf *out, const struct router_peer *peer,
                         const struct prefix *route, const struct prefix *net)
{
	char a[PREFIX_TEXT_MAX], b[PREFIX_TEXT_MAX];

	buf_fmt(out,
	        "%sThe route %s of %s overlaps %s, a network of this host: addresses that both "
	        "have are still reached directly.",
	        out->n ? " " : "", prefix_text(route, a), peer->name, prefix_text(net, b));
}

void router_overlaps(struct buf *out, const struct router_cfg *cfg)
{
	for (size_t i = 0; cfg->accept_routes && i < cfg->n_peers; i++)
		for (size_t k = 0; k < cfg->peers[i].n_allowed; k++) {
			const struct prefix *p = &cfg->peers[i].allowed[k];

			if (prefix_is_default(p) || is_own(&cfg->peers[i], p))
				continue;
			for (size_t j = 0; j < cfg->n_nets; j++)
				if (prefix_is4(&cfg->nets[j].prefix) == prefix_is4(p) &&
				    prefix_overlaps(&cfg->nets[j].prefix, p))
					tell_overlap(out, &cfg->peers[i], p, &cfg->nets[j].prefix);
		}
}

static size_t count_own4(const struct router_cfg *cfg)
{
	size_t n = 0;

	for (size_t i = 0; i < cfg->n_peers; i++)
		for (size_t k = 0; k < cfg->peers[i].n_addrs; k++)
			n += ip_is4(&cfg->peers[i].addrs[k]);
	return n;
}

static void add_peers(struct router_plan *p, const struct router_cfg *cfg)
{
	size_t own4 = count_own4(cfg);
	bool collapse = own4 > ROUTER_PEER_ROUTES_MAX || (cfg->one_cgnat && own4 > 1);

	for (size_t i = 0; i < cfg->n_peers; i++) {
		const struct router_peer *peer = &cfg->peers[i];

		for (size_t k = 0; k < peer->n_allowed; k++) {
			const struct prefix *dst = &peer->allowed[k];

			if (prefix_is_default(dst))
				continue; /* use_exit decides */
			if (!is_own(peer, dst))
				add_subnet(p, cfg, dst);
			else if (!prefix_is4(dst) && prefix_covers(&ula, dst))
				add(p, ula, false);
			else if (collapse && prefix_covers(&cgnat, dst))
				add(p, cgnat, false);
			else
				add(p, *dst, false);
		}
	}
}

/*
 * With an exit node everything goes into the tunnel. What the host is attached
 * to would by its more specific routes in the main table; that table is asked
 * after ours, so without the throw routes the tunnel has it all.
 */
static void add_exit(struct router_plan *p, const struct router_cfg *cfg)
{
	add(p, all4, false);
	add(p, all6, false);
	for (size_t i = 0; i < cfg->n_nets; i++)
		add(p, cfg->nets[i].prefix, cfg->nets[i].internal || cfg->exit_lan);
}

static void spare(struct router_plan *p, const struct prefix *route, const struct prefix *net)
{
	if (prefix_is4(net) == prefix_is4(route) && prefix_overlaps(net, route))
		add(p, prefix_covers(route, net) ? *net : *route, true);
}

/*
 * An accepted route never takes the host's own network away, nor a part of it: what both have is
 * thrown back to the main table.
 */
static void spare_own_nets(struct router_plan *p, const struct router_cfg *cfg)
{
	for (size_t i = 0; i < p->shadowed.n; i++)
		for (size_t k = 0; k < cfg->n_nets; k++)
			spare(p, &p->shadowed.v[i], &cfg->nets[k].prefix);
}

static int by_address(const void *a, const void *b)
{
	return prefix_cmp(a, b);
}

static void plan_addresses(struct router_plan *p, const struct router_cfg *cfg)
{
	for (size_t i = 0; i < cfg->n_self; i++)
		if (cfg->ip6 || prefix_is4(&cfg->self[i]))
			vec_push(&p->addresses, prefix_host(cfg->self[i].ip));
	if (p->addresses.n)
		qsort(p->addresses.v, p->addresses.n, sizeof(*p->addresses.v), by_address);
}

static void add_rule(struct router_plan *p, struct router_rule rule)
{
	vec_push(&p->rules, rule);
}

static void plan_rules(struct router_plan *p, const struct router_cfg *cfg)
{
	for (int ip6 = 0; ip6 <= cfg->ip6; ip6++) {
		add_rule(p,
		         (struct router_rule){ ip6, ROUTER_RULES + 10, true, ROUTER_LOOKUP, 254 });
		add_rule(p,
		         (struct router_rule){ ip6, ROUTER_RULES + 30, true, ROUTER_LOOKUP, 253 });
		add_rule(p, (struct router_rule){ ip6, ROUTER_RULES + 50, true, ROUTER_UNREACHABLE,
		                                  0 });
		add_rule(p, (struct router_rule){ ip6, ROUTER_RULES + 70, false, ROUTER_LOOKUP,
		                                  ROUTER_TABLE });
	}
}

void router_plan(const struct router_cfg *cfg, struct router_plan *ret)
{
	memcpy(ret->dev, cfg->dev, sizeof(ret->dev));
	ret->mtu = cfg->mtu ? cfg->mtu : ROUTER_MTU;
	if (cfg->n_self == 0)
		return; /* not in a tailnet: nothing of ours in the host */
	plan_addresses(ret, cfg);
	add_peers(ret, cfg);
	if (cfg->service_routes) {
		add(ret, service4, false);
		add(ret, service6, false);
	}
	if (cfg->via6)
		vec_push(&ret->routes,
		         ((struct router_route){ prefix_host(VIA6_HOST), false, VIA6_MTU }));
	if (cfg->use_exit)
		add_exit(ret, cfg);
	else
		spare_own_nets(ret, cfg);
	sort_routes(ret, cfg->ip6);
	ret->guard = cfg->use_exit;
	plan_rules(ret, cfg);
	ret->udp_port = cfg->udp_port;
	ret->src_valid_mark = ret->doors = cfg->netfilter == ROUTER_NETFILTER_ON;
	if (cfg->netfilter != ROUTER_NETFILTER_OFF)
		router_plan_nft(ret, cfg);
}

void router_plan_done(struct router_plan *p)
{
	vec_done(&p->addresses);
	vec_done(&p->routes);
	vec_done(&p->rules);
	vec_done(&p->counters);
	vec_done(&p->shadowed);
	buf_done(&p->nft);
	*p = (struct router_plan){ 0 };
}

static void print_rule(struct buf *out, const struct router_rule *r)
{
	buf_fmt(out, "rule%c %u%s ", r->ip6 ? '6' : '4', r->priority,
	        r->bypass ? " fwmark 0x80000/0xff0000" : "");
	if (r->action == ROUTER_UNREACHABLE)
		buf_add_str(out, "unreachable\n");
	else
		buf_fmt(out, "lookup %u\n", r->table);
}

static void print_route(struct buf *out, const struct router_route *r)
{
	char text[PREFIX_TEXT_MAX];

	buf_fmt(out, "route %s%s", prefix_text(&r->dst, text), r->throw ? " throw" : "");
	if (r->mtu)
		buf_fmt(out, " mtu %u", r->mtu);
	buf_add_str(out, "\n");
}

void router_plan_print(struct buf *out, const struct router_plan *p)
{
	char text[PREFIX_TEXT_MAX];

	buf_fmt(out, "link %s mtu %u\n", p->dev, p->mtu);
	vec_each(const struct prefix *, a, &p->addresses)
		buf_fmt(out, "address %s\n", prefix_text(a, text));
	vec_each(const struct router_route *, r, &p->routes)
		print_route(out, r);
	vec_each(const struct router_rule *, r, &p->rules)
		print_rule(out, r);
	vec_each(const struct prefix *, s, &p->shadowed)
		buf_fmt(out, "shadowed %s\n", prefix_text(s, text));
	if (p->guard)
		buf_add_str(out, "guard\n");
	if (p->src_valid_mark)
		buf_add_str(out, "src_valid_mark\n");
	buf_add_span(out, buf_span(&p->nft));
	router_counters_diff(out, NULL, 0, p->counters.v, p->counters.n);
}
