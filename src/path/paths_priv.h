#pragma once
/*
 * Inside of paths.h: shared by paths.c (peers, choice, timers), paths_disco.c
 * (messages in and out), paths_moved.c (our own address is another than before), paths_relay.c
 * (ways through peers that relay) and paths_score.c (which way is better). Nobody else.
 */
#include "base/heap.h"
#include "base/list.h"
#include "base/map.h"
#include "base/vec.h"
#include "path/paths.h"
#include "path/pmtu.h"
#include "protocol/udprelay_client.h"

/* A ping of ours on the way. */
struct path_ping {
	struct disco_txid txid;
	struct path_via via;
	int region; /* over DERP */
	mono sent;
	uint16_t probe; /* of the path's MTU, by so large a packet; 0: none */
	uint64_t token; /* asked for by a person; 0: ours */
};

struct candidate {
	struct addr addr;
	bool from_map;   /* control lists it */
	mono from_cmm;   /* when a call-me-maybe last listed it; 0: none */
	mono heard_ping; /* when a ping last came from it; 0: never */
	struct disco_txid heard_txid;
	mono last_ping; /* ours; 0: never */
	mono last_back; /* ... sent because one came from it */
	mono last_pong;
	int64_t latency_us; /* of the last pong; 0: none */
};

struct best {
	struct path_via via;
	int64_t latency_us;
	bool set;
};

/* One of a peer's two disco keys: from control, from inside the tunnel. */
struct disco_slot {
	struct disco_pub pub;
	bool set;
	bool shared_ready;
	struct box_shared shared;
	struct map_node by_disco;
	struct path_peer *peer;
};

enum { SLOT_CONTROL, SLOT_TUNNEL, SLOTS };

struct path_peer {
	struct link addresses;
	size_t n_addresses;
	struct map_node by_node;
	struct link link;
	struct node_pub node;
	void *user;
	int home, last_region; /* last_region: where it was last heard over DERP */
	bool wg_only;
	struct disco_slot slots[SLOTS];
	unsigned active; /* the slot that is sent with */
	VEC(struct candidate) candidates;
	VEC(struct path_ping) pings;
	struct best best;
	struct pmtu pmtu;         /* of that way ... */
	struct path_via pmtu_via; /* ... or of the last one that was good */
	mono trust_until;
	mono last_sent, last_heard, last_full_ping;
	mono unanswered; /* since when data goes out and nothing comes back; 0: it does */
	unsigned doubts; /* pings that went out to settle it */
	mono derp_doubt; /* when data by the relay last ended our trust; 0: never */
	mono heartbeat;  /* when the next is due; MONO_NEVER: idle */
	mono lull;       /* when it is looked whether the peer fell silent; MONO_NEVER: it is not */
	mono last_beat;
	struct addr
		seen_as; /* where the last pong over this way says that we are; unset: not known */
	struct path_via seen_via;
	mono moved_at;            /* when it last said another place; 0: never */
	struct path_moved *moved; /* NULL: it knows where we are */
	bool relay_capable;
	mono last_relay_ask;            /* peer relays were looked for; 0: never */
	struct path_relaying *relaying; /* NULL: nothing under way */
	bool want_cmm;                  /* waits for fresh endpoints of our own */
	unsigned cmm_budget;            /* handled in this second */
	unsigned probe_budget;
	mono budget_since;
	struct heap_node timer;
	struct path_choice told; /* what CHANGED last announced */
};

/* An address a peer was proved to have, for attribution. */
struct address {
	struct map_node node;
	struct link link; /* of the peer's; the last heard is last */
	struct path_via via;
	struct path_peer *peer;
};

struct path_queued {
	struct link link;
	struct paths_out out;
	uint8_t *bytes;
};

struct paths {
	struct paths_cfg cfg;
	struct disco_pub self_disco;
	struct map by_node, by_disco, by_address;
	struct link peers, relaying;
	VEC(struct node_pub) relays;
	uint32_t generation; /* of requests and bindings */
	struct heap timers;
	struct link outs;
	struct path_queued *given;
	struct addr own[PATHS_OWN_ENDPOINTS_MAX];
	size_t n_own;
	mono own_at; /* 0: never */
	bool asked_endpoints;
	uint64_t drops[PATHS_DROPS];
};

enum {
	ADDRESSES_MAX = 64, /* of one peer, for attribution */
	FRESH_US = 27000000,
	PING_GAP_US = 5000000,
	BACK_GAP_US = 1000000,
	UPGRADE_US = 60000000,
	GOOD_LATENCY_US = 5000,
	LEARNT_US = 45000000,
	BUDGET_US = 1000000,
	CMM_A_SECOND = 6,     /* a node that moved says so three times, each time twice */
	PROBES_A_SECOND = 40, /* towards addresses that a peer named */
	/*
	 * Of data without an answer: the path is asked, asked again, and trusted no
	 * more. TCP tries again 0.2, 0.6, 1.4 and 3 s after a loss: the third should
	 * find the way over the relay.
	 */
	DOUBT_US = 450000,
	DEAD_US = 1300000,
	DOUBTS = 2,
	/* A peer that stops in mid-flow may be sending to where we were. */
	LULL_US = 500000,
	BEATS_APART_US = 1000000,
	DERP_DOUBT_US = 10000000, /* data by the relay is evidence against a path not more often */
};

static inline bool never(mono t)
{
	return t.us == 0;
}

static inline void path_proved(struct path_peer *peer)
{
	peer->unanswered = (mono){ 0 };
	peer->doubts = 0;
}

/* paths_score.c */
bool path_better(const struct best *a, const struct best *b);

/* paths_disco.c */
struct path_queued *paths_put(struct paths *p, enum paths_act act, struct path_peer *peer,
                              struct span bytes);
const struct box_shared *path_slot_key(struct paths *p, struct disco_slot *s);
bool path_send_msg(struct paths *p, struct path_peer *peer, struct disco_slot *slot,
                   const struct disco_msg *m, const struct path_via *via, int region);
bool path_send_ping(struct paths *p, mono now, struct path_peer *peer, const struct path_via *via,
                    int region, uint64_t token, size_t size);
/* Asks how much the best way carries, by packets of this size. */
bool path_send_probe(struct paths *p, mono now, struct path_peer *peer, uint16_t size);
void path_send_call_me_maybe(struct paths *p, mono now, struct path_peer *peer);

/* paths_moved.c */
/* Our host's addresses are others: what was ours is not, and fresh ones will be told. */
void path_moved_link(struct paths *p, mono now, struct path_peer *peer);
/* The way by which it sees us is dead. */
void path_moved_dead(struct paths *p, mono now, struct path_peer *peer);
/* A pong by this way says that we are seen as that. */
void path_moved_seen(struct paths *p, mono now, struct path_peer *peer, const struct path_via *via,
                     const struct addr *as);
/* Our addresses were found out anew. */
void path_moved_fresh(struct path_peer *peer, mono now, bool changed);
/* The peer reached us straight. */
void path_moved_heard(struct path_peer *peer);
void path_moved_run(struct paths *p, mono now, struct path_peer *peer);
mono path_moved_deadline(const struct path_peer *peer);
void path_moved_forget(struct path_peer *peer);

/* paths_relay.c */
void path_relay_seek(struct paths *p, mono now, struct path_peer *peer);
void path_relay_run(struct paths *p, mono now, struct path_peer *peer);
mono path_relay_deadline(const struct path_peer *peer);
void path_relay_forget(struct path_peer *peer);
void path_relay_invited(struct paths *p, mono now, struct path_peer *peer,
                        const struct disco_slot *slot, const struct disco_msg *m);
void path_relay_asked(struct paths *p, mono now, struct path_peer *peer,
                      const struct disco_slot *slot, const struct disco_msg *m);
void path_relay_heard_ping(struct paths *p, mono now, struct path_peer *peer,
                           const struct path_via *via);
void path_relay_proved(struct path_peer *peer, const struct path_via *via);

/* paths.c */
struct candidate *path_candidate(struct paths *p, mono now, struct path_peer *peer,
                                 const struct addr *addr, bool add);
void path_full_ping(struct paths *p, mono now, struct path_peer *peer, bool after_cmm);
void path_remember_address(struct paths *p, struct path_peer *peer, const struct path_via *via);
void path_reset(struct paths *p, mono now, struct path_peer *peer, bool keep_best);
void path_update(struct paths *p, mono now, struct path_peer *peer);
bool path_spend(struct path_peer *peer, mono now, unsigned *budget, unsigned allowed);
void paths_want_endpoints(struct paths *p);
void path_lose_best(struct path_peer *peer);
static inline bool path_trusted(const struct path_peer *peer, mono now)
{
	return peer->best.set && mono_before(now, peer->trust_until);
}
