#include "crypto/box.h"

#include <sodium.h>

#include "base/err.h"

int box_shared_init(struct box_shared *s, const uint8_t priv[static 32],
                    const uint8_t pub[static 32])
{
	if (crypto_box_beforenm(s->k, pub, priv) != 0) {
		box_shared_wipe(s);
		return ERR_MALFORMED;
	}
	return 0;
}

void box_seal(uint8_t *dst, const struct box_shared *s, struct rand_src *rand, struct span plain)
{
	rand_fill(rand, dst, BOX_NONCE);
	(void)crypto_box_easy_afternm(dst + BOX_NONCE, plain.p, plain.n, dst, s->k);
}

int box_open(uint8_t *dst, const struct box_shared *s, struct span sealed)
{
	if (sealed.n < BOX_OVERHEAD)
		return ERR_SHORT;
	if (crypto_box_open_easy_afternm(dst, sealed.p + BOX_NONCE, sealed.n - BOX_NONCE, sealed.p,
	                                 s->k) != 0)
		return ERR_AUTH;
	return 0;
}
