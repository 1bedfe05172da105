#include <errno.h>
#include <string.h>

#include "datapath/mss.h"
#include "datapath/priv.h"

/* Where the packet goes; NULL: nowhere, and that has been counted and answered. */
static struct wg_peer *route(struct datapath *d, const uint8_t *p, size_t n, struct wg_path *path)
{
	bool v6 = p[0] >> 4 == 6;
	struct wg_peer *peer = v6 ? wg_route6(d->dev, p + 24) : wg_route4(d->dev, p + 16);

	if (d->hooks.out) {
		enum datapath_verdict v = d->hooks.out(d->hooks.ctx, peer, span(p, n));

		if (v == DATAPATH_DROP)
			wg_drop(d->dev, WG_DROP_FILTERED, 1);
		if (v != DATAPATH_PASS)
			return NULL;
	}
	if (!peer) {
		wg_drop(d->dev, WG_DROP_NO_PEER, 1);
		icmp_unreachable(d, span(p, n));
		return NULL;
	}
	*path = (struct wg_path){ 0 };
	if (!wg_peer_path(d->dev, peer, path)) {
		wg_drop(d->dev, WG_DROP_NO_ENDPOINT, 1);
		icmp_unreachable(d, span(p, n));
		return NULL;
	}
	return peer;
}

/*
 * RFC 6040: what the inner packet says about congestion is copied out, but a
 * mark already made stays inside. The rest of the class is nobody's business.
 */
static uint8_t outer_tos(const uint8_t *p)
{
	uint8_t ecn = (p[0] >> 4 == 6 ? p[1] >> 4 : p[1]) & 3;

	return ecn == 3 ? 2 : ecn;
}

/* The next packet's place in the slab, behind its header; NULL: flush first. */
static uint8_t *slot(struct tx *t, size_t room)
{
	if (t->n == AEAD_BATCH_MAX || t->used + room + WG_PADDING + WG_DATA_OVERHEAD > TX_SLAB)
		return NULL;
	return t->slab + t->used + WG_DATA_HEADER;
}

static void add(struct datapath *d, uint8_t *at, size_t n)
{
	struct tx *t = &d->tx;
	size_t padded = wg_padded_len(n, d->mtu);

	/* An interface may be given an MTU that no datagram can carry. */
	if (padded + WG_DATA_OVERHEAD > UDP_FRAME_MAX) {
		wg_drop(d->dev, WG_DROP_SEND_FAILED, 1);
		return;
	}
	memset(at + n, 0, padded - n);
	t->msgs[t->n] = (struct aead_msg){ .p = at, .n = (uint32_t)padded };
	t->plain[t->n++] = (uint32_t)n;
	t->used += padded + WG_DATA_OVERHEAD;
}

static void begin(struct datapath *d, struct wg_peer *peer, uint8_t tos)
{
	struct tx *t = &d->tx;

	if (t->peer && (t->peer != peer || t->tos != tos))
		tx_flush(d);
	t->peer = peer;
	t->tos = tos;
}

enum { MTU6_MIN = 1280 };

/* Whether routers may cut the packet in pieces: then the sender does not care. */
static bool may_be_cut(const uint8_t *p, size_t n)
{
	return n > 20 && p[0] >> 4 == 4 && !(p[6] & 0x40);
}

/* On a narrow path. What does not fit is gone, and its sender knows. */
static bool fits(struct datapath *d, const struct wg_path *path, uint8_t *p, size_t n)
{
	bool v6 = p[0] >> 4 == 6;

	mss_clamp(p, n, path->mtu);
	/* No host makes its IPv6 packets smaller than the least MTU of all. */
	if (path->mtu_guessed || n <= path->mtu || (v6 && n <= MTU6_MIN) || may_be_cut(p, n))
		return true;
	wg_drop(d->dev, WG_DROP_TOO_BIG, 1);
	icmp_too_big(d, span(p, n), v6 && path->mtu < MTU6_MIN ? MTU6_MIN : path->mtu);
	return false;
}

/* The place of the next packet, which takes up to `room` bytes. */
static uint8_t *next_slot(struct datapath *d, struct wg_peer *peer, uint8_t tos, size_t room)
{
	uint8_t *at;

	begin(d, peer, tos);
	at = slot(&d->tx, room);
	if (at)
		return at;
	tx_flush(d);
	begin(d, peer, tos);
	return slot(&d->tx, room);
}

void tx_packet(struct datapath *d, struct wg_peer *p, struct span packet)
{
	uint8_t *at = next_slot(d, p, outer_tos(packet.p), packet.n);

	memcpy(at, packet.p, packet.n);
	add(d, at, packet.n);
}

/* What a site answers, packet by packet: each becomes one of 4via6, and goes like any other. */
static void enter_via6(struct datapath *d, struct offload_cut *cut)
{
	uint8_t p[VIA6_PACKET_MAX + VIA6_ROOM];
	size_t room;

	while ((room = offload_cut_room(cut)) > 0) {
		struct wg_path path;
		struct wg_peer *peer;
		size_t n;

		if (room > VIA6_PACKET_MAX)
			break;
		n = offload_cut_next(cut, p + VIA6_GROWTH);
		if (via6_to_client(d->via6, d->now, p, &n) < 0)
			break;
		peer = route(d, p, n, &path);
		if (!peer)
			return;
		if (path.mtu)
			mss_clamp(p, n, path.mtu);
		tx_packet(d, peer, span(p, n));
	}
	if (room)
		wg_drop(d->dev, WG_DROP_VIA6, 1);
}

void tx_frame(struct datapath *d, uint8_t *frame, size_t n)
{
	struct offload_cut cut;

	if (offload_cut_begin(&cut, frame, n) < 0) {
		wg_drop(d->dev, WG_DROP_NOT_IP, 1);
		return;
	}
	if (d->via6 && via6_is_back(cut.p)) {
		enter_via6(d, &cut);
		return;
	}

	struct wg_path path;
	struct wg_peer *peer = route(d, cut.p, cut.n, &path);

	if (!peer)
		return;

	uint8_t tos = outer_tos(cut.p);

	for (size_t room; (room = offload_cut_room(&cut)) > 0;) {
		uint8_t *at = next_slot(d, peer, tos, room);
		size_t made = offload_cut_next(&cut, at);

		if (path.mtu && !fits(d, &path, at, made))
			return; /* and neither do the others of the frame */
		add(d, at, made);
	}
}

static void stage(struct datapath *d)
{
	struct tx *t = &d->tx;

	for (size_t i = 0; i < t->n; i++)
		wg_stage(d->dev, d->now, t->peer, span(t->msgs[i].p, t->plain[i]));
}

static void seal(struct tx *t, struct wg_keypair *keys, uint64_t first)
{
	for (size_t i = 0; i < t->n; i++) {
		t->msgs[i].counter = first + i;
		wg_data_header(t->msgs[i].p - WG_DATA_HEADER, keys->remote_index, first + i);
	}
	if (!keys->send.backend)
		aead_key_init(&keys->send, keys->send_key);
	aead_batch_seal(&keys->send, t->msgs, t->n);
}

/* Runs of one length, the last of a run perhaps shorter, as the sockets take them. */
static size_t make_runs(struct tx *t, const struct wg_path *path)
{
	struct udp_frame *run = NULL;
	size_t n = 0;
	bool open = false;

	for (size_t i = 0; i < t->n; i++) {
		uint32_t len = t->msgs[i].n + WG_DATA_OVERHEAD;

		if (!open || len > run->seg || run->n + len > UDP_FRAME_MAX) {
			run = &t->runs[n++];
			*run = (struct udp_frame){ .p = t->msgs[i].p - WG_DATA_HEADER,
				                   .seg = (uint16_t)len,
				                   .tos = t->tos,
				                   .remote = path->remote,
				                   .local = path->local,
				                   .ifindex = path->ifindex };
		}
		run->n += len;
		open = len == run->seg;
	}
	return n;
}

static void relay(struct datapath *d, const struct wg_path *path)
{
	struct tx *t = &d->tx;

	if (!d->hooks.relay)
		return;

	size_t runs = make_runs(t, path);

	for (size_t i = 0; i < runs; i++)
		d->hooks.relay(d->hooks.ctx, path, span(t->runs[i].p, t->runs[i].n),
		               t->runs[i].seg);
}

/* Bytes that went. */
static uint64_t transmit(struct datapath *d, const struct wg_path *path)
{
	struct tx *t = &d->tx;
	int error;

	if (path->relay) {
		relay(d, path);
		return t->used;
	}
	if (!d->udp)
		return 0;

	size_t runs = make_runs(t, path), went = udp_send(d->udp, t->runs, runs, &error);

	if (!ip_is_zero(&path->local) && ip_is_zero(&t->runs[0].local))
		wg_forget_locals(d->dev);
	uint64_t bytes = went == t->n ? t->used : t->used / t->n * went;
	bool six = !ip_is4(&path->remote.ip);

	d->traffic.out_packets[six] += went;
	d->traffic.out_bytes[six] += bytes;
	if (went != t->n)
		wg_drop(d->dev, WG_DROP_SEND_FAILED, t->n - went);
	return bytes;
}

void tx_flush(struct datapath *d)
{
	struct tx *t = &d->tx;
	struct wg_keypair *keys;
	struct wg_path path;
	uint64_t first;

	if (!t->peer)
		return;
	if (t->n == 0)
		goto out;
	if (!wg_peer_path(d->dev, t->peer, &path)) {
		wg_drop(d->dev, WG_DROP_NO_ENDPOINT, t->n);
		goto out;
	}
	if (wg_send_begin(d->dev, d->now, t->peer, (unsigned)t->n, &keys, &first) < 0) {
		stage(d);
		goto out;
	}
	seal(t, keys, first);
	wg_send_done(d->dev, d->now, t->peer, transmit(d, &path));
out:
	t->peer = NULL;
	t->n = 0;
	t->used = 0;
}

int tx_send(struct datapath *d, const struct wg_path *path, uint8_t tos, struct span bytes)
{
	uint8_t copy[TX_CONTROL_MAX];
	struct udp_frame f = { .p = copy,
		               .n = (uint32_t)bytes.n,
		               .seg = (uint16_t)bytes.n,
		               .tos = tos,
		               .remote = path->remote,
		               .local = path->local,
		               .ifindex = path->ifindex };
	int error = -ENETDOWN;

	if (path->relay) {
		if (d->hooks.relay)
			d->hooks.relay(d->hooks.ctx, path, bytes, bytes.n);
		return 0;
	}
	if (bytes.n > sizeof(copy))
		return -EMSGSIZE;
	memcpy(copy, bytes.p, bytes.n);
	if (d->udp && udp_send(d->udp, &f, 1, &error) == 1)
		return 0;
	wg_drop(d->dev, WG_DROP_SEND_FAILED, 1);
	return error;
}
