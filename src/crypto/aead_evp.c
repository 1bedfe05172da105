/* libcrypto: the cipher is fetched once, a context stays keyed, and a message sets only its nonce.
 */
#include <assert.h>
#include <openssl/evp.h>
#include <string.h>

#include "base/enc.h"
#include "crypto/aead_backend.h"

static EVP_CIPHER *cipher; /* set once, in evp_start */

static bool evp_start(void)
{
	cipher = EVP_CIPHER_fetch(NULL, "ChaCha20-Poly1305", NULL);
	return cipher != NULL;
}

static EVP_CIPHER_CTX *context(struct aead_key *key)
{
	if (!key->state) {
		EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
		int ok = c && EVP_CipherInit_ex2(c, cipher, key->k, NULL, 1, NULL);

		assert(ok == 1);
		key->state = c;
	}
	return key->state;
}

/* libcrypto fails here only if it is out of memory, and that ends us like everywhere else. */
static void run(EVP_CIPHER_CTX *c, const struct aead_msg *m, int seal)
{
	uint8_t nonce[12];
	int len = 0;

	aead_nonce_le(nonce, m->counter);
	int ok = EVP_CipherInit_ex2(c, NULL, NULL, nonce, seal, NULL) == 1 &&
	         EVP_CipherUpdate(c, m->p, &len, m->p, (int)m->n) == 1;
	assert(ok);
}

static void evp_seal(struct aead_key *key, struct aead_msg *msgs, size_t n)
{
	EVP_CIPHER_CTX *c = context(key);

	for (struct aead_msg *m = msgs; m < msgs + n; m++) {
		uint8_t *tag = m->p + m->n;
		int len = 0;

		run(c, m, 1);
		int ok = EVP_CipherFinal_ex(c, tag, &len) == 1 &&
		         EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_GET_TAG, AEAD_TAG, tag) == 1;
		assert(ok);
	}
}

static size_t evp_open(struct aead_key *key, struct aead_msg *msgs, size_t n)
{
	EVP_CIPHER_CTX *c = context(key);
	size_t good = 0;

	for (struct aead_msg *m = msgs; m < msgs + n; m++) {
		uint8_t *tag = m->p + m->n;
		int len = 0;

		run(c, m, 0);
		m->ok = EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_SET_TAG, AEAD_TAG, tag) == 1 &&
		        EVP_CipherFinal_ex(c, tag, &len) == 1;
		if (m->ok)
			good++;
		else
			explicit_bzero(m->p, m->n);
	}
	return good;
}

static void evp_drop(struct aead_key *key)
{
	EVP_CIPHER_CTX_free(key->state); /* wipes the key schedule */
}

const struct aead_backend aead_backend_evp = {
	.name = "evp",
	.start = evp_start,
	.seal = evp_seal,
	.open = evp_open,
	.drop = evp_drop,
};
