#include "crypto/aead.h"

#include <sodium.h>
#include <string.h>

#include "base/err.h"
#include "base/wire.h"

void aead_nonce_le(uint8_t ret[static 12], uint64_t counter)
{
	memset(ret, 0, 4);
	put_le64(ret + 4, counter);
}

void aead_nonce_be(uint8_t ret[static 12], uint64_t counter)
{
	memset(ret, 0, 4);
	put_be64(ret + 4, counter);
}

void aead_seal(uint8_t *dst, const uint8_t key[static 32], const uint8_t nonce[static 12],
               struct span plain, struct span ad)
{
	(void)crypto_aead_chacha20poly1305_ietf_encrypt(dst, NULL, plain.p, plain.n, ad.p, ad.n,
	                                                NULL, nonce, key);
}

int aead_open(uint8_t *dst, const uint8_t key[static 32], const uint8_t nonce[static 12],
              struct span sealed, struct span ad)
{
	if (sealed.n < AEAD_TAG)
		return ERR_SHORT;
	if (crypto_aead_chacha20poly1305_ietf_decrypt(dst, NULL, NULL, sealed.p, sealed.n, ad.p,
	                                              ad.n, nonce, key) != 0) {
		if (dst)
			explicit_bzero(dst, sealed.n - AEAD_TAG);
		return ERR_AUTH;
	}
	return 0;
}

void xaead_seal(uint8_t *dst, const uint8_t key[static 32], const uint8_t nonce[static 24],
                struct span plain, struct span ad)
{
	(void)crypto_aead_xchacha20poly1305_ietf_encrypt(dst, NULL, plain.p, plain.n, ad.p, ad.n,
	                                                 NULL, nonce, key);
}

int xaead_open(uint8_t *dst, const uint8_t key[static 32], const uint8_t nonce[static 24],
               struct span sealed, struct span ad)
{
	if (sealed.n < AEAD_TAG)
		return ERR_SHORT;
	if (crypto_aead_xchacha20poly1305_ietf_decrypt(dst, NULL, NULL, sealed.p, sealed.n, ad.p,
	                                               ad.n, nonce, key) != 0) {
		if (dst)
			explicit_bzero(dst, sealed.n - AEAD_TAG);
		return ERR_AUTH;
	}
	return 0;
}
