#include "base/buf.h"

#include "base/mem.h"
#include "test/check.h"

static void text_is_built_straight_down(void)
{
	struct buf b = { 0 };

	buf_add_str(&b, "a=");
	buf_fmt(&b, "%d", 42);
	buf_add_u8(&b, '\n');
	CHECK_STR(buf_text(&b), "a=42\n");
	buf_drop(&b, 2);
	CHECK_STR(buf_text(&b), "42\n");
	buf_done(&b);
}

static void the_maximum_holds_and_is_remembered(void)
{
	struct buf b = { .max = 4 };

	buf_add_str(&b, "abc");
	buf_add_str(&b, "de");
	buf_add_str(&b, "f");
	CHECK_EQ(b.n, 3);
	CHECK_EQ(buf_ok(&b), ERR_LIMIT);
	CHECK(buf_take_text(&b) == NULL);
	CHECK_EQ(b.n, 0);
}

static void a_secret_buffer_grows_without_losing_bytes(void)
{
	struct buf b = { .secret = true };

	for (int i = 0; i < 1000; i++)
		buf_add_u8(&b, (uint8_t)i);
	CHECK_EQ(b.n, 1000);
	CHECK_EQ(b.p[999], 999 & 255);
	buf_done(&b);
	CHECK(b.p == NULL && b.secret);
}

static void an_arena_gives_zeroed_aligned_memory(void)
{
	struct arena a = { 0 };

	for (size_t n = 1; n < 100000; n *= 3) {
		uint8_t *p = arena_alloc(&a, n);

		CHECK_EQ((uintptr_t)p % 16, 0);
		CHECK(p[0] == 0 && p[n - 1] == 0);
		memset(p, 0xff, n);
	}
	CHECK_STR(arena_fmt(&a, "%s-%d", "x", 7), "x-7");
	arena_done(&a);
	CHECK_EQ(a.total, 0);
}

int main(void)
{
	RUN(text_is_built_straight_down);
	RUN(the_maximum_holds_and_is_remembered);
	RUN(a_secret_buffer_grows_without_losing_bytes);
	RUN(an_arena_gives_zeroed_aligned_memory);
	return check_done();
}
