#include "path/pmtu.h"

#include "test/check.h"

static struct pmtu m;
static mono now;

/* A path that carries so much; loses the first `lose` pings. Until the next pause, or a second. */
static void run(unsigned carries, unsigned lose, int64_t us, bool alive)
{
	mono until = mono_after(now, us);

	for (;;) {
		uint16_t size;

		while ((size = pmtu_next(&m)) > 0) {
			if (lose) {
				lose--;
				continue;
			}
			if (size <= carries)
				(void)pmtu_answered(&m, size);
		}

		mono at = pmtu_deadline(&m);

		if (!mono_reached(at, until))
			break;
		now = at;
		pmtu_timeout(&m, now, alive);
	}
	now = until;
}

static void start(void)
{
	now = (mono){ US_PER_S };
	pmtu_start(&m, now);
}

static void the_largest_size_that_is_answered_is_proved(void)
{
	static const struct {
		unsigned carries, proved;
	} cases[] = { { 9000, 1360 }, { 1500, 1360 }, { 1360, 1360 }, { 1359, 1320 },
		      { 1280, 1280 }, { 1200, 1200 }, { 600, 576 },   { 500, 0 } };

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		start();
		run(cases[i].carries, 0, 3 * US_PER_S, true);
		CHECK_EQ(m.proved, cases[i].proved);
	}
}

static void a_lost_ping_is_not_taken_for_a_limit(void)
{
	start();
	run(1500, 1, 3 * US_PER_S, true);
	CHECK_EQ(m.proved, 1360);
}

static void a_good_path_costs_one_ping_in_ten_seconds(void)
{
	unsigned pings = 0;

	start();
	run(1500, 0, 3 * US_PER_S, true);
	for (int s = 0; s < 100; s++) {
		now = mono_after(now, US_PER_S);
		pmtu_timeout(&m, now, true);
		for (uint16_t size; (size = pmtu_next(&m)) > 0; pings++)
			(void)pmtu_answered(&m, size);
	}
	CHECK(pings >= 8 && pings <= 10);
}

static void a_path_that_carries_less_than_before_is_noticed(void)
{
	start();
	run(1500, 0, 3 * US_PER_S, true);
	CHECK_EQ(m.proved, 1360);
	run(1280, 0, 15 * US_PER_S, true);
	CHECK_EQ(m.proved, 1280);
	/* And one that carries more again, within the minute. */
	run(1500, 0, 75 * US_PER_S, true);
	CHECK_EQ(m.proved, 1360);
}

static void a_path_that_is_gone_altogether_says_nothing_of_sizes(void)
{
	start();
	run(1500, 0, 3 * US_PER_S, true);
	run(0, 0, 60 * US_PER_S, false);
	CHECK_EQ(m.proved, 1360);
}

static void without_traffic_nothing_is_sent(void)
{
	start();
	run(1500, 0, 3 * US_PER_S, true);
	pmtu_stop(&m);
	CHECK_EQ(pmtu_deadline(&m).us, MONO_NEVER.us);
	now = mono_after(now, 600 * US_PER_S);
	pmtu_timeout(&m, now, true);
	CHECK_EQ(pmtu_next(&m), 0);
	pmtu_go(&m, now);
	pmtu_timeout(&m, now, true);
	CHECK_EQ(pmtu_next(&m), 1360); /* a check */
	CHECK_EQ(pmtu_next(&m), 0);
}

int main(void)
{
	RUN(the_largest_size_that_is_answered_is_proved);
	RUN(a_lost_ping_is_not_taken_for_a_limit);
	RUN(a_good_path_costs_one_ping_in_ten_seconds);
	RUN(a_path_that_carries_less_than_before_is_noticed);
	RUN(a_path_that_is_gone_altogether_says_nothing_of_sizes);
	RUN(without_traffic_nothing_is_sent);
	return check_done();
}
