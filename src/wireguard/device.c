#include "wireguard/device.h"

#include <assert.h>
#include <string.h>

#include "base/mem.h"
#include "wireguard/peer.h"

/* ---- life ---------------------------------------------------------------- */

struct wg_device *wg_device_new(const struct wg_device_cfg *cfg)
{
	struct wg_device *dev = mem_new(struct wg_device);

	dev->rand = cfg->rand;
	dev->policy = cfg->policy ? cfg->policy : &wg_path_plain;
	dev->policy_ctx = cfg->policy_ctx;
	rand_fill(&dev->rand, &dev->jitter_state, sizeof(dev->jitter_state));
	map_init(&dev->peers);
	map_init(&dev->indices);
	list_init(&dev->work);
	list_init(&dev->graves);
	wg_ratelimit_init(&dev->by_source, WG_SOURCE_PER_S, WG_SOURCE_PER_S, WG_SOURCES_MAX);
	wg_ratelimit_init(&dev->proven, WG_PROVEN_PER_S, WG_PROVEN_BURST, WG_SOURCES_MAX);
	dev->load_us = US_PER_S;
	return dev;
}

static void remove_all_peers(struct wg_device *dev)
{
	vec_each(struct wg_peer **, p, &dev->slots) {
		if (*p)
			wg_peer_free(dev, *p);
	}
}

void wg_device_free(struct wg_device *dev)
{
	if (!dev)
		return;
	remove_all_peers(dev);
	wg_reap(dev);
	free(dev->unstaged);
	vec_done(&dev->slots);
	vec_done(&dev->free_slots);
	vec_done(&dev->cookies);
	map_done(&dev->peers);
	map_done(&dev->indices);
	lpm_done(&dev->prefixes);
	heap_done(&dev->wakes);
	wg_ratelimit_done(&dev->by_source);
	wg_ratelimit_done(&dev->proven);
	explicit_bzero(dev, sizeof(*dev));
	free(dev);
}

mono wg_tick(struct wg_device *dev, mono now)
{
	if (mono_before(dev->now, now))
		dev->now = now;
	return dev->now;
}

/* Not a secret, and needed often: a step of splitmix64. */
int64_t wg_jitter(struct wg_device *dev)
{
	uint64_t z = (dev->jitter_state += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	return (int64_t)((z ^ z >> 27) % (WG_JITTER_US + 1));
}

/* ---- peers --------------------------------------------------------------- */

uint32_t wg_slots(const struct wg_device *dev)
{
	return (uint32_t)dev->slots.n;
}

struct wg_peer *wg_peer_at(const struct wg_device *dev, uint32_t slot)
{
	return slot < dev->slots.n ? dev->slots.v[slot] : NULL;
}

struct wg_peer *wg_peer_by_key(const struct wg_device *dev, const struct node_pub *key)
{
	uint64_t hash = map_hash(&dev->peers, key, sizeof(*key));

	for (struct map_node *n = map_find(&dev->peers, hash); n; n = map_again(n)) {
		struct wg_peer *p = CONTAINER_OF(n, struct wg_peer, by_key);

		if (node_pub_eq(&p->key, key))
			return p;
	}
	return NULL;
}

/* ---- configuration ------------------------------------------------------- */

static void set_identity(struct wg_device *dev, mono now, const struct node_priv *priv)
{
	AUTO_WIPE(wg_identity) id = { 0 };

	wg_identity_set(&id, priv);
	if (id.set == dev->id.set && ct_eq(id.priv.b, dev->id.priv.b, KEY_LEN))
		return;
	dev->id = id;

	struct wg_peer *self = id.set ? wg_peer_by_key(dev, &id.pub) : NULL;

	if (self)
		wg_peer_free(dev, self);
	vec_each(struct wg_peer **, slot, &dev->slots) {
		struct wg_peer *p = *slot;

		if (!p)
			continue;
		if (p->contact)
			p->contact->ss_state = WG_SS_UNKNOWN;
		wg_peer_drop_pending(dev, p);
		wg_peer_expire(p);
		wg_peer_flush(dev, p, now);
	}
}

static void set_keepalive(struct wg_device *dev, struct wg_peer *p, mono now, uint16_t s)
{
	bool begins = s && !p->timers.persistent_s;

	p->timers.persistent_s = s;
	if (begins && dev->up)
		wg_peer_keepalive(dev, p, now);
}

static void set_prefixes(struct wg_device *dev, struct wg_peer *p, const struct wg_peer_change *c)
{
	if (c->set & WG_PEER_REPLACE_IPS)
		lpm_remove_all(&dev->prefixes, &p->prefixes);
	vec_each(const struct wg_ip_change *, ip, &c->ips) {
		if (ip->remove)
			(void)lpm_remove(&dev->prefixes, ip->prefix, &p->prefixes);
		else
			lpm_insert(&dev->prefixes, ip->prefix, &p->prefixes);
	}
}

static void apply_peer(struct wg_device *dev, mono now, const struct wg_peer_change *c)
{
	struct wg_peer *p = wg_peer_by_key(dev, &c->key);

	if (c->set & WG_PEER_REMOVE) {
		if (p)
			wg_peer_free(dev, p);
		return;
	}
	if (!p) {
		/* Our own key among the peers: one file for all hosts is a custom. */
		bool self = dev->id.set && node_pub_eq(&c->key, &dev->id.pub);

		if (self || (c->set & WG_PEER_UPDATE_ONLY))
			return;
		p = wg_peer_new(dev, &c->key);
	}
	if (c->set & WG_PEER_SET_PSK)
		wg_peer_set_psk(p, &c->psk);
	if (c->set & WG_PEER_SET_ENDPOINT)
		dev->policy->configured(dev->policy_ctx, p, &c->endpoint);
	set_prefixes(dev, p, c);
	if (c->set & WG_PEER_SET_KEEPALIVE)
		set_keepalive(dev, p, now, c->keepalive_s);
	wg_peer_flush(dev, p, now);
}

int wg_apply_check(const struct wg_device *dev, const struct wg_change *change)
{
	size_t peers = change->peers.n;
	size_t prefixes = 0;
	int r = wg_change_check(change);

	if (r < 0)
		return r;
	vec_each(const struct wg_peer_change *, p, &change->peers)
		prefixes += p->ips.n;
	if (!(change->set & WG_REPLACE_PEERS)) {
		peers += dev->peers.n;
		prefixes += dev->prefixes.n;
	}
	return peers > WG_PEERS_MAX || prefixes > WG_PREFIXES_MAX ? ERR_LIMIT : 0;
}

int wg_apply(struct wg_device *dev, mono now, const struct wg_change *change)
{
	int r = wg_apply_check(dev, change);

	if (r < 0)
		return r;
	now = wg_tick(dev, now);
	if (change->set & WG_SET_PRIVATE_KEY)
		set_identity(dev, now, &change->private_key);
	if (change->set & WG_SET_LISTEN_PORT)
		dev->listen_port = change->listen_port;
	if (change->set & WG_SET_FWMARK)
		dev->fwmark = change->fwmark;
	if (change->set & (WG_SET_LISTEN_PORT | WG_SET_FWMARK))
		wg_forget_locals(dev);
	if (change->set & WG_REPLACE_PEERS)
		remove_all_peers(dev);
	vec_each(const struct wg_peer_change *, p, &change->peers)
		apply_peer(dev, now, p);
	return 0;
}

uint16_t wg_listen_port(const struct wg_device *dev)
{
	return dev->listen_port;
}

uint32_t wg_fwmark(const struct wg_device *dev)
{
	return dev->fwmark;
}

void wg_set_bound_port(struct wg_device *dev, uint16_t port)
{
	dev->listen_port = port;
}

static void describe_peer(const struct wg_device *dev, const struct wg_peer *p, mono now,
                          wall wall_now, struct wg_info *info)
{
	struct wg_peer_info *i = wg_info_add_peer(info, &p->key);
	struct prefix prefix;
	uint32_t at = 0;

	i->psk = *wg_peer_psk(p);
	i->keepalive_s = p->timers.persistent_s;
	i->rx_bytes = p->rx_bytes;
	i->tx_bytes = p->tx_bytes;
	if (!dev->policy->shown(dev->policy_ctx, p, &i->endpoint))
		i->endpoint = (struct addr){ 0 };
	if (p->handshake_done.us != MONO_NEVER.us)
		i->last_handshake.us = wall_now.us - mono_since(p->handshake_done, now);
	vec_reserve(&i->ips, p->prefixes.n);
	while (lpm_each(&dev->prefixes, &p->prefixes, &at, &prefix))
		vec_push(&i->ips, prefix);
}

void wg_describe(const struct wg_device *dev, mono now, wall wall_now, struct wg_info *ret)
{
	*ret = (struct wg_info){ .private_key = dev->id.priv,
		                 .public_key = dev->id.pub,
		                 .listen_port = dev->listen_port,
		                 .fwmark = dev->fwmark };
	vec_each(struct wg_peer *const *, p, &dev->slots) {
		if (*p)
			describe_peer(dev, *p, now, wall_now, ret);
	}
}

/* ---- up and down --------------------------------------------------------- */

void wg_up(struct wg_device *dev, mono now)
{
	now = wg_tick(dev, now);
	if (dev->up)
		return;
	dev->up = true;
	vec_each(struct wg_peer **, p, &dev->slots) {
		if (*p && (*p)->timers.persistent_s)
			wg_peer_keepalive(dev, *p, now);
	}
}

void wg_down(struct wg_device *dev, mono now)
{
	(void)wg_tick(dev, now);
	dev->up = false;
	dev->cookies.n = 0;
	vec_each(struct wg_peer **, p, &dev->slots) {
		if (*p)
			wg_peer_reset(dev, *p);
	}
}

bool wg_is_up(const struct wg_device *dev)
{
	return dev->up;
}

void wg_expire_sessions(struct wg_device *dev, mono now)
{
	(void)wg_tick(dev, now);
	vec_each(struct wg_peer **, p, &dev->slots) {
		if (*p) {
			wg_peer_drop_pending(dev, *p);
			wg_peer_expire(*p);
		}
	}
}

void wg_forget_locals(struct wg_device *dev)
{
	vec_each(struct wg_peer **, p, &dev->slots) {
		if (*p)
			wg_peer_forget_local(dev, *p);
	}
}

size_t wg_staged_bytes(const struct wg_device *dev)
{
	return dev->staged_bytes;
}

/* ---- counters ------------------------------------------------------------ */

void wg_drop(struct wg_device *dev, enum wg_drop why, uint64_t packets)
{
	assert(why < WG_DROP_MAX);
	dev->drops[why] += packets;
}

uint64_t wg_drops(const struct wg_device *dev, enum wg_drop why)
{
	assert(why < WG_DROP_MAX);
	return dev->drops[why];
}
