#pragma once
/*
 * WebSocket (RFC 6455) as a carrier of a byte stream, both sides: binary
 * messages, whose bounds mean nothing. No extensions, no text.
 *
 * The reader takes frames and appends what they carry to a buffer; pings and
 * closings are told, as the answers to them are the caller's to send (ws_put).
 */
#include "base/buf.h"
#include "base/enc.h"
#include "http/http.h"

enum {
	WS_CONTROL_MAX = 125,
	WS_HEAD_MAX = 14,
	WS_KEY_LEN = 16,
	WS_KEY_TEXT = 24,   /* in base64 */
	WS_ACCEPT_MAX = 29, /* base64 of 20 bytes, NUL */
};

enum ws_side { WS_SERVER, WS_CLIENT };
enum ws_op {
	WS_OP_MORE = 0,
	WS_OP_TEXT = 1,
	WS_OP_BINARY = 2,
	WS_OP_CLOSE = 8,
	WS_OP_PING = 9,
	WS_OP_PONG = 10
};
enum ws_code {
	WS_NORMAL = 1000,
	WS_GOING_AWAY = 1001,
	WS_PROTOCOL_ERROR = 1002,
	WS_UNSUPPORTED = 1003,
	WS_POLICY = 1008,
	WS_TOO_BIG = 1009
};

struct ws {
	enum ws_side side;
	unsigned refuse; /* after an error: the code to close with */

	uint64_t left; /* private from here: of the frame */
	uint8_t mask[4];
	uint8_t op;
	uint8_t at; /* of the mask */
	bool in_message, in_frame, over;
	uint8_t control[WS_CONTROL_MAX];
	uint8_t n_control;
};

void ws_init(struct ws *w, enum ws_side side);

enum ws_event { WS_DATA, WS_PING, WS_PONG, WS_CLOSE };
struct ws_step {
	enum ws_event event;
	size_t used;
	struct span payload; /* of a ping, pong, close; good until the next call */
};
/*
 * Takes from the front of the input until it is used up (WS_DATA: see what is
 * new in ret_plain) or a control frame is complete. At most max bytes are added
 * to ret_plain in one call; used says how far it got.
 *   ERR_MALFORMED	against the RFC, or text
 *   ERR_CLOSED		after a close frame
 */
NODISCARD int ws_read(struct ws *w, struct span in, size_t max, struct buf *ret_plain,
                      struct ws_step *ret);

/* The head of a whole message; a client masks, with four random bytes. Returns its length. */
size_t ws_head(uint8_t dst[static WS_HEAD_MAX], enum ws_op op, size_t n, const uint8_t *mask);
/* One message with its head; mask: NULL for a server. */
void ws_put(struct buf *b, enum ws_op op, struct span bytes, const uint8_t *mask);
void ws_put_close(struct buf *b, enum ws_code code, const uint8_t *mask);

/*
 * Looks at a request. 0: a WebSocket with this subprotocol, answer with
 * ws_put_answer. ERR_UNKNOWN: no WebSocket, or another subprotocol.
 * ERR_MALFORMED: meant to be one, and broken (400). ERR_VERSION (426)
 */
NODISCARD int ws_check_request(const struct http_head *h, const char *protocol);
/* The 101 answer to a request that ws_check_request took; the second from its key alone. */
void ws_put_answer(struct buf *b, const struct http_head *request, const char *protocol);
void ws_put_accept(struct buf *b, struct span key, const char *protocol);

/* A client's side: the fields of its request, and whether the answer fits. */
void ws_put_request_fields(struct buf *b, const uint8_t key[static WS_KEY_LEN],
                           const char *protocol);
/* ERR_DENIED: not 101. ERR_MALFORMED: the wrong answer. ERR_UNKNOWN: another subprotocol */
NODISCARD int ws_check_answer(const struct http_head *h, const uint8_t key[static WS_KEY_LEN],
                              const char *protocol);
