#include "base/enc.h"

#include <string.h>

#include "base/err.h"

bool ct_is_zero(const void *p, size_t n)
{
	const uint8_t *x = p;
	uint8_t any = 0;

	for (size_t i = 0; i < n; i++)
		any |= x[i];
	__asm__("" : "+r"(any));
	return any == 0;
}

/* All ones if lo <= c <= hi, else zero; both within 0..255. */
static int in_range(int c, int lo, int hi)
{
	return ((lo - 1 - c) & (c - hi - 1)) >> 8;
}

static char hex_digit(int v)
{
	return (char)('0' + v + (in_range(v, 10, 15) & ('a' - '0' - 10)));
}

char *hex_encode(char *dst, const void *src, size_t n)
{
	const uint8_t *s = src;

	for (size_t i = 0; i < n; i++) {
		dst[i * 2] = hex_digit(s[i] >> 4);
		dst[i * 2 + 1] = hex_digit(s[i] & 15);
	}
	dst[n * 2] = '\0';
	return dst;
}

/* 0..15, or negative. */
static int hex_value(int c)
{
	int v = -1;

	v += in_range(c, '0', '9') & (c - '0' + 1);
	v += in_range(c, 'a', 'f') & (c - 'a' + 11);
	v += in_range(c, 'A', 'F') & (c - 'A' + 11);
	return v;
}

int hex_decode(void *dst, size_t n, struct span text)
{
	uint8_t *d = dst;
	int bad = 0;

	if (text.n != n * 2)
		return ERR_MALFORMED;
	for (size_t i = 0; i < n; i++) {
		int hi = hex_value(text.p[i * 2]);
		int lo = hex_value(text.p[i * 2 + 1]);

		bad |= hi | lo;
		d[i] = (uint8_t)((unsigned)hi << 4 | ((unsigned)lo & 15));
	}
	if (bad < 0) {
		explicit_bzero(dst, n);
		return ERR_MALFORMED;
	}
	return 0;
}

static char b64_digit(int v, int c62, int c63)
{
	int c = 'A' + v;

	c += in_range(v, 26, 51) & ('a' - 'A' - 26);
	c += in_range(v, 52, 61) & ('0' - 'A' - 52);
	c += in_range(v, 62, 62) & (c62 - 'A' - 62);
	c += in_range(v, 63, 63) & (c63 - 'A' - 63);
	return (char)c;
}

static size_t b64_encode(char *dst, const uint8_t *s, size_t n, bool url)
{
	int c62 = url ? '-' : '+';
	int c63 = url ? '_' : '/';
	size_t o = 0;

	for (size_t i = 0; i < n; i += 3) {
		unsigned have = n - i < 3 ? (unsigned)(n - i) : 3;
		unsigned v = (unsigned)s[i] << 16;

		if (have > 1)
			v |= (unsigned)s[i + 1] << 8;
		if (have > 2)
			v |= s[i + 2];
		for (unsigned k = 0; k < 4; k++) {
			if (k <= have)
				dst[o++] = b64_digit((int)(v >> (18 - 6 * k) & 63), c62, c63);
			else if (!url)
				dst[o++] = '=';
		}
	}
	dst[o] = '\0';
	return o;
}

char *base64_encode(char *dst, const void *src, size_t n)
{
	(void)b64_encode(dst, src, n, false);
	return dst;
}

char *base64url_encode(char *dst, const void *src, size_t n)
{
	(void)b64_encode(dst, src, n, true);
	return dst;
}

/* 0..63, or negative. */
static int b64_value(int c, bool url)
{
	int v = -1;

	v += in_range(c, 'A', 'Z') & (c - 'A' + 1);
	v += in_range(c, 'a', 'z') & (c - 'a' + 27);
	v += in_range(c, '0', '9') & (c - '0' + 53);
	v += in_range(c, '+', '+') & 63;
	v += in_range(c, '/', '/') & 64;
	if (url) {
		v += in_range(c, '-', '-') & 63;
		v += in_range(c, '_', '_') & 64;
	}
	return v;
}

/* text.n digits without padding; dst has room for text.n * 6 / 8. Returns bad < 0. */
static int b64_decode(uint8_t *d, struct span text, bool url)
{
	unsigned acc = 0;
	unsigned bits = 0;
	int bad = 0;

	for (size_t i = 0; i < text.n; i++) {
		int v = b64_value(text.p[i], url);

		bad |= v;
		acc = acc << 6 | ((unsigned)v & 63);
		bits += 6;
		if (bits >= 8) {
			bits -= 8;
			*d++ = (uint8_t)(acc >> bits);
		}
	}
	/* Bits that belong to no byte must be zero, or two texts mean one key. */
	if (acc & ((1u << bits) - 1))
		bad |= -1;
	return bad;
}

int base64_decode(void *dst, size_t n, struct span text)
{
	size_t digits = (n * 8 + 5) / 6;

	if (text.n != BASE64_LEN(n))
		return ERR_MALFORMED;
	for (size_t i = digits; i < text.n; i++) {
		if (text.p[i] != '=')
			return ERR_MALFORMED;
	}
	if (b64_decode(dst, span_first(text, digits), false) < 0) {
		explicit_bzero(dst, n);
		return ERR_MALFORMED;
	}
	return 0;
}

int base64_decode_any(void *dst, size_t cap, struct span text, size_t *ret_n)
{
	while (text.n && text.p[text.n - 1] == '=')
		text.n--;
	if (text.n % 4 == 1)
		return ERR_MALFORMED;

	size_t n = text.n * 6 / 8;

	if (n > cap)
		return ERR_LIMIT;
	if (b64_decode(dst, text, true) < 0)
		return ERR_MALFORMED;
	*ret_n = n;
	return 0;
}
