#include "relay/websock.h"

#include "base/err.h"
#include "base/mem.h"

struct websock {
	struct ws ws;
	struct buf plain; /* of the stream, not used yet */
};

struct websock *websock_new(void)
{
	struct websock *w = mem_new(struct websock);

	ws_init(&w->ws, WS_SERVER);
	return w;
}

void websock_free(struct websock *w)
{
	if (!w)
		return;
	buf_done(&w->plain);
	free(w);
}

void websock_put(struct buf *out, struct span bytes)
{
	ws_put(out, WS_OP_BINARY, bytes, NULL);
}

static void answer(struct stream *s, enum ws_op op, struct span bytes)
{
	AUTO_DONE(buf) struct buf out = { 0 };

	ws_put(&out, op, bytes, NULL);
	/* One who does not read his answers finds the queue full, which ends it. */
	if (s)
		(void)!stream_write(s, buf_span(&out));
}

static void say_why(struct stream *s, unsigned code)
{
	AUTO_DONE(buf) struct buf out = { 0 };

	ws_put_close(&out, (enum ws_code)code, NULL);
	if (s)
		(void)!stream_write(s, buf_span(&out));
}

/* 1: more may follow in the input; 0: it is used up */
static int on_step(struct stream *s, const struct ws_step *step)
{
	switch (step->event) {
	case WS_PING:
		answer(s, WS_OP_PONG, step->payload);
		return 1;
	case WS_CLOSE:
		answer(s, WS_OP_CLOSE, span_first(step->payload, 2));
		return ERR_CLOSED;
	case WS_PONG:
		return 1;
	case WS_DATA:
		break;
	}
	return 0;
}

int websock_read(struct websock *w, struct stream *s, struct span *in, struct span *ret)
{
	size_t before = w->plain.n;
	int r = 1;

	while (r > 0) {
		struct ws_step step;

		r = ws_read(&w->ws, *in, WEBSOCK_PIECE_MAX, &w->plain, &step);
		if (r == ERR_MALFORMED)
			say_why(s, w->ws.refuse);
		if (r < 0)
			return r;
		*in = span_from(*in, step.used);
		r = on_step(s, &step);
	}
	*ret = buf_span(&w->plain);
	/* What came before a goodbye is given first; the next call says it. */
	return w->plain.n > before ? 1 : r;
}

void websock_used(struct websock *w, size_t n)
{
	buf_drop(&w->plain, n);
	if (w->plain.n == 0)
		buf_done(&w->plain);
}

struct span websock_left(const struct websock *w)
{
	return buf_span(&w->plain);
}

/* Up to WEBSOCK_PIECE_MAX of what is offered, from byte `skip` on. */
static size_t pick(struct iovec *dst, const struct iovec *iov, size_t n, size_t skip)
{
	size_t sum = 0;

	for (size_t i = 0; i < n; i++) {
		size_t off = skip < iov[i].iov_len ? skip : iov[i].iov_len;
		size_t k = iov[i].iov_len - off;

		if (k > WEBSOCK_PIECE_MAX - sum)
			k = WEBSOCK_PIECE_MAX - sum;
		dst[i] = (struct iovec){ (uint8_t *)iov[i].iov_base + off, k };
		skip -= off;
		sum += k;
	}
	return sum;
}

ssize_t websock_write(struct stream *s, const struct iovec *iov, size_t n)
{
	struct iovec none = { NULL, 0 }, out[3];
	size_t taken = 0;
	uint8_t head[WS_HEAD_MAX];
	int r = 0;

	if (n > 2)
		n = 2;
	while (r >= 0) {
		/* What was taken before must have gone; asking is how we come to be told when. */
		if (stream_queued(s))
			r = stream_try_write(s, &none, 1);
		if (r < 0 || stream_queued(s))
			break;

		size_t sum = pick(out + 1, iov, n, taken);

		if (sum == 0)
			break;
		out[0] = (struct iovec){ head, ws_head(head, WS_OP_BINARY, sum, NULL) };
		r = stream_writev(s, out, n + 1);
		if (r >= 0)
			taken += sum;
	}
	return r < 0 ? r : (ssize_t)taken;
}
