/* From the network map and the preferences to what the mesh and the host are told. */
#include <stdlib.h>

#include "base/err.h"
#include "base/log.h"
#include "base/via6.h"
#include "node/engine.h"
#include "node/peerapi.h"

/* ---- relays ---- */

static const char *text_or_null(struct span s)
{
	return s.n ? (const char *)s.p : NULL;
}

static void set_family(struct span text, struct ip *ip, bool *off)
{
	if (text.n && ip_parse(text, ip) < 0)
		*off = true;
}

static uint16_t port_or(int64_t port, uint16_t otherwise)
{
	return port > 0 && port <= UINT16_MAX ? (uint16_t)port : otherwise;
}

static void fill_relay(struct derp_node *d, const struct tc_derp_node *t)
{
	*d = (struct derp_node){
		.name = t->name.n ? (const char *)t->name.p : "",
		.host = t->host_name.n ? (const char *)t->host_name.p : "",
		.cert_name = text_or_null(t->cert_name),
		.stun_port = t->stun_port < 0 ? 0 : port_or(t->stun_port, DERP_STUN_PORT),
		.derp_port = port_or(t->derp_port, DERP_TLS_PORT),
		.stun_only = t->stun_only,
		.insecure = t->insecure_for_tests,
		.can_port80 = t->can_port_80,
	};
	set_family(t->ipv4, &d->ip4, &d->no4);
	set_family(t->ipv6, &d->ip6, &d->no6);
	if (t->stun_test_ip.n)
		(void)!ip_parse(t->stun_test_ip, &d->stun_ip);
}

static double score_of(const struct tc_derp_map *m, int64_t region)
{
	for (size_t i = 0; m->home_params && i < m->home_params->region_score.n; i++) {
		const struct tc_region_score *s = &m->home_params->region_score.v[i];
		int64_t id;

		if (tc_id_parse(s->key, &id) == 0 && id == region && s->value > 0)
			return s->value;
	}
	return 1;
}

static void fill_region(struct arena *a, struct derp_region *d, const struct tc_derp_map *m,
                        const struct tc_derp_region *t)
{
	size_t n = 0;
	struct derp_node *nodes = arena_new_n(a, struct derp_node, t->nodes.n ? t->nodes.n : 1);

	for (size_t i = 0; i < t->nodes.n && n < DERP_NODES_MAX; i++)
		if (t->nodes.v[i])
			fill_relay(&nodes[n++], t->nodes.v[i]);
	*d = (struct derp_region){
		.id = (int)t->region_id,
		.code = t->region_code.n ? (const char *)t->region_code.p : "",
		.name = t->region_name.n ? (const char *)t->region_name.p : "",
		.avoid = t->avoid,
		.no_measure = t->no_measure_no_home,
		.score = score_of(m, t->region_id),
		.nodes = nodes,
		.n_nodes = n,
	};
}

static int by_region(const void *a, const void *b)
{
	const struct derp_region *x = a, *y = b;

	return (x->id > y->id) - (x->id < y->id);
}

static void set_relays(struct engine *e, const struct tc_derp_map *m)
{
	struct arena a = { 0 };
	struct derp_region *v = arena_new_n(&a, struct derp_region,
	                                    m->regions.n ? m->regions.n : 1);
	struct derp_map map = { .regions = v };

	for (size_t i = 0; i < m->regions.n && map.n_regions < DERP_REGIONS_MAX; i++) {
		const struct tc_derp_region *t = m->regions.v[i].value;

		if (t && t->region_id > 0 && t->region_id <= INT32_MAX)
			fill_region(&a, &v[map.n_regions++], m, t);
	}
	qsort(v, map.n_regions, sizeof(*v), by_region);
	mesh_set_relays(e->mesh, &map);
	arena_done(&a);
}

/* ---- peers ---- */

static bool is_own_address(const struct tc_node *n, const struct prefix *p)
{
	for (size_t i = 0; i < n->addresses.n; i++)
		if (prefix_eq(&n->addresses.v[i], p))
			return true;
	return false;
}

static bool is_chosen_exit(const struct prefs *p, const struct tc_node *n)
{
	if (p->exit_node_id.n)
		return span_eq(p->exit_node_id, n->stable_id);
	for (size_t i = 0; !ip_is_zero(&p->exit_node_ip) && i < n->addresses.n; i++)
		if (ip_eq(&n->addresses.v[i].ip, &p->exit_node_ip))
			return true;
	return false;
}

/* Its addresses always; routes and the world behind it if we want them. */
static size_t allowed_of(struct engine *e, const struct tc_node *n, struct prefix *v, size_t max)
{
	const struct prefs *p = node_prefs(e->n);
	const struct js_prefixes *all = tc_node_allowed_ips(n);
	bool exit = e->exit_open && is_chosen_exit(p, n);
	size_t count = 0;

	for (size_t i = 0; i < all->n && count < max; i++) {
		const struct prefix *x = &all->v[i];
		bool wanted = is_own_address(n, x) || (prefix_is_default(x) ? exit : p->route_all);

		if (wanted)
			v[count++] = *x;
	}
	return count;
}

static bool is_expired(const struct engine *e, const struct tc_node *n)
{
	return n->expired || (n->key_expiry.us && n->key_expiry.us <= ev_wall(e->n->ev).us);
}

static void set_peer(struct engine *e, const struct tc_node *n)
{
	AUTO_FREE struct prefix *allowed = mem_new_n(struct prefix, MESH_ALLOWED_MAX);
	struct mesh_peer_cfg cfg = {
		.path = { .node = n->key,
		          .disco = n->disco,
		          .home = (int)tc_node_home_derp(n),
		          .endpoints = n->endpoints.v,
		          .n_endpoints = n->endpoints.n,
		          .wg_only = n->wireguard_only,
		          .relay_capable = engine_relay_capable(node_map(e->n), n) },
		.allowed = allowed,
		.jailed = n->jailed,
	};
	int r;

	if (is_expired(e, n)) {
		mesh_remove_peer(e->mesh, &n->key);
		return;
	}
	cfg.n_allowed = allowed_of(e, n, allowed, MESH_ALLOWED_MAX);
	r = mesh_set_peer(e->mesh, &cfg);
	if (r < 0)
		log_debug("peer %lld is refused: %s", (long long)n->id, err_text(r));
}

static void change_peer(struct engine *e, const struct netmap_change *c)
{
	if (c->removed) {
		mesh_remove_peer(e->mesh, &c->peer->node->key);
		return;
	}
	if ((c->mask & TC_CHANGED_KEY) && !c->added)
		mesh_remove_peer(e->mesh, &c->old_key);
	if (c->added || c->mask & ~(unsigned)(TC_CHANGED_LAST_SEEN | TC_CHANGED_ONLINE))
		set_peer(e, c->peer->node);
}

/* ---- the packet filter ---- */

static void members(void *ctx, struct span capability, struct ipset *ret)
{
	struct engine *e = ctx;
	const struct netmap *m = node_map(e->n);
	AUTO_FREE char *name = span_dup(capability);

	for (struct netmap_peer *p = netmap_first(m); p; p = netmap_next(m, p))
		if (tc_cap_find(&p->node->cap_map, name))
			for (size_t i = 0; i < p->node->addresses.n; i++)
				ipset_add_prefix(ret, &p->node->addresses.v[i]);
}

static int put_grant(struct filter_build *b, const struct tc_cap_grant *g)
{
	int r = 0;

	for (size_t i = 0; r != ERR_LIMIT && i < g->dsts.n; i++)
		for (size_t j = 0; r != ERR_LIMIT && j < g->cap_map.n; j++) {
			AUTO_DONE(buf) struct buf values = { 0 };

			js_encode(&values, &js_t_raws, &g->cap_map.v[j].value);
			r = filter_build_grant(b, &g->dsts.v[i], g->cap_map.v[j].key,
			                       buf_span(&values));
		}
	return r;
}

/* An entry that cannot be read is left out; the rest of the rule holds. */
static int put_rule(struct filter_build *b, const struct tc_filter_rule *t)
{
	int r = filter_build_rule(b);

	for (size_t i = 0; r != ERR_LIMIT && i < t->src_ips.n; i++)
		r = filter_build_src(b, t->src_ips.v[i]);
	for (size_t i = 0; i < t->ip_proto.n; i++)
		filter_build_proto(b, t->ip_proto.v[i]);
	for (size_t i = 0; r != ERR_LIMIT && i < t->dst_ports.n; i++)
		r = filter_build_dst(b, t->dst_ports.v[i].ip, t->dst_ports.v[i].ports.first,
		                     t->dst_ports.v[i].ports.last);
	for (size_t i = 0; r != ERR_LIMIT && i < t->cap_grant.n; i++)
		r = put_grant(b, &t->cap_grant.v[i]);
	return r == ERR_LIMIT ? r : 0;
}

/* Lengths beside the addresses are a relic; a rule that has them voids the whole filter. */
static bool has_relics(const struct tc_filter_rule *t)
{
	for (size_t i = 0; i < t->dst_ports.n; i++)
		if (t->dst_ports.v[i].bits)
			return true;
	return t->src_bits.n > 0;
}

static int put_rules(struct filter_build *b, const struct netmap *m)
{
	for (size_t i = 0; i < m->filter.n; i++)
		for (size_t j = 0; j < m->filter.v[i].rules->n; j++) {
			const struct tc_filter_rule *t = &m->filter.v[i].rules->v[j];
			int r = has_relics(t) ? ERR_MALFORMED : put_rule(b, t);

			if (r < 0)
				return r;
		}
	return 0;
}

static void local_addresses(struct engine *e, const struct netmap *m, struct ipset *local)
{
	const struct js_prefixes *routes = &node_prefs(e->n)->advertise_routes;
	struct ipset own = { 0 }, nets = { 0 };

	for (size_t i = 0; i < m->self->addresses.n; i++) {
		ipset_add_prefix(local, &m->self->addresses.v[i]);
		ipset_add_prefix(&own, &m->self->addresses.v[i]);
	}
	for (size_t i = 0; i < e->facts.nets.n; i++)
		ipset_add_prefix(&nets, &e->facts.nets.v[i].prefix);
	ipset_seal(&own);
	ipset_seal(&nets);
	for (size_t i = 0; i < routes->n; i++)
		if (!prefix_is_default(&routes->v[i]))
			ipset_add_prefix(local, &routes->v[i]);
	ipset_seal(local);
	for (size_t i = 0; i < routes->n; i++)
		if (prefix_is_default(&routes->v[i]))
			filter_add_exit(local, &routes->v[i], &nets, &own);
	ipset_done(&own);
	ipset_done(&nets);
}

static bool routes_sites(const struct prefs *p)
{
	for (size_t i = 0; i < p->advertise_routes.n; i++)
		if (via6_covers(&p->advertise_routes.v[i]))
			return true;
	return false;
}

static void set_filter(struct engine *e, const struct netmap *m)
{
	struct filter_env env = { .members = members, .ctx = e };
	struct filter_build *b = filter_build_new(&env);
	struct ipset local = { 0 };
	int r;

	local_addresses(e, m, &local);
	filter_build_local(b, &local);
	ipset_done(&local);
	r = put_rules(b, m);
	if (r < 0) {
		log_warn("the packet filter cannot be used (%s): nothing may enter", err_text(r));
		filter_build_free(b);
		mesh_set_filter(e->mesh, NULL);
		return;
	}
	mesh_set_filter(e->mesh,
	                filter_build_done(b, node_prefs(e->n)->shields_up ? FILTER_SHIELDS_UP
	                                                                  : FILTER_BY_RULES));
}

/* ---- all of it ---- */

void engine_self(struct engine *e)
{
	const struct netmap *m = node_map(e->n);
	struct ip v[2];
	size_t n = 0;
	bool four = false, six = false;

	if (!m)
		return;
	for (size_t i = 0; i < m->self->addresses.n; i++) {
		const struct prefix *p = &m->self->addresses.v[i];
		bool *have = prefix_is4(p) ? &four : &six;

		if (!*have && prefix_is_host(p))
			v[n++] = p->ip;
		*have = true;
	}
	mesh_set_self(e->mesh, v, n, peerapi_port(e->peerapi, true),
	              peerapi_port(e->peerapi, false));
}

/* Policy may want no port that strangers can guess. */
static void set_port(struct engine *e, const struct netmap *m)
{
	bool any = tc_cap_find(&m->self->cap_map, "randomize-client-port");
	int r = mesh_set_port(e->mesh, any ? 0 : e->n->cfg.port);

	if (r < 0)
		(void)log_ret(r, "the UDP port stays as it is");
}

static bool caps_changed(const struct netmap_delta *d)
{
	for (size_t i = 0; i < d->peers.n; i++)
		if (d->peers.v[i].removed ||
		    d->peers.v[i].mask & (TC_CHANGED_CAP_MAP | TC_CHANGED_ADDRESSES))
			return true;
	return false;
}

void engine_open_exit(struct engine *e)
{
	const struct netmap *m = node_map(e->n);

	e->exit_open = true;
	for (struct netmap_peer *p = m ? netmap_first(m) : NULL; p; p = netmap_next(m, p))
		if (is_chosen_exit(node_prefs(e->n), p->node))
			set_peer(e, p->node);
}

void engine_map(struct engine *e, const struct netmap_delta *d)
{
	const struct netmap *m = node_map(e->n);
	unsigned what = d ? d->what : ~0u;

	if ((what & NETMAP_DERP) && m->derp_map)
		set_relays(e, m->derp_map);
	if (what & NETMAP_SELF) {
		engine_self(e);
		set_port(e, m);
	}
	for (size_t i = 0; d && i < d->peers.n; i++)
		change_peer(e, &d->peers.v[i]);
	for (struct netmap_peer *p = d ? NULL : netmap_first(m); p; p = netmap_next(m, p))
		set_peer(e, p->node);
	if (!d || what & (NETMAP_FILTER | NETMAP_SELF) || caps_changed(d))
		set_filter(e, m);
	if (!d || d->peers.n || what & (NETMAP_FILTER | NETMAP_SELF))
		engine_relays(e);
}

/* ---- names ---- */

void engine_names(struct engine *e)
{
	const struct netmap *m = node_map(e->n);
	const struct prefs *p = node_prefs(e->n);
	struct names_input in = { .map = m,
		                  .corp_dns = p->corp_dns,
		                  .expired = node_key_expired(e->n) };
	int r;

	if (!e->names || !m)
		return;
	for (struct netmap_peer *x = prefs_uses_exit(p) ? netmap_first(m) : NULL; x;
	     x = netmap_next(m, x))
		if (is_chosen_exit(p, x->node))
			in.exit = x->node;
	r = names_apply(e->names, &in);
	if (r < 0)
		(void)log_ret(r, "the host's resolver is not told of the tailnet's names");
}

/* ---- the host ---- */

static enum router_netfilter netfilter_of(const struct prefs *p)
{
	if (p->netfilter_mode == NETFILTER_OFF)
		return ROUTER_NETFILTER_OFF;
	return p->netfilter_mode == NETFILTER_NODIVERT ? ROUTER_NETFILTER_NODIVERT
	                                               : ROUTER_NETFILTER_ON;
}

static void plan_peer(struct arena *a, const struct prefs *p, const struct tc_node *n,
                      struct router_peer *ret)
{
	const struct js_prefixes *all = tc_node_allowed_ips(n);
	struct ip *addrs = arena_new_n(a, struct ip, n->addresses.n ? n->addresses.n : 1);

	*ret = (struct router_peer){ .allowed = all->v,
		                     .n_allowed = all->n,
		                     .addrs = addrs,
		                     .name = n->name.n ? (const char *)n->name.p : "",
		                     .is_exit = is_chosen_exit(p, n) };
	for (size_t i = 0; i < n->addresses.n; i++)
		if (prefix_is_host(&n->addresses.v[i]))
			addrs[ret->n_addrs++] = n->addresses.v[i].ip;
}

static void fill_plan(struct engine *e, const struct netmap *m, struct arena *a,
                      struct router_cfg *cfg)
{
	const struct prefs *p = node_prefs(e->n);
	struct router_peer *peers = arena_new_n(a, struct router_peer, netmap_n_peers(m) + 1);
	size_t n_self = m->self->addresses.n;
	struct prefix *self = arena_new_n(a, struct prefix, n_self + 2);
	const char *dev = tun_name(mesh_tun(e->mesh));

	*cfg = (struct router_cfg){
		.self = self,
		.n_self = n_self + 2,
		.peers = peers,
		.nets = e->facts.nets.v,
		.n_nets = e->facts.nets.n,
		.ip6 = e->facts.ip6,
		.accept_routes = p->route_all,
		.use_exit = prefs_uses_exit(p),
		.exit_lan = p->exit_node_allow_lan,
		.netfilter = netfilter_of(p),
		.snat = !p->no_snat,
		.stateful = p->no_stateful_filtering == OBOOL_FALSE,
		.cgnat_drop = !tc_cap_find(&m->self->cap_map, "disable-linux-cgnat-drop-rule"),
		.udp_port = mesh_port(e->mesh),
		.via6 = routes_sites(p),
	};
	memcpy(self, m->self->addresses.v, n_self * sizeof(*self));
	/* Our resolver listens here, so they are this machine's. */
	self[n_self] = prefix_host(names_service4);
	self[n_self + 1] = prefix_host(names_service6);
	memcpy(cfg->dev, dev, strnlen(dev, ROUTER_NAME_MAX));
	for (struct netmap_peer *x = netmap_first(m); x; x = netmap_next(m, x))
		if (!is_expired(e, x->node))
			plan_peer(a, p, x->node, &peers[cfg->n_peers++]);
}

static void note_overlaps(struct engine *e, const struct router_cfg *cfg)
{
	AUTO_DONE(buf) struct buf now = { 0 };

	router_overlaps(&now, cfg);
	if (span_eq(buf_span(&now), buf_span(&e->overlaps)))
		return;
	buf_clear(&e->overlaps);
	buf_add_span(&e->overlaps, buf_span(&now));
	if (now.n)
		log_warn("%s", buf_text(&now));
	bus_health(e->n);
}

const char *engine_overlaps(const struct node *n)
{
	return n->engine ? buf_text(&n->engine->overlaps) : "";
}

void engine_plan(struct engine *e)
{
	const struct netmap *m = node_map(e->n);
	struct arena a = { 0 };
	struct router_cfg cfg;

	if (!m)
		return;
	fill_plan(e, m, &a, &cfg);
	mesh_set_via6(e->mesh, cfg.via6);
	note_overlaps(e, &cfg);
	warden_route(e->n->cfg.warden, &cfg, engine_planned, e);
	arena_done(&a);
}
