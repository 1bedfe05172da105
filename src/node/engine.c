#include "node/engine.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/log.h"
#include "base/rand.h"
#include "node/peerapi.h"
#include "platform/self.h"

enum {
	PLAN_DELAY_US = 20000,
	OPEN_DELAY_US = 500000, /* from looking a resolver up until asking it */
	TRIM_FIRST_US = 20000000,
	TRIM_US = 600 * 1000000,
};

/* ---- what the mesh tells ---- */

static void on_endpoints(void *ctx, const struct mesh_endpoint *v, size_t n)
{
	struct engine *e = ctx;
	struct addr at[MESH_ENDPOINTS_MAX];
	int64_t types[MESH_ENDPOINTS_MAX];

	e->n_endpoints = n < MESH_ENDPOINTS_MAX ? n : MESH_ENDPOINTS_MAX;
	memcpy(e->endpoints, v, e->n_endpoints * sizeof(*v));
	for (size_t i = 0; i < e->n_endpoints; i++) {
		at[i] = v[i].addr;
		types[i] = v[i].type;
	}
	session_set_endpoints(e->n->session, at, types, e->n_endpoints);
}

static void add_latency(struct engine *e, int region, const char *family, int64_t us)
{
	size_t i = e->netinfo.derp_latency.n;

	if (us <= 0 || i >= ARRAY_LEN(e->latency))
		return;
	(void)snprintf(e->latency_names[i], sizeof(e->latency_names[i]), "%d-%s", region, family);
	e->latency[i] = (struct tc_latency){ span_str(e->latency_names[i]), (double)us / 1e6 };
	e->netinfo.derp_latency.n = i + 1;
}

static enum js_obool of_tristate(enum tristate t)
{
	return t == TRI_UNKNOWN ? OBOOL_UNSET : obool(t == TRI_TRUE);
}

static void take_report(struct engine *e, const struct netcheck_report *r)
{
	e->netinfo.mapping_varies = of_tristate(r->mapping_varies);
	e->netinfo.working_udp = obool(r->udp);
	e->netinfo.working_ipv6 = obool(r->ipv6);
	e->netinfo.os_has_ipv6 = obool(e->facts.ip6);
	for (size_t i = 0; i < r->n_regions; i++) {
		add_latency(e, r->regions[i].id, "v4", r->regions[i].v4_us);
		add_latency(e, r->regions[i].id, "v6", r->regions[i].v6_us);
	}
}

static void on_netinfo(void *ctx, const struct mesh_netinfo *info)
{
	struct engine *e = ctx;

	e->netinfo = (struct tc_netinfo){
		.preferred_derp = info->home,
		.have_port_map = info->have_portmap,
		.upnp = obool(info->seen.upnp),
		.pmp = obool(info->seen.pmp),
		.pcp = obool(info->seen.pcp),
	};
	e->netinfo.derp_latency.v = e->latency;
	e->netinfo.derp_latency.set = true;
	if (info->report)
		take_report(e, info->report);
	e->has_netinfo = true;
	e->live |= info->home != 0;
	ev_defer(e->n->ev, &e->exit);
	session_report(e->n->session);
	node_settle(e->n);
}

static void on_gone(void *ctx)
{
	struct engine *e = ctx;

	log_error("the network interface is gone; bring the node down and up again");
	e->live = false;
}

static void name_pong(struct engine_pong *out, const struct tc_node *node)
{
	struct span label = span_first(node->name, span_find(node->name, '.'));

	(void)snprintf(out->node_name, sizeof(out->node_name), "%.*s", SPAN_FMT(label));
}

static void fill_pong(struct engine *e, const struct engine_ping *p, const struct mesh_pong *in,
                      struct engine_pong *out)
{
	const struct netmap *m = node_map(e->n);
	struct netmap_peer *peer = m ? netmap_peer(m, p->node_id) : NULL;

	*out = (struct engine_pong){ .ip = p->ip, .node_ip = p->ip };
	if (peer && peer->node->addresses.n)
		out->node_ip = peer->node->addresses.v[0].ip;
	if (peer)
		name_pong(out, peer->node);
	if (in->rtt_us < 0) {
		(void)snprintf(out->err, sizeof(out->err), "no answer");
		out->timed_out = true;
		return;
	}
	out->latency_s = (double)in->rtt_us / 1e6;
	out->peerapi_port = in->peerapi_port;
	if (in->region) {
		out->derp_region = in->region;
		(void)snprintf(out->derp_code, sizeof(out->derp_code), "%.*s",
		               SPAN_FMT(status_region_code(m, in->region)));
	} else if (in->via.vni) {
		out->relay_server = in->via.addr;
		out->relay_vni = in->via.vni;
	} else if (!p->inside) {
		out->endpoint = in->via.addr;
	}
}

static void on_pong(void *ctx, const struct mesh_pong *in)
{
	struct engine *e = ctx;
	struct engine_pong out;

	for (size_t i = 0; i < ENGINE_PINGS_MAX; i++) {
		struct engine_ping p = e->pings[i];

		if (p.token != in->token || !p.token)
			continue;
		e->pings[i].token = 0;
		fill_pong(e, &p, in, &out);
		p.done(p.arg, &out);
		return;
	}
}

static void on_relay_health(void *ctx, int region, const char *text)
{
	struct engine *e = ctx;

	if (*text)
		log_warn("relay %d says: %s", region, text);
	if (!*text && region != e->bad_relay)
		return;
	e->bad_relay = region;
	(void)snprintf(e->relay_error, sizeof(e->relay_error), "%s", text);
	node_settle(e->n);
}

/* ---- the host ---- */

static void tell_host(struct engine *e, bool major)
{
	struct mesh_host h = {
		.ips = e->facts.addrs.v,
		.n_ips = e->facts.addrs.n,
		.have4 = e->facts.has4,
		.have6 = e->facts.has6,
		.gateway = e->facts.gateway4,
		.gateway_self = e->facts.towards4,
	};

	if (e->n->declared) {
		h.fixed = conffile_endpoints(e->n->declared)->v;
		h.n_fixed = conffile_endpoints(e->n->declared)->n;
	}
	mesh_host_changed(e->mesh, &h, major);
}

static bool read_facts(struct engine *e)
{
	struct host_facts now = { 0 };
	int r = host_facts_read(e->n->cfg.tun_name, &now);
	bool same = r == 0 && host_facts_eq(&now, &e->facts);

	if (r < 0 || same) {
		host_facts_done(&now);
		return false;
	}
	host_facts_done(&e->facts);
	e->facts = now;
	return true;
}

static void on_host(struct ev_timer *t, mono now)
{
	struct engine *e = CONTAINER_OF(t, struct engine, host);

	(void)now;
	if (!read_facts(e))
		return;
	log_info("the host's network changed");
	node_settle(e->n);
	tell_host(e, true);
	if (e->names)
		names_link_changed(e->names);
	session_link_changed(e->n->session);
	ev_timer_after(e->n->ev, &e->plan, PLAN_DELAY_US);
}

static void on_netmon(void *arg, unsigned what)
{
	struct engine *e = arg;

	if (what & (NETMON_LINK | NETMON_ADDR | NETMON_ROUTE))
		ev_timer_after(e->n->ev, &e->host, PLAN_DELAY_US);
}

static void on_trouble(void *ctx, enum names_trouble which, bool bad)
{
	struct engine *e = ctx;

	e->names_bad[which] = bad;
	node_settle(e->n);
}

static void on_names_again(void *ctx)
{
	engine_names(ctx);
}

static void start_names(struct engine *e)
{
	struct names_cfg cfg = { .ev = e->n->ev,
		                 .tls = e->n->tls,
		                 .dev = e->n->cfg.tun_name,
		                 .warden = e->n->cfg.warden,
		                 .trouble = on_trouble,
		                 .again = on_names_again,
		                 .ctx = e };
	int r = names_new(&cfg, &e->names);

	if (r < 0)
		(void)log_ret(r, "names of the tailnet are not answered");
}

/* The sockets are bound when the interface is seen to be up; the probes can start then. */
static void await_port(struct engine *e)
{
	if (e->bound)
		return;
	e->bound = mesh_port(e->mesh) != 0;
	if (e->bound) {
		mesh_restun(e->mesh);
		start_names(e);
		engine_names(e);
		ev_timer_after(e->n->ev, &e->open, OPEN_DELAY_US);
	}
	ev_timer_after(e->n->ev, &e->plan, PLAN_DELAY_US);
}

/* On what addresses are on the interface by now. */
static void bind_peerapi(struct engine *e)
{
	const struct netmap *m = node_map(e->n);
	struct ip v[PEERAPI_ADDRS_MAX];
	size_t n = 0;

	for (size_t i = 0; m && i < m->self->addresses.n && n < ARRAY_LEN(v); i++)
		if (prefix_is_host(&m->self->addresses.v[i]))
			v[n++] = m->self->addresses.v[i].ip;
	if (e->bound && peerapi_bind(e->peerapi, v, n))
		engine_peerapi_changed(e->n);
}

void engine_peerapi_changed(struct node *n)
{
	engine_self(n->engine);
	session_report(n->session);
}

static void on_plan(struct ev_timer *t, mono now)
{
	struct engine *e = CONTAINER_OF(t, struct engine, plan);

	(void)now;
	engine_plan(e);
	await_port(e);
}

void engine_planned(void *arg)
{
	bind_peerapi(arg);
}

static void on_exit_choice(struct ev_defer *d)
{
	engine_choose_exit(CONTAINER_OF(d, struct engine, exit));
}

static void on_open(struct ev_timer *t, mono now)
{
	(void)now;
	engine_open_exit(CONTAINER_OF(t, struct engine, open));
}

static void on_trim(struct ev_timer *t, mono now)
{
	struct engine *e = CONTAINER_OF(t, struct engine, trim);

	(void)now;
	self_trim();
	ev_timer_after(e->n->ev, &e->trim, TRIM_US);
}

/* ---- life ---- */

static int start_mesh(struct engine *e)
{
	struct node *n = e->n;
	struct mesh_cfg cfg = {
		.ev = n->ev,
		.resolver = n->resolver,
		.tls = n->tls,
		.proxy = &n->proxy,
		.node = node_prefs(n)->persist->node_key,
		.disco = n->disco,
		.port = n->cfg.port,
		.no_mark = n->cfg.no_mark,
		.grow = warden_grow,
		.grow_arg = n->cfg.warden,
		.never_direct = getenv("TS_DEBUG_ALWAYS_USE_DERP") != NULL,
		.hooks = { .ctx = e,
		           .endpoints = on_endpoints,
		           .netinfo = on_netinfo,
		           .pong = on_pong,
		           .relay_health = on_relay_health,
		           .gone = on_gone,
		           .may_relay = engine_may_relay },
	};
	int r = n->cfg.warden ? warden_tun(n->cfg.warden, &cfg.tun) : -EPERM;

	if (r < 0)
		return log_ret(r, "cannot open the network interface %s", n->cfg.tun_name);
	r = mesh_new(&cfg, &e->mesh);
	return r < 0 ? log_ret(r, "cannot start the tunnel") : 0;
}

static void start_host(struct engine *e)
{
	struct node *n = e->n;
	struct netmon_cfg mon = { .own_dev = n->cfg.tun_name,
		                  .own_table = ROUTER_TABLE,
		                  .changed = on_netmon,
		                  .arg = e };
	int r = netmon_new(n->ev, &mon, &e->mon);
	if (r < 0)
		(void)log_ret(r, "cannot watch the host's network");
	(void)read_facts(e);
}

bool engine_wants_exit(const struct node *n)
{
	const struct prefs *p = node_prefs(n);

	return !n->ending && p->want_running && !p->logged_out && prefs_uses_exit(p);
}

static void engine_free(struct engine *e)
{
	ev_timer_stop(e->n->ev, &e->plan);
	ev_timer_stop(e->n->ev, &e->host);
	ev_defer_stop(&e->exit);
	ev_timer_stop(e->n->ev, &e->trim);
	ev_timer_stop(e->n->ev, &e->open);
	for (size_t i = 0; i < ENGINE_PINGS_MAX; i++) {
		struct engine_pong out = { .ip = e->pings[i].ip, .err = "stopped" };

		if (e->pings[i].token)
			e->pings[i].done(e->pings[i].arg, &out);
	}
	netmon_free(e->mon);
	peerapi_free(e->peerapi);
	names_free(e->names);
	if (e->n->cfg.warden)
		warden_unroute(e->n->cfg.warden, engine_wants_exit(e->n));
	mesh_free(e->mesh);
	host_facts_done(&e->facts);
	buf_done(&e->overlaps);
	free(e);
}

/* Others look for us where we were, until the coordinator hears of another place. */
static void stay_home(struct engine *e)
{
	const struct netmap *m = node_map(e->n);
	int home = m ? (int)tc_node_home_derp(m->self) : 0;

	if (home && !session_status(e->n->session).in_poll)
		mesh_set_home(e->mesh, home);
}

int engine_start(struct node *n)
{
	struct engine *e = mem_new(struct engine);
	int r;

	e->n = n;
	e->plan.fn = on_plan;
	e->host.fn = on_host;
	e->exit.fn = on_exit_choice;
	e->trim.fn = on_trim;
	e->open.fn = on_open;
	ev_timer_after(n->ev, &e->trim, TRIM_FIRST_US);
	r = start_mesh(e);
	if (r < 0) {
		engine_free(e);
		return r;
	}
	start_host(e);
	e->peerapi = peerapi_new(n);
	n->engine = e;
	tell_host(e, false);
	engine_control(n);
	engine_map(e, NULL);
	stay_home(e);
	ev_defer(n->ev, &e->exit);
	engine_plan(e);
	await_port(e);
	return 0;
}

void engine_control(struct node *n)
{
	if (n->engine)
		mesh_control_connected(n->engine->mesh, session_status(n->session).in_poll);
}

void engine_stop(struct node *n)
{
	if (n->engine)
		engine_free(TAKE(n->engine));
	else if (n->cfg.warden && !engine_wants_exit(n))
		warden_unroute(n->cfg.warden, false); /* what was held for it */
}

static bool names_matter(const struct netmap_delta *d)
{
	for (size_t i = 0; i < d->peers.n; i++)
		if (d->peers.v[i].removed ||
		    d->peers.v[i].mask & (TC_CHANGED_NAME | TC_CHANGED_ADDRESSES))
			return true;
	return false;
}

void engine_apply(struct node *n, const struct netmap_delta *delta)
{
	if (!n->engine || !node_map(n))
		return;
	if (prefs_uses_exit(node_prefs(n)))
		ev_defer(n->ev, &n->engine->exit);
	engine_map(n->engine, delta);
	if (!delta && n->declared)
		tell_host(n->engine, false); /* where we are by its word */
	if (!delta || delta->what & (NETMAP_SELF | NETMAP_DNS) || names_matter(delta))
		engine_names(n->engine);
	if (!delta || delta->what & NETMAP_SELF || delta->peers.n)
		ev_timer_after(n->ev, &n->engine->plan, PLAN_DELAY_US);
}
