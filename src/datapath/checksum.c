#include "datapath/checksum.h"

/* The last bytes, fewer than four, as if zeros followed. */
static uint64_t tail(uint64_t sum, const uint8_t *p, size_t n)
{
	uint32_t word = 0;

	memcpy(&word, p, n);
	return sum + word;
}

/*
 * Stretches of 64 bytes, as vectors of 64-bit words of which the halves are summed
 * apart. The same code is built for what every CPU has and for AVX2.
 */
enum { STRETCH = 64 };

typedef uint64_t lanes __attribute__((vector_size(STRETCH / 2)));

#define INLINE static inline __attribute__((always_inline))

INLINE uint64_t stretches(uint64_t sum, const uint8_t *p, size_t n, uint8_t *copy)
{
	lanes low = { 0 }, high = { 0 };

	for (; n >= STRETCH; n -= STRETCH, p += STRETCH) {
		lanes a, b;

		memcpy(&a, p, sizeof(a));
		memcpy(&b, p + sizeof(a), sizeof(b));
		low += (a & UINT32_MAX) + (b & UINT32_MAX);
		high += (a >> 32) + (b >> 32);
		if (copy) {
			memcpy(copy, &a, sizeof(a));
			memcpy(copy + sizeof(a), &b, sizeof(b));
			copy += STRETCH;
		}
	}
	low += high;
	return sum + low[0] + low[1] + low[2] + low[3];
}

#if defined(__x86_64__)
__attribute__((target("avx2"))) static uint64_t stretches_avx2(uint64_t sum, const uint8_t *p,
                                                               size_t n, uint8_t *copy)
{
	return copy ? stretches(sum, p, n, copy) : stretches(sum, p, n, NULL);
}
#endif

static uint64_t stretches_any(uint64_t sum, const uint8_t *p, size_t n, uint8_t *copy)
{
#if defined(__x86_64__)
	if (__builtin_cpu_supports("avx2"))
		return stretches_avx2(sum, p, n, copy);
#endif
	return copy ? stretches(sum, p, n, copy) : stretches(sum, p, n, NULL);
}

uint64_t checksum_add(uint64_t sum, const void *bytes, size_t n)
{
	const uint8_t *p = bytes;

	if (n >= STRETCH) {
		sum = stretches_any(sum, p, n, NULL);
		p += n - n % STRETCH;
		n %= STRETCH;
	}
	for (; n >= 4; n -= 4, p += 4)
		sum = tail(sum, p, 4);
	return n ? tail(sum, p, n) : sum;
}

uint64_t checksum_copy(uint64_t sum, void *dst, const void *src, size_t n)
{
	size_t whole = n - n % STRETCH;
	uint8_t *d = dst;
	const uint8_t *s = src;

	if (whole)
		sum = stretches_any(sum, s, whole, d);
	if (n > whole) {
		memcpy(d + whole, s + whole, n - whole);
		sum = checksum_add(sum, d + whole, n - whole);
	}
	return sum;
}
