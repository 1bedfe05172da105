#include "base/span.h"

#include "base/mem.h"
#include "test/check.h"

static void cutting_gives_every_part_also_empty_ones(void)
{
	struct span rest = span_str("a,,b,");
	struct span part;
	const char *const want[] = { "a", "", "b", "" };
	size_t n = 0;

	while (span_cut(&rest, ',', &part)) {
		CHECK(n < 4 && span_is(part, want[n]));
		n++;
	}
	CHECK_EQ(n, 4);
}

static void words_are_separated_by_blanks(void)
{
	struct span rest = span_str("  one\ttwo  ");
	struct span word;

	CHECK(span_word(&rest, &word) && span_is(word, "one"));
	CHECK(span_word(&rest, &word) && span_is(word, "two"));
	CHECK(!span_word(&rest, &word));
}

static void numbers_are_whole_and_bounded(void)
{
	uint64_t v = 5;

	CHECK_OK(span_u64(span_str("18446744073709551615"), UINT64_MAX, &v));
	CHECK(v == UINT64_MAX);
	CHECK_EQ(span_u64(span_str("18446744073709551616"), UINT64_MAX, &v), ERR_LIMIT);
	CHECK_EQ(span_u64(span_str("65536"), 65535, &v), ERR_LIMIT);
	CHECK_EQ(span_u64(span_str(""), 10, &v), ERR_MALFORMED);
	CHECK_EQ(span_u64(span_str("-1"), 10, &v), ERR_MALFORMED);
	CHECK_EQ(span_u64(span_str("1 "), 10, &v), ERR_MALFORMED);
}

static void trimming_and_case(void)
{
	CHECK(span_is(span_trim(span_str(" \r\n x y \t")), "x y"));
	CHECK(span_trim(span_str("  ")).n == 0);
	CHECK(span_is_nocase(span_str("Content-LENGTH"), "content-length"));
	CHECK(!span_is_nocase(span_str("a"), "ab"));
	CHECK(span_starts(span_str("abc"), "ab") && span_ends(span_str("abc"), "bc"));
}

int main(void)
{
	RUN(cutting_gives_every_part_also_empty_ones);
	RUN(words_are_separated_by_blanks);
	RUN(numbers_are_whole_and_bounded);
	RUN(trimming_and_case);
	return check_done();
}
