#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "node/mesh_priv.h"
#include "platform/dial.h"

enum { HTTPS_US = 4000000, ANSWER_MIN = 12 /* "HTTP/1.1 200" */ };

int mesh_prepare_socket(void *arg, int fd, const struct addr *to)
{
	const struct mesh *m = arg;

	(void)to;
	return m->cfg.no_mark ? 0 : socket_mark(fd, MESH_FWMARK);
}

/* ---- names of relays -------------------------------------------------------- */

struct naming {
	struct mesh *m;
	struct derp_node *node;
	struct resolve *query;
};

static void naming_free(struct naming *n)
{
	resolve_cancel(n->query);
	free(n);
}

static void on_named(void *owner, int r, const struct resolved *found)
{
	struct naming *n = owner;
	struct mesh *m = n->m;

	n->query = NULL;
	for (size_t i = 0; i < m->naming.n; i++) {
		if (m->naming.v[i] == n)
			vec_remove_swap(&m->naming, i);
	}
	for (size_t i = 0; r == 0 && i < found->n; i++) {
		struct ip *slot = ip_is4(&found->ip[i]) ? &n->node->ip4 : &n->node->ip6;

		if (ip_is_zero(slot))
			*slot = found->ip[i];
	}
	/* The run under way was planned without this address. */
	if (r == 0)
		mesh_restun(m);
	free(n);
}

static void name_node(struct mesh *m, struct derp_node *node)
{
	bool missing = (!node->no4 && ip_is_zero(&node->ip4)) ||
	               (!node->no6 && ip_is_zero(&node->ip6));
	bool some = !ip_is_zero(&node->ip4) || !ip_is_zero(&node->ip6);

	if (!missing || some || !m->cfg.resolver)
		return;

	struct naming *n = mem_new(struct naming);

	n->m = m;
	n->node = node;
	n->query = resolve_start(m->cfg.resolver, node->host, on_named, n);
	if (!n->query) {
		free(n);
		return;
	}
	vec_push(&m->naming, n);
}

static const char *copy(struct arena *a, const char *s)
{
	return s ? arena_str(a, span_str(s)) : NULL;
}

static struct derp_node *copy_nodes(struct arena *a, const struct derp_region *r)
{
	struct derp_node *nodes = arena_new_n(a, struct derp_node, r->n_nodes);

	for (size_t i = 0; i < r->n_nodes; i++) {
		nodes[i] = r->nodes[i];
		nodes[i].name = copy(a, r->nodes[i].name);
		nodes[i].host = copy(a, r->nodes[i].host);
		nodes[i].cert_name = copy(a, r->nodes[i].cert_name);
	}
	return nodes;
}

static void drop_relays(struct mesh *m)
{
	vec_each(struct naming **, n, &m->naming)
		naming_free(*n);
	vec_done(&m->naming);
	arena_done(&m->relay_memory);
	m->relays = (struct derp_map){ 0 };
}

void mesh_copy_relays(struct mesh *m, const struct derp_map *map)
{
	struct arena *a = &m->relay_memory;

	drop_relays(m);
	if (!map)
		return;

	struct derp_region *regions = arena_new_n(a, struct derp_region, map->n_regions);

	for (size_t i = 0; i < map->n_regions; i++) {
		struct derp_node *nodes = copy_nodes(a, &map->regions[i]);

		regions[i] = map->regions[i];
		regions[i].code = copy(a, map->regions[i].code);
		regions[i].name = copy(a, map->regions[i].name);
		regions[i].nodes = nodes;
		for (size_t k = 0; k < regions[i].n_nodes; k++)
			name_node(m, &nodes[k]);
	}
	m->relays = (struct derp_map){ regions, map->n_regions };
}

/* ---- HTTPS latency, where UDP is blocked --------------------------------------- */

struct probe_https {
	struct mesh *m;
	int region;
	struct dial *dial;
	struct stream *stream;
	mono sent;
};

static void https_done(struct probe_https *p, int64_t latency_us)
{
	struct mesh *m = p->m;
	int region = p->region;

	for (size_t i = 0; i < m->https.n; i++) {
		if (m->https.v[i] == p)
			vec_remove_swap(&m->https, i);
	}
	dial_cancel(p->dial);
	stream_free(p->stream);
	free(p);
	netcheck_https(m->netcheck, mesh_now(m), region, latency_us);
	mesh_poke(m);
}

static size_t https_read(struct stream *s, void *owner, struct span bytes)
{
	struct probe_https *p = owner;

	(void)s;
	if (bytes.n < ANSWER_MIN)
		return 0;

	bool ok = span_starts(bytes, "HTTP/1.") && bytes.p[9] == '2';

	https_done(p, ok ? mono_since(p->sent, ev_tick(p->m->cfg.ev)) : 0);
	return bytes.n;
}

static void https_closed(struct stream *s, void *owner, int why)
{
	(void)s;
	(void)why;
	https_done(owner, 0);
}

static void https_dialed(void *owner, int r, struct stream *s)
{
	static const struct stream_ops ops = { .read = https_read, .closed = https_closed };
	static const char request[] = "GET /derp/latency-check HTTP/1.1\r\nHost: relay\r\n"
				      "Connection: close\r\n\r\n";
	struct probe_https *p = owner;

	p->dial = NULL;
	if (r < 0) {
		https_done(p, 0);
		return;
	}
	p->stream = s;
	stream_hand_over(s, &ops, p);
	stream_deadline(s, mono_after(mesh_now(p->m), HTTPS_US));
	p->sent = ev_tick(p->m->cfg.ev);
	if (stream_write(s, SPAN_LIT(request)) < 0)
		https_done(p, 0);
}

static void probe_https(struct mesh *m, const struct netcheck_out *out)
{
	/* Only a time is asked for, nothing is believed: the certificate does not matter. */
	struct tls_peer peer = { .sni = out->node->host,
		                 .trust = TLS_TRUST_ANY,
		                 .alpn = TLS_ALPN_HTTP1 };
	struct probe_https *p = mem_new(struct probe_https);
	struct ip addrs[2];
	size_t n = 0;

	if (!out->node->no4 && !ip_is_zero(&out->node->ip4))
		addrs[n++] = out->node->ip4;
	if (!out->node->no6 && !ip_is_zero(&out->node->ip6))
		addrs[n++] = out->node->ip6;

	struct dial_cfg cfg = { .ev = m->cfg.ev,
		                .resolver = m->cfg.resolver,
		                .host = out->node->host,
		                .port = out->node->derp_port,
		                .addrs = addrs,
		                .n_addrs = n,
		                .tls = m->cfg.tls,
		                .peer = &peer,
		                .timeout_us = HTTPS_US,
		                .prepare = mesh_prepare_socket,
		                .prepare_arg = m };
	struct url proxy;
	bool use = false;

	if (m->cfg.proxy &&
	    proxy_for(m->cfg.proxy, true, span_str(cfg.host), cfg.port, &proxy, &use) == 0 && use) {
		cfg.proxy = &proxy;
		cfg.n_addrs = 0;
	}
	p->m = m;
	p->region = out->region;
	vec_push(&m->https, p);
	p->dial = dial_start(&cfg, https_dialed, p);
}

static void drop_https(struct mesh *m)
{
	vec_each(struct probe_https **, p, &m->https) {
		dial_cancel((*p)->dial);
		stream_free((*p)->stream);
		free(*p);
	}
	vec_done(&m->https);
}

/* ---- netcheck ------------------------------------------------------------------- */

static void send_stun(struct mesh *m, const struct netcheck_out *out)
{
	const struct derp_node *node = out->node;
	struct addr to = { .ip = out->v6 ? node->ip6 : node->ip4, .port = node->stun_port };

	if (!ip_is_zero(&node->stun_ip) && ip_is4(&node->stun_ip) == !out->v6)
		to.ip = node->stun_ip;
	if (!ip_is_zero(&to.ip))
		(void)!datapath_send_raw(m->dp, &to, out->bytes);
}

static void choose_home(struct mesh *m, mono now)
{
	struct home_heard heard[DERPLINK_LINKS_MAX];
	struct home_cfg cfg = { .map = &m->relays, .current = m->home, .heard = heard };

	for (size_t i = 0; i < m->relays.n_regions && cfg.n_heard < DERPLINK_LINKS_MAX; i++) {
		mono at = derplink_heard(m->derp, m->relays.regions[i].id);

		if (at.us)
			heard[cfg.n_heard++] = (struct home_heard){ m->relays.regions[i].id, at };
	}
	cfg.pinned = m->home && !m->control_connected;

	int home = netcheck_home(m->netcheck, now, &cfg);

	/* Nothing measured: any relay is better than none, and ours stays the same one. */
	if (!home)
		home = m->home;
	for (size_t i = 0; !home && i < m->relays.n_regions; i++) {
		if (!m->relays.regions[i].no_measure)
			home = m->relays.regions[i].id;
	}
	if (home != m->home) {
		m->home = home;
		derplink_set_home(m->derp, home);
	}
}

static void run_done(struct mesh *m, mono now)
{
	struct mesh_netinfo info;

	choose_home(m, now);
	mesh_endpoints_changed(m, now);
	mesh_netinfo(m, &info);
	if (m->cfg.hooks.netinfo)
		m->cfg.hooks.netinfo(m->cfg.hooks.ctx, &info);
	if (m->restun_again) {
		m->restun_again = false;
		mesh_restun(m);
	}
	mesh_probe_schedule(m, now);
}

void mesh_probe_pump(struct mesh *m, mono now)
{
	struct netcheck_out out;

	netcheck_timeout(m->netcheck, now);
	while (netcheck_next(m->netcheck, &out)) {
		switch (out.act) {
		case NETCHECK_STUN:
			send_stun(m, &out);
			break;
		case NETCHECK_HTTPS:
			probe_https(m, &out);
			break;
		case NETCHECK_DONE:
			run_done(m, now);
			break;
		}
	}
}

void mesh_probe_schedule(struct mesh *m, mono now)
{
	int64_t span_us = RESTUN_MAX_US - RESTUN_MIN_US;

	/* NAT mappings are kept alive while there is traffic; an idle node sleeps. */
	m->restun_at = MONO_NEVER;
	if (m->last_traffic.us && mono_since(m->last_traffic, now) < ACTIVE_US)
		m->restun_at = mono_after(
			now, RESTUN_MIN_US + (int64_t)rand_src_below(&m->rand, (uint64_t)span_us));
}

void mesh_restun(struct mesh *m)
{
	if (netcheck_running(m->netcheck))
		m->restun_again = true;
	else
		mesh_restun_now(m);
}

void mesh_restun_now(struct mesh *m)
{
	struct netcheck_cfg cfg = { .map = &m->relays,
		                    .have4 = m->have4,
		                    .have6 = m->have6,
		                    .home = m->home,
		                    .no_udp = m->cfg.only_tcp443 };

	if (!m->relays.n_regions || !mesh_port(m)) {
		mesh_endpoints_changed(m, mesh_now(m));
		return;
	}
	drop_https(m);
	mesh_portmap_start(m, mesh_now(m));
	netcheck_start(m->netcheck, mesh_now(m), &cfg);
	mesh_poke(m);
}

void mesh_netinfo(const struct mesh *m, struct mesh_netinfo *ret)
{
	enum portmap_by by;
	struct addr outside;

	*ret = (struct mesh_netinfo){ .report = netcheck_report(m->netcheck),
		                      .home = m->home,
		                      .have_portmap = portmap_mapping(m->portmap, mesh_now(m),
		                                                      &outside, &by),
		                      .seen = portmap_seen(m->portmap, mesh_now(m)) };
}

/* ---- our own endpoints ------------------------------------------------------------ */

struct list {
	struct mesh_endpoint v[MESH_ENDPOINTS_MAX];
	size_t n;
};

static void add(struct list *l, const struct addr *a, enum mesh_endpoint_type type)
{
	if (l->n >= MESH_ENDPOINTS_MAX || a->port == 0 || ip_is_zero(&a->ip))
		return;
	for (size_t i = 0; i < l->n; i++) {
		if (addr_eq(&l->v[i].addr, a))
			return;
	}
	l->v[l->n++] = (struct mesh_endpoint){ *a, type };
}

static void add_stun(struct mesh *m, struct list *l)
{
	const struct netcheck_report *r = netcheck_report(m->netcheck);

	if (!r)
		return;
	add(l, &r->global4, MESH_ENDPOINT_STUN);
	for (size_t i = 0; i < r->n_mapped; i++) {
		if (r->mapped[i].times > 1 && ip_is4(&r->mapped[i].addr.ip))
			add(l, &r->mapped[i].addr, MESH_ENDPOINT_STUN);
	}
	add(l, &r->global6, MESH_ENDPOINT_STUN);
	/* A hard NAT may still have a port forwarded by hand to the one we asked for. */
	if (r->mapping_varies == TRI_TRUE && m->cfg.port) {
		struct addr guess = { .ip = r->global4.ip, .port = m->cfg.port };

		add(l, &guess, MESH_ENDPOINT_STUN_LOCAL_PORT);
	}
}

static void note_kept(struct mesh *m, const struct list *l, mono now)
{
	for (size_t i = 0; i < l->n; i++) {
		bool known = false;

		vec_each(struct kept_endpoint *, k, &m->kept) {
			if (!addr_eq(&k->e.addr, &l->v[i].addr))
				continue;
			k->at = now;
			known = true;
		}
		if (!known && m->kept.n < 4 * MESH_ENDPOINTS_MAX) {
			struct kept_endpoint *k = vec_add(&m->kept);

			*k = (struct kept_endpoint){ l->v[i], now };
		}
	}
}

/*
 * What was true a moment ago may be true again, and control should not hear of each
 * change. A peer that is called straight hears what is true now.
 */
static void add_kept(struct mesh *m, struct list *l, mono now)
{
	size_t kept = 0;

	for (size_t i = 0; i < m->kept.n; i++) {
		struct kept_endpoint k = m->kept.v[i];
		unsigned same = 0;

		if (mono_since(k.at, now) > ENDPOINT_KEEP_US)
			continue;
		m->kept.v[kept++] = k;
		for (size_t j = 0; j < l->n; j++)
			same += ip_eq(&l->v[j].addr.ip, &k.e.addr.ip);
		if (same < ENDPOINT_KEPT_PER_IP)
			add(l, &k.e.addr, k.e.type);
	}
	m->kept.n = kept;
}

static void gather(struct mesh *m, struct list *l, mono now)
{
	struct addr a;
	enum portmap_by by;

	if (portmap_mapping(m->portmap, now, &a, &by))
		add(l, &a, MESH_ENDPOINT_PORTMAPPED);
	add_stun(m, l);
	note_kept(m, l, now);
	for (size_t i = 0; i < m->n_fixed; i++)
		add(l, &m->fixed[i], MESH_ENDPOINT_EXPLICIT);
	for (size_t i = 0; i < m->n_host_ips; i++) {
		a = (struct addr){ .ip = m->host_ips[i], .port = mesh_port(m) };
		add(l, &a, MESH_ENDPOINT_LOCAL);
	}
}

static bool same_set(const struct mesh *m, const struct list *l)
{
	if (l->n != m->n_own)
		return false;
	for (size_t i = 0; i < l->n; i++) {
		bool found = false;

		for (size_t k = 0; k < m->n_own && !found; k++)
			found = addr_eq(&l->v[i].addr, &m->own[k].addr);
		if (!found)
			return false;
	}
	return true;
}

void mesh_endpoints_changed(struct mesh *m, mono now)
{
	struct addr addrs[MESH_ENDPOINTS_MAX];
	struct list l = { 0 };

	if (m->cfg.only_tcp443)
		return;
	gather(m, &l, now);
	for (size_t i = 0; i < l.n; i++)
		addrs[i] = l.v[i].addr;
	paths_own_endpoints(m->paths, now, addrs, l.n);
	mesh_poke(m);
	add_kept(m, &l, now);
	if (same_set(m, &l))
		return;
	memcpy(m->own, l.v, l.n * sizeof(*l.v));
	m->n_own = l.n;
	if (m->cfg.hooks.endpoints)
		m->cfg.hooks.endpoints(m->cfg.hooks.ctx, m->own, m->n_own);
}

void mesh_probe_free(struct mesh *m)
{
	drop_https(m);
	drop_relays(m);
	vec_done(&m->kept);
	free(m->host_ips);
	free(m->fixed);
}
