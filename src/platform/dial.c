#include "platform/dial.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/enc.h"
#include "base/err.h"
#include "base/mem.h"
#include "http/h1.h"
#include "platform/sockaddr.h"

enum { PROXY_HEAD_MAX = 16 << 10, USERINFO_MAX = 512 };

struct attempt {
	struct ev_io io;
	struct dial *dial;
	struct addr to;
};

struct dial {
	struct ev *ev;
	struct resolver *resolver;
	char *host; /* to be reached in the end */
	uint16_t port;
	char *proxy_host; /* NULL: none */
	uint16_t proxy_port;
	char *proxy_auth; /* base64 of user:password, or NULL */
	struct tls_client *tls;
	struct tls_peer peer; /* owned texts */
	char *sni, *name, *pass_over;
	struct stream_cfg stream_cfg;
	int64_t delay4_us;
	int (*prepare)(void *arg, int fd, const struct addr *to);
	void *prepare_arg;
	void (*done)(void *owner, int r, struct stream *s);
	void *owner;

	struct resolve *resolve;
	struct ev_timer deadline, stagger;
	struct ev_defer report;
	struct ip addrs[DIAL_ATTEMPTS_MAX];
	size_t n_addrs, n_started, n_running;
	struct attempt attempt[DIAL_ATTEMPTS_MAX];
	struct stream *s;
	struct h1_reader proxy_answer;
	char *error;
	int r; /* the outcome, once `report` is due */
	bool over;
};

/* ---- the end ---- */

static void close_attempt(struct dial *d, struct attempt *a)
{
	int fd = a->io.fd;

	if (!a->io.active)
		return;
	ev_io_stop(d->ev, &a->io);
	fd_close(fd);
	d->n_running--;
}

static void stop_all(struct dial *d)
{
	resolve_cancel(TAKE(d->resolve));
	ev_timer_stop(d->ev, &d->deadline);
	ev_timer_stop(d->ev, &d->stagger);
	for (size_t i = 0; i < d->n_started; i++)
		close_attempt(d, &d->attempt[i]);
}

void dial_cancel(struct dial *d)
{
	if (!d)
		return;
	stop_all(d);
	ev_defer_stop(&d->report);
	stream_free(d->s);
	tls_client_unref(d->tls);
	free(d->host);
	free(d->proxy_host);
	if (d->proxy_auth)
		explicit_bzero(d->proxy_auth, strlen(d->proxy_auth));
	free(d->proxy_auth);
	free(d->sni);
	free(d->name);
	free(d->pass_over);
	free(d->error);
	free(d);
}

/* The owner hears of it from the loop. */
static void finish(struct dial *d, int r)
{
	if (d->over)
		return;
	d->over = true;
	d->r = r;
	stop_all(d);
	if (d->s)
		stream_pause(d->s);
	ev_defer(d->ev, &d->report);
}

static void on_report(struct ev_defer *def)
{
	struct dial *d = CONTAINER_OF(def, struct dial, report);
	struct stream *s = d->r == 0 ? TAKE(d->s) : NULL;

	if (s)
		stream_resume(s);
	d->done(d->owner, d->r, s);
	dial_cancel(d);
}

const char *dial_error(const struct dial *d)
{
	return d->error ? d->error : "";
}

static void on_deadline(struct ev_timer *t, mono now)
{
	(void)now;
	finish(CONTAINER_OF(t, struct dial, deadline), ERR_TIMEOUT);
}

/* ---- over the connected stream: proxy, then TLS ---- */

static void start_tls(struct dial *d)
{
	int r = d->tls ? stream_start_tls_client(d->s, d->tls, &d->peer) : 0;

	if (r < 0 || !d->tls)
		finish(d, r);
}

static void ask_proxy(struct dial *d)
{
	AUTO_DONE(buf) struct buf b = { .secret = true };
	bool ip6 = strchr(d->host, ':');

	buf_fmt(&b,
	        ip6 ? "CONNECT [%s]:%u HTTP/1.1\r\nHost: [%s]:%u\r\n"
	            : "CONNECT %s:%u HTTP/1.1\r\nHost: %s:%u\r\n",
	        d->host, d->port, d->host, d->port);
	if (d->proxy_auth)
		buf_fmt(&b, "Proxy-Authorization: Basic %s\r\n", d->proxy_auth);
	h1_end_head(&b);
	h1_reader_init(&d->proxy_answer, H1_RESPONSE);
	d->proxy_answer.answers_connect = true;

	int r = stream_write(d->s, buf_span(&b));

	if (r < 0)
		finish(d, r);
}

static void proxy_answered(struct dial *d, const struct http_head *h)
{
	if (h->status / 100 == 2)
		return;
	free(d->error);
	d->error = str_fmt("proxy: %u %.*s", h->status, SPAN_FMT(span_first(h->reason, 100)));
	finish(d, ERR_DENIED);
}

/* Only a proxy's answer is read here: everything else is for the owner to come. */
static size_t on_read(struct stream *s, void *owner, struct span bytes)
{
	struct dial *d = owner;
	struct http_head head;
	struct h1_step step;

	(void)s;
	if (d->over || !d->proxy_host)
		return 0;

	int r = h1_read(&d->proxy_answer, bytes, &head, &step);

	if (r < 0)
		finish(d, r);
	else if (step.event == H1_HEAD)
		proxy_answered(d, &head);
	else
		return 0;
	if (r < 0 || d->over)
		return 0;
	free(TAKE(d->proxy_host));
	if (step.used < bytes.n && d->tls)
		finish(d, ERR_MALFORMED); /* a server does not speak first in TLS */
	else
		ev_timer_set(d->ev, &d->stagger, ev_now(d->ev));
	return step.used;
}

static void on_open(struct stream *s, void *owner)
{
	(void)s;
	finish(owner, 0);
}

static void on_closed(struct stream *s, void *owner, int why)
{
	struct dial *d = owner;

	if (*stream_tls_error(s) && !d->error)
		d->error = str_dup(stream_tls_error(s));
	stream_free(s);
	d->s = NULL;
	if (d->over)
		d->r = d->r < 0 ? d->r : why;
	else
		finish(d, why);
}

static const struct stream_ops ops = { .open = on_open, .read = on_read, .closed = on_closed };

static void connected(struct dial *d, struct attempt *a)
{
	int fd = a->io.fd;

	ev_io_stop(d->ev, &a->io);
	d->n_running--;
	for (size_t i = 0; i < d->n_started; i++)
		close_attempt(d, &d->attempt[i]);
	ev_timer_stop(d->ev, &d->stagger);

	int r = stream_new(d->ev, fd, &d->stream_cfg, &ops, d, &d->s);

	if (r < 0)
		finish(d, r);
	else if (d->proxy_host)
		ask_proxy(d);
	else
		start_tls(d);
}

/* ---- racing the addresses ---- */

static void start_next(struct dial *d);

static void failed(struct dial *d, int why)
{
	if (d->r == 0 || why != -ENETUNREACH)
		d->r = why; /* says more than "no route", which one family often gives */
	if (d->n_running == 0 && d->n_started == d->n_addrs)
		finish(d, d->r);
	else
		start_next(d);
}

static void on_connect(struct ev_io *io, unsigned events)
{
	struct attempt *a = CONTAINER_OF(io, struct attempt, io);
	struct dial *d = a->dial;
	int e = 0;
	socklen_t n = sizeof(e);

	(void)events;
	if (getsockopt(io->fd, SOL_SOCKET, SO_ERROR, &e, &n) < 0)
		e = errno;
	if (e == 0) {
		connected(d, a);
		return;
	}
	close_attempt(d, a);
	failed(d, -e);
}

static int open_attempt(struct dial *d, struct attempt *a)
{
	union sockaddr_any sa;
	socklen_t n = sockaddr_from(&a->to, false, &sa);
	AUTO(fd_close)
	int fd = socket(sa.sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int r;

	if (fd < 0)
		return -errno;
	r = d->prepare ? d->prepare(d->prepare_arg, fd, &a->to) : 0;
	if (r < 0)
		return r;
	if (connect(fd, &sa.sa, n) < 0 && errno != EINPROGRESS)
		return -errno;
	a->io.fn = on_connect;
	r = ev_io_start(d->ev, &a->io, fd, EV_WRITE);
	if (r == 0)
		(void)TAKE_FD(fd);
	return r;
}

static void start_next(struct dial *d)
{
	while (!d->over && d->n_started < d->n_addrs) {
		struct attempt *a = &d->attempt[d->n_started];

		a->dial = d;
		a->to = (struct addr){ .ip = d->addrs[d->n_started++],
			               .port = d->proxy_host ? d->proxy_port : d->port };

		int r = open_attempt(d, a);

		if (r == 0) {
			d->n_running++;
			ev_timer_after(d->ev, &d->stagger, DIAL_STAGGER_US);
			return;
		}
		d->r = r;
	}
	if (d->n_running == 0)
		finish(d, d->r);
}

/* Also the way out of the proxy's read callback, as TLS is not to be started within it. */
static void on_stagger(struct ev_timer *t, mono now)
{
	struct dial *d = CONTAINER_OF(t, struct dial, stagger);

	(void)now;
	if (d->s)
		start_tls(d);
	else
		start_next(d);
}

/* One family after the other, beginning with the one that was put first. */
static void set_addrs(struct dial *d, const struct ip *addrs, size_t n)
{
	bool want4 = n > 0 && ip_is4(&addrs[0]);
	bool used[RESOLVE_ADDRS_MAX] = { 0 };

	if (n > RESOLVE_ADDRS_MAX)
		n = RESOLVE_ADDRS_MAX;
	if (d->delay4_us > 0)
		want4 = false;
	while (d->n_addrs < n) {
		size_t i = 0;

		while (i < n && (used[i] || ip_is4(&addrs[i]) != want4))
			i++;
		if (i < n) {
			used[i] = true;
			d->addrs[d->n_addrs++] = addrs[i];
		}
		want4 = !want4;
	}
}

static void begin(struct dial *d)
{
	if (d->n_addrs == 0) {
		finish(d, ERR_UNKNOWN);
		return;
	}
	start_next(d);
	/* The second address is of the other family: give the first its head start. */
	if (!d->over && d->delay4_us > 0 && d->n_started < d->n_addrs &&
	    ip_is4(&d->addrs[d->n_started]))
		ev_timer_after(d->ev, &d->stagger, d->delay4_us);
}

static void on_resolved(void *owner, int r, const struct resolved *found)
{
	struct dial *d = owner;

	d->resolve = NULL;
	if (r < 0) {
		d->error = str_fmt("the name %s cannot be found: does DNS work here?",
		                   d->proxy_host ? d->proxy_host : d->host);
		finish(d, r);
		return;
	}
	set_addrs(d, found->ip, found->n);
	begin(d);
}

/* ---- the beginning ---- */

static char *encode_userinfo(struct span userinfo)
{
	AUTO_DONE(buf) struct buf plain = { .secret = true };
	char *text;

	if (userinfo.n == 0 || userinfo.n > USERINFO_MAX ||
	    url_decode(userinfo, URL_PLUS_IS_PLUS, &plain) < 0)
		return NULL;
	text = mem_alloc(BASE64_LEN(plain.n) + 1);
	return base64_encode(text, plain.p, plain.n);
}

static void copy_peer(struct dial *d, const struct tls_peer *peer)
{
	struct tls_peer by_host = { .sni = d->host };

	d->peer = peer ? *peer : by_host;
	d->peer.sni = d->sni = str_dup(d->peer.sni);
	d->peer.name = d->name = str_dup(d->peer.name);
	d->peer.pass_over = d->pass_over = str_dup(d->peer.pass_over);
}

static struct dial *copy_cfg(const struct dial_cfg *cfg)
{
	struct dial *d = mem_new(struct dial);

	d->ev = cfg->ev;
	d->resolver = cfg->resolver;
	d->host = str_dup(cfg->host);
	d->port = cfg->port;
	if (cfg->proxy) {
		d->proxy_host = span_dup(cfg->proxy->host);
		d->proxy_port = cfg->proxy->port;
		d->proxy_auth = encode_userinfo(cfg->proxy->userinfo);
	}
	if (cfg->tls)
		d->tls = tls_client_ref(cfg->tls);
	copy_peer(d, cfg->peer);
	if (cfg->stream)
		d->stream_cfg = *cfg->stream;
	d->delay4_us = cfg->delay4_us;
	d->prepare = cfg->prepare;
	d->prepare_arg = cfg->prepare_arg;
	return d;
}

struct dial *dial_start(const struct dial_cfg *cfg,
                        void (*done)(void *owner, int r, struct stream *s), void *owner)
{
	struct dial *d = copy_cfg(cfg);
	const char *host = d->proxy_host ? d->proxy_host : d->host;
	struct ip ip;

	d->done = done;
	d->owner = owner;
	d->report.fn = on_report;
	d->deadline.fn = on_deadline;
	d->stagger.fn = on_stagger;
	ev_timer_after(d->ev, &d->deadline, cfg->timeout_us ? cfg->timeout_us : DIAL_TIMEOUT_US);
	if (cfg->n_addrs > 0 && !d->proxy_host) {
		set_addrs(d, cfg->addrs, cfg->n_addrs);
		begin(d);
	} else if (ip_parse(span_str(host), &ip) == 0) {
		set_addrs(d, &ip, 1);
		begin(d);
	} else if (d->resolver) {
		d->resolve = resolve_start(d->resolver, host, on_resolved, d);
	} else {
		finish(d, ERR_UNKNOWN);
	}
	return d;
}

int dial_unix(const char *path, int *ret_fd)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	AUTO(fd_close) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	if (strlen(path) >= sizeof(un.sun_path))
		return -ENAMETOOLONG;
	memcpy(un.sun_path, path, strlen(path) + 1);
	if (connect(fd, (const struct sockaddr *)&un, sizeof(un)) < 0)
		return -errno;
	*ret_fd = TAKE_FD(fd);
	return 0;
}
