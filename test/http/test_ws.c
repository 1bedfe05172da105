#include "http/ws.h"

#include "base/mem.h"
#include "http/h1.h"
#include "test/check.h"

static const uint8_t mask[4] = { 1, 2, 3, 4 };
static struct ws ws;
static struct buf plain, said;

/* All of the input, at most `at_once` new bytes a call; what came is in plain and said. */
static int feed(enum ws_side side, struct span in, size_t at_once)
{
	size_t seen = 0, used = 0;

	ws_init(&ws, side);
	buf_clear(&plain);
	buf_clear(&said);
	for (;;) {
		struct ws_step s;
		int r = ws_read(&ws, span_first(span_from(in, used), seen - used), 1 << 20, &plain,
		                &s);

		if (r < 0)
			return r;
		used += s.used;
		if (s.event != WS_DATA)
			buf_fmt(&said, "%s %.*s|",
			        s.event == WS_PING   ? "PING"
			        : s.event == WS_PONG ? "PONG"
			                             : "CLOSE",
			        SPAN_FMT(s.payload));
		else if (seen == in.n)
			return 0;
		else
			seen = in.n - seen < at_once ? in.n : seen + at_once;
	}
}

static void messages_of_every_size_come_through_both_ways(void)
{
	static const size_t sizes[] = { 0, 1, 125, 126, 127, 65535, 65536, 100000 };

	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		AUTO_DONE(buf) struct buf b = { 0 };
		AUTO_FREE uint8_t *bytes = mem_zalloc(1, sizes[i] + 1);

		for (size_t k = 0; k < sizes[i]; k++)
			bytes[k] = (uint8_t)(k * 31);
		ws_put(&b, WS_OP_BINARY, span(bytes, sizes[i]), mask);
		CHECK_OK(feed(WS_SERVER, buf_span(&b), 1000));
		CHECK(span_eq(buf_span(&plain), span(bytes, sizes[i])));
		buf_clear(&b);
		ws_put(&b, WS_OP_BINARY, span(bytes, sizes[i]), NULL);
		CHECK_OK(feed(WS_CLIENT, buf_span(&b), 1 << 20));
		CHECK(span_eq(buf_span(&plain), span(bytes, sizes[i])));
	}
}

static void pings_between_pieces_are_told_at_one_byte_a_call(void)
{
	AUTO_DONE(buf) struct buf b = { 0 };
	static const uint8_t piece[] = { 0x02, 0x83, 0, 0, 0, 0, 'a', 'b', 'c' };
	static const uint8_t last[] = { 0x80, 0x82, 0, 0, 0, 0, 'd', 'e' };

	buf_add(&b, piece, sizeof(piece));
	ws_put(&b, WS_OP_PING, SPAN_LIT("you?"), mask);
	buf_add(&b, last, sizeof(last));
	ws_put(&b, WS_OP_PONG, SPAN_LIT(""), mask);
	CHECK_OK(feed(WS_SERVER, buf_span(&b), 1));
	CHECK_STR(buf_text(&plain), "abcde");
	CHECK_STR(buf_text(&said), "PING you?|PONG |");
	ws_put_close(&b, WS_NORMAL, mask);
	CHECK_EQ(feed(WS_SERVER, buf_span(&b), 1), ERR_CLOSED);
	CHECK_STR(buf_text(&said), "PING you?|PONG |CLOSE \x03\xe8|");
}

static void a_call_adds_no_more_than_asked_for(void)
{
	AUTO_DONE(buf) struct buf b = { 0 };
	struct ws_step s;

	ws_put(&b, WS_OP_BINARY, SPAN_LIT("0123456789"), NULL);
	ws_init(&ws, WS_CLIENT);
	buf_clear(&plain);
	CHECK_OK(ws_read(&ws, buf_span(&b), 4, &plain, &s));
	CHECK_EQ(plain.n, 4);
	CHECK_EQ(s.used, 6);
	CHECK_OK(ws_read(&ws, span_from(buf_span(&b), 6), 100, &plain, &s));
	CHECK_STR(buf_text(&plain), "0123456789");
}

/* clang-format off */
static const struct {
	enum ws_side side;
	enum ws_code code;
	uint8_t head[10];
} bad[] = {
	{ WS_SERVER, WS_PROTOCOL_ERROR, { 0x82, 0x01, 'x' } },		/* not masked */
	{ WS_CLIENT, WS_PROTOCOL_ERROR, { 0x82, 0x81, 0, 0, 0, 0 } },	/* masked */
	{ WS_CLIENT, WS_PROTOCOL_ERROR, { 0xc2, 0x01 } },		/* reserved bit */
	{ WS_CLIENT, WS_PROTOCOL_ERROR, { 0x83, 0x01 } },		/* unknown kind */
	{ WS_CLIENT, WS_UNSUPPORTED,    { 0x81, 0x01 } },		/* text */
	{ WS_CLIENT, WS_PROTOCOL_ERROR, { 0x80, 0x01 } },		/* nothing to go on with */
	{ WS_CLIENT, WS_PROTOCOL_ERROR, { 0x02, 0x00, 0x82, 0x00 } },	/* a message in a message */
	{ WS_CLIENT, WS_PROTOCOL_ERROR, { 0x09, 0x00 } },		/* a ping in pieces */
	{ WS_CLIENT, WS_PROTOCOL_ERROR, { 0x89, 126, 0, 126 } },	/* a long ping */
	{ WS_CLIENT, WS_PROTOCOL_ERROR, { 0x82, 127, 0x80 } },		/* the top bit of a length */
};
/* clang-format on */

static void frames_against_the_rfc_are_refused(void)
{
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		CHECK_EQ(feed(bad[i].side, SPAN_OF(bad[i].head), 1), ERR_MALFORMED);
		CHECK_EQ(ws.refuse, bad[i].code);
	}
}

static void request(struct http_head *h, const char *key, const char *version, const char *protocol)
{
	*h = (struct http_head){ .method = SPAN_LIT("GET") };
	http_put(h, "Connection", "keep-alive, Upgrade");
	http_put(h, "Upgrade", "WebSocket");
	http_put(h, "Sec-WebSocket-Key", key);
	http_put(h, "Sec-WebSocket-Version", version);
	http_put(h, "Sec-WebSocket-Protocol", protocol);
}

static void the_rfcs_example_gets_the_rfcs_answer(void)
{
	AUTO_DONE(buf) struct buf b = { 0 };
	struct http_head h;

	request(&h, "dGhlIHNhbXBsZSBub25jZQ==", "13", "chat, derp");
	CHECK_OK(ws_check_request(&h, "derp"));
	ws_put_answer(&b, &h, "derp");
	CHECK(strstr(buf_text(&b), "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
	CHECK(strstr(buf_text(&b), "Sec-WebSocket-Protocol: derp\r\n"));
}

static void requests_that_do_not_fit_are_told_apart(void)
{
	struct http_head h;

	request(&h, "dGhlIHNhbXBsZSBub25jZQ==", "13", "chat");
	CHECK_EQ(ws_check_request(&h, "derp"), ERR_UNKNOWN);
	request(&h, "dGhlIHNhbXBsZSBub25jZQ==", "8", "derp");
	CHECK_EQ(ws_check_request(&h, "derp"), ERR_VERSION);
	request(&h, "short", "13", "derp");
	CHECK_EQ(ws_check_request(&h, "derp"), ERR_MALFORMED);
	request(&h, "dGhlIHNhbXBsZSBub25jZQ==", "13", "derp");
	h.method = SPAN_LIT("POST");
	CHECK_EQ(ws_check_request(&h, "derp"), ERR_UNKNOWN);
}

static void a_client_checks_the_answer(void)
{
	static const uint8_t key[WS_KEY_LEN] = "the sample nonce";
	AUTO_DONE(buf) struct buf b = { 0 };
	struct http_head h = { .status = 101 };

	ws_put_request_fields(&b, key, "derp");
	CHECK(strstr(buf_text(&b), "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"));
	http_put(&h, "Upgrade", "websocket");
	http_put(&h, "Sec-WebSocket-Accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
	CHECK_EQ(ws_check_answer(&h, key, "derp"), ERR_UNKNOWN);
	http_put(&h, "Sec-WebSocket-Protocol", "derp");
	CHECK_OK(ws_check_answer(&h, key, "derp"));
	CHECK_EQ(ws_check_answer(&h, (const uint8_t *)"another nonce...", "derp"), ERR_MALFORMED);
	h.status = 200;
	CHECK_EQ(ws_check_answer(&h, key, "derp"), ERR_DENIED);
}

int main(void)
{
	RUN(messages_of_every_size_come_through_both_ways);
	RUN(pings_between_pieces_are_told_at_one_byte_a_call);
	RUN(a_call_adds_no_more_than_asked_for);
	RUN(frames_against_the_rfc_are_refused);
	RUN(the_rfcs_example_gets_the_rfcs_answer);
	RUN(requests_that_do_not_fit_are_told_apart);
	RUN(a_client_checks_the_answer);
	buf_done(&plain);
	buf_done(&said);
	return check_done();
}
