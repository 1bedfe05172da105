#include "test/sim/wgworld.h"

#include <assert.h>
#include <string.h>

#include "base/mem.h"

/* 2026-01-01, so that stamps look like stamps. */
#define EPOCH_US (INT64_C(1767225600) * US_PER_S)

mono wgnode_now(const struct wgnode *n)
{
	return (mono){ fakenet_now(n->world->net).us + n->mono_skew_us };
}

static wall node_wall(const struct wgnode *n)
{
	return (wall){ EPOCH_US + fakenet_now(n->world->net).us + n->wall_skew_us };
}

struct addr wgnode_addr(const struct wgnode *n)
{
	return (struct addr){ .ip = fakehost_ip(n->host), .port = WGWORLD_PORT };
}

/* ---- out ----------------------------------------------------------------- */

static void note_sent(struct wgnode *n, const struct addr *to, struct span d)
{
	int kind = wg_msg_kind(d);

	assert(kind > 0);
	if (kind == WG_MSG_DATA && d.n == WG_KEEPALIVE_LEN)
		kind = 0;
	n->sent[kind]++;
	if (n->log_n == WGWORLD_LOG)
		memmove(n->log, n->log + 1, --n->log_n * sizeof(n->log[0]));
	memcpy(n->last, d.p, d.n);
	n->last_n = d.n;
	n->log[n->log_n++] = (struct wgsent){ fakenet_now(n->world->net), kind, *to,
		                              span(n->last, d.n) };
}

static void put(struct wgnode *n, const struct wg_path *path, struct span d)
{
	note_sent(n, &path->remote, d);
	if (!n->tap || n->tap(n, d))
		(void)fakehost_send(n->host, WGWORLD_PORT, &path->remote, d);
}

static void send_packet(struct wgnode *n, struct wg_peer *p, struct span packet)
{
	static uint8_t msg[FAKENET_DATAGRAM_MAX];
	mono now = wgnode_now(n);
	struct wg_keypair *k;
	struct wg_path path;
	uint64_t counter;

	if (!wg_peer_path(n->dev, p, &path)) {
		wg_drop(n->dev, WG_DROP_NO_ENDPOINT, 1);
		return;
	}
	if (wg_send_begin(n->dev, now, p, 1, &k, &counter) < 0) {
		wg_stage(n->dev, now, p, packet);
		return;
	}

	size_t len = wg_padded_len(packet.n, WG_MTU_DEFAULT) + WG_DATA_OVERHEAD;

	wg_seal(msg, k, counter, packet, WG_MTU_DEFAULT);
	put(n, &path, span(msg, len));
	wg_send_done(n->dev, now, p, len);
}

static void drain(struct wgnode *n)
{
	struct wg_out out;

	while (wg_next(n->dev, wgnode_now(n), node_wall(n), &out)) {
		switch (out.act) {
		case WG_SEND:
			put(n, &out.path, out.bytes);
			break;
		case WG_UNSTAGE:
			send_packet(n, out.peer, out.bytes);
			break;
		case WG_CAME_UP:
			n->came_up++;
			break;
		case WG_GAVE_UP:
			n->gave_up++;
			break;
		}
	}
}

void wgnode_send(struct wgnode *a, const struct ip *src, const struct ip *dst, size_t n)
{
	static uint8_t packet[FAKENET_DATAGRAM_MAX];
	struct wg_peer *p = wg_route(a->dev, dst);

	assert(n >= 20 && n < sizeof(packet) - 100);
	memset(packet, 0x61, n);
	packet[0] = 0x45;
	put_be16(packet + 2, (uint16_t)n);
	memcpy(packet + 12, ip_v4(src), 4);
	memcpy(packet + 16, ip_v4(dst), 4);
	if (!p) {
		wg_drop(a->dev, WG_DROP_NO_PEER, 1);
		return;
	}
	send_packet(a, p, span(packet, n));
	drain(a);
}

void wgnode_ping(struct wgnode *a, const struct wgnode *b, size_t n)
{
	wgnode_send(a, &a->inside, &b->inside, n);
}

/* ---- in ------------------------------------------------------------------ */

static void deliver(struct wgnode *n, struct wg_peer *p, struct span plain)
{
	size_t len;
	struct ip src;

	if (wg_inner_len(plain, &len, &src) < 0) {
		wg_drop(n->dev, WG_DROP_INNER, 1);
		return;
	}
	if (!wg_recv_source(n->dev, p, &src))
		return;
	n->delivered++;
	for (size_t i = 0; i < n->world->n; i++) {
		if (ip_eq(&n->world->nodes[i]->inside, &src))
			n->delivered_from[n->world->nodes[i]->number]++;
	}
}

static void recv_data(struct wgnode *n, const struct wg_path *from, struct span d)
{
	static uint8_t plain[FAKENET_DATAGRAM_MAX];
	mono now = wgnode_now(n);
	struct wg_keypair *k = wg_recv_keypair(n->dev, now, wg_data_receiver(d.p));

	if (!k)
		return;
	if (wg_open(plain, k, d) < 0) {
		wg_drop(n->dev, WG_DROP_AUTH, 1);
		return;
	}
	if (!wg_recv_accept(n->dev, k, wg_data_counter(d.p)))
		return;

	size_t len = d.n - WG_DATA_OVERHEAD;

	wg_recv_done(n->dev, now, k, from, len > 0, d.n);
	if (len)
		deliver(n, k->index.peer, span(plain, len));
}

void wgnode_recv(struct wgnode *n, const struct addr *from, struct span d)
{
	struct wg_path path = { .remote = *from, .local = fakehost_ip(n->host) };

	if (wg_msg_kind(d) == WG_MSG_DATA)
		recv_data(n, &path, d);
	else
		wg_recv_handshake(n->dev, wgnode_now(n), &path, d);
	drain(n);
}

static void on_datagram(void *arg, const struct addr *from, const struct addr *to, struct span d)
{
	struct wgnode *n = arg;

	(void)to;
	if (!n->deaf)
		wgnode_recv(n, from, d);
}

/* ---- time ---------------------------------------------------------------- */

static mono wake_all(void *arg, mono now)
{
	struct wgworld *w = arg;
	mono next = MONO_NEVER;

	for (size_t i = 0; i < w->n; i++) {
		struct wgnode *n = w->nodes[i];

		wg_run_timers(n->dev, wgnode_now(n));
		drain(n);

		mono at = wg_deadline(n->dev);

		if (at.us != MONO_NEVER.us)
			at.us -= n->mono_skew_us;
		/* A device whose clock was set back waits until it has caught up. */
		next = mono_min(next, mono_before(at, now) ? mono_after(now, US_PER_S) : at);
	}
	return next;
}

void wgworld_run(struct wgworld *w, int64_t us)
{
	fakenet_run(w->net, mono_after(fakenet_now(w->net), us), wake_all, w);
}

void wgworld_settle(struct wgworld *w)
{
	wgworld_run(w, 0);
}

/* ---- making -------------------------------------------------------------- */

void wgworld_init(struct wgworld *w, uint64_t seed)
{
	*w = (struct wgworld){ .net = fakenet_new(seed) };
	fakenet_set_link(w->net, &(struct fakenet_link){ 0 });
	wgworld_run(w, 1000 * US_PER_S);
}

void wgworld_done(struct wgworld *w)
{
	for (size_t i = 0; i < w->n; i++) {
		wg_device_free(w->nodes[i]->dev);
		free(w->nodes[i]);
	}
	fakenet_free(w->net);
}

struct wgnode *wgworld_add(struct wgworld *w, unsigned number)
{
	struct wgnode *n = mem_new(struct wgnode);
	struct wg_device_cfg cfg = { 0 };

	assert(w->n < WGWORLD_NODES && number && number <= WGWORLD_NODES);
	w->nodes[w->n++] = n;
	n->world = w;
	n->number = number;
	n->inside = ip4(10, 0, 0, (uint8_t)number);
	n->host = fakenet_host(w->net, ip4(192, 0, 2, (uint8_t)number), NULL);
	(void)fakehost_bind(n->host, WGWORLD_PORT, on_datagram, n);
	rand_seeded(&cfg.rand, rand_src_u32(fakenet_rand(w->net)));
	n->dev = wg_device_new(&cfg);

	struct node_priv priv;

	rand_fill(&cfg.rand, priv.b, sizeof(priv.b));
	wgnode_set_key(n, &priv);
	wg_up(n->dev, wgnode_now(n));
	return n;
}

void wgnode_apply(struct wgnode *n, const struct wg_change *c)
{
	int r = wg_apply(n->dev, wgnode_now(n), c);

	assert(r == 0);
	(void)r;
	drain(n);
}

void wgnode_set_key(struct wgnode *n, const struct node_priv *priv)
{
	struct wg_change c = { .set = WG_SET_PRIVATE_KEY, .private_key = *priv };

	n->priv = *priv;
	key_clamp(n->priv.b);
	node_priv_public(&n->priv, &n->pub);
	wgnode_apply(n, &c);
	wg_change_done(&c);
}

struct wg_peer *wgnode_know(struct wgnode *a, struct wgnode *b, bool silent)
{
	struct wg_change c = { 0 };
	struct wg_peer_change *p = wg_change_add_peer(&c, &b->pub);

	if (!silent) {
		p->set |= WG_PEER_SET_ENDPOINT;
		p->endpoint = wgnode_addr(b);
	}
	wg_peer_change_add_ip(p, prefix_host(b->inside), false);
	wgnode_apply(a, &c);
	wg_change_done(&c);
	return wgnode_peer(a, b);
}

void wgworld_link(struct wgnode *a, struct wgnode *b)
{
	(void)wgnode_know(a, b, false);
	(void)wgnode_know(b, a, false);
}

struct wg_peer *wgnode_peer(struct wgnode *n, const struct wgnode *other)
{
	return wg_peer_by_key(n->dev, &other->pub);
}

void wgnode_set_keepalive(struct wgnode *n, const struct wgnode *other, uint16_t s)
{
	struct wg_change c = { 0 };
	struct wg_peer_change *p = wg_change_add_peer(&c, &other->pub);

	p->set = WG_PEER_SET_KEEPALIVE;
	p->keepalive_s = s;
	wgnode_apply(n, &c);
	wg_change_done(&c);
}

void wgnode_set_psk(struct wgnode *n, const struct wgnode *other, uint8_t first)
{
	struct wg_change c = { 0 };
	struct wg_peer_change *p = wg_change_add_peer(&c, &other->pub);

	p->set = WG_PEER_SET_PSK;
	for (size_t i = 0; i < sizeof(p->psk.b); i++)
		p->psk.b[i] = (uint8_t)(first + i); /* not what an allocator fills memory with */
	wgnode_apply(n, &c);
	wg_change_done(&c);
}

void wgnode_add_prefix(struct wgnode *n, const struct wgnode *other, const char *text)
{
	struct wg_change c = { 0 };
	struct wg_peer_change *p = wg_change_add_peer(&c, &other->pub);
	struct prefix prefix;
	int r = prefix_parse(span_str(text), &prefix);

	assert(r == 0);
	(void)r;
	wg_peer_change_add_ip(p, prefix, false);
	wgnode_apply(n, &c);
	wg_change_done(&c);
}

bool wgnode_has_session(struct wgnode *n, const struct wgnode *other)
{
	return wg_peer_has_session(wgnode_peer(n, other), wgnode_now(n));
}

void wgworld_connect(struct wgworld *w, struct wgnode *a, struct wgnode *b)
{
	wgnode_ping(a, b, 40);
	wgworld_run(w, US_PER_S / 2);
	wgnode_ping(b, a, 40);
	wgworld_run(w, US_PER_S / 2);
}
