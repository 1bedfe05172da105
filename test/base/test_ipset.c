/* Address sets against a plain table of the addresses they hold. */
#include "base/ipset.h"

#include "base/mem.h"
#include "base/rand.h"
#include "test/check.h"

static void add(struct ipset *s, const char *text)
{
	struct iprange r;

	CHECK_OK(iprange_parse(span_str(text), &r));
	ipset_add_range(s, &r);
}

static void check_text(const struct ipset *s, const char *want)
{
	char got[512] = "", one[IPRANGE_TEXT_MAX];

	for (size_t i = 0; i < s->n; i++)
		(void)snprintf(got + strlen(got), sizeof(got) - strlen(got), "%s%s", i ? " " : "",
		               iprange_text(&s->v[i], one));
	CHECK_STR(got, want);
}

static void ranges_join_when_they_touch_but_never_across_families(void)
{
	AUTO_DONE(ipset) struct ipset s = { 0 };

	add(&s, "10.0.1.0/24");
	add(&s, "10.0.0.0/24");
	add(&s, "255.255.255.255");
	add(&s, "0:0:0:1::");
	add(&s, "fe80::1-fe80::9");
	ipset_seal(&s);
	check_text(&s, "10.0.0.0/23 255.255.255.255 0:0:0:1:: fe80::1-fe80::9");
}

static void everything_of_ipv6_leaves_ipv4_out(void)
{
	AUTO_DONE(ipset) struct ipset s = { 0 };
	struct prefix all6 = { { { 0 } }, 0 };
	struct ip four = ip4(1, 2, 3, 4);

	ipset_add_prefix(&s, &all6);
	ipset_seal(&s);
	CHECK_EQ(s.n, 2);
	CHECK(!ipset_has(&s, &four));
	ipset_add_all(&s);
	ipset_seal(&s);
	CHECK(ipset_has(&s, &four));
}

static void malformed_ranges_are_refused(void)
{
	static const char *const bad[] = { "",
		                           "*",
		                           "10.0.0.1/8",
		                           "10.0.0.9-10.0.0.1",
		                           "10.0.0.1-",
		                           "1.2.3.4-::1",
		                           "1.2.3.4-2.2.2.2-3.3.3.3" };
	struct iprange r;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		CHECK_EQ(iprange_parse(span_str(bad[i]), &r), ERR_MALFORMED);
}

static void a_range_splits_into_the_prefixes_that_make_it_up(void)
{
	struct iprange r;
	struct prefix p;
	char text[PREFIX_TEXT_MAX], got[256] = "";
	bool more = true;

	CHECK_OK(iprange_parse(SPAN_LIT("100.64.0.0-100.115.91.255"), &r));
	while (more) {
		more = iprange_cut_prefix(&r, &p);
		(void)snprintf(got + strlen(got), sizeof(got) - strlen(got), "%s ",
		               prefix_text(&p, text));
	}
	CHECK_STR(got, "100.64.0.0/11 100.96.0.0/12 100.112.0.0/15 100.114.0.0/16 100.115.0.0/18 "
	               "100.115.64.0/20 100.115.80.0/21 100.115.88.0/22 ");
}

/* A set of the addresses 10.0.0.0..63 drawn at random, beside the same as bits. */
static uint64_t draw(struct rand_src *rand, struct ipset *s)
{
	uint64_t bits = 0;

	for (uint64_t i = rand_src_below(rand, 6); i; i--) {
		uint8_t lo = (uint8_t)rand_src_below(rand, 64);
		uint8_t hi = (uint8_t)(lo + rand_src_below(rand, 64u - lo));
		struct iprange r = { ip4(10, 0, 0, lo), ip4(10, 0, 0, hi) };

		ipset_add_range(s, &r);
		for (unsigned b = lo; b <= hi; b++)
			bits |= UINT64_C(1) << b;
	}
	ipset_seal(s);
	return bits;
}

static void check_bits(const struct ipset *s, uint64_t bits)
{
	for (unsigned b = 0; b < 64; b++) {
		struct ip ip = ip4(10, 0, 0, (uint8_t)b);

		CHECK_EQ(ipset_has(s, &ip), bits >> b & 1);
	}
}

static void the_algebra_agrees_with_a_plain_table(void)
{
	struct rand_src rand;

	rand_seeded(&rand, 7);
	for (unsigned round = 0; round < 2000; round++) {
		AUTO_DONE(ipset) struct ipset a = { 0 };
		AUTO_DONE(ipset) struct ipset b = { 0 };
		AUTO_DONE(ipset) struct ipset both = { 0 };
		uint64_t x = draw(&rand, &a), y = draw(&rand, &b);

		CHECK_EQ(ipset_overlaps(&a, &b), (x & y) != 0);
		CHECK_EQ(ipset_covers(&a, &b), (y & ~x) == 0);
		ipset_add_set(&both, &a);
		ipset_add_set(&both, &b);
		ipset_seal(&both);
		check_bits(&both, x | y);
		ipset_subtract(&a, &b);
		check_bits(&a, x & ~y);
	}
}

int main(void)
{
	RUN(ranges_join_when_they_touch_but_never_across_families);
	RUN(everything_of_ipv6_leaves_ipv4_out);
	RUN(malformed_ranges_are_refused);
	RUN(a_range_splits_into_the_prefixes_that_make_it_up);
	RUN(the_algebra_agrees_with_a_plain_table);
	return check_done();
}
