/* Peer relays, as the map and the preferences say: who may relay for us, and for whom we do. */
#include "base/err.h"
#include "base/log.h"
#include "node/engine.h"

enum { RELAY_CAPVER = 121 };

#define CAP_RELAY "tailscale.com/cap/relay"
#define CAP_RELAY_TARGET "tailscale.com/cap/relay-target"

struct cap_search {
	struct span name;
	bool found;
};

static void on_cap(void *ctx, const struct filter_cap *cap)
{
	struct cap_search *s = ctx;

	s->found |= span_eq(cap->name, s->name);
}

/* The first address of each that are of one family decide. */
static bool has_cap(const struct filter *f, const struct tc_node *src, const struct tc_node *dst,
                    const char *name)
{
	struct cap_search s = { .name = span_str(name) };

	for (size_t i = 0; i < src->addresses.n; i++)
		for (size_t k = 0; k < dst->addresses.n; k++) {
			const struct prefix *a = &src->addresses.v[i], *b = &dst->addresses.v[k];

			if (!prefix_is_host(a) || !prefix_is_host(b) ||
			    prefix_is4(a) != prefix_is4(b))
				continue;
			filter_caps(f, &a->ip, &b->ip, on_cap, &s);
			return s.found;
		}
	return false;
}

bool engine_may_relay(void *ctx, const struct node_pub *key)
{
	struct engine *e = ctx;
	const struct netmap *m = node_map(e->n);
	const struct filter *f = mesh_filter(e->mesh);
	struct netmap_peer *p = m ? netmap_peer_by_key(m, key) : NULL;

	return p && f && !p->node->unsigned_peerapi_only && has_cap(f, p->node, m->self, CAP_RELAY);
}

bool engine_relay_client(const struct netmap *m)
{
	return !tc_cap_find(&m->self->cap_map, "disable-relay-client") &&
	       !tc_cap_find(&m->self->cap_map, "only-tcp-443");
}

bool engine_relay_capable(const struct netmap *m, const struct tc_node *peer)
{
	return peer->cap >= RELAY_CAPVER && engine_relay_client(m);
}

/* Most tailnets have none: then nobody needs to be asked about each peer. */
static bool grants_any(const struct netmap *m)
{
	const struct span name = SPAN_LIT(CAP_RELAY_TARGET);

	for (size_t i = 0; i < m->filter.n; i++)
		for (size_t j = 0; j < m->filter.v[i].rules->n; j++) {
			const struct tc_filter_rule *t = &m->filter.v[i].rules->v[j];

			for (size_t k = 0; k < t->cap_grant.n; k++) {
				const struct tc_cap_grant *g = &t->cap_grant.v[k];

				for (size_t c = 0; c < g->caps.n; c++)
					if (span_eq(g->caps.v[c], name))
						return true;
				for (size_t c = 0; c < g->cap_map.n; c++)
					if (span_eq(g->cap_map.v[c].key, name))
						return true;
			}
		}
	return false;
}

/* Those that may relay for us; ourselves first, if we serve. */
static size_t candidates(const struct engine *e, const struct netmap *m, bool serves,
                         const struct tc_node *ret[static PATHS_RELAYS_MAX])
{
	const struct filter *f = mesh_filter(e->mesh);
	size_t n = 0;

	if (!engine_relay_client(m))
		return 0;
	if (serves)
		ret[n++] = m->self;
	for (struct netmap_peer *p = f && grants_any(m) ? netmap_first(m) : NULL;
	     p && n < PATHS_RELAYS_MAX; p = netmap_next(m, p))
		if (p->node->cap >= RELAY_CAPVER && !p->node->unsigned_peerapi_only &&
		    has_cap(f, p->node, m->self, CAP_RELAY_TARGET))
			ret[n++] = p->node;
	return n;
}

static void set_client(struct engine *e, const struct netmap *m, bool serves)
{
	const struct tc_node *nodes[PATHS_RELAYS_MAX];
	struct node_pub keys[PATHS_RELAYS_MAX];
	size_t n = candidates(e, m, serves, nodes);

	for (size_t i = 0; i < n; i++)
		keys[i] = nodes[i]->key;
	mesh_set_peer_relays(e->mesh, keys, n);
}

void engine_write_peer_relays(const struct node *n, struct js_wr *w)
{
	const struct netmap *m = node_map(n);
	const struct tc_node *nodes[PATHS_RELAYS_MAX];
	struct peer_relay_stats stats;
	size_t found = 0;
	char text[IP_TEXT_MAX];

	if (n->engine && m)
		found = candidates(n->engine, m, mesh_relay_server_stats(n->engine->mesh, &stats),
		                   nodes);
	js_wr_open(w, JS_ARRAY);
	for (size_t i = 0; i < found; i++)
		if (nodes[i]->addresses.n)
			js_wr_str(w, ip_text(&nodes[i]->addresses.v[0].ip, text));
	js_wr_close(w, JS_ARRAY);
}

static bool set_server(struct engine *e, const struct netmap *m)
{
	const struct prefs *p = node_prefs(e->n);
	struct mesh_relay_server cfg = { .fixed = p->relay_server_endpoints.v,
		                         .n_fixed = p->relay_server_endpoints.n };
	int r;

	if (!p->relay_server_port || tc_cap_find(&m->self->cap_map, "disable-relay-server") ||
	    tc_cap_find(&m->self->cap_map, "only-tcp-443")) {
		(void)!mesh_set_relay_server(e->mesh, NULL);
		return false;
	}
	cfg.port = *p->relay_server_port;
	r = mesh_set_relay_server(e->mesh, &cfg);
	if (r < 0)
		log_warn("cannot relay for peers on port %u: %s", cfg.port, err_text(r));
	return r >= 0;
}

void engine_relays(struct engine *e)
{
	const struct netmap *m = node_map(e->n);

	if (m && m->self)
		set_client(e, m, set_server(e, m));
}

/* ---- metrics ---- */

void engine_relay_metrics(const struct engine *e, struct buf *out)
{
	static const char *const family[] = { "udp4", "udp6" };
	struct peer_relay_stats s;

	if (!mesh_relay_server_stats(e->mesh, &s))
		return;
	buf_fmt(out, "# TYPE tailscaled_peer_relay_endpoints gauge\n"
	             "# HELP tailscaled_peer_relay_endpoints Number of allocated Peer Relay "
	             "endpoints\n");
	buf_fmt(out, "tailscaled_peer_relay_endpoints{state=\"connecting\"} %zu\n", s.connecting);
	buf_fmt(out, "tailscaled_peer_relay_endpoints{state=\"open\"} %zu\n", s.open);
	buf_fmt(out, "# TYPE tailscaled_peer_relay_forwarded_bytes_total counter\n"
	             "# HELP tailscaled_peer_relay_forwarded_bytes_total Number of bytes "
	             "forwarded via Peer Relay\n");
	for (size_t i = 0; i < 4; i++)
		buf_fmt(out,
		        "tailscaled_peer_relay_forwarded_bytes_total{transport_in=\"%s\","
		        "transport_out=\"%s\"} %llu\n",
		        family[i / 2], family[i % 2], (unsigned long long)s.bytes[i / 2][i % 2]);
	buf_fmt(out, "# TYPE tailscaled_peer_relay_forwarded_packets_total counter\n"
	             "# HELP tailscaled_peer_relay_forwarded_packets_total Number of packets "
	             "forwarded via Peer Relay\n");
	for (size_t i = 0; i < 4; i++)
		buf_fmt(out,
		        "tailscaled_peer_relay_forwarded_packets_total{transport_in=\"%s\","
		        "transport_out=\"%s\"} %llu\n",
		        family[i / 2], family[i % 2],
		        (unsigned long long)s.datagrams[i / 2][i % 2]);
}
