#pragma once
/*
 * Connections to relays: one a region, made when something must go there, kept
 * for the home, closed after a minute of silence otherwise, made again after a
 * loss with growing pauses.
 *
 * A packet goes to a peer over the relay it was last heard over, else over its
 * home. While a connection is being made, packets wait in a bounded queue;
 * disco before data.
 *
 * Threads	that of the loop.
 * Source	tailscale v1.102.5 wgengine/magicsock/derp.go, derp/derphttp.
 */
#include "base/rand.h"
#include "crypto/keys.h"
#include "http/proxy.h"
#include "path/derpmap.h"
#include "platform/ev.h"
#include "platform/resolve.h"
#include "platform/tls.h"

enum {
	DERPLINK_QUEUE_MAX = 128 << 10, /* bytes waiting for one relay */
	DERPLINK_IDLE_US = 60000000,
	DERPLINK_LINKS_MAX = 64,
};

struct derplink;

struct derplink_cfg {
	struct ev *ev;
	struct resolver *resolver;
	struct tls_client *tls;
	const struct proxy_env *proxy; /* NULL: none */
	struct node_priv key;
	int (*prepare)(void *arg, int fd, const struct addr *to); /* marks the sockets */
	void *prepare_arg;
	void *ctx;
	/* A packet from a peer; the bytes may be changed until the call returns. */
	void (*packet)(void *ctx, int region, const struct node_pub *from, uint8_t *bytes,
	               size_t n);
	/* A peer is not, or no longer, at this relay. */
	void (*gone)(void *ctx, int region, const struct node_pub *peer);
	/* A frame came: the region is alive. Not more often than every 5 s. */
	void (*heard)(void *ctx, int region);
	void (*health)(void *ctx, int region, const char *text);
};

struct derplink *derplink_new(const struct derplink_cfg *cfg);
void derplink_free(struct derplink *d);
/* With whom TLS is spoken there: as the map says. Points into the node. */
void derplink_whom(const struct derp_node *node, struct tls_peer *ret);
/* Links to regions that are gone or defined otherwise are closed. The map must outlive this. */
void derplink_set_map(struct derplink *d, const struct derp_map *map);
/* 0: none. Connects, and tells the relay that it is home. */
void derplink_set_home(struct derplink *d, int region);
/*
 *   0			sent, or waits for the connection
 *   ERR_LIMIT		the queue is full: dropped
 *   ERR_UNKNOWN	there is no such region
 */
NODISCARD int derplink_send(struct derplink *d, int region, const struct node_pub *to,
                            struct span packet);
/* It may be needed soon: one that was silent is asked, and made again if it does not answer in 3 s.
 */
void derplink_probe(struct derplink *d, int region);
/*
 * Our addresses are these now: connections made from others are made again at
 * once, the rest if they do not answer within 3 s.
 */
void derplink_link_changed(struct derplink *d, const struct ip *ips, size_t n);
bool derplink_connected(const struct derplink *d, int region);
/* When a frame last came from there; 0: never. */
mono derplink_heard(const struct derplink *d, int region);
