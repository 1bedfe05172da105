#pragma once
/*
 * The keys of one session, and the three that a peer may hold at a time.
 *
 *	next		derived as responder, not yet confirmed by the peer: receives only
 *	current		sends and receives
 *	previous	receives what was under way when the keys changed
 *
 * Threads	none inside: one thread owns a device and its keypairs.
 * Lifetime	the device's. A pointer handed to the data path stays good until
 *		the device's outputs have been drained (wg_next returned false);
 *		a session that ended meanwhile has `dead` set, and its keys are wiped
 *		then.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "base/map.h"
#include "base/time.h"
#include "crypto/aead_batch.h"
#include "wireguard/replay.h"

struct wg_peer;

#define WG_REKEY_AFTER_MESSAGES (UINT64_C(1) << 60)

enum {
	WG_REKEY_AFTER_S = 120,
	WG_REJECT_AFTER_S = 180,
};

/* What an index on the wire stands for. Embedded in handshakes and keypairs. */
struct wg_index {
	struct map_node node; /* private */
	struct wg_peer *peer;
	bool is_keypair;
};

struct wg_keypair {
	struct wg_index index;
	uint32_t local_index, remote_index;
	uint8_t send_key[32], recv_key[32];
	struct aead_key send, recv; /* the same for batches; made by who first needs them */
	uint64_t send_counter; /* the next to use */
	mono born;
	bool initiator;    /* we began the handshake, so we rekey on time */
	bool dead;         /* its session ended: neither sends nor receives */
	bool expired;      /* receives only: the identity changed, or a copy of us may run */
	bool last_minute;  /* the receive side has asked for its successor */
	struct link grave; /* private */
	struct wg_replay replay;
};

/* The message counter of a sender may go on and the key is young enough. */
static inline bool wg_keypair_can_send(const struct wg_keypair *k, mono now)
{
	return k && !k->dead && !k->expired &&
	       mono_since(k->born, now) < WG_REJECT_AFTER_S * US_PER_S &&
	       k->send_counter < WG_REJECT_AFTER_MESSAGES;
}

static inline bool wg_keypair_can_receive(const struct wg_keypair *k, mono now)
{
	return k && !k->dead && mono_since(k->born, now) < WG_REJECT_AFTER_S * US_PER_S &&
	       k->replay.next < WG_REJECT_AFTER_MESSAGES;
}
