#pragma once
/*
 * Public resolvers that answer DNS over HTTPS, as far as they can be reached
 * without a name being looked up first: the address of the plain service tells
 * the URL, and the URL the addresses. Data; pure.
 *
 * Source: tailscale v1.102.5 net/dns/publicdns, which has it from the providers.
 */
#include <stdbool.h>
#include <stddef.h>

#include "base/ip.h"

enum {
	DNS_PUBLIC_ADDRS = 4,    /* of a service */
	DNS_PUBLIC_URL_MAX = 64, /* of one with a customer's profile in it */
};

/* Where the plain service at this address answers over HTTPS, too; NULL: nowhere known. */
const char *dns_public_https(const struct ip *ip);
/*
 * NextDNS has its customers' profiles in the lower bytes of IPv6 addresses, and
 * there HTTPS alone: false if this is none of them.
 */
bool dns_public_profile(const struct ip *ip, char ret_url[static DNS_PUBLIC_URL_MAX]);
/* Does nothing answer plain DNS at this address, or not as its owner means it? */
bool dns_public_https_only(const struct ip *ip);
/* Where to connect for a URL of these providers; 0: it is of none of them. */
size_t dns_public_addrs(struct span url, struct ip ret[static DNS_PUBLIC_ADDRS]);
