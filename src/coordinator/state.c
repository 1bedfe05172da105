#include "coordinator/state_priv.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"

static uint64_t id_hash(const struct map *m, uint64_t id)
{
	return map_hash(m, &id, sizeof(id));
}

/* ---- tables ---- */

static struct user *find_user(const struct state *st, uint64_t id)
{
	for (struct map_node *n = map_find(&st->users, id_hash(&st->users, id)); n;
	     n = map_again(n)) {
		struct user *u = CONTAINER_OF(n, struct user, by_id);

		if (u->id == id)
			return u;
	}
	return NULL;
}

struct node *state_node_mut(struct state *st, uint64_t id)
{
	for (struct map_node *n = map_find(&st->nodes, id_hash(&st->nodes, id)); n;
	     n = map_again(n)) {
		struct node *x = CONTAINER_OF(n, struct node, by_id);

		if (x->id == id)
			return x;
	}
	return NULL;
}

/* Of either kind of key; pre-auth keys, of which a fleet has thousands, by prefix too. */
struct key_entry {
	struct map_node link, by_prefix;
	struct auth_key *auth;
	struct api_key *api;
};

static struct key_entry *find_key(const struct map *m, uint64_t id)
{
	for (struct map_node *n = map_find(m, id_hash(m, id)); n; n = map_again(n)) {
		struct key_entry *e = CONTAINER_OF(n, struct key_entry, link);

		if ((e->auth ? e->auth->id : e->api->id) == id)
			return e;
	}
	return NULL;
}

static uint64_t prefix_hash(const struct state *st, const char *prefix)
{
	return map_hash(&st->auth_key_by_prefix, prefix, strlen(prefix));
}

static void key_entry_free(struct state *st, struct map *m, struct key_entry *e)
{
	map_remove(m, &e->link);
	if (e->auth)
		map_remove(&st->auth_key_by_prefix, &e->by_prefix);
	auth_key_free(e->auth);
	api_key_free(e->api);
	free(e);
}

static void bump(uint64_t *next, uint64_t id)
{
	if (id >= *next)
		*next = id + 1;
}

static void unlink_user(struct state *st, struct user *u)
{
	map_remove(&st->users, &u->by_id);
}

void state_put_user(struct state *st, struct user *u)
{
	struct user *old = find_user(st, u->id);

	if (old) {
		u->nodes = old->nodes;
		unlink_user(st, old);
		user_free(old);
	}
	bump(&st->next_user, u->id);
	map_insert(&st->users, &u->by_id, id_hash(&st->users, u->id));
}

void state_drop_user(struct state *st, uint64_t id)
{
	struct user *u = find_user(st, id);

	if (!u)
		return;
	unlink_user(st, u);
	user_free(u);
}

static uint64_t ip_hash(const struct map *m, const struct ip *ip)
{
	return map_hash(m, ip->b, sizeof(ip->b));
}

static void link_node(struct state *st, struct node *n)
{
	struct user *owner = find_user(st, n->user_id);

	map_insert(&st->nodes, &n->by_id, id_hash(&st->nodes, n->id));
	map_insert(&st->node_by_key, &n->by_key, map_hash(&st->node_by_key, n->key.b, KEY_LEN));
	map_insert(&st->node_by_machine, &n->by_machine,
	           map_hash(&st->node_by_machine, n->machine.b, KEY_LEN));
	map_insert(&st->node_by_name, &n->by_name,
	           map_hash(&st->node_by_name, n->given_name, strlen(n->given_name)));
	if (!ip_is_zero(&n->ip4))
		map_insert(&st->node_by_ip4, &n->by_ip4, ip_hash(&st->node_by_ip4, &n->ip4));
	if (!ip_is_zero(&n->ip6))
		map_insert(&st->node_by_ip6, &n->by_ip6, ip_hash(&st->node_by_ip6, &n->ip6));
	st->online += n->online;
	if (owner)
		owner->nodes++;
}

static void unlink_node(struct state *st, struct node *n)
{
	struct user *owner = find_user(st, n->user_id);

	map_remove(&st->nodes, &n->by_id);
	map_remove(&st->node_by_key, &n->by_key);
	map_remove(&st->node_by_machine, &n->by_machine);
	map_remove(&st->node_by_name, &n->by_name);
	if (!ip_is_zero(&n->ip4))
		map_remove(&st->node_by_ip4, &n->by_ip4);
	if (!ip_is_zero(&n->ip6))
		map_remove(&st->node_by_ip6, &n->by_ip6);
	st->online -= n->online;
	if (owner)
		owner->nodes--;
}

void state_put_node(struct state *st, struct node *n)
{
	state_drop_node(st, n->id);
	bump(&st->next_node, n->id);
	link_node(st, n);
}

void state_drop_node(struct state *st, uint64_t id)
{
	struct node *old = state_node_mut(st, id);

	if (!old)
		return;
	unlink_node(st, old);
	node_unref(old);
}

static void drop_key(struct state *st, struct map *m, uint64_t id)
{
	struct key_entry *e = find_key(m, id);

	if (e)
		key_entry_free(st, m, e);
}

static struct key_entry *add_key(struct state *st, struct map *m, uint64_t id)
{
	struct key_entry *e = mem_new(struct key_entry);

	drop_key(st, m, id);
	map_insert(m, &e->link, id_hash(m, id));
	return e;
}

void state_put_auth_key(struct state *st, struct auth_key *k)
{
	struct key_entry *e = add_key(st, &st->auth_keys, k->id);

	bump(&st->next_auth_key, k->id);
	e->auth = k;
	map_insert(&st->auth_key_by_prefix, &e->by_prefix, prefix_hash(st, k->prefix));
}

void state_put_api_key(struct state *st, struct api_key *k)
{
	bump(&st->next_api_key, k->id);
	add_key(st, &st->api_keys, k->id)->api = k;
}

void state_drop_auth_key(struct state *st, uint64_t id)
{
	drop_key(st, &st->auth_keys, id);
}

void state_drop_api_key(struct state *st, uint64_t id)
{
	drop_key(st, &st->api_keys, id);
}

/* ---- loading ---- */

struct loader {
	struct store_sink sink;
	struct state *st;
};

static struct state *of_sink(struct store_sink *s)
{
	return CONTAINER_OF(s, struct loader, sink)->st;
}

static void load_user(struct store_sink *s, struct user *u)
{
	state_put_user(of_sink(s), u);
}

static void load_node(struct store_sink *s, struct node *n)
{
	state_put_node(of_sink(s), n);
}

static void load_auth_key(struct store_sink *s, struct auth_key *k)
{
	state_put_auth_key(of_sink(s), k);
}

static void load_api_key(struct store_sink *s, struct api_key *k)
{
	state_put_api_key(of_sink(s), k);
}

static int load_counters(struct state *st)
{
	struct {
		const char *name;
		uint64_t *next;
	} counters[] = {
		{ "next_user", &st->next_user },         { "next_node", &st->next_node },
		{ "next_auth_key", &st->next_auth_key }, { "next_api_key", &st->next_api_key },
		{ "last_ip4", &st->ipam.v4.last },       { "last_ip6", &st->ipam.v6.last },
	};

	for (size_t i = 0; i < ARRAY_LEN(counters); i++) {
		uint64_t stored = 0;
		int r = st->store->ops->get_number(st->store, counters[i].name, &stored);

		if (r < 0)
			return r;
		if (stored > *counters[i].next)
			*counters[i].next = stored;
	}
	return 0;
}

/* All there are, and a NULL. */
enum { STATE_MAPS = 11 };

static struct map *const *all_maps(struct state *st, struct map *list[static STATE_MAPS])
{
	struct map *maps[STATE_MAPS] = {
		&st->users,       &st->nodes,       &st->auth_keys,       &st->auth_key_by_prefix,
		&st->api_keys,    &st->node_by_key, &st->node_by_machine, &st->node_by_name,
		&st->node_by_ip4, &st->node_by_ip6,
	};

	memcpy(list, maps, sizeof(maps));
	return list;
}

int state_new(const struct state_cfg *cfg, const struct state_env *env, struct store *store,
              struct state **ret)
{
	AUTO(state_free) struct state *st = mem_new(struct state);
	struct loader loader = {
		.sink = { load_user, load_node, load_auth_key, load_api_key },
		.st = st,
	};
	struct map *maps[STATE_MAPS];

	st->cfg = *cfg;
	st->env = *env;
	st->ipam = (struct ipam){ { cfg->v4, 0 }, { cfg->v6, 0 }, cfg->order };
	st->journal = mem_new_n(struct change, JOURNAL_LEN);
	st->next_user = st->next_node = st->next_auth_key = st->next_api_key = 1;
	for (struct map *const *m = all_maps(st, maps); *m; m++)
		map_init(*m);

	int r = store->ops->load(store, &loader.sink);

	st->store = store;
	if (r >= 0)
		r = load_counters(st);
	if (r < 0) {
		st->store = NULL; /* still the caller's */
		return r;
	}
	state_reroute(st);
	*ret = TAKE(st);
	return 0;
}

static void free_all(struct state *st)
{
	struct map_node *n;

	while ((n = map_first(&st->nodes)))
		state_drop_node(st, CONTAINER_OF(n, struct node, by_id)->id);
	while ((n = map_first(&st->users)))
		state_drop_user(st, CONTAINER_OF(n, struct user, by_id)->id);
	while ((n = map_first(&st->auth_keys)))
		key_entry_free(st, &st->auth_keys, CONTAINER_OF(n, struct key_entry, link));
	while ((n = map_first(&st->api_keys)))
		key_entry_free(st, &st->api_keys, CONTAINER_OF(n, struct key_entry, link));
}

void state_free(struct state *st)
{
	struct map *maps[STATE_MAPS];

	if (!st)
		return;
	free_all(st);
	for (struct map *const *m = all_maps(st, maps); *m; m++)
		map_done(*m);
	routes_done(&st->routes);
	vec_done(&st->unhealthy);
	vec_done(&st->dirty);
	free(st->journal);
	store_close(st->store);
	free(st);
}

/* ---- reading ---- */

struct store *state_store(const struct state *st)
{
	return st->store;
}

const struct state_cfg *state_config(const struct state *st)
{
	return &st->cfg;
}

const struct node *state_node(const struct state *st, uint64_t id)
{
	for (struct map_node *n = map_find(&st->nodes, id_hash(&st->nodes, id)); n;
	     n = map_again(n)) {
		const struct node *x = CONTAINER_OF(n, struct node, by_id);

		if (x->id == id)
			return x;
	}
	return NULL;
}

const struct node *state_node_by_key(const struct state *st, const struct node_pub *key)
{
	uint64_t h = map_hash(&st->node_by_key, key->b, KEY_LEN);

	for (struct map_node *n = map_find(&st->node_by_key, h); n; n = map_again(n)) {
		const struct node *x = CONTAINER_OF(n, struct node, by_key);

		if (node_pub_eq(&x->key, key))
			return x;
	}
	return NULL;
}

const struct node *state_node_by_name(const struct state *st, struct span given_name)
{
	uint64_t h = map_hash(&st->node_by_name, given_name.p, given_name.n);

	for (struct map_node *n = map_find(&st->node_by_name, h); n; n = map_again(n)) {
		const struct node *x = CONTAINER_OF(n, struct node, by_name);

		if (span_is(given_name, x->given_name))
			return x;
	}
	return NULL;
}

const struct node *state_node_by_ip(const struct state *st, const struct ip *ip)
{
	const struct map *m = ip_is4(ip) ? &st->node_by_ip4 : &st->node_by_ip6;

	for (struct map_node *n = map_find(m, ip_hash(m, ip)); n; n = map_again(n)) {
		const struct node *x = ip_is4(ip) ? CONTAINER_OF(n, struct node, by_ip4)
		                                  : CONTAINER_OF(n, struct node, by_ip6);

		if (ip_eq(ip_is4(ip) ? &x->ip4 : &x->ip6, ip))
			return x;
	}
	return NULL;
}

const struct node *state_node_of_machine(const struct state *st, const struct machine_pub *key,
                                         const struct node *after)
{
	uint64_t h = map_hash(&st->node_by_machine, key->b, KEY_LEN);
	struct map_node *n = after ? map_again(&after->by_machine)
	                           : map_find(&st->node_by_machine, h);

	for (; n; n = map_again(n)) {
		const struct node *x = CONTAINER_OF(n, struct node, by_machine);

		if (machine_pub_eq(&x->machine, key))
			return x;
	}
	return NULL;
}

size_t state_node_count(const struct state *st)
{
	return st->nodes.n;
}

size_t state_online_count(const struct state *st)
{
	return st->online;
}

const struct user *state_user(const struct state *st, uint64_t id)
{
	return find_user(st, id);
}

/* Users are few and these look-ups come at login rate. */
static const struct user *scan_users(const struct state *st,
                                     bool (*is)(const struct user *u, struct span text),
                                     struct span text)
{
	for (struct map_node *n = map_first(&st->users); n; n = map_next(&st->users, n)) {
		const struct user *u = CONTAINER_OF(n, struct user, by_id);

		if (is(u, text))
			return u;
	}
	return NULL;
}

static bool has_name(const struct user *u, struct span name)
{
	return span_is(name, u->name);
}

static bool has_provider_id(const struct user *u, struct span id)
{
	return *u->provider_id && span_is(id, u->provider_id);
}

const struct user *state_user_by_name(const struct state *st, struct span name)
{
	return name.n ? scan_users(st, has_name, name) : NULL;
}

const struct user *state_user_by_provider(const struct state *st, struct span provider_id)
{
	return scan_users(st, has_provider_id, provider_id);
}

const struct auth_key *state_auth_key(const struct state *st, uint64_t id)
{
	const struct key_entry *e = find_key(&st->auth_keys, id);

	return e ? e->auth : NULL;
}

const struct api_key *state_api_key(const struct state *st, uint64_t id)
{
	const struct key_entry *e = find_key(&st->api_keys, id);

	return e ? e->api : NULL;
}

const struct auth_key *state_auth_key_by_prefix(const struct state *st, const char *prefix)
{
	for (struct map_node *n = map_find(&st->auth_key_by_prefix, prefix_hash(st, prefix)); n;
	     n = map_again(n)) {
		const struct auth_key *k = CONTAINER_OF(n, struct key_entry, by_prefix)->auth;

		if (strcmp(k->prefix, prefix) == 0)
			return k;
	}
	return NULL;
}

const struct api_key *state_api_key_by_prefix(const struct state *st, const char *prefix)
{
	for (struct map_node *n = map_first(&st->api_keys); n; n = map_next(&st->api_keys, n)) {
		const struct api_key *k = CONTAINER_OF(n, struct key_entry, link)->api;

		if (strcmp(k->prefix, prefix) == 0)
			return k;
	}
	return NULL;
}

#define DEFINE_LISTING(function, list_type, type, map_name, expr)                              \
	static int function##_order(const void *a, const void *b)                              \
	{                                                                                      \
		uint64_t x = (*(const type *const *)a)->id, y = (*(const type *const *)b)->id; \
                                                                                               \
		return (x > y) - (x < y);                                                      \
	}                                                                                      \
	void function(const struct state *st, list_type *ret)                                  \
	{                                                                                      \
		vec_reserve(ret, ret->n + st->map_name.n);                                     \
		for (struct map_node *n = map_first(&st->map_name); n;                         \
		     n = map_next(&st->map_name, n))                                           \
			ret->v[ret->n++] = (expr);                                             \
		if (ret->n > 1)                                                                \
			qsort(ret->v, ret->n, sizeof(*ret->v), function##_order);              \
	}

DEFINE_LISTING(state_nodes, struct node_list, struct node, nodes,
               CONTAINER_OF(n, struct node, by_id))
DEFINE_LISTING(state_users, struct user_list, struct user, users,
               CONTAINER_OF(n, struct user, by_id))
DEFINE_LISTING(state_auth_keys, struct auth_key_list, struct auth_key, auth_keys,
               CONTAINER_OF(n, struct key_entry, link)->auth)
DEFINE_LISTING(state_api_keys, struct api_key_list, struct api_key, api_keys,
               CONTAINER_OF(n, struct key_entry, link)->api)

const struct routes *state_routes(const struct state *st)
{
	return &st->routes;
}

void state_served_routes(const struct state *st, const struct node *n, bool with_exit,
                         struct prefixes *ret)
{
	for (size_t i = 0; i < n->approved.n; i++) {
		const struct prefix *p = &n->approved.v[i];
		bool is_exit = prefix_is_default(p);

		if (!prefixes_has(&n->advertised, p))
			continue;
		if (is_exit ? with_exit : routes_primary(&st->routes, p) == n->id)
			vec_push(ret, *p);
	}
}

uint64_t state_seq(const struct state *st)
{
	return st->seq;
}

const struct change *state_change(const struct state *st, uint64_t seq)
{
	if (seq == 0 || seq > st->seq || seq + JOURNAL_LEN <= st->seq)
		return NULL;
	return &st->journal[seq % JOURNAL_LEN];
}
