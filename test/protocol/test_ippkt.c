/* IP packets: what the classifier sees, and that it fails closed. */
#include "protocol/ippkt.h"

#include "base/mem.h"
#include "base/rand.h"
#include "test/check.h"

/* 10.0.0.1:1000 > 10.0.0.2:22, SYN */
static const char SYN4[] = "450000280000000040060000 0a000001 0a000002"
			   "03e80016000000000000000050020000 00000000";
/* [fd7a::1]:53 > [fd7a::2]:4096, UDP, through hop-by-hop and destination options */
static const char UDP6[] = "60000000 0020 00 40 fd7a0000000000000000000000000001"
			   "fd7a0000000000000000000000000002"
			   "3c00010400000000 1100010400000000 0035 1000 0010 0000 6162636465666768";

static size_t bytes(uint8_t dst[static 256], const char *hex)
{
	char tight[600];
	size_t n = 0;

	for (const char *c = hex; *c; c++)
		if (*c != ' ')
			tight[n++] = *c;
	tight[n] = 0;
	return check_hex(dst, 256, tight);
}

static struct ippkt parse(const uint8_t *p, size_t n)
{
	struct ippkt pkt;
	uint8_t *exact = mem_dup(p, n);

	ippkt_parse(span(exact, n), &pkt);
	free(exact);
	return pkt;
}

static void a_tcp_syn_shows_its_ports_and_flags(void)
{
	uint8_t p[256];
	size_t n = bytes(p, SYN4);
	struct ippkt pkt = parse(p, n);

	CHECK_EQ(pkt.version, 4);
	CHECK_EQ(pkt.proto, IPPKT_TCP);
	CHECK_EQ(pkt.src_port, 1000);
	CHECK_EQ(pkt.dst_port, 22);
	CHECK(ippkt_is_new_tcp(&pkt));
	CHECK_EQ(pkt.data, 40);
	p[33] |= TCP_ACK;
	pkt = parse(p, n);
	CHECK(!ippkt_is_new_tcp(&pkt));
}

static void extension_headers_are_stepped_over(void)
{
	uint8_t p[256];
	struct ippkt pkt = parse(p, bytes(p, UDP6));

	CHECK_EQ(pkt.proto, IPPKT_UDP);
	CHECK_EQ(pkt.src_port, 53);
	CHECK_EQ(pkt.dst_port, 4096);
	CHECK_EQ(pkt.transport, 56);
}

static void a_routing_header_that_still_routes_is_unknown(void)
{
	uint8_t p[256];
	size_t n = bytes(p, UDP6);
	struct ippkt pkt;

	p[6] = 43; /* routing in place of hop-by-hop; segments left is byte 43 */
	p[43] = 0;
	pkt = parse(p, n);
	CHECK_EQ(pkt.proto, IPPKT_UDP);
	p[43] = 1;
	pkt = parse(p, n);
	CHECK_EQ(pkt.proto, IPPKT_UNKNOWN);
}

static void every_truncation_is_unknown(void)
{
	static const char *const whole[] = { SYN4, UDP6 };

	for (size_t i = 0; i < ARRAY_LEN(whole); i++) {
		uint8_t p[256];
		size_t n = bytes(p, whole[i]);

		for (size_t cut = 0; cut < n; cut++)
			CHECK_EQ(parse(p, cut).proto, IPPKT_UNKNOWN);
	}
}

static void a_first_fragment_must_hold_the_transport_header(void)
{
	uint8_t p[256];
	size_t n = bytes(p, SYN4);

	p[6] = 0x20; /* more fragments */
	CHECK_EQ(parse(p, n).proto, IPPKT_TCP);
	CHECK(parse(p, n).fragmented);
	p[3] = 39;
	CHECK_EQ(parse(p, n).proto, IPPKT_UNKNOWN);
}

static void later_fragments_pass_unless_they_could_overlap_the_header(void)
{
	uint8_t p[256];
	size_t n = bytes(p, SYN4);

	p[7] = 9;
	CHECK_EQ(parse(p, n).proto, IPPKT_UNKNOWN);
	p[7] = 10;
	CHECK_EQ(parse(p, n).proto, IPPKT_FRAGMENT);

	static const char frag6[] = "60000000 0010 2c 40 fd7a0000000000000000000000000001"
				    "fd7a0000000000000000000000000002 1100 0051 00000001"
				    "0035 1000 0010 0000";
	n = bytes(p, frag6);
	CHECK_EQ(parse(p, n).proto, IPPKT_FRAGMENT);
	p[43] = 0x09; /* offset 1 */
	CHECK_EQ(parse(p, n).proto, IPPKT_UNKNOWN);
	p[43] = 0x01; /* the first of several */
	CHECK_EQ(parse(p, n).proto, IPPKT_UDP);
	CHECK(parse(p, n).fragmented);
}

static void ipv4_dressed_as_ipv6_is_unknown(void)
{
	uint8_t p[256];
	size_t n = bytes(p, UDP6);

	memset(p + 8, 0, 10);
	p[18] = p[19] = 0xff;
	CHECK_EQ(parse(p, n).proto, IPPKT_UNKNOWN);
}

static void icmp_kinds_are_told_apart(void)
{
	static const char echo[] = "4500001c0000000040010000 0a000001 0a000002 08000000 00010001";
	uint8_t p[256];
	size_t n = bytes(p, echo);
	struct ippkt pkt = parse(p, n);

	CHECK(ippkt_is_echo_request(&pkt) && !ippkt_is_echo_reply(&pkt));
	p[20] = 0;
	pkt = parse(p, n);
	CHECK(ippkt_is_echo_reply(&pkt));
	p[20] = 11;
	pkt = parse(p, n);
	CHECK(ippkt_is_icmp_error(&pkt) && !ippkt_is_echo_reply(&pkt));
	p[3] = 24; /* too short to say what it is */
	p[20] = 0;
	pkt = parse(p, n);
	CHECK(!ippkt_is_echo_reply(&pkt) && !ippkt_is_icmp_error(&pkt));
	p[9] = IPPKT_ICMP6;
	CHECK_EQ(parse(p, n).proto, IPPKT_UNKNOWN);
}

static void offsets_never_leave_the_packet(void)
{
	struct rand_src rand;

	rand_seeded(&rand, 3);
	for (unsigned i = 0; i < 200000; i++) {
		uint8_t p[128];
		size_t n = rand_src_below(&rand, sizeof(p));

		rand_fill(&rand, p, n);
		if (n)
			p[0] = (uint8_t)((i & 1 ? 0x40 : 0x60) | (p[0] & 15));
		if (n > 6) {
			p[2] = p[4] = 0;
			p[3] &= 127;
			p[5] &= 63;
		}
		struct ippkt pkt = parse(p, n);

		CHECK(pkt.proto == IPPKT_UNKNOWN ||
		      (pkt.len <= n && pkt.transport <= pkt.len && pkt.data <= pkt.len));
	}
}

static void checksums_are_those_of_the_standard(void)
{
	/* The example of RFC 1071 section 3. */
	static const uint8_t example[] = { 0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7 };
	struct ip a = ip4(10, 0, 0, 1), b = ip4(10, 0, 0, 2);

	CHECK_EQ(ip_checksum(SPAN_OF(example), 0), (uint16_t)~0xddf2);
	CHECK_EQ(ip_pseudo_sum(&a, &b, 17, 8), 0x0a00 + 1 + 0x0a00 + 2 + 17 + 8);
}

int main(void)
{
	RUN(a_tcp_syn_shows_its_ports_and_flags);
	RUN(extension_headers_are_stepped_over);
	RUN(a_routing_header_that_still_routes_is_unknown);
	RUN(every_truncation_is_unknown);
	RUN(a_first_fragment_must_hold_the_transport_header);
	RUN(later_fragments_pass_unless_they_could_overlap_the_header);
	RUN(ipv4_dressed_as_ipv6_is_unknown);
	RUN(icmp_kinds_are_told_apart);
	RUN(offsets_never_leave_the_packet);
	RUN(checksums_are_those_of_the_standard);
	return check_done();
}
