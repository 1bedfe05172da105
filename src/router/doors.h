#pragma once
/*
 * Ways through other people's firewalls. What one base chain drops is dropped, whatever a chain
 * of ours says, and where iptables is in use its chains mostly drop what is forwarded (Docker) and
 * what comes in (ufw). There, rules of ours are put first and let pass what goes through the
 * tunnel's device, and peers to our port: our own table, which is asked before, has judged it. They
 * are known by their comment.
 *
 * Pure: what nft lists in, what nft is to do out.
 *
 * Source: tailscale v1.102.5 util/linuxfw, which hooks its chains in there.
 */
#include "base/buf.h"

/* The tables to look at; the chains are INPUT and FORWARD. */
#define ROUTER_DOORS_TABLES               \
	{                                 \
		"ip filter", "ip6 filter" \
	}

struct router_door {
	const char *dev;
	uint16_t udp_port; /* where peers reach us; 0: not known yet */
};

/*
 * Adds what nft must be told so that `listing` (of `nft -a list table TABLE`) has our rules for
 * this door and no others; NULL: none. Nothing if it is so.
 */
void router_doors(struct buf *out, const char *table, struct span listing,
                  const struct router_door *door);
