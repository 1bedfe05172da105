#include "test/check.h"

#include <stdarg.h>
#include <stdlib.h>

#include "base/enc.h"

struct check_state check_state;

void check_fail(const char *file, int line, const char *fmt, ...)
{
	va_list ap;

	check_state.bad = true;
	printf("# %s:%d: ", file, line);
	va_start(ap, fmt);
	(void)vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
}

bool check_begin(const char *name)
{
	const char *only = getenv("FAIRLEAD_TEST");

	(void)setvbuf(stdout, NULL, _IOLBF, 0);
	check_state.bad = false;
	return !only || strstr(name, only);
}

static void result(const char *verdict, const char *name, const char *tail)
{
	char words[200];
	size_t n = 0;

	for (; name[n] && n + 1 < sizeof(words); n++)
		words[n] = name[n] == '_' ? ' ' : name[n];
	words[n] = '\0';
	printf("%s %u - %s%s\n", verdict, ++check_state.ran, words, tail);
}

void check_end(const char *name)
{
	if (check_state.bad)
		check_state.failed++;
	result(check_state.bad ? "not ok" : "ok", name, "");
}

void check_skip(const char *name, const char *why)
{
	char tail[200];

	(void)snprintf(tail, sizeof(tail), " # SKIP %s", why);
	result("ok", name, tail);
}

int check_done(void)
{
	printf("1..%u\n", check_state.ran);
	return check_state.failed ? 1 : 0;
}

void check_mem(const char *file, int line, const char *what, const void *got, const void *want,
               size_t n)
{
	char a[2 * 32 + 1], b[2 * 32 + 1];
	size_t at = 0;
	const uint8_t *g = got, *w = want;

	if (n == 0 || memcmp(got, want, n) == 0)
		return;
	while (g[at] == w[at])
		at++;

	size_t show = n - at < 32 ? n - at : 32;

	check_fail(file, line, "%s differs at byte %zu of %zu: %s, wanted %s", what, at, n,
	           hex_encode(a, g + at, show), hex_encode(b, w + at, show));
}

size_t check_hex(void *dst, size_t cap, const char *hex)
{
	size_t n = strlen(hex) / 2;

	if (n > cap || hex_decode(dst, n, span_str(hex)) < 0) {
		printf("Bail out! bad hex in a test: %s\n", hex);
		exit(1);
	}
	return n;
}
