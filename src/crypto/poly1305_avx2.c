#include "crypto/poly1305_avx2.h"

#include <immintrin.h>
#include <string.h>

#include "base/wire.h"

#define AVX2 __attribute__((target("avx2,bmi2")))
#define AVX2_INLINE static inline __attribute__((always_inline, target("avx2,bmi2")))

typedef unsigned __int128 u128;

/* Numbers modulo 2^130 - 5. In vectors: five limbs of 26 bits, each a 64-bit lane. */
struct fe4 {
	__m256i v[5];
};

/* A multiplier with its limbs also times 5, for the limbs that wrap round. */
struct mul4 {
	struct fe4 r;
	__m256i x5[5];
};

enum { LIMB_MASK = (1 << 26) - 1 };

/* In scalars: limbs of 44, 44 and 42 bits. */
struct fe {
	uint64_t v[3];
};

#define MASK44 UINT64_C(0xfffffffffff)
#define MASK42 UINT64_C(0x3ffffffffff)

/* r with the bits cleared that RFC 8439 s.2.5 clears. */
static void clamped(uint64_t ret[2], const uint8_t key[32])
{
	ret[0] = le64_at(key) & UINT64_C(0x0ffffffc0fffffff);
	ret[1] = le64_at(key + 8) & UINT64_C(0x0ffffffc0ffffffc);
}

static struct fe fe_of(uint64_t lo, uint64_t hi, uint64_t top)
{
	return (struct fe){ { lo & MASK44, (lo >> 44 | hi << 20) & MASK44, hi >> 24 | top << 40 } };
}

/* h * r, carried; what wraps at 2^130 counts 5 (20 where the limbs are 4 bits short of it). */
static struct fe fe_mul(struct fe h, struct fe r)
{
	uint64_t s1 = r.v[1] * 20, s2 = r.v[2] * 20;
	u128 d0 = (u128)h.v[0] * r.v[0] + (u128)h.v[1] * s2 + (u128)h.v[2] * s1;
	u128 d1 = (u128)h.v[0] * r.v[1] + (u128)h.v[1] * r.v[0] + (u128)h.v[2] * s2;
	u128 d2 = (u128)h.v[0] * r.v[2] + (u128)h.v[1] * r.v[1] + (u128)h.v[2] * r.v[0];

	d1 += (uint64_t)(d0 >> 44);
	d2 += (uint64_t)(d1 >> 44);

	uint64_t h0 = ((uint64_t)d0 & MASK44) + (uint64_t)(d2 >> 42) * 5;

	return (struct fe){ { h0 & MASK44, ((uint64_t)d1 & MASK44) + (h0 >> 44),
		              (uint64_t)d2 & MASK42 } };
}

/* (h + block) * r */
static struct fe fe_block(struct fe h, struct fe r, const uint8_t block[16])
{
	struct fe m = fe_of(le64_at(block), le64_at(block + 8), 1);

	return fe_mul((struct fe){ { h.v[0] + m.v[0], h.v[1] + m.v[1], h.v[2] + m.v[2] } }, r);
}

/* h mod 2^130 - 5, plus s, mod 2^128. */
static void fe_tag(uint8_t tag[16], struct fe h, const uint8_t s[16])
{
	uint64_t c, g0, g1, g2;

	/* Two rounds: the first may leave a last carry out of the top limb. */
	for (int i = 0; i < 2; i++) {
		h.v[1] += h.v[0] >> 44, h.v[0] &= MASK44;
		h.v[2] += h.v[1] >> 44, h.v[1] &= MASK44;
		h.v[0] += (h.v[2] >> 42) * 5, h.v[2] &= MASK42;
	}
	h.v[1] += h.v[0] >> 44, h.v[0] &= MASK44;

	g0 = h.v[0] + 5;
	c = g0 >> 44, g0 &= MASK44;
	g1 = h.v[1] + c;
	c = g1 >> 44, g1 &= MASK44;
	g2 = h.v[2] + c - (UINT64_C(1) << 42);

	/* g is h - p; take it unless it is negative. */
	uint64_t keep = 0 - (g2 >> 63);

	h.v[0] = (h.v[0] & keep) | (g0 & ~keep);
	h.v[1] = (h.v[1] & keep) | (g1 & ~keep);
	h.v[2] = (h.v[2] & keep) | (g2 & ~keep & MASK42);

	u128 sum = (u128)(h.v[0] | h.v[1] << 44) + le64_at(s);

	put_le64(tag, (uint64_t)sum);
	put_le64(tag + 8, (h.v[1] >> 20 | h.v[2] << 24) + le64_at(s + 8) + (uint64_t)(sum >> 64));
}

/* The end of a message from byte `from` (a multiple of 16) on, and the length block. */
static void finish(uint8_t tag[16], struct fe h, struct fe r, const struct poly1305_in *in,
                   size_t from)
{
	uint8_t last[16] = { 0 };

	for (; from + 16 <= in->n; from += 16)
		h = fe_block(h, r, in->p + from);
	if (from < in->n) {
		memcpy(last, in->p + from, in->n - from);
		h = fe_block(h, r, last);
	}
	put_le64(last, 0);
	put_le64(last + 8, in->n);
	h = fe_block(h, r, last);
	fe_tag(tag, h, in->key + 16);
}

static struct fe scalar_r(const uint8_t key[32])
{
	uint64_t r[2];

	clamped(r, key);
	return fe_of(r[0], r[1], 0);
}

AVX2_INLINE struct fe4 split(__m256i lo, __m256i hi, __m256i top)
{
	const __m256i mask = _mm256_set1_epi64x(LIMB_MASK);
	struct fe4 f;

	f.v[0] = _mm256_and_si256(lo, mask);
	f.v[1] = _mm256_and_si256(_mm256_srli_epi64(lo, 26), mask);
	f.v[2] = _mm256_and_si256(
		_mm256_or_si256(_mm256_srli_epi64(lo, 52), _mm256_slli_epi64(hi, 12)), mask);
	f.v[3] = _mm256_and_si256(_mm256_srli_epi64(hi, 14), mask);
	f.v[4] = _mm256_or_si256(_mm256_srli_epi64(hi, 40), top);
	return f;
}

AVX2_INLINE __m256i two(const uint8_t *low, const uint8_t *high)
{
	const __m128i *l = (const void *)low, *h = (const void *)high;

	return _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_loadu_si128(l)),
	                               _mm_loadu_si128(h), 1);
}

/* The blocks at byte `at` of the four messages. */
AVX2_INLINE struct fe4 load(const uint8_t *const p[4], size_t at)
{
	__m256i even = two(p[0] + at, p[2] + at), odd = two(p[1] + at, p[3] + at);

	return split(_mm256_unpacklo_epi64(even, odd), _mm256_unpackhi_epi64(even, odd),
	             _mm256_set1_epi64x(1 << 24));
}

#define MUL(a, b) _mm256_mul_epu32(a, b)
#define ADD(a, b) _mm256_add_epi64(a, b)

/* d += a * m, not carried. Limbs of a are below 2^28. */
AVX2_INLINE void mul_add(struct fe4 *d, const struct fe4 *a, const struct mul4 *m)
{
	for (int i = 0; i < 5; i++)
		for (int j = 0; j < 5; j++)
			d->v[i] = ADD(d->v[i],
			              MUL(a->v[j], j <= i ? m->r.v[i - j] : m->x5[5 + i - j]));
}

AVX2_INLINE void carry(struct fe4 *h, int from, int to)
{
	__m256i c = _mm256_srli_epi64(h->v[from], 26);

	h->v[from] = _mm256_and_si256(h->v[from], _mm256_set1_epi64x(LIMB_MASK));
	if (to == 0)
		c = ADD(c, _mm256_slli_epi64(c, 2));
	h->v[to] = ADD(h->v[to], c);
}

/* Limbs back below 2^26 and a little. Two chains, so that they run side by side. */
AVX2_INLINE void reduce(struct fe4 *h)
{
	carry(h, 0, 1);
	carry(h, 3, 4);
	carry(h, 1, 2);
	carry(h, 4, 0);
	carry(h, 2, 3);
	carry(h, 0, 1);
	carry(h, 3, 4);
}

AVX2_INLINE struct mul4 multiplier(const struct fe4 *r)
{
	struct mul4 m = { .r = *r };

	for (int i = 0; i < 5; i++)
		m.x5[i] = ADD(r->v[i], _mm256_slli_epi64(r->v[i], 2));
	return m;
}

/* h over `blocks` blocks of each message, two at a step: (h + a) * r^2 + b * r. */
AVX2 static void absorb(struct fe4 *h, const struct mul4 *r1, const struct mul4 *r2,
                        const uint8_t *const p[4], size_t blocks)
{
	struct fe4 acc = *h;
	size_t at = 0;

	for (; blocks >= 2; blocks -= 2, at += 32) {
		struct fe4 a = load(p, at), b = load(p, at + 16), d = { 0 };

		for (int i = 0; i < 5; i++)
			a.v[i] = ADD(a.v[i], acc.v[i]);
		mul_add(&d, &b, r1);
		mul_add(&d, &a, r2);
		reduce(&d);
		acc = d;
	}
	if (blocks) {
		struct fe4 a = load(p, at), d = { 0 };

		for (int i = 0; i < 5; i++)
			a.v[i] = ADD(a.v[i], acc.v[i]);
		mul_add(&d, &a, r1);
		reduce(&d);
		acc = d;
	}
	*h = acc;
}

AVX2 static struct mul4 load_r(const struct poly1305_in *const in[4])
{
	uint64_t r[4][2];

	for (int i = 0; i < 4; i++)
		clamped(r[i], in[i]->key);

	struct fe4 f = split(_mm256_set_epi64x((int64_t)r[3][0], (int64_t)r[2][0], (int64_t)r[1][0],
	                                       (int64_t)r[0][0]),
	                     _mm256_set_epi64x((int64_t)r[3][1], (int64_t)r[2][1], (int64_t)r[1][1],
	                                       (int64_t)r[0][1]),
	                     _mm256_setzero_si256());

	return multiplier(&f);
}

/* One lane, as a scalar. Its limbs may be a little over 26 bits. */
static struct fe lane_of(const uint64_t limbs[5][4], size_t lane)
{
	uint64_t l[5];

	for (int i = 0; i < 5; i++)
		l[i] = limbs[i][lane];
	for (int i = 0; i < 4; i++) {
		l[i + 1] += l[i] >> 26;
		l[i] &= LIMB_MASK;
	}
	l[0] += (l[4] >> 26) * 5;
	l[4] &= LIMB_MASK;
	l[1] += l[0] >> 26;
	l[0] &= LIMB_MASK;

	u128 low = (u128)l[0] + ((u128)l[1] << 26) + ((u128)l[2] << 52) + ((u128)l[3] << 78);
	u128 high = (low >> 64) + ((u128)l[4] << 40);

	return fe_of((uint64_t)low, (uint64_t)high, (uint64_t)(high >> 64));
}

AVX2 static void four(uint8_t (*tags)[16], const struct poly1305_in *const in[4], size_t n)
{
	const uint8_t *p[4] = { in[0]->p, in[1]->p, in[2]->p, in[3]->p };
	struct mul4 r1 = load_r(in), r2;
	struct fe4 h = { 0 }, square = { 0 };
	size_t common = in[0]->n;
	uint64_t limbs[5][4];

	for (size_t i = 1; i < n; i++)
		if (in[i]->n < common)
			common = in[i]->n;
	mul_add(&square, &r1.r, &r1);
	reduce(&square);
	r2 = multiplier(&square);

	absorb(&h, &r1, &r2, p, common / 16);
	for (int i = 0; i < 5; i++)
		_mm256_storeu_si256((void *)limbs[i], h.v[i]);
	for (size_t i = 0; i < n; i++)
		finish(tags[i], lane_of(limbs, i), scalar_r(in[i]->key), in[i], common / 16 * 16);
}

void poly1305_avx2_tags(uint8_t (*tags)[16], const struct poly1305_in *in, size_t n)
{
	if (n == 1) {
		finish(tags[0], (struct fe){ { 0 } }, scalar_r(in->key), in, 0);
		return;
	}

	/* Lanes without a message repeat the first. */
	const struct poly1305_in *lanes[4];

	for (size_t i = 0; i < 4; i++)
		lanes[i] = &in[i < n ? i : 0];
	four(tags, lanes, n);
}
