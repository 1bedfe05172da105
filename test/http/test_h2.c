#include "http/h2.h"

#include <stdlib.h>

#include "test/check.h"

/* Two sessions and what they said, as text. */
struct side {
	struct h2 *h;
	struct buf said;
	struct h2_stream *st; /* the last one told */
	bool hold;            /* keep body bytes */
	bool echo;            /* answer with what came */
	unsigned drained, pongs, goaways;
	size_t body_n;
};

static struct side client, server;

static void on_head(void *owner, struct h2_stream *st, const struct http_head *h)
{
	struct side *s = owner;

	s->st = st;
	if (h->status)
		buf_fmt(&s->said, "HEAD %u", h->status);
	else
		buf_fmt(&s->said, "HEAD %.*s %.*s %.*s", SPAN_FMT(h->method),
		        SPAN_FMT(h->authority), SPAN_FMT(h->target));
	for (size_t i = 0; i < h->n_fields; i++)
		buf_fmt(&s->said, " %.*s=%.*s", SPAN_FMT(h->field[i].name),
		        SPAN_FMT(h->field[i].value));
	buf_add_str(&s->said, "|");
	if (s->echo) {
		struct http_head answer = { .status = 200 };

		http_put(&answer, "Content-Type", "text/plain");
		http_put(&answer, "Connection", "close");
		CHECK_OK(h2_respond(st, &answer, false));
	}
}

static size_t on_body(void *owner, struct h2_stream *st, struct span bytes)
{
	struct side *s = owner;

	s->body_n += bytes.n;
	if (bytes.n < 100)
		buf_fmt(&s->said, "BODY %.*s|", SPAN_FMT(bytes));
	if (s->echo)
		CHECK(h2_write(st, bytes, false) >= 0);
	return s->hold ? 0 : bytes.n;
}

static void on_end(void *owner, struct h2_stream *st)
{
	struct side *s = owner;

	buf_add_str(&s->said, "END|");
	if (s->echo)
		CHECK(h2_write(st, (struct span){ 0 }, true) >= 0);
}

static void on_drained(void *owner, struct h2_stream *st)
{
	struct side *s = owner;

	(void)st;
	s->drained++;
}

static void on_closed(void *owner, struct h2_stream *st, int why)
{
	struct side *s = owner;

	if (s->st == st)
		s->st = NULL;
	buf_fmt(&s->said, "CLOSED %d|", why);
}

static void on_pong(void *owner)
{
	((struct side *)owner)->pongs++;
}

static void on_goaway(void *owner)
{
	((struct side *)owner)->goaways++;
}

static const struct h2_ops ops = { .head = on_head,
	                           .body = on_body,
	                           .end = on_end,
	                           .drained = on_drained,
	                           .closed = on_closed,
	                           .pong = on_pong,
	                           .goaway = on_goaway };

static void open_both(const struct h2_cfg *cfg)
{
	struct h2_cfg c = cfg ? *cfg : (struct h2_cfg){ 0 };

	client = server = (struct side){ 0 };
	c.side = H2_CLIENT;
	client.h = h2_new(&c, &ops, &client);
	c.side = H2_SERVER;
	server.h = h2_new(&c, &ops, &server);
}

static void close_both(void)
{
	h2_free(client.h);
	h2_free(server.h);
	buf_done(&client.said);
	buf_done(&server.said);
}

static bool carry(struct side *from, struct side *to, size_t at_once)
{
	AUTO_DONE(buf) struct buf b = { 0 };

	CHECK_OK(h2_send(from->h, &b, 1 << 20));
	for (size_t at = 0; at < b.n; at += at_once)
		CHECK_OK(h2_recv(to->h, span_first(span_from(buf_span(&b), at), at_once)));
	return b.n > 0;
}

static void settle(size_t at_once)
{
	for (int i = 0; i < 1000; i++) {
		bool moved = carry(&client, &server, at_once);

		moved |= carry(&server, &client, at_once);
		if (!moved)
			return;
	}
	check_fail(__FILE__, __LINE__, "the sessions never rest");
}

static struct h2_stream *ask(const char *method, const char *target, bool end)
{
	struct http_head head = { .method = span_str(method),
		                  .target = span_str(target),
		                  .authority = SPAN_LIT("unused") };
	struct h2_stream *st = NULL;

	http_put(&head, "Ts-Lb", "x");
	CHECK_OK(h2_request(client.h, &head, end, NULL, &st));
	return st;
}

static void echo_at(size_t at_once)
{
	struct h2_stream *st;

	open_both(NULL);
	server.echo = true;
	st = ask("POST", "/machine/map", false);
	settle(at_once);
	CHECK_STR(buf_text(&server.said), "HEAD POST unused /machine/map ts-lb=x|");
	CHECK_STR(buf_text(&client.said), "HEAD 200 content-type=text/plain|");
	CHECK_OK(h2_write(st, SPAN_LIT("one"), false));
	settle(at_once);
	CHECK_OK(h2_write(st, SPAN_LIT("two"), true));
	settle(at_once);
	CHECK_STR(buf_text(&server.said), "HEAD POST unused /machine/map ts-lb=x|BODY one|BODY two|"
	                                  "END|CLOSED 0|");
	CHECK(strstr(buf_text(&client.said), "END|CLOSED 0|"));
	CHECK_EQ(h2_n_streams(client.h), 0);
	CHECK_EQ(h2_n_streams(server.h), 0);
	close_both();
}

static void a_request_and_its_answer_stream_both_ways(void)
{
	echo_at(1 << 20);
}

static void the_same_at_one_byte_a_call(void)
{
	open_both(NULL);
	server.echo = true;
	(void)ask("GET", "/", true);
	settle(1);
	CHECK_STR(buf_text(&server.said), "HEAD GET unused / ts-lb=x|END|CLOSED 0|");
	CHECK(strstr(buf_text(&client.said), "HEAD 200 content-type=text/plain|END|CLOSED 0|"));
	close_both();
}

static void a_reader_that_holds_its_bytes_stops_the_writer(void)
{
	static const struct h2_cfg cfg = { .stream_window = 70000, .session_window = 200000 };
	AUTO_FREE uint8_t *bytes = mem_zalloc(1, 400000);
	struct h2_stream *st;

	open_both(&cfg);
	server.hold = true;
	st = ask("POST", "/", false);
	CHECK_EQ(h2_write(st, span(bytes, 400000), true), H2_FULL);
	settle(1 << 20);
	CHECK_EQ(server.body_n, 70000);
	CHECK_EQ(h2_queued(st), 330000);
	h2_consume(server.st, 70000);
	settle(1 << 20);
	CHECK_EQ(server.body_n, 140000);
	server.hold = false;
	h2_consume(server.st, 70000);
	settle(1 << 20);
	CHECK_EQ(server.body_n, 400000);
	CHECK(client.drained >= 1);
	close_both();
}

static void a_queue_has_its_limit(void)
{
	static const struct h2_cfg cfg = { .out_max = 1000, .out_high = 500 };
	uint8_t bytes[600] = { 0 };
	struct h2_stream *st;

	open_both(&cfg);
	st = ask("POST", "/", false);
	CHECK_EQ(h2_write(st, span(bytes, 400), false), 0);
	CHECK_EQ(h2_write(st, span(bytes, 600), false), H2_FULL);
	CHECK_EQ(h2_write(st, span(bytes, 1), false), ERR_LIMIT);
	CHECK_EQ(h2_write(st, (struct span){ 0 }, true), H2_FULL);
	CHECK_EQ(h2_write(st, span(bytes, 1), false), ERR_BADSTATE);
	settle(1 << 20);
	CHECK_EQ(server.body_n, 1000);
	close_both();
}

static void a_stream_that_is_reset_closes_on_both_sides(void)
{
	struct h2_stream *st;

	open_both(NULL);
	st = ask("POST", "/", false);
	settle(1 << 20);
	h2_reset(st, H2_CANCEL);
	settle(1 << 20);
	CHECK(strstr(buf_text(&server.said), "CLOSED "));
	CHECK(!strstr(buf_text(&server.said), "CLOSED 0"));
	CHECK(strstr(buf_text(&client.said), "CLOSED "));
	close_both();
}

static void bytes_held_by_a_closed_stream_go_back_to_the_session(void)
{
	static const struct h2_cfg cfg = { .stream_window = 65535, .session_window = 65535 };
	AUTO_FREE uint8_t *bytes = mem_zalloc(1, 65535);

	open_both(&cfg);
	server.hold = true;
	for (int i = 0; i < 4; i++) {
		struct h2_stream *st = ask("POST", "/", false);

		CHECK_OK(h2_write(st, span(bytes, 60000), false));
		settle(1 << 20);
		h2_reset(st, H2_CANCEL);
		settle(1 << 20);
	}
	CHECK_EQ(server.body_n, 240000);
	close_both();
}

static void freeing_a_session_closes_its_streams(void)
{
	open_both(NULL);
	(void)ask("POST", "/", false);
	settle(1 << 20);
	h2_free(TAKE(server.h));
	CHECK(strstr(buf_text(&server.said), "CLOSED"));
	close_both();
}

static void an_overlong_head_is_refused_without_harm_to_others(void)
{
	AUTO_FREE char *big = mem_zalloc(1, 20001);
	struct http_head head = { .method = SPAN_LIT("GET"),
		                  .target = SPAN_LIT("/"),
		                  .authority = SPAN_LIT("a") };
	struct h2_stream *st;

	memset(big, 'x', 20000);
	http_put(&head, "a", big);
	http_put(&head, "b", big);
	open_both(NULL);
	CHECK_OK(h2_request(client.h, &head, true, NULL, &st));
	settle(1 << 20);
	CHECK_STR(buf_text(&server.said), "");
	CHECK(strstr(buf_text(&client.said), "HEAD 431|"));
	server.echo = true;
	(void)ask("GET", "/ok", true);
	settle(1 << 20);
	CHECK(strstr(buf_text(&server.said), "/ok"));
	close_both();
}

static void fields_that_break_lines_are_not_sent(void)
{
	struct http_head head = { .method = SPAN_LIT("GET"), .target = SPAN_LIT("/") };
	struct h2_stream *st;

	http_put(&head, "a", "b\r\nc: d");
	open_both(NULL);
	CHECK_EQ(h2_request(client.h, &head, true, NULL, &st), ERR_MALFORMED);
	close_both();
}

static void rubbish_ends_the_session(void)
{
	open_both(NULL);
	CHECK_EQ(h2_recv(server.h, SPAN_LIT("GET / HTTP/1.1\r\nHost: x\r\n\r\n....")),
	         ERR_MALFORMED);
	CHECK_EQ(h2_recv(server.h, SPAN_LIT("x")), ERR_MALFORMED);
	close_both();
}

static void a_server_that_shuts_down_finishes_what_it_has(void)
{
	struct h2_stream *st, *late;
	struct http_head head = { .method = SPAN_LIT("GET"), .target = SPAN_LIT("/") };

	open_both(NULL);
	server.echo = true;
	st = ask("POST", "/", false);
	settle(1 << 20);
	h2_shutdown(server.h);
	settle(1 << 20);
	CHECK_EQ(client.goaways, 1);
	CHECK_EQ(h2_request(client.h, &head, true, NULL, &late), ERR_CLOSED);
	CHECK(!h2_is_over(server.h));
	CHECK_OK(h2_write(st, SPAN_LIT("last"), true));
	settle(1 << 20);
	CHECK(strstr(buf_text(&client.said), "BODY last|END|CLOSED 0|"));
	CHECK(h2_is_over(server.h));
	close_both();
}

static void a_ping_is_answered(void)
{
	open_both(NULL);
	h2_ping(client.h);
	settle(1 << 20);
	CHECK_EQ(client.pongs, 1);
	CHECK_EQ(server.pongs, 0);
	close_both();
}

static void a_hundred_long_streams_share_a_session(void)
{
	struct h2_stream *st[100];

	open_both(NULL);
	server.echo = true;
	for (int i = 0; i < 100; i++)
		st[i] = ask("POST", "/", false);
	settle(1 << 20);
	CHECK_EQ(h2_n_streams(server.h), 100);
	for (int i = 0; i < 100; i++)
		CHECK_OK(h2_write(st[i], SPAN_LIT("x"), true));
	settle(1 << 20);
	CHECK_EQ(client.body_n, 100);
	CHECK_EQ(h2_n_streams(server.h), 0);
	close_both();
}

int main(void)
{
	RUN(a_request_and_its_answer_stream_both_ways);
	RUN(the_same_at_one_byte_a_call);
	RUN(a_reader_that_holds_its_bytes_stops_the_writer);
	RUN(a_queue_has_its_limit);
	RUN(a_stream_that_is_reset_closes_on_both_sides);
	RUN(bytes_held_by_a_closed_stream_go_back_to_the_session);
	RUN(freeing_a_session_closes_its_streams);
	RUN(an_overlong_head_is_refused_without_harm_to_others);
	RUN(fields_that_break_lines_are_not_sent);
	RUN(rubbish_ends_the_session);
	RUN(a_server_that_shuts_down_finishes_what_it_has);
	RUN(a_ping_is_answered);
	RUN(a_hundred_long_streams_share_a_session);
	return check_done();
}
