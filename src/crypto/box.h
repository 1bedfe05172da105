#pragma once
/*
 * NaCl box (X25519, XSalsa20, Poly1305) as DERP and disco use it: a random
 * 24-byte nonce in front of the sealed bytes, tag first.
 *
 * A box_shared is the precomputed key of one pair; keep it where a pair talks
 * often (disco), it saves the curve operation.
 */
#include <stdint.h>
#include <string.h>

#include "base/own.h"
#include "base/rand.h"
#include "base/span.h"

enum { BOX_NONCE = 24, BOX_TAG = 16, BOX_OVERHEAD = BOX_NONCE + BOX_TAG };

struct box_shared {
	uint8_t k[32];
};

static inline void box_shared_wipe(struct box_shared *s)
{
	explicit_bzero(s, sizeof(*s));
}

/* ERR_MALFORMED for a peer key of small order. */
NODISCARD int box_shared_init(struct box_shared *s, const uint8_t priv[static 32],
                              const uint8_t pub[static 32]);
/* dst holds plain.n + BOX_OVERHEAD bytes: nonce, tag, text. */
void box_seal(uint8_t *dst, const struct box_shared *s, struct rand_src *rand, struct span plain);
/* dst holds sealed.n - BOX_OVERHEAD bytes. ERR_SHORT, ERR_AUTH */
NODISCARD int box_open(uint8_t *dst, const struct box_shared *s, struct span sealed);
