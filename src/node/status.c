/* ipnstate.Status: what `status` shows. Source: tailscale v1.102.5, ipn/ipnstate. */
#include <stdio.h>
#include <stdlib.h>

#include "node/node_priv.h"

/* TaildropTargetMissingCap: the reason its command then gives is ours too. */
enum { NO_TAILDROP = 4 };

static struct span strip_dots(struct span name)
{
	while (span_ends(name, "."))
		name.n--;
	return name;
}

struct span status_region_code(const struct netmap *m, int64_t region)
{
	for (size_t i = 0; m && m->derp_map && i < m->derp_map->regions.n; i++) {
		const struct tc_derp_region *r = m->derp_map->regions.v[i].value;

		if (r && r->region_id == region)
			return r->region_code;
	}
	return SPAN_LIT("");
}

/* "name", and "name (host)" where the machine calls itself another name. */
static char *shown_name(const struct netmap *m, const struct tc_node *node, bool with_host)
{
	struct span suffix = strip_dots(netmap_suffix(m)), name = strip_dots(node->name);
	struct span host = node->hostinfo ? node->hostinfo->hostname : SPAN_LIT("");
	char key[KEY_TEXT_MAX];

	if (suffix.n && name.n > suffix.n + 1 &&
	    span_eq_nocase(span_from(name, name.n - suffix.n), suffix))
		name.n -= suffix.n + 1;
	if (span_eq_nocase(name, host))
		host.n = 0;
	if (!name.n) {
		name = host.n ? host : span_str(node_pub_text(&node->key, key));
		host.n = 0;
	}
	return with_host && host.n ? str_fmt("%.*s (%.*s)", SPAN_FMT(name), SPAN_FMT(host))
	                           : span_dup(name);
}

void status_write_node(const struct netmap *m, struct js_wr *w, const struct tc_node *node)
{
	AUTO_FREE char *name = shown_name(m, node, false);
	AUTO_FREE char *with_host = shown_name(m, node, true);
	struct tc_node shown = *node;

	shown.allowed_ips = *tc_node_allowed_ips(node);
	shown.computed_name = span_str(name);
	shown.computed_name_with_host = span_str(with_host);
	js_wr_value(w, &tc_node_type, &shown);
}

static void put_type(struct js_wr *w, const char *name, const struct js_type *t, const void *at)
{
	js_wr_key(w, name);
	js_wr_value(w, t, at);
}

static void put_time(struct js_wr *w, const char *name, wall t)
{
	put_type(w, name, &js_t_time, &t);
}

static void put_ips(struct js_wr *w, const char *name, const struct js_prefixes *p)
{
	js_wr_key(w, name);
	if (p->n == 0) {
		js_wr_null(w);
		return;
	}
	js_wr_open(w, JS_ARRAY);
	for (size_t i = 0; i < p->n; i++)
		if (prefix_is_host(&p->v[i]))
			js_wr_value(w, &js_t_ip, &p->v[i].ip);
	js_wr_close(w, JS_ARRAY);
}

static void put_addr(struct js_wr *w, const char *name, const struct addr *a)
{
	char text[ADDR_TEXT_MAX];

	js_wr_kv_str(w, name, addr_is_set(a) ? addr_text(a, text) : "");
}

static void put_relay_server(struct js_wr *w, const struct engine_peer *e)
{
	char text[ADDR_TEXT_MAX + 24], addr[ADDR_TEXT_MAX];

	text[0] = 0;
	if (addr_is_set(&e->relay_server))
		(void)snprintf(text, sizeof(text), "%s:vni:%u", addr_text(&e->relay_server, addr),
		               e->relay_vni);
	js_wr_kv_str(w, "PeerRelay", text);
}

/* Where the node serves its PeerAPI on this address of its; NULL: nowhere. */
static char *peerapi_on(const struct tc_node *node, const struct prefix *p)
{
	const struct tc_hostinfo *h = node->hostinfo;
	bool four = prefix_is4(p);
	char text[IP_TEXT_MAX];

	for (size_t i = 0; h && prefix_is_host(p) && i < h->services.n; i++)
		if (span_is(h->services.v[i].proto, four ? "peerapi4" : "peerapi6"))
			return str_fmt(four ? "http://%s:%u" : "http://[%s]:%u",
			               ip_text(&p->ip, text), h->services.v[i].port);
	return NULL;
}

static void put_peerapi(struct js_wr *w, const struct tc_node *node)
{
	bool any = false;

	js_wr_key(w, "PeerAPIURL");
	for (size_t i = 0; i < node->addresses.n; i++) {
		AUTO_FREE char *url = peerapi_on(node, &node->addresses.v[i]);

		if (!url)
			continue;
		if (!any)
			js_wr_open(w, JS_ARRAY);
		any = true;
		js_wr_str(w, url);
	}
	if (any)
		js_wr_close(w, JS_ARRAY);
	else
		js_wr_null(w);
}

static bool is_exit_in_use(const struct node *n, const struct tc_node *node)
{
	const struct prefs *p = node_prefs(n);

	if (p->exit_node_id.n)
		return span_eq(p->exit_node_id, node->stable_id);
	for (size_t i = 0; !ip_is_zero(&p->exit_node_ip) && i < node->addresses.n; i++)
		if (ip_eq(&node->addresses.v[i].ip, &p->exit_node_ip))
			return true;
	return false;
}

static void put_identity(struct js_wr *w, const struct tc_node *node)
{
	const struct tc_hostinfo *h = node->hostinfo;

	js_wr_kv_span(w, "ID", node->stable_id);
	js_wr_kv_int(w, "NodeID", node->id);
	{
		char key[KEY_TEXT_MAX];
		js_wr_kv_str(w, "PublicKey", node_pub_text(&node->key, key));
	}
	js_wr_kv_span(w, "HostName", h ? h->hostname : SPAN_LIT(""));
	js_wr_kv_span(w, "DNSName", node->name);
	js_wr_kv_span(w, "OS", h ? h->os : SPAN_LIT(""));
	js_wr_kv_int(w, "UserID", node->user);
	if (node->sharer)
		js_wr_kv_int(w, "AltSharerUserID", node->sharer);
	put_ips(w, "TailscaleIPs", &node->addresses);
	if (tc_node_allowed_ips(node)->n)
		put_type(w, "AllowedIPs", &js_t_prefixes, tc_node_allowed_ips(node));
	if (node->tags.n)
		put_type(w, "Tags", &js_t_strs, &node->tags);
	if (node->primary_routes.n)
		put_type(w, "PrimaryRoutes", &js_t_prefixes, &node->primary_routes);
}

static void put_traffic(struct js_wr *w, const struct tc_node *node, const struct engine_peer *e)
{
	js_wr_kv_int(w, "RxBytes", (int64_t)e->rx_bytes);
	js_wr_kv_int(w, "TxBytes", (int64_t)e->tx_bytes);
	put_time(w, "Created", node->created);
	put_time(w, "LastWrite", e->last_write);
	put_time(w, "LastSeen", node->last_seen);
	put_time(w, "LastHandshake", e->last_handshake);
}

static int by_name(const void *a, const void *b)
{
	struct span x = (*(const struct tc_cap *const *)a)->key;
	struct span y = (*(const struct tc_cap *const *)b)->key;
	int r = memcmp(x.p, y.p, x.n < y.n ? x.n : y.n);

	return r ? r : x.n < y.n ? -1 : x.n > y.n;
}

/* The names of CapMap, for old programs, with a word to those who write new ones. */
static void put_capabilities(struct js_wr *w, const struct tc_capmap *caps)
{
	AUTO_FREE const struct tc_cap **sorted = mem_alloc(caps->n * sizeof(struct tc_cap *));

	for (size_t i = 0; i < caps->n; i++)
		sorted[i] = &caps->v[i];
	qsort(sorted, caps->n, sizeof(sorted[0]), by_name);
	js_wr_key(w, "Capabilities");
	js_wr_open(w, JS_ARRAY);
	js_wr_str(w, "HTTPS://TAILSCALE.COM/s/DEPRECATED-NODE-CAPS#see-https://github.com/"
	             "tailscale/tailscale/issues/11508");
	for (size_t i = 0; i < caps->n; i++)
		js_wr_span(w, sorted[i]->key);
	js_wr_close(w, JS_ARRAY);
}

static void put_rest(struct js_wr *w, const struct tc_node *node, const struct engine_peer *e)
{
	const struct tc_hostinfo *h = node->hostinfo;

	if (node->cap_map.n) {
		put_capabilities(w, &node->cap_map);
		put_type(w, "CapMap", &tc_capmap_type, &node->cap_map);
	}
	if (h && h->ssh_host_keys.n)
		put_type(w, "sshHostKeys", &js_t_strs, &h->ssh_host_keys);
	if (h && h->sharee_node)
		js_wr_kv_bool(w, "ShareeNode", true);
	js_wr_kv_bool(w, "InNetworkMap", node->id != 0);
	js_wr_kv_bool(w, "InMagicSock", e->in_magicsock);
	js_wr_kv_bool(w, "InEngine", e->in_engine);
	if (node->expired)
		js_wr_kv_bool(w, "Expired", true);
	if (node->key_expiry.us)
		put_time(w, "KeyExpiry", node->key_expiry);
	if (h && h->location)
		put_type(w, "Location", &tc_location_type, h->location);
}

static void put_peer(const struct node *n, struct js_wr *w, const struct tc_node *node)
{
	struct engine_peer e = { 0 };

	engine_peer(n, &node->key, &e);
	e.in_magicsock = true; /* known, though paths are kept only while we run */
	js_wr_open(w, JS_OBJECT);
	put_identity(w, node);
	js_wr_key(w, "Addrs");
	js_wr_null(w);
	put_addr(w, "CurAddr", &e.direct);
	js_wr_kv_span(w, "Relay", status_region_code(node_map(n), tc_node_home_derp(node)));
	put_relay_server(w, &e);
	put_traffic(w, node, &e);
	js_wr_kv_bool(w, "Online", node->online == OBOOL_TRUE);
	js_wr_kv_bool(w, "ExitNode", is_exit_in_use(n, node));
	js_wr_kv_bool(w, "ExitNodeOption", tc_node_is_exit(node));
	js_wr_kv_bool(w, "Active", e.active);
	put_peerapi(w, node);
	js_wr_kv_int(w, "TaildropTarget", NO_TAILDROP);
	js_wr_kv_str(w, "NoFileSharingReason", "");
	put_rest(w, node, &e);
	js_wr_close(w, JS_OBJECT);
}

static void put_own_endpoints(const struct node *n, struct js_wr *w)
{
	struct addr at[64];
	size_t count = engine_endpoints(n, at, ARRAY_LEN(at));

	js_wr_key(w, "Addrs");
	js_wr_open(w, JS_ARRAY);
	for (size_t i = 0; i < count; i++)
		js_wr_value(w, &js_t_addr, &at[i]);
	js_wr_close(w, JS_ARRAY);
}

/* Never null: programs read its key even when nobody is logged in. */
static void put_self(const struct node *n, struct js_wr *w)
{
	static const struct engine_peer nothing;
	const struct netmap *m = node_map(n);
	struct tc_hostinfo host = { .hostname = span_str(n->facts.name), .os = SPAN_LIT("linux") };
	struct tc_node self = m ? *m->self : (struct tc_node){ 0 };
	int64_t home = engine_home_derp(n);

	if (!self.hostinfo || !self.hostinfo->hostname.n)
		self.hostinfo = &host;
	if (!m && node_has_key(n))
		node_priv_public(&node_prefs(n)->persist->node_key, &self.key);
	js_wr_open(w, JS_OBJECT);
	put_identity(w, &self);
	put_own_endpoints(n, w);
	js_wr_kv_str(w, "CurAddr", "");
	js_wr_kv_span(w, "Relay", status_region_code(m, home ? home : tc_node_home_derp(&self)));
	js_wr_kv_str(w, "PeerRelay", "");
	put_traffic(w, &self, &nothing);
	js_wr_kv_bool(w, "Online", n->session && session_status(n->session).in_poll);
	js_wr_kv_bool(w, "ExitNode", false);
	js_wr_kv_bool(w, "ExitNodeOption", tc_node_is_exit(&self));
	js_wr_kv_bool(w, "Active", false);
	put_peerapi(w, &self);
	js_wr_kv_int(w, "TaildropTarget", 0);
	js_wr_kv_str(w, "NoFileSharingReason", "");
	put_rest(w, &self, &nothing);
	js_wr_close(w, JS_OBJECT);
}

static void put_tailnet(struct js_wr *w, const struct netmap *m)
{
	js_wr_key(w, "CurrentTailnet");
	if (!m) {
		js_wr_null(w);
		return;
	}
	js_wr_open(w, JS_OBJECT);
	js_wr_kv_str(w, "Name", m->domain ? m->domain : "");
	js_wr_kv_span(w, "MagicDNSSuffix", strip_dots(netmap_suffix(m)));
	js_wr_kv_bool(w, "MagicDNSEnabled", m->dns && m->dns->proxied);
	js_wr_close(w, JS_OBJECT);
}

static void put_peers(const struct node *n, struct js_wr *w, const struct netmap *m)
{
	js_wr_key(w, "Peer");
	js_wr_open(w, JS_OBJECT);
	for (struct netmap_peer *p = netmap_first(m); p; p = netmap_next(m, p)) {
		char key[KEY_TEXT_MAX];

		js_wr_key(w, node_pub_text(&p->node->key, key));
		put_peer(n, w, p->node);
	}
	js_wr_close(w, JS_OBJECT);
}

static void put_user(struct js_wr *w, const struct tc_user_profile *u)
{
	char id[24];

	(void)snprintf(id, sizeof(id), "%lld", (long long)u->id);
	js_wr_key(w, id);
	js_wr_value(w, &tc_user_profile_type, u);
}

static void put_users(struct js_wr *w, const struct netmap *m, bool peers)
{
	const struct tc_user_profile *mine = m ? netmap_user(m, m->self->user) : NULL;

	js_wr_key(w, "User");
	if (!m) {
		js_wr_null(w);
		return;
	}
	js_wr_open(w, JS_OBJECT);
	for (struct map_node *x = peers ? map_first(&m->users) : NULL; x;
	     x = map_next(&m->users, x))
		put_user(w, CONTAINER_OF(x, struct netmap_user, by_id)->profile);
	if (!peers && mine)
		put_user(w, mine);
	js_wr_close(w, JS_OBJECT);
}

static void put_exit(const struct node *n, struct js_wr *w, const struct netmap *m)
{
	for (struct netmap_peer *p = m && prefs_uses_exit(node_prefs(n)) ? netmap_first(m) : NULL;
	     p; p = netmap_next(m, p)) {
		if (!is_exit_in_use(n, p->node))
			continue;
		js_wr_key(w, "ExitNodeStatus");
		js_wr_open(w, JS_OBJECT);
		js_wr_kv_span(w, "ID", p->node->stable_id);
		js_wr_kv_bool(w, "Online", p->node->online == OBOOL_TRUE);
		put_type(w, "TailscaleIPs", &js_t_prefixes, &p->node->addresses);
		js_wr_close(w, JS_OBJECT);
		return;
	}
}

static void put_dns(struct js_wr *w, const struct netmap *m)
{
	const struct tc_dns_config *d = m ? m->dns : NULL;

	js_wr_key(w, "CertDomains");
	if (d && d->cert_domains.n)
		js_wr_value(w, &js_t_strs, &d->cert_domains);
	else
		js_wr_null(w);
	js_wr_key(w, "ExtraRecords");
	if (!d || !d->extra_records.n) {
		js_wr_null(w);
		return;
	}
	js_wr_open(w, JS_ARRAY);
	for (size_t i = 0; i < d->extra_records.n; i++) {
		js_wr_open(w, JS_OBJECT);
		js_wr_kv_span(w, "Name", d->extra_records.v[i].name);
		if (d->extra_records.v[i].type.n)
			js_wr_kv_span(w, "Type", d->extra_records.v[i].type);
		js_wr_kv_span(w, "Value", d->extra_records.v[i].value);
		js_wr_close(w, JS_OBJECT);
	}
	js_wr_close(w, JS_ARRAY);
}

void status_write(const struct node *n, struct js_wr *w, bool peers)
{
	static const struct js_prefixes none;
	const struct netmap *m = node_map(n);

	js_wr_open(w, JS_OBJECT);
	js_wr_kv_str(w, "Version", FAIRLEAD_VERSION);
	js_wr_kv_bool(w, "TUN", engine_has_tun(n));
	js_wr_kv_str(w, "BackendState", ipn_state_name(n->state));
	if (node_has_key(n))
		js_wr_kv_bool(w, "HaveNodeKey", true);
	js_wr_kv_str(w, "AuthURL", n->session ? session_status(n->session).auth_url : "");
	put_ips(w, "TailscaleIPs", m ? &m->self->addresses : &none);
	js_wr_key(w, "Self");
	put_self(n, w);
	put_exit(n, w, m);
	js_wr_key(w, "Health");
	health_write(n, w);
	js_wr_kv_span(w, "MagicDNSSuffix", m ? strip_dots(netmap_suffix(m)) : SPAN_LIT(""));
	put_tailnet(w, m);
	put_dns(w, m);
	if (peers && m) {
		put_peers(n, w, m);
	} else {
		js_wr_key(w, "Peer");
		js_wr_null(w);
	}
	put_users(w, m, peers);
	js_wr_key(w, "ClientVersion");
	if (m && m->client_version)
		js_wr_value(w, &tc_client_version_type, m->client_version);
	else
		js_wr_null(w);
	js_wr_close(w, JS_OBJECT);
}

/* ---- the map as a whole ---- */

static void put_all_users(struct js_wr *w, const struct netmap *m)
{
	js_wr_open(w, JS_OBJECT);
	for (struct map_node *x = map_first(&m->users); x; x = map_next(&m->users, x))
		put_user(w, CONTAINER_OF(x, struct netmap_user, by_id)->profile);
	js_wr_close(w, JS_OBJECT);
}

static void put_filter(struct js_wr *w, const struct netmap *m)
{
	js_wr_open(w, JS_ARRAY);
	for (size_t i = 0; i < m->filter.n; i++)
		for (size_t j = 0; j < m->filter.v[i].rules->n; j++)
			js_wr_value(w, &tc_filter_rule_type, &m->filter.v[i].rules->v[j]);
	js_wr_close(w, JS_ARRAY);
}

void status_write_netmap(const struct netmap *m, struct js_wr *w)
{
	static const struct tc_dns_config no_dns;
	char key[KEY_TEXT_MAX];

	js_wr_open(w, JS_OBJECT);
	js_wr_key(w, "SelfNode");
	status_write_node(m, w, m->self);
	js_wr_kv_str(w, "NodeKey", node_pub_text(&m->self->key, key));
	js_wr_kv_str(w, "MachineKey", machine_pub_text(&m->self->machine, key));
	js_wr_key(w, "Peers");
	js_wr_open(w, JS_ARRAY);
	for (struct netmap_peer *p = netmap_first(m); p; p = netmap_next(m, p))
		status_write_node(m, w, p->node);
	js_wr_close(w, JS_ARRAY);
	put_type(w, "DNS", &tc_dns_config_type, m->dns ? m->dns : &no_dns);
	js_wr_key(w, "PacketFilterRules");
	put_filter(w, m);
	js_wr_key(w, "DERPMap");
	if (m->derp_map)
		js_wr_value(w, &tc_derp_map_type, m->derp_map);
	else
		js_wr_null(w);
	js_wr_kv_str(w, "Domain", m->domain ? m->domain : "");
	js_wr_key(w, "UserProfiles");
	put_all_users(w, m);
	js_wr_close(w, JS_OBJECT);
}
