#include "platform/tls.h"

#include <malloc.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/mem.h"
#include "test/check.h"
#include "test/platform/stream_pair.h"

static struct pair p;

/* A server for relay.test and a client that pins its certificate. */
struct world {
	struct tls_cert *cert;
	struct tls_server *server;
	struct tls_client *client;
	struct tls_peer peer;
};

static struct world w;

static void world_open(enum tls_alpn alpn)
{
	w = (struct world){ .cert = test_cert() };
	CHECK_OK(tls_server_new_cert(alpn, w.cert, &w.server));
	CHECK_OK(tls_client_new(NULL, &w.client));
	w.peer = (struct tls_peer){
		.sni = "relay.test", .trust = TLS_TRUST_PINNED, .pass_over = "derpkey", .alpn = alpn
	};
	tls_cert_hash(w.cert, w.peer.pin);
}

static void world_close(void)
{
	pair_close(&p);
	tls_server_unref(w.server);
	tls_client_unref(w.client);
	tls_cert_unref(w.cert);
}

static void connect_pair(void)
{
	pair_open_tls(&p, NULL, w.server, w.client, &w.peer);
}

static void two_ends_shake_hands_and_talk(void)
{
	struct stream_tls_info info;

	world_open(TLS_ALPN_HTTP);
	connect_pair();
	CHECK_EQ(p.a.opens, 1);
	CHECK_EQ(p.b.opens, 1);
	p.b.echo = true;
	CHECK_OK(stream_write(p.a.s, SPAN_LIT("over tls")));
	pair_settle(&p);
	CHECK_STR(buf_text(&p.b.got), "over tls");
	CHECK_STR(buf_text(&p.a.got), "over tls");
	CHECK_OK(stream_tls_info(p.b.s, &info));
	CHECK_STR(info.version, "TLSv1.3");
	CHECK_STR(info.alpn, "h2");
	CHECK_STR(info.sni, "relay.test");
	CHECK(!info.has_cert);
	CHECK_OK(stream_tls_info(p.a.s, &info));
	CHECK(info.has_cert);
	CHECK_MEM(info.cert_sha256, w.peer.pin, 32);
	world_close();
}

static void nothing_is_written_before_the_handshake(void)
{
	world_open(TLS_ALPN_NONE);
	pair_open(&p, NULL);
	CHECK_OK(stream_start_tls_server(p.b.s, w.server));
	CHECK_EQ(stream_write(p.b.s, SPAN_LIT("x")), ERR_BADSTATE);
	world_close();
}

static void another_certificate_than_the_pinned_one_is_refused(void)
{
	world_open(TLS_ALPN_NONE);
	w.peer.pin[5] ^= 1;
	connect_pair();
	CHECK_EQ(p.a.why, ERR_TLS);
	CHECK_EQ(p.b.why, ERR_TLS);
	CHECK_EQ(p.b.opens, 0);
	world_close();
}

static void a_certificate_that_no_root_vouches_for_is_refused(void)
{
	world_open(TLS_ALPN_NONE);
	w.peer.trust = TLS_TRUST_ROOTS;
	connect_pair();
	CHECK_EQ(p.a.why, ERR_TLS);
	CHECK_EQ(p.a.opens, 0);
	world_close();
}

static void write_ca(const char *path)
{
	static const char *const names[] = { "relay.test" };
	AUTO_DONE(buf) struct buf pem = { 0 };
	AUTO_DONE(buf) struct buf key = { 0 };
	wall now = wall_now();
	struct tls_cert *c = NULL;

	CHECK_OK(tls_cert_self_signed(names, 1, (wall){ now.us - US_PER_S },
	                              (wall){ now.us + 60 * US_PER_S }, &pem, &key, &c));
	tls_cert_unref(w.cert);
	w.cert = c;
	tls_server_set_cert(w.server, c);
	CHECK_OK(file_write_atomic(path, buf_span(&pem), 0600));
}

static void try_name(const char *sni, const char *name, int want)
{
	w.peer = (struct tls_peer){ .sni = sni, .name = name, .trust = TLS_TRUST_ROOTS };
	connect_pair();
	CHECK_EQ(p.a.why, want);
	CHECK_EQ(p.a.opens, want == 0);
	pair_close(&p);
}

static void an_extra_root_is_trusted_for_its_name_alone(void)
{
	char path[] = "/tmp/fairlead-ca-XXXXXX";
	int fd = mkstemp(path);

	world_open(TLS_ALPN_NONE);
	write_ca(path);
	tls_client_unref(w.client);
	CHECK_OK(tls_client_new(path, &w.client));
	try_name("relay.test", NULL, 0);
	try_name("other.test", NULL, ERR_TLS);
	try_name("other.test", "relay.test", 0);
	try_name(NULL, NULL, ERR_TLS);
	pair_open(&p, NULL);
	fd_close(fd);
	(void)unlink(path);
	world_close();
}

static void the_meta_certificate_tells_the_relays_key(void)
{
	char name[80] = "derpkey", rest[80];
	unsigned serial = 0;
	wall now = wall_now();

	memset(name + 7, 'a', 64);
	world_open(TLS_ALPN_HTTP1);
	CHECK_OK(tls_cert_set_meta(w.cert, name, 2, (wall){ now.us - US_PER_S },
	                           (wall){ now.us + 3600 * US_PER_S }));
	connect_pair();
	CHECK_EQ(p.a.opens, 1);
	CHECK_OK(stream_tls_find_cn(p.a.s, "derpkey", rest, sizeof(rest), &serial));
	CHECK_STR(rest, name + 7);
	CHECK_EQ(serial, 2);
	CHECK_EQ(stream_tls_find_cn(p.a.s, "derpkey", rest, 64, &serial), ERR_LIMIT);
	CHECK_EQ(stream_tls_find_cn(p.a.s, "nokey", rest, 64, &serial), ERR_UNKNOWN);
	pair_close(&p);
	/* One of the same name takes its place: a pinned certificate stays alone with it. */
	CHECK_OK(tls_cert_set_meta(w.cert, name, 3, (wall){ now.us - US_PER_S },
	                           (wall){ now.us + 3600 * US_PER_S }));
	w.peer.pass_over = "derpkey";
	connect_pair();
	CHECK_EQ(p.a.opens, 1);
	CHECK_OK(stream_tls_find_cn(p.a.s, "derpkey", rest, sizeof(rest), &serial));
	CHECK_EQ(serial, 3);
	world_close();
}

static void a_reload_serves_the_new_certificate(void)
{
	struct tls_cert *second;
	struct stream_tls_info info;
	uint8_t hash[32];

	world_open(TLS_ALPN_NONE);
	second = test_cert();
	tls_cert_hash(second, hash);
	tls_server_set_cert(w.server, second);
	memcpy(w.peer.pin, hash, 32);
	connect_pair();
	CHECK_OK(stream_tls_info(p.a.s, &info));
	CHECK_MEM(info.cert_sha256, hash, 32);
	tls_cert_unref(second);
	world_close();
}

static void a_megabyte_goes_both_ways_through_small_pieces(void)
{
	AUTO_FREE uint8_t *bytes = mem_zalloc(1, 1 << 20);
	static const struct stream_cfg cfg = { .out_max = 4 << 20 };

	for (size_t i = 0; i < 1 << 20; i++)
		bytes[i] = (uint8_t)(i * 7 + i / 251);
	world_open(TLS_ALPN_NONE);
	pair_open_tls(&p, &cfg, w.server, w.client, &w.peer);
	p.b.echo = true;
	for (size_t at = 0; at < 1 << 20; at += 4096)
		CHECK(stream_write(p.a.s, span(bytes + at, 4096)) >= 0);
	pair_settle(&p);
	CHECK_EQ(p.a.got.n, 1 << 20);
	CHECK(p.a.got.n == 1 << 20 && memcmp(p.a.got.p, bytes, 1 << 20) == 0);
	world_close();
}

static void try_write_over_tls_takes_no_more_than_fits(void)
{
	AUTO_FREE uint8_t *bytes = mem_zalloc(1, 1 << 20);
	size_t at = 0;

	world_open(TLS_ALPN_NONE);
	connect_pair();
	for (unsigned i = 0; i < 10000 && at < 1 << 20; i++) {
		struct iovec iov[2] = { { bytes + at, ((1 << 20) - at) / 2 },
			                { bytes + at + ((1 << 20) - at) / 2,
			                  (1 << 20) - at - ((1 << 20) - at) / 2 } };
		int r = stream_try_write(p.a.s, iov, 2);

		CHECK(r >= 0 && r <= STREAM_TRY_MAX);
		CHECK(stream_queued(p.a.s) < STREAM_TRY_MAX + 1024);
		at += (size_t)r;
		ev_turn(p.ev, 0);
	}
	pair_settle(&p);
	CHECK_EQ(p.b.got.n, 1 << 20);
	world_close();
}

static void rubbish_in_place_of_a_handshake_closes(void)
{
	world_open(TLS_ALPN_NONE);
	pair_open(&p, NULL);
	CHECK_OK(stream_start_tls_server(p.b.s, w.server));
	CHECK_OK(stream_write(p.a.s, SPAN_LIT("GET / HTTP/1.1\r\nHost: x\r\n\r\n")));
	pair_settle(&p);
	CHECK_EQ(p.b.why, ERR_TLS);
	CHECK_EQ(p.b.opens, 0);
	world_close();
}

static void the_end_of_tls_is_an_orderly_end(void)
{
	world_open(TLS_ALPN_NONE);
	connect_pair();
	CHECK_OK(stream_write(p.a.s, SPAN_LIT("last")));
	stream_shutdown(p.a.s);
	pair_settle(&p);
	CHECK_STR(buf_text(&p.b.got), "last");
	CHECK_EQ(p.b.why, ERR_CLOSED);
	world_close();
}

static struct tls_cert *by_name(void *owner, const struct tls_hello *hello)
{
	struct tls_cert **both = owner;

	if (hello->acme)
		return both[1];
	return strcmp(hello->sni, "relay.test") == 0 ? both[0] : NULL;
}

static void the_certificate_is_chosen_by_name(void)
{
	struct tls_cert *both[2] = { test_cert(), NULL };
	struct tls_server_cfg cfg = { .choose = by_name, .owner = both };

	world_open(TLS_ALPN_NONE);
	tls_server_unref(w.server);
	CHECK_OK(tls_server_new(&cfg, &w.server));
	w.peer.trust = TLS_TRUST_ANY;
	w.peer.sni = "RELAY.test";
	connect_pair();
	CHECK_EQ(p.a.opens, 1);
	pair_close(&p);
	w.peer.sni = "other.test";
	connect_pair();
	CHECK_EQ(p.a.why, ERR_TLS);
	tls_cert_unref(both[0]);
	world_close();
}

static void an_idle_connection_is_small(void)
{
	enum { COUNT = 64, LIMIT = 20 << 10 };
	static struct end ends[COUNT], others[COUNT];
	size_t before = 0, used;

	world_open(TLS_ALPN_HTTP1);
	connect_pair();
	before = mallinfo2().uordblks;
	for (int i = 0; i < COUNT; i++) {
		int fds[2];

		CHECK_OK(stream_pair(fds));
		CHECK_OK(stream_new(p.ev, fds[0], NULL, &end_ops, &ends[i], &ends[i].s));
		CHECK_OK(stream_new(p.ev, fds[1], NULL, &end_ops, &others[i], &others[i].s));
		CHECK_OK(stream_start_tls_server(ends[i].s, w.server));
		CHECK_OK(stream_start_tls_client(others[i].s, w.client, &w.peer));
		pair_settle(&p);
		for (int k = 0; k < 5; k++)
			ev_turn(p.ev, 0);
		CHECK_OK(stream_write(ends[i].s, SPAN_LIT("x")));
	}
	for (int k = 0; k < 20; k++)
		ev_turn(p.ev, 0);
	used = (mallinfo2().uordblks - before) / (COUNT * 2);
	printf("# %zu bytes a connection\n", used);
	CHECK(used < LIMIT);
	for (int i = 0; i < COUNT; i++) {
		stream_free(ends[i].s);
		stream_free(others[i].s);
		buf_done(&others[i].got);
	}
	world_close();
}

static void a_chain_and_a_foreign_key_are_refused(void)
{
	static const char *const names[] = { "relay.test" };
	AUTO_DONE(buf) struct buf pem = { 0 };
	AUTO_DONE(buf) struct buf key = { 0 };
	AUTO_DONE(buf) struct buf other = { 0 };
	wall now = wall_now(), until = { now.us + US_PER_S };
	struct tls_cert *c = NULL, *d = NULL;

	CHECK_OK(tls_cert_self_signed(names, 1, now, until, &pem, &key, &c));
	tls_cert_unref(c);
	CHECK_OK(tls_cert_self_signed(names, 1, now, until, NULL, &other, &c));
	tls_cert_unref(c);
	CHECK_EQ(tls_cert_from_pem(buf_span(&pem), buf_span(&other), &d), ERR_AUTH);
	CHECK_EQ(tls_cert_from_pem(buf_span(&key), buf_span(&key), &d), ERR_MALFORMED);
	CHECK_EQ(tls_cert_from_pem(SPAN_LIT("x"), buf_span(&key), &d), ERR_MALFORMED);
	CHECK_OK(tls_cert_from_pem(buf_span(&pem), buf_span(&key), &d));
	CHECK(tls_cert_matches(d, "relay.test"));
	CHECK(!tls_cert_matches(d, "relay.tes"));
	tls_cert_unref(d);
}

static void a_name_that_is_no_name_gets_no_certificate(void)
{
	static const char *const bad[] = { "a,DNS:b", "", "a b", "x\ny" };
	struct tls_cert *c = NULL;
	wall now = wall_now();

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		CHECK_EQ(tls_cert_self_signed(&bad[i], 1, now, now, NULL, NULL, &c), ERR_MALFORMED);
}

int main(void)
{
	RUN(two_ends_shake_hands_and_talk);
	RUN(nothing_is_written_before_the_handshake);
	RUN(another_certificate_than_the_pinned_one_is_refused);
	RUN(a_certificate_that_no_root_vouches_for_is_refused);
	RUN(an_extra_root_is_trusted_for_its_name_alone);
	RUN(the_meta_certificate_tells_the_relays_key);
	RUN(a_reload_serves_the_new_certificate);
	RUN(a_megabyte_goes_both_ways_through_small_pieces);
	RUN(try_write_over_tls_takes_no_more_than_fits);
	RUN(rubbish_in_place_of_a_handshake_closes);
	RUN(the_end_of_tls_is_an_orderly_end);
	RUN(the_certificate_is_chosen_by_name);
	RUN(an_idle_connection_is_small);
	RUN(a_chain_and_a_foreign_key_are_refused);
	RUN(a_name_that_is_no_name_gets_no_certificate);
	return check_done();
}
