#include "platform/stream.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/err.h"
#include "base/mem.h"
#include "platform/sockaddr.h"
#include "platform/stream_priv.h"

/* ---- the queue ---- */

size_t outq_len(const struct outq *q)
{
	return q->n - q->at;
}

static void outq_done(struct outq *q)
{
	free(q->p);
	*q = (struct outq){ 0 };
}

/* Room for n more bytes at the end. */
void outq_reserve(struct outq *q, size_t n)
{
	if (q->at > 0 && q->n + n > q->cap) {
		memmove(q->p, q->p + q->at, q->n - q->at);
		q->n -= q->at;
		q->at = 0;
	}
	if (q->n + n > q->cap) {
		size_t cap = q->cap ? q->cap * 2 : 1024;

		while (cap < q->n + n)
			cap *= 2;
		q->p = mem_grow(q->p, cap, 1);
		q->cap = cap;
	}
}

void outq_add(struct outq *q, const void *p, size_t n)
{
	if (n == 0)
		return;
	outq_reserve(q, n);
	memcpy(q->p + q->n, p, n);
	q->n += n;
}

static void outq_drop(struct outq *q, size_t n)
{
	q->at += n;
	if (q->at == q->n)
		outq_done(q);
}

/* ---- life ---- */

static void destroy(struct stream *s)
{
	free(s->in);
	outq_done(&s->out);
	tls_conn_free(s->tls);
	free(s);
}

/* Around everything that may run a callback, as a callback may free the stream. */
static void enter(struct stream *s)
{
	s->depth++;
}

static void leave(struct stream *s)
{
	if (--s->depth == 0 && s->dead)
		destroy(s);
}

static bool usable(const struct stream *s)
{
	return !s->dead && !s->failed;
}

static void update_want(struct stream *s)
{
	unsigned want = 0;

	if (!s->paused && !s->got_eof)
		want |= EV_READ;
	/* Also when another write has emptied the queue: who was told to wait must hear of it. */
	if (outq_len(&s->out) > 0 || s->blocked || s->full)
		want |= EV_WRITE;
	ev_io_want(s->ev, &s->io, want);
}

static bool is_waiting_for_socket(const struct stream *s)
{
	return outq_len(&s->out) > 0 || s->blocked;
}

static mono next_alarm(const struct stream *s)
{
	mono at = s->deadline;

	if (s->stall_us > 0 && is_waiting_for_socket(s))
		at = mono_min(at, mono_after(s->progress, s->stall_us));
	if (s->half.us)
		at = mono_min(at, mono_after(s->half, STREAM_HALF_US));
	return at;
}

/* A timer that fires too early looks again, so it is only ever moved forward. */
static void arm(struct stream *s)
{
	mono at = next_alarm(s);

	if (!ev_timer_active(&s->timer) || mono_before(at, s->timer.node.at))
		ev_timer_set(s->ev, &s->timer, at);
}

void stream_fail(struct stream *s, int why)
{
	if (!usable(s))
		return;
	s->failed = true;
	s->why = why;
	ev_timer_stop(s->ev, &s->timer);
	ev_io_want(s->ev, &s->io, 0);
	ev_io_stop(s->ev, &s->io);
	ev_defer(s->ev, &s->soon);
}

void stream_free(struct stream *s)
{
	if (!s || s->dead)
		return;
	s->dead = true;
	ev_timer_stop(s->ev, &s->timer);
	ev_defer_stop(&s->soon);
	ev_io_stop(s->ev, &s->io);
	fd_close(s->io.fd);
	if (s->depth == 0)
		destroy(s);
}

/* ---- reading ---- */

static void keep_unread(struct stream *s, const uint8_t *p, size_t n)
{
	assert(!s->in);
	s->in = n ? mem_dup(p, n) : NULL;
	s->in_n = n;
}

/* Shows the bytes to the owner and keeps what it leaves. */
static void deliver(struct stream *s, const uint8_t *p, size_t n)
{
	const struct stream_ops *before = s->ops;
	size_t used = s->ops->read(s, s->owner, span(p, n));

	assert(used <= n);
	if (!usable(s))
		return;
	keep_unread(s, p + used, n - used);
	if (n == used || s->paused)
		return;
	if (s->ops != before || s->show_again)
		ev_defer(s->ev, &s->soon), s->show_again = true;
	else if (used == 0 && n >= s->in_max)
		stream_fail(s, ERR_LIMIT);
	else if (n - used > s->in_max)
		ev_defer(s->ev, &s->soon), s->show_again = true;
}

static void show_unread(struct stream *s)
{
	uint8_t *p = s->in;
	size_t n = s->in_n;

	s->show_again = false;
	if (s->paused || n == 0)
		return;
	s->in = NULL;
	s->in_n = 0;
	deliver(s, p, n);
	free(p);
}

static void at_eof(struct stream *s)
{
	s->got_eof = true;
	update_want(s);
	if (s->tls && !tls_conn_is_open(s))
		stream_fail(s, ERR_CLOSED);
	else if (s->ops->eof)
		s->ops->eof(s, s->owner);
	else
		stream_fail(s, ERR_CLOSED);
}

static ssize_t receive(struct stream *s, uint8_t *dst, size_t cap)
{
	ssize_t n = recv(s->io.fd, dst, cap, 0);

	if (n > 0)
		s->count.in += (size_t)n;
	else if (n < 0 && errno != EAGAIN && errno != EINTR)
		stream_fail(s, errno == ECONNRESET ? ERR_CLOSED : -errno);
	return n;
}

/* The unread bytes go in front of the new ones, in one piece. */
static size_t take_unread(struct stream *s, uint8_t *dst)
{
	size_t n = s->in_n;

	if (n)
		memcpy(dst, s->in, n);
	free(TAKE(s->in));
	s->in_n = 0;
	return n;
}

static void read_plain(struct stream *s)
{
	uint8_t bytes[STREAM_IN_MAX + STREAM_READ_MAX];
	size_t have = take_unread(s, bytes);
	ssize_t n = receive(s, bytes + have, s->read_max);

	if (!usable(s))
		return;
	if (n > 0)
		deliver(s, bytes, have + (size_t)n);
	else
		keep_unread(s, bytes, have);
	if (n == 0 && usable(s))
		at_eof(s);
}

static void show_plain(struct stream *s, const uint8_t *bytes, size_t old, size_t fresh)
{
	if (fresh > 0)
		deliver(s, bytes, old + fresh);
	else
		keep_unread(s, bytes, old);
}

/* Counts from the last time nothing was kept: each record that ends begins it anew. */
static void watch_half(struct stream *s, bool progress)
{
	if (!tls_conn_is_half(s)) {
		s->half = (mono){ 0 };
	} else if (!s->half.us || progress) {
		s->half = ev_now(s->ev);
		arm(s);
	}
}

static void read_tls(struct stream *s)
{
	uint8_t sealed[STREAM_READ_MAX];
	uint8_t bytes[STREAM_IN_MAX + STREAM_READ_MAX + STREAM_TLS_SLACK];
	ssize_t n = receive(s, sealed, s->read_max);
	struct tls_input in = { .win = span(sealed, n > 0 ? (size_t)n : 0), .eof = n == 0 };

	if (!usable(s) || n < 0)
		return;
	do {
		in.opened = false;

		size_t have = take_unread(s, bytes);
		size_t fresh = tls_conn_unseal(s, &in, bytes + have, sizeof(bytes) - have);

		stream_flush(s);
		watch_half(s, fresh > 0);
		if (fresh > 0 || usable(s))
			show_plain(s, bytes, have, fresh);
		if (in.opened && usable(s) && s->ops->open)
			s->ops->open(s, s->owner);
	} while (in.opened && usable(s));
	if (in.eof && usable(s))
		at_eof(s);
}

static void readable(struct stream *s, unsigned events)
{
	if (s->paused || s->got_eof || s->in_n > STREAM_IN_MAX) {
		/* Nobody reads, nobody could be written to: a hang-up would come for ever. */
		if (events & EV_HANGUP)
			stream_fail(s, ERR_CLOSED);
		return;
	}
	if (s->tls)
		read_tls(s);
	else
		read_plain(s);
}

/* ---- writing ---- */

static void advance(struct stream *s, size_t n)
{
	s->count.out += n;
	s->progress = ev_now(s->ev);
}

static ssize_t send_iov(struct stream *s, const struct iovec *iov, size_t n)
{
	struct msghdr m = { .msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = n };
	ssize_t sent = sendmsg(s->io.fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);

	if (sent >= 0) {
		advance(s, (size_t)sent);
		return sent;
	}
	if (errno == EAGAIN || errno == EINTR || errno == ENOBUFS)
		return 0;
	stream_fail(s, errno == EPIPE || errno == ECONNRESET ? ERR_CLOSED : -errno);
	return -1;
}

static void finish_shutdown(struct stream *s)
{
	if (!s->shut || s->sent_fin || outq_len(&s->out) > 0)
		return;
	s->sent_fin = true;
	(void)shutdown(s->io.fd, SHUT_WR);
	if (s->lingering && s->got_eof)
		stream_fail(s, ERR_CLOSED);
}

void stream_flush(struct stream *s)
{
	while (usable(s) && outq_len(&s->out) > 0) {
		struct iovec iov = { s->out.p + s->out.at, outq_len(&s->out) };
		ssize_t n = send_iov(s, &iov, 1);

		if (n <= 0)
			break;
		outq_drop(&s->out, (size_t)n);
	}
	if (!usable(s))
		return;
	finish_shutdown(s);
	update_want(s);
	arm(s);
}

static bool take_drained(struct stream *s)
{
	bool tell = (s->full && outq_len(&s->out) <= s->out_low) ||
	            (s->blocked && outq_len(&s->out) == 0);

	if (tell)
		s->full = s->blocked = false;
	return tell;
}

static void tell_drained(struct stream *s)
{
	if (!take_drained(s))
		return;
	if (s->ops->drained)
		s->ops->drained(s, s->owner);
	if (usable(s))
		update_want(s);
}

static int can_write(const struct stream *s)
{
	if (s->failed)
		return s->why;
	if (s->dead || s->shut || (s->tls && !tls_conn_is_open(s)))
		return ERR_BADSTATE;
	return 0;
}

static size_t iov_len(const struct iovec *iov, size_t n)
{
	size_t sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += iov[i].iov_len;
	return sum;
}

static void queue_from(struct stream *s, const struct iovec *iov, size_t n, size_t skip)
{
	for (size_t i = 0; i < n; i++) {
		size_t off = skip < iov[i].iov_len ? skip : iov[i].iov_len;

		skip -= off;
		outq_add(&s->out, (const uint8_t *)iov[i].iov_base + off, iov[i].iov_len - off);
	}
}

static int write_plain(struct stream *s, const struct iovec *iov, size_t n)
{
	ssize_t sent = 0;

	if (outq_len(&s->out) == 0)
		sent = send_iov(s, iov, n);
	if (sent < 0)
		return s->why;
	if (outq_len(&s->out) == 0)
		s->progress = ev_now(s->ev);
	queue_from(s, iov, n, (size_t)sent);
	return 0;
}

static int write_tls(struct stream *s, const struct iovec *iov, size_t n)
{
	int r = tls_conn_seal(s, iov, n, SIZE_MAX);

	stream_flush(s);
	return r < 0 ? r : s->failed ? s->why : 0;
}

int stream_writev(struct stream *s, const struct iovec *iov, size_t n)
{
	size_t len = iov_len(iov, n);
	int r = can_write(s);

	if (r < 0)
		return r;
	if (len > s->out_max - (outq_len(&s->out) < s->out_max ? outq_len(&s->out) : s->out_max))
		return ERR_LIMIT;
	r = s->tls ? write_tls(s, iov, n) : write_plain(s, iov, n);
	if (r < 0)
		return r;
	update_want(s);
	arm(s);
	if (outq_len(&s->out) < s->out_high)
		return 0;
	s->full = true;
	update_want(s);
	return STREAM_FULL;
}

int stream_write(struct stream *s, struct span bytes)
{
	struct iovec iov = { (void *)(uintptr_t)bytes.p, bytes.n };

	return stream_writev(s, &iov, 1);
}

static int block(struct stream *s, int taken)
{
	if (!s->blocked)
		s->progress = ev_now(s->ev);
	s->blocked = true;
	update_want(s);
	arm(s);
	return taken;
}

/* sendmsg takes what it likes; the limit is for those who seal before they send. */
static int try_once(struct stream *s, const struct iovec *iov, size_t n)
{
	if (!s->tls)
		return (int)send_iov(s, iov, n);

	int r = tls_conn_seal(s, iov, n, STREAM_TRY_MAX);

	stream_flush(s);
	return r;
}

int stream_try_write(struct stream *s, const struct iovec *iov, size_t n)
{
	size_t len = iov_len(iov, n);
	int r = can_write(s);

	if (r < 0)
		return r;
	stream_flush(s);
	if (s->failed)
		return s->why;
	if (outq_len(&s->out) > 0)
		return block(s, 0);
	r = try_once(s, iov, n);
	if (s->failed)
		return s->why;
	return (size_t)r < len ? block(s, r) : r;
}

size_t stream_queued(const struct stream *s)
{
	return outq_len(&s->out);
}

void stream_shutdown(struct stream *s)
{
	if (!usable(s) || s->shut)
		return;
	if (s->tls)
		tls_conn_shutdown(s);
	s->shut = true;
	stream_flush(s);
}

/* ---- the loop ---- */

static void on_io(struct ev_io *io, unsigned events)
{
	struct stream *s = CONTAINER_OF(io, struct stream, io);

	enter(s);
	if (events & EV_WRITE) {
		stream_flush(s);
		if (usable(s))
			tell_drained(s);
	}
	if (usable(s) && (events & (EV_READ | EV_HANGUP)))
		readable(s, events);
	leave(s);
}

static void on_soon(struct ev_defer *d)
{
	struct stream *s = CONTAINER_OF(d, struct stream, soon);

	enter(s);
	if (s->failed && !s->told_closed) {
		s->told_closed = true;
		s->ops->closed(s, s->owner, s->why);
	} else if (usable(s) && s->show_again) {
		show_unread(s);
	}
	leave(s);
}

static void on_timer(struct ev_timer *t, mono now)
{
	struct stream *s = CONTAINER_OF(t, struct stream, timer);

	if (mono_reached(next_alarm(s), now))
		stream_fail(s, ERR_TIMEOUT);
	else
		arm(s);
}

static void set_limits(struct stream *s, const struct stream_cfg *cfg)
{
	static const struct stream_cfg none;

	if (!cfg)
		cfg = &none;
	s->in_max = cfg->in_max ? (uint32_t)cfg->in_max : STREAM_IN_MAX;
	s->read_max = STREAM_READ_MAX;
	s->out_max = cfg->out_max ? (uint32_t)cfg->out_max : STREAM_OUT_MAX;
	s->out_high = cfg->out_high ? (uint32_t)cfg->out_high : s->out_max / 4;
	s->out_low = cfg->out_low ? (uint32_t)cfg->out_low : s->out_high / 2;
	s->stall_us = cfg->stall_us;
	assert(s->in_max <= STREAM_IN_MAX);
}

static void learn_peer(struct stream *s, int fd)
{
	union sockaddr_any peer;
	socklen_t n = sizeof(peer);
	int one = 1;

	if (getpeername(fd, &peer.sa, &n) == 0 && sockaddr_to(&peer.sa, n, &s->peer) == 0)
		(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
}

int stream_new(struct ev *ev, int fd, const struct stream_cfg *cfg, const struct stream_ops *ops,
               void *owner, struct stream **ret)
{
	struct stream *s = mem_new(struct stream);
	int flags = fcntl(fd, F_GETFL);

	s->ev = ev;
	s->ops = ops;
	s->owner = owner;
	s->io.fn = on_io;
	s->timer.fn = on_timer;
	s->soon.fn = on_soon;
	s->deadline = MONO_NEVER;
	set_limits(s, cfg);

	int r = flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ? -errno : 0;

	if (r == 0)
		r = ev_io_start(ev, &s->io, fd, EV_READ);
	if (r < 0) {
		free(s);
		fd_close(fd);
		return r;
	}
	learn_peer(s, fd);
	*ret = s;
	return 0;
}

int stream_pair(int ret_fds[static 2])
{
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ret_fds) < 0)
		return -errno;
	return 0;
}

/* ---- the owner's wishes ---- */

void stream_hand_over(struct stream *s, const struct stream_ops *ops, void *owner)
{
	s->ops = ops;
	s->owner = owner;
	s->full = false;
	if (s->in_n > 0)
		stream_read_again(s);
}

void *stream_owner(const struct stream *s)
{
	return s->owner;
}

struct ev *stream_ev(const struct stream *s)
{
	return s->ev;
}

void stream_pause(struct stream *s)
{
	s->half = (mono){ 0 }; /* it is us who do not read */
	s->paused = true;
	if (usable(s))
		update_want(s);
}

void stream_resume(struct stream *s)
{
	if (!s->paused)
		return;
	s->paused = false;
	if (s->tls)
		watch_half(s, true);
	if (!usable(s))
		return;
	update_want(s);
	if (s->in_n > 0)
		stream_read_again(s);
}

void stream_read_at_most(struct stream *s, size_t n)
{
	s->read_max = n > 0 && n < STREAM_READ_MAX ? (uint32_t)n : STREAM_READ_MAX;
}

void stream_read_again(struct stream *s)
{
	if (!usable(s))
		return;
	s->show_again = true;
	ev_defer(s->ev, &s->soon);
}

void stream_deadline(struct stream *s, mono at)
{
	s->deadline = at;
	if (usable(s))
		arm(s);
}

static size_t swallow(struct stream *s, void *owner, struct span bytes)
{
	(void)s;
	(void)owner;
	return bytes.n;
}

static void linger_closed(struct stream *s, void *owner, int why)
{
	(void)owner;
	(void)why;
	stream_free(s);
}

void stream_linger(struct stream *s, int64_t max_us)
{
	static const struct stream_ops ops = { .read = swallow, .closed = linger_closed };

	stream_hand_over(s, &ops, NULL);
	s->lingering = true;
	stream_resume(s);
	stream_shutdown(s);
	stream_deadline(s, mono_after(ev_now(s->ev), max_us));
	if (s->failed) {
		s->told_closed = false;
		ev_defer(s->ev, &s->soon);
	} else if (s->sent_fin && s->got_eof) {
		stream_fail(s, ERR_CLOSED);
	}
}

/* ---- what is known of the other side ---- */

const struct addr *stream_peer(const struct stream *s)
{
	return &s->peer;
}

int stream_local(const struct stream *s, struct addr *ret)
{
	union sockaddr_any local;
	socklen_t n = sizeof(local);

	if (getsockname(s->io.fd, &local.sa, &n) < 0)
		return -errno;
	return sockaddr_to(&local.sa, n, ret);
}

int stream_cred(const struct stream *s, struct stream_cred *ret)
{
	struct ucred cred;
	socklen_t n = sizeof(cred);

	if (getsockopt(s->io.fd, SOL_SOCKET, SO_PEERCRED, &cred, &n) < 0)
		return -errno;
	*ret = (struct stream_cred){ cred.pid, cred.uid, cred.gid };
	return 0;
}

static void set_tcp(struct stream *s, int option, unsigned value)
{
	if (value)
		(void)setsockopt(s->io.fd, IPPROTO_TCP, option, &value, sizeof(value));
}

void stream_tune(struct stream *s, const struct stream_tcp *tcp)
{
	int one = 1;

	if (tcp->keepalive_s)
		(void)setsockopt(s->io.fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
	set_tcp(s, TCP_KEEPIDLE, tcp->keepalive_s);
	set_tcp(s, TCP_USER_TIMEOUT, tcp->user_timeout_ms);
	set_tcp(s, TCP_NOTSENT_LOWAT, tcp->unsent_low);
}

struct stream_count stream_count(const struct stream *s)
{
	return s->count;
}
