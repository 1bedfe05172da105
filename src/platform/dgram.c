#include "platform/dgram.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "base/mem.h"
#include "platform/sockaddr.h"

struct dgram {
	struct ev *ev;
	struct ev_io io;
	void (*recv)(void *owner, const struct addr *from, struct span bytes);
	void (*failed)(void *owner, int r);
	void *owner;
	bool *freed; /* set while the owner is being called */
	uint8_t buf[DGRAM_MAX];
};

static void on_readable(struct ev_io *io, unsigned events)
{
	struct dgram *d = CONTAINER_OF(io, struct dgram, io);
	bool freed = false;

	(void)events;
	d->freed = &freed;
	for (int i = 0; i < DGRAM_BURST; i++) {
		union sockaddr_any ss;
		socklen_t len = sizeof(ss);
		ssize_t n = recvfrom(io->fd, d->buf, sizeof(d->buf), MSG_DONTWAIT, &ss.sa, &len);
		struct addr from;

		/* An error is that of a datagram sent before; reading it clears it. */
		if (n < 0 && errno != EAGAIN && d->failed) {
			d->freed = NULL;
			d->failed(d->owner, -errno);
			return;
		}
		if (n < 0 && errno != EAGAIN)
			continue;
		if (n < 0)
			break;
		if (sockaddr_to(&ss.sa, len, &from) < 0)
			continue;
		d->recv(d->owner, &from, span(d->buf, (size_t)n));
		if (freed)
			return;
	}
	d->freed = NULL;
}

bool socket_has_address(const struct ip *ip)
{
	union sockaddr_any at;
	socklen_t n = sockaddr_from(&(struct addr){ .ip = *ip }, false, &at);
	AUTO(fd_close) int fd = socket(at.sa.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	return fd >= 0 && bind(fd, &at.sa, n) == 0;
}

int socket_mark(int fd, uint32_t mark)
{
	return setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof(mark)) < 0 ? -errno : 0;
}

static int set_up(int fd, const struct dgram_cfg *cfg)
{
	static const int on = 1;
	union sockaddr_any ss;
	socklen_t len = sockaddr_from(&cfg->bind, !ip_is4(&cfg->bind.ip), &ss);

	int r = cfg->mark ? socket_mark(fd, cfg->mark) : 0;

	if (r < 0)
		return r;
	if (cfg->device && setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, cfg->device,
	                              (socklen_t)strlen(cfg->device) + 1) < 0)
		return -errno;
	if (cfg->share && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0)
		return -errno;
	if (cfg->freebind && setsockopt(fd, IPPROTO_IP, IP_FREEBIND, &on, sizeof(on)) < 0)
		return -errno;
	if (ss.sa.sa_family == AF_INET6 &&
	    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) < 0)
		return -errno;
	if (cfg->grow)
		cfg->grow(cfg->grow_arg, fd);
	if (bind(fd, &ss.sa, len) < 0)
		return -errno;
	if (!cfg->peer)
		return 0;
	len = sockaddr_from(cfg->peer, ss.sa.sa_family == AF_INET6, &ss);
	return connect(fd, &ss.sa, len) < 0 ? -errno : 0;
}

int dgram_open(const struct dgram_cfg *cfg, struct dgram **ret)
{
	int family = ip_is4(&cfg->bind.ip) ? AF_INET : AF_INET6;
	AUTO(fd_close) int fd = socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;

	int r = set_up(fd, cfg);

	if (r < 0)
		return r;

	struct dgram *d = mem_new(struct dgram);

	d->ev = cfg->ev;
	d->recv = cfg->recv;
	d->failed = cfg->failed;
	d->owner = cfg->owner;
	d->io.fn = on_readable;
	r = ev_io_start(d->ev, &d->io, fd, EV_READ);
	if (r < 0) {
		free(d);
		return r;
	}
	(void)TAKE_FD(fd);
	*ret = d;
	return 0;
}

void dgram_close(struct dgram *d)
{
	if (!d)
		return;
	if (d->freed)
		*d->freed = true;

	int fd = d->io.fd;

	ev_io_stop(d->ev, &d->io);
	fd_close(fd);
	free(d);
}

int dgram_send(struct dgram *d, const struct addr *to, struct span bytes)
{
	union sockaddr_any ss;
	socklen_t len = sockaddr_from(to, !ip_is4(&to->ip), &ss);
	ssize_t n = sendto(d->io.fd, bytes.p, bytes.n, MSG_DONTWAIT | MSG_NOSIGNAL, &ss.sa, len);

	return n < 0 ? -errno : 0;
}

int dgram_local(const struct dgram *d, struct addr *ret)
{
	union sockaddr_any ss;
	socklen_t len = sizeof(ss);

	if (getsockname(d->io.fd, &ss.sa, &len) < 0)
		return -errno;
	return sockaddr_to(&ss.sa, len, ret);
}
