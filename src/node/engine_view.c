/* What the engine shows: status, pings. */
#include <stdio.h>

#include "base/err.h"
#include "base/log.h"
#include "node/engine.h"
#include "node/peerapi.h"

enum { ACTIVE_US = 120000000 };

bool engine_is_live(const struct node *n)
{
	return n->engine && n->engine->live;
}

bool engine_names_bad(const struct node *n, int which)
{
	return n->engine && n->engine->names_bad[which];
}

bool engine_has_tun(const struct node *n)
{
	(void)n;
	return true; /* there is no other kind yet */
}

void engine_health(const struct node *n, struct engine_health *ret)
{
	const struct engine *e = n->engine;
	struct mesh_netinfo info = { 0 };

	*ret = (struct engine_health){ .up = e, .relay_error = "" };
	if (!e)
		return;
	mesh_netinfo(e->mesh, &info);
	ret->settled = e->bound;
	ret->network = e->facts.has4 || e->facts.has6;
	ret->port = mesh_port(e->mesh);
	ret->home = info.home;
	ret->home_connected = info.home && mesh_relay_connected(e->mesh, info.home);
	ret->bad_relay = e->bad_relay;
	ret->relay_error = e->relay_error;
}

void engine_fill_hostinfo(struct node *n, struct tc_hostinfo *ret)
{
	ret->peer_relay = node_prefs(n)->relay_server_port != NULL;
	if (n->engine && n->engine->has_netinfo)
		ret->netinfo = &n->engine->netinfo;
	if (n->engine)
		peerapi_fill_hostinfo(n->engine->peerapi, ret);
}

static wall wall_of(const struct node *n, mono t)
{
	if (t.us == 0 || t.us == MONO_NEVER.us)
		return (wall){ 0 };
	return (wall){ ev_wall(n->ev).us - mono_since(t, ev_now(n->ev)) };
}

void engine_peer(const struct node *n, const struct node_pub *key, struct engine_peer *ret)
{
	struct mesh_peer *p = n->engine ? mesh_peer(n->engine->mesh, key) : NULL;
	struct mesh_peer_status s;

	*ret = (struct engine_peer){ 0 };
	if (!p)
		return;
	mesh_peer_status(n->engine->mesh, p, &s);
	ret->in_magicsock = true;
	ret->in_engine = s.in_engine;
	ret->rx_bytes = s.rx_bytes;
	ret->tx_bytes = s.tx_bytes;
	ret->last_handshake = wall_of(n, s.last_handshake);
	ret->last_write = wall_of(n, s.path.last_sent);
	ret->active = s.path.last_sent.us &&
	              mono_since(s.path.last_sent, ev_now(n->ev)) < ACTIVE_US;
	if (!s.path.choice.udp || !s.path.choice.trusted)
		return;
	if (s.path.choice.via.vni) {
		ret->relay_server = s.path.choice.via.addr;
		ret->relay_vni = s.path.choice.via.vni;
	} else {
		ret->direct = s.path.choice.via.addr;
	}
}

bool engine_is_inside(const struct node *n, const struct ip *ip)
{
	return n->engine && mesh_route(n->engine->mesh, ip);
}

size_t engine_endpoints(const struct node *n, struct addr *ret, size_t max)
{
	size_t count = 0;

	for (size_t i = 0; n->engine && i < n->engine->n_endpoints && count < max; i++)
		ret[count++] = n->engine->endpoints[i].addr;
	return count;
}

int64_t engine_home_derp(const struct node *n)
{
	return n->engine ? n->engine->netinfo.preferred_derp : 0;
}

void engine_restun(struct node *n)
{
	if (n->engine)
		mesh_restun(n->engine->mesh);
}

void engine_break_relays(struct node *n)
{
	if (n->engine)
		mesh_break_relays(n->engine->mesh);
}

/* ---- why a path is what it is ---- */

void engine_why_relayed(const struct node *n, const struct tc_node *peer, char *dst, size_t cap)
{
	const struct tc_netinfo *own = n->engine ? &n->engine->netinfo : NULL;
	struct mesh_peer *p = own ? mesh_peer(n->engine->mesh, &peer->key) : NULL;
	struct mesh_peer_status s;

	*dst = 0;
	if (!p)
		return;
	mesh_peer_status(n->engine->mesh, p, &s);
	if ((s.path.choice.udp && s.path.choice.trusted) || !s.path.last_sent.us)
		return;
	if (own->working_udp == OBOOL_FALSE)
		(void)snprintf(dst, cap, "UDP does not get out of this network");
	else if (s.path.n_candidates == 0)
		(void)snprintf(dst, cap,
		               "it tells no address of its own (UDP may be blocked there)");
	else if (own->mapping_varies == OBOOL_TRUE)
		(void)snprintf(dst, cap,
		               "none of its %zu addresses answers, and the NAT of this network "
		               "gives each connection another port, so that it cannot reach us "
		               "either; a port mapped on the router would help",
		               s.path.n_candidates);
	else
		(void)snprintf(dst, cap,
		               "none of its %zu addresses answers; a firewall, or a NAT that gives "
		               "each connection another port, may be in between",
		               s.path.n_candidates);
}

/* ---- the network around us ---- */

static void put_latencies(struct js_wr *w, const char *name, const struct netcheck_report *r,
                          int64_t (*of)(const struct netcheck_region *r))
{
	char id[16];

	js_wr_key(w, name);
	js_wr_open(w, JS_OBJECT);
	for (size_t i = 0; i < r->n_regions; i++) {
		if (of(&r->regions[i]) <= 0)
			continue;
		(void)snprintf(id, sizeof(id), "%d", r->regions[i].id);
		js_wr_kv_int(w, id, of(&r->regions[i]) * 1000);
	}
	js_wr_close(w, JS_OBJECT);
}

static int64_t v4_of(const struct netcheck_region *r)
{
	return r->v4_us;
}

static int64_t v6_of(const struct netcheck_region *r)
{
	return r->v6_us;
}

static void put_global(struct js_wr *w, const char *name, const struct addr *a)
{
	char text[ADDR_TEXT_MAX];

	js_wr_kv_str(w, name, a->port ? addr_text(a, text) : "");
}

static void put_maybe(struct js_wr *w, const char *name, enum js_obool v)
{
	js_wr_key(w, name);
	js_wr_value(w, &js_t_obool, &v);
}

void engine_write_netcheck(const struct node *n, struct js_wr *w)
{
	const struct tc_netinfo *own = n->engine ? &n->engine->netinfo : NULL;
	const struct netcheck_report *r = NULL;
	struct mesh_netinfo info = { 0 };
	wall at;

	if (n->engine)
		mesh_netinfo(n->engine->mesh, &info);
	r = info.report;
	if (!r) {
		js_wr_null(w);
		return;
	}
	at = wall_of(n, r->at);
	js_wr_open(w, JS_OBJECT);
	js_wr_key(w, "Now");
	js_wr_value(w, &js_t_time, &at);
	js_wr_kv_bool(w, "UDP", r->udp);
	js_wr_kv_bool(w, "IPv6", r->ipv6);
	js_wr_kv_bool(w, "IPv4", r->ipv4);
	js_wr_kv_bool(w, "IPv6CanSend", n->engine->facts.has6);
	js_wr_kv_bool(w, "IPv4CanSend", n->engine->facts.has4);
	js_wr_kv_bool(w, "OSHasIPv6", n->engine->facts.ip6);
	put_maybe(w, "MappingVariesByDestIP", own->mapping_varies);
	put_maybe(w, "UPnP", own->upnp);
	put_maybe(w, "PMP", own->pmp);
	put_maybe(w, "PCP", own->pcp);
	js_wr_kv_int(w, "PreferredDERP", info.home);
	put_latencies(w, "RegionLatency", r, netcheck_latency);
	put_latencies(w, "RegionV4Latency", r, v4_of);
	put_latencies(w, "RegionV6Latency", r, v6_of);
	put_global(w, "GlobalV4", &r->global4);
	put_global(w, "GlobalV6", &r->global6);
	js_wr_kv_str(w, "CaptivePortal", "");
	js_wr_close(w, JS_OBJECT);
}

/* ---- capabilities ---- */

struct cap_writer {
	struct js_wr *w;
	bool any;
};

static void put_cap(void *ctx, const struct filter_cap *c)
{
	struct cap_writer *x = ctx;

	if (!x->any)
		js_wr_open(x->w, JS_OBJECT);
	x->any = true;
	js_wr_key_span(x->w, c->name);
	js_wr_raw(x->w, c->values);
}

void engine_write_caps(const struct node *n, struct js_wr *w, const struct tc_node *peer)
{
	const struct netmap *m = node_map(n);
	const struct filter *f = n->engine ? mesh_filter(n->engine->mesh) : NULL;
	struct cap_writer x = { .w = w };

	if (f && m && peer->addresses.n && m->self->addresses.n)
		filter_caps(f, &peer->addresses.v[0].ip, &m->self->addresses.v[0].ip, put_cap, &x);
	if (x.any)
		js_wr_close(w, JS_OBJECT);
	else
		js_wr_null(w);
}

/* ---- pings ---- */

static struct engine_ping *free_ping(struct engine *e)
{
	for (size_t i = 0; i < ENGINE_PINGS_MAX; i++)
		if (!e->pings[i].token)
			return &e->pings[i];
	return NULL;
}

static struct netmap_peer *owner_of(const struct node *n, const struct ip *ip)
{
	const struct netmap *m = node_map(n);
	struct netmap_peer *p = m ? netmap_peer_by_ip(m, ip) : NULL;
	struct mesh_peer *route = m && !p && n->engine ? mesh_route(n->engine->mesh, ip) : NULL;

	return p || !route ? p : netmap_peer_by_key(m, mesh_peer_key(route));
}

/* Negative, and why in words: no ping was sent. */
static int start_ping(struct node *n, const struct engine_ping *q, const char *type, size_t size,
                      struct netmap_peer *peer, char *err, size_t cap)
{
	struct engine_ping *slot = n->engine ? free_ping(n->engine) : NULL;
	bool tsmp = strcmp(type, "TSMP") == 0, icmp = strcmp(type, "ICMP") == 0;
	enum mesh_ping_kind kind = tsmp ? MESH_PING_TSMP : icmp ? MESH_PING_ICMP : MESH_PING_DISCO;
	int r;

	if (!n->engine || !peer || !slot) {
		(void)snprintf(err, cap, "%s",
		               !n->engine ? "not running"
		               : !peer    ? "no matching peer"
		                          : "too many pings");
		return ERR_UNKNOWN;
	}
	if (kind == MESH_PING_DISCO && strcmp(type, "disco") != 0) {
		(void)snprintf(err, cap, "unknown ping type \"%s\"", type);
		return ERR_VERSION;
	}
	*slot = *q;
	slot->token = ++n->engine->last_token;
	slot->inside = tsmp || icmp;
	slot->node_id = peer->node->id;
	r = mesh_ping(n->engine->mesh, &peer->node->key, kind, slot->token, size);
	if (r < 0) {
		slot->token = 0;
		(void)snprintf(err, cap, "%s", err_text(r));
	}
	return r;
}

void engine_ping(struct node *n, const struct ip *ip, const char *type, size_t size,
                 void (*done)(void *arg, const struct engine_pong *pong), void *arg)
{
	struct engine_ping q = { .ip = *ip, .done = done, .arg = arg };
	struct engine_pong out = { .ip = *ip };
	const struct netmap *m = node_map(n);
	char text[IP_TEXT_MAX];

	if (m && netmap_self_has_ip(m, ip)) {
		out.is_local = true;
		(void)snprintf(out.err, sizeof(out.err), "%s is local Tailscale IP",
		               ip_text(ip, text));
		done(arg, &out);
	} else if (start_ping(n, &q, type, size, owner_of(n, ip), out.err, sizeof(out.err)) < 0) {
		done(arg, &out);
	}
}

void engine_write_pong(struct js_wr *w, const struct engine_pong *p)
{
	char text[ADDR_TEXT_MAX], relay[ADDR_TEXT_MAX + 24] = "";

	if (addr_is_set(&p->relay_server))
		(void)snprintf(relay, sizeof(relay), "%s:vni:%u", addr_text(&p->relay_server, text),
		               p->relay_vni);
	js_wr_open(w, JS_OBJECT);
	js_wr_kv_str(w, "IP", ip_text(&p->ip, text));
	js_wr_kv_str(w, "NodeIP", ip_is_zero(&p->node_ip) ? "" : ip_text(&p->node_ip, text));
	js_wr_kv_str(w, "NodeName", p->node_name);
	js_wr_kv_str(w, "Err", p->err);
	js_wr_key(w, "LatencySeconds");
	js_wr_double(w, p->latency_s);
	js_wr_kv_str(w, "Endpoint", addr_is_set(&p->endpoint) ? addr_text(&p->endpoint, text) : "");
	js_wr_kv_str(w, "PeerRelay", relay);
	js_wr_kv_int(w, "DERPRegionID", p->derp_region);
	js_wr_kv_str(w, "DERPRegionCode", p->derp_code);
	if (p->peerapi_port)
		js_wr_kv_int(w, "PeerAPIPort", p->peerapi_port);
	if (p->peerapi_url[0])
		js_wr_kv_str(w, "PeerAPIURL", p->peerapi_url);
	if (p->is_local)
		js_wr_kv_bool(w, "IsLocalIP", true);
	js_wr_close(w, JS_OBJECT);
}
