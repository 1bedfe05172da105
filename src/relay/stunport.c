#include "relay/stunport.h"

static size_t answer(struct stunport *p, const struct udp_frame *in, uint8_t *dst)
{
	if (in->cut || in->seg != in->n) /* several at once are not from a STUN client */
		return 0;
	return stunsrv_answer(&p->srv, ev_now(p->ev), &in->remote, span(in->p, in->n), dst);
}

static void on_readable(struct ev_io *io, unsigned events)
{
	struct stunport_io *at = CONTAINER_OF(io, struct stunport_io, io);
	struct stunport *p = at->port;
	struct udp_frame in[UDP_RECV_SLOTS], out[UDP_RECV_SLOTS];
	uint8_t answers[UDP_RECV_SLOTS][STUN_RESPONSE_MAX];
	size_t n_out = 0;
	int n = udp_recv(p->udp, at->family, in), why = 0;

	(void)events;
	for (int i = 0; i < n; i++) {
		size_t len = answer(p, &in[i], answers[n_out]);

		if (!len)
			continue;
		out[n_out] = (struct udp_frame){ .p = answers[n_out],
			                         .n = (uint32_t)len,
			                         .seg = (uint16_t)len,
			                         .remote = in[i].remote,
			                         .local = in[i].local };
		n_out++;
	}
	if (n_out)
		(void)udp_send(p->udp, out, n_out, &why); /* a lost answer is asked for again */
}

int stunport_open(struct stunport *p, struct ev *ev, uint16_t port)
{
	struct udp_cfg cfg = { .port = port, .no_gso = true, .no_gro = true };
	int r = udp_open(&cfg, &p->udp);

	if (r < 0)
		return r;
	p->ev = ev;
	for (enum udp_family f = 0; r >= 0 && f < UDP_FAMILIES; f++) {
		int fd = udp_fd(p->udp, f);

		p->io[f] = (struct stunport_io){ .io.fn = on_readable, .port = p, .family = f };
		if (fd >= 0)
			r = ev_io_start(ev, &p->io[f].io, fd, EV_READ);
	}
	if (r < 0)
		stunport_close(p);
	return r < 0 ? r : 0;
}

void stunport_close(struct stunport *p)
{
	if (!p->udp)
		return;
	for (enum udp_family f = 0; f < UDP_FAMILIES; f++)
		ev_io_stop(p->ev, &p->io[f].io);
	udp_close(TAKE(p->udp));
}
