#include "relay/hub.h"

#include <assert.h>

#include "relay/hub_priv.h"

void hub_init(struct hub *h, const struct hub_cfg *cfg, const struct node_pub *self)
{
	*h = (struct hub){ .cfg = *cfg, .self = *self };
	map_init(&h->peers);
	map_init(&h->edges);
	pool_init(&h->pool, cfg->pool_max);
	h->pool.reserve = HUB_STAGE_RESERVE;
	pool_init(&h->stash_pool, HUB_STASH_MAX);
	list_init(&h->clients);
	list_init(&h->dirty);
	list_init(&h->doomed);
	list_init(&h->blocked);
	list_init(&h->stashes);
	list_init(&h->watchers);
	h->gen = 1;
}

void hub_done(struct hub *h)
{
	assert(list_empty(&h->clients));
	map_done(&h->peers);
	map_done(&h->edges);
	pool_done(&h->pool);
	pool_done(&h->stash_pool);
}

/* --- joining and leaving --- */

static void join_peer(struct hub *h, struct hub_client *c, const struct node_pub *key)
{
	struct hub_peer *p = hub_peer_get(h, key);

	c->peer = p;
	list_prepend(&p->clients, &c->of_peer); /* the newest is the active one */
	p->n_clients++;
	h->n_peers_local += p->n_clients == 1;
	h->n_dup_keys += p->n_clients == 2;
	if (c->role == HUB_MESH)
		c->present_flags |= DERP_PRESENT_MESH;
	if (!c->present_flags)
		c->present_flags = DERP_PRESENT_REGULAR;
	hub_tell_present(h, c);
}

void hub_join(struct hub *h, struct hub_client *c, enum hub_role role, const struct node_pub *key,
              mono now)
{
	h->now = now;
	c->role = role;
	c->since = now;
	list_init(&c->edges);
	list_init(&c->fwds);
	for (enum hub_kind k = 0; k < HUB_KINDS; k++)
		list_init(&c->active[k]);
	list_append(&h->clients, &c->all);
	h->n_clients++;
	h->gen++;
	if (role != HUB_LINK)
		join_peer(h, c, key);
}

static void stash_free(struct hub *h, struct hub_client *c)
{
	pool_put(&h->stash_pool, c->stash, c->stash_cap);
	c->stash = NULL;
	c->stash_n = c->stash_cap = 0;
	list_remove(&c->in_stashes);
}

static void leave_peer(struct hub *h, struct hub_client *c)
{
	struct hub_peer *p = c->peer;

	list_remove(&c->of_peer);
	p->n_clients--;
	h->n_peers_local -= p->n_clients == 0;
	h->n_dup_keys -= p->n_clients == 1;
	c->peer = NULL;
	hub_left(h, p);
}

void hub_leave(struct hub *h, struct hub_client *c, mono now)
{
	if (!link_in_list(&c->all))
		return;
	h->now = now;
	list_remove(&c->all);
	list_remove(&c->in_watchers);
	h->n_clients--;
	h->n_home -= c->home;
	h->gen++;
	while (!list_empty(&c->edges))
		hub_edge_free(h, list_first(&c->edges, struct hub_edge, of_dst), HUB_DROP_GONE);
	hub_link_forget(h, c);
	if (c->peer)
		leave_peer(h, c);
	stash_free(h, c);
	hub_out_done(h, c);
}

/* --- packets --- */

/* Disco to a key unknown here: the sender would try for long; three notices, then one a second. */
static void tell_not_here(struct hub *h, struct hub_client *c, const struct node_pub *key,
                          struct span packet)
{
	int64_t earned = mono_since(c->not_here_at, h->now) / US_PER_S;

	if (!derp_looks_disco(packet))
		return;
	if (c->not_here_at.us == 0 || earned >= HUB_NOT_HERE_BURST) {
		c->not_here_left = HUB_NOT_HERE_BURST;
		c->not_here_at = h->now;
	} else if (earned > 0) {
		c->not_here_left = (uint8_t)(c->not_here_left + earned);
		if (c->not_here_left > HUB_NOT_HERE_BURST)
			c->not_here_left = HUB_NOT_HERE_BURST;
		c->not_here_at = mono_after(c->not_here_at, earned * US_PER_S);
	}
	if (!c->not_here_left)
		return;
	c->not_here_left--;
	h->count.not_here_sent++;
	derp_put_gone(&c->control, key, DERP_GONE_NOT_HERE);
	hub_control_added(h, c);
}

static void remember(struct hub *h, struct hub_client *c, const struct node_pub *key,
                     struct hub_edge *e)
{
	c->last = e;
	c->last_key = *key;
	c->last_gen = h->gen;
}

static struct hub_edge *recall(const struct hub *h, const struct hub_client *c,
                               const struct node_pub *key)
{
	return c->last_gen == h->gen && node_pub_eq(&c->last_key, key) ? c->last : NULL;
}

/* Here first, then the neighbour that said first that it has the key. */
static struct hub_client *way_to(const struct hub *h, const struct node_pub *key)
{
	struct hub_peer *p = hub_peer_find(h, key);

	if (!p)
		return NULL;
	if (p->n_clients)
		return hub_peer_active(p);

	struct hub_fwd *f = list_first(&p->fwds, struct hub_fwd, of_peer);

	return f ? f->link : NULL;
}

static int on_send(struct hub *h, struct hub_client *c, struct span body)
{
	struct derp_send s;
	int r = derp_send_parse(body, &s);

	if (r < 0)
		return r;
	c->packets_in++;
	h->count.packets_in++;
	h->count.bytes_in += s.packet.n;
	h->count.disco_in += derp_looks_disco(s.packet);

	struct hub_edge *e = recall(h, c, s.dst);

	if (!e) {
		struct hub_client *dst = way_to(h, s.dst);

		if (!dst) {
			hub_count_drop(h, HUB_DROP_UNKNOWN_DEST, s.packet);
			tell_not_here(h, c, s.dst, s.packet);
			return 0;
		}
		e = hub_edge_get(h, c->peer, dst);
		remember(h, c, s.dst, e);
	}
	hub_send(h, e, s.dst, s.packet);
	return 0;
}

/* From a neighbour, for a connection here: never forwarded again, so packets cannot go in rings. */
static int on_forward(struct hub *h, struct hub_client *c, struct span body)
{
	struct derp_forward f;
	int r = derp_forward_parse(body, &f);

	if (c->role != HUB_MESH)
		return ERR_DENIED;
	if (r < 0)
		return r;
	h->count.forwarded_in++;

	struct hub_edge *e = recall(h, c, f.dst);

	if (!e || !node_pub_eq(&e->src->key, f.src)) {
		struct hub_peer *p = hub_peer_find(h, f.dst);

		if (!p || !p->n_clients) {
			hub_count_drop(h, HUB_DROP_UNKNOWN_DEST_FWD, f.packet);
			tell_not_here(h, c, f.dst, f.packet);
			return 0;
		}
		e = hub_edge_get(h, hub_peer_get(h, f.src), hub_peer_active(p));
		remember(h, c, f.dst, e);
	}
	hub_send(h, e, f.dst, f.packet);
	return 0;
}

/* --- the other frames --- */

static int on_note_preferred(struct hub *h, struct hub_client *c, struct span body)
{
	if (body.n != 1)
		return ERR_MALFORMED;

	bool home = body.p[0] != 0;

	if (home == c->home)
		return 0;
	c->home = home;
	if (home) {
		h->n_home++;
		h->count.home_in++;
	} else {
		h->n_home--;
		h->count.home_out++;
	}
	return 0;
}

static int on_ping(struct hub *h, struct hub_client *c, struct span body)
{
	if (body.n < DERP_PING_LEN || body.n > DERP_PING_BODY_MAX)
		return ERR_MALFORMED;
	if (c->want_pong)
		return 0; /* one at a time */
	memcpy(c->pong, body.p, DERP_PING_LEN);
	c->want_pong = true;
	hub_mark(h, c);
	return 0;
}

static int on_watch(struct hub *h, struct hub_client *c, struct span body)
{
	if (body.n != 0)
		return ERR_MALFORMED;
	if (c->role != HUB_MESH)
		return ERR_DENIED;
	hub_watch(h, c);
	return 0;
}

static int on_close_peer(struct hub *h, struct hub_client *c, struct span body)
{
	if (body.n != KEY_LEN)
		return ERR_MALFORMED;
	if (c->role != HUB_MESH)
		return ERR_DENIED;

	struct hub_peer *p = hub_peer_find(h, (const struct node_pub *)(const void *)body.p);
	struct hub_client *victim;

	if (!p)
		return 0;
	list_each(victim, &p->clients, of_peer)
		hub_doom(h, victim, ERR_CLOSED);
	return 0;
}

static int on_frame(struct hub *h, struct hub_client *c, const struct derp_frame *f)
{
	switch ((enum derp_type)f->type) {
	case DERP_SEND_PACKET:
		return on_send(h, c, f->body);
	case DERP_FORWARD_PACKET:
		return on_forward(h, c, f->body);
	case DERP_NOTE_PREFERRED:
		return on_note_preferred(h, c, f->body);
	case DERP_PING:
		return on_ping(h, c, f->body);
	case DERP_WATCH_CONNS:
		return on_watch(h, c, f->body);
	case DERP_CLOSE_PEER:
		return on_close_peer(h, c, f->body);
	case DERP_SERVER_KEY:
	case DERP_CLIENT_INFO:
	case DERP_SERVER_INFO:
	case DERP_RECV_PACKET:
	case DERP_KEEP_ALIVE:
	case DERP_PEER_GONE:
	case DERP_PEER_PRESENT:
	case DERP_PONG:
	case DERP_HEALTH:
	case DERP_RESTARTING:
		break;
	}
	h->count.unknown_frames += f->type != DERP_PONG && f->type != DERP_KEEP_ALIVE;
	return 0;
}

/*
 * Of several connections of one key, the one heard last is the one in use: a
 * client that came back by another way has left the others for dead.
 */
static void heard(struct hub *h, struct hub_client *c)
{
	struct hub_peer *p = c->peer;

	if (p->n_clients < 2 || hub_peer_active(p) == c)
		return;
	list_remove(&c->of_peer);
	list_prepend(&p->clients, &c->of_peer);
	h->gen++;
}

/* --- frames in pieces --- */

/* A bigger block for what is held; the longest unfinished of others gives way if there is none. */
static int stash_grow(struct hub *h, struct hub_client *c, size_t need)
{
	uint8_t *block;

	if (need <= c->stash_cap)
		return 0;
	while (!(block = pool_get(&h->stash_pool, need))) {
		struct hub_client *oldest = list_first(&h->stashes, struct hub_client, in_stashes);

		if (!oldest)
			return ERR_LIMIT;
		h->count.half_frames_evicted++;
		stash_free(h, oldest);
		hub_doom(h, oldest, ERR_LIMIT);
		if (oldest == c)
			return ERR_LIMIT;
	}
	if (c->stash_n)
		memcpy(block, c->stash, c->stash_n);
	pool_put(&h->stash_pool, c->stash, c->stash_cap);
	c->stash = block;
	c->stash_cap = (uint32_t)need;
	if (!link_in_list(&c->in_stashes)) {
		c->stash_since = h->now;
		list_append(&h->stashes, &c->in_stashes);
	}
	return 0;
}

void hub_doom_unfinished(struct hub *h, mono then, bool (*excused)(struct hub_client *c))
{
	struct hub_client *c, *tmp;

	list_each_safe(c, tmp, &h->stashes, in_stashes) {
		if (!mono_before(c->stash_since, then))
			return;
		if (c->doomed)
			continue;
		if (excused(c)) {
			c->stash_since = h->now;
			list_remove(&c->in_stashes);
			list_append(&h->stashes, &c->in_stashes);
		} else {
			hub_doom(h, c, ERR_TIMEOUT);
		}
	}
}

static void stash_add(struct hub_client *c, struct span *in, size_t want)
{
	struct span take = span_first(*in, want - c->stash_n);

	if (take.n)
		memcpy(c->stash + c->stash_n, take.p, take.n);
	c->stash_n += (uint32_t)take.n;
	*in = span_from(*in, take.n);
}

/* 1: *ret is the frame begun earlier; 0: it is still not whole; or an error */
static int stash_complete(struct hub *h, struct hub_client *c, struct span *in,
                          struct derp_frame *ret)
{
	int r;

	if (c->stash_n < DERP_HEADER) {
		r = stash_grow(h, c, DERP_HEADER);
		if (r < 0)
			return r;
		stash_add(c, in, DERP_HEADER);
	}
	if (c->stash_n < DERP_HEADER)
		return 0;

	size_t body = be32_at(c->stash + 1);

	if (body > DERP_SERVER_FRAME_MAX)
		return ERR_LIMIT;
	r = stash_grow(h, c, DERP_HEADER + body);
	if (r < 0)
		return r;
	stash_add(c, in, DERP_HEADER + body);
	if (c->stash_n < DERP_HEADER + body)
		return 0;

	struct span whole = { c->stash, c->stash_n };

	return derp_cut(&whole, DERP_SERVER_FRAME_MAX, ret);
}

int hub_recv(struct hub *h, struct hub_client *c, struct span bytes, mono now)
{
	struct derp_frame f;
	int r;

	h->now = now;
	c->bytes_in += bytes.n;
	if (c->doomed)
		return c->doomed;
	if (c->stash_n) {
		r = stash_complete(h, c, &bytes, &f);
		if (r <= 0)
			return r;
		heard(h, c);
		r = on_frame(h, c, &f);
		stash_free(h, c);
		if (r < 0)
			return r;
	}
	while ((r = derp_cut(&bytes, DERP_SERVER_FRAME_MAX, &f)) > 0) {
		heard(h, c);
		r = on_frame(h, c, &f);
		if (r < 0)
			return r;
	}
	if (r < 0 || !bytes.n)
		return r;
	r = stash_complete(h, c, &bytes, &f);
	return r;
}
