#include "datapath/via6.h"

#include "datapath/via6_flows.h"
#include "protocol/ippkt.h"
#include "test/check.h"

enum { MAX = 2048 };

static const uint64_t key[2] = { 1, 2 };
static const mono now = { 1000000 };
static const uint8_t lan[4] = { 192, 168, 1, 10 };

struct packet {
	uint8_t bytes[MAX];
	size_t at, n; /* where it is; there is room before it and behind it */
};

#define P(k) ((k).bytes + (k).at)

static struct via6 *translator(void)
{
	return via6_new(key);
}

static struct ip client(void)
{
	return (struct ip){ { 0xfd, 0x7a, 0x11, 0x5c, 0xa1, 0xe0, [15] = 9 } };
}

/* The checksum of a whole packet's transport is right. */
static bool is_right(const uint8_t *p, size_t n)
{
	struct ippkt k;
	uint32_t start = 0;

	ippkt_parse(span(p, n), &k);
	if (k.proto == IPPKT_UNKNOWN || k.len != n)
		return false;
	if (k.version == 4 && ip_checksum(span(p, k.transport), 0) != 0)
		return false;
	if (k.proto != IPPKT_ICMP)
		start = ip_pseudo_sum(&k.src, &k.dst, k.proto, (uint32_t)(n - k.transport));
	return ip_checksum(span(p + k.transport, n - k.transport), start) == 0;
}

static void sum_up(uint8_t *p, size_t n, size_t sum_at)
{
	struct ippkt k;
	uint32_t start;
	size_t head = p[0] >> 4 == 6 ? 40 : 20;
	uint8_t proto = p[0] >> 4 == 6 ? p[6] : p[9];

	ippkt_parse(span(p, n), &k);
	start = proto == IPPKT_ICMP ? 0
	                            : ip_pseudo_sum(&k.src, &k.dst, proto, (uint32_t)(n - head));
	put_be16(p + head + sum_at, 0);
	put_be16(p + head + sum_at, ip_checksum(span(p + head, n - head), start));
}

static size_t sum_at(uint8_t proto)
{
	return proto == IPPKT_TCP ? 16 : proto == IPPKT_UDP ? 6 : 2;
}

/* From src to dst with this transport: ports a and b, or an echo of this type with identifier a. */
static struct packet make(const struct ip *src, const struct ip *dst, uint8_t proto, uint16_t a,
                          uint16_t b, uint8_t type)
{
	struct packet k = { .at = VIA6_GROWTH };
	size_t body = 60;

	ip_header_write(P(k), src, dst, proto, body);
	k.n = ip_header_size(src) + body;

	uint8_t *t = P(k) + ip_header_size(src);

	for (size_t i = 0; i < body; i++)
		t[i] = (uint8_t)(i * 7);
	if (proto == IPPKT_ICMP || proto == IPPKT_ICMP6) {
		t[0] = type;
		t[1] = 0;
		put_be16(t + 4, a);
	} else {
		put_be16(t, a);
		put_be16(t + 2, b);
		t[12] = proto == IPPKT_TCP ? 0x50 : t[12];
		t[13] = proto == IPPKT_TCP ? TCP_ACK : t[13];
		if (proto == IPPKT_UDP)
			put_be16(t + 4, (uint16_t)body);
	}
	sum_up(P(k), k.n, sum_at(proto));
	return k;
}

static struct packet to_site(uint32_t site, uint8_t proto, uint16_t port)
{
	struct ip src = client(), dst = via6_address(site, lan);

	return make(&src, &dst, proto, port, 80, 128);
}

static int to_host(struct via6 *v, struct packet *k)
{
	uint8_t *p = P(*k);
	int r = via6_to_host(v, now, &p, &k->n);

	k->at = (size_t)(p - k->bytes);
	return r;
}

/* What the host answers to a packet it was given. */
static struct packet reply_to(const struct packet *q)
{
	struct ippkt k;

	ippkt_parse(span(P(*q), q->n), &k);
	if (k.proto == IPPKT_ICMP)
		return make(&k.dst, &k.src, k.proto, be16_at(P(*q) + 24), 0, 0);
	return make(&k.dst, &k.src, k.proto, k.dst_port, k.src_port, 0);
}

static const uint8_t protos[] = { IPPKT_TCP, IPPKT_UDP, IPPKT_ICMP6 };

static void there_and_back_all_is_as_it_was_and_checksums_are_right(void)
{
	for (size_t i = 0; i < ARRAY_LEN(protos); i++) {
		AUTO(via6_free) struct via6 *v = translator();
		struct packet q = to_site(7, protos[i], 1234), back;
		struct ippkt k;

		CHECK(via6_is_out(P(q)));
		CHECK_OK(to_host(v, &q));
		CHECK_EQ(q.n, 80);
		CHECK(is_right(P(q), q.n));
		ippkt_parse(span(P(q), q.n), &k);
		CHECK(ip_eq(&k.src, &VIA6_HOST) && memcmp(ip_v4(&k.dst), lan, 4) == 0);
		CHECK(protos[i] == IPPKT_ICMP6 ? ippkt_is_echo_request(&k) : k.dst_port == 80);

		back = reply_to(&q);
		CHECK(via6_is_back(P(back)));
		CHECK_OK(via6_to_client(v, now, back.bytes, &back.n));
		CHECK_EQ(back.n, 100);
		CHECK(is_right(back.bytes, back.n));
		ippkt_parse(span(back.bytes, back.n), &k);

		struct ip site = via6_address(7, lan), who = client();

		CHECK(ip_eq(&k.src, &site) && ip_eq(&k.dst, &who));
		CHECK(protos[i] == IPPKT_ICMP6
		              ? ippkt_is_echo_reply(&k) && be16_at(back.bytes + 44) == 1234
		              : k.src_port == 80 && k.dst_port == 1234);
	}
}

static void two_sites_with_one_address_are_kept_apart(void)
{
	AUTO(via6_free) struct via6 *v = translator();
	struct packet a = to_site(7, IPPKT_UDP, 1234), b = to_site(8, IPPKT_UDP, 1234), back;
	struct ip site = via6_address(8, lan);

	CHECK_OK(to_host(v, &a));
	CHECK_OK(to_host(v, &b));
	CHECK(be16_at(P(a) + 20) != be16_at(P(b) + 20));
	back = reply_to(&b);
	CHECK_OK(via6_to_client(v, now, back.bytes, &back.n));
	CHECK(memcmp(back.bytes + 8, site.b, 16) == 0);
}

static void what_nobody_began_is_not_let_back(void)
{
	AUTO(via6_free) struct via6 *v = translator();
	struct packet q = to_site(7, IPPKT_UDP, 1234), back;

	CHECK_OK(to_host(v, &q));
	back = reply_to(&q);
	P(back)[20]++; /* another port of the same host */
	CHECK_EQ(via6_to_client(v, now, back.bytes, &back.n), ERR_UNKNOWN);
	back = reply_to(&q);
	P(back)[15]++; /* another host */
	CHECK_EQ(via6_to_client(v, now, back.bytes, &back.n), ERR_UNKNOWN);
	back = reply_to(&q);
	P(back)[23] ^= 1; /* another conversation */
	CHECK_EQ(via6_to_client(v, now, back.bytes, &back.n), ERR_UNKNOWN);
}

static void what_is_the_router_s_alone_is_refused(void)
{
	static const uint8_t bad[][4] = { { 127, 0, 0, 1 },       { 0, 0, 0, 0 },
		                          { 169, 254, 169, 254 }, { 224, 0, 0, 251 },
		                          { 100, 64, 0, 1 },      { 100, 127, 255, 1 },
		                          { 192, 0, 0, 6 },       { 255, 255, 255, 255 } };

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		AUTO(via6_free) struct via6 *v = translator();
		struct ip src = client(), dst = via6_address(7, bad[i]);
		struct packet q = make(&src, &dst, IPPKT_TCP, 1, 2, 0);

		CHECK_EQ(to_host(v, &q), ERR_DENIED);
	}
}

/* Puts an IPv6 fragment's header into a packet of `n` bytes in all. */
static void fragment6(struct packet *k, uint16_t offset, bool more, size_t n)
{
	memmove(P(*k) + 48, P(*k) + 40, n - 48);
	P(*k)[40] = P(*k)[6];
	P(*k)[6] = 44;
	P(*k)[41] = 0;
	put_be16(P(*k) + 42, (uint16_t)(offset << 3 | more));
	put_be32(P(*k) + 44, 0xabcd1234);
	put_be16(P(*k) + 4, (uint16_t)(n - 40));
	k->n = n;
}

static void fragments_of_a_datagram_keep_together_both_ways(void)
{
	AUTO(via6_free) struct via6 *v = translator();
	struct packet first = to_site(7, IPPKT_UDP, 1234), last = first, back;

	fragment6(&first, 0, true, 40 + 8 + 48);
	fragment6(&last, 100, false, 40 + 8 + 20);
	CHECK_OK(to_host(v, &first));
	CHECK_OK(to_host(v, &last));
	CHECK_EQ(first.n, 20 + 48);
	CHECK_EQ(last.n, 20 + 20);
	CHECK_EQ(be16_at(P(first) + 4), be16_at(P(last) + 4));
	CHECK_EQ(be16_at(P(first) + 6), 0x2000);
	CHECK_EQ(be16_at(P(last) + 6), 100);
	CHECK(memcmp(P(first) + 12, P(last) + 12, 8) == 0);

	back = reply_to(&first);
	put_be16(P(back) + 4, 77);
	put_be16(P(back) + 6, 0x2000);
	CHECK_OK(via6_to_client(v, now, back.bytes, &back.n));
	CHECK_EQ(back.n, 40 + 8 + 60);
	CHECK_EQ(be16_at(back.bytes + 42), 1);
	back = reply_to(&first);
	put_be16(P(back) + 4, 77);
	put_be16(P(back) + 6, 90);
	CHECK_OK(via6_to_client(v, now, back.bytes, &back.n));
	CHECK_EQ(back.bytes[40], IPPKT_UDP);
	CHECK_EQ(be16_at(back.bytes + 42), 90 << 3);
	CHECK_EQ(be32_at(back.bytes + 44), 77);
	back = reply_to(&first);
	put_be16(P(back) + 4, 78);
	put_be16(P(back) + 6, 90);
	CHECK_EQ(via6_to_client(v, now, back.bytes, &back.n), ERR_UNKNOWN);
}

static void udp_without_a_checksum_gets_one(void)
{
	AUTO(via6_free) struct via6 *v = translator();
	struct packet q = to_site(7, IPPKT_UDP, 1234), back;

	CHECK_OK(to_host(v, &q));
	back = reply_to(&q);
	put_be16(P(back) + 26, 0);
	CHECK_OK(via6_to_client(v, now, back.bytes, &back.n));
	CHECK(is_right(back.bytes, back.n));
}

/* An ICMP error of the host, from `from`, about what it was given. */
static struct packet complaint4(const struct packet *about, uint8_t type, uint8_t code,
                                uint32_t word)
{
	struct ip from = ip4(192, 168, 1, 1);
	struct packet k = { .at = VIA6_GROWTH, .n = 20 + 8 + 20 + 8 };

	ip_header_write(P(k), &from, &VIA6_HOST, IPPKT_ICMP, k.n - 20);
	P(k)[20] = type;
	P(k)[21] = code;
	put_be32(P(k) + 24, word);
	memcpy(P(k) + 28, P(*about), 28);
	sum_up(P(k), k.n, 2);
	return k;
}

static void errors_reach_the_client_about_what_it_sent(void)
{
	/* clang-format off */
	static const struct { uint8_t type, code, want, want_code; uint32_t word, want_word; } rows[] = {
		{ 3, 3, 1, 4, 0, 0 },
		{ 3, 1, 1, 0, 0, 0 },
		{ 3, 13, 1, 1, 0, 0 },
		{ 3, 4, 2, 0, 1400, 1420 },
		{ 3, 4, 2, 0, 600, 1280 },
		{ 11, 0, 3, 0, 0, 0 },
	};
	/* clang-format on */

	for (size_t i = 0; i < ARRAY_LEN(rows) * ARRAY_LEN(protos); i++) {
		AUTO(via6_free) struct via6 *v = translator();
		uint8_t proto = protos[i % ARRAY_LEN(protos)];
		struct packet asked = to_site(7, proto, 1234), q = asked, e;

		CHECK_OK(to_host(v, &q));
		e = complaint4(&q, rows[i / 3].type, rows[i / 3].code, rows[i / 3].word);
		CHECK_OK(via6_to_client(v, now, e.bytes, &e.n));
		CHECK(is_right(e.bytes, e.n));
		CHECK_EQ(e.bytes[40], rows[i / 3].want);
		CHECK_EQ(e.bytes[41], rows[i / 3].want_code);
		CHECK_EQ(be32_at(e.bytes + 44), rows[i / 3].want_word);
		/* What it sent: addresses, ports, and as far as it is quoted the checksum. */
		CHECK(memcmp(e.bytes + 48 + 8, P(asked) + 8, 32) == 0);
		CHECK(memcmp(e.bytes + 48 + 40, P(asked) + 40, 8) == 0);
	}
}

static void errors_of_the_client_reach_who_answered(void)
{
	for (size_t i = 0; i < ARRAY_LEN(protos); i++) {
		AUTO(via6_free) struct via6 *v = translator();
		struct packet q = to_site(7, protos[i], 1234), back,
			      e = { .at = VIA6_GROWTH, .n = 40 + 8 + 40 + 8 };
		struct ip from = client(), to = via6_address(7, lan);
		uint8_t answered[28];

		CHECK_OK(to_host(v, &q));
		back = reply_to(&q);
		memcpy(answered, P(back), 28);
		CHECK_OK(via6_to_client(v, now, back.bytes, &back.n));
		ip_header_write(P(e), &from, &to, IPPKT_ICMP6, e.n - 40);
		P(e)[40] = 1;
		P(e)[41] = 4;
		memcpy(P(e) + 48, back.bytes, 48);
		sum_up(P(e), e.n, 2);
		CHECK_OK(to_host(v, &e));
		CHECK(is_right(P(e), e.n));
		CHECK(P(e)[20] == 3 && P(e)[21] == 3);
		CHECK(memcmp(P(e) + 28 + 12, answered + 12, 16) == 0);
	}
}

static void a_full_table_forgets_who_would_end_first(void)
{
	struct via6_flows *t = via6_flows_new(key);
	struct via6_key old = { .client = client(), .proto = IPPKT_TCP, .client_port = 1 }, k = old;
	struct via6_flow *f = via6_flow_get(t, &old);

	via6_flow_touch(f, now, TCP_SYN);
	k.proto = IPPKT_UDP;
	for (uint32_t i = 0; i < 4 * VIA6_FLOWS; i++) {
		k.port = (uint16_t)i;
		k.client_port = (uint16_t)(i >> 16);
		f = via6_flow_get(t, &k);
		via6_flow_touch(f, now, 0);
		CHECK(via6_flow_at(t, via6_flow_port(t, f)) == f);
	}
	CHECK(via6_flow_find(t, &old) != NULL);
	CHECK(via6_flow_find(t, &k) == f);
	CHECK(via6_flow_at(t, VIA6_PORT_FIRST - 1) == NULL);
	CHECK(via6_flow_at(t, VIA6_PORT_FIRST + VIA6_FLOWS) == NULL);
	via6_flows_free(t);
}

static void any_truncation_and_any_flipped_bit_is_survived(void)
{
	for (size_t i = 0; i < ARRAY_LEN(protos); i++) {
		AUTO(via6_free) struct via6 *v = translator();
		struct packet whole = to_site(7, protos[i], 1234), q = whole, e;

		CHECK_OK(to_host(v, &q));
		e = complaint4(&q, 3, 3, 0);
		for (size_t at = 0; at < 8 * e.n; at++) {
			struct packet x = e;

			P(x)[at / 8] ^= (uint8_t)(1 << at % 8);
			(void)!via6_to_client(v, now, x.bytes, &x.n);
			CHECK(x.n <= e.n + VIA6_ROOM);
			x = whole;
			P(x)[at / 8] ^= (uint8_t)(1 << at % 8);
			(void)!to_host(v, &x);
			x = e;
			x.n = at / 8 > 20 ? at / 8 : 20;
			(void)!via6_to_client(v, now, x.bytes, &x.n);
		}
	}
}

int main(void)
{
	RUN(there_and_back_all_is_as_it_was_and_checksums_are_right);
	RUN(two_sites_with_one_address_are_kept_apart);
	RUN(what_nobody_began_is_not_let_back);
	RUN(what_is_the_router_s_alone_is_refused);
	RUN(fragments_of_a_datagram_keep_together_both_ways);
	RUN(udp_without_a_checksum_gets_one);
	RUN(errors_reach_the_client_about_what_it_sent);
	RUN(errors_of_the_client_reach_who_answered);
	RUN(a_full_table_forgets_who_would_end_first);
	RUN(any_truncation_and_any_flipped_bit_is_survived);
	return check_done();
}
