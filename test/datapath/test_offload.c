#include "datapath/offload.h"

#include <linux/virtio_net.h>

#include "base/rand.h"
#include "datapath/checksum.h"
#include "test/check.h"

enum { FIN = 1, PSH = 8, ACK = 16, TCP = 6, UDP = 17, GSO_UDP_L4 = 5, MAX = 65600 };

static struct rand_src src;
static uint8_t frame[OFFLOAD_HEADER + MAX], cut[64][2048], whole[MAX];

/* ---- the slow and obvious way ---------------------------------------------- */

static uint16_t naive_sum(const uint8_t *p, size_t n, uint32_t sum)
{
	for (size_t i = 0; i < n; i += 2)
		sum += (uint32_t)p[i] << 8 | (i + 1 < n ? p[i + 1] : 0);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

static uint32_t naive_pseudo(const uint8_t *p, bool v6, uint8_t proto, size_t len)
{
	uint32_t sum = proto + (uint32_t)len;

	for (size_t i = v6 ? 8 : 12; i < (v6 ? 40u : 20u); i += 2)
		sum += (uint32_t)p[i] << 8 | p[i + 1];
	return sum;
}

struct shape {
	bool v6, tcp;
	size_t payload, mss, options;
};

static size_t ip_len(const struct shape *s)
{
	return s->v6 ? 40 : 20;
}

static size_t head_len(const struct shape *s)
{
	return ip_len(s) + (s->tcp ? 20 + s->options : 8);
}

/* Headers for a payload of n bytes that starts `at` bytes into the whole; sums are right. */
static void naive_packet(uint8_t *p, const struct shape *s, size_t at, size_t n, uint16_t index,
                         uint8_t flags)
{
	size_t ip = ip_len(s), head = head_len(s);
	uint8_t *l4 = p + ip;

	memset(p, 0, head);
	if (s->v6) {
		put_be32(p, 0x60012345);
		put_be16(p + 4, (uint16_t)(head - 40 + n));
		p[6] = s->tcp ? TCP : UDP;
		p[7] = 64;
		memset(p + 8, 0xfd, 32);
		p[39] = 9;
	} else {
		p[0] = 0x45;
		put_be16(p + 2, (uint16_t)(head + n));
		put_be16(p + 4, (uint16_t)(0xfffe + index));
		p[6] = 0x40;
		p[8] = 64;
		p[9] = s->tcp ? TCP : UDP;
		put_be32(p + 12, 0x0a4d0001);
		put_be32(p + 16, 0x0a4d0002);
		put_be16(p + 10, naive_sum(p, 20, 0));
	}
	put_be16(l4, 1234);
	put_be16(l4 + 2, 80);
	if (s->tcp) {
		put_be32(l4 + 4, (uint32_t)(0xfffff000 + at));
		put_be32(l4 + 8, 77);
		l4[12] = (uint8_t)((20 + s->options) / 4 << 4);
		l4[13] = flags;
		put_be16(l4 + 14, 500);
		memset(l4 + 20, 1, s->options);
	} else {
		put_be16(l4 + 4, (uint16_t)(8 + n));
	}
	memcpy(p + head, whole + at, n);

	uint16_t sum = naive_sum(l4, head - ip + n,
	                         naive_pseudo(p, s->v6, s->tcp ? TCP : UDP, head - ip + n));

	put_be16(l4 + (s->tcp ? 16 : 6), !s->tcp && sum == 0 ? 0xffff : sum);
}

static size_t make_frame(const struct shape *s, uint8_t flags)
{
	uint8_t *p = frame + OFFLOAD_HEADER;
	struct virtio_net_hdr h = {
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.gso_type = (uint8_t)(!s->tcp ? GSO_UDP_L4
		                      : s->v6 ? VIRTIO_NET_HDR_GSO_TCPV6
		                              : VIRTIO_NET_HDR_GSO_TCPV4),
		.hdr_len = (uint16_t)head_len(s),
		.gso_size = (uint16_t)s->mss,
		.csum_start = (uint16_t)ip_len(s),
		.csum_offset = s->tcp ? 16 : 6,
	};

	memcpy(frame, &h, sizeof(h));
	naive_packet(p, s, 0, s->payload, 0, flags);
	return OFFLOAD_HEADER + head_len(s) + s->payload;
}

static struct shape random_shape(void)
{
	struct shape s = { .v6 = rand_src_below(&src, 2), .tcp = rand_src_below(&src, 2) };

	s.options = s.tcp ? 4 * rand_src_below(&src, 11) : 0;
	s.mss = 1 + rand_src_below(&src, 1400);
	s.payload = 1 + rand_src_below(&src, s.mss * 60);
	if (s.payload > 65535 - 120)
		s.payload = 65535 - 120;
	return s;
}

/* ---- cutting ------------------------------------------------------------------ */

static void cuts_are_the_packets_one_would_build_singly(void)
{
	for (int round = 0; round < 400; round++) {
		struct shape s = random_shape();
		struct offload_cut c;
		uint8_t want[2048], got[2048];
		size_t at = 0;
		uint16_t index = 0;

		CHECK_OK(offload_cut_begin(&c, frame, make_frame(&s, ACK | PSH | FIN)));
		for (size_t room; (room = offload_cut_room(&c)) > 0; index++) {
			size_t n = s.payload - at < s.mss ? s.payload - at : s.mss;
			bool last = at + n == s.payload;

			naive_packet(want, &s, at, n, index, last ? ACK | PSH | FIN : ACK);
			CHECK(room >= head_len(&s) + n);
			CHECK_EQ(offload_cut_next(&c, got), head_len(&s) + n);
			CHECK_MEM(got, want, head_len(&s) + n);
			at += n;
		}
		CHECK_EQ(at, s.payload);
	}
}

static void a_lone_packet_gets_the_checksum_the_kernel_left_out(void)
{
	struct shape s = { .tcp = true, .payload = 333, .mss = 1 };
	uint8_t want[600], got[600];
	size_t n = make_frame(&s, ACK);
	struct virtio_net_hdr h;
	struct offload_cut c;
	uint8_t *field = frame + OFFLOAD_HEADER + 36;
	uint16_t pseudo;

	memcpy(want, frame + OFFLOAD_HEADER, n - OFFLOAD_HEADER);
	memcpy(&h, frame, sizeof(h));
	h.gso_type = VIRTIO_NET_HDR_GSO_NONE;
	memcpy(frame, &h, sizeof(h));
	pseudo = (uint16_t)~naive_sum(NULL, 0, naive_pseudo(want, false, TCP, 20 + 333));
	put_be16(field, pseudo);
	CHECK_OK(offload_cut_begin(&c, frame, n));
	CHECK_EQ(offload_cut_next(&c, got), n - OFFLOAD_HEADER);
	CHECK_MEM(got, want, n - OFFLOAD_HEADER);
	CHECK_EQ(offload_cut_room(&c), 0);
}

static void every_truncation_of_a_frame_is_refused_or_cut_within_bounds(void)
{
	for (int round = 0; round < 20; round++) {
		struct shape s = random_shape();
		size_t n = make_frame(&s, ACK);

		for (size_t k = 0; k < n && k < 200; k++) {
			struct offload_cut c;
			size_t total = 0, packets = 0;

			if (offload_cut_begin(&c, frame, k) < 0)
				continue;
			for (size_t room; (room = offload_cut_room(&c)) > 0; packets++)
				total += offload_cut_next(&c, cut[0]);
			CHECK(packets > 0 && total >= k - OFFLOAD_HEADER);
		}
	}
}

static void headers_that_do_not_fit_their_frame_are_refused(void)
{
	struct shape s = { .tcp = true, .payload = 3000, .mss = 1000 };
	struct virtio_net_hdr good, h;
	size_t n = make_frame(&s, ACK);
	struct offload_cut c;

	memcpy(&good, frame, sizeof(good));
#define REFUSED(field, value)                                             \
	do {                                                              \
		h = good;                                                 \
		h.field = (value);                                        \
		memcpy(frame, &h, sizeof(h));                             \
		CHECK_EQ(offload_cut_begin(&c, frame, n), ERR_MALFORMED); \
	} while (0)
	REFUSED(gso_size, 0);
	REFUSED(gso_size, 65535);
	REFUSED(csum_start, 3040);
	REFUSED(csum_start, 10);
	REFUSED(gso_type, VIRTIO_NET_HDR_GSO_TCPV6);
	REFUSED(gso_type, 77);
	REFUSED(flags, 0);
	memcpy(frame, &good, sizeof(good));
	frame[OFFLOAD_HEADER] = 0x75;
	CHECK_EQ(offload_cut_begin(&c, frame, n), ERR_MALFORMED);
}

/* ---- joining -------------------------------------------------------------------- */

/* Cuts a frame, joins the packets; the frame must come back. */
static void what_was_cut_is_joined_again(void)
{
	for (int round = 0; round < 400; round++) {
		struct shape s = random_shape();
		struct offload_cut c;
		struct offload_join j;
		size_t n = make_frame(&s, ACK | PSH), packets = 0, at = 0;
		uint8_t want[OFFLOAD_HEADERS_MAX + OFFLOAD_HEADER];
		struct virtio_net_hdr h;

		memcpy(want, frame, head_len(&s) + OFFLOAD_HEADER);
		CHECK_OK(offload_cut_begin(&c, frame, n));
		offload_join_init(&j);
		while (offload_cut_room(&c)) {
			size_t len = offload_cut_next(&c, cut[packets]);

			CHECK(offload_join_add(&j, cut[packets], len, OFFLOAD_TCP | OFFLOAD_UDP));
			packets++;
		}
		offload_join_finish(&j);
		CHECK_EQ(j.n, packets);
		CHECK_EQ(j.iov[0].iov_len, OFFLOAD_HEADER);
		for (int i = 1; i <= j.n; i++) {
			const uint8_t *p = j.iov[i].iov_base;
			size_t skip = i == 1 ? head_len(&s) : 0, len = j.iov[i].iov_len - skip;

			CHECK_MEM(p + skip, whole + at, len);
			at += len;
		}
		CHECK_EQ(at, s.payload);
		memcpy(&h, j.header, sizeof(h));
		if (packets == 1) {
			CHECK_EQ(h.gso_type, VIRTIO_NET_HDR_GSO_NONE);
			continue;
		}
		CHECK_MEM(j.header, want, OFFLOAD_HEADER);
		/* All but the checksum field is as it was; that holds the pseudo header. */
		uint8_t *head = j.iov[1].iov_base, *field = head + ip_len(&s) + (s.tcp ? 16 : 6);

		CHECK_EQ(be16_at(field),
		         (uint16_t)~naive_sum(NULL, 0,
		                              naive_pseudo(head, s.v6, s.tcp ? TCP : UDP,
		                                           head_len(&s) - ip_len(&s) + s.payload)));
		memcpy(field, want + OFFLOAD_HEADER + (field - head), 2);
		CHECK_MEM(head, want + OFFLOAD_HEADER, head_len(&s));
	}
}

static const struct shape tcp4 = { .tcp = true, .options = 12, .mss = 500 };

/* Two packets of 500 bytes in a row. */
static void pair(uint8_t a[static 600], uint8_t b[static 600])
{
	naive_packet(a, &tcp4, 0, 500, 0, ACK);
	naive_packet(b, &tcp4, 500, 500, 1, ACK);
}

static bool joined(uint8_t *a, uint8_t *b, unsigned kinds)
{
	struct offload_join j;

	offload_join_init(&j);
	CHECK(offload_join_add(&j, a, 552, kinds));
	return offload_join_add(&j, b, 552, kinds);
}

/* Puts the second packet's sums right after a change of a 16-bit word. */
static void change(uint8_t *p, size_t at, uint16_t value)
{
	size_t field = at < 20 ? 10 : 36;

	put_be16(p + at, value);
	put_be16(p + field, 0);
	put_be16(p + field, at < 20 ? naive_sum(p, 20, 0)
	                            : naive_sum(p + 20, 532, naive_pseudo(p, false, TCP, 532)));
}

static void only_the_next_packet_of_the_same_flow_is_joined(void)
{
	static const struct {
		size_t at;
		uint16_t value;
	} others[] = {
		{ 0, 0x4501 },  /* class */
		{ 6, 0x0000 },  /* may be fragmented */
		{ 6, 0x6000 },  /* a fragment */
		{ 8, 0x3f06 },  /* hops */
		{ 20, 1235 },   /* port */
		{ 26, 0xf1f5 }, /* sequence */
		{ 30, 78 },     /* acknowledgement */
		{ 32, 0x8011 }, /* FIN */
		{ 32, 0x80d0 }, /* congestion flags */
		{ 34, 501 },    /* window */
		{ 44, 0x0102 }, /* options */
	};
	uint8_t a[600], b[600];

	pair(a, b);
	CHECK(joined(a, b, OFFLOAD_TCP));
	for (size_t i = 0; i < ARRAY_LEN(others); i++) {
		pair(a, b);
		change(b, others[i].at, others[i].value);
		CHECK(!joined(a, b, OFFLOAD_TCP));
	}
	pair(a, b);
	CHECK(!joined(a, b, OFFLOAD_UDP));
	CHECK(!joined(b, a, OFFLOAD_TCP));
}

static void a_packet_with_any_bit_wrong_is_left_alone(void)
{
	uint8_t a[600], b[600];

	for (size_t bit = 0; bit < 532 * 8; bit += 7) {
		pair(a, b);
		b[20 + bit / 8] ^= (uint8_t)(1 << bit % 8);
		CHECK(!joined(a, b, OFFLOAD_TCP));
		pair(a, b);
		a[20 + bit / 8] ^= (uint8_t)(1 << bit % 8);
		CHECK(!joined(a, b, OFFLOAD_TCP));
	}
}

static void a_push_or_a_short_packet_ends_a_frame(void)
{
	uint8_t a[600], b[600], c[600];
	struct offload_join j;

	pair(a, b);
	naive_packet(b, &tcp4, 500, 500, 1, ACK | PSH);
	naive_packet(c, &tcp4, 1000, 500, 2, ACK);
	offload_join_init(&j);
	CHECK(offload_join_add(&j, a, 552, OFFLOAD_TCP));
	CHECK(offload_join_add(&j, b, 552, OFFLOAD_TCP));
	CHECK(a[33] & PSH);
	CHECK(!offload_join_add(&j, c, 552, OFFLOAD_TCP));

	pair(a, b);
	naive_packet(b, &tcp4, 500, 499, 1, ACK);
	naive_packet(c, &tcp4, 999, 500, 2, ACK);
	offload_join_init(&j);
	CHECK(offload_join_add(&j, a, 552, OFFLOAD_TCP));
	CHECK(offload_join_add(&j, b, 551, OFFLOAD_TCP));
	CHECK(!offload_join_add(&j, c, 552, OFFLOAD_TCP));
}

static void sums_agree_with_the_slow_way_at_every_length(void)
{
	uint8_t copy[3000];

	for (size_t n = 0; n < 2000; n++) {
		const uint8_t *p = whole + n % 3;
		uint8_t field[2], want[2];

		put_be16(want, naive_sum(p, n, 0));
		checksum_put(field, checksum_add(0, p, n));
		CHECK_MEM(field, want, 2);
		checksum_put(field, checksum_copy(0, copy, p, n));
		CHECK_MEM(field, want, 2);
		CHECK_MEM(copy, p, n);
	}
}

int main(void)
{
	rand_seeded(&src, 3);
	rand_fill(&src, whole, sizeof(whole));
	RUN(sums_agree_with_the_slow_way_at_every_length);
	RUN(cuts_are_the_packets_one_would_build_singly);
	RUN(a_lone_packet_gets_the_checksum_the_kernel_left_out);
	RUN(every_truncation_of_a_frame_is_refused_or_cut_within_bounds);
	RUN(headers_that_do_not_fit_their_frame_are_refused);
	RUN(what_was_cut_is_joined_again);
	RUN(only_the_next_packet_of_the_same_flow_is_joined);
	RUN(a_packet_with_any_bit_wrong_is_left_alone);
	RUN(a_push_or_a_short_packet_ends_a_frame);
	return check_done();
}
