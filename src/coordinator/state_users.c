#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/json.h"
#include "coordinator/policy/engine.h"
#include "coordinator/state_priv.h"

static void set_text(char **slot, struct span text)
{
	free(*slot);
	*slot = span_dup(text);
}

static bool short_enough(const struct user_spec *s)
{
	return s->name.n <= MODEL_TEXT_MAX && s->display_name.n <= MODEL_TEXT_MAX &&
	       s->email.n <= MODEL_TEXT_MAX && s->provider.n <= MODEL_TEXT_MAX &&
	       s->provider_id.n <= MODEL_TEXT_MAX && s->picture_url.n <= 4 * MODEL_TEXT_MAX;
}

static void fill(struct user *u, const struct user_spec *s)
{
	set_text(&u->name, s->name);
	set_text(&u->display_name, s->display_name);
	set_text(&u->email, s->email);
	set_text(&u->provider, s->provider);
	set_text(&u->provider_id, s->provider_id);
	set_text(&u->picture_url, s->picture_url);
	texts_done(&u->groups);
	if (s->groups)
		texts_copy(&u->groups, s->groups);
}

/* Letters, digits, dash, dot, underscore and at most one at sign; two characters at least. */
static bool good_name(struct span name)
{
	unsigned ats = 0;

	for (size_t i = 0; i < name.n; i++) {
		uint8_t c = name.p[i];
		bool alnum = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
		             (c >= '0' && c <= '9');

		ats += c == '@';
		if (!alnum && c < 0x80 && !memchr("-._@", c, 4))
			return false;
	}
	return name.n >= 2 && name.n <= 255 && ats <= 1 && name.p[0] != '-' && name.p[0] != '.';
}

static int check_name(const struct state *st, struct span name, uint64_t self, struct fault *reterr)
{
	const struct user *other = state_user_by_name(st, name);

	if (!good_name(name))
		return fault_set(reterr, ERR_MALFORMED, 0, 0,
		                 "user name \"%.*s\" must have two characters or more out of "
		                 "letters, digits and -._@",
		                 SPAN_FMT(span_first(name, 80)));
	if (other && other->id != self && !*other->provider_id)
		return fault_set(reterr, ERR_EXISTS, 0, 0, "user \"%s\" exists already",
		                 other->name);
	return 0;
}

static int create(struct state *st, const struct user_spec *spec, wall now, const char *actor,
                  const struct user **ret)
{
	struct user *u = user_new();

	if (st->users.n >= STATE_USERS_MAX || !short_enough(spec)) {
		user_free(u);
		return ERR_LIMIT;
	}
	fill(u, spec);
	u->id = st->next_user++;
	u->created = now;

	uint64_t id = u->id;
	struct command c = {
		.user = u, .is_new = true, .actor = actor, .action = "user.create", .now = now
	};
	int r = state_apply(st, &c);

	if (r < 0)
		return r;
	*ret = state_user(st, id);
	return 0;
}

int state_user_create(struct state *st, const struct user_spec *spec, wall now, const char *actor,
                      const struct user **ret, struct fault *reterr)
{
	int r = check_name(st, spec->name, 0, reterr);

	return r < 0 ? r : create(st, spec, now, actor, ret);
}

static bool same(const struct user *u, const struct user_spec *s)
{
	static const struct texts none = { 0 };

	return span_is(s->name, u->name) && span_is(s->display_name, u->display_name) &&
	       span_is(s->email, u->email) && span_is(s->picture_url, u->picture_url) &&
	       texts_eq(&u->groups, s->groups ? s->groups : &none);
}

int state_user_login(struct state *st, const struct user_spec *spec, wall now,
                     const struct user **ret)
{
	const struct user *old = state_user_by_provider(st, spec->provider_id);

	if (!spec->provider_id.n || !short_enough(spec))
		return ERR_MALFORMED;
	if (!old)
		return create(st, spec, now, "oidc", ret);
	*ret = old;
	if (same(old, spec))
		return 0;

	struct user *u = user_clone(old);
	uint64_t id = u->id;
	struct command c = {
		.actor = "oidc", .action = "user.login", .before = audit_user(old), .now = now
	};

	fill(u, spec);
	c.user = u;

	int r = state_apply(st, &c);

	*ret = state_user(st, id);
	return r;
}

int state_user_rename(struct state *st, uint64_t id, struct span name, wall now, const char *actor,
                      struct fault *reterr)
{
	const struct user *old = state_user(st, id);

	if (!old)
		return fault_set(reterr, ERR_UNKNOWN, 0, 0, "user not found");

	int r = check_name(st, name, id, reterr);

	if (r < 0)
		return r;

	struct command c = { .user = user_clone(old),
		             .actor = actor,
		             .action = "user.rename",
		             .before = audit_user(old),
		             .now = now };

	set_text(&c.user->name, name);
	return state_apply(st, &c);
}

int state_user_set_role(struct state *st, uint64_t id, struct span role, wall now,
                        const char *actor, struct fault *reterr)
{
	const struct user *old = state_user(st, id);
	enum pol_role known;

	if (!old)
		return fault_set(reterr, ERR_UNKNOWN, 0, 0, "user not found");
	if (role.n && !pol_role_parse(role, &known))
		return fault_set(reterr, ERR_MALFORMED, 0, 0, "no such role: %.*s; roles are:%s",
		                 SPAN_FMT(span_first(role, 40)), pol_role_names);

	struct command c = { .user = user_clone(old),
		             .actor = actor,
		             .action = "user.role",
		             .before = audit_user(old),
		             .now = now };

	set_text(&c.user->role, role);
	return state_apply(st, &c);
}

static int delete_keys_of(struct state *st, uint64_t user, wall now, const char *actor)
{
	struct auth_key_list keys = { 0 };
	VEC(uint64_t) ids = { 0 };
	int r = 0;

	state_auth_keys(st, &keys);
	vec_each(const struct auth_key **, k, &keys)
		if ((*k)->user_id == user)
			vec_push(&ids, (*k)->id);
	for (size_t i = 0; r >= 0 && i < ids.n; i++)
		r = state_auth_key_delete(st, ids.v[i], now, actor);
	vec_done(&ids);
	vec_done(&keys);
	return r;
}

int state_user_delete(struct state *st, uint64_t id, wall now, const char *actor,
                      struct fault *reterr)
{
	const struct user *old = state_user(st, id);

	if (!old)
		return fault_set(reterr, ERR_UNKNOWN, 0, 0, "user not found");
	if (old->nodes)
		return fault_set(reterr, ERR_BADSTATE, 0, 0, "user not empty: node(s) found");

	int r = delete_keys_of(st, id, now, actor);

	if (r < 0)
		return r;

	struct command c = { .del_user = id,
		             .actor = actor,
		             .action = "user.delete",
		             .before = audit_user(state_user(st, id)),
		             .now = now };

	return state_apply(st, &c);
}

int state_import_user(struct state *st, struct user *u, wall now, const char *actor)
{
	struct command c = {
		.user = u, .is_new = true, .actor = actor, .action = "user.import", .now = now
	};

	if (state_user(st, u->id)) {
		user_free(u);
		return ERR_EXISTS;
	}
	if (u->id >= st->next_user)
		st->next_user = u->id + 1;
	return state_apply(st, &c);
}

/* ---- for the audit log ---- */

static void add_time(struct js_wr *w, const char *key, wall t)
{
	char text[TIME_TEXT_MAX];

	if (t.us)
		js_wr_kv_str(w, key, wall_text(t, text));
}

static void add_texts(struct js_wr *w, const char *key, const struct texts *t)
{
	js_wr_key(w, key);
	js_wr_open(w, JS_ARRAY);
	for (size_t i = 0; i < t->n; i++)
		js_wr_str(w, t->v[i]);
	js_wr_close(w, JS_ARRAY);
}

char *audit_user(const struct user *u)
{
	struct buf out = { 0 };
	struct js_wr w = js_wr_of(&out);

	js_wr_open(&w, JS_OBJECT);
	js_wr_kv_str(&w, "name", u->name);
	js_wr_kv_str(&w, "displayName", u->display_name);
	js_wr_kv_str(&w, "email", u->email);
	js_wr_kv_str(&w, "providerId", u->provider_id);
	add_texts(&w, "groups", &u->groups);
	js_wr_kv_str(&w, "role", u->role);
	js_wr_close(&w, JS_OBJECT);
	return buf_take_text(&out);
}

char *audit_node(const struct node *n)
{
	struct buf out = { 0 };
	struct js_wr w = js_wr_of(&out);
	char key[KEY_TEXT_MAX], ip[IP_TEXT_MAX], prefix[PREFIX_TEXT_MAX];

	js_wr_open(&w, JS_OBJECT);
	js_wr_kv_str(&w, "givenName", n->given_name);
	js_wr_kv_str(&w, "hostname", n->hostname);
	js_wr_kv_int(&w, "user", (int64_t)n->user_id);
	js_wr_kv_str(&w, "machineKey", machine_pub_text(&n->machine, key));
	js_wr_kv_str(&w, "nodeKey", node_pub_text(&n->key, key));
	if (!ip_is_zero(&n->ip4))
		js_wr_kv_str(&w, "ipv4", ip_text(&n->ip4, ip));
	if (!ip_is_zero(&n->ip6))
		js_wr_kv_str(&w, "ipv6", ip_text(&n->ip6, ip));
	add_texts(&w, "tags", &n->tags);
	js_wr_key(&w, "approvedRoutes");
	js_wr_open(&w, JS_ARRAY);
	for (size_t i = 0; i < n->approved.n; i++)
		js_wr_str(&w, prefix_text(&n->approved.v[i], prefix));
	js_wr_close(&w, JS_ARRAY);
	add_time(&w, "expiry", n->expiry);
	js_wr_kv_bool(&w, "authorized", n->authorized);
	if (n->attrs) {
		js_wr_key(&w, "attributes");
		js_wr_raw(&w, span_str(n->attrs));
	}
	js_wr_close(&w, JS_OBJECT);
	return buf_take_text(&out);
}

char *audit_auth_key(const struct auth_key *k)
{
	struct buf out = { 0 };
	struct js_wr w = js_wr_of(&out);

	js_wr_open(&w, JS_OBJECT);
	js_wr_kv_str(&w, "prefix", k->prefix);
	js_wr_kv_int(&w, "user", (int64_t)k->user_id);
	js_wr_kv_bool(&w, "reusable", k->reusable);
	js_wr_kv_bool(&w, "ephemeral", k->ephemeral);
	js_wr_kv_bool(&w, "used", k->used);
	add_texts(&w, "tags", &k->tags);
	add_time(&w, "expiry", k->expiry);
	js_wr_close(&w, JS_OBJECT);
	return buf_take_text(&out);
}

char *audit_api_key(const struct api_key *k)
{
	struct buf out = { 0 };
	struct js_wr w = js_wr_of(&out);

	js_wr_open(&w, JS_OBJECT);
	js_wr_kv_str(&w, "prefix", k->prefix);
	add_time(&w, "expiry", k->expiry);
	js_wr_close(&w, JS_OBJECT);
	return buf_take_text(&out);
}
