#pragma once
/*
 * WireGuard devices on a fake network and a fake clock: the shipped core with
 * the one-packet data path around it.
 *
 *	struct wgworld w;
 *	wgworld_init(&w, 1);
 *	struct wgnode *a = wgworld_add(&w, 1), *b = wgworld_add(&w, 2);
 *	wgworld_link(a, b);
 *	wgnode_ping(a, b, 100);
 *	wgworld_run(&w, 5 * US_PER_S);
 *
 * The network is perfect and takes no time unless fakenet_set_link says otherwise.
 * Node n is at 192.0.2.n (outside), 10.0.0.n (inside), port 51820.
 */
#include "base/vec.h"
#include "test/sim/fakenet.h"
#include "wireguard/device.h"
#include "wireguard/peer.h"

enum { WGWORLD_PORT = 51820, WGWORLD_NODES = 8, WGWORLD_LOG = 64 };

/* A datagram a node put on the wire. */
struct wgsent {
	mono at;
	int kind; /* enum wg_msg_kind; 0 for a data message without data */
	struct addr to;
	struct span bytes; /* of the newest only */
};

struct wgnode {
	struct wgworld *world;
	struct wg_device *dev;
	struct fakehost *host;
	unsigned number;
	struct ip inside;
	struct node_pub pub;
	struct node_priv priv;
	int64_t mono_skew_us, wall_skew_us; /* its clocks against the world's */

	/* What was seen. */
	uint64_t delivered; /* inner packets that came through */
	uint64_t delivered_from[WGWORLD_NODES + 1];
	uint64_t sent[5];               /* datagrams by kind; 0: keepalives */
	struct wgsent log[WGWORLD_LOG]; /* the newest, oldest first */
	size_t log_n;
	uint64_t came_up, gave_up;
	uint8_t last[FAKENET_DATAGRAM_MAX]; /* the newest datagram sent */
	size_t last_n;
	bool deaf;                                           /* drops what comes */
	bool (*tap)(struct wgnode *n, struct span datagram); /* false: swallow what it sends */
	void *tap_arg;
};

struct wgworld {
	struct fakenet *net;
	struct wgnode *nodes[WGWORLD_NODES];
	size_t n;
};

void wgworld_init(struct wgworld *w, uint64_t seed);
void wgworld_done(struct wgworld *w);
/* A node with a key of its own, up, without peers. */
struct wgnode *wgworld_add(struct wgworld *w, unsigned number);
/* Each is the other's peer, with endpoint and its inside address as prefix. */
void wgworld_link(struct wgnode *a, struct wgnode *b);
/* a knows b; without an endpoint if `silent`. */
struct wg_peer *wgnode_know(struct wgnode *a, struct wgnode *b, bool silent);
void wgworld_run(struct wgworld *w, int64_t us);
/* Lets everything that is due now happen, time stands still. */
void wgworld_settle(struct wgworld *w);

mono wgnode_now(const struct wgnode *n);
struct wg_peer *wgnode_peer(struct wgnode *n, const struct wgnode *other);
/* One key of a peer changed, the rest kept. */
void wgnode_set_keepalive(struct wgnode *n, const struct wgnode *other, uint16_t s);
void wgnode_set_psk(struct wgnode *n, const struct wgnode *other, uint8_t first);
void wgnode_add_prefix(struct wgnode *n, const struct wgnode *other, const char *prefix);
void wgnode_set_key(struct wgnode *n, const struct node_priv *priv);
void wgnode_apply(struct wgnode *n, const struct wg_change *c);

/* An IPv4 packet of n bytes (20..) from a's inside address to b's. */
void wgnode_ping(struct wgnode *a, const struct wgnode *b, size_t n);
/* The same with the source given. */
void wgnode_send(struct wgnode *a, const struct ip *src, const struct ip *dst, size_t n);
/* A datagram as if it had come from the network. */
void wgnode_recv(struct wgnode *n, const struct addr *from, struct span datagram);
struct addr wgnode_addr(const struct wgnode *n);

bool wgnode_has_session(struct wgnode *n, const struct wgnode *other);
/* Both ways, at once. */
void wgworld_connect(struct wgworld *w, struct wgnode *a, struct wgnode *b);
