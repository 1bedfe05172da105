#include "relay/ws_side.h"

#include <openssl/sha.h>

#include "base/enc.h"
#include "base/mem.h"
#include "base/wire.h"

enum { OP_MORE = 0, OP_TEXT = 1, OP_BINARY = 2, OP_CLOSE = 8, OP_PING = 9, OP_PONG = 10 };

struct ws_side {
	uint64_t left; /* of the message's payload */
	uint8_t mask[4];
	uint8_t op;
	unsigned at; /* of the mask */
	bool in_message, in_frame;
	struct buf plain;   /* of the stream, not used yet */
	struct buf control; /* payload of a control frame */
};

struct ws_side *ws_side_new(void)
{
	return mem_new(struct ws_side);
}

void ws_side_free(struct ws_side *w)
{
	if (!w)
		return;
	buf_done(&w->plain);
	buf_done(&w->control);
	free(w);
}

void ws_side_answer(struct buf *out, const char *key)
{
	AUTO_FREE char *text = str_fmt("%s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", key);
	uint8_t digest[SHA_DIGEST_LENGTH];
	char accept[BASE64_LEN(SHA_DIGEST_LENGTH) + 1];

	(void)SHA1((const uint8_t *)text, strlen(text), digest);
	buf_fmt(out,
	        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
	        "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n"
	        "Sec-WebSocket-Protocol: derp\r\n\r\n",
	        base64_encode(accept, digest, sizeof(digest)));
}

/* A server's frames are not masked. */
static size_t put_head(uint8_t dst[static 10], uint8_t op, size_t n)
{
	dst[0] = (uint8_t)(0x80 | op);
	if (n < 126) {
		dst[1] = (uint8_t)n;
		return 2;
	}
	if (n <= UINT16_MAX) {
		dst[1] = 126;
		put_be16(dst + 2, (uint16_t)n);
		return 4;
	}
	dst[1] = 127;
	put_be64(dst + 2, n);
	return 10;
}

void ws_side_put(struct buf *out, struct span bytes)
{
	uint8_t head[10];

	buf_add(out, head, put_head(head, OP_BINARY, bytes.n));
	buf_add_span(out, bytes);
}

static void answer(struct stream *s, uint8_t op, struct span bytes)
{
	uint8_t frame[10 + WS_CONTROL_MAX];
	size_t n = put_head(frame, op, bytes.n);

	if (bytes.n)
		memcpy(frame + n, bytes.p, bytes.n);
	/* One who does not read his answers finds the queue full, which ends it. */
	if (s)
		(void)!stream_write(s, span(frame, n + bytes.n));
}

/* 1: a frame begins; 0: its head is not whole yet */
static int read_head(struct ws_side *w, struct span *in)
{
	struct rd r = rd_span(*in);
	uint8_t first = rd_u8(&r), second = rd_u8(&r);
	uint64_t n = second & 0x7f;

	if (n == 126)
		n = rd_be16(&r);
	else if (n == 127)
		n = rd_be64(&r);
	rd_copy(&r, w->mask, sizeof(w->mask));
	if (r.bad)
		return 0;

	uint8_t op = first & 15;
	bool control = op >= OP_CLOSE, last = first & 0x80;

	if ((first & 0x70) || !(second & 0x80) || n >> 63 || op > OP_PONG || op == OP_TEXT ||
	    (op > OP_BINARY && op < OP_CLOSE) || (control && (n > WS_CONTROL_MAX || !last)) ||
	    (op == OP_MORE && !w->in_message) || (op == OP_BINARY && w->in_message))
		return ERR_MALFORMED;
	if (!control)
		w->in_message = !last;
	w->op = op;
	w->left = n;
	w->at = 0;
	w->in_frame = true;
	*in = span_from(*in, in->n - rd_left(&r));
	return 1;
}

static void unmask(struct ws_side *w, struct span *in, struct buf *out)
{
	size_t n = in->n < w->left ? in->n : (size_t)w->left;

	if (n > WS_PIECE_MAX)
		n = WS_PIECE_MAX;

	uint8_t *dst = buf_room(out, n);

	for (size_t i = 0; dst && i < n; i++)
		dst[i] = in->p[i] ^ w->mask[w->at++ & 3];
	out->n += dst ? n : 0;
	w->left -= n;
	*in = span_from(*in, n);
	w->in_frame = w->left > 0;
}

/* A control frame, as far as it has come. */
static int read_control(struct ws_side *w, struct stream *s, struct span *in)
{
	unmask(w, in, &w->control);
	if (w->in_frame)
		return 0;

	struct span payload = buf_span(&w->control);

	if (w->op == OP_PING)
		answer(s, OP_PONG, payload);
	else if (w->op == OP_CLOSE)
		answer(s, OP_CLOSE, span_first(payload, 2));
	buf_done(&w->control);
	return w->op == OP_CLOSE ? ERR_CLOSED : 0;
}

int ws_side_read(struct ws_side *w, struct stream *s, struct span *in, struct span *ret)
{
	while (in->n || w->in_frame) {
		int r = w->in_frame ? 1 : read_head(w, in);

		if (r <= 0)
			return r;
		if (w->op >= OP_CLOSE) {
			r = read_control(w, s, in);
			if (r < 0 || w->in_frame)
				return r;
			continue;
		}
		if (w->left == 0) {
			w->in_frame = false;
			continue;
		}
		if (in->n == 0)
			return 0;
		unmask(w, in, &w->plain);
		*ret = buf_span(&w->plain);
		return 1;
	}
	return 0;
}

void ws_side_used(struct ws_side *w, size_t n)
{
	buf_drop(&w->plain, n);
	if (w->plain.n == 0)
		buf_done(&w->plain);
}

struct span ws_side_left(const struct ws_side *w)
{
	return buf_span(&w->plain);
}

/* Up to WS_PIECE_MAX of what is offered, from byte `skip` on. */
static size_t pick(struct iovec *dst, const struct iovec *iov, size_t n, size_t skip)
{
	size_t sum = 0;

	for (size_t i = 0; i < n; i++) {
		size_t off = skip < iov[i].iov_len ? skip : iov[i].iov_len;
		size_t k = iov[i].iov_len - off;

		if (k > WS_PIECE_MAX - sum)
			k = WS_PIECE_MAX - sum;
		dst[i] = (struct iovec){ (uint8_t *)iov[i].iov_base + off, k };
		skip -= off;
		sum += k;
	}
	return sum;
}

ssize_t ws_side_write(struct stream *s, const struct iovec *iov, size_t n)
{
	struct iovec none = { NULL, 0 }, out[3];
	size_t taken = 0;
	uint8_t head[10];
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
		out[0] = (struct iovec){ head, put_head(head, OP_BINARY, sum) };
		r = stream_writev(s, out, n + 1);
		if (r >= 0)
			taken += sum;
	}
	return r < 0 ? r : (ssize_t)taken;
}
