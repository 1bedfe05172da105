#include "platform/dial.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "platform/listen.h"
#include "test/check.h"
#include "test/platform/stream_pair.h"

/* A listener whose connections say or echo things, and one dialler. */
static struct world {
	struct ev *ev;
	struct listener *l;
	struct end server, client;
	struct addr at;
	struct tls_server *tls; /* spoken by the listener if set */
	const char *greeting;
	unsigned accepted, dones, prepared;
	int r;
	struct dial *d;
	char error[200];
	struct resolver *resolver;
	struct resolved known;
} w;

static void on_accept(void *owner, struct listener *l, int fd, const struct addr *peer)
{
	(void)owner;
	(void)l;
	(void)peer;
	w.accepted++;
	stream_free(w.server.s);
	CHECK_OK(stream_new(w.ev, fd, NULL, &end_ops, &w.server, &w.server.s));
	if (w.tls)
		CHECK_OK(stream_start_tls_server(w.server.s, w.tls));
	if (w.greeting)
		CHECK_OK(stream_write(w.server.s, span_str(w.greeting)));
}

static void on_done(void *owner, int r, struct stream *s)
{
	(void)owner;
	w.dones++;
	w.r = r;
	(void)snprintf(w.error, sizeof(w.error), "%s", dial_error(w.d));
	w.client.s = s;
	if (s)
		stream_hand_over(s, &end_ops, &w.client);
}

static bool known(void *owner, const char *host, struct resolved *ret)
{
	(void)owner;
	if (strcmp(host, "relay.test") != 0)
		return false;
	*ret = w.known;
	return true;
}

static void open_world(void)
{
	static const struct listen_cfg cfg = { .accepted = on_accept };
	static const struct resolver_cfg rcfg = { .known = known };
	struct addr any = { .ip = ip4(127, 0, 0, 1) };

	w = (struct world){ .ev = ev_new(), .known = { 1, { ip4(127, 0, 0, 1) } } };
	CHECK_OK(listener_tcp(w.ev, &any, &cfg, &w.l));
	CHECK_OK(listener_addr(w.l, &w.at));
	CHECK_OK(resolver_new(w.ev, &rcfg, &w.resolver));
}

static void close_world(void)
{
	stream_free(w.server.s);
	stream_free(w.client.s);
	buf_done(&w.server.got);
	buf_done(&w.client.got);
	listener_free(w.l);
	resolver_free(w.resolver);
	ev_free(w.ev);
}

static void run_until(const unsigned *count, unsigned want)
{
	for (int i = 0; i < 2000 && *count < want; i++)
		ev_turn(w.ev, 1000);
}

static void run_a_while(void)
{
	for (int i = 0; i < 20; i++)
		ev_turn(w.ev, 500);
}

static struct dial_cfg to_server(const char *host)
{
	return (struct dial_cfg){ .ev = w.ev,
		                  .resolver = w.resolver,
		                  .host = host,
		                  .port = w.at.port,
		                  .timeout_us = 2 * US_PER_S };
}

static void dial_it(const struct dial_cfg *cfg)
{
	w.d = dial_start(cfg, on_done, NULL);
	CHECK_EQ(w.dones, 0);
	run_until(&w.dones, 1);
	CHECK_EQ(w.dones, 1);
}

static void an_address_is_dialled_and_bytes_flow(void)
{
	open_world();

	struct dial_cfg cfg = to_server("127.0.0.1");

	w.greeting = "welcome";
	dial_it(&cfg);
	CHECK_OK(w.r);
	run_a_while();
	CHECK_STR(buf_text(&w.client.got), "welcome");
	CHECK_EQ(stream_peer(w.client.s)->port, w.at.port);
	close_world();
}

static void a_known_name_needs_no_name_server(void)
{
	open_world();

	struct dial_cfg cfg = to_server("relay.test");

	dial_it(&cfg);
	CHECK_OK(w.r);
	close_world();
}

static void nobody_there_is_told_at_once(void)
{
	open_world();

	struct dial_cfg cfg = to_server("127.0.0.1");

	listener_free(TAKE(w.l));
	dial_it(&cfg);
	CHECK_EQ(w.r, -ECONNREFUSED);
	CHECK(w.client.s == NULL);
	close_world();
}

static void a_dead_address_does_not_keep_from_a_living_one(void)
{
	struct ip addrs[2] = { ip4(127, 0, 0, 2), ip4(127, 0, 0, 1) };

	open_world();

	struct dial_cfg cfg = to_server("relay.test");

	cfg.addrs = addrs;
	cfg.n_addrs = 2;
	dial_it(&cfg);
	CHECK_OK(w.r);
	close_world();
}

static void a_silent_server_runs_into_the_deadline(void)
{
	struct tls_client *tls;

	open_world();
	CHECK_OK(tls_client_new(NULL, &tls));

	struct dial_cfg cfg = to_server("127.0.0.1");

	cfg.tls = tls;
	cfg.timeout_us = 20 * US_PER_MS;
	dial_it(&cfg);
	CHECK_EQ(w.r, ERR_TIMEOUT);
	tls_client_unref(tls);
	close_world();
}

static void tls_is_spoken_when_asked_for(void)
{
	struct tls_cert *cert = test_cert();
	struct tls_client *tls;
	struct tls_peer peer = { .sni = "relay.test", .trust = TLS_TRUST_PINNED };
	struct tls_server *server;

	open_world();
	CHECK_OK(tls_server_new_cert(TLS_ALPN_NONE, cert, &server));
	CHECK_OK(tls_client_new(NULL, &tls));
	tls_cert_hash(cert, peer.pin);
	w.tls = server;

	struct dial_cfg cfg = to_server("relay.test");

	cfg.tls = tls;
	cfg.peer = &peer;
	dial_it(&cfg);
	CHECK_OK(w.r);
	CHECK_OK(stream_write(w.client.s, SPAN_LIT("hi")));
	run_a_while();
	CHECK_STR(buf_text(&w.server.got), "hi");
	tls_client_unref(tls);
	tls_server_unref(server);
	tls_cert_unref(cert);
	close_world();
}

static void an_untrusted_server_is_refused_with_the_reason(void)
{
	struct tls_cert *cert = test_cert();
	struct tls_client *tls;
	struct tls_server *server;

	open_world();
	CHECK_OK(tls_server_new_cert(TLS_ALPN_NONE, cert, &server));
	CHECK_OK(tls_client_new(NULL, &tls));
	w.tls = server;

	struct dial_cfg cfg = to_server("relay.test");

	cfg.tls = tls;
	dial_it(&cfg);
	CHECK_EQ(w.r, ERR_TLS);
	CHECK(strstr(w.error, "certificate"));
	tls_client_unref(tls);
	tls_server_unref(server);
	tls_cert_unref(cert);
	close_world();
}

static void a_proxy_is_asked_for_a_tunnel(void)
{
	struct url proxy;
	AUTO_FREE char *text = NULL;

	open_world();
	text = str_fmt("http://u:p%%40@127.0.0.1:%u", w.at.port);
	CHECK_OK(url_parse(span_str(text), &proxy));

	struct dial_cfg cfg = to_server("far.test");

	cfg.port = 443;
	cfg.proxy = &proxy;
	w.greeting = "HTTP/1.1 200 Connection established\r\n\r\nfrom afar";
	dial_it(&cfg);
	CHECK_OK(w.r);
	run_a_while();
	CHECK_STR(buf_text(&w.server.got), "CONNECT far.test:443 HTTP/1.1\r\nHost: far.test:443\r\n"
	                                   "Proxy-Authorization: Basic dTpwQA==\r\n\r\n");
	CHECK_STR(buf_text(&w.client.got), "from afar");
	close_world();
}

static void a_proxy_that_refuses_says_why(void)
{
	struct url proxy = { .host = SPAN_LIT("127.0.0.1") };

	open_world();

	struct dial_cfg cfg = to_server("far.test");

	proxy.port = w.at.port;
	cfg.proxy = &proxy;
	w.greeting = "HTTP/1.1 407 Who are you\r\nContent-Length: 0\r\n\r\n";
	dial_it(&cfg);
	CHECK_EQ(w.r, ERR_DENIED);
	CHECK_STR(w.error, "proxy: 407 Who are you");
	close_world();
}

static int prepare(void *arg, int fd, const struct addr *to)
{
	(void)arg;
	CHECK(fd >= 0);
	CHECK_EQ(to->port, w.at.port);
	w.prepared++;
	return w.prepared > 1 ? -EPERM : 0;
}

static void sockets_are_prepared_before_they_connect(void)
{
	open_world();

	struct dial_cfg cfg = to_server("127.0.0.1");

	cfg.prepare = prepare;
	dial_it(&cfg);
	CHECK_OK(w.r);
	CHECK_EQ(w.prepared, 1);
	stream_free(TAKE(w.client.s));
	w.dones = 0;
	dial_it(&cfg);
	CHECK_EQ(w.r, -EPERM);
	close_world();
}

static void a_cancelled_dial_says_nothing(void)
{
	open_world();

	struct dial_cfg cfg = to_server("relay.test");

	w.d = dial_start(&cfg, on_done, NULL);
	dial_cancel(w.d);
	w.d = dial_start(&cfg, on_done, NULL);
	ev_turn(w.ev, 0);
	dial_cancel(w.d);
	run_a_while();
	CHECK_EQ(w.dones, 0);
	close_world();
}

static void a_socket_file_has_its_mode_and_goes_with_its_listener(void)
{
	static const struct listen_cfg cfg = { .accepted = on_accept };
	AUTO_FREE char *path = str_fmt("/tmp/fairlead-test-%d.sock", (int)getpid());
	struct listener *second = NULL;
	struct stat st;
	int fd = -1;

	open_world();
	listener_free(TAKE(w.l));
	CHECK_OK(listener_unix(w.ev, path, 0660, &cfg, &w.l));
	CHECK(stat(path, &st) == 0 && (st.st_mode & 0777) == 0660);
	CHECK_EQ(listener_unix(w.ev, path, 0660, &cfg, &second), -EADDRINUSE);
	CHECK_OK(dial_unix(path, &fd));
	run_until(&w.accepted, 1);
	CHECK(w.accepted >= 1);
	fd_close(fd);
	listener_free(TAKE(w.l));
	CHECK(stat(path, &st) < 0);
	close_world();
}

static void a_socket_file_nobody_listens_on_is_replaced(void)
{
	static const struct listen_cfg cfg = { .accepted = on_accept };
	AUTO_FREE char *path = str_fmt("/tmp/fairlead-test-%d.sock", (int)getpid());

	open_world();
	listener_free(TAKE(w.l));
	CHECK_OK(listener_unix(w.ev, path, 0600, &cfg, &w.l));
	listener_keep_file(w.l);
	listener_free(TAKE(w.l));
	CHECK_OK(listener_unix(w.ev, path, 0600, &cfg, &w.l));
	close_world();
}

static void inherited_sockets_are_known_by_name(void)
{
	struct inherited list[LISTEN_INHERITED_MAX];
	AUTO_FREE char *pid = str_fmt("%d", (int)getpid());

	CHECK(setenv("LISTEN_PID", "1", 1) == 0 && setenv("LISTEN_FDS", "2", 1) == 0);
	CHECK_EQ(listen_inherited(list), 0);
	CHECK(!getenv("LISTEN_FDS"));
	CHECK(setenv("LISTEN_PID", pid, 1) == 0 && setenv("LISTEN_FDS", "2", 1) == 0 &&
	      setenv("LISTEN_FDNAMES", "https:http", 1) == 0);
	CHECK_EQ(listen_inherited(list), 2);
	CHECK_EQ(inherited_take(list, 2, "http"), 4);
	CHECK_EQ(inherited_take(list, 2, "http"), -1);
	CHECK_EQ(inherited_take(list, 2, "https"), 3);
}

static void on_resolved(void *owner, int r, const struct resolved *found)
{
	struct resolved *ret = owner;

	w.dones++;
	w.r = r;
	*ret = *found;
}

static void a_thread_looks_names_up(void)
{
	struct resolved found = { 0 };

	open_world();
	(void)resolve_start(w.resolver, "localhost", on_resolved, &found);
	CHECK_EQ(w.dones, 0);
	run_until(&w.dones, 1);
	CHECK_OK(w.r);
	CHECK(found.n > 0 && ip_is_loopback(&found.ip[0]));
	close_world();
}

static void literals_are_their_own_answer(void)
{
	struct resolved found = { 0 };

	open_world();
	(void)resolve_start(w.resolver, "[::1]", on_resolved, &found);
	ev_turn(w.ev, 0);
	CHECK_EQ(w.dones, 1);
	CHECK(found.n == 1 && ip_is_loopback(&found.ip[0]));
	close_world();
}

static void many_requests_and_cancellations_come_out_even(void)
{
	static struct resolved found[40];
	struct resolve *q[40];

	open_world();
	for (int i = 0; i < 40; i++)
		q[i] = resolve_start(w.resolver, "localhost", on_resolved, &found[i]);
	for (int i = 0; i < 40; i += 2)
		resolve_cancel(q[i]);
	run_until(&w.dones, 20);
	run_a_while();
	CHECK_EQ(w.dones, 20);
	close_world();
}

static void a_resolver_may_go_while_its_threads_are_busy(void)
{
	struct resolved found;

	open_world();
	for (int i = 0; i < 20; i++)
		(void)resolve_start(w.resolver, "localhost", on_resolved, &found);
	resolver_free(TAKE(w.resolver));
	run_a_while();
	CHECK_EQ(w.dones, 0);
	close_world();
}

int main(void)
{
	RUN(an_address_is_dialled_and_bytes_flow);
	RUN(a_known_name_needs_no_name_server);
	RUN(nobody_there_is_told_at_once);
	RUN(a_dead_address_does_not_keep_from_a_living_one);
	RUN(a_silent_server_runs_into_the_deadline);
	RUN(tls_is_spoken_when_asked_for);
	RUN(an_untrusted_server_is_refused_with_the_reason);
	RUN(a_proxy_is_asked_for_a_tunnel);
	RUN(a_proxy_that_refuses_says_why);
	RUN(sockets_are_prepared_before_they_connect);
	RUN(a_cancelled_dial_says_nothing);
	RUN(a_socket_file_has_its_mode_and_goes_with_its_listener);
	RUN(a_socket_file_nobody_listens_on_is_replaced);
	RUN(inherited_sockets_are_known_by_name);
	RUN(a_thread_looks_names_up);
	RUN(literals_are_their_own_answer);
	RUN(many_requests_and_cancellations_come_out_even);
	RUN(a_resolver_may_go_while_its_threads_are_busy);
	return check_done();
}
