#include "crypto/noise.h"

#include "crypto/init.h"
#include "crypto/keys.h"
#include "test/check.h"

/* Vectors of another implementation: tailscale-rs, ts_noise/src/ik.rs, test_handshake. */
static const char want_init[] = "358072d6365880d1aeea329adf9121383851ed21a28e3b75e965d0d2cd166254"
				"ad5b8febedeb97415be53612205e6bfab385e34cb127dd8854c4f9afb10f9b0e"
				"49075a6f14f9d5bc61412f096ae4950589aef8286944be93ca02ab76a5483b51";
static const char want_resp[] = "675dd574ed7789310b3d2e7681f3790b466c773b1521fecf36577958371ea52f"
				"5ef5508032efff8066fc858410f411e8";

struct four {
	uint8_t client[32], client_eph[32], server[32], server_eph[32], server_pub[32];
};

static struct four keys(void)
{
	struct four k;

	for (size_t i = 0; i < 32; i++) {
		k.client[i] = (uint8_t)i;
		k.client_eph[i] = (uint8_t)(0x20 + i);
		k.server[i] = (uint8_t)(0x40 + i);
		k.server_eph[i] = (uint8_t)(0x60 + i);
	}
	key_public(k.server_pub, k.server);
	return k;
}

static const struct span prologue = { (const uint8_t *)"TEST HANDSHAKE", 14 };

static void both_sides_meet_the_published_vectors(void)
{
	struct four k = keys();
	struct noise i, r;
	struct noise_keys ik, rk;
	uint8_t init[NOISE_INIT], resp[NOISE_RESP], want[128], peer[32], client_pub[32];

	CHECK_OK(noise_start(&i, prologue, k.client, k.server_pub, k.client_eph, init));
	CHECK_EQ(check_hex(want, sizeof(want), want_init), NOISE_INIT);
	CHECK_MEM(init, want, NOISE_INIT);
	CHECK_OK(noise_accept(&r, prologue, k.server, init, peer));
	key_public(client_pub, k.client);
	CHECK_MEM(peer, client_pub, 32);
	CHECK_OK(noise_answer(&r, k.server_eph, resp, &rk));
	CHECK_EQ(check_hex(want, sizeof(want), want_resp), NOISE_RESP);
	CHECK_MEM(resp, want, NOISE_RESP);
	CHECK_OK(noise_finish(&i, resp, &ik));
	CHECK_MEM(&ik, &rk, sizeof(ik));
}

static void any_flipped_bit_of_the_first_message_is_refused(void)
{
	struct four k = keys();
	struct noise n;
	uint8_t init[NOISE_INIT], peer[32];

	CHECK_OK(noise_start(&n, prologue, k.client, k.server_pub, k.client_eph, init));
	for (size_t bit = 0; bit < NOISE_INIT * 8; bit++) {
		init[bit / 8] ^= (uint8_t)(1u << bit % 8);
		/* X25519 ignores the top bit of a point, but the hash does not. */
		CHECK(noise_accept(&n, prologue, k.server, init, peer) < 0);
		init[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
}

static void any_flipped_bit_of_the_answer_is_refused(void)
{
	struct four k = keys();
	struct noise i, r;
	struct noise_keys keys_out;
	uint8_t init[NOISE_INIT], resp[NOISE_RESP], peer[32];

	CHECK_OK(noise_start(&i, prologue, k.client, k.server_pub, k.client_eph, init));
	CHECK_OK(noise_accept(&r, prologue, k.server, init, peer));
	CHECK_OK(noise_answer(&r, k.server_eph, resp, &keys_out));
	for (size_t bit = 0; bit < NOISE_RESP * 8; bit++) {
		struct noise copy = i;

		resp[bit / 8] ^= (uint8_t)(1u << bit % 8);
		CHECK(noise_finish(&copy, resp, &keys_out) < 0);
		resp[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	CHECK_OK(noise_finish(&i, resp, &keys_out));
}

static void another_prologue_is_refused(void)
{
	struct four k = keys();
	struct noise n;
	uint8_t init[NOISE_INIT], peer[32];

	CHECK_OK(noise_start(&n, prologue, k.client, k.server_pub, k.client_eph, init));
	CHECK_EQ(noise_accept(&n, SPAN_LIT("other"), k.server, init, peer), ERR_AUTH);
}

static void a_server_key_of_small_order_is_refused(void)
{
	struct four k = keys();
	static const uint8_t zero[32];
	struct noise n;
	uint8_t init[NOISE_INIT];

	CHECK_EQ(noise_start(&n, prologue, k.client, zero, k.client_eph, init), ERR_MALFORMED);
}

int main(void)
{
	crypto_start();
	RUN(both_sides_meet_the_published_vectors);
	RUN(any_flipped_bit_of_the_first_message_is_refused);
	RUN(any_flipped_bit_of_the_answer_is_refused);
	RUN(another_prologue_is_refused);
	RUN(a_server_key_of_small_order_is_refused);
	return check_done();
}
