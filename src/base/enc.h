#pragma once
/*
 * Hex and base64, with time that depends on the length alone, so they are fit
 * for keys. Decoders take the whole span and refuse anything non-canonical.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/own.h"
#include "base/span.h"

/* Time depends on n alone. The one way to compare tags, MACs, cookies, tokens. */
NODISCARD static inline bool ct_eq(const void *a, const void *b, size_t n)
{
	const uint8_t *x = a, *y = b;
	uint8_t diff = 0;

	for (size_t i = 0; i < n; i++)
		diff |= x[i] ^ y[i];
	__asm__("" : "+r"(diff)); /* keep the compiler from returning early */
	return diff == 0;
}

NODISCARD bool ct_is_zero(const void *p, size_t n);

#define HEX_LEN(n) ((n)*2)
#define BASE64_LEN(n) (((n) + 2) / 3 * 4)

/* dst holds HEX_LEN(n) + 1 bytes; lower case; NUL at the end. Returns dst. */
char *hex_encode(char *dst, const void *src, size_t n);
/* Exactly 2n digits, either case. ERR_MALFORMED leaves dst wiped. */
NODISCARD int hex_decode(void *dst, size_t n, struct span text);

/* dst holds BASE64_LEN(n) + 1 bytes; standard alphabet with padding. */
char *base64_encode(char *dst, const void *src, size_t n);
/* Exactly n bytes, padded. ERR_MALFORMED leaves dst wiped. */
NODISCARD int base64_decode(void *dst, size_t n, struct span text);
/*
 * Any length: standard or URL alphabet, padding optional. dst holds at least
 * text.n / 4 * 3 + 3 bytes. Not constant in time; for data that is no secret.
 */
NODISCARD int base64_decode_any(void *dst, size_t cap, struct span text, size_t *ret_n);
/* URL alphabet without padding; dst holds BASE64_LEN(n) + 1 bytes. */
char *base64url_encode(char *dst, const void *src, size_t n);
