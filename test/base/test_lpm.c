#include "base/lpm.h"

#include "base/rand.h"
#include "test/check.h"

static struct prefix prefix_of(const char *text)
{
	struct prefix p = { 0 };

	CHECK_OK(prefix_parse(span_str(text), &p));
	return p;
}

static struct ip ip_of(const char *text)
{
	struct ip ip = { 0 };

	CHECK_OK(ip_parse(span_str(text), &ip));
	return ip;
}

struct row {
	const char *what;
	char owner; /* 'a'..'h' */
};

static struct lpm_owner owners[8];

static struct lpm_owner *owner_of(char letter)
{
	return &owners[letter - 'a'];
}

static void insert_all(struct lpm *t, const struct row *rows)
{
	for (; rows->what; rows++)
		lpm_insert(t, prefix_of(rows->what), owner_of(rows->owner));
}

static void expect_all(const struct lpm *t, const struct row *rows)
{
	for (; rows->what; rows++) {
		struct ip ip = ip_of(rows->what);
		struct lpm_owner *got = lpm_find(t, &ip);

		if (got != owner_of(rows->owner))
			check_fail(__FILE__, __LINE__, "%s belongs to %c, wanted %c", rows->what,
			           got ? (char)('a' + (got - owners)) : '-', rows->owner);
	}
}

static void start(struct lpm *t)
{
	*t = (struct lpm){ 0 };
	memset(owners, 0, sizeof(owners));
}

/* The tables of the kernel's selftest (selftest/allowedips.c). */
/* clang-format off */
static const struct row in4[] = {
	{ "192.168.4.0/24", 'a' }, { "192.168.4.4/32", 'b' }, { "192.168.0.0/16", 'c' },
	{ "192.95.5.64/27", 'd' }, { "192.95.5.65/27", 'c' }, { "0.0.0.0/0", 'e' },
	{ "64.15.112.0/20", 'g' }, { "64.15.123.211/25", 'h' }, { "10.0.0.0/25", 'a' },
	{ "10.0.0.128/25", 'b' }, { "10.1.0.0/30", 'a' }, { "10.1.0.4/30", 'b' },
	{ "10.1.0.8/29", 'c' }, { "10.1.0.16/29", 'd' }, { 0 },
};
static const struct row want4[] = {
	{ "192.168.4.20", 'a' }, { "192.168.4.0", 'a' }, { "192.168.4.4", 'b' },
	{ "192.168.200.182", 'c' }, { "192.95.5.68", 'c' }, { "192.95.5.96", 'e' },
	{ "64.15.116.26", 'g' }, { "64.15.127.3", 'g' }, { "64.15.123.1", 'g' },
	{ "64.15.123.128", 'h' }, { "64.15.123.129", 'h' }, { "10.0.0.52", 'a' },
	{ "10.0.0.220", 'b' }, { "10.1.0.2", 'a' }, { "10.1.0.6", 'b' }, { "10.1.0.10", 'c' },
	{ "10.1.0.20", 'd' }, { 0 },
};
static const struct row in6[] = {
	{ "2607:5300:6000:6b00::c05f:543/128", 'd' }, { "2607:5300:6000:6b00::/64", 'c' },
	{ "::/0", 'e' }, { "::/0", 'f' }, { "2404:6800::/32", 'g' },
	{ "2404:6800:4004:800:dead:beef:dead:beef/64", 'h' },
	{ "2404:6800:4004:800:dead:beef:dead:beef/128", 'a' },
	{ "2444:6800:40e4:800:deae:beef:def:beef/128", 'c' },
	{ "2444:6800:f0e4:800:eeae:beef::/98", 'b' }, { 0 },
};
static const struct row want6[] = {
	{ "2607:5300:6000:6b00::c05f:543", 'd' }, { "2607:5300:6000:6b00::c02e:1ee", 'c' },
	{ "2607:5300:6000:6b01::", 'f' }, { "2404:6800:4004:806::1006", 'g' },
	{ "2404:6800:4004:806:0:1234:0:5678", 'g' }, { "2404:67ff:4004:806:0:1234:0:5678", 'f' },
	{ "2404:6801:4004:806:0:1234:0:5678", 'f' }, { "2404:6800:4004:800:0:1234:0:5678", 'h' },
	{ "2404:6800:4004:800::", 'h' }, { "2404:6800:4004:800:1010:1010:1010:1010", 'h' },
	{ "2404:6800:4004:800:dead:beef:dead:beef", 'a' }, { 0 },
};
/* clang-format on */

static void the_longest_prefix_wins_in_both_families(void)
{
	struct lpm t;

	start(&t);
	insert_all(&t, in4);
	expect_all(&t, want4);
	insert_all(&t, in6);
	expect_all(&t, want4);
	expect_all(&t, want6);
	for (size_t i = 0; i < ARRAY_LEN(owners); i++)
		lpm_remove_all(&t, &owners[i]);
	CHECK_EQ(t.n, 0);
	CHECK(!t.root[0] && !t.root[1]);
	lpm_done(&t);
}

static void removing_an_owner_takes_all_it_has(void)
{
	static const char *const lone[] = { "1.0.0.0", "64.0.0.0", "128.0.0.0", "192.0.0.0",
		                            "255.0.0.0" };
	struct lpm t;

	start(&t);
	for (size_t i = 0; i < ARRAY_LEN(lone); i++)
		lpm_insert(&t, prefix_of(lone[i]), owner_of('a'));
	lpm_insert(&t, prefix_of("192.168.0.0/16"), owner_of('a'));
	lpm_insert(&t, prefix_of("192.168.0.0/24"), owner_of('a'));
	lpm_remove_all(&t, owner_of('a'));
	for (size_t i = 0; i < ARRAY_LEN(lone); i++) {
		struct ip ip = ip_of(lone[i]);

		CHECK(!lpm_find(&t, &ip));
	}
	CHECK(!t.root[0]);
	lpm_done(&t);
}

static void one_prefix_goes_only_with_its_length_and_its_owner(void)
{
	struct lpm t;

	start(&t);
	lpm_insert(&t, prefix_of("10.0.0.0/8"), owner_of('a'));
	CHECK(!lpm_remove(&t, prefix_of("10.0.0.0/9"), owner_of('a')));
	CHECK(!lpm_remove(&t, prefix_of("10.0.0.0/8"), owner_of('b')));
	CHECK(!lpm_remove(&t, prefix_of("::/8"), owner_of('a')));
	CHECK(lpm_get(&t, prefix_of("10.0.0.0/8")) == owner_of('a'));
	CHECK(lpm_remove(&t, prefix_of("10.9.0.0/8"), owner_of('a')));
	CHECK(!lpm_get(&t, prefix_of("10.0.0.0/8")));
	CHECK_EQ(t.n, 0);
	lpm_done(&t);
}

static void an_owner_lists_masked_prefixes_oldest_first(void)
{
	static const char *const in[] = { "192.95.5.93/27", "2607:5300:6000:6b00::c05f:543/128",
		                          "10.1.0.20/29",
		                          "2607:5300:6d8a:6bf8:dab1:f1df:c05f:1523/83",
		                          "2607:5300:6d8a:6bf8:dab1:f1df:c05f:1523/21" };
	static const char *const want[] = { "2607:5300:6000:6b00::c05f:543/128", "10.1.0.16/29",
		                            "2607:5300:6d8a:6bf8:dab1:e000::/83", "2607:5000::/21",
		                            "192.95.5.64/27" };
	struct lpm t;
	char text[PREFIX_TEXT_MAX];
	struct prefix p;
	uint32_t at = 0;
	size_t n = 0;

	start(&t);
	for (size_t i = 0; i < ARRAY_LEN(in); i++)
		lpm_insert(&t, prefix_of(in[i]), owner_of('a'));
	lpm_insert(&t, prefix_of("192.95.5.64/27"), owner_of('b')); /* moved away and back: last */
	lpm_insert(&t, prefix_of("192.95.5.64/27"), owner_of('a'));
	for (; lpm_each(&t, owner_of('a'), &at, &p); n++)
		CHECK_STR(prefix_text(&p, text), want[n]);
	CHECK_EQ(n, 5);
	CHECK_EQ(owner_of('a')->n, 5);
	CHECK_EQ(owner_of('b')->n, 0);
	lpm_done(&t);
}

static void a_trie_as_deep_as_an_address_is_long_works(void)
{
	struct lpm t;

	start(&t);
	for (unsigned bits = 0; bits <= 128; bits++) {
		struct prefix p = { .bits = (uint8_t)bits };

		memset(p.ip.b, 0xfe, 16);
		lpm_insert(&t, p, &owners[bits % 8]);
	}

	struct ip ip;

	memset(ip.b, 0xfe, 16);
	CHECK(lpm_find(&t, &ip) == &owners[0]);
	ip.b[15] ^= 1;
	CHECK(lpm_find(&t, &ip) == &owners[127 % 8]);
	for (size_t i = 0; i < 8; i++)
		lpm_remove_all(&t, &owners[i]);
	CHECK(!t.root[1]);
	lpm_done(&t);
}

/* ---- against a list ------------------------------------------------------ */

enum { PEERS = 64, MODEL_MAX = 1200 };

struct model {
	struct {
		struct prefix p;
		unsigned owner;
	} v[MODEL_MAX];
	size_t n;
};

static struct lpm_owner many[PEERS];

static size_t model_at(const struct model *m, const struct prefix *p)
{
	for (size_t i = 0; i < m->n; i++) {
		if (prefix_eq(&m->v[i].p, p))
			return i;
	}
	return m->n;
}

static struct lpm_owner *model_find(const struct model *m, const struct ip *ip)
{
	int best = -1;
	struct lpm_owner *owner = NULL;

	for (size_t i = 0; i < m->n; i++) {
		if (m->v[i].p.bits > best && prefix_contains(&m->v[i].p, ip)) {
			best = m->v[i].p.bits;
			owner = &many[m->v[i].owner];
		}
	}
	return owner;
}

/* Addresses close together, so that prefixes nest. */
static struct prefix random_prefix(struct rand_src *rand)
{
	struct prefix p;

	if (rand_src_below(rand, 2)) {
		uint32_t v = rand_src_u32(rand) & UINT32_C(0x0f0f0f0f);

		p.ip = ip4((uint8_t)(v >> 24), (uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v);
		p.bits = (uint8_t)rand_src_below(rand, 33);
	} else {
		rand_fill(rand, p.ip.b, 16);
		for (size_t i = 0; i < 16; i++)
			p.ip.b[i] &= 0x11;
		p.bits = (uint8_t)rand_src_below(rand, 129);
	}
	return prefix_masked(p);
}

static void model_change(struct model *m, struct lpm *t, struct rand_src *rand)
{
	struct prefix p = random_prefix(rand);
	unsigned owner = (unsigned)rand_src_below(rand, PEERS);
	size_t at = model_at(m, &p);

	if (rand_src_below(rand, 4) == 0) {
		bool there = at < m->n && m->v[at].owner == owner;

		CHECK_EQ(lpm_remove(t, p, &many[owner]), there);
		if (there)
			m->v[at] = m->v[--m->n];
	} else if (at < m->n || m->n < MODEL_MAX) {
		lpm_insert(t, p, &many[owner]);
		m->v[at].p = p;
		m->v[at].owner = owner;
		if (at == m->n)
			m->n++;
	}
}

static void model_compare(const struct model *m, const struct lpm *t, struct rand_src *rand,
                          unsigned lookups)
{
	for (unsigned i = 0; i < lookups; i++) {
		struct ip ip = random_prefix(rand).ip;

		if (lpm_find(t, &ip) != model_find(m, &ip))
			check_fail(__FILE__, __LINE__, "lookup %u differs", i);
	}
	CHECK_EQ(t->n, m->n);
}

static void random_changes_agree_with_a_list(void)
{
	static struct model m;
	struct rand_src rand;
	struct lpm t = { 0 };

	rand_seeded(&rand, 7);
	for (unsigned round = 0; round < 40; round++) {
		for (unsigned i = 0; i < 100; i++)
			model_change(&m, &t, &rand);
		model_compare(&m, &t, &rand, 200);
	}

	uint32_t used = t.used;

	for (unsigned o = 0; o < PEERS; o++) {
		lpm_remove_all(&t, &many[o]);
		for (size_t i = m.n; i-- > 0;) {
			if (m.v[i].owner == o)
				m.v[i] = m.v[--m.n];
		}
		model_compare(&m, &t, &rand, 50);
	}
	CHECK_EQ(t.n, 0);
	CHECK(!t.root[0] && !t.root[1]);
	for (uint32_t i = 1; i < used; i++) /* every node is free again */
		lpm_insert(&t, (struct prefix){ ip4((uint8_t)(i >> 8), (uint8_t)i, 0, 0), 32 },
		           &many[0]);
	CHECK(t.used <= 2 * used);
	lpm_done(&t);
}

int main(void)
{
	RUN(the_longest_prefix_wins_in_both_families);
	RUN(removing_an_owner_takes_all_it_has);
	RUN(one_prefix_goes_only_with_its_length_and_its_owner);
	RUN(an_owner_lists_masked_prefixes_oldest_first);
	RUN(a_trie_as_deep_as_an_address_is_long_works);
	RUN(random_changes_agree_with_a_list);
	return check_done();
}
