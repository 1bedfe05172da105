#include "http/h1.h"

#include <stdlib.h>

#include "base/mem.h"
#include "test/check.h"

/* Everything a reader said about an input, as text: "HEAD GET /a|BODY abc|END|". */
static struct buf said;
static struct h1_reader reader;
static bool in_body;

static void say_head(const struct http_head *h)
{
	if (h->status)
		buf_fmt(&said, "HEAD %u", h->status);
	else
		buf_fmt(&said, "HEAD %.*s %.*s", SPAN_FMT(h->method), SPAN_FMT(h->target));
	for (size_t i = 0; i < h->n_fields; i++)
		buf_fmt(&said, " %.*s=%.*s", SPAN_FMT(h->field[i].name),
		        SPAN_FMT(h->field[i].value));
	buf_add_str(&said, "|");
}

/* Consecutive pieces of a body count as one, however they were cut. */
static void say_body(struct span s)
{
	static const char end[] = "|";

	if (said.n > 1 && in_body)
		said.n--;
	else
		buf_add_str(&said, "BODY ");
	buf_add_span(&said, s);
	buf_add_str(&said, end);
	in_body = true;
}

/* Feeds at most `at_once` new bytes a call, as a stream would: unread bytes come again. */
static int feed(struct span in, size_t at_once)
{
	size_t seen = 0, used = 0;

	for (;;) {
		struct http_head h;
		struct h1_step s;
		AUTO_FREE uint8_t *exact = mem_dup(in.p + used, seen - used);
		int r = h1_read(&reader, span(exact, seen - used), &h, &s);

		if (r < 0) {
			buf_fmt(&said, "REFUSE %u|", reader.refuse);
			return r;
		}
		used += s.used;
		if (s.event == H1_BODY) {
			say_body(s.body);
			continue;
		}
		in_body = in_body && s.event == H1_MORE;
		if (s.event == H1_HEAD)
			say_head(&h);
		else if (s.event == H1_END)
			buf_add_str(&said, "END|");
		else if (s.event == H1_RAW)
			return (int)used;
		else if (seen == in.n)
			return (int)used;
		else
			seen = seen + at_once < in.n ? seen + at_once : in.n;
	}
}

static const char *read_as(enum h1_kind kind, const char *text, size_t at_once)
{
	buf_clear(&said);
	in_body = false;
	h1_reader_init(&reader, kind);
	(void)feed(span_str(text), at_once);
	return buf_text(&said);
}

static const char *requests(const char *text)
{
	return read_as(H1_REQUEST, text, 1 << 20);
}

static void a_request_with_a_body_and_one_behind_it(void)
{
	CHECK_STR(requests("POST /a?b HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
	                   "GET / HTTP/1.1\r\nhost:y\r\n\r\n"),
	          "HEAD POST /a?b Host=x Content-Length=3|BODY abc|END|HEAD GET / host=y|END|");
	CHECK(reader.keep_alive);
}

static void chunks_with_extensions_and_trailers(void)
{
	CHECK_STR(requests("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: Chunked\r\n\r\n"
	                   "3;a=b\r\nabc\r\n00A \r\n0123456789\r\n0\r\nX: y\r\n\r\n"),
	          "HEAD POST / Host=x Transfer-Encoding=Chunked|BODY abc0123456789|END|");
}

static const char *const streams[] = {
	"POST /a?b HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabcGET / "
	"HTTP/1.1\r\nhost:y\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n10\r\n"
	"0123456789abcdef\r\n0\r\nX: y\r\n\r\nGET / HTTP/1.1\r\nhost:y\r\n\r\n",
	"\r\nGET / HTTP/1.0\r\nA: b\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: x\r\nbad header\r\n\r\n",
};

static void one_byte_a_call_says_the_same_as_all_at_once(void)
{
	for (size_t i = 0; i < ARRAY_LEN(streams); i++) {
		AUTO_FREE char *whole = str_dup(read_as(H1_REQUEST, streams[i], 1 << 20));

		CHECK_STR(read_as(H1_REQUEST, streams[i], 1), whole);
		CHECK_STR(read_as(H1_REQUEST, streams[i], 7), whole);
	}
}

static void every_truncation_waits_for_more_and_completes_nothing(void)
{
	const char *text = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
			   "3\r\nabc\r\n0\r\n\r\n";

	for (size_t n = 0; n < strlen(text); n++) {
		bool complete = false;

		buf_clear(&said);
		in_body = false;
		h1_reader_init(&reader, H1_REQUEST);
		CHECK(feed(span(text, n), 1 << 20) >= 0);
		CHECK(!strstr(buf_text(&said), "END") && !strstr(buf_text(&said), "REFUSE"));
		CHECK_EQ(h1_end_of_input(&reader, &complete), n ? ERR_SHORT : 0);
		CHECK(!complete);
	}
}

/* clang-format off */
#define HOST "Host: x\r\n"
static const struct {
	unsigned refuse;
	const char *text;
} bad[] = {
	{ 400, "GET / HTTP/1.1\r\n\r\n" },				/* no Host */
	{ 400, "GET / HTTP/1.1\r\n" HOST HOST "\r\n" },
	{ 400, "GET / HTTP/1.1\nHost: x\n\n" },				/* bare LF */
	{ 400, "GET / HTTP/1.1\r\n" HOST "A: b\n\r\n" },
	{ 400, "GET / HTTP/1.1\r\n" HOST "A: b\rc\r\n\r\n" },
	{ 400, "GET / HTTP/1.1\r\n" HOST "A : b\r\n\r\n" },
	{ 400, "GET / HTTP/1.1\r\n" HOST " A: b\r\n\r\n" },
	{ 400, "GET / HTTP/1.1\r\n" HOST "A: b\r\n c\r\n\r\n" },		/* folded */
	{ 400, "GET / HTTP/1.1\r\n" HOST ": b\r\n\r\n" },
	{ 400, "GET / HTTP/1.1\r\n" HOST "A\r\n\r\n" },
	{ 400, "GET / HTTP/1.1\r\n" HOST "A: \x01\r\n\r\n" },
	{ 400, "GET  / HTTP/1.1\r\n" HOST "\r\n" },
	{ 400, "GET / a HTTP/1.1\r\n" HOST "\r\n" },
	{ 400, "GET /\r\n\r\n" },
	{ 400, "G(T / HTTP/1.1\r\n" HOST "\r\n" },
	{ 400, "GET / http/1.1\r\n" HOST "\r\n" },
	{ 505, "GET / HTTP/2.0\r\n" HOST "\r\n" },
	{ 505, "GET / HTTP/1.2\r\n" HOST "\r\n" },
	{ 400, "PRI * HTTP/11.1\r\n" HOST "\r\n" },
	{ 501, "ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFGH / HTTP/1.1\r\n" HOST "\r\n" },
	{ 400, "POST / HTTP/1.1\r\n" HOST "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n" },
	{ 400, "POST / HTTP/1.1\r\n" HOST "Content-Length: 3\r\nContent-Length: 3\r\n\r\n" },
	{ 400, "POST / HTTP/1.1\r\n" HOST "Content-Length: 3, 3\r\n\r\n" },
	{ 400, "POST / HTTP/1.1\r\n" HOST "Content-Length: +3\r\n\r\n" },
	{ 400, "POST / HTTP/1.1\r\n" HOST "Content-Length: -3\r\n\r\n" },
	{ 400, "POST / HTTP/1.1\r\n" HOST "Content-Length: 0x3\r\n\r\n" },
	{ 400, "POST / HTTP/1.1\r\n" HOST "Content-Length:\r\n\r\n" },
	{ 400, "POST / HTTP/1.1\r\n" HOST "Content-Length: 99999999999999999999\r\n\r\n" },
	{ 501, "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: gzip, chunked\r\n\r\n" },
	{ 501, "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: xchunked\r\n\r\n" },
	{ 400, "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n" },
	{ 400, "POST / HTTP/1.0\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n" },
	{ 417, "POST / HTTP/1.1\r\n" HOST "Expect: miracles\r\n\r\n" },
};
#define CHUNKED "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"
static const char *const bad_chunks[] = {
	"\r\n", "g\r\n", "-1\r\n", "0x1\r\n", " 1\r\n", "1\n", "1\r\nab", "1\r\na\n", "1 2\r\n",
	"fffffffffffffffff\r\n", "1;\x01\r\n", "0\r\n a\r\n", "0\r\nA b\r\n", "0\r\nA: b\n",
};
/* clang-format on */

static void what_two_readers_could_take_differently_is_refused(void)
{
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		const char *got = requests(bad[i].text);

		if (reader.refuse != bad[i].refuse)
			check_fail(__FILE__, __LINE__, "row %zu: %u, not %u; %s", i, reader.refuse,
			           bad[i].refuse, got);
	}
}

static void broken_chunks_are_refused(void)
{
	for (size_t i = 0; i < ARRAY_LEN(bad_chunks); i++) {
		AUTO_FREE char *text = str_fmt(CHUNKED "%s", bad_chunks[i]);

		(void)requests(text);
		if (reader.refuse != 400)
			check_fail(__FILE__, __LINE__, "row %zu is not refused", i);
	}
}

static void repeat(struct buf *b, char c, size_t n)
{
	while (n--)
		buf_add_u8(b, (uint8_t)c);
}

static unsigned refused(struct buf *b)
{
	(void)requests(buf_text(b));
	return reader.refuse;
}

static void sizes_have_a_limit_each(void)
{
	AUTO_DONE(buf) struct buf b = { 0 };

	buf_add_str(&b, "GET /");
	repeat(&b, 'a', H1_LINE_MAX - 14);
	buf_add_str(&b, " HTTP/1.1\r\nHost: x\r\n\r\n");
	CHECK_EQ(refused(&b), 0);
	buf_clear(&b);
	buf_add_str(&b, "GET /");
	repeat(&b, 'a', H1_LINE_MAX);
	CHECK_EQ(refused(&b), 414);
	buf_clear(&b);
	buf_add_str(&b, "GET / HTTP/1.1\r\nHost: x\r\nA: ");
	repeat(&b, 'a', HTTP_HEAD_MAX);
	CHECK_EQ(refused(&b), 431);
	buf_clear(&b);
	buf_add_str(&b, "GET / HTTP/1.1\r\nHost: x\r\n");
	for (unsigned i = 0; i < HTTP_FIELDS_MAX; i++)
		buf_add_str(&b, "A: b\r\n");
	buf_add_str(&b, "\r\n");
	CHECK_EQ(refused(&b), 431);
	buf_clear(&b);
	buf_add_str(&b, CHUNKED "1;");
	repeat(&b, 'a', H1_CHUNK_LINE_MAX);
	CHECK_EQ(refused(&b), 400);
	buf_clear(&b);
	buf_add_str(&b, CHUNKED "0\r\n");
	for (unsigned i = 0; i < 1024; i++)
		buf_add_str(&b, "AAAA: b\r\n");
	CHECK_EQ(refused(&b), 431);
}

static void connections_are_kept_as_the_version_says(void)
{
	(void)requests("GET / HTTP/1.1\r\nHost: x\r\nConnection: foo, Close\r\n\r\n");
	CHECK(!reader.keep_alive);
	(void)requests("GET / HTTP/1.0\r\n\r\n");
	CHECK(!reader.keep_alive);
	(void)requests("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
	CHECK(reader.keep_alive);
}

static void responses_know_where_they_end(void)
{
	bool complete = false;

	CHECK_STR(read_as(H1_RESPONSE, "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", 99),
	          "HEAD 204 Content-Length=5|END|");
	CHECK_STR(read_as(H1_RESPONSE,
	                  "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200\r\n"
	                  "Content-Length: 2\r\n\r\nhi",
	                  1),
	          "HEAD 200 Content-Length=2|BODY hi|END|");
	CHECK_STR(read_as(H1_RESPONSE, "HTTP/1.0 200 OK\r\n\r\nall the rest", 3),
	          "HEAD 200|BODY all the rest|");
	CHECK_OK(h1_end_of_input(&reader, &complete));
	CHECK(complete);
	CHECK_STR(read_as(H1_RESPONSE, "HTTP/1.1 20 OK\r\n\r\n", 99), "REFUSE 400|");
	CHECK_STR(read_as(H1_RESPONSE, "HTTP/1.1 2000\r\n\r\n", 99), "REFUSE 400|");
}

static void after_101_the_bytes_are_not_http(void)
{
	const char *text = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: DERP\r\n\r\nraw";

	buf_clear(&said);
	h1_reader_init(&reader, H1_RESPONSE);
	CHECK_EQ(feed(span_str(text), 99), strlen(text) - 3);
	CHECK_STR(buf_text(&said), "HEAD 101 Upgrade=DERP|");
}

static void the_answer_to_head_has_no_body(void)
{
	buf_clear(&said);
	h1_reader_init(&reader, H1_RESPONSE);
	reader.answers_head = true;
	CHECK(feed(SPAN_LIT("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"), 99) > 0);
	CHECK_STR(buf_text(&said), "HEAD 200 Content-Length=9|END|");
}

static void what_is_written_reads_back(void)
{
	AUTO_DONE(buf) struct buf b = { 0 };

	h1_write_request(&b, SPAN_LIT("PUT"), SPAN_LIT("/x"));
	h1_put(&b, "Host", "h");
	CHECK_OK(h1_put_span(&b, SPAN_LIT("A"), SPAN_LIT("b c")));
	CHECK_EQ(h1_put_span(&b, SPAN_LIT("A"), SPAN_LIT("b\r\nEvil: c")), ERR_MALFORMED);
	CHECK_EQ(h1_put_span(&b, SPAN_LIT("A:"), SPAN_LIT("b")), ERR_MALFORMED);
	h1_put(&b, "Transfer-Encoding", "chunked");
	h1_end_head(&b);
	h1_chunk_head(&b, 3);
	buf_add_str(&b, "abc");
	h1_chunk_end(&b);
	h1_last_chunk(&b);
	CHECK_STR(requests(buf_text(&b)),
	          "HEAD PUT /x Host=h A=b c Transfer-Encoding=chunked|BODY abc|END|");
}

static void lists_are_searched_for_tokens(void)
{
	struct http_head h = { 0 };

	http_put(&h, "Connection", "keep-alive, Upgrade");
	http_put(&h, "connection", "x");
	CHECK(http_has_token(&h, "Connection", "upgrade"));
	CHECK(http_has_token(&h, "CONNECTION", "X"));
	CHECK(!http_has_token(&h, "connection", "up"));
	CHECK(http_media_is(SPAN_LIT("Text/HTML ; charset=x"), "text/html"));
}

static void dates_are_written_as_the_rfc_shows(void)
{
	char text[HTTP_DATE_MAX];

	CHECK_STR(http_date(784111777, text), "Sun, 06 Nov 1994 08:49:37 GMT");
}

int main(void)
{
	RUN(a_request_with_a_body_and_one_behind_it);
	RUN(chunks_with_extensions_and_trailers);
	RUN(one_byte_a_call_says_the_same_as_all_at_once);
	RUN(every_truncation_waits_for_more_and_completes_nothing);
	RUN(what_two_readers_could_take_differently_is_refused);
	RUN(broken_chunks_are_refused);
	RUN(sizes_have_a_limit_each);
	RUN(connections_are_kept_as_the_version_says);
	RUN(responses_know_where_they_end);
	RUN(after_101_the_bytes_are_not_http);
	RUN(the_answer_to_head_has_no_body);
	RUN(what_is_written_reads_back);
	RUN(lists_are_searched_for_tokens);
	RUN(dates_are_written_as_the_rfc_shows);
	buf_done(&said);
	return check_done();
}
