#pragma once
/*
 * The relay's side of a WebSocket (RFC 6455) that carries a DERP stream in
 * binary messages, as browsers do it. Where messages begin and end means
 * nothing. No extensions.
 */
#include "base/buf.h"
#include "platform/stream.h"

enum { WS_CONTROL_MAX = 125, WS_PIECE_MAX = 32 << 10 };

struct ws_side;
struct ws_side *ws_side_new(void);
void ws_side_free(struct ws_side *w);

/* The 101 answer to a request with this Sec-WebSocket-Key. */
void ws_side_answer(struct buf *out, const char *key);
/* One binary message. */
void ws_side_put(struct buf *out, struct span bytes);

/*
 * Takes from *in.
 *   1			*ret is what has come of the DERP stream, to be used from the front
 *   0			more is needed
 *   ERR_CLOSED		the other side said goodbye (we too, then)
 *   ERR_MALFORMED	against the RFC: not masked, reserved bits, text, a long control frame
 * Pings are answered. The stream is where answers go; NULL: nowhere.
 */
NODISCARD int ws_side_read(struct ws_side *w, struct stream *s, struct span *in, struct span *ret);
/* n bytes of what ws_side_read gave have been used. */
void ws_side_used(struct ws_side *w, size_t n);
/* What was given and not used. */
struct span ws_side_left(const struct ws_side *w);

/* As stream_try_write, in messages; what is taken goes out whole. */
NODISCARD ssize_t ws_side_write(struct stream *s, const struct iovec *iov, size_t n);
