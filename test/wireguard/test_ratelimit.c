#include "wireguard/ratelimit.h"

#include "base/wire.h"
#include "test/check.h"

enum { MAX = 1000 };

static struct wg_ratelimit rl;

static void start(void)
{
	wg_ratelimit_init(&rl, 20, 5, MAX);
}

static bool allow(int64_t ms, struct ip source)
{
	return wg_ratelimit_allow(&rl, (mono){ (1000000 + ms) * US_PER_MS }, &source);
}

static struct ip v6(uint64_t net, uint64_t host)
{
	uint8_t b[16];

	put_be64(b, net);
	put_be64(b + 8, host);
	return ip6_of(b);
}

/* What the kernel's selftest expects at each time (selftest/ratelimiter.c). */
static const struct {
	int64_t at_ms;
	bool allowed;
} expected[] = {
	{ 0, true },    { 0, true },   { 0, true },    { 0, true },   { 0, true },
	{ 0, false },   { 50, true },  { 50, false },  { 150, true }, { 150, true },
	{ 150, false }, { 200, true }, { 225, false }, { 250, true }, { 250, false },
};

static void a_source_has_its_burst_and_then_its_rate(void)
{
	start();
	for (size_t i = 0; i < ARRAY_LEN(expected); i++) {
		/* Another's does not matter, in either family. */
		CHECK_EQ(allow(expected[i].at_ms, ip4(10, 0, 0, 1)), expected[i].allowed);
		CHECK_EQ(allow(expected[i].at_ms, ip4(10, 0, 0, 2)), expected[i].allowed);
		CHECK_EQ(allow(expected[i].at_ms, v6(1, 1)), expected[i].allowed);
	}
	wg_ratelimit_done(&rl);
}

static void a_network_of_64_bits_is_one_source(void)
{
	start();
	for (uint64_t host = 0; host < 5; host++)
		CHECK(allow(0, v6(UINT64_C(0x20010db800000000), host)));
	CHECK(!allow(0, v6(UINT64_C(0x20010db800000000), 99)));
	CHECK(allow(0, v6(UINT64_C(0x20010db800000001), 99)));
	wg_ratelimit_done(&rl);
}

static void a_full_table_admits_nobody_new_until_others_are_quiet(void)
{
	start();
	for (uint32_t i = 0; i < MAX; i++)
		CHECK(allow(0, ip4(10, 0, (uint8_t)(i >> 8), (uint8_t)i)));
	CHECK(!allow(0, ip4(11, 0, 0, 1)));
	CHECK(allow(0, ip4(10, 0, 0, 1)));
	CHECK(!allow(900, ip4(11, 0, 0, 1)));
	CHECK(allow(2500, ip4(11, 0, 0, 1)));
	CHECK_EQ(rl.sources.n, 1);
	wg_ratelimit_done(&rl);
}

static void a_clock_that_goes_back_gives_nothing_away(void)
{
	start();
	for (unsigned i = 0; i < 5; i++)
		CHECK(allow(1000, ip4(10, 0, 0, 1)));
	CHECK(!allow(0, ip4(10, 0, 0, 1)));
	CHECK(!allow(1000, ip4(10, 0, 0, 1)));
	CHECK(allow(1050, ip4(10, 0, 0, 1)));
	wg_ratelimit_done(&rl);
}

int main(void)
{
	RUN(a_source_has_its_burst_and_then_its_rate);
	RUN(a_network_of_64_bits_is_one_source);
	RUN(a_full_table_admits_nobody_new_until_others_are_quiet);
	RUN(a_clock_that_goes_back_gives_nothing_away);
	return check_done();
}
