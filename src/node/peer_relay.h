#pragma once
/*
 * This node as a peer relay: the sockets around protocol/udprelay, and where
 * they are reached (addresses given by hand, of the host, and as STUN sees them).
 *
 * Who may have an endpoint is the mesh's to decide.
 *
 * Threads	that of the loop.
 * Source	tailscale v1.102.5 net/udprelay/server.go.
 */
#include "path/derpmap.h"
#include "platform/ev.h"
#include "protocol/udprelay.h"

struct peer_relay;

struct peer_relay_cfg {
	struct ev *ev;
	const struct rand_src *rand;
	uint32_t mark;                   /* SO_MARK; 0: none */
	uint16_t port;                   /* 0: any */
	void (*grow)(void *arg, int fd); /* as in struct dgram_cfg */
	void *grow_arg;
};

/* -errno; a family that the host does not have is left out. */
NODISCARD int peer_relay_new(const struct peer_relay_cfg *cfg, struct peer_relay **ret);
void peer_relay_free(struct peer_relay *r);
/* Copied. fixed: told first, as they are. */
void peer_relay_addresses(struct peer_relay *r, const struct addr *fixed, size_t n_fixed,
                          const struct ip *ips, size_t n_ips);
/* Asks these relays' STUN servers how our sockets are seen; again every 20 to 26 s. */
void peer_relay_probe(struct peer_relay *r, const struct derp_map *map);
/* As udprelay_allocate. */
NODISCARD int peer_relay_allocate(struct peer_relay *r, const struct disco_pub *asker,
                                  const struct disco_pub clients[static 2],
                                  struct disco_relay_endpoint *ret);

/* What was carried, by families in and out: [0] IPv4, [1] IPv6. */
struct peer_relay_stats {
	uint64_t datagrams[2][2], bytes[2][2];
	size_t open, connecting;
	uint16_t port;
};
void peer_relay_stats(const struct peer_relay *r, struct peer_relay_stats *ret);
