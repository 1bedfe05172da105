#include <string.h>

#include "base/err.h"
#include "path/paths_priv.h"

/* A region's relay stands in pongs as an address: this one, with the region as port. */
static const struct ip derp_magic_ip = { { [10] = 0xff, [11] = 0xff, 127, 3, 3, 40 } };

enum { PINGS_MAX = 4 * PATHS_CANDIDATES_MAX, IP_UDP_4 = 28, IP_UDP_6 = 48 };

struct path_queued *paths_put(struct paths *p, enum paths_act act, struct path_peer *peer,
                              struct span bytes)
{
	struct path_queued *q = mem_new(struct path_queued);

	q->bytes = mem_dup(bytes.p, bytes.n);
	q->out = (struct paths_out){ .act = act, .peer = peer, .bytes = span(q->bytes, bytes.n) };
	list_append(&p->outs, &q->link);
	return q;
}

const struct box_shared *path_slot_key(struct paths *p, struct disco_slot *s)
{
	if (!s->set)
		return NULL;
	if (!s->shared_ready) {
		if (box_shared_init(&s->shared, p->cfg.disco.b, s->pub.b) < 0)
			return NULL;
		s->shared_ready = true;
	}
	return &s->shared;
}

/* region != 0: over DERP, else by UDP to via. False: it cannot be sealed. */
bool path_send_msg(struct paths *p, struct path_peer *peer, struct disco_slot *slot,
                   const struct disco_msg *m, const struct path_via *via, int region)
{
	uint8_t bytes[DISCO_PING_MAX + DISCO_OVERHEAD];
	const struct box_shared *key = path_slot_key(p, slot);
	size_t n = 0;

	if (!key || disco_seal(bytes, sizeof(bytes), m, &p->self_disco, key, &p->cfg.rand, &n) < 0)
		return false;

	struct path_queued *q = paths_put(p, region ? PATHS_SEND_DERP : PATHS_SEND, peer,
	                                  span(bytes, n));

	q->out.node = peer->node;
	q->out.region = region;
	if (!region)
		q->out.via = *via;
	return true;
}

bool path_send_ping(struct paths *p, mono now, struct path_peer *peer, const struct path_via *via,
                    int region, uint64_t token, size_t size)
{
	struct disco_msg m = { .type = DISCO_PING, .node = p->cfg.self };

	if (p->cfg.never_direct && !region)
		return false;
	if (size)
		m.padding = disco_padding_for(size);
	rand_fill(&p->cfg.rand, &m.txid, sizeof(m.txid));
	if (peer->pings.n >= PINGS_MAX ||
	    !path_send_msg(p, peer, &peer->slots[peer->active], &m, via, region))
		return false;

	struct path_ping *ping = vec_add(&peer->pings);

	*ping = (struct path_ping){
		.txid = m.txid, .via = *via, .region = region, .sent = now, .token = token
	};
	return true;
}

bool path_send_probe(struct paths *p, mono now, struct path_peer *peer, uint16_t size)
{
	const struct path_via *via = &peer->best.via;
	size_t payload = size - (ip_is4(&via->addr.ip) ? IP_UDP_4 : IP_UDP_6);

	if (!path_send_ping(p, now, peer, via, 0, 0, payload))
		return false;
	peer->pings.v[peer->pings.n - 1].probe = size;
	CONTAINER_OF(p->outs.prev, struct path_queued, link)->out.whole = true;
	return true;
}

void path_send_call_me_maybe(struct paths *p, mono now, struct path_peer *peer)
{
	static const struct path_via none;
	struct disco_msg m = { .type = DISCO_CALL_ME_MAYBE };

	if (p->cfg.never_direct || !peer->home)
		return;
	/* Old addresses would have the peer ping a mapping that is gone. */
	if (never(p->own_at) || mono_since(p->own_at, now) > FRESH_US) {
		peer->want_cmm = true;
		paths_want_endpoints(p);
		return;
	}
	m.n_endpoints = p->n_own;
	memcpy(m.endpoints, p->own, p->n_own * sizeof(*p->own));
	(void)path_send_msg(p, peer, &peer->slots[peer->active], &m, &none, peer->home);
}

/* ---- in -------------------------------------------------------------------- */

/* A younger endpoint of the relay in use: the older one is about to go. */
static bool is_same_relay(const struct path_via *a, const struct path_via *b)
{
	return a->vni && b->vni && addr_eq(&a->addr, &b->addr);
}

static void on_pong(struct paths *p, mono now, struct path_peer *peer, const struct disco_msg *m,
                    const struct path_from *from)
{
	size_t at = 0;

	while (at < peer->pings.n && !disco_txid_eq(&peer->pings.v[at].txid, &m->txid))
		at++;
	if (at == peer->pings.n)
		return;

	struct path_ping ping = peer->pings.v[at];
	int64_t rtt_us = mono_since(ping.sent, now);

	vec_remove_swap(&peer->pings, at);
	if (rtt_us < 1)
		rtt_us = 1;
	if (ping.token) {
		struct path_queued *q = paths_put(p, PATHS_PING_DONE, peer, span(NULL, 0));

		q->out.token = ping.token;
		q->out.via = ping.via;
		q->out.region = ping.region;
		q->out.rtt_us = rtt_us;
	}
	/* A pong over another way than its ping proves neither. */
	if (ping.region || from->region || !path_via_eq(&ping.via, &from->via))
		return;

	struct best found = { .via = ping.via, .latency_us = rtt_us, .set = true };
	struct candidate *c = ping.via.vni ? NULL
	                                   : path_candidate(p, now, peer, &ping.via.addr, false);

	if (c) {
		c->latency_us = rtt_us;
		c->last_pong = now;
	}
	path_remember_address(p, peer, &ping.via);
	path_moved_seen(p, now, peer, &ping.via, &m->source);
	if (ping.via.vni)
		path_relay_proved(peer, &ping.via);
	if (ping.probe && path_via_eq(&peer->pmtu_via, &ping.via))
		(void)pmtu_answered(&peer->pmtu, ping.probe);
	if (path_better(&found, &peer->best) || !path_trusted(peer, now) ||
	    is_same_relay(&found.via, &peer->best.via))
		peer->best = found;
	if (path_via_eq(&peer->best.via, &ping.via)) {
		peer->best.latency_us = rtt_us;
		peer->trust_until = mono_after(now, PATHS_TRUST_US);
		path_proved(peer);
	}
}

static void send_pong(struct paths *p, struct path_peer *peer, struct disco_slot *slot,
                      const struct disco_msg *ping, const struct path_from *from)
{
	struct disco_msg m = { .type = DISCO_PONG, .txid = ping->txid, .source = from->via.addr };

	if (from->region)
		m.source = (struct addr){ .ip = derp_magic_ip, .port = (uint16_t)from->region };
	m.source.zone = 0;
	(void)path_send_msg(p, peer, slot, &m, &from->via, from->region);
}

/* True: this very ping came before. */
static bool learn_source(struct paths *p, mono now, struct path_peer *peer,
                         const struct disco_msg *m, const struct addr *from)
{
	struct candidate *c = path_candidate(p, now, peer, from, true);

	if (!c)
		return false;

	bool again = !never(c->heard_ping) && disco_txid_eq(&c->heard_txid, &m->txid);

	c->heard_ping = now;
	c->heard_txid = m->txid;
	return again;
}

/*
 * A ping came through from there, so a ping of ours gets through to there: an
 * earlier one may have died at a NAT that was not open yet.
 */
static void ping_back(struct paths *p, mono now, struct path_peer *peer, const struct path_via *via)
{
	struct candidate *c = path_candidate(p, now, peer, &via->addr, false);

	if (!c || path_trusted(peer, now) || peer->heartbeat.us == MONO_NEVER.us)
		return;
	if (!never(c->last_back) && mono_since(c->last_back, now) < BACK_GAP_US)
		return;
	if (!path_spend(peer, now, &peer->probe_budget, PROBES_A_SECOND)) {
		p->drops[PATHS_DROP_RATE]++;
		return;
	}
	c->last_back = c->last_ping = now;
	(void)path_send_ping(p, now, peer, via, 0, 0, 0);
}

static void on_ping(struct paths *p, mono now, struct path_peer *peer, struct disco_slot *slot,
                    const struct disco_msg *m, const struct path_from *from, bool sure)
{
	if (!from->region && sure)
		path_remember_address(p, peer, &from->via);
	if (!from->region && !from->via.vni && learn_source(p, now, peer, m, &from->via.addr))
		return;
	send_pong(p, peer, slot, m, from);
	if (!from->region && !from->via.vni) {
		path_moved_heard(peer);
		ping_back(p, now, peer, &from->via);
	}
	if (!from->region && from->via.vni)
		path_relay_heard_ping(p, now, peer, &from->via);
}

/* Whether a call-me-maybe listed the address that data takes. */
static bool is_called_to_best(struct paths *p, mono now, struct path_peer *peer)
{
	const struct candidate *c = NULL;

	if (peer->best.set && !peer->best.via.vni)
		c = path_candidate(p, now, peer, &peer->best.via.addr, false);
	return c && !never(c->from_cmm);
}

static void on_call_me_maybe(struct paths *p, mono now, struct path_peer *peer,
                             const struct disco_msg *m)
{
	if (!path_spend(peer, now, &peer->cmm_budget, CMM_A_SECOND)) {
		p->drops[PATHS_DROP_RATE]++;
		return;
	}
	/* It was there and is not: what it says of itself ends a path, however well proved. */
	bool was_there = is_called_to_best(p, now, peer);

	vec_each(struct candidate *, c, &peer->candidates)
		c->from_cmm = (mono){ 0 };
	for (size_t i = 0; i < m->n_endpoints; i++) {
		const struct addr *a = &m->endpoints[i];
		struct candidate *c = NULL;

		if (ip_is4(&a->ip) || !ip_is_link_local(&a->ip))
			c = path_candidate(p, now, peer, a, true);
		if (c)
			c->from_cmm = now;
	}
	if (was_there && !is_called_to_best(p, now, peer))
		path_lose_best(peer);
	/* It has just opened its side: every address is worth a ping at once. */
	vec_each(struct candidate *, c, &peer->candidates)
		c->last_ping = (mono){ 0 };
	path_full_ping(p, now, peer, true);
}

/* The key that was not in use turns out to be the live one. */
static void note_slot(struct paths *p, mono now, struct path_peer *peer,
                      const struct disco_slot *slot)
{
	unsigned index = (unsigned)(slot - peer->slots);

	if (peer->active == index)
		return;
	peer->active = index;
	path_reset(p, now, peer, true);
}

static void on_relay_message(struct paths *p, mono now, struct path_peer *peer,
                             const struct disco_slot *slot, const struct disco_msg *m)
{
	if (m->type == DISCO_CALL_ME_MAYBE_VIA)
		path_relay_invited(p, now, peer, slot, m);
	else if (m->type == DISCO_ALLOCATE)
		path_relay_asked(p, now, peer, slot, m);
	else
		paths_allocated(p, now, &peer->node, m);
}

static void handle(struct paths *p, mono now, struct path_peer *peer, struct disco_slot *slot,
                   const struct disco_msg *m, const struct path_from *from, bool sure)
{
	switch (m->type) {
	case DISCO_PING:
		note_slot(p, now, peer, slot);
		on_ping(p, now, peer, slot, m, from, sure);
		break;
	case DISCO_PONG:
		note_slot(p, now, peer, slot);
		on_pong(p, now, peer, m, from);
		break;
	case DISCO_CALL_ME_MAYBE:
		if (!from->region || !node_pub_eq(&from->node, &peer->node)) {
			p->drops[PATHS_DROP_WRONG_WAY]++;
			return;
		}
		note_slot(p, now, peer, slot);
		on_call_me_maybe(p, now, peer, m);
		break;
	case DISCO_CALL_ME_MAYBE_VIA:
	case DISCO_ALLOCATE:
	case DISCO_ALLOCATED:
		if (!from->region || !node_pub_eq(&from->node, &peer->node)) {
			p->drops[PATHS_DROP_WRONG_WAY]++;
			return;
		}
		note_slot(p, now, peer, slot);
		on_relay_message(p, now, peer, slot, m);
		break;
	case DISCO_BIND:
	case DISCO_BIND_CHALLENGE:
	case DISCO_BIND_ANSWER:
		/* Between a node and a relay, with the control bit. */
		return;
	}
	path_update(p, now, peer);
}

/* The peers with this disco key. */
static size_t find_slots(struct paths *p, const struct disco_pub *key,
                         struct disco_slot *ret[static PATHS_PEERS_A_KEY_MAX])
{
	uint64_t h = map_hash(&p->by_disco, key->b, KEY_LEN);
	size_t n = 0;

	for (struct map_node *m = map_find(&p->by_disco, h); m; m = map_again(m)) {
		struct disco_slot *s = CONTAINER_OF(m, struct disco_slot, by_disco);

		if (n < PATHS_PEERS_A_KEY_MAX && disco_pub_eq(&s->pub, key))
			ret[n++] = s;
	}
	return n;
}

/* Several nodes may share a disco key: is it surely this one that speaks? */
static bool is_sure(const struct path_peer *peer, const struct disco_msg *m,
                    const struct path_from *from, size_t sharing)
{
	if (from->region)
		return node_pub_eq(&from->node, &peer->node);
	if (m->type == DISCO_PING && !node_pub_is_zero(&m->node))
		return node_pub_eq(&m->node, &peer->node);
	return sharing == 1;
}

bool paths_recv_disco(struct paths *p, mono now, const struct path_from *from, struct span datagram)
{
	struct disco_slot *slots[PATHS_PEERS_A_KEY_MAX];
	struct disco_pub sender;
	struct disco_msg m;

	if (!disco_sender(datagram, &sender)) {
		p->drops[PATHS_DROP_NOT_DISCO]++;
		return false;
	}

	size_t n = find_slots(p, &sender, slots);
	const struct box_shared *key = n ? path_slot_key(p, slots[0]) : NULL;

	if (!key) {
		p->drops[PATHS_DROP_STRANGER]++;
		return false;
	}

	int r = disco_open(datagram, key, &m);

	if (r < 0) {
		p->drops[r == ERR_AUTH ? PATHS_DROP_AUTH : PATHS_DROP_MALFORMED]++;
		return false;
	}
	for (size_t i = 0; i < n; i++) {
		struct path_peer *peer = slots[i]->peer;

		/* Over DERP the relay says who it is; another of the same key did not speak. */
		if (from->region && n > 1 && !node_pub_eq(&from->node, &peer->node))
			continue;
		handle(p, now, peer, slots[i], &m, from, is_sure(peer, &m, from, n));
	}
	return true;
}
