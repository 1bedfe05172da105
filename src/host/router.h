#pragma once
/*
 * A router plan put into effect: only what differs from what we did last is
 * changed. What is being done is written to a journal first, so that the end of
 * the program, its next start after a crash, and host_router_cleanup leave the
 * host as it was. Nothing of anybody else is touched: routes are known by our
 * routing protocol number, rules by their exact form, the firewall by its table.
 *
 * Needs CAP_NET_ADMIN, and so does nft, which is started as a child: see
 * caps_keep_for_children. Calls last as long as a run of nft; nothing waits for
 * the network.
 */
#include "base/own.h"
#include "router/plan.h"

struct host_router;

enum {
	HOST_ROUTER_PROTOCOL = 152, /* RTPROT of our routes: in nobody's list in iproute2 */
	HOST_ROUTER_MENDS = 10,
	HOST_ROUTER_MEND_US = 5000000,
};

/*
 * Undoes what a journal at this path says was left behind, then stands ready.
 * The guard of an exit node stays until the first plan, or host_router_undo,
 * says otherwise: a restart is no time to leak.   -errno
 */
NODISCARD int host_router_new(const char *journal, struct host_router **ret);
/*
 * The rules alone, before there is an interface: our marked packets go by the
 * main table from the start, also past the default route of another VPN.   -errno
 */
NODISCARD int host_router_bypass(struct host_router *r);
/*
 * Takes everything of ours out of the host. hold: but if an exit node was in
 * use, nothing may leave past it until the next plan.   -errno
 */
int host_router_undo(struct host_router *r, bool hold);
/* Changes nothing in the host. NULL is allowed. */
void host_router_free(struct host_router *r);

/*
 * Makes the plan so. The device must exist. After a failure the rest is done as
 * far as possible, the first error returned, and the same call tried again
 * later mends the rest.
 *   -ENODEV		the device is not there
 *   ERR_DENIED		nft refused; see host_router_said
 */
NODISCARD int host_router_apply(struct host_router *r, const struct router_plan *plan);

/*
 * Others change the host too: puts back rules, routes, addresses and the table if
 * they have gone; not what goes with a device that was set down, until it is up
 * again. Call when platform/netmon reports rules, nftables or what is our own.
 * Returns how many things were put back, or an error. Where somebody removes them again and again
 * we do not race: ten times at once, then once in five seconds. ERR_LIMIT		something is
 * missing, and it is too early; call again later
 */
int host_router_mend(struct host_router *r);

/* What nft said last, for the log; "" if nothing. */
const char *host_router_said(struct host_router *r);

/* For --cleanup: what the journal tells of is undone. 0 if there is no journal. */
NODISCARD int host_router_cleanup(const char *journal);
