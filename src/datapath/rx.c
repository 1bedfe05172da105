#include <errno.h>
#include <string.h>

#include "datapath/checksum.h"
#include "datapath/mss.h"
#include "datapath/priv.h"

enum { ECN_CE = 3 };

/*
 * RFC 6040: a mark made on the way through the tunnel is put on the packet, if
 * its ends can read it.
 */
static void mark(uint8_t *p, uint8_t outer)
{
	if ((outer & 3) != ECN_CE)
		return;
	if (p[0] >> 4 == 6) {
		if (p[1] >> 4 & 3)
			p[1] |= ECN_CE << 4;
		return;
	}
	if (!(p[1] & 3) || (p[1] & 3) == ECN_CE)
		return;

	/* RFC 1624: the sum loses what the word gains. */
	uint64_t sum = (uint16_t)~be16_at(p + 10) + (uint64_t)(uint16_t)~be16_at(p);

	p[1] |= ECN_CE;
	put_be16(p + 10, (uint16_t)~checksum_fold(sum + be16_at(p)));
}

void rx_write(struct datapath *d)
{
	struct offload_join *j = &d->rx.join;

	if (j->n == 0)
		return;
	offload_join_finish(j);
	if (tun_write(d->tun, j->iov, j->n + 1) < 0)
		wg_drop(d->dev, WG_DROP_WRITE_FAILED, (uint64_t)j->n);
	j->n = 0;
}

/* The other end may have sent it by a path that says nothing of its limits to it. */
static void limit_mss(struct datapath *d, struct wg_peer *peer, uint8_t *p, size_t n)
{
	struct wg_path path = { 0 };

	if (wg_peer_path(d->dev, peer, &path) && path.mtu)
		mss_clamp(p, n, path.mtu);
}

/* A packet for a site of ours becomes one for the host; false: it is gone. */
static bool leave_via6(struct datapath *d, struct wg_peer *peer, uint8_t **p, size_t *n)
{
	int r = via6_to_host(d->via6, d->now, p, n);

	if (r < 0) {
		wg_drop(d->dev, WG_DROP_VIA6, 1);
		if (r == ERR_DENIED)
			icmp_refuse(d, peer, span(*p, *n));
		return false;
	}
	mss_clamp(*p, *n, VIA6_MTU);
	return true;
}

/* A decrypted packet, to the interface. */
static void deliver(struct datapath *d, struct wg_peer *peer, uint8_t *p, size_t n, uint8_t tos,
                    struct ip *known_source)
{
	struct rx *r = &d->rx;
	struct ip src;
	size_t len;

	if (wg_inner_len(span(p, n), &len, &src) < 0) {
		wg_drop(d->dev, WG_DROP_INNER, 1);
		return;
	}
	/* The packets of a batch mostly have one source: it is looked up once. */
	if (!ip_eq(&src, known_source)) {
		if (!wg_recv_source(d->dev, peer, &src))
			return;
		*known_source = src;
	}
	mark(p, tos);
	if (mss_is_syn(p, len))
		limit_mss(d, peer, p, len);
	if (d->hooks.in) {
		enum datapath_verdict v = d->hooks.in(d->hooks.ctx, peer, span(p, len));

		if (v == DATAPATH_DROP)
			wg_drop(d->dev, WG_DROP_FILTERED, 1);
		if (v != DATAPATH_PASS)
			return;
	}
	if (d->via6 && via6_is_out(p) && !leave_via6(d, peer, &p, &len))
		return;
	if (offload_join_add(&r->join, p, len, d->join_kinds))
		return;
	rx_write(d);
	(void)offload_join_add(&r->join, p, len, d->join_kinds);
}

/* Drops what is forged or seen before; what is left moves up. Whether it holds data. */
static bool accept(struct datapath *d, struct wg_keypair *keys, uint64_t *ret_bytes)
{
	struct rx *r = &d->rx;
	size_t kept = 0;
	bool data = false;

	*ret_bytes = 0;
	for (size_t i = 0; i < r->n; i++) {
		const struct aead_msg *m = &r->msgs[i];

		if (!m->ok) {
			wg_drop(d->dev, WG_DROP_AUTH, 1);
			continue;
		}
		if (!wg_recv_accept(d->dev, keys, m->counter))
			continue;
		*ret_bytes += m->n + WG_DATA_OVERHEAD;
		data |= m->n > 0;
		r->tos[kept] = r->tos[i];
		r->msgs[kept++] = *m;
	}
	r->n = kept;
	return data;
}

static void count(struct datapath *d, const struct wg_path *from, size_t packets, uint64_t bytes)
{
	bool six = !ip_is4(&from->remote.ip);

	if (from->relay)
		return;
	d->traffic.in_packets[six] += packets;
	d->traffic.in_bytes[six] += bytes;
}

void rx_flush(struct datapath *d)
{
	struct rx *r = &d->rx;
	struct wg_keypair *keys = TAKE(r->keys);
	struct ip source = { { 0 } };
	uint64_t bytes;

	if (!keys)
		return;
	if (!keys->recv.backend)
		aead_key_init(&keys->recv, keys->recv_key);
	(void)aead_batch_open(&keys->recv, r->msgs, r->n);

	struct wg_peer *peer = keys->index.peer;
	bool data = accept(d, keys, &bytes);

	if (r->n) {
		wg_recv_done(d->dev, d->now, keys, &r->from, data, bytes);
		count(d, &r->from, r->n, bytes);
		for (size_t i = 0; i < r->n; i++)
			if (r->msgs[i].n)
				deliver(d, peer, r->msgs[i].p, r->msgs[i].n, r->tos[i], &source);
	}
	r->n = 0;
}

/* The session a data message belongs to becomes the pending one. */
static bool select_session(struct datapath *d, const struct wg_path *from, const uint8_t *p)
{
	struct rx *r = &d->rx;
	uint32_t index = wg_data_receiver(p);

	if (r->keys && (r->index != index || r->n == AEAD_BATCH_MAX ||
	                !addr_eq(&r->from.remote, &from->remote) || r->from.relay != from->relay))
		rx_flush(d);
	if (!r->keys) {
		r->keys = wg_recv_keypair(d->dev, d->now, index);
		r->index = index;
		r->n = 0;
	}
	/* Of the last datagram, not of the first: that is where the peer is now. */
	r->from = *from;
	return r->keys != NULL;
}

void rx_datagram(struct datapath *d, const struct wg_path *from, uint8_t tos, uint8_t *p, size_t n)
{
	struct rx *r = &d->rx;

	if (wg_msg_kind(span(p, n)) != WG_MSG_DATA) {
		/* It may end sessions that datagrams before it belong to. */
		rx_flush(d);
		wg_recv_handshake(d->dev, d->now, from, span(p, n));
		return;
	}
	if (!select_session(d, from, p))
		return;
	r->tos[r->n] = tos;
	r->msgs[r->n++] = (struct aead_msg){ .p = p + WG_DATA_HEADER,
		                             .n = (uint32_t)(n - WG_DATA_OVERHEAD),
		                             .counter = wg_data_counter(p) };
}

/* No WireGuard message, or not at the front of the datagram. */
static void other_datagram(struct datapath *d, const struct udp_frame *f,
                           const struct wg_path *from, uint8_t *p, size_t n)
{
	struct wg_path path = *from;
	size_t header = d->hooks.wrapped ? d->hooks.wrapped(d->hooks.ctx, span(p, n), &path) : 0;

	if (header == 0 && d->hooks.datagram && d->hooks.datagram(d->hooks.ctx, f, span(p, n)))
		return;
	rx_datagram(d, &path, f->tos, p + header, n - header);
}

void rx_frame(struct datapath *d, const struct udp_frame *f)
{
	struct wg_path from = { .remote = f->remote, .local = f->local, .ifindex = f->ifindex };

	if (f->cut) {
		wg_drop(d->dev, WG_DROP_OVERSIZE, 1);
		return;
	}
	/* Even an empty datagram is one. */
	for (uint32_t at = 0; at < f->n || at == 0; at += f->seg ? f->seg : 1) {
		uint32_t n = f->n - at < f->seg ? f->n - at : f->seg;
		uint8_t *p = f->p + at;

		if (wg_msg_kind(span(p, n)) >= 0)
			rx_datagram(d, &from, f->tos, p, n);
		else
			other_datagram(d, f, &from, p, n);
	}
}
