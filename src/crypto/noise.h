#pragma once
/*
 * The Noise handshake of the control protocol: Noise_IK_25519_ChaChaPoly_BLAKE2s
 * with empty payloads. WireGuard's own handshake is in wireguard/handshake.
 *
 *	initiator	start -> 96 bytes ... 48 bytes -> finish
 *	responder	accept(96 bytes) -> who is it? -> answer -> 48 bytes
 *
 * Pure: ephemeral keys are drawn by the caller. Every function that fails, and
 * every one that ends the handshake, leaves the state wiped.
 *
 * Source: the Noise Protocol Framework, revision 34.
 */
#include <stdint.h>
#include <string.h>

#include "base/own.h"
#include "base/span.h"

enum { NOISE_INIT = 96, NOISE_RESP = 48 };

struct noise {
	uint8_t h[32], ck[32];
	uint8_t s[32], e[32]; /* our private keys, as long as they are needed */
	uint8_t re[32];       /* responder: the initiator's ephemeral key */
	uint8_t rs[32];       /* responder: the initiator's static key */
};

struct noise_keys {
	uint8_t to_responder[32], to_initiator[32];
	uint8_t hash[32]; /* binds a channel; no secret */
};

void noise_wipe(struct noise *n);
void noise_keys_wipe(struct noise_keys *k);

/* ERR_MALFORMED for a server key of small order. */
NODISCARD int noise_start(struct noise *n, struct span prologue, const uint8_t our_priv[static 32],
                          const uint8_t server_pub[static 32], const uint8_t eph_priv[static 32],
                          uint8_t ret_msg[static NOISE_INIT]);
/* ERR_AUTH, ERR_MALFORMED */
NODISCARD int noise_finish(struct noise *n, const uint8_t msg[static NOISE_RESP],
                           struct noise_keys *ret);

/* Learns and proves who calls. ERR_AUTH, ERR_MALFORMED */
NODISCARD int noise_accept(struct noise *n, struct span prologue, const uint8_t our_priv[static 32],
                           const uint8_t msg[static NOISE_INIT], uint8_t ret_peer[static 32]);
NODISCARD int noise_answer(struct noise *n, const uint8_t eph_priv[static 32],
                           uint8_t ret_msg[static NOISE_RESP], struct noise_keys *ret);
