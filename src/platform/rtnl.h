#pragma once
/*
 * Links, addresses, routes and rules of this network namespace, asked for and
 * changed one at a time. Structures and messages: platform/rtmsg.h.
 *
 * All return -errno as the kernel gives it; -ENODEV, -EEXIST and -ESRCH are the
 * usual ones. An `_each` function asks again when the kernel says that what it
 * dumped changed meanwhile, so its callback may see entries twice; a negative
 * result of the callback ends it.
 *
 * The thread that opened it uses it.
 */
#include "platform/rtmsg.h"

struct rtnl;

NODISCARD int rtnl_open(struct rtnl **ret);
void rtnl_free(struct rtnl *r);
DEFINE_AUTO(rtnl_free, struct rtnl *)

NODISCARD int rtnl_link_get(struct rtnl *r, const char *name, struct rtnl_link *ret);
NODISCARD int rtnl_link_get_index(struct rtnl *r, int index, struct rtnl_link *ret);
NODISCARD int rtnl_link_each(struct rtnl *r, int (*fn)(void *arg, const struct rtnl_link *),
                             void *arg);
/* A new device of a kind that needs no options: "wireguard", "dummy". */
NODISCARD int rtnl_link_add(struct rtnl *r, const char *name, const char *kind);
NODISCARD int rtnl_link_del(struct rtnl *r, int index);
NODISCARD int rtnl_link_up(struct rtnl *r, int index, uint32_t mtu); /* mtu 0: as it is */

NODISCARD int rtnl_addr_add(struct rtnl *r, const struct rtnl_addr *a);
NODISCARD int rtnl_addr_del(struct rtnl *r, const struct rtnl_addr *a);
NODISCARD int rtnl_addr_each(struct rtnl *r, int (*fn)(void *arg, const struct rtnl_addr *),
                             void *arg);

/* -EEXIST if there is one for this destination, table and metric. */
NODISCARD int rtnl_route_add(struct rtnl *r, const struct rtnl_route *route);
NODISCARD int rtnl_route_replace(struct rtnl *r, const struct rtnl_route *route);
NODISCARD int rtnl_route_del(struct rtnl *r, const struct rtnl_route *route);
NODISCARD int rtnl_route_each(struct rtnl *r, int (*fn)(void *arg, const struct rtnl_route *),
                              void *arg);
/* The way a packet with this mark would go now. */
NODISCARD int rtnl_route_get(struct rtnl *r, const struct ip *dst, uint32_t mark,
                             struct rtnl_route *ret);

NODISCARD int rtnl_rule_add(struct rtnl *r, const struct rtnl_rule *rule);
NODISCARD int rtnl_rule_del(struct rtnl *r, const struct rtnl_rule *rule);
NODISCARD int rtnl_rule_each(struct rtnl *r, int (*fn)(void *arg, const struct rtnl_rule *),
                             void *arg);
