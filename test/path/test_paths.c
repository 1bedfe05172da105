/* One peer's path, time played by hand. */
#include "path/paths.h"

#include "crypto/init.h"
#include "test/check.h"

enum { REGION = 7 };

static struct paths *p;
static struct path_peer *peer;
static struct disco_priv peer_disco;
static struct disco_pub peer_pub, self_pub;
static struct box_shared shared; /* of the peer's side */
static struct rand_src rng;
static struct node_pub self_node = { { 1 } }, peer_node = { { 2 } };
static mono now;
static struct paths_out out;
static uint8_t bytes[20000];

static struct addr an_addr(uint8_t last)
{
	return (struct addr){ .ip = ip4(203, 0, 113, last), .port = 41641 };
}

static void set_peer(size_t endpoints)
{
	struct addr v[200];
	struct path_peer_cfg cfg = { .node = peer_node, .disco = peer_pub, .home = REGION };

	for (size_t i = 0; i < endpoints; i++)
		v[i] = an_addr((uint8_t)(i + 1));
	cfg.endpoints = v;
	cfg.n_endpoints = endpoints;
	peer = paths_peer_set(p, now, &cfg);
}

static bool next(void);

static void start(size_t endpoints)
{
	struct paths_cfg cfg = { .self = self_node };
	struct addr own = an_addr(99);

	rand_seeded(&rng, 1);
	cfg.rand = rng;
	disco_priv_new(&cfg.disco);
	disco_priv_new(&peer_disco);
	disco_priv_public(&cfg.disco, &self_pub);
	disco_priv_public(&peer_disco, &peer_pub);
	CHECK_OK(box_shared_init(&shared, peer_disco.b, self_pub.b));
	now = (mono){ 1000 * US_PER_S };
	p = paths_new(&cfg);
	set_peer(endpoints);
	paths_own_endpoints(p, now, &own, 1);
	while (next())
		;
}

static bool whole_too; /* probes of the path's MTU are told, too */

static bool next(void)
{
	do {
		if (!paths_next(p, &out))
			return false;
	} while (out.whole && !whole_too);
	if (out.bytes.n)
		memcpy(bytes, out.bytes.p, out.bytes.n);
	out.bytes.p = bytes;
	return true;
}

/* The next message sent, opened as the peer would; false if there is none. */
static bool next_msg(struct disco_msg *m)
{
	while (next()) {
		if (out.act != PATHS_SEND && out.act != PATHS_SEND_DERP)
			continue;
		CHECK_OK(disco_open(out.bytes, &shared, m));
		return true;
	}
	return false;
}

static void from_peer(const struct disco_msg *m, const struct path_from *from)
{
	uint8_t b[2000];
	size_t n = 0;

	CHECK_OK(disco_seal(b, sizeof(b), m, &peer_pub, &shared, &rng, &n));
	CHECK(paths_recv_disco(p, now, from, span(b, n)));
}

static struct path_from by_udp(uint8_t last)
{
	return (struct path_from){ .via.addr = an_addr(last) };
}

static struct path_from by_derp(void)
{
	return (struct path_from){ .region = REGION, .node = peer_node };
}

static void pass(int64_t us)
{
	mono end = mono_after(now, us);

	while (!mono_before(end, paths_deadline(p))) {
		now = mono_before(now, paths_deadline(p)) ? paths_deadline(p) : now;
		paths_timeout(p, now);
	}
	now = end;
}

static struct path_choice choice(void)
{
	return paths_choice(p, peer, now);
}

/* Answers the last ping that was drained. */
static void answer(const struct disco_msg *ping, struct path_from from)
{
	struct disco_msg pong = { .type = DISCO_PONG, .txid = ping->txid, .source = an_addr(99) };

	from_peer(&pong, &from);
}

/* Sends, lets every ping to this address be answered after the delay. */
static void make_direct(uint8_t last, int64_t rtt_us)
{
	struct disco_msg m, ping = { 0 };

	paths_sent(p, now, peer);
	while (next_msg(&m)) {
		if (out.act == PATHS_SEND && out.via.addr.ip.b[15] == last)
			ping = m;
	}
	CHECK_EQ(ping.type, DISCO_PING);
	now = mono_after(now, rtt_us);
	answer(&ping, by_udp(last));
}

static void first_data_goes_over_derp_while_every_candidate_is_pinged(void)
{
	struct disco_msg m;
	unsigned pings = 0, calls = 0;

	start(3);
	CHECK(choice().derp && !choice().udp && choice().region == REGION);
	paths_sent(p, now, peer);
	while (next_msg(&m)) {
		pings += m.type == DISCO_PING && out.act == PATHS_SEND;
		if (m.type == DISCO_CALL_ME_MAYBE) {
			calls++;
			CHECK(out.act == PATHS_SEND_DERP && out.region == REGION);
			CHECK_EQ(m.n_endpoints, 1);
		}
	}
	CHECK_EQ(pings, 3);
	CHECK_EQ(calls, 1);
	paths_sent(p, now, peer);
	CHECK(!next_msg(&m));
	paths_free(p);
}

static void a_pong_makes_the_path_direct_for_six_and_a_half_seconds(void)
{
	start(1);
	make_direct(1, 20000);
	CHECK(choice().udp && choice().trusted && !choice().derp);
	CHECK_EQ(choice().mtu, 0); /* not known yet */
	CHECK(paths_by_address(p, &(struct path_via){ .addr = an_addr(1) }) == peer);
	paths_free(p);
}

/* Answers what fits into packets of this size; how many pings were whole. */
static unsigned answer_probes(size_t carries)
{
	struct disco_msg m;
	unsigned whole = 0;

	whole_too = true;
	while (next_msg(&m)) {
		if (out.act != PATHS_SEND || m.type != DISCO_PING)
			continue;
		whole += out.whole;
		if (out.bytes.n + 28 <= carries)
			answer(&m, by_udp(out.via.addr.ip.b[15]));
	}
	whole_too = false;
	return whole;
}

static void a_new_path_is_asked_how_much_it_carries(void)
{
	start(1);
	make_direct(1, 20000);
	CHECK_EQ(answer_probes(1300), 8);
	CHECK_EQ(choice().mtu, 1280);
	CHECK(choice().trusted && !choice().derp);
	for (int i = 0; i < 10; i++) {
		paths_sent(p, now, peer);
		pass(US_PER_S);
		(void)answer_probes(1300);
	}
	/* Large ones that nobody answers do not end a path that is alive. */
	CHECK(choice().trusted && !choice().derp);
	CHECK_EQ(choice().mtu, 1280);
	paths_link_changed(p, now);
	CHECK_EQ(choice().mtu, 0);
	paths_free(p);
}

static void a_dead_path_gets_the_relay_beside_it_within_five_seconds(void)
{
	mono cut;

	start(1);
	make_direct(1, 20000);
	paths_heard(p, now, peer, &(struct path_from){ .via.addr = an_addr(1) });
	cut = now;
	while (!choice().derp && mono_since(cut, now) < 20 * US_PER_S) {
		paths_sent(p, now, peer);
		pass(100000);
		while (next())
			;
	}
	CHECK(choice().derp && choice().udp);
	CHECK(mono_since(cut, now) <= 5 * US_PER_S);
	/* And is given up once its pings stay unanswered. */
	for (int i = 0; i < 100 && choice().udp; i++) {
		paths_sent(p, now, peer);
		pass(100000);
	}
	CHECK(!choice().udp && choice().derp);
	paths_free(p);
}

static void data_both_ways_keeps_the_path_without_pongs(void)
{
	start(1);
	make_direct(1, 20000);
	for (int i = 0; i < 300; i++) {
		paths_sent(p, now, peer);
		paths_heard(p, now, peer, &(struct path_from){ .via.addr = an_addr(1) });
		pass(100000);
		CHECK(choice().trusted && !choice().derp);
	}
	paths_free(p);
}

static void an_idle_peer_is_left_in_peace_after_45_seconds(void)
{
	struct disco_msg m;

	start(1);
	make_direct(1, 20000);
	pass(50 * US_PER_S);
	while (next())
		;
	CHECK_EQ(paths_deadline(p).us, MONO_NEVER.us);
	pass(600 * US_PER_S);
	CHECK(!next_msg(&m));
	paths_free(p);
}

static void a_ping_is_answered_where_it_came_from_and_teaches_an_address(void)
{
	struct disco_msg ping = { .type = DISCO_PING, .txid = { { 9 } }, .node = peer_node }, m;
	struct path_from from = by_udp(77), derp = by_derp();

	start(0);
	from_peer(&ping, &from);
	CHECK(next_msg(&m));
	CHECK_EQ(m.type, DISCO_PONG);
	CHECK(disco_txid_eq(&m.txid, &ping.txid) && addr_eq(&m.source, &from.via.addr));
	CHECK(addr_eq(&out.via.addr, &from.via.addr));
	/* The same ping again is a repetition of the network. */
	from_peer(&ping, &from);
	CHECK(!next_msg(&m));
	ping.txid.b[0]++;
	from_peer(&ping, &derp);
	CHECK(next_msg(&m));
	CHECK(out.act == PATHS_SEND_DERP && m.source.port == REGION);
	paths_sent(p, now, peer);
	CHECK(next_msg(&m) && m.type == DISCO_PING);
	CHECK(addr_eq(&out.via.addr, &from.via.addr));
	paths_free(p);
}

static void call_me_maybe_has_every_named_address_pinged_at_once(void)
{
	struct disco_msg cmm = { .type = DISCO_CALL_ME_MAYBE, .n_endpoints = 3 }, m;
	struct path_from derp = by_derp();
	unsigned pings = 0;

	start(1);
	paths_sent(p, now, peer);
	while (next())
		;
	for (uint8_t i = 0; i < 3; i++)
		cmm.endpoints[i] = an_addr((uint8_t)(50 + i));
	cmm.endpoints[2].ip = (struct ip){ { 0xfe, 0x80, [15] = 1 } };
	from_peer(&cmm, &derp);
	while (next_msg(&m)) {
		CHECK_EQ(m.type, DISCO_PING);
		pings++;
	}
	CHECK_EQ(pings, 3);
	paths_free(p);
}

static void call_me_maybe_counts_over_derp_from_its_own_node_alone(void)
{
	struct disco_msg cmm = { .type = DISCO_CALL_ME_MAYBE, .n_endpoints = 1 }, m;
	struct path_from udp = by_udp(1), other = by_derp();

	start(0);
	cmm.endpoints[0] = an_addr(5);
	from_peer(&cmm, &udp);
	other.node.b[0] = 99;
	from_peer(&cmm, &other);
	CHECK(!next_msg(&m));
	CHECK_EQ(paths_drops(p, PATHS_DROP_WRONG_WAY), 2);
	paths_free(p);
}

static void a_peer_cannot_make_us_flood_others(void)
{
	struct disco_msg cmm = { .type = DISCO_CALL_ME_MAYBE, .n_endpoints = DISCO_ENDPOINTS_MAX },
			 m;
	struct path_from derp = by_derp();
	unsigned pings = 0;
	struct path_peer_status st;

	start(0);
	for (int k = 0; k < 100; k++) {
		for (size_t i = 0; i < DISCO_ENDPOINTS_MAX; i++) {
			cmm.endpoints[i] = an_addr((uint8_t)i);
			cmm.endpoints[i].port = (uint16_t)(1 + k * 100 + (int)i);
		}
		from_peer(&cmm, &derp);
	}
	while (next_msg(&m))
		pings++;
	CHECK(pings <= 40);
	paths_status(p, peer, now, &st);
	CHECK(st.n_candidates <= PATHS_CANDIDATES_MAX);
	CHECK(paths_drops(p, PATHS_DROP_RATE) > 0);
	paths_free(p);
}

static void a_thousand_endpoints_of_one_peer_are_probed_at_a_bounded_pace(void)
{
	struct addr v[1000];
	struct path_peer_cfg cfg = { .node = peer_node, .disco = { { 0 } }, .home = REGION };
	struct path_peer_status st;
	struct disco_msg m;

	start(0);
	for (size_t i = 0; i < ARRAY_LEN(v); i++) {
		v[i] = an_addr((uint8_t)i);
		v[i].port = (uint16_t)(2000 + i);
	}
	cfg.disco = peer_pub;
	cfg.endpoints = v;
	cfg.n_endpoints = ARRAY_LEN(v);
	peer = paths_peer_set(p, now, &cfg);
	paths_status(p, peer, now, &st);
	CHECK_EQ(st.n_candidates, PATHS_CANDIDATES_MAX);
	for (int second = 0; second < 30; second++) {
		unsigned pings = 0;

		/* The map says so again and again, and data goes out all the time. */
		for (int i = 0; i < 10; i++) {
			peer = paths_peer_set(p, now, &cfg);
			paths_sent(p, now, peer);
			pass(100000);
		}
		while (next_msg(&m))
			pings += m.type == DISCO_PING;
		CHECK(pings <= 40);
	}
	paths_free(p);
}

static void strangers_and_forgeries_are_counted_and_dropped(void)
{
	struct disco_msg ping = { .type = DISCO_PING };
	struct path_from from = by_udp(1);
	struct disco_priv other;
	struct disco_pub other_pub;
	struct box_shared key;
	uint8_t b[200];
	size_t n = 0;

	start(1);
	disco_priv_new(&other);
	disco_priv_public(&other, &other_pub);
	CHECK_OK(box_shared_init(&key, other.b, self_pub.b));
	CHECK_OK(disco_seal(b, sizeof(b), &ping, &other_pub, &key, &rng, &n));
	CHECK(!paths_recv_disco(p, now, &from, span(b, n)));
	CHECK_EQ(paths_drops(p, PATHS_DROP_STRANGER), 1);
	/* The peer's key in clear over somebody else's box. */
	memcpy(b + DISCO_MAGIC, peer_pub.b, KEY_LEN);
	CHECK(!paths_recv_disco(p, now, &from, span(b, n)));
	CHECK_EQ(paths_drops(p, PATHS_DROP_AUTH), 1);
	CHECK(!paths_recv_disco(p, now, &from, SPAN_LIT("junk")));
	CHECK(!next());
	paths_free(p);
}

static void a_pong_by_another_way_proves_nothing(void)
{
	struct disco_msg m, ping = { 0 };

	start(1);
	paths_sent(p, now, peer);
	while (next_msg(&m)) {
		if (m.type == DISCO_PING)
			ping = m;
	}
	answer(&ping, by_udp(44));
	CHECK(!choice().udp);
	answer(&ping, by_udp(1));
	CHECK(!choice().udp);
	paths_free(p);
}

static void stale_own_addresses_are_found_out_before_the_call(void)
{
	struct disco_msg m;
	struct addr own = an_addr(99);
	bool wanted = false, called = false;

	start(1);
	now = mono_after(now, 60 * US_PER_S);
	paths_sent(p, now, peer);
	while (next()) {
		wanted = wanted || out.act == PATHS_WANT_ENDPOINTS;
		CHECK(out.act != PATHS_SEND_DERP);
	}
	CHECK(wanted);
	paths_own_endpoints(p, now, &own, 1);
	while (next_msg(&m))
		called = called || m.type == DISCO_CALL_ME_MAYBE;
	CHECK(called);
	paths_free(p);
}

static void the_nearer_of_two_ways_wins_and_equals_do_not_take_turns(void)
{
	struct disco_msg m, pings[2] = { 0 };

	start(2);
	paths_sent(p, now, peer);
	while (next_msg(&m)) {
		if (m.type == DISCO_PING)
			pings[out.via.addr.ip.b[15] - 1] = m;
	}
	now = mono_after(now, 50000);
	answer(&pings[0], by_udp(1));
	now = mono_after(now, 300);
	answer(&pings[1], by_udp(2));
	CHECK_EQ(choice().via.addr.ip.b[15], 1);
	pass(6 * US_PER_S);
	while (next())
		;
	paths_link_changed(p, now);
	memset(pings, 0, sizeof(pings));
	while (next_msg(&m)) {
		if (m.type == DISCO_PING && out.act == PATHS_SEND)
			pings[out.via.addr.ip.b[15] - 1] = m;
	}
	now = mono_after(now, 20000);
	answer(&pings[1], by_udp(2));
	now = mono_after(now, 60000);
	answer(&pings[0], by_udp(1));
	CHECK_EQ(choice().via.addr.ip.b[15], 2);
	paths_free(p);
}

static void a_new_disco_key_keeps_the_path_but_not_the_trust(void)
{
	struct disco_priv fresh;
	struct disco_pub fresh_pub;

	start(1);
	make_direct(1, 20000);
	disco_priv_new(&fresh);
	disco_priv_public(&fresh, &fresh_pub);
	paths_peer_learn_disco(p, now, peer, &fresh_pub);
	CHECK(choice().udp && !choice().trusted && choice().derp);
	/* The old key speaks: it is the live one after all, and opens still. */
	struct disco_msg ping = { .type = DISCO_PING, .txid = { { 3 } }, .node = peer_node }, m;
	struct path_from from = by_udp(1);

	while (next())
		;
	from_peer(&ping, &from);
	CHECK(next_msg(&m) && m.type == DISCO_PONG);
	paths_free(p);
}

/* Every session tells the key inside the tunnel that control has told already. */
static void the_same_key_learnt_from_both_sides_is_one_key(void)
{
	start(1);
	make_direct(1, 20000);
	paths_peer_learn_disco(p, now, peer, &peer_pub);
	CHECK(choice().trusted && !choice().derp);

	struct disco_msg ping = { .type = DISCO_PING, .txid = { { 5 } }, .node = peer_node };
	struct path_from from = by_udp(1);

	from_peer(&ping, &from);
	CHECK(choice().trusted);
	pass(3 * US_PER_S);
	CHECK(choice().udp);
	paths_free(p);
}

static void a_person_hears_of_a_ping_that_a_change_of_keys_lost(void)
{
	struct disco_priv fresh;
	struct disco_pub fresh_pub;
	bool done = false;

	start(1);
	paths_ping(p, now, peer, 42, 0);
	disco_priv_new(&fresh);
	disco_priv_public(&fresh, &fresh_pub);
	paths_peer_learn_disco(p, now, peer, &fresh_pub);
	while (next())
		done = done || (out.act == PATHS_PING_DONE && out.token == 42 && out.rtt_us < 0);
	CHECK(done);
	paths_free(p);
}

static void a_removed_peer_leaves_nothing_behind(void)
{
	start(5);
	paths_sent(p, now, peer);
	paths_peer_remove(p, peer);
	CHECK(!next());
	CHECK_EQ(paths_deadline(p).us, MONO_NEVER.us);
	CHECK(paths_peer_find(p, &peer_node) == NULL);
	paths_free(p);
}

static void a_ping_asked_for_by_a_person_is_answered_with_its_way(void)
{
	struct disco_msg m, ping = { 0 };
	bool done = false;

	start(1);
	make_direct(1, 20000);
	while (next())
		;
	paths_ping(p, now, peer, 42, 0);
	while (next_msg(&m)) {
		if (m.type == DISCO_PING)
			ping = m;
	}
	now = mono_after(now, 30000);
	answer(&ping, by_udp(1));
	while (next()) {
		if (out.act != PATHS_PING_DONE)
			continue;
		done = true;
		CHECK_EQ(out.token, 42);
		CHECK_EQ(out.rtt_us, 30000);
		CHECK_EQ(out.via.addr.ip.b[15], 1);
	}
	CHECK(done);
	paths_free(p);
}

/* Lists of the call-me-maybes that go out within the time. */
static size_t calls_within(int64_t us, struct disco_msg *ret, size_t max)
{
	mono end = mono_after(now, us);
	struct disco_msg m;
	size_t n = 0;

	while (mono_before(now, end)) {
		while (next_msg(&m)) {
			if (m.type == DISCO_CALL_ME_MAYBE && n < max)
				ret[n++] = m;
		}
		pass(10000);
	}
	return n;
}

static bool lists(const struct disco_msg *m, uint8_t last)
{
	struct addr a = an_addr(last);

	for (size_t i = 0; i < m->n_endpoints; i++) {
		if (addr_eq(&m->endpoints[i], &a))
			return true;
	}
	return false;
}

static void after_a_move_the_old_address_is_listed_once_more_and_then_not(void)
{
	struct addr fresh = an_addr(98);
	struct disco_msg m[8];

	start(1);
	make_direct(1, 20000);
	paths_link_changed(p, now);
	CHECK_EQ(calls_within(100000, m, 8), 0);
	paths_own_endpoints(p, now, &fresh, 1);
	CHECK_EQ(calls_within(200000, m, 8), 2);
	CHECK(lists(&m[0], 98) && lists(&m[0], 99));
	CHECK(lists(&m[1], 98) && !lists(&m[1], 99));
	/* Until the peer is heard from it is said again. */
	CHECK_EQ(calls_within(500000, m, 8), 2);
	paths_heard(p, now, peer, &(struct path_from){ .via.addr = an_addr(1) });
	CHECK_EQ(calls_within(2 * US_PER_S, m, 8), 0);
	paths_free(p);
}

/* Answers a ping of the heartbeat, saying that we are seen at this address. */
static void answer_seen_as(uint8_t last)
{
	struct disco_msg m, pong = { .type = DISCO_PONG, .source = an_addr(last) };
	struct path_from from = by_udp(1);

	while (next_msg(&m)) {
		if (m.type != DISCO_PING || out.act != PATHS_SEND)
			continue;
		pong.txid = m.txid;
		from_peer(&pong, &from);
		return;
	}
	CHECK(false);
}

static void a_pong_that_sees_us_elsewhere_has_the_peer_told(void)
{
	struct disco_msg m[8];

	start(1);
	make_direct(1, 20000);
	pass(3 * US_PER_S);
	answer_seen_as(99);
	CHECK_EQ(calls_within(100000, m, 8), 0);
	pass(2900000);
	answer_seen_as(55);
	CHECK_EQ(calls_within(200000, m, 8), 2);
	CHECK(lists(&m[0], 55) && lists(&m[0], 99));
	CHECK(lists(&m[1], 55) && !lists(&m[1], 99));
	CHECK(choice().trusted && !choice().derp);
	paths_free(p);
}

static void an_address_that_the_peer_calls_from_no_more_is_left_at_once(void)
{
	struct disco_msg cmm = { .type = DISCO_CALL_ME_MAYBE, .n_endpoints = 1 };
	struct path_from derp = by_derp();

	start(1);
	make_direct(1, 20000);
	cmm.endpoints[0] = an_addr(1);
	from_peer(&cmm, &derp);
	CHECK(choice().trusted);
	cmm.endpoints[0] = an_addr(2);
	from_peer(&cmm, &derp);
	CHECK(!choice().udp && choice().derp);
	paths_free(p);
}

static void a_peer_that_stops_in_mid_flow_is_asked_whether_it_is_there(void)
{
	struct disco_msg m;
	unsigned pings = 0;

	start(1);
	make_direct(1, 20000);
	pass(1500000);
	paths_heard(p, now, peer, &(struct path_from){ .via.addr = an_addr(1) });
	while (next())
		;
	pass(400000);
	CHECK(!next_msg(&m));
	pass(200000);
	while (next_msg(&m))
		pings += m.type == DISCO_PING;
	CHECK_EQ(pings, 1);
	/* No answer either: it is as with data of ours that nobody answers. */
	pass(1500000);
	CHECK(choice().derp);
	paths_free(p);
}

int main(void)
{
	crypto_start();
	RUN(first_data_goes_over_derp_while_every_candidate_is_pinged);
	RUN(a_pong_makes_the_path_direct_for_six_and_a_half_seconds);
	RUN(a_new_path_is_asked_how_much_it_carries);
	RUN(a_dead_path_gets_the_relay_beside_it_within_five_seconds);
	RUN(data_both_ways_keeps_the_path_without_pongs);
	RUN(an_idle_peer_is_left_in_peace_after_45_seconds);
	RUN(a_ping_is_answered_where_it_came_from_and_teaches_an_address);
	RUN(call_me_maybe_has_every_named_address_pinged_at_once);
	RUN(call_me_maybe_counts_over_derp_from_its_own_node_alone);
	RUN(a_peer_cannot_make_us_flood_others);
	RUN(a_thousand_endpoints_of_one_peer_are_probed_at_a_bounded_pace);
	RUN(strangers_and_forgeries_are_counted_and_dropped);
	RUN(a_pong_by_another_way_proves_nothing);
	RUN(stale_own_addresses_are_found_out_before_the_call);
	RUN(the_nearer_of_two_ways_wins_and_equals_do_not_take_turns);
	RUN(a_new_disco_key_keeps_the_path_but_not_the_trust);
	RUN(the_same_key_learnt_from_both_sides_is_one_key);
	RUN(a_person_hears_of_a_ping_that_a_change_of_keys_lost);
	RUN(a_removed_peer_leaves_nothing_behind);
	RUN(a_ping_asked_for_by_a_person_is_answered_with_its_way);
	RUN(after_a_move_the_old_address_is_listed_once_more_and_then_not);
	RUN(a_pong_that_sees_us_elsewhere_has_the_peer_told);
	RUN(an_address_that_the_peer_calls_from_no_more_is_left_at_once);
	RUN(a_peer_that_stops_in_mid_flow_is_asked_whether_it_is_there);
	return check_done();
}
