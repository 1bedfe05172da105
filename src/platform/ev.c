#include "platform/ev.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"

enum { EVENTS_PER_TURN = 64 };

struct post {
	struct post *next;
	void (*fn)(void *arg);
	void *arg;
};

struct ev {
	int epoll;
	struct heap timers;
	struct link defers;
	mono now;
	bool stopped;
	int status;
	/* The events of this turn not yet handled: a stopped watcher is struck out. */
	struct epoll_event events[EVENTS_PER_TURN];
	int n_events;
	struct ev_io wake;
	pthread_mutex_t lock; /* protects posts */
	struct post *posts, **posts_tail;
};

static void on_wake(struct ev_io *io, unsigned events)
{
	uint64_t n;

	(void)events;
	(void)!read(io->fd, &n, sizeof(n));
}

struct ev *ev_new(void)
{
	struct ev *ev = mem_new(struct ev);

	ev->epoll = epoll_create1(EPOLL_CLOEXEC);
	assert(ev->epoll >= 0);
	list_init(&ev->defers);
	ev->now = mono_now();
	ev->posts_tail = &ev->posts;
	(void)pthread_mutex_init(&ev->lock, NULL);
	ev->wake.fn = on_wake;

	int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	int r = ev_io_start(ev, &ev->wake, fd, EV_READ);

	assert(fd >= 0 && r == 0);
	return ev;
}

void ev_free(struct ev *ev)
{
	if (!ev)
		return;

	int wake = ev->wake.fd;

	ev_io_stop(ev, &ev->wake);
	fd_close(wake);
	fd_close(ev->epoll);
	heap_done(&ev->timers);
	while (ev->posts) {
		struct post *p = ev->posts;

		ev->posts = p->next;
		free(p);
	}
	(void)pthread_mutex_destroy(&ev->lock);
	free(ev);
}

mono ev_now(const struct ev *ev)
{
	return ev->now;
}

mono ev_tick(struct ev *ev)
{
	ev->now = mono_now();
	return ev->now;
}

wall ev_wall(const struct ev *ev)
{
	(void)ev;
	return wall_now();
}

void ev_stop(struct ev *ev, int status)
{
	ev->stopped = true;
	ev->status = status;
}

int ev_run(struct ev *ev)
{
	ev->stopped = false;
	while (!ev->stopped)
		ev_turn(ev, -1);
	return ev->status;
}

/* True: one was due. */
static bool run_timers(struct ev *ev)
{
	/*
	 * No more than there are now: a timer set again by its own function runs in the
	 * next turn, or one could starve the rest. Its owner may be gone when it returns.
	 */
	mono now = ev->now;
	bool any = false;

	for (size_t left = ev->timers.n; left > 0; left--) {
		struct heap_node *n = heap_first(&ev->timers);

		if (!n || !mono_reached(n->at, now))
			return any;
		any = true;
		heap_remove(&ev->timers, n);

		struct ev_timer *t = CONTAINER_OF(n, struct ev_timer, node);

		t->fn(t, now);
	}
	return any;
}

static bool run_defers(struct ev *ev)
{
	bool any = !list_empty(&ev->defers);

	while (!list_empty(&ev->defers)) {
		struct ev_defer *d = list_first(&ev->defers, struct ev_defer, link);

		list_remove(&d->link);
		d->fn(d);
	}
	return any;
}

static void run_posts(struct ev *ev)
{
	(void)pthread_mutex_lock(&ev->lock);
	struct post *p = ev->posts;

	ev->posts = NULL;
	ev->posts_tail = &ev->posts;
	(void)pthread_mutex_unlock(&ev->lock);
	while (p) {
		struct post *next = p->next;

		p->fn(p->arg);
		free(p);
		p = next;
	}
}

static unsigned from_epoll(uint32_t e)
{
	unsigned events = 0;

	if (e & (EPOLLIN | EPOLLRDHUP))
		events |= EV_READ;
	if (e & EPOLLOUT)
		events |= EV_WRITE;
	if (e & (EPOLLHUP | EPOLLERR))
		events |= EV_HANGUP;
	return events;
}

static int wait_ms(struct ev *ev, int64_t max_wait_us)
{
	mono deadline = heap_deadline(&ev->timers);
	int64_t us = max_wait_us;

	if (!list_empty(&ev->defers))
		return 0;
	if (deadline.us != MONO_NEVER.us) {
		int64_t left = mono_since(mono_now(), deadline);

		if (left < 0)
			left = 0;
		if (us < 0 || left < us)
			us = left;
	}
	if (us < 0)
		return -1;
	/* Rounded up: waking before the deadline would spin. */
	us = (us + 999) / 1000;
	return us > 3600 * 1000 ? 3600 * 1000 : (int)us;
}

mono ev_deadline(const struct ev *ev)
{
	return heap_deadline(&ev->timers);
}

bool ev_turn(struct ev *ev, int64_t max_wait_us)
{
	int n = epoll_wait(ev->epoll, ev->events, EVENTS_PER_TURN, wait_ms(ev, max_wait_us));
	bool any = n > 0;

	ev->now = mono_now();
	ev->n_events = n < 0 ? 0 : n;
	any |= run_timers(ev);
	for (int i = 0; i < ev->n_events; i++) {
		struct ev_io *io = ev->events[i].data.ptr;

		if (!io)
			continue;
		ev->events[i].data.ptr = NULL;
		io->fn(io, from_epoll(ev->events[i].events));
	}
	ev->n_events = 0;
	any |= run_defers(ev);
	run_posts(ev); /* each of them woke the loop */
	return any;
}

void ev_timer_set(struct ev *ev, struct ev_timer *t, mono at)
{
	heap_set(&ev->timers, &t->node, at);
}

void ev_timer_after(struct ev *ev, struct ev_timer *t, int64_t us)
{
	ev_timer_set(ev, t, mono_after(ev->now, us));
}

void ev_timer_stop(struct ev *ev, struct ev_timer *t)
{
	heap_remove(&ev->timers, &t->node);
}

static uint32_t to_epoll(unsigned want)
{
	return (want & EV_READ ? EPOLLIN | EPOLLRDHUP : 0u) | (want & EV_WRITE ? EPOLLOUT : 0u);
}

int ev_io_start(struct ev *ev, struct ev_io *io, int fd, unsigned want)
{
	struct epoll_event e = { .events = to_epoll(want), .data.ptr = io };

	assert(!io->active && io->fn);
	if (epoll_ctl(ev->epoll, EPOLL_CTL_ADD, fd, &e) < 0)
		return -errno;
	io->fd = fd;
	io->want = want;
	io->active = true;
	return 0;
}

void ev_io_want(struct ev *ev, struct ev_io *io, unsigned want)
{
	struct epoll_event e = { .events = to_epoll(want), .data.ptr = io };

	if (!io->active || io->want == want)
		return;
	io->want = want;
	(void)epoll_ctl(ev->epoll, EPOLL_CTL_MOD, io->fd, &e);
}

void ev_io_stop(struct ev *ev, struct ev_io *io)
{
	if (!io->active)
		return;
	(void)epoll_ctl(ev->epoll, EPOLL_CTL_DEL, io->fd, NULL);
	io->active = false;
	for (int i = 0; i < ev->n_events; i++) {
		if (ev->events[i].data.ptr == io)
			ev->events[i].data.ptr = NULL;
	}
}

void ev_defer(struct ev *ev, struct ev_defer *d)
{
	if (!link_in_list(&d->link))
		list_append(&ev->defers, &d->link);
}

void ev_defer_stop(struct ev_defer *d)
{
	list_remove(&d->link);
}

void ev_post(struct ev *ev, void (*fn)(void *arg), void *arg)
{
	struct post *p = mem_new(struct post);
	uint64_t one = 1;

	p->fn = fn;
	p->arg = arg;
	(void)pthread_mutex_lock(&ev->lock);
	*ev->posts_tail = p;
	ev->posts_tail = &p->next;
	(void)pthread_mutex_unlock(&ev->lock);
	(void)!write(ev->wake.fd, &one, sizeof(one));
}

static void on_signal(struct ev_io *io, unsigned events)
{
	struct ev_signal *s = CONTAINER_OF(io, struct ev_signal, io);
	struct signalfd_siginfo info;

	(void)events;
	while (io->active && read(io->fd, &info, sizeof(info)) == sizeof(info))
		s->fn(s, (int)info.ssi_signo);
}

int ev_signal_start(struct ev *ev, struct ev_signal *s, const int *signos, size_t n)
{
	sigset_t set;

	(void)sigemptyset(&set);
	for (size_t i = 0; i < n; i++)
		(void)sigaddset(&set, signos[i]);
	if (pthread_sigmask(SIG_BLOCK, &set, NULL) != 0)
		return -EINVAL;

	AUTO(fd_close) int fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);

	if (fd < 0)
		return -errno;
	s->io.fn = on_signal;

	int r = ev_io_start(ev, &s->io, fd, EV_READ);

	if (r == 0)
		(void)TAKE_FD(fd);
	return r;
}

void ev_signal_stop(struct ev *ev, struct ev_signal *s)
{
	int fd = s->io.fd;

	if (!s->io.active)
		return;
	ev_io_stop(ev, &s->io);
	fd_close(fd);
}
