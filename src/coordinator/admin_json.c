#include <stdio.h>
#include <string.h>

#include "coordinator/admin.h"
#include "coordinator/secret.h"

static void kv_time(struct js_wr *w, const char *name, wall t)
{
	if (!t.us)
		return;
	js_wr_key(w, name);
	js_wr_open(w, JS_OBJECT);
	js_wr_kv_int(w, "seconds", t.us / US_PER_S);
	if (t.us % US_PER_S)
		js_wr_kv_int(w, "nanos", t.us % US_PER_S * 1000);
	js_wr_close(w, JS_OBJECT);
}

static void kv_text(struct js_wr *w, const char *name, const char *text)
{
	if (text && *text)
		js_wr_kv_str(w, name, text);
}

static void kv_true(struct js_wr *w, const char *name, bool v)
{
	if (v)
		js_wr_kv_bool(w, name, true);
}

static void kv_texts(struct js_wr *w, const char *name, const struct texts *t)
{
	if (!t->n)
		return;
	js_wr_key(w, name);
	js_wr_open(w, JS_ARRAY);
	for (size_t i = 0; i < t->n; i++)
		js_wr_str(w, t->v[i]);
	js_wr_close(w, JS_ARRAY);
}

static void kv_prefixes(struct js_wr *w, const char *name, const struct prefixes *p)
{
	char text[PREFIX_TEXT_MAX];

	if (!p->n)
		return;
	js_wr_key(w, name);
	js_wr_open(w, JS_ARRAY);
	for (size_t i = 0; i < p->n; i++)
		js_wr_str(w, prefix_text(&p->v[i], text));
	js_wr_close(w, JS_ARRAY);
}

void admin_put_user(struct js_wr *w, const struct user *u)
{
	char login[24];

	js_wr_open(w, JS_OBJECT);
	js_wr_kv_int(w, "id", (int64_t)u->id);
	js_wr_kv_str(w, "name", user_login(u, login));
	kv_time(w, "created_at", u->created);
	kv_text(w, "display_name", u->display_name);
	kv_text(w, "email", u->email);
	kv_text(w, "provider_id", u->provider_id);
	kv_text(w, "provider", u->provider);
	kv_text(w, "profile_pic_url", u->picture_url);
	js_wr_close(w, JS_OBJECT);
}

static void put_owner(struct js_wr *w, const struct state *st, const struct node *n)
{
	const struct user *u = node_is_tagged(n) ? NULL : state_user(st, n->user_id);

	js_wr_key(w, "user");
	if (u) {
		admin_put_user(w, u);
		return;
	}
	js_wr_open(w, JS_OBJECT);
	js_wr_kv_int(w, "id", USER_TAGGED_ID);
	js_wr_kv_str(w, "name", "tagged-devices");
	js_wr_kv_str(w, "display_name", "Tagged Devices");
	js_wr_close(w, JS_OBJECT);
}

static void put_addresses(struct js_wr *w, const struct node *n)
{
	char text[IP_TEXT_MAX];

	if (ip_is_zero(&n->ip4) && ip_is_zero(&n->ip6))
		return;
	js_wr_key(w, "ip_addresses");
	js_wr_open(w, JS_ARRAY);
	if (!ip_is_zero(&n->ip4))
		js_wr_str(w, ip_text(&n->ip4, text));
	if (!ip_is_zero(&n->ip6))
		js_wr_str(w, ip_text(&n->ip6, text));
	js_wr_close(w, JS_ARRAY);
}

void admin_put_node(struct js_wr *w, const struct state *st, const struct node *n)
{
	const struct auth_key *k = state_auth_key(st, n->auth_key_id);
	struct prefixes served = { 0 };
	char key[KEY_TEXT_MAX];

	js_wr_open(w, JS_OBJECT);
	if (n->id)
		js_wr_kv_int(w, "id", (int64_t)n->id);
	js_wr_kv_str(w, "machine_key", machine_pub_text(&n->machine, key));
	js_wr_kv_str(w, "node_key", node_pub_text(&n->key, key));
	js_wr_kv_str(w, "disco_key", disco_pub_text(&n->disco, key));
	put_addresses(w, n);
	kv_text(w, "name", n->hostname);
	put_owner(w, st, n);
	kv_time(w, "last_seen", n->last_seen);
	kv_time(w, "expiry", n->expiry);
	if (k) {
		js_wr_key(w, "pre_auth_key");
		admin_put_auth_key(w, st, k, NULL);
	}
	kv_time(w, "created_at", n->created);
	if (n->method)
		js_wr_kv_int(w, "register_method", n->method);
	kv_text(w, "given_name", n->given_name);
	kv_true(w, "online", n->online);
	kv_prefixes(w, "approved_routes", &n->approved);
	kv_prefixes(w, "available_routes", &n->advertised);
	state_served_routes(st, n, true, &served);
	kv_prefixes(w, "subnet_routes", &served);
	prefixes_done(&served);
	kv_texts(w, "tags", &n->tags);
	js_wr_close(w, JS_OBJECT);
}

void admin_put_auth_key(struct js_wr *w, const struct state *st, const struct auth_key *k,
                        const char *key)
{
	const struct user *u = state_user(st, k->user_id);
	char masked[SECRET_TEXT_MAX];

	js_wr_open(w, JS_OBJECT);
	if (u) {
		js_wr_key(w, "user");
		admin_put_user(w, u);
	}
	js_wr_kv_int(w, "id", (int64_t)k->id);
	js_wr_kv_str(w, "key", key ? key : secret_masked(SECRET_AUTH_KEY, k->prefix, masked));
	kv_true(w, "reusable", k->reusable);
	kv_true(w, "ephemeral", k->ephemeral);
	kv_true(w, "used", k->used);
	kv_time(w, "expiration", k->expiry);
	kv_time(w, "created_at", k->created);
	kv_texts(w, "acl_tags", &k->tags);
	js_wr_close(w, JS_OBJECT);
}

void admin_put_api_key(struct js_wr *w, const struct api_key *k)
{
	char masked[SECRET_TEXT_MAX];

	js_wr_open(w, JS_OBJECT);
	js_wr_kv_int(w, "id", (int64_t)k->id);
	js_wr_kv_str(w, "prefix", secret_masked(SECRET_API_KEY, k->prefix, masked));
	kv_time(w, "expiration", k->expiry);
	kv_time(w, "created_at", k->created);
	kv_time(w, "last_seen", k->last_seen);
	js_wr_close(w, JS_OBJECT);
}
