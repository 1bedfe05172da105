#pragma once
/*
 * The network map of one login: ourselves, the peers, their users, and what the
 * coordinator says about relays, names, access. The only copy; everything else
 * looks here, and is told what changed.
 *
 *	netmap_apply(map, response, first, now, &delta)
 *	... act on delta, which names the peers touched and what of them ...
 *	netmap_delta_done(&delta)
 *
 * Costs what a message changes, not what the map holds: a patch of one peer
 * touches one peer. The exception is a complete list of peers, which is compared
 * with what is known, so that a new stream after a short break changes nothing.
 *
 * Pure. A message that is refused leaves the map as it was.
 *
 * Source: tailscale v1.102.5, control/controlclient/map.go.
 */
#include "base/map.h"
#include "base/vec.h"
#include "control/mapdelta.h"
#include "control/tailcfg.h"

enum {
	NETMAP_PEERS_MAX = 100000,
	NETMAP_USERS_MAX = 100000,
	NETMAP_CHUNKS_MAX = 1024,
	NETMAP_MESSAGES_MAX = 256,
};

struct netmap_addr {
	struct map_node by_ip; /* private */
	struct ip ip;
	struct netmap_peer *peer;
};

struct netmap_peer {
	const struct tc_node *node;               /* replaced as a whole when it changes */
	void *user;                               /* a word of the owner's; NULL in a new peer */
	struct map_node by_id, by_key, by_stable; /* private from here */
	struct netmap_addr *addrs;
	size_t n_addrs;
};

struct netmap_user {
	struct map_node by_id; /* private */
	const struct tc_user_profile *profile;
};

/* A piece of the packet filter; the filter is all of them in the order they came. */
struct netmap_chunk {
	char *name;
	const struct tc_filter_rules *rules;
};

struct netmap_message {
	char *id;
	const struct tc_display_message *message;
};

struct netmap {
	const struct tc_node *self; /* NULL before the first message */
	const struct tc_derp_map *derp_map;
	const struct tc_dns_config *dns; /* NULL: none */
	const struct tc_ssh_policy *ssh;
	const struct tc_dial_plan *dial_plan;
	const struct tc_client_version *client_version;
	const struct js_strs *health;
	VEC(struct netmap_chunk) filter;
	VEC(struct netmap_message) messages;
	char *domain;
	bool collect_services;
	struct map peers_by_id, peers_by_key, peers_by_ip, peers_by_stable, users;
};

enum netmap_what {
	NETMAP_SELF = 1 << 0,
	NETMAP_DERP = 1 << 1,
	NETMAP_DNS = 1 << 2,
	NETMAP_FILTER = 1 << 3,
	NETMAP_SSH = 1 << 4,
	NETMAP_USERS = 1 << 5,
	NETMAP_DOMAIN = 1 << 6,
	NETMAP_HEALTH = 1 << 7,
	NETMAP_DIAL_PLAN = 1 << 8,
	NETMAP_CLIENT_VERSION = 1 << 9,
};

struct netmap_change {
	struct netmap_peer *peer; /* removed ones live until netmap_delta_done */
	unsigned mask;            /* enum tc_change; all bits for a new peer */
	bool added, removed;
	struct node_pub old_key; /* when the mask has TC_CHANGED_KEY and it is not new */
};

struct netmap_delta {
	unsigned what;      /* enum netmap_what */
	unsigned self_mask; /* enum tc_change, of ourselves */
	VEC(struct netmap_change) peers;
};

void netmap_init(struct netmap *m);
void netmap_done(struct netmap *m);

/*
 * One message of a stream, keep-alives aside. `first`: of this stream; what it
 * leaves out is gone then, not unchanged.
 *   ERR_BADSTATE	the first message does not say who we are
 *   ERR_LIMIT
 */
NODISCARD int netmap_apply(struct netmap *m, const struct tc_map_response *r, bool first, wall now,
                           struct netmap_delta *ret);
void netmap_delta_done(struct netmap_delta *d);

struct netmap_peer *netmap_peer(const struct netmap *m, int64_t id);
struct netmap_peer *netmap_peer_by_key(const struct netmap *m, const struct node_pub *key);
/* By one of its own addresses, not by what it routes. */
struct netmap_peer *netmap_peer_by_ip(const struct netmap *m, const struct ip *ip);
struct netmap_peer *netmap_peer_by_stable(const struct netmap *m, struct span stable_id);
/* By full name, with or without the dot, or by its first label. */
struct netmap_peer *netmap_peer_by_name(const struct netmap *m, struct span name);
const struct tc_user_profile *netmap_user(const struct netmap *m, int64_t id);
bool netmap_self_has_ip(const struct netmap *m, const struct ip *ip);

static inline size_t netmap_n_peers(const struct netmap *m)
{
	return m->peers_by_id.n;
}

/* for (struct netmap_peer *p = netmap_first(m); p; p = netmap_next(m, p)), in no order */
struct netmap_peer *netmap_first(const struct netmap *m);
struct netmap_peer *netmap_next(const struct netmap *m, struct netmap_peer *p);

/* Our name's part after the first label, without dots at the ends; empty without a map. */
struct span netmap_suffix(const struct netmap *m);
