/*
 * ChaCha20-Poly1305 over many messages with AVX2.
 *
 * ChaCha20 runs eight blocks at a time, one in each 32-bit lane, and does not
 * care which message a block belongs to: states differ in the words of block
 * number and nonce alone. So the blocks of several messages are laid end to end
 * and no vector is half empty but the last. Messages are taken in groups that
 * stay in the first-level cache between the cipher and the authenticator.
 */
#include <immintrin.h>
#include <string.h>

#include "base/enc.h"
#include "base/wire.h"
#include "crypto/aead_backend.h"
#include "crypto/poly1305_avx2.h"

#define AVX2 __attribute__((target("avx2,bmi2")))
#define AVX2_INLINE static inline __attribute__((always_inline, target("avx2,bmi2")))

enum {
	LANES = 8,
	BLOCK = 64,
	GROUP = 8,    /* messages between two visits of Poly1305 */
	KEYBLOCK = 32 /* of block 0, the one-time Poly1305 key */
};

/* Eight blocks to make: whose counter, which block, and where its key stream goes. */
struct lanes {
	uint32_t block[LANES], lo[LANES], hi[LANES];
	uint8_t *dst[LANES];
	size_t len[LANES];   /* bytes to XOR at dst, at most BLOCK */
	uint8_t *key[LANES]; /* not NULL: block 0, its start is copied here instead */
	size_t n;
};

#define ADD(a, b) _mm256_add_epi32(a, b)
#define XOR(a, b) _mm256_xor_si256(a, b)
#define ROTATE(x, k) _mm256_or_si256(_mm256_slli_epi32(x, k), _mm256_srli_epi32(x, 32 - (k)))

#define QUARTER(a, b, c, d)                              \
	do {                                             \
		a = ADD(a, b);                           \
		d = _mm256_shuffle_epi8(XOR(d, a), r16); \
		c = ADD(c, d);                           \
		b = XOR(b, c);                           \
		b = ROTATE(b, 12);                       \
		a = ADD(a, b);                           \
		d = _mm256_shuffle_epi8(XOR(d, a), r8);  \
		c = ADD(c, d);                           \
		b = XOR(b, c);                           \
		b = ROTATE(b, 7);                        \
	} while (0)

/* Rows of one word from eight blocks become rows of eight words from one block. */
AVX2_INLINE void transpose(__m256i v[8])
{
	__m256i t[8], u[8];

	for (int i = 0; i < 4; i++) {
		t[2 * i] = _mm256_unpacklo_epi32(v[2 * i], v[2 * i + 1]);
		t[2 * i + 1] = _mm256_unpackhi_epi32(v[2 * i], v[2 * i + 1]);
	}
	for (int i = 0; i < 2; i++) {
		u[4 * i] = _mm256_unpacklo_epi64(t[4 * i], t[4 * i + 2]);
		u[4 * i + 1] = _mm256_unpackhi_epi64(t[4 * i], t[4 * i + 2]);
		u[4 * i + 2] = _mm256_unpacklo_epi64(t[4 * i + 1], t[4 * i + 3]);
		u[4 * i + 3] = _mm256_unpackhi_epi64(t[4 * i + 1], t[4 * i + 3]);
	}
	for (int i = 0; i < 4; i++) {
		v[i] = _mm256_permute2x128_si256(u[i], u[4 + i], 0x20);
		v[4 + i] = _mm256_permute2x128_si256(u[i], u[4 + i], 0x31);
	}
}

AVX2_INLINE void start_state(__m256i x[16], const uint32_t k[8], const struct lanes *l)
{
	x[0] = _mm256_set1_epi32(0x61707865);
	x[1] = _mm256_set1_epi32(0x3320646e);
	x[2] = _mm256_set1_epi32(0x79622d32);
	x[3] = _mm256_set1_epi32(0x6b206574);
	for (int i = 0; i < 8; i++)
		x[4 + i] = _mm256_set1_epi32((int)k[i]);
	x[12] = _mm256_loadu_si256((const void *)l->block);
	x[13] = _mm256_setzero_si256();
	x[14] = _mm256_loadu_si256((const void *)l->lo);
	x[15] = _mm256_loadu_si256((const void *)l->hi);
}

/* The key stream of eight blocks; block j is out[j] (words 0..7) and out[8 + j] (words 8..15). */
AVX2 static void chacha8(__m256i out[16], const uint32_t k[8], const struct lanes *l)
{
	const __m256i r16 = _mm256_setr_epi8(2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13,
	                                     2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13);
	const __m256i r8 = _mm256_setr_epi8(3, 0, 1, 2, 7, 4, 5, 6, 11, 8, 9, 10, 15, 12, 13, 14, 3,
	                                    0, 1, 2, 7, 4, 5, 6, 11, 8, 9, 10, 15, 12, 13, 14);
	__m256i x[16], first[16];

	start_state(x, k, l);
	for (int round = 0; round < 10; round++) {
		QUARTER(x[0], x[4], x[8], x[12]);
		QUARTER(x[1], x[5], x[9], x[13]);
		QUARTER(x[2], x[6], x[10], x[14]);
		QUARTER(x[3], x[7], x[11], x[15]);
		QUARTER(x[0], x[5], x[10], x[15]);
		QUARTER(x[1], x[6], x[11], x[12]);
		QUARTER(x[2], x[7], x[8], x[13]);
		QUARTER(x[3], x[4], x[9], x[14]);
	}
	start_state(first, k, l);
	for (int i = 0; i < 16; i++)
		x[i] = ADD(x[i], first[i]);
	transpose(x);
	transpose(x + 8);
	memcpy(out, x, sizeof(x));
}

AVX2_INLINE void xor32(uint8_t *dst, __m256i stream)
{
	_mm256_storeu_si256((void *)dst, XOR(_mm256_loadu_si256((const void *)dst), stream));
}

AVX2 static void xor_part(uint8_t *dst, size_t n, __m256i low, __m256i high)
{
	uint8_t text[BLOCK];

	memcpy(text, dst, n);
	xor32(text, low);
	xor32(text + 32, high);
	memcpy(dst, text, n);
}

/* Makes the blocks, XORs them where they belong, and empties the list. */
AVX2 static void run(struct lanes *l, const uint32_t k[8])
{
	__m256i s[16];

	chacha8(s, k, l);
	for (size_t j = 0; j < l->n; j++) {
		if (l->key[j]) {
			_mm256_storeu_si256((void *)l->key[j], s[j]);
		} else if (l->len[j] == BLOCK) {
			xor32(l->dst[j], s[j]);
			xor32(l->dst[j] + 32, s[8 + j]);
		} else {
			xor_part(l->dst[j], l->len[j], s[j], s[8 + j]);
		}
	}
	l->n = 0;
}

static void add(struct lanes *l, const uint32_t k[8], uint64_t counter, uint32_t block,
                uint8_t *dst, size_t len)
{
	size_t j = l->n++;

	l->block[j] = block;
	l->lo[j] = (uint32_t)counter;
	l->hi[j] = (uint32_t)(counter >> 32);
	l->dst[j] = dst;
	l->len[j] = len;
	l->key[j] = NULL;
	if (l->n == LANES)
		run(l, k);
}

static void add_key(struct lanes *l, const uint32_t k[8], uint64_t counter, uint8_t *key)
{
	size_t j = l->n++;

	l->block[j] = 0;
	l->lo[j] = (uint32_t)counter;
	l->hi[j] = (uint32_t)(counter >> 32);
	l->key[j] = key;
	if (l->n == LANES)
		run(l, k);
}

static void add_text(struct lanes *l, const uint32_t k[8], const struct aead_msg *m)
{
	uint32_t block = 1;

	for (size_t at = 0; at < m->n; at += BLOCK)
		add(l, k, m->counter, block++, m->p + at, m->n - at < BLOCK ? m->n - at : BLOCK);
}

static void flush(struct lanes *l, const uint32_t k[8])
{
	if (l->n)
		run(l, k);
}

static void key_words(uint32_t ret[8], const struct aead_key *key)
{
	for (int i = 0; i < 8; i++)
		ret[i] = le32_at(key->k + 4 * i);
}

static void tags_of(uint8_t (*tags)[AEAD_TAG], const struct aead_msg *msgs,
                    uint8_t (*keys)[KEYBLOCK], size_t n)
{
	struct poly1305_in in[GROUP];

	for (size_t i = 0; i < n; i++)
		in[i] = (struct poly1305_in){ msgs[i].p, msgs[i].n, keys[i] };
	for (size_t i = 0; i < n; i += 4)
		poly1305_avx2_tags(tags + i, in + i, n - i < 4 ? n - i : 4);
}

/* What must not stay on the stack. */
struct scratch {
	struct lanes lanes;
	uint32_t k[8];
	uint8_t keys[GROUP][KEYBLOCK];
	uint8_t tags[GROUP][AEAD_TAG];
};

static void avx2_seal(struct aead_key *key, struct aead_msg *msgs, size_t n)
{
	struct scratch s;

	s.lanes.n = 0;
	key_words(s.k, key);
	for (; n;) {
		size_t some = n < GROUP ? n : GROUP;

		for (size_t i = 0; i < some; i++) {
			add_key(&s.lanes, s.k, msgs[i].counter, s.keys[i]);
			add_text(&s.lanes, s.k, &msgs[i]);
		}
		flush(&s.lanes, s.k);
		tags_of(s.tags, msgs, s.keys, some);
		for (size_t i = 0; i < some; i++)
			memcpy(msgs[i].p + msgs[i].n, s.tags[i], AEAD_TAG);
		msgs += some;
		n -= some;
	}
	explicit_bzero(&s, sizeof(s));
}

static size_t open_group(struct scratch *s, struct aead_msg *msgs, size_t n)
{
	size_t good = 0;

	for (size_t i = 0; i < n; i++)
		add_key(&s->lanes, s->k, msgs[i].counter, s->keys[i]);
	flush(&s->lanes, s->k);
	tags_of(s->tags, msgs, s->keys, n);
	for (size_t i = 0; i < n; i++) {
		msgs[i].ok = ct_eq(s->tags[i], msgs[i].p + msgs[i].n, AEAD_TAG);
		if (msgs[i].ok)
			add_text(&s->lanes, s->k, &msgs[i]);
		else
			explicit_bzero(msgs[i].p, msgs[i].n);
		good += msgs[i].ok;
	}
	flush(&s->lanes, s->k);
	return good;
}

static size_t avx2_open(struct aead_key *key, struct aead_msg *msgs, size_t n)
{
	struct scratch s;
	size_t good = 0;

	s.lanes.n = 0;
	key_words(s.k, key);
	for (; n;) {
		size_t some = n < GROUP ? n : GROUP;

		good += open_group(&s, msgs, some);
		msgs += some;
		n -= some;
	}
	explicit_bzero(&s, sizeof(s));
	return good;
}

static bool avx2_start(void)
{
	return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2");
}

const struct aead_backend aead_backend_avx2 = {
	.name = "avx2",
	.start = avx2_start,
	.seal = avx2_seal,
	.open = avx2_open,
};
