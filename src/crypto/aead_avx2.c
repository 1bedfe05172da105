/*
 * ChaCha20-Poly1305 over many messages with AVX2.
 *
 * ChaCha20 runs eight blocks at a time, one in each 32-bit lane, and does not
 * care which message a block belongs to: states differ in the words of block
 * number and nonce alone. So the blocks of all messages are laid end to end,
 * and no vector is half empty but the last.
 *
 * Poly1305 runs in the general registers meanwhile, which ChaCha20 leaves idle,
 * over two other messages at once, as one alone would be waiting for its own
 * multiplications. Sealing, it follows one or two messages behind the cipher;
 * opening, it goes ahead, and nothing is decrypted that has not authenticated.
 */
#include <immintrin.h>
#include <string.h>

#include "base/enc.h"
#include "base/wire.h"
#include "crypto/aead_backend.h"
#include "crypto/poly1305_x86.h"

#define AVX2 __attribute__((target("avx2,bmi2")))
#define AVX2_INLINE static inline __attribute__((always_inline, target("avx2,bmi2")))

enum {
	LANES = 8,
	BLOCK = 64,
	ONE_TIME_KEY = 32, /* of Poly1305: the start of block 0 */
	CHAINS = 2,
};

/* Eight blocks to make: whose counter, which block, and where they go. */
struct lanes {
	uint32_t block[LANES], lo[LANES], hi[LANES];
	uint8_t *dst[LANES];
	uint32_t len[LANES]; /* 1..BLOCK bytes to XOR; 0: copy the one-time key */
	bool last[LANES];    /* with it the message may be authenticated */
	size_t n;
};

/* A message being authenticated; none if msg is NULL. */
struct chain {
	struct poly1305 poly;
	const uint8_t *p;
	size_t blocks; /* whole ones, not yet seen */
	struct aead_msg *msg;
	const uint8_t *key;
};

struct batch {
	struct lanes lanes;
	struct chain chain[CHAINS];
	uint32_t k[8];
	struct aead_msg *msgs;
	size_t n;
	size_t ready; /* messages whose text may be authenticated */
	size_t taken; /* of those, given to a chain */
	bool opening;
	__m256i stream[2 * LANES];
	uint8_t keys[AEAD_BATCH_MAX][ONE_TIME_KEY];
};

/* ---- Poly1305 ------------------------------------------------------------- */

AVX2 static void settle(struct batch *b, struct chain *c)
{
	uint8_t tag[AEAD_TAG], last[16] = { 0 };
	struct aead_msg *m = c->msg;

	if (m->n % 16) {
		memcpy(last, c->p, m->n % 16);
		poly1305_block(&c->poly, last);
	}
	put_le64(last, 0);
	put_le64(last + 8, m->n);
	poly1305_block(&c->poly, last);
	poly1305_tag(&c->poly, c->key, tag);
	if (b->opening)
		m->ok = ct_eq(tag, m->p + m->n, AEAD_TAG);
	else
		memcpy(m->p + m->n, tag, AEAD_TAG);
	c->msg = NULL;
}

/* Ends chains that have seen their text, and gives idle ones the next message. */
static void refill(struct batch *b)
{
	for (struct chain *c = b->chain; c < b->chain + CHAINS; c++) {
		if (c->msg && c->blocks == 0)
			settle(b, c);
		if (c->msg || b->taken == b->ready)
			continue;
		c->key = b->keys[b->taken];
		c->msg = &b->msgs[b->taken++];
		c->p = c->msg->p;
		c->blocks = c->msg->n / 16;
		poly1305_init(&c->poly, c->key);
	}
}

static size_t steps_together(const struct batch *b)
{
	size_t x = b->chain[0].blocks, y = b->chain[1].blocks;

	return x < y ? x : y;
}

AVX2_INLINE void step_both(struct chain *x, struct chain *y)
{
	x->blocks--;
	y->blocks--;
	poly1305_block(&x->poly, x->p);
	poly1305_block(&y->poly, y->p);
	x->p += 16;
	y->p += 16;
}

/* Authenticates without the cipher, until a chain has seen its text. */
AVX2 static void hash_some(struct batch *b)
{
	struct chain x = b->chain[0], y = b->chain[1];
	size_t steps = steps_together(b);

	for (; steps; steps--)
		step_both(&x, &y);
	if (!y.msg)
		for (; x.blocks; x.blocks--, x.p += 16)
			poly1305_block(&x.poly, x.p);
	if (!x.msg)
		for (; y.blocks; y.blocks--, y.p += 16)
			poly1305_block(&y.poly, y.p);
	b->chain[0] = x;
	b->chain[1] = y;
}

static bool hashing(const struct batch *b)
{
	return b->chain[0].msg || b->chain[1].msg;
}

/* ---- ChaCha20 ------------------------------------------------------------- */

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

AVX2_INLINE void start_state(__m256i x[16], const struct batch *b)
{
	x[0] = _mm256_set1_epi32(0x61707865);
	x[1] = _mm256_set1_epi32(0x3320646e);
	x[2] = _mm256_set1_epi32(0x79622d32);
	x[3] = _mm256_set1_epi32(0x6b206574);
	for (int i = 0; i < 8; i++)
		x[4 + i] = _mm256_set1_epi32((int)b->k[i]);
	x[12] = _mm256_loadu_si256((const void *)b->lanes.block);
	x[13] = _mm256_setzero_si256();
	x[14] = _mm256_loadu_si256((const void *)b->lanes.lo);
	x[15] = _mm256_loadu_si256((const void *)b->lanes.hi);
}

/*
 * The key stream of eight blocks: block j is stream[j] (words 0..7) and
 * stream[8 + j] (words 8..15). Both chains are taken along.
 */
AVX2 static void chacha8(struct batch *b)
{
	const __m256i r16 = _mm256_setr_epi8(2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13,
	                                     2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13);
	const __m256i r8 = _mm256_setr_epi8(3, 0, 1, 2, 7, 4, 5, 6, 11, 8, 9, 10, 15, 12, 13, 14, 3,
	                                    0, 1, 2, 7, 4, 5, 6, 11, 8, 9, 10, 15, 12, 13, 14);
	struct chain one = b->chain[0], two = b->chain[1];
	size_t steps = steps_together(b);
	__m256i x[16], first[16];

	start_state(x, b);
	for (int round = 0; round < 10; round++) {
		QUARTER(x[0], x[4], x[8], x[12]);
		QUARTER(x[1], x[5], x[9], x[13]);
		QUARTER(x[2], x[6], x[10], x[14]);
		QUARTER(x[3], x[7], x[11], x[15]);
		if (steps) {
			step_both(&one, &two);
			steps--;
		}
		QUARTER(x[0], x[5], x[10], x[15]);
		QUARTER(x[1], x[6], x[11], x[12]);
		QUARTER(x[2], x[7], x[8], x[13]);
		QUARTER(x[3], x[4], x[9], x[14]);
		if (steps) {
			step_both(&one, &two);
			steps--;
		}
	}
	b->chain[0] = one;
	b->chain[1] = two;
	start_state(first, b);
	for (int i = 0; i < 16; i++)
		x[i] = ADD(x[i], first[i]);
	transpose(x);
	transpose(x + 8);
	for (int i = 0; i < 16; i++)
		b->stream[i] = x[i];
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

/* Makes the blocks, puts them where they belong, and empties the list. */
AVX2 static void run(struct batch *b)
{
	struct lanes *l = &b->lanes;

	chacha8(b);
	for (size_t j = 0; j < l->n; j++) {
		if (l->len[j] == BLOCK) {
			xor32(l->dst[j], b->stream[j]);
			xor32(l->dst[j] + 32, b->stream[LANES + j]);
		} else if (l->len[j]) {
			xor_part(l->dst[j], l->len[j], b->stream[j], b->stream[LANES + j]);
		} else {
			_mm256_storeu_si256((void *)l->dst[j], b->stream[j]);
		}
		b->ready += l->last[j];
	}
	l->n = 0;
	refill(b);
}

static void add(struct batch *b, uint64_t counter, uint32_t block, uint8_t *dst, uint32_t len,
                bool last)
{
	struct lanes *l = &b->lanes;
	size_t j = l->n++;

	l->block[j] = block;
	l->lo[j] = (uint32_t)counter;
	l->hi[j] = (uint32_t)(counter >> 32);
	l->dst[j] = dst;
	l->len[j] = len;
	l->last[j] = last;
	if (l->n == LANES)
		run(b);
}

static void add_key(struct batch *b, size_t i)
{
	add(b, b->msgs[i].counter, 0, b->keys[i], 0, b->opening || b->msgs[i].n == 0);
}

static void add_text(struct batch *b, const struct aead_msg *m)
{
	uint32_t block = 1;

	for (uint32_t at = 0; at < m->n; at += BLOCK) {
		bool last = m->n - at <= BLOCK;

		add(b, m->counter, block++, m->p + at, last ? m->n - at : BLOCK,
		    last && !b->opening);
	}
}

static void flush(struct batch *b)
{
	if (b->lanes.n)
		run(b);
}

/* ---- the two directions ------------------------------------------------------ */

static void start(struct batch *b, const struct aead_key *key, struct aead_msg *msgs, size_t n)
{
	b->lanes.n = 0;
	for (int i = 0; i < CHAINS; i++) {
		b->chain[i].msg = NULL;
		b->chain[i].blocks = 0;
	}
	for (int i = 0; i < 8; i++)
		b->k[i] = le32_at(key->k + 4 * i);
	b->msgs = msgs;
	b->n = n;
	b->ready = b->taken = 0;
}

static void finish(struct batch *b)
{
	explicit_bzero(b, offsetof(struct batch, keys) + b->n * ONE_TIME_KEY);
}

static void avx2_seal(struct aead_key *key, struct aead_msg *msgs, size_t n)
{
	struct batch b;

	start(&b, key, msgs, n);
	b.opening = false;
	for (size_t i = 0; i < n; i++) {
		add_key(&b, i);
		add_text(&b, &msgs[i]);
	}
	flush(&b);
	for (refill(&b); hashing(&b); refill(&b))
		hash_some(&b);
	finish(&b);
}

/* Is message i through its chain? Chains take messages in order. */
static bool verified(const struct batch *b, size_t i)
{
	const struct aead_msg *m = &b->msgs[i];

	return i < b->taken && b->chain[0].msg != m && b->chain[1].msg != m;
}

static size_t avx2_open(struct aead_key *key, struct aead_msg *msgs, size_t n)
{
	struct batch b;
	size_t good = 0;

	start(&b, key, msgs, n);
	b.opening = true;
	for (size_t i = 0; i < n; i++)
		add_key(&b, i);
	flush(&b);
	for (size_t i = 0; i < n; i++) {
		for (refill(&b); !verified(&b, i); refill(&b))
			hash_some(&b);
		if (msgs[i].ok)
			add_text(&b, &msgs[i]);
		else
			explicit_bzero(msgs[i].p, msgs[i].n);
		good += msgs[i].ok;
	}
	flush(&b);
	finish(&b);
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
