#include <stdlib.h>
#include <string.h>

#include "coordinator/maphub_priv.h"

void merged_done(struct merged *m)
{
	vec_done(&m->nodes);
	vec_done(&m->users);
}

static int by_id(const void *a, const void *b)
{
	const struct merged_node *x = a, *y = b;

	return (x->id > y->id) - (x->id < y->id);
}

static void fold(struct merged *m)
{
	size_t kept = 0;

	if (m->nodes.n > 1)
		qsort(m->nodes.v, m->nodes.n, sizeof(*m->nodes.v), by_id);
	for (size_t i = 0; i < m->nodes.n; i++)
		if (kept && m->nodes.v[kept - 1].id == m->nodes.v[i].id)
			m->nodes.v[kept - 1].what |= m->nodes.v[i].what;
		else
			m->nodes.v[kept++] = m->nodes.v[i];
	m->nodes.n = kept;
}

static void merge(const struct state *st, uint64_t from, struct merged *m)
{
	m->from = from;
	m->to = state_seq(st);
	m->nodes.n = m->users.n = 0;
	for (uint64_t seq = from + 1; seq <= m->to; seq++) {
		const struct change *c = state_change(st, seq);

		if (c->kind == CHANGE_NODE)
			vec_push(&m->nodes, ((struct merged_node){ c->id, c->what }));
		else if (c->kind == CHANGE_USER)
			node_ids_add(&m->users, c->id);
	}
	fold(m);
}

/* The caller has made sure that the journal still reaches back to `from`. */
const struct merged *mapdelta_merged(struct maphub *h, uint64_t from)
{
	uint64_t to = state_seq(h->st);

	for (size_t i = 0; i < MERGED_KEPT; i++)
		if (h->merged[i].from == from && h->merged[i].to == to)
			return &h->merged[i];

	struct merged *m = &h->merged[h->next_merged++ % MERGED_KEPT];

	merge(h->st, from, m);
	return m;
}

unsigned merged_what(const struct merged *m, uint64_t id)
{
	struct merged_node key = { .id = id };
	const struct merged_node *at = m->nodes.n ? bsearch(&key, m->nodes.v, m->nodes.n,
	                                                    sizeof(key), by_id)
	                                          : NULL;

	return at ? at->what : 0;
}

void delta_done(struct delta *d)
{
	view_unref(d->from);
	view_unref(d->to);
	piece_unref(d->piece);
	vec_done(&d->full);
	*d = (struct delta){ 0 };
}

/* ---- building ---- */

/* A JSON object whose members come and go: "{" or "," before each. */
static void member(struct buf *out, const char *name)
{
	buf_add_str(out, out->n ? "," : "{");
	buf_fmt(out, "\"%s\":", name);
}

/* Some node whose owner the client was told of, and that is still in the map, has it. */
static bool owner_known(const struct state *st, const struct view *from, const struct view *to,
                        const struct merged *m, uint64_t owner)
{
	for (size_t i = 0; i < from->n; i++) {
		const struct node *n = state_node(st, from->ids[i]);

		if (n && mapjson_owner(n) == owner && (from == to || view_has(to, n->id)) &&
		    !(merged_what(m, n->id) & NODE_OWNER))
			return true;
	}
	return false;
}

static bool owner_seen(const struct state *st, const struct view *to, uint64_t owner)
{
	for (size_t i = 0; i < to->n; i++) {
		const struct node *n = state_node(st, to->ids[i]);

		if (n && n->user_id == owner)
			return true;
	}
	return false;
}

struct builder {
	struct map_world world;
	const struct view *from, *to;
	const struct merged *merged;
	struct node_ids added, removed;
	const struct node *viewer;
	bool viewer_alone; /* the message is for the viewer only: leave it out itself */
	struct delta *out;
	struct buf json;
};

static void put_profiles(struct builder *b)
{
	const struct state *st = b->world.st;
	struct node_ids owners = { 0 };

	for (size_t i = 0; i < b->added.n; i++) {
		const struct node *n = state_node(st, b->added.v[i]);
		uint64_t owner = n ? mapjson_owner(n) : 0;

		if (n && !node_ids_has(&owners, owner) &&
		    !owner_known(st, b->from, b->to, b->merged, owner))
			node_ids_add(&owners, owner);
	}
	for (size_t i = 0; i < b->out->full.n; i++) {
		const struct node *n = state_node(st, b->out->full.v[i]);

		if (n && (merged_what(b->merged, n->id) & NODE_OWNER))
			node_ids_add(&owners, mapjson_owner(n));
	}
	for (size_t i = 0; i < b->merged->users.n; i++)
		if (state_user(st, b->merged->users.v[i]) &&
		    owner_seen(st, b->to, b->merged->users.v[i]))
			node_ids_add(&owners, b->merged->users.v[i]);
	if (owners.n) {
		member(&b->json, "UserProfiles");
		for (size_t i = 0; i < owners.n; i++) {
			buf_add_str(&b->json, i ? "," : "[");
			mapjson_profile(st, owners.v[i], &b->json);
		}
		buf_add_str(&b->json, "]");
	}
	vec_done(&owners);
}

static bool is_itself(const struct builder *b, uint64_t id)
{
	return b->viewer_alone && id == b->viewer->id;
}

/* Sent whole: the new ones, and those whose change no patch can say. */
static void collect_full(struct builder *b)
{
	for (size_t i = 0; i < b->added.n; i++)
		node_ids_add(&b->out->full, b->added.v[i]);
	for (size_t i = 0; i < b->merged->nodes.n; i++) {
		const struct merged_node *m = &b->merged->nodes.v[i];
		const struct node *n = state_node(b->world.st, m->id);

		if (n && m->what && view_has(b->to, m->id) && !mapjson_patchable(n, m->what))
			node_ids_add(&b->out->full, m->id);
	}
}

static void put_full(struct builder *b)
{
	bool first = true;

	for (size_t i = 0; i < b->out->full.n; i++) {
		const struct node *n = state_node(b->world.st, b->out->full.v[i]);

		if (!n || is_itself(b, n->id))
			continue;
		if (first)
			member(&b->json, "PeersChanged");
		buf_add_str(&b->json, first ? "[" : ",");
		mapjson_peer_cached(&b->world, n, b->viewer, &b->json);
		first = false;
	}
	if (!first)
		buf_add_str(&b->json, "]");
}

static void put_removed(struct builder *b)
{
	if (!b->removed.n)
		return;
	member(&b->json, "PeersRemoved");
	for (size_t i = 0; i < b->removed.n; i++)
		buf_fmt(&b->json, "%c%llu", i ? ',' : '[', (unsigned long long)b->removed.v[i]);
	buf_add_str(&b->json, "]");
}

static void put_patches(struct builder *b)
{
	bool first = true;

	for (size_t i = 0; i < b->merged->nodes.n; i++) {
		const struct merged_node *m = &b->merged->nodes.v[i];
		const struct node *n = state_node(b->world.st, m->id);

		if (!n || !m->what || !view_has(b->to, m->id) || is_itself(b, m->id) ||
		    node_ids_has(&b->out->full, m->id))
			continue;
		if (first)
			member(&b->json, "PeersChangedPatch");
		buf_add_str(&b->json, first ? "[" : ",");
		mapjson_patch(n, m->what, &b->json);
		first = false;
	}
	if (!first)
		buf_add_str(&b->json, "]");
}

static void build(struct maphub *h, struct builder *b)
{
	view_diff(b->from, b->to, &b->added, &b->removed);
	collect_full(b);
	b->json = h->scratch;
	buf_clear(&b->json);
	put_full(b);
	put_removed(b);
	put_patches(b);
	put_profiles(b);
	if (b->json.n) {
		buf_add_str(&b->json, "}");
		b->out->piece = piece_encode(h->coder, b->out->form, buf_span(&b->json));
	}
	h->scratch = b->json;
	vec_done(&b->added);
	vec_done(&b->removed);
}

static struct builder builder_for(struct mapsess *s, const struct node *n, struct view *to,
                                  const struct merged *m, wall now, struct delta *out)
{
	*out = (struct delta){
		.from = view_ref(s->view),
		.to = view_ref(to),
		.since = m->from,
		.until = m->to,
		.form = s->form,
	};
	return (struct builder){
		.world = maphub_world(s->hub, now),
		.from = s->view,
		.to = to,
		.merged = m,
		.viewer = n,
		.out = out,
	};
}

/* The class's delta from where this session stands, from the cache or built now. */
static const struct delta *class_delta(struct mapsess *s, const struct node *n,
                                       struct class_cache *cache, struct view *to,
                                       const struct merged *m, wall now)
{
	for (size_t i = 0; i < DELTAS_KEPT; i++) {
		const struct delta *d = &cache->deltas[i];

		if (d->from == s->view && d->to == to && d->since == m->from && d->until == m->to &&
		    d->form == s->form) {
			s->hub->count.delta_shared += d->piece != NULL;
			return d;
		}
	}

	struct delta *d = &cache->deltas[cache->next_delta++ % DELTAS_KEPT];

	delta_done(d);

	struct builder b = builder_for(s, n, to, m, now, d);

	build(s->hub, &b);
	return d;
}

static struct piece *private_delta(struct mapsess *s, const struct node *n, struct view *to,
                                   const struct merged *m, wall now)
{
	struct delta d;
	struct builder b = builder_for(s, n, to, m, now, &d);
	struct piece *p;

	b.viewer_alone = true;
	build(s->hub, &b);
	p = d.piece ? piece_ref(d.piece) : NULL;
	delta_done(&d);
	s->hub->count.private ++;
	return p;
}

/* What of a node's own record it is told about. */
enum { SELF_TOLD = NODE_EXPIRY | NODE_NAME | NODE_ROUTES | NODE_OWNER | NODE_AUTHORIZED };

int mapdelta_next(struct mapsess *s, const struct node *n, wall now, struct mapmsg *ret)
{
	struct maphub *h = s->hub;
	struct class *class = visibility_class(h->vis, s->node);
	struct class_cache *cache = maphub_cache(h, class);
	struct view *to = visibility_view(h->vis, class);
	struct piece *piece = NULL;

	if (s->seq == state_seq(h->st) && s->view == to)
		return 0;

	const struct merged *m = mapdelta_merged(h, s->seq);
	const struct delta *d = cache ? class_delta(s, n, cache, to, m, now) : NULL;

	if (d && !node_ids_has(&d->full, s->node))
		piece = d->piece ? piece_ref(d->piece) : NULL;
	else
		piece = private_delta(s, n, to, m, now);
	s->self_dirty |= (merged_what(m, s->node) & SELF_TOLD) != 0;
	s->seq = m->to;
	view_ref(to);
	view_unref(s->view);
	s->view = to;
	if (!piece)
		return 0;
	h->count.delta++;
	mapmsg_add(ret, piece);
	return 1;
}
