#include "protocol/icmp.h"

#include <string.h>

#include "base/wire.h"
#include "test/check.h"

static struct ip ip_of(const char *text)
{
	struct ip ip;

	CHECK(ip_parse(span_str(text), &ip) == 0);
	return ip;
}

static const uint8_t data[ICMP_ECHO_DATA] = { 1, 2, 3, 4, 5, 6, 7, 8 };

/* The request as the other side turns it around. */
static size_t answer(uint8_t *packet, const char *src, const char *dst)
{
	struct ip a = ip_of(src), b = ip_of(dst);
	size_t n = icmp_echo_write(packet, &b, &a, data);

	packet[ip_header_size(&a)] = ip_is4(&a) ? 0 : 129;
	return n;
}

static void an_echo_request_is_a_whole_packet_with_right_sums(void)
{
	static const char *const pairs[][2] = { { "100.64.0.1", "100.64.0.2" },
		                                { "fd7a::1", "fd7a::2" } };

	for (size_t i = 0; i < 2; i++) {
		uint8_t packet[ICMP_ECHO_MAX];
		struct ip a = ip_of(pairs[i][0]), b = ip_of(pairs[i][1]);
		size_t n = icmp_echo_write(packet, &a, &b, data), head = ip_header_size(&a);
		uint8_t proto = i ? IPPKT_ICMP6 : IPPKT_ICMP;
		uint32_t start = i ? ip_pseudo_sum(&a, &b, proto, (uint32_t)(n - head)) : 0;
		struct ippkt ip;

		ippkt_parse(span(packet, n), &ip);
		CHECK(ippkt_is_echo_request(&ip));
		CHECK(ip_eq(&ip.src, &a) && ip_eq(&ip.dst, &b) && ip.len == n);
		CHECK(ip_checksum(span(packet + head, n - head), start) == 0);
	}
}

static void only_a_reply_as_long_as_ours_has_its_data(void)
{
	uint8_t packet[ICMP_ECHO_MAX];
	size_t n = answer(packet, "100.64.0.1", "100.64.0.2");
	struct ippkt ip;

	ippkt_parse(span(packet, n), &ip);
	CHECK(icmp_echo_reply(&ip, span(packet, n)));
	CHECK(memcmp(icmp_echo_reply(&ip, span(packet, n)), data, sizeof(data)) == 0);
	for (size_t cut = 0; cut < n; cut++) {
		ippkt_parse(span(packet, cut), &ip);
		CHECK(!icmp_echo_reply(&ip, span(packet, cut)));
	}
	put_be16(packet + 2, (uint16_t)(n - 1));
	ippkt_parse(span(packet, n), &ip);
	CHECK(!icmp_echo_reply(&ip, span(packet, n)));
}

static void a_request_is_no_reply(void)
{
	uint8_t packet[ICMP_ECHO_MAX];
	struct ip a = ip_of("fd7a::1"), b = ip_of("fd7a::2");
	size_t n = icmp_echo_write(packet, &a, &b, data);
	struct ippkt ip;

	ippkt_parse(span(packet, n), &ip);
	CHECK(!icmp_echo_reply(&ip, span(packet, n)));
}

static void a_narrow_path_is_told_in_a_whole_packet_about_an_echo_reply(void)
{
	uint8_t packet[ICMP_NARROW_LEN];
	struct ip a = ip_of("100.64.0.1"), b = ip_of("100.64.0.2");
	struct ippkt ip;

	icmp_narrow_write(packet, &a, &b, 1136);
	ippkt_parse(span(packet, sizeof(packet)), &ip);
	CHECK(ip.proto == IPPKT_ICMP && ip.icmp_type == 3 && ip.icmp_code == 4);
	CHECK(ip_eq(&ip.src, &a) && ip_eq(&ip.dst, &b) && ip.len == sizeof(packet));
	CHECK_EQ(ip_checksum(span(packet + 20, sizeof(packet) - 20), 0), 0);
	CHECK_EQ(be16_at(packet + 26), 1136);
	/* The quoted one went the other way and was larger than that. */
	CHECK(memcmp(packet + 28 + 12, ip_v4(&b), 4) == 0);
	CHECK(memcmp(packet + 28 + 16, ip_v4(&a), 4) == 0);
	CHECK_EQ(be16_at(packet + 28 + 2), 1280);
	CHECK_EQ(packet[48], 0);
}

int main(void)
{
	RUN(an_echo_request_is_a_whole_packet_with_right_sums);
	RUN(only_a_reply_as_long_as_ours_has_its_data);
	RUN(a_request_is_no_reply);
	RUN(a_narrow_path_is_told_in_a_whole_packet_about_an_echo_reply);
	return check_done();
}
