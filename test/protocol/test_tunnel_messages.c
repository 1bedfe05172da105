/* The small formats around the tunnel: Geneve headers and TSMP. */
#include "protocol/geneve.h"
#include "protocol/ippkt.h"
#include "protocol/tsmp.h"
#include "test/check.h"

static void a_geneve_header_round_trips(void)
{
	static const struct geneve rows[] = { { true, GENEVE_DISCO, 1 },
		                              { false, GENEVE_WIREGUARD, GENEVE_VNI_MAX } };

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		uint8_t b[GENEVE_HEADER];
		struct geneve g;

		geneve_write(b, &rows[i]);
		CHECK_OK(geneve_read(SPAN_OF(b), &g));
		CHECK(g.control == rows[i].control && g.protocol == rows[i].protocol);
		CHECK_EQ(g.vni, rows[i].vni);
		for (size_t cut = 0; cut < GENEVE_HEADER; cut++)
			CHECK_EQ(geneve_read(span(b, cut), &g), ERR_SHORT);
		b[0] = 1;
		CHECK_EQ(geneve_read(SPAN_OF(b), &g), ERR_VERSION);
		b[0] = 0;
		b[2] ^= 1;
		CHECK_EQ(geneve_read(SPAN_OF(b), &g), ERR_VERSION);
	}
}

static struct tsmp base(enum tsmp_type type, bool four)
{
	struct tsmp m = { .type = type, .src = ip4(100, 64, 0, 1), .dst = ip4(100, 64, 0, 2) };

	if (!four) {
		m.src = (struct ip){ { 0xfd, 0x7a, [15] = 1 } };
		m.dst = (struct ip){ { 0xfd, 0x7a, [15] = 2 } };
	}
	return m;
}

static void tsmp_round_trips_in_either_family(void)
{
	static const enum tsmp_type types[] = { TSMP_REJECTED, TSMP_PING, TSMP_PONG,
		                                TSMP_DISCO_KEY };

	for (size_t i = 0; i < ARRAY_LEN(types) * 2; i++) {
		struct tsmp m = base(types[i / 2], i % 2), back;
		uint8_t pkt[TSMP_PACKET_MAX];
		size_t header = i % 2 ? 20 : 40;

		memset(m.data, 0, sizeof(m.data));
		if (m.type == TSMP_REJECTED) {
			m.protocol = 6;
			m.reason = TSMP_REASON_ACL;
			m.src_port = 1234;
			m.dst_port = 22;
			m.maybe_broken = true;
		} else if (m.type == TSMP_DISCO_KEY) {
			m.disco.b[5] = 9;
		} else {
			m.data[3] = 7;
			m.peerapi_port = m.type == TSMP_PONG ? 4242 : 0;
		}

		size_t n = tsmp_write(pkt, &m);

		CHECK_OK(tsmp_read(&m.src, &m.dst, span(pkt + header, n - header), &back));
		CHECK_EQ(back.type, m.type);
		CHECK(back.src_port == m.src_port && back.dst_port == m.dst_port);
		CHECK(back.maybe_broken == m.maybe_broken && back.peerapi_port == m.peerapi_port);
		CHECK_MEM(back.data, m.data, TSMP_PING_DATA);
		CHECK_MEM(back.disco.b, m.disco.b, KEY_LEN);
		if (i % 2)
			CHECK_EQ(ip_checksum(span(pkt, header), 0), 0);
	}
}

static void short_tsmp_is_refused_but_for_the_parts_that_may_lack(void)
{
	struct tsmp m = base(TSMP_DISCO_KEY, true), back;
	uint8_t pkt[TSMP_PACKET_MAX];
	size_t n = tsmp_write(pkt, &m);

	for (size_t cut = 20; cut < n; cut++)
		CHECK_EQ(tsmp_read(&m.src, &m.dst, span(pkt + 20, cut - 20), &back), ERR_SHORT);
	m.type = TSMP_PONG;
	(void)tsmp_write(pkt, &m);
	CHECK_OK(tsmp_read(&m.src, &m.dst, span(pkt + 20, 9), &back));
	m.type = TSMP_REJECTED;
	(void)tsmp_write(pkt, &m);
	CHECK_OK(tsmp_read(&m.src, &m.dst, span(pkt + 20, 7), &back));
	CHECK_EQ(tsmp_read(&m.src, &m.dst, span(pkt + 20, 6), &back), ERR_SHORT);
	CHECK_EQ(tsmp_read(&m.src, &m.dst, SPAN_LIT("z"), &back), ERR_VERSION);
}

int main(void)
{
	RUN(a_geneve_header_round_trips);
	RUN(tsmp_round_trips_in_either_family);
	RUN(short_tsmp_is_refused_but_for_the_parts_that_may_lack);
	return check_done();
}
