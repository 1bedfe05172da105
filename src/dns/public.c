#include "dns/public.h"

#include <string.h>

#include "base/enc.h"
#include "base/mem.h"

/* clang-format off */
static const struct {
	const char *url;
	const char *at[DNS_PUBLIC_ADDRS];
} services[] = {
	{ "https://cloudflare-dns.com/dns-query",
	  { "1.1.1.1", "1.0.0.1", "2606:4700:4700::1111", "2606:4700:4700::1001" } },
	{ "https://security.cloudflare-dns.com/dns-query",
	  { "1.1.1.2", "1.0.0.2", "2606:4700:4700::1112", "2606:4700:4700::1002" } },
	{ "https://family.cloudflare-dns.com/dns-query",
	  { "1.1.1.3", "1.0.0.3", "2606:4700:4700::1113", "2606:4700:4700::1003" } },
	{ "https://dns.google/dns-query",
	  { "8.8.8.8", "8.8.4.4", "2001:4860:4860::8888", "2001:4860:4860::8844" } },
	{ "https://dns.quad9.net/dns-query",
	  { "9.9.9.9", "149.112.112.112", "2620:fe::fe", "2620:fe::9" } },
	{ "https://dns11.quad9.net/dns-query",
	  { "9.9.9.11", "149.112.112.11", "2620:fe::11", "2620:fe::fe:11" } },
	{ "https://dns10.quad9.net/dns-query",
	  { "9.9.9.10", "149.112.112.10", "2620:fe::10", "2620:fe::fe:10" } },
	{ "https://dns.mullvad.net/dns-query",
	  { "194.242.2.2", "2a07:e340::2" } },
	{ "https://adblock.dns.mullvad.net/dns-query",
	  { "194.242.2.3", "2a07:e340::3" } },
	{ "https://base.dns.mullvad.net/dns-query",
	  { "194.242.2.4", "2a07:e340::4" } },
	{ "https://extended.dns.mullvad.net/dns-query",
	  { "194.242.2.5", "2a07:e340::5" } },
	{ "https://family.dns.mullvad.net/dns-query",
	  { "194.242.2.6", "2a07:e340::6" } },
	{ "https://all.dns.mullvad.net/dns-query",
	  { "194.242.2.9", "2a07:e340::9" } },
	{ "https://wikimedia-dns.org/dns-query",
	  { "185.71.138.138", "2001:67c:930::1" } },
	{ "https://freedns.controld.com/p0",
	  { "76.76.2.0", "76.76.10.0", "2606:1a40::", "2606:1a40:1::" } },
	{ "https://freedns.controld.com/p1",
	  { "76.76.2.1", "76.76.10.1", "2606:1a40::1", "2606:1a40:1::1" } },
	{ "https://freedns.controld.com/p2",
	  { "76.76.2.2", "76.76.10.2", "2606:1a40::2", "2606:1a40:1::2" } },
	{ "https://freedns.controld.com/p3",
	  { "76.76.2.3", "76.76.10.3", "2606:1a40::3", "2606:1a40:1::3" } },
	{ "https://freedns.controld.com/family",
	  { "76.76.2.4", "76.76.10.4", "2606:1a40::4", "2606:1a40:1::4" } },
	{ "https://private.canadianshield.cira.ca/dns-query",
	  { "149.112.121.10", "149.112.122.10", "2620:10a:80bb::10", "2620:10a:80bc::10" } },
	{ "https://protected.canadianshield.cira.ca/dns-query",
	  { "149.112.121.20", "149.112.122.20", "2620:10a:80bb::20", "2620:10a:80bc::20" } },
	{ "https://family.canadianshield.cira.ca/dns-query",
	  { "149.112.121.30", "149.112.122.30", "2620:10a:80bb::30", "2620:10a:80bc::30" } },
};

/* Profiles are in the paths of these URLs, whatever the address. */
static const char *const controld[DNS_PUBLIC_ADDRS] = {
	"76.76.2.22", "76.76.10.22", "2606:1a40::22", "2606:1a40:1::22"
};

/* Of NextDNS: where it answers for everybody, and where with a profile at the end of the address. */
static const char *const nextdns4[] = { "45.90.28.0", "45.90.30.0" };
static const char *const nextdns6[] = { "2a07:a8c0::/33", "2a07:a8c1::/33" };

static const char *const https_only[] = {
	"45.90.28.0/24", "45.90.30.0/24",				/* NextDNS */
	"185.71.138.138/32", "2001:67c:930::1/128",			/* Wikimedia */
	"2606:1a40::/48", "2606:1a40:1::/48", "76.76.2.22/32", "76.76.10.22/32",	/* Control D */
};
/* clang-format on */

#define CONTROLD_URL "https://dns.controld.com/"
#define NEXTDNS_URL "https://dns.nextdns.io/"

enum { PROFILE_AT = 4, PROFILE_MAX = 12 };

static bool is(const char *text, const struct ip *ip)
{
	struct ip known;

	return text && ip_parse(span_str(text), &known) == 0 && ip_eq(&known, ip);
}

const char *dns_public_https(const struct ip *ip)
{
	for (size_t i = 0; i < ARRAY_LEN(services); i++)
		for (size_t k = 0; k < DNS_PUBLIC_ADDRS; k++)
			if (is(services[i].at[k], ip))
				return services[i].url;
	return NULL;
}

static bool within(const char *const *prefixes, size_t n, const struct ip *ip)
{
	struct prefix p;

	for (size_t i = 0; i < n; i++)
		if (prefix_parse(span_str(prefixes[i]), &p) == 0 && prefix_contains(&p, ip))
			return true;
	return false;
}

bool dns_public_profile(const struct ip *ip, char ret_url[static DNS_PUBLIC_URL_MAX])
{
	size_t from = PROFILE_AT;

	if (!within(nextdns6, ARRAY_LEN(nextdns6), ip))
		return false;
	while (from < sizeof(ip->b) && ip->b[from] == 0)
		from++;
	memcpy(ret_url, NEXTDNS_URL, sizeof(NEXTDNS_URL));
	if (from < sizeof(ip->b))
		hex_encode(ret_url + sizeof(NEXTDNS_URL) - 1, ip->b + from, sizeof(ip->b) - from);
	return true;
}

bool dns_public_https_only(const struct ip *ip)
{
	return within(nextdns6, ARRAY_LEN(nextdns6), ip) ||
	       within(https_only, ARRAY_LEN(https_only), ip);
}

static size_t read_addrs(const char *const *text, size_t n, struct ip *ret)
{
	size_t got = 0;

	for (size_t i = 0; i < n; i++)
		if (text[i] && ip_parse(span_str(text[i]), &ret[got]) == 0)
			got++;
	return got;
}

/* What comes after the profile, a device's name and the like, is for the provider alone. */
static size_t nextdns_addrs(struct span path, struct ip *ret)
{
	uint8_t profile[PROFILE_MAX];
	struct span hex = span_first(path, span_find(path, '/'));

	hex = span_first(hex, span_find(hex, '?'));
	if (hex.n == 0 || hex.n / 2 > PROFILE_MAX || hex_decode(profile, hex.n / 2, hex) < 0)
		return 0;

	size_t n = read_addrs(nextdns4, ARRAY_LEN(nextdns4), ret);

	for (size_t i = 0; i < ARRAY_LEN(nextdns6); i++) {
		struct prefix p;

		if (prefix_parse(span_str(nextdns6[i]), &p) < 0)
			continue;
		memcpy(p.ip.b + sizeof(p.ip.b) - hex.n / 2, profile, hex.n / 2);
		ret[n++] = p.ip;
	}
	return n;
}

size_t dns_public_addrs(struct span url, struct ip ret[static DNS_PUBLIC_ADDRS])
{
	for (size_t i = 0; i < ARRAY_LEN(services); i++)
		if (span_is(url, services[i].url))
			return read_addrs(services[i].at, DNS_PUBLIC_ADDRS, ret);
	if (span_starts(url, CONTROLD_URL))
		return read_addrs(controld, DNS_PUBLIC_ADDRS, ret);
	if (span_starts(url, NEXTDNS_URL))
		return nextdns_addrs(span_from(url, sizeof(NEXTDNS_URL) - 1), ret);
	return 0;
}
