/*
 * platform/dial.h and platform/listen.h between machines. A connection is two
 * socket pairs with its wire between them, so that the shipped streams run on
 * real descriptors. TLS is left out: the bytes inside are what is of interest.
 */
#include <errno.h>
#include <sys/socket.h>

#include "base/err.h"
#include "platform/dial.h"
#include "platform/listen.h"
#include "test/sim/machine_priv.h"

enum {
	READ_MAX = 64 << 10,
	QUEUE_MAX = 256, /* pieces on the way in one direction: then nothing more is read */
	DELAY_US = 15000,
	JITTER_US = 5000,
	AGAIN_US = 250000,       /* a lost piece comes so much later */
	GIVE_UP_US = 15000000,   /* TCP_USER_TIMEOUT of our own programs */
	KEEPALIVE_US = 35000000, /* until the kernel finds that an idle connection is dead */
	SYN_AGAIN_US = 1000000,
	FULL_US = 20000, /* until a reader that is full is looked at again */
	FIRST_PORT = 40000,
};

/* ---- wires ---- */

struct piece_on_wire {
	mono at;
	size_t n, gone; /* n 0: the end */
	uint8_t *bytes;
};

/* What one end sends. */
struct half {
	struct wire *wire;
	struct machine *m;
	struct ev_io io;
	int fd; /* -1: this end is closed */
	VEC(struct piece_on_wire) pieces;
	mono stuck; /* since when nothing goes through; 0: it does */
};

struct wire {
	struct link link;
	struct half half[2];
	mono dead; /* since when an end is not where it was; 0: they are */
};

static struct half *other(struct half *h)
{
	return &h->wire->half[h == &h->wire->half[0]];
}

static void half_close(struct half *h)
{
	for (size_t i = 0; i < h->pieces.n; i++)
		free(h->pieces.v[i].bytes);
	h->pieces.n = 0;
	if (h->fd < 0)
		return;
	ev_io_stop(h->m->w->wires_ev, &h->io);
	fd_close(TAKE_FD(h->fd));
	machine_poke(h->m);
}

static void wire_free(struct wire *w)
{
	for (size_t i = 0; i < 2; i++) {
		half_close(&w->half[i]);
		vec_done(&w->half[i].pieces);
	}
	list_remove(&w->link);
	free(w);
}

static bool chance(struct world *w, double p)
{
	return p > 0 && (double)rand_src_below(fakenet_rand(w->net), 1 << 20) < p * (1 << 20);
}

/* In order: what was lost holds up the rest. */
static void put_on_wire(struct half *h, const uint8_t *bytes, size_t n)
{
	struct world *w = h->m->w;
	int64_t delay = DELAY_US + (int64_t)rand_src_below(fakenet_rand(w->net), JITTER_US);
	struct piece_on_wire p = { .n = n, .bytes = mem_alloc(n + 1) };

	while (chance(w, w->link.loss))
		delay += AGAIN_US;
	p.at = mono_after(fakenet_now(w->net), delay);
	if (h->pieces.n && mono_before(p.at, h->pieces.v[h->pieces.n - 1].at))
		p.at = h->pieces.v[h->pieces.n - 1].at;
	if (n)
		memcpy(p.bytes, bytes, n);
	vec_push(&h->pieces, p);
}

static void on_sent(struct ev_io *io, unsigned events)
{
	struct half *h = CONTAINER_OF(io, struct half, io);
	uint8_t bytes[READ_MAX];
	ssize_t n;

	(void)events;
	while (h->pieces.n < QUEUE_MAX && (n = read(h->fd, bytes, sizeof(bytes))) > 0)
		put_on_wire(h, bytes, (size_t)n);
	if (h->pieces.n >= QUEUE_MAX) {
		ev_io_want(h->m->w->wires_ev, io, 0);
	} else if (n == 0 || errno != EAGAIN) {
		ev_io_stop(h->m->w->wires_ev, io);
		put_on_wire(h, NULL, 0);
	}
}

/* False: it has to wait. */
static bool hand_over(struct half *to, struct piece_on_wire *p)
{
	ssize_t n;

	machine_poke(to->m);
	if (p->n == 0) {
		(void)shutdown(to->fd, SHUT_WR);
		return true;
	}
	n = send(to->fd, p->bytes + p->gone, p->n - p->gone, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (n > 0)
		p->gone += (size_t)n;
	if (n < 0 && errno != EAGAIN) { /* closed: what was sent there resets the connection */
		half_close(to);
		return true;
	}
	return p->gone == p->n;
}

static void drop_first(struct half *h)
{
	free(h->pieces.v[0].bytes);
	vec_remove(&h->pieces, 0);
	if (h->io.active)
		ev_io_want(h->m->w->wires_ev, &h->io, EV_READ);
}

static bool goes_through(const struct wire *w)
{
	return !w->dead.us && !w->half[0].m->unplugged && !w->half[1].m->unplugged;
}

static mono hold(struct half *h, mono now)
{
	mono end;

	if (h->stuck.us == 0)
		h->stuck = now;
	end = mono_after(h->stuck, GIVE_UP_US);
	if (!mono_reached(end, now))
		return end;
	half_close(h);
	return MONO_NEVER;
}

/* When there is more to do in this direction. */
static mono run_half(struct half *h, mono now)
{
	while (h->pieces.n && mono_reached(h->pieces.v[0].at, now)) {
		struct half *to = other(h);
		bool end = h->pieces.v[0].n == 0;

		if (!goes_through(h->wire))
			return mono_min(hold(h, now), mono_after(now, AGAIN_US));
		h->stuck = (mono){ 0 };
		if (to->fd < 0) {
			half_close(h);
			return MONO_NEVER;
		}
		if (!hand_over(to, &h->pieces.v[0]))
			return mono_after(now, to->m->asleep ? US_PER_S : FULL_US);
		drop_first(h);
		if (end && h->fd >= 0 && !h->io.active && !to->io.active && to->pieces.n == 0) {
			half_close(h);
			half_close(to);
		}
	}
	return h->pieces.n ? h->pieces.v[0].at : MONO_NEVER;
}

static mono keep_alive(struct wire *w, mono now)
{
	mono end = mono_after(w->dead, KEEPALIVE_US);

	if (!w->dead.us)
		return MONO_NEVER;
	if (!mono_reached(end, now))
		return end;
	half_close(&w->half[0]);
	half_close(&w->half[1]);
	return MONO_NEVER;
}

void wires_look(struct world *w)
{
	while (ev_turn(w->wires_ev, 0))
		;
}

mono wires_run(struct world *w, mono now)
{
	mono next = MONO_NEVER;
	struct wire *it, *tmp;

	list_each_safe(it, tmp, &w->wires, link) {
		next = mono_min(next, keep_alive(it, now));
		for (size_t i = 0; i < 2; i++)
			next = mono_min(next, run_half(&it->half[i], now));
		if (it->half[0].fd < 0 && it->half[1].fd < 0)
			wire_free(it);
	}
	return next;
}

void wires_cut(struct machine *m)
{
	struct wire *it;

	list_each(it, &m->w->wires, link)
		if (it->half[0].m == m || it->half[1].m == m)
			it->dead = fakenet_now(m->w->net);
}

void wires_free(struct world *w)
{
	struct wire *it;

	while ((it = list_first(&w->wires, struct wire, link)))
		wire_free(it);
}

static int half_open(struct half *h, struct wire *wire, struct machine *m, int *ret_fd)
{
	int fd[2];
	int r = stream_pair(fd);

	if (r < 0)
		return r;
	*h = (struct half){ .wire = wire, .m = m, .fd = fd[0], .io.fn = on_sent };
	*ret_fd = fd[1];
	return ev_io_start(m->w->wires_ev, &h->io, fd[0], EV_READ);
}

/* ---- platform/listen.h ---- */

struct pending {
	int fd;
	struct addr from;
};

struct listener {
	struct link link;
	struct machine *m;
	struct listen_cfg cfg;
	struct addr at; /* not set: a Unix socket */
	VEC(struct pending) pending;
	struct ev_defer accept;
};

static void on_accept(struct ev_defer *d)
{
	struct listener *l = CONTAINER_OF(d, struct listener, accept);

	while (l->pending.n) {
		struct pending p = l->pending.v[0];

		vec_remove(&l->pending, 0);
		l->cfg.accepted(l->cfg.owner, l, p.fd, &p.from);
	}
}

static struct listener *listen_here(const struct addr *at, const struct listen_cfg *cfg)
{
	struct listener *l = mem_new(struct listener);

	l->m = machine_here();
	l->cfg = *cfg;
	l->accept.fn = on_accept;
	if (at) {
		l->at = *at;
		if (!at->port)
			l->at.port = (uint16_t)(FIRST_PORT + rand_src_below(&l->m->w->rand, 20000));
	}
	list_append(&l->m->listeners, &l->link);
	return l;
}

int listener_tcp(struct ev *ev, const struct addr *at, const struct listen_cfg *cfg,
                 struct listener **ret)
{
	(void)ev;
	*ret = listen_here(at, cfg);
	return 0;
}

int listener_unix(struct ev *ev, const char *path, mode_t mode, const struct listen_cfg *cfg,
                  struct listener **ret)
{
	(void)ev;
	(void)path;
	(void)mode;
	*ret = listen_here(NULL, cfg);
	return 0;
}

int listener_from_fd(struct ev *ev, int fd, const struct listen_cfg *cfg, struct listener **ret)
{
	(void)ev;
	(void)fd;
	(void)cfg;
	(void)ret;
	return -EINVAL;
}

void listener_free(struct listener *l)
{
	if (!l)
		return;
	for (size_t i = 0; i < l->pending.n; i++)
		fd_close(l->pending.v[i].fd);
	vec_done(&l->pending);
	ev_defer_stop(&l->accept);
	list_remove(&l->link);
	free(l);
}

void listener_pause(struct listener *l)
{
	(void)l;
}

void listener_resume(struct listener *l)
{
	(void)l;
}

int listener_addr(const struct listener *l, struct addr *ret)
{
	*ret = l->at;
	return addr_is_set(&l->at) ? 0 : ERR_UNKNOWN;
}

int listener_fd(const struct listener *l)
{
	(void)l;
	return -1;
}

void listener_keep_file(struct listener *l)
{
	(void)l;
}

uint64_t listener_starved(const struct listener *l)
{
	(void)l;
	return 0;
}

size_t listen_inherited(struct inherited ret[static LISTEN_INHERITED_MAX])
{
	(void)ret;
	return 0;
}

int inherited_take(struct inherited *list, size_t n, const char *name)
{
	(void)list;
	(void)n;
	(void)name;
	return -1;
}

static struct machine *machine_at(struct world *w, const struct ip *ip)
{
	struct machine *m;

	list_each(m, &w->machines, link)
		if (ip_eq(&m->ip, ip))
			return m;
	return NULL;
}

static struct listener *listener_at(struct machine *m, uint16_t port)
{
	struct listener *l;

	list_each(l, &m->listeners, link)
		if (l->at.port == port)
			return l;
	return NULL;
}

/* ---- platform/dial.h ---- */

struct dial {
	struct ev *ev;
	struct machine *m;
	struct addr to;
	struct stream_cfg stream;
	struct ev_timer connect;
	mono deadline;
	void (*done)(void *owner, int r, struct stream *s);
	void *owner;
};

static size_t read_nothing(struct stream *s, void *owner, struct span bytes)
{
	(void)s;
	(void)owner;
	(void)bytes;
	return 0;
}

static void closed_early(struct stream *s, void *owner, int why)
{
	(void)owner;
	(void)why;
	stream_free(s);
}

static const struct stream_ops no_owner = { .read = read_nothing, .closed = closed_early };

static void announce(struct listener *l, const struct pending *p)
{
	vec_push(&l->pending, *p);
	ev_defer(l->m->ev, &l->accept);
	machine_poke(l->m);
}

int machine_connect(struct machine *m, uint16_t port, const struct addr *from)
{
	struct listener *l = listener_at(m, port);
	struct pending p = { .from = *from };
	int fd[2];

	if (!l || stream_pair(fd) < 0)
		return -1;
	p.fd = fd[1];
	announce(l, &p);
	return fd[0];
}

static int connect_to(struct dial *d, struct listener *l, struct stream **ret)
{
	struct wire *w = mem_new(struct wire);
	struct pending p = { .from = { .ip = d->m->ip, .port = FIRST_PORT } };
	int fd = -1;
	int r = half_open(&w->half[0], w, d->m, &fd);

	if (r == 0)
		r = half_open(&w->half[1], w, l->m, &p.fd);
	if (r < 0)
		return r; /* of a test without descriptors: it ends anyway */
	list_append(&d->m->w->wires, &w->link);
	announce(l, &p);
	return stream_new(d->ev, fd, &d->stream, &no_owner, NULL, ret);
}

static void finish(struct dial *d, int r, struct stream *s)
{
	d->done(d->owner, r, s);
	dial_cancel(d);
}

static void on_connect(struct ev_timer *t, mono now)
{
	struct dial *d = CONTAINER_OF(t, struct dial, connect);
	struct machine *there = machine_at(d->m->w, &d->to.ip);
	struct listener *l = there ? listener_at(there, d->to.port) : NULL;
	struct stream *s = NULL;
	int r;

	if (d->m->unplugged || !there || there->unplugged || there->asleep ||
	    chance(d->m->w, d->m->w->link.loss)) {
		if (mono_reached(d->deadline, now))
			finish(d, ERR_TIMEOUT, NULL);
		else
			ev_timer_set(d->ev, t,
			             mono_min(d->deadline, mono_after(now, SYN_AGAIN_US)));
		return;
	}
	r = l ? connect_to(d, l, &s) : -ECONNREFUSED;
	finish(d, r, s);
}

struct dial *dial_start(const struct dial_cfg *cfg,
                        void (*done)(void *owner, int r, struct stream *s), void *owner)
{
	struct dial *d = mem_new(struct dial);

	d->ev = cfg->ev;
	d->m = machine_here();
	d->to.port = cfg->port;
	if (cfg->n_addrs)
		d->to.ip = cfg->addrs[0];
	else
		(void)!ip_parse(span_str(cfg->host), &d->to.ip);
	if (cfg->stream)
		d->stream = *cfg->stream;
	d->done = done;
	d->owner = owner;
	d->deadline = mono_after(ev_now(cfg->ev),
	                         cfg->timeout_us ? cfg->timeout_us : DIAL_TIMEOUT_US);
	d->connect.fn = on_connect;
	ev_timer_after(d->ev, &d->connect, 2 * DELAY_US);
	return d;
}

void dial_cancel(struct dial *d)
{
	if (!d)
		return;
	ev_timer_stop(d->ev, &d->connect);
	free(d);
}

const char *dial_error(const struct dial *d)
{
	(void)d;
	return "";
}

int dial_unix(const char *path, int *ret_fd)
{
	(void)path;
	(void)ret_fd;
	return -ENOENT;
}
