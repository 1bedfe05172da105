#include "datapath/datapath.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/mman.h>

#include "base/log.h"
#include "base/mem.h"
#include "datapath/priv.h"

static void rearm(struct datapath *d);

/* ---- memory ------------------------------------------------------------------- */

static uint8_t *slab_new(size_t n)
{
	void *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

static void slab_free(uint8_t *p, size_t n)
{
	if (p)
		munmap(p, n);
}

/* Nothing came or went for a while: the kernel may have the slabs' pages. */
static void idle(struct ev_timer *t, mono now)
{
	struct datapath *d = CONTAINER_OF(t, struct datapath, idle);

	if (d->busy) {
		d->busy = false;
		ev_timer_set(d->ev, t, mono_after(now, IDLE_US));
		return;
	}
	(void)madvise(d->tx.frame, TUN_FRAME_MAX, MADV_DONTNEED);
	(void)madvise(d->tx.slab, TX_SLAB, MADV_DONTNEED);
	if (d->udp)
		udp_idle(d->udp);
}

static void note_traffic(struct datapath *d)
{
	d->busy = true;
	if (!ev_timer_active(&d->idle))
		ev_timer_after(d->ev, &d->idle, IDLE_US);
}

/* ---- what the device wants -------------------------------------------------------- */

static void carry_out(struct datapath *d, const struct wg_out *o)
{
	switch (o->act) {
	case WG_SEND:
		(void)tx_send(d, &o->path, o->tos, o->bytes);
		break;
	case WG_UNSTAGE:
		tx_packet(d, o->peer, o->bytes);
		break;
	case WG_CAME_UP:
	case WG_GAVE_UP:
		if (d->hooks.peer)
			d->hooks.peer(d->hooks.ctx, o->peer, o->act);
		break;
	}
}

void datapath_drain(struct datapath *d)
{
	struct wg_out o;

	d->now = ev_now(d->ev);
	/* What is sent can make the device want more: a handshake, mostly. */
	while (wg_next(d->dev, d->now, ev_wall(d->ev), &o)) {
		if (o.act != WG_UNSTAGE)
			tx_flush(d);
		carry_out(d, &o);
	}
	if (d->tx.peer) {
		tx_flush(d);
		datapath_drain(d);
		return;
	}
	rearm(d);
}

static void timer(struct ev_timer *t, mono now)
{
	struct datapath *d = CONTAINER_OF(t, struct datapath, timer);

	d->now = now;
	wg_run_timers(d->dev, now);
	datapath_drain(d);
}

static void rearm(struct datapath *d)
{
	mono at = wg_deadline(d->dev);

	/* Deadlines mostly move away with every packet: the timer then fires early, once. */
	if (ev_timer_active(&d->timer) && !mono_before(at, d->timer.node.at))
		return;
	ev_timer_set(d->ev, &d->timer, at);
}

/* ---- the two directions --------------------------------------------------------- */

/* Up to so many frames; the last result of tun_read. */
static int take_frames(struct datapath *d, int max, int *ret_frames, size_t *ret_bytes)
{
	size_t bytes = 0;
	int n = 0, i;

	for (i = 0; i < max && bytes < TX_BYTES; i++) {
		n = tun_read(d->tun, d->tx.frame, TUN_FRAME_MAX);
		if (n <= 0)
			break;
		bytes += (size_t)n;
		tx_frame(d, d->tx.frame, (size_t)n);
	}
	tx_flush(d);
	*ret_frames = i;
	*ret_bytes = bytes;
	return n;
}

/*
 * Where packets come one at a time, to look for another costs a system call before
 * the one is sent. So it is not looked for after a turn that had one, unless the
 * loop is back at once, as there was more. How many frames there were.
 */
static int take(struct datapath *d)
{
	bool lone = d->tx.lone && mono_since(d->tx.taken, d->now) > AGAIN_US;
	size_t bytes;
	int frames, n = take_frames(d, lone ? 1 : TX_FRAMES, &frames, &bytes);

	d->tx.lone = frames <= 1 && bytes < LONE_MAX;
	d->tx.taken = d->now;
	if (n == -EBADFD) {
		ev_io_stop(d->ev, &d->tun_io);
		if (d->hooks.gone)
			d->hooks.gone(d->hooks.ctx);
	}
	return frames;
}

static void from_tun(struct ev_io *io, unsigned events)
{
	struct datapath *d = CONTAINER_OF(io, struct datapath, tun_io);

	(void)events;
	d->now = ev_now(d->ev);
	/* It was there when the loop was asked. */
	d->answers |= mono_since(d->delivered, d->now) < ANSWER_US;
	(void)take(d);
	note_traffic(d);
	datapath_drain(d);
}

/*
 * A packet that came alone is mostly answered by this host before its delivery
 * returns (an echo, an acknowledgement, the next request): where it was so last
 * time, the answer is taken without asking the loop. Among many it would go
 * out in smaller batches.
 */
static void take_answer(struct datapath *d)
{
	d->delivered = d->now;
	if (d->answers)
		d->answers = take(d) > 0;
}

static void from_udp(struct datapath *d, enum udp_family family)
{
	bool lone = false;

	d->now = ev_now(d->ev);
	for (int round = 0; d->udp && round < RX_ROUNDS; round++) {
		int n = udp_recv(d->udp, family, d->rx.frames);

		/* An error is that of a datagram sent before, told by ICMP; it is cleared now. */
		for (int i = 0; i < n; i++)
			rx_frame(d, &d->rx.frames[i]);
		/* The slots are used again: nothing may point into them. */
		rx_flush(d);
		rx_write(d);
		lone = round == 0 && n == 1 && d->rx.frames[0].n < LONE_MAX;
		if (n < UDP_RECV_FEW)
			break;
	}
	if (lone)
		take_answer(d);
	note_traffic(d);
	datapath_drain(d);
}

static void from_udp4(struct ev_io *io, unsigned events)
{
	(void)events;
	from_udp(CONTAINER_OF(io, struct datapath, udp_io[UDP_V4]), UDP_V4);
}

static void from_udp6(struct ev_io *io, unsigned events)
{
	(void)events;
	from_udp(CONTAINER_OF(io, struct datapath, udp_io[UDP_V6]), UDP_V6);
}

void datapath_recv(struct datapath *d, const struct wg_path *from, uint8_t *bytes, size_t n)
{
	d->now = ev_now(d->ev);
	rx_datagram(d, from, 0, bytes, n);
	rx_flush(d);
	rx_write(d);
	note_traffic(d);
	datapath_drain(d);
}

int datapath_send_raw(struct datapath *d, const struct addr *to, struct span bytes)
{
	struct wg_path path = { .remote = *to };

	return tx_send(d, &path, 0, bytes);
}

int datapath_send_run(struct datapath *d, const struct addr *to, struct span run, size_t seg)
{
	union {
		const uint8_t *in;
		uint8_t *out; /* the socket changes nothing */
	} bytes = { run.p };
	struct udp_frame f = {
		.p = bytes.out, .n = (uint32_t)run.n, .seg = (uint16_t)seg, .remote = *to
	};
	int error = 0;

	if (!d->udp)
		return -ENETDOWN;
	if (run.n > UDP_FRAME_MAX || seg == 0)
		return -EMSGSIZE;
	(void)udp_send(d->udp, &f, 1, &error);
	if (error)
		wg_drop(d->dev, WG_DROP_SEND_FAILED, 1);
	return error;
}

int datapath_send_whole(struct datapath *d, const struct addr *to, struct span bytes)
{
	enum udp_family family = ip_is4(&to->ip) ? UDP_V4 : UDP_V6;
	int r;

	if (!d->udp)
		return -ENETDOWN;
	udp_set_whole(d->udp, family, true);
	r = datapath_send_raw(d, to, bytes);
	if (d->udp)
		udp_set_whole(d->udp, family, false);
	return r;
}

void datapath_to_peer(struct datapath *d, struct wg_peer *p, struct span packet)
{
	d->now = ev_now(d->ev);
	tx_packet(d, p, packet);
	tx_flush(d);
	datapath_drain(d);
}

void datapath_inject(struct datapath *d, struct span packet)
{
	static const uint8_t header[OFFLOAD_HEADER];
	union {
		const void *in;
		void *out;
	} head = { header }, body = { packet.p };
	struct iovec iov[2] = { { head.out, sizeof(header) }, { body.out, packet.n } };

	if (tun_write(d->tun, iov, 2) < 0)
		wg_drop(d->dev, WG_DROP_WRITE_FAILED, 1);
}

void datapath_set_via6(struct datapath *d, bool on)
{
	uint64_t key[2];

	if (on == (d->via6 != NULL))
		return;
	via6_free(TAKE(d->via6));
	if (!on)
		return;
	rand_bytes(key, sizeof(key));
	d->via6 = via6_new(key);
}

/* ---- sockets ------------------------------------------------------------------------ */

static void close_sockets(struct datapath *d)
{
	for (int i = 0; i < UDP_FAMILIES; i++)
		ev_io_stop(d->ev, &d->udp_io[i]);
	udp_close(TAKE(d->udp));
}

/* Opens others first, so that the present ones stay if that fails. */
static int open_sockets(struct datapath *d, uint16_t port, uint32_t mark)
{
	struct udp_cfg cfg = {
		.port = port,
		.fwmark = mark,
		.tail = d->no_udp_tail ? UDP_TAIL_NEVER : UDP_TAIL_AUTO,
		.no_gso = d->no_udp_gso,
		.no_gro = d->no_udp_gro,
		.grow = d->grow,
		.grow_arg = d->grow_arg,
		.bind_low = d->bind_low,
		.bind_low_arg = d->bind_low_arg,
	};
	struct udp *u;
	int r = udp_open(&cfg, &u);

	if (r == -EACCES && port && port < IPPORT_RESERVED)
		log_error(
			"UDP port %u is for those with CAP_NET_BIND_SERVICE: start with it, lower "
			"net.ipv4.ip_unprivileged_port_start, or take a port from %d up",
			port, IPPORT_RESERVED);
	if (r < 0)
		return r;
	close_sockets(d);
	d->udp = u;
	for (int i = 0; i < UDP_FAMILIES && r == 0; i++)
		if (udp_fd(u, i) >= 0)
			r = ev_io_start(d->ev, &d->udp_io[i], udp_fd(u, i), EV_READ);
	if (r < 0)
		close_sockets(d);
	return r;
}

static int come_up(struct datapath *d)
{
	int r = open_sockets(d, wg_listen_port(d->dev), wg_fwmark(d->dev));

	if (r == -EADDRINUSE && d->any_port) {
		log_warn("UDP port %u is taken: another one it is", wg_listen_port(d->dev));
		r = open_sockets(d, 0, wg_fwmark(d->dev));
	}
	if (r < 0)
		return log_ret(r, "cannot open UDP port %u", wg_listen_port(d->dev));
	wg_set_bound_port(d->dev, udp_port(d->udp));
	if (!d->probed && !d->no_tun_join) {
		tun_probe_writes(d->tun);
		d->probed = true;
		d->join_kinds = tun_caps(d->tun);
	}
	wg_up(d->dev, d->now);
	log_info("interface up, port %u", udp_port(d->udp));
	return 0;
}

static bool wants_other_port(const struct datapath *d, const struct wg_change *c)
{
	return (c->set & WG_SET_LISTEN_PORT) &&
	       (c->listen_port == 0 || c->listen_port != udp_port(d->udp));
}

int datapath_apply(struct datapath *d, const struct wg_change *c)
{
	uint32_t mark = c->set & WG_SET_FWMARK ? c->fwmark : wg_fwmark(d->dev);
	int r = wg_apply_check(d->dev, c);

	d->now = ev_tick(d->ev);
	if (r < 0)
		return r;
	if (d->udp && wants_other_port(d, c))
		r = open_sockets(d, c->listen_port, mark);
	else if (d->udp && mark != wg_fwmark(d->dev))
		r = udp_set_fwmark(d->udp, mark);
	if (r == 0)
		r = wg_apply(d->dev, d->now, c);
	if (d->udp)
		wg_set_bound_port(d->dev, udp_port(d->udp));
	/* The port that could not be had when the interface came up may be free now, or another. */
	else if (r == 0 && tun_is_up(d->tun))
		r = come_up(d);
	datapath_drain(d);
	return r;
}

/* ---- the interface ------------------------------------------------------------------- */

static void interface_changed(void *arg)
{
	struct datapath *d = arg;
	bool up = tun_is_up(d->tun);

	d->now = ev_tick(d->ev);
	d->mtu = tun_mtu(d->tun);
	if (up && !wg_is_up(d->dev)) {
		(void)come_up(d);
	} else if (!up && wg_is_up(d->dev)) {
		wg_down(d->dev, d->now);
		close_sockets(d);
		log_info("interface down");
	}
	datapath_drain(d);
}

/* Answers may have to leave by another way: the next packet in says from where. */
static void rerouted(void *arg)
{
	struct datapath *d = arg;

	wg_forget_locals(d->dev);
}

static void interface_gone(void *arg)
{
	struct datapath *d = arg;

	if (d->hooks.gone)
		d->hooks.gone(d->hooks.ctx);
}

_Static_assert((int)OFFLOAD_TCP == (int)TUN_TCP && (int)OFFLOAD_UDP == (int)TUN_UDP, "same bits");
_Static_assert((int)OFFLOAD_HEADER == (int)TUN_HEADER, "same header");
_Static_assert((int)TX_SLAB >= (int)TX_SLOT_MAX, "the largest packet fits");

int datapath_new(const struct datapath_cfg *cfg, struct datapath **ret)
{
	struct datapath *d = mem_new(struct datapath);
	struct tun_watch watch = { interface_changed, interface_gone, rerouted, d };

	*d = (struct datapath){ .ev = cfg->ev,
		                .tun = cfg->tun,
		                .dev = cfg->dev,
		                .hooks = cfg->hooks,
		                .any_port = cfg->any_port,
		                .no_udp_gso = cfg->no_udp_gso,
		                .no_udp_gro = cfg->no_udp_gro,
		                .no_udp_tail = cfg->no_udp_tail,
		                .grow = cfg->grow,
		                .grow_arg = cfg->grow_arg,
		                .bind_low = cfg->bind_low,
		                .bind_low_arg = cfg->bind_low_arg,
		                .no_tun_join = cfg->no_tun_join };
	d->tun_io.fn = from_tun;
	d->udp_io[UDP_V4].fn = from_udp4;
	d->udp_io[UDP_V6].fn = from_udp6;
	d->timer.fn = timer;
	d->idle.fn = idle;
	offload_join_init(&d->rx.join);
	d->tx.frame = slab_new(TUN_FRAME_MAX);
	d->tx.slab = slab_new(TX_SLAB);
	log_debug("cipher: %s", aead_batch_pick());

	int r = d->tx.frame && d->tx.slab ? tun_watch(d->tun, d->ev, &watch) : -ENOMEM;

	if (r == 0)
		r = ev_io_start(d->ev, &d->tun_io, tun_fd(d->tun), EV_READ);
	if (r < 0) {
		datapath_free(d);
		return r;
	}
	interface_changed(d);
	*ret = d;
	return 0;
}

void datapath_free(struct datapath *d)
{
	if (!d)
		return;
	close_sockets(d);
	ev_io_stop(d->ev, &d->tun_io);
	ev_timer_stop(d->ev, &d->timer);
	ev_timer_stop(d->ev, &d->idle);
	tun_close(d->tun);
	wg_device_free(d->dev);
	via6_free(d->via6);
	/* Packets in the clear have been here. */
	if (d->tx.frame)
		explicit_bzero(d->tx.frame, TUN_FRAME_MAX);
	if (d->tx.slab)
		explicit_bzero(d->tx.slab, TX_SLAB);
	slab_free(d->tx.frame, TUN_FRAME_MAX);
	slab_free(d->tx.slab, TX_SLAB);
	free(d);
}

struct wg_device *datapath_device(const struct datapath *d)
{
	return d->dev;
}

const struct tun *datapath_tun(const struct datapath *d)
{
	return d->tun;
}

const struct datapath_traffic *datapath_traffic(const struct datapath *d)
{
	return &d->traffic;
}
