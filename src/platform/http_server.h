#pragma once
/*
 * An HTTP server on the loop: HTTP/1.1 and HTTP/2 over streams (TCP, Unix, TLS)
 * or over bytes of the caller's (Noise). The owner listens and gives accepted
 * descriptors in; every request comes to one function, which looks it up in a
 * table (http/route.h) and answers now or later.
 *
 *	static void on_request(void *owner, struct http_req *req)
 *	{
 *		...
 *		http_answer(req, 200, "text/plain", SPAN_LIT("hello\n"));
 *	}
 *
 * A request lives until it has been answered (http_answer, http_finish,
 * http_hijack) or has `gone`; whoever answers later must hear of the latter.
 *
 * Every wait for the other side has a limit, and each connection closed for one
 * is counted under its reason.
 */
#include "base/ip.h"
#include "base/mem.h"
#include "http/http.h"
#include "http/route.h"
#include "platform/ev.h"
#include "platform/stream.h"
#include "platform/tls.h"

struct http_server;
struct http_conn;
struct http_req;

#define HTTP_DROP_LIST(X)                                                  \
	X(TOO_MANY, "more connections than allowed")                       \
	X(TOO_MANY_FROM, "more connections from one address than allowed") \
	X(SLOW_TLS, "TLS handshake not finished in time")                  \
	X(SLOW_HEAD, "request head not finished in time")                  \
	X(SLOW_BODY, "request body stood still")                           \
	X(IDLE, "kept open without a request")                             \
	X(SLOW_READER, "answer not read in time")                          \
	X(BAD_TLS, "TLS handshake failed")                                 \
	X(BAD_REQUEST, "not HTTP, or HTTP that is refused")

/* clang-format off */
enum http_drop {
#define X(name, text) HTTP_DROP_##name,
	HTTP_DROP_LIST(X)
#undef X
	HTTP_DROP_MAX
};
/* clang-format on */

struct http_stats {
	uint64_t accepted, requests;
	uint64_t drops[HTTP_DROP_MAX];
	size_t open;
};
/* "SLOW_HEAD" as "slow_head", for metrics. */
const char *http_drop_name(enum http_drop d);

enum {
	HTTP_CONNS_MAX = 10000,
	HTTP_CONNS_FROM_MAX =
		1000, /* from one address; Unix sockets and trusted proxies are exempt */
	HTTP_BODY_MAX = 1 << 20,
	HTTP_DRAIN_MAX = 64 << 10, /* of an unwanted body read to keep a connection */
};

/* Zero: the defaults given. */
struct http_server_cfg {
	struct ev *ev;
	void (*request)(void *owner, struct http_req *req);
	void *owner;
	size_t conns_max, conns_from_max;
	int64_t head_us;  /* TLS and the head of the first request: 10 s */
	int64_t body_us;  /* without a byte of a body: 30 s */
	int64_t idle_us;  /* between requests: 2 min */
	int64_t stall_us; /* an answer not read: 30 s */
	/* Whose X-Forwarded-For and X-Forwarded-Proto are believed. Kept by pointer. */
	const struct prefix *trusted;
	size_t n_trusted;
	bool trust_unix; /* believe them on Unix sockets too */
};

struct http_server *http_server_new(const struct http_server_cfg *cfg);
/* All connections end at once; requests not answered are `gone`. */
void http_server_free(struct http_server *s);
DEFINE_AUTO(http_server_free, struct http_server *)

/* Takes the descriptor of a new connection; tls may be NULL. */
void http_server_accept(struct http_server *s, int fd, const struct addr *peer,
                        struct tls_server *tls);
/* No more requests: idle connections close, busy ones after their answer. */
void http_server_shutdown(struct http_server *s);
const struct http_stats *http_server_stats(const struct http_server *s);

/*
 * HTTP/2 over bytes of the caller's. The conn is fed with http_conn_input and
 * calls back:
 */
struct http_pipe {
	int (*write)(void *arg,
	             struct span bytes); /* as stream_write; after STREAM_FULL, http_conn_drained */
	size_t (*queued)(void *arg);     /* bytes not yet gone */
	/* The conn is over: close, after what is queued if `flush`. Called once, last. */
	void (*close)(void *arg, bool flush);
};
/* NULL: over a limit, or the server is shutting down. */
struct http_conn *http_conn_new(struct http_server *s, const struct http_pipe *pipe, void *arg,
                                const struct addr *peer, bool secure);
/* All of it is taken, or the conn closes. */
void http_conn_input(struct http_conn *c, struct span bytes);
/* The queue has run low: more may be written. */
void http_conn_drained(struct http_conn *c);
/* The other side is gone; `close` is not called. */
void http_conn_lost(struct http_conn *c);

/* ---- requests ---- */

struct http_req {
	const struct http_head *head;
	struct span path, query; /* of the target; the path still percent-encoded */
	struct addr from;        /* who asks, seen through trusted proxies; zero on Unix sockets */
	bool secure;             /* over TLS, here or at a trusted proxy */
	bool is_h2;
	struct arena arena;    /* gone with the request */
	struct stream *stream; /* that it came on, to look at; NULL over a pipe */
	void *pipe_arg;        /* of http_conn_new */
	void *user;            /* the handler's */
};

/* Fields for the answer, to be set before it. Texts are copied. */
void http_put_field(struct http_req *req, const char *name, const char *value);

/* The whole answer. type may be NULL if the body is empty. The request is over. */
void http_answer(struct http_req *req, unsigned status, const char *type, struct span body);
/* The same with "text/plain; charset=utf-8" and a new line at the end. */
void http_answer_text(struct http_req *req, unsigned status, const char *fmt, ...) PRINTF(3, 4);
/* A redirect. */
void http_answer_redirect(struct http_req *req, unsigned status, const char *location);

/*
 * An answer in pieces. http_send gives STREAM_FULL when the handler should wait
 * for `drained`, and negative when the other side is lost (`gone` follows).
 */
void http_begin(struct http_req *req, unsigned status, const char *type);
NODISCARD int http_send(struct http_req *req, struct span bytes);
void http_finish(struct http_req *req);
/*
 * For an answer that goes on for hours: after http_begin and the whole body, what
 * was asked is let go of. Head, path, query, body and arena are gone; only
 * http_send, http_finish and http_abort may follow.
 */
void http_settle(struct http_req *req);
/* Breaks the connection (HTTP/2: the stream), so that the answer is seen to be cut. */
void http_abort(struct http_req *req);

struct http_later {
	/* The other side left before the answer was complete. The request is over. */
	void (*gone)(struct http_req *req, void *arg);
	void (*drained)(struct http_req *req, void *arg); /* optional */
	void *arg;
};
void http_answer_later(struct http_req *req, const struct http_later *later);

/*
 * Reads the body. Whole: done is called once, from here if all is there already;
 * a body longer than max (0: HTTP_BODY_MAX) is answered with 413 and `gone`
 * told. In pieces: bytes are done with when the call returns; end is the last.
 */
void http_read_body(struct http_req *req, size_t max,
                    void (*done)(struct http_req *req, void *arg, struct span body), void *arg);
struct http_body {
	void (*bytes)(struct http_req *req, void *arg, struct span bytes);
	void (*end)(struct http_req *req, void *arg);
	void *arg;
};
void http_stream_body(struct http_req *req, const struct http_body *body);
/* For a handler that cannot keep up. */
void http_pause_body(struct http_req *req, bool pause);

/*
 * Takes the connection itself, for protocols after an upgrade: HTTP/1 over a
 * stream, with a body that has been read or is empty; NULL otherwise, and the
 * request goes on. Nothing was answered: the caller writes its 101. The
 * request is over (copy what is needed of it before); the stream's owner must be
 * set with stream_hand_over before returning to the loop.
 */
struct stream *http_hijack(struct http_req *req);
