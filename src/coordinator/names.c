#include "coordinator/names.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"

static bool is_alnum(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static struct span without_suffix(struct span name)
{
	static const char *const common[] = { ".local", ".localdomain", ".lan" };

	for (size_t i = 0; i < ARRAY_LEN(common); i++)
		if (span_ends(name, common[i]))
			name.n -= strlen(common[i]);
	return name;
}

static struct span between_alnum(struct span s)
{
	s = span_first(s, NAME_MAX_LEN);
	while (s.n && !is_alnum(s.p[0]))
		s = span_from(s, 1);
	while (s.n && !is_alnum(s.p[s.n - 1]))
		s.n--;
	return s;
}

void name_sanitise(struct span hostname, char dst[static NAME_MAX_LEN + 1])
{
	struct span s = between_alnum(without_suffix(hostname));
	size_t n = 0;

	for (size_t i = 0; i < s.n; i++) {
		if (is_alnum(s.p[i]))
			dst[n++] = (char)tolower(s.p[i]);
		else if (s.p[i] == '-' || memchr(" .@_", s.p[i], 4))
			dst[n++] = '-';
	}
	dst[n] = 0;
	if (n == 0)
		memcpy(dst, "node", sizeof("node"));
}

int name_check(struct span label)
{
	if (label.n == 0 || label.n > NAME_MAX_LEN)
		return ERR_MALFORMED;
	for (size_t i = 0; i < label.n; i++) {
		bool edge = i == 0 || i + 1 == label.n;

		if (isupper(label.p[i]) || !(is_alnum(label.p[i]) || (label.p[i] == '-' && !edge)))
			return ERR_MALFORMED;
	}
	return 0;
}

/* How many numbers are tried one by one. */
enum { IN_TURN = 32 };

static void numbered(const char *base, unsigned number, char dst[static NAME_MAX_LEN + 1])
{
	char suffix[16] = "";
	int n = number ? snprintf(suffix, sizeof(suffix), "-%u", number) : 0;

	(void)snprintf(dst, NAME_MAX_LEN + 1, "%.*s%s", NAME_MAX_LEN - n, base, suffix);
}

void name_unique(const char *base, bool (*taken)(const void *arg, const char *name),
                 const void *arg, char dst[static NAME_MAX_LEN + 1])
{
	unsigned is_taken = 0, is_free = 0;

	for (;; is_free += is_free < IN_TURN ? 1 : is_free) {
		numbered(base, is_free, dst);
		if (!taken(arg, dst))
			break;
		is_taken = is_free;
	}
	while (is_free > IN_TURN && is_free - is_taken > 1) {
		unsigned middle = is_taken + (is_free - is_taken) / 2;

		numbered(base, middle, dst);
		if (taken(arg, dst))
			is_taken = middle;
		else
			is_free = middle;
	}
	numbered(base, is_free, dst);
}
