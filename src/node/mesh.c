#include "node/mesh.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "node/mesh_priv.h"
#include "protocol/geneve.h"

/* ---- the pump: every core's outputs, then one timer ---------------------------- */

static void carry_out(struct mesh *m, const struct paths_out *out)
{
	struct mesh_pong pong;
	struct mesh_peer *p;

	switch (out->act) {
	case PATHS_SEND:
		if (out->via.vni)
			mesh_send_geneve(m, &out->via, GENEVE_DISCO, out->bytes, out->bytes.n);
		else if (out->whole)
			(void)!datapath_send_whole(m->dp, &out->via.addr, out->bytes);
		else
			(void)!datapath_send_raw(m->dp, &out->via.addr, out->bytes);
		break;
	case PATHS_ALLOCATE:
		mesh_relay_asked(m, out);
		break;
	case PATHS_SEND_DERP:
		if (derplink_send(m->derp, out->region, &out->node, out->bytes) < 0)
			m->drops[MESH_DROP_DERP_FULL]++;
		break;
	case PATHS_DOUBTED:
		derplink_probe(m->derp, out->region);
		break;
	case PATHS_WANT_ENDPOINTS:
		mesh_restun(m);
		break;
	case PATHS_PING_DONE:
		pong = (struct mesh_pong){ .token = out->token,
			                   .rtt_us = out->rtt_us,
			                   .via = out->via,
			                   .region = out->region };
		if (m->cfg.hooks.pong)
			m->cfg.hooks.pong(m->cfg.hooks.ctx, &pong);
		break;
	case PATHS_CHANGED:
		/* The policy asks anew for each batch; what fits is told. */
		p = path_peer_user(out->peer);
		if (p)
			p->want_narrow = true;
		mesh_poke(m);
		break;
	}
}

static void set_timer(struct mesh *m)
{
	mono at = mono_min(paths_deadline(m->paths), netcheck_deadline(m->netcheck));

	at = mono_min(at, mono_min(portmap_deadline(m->portmap), m->restun_at));
	at = mono_min(at, mesh_pings_deadline(m));
	ev_timer_set(m->cfg.ev, &m->timer, at);
}

static void pump(struct ev_defer *d)
{
	struct mesh *m = CONTAINER_OF(d, struct mesh, pump);
	mono now = mesh_now(m);
	struct paths_out out;

	mesh_send_waiting(m);
	paths_timeout(m->paths, now);
	while (paths_next(m->paths, &out))
		carry_out(m, &out);
	mesh_probe_pump(m, now);
	mesh_portmap_pump(m, now);
	mesh_time_out_pings(m, now);
	if (mono_reached(m->restun_at, now)) {
		mesh_probe_schedule(m, now);
		mesh_restun(m);
	} else if (m->restun_at.us == MONO_NEVER.us && !netcheck_running(m->netcheck)) {
		/* Traffic after a pause: mappings need care again. */
		mesh_probe_schedule(m, now);
	}
	set_timer(m);
}

static void on_timer(struct ev_timer *t, mono now)
{
	struct mesh *m = CONTAINER_OF(t, struct mesh, timer);

	(void)now;
	mesh_poke(m);
}

/* ---- life ---------------------------------------------------------------------- */

static void relay_health(void *ctx, int region, const char *text)
{
	struct mesh *m = ctx;

	if (m->cfg.hooks.relay_health)
		m->cfg.hooks.relay_health(m->cfg.hooks.ctx, region, text);
}

static void make_cores(struct mesh *m)
{
	struct paths_cfg paths = { .disco = m->cfg.disco,
		                   .rand = m->rand,
		                   .never_direct = m->cfg.only_tcp443 || m->cfg.never_direct };
	struct derplink_cfg derp = { .ev = m->cfg.ev,
		                     .resolver = m->cfg.resolver,
		                     .tls = m->cfg.tls,
		                     .proxy = m->cfg.proxy,
		                     .key = m->cfg.node,
		                     .prepare = mesh_prepare_socket,
		                     .prepare_arg = m,
		                     .ctx = m,
		                     .packet = mesh_derp_packet,
		                     .health = relay_health };
	uint64_t key[2];

	node_priv_public(&m->cfg.node, &paths.self);
	rand_bytes(key, sizeof(key));
	m->paths = paths_new(&paths);
	m->netcheck = netcheck_new(&m->rand);
	m->portmap = portmap_new(&m->rand);
	m->flows = flow_table_new(FLOW_TABLE_DEFAULT, key);
	m->derp = derplink_new(&derp);
	disco_priv_wipe(&paths.disco);
	node_priv_wipe(&derp.key);
}

static int make_tunnel(struct mesh *m)
{
	struct wg_device_cfg dev = { .rand = m->rand,
		                     .policy = &mesh_path_policy,
		                     .policy_ctx = m };
	struct datapath_cfg cfg = { .ev = m->cfg.ev,
		                    .tun = m->cfg.tun,
		                    .grow = m->cfg.grow,
		                    .grow_arg = m->cfg.grow_arg,
		                    .any_port = true,
		                    .dev = wg_device_new(&dev) };
	struct wg_change change = { .set = WG_SET_PRIVATE_KEY | WG_SET_LISTEN_PORT,
		                    .private_key = m->cfg.node,
		                    .listen_port = m->cfg.port };

	mesh_hooks_of(m, &cfg.hooks);
	if (!m->cfg.no_mark) {
		change.set |= WG_SET_FWMARK;
		change.fwmark = MESH_FWMARK;
	}

	int r = datapath_new(&cfg, &m->dp);

	if (r == 0)
		r = datapath_apply(m->dp, &change);
	wg_change_done(&change);
	return r;
}

int mesh_new(const struct mesh_cfg *cfg, struct mesh **ret)
{
	struct mesh *m = mem_new(struct mesh);

	m->cfg = *cfg;
	m->restun_at = MONO_NEVER;
	m->timer.fn = on_timer;
	m->pump.fn = pump;
	rand_system(&m->rand);
	map_init(&m->by_key);
	make_cores(m);

	int r = make_tunnel(m);

	if (r < 0) {
		mesh_free(m);
		return r;
	}
	*ret = m;
	return 0;
}

void mesh_free(struct mesh *m)
{
	if (!m)
		return;
	mesh_portmap_free(m);
	mesh_relay_free(m);
	derplink_free(m->derp);
	datapath_free(m->dp);
	paths_free(m->paths);
	netcheck_free(m->netcheck);
	mesh_probe_free(m);
	filter_free(m->filter);
	flow_table_free(m->flows);
	mesh_peers_free(m);
	vec_done(&m->pings);
	ev_timer_stop(m->cfg.ev, &m->timer);
	ev_defer_stop(&m->pump);
	node_priv_wipe(&m->cfg.node);
	disco_priv_wipe(&m->cfg.disco);
	free(m);
}

const struct tun *mesh_tun(const struct mesh *m)
{
	return datapath_tun(m->dp);
}

uint16_t mesh_port(const struct mesh *m)
{
	const struct wg_device *dev = m->dp ? datapath_device(m->dp) : NULL;

	return dev && wg_is_up(dev) ? wg_listen_port(dev) : 0;
}

int mesh_set_port(struct mesh *m, uint16_t port)
{
	struct wg_change change = { .set = WG_SET_LISTEN_PORT, .listen_port = port };
	int r;

	if (port == m->cfg.port)
		return 0;
	r = datapath_apply(m->dp, &change);
	wg_change_done(&change);
	if (r < 0)
		return r;
	m->cfg.port = port;
	/* Mappings and endpoints were those of the port before. */
	m->kept.n = 0;
	paths_link_changed(m->paths, mesh_now(m));
	mesh_restun_now(m);
	return 0;
}

void mesh_traffic(const struct mesh *m, struct mesh_traffic *ret)
{
	const struct datapath_traffic *straight = datapath_traffic(m->dp);

	*ret = m->traffic;
	for (int i = 0; i < 2; i++) {
		enum mesh_way way = i ? MESH_WAY_DIRECT6 : MESH_WAY_DIRECT4;

		ret->in_packets[way] += straight->in_packets[i];
		ret->in_bytes[way] += straight->in_bytes[i];
		ret->out_packets[way] += straight->out_packets[i];
		ret->out_bytes[way] += straight->out_bytes[i];
	}
}

uint64_t mesh_drops(const struct mesh *m, enum mesh_drop why)
{
	return m->drops[why];
}

/* ---- what the session tells ------------------------------------------------------ */

void mesh_set_relays(struct mesh *m, const struct derp_map *map)
{
	/* The links look at the map by pointer: they let go before it is replaced. */
	derplink_set_map(m->derp, NULL);
	mesh_copy_relays(m, map);
	derplink_set_map(m->derp, &m->relays);
	if (m->server)
		peer_relay_probe(m->server, &m->relays);
	if (m->home && !derp_map_find(&m->relays, m->home)) {
		m->home = 0;
		derplink_set_home(m->derp, 0);
	}
	mesh_restun(m);
}

void mesh_set_home(struct mesh *m, int region)
{
	m->home = region;
	derplink_set_home(m->derp, region);
}

const struct derp_map *mesh_relays(const struct mesh *m)
{
	return &m->relays;
}

void mesh_break_relays(struct mesh *m)
{
	derplink_link_changed(m->derp, NULL, 0); /* as from an address that is gone */
}

bool mesh_relay_connected(const struct mesh *m, int region)
{
	return derplink_connected(m->derp, region);
}

void mesh_control_connected(struct mesh *m, bool connected)
{
	bool came = connected && !m->control_connected;

	m->control_connected = connected;
	if (came)
		mesh_restun(m);
}

void mesh_set_filter(struct mesh *m, struct filter *take)
{
	filter_free(m->filter);
	m->filter = take;
}

const struct filter *mesh_filter(const struct mesh *m)
{
	return m->filter;
}

void mesh_set_self(struct mesh *m, const struct ip *v, size_t n, uint16_t peerapi4,
                   uint16_t peerapi6)
{
	m->self4 = m->self6 = (struct ip){ { 0 } };
	for (size_t i = 0; i < n; i++) {
		struct ip *slot = ip_is4(&v[i]) ? &m->self4 : &m->self6;

		if (ip_is_zero(slot))
			*slot = v[i];
	}
	m->peerapi4 = peerapi4;
	m->peerapi6 = peerapi6;
}

void mesh_host_changed(struct mesh *m, const struct mesh_host *host, bool major)
{
	free(m->host_ips);
	free(m->fixed);
	m->host_ips = mem_dup(host->ips, host->n_ips * sizeof(*host->ips));
	m->n_host_ips = host->n_ips;
	m->fixed = mem_dup(host->fixed, host->n_fixed * sizeof(*host->fixed));
	m->n_fixed = host->n_fixed;
	m->have4 = host->have4;
	m->have6 = host->have6;
	m->gateway = host->gateway;
	m->gateway_self = host->gateway_self;
	if (major) {
		wg_forget_locals(datapath_device(m->dp));
		paths_link_changed(m->paths, mesh_now(m));
		derplink_link_changed(m->derp, m->host_ips, m->n_host_ips);
		m->kept.n = 0;
	}
	mesh_relay_hosts(m);
	if (major)
		mesh_restun_now(m);
	else
		mesh_restun(m);
	mesh_poke(m);
}

void mesh_set_via6(struct mesh *m, bool on)
{
	datapath_set_via6(m->dp, on);
}

void mesh_inject(struct mesh *m, struct span packet)
{
	datapath_inject(m->dp, packet);
}
