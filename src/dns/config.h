#pragma once
/*
 * What the resolver at the service address knows: hosts, routes, defaults.
 *
 * Built whole from a network map and never changed after; a new map gives a new
 * one (dns_config_new ... dns_config_seal). The answering side (dns/magic.h) and
 * the asking side (dns/forward.h) both read it.
 *
 * Source: tailscale v1.102.5 net/dns/resolver/tsdns.go, ipn/ipnlocal/node_backend.go.
 */
#include <stdbool.h>

#include "base/ip.h"
#include "base/map.h"
#include "base/own.h"
#include "base/vec.h"
#include "protocol/dnsmsg.h"

enum {
	DNS_RESOLVERS_MAX = 16, /* a route */
	DNS_ROUTES_MAX = 4096,
	DNS_HOST_ADDRS_MAX = 8,
	DNS_URL_MAX = 256,
};

enum dns_upstream_kind {
	DNS_UPSTREAM_PLAIN, /* UDP, then TCP */
	DNS_UPSTREAM_HTTP,  /* DNS over HTTP(S) at url; addr is where to connect, if known */
};

struct dns_upstream {
	enum dns_upstream_kind kind;
	struct addr addr;
	char url[DNS_URL_MAX];
	int64_t delay_us; /* head start it gives to the others of its route */
};

struct dns_route {
	struct dns_name suffix;
	/* None: we are the authority, names that are not hosts do not exist. */
	struct dns_upstream *upstreams;
	size_t n_upstreams;
};

struct dns_host {
	struct map_node by_name; /* private */
	struct dns_name name;
	struct ip addrs[DNS_HOST_ADDRS_MAX];
	size_t n_addrs;
	bool subdomains; /* names below it have its addresses */
};

struct dns_ptr {
	struct map_node by_ip; /* private */
	struct ip ip;
	struct dns_name name;
};

struct dns_config {
	struct map hosts, ptrs; /* private */
	VEC(struct dns_route)
	routes; /* longest suffix first once sealed; the root is the default */
	VEC(struct dns_name)
	alone; /* hosts under no route of ours: the host's resolver must be told of each */
};

NODISCARD struct dns_config *dns_config_new(void);
void dns_config_free(struct dns_config *c);
DEFINE_AUTO(dns_config_free, struct dns_config *)

/*
 * A host and its addresses; a second call adds addresses. Addresses beyond the
 * maximum are dropped. The first name an address is given answers its PTR
 * queries where `reverse` is set.
 */
void dns_config_host(struct dns_config *c, const struct dns_name *name, const struct ip *ip,
                     bool reverse);
/* The name alone answers PTR queries for the address; it is not told forwards. */
void dns_config_reverse(struct dns_config *c, const struct dns_name *name, const struct ip *ip);
/* The host lies under no route; names below it are asked of others. */
void dns_config_alone(struct dns_config *c, const struct dns_name *name);
/* Names below this host resolve to it too. */
void dns_config_subdomains(struct dns_config *c, const struct dns_name *name);

/*
 * Names under the suffix are asked of these; n = 0 makes us the authority.
 * ERR_LIMIT, ERR_EXISTS
 */
NODISCARD int dns_config_route(struct dns_config *c, const struct dns_name *suffix,
                               const struct dns_upstream *upstreams, size_t n);
/* Is there a route, other than the default, that the name lies under? Also before sealing. */
bool dns_config_route_covers(const struct dns_config *c, const struct dns_name *name);
/* The reverse zones of 100.64.0.0/10 and fd7a:115c:a1e0::/48, as authority. */
void dns_config_own_reverse_zones(struct dns_config *c);
/* After the last addition. */
void dns_config_seal(struct dns_config *c);

const struct dns_host *dns_config_find(const struct dns_config *c, const struct dns_name *name);
const struct dns_name *dns_config_ptr(const struct dns_config *c, const struct ip *ip);
/* The route with the longest suffix, NULL if there is none. */
const struct dns_route *dns_config_route_of(const struct dns_config *c,
                                            const struct dns_name *name);
/* The longest suffix we are the authority of, NULL if the name is under none. */
const struct dns_name *dns_config_zone_of(const struct dns_config *c, const struct dns_name *name);

/*
 * Reads a resolver as the network map gives it: "1.1.1.1", "1.1.1.1:5353",
 * "[::1]:53", "https://dns.example/dns-query", "http://100.64.0.1:80/dns-query".
 *   ERR_MALFORMED	something else
 *   ERR_VERSION	"tls://", which nobody serves
 */
NODISCARD int dns_upstream_parse(struct span text, struct dns_upstream *ret);
/* Plain DNS on its port, or what else the resolver at this address is known to speak alone. */
struct dns_upstream dns_upstream_of(const struct ip *ip);
