#include "netmap/netmap.h"

#include <stdlib.h>

#include "base/err.h"
#include "netmap/priv.h"

void netmap_init(struct netmap *m)
{
	*m = (struct netmap){ 0 };
	map_init(&m->peers_by_id);
	map_init(&m->peers_by_key);
	map_init(&m->peers_by_ip);
	map_init(&m->peers_by_stable);
	map_init(&m->users);
}

/* What was cloned is ours to free, however it is shown to others. */
void netmap_free_clone(const void *p)
{
	free((void *)(uintptr_t)p);
}

static void index_peer(struct netmap *m, struct netmap_peer *p)
{
	const struct tc_node *n = p->node;

	map_insert(&m->peers_by_id, &p->by_id, map_hash(&m->peers_by_id, &n->id, sizeof(n->id)));
	map_insert(&m->peers_by_key, &p->by_key, map_hash(&m->peers_by_key, n->key.b, KEY_LEN));
	map_insert(&m->peers_by_stable, &p->by_stable,
	           map_hash(&m->peers_by_stable, n->stable_id.p, n->stable_id.n));
	p->addrs = mem_new_n(struct netmap_addr, n->addresses.n ? n->addresses.n : 1);
	for (size_t i = 0; i < n->addresses.n; i++) {
		struct netmap_addr *a;

		if (!prefix_is_host(&n->addresses.v[i]))
			continue;
		a = &p->addrs[p->n_addrs++];
		a->ip = n->addresses.v[i].ip;
		a->peer = p;
		map_insert(&m->peers_by_ip, &a->by_ip, map_hash(&m->peers_by_ip, a->ip.b, 16));
	}
}

static void unindex_peer(struct netmap *m, struct netmap_peer *p)
{
	map_remove(&m->peers_by_id, &p->by_id);
	map_remove(&m->peers_by_key, &p->by_key);
	map_remove(&m->peers_by_stable, &p->by_stable);
	for (size_t i = 0; i < p->n_addrs; i++)
		map_remove(&m->peers_by_ip, &p->addrs[i].by_ip);
	free(TAKE(p->addrs));
	p->n_addrs = 0;
}

void netmap_peer_free(struct netmap_peer *p)
{
	if (!p)
		return;
	free(p->addrs);
	netmap_free_clone(p->node);
	free(p);
}

struct netmap_peer *netmap_peer_add(struct netmap *m, const struct tc_node *n)
{
	struct netmap_peer *p = mem_new(struct netmap_peer);

	p->node = js_clone(&tc_node_type, n);
	index_peer(m, p);
	return p;
}

void netmap_peer_replace(struct netmap *m, struct netmap_peer *p, const struct tc_node *n,
                         unsigned mask)
{
	const struct tc_node *old = p->node;
	bool moved = mask & (TC_CHANGED_KEY | TC_CHANGED_ADDRESSES | TC_CHANGED_NAME);

	if (moved)
		unindex_peer(m, p);
	p->node = js_clone(&tc_node_type, n);
	if (moved)
		index_peer(m, p);
	netmap_free_clone(old);
}

void netmap_peer_take(struct netmap *m, struct netmap_peer *p)
{
	unindex_peer(m, p);
}

static void peers_done(struct netmap *m)
{
	struct netmap_peer *next;

	for (struct netmap_peer *p = netmap_first(m); p; p = next) {
		next = netmap_next(m, p);
		netmap_peer_free(p);
	}
	map_done(&m->peers_by_id);
	map_done(&m->peers_by_key);
	map_done(&m->peers_by_ip);
	map_done(&m->peers_by_stable);
}

static struct netmap_user *user_of(struct map_node *n)
{
	return n ? CONTAINER_OF(n, struct netmap_user, by_id) : NULL;
}

static void users_done(struct netmap *m)
{
	struct map_node *next;

	for (struct map_node *n = map_first(&m->users); n; n = next) {
		struct netmap_user *u = user_of(n);

		next = map_next(&m->users, n);
		netmap_free_clone(u->profile);
		free(u);
	}
	map_done(&m->users);
}

void netmap_done(struct netmap *m)
{
	peers_done(m);
	users_done(m);
	netmap_chunks_clear(m);
	netmap_messages_clear(m);
	vec_done(&m->filter);
	vec_done(&m->messages);
	netmap_free_clone(m->self);
	netmap_free_clone(m->derp_map);
	netmap_free_clone(m->dns);
	netmap_free_clone(m->ssh);
	netmap_free_clone(m->dial_plan);
	netmap_free_clone(m->client_version);
	netmap_free_clone(m->health);
	free(m->domain);
	*m = (struct netmap){ 0 };
}

/* ---- looking up ---- */

struct netmap_peer *netmap_peer(const struct netmap *m, int64_t id)
{
	uint64_t h = map_hash(&m->peers_by_id, &id, sizeof(id));

	for (struct map_node *n = map_find(&m->peers_by_id, h); n; n = map_again(n)) {
		struct netmap_peer *p = CONTAINER_OF(n, struct netmap_peer, by_id);
		if (p->node->id == id)
			return p;
	}
	return NULL;
}

struct netmap_peer *netmap_peer_by_key(const struct netmap *m, const struct node_pub *key)
{
	uint64_t h = map_hash(&m->peers_by_key, key->b, KEY_LEN);

	for (struct map_node *n = map_find(&m->peers_by_key, h); n; n = map_again(n)) {
		struct netmap_peer *p = CONTAINER_OF(n, struct netmap_peer, by_key);
		if (node_pub_eq(&p->node->key, key))
			return p;
	}
	return NULL;
}

struct netmap_peer *netmap_peer_by_ip(const struct netmap *m, const struct ip *ip)
{
	uint64_t h = map_hash(&m->peers_by_ip, ip->b, 16);

	for (struct map_node *n = map_find(&m->peers_by_ip, h); n; n = map_again(n)) {
		struct netmap_addr *a = CONTAINER_OF(n, struct netmap_addr, by_ip);
		if (ip_eq(&a->ip, ip))
			return a->peer;
	}
	return NULL;
}

struct netmap_peer *netmap_peer_by_stable(const struct netmap *m, struct span stable_id)
{
	uint64_t h = map_hash(&m->peers_by_stable, stable_id.p, stable_id.n);

	for (struct map_node *n = map_find(&m->peers_by_stable, h); n; n = map_again(n)) {
		struct netmap_peer *p = CONTAINER_OF(n, struct netmap_peer, by_stable);
		if (span_eq(p->node->stable_id, stable_id))
			return p;
	}
	return NULL;
}

static struct span without_dot(struct span name)
{
	return span_ends(name, ".") ? span_first(name, name.n - 1) : name;
}

struct netmap_peer *netmap_peer_by_name(const struct netmap *m, struct span name)
{
	struct netmap_peer *by_label = NULL;

	name = without_dot(name);
	for (struct netmap_peer *p = netmap_first(m); p; p = netmap_next(m, p)) {
		struct span full = without_dot(p->node->name);

		if (span_eq_nocase(full, name))
			return p;
		if (span_eq_nocase(span_first(full, span_find(full, '.')), name))
			by_label = p;
	}
	return by_label;
}

struct netmap_user *netmap_user_entry(const struct netmap *m, int64_t id)
{
	uint64_t h = map_hash(&m->users, &id, sizeof(id));

	for (struct map_node *n = map_find(&m->users, h); n; n = map_again(n))
		if (user_of(n)->profile->id == id)
			return user_of(n);
	return NULL;
}

const struct tc_user_profile *netmap_user(const struct netmap *m, int64_t id)
{
	const struct netmap_user *u = netmap_user_entry(m, id);

	return u ? u->profile : NULL;
}

bool netmap_self_has_ip(const struct netmap *m, const struct ip *ip)
{
	for (size_t i = 0; m->self && i < m->self->addresses.n; i++)
		if (prefix_is_host(&m->self->addresses.v[i]) &&
		    ip_eq(&m->self->addresses.v[i].ip, ip))
			return true;
	return false;
}

static struct netmap_peer *peer_of(struct map_node *n)
{
	return n ? CONTAINER_OF(n, struct netmap_peer, by_id) : NULL;
}

struct netmap_peer *netmap_first(const struct netmap *m)
{
	return peer_of(map_first(&m->peers_by_id));
}

struct netmap_peer *netmap_next(const struct netmap *m, struct netmap_peer *p)
{
	return peer_of(map_next(&m->peers_by_id, &p->by_id));
}

struct span netmap_suffix(const struct netmap *m)
{
	struct span name;

	if (!m->self)
		return span(NULL, 0);
	name = without_dot(m->self->name);
	return span_from(name, span_find(name, '.') + 1);
}
