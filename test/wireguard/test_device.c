#include "wireguard/device.h"

#include "test/check.h"
#include "test/sim/wgworld.h"

static struct wgworld w;
static struct wgnode *a, *b;

static void start(void)
{
	wgworld_init(&w, 1);
	a = wgworld_add(&w, 1);
	b = wgworld_add(&w, 2);
	wgworld_link(a, b);
}

static void end(void)
{
	wgworld_done(&w);
}

static void the_first_packet_brings_a_session_and_arrives(void)
{
	start();
	wgnode_ping(a, b, 100);
	CHECK_EQ(a->sent[WG_MSG_INITIATION], 1);
	CHECK(wg_staged_bytes(a->dev) > 100);
	wgworld_run(&w, US_PER_S);
	CHECK_EQ(b->sent[WG_MSG_RESPONSE], 1);
	CHECK_EQ(b->delivered, 1);
	CHECK_EQ(wg_staged_bytes(a->dev), 0);
	CHECK(wgnode_has_session(a, b));
	CHECK(wgnode_has_session(b, a));
	CHECK_EQ(a->came_up, 1);
	CHECK_EQ(b->came_up, 1);
	wgnode_ping(b, a, 100);
	wgworld_run(&w, US_PER_S);
	CHECK_EQ(a->delivered, 1);
	for (enum wg_drop d = 0; d < WG_DROP_MAX; d++) {
		CHECK_EQ(wg_drops(a->dev, d), 0);
		CHECK_EQ(wg_drops(b->dev, d), 0);
	}
	end();
}

static void without_a_packet_waiting_a_keepalive_confirms(void)
{
	start();
	wgnode_set_keepalive(a, b, 25);
	wgworld_run(&w, US_PER_S);
	CHECK_EQ(a->sent[0], 1);
	CHECK(wgnode_has_session(b, a));
	end();
}

static void staged_packets_arrive_in_order_and_the_oldest_give_way(void)
{
	start();
	for (size_t i = 0; i < WG_STAGED_PER_PEER + 10; i++)
		wgnode_ping(a, b, 100 + i);
	CHECK_EQ(wg_drops(a->dev, WG_DROP_STAGED_FULL), 10);
	wgworld_run(&w, US_PER_S);
	CHECK_EQ(b->delivered, WG_STAGED_PER_PEER);
	end();
}

static void staged_bytes_are_bounded_over_all_peers(void)
{
	static uint8_t big[60000];
	struct wgnode *c;

	start();
	c = wgworld_add(&w, 3);
	(void)wgnode_know(a, c, false);
	for (size_t i = 0; i < 100; i++)
		wg_stage(a->dev, wgnode_now(a), wgnode_peer(a, b), SPAN_OF(big));
	CHECK(wg_staged_bytes(a->dev) <= WG_STAGED_TOTAL);
	CHECK_EQ(wg_drops(a->dev, WG_DROP_STAGED_FULL), 100 - WG_STAGED_TOTAL / 60016);
	/* One who has nothing of his own to give way is refused. */
	wg_stage(a->dev, wgnode_now(a), wgnode_peer(a, c), SPAN_OF(big));
	CHECK(!wgnode_peer(a, c)->staged);
	wg_down(a->dev, wgnode_now(a));
	CHECK_EQ(wg_staged_bytes(a->dev), 0);
	end();
}

static void both_at_once_still_meet(void)
{
	for (uint64_t seed = 1; seed <= 20; seed++) {
		wgworld_init(&w, seed);
		a = wgworld_add(&w, 1);
		b = wgworld_add(&w, 2);
		wgworld_link(a, b);
		fakenet_set_link(w.net, &(struct fakenet_link){ .delay_us = 50000 });
		wgnode_ping(a, b, 100);
		wgnode_ping(b, a, 100);
		wgworld_run(&w, 40 * US_PER_S); /* each try meets again with one chance in three */
		CHECK_EQ(a->delivered, 1);
		CHECK_EQ(b->delivered, 1);
		end();
	}
}

static void the_endpoint_follows_the_peer(void)
{
	struct wg_path path;

	start();
	wgworld_connect(&w, a, b);
	fakehost_move(a->host, ip4(203, 0, 113, 9), NULL);
	wgnode_ping(a, b, 100);
	wgworld_run(&w, US_PER_S);
	CHECK(wg_peer_path(b->dev, wgnode_peer(b, a), &path));
	CHECK(ip_eq(&path.remote.ip, &(struct ip[]){ ip4(203, 0, 113, 9) }[0]));
	wgnode_ping(b, a, 100);
	wgworld_run(&w, US_PER_S);
	CHECK_EQ(a->delivered, 2);
	end();
}

static void a_silent_peer_is_answered_but_never_called(void)
{
	wgworld_init(&w, 1);
	a = wgworld_add(&w, 1);
	b = wgworld_add(&w, 2);
	(void)wgnode_know(a, b, true);
	(void)wgnode_know(b, a, false);
	wgnode_ping(a, b, 100);
	wgworld_run(&w, US_PER_S);
	CHECK_EQ(a->sent[WG_MSG_INITIATION], 0);
	CHECK_EQ(wg_drops(a->dev, WG_DROP_NO_ENDPOINT), 1);
	wgnode_ping(b, a, 100);
	wgworld_run(&w, US_PER_S);
	CHECK_EQ(a->delivered, 1);
	wgnode_ping(a, b, 100);
	wgworld_run(&w, US_PER_S);
	CHECK_EQ(b->delivered, 1);
	end();
}

/* ---- another path policy ------------------------------------------------- */

/* Where a mesh would be asked: the answer is `way` once there is one. */
struct mesh {
	struct wg_path way;
	bool known;
	unsigned asked, heard;
};

static bool mesh_get(void *ctx, struct wg_peer *p, struct wg_path *ret)
{
	struct mesh *m = ctx;

	(void)p;
	m->asked++;
	*ret = m->way;
	return m->known;
}

static void mesh_heard(void *ctx, struct wg_peer *p, const struct wg_path *from)
{
	(void)p;
	(void)from;
	((struct mesh *)ctx)->heard++;
}

static void mesh_configured(void *ctx, struct wg_peer *p, const struct addr *endpoint)
{
	(void)ctx;
	(void)p;
	(void)endpoint;
}

static void mesh_forget(void *ctx, struct wg_peer *p)
{
	(void)ctx;
	(void)p;
}

static bool mesh_shown(void *ctx, const struct wg_peer *p, struct addr *ret)
{
	(void)p;
	*ret = ((struct mesh *)ctx)->way.remote;
	return true;
}

static const struct wg_path_policy mesh_policy = {
	mesh_get, mesh_heard, mesh_configured, mesh_forget, mesh_shown,
};

static void another_policy_decides_where_a_peer_is_and_roaming_does_not(void)
{
	struct mesh m = { .way = { .relay = 7 } };
	struct wg_path path;

	start();
	a->dev->policy = &mesh_policy;
	a->dev->policy_ctx = &m;
	wg_want_session(a->dev, wgnode_now(a), wgnode_peer(a, b));
	wgworld_run(&w, 8 * US_PER_S);
	CHECK(m.asked >= 2); /* at once, and again when it was tried again */
	CHECK_EQ(a->sent[WG_MSG_INITIATION], 0);
	m.known = true;
	m.way.remote = wgnode_addr(b);
	wgworld_run(&w, 6 * US_PER_S);
	CHECK(wgnode_has_session(a, b));
	CHECK(m.heard > 0);
	fakehost_move(b->host, ip4(203, 0, 113, 1), NULL);
	wgnode_ping(b, a, 100);
	wgworld_run(&w, US_PER_S);
	CHECK_EQ(a->delivered, 1);
	CHECK(wg_peer_path(a->dev, wgnode_peer(a, b), &path));
	CHECK_EQ(path.relay, 7);
	CHECK(addr_eq(&path.remote, &m.way.remote));
	end();
}

/* ---- configuration ------------------------------------------------------- */

static void a_live_change_keeps_the_session(void)
{
	start();
	wgworld_connect(&w, a, b);

	struct wg_change c = { .set = WG_SET_LISTEN_PORT | WG_SET_FWMARK | WG_SET_PRIVATE_KEY,
		               .listen_port = 7,
		               .fwmark = 9,
		               .private_key = a->priv };
	struct wg_peer_change *p = wg_change_add_peer(&c, &b->pub);

	p->set = WG_PEER_REPLACE_IPS | WG_PEER_SET_KEEPALIVE | WG_PEER_SET_PSK;
	wg_peer_change_add_ip(p, prefix_host(b->inside), false);
	for (unsigned i = 0; i < 10; i++)
		wgnode_apply(a, &c);
	wg_change_done(&c);
	wgnode_ping(a, b, 100);
	wgworld_run(&w, US_PER_S);
	CHECK_EQ(b->delivered, 2);
	CHECK_EQ(a->sent[WG_MSG_INITIATION], 1);
	CHECK_EQ(wg_listen_port(a->dev), 7);
	CHECK_EQ(wg_fwmark(a->dev), 9);
	end();
}

static void another_private_key_ends_sending_and_a_new_session_follows(void)
{
	struct node_priv other = { { 9 } };

	start();
	wgworld_connect(&w, a, b);
	wgworld_run(&w, 10 * US_PER_S);
	wgnode_set_key(a, &other);
	(void)wgnode_know(b, a, false); /* the new key; the inside address moves with it */
	CHECK(!wgnode_has_session(a, b));
	wgnode_ping(a, b, 100);
	wgworld_run(&w, US_PER_S);
	CHECK_EQ(b->delivered, 2);
	end();
}

static void our_own_key_is_no_peer(void)
{
	start();
	(void)wgnode_know(a, a, false);
	CHECK(!wgnode_peer(a, a));
	wgnode_set_key(a, &b->priv);
	CHECK(!wgnode_peer(a, b));
	end();
}

static void update_only_makes_no_peer_and_remove_takes_it_away(void)
{
	struct wg_change c = { 0 };

	start();
	wgworld_connect(&w, a, b);
	wg_change_add_peer(&c, &a->pub)->set = WG_PEER_UPDATE_ONLY;
	wg_change_add_peer(&c, &b->pub)->set = WG_PEER_REMOVE;
	wgnode_apply(a, &c);
	wg_change_done(&c);
	CHECK(!wgnode_peer(a, b));
	CHECK_EQ(a->dev->indices.n, 0);
	CHECK_EQ(a->dev->prefixes.n, 0);
	CHECK(!wg_peer_at(a->dev, 0));
	(void)wgnode_know(a, b, false);
	CHECK_EQ(wg_slots(a->dev), 1);
	CHECK(wg_peer_generation(wg_peer_at(a->dev, 0)) > 1);
	end();
}

static void a_refused_change_changes_nothing(void)
{
	struct wg_change c = { .set = WG_SET_FWMARK | WG_REPLACE_PEERS, .fwmark = 5 };

	start();

	struct wg_peer_change *p = wg_change_add_peer(&c, &b->pub);

	wg_peer_change_add_ip(p, (struct prefix){ ip4(10, 0, 0, 0), 33 }, false);
	CHECK_EQ(wg_apply(a->dev, wgnode_now(a), &c), ERR_MALFORMED);
	CHECK_EQ(wg_fwmark(a->dev), 0);
	CHECK(wgnode_peer(a, b));
	wg_change_done(&c);
	end();
}

static void a_description_is_what_was_configured(void)
{
	struct wg_info i;

	start();
	wgnode_set_keepalive(a, b, 25);
	wgnode_set_psk(a, b, 3);
	wgnode_set_psk(b, a, 3);
	wgworld_connect(&w, a, b);
	wgworld_run(&w, 30 * US_PER_S);
	wg_describe(a->dev, wgnode_now(a), (wall){ 5000 * US_PER_S }, &i);
	CHECK_EQ(i.peers.n, 1);
	CHECK_MEM(&i.private_key, &a->priv, 32);
	CHECK_MEM(&i.public_key, &a->pub, 32);
	CHECK_MEM(&i.peers.v[0].key, &b->pub, 32);
	CHECK_EQ(i.peers.v[0].psk.b[31], 3 + 31);
	CHECK_EQ(i.peers.v[0].keepalive_s, 25);
	CHECK_EQ(i.peers.v[0].endpoint.port, WGWORLD_PORT);
	CHECK_EQ(i.peers.v[0].ips.n, 1);
	CHECK(i.peers.v[0].rx_bytes > 100 && i.peers.v[0].tx_bytes > 148);
	CHECK_EQ(i.peers.v[0].last_handshake.us / US_PER_S, 5000 - 31);
	wg_info_done(&i);
	end();
}

static void down_forgets_sessions_and_up_begins_anew(void)
{
	start();
	wgnode_set_keepalive(a, b, 25);
	wgworld_connect(&w, a, b);
	wg_down(a->dev, wgnode_now(a));
	CHECK_EQ(a->dev->indices.n, 0);
	CHECK_EQ(wg_deadline(a->dev).us, MONO_NEVER.us);
	wgnode_ping(a, b, 100);
	CHECK_EQ(wg_drops(a->dev, WG_DROP_DOWN), 1);
	wgnode_ping(b, a, 100);
	wgworld_run(&w, US_PER_S);
	CHECK(wg_drops(a->dev, WG_DROP_INDEX) > 0);
	wg_up(a->dev, wgnode_now(a));
	wgworld_run(&w, US_PER_S);
	CHECK(wgnode_has_session(a, b));
	end();
}

static void ten_thousand_idle_peers_fit_in_eight_megabytes(void)
{
	struct wg_change c = { 0 };
	enum { N = 10000 };

	start();
	for (uint32_t i = 0; i < N; i++) {
		struct node_pub key = { { 5 } };
		struct prefix v6 = { .bits = 128 };

		put_be32(key.b + 8, i);
		put_be32(v6.ip.b, UINT32_C(0xfd000000));
		put_be32(v6.ip.b + 12, i);

		struct wg_peer_change *p = wg_change_add_peer(&c, &key);

		wg_peer_change_add_ip(p, prefix_host(ip4(10, 9, (uint8_t)(i >> 8), (uint8_t)i)),
		                      false);
		wg_peer_change_add_ip(p, v6, false);
		if (i == N - 1)
			CHECK_OK(wg_apply_check(a->dev, &c));
	}
	wgnode_apply(a, &c);
	wg_change_done(&c);
	CHECK_EQ(wg_slots(a->dev), N + 1);

	size_t peers = N * (sizeof(struct wg_peer) + 16);
	size_t nodes = (size_t)a->dev->prefixes.cap * 48;
	size_t tables = (a->dev->peers.mask + 1) * 8 + a->dev->slots.cap * 8;

	if (peers + nodes + tables > 8 << 20)
		check_fail(__FILE__, __LINE__, "%zu for peers of %zu, %zu for prefixes, %zu tables",
		           peers, sizeof(struct wg_peer), nodes, tables);
	CHECK(sizeof(struct wg_peer) <= 400);
	end();
}

int main(void)
{
	RUN(the_first_packet_brings_a_session_and_arrives);
	RUN(without_a_packet_waiting_a_keepalive_confirms);
	RUN(staged_packets_arrive_in_order_and_the_oldest_give_way);
	RUN(staged_bytes_are_bounded_over_all_peers);
	RUN(both_at_once_still_meet);
	RUN(the_endpoint_follows_the_peer);
	RUN(a_silent_peer_is_answered_but_never_called);
	RUN(another_policy_decides_where_a_peer_is_and_roaming_does_not);
	RUN(a_live_change_keeps_the_session);
	RUN(another_private_key_ends_sending_and_a_new_session_follows);
	RUN(our_own_key_is_no_peer);
	RUN(update_only_makes_no_peer_and_remove_takes_it_away);
	RUN(a_refused_change_changes_nothing);
	RUN(a_description_is_what_was_configured);
	RUN(down_forgets_sessions_and_up_begins_anew);
	RUN(ten_thousand_idle_peers_fit_in_eight_megabytes);
	return check_done();
}
