#pragma once
/*
 * What the kernel tells about links, addresses, routes and rules, and what it
 * is told: structures, and their rtnetlink messages. Pure; the socket is in
 * platform/rtnl.h and platform/netmon.h.
 *
 * Parsers take any message of their kind, skip what they do not know and never
 * read past nlmsg_len.   ERR_MALFORMED: too short, or of a family we do not use
 *
 * Source: rtnetlink(7), linux/rtnetlink.h, linux/fib_rules.h.
 */
#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/ip.h"
#include "base/own.h"
#include "platform/netlink.h"

struct rtnl_link {
	int index;
	int master; /* of the bridge or bond it belongs to; 0: none */
	int lower;  /* of the device below a stacked one; 0: none, or in another namespace */
	char name[IFNAMSIZ];
	char kind[16]; /* "wireguard", "tun", "veth", "bridge"...; "" for hardware */
	uint32_t mtu;
	unsigned flags; /* IFF_UP, IFF_RUNNING, IFF_LOOPBACK, ... */
	uint16_t type;  /* ARPHRD_* */
};

struct rtnl_addr {
	int index;
	struct prefix prefix; /* with host bits */
	unsigned flags;       /* IFA_F_* */
	uint8_t scope;
	bool aside; /* when added: never chosen as the source of anything */
};

enum { RTNL_TABLE_MAIN = 254, RTNL_TABLE_DEFAULT = 253, RTNL_TABLE_LOCAL = 255 };

struct rtnl_route {
	struct prefix dst;
	struct ip via; /* if has_via */
	bool has_via;
	uint8_t type;     /* RTN_UNICAST (also for 0), RTN_THROW, RTN_UNREACHABLE, ... */
	uint8_t protocol; /* RTPROT_*; 0: RTPROT_BOOT, as ip(8) does */
	uint8_t scope;    /* of answers */
	int index;        /* outgoing interface; 0: none */
	uint32_t table;
	uint32_t metric;   /* 0: the kernel's default */
	uint32_t mtu;      /* 0: the device's */
	struct ip prefsrc; /* of answers, if has_prefsrc */
	bool has_prefsrc;
};

enum rtnl_action { RTNL_LOOKUP, RTNL_UNREACHABLE, RTNL_OTHER };

struct rtnl_rule {
	bool ip6;
	bool invert;
	enum rtnl_action action;
	uint32_t priority;
	bool has_priority;   /* false: the kernel puts it before all but the first */
	uint32_t mark, mask; /* mask 0: any mark */
	uint32_t table;
	int suppress_prefix; /* ignore routes of this prefix length or shorter; -1: none */
};

NODISCARD int rtnl_link_parse(const struct nlmsghdr *msg, struct rtnl_link *ret);
NODISCARD int rtnl_addr_parse(const struct nlmsghdr *msg, struct rtnl_addr *ret);
NODISCARD int rtnl_route_parse(const struct nlmsghdr *msg, struct rtnl_route *ret);
NODISCARD int rtnl_rule_parse(const struct nlmsghdr *msg, struct rtnl_rule *ret);

/* Same destination, table, type, gateway, interface and metric. */
bool rtnl_route_eq(const struct rtnl_route *a, const struct rtnl_route *b);
bool rtnl_rule_eq(const struct rtnl_rule *a, const struct rtnl_rule *b);

/* Room for any message built here. */
struct rtnl_msg {
	union {
		struct nlmsghdr head;
		uint8_t bytes[512];
	};
};

/* type: RTM_NEW... or RTM_DEL...; flags: NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE */
void rtnl_addr_build(struct rtnl_msg *m, uint16_t type, uint16_t flags, const struct rtnl_addr *a);
void rtnl_route_build(struct rtnl_msg *m, uint16_t type, uint16_t flags,
                      const struct rtnl_route *route);
void rtnl_rule_build(struct rtnl_msg *m, uint16_t type, uint16_t flags,
                     const struct rtnl_rule *rule);
