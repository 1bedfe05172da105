#include "wireguard/handshake.h"

#include <assert.h>
#include <string.h>

#include "crypto/aead.h"
#include "crypto/blake2s.h"

static const char construction[] = "Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s";
static const char identifier[] = "WireGuard v1 zx2c4 Jason@zx2c4.com";

static const uint8_t handshake_nonce[12];

/* A shared secret or a key for one AEAD call. */
struct secret {
	uint8_t b[32];
};

static void secret_wipe(struct secret *s)
{
	explicit_bzero(s, sizeof(*s));
}

void wg_identity_set(struct wg_identity *id, const struct node_priv *priv)
{
	wg_identity_wipe(id);
	if (node_priv_is_zero(priv))
		return;
	id->set = true;
	id->priv = *priv;
	key_clamp(id->priv.b);
	node_priv_public(&id->priv, &id->pub);
	blake2s_hash2(id->mac1_key, SPAN_LIT("mac1----"), SPAN_OF(id->pub.b));
	blake2s_hash2(id->cookie_key, SPAN_LIT("cookie--"), SPAN_OF(id->pub.b));
}

int wg_static_static(const struct wg_identity *id, const struct node_pub *peer,
                     uint8_t ret[static 32])
{
	return x25519(ret, id->priv.b, peer->b);
}

void wg_stamp(uint8_t ret[static WG_STAMP_LEN], wall now, int64_t *last_ns)
{
	enum { STEP = 1 << 24 };
	int64_t us = now.us > 0 ? now.us : 0;
	int64_t s = us / US_PER_S;
	int64_t ns = (us % US_PER_S * 1000) & ~(int64_t)(STEP - 1);

	if (s * 1000000000 + ns <= *last_ns) {
		int64_t next = *last_ns + STEP;

		s = next / 1000000000;
		ns = next % 1000000000;
		/* The step may have crossed a second; then the whole second is later already. */
		ns &= ~(int64_t)(STEP - 1);
	}
	*last_ns = s * 1000000000 + ns;
	put_be64(ret, UINT64_C(0x400000000000000a) + (uint64_t)s);
	put_be32(ret + 8, (uint32_t)ns);
}

/* ---- transcript ---------------------------------------------------------- */

static void mix_hash(struct wg_handshake *hs, struct span data)
{
	blake2s_hash2(hs->h, SPAN_OF(hs->h), data);
}

static void mix_key(struct wg_handshake *hs, struct span input)
{
	blake2s_hkdf(hs->ck, input, hs->ck, NULL, NULL);
}

static void start(struct wg_handshake *hs, const struct node_pub *responder)
{
	blake2s(hs->ck, 32, NULL, 0, span(construction, sizeof(construction) - 1));
	blake2s_hash2(hs->h, SPAN_OF(hs->ck), span(identifier, sizeof(identifier) - 1));
	mix_hash(hs, SPAN_OF(responder->b));
}

static void mix_ephemeral(struct wg_handshake *hs, const uint8_t pub[static 32])
{
	mix_hash(hs, span(pub, 32));
	mix_key(hs, span(pub, 32));
}

/* A DH result into the chaining key, and a key for the next AEAD. */
static int mix_dh(struct wg_handshake *hs, const uint8_t priv[static 32],
                  const uint8_t pub[static 32], struct secret *ret_key)
{
	AUTO_WIPE(secret) shared;
	int r = x25519(shared.b, priv, pub);

	if (r < 0)
		return r;
	blake2s_hkdf(hs->ck, SPAN_OF(shared.b), hs->ck, ret_key ? ret_key->b : NULL, NULL);
	return 0;
}

static void mix_psk(struct wg_handshake *hs, const struct psk *psk, struct secret *ret_key)
{
	AUTO_WIPE(secret) tau;

	blake2s_hkdf(hs->ck, SPAN_OF(psk->b), hs->ck, tau.b, ret_key->b);
	mix_hash(hs, SPAN_OF(tau.b));
}

static void seal(struct wg_handshake *hs, const struct secret *key, uint8_t *dst, struct span plain)
{
	aead_seal(dst, key->b, handshake_nonce, plain, SPAN_OF(hs->h));
	mix_hash(hs, span(dst, plain.n + AEAD_TAG));
}

static int open(struct wg_handshake *hs, const struct secret *key, uint8_t *dst, struct span sealed)
{
	int r = aead_open(dst, key->b, handshake_nonce, sealed, SPAN_OF(hs->h));

	if (r < 0)
		return r;
	mix_hash(hs, sealed);
	return 0;
}

/* ---- initiation ---------------------------------------------------------- */

int wg_initiation_create(struct wg_handshake *hs, const struct wg_identity *id,
                         const struct node_pub *peer, const uint8_t static_static[static 32],
                         const uint8_t ephemeral[static 32],
                         const uint8_t stamp[static WG_STAMP_LEN], uint32_t index,
                         struct wg_initiation *ret)
{
	AUTO_WIPE(secret) key;

	*hs = (struct wg_handshake){ .local_index = index };
	*ret = (struct wg_initiation){ 0 };
	put_le32(ret->type, WG_MSG_INITIATION);
	put_le32(ret->sender, index);
	start(hs, peer);
	memcpy(hs->ephemeral, ephemeral, 32);
	key_clamp(hs->ephemeral);
	key_public(ret->ephemeral, hs->ephemeral);
	mix_ephemeral(hs, ret->ephemeral);

	int r = mix_dh(hs, hs->ephemeral, peer->b, &key);

	if (r < 0) {
		wg_handshake_wipe(hs);
		return r;
	}
	seal(hs, &key, ret->sealed_static, SPAN_OF(id->pub.b));
	blake2s_hkdf(hs->ck, span(static_static, 32), hs->ck, key.b, NULL);
	seal(hs, &key, ret->sealed_stamp, span(stamp, WG_STAMP_LEN));
	hs->state = WG_HS_INITIATION_CREATED;
	return 0;
}

int wg_initiation_open(const struct wg_identity *id, const struct wg_initiation *msg,
                       struct wg_handshake *ret, struct node_pub *ret_peer)
{
	AUTO_WIPE(secret) key;
	AUTO_WIPE(wg_handshake) hs = { .remote_index = le32_at(msg->sender) };
	struct node_pub peer;

	start(&hs, &id->pub);
	mix_ephemeral(&hs, msg->ephemeral);
	memcpy(hs.remote_ephemeral, msg->ephemeral, 32);

	int r = mix_dh(&hs, id->priv.b, msg->ephemeral, &key);

	if (r == 0)
		r = open(&hs, &key, peer.b, SPAN_OF(msg->sealed_static));
	if (r < 0)
		return r;
	*ret = hs;
	*ret_peer = peer;
	return 0;
}

int wg_initiation_finish(struct wg_handshake *hs, const uint8_t static_static[static 32],
                         const struct wg_initiation *msg, uint8_t ret_stamp[static WG_STAMP_LEN])
{
	AUTO_WIPE(secret) key;

	blake2s_hkdf(hs->ck, span(static_static, 32), hs->ck, key.b, NULL);

	int r = open(hs, &key, ret_stamp, SPAN_OF(msg->sealed_stamp));

	if (r < 0)
		return r;
	hs->state = WG_HS_INITIATION_CONSUMED;
	return 0;
}

/* ---- response ------------------------------------------------------------ */

int wg_response_create(struct wg_handshake *hs, const struct node_pub *peer, const struct psk *psk,
                       const uint8_t ephemeral[static 32], uint32_t index, struct wg_response *ret)
{
	AUTO_WIPE(secret) key;
	AUTO_WIPE(secret) mine;

	assert(hs->state == WG_HS_INITIATION_CONSUMED);
	*ret = (struct wg_response){ 0 };
	put_le32(ret->type, WG_MSG_RESPONSE);
	put_le32(ret->sender, index);
	put_le32(ret->receiver, hs->remote_index);
	memcpy(mine.b, ephemeral, 32);
	key_clamp(mine.b);
	key_public(ret->ephemeral, mine.b);
	mix_ephemeral(hs, ret->ephemeral);

	int r = mix_dh(hs, mine.b, hs->remote_ephemeral, NULL);

	if (r == 0)
		r = mix_dh(hs, mine.b, peer->b, NULL);
	if (r < 0) {
		wg_handshake_wipe(hs);
		return r;
	}
	mix_psk(hs, psk, &key);
	seal(hs, &key, ret->sealed_nothing, (struct span){ 0 });
	hs->local_index = index;
	hs->state = WG_HS_RESPONSE_CREATED;
	return 0;
}

int wg_response_consume(struct wg_handshake *hs, const struct wg_identity *id,
                        const struct psk *psk, const struct wg_response *msg)
{
	AUTO_WIPE(secret) key;
	AUTO_WIPE(wg_handshake) copy = *hs;

	assert(hs->state == WG_HS_INITIATION_CREATED);
	mix_ephemeral(&copy, msg->ephemeral);

	int r = mix_dh(&copy, copy.ephemeral, msg->ephemeral, NULL);

	if (r == 0)
		r = mix_dh(&copy, id->priv.b, msg->ephemeral, NULL);
	if (r < 0)
		return r;
	mix_psk(&copy, psk, &key);

	uint8_t nothing[1];

	r = open(&copy, &key, nothing, SPAN_OF(msg->sealed_nothing));
	if (r < 0)
		return r;
	copy.remote_index = le32_at(msg->sender);
	copy.state = WG_HS_RESPONSE_CONSUMED;
	*hs = copy;
	return 0;
}

void wg_session_keys(struct wg_handshake *hs, uint8_t ret_send[static 32],
                     uint8_t ret_recv[static 32])
{
	bool initiator = hs->state == WG_HS_RESPONSE_CONSUMED;
	uint8_t *first = initiator ? ret_send : ret_recv;
	uint8_t *second = initiator ? ret_recv : ret_send;

	assert(initiator || hs->state == WG_HS_RESPONSE_CREATED);
	blake2s_hkdf(hs->ck, (struct span){ 0 }, first, second, NULL);
	wg_handshake_wipe(hs);
}
