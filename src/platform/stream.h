#pragma once
/*
 * A byte stream over the event loop: a TCP or Unix socket, with or without TLS.
 *
 * Reading	`read` is shown what has arrived and says how much it used. The rest is
 *		kept, and shown again in front of what comes next, so a parser always
 *		sees one contiguous piece. Nothing is held for a stream that has
 *		nothing unread: an idle one costs its struct (and its TLS state).
 * Writing	stream_write takes all or nothing and queues what the socket does not
 *		take. Above out_high it answers STREAM_FULL: stop, until `drained`.
 *		stream_try_write queues nothing: for relays that keep their own queues.
 * The end	`closed` is called once, from the loop, never from within a call into
 *		the stream. The stream is dead then and is to be freed. Freeing inside
 *		any of the callbacks is allowed.
 *
 * Threads	that of the loop.
 */
#include <sys/types.h>
#include <sys/uio.h>

#include "base/ip.h"
#include "base/own.h"
#include "base/span.h"
#include "base/time.h"
#include "platform/ev.h"

struct stream;
struct tls_server;
struct tls_client;
struct tls_peer;

enum {
	STREAM_FULL = 1,            /* taken, but wait for `drained` before the next */
	STREAM_READ_MAX = 64 << 10, /* at most this much new in one `read`, unless told otherwise */
	STREAM_IN_MAX = 64 << 10,   /* what a reader may leave unread, unless in_max says less */
	STREAM_OUT_MAX = 1 << 20,
	STREAM_TRY_MAX = 64 << 10, /* at most this much taken by one stream_try_write */
	/* A TLS record that has come in part must be whole after so long, or it is ERR_TIMEOUT. */
	STREAM_HALF_US = 30 * 1000 * 1000,
};

struct stream_ops {
	/* The TLS handshake is done: may write from here. Not called for plain streams. Optional.
	 */
	void (*open)(struct stream *s, void *owner);
	/*
	 * The bytes are good until the call returns. Using none of a full in_max is an
	 * overlong message: the stream closes with ERR_LIMIT.
	 */
	size_t (*read)(struct stream *s, void *owner, struct span bytes);
	/* After STREAM_FULL or a short try_write: there is room again. Optional. */
	void (*drained)(struct stream *s, void *owner);
	/*
	 * The other side will send no more; writing still works. Optional: without it
	 * the stream closes with ERR_CLOSED.
	 */
	void (*eof)(struct stream *s, void *owner);
	/* why: ERR_CLOSED, ERR_TIMEOUT, ERR_LIMIT, ERR_TLS, -errno */
	void (*closed)(struct stream *s, void *owner, int why);
};

/* All zero: the defaults. */
struct stream_cfg {
	size_t in_max;            /* STREAM_IN_MAX; not above it */
	size_t out_max;           /* STREAM_OUT_MAX: more is refused with ERR_LIMIT */
	size_t out_high, out_low; /* out_max / 4, out_high / 2 */
	int64_t stall_us;         /* close if a queue makes no progress this long; 0: never */
};

/* Takes the descriptor (connected, and made non-blocking here). Reading starts at once. */
NODISCARD int stream_new(struct ev *ev, int fd, const struct stream_cfg *cfg,
                         const struct stream_ops *ops, void *owner, struct stream **ret);
/* A connected pair, for tests and for things inside one process. -errno */
NODISCARD int stream_pair(int ret_fds[static 2]);
/* At once; what is queued is lost. NULL is allowed. */
void stream_free(struct stream *s);
DEFINE_AUTO(stream_free, struct stream *)

/*
 * TLS from here on, before any other byte. The context is kept alive by the
 * stream. `open` tells when it is done; writes before that are ERR_BADSTATE.
 */
NODISCARD int stream_start_tls_server(struct stream *s, struct tls_server *tls);
NODISCARD int stream_start_tls_client(struct stream *s, struct tls_client *tls,
                                      const struct tls_peer *peer);

/* Hands the stream to another owner (an upgrade). Unread bytes are shown to it from the loop. */
void stream_hand_over(struct stream *s, const struct stream_ops *ops, void *owner);
void *stream_owner(const struct stream *s);
struct ev *stream_ev(const struct stream *s);

/*
 *   0, STREAM_FULL	all taken
 *   ERR_LIMIT		nothing taken, over out_max
 *   ERR_BADSTATE	TLS not open yet, or after stream_shutdown
 *   other		the stream is lost; `closed` follows
 */
NODISCARD int stream_write(struct stream *s, struct span bytes);
NODISCARD int stream_writev(struct stream *s, const struct iovec *iov, size_t n);
/*
 * What can go now, and no more than STREAM_TRY_MAX; the number of bytes taken,
 * from the front. Fewer than offered: `drained` will be called. (Under TLS one
 * burst of sealed records may stay behind in the stream; nothing is taken until
 * that has gone.) Negative as above.
 */
NODISCARD int stream_try_write(struct stream *s, const struct iovec *iov, size_t n);
/* Bytes waiting for the socket. */
size_t stream_queued(const struct stream *s);

/* No more bytes from us, once the queue has gone. Reading goes on. */
void stream_shutdown(struct stream *s);
/*
 * Takes the stream away from its owner: what is queued is sent, then our end
 * closes, what still comes is thrown away, and the stream frees itself when the
 * other side closes too or max_us are over.
 */
void stream_linger(struct stream *s, int64_t max_us);

/* Back-pressure: while paused nothing is read, and unread bytes wait. */
void stream_pause(struct stream *s);
void stream_resume(struct stream *s);
/* At most so many new bytes in one read from now on (STREAM_READ_MAX): others wait meanwhile. */
void stream_read_at_most(struct stream *s, size_t n);
/* Show the unread bytes again from the loop, for a reader that left some on purpose. */
void stream_read_again(struct stream *s);

/* Closes with ERR_TIMEOUT when reached; MONO_NEVER takes it away. One a stream, set as often as
 * wanted. */
void stream_deadline(struct stream *s, mono at);

/* Who is there. All zero for Unix sockets. */
const struct addr *stream_peer(const struct stream *s);
/* Our own end. ERR_UNKNOWN for Unix sockets */
NODISCARD int stream_local(const struct stream *s, struct addr *ret);

struct stream_cred {
	pid_t pid;
	uid_t uid;
	gid_t gid;
};
/* Of a Unix socket's other end (SO_PEERCRED). -errno */
NODISCARD int stream_cred(const struct stream *s, struct stream_cred *ret);

/* For long-lived connections; 0 leaves a value alone. Harmless on Unix sockets. */
struct stream_tcp {
	unsigned keepalive_s;     /* idle time before probes */
	unsigned user_timeout_ms; /* unacknowledged data for this long breaks the connection */
	unsigned unsent_low;      /* TCP_NOTSENT_LOWAT: writable only below this much unsent */
};
void stream_tune(struct stream *s, const struct stream_tcp *tcp);

/* Bytes through the socket so far (with TLS: sealed). */
struct stream_count {
	uint64_t in, out;
};
struct stream_count stream_count(const struct stream *s);

/* The TLS side; all of it is empty for plain streams. */
struct stream_tls_info {
	const char *version; /* "TLSv1.3" */
	const char *alpn;    /* chosen protocol, "" if none */
	const char *sni;     /* asked for by the client, "" if none */
	bool has_cert;       /* the other side showed a certificate */
	uint8_t cert_sha256[32];
};
bool stream_is_tls(const struct stream *s);
/* Valid after `open`; ERR_BADSTATE otherwise. Text lives as long as the stream. */
NODISCARD int stream_tls_info(const struct stream *s, struct stream_tls_info *ret);
/*
 * Looks through the certificates the other side sent for one whose common name
 * starts with prefix; gives the rest of the name and the serial number, if that
 * fits a byte. ERR_UNKNOWN, ERR_LIMIT (name longer than cap - 1)
 */
NODISCARD int stream_tls_find_cn(const struct stream *s, const char *prefix, char *dst, size_t cap,
                                 unsigned *ret_serial);
/* Why TLS failed, for a log line; "" if it did not. */
const char *stream_tls_error(const struct stream *s);
