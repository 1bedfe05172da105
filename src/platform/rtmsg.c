#include "platform/rtmsg.h"

#include <linux/fib_rules.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>

#include "base/err.h"

/* An address attribute of this family. */
static bool read_ip(const struct nlattr *a, int family, struct ip *ret)
{
	if (family == AF_INET && nl_len(a) == 4)
		*ret = ip4_of(nl_data(a));
	else if (family == AF_INET6 && nl_len(a) == 16)
		*ret = ip6_of(nl_data(a));
	else
		return false;
	return true;
}

static struct ip any_of(int family)
{
	return family == AF_INET ? ip4(0, 0, 0, 0) : (struct ip){ { 0 } };
}

static uint8_t max_bits(int family)
{
	return family == AF_INET ? 32 : 128;
}

static bool family_ok(int family)
{
	return family == AF_INET || family == AF_INET6;
}

int rtnl_link_parse(const struct nlmsghdr *msg, struct rtnl_link *ret)
{
	const struct ifinfomsg *info = nl_head(msg);
	struct rtnl_link l = { 0 };

	if (!nl_has_head(msg, sizeof(*info)))
		return ERR_MALFORMED;
	l.index = info->ifi_index;
	l.flags = info->ifi_flags;
	l.type = info->ifi_type;
	nl_each(a, msg, sizeof(*info))
	{
		uint32_t v;

		if (nl_type(a) == IFLA_IFNAME)
			(void)nl_str(a, l.name, sizeof(l.name));
		else if (nl_type(a) == IFLA_MTU)
			(void)nl_u32(a, &l.mtu);
		else if (nl_type(a) == IFLA_MASTER && nl_u32(a, &v))
			l.master = (int)v;
		else if (nl_type(a) == IFLA_LINK && nl_u32(a, &v))
			l.lower = (int)v;
		else if (nl_type(a) == IFLA_LINKINFO)
			nl_each_in(b, a) if (nl_type(b) == IFLA_INFO_KIND)(void)
				nl_str(b, l.kind, sizeof(l.kind));
	}
	*ret = l;
	return 0;
}

int rtnl_addr_parse(const struct nlmsghdr *msg, struct rtnl_addr *ret)
{
	const struct ifaddrmsg *info = nl_head(msg);

	if (!nl_has_head(msg, sizeof(*info)) || !family_ok(info->ifa_family) ||
	    info->ifa_prefixlen > max_bits(info->ifa_family))
		return ERR_MALFORMED;

	struct rtnl_addr r = {
		.index = (int)info->ifa_index,
		.flags = info->ifa_flags,
		.scope = info->ifa_scope,
		.prefix.bits = info->ifa_prefixlen,
	};
	bool local = false, have = false;

	nl_each(a, msg, sizeof(*info))
	{
		uint32_t v;

		/* On a point-to-point link IFA_ADDRESS is the other end. */
		if (nl_type(a) == IFA_LOCAL)
			have |= local = read_ip(a, info->ifa_family, &r.prefix.ip);
		else if (nl_type(a) == IFA_ADDRESS && !local)
			have |= read_ip(a, info->ifa_family, &r.prefix.ip);
		else if (nl_type(a) == IFA_FLAGS && nl_u32(a, &v))
			r.flags = v;
	}
	if (!have)
		return ERR_MALFORMED;
	*ret = r;
	return 0;
}

static void read_metrics(const struct nlattr *outer, struct rtnl_route *r)
{
	nl_each_in(a, outer) if (nl_type(a) == RTAX_MTU)(void) nl_u32(a, &r->mtu);
}

/* The first hop of a route with several; that is enough to know where it goes. */
static void read_multipath(const struct nlattr *a, int family, struct rtnl_route *r)
{
	struct rtnexthop hop;

	if (nl_len(a) < sizeof(hop))
		return;
	memcpy(&hop, nl_data(a), sizeof(hop));
	r->index = hop.rtnh_ifindex;
	if (hop.rtnh_len < sizeof(hop) + NLA_HDRLEN || hop.rtnh_len > nl_len(a))
		return;

	const struct nlattr *in = (const struct nlattr *)(const void *)(nl_data(a) + sizeof(hop));

	if (in->nla_len >= sizeof(*in) && in->nla_len <= hop.rtnh_len - sizeof(hop) &&
	    nl_type(in) == RTA_GATEWAY)
		r->has_via = read_ip(in, family, &r->via);
}

static void read_route_attr(const struct nlattr *a, int family, struct rtnl_route *r)
{
	uint32_t v;

	switch (nl_type(a)) {
	case RTA_DST:
		(void)read_ip(a, family, &r->dst.ip);
		break;
	case RTA_GATEWAY:
		r->has_via = read_ip(a, family, &r->via);
		break;
	case RTA_PREFSRC:
		r->has_prefsrc = read_ip(a, family, &r->prefsrc);
		break;
	case RTA_OIF:
		if (nl_u32(a, &v))
			r->index = (int)v;
		break;
	case RTA_TABLE:
		(void)nl_u32(a, &r->table);
		break;
	case RTA_PRIORITY:
		(void)nl_u32(a, &r->metric);
		break;
	case RTA_METRICS:
		read_metrics(a, r);
		break;
	case RTA_MULTIPATH:
		read_multipath(a, family, r);
		break;
	default:
		break;
	}
}

int rtnl_route_parse(const struct nlmsghdr *msg, struct rtnl_route *ret)
{
	const struct rtmsg *info = nl_head(msg);

	if (!nl_has_head(msg, sizeof(*info)) || !family_ok(info->rtm_family) ||
	    info->rtm_dst_len > max_bits(info->rtm_family))
		return ERR_MALFORMED;

	struct rtnl_route r = {
		.dst = { any_of(info->rtm_family), info->rtm_dst_len },
		.type = info->rtm_type,
		.protocol = info->rtm_protocol,
		.scope = info->rtm_scope,
		.table = info->rtm_table,
	};

	nl_each(a, msg, sizeof(*info)) read_route_attr(a, info->rtm_family, &r);
	*ret = r;
	return 0;
}

static void read_rule_attr(const struct nlattr *a, struct rtnl_rule *r)
{
	uint32_t v;

	switch (nl_type(a)) {
	case FRA_PRIORITY:
		r->has_priority = nl_u32(a, &r->priority);
		break;
	case FRA_FWMARK:
		(void)nl_u32(a, &r->mark);
		break;
	case FRA_FWMASK:
		(void)nl_u32(a, &r->mask);
		break;
	case FRA_TABLE:
		(void)nl_u32(a, &r->table);
		break;
	case FRA_SUPPRESS_PREFIXLEN:
		if (nl_u32(a, &v))
			r->suppress_prefix = (int)v;
		break;
	case FRA_SRC:
	case FRA_DST:
	case FRA_IIFNAME:
	case FRA_OIFNAME:
	case FRA_UID_RANGE:
	case FRA_SPORT_RANGE:
	case FRA_DPORT_RANGE:
		r->action = RTNL_OTHER; /* narrower than any rule of ours */
		break;
	default:
		break;
	}
}

int rtnl_rule_parse(const struct nlmsghdr *msg, struct rtnl_rule *ret)
{
	const struct fib_rule_hdr *info = nl_head(msg);

	if (!nl_has_head(msg, sizeof(*info)) || !family_ok(info->family))
		return ERR_MALFORMED;

	struct rtnl_rule r = {
		.ip6 = info->family == AF_INET6,
		.invert = info->flags & FIB_RULE_INVERT,
		.table = info->table,
		.suppress_prefix = -1,
		.action = info->action == FR_ACT_TO_TBL        ? RTNL_LOOKUP
		          : info->action == FR_ACT_UNREACHABLE ? RTNL_UNREACHABLE
		                                               : RTNL_OTHER,
	};

	nl_each(a, msg, sizeof(*info)) read_rule_attr(a, &r);
	*ret = r;
	return 0;
}

bool rtnl_route_eq(const struct rtnl_route *a, const struct rtnl_route *b)
{
	return prefix_eq(&a->dst, &b->dst) && a->table == b->table && a->type == b->type &&
	       a->index == b->index && a->metric == b->metric && a->has_via == b->has_via &&
	       (!a->has_via || ip_eq(&a->via, &b->via));
}

bool rtnl_rule_eq(const struct rtnl_rule *a, const struct rtnl_rule *b)
{
	return a->ip6 == b->ip6 && a->invert == b->invert && a->action == b->action &&
	       a->mark == b->mark && a->mask == b->mask &&
	       (a->action != RTNL_LOOKUP || a->table == b->table) &&
	       a->suppress_prefix == b->suppress_prefix &&
	       (!a->has_priority || !b->has_priority || a->priority == b->priority);
}

static void *start(struct rtnl_msg *m, uint16_t type, uint16_t flags, size_t head)
{
	struct nlmsghdr *h = mnl_nlmsg_put_header(m->bytes);

	h->nlmsg_type = type;
	h->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
	return mnl_nlmsg_put_extra_header(h, head);
}

/* Everything put here has a fixed, small size, so the room is always enough. */
static void put_ip(struct rtnl_msg *m, uint16_t type, const struct ip *ip)
{
	if (ip_is4(ip))
		mnl_attr_put(&m->head, type, 4, ip_v4(ip));
	else
		mnl_attr_put(&m->head, type, 16, ip->b);
}

static uint8_t family_of(const struct ip *ip)
{
	return ip_is4(ip) ? AF_INET : AF_INET6;
}

static const struct ifa_cacheinfo never_preferred = { .ifa_valid = UINT32_MAX };

void rtnl_addr_build(struct rtnl_msg *m, uint16_t type, uint16_t flags, const struct rtnl_addr *a)
{
	struct ifaddrmsg *info = start(m, type, flags, sizeof(*info));

	info->ifa_family = family_of(&a->prefix.ip);
	info->ifa_prefixlen = a->prefix.bits;
	info->ifa_index = (unsigned)a->index;
	/* IPv4 looks at the scope, IPv6 at how long the address is preferred. */
	info->ifa_scope = a->aside && ip_is4(&a->prefix.ip) ? RT_SCOPE_HOST : a->scope;
	if (a->aside && !ip_is4(&a->prefix.ip))
		mnl_attr_put(&m->head, IFA_CACHEINFO, sizeof(never_preferred), &never_preferred);
	if (a->flags)
		mnl_attr_put_u32(&m->head, IFA_FLAGS, a->flags);
	put_ip(m, IFA_LOCAL, &a->prefix.ip);
	put_ip(m, IFA_ADDRESS, &a->prefix.ip);
}

static bool type_has_device(uint8_t type)
{
	return type == RTN_UNICAST || type == RTN_LOCAL || type == RTN_BROADCAST;
}

void rtnl_route_build(struct rtnl_msg *m, uint16_t type, uint16_t flags,
                      const struct rtnl_route *route)
{
	struct rtmsg *info = start(m, type, flags, sizeof(*info));
	uint8_t kind = route->type ? route->type : RTN_UNICAST;

	info->rtm_family = family_of(&route->dst.ip);
	info->rtm_dst_len = route->dst.bits;
	info->rtm_table = route->table < 256 ? (uint8_t)route->table : RT_TABLE_COMPAT;
	info->rtm_type = kind;
	if (type == RTM_NEWROUTE) {
		info->rtm_protocol = route->protocol ? route->protocol : RTPROT_BOOT;
		info->rtm_scope = type_has_device(kind) && !route->has_via && ip_is4(&route->dst.ip)
		                          ? RT_SCOPE_LINK
		                          : RT_SCOPE_UNIVERSE;
	} else {
		info->rtm_scope = RT_SCOPE_NOWHERE; /* any */
	}
	mnl_attr_put_u32(&m->head, RTA_TABLE, route->table);
	if (route->dst.bits)
		put_ip(m, RTA_DST, &route->dst.ip);
	if (route->has_via)
		put_ip(m, RTA_GATEWAY, &route->via);
	if (route->index)
		mnl_attr_put_u32(&m->head, RTA_OIF, (uint32_t)route->index);
	if (route->metric)
		mnl_attr_put_u32(&m->head, RTA_PRIORITY, route->metric);
	if (route->mtu) {
		struct nlattr *nest = mnl_attr_nest_start(&m->head, RTA_METRICS);

		mnl_attr_put_u32(&m->head, RTAX_MTU, route->mtu);
		mnl_attr_nest_end(&m->head, nest);
	}
}

void rtnl_rule_build(struct rtnl_msg *m, uint16_t type, uint16_t flags,
                     const struct rtnl_rule *rule)
{
	struct fib_rule_hdr *info = start(m, type, flags, sizeof(*info));

	info->family = rule->ip6 ? AF_INET6 : AF_INET;
	info->action = rule->action == RTNL_UNREACHABLE ? FR_ACT_UNREACHABLE : FR_ACT_TO_TBL;
	info->flags = rule->invert ? FIB_RULE_INVERT : 0;
	info->table = RT_TABLE_UNSPEC;
	if (rule->action == RTNL_LOOKUP) {
		info->table = rule->table < 256 ? (uint8_t)rule->table : RT_TABLE_COMPAT;
		mnl_attr_put_u32(&m->head, FRA_TABLE, rule->table);
	}
	if (rule->has_priority)
		mnl_attr_put_u32(&m->head, FRA_PRIORITY, rule->priority);
	if (rule->mask) {
		mnl_attr_put_u32(&m->head, FRA_FWMARK, rule->mark);
		mnl_attr_put_u32(&m->head, FRA_FWMASK, rule->mask);
	}
	if (rule->suppress_prefix >= 0)
		mnl_attr_put_u32(&m->head, FRA_SUPPRESS_PREFIXLEN, (uint32_t)rule->suppress_prefix);
}
