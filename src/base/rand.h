#pragma once
/*
 * Random bytes from the kernel. Never fails: a kernel that gives none ends the
 * process. Cores take what they need as arguments; the simulator passes a
 * seeded generator (rand_seeded) in the same shape.
 */
#include <stddef.h>
#include <stdint.h>

void rand_bytes(void *dst, size_t n);
uint32_t rand_u32(void);
uint64_t rand_u64(void);
uint64_t rand_below(uint64_t n); /* uniform in 0..n-1; n > 0 */

/* What a core that draws random numbers is given. */
struct rand_src {
	void (*fill)(struct rand_src *src, void *dst, size_t n);
	uint64_t state[4];
};

/* The kernel's. */
void rand_system(struct rand_src *src);
/* xoshiro256**: the same seed gives the same run. Never for keys outside tests. */
void rand_seeded(struct rand_src *src, uint64_t seed);

static inline void rand_fill(struct rand_src *src, void *dst, size_t n)
{
	src->fill(src, dst, n);
}

uint32_t rand_src_u32(struct rand_src *src);
uint64_t rand_src_below(struct rand_src *src, uint64_t n);
