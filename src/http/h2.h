#pragma once
/*
 * HTTP/2 (RFC 9113) over nghttp2, as a core: bytes in with h2_recv, bytes out
 * with h2_send, over TLS, Noise or plain. Both sides; no server push.
 *
 * What comes is told through `struct h2_ops`, from within h2_recv. In an op one
 * may answer, write, reset, start requests, but not free the session.
 *
 * A stream is one request and its answer. It is made by h2_request or told by
 * the first `head`; it is gone after its `closed`, which always comes, also when
 * the session is freed.
 *
 * Flow control	`body` says how many bytes are done with; the rest is given back
 *		with h2_consume, and the other side may not send more than the
 *		window until then. Written bytes wait in a queue of their stream;
 *		above out_high, H2_FULL asks to wait for `drained`.
 */
#include "base/buf.h"
#include "base/list.h"
#include "http/http.h"

struct h2;
struct h2_stream;

enum {
	H2_FULL = 1,
	H2_STREAMS = 128, /* at once, asked for by a client */
	H2_STREAM_WINDOW = 256 << 10,
	H2_SESSION_WINDOW = 1 << 20,
	H2_OUT_MAX = 16 << 20, /* queued for one stream */
	H2_OUT_HIGH = 256 << 10,
	H2_STREAMS_AHEAD = 1000, /* requests a client holds back while the server allows no more */
};

enum h2_side { H2_SERVER, H2_CLIENT };

/* RFC 9113 s.7 */
enum h2_code {
	H2_NO_ERROR = 0,
	H2_INTERNAL_ERROR = 2,
	H2_REFUSED_STREAM = 7,
	H2_CANCEL = 8,
	H2_ENHANCE_YOUR_CALM = 11,
};

struct h2_ops {
	/* The head of a request (server) or of the answer (client). Views are good during the call.
	 */
	void (*head)(void *owner, struct h2_stream *st, const struct http_head *head);
	/* Bytes of its body; returns how many are done with. */
	size_t (*body)(void *owner, struct h2_stream *st, struct span bytes);
	/* Nothing follows. */
	void (*end)(void *owner, struct h2_stream *st);
	/* After H2_FULL: there is room again. Optional. */
	void (*drained)(void *owner, struct h2_stream *st);
	/* 0: both sides were complete. ERR_CLOSED: reset, or the session has ended. */
	void (*closed)(void *owner, struct h2_stream *st, int why);
	/* The other side answered h2_ping. Optional. */
	void (*pong)(void *owner);
	/* The other side will take no new requests. Optional. */
	void (*goaway)(void *owner);
};

/* Zero: the defaults above. */
struct h2_cfg {
	enum h2_side side;
	uint32_t max_streams, stream_window, session_window;
	size_t out_max, out_high;
};

/* The session's preface and settings are ready to be sent. */
struct h2 *h2_new(const struct h2_cfg *cfg, const struct h2_ops *ops, void *owner);
void h2_free(struct h2 *h);
DEFINE_AUTO(h2_free, struct h2 *)

/* All of it is taken. ERR_MALFORMED: the session is over; send what h2_send still has. */
NODISCARD int h2_recv(struct h2 *h, struct span bytes);
/* Appends what is ready, until there are about max bytes in ret. ERR_MALFORMED, ERR_LIMIT */
NODISCARD int h2_send(struct h2 *h, struct buf *ret, size_t max);
bool h2_has_output(const struct h2 *h);
/* Nothing is expected and nothing is to be sent: close the connection. */
bool h2_is_over(const struct h2 *h);
size_t h2_n_streams(const struct h2 *h);
/* No new requests; the open ones go on. */
void h2_shutdown(struct h2 *h);
void h2_ping(struct h2 *h);

/*
 * A request: method, target, authority, scheme ("https" if empty) and fields of
 * the head; names in any case. end: no body follows. ERR_CLOSED, ERR_LIMIT,
 * ERR_MALFORMED
 */
NODISCARD int h2_request(struct h2 *h, const struct http_head *head, bool end, void *stream_owner,
                         struct h2_stream **ret);
/* The answer: status and fields. ERR_BADSTATE: answered already */
NODISCARD int h2_respond(struct h2_stream *st, const struct http_head *head, bool end);
/* Body bytes; end with an empty span is fine. ERR_LIMIT: nothing taken. ERR_BADSTATE */
NODISCARD int h2_write(struct h2_stream *st, struct span bytes, bool end);
/* n bytes of the body are done with. */
void h2_consume(struct h2_stream *st, size_t n);
/* Ends both directions; `closed` comes from a later h2_send. */
void h2_reset(struct h2_stream *st, enum h2_code code);
size_t h2_queued(const struct h2_stream *st);

void *h2_stream_owner(const struct h2_stream *st);
void h2_stream_set_owner(struct h2_stream *st, void *owner);
struct h2 *h2_stream_session(const struct h2_stream *st);
