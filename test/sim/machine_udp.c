/* platform/udp.h and platform/dgram.h on a fake network. IPv4 alone. */
#include <errno.h>

#include "platform/dgram.h"
#include "platform/udp.h"
#include "test/sim/machine_priv.h"

static void on_datagram(void *arg, const struct addr *from, const struct addr *to,
                        struct span datagram)
{
	(void)to;
	inbox_put(arg, from, datagram);
}

/* The port; 0: it is taken. */
static uint16_t open_port(struct inbox *in, uint16_t port)
{
	uint16_t got;

	inbox_open(in, machine_here());
	got = fakehost_bind(in->m->host, port, on_datagram, in);
	if (!got)
		inbox_done(in);
	return got;
}

static int send_from(const struct inbox *in, uint16_t port, const struct addr *to,
                     struct span bytes)
{
	if (!ip_is4(&to->ip) || in->m->unplugged)
		return -ENETUNREACH;
	return fakehost_send(in->m->host, port, to, bytes) ? 0 : -ENETUNREACH;
}

/* ---- udp.h ---- */

struct udp {
	struct inbox in;
	uint16_t port;
	struct inbox_item held[UDP_RECV_SLOTS]; /* what the last udp_recv gave */
	size_t n_held;
};

int udp_open(const struct udp_cfg *cfg, struct udp **ret)
{
	struct udp *u = mem_new(struct udp);

	u->port = open_port(&u->in, cfg->port);
	if (!u->port) {
		free(u);
		return -EADDRINUSE;
	}
	*ret = u;
	return 0;
}

static void let_go(struct udp *u)
{
	while (u->n_held)
		free(u->held[--u->n_held].bytes);
}

void udp_close(struct udp *u)
{
	if (!u)
		return;
	fakehost_close(u->in.m->host, u->port);
	let_go(u);
	inbox_done(&u->in);
	free(u);
}

uint16_t udp_port(const struct udp *u)
{
	return u->port;
}

int udp_grow(int fd)
{
	(void)fd;
	return 0;
}

bool udp_release_needs_tail(const char *release)
{
	(void)release;
	return false;
}

void udp_set_whole(struct udp *u, enum udp_family family, bool whole)
{
	(void)u;
	(void)family;
	(void)whole;
}

int udp_set_fwmark(struct udp *u, uint32_t mark)
{
	(void)u;
	(void)mark;
	return 0;
}

int udp_fd(const struct udp *u, enum udp_family family)
{
	return family == UDP_V4 ? u->in.fd : -1;
}

int udp_recv(struct udp *u, enum udp_family family, struct udp_frame *ret)
{
	(void)family;
	let_go(u);
	while (u->n_held < UDP_RECV_SLOTS && inbox_take(&u->in, &u->held[u->n_held])) {
		struct inbox_item *i = &u->held[u->n_held++];

		*ret++ = (struct udp_frame){ .p = i->bytes,
			                     .n = (uint32_t)i->n,
			                     .seg = (uint16_t)i->n,
			                     .remote = i->from,
			                     .local = u->in.m->ip };
	}
	return (int)u->n_held;
}

static int send_frame(struct udp *u, const struct udp_frame *f, size_t *went)
{
	size_t seg = f->seg && f->seg < f->n ? f->seg : f->n;
	int r = 0;

	for (size_t at = 0; at < f->n && r == 0; at += seg) {
		r = send_from(&u->in, u->port, &f->remote,
		              span(f->p + at, f->n - at < seg ? f->n - at : seg));
		*went += r == 0;
	}
	return r;
}

size_t udp_send(struct udp *u, struct udp_frame *frames, size_t n, int *ret_error)
{
	size_t went = 0;

	*ret_error = 0;
	for (size_t i = 0; i < n; i++) {
		int r = send_frame(u, &frames[i], &went);

		if (r < 0)
			*ret_error = r;
	}
	return went;
}

void udp_idle(struct udp *u)
{
	(void)u;
}

/* ---- dgram.h ---- */

struct dgram {
	struct inbox in;
	struct ev_io io;
	struct dgram_cfg cfg;
	struct addr peer; /* not set: anybody */
	uint16_t port;
	bool in_call, closed;
};

static void free_dgram(struct dgram *d)
{
	inbox_done(&d->in);
	free(d);
}

static void on_readable(struct ev_io *io, unsigned events)
{
	struct dgram *d = CONTAINER_OF(io, struct dgram, io);
	struct inbox_item i;

	(void)events;
	d->in_call = true;
	while (!d->closed && inbox_take(&d->in, &i)) {
		if (!addr_is_set(&d->peer) || addr_eq(&d->peer, &i.from))
			d->cfg.recv(d->cfg.owner, &i.from, span(i.bytes, i.n));
		free(i.bytes);
	}
	d->in_call = false;
	if (d->closed)
		free_dgram(d);
}

int dgram_open(const struct dgram_cfg *cfg, struct dgram **ret)
{
	struct dgram *d;
	int r;

	if (!ip_is4(&cfg->bind.ip))
		return -EAFNOSUPPORT;
	d = mem_new(struct dgram);
	d->cfg = *cfg;
	d->io.fn = on_readable;
	if (cfg->peer)
		d->peer = *cfg->peer;
	d->port = open_port(&d->in, cfg->bind.port);
	r = d->port ? ev_io_start(cfg->ev, &d->io, d->in.fd, EV_READ) : -EADDRINUSE;
	if (r < 0) {
		free(d);
		return r;
	}
	*ret = d;
	return 0;
}

void dgram_close(struct dgram *d)
{
	if (!d)
		return;
	fakehost_close(d->in.m->host, d->port);
	ev_io_stop(d->cfg.ev, &d->io);
	d->closed = true;
	if (!d->in_call)
		free_dgram(d);
}

int dgram_send(struct dgram *d, const struct addr *to, struct span bytes)
{
	return send_from(&d->in, d->port, to ? to : &d->peer, bytes);
}

int dgram_local(const struct dgram *d, struct addr *ret)
{
	*ret = (struct addr){ .ip = d->in.m->ip, .port = d->port };
	return 0;
}

bool socket_has_address(const struct ip *ip)
{
	return ip_eq(&machine_here()->ip, ip);
}

int socket_mark(int fd, uint32_t mark)
{
	(void)fd;
	(void)mark;
	return 0;
}
