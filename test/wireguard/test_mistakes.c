/*
 * Mistakes that other implementations made and mended, one test each: from the
 * change logs and audits of gotatun, boringtun, Nebula and wireguard-go.
 * doc/testing.md has the table, with those that are tested elsewhere.
 */
#include <malloc.h>
#include <stdlib.h>

#include "crypto/aead.h"
#include "test/check.h"
#include "test/sim/wgworld.h"

#define S US_PER_S
#define R WG_REJECT_AFTER_MESSAGES

static struct wgworld w;
static struct wgnode *a, *b;

static void start(void)
{
	wgworld_init(&w, 5);
	a = wgworld_add(&w, 1);
	b = wgworld_add(&w, 2);
	wgworld_link(a, b);
}

static void start_connected(void)
{
	start();
	wgworld_connect(&w, a, b);
	wgworld_run(&w, 10 * S);
}

static void end(void)
{
	wgworld_done(&w);
}

static struct wg_keypair *current(struct wgnode *n, struct wgnode *other)
{
	return wgnode_peer(n, other)->current;
}

/* ---- nonces, replay ------------------------------------------------------ */

static void mistake_1_a_send_counter_of_32_bits_repeats_nonces(void)
{
	static const uint64_t near[] = { UINT32_MAX - 1, WG_REKEY_AFTER_MESSAGES - 2 };

	start_connected();
	for (size_t i = 0; i < ARRAY_LEN(near); i++) {
		current(a, b)->send_counter = near[i];
		for (uint64_t k = 0; k < 4; k++) {
			struct wg_keypair *keys = current(a, b);

			CHECK_EQ(keys->send_counter, near[i] + k);
			wgnode_ping(a, b, 40);
		}
		wgworld_run(&w, S);
		CHECK_EQ(b->delivered, 1 + 4 * (i + 1));
	}
	end();
}

static void mistake_2_a_spent_key_still_sends_or_receives(void)
{
	struct wg_keypair *k;
	uint64_t first;

	start_connected();
	current(a, b)->send_counter = R - 2;
	CHECK_OK(wg_send_begin(a->dev, wgnode_now(a), wgnode_peer(a, b), 2, &k, &first));
	CHECK_EQ(first, R - 2);
	CHECK_EQ(wg_send_begin(a->dev, wgnode_now(a), wgnode_peer(a, b), 1, &k, &first), ERR_NOKEY);
	current(a, b)->send_counter = R - 2; /* a batch may not reach over the end */
	CHECK_EQ(wg_send_begin(a->dev, wgnode_now(a), wgnode_peer(a, b), 3, &k, &first), ERR_NOKEY);
	CHECK(!wgnode_has_session(a, b));

	struct wg_keypair *in = current(b, a);

	CHECK(!wg_recv_accept(b->dev, in, R));
	CHECK(!wg_recv_accept(b->dev, in, UINT64_MAX));
	CHECK(wg_recv_accept(b->dev, in, R - 1));
	CHECK(!wg_recv_keypair(b->dev, wgnode_now(b), in->local_index));
	wgworld_run(&w, S); /* and a new session comes by itself */
	CHECK(wgnode_has_session(a, b));
	end();
}

static void mistake_3_a_source_inside_ones_prefix_but_of_a_longer_one_of_another(void)
{
	struct ip theirs = ip4(10, 1, 2, 3), own = ip4(10, 2, 2, 3);
	struct wgnode *c;

	start();
	c = wgworld_add(&w, 3);
	wgworld_link(b, c);
	wgnode_add_prefix(b, a, "10.0.0.0/8");
	wgnode_add_prefix(b, c, "10.1.0.0/16");
	wgnode_send(a, &own, &b->inside, 40);
	wgworld_run(&w, S);
	CHECK_EQ(b->delivered, 1);
	wgnode_send(a, &theirs, &b->inside, 40);
	wgworld_run(&w, S);
	CHECK_EQ(b->delivered, 1);
	CHECK_EQ(wg_drops(b->dev, WG_DROP_SOURCE), 1);
	end();
}

static void mistake_4_an_oversize_datagram_ends_the_receiver(void)
{
	static uint8_t huge[65507];
	struct addr from = { .ip = ip4(192, 0, 2, 66), .port = 9 };

	start_connected();
	for (uint32_t type = 0; type < 8; type++) {
		put_le32(huge, type);
		put_le32(huge + 4, current(b, a)->local_index);
		wgnode_recv(b, &from, SPAN_OF(huge));
	}
	CHECK_EQ(wg_drops(b->dev, WG_DROP_LENGTH), 3);
	CHECK_EQ(wg_drops(b->dev, WG_DROP_TYPE), 4);
	CHECK_EQ(wg_drops(b->dev, WG_DROP_AUTH), 1);
	wgnode_ping(a, b, 60000); /* as large and well meant */
	wgworld_run(&w, S);
	CHECK_EQ(b->delivered, 2);
	end();
}

/* ---- load ---------------------------------------------------------------- */

static void overload(struct wgnode *n, bool on)
{
	n->dev->loaded_until = on ? MONO_NEVER : (mono){ 0 };
}

static void cookies_bring_a_handshake_through_under_load(void)
{
	start();
	overload(b, true);
	wgnode_ping(a, b, 40);
	wgworld_run(&w, 4 * S);
	CHECK_EQ(wg_drops(b->dev, WG_DROP_COOKIE_ASKED), 1);
	CHECK_EQ(b->delivered, 0);
	CHECK_EQ(a->sent[WG_MSG_INITIATION], 1); /* the cookie waits for the next try */
	wgworld_run(&w, 3 * S);
	CHECK_EQ(b->delivered, 1);
	CHECK_EQ(a->sent[WG_MSG_INITIATION], 2);
	end();
}

static void mistake_5_a_cookie_for_the_address_without_the_port(void)
{
	struct wg_cookie_oven oven = { 0 };
	struct wg_cookie_jar jar = { 0 };
	struct wg_path from = { .remote = { .ip = ip4(192, 0, 2, 1), .port = 1000 } };
	struct wg_path other_port = from, other_ip = from, other_relay = from;
	struct wg_initiation msg = { .type = { 1 } };
	struct wg_cookie_reply reply;
	mono now = { 5 * S };

	start();
	other_port.remote.port++;
	other_ip.remote.ip.b[15]++;
	other_relay.relay++;
	wg_cookie_sign(&jar, now, &b->pub, (uint8_t *)&msg, sizeof(msg));
	CHECK(!wg_mac2_ok(&oven, now, &from, (uint8_t *)&msg, sizeof(msg)));
	wg_cookie_bake(&oven, now, &b->dev->rand, &b->dev->id, &from, (uint8_t *)&msg, sizeof(msg),
	               &reply);
	CHECK_OK(wg_cookie_take(&jar, now, &b->pub, &reply));
	wg_cookie_sign(&jar, now, &b->pub, (uint8_t *)&msg, sizeof(msg));
	CHECK(wg_mac2_ok(&oven, now, &from, (uint8_t *)&msg, sizeof(msg)));
	CHECK(!wg_mac2_ok(&oven, now, &other_port, (uint8_t *)&msg, sizeof(msg)));
	CHECK(!wg_mac2_ok(&oven, now, &other_ip, (uint8_t *)&msg, sizeof(msg)));
	CHECK(!wg_mac2_ok(&oven, now, &other_relay, (uint8_t *)&msg, sizeof(msg)));
	msg.sender[0] ^= 1;
	CHECK(!wg_mac2_ok(&oven, now, &from, (uint8_t *)&msg, sizeof(msg)));
	msg.sender[0] ^= 1;
	CHECK(!wg_mac2_ok(&oven, mono_after(now, WG_COOKIE_SECRET_S * S), &from, (uint8_t *)&msg,
	                  sizeof(msg)));
	end();
}

/* An initiation that knows b's public key and nothing else. */
static void knock(const struct addr *from, uint32_t serial)
{
	struct wg_initiation msg = { .type = { 1 } };
	struct wg_cookie_jar jar = { 0 };

	put_le32(msg.sender, serial);
	msg.ephemeral[0] = 9;
	wg_cookie_sign(&jar, (mono){ 0 }, &b->pub, (uint8_t *)&msg, sizeof(msg));
	wgnode_recv(b, from, span(&msg, sizeof(msg)));
}

static void mistake_6_one_flooder_puts_everybody_into_cookie_mode(void)
{
	struct addr flooder = { .ip = ip4(198, 51, 100, 6), .port = 666 };

	start();
	for (uint32_t i = 0; i < 3000; i++)
		knock(&flooder, i);
	CHECK(wg_drops(b->dev, WG_DROP_COOKIE_ASKED) > 2800);
	CHECK(wg_drops(b->dev, WG_DROP_HANDSHAKE_AUTH) <= WG_SOURCE_PER_S + 1);

	uint64_t asked = wg_drops(b->dev, WG_DROP_COOKIE_ASKED);

	wgnode_ping(a, b, 40);
	wgworld_settle(&w);
	CHECK_EQ(b->delivered, 1);
	CHECK_EQ(wg_drops(b->dev, WG_DROP_COOKIE_ASKED), asked);
	end();
}

static void many_flooders_together_make_everybody_prove_his_address(void)
{
	uint32_t serial = 0;

	start();
	for (uint8_t host = 1; host < 60; host++) {
		struct addr from = { .ip = ip4(198, 51, 100, host), .port = 666 };

		for (unsigned i = 0; i < 40; i++)
			knock(&from, serial++);
	}
	CHECK(wg_drops(b->dev, WG_DROP_HANDSHAKE_AUTH) <= WG_ALL_PER_S + 1);
	CHECK(wg_drops(b->dev, WG_DROP_COOKIE_ASKED) > 1000);
	end();
}

static void mistake_7_session_indices_can_be_foretold(void)
{
	uint32_t seen[512], ones[32] = { 0 };
	struct wg_index index[ARRAY_LEN(seen)];

	start();
	for (size_t i = 0; i < ARRAY_LEN(seen); i++) {
		seen[i] = wg_index_new(a->dev, &index[i], wgnode_peer(a, b));
		for (unsigned bit = 0; bit < 32; bit++)
			ones[bit] += seen[i] >> bit & 1;
	}
	for (unsigned bit = 0; bit < 32; bit++) /* 5 sigma */
		CHECK(ones[bit] > 256 - 57 && ones[bit] < 256 + 57);
	for (size_t i = 2; i < ARRAY_LEN(seen); i++)
		CHECK(seen[i] - seen[i - 1] != seen[i - 1] - seen[i - 2]);
	for (size_t i = 0; i < ARRAY_LEN(seen); i++)
		wg_index_drop(a->dev, &index[i]);
	end();
}

static void mistake_8_packets_are_not_padded(void)
{
	start_connected();
	for (size_t n = 20; n < 100; n++) {
		wgnode_ping(a, b, n);
		CHECK_EQ((a->last_n - WG_DATA_OVERHEAD) % WG_PADDING, 0);
		CHECK_EQ(a->last_n, wg_padded_len(n, WG_MTU_DEFAULT) + WG_DATA_OVERHEAD);
	}
	wgnode_ping(a, b, 1420);
	CHECK_EQ(a->last_n, 1420 + WG_DATA_OVERHEAD);
	wgworld_run(&w, S);
	CHECK_EQ(b->delivered, 1 + 80 + 1);
	end();
}

/* ---- endpoints ----------------------------------------------------------- */

static bool is_at(struct wgnode *n, struct wgnode *other, struct ip ip)
{
	struct wg_path path;

	return wg_peer_path(n->dev, wgnode_peer(n, other), &path) && ip_eq(&path.remote.ip, &ip);
}

static void mistake_9_the_endpoint_is_learned_from_initiations_alone(void)
{
	struct ip moved = ip4(203, 0, 113, 1), again = ip4(203, 0, 113, 2);

	start_connected();
	fakehost_move(a->host, moved, NULL);
	wgnode_ping(a, b, 40);
	wgworld_settle(&w);
	CHECK(is_at(b, a, moved));
	CHECK_EQ(a->sent[WG_MSG_INITIATION], 1);
	fakehost_move(a->host, again, NULL);
	wgnode_set_keepalive(a, b, 25);
	wgworld_settle(&w);
	CHECK(is_at(b, a, again));
	end();
}

static void mistake_9b_the_endpoint_is_learned_from_a_cookie_reply_or_a_replay(void)
{
	static uint8_t kept[200];
	struct addr elsewhere = { .ip = ip4(198, 51, 100, 6), .port = 666 };
	struct ip home = ip4(192, 0, 2, 2);
	size_t n;

	start();
	overload(b, true);
	b->deaf = true;
	wgnode_ping(a, b, 40);
	wgworld_settle(&w);
	b->deaf = false;
	wgnode_recv(b, &(struct addr){ .ip = ip4(192, 0, 2, 1), .port = WGWORLD_PORT },
	            span(a->last, a->last_n));
	CHECK_EQ(b->sent[WG_MSG_COOKIE], 1);
	wgnode_recv(a, &elsewhere, span(b->last, b->last_n));
	CHECK(wgnode_peer(a, b)->contact->jar.held);
	CHECK(is_at(a, b, home));
	overload(b, false);
	wgworld_run(&w, 10 * S);

	wgnode_ping(b, a, 40);
	n = b->last_n;
	memcpy(kept, b->last, n);
	wgworld_settle(&w);
	wgnode_recv(a, &elsewhere, span(kept, n));
	CHECK_EQ(wg_drops(a->dev, WG_DROP_REPLAY), 1);
	CHECK(is_at(a, b, home));
	end();
}

static void mistake_10_a_window_of_1024_loses_what_is_late(void)
{
	struct wg_keypair *k;

	start_connected();
	k = current(b, a);
	CHECK(wg_recv_accept(b->dev, k, 10000));
	CHECK(wg_recv_accept(b->dev, k, 10000 - 8000));
	CHECK(wg_recv_accept(b->dev, k, 10000 - WG_REPLAY_WINDOW));
	CHECK(!wg_recv_accept(b->dev, k, 10000 - WG_REPLAY_WINDOW - 1));
	end();
}

static void mistake_11_a_changed_psk_is_not_used_until_a_restart(void)
{
	start_connected();
	wgnode_set_psk(a, b, 7);
	wgnode_ping(a, b, 40);
	wgworld_run(&w, S);
	CHECK_EQ(b->delivered, 2); /* the session that is there goes on */
	wgworld_run(&w, 200 * S);
	wgnode_ping(a, b, 40);
	wgworld_run(&w, S);
	CHECK_EQ(b->delivered, 2); /* one side knows it: no handshake */
	CHECK(wg_drops(a->dev, WG_DROP_HANDSHAKE_AUTH) > 0);
	wgnode_set_psk(b, a, 7);
	wgworld_run(&w, 6 * S);
	CHECK_EQ(b->delivered, 3);
	end();
}

static void mistake_12_passive_keepalives_answer_keepalives_for_ever(void)
{
	start_connected();
	wgworld_run(&w, 30 * S);

	uint64_t before = a->sent[0] + b->sent[0];

	wgnode_set_keepalive(a, b, 50);
	wgworld_run(&w, 99 * S);
	wgnode_set_keepalive(a, b, 0);
	wgworld_run(&w, 1000 * S);
	CHECK_EQ(a->sent[0] + b->sent[0], before + 2);
	end();
}

/* ---- handshakes ---------------------------------------------------------- */

static void mistake_13_a_late_response_is_thrown_away(void)
{
	start();
	fakenet_set_link(w.net, &(struct fakenet_link){ .delay_us = 2200000 });
	wgnode_ping(a, b, 40);
	wgworld_run(&w, 7 * S);
	CHECK_EQ(b->delivered, 1);
	CHECK_EQ(a->sent[WG_MSG_INITIATION], 1);
	end();
}

static void mistake_13b_every_handshake_after_the_hundredth_gets_a_cookie(void)
{
	start();
	for (unsigned i = 0; i < 300; i++) {
		wg_expire_sessions(a->dev, wgnode_now(a));
		wgnode_ping(a, b, 40);
		wgworld_run(&w, 6 * S);
		CHECK_EQ(b->delivered, i + 1);
	}
	CHECK_EQ(b->sent[WG_MSG_COOKIE], 0);
	end();
}

static void mistake_14_a_bad_response_ends_the_pending_handshake(void)
{
	struct wg_response bad = { .type = { 2 } };
	struct wg_cookie_jar jar = { 0 };
	struct addr from = { .ip = ip4(192, 0, 2, 2), .port = WGWORLD_PORT };

	start();
	fakenet_set_link(w.net, &(struct fakenet_link){ .delay_us = S });
	wgnode_ping(a, b, 40);
	put_le32(bad.receiver, wgnode_peer(a, b)->pending->hs.local_index);
	bad.ephemeral[0] = 9;
	wg_cookie_sign(&jar, (mono){ 0 }, &a->pub, (uint8_t *)&bad, sizeof(bad));
	wgnode_recv(a, &from, span(&bad, sizeof(bad)));
	CHECK_EQ(wg_drops(a->dev, WG_DROP_HANDSHAKE_AUTH), 1);
	wgworld_run(&w, 4 * S);
	CHECK_EQ(b->delivered, 1);
	CHECK_EQ(a->sent[WG_MSG_INITIATION], 1);
	end();
}

static void mistake_15_a_clock_that_goes_back_ends_everything(void)
{
	start_connected();
	a->mono_skew_us = b->mono_skew_us = -500 * S;
	wgnode_ping(a, b, 40);
	wgworld_run(&w, S);
	CHECK_EQ(b->delivered, 2);
	a->mono_skew_us = 0;
	wgworld_run(&w, 1000 * S);
	wgnode_ping(a, b, 40);
	wgnode_ping(b, a, 40);
	wgworld_run(&w, 30 * S);
	CHECK_EQ(b->delivered, 3);
	CHECK_EQ(a->delivered, 2);
	end();
}

static void mistake_20_an_old_initiation_is_accepted_again(void)
{
	static uint8_t kept[WG_INITIATION_LEN];
	struct addr from = { .ip = ip4(192, 0, 2, 1), .port = WGWORLD_PORT };

	start();
	wgnode_ping(a, b, 40);
	CHECK_EQ(a->last_n, WG_INITIATION_LEN);
	memcpy(kept, a->last, sizeof(kept));
	wgworld_run(&w, 10 * S);
	wgnode_recv(b, &from, SPAN_OF(kept));
	CHECK_EQ(wg_drops(b->dev, WG_DROP_STALE_STAMP), 1);
	CHECK_EQ(b->sent[WG_MSG_RESPONSE], 1);

	/* The initiator begins anew, as after a restart; the old one stays old. */
	wg_down(a->dev, wgnode_now(a));
	wg_up(a->dev, wgnode_now(a));
	wgnode_ping(a, b, 40);
	wgworld_run(&w, S);
	CHECK_EQ(b->delivered, 2);
	wgnode_recv(b, &from, SPAN_OF(kept));
	CHECK_EQ(wg_drops(b->dev, WG_DROP_STALE_STAMP), 2);
	end();
}

static void mistake_20b_a_clock_set_back_makes_us_look_like_a_replay(void)
{
	start_connected();
	a->wall_skew_us = -3600 * S;
	wgworld_run(&w, 200 * S);
	wgnode_ping(a, b, 40);
	wgworld_run(&w, S);
	CHECK_EQ(b->delivered, 2);
	CHECK_EQ(wg_drops(b->dev, WG_DROP_STALE_STAMP), 0);
	end();
}

static void initiations_of_a_peer_come_no_closer_than_twenty_milliseconds(void)
{
	start();
	wgnode_ping(a, b, 40);
	wgworld_settle(&w);
	wgnode_peer(a, b)->handshake_sent.us -= 6 * S;
	wg_expire_sessions(a->dev, wgnode_now(a));
	wgnode_ping(a, b, 40);
	wgworld_run(&w, S / 100);
	CHECK_EQ(wg_drops(b->dev, WG_DROP_FLOOD), 1);
	end();
}

/* ---- secrets ------------------------------------------------------------- */

#if !defined(__SANITIZE_ADDRESS__) && !defined(FAIRLEAD_VALGRIND)
/*
 * Every free passes here first: no freed memory may hold a key that was on
 * watch. glibc's own name for the real thing is free's alias.
 */
enum { WATCHED = 8 };
static uint8_t watched[WATCHED][32];
static size_t watched_n, leaks;
extern void __libc_free(void *p); /* NOLINT */

void free(void *p)
{
	size_t n = p && watched_n ? malloc_usable_size(p) : 0;

	for (size_t i = 0; i < watched_n && n >= 32; i++) {
		if (memmem(p, n, watched[i], 32))
			leaks++;
	}
	__libc_free(p);
}

static void watch(const uint8_t key[static 32])
{
	memcpy(watched[watched_n++], key, 32);
}

static void mistake_19_keys_stay_in_memory_that_is_given_back(void)
{
	struct node_priv other = { { 77 } };

	start();
	wgnode_ping(a, b, 100);
	CHECK(wgnode_peer(a, b)->pending); /* the initiation is under way */
	watch(wgnode_peer(a, b)->pending->hs.ck);
	watch(wgnode_peer(a, b)->pending->hs.ephemeral);
	wgworld_run(&w, 5 * S);
	wgnode_set_psk(a, b, 0xa5);
	watch(current(a, b)->send_key);
	watch(current(a, b)->recv_key);
	watch(a->dev->id.priv.b);
	watch(wgnode_peer(a, b)->contact->static_static);
	watch(wgnode_peer(a, b)->psk->b);
	wgnode_set_key(a, &other);
	wgworld_run(&w, 3000 * S); /* zero_key_material has come by now */
	wg_device_free(TAKE(a->dev));
	CHECK_EQ(leaks, 0);

	uint8_t *probe = malloc(64);

	memcpy(probe, watched[0], 32);
	__asm__ volatile("" : : "r"(probe) : "memory");
	free(probe);
	CHECK_EQ(leaks, 1); /* the watch works */
	watched_n = 0;
	end();
}
#endif

int main(void)
{
	RUN(mistake_1_a_send_counter_of_32_bits_repeats_nonces);
	RUN(mistake_2_a_spent_key_still_sends_or_receives);
	RUN(mistake_3_a_source_inside_ones_prefix_but_of_a_longer_one_of_another);
	RUN(mistake_4_an_oversize_datagram_ends_the_receiver);
	RUN(cookies_bring_a_handshake_through_under_load);
	RUN(mistake_5_a_cookie_for_the_address_without_the_port);
	RUN(mistake_6_one_flooder_puts_everybody_into_cookie_mode);
	RUN(many_flooders_together_make_everybody_prove_his_address);
	RUN(mistake_7_session_indices_can_be_foretold);
	RUN(mistake_8_packets_are_not_padded);
	RUN(mistake_9_the_endpoint_is_learned_from_initiations_alone);
	RUN(mistake_9b_the_endpoint_is_learned_from_a_cookie_reply_or_a_replay);
	RUN(mistake_10_a_window_of_1024_loses_what_is_late);
	RUN(mistake_11_a_changed_psk_is_not_used_until_a_restart);
	RUN(mistake_12_passive_keepalives_answer_keepalives_for_ever);
	RUN(mistake_13_a_late_response_is_thrown_away);
	RUN(mistake_13b_every_handshake_after_the_hundredth_gets_a_cookie);
	RUN(mistake_14_a_bad_response_ends_the_pending_handshake);
	RUN(mistake_15_a_clock_that_goes_back_ends_everything);
	RUN(mistake_20_an_old_initiation_is_accepted_again);
	RUN(mistake_20b_a_clock_set_back_makes_us_look_like_a_replay);
	RUN(initiations_of_a_peer_come_no_closer_than_twenty_milliseconds);
#if !defined(__SANITIZE_ADDRESS__) && !defined(FAIRLEAD_VALGRIND)
	RUN(mistake_19_keys_stay_in_memory_that_is_given_back);
#endif
	return check_done();
}
