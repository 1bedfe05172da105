#include "node/names.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/log.h"
#include "dns/public.h"
#include "host/dns.h"
#include "host/warden.h"
#include "node/dnsd.h"
#include "node/peerapi.h"

enum { DNS_PORT = 53, SUFFIX_MAX = DNS_NAME_TEXT_MAX };

const struct ip names_service4 = { { [10] = 0xff, [11] = 0xff, 100, 100, 100, 100 } };
const struct ip names_service6 = { { 0xfd, 0x7a, 0x11, 0x5c, 0xa1, 0xe0, [15] = 0x53 } };

/* ---- the resolver's configuration ------------------------------------------------ */

/*
 * A peer's IPv6 address is told only where it is of use: to a node without IPv4
 * addresses, or one that asked for both.
 */
static bool tells_v6(const struct netmap *m, const struct tc_node *node)
{
	const struct tc_node *self = m->self;
	bool self4 = false, node4 = false;

	if (tc_cap_find(&self->cap_map, "magicdns-aaaa"))
		return true;
	for (size_t i = 0; i < self->addresses.n; i++)
		self4 = self4 || prefix_is4(&self->addresses.v[i]);
	for (size_t i = 0; i < node->addresses.n; i++)
		node4 = node4 || prefix_is4(&node->addresses.v[i]);
	return !self4 || !node4;
}

static void add_addresses(struct dns_config *c, const struct netmap *m, const struct tc_node *node,
                          const struct dns_name *name)
{
	bool v6 = tells_v6(m, node);

	for (size_t i = 0; i < node->addresses.n; i++) {
		const struct prefix *at = &node->addresses.v[i];

		if (!prefix_is_host(at))
			continue;
		if (prefix_is4(at) || v6)
			dns_config_host(c, name, &at->ip, true);
		else
			dns_config_reverse(c, name, &at->ip);
	}
	if (tc_cap_find(&node->cap_map, "dns-subdomain-resolve"))
		dns_config_subdomains(c, name);
}

/* Nodes of our own tailnet have a name of one label as well, for those who have no search list. */
static bool short_name(const struct netmap *m, const struct dns_name *name, struct dns_name *ret)
{
	struct dns_name suffix, parent = dns_name_parent(name, 1);

	return m->dns && m->dns->proxied && dns_name_of(netmap_suffix(m), &suffix) == 0 &&
	       dns_name_eq(&parent, &suffix) && dns_name_of(dns_name_label(name, 0), ret) == 0 &&
	       ret->labels == 1;
}

static void add_node(struct dns_config *c, const struct netmap *m, const struct tc_node *node)
{
	struct dns_name name, alias;

	if (node->name.n == 0 || dns_name_of(node->name, &name) < 0)
		return;
	add_addresses(c, m, node, &name);
	if (short_name(m, &name, &alias) && !dns_config_find(c, &alias))
		add_addresses(c, m, node, &alias);
}

static void add_nodes(struct dns_config *c, const struct netmap *m)
{
	add_node(c, m, m->self);
	for (struct netmap_peer *p = netmap_first(m); p; p = netmap_next(m, p))
		add_node(c, m, p->node);
}

static void add_records(struct dns_config *c, const struct tc_dns_config *dns)
{
	for (size_t i = 0; i < dns->extra_records.n; i++) {
		const struct tc_dns_record *r = &dns->extra_records.v[i];
		bool any = r->type.n == 0;
		struct dns_name name;
		struct ip ip;

		if (dns_name_of(r->name, &name) < 0 || ip_parse(r->value, &ip) < 0)
			continue;
		if (!any && !span_is(r->type, ip_is4(&ip) ? "A" : "AAAA"))
			continue;
		dns_config_host(c, &name, &ip, true);
		if (!dns_config_route_covers(c, &name))
			dns_config_alone(c, &name);
	}
}

static size_t read_resolvers(const struct tc_resolvers *list, bool through_exit,
                             struct dns_upstream ret[static DNS_RESOLVERS_MAX])
{
	size_t n = 0;

	for (size_t i = 0; i < list->n && n < DNS_RESOLVERS_MAX; i++) {
		const struct tc_resolver *r = list->v[i];

		if ((!through_exit || r->use_with_exit_node) &&
		    dns_upstream_parse(r->addr, &ret[n]) == 0)
			n++;
	}
	return n;
}

static void add_route(struct dns_config *c, const struct dns_name *suffix,
                      const struct dns_upstream *v, size_t n)
{
	/* Twice the same suffix: the first counts. */
	(void)!dns_config_route(c, suffix, v, n);
}

static void add_routes(struct dns_config *c, const struct tc_dns_config *dns, bool exit)
{
	for (size_t i = 0; i < dns->routes.n; i++) {
		const struct tc_dns_route *r = &dns->routes.v[i];
		struct dns_upstream v[DNS_RESOLVERS_MAX];
		struct dns_name suffix;
		size_t n = read_resolvers(&r->value, exit, v);

		if (dns_name_of(r->key, &suffix) < 0)
			continue;
		/* All its resolvers are out of reach through the exit: it follows the default. */
		if (n == 0 && r->value.n > 0)
			continue;
		add_route(c, &suffix, v, n);
	}
}

/* The exit node's own resolver, by HTTP at its peer API. */
static bool exit_resolver(const struct names_input *in, struct dns_upstream *ret)
{
	char base[PEERAPI_URL_MAX], url[PEERAPI_URL_MAX + 16];

	if (!in->exit || !peerapi_proxies_dns(in->exit) ||
	    !peerapi_url_of(in->map->self, in->exit, base))
		return false;
	(void)snprintf(url, sizeof(url), "%s/dns-query", base);
	return dns_upstream_parse(span_str(url), ret) == 0;
}

static size_t base_resolvers(const struct names_input *in,
                             struct dns_upstream ret[static DNS_RESOLVERS_MAX])
{
	size_t n = 0;

	for (size_t i = 0; i < in->n_base && n < DNS_RESOLVERS_MAX; i++)
		ret[n++] = dns_upstream_of(&in->base[i]);
	return n;
}

static void add_default(struct dns_config *c, const struct names_input *in,
                        const struct tc_dns_config *dns)
{
	static const struct dns_name root = { .n = 1 };
	struct dns_upstream v[DNS_RESOLVERS_MAX], out;
	bool proxied = exit_resolver(in, &out);
	size_t n = read_resolvers(&dns->resolvers, proxied, v);

	if (n == 0 && proxied)
		v[n++] = out;
	if (n == 0 && in->exit)
		n = read_resolvers(&in->exit->exit_resolvers, false, v);
	if (n == 0 && in->exit)
		n = read_resolvers(&dns->fallback_resolvers, false, v);
	if (n == 0)
		n = base_resolvers(in, v);
	if (n)
		add_route(c, &root, v, n);
}

struct dns_config *names_config(const struct names_input *in)
{
	struct dns_config *c = dns_config_new();
	const struct tc_dns_config *dns = in->map ? in->map->dns : NULL;

	if (in->map && in->map->self && !in->expired) {
		struct dns_upstream unused;
		struct dns_name suffix;

		add_nodes(c, in->map);
		if (dns && in->corp_dns)
			add_routes(c, dns, exit_resolver(in, &unused));
		if (dns && dns->proxied) {
			if (dns_name_of(netmap_suffix(in->map), &suffix) == 0 && suffix.labels)
				add_route(c, &suffix, NULL, 0);
			dns_config_own_reverse_zones(c);
		}
		if (dns)
			add_records(c, dns);
		if (dns && in->corp_dns)
			add_default(c, in, dns);
	}
	dns_config_seal(c);
	return c;
}

/* ---- what the host is told ---------------------------------------------------------- */

struct names {
	struct names_cfg cfg;
	struct dnsd *dnsd;
	struct warden_dns *host; /* NULL: never told */
	struct dns_os told;
	bool need_base;
	bool trouble[NAMES_TROUBLES];
};

struct told {
	struct arena memory;
	struct dns_plan_cfg cfg;
};

/* Plain DNS on its usual port: what a host's own resolver can ask by itself. */
static bool is_plain(const struct dns_upstream *u)
{
	return u->kind == DNS_UPSTREAM_PLAIN && u->addr.port == DNS_PORT &&
	       !dns_public_https_only(&u->addr.ip);
}

static struct ip *plain_servers(struct arena *a, const struct dns_route *r, bool *ret_all)
{
	struct ip *v = arena_new_n(a, struct ip, r->n_upstreams);

	*ret_all = true;
	for (size_t i = 0; i < r->n_upstreams; i++) {
		v[i] = r->upstreams[i].addr.ip;
		*ret_all = *ret_all && is_plain(&r->upstreams[i]);
	}
	return v;
}

static const char *text_of(struct arena *a, const struct dns_name *n)
{
	char text[SUFFIX_MAX];
	struct span s = span_str(dns_name_text(n, text));

	return arena_str(a, s.n > 1 ? span_first(s, s.n - 1) : s);
}

static void describe_routes(struct told *t, const struct dns_config *c)
{
	size_t most = c->routes.n + c->alone.n;
	struct dns_plan_route *routes = arena_new_n(&t->memory, struct dns_plan_route, most);
	size_t n = 0;

	vec_each(const struct dns_route *, r, &c->routes) {
		bool plain;
		const struct ip *servers = plain_servers(&t->memory, r, &plain);

		if (r->suffix.labels == 0) {
			t->cfg.defaults = servers;
			t->cfg.n_defaults = r->n_upstreams;
			t->cfg.defaults_by_us = !plain;
			continue;
		}
		routes[n++] = (struct dns_plan_route){ .suffix = text_of(&t->memory, &r->suffix),
			                               .servers = servers,
			                               .n_servers = r->n_upstreams,
			                               .by_us = !plain || r->n_upstreams == 0 };
	}
	vec_each(const struct dns_name *, name, &c->alone)
		routes[n++] = (struct dns_plan_route){ .suffix = text_of(&t->memory, name),
			                               .by_us = true };
	t->cfg.routes = routes;
	t->cfg.n_routes = n;
}

static void describe_search(struct told *t, const struct tc_dns_config *dns)
{
	const char **search = arena_new_n(&t->memory, const char *, dns->domains.n);

	for (size_t i = 0; i < dns->domains.n; i++) {
		struct span d = dns->domains.v[i];

		if (d.n && d.p[d.n - 1] == '.')
			d.n--;
		search[i] = arena_str(&t->memory, d);
	}
	t->cfg.search = search;
	t->cfg.n_search = dns->domains.n;
}

static int tell_host(struct names *n, const struct names_input *in, const struct dns_config *c)
{
	struct told t = { 0 };
	struct dns_os want = { 0 };
	const struct dns_resolv *base = warden_dns_base(n->host);
	int r = 0;

	if (in->map && in->map->dns && in->corp_dns && !in->expired) {
		describe_routes(&t, c);
		describe_search(&t, in->map->dns);
		t.cfg.can_split = dns_manager_splits(warden_dns_manager(n->host));
		t.cfg.base = base->servers.v;
		t.cfg.n_base = base->servers.n;
		t.cfg.service4_only = tc_cap_find(&in->map->self->cap_map,
		                                  "force-register-magicdns-ipv4-only") != NULL;
		r = dns_plan(&t.cfg, &want);
	}
	if (r == 0)
		r = warden_dns_apply(n->host, &want);
	n->need_base = want.need_base;
	dns_os_done(&n->told);
	n->told = want;
	arena_done(&t.memory);
	return r;
}

static void note(struct names *n, enum names_trouble which, bool bad)
{
	if (n->trouble[which] == bad)
		return;
	n->trouble[which] = bad;
	if (n->cfg.trouble)
		n->cfg.trouble(n->cfg.ctx, which, bad);
}

static bool is_locked(int r)
{
	return r == -EPERM || r == -EACCES || r == -EROFS;
}

int names_apply(struct names *n, const struct names_input *in)
{
	struct names_input full = *in;
	struct dns_config *c = names_config(in);
	int r = n->host ? tell_host(n, in, c) : 0;

	/* The host cannot split: what is not ours goes on to the resolvers it had. */
	if (n->host && n->need_base) {
		const struct dns_resolv *base = warden_dns_base(n->host);

		full.base = base->servers.v;
		full.n_base = base->servers.n;
		dns_config_free(c);
		c = names_config(&full);
	}
	dnsd_set_config(n->dnsd, c);
	note(n, NAMES_UNREADABLE, r == ERR_UNKNOWN);
	note(n, NAMES_LOCKED, is_locked(r));
	note(n, NAMES_UNTOLD, r < 0 && r != ERR_UNKNOWN && !is_locked(r));
	return r;
}

static void on_host_changed(void *arg, bool lost)
{
	struct names *n = arg;

	note(n, NAMES_OVERWRITTEN, lost);
	dnsd_flush(n->dnsd);
	if (n->cfg.again)
		n->cfg.again(n->cfg.ctx);
}

static void on_dns_health(void *ctx, bool well)
{
	struct names *n = ctx;

	note(n, NAMES_SILENT, !well);
}

int names_new(const struct names_cfg *cfg, struct names **ret)
{
	struct names *n = mem_new(struct names);
	struct addr at[2] = { { .ip = names_service4, .port = DNS_PORT },
		              { .ip = names_service6, .port = DNS_PORT } };
	struct dnsd_cfg dnsd = { .ev = cfg->ev,
		                 .tls = cfg->tls,
		                 .at = at,
		                 .n_at = ARRAY_LEN(at),
		                 .health = on_dns_health,
		                 .ctx = n };

	n->cfg = *cfg;

	int r = dnsd_new(&dnsd, &n->dnsd);

	note(n, NAMES_TAKEN, r == -EADDRINUSE || (r == 0 && dnsd_tcp_taken(n->dnsd)));
	/* Without the host's resolver names still work for those who ask us. */
	if (r == 0 && cfg->warden && warden_dns_new(cfg->warden, on_host_changed, n, &n->host) < 0)
		log_warn("the host's resolver cannot be told of the tailnet's names");
	if (r < 0) {
		names_free(n);
		return r;
	}
	*ret = n;
	return 0;
}

void names_free(struct names *n)
{
	if (!n)
		return;
	warden_dns_free(n->host);
	dnsd_free(n->dnsd);
	dns_os_done(&n->told);
	free(n);
}

void names_link_changed(struct names *n)
{
	dnsd_flush(n->dnsd);
}

struct dnsd *names_dnsd(struct names *n)
{
	return n->dnsd;
}

size_t names_host_resolver(const struct names *n, struct dns_upstream *ret)
{
	struct dns_resolv file = { 0 };
	size_t found = 0;

	(void)n;
	host_dns_file(NULL, &file);
	if (file.servers.n && !ip_eq(&file.servers.v[0], &names_service4) &&
	    !ip_eq(&file.servers.v[0], &names_service6)) {
		*ret = dns_upstream_of(&file.servers.v[0]);
		found = 1;
	}
	dns_resolv_done(&file);
	return found;
}

const struct dns_os *names_told(const struct names *n)
{
	return n->host ? &n->told : NULL;
}

const char *names_manager(const struct names *n)
{
	return n->host ? dns_manager_name(warden_dns_manager(n->host)) : "none";
}

const char *names_why(const struct names *n)
{
	return n->host ? warden_dns_why(n->host) : "this daemon may not tell it";
}

const struct dns_resolv *names_base(const struct names *n)
{
	bool hidden = !n->host || dns_manager_splits(warden_dns_manager(n->host));

	return hidden ? NULL : warden_dns_base(n->host);
}
