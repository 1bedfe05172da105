#include "base/time.h"

#include <math.h>
#include <stdio.h>
#include <time.h>

#include "base/err.h"

static int64_t read_clock(clockid_t id)
{
	struct timespec ts = { 0 };

	(void)clock_gettime(id, &ts);
	return (int64_t)ts.tv_sec * US_PER_S + ts.tv_nsec / 1000;
}

mono mono_now(void)
{
	return (mono){ read_clock(CLOCK_BOOTTIME) };
}

wall wall_now(void)
{
	return (wall){ read_clock(CLOCK_REALTIME) };
}

/* Floor division: times before 1970 have a fraction too. */
static int64_t split_us(int64_t us, int64_t *ret_rest)
{
	int64_t s = us / US_PER_S;
	int64_t rest = us % US_PER_S;

	if (rest < 0) {
		rest += US_PER_S;
		s--;
	}
	*ret_rest = rest;
	return s;
}

/* ".25", or nothing for zero; dst holds 8 bytes. */
static void fraction_text(int64_t us, char *dst)
{
	dst[0] = '\0';
	if (us == 0)
		return;
	(void)snprintf(dst, 8, ".%06d", (int)us);
	for (size_t n = 7; n > 1 && dst[n - 1] == '0'; n--)
		dst[n - 1] = '\0';
}

const char *wall_text(wall t, char dst[static TIME_TEXT_MAX])
{
	int64_t us;
	time_t s = (time_t)split_us(t.us, &us);
	struct tm tm = { 0 };
	char frac[8];

	(void)gmtime_r(&s, &tm);
	fraction_text(us, frac);
	(void)snprintf(dst, TIME_TEXT_MAX, "%04d-%02d-%02dT%02d:%02d:%02d%sZ", tm.tm_year + 1900,
	               tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, frac);
	return dst;
}

/* Exactly n digits at *s, moved past; -1 if they are not there. */
static int digits(struct span *s, size_t n)
{
	uint64_t v;

	if (s->n < n || span_u64(span_first(*s, n), 9999, &v) < 0)
		return -1;
	*s = span_from(*s, n);
	return (int)v;
}

static bool skip(struct span *s, const char *any)
{
	if (s->n == 0 || !strchr(any, s->p[0]))
		return false;
	*s = span_from(*s, 1);
	return true;
}

static int64_t read_fraction(struct span *s)
{
	int64_t us = 0;
	int64_t scale = US_PER_S / 10;

	for (; s->n && s->p[0] >= '0' && s->p[0] <= '9'; *s = span_from(*s, 1)) {
		us += scale * (s->p[0] - '0');
		scale /= 10;
	}
	return us;
}

/* Seconds east of UTC. */
static int read_zone(struct span *s, int *ret)
{
	if (skip(s, "Zz")) {
		*ret = 0;
		return 0;
	}

	int sign = s->n && s->p[0] == '-' ? -1 : 1;

	if (!skip(s, "+-"))
		return ERR_MALFORMED;

	int h = digits(s, 2);
	bool colon = skip(s, ":");
	int m = digits(s, 2);

	if (h < 0 || h > 23 || !colon || m < 0 || m > 59)
		return ERR_MALFORMED;
	*ret = sign * (h * 3600 + m * 60);
	return 0;
}

int wall_parse(struct span text, wall *ret)
{
	struct span s = text;
	struct tm tm = { 0 };
	int year = digits(&s, 4);
	bool ok = skip(&s, "-");
	int mon = digits(&s, 2);

	ok = skip(&s, "-") && ok;
	tm.tm_mday = digits(&s, 2);
	ok = skip(&s, "Tt ") && ok;
	tm.tm_hour = digits(&s, 2);
	ok = skip(&s, ":") && ok;
	tm.tm_min = digits(&s, 2);
	ok = skip(&s, ":") && ok;
	tm.tm_sec = digits(&s, 2);
	if (!ok || year < 0 || mon < 1 || mon > 12 || tm.tm_mday < 1 || tm.tm_mday > 31)
		return ERR_MALFORMED;
	if (tm.tm_hour < 0 || tm.tm_hour > 23 || tm.tm_min < 0 || tm.tm_min > 59)
		return ERR_MALFORMED;
	if (tm.tm_sec < 0 || tm.tm_sec > 60)
		return ERR_MALFORMED;
	tm.tm_year = year - 1900;
	tm.tm_mon = mon - 1;

	int64_t us = skip(&s, ".") ? read_fraction(&s) : 0;
	int zone;

	if (read_zone(&s, &zone) < 0 || s.n)
		return ERR_MALFORMED;
	*ret = (wall){ ((int64_t)timegm(&tm) - zone) * US_PER_S + us };
	return 0;
}

/* clang-format off */
static const struct {
	const char *name;
	double us;
} units[] = { /* longer names before their own beginnings */
	{ "ns", 1e-3 },
	{ "us", 1 },
	{ "µs", 1 },
	{ "ms", 1e3 },
	{ "s", 1e6 },
	{ "m", 60e6 },
	{ "h", 3600e6 },
	{ "d", 86400e6 },
	{ "w", 7 * 86400e6 },
	{ "y", 365 * 86400e6 },
};
/* clang-format on */

static bool read_number(struct span *s, double *ret)
{
	double v = 0;
	double scale = 0.1;
	size_t n = s->n;

	for (; s->n && s->p[0] >= '0' && s->p[0] <= '9'; *s = span_from(*s, 1))
		v = v * 10 + (s->p[0] - '0');
	if (skip(s, ".")) {
		for (; s->n && s->p[0] >= '0' && s->p[0] <= '9'; *s = span_from(*s, 1)) {
			v += scale * (s->p[0] - '0');
			scale /= 10;
		}
	}
	*ret = v;
	return s->n < n;
}

int duration_parse(struct span text, int64_t *ret_us)
{
	struct span s = text;
	bool negative = s.n && s.p[0] == '-';
	double total = 0;

	if (skip(&s, "+-") && s.n == 0)
		return ERR_MALFORMED;
	if (span_is(s, "0")) {
		*ret_us = 0;
		return 0;
	}
	if (s.n == 0)
		return ERR_MALFORMED;
	while (s.n) {
		double v;
		size_t i = 0;

		if (!read_number(&s, &v))
			return ERR_MALFORMED;
		while (i < ARRAY_LEN(units) && !span_starts(s, units[i].name))
			i++;
		if (i == ARRAY_LEN(units))
			return ERR_MALFORMED;
		s = span_from(s, strlen(units[i].name));
		total += v * units[i].us;
	}
	if (total > 9e18)
		return ERR_LIMIT;
	*ret_us = llround(negative ? -total : total);
	return 0;
}

const char *duration_text(int64_t us, char dst[static TIME_TEXT_MAX])
{
	const char *sign = us < 0 ? "-" : "";
	uint64_t left = us < 0 ? -(uint64_t)us : (uint64_t)us;
	char frac[8];

	if (left != 0 && left < 1000) {
		(void)snprintf(dst, TIME_TEXT_MAX, "%s%uµs", sign, (unsigned)left);
		return dst;
	}
	if (left != 0 && left < (uint64_t)US_PER_S) {
		double ms = (double)left / 1000;

		(void)snprintf(dst, TIME_TEXT_MAX, "%s%gms", sign, ms);
		return dst;
	}

	uint64_t s = left / (uint64_t)US_PER_S;

	fraction_text((int64_t)(left % (uint64_t)US_PER_S), frac);
	if (s >= 3600)
		(void)snprintf(dst, TIME_TEXT_MAX, "%s%lluh%um%u%ss", sign,
		               (unsigned long long)(s / 3600), (unsigned)(s / 60 % 60),
		               (unsigned)(s % 60), frac);
	else if (s >= 60)
		(void)snprintf(dst, TIME_TEXT_MAX, "%s%um%u%ss", sign, (unsigned)(s / 60),
		               (unsigned)(s % 60), frac);
	else
		(void)snprintf(dst, TIME_TEXT_MAX, "%s%u%ss", sign, (unsigned)s, frac);
	return dst;
}
