#include "coordinator/mapjson.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coordinator/hostinfo.h"

uint64_t mapjson_owner(const struct node *n)
{
	return n->user_id && !node_is_tagged(n) ? n->user_id : USER_TAGGED_ID;
}

void mapjson_fqdn(const struct map_settings *s, const struct node *n, struct buf *out)
{
	buf_add_str(out, n->given_name);
	if (*s->base_domain)
		buf_fmt(out, ".%s.", s->base_domain);
}

static void kv_time(struct js_wr *w, const char *key, wall t)
{
	char text[TIME_TEXT_MAX];

	if (t.us)
		js_wr_kv_str(w, key, wall_text(t, text));
}

static void kv_texts(struct js_wr *w, const char *key, const struct texts *t)
{
	if (!t->n)
		return;
	js_wr_key(w, key);
	js_wr_open(w, JS_ARRAY);
	for (size_t i = 0; i < t->n; i++)
		js_wr_str(w, t->v[i]);
	js_wr_close(w, JS_ARRAY);
}

static void put_prefixes(struct js_wr *w, const struct prefixes *p)
{
	char text[PREFIX_TEXT_MAX];

	for (size_t i = 0; i < p->n; i++)
		js_wr_str(w, prefix_text(&p->v[i], text));
}

static void put_addresses(struct js_wr *w, const struct node *n)
{
	const struct ip *ips[] = { &n->ip4, &n->ip6 };
	char text[PREFIX_TEXT_MAX];

	for (size_t i = 0; i < 2; i++) {
		struct prefix p = prefix_host(*ips[i]);

		if (!ip_is_zero(ips[i]))
			js_wr_str(w, prefix_text(&p, text));
	}
}

static void kv_endpoints(struct js_wr *w, const struct node *n)
{
	char text[ADDR_TEXT_MAX];

	js_wr_key(w, "Endpoints");
	js_wr_open(w, JS_ARRAY);
	for (size_t i = 0; i < n->endpoints.n; i++)
		js_wr_str(w, addr_text(&n->endpoints.v[i], text));
	js_wr_close(w, JS_ARRAY);
}

/* What self and peer views have in common, up to Addresses. */
static void put_identity(struct js_wr *w, const struct map_settings *s, const struct node *n)
{
	struct buf name = { 0 };
	char id[24], key[KEY_TEXT_MAX];

	(void)snprintf(id, sizeof(id), "%llu", (unsigned long long)n->id);
	mapjson_fqdn(s, n, &name);
	js_wr_kv_int(w, "ID", (int64_t)n->id);
	js_wr_kv_str(w, "StableID", id);
	js_wr_kv_span(w, "Name", buf_span(&name));
	js_wr_kv_int(w, "User", (int64_t)mapjson_owner(n));
	js_wr_kv_str(w, "Key", node_pub_text(&n->key, key));
	kv_time(w, "KeyExpiry", n->expiry);
	js_wr_kv_str(w, "Machine", machine_pub_text(&n->machine, key));
	js_wr_kv_str(w, "DiscoKey", disco_pub_text(&n->disco, key));
	js_wr_key(w, "Addresses");
	js_wr_open(w, JS_ARRAY);
	put_addresses(w, n);
	js_wr_close(w, JS_ARRAY);
	buf_done(&name);
}

static void put_routes(struct js_wr *w, const struct node *n, const struct prefixes *allowed,
                       const struct prefixes *primary)
{
	if (allowed->n) {
		js_wr_key(w, "AllowedIPs");
		js_wr_open(w, JS_ARRAY);
		put_addresses(w, n);
		put_prefixes(w, allowed);
		js_wr_close(w, JS_ARRAY);
	}
	if (primary->n) {
		js_wr_key(w, "PrimaryRoutes");
		js_wr_open(w, JS_ARRAY);
		put_prefixes(w, primary);
		js_wr_close(w, JS_ARRAY);
	}
}

static void put_state(struct js_wr *w, const struct map_world *world, const struct node *n)
{
	kv_endpoints(w, n);
	if (n->home_derp)
		js_wr_kv_int(w, "HomeDERP", n->home_derp);
	js_wr_key(w, "Hostinfo");
	{
		struct buf host = { 0 };

		hostinfo_for_peers(n, &host);
		js_wr_raw(w, buf_span(&host));
		buf_done(&host);
	}
	kv_time(w, "Created", n->created);
	if (n->capver)
		js_wr_kv_int(w, "Cap", n->capver);
	kv_texts(w, "Tags", &n->tags);
	if (!n->online)
		kv_time(w, "LastSeen", n->last_seen);
	js_wr_kv_bool(w, "Online", n->online);
	if (node_expired(n, world->now))
		js_wr_kv_bool(w, "Expired", true);
}

void mapjson_peer(const struct map_world *world, const struct node *n, const struct node *viewer,
                  struct buf *out)
{
	struct js_wr w = js_wr_of(out);
	struct prefixes primary = { 0 }, allowed = { 0 };
	struct buf caps = { 0 };
	struct js_wr cw = js_wr_of(&caps);

	state_served_routes(world->st, n, false, &primary);
	state_served_routes(world->st, n, true, &allowed);
	if (n->approved.n && viewer)
		world->judge->routes_for(world->judge->arg, viewer, n, &allowed);
	js_wr_open(&w, JS_OBJECT);
	put_identity(&w, world->settings, n);
	put_routes(&w, n, &allowed, &primary);
	put_state(&w, world, n);
	js_wr_kv_bool(&w, "MachineAuthorized", n->authorized);
	js_wr_open(&cw, JS_OBJECT);
	world->judge->peer_attributes(world->judge->arg, n, &cw);
	js_wr_close(&cw, JS_OBJECT);
	if (caps.n > 2) {
		js_wr_key(&w, "CapMap");
		js_wr_raw(&w, buf_span(&caps));
	}
	js_wr_close(&w, JS_OBJECT);
	prefixes_done(&primary);
	prefixes_done(&allowed);
	buf_done(&caps);
}

void mapjson_peer_cached(const struct map_world *world, const struct node *n,
                         const struct node *viewer, struct buf *out)
{
	struct peer_cache *c = n->cache;

	if (n->approved.n) {
		mapjson_peer(world, n, viewer, out);
		return;
	}
	if (c->version != n->version || !c->json) {
		struct buf text = { 0 };

		mapjson_peer(world, n, viewer, &text);
		free(c->json);
		c->n = text.n;
		c->json = mem_dup(text.p, text.n);
		c->version = n->version;
		buf_done(&text);
	}
	buf_add(out, c->json, c->n);
}

static void kv_present(struct js_wr *w, const char *key)
{
	js_wr_key(w, key);
	js_wr_open(w, JS_ARRAY);
	js_wr_close(w, JS_ARRAY);
}

static void put_self_caps(struct js_wr *w, const struct map_world *world, const struct node *n)
{
	const struct map_settings *s = world->settings;

	js_wr_key(w, "CapMap");
	js_wr_open(w, JS_OBJECT);
	kv_present(w, "https://tailscale.com/cap/is-admin");
	kv_present(w, "https://tailscale.com/cap/ssh");
	if (s->certificates)
		kv_present(w, "https");
	if (s->taildrop)
		kv_present(w, "https://tailscale.com/cap/file-sharing");
	js_wr_key(w, "default-auto-update");
	js_wr_open(w, JS_ARRAY);
	js_wr_bool(w, s->auto_update);
	js_wr_close(w, JS_ARRAY);
	world->judge->attributes(world->judge->arg, n, w);
	js_wr_close(w, JS_OBJECT);
}

void mapjson_self(const struct map_world *world, const struct node *n, struct buf *out)
{
	struct js_wr w = js_wr_of(out);
	struct prefixes primary = { 0 };

	state_served_routes(world->st, n, false, &primary);
	js_wr_open(&w, JS_OBJECT);
	put_identity(&w, world->settings, n);
	/* All of its own routes, also those where another router is the primary. */
	put_routes(&w, n, &n->approved, &primary);
	put_state(&w, world, n);
	js_wr_kv_bool(&w, "MachineAuthorized", n->authorized);
	put_self_caps(&w, world, n);
	js_wr_close(&w, JS_OBJECT);
	prefixes_done(&primary);
}

bool mapjson_patchable(const struct node *n, unsigned what)
{
	if (what & ~(unsigned)NODE_PATCHABLE)
		return false;
	/* A patch cannot say "no home relay" or "never expires". */
	if ((what & NODE_HOME_DERP) && !n->home_derp)
		return false;
	return !((what & NODE_EXPIRY) && !n->expiry.us);
}

void mapjson_patch(const struct node *n, unsigned what, struct buf *out)
{
	struct js_wr w = js_wr_of(out);
	char key[KEY_TEXT_MAX];

	js_wr_open(&w, JS_OBJECT);
	js_wr_kv_int(&w, "NodeID", (int64_t)n->id);
	if (what & NODE_HOME_DERP)
		js_wr_kv_int(&w, "DERPRegion", n->home_derp);
	if (what & NODE_CAPVER)
		js_wr_kv_int(&w, "Cap", n->capver);
	if (what & NODE_ENDPOINTS)
		kv_endpoints(&w, n);
	if (what & NODE_KEY)
		js_wr_kv_str(&w, "Key", node_pub_text(&n->key, key));
	if (what & NODE_DISCO)
		js_wr_kv_str(&w, "DiscoKey", disco_pub_text(&n->disco, key));
	if (what & NODE_ONLINE) {
		js_wr_kv_bool(&w, "Online", n->online);
		if (!n->online)
			kv_time(&w, "LastSeen", n->last_seen);
	}
	if (what & NODE_EXPIRY)
		kv_time(&w, "KeyExpiry", n->expiry);
	js_wr_close(&w, JS_OBJECT);
}

void mapjson_profile(const struct state *st, uint64_t user, struct buf *out)
{
	const struct user *u = state_user(st, user);
	struct js_wr w = js_wr_of(out);
	char login[24];

	js_wr_open(&w, JS_OBJECT);
	js_wr_kv_int(&w, "ID", (int64_t)user);
	if (u) {
		js_wr_kv_str(&w, "LoginName", user_login(u, login));
		js_wr_kv_str(&w, "DisplayName",
		             *u->display_name ? u->display_name : user_login(u, login));
		if (*u->picture_url)
			js_wr_kv_str(&w, "ProfilePicURL", u->picture_url);
	} else {
		js_wr_kv_str(&w, "LoginName", "tagged-devices");
		js_wr_kv_str(&w, "DisplayName", "Tagged Devices");
	}
	js_wr_close(&w, JS_OBJECT);
}
