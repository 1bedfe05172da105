/* The resolver with real sockets on loopback, and upstreams with faults. */
#include "node/dnsd.h"

#include "crypto/init.h"
#include "platform/dgram.h"
#include "platform/dial.h"
#include "platform/listen.h"
#include "platform/stream.h"
#include "test/check.h"

static struct ev *ev;
static struct dnsd *d;
static struct dgram *up_udp, *client;
static struct listener *up_tcp;
static struct addr service, upstream;
static bool up_silent, up_cuts;
static unsigned udp_queries, tcp_queries;
static uint8_t got[65536];
static size_t got_n;

static size_t make_answer(struct span msg, uint8_t *dst, unsigned records, bool cut)
{
	struct dns_query q;
	struct dns_answer a;
	struct ip ip = ip4(203, 0, 113, 5);
	size_t n;

	CHECK_OK(dns_query_read(msg, &q));
	dns_answer_start(&a, &q, dst, 60000, DNS_NOERROR, false);
	while (records--)
		dns_answer_ip(&a, &ip, 60);
	n = dns_answer_end(&a);
	if (cut)
		dst[2] |= 2;
	return n;
}

static void on_up_udp(void *owner, const struct addr *from, struct span bytes)
{
	static uint8_t out[60000];

	(void)owner;
	udp_queries++;
	if (!up_silent)
		CHECK_OK(dgram_send(up_udp, from, span(out, make_answer(bytes, out, 1, up_cuts))));
}

static size_t on_up_read(struct stream *s, void *owner, struct span bytes)
{
	static uint8_t out[60000];
	size_t n;

	(void)owner;
	if (bytes.n < 2 || bytes.n < 2u + be16_at(bytes.p))
		return 0;
	tcp_queries++;
	n = make_answer(span_from(bytes, 2), out + 2, 100, false);
	put_be16(out, (uint16_t)n);
	CHECK(stream_write(s, span(out, n + 2)) >= 0);
	return bytes.n;
}

static void on_up_closed(struct stream *s, void *owner, int why)
{
	(void)owner;
	(void)why;
	stream_free(s);
}

static void on_up_accept(void *owner, struct listener *l, int fd, const struct addr *peer)
{
	static const struct stream_ops ops = { .read = on_up_read, .closed = on_up_closed };
	struct stream *s;

	(void)owner;
	(void)l;
	(void)peer;
	CHECK_OK(stream_new(ev, fd, NULL, &ops, NULL, &s));
}

static void on_client(void *owner, const struct addr *from, struct span bytes)
{
	(void)owner;
	(void)from;
	memcpy(got, bytes.p, bytes.n);
	got_n = bytes.n;
}

static struct dns_name name(const char *text)
{
	struct dns_name n = { 0 };

	CHECK_OK(dns_name_of(span_str(text), &n));
	return n;
}

static void set_up(void)
{
	struct addr any = { .ip = ip4(127, 0, 0, 1) };
	struct dgram_cfg up = { .bind = any, .recv = on_up_udp };
	struct dgram_cfg cl = { .bind = any, .recv = on_client };
	struct listen_cfg tcp = { .accepted = on_up_accept };
	struct dns_config *c = dns_config_new();
	struct dns_name zone = name("tail.lab"), root = name("."), nas = name("nas.tail.lab");
	struct ip ip = ip4(100, 64, 0, 7);
	struct dns_upstream u = { .kind = DNS_UPSTREAM_PLAIN };

	ev = ev_new();
	up.ev = cl.ev = ev;
	/* One port for both: the one that UDP was given may be taken for TCP. */
	for (int tries = 0; tries < 50 && !up_tcp; tries++) {
		dgram_close(up_udp);
		up_udp = NULL;
		CHECK_OK(dgram_open(&up, &up_udp));
		CHECK_OK(dgram_local(up_udp, &upstream));
		if (listener_tcp(ev, &upstream, &tcp, &up_tcp) < 0)
			up_tcp = NULL;
	}
	CHECK(up_tcp != NULL);
	CHECK_OK(dgram_open(&cl, &client));
	u.addr = upstream;
	dns_config_host(c, &nas, &ip, true);
	CHECK_OK(dns_config_route(c, &zone, NULL, 0));
	CHECK_OK(dns_config_route(c, &root, &u, 1));
	dns_config_seal(c);

	/* A port that is free for both; another program may take it in between, so try on. */
	for (uint16_t port = 20053; port < 20153; port++) {
		struct dnsd_cfg cfg = { .ev = ev, .at = &service, .n_at = 1 };

		service = (struct addr){ .ip = any.ip, .port = port };
		if (dnsd_new(&cfg, &d) == 0)
			break;
	}
	CHECK(d != NULL);
	dnsd_set_config(d, c);
}

static void tear_down(void)
{
	dnsd_free(d);
	dgram_close(up_udp);
	dgram_close(client);
	listener_free(up_tcp);
	for (int i = 0; i < 10; i++)
		ev_turn(ev, 1000);
	ev_free(ev);
}

static size_t query(uint8_t *dst, const char *text)
{
	struct dns_name n = name(text);
	struct wr w = wr_of(dst, 512);
	size_t len = 0;

	wr_be16(&w, 0x4242);
	wr_be16(&w, 0x0100);
	wr_be16(&w, 1);
	wr_zero(&w, 6);
	wr_bytes(&w, n.wire, n.n);
	wr_be16(&w, DNS_A);
	wr_be16(&w, 1);
	CHECK_OK(wr_end(&w, &len));
	return len;
}

static void wait_for_answer(void)
{
	mono end = mono_after(mono_now(), 8 * US_PER_S);

	while (got_n == 0 && mono_before(mono_now(), end))
		ev_turn(ev, 100000);
}

static struct ip ask(const char *text)
{
	uint8_t msg[512];
	struct ip ip = { { 0 } };

	got_n = 0;
	CHECK_OK(dgram_send(client, &service, span(msg, query(msg, text))));
	wait_for_answer();
	CHECK(got_n > 0);
	CHECK_EQ(be16_at(got), 0x4242);
	(void)dns_addresses(span(got, got_n), &ip, 1);
	return ip;
}

static void names_of_the_tailnet_are_answered_here(void)
{
	struct ip ip = ask("nas.tail.lab");

	CHECK_EQ(ip_v4(&ip)[3], 7);
	ip = ask("missing.tail.lab");
	CHECK_EQ(got[3] & 15, DNS_NXDOMAIN);
	CHECK_EQ(udp_queries, 0);
}

static void others_are_asked_of_the_upstream_and_kept(void)
{
	struct ip ip = ask("example.com");

	CHECK_EQ(ip_v4(&ip)[0], 203);
	ip = ask("EXAMPLE.com");
	CHECK_EQ(udp_queries, 1);
}

static void a_silent_upstream_is_asked_by_tcp(void)
{
	up_silent = true;

	(void)ask("silent.example");
	CHECK_EQ(tcp_queries, 1);
	/* A hundred records do not fit: the client is told to come by TCP. */
	CHECK(got_n <= DNS_UDP_PLAIN && (got[2] & 2));
	up_silent = false;
}

static void on_asked(void *owner, struct span answer)
{
	(void)owner;
	memcpy(got, answer.p, answer.n);
	got_n = answer.n;
}

static void a_cut_answer_is_fetched_whole_for_those_who_can_take_it(void)
{
	uint8_t msg[512];
	struct ip ips[200];

	up_cuts = true;
	got_n = 0;
	(void)dnsd_query(d, span(msg, query(msg, "long.example")), on_asked, NULL);
	wait_for_answer();
	CHECK_EQ(dns_addresses(span(got, got_n), ips, 200), 100);
	up_cuts = false;
}

static size_t on_tcp_client(struct stream *s, void *owner, struct span bytes)
{
	(void)s;
	(void)owner;
	memcpy(got, bytes.p, bytes.n);
	got_n = bytes.n;
	return bytes.n;
}

static void on_dialed(void *owner, int r, struct stream *s)
{
	struct stream **ret = owner;

	CHECK_OK(r);
	*ret = s;
}

static void a_tcp_client_may_send_its_query_one_byte_at_a_time(void)
{
	static const struct stream_ops ops = { .read = on_tcp_client, .closed = on_up_closed };
	uint8_t msg[1024];
	size_t n = query(msg + 2, "nas.tail.lab");
	struct stream *s = NULL;
	struct dial_cfg dial = { .ev = ev, .host = "127.0.0.1", .port = service.port };

	put_be16(msg, (uint16_t)n);
	(void)dial_start(&dial, on_dialed, &s);
	while (!s)
		ev_turn(ev, 100000);
	stream_hand_over(s, &ops, NULL);
	got_n = 0;
	for (size_t i = 0; i < n + 2; i++) {
		CHECK(stream_write(s, span(msg + i, 1)) >= 0);
		ev_turn(ev, 1000);
	}
	wait_for_answer();
	CHECK_EQ(be16_at(got + 2), 0x4242);
	stream_free(s);
}

int main(void)
{
	crypto_start();
	set_up();
	RUN(names_of_the_tailnet_are_answered_here);
	RUN(others_are_asked_of_the_upstream_and_kept);
	RUN(a_silent_upstream_is_asked_by_tcp);
	RUN(a_cut_answer_is_fetched_whole_for_those_who_can_take_it);
	RUN(a_tcp_client_may_send_its_query_one_byte_at_a_time);
	tear_down();
	return check_done();
}
