#include "crypto/noise.h"

#include "crypto/aead.h"
#include "crypto/blake2s.h"
#include "crypto/keys.h"

static const uint8_t zero_nonce[12];

struct secret {
	uint8_t b[32];
};

static void secret_wipe(struct secret *s)
{
	explicit_bzero(s, sizeof(*s));
}

void noise_wipe(struct noise *n)
{
	explicit_bzero(n, sizeof(*n));
}

void noise_keys_wipe(struct noise_keys *k)
{
	explicit_bzero(k, sizeof(*k));
}

static int failed(struct noise *n, int r)
{
	if (r < 0)
		noise_wipe(n);
	return r;
}

static void mix_hash(struct noise *n, const void *p, size_t len)
{
	blake2s_hash2(n->h, span(n->h, 32), span(p, len));
}

/* (ck, key) = HKDF(ck, DH(priv, pub)) */
static int mix_dh(struct noise *n, const uint8_t priv[static 32], const uint8_t pub[static 32],
                  struct secret *ret_key)
{
	AUTO_WIPE(secret) dh;
	int r = x25519(dh.b, priv, pub);
	if (r < 0)
		return r;
	blake2s_hkdf(n->ck, span(dh.b, 32), n->ck, ret_key->b, NULL);
	return 0;
}

/* Each key seals once, under nonce 0 and the hash so far. */
static void seal(struct noise *n, const struct secret *key, uint8_t *dst, struct span plain)
{
	aead_seal(dst, key->b, zero_nonce, plain, span(n->h, 32));
	mix_hash(n, dst, plain.n + AEAD_TAG);
}

static int open_sealed(struct noise *n, const struct secret *key, uint8_t *dst, struct span sealed)
{
	int r = aead_open(dst, key->b, zero_nonce, sealed, span(n->h, 32));

	if (r == 0)
		mix_hash(n, sealed.p, sealed.n);
	return r;
}

static void begin(struct noise *n, struct span prologue, const uint8_t server_pub[static 32])
{
	static const char name[] = "Noise_IK_25519_ChaChaPoly_BLAKE2s";

	/* The name is longer than a hash, so it is hashed. */
	blake2s(n->h, 32, NULL, 0, SPAN_LIT(name));
	memcpy(n->ck, n->h, 32);
	mix_hash(n, prologue.p, prologue.n);
	mix_hash(n, server_pub, 32);
}

static int write_init(struct noise *n, const uint8_t server_pub[static 32], uint8_t *msg)
{
	AUTO_WIPE(secret) key;
	uint8_t our_pub[32];
	int r;

	key_public(msg, n->e);
	mix_hash(n, msg, 32);
	r = mix_dh(n, n->e, server_pub, &key);
	if (r < 0)
		return r;
	key_public(our_pub, n->s);
	seal(n, &key, msg + 32, span(our_pub, 32));
	r = mix_dh(n, n->s, server_pub, &key);
	if (r < 0)
		return r;
	seal(n, &key, msg + 80, span(NULL, 0));
	return 0;
}

int noise_start(struct noise *n, struct span prologue, const uint8_t our_priv[static 32],
                const uint8_t server_pub[static 32], const uint8_t eph_priv[static 32],
                uint8_t ret_msg[static NOISE_INIT])
{
	noise_wipe(n);
	memcpy(n->s, our_priv, 32);
	memcpy(n->e, eph_priv, 32);
	begin(n, prologue, server_pub);
	return failed(n, write_init(n, server_pub, ret_msg));
}

static void split(struct noise *n, struct noise_keys *ret)
{
	blake2s_hkdf(n->ck, span(NULL, 0), ret->to_responder, ret->to_initiator, NULL);
	memcpy(ret->hash, n->h, 32);
	noise_wipe(n);
}

static int read_resp(struct noise *n, const uint8_t *msg)
{
	AUTO_WIPE(secret) key;
	uint8_t nothing[1];
	int r;

	mix_hash(n, msg, 32);
	r = mix_dh(n, n->e, msg, &key);
	if (r == 0)
		r = mix_dh(n, n->s, msg, &key);
	return r < 0 ? r : open_sealed(n, &key, nothing, span(msg + 32, AEAD_TAG));
}

int noise_finish(struct noise *n, const uint8_t msg[static NOISE_RESP], struct noise_keys *ret)
{
	int r = read_resp(n, msg);

	if (r < 0)
		return failed(n, r);
	split(n, ret);
	return 0;
}

static int read_init(struct noise *n, const uint8_t *msg)
{
	AUTO_WIPE(secret) key;
	uint8_t nothing[1];
	int r;

	memcpy(n->re, msg, 32);
	mix_hash(n, msg, 32);
	r = mix_dh(n, n->s, n->re, &key);
	if (r == 0)
		r = open_sealed(n, &key, n->rs, span(msg + 32, 32 + AEAD_TAG));
	if (r == 0)
		r = mix_dh(n, n->s, n->rs, &key);
	return r < 0 ? r : open_sealed(n, &key, nothing, span(msg + 80, AEAD_TAG));
}

int noise_accept(struct noise *n, struct span prologue, const uint8_t our_priv[static 32],
                 const uint8_t msg[static NOISE_INIT], uint8_t ret_peer[static 32])
{
	uint8_t our_pub[32];
	int r;

	noise_wipe(n);
	memcpy(n->s, our_priv, 32);
	key_public(our_pub, our_priv);
	begin(n, prologue, our_pub);
	r = read_init(n, msg);
	if (r < 0)
		return failed(n, r);
	memcpy(ret_peer, n->rs, 32);
	return 0;
}

int noise_answer(struct noise *n, const uint8_t eph_priv[static 32],
                 uint8_t ret_msg[static NOISE_RESP], struct noise_keys *ret)
{
	AUTO_WIPE(secret) key;
	int r;

	key_public(ret_msg, eph_priv);
	mix_hash(n, ret_msg, 32);
	r = mix_dh(n, eph_priv, n->re, &key);
	if (r == 0)
		r = mix_dh(n, eph_priv, n->rs, &key);
	if (r < 0)
		return failed(n, r);
	seal(n, &key, ret_msg + 32, span(NULL, 0));
	split(n, ret);
	return 0;
}
