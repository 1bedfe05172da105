#include "platform/listen.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/err.h"
#include "base/mem.h"
#include "platform/sockaddr.h"

enum { BACKLOG = 1024, FIRST_INHERITED = 3 };
enum { STARVED_PAUSE_US = 100 * 1000 };

struct listener {
	struct ev *ev;
	struct ev_io io;
	struct ev_timer retry;
	struct listen_cfg cfg;
	char *path; /* Unix: to be removed, if it still is what we made: */
	struct stat made;
	bool paused;
	uint64_t starved;
};

static void update_want(struct listener *l)
{
	bool wait = l->paused || ev_timer_active(&l->retry);

	ev_io_want(l->ev, &l->io, wait ? 0 : EV_READ);
}

static void on_retry(struct ev_timer *t, mono now)
{
	(void)now;
	update_want(CONTAINER_OF(t, struct listener, retry));
}

static bool is_starved(int e)
{
	return e == EMFILE || e == ENFILE || e == ENOBUFS || e == ENOMEM;
}

/* Errors of the connection, not of the socket (accept(2)), are passed over. */
static bool accept_one(struct listener *l)
{
	union sockaddr_any from;
	socklen_t n = sizeof(from);
	int fd = accept4(l->io.fd, &from.sa, &n, SOCK_NONBLOCK | SOCK_CLOEXEC);
	struct addr peer = { 0 };

	if (fd < 0) {
		if (is_starved(errno)) {
			l->starved++;
			ev_timer_after(l->ev, &l->retry, STARVED_PAUSE_US);
			update_want(l);
			return false;
		}
		return errno != EAGAIN && errno != EINVAL && errno != EBADF;
	}
	(void)!sockaddr_to(&from.sa, n, &peer);
	l->cfg.accepted(l->cfg.owner, l, fd, &peer);
	return true;
}

static void on_readable(struct ev_io *io, unsigned events)
{
	struct listener *l = CONTAINER_OF(io, struct listener, io);

	(void)events;
	for (unsigned i = 0; i < LISTEN_PER_TURN && io->active && !l->paused; i++) {
		if (!accept_one(l))
			break;
	}
}

int listener_from_fd(struct ev *ev, int fd, const struct listen_cfg *cfg, struct listener **ret)
{
	struct listener *l = mem_new(struct listener);
	int flags = fcntl(fd, F_GETFL);

	*l = (struct listener){ .ev = ev, .cfg = *cfg, .io.fn = on_readable, .retry.fn = on_retry };

	int r = flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ? -errno : 0;

	if (r == 0)
		r = ev_io_start(ev, &l->io, fd, EV_READ);
	if (r < 0) {
		free(l);
		fd_close(fd);
		return r;
	}
	*ret = l;
	return 0;
}

static int open_socket(const union sockaddr_any *at, socklen_t n, bool freebind)
{
	int one = 1, off = 0;
	int family = at->sa.sa_family;
	AUTO(fd_close) int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (family == AF_INET6)
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	if (freebind && setsockopt(fd, IPPROTO_IP, IP_FREEBIND, &one, sizeof(one)) < 0)
		return -errno;
	if (bind(fd, &at->sa, n) < 0)
		return -errno;
	return TAKE_FD(fd);
}

static int start(struct ev *ev, int fd, const struct listen_cfg *cfg, struct listener **ret)
{
	if (listen(fd, (int)(cfg->backlog ? cfg->backlog : BACKLOG)) < 0) {
		int e = errno;

		fd_close(fd);
		return -e;
	}
	return listener_from_fd(ev, fd, cfg, ret);
}

int listener_tcp(struct ev *ev, const struct addr *at, const struct listen_cfg *cfg,
                 struct listener **ret)
{
	union sockaddr_any sa;
	socklen_t n = sockaddr_from(at, false, &sa);
	int fd = open_socket(&sa, n, cfg->freebind);

	return fd < 0 ? fd : start(ev, fd, cfg, ret);
}

/* Whether somebody answers behind the file. */
static bool is_in_use(const union sockaddr_any *at, socklen_t n)
{
	AUTO(fd_close) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	return connect(fd, &at->sa, n) == 0 || errno == EAGAIN;
}

static int bind_path(const char *path, mode_t mode)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	union sockaddr_any at = { 0 };
	struct stat st;
	int fd;

	if (strlen(path) >= sizeof(un.sun_path))
		return -ENAMETOOLONG;
	memcpy(un.sun_path, path, strlen(path) + 1);
	memcpy(&at.storage, &un, sizeof(un));
	fd = open_socket(&at, sizeof(un), false);
	if (fd == -EADDRINUSE && lstat(path, &st) == 0 && S_ISSOCK(st.st_mode) &&
	    !is_in_use(&at, sizeof(un))) {
		(void)unlink(path);
		fd = open_socket(&at, sizeof(un), false);
	}
	if (fd >= 0 && chmod(path, mode) < 0) {
		int e = errno;

		fd_close(fd);
		return -e;
	}
	return fd;
}

int listener_unix(struct ev *ev, const char *path, mode_t mode, const struct listen_cfg *cfg,
                  struct listener **ret)
{
	int fd = bind_path(path, mode);
	int r = fd < 0 ? fd : start(ev, fd, cfg, ret);

	struct stat st;

	if (r == 0 && lstat(path, &st) == 0) {
		(*ret)->path = str_dup(path);
		(*ret)->made = st;
	}
	return r;
}

/* Another program may have put its own socket there since. */
static void remove_path(const struct listener *l)
{
	struct stat st;

	/* Numbers of files are used again, times are not. */
	if (l->path && lstat(l->path, &st) == 0 && st.st_dev == l->made.st_dev &&
	    st.st_ino == l->made.st_ino && st.st_ctim.tv_sec == l->made.st_ctim.tv_sec &&
	    st.st_ctim.tv_nsec == l->made.st_ctim.tv_nsec)
		(void)unlink(l->path);
}

void listener_free(struct listener *l)
{
	if (!l)
		return;
	ev_timer_stop(l->ev, &l->retry);
	ev_io_stop(l->ev, &l->io);
	fd_close(l->io.fd);
	remove_path(l);
	free(l->path);
	free(l);
}

void listener_pause(struct listener *l)
{
	l->paused = true;
	update_want(l);
}

void listener_resume(struct listener *l)
{
	l->paused = false;
	update_want(l);
}

int listener_addr(const struct listener *l, struct addr *ret)
{
	union sockaddr_any at;
	socklen_t n = sizeof(at);

	if (getsockname(l->io.fd, &at.sa, &n) < 0)
		return -errno;
	return sockaddr_to(&at.sa, n, ret);
}

int listener_fd(const struct listener *l)
{
	return l->io.fd;
}

void listener_keep_file(struct listener *l)
{
	free(TAKE(l->path));
}

uint64_t listener_starved(const struct listener *l)
{
	return l->starved;
}

/* ---- sockets from a service manager ---- */

static uint64_t number_in_env(const char *name)
{
	const char *text = getenv(name);
	uint64_t v = 0;

	return text && span_u64(span_str(text), INT32_MAX, &v) == 0 ? v : 0;
}

static void forget_env(void)
{
	(void)unsetenv("LISTEN_PID");
	(void)unsetenv("LISTEN_FDS");
	(void)unsetenv("LISTEN_FDNAMES");
}

size_t listen_inherited(struct inherited ret[static LISTEN_INHERITED_MAX])
{
	uint64_t n = number_in_env("LISTEN_FDS");
	struct span names = span_str(getenv("LISTEN_FDNAMES")), name;

	if (number_in_env("LISTEN_PID") != (uint64_t)getpid())
		n = 0;
	if (n > LISTEN_INHERITED_MAX)
		n = LISTEN_INHERITED_MAX;
	for (size_t i = 0; i < n; i++) {
		ret[i] = (struct inherited){ .fd = FIRST_INHERITED + (int)i };
		(void)fcntl(ret[i].fd, F_SETFD, FD_CLOEXEC);
		if (names.p && span_cut(&names, ':', &name) && name.n < sizeof(ret[i].name))
			memcpy(ret[i].name, name.p, name.n);
	}
	forget_env();
	return n;
}

int inherited_take(struct inherited *list, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++) {
		if (list[i].fd >= 0 && strcmp(list[i].name, name) == 0)
			return TAKE_FD(list[i].fd);
	}
	return -1;
}
