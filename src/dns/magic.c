#include "dns/magic.h"

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

/* Decimal, or hexadecimal after 0x, 32 bits. */
static bool read_site(struct span text, uint32_t *ret)
{
	uint64_t v = 0;

	if (text.n > 2 && text.p[0] == '0' && text.p[1] == 'x') {
		if (text.n > 10)
			return false;
		for (size_t i = 2; i < text.n; i++) {
			const char *digits = "0123456789abcdef";
			const char *at = text.p[i] ? strchr(digits, text.p[i]) : NULL;

			if (!at)
				return false;
			v = v << 4 | (uint64_t)(at - digits);
		}
	} else if (span_u64(text, UINT32_MAX, &v) < 0) {
		return false;
	}
	*ret = (uint32_t)v;
	return true;
}

/* "10-1-2-3-via-7": the IPv6 address that stands for 10.1.2.3 at site 7. */
static bool via_address(const struct dns_name *n, struct ip *ret)
{
	struct span label = dns_name_label(n, 0);
	const uint8_t *via = label.n ? memmem(label.p, label.n, "-via-", 5) : NULL;
	uint8_t bytes[16] = { 0xfd, 0x7a, 0x11, 0x5c, 0xa1, 0xe0, 0x0b, 0x1a };
	char text[16];
	struct ip ip;
	uint32_t site;

	if (!via || (n->labels > 1 && !under(n, "ts.net") && !under(n, "tailscale.net")))
		return false;

	size_t len = (size_t)(via - label.p);

	if (len >= sizeof(text) || !read_site(span_from(label, len + 5), &site))
		return false;
	for (size_t i = 0; i < len; i++)
		text[i] = label.p[i] == '-' ? '.' : (char)label.p[i];
	if (ip_parse(span(text, len), &ip) < 0 || !ip_is4(&ip))
		return false;
	put_be32(bytes + 8, site);
	memcpy(bytes + 12, ip_v4(&ip), 4);
	*ret = ip6_of(bytes);
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
	if (is_address_type(q->type) && via_address(&q->name, &ret->ip)) {
		ret->has_ip = q->type != DNS_A;
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

static size_t answer_ptr(const struct dns_config *c, const struct dns_query *q, uint8_t *dst,
                         size_t cap)
{
	const struct dns_name *zone = dns_config_zone_of(c, &q->name);
	const struct dns_name *name = NULL;
	struct dns_name service;
	struct dns_answer a;
	struct ip ip;

	if (is_bonjour(&q->name)) {
		dns_answer_start(&a, q, dst, cap, DNS_NXDOMAIN, false);
		return dns_answer_end(&a);
	}
	if (dns_name_address(&q->name, &ip) < 0)
		return 0;
	if ((ip_eq(&ip, &service4) || ip_eq(&ip, &service6)) &&
	    dns_name_of(span_str(SERVICE_NAME), &service) == 0)
		name = &service;
	else
		name = dns_config_ptr(c, &ip);
	if (!name && !zone)
		return 0;
	dns_answer_start(&a, q, dst, cap, name ? DNS_NOERROR : DNS_NXDOMAIN, true);
	if (name)
		dns_answer_name(&a, DNS_PTR, name, MAGIC_TTL_S);
	else
		dns_answer_soa(&a, zone, MAGIC_NEGATIVE_TTL_S);
	return dns_answer_end(&a);
}

size_t magic_answer(const struct dns_config *c, const struct dns_query *q, uint8_t *dst, size_t cap)
{
	struct answer found;
	struct dns_answer a;

	if (q->class != DNS_CLASS_IN)
		return 0;
	if (q->type == DNS_PTR)
		return answer_ptr(c, q, dst, cap);
	if (!resolve(c, q, &found)) {
		if (!is_bonjour(&q->name))
			return 0;
		found.rcode = DNS_NXDOMAIN;
	}
	dns_answer_start(&a, q, dst, cap, found.rcode, true);
	if (found.has_ip)
		dns_answer_ip(&a, &found.ip, MAGIC_TTL_S);

	bool negative = found.rcode == DNS_NXDOMAIN ||
	                (found.rcode == DNS_NOERROR && !found.has_ip && is_address_type(q->type));
	const struct dns_name *zone = dns_config_zone_of(c, &q->name);

	if (negative && zone)
		dns_answer_soa(&a, zone, MAGIC_NEGATIVE_TTL_S);
	return dns_answer_end(&a);
}
