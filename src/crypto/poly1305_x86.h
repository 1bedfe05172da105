#pragma once
/*
 * Poly1305 in general registers, of x86-64: small enough to be inlined
 * into a vector loop of something else, whose units it leaves alone. In the form
 * the AEAD of RFC 8439 wants, every block is a whole one. Private to crypto/.
 * No time depends on keys or text.
 */
#include <stdint.h>

#include "base/wire.h"

/* Sixteen bytes, so that the compiler knows what is read. */
struct poly1305_text {
	uint8_t b[16];
};

/* A number is v[0] + v[1] 2^64 + v[2] 2^128, v[2] small. */
struct poly1305_sum {
	uint64_t v[3];
};

struct poly1305_key {
	uint64_t r[2];
	uint64_t s1; /* r[1] * 5 / 4: r[1] is a multiple of 4 */
};

struct poly1305_keys {
	struct poly1305_key k[2];
};

static inline void poly1305_init(struct poly1305_key *k, const uint8_t key[static 32])
{
	k->r[0] = le64_at(key) & UINT64_C(0x0ffffffc0fffffff);
	k->r[1] = le64_at(key + 8) & UINT64_C(0x0ffffffc0ffffffc);
	k->s1 = k->r[1] + (k->r[1] >> 2);
}

/*
 * h = (h + block) * r, up to a multiple of 2^130 - 5. In assembly, as compilers
 * make a dozen moves of each carry: this is all there is to do, and fewer
 * instructions are what counts beside a vector loop. Needs BMI2.
 *
 *	h0 r0 + h1 s1			low
 *	h0 r1 + h1 r0 + h2 s1		middle
 *	h2 r0				high
 *
 * What lies above 2^130 counts five times: once as it is, four times shifted.
 * `h` is a letter: the operands are [h0] [h1] [h2], [hin] the text, [hkey] + K
 * the key; a, b, low and mid are there to be used.
 */
/* clang-format off */
#define POLY1305_BLOCK(h, K)                            \
	"addq	(%[" h "in]), %[" h "0]\n\t"            \
	"adcq	8(%[" h "in]), %[" h "1]\n\t"           \
	"adcq	$1, %[" h "2]\n\t"                      \
	"movq	%[" h "0], %%rdx\n\t"                   \
	"mulx	" K "(%[key]), %[" h "0], %[low]\n\t"   \
	"mulx	8+" K "(%[key]), %[a], %[mid]\n\t"      \
	"movq	%[" h "1], %%rdx\n\t"                   \
	"movq	%[a], %[" h "1]\n\t"                    \
	"mulx	16+" K "(%[key]), %[a], %[b]\n\t"       \
	"addq	%[a], %[" h "0]\n\t"                    \
	"adcq	%[b], %[low]\n\t"                       \
	"mulx	" K "(%[key]), %[a], %[b]\n\t"          \
	"addq	%[a], %[" h "1]\n\t"                    \
	"adcq	%[b], %[mid]\n\t"                       \
	"movq	16+" K "(%[key]), %[a]\n\t"             \
	"imulq	%[" h "2], %[a]\n\t"                    \
	"imulq	" K "(%[key]), %[" h "2]\n\t"           \
	"addq	%[a], %[" h "1]\n\t"                    \
	"adcq	$0, %[mid]\n\t"                         \
	"addq	%[low], %[" h "1]\n\t"                  \
	"adcq	%[mid], %[" h "2]\n\t"                  \
	"movq	%[" h "2], %[a]\n\t"                    \
	"movq	%[" h "2], %[b]\n\t"                    \
	"shrq	$2, %[a]\n\t"                           \
	"andq	$-4, %[b]\n\t"                          \
	"andl	$3, %k[" h "2]\n\t"                     \
	"addq	%[b], %[a]\n\t"                         \
	"addq	%[a], %[" h "0]\n\t"                    \
	"adcq	$0, %[" h "1]\n\t"                      \
	"adcq	$0, %[" h "2]\n\t"

static inline __attribute__((always_inline)) void poly1305_block(struct poly1305_sum *x,
                                                                 const struct poly1305_key *key,
                                                                 const uint8_t *p)
{
	uint64_t a, b, mid, low;

	__asm__(POLY1305_BLOCK("x", "0")
	        : [x0] "+&r"(x->v[0]), [x1] "+&r"(x->v[1]), [x2] "+&r"(x->v[2]),
	          [a] "=&r"(a), [b] "=&r"(b), [mid] "=&r"(mid), [low] "=&r"(low)
	        : [xin] "r"(p), [key] "r"(key),
	          "m"(*key), "m"(*(const struct poly1305_text *)(const void *)p)
	        : "rdx", "cc");
}

/* Two sums that have nothing to do with each other, a block each. x goes with the first key. */
static inline __attribute__((always_inline)) void poly1305_two(struct poly1305_sum *x,
                                                               struct poly1305_sum *y,
                                                               const struct poly1305_keys *keys,
                                                               const uint8_t *p, const uint8_t *q)
{
#ifdef __clang__
	/* It does not find registers for both in one statement. */
	poly1305_block(x, &keys->k[0], p);
	poly1305_block(y, &keys->k[1], q);
#else
	uint64_t a, b, mid, low;

	__asm__(POLY1305_BLOCK("x", "0") POLY1305_BLOCK("y", "24")
	        : [x0] "+&r"(x->v[0]), [x1] "+&r"(x->v[1]), [x2] "+&r"(x->v[2]),
	          [y0] "+&r"(y->v[0]), [y1] "+&r"(y->v[1]), [y2] "+&r"(y->v[2]),
	          [a] "=&r"(a), [b] "=&r"(b), [mid] "=&r"(mid), [low] "=&r"(low)
	        : [xin] "r"(p), [yin] "r"(q), [key] "r"(keys),
	          "m"(*keys),
	          "m"(*(const struct poly1305_text *)(const void *)p),
	          "m"(*(const struct poly1305_text *)(const void *)q)
	        : "rdx", "cc");
#endif
}
/* clang-format on */

_Static_assert(sizeof(struct poly1305_key) == 24, "the second key's place");

/* h mod 2^130 - 5, plus the second half of the key. */
static inline void poly1305_tag(const struct poly1305_sum *h, const uint8_t key[static 32],
                                uint8_t ret[static 16])
{
	typedef unsigned __int128 wide;
	/* h is below 2 p: p is taken off once if h + 5 reaches 2^130. */
	wide g = (wide)h->v[0] + 5;
	uint64_t g0 = (uint64_t)g;

	g = (wide)h->v[1] + (uint64_t)(g >> 64);
	uint64_t g1 = (uint64_t)g;
	uint64_t take = 0 - ((h->v[2] + (uint64_t)(g >> 64)) >> 2 != 0);
	uint64_t h0 = (g0 & take) | (h->v[0] & ~take), h1 = (g1 & take) | (h->v[1] & ~take);

	g = (wide)h0 + le64_at(key + 16);
	put_le64(ret, (uint64_t)g);
	put_le64(ret + 8, h1 + le64_at(key + 24) + (uint64_t)(g >> 64));
}
