/*
 * Routes that depend on who looks. Which router serves a prefix is told like any
 * change of that router. Besides, the policy takes routes from some viewers and
 * gives them others by a router of its choice (via): that changes with the policy,
 * with the viewer's class and with which routers are there, and then no router has
 * changed itself. Each session remembers a sum of what the policy did for it; when
 * it is another, the routers it sees are told again.
 */
#include "coordinator/maphub_priv.h"

/* A router's changes that may move an election. */
enum {
	MOVES = NODE_ADDED | NODE_REMOVED | NODE_ROUTES | NODE_ONLINE | NODE_EXPIRY | NODE_OWNER |
	        NODE_AUTHORIZED,
};

static void forget(struct node_ids *ids, uint64_t id)
{
	for (size_t i = 0; i < ids->n; i++)
		if (ids->v[i] == id) {
			vec_remove(ids, i);
			return;
		}
}

void mapsteer_begin(struct maphub *h)
{
	struct node_list all = { 0 };

	state_nodes(h->st, &all);
	vec_each(const struct node **, n, &all)
		if ((*n)->approved.n)
			node_ids_add(&h->routers, (*n)->id);
	vec_done(&all);
}

void mapsteer_changed(struct maphub *h, const struct change *c)
{
	const struct node *n = c->kind == CHANGE_NODE ? state_node(h->st, c->id) : NULL;
	bool is = n && n->approved.n, was;

	if (c->kind == CHANGE_POLICY || c->kind == CHANGE_USER)
		h->steering_epoch++;
	if (c->kind != CHANGE_NODE || !(c->what & MOVES))
		return;
	was = h->routers.n && node_ids_has(&h->routers, c->id);
	if (is && !was)
		node_ids_add(&h->routers, c->id);
	else if (was && !is)
		forget(&h->routers, c->id);
	if (is || was)
		h->steering_epoch++;
}

static void put_difference(char sign, const struct prefixes *from, const struct prefixes *to,
                           struct buf *out)
{
	char text[PREFIX_TEXT_MAX];

	for (size_t i = 0; i < to->n; i++)
		if (!prefixes_has(from, &to->v[i]))
			buf_fmt(out, " %c%s", sign, prefix_text(&to->v[i], text));
}

static void put_steered(const struct map_world *w, const struct node *viewer,
                        const struct node *router, struct buf *out)
{
	struct prefixes served = { 0 }, shown = { 0 };

	state_served_routes(w->st, router, true, &served);
	prefixes_copy(&shown, &served);
	w->judge->routes_for(w->judge->arg, viewer, router, &shown);
	buf_fmt(out, "%llu", (unsigned long long)router->id);
	put_difference('+', &served, &shown, out);
	put_difference('-', &shown, &served, out);
	prefixes_done(&served);
	prefixes_done(&shown);
}

static uint64_t sum_for(struct maphub *h, const struct map_world *w, const struct node *viewer,
                        struct class *class)
{
	static const uint64_t key[2] = { 3, 4 };
	const struct view *view = visibility_view(h->vis, class);
	struct buf text = { 0 };
	uint64_t sum;

	for (size_t i = 0; i < h->routers.n; i++) {
		const struct node *router = state_node(h->st, h->routers.v[i]);

		if (router && router->id != viewer->id && view_has(view, router->id))
			put_steered(w, viewer, router, &text);
	}
	sum = siphash(key, text.p, text.n);
	buf_done(&text);
	return sum;
}

uint64_t mapsteer_sum(struct maphub *h, const struct map_world *w, const struct node *viewer)
{
	struct class *class = visibility_class(h->vis, viewer->id);
	struct class_cache *cache = maphub_cache(h, class);

	if (!class || !h->routers.n)
		return 0;
	if (viewer->approved.n)
		return sum_for(h, w, viewer, class);
	if (cache->steering_epoch != h->steering_epoch) {
		cache->steering = sum_for(h, w, viewer, class);
		cache->steering_epoch = h->steering_epoch;
	}
	return cache->steering;
}

void mapsteer_put(struct maphub *h, const struct map_world *w, const struct node *viewer,
                  struct buf *out)
{
	const struct view *view = visibility_view(h->vis, visibility_class(h->vis, viewer->id));
	const char *before = "[";

	for (size_t i = 0; i < h->routers.n; i++) {
		const struct node *router = state_node(h->st, h->routers.v[i]);

		if (!router || router->id == viewer->id || !view_has(view, router->id))
			continue;
		buf_add_str(out, before);
		mapjson_peer(w, router, viewer, out);
		before = ",";
	}
	buf_add_str(out, *before == '[' ? "[]" : "]");
}
