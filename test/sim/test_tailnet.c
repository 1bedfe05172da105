/*
 * A whole tailnet in one process: nodes with the shipped tunnel and path cores,
 * a NAT of any kind before each, a coordinator that tells them of each other
 * late or not at all, a relay that comes and goes; on a fake network and clock.
 *
 * A schedule is drawn from a seed: loss, nodes that move to another network,
 * NATs that forget, restarts, control and relay away. Then all is quiet, and
 * any two nodes that the policy joins must be able to talk; the others never
 * can.
 *
 * FAIRLEAD_SCHEDULES says how many are played, FAIRLEAD_SEED the first.
 */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/wire.h"
#include "crypto/init.h"
#include "path/paths.h"
#include "protocol/stun.h"
#include "test/check.h"
#include "test/sim/fakenet.h"
#include "wireguard/device.h"

enum {
	NODES = 4,
	PORT = 41641,
	STUN_SERVERS = 2,
	REGION = 1,
	RELAY_WAY = 1, /* of struct wg_path: by what paths say, not by an address */
	QUEUE_MAX = 512,
	BYTES_MAX = 2048,
	SCHEDULES = 150,
	QUIET_S = 45,
	EPOCH_S = 1767225600,
};

struct world;

struct peer {
	struct node *node; /* whose it is */
	struct node *other;
	struct path_peer *path;
	mono last_got;
};

struct node {
	struct world *w;
	unsigned i, life;
	struct fakehost *host;
	struct node_priv priv;
	struct node_pub key;
	struct disco_priv disco;
	struct disco_pub disco_pub;
	struct ip inside;
	struct wg_device *dev;
	struct paths *paths;
	struct peer peers[NODES];
	struct addr mapped[STUN_SERVERS];
	mono endpoints_ready, next_data;
	bool talks;
};

/* A packet in the relay. */
struct parcel {
	unsigned from, to;
	mono at;
	size_t n;
	uint8_t bytes[BYTES_MAX];
};

/* What the coordinator knows of a node. */
struct record {
	struct disco_pub disco;
	struct addr endpoints[1 + STUN_SERVERS];
	size_t n_endpoints;
};

struct world {
	struct fakenet *net;
	struct rand_src rand;
	struct node nodes[NODES];
	struct record records[NODES];
	bool joined[NODES][NODES];
	struct fakehost *stun[STUN_SERVERS];
	struct parcel queue[QUEUE_MAX];
	size_t queued;
	bool relay_away, control_away, untold;
	mono next_news;
	uint8_t addresses; /* given out so far */
};

static mono now_of(const struct world *w)
{
	return fakenet_now(w->net);
}

static bool chance(struct world *w, unsigned one_in)
{
	return rand_src_below(&w->rand, one_in) == 0;
}

/* ---- the coordinator
 * ----------------------------------------------------------- */

static void introduce(struct node *n, struct node *other)
{
	const struct record *r = &n->w->records[other->i];
	struct path_peer_cfg cfg = { .node = other->key,
		                     .disco = r->disco,
		                     .home = REGION,
		                     .endpoints = r->endpoints,
		                     .n_endpoints = r->n_endpoints };

	n->peers[other->i].path = paths_peer_set(n->paths, now_of(n->w), &cfg);
	path_peer_set_user(n->peers[other->i].path, &n->peers[other->i]);
}

static void spread_news(struct world *w)
{
	w->untold = false;
	for (unsigned a = 0; a < NODES; a++)
		for (unsigned b = 0; b < NODES; b++)
			if (w->joined[a][b])
				introduce(&w->nodes[a], &w->nodes[b]);
}

static void report(struct node *n, const struct addr *v, size_t count)
{
	struct record *r = &n->w->records[n->i];

	r->disco = n->disco_pub;
	memcpy(r->endpoints, v, count * sizeof(*v));
	r->n_endpoints = count;
	n->w->untold = true;
}

/* ---- STUN
 * ------------------------------------------------------------------------ */

static void on_stun_request(void *arg, const struct addr *from, const struct addr *to,
                            struct span datagram)
{
	uint8_t txid[STUN_TXID], answer[STUN_RESPONSE_MAX];

	(void)to;
	if (stun_request_parse(datagram, txid) == 0)
		(void)fakehost_send(arg, STUN_PORT, from,
		                    span(answer, stun_response(answer, txid, from)));
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
	n->endpoints_ready = mono_after(now_of(n->w), 300000);
}

static void give_endpoints(struct node *n)
{
	struct addr v[1 + STUN_SERVERS] = { { .ip = fakehost_ip(n->host), .port = PORT } };
	size_t count = 1;

	for (size_t i = 0; i < STUN_SERVERS; i++)
		if (addr_is_set(&n->mapped[i]))
			v[count++] = n->mapped[i];
	paths_own_endpoints(n->paths, now_of(n->w), v, count);
	report(n, v, count);
}

/* ---- the tunnel
 * --------------------------------------------------------------------- */

static wall wall_of(const struct world *w)
{
	return (wall){ EPOCH_S * US_PER_S + now_of(w).us };
}

static void to_relay(struct world *w, unsigned from, unsigned to, struct span bytes)
{
	struct parcel *p = &w->queue[w->queued];

	if (w->relay_away || w->queued == QUEUE_MAX || bytes.n > BYTES_MAX)
		return;
	*p = (struct parcel){ .from = from,
		              .to = to,
		              .at = mono_after(now_of(w),
		                               20000 + (int64_t)rand_src_below(&w->rand, 20000)),
		              .n = bytes.n };
	memcpy(p->bytes, bytes.p, bytes.n);
	w->queued++;
}

static void send_to(struct node *n, struct peer *p, struct span bytes)
{
	struct path_choice c = paths_choice(n->paths, p->path, now_of(n->w));

	if (c.udp)
		(void)fakehost_send(n->host, PORT, &c.via.addr, bytes);
	if (c.derp)
		to_relay(n->w, n->i, p->other->i, bytes);
}

static bool policy_get(void *ctx, struct wg_peer *wg, struct wg_path *ret)
{
	struct node *n = ctx;
	struct peer *p = wg_peer_user(wg);

	if (!p || !p->path)
		return false;
	paths_sent(n->paths, now_of(n->w), p->path);
	*ret = (struct wg_path){ .relay = RELAY_WAY + p->other->i };
	return true;
}

static void policy_heard(void *ctx, struct wg_peer *wg, const struct wg_path *from)
{
	struct node *n = ctx;
	struct peer *p = wg_peer_user(wg);
	struct path_from by = { .via.addr = from->remote };

	if (!p || !p->path)
		return;
	if (from->relay)
		by = (struct path_from){ .region = REGION, .node = p->other->key };
	paths_heard(n->paths, now_of(n->w), p->path, &by);
}

static void policy_configured(void *ctx, struct wg_peer *wg, const struct addr *endpoint)
{
	(void)ctx;
	(void)wg;
	(void)endpoint;
}

static void policy_forget(void *ctx, struct wg_peer *wg)
{
	(void)ctx;
	(void)wg;
}

static bool policy_shown(void *ctx, const struct wg_peer *wg, struct addr *ret)
{
	(void)ctx;
	(void)wg;
	(void)ret;
	return false;
}

static const struct wg_path_policy policy = { policy_get, policy_heard, policy_configured,
	                                      policy_forget, policy_shown };

/* A stranger's handshake is answered where it came from. */
static void put(struct node *n, const struct wg_path *path, struct span bytes)
{
	if (path->relay)
		send_to(n, &n->peers[path->relay - RELAY_WAY], bytes);
	else
		(void)fakehost_send(n->host, PORT, &path->remote, bytes);
}

static void send_packet(struct node *n, struct wg_peer *wg, struct span packet)
{
	uint8_t msg[BYTES_MAX];
	mono now = now_of(n->w);
	struct wg_keypair *k;
	struct wg_path path;
	uint64_t counter;

	if (!wg_peer_path(n->dev, wg, &path))
		return;
	if (wg_send_begin(n->dev, now, wg, 1, &k, &counter) < 0) {
		wg_stage(n->dev, now, wg, packet);
		return;
	}

	size_t len = wg_padded_len(packet.n, WG_MTU_DEFAULT) + WG_DATA_OVERHEAD;

	wg_seal(msg, k, counter, packet, WG_MTU_DEFAULT);
	put(n, &path, span(msg, len));
	wg_send_done(n->dev, now, wg, len);
}

static void drain_tunnel(struct node *n)
{
	struct wg_out out;

	while (wg_next(n->dev, now_of(n->w), wall_of(n->w), &out)) {
		if (out.act == WG_SEND)
			put(n, &out.path, out.bytes);
		else if (out.act == WG_UNSTAGE)
			send_packet(n, out.peer, out.bytes);
	}
}

static void talk(struct node *n, struct node *to)
{
	uint8_t packet[28] = { 0x45 };
	struct wg_peer *wg = wg_route(n->dev, &to->inside);

	put_be16(packet + 2, sizeof(packet));
	memcpy(packet + 12, ip_v4(&n->inside), 4);
	memcpy(packet + 16, ip_v4(&to->inside), 4);
	if (wg)
		send_packet(n, wg, SPAN_OF(packet));
	drain_tunnel(n);
}

static void recv_data(struct node *n, const struct wg_path *from, struct span d)
{
	uint8_t plain[BYTES_MAX];
	struct wg_keypair *k = wg_recv_keypair(n->dev, now_of(n->w), wg_data_receiver(d.p));
	struct ip src;
	size_t len;

	if (!k || d.n > BYTES_MAX || wg_open(plain, k, d) < 0 ||
	    !wg_recv_accept(n->dev, k, wg_data_counter(d.p)))
		return;

	struct wg_peer *wg = k->index.peer;
	size_t plain_n = d.n - WG_DATA_OVERHEAD;
	struct peer *p = wg_peer_user(wg);

	wg_recv_done(n->dev, now_of(n->w), k, from, plain_n > 0, d.n);
	if (plain_n && p && wg_inner_len(span(plain, plain_n), &len, &src) == 0 &&
	    wg_recv_source(n->dev, wg, &src)) {
		CHECK(n->w->joined[n->i][p->other->i]);
		p->last_got = now_of(n->w);
	}
}

static void recv_wg(struct node *n, const struct wg_path *from, struct span d)
{
	if (wg_msg_kind(d) == WG_MSG_DATA)
		recv_data(n, from, d);
	else
		wg_recv_handshake(n->dev, now_of(n->w), from, d);
	drain_tunnel(n);
}

/* ---- what comes in
 * ----------------------------------------------------------------------- */

static void on_datagram(void *arg, const struct addr *from, const struct addr *to,
                        struct span datagram)
{
	struct node *n = arg;
	struct path_from by = { .via.addr = *from };
	uint8_t txid[STUN_TXID];
	struct disco_pub sender;
	struct addr mapped;

	(void)to;
	if (stun_response_parse(datagram, txid, &mapped) == 0)
		n->mapped[txid[0] % STUN_SERVERS] = mapped;
	else if (disco_sender(datagram, &sender))
		(void)paths_recv_disco(n->paths, now_of(n->w), &by, datagram);
	else if (wg_msg_kind(datagram) > 0)
		recv_wg(n, &(struct wg_path){ .remote = *from }, datagram);
}

static void from_relay(struct world *w, const struct parcel *p)
{
	struct node *n = &w->nodes[p->to];
	struct path_from by = { .region = REGION, .node = w->nodes[p->from].key };
	struct span bytes = span(p->bytes, p->n);
	struct disco_pub sender;

	/* Whom control does not tell of is no peer: his packets are dropped. */
	if (!w->joined[p->to][p->from])
		return;
	if (disco_sender(bytes, &sender))
		(void)paths_recv_disco(n->paths, now_of(w), &by, bytes);
	else if (wg_msg_kind(bytes) > 0)
		recv_wg(n, &(struct wg_path){ .relay = RELAY_WAY + p->from }, bytes);
}

static void run_relay(struct world *w, mono now)
{
	for (size_t i = 0; i < w->queued;) {
		struct parcel p = w->queue[i];

		if (!mono_reached(p.at, now)) {
			i++;
			continue;
		}
		w->queue[i] = w->queue[--w->queued];
		if (!w->relay_away)
			from_relay(w, &p);
	}
}

/* ---- time
 * --------------------------------------------------------------------------------------
 */

static void drain_paths(struct node *n)
{
	struct paths_out out;

	while (paths_next(n->paths, &out)) {
		switch (out.act) {
		case PATHS_SEND:
			(void)fakehost_send(n->host, PORT, &out.via.addr, out.bytes);
			break;
		case PATHS_SEND_DERP:
			to_relay(n->w, n->i, ((struct peer *)path_peer_user(out.peer))->other->i,
			         out.bytes);
			break;
		case PATHS_WANT_ENDPOINTS:
			ask_stun(n);
			break;
		case PATHS_CHANGED:
		case PATHS_PING_DONE:
		case PATHS_ALLOCATE:
		case PATHS_DOUBTED:
			break;
		}
	}
}

static mono wake_node(struct node *n, mono now)
{
	if (mono_reached(n->next_data, now)) {
		n->next_data = mono_after(now, 500000);
		for (unsigned i = 0; n->talks && i < NODES; i++)
			if (i != n->i)
				talk(n, &n->w->nodes[i]);
	}
	if (mono_reached(n->endpoints_ready, now)) {
		n->endpoints_ready = MONO_NEVER;
		give_endpoints(n);
	}
	wg_run_timers(n->dev, now);
	drain_tunnel(n);
	paths_timeout(n->paths, now);
	drain_paths(n);
	return mono_min(mono_min(paths_deadline(n->paths), wg_deadline(n->dev)),
	                mono_min(n->endpoints_ready, n->next_data));
}

static mono wake(void *arg, mono now)
{
	struct world *w = arg;
	mono next;

	if (mono_reached(w->next_news, now)) {
		w->next_news = mono_after(now, US_PER_S);
		if (w->untold && !w->control_away)
			spread_news(w);
	}
	run_relay(w, now);
	next = w->next_news;
	for (unsigned i = 0; i < NODES; i++)
		next = mono_min(next, wake_node(&w->nodes[i], now));
	for (size_t i = 0; i < w->queued; i++)
		next = mono_min(next, w->queue[i].at);
	/* A deadline may be early: time goes on all the same. */
	return mono_before(next, mono_after(now, 1000)) ? mono_after(now, 1000) : next;
}

static void run(struct world *w, int64_t us)
{
	fakenet_run(w->net, mono_after(now_of(w), us), wake, w);
}

/* ---- places and lives
 * -------------------------------------------------------------------------------
 */

static struct fakenat *draw_nat(struct world *w, struct ip *ret_ip)
{
	uint8_t n = ++w->addresses;
	struct ip outside = ip4(198, 51, 100, n);
	unsigned kind = (unsigned)rand_src_below(&w->rand, FAKENAT_NO_UDP + 3);

	*ret_ip = ip4(192, 168, n, 2);
	if (kind > FAKENAT_NO_UDP || kind == FAKENAT_FIREWALL) {
		*ret_ip = outside;
		return kind == FAKENAT_FIREWALL
		               ? fakenet_nat(w->net, FAKENAT_FIREWALL, outside, NULL)
		               : NULL;
	}
	return fakenet_nat(w->net, (enum fakenat_kind)kind, outside, NULL);
}

static void know_peers(struct node *n)
{
	struct wg_change c = { .set = WG_SET_PRIVATE_KEY, .private_key = n->priv };

	for (unsigned i = 0; i < NODES; i++) {
		struct wg_peer_change *p;

		n->peers[i] = (struct peer){ .node = n, .other = &n->w->nodes[i] };
		if (!n->w->joined[n->i][i])
			continue;
		p = wg_change_add_peer(&c, &n->w->nodes[i].key);
		p->set = WG_PEER_REPLACE_IPS;
		wg_peer_change_add_ip(p, prefix_host(n->w->nodes[i].inside), false);
	}
	CHECK_EQ(wg_apply(n->dev, now_of(n->w), &c), 0);
	wg_change_done(&c);
	for (unsigned i = 0; i < NODES; i++) {
		if (!n->w->joined[n->i][i])
			continue;
		wg_peer_set_user(wg_peer_by_key(n->dev, &n->w->nodes[i].key), &n->peers[i]);
		introduce(n, &n->w->nodes[i]);
	}
}

/* The daemon starts: the node key is that of before, the disco key is new. */
static void born(struct node *n)
{
	struct paths_cfg cfg = { .self = n->key };
	struct wg_device_cfg dev = { .policy = &policy, .policy_ctx = n };

	rand_seeded(&cfg.rand, rand_src_u32(&n->w->rand));
	rand_seeded(&dev.rand, rand_src_u32(&n->w->rand));
	rand_fill(&cfg.rand, n->disco.b, sizeof(n->disco.b));
	key_clamp(n->disco.b);
	disco_priv_public(&n->disco, &n->disco_pub);
	cfg.disco = n->disco;
	n->paths = paths_new(&cfg);
	n->dev = wg_device_new(&dev);
	memset(n->mapped, 0, sizeof(n->mapped));
	n->life++;
	know_peers(n);
	wg_up(n->dev, now_of(n->w));
	ask_stun(n);
	n->next_data = mono_after(now_of(n->w), (int64_t)rand_src_below(&n->w->rand, 500000));
}

static void dies(struct node *n)
{
	wg_device_free(n->dev);
	paths_free(n->paths);
}

static void begin(struct world *w, uint64_t seed)
{
	struct ip ip;

	*w = (struct world){ .net = fakenet_new(seed) };
	rand_seeded(&w->rand, seed);
	fakenet_set_link(w->net, &(struct fakenet_link){ .delay_us = 10000, .jitter_us = 5000 });
	fakenet_run(w->net, mono_after(now_of(w), 1000 * US_PER_S), NULL, NULL);
	for (uint8_t i = 0; i < STUN_SERVERS; i++) {
		w->stun[i] = fakenet_host(w->net, ip4(203, 0, 113, (uint8_t)(i + 1)), NULL);
		CHECK(fakehost_bind(w->stun[i], STUN_PORT, on_stun_request, w->stun[i]));
	}
	for (unsigned a = 0; a < NODES; a++)
		for (unsigned b = 0; b < a; b++)
			w->joined[a][b] = w->joined[b][a] = !chance(w, 4);
	for (unsigned i = 0; i < NODES; i++) {
		struct node *n = &w->nodes[i];
		struct fakenat *nat = draw_nat(w, &ip);

		n->w = w;
		n->i = i;
		n->talks = true;
		n->inside = ip4(100, 64, 0, (uint8_t)(i + 1));
		rand_fill(&w->rand, n->priv.b, sizeof(n->priv.b));
		key_clamp(n->priv.b);
		node_priv_public(&n->priv, &n->key);
		n->host = fakenet_host(w->net, ip, nat);
		CHECK_EQ(fakehost_bind(n->host, PORT, on_datagram, n), PORT);
	}
	for (unsigned i = 0; i < NODES; i++)
		born(&w->nodes[i]);
}

static void end(struct world *w)
{
	for (unsigned i = 0; i < NODES; i++)
		dies(&w->nodes[i]);
	fakenet_free(w->net);
}

/* ---- the schedule
 * --------------------------------------------------------------------------------------
 */

static void move(struct node *n)
{
	struct ip ip;
	struct fakenat *nat = draw_nat(n->w, &ip);

	fakehost_move(n->host, ip, nat);
	paths_link_changed(n->paths, now_of(n->w));
	ask_stun(n);
}

static void happen(struct world *w, bool moves)
{
	struct node *n = &w->nodes[rand_src_below(&w->rand, NODES)];

	switch (rand_src_below(&w->rand, 8)) {
	case 0:
	case 1:
		if (moves)
			move(n);
		break;
	case 2:
		dies(n);
		born(n);
		break;
	case 3:
		fakenet_set_link(w->net, &(struct fakenet_link){
						 .loss = (double)rand_src_below(&w->rand, 40) / 100,
						 .repeat = 0.05,
						 .delay_us = 10000,
						 .jitter_us = 30000 });
		break;
	case 4:
		w->relay_away = !w->relay_away;
		break;
	case 5:
		w->control_away = !w->control_away;
		break;
	case 6:
		fakehost_unplug(n->host, chance(w, 2));
		break;
	default:
		n->talks = !n->talks;
	}
}

static void calm(struct world *w)
{
	fakenet_set_link(w->net, &(struct fakenet_link){ .delay_us = 10000, .jitter_us = 2000 });
	w->relay_away = w->control_away = false;
	for (unsigned i = 0; i < NODES; i++) {
		fakehost_unplug(w->nodes[i].host, false);
		w->nodes[i].talks = true;
	}
}

/* Everybody whom the policy joins has heard each other within the last seconds.
 */
static bool all_talk(struct world *w, uint64_t seed)
{
	bool good = true;

	for (unsigned a = 0; a < NODES; a++)
		for (unsigned b = 0; b < NODES; b++) {
			mono at = w->nodes[a].peers[b].last_got;

			if (w->joined[a][b] &&
			    (at.us == 0 || mono_since(at, now_of(w)) > 2 * US_PER_S)) {
				printf("# seed %llu: %u does not hear %u\n",
				       (unsigned long long)seed, a, b);
				good = false;
			}
			if (!w->joined[a][b])
				CHECK_EQ(at.us, 0);
		}
	return good;
}

static bool play(uint64_t seed)
{
	struct world w;
	bool good;

	begin(&w, seed);
	run(&w, 5 * US_PER_S);
	for (unsigned i = 0, n = 4 + (unsigned)rand_src_below(&w.rand, 12); i < n; i++) {
		happen(&w, true);
		run(&w, (int64_t)rand_src_below(&w.rand, 15 * US_PER_S));
	}
	calm(&w);
	/* Two that begin a handshake at once, in the dark, may take several turns of
	 * 5 s. */
	run(&w, QUIET_S * US_PER_S);
	good = all_talk(&w, seed);
	end(&w);
	return good;
}

static uint64_t number_of(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);
	uint64_t n;

	return text && span_u64(span_str(text), UINT64_MAX, &n) == 0 ? n : otherwise;
}

static void whoever_the_policy_joins_can_talk_after_any_schedule_of_trouble(void)
{
	uint64_t first = number_of("FAIRLEAD_SEED", 1),
		 n = number_of("FAIRLEAD_SCHEDULES", SCHEDULES);
	unsigned bad = 0;

	for (uint64_t seed = first; seed < first + n; seed++)
		bad += !play(seed);
	printf("# %llu schedules from seed %llu\n", (unsigned long long)n,
	       (unsigned long long)first);
	CHECK_EQ(bad, 0);
}

/* What the cores hold of memory; 0 where the allocator does not tell. */
static size_t held(void)
{
	return mallinfo2().uordblks;
}

static void three_days_of_trouble_leave_nothing_behind(void)
{
	struct world w;
	size_t before = 0;

	begin(&w, 7);
	for (unsigned hour = 0; hour < 72; hour++) {
		for (unsigned i = 0; i < 4; i++) {
			happen(&w, false);
			run(&w, 20 * US_PER_S);
		}
		calm(&w);
		run(&w, 60 * US_PER_S);
		for (unsigned i = 0; i < NODES; i++)
			w.nodes[i].talks = false;
		run(&w, 3600 * US_PER_S - 140 * US_PER_S);
		if (hour == 12)
			before = held();
	}
	CHECK(held() < before + (64 << 10));
	calm(&w);
	run(&w, QUIET_S * US_PER_S);
	CHECK(all_talk(&w, 7));
	end(&w);
}

int main(void)
{
	crypto_start();
	RUN(whoever_the_policy_joins_can_talk_after_any_schedule_of_trouble);
	RUN(three_days_of_trouble_leave_nothing_behind);
	return check_done();
}
