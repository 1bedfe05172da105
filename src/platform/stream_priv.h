#pragma once
/* Between stream.c and stream_tls.c; nobody else may see it. */
#include "platform/stream.h"

struct tls_conn;

/* Bytes for the socket: from `at` to `n`. Freed whenever it is empty. */
struct outq {
	uint8_t *p;
	size_t at, n, cap;
};

struct stream {
	struct ev *ev;
	struct ev_io io;
	struct ev_timer timer; /* the earlier of deadline and stall */
	struct ev_defer soon;  /* what must not happen inside a caller's call */
	const struct stream_ops *ops;
	void *owner;
	uint8_t *in; /* unread, kept for the owner */
	size_t in_n;
	struct outq out;
	struct tls_conn *tls;
	mono deadline, progress; /* progress: when the socket last took something */
	mono half;               /* since when part of a record waits for the rest; 0: none does */
	struct stream_count count;
	struct addr peer;
	uint32_t in_max, out_max, out_high, out_low, read_max;
	int64_t stall_us;
	int why;        /* once failed */
	uint16_t depth; /* callbacks being run: freeing waits for them */
	bool failed, dead, told_closed;
	bool paused, got_eof;
	bool full;    /* the owner waits for `drained` after a write */
	bool blocked; /* the same after a try_write */
	bool shut, sent_fin;
	bool show_again; /* unread bytes to be shown from the loop */
	bool lingering;
};

size_t outq_len(const struct outq *q);
void outq_reserve(struct outq *q, size_t n);
void outq_add(struct outq *q, const void *p, size_t n);

/* Marks the stream lost; `closed` follows from the loop. */
void stream_fail(struct stream *s, int why);
/* Sends what it can of the queue. */
void stream_flush(struct stream *s);

/*
 * The TLS filter. tls_conn_open takes sealed bytes, all of them, and gives plain
 * ones: the number written to dst, which has room for win.n + STREAM_TLS_SLACK.
 * *ret_opened: the handshake ended with this call; plain bytes then follow from
 * the next call on, which may be made at once with an empty window.
 */
enum { STREAM_TLS_SLACK = 17 << 10 };
struct tls_input {
	struct span win; /* consumed */
	bool opened, eof;
};
size_t tls_conn_unseal(struct stream *s, struct tls_input *in, uint8_t *dst, size_t cap);
/* Appends sealed records to the queue; the bytes taken, at most max. */
NODISCARD int tls_conn_seal(struct stream *s, const struct iovec *iov, size_t n, size_t max);
bool tls_conn_is_open(const struct stream *s);
/* Part of a record has come, and is kept. */
bool tls_conn_is_half(const struct stream *s);
void tls_conn_shutdown(struct stream *s);
void tls_conn_free(struct tls_conn *c);
