#pragma once
/*
 * ChaCha20-Poly1305 (RFC 8439) with the 64-bit counter nonces of WireGuard and
 * Noise, and XChaCha20-Poly1305 for cookies. Single messages, at handshake rate:
 * the data path has its batch interface in crypto/aead_batch.h.
 *
 * dst may be src. Sealed text is n + AEAD_TAG bytes. Not for threads to share a
 * state; these functions keep none.
 */
#include <stddef.h>
#include <stdint.h>

#include "base/own.h"
#include "base/span.h"

enum { AEAD_KEY = 32, AEAD_TAG = 16, XAEAD_NONCE = 24 };

/* Nonce of 4 zero bytes and the counter: WireGuard little-endian, the control Noise big-endian. */
void aead_nonce_le(uint8_t ret[static 12], uint64_t counter);
void aead_nonce_be(uint8_t ret[static 12], uint64_t counter);

void aead_seal(uint8_t *dst, const uint8_t key[static 32], const uint8_t nonce[static 12],
               struct span plain, struct span ad);
/* ERR_AUTH leaves dst wiped; ERR_SHORT if there is no room for a tag. */
NODISCARD int aead_open(uint8_t *dst, const uint8_t key[static 32], const uint8_t nonce[static 12],
                        struct span sealed, struct span ad);

void xaead_seal(uint8_t *dst, const uint8_t key[static 32], const uint8_t nonce[static 24],
                struct span plain, struct span ad);
NODISCARD int xaead_open(uint8_t *dst, const uint8_t key[static 32], const uint8_t nonce[static 24],
                         struct span sealed, struct span ad);
