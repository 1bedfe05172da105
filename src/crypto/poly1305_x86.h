#pragma once
/*
 * Poly1305 in general registers, of x86-64: small enough to be inlined
 * into a vector loop of something else, whose units it leaves alone. In the form
 * the AEAD of RFC 8439 wants, every block is a whole one. Private to crypto/.
 *
 * A number is h[0] + h[1] 2^64 + h[2] 2^128, h[2] small. No time depends on keys
 * or text.
 */
#include <stdint.h>

#include "base/wire.h"

struct poly1305 {
	uint64_t h[3];
	uint64_t r[2];
	uint64_t s1; /* r[1] * 5 / 4: r[1] is a multiple of 4 */
};

static inline void poly1305_init(struct poly1305 *p, const uint8_t key[static 32])
{
	p->h[0] = p->h[1] = p->h[2] = 0;
	p->r[0] = le64_at(key) & UINT64_C(0x0ffffffc0fffffff);
	p->r[1] = le64_at(key + 8) & UINT64_C(0x0ffffffc0ffffffc);
	p->s1 = p->r[1] + (p->r[1] >> 2);
}

/* Compilers make a dozen moves of a carry; these are one instruction a line. */
#define POLY1305_INLINE static inline __attribute__((always_inline))

POLY1305_INLINE void poly1305_add2(uint64_t *lo, uint64_t *hi, uint64_t x, uint64_t y)
{
	__asm__("addq %2, %0\n\tadcq %3, %1" : "+&r"(*lo), "+r"(*hi) : "rme"(x), "rme"(y) : "cc");
}

POLY1305_INLINE void poly1305_add3(uint64_t h[3], uint64_t x, uint64_t y, int z)
{
	__asm__("addq %3, %0\n\tadcq %4, %1\n\tadcq %5, %2"
	        : "+&r"(h[0]), "+&r"(h[1]), "+r"(h[2])
	        : "rme"(x), "rme"(y), "i"(z)
	        : "cc");
}

/* hi:lo += a * b */
POLY1305_INLINE void poly1305_mul_add(uint64_t *lo, uint64_t *hi, uint64_t a, uint64_t b)
{
	unsigned __int128 product = (unsigned __int128)a * b;

	poly1305_add2(lo, hi, (uint64_t)product, (uint64_t)(product >> 64));
}

/* h = (h + block) * r, up to a multiple of 2^130 - 5. */
POLY1305_INLINE void poly1305_block(struct poly1305 *p, const uint8_t block[static 16])
{
	uint64_t h[3] = { p->h[0], p->h[1], p->h[2] };

	poly1305_add3(h, le64_at(block), le64_at(block + 8), 1);

	unsigned __int128 low = (unsigned __int128)h[0] * p->r[0];
	unsigned __int128 mid = (unsigned __int128)h[0] * p->r[1];
	uint64_t d[4] = { (uint64_t)low, (uint64_t)(low >> 64), (uint64_t)mid,
		          (uint64_t)(mid >> 64) };

	poly1305_mul_add(&d[0], &d[1], h[1], p->s1);
	poly1305_mul_add(&d[2], &d[3], h[1], p->r[0]);
	poly1305_add2(&d[2], &d[3], h[2] * p->s1, 0);
	poly1305_add2(&d[2], &d[3], d[1], 0);

	/* What lies above 2^130 counts five times: once as it is, four times shifted. */
	uint64_t top = h[2] * p->r[0] + d[3];

	p->h[0] = d[0];
	p->h[1] = d[2];
	p->h[2] = top & 3;
	poly1305_add3(p->h, (top >> 2) + (top & ~UINT64_C(3)), 0, 0);
}

/* h mod 2^130 - 5, plus the second half of the key. */
static inline void poly1305_tag(const struct poly1305 *p, const uint8_t key[static 32],
                                uint8_t ret[static 16])
{
	typedef unsigned __int128 wide;
	/* h is below 2 p: p is taken off once if h + 5 reaches 2^130. */
	wide g = (wide)p->h[0] + 5;
	uint64_t g0 = (uint64_t)g;

	g = (wide)p->h[1] + (uint64_t)(g >> 64);
	uint64_t g1 = (uint64_t)g;
	uint64_t take = 0 - ((p->h[2] + (uint64_t)(g >> 64)) >> 2 != 0);
	uint64_t h0 = (g0 & take) | (p->h[0] & ~take), h1 = (g1 & take) | (p->h[1] & ~take);

	g = (wide)h0 + le64_at(key + 16);
	put_le64(ret, (uint64_t)g);
	put_le64(ret + 8, h1 + le64_at(key + 24) + (uint64_t)(g >> 64));
}
