#include "platform/netmon.h"

#include <errno.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>

#include "base/mem.h"
#include "platform/netlink.h"
#include "platform/rtmsg.h"

struct netmon {
	struct ev *ev;
	char own_dev[IFNAMSIZ];
	int own_index; /* 0: not seen yet */
	uint32_t own_table;
	void (*changed)(void *arg, unsigned what);
	void *arg;
	struct netlink route, nft;
	struct ev_io route_io, nft_io;
	struct ev_timer timer;
	unsigned what; /* gathered so far */
};

static void note(struct netmon *m, unsigned what)
{
	m->what |= what;
	if (!ev_timer_active(&m->timer))
		ev_timer_after(m->ev, &m->timer, NETMON_GATHER_US);
}

static void on_timer(struct ev_timer *t, mono now)
{
	struct netmon *m = CONTAINER_OF(t, struct netmon, timer);
	unsigned what = m->what;

	(void)now;
	m->what = 0;
	m->changed(m->arg, what);
}

static void see_link(struct netmon *m, const struct nlmsghdr *msg)
{
	struct rtnl_link l;

	if (rtnl_link_parse(msg, &l) < 0)
		return;
	if (strcmp(l.name, m->own_dev) != 0) {
		note(m, NETMON_LINK);
		return;
	}
	m->own_index = msg->nlmsg_type == RTM_NEWLINK ? l.index : 0;
	if (msg->nlmsg_type == RTM_NEWLINK)
		note(m, NETMON_OWN);
}

static void see_addr(struct netmon *m, const struct nlmsghdr *msg)
{
	struct rtnl_addr a;

	if (rtnl_addr_parse(msg, &a) < 0)
		return;
	if (a.index != m->own_index)
		note(m, NETMON_ADDR);
	else if (msg->nlmsg_type == RTM_DELADDR)
		note(m, NETMON_OWN);
}

static void see_route(struct netmon *m, const struct nlmsghdr *msg)
{
	struct rtnl_route r;

	if (rtnl_route_parse(msg, &r) < 0)
		return;
	if (r.table == m->own_table) {
		if (msg->nlmsg_type == RTM_DELROUTE)
			note(m, NETMON_OWN);
	} else if (r.table == RTNL_TABLE_MAIN && r.index != m->own_index) {
		note(m, NETMON_ROUTE);
	}
}

static void see_route_message(struct netmon *m, const struct nlmsghdr *msg)
{
	switch (msg->nlmsg_type) {
	case RTM_NEWLINK:
	case RTM_DELLINK:
		see_link(m, msg);
		break;
	case RTM_NEWADDR:
	case RTM_DELADDR:
		see_addr(m, msg);
		break;
	case RTM_NEWROUTE:
	case RTM_DELROUTE:
		see_route(m, msg);
		break;
	case RTM_DELRULE:
		note(m, NETMON_RULE);
		break;
	default:
		break;
	}
}

static int see_nft_attribute(const struct nlattr *a, void *arg)
{
	bool *is_filter = arg;

	/* In messages about rules and chains alike this is the table's name. */
	_Static_assert((int)NFTA_RULE_TABLE == (int)NFTA_CHAIN_TABLE, "one number");
	if (mnl_attr_get_type(a) != NFTA_RULE_TABLE)
		return MNL_CB_OK;
	*is_filter = mnl_attr_validate(a, MNL_TYPE_NUL_STRING) >= 0 &&
	             strcmp(mnl_attr_get_str(a), "filter") == 0;
	return MNL_CB_STOP;
}

/* Of iptables, where other firewalls mostly are. */
static bool is_in_filter(const struct nlmsghdr *msg)
{
	bool is_filter = false;

	(void)mnl_attr_parse(msg, sizeof(struct nfgenmsg), see_nft_attribute, &is_filter);
	return is_filter;
}

static void see_nft_message(struct netmon *m, const struct nlmsghdr *msg)
{
	if (msg->nlmsg_type >> 8 != NFNL_SUBSYS_NFTABLES)
		return;
	switch (msg->nlmsg_type & 0xff) {
	case NFT_MSG_DELTABLE:
		note(m, NETMON_NFT);
		break;
	case NFT_MSG_NEWCHAIN:
	case NFT_MSG_DELRULE:
		if (is_in_filter(msg))
			note(m, NETMON_NFT);
		break;
	default:
		break;
	}
}

enum { BATCH = 64 };

/* One datagram; false when there is none left for now. */
static bool read_one(struct netmon *m, int fd,
                     void (*see)(struct netmon *m, const struct nlmsghdr *msg))
{
	union {
		struct nlmsghdr align;
		uint8_t bytes[16 << 10];
	} in;
	ssize_t got = recv(fd, in.bytes, sizeof(in.bytes), MSG_DONTWAIT | MSG_TRUNC);

	if (got < 0 && errno == ENOBUFS) {
		note(m, NETMON_ALL); /* some were lost: look at everything */
		return true;
	}
	if (got < 0)
		return false;
	if ((size_t)got > sizeof(in.bytes)) {
		note(m, NETMON_ALL);
		return true;
	}

	int left = (int)got;

	for (const struct nlmsghdr *msg = &in.align; mnl_nlmsg_ok(msg, left);
	     msg = mnl_nlmsg_next(msg, &left))
		see(m, msg);
	return true;
}

static void on_route(struct ev_io *io, unsigned events)
{
	struct netmon *m = CONTAINER_OF(io, struct netmon, route_io);

	(void)events;
	for (int i = 0; i < BATCH && read_one(m, m->route.fd, see_route_message); i++)
		;
}

static void on_nft(struct ev_io *io, unsigned events)
{
	struct netmon *m = CONTAINER_OF(io, struct netmon, nft_io);

	(void)events;
	for (int i = 0; i < BATCH && read_one(m, m->nft.fd, see_nft_message); i++)
		;
}

static int join(int fd, unsigned group)
{
	if (setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)) < 0)
		return -errno;
	return 0;
}

static int watch(struct netmon *m, struct netlink *nl, int bus, const unsigned *groups, size_t n,
                 struct ev_io *io)
{
	int r = netlink_open(nl, bus);

	for (size_t i = 0; i < n && r == 0; i++)
		r = join(nl->fd, groups[i]);
	return r < 0 ? r : ev_io_start(m->ev, io, nl->fd, EV_READ);
}

static int watch_routes(struct netmon *m)
{
	static const unsigned groups[] = { RTNLGRP_LINK,        RTNLGRP_IPV4_IFADDR,
		                           RTNLGRP_IPV6_IFADDR, RTNLGRP_IPV4_ROUTE,
		                           RTNLGRP_IPV6_ROUTE,  RTNLGRP_IPV4_RULE,
		                           RTNLGRP_IPV6_RULE };

	return watch(m, &m->route, NETLINK_ROUTE, groups, ARRAY_LEN(groups), &m->route_io);
}

static void watch_nft(struct netmon *m)
{
	static const unsigned groups[] = { NFNLGRP_NFTABLES };

	if (watch(m, &m->nft, NETLINK_NETFILTER, groups, 1, &m->nft_io) < 0)
		netlink_close(&m->nft);
}

int netmon_new(struct ev *ev, const struct netmon_cfg *cfg, struct netmon **ret)
{
	AUTO(netmon_free) struct netmon *m = mem_new(struct netmon);

	m->ev = ev;
	m->own_table = cfg->own_table;
	m->changed = cfg->changed;
	m->arg = cfg->arg;
	m->own_index = (int)if_nametoindex(cfg->own_dev);
	memcpy(m->own_dev, cfg->own_dev, strnlen(cfg->own_dev, IFNAMSIZ - 1));
	m->route.fd = m->nft.fd = -1;
	m->route_io.fn = on_route;
	m->nft_io.fn = on_nft;
	m->timer.fn = on_timer;

	int r = watch_routes(m);

	if (r < 0)
		return r;
	watch_nft(m);
	*ret = TAKE(m);
	return 0;
}

void netmon_free(struct netmon *m)
{
	if (!m)
		return;
	ev_timer_stop(m->ev, &m->timer);
	ev_io_stop(m->ev, &m->route_io);
	ev_io_stop(m->ev, &m->nft_io);
	netlink_close(&m->route);
	netlink_close(&m->nft);
	free(m);
}
