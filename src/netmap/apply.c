/* What a message of the map stream does to the map. */
#include <stdlib.h>

#include "base/err.h"
#include "netmap/priv.h"

/* One message at work. */
struct work {
	struct netmap *m;
	struct netmap_delta *d;
	wall now;
};

/* ---- peers ---- */

static void note(struct work *w, struct netmap_peer *p, unsigned mask,
                 const struct node_pub *old_key)
{
	struct netmap_change *c = NULL;

	/* Several parts of one message may touch one peer; it is told once. */
	for (size_t i = w->d->peers.n; i > 0 && i + 8 > w->d->peers.n; i--)
		if (w->d->peers.v[i - 1].peer == p)
			c = &w->d->peers.v[i - 1];
	if (!c) {
		c = vec_add(&w->d->peers);
		c->peer = p;
	}
	if ((mask & TC_CHANGED_KEY) && !(c->mask & TC_CHANGED_KEY) && old_key)
		c->old_key = *old_key;
	c->mask |= mask;
}

static void upsert(struct work *w, const struct tc_node *n)
{
	struct netmap_peer *p = n && n->id > 0 ? netmap_peer(w->m, n->id) : NULL;
	struct node_pub old_key;
	unsigned mask;

	if (!n || n->id <= 0)
		return;
	if (!p) {
		p = netmap_peer_add(w->m, n);
		note(w, p, TC_CHANGED_ALL, NULL);
		w->d->peers.v[w->d->peers.n - 1].added = true;
		return;
	}
	mask = tc_node_diff(p->node, n);
	if (!mask)
		return;
	old_key = p->node->key;
	netmap_peer_replace(w->m, p, n, mask);
	note(w, p, mask, &old_key);
}

static void remove_peer(struct work *w, struct netmap_peer *p)
{
	struct netmap_change *c;

	if (!p)
		return;
	netmap_peer_take(w->m, p);
	c = vec_add(&w->d->peers);
	*c = (struct netmap_change){ .peer = p, .removed = true };
}

static void patch(struct work *w, const struct tc_peer_change *c)
{
	struct netmap_peer *p = c ? netmap_peer(w->m, c->node_id) : NULL;
	struct tc_node n;
	unsigned mask;

	if (!p)
		return;
	n = *p->node;
	mask = tc_node_patch(&n, c);
	if (mask) {
		struct node_pub old_key = p->node->key;

		netmap_peer_replace(w->m, p, &n, mask);
		note(w, p, mask, &old_key);
	}
}

static int by_id(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

/* The list is complete: who is not in it is gone. */
static void replace_all(struct work *w, const struct tc_nodes *list)
{
	AUTO_FREE int64_t *ids = mem_new_n(int64_t, list->n ? list->n : 1);
	struct netmap_peer *next;
	size_t n = 0;

	for (size_t i = 0; i < list->n; i++)
		if (list->v[i])
			ids[n++] = list->v[i]->id;
	qsort(ids, n, sizeof(*ids), by_id);
	for (struct netmap_peer *p = netmap_first(w->m); p; p = next) {
		next = netmap_next(w->m, p);
		if (!bsearch(&p->node->id, ids, n, sizeof(*ids), by_id))
			remove_peer(w, p);
	}
	for (size_t i = 0; i < list->n; i++)
		upsert(w, list->v[i]);
}

static void seen(struct work *w, const struct tc_id_bool *s)
{
	wall at = s->value ? w->now : (wall){ 0 };
	struct tc_peer_change c = { .last_seen = &at };

	if (tc_id_parse(s->key, &c.node_id) == 0)
		patch(w, &c);
}

static void online(struct work *w, const struct tc_id_bool *s)
{
	struct tc_peer_change c = { .online = obool(s->value) };

	if (tc_id_parse(s->key, &c.node_id) == 0)
		patch(w, &c);
}

static void apply_peers(struct work *w, const struct tc_map_response *r, bool first)
{
	if (r->peers.n || first) {
		replace_all(w, &r->peers);
		if (r->peers.n)
			return;
	}
	for (size_t i = 0; i < r->peers_removed.n; i++)
		remove_peer(w, netmap_peer(w->m, r->peers_removed.v[i]));
	for (size_t i = 0; i < r->peers_changed.n; i++)
		upsert(w, r->peers_changed.v[i]);
	for (size_t i = 0; i < r->peer_seen_change.n; i++)
		seen(w, &r->peer_seen_change.v[i]);
	for (size_t i = 0; i < r->online_change.n; i++)
		online(w, &r->online_change.v[i]);
	for (size_t i = 0; i < r->peers_changed_patch.n; i++)
		patch(w, r->peers_changed_patch.v[i]);
}

static void apply_users(struct work *w, const struct tc_map_response *r)
{
	for (size_t i = 0; i < r->user_profiles.n; i++) {
		const struct tc_user_profile *new = &r->user_profiles.v[i];
		struct netmap_user *u = netmap_user_entry(w->m, new->id);

		if (u && js_same(&tc_user_profile_type, u->profile, new))
			continue;
		if (!u) {
			u = mem_new(struct netmap_user);
			map_insert(&w->m->users, &u->by_id,
			           map_hash(&w->m->users, &new->id, sizeof(new->id)));
		}
		netmap_free_clone(u->profile);
		u->profile = js_clone(&tc_user_profile_type, new);
		w->d->what |= NETMAP_USERS;
	}
}

/* ---- the packet filter ---- */

static void chunk_free(struct netmap_chunk *c)
{
	free(c->name);
	netmap_free_clone(c->rules);
}

void netmap_chunks_clear(struct netmap *m)
{
	for (size_t i = 0; i < m->filter.n; i++)
		chunk_free(&m->filter.v[i]);
	m->filter.n = 0;
}

static size_t chunk_find(const struct netmap *m, struct span name)
{
	size_t i = 0;

	while (i < m->filter.n && !span_is(name, m->filter.v[i].name))
		i++;
	return i;
}

static void chunk_set(struct work *w, struct span name, const struct tc_filter_rules *rules)
{
	struct netmap *m = w->m;
	size_t i = chunk_find(m, name);

	if (i < m->filter.n && js_same(&tc_filter_rules_type, m->filter.v[i].rules, rules))
		return;
	if (i == m->filter.n) {
		struct netmap_chunk *c = vec_add(&m->filter);
		c->name = span_dup(name);
	}
	netmap_free_clone(m->filter.v[i].rules);
	m->filter.v[i].rules = js_clone(&tc_filter_rules_type, rules);
	w->d->what |= NETMAP_FILTER;
}

static void chunk_remove(struct work *w, struct span name)
{
	size_t i = chunk_find(w->m, name);

	if (i == w->m->filter.n)
		return;
	chunk_free(&w->m->filter.v[i]);
	vec_remove(&w->m->filter, i);
	w->d->what |= NETMAP_FILTER;
}

static bool clears_all(const struct tc_map_response *r)
{
	for (size_t i = 0; i < r->packet_filters.n; i++)
		if (span_is(r->packet_filters.v[i].key, "*") && !r->packet_filters.v[i].value.set)
			return true;
	return false;
}

/* Chunks that this message does not set; the others are compared, so as not to report no change. */
static void chunks_keep_named(struct work *w, const struct tc_map_response *r)
{
	for (size_t i = w->m->filter.n; i > 0; i--) {
		struct span name = span_str(w->m->filter.v[i - 1].name);
		bool named = false;

		for (size_t j = 0; j < r->packet_filters.n; j++)
			named |= span_eq(name, r->packet_filters.v[j].key) &&
			         r->packet_filters.v[j].value.set;
		if (!named)
			chunk_remove(w, name);
	}
}

static void apply_filter(struct work *w, const struct tc_map_response *r, bool first)
{
	if (r->packet_filter.set)
		chunk_set(w, SPAN_LIT("base"), &r->packet_filter);
	if (clears_all(r) || (first && !r->packet_filter.set))
		chunks_keep_named(w, r);
	for (size_t i = 0; i < r->packet_filters.n; i++) {
		const struct tc_filter_chunk *c = &r->packet_filters.v[i];

		if (span_is(c->key, "*") && !c->value.set)
			continue;
		if (c->value.set)
			chunk_set(w, c->key, &c->value);
		else
			chunk_remove(w, c->key);
	}
}

/* ---- the rest ---- */

/* Replaces *slot by a copy of `new`; with NULL it stays, or goes if `first`. */
static void replace(struct work *w, const struct js_type *t, const void **slot, const void *new,
                    bool first, unsigned what)
{
	if (!new && !(first && *slot))
		return;
	if (new &&*slot && js_same(t, *slot, new))
		return;
	netmap_free_clone(*slot);
	*slot = new ? js_clone(t, new) : NULL;
	w->d->what |= what;
}

#define REPLACE(w, t, slot, new, first, what) \
	replace((w), (t), (const void **)(slot), (new), (first), (what))

static void apply_derp(struct work *w, const struct tc_derp_map *delta)
{
	struct tc_derp_home_params params;
	struct tc_derp_map merged;

	if (!delta)
		return;
	tc_derp_map_merge(w->m->derp_map, delta, &merged, &params);
	REPLACE(w, &tc_derp_map_type, &w->m->derp_map, &merged, false, NETMAP_DERP);
}

static void apply_self(struct work *w, const struct tc_node *n)
{
	unsigned mask = !n ? 0 : w->m->self ? tc_node_diff(w->m->self, n) : TC_CHANGED_ALL;

	if (!mask)
		return;
	netmap_free_clone(w->m->self);
	w->m->self = js_clone(&tc_node_type, n);
	w->d->what |= NETMAP_SELF;
	w->d->self_mask = mask;
}

static void message_free(struct netmap_message *x)
{
	free(x->id);
	netmap_free_clone(x->message);
}

void netmap_messages_clear(struct netmap *m)
{
	for (size_t i = 0; i < m->messages.n; i++)
		message_free(&m->messages.v[i]);
	m->messages.n = 0;
}

static void message_set(struct netmap *m, const struct tc_display_entry *e)
{
	size_t i = 0;

	while (i < m->messages.n && !span_is(e->key, m->messages.v[i].id))
		i++;
	if (i < m->messages.n) {
		message_free(&m->messages.v[i]);
		vec_remove(&m->messages, i);
	}
	if (e->value && m->messages.n < NETMAP_MESSAGES_MAX) {
		struct netmap_message *x = vec_add(&m->messages);

		x->id = span_dup(e->key);
		x->message = js_clone(&tc_display_message_type, e->value);
	}
}

static void apply_messages(struct work *w, const struct tc_map_response *r, bool first)
{
	bool clear = first && w->m->messages.n;

	for (size_t i = 0; i < r->display_messages.n; i++)
		clear |= span_is(r->display_messages.v[i].key, "*") &&
		         !r->display_messages.v[i].value;
	if (clear)
		netmap_messages_clear(w->m);
	for (size_t i = 0; i < r->display_messages.n; i++)
		if (!span_is(r->display_messages.v[i].key, "*"))
			message_set(w->m, &r->display_messages.v[i]);
	if (clear || r->display_messages.n)
		w->d->what |= NETMAP_HEALTH;
}

static void apply_texts(struct work *w, const struct tc_map_response *r)
{
	if (r->domain.n && (!w->m->domain || !span_is(r->domain, w->m->domain))) {
		free(w->m->domain);
		w->m->domain = span_dup(r->domain);
		w->d->what |= NETMAP_DOMAIN;
	}
	if (r->collect_services)
		w->m->collect_services = r->collect_services == OBOOL_TRUE;
}

static int check(const struct netmap *m, const struct tc_map_response *r, bool first)
{
	size_t peers = r->peers.n ? r->peers.n : netmap_n_peers(m) + r->peers_changed.n;

	if (first && !r->node)
		return ERR_BADSTATE;
	if (peers > NETMAP_PEERS_MAX || m->users.n + r->user_profiles.n > NETMAP_USERS_MAX ||
	    m->filter.n + r->packet_filters.n > NETMAP_CHUNKS_MAX)
		return ERR_LIMIT;
	return 0;
}

int netmap_apply(struct netmap *m, const struct tc_map_response *r, bool first, wall now,
                 struct netmap_delta *ret)
{
	struct work w = { .m = m, .d = ret, .now = now };
	int e = check(m, r, first);

	if (e < 0)
		return e;
	*ret = (struct netmap_delta){ 0 };
	apply_self(&w, r->node);
	apply_users(&w, r);
	apply_peers(&w, r, first);
	apply_derp(&w, r->derp_map);
	apply_filter(&w, r, first);
	apply_messages(&w, r, first);
	apply_texts(&w, r);
	REPLACE(&w, &tc_dns_config_type, &m->dns, r->dns_config, first, NETMAP_DNS);
	REPLACE(&w, &tc_ssh_policy_type, &m->ssh, r->ssh_policy, first, NETMAP_SSH);
	REPLACE(&w, &tc_dial_plan_type, &m->dial_plan, r->dial_plan, false, NETMAP_DIAL_PLAN);
	REPLACE(&w, &tc_client_version_type, &m->client_version, r->client_version, false,
	        NETMAP_CLIENT_VERSION);
	REPLACE(&w, &js_t_strs, &m->health, r->health.set ? &r->health : NULL, first,
	        NETMAP_HEALTH);
	return 0;
}

void netmap_delta_done(struct netmap_delta *d)
{
	for (size_t i = 0; i < d->peers.n; i++)
		if (d->peers.v[i].removed)
			netmap_peer_free(d->peers.v[i].peer);
	vec_done(&d->peers);
	*d = (struct netmap_delta){ 0 };
}
