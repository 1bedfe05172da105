#pragma once
/*
 * The paths to all peers of a node: which addresses a peer may have, which of
 * them answer, which one data takes, and when it must go over a relay instead.
 *
 * A core for the control thread. Feed it what is learnt; after every call drain
 * paths_next() and sleep until paths_deadline().
 *
 *	paths_peer_set, paths_peer_remove   what control says of a peer
 *	paths_own_endpoints                 where we can be reached
 *	paths_recv_disco                    a disco datagram, by UDP, peer relay or DERP
 *	paths_heard                         an authenticated WireGuard packet of a peer
 *	paths_sent                          data goes to a peer (once a batch)
 *	paths_link_changed                  our addresses are others than before
 *	paths_timeout
 *
 * What data takes. paths_choice() is the answer of this moment: the best address
 * while a pong proved it within 6.5 s; that and DERP both while it is in doubt;
 * DERP alone where there is none. WireGuard never moves a path: only disco does.
 * That our own address is another is told to peers in a way that stock nodes
 * heed at once (paths_moved.c).
 * PATHS_CHANGED says that an answer is another than before, for those who keep
 * a copy (the data thread).
 *
 * Strangers. A datagram costs one table look-up until its sender's key is a
 * peer's. What a peer may make us do is bounded: candidate addresses a peer,
 * pings a second towards addresses it named, call-me-maybe handled a second.
 *
 * Threads	one.
 * Source	tailscale v1.102.5 wgengine/magicsock/{magicsock,endpoint}.go (rules and times).
 */
#include "base/rand.h"
#include "base/time.h"
#include "protocol/disco.h"

enum {
	PATHS_CANDIDATES_MAX = 100, /* a peer */
	PATHS_OWN_ENDPOINTS_MAX = DISCO_ENDPOINTS_MAX,
	PATHS_PEERS_A_KEY_MAX = 16, /* nodes that share one disco key */
	PATHS_TRUST_US = 6500000,
	PATHS_HEARTBEAT_US = 3000000,
	PATHS_SESSION_US = 45000000,
	PATHS_PING_TIMEOUT_US = 5000000,
	PATHS_RELAYS_MAX = 32, /* peers that would relay for us */
};

struct paths;
struct path_peer;

/* A way through UDP: straight to an address, or by a peer relay's endpoint there. */
struct path_via {
	struct addr addr;
	uint32_t vni; /* 0: straight */
};

static inline bool path_via_eq(const struct path_via *a, const struct path_via *b)
{
	return addr_eq(&a->addr, &b->addr) && a->vni == b->vni;
}

struct paths_cfg {
	struct disco_priv disco;
	struct node_pub self;
	struct rand_src rand;
	bool never_direct; /* only relays: UDP is not allowed here */
};

struct path_peer_cfg {
	struct node_pub node;
	struct disco_pub disco; /* zero: it has none */
	int home;               /* DERP region, 0: none */
	const struct addr *endpoints;
	size_t n_endpoints;
	bool wg_only;       /* speaks WireGuard alone: no disco, no relay */
	bool relay_capable; /* it knows of peer relays, and we use them */
};

/* What data to a peer takes now. Neither: it cannot be reached. */
struct path_choice {
	bool udp, derp;
	bool trusted; /* a pong proved the UDP way lately */
	struct path_via via;
	int region;
	uint16_t mtu; /* proved to fit the UDP way, wire size; 0: not known (yet) */
};

enum paths_act {
	PATHS_SEND,           /* bytes by UDP to via (Geneve header not included) */
	PATHS_SEND_DERP,      /* bytes to the peer over region */
	PATHS_CHANGED,        /* paths_choice(peer) is another than before */
	PATHS_DOUBTED,        /* the UDP way is silent: region may be needed soon, is it well? */
	PATHS_WANT_ENDPOINTS, /* find out where we are reached, then paths_own_endpoints */
	PATHS_PING_DONE,      /* a ping asked for by paths_ping was answered or not */
	PATHS_ALLOCATE,       /* the peer (NULL: we ourselves) asks our own relay for an endpoint */
};

struct paths_out {
	enum paths_act act;
	struct path_peer *peer;
	struct path_via via;                /* SEND; PING_DONE by UDP */
	int region;                         /* SEND_DERP, DOUBTED; PING_DONE by DERP: not 0 */
	struct node_pub node;               /* SEND_DERP */
	struct span bytes;                  /* good until the next call */
	uint64_t token;                     /* PING_DONE */
	int64_t rtt_us;                     /* PING_DONE; negative: no answer in time */
	struct disco_pub asker, clients[2]; /* ALLOCATE */
	uint32_t generation;                /* ALLOCATE */
	bool whole;                         /* SEND: must not be fragmented on its way */
};

struct paths *paths_new(const struct paths_cfg *cfg);
void paths_free(struct paths *p);

/* ---- peers ---- */

/* Adds the peer or changes what is known of it; found by its node key. */
struct path_peer *paths_peer_set(struct paths *p, mono now, const struct path_peer_cfg *cfg);
void paths_peer_remove(struct paths *p, struct path_peer *peer);
struct path_peer *paths_peer_find(const struct paths *p, const struct node_pub *node);
const struct node_pub *path_peer_node(const struct path_peer *peer);
/* One word of the owner's beside each peer. */
void *path_peer_user(const struct path_peer *peer);
void path_peer_set_user(struct path_peer *peer, void *user);
/* A disco key learnt inside the tunnel; it wins over control's until that one is heard of. */
void paths_peer_learn_disco(struct paths *p, mono now, struct path_peer *peer,
                            const struct disco_pub *key);

/* ---- events ---- */

/* at: when the list was made. Ends a wait of PATHS_WANT_ENDPOINTS. */
void paths_own_endpoints(struct paths *p, mono now, const struct addr *v, size_t n);
/*
 * Nodes that would relay between us and a peer; ourselves among them if we do.
 * Those whose disco key or home is not known are passed over.
 */
void paths_set_relays(struct paths *p, const struct node_pub *v, size_t n);
/* A Geneve datagram with the control bit, header and all. False: not for us. */
bool paths_recv_control(struct paths *p, mono now, const struct addr *from, struct span datagram);
/* Our answer to PATHS_ALLOCATE of a peer. */
void paths_answer_ask(struct paths *p, struct path_peer *peer, const struct disco_pub *asker,
                      const struct disco_msg *allocated);
/* An endpoint that this relay made for us. */
void paths_allocated(struct paths *p, mono now, const struct node_pub *server,
                     const struct disco_msg *allocated);
/* A DERP packet: region != 0 and the sender's node key. Else by UDP. */
struct path_from {
	struct path_via via;
	int region;
	struct node_pub node;
};
/* False: not disco, or nobody's; counted. */
bool paths_recv_disco(struct paths *p, mono now, const struct path_from *from,
                      struct span datagram);
/* Authenticated data of this peer came by this way (region != 0: over DERP). */
void paths_heard(struct paths *p, mono now, struct path_peer *peer, const struct path_from *from);
/* Data goes out: starts heartbeats, and discovery where the way is not proved. Once a batch. */
void paths_sent(struct paths *p, mono now, struct path_peer *peer);
/* The kernel said that the peer's best address cannot be reached. */
void paths_unreachable(struct paths *p, mono now, struct path_peer *peer);
void paths_link_changed(struct paths *p, mono now);
void paths_timeout(struct paths *p, mono now);
mono paths_deadline(const struct paths *p);
bool paths_next(struct paths *p, struct paths_out *out);

/* ---- questions ---- */

struct path_choice paths_choice(const struct paths *p, const struct path_peer *peer, mono now);
/* Whose address is it? NULL: nobody's we know. */
struct path_peer *paths_by_address(const struct paths *p, const struct path_via *via);
/*
 * A person asks: pings every way there is. Each answer is a PING_DONE with this
 * token; one more with a negative time when none came within 5 s. size: of the
 * whole UDP payload, 0 for the least.
 */
void paths_ping(struct paths *p, mono now, struct path_peer *peer, uint64_t token, size_t size);

/* For status. */
struct path_candidate {
	struct addr addr;
	int64_t latency_us; /* 0: no pong yet */
	mono last_pong;
};
struct path_peer_status {
	struct path_choice choice;
	int64_t latency_us;
	mono last_sent, last_heard; /* 0: never */
	int home;
	size_t n_candidates;
	struct path_candidate candidates[PATHS_CANDIDATES_MAX];
};
void paths_status(const struct paths *p, const struct path_peer *peer, mono now,
                  struct path_peer_status *ret);

#define PATHS_DROP_LIST(X)                                               \
	X(NOT_DISCO, "not a disco datagram")                             \
	X(STRANGER, "sender's disco key is no peer's")                   \
	X(AUTH, "disco message that does not open")                      \
	X(MALFORMED, "disco message of no known form")                   \
	X(WRONG_WAY, "call-me-maybe not over DERP or not from its peer") \
	X(RATE, "peer asks for more probes than it may")                 \
	X(CANDIDATES, "more candidate addresses than are kept")

enum paths_drop {
#define X(name, text) PATHS_DROP_##name,
	PATHS_DROP_LIST(X)
#undef X
		PATHS_DROPS
};
uint64_t paths_drops(const struct paths *p, enum paths_drop why);
