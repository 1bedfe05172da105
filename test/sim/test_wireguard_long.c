/* WireGuard over simulated weeks, and a day of changes to its configuration. */
#include <malloc.h>

#include "test/check.h"
#include "test/sim/wgworld.h"

#define S US_PER_S
#define HOUR (3600 * S)
#define DAY (24 * HOUR)

static struct wgworld w;

static uint64_t below(uint64_t n)
{
	return rand_src_below(fakenet_rand(w.net), n);
}

/* Sessions in sight: at most three and a handshake for each peer. */
static void check_bounds(const struct wgnode *n)
{
	CHECK(n->dev->indices.n <= 4 * n->dev->peers.n);
	CHECK(wg_staged_bytes(n->dev) <= WG_STAGED_TOTAL);
	CHECK(n->dev->wakes.n <= n->dev->peers.n);
	CHECK(list_empty(&n->dev->graves));
}

/* ---- weeks --------------------------------------------------------------- */

static void set_weather(bool bad)
{
	struct fakenet_link fair = { .delay_us = 20000 };
	struct fakenet_link foul = {
		.loss = 0.2, .repeat = 0.1, .delay_us = 50000, .jitter_us = 900000
	};

	fakenet_set_link(w.net, bad ? &foul : &fair);
}

/* A minute of somebody's day: packets, silence, clocks that are set. */
static void live_a_while(struct wgnode *a, struct wgnode *b)
{
	switch (below(8)) {
	case 0:
		a->wall_skew_us += (int64_t)below(7200) * S - HOUR;
		break;
	case 1:
		b->mono_skew_us += (int64_t)below(60) * S; /* slept */
		break;
	case 2:
		a->deaf = !a->deaf;
		break;
	default:
		for (uint64_t i = below(20); i > 0; i--)
			wgnode_ping(below(2) ? a : b, below(2) ? b : a, 20 + below(1400));
		break;
	}
	wgworld_run(&w, (int64_t)below(below(10) ? 60 : 1200) * S);
}

/* In fair weather a packet is through within seconds, whatever there was before. */
static void check_alive(struct wgnode *a, struct wgnode *b)
{
	uint64_t before = b->delivered;

	a->deaf = false;
	set_weather(false);
	wgworld_run(&w, 10 * S);
	for (unsigned i = 0; i < 3 && b->delivered == before; i++) {
		wgnode_ping(a, b, 100);
		wgworld_run(&w, 12 * S);
	}
	CHECK(b->delivered > before);
}

static void two_weeks_of_loss_reordering_and_clock_jumps_leave_a_tunnel_that_works(void)
{
	wgworld_init(&w, 11);

	struct wgnode *a = wgworld_add(&w, 1), *b = wgworld_add(&w, 2);
	mono start = fakenet_now(w.net);

	wgworld_link(a, b);
	wgnode_set_keepalive(b, a, 25);
	for (unsigned hour = 0; mono_since(start, fakenet_now(w.net)) < 14 * DAY; hour++) {
		mono until = mono_after(fakenet_now(w.net), HOUR);

		set_weather(hour % 3 != 0);
		while (mono_before(fakenet_now(w.net), until))
			live_a_while(a, b);
		check_alive(a, b);
		check_alive(b, a);
		check_bounds(a);
		check_bounds(b);
	}
	CHECK_EQ(wg_drops(a->dev, WG_DROP_AUTH) + wg_drops(b->dev, WG_DROP_AUTH), 0);
	CHECK_EQ(wg_drops(a->dev, WG_DROP_SOURCE) + wg_drops(b->dev, WG_DROP_SOURCE), 0);
	wgworld_done(&w);
}

static void a_quiet_week_with_a_keepalive_has_the_traffic_it_must_have(void)
{
	wgworld_init(&w, 12);

	struct wgnode *a = wgworld_add(&w, 1), *b = wgworld_add(&w, 2);

	wgworld_link(a, b);
	wgnode_set_keepalive(a, b, 25);
	wgworld_run(&w, 7 * DAY);

	uint64_t handshakes = a->sent[WG_MSG_INITIATION];
	uint64_t seconds = 7 * 24 * 3600;

	CHECK(handshakes > seconds / 150 && handshakes < seconds / 120);
	CHECK_EQ(b->sent[WG_MSG_RESPONSE], handshakes);
	CHECK(a->sent[0] <= seconds / 25 + handshakes + 1);
	CHECK_EQ(b->sent[0], 0);
	CHECK_EQ(a->sent[WG_MSG_DATA] + b->sent[WG_MSG_DATA], 0);
	wgworld_done(&w);
}

/* ---- a day of changes ---------------------------------------------------- */

enum { NODES = 4 };

static struct wgnode *node[NODES];

/* Prefixes beside the ones that carry the traffic. */
static void change_prefixes(struct wg_peer_change *p, const struct wgnode *other)
{
	if (below(2)) {
		p->set |= WG_PEER_REPLACE_IPS;
		wg_peer_change_add_ip(p, prefix_host(other->inside), false);
	}
	for (uint64_t i = below(40); i > 0; i--) {
		struct prefix extra = { ip4(172, 16, (uint8_t)below(8), (uint8_t)below(256)),
			                (uint8_t)(20 + below(13)) };

		wg_peer_change_add_ip(p, extra, below(3) == 0);
	}
}

/* Any change that must not cost a packet. */
static void change_gently(struct wgnode *n, struct wgnode *other)
{
	struct wg_change c = { 0 };
	struct wg_peer_change *p = wg_change_add_peer(&c, &other->pub);

	switch (below(5)) {
	case 0:
		c.set = WG_SET_FWMARK | WG_SET_LISTEN_PORT;
		c.fwmark = (uint32_t)below(100);
		c.listen_port = WGWORLD_PORT;
		break;
	case 1:
		p->set = WG_PEER_SET_KEEPALIVE;
		p->keepalive_s = (uint16_t)below(30);
		break;
	case 2:
		p->set = WG_PEER_SET_ENDPOINT;
		p->endpoint = wgnode_addr(other);
		break;
	case 3:
		change_prefixes(p, other);
		break;
	case 4:
		c.set = WG_SET_PRIVATE_KEY; /* the same again */
		c.private_key = n->priv;
		break;
	}
	wgnode_apply(n, &c);
	wg_change_done(&c);
}

/* A peer goes and comes back; what both had is lost. */
static void change_hard(struct wgnode *n, struct wgnode *other)
{
	struct wg_change c = { 0 };

	if (below(3) == 0)
		c.set = WG_REPLACE_PEERS;
	else
		wg_change_add_peer(&c, &other->pub)->set = WG_PEER_REMOVE;
	wgnode_apply(n, &c);
	wg_change_done(&c);
	for (size_t i = 0; i < NODES; i++) {
		if (node[i] != n)
			(void)wgnode_know(n, node[i], false);
	}
}

static uint64_t delivered(void)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < NODES; i++)
		sum += node[i]->delivered;
	return sum;
}

static void start_mesh(uint64_t seed)
{
	wgworld_init(&w, seed);
	for (unsigned i = 0; i < NODES; i++)
		node[i] = wgworld_add(&w, i + 1);
	for (unsigned i = 0; i < NODES; i++) {
		for (unsigned k = 0; k < i; k++)
			wgworld_link(node[i], node[k]);
	}
}

static struct wgnode *anybody(void)
{
	return node[below(NODES)];
}

static struct wgnode *anybody_but(const struct wgnode *n)
{
	size_t at = 0;

	while (node[at] != n)
		at++;
	return node[(at + 1 + below(NODES - 1)) % NODES];
}

/* One packet between two of them, and a second; while it is under way, `change` happens. */
static void traffic(void (*change)(struct wgnode *n, struct wgnode *other))
{
	struct wgnode *from = anybody();
	int64_t before = (int64_t)below(60) * 1000;

	wgnode_ping(from, anybody_but(from), 20 + below(1400));
	wgworld_run(&w, before);
	if (change) {
		struct wgnode *n = anybody();

		change(n, anybody_but(n));
	}
	wgworld_run(&w, S - before);
}

static void changes_that_keep_the_peers_cost_no_packet_in_a_day(void)
{
	uint64_t sent = 0;

	start_mesh(21);
	set_weather(false);
	for (int64_t second = 0; second < DAY / S; second++) {
		traffic(change_gently);
		sent++;
	}
	wgworld_run(&w, 30 * S);
	CHECK_EQ(delivered(), sent);
	wgworld_done(&w);
}

static void down_and_up(struct wgnode *n, struct wgnode *other)
{
	(void)other;
	wg_down(n->dev, wgnode_now(n));
	wg_up(n->dev, wgnode_now(n));
}

static uint64_t dropped(enum wg_drop why)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < NODES; i++)
		sum += wg_drops(node[i]->dev, why);
	return sum;
}

/*
 * What got lost was for a session that its receiver had forgotten: was in flight, or sent
 * by one who had not noticed yet, which takes KEEPALIVE + REKEY_TIMEOUT. Nothing is lost for
 * another reason, and nothing unseen.
 */
static void check_losses(uint64_t sent)
{
	static const enum wg_drop never[] = {
		WG_DROP_AUTH,    WG_DROP_REPLAY,      WG_DROP_SOURCE,       WG_DROP_INNER,
		WG_DROP_NO_PEER, WG_DROP_STAGED_FULL, WG_DROP_STAGED_STALE, WG_DROP_EXPIRED,
	};
	uint64_t lost = sent - delivered();

	CHECK(lost > 0 && lost <= dropped(WG_DROP_INDEX));
	for (size_t i = 0; i < ARRAY_LEN(never); i++)
		CHECK_EQ(dropped(never[i]), 0);
}

static void a_day_of_any_changes_under_traffic_leaves_no_growth_and_no_unseen_loss(void)
{
	size_t early = 0;
	uint32_t nodes_early = 0;
	uint64_t sent = 0;

	start_mesh(22);
	set_weather(false);
	for (int64_t second = 0; second < DAY / S; second++) {
		if (second % 61 == 0)
			traffic(second % 10 ? change_hard : down_and_up);
		else
			traffic(second % 7 == 0 ? change_gently : NULL);
		sent++;
		if (second == 2 * 3600) {
			early = mallinfo2().uordblks;
			nodes_early = node[0]->dev->prefixes.used;
		}
		if (second % 3600 == 0) {
			for (size_t i = 0; i < NODES; i++)
				check_bounds(node[i]);
		}
	}

	size_t late = mallinfo2().uordblks;

	/* The tables keep their largest size; 200 KB is that, and no leak of a byte an event. */
	if (late > early + 200000)
		check_fail(__FILE__, __LINE__, "%zu bytes after two hours, %zu after a day", early,
		           late);
	CHECK(node[0]->dev->prefixes.used <= 2 * nodes_early + 4096);
	CHECK(wg_slots(node[0]->dev) <= NODES);
	wgworld_run(&w, 200 * S);
	check_losses(sent);

	uint64_t before = delivered();

	for (size_t i = 0; i < NODES; i++) {
		for (size_t k = 0; k < NODES; k++) {
			if (i != k)
				wgnode_ping(node[i], node[k], 100);
		}
	}
	wgworld_run(&w, 30 * S);
	CHECK_EQ(delivered() - before, NODES * (NODES - 1));
	wgworld_done(&w);
}

int main(void)
{
	RUN(two_weeks_of_loss_reordering_and_clock_jumps_leave_a_tunnel_that_works);
	RUN(a_quiet_week_with_a_keepalive_has_the_traffic_it_must_have);
	RUN(changes_that_keep_the_peers_cost_no_packet_in_a_day);
	RUN(a_day_of_any_changes_under_traffic_leaves_no_growth_and_no_unseen_loss);
	return check_done();
}
