#include "platform/ev.h"

#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>

#include "test/check.h"

struct world {
	struct ev *ev;
	struct ev_timer a, b;
	struct ev_io io[2];
	struct ev_defer defer;
	struct ev_signal sig;
	unsigned calls, posted;
	int signo;
	char order[8];
};

static struct world w;

static void on_a(struct ev_timer *t, mono now)
{
	(void)t;
	(void)now;
	w.order[w.calls++] = 'a';
}

static void on_b(struct ev_timer *t, mono now)
{
	(void)t;
	(void)now;
	w.order[w.calls++] = 'b';
	ev_stop(w.ev, 3);
}

static void timers_run_by_deadline_and_stop_gives_the_status(void)
{
	w = (struct world){ .ev = ev_new(), .a.fn = on_a, .b.fn = on_b };
	ev_timer_after(w.ev, &w.b, 4000);
	ev_timer_after(w.ev, &w.a, 2000);
	CHECK_EQ(ev_run(w.ev), 3);
	CHECK_STR(w.order, "ab");
	ev_free(w.ev);
}

/* Both descriptors are readable; whoever runs first stops the other. */
static void on_io(struct ev_io *io, unsigned events)
{
	CHECK(events & EV_READ);
	w.calls++;
	ev_io_stop(w.ev, io == &w.io[0] ? &w.io[1] : &w.io[0]);
}

static void a_stopped_watcher_hears_nothing_more_in_the_same_turn(void)
{
	int fds[2][2];

	w = (struct world){ .ev = ev_new() };
	for (int i = 0; i < 2; i++) {
		CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds[i]) == 0);
		CHECK(write(fds[i][1], "x", 1) == 1);
		w.io[i].fn = on_io;
		CHECK_OK(ev_io_start(w.ev, &w.io[i], fds[i][0], EV_READ));
	}
	ev_turn(w.ev, 0);
	CHECK_EQ(w.calls, 1);
	ev_io_stop(w.ev, &w.io[0]);
	ev_io_stop(w.ev, &w.io[1]);
	ev_free(w.ev);
	for (int i = 0; i < 4; i++)
		fd_close(fds[i / 2][i % 2]);
}

static void on_defer(struct ev_defer *d)
{
	(void)d;
	w.calls++;
}

static void a_call_deferred_twice_runs_once(void)
{
	w = (struct world){ .ev = ev_new(), .defer.fn = on_defer };
	ev_defer(w.ev, &w.defer);
	ev_defer(w.ev, &w.defer);
	ev_turn(w.ev, -1);
	CHECK_EQ(w.calls, 1);
	ev_turn(w.ev, 0);
	CHECK_EQ(w.calls, 1);
	ev_free(w.ev);
}

static void on_post(void *arg)
{
	unsigned *n = arg;

	if (++*n == 1000)
		ev_stop(w.ev, 0);
}

static void *poster(void *arg)
{
	for (int i = 0; i < 500; i++)
		ev_post(w.ev, on_post, arg);
	return NULL;
}

static void posts_from_other_threads_all_arrive(void)
{
	pthread_t t[2];

	w = (struct world){ .ev = ev_new() };
	for (int i = 0; i < 2; i++)
		CHECK(pthread_create(&t[i], NULL, poster, &w.posted) == 0);
	CHECK_EQ(ev_run(w.ev), 0);
	for (int i = 0; i < 2; i++)
		CHECK(pthread_join(t[i], NULL) == 0);
	CHECK_EQ(w.posted, 1000);
	ev_free(w.ev);
}

static void on_signal(struct ev_signal *s, int signo)
{
	(void)s;
	w.signo = signo;
	ev_stop(w.ev, 0);
}

static void a_signal_arrives_as_an_event(void)
{
	static const int signos[] = { SIGUSR1 };

	w = (struct world){ .ev = ev_new(), .sig.fn = on_signal };
	CHECK_OK(ev_signal_start(w.ev, &w.sig, signos, 1));
	CHECK(raise(SIGUSR1) == 0);
	CHECK_EQ(ev_run(w.ev), 0);
	CHECK_EQ(w.signo, SIGUSR1);
	ev_signal_stop(w.ev, &w.sig);
	ev_free(w.ev);
}

int main(void)
{
	RUN(timers_run_by_deadline_and_stop_gives_the_status);
	RUN(a_stopped_watcher_hears_nothing_more_in_the_same_turn);
	RUN(a_call_deferred_twice_runs_once);
	RUN(posts_from_other_threads_all_arrive);
	RUN(a_signal_arrives_as_an_event);
	return check_done();
}
