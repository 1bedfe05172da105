#include "base/ip.h"

#include "base/rand.h"
#include "test/check.h"

static void text_round_trips(void)
{
	static const char *const rows[] = {
		"0.0.0.0", "100.64.0.1",         "255.255.255.255",          "::",
		"::1",     "fd7a:115c:a1e0::53", "2001:db8::8:800:200c:417a"
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct ip ip;
		char text[IP_TEXT_MAX];

		CHECK_OK(ip_parse(span_str(rows[i]), &ip));
		CHECK_STR(ip_text(&ip, text), rows[i]);
	}
}

static void bad_text_is_refused(void)
{
	static const char *const ips[] = {
		"", "1", "1.2.3", "1.2.3.4.5", "256.0.0.1", "1.2.3.4 ", "fe80::1%eth0", ":::", "g::"
	};
	static const char *const prefixes[] = { "10.0.0.0/33", "10.0.0.0/",   "10.0.0.0/08", "/8",
		                                "::/129",      "10.0.0.0/-1", "10.0.0.0/8/8" };
	static const char *const addrs[] = { "1.2.3.4", "1.2.3.4:",    "1.2.3.4:65536", "::1:5",
		                             "[::1]5",  "[1.2.3.4]:5", "[::1]:",        "[::1" };
	struct ip ip;
	struct prefix p;
	struct addr a;

	for (size_t i = 0; i < ARRAY_LEN(ips); i++)
		CHECK_EQ(ip_parse(span_str(ips[i]), &ip), ERR_MALFORMED);
	for (size_t i = 0; i < ARRAY_LEN(prefixes); i++)
		CHECK_EQ(prefix_parse(span_str(prefixes[i]), &p), ERR_MALFORMED);
	for (size_t i = 0; i < ARRAY_LEN(addrs); i++)
		CHECK_EQ(addr_parse(span_str(addrs[i]), &a), ERR_MALFORMED);
}

static void an_endpoint_has_brackets_for_ipv6_alone(void)
{
	struct addr a;
	char text[ADDR_TEXT_MAX];

	CHECK_OK(addr_parse(span_str("192.0.2.1:51820"), &a));
	CHECK_EQ(a.port, 51820);
	CHECK_STR(addr_text(&a, text), "192.0.2.1:51820");
	CHECK_OK(addr_parse(span_str("[fe80::1%3]:9"), &a));
	CHECK_EQ(a.zone, 3);
	CHECK_STR(addr_text(&a, text), "[fe80::1%3]:9");
}

static bool has(const char *prefix, const char *ip)
{
	struct prefix p;
	struct ip i;

	CHECK_OK(prefix_parse(span_str(prefix), &p));
	CHECK_OK(ip_parse(span_str(ip), &i));
	return prefix_contains(&p, &i);
}

static void a_prefix_contains_its_own_family_alone(void)
{
	CHECK(has("10.0.0.0/8", "10.255.0.1"));
	CHECK(!has("10.0.0.0/8", "11.0.0.0"));
	CHECK(has("0.0.0.0/0", "8.8.8.8"));
	CHECK(!has("0.0.0.0/0", "::1"));
	CHECK(has("::/0", "2001:db8::1"));
	CHECK(!has("::/0", "8.8.8.8"));
	CHECK(has("100.64.0.0/10", "100.127.255.255"));
	CHECK(!has("100.64.0.0/10", "100.128.0.0"));
	CHECK(has("1.2.3.4", "1.2.3.4"));
}

static void masking_agrees_with_containing(void)
{
	struct rand_src rand;

	rand_seeded(&rand, 3);
	for (int i = 0; i < 2000; i++) {
		struct prefix p;

		rand_fill(&rand, &p.ip, sizeof(p.ip));
		if (i % 2)
			p.ip = ip4_of(p.ip.b);
		p.bits = (uint8_t)rand_src_below(&rand, prefix_max_bits(&p) + 1u);

		struct prefix m = prefix_masked(p);

		CHECK(prefix_contains(&m, &p.ip) && prefix_contains(&p, &m.ip));
		CHECK(prefix_covers(&m, &p) && prefix_overlaps(&p, &m));
		CHECK_EQ(prefix_is4(&m), prefix_is4(&p));
	}
}

static void strict_prefixes_have_no_host_bits(void)
{
	struct prefix p;

	CHECK_OK(prefix_parse_strict(span_str("10.0.0.0/8"), &p));
	CHECK_EQ(prefix_parse_strict(span_str("10.0.0.1/8"), &p), ERR_MALFORMED);
	CHECK_EQ(prefix_parse_strict(span_str("10.0.0.1"), &p), ERR_MALFORMED);
}

int main(void)
{
	RUN(text_round_trips);
	RUN(bad_text_is_refused);
	RUN(an_endpoint_has_brackets_for_ipv6_alone);
	RUN(a_prefix_contains_its_own_family_alone);
	RUN(masking_agrees_with_containing);
	RUN(strict_prefixes_have_no_host_bits);
	return check_done();
}
