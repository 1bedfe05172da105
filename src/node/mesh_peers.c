#include <string.h>

#include "base/err.h"
#include "node/mesh_priv.h"
#include "path/pmtu.h"

/* ---- the path policy ------------------------------------------------------ */

/* A way that needs more than one UDP datagram is left to mesh_relay. */
static struct wg_path by_relay(const struct mesh_peer *p)
{
	return (struct wg_path){ .relay = p->id + RELAY_BASE };
}

/*
 * What fits into a packet of the wire, in whole blocks of padding. Over a relay
 * anything fits; but a direct way may be found while the connection lasts, and
 * its other end may hear of no limit then.
 */
static uint16_t fits(unsigned wire)
{
	/* Of IPv6 in any case: the other end may have chosen that for its direction. */
	enum { HEAD = 48 + WG_DATA_OVERHEAD };

	return wire >= PMTU_ENOUGH ? 0 : (uint16_t)((wire - HEAD) / WG_PADDING * WG_PADDING);
}

uint16_t mesh_narrow_mtu(const struct path_choice *c)
{
	return c->udp && c->mtu > 0 ? fits(c->mtu) : 0;
}

static void set_mtu(const struct path_choice *c, struct wg_path *ret)
{
	bool known = c->udp && c->mtu > 0;

	ret->mtu = fits(known ? c->mtu : PMTU_UNKNOWN);
	ret->mtu_guessed = ret->mtu && !known;
}

/* Between the packets that go there anyway. */
static void tell_again(struct mesh *m, struct mesh_peer *p, const struct wg_path *path)
{
	if (path->mtu && !path->mtu_guessed &&
	    mono_since(p->narrow_told, m->last_traffic) >= NARROW_TELL_US)
		p->want_narrow = true;
}

static bool get(void *ctx, struct wg_peer *wg, struct wg_path *ret)
{
	struct mesh *m = ctx;
	struct mesh_peer *p = wg_peer_user(wg);
	struct path_choice c;

	if (!p)
		return false;
	m->last_traffic = mesh_now(m);
	paths_sent(m->paths, m->last_traffic, p->path);
	c = paths_choice(m->paths, p->path, m->last_traffic);
	mesh_poke(m);
	if (c.udp && !c.derp && !c.via.vni) {
		*ret = (struct wg_path){ .remote = c.via.addr };
		set_mtu(&c, ret);
		tell_again(m, p, ret);
		return true;
	}
	if (!c.udp && !c.derp) {
		m->drops[MESH_DROP_NO_PATH]++;
		return false;
	}
	*ret = by_relay(p);
	set_mtu(&c, ret);
	return true;
}

static void heard(void *ctx, struct wg_peer *wg, const struct wg_path *from)
{
	struct mesh *m = ctx;
	struct mesh_peer *p = wg_peer_user(wg);
	struct path_from by = { .via.addr = from->remote };

	if (!p)
		return;
	m->last_traffic = mesh_now(m);
	if (from->relay && !addr_is_set(&from->remote))
		by = (struct path_from){ .region = p->last_region, .node = p->key };
	else if (from->relay)
		by.via.vni = p->last_vni;
	paths_heard(m->paths, m->last_traffic, p->path, &by);
	mesh_poke(m);
}

static void configured(void *ctx, struct wg_peer *wg, const struct addr *endpoint)
{
	(void)ctx;
	(void)wg;
	(void)endpoint;
}

static void forget_local(void *ctx, struct wg_peer *wg)
{
	(void)ctx;
	(void)wg;
}

static bool shown(void *ctx, const struct wg_peer *wg, struct addr *ret)
{
	struct mesh *m = ctx;
	const struct mesh_peer *p = wg_peer_user(wg);
	struct path_choice c;

	if (!p)
		return false;
	c = paths_choice(m->paths, p->path, mesh_now(m));
	*ret = c.via.addr;
	return c.udp;
}

const struct wg_path_policy mesh_path_policy = {
	.get = get,
	.heard = heard,
	.configured = configured,
	.forget_local = forget_local,
	.shown = shown,
};

/* ---- peers ---------------------------------------------------------------- */

struct mesh_peer *mesh_peer(const struct mesh *m, const struct node_pub *key)
{
	uint64_t h = map_hash(&m->by_key, key->b, KEY_LEN);

	for (struct map_node *n = map_find(&m->by_key, h); n; n = map_again(n)) {
		struct mesh_peer *p = CONTAINER_OF(n, struct mesh_peer, by_key);

		if (node_pub_eq(&p->key, key))
			return p;
	}
	return NULL;
}

const struct node_pub *mesh_peer_key(const struct mesh_peer *p)
{
	return &p->key;
}

struct wg_peer *mesh_wg_peer(const struct mesh *m, const struct mesh_peer *p)
{
	return wg_peer_by_key(datapath_device(m->dp), &p->key);
}

struct mesh_peer *mesh_route(const struct mesh *m, const struct ip *dst)
{
	struct wg_peer *wg = wg_route(datapath_device(m->dp), dst);

	return wg ? wg_peer_user(wg) : NULL;
}

static uint32_t free_id(struct mesh *m)
{
	for (size_t i = 0; i < m->ids.n; i++) {
		if (!m->ids.v[i])
			return (uint32_t)i;
	}
	vec_push(&m->ids, NULL);
	return (uint32_t)(m->ids.n - 1);
}

static int tell_tunnel(struct mesh *m, const struct mesh_peer_cfg *cfg)
{
	struct wg_change change = { 0 };
	struct wg_peer_change *p = wg_change_add_peer(&change, &cfg->path.node);

	p->set = WG_PEER_REPLACE_IPS | WG_PEER_SET_PSK;
	p->psk = cfg->psk;
	for (size_t i = 0; i < cfg->n_allowed; i++)
		wg_peer_change_add_ip(p, cfg->allowed[i], false);

	int r = datapath_apply(m->dp, &change);

	wg_change_done(&change);
	return r;
}

static void note_addresses(struct mesh_peer *p, const struct mesh_peer_cfg *cfg)
{
	p->ip4 = p->ip6 = (struct ip){ { 0 } };
	for (size_t i = 0; i < cfg->n_allowed; i++) {
		const struct prefix *at = &cfg->allowed[i];
		struct ip *slot = prefix_is4(at) ? &p->ip4 : &p->ip6;

		if (prefix_is_host(at) && ip_is_zero(slot))
			*slot = at->ip;
	}
}

int mesh_set_peer(struct mesh *m, const struct mesh_peer_cfg *cfg)
{
	struct mesh_peer *p = mesh_peer(m, &cfg->path.node);
	int r = cfg->n_allowed > MESH_ALLOWED_MAX ? ERR_LIMIT : tell_tunnel(m, cfg);

	if (r < 0)
		return r;
	if (!p) {
		p = mem_new(struct mesh_peer);
		p->mesh = m;
		p->key = cfg->path.node;
		p->id = free_id(m);
		m->ids.v[p->id] = p;
		map_insert(&m->by_key, &p->by_key, map_hash(&m->by_key, p->key.b, KEY_LEN));
	}
	note_addresses(p, cfg);
	p->jailed = cfg->jailed;
	p->wg_only = cfg->path.wg_only;
	p->path = paths_peer_set(m->paths, mesh_now(m), &cfg->path);
	path_peer_set_user(p->path, p);
	wg_peer_set_user(mesh_wg_peer(m, p), p);
	mesh_poke(m);
	return 0;
}

void mesh_remove_peer(struct mesh *m, const struct node_pub *key)
{
	struct mesh_peer *p = mesh_peer(m, key);
	struct wg_change change = { 0 };

	if (!p)
		return;
	wg_change_add_peer(&change, key)->set = WG_PEER_REMOVE;
	wg_peer_set_user(mesh_wg_peer(m, p), NULL);
	/* A removal asks for nothing that could be refused. */
	(void)!datapath_apply(m->dp, &change);
	wg_change_done(&change);
	paths_peer_remove(m->paths, p->path);
	m->ids.v[p->id] = NULL;
	map_remove(&m->by_key, &p->by_key);
	free(p);
}

void mesh_peers_free(struct mesh *m)
{
	struct map_node *n;

	while ((n = map_first(&m->by_key))) {
		struct mesh_peer *p = CONTAINER_OF(n, struct mesh_peer, by_key);

		map_remove(&m->by_key, n);
		free(p);
	}
	map_done(&m->by_key);
	vec_done(&m->ids);
}

void mesh_peer_status(const struct mesh *m, const struct mesh_peer *p, struct mesh_peer_status *ret)
{
	struct wg_peer *wg = mesh_wg_peer(m, p);

	*ret = (struct mesh_peer_status){ .last_handshake = MONO_NEVER, .in_engine = wg != NULL };
	paths_status(m->paths, p->path, mesh_now(m), &ret->path);
	if (wg) {
		ret->last_handshake = wg_peer_last_handshake(wg);
		ret->rx_bytes = wg_peer_rx_bytes(wg);
		ret->tx_bytes = wg_peer_tx_bytes(wg);
	}
	ret->derp_here = derplink_connected(m->derp, ret->path.choice.region);
}
