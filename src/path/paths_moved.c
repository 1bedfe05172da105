/*
 * Telling a peer that we are not where we were.
 *
 * A stock node leaves a path that a pong proved when the 6.5 s of its trust are
 * over and not before, whatever it hears meanwhile. But an address that one
 * call-me-maybe lists and the next does not is deleted, with the path that leads
 * there. So what is ours no longer is listed once more, and then is not. Each
 * message is handled in a thread of its own there, hence the pause between them;
 * and the connection to the relay may have died by the same change, hence the
 * repetitions until the peer is heard from.
 *
 * Source: tailscale v1.102.5 wgengine/magicsock/endpoint.go handleCallMeMaybe.
 */
#include <stdlib.h>

#include "path/paths_priv.h"

enum {
	PAUSE_US = 60000,
	AGAIN_US = 350000,
	FRESH_WAIT_US = 300000, /* so long our new addresses are waited for */
	STEPS = 6,
	APART_US = 3000000, /* a peer that sees us elsewhere each time is not followed faster */
};

struct path_moved {
	unsigned step; /* even: what is gone is listed, odd: it is not */
	mono due;
	size_t n_gone;
	struct addr gone[DISCO_ENDPOINTS_MAX];
};

static bool contains(const struct addr *v, size_t n, const struct addr *a)
{
	for (size_t i = 0; i < n; i++) {
		if (addr_eq(&v[i], a))
			return true;
	}
	return false;
}

static void add(struct addr *v, size_t *n, const struct addr *a)
{
	if (*n < DISCO_ENDPOINTS_MAX && addr_is_set(a) && !contains(v, *n, a))
		v[(*n)++] = *a;
}

void path_moved_forget(struct path_peer *peer)
{
	free(TAKE(peer->moved));
}

mono path_moved_deadline(const struct path_peer *peer)
{
	return peer->moved ? peer->moved->due : MONO_NEVER;
}

/* What a pong said of us is true of this peer's way alone; that there is no other at its address,
 * too. */
static void begin(struct paths *p, struct path_peer *peer, bool all, mono due)
{
	struct path_moved *m = peer->moved;

	if (!m)
		m = peer->moved = mem_new(struct path_moved);
	m->step = 0;
	m->due = due;
	add(m->gone, &m->n_gone, &peer->seen_as);
	for (size_t i = 0; i < p->n_own; i++) {
		if (all || ip_eq(&p->own[i].ip, &peer->seen_as.ip))
			add(m->gone, &m->n_gone, &p->own[i]);
	}
	peer->seen_as = (struct addr){ 0 };
}

void path_moved_link(struct paths *p, mono now, struct path_peer *peer)
{
	if (!peer->wg_only)
		begin(p, peer, true, mono_after(now, FRESH_WAIT_US));
}

void path_moved_dead(struct paths *p, mono now, struct path_peer *peer)
{
	if (addr_is_set(&peer->seen_as))
		begin(p, peer, false, now);
}

void path_moved_seen(struct paths *p, mono now, struct path_peer *peer, const struct path_via *via,
                     const struct addr *as)
{
	bool same_way = path_via_eq(&peer->seen_via, via);

	if (!addr_is_set(as) || via->vni)
		return;
	if (same_way && addr_is_set(&peer->seen_as) && !addr_eq(&peer->seen_as, as)) {
		if (!never(peer->moved_at) && mono_since(peer->moved_at, now) < APART_US)
			return;
		peer->moved_at = now;
		begin(p, peer, false, now);
		p->own_at = (mono){ 0 };
		paths_want_endpoints(p);
	}
	peer->seen_via = *via;
	peer->seen_as = *as;
}

void path_moved_fresh(struct path_peer *peer, mono now, bool changed)
{
	if (!peer->moved || (!changed && peer->moved->step))
		return;
	peer->moved->step = 0;
	peer->moved->due = now;
}

/* Only once it was told everything: it may have been on its way before. */
void path_moved_heard(struct path_peer *peer)
{
	if (peer->moved && peer->moved->step >= 2)
		path_moved_forget(peer);
}

static void send_list(struct paths *p, struct path_peer *peer, const struct path_moved *w,
                      bool with_gone)
{
	static const struct path_via none;
	struct disco_msg m = { .type = DISCO_CALL_ME_MAYBE };
	bool stale = never(p->own_at);

	add(m.endpoints, &m.n_endpoints, &peer->seen_as);
	for (size_t i = 0; i < p->n_own; i++) {
		if (!stale || !contains(w->gone, w->n_gone, &p->own[i]))
			add(m.endpoints, &m.n_endpoints, &p->own[i]);
	}
	for (size_t i = 0; with_gone && i < w->n_gone; i++)
		add(m.endpoints, &m.n_endpoints, &w->gone[i]);
	(void)path_send_msg(p, peer, &peer->slots[peer->active], &m, &none, peer->home);
}

void path_moved_run(struct paths *p, mono now, struct path_peer *peer)
{
	struct path_moved *m = peer->moved;

	if (!m || !mono_reached(m->due, now))
		return;
	if (!peer->home || p->cfg.never_direct) {
		path_moved_forget(peer);
		return;
	}
	send_list(p, peer, m, m->step % 2 == 0);
	m->due = mono_after(now, m->step % 2 == 0 ? PAUSE_US : AGAIN_US);
	if (++m->step == STEPS)
		path_moved_forget(peer);
}
