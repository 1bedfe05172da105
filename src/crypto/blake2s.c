#include "crypto/blake2s.h"

#include <assert.h>
#include <string.h>

#include "base/wire.h"

static const uint32_t iv[8] = {
	0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
	0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
};

static const uint8_t sigma[10][16] = {
	{ 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 },
	{ 14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3 },
	{ 11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4 },
	{ 7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8 },
	{ 9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13 },
	{ 2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9 },
	{ 12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11 },
	{ 13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10 },
	{ 6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5 },
	{ 10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0 },
};

static uint32_t rotr(uint32_t x, int k)
{
	return x >> k | x << (32 - k);
}

#define G(a, b, c, d, x, y)                   \
	do {                                  \
		v[a] += v[b] + (x);           \
		v[d] = rotr(v[d] ^ v[a], 16); \
		v[c] += v[d];                 \
		v[b] = rotr(v[b] ^ v[c], 12); \
		v[a] += v[b] + (y);           \
		v[d] = rotr(v[d] ^ v[a], 8);  \
		v[c] += v[d];                 \
		v[b] = rotr(v[b] ^ v[c], 7);  \
	} while (0)

static void compress(struct blake2s *s, const uint8_t *block, size_t bytes, bool last)
{
	uint32_t v[16], m[16];

	s->count += bytes;
	for (size_t i = 0; i < 16; i++)
		m[i] = le32_at(block + 4 * i);
	for (size_t i = 0; i < 8; i++) {
		v[i] = s->h[i];
		v[i + 8] = iv[i];
	}
	v[12] ^= (uint32_t)s->count;
	v[13] ^= (uint32_t)(s->count >> 32);
	if (last)
		v[14] = ~v[14];
	for (size_t r = 0; r < 10; r++) {
		const uint8_t *o = sigma[r];

		G(0, 4, 8, 12, m[o[0]], m[o[1]]);
		G(1, 5, 9, 13, m[o[2]], m[o[3]]);
		G(2, 6, 10, 14, m[o[4]], m[o[5]]);
		G(3, 7, 11, 15, m[o[6]], m[o[7]]);
		G(0, 5, 10, 15, m[o[8]], m[o[9]]);
		G(1, 6, 11, 12, m[o[10]], m[o[11]]);
		G(2, 7, 8, 13, m[o[12]], m[o[13]]);
		G(3, 4, 9, 14, m[o[14]], m[o[15]]);
	}
	for (size_t i = 0; i < 8; i++)
		s->h[i] ^= v[i] ^ v[i + 8];
}

void blake2s_init(struct blake2s *s, size_t out, const void *key, size_t key_len)
{
	assert(out >= 1 && out <= BLAKE2S_MAX && key_len <= 32);
	*s = (struct blake2s){ .out = out };
	memcpy(s->h, iv, sizeof(iv));
	s->h[0] ^= 0x01010000 ^ (uint32_t)(key_len << 8) ^ (uint32_t)out;
	if (key_len) {
		memcpy(s->block, key, key_len);
		s->used = BLAKE2S_BLOCK;
	}
}

void blake2s_update(struct blake2s *s, const void *p, size_t n)
{
	const uint8_t *b = p;

	while (n) {
		/* The last block is compressed in final, so a full one waits for more. */
		if (s->used == BLAKE2S_BLOCK) {
			compress(s, s->block, BLAKE2S_BLOCK, false);
			s->used = 0;
		}

		size_t k = BLAKE2S_BLOCK - s->used;

		if (k > n)
			k = n;
		memcpy(s->block + s->used, b, k);
		s->used += k;
		b += k;
		n -= k;
	}
}

void blake2s_final(struct blake2s *s, void *ret)
{
	uint8_t all[BLAKE2S_MAX];

	memset(s->block + s->used, 0, BLAKE2S_BLOCK - s->used);
	compress(s, s->block, s->used, true);
	for (size_t i = 0; i < 8; i++)
		put_le32(all + 4 * i, s->h[i]);
	memcpy(ret, all, s->out);
	explicit_bzero(all, sizeof(all));
	explicit_bzero(s, sizeof(*s));
}

void blake2s(void *ret, size_t out, const void *key, size_t key_len, struct span msg)
{
	struct blake2s s;

	blake2s_init(&s, out, key, key_len);
	blake2s_update(&s, msg.p, msg.n);
	blake2s_final(&s, ret);
}

void blake2s_hash2(uint8_t ret[static 32], struct span a, struct span b)
{
	struct blake2s s;

	blake2s_init(&s, 32, NULL, 0);
	blake2s_update(&s, a.p, a.n);
	blake2s_update(&s, b.p, b.n);
	blake2s_final(&s, ret);
}

void blake2s_hmac(uint8_t ret[static 32], const void *key, size_t key_len, struct span a,
                  struct span b)
{
	uint8_t pad[BLAKE2S_BLOCK] = { 0 };
	uint8_t inner[32];
	struct blake2s s;

	if (key_len > BLAKE2S_BLOCK)
		blake2s(pad, 32, NULL, 0, span(key, key_len));
	else
		memcpy(pad, key, key_len);
	for (size_t i = 0; i < sizeof(pad); i++)
		pad[i] ^= 0x36;
	blake2s_init(&s, 32, NULL, 0);
	blake2s_update(&s, pad, sizeof(pad));
	blake2s_update(&s, a.p, a.n);
	blake2s_update(&s, b.p, b.n);
	blake2s_final(&s, inner);
	for (size_t i = 0; i < sizeof(pad); i++)
		pad[i] ^= 0x36 ^ 0x5c;
	blake2s_hash2(ret, SPAN_OF(pad), SPAN_OF(inner));
	explicit_bzero(pad, sizeof(pad));
	explicit_bzero(inner, sizeof(inner));
}

void blake2s_hkdf(const uint8_t ck[static 32], struct span input, uint8_t *ret1, uint8_t *ret2,
                  uint8_t *ret3)
{
	uint8_t *outs[3] = { ret1, ret2, ret3 };
	uint8_t prk[32], t[32];
	struct span last = { NULL, 0 };

	blake2s_hmac(prk, ck, 32, input, (struct span){ NULL, 0 });
	for (uint8_t i = 0; i < 3 && outs[i]; i++) {
		uint8_t count = (uint8_t)(i + 1);

		blake2s_hmac(t, prk, 32, last, span(&count, 1));
		memcpy(outs[i], t, 32);
		last = SPAN_OF(t);
	}
	explicit_bzero(prk, sizeof(prk));
	explicit_bzero(t, sizeof(t));
}
