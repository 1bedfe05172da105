#include "test/sim/machine.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <time.h>

#include "test/sim/machine_priv.h"

enum {
	EPOCH_S = 1767225600,
	BOOTED_S = 1000,    /* nothing happens at time zero */
	TURNS_MAX = 100000, /* of one loop at one moment: more is a program that spins */
};

static struct world *the_world;
static struct machine *here;

struct machine *machine_here(void)
{
	return here;
}

void machine_enter(struct machine *m)
{
	assert(!here);
	here = m;
	machine_poke(m);
	(void)ev_tick(m->ev);
}

void machine_leave(struct machine *m)
{
	assert(here == m);
	here = NULL;
}

/* ---- clock and random numbers ---- */

int __real_clock_gettime(clockid_t id, struct timespec *ret);
int __wrap_clock_gettime(clockid_t id, struct timespec *ret);
ssize_t __wrap_getrandom(void *dst, size_t n, unsigned flags);
ssize_t __real_getrandom(void *dst, size_t n, unsigned flags);

int __wrap_clock_gettime(clockid_t id, struct timespec *ret)
{
	int64_t us;

	if (!the_world || (id != CLOCK_BOOTTIME && id != CLOCK_REALTIME))
		return __real_clock_gettime(id, ret);
	us = fakenet_now(the_world->net).us;
	if (id == CLOCK_REALTIME)
		us += EPOCH_S * US_PER_S + (here ? here->clock_off : 0);
	*ret = (struct timespec){ us / US_PER_S, us % US_PER_S * 1000 };
	return 0;
}

ssize_t __wrap_getrandom(void *dst, size_t n, unsigned flags)
{
	if (!the_world)
		return __real_getrandom(dst, n, flags);
	rand_fill(&the_world->secrets, dst, n);
	return (ssize_t)n;
}

/* ---- the world ---- */

struct world *world_new(uint64_t seed)
{
	struct world *w = mem_new(struct world);

	assert(!the_world);
	w->net = fakenet_new(seed);
	rand_seeded(&w->rand, seed);
	rand_seeded(&w->secrets, ~seed);
	list_init(&w->machines);
	list_init(&w->wires);
	fakenet_run(w->net, (mono){ BOOTED_S * US_PER_S }, NULL, NULL);
	the_world = w;
	w->wires_ev = ev_new();
	return w;
}

static void machine_free(struct machine *m)
{
	list_remove(&m->link);
	ev_timer_stop(m->ev, &m->warden.planned);
	ev_free(m->ev);
	free(m);
}

void world_free(struct world *w)
{
	struct machine *m;

	wires_free(w);
	while ((m = list_first(&w->machines, struct machine, link)))
		machine_free(m);
	ev_free(w->wires_ev);
	fakenet_free(w->net);
	free(w);
	the_world = NULL;
}

struct fakenet *world_net(struct world *w)
{
	return w->net;
}

struct rand_src *world_rand(struct world *w)
{
	return &w->rand;
}

mono world_now(const struct world *w)
{
	return fakenet_now(w->net);
}

void world_set_link(struct world *w, const struct fakenet_link *link)
{
	w->link = *link;
	fakenet_set_link(w->net, link);
}

/* ---- time ---- */

static void run_machine(struct machine *m)
{
	unsigned turns = 0;

	m->dirty = false;
	here = m;
	while (ev_turn(m->ev, 0)) {
		if (++turns > TURNS_MAX) {
			fprintf(stderr, "a program spins\n");
			abort();
		}
	}
	here = NULL;
	m->deadline = ev_deadline(m->ev);
}

static bool has_work(const struct machine *m, mono now)
{
	return !m->asleep && (m->dirty || mono_reached(m->deadline, now));
}

static bool run_machines(struct world *w, mono now)
{
	struct machine *m;
	bool any = false;

	list_each(m, &w->machines, link) {
		if (!has_work(m, now))
			continue;
		run_machine(m);
		any = true;
	}
	return any;
}

static bool is_busy(const struct world *w, mono now)
{
	const struct machine *m;

	list_each(m, &w->machines, link)
		if (has_work(m, now))
			return true;
	return false;
}

static mono wake(void *arg, mono now)
{
	struct world *w = arg;
	struct machine *m;
	mono next;

	do {
		if (run_machines(w, now))
			wires_look(w);
		next = wires_run(w, now);
	} while (is_busy(w, now));
	list_each(m, &w->machines, link)
		if (!m->asleep)
			next = mono_min(next, m->deadline);
	return next;
}

void world_run(struct world *w, int64_t us)
{
	assert(!here);
	fakenet_run(w->net, mono_after(fakenet_now(w->net), us), wake, w);
}

/* ---- machines ---- */

struct machine *machine_new(struct world *w, struct ip ip, struct fakenat *nat)
{
	struct machine *m = mem_new(struct machine);

	m->w = w;
	m->ip = ip;
	m->ev = ev_new();
	m->host = fakenet_host(w->net, ip, nat);
	m->deadline = MONO_NEVER;
	m->warden.m = m;
	list_init(&m->listeners);
	list_append(&w->machines, &m->link);
	return m;
}

struct ev *machine_ev(struct machine *m)
{
	return m->ev;
}

struct fakehost *machine_host(struct machine *m)
{
	return m->host;
}

struct warden *machine_warden(struct machine *m)
{
	return &m->warden;
}

void machine_set_clock(struct machine *m, int64_t off_us)
{
	m->clock_off = off_us;
}

void machine_sleep(struct machine *m, bool asleep)
{
	m->asleep = asleep;
	fakehost_unplug(m->host, asleep || m->unplugged);
	machine_poke(m);
}

void machine_cut(struct machine *m)
{
	wires_cut(m);
}

/* ---- what waits to be read ---- */

void inbox_open(struct inbox *in, struct machine *m)
{
	*in = (struct inbox){ .m = m, .fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC) };
	assert(in->fd >= 0);
}

void inbox_done(struct inbox *in)
{
	for (size_t i = 0; i < in->items.n; i++)
		free(in->items.v[i].bytes);
	vec_done(&in->items);
	fd_close(in->fd);
}

void inbox_put(struct inbox *in, const struct addr *from, struct span bytes)
{
	uint64_t one = 1;

	if (in->m->asleep || in->items.n >= INBOX_MAX)
		return;

	struct inbox_item item = { *from, bytes.n, mem_alloc(bytes.n + 1) };

	if (bytes.n)
		memcpy(item.bytes, bytes.p, bytes.n);
	vec_push(&in->items, item);
	(void)!write(in->fd, &one, sizeof(one));
	machine_poke(in->m);
}

bool inbox_take(struct inbox *in, struct inbox_item *ret)
{
	uint64_t n;

	if (in->items.n == 0) {
		(void)!read(in->fd, &n, sizeof(n));
		return false;
	}
	*ret = in->items.v[0];
	vec_remove(&in->items, 0);
	return true;
}
