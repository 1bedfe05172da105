#pragma once
/*
 * Tells when the host's network changes: links, addresses, default routes, and
 * the removal of rules and nftables tables. Changes come in bursts, so they are
 * gathered for a moment and told once.
 *
 * What is added to our own device and our own routing table is passed over, else
 * every step of ours would be news; what goes there is told, also if it was us.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/own.h"
#include "platform/ev.h"

enum netmon_what {
	NETMON_LINK = 1 << 0, /* an interface came, went, or is another */
	NETMON_ADDR = 1 << 1,
	NETMON_ROUTE = 1 << 2, /* in the main table */
	NETMON_RULE = 1 << 3,  /* one was removed */
	NETMON_NFT = 1 << 4,   /* a table was removed, or changed where iptables has its own */
	NETMON_OWN = 1 << 5,   /* an address of our device or a route of our table was removed, or
	                          the device was set up or down */
	NETMON_ALL = (1 << 6) - 1,
};

enum { NETMON_GATHER_US = 250 * 1000 };

struct netmon;

struct netmon_cfg {
	const char *own_dev; /* copied */
	uint32_t own_table;
	/* On the loop; what: enum netmon_what. NETMON_ALL also when news was lost. */
	void (*changed)(void *arg, unsigned what);
	void *arg;
};

/* -errno. Without nftables in the kernel that part is left out. */
NODISCARD int netmon_new(struct ev *ev, const struct netmon_cfg *cfg, struct netmon **ret);
void netmon_free(struct netmon *m);
DEFINE_AUTO(netmon_free, struct netmon *)
