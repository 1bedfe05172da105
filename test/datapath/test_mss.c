#include "datapath/mss.h"

#include <string.h>

#include "base/wire.h"
#include "protocol/ippkt.h"
#include "test/check.h"

enum { IP4 = 20, IP6 = 40, MAX = 128 };

struct packet {
	uint8_t p[MAX];
	size_t n, tcp;
};

static uint16_t sum(const struct packet *k)
{
	struct ippkt ip;

	ippkt_parse(span(k->p, k->n), &ip);
	return ip_checksum(span(k->p + k->tcp, k->n - k->tcp),
	                   ip_pseudo_sum(&ip.src, &ip.dst, 6, (uint32_t)(k->n - k->tcp)));
}

/* A SYN with these options, checksum right. */
static struct packet make(bool v6, uint8_t flags, const uint8_t *options, size_t n)
{
	struct packet k = { .tcp = v6 ? IP6 : IP4 };
	uint8_t *tcp = k.p + k.tcp;

	k.n = k.tcp + 20 + n;
	if (v6) {
		k.p[0] = 0x60;
		put_be16(k.p + 4, (uint16_t)(20 + n));
		k.p[6] = 6;
		k.p[8] = 0xfd;
		k.p[24] = 0xfd;
	} else {
		k.p[0] = 0x45;
		put_be16(k.p + 2, (uint16_t)k.n);
		k.p[9] = 6;
		memcpy(k.p + 12, (uint8_t[]){ 100, 64, 0, 1, 100, 64, 0, 2 }, 8);
		put_be16(k.p + 10, ip_checksum(span(k.p, IP4), 0));
	}
	put_be16(tcp, 4321);
	put_be16(tcp + 2, 80);
	put_be32(tcp + 4, 0xdeadbeef);
	tcp[12] = (uint8_t)((20 + n) / 4 << 4);
	tcp[13] = flags;
	memcpy(tcp + 20, options, n);
	put_be16(tcp + 16, sum(&k));
	return k;
}

/* clang-format off */
static const uint8_t usual[] = { 2, 4, 0x04, 0xd8, 4, 2, 8, 10, 1, 2, 3, 4, 0, 0, 0, 0, 1, 3, 3, 7 }; /* 1240 */
static const uint8_t odd[] = { 1, 2, 4, 0x04, 0xd8, 0, 0, 0 };
static const uint8_t small[] = { 2, 4, 0x02, 0x00 };
static const uint8_t broken[] = { 2, 0, 0x04, 0xd8 };
static const uint8_t long_one[] = { 4, 9, 0x04, 0xd8 };
/* clang-format on */

static void a_segment_size_is_lowered_and_the_checksum_stays_right(void)
{
	for (int v6 = 0; v6 <= 1; v6++) {
		struct packet k = make(v6, 2, usual, sizeof(usual));

		CHECK(mss_is_syn(k.p, k.n));
		mss_clamp(k.p, k.n, 1136);
		CHECK_EQ(be16_at(k.p + k.tcp + 22), v6 ? 1076 : 1096);
		CHECK_EQ(sum(&k), 0);
		k = make(v6, 0x12, odd, sizeof(odd));
		CHECK(mss_is_syn(k.p, k.n));
		mss_clamp(k.p, k.n, 1136);
		CHECK_EQ(be16_at(k.p + k.tcp + 23), v6 ? 1076 : 1096);
		CHECK_EQ(sum(&k), 0);
	}
}

static void what_is_small_or_no_opening_is_left_alone(void)
{
	struct packet k = make(false, 2, small, sizeof(small)), before = k;

	mss_clamp(k.p, k.n, 1136);
	CHECK(memcmp(k.p, before.p, k.n) == 0);
	k = before = make(false, 0x10, usual, sizeof(usual));
	CHECK(!mss_is_syn(k.p, k.n));
	mss_clamp(k.p, k.n, 1136);
	CHECK(memcmp(k.p, before.p, k.n) == 0);
	k = before = make(false, 2, usual, sizeof(usual));
	put_be16(k.p + 6, 5); /* a later fragment has no header of TCP */
	CHECK(!mss_is_syn(k.p, k.n));
	k = make(false, 2, usual, sizeof(usual));
	k.p[9] = 17;
	CHECK(!mss_is_syn(k.p, k.n));
	k = before;
	mss_clamp(k.p, k.n, 40); /* no segment fits at all */
	CHECK(memcmp(k.p, before.p, k.n) == 0);
}

static void broken_options_and_truncations_change_nothing(void)
{
	struct packet k = make(false, 2, broken, sizeof(broken)), before = k;

	mss_clamp(k.p, k.n, 1136);
	CHECK(memcmp(k.p, before.p, k.n) == 0);
	k = before = make(true, 2, long_one, sizeof(long_one));
	mss_clamp(k.p, k.n, 1136);
	CHECK(memcmp(k.p, before.p, k.n) == 0);
	for (size_t n = 0; n < k.n; n++) {
		uint8_t *exact = malloc(n ? n : 1);

		k = make(n % 2, 2, usual, sizeof(usual));
		memcpy(exact, k.p, n);
		if (n && mss_is_syn(exact, n))
			mss_clamp(exact, n, 1136);
		free(exact);
	}
	CHECK(true);
}

static void no_bit_flip_writes_past_the_packet(void)
{
	struct packet first = make(false, 2, usual, sizeof(usual));

	for (size_t i = 0; i < first.n * 8; i++) {
		uint8_t *exact = malloc(first.n);

		memcpy(exact, first.p, first.n);
		exact[i / 8] ^= (uint8_t)(1 << i % 8);
		mss_clamp(exact, first.n, 1136);
		free(exact);
	}
	CHECK(true);
}

int main(void)
{
	RUN(a_segment_size_is_lowered_and_the_checksum_stays_right);
	RUN(what_is_small_or_no_opening_is_left_alone);
	RUN(broken_options_and_truncations_change_nothing);
	RUN(no_bit_flip_writes_past_the_packet);
	return check_done();
}
