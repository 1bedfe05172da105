#pragma once
/*
 * A WireGuard configuration as data: what a device looks like (struct wg_info)
 * and what shall become different (struct wg_change). The control socket's
 * text, configuration files, kernel netlink and the device itself all speak
 * these two, so a reader of one form and a writer of another need no more.
 *
 * Keys are node keys: WireGuard's static keys and the mesh's node keys are the
 * same thing. Text of keys here is base64, not the mesh's "nodekey:" form.
 */
#include <stdint.h>

#include "base/ip.h"
#include "base/own.h"
#include "base/time.h"
#include "base/vec.h"
#include "crypto/keys.h"

/*
 * What input may ask for. The largest known test suite gives one peer 130,560
 * prefixes; a mesh node is built for 10,000 peers.
 */
enum {
	WG_PEERS_MAX = 1 << 16,
	WG_PREFIXES_MAX = 1 << 20, /* of a device, over all peers */
	WG_MTU_DEFAULT = 1420,
	WG_MTU_MAX = 65535 - 32,
};

enum wg_change_flag {
	WG_SET_PRIVATE_KEY = 1 << 0, /* all zero: the device has no identity any more */
	WG_SET_LISTEN_PORT = 1 << 1, /* 0: any free port */
	WG_SET_FWMARK = 1 << 2,      /* 0: none */
	WG_REPLACE_PEERS = 1 << 3,   /* every peer goes before those named here come */
};

enum wg_peer_flag {
	WG_PEER_SET_PSK = 1 << 0,       /* all zero: none */
	WG_PEER_SET_ENDPOINT = 1 << 1,  /* all zero: forget the one that is known */
	WG_PEER_SET_KEEPALIVE = 1 << 2, /* 0: off */
	WG_PEER_REPLACE_IPS = 1 << 3,   /* every prefix goes before those named here come */
	WG_PEER_REMOVE = 1 << 4,        /* the rest is not looked at */
	WG_PEER_UPDATE_ONLY = 1 << 5,   /* nothing at all if the peer does not exist */
};

/* A prefix added to a peer (taken from another if need be), or removed from it. */
struct wg_ip_change {
	struct prefix prefix;
	bool remove;
};

struct wg_peer_change {
	struct node_pub key;
	unsigned set; /* enum wg_peer_flag */
	struct psk psk;
	struct addr endpoint;
	uint16_t keepalive_s;
	VEC(struct wg_ip_change) ips; /* in the order given */
};

/* A zeroed one changes nothing. Holds secrets: always end it with wg_change_done. */
struct wg_change {
	unsigned set; /* enum wg_change_flag */
	struct node_priv private_key;
	uint16_t listen_port;
	uint32_t fwmark;
	VEC(struct wg_peer_change) peers; /* in the order given; a key may come twice */
};

void wg_change_done(struct wg_change *c); /* wiped, and ready for use again */
/* A new block for this peer at the end; good until the next one. */
struct wg_peer_change *wg_change_add_peer(struct wg_change *c, const struct node_pub *key);
void wg_peer_change_add_ip(struct wg_peer_change *p, struct prefix prefix, bool remove);
/*
 * Within the maxima above?
 *   ERR_LIMIT		too many peers or prefixes
 *   ERR_MALFORMED	a prefix longer than its family allows
 */
NODISCARD int wg_change_check(const struct wg_change *c);

struct wg_peer_info {
	struct node_pub key;
	struct psk psk;       /* all zero: none */
	struct addr endpoint; /* port 0: none known */
	uint16_t keepalive_s; /* 0: off */
	wall last_handshake;  /* 0: never */
	uint64_t rx_bytes, tx_bytes;
	VEC(struct prefix) ips; /* oldest first */
};

/* Holds secrets: always end it with wg_info_done. */
struct wg_info {
	struct node_priv private_key; /* all zero: none */
	struct node_pub public_key;   /* meaningful with a private key only */
	uint16_t listen_port;         /* 0: not bound */
	uint32_t fwmark;
	VEC(struct wg_peer_info) peers;
};

void wg_info_done(struct wg_info *i); /* wiped, and ready for use again */
struct wg_peer_info *wg_info_add_peer(struct wg_info *i, const struct node_pub *key);
