#include <stdlib.h>
#include <string.h>

#include "coordinator/maphub_priv.h"

/* ---- images ---- */

void image_unref(struct image *i)
{
	if (!i || --i->refs)
		return;
	for (size_t k = 0; k < i->chunks.n; k++)
		piece_unref(i->chunks.v[k]);
	vec_done(&i->chunks);
	vec_done(&i->owners);
	view_unref(i->view);
	free(i);
}

static void put_chunk(const struct map_world *w, const struct view *v, size_t chunk,
                      const struct node *viewer, uint64_t without, struct buf *out)
{
	size_t end = (chunk + 1) * IMAGE_CHUNK;

	for (size_t i = chunk * IMAGE_CHUNK; i < end && i < v->n; i++) {
		const struct node *n = state_node(w->st, v->ids[i]);

		if (!n || n->id == without)
			continue;
		buf_add_str(out, ",");
		mapjson_peer_cached(w, n, viewer, out);
	}
}

static void collect_owners(const struct state *st, const struct view *v, struct node_ids *owners)
{
	for (size_t i = 0; i < v->n; i++) {
		const struct node *n = state_node(st, v->ids[i]);

		if (n)
			node_ids_add(owners, mapjson_owner(n));
	}
}

/*
 * The chunk holds the same nodes as it did in the older image, and none of them has
 * changed since. Routers look different to each viewer: theirs are always made anew.
 */
static bool same_chunk(const struct state *st, const struct image *old, const struct view *v,
                       size_t chunk)
{
	size_t begin = chunk * IMAGE_CHUNK, end = begin + IMAGE_CHUNK;

	/* The last one of either may be short. */
	end = end < v->n ? end : v->n;
	if (end > old->view->n || (end < begin + IMAGE_CHUNK && end != old->view->n))
		return false;
	for (size_t i = begin; i < end; i++) {
		const struct node *n = state_node(st, v->ids[i]);

		if (v->ids[i] != old->view->ids[i] || !n || n->version > old->seq || n->approved.n)
			return false;
	}
	return true;
}

static struct piece *chunk_piece(struct maphub *h, const struct map_world *w,
                                 const struct image *old, const struct view *v, size_t chunk,
                                 const struct node *viewer, enum piece_form form)
{
	if (old && same_chunk(h->st, old, v, chunk))
		return piece_ref(old->chunks.v[chunk]);
	buf_clear(&h->scratch);
	put_chunk(w, v, chunk, viewer, 0, &h->scratch);
	return piece_encode(h->coder, form, buf_span(&h->scratch));
}

/* old: the class's image before, of the same form; NULL: none. */
static struct image *image_new(struct maphub *h, struct view *view, const struct image *old,
                               const struct node *viewer, enum piece_form form, wall now)
{
	struct map_world w = maphub_world(h, now);
	struct image *i = mem_new(struct image);

	i->refs = 1;
	i->view = view_ref(view);
	i->seq = state_seq(h->st);
	i->form = form;
	i->steering = mapsteer_sum(h, &w, viewer);
	collect_owners(h->st, view, &i->owners);
	for (size_t k = 0; k * IMAGE_CHUNK < view->n; k++)
		vec_push(&i->chunks, chunk_piece(h, &w, old, view, k, viewer, form));
	h->count.images++;
	return i;
}

/*
 * An old image costs its users a longer first delta; past this a new one is
 * cheaper. Who takes the map once has no delta; who has a map from before must
 * not miss a peer of it even for a moment.
 */
static bool fresh_enough(const struct maphub *h, const struct image *i, const struct mapsess *s,
                         const struct view *now)
{
	if (s->returns && (i->view->n != now->n ||
	                   memcmp(i->view->ids, now->ids, now->n * sizeof(*now->ids)) != 0))
		return false;
	return state_seq(h->st) - i->seq <= (s->once ? 0 : 64 + i->view->n / 2);
}

static struct image *image_of(struct mapsess *s, struct class *class, const struct node *viewer,
                              wall now)
{
	struct maphub *h = s->hub;
	enum piece_form form = s->form;
	struct class_cache *cache = maphub_cache(h, class);

	struct view *view = visibility_view(h->vis, cache ? class : NULL);
	struct image *old = cache ? cache->image[form] : NULL;

	if (!cache)
		return image_new(h, view, NULL, viewer, form, now);
	if (!old || !fresh_enough(h, old, s, view)) {
		cache->image[form] = image_new(h, view, old, viewer, form, now);
		image_unref(old);
	}
	cache->image[form]->refs++;
	return cache->image[form];
}

/* ---- the message ---- */

static size_t place_in(const struct view *v, uint64_t id)
{
	for (size_t i = 0; i < v->n; i++)
		if (v->ids[i] == id)
			return i;
	return 0;
}

static void put_profiles(const struct map_world *w, const struct image *i, const struct node *self,
                         struct buf *out)
{
	buf_add_str(out, ",\"UserProfiles\":[");
	mapjson_profile(w->st, mapjson_owner(self), out);
	for (size_t k = 0; k < i->owners.n; k++) {
		if (i->owners.v[k] == mapjson_owner(self))
			continue;
		buf_add_str(out, ",");
		mapjson_profile(w->st, i->owners.v[k], out);
	}
	buf_add_str(out, "]");
}

static uint64_t sum_of(struct span s)
{
	static const uint64_t key[2] = { 1, 2 };

	return siphash(key, s.p, s.n);
}

static void put_judged(struct mapsess *s, const struct map_world *w, const struct node *n,
                       struct buf *out)
{
	size_t at;

	buf_add_str(out, ",\"PacketFilters\":");
	at = out->n;
	if (n->authorized)
		w->judge->filter(w->judge->arg, n, out);
	else
		buf_add_str(out, "{\"base\":[]}");
	s->filter_sum = sum_of(span(out->p + at, out->n - at));
	buf_add_str(out, ",\"SSHPolicy\":");
	at = out->n;
	if (n->authorized)
		w->judge->ssh(w->judge->arg, n, out);
	else
		buf_add_str(out, "{\"rules\":[]}");
	s->ssh_sum = sum_of(span(out->p + at, out->n - at));
	s->stamp = w->judge->stamp(w->judge->arg);
}

static void put_own_part(struct mapsess *s, const struct map_world *w, const struct node *n,
                         const struct image *i, struct buf *out)
{
	const struct maphub *h = s->hub;
	char time[TIME_TEXT_MAX];
	size_t at;

	buf_add_str(out, ",\"Node\":");
	at = out->n;
	mapjson_self(w, n, out);
	s->attr_sum = sum_of(span(out->p + at, out->n - at));
	if (*w->settings->domain)
		buf_fmt(out, ",\"Domain\":\"%s\"", w->settings->domain);
	buf_fmt(out, ",\"CollectServices\":false,\"ControlTime\":\"%s\"", wall_text(w->now, time));
	if (!w->settings->logtail)
		buf_add_str(out, ",\"Debug\":{\"DisableLogTail\":true}");
	if (h->dns) {
		buf_add_str(out, ",\"DNSConfig\":");
		at = out->n;
		mapdns_put(h, w, n, out);
		s->dns_sum = sum_of(span(out->p + at, out->n - at));
	}
	put_judged(s, w, n, out);
	put_profiles(w, i, n, out);
}

/*
 * The list begins with the chunk this node is in, encoded anew without it, and
 * goes on with the shared ones. Should that chunk be empty, others take its place.
 */
static void put_peers(struct mapsess *s, const struct map_world *w, const struct image *i,
                      const struct node *n, struct mapmsg *ret)
{
	struct maphub *h = s->hub;
	size_t mine = place_in(i->view, s->node) / IMAGE_CHUNK;
	size_t upto = 0;
	struct buf first = { 0 };

	put_chunk(w, i->view, mine, n, s->node, &first);
	for (; !first.n && upto < i->chunks.n; upto++)
		if (upto != mine)
			put_chunk(w, i->view, upto, n, s->node, &first);
	if (first.n) {
		first.p[0] = '[';
		buf_add_str(&h->scratch, ",\"Peers\":");
		buf_add_span(&h->scratch, buf_span(&first));
	} else {
		buf_add_str(&h->scratch, "}");
	}
	mapmsg_add(ret, piece_encode(h->coder, s->form, buf_span(&h->scratch)));
	for (size_t k = upto; first.n && k < i->chunks.n; k++)
		if (k != mine)
			mapmsg_add(ret, piece_ref(i->chunks.v[k]));
	if (first.n)
		mapmsg_add(ret, piece_ref(h->end_piece[s->form]));
	buf_done(&first);
}

int mapfull_build(struct mapsess *s, const struct node *n, wall now, struct mapmsg *ret)
{
	struct maphub *h = s->hub;
	struct map_world w = maphub_world(h, now);
	struct class *class = visibility_class(h->vis, s->node);
	struct image *i = image_of(s, class, n, now);

	mapmsg_add(ret, piece_ref(h->derp_piece[s->form]));
	buf_clear(&h->scratch);
	put_own_part(s, &w, n, i, &h->scratch);
	put_peers(s, &w, i, n, ret);
	s->seq = i->seq;
	view_unref(s->view);
	s->view = view_ref(i->view);
	s->derp_version = h->derp_version;
	s->dns_version = h->dns_version;
	/* Of when the chunks were made; checked with the first delta. */
	s->steering = i->steering;
	s->steering_epoch = 0;
	s->started = true;
	s->self_dirty = false;
	image_unref(i);
	h->count.full++;
	return 1;
}
