/* Frames from a stranger; the first byte picks our side and how much comes at once. */
#include "base/mem.h"
#include "http/h2.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void on_head(void *owner, struct h2_stream *st, const struct http_head *head)
{
	struct http_head answer = { .status = 200 };

	(void)owner;
	if (!head->status)
		(void)!h2_respond(st, &answer, false);
}

static size_t on_body(void *owner, struct h2_stream *st, struct span bytes)
{
	(void)owner;
	(void)!h2_write(st, bytes, false);
	return bytes.n / 2;
}

static void on_end(void *owner, struct h2_stream *st)
{
	(void)owner;
	(void)!h2_write(st, (struct span){ 0 }, true);
}

static void on_closed(void *owner, struct h2_stream *st, int why)
{
	(void)owner;
	(void)st;
	(void)why;
}

static void ask(struct h2 *h)
{
	struct http_head head = { .method = SPAN_LIT("GET"),
		                  .target = SPAN_LIT("/"),
		                  .authority = SPAN_LIT("a") };
	struct h2_stream *st;

	(void)!h2_request(h, &head, true, NULL, &st);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const struct h2_ops ops = {
		.head = on_head, .body = on_body, .end = on_end, .closed = on_closed
	};
	struct h2_cfg cfg = { .side = n && data[0] & 1 ? H2_CLIENT : H2_SERVER };
	size_t at_once = n ? (size_t)1 << (data[0] >> 4) : 1;
	struct h2 *h = h2_new(&cfg, &ops, NULL);

	if (cfg.side == H2_CLIENT)
		ask(h);
	for (size_t at = 1; at < n; at += at_once) {
		AUTO_DONE(buf) struct buf out = { 0 };

		if (h2_recv(h, span_first(span(data + at, n - at), at_once)) < 0)
			break;
		if (h2_send(h, &out, 1 << 16) < 0)
			break;
	}
	h2_free(h);
	return 0;
}
