#pragma once
/*
 * A DERP stream inside a WebSocket, as browsers speak it: http/ws between a
 * stream and a session. Where messages begin and end means nothing.
 */
#include "http/ws.h"
#include "platform/stream.h"

enum { WEBSOCK_PIECE_MAX = 32 << 10 };

struct websock;
struct websock *websock_new(void);
void websock_free(struct websock *w);

/* One binary message. */
void websock_put(struct buf *out, struct span bytes);

/*
 * Takes from *in.
 *   1			*ret is what has come of the DERP stream, to be used from the front
 *   0			more is needed
 *   ERR_CLOSED		the other side said goodbye (we too, then)
 *   ERR_MALFORMED	against the RFC, or text; it has been told so
 * Pings are answered. The stream is where answers go; NULL: nowhere. To be called until it
 * gives no 1.
 */
NODISCARD int websock_read(struct websock *w, struct stream *s, struct span *in, struct span *ret);
/* n bytes of what websock_read gave have been used. */
void websock_used(struct websock *w, size_t n);
/* What was given and not used. */
struct span websock_left(const struct websock *w);

/* As stream_try_write, in messages; what is taken goes out whole. */
NODISCARD ssize_t websock_write(struct stream *s, const struct iovec *iov, size_t n);
