/* libsodium, a message at a time: slow, always there. */
#include "crypto/aead_backend.h"

static bool sodium_start(void)
{
	return true;
}

static void sodium_seal(struct aead_key *key, struct aead_msg *msgs, size_t n)
{
	for (struct aead_msg *m = msgs; m < msgs + n; m++) {
		uint8_t nonce[12];

		aead_nonce_le(nonce, m->counter);
		aead_seal(m->p, key->k, nonce, span(m->p, m->n), span(NULL, 0));
	}
}

static size_t sodium_open(struct aead_key *key, struct aead_msg *msgs, size_t n)
{
	size_t good = 0;

	for (struct aead_msg *m = msgs; m < msgs + n; m++) {
		uint8_t nonce[12];

		aead_nonce_le(nonce, m->counter);
		m->ok = aead_open(m->p, key->k, nonce, span(m->p, m->n + AEAD_TAG),
		                  span(NULL, 0)) == 0;
		good += m->ok;
	}
	return good;
}

const struct aead_backend aead_backend_sodium = {
	.name = "sodium",
	.start = sodium_start,
	.seal = sodium_seal,
	.open = sodium_open,
};
