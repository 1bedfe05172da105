#include "platform/rtnl.h"

#include <errno.h>
#include <linux/fib_rules.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>

#include "base/err.h"
#include "base/mem.h"

struct rtnl {
	struct netlink nl;
};

int rtnl_open(struct rtnl **ret)
{
	struct netlink nl;
	int err = netlink_open(&nl, NETLINK_ROUTE);

	if (err < 0)
		return err;
	*ret = mem_new(struct rtnl);
	(*ret)->nl = nl;
	return 0;
}

void rtnl_free(struct rtnl *r)
{
	if (!r)
		return;
	netlink_close(&r->nl);
	free(r);
}

static void *start(struct rtnl_msg *m, uint16_t type, uint16_t flags, size_t head)
{
	struct nlmsghdr *h = mnl_nlmsg_put_header(m->bytes);

	h->nlmsg_type = type;
	h->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
	return mnl_nlmsg_put_extra_header(h, head);
}

static int call(struct rtnl *r, struct rtnl_msg *m)
{
	return netlink_call(&r->nl, &m->head, NULL, NULL);
}

/*
 * Dumps: one visitor for each kind of thing, as the callbacks differ in their
 * argument. A message that does not parse is of a family we do not know.
 */
#define EACH(thing, new_type)                                                            \
	struct thing##_visit {                                                           \
		int (*fn)(void *arg, const struct rtnl_##thing *);                       \
		void *arg;                                                               \
	};                                                                               \
	static int thing##_visit(void *arg, const struct nlmsghdr *msg)                  \
	{                                                                                \
		struct thing##_visit *v = arg;                                           \
		struct rtnl_##thing it;                                                  \
                                                                                         \
		if (msg->nlmsg_type != (new_type) || rtnl_##thing##_parse(msg, &it) < 0) \
			return 0;                                                        \
		return v->fn(v->arg, &it);                                               \
	}
EACH(link, RTM_NEWLINK)
EACH(addr, RTM_NEWADDR)
EACH(route, RTM_NEWROUTE)
EACH(rule, RTM_NEWRULE)
#undef EACH

enum { DUMP_TRIES = 5 };

static int dump(struct rtnl *r, uint16_t type, int family, size_t head, netlink_fn *fn, void *arg)
{
	int err = -EINTR;

	for (int i = 0; i < DUMP_TRIES && err == -EINTR; i++) {
		struct rtnl_msg m;
		uint8_t *first = start(&m, type, NLM_F_DUMP, head);

		*first = (uint8_t)family; /* the first byte of every header of this kind */
		err = netlink_call(&r->nl, &m.head, fn, arg);
	}
	return err;
}

int rtnl_link_each(struct rtnl *r, int (*fn)(void *arg, const struct rtnl_link *), void *arg)
{
	struct link_visit v = { fn, arg };

	return dump(r, RTM_GETLINK, AF_UNSPEC, sizeof(struct ifinfomsg), link_visit, &v);
}

int rtnl_addr_each(struct rtnl *r, int (*fn)(void *arg, const struct rtnl_addr *), void *arg)
{
	struct addr_visit v = { fn, arg };

	return dump(r, RTM_GETADDR, AF_UNSPEC, sizeof(struct ifaddrmsg), addr_visit, &v);
}

/* Both families: a dump of AF_UNSPEC would add multicast and others. A kernel may lack IPv6. */
static int dump_both(struct rtnl *r, uint16_t type, size_t head, netlink_fn *fn, void *arg)
{
	int err = dump(r, type, AF_INET, head, fn, arg);

	if (err < 0)
		return err;
	err = dump(r, type, AF_INET6, head, fn, arg);
	return err == -EAFNOSUPPORT || err == -EOPNOTSUPP ? 0 : err;
}

int rtnl_route_each(struct rtnl *r, int (*fn)(void *arg, const struct rtnl_route *), void *arg)
{
	struct route_visit v = { fn, arg };

	return dump_both(r, RTM_GETROUTE, sizeof(struct rtmsg), route_visit, &v);
}

int rtnl_rule_each(struct rtnl *r, int (*fn)(void *arg, const struct rtnl_rule *), void *arg)
{
	struct rule_visit v = { fn, arg };

	return dump_both(r, RTM_GETRULE, sizeof(struct fib_rule_hdr), rule_visit, &v);
}

static int keep_link(void *arg, const struct rtnl_link *l)
{
	*(struct rtnl_link *)arg = *l;
	return 0;
}

static int link_get(struct rtnl *r, const char *name, int index, struct rtnl_link *ret)
{
	struct rtnl_msg m;
	struct ifinfomsg *info = start(&m, RTM_GETLINK, 0, sizeof(*info));
	struct rtnl_link l = { 0 };
	struct link_visit v = { keep_link, &l };

	info->ifi_index = index;
	if (name)
		mnl_attr_put_strz(&m.head, IFLA_IFNAME, name);

	int err = netlink_call(&r->nl, &m.head, link_visit, &v);

	if (err < 0)
		return err;
	if (l.index == 0)
		return -ENODEV;
	*ret = l;
	return 0;
}

int rtnl_link_get(struct rtnl *r, const char *name, struct rtnl_link *ret)
{
	return strlen(name) < IFNAMSIZ ? link_get(r, name, 0, ret) : -ENODEV;
}

int rtnl_link_get_index(struct rtnl *r, int index, struct rtnl_link *ret)
{
	return link_get(r, NULL, index, ret);
}

int rtnl_link_add(struct rtnl *r, const char *name, const char *kind)
{
	struct rtnl_msg m;

	if (strlen(name) >= IFNAMSIZ || strlen(kind) >= 16)
		return -EINVAL;
	(void)start(&m, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, sizeof(struct ifinfomsg));
	mnl_attr_put_strz(&m.head, IFLA_IFNAME, name);

	struct nlattr *nest = mnl_attr_nest_start(&m.head, IFLA_LINKINFO);

	mnl_attr_put_strz(&m.head, IFLA_INFO_KIND, kind);
	mnl_attr_nest_end(&m.head, nest);
	return call(r, &m);
}

int rtnl_link_del(struct rtnl *r, int index)
{
	struct rtnl_msg m;
	struct ifinfomsg *info = start(&m, RTM_DELLINK, 0, sizeof(*info));

	info->ifi_index = index;
	return call(r, &m);
}

int rtnl_link_up(struct rtnl *r, int index, uint32_t mtu)
{
	struct rtnl_msg m;
	struct ifinfomsg *info = start(&m, RTM_NEWLINK, 0, sizeof(*info));

	info->ifi_index = index;
	info->ifi_flags = info->ifi_change = IFF_UP;
	if (mtu)
		mnl_attr_put_u32(&m.head, IFLA_MTU, mtu);
	return call(r, &m);
}

int rtnl_addr_add(struct rtnl *r, const struct rtnl_addr *a)
{
	struct rtnl_msg m;

	rtnl_addr_build(&m, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, a);
	return call(r, &m);
}

int rtnl_addr_del(struct rtnl *r, const struct rtnl_addr *a)
{
	struct rtnl_msg m;

	rtnl_addr_build(&m, RTM_DELADDR, 0, a);
	return call(r, &m);
}

int rtnl_route_add(struct rtnl *r, const struct rtnl_route *route)
{
	struct rtnl_msg m;

	rtnl_route_build(&m, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, route);
	return call(r, &m);
}

int rtnl_route_replace(struct rtnl *r, const struct rtnl_route *route)
{
	struct rtnl_msg m;

	rtnl_route_build(&m, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, route);
	return call(r, &m);
}

int rtnl_route_del(struct rtnl *r, const struct rtnl_route *route)
{
	struct rtnl_msg m;

	rtnl_route_build(&m, RTM_DELROUTE, 0, route);
	return call(r, &m);
}

static int keep_route(void *arg, const struct rtnl_route *route)
{
	*(struct rtnl_route *)arg = *route;
	return 0;
}

int rtnl_route_get(struct rtnl *r, const struct ip *dst, uint32_t mark, struct rtnl_route *ret)
{
	struct rtnl_msg m;
	struct rtmsg *info = start(&m, RTM_GETROUTE, 0, sizeof(*info));
	struct rtnl_route found = { 0 };
	struct route_visit v = { keep_route, &found };

	info->rtm_family = ip_is4(dst) ? AF_INET : AF_INET6;
	info->rtm_dst_len = ip_is4(dst) ? 32 : 128;
	if (ip_is4(dst))
		mnl_attr_put(&m.head, RTA_DST, 4, ip_v4(dst));
	else
		mnl_attr_put(&m.head, RTA_DST, 16, dst->b);
	if (mark)
		mnl_attr_put_u32(&m.head, RTA_MARK, mark);

	int err = netlink_call(&r->nl, &m.head, route_visit, &v);

	if (err < 0)
		return err;
	*ret = found;
	return 0;
}

int rtnl_rule_add(struct rtnl *r, const struct rtnl_rule *rule)
{
	struct rtnl_msg m;

	rtnl_rule_build(&m, RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL, rule);
	return call(r, &m);
}

int rtnl_rule_del(struct rtnl *r, const struct rtnl_rule *rule)
{
	struct rtnl_msg m;

	rtnl_rule_build(&m, RTM_DELRULE, 0, rule);
	return call(r, &m);
}
