#include "node/mapcache.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/file.h"

bool mapcache_wanted(const struct netmap *m)
{
	const char *env = getenv("TS_USE_CACHED_NETMAP");

	if (env && *env)
		return strcmp(env, "0") != 0 && strcmp(env, "false") != 0;
	return m->self && tc_cap_find(&m->self->cap_map, "cache-network-maps");
}

static void put(struct js_wr *w, const char *name, const struct js_type *t, const void *at)
{
	js_wr_key(w, name);
	js_wr_value(w, t, at);
}

static void put_peers(struct js_wr *w, const struct netmap *m)
{
	js_wr_key(w, "Peers");
	js_wr_open(w, JS_ARRAY);
	for (struct netmap_peer *p = netmap_first(m); p; p = netmap_next(m, p))
		js_wr_value(w, &tc_node_type, p->node);
	js_wr_close(w, JS_ARRAY);
}

static void put_filters(struct js_wr *w, const struct netmap *m)
{
	js_wr_key(w, "PacketFilters");
	js_wr_open(w, JS_OBJECT);
	for (size_t i = 0; i < m->filter.n; i++)
		put(w, m->filter.v[i].name, &tc_filter_rules_type, m->filter.v[i].rules);
	js_wr_close(w, JS_OBJECT);
}

static void put_users(struct js_wr *w, const struct netmap *m)
{
	js_wr_key(w, "UserProfiles");
	js_wr_open(w, JS_ARRAY);
	for (struct map_node *x = map_first(&m->users); x; x = map_next(&m->users, x))
		js_wr_value(w, &tc_user_profile_type,
		            CONTAINER_OF(x, struct netmap_user, by_id)->profile);
	js_wr_close(w, JS_ARRAY);
}

void mapcache_write(struct buf *out, const struct netmap *m)
{
	struct js_wr w = js_wr_of(out);

	js_wr_open(&w, JS_OBJECT);
	put(&w, "Node", &tc_node_type, m->self);
	put_peers(&w, m);
	if (m->derp_map)
		put(&w, "DERPMap", &tc_derp_map_type, m->derp_map);
	if (m->dns)
		put(&w, "DNSConfig", &tc_dns_config_type, m->dns);
	put_filters(&w, m);
	put_users(&w, m);
	js_wr_kv_str(&w, "Domain", m->domain ? m->domain : "");
	js_wr_close(&w, JS_OBJECT);
}

static char *in(const char *folder, const char *name)
{
	return str_fmt("%s/%s", folder, name);
}

int mapcache_save(const char *folder, const struct netmap *m, const struct disco_priv *disco)
{
	AUTO_DONE(buf) struct buf text = { .max = MAPCACHE_MAX };
	AUTO_FREE char *map = in(folder, "netmap.json"), *key = in(folder, "disco.key");
	int r = file_mkdirs(folder, 0700);

	if (r < 0)
		return r;
	mapcache_write(&text, m);
	r = buf_ok(&text) < 0 ? ERR_LIMIT : file_write_atomic(map, buf_span(&text), 0600);
	return r < 0 ? r : file_write_atomic(key, span(disco->b, sizeof(disco->b)), 0600);
}

int mapcache_load(const char *folder, struct buf *ret, struct disco_priv *ret_disco)
{
	AUTO_DONE(buf) struct buf bytes = { .secret = true };
	AUTO_FREE char *map = in(folder, "netmap.json"), *key = in(folder, "disco.key");
	int r = file_read(map, MAPCACHE_MAX, ret);

	if (r == 0)
		r = file_read(key, sizeof(ret_disco->b), &bytes);
	if (r == 0 && bytes.n != sizeof(ret_disco->b))
		r = ERR_SHORT;
	if (r == 0)
		memcpy(ret_disco->b, bytes.p, sizeof(ret_disco->b));
	return r;
}

void mapcache_remove(const char *folder)
{
	AUTO_FREE char *map = folder ? in(folder, "netmap.json") : NULL;
	AUTO_FREE char *key = folder ? in(folder, "disco.key") : NULL;

	if (!folder)
		return;
	(void)unlink(map);
	(void)unlink(key);
}
