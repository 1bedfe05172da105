#pragma once
/*
 * The event loop: descriptors, timers, deferred calls, signals, children.
 *
 * One loop a thread; everything but ev_post is for that thread alone. Timers
 * and watchers live in their owners; a zeroed one is idle. A watcher must be
 * stopped before its owner is freed; stopping inside any callback is allowed,
 * also stopping another watcher that has an event pending.
 *
 * Order in one turn: due timers by deadline, descriptors, deferred calls, posts.
 *
 * The simulator runs loops on a fake clock: it never lets one wait, asks when it wants
 * to go on (ev_deadline), and moves the clock there (test/sim).
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/heap.h"
#include "base/list.h"
#include "base/own.h"
#include "base/time.h"

struct ev;

NODISCARD struct ev *ev_new(void);
void ev_free(struct ev *ev);
DEFINE_AUTO(ev_free, struct ev *)

/* Until ev_stop; the value given to the latter. */
int ev_run(struct ev *ev);
/* One turn; waits at most max_wait_us (-1: until something happens). False: nothing did. */
bool ev_turn(struct ev *ev, int64_t max_wait_us);
/* When the next timer is due; MONO_NEVER: none is set. */
mono ev_deadline(const struct ev *ev);
void ev_stop(struct ev *ev, int status);

/* The time this turn began; ev_tick reads the clock anew. */
mono ev_now(const struct ev *ev);
mono ev_tick(struct ev *ev);
wall ev_wall(const struct ev *ev);

/* Timers: one shot. Setting again moves it; MONO_NEVER stops it. */
struct ev_timer {
	struct heap_node node; /* private */
	void (*fn)(struct ev_timer *t, mono now);
};

void ev_timer_set(struct ev *ev, struct ev_timer *t, mono at);
void ev_timer_after(struct ev *ev, struct ev_timer *t, int64_t us);
void ev_timer_stop(struct ev *ev, struct ev_timer *t);

static inline bool ev_timer_active(const struct ev_timer *t)
{
	return heap_has(&t->node);
}

/* Descriptors, level-triggered. The descriptor stays the owner's. */
enum { EV_READ = 1, EV_WRITE = 2, EV_HANGUP = 4 };

struct ev_io {
	void (*fn)(struct ev_io *io, unsigned events); /* EV_HANGUP comes unasked */
	int fd;                                        /* private from here */
	unsigned want;
	bool active;
};

/* -errno. fn must be set; want may be 0 for hang-ups alone. */
NODISCARD int ev_io_start(struct ev *ev, struct ev_io *io, int fd, unsigned want);
void ev_io_want(struct ev *ev, struct ev_io *io, unsigned want);
void ev_io_stop(struct ev *ev, struct ev_io *io);

/* Calls fn later in this turn, once, however often it was deferred. */
struct ev_defer {
	struct link link; /* private */
	void (*fn)(struct ev_defer *d);
};

void ev_defer(struct ev *ev, struct ev_defer *d);
void ev_defer_stop(struct ev_defer *d);

/*
 * From any thread: run fn(arg) on the loop's thread. The loop must outlive the
 * call; posts left when it is freed are dropped.
 */
void ev_post(struct ev *ev, void (*fn)(void *arg), void *arg);

/* Signals, by signalfd: blocked for the thread from here on. -errno */
struct ev_signal {
	struct ev_io io; /* private */
	void (*fn)(struct ev_signal *s, int signo);
};
NODISCARD int ev_signal_start(struct ev *ev, struct ev_signal *s, const int *signos, size_t n);
void ev_signal_stop(struct ev *ev, struct ev_signal *s);
