#include "dns/public.h"

#include "base/buf.h"
#include "base/mem.h"
#include "test/check.h"

/* One by one, as the providers publish them. */
/* clang-format off */
static const struct {
	const char *ip, *url;
} known[] = {
	{ "1.1.1.1",               "https://cloudflare-dns.com/dns-query" },
	{ "1.0.0.1",               "https://cloudflare-dns.com/dns-query" },
	{ "2606:4700:4700::1111",  "https://cloudflare-dns.com/dns-query" },
	{ "2606:4700:4700::1001",  "https://cloudflare-dns.com/dns-query" },
	{ "1.1.1.2",               "https://security.cloudflare-dns.com/dns-query" },
	{ "1.0.0.2",               "https://security.cloudflare-dns.com/dns-query" },
	{ "2606:4700:4700::1112",  "https://security.cloudflare-dns.com/dns-query" },
	{ "2606:4700:4700::1002",  "https://security.cloudflare-dns.com/dns-query" },
	{ "1.1.1.3",               "https://family.cloudflare-dns.com/dns-query" },
	{ "1.0.0.3",               "https://family.cloudflare-dns.com/dns-query" },
	{ "2606:4700:4700::1113",  "https://family.cloudflare-dns.com/dns-query" },
	{ "2606:4700:4700::1003",  "https://family.cloudflare-dns.com/dns-query" },
	{ "8.8.8.8",               "https://dns.google/dns-query" },
	{ "8.8.4.4",               "https://dns.google/dns-query" },
	{ "2001:4860:4860::8888",  "https://dns.google/dns-query" },
	{ "2001:4860:4860::8844",  "https://dns.google/dns-query" },
	{ "9.9.9.9",               "https://dns.quad9.net/dns-query" },
	{ "149.112.112.112",       "https://dns.quad9.net/dns-query" },
	{ "2620:fe::fe",           "https://dns.quad9.net/dns-query" },
	{ "2620:fe::9",            "https://dns.quad9.net/dns-query" },
	{ "9.9.9.11",              "https://dns11.quad9.net/dns-query" },
	{ "149.112.112.11",        "https://dns11.quad9.net/dns-query" },
	{ "2620:fe::11",           "https://dns11.quad9.net/dns-query" },
	{ "2620:fe::fe:11",        "https://dns11.quad9.net/dns-query" },
	{ "9.9.9.10",              "https://dns10.quad9.net/dns-query" },
	{ "149.112.112.10",        "https://dns10.quad9.net/dns-query" },
	{ "2620:fe::10",           "https://dns10.quad9.net/dns-query" },
	{ "2620:fe::fe:10",        "https://dns10.quad9.net/dns-query" },
	{ "194.242.2.2",           "https://dns.mullvad.net/dns-query" },
	{ "2a07:e340::2",          "https://dns.mullvad.net/dns-query" },
	{ "194.242.2.3",           "https://adblock.dns.mullvad.net/dns-query" },
	{ "2a07:e340::3",          "https://adblock.dns.mullvad.net/dns-query" },
	{ "194.242.2.4",           "https://base.dns.mullvad.net/dns-query" },
	{ "2a07:e340::4",          "https://base.dns.mullvad.net/dns-query" },
	{ "194.242.2.5",           "https://extended.dns.mullvad.net/dns-query" },
	{ "2a07:e340::5",          "https://extended.dns.mullvad.net/dns-query" },
	{ "194.242.2.6",           "https://family.dns.mullvad.net/dns-query" },
	{ "2a07:e340::6",          "https://family.dns.mullvad.net/dns-query" },
	{ "194.242.2.9",           "https://all.dns.mullvad.net/dns-query" },
	{ "2a07:e340::9",          "https://all.dns.mullvad.net/dns-query" },
	{ "185.71.138.138",        "https://wikimedia-dns.org/dns-query" },
	{ "2001:67c:930::1",       "https://wikimedia-dns.org/dns-query" },
	{ "76.76.2.0",             "https://freedns.controld.com/p0" },
	{ "76.76.10.0",            "https://freedns.controld.com/p0" },
	{ "2606:1a40::",           "https://freedns.controld.com/p0" },
	{ "2606:1a40:1::",         "https://freedns.controld.com/p0" },
	{ "76.76.2.1",             "https://freedns.controld.com/p1" },
	{ "76.76.10.1",            "https://freedns.controld.com/p1" },
	{ "2606:1a40::1",          "https://freedns.controld.com/p1" },
	{ "2606:1a40:1::1",        "https://freedns.controld.com/p1" },
	{ "76.76.2.2",             "https://freedns.controld.com/p2" },
	{ "76.76.10.2",            "https://freedns.controld.com/p2" },
	{ "2606:1a40::2",          "https://freedns.controld.com/p2" },
	{ "2606:1a40:1::2",        "https://freedns.controld.com/p2" },
	{ "76.76.2.3",             "https://freedns.controld.com/p3" },
	{ "76.76.10.3",            "https://freedns.controld.com/p3" },
	{ "2606:1a40::3",          "https://freedns.controld.com/p3" },
	{ "2606:1a40:1::3",        "https://freedns.controld.com/p3" },
	{ "76.76.2.4",             "https://freedns.controld.com/family" },
	{ "76.76.10.4",            "https://freedns.controld.com/family" },
	{ "2606:1a40::4",          "https://freedns.controld.com/family" },
	{ "2606:1a40:1::4",        "https://freedns.controld.com/family" },
	{ "149.112.121.10",        "https://private.canadianshield.cira.ca/dns-query" },
	{ "149.112.122.10",        "https://private.canadianshield.cira.ca/dns-query" },
	{ "2620:10a:80bb::10",     "https://private.canadianshield.cira.ca/dns-query" },
	{ "2620:10a:80bc::10",     "https://private.canadianshield.cira.ca/dns-query" },
	{ "149.112.121.20",        "https://protected.canadianshield.cira.ca/dns-query" },
	{ "149.112.122.20",        "https://protected.canadianshield.cira.ca/dns-query" },
	{ "2620:10a:80bb::20",     "https://protected.canadianshield.cira.ca/dns-query" },
	{ "2620:10a:80bc::20",     "https://protected.canadianshield.cira.ca/dns-query" },
	{ "149.112.121.30",        "https://family.canadianshield.cira.ca/dns-query" },
	{ "149.112.122.30",        "https://family.canadianshield.cira.ca/dns-query" },
	{ "2620:10a:80bb::30",     "https://family.canadianshield.cira.ca/dns-query" },
	{ "2620:10a:80bc::30",     "https://family.canadianshield.cira.ca/dns-query" },
};

static const struct {
	const char *url, *addrs;
} profiles[] = {
	{ "https://dns.nextdns.io/c3a884", "45.90.28.0 45.90.30.0 2a07:a8c0::c3:a884 2a07:a8c1::c3:a884" },
	{ "https://dns.nextdns.io/c3a884/kitchen/radio", "45.90.28.0 45.90.30.0 2a07:a8c0::c3:a884 2a07:a8c1::c3:a884" },
	{ "https://dns.nextdns.io/c3a884?x=1", "45.90.28.0 45.90.30.0 2a07:a8c0::c3:a884 2a07:a8c1::c3:a884" },
	{ "https://dns.nextdns.io/", "" },
	{ "https://dns.nextdns.io/c3a88", "" },
	{ "https://dns.nextdns.io/kitchen", "" },
	{ "https://dns.nextdns.io/000102030405060708090a0b0c", "" },
	{ "https://dns.controld.com/hyq3ipr2ct", "76.76.2.22 76.76.10.22 2606:1a40::22 2606:1a40:1::22" },
	{ "https://freedns.controld.com/p1", "76.76.2.1 76.76.10.1 2606:1a40::1 2606:1a40:1::1" },
	{ "https://dns.quad9.net/dns-query2", "" },
	{ "https://dns.example/dns-query", "" },
	{ "", "" },
};

static const struct {
	const char *ip;
	bool https_only;
	const char *profile;	/* URL; NULL: none in the address */
} addresses[] = {
	{ "2a07:a8c0::c3:a884",		true,	"https://dns.nextdns.io/c3a884" },
	{ "2a07:a8c1:0:1::",		true,	"https://dns.nextdns.io/010000000000000000" },
	{ "2a07:a8c0::",		true,	"https://dns.nextdns.io/" },
	{ "2a07:a8c0:8000::1",		false,	NULL },
	{ "2a07:a8c2::1",		false,	NULL },
	{ "45.90.28.7",			true,	NULL },
	{ "45.90.29.7",			false,	NULL },
	{ "45.90.30.255",		true,	NULL },
	{ "185.71.138.138",		true,	NULL },
	{ "2001:67c:930::1",		true,	NULL },
	{ "2606:1a40:0:8::1",		true,	NULL },
	{ "2606:1a40:1::22",		true,	NULL },
	{ "76.76.2.22",			true,	NULL },
	{ "76.76.2.0",			false,	NULL },
	{ "1.1.1.1",			false,	NULL },
	{ "10.1.2.3",			false,	NULL },
};
/* clang-format on */

static struct ip ip_of(const char *text)
{
	struct ip ip = { 0 };

	CHECK_OK(ip_parse(span_str(text), &ip));
	return ip;
}

static void every_public_resolver_is_known_by_its_address(void)
{
	for (size_t i = 0; i < ARRAY_LEN(known); i++) {
		struct ip ip = ip_of(known[i].ip);

		CHECK_STR(dns_public_https(&ip), known[i].url);
	}
	CHECK(dns_public_https(&(struct ip){ 0 }) == NULL);
	CHECK(dns_public_https(&(struct ip){ { [10] = 0xff, [11] = 0xff, 192, 0, 2, 1 } }) == NULL);
}

static void its_url_leads_back_to_the_address(void)
{
	for (size_t i = 0; i < ARRAY_LEN(known); i++) {
		struct ip at[DNS_PUBLIC_ADDRS], ip = ip_of(known[i].ip);
		size_t n = dns_public_addrs(span_str(known[i].url), at);
		bool found = false;

		for (size_t k = 0; k < n; k++)
			found = found || ip_eq(&at[k], &ip);
		CHECK(found);
	}
}

static void a_url_with_a_profile_tells_where_to_connect(void)
{
	for (size_t i = 0; i < ARRAY_LEN(profiles); i++) {
		AUTO_DONE(buf) struct buf out = { 0 };
		struct ip at[DNS_PUBLIC_ADDRS];
		size_t n = dns_public_addrs(span_str(profiles[i].url), at);
		char text[IP_TEXT_MAX];

		for (size_t k = 0; k < n; k++)
			buf_fmt(&out, "%s%s", k ? " " : "", ip_text(&at[k], text));
		CHECK_STR(buf_text(&out), profiles[i].addrs);
	}
}

static void an_address_tells_its_profile_and_whether_it_speaks_https_alone(void)
{
	for (size_t i = 0; i < ARRAY_LEN(addresses); i++) {
		struct ip ip = ip_of(addresses[i].ip);
		char url[DNS_PUBLIC_URL_MAX] = "";

		CHECK_EQ(dns_public_https_only(&ip), addresses[i].https_only);
		CHECK_EQ(dns_public_profile(&ip, url), addresses[i].profile != NULL);
		CHECK_STR(url, addresses[i].profile ? addresses[i].profile : "");
	}
}

int main(void)
{
	RUN(every_public_resolver_is_known_by_its_address);
	RUN(its_url_leads_back_to_the_address);
	RUN(a_url_with_a_profile_tells_where_to_connect);
	RUN(an_address_tells_its_profile_and_whether_it_speaks_https_alone);
	return check_done();
}
