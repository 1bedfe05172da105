#include "base/time.h"

#include "test/check.h"

static void times_round_trip_as_rfc_3339(void)
{
	static const char *const rows[] = { "1970-01-01T00:00:00Z", "2026-11-22T20:14:41.5Z",
		                            "0001-01-01T00:00:00Z", "2024-02-29T23:59:59.999999Z",
		                            "1969-12-31T23:59:59.25Z" };

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		wall t;
		char text[TIME_TEXT_MAX];

		CHECK_OK(wall_parse(span_str(rows[i]), &t));
		CHECK_STR(wall_text(t, text), rows[i]);
	}
}

static void zones_and_long_fractions_are_read(void)
{
	wall a, b;

	CHECK_OK(wall_parse(span_str("2026-01-01T01:30:00.123456789+01:30"), &a));
	CHECK_OK(wall_parse(span_str("2026-01-01T00:00:00.123456Z"), &b));
	CHECK_EQ(a.us, b.us);
	CHECK_EQ(wall_parse(span_str("2026-01-01T00:00:00"), &a), ERR_MALFORMED);
	CHECK_EQ(wall_parse(span_str("2026-13-01T00:00:00Z"), &a), ERR_MALFORMED);
	CHECK_EQ(wall_parse(span_str("2026-01-01T00:00:00Zx"), &a), ERR_MALFORMED);
}

static void durations_are_as_go_writes_them(void)
{
	static const struct {
		const char *in;
		int64_t us;
		const char *out;
	} rows[] = {
		{ "0", 0, "0s" },
		{ "1h30m", 5400 * US_PER_S, "1h30m0s" },
		{ "90s", 90 * US_PER_S, "1m30s" },
		{ "2.5s", 2500000, "2.5s" },
		{ "300ms", 300000, "300ms" },
		{ "-5s", -5 * US_PER_S, "-5s" },
		{ "90d", 90 * 86400 * US_PER_S, "2160h0m0s" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		int64_t us = -1;
		char text[TIME_TEXT_MAX];

		CHECK_OK(duration_parse(span_str(rows[i].in), &us));
		CHECK_EQ(us, rows[i].us);
		CHECK_STR(duration_text(us, text), rows[i].out);
	}

	int64_t us;

	CHECK_EQ(duration_parse(span_str("5"), &us), ERR_MALFORMED);
	CHECK_EQ(duration_parse(span_str("h"), &us), ERR_MALFORMED);
	CHECK_EQ(duration_parse(span_str(""), &us), ERR_MALFORMED);
	CHECK_EQ(duration_parse(span_str("99999999999999999999h"), &us), ERR_LIMIT);
}

static void never_is_later_than_any_sum(void)
{
	CHECK_EQ(mono_after((mono){ INT64_MAX - 5 }, 10).us, MONO_NEVER.us);
	CHECK(!mono_reached(MONO_NEVER, (mono){ INT64_MAX - 1 }));
}

int main(void)
{
	RUN(times_round_trip_as_rfc_3339);
	RUN(zones_and_long_fractions_are_read);
	RUN(durations_are_as_go_writes_them);
	RUN(never_is_later_than_any_sum);
	return check_done();
}
