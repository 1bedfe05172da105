/* Keys: who is here, who is at a neighbour, and who is told about it. */
#include "relay/hub_priv.h"

struct hub_peer *hub_peer_find(const struct hub *h, const struct node_pub *key)
{
	uint64_t hash = map_hash(&h->peers, key->b, KEY_LEN);

	for (struct map_node *n = map_find(&h->peers, hash); n; n = map_again(n)) {
		struct hub_peer *p = CONTAINER_OF(n, struct hub_peer, node);

		if (node_pub_eq(&p->key, key))
			return p;
	}
	return NULL;
}

struct hub_peer *hub_peer_get(struct hub *h, const struct node_pub *key)
{
	struct hub_peer *p = hub_peer_find(h, key);

	if (p)
		return p;
	p = mem_new(struct hub_peer);
	p->key = *key;
	list_init(&p->clients);
	list_init(&p->fwds);
	list_init(&p->edges);
	map_insert(&h->peers, &p->node, map_hash(&h->peers, key->b, KEY_LEN));
	return p;
}

void hub_peer_check(struct hub *h, struct hub_peer *p)
{
	if (p->pinned || p->n_clients || !list_empty(&p->fwds) || !list_empty(&p->edges))
		return;
	map_remove(&h->peers, &p->node);
	free(p);
}

struct hub_client *hub_peer_active(const struct hub_peer *p)
{
	return list_first(&p->clients, struct hub_client, of_peer);
}

struct hub_client *hub_find(struct hub *h, const struct node_pub *key)
{
	struct hub_peer *p = hub_peer_find(h, key);

	return p ? hub_peer_active(p) : NULL;
}

const struct node_pub *hub_key(const struct hub_client *c)
{
	return c->peer ? &c->peer->key : NULL;
}

/* --- presence for neighbours and others that watch --- */

static void put_present(struct hub *h, struct hub_client *watcher, const struct hub_client *c)
{
	derp_put_present(&watcher->control, &c->peer->key, &c->addr, c->present_flags);
	hub_control_added(h, watcher);
}

void hub_tell_present(struct hub *h, const struct hub_client *c)
{
	struct hub_client *w;

	list_each(w, &h->watchers, in_watchers)
		put_present(h, w, c);
}

static void tell_gone(struct hub *h, const struct node_pub *key)
{
	struct hub_client *w;

	list_each(w, &h->watchers, in_watchers) {
		derp_put_gone(&w->control, key, DERP_GONE_DISCONNECTED);
		hub_control_added(h, w);
	}
}

void hub_watch(struct hub *h, struct hub_client *watcher)
{
	if (watcher->watching || node_pub_eq(&watcher->peer->key, &h->self))
		return;
	for (struct map_node *n = map_first(&h->peers); n; n = map_next(&h->peers, n)) {
		struct hub_client *c = hub_peer_active(CONTAINER_OF(n, struct hub_peer, node));

		if (c)
			put_present(h, watcher, c);
	}
	watcher->watching = true;
	list_append(&h->watchers, &watcher->in_watchers);
}

/* --- leaving --- */

/* Nobody in the region has the key any more: those it talked to drop their routes by us. */
static void gone_from_region(struct hub *h, struct hub_peer *p)
{
	p->pinned = true;
	while (!list_empty(&p->edges)) {
		struct hub_edge *e = list_first(&p->edges, struct hub_edge, of_src);
		struct hub_client *dst = e->dst;

		if (dst->role == HUB_NODE || dst->role == HUB_MESH) {
			derp_put_gone(&dst->control, &p->key, DERP_GONE_DISCONNECTED);
			h->count.gone_sent++;
			hub_control_added(h, dst);
		}
		hub_edge_free(h, e, HUB_DROP_SENDER_GONE);
	}
	p->pinned = false;
}

/* One holder of the key fewer, here or at a neighbour. May free p. */
static void check_region(struct hub *h, struct hub_peer *p)
{
	if (!p->n_clients && list_empty(&p->fwds))
		gone_from_region(h, p);
	hub_peer_check(h, p);
}

void hub_left(struct hub *h, struct hub_peer *p)
{
	if (!p->n_clients)
		tell_gone(h, &p->key);
	check_region(h, p);
}

/* --- neighbours --- */

static struct hub_fwd *find_fwd(const struct hub_peer *p, const struct hub_client *link)
{
	struct hub_fwd *f;

	list_each(f, &p->fwds, of_peer) {
		if (f->link == link)
			return f;
	}
	return NULL;
}

void hub_link_present(struct hub *h, struct hub_client *link, const struct node_pub *key)
{
	struct hub_peer *p = hub_peer_get(h, key);

	if (find_fwd(p, link))
		return;

	struct hub_fwd *f = mem_new(struct hub_fwd);

	*f = (struct hub_fwd){ .peer = p, .link = link };
	if (list_empty(&p->fwds))
		h->n_peers_remote++;
	list_append(&p->fwds, &f->of_peer);
	list_append(&link->fwds, &f->of_link);
	h->gen++;
}

static void drop_fwd(struct hub *h, struct hub_fwd *f)
{
	struct hub_peer *p = f->peer;

	list_remove(&f->of_peer);
	list_remove(&f->of_link);
	free(f);
	h->gen++;
	if (list_empty(&p->fwds))
		h->n_peers_remote--;
	check_region(h, p);
}

void hub_link_gone(struct hub *h, struct hub_client *link, const struct node_pub *key)
{
	struct hub_peer *p = hub_peer_find(h, key);
	struct hub_fwd *f = p ? find_fwd(p, link) : NULL;

	if (f)
		drop_fwd(h, f);
}

void hub_link_forget(struct hub *h, struct hub_client *link)
{
	while (!list_empty(&link->fwds))
		drop_fwd(h, list_first(&link->fwds, struct hub_fwd, of_link));
}

/* --- the books --- */

static const char *check_client(const struct hub *h, const struct hub_client *c)
{
	struct hub_edge *e;
	unsigned edges = 0;
	uint32_t queued = 0;

	list_each(e, &c->edges, of_dst) {
		edges++;
		for (enum hub_kind k = 0; k < HUB_KINDS; k++) {
			queued += e->flow[k].bytes;
			if ((e->flow[k].head != NULL) != link_in_list(&e->flow[k].active))
				return "a line with packets is not served, or an empty one is";
		}
	}
	if (edges != c->n_edges)
		return "a client's senders are miscounted";
	if (queued != c->queued)
		return "a client's queue is miscounted";
	if (c->blocked != link_in_list(&c->in_blocked))
		return "a client waits for its socket and is not listed so";
	if (c->role != HUB_LINK && hub_peer_find(h, &c->peer->key) != c->peer)
		return "a client's key leads elsewhere";
	return NULL;
}

const char *hub_check(const struct hub *h)
{
	const struct hub_client *c;
	size_t clients = 0, home = 0;

	list_each(c, &h->clients, all) {
		const char *wrong = check_client(h, c);

		if (wrong)
			return wrong;
		clients++;
		home += c->home;
	}
	if (clients != h->n_clients)
		return "clients are miscounted";
	if (home != h->n_home)
		return "homes are miscounted";
	return NULL;
}
