#include "dns/magic.h"

#include "test/check.h"

static struct dns_config *config;

static struct dns_name name(const char *text)
{
	struct dns_name n = { 0 };

	CHECK_OK(dns_name_of(span_str(text), &n));
	return n;
}

static void host(const char *text, const char *address)
{
	struct dns_name n = name(text);
	struct ip ip;

	CHECK_OK(ip_parse(span_str(address), &ip));
	dns_config_host(config, &n, &ip, true);
}

static void set_up(void)
{
	struct dns_name zone = name("tail.lab"), corp = name("corp.example"),
			nas = name("nas.tail.lab");
	struct dns_upstream up;

	config = dns_config_new();
	host("nas.tail.lab", "100.64.0.7");
	host("nas.tail.lab", "fd7a:115c:a1e0::7");
	host("v6.tail.lab", "fd7a:115c:a1e0::8");
	dns_config_subdomains(config, &nas);
	CHECK_OK(dns_config_route(config, &zone, NULL, 0));
	CHECK_OK(dns_upstream_parse(span_str("192.0.2.53"), &up));
	CHECK_OK(dns_config_route(config, &corp, &up, 1));
	CHECK_EQ(dns_config_route(config, &corp, &up, 1), ERR_EXISTS);
	dns_config_own_reverse_zones(config);
	dns_config_seal(config);
}

/* "-": not ours; else the code, then the address, name or "soa". */
static const char *ask(const char *text, enum dns_type type)
{
	static char line[DNS_NAME_TEXT_MAX + 64];
	static const char *const codes[] = { "NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN",
		                             "NOTIMP" };
	struct dns_query q = { .id = 7,
		               .name = name(text),
		               .type = (uint16_t)type,
		               .class = 1,
		               .udp_size = DNS_UDP_PLAIN };
	uint8_t out[DNS_UDP_PLAIN];

	memcpy(q.asked, q.name.wire, q.name.n);

	size_t n = magic_answer(config, &q, out, sizeof(out));
	struct dns_result res;
	struct ip ip;
	char ip_buf[IP_TEXT_MAX];

	if (n == 0)
		return "-";
	CHECK_OK(dns_result_read(span(out, n), &q, &res));
	(void)snprintf(line, sizeof(line), "%s", codes[res.rcode]);

	size_t at = strlen(line);

	if (dns_addresses(span(out, n), &ip, 1)) {
		CHECK_EQ(res.ttl_s, MAGIC_TTL_S);
		(void)snprintf(line + at, sizeof(line) - at, " %s", ip_text(&ip, ip_buf));
	} else if (res.answers) {
		struct rd r = rd_of(out + DNS_HEADER + q.name.n + 4, n - DNS_HEADER - q.name.n - 4);
		struct dns_name target;
		char target_text[DNS_NAME_TEXT_MAX];

		(void)rd_view(&r, 12);
		CHECK_OK(dns_name_read(&r, span(out, n), &target));
		(void)snprintf(line + at, sizeof(line) - at, " %s",
		               dns_name_text(&target, target_text));
	} else if (res.ttl_s == MAGIC_NEGATIVE_TTL_S) {
		(void)snprintf(line + at, sizeof(line) - at, " soa");
	}
	return line;
}

/* clang-format off */
static const struct {
	const char *name;
	enum dns_type type;
	const char *want;
} rows[] = {
	{ "nas.tail.lab", DNS_A, "NOERROR 100.64.0.7" },
	{ "NAS.tail.LAB", DNS_A, "NOERROR 100.64.0.7" },
	{ "nas.tail.lab", DNS_AAAA, "NOERROR fd7a:115c:a1e0::7" },
	{ "nas.tail.lab", DNS_ALL, "NOERROR 100.64.0.7" },
	{ "nas.tail.lab", DNS_TXT, "NOERROR" },
	{ "nas.tail.lab", DNS_NS, "NOTIMP" },
	{ "nas.tail.lab", DNS_SOA, "NOTIMP" },
	{ "v6.tail.lab", DNS_A, "NOERROR soa" },
	{ "v6.tail.lab", DNS_AAAA, "NOERROR fd7a:115c:a1e0::8" },
	{ "www.nas.tail.lab", DNS_A, "NOERROR 100.64.0.7" },
	{ "www.v6.tail.lab", DNS_A, "NXDOMAIN soa" },
	{ "missing.tail.lab", DNS_A, "NXDOMAIN soa" },
	{ "tail.lab", DNS_A, "NXDOMAIN soa" },
	{ "host.corp.example", DNS_A, "-" },
	{ "example.com", DNS_A, "-" },
	{ "xtail.lab", DNS_A, "-" },
	{ "hidden.onion", DNS_A, "NXDOMAIN" },
	{ "magicdns.localhost-tailscale-daemon", DNS_A, "NOERROR 100.100.100.100" },
	{ "magicdns.localhost-tailscale-daemon", DNS_AAAA, "NOERROR fd7a:115c:a1e0::53" },
	{ "100.100.100.100.in-addr.arpa", DNS_PTR, "NOERROR magicdns.localhost-tailscale-daemon." },
	{ "7.0.64.100.in-addr.arpa", DNS_PTR, "NOERROR nas.tail.lab." },
	{ "9.0.64.100.in-addr.arpa", DNS_PTR, "NXDOMAIN soa" },
	{ "9.0.128.100.in-addr.arpa", DNS_PTR, "-" },
	{ "b._dns-sd._udp.0.0.64.100.in-addr.arpa", DNS_PTR, "NXDOMAIN" },
	{ "10-1-2-3-via-7", DNS_AAAA, "NOERROR fd7a:115c:a1e0:b1a:0:7:a01:203" },
	{ "10-1-2-3-via-0x10", DNS_AAAA, "NOERROR fd7a:115c:a1e0:b1a:0:10:a01:203" },
	{ "10-1-2-3-via-7.foo.ts.net", DNS_A, "NOERROR" },
	{ "10-1-2-3-via-7.foo.ts.net", DNS_TXT, "NOERROR" },
	{ "10-1-2-3-via-7.ts.net", DNS_AAAA, "-" },
	{ "10-1-2-3-via-0b11", DNS_AAAA, "NOERROR fd7a:115c:a1e0:b1a:0:3:a01:203" },
	{ "10-1-2-3-via-017", DNS_AAAA, "NOERROR fd7a:115c:a1e0:b1a:0:f:a01:203" },
	{ "10-1-2-3-via-1_0", DNS_AAAA, "NOERROR fd7a:115c:a1e0:b1a:0:a:a01:203" },
	{ "10-1-2-3-via-_1", DNS_AAAA, "-" },
	{ "10-1-2-3-via-08", DNS_AAAA, "-" },
	{ "nas.tail.lab", DNS_PTR, "NOERROR" },
	{ "missing.tail.lab", DNS_PTR, "NXDOMAIN soa" },
	{ "10-1-2-3-via-7.example.com", DNS_AAAA, "-" },
	{ "10-1-2-via-7", DNS_AAAA, "-" },
	{ "10-1-2-3-via-99999999999", DNS_AAAA, "-" },
};
/* clang-format on */

static void the_table_of_names_is_answered_as_written(void)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const char *got = ask(rows[i].name, rows[i].type);

		if (strcmp(got, rows[i].want) != 0)
			check_fail(__FILE__, __LINE__, "%s %d: %s, wanted %s", rows[i].name,
			           rows[i].type, got, rows[i].want);
	}
}

static void resolvers_are_read_as_the_map_gives_them(void)
{
	struct dns_upstream u;

	CHECK_OK(dns_upstream_parse(span_str("1.1.1.1"), &u));
	CHECK_EQ(u.addr.port, 53);
	CHECK_OK(dns_upstream_parse(span_str("[2001:db8::1]:5353"), &u));
	CHECK_EQ(u.addr.port, 5353);
	CHECK_OK(dns_upstream_parse(span_str("http://100.64.0.3:4000/dns-query"), &u));
	CHECK(u.kind == DNS_UPSTREAM_HTTP && u.addr.port == 4000);
	CHECK_OK(dns_upstream_parse(span_str("https://dns.example/dns-query"), &u));
	CHECK(u.kind == DNS_UPSTREAM_HTTP && !addr_is_set(&u.addr));
	CHECK_EQ(dns_upstream_parse(span_str("tls://1.1.1.1"), &u), ERR_VERSION);
	CHECK_EQ(dns_upstream_parse(span_str("dns.example"), &u), ERR_MALFORMED);
	CHECK_EQ(dns_upstream_parse(span_str("https:///x"), &u), ERR_MALFORMED);
	CHECK_OK(dns_upstream_parse(span_str("2a07:a8c0::c3:a884"), &u));
	CHECK(u.kind == DNS_UPSTREAM_HTTP && u.addr.port == 443);
	CHECK_STR(u.url, "https://dns.nextdns.io/c3a884");
}

static void the_question_comes_back_with_its_capitals_and_wishes(void)
{
	/* id 9, RD AD CD; NaS.TaiL.lab A IN */
	static const uint8_t asked[] = { 0,   9, 1,   0x30, 0,   1,   0, 0,   0,   0,
		                         0,   0, 3,   'N',  'a', 'S', 4, 'T', 'a', 'i',
		                         'L', 3, 'l', 'a',  'b', 0,   0, 1,   0,   1 };
	struct dns_query q;
	uint8_t out[DNS_UDP_PLAIN];

	CHECK_OK(dns_query_read(span(asked, sizeof(asked)), &q));
	CHECK(magic_answer(config, &q, out, sizeof(out)) > sizeof(asked));
	CHECK(memcmp(out + DNS_HEADER, asked + DNS_HEADER, sizeof(asked) - DNS_HEADER) == 0);
	CHECK_EQ(be16_at(out + 2), 0x85b0);
}

int main(void)
{
	set_up();
	RUN(the_question_comes_back_with_its_capitals_and_wishes);
	RUN(the_table_of_names_is_answered_as_written);
	RUN(resolvers_are_read_as_the_map_gives_them);
	dns_config_free(config);
	return check_done();
}
