/*
 * Ways through peer relays: asking those that would carry for us, binding our
 * leg of an endpoint, and answering them when we are the one that is asked.
 */
#include <stdlib.h>

#include "path/paths_priv.h"
#include "protocol/geneve.h"

enum {
	DISCOVER_US = 30000000, /* not more often for one peer */
	BETTER_US = 60000000,   /* ... while the way by a relay holds */
	BINDS_MAX = 8,          /* endpoints tried at once for one peer */
};

struct path_ask {
	struct node_pub server;
	struct udprelay_ask ask;
};

struct path_relaying {
	struct link link;
	struct path_peer *peer;
	VEC(struct path_ask) asks;
	VEC(struct udprelay_bind *) binds;
};

static void bind_free(struct udprelay_bind *b)
{
	udprelay_bind_wipe(b);
	free(b);
}

static struct path_relaying *work_of(struct paths *p, struct path_peer *peer)
{
	struct path_relaying *w = peer->relaying;

	if (w)
		return w;
	w = peer->relaying = mem_new(struct path_relaying);
	w->peer = peer;
	list_append(&p->relaying, &w->link);
	return w;
}

void path_relay_forget(struct path_peer *peer)
{
	struct path_relaying *w = TAKE(peer->relaying);

	if (!w)
		return;
	vec_each(struct udprelay_bind **, b, &w->binds)
		bind_free(*b);
	vec_done(&w->binds);
	vec_done(&w->asks);
	list_remove(&w->link);
	free(w);
}

static void forget_if_idle(struct path_peer *peer)
{
	const struct path_relaying *w = peer->relaying;

	if (w && !w->asks.n && !w->binds.n)
		path_relay_forget(peer);
}

void paths_set_relays(struct paths *p, const struct node_pub *v, size_t n)
{
	p->relays.n = 0;
	for (size_t i = 0; i < n && i < PATHS_RELAYS_MAX; i++)
		vec_push(&p->relays, v[i]);
}

/* ---- out ------------------------------------------------------------------ */

static void send_ask(struct paths *p, const struct path_ask *a, const struct disco_msg *m)
{
	static const struct path_via none;
	struct path_peer *server;

	if (node_pub_eq(&a->server, &p->cfg.self)) {
		struct path_queued *q = paths_put(p, PATHS_ALLOCATE, NULL, span(NULL, 0));

		q->out.asker = p->self_disco;
		q->out.clients[0] = m->clients[0];
		q->out.clients[1] = m->clients[1];
		q->out.generation = m->generation;
		return;
	}
	server = paths_peer_find(p, &a->server);
	if (server && server->home)
		(void)path_send_msg(p, server, &server->slots[server->active], m, &none,
		                    server->home);
}

static void run_asks(struct paths *p, mono now, struct path_relaying *w)
{
	struct disco_msg m;

	for (size_t i = w->asks.n; i-- > 0;) {
		struct path_ask *a = &w->asks.v[i];

		switch (udprelay_ask_next(&a->ask, now, &m)) {
		case UDPRELAY_ASK_SEND:
			send_ask(p, a, &m);
			break;
		case UDPRELAY_ASK_OVER:
			vec_remove_swap(&w->asks, i);
			break;
		case UDPRELAY_ASK_WAIT:
			break;
		}
	}
}

/* False: it is over. */
static bool run_bind(struct paths *p, mono now, struct path_peer *peer, struct udprelay_bind *b)
{
	struct udprelay_bind_out out;

	while (udprelay_bind_next(b, now, &out)) {
		struct path_via via = { .addr = out.to };

		if (out.act == UDPRELAY_BIND_OVER)
			return false;
		if (out.act == UDPRELAY_BIND_PROBE) {
			via.vni = b->ep.vni;
			(void)path_send_ping(p, now, peer, &via, 0, 0, 0);
		} else {
			/* Its Geneve header stands in the bytes. */
			paths_put(p, PATHS_SEND, peer, out.bytes)->out.via = via;
		}
	}
	return true;
}

void path_relay_run(struct paths *p, mono now, struct path_peer *peer)
{
	struct path_relaying *w = peer->relaying;

	if (!w)
		return;
	run_asks(p, now, w);
	for (size_t i = w->binds.n; i-- > 0;) {
		if (run_bind(p, now, peer, w->binds.v[i]))
			continue;
		bind_free(w->binds.v[i]);
		vec_remove_swap(&w->binds, i);
	}
	forget_if_idle(peer);
}

mono path_relay_deadline(const struct path_peer *peer)
{
	const struct path_relaying *w = peer->relaying;
	mono next = MONO_NEVER;

	for (size_t i = 0; w && i < w->asks.n; i++)
		next = mono_min(next, udprelay_ask_deadline(&w->asks.v[i].ask));
	for (size_t i = 0; w && i < w->binds.n; i++)
		next = mono_min(next, udprelay_bind_deadline(w->binds.v[i]));
	return next;
}

/* ---- looking for one -------------------------------------------------------- */

static bool is_wanted(const struct paths *p, const struct path_peer *peer, mono now)
{
	int64_t since = never(peer->last_relay_ask) ? INT64_MAX
	                                            : mono_since(peer->last_relay_ask, now);
	bool trusted = path_trusted(peer, now);

	if (!p->relays.n || !peer->relay_capable || peer->wg_only || peer->relaying ||
	    p->cfg.never_direct || (trusted && !peer->best.via.vni))
		return false;
	return since >= (trusted ? BETTER_US : DISCOVER_US);
}

void path_relay_seek(struct paths *p, mono now, struct path_peer *peer)
{
	const struct disco_slot *slot = &peer->slots[peer->active];

	if (!slot->set || !is_wanted(p, peer, now))
		return;
	peer->last_relay_ask = now;
	vec_each(struct node_pub *, server, &p->relays) {
		struct path_ask *a = vec_add(&work_of(p, peer)->asks);

		a->server = *server;
		udprelay_ask_init(&a->ask, now, &p->self_disco, &slot->pub, ++p->generation);
	}
	path_relay_run(p, now, peer);
}

/* ---- binding ------------------------------------------------------------------ */

static bool is_in_use(const struct path_peer *peer, mono now, const struct disco_relay_endpoint *ep)
{
	if (!path_trusted(peer, now) || peer->best.via.vni != ep->vni)
		return false;
	for (size_t i = 0; i < ep->n_addrs; i++) {
		if (addr_eq(&ep->addrs[i], &peer->best.via.addr))
			return true;
	}
	return false;
}

/* Of two endpoints of one relay the younger counts. True: we have that one already. */
static bool replace_older(struct path_relaying *w, const struct disco_relay_endpoint *ep)
{
	for (size_t i = w->binds.n; i-- > 0;) {
		struct udprelay_bind *b = w->binds.v[i];

		if (!disco_pub_eq(&b->ep.server, &ep->server))
			continue;
		if (b->ep.lamport_id >= ep->lamport_id)
			return true;
		bind_free(b);
		vec_remove_swap(&w->binds, i);
	}
	return false;
}

static void start_bind(struct paths *p, mono now, struct path_peer *peer,
                       const struct disco_pub *key, const struct disco_relay_endpoint *ep)
{
	struct path_relaying *w;
	struct udprelay_bind *b;

	if (is_in_use(peer, now, ep))
		return;
	w = work_of(p, peer);
	if (replace_older(w, ep) || w->binds.n >= BINDS_MAX)
		return;
	b = mem_new(struct udprelay_bind);
	if (udprelay_bind_init(b, now, &p->cfg.disco, key, ep, ++p->generation, &p->cfg.rand) < 0) {
		bind_free(b);
		forget_if_idle(peer);
		return;
	}
	vec_push(&w->binds, b);
	path_relay_run(p, now, peer);
}

/* ---- in ------------------------------------------------------------------------- */

static void allocated(struct paths *p, mono now, struct path_peer *peer,
                      const struct disco_msg *answer)
{
	static const struct path_via none;
	struct disco_slot *slot = &peer->slots[peer->active];
	struct disco_msg m = { .type = DISCO_CALL_ME_MAYBE_VIA, .relay = answer->relay };

	/* Its key changed meanwhile: the endpoint is not for it any more. */
	if (!slot->set || !udprelay_endpoint_ok(&answer->relay, &p->self_disco, &slot->pub))
		return;
	if (peer->home)
		(void)path_send_msg(p, peer, slot, &m, &none, peer->home);
	start_bind(p, now, peer, &slot->pub, &answer->relay);
}

void paths_allocated(struct paths *p, mono now, const struct node_pub *server,
                     const struct disco_msg *m)
{
	struct path_relaying *w, *next;

	list_each_safe(w, next, &p->relaying, link) {
		struct path_peer *peer = w->peer;

		for (size_t i = 0; i < w->asks.n; i++) {
			if (!node_pub_eq(&w->asks.v[i].server, server) ||
			    !udprelay_ask_answered(&w->asks.v[i].ask, m))
				continue;
			vec_remove_swap(&w->asks, i);
			allocated(p, now, peer, m);
			forget_if_idle(peer);
			path_update(p, now, peer);
			return;
		}
	}
}

void path_relay_invited(struct paths *p, mono now, struct path_peer *peer,
                        const struct disco_slot *slot, const struct disco_msg *m)
{
	if (p->cfg.never_direct || !peer->relay_capable ||
	    !udprelay_endpoint_ok(&m->relay, &p->self_disco, &slot->pub))
		return;
	if (!path_spend(peer, now, &peer->cmm_budget, CMM_A_SECOND)) {
		p->drops[PATHS_DROP_RATE]++;
		return;
	}
	start_bind(p, now, peer, &slot->pub, &m->relay);
}

void path_relay_asked(struct paths *p, mono now, struct path_peer *peer,
                      const struct disco_slot *slot, const struct disco_msg *m)
{
	struct path_queued *q;

	if (!path_spend(peer, now, &peer->probe_budget, PROBES_A_SECOND)) {
		p->drops[PATHS_DROP_RATE]++;
		return;
	}
	q = paths_put(p, PATHS_ALLOCATE, peer, span(NULL, 0));
	q->out.asker = slot->pub;
	q->out.clients[0] = m->clients[0];
	q->out.clients[1] = m->clients[1];
	q->out.generation = m->generation;
}

void paths_answer_ask(struct paths *p, struct path_peer *peer, const struct disco_pub *asker,
                      const struct disco_msg *m)
{
	static const struct path_via none;
	struct disco_slot *slot = &peer->slots[peer->active];

	if (slot->set && disco_pub_eq(&slot->pub, asker) && peer->home)
		(void)path_send_msg(p, peer, slot, m, &none, peer->home);
}

bool paths_recv_control(struct paths *p, mono now, const struct addr *from, struct span datagram)
{
	struct path_relaying *w, *next;

	list_each_safe(w, next, &p->relaying, link) {
		struct path_peer *peer = w->peer;

		for (size_t i = 0; i < w->binds.n; i++) {
			if (!udprelay_bind_recv(w->binds.v[i], from, datagram))
				continue;
			path_relay_run(p, now, peer);
			path_update(p, now, peer);
			return true;
		}
	}
	return false;
}

/* The endpoint's binding a way belongs to; NULL: none is under way. */
static struct udprelay_bind *bind_of(const struct path_peer *peer, const struct path_via *via,
                                     size_t *ret_at)
{
	const struct path_relaying *w = peer->relaying;

	for (size_t i = 0; w && i < w->binds.n; i++) {
		struct udprelay_bind *b = w->binds.v[i];

		if (b->ep.vni != via->vni || !addr_eq(&b->by, &via->addr))
			continue;
		*ret_at = i;
		return b;
	}
	return NULL;
}

void path_relay_heard_ping(struct paths *p, mono now, struct path_peer *peer,
                           const struct path_via *via)
{
	size_t at;
	struct udprelay_bind *b = bind_of(peer, via, &at);

	if (!b)
		return;
	udprelay_bind_heard_ping(b);
	path_relay_run(p, now, peer);
}

void path_relay_proved(struct path_peer *peer, const struct path_via *via)
{
	size_t at;
	struct udprelay_bind *b = bind_of(peer, via, &at);

	if (!b)
		return;
	bind_free(b);
	vec_remove_swap(&peer->relaying->binds, at);
	forget_if_idle(peer);
}
