#include "dns/magic.h"

#include "base/via6.h"

/* The address of the service, and the name that stands for it. */
static const struct ip service4 = { { [10] = 0xff, [11] = 0xff, 100, 100, 100, 100 } };
static const struct ip service6 = { { 0xfd, 0x7a, 0x11, 0x5c, 0xa1, 0xe0, [15] = 0x53 } };
#define SERVICE_NAME "magicdns.localhost-tailscale-daemon"

struct answer {
	enum dns_rcode rcode;
	struct ip ip;
	bool has_ip;
};

static bool is_address_type(uint16_t type)
{
	return type == DNS_A || type == DNS_AAAA || type == DNS_ALL;
}

static bool name_is(const struct dns_name *n, const char *text)
{
	struct dns_name other;

	return dns_name_of(span_str(text), &other) == 0 && dns_name_eq(n, &other);
}

static bool under(const struct dns_name *n, const char *suffix)
{
	struct dns_name other;

	return dns_name_of(span_str(suffix), &other) == 0 && dns_name_under(n, &other);
}

/* A number of 32 bits as Go's ParseUint reads it: 10, 0x1f, 0b11, 0o17, 017, and 1_000 with any of
 * these. */
static bool read_site(struct span text, uint32_t *ret)
{
	static const struct {
		const char *prefix;
		unsigned base;
	} forms[] = { { "0x", 16 }, { "0b", 2 }, { "0o", 8 }, { "0", 8 } };
	unsigned base = 10;
	bool digit = false; /* the last one was, or a prefix, which counts as one here */
	uint64_t v = 0;

	for (size_t i = 0; i < ARRAY_LEN(forms) && base == 10; i++) {
		size_t n = strlen(forms[i].prefix);

		if (text.n > n && span_starts(text, forms[i].prefix)) {
			base = forms[i].base;
			text = span_from(text, n);
			digit = true;
		}
	}
	for (size_t i = 0; i < text.n; i++) {
		unsigned c = text.p[i], d = c - '0' < 10  ? c - '0'
		                            : c - 'a' < 6 ? c - 'a' + 10
		                                          : 99;

		if (c == '_' ? !digit : d >= base)
			return false;
		digit = c != '_';
		v = digit ? v * base + d : v;
		if (v > UINT32_MAX)
			return false;
	}
	*ret = (uint32_t)v;
	return text.n > 0 && digit;
}

/* One dotted label or more in front of the suffix. */
static bool below(const struct dns_name *n, const char *suffix)
{
	struct dns_name other;

	return dns_name_of(span_str(suffix), &other) == 0 && n->labels > other.labels &&
	       dns_name_under(n, &other);
}

/* "10-1-2-3-via-7": the IPv6 address that stands for 10.1.2.3 at site 7. */
static bool via_address(const struct dns_name *n, struct ip *ret)
{
	struct span label = dns_name_label(n, 0);
	const uint8_t *via = label.n ? memmem(label.p, label.n, "-via-", 5) : NULL;
	char text[16];
	struct ip ip;
	uint32_t site;

	struct dns_name domain = dns_name_parent(n, 1);

	if (!via ||
	    (n->labels > 1 && !below(&domain, "ts.net") && !below(&domain, "tailscale.net")))
		return false;

	size_t len = (size_t)(via - label.p);

	if (len >= sizeof(text) || !read_site(span_from(label, len + 5), &site))
		return false;
	for (size_t i = 0; i < len; i++)
		text[i] = label.p[i] == '-' ? '.' : (char)label.p[i];
	if (ip_parse(span(text, len), &ip) < 0 || !ip_is4(&ip))
		return false;
	*ret = via6_address(site, ip_v4(&ip));
	return true;
}

static const struct dns_host *find_host(const struct dns_config *c, const struct dns_name *name)
{
	const struct dns_host *host = dns_config_find(c, name);

	for (unsigned up = 1; !host && up < name->labels; up++) {
		struct dns_name parent = dns_name_parent(name, up);
		const struct dns_host *above = dns_config_find(c, &parent);

		if (above && above->subdomains)
			host = above;
	}
	return host;
}

static void answer_host(const struct dns_host *host, uint16_t type, struct answer *ret)
{
	*ret = (struct answer){ .rcode = DNS_NOERROR };
	if (type == DNS_NS || type == DNS_SOA || type == DNS_AXFR || type == DNS_HINFO)
		ret->rcode = DNS_NOTIMP;
	if (!is_address_type(type))
		return;
	for (size_t i = 0; i < host->n_addrs && !ret->has_ip; i++) {
		if (type == DNS_ALL || ip_is4(&host->addrs[i]) == (type == DNS_A)) {
			ret->ip = host->addrs[i];
			ret->has_ip = true;
		}
	}
}

/* False: not ours. */
static bool resolve(const struct dns_config *c, const struct dns_query *q, struct answer *ret)
{
	*ret = (struct answer){ .rcode = DNS_NOERROR };
	if (under(&q->name, "onion")) {
		/* RFC 7686: never to be asked of the DNS. */
		ret->rcode = DNS_NXDOMAIN;
		return true;
	}
	if ((q->type == DNS_A || q->type == DNS_AAAA) && name_is(&q->name, SERVICE_NAME)) {
		ret->ip = q->type == DNS_A ? service4 : service6;
		ret->has_ip = true;
		return true;
	}
	if (via_address(&q->name, &ret->ip)) {
		ret->has_ip = q->type == DNS_AAAA || q->type == DNS_ALL;
		return true;
	}

	const struct dns_host *host = find_host(c, &q->name);

	if (host) {
		answer_host(host, q->type, ret);
		return true;
	}
	ret->rcode = DNS_NXDOMAIN;
	return dns_config_zone_of(c, &q->name) != NULL;
}

/* Browsing for printers by reverse zones, which helps nobody and never stops. */
static bool is_bonjour(const struct dns_name *n)
{
	static const char *const first[] = { "b", "db", "r", "dr", "lb" };

	if (!span_is(dns_name_label(n, 1), "_dns-sd") || !span_is(dns_name_label(n, 2), "_udp"))
		return false;
	for (size_t i = 0; i < ARRAY_LEN(first); i++) {
		if (span_is(dns_name_label(n, 0), first[i]))
			return true;
	}
	return false;
}

/* The IPv4 address that an address of fd7a:115c:a1e0:ab12:4843:cd96:6200::/104 is made from. */
static bool made_from(const struct ip *ip, struct ip *ret)
{
	static const uint8_t range[13] = { 0xfd, 0x7a, 0x11, 0x5c, 0xa1, 0xe0, 0xab,
		                           0x12, 0x48, 0x43, 0xcd, 0x96, 0x62 };

	if (memcmp(ip->b, range, sizeof(range)) != 0)
		return false;
	*ret = ip4(100, ip->b[13], ip->b[14], ip->b[15]);
	return true;
}

static const struct dns_name *name_of(const struct dns_config *c, const struct ip *ip)
{
	const struct dns_name *name = NULL;
	struct ip four;

	if (made_from(ip, &four))
		name = dns_config_ptr(c, &four);
	return name ? name : dns_config_ptr(c, ip);
}

/* ERR_MALFORMED: the name stands for no address. 0: not ours. */
static int answer_ptr(const struct dns_config *c, const struct dns_query *q, struct dns_answer *a,
                      uint8_t *dst, size_t cap)
{
	const struct dns_name *zone = dns_config_zone_of(c, &q->name);
	const struct dns_name *name = NULL;
	struct dns_name service;
	struct ip ip;
	int r = dns_name_address(&q->name, &ip);

	if (r < 0)
		return r;
	if ((ip_eq(&ip, &service4) || ip_eq(&ip, &service6)) &&
	    dns_name_of(span_str(SERVICE_NAME), &service) == 0)
		name = &service;
	else
		name = name_of(c, &ip);
	if (!name && !zone)
		return 0;
	dns_answer_start(a, q, dst, cap, name ? DNS_NOERROR : DNS_NXDOMAIN, true);
	if (name)
		dns_answer_name(a, DNS_PTR, name, MAGIC_TTL_S);
	else
		dns_answer_soa(a, zone, MAGIC_NEGATIVE_TTL_S);
	return 1;
}

static void answer_found(const struct dns_config *c, const struct dns_query *q,
                         const struct answer *found, struct dns_answer *a)
{
	const struct dns_name *zone = dns_config_zone_of(c, &q->name);
	bool empty = found->rcode == DNS_NOERROR && !found->has_ip && is_address_type(q->type);

	if (found->has_ip)
		dns_answer_ip(a, &found->ip, MAGIC_TTL_S);
	if (zone && (empty || found->rcode == DNS_NXDOMAIN))
		dns_answer_soa(a, zone, MAGIC_NEGATIVE_TTL_S);
}

size_t magic_answer(const struct dns_config *c, const struct dns_query *q, uint8_t *dst, size_t cap)
{
	struct answer found;
	struct dns_answer a;
	int r = q->type == DNS_PTR ? answer_ptr(c, q, &a, dst, cap) : ERR_MALFORMED;

	if (r >= 0)
		return r ? dns_answer_end(&a) : 0;
	/* Any other name, also where PTR is asked for: one of ours is told to nobody else. */
	if (q->type != DNS_PTR || !is_bonjour(&q->name)) {
		if (resolve(c, q, &found)) {
			dns_answer_start(&a, q, dst, cap, found.rcode, true);
			answer_found(c, q, &found, &a);
			return dns_answer_end(&a);
		}
	}
	if (!is_bonjour(&q->name))
		return 0;
	dns_answer_start(&a, q, dst, cap, DNS_NXDOMAIN, false);
	return dns_answer_end(&a);
}
