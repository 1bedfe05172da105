#include <string.h>

#include "base/err.h"
#include "node/mesh_priv.h"
#include "protocol/geneve.h"
#include "protocol/icmp.h"

/* ---- packets from and to the host ----------------------------------------- */

static void send_tsmp(struct mesh *m, struct mesh_peer *p, struct tsmp *t)
{
	uint8_t packet[TSMP_PACKET_MAX];
	struct wg_peer *wg = mesh_wg_peer(m, p);

	if (wg)
		datapath_to_peer(m->dp, wg, span(packet, tsmp_write(packet, t)));
}

/* An address of ours and one of the peer's, of one family. */
static bool addresses_for(const struct mesh *m, const struct mesh_peer *p, struct tsmp *t)
{
	bool four = !ip_is_zero(&m->self4) && !ip_is_zero(&p->ip4);

	t->src = four ? m->self4 : m->self6;
	t->dst = four ? p->ip4 : p->ip6;
	return !ip_is_zero(&t->src) && !ip_is_zero(&t->dst);
}

/*
 * A stock peer does not find out what a path carries, and what it sends on connections that were
 * open before goes on being too large. Its kernel is told as a router would tell it. IPv6 has no
 * smaller packets to ask for.
 */
static void tell_narrow(struct mesh *m, struct mesh_peer *p)
{
	struct path_choice c = paths_choice(m->paths, p->path, mesh_now(m));
	uint16_t mtu = mesh_narrow_mtu(&c);
	struct wg_peer *wg = mesh_wg_peer(m, p);
	uint8_t packet[ICMP_NARROW_LEN];

	p->want_narrow = false;
	if (!mtu || !wg || p->wg_only || ip_is_zero(&m->self4) || ip_is_zero(&p->ip4))
		return;
	p->narrow_told = mesh_now(m);
	icmp_narrow_write(packet, &m->self4, &p->ip4, mtu);
	datapath_to_peer(m->dp, wg, span(packet, sizeof(packet)));
}

void mesh_send_waiting(struct mesh *m)
{
	struct mesh_peer *to = m->answer.type ? mesh_peer(m, &m->answer_to) : NULL;
	struct disco_pub key;

	if (to)
		send_tsmp(m, to, &m->answer);
	m->answer = (struct tsmp){ 0 };

	disco_priv_public(&m->cfg.disco, &key);
	/* Told inside of each new session: paths survive control's absence. */
	for (size_t i = 0; i < m->ids.n; i++) {
		struct mesh_peer *p = m->ids.v[i];
		struct tsmp t = { .type = TSMP_DISCO_KEY, .disco = key };

		if (p && p->want_narrow)
			tell_narrow(m, p);
		if (!p || !p->want_advert)
			continue;
		p->want_advert = false;
		if (!p->wg_only && addresses_for(m, p, &t))
			send_tsmp(m, p, &t);
	}
}

/* The answer to a ping of ours; false if it is none. */
static bool on_inner_pong(struct mesh *m, const uint8_t *data, uint16_t peerapi_port)
{
	for (size_t i = 0; i < m->pings.n; i++) {
		struct inner_ping ping = m->pings.v[i];

		if (memcmp(ping.data, data, TSMP_PING_DATA) != 0)
			continue;
		vec_remove_swap(&m->pings, i);

		struct mesh_pong pong = { .token = ping.token,
			                  .rtt_us = mono_since(ping.sent, ev_tick(m->cfg.ev)),
			                  .peerapi_port = peerapi_port };

		if (m->cfg.hooks.pong)
			m->cfg.hooks.pong(m->cfg.hooks.ctx, &pong);
		return true;
	}
	return false;
}

/*
 * Sent by the pump: we are inside the data path. One at a time, as more would be
 * a flood.
 */
static void answer_ping(struct mesh *m, struct mesh_peer *p, const struct tsmp *ping)
{
	if (m->answer.type)
		return;
	m->answer = *ping;
	m->answer.type = TSMP_PONG;
	m->answer.src = ping->dst;
	m->answer.dst = ping->src;
	m->answer.peerapi_port = ip_is4(&ping->dst) ? m->peerapi4 : m->peerapi6;
	m->answer_to = p->key;
	mesh_poke(m);
}

static void on_tsmp(struct mesh *m, struct mesh_peer *p, const struct ippkt *ip, struct span packet)
{
	struct tsmp t;

	if (tsmp_read(&ip->src, &ip->dst, span_from(packet, ip->transport), &t) < 0)
		return;
	switch (t.type) {
	case TSMP_PING:
		answer_ping(m, p, &t);
		break;
	case TSMP_PONG:
		(void)on_inner_pong(m, t.data, t.peerapi_port);
		break;
	case TSMP_DISCO_KEY:
		paths_peer_learn_disco(m->paths, mesh_now(m), p->path, &t.disco);
		mesh_poke(m);
		break;
	case TSMP_REJECTED:
		break;
	}
}

/* Our own disco inside the tunnel would have the tunnel carry itself. */
static bool is_own_disco(const struct mesh *m, const struct ippkt *ip, struct span packet)
{
	struct disco_pub from, own;

	if (ip->proto != IPPKT_UDP || !disco_sender(span_from(packet, ip->data), &from))
		return false;
	disco_priv_public(&m->cfg.disco, &own);
	return disco_pub_eq(&from, &own);
}

static bool is_our_echo(struct mesh *m, const struct ippkt *ip, struct span packet)
{
	const uint8_t *data = icmp_echo_reply(ip, packet);

	return data && on_inner_pong(m, data, 0);
}

/* A peer that asks our PeerAPI: whether it may is decided there, request by request. */
static bool is_for_peerapi(const struct mesh *m, const struct ippkt *p)
{
	bool four = ip_eq(&p->dst, &m->self4), six = ip_eq(&p->dst, &m->self6);
	uint16_t port = four ? m->peerapi4 : six ? m->peerapi6 : 0;

	return port && p->proto == IPPKT_TCP && ippkt_is_new_tcp(p) && p->dst_port == port;
}

static enum datapath_verdict hook_in(void *ctx, struct wg_peer *wg, struct span packet)
{
	struct mesh *m = ctx;
	struct mesh_peer *p = wg_peer_user(wg);
	enum filter_trust trust = p && p->jailed ? FILTER_JAILED : FILTER_PEER;
	struct ippkt ip;

	if (!p || !m->filter)
		return DATAPATH_DROP;
	ippkt_parse(packet, &ip);
	if (ip.proto == IPPKT_TSMP) {
		on_tsmp(m, p, &ip, packet);
		return DATAPATH_TAKEN;
	}
	if (is_own_disco(m, &ip, packet))
		return DATAPATH_DROP;
	if (m->pings.n && is_our_echo(m, &ip, packet))
		return DATAPATH_TAKEN;
	if (filter_in(m->filter, m->flows, &ip, trust, mesh_now(m)) != FILTER_ACCEPT &&
	    (trust == FILTER_JAILED || !is_for_peerapi(m, &ip))) {
		m->drops[MESH_DROP_FILTER_IN]++;
		return DATAPATH_DROP;
	}
	return DATAPATH_PASS;
}

static enum datapath_verdict hook_out(void *ctx, struct wg_peer *wg, struct span packet)
{
	struct mesh *m = ctx;
	struct ippkt ip;

	if (m->cfg.hooks.packet_out && m->cfg.hooks.packet_out(m->cfg.hooks.ctx, packet))
		return DATAPATH_TAKEN;
	if (!wg)
		return DATAPATH_PASS;
	ippkt_parse(packet, &ip);
	/* TSMP is between nodes; a host that sends it is up to something. */
	if (ip.proto == IPPKT_TSMP || is_own_disco(m, &ip, packet) ||
	    filter_out(m->flows, &ip, mesh_now(m)) != FILTER_ACCEPT) {
		m->drops[MESH_DROP_FILTER_OUT]++;
		return DATAPATH_DROP;
	}
	return DATAPATH_PASS;
}

/* ---- datagrams that are no WireGuard --------------------------------------- */

static bool hook_datagram(void *ctx, const struct udp_frame *from, struct span bytes)
{
	struct mesh *m = ctx;
	struct path_from by = { .via.addr = from->remote };
	struct disco_pub sender;
	bool taken = false;

	if (stun_is(bytes))
		taken = netcheck_recv(m->netcheck, mesh_now(m), bytes);
	else if (disco_sender(bytes, &sender))
		taken = paths_recv_disco(m->paths, mesh_now(m), &by, bytes);
	else
		taken = mesh_recv_geneve(m, &from->remote, bytes);
	if (taken)
		mesh_poke(m);
	return taken;
}

/* ---- relays ----------------------------------------------------------------- */

static void send_derp(struct mesh *m, const struct mesh_peer *p, int region, struct span run,
                      size_t seg)
{
	for (struct span one; run.n > 0; run = span_from(run, one.n)) {
		one = span_first(run, seg);

		int r = derplink_send(m->derp, region, &p->key, one);

		if (r < 0)
			m->drops[r == ERR_LIMIT ? MESH_DROP_DERP_FULL : MESH_DROP_NO_PATH]++;
	}
}

static void hook_relay(void *ctx, const struct wg_path *path, struct span run, size_t seg)
{
	struct mesh *m = ctx;
	size_t id = path->relay - RELAY_BASE;
	struct mesh_peer *p = id < m->ids.n ? m->ids.v[id] : NULL;
	size_t packets;
	struct path_choice c;

	if (!p)
		return;
	c = paths_choice(m->paths, p->path, mesh_now(m));
	packets = (run.n + seg - 1) / seg;
	/* In doubt both are used: what arrives twice is dropped as a replay. */
	if (c.udp)
		mesh_count_out(m, mesh_way_of(&c.via), packets, run.n);
	if (c.udp && c.via.vni)
		mesh_send_geneve(m, &c.via, GENEVE_WIREGUARD, run, seg);
	else if (c.udp)
		(void)!datapath_send_run(m->dp, &c.via.addr, run, seg);
	if (c.derp) {
		mesh_count_out(m, MESH_WAY_DERP, packets, run.n);
		send_derp(m, p, c.region, run, seg);
	}
}

void mesh_derp_packet(void *ctx, int region, const struct node_pub *from, uint8_t *bytes, size_t n)
{
	struct mesh *m = ctx;
	struct mesh_peer *p = mesh_peer(m, from);
	struct path_from by = { .region = region, .node = *from };
	struct disco_pub sender;

	if (!p) {
		m->drops[MESH_DROP_DERP_STRANGER]++;
		return;
	}
	p->last_region = region;
	if (disco_sender(span(bytes, n), &sender)) {
		(void)paths_recv_disco(m->paths, mesh_now(m), &by, span(bytes, n));
		mesh_poke(m);
		return;
	}

	struct wg_path path = { .relay = p->id + RELAY_BASE };

	mesh_count_in(m, MESH_WAY_DERP, n);
	datapath_recv(m->dp, &path, bytes, n);
}

/* ---- the rest of the hooks --------------------------------------------------- */

static void hook_peer(void *ctx, struct wg_peer *wg, enum wg_act what)
{
	struct mesh *m = ctx;
	struct mesh_peer *p = wg_peer_user(wg);

	if (!p || what != WG_CAME_UP)
		return;
	p->want_advert = true;
	mesh_poke(m);
}

static void hook_gone(void *ctx)
{
	struct mesh *m = ctx;

	if (m->cfg.hooks.gone)
		m->cfg.hooks.gone(m->cfg.hooks.ctx);
}

void mesh_hooks_of(struct mesh *m, struct datapath_hooks *ret)
{
	*ret = (struct datapath_hooks){ .ctx = m,
		                        .datagram = hook_datagram,
		                        .wrapped = mesh_unwrap,
		                        .relay = hook_relay,
		                        .out = hook_out,
		                        .in = hook_in,
		                        .peer = hook_peer,
		                        .gone = hook_gone };
}

/* ---- pings ------------------------------------------------------------------- */

static void send_echo(struct mesh *m, struct mesh_peer *p, const struct tsmp *t)
{
	uint8_t packet[ICMP_ECHO_MAX];
	struct wg_peer *wg = mesh_wg_peer(m, p);

	if (wg)
		datapath_to_peer(m->dp, wg,
		                 span(packet, icmp_echo_write(packet, &t->src, &t->dst, t->data)));
}

static int ping_inside(struct mesh *m, struct mesh_peer *p, enum mesh_ping_kind kind,
                       uint64_t token)
{
	struct tsmp t = { .type = TSMP_PING };

	if (!addresses_for(m, p, &t))
		return ERR_UNKNOWN;
	if (m->pings.n >= INNER_PINGS_MAX)
		return ERR_LIMIT;
	rand_fill(&m->rand, t.data, sizeof(t.data));

	struct inner_ping *ping = vec_add(&m->pings);

	memcpy(ping->data, t.data, sizeof(ping->data));
	ping->token = token;
	ping->sent = ev_tick(m->cfg.ev);
	if (kind == MESH_PING_ICMP)
		send_echo(m, p, &t);
	else
		send_tsmp(m, p, &t);
	return 0;
}

int mesh_ping(struct mesh *m, const struct node_pub *key, enum mesh_ping_kind kind, uint64_t token,
              size_t size)
{
	struct mesh_peer *p = mesh_peer(m, key);
	int r = 0;

	if (!p)
		return ERR_UNKNOWN;
	if (kind == MESH_PING_DISCO)
		paths_ping(m->paths, ev_tick(m->cfg.ev), p->path, token, size);
	else
		r = ping_inside(m, p, kind, token);
	mesh_poke(m);
	return r;
}

void mesh_time_out_pings(struct mesh *m, mono now)
{
	for (size_t i = m->pings.n; i-- > 0;) {
		struct mesh_pong pong = { .token = m->pings.v[i].token, .rtt_us = -1 };

		if (mono_since(m->pings.v[i].sent, now) < PATHS_PING_TIMEOUT_US)
			continue;
		vec_remove_swap(&m->pings, i);
		if (m->cfg.hooks.pong)
			m->cfg.hooks.pong(m->cfg.hooks.ctx, &pong);
	}
}

mono mesh_pings_deadline(const struct mesh *m)
{
	mono next = MONO_NEVER;

	for (size_t i = 0; i < m->pings.n; i++)
		next = mono_min(next, mono_after(m->pings.v[i].sent, PATHS_PING_TIMEOUT_US));
	return next;
}
