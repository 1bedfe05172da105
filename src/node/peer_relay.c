#include "node/peer_relay.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/vec.h"
#include "platform/udp.h"
#include "protocol/stun.h"

enum {
	PROBES_MAX = 8, /* STUN servers asked at a time */
	SEEN_MAX = 8,
	PROBE_MIN_US = 20000000,
	PROBE_MAX_US = 26000000,
	ECN = 3,                 /* of the traffic class: it is the way's, and goes on */
	ROUNDS = 4,              /* of reading before others have their turn */
	SEEN_US = 310 * 1000000, /* an address of STUN is told for so long */
};

/* How a STUN server saw one of our sockets. */
struct seen {
	struct addr addr;
	mono at;
};

struct peer_relay {
	struct ev *ev;
	struct rand_src rand;
	struct udprelay *core;
	struct udp *udp;
	struct ev_io io[UDP_FAMILIES];
	struct udp_frame frames[UDP_RECV_SLOTS];
	struct udp_frame waiting[UDP_SEND_MAX]; /* to be sent, within what was received */
	size_t n_waiting;
	uint16_t port;
	struct ev_timer sweep, probe;
	const struct derp_map *map; /* the mesh's */
	uint8_t txids[PROBES_MAX][STUN_TXID];
	size_t n_txids;
	struct seen seen[SEEN_MAX];
	size_t n_seen;
	VEC(struct addr) fixed;
	VEC(struct ip) ips;
	uint64_t datagrams[2][2], bytes[2][2];
};

/* As enum udp_family counts. */
static size_t family(const struct ip *ip)
{
	return ip_is4(ip) ? 0 : 1;
}

static bool has_family(const struct peer_relay *r, size_t f)
{
	return udp_fd(r->udp, (enum udp_family)f) >= 0;
}

static void add(struct addr *v, size_t *n, const struct addr *a)
{
	for (size_t i = 0; i < *n; i++) {
		if (addr_eq(&v[i], a))
			return;
	}
	if (*n < DISCO_ENDPOINTS_MAX)
		v[(*n)++] = *a;
}

static void tell_core(struct peer_relay *r)
{
	struct addr v[DISCO_ENDPOINTS_MAX];
	mono now = ev_now(r->ev);
	size_t n = 0;

	vec_each(struct addr *, a, &r->fixed)
		add(v, &n, a);
	for (size_t i = 0; i < r->n_seen; i++) {
		struct addr forwarded = { .ip = r->seen[i].addr.ip, .port = r->port };

		if (mono_since(r->seen[i].at, now) > SEEN_US)
			continue;
		add(v, &n, &r->seen[i].addr);
		/* Another port than ours: perhaps ours is forwarded by hand. */
		add(v, &n, &forwarded);
	}
	vec_each(struct ip *, ip, &r->ips) {
		struct addr a = { .ip = *ip, .port = r->port };

		if (has_family(r, family(ip)))
			add(v, &n, &a);
	}
	udprelay_addresses(r->core, v, n);
}

void peer_relay_addresses(struct peer_relay *r, const struct addr *fixed, size_t n_fixed,
                          const struct ip *ips, size_t n_ips)
{
	r->fixed.n = r->ips.n = 0;
	for (size_t i = 0; i < n_fixed; i++)
		vec_push(&r->fixed, fixed[i]);
	for (size_t i = 0; i < n_ips; i++)
		vec_push(&r->ips, ips[i]);
	tell_core(r);
}

/* ---- STUN ------------------------------------------------------------------- */

static void send_one(struct peer_relay *r, const struct addr *to, struct span bytes);

static void ask(struct peer_relay *r, const struct derp_node *node, bool v6)
{
	struct addr to = { .ip = v6 ? node->ip6 : node->ip4, .port = node->stun_port };
	uint8_t request[STUN_REQUEST_LEN];

	if (!to.port || ip_is_zero(&to.ip) || !has_family(r, v6) || r->n_txids == PROBES_MAX)
		return;
	rand_fill(&r->rand, r->txids[r->n_txids], STUN_TXID);
	stun_request(request, r->txids[r->n_txids++]);
	send_one(r, &to, SPAN_OF(request));
}

static void on_probe(struct ev_timer *t, mono now)
{
	struct peer_relay *r = CONTAINER_OF(t, struct peer_relay, probe);
	int64_t span_us = PROBE_MAX_US - PROBE_MIN_US;

	(void)now;
	r->n_txids = 0;
	for (size_t i = 0; r->map && i < r->map->n_regions; i++) {
		for (size_t k = 0; k < r->map->regions[i].n_nodes && k < 1; k++) {
			ask(r, &r->map->regions[i].nodes[k], false);
			ask(r, &r->map->regions[i].nodes[k], true);
		}
	}
	ev_timer_after(r->ev, &r->probe,
	               PROBE_MIN_US + (int64_t)rand_src_below(&r->rand, (uint64_t)span_us));
}

void peer_relay_probe(struct peer_relay *r, const struct derp_map *map)
{
	r->map = map;
	ev_timer_after(r->ev, &r->probe, 0);
}

static struct seen *slot_for(struct peer_relay *r, const struct addr *a)
{
	struct seen *oldest = &r->seen[0];

	for (size_t i = 0; i < r->n_seen; i++) {
		if (addr_eq(&r->seen[i].addr, a))
			return &r->seen[i];
		if (mono_before(r->seen[i].at, oldest->at))
			oldest = &r->seen[i];
	}
	return r->n_seen < SEEN_MAX ? &r->seen[r->n_seen++] : oldest;
}

static void on_stun(struct peer_relay *r, struct span bytes)
{
	uint8_t txid[STUN_TXID];
	struct addr a;

	if (stun_response_parse(bytes, txid, &a) < 0)
		return;
	for (size_t i = 0; i < r->n_txids; i++) {
		if (memcmp(r->txids[i], txid, STUN_TXID) != 0)
			continue;
		*slot_for(r, &a) = (struct seen){ a, ev_now(r->ev) };
		tell_core(r);
		return;
	}
}

/* ---- datagrams ----------------------------------------------------------------- */

static void send_one(struct peer_relay *r, const struct addr *to, struct span bytes)
{
	uint8_t copy[UDPRELAY_REPLY_MAX];
	struct udp_frame f = { .p = copy, .n = (uint32_t)bytes.n, .remote = *to };
	int error;

	if (bytes.n > sizeof(copy))
		return;
	memcpy(copy, bytes.p, bytes.n);
	f.seg = (uint16_t)bytes.n;
	/* Whoever wanted it asks again. */
	(void)udp_send(r->udp, &f, 1, &error);
}

static void send_waiting(struct peer_relay *r)
{
	int error;

	if (r->n_waiting)
		(void)udp_send(r->udp, r->waiting, r->n_waiting, &error);
	r->n_waiting = 0;
}

static void pass_on(struct peer_relay *r, const struct udp_frame *f, const struct udprelay_out *out,
                    uint8_t *bytes, size_t seg)
{
	size_t in = family(&f->remote.ip), to = family(&out->to.ip);

	if (r->n_waiting == UDP_SEND_MAX)
		send_waiting(r);
	r->waiting[r->n_waiting++] = (struct udp_frame){ .p = bytes,
		                                         .n = (uint32_t)out->bytes.n,
		                                         .seg = (uint16_t)seg,
		                                         .tos = f->tos & ECN,
		                                         .remote = out->to };
	r->datagrams[in][to] += (out->bytes.n + seg - 1) / seg;
	r->bytes[in][to] += out->bytes.n;
}

static void on_datagram(struct peer_relay *r, const struct udp_frame *f, uint8_t *p, size_t n)
{
	struct udprelay_out out;

	if (stun_is(span(p, n)))
		on_stun(r, span(p, n));
	else if (!udprelay_recv(r->core, ev_now(r->ev), &f->remote, span(p, n), &out))
		return;
	else if (out.bytes.p == p)
		pass_on(r, f, &out, p, n);
	else /* an answer of the relay itself */
		send_one(r, &out.to, out.bytes);
}

static void on_frame(struct peer_relay *r, const struct udp_frame *f)
{
	struct udprelay_out out;

	if (f->cut || f->n == 0)
		return;
	if (f->seg < f->n &&
	    udprelay_recv_run(r->core, ev_now(r->ev), &f->remote, span(f->p, f->n), f->seg, &out)) {
		pass_on(r, f, &out, f->p, f->seg);
		return;
	}
	for (uint32_t at = 0; at < f->n; at += f->seg)
		on_datagram(r, f, f->p + at, f->n - at < f->seg ? f->n - at : f->seg);
}

static void on_readable(struct peer_relay *r, enum udp_family family)
{
	for (int round = 0; round < ROUNDS; round++) {
		int n = udp_recv(r->udp, family, r->frames);

		/* An error is that of a datagram sent before; it is cleared now. */
		for (int i = 0; i < n; i++)
			on_frame(r, &r->frames[i]);
		/* The slots are used again. */
		send_waiting(r);
		if (n < UDP_RECV_FEW)
			return;
	}
}

static void on_readable4(struct ev_io *io, unsigned events)
{
	(void)events;
	on_readable(CONTAINER_OF(io, struct peer_relay, io[UDP_V4]), UDP_V4);
}

static void on_readable6(struct ev_io *io, unsigned events)
{
	(void)events;
	on_readable(CONTAINER_OF(io, struct peer_relay, io[UDP_V6]), UDP_V6);
}

static void on_sweep(struct ev_timer *t, mono now)
{
	struct peer_relay *r = CONTAINER_OF(t, struct peer_relay, sweep);

	udprelay_timeout(r->core, now);
	udp_idle(r->udp);
	ev_timer_set(r->ev, &r->sweep, udprelay_deadline(r->core));
}

int peer_relay_allocate(struct peer_relay *r, const struct disco_pub *asker,
                        const struct disco_pub clients[static 2], struct disco_relay_endpoint *ret)
{
	int e;

	/* Addresses of STUN may have grown old. */
	tell_core(r);
	e = udprelay_allocate(r->core, ev_now(r->ev), asker, clients, ret);
	ev_timer_set(r->ev, &r->sweep, udprelay_deadline(r->core));
	return e;
}

void peer_relay_stats(const struct peer_relay *r, struct peer_relay_stats *ret)
{
	*ret = (struct peer_relay_stats){ .port = r->port };
	memcpy(ret->datagrams, r->datagrams, sizeof(r->datagrams));
	memcpy(ret->bytes, r->bytes, sizeof(r->bytes));
	ret->open = udprelay_open(r->core);
	ret->connecting = udprelay_count(r->core) - ret->open;
}

/* ---- life ----------------------------------------------------------------------- */

static int open_sockets(struct peer_relay *r, const struct peer_relay_cfg *cfg)
{
	struct udp_cfg u = {
		.port = cfg->port, .fwmark = cfg->mark, .grow = cfg->grow, .grow_arg = cfg->grow_arg
	};
	int e = udp_open(&u, &r->udp);

	if (e < 0)
		return e;
	r->port = udp_port(r->udp);
	for (enum udp_family i = 0; i < UDP_FAMILIES && e == 0; i++) {
		if (has_family(r, i))
			e = ev_io_start(r->ev, &r->io[i], udp_fd(r->udp, i), EV_READ);
	}
	return e;
}

int peer_relay_new(const struct peer_relay_cfg *cfg, struct peer_relay **ret)
{
	struct peer_relay *r = mem_new(struct peer_relay);
	int e;

	r->ev = cfg->ev;
	r->rand = *cfg->rand;
	r->sweep.fn = on_sweep;
	r->io[UDP_V4].fn = on_readable4;
	r->io[UDP_V6].fn = on_readable6;
	r->probe.fn = on_probe;
	r->core = udprelay_new(ev_now(cfg->ev), cfg->rand);
	e = open_sockets(r, cfg);
	if (e < 0) {
		peer_relay_free(r);
		return e;
	}
	*ret = r;
	return 0;
}

void peer_relay_free(struct peer_relay *r)
{
	if (!r)
		return;
	ev_timer_stop(r->ev, &r->sweep);
	ev_timer_stop(r->ev, &r->probe);
	for (size_t i = 0; i < UDP_FAMILIES; i++)
		ev_io_stop(r->ev, &r->io[i]);
	udp_close(r->udp);
	udprelay_free(r->core);
	vec_done(&r->fixed);
	vec_done(&r->ips);
	free(r);
}
