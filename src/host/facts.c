#include "host/facts.h"

#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <unistd.h>

#include "platform/rtnl.h"

/* What is known of the interfaces while addresses are read. */
struct reading {
	struct host_facts *out;
	const char *own_dev;
	VEC(struct rtnl_link) links;
	VEC(struct rtnl_addr) v4;
	struct rtnl_route best;
};

static int see_link(void *arg, const struct rtnl_link *l)
{
	struct reading *r = arg;

	if (r->links.n < HOST_FACTS_MAX && strcmp(l->name, r->own_dev) != 0 && l->flags & IFF_UP)
		vec_push(&r->links, *l);
	return 0;
}

static const struct rtnl_link *link_of(const struct reading *r, int index)
{
	for (size_t i = 0; i < r->links.n; i++)
		if (r->links.v[i].index == index)
			return &r->links.v[i];
	return NULL;
}

static bool has_net(const struct host_facts *f, const struct prefix *p)
{
	for (size_t i = 0; i < f->nets.n; i++)
		if (prefix_eq(&f->nets.v[i].prefix, p))
			return true;
	return false;
}

static int see_addr(void *arg, const struct rtnl_addr *a)
{
	struct reading *r = arg;
	const struct rtnl_link *l = link_of(r, a->index);
	struct prefix net = prefix_masked(a->prefix);
	bool internal = l && l->flags & IFF_LOOPBACK;

	if (!l || r->out->addrs.n >= HOST_FACTS_MAX || ip_is_loopback(&a->prefix.ip) ||
	    ip_is_link_local(&a->prefix.ip) || a->flags & (IFA_F_DEPRECATED | IFA_F_TENTATIVE))
		return 0;
	if (!internal) {
		vec_push(&r->out->addrs, a->prefix.ip);
		r->out->has4 |= ip_is4(&a->prefix.ip);
		if (ip_is4(&a->prefix.ip))
			vec_push(&r->v4, *a);
		r->out->has6 |= !ip_is4(&a->prefix.ip);
	}
	if (!prefix_is_host(&net) && !has_net(r->out, &net))
		vec_push(&r->out->nets, ((struct router_link_net){ net, internal }));
	return 0;
}

static int see_route(void *arg, const struct rtnl_route *route)
{
	struct reading *r = arg;

	if (route->dst.bits != 0 || route->table != RTNL_TABLE_MAIN || route->type != RTN_UNICAST ||
	    !link_of(r, route->index))
		return 0;
	/* IPv4's counts before IPv6's, then the metric. */
	if (r->best.table && (!prefix_is4(&route->dst) || route->metric >= r->best.metric))
		return 0;
	r->best = *route;
	return 0;
}

/* The address that the gateway knows us by: of its network, or else any of that interface. */
static void find_gateway(struct reading *r)
{
	struct host_facts *f = r->out;

	if (!r->best.has_via || !ip_is4(&r->best.via))
		return;
	f->gateway4 = r->best.via;
	vec_each(struct rtnl_addr *, a, &r->v4) {
		bool near = prefix_contains(&a->prefix, &f->gateway4);

		if (a->index == r->best.index && (near || ip_is_zero(&f->towards4)))
			f->towards4 = a->prefix.ip;
		if (a->index == r->best.index && near)
			return;
	}
}

int host_facts_read(const char *own_dev, struct host_facts *ret)
{
	AUTO(rtnl_free) struct rtnl *nl = NULL;
	struct reading r = { .out = ret, .own_dev = own_dev };
	int err = rtnl_open(&nl);

	if (err == 0)
		err = rtnl_link_each(nl, see_link, &r);
	if (err == 0)
		err = rtnl_addr_each(nl, see_addr, &r);
	if (err == 0)
		err = rtnl_route_each(nl, see_route, &r);
	ret->ip6 = access("/proc/sys/net/ipv6", F_OK) == 0;

	const struct rtnl_link *l = r.best.table ? link_of(&r, r.best.index) : NULL;

	if (l)
		memcpy(ret->default_dev, l->name, sizeof(ret->default_dev));
	if (l)
		find_gateway(&r);
	vec_done(&r.links);
	vec_done(&r.v4);
	return err;
}

void host_facts_done(struct host_facts *f)
{
	vec_done(&f->addrs);
	vec_done(&f->nets);
	*f = (struct host_facts){ 0 };
}

bool host_facts_eq(const struct host_facts *a, const struct host_facts *b)
{
	if (a->addrs.n != b->addrs.n || a->nets.n != b->nets.n || a->ip6 != b->ip6 ||
	    strcmp(a->default_dev, b->default_dev) != 0 || !ip_eq(&a->gateway4, &b->gateway4) ||
	    !ip_eq(&a->towards4, &b->towards4))
		return false;
	for (size_t i = 0; i < a->addrs.n; i++)
		if (!ip_eq(&a->addrs.v[i], &b->addrs.v[i]))
			return false;
	for (size_t i = 0; i < a->nets.n; i++)
		if (!prefix_eq(&a->nets.v[i].prefix, &b->nets.v[i].prefix) ||
		    a->nets.v[i].internal != b->nets.v[i].internal)
			return false;
	return true;
}
