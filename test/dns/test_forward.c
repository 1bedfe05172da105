#include "dns/forward.h"

#include "dns/cache.h"
#include "test/check.h"

static struct dns_forward *f;
static struct dns_config *config;
static struct dns_forward_out last;
static uint8_t last_bytes[65536];

static struct dns_name name(const char *text)
{
	struct dns_name n = { 0 };

	CHECK_OK(dns_name_of(span_str(text), &n));
	return n;
}

static void route(const char *suffix, const char *a, const char *b)
{
	struct dns_upstream ups[2];
	struct dns_name n = name(suffix);

	CHECK_OK(dns_upstream_parse(span_str(a), &ups[0]));
	if (b)
		CHECK_OK(dns_upstream_parse(span_str(b), &ups[1]));
	CHECK_OK(dns_config_route(config, &n, ups, b ? 2 : 1));
}

static void start(bool https)
{
	struct dns_forward_env env = { .upgrade_https = https };

	rand_seeded(&env.rand, 1);
	config = dns_config_new();
	route(".", "192.0.2.1", "192.0.2.2");
	route("corp.example", "192.0.2.53", NULL);
	if (https)
		route("public.example", "9.9.9.9", NULL);
	dns_config_seal(config);
	f = dns_forward_new(&env);
	dns_forward_config(f, config);
}

static void stop(void)
{
	dns_forward_free(f);
	dns_config_free(config);
}

static size_t query(uint8_t *dst, const char *text, uint16_t id)
{
	struct dns_name n = name(text);
	struct wr w = wr_of(dst, 512);
	size_t len = 0;

	wr_be16(&w, id);
	wr_be16(&w, 0x0100);
	wr_be16(&w, 1);
	wr_zero(&w, 6);
	wr_bytes(&w, n.wire, n.n);
	wr_be16(&w, DNS_A);
	wr_be16(&w, 1);
	CHECK_OK(wr_end(&w, &len));
	return len;
}

static void ask(const char *text, int64_t ms, uint64_t client, bool tcp)
{
	uint8_t msg[512];
	size_t n = query(msg, text, 0xabcd);

	CHECK_OK(dns_forward_query(f, (mono){ ms * 1000 }, client, tcp, span(msg, n)));
}

static bool next(enum dns_forward_act act)
{
	if (!dns_forward_next(f, &last))
		return false;
	memcpy(last_bytes, last.msg.p, last.msg.n);
	last.msg.p = last_bytes;
	if (last.act != act)
		check_fail(__FILE__, __LINE__, "act %d, wanted %d", last.act, act);
	return true;
}

/* An upstream's answer to the message that was sent last. */
static size_t reply(uint8_t *dst, enum dns_rcode rcode, unsigned records)
{
	struct dns_query q;
	struct dns_answer a;
	struct ip ip = ip4(203, 0, 113, 5);

	CHECK_OK(dns_query_read(last.msg, &q));
	dns_answer_start(&a, &q, dst, 60000, rcode, false);
	while (records--)
		dns_answer_ip(&a, &ip, 60);
	return dns_answer_end(&a);
}

static uint8_t bytes[60000];

static void an_answer_comes_back_under_the_clients_id(void)
{
	start(false);
	ask("www.corp.example", 0, 42, false);
	CHECK(next(DNS_SEND_UDP));
	CHECK_EQ(ip_v4(&last.addr.ip)[3], 53);

	size_t n = reply(bytes, DNS_NOERROR, 1);

	dns_forward_reply(f, (mono){ 5000 }, last.attempt, span(bytes, n));
	CHECK(next(DNS_ANSWER));
	CHECK_EQ(last.client, 42);
	CHECK_EQ(be16_at(last.msg.p), 0xabcd);
	CHECK(!next(DNS_ANSWER));
	CHECK_EQ(dns_forward_deadline(f).us, MONO_NEVER.us);
	stop();
}

static void a_kept_answer_is_older_each_time_and_then_gone(void)
{
	struct ip ip;

	start(false);
	ask("www.corp.example", 0, 1, false);
	CHECK(next(DNS_SEND_UDP));
	dns_forward_reply(f, (mono){ 0 }, last.attempt, span(bytes, reply(bytes, DNS_NOERROR, 1)));
	CHECK(next(DNS_ANSWER));
	ask("WWW.corp.example", 20000, 2, false);
	CHECK(next(DNS_ANSWER));
	CHECK_EQ(last.client, 2);
	CHECK_EQ(dns_addresses(last.msg, &ip, 1), 1);
	CHECK_EQ(be32_at(last.msg.p + last.msg.n - 10), 40);
	ask("www.corp.example", 60000, 3, false);
	CHECK(next(DNS_SEND_UDP));
	stop();
}

static void the_second_upstream_is_asked_200_ms_later_and_may_win(void)
{
	start(false);
	ask("example.com", 0, 1, false);
	CHECK(next(DNS_SEND_UDP));

	uint32_t first = last.attempt;

	CHECK(!next(DNS_SEND_UDP));
	CHECK_EQ(dns_forward_deadline(f).us, 200000);
	dns_forward_timeout(f, (mono){ 200000 });
	CHECK(next(DNS_SEND_UDP));
	CHECK_EQ(ip_v4(&last.addr.ip)[3], 2);
	dns_forward_reply(f, (mono){ 210000 }, last.attempt,
	                  span(bytes, reply(bytes, DNS_NOERROR, 1)));
	CHECK(next(DNS_ANSWER));
	CHECK(next(DNS_GIVE_UP));
	CHECK_EQ(last.attempt, first);
	stop();
}

static void servfail_waits_for_the_others(void)
{
	start(false);
	ask("example.com", 0, 1, false);
	CHECK(next(DNS_SEND_UDP));
	dns_forward_reply(f, (mono){ 1000 }, last.attempt,
	                  span(bytes, reply(bytes, DNS_SERVFAIL, 0)));
	CHECK(!next(DNS_ANSWER));
	dns_forward_timeout(f, (mono){ 200000 });
	CHECK(next(DNS_SEND_UDP));
	dns_forward_reply(f, (mono){ 210000 }, last.attempt,
	                  span(bytes, reply(bytes, DNS_REFUSED, 0)));
	CHECK(next(DNS_ANSWER));
	CHECK_EQ(last.msg.p[3] & 15, DNS_SERVFAIL);
	stop();
}

static void silence_brings_tcp_after_2_s_and_servfail_after_10(void)
{
	start(false);
	ask("www.corp.example", 0, 1, false);
	CHECK(next(DNS_SEND_UDP));
	dns_forward_timeout(f, dns_forward_deadline(f));
	CHECK(next(DNS_SEND_TCP));
	CHECK_EQ(dns_forward_deadline(f).us, 10000000);
	dns_forward_timeout(f, (mono){ 10000000 });
	CHECK(next(DNS_ANSWER));
	CHECK_EQ(last.msg.p[3] & 15, DNS_SERVFAIL);
	CHECK(next(DNS_GIVE_UP) && next(DNS_GIVE_UP));
	CHECK(!next(DNS_GIVE_UP));
	stop();
}

static void a_forged_answer_by_udp_changes_nothing(void)
{
	struct dns_forward_stats st;

	start(false);
	ask("www.corp.example", 0, 1, false);
	CHECK(next(DNS_SEND_UDP));

	size_t n = reply(bytes, DNS_NOERROR, 1);

	bytes[0] ^= 1;
	dns_forward_reply(f, (mono){ 0 }, last.attempt, span(bytes, n));
	bytes[0] ^= 1;
	bytes[DNS_HEADER + 1] ^= 1;
	dns_forward_reply(f, (mono){ 0 }, last.attempt, span(bytes, n));
	bytes[DNS_HEADER + 1] ^= 1;
	for (size_t cut = 0; cut < n; cut++)
		dns_forward_reply(f, (mono){ 0 }, last.attempt, span(bytes, cut));
	CHECK(!next(DNS_ANSWER));
	dns_forward_stats(f, &st);
	CHECK_EQ(st.mismatched, n + 2);
	dns_forward_reply(f, (mono){ 0 }, last.attempt, span(bytes, n));
	CHECK(next(DNS_ANSWER));
	stop();
}

static void a_long_answer_is_cut_for_udp_and_whole_by_tcp(void)
{
	start(false);
	ask("www.corp.example", 0, 1, false);
	CHECK(next(DNS_SEND_UDP));
	dns_forward_reply(f, (mono){ 0 }, last.attempt,
	                  span(bytes, reply(bytes, DNS_NOERROR, 200)));
	CHECK(next(DNS_ANSWER));
	CHECK(last.msg.n <= DNS_UDP_PLAIN && (last.msg.p[2] & 2));
	ask("www.corp.example", 1, 2, true);
	CHECK(next(DNS_ANSWER));
	CHECK(last.msg.n > 3000 && !(last.msg.p[2] & 2));
	stop();
}

static void a_cut_answer_is_fetched_by_tcp_for_a_tcp_client(void)
{
	start(false);
	ask("www.corp.example", 0, 1, true);
	CHECK(next(DNS_SEND_UDP));

	size_t n = reply(bytes, DNS_NOERROR, 1);
	uint32_t udp = last.attempt;

	bytes[2] |= 2;
	CHECK(next(DNS_SEND_TCP));
	dns_forward_reply(f, (mono){ 0 }, udp, span(bytes, n));
	CHECK(!next(DNS_ANSWER));
	dns_forward_reply(f, (mono){ 0 }, last.attempt, span(bytes, reply(bytes, DNS_NOERROR, 3)));
	CHECK(next(DNS_ANSWER));
	CHECK(!(last.msg.p[2] & 2));
	stop();
}

static void a_known_public_resolver_is_asked_over_https_first(void)
{
	start(true);
	ask("www.public.example", 0, 1, false);
	CHECK(next(DNS_SEND_HTTP));
	CHECK_STR(last.url, "https://dns.quad9.net/dns-query");
	CHECK_EQ(last.addr.port, 443);
	CHECK_EQ(be16_at(last.msg.p), 0);
	CHECK_EQ(dns_forward_deadline(f).us, 500000);
	dns_forward_failed(f, (mono){ 1000 }, last.attempt);
	CHECK(next(DNS_SEND_UDP));
	CHECK_EQ(last.addr.port, 53);
	stop();
}

static void a_name_without_upstream_is_servfail_at_once(void)
{
	struct dns_forward_env env = { 0 };

	start(false);
	dns_forward_free(f);
	rand_seeded(&env.rand, 2);
	f = dns_forward_new(&env);
	ask("example.com", 0, 9, false);
	CHECK(next(DNS_ANSWER));
	CHECK_EQ(last.msg.p[3] & 15, DNS_SERVFAIL);
	stop();
}

static int ask_number(unsigned i)
{
	uint8_t msg[512];
	char text[32];

	(void)snprintf(text, sizeof(text), "h%u.corp.example", i);

	size_t n = query(msg, text, 1);

	return dns_forward_query(f, (mono){ 0 }, i, false, span(msg, n));
}

static void queries_under_way_are_bounded(void)
{
	start(false);
	for (unsigned i = 0; i < DNS_FORWARD_JOBS_MAX; i++)
		CHECK_OK(ask_number(i));
	CHECK_EQ(ask_number(999), ERR_LIMIT);
	dns_forward_timeout(f, (mono){ 10000000 });
	CHECK_OK(ask_number(999));
	stop();
}

static void the_same_question_joins_the_one_under_way(void)
{
	struct dns_forward_stats st;

	start(false);
	ask("www.corp.example", 0, 1, false);
	CHECK(next(DNS_SEND_UDP));

	uint32_t attempt = last.attempt;
	size_t n = reply(bytes, DNS_NOERROR, 1);

	/* As an upstream does that asks us again: it waits like any other. */
	ask("www.corp.example", 1, 2, false);
	CHECK(!next(DNS_SEND_UDP));
	/* By another way of asking it is another question. */
	ask("www.corp.example", 1, 3, true);
	CHECK(next(DNS_SEND_UDP) && next(DNS_SEND_TCP));
	dns_forward_reply(f, (mono){ 5000 }, attempt, span(bytes, n));
	CHECK(next(DNS_ANSWER));
	CHECK_EQ(last.client, 1);
	CHECK(next(DNS_ANSWER));
	CHECK_EQ(last.client, 2);
	CHECK(!next(DNS_ANSWER));
	dns_forward_stats(f, &st);
	CHECK_EQ(st.joined, 1);
	CHECK_EQ(st.clients, 1);
	stop();
}

static void who_wait_are_bounded_too(void)
{
	start(false);
	for (unsigned i = 0; i < DNS_FORWARD_CLIENTS_MAX; i++)
		ask("www.corp.example", 0, i, false);
	CHECK_EQ(ask_number(1), ERR_LIMIT);
	dns_forward_timeout(f, (mono){ 10000000 });
	CHECK_OK(ask_number(1));
	stop();
}

static void what_is_asked_for_a_peer_is_not_kept(void)
{
	struct dns_upstream up = { 0 };
	uint8_t msg[512];
	size_t n = query(msg, "www.corp.example", 5);

	start(false);
	CHECK_OK(dns_upstream_parse(SPAN_LIT("198.51.100.1"), &up));
	CHECK_OK(dns_forward_query_of(f, (mono){ 0 }, 7, span(msg, n), &up, 1));
	CHECK(next(DNS_SEND_UDP));
	CHECK_EQ(ip_v4(&last.addr.ip)[0], 198);
	dns_forward_reply(f, (mono){ 0 }, last.attempt, span(bytes, reply(bytes, DNS_NOERROR, 1)));
	CHECK(next(DNS_SEND_TCP) && next(DNS_ANSWER));
	CHECK_EQ(last.client, 7);
	while (dns_forward_next(f, &last))
		;
	ask("www.corp.example", 1, 8, false);
	CHECK(next(DNS_SEND_UDP));
	CHECK_EQ(ip_v4(&last.addr.ip)[0], 192);
	stop();
}

static void the_cache_is_bounded_and_drops_the_oldest(void)
{
	struct dns_cache c;
	struct buf got = { 0 };
	struct dns_query q = { .type = DNS_A, .class = 1 };
	uint8_t msg[200] = { 0 };

	dns_cache_init(&c, 10, 1 << 16);
	for (int i = 0; i < 30; i++) {
		char text[16];

		(void)snprintf(text, sizeof(text), "h%d.example", i);
		q.name = name(text);
		dns_cache_put(&c, (mono){ 0 }, &q, SPAN_OF(msg), 60);
	}
	CHECK_EQ(c.entries.n, 10);
	CHECK(c.bytes <= 1 << 16);
	CHECK(dns_cache_get(&c, (mono){ 0 }, &q, &got));
	q.name = name("h0.example");
	CHECK(!dns_cache_get(&c, (mono){ 0 }, &q, &got));
	buf_done(&got);
	dns_cache_done(&c);
}

int main(void)
{
	RUN(an_answer_comes_back_under_the_clients_id);
	RUN(a_kept_answer_is_older_each_time_and_then_gone);
	RUN(the_second_upstream_is_asked_200_ms_later_and_may_win);
	RUN(servfail_waits_for_the_others);
	RUN(silence_brings_tcp_after_2_s_and_servfail_after_10);
	RUN(a_forged_answer_by_udp_changes_nothing);
	RUN(a_long_answer_is_cut_for_udp_and_whole_by_tcp);
	RUN(a_cut_answer_is_fetched_by_tcp_for_a_tcp_client);
	RUN(a_known_public_resolver_is_asked_over_https_first);
	RUN(a_name_without_upstream_is_servfail_at_once);
	RUN(queries_under_way_are_bounded);
	RUN(the_same_question_joins_the_one_under_way);
	RUN(who_wait_are_bounded_too);
	RUN(what_is_asked_for_a_peer_is_not_kept);
	RUN(the_cache_is_bounded_and_drops_the_oldest);
	return check_done();
}
