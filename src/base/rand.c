#include "base/rand.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

void rand_bytes(void *dst, size_t n)
{
	uint8_t *p = dst;

	while (n) {
		ssize_t got = getrandom(p, n, 0);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0) {
			fputs("the kernel gives no random bytes\n", stderr);
			abort();
		}
		p += got;
		n -= (size_t)got;
	}
}

static void system_fill(struct rand_src *src, void *dst, size_t n)
{
	(void)src;
	rand_bytes(dst, n);
}

void rand_system(struct rand_src *src)
{
	*src = (struct rand_src){ .fill = system_fill };
}

static uint64_t rotl(uint64_t x, int k)
{
	return x << k | x >> (64 - k);
}

static uint64_t xoshiro(uint64_t s[static 4])
{
	uint64_t result = rotl(s[1] * 5, 7) * 9;
	uint64_t t = s[1] << 17;

	s[2] ^= s[0];
	s[3] ^= s[1];
	s[1] ^= s[2];
	s[0] ^= s[3];
	s[2] ^= t;
	s[3] = rotl(s[3], 45);
	return result;
}

static void seeded_fill(struct rand_src *src, void *dst, size_t n)
{
	uint8_t *p = dst;

	while (n) {
		uint64_t v = xoshiro(src->state);
		size_t k = n < sizeof(v) ? n : sizeof(v);

		memcpy(p, &v, k);
		p += k;
		n -= k;
	}
}

void rand_seeded(struct rand_src *src, uint64_t seed)
{
	*src = (struct rand_src){ .fill = seeded_fill };
	for (size_t i = 0; i < 4; i++) {
		/* splitmix64 spreads the seed over the state. */
		uint64_t z = (seed += UINT64_C(0x9e3779b97f4a7c15));

		z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
		z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
		src->state[i] = z ^ z >> 31;
	}
}

uint32_t rand_src_u32(struct rand_src *src)
{
	uint32_t v;

	rand_fill(src, &v, sizeof(v));
	return v;
}

uint64_t rand_src_below(struct rand_src *src, uint64_t n)
{
	uint64_t limit = UINT64_MAX - UINT64_MAX % n;
	uint64_t v;

	do
		rand_fill(src, &v, sizeof(v));
	while (v >= limit);
	return v % n;
}

uint32_t rand_u32(void)
{
	uint32_t v;

	rand_bytes(&v, sizeof(v));
	return v;
}

uint64_t rand_u64(void)
{
	uint64_t v;

	rand_bytes(&v, sizeof(v));
	return v;
}

uint64_t rand_below(uint64_t n)
{
	struct rand_src src;

	rand_system(&src);
	return rand_src_below(&src, n);
}
