#include "platform/filewatch.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>

static bool names_it(const struct filewatch *w, const struct inotify_event *e)
{
	return e->mask & IN_Q_OVERFLOW || (e->len && strcmp(e->name, w->name) == 0);
}

static void on_event(struct ev_io *io, unsigned events)
{
	struct filewatch *w = CONTAINER_OF(io, struct filewatch, io);
	union {
		struct inotify_event align;
		char bytes[4096];
	} in;
	ssize_t n = read(io->fd, in.bytes, sizeof(in.bytes));
	bool hit = false;

	(void)events;
	for (ssize_t at = 0; at + (ssize_t)sizeof(in.align) <= n;) {
		const struct inotify_event *e = (const void *)(in.bytes + at);

		hit |= names_it(w, e);
		at += (ssize_t)(sizeof(*e) + e->len);
	}
	if (hit)
		w->changed(w);
}

int filewatch_start(struct ev *ev, struct filewatch *w, const char *folder, const char *name)
{
	AUTO(fd_close) int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);

	if (fd < 0 || inotify_add_watch(fd, folder,
	                                IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE |
	                                        IN_ONLYDIR) < 0)
		return -errno;
	(void)snprintf(w->name, sizeof(w->name), "%s", name);
	w->ev = ev;
	w->io.fn = on_event;

	int r = ev_io_start(ev, &w->io, fd, EV_READ);

	if (r == 0)
		(void)TAKE_FD(fd);
	return r;
}

void filewatch_stop(struct filewatch *w)
{
	if (!w->ev)
		return;
	ev_io_stop(w->ev, &w->io);
	fd_close(w->io.fd);
	w->ev = NULL;
}
