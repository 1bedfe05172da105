/* Every timer and limit of the protocol by its name, on a clock that is played by hand. */
#include "wireguard/timers.h"

#include "test/check.h"
#include "test/sim/wgworld.h"

#define S US_PER_S

static struct wgworld w;
static struct wgnode *a, *b;

/* a is the initiator of the session that is there; nothing is due. */
static void start(void)
{
	wgworld_init(&w, 3);
	a = wgworld_add(&w, 1);
	b = wgworld_add(&w, 2);
	wgworld_link(a, b);
	wgnode_ping(a, b, 40);
	wgworld_settle(&w);
	wgnode_ping(b, a, 40);
	wgworld_settle(&w);
	CHECK(a->delivered == 1 && b->delivered == 1);
	a->log_n = b->log_n = 0;
}

static void end(void)
{
	wgworld_done(&w);
}

/* The i-th datagram since start: its kind and, in microseconds, how long after `from`. */
#define CHECK_SENT(n, i, want_kind, from, min_us, max_us)                           \
	do {                                                                        \
		CHECK((n)->log_n > (i));                                            \
		if ((n)->log_n > (i)) {                                             \
			int64_t after_ = mono_since((from), (n)->log[i].at);        \
			CHECK_EQ((n)->log[i].kind, (want_kind));                    \
			if (after_ < (min_us) || after_ > (max_us))                 \
				check_fail(__FILE__, __LINE__, "sent after %jd us", \
				           (intmax_t)after_);                       \
		}                                                                   \
	} while (0)

static mono world_now(void)
{
	return fakenet_now(w.net);
}

static void retransmit_handshake_tries_twenty_times_and_gives_up(void)
{
	wgworld_init(&w, 3);
	a = wgworld_add(&w, 1);
	b = wgworld_add(&w, 2);
	wgworld_link(a, b);
	b->deaf = true;
	wgnode_ping(a, b, 40);
	wgworld_run(&w, 89 * S);
	CHECK_EQ(a->gave_up, 0);
	CHECK_EQ(wgnode_peer(a, b)->staged_n, 1);
	wgworld_run(&w, 20 * S);
	CHECK_EQ(a->gave_up, 1);
	CHECK_EQ(a->log_n, 20);
	for (size_t i = 1; i < a->log_n; i++)
		CHECK_SENT(a, i, WG_MSG_INITIATION, a->log[i - 1].at, 5 * S, 5 * S + WG_JITTER_US);
	CHECK_EQ(wgnode_peer(a, b)->staged_n, 0);
	CHECK_EQ(wg_drops(a->dev, WG_DROP_STAGED_STALE), 1);
	CHECK(wg_timer_armed(&wgnode_peer(a, b)->timers, WG_TIMER_ZERO_KEYS));
	wgworld_run(&w, 2000 * S);
	CHECK_EQ(a->log_n, 20);
	CHECK_EQ(a->dev->indices.n, 0);
	CHECK_EQ(wg_deadline(a->dev).us, MONO_NEVER.us);
	end();
}

static void send_keepalive_answers_data_after_ten_silent_seconds(void)
{
	start();
	wgworld_run(&w, 30 * S);
	a->log_n = b->log_n = 0;

	mono sent = world_now();

	wgnode_ping(a, b, 40);
	wgworld_run(&w, 100 * S);
	CHECK_EQ(b->log_n, 1);
	CHECK_SENT(b, 0, 0, sent, 10 * S, 10 * S);
	CHECK_EQ(a->log_n, 1);
	end();
}

static void send_keepalive_is_cancelled_by_anything_sent(void)
{
	start();
	wgworld_run(&w, 30 * S);
	b->log_n = 0;
	wgnode_ping(a, b, 40);
	wgworld_run(&w, 9 * S);
	wgnode_ping(b, a, 40);
	wgworld_run(&w, 8 * S);
	CHECK_EQ(b->log_n, 1);
	CHECK_EQ(b->log[0].kind, WG_MSG_DATA);
	end();
}

static void send_keepalive_repeats_while_data_keeps_coming(void)
{
	start();
	wgworld_run(&w, 30 * S);
	b->log_n = 0;
	for (unsigned i = 0; i < 35; i++) {
		wgnode_ping(a, b, 40);
		wgworld_run(&w, S);
	}
	CHECK_EQ(b->log_n, 3);
	for (size_t i = 1; i < b->log_n; i++)
		CHECK_SENT(b, i, 0, b->log[i - 1].at, 10 * S, 11 * S);
	end();
}

static void new_handshake_follows_fifteen_unanswered_seconds(void)
{
	start();
	wgworld_run(&w, 30 * S);
	b->deaf = true;
	a->log_n = 0;

	mono sent = world_now();

	wgnode_ping(a, b, 40);
	wgworld_run(&w, 7 * S);
	wgnode_ping(a, b, 40); /* does not put it off */
	wgworld_run(&w, 9 * S);
	CHECK_EQ(a->log_n, 3);
	CHECK_SENT(a, 2, WG_MSG_INITIATION, sent, 15 * S, 15 * S + WG_JITTER_US);
	end();
}

static void new_handshake_is_cancelled_by_anything_received(void)
{
	start();
	wgworld_run(&w, 30 * S);
	a->log_n = 0;
	wgnode_ping(a, b, 40);
	wgworld_run(&w, 60 * S); /* a keepalive comes after ten */
	CHECK_EQ(a->log_n, 1);
	end();
}

static void zero_key_material_comes_540_seconds_after_the_last_session(void)
{
	start();
	wgworld_run(&w, 538 * S);
	CHECK(wgnode_peer(a, b)->current);
	CHECK(wgnode_peer(b, a)->current);
	wgworld_run(&w, 3 * S);
	CHECK(!wgnode_peer(a, b)->current && !wgnode_peer(a, b)->previous);
	CHECK_EQ(a->dev->indices.n, 0);
	CHECK_EQ(b->dev->indices.n, 0);
	end();
}

static void persistent_keepalive_comes_an_interval_after_anything(void)
{
	start();
	wgworld_run(&w, 30 * S);
	a->log_n = 0;

	mono from = world_now();

	wgnode_set_keepalive(a, b, 25);
	wgworld_run(&w, 60 * S);
	CHECK_EQ(a->log_n, 3);
	CHECK_SENT(a, 0, 0, from, 0, 0); /* at once when it is switched on */
	CHECK_SENT(a, 1, 0, from, 25 * S, 25 * S);
	CHECK_SENT(a, 2, 0, from, 50 * S, 50 * S);
	wgnode_set_keepalive(a, b, 0);
	wgworld_run(&w, 60 * S);
	CHECK_EQ(a->log_n, 3);
	end();
}

static void persistent_keepalive_keeps_a_session_for_ever(void)
{
	start();
	wgnode_set_keepalive(a, b, 25);
	for (unsigned i = 0; i < 1000; i++) {
		wgworld_run(&w, 10 * S);
		CHECK(wgnode_has_session(b, a));
	}
	/* One new session every 120 to 145 s. */
	CHECK(a->sent[WG_MSG_INITIATION] > 10000 / 150 && a->sent[WG_MSG_INITIATION] < 10000 / 120);
	CHECK_EQ(b->sent[WG_MSG_INITIATION], 0);
	end();
}

static void rekey_after_time_is_the_initiators_when_it_sends(void)
{
	start();
	wgworld_run(&w, 119 * S);
	wgnode_ping(a, b, 40);
	wgworld_run(&w, S / 2);
	CHECK_EQ(a->sent[WG_MSG_INITIATION], 1);
	wgworld_run(&w, S);
	wgnode_ping(b, a, 40); /* the responder does not */
	CHECK_EQ(b->sent[WG_MSG_INITIATION], 0);
	wgnode_ping(a, b, 40);
	CHECK_EQ(a->sent[WG_MSG_INITIATION], 2);
	wgworld_run(&w, S);
	CHECK_EQ(b->delivered, 3);
	CHECK_EQ(a->delivered, 2);
	end();
}

static void an_initiator_that_only_receives_rekeys_in_the_last_minute(void)
{
	start();
	wgworld_run(&w, 164 * S);
	wgnode_ping(b, a, 40);
	wgworld_run(&w, S / 2);
	CHECK_EQ(a->sent[WG_MSG_INITIATION], 1);
	wgworld_run(&w, S);
	wgnode_ping(b, a, 40);
	wgworld_settle(&w);
	CHECK_EQ(a->sent[WG_MSG_INITIATION], 2);
	end();
}

static void reject_after_time_ends_a_session_in_both_directions(void)
{
	static uint8_t old[2000];
	size_t n;

	start();
	wgworld_run(&w, 100 * S);
	b->deaf = true;
	wgnode_ping(a, b, 40);
	n = a->last_n;
	memcpy(old, a->last, n);
	wgworld_settle(&w);
	b->deaf = false;
	wgnode_ping(a, b, 40); /* answered, so nothing asks for another handshake */
	wgworld_run(&w, 81 * S);
	wgnode_recv(b, &(struct addr){ .ip = ip4(192, 0, 2, 1), .port = WGWORLD_PORT },
	            span(old, n));
	CHECK_EQ(wg_drops(b->dev, WG_DROP_EXPIRED), 1);
	CHECK_EQ(b->delivered, 2);
	wgnode_ping(b, a, 40); /* staged; a handshake begins */
	CHECK(b->sent[WG_MSG_INITIATION] > 0);
	wgworld_run(&w, S);
	CHECK_EQ(a->delivered, 2);
	end();
}

static void rekey_timeout_holds_initiations_five_seconds_apart(void)
{
	wgworld_init(&w, 3);
	a = wgworld_add(&w, 1);
	b = wgworld_add(&w, 2);
	wgworld_link(a, b);
	b->deaf = true;
	for (unsigned i = 0; i < 40; i++) {
		wgnode_ping(a, b, 40);
		wgworld_run(&w, S / 10);
	}
	CHECK_EQ(a->sent[WG_MSG_INITIATION], 1);
	end();
}

static void a_response_counts_for_the_rekey_timeout_too(void)
{
	start();
	wgworld_run(&w, 10 * S);
	wgnode_ping(b, a, 40);
	wgworld_settle(&w);
	wg_expire_sessions(a->dev, wgnode_now(a));
	wgnode_ping(a, b, 40);
	wgworld_settle(&w); /* b answered just now */
	b->sent[WG_MSG_INITIATION] = 0;
	wg_expire_sessions(b->dev, wgnode_now(b));
	wgnode_ping(b, a, 40);
	wgworld_run(&w, 4 * S);
	CHECK_EQ(b->sent[WG_MSG_INITIATION], 0);
	end();
}

static void rekey_after_messages_is_two_to_the_sixty(void)
{
	start();
	wgworld_run(&w, 10 * S);
	wgnode_peer(b, a)->current->send_counter = WG_REKEY_AFTER_MESSAGES - 1;
	wgnode_ping(b, a, 40);
	CHECK_EQ(b->sent[WG_MSG_INITIATION], 0);
	wgnode_ping(b, a, 40);
	CHECK_EQ(b->sent[WG_MSG_INITIATION], 1);
	wgworld_run(&w, S);
	CHECK_EQ(a->delivered, 3);
	end();
}

static void a_waiting_retransmission_ends_when_the_other_side_gets_through(void)
{
	wgworld_init(&w, 3);
	a = wgworld_add(&w, 1);
	b = wgworld_add(&w, 2);
	wgworld_link(a, b);
	b->deaf = true;
	wgnode_ping(a, b, 40);
	wgworld_run(&w, 2 * S);
	b->deaf = false;
	wgnode_ping(b, a, 40);
	wgworld_run(&w, 60 * S);
	CHECK_EQ(a->sent[WG_MSG_INITIATION], 1);
	CHECK_EQ(b->delivered, 1);
	CHECK_EQ(a->delivered, 1);
	end();
}

static void nothing_runs_while_the_interface_is_down(void)
{
	start();
	wgnode_set_keepalive(a, b, 5);
	wg_down(a->dev, wgnode_now(a));
	a->log_n = 0;
	wgworld_run(&w, 1000 * S);
	CHECK_EQ(a->log_n, 0);
	end();
}

static void an_idle_tunnel_is_silent(void)
{
	start();
	wgworld_run(&w, 20 * S);
	a->log_n = b->log_n = 0;
	wgworld_run(&w, 100000 * S);
	CHECK_EQ(a->log_n, 0);
	CHECK_EQ(b->log_n, 0);
	CHECK_EQ(wg_deadline(a->dev).us, MONO_NEVER.us);
	CHECK_EQ(wg_deadline(b->dev).us, MONO_NEVER.us);
	end();
}

int main(void)
{
	RUN(retransmit_handshake_tries_twenty_times_and_gives_up);
	RUN(send_keepalive_answers_data_after_ten_silent_seconds);
	RUN(send_keepalive_is_cancelled_by_anything_sent);
	RUN(send_keepalive_repeats_while_data_keeps_coming);
	RUN(new_handshake_follows_fifteen_unanswered_seconds);
	RUN(new_handshake_is_cancelled_by_anything_received);
	RUN(zero_key_material_comes_540_seconds_after_the_last_session);
	RUN(persistent_keepalive_comes_an_interval_after_anything);
	RUN(persistent_keepalive_keeps_a_session_for_ever);
	RUN(rekey_after_time_is_the_initiators_when_it_sends);
	RUN(an_initiator_that_only_receives_rekeys_in_the_last_minute);
	RUN(reject_after_time_ends_a_session_in_both_directions);
	RUN(rekey_timeout_holds_initiations_five_seconds_apart);
	RUN(a_response_counts_for_the_rekey_timeout_too);
	RUN(rekey_after_messages_is_two_to_the_sixty);
	RUN(a_waiting_retransmission_ends_when_the_other_side_gets_through);
	RUN(nothing_runs_while_the_interface_is_down);
	RUN(an_idle_tunnel_is_silent);
	return check_done();
}
