#include "coordinator/api_json.h"
#include "coordinator/attributes.h"
#include "coordinator/secret.h"

#include <inttypes.h>
#include <stdio.h>

void api_kv_time(struct js_wr *w, const char *name, wall t)
{
	char text[TIME_TEXT_MAX];

	js_wr_key(w, name);
	if (t.us)
		js_wr_str(w, wall_text(t, text));
	else
		js_wr_null(w);
}

static void kv_id(struct js_wr *w, const char *name, uint64_t id)
{
	char text[24];

	(void)snprintf(text, sizeof(text), "%" PRIu64, id);
	js_wr_kv_str(w, name, text);
}

static void kv_texts(struct js_wr *w, const char *name, const struct texts *t)
{
	js_wr_key(w, name);
	js_wr_open(w, JS_ARRAY);
	for (size_t i = 0; i < t->n; i++)
		js_wr_str(w, t->v[i]);
	js_wr_close(w, JS_ARRAY);
}

static void kv_prefixes(struct js_wr *w, const char *name, const struct prefixes *p)
{
	char text[PREFIX_TEXT_MAX];

	js_wr_key(w, name);
	js_wr_open(w, JS_ARRAY);
	for (size_t i = 0; i < p->n; i++)
		js_wr_str(w, prefix_text(&p->v[i], text));
	js_wr_close(w, JS_ARRAY);
}

void api_put_user(struct js_wr *w, const struct user *u)
{
	char login[24];

	js_wr_open(w, JS_OBJECT);
	kv_id(w, "id", u->id);
	js_wr_kv_str(w, "name", user_login(u, login));
	if (u->created.us)
		api_kv_time(w, "createdAt", u->created);
	else /* who was never made; the contract has no null here */
		js_wr_kv_str(w, "createdAt", "0001-01-01T00:00:00Z");
	js_wr_kv_str(w, "displayName", u->display_name);
	js_wr_kv_str(w, "email", u->email);
	js_wr_kv_str(w, "providerId", u->provider_id);
	js_wr_kv_str(w, "provider", u->provider);
	js_wr_kv_str(w, "profilePicUrl", u->picture_url);
	js_wr_kv_str(w, "role", u->role);
	js_wr_close(w, JS_OBJECT);
}

/* Tagged nodes show the user that stands for all of them. */
static void put_owner(struct js_wr *w, const struct state *st, const struct node *n)
{
	const struct user *u = node_is_tagged(n) ? NULL : state_user(st, n->user_id);
	static char name[] = "tagged-devices", display[] = "Tagged Devices", empty[] = "";
	struct user tagged = { .id = USER_TAGGED_ID,
		               .name = name,
		               .display_name = display,
		               .email = empty,
		               .provider = empty,
		               .provider_id = empty,
		               .picture_url = empty };

	js_wr_key(w, "user");
	api_put_user(w, u ? u : &tagged);
}

static void put_keys(struct js_wr *w, const struct node *n)
{
	char text[KEY_TEXT_MAX];

	js_wr_kv_str(w, "machineKey", machine_pub_text(&n->machine, text));
	js_wr_kv_str(w, "nodeKey", node_pub_text(&n->key, text));
	js_wr_kv_str(w, "discoKey", disco_pub_text(&n->disco, text));
}

static void put_addresses(struct js_wr *w, const struct node *n)
{
	char text[IP_TEXT_MAX];

	js_wr_key(w, "ipAddresses");
	js_wr_open(w, JS_ARRAY);
	if (ip_is4(&n->ip4))
		js_wr_str(w, ip_text(&n->ip4, text));
	if (!ip_is_zero(&n->ip6))
		js_wr_str(w, ip_text(&n->ip6, text));
	js_wr_close(w, JS_ARRAY);
}

static const char *method_text(enum register_method m)
{
	switch (m) {
	case REGISTER_AUTH_KEY:
		return "REGISTER_METHOD_AUTH_KEY";
	case REGISTER_CLI:
		return "REGISTER_METHOD_CLI";
	case REGISTER_OIDC:
		return "REGISTER_METHOD_OIDC";
	case REGISTER_UNSPECIFIED:
		break;
	}
	return "REGISTER_METHOD_UNSPECIFIED";
}

static void kv_attributes(struct js_wr *w, const struct node *n)
{
	AUTO_DONE(arena) struct arena arena = { 0 };
	struct attr attrs[ATTRS_MAX];
	size_t count = attrs_read(&arena, n->attrs, attrs);

	js_wr_key(w, "attributes");
	js_wr_open(w, JS_OBJECT);
	for (size_t i = 0; i < count; i++)
		js_wr_kv_str(w, attrs[i].name, attrs[i].value);
	js_wr_close(w, JS_OBJECT);
}

void api_put_node(struct js_wr *w, const struct state *st, const struct node *n)
{
	const struct auth_key *k = n->auth_key_id ? state_auth_key(st, n->auth_key_id) : NULL;
	struct prefixes served = { 0 };

	js_wr_open(w, JS_OBJECT);
	kv_id(w, "id", n->id);
	put_keys(w, n);
	put_addresses(w, n);
	js_wr_kv_str(w, "name", n->hostname);
	put_owner(w, st, n);
	api_kv_time(w, "lastSeen", n->last_seen);
	api_kv_time(w, "expiry", n->expiry);
	js_wr_key(w, "preAuthKey");
	if (k)
		api_put_auth_key(w, st, k, NULL);
	else
		js_wr_null(w);
	api_kv_time(w, "createdAt", n->created);
	js_wr_kv_str(w, "registerMethod", method_text(n->method));
	js_wr_kv_str(w, "givenName", n->given_name);
	js_wr_kv_bool(w, "online", n->online);
	kv_prefixes(w, "approvedRoutes", &n->approved);
	kv_prefixes(w, "availableRoutes", &n->advertised);
	state_served_routes(st, n, true, &served);
	kv_prefixes(w, "subnetRoutes", &served);
	prefixes_done(&served);
	kv_texts(w, "tags", &n->tags);
	js_wr_kv_bool(w, "authorized", n->authorized);
	kv_attributes(w, n);
	js_wr_close(w, JS_OBJECT);
}

void api_put_auth_key(struct js_wr *w, const struct state *st, const struct auth_key *k,
                      const char *key)
{
	const struct user *u = k->user_id ? state_user(st, k->user_id) : NULL;
	char masked[SECRET_TEXT_MAX];

	js_wr_open(w, JS_OBJECT);
	js_wr_key(w, "user");
	if (u)
		api_put_user(w, u);
	else
		js_wr_null(w);
	kv_id(w, "id", k->id);
	js_wr_kv_str(w, "key", key ? key : secret_masked(SECRET_AUTH_KEY, k->prefix, masked));
	js_wr_kv_bool(w, "reusable", k->reusable);
	js_wr_kv_bool(w, "ephemeral", k->ephemeral);
	js_wr_kv_bool(w, "used", k->used);
	api_kv_time(w, "expiration", k->expiry);
	api_kv_time(w, "createdAt", k->created);
	kv_texts(w, "aclTags", &k->tags);
	js_wr_close(w, JS_OBJECT);
}

void api_put_api_key(struct js_wr *w, const struct api_key *k)
{
	char masked[SECRET_TEXT_MAX];

	js_wr_open(w, JS_OBJECT);
	kv_id(w, "id", k->id);
	js_wr_kv_str(w, "prefix", secret_masked(SECRET_API_KEY, k->prefix, masked));
	api_kv_time(w, "expiration", k->expiry);
	api_kv_time(w, "createdAt", k->created);
	api_kv_time(w, "lastSeen", k->last_seen);
	js_wr_close(w, JS_OBJECT);
}

static void kv_json(struct js_wr *w, const char *name, const char *json)
{
	js_wr_key(w, name);
	if (json)
		js_wr_raw(w, span_str(json));
	else
		js_wr_null(w);
}

void api_put_audit(struct js_wr *w, const struct audit_entry *e)
{
	js_wr_open(w, JS_OBJECT);
	kv_id(w, "id", e->id);
	api_kv_time(w, "at", e->at);
	js_wr_kv_str(w, "actor", e->actor);
	js_wr_kv_str(w, "action", e->action);
	js_wr_kv_str(w, "target", e->target);
	kv_json(w, "before", e->before);
	kv_json(w, "after", e->after);
	js_wr_close(w, JS_OBJECT);
}
