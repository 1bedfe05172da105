#include "dns/config.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "dns/public.h"

enum { DNS_PORT = 53, HTTP_PORT = 80, HTTPS_PORT = 443 };

struct dns_config *dns_config_new(void)
{
	struct dns_config *c = mem_new(struct dns_config);

	map_init(&c->hosts);
	map_init(&c->ptrs);
	return c;
}

void dns_config_free(struct dns_config *c)
{
	struct map_node *n;

	if (!c)
		return;
	while ((n = map_first(&c->hosts))) {
		map_remove(&c->hosts, n);
		free(CONTAINER_OF(n, struct dns_host, by_name));
	}
	while ((n = map_first(&c->ptrs))) {
		map_remove(&c->ptrs, n);
		free(CONTAINER_OF(n, struct dns_ptr, by_ip));
	}
	map_done(&c->hosts);
	map_done(&c->ptrs);
	vec_each(struct dns_route *, r, &c->routes)
		free(r->upstreams);
	vec_done(&c->routes);
	vec_done(&c->alone);
	free(c);
}

static struct dns_host *find_host(const struct dns_config *c, const struct dns_name *name)
{
	uint64_t h = map_hash(&c->hosts, name->wire, name->n);

	for (struct map_node *n = map_find(&c->hosts, h); n; n = map_again(n)) {
		struct dns_host *host = CONTAINER_OF(n, struct dns_host, by_name);

		if (dns_name_eq(&host->name, name))
			return host;
	}
	return NULL;
}

const struct dns_host *dns_config_find(const struct dns_config *c, const struct dns_name *name)
{
	return find_host(c, name);
}

const struct dns_name *dns_config_ptr(const struct dns_config *c, const struct ip *ip)
{
	uint64_t h = map_hash(&c->ptrs, ip->b, sizeof(ip->b));

	for (struct map_node *n = map_find(&c->ptrs, h); n; n = map_again(n)) {
		const struct dns_ptr *p = CONTAINER_OF(n, struct dns_ptr, by_ip);

		if (ip_eq(&p->ip, ip))
			return &p->name;
	}
	return NULL;
}

static struct dns_host *host_of(struct dns_config *c, const struct dns_name *name)
{
	struct dns_host *host = find_host(c, name);

	if (!host) {
		host = mem_new(struct dns_host);
		host->name = *name;
		map_insert(&c->hosts, &host->by_name, map_hash(&c->hosts, name->wire, name->n));
	}
	return host;
}

void dns_config_host(struct dns_config *c, const struct dns_name *name, const struct ip *ip,
                     bool reverse)
{
	struct dns_host *host = host_of(c, name);

	if (host->n_addrs < DNS_HOST_ADDRS_MAX)
		host->addrs[host->n_addrs++] = *ip;
	if (reverse)
		dns_config_reverse(c, name, ip);
}

void dns_config_reverse(struct dns_config *c, const struct dns_name *name, const struct ip *ip)
{
	if (dns_config_ptr(c, ip))
		return;

	struct dns_ptr *p = mem_new(struct dns_ptr);

	p->ip = *ip;
	p->name = *name;
	map_insert(&c->ptrs, &p->by_ip, map_hash(&c->ptrs, ip->b, sizeof(ip->b)));
}

void dns_config_alone(struct dns_config *c, const struct dns_name *name)
{
	vec_each(const struct dns_name *, n, &c->alone) {
		if (dns_name_eq(n, name))
			return;
	}
	if (c->alone.n < DNS_ROUTES_MAX)
		vec_push(&c->alone, *name);
}

void dns_config_subdomains(struct dns_config *c, const struct dns_name *name)
{
	host_of(c, name)->subdomains = true;
}

int dns_config_route(struct dns_config *c, const struct dns_name *suffix,
                     const struct dns_upstream *upstreams, size_t n)
{
	if (n > DNS_RESOLVERS_MAX || c->routes.n >= DNS_ROUTES_MAX)
		return ERR_LIMIT;
	vec_each(struct dns_route *, r, &c->routes) {
		if (dns_name_eq(&r->suffix, suffix))
			return ERR_EXISTS;
	}

	struct dns_route *r = vec_add(&c->routes);

	r->suffix = *suffix;
	r->n_upstreams = n;
	r->upstreams = n ? mem_dup(upstreams, n * sizeof(*upstreams)) : NULL;
	return 0;
}

bool dns_config_route_covers(const struct dns_config *c, const struct dns_name *name)
{
	vec_each(const struct dns_route *, r, &c->routes) {
		if (r->suffix.labels && dns_name_under(name, &r->suffix))
			return true;
	}
	return false;
}

void dns_config_own_reverse_zones(struct dns_config *c)
{
	struct dns_name zone;

	for (unsigned i = 64; i < 128; i++) {
		char text[32];

		(void)snprintf(text, sizeof(text), "%u.100.in-addr.arpa", i);
		if (dns_name_of(span_str(text), &zone) == 0)
			(void)!dns_config_route(c, &zone, NULL, 0);
	}
	if (dns_name_of(SPAN_LIT("0.e.1.a.c.5.1.1.a.7.d.f.ip6.arpa"), &zone) == 0)
		(void)!dns_config_route(c, &zone, NULL, 0);
}

static int longest_first(const void *a, const void *b)
{
	const struct dns_route *x = a, *y = b;

	return y->suffix.labels - x->suffix.labels;
}

void dns_config_seal(struct dns_config *c)
{
	if (c->routes.n)
		qsort(c->routes.v, c->routes.n, sizeof(*c->routes.v), longest_first);
}

const struct dns_route *dns_config_route_of(const struct dns_config *c, const struct dns_name *name)
{
	vec_each(const struct dns_route *, r, &c->routes) {
		if (dns_name_under(name, &r->suffix))
			return r;
	}
	return NULL;
}

const struct dns_name *dns_config_zone_of(const struct dns_config *c, const struct dns_name *name)
{
	vec_each(const struct dns_route *, r, &c->routes) {
		if (r->n_upstreams == 0 && dns_name_under(name, &r->suffix))
			return &r->suffix;
	}
	return NULL;
}

static int parse_url(struct span text, struct dns_upstream *ret)
{
	struct dns_upstream u = { .kind = DNS_UPSTREAM_HTTP };
	bool tls = span_starts(text, "https://");
	struct span host = span_from(text, tls ? 8 : 7);

	host = span_first(host, span_find(host, '/'));
	if (host.n == 0 || text.n >= DNS_URL_MAX || memchr(text.p, 0, text.n))
		return ERR_MALFORMED;
	memcpy(u.url, text.p, text.n);
	/* An address in the URL needs no name to be looked up first. */
	if (addr_parse(host, &u.addr) < 0 && ip_parse(host, &u.addr.ip) == 0)
		u.addr.port = tls ? HTTPS_PORT : HTTP_PORT;
	*ret = u;
	return 0;
}

struct dns_upstream dns_upstream_of(const struct ip *ip)
{
	struct dns_upstream u = { .kind = DNS_UPSTREAM_PLAIN, .addr = { .ip = *ip } };

	if (dns_public_profile(ip, u.url))
		u.kind = DNS_UPSTREAM_HTTP;
	u.addr.port = u.kind == DNS_UPSTREAM_HTTP ? HTTPS_PORT : DNS_PORT;
	return u;
}

int dns_upstream_parse(struct span text, struct dns_upstream *ret)
{
	struct dns_upstream u = { .kind = DNS_UPSTREAM_PLAIN };

	if (span_starts(text, "https://") || span_starts(text, "http://"))
		return parse_url(text, ret);
	if (span_starts(text, "tls://"))
		return ERR_VERSION;
	if (ip_parse(text, &u.addr.ip) == 0)
		u = dns_upstream_of(&u.addr.ip);
	else if (addr_parse(text, &u.addr) < 0 || u.addr.port == 0)
		return ERR_MALFORMED;
	*ret = u;
	return 0;
}
