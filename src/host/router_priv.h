#pragma once
/* What putting a plan into effect and keeping it so share. Only host/router*.c include this. */
#include "base/time.h"
#include "base/vec.h"
#include "host/journal.h"
#include "host/router.h"
#include "platform/rtnl.h"

/* What we did, to compare the next plan with. */
struct done {
	char dev[ROUTER_NAME_MAX + 1];
	int index; /* of the device; 0: nothing done yet */
	uint32_t mtu;
	VEC(struct prefix) addresses;
	VEC(struct router_route) routes;
	VEC(struct router_rule) rules;
	VEC(struct router_counter) counters;
	bool guard, doors;
	uint16_t udp_port; /* of the doors */
	struct buf nft;
};

struct host_router {
	struct rtnl *nl;
	char *path;
	struct journal journal;
	struct done done;
	struct buf said;
	mono mend_last; /* the bucket of repairs: filled until then */
	int mends_spent;
};

/* As the kernel has them. */
struct rtnl_rule router_kernel_rule(const struct router_rule *r);
struct rtnl_route router_kernel_route(const struct router_route *r, int index);
/* What nft must be told for the doors in other firewalls; NULL: to close them. */
struct router_door;
void router_find_doors(struct buf *ret, const struct router_door *door);
/* An exit node's route that leads nowhere; that it is there, or not, already is no error. */
NODISCARD int router_put_guard(struct host_router *r, bool ip6, bool want);
