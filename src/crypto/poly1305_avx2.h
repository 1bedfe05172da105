#pragma once
/*
 * Poly1305 over four messages at once, one in each 64-bit lane of an AVX2
 * register, in the form the AEAD of RFC 8439 wants: text, zeros up to 16 bytes,
 * the lengths. Private to crypto/; x86-64 with AVX2 only.
 *
 * No time depends on keys or text; it does depend on the lengths.
 */
#include <stddef.h>
#include <stdint.h>

struct poly1305_in {
	const uint8_t *p;
	size_t n;
	const uint8_t *key; /* 32 bytes: r, s */
};

/* The AEAD tags, without associated data, of 1 to 4 messages. */
void poly1305_avx2_tags(uint8_t (*tags)[16], const struct poly1305_in *in, size_t n);
