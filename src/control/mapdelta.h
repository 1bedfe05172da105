#pragma once
/*
 * What differs between two states of a node, what a patch changes, and the
 * patch that tells the difference: the node applies them, the server makes
 * them. Pure, on single objects; the table of peers is netmap/peers.
 *
 * Results are shallow: they point into what they were made from.
 */
#include "control/tailcfg.h"

enum tc_change {
	TC_CHANGED_KEY = 1 << 0, /* and what is signed with it */
	TC_CHANGED_DISCO = 1 << 1,
	TC_CHANGED_ADDRESSES = 1 << 2,
	TC_CHANGED_ALLOWED_IPS = 1 << 3,
	TC_CHANGED_ENDPOINTS = 1 << 4,
	TC_CHANGED_DERP = 1 << 5,
	TC_CHANGED_ONLINE = 1 << 6,
	TC_CHANGED_LAST_SEEN = 1 << 7,
	TC_CHANGED_EXPIRY = 1 << 8,
	TC_CHANGED_NAME = 1 << 9,
	TC_CHANGED_USER = 1 << 10,
	TC_CHANGED_HOSTINFO = 1 << 11,
	TC_CHANGED_CAP = 1 << 12,
	TC_CHANGED_CAP_MAP = 1 << 13,
	TC_CHANGED_SIGNATURE = 1 << 14,
	TC_CHANGED_TUNNEL = 1 << 15, /* jailed, WireGuard only, masquerade, unsigned */
	TC_CHANGED_OTHER = 1 << 16,
	TC_CHANGED_ALL = (1 << 17) - 1,
	/* What a patch can say. */
	TC_CHANGED_PATCHABLE = TC_CHANGED_KEY | TC_CHANGED_DISCO | TC_CHANGED_ENDPOINTS |
	                       TC_CHANGED_DERP | TC_CHANGED_ONLINE | TC_CHANGED_LAST_SEEN |
	                       TC_CHANGED_EXPIRY | TC_CHANGED_CAP | TC_CHANGED_CAP_MAP |
	                       TC_CHANGED_SIGNATURE,
};

/* A mask of enum tc_change; 0: the same. */
unsigned tc_node_diff(const struct tc_node *old, const struct tc_node *new);

/*
 * Changes the node; returns the mask of what is different now. A patch with a
 * disco key that calls the peer offline and is not newer than what is known is
 * ignored as a whole: the key may have been learned from the peer since
 * (tailscale v1.102.5, control/controlclient/map.go).
 */
unsigned tc_node_patch(struct tc_node *n, const struct tc_peer_change *c);

/*
 * The patch that makes `old` equal to `new` on a client; false if only the
 * whole node can. `store` keeps the values that the patch points to.
 */
struct tc_patch_store {
	wall last_seen, key_expiry;
	struct node_pub key;
	struct disco_pub disco;
};
NODISCARD bool tc_node_make_patch(const struct tc_node *old, const struct tc_node *new,
                                  struct tc_patch_store *store, struct tc_peer_change *ret);

/* The map that holds after `delta`: what delta leaves out is from `old` (may be NULL). */
void tc_derp_map_merge(const struct tc_derp_map *old, const struct tc_derp_map *delta,
                       struct tc_derp_map *ret, struct tc_derp_home_params *ret_params);
