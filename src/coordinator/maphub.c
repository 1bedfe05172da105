#include "coordinator/maphub_priv.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"

struct map_world maphub_world(const struct maphub *h, wall now)
{
	return (struct map_world){ h->st, h->judge, h->settings, now };
}

/* ---- caches of classes ---- */

static void cache_free(void *slot)
{
	struct class_cache *c = slot;

	for (size_t i = 0; i < PIECE_FORMS; i++)
		image_unref(c->image[i]);
	for (size_t i = 0; i < DELTAS_KEPT; i++)
		delta_done(&c->deltas[i]);
	free(c);
}

struct class_cache *maphub_cache(struct maphub *h, struct class *c)
{
	void **slot;

	(void)h;
	if (!c)
		return NULL;
	slot = class_slot(c, cache_free);
	if (!*slot)
		*slot = mem_new(struct class_cache);
	return *slot;
}

/* ---- the hub ---- */

static void set_text(char **slot, struct span text)
{
	free(*slot);
	*slot = text.n ? span_dup(text) : NULL;
}

static void encode_derp(struct maphub *h)
{
	for (enum piece_form f = 0; f < PIECE_FORMS; f++) {
		struct buf text = { 0 };

		buf_fmt(&text, "{\"DERPMap\":%s", h->derp);
		piece_unref(h->derp_piece[f]);
		h->derp_piece[f] = piece_encode(h->coder, f, buf_span(&text));
		buf_done(&text);
	}
}

void maphub_set_derp(struct maphub *h, struct span derp_map)
{
	if (h->derp && span_is(derp_map, h->derp))
		return;
	set_text(&h->derp, derp_map);
	h->derp_version++;
	encode_derp(h);
}

void maphub_set_dns(struct maphub *h, struct span dns)
{
	if (h->dns && span_is(dns, h->dns))
		return;
	set_text(&h->dns, dns);
	h->dns_is_own = mapdns_is_own(dns) || h->settings->certificates;
	h->dns_version++;
}

struct maphub *maphub_new(const struct state *st, const struct judge *judge,
                          const struct map_settings *settings)
{
	struct maphub *h = mem_new(struct maphub);

	h->st = st;
	h->judge = judge;
	h->settings = settings;
	h->vis = visibility_new(st, judge);
	h->steering_epoch = 1;
	mapsteer_begin(h);
	h->coder = piece_coder_new();
	list_init(&h->sessions);
	for (enum piece_form f = 0; f < PIECE_FORMS; f++) {
		h->end_piece[f] = piece_encode(h->coder, f, SPAN_LIT("]}"));
		h->keepalive[f] = piece_encode(h->coder, f, SPAN_LIT("{\"KeepAlive\":true}"));
	}
	maphub_set_derp(h, SPAN_LIT("{\"Regions\":{},\"omitDefaultRegions\":true}"));
	return h;
}

void maphub_free(struct maphub *h)
{
	if (!h)
		return;
	visibility_free(h->vis);
	vec_done(&h->routers);
	for (size_t f = 0; f < PIECE_FORMS; f++) {
		piece_unref(h->end_piece[f]);
		piece_unref(h->keepalive[f]);
		piece_unref(h->derp_piece[f]);
	}
	for (size_t i = 0; i < MERGED_KEPT; i++)
		merged_done(&h->merged[i]);
	piece_coder_free(h->coder);
	buf_done(&h->scratch);
	free(h->derp);
	free(h->dns);
	free(h);
}

void maphub_changed(struct maphub *h, const struct change *c)
{
	mapsteer_changed(h, c);
	if (c->kind == CHANGE_POLICY)
		visibility_rebuild(h->vis);
	else if (c->kind == CHANGE_NODE && (c->what & NODE_JUDGED))
		visibility_node(h->vis, c->id);
	else if (c->kind == CHANGE_USER)
		visibility_user(h->vis, c->id);
}

struct piece *maphub_keepalive(struct maphub *h, enum piece_form form)
{
	return piece_ref(h->keepalive[form]);
}

const struct maphub_count *maphub_count(const struct maphub *h)
{
	return &h->count;
}

const struct visibility *maphub_visibility(const struct maphub *h)
{
	return h->vis;
}

/* ---- sessions ---- */

struct mapsess *mapsess_new(struct maphub *h, uint64_t node, enum piece_form form, bool once)
{
	struct mapsess *s = mem_new(struct mapsess);

	s->hub = h;
	s->node = node;
	s->form = form;
	s->once = once;
	if (!once)
		list_append(&h->sessions, &s->link);
	return s;
}

void mapsess_returns(struct mapsess *s)
{
	s->returns = true;
}

static void drop_ping(struct mapsess *s)
{
	struct ping *p = s->pings;

	s->pings = p->next;
	free(p->json);
	free(p);
}

void mapsess_free(struct mapsess *s)
{
	if (!s)
		return;
	list_remove(&s->link);
	view_unref(s->view);
	while (s->pings)
		drop_ping(s);
	free(s);
}

uint64_t mapsess_node(const struct mapsess *s)
{
	return s->node;
}

void mapsess_ping(struct mapsess *s, struct span ping_request)
{
	struct ping **at = &s->pings;

	while (*at)
		at = &(*at)->next;
	*at = mem_new(struct ping);
	(*at)->json = span_dup(ping_request);
}

static uint64_t sum_of(struct span s)
{
	static const uint64_t key[2] = { 1, 2 };

	return siphash(key, s.p, s.n);
}

static void member(struct buf *out, const char *name, struct span value)
{
	buf_add_str(out, out->n ? "," : "{");
	buf_fmt(out, "\"%s\":", name);
	buf_add_span(out, value);
}

/* A part that is sent when it differs from the last one sent. */
static void if_differs(struct buf *out, const char *name, struct buf *text, uint64_t *sum)
{
	uint64_t now = sum_of(buf_span(text));

	if (now != *sum)
		member(out, name, buf_span(text));
	*sum = now;
	buf_clear(text);
}

static void put_judged(struct mapsess *s, const struct map_world *w, const struct node *n,
                       struct buf *out)
{
	struct buf text = { 0 };

	if (n->authorized)
		w->judge->filter(w->judge->arg, n, &text);
	else
		buf_add_str(&text, "{\"base\":[]}");
	if_differs(out, "PacketFilters", &text, &s->filter_sum);
	if (n->authorized)
		w->judge->ssh(w->judge->arg, n, &text);
	else
		buf_add_str(&text, "{\"rules\":[]}");
	if_differs(out, "SSHPolicy", &text, &s->ssh_sum);
	buf_done(&text);
}

static void put_self(struct mapsess *s, const struct map_world *w, const struct node *n,
                     struct buf *out)
{
	struct buf text = { 0 };

	uint64_t before = s->attr_sum;

	mapjson_self(w, n, &text);
	if_differs(out, "Node", &text, &s->attr_sum);
	if (s->attr_sum != before) {
		/* It may belong to somebody else now. */
		buf_add_str(&text, "[");
		mapjson_profile(w->st, mapjson_owner(n), &text);
		buf_add_str(&text, "]");
		member(out, "UserProfiles", buf_span(&text));
	}
	s->self_dirty = false;
	buf_done(&text);
}

static void put_dns(struct mapsess *s, const struct map_world *w, const struct node *n,
                    struct buf *out)
{
	struct buf text = { 0 };

	mapdns_put(s->hub, w, n, &text);
	if_differs(out, "DNSConfig", &text, &s->dns_sum);
	buf_done(&text);
}

/* Routers whose routes are others for this viewer now, though they did not change. */
static void put_steered(struct mapsess *s, const struct map_world *w, const struct node *n,
                        struct buf *out)
{
	uint64_t sum = mapsteer_sum(s->hub, w, n);
	struct buf text = { 0 };

	s->steering_epoch = s->hub->steering_epoch;
	if (sum == s->steering)
		return;
	s->steering = sum;
	mapsteer_put(s->hub, w, n, &text);
	if (text.n > 2)
		member(out, "PeersChanged", buf_span(&text));
	buf_done(&text);
}

/* What the policy may say of this node that was not sent, of JUDGED_*. */
static unsigned judged_anew(struct mapsess *s, const struct judge *j, const struct node *n)
{
	uint64_t since = s->stamp, now = j->stamp(j->arg);

	s->stamp = now;
	if (since == now)
		return 0;
	return j->touched ? j->touched(j->arg, n, since) : JUDGED_ALL;
}

/* What concerns this client alone. */
static int next_own(struct mapsess *s, const struct node *n, wall now, struct mapmsg *ret)
{
	struct maphub *h = s->hub;
	struct map_world w = maphub_world(h, now);
	unsigned judged = judged_anew(s, w.judge, n);
	bool self = s->self_dirty || (judged & JUDGED_ATTRIBUTES);
	struct buf out = { 0 };

	if (self)
		put_self(s, &w, n, &out);
	if (judged & JUDGED_RULES)
		put_judged(s, &w, n, &out);
	if (h->dns && (s->dns_version != h->dns_version || (self && h->dns_is_own)))
		put_dns(s, &w, n, &out);
	if (s->derp_version != h->derp_version)
		member(&out, "DERPMap", span_str(h->derp));
	if (self || judged || s->steering_epoch != h->steering_epoch)
		put_steered(s, &w, n, &out);
	s->dns_version = h->dns_version;
	s->derp_version = h->derp_version;
	if (s->pings) {
		member(&out, "PingRequest", span_str(s->pings->json));
		drop_ping(s);
	}
	if (!out.n)
		return 0;
	buf_add_str(&out, "}");
	mapmsg_add(ret, piece_encode(h->coder, s->form, buf_span(&out)));
	buf_done(&out);
	return 1;
}

/* Too far behind for the journal: the whole again, and who is gone by name. */
static int start_again(struct mapsess *s, const struct node *n, wall now, struct mapmsg *ret)
{
	struct view *had = s->view;
	struct node_ids added = { 0 }, removed = { 0 };
	int r;

	s->view = NULL;
	r = mapfull_build(s, n, now, ret);
	/* An empty list of peers says nothing: name those who went. */
	view_diff(had, s->view, &added, &removed);
	if (s->view->n > 1 || (s->view->n == 1 && s->view->ids[0] != s->node))
		removed.n = 0;
	if (removed.n) {
		/* Said by the next delta: stand where they were still to be removed. */
		view_unref(s->view);
		s->view = view_ref(had);
	}
	view_unref(had);
	vec_done(&added);
	vec_done(&removed);
	return r;
}

int mapsess_next(struct mapsess *s, wall now, struct mapmsg *ret)
{
	const struct state *st = s->hub->st;
	const struct node *n = state_node(st, s->node);
	int r;

	if (!n)
		return ERR_UNKNOWN;
	if (!s->started)
		return mapfull_build(s, n, now, ret);
	if (s->seq < state_seq(st) && !state_change(st, s->seq + 1))
		return start_again(s, n, now, ret);
	r = mapdelta_next(s, n, now, ret);
	return r ? r : next_own(s, n, now, ret);
}
