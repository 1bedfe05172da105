#include "crypto/keys.h"

#include <sodium.h>

#include "base/err.h"
#include "base/rand.h"

const char *key_text(char dst[static KEY_TEXT_MAX], const char *prefix, const uint8_t k[static 32])
{
	size_t n = strlen(prefix);

	memcpy(dst, prefix, n);
	(void)hex_encode(dst + n, k, KEY_LEN);
	return dst;
}

int key_parse(struct span text, const char *prefix, uint8_t ret[static 32])
{
	uint8_t k[KEY_LEN];

	if (!span_starts(text, prefix))
		return ERR_MALFORMED;

	int r = hex_decode(k, KEY_LEN, span_from(text, strlen(prefix)));

	if (r == 0)
		memcpy(ret, k, KEY_LEN);
	explicit_bzero(k, sizeof(k));
	return r;
}

void key_clamp(uint8_t k[static 32])
{
	k[0] &= 0xf8;
	k[31] = (uint8_t)((k[31] & 0x7f) | 0x40);
}

void key_generate(uint8_t ret[static 32])
{
	rand_bytes(ret, KEY_LEN);
	key_clamp(ret);
}

void key_public(uint8_t ret[static 32], const uint8_t priv[static 32])
{
	/* Fails only for results that no clamped scalar gives. */
	if (crypto_scalarmult_base(ret, priv) != 0)
		memset(ret, 0, KEY_LEN);
}

int x25519(uint8_t ret[static 32], const uint8_t priv[static 32], const uint8_t pub[static 32])
{
	if (crypto_scalarmult(ret, priv, pub) != 0 || ct_is_zero(ret, KEY_LEN)) {
		explicit_bzero(ret, KEY_LEN);
		return ERR_MALFORMED;
	}
	return 0;
}

const char *key_short(char dst[static KEY_SHORT_MAX], const uint8_t k[static 32])
{
	char text[BASE64_LEN(KEY_LEN) + 1];

	(void)base64_encode(text, k, KEY_LEN);
	dst[0] = '[';
	memcpy(dst + 1, text, 5);
	dst[6] = ']';
	dst[7] = '\0';
	return dst;
}

void lock_priv_new(struct lock_priv *ret)
{
	struct lock_pub pub;

	(void)crypto_sign_keypair(pub.b, ret->b);
}

void lock_priv_public(const struct lock_priv *k, struct lock_pub *ret)
{
	memcpy(ret->b, k->b + 32, 32);
}
