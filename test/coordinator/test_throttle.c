#include "coordinator/throttle.h"

#include "test/check.h"

static wall at(int64_t seconds)
{
	return (wall){ (1000000 + seconds) * US_PER_S };
}

static void a_burst_then_one_at_a_time(void)
{
	struct throttle *t = throttle_new(3, 10 * US_PER_S);
	struct ip a = ip4(192, 0, 2, 1), b = ip4(192, 0, 2, 2);

	for (int i = 0; i < 3; i++)
		CHECK(throttle_take(t, &a, at(0)));
	CHECK(!throttle_take(t, &a, at(0)));
	CHECK(!throttle_has(t, &a, at(9)));
	CHECK(throttle_take(t, &b, at(0)));
	CHECK(throttle_has(t, &a, at(10)));
	CHECK(throttle_take(t, &a, at(10)));
	CHECK(!throttle_take(t, &a, at(10)));
	for (int i = 0; i < 3; i++)
		CHECK(throttle_take(t, &a, at(100)));
	CHECK(!throttle_take(t, &a, at(100)));
	CHECK_EQ(throttle_refused(t), 4);
	throttle_free(t);
}

static void a_network_of_ipv6_is_one_source_and_this_machine_none(void)
{
	struct throttle *t = throttle_new(1, 10 * US_PER_S);
	struct ip a, b, c, home = ip4(127, 0, 0, 1);

	CHECK_OK(ip_parse(span_str("2001:db8::1"), &a));
	CHECK_OK(ip_parse(span_str("2001:db8::2:1"), &b));
	CHECK_OK(ip_parse(span_str("2001:db8:0:1::1"), &c));
	CHECK(throttle_take(t, &a, at(0)));
	CHECK(!throttle_take(t, &b, at(0)));
	CHECK(throttle_take(t, &c, at(0)));
	for (int i = 0; i < 50; i++)
		CHECK(throttle_take(t, &home, at(0)));
	throttle_free(t);
}

static void many_sources_are_bounded_and_forgotten_when_they_are_full_again(void)
{
	struct throttle *t = throttle_new(2, 10 * US_PER_S);
	struct ip a = ip4(203, 0, 113, 1);

	for (unsigned i = 0; i < THROTTLE_SOURCES; i++) {
		struct ip s = ip4(10, (uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i);

		CHECK(throttle_take(t, &s, at(0)));
	}
	CHECK(!throttle_take(t, &a, at(0)));
	CHECK(throttle_take(t, &a, at(10)));
	throttle_free(t);
}

static void a_clock_set_back_shuts_nobody_out_for_long(void)
{
	struct throttle *t = throttle_new(2, 10 * US_PER_S);
	struct ip a = ip4(192, 0, 2, 1);

	CHECK(throttle_take(t, &a, at(1000000)));
	CHECK(!throttle_take(t, &a, at(0)));
	CHECK(throttle_take(t, &a, at(10)));
	throttle_free(t);
}

int main(void)
{
	RUN(a_burst_then_one_at_a_time);
	RUN(a_network_of_ipv6_is_one_source_and_this_machine_none);
	RUN(many_sources_are_bounded_and_forgotten_when_they_are_full_again);
	RUN(a_clock_set_back_shuts_nobody_out_for_long);
	return check_done();
}
