#pragma once
/*
 * The Internet checksum (RFC 1071). A partial sum is in the machine's byte
 * order and may be added to others whose bytes began at an even place; 64 bits
 * leave room for every packet there is.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/wire.h"

uint64_t checksum_add(uint64_t sum, const void *p, size_t n);
/* The same, and copies on the way: what is summed is in the cache already. */
uint64_t checksum_copy(uint64_t sum, void *dst, const void *src, size_t n);

/* A 16-bit number that is not in memory. */
static inline uint64_t checksum_u16(uint64_t sum, uint16_t v)
{
	uint8_t b[2];
	uint16_t word;

	put_be16(b, v);
	memcpy(&word, b, 2);
	return sum + word;
}

static inline uint16_t checksum_fold(uint64_t sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

/* As it goes into a header: folded, inverted. */
static inline void checksum_put(uint8_t *at, uint64_t sum)
{
	uint16_t v = (uint16_t)~checksum_fold(sum);

	memcpy(at, &v, 2);
}
