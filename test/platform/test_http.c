#include "platform/http_server.h"

#include <stdlib.h>

#include "http/h2.h"
#include "platform/http_client.h"
#include "platform/listen.h"
#include "test/check.h"
#include "test/platform/stream_pair.h"

/* A server with a few pages, and clients of both kinds. */
static struct world {
	struct ev *ev;
	struct http_server *srv;
	struct listener *l;
	struct addr at;
	struct tls_cert *cert;
	struct tls_server *tls;
	struct tls_client *trust;
	struct http_client client;
	struct fetch *fetch;
	unsigned dones, gone, drained;
	int r;
	unsigned status;
	struct buf body;
	char error[200];
	struct http_req *waiting;
	struct end raw, hijacked;
} w;

static void on_whole(struct http_req *req, void *arg, struct span body)
{
	(void)arg;
	http_answer(req, 200, "text/plain", body);
}

static void on_gone(struct http_req *req, void *arg)
{
	(void)req;
	(void)arg;
	w.gone++;
	w.waiting = NULL;
}

static void on_room(struct http_req *req, void *arg)
{
	(void)arg;
	w.drained++;
	http_finish(req);
}

static void page_echo(struct http_req *req)
{
	static const struct http_later later = { .gone = on_gone };

	http_answer_later(req, &later);
	http_read_body(req, 100000, on_whole, NULL);
}

static void page_wait(struct http_req *req)
{
	static const struct http_later later = { .gone = on_gone };

	http_answer_later(req, &later);
	w.waiting = req;
}

static void page_pieces(struct http_req *req)
{
	http_begin(req, 200, "text/plain");
	CHECK_OK(http_send(req, SPAN_LIT("one ")));
	CHECK_OK(http_send(req, SPAN_LIT("two")));
	http_finish(req);
}

static void page_big(struct http_req *req)
{
	static const struct http_later later = { .gone = on_gone, .drained = on_room };
	AUTO_FREE uint8_t *bytes = mem_zalloc(1, 900000);

	http_answer_later(req, &later);
	http_begin(req, 200, "text/plain");
	if (http_send(req, span(bytes, 900000)) != STREAM_FULL)
		http_finish(req);
}

static void page_who(struct http_req *req)
{
	char text[IP_TEXT_MAX];

	http_answer_text(req, 200, "%s %s %s", ip_text(&req->from.ip, text),
	                 req->secure ? "secure" : "plain", req->is_h2 ? "h2" : "h1");
}

static void page_switch(struct http_req *req)
{
	struct stream *s = http_hijack(req);

	CHECK(s != NULL);
	CHECK_OK(stream_write(s, SPAN_LIT("HTTP/1.1 101 Switching Protocols\r\n\r\n")));
	w.hijacked = (struct end){ .s = s, .echo = true };
	stream_hand_over(s, &end_ops, &w.hijacked);
}

static void page_moved(struct http_req *req)
{
	http_answer_redirect(req, 302, "/pieces");
}

static const struct page {
	struct route route;
	void (*answer)(struct http_req *req);
} pages[] = {
	{ { "POST", "/echo" }, page_echo },  { { "GET", "/pieces" }, page_pieces },
	{ { "GET", "/wait" }, page_wait },   { { "GET", "/big" }, page_big },
	{ { "GET", "/who" }, page_who },     { { "GET", "/switch" }, page_switch },
	{ { "GET", "/moved" }, page_moved },
};

static void on_request(void *owner, struct http_req *req)
{
	struct route_match m;
	const char *allow;
	int r = ROUTE_FIND(pages, ARRAY_LEN(pages), req->head->method, req->path, &req->arena, &m,
	                   &allow);

	(void)owner;
	if (r == 0)
		((const struct page *)m.row)->answer(req);
	else
		http_answer_text(req, r == ERR_DENIED ? 405 : 404, "no");
}

static void on_accept(void *owner, struct listener *l, int fd, const struct addr *peer)
{
	(void)owner;
	(void)l;
	http_server_accept(w.srv, fd, peer, w.tls);
}

static void open_world(const struct http_server_cfg *extra, bool tls)
{
	static const struct listen_cfg lcfg = { .accepted = on_accept };
	struct http_server_cfg cfg = extra ? *extra : (struct http_server_cfg){ 0 };
	struct addr any = { .ip = ip4(127, 0, 0, 1) };

	w = (struct world){ .ev = ev_new() };
	cfg.ev = w.ev;
	cfg.request = on_request;
	w.srv = http_server_new(&cfg);
	CHECK_OK(listener_tcp(w.ev, &any, &lcfg, &w.l));
	CHECK_OK(listener_addr(w.l, &w.at));
	CHECK_OK(tls_client_new(NULL, &w.trust));
	w.cert = test_cert();
	if (tls)
		CHECK_OK(tls_server_new_cert(TLS_ALPN_HTTP, w.cert, &w.tls));
	w.client = (struct http_client){ .ev = w.ev, .tls = w.trust };
}

static void turn_a_while(void)
{
	for (int i = 0; i < 30; i++)
		ev_turn(w.ev, 300);
}

static void close_world(void)
{
	stream_free(w.raw.s);
	stream_free(w.hijacked.s);
	http_server_free(w.srv);
	listener_free(w.l);
	turn_a_while(); /* streams that linger end, as nobody is there any more */
	tls_server_unref(w.tls);
	tls_client_unref(w.trust);
	tls_cert_unref(w.cert);
	buf_done(&w.body);
	buf_done(&w.raw.got);
	buf_done(&w.hijacked.got);
	ev_free(w.ev);
}

static void on_done(void *owner, int r, const struct fetched *found)
{
	(void)owner;
	w.dones++;
	w.r = r;
	buf_clear(&w.body);
	(void)snprintf(w.error, sizeof(w.error), "%s", fetch_error(w.fetch));
	if (r < 0)
		return;
	w.status = found->status;
	buf_add_span(&w.body, found->body);
}

static void turn_until(const unsigned *count, unsigned want)
{
	for (int i = 0; i < 3000 && *count < want; i++)
		ev_turn(w.ev, 1000);
	CHECK(*count >= want);
}

/* Status of the answer, or the error. */
static int fetch_with(const char *path, struct fetch_cfg cfg)
{
	AUTO_FREE char *url = str_fmt("%s://127.0.0.1:%u%s", w.tls ? "https" : "http", w.at.port,
	                              path);
	struct tls_peer peer = { .trust = TLS_TRUST_PINNED, .alpn = TLS_ALPN_HTTP1 };

	tls_cert_hash(w.cert, peer.pin);
	cfg.url = url;
	cfg.peer = &peer;
	w.dones = 0;
	w.fetch = http_fetch(&w.client, &cfg, on_done, NULL);
	CHECK_EQ(w.dones, 0);
	turn_until(&w.dones, 1);
	return w.r < 0 ? w.r : (int)w.status;
}

static int fetch(const char *path)
{
	return fetch_with(path, (struct fetch_cfg){ 0 });
}

static int post(const char *path, size_t n)
{
	AUTO_FREE uint8_t *bytes = mem_alloc(n + 1);

	memset(bytes, 'p', n);
	return fetch_with(path, (struct fetch_cfg){ .method = "POST", .body = span(bytes, n) });
}

static void raw_connect(void)
{
	struct addr nobody = { 0 };
	int fds[2];

	CHECK_OK(stream_pair(fds));
	buf_done(&w.raw.got);
	w.raw = (struct end){ 0 };
	CHECK_OK(stream_new(w.ev, fds[0], NULL, &end_ops, &w.raw, &w.raw.s));
	http_server_accept(w.srv, fds[1], &nobody, NULL);
}

static const char *raw(const char *text)
{
	buf_clear(&w.raw.got);
	CHECK(stream_write(w.raw.s, span_str(text)) >= 0);
	turn_a_while();
	return buf_text(&w.raw.got);
}

static void a_page_comes_over_http_and_over_tls(void)
{
	for (int tls = 0; tls < 2; tls++) {
		open_world(NULL, tls);
		CHECK_EQ(fetch("/who"), 200);
		CHECK_STR(buf_text(&w.body),
		          tls ? "127.0.0.1 secure h1\n" : "127.0.0.1 plain h1\n");
		CHECK_EQ(fetch("/pieces"), 200);
		CHECK_STR(buf_text(&w.body), "one two");
		CHECK_EQ(fetch("/nothing"), 404);
		CHECK_EQ(post("/who", 3), 405);
		close_world();
	}
}

static void bodies_of_any_size_up_to_the_limit_are_read(void)
{
	static const size_t sizes[] = { 0, 1, 4000, 65536, 100000 };

	open_world(NULL, true);
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		CHECK_EQ(post("/echo", sizes[i]), 200);
		CHECK_EQ(w.body.n, sizes[i]);
	}
	CHECK_EQ(post("/echo", 100001), 413);
	CHECK_EQ(w.gone, 1);
	close_world();
}

static void a_long_answer_comes_whole(void)
{
	open_world(NULL, true);
	CHECK_EQ(fetch("/big"), 200);
	CHECK_EQ(w.body.n, 900000);
	close_world();
}

static void an_answer_longer_than_wanted_is_refused(void)
{
	open_world(NULL, false);
	CHECK_EQ(fetch_with("/big", (struct fetch_cfg){ .body_max = 1000 }), ERR_LIMIT);
	close_world();
}

static void redirects_are_followed_only_when_asked(void)
{
	open_world(NULL, false);
	CHECK_EQ(fetch("/moved"), 302);
	CHECK_EQ(fetch_with("/moved", (struct fetch_cfg){ .redirects = 1 }), 200);
	CHECK_STR(buf_text(&w.body), "one two");
	close_world();
}

static void a_server_that_does_not_answer_costs_the_deadline(void)
{
	open_world(NULL, false);
	CHECK_EQ(fetch_with("/wait", (struct fetch_cfg){ .timeout_us = 20000 }), ERR_TIMEOUT);
	turn_until(&w.gone, 1);
	close_world();
}

static void requests_in_a_row_share_a_connection(void)
{
	open_world(NULL, false);
	raw_connect();
	CHECK(strstr(raw("GET /pieces HTTP/1.1\r\nHost: x\r\n\r\nGET /moved HTTP/1.1\r\nHost: "
	                 "x\r\n\r\n"),
	             "4\r\none \r\n3\r\ntwo\r\n0\r\n\r\nHTTP/1.1 302 Found\r\n"));
	CHECK(strstr(raw("GET /who HTTP/1.1\r\nHost: x\r\n\r\n"), "HTTP/1.1 200 OK"));
	CHECK_EQ(w.raw.closes, 0);
	CHECK(strstr(raw("GET /who HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
	             "Connection: close\r\n"));
	CHECK_EQ(w.raw.closes, 1);
	CHECK_EQ(http_server_stats(w.srv)->requests, 4);
	CHECK_EQ(http_server_stats(w.srv)->open, 0);
	close_world();
}

static void the_next_request_waits_until_the_first_is_answered(void)
{
	open_world(NULL, false);
	raw_connect();
	CHECK_STR(raw("GET /wait HTTP/1.1\r\nHost: x\r\n\r\nGET /who HTTP/1.1\r\nHost: x\r\n\r\n"),
	          "");
	CHECK_EQ(http_server_stats(w.srv)->requests, 1);
	http_answer(w.waiting, 204, NULL, (struct span){ 0 });
	CHECK(strstr(raw(""), "204 No Content"));
	CHECK(strstr(buf_text(&w.raw.got), "200 OK"));
	close_world();
}

static void a_client_that_leaves_while_we_think_is_noticed(void)
{
	open_world(NULL, false);
	raw_connect();
	(void)raw("GET /wait HTTP/1.1\r\nHost: x\r\n\r\n");
	CHECK(w.waiting != NULL);
	stream_free(TAKE(w.raw.s));
	turn_until(&w.gone, 1);
	close_world();
}

static void a_body_is_asked_for_when_the_client_waits(void)
{
	open_world(NULL, false);
	raw_connect();
	CHECK_STR(raw("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n"
	              "Expect: 100-continue\r\n\r\n"),
	          "HTTP/1.1 100 Continue\r\n\r\n");
	CHECK(strstr(raw("abc"), "\r\n\r\nabc"));
	CHECK(strstr(raw("POST /none HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n"
	                 "Expect: 100-continue\r\n\r\n"),
	             "404"));
	CHECK_EQ(w.raw.closes, 1);
	close_world();
}

static void a_little_of_an_unwanted_body_is_dropped_and_much_closes(void)
{
	AUTO_FREE char *big = mem_zalloc(1, 200001);

	memset(big, 'x', 200000);
	open_world(NULL, false);
	raw_connect();
	CHECK(strstr(raw("POST /none HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
	                 "GET /who HTTP/1.1\r\nHost: x\r\n\r\n"),
	             "200 OK"));
	CHECK(strstr(raw("POST /none HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\n\r\n"),
	             "404"));
	CHECK_EQ(w.raw.closes, 0);
	(void)raw(big);
	CHECK_EQ(w.raw.closes, 1);
	close_world();
}

static void what_is_not_http_is_refused_and_counted(void)
{
	open_world(NULL, false);
	raw_connect();
	CHECK(strstr(raw("\x16\x03\x01 hello\r\n\r\n"), "HTTP/1.1 400 Bad Request"));
	CHECK_EQ(w.raw.closes, 1);
	CHECK_EQ(http_server_stats(w.srv)->drops[HTTP_DROP_BAD_REQUEST], 1);
	close_world();
}

static void the_connection_is_handed_over_with_what_came_behind(void)
{
	open_world(NULL, false);
	raw_connect();
	CHECK_STR(raw("GET /switch HTTP/1.1\r\nHost: x\r\nUpgrade: y\r\n\r\nearly"),
	          "HTTP/1.1 101 Switching Protocols\r\n\r\nearly");
	CHECK_STR(raw("more"), "more");
	CHECK_EQ(http_server_stats(w.srv)->open, 0);
	close_world();
}

static void slow_clients_are_closed_and_counted_by_reason(void)
{
	static const struct http_server_cfg cfg = { .head_us = 20000,
		                                    .body_us = 20000,
		                                    .idle_us = 20000 };
	const struct http_stats *st;

	open_world(&cfg, false);
	st = http_server_stats(w.srv);
	raw_connect();
	(void)raw("GET / HT");
	turn_until(&w.raw.closes, 1);
	CHECK_EQ(st->drops[HTTP_DROP_SLOW_HEAD], 1);
	buf_done(&w.raw.got);
	raw_connect();
	(void)raw("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\na");
	turn_until(&w.raw.closes, 1);
	CHECK_EQ(st->drops[HTTP_DROP_SLOW_BODY], 1);
	buf_done(&w.raw.got);
	raw_connect();
	(void)raw("GET /who HTTP/1.1\r\nHost: x\r\n\r\n");
	turn_until(&w.raw.closes, 1);
	CHECK_EQ(st->drops[HTTP_DROP_IDLE], 1);
	close_world();
}

static void a_handshake_that_never_ends_is_closed(void)
{
	static const struct http_server_cfg cfg = { .head_us = 20000 };
	struct addr nobody = { 0 };
	int fds[2];

	open_world(&cfg, true);
	CHECK_OK(stream_pair(fds));
	CHECK_OK(stream_new(w.ev, fds[0], NULL, &end_ops, &w.raw, &w.raw.s));
	http_server_accept(w.srv, fds[1], &nobody, w.tls);
	turn_until(&w.raw.closes, 1);
	CHECK_EQ(http_server_stats(w.srv)->drops[HTTP_DROP_SLOW_TLS], 1);
	close_world();
}

static void connections_are_limited_in_all_and_from_one_address(void)
{
	struct http_server_cfg cfg = { .conns_max = 3, .conns_from_max = 2 };
	struct addr from = { .ip = ip4(192, 0, 2, 1), .port = 1 };
	int fds[4][2];

	open_world(&cfg, false);
	for (int i = 0; i < 4; i++) {
		CHECK_OK(stream_pair(fds[i]));
		from.ip = ip4(192, 0, 2, i < 3 ? 1 : 2);
		http_server_accept(w.srv, fds[i][1], &from, NULL);
	}
	CHECK_EQ(http_server_stats(w.srv)->open, 3);
	CHECK_EQ(http_server_stats(w.srv)->drops[HTTP_DROP_TOO_MANY_FROM], 1);
	raw_connect();
	CHECK_EQ(http_server_stats(w.srv)->drops[HTTP_DROP_TOO_MANY], 1);
	for (int i = 0; i < 4; i++)
		fd_close(fds[i][0]);
	turn_a_while();
	CHECK_EQ(http_server_stats(w.srv)->open, 0);
	close_world();
}

static const char *who(const char *fields)
{
	AUTO_FREE char *text = str_fmt("GET /who HTTP/1.1\r\nHost: x\r\n%s\r\n", fields);
	const char *got;

	raw_connect();
	got = strstr(raw(text), "\r\n\r\n");
	stream_free(TAKE(w.raw.s));
	return got ? got + 4 : "";
}

static void forwarded_addresses_are_believed_from_proxies_alone(void)
{
	struct prefix trusted[] = { { ip4(10, 0, 0, 0), 8 } };
	struct http_server_cfg cfg = { .trusted = trusted, .n_trusted = 1, .trust_unix = true };

	open_world(&cfg, false);
	CHECK_STR(who("X-Forwarded-For: 192.0.2.1, 10.1.1.1\r\nX-Forwarded-Proto: https\r\n"),
	          "192.0.2.1 secure h1\n");
	CHECK_STR(who("X-Forwarded-For: 6.6.6.6, 192.0.2.1, 10.1.1.1\r\n"), "192.0.2.1 plain h1\n");
	CHECK_STR(who("X-Forwarded-For: 6.6.6.6, rubbish\r\n"), ":: plain h1\n");
	close_world();
	cfg.trust_unix = false;
	open_world(&cfg, false);
	CHECK_STR(who("X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: https\r\n"),
	          ":: plain h1\n");
	close_world();
}

static void fields_from_elsewhere_cannot_break_the_answer(void)
{
	open_world(NULL, false);
	raw_connect();
	(void)raw("GET /wait HTTP/1.1\r\nHost: x\r\n\r\n");
	http_put_field(w.waiting, "X-Good", "yes");
	http_put_field(w.waiting, "X-Evil", "a\r\nSet-Cookie: b");
	http_answer(w.waiting, 200, "text/plain", SPAN_LIT("ok"));
	CHECK(strstr(raw(""), "X-Good: yes\r\n"));
	CHECK(!strstr(buf_text(&w.raw.got), "Cookie"));
	close_world();
}

static void shutting_down_answers_what_was_asked_and_takes_no_more(void)
{
	open_world(NULL, false);
	raw_connect();
	(void)raw("GET /wait HTTP/1.1\r\nHost: x\r\n\r\n");
	http_server_shutdown(w.srv);
	CHECK_EQ(w.raw.closes, 0);
	http_answer(w.waiting, 200, "text/plain", SPAN_LIT("bye"));
	CHECK(strstr(raw(""), "bye"));
	CHECK_EQ(w.raw.closes, 1);
	buf_done(&w.raw.got);
	raw_connect();
	turn_a_while();
	CHECK_EQ(w.raw.closes, 1);
	close_world();
}

static void freeing_the_server_tells_who_waits(void)
{
	open_world(NULL, false);
	raw_connect();
	(void)raw("GET /wait HTTP/1.1\r\nHost: x\r\n\r\n");
	http_server_free(TAKE(w.srv));
	CHECK_EQ(w.gone, 1);
	close_world();
}

/* ---- HTTP/2, from a client session of our own ---- */

static struct h2_world {
	struct h2 *h;
	unsigned heads, ends, closes, status;
	struct buf body;
} h2w;

static void h2_head(void *owner, struct h2_stream *st, const struct http_head *head)
{
	(void)owner;
	(void)st;
	h2w.heads++;
	h2w.status = head->status;
}

static size_t h2_body(void *owner, struct h2_stream *st, struct span bytes)
{
	(void)owner;
	(void)st;
	buf_add_span(&h2w.body, bytes);
	return bytes.n;
}

static void h2_end(void *owner, struct h2_stream *st)
{
	(void)owner;
	(void)st;
	h2w.ends++;
}

static void h2_closed(void *owner, struct h2_stream *st, int why)
{
	(void)owner;
	(void)st;
	(void)why;
	h2w.closes++;
}

static const struct h2_ops h2_client_ops = {
	.head = h2_head, .body = h2_body, .end = h2_end, .closed = h2_closed
};

static void h2_settle(void)
{
	for (int i = 0; i < 60; i++) {
		AUTO_DONE(buf) struct buf out = { 0 };

		CHECK_OK(h2_send(h2w.h, &out, 1 << 20));
		if (out.n && w.raw.s)
			CHECK(stream_write(w.raw.s, buf_span(&out)) >= 0);
		ev_turn(w.ev, 200);
		if (w.raw.got.n)
			CHECK_OK(h2_recv(h2w.h, buf_span(&w.raw.got)));
		buf_clear(&w.raw.got);
	}
}

static struct h2_stream *h2_ask(const char *method, const char *path, bool end)
{
	struct http_head head = { .method = span_str(method),
		                  .target = span_str(path),
		                  .authority = SPAN_LIT("x") };
	struct h2_stream *st = NULL;

	CHECK_OK(h2_request(h2w.h, &head, end, NULL, &st));
	return st;
}

static void h2_open(void)
{
	struct h2_cfg cfg = { .side = H2_CLIENT };

	open_world(NULL, false);
	raw_connect();
	h2w = (struct h2_world){ .h = h2_new(&cfg, &h2_client_ops, NULL) };
}

static void h2_close(void)
{
	h2_free(h2w.h);
	buf_done(&h2w.body);
	close_world();
}

static void the_same_pages_come_over_http2(void)
{
	struct h2_stream *st;

	h2_open();
	(void)h2_ask("GET", "/who", true);
	h2_settle();
	CHECK_EQ(h2w.status, 200);
	CHECK_STR(buf_text(&h2w.body), ":: plain h2\n");
	buf_clear(&h2w.body);
	st = h2_ask("POST", "/echo", false);
	CHECK_OK(h2_write(st, SPAN_LIT("over h2"), true));
	h2_settle();
	CHECK_STR(buf_text(&h2w.body), "over h2");
	CHECK_EQ(h2w.ends, 2);
	CHECK_EQ(h2w.closes, 2);
	h2_close();
}

static void long_answers_and_pieces_come_over_http2(void)
{
	h2_open();
	(void)h2_ask("GET", "/big", true);
	(void)h2_ask("GET", "/pieces", true);
	h2_settle();
	CHECK_EQ(h2w.body.n, 900007);
	CHECK_EQ(w.drained, 1);
	CHECK_EQ(h2w.closes, 2);
	h2_close();
}

static void a_cancelled_http2_request_is_gone(void)
{
	struct h2_stream *st;

	h2_open();
	st = h2_ask("GET", "/wait", true);
	h2_settle();
	CHECK(w.waiting != NULL);
	h2_reset(st, H2_CANCEL);
	h2_settle();
	CHECK_EQ(w.gone, 1);
	h2_close();
}

static void too_long_a_body_is_refused_over_http2(void)
{
	AUTO_FREE uint8_t *bytes = mem_zalloc(1, 120000);
	struct h2_stream *st;

	h2_open();
	st = h2_ask("POST", "/echo", false);
	CHECK(h2_write(st, span(bytes, 120000), true) >= 0);
	h2_settle();
	CHECK_EQ(h2w.status, 413);
	CHECK_EQ(w.gone, 1);
	h2_close();
}

int main(void)
{
	RUN(a_page_comes_over_http_and_over_tls);
	RUN(bodies_of_any_size_up_to_the_limit_are_read);
	RUN(a_long_answer_comes_whole);
	RUN(an_answer_longer_than_wanted_is_refused);
	RUN(redirects_are_followed_only_when_asked);
	RUN(a_server_that_does_not_answer_costs_the_deadline);
	RUN(requests_in_a_row_share_a_connection);
	RUN(the_next_request_waits_until_the_first_is_answered);
	RUN(a_client_that_leaves_while_we_think_is_noticed);
	RUN(a_body_is_asked_for_when_the_client_waits);
	RUN(a_little_of_an_unwanted_body_is_dropped_and_much_closes);
	RUN(what_is_not_http_is_refused_and_counted);
	RUN(the_connection_is_handed_over_with_what_came_behind);
	RUN(slow_clients_are_closed_and_counted_by_reason);
	RUN(a_handshake_that_never_ends_is_closed);
	RUN(connections_are_limited_in_all_and_from_one_address);
	RUN(forwarded_addresses_are_believed_from_proxies_alone);
	RUN(fields_from_elsewhere_cannot_break_the_answer);
	RUN(shutting_down_answers_what_was_asked_and_takes_no_more);
	RUN(freeing_the_server_tells_who_waits);
	RUN(the_same_pages_come_over_http2);
	RUN(long_answers_and_pieces_come_over_http2);
	RUN(a_cancelled_http2_request_is_gone);
	RUN(too_long_a_body_is_refused_over_http2);
	return check_done();
}
