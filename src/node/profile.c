#include "node/profile.h"

#include <stdio.h>

#include "base/err.h"
#include "base/rand.h"
#include "base/vec.h"

#define KEY_MACHINE "_machinekey"
#define KEY_PROFILES "_profiles"
#define KEY_CURRENT "_current-profile"

/* clang-format off */
#define AT(field) offsetof(struct network_profile, field)
static const struct js_row network_rows[] = {
	{ "MagicDNSName", &js_t_str, AT(magic_dns_name) },
	{ "DomainName",   &js_t_str, AT(domain_name)    },
	{ "DisplayName",  &js_t_str, AT(display_name)   },
	{ 0 },
};
#undef AT
static const struct js_type network_type = JS_STRUCT_OF("NetworkProfile", struct network_profile, network_rows);

#define AT(field) offsetof(struct profile, field)
static const struct js_row profile_rows[] = {
	{ "ID",             &js_t_str,             AT(id)               },
	{ "Name",           &js_t_str,             AT(name)             },
	{ "NetworkProfile", &network_type,         AT(network)          },
	{ "Key",            &js_t_str,             AT(key)              },
	{ "UserProfile",    &tc_user_profile_type, AT(user)             },
	{ "NodeID",         &js_t_str,             AT(node_id)          },
	{ "LocalUserID",    &js_t_str,             AT(local_user_id)    },
	{ "ControlURL",     &js_t_str,             AT(control_url)      },
	{ "Created",        &js_t_time,            AT(created), JS_OMIT },
	{ 0 },
};
#undef AT
/* clang-format on */
const struct js_type profile_type = JS_STRUCT_OF("LoginProfile", struct profile, profile_rows);

struct profiles {
	struct store *store; /* not ours */
	struct machine_priv machine;
	VEC(struct profile *) list; /* saved ones */
	struct profile *current;    /* ours while it is not saved; else one of the list */
	struct prefs *prefs;
};

static bool is_saved(const struct profile *p)
{
	return p->id.n > 0;
}

static struct profile *profile_dup(const struct profile *p)
{
	return js_clone(&profile_type, p);
}

static void drop_current(struct profiles *p)
{
	if (p->current && !is_saved(p->current))
		free(p->current);
	p->current = NULL;
	prefs_free(TAKE(p->prefs));
}

void profiles_new(struct profiles *p)
{
	static const struct profile none;

	drop_current(p);
	p->current = profile_dup(&none);
	p->prefs = prefs_new();
	p->prefs->logged_out = true;
}

void profiles_free(struct profiles *p)
{
	if (!p)
		return;
	drop_current(p);
	for (size_t i = 0; i < p->list.n; i++)
		free(p->list.v[i]);
	vec_done(&p->list);
	machine_priv_wipe(&p->machine);
	free(p);
}

/* ---- reading the store ---- */

static int open_machine_key(struct profiles *p)
{
	struct span text = store_get(p->store, KEY_MACHINE);
	char key[KEY_TEXT_MAX];
	int r;

	if (text.n)
		return machine_priv_parse(text, &p->machine);
	machine_priv_new(&p->machine);
	r = store_set(p->store, KEY_MACHINE, span_str(machine_priv_text(&p->machine, key)));
	explicit_bzero(key, sizeof(key));
	return r;
}

struct saved {
	struct span key;
	struct profile *value;
};

static int open_list(struct profiles *p)
{
	static const struct js_type ptr = { .shape = JS_PTR,
		                            .size = sizeof(void *),
		                            .of = &profile_type };
	static const struct js_type map = { .shape = JS_MAP,
		                            .size = sizeof(struct js_list),
		                            .of = &ptr };
	JS_LIST_STRUCT(saved_list, struct saved) list;
	struct span text = store_get(p->store, KEY_PROFILES);
	struct arena a = { 0 };
	int r = text.n ? js_decode(&a, text, &map, &list, NULL) : 0;

	for (size_t i = 0; text.n && r == 0 && i < list.n && i < PROFILES_MAX; i++)
		if (list.v[i].value && is_saved(list.v[i].value))
			vec_push(&p->list, profile_dup(list.v[i].value));
	arena_done(&a);
	return r;
}

static int make_current(struct profiles *p, struct profile *chosen)
{
	AUTO_FREE char *key = span_dup(chosen->key);
	struct span text = store_get(p->store, key);
	struct prefs *prefs = NULL;
	int r = text.n ? prefs_parse(text, &prefs) : 0;

	if (r < 0)
		return r;
	drop_current(p);
	p->current = chosen;
	p->prefs = prefs ? prefs : prefs_new();
	return 0;
}

static int open_current(struct profiles *p)
{
	struct span key = store_get(p->store, KEY_CURRENT);

	for (size_t i = 0; i < p->list.n; i++)
		if (key.n && span_eq(p->list.v[i]->key, key))
			return make_current(p, p->list.v[i]);
	profiles_new(p);
	return 0;
}

int profiles_open(struct store *store, struct profiles **ret)
{
	AUTO(profiles_free) struct profiles *p = mem_new(struct profiles);
	int r;

	p->store = store;
	r = open_machine_key(p);
	if (r == 0)
		r = open_list(p);
	if (r == 0)
		r = open_current(p);
	if (r < 0)
		return r;
	*ret = TAKE(p);
	return 0;
}

/* ---- access ---- */

const struct machine_priv *profiles_machine_key(const struct profiles *p)
{
	return &p->machine;
}

const struct prefs *profiles_prefs(const struct profiles *p)
{
	return p->prefs;
}

const struct profile *profiles_current(const struct profiles *p)
{
	return p->current;
}

size_t profiles_n(const struct profiles *p)
{
	return p->list.n;
}

const struct profile *profiles_at(const struct profiles *p, size_t i)
{
	return p->list.v[i];
}

static size_t index_of(const struct profiles *p, struct span id)
{
	size_t i = 0;

	while (i < p->list.n && !span_eq(p->list.v[i]->id, id))
		i++;
	return i;
}

const struct profile *profiles_find(const struct profiles *p, struct span id)
{
	size_t i = index_of(p, id);

	return i < p->list.n ? p->list.v[i] : NULL;
}

/* ---- writing ---- */

static int save_list(struct profiles *p)
{
	AUTO_DONE(buf) struct buf text = { 0 };
	struct js_wr w = js_wr_of(&text);

	js_wr_open(&w, JS_OBJECT);
	for (size_t i = 0; i < p->list.n; i++) {
		js_wr_key_span(&w, p->list.v[i]->id);
		js_wr_value(&w, &profile_type, p->list.v[i]);
	}
	js_wr_close(&w, JS_OBJECT);
	return store_set(p->store, KEY_PROFILES, buf_span(&text));
}

static int save_all(struct profiles *p)
{
	AUTO_DONE(buf) struct buf text = { .secret = true };
	AUTO_FREE char *key = span_dup(p->current->key);
	int r, e;

	store_hold(p->store);
	prefs_write(&text, p->prefs);
	r = store_set(p->store, key, buf_span(&text));
	if (r == 0)
		r = save_list(p);
	if (r == 0)
		r = store_set(p->store, KEY_CURRENT, p->current->key);
	e = store_release(p->store);
	return r < 0 ? r : e;
}

/* The current profile with a change, in the list too. */
static void replace_current(struct profiles *p, const struct profile *new)
{
	struct profile *old = p->current, *copy = profile_dup(new);
	size_t i = is_saved(old) ? index_of(p, old->id) : p->list.n;

	if (i < p->list.n)
		p->list.v[i] = copy;
	else if (is_saved(copy))
		vec_push(&p->list, copy);
	p->current = copy;
	free(old);
}

static void draw_id(const struct profiles *p, char dst[static PROFILE_ID_MAX])
{
	do
		(void)snprintf(dst, PROFILE_ID_MAX, "%04x", rand_u32() & 0xffff);
	while (profiles_find(p, span_str(dst)));
}

static bool name_taken(const struct profiles *p, struct span name)
{
	for (size_t i = 0; i < p->list.n; i++)
		if (p->list.v[i] != p->current && name.n && span_eq(p->list.v[i]->name, name))
			return true;
	return false;
}

/* The profile's fields that come from its preferences. */
static void describe(struct profiles *p, const struct prefs *prefs, wall now)
{
	char id[PROFILE_ID_MAX], key[32];
	struct profile new = *p->current;

	if (!is_saved(&new)) {
		draw_id(p, id);
		(void)snprintf(key, sizeof(key), "profile-%s", id);
		new.id = span_str(id);
		new.key = span_str(key);
		new.created = now;
	}
	new.user = prefs->persist->user;
	new.node_id = prefs->persist->node_id;
	new.control_url = prefs->control_url;
	new.name = prefs->profile_name.n ? prefs->profile_name : new.user.login_name;
	replace_current(p, &new);
}

int profiles_set_prefs(struct profiles *p, struct prefs *take, wall now)
{
	bool logged_in = take->persist && take->persist->user.login_name.n;

	if (name_taken(p, take->profile_name)) {
		prefs_free(take);
		return ERR_EXISTS;
	}
	if (p->list.n >= PROFILES_MAX && !is_saved(p->current)) {
		prefs_free(take);
		return ERR_LIMIT;
	}
	if (logged_in)
		describe(p, take, now);
	prefs_free(p->prefs);
	p->prefs = take;
	return is_saved(p->current) ? save_all(p) : 0;
}

int profiles_set_network(struct profiles *p, const struct network_profile *n)
{
	struct profile new = *p->current;

	if (!is_saved(p->current) || js_same(&network_type, &new.network, n))
		return 0;
	new.network = *n;
	replace_current(p, &new);
	return save_list(p);
}

int profiles_switch(struct profiles *p, struct span id)
{
	size_t i = index_of(p, id);
	int r;

	if (i == p->list.n)
		return ERR_UNKNOWN;
	if (p->list.v[i] == p->current)
		return 0;
	r = make_current(p, p->list.v[i]);
	return r < 0 ? r : store_set(p->store, KEY_CURRENT, p->current->key);
}

static int forget(struct profiles *p, const struct profile *x)
{
	AUTO_FREE char *key = span_dup(x->key);
	AUTO_FREE char *serve = str_fmt("_serve/%.*s", SPAN_FMT(x->id));
	int r = store_remove(p->store, key);

	return r < 0 ? r : store_remove(p->store, serve);
}

int profiles_remove(struct profiles *p, struct span id)
{
	size_t i = index_of(p, id);
	struct profile *x;
	int r, e;

	if (i == p->list.n)
		return ERR_UNKNOWN;
	x = p->list.v[i];
	store_hold(p->store);
	r = forget(p, x);
	vec_remove(&p->list, i);
	if (r == 0)
		r = save_list(p);
	if (x == p->current) {
		p->current = NULL;
		profiles_new(p);
		if (r == 0)
			r = store_remove(p->store, KEY_CURRENT);
	}
	free(x);
	e = store_release(p->store);
	return r < 0 ? r : e;
}

int profiles_remove_all(struct profiles *p)
{
	int r = 0;

	while (r == 0 && p->list.n) {
		AUTO_FREE char *id = span_dup(p->list.v[0]->id);
		r = profiles_remove(p, span_str(id));
	}
	if (r == 0)
		profiles_new(p);
	return r;
}
