#pragma once
/* A view of bytes or text that somebody else owns. Text in a span has no NUL at its end. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct span {
	const uint8_t *p;
	size_t n;
};

#define SPAN_LIT(s) ((struct span){ (const uint8_t *)(s), sizeof(s) - 1 })
#define SPAN_OF(array) ((struct span){ (const uint8_t *)(array), sizeof(array) })
/* For printf: "%.*s", SPAN_FMT(text) */
#define SPAN_FMT(s) (int)(s).n, (const char *)(s).p

static inline struct span span(const void *p, size_t n)
{
	return (struct span){ p, n };
}

static inline struct span span_str(const char *s)
{
	return (struct span){ (const uint8_t *)s, s ? strlen(s) : 0 };
}

static inline bool span_eq(struct span a, struct span b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static inline bool span_is(struct span a, const char *s)
{
	return span_eq(a, span_str(s));
}

/* ASCII case folded; names of HTTP headers and DNS labels. */
bool span_is_nocase(struct span a, const char *s);
bool span_eq_nocase(struct span a, struct span b);

static inline bool span_starts(struct span a, const char *prefix)
{
	size_t n = strlen(prefix);

	return a.n >= n && memcmp(a.p, prefix, n) == 0;
}

static inline bool span_ends(struct span a, const char *suffix)
{
	size_t n = strlen(suffix);

	return a.n >= n && memcmp(a.p + (a.n - n), suffix, n) == 0;
}

/* Everything from byte n on; empty if there is nothing there. */
static inline struct span span_from(struct span a, size_t n)
{
	return n >= a.n ? (struct span){ a.p + a.n, 0 } : (struct span){ a.p + n, a.n - n };
}

static inline struct span span_first(struct span a, size_t n)
{
	return (struct span){ a.p, n < a.n ? n : a.n };
}

/* Index of the byte, or a.n. */
static inline size_t span_find(struct span a, char c)
{
	const uint8_t *at = a.n ? memchr(a.p, c, a.n) : NULL;

	return at ? (size_t)(at - a.p) : a.n;
}

/* Without spaces, tabs, CR and LF at both ends. */
struct span span_trim(struct span a);

/*
 * Cuts the part before the separator off the front of *rest and returns true,
 * also for the last part; false once nothing is left. "a,,b" gives three parts.
 * *rest.p is NULL after the last one.
 */
bool span_cut(struct span *rest, char sep, struct span *ret_part);

/* The next run of bytes that are neither space nor tab; false at the end. */
bool span_word(struct span *rest, struct span *ret_word);

/*
 * Decimal numbers, whole span, no sign, no space.
 *   ERR_MALFORMED	not a number
 *   ERR_LIMIT		above max
 */
int span_u64(struct span a, uint64_t max, uint64_t *ret);

/* A fresh C string; never NULL. NUL bytes inside are kept as they are. */
char *span_dup(struct span a);
