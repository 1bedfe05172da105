/*
 * Two nodes behind every pair of NATs, a relay that carries what they cannot send
 * each other, and STUN: do they end direct where the real client does, does data
 * always arrive, do they survive roaming, loss and a NAT that restarts?
 *
 * The expected table is what tailscale v1.102.5 was seen to reach.
 */
#include "crypto/init.h"
#include "path/paths.h"
#include "protocol/stun.h"
#include "test/check.h"
#include "test/sim/fakenet.h"

enum { REGION = 1, PORT = 41641, STUN_SERVERS = 2, DATA_MAGIC = 0xda };

struct world;

struct node {
	struct world *w;
	struct node *other;
	struct fakehost *host;
	struct paths *paths;
	struct path_peer *peer; /* the other one */
	struct disco_priv disco;
	struct disco_pub pub;
	struct node_pub key;
	struct addr mapped[STUN_SERVERS];
	mono ask_endpoints, endpoints_ready, next_data;
	unsigned sent, got, got_derp, got_udp;
	mono last_got;
	bool talks, relay_cut;
};

struct world {
	struct fakenet *net;
	struct node node[2];
	struct fakehost *stun[STUN_SERVERS];
};

static void on_stun_request(void *arg, const struct addr *from, const struct addr *to,
                            struct span datagram)
{
	uint8_t txid[STUN_TXID], answer[STUN_RESPONSE_MAX];

	(void)to;
	if (stun_request_parse(datagram, txid) == 0)
		(void)fakehost_send(arg, STUN_PORT, from,
		                    span(answer, stun_response(answer, txid, from)));
}

static void heard(struct node *n, struct span datagram, const struct path_from *from)
{
	struct fakenet *net = n->w->net;

	if (datagram.n && datagram.p[0] == DATA_MAGIC) {
		/* As if WireGuard had authenticated it. */
		n->got++;
		n->last_got = fakenet_now(net);
		if (from->region)
			n->got_derp++;
		else
			n->got_udp++;
		paths_heard(n->paths, fakenet_now(net), n->peer, from);
		return;
	}
	(void)paths_recv_disco(n->paths, fakenet_now(net), from, datagram);
}

static void on_datagram(void *arg, const struct addr *from, const struct addr *to,
                        struct span datagram)
{
	struct node *n = arg;
	struct path_from by = { .via.addr = *from };
	uint8_t txid[STUN_TXID];
	struct addr mapped;

	(void)to;
	if (stun_response_parse(datagram, txid, &mapped) == 0) {
		n->mapped[txid[0] % STUN_SERVERS] = mapped;
		return;
	}
	heard(n, datagram, &by);
}

/* The relay: always there, unless cut. */
static void derp(struct node *from, struct span bytes)
{
	struct path_from by = { .region = REGION, .node = from->key };

	if (!from->relay_cut && !from->other->relay_cut)
		heard(from->other, bytes, &by);
}

static void ask_stun(struct node *n)
{
	uint8_t req[STUN_REQUEST_LEN], txid[STUN_TXID] = { 0 };

	for (uint8_t i = 0; i < STUN_SERVERS; i++) {
		struct addr to = { .ip = fakehost_ip(n->w->stun[i]), .port = STUN_PORT };

		txid[0] = i;
		stun_request(req, txid);
		(void)fakehost_send(n->host, PORT, &to, SPAN_OF(req));
	}
}

static void give_endpoints(struct node *n)
{
	struct addr v[1 + STUN_SERVERS] = { { .ip = fakehost_ip(n->host), .port = PORT } };
	size_t count = 1;

	for (size_t i = 0; i < STUN_SERVERS; i++) {
		if (addr_is_set(&n->mapped[i]))
			v[count++] = n->mapped[i];
	}
	paths_own_endpoints(n->paths, fakenet_now(n->w->net), v, count);
}

static void drain(struct node *n)
{
	struct paths_out out;

	while (paths_next(n->paths, &out)) {
		switch (out.act) {
		case PATHS_SEND:
			(void)fakehost_send(n->host, PORT, &out.via.addr, out.bytes);
			break;
		case PATHS_SEND_DERP:
			derp(n, out.bytes);
			break;
		case PATHS_WANT_ENDPOINTS:
			ask_stun(n);
			n->endpoints_ready = mono_after(fakenet_now(n->w->net), 200000);
			break;
		case PATHS_CHANGED:
		case PATHS_PING_DONE:
		case PATHS_ALLOCATE:
		case PATHS_DOUBTED:
			break;
		}
	}
}

static void send_data(struct node *n, mono now)
{
	static const uint8_t data[] = { DATA_MAGIC };
	struct path_choice c = paths_choice(n->paths, n->peer, now);

	n->sent++;
	paths_sent(n->paths, now, n->peer);
	if (c.udp)
		(void)fakehost_send(n->host, PORT, &c.via.addr, SPAN_OF(data));
	if (c.derp)
		derp(n, SPAN_OF(data));
}

static mono wake(void *arg, mono now)
{
	struct world *w = arg;
	mono next = MONO_NEVER;

	for (size_t i = 0; i < 2; i++) {
		struct node *n = &w->node[i];

		if (mono_reached(n->next_data, now)) {
			n->next_data = mono_after(n->next_data, 100000);
			if (n->talks)
				send_data(n, now);
		}
		if (mono_reached(n->endpoints_ready, now)) {
			n->endpoints_ready = MONO_NEVER;
			give_endpoints(n);
		}
		paths_timeout(n->paths, now);
	}
	/* One's sending over the relay is the other's receiving: until both are quiet. */
	for (size_t i = 0; i < 4; i++)
		drain(&w->node[i % 2]);
	for (size_t i = 0; i < 2; i++) {
		struct node *n = &w->node[i];

		next = mono_min(next, mono_min(paths_deadline(n->paths),
		                               mono_min(n->endpoints_ready, n->next_data)));
	}
	return next;
}

static void run(struct world *w, double seconds)
{
	int64_t us = (int64_t)(seconds * (double)US_PER_S);

	fakenet_run(w->net, mono_after(fakenet_now(w->net), us), wake, w);
}

enum place {
	PUBLIC,
	FIREWALL,
	FULL_CONE,
	RESTRICTED,
	PORT_RESTRICTED,
	SYMMETRIC,
	CGNAT,
	NO_UDP,
	PLACES
};

static struct fakehost *place_host(struct world *w, enum place place, uint8_t side)
{
	static const enum fakenat_kind kinds[] = {
		[FIREWALL] = FAKENAT_FIREWALL,     [FULL_CONE] = FAKENAT_FULL_CONE,
		[RESTRICTED] = FAKENAT_RESTRICTED, [PORT_RESTRICTED] = FAKENAT_PORT_RESTRICTED,
		[SYMMETRIC] = FAKENAT_SYMMETRIC,   [NO_UDP] = FAKENAT_NO_UDP,
	};
	struct ip outside = ip4(198, 51, 100, side);
	struct fakenat *nat;

	if (place == PUBLIC)
		return fakenet_host(w->net, outside, NULL);
	if (place == FIREWALL)
		return fakenet_host(w->net, outside,
		                    fakenet_nat(w->net, FAKENAT_FIREWALL, outside, NULL));
	if (place == CGNAT) {
		nat = fakenet_nat(w->net, FAKENAT_SYMMETRIC, outside, NULL);
		nat = fakenet_nat(w->net, FAKENAT_PORT_RESTRICTED, ip4(100, 127, side, 2), nat);
	} else {
		nat = fakenet_nat(w->net, kinds[place], outside, NULL);
	}
	return fakenet_host(w->net, ip4(192, 168, side, 2), nat);
}

static void start_node(struct world *w, size_t i, enum place place)
{
	struct node *n = &w->node[i];
	struct paths_cfg cfg = { .self = { { (uint8_t)(i + 1) } } };

	n->w = w;
	n->other = &w->node[1 - i];
	n->key = cfg.self;
	n->talks = true;
	disco_priv_new(&n->disco);
	disco_priv_public(&n->disco, &n->pub);
	cfg.disco = n->disco;
	rand_seeded(&cfg.rand, i + 1);
	n->paths = paths_new(&cfg);
	n->host = place_host(w, place, (uint8_t)(i + 1));
	n->endpoints_ready = MONO_NEVER;
	n->next_data = mono_after(fakenet_now(w->net), (int64_t)i * 30000);
	CHECK_EQ(fakehost_bind(n->host, PORT, on_datagram, n), PORT);
}

/* What control told of the other: its addresses of before. */
static void introduce(struct node *n)
{
	struct addr v[1 + STUN_SERVERS] = { { .ip = fakehost_ip(n->other->host), .port = PORT } };
	size_t count = 1;

	for (size_t i = 0; i < STUN_SERVERS; i++) {
		if (addr_is_set(&n->other->mapped[i]))
			v[count++] = n->other->mapped[i];
	}

	struct path_peer_cfg cfg = { .node = n->other->key,
		                     .disco = n->other->pub,
		                     .home = REGION,
		                     .endpoints = v,
		                     .n_endpoints = count };

	n->peer = paths_peer_set(n->paths, fakenet_now(n->w->net), &cfg);
}

static void start_link(struct world *w, uint64_t seed, enum place a, enum place b,
                       const struct fakenet_link *link)
{
	*w = (struct world){ .net = fakenet_new(seed) };
	fakenet_set_link(w->net, link);
	for (uint8_t i = 0; i < STUN_SERVERS; i++) {
		w->stun[i] = fakenet_host(w->net, ip4(203, 0, 113, (uint8_t)(i + 1)), NULL);
		CHECK(fakehost_bind(w->stun[i], STUN_PORT, on_stun_request, w->stun[i]));
	}
	start_node(w, 0, a);
	start_node(w, 1, b);
	for (size_t i = 0; i < 2; i++)
		ask_stun(&w->node[i]);
	fakenet_run(w->net, mono_after(fakenet_now(w->net), US_PER_S), NULL, NULL);
	for (size_t i = 0; i < 2; i++) {
		introduce(&w->node[i]);
		give_endpoints(&w->node[i]);
	}
}

static void start(struct world *w, enum place a, enum place b)
{
	struct fakenet_link link = { .delay_us = 10000, .jitter_us = 2000 };

	start_link(w, 1, a, b, &link);
}

static void stop(struct world *w)
{
	for (size_t i = 0; i < 2; i++)
		paths_free(w->node[i].paths);
	fakenet_free(w->net);
}

static bool is_direct(struct world *w)
{
	bool direct = true;

	for (size_t i = 0; i < 2; i++) {
		struct path_choice c = paths_choice(w->node[i].paths, w->node[i].peer,
		                                    fakenet_now(w->net));

		direct = direct && c.udp && c.trusted;
	}
	return direct;
}

/* Rows and columns in the order of enum place; D direct, R relayed for good. */
static const char *const expected[PLACES] = {
	"DDDDDDDR", "DDDDDRRR", "DDDDDDDR", "DDDDDDDR",
	"DDDDDRRR", "DRDDRRRR", "DRDDRRRR", "RRRRRRRR",
};
static const char *const names[PLACES] = { "public",     "firewall",        "full cone",
	                                   "restricted", "port restricted", "symmetric",
	                                   "cgnat",      "no udp" };

static void every_pair_of_nats_ends_as_the_real_client_does_and_loses_nothing(void)
{
	for (unsigned a = 0; a < PLACES; a++) {
		for (unsigned b = 0; b < PLACES; b++) {
			struct world w;

			start(&w, (enum place)a, (enum place)b);
			run(&w, 30);

			char got = is_direct(&w) ? 'D' : 'R';

			if (got != expected[a][b])
				check_fail(__FILE__, __LINE__, "%s with %s: %c, wanted %c",
				           names[a], names[b], got, expected[a][b]);
			for (size_t i = 0; i < 2; i++)
				CHECK(w.node[i].got + 2 >= w.node[1 - i].sent);
			stop(&w);
		}
	}
}

static void a_direct_path_comes_within_a_second(void)
{
	struct world w;

	start(&w, PORT_RESTRICTED, PORT_RESTRICTED);
	run(&w, 1);
	CHECK(is_direct(&w));
	stop(&w);
}

static void a_node_that_moves_is_found_again_without_a_gap_of_five_seconds(void)
{
	struct world w;
	int64_t longest = 0;

	start(&w, PORT_RESTRICTED, FULL_CONE);
	run(&w, 10);
	CHECK(is_direct(&w));

	struct fakenat *other = fakenet_nat(w.net, FAKENAT_PORT_RESTRICTED, ip4(198, 51, 100, 77),
	                                    NULL);

	fakehost_move(w.node[0].host, ip4(10, 9, 9, 9), other);
	for (int i = 0; i < 300; i++) {
		run(&w, 0.1);
		for (size_t k = 0; k < 2; k++) {
			int64_t gap = mono_since(w.node[k].last_got, fakenet_now(w.net));

			longest = gap > longest ? gap : longest;
		}
	}
	CHECK(longest < 5 * US_PER_S);
	CHECK(is_direct(&w));
	stop(&w);
}

static void a_node_that_notices_its_move_is_direct_again_at_once(void)
{
	struct world w;

	start(&w, PORT_RESTRICTED, FULL_CONE);
	run(&w, 10);
	fakehost_move(w.node[0].host, ip4(10, 9, 9, 9),
	              fakenet_nat(w.net, FAKENAT_PORT_RESTRICTED, ip4(198, 51, 100, 77), NULL));
	paths_link_changed(w.node[0].paths, fakenet_now(w.net));
	run(&w, 2);
	CHECK(is_direct(&w));
	stop(&w);
}

static void a_cut_of_the_relay_does_not_touch_a_direct_path(void)
{
	struct world w;

	start(&w, PORT_RESTRICTED, RESTRICTED);
	run(&w, 10);
	w.node[0].relay_cut = true;

	unsigned before = w.node[0].got;

	run(&w, 30);
	CHECK(w.node[0].got >= before + 295);
	stop(&w);
}

static void silence_and_return_needs_no_help(void)
{
	struct world w;

	start(&w, PORT_RESTRICTED, PORT_RESTRICTED);
	run(&w, 10);
	w.node[0].talks = w.node[1].talks = false;
	run(&w, 3600);
	w.node[0].talks = w.node[1].talks = true;

	unsigned before = w.node[1].got;

	run(&w, 5);
	CHECK(w.node[1].got >= before + 48);
	CHECK(is_direct(&w));
	stop(&w);
}

static void random_weather_never_ends_in_silence(void)
{
	for (uint64_t seed = 1; seed <= 60; seed++) {
		struct fakenet_link link = {
			.delay_us = 20000, .jitter_us = 40000, .loss = 0.1, .repeat = 0.02
		};
		struct rand_src rand;
		struct world w;

		rand_seeded(&rand, seed);
		start_link(&w, seed, (enum place)rand_src_below(&rand, PLACES),
		           (enum place)rand_src_below(&rand, PLACES), &link);
		for (int step = 0; step < 20; step++) {
			struct node *n = &w.node[rand_src_below(&rand, 2)];

			switch (rand_src_below(&rand, 5)) {
			case 0:
				fakehost_move(
					n->host, ip4(10, 0, (uint8_t)step, 2),
					fakenet_nat(
						w.net, (enum fakenat_kind)rand_src_below(&rand, 4),
						ip4(198, 51, (uint8_t)(step + 1), (uint8_t)seed),
						NULL));
				break;
			case 1:
				fakehost_unplug(n->host, true);
				run(&w, 3);
				fakehost_unplug(n->host, false);
				break;
			case 2:
				paths_link_changed(n->paths, fakenet_now(w.net));
				break;
			case 3:
				n->talks = !n->talks;
				break;
			default:
				break;
			}
			run(&w, (double)rand_src_below(&rand, 10));
		}
		/* Quiet weather again: data must flow both ways. */
		w.node[0].talks = w.node[1].talks = true;
		fakenet_set_link(w.net, &(struct fakenet_link){ .delay_us = 10000 });
		run(&w, 10);

		unsigned got[2] = { w.node[0].got, w.node[1].got };

		run(&w, 10);
		for (size_t i = 0; i < 2; i++)
			CHECK(w.node[i].got >= got[i] + 95);
		stop(&w);
	}
}

int main(void)
{
	crypto_start();
	RUN(every_pair_of_nats_ends_as_the_real_client_does_and_loses_nothing);
	RUN(a_direct_path_comes_within_a_second);
	RUN(a_node_that_moves_is_found_again_without_a_gap_of_five_seconds);
	RUN(a_node_that_notices_its_move_is_direct_again_at_once);
	RUN(a_cut_of_the_relay_does_not_touch_a_direct_path);
	RUN(silence_and_return_needs_no_help);
	RUN(random_weather_never_ends_in_silence);
	return check_done();
}
