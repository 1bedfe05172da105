/* Lines: who may wait, who is served next, who is dropped. */
#include "relay/hub_priv.h"

/* One full-size tunnelled packet, so that a line is served at least every second round. */
enum { QUANTUM = 1500 };

/* --- edges --- */

struct edge_key {
	const struct hub_peer *src;
	const struct hub_client *dst;
};

static uint64_t edge_hash(const struct hub *h, const struct hub_peer *src,
                          const struct hub_client *dst)
{
	struct edge_key key = { src, dst };

	return map_hash(&h->edges, &key, sizeof(key));
}

static struct hub_edge *find_edge(struct hub *h, uint64_t hash, const struct hub_peer *src,
                                  const struct hub_client *dst)
{
	for (struct map_node *n = map_find(&h->edges, hash); n; n = map_again(n)) {
		struct hub_edge *e = CONTAINER_OF(n, struct hub_edge, node);

		if (e->src == src && e->dst == dst)
			return e;
	}
	return NULL;
}

struct hub_edge *hub_edge_get(struct hub *h, struct hub_peer *src, struct hub_client *dst)
{
	uint64_t hash = edge_hash(h, src, dst);
	struct hub_edge *e = find_edge(h, hash, src, dst);

	if (e) {
		list_remove(&e->of_dst);
		list_append(&dst->edges, &e->of_dst);
		return e;
	}
	if (dst->n_edges >= HUB_EDGES_MAX) {
		src->pinned = true;
		hub_edge_free(h, list_first(&dst->edges, struct hub_edge, of_dst),
		              HUB_DROP_QUEUE_HEAD);
		src->pinned = false;
	}
	e = mem_new(struct hub_edge);
	e->src = src;
	e->dst = dst;
	map_insert(&h->edges, &e->node, hash);
	list_append(&src->edges, &e->of_src);
	list_append(&dst->edges, &e->of_dst);
	dst->n_edges++;
	return e;
}

void hub_count_drop(struct hub *h, enum hub_drop why, struct span packet)
{
	enum hub_kind kind = derp_looks_disco(packet) ? HUB_DISCO : HUB_DATA;

	h->count.drops[why][kind]++;
	h->count.drop_bytes[why][kind] += packet.n;
}

void hub_packet_free(struct hub *h, struct hub_packet *p)
{
	pool_put(&h->pool, p, sizeof(*p) + p->n);
}

static void activate(struct hub_client *c, struct hub_flow *f, enum hub_kind kind)
{
	f->deficit = 0;
	list_append(&c->active[kind], &f->active);
}

/* The oldest of a line, taken out of it. */
static struct hub_packet *pop(struct hub_client *c, struct hub_flow *f)
{
	struct hub_packet *p = f->head;

	f->head = p->next;
	f->bytes -= p->n;
	c->queued -= p->n;
	if (!f->head) {
		f->tail = NULL;
		list_remove(&f->active);
	}
	return p;
}

static void drop_head(struct hub *h, struct hub_client *c, struct hub_flow *f, enum hub_kind kind,
                      enum hub_drop why)
{
	struct hub_packet *p = pop(c, f);

	h->count.drops[why][kind]++;
	h->count.drop_bytes[why][kind] += p->n;
	c->dropped++;
	hub_packet_free(h, p);
}

void hub_edge_free(struct hub *h, struct hub_edge *e, enum hub_drop why)
{
	struct hub_peer *src = e->src;

	for (enum hub_kind k = 0; k < HUB_KINDS; k++) {
		while (e->flow[k].head)
			drop_head(h, e->dst, &e->flow[k], k, why);
	}
	list_remove(&e->of_src);
	list_remove(&e->of_dst);
	e->dst->n_edges--;
	map_remove(&h->edges, &e->node);
	free(e);
	h->gen++;
	hub_peer_check(h, src);
}

/* --- a full queue --- */

static struct hub_flow *longest(struct hub_client *c, enum hub_kind kind)
{
	struct hub_flow *f, *most = NULL;

	list_each(f, &c->active[kind], active) {
		if (!most || f->bytes > most->bytes)
			most = f;
	}
	return most;
}

static bool make_room(struct hub *h, struct hub_client *c, struct hub_edge *e, enum hub_kind kind)
{
	struct hub_flow *own = &e->flow[HUB_DATA];
	struct hub_flow *victim;

	/* A line with half of all there is, is the longest: no need to look. */
	victim = own->bytes > c->queued / 2 ? own : longest(c, HUB_DATA);
	if (victim) {
		h->own_drops += victim == own;
		drop_head(h, c, victim, HUB_DATA, HUB_DROP_QUEUE_HEAD);
		return true;
	}
	victim = kind == HUB_DISCO ? longest(c, HUB_DISCO) : NULL;
	if (!victim)
		return false;
	drop_head(h, c, victim, HUB_DISCO, HUB_DROP_QUEUE_HEAD);
	return true;
}

static uint32_t queue_max(const struct hub *h, const struct hub_client *c)
{
	return c->role == HUB_NODE ? h->cfg.client_max : h->cfg.link_max;
}

/* --- sending --- */

struct head {
	uint8_t b[DERP_HEADER + 2 * KEY_LEN];
	size_t n;
};

static void put_head(struct head *ret, const struct hub_edge *e, const struct node_pub *dst_key,
                     size_t packet)
{
	memcpy(ret->b + DERP_HEADER, e->src->key.b, KEY_LEN);
	ret->n = DERP_HEADER + KEY_LEN;
	if (e->dst->role == HUB_LINK) {
		memcpy(ret->b + ret->n, dst_key->b, KEY_LEN);
		ret->n += KEY_LEN;
		derp_put_header(ret->b, DERP_FORWARD_PACKET, 2 * KEY_LEN + packet);
	} else {
		derp_put_header(ret->b, DERP_RECV_PACKET, KEY_LEN + packet);
	}
}

static void put_frame(uint8_t *at, const struct head *head, struct span packet)
{
	memcpy(at, head->b, head->n);
	memcpy(at + head->n, packet.p, packet.n);
}

static void enqueue(struct hub *h, struct hub_edge *e, const struct head *head, struct span packet)
{
	enum hub_kind kind = derp_looks_disco(packet) ? HUB_DISCO : HUB_DATA;
	struct hub_client *c = e->dst;
	struct hub_flow *f = &e->flow[kind];
	uint32_t n = (uint32_t)(head->n + packet.n);
	struct hub_packet *p;

	while (c->queued && c->queued + n > queue_max(h, c)) {
		if (!make_room(h, c, e, kind))
			return hub_count_drop(h, HUB_DROP_QUEUE_TAIL, packet);
	}
	while (!(p = pool_get(&h->pool, sizeof(*p) + n))) {
		if (!make_room(h, c, e, kind))
			return hub_count_drop(h, HUB_DROP_POOL, packet);
	}
	p->next = NULL;
	p->n = n;
	put_frame(p->frame, head, packet);
	if (f->tail)
		f->tail->next = p;
	else
		f->head = p;
	f->tail = p;
	if (!link_in_list(&f->active))
		activate(c, f, kind);
	f->bytes += n;
	c->queued += n;
	h->count.queued++;
}

void hub_send(struct hub *h, struct hub_edge *e, const struct node_pub *dst_key, struct span packet)
{
	struct hub_client *c = e->dst;
	struct head head;
	uint8_t *at = NULL;

	put_head(&head, e, dst_key, packet.n);
	/* Nobody waits, and the socket has not refused: straight behind the rest of this turn. */
	if (!c->queued && !c->blocked)
		at = hub_stage(h, c, head.n + packet.n);
	if (at)
		put_frame(at, &head, packet);
	else
		enqueue(h, e, &head, packet);
	if (c->role == HUB_LINK)
		h->count.forwarded_out++;
	hub_mark(h, c);
}

/* --- service --- */

/* Deficit round robin over the lines of one kind. */
static struct hub_packet *take_kind(struct hub_client *c, enum hub_kind kind, size_t room)
{
	struct hub_flow *f;

	while ((f = list_first(&c->active[kind], struct hub_flow, active))) {
		if (f->head->n > room)
			return NULL;
		if (f->deficit >= (int32_t)f->head->n) {
			f->deficit -= (int32_t)f->head->n;
			return pop(c, f);
		}
		f->deficit += QUANTUM;
		list_remove(&f->active);
		list_append(&c->active[kind], &f->active);
	}
	return NULL;
}

struct hub_packet *hub_take(struct hub *h, struct hub_client *c, size_t room)
{
	(void)h;
	/* The kinds take turns: a flood of either cannot shut out the other. */
	for (unsigned i = 0; i < HUB_KINDS; i++) {
		enum hub_kind kind = (enum hub_kind)(c->turn ^= 1);
		struct hub_packet *p = take_kind(c, kind, room);

		if (p)
			return p;
	}
	return NULL;
}
