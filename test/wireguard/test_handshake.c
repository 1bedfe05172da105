#include "wireguard/handshake.h"

#include "crypto/aead.h"
#include "crypto/blake2s.h"
#include "test/check.h"
#include "wireguard/cookie.h"
#include "wireguard/device.h"

/*
 * One handshake with everything given: made by wireguard-go's own code with
 * fixed randomness and checked by a second program written from the paper.
 * Private keys, ephemerals and the PSK are runs of consecutive bytes.
 */
/* clang-format off */
static const char msg1_hex[] =
	"010000000102030479a631eede1bf9c98f12032cdeadd0e7a079398fc786b88cc846ec89af85a51a"
	"f0225eb421886af8f54fb31289d49dcd82b0f6f3279d40d7cff913fece0c64ad226eef3320755b39"
	"3b72f16842c8d7ee78a74e937e3f2a829df4ecc1a8d80652da967232ef10a9fb0627125608b6d833"
	"1c2993e04f544692bc6e602e00000000000000000000000000000000";
static const char msg2_hex[] =
	"020000000506070801020304675dd574ed7789310b3d2e7681f3790b466c773b1521fecf36577958"
	"371ea52ff1a82812e45ba13cf652d56c3a0201168827d28d3331e84274b709eda14b738400000000"
	"000000000000000000000000";
static const char t1_hex[] = "f26d13be8f8fe7fe36805b47503285e73bcb2fc6fe3ef37834e5f6128ad8cf50";
static const char t2_hex[] = "083bdab92ffb8da7ab5063bb2d96de2b7e09008d8e07bcf96ac25c340a778665";
static const char ss_hex[] = "9663aa1da97e848a914a436d04163dfbb89178f107f1b5b77ed3854203382854";
static const char keepalive_hex[] =
	"04000000050607080000000000000000c05b5687dc9e973b4033587e96b81434";
static const char plain_hex[] = "4500001d00010000401100000a0000010a0000023039d4310009000041";
static const char data_hex[] =
	"04000000050607080100000000000000fa308344c1bf96eff3000fad31dfbb553246155f9591050b"
	"440f3606b8164ff262987a22dbc6399fb1a451f42cb0c157";
static const char cookie_reply_hex[] =
	"0300000001020304a0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7989a0a32dae640c8"
	"29dae0a1c9eaa5b34b2269acc17aca5726d1dc289f1df048";
/* clang-format on */

enum { INITIATOR = 0x04030201, RESPONDER = 0x08070605 };

static void run(uint8_t dst[static 32], uint8_t from)
{
	for (uint8_t i = 0; i < 32; i++)
		dst[i] = (uint8_t)(from + i);
}

/* Both ends of the vector's handshake. */
struct pair {
	struct wg_identity i, r;
	struct psk psk;
	uint8_t ss[32], ei[32], er[32];
	struct wg_handshake hi, hr;
	struct wg_initiation msg1;
	struct wg_response msg2;
};

static void setup(struct pair *p)
{
	struct node_priv si, sr;

	memset(p, 0, sizeof(*p));
	run(si.b, 0x00);
	run(sr.b, 0x20);
	run(p->ei, 0x40);
	run(p->er, 0x60);
	run(p->psk.b, 0x80);
	wg_identity_set(&p->i, &si);
	wg_identity_set(&p->r, &sr);
	CHECK_OK(wg_static_static(&p->i, &p->r.pub, p->ss));
}

static int initiate(struct pair *p)
{
	struct wg_cookie_jar jar = { 0 };
	uint8_t stamp[WG_STAMP_LEN];
	int64_t last = 0;

	wg_stamp(stamp, (wall){ INT64_C(1700000000) * US_PER_S + 0x12345678 / 1000 }, &last);

	int r = wg_initiation_create(&p->hi, &p->i, &p->r.pub, p->ss, p->ei, stamp, INITIATOR,
	                             &p->msg1);

	wg_cookie_sign(&jar, (mono){ 0 }, &p->r.pub, (uint8_t *)&p->msg1, sizeof(p->msg1));
	return r;
}

static int receive(struct pair *p, const struct wg_initiation *msg)
{
	uint8_t ss[32], stamp[WG_STAMP_LEN];
	struct node_pub who;
	int r = wg_initiation_open(&p->r, msg, &p->hr, &who);

	if (r < 0)
		return r;
	CHECK_OK(wg_static_static(&p->r, &who, ss));
	return wg_initiation_finish(&p->hr, ss, msg, stamp);
}

static int respond(struct pair *p)
{
	struct wg_cookie_jar jar = { 0 };
	int r = wg_response_create(&p->hr, &p->i.pub, &p->psk, p->er, RESPONDER, &p->msg2);

	wg_cookie_sign(&jar, (mono){ 0 }, &p->i.pub, (uint8_t *)&p->msg2, sizeof(p->msg2));
	return r;
}

static void check_hex_eq(const void *got, const char *hex)
{
	uint8_t want[256];
	size_t n = check_hex(want, sizeof(want), hex);

	CHECK_MEM(got, want, n);
}

static void key_derivation_gives_the_published_values(void)
{
	uint8_t t[3][32];

	uint8_t key[32] = "wireguard"; /* HMAC pads shorter keys with zeros too */

	blake2s_hkdf(key, span_str("wireguard"), t[0], t[1], t[2]);
	check_hex_eq(t[0], "491d43bbfdaa8750aaf535e334ecbfe5129967cd64635101c566d4caefda96e8");
	check_hex_eq(t[1], "1e71a379baefd8a79aa4662212fcafe19a23e2b609a3db7d6bcba8f560e3d25f");
	check_hex_eq(t[2], "31e1ae48bddfbe5de38f295e5452b1909a1b4e38e183926af3780b0c1e1f0160");

	uint8_t none[32] = { 0 };

	blake2s_hkdf(none, (struct span){ 0 }, t[0], t[1], t[2]);
	check_hex_eq(t[0], "8387b46bf43eccfcf349552a095d8315c4055beb90208fb1be23b894bc2ed5d0");
	check_hex_eq(t[2], "0ce6ea98ec548f8e281e93e32db65621c45eb18dc6f0a7ad94178610a2f7338e");
}

static void a_whole_handshake_is_the_vector_byte_for_byte(void)
{
	struct pair p;
	uint8_t send[2][32], recv[2][32];

	setup(&p);
	check_hex_eq(p.ss, ss_hex);
	check_hex_eq(p.r.mac1_key,
	             "027b1cb8c420c32c942bea8ddb43ca7d20779ec4bd55578bfa5c3d7936c91d2f");
	check_hex_eq(p.r.cookie_key,
	             "e0153755cb4ee60ed472fa40fa20e1220446cc458fce98536ef506f2786eefc2");
	CHECK_OK(initiate(&p));
	check_hex_eq(&p.msg1, msg1_hex);
	check_hex_eq(p.hi.ck, "5b3722a25c7c69706cfbbef606c70681a400fd1b6dab82533b1266606d6ede42");
	check_hex_eq(p.hi.h, "b509312a413d1c2433cad799bafd7d0fc5cee2515ba653bbd40de8920fc105f4");
	CHECK_OK(receive(&p, &p.msg1));
	CHECK_OK(respond(&p));
	check_hex_eq(&p.msg2, msg2_hex);
	check_hex_eq(p.hr.ck, "31f8d19c2fc0571784aa27e8029c387d5656419453d8e82ae66031aa1b197836");
	check_hex_eq(p.hr.h, "5d6b7f4ba9247517152cf0f785861dd26420ef31b84e22051703c10bfb557732");
	CHECK_OK(wg_response_consume(&p.hi, &p.i, &p.psk, &p.msg2));
	CHECK_EQ(p.hi.remote_index, RESPONDER);
	CHECK_EQ(p.hr.remote_index, INITIATOR);
	wg_session_keys(&p.hi, send[0], recv[0]);
	wg_session_keys(&p.hr, send[1], recv[1]);
	check_hex_eq(send[0], t1_hex);
	check_hex_eq(recv[0], t2_hex);
	check_hex_eq(send[1], t2_hex);
	check_hex_eq(recv[1], t1_hex);
	CHECK(ct_is_zero(&p.hi, sizeof(p.hi)));
}

static void data_messages_are_the_vector_byte_for_byte(void)
{
	struct wg_keypair k = { .remote_index = RESPONDER };
	uint8_t plain[64], msg[128], back[64];
	size_t n = check_hex(plain, sizeof(plain), plain_hex), len;
	struct ip src;

	(void)check_hex(k.send_key, 32, t1_hex);
	memcpy(k.recv_key, k.send_key, 32);
	wg_seal(msg, &k, 0, (struct span){ 0 }, 1420);
	check_hex_eq(msg, keepalive_hex);
	wg_seal(msg, &k, 1, span(plain, n), 1420);
	check_hex_eq(msg, data_hex);
	CHECK_OK(wg_open(back, &k, span(msg, 64)));
	CHECK_OK(wg_inner_len(span(back, 32), &len, &src));
	CHECK_EQ(len, n);
	CHECK_MEM(back, plain, n);
}

static void a_cookie_reply_is_taken_and_used(void)
{
	struct pair p;
	struct wg_cookie_jar jar = { 0 };
	struct wg_cookie_reply reply;
	uint8_t want[32];

	setup(&p);
	CHECK_OK(initiate(&p));
	wg_cookie_sign(&jar, (mono){ 0 }, &p.r.pub, (uint8_t *)&p.msg1, sizeof(p.msg1));
	(void)check_hex(&reply, sizeof(reply), cookie_reply_hex);
	CHECK_OK(wg_cookie_take(&jar, (mono){ 0 }, &p.r.pub, &reply));
	run(want, 0xd0);
	CHECK_MEM(jar.cookie, want, 16);
	CHECK_EQ(wg_cookie_take(&jar, (mono){ 0 }, &p.r.pub, &reply), ERR_BADSTATE);
	wg_cookie_sign(&jar, (mono){ 114 * US_PER_S }, &p.r.pub, (uint8_t *)&p.msg1,
	               sizeof(p.msg1));
	check_hex_eq(p.msg1.macs.mac2, "6963705ff0c07862de4b43dab7ffb300");
	wg_cookie_sign(&jar, (mono){ 115 * US_PER_S }, &p.r.pub, (uint8_t *)&p.msg1,
	               sizeof(p.msg1));
	CHECK(ct_is_zero(p.msg1.macs.mac2, 16));
}

static void any_flipped_bit_of_an_initiation_is_refused(void)
{
	struct pair p;

	setup(&p);
	CHECK_OK(initiate(&p));
	/* Type and index are under mac1 alone; from the ephemeral on Noise sees it too. */
	for (size_t bit = 0; bit < (sizeof(p.msg1) - 16) * 8; bit++) {
		struct wg_initiation bad = p.msg1;

		((uint8_t *)&bad)[bit / 8] ^= (uint8_t)(1 << bit % 8);
		CHECK(!wg_mac1_ok(&p.r, (uint8_t *)&bad, sizeof(bad)));
		if (bit % 7 == 0 && bit >= 8 * 8 && bit < 116 * 8 && bit != 39 * 8 + 7)
			CHECK(receive(&p, &bad) < 0);
	}
}

static void a_bad_response_leaves_the_handshake_waiting(void)
{
	struct pair p;

	setup(&p);
	CHECK_OK(initiate(&p));
	CHECK_OK(receive(&p, &p.msg1));
	CHECK_OK(respond(&p));
	for (size_t bit = 12 * 8; bit < 60 * 8; bit += 5) {
		struct wg_handshake before = p.hi;
		struct wg_response bad = p.msg2;

		if (bit == 43 * 8 + 7)
			continue; /* the top bit of a curve point does not count */
		((uint8_t *)&bad)[bit / 8] ^= (uint8_t)(1 << bit % 8);
		CHECK(wg_response_consume(&p.hi, &p.i, &p.psk, &bad) < 0);
		CHECK_MEM(&p.hi, &before, sizeof(before));
	}
	CHECK_OK(wg_response_consume(&p.hi, &p.i, &p.psk, &p.msg2));
}

static void another_psk_fails_at_the_response(void)
{
	struct pair p;
	struct psk other = { { 1 } };

	setup(&p);
	CHECK_OK(initiate(&p));
	CHECK_OK(receive(&p, &p.msg1));
	CHECK_OK(respond(&p));
	CHECK_EQ(wg_response_consume(&p.hi, &p.i, &other, &p.msg2), ERR_AUTH);
}

static void small_order_keys_are_refused_everywhere(void)
{
	struct pair p;
	struct node_pub zero = { { 0 } };
	struct wg_handshake hs;
	uint8_t stamp[WG_STAMP_LEN] = { 0 }, ss[32];

	setup(&p);
	CHECK_EQ(wg_static_static(&p.i, &zero, ss), ERR_MALFORMED);
	CHECK_EQ(wg_initiation_create(&hs, &p.i, &zero, p.ss, p.ei, stamp, 1, &p.msg1),
	         ERR_MALFORMED);
	CHECK_OK(initiate(&p));
	CHECK_OK(receive(&p, &p.msg1));
	CHECK_OK(respond(&p));
	memset(p.msg2.ephemeral, 0, 32);
	CHECK_EQ(wg_response_consume(&p.hi, &p.i, &p.psk, &p.msg2), ERR_MALFORMED);
	memset(p.msg1.ephemeral, 0, 32);
	CHECK_EQ(receive(&p, &p.msg1), ERR_MALFORMED);
}

static void stamps_rise_whatever_the_clock_does(void)
{
	static const int64_t clock_us[] = {
		1000000000000000, 1000000000000001, 1000000000010000, 999999999000000, 0, -5,
		1000000000000000, 1000000009000000
	};
	uint8_t before[WG_STAMP_LEN] = { 0 }, stamp[WG_STAMP_LEN];
	int64_t last = 0;

	for (unsigned i = 0; i < 200; i++) {
		wg_stamp(stamp, (wall){ clock_us[i % ARRAY_LEN(clock_us)] }, &last);
		CHECK(memcmp(stamp, before, WG_STAMP_LEN) > 0);
		CHECK_EQ(stamp[11], 0);
		CHECK_EQ(stamp[10], 0);
		CHECK_EQ(stamp[9], 0);
		CHECK(be32_at(stamp + 8) < 1000000000);
		memcpy(before, stamp, WG_STAMP_LEN);
	}
}

int main(void)
{
	RUN(key_derivation_gives_the_published_values);
	RUN(a_whole_handshake_is_the_vector_byte_for_byte);
	RUN(data_messages_are_the_vector_byte_for_byte);
	RUN(a_cookie_reply_is_taken_and_used);
	RUN(any_flipped_bit_of_an_initiation_is_refused);
	RUN(a_bad_response_leaves_the_handshake_waiting);
	RUN(another_psk_fails_at_the_response);
	RUN(small_order_keys_are_refused_everywhere);
	RUN(stamps_rise_whatever_the_clock_does);
	return check_done();
}
