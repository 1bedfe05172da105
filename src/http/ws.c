#include "http/ws.h"

#include <openssl/sha.h>

#include "base/err.h"
#include "base/wire.h"

/* RFC 6455 s.1.3 */
static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

void ws_init(struct ws *w, enum ws_side side)
{
	*w = (struct ws){ .side = side };
}

/* ---- reading ---- */

static int refuse(struct ws *w, enum ws_code code)
{
	w->refuse = code;
	w->over = true;
	return ERR_MALFORMED;
}

static int check_head(struct ws *w, uint8_t first, bool masked, uint64_t n)
{
	uint8_t op = first & 15;
	bool last = first & 0x80;

	if ((first & 0x70) || masked != (w->side == WS_SERVER) || n >> 63)
		return refuse(w, WS_PROTOCOL_ERROR);
	switch ((enum ws_op)op) {
	case WS_OP_TEXT:
		return refuse(w, WS_UNSUPPORTED);
	case WS_OP_MORE:
	case WS_OP_BINARY:
		if (w->in_message != (op == WS_OP_MORE))
			return refuse(w, WS_PROTOCOL_ERROR);
		w->in_message = !last;
		return 0;
	case WS_OP_CLOSE:
	case WS_OP_PING:
	case WS_OP_PONG:
		return last && n <= WS_CONTROL_MAX ? 0 : refuse(w, WS_PROTOCOL_ERROR);
	}
	return refuse(w, WS_PROTOCOL_ERROR);
}

/* 1: a frame begins; 0: its head is not whole yet. */
static int read_head(struct ws *w, struct span in, size_t *ret_used)
{
	struct rd r = rd_span(in);
	uint8_t first = rd_u8(&r), second = rd_u8(&r);
	bool masked = second & 0x80;
	uint64_t n = second & 0x7f;

	if (n == 126)
		n = rd_be16(&r);
	else if (n == 127)
		n = rd_be64(&r);
	memset(w->mask, 0, sizeof(w->mask));
	if (masked)
		rd_copy(&r, w->mask, sizeof(w->mask));
	if (r.bad)
		return 0;

	int e = check_head(w, first, masked, n);

	if (e < 0)
		return e;
	w->op = first & 15;
	w->left = n;
	w->at = w->n_control = 0;
	w->in_frame = true;
	*ret_used = in.n - rd_left(&r);
	return 1;
}

static void unmask(struct ws *w, uint8_t *dst, const uint8_t *src, size_t n)
{
	for (size_t i = 0; i < n; i++)
		dst[i] = src[i] ^ w->mask[(w->at + i) & 3];
	w->at = (uint8_t)((w->at + n) & 3);
	w->left -= n;
}

static size_t read_payload(struct ws *w, struct span in, size_t max, struct buf *ret)
{
	size_t n = in.n < w->left ? in.n : (size_t)w->left;

	if (w->op >= WS_OP_CLOSE) {
		unmask(w, w->control + w->n_control, in.p, n);
		w->n_control = (uint8_t)(w->n_control + n);
		return n;
	}
	n = n < max ? n : max;

	uint8_t *room = n ? buf_room(ret, n) : NULL;

	if (!room)
		return 0;
	unmask(w, room, in.p, n);
	ret->n += n;
	return n;
}

static bool control_ends(struct ws *w, struct ws_step *ret)
{
	if (w->op < WS_OP_CLOSE)
		return false;
	ret->payload = span(w->control, w->n_control);
	ret->event = w->op == WS_OP_PING ? WS_PING : w->op == WS_OP_PONG ? WS_PONG : WS_CLOSE;
	w->over = w->op == WS_OP_CLOSE;
	return true;
}

int ws_read(struct ws *w, struct span in, size_t max, struct buf *ret_plain, struct ws_step *ret)
{
	struct ws_step s = { .event = WS_DATA };
	size_t begin = ret_plain->n;

	if (w->over)
		return w->refuse ? ERR_MALFORMED : ERR_CLOSED;
	for (;;) {
		size_t n = 0;

		if (!w->in_frame) {
			int e = read_head(w, span_from(in, s.used), &n);

			if (e < 0)
				return e;
			if (e == 0)
				break;
			s.used += n;
		}
		n = read_payload(w, span_from(in, s.used), max - (ret_plain->n - begin), ret_plain);
		s.used += n;
		if (w->left > 0)
			break;
		w->in_frame = false;
		if (control_ends(w, &s))
			break;
	}
	*ret = s;
	return 0;
}

/* ---- writing ---- */

size_t ws_head(uint8_t dst[static WS_HEAD_MAX], enum ws_op op, size_t n, const uint8_t *mask)
{
	struct wr w = wr_of(dst, WS_HEAD_MAX);
	uint8_t bit = mask ? 0x80 : 0;

	wr_u8(&w, (uint8_t)(0x80 | op));
	if (n < 126) {
		wr_u8(&w, (uint8_t)(bit | n));
	} else if (n <= UINT16_MAX) {
		wr_u8(&w, bit | 126);
		wr_be16(&w, (uint16_t)n);
	} else {
		wr_u8(&w, bit | 127);
		wr_be64(&w, n);
	}
	if (mask)
		wr_bytes(&w, mask, 4);
	return wr_len(&w);
}

void ws_put(struct buf *b, enum ws_op op, struct span bytes, const uint8_t *mask)
{
	uint8_t head[WS_HEAD_MAX];
	size_t at;

	buf_add(b, head, ws_head(head, op, bytes.n, mask));
	at = b->n;
	buf_add_span(b, bytes);
	if (mask && !b->full) {
		for (size_t i = 0; i < bytes.n; i++)
			b->p[at + i] ^= mask[i & 3];
	}
}

void ws_put_close(struct buf *b, enum ws_code code, const uint8_t *mask)
{
	uint8_t text[2];

	put_be16(text, (uint16_t)code);
	ws_put(b, WS_OP_CLOSE, SPAN_OF(text), mask);
}

/* ---- the handshake ---- */

static void accept_for(struct span key, char dst[static WS_ACCEPT_MAX])
{
	AUTO_DONE(buf) struct buf b = { 0 };
	uint8_t digest[SHA_DIGEST_LENGTH];

	buf_add_span(&b, key);
	buf_add_str(&b, guid);
	(void)SHA1(b.p, b.n, digest);
	(void)base64_encode(dst, digest, sizeof(digest));
}

int ws_check_request(const struct http_head *h, const char *protocol)
{
	uint8_t raw[WS_KEY_LEN];

	if (!span_is(h->method, "GET") || !http_has_token(h, "upgrade", "websocket") ||
	    !http_has_token(h, "connection", "upgrade"))
		return ERR_UNKNOWN;
	if (!http_has_token(h, "sec-websocket-protocol", protocol))
		return ERR_UNKNOWN;
	if (!span_is(http_find(h, "sec-websocket-version"), "13"))
		return ERR_VERSION;
	return base64_decode(raw, sizeof(raw), http_find(h, "sec-websocket-key"));
}

void ws_put_answer(struct buf *b, const struct http_head *request, const char *protocol)
{
	ws_put_accept(b, http_find(request, "sec-websocket-key"), protocol);
}

void ws_put_accept(struct buf *b, struct span key, const char *protocol)
{
	char accept[WS_ACCEPT_MAX];

	accept_for(key, accept);
	buf_fmt(b,
	        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
	        "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n"
	        "Sec-WebSocket-Protocol: %s\r\n\r\n",
	        accept, protocol);
}

void ws_put_request_fields(struct buf *b, const uint8_t key[static WS_KEY_LEN],
                           const char *protocol)
{
	char text[BASE64_LEN(WS_KEY_LEN) + 1];

	buf_fmt(b,
	        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
	        "Sec-WebSocket-Key: %s\r\nSec-WebSocket-Protocol: %s\r\n",
	        base64_encode(text, key, WS_KEY_LEN), protocol);
}

int ws_check_answer(const struct http_head *h, const uint8_t key[static WS_KEY_LEN],
                    const char *protocol)
{
	char text[BASE64_LEN(WS_KEY_LEN) + 1], accept[WS_ACCEPT_MAX];

	if (h->status != 101)
		return ERR_DENIED;
	accept_for(span_str(base64_encode(text, key, WS_KEY_LEN)), accept);
	if (!http_has_token(h, "upgrade", "websocket") ||
	    !span_is(http_find(h, "sec-websocket-accept"), accept) ||
	    http_find(h, "sec-websocket-extensions").p)
		return ERR_MALFORMED;
	return span_is(http_find(h, "sec-websocket-protocol"), protocol) ? 0 : ERR_UNKNOWN;
}
