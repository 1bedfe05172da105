#include "wireguard/replay.h"

#include "base/own.h"
#include "test/check.h"

enum { W = WG_REPLAY_WINDOW, L = W + 1 };
#define R WG_REJECT_AFTER_MESSAGES

/* The sequence of the kernel's own selftest (selftest/counter.c). */
/* clang-format off */
static const struct {
	uint64_t counter;
	bool fresh;
} in_any_order[] = {
	{ 0, true }, { 1, true }, { 1, false }, { 9, true }, { 8, true }, { 7, true }, { 7, false },
	{ L, true }, { L - 1, true }, { L - 1, false }, { L - 2, true }, { 2, true }, { 2, false },
	{ L + 16, true }, { 3, false }, { L + 16, false }, { 4 * L, true }, { 4 * L - (L - 1), true },
	{ 10, false }, { 4 * L - L, false }, { 4 * L - (L + 1), false }, { 4 * L - (L - 2), true },
	{ 4 * L + 1 - L, false }, { 0, false }, { R, false }, { R - 1, true }, { R, false },
	{ R - 1, false }, { R - 2, true }, { R + 1, false }, { R + 2, false }, { R - 2, false },
	{ R - 3, true }, { 0, false },
};
/* clang-format on */

static void accepts_each_counter_once_in_any_order(void)
{
	struct wg_replay w = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(in_any_order); i++) {
		int r = wg_replay_accept(&w, in_any_order[i].counter);

		if ((r == 0) != in_any_order[i].fresh)
			check_fail(__FILE__, __LINE__, "step %zu: counter %" PRIu64 " gave %d", i,
			           in_any_order[i].counter, r);
	}
}

/* Feeds from, from + step, ... n times to a fresh window; all must be new. */
static struct wg_replay fed(uint64_t from, int64_t step, unsigned n)
{
	struct wg_replay w = { 0 };

	for (unsigned i = 0; i < n; i++)
		CHECK_OK(wg_replay_accept(&w, from + (uint64_t)(step * i)));
	return w;
}

static void a_full_window_up_or_down_is_accepted(void)
{
	struct wg_replay w = fed(1, 1, W);

	CHECK_OK(wg_replay_accept(&w, 0));
	CHECK_EQ(wg_replay_accept(&w, 0), ERR_REPLAY);

	w = fed(2, 1, W);
	CHECK_OK(wg_replay_accept(&w, 1));
	CHECK_EQ(wg_replay_accept(&w, 0), ERR_REPLAY);

	w = fed(W, -1, W + 1);
	w = fed(W + 1, -1, W + 1);
	CHECK_EQ(wg_replay_accept(&w, 0), ERR_REPLAY);

	w = fed(W, -1, W);
	CHECK_OK(wg_replay_accept(&w, W + 1));
	CHECK_EQ(wg_replay_accept(&w, 0), ERR_REPLAY);

	w = fed(W, -1, W);
	CHECK_OK(wg_replay_accept(&w, 0));
	CHECK_OK(wg_replay_accept(&w, W + 1));
}

static void a_spent_key_says_so(void)
{
	struct wg_replay w = { 0 };

	CHECK_EQ(wg_replay_accept(&w, R), ERR_LIMIT);
	CHECK_EQ(wg_replay_accept(&w, UINT64_MAX), ERR_LIMIT);
	CHECK_EQ(w.next, 0);
}

/* The model remembers every counter it has seen. */
static void random_orders_agree_with_a_set(void)
{
	enum { SPAN = 3 * WG_REPLAY_BITS };
	static bool seen[SPAN];
	struct wg_replay w = { 0 };
	uint64_t state = 1, highest = 0, middle = 0;
	bool any = false;

	for (unsigned i = 0; i < 200000; i++) {
		state = state * UINT64_C(6364136223846793005) + 1;
		middle = (uint64_t)i * (SPAN - WG_REPLAY_BITS - 64) / 200000;

		uint64_t c = middle + (state >> 33) % (WG_REPLAY_BITS + 64);
		bool fresh = !seen[c] && (!any || highest <= c || highest - c <= WG_REPLAY_WINDOW);

		CHECK_EQ(wg_replay_accept(&w, c) == 0, fresh);
		if (fresh) {
			seen[c] = any = true;
			if (c > highest)
				highest = c;
		}
	}
}

int main(void)
{
	RUN(accepts_each_counter_once_in_any_order);
	RUN(a_full_window_up_or_down_is_accepted);
	RUN(a_spent_key_says_so);
	RUN(random_orders_agree_with_a_set);
	return check_done();
}
