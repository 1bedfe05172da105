#include "platform/uapi.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/file.h"
#include "base/mem.h"

enum { READ_SOME = 64 << 10 };

struct client {
	struct link link;
	struct uapi *uapi;
	struct ev_io io;
	int fd;
	struct buf in, out;
	size_t sent; /* of out */
	bool eof, done;
};

struct uapi {
	struct ev *ev;
	int fd, watch_fd;
	struct uapi_ops ops;
	struct ev_io io, watch;
	struct link clients;
	unsigned n;
	bool removed;
	dev_t dev; /* of our file */
	ino_t ino;
	struct sockaddr_un name;
};

static int name_of(const char *ifname, struct sockaddr_un *ret)
{
	*ret = (struct sockaddr_un){ .sun_family = AF_UNIX };
	int n = snprintf(ret->sun_path, sizeof(ret->sun_path), UAPI_DIR "/%s.sock", ifname);

	return n < 0 || (size_t)n >= sizeof(ret->sun_path) || strchr(ifname, '/') ? -EINVAL : 0;
}

/* A file nobody answers on is left over from a crash. */
static int remove_stale(const struct sockaddr_un *name)
{
	AUTO(fd_close) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	if (connect(fd, (const void *)name, sizeof(*name)) == 0)
		return -EADDRINUSE;
	if (errno == ENOENT)
		return 0;
	return unlink(name->sun_path) < 0 && errno != ENOENT ? -errno : 0;
}

int uapi_bind(const char *ifname, int *ret_fd)
{
	struct sockaddr_un name;
	int r = name_of(ifname, &name);

	if (r == 0)
		r = file_mkdirs(UAPI_DIR, 0755);
	if (r == 0)
		r = remove_stale(&name);
	if (r < 0)
		return r;

	AUTO(fd_close) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;

	mode_t before = umask(077);

	r = bind(fd, (const void *)&name, sizeof(name)) < 0 ? -errno : 0;
	umask(before);
	if (r < 0)
		return r;
	if (listen(fd, SOMAXCONN) < 0)
		return -errno;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

/* ---- clients ------------------------------------------------------------------- */

static void client_free(struct client *c)
{
	ev_io_stop(c->uapi->ev, &c->io);
	list_remove(&c->link);
	c->uapi->n--;
	fd_close(c->fd);
	buf_done(&c->in);
	buf_done(&c->out);
	free(c);
}

/* false: the client is gone. */
static bool client_write(struct client *c)
{
	while (c->sent < c->out.n) {
		ssize_t n = send(c->fd, c->out.p + c->sent, c->out.n - c->sent,
		                 MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			break;
		if (n <= 0)
			return false;
		c->sent += (size_t)n;
	}
	if (c->sent == c->out.n) {
		buf_clear(&c->out);
		c->sent = 0;
	}
	return true;
}

/* Carries out what is complete. */
static void client_requests(struct client *c)
{
	while (!c->done && (c->in.n || c->eof)) {
		const struct uapi_ops *o = &c->uapi->ops;
		int used = o->request(o->arg, buf_span(&c->in), c->eof, &c->out);

		if (used < 0 || (used == 0 && (c->eof || c->in.n >= o->request_max)))
			c->done = true;
		if (used <= 0)
			return;
		buf_drop(&c->in, (size_t)used);
	}
}

static bool client_read(struct client *c)
{
	uint8_t *room = buf_room(&c->in, READ_SOME);
	ssize_t n = room ? recv(c->fd, room, READ_SOME, MSG_DONTWAIT) : -1;

	if (!room || (n < 0 && errno != EAGAIN && errno != EINTR))
		return false;
	if (n > 0)
		c->in.n += (size_t)n;
	if (n == 0)
		c->eof = true;
	return true;
}

static void client_event(struct ev_io *io, unsigned events)
{
	struct client *c = CONTAINER_OF(io, struct client, io);
	bool ok = true;

	if (events & (EV_READ | EV_HANGUP) && !c->eof)
		ok = client_read(c);
	/* One reply at a time: a client that does not read is not answered further. */
	if (ok && c->out.n == 0)
		client_requests(c);
	ok = ok && client_write(c);
	bool idle = c->out.n == 0;

	if (!ok || (idle && (c->done || c->eof)) || (!idle && (events & EV_HANGUP)))
		client_free(c);
	else
		ev_io_want(c->uapi->ev, &c->io, idle ? EV_READ : EV_WRITE);
}

static void accept_one(struct ev_io *io, unsigned events)
{
	struct uapi *u = CONTAINER_OF(io, struct uapi, io);
	int fd = accept4(u->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	(void)events;
	if (fd < 0)
		return;
	if (u->n == UAPI_CLIENTS_MAX) {
		close(fd);
		return;
	}

	struct client *c = mem_new(struct client);

	c->uapi = u;
	c->fd = fd;
	c->io.fn = client_event;
	/* Private keys pass through. */
	c->in.secret = c->out.secret = true;
	c->in.max = u->ops.request_max + READ_SOME;
	list_append(&u->clients, &c->link);
	u->n++;
	if (ev_io_start(u->ev, &c->io, fd, EV_READ) < 0)
		client_free(c);
}

/* ---- the file ---------------------------------------------------------------------- */

static bool file_is_ours(const struct uapi *u)
{
	struct stat st;

	return stat(u->name.sun_path, &st) == 0 && st.st_dev == u->dev && st.st_ino == u->ino;
}

static void file_changed(struct ev_io *io, unsigned events)
{
	struct uapi *u = CONTAINER_OF(io, struct uapi, watch);
	_Alignas(struct inotify_event) char buf[4096];

	(void)events;
	(void)!read(u->watch_fd, buf, sizeof(buf));
	if (u->removed || file_is_ours(u))
		return;
	u->removed = true;
	ev_io_stop(u->ev, &u->watch);
	u->ops.removed(u->ops.arg);
}

static int watch_file(struct uapi *u)
{
	struct stat st;

	if (stat(u->name.sun_path, &st) < 0)
		return -errno;
	u->dev = st.st_dev;
	u->ino = st.st_ino;
	u->watch_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (u->watch_fd < 0 || inotify_add_watch(u->watch_fd, u->name.sun_path,
	                                         IN_ATTRIB | IN_DELETE | IN_DELETE_SELF) < 0)
		return -errno;
	return ev_io_start(u->ev, &u->watch, u->watch_fd, EV_READ);
}

int uapi_new(struct ev *ev, int fd, const char *ifname, const struct uapi_ops *ops,
             struct uapi **ret)
{
	struct uapi *u = mem_new(struct uapi);

	u->ev = ev;
	u->fd = fd;
	u->watch_fd = -1;
	u->ops = *ops;
	u->io.fn = accept_one;
	u->watch.fn = file_changed;
	list_init(&u->clients);

	int r = name_of(ifname, &u->name);

	if (r == 0)
		r = watch_file(u);
	if (r == 0)
		r = ev_io_start(ev, &u->io, fd, EV_READ);
	if (r < 0) {
		uapi_free(u);
		return r;
	}
	*ret = u;
	return 0;
}

void uapi_free(struct uapi *u)
{
	struct client *c, *tmp;

	if (!u)
		return;
	list_each_safe(c, tmp, &u->clients, link)
		client_free(c);
	ev_io_stop(u->ev, &u->io);
	ev_io_stop(u->ev, &u->watch);
	if (u->ino && file_is_ours(u))
		unlink(u->name.sun_path);
	fd_close(u->watch_fd);
	fd_close(u->fd);
	free(u);
}
