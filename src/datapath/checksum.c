#include "datapath/checksum.h"

/* The last bytes, fewer than four, as if zeros followed. */
static uint64_t tail(uint64_t sum, const uint8_t *p, size_t n)
{
	uint32_t word = 0;

	memcpy(&word, p, n);
	return sum + word;
}

/*
 * 32-bit words into 64-bit sums. The loop over a fixed stretch is the one that
 * compilers turn into vectors.
 */
enum { STRETCH = 64 };

static inline uint64_t stretch(const uint8_t *p)
{
	uint64_t sum = 0;

	for (int i = 0; i < STRETCH / 4; i++) {
		uint32_t word;

		memcpy(&word, p + 4 * i, 4);
		sum += word;
	}
	return sum;
}

uint64_t checksum_add(uint64_t sum, const void *bytes, size_t n)
{
	const uint8_t *p = bytes;

	for (; n >= STRETCH; n -= STRETCH, p += STRETCH)
		sum += stretch(p);
	for (; n >= 4; n -= 4, p += 4)
		sum = tail(sum, p, 4);
	return n ? tail(sum, p, n) : sum;
}

uint64_t checksum_copy(uint64_t sum, void *dst, const void *src, size_t n)
{
	uint8_t *d = dst;
	const uint8_t *s = src;

	for (; n >= STRETCH; n -= STRETCH, s += STRETCH, d += STRETCH) {
		memcpy(d, s, STRETCH);
		sum += stretch(d);
	}
	if (n) {
		memcpy(d, s, n);
		sum = checksum_add(sum, d, n);
	}
	return sum;
}
