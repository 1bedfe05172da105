/* The packet filter: each verdict, and thousands of drawn rule sets against a naive reading. */
#include "filter/filter.h"

#include "base/buf.h"
#include "base/err.h"
#include "base/rand.h"
#include "filter/flow.h"
#include "test/check.h"

static const mono NOW = { 1000000 };
static const uint64_t KEY[2] = { 3, 4 };

static struct ip ip(const char *text)
{
	struct ip out = { { 0 } };

	CHECK_OK(ip_parse(span_str(text), &out));
	return out;
}

static struct ippkt packet(uint8_t proto, const char *src, const char *dst, uint16_t port)
{
	struct ippkt p = { .version = 4,
		           .proto = proto,
		           .src = ip(src),
		           .dst = ip(dst),
		           .src_port = 999,
		           .dst_port = port,
		           .tcp_flags = TCP_SYN,
		           .len = 40 };

	if (!ip_is4(&p.src))
		p.version = 6;
	p.icmp_type = p.version == 4 ? 8 : 128;
	return p;
}

static void add_local(struct filter_build *b, const char *text)
{
	AUTO_DONE(ipset) struct ipset s = { 0 };
	struct iprange r;

	CHECK_OK(iprange_parse(span_str(text), &r));
	ipset_add_range(&s, &r);
	ipset_seal(&s);
	filter_build_local(b, &s);
}

static void add_rule(struct filter_build *b, const char *src, const char *dst, uint16_t first,
                     uint16_t last, int proto)
{
	CHECK_OK(filter_build_rule(b));
	CHECK_OK(filter_build_src(b, span_str(src)));
	CHECK_OK(filter_build_dst(b, span_str(dst), first, last));
	if (proto >= 0)
		filter_build_proto(b, proto);
}

/* We are 100.64.0.9 and fd7a::9, and route 10.1.0.0/16. */
static struct filter_build *start(const struct filter_env *env)
{
	struct filter_build *b = filter_build_new(env);

	add_local(b, "100.64.0.9");
	add_local(b, "fd7a::9");
	add_local(b, "10.1.0.0/16");
	return b;
}

static enum filter_verdict in(const struct filter *f, struct ippkt p)
{
	return filter_in(f, NULL, &p, FILTER_PEER, NOW);
}

static void what_no_rule_names_is_dropped(void)
{
	AUTO(filter_free) struct filter *f = filter_build_done(start(NULL), FILTER_BY_RULES);

	CHECK_EQ(in(f, packet(IPPKT_TCP, "100.64.0.1", "100.64.0.9", 22)), FILTER_NO_RULE);
	CHECK_EQ(in(f, packet(IPPKT_ICMP, "100.64.0.1", "100.64.0.9", 0)), FILTER_NO_RULE);
	CHECK_EQ(in(f, packet(47, "100.64.0.1", "100.64.0.9", 0)), FILTER_NO_RULE);
}

static void a_rule_opens_its_ports_for_its_sources_alone(void)
{
	struct filter_build *b = start(NULL);

	add_rule(b, "100.64.0.1-100.64.0.3", "100.64.0.9", 22, 23, IPPKT_TCP);
	AUTO(filter_free) struct filter *f = filter_build_done(b, FILTER_BY_RULES);

	CHECK_EQ(in(f, packet(IPPKT_TCP, "100.64.0.1", "100.64.0.9", 22)), FILTER_ACCEPT);
	CHECK_EQ(in(f, packet(IPPKT_TCP, "100.64.0.3", "100.64.0.9", 23)), FILTER_ACCEPT);
	CHECK_EQ(in(f, packet(IPPKT_TCP, "100.64.0.4", "100.64.0.9", 22)), FILTER_NO_RULE);
	CHECK_EQ(in(f, packet(IPPKT_TCP, "100.64.0.0", "100.64.0.9", 22)), FILTER_NO_RULE);
	CHECK_EQ(in(f, packet(IPPKT_TCP, "100.64.0.1", "100.64.0.9", 24)), FILTER_NO_RULE);
	CHECK_EQ(in(f, packet(IPPKT_UDP, "100.64.0.1", "100.64.0.9", 22)), FILTER_NO_RULE);
	CHECK_EQ(in(f, packet(IPPKT_TCP, "100.64.0.1", "10.1.0.9", 22)), FILTER_NO_RULE);
	CHECK_EQ(in(f, packet(IPPKT_ICMP, "100.64.0.1", "100.64.0.9", 0)), FILTER_ACCEPT);
	CHECK_EQ(in(f, packet(IPPKT_TCP, "100.64.0.1", "100.64.0.8", 22)), FILTER_NOT_LOCAL);
}

static void protocols_without_ports_need_a_rule_with_every_port(void)
{
	struct filter_build *b = start(NULL);

	add_rule(b, "*", "*", 0, 65535, 47);
	add_rule(b, "*", "*", 1, 65535, 50);
	AUTO(filter_free) struct filter *f = filter_build_done(b, FILTER_BY_RULES);

	CHECK_EQ(in(f, packet(47, "1.2.3.4", "100.64.0.9", 0)), FILTER_ACCEPT);
	CHECK_EQ(in(f, packet(47, "fd7a::1", "fd7a::9", 0)), FILTER_ACCEPT);
	CHECK_EQ(in(f, packet(50, "1.2.3.4", "100.64.0.9", 0)), FILTER_NO_RULE);
}

static void traffic_that_opens_nothing_passes_also_with_shields_up(void)
{
	struct filter_build *b = start(NULL);
	AUTO(flow_table_free) struct flow_table *flows = flow_table_new(64, KEY);

	add_rule(b, "*", "*", 0, 65535, -1);
	AUTO(filter_free) struct filter *f = filter_build_done(b, FILTER_SHIELDS_UP);
	struct ippkt out = packet(IPPKT_UDP, "100.64.0.9", "100.64.0.1", 53);
	struct ippkt answer = packet(IPPKT_UDP, "100.64.0.1", "100.64.0.9", 999);
	struct ippkt tcp = packet(IPPKT_TCP, "100.64.0.1", "100.64.0.9", 22);
	struct ippkt echo = packet(IPPKT_ICMP, "100.64.0.1", "100.64.0.9", 0);

	CHECK_EQ(in(f, tcp), FILTER_NO_RULE);
	tcp.tcp_flags |= TCP_ACK;
	CHECK_EQ(in(f, tcp), FILTER_ACCEPT);
	CHECK_EQ(in(f, echo), FILTER_NO_RULE);
	echo.icmp_type = 0;
	CHECK_EQ(in(f, echo), FILTER_ACCEPT);
	CHECK_EQ(in(f, packet(IPPKT_TSMP, "100.64.0.1", "100.64.0.9", 0)), FILTER_ACCEPT);
	answer.src_port = 53;
	CHECK_EQ(filter_in(f, flows, &answer, FILTER_PEER, NOW), FILTER_NO_RULE);
	CHECK_EQ(filter_out(flows, &out, NOW), FILTER_ACCEPT);
	CHECK_EQ(filter_in(f, flows, &answer, FILTER_PEER, NOW), FILTER_ACCEPT);
}

static void a_jailed_peer_may_answer_but_not_begin(void)
{
	struct filter_build *b = start(NULL);

	add_rule(b, "*", "*", 0, 65535, -1);
	AUTO(filter_free) struct filter *f = filter_build_done(b, FILTER_BY_RULES);
	struct ippkt tcp = packet(IPPKT_TCP, "100.64.0.1", "100.64.0.9", 22);

	CHECK_EQ(filter_in(f, NULL, &tcp, FILTER_PEER, NOW), FILTER_ACCEPT);
	CHECK_EQ(filter_in(f, NULL, &tcp, FILTER_JAILED, NOW), FILTER_NO_RULE);
	tcp.tcp_flags = TCP_ACK;
	CHECK_EQ(filter_in(f, NULL, &tcp, FILTER_JAILED, NOW), FILTER_ACCEPT);
}

static void what_makes_no_sense_is_dropped_both_ways(void)
{
	struct filter_build *b = start(NULL);

	add_rule(b, "*", "*", 0, 65535, -1);
	AUTO(filter_free) struct filter *f = filter_build_done(b, FILTER_BY_RULES);
	struct ippkt p = packet(IPPKT_UDP, "100.64.0.1", "224.0.0.1", 1);

	CHECK_EQ(in(f, p), FILTER_MULTICAST);
	CHECK_EQ(filter_out(NULL, &p, NOW), FILTER_MULTICAST);
	CHECK_EQ(in(f, packet(IPPKT_UDP, "100.64.0.1", "169.254.0.1", 1)), FILTER_LINK_LOCAL);
	CHECK_EQ(in(f, packet(IPPKT_UDP, "100.64.0.1", "169.254.169.254", 1)), FILTER_NOT_LOCAL);
	CHECK_EQ(in(f, packet(IPPKT_UNKNOWN, "100.64.0.1", "100.64.0.9", 1)),
	         FILTER_UNKNOWN_PROTOCOL);
	CHECK_EQ(in(f, packet(IPPKT_FRAGMENT, "100.64.0.1", "100.64.0.9", 1)), FILTER_ACCEPT);
	p.version = 0;
	CHECK_EQ(in(f, p), FILTER_NOT_IP);
}

static void add_members(void *ctx, struct span capability, struct ipset *ret)
{
	struct ip member = ip("100.64.0.7");

	(void)ctx;
	if (span_is(capability, "staff"))
		ipset_add_ip(ret, &member);
}

static void a_capability_as_source_is_its_holders(void)
{
	struct filter_env env = { .members = add_members };
	struct filter_build *b = start(&env);

	add_rule(b, "cap:staff", "*", 0, 65535, -1);
	add_rule(b, "cap:ghosts", "*", 0, 65535, -1);
	AUTO(filter_free) struct filter *f = filter_build_done(b, FILTER_BY_RULES);

	CHECK_EQ(in(f, packet(IPPKT_TCP, "100.64.0.7", "100.64.0.9", 1)), FILTER_ACCEPT);
	CHECK_EQ(in(f, packet(IPPKT_TCP, "100.64.0.8", "100.64.0.9", 1)), FILTER_NO_RULE);
}

static void a_bad_entry_is_left_out_and_the_rest_stays(void)
{
	struct filter_build *b = start(NULL);

	CHECK_OK(filter_build_rule(b));
	CHECK_EQ(filter_build_src(b, SPAN_LIT("10.0.0.1/8")), ERR_MALFORMED);
	CHECK_EQ(filter_build_dst(b, SPAN_LIT("cap:x"), 0, 65535), ERR_MALFORMED);
	CHECK_OK(filter_build_src(b, SPAN_LIT("100.64.0.1")));
	CHECK_OK(filter_build_dst(b, SPAN_LIT("*"), 22, 22));
	AUTO(filter_free) struct filter *f = filter_build_done(b, FILTER_BY_RULES);

	CHECK_EQ(in(f, packet(IPPKT_TCP, "100.64.0.1", "100.64.0.9", 22)), FILTER_ACCEPT);
	CHECK_EQ(in(f, packet(IPPKT_TCP, "10.0.0.1", "100.64.0.9", 22)), FILTER_NO_RULE);
}

static void write_cap(void *ctx, const struct filter_cap *cap)
{
	buf_fmt(ctx, "%.*s=%.*s ", SPAN_FMT(cap->name), SPAN_FMT(cap->values));
}

static void capabilities_are_those_granted_from_source_to_destination(void)
{
	struct filter_build *b = start(NULL);
	AUTO_DONE(buf) struct buf got = { 0 };
	struct prefix us = prefix_host(ip("100.64.0.9"));
	struct ip friend = ip("100.64.0.1"), stranger = ip("100.64.0.2"), me = ip("100.64.0.9");

	CHECK_OK(filter_build_rule(b));
	CHECK_OK(filter_build_src(b, SPAN_LIT("100.64.0.1")));
	CHECK_OK(filter_build_grant(b, &us, SPAN_LIT("a/b"), SPAN_LIT("[1]")));
	CHECK_OK(filter_build_grant(b, &us, SPAN_LIT("a/c"), SPAN_LIT("null")));
	AUTO(filter_free) struct filter *f = filter_build_done(b, FILTER_BY_RULES);

	filter_caps(f, &friend, &me, write_cap, &got);
	filter_caps(f, &stranger, &me, write_cap, &got);
	filter_caps(f, &friend, &stranger, write_cap, &got);
	CHECK_STR(buf_text(&got), "a/b=[1] a/c=null ");
	/* A grant opens no port. */
	CHECK_EQ(in(f, packet(IPPKT_TCP, "100.64.0.1", "100.64.0.9", 22)), FILTER_NO_RULE);
}

static void an_exit_node_opens_the_internet_but_not_its_lan(void)
{
	AUTO_DONE(ipset) struct ipset local = { 0 };
	AUTO_DONE(ipset) struct ipset nets = { 0 };
	AUTO_DONE(ipset) struct ipset hosts = { 0 };
	struct prefix all = { ip4(0, 0, 0, 0), 0 };
	struct iprange lan;
	struct ip own = ip("198.51.100.7"), near = ip("198.51.100.8"), far = ip("8.8.8.8"),
		  priv = ip("192.168.1.1"), tailnet = ip("100.64.0.1"), six = ip("2001:db8::1");

	CHECK_OK(iprange_parse(SPAN_LIT("198.51.100.0/24"), &lan));
	ipset_add_range(&nets, &lan);
	ipset_add_ip(&hosts, &own);
	filter_add_exit(&local, &all, &nets, &hosts);
	CHECK(ipset_has(&local, &far) && ipset_has(&local, &own));
	CHECK(!ipset_has(&local, &near) && !ipset_has(&local, &priv));
	CHECK(!ipset_has(&local, &tailnet) && !ipset_has(&local, &six));
}

/* ---- drawn rule sets ---- */

struct plain_rule {
	uint8_t src_lo, src_hi, dst_lo, dst_hi;
	uint16_t first, last;
	int proto; /* -1: the default four */
};

static struct plain_rule draw_rule(struct rand_src *r)
{
	static const int protos[] = { -1, IPPKT_TCP, IPPKT_UDP, 47 };
	struct plain_rule p = { .src_lo = (uint8_t)rand_src_below(r, 32),
		                .dst_lo = (uint8_t)rand_src_below(r, 32),
		                .first = (uint16_t)rand_src_below(r, 4) };

	p.src_hi = (uint8_t)(p.src_lo + rand_src_below(r, 32u - p.src_lo));
	p.dst_hi = (uint8_t)(p.dst_lo + rand_src_below(r, 32u - p.dst_lo));
	p.last = (uint16_t)(rand_src_below(r, 3) ? p.first + rand_src_below(r, 3) : 65535);
	p.proto = protos[rand_src_below(r, ARRAY_LEN(protos))];
	return p;
}

static void build_rule(struct filter_build *b, const struct plain_rule *p)
{
	AUTO_DONE(buf) struct buf src = { 0 };
	AUTO_DONE(buf) struct buf dst = { 0 };

	buf_fmt(&src, "10.1.0.%u-10.1.0.%u", p->src_lo, p->src_hi);
	buf_fmt(&dst, "10.1.0.%u-10.1.0.%u", p->dst_lo, p->dst_hi);
	add_rule(b, buf_text(&src), buf_text(&dst), p->first, p->last, p->proto);
}

static bool naive(const struct plain_rule *p, size_t n, uint8_t proto, uint8_t src, uint8_t dst,
                  uint16_t port)
{
	for (const struct plain_rule *e = p + n; p < e; p++) {
		bool in_addr = src >= p->src_lo && src <= p->src_hi && dst >= p->dst_lo &&
		               dst <= p->dst_hi;
		bool is_default = proto == IPPKT_TCP || proto == IPPKT_UDP || proto == IPPKT_ICMP;
		bool in_proto = p->proto < 0 ? is_default : p->proto == proto;
		bool in_port = port >= p->first && port <= p->last;

		if (proto == IPPKT_ICMP)
			in_proto = in_port = true;
		if (proto == 47)
			in_port = p->first == 0 && p->last == 65535;
		if (in_addr && in_proto && in_port)
			return true;
	}
	return false;
}

static void drawn_rule_sets_agree_with_a_naive_reading(void)
{
	static const uint8_t protos[] = { IPPKT_TCP, IPPKT_UDP, IPPKT_ICMP, 47 };
	struct rand_src rand;

	rand_seeded(&rand, 11);
	for (unsigned round = 0; round < 400; round++) {
		struct filter_build *b = start(NULL);
		struct plain_rule rules[8];
		size_t n = rand_src_below(&rand, ARRAY_LEN(rules));

		for (size_t i = 0; i < n; i++) {
			rules[i] = draw_rule(&rand);
			build_rule(b, &rules[i]);
		}
		AUTO(filter_free) struct filter *f = filter_build_done(b, FILTER_BY_RULES);

		for (unsigned k = 0; k < 400; k++) {
			uint8_t s = (uint8_t)rand_src_below(&rand, 34), d;
			uint8_t proto = protos[rand_src_below(&rand, ARRAY_LEN(protos))];
			uint16_t port = (uint16_t)rand_src_below(&rand, 7);

			d = (uint8_t)rand_src_below(&rand, 34);
			struct ip src = ip4(10, 1, 0, s), dst = ip4(10, 1, 0, d);

			CHECK_EQ(filter_allows(f, proto, &src, &dst, port),
			         naive(rules, n, proto, s, d, port));
		}
	}
}

int main(void)
{
	RUN(what_no_rule_names_is_dropped);
	RUN(a_rule_opens_its_ports_for_its_sources_alone);
	RUN(protocols_without_ports_need_a_rule_with_every_port);
	RUN(traffic_that_opens_nothing_passes_also_with_shields_up);
	RUN(a_jailed_peer_may_answer_but_not_begin);
	RUN(what_makes_no_sense_is_dropped_both_ways);
	RUN(a_capability_as_source_is_its_holders);
	RUN(a_bad_entry_is_left_out_and_the_rest_stays);
	RUN(capabilities_are_those_granted_from_source_to_destination);
	RUN(an_exit_node_opens_the_internet_but_not_its_lan);
	RUN(drawn_rule_sets_agree_with_a_naive_reading);
	return check_done();
}
