#include "protocol/dnsmsg.h"

#include "base/rand.h"
#include "test/check.h"

static struct dns_name name(const char *text)
{
	struct dns_name n = { 0 };

	CHECK_OK(dns_name_of(span_str(text), &n));
	return n;
}

static void names_round_trip_in_lower_case(void)
{
	char text[DNS_NAME_TEXT_MAX];
	struct dns_name n = name("NAS.Tail.lab");

	CHECK_STR(dns_name_text(&n, text), "nas.tail.lab.");
	CHECK_EQ(n.labels, 3);
	n = name(".");
	CHECK_STR(dns_name_text(&n, text), ".");
	CHECK_EQ(n.n, 1);
}

static void bad_names_are_refused(void)
{
	static const char *const rows[] = { "a..b", ".a", "a.b..", ".." };
	char label[66], all[260];
	struct dns_name n;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		CHECK_EQ(dns_name_of(span_str(rows[i]), &n), ERR_MALFORMED);
	memset(label, 'a', sizeof(label));
	CHECK_OK(dns_name_of(span(label, 63), &n));
	CHECK_EQ(dns_name_of(span(label, 64), &n), ERR_LIMIT);
	for (size_t i = 0; i < sizeof(all); i++)
		all[i] = i % 2 ? '.' : 'a';
	CHECK_OK(dns_name_of(span(all, 253), &n));
	CHECK_EQ(n.n, 255);
	CHECK_EQ(dns_name_of(span(all, 255), &n), ERR_LIMIT);
}

static void a_suffix_matches_whole_labels(void)
{
	struct dns_name suffix = name("tail.lab"), root = name(".");
	struct dns_name in = name("nas.tail.lab"), same = name("TAIL.lab"), out = name("xtail.lab");

	CHECK(dns_name_under(&in, &suffix) && dns_name_under(&same, &suffix));
	CHECK(!dns_name_under(&out, &suffix) && !dns_name_under(&suffix, &in));
	CHECK(dns_name_under(&in, &root));

	struct dns_name parent = dns_name_parent(&in, 1);

	CHECK(dns_name_eq(&parent, &suffix));
	parent = dns_name_parent(&in, 9);
	CHECK(dns_name_eq(&parent, &root));
}

/* The label "nas.tail" with a dot inside is one label, not two. */
static void a_dot_inside_a_label_is_no_separator(void)
{
	uint8_t wire[] = { 8, 'n', 'a', 's', '.', 't', 'a', 'i', 'l', 3, 'l', 'a', 'b', 0 };
	struct rd r = rd_of(wire, sizeof(wire));
	struct dns_name n, suffix = name("tail.lab");
	char text[DNS_NAME_TEXT_MAX];

	CHECK_OK(dns_name_read(&r, SPAN_OF(wire), &n));
	CHECK(!dns_name_under(&n, &suffix));
	CHECK_STR(dns_name_text(&n, text), "nas\\046tail.lab.");
}

static void reverse_names_are_addresses(void)
{
	static const char *const ips[] = { "100.64.0.1", "fd7a:115c:a1e0::53", "::1", "0.0.0.0" };
	struct ip ip, back;
	char text[DNS_NAME_TEXT_MAX];

	for (size_t i = 0; i < ARRAY_LEN(ips); i++) {
		CHECK_OK(ip_parse(span_str(ips[i]), &ip));

		struct dns_name n = dns_name_reverse(&ip);

		CHECK_OK(dns_name_address(&n, &back));
		CHECK(ip_eq(&ip, &back));
	}
	CHECK_OK(ip_parse(span_str("100.64.0.1"), &ip));

	struct dns_name n = dns_name_reverse(&ip);

	CHECK_STR(dns_name_text(&n, text), "1.0.64.100.in-addr.arpa.");
	n = name("256.0.0.1.in-addr.arpa");
	CHECK_EQ(dns_name_address(&n, &back), ERR_MALFORMED);
	n = name("1.0.0.in-addr.arpa");
	CHECK_EQ(dns_name_address(&n, &back), ERR_MALFORMED);
}

static void compression_loops_end(void)
{
	uint8_t self[] = { 0xc0, 0 }, pair[] = { 0xc0, 2, 0xc0, 0 };
	uint8_t grow[] = { 1, 'a', 0xc0, 0 }, past[] = { 0xc0, 9 };
	struct span rows[] = { SPAN_OF(self), SPAN_OF(pair), SPAN_OF(grow), SPAN_OF(past) };
	struct dns_name n;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct rd r = rd_span(rows[i]);

		CHECK(dns_name_read(&r, rows[i], &n) < 0);
	}
}

/* dig +bufsize=1232 nas.tail.lab */
static const char query_hex[] = "1234012000010000000000010363617404746169"
				"6c036c61620000010001000029"
				"04d0000000000000";

static size_t make_query(uint8_t *dst, size_t cap)
{
	return check_hex(dst, cap, query_hex);
}

static void a_query_is_read_with_its_edns(void)
{
	uint8_t msg[128];
	size_t n = make_query(msg, sizeof(msg));
	struct dns_query q;
	char text[DNS_NAME_TEXT_MAX];

	CHECK_OK(dns_query_read(span(msg, n), &q));
	CHECK_EQ(q.id, 0x1234);
	CHECK(q.recursion && q.edns && !q.dnssec_ok);
	CHECK_EQ(q.udp_size, 1232);
	CHECK_EQ(q.type, DNS_A);
	CHECK_STR(dns_name_text(&q.name, text), "cat.tail.lab.");
	for (size_t cut = 0; cut < q.question_end; cut++)
		CHECK(dns_query_read(span(msg, cut), &q) < 0);
	CHECK_OK(dns_query_read(span(msg, n), &q));
	msg[2] |= 0x80;
	CHECK_EQ(dns_query_read(span(msg, n), &q), ERR_BADSTATE);
	msg[2] = 0x28;
	CHECK_EQ(dns_query_read(span(msg, n), &q), ERR_VERSION);
	msg[2] = 1;
	msg[5] = 2;
	CHECK_EQ(dns_query_read(span(msg, n), &q), ERR_MALFORMED);
}

static void an_answer_is_read_back(void)
{
	uint8_t msg[128], out[512];
	size_t n = make_query(msg, sizeof(msg));
	struct dns_query q;
	struct dns_answer a;
	struct dns_result res;
	struct ip ip = ip4(100, 64, 0, 9), got[2];

	CHECK_OK(dns_query_read(span(msg, n), &q));
	dns_answer_start(&a, &q, out, sizeof(out), DNS_NOERROR, true);
	dns_answer_ip(&a, &ip, 5);
	n = dns_answer_end(&a);
	CHECK_OK(dns_result_read(span(out, n), &q, &res));
	CHECK_EQ(res.rcode, DNS_NOERROR);
	CHECK_EQ(res.answers, 1);
	CHECK_EQ(res.ttl_s, 5);
	CHECK_EQ(dns_addresses(span(out, n), got, 2), 1);
	CHECK(ip_eq(&got[0], &ip));
	dns_age(out, n, 3);
	CHECK_OK(dns_result_read(span(out, n), &q, &res));
	CHECK_EQ(res.ttl_s, 2);
	dns_age(out, n, 30);
	CHECK_OK(dns_result_read(span(out, n), &q, &res));
	CHECK_EQ(res.ttl_s, 0);
	out[0] ^= 1;
	CHECK_EQ(dns_result_read(span(out, n), &q, &res), ERR_BADSTATE);
	out[0] ^= 1;
	out[14] = 'x';
	CHECK_EQ(dns_result_read(span(out, n), &q, &res), ERR_BADSTATE);
}

static void what_does_not_fit_is_cut_between_records(void)
{
	uint8_t msg[128], out[80];
	size_t n = make_query(msg, sizeof(msg));
	struct dns_query q;
	struct dns_answer a;
	struct dns_result res;
	struct ip ip = ip4(100, 64, 0, 9);

	CHECK_OK(dns_query_read(span(msg, n), &q));
	dns_answer_start(&a, &q, out, sizeof(out), DNS_NOERROR, true);
	for (int i = 0; i < 5; i++)
		dns_answer_ip(&a, &ip, 5);
	n = dns_answer_end(&a);
	CHECK(n > 0 && n <= sizeof(out));
	CHECK_OK(dns_result_read(span(out, n), &q, &res));
	CHECK(res.truncated);
	CHECK_EQ(res.answers, 2);
}

static void a_negative_answer_is_kept_as_its_soa_says(void)
{
	uint8_t msg[128], out[512];
	size_t n = make_query(msg, sizeof(msg));
	struct dns_query q;
	struct dns_answer a;
	struct dns_result res;
	struct dns_name zone = name("tail.lab");

	CHECK_OK(dns_query_read(span(msg, n), &q));
	dns_answer_start(&a, &q, out, sizeof(out), DNS_NXDOMAIN, true);
	dns_answer_soa(&a, &zone, 10);
	n = dns_answer_end(&a);
	CHECK_OK(dns_result_read(span(out, n), &q, &res));
	CHECK_EQ(res.rcode, DNS_NXDOMAIN);
	CHECK_EQ(res.ttl_s, 10);
	for (size_t cut = 0; cut < n; cut++)
		CHECK(dns_result_read(span(out, cut), &q, &res) < 0 || cut >= n - 11);
}

int main(void)
{
	RUN(names_round_trip_in_lower_case);
	RUN(bad_names_are_refused);
	RUN(a_suffix_matches_whole_labels);
	RUN(a_dot_inside_a_label_is_no_separator);
	RUN(reverse_names_are_addresses);
	RUN(compression_loops_end);
	RUN(a_query_is_read_with_its_edns);
	RUN(an_answer_is_read_back);
	RUN(what_does_not_fit_is_cut_between_records);
	RUN(a_negative_answer_is_kept_as_its_soa_says);
	return check_done();
}
