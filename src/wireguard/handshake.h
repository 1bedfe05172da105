#pragma once
/*
 * The Noise_IKpsk2 handshake: making and reading the two messages, and the keys
 * they lead to. Knows no peer table, no timer and no MAC: it works on one
 * struct wg_handshake and on what it is told of the two ends.
 *
 *	initiator	wg_initiation_create .. wg_response_consume .. wg_session_keys
 *	responder	wg_initiation_open, wg_initiation_finish .. wg_response_create
 *			.. wg_session_keys
 *
 * What reads a message works on copies and writes its results on success only,
 * so that garbage cannot disturb a handshake that is under way.
 *
 * Threads	none inside.
 * Source	WireGuard paper s.5.4; Noise rev 34.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/own.h"
#include "base/time.h"
#include "crypto/keys.h"
#include "wireguard/msg.h"

enum { WG_STAMP_LEN = 12 };

/* Our own static key and what is derived from it once. */
struct wg_identity {
	bool set;
	struct node_priv priv;
	struct node_pub pub;
	uint8_t mac1_key[32];   /* of messages to us */
	uint8_t cookie_key[32]; /* of cookies from us */
};

static inline void wg_identity_wipe(struct wg_identity *id)
{
	explicit_bzero(id, sizeof(*id));
}

/* An all-zero key unsets it. */
void wg_identity_set(struct wg_identity *id, const struct node_priv *priv);

enum wg_handshake_state {
	WG_HS_NONE,
	WG_HS_INITIATION_CREATED,
	WG_HS_INITIATION_CONSUMED,
	WG_HS_RESPONSE_CREATED,
	WG_HS_RESPONSE_CONSUMED,
};

struct wg_handshake {
	enum wg_handshake_state state;
	uint32_t local_index, remote_index;
	uint8_t ck[32], h[32];
	uint8_t ephemeral[32];        /* ours, private; the initiator keeps it until the response */
	uint8_t remote_ephemeral[32]; /* the responder keeps it until its response */
};

static inline void wg_handshake_wipe(struct wg_handshake *hs)
{
	explicit_bzero(hs, sizeof(*hs));
}

/* DH of both static keys. ERR_MALFORMED for a peer key of small order. */
NODISCARD int wg_static_static(const struct wg_identity *id, const struct node_pub *peer,
                               uint8_t ret[static 32]);

/*
 * TAI64N of a time of day, cut to steps of 2^24 ns so that it tells little about
 * the load. Never at or before *last_ns, which it moves on: a clock that was set
 * back must not make us look like a replay.
 */
void wg_stamp(uint8_t ret[static WG_STAMP_LEN], wall now, int64_t *last_ns);

/*
 * The message without its MACs. ephemeral is fresh random, index unused.
 *   ERR_MALFORMED	the peer's key gives no secret
 */
NODISCARD int wg_initiation_create(struct wg_handshake *hs, const struct wg_identity *id,
                                   const struct node_pub *peer,
                                   const uint8_t static_static[static 32],
                                   const uint8_t ephemeral[static 32],
                                   const uint8_t stamp[static WG_STAMP_LEN], uint32_t index,
                                   struct wg_initiation *ret);
/*
 * First half of reading one: who says to have sent it? Anybody who knows our
 * public key can come so far in anybody's name.
 *   ERR_AUTH, ERR_MALFORMED
 */
NODISCARD int wg_initiation_open(const struct wg_identity *id, const struct wg_initiation *msg,
                                 struct wg_handshake *ret, struct node_pub *ret_peer);
/* Second half: proves it, and gives the stamp, which the caller compares. ERR_AUTH */
NODISCARD int wg_initiation_finish(struct wg_handshake *hs, const uint8_t static_static[static 32],
                                   const struct wg_initiation *msg,
                                   uint8_t ret_stamp[static WG_STAMP_LEN]);

/* In state INITIATION_CONSUMED. ERR_MALFORMED as above, hs is spent then. */
NODISCARD int wg_response_create(struct wg_handshake *hs, const struct node_pub *peer,
                                 const struct psk *psk, const uint8_t ephemeral[static 32],
                                 uint32_t index, struct wg_response *ret);
/* In state INITIATION_CREATED. ERR_AUTH, ERR_MALFORMED leave hs as it was. */
NODISCARD int wg_response_consume(struct wg_handshake *hs, const struct wg_identity *id,
                                  const struct psk *psk, const struct wg_response *msg);

/* In RESPONSE_CREATED or RESPONSE_CONSUMED; wipes hs. */
void wg_session_keys(struct wg_handshake *hs, uint8_t ret_send[static 32],
                     uint8_t ret_recv[static 32]);
