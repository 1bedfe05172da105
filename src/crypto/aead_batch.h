#pragma once
/*
 * ChaCha20-Poly1305 over many messages at once: one key, a counter each, no
 * associated data, in place. The data path's cipher.
 *
 * A message is `n` bytes of text at `p` with AEAD_TAG bytes of room behind. A
 * batch may mix lengths, but equal lengths are what the vector code is made for:
 * it lays the blocks of all messages end to end, so that no vector is half
 * empty, and runs Poly1305 with a message in each lane.
 *
 * Backends; the fastest on this CPU is picked once, at the first call:
 *	avx2		our own, x86 with AVX2
 *	ipsec-mb	intel-ipsec-mb, if it is installed; asked on AVX-512 CPUs
 *	evp		libcrypto, everywhere
 *	sodium		libsodium, if libcrypto has been built without the cipher
 *
 * Threads	a key is used by one thread at a time.
 * Source	RFC 8439 s.2.8; nonces are 4 zero bytes and the counter,
 *		little-endian (WireGuard).
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/own.h"
#include "crypto/aead.h"

/* Messages in one call; more is the caller's loop. */
enum { AEAD_BATCH_MAX = 64 };

struct aead_msg {
	uint8_t *p;       /* the text, in place; the tag follows it */
	uint32_t n;       /* without the tag */
	bool ok;          /* open: authentic; the text is wiped where not */
	uint64_t counter; /* of the nonce */
};

struct aead_backend;

/* A key, ready for use. A zeroed one is no key and may be given to aead_key_done. */
struct aead_key {
	const struct aead_backend *backend; /* private from here */
	void *state;                        /* the backend's, made at the first use */
	uint8_t k[AEAD_KEY];
};

void aead_key_init(struct aead_key *key, const uint8_t k[static AEAD_KEY]);
void aead_key_done(struct aead_key *key); /* and wipes it */

void aead_batch_seal(struct aead_key *key, struct aead_msg *msgs, size_t n);
/* Sets `ok` of each; the number of authentic ones. */
size_t aead_batch_open(struct aead_key *key, struct aead_msg *msgs, size_t n);

/* The backend in use by name; for logs. Call early: picking measures for about a millisecond. */
const char *aead_batch_pick(void);

/* For tests and measurements, of one thread: NULL if this machine or build does not have it. */
const struct aead_backend *aead_backend_named(const char *name);
void aead_key_init_with(struct aead_key *key, const struct aead_backend *backend,
                        const uint8_t k[static AEAD_KEY]);
