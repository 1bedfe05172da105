#include "base/span.h"

#include "base/err.h"
#include "base/mem.h"

static uint8_t lower(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? (uint8_t)(c + ('a' - 'A')) : c;
}

bool span_eq_nocase(struct span a, struct span b)
{
	if (a.n != b.n)
		return false;
	for (size_t i = 0; i < a.n; i++) {
		if (lower(a.p[i]) != lower(b.p[i]))
			return false;
	}
	return true;
}

bool span_is_nocase(struct span a, const char *s)
{
	return span_eq_nocase(a, span_str(s));
}

static bool is_space(uint8_t c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct span span_trim(struct span a)
{
	while (a.n && is_space(a.p[0]))
		a = span_from(a, 1);
	while (a.n && is_space(a.p[a.n - 1]))
		a.n--;
	return a;
}

bool span_cut(struct span *rest, char sep, struct span *ret_part)
{
	if (!rest->p)
		return false;

	size_t at = span_find(*rest, sep);

	*ret_part = span_first(*rest, at);
	*rest = at < rest->n ? span_from(*rest, at + 1) : (struct span){ NULL, 0 };
	return true;
}

bool span_word(struct span *rest, struct span *ret_word)
{
	struct span a = *rest;

	while (a.n && (a.p[0] == ' ' || a.p[0] == '\t'))
		a = span_from(a, 1);

	size_t n = 0;

	while (n < a.n && a.p[n] != ' ' && a.p[n] != '\t')
		n++;
	*rest = span_from(a, n);
	if (n == 0)
		return false;
	*ret_word = span_first(a, n);
	return true;
}

int span_u64(struct span a, uint64_t max, uint64_t *ret)
{
	uint64_t v = 0;

	if (a.n == 0)
		return ERR_MALFORMED;
	for (size_t i = 0; i < a.n; i++) {
		if (a.p[i] < '0' || a.p[i] > '9')
			return ERR_MALFORMED;

		uint64_t digit = (uint64_t)(a.p[i] - '0');

		if (v > (UINT64_MAX - digit) / 10)
			return ERR_LIMIT;
		v = v * 10 + digit;
	}
	if (v > max)
		return ERR_LIMIT;
	*ret = v;
	return 0;
}

char *span_dup(struct span a)
{
	char *s = mem_alloc(a.n + 1);

	if (a.n)
		memcpy(s, a.p, a.n);
	s[a.n] = '\0';
	return s;
}
