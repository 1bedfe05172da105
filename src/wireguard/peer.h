#pragma once
/*
 * Inside of a device: for the .c files of this folder and their tests alone.
 *
 *	device.c	the device, its configuration
 *	peer.c		one peer: sessions, what it wants, its staged packets
 *	control.c	handshake messages in
 *	output.c	what goes out: draining
 *	data.c		per packet and per batch
 *	plain.c		the path policy of plain WireGuard
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/heap.h"
#include "base/list.h"
#include "base/lpm.h"
#include "base/map.h"
#include "base/vec.h"
#include "wireguard/cookie.h"
#include "wireguard/device.h"
#include "wireguard/handshake.h"
#include "wireguard/ratelimit.h"
#include "wireguard/timers.h"

enum {
	WG_COOKIES_PENDING = 64, /* replies that wait for wg_next */
	/* Initiations of one peer closer together than this are refused (50 a second). */
	WG_FLOOD_US = 20 * 1000,
	/*
	 * Load. A source may ask for this many handshakes a second without a
	 * cookie, and all sources together for that many; a handshake costs some
	 * 150 us of a core. Past it, a source proves its address and then has
	 * WG_PROVEN_PER_S.
	 */
	WG_SOURCE_PER_S = 100,
	WG_ALL_PER_S = 1000,
	WG_PROVEN_PER_S = 20,
	WG_PROVEN_BURST = 5,
	WG_SOURCES_MAX = 4096,
};

/* What a peer wants done, lowest bit first. */
enum wg_want {
	WG_TELL_UP = 1 << 0,
	WG_WANT_RESPONSE = 1 << 1,
	WG_WANT_INITIATION = 1 << 2,
	WG_WANT_UNSTAGE = 1 << 3,
	WG_WANT_KEEPALIVE = 1 << 4,
	WG_TELL_GAVE_UP = 1 << 5,
};

/* A packet that waits for a session. */
struct wg_staged {
	struct wg_staged *next;
	uint32_t n;
	uint8_t bytes[];
};

/* A handshake under way, in the index table. */
struct wg_pending {
	struct wg_index index;
	struct wg_handshake hs;
};

/* What a peer needs once a handshake with it was tried, by either side. */
struct wg_contact {
	/* DH of both static keys, worked out when first needed. */
	enum { WG_SS_UNKNOWN, WG_SS_GOOD, WG_SS_BAD } ss_state;
	uint8_t static_static[32];
	uint8_t stamp_in[WG_STAMP_LEN]; /* of the newest initiation accepted */
	mono initiation_in;             /* when that was */
	struct wg_cookie_jar jar;
};

/*
 * About 350 bytes while nothing was ever said to the peer; what handshakes and
 * sessions need is separate and comes with them.
 */
struct wg_peer {
	struct map_node by_key;
	struct node_pub key;
	uint32_t slot, generation;
	struct lpm_owner prefixes;
	struct psk *psk; /* NULL: none */
	void *user;

	struct wg_contact *contact;
	struct wg_pending *pending;
	struct wg_keypair *next, *current, *previous;
	int64_t stamp_out_ns; /* of the newest initiation sent */
	mono handshake_sent;  /* last initiation or response */
	mono handshake_done;  /* MONO_NEVER: never */

	struct wg_timers timers;
	struct heap_node wake; /* never later than the first timer */

	struct wg_path plain; /* wg_path_plain's */
	uint64_t rx_bytes, tx_bytes;

	struct wg_staged *staged, **staged_end;
	unsigned staged_n;

	unsigned wants; /* enum wg_want */
	struct link work;
};

struct wg_cookie_out {
	struct wg_path to;
	struct wg_cookie_reply msg;
};

struct wg_device {
	struct rand_src rand;
	const struct wg_path_policy *policy;
	void *policy_ctx;
	bool up;
	mono now; /* the latest time seen: never goes back */
	uint64_t jitter_state;

	struct wg_identity id;
	uint16_t listen_port;
	uint32_t fwmark;

	VEC(struct wg_peer *) slots;
	VEC(uint32_t) free_slots;
	uint32_t generation;
	int64_t stamp_floor_ns; /* newest stamp to a peer that is gone: it may come back */
	struct map peers;       /* by public key */
	struct map indices;     /* struct wg_index by local index */
	struct lpm prefixes;
	struct heap wakes;
	struct link work;   /* peers that want something */
	struct link graves; /* keypairs that ended, until the next drain is over */
	size_t staged_bytes;

	struct wg_cookie_oven oven;
	struct wg_ratelimit by_source, proven;
	int64_t load_us; /* a bucket as in ratelimit.c, for all sources */
	mono load_at, loaded_until;
	VEC(struct wg_cookie_out) cookies;

	/* What wg_next handed out last. */
	union {
		struct wg_initiation initiation;
		struct wg_response response;
		struct wg_cookie_reply cookie;
		uint8_t keepalive[WG_KEEPALIVE_LEN];
	} out;
	struct wg_staged *unstaged;

	uint64_t drops[WG_DROP_MAX];
};

/* The time to go by: `now`, unless that would be a step back. */
mono wg_tick(struct wg_device *dev, mono now);
int64_t wg_jitter(struct wg_device *dev);

/* peer.c */
struct wg_peer *wg_peer_new(struct wg_device *dev, const struct node_pub *key);
void wg_peer_free(struct wg_device *dev, struct wg_peer *p); /* and out of every table */
void wg_peer_want(struct wg_device *dev, struct wg_peer *p, enum wg_want want);
/* After timers of the peer changed: its place in the heap. */
void wg_peer_rearm(struct wg_device *dev, struct wg_peer *p);
struct wg_contact *wg_peer_contact(struct wg_peer *p);
/* All zero if none is set. */
const struct psk *wg_peer_psk(const struct wg_peer *p);
void wg_peer_set_psk(struct wg_peer *p, const struct psk *psk);
/* NULL: this peer's key gives no shared secret, or there is no identity. */
const uint8_t *wg_peer_static_static(struct wg_device *dev, struct wg_peer *p);
uint32_t wg_index_new(struct wg_device *dev, struct wg_index *index, struct wg_peer *p);
void wg_index_drop(struct wg_device *dev, struct wg_index *index);
struct wg_index *wg_index_find(const struct wg_device *dev, uint32_t number);
void wg_peer_drop_pending(struct wg_device *dev, struct wg_peer *p);
void wg_peer_drop_sessions(struct wg_device *dev, struct wg_peer *p);
/* No key of this peer seals another packet. */
void wg_peer_expire(struct wg_peer *p);
/* The pending handshake, done, becomes a session in its index's place. */
void wg_peer_begin_session(struct wg_device *dev, struct wg_peer *p, mono now);
/* The first packet on `next`: the peer has the keys too. */
void wg_peer_promote(struct wg_device *dev, struct wg_peer *p, mono now);
void wg_peer_handshake_complete(struct wg_device *dev, struct wg_peer *p, mono now);
/* A handshake is wanted; `retry` keeps the count of attempts. */
void wg_peer_ask(struct wg_device *dev, struct wg_peer *p, mono now, bool retry);
/* What waits goes out, or a handshake begins. */
void wg_peer_flush(struct wg_device *dev, struct wg_peer *p, mono now);
/* As flush, and an empty message if nothing waits. */
void wg_peer_keepalive(struct wg_device *dev, struct wg_peer *p, mono now);
/* After sending on `current`: is it time for the next one? */
void wg_peer_fresh_after_send(struct wg_device *dev, struct wg_peer *p, mono now);
void wg_peer_heard(struct wg_device *dev, struct wg_peer *p, const struct wg_path *from);
void wg_peer_drop_staged(struct wg_device *dev, struct wg_peer *p, enum wg_drop why);
struct wg_staged *wg_peer_unstage(struct wg_device *dev, struct wg_peer *p);
/* Everything that was learned in operation: sessions, timers, staged packets. */
void wg_peer_reset(struct wg_device *dev, struct wg_peer *p);

void wg_reap(struct wg_device *dev);
