#pragma once
/*
 * BLAKE2s, plain and keyed, and HMAC and HKDF over it, as WireGuard and the
 * control protocol's Noise use them.
 *
 * Pure; wipe a keyed state with blake2s_wipe.
 * Source: RFC 7693; RFC 2104; RFC 5869 in Noise's form (Noise rev 34 s.4.3).
 */
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"

enum { BLAKE2S_BLOCK = 64, BLAKE2S_MAX = 32 };

struct blake2s {
	uint32_t h[8];
	uint64_t count;
	uint8_t block[BLAKE2S_BLOCK];
	size_t used;
	size_t out;
};

/* out 1..32, key_len 0..32 */
void blake2s_init(struct blake2s *s, size_t out, const void *key, size_t key_len);
void blake2s_update(struct blake2s *s, const void *p, size_t n);
void blake2s_final(struct blake2s *s, void *ret); /* and wipes s */

/* One call for whole messages. */
void blake2s(void *ret, size_t out, const void *key, size_t key_len, struct span msg);
/* HASH(a || b), 32 bytes; ret may be a. */
void blake2s_hash2(uint8_t ret[static 32], struct span a, struct span b);

void blake2s_hmac(uint8_t ret[static 32], const void *key, size_t key_len, struct span a,
                  struct span b);
/*
 * Noise's HKDF: chaining key and input give 1 to 3 keys; NULL outputs end the
 * list. Outputs may overlap ck.
 */
void blake2s_hkdf(const uint8_t ck[static 32], struct span input, uint8_t *ret1, uint8_t *ret2,
                  uint8_t *ret3);
