#pragma once
/*
 * Keys. Every kind is its own type: a compile error is cheaper than a handshake
 * that never completes. All are 32 bytes.
 *
 * Text forms are those of the control protocol (seen in tailscale v1.102.5,
 * types/key): "nodekey:", "mkey:", "discokey:", "chalpub:" and hex for public
 * keys, "privkey:" and hex for private ones; WireGuard's own tools use base64.
 */
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/enc.h"
#include "base/own.h"
#include "base/span.h"

enum { KEY_LEN = 32, KEY_TEXT_MAX = 96, KEY_SHORT_MAX = 8 };

#define KEY_PUBLIC(type, prefix_text)                                                              \
	struct type {                                                                              \
		uint8_t b[KEY_LEN];                                                                \
	};                                                                                         \
	static inline bool type##_eq(const struct type *a, const struct type *b)                   \
	{                                                                                          \
		return memcmp(a->b, b->b, KEY_LEN) == 0;                                           \
	}                                                                                          \
	static inline bool type##_is_zero(const struct type *k)                                    \
	{                                                                                          \
		return ct_is_zero(k->b, KEY_LEN);                                                  \
	}                                                                                          \
	static inline const char *type##_text(const struct type *k, char dst[static KEY_TEXT_MAX]) \
	{                                                                                          \
		return key_text(dst, prefix_text, k->b);                                           \
	}                                                                                          \
	NODISCARD static inline int type##_parse(struct span text, struct type *ret)               \
	{                                                                                          \
		return key_parse(text, prefix_text, ret->b);                                       \
	}

#define KEY_PRIVATE(type, pub_type)                                                                \
	struct type {                                                                              \
		uint8_t b[KEY_LEN];                                                                \
	};                                                                                         \
	static inline void type##_wipe(struct type *k)                                             \
	{                                                                                          \
		explicit_bzero(k, sizeof(*k));                                                     \
	}                                                                                          \
	static inline bool type##_is_zero(const struct type *k)                                    \
	{                                                                                          \
		return ct_is_zero(k->b, KEY_LEN);                                                  \
	}                                                                                          \
	static inline void type##_new(struct type *ret)                                            \
	{                                                                                          \
		key_generate(ret->b);                                                              \
	}                                                                                          \
	static inline void type##_public(const struct type *k, struct pub_type *ret)               \
	{                                                                                          \
		key_public(ret->b, k->b);                                                          \
	}                                                                                          \
	static inline const char *type##_text(const struct type *k, char dst[static KEY_TEXT_MAX]) \
	{                                                                                          \
		return key_text(dst, "privkey:", k->b);                                            \
	}                                                                                          \
	NODISCARD static inline int type##_parse(struct span text, struct type *ret)               \
	{                                                                                          \
		return key_parse(text, "privkey:", ret->b);                                        \
	}

/* "prefix" and 64 hex digits. Returns dst. */
const char *key_text(char dst[static KEY_TEXT_MAX], const char *prefix, const uint8_t k[static 32]);
/* ERR_MALFORMED; ret is written on success only. */
NODISCARD int key_parse(struct span text, const char *prefix, uint8_t ret[static 32]);
/* A clamped X25519 private key. */
void key_generate(uint8_t ret[static 32]);
void key_clamp(uint8_t k[static 32]);
/* X25519 with the base point. */
void key_public(uint8_t ret[static 32], const uint8_t priv[static 32]);
/* The first five base64 digits in brackets, for logs: "[AbCdE]". */
const char *key_short(char dst[static KEY_SHORT_MAX], const uint8_t k[static 32]);

KEY_PUBLIC(node_pub, "nodekey:")
KEY_PRIVATE(node_priv, node_pub)
KEY_PUBLIC(machine_pub, "mkey:")
KEY_PRIVATE(machine_priv, machine_pub)
KEY_PUBLIC(disco_pub, "discokey:")
KEY_PRIVATE(disco_priv, disco_pub)
KEY_PUBLIC(challenge_pub, "chalpub:")
KEY_PRIVATE(challenge_priv, challenge_pub)
/* Tailnet lock: Ed25519. */
KEY_PUBLIC(lock_pub, "nlpub:")

struct lock_priv {
	uint8_t b[64]; /* seed, public key */
};

static inline void lock_priv_wipe(struct lock_priv *k)
{
	explicit_bzero(k, sizeof(*k));
}

void lock_priv_new(struct lock_priv *ret);
void lock_priv_public(const struct lock_priv *k, struct lock_pub *ret);

/* A pre-shared WireGuard key. */
struct psk {
	uint8_t b[KEY_LEN];
};

static inline void psk_wipe(struct psk *k)
{
	explicit_bzero(k, sizeof(*k));
}

/*
 * X25519. ERR_MALFORMED if the result is all zero (a peer key of small order);
 * ret is wiped then. Time does not depend on the keys.
 */
NODISCARD int x25519(uint8_t ret[static 32], const uint8_t priv[static 32],
                     const uint8_t pub[static 32]);
