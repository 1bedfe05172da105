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
	ROUNDS = 10, /* double ones */
};

/* Blocks of one message that lie in lanes next to each other. */
struct part {
	size_t msg;
	uint32_t block; /* the first one; 0 is the one-time key, and comes alone */
	uint32_t n;
};

/* Eight blocks to make, and whose they are. */
struct lanes {
	__m256i block, lo, hi; /* of each: its number, and its message's counter */
	struct part part[LANES];
	size_t parts, n;
};

/* A message being authenticated; none if msg is NULL. */
struct chain {
	struct poly1305_sum sum;
	const uint8_t *p;
	size_t blocks; /* whole ones, not yet seen */
	struct aead_msg *msg;
	const uint8_t *key;
};

struct batch {
	struct lanes lanes;
	struct chain chain[CHAINS];
	struct poly1305_keys poly;
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

static void took(struct chain *c, struct poly1305_sum sum, const uint8_t *p)
{
	c->sum = sum;
	c->blocks -= (size_t)(p - c->p) / 16;
	c->p = p;
}

AVX2 static void hash_one(struct chain *c, const struct poly1305_key *key)
{
	struct poly1305_sum sum = c->sum;
	const uint8_t *p = c->p;

	for (size_t i = 0; i < c->blocks; i++, p += 16)
		poly1305_block(&sum, key, p);
	took(c, sum, p);
}

AVX2 static void settle(struct batch *b, struct chain *c)
{
	uint8_t tag[AEAD_TAG], last[16] = { 0 };
	struct aead_msg *m = c->msg;
	const struct poly1305_key *poly = &b->poly.k[c - b->chain];

	hash_one(c, poly);
	if (m->n % 16) {
		memcpy(last, c->p, m->n % 16);
		poly1305_block(&c->sum, poly, last);
	}
	put_le64(last, 0);
	put_le64(last + 8, m->n);
	poly1305_block(&c->sum, poly, last);
	poly1305_tag(&c->sum, c->key, tag);
	if (b->opening)
		m->ok = ct_eq(tag, m->p + m->n, AEAD_TAG);
	else
		memcpy(m->p + m->n, tag, AEAD_TAG);
	c->msg = NULL;
}

/*
 * Ends chains that have seen their text, and gives idle ones the next message.
 * The cipher takes two blocks at a time along: a single one would wait for ever.
 */
static void refill(struct batch *b)
{
	for (struct chain *c = b->chain; c < b->chain + CHAINS; c++) {
		if (c->msg && c->blocks < 2)
			settle(b, c);
		if (c->msg || b->taken == b->ready)
			continue;
		c->key = b->keys[b->taken];
		c->msg = &b->msgs[b->taken++];
		c->p = c->msg->p;
		c->blocks = c->msg->n / 16;
		c->sum = (struct poly1305_sum){ { 0 } };
		poly1305_init(&b->poly.k[c - b->chain], c->key);
	}
}

static size_t steps_together(const struct batch *b)
{
	size_t x = b->chain[0].blocks, y = b->chain[1].blocks;

	return x < y ? x : y;
}

/* Authenticates without the cipher, until a chain has seen its text. */
AVX2 static void hash_some(struct batch *b)
{
	struct poly1305_sum x = b->chain[0].sum, y = b->chain[1].sum;
	const uint8_t *p = b->chain[0].p, *q = b->chain[1].p;

	for (size_t steps = steps_together(b); steps; steps--) {
		poly1305_two(&x, &y, &b->poly, p, q);
		p += 16;
		q += 16;
	}
	took(&b->chain[0], x, p);
	took(&b->chain[1], y, q);
	if (!b->chain[1].msg)
		hash_one(&b->chain[0], &b->poly.k[0]);
	if (!b->chain[0].msg)
		hash_one(&b->chain[1], &b->poly.k[1]);
}

static bool hashing(const struct batch *b)
{
	return b->chain[0].msg || b->chain[1].msg;
}

/* ---- ChaCha20 ------------------------------------------------------------- */

#define ADD(a, b) _mm256_add_epi32(a, b)
#define XOR(a, b) _mm256_xor_si256(a, b)

/*
 * Two quarter rounds that have nothing to do with each other. In assembly, as the
 * registers just suffice, and compilers spill: twelve rows, the third rows'
 * two sums, one to rotate with, and a mask. The third row itself lives in memory,
 * which costs nothing, as it is added from there.
 */
/* clang-format off */
#define TWICE(op, x, y, z)                              \
	op " %[" x "0], %[" y "0], %[" z "0]\n\t"       \
	op " %[" x "1], %[" y "1], %[" z "1]\n\t"
#define ROTATE(bits, i)                                 \
	"vpslld $" #bits ", %[b" #i "], %[t]\n\t"       \
	"vpsrld $32-" #bits ", %[b" #i "], %[b" #i "]\n\t" \
	"vpor %[t], %[b" #i "], %[b" #i "]\n\t"
#define QUARTERS(a, b, row, d, a_, b_, row_, d_)        \
	__asm__(TWICE("vpaddd", "b", "a", "a")          \
	        TWICE("vpxor", "a", "d", "d")           \
	        "vpshufb %[r16], %[d0], %[d0]\n\t"      \
	        "vpshufb %[r16], %[d1], %[d1]\n\t"      \
	        TWICE("vpaddd", "c", "d", "s")          \
	        TWICE("vpxor", "s", "b", "b")           \
	        ROTATE(12, 0) ROTATE(12, 1)             \
	        TWICE("vpaddd", "b", "a", "a")          \
	        TWICE("vpxor", "a", "d", "d")           \
	        "vpshufb %[r8], %[d0], %[d0]\n\t"       \
	        "vpshufb %[r8], %[d1], %[d1]\n\t"       \
	        TWICE("vpaddd", "d", "s", "s")          \
	        "vmovdqa %[s0], %[c0]\n\t"              \
	        "vmovdqa %[s1], %[c1]\n\t"              \
	        TWICE("vpxor", "s", "b", "b")           \
	        ROTATE(7, 0) ROTATE(7, 1)               \
	        : [a0] "+x"(a), [b0] "+x"(b), [d0] "+x"(d), [c0] "+m"(row), \
	          [a1] "+x"(a_), [b1] "+x"(b_), [d1] "+x"(d_), [c1] "+m"(row_), \
	          [s0] "=&x"(s0), [s1] "=&x"(s1), [t] "=&x"(t) \
	        : [r16] "x"(r16), [r8] "m"(r8))
/* clang-format on */

/* The state is a0..a3, b0..b3, c[0..3], d0..d3: named singly, or it would live in memory. */
#define COLUMNS()                                             \
	do {                                                  \
		QUARTERS(a0, b0, c[0], d0, a1, b1, c[1], d1); \
		QUARTERS(a2, b2, c[2], d2, a3, b3, c[3], d3); \
	} while (0)

#define DIAGONALS()                                           \
	do {                                                  \
		QUARTERS(a0, b1, c[2], d3, a1, b2, c[3], d0); \
		QUARTERS(a2, b3, c[0], d1, a3, b0, c[1], d2); \
	} while (0)

/* Rows of one word from eight blocks become rows of eight words from one block. */
AVX2_INLINE void transpose(__m256i ret[8], const __m256i v[8])
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
		ret[i] = _mm256_permute2x128_si256(u[i], u[4 + i], 0x20);
		ret[4 + i] = _mm256_permute2x128_si256(u[i], u[4 + i], 0x31);
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
	x[12] = b->lanes.block;
	x[13] = _mm256_setzero_si256();
	x[14] = b->lanes.lo;
	x[15] = b->lanes.hi;
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
	struct poly1305_sum one = b->chain[0].sum, two = b->chain[1].sum;
	const uint8_t *p = b->chain[0].p, *q = b->chain[1].p;
	/* Two loops rather than a condition in one, so that rows stay in registers. */
	size_t both = steps_together(b) / 2, round = 0;
	__m256i first[16];

	if (both > ROUNDS)
		both = ROUNDS;

	start_state(first, b);

	__m256i a0 = first[0], a1 = first[1], a2 = first[2], a3 = first[3];
	__m256i b0 = first[4], b1 = first[5], b2 = first[6], b3 = first[7];
	__m256i c[4] = { first[8], first[9], first[10], first[11] };
	__m256i d0 = first[12], d1 = first[13], d2 = first[14], d3 = first[15];
	__m256i s0, s1, t;

	for (; round < both; round++) {
		COLUMNS();
		poly1305_two(&one, &two, &b->poly, p, q);
		DIAGONALS();
		poly1305_two(&one, &two, &b->poly, p + 16, q + 16);
		p += 32;
		q += 32;
	}
	for (; round < ROUNDS; round++) {
		COLUMNS();
		DIAGONALS();
	}
	took(&b->chain[0], one, p);
	took(&b->chain[1], two, q);

	__m256i x[16] = { a0, a1, a2, a3, b0, b1, b2, b3, c[0], c[1], c[2], c[3], d0, d1, d2, d3 };

	start_state(first, b);
	for (int i = 0; i < 16; i++)
		x[i] = ADD(x[i], first[i]);
	transpose(b->stream, x);
	transpose(b->stream + LANES, x + 8);
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

/* The key stream of the lanes from j on to where it belongs. */
AVX2 static void put(struct batch *b, const struct part *part, size_t j)
{
	struct aead_msg *m = &b->msgs[part->msg];

	if (part->block == 0) {
		_mm256_storeu_si256((void *)b->keys[part->msg], b->stream[j]);
		b->ready += b->opening || m->n == 0;
		return;
	}

	uint32_t at = (part->block - 1) * BLOCK;

	for (size_t end = j + part->n; j < end; j++, at += BLOCK) {
		if (m->n - at < BLOCK) {
			xor_part(m->p + at, m->n - at, b->stream[j], b->stream[LANES + j]);
			at = m->n;
			break;
		}
		xor32(m->p + at, b->stream[j]);
		xor32(m->p + at + 32, b->stream[LANES + j]);
	}
	/* All of it is there: it may be authenticated. */
	b->ready += at == m->n && !b->opening;
}

/* Makes the blocks, puts them where they belong, and empties the list. */
AVX2 static void run(struct batch *b)
{
	struct lanes *l = &b->lanes;
	size_t lane = 0;

	chacha8(b);
	for (size_t i = 0; i < l->parts; i++) {
		put(b, &l->part[i], lane);
		lane += l->part[i].n;
	}
	l->parts = l->n = 0;
	refill(b);
}

/* Blocks of a message, as many as there are lanes left for; how many. */
AVX2 static uint32_t add(struct batch *b, size_t msg, uint32_t block, uint32_t n)
{
	const __m256i number = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
	struct lanes *l = &b->lanes;
	uint64_t counter = b->msgs[msg].counter;
	__m256i here = _mm256_cmpgt_epi32(number, _mm256_set1_epi32((int)l->n - 1));
	__m256i blocks = ADD(number, _mm256_set1_epi32((int)(block - (uint32_t)l->n)));

	if (n > LANES - l->n)
		n = (uint32_t)(LANES - l->n);
	/* Those past the last lane taken are made as well, and nobody looks at them. */
	l->block = _mm256_blendv_epi8(l->block, blocks, here);
	l->lo = _mm256_blendv_epi8(l->lo, _mm256_set1_epi32((int)counter), here);
	l->hi = _mm256_blendv_epi8(l->hi, _mm256_set1_epi32((int)(counter >> 32)), here);
	l->part[l->parts++] = (struct part){ msg, block, n };
	l->n += n;
	if (l->n == LANES)
		run(b);
	return n;
}

static void add_key(struct batch *b, size_t i)
{
	(void)add(b, i, 0, 1);
}

static void add_text(struct batch *b, size_t i)
{
	uint32_t blocks = (b->msgs[i].n + BLOCK - 1) / BLOCK;

	for (uint32_t done = 0; done < blocks;)
		done += add(b, i, 1 + done, blocks - done);
}

static void flush(struct batch *b)
{
	if (b->lanes.n)
		run(b);
}

/* ---- the two directions ------------------------------------------------------ */

static void start(struct batch *b, const struct aead_key *key, struct aead_msg *msgs, size_t n)
{
	memset(&b->lanes, 0, sizeof(b->lanes));
	for (int i = 0; i < CHAINS; i++) {
		b->chain[i].msg = NULL;
		b->chain[i].blocks = 0;
		b->chain[i].p = NULL;
		b->chain[i].sum = (struct poly1305_sum){ { 0 } };
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
		add_text(&b, i);
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
			add_text(&b, i);
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
