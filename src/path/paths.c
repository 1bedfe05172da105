#include "path/paths.h"

#include <assert.h>
#include <stdlib.h>

#include "path/paths_priv.h"

struct paths *paths_new(const struct paths_cfg *cfg)
{
	struct paths *p = mem_new(struct paths);

	p->cfg = *cfg;
	disco_priv_public(&p->cfg.disco, &p->self_disco);
	map_init(&p->by_node);
	map_init(&p->by_disco);
	map_init(&p->by_address);
	list_init(&p->peers);
	list_init(&p->relaying);
	list_init(&p->outs);
	return p;
}

static void queued_free(struct path_queued *q)
{
	if (!q)
		return;
	free(q->bytes);
	free(q);
}

void paths_free(struct paths *p)
{
	struct path_peer *peer, *next_peer;
	struct path_queued *q, *next_q;

	if (!p)
		return;
	list_each_safe(peer, next_peer, &p->peers, link)
		paths_peer_remove(p, peer);
	list_each_safe(q, next_q, &p->outs, link)
		queued_free(q);
	queued_free(p->given);
	heap_done(&p->timers);
	map_done(&p->by_node);
	map_done(&p->by_disco);
	map_done(&p->by_address);
	vec_done(&p->relays);
	disco_priv_wipe(&p->cfg.disco);
	free(p);
}

uint64_t paths_drops(const struct paths *p, enum paths_drop why)
{
	return p->drops[why];
}

bool paths_next(struct paths *p, struct paths_out *out)
{
	queued_free(TAKE(p->given));
	if (list_empty(&p->outs))
		return false;
	p->given = list_first(&p->outs, struct path_queued, link);
	list_remove(&p->given->link);
	*out = p->given->out;
	return true;
}

struct path_peer *paths_peer_find(const struct paths *p, const struct node_pub *node)
{
	uint64_t h = map_hash(&p->by_node, node->b, KEY_LEN);

	for (struct map_node *n = map_find(&p->by_node, h); n; n = map_again(n)) {
		struct path_peer *peer = CONTAINER_OF(n, struct path_peer, by_node);

		if (node_pub_eq(&peer->node, node))
			return peer;
	}
	return NULL;
}

const struct node_pub *path_peer_node(const struct path_peer *peer)
{
	return &peer->node;
}

void *path_peer_user(const struct path_peer *peer)
{
	return peer->user;
}

void path_peer_set_user(struct path_peer *peer, void *user)
{
	peer->user = user;
}

/* ---- addresses ------------------------------------------------------------ */

static uint64_t hash_via(const struct paths *p, const struct path_via *via)
{
	uint8_t key[22];

	memcpy(key, via->addr.ip.b, 16);
	memcpy(key + 16, &via->addr.port, 2);
	memcpy(key + 18, &via->vni, 4);
	return map_hash(&p->by_address, key, sizeof(key));
}

static struct address *find_address(const struct paths *p, const struct path_via *via)
{
	for (struct map_node *n = map_find(&p->by_address, hash_via(p, via)); n; n = map_again(n)) {
		struct address *a = CONTAINER_OF(n, struct address, node);

		if (path_via_eq(&a->via, via))
			return a;
	}
	return NULL;
}

struct path_peer *paths_by_address(const struct paths *p, const struct path_via *via)
{
	const struct address *a = find_address(p, via);

	return a ? a->peer : NULL;
}

static void forget_address(struct paths *p, struct address *a)
{
	map_remove(&p->by_address, &a->node);
	list_remove(&a->link);
	a->peer->n_addresses--;
	free(a);
}

/* A peer behind a NAT that forgets has many in its life; the least lately heard go. */
void path_remember_address(struct paths *p, struct path_peer *peer, const struct path_via *via)
{
	struct address *a = find_address(p, via);

	if (a && a->peer == peer && peer->addresses.prev == &a->link)
		return;
	if (a) {
		list_remove(&a->link);
		a->peer->n_addresses--;
	} else {
		a = mem_new(struct address);
		a->via = *via;
		map_insert(&p->by_address, &a->node, hash_via(p, via));
	}
	a->peer = peer;
	list_append(&peer->addresses, &a->link);
	peer->n_addresses++;
	a = list_first(&peer->addresses, struct address, link);
	if (a && peer->n_addresses > ADDRESSES_MAX)
		forget_address(p, a);
}

static void forget_addresses(struct paths *p, const struct path_peer *peer)
{
	struct address *a;

	while ((a = list_first(&peer->addresses, struct address, link)))
		forget_address(p, a);
}

/* ---- candidates ----------------------------------------------------------- */

static bool is_live(const struct candidate *c, mono now)
{
	if (c->from_map || !never(c->from_cmm))
		return true;
	return !never(c->heard_ping) && mono_since(c->heard_ping, now) < LEARNT_US;
}

static void purge_candidates(struct path_peer *peer, mono now)
{
	for (size_t i = peer->candidates.n; i-- > 0;) {
		if (!is_live(&peer->candidates.v[i], now))
			vec_remove_swap(&peer->candidates, i);
	}
}

struct candidate *path_candidate(struct paths *p, mono now, struct path_peer *peer,
                                 const struct addr *addr, bool add)
{
	vec_each(struct candidate *, c, &peer->candidates) {
		if (addr_eq(&c->addr, addr))
			return c;
	}
	if (!add || addr->port == 0 || ip_is_zero(&addr->ip) || ip_is_multicast(&addr->ip))
		return NULL;
	if (peer->candidates.n >= PATHS_CANDIDATES_MAX)
		purge_candidates(peer, now);
	if (peer->candidates.n >= PATHS_CANDIDATES_MAX) {
		p->drops[PATHS_DROP_CANDIDATES]++;
		return NULL;
	}

	struct candidate *c = vec_add(&peer->candidates);

	c->addr = *addr;
	return c;
}

/* True: there are some that were not known before. */
static bool set_map_endpoints(struct paths *p, mono now, struct path_peer *peer,
                              const struct path_peer_cfg *cfg)
{
	bool fresh = false;

	vec_each(struct candidate *, c, &peer->candidates)
		c->from_map = false;
	for (size_t i = 0; i < cfg->n_endpoints; i++) {
		struct candidate *c = path_candidate(p, now, peer, &cfg->endpoints[i], true);

		fresh |= c && never(c->last_ping);
		if (c)
			c->from_map = true;
	}
	purge_candidates(peer, now);
	return fresh;
}

/* ---- peers ---------------------------------------------------------------- */

static void set_slot(struct paths *p, struct disco_slot *s, struct path_peer *peer,
                     const struct disco_pub *key)
{
	if (s->set)
		map_remove(&p->by_disco, &s->by_disco);
	box_shared_wipe(&s->shared);
	*s = (struct disco_slot){ .peer = peer };
	if (disco_pub_is_zero(key))
		return;
	s->pub = *key;
	s->set = true;
	map_insert(&p->by_disco, &s->by_disco, map_hash(&p->by_disco, key->b, KEY_LEN));
}

static void set_control_key(struct paths *p, mono now, struct path_peer *peer,
                            const struct disco_pub *key)
{
	struct disco_slot *s = &peer->slots[SLOT_CONTROL];

	if (s->set ? disco_pub_eq(&s->pub, key) : disco_pub_is_zero(key))
		return;
	set_slot(p, s, peer, key);
	/* Control now says what the tunnel said before: one key, one slot, nothing new. */
	if (s->set && peer->slots[SLOT_TUNNEL].set &&
	    disco_pub_eq(&peer->slots[SLOT_TUNNEL].pub, key)) {
		static const struct disco_pub none;

		set_slot(p, &peer->slots[SLOT_TUNNEL], peer, &none);
		if (peer->active == SLOT_TUNNEL) {
			peer->active = SLOT_CONTROL;
			return;
		}
	}
	/* What was learnt inside the tunnel stays in use until it is heard no more. */
	if (peer->active == SLOT_CONTROL && !s->set && peer->slots[SLOT_TUNNEL].set)
		peer->active = SLOT_TUNNEL;
	path_reset(p, now, peer, true);
}

void paths_peer_learn_disco(struct paths *p, mono now, struct path_peer *peer,
                            const struct disco_pub *key)
{
	struct disco_slot *s = &peer->slots[SLOT_TUNNEL];

	if (disco_pub_is_zero(key) || (s->set && disco_pub_eq(&s->pub, key)))
		return;
	/* Control said the same: in a second slot it would be taken for another key. */
	if (peer->slots[SLOT_CONTROL].set && disco_pub_eq(&peer->slots[SLOT_CONTROL].pub, key)) {
		if (peer->active == SLOT_CONTROL)
			return;
		peer->active = SLOT_CONTROL;
		path_reset(p, now, peer, true);
		path_update(p, now, peer);
		return;
	}
	set_slot(p, s, peer, key);
	peer->active = SLOT_TUNNEL;
	path_reset(p, now, peer, true);
	path_update(p, now, peer);
}

struct path_peer *paths_peer_set(struct paths *p, mono now, const struct path_peer_cfg *cfg)
{
	struct path_peer *peer = paths_peer_find(p, &cfg->node);

	if (!peer) {
		peer = mem_new(struct path_peer);
		peer->node = cfg->node;
		peer->heartbeat = peer->lull = MONO_NEVER;
		list_init(&peer->addresses);
		map_insert(&p->by_node, &peer->by_node,
		           map_hash(&p->by_node, cfg->node.b, KEY_LEN));
		list_append(&p->peers, &peer->link);
	}
	peer->home = cfg->home;
	peer->wg_only = cfg->wg_only;
	peer->relay_capable = cfg->relay_capable;
	set_control_key(p, now, peer, &cfg->disco);
	/* Control knows of a move before a relay does that the peer has lost. */
	if (set_map_endpoints(p, now, peer, cfg) && peer->heartbeat.us != MONO_NEVER.us &&
	    !path_trusted(peer, now))
		path_full_ping(p, now, peer, true);
	path_update(p, now, peer);
	return peer;
}

void paths_peer_remove(struct paths *p, struct path_peer *peer)
{
	static const struct disco_pub none;
	struct path_queued *q, *next;

	for (size_t i = 0; i < SLOTS; i++)
		set_slot(p, &peer->slots[i], peer, &none);
	path_relay_forget(peer);
	path_moved_forget(peer);
	forget_addresses(p, peer);
	/* What is still to be drained must not name it. */
	list_each_safe(q, next, &p->outs, link) {
		if (q->out.peer != peer)
			continue;
		list_remove(&q->link);
		queued_free(q);
	}
	heap_remove(&p->timers, &peer->timer);
	map_remove(&p->by_node, &peer->by_node);
	list_remove(&peer->link);
	vec_done(&peer->candidates);
	vec_done(&peer->pings);
	free(peer);
}

static void ping_done(struct paths *p, struct path_peer *peer, const struct path_ping *ping,
                      int64_t rtt_us)
{
	struct path_queued *q = paths_put(p, PATHS_PING_DONE, peer, span(NULL, 0));

	q->out.token = ping->token;
	q->out.via = ping->via;
	q->out.region = ping->region;
	q->out.rtt_us = rtt_us;
}

void path_lose_best(struct path_peer *peer)
{
	peer->best = (struct best){ 0 };
}

/* Proof of the past counts no more. */
void path_reset(struct paths *p, mono now, struct path_peer *peer, bool keep_best)
{
	(void)now;
	peer->trust_until = (mono){ 0 };
	vec_each(struct path_ping *, ping, &peer->pings) {
		/* Whoever asked for it hears that it is lost. */
		if (ping->token)
			ping_done(p, peer, ping, -1);
	}
	peer->pings.n = 0;
	peer->last_full_ping = peer->last_relay_ask = (mono){ 0 };
	path_relay_forget(peer);
	vec_each(struct candidate *, c, &peer->candidates) {
		c->last_ping = (mono){ 0 };
		if (!keep_best) {
			c->latency_us = 0;
			c->last_pong = (mono){ 0 };
		}
	}
	if (!keep_best) {
		path_lose_best(peer);
		peer->pmtu_via = peer->best.via;
	}
}

/* ---- the choice ----------------------------------------------------------- */

static struct path_choice choose_wg_only(const struct path_peer *peer)
{
	struct path_choice c = { 0 };

	if (peer->best.set) {
		c.via = peer->best.via;
		c.udp = c.trusted = true;
	} else if (peer->candidates.n) {
		c.via.addr = peer->candidates.v[0].addr;
		c.udp = true;
	}
	return c;
}

struct path_choice paths_choice(const struct paths *p, const struct path_peer *peer, mono now)
{
	struct path_choice c = { .region = peer->home ? peer->home : peer->last_region };

	if (peer->wg_only)
		return choose_wg_only(peer);
	c.trusted = path_trusted(peer, now);
	c.udp = peer->best.set && !p->cfg.never_direct;
	c.via = peer->best.via;
	c.mtu = c.udp && path_via_eq(&peer->pmtu_via, &c.via) ? peer->pmtu.proved : 0;
	c.derp = c.region && !(c.udp && c.trusted);
	return c;
}

static bool choice_eq(const struct path_choice *a, const struct path_choice *b)
{
	return a->udp == b->udp && a->derp == b->derp && a->trusted == b->trusted &&
	       a->region == b->region && a->mtu == b->mtu &&
	       (!a->udp || path_via_eq(&a->via, &b->via));
}

static int64_t next_doubt_us(const struct path_peer *peer)
{
	return peer->doubts < DOUBTS ? (peer->doubts + 1) * DOUBT_US : DEAD_US;
}

/* The MTU of the best way, while data goes there. When it wants to be called again. */
static mono follow_mtu(struct paths *p, mono now, struct path_peer *peer, bool usable)
{
	uint16_t size;

	if (!usable || peer->wg_only || peer->best.via.vni || peer->heartbeat.us == MONO_NEVER.us) {
		pmtu_stop(&peer->pmtu);
		return MONO_NEVER;
	}
	if (!path_via_eq(&peer->pmtu_via, &peer->best.via)) {
		peer->pmtu_via = peer->best.via;
		pmtu_start(&peer->pmtu, now);
	}
	pmtu_go(&peer->pmtu, now);
	pmtu_timeout(&peer->pmtu, now, usable);
	while ((size = pmtu_next(&peer->pmtu)) > 0)
		(void)path_send_probe(p, now, peer, size);
	return pmtu_deadline(&peer->pmtu);
}

/* After anything happened to the peer: tells of a new choice and sets its timer. */
void path_update(struct paths *p, mono now, struct path_peer *peer)
{
	struct path_choice c = paths_choice(p, peer, now);
	mono next = mono_min(peer->heartbeat, path_relay_deadline(peer));

	next = mono_min(next, mono_min(peer->lull, path_moved_deadline(peer)));

	if (!choice_eq(&c, &peer->told)) {
		peer->told = c;
		paths_put(p, PATHS_CHANGED, peer, span(NULL, 0));
	}
	if (c.trusted && !peer->wg_only)
		next = mono_min(next, peer->trust_until);
	if (c.trusted && !peer->wg_only && !never(peer->unanswered))
		next = mono_min(next, mono_after(peer->unanswered, next_doubt_us(peer)));
	next = mono_min(next, follow_mtu(p, now, peer, c.udp && c.trusted));
	vec_each(struct path_ping *, ping, &peer->pings)
		next = mono_min(next, mono_after(ping->sent, PATHS_PING_TIMEOUT_US));
	heap_set(&p->timers, &peer->timer, next);
}

mono paths_deadline(const struct paths *p)
{
	return heap_deadline(&p->timers);
}

/* ---- discovery ------------------------------------------------------------ */

bool path_spend(struct path_peer *peer, mono now, unsigned *budget, unsigned allowed)
{
	if (mono_since(peer->budget_since, now) >= BUDGET_US) {
		peer->budget_since = now;
		peer->cmm_budget = peer->probe_budget = 0;
	}
	if (*budget >= allowed)
		return false;
	(*budget)++;
	return true;
}

void path_full_ping(struct paths *p, mono now, struct path_peer *peer, bool after_cmm)
{
	unsigned sent = 0;

	if (p->cfg.never_direct || peer->wg_only)
		return;
	purge_candidates(peer, now);
	for (size_t i = 0; i < peer->candidates.n; i++) {
		struct candidate *c = &peer->candidates.v[i];
		struct path_via via = { .addr = c->addr };

		if (!never(c->last_ping) && mono_since(c->last_ping, now) < PING_GAP_US)
			continue;
		if (!path_spend(peer, now, &peer->probe_budget, PROBES_A_SECOND)) {
			p->drops[PATHS_DROP_RATE]++;
			break;
		}
		c->last_ping = now;
		sent += path_send_ping(p, now, peer, &via, 0, 0, 0);
	}
	peer->last_full_ping = now;
	/* Nothing known of the peer: it must know one of our addresses, and so be told. */
	if (!after_cmm && peer->home && (sent || peer->candidates.n == 0))
		path_send_call_me_maybe(p, now, peer);
}

static bool wants_full_ping(const struct path_peer *peer, mono now)
{
	if (!path_trusted(peer, now) || peer->best.via.vni)
		return true;
	if (never(peer->last_full_ping))
		return true;
	return peer->best.latency_us > GOOD_LATENCY_US &&
	       mono_since(peer->last_full_ping, now) >= UPGRADE_US;
}

void paths_sent(struct paths *p, mono now, struct path_peer *peer)
{
	peer->last_sent = now;
	if (peer->wg_only)
		return;
	if (never(peer->unanswered))
		peer->unanswered = now;
	if (peer->heartbeat.us == MONO_NEVER.us)
		peer->heartbeat = mono_after(now, PATHS_HEARTBEAT_US);
	/* Not more often than a candidate may be pinged, however much data flows. */
	bool lately = !never(peer->last_full_ping) &&
	              mono_since(peer->last_full_ping, now) < PING_GAP_US;

	if (!lately && (!path_trusted(peer, now) || peer->best.via.vni))
		path_full_ping(p, now, peer, false);
	path_relay_seek(p, now, peer);
	path_update(p, now, peer);
}

static void ping_best(struct paths *p, mono now, struct path_peer *peer)
{
	struct candidate *c;

	if (!peer->best.set)
		return;
	c = path_candidate(p, now, peer, &peer->best.via.addr, false);
	if (c)
		c->last_ping = now;
	peer->last_beat = now;
	(void)path_send_ping(p, now, peer, &peer->best.via, 0, 0, 0);
}

static void beat(struct paths *p, mono now, struct path_peer *peer)
{
	if (mono_since(peer->last_sent, now) > PATHS_SESSION_US) {
		peer->heartbeat = MONO_NEVER;
		return;
	}
	peer->heartbeat = mono_after(now, PATHS_HEARTBEAT_US);
	ping_best(p, now, peer);
	if (wants_full_ping(peer, now))
		path_full_ping(p, now, peer, false);
	path_relay_seek(p, now, peer);
}

static void time_out_pings(struct paths *p, mono now, struct path_peer *peer)
{
	for (size_t i = peer->pings.n; i-- > 0;) {
		struct path_ping ping = peer->pings.v[i];

		if (mono_since(ping.sent, now) < PATHS_PING_TIMEOUT_US)
			continue;
		vec_remove_swap(&peer->pings, i);
		if (ping.token)
			ping_done(p, peer, &ping, -1);
		/* Silence alone does not end a way that was proved lately: it may have been loss.
		 */
		if (!ping.region && !ping.probe && peer->best.set &&
		    path_via_eq(&ping.via, &peer->best.via) && !path_trusted(peer, now))
			path_lose_best(peer);
	}
}

/*
 * Data goes out and nothing comes back: before the proof runs out by itself, the
 * path is asked; when it does not answer either, the relay gets the data too.
 */
static void doubt(struct paths *p, mono now, struct path_peer *peer)
{
	int64_t silent_us = never(peer->unanswered) ? 0 : mono_since(peer->unanswered, now);

	if (!path_trusted(peer, now) || peer->wg_only)
		return;
	if (silent_us < next_doubt_us(peer))
		return;
	if (peer->doubts < DOUBTS) {
		if (!peer->doubts++ && peer->home)
			paths_put(p, PATHS_DOUBTED, peer, span(NULL, 0))->out.region = peer->home;
		(void)path_send_ping(p, now, peer, &peer->best.via, 0, 0, 0);
		return;
	}
	peer->trust_until = now;
	/* Perhaps it is our side that is seen elsewhere now: it must not be told old addresses. */
	p->own_at = (mono){ 0 };
	path_moved_dead(p, now, peer);
}

static void watch_lull(struct paths *p, mono now, struct path_peer *peer)
{
	mono due = mono_after(peer->last_heard, LULL_US);

	if (mono_before(due, mono_after(peer->last_beat, BEATS_APART_US)))
		due = mono_after(peer->last_beat, BEATS_APART_US);
	peer->lull = mono_reached(due, now) ? MONO_NEVER : due;
	if (peer->lull.us != MONO_NEVER.us || !path_trusted(peer, now))
		return;
	ping_best(p, now, peer);
	if (never(peer->unanswered))
		peer->unanswered = now;
}

static void run_peer(struct paths *p, mono now, struct path_peer *peer)
{
	time_out_pings(p, now, peer);
	doubt(p, now, peer);
	path_relay_run(p, now, peer);
	path_moved_run(p, now, peer);
	if (mono_reached(peer->lull, now))
		watch_lull(p, now, peer);
	if (mono_reached(peer->heartbeat, now))
		beat(p, now, peer);
	else if (peer->best.set && !path_trusted(peer, now) && peer->told.trusted &&
	         peer->heartbeat.us != MONO_NEVER.us)
		/* The proof ran out under traffic: ask at once, the heartbeat may be seconds away.
		 */
		path_full_ping(p, now, peer, false);
	path_update(p, now, peer);
}

void paths_timeout(struct paths *p, mono now)
{
	struct heap_node *n;

	while ((n = heap_first(&p->timers)) && mono_reached(n->at, now)) {
		heap_remove(&p->timers, n);
		run_peer(p, now, CONTAINER_OF(n, struct path_peer, timer));
	}
}

/* ---- events --------------------------------------------------------------- */

void paths_own_endpoints(struct paths *p, mono now, const struct addr *v, size_t n)
{
	struct path_peer *peer;

	if (n > PATHS_OWN_ENDPOINTS_MAX)
		n = PATHS_OWN_ENDPOINTS_MAX;

	bool changed = n != p->n_own || (n && memcmp(v, p->own, n * sizeof(*v)) != 0);

	if (n)
		memcpy(p->own, v, n * sizeof(*v));
	p->n_own = n;
	p->own_at = now;
	p->asked_endpoints = false;
	list_each(peer, &p->peers, link) {
		path_moved_fresh(peer, now, changed);
		if (peer->want_cmm && !peer->moved)
			path_send_call_me_maybe(p, now, peer);
		if (peer->moved)
			path_update(p, now, peer);
		peer->want_cmm = false;
	}
}

void paths_want_endpoints(struct paths *p)
{
	if (!p->asked_endpoints)
		paths_put(p, PATHS_WANT_ENDPOINTS, NULL, span(NULL, 0));
	p->asked_endpoints = true;
}

/*
 * In doubt a peer sends both ways, and of the two the copy that comes first is
 * the one we hear of: the other way seems to be dead, towards us and so perhaps
 * from us. It gets our answers both ways at once, not when our own doubts end.
 */
static void heard_by_derp(struct paths *p, mono now, struct path_peer *peer)
{
	if (!path_trusted(peer, now) ||
	    (!never(peer->derp_doubt) && mono_since(peer->derp_doubt, now) < DERP_DOUBT_US))
		return;
	peer->derp_doubt = now;
	peer->trust_until = now;
	(void)path_send_ping(p, now, peer, &peer->best.via, 0, 0, 0);
	path_update(p, now, peer);
}

void paths_heard(struct paths *p, mono now, struct path_peer *peer, const struct path_from *from)
{
	peer->last_heard = now;
	if (from->region) {
		peer->last_region = from->region;
		heard_by_derp(p, now, peer);
		return;
	}
	path_remember_address(p, peer, &from->via);
	path_moved_heard(peer);
	if (peer->lull.us == MONO_NEVER.us && peer->heartbeat.us != MONO_NEVER.us) {
		peer->lull = mono_after(now, LULL_US);
		path_update(p, now, peer);
	}
	if (peer->best.set && path_via_eq(&from->via, &peer->best.via)) {
		/* Authenticated data by the very way is as good as a pong while it is trusted. */
		path_proved(peer);
		if (path_trusted(peer, now))
			peer->trust_until = mono_after(now, PATHS_TRUST_US);
	}
	if (peer->wg_only) {
		peer->best = (struct best){ .via = from->via, .set = true };
		path_update(p, now, peer);
	}
}

void paths_unreachable(struct paths *p, mono now, struct path_peer *peer)
{
	struct candidate *c = path_candidate(p, now, peer, &peer->best.via.addr, false);

	if (c) {
		c->latency_us = 0;
		c->last_pong = (mono){ 0 };
	}
	path_lose_best(peer);
	path_update(p, now, peer);
}

void paths_link_changed(struct paths *p, mono now)
{
	struct path_peer *peer;

	p->own_at = (mono){ 0 };
	list_each(peer, &p->peers, link) {
		bool busy = peer->heartbeat.us != MONO_NEVER.us;

		path_reset(p, now, peer, false);
		if (busy) {
			path_moved_link(p, now, peer);
			path_full_ping(p, now, peer, false);
		}
		path_update(p, now, peer);
	}
}

void paths_ping(struct paths *p, mono now, struct path_peer *peer, uint64_t token, size_t size)
{
	static const struct path_via none;
	struct path_choice c = paths_choice(p, peer, now);

	if (!(c.trusted && !c.via.vni) && c.region)
		(void)path_send_ping(p, now, peer, &none, c.region, token, 0);
	if (c.udp)
		(void)path_send_ping(p, now, peer, &c.via, 0, token, size);
	if (!(c.trusted && !c.via.vni)) {
		for (size_t i = 0; i < peer->candidates.n; i++) {
			struct path_via via = { .addr = peer->candidates.v[i].addr };

			if (!c.udp || !path_via_eq(&via, &c.via))
				(void)path_send_ping(p, now, peer, &via, 0, token, size);
		}
		if (peer->home)
			path_send_call_me_maybe(p, now, peer);
	}
	paths_sent(p, now, peer);
}

void paths_status(const struct paths *p, const struct path_peer *peer, mono now,
                  struct path_peer_status *ret)
{
	*ret = (struct path_peer_status){ .choice = paths_choice(p, peer, now),
		                          .latency_us = peer->best.latency_us,
		                          .last_sent = peer->last_sent,
		                          .last_heard = peer->last_heard,
		                          .home = peer->home,
		                          .n_candidates = peer->candidates.n };
	for (size_t i = 0; i < peer->candidates.n; i++) {
		const struct candidate *c = &peer->candidates.v[i];

		ret->candidates[i] = (struct path_candidate){ c->addr, c->latency_us,
			                                      c->last_pong };
	}
}
