#include "node/peer_relay.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/vec.h"
#include "platform/dgram.h"
#include "protocol/stun.h"

enum {
	PROBES_MAX = 8, /* STUN servers asked at a time */
	SEEN_MAX = 8,
	PROBE_MIN_US = 20000000,
	PROBE_MAX_US = 26000000,
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
	struct dgram *sockets[2]; /* IPv4, IPv6 (or NULL) */
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

static size_t family(const struct ip *ip)
{
	return ip_is4(ip) ? 0 : 1;
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

		if (r->sockets[family(ip)])
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

static void ask(struct peer_relay *r, const struct derp_node *node, bool v6)
{
	struct addr to = { .ip = v6 ? node->ip6 : node->ip4, .port = node->stun_port };
	uint8_t request[STUN_REQUEST_LEN];

	if (!to.port || ip_is_zero(&to.ip) || !r->sockets[v6] || r->n_txids == PROBES_MAX)
		return;
	rand_fill(&r->rand, r->txids[r->n_txids], STUN_TXID);
	stun_request(request, r->txids[r->n_txids++]);
	(void)!dgram_send(r->sockets[v6], &to, SPAN_OF(request));
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

static void on_datagram(void *owner, const struct addr *from, struct span bytes)
{
	struct peer_relay *r = owner;
	struct udprelay_out out;

	if (stun_is(bytes)) {
		on_stun(r, bytes);
		return;
	}
	if (!udprelay_recv(r->core, ev_now(r->ev), from, bytes, &out))
		return;

	size_t in = family(&from->ip), to = family(&out.to.ip);

	if (!r->sockets[to] || dgram_send(r->sockets[to], &out.to, out.bytes) < 0)
		return;
	/* An answer of the relay itself is a copy; what is carried is the datagram. */
	if (out.bytes.p == bytes.p) {
		r->datagrams[in][to]++;
		r->bytes[in][to] += bytes.n;
	}
}

static void on_sweep(struct ev_timer *t, mono now)
{
	struct peer_relay *r = CONTAINER_OF(t, struct peer_relay, sweep);

	udprelay_timeout(r->core, now);
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
	struct dgram_cfg d = { .ev = cfg->ev,
		               .bind = { .ip = ip4(0, 0, 0, 0), .port = cfg->port },
		               .mark = cfg->mark,
		               .grow = cfg->grow,
		               .grow_arg = cfg->grow_arg,
		               .recv = on_datagram,
		               .owner = r };
	struct addr local;
	int e = dgram_open(&d, &r->sockets[0]);

	if (e == 0)
		e = dgram_local(r->sockets[0], &local);
	if (e < 0)
		return e;
	r->port = local.port;
	d.bind = (struct addr){ .port = r->port };
	/* A host without IPv6 relays by IPv4. */
	(void)!dgram_open(&d, &r->sockets[1]);
	return 0;
}

int peer_relay_new(const struct peer_relay_cfg *cfg, struct peer_relay **ret)
{
	struct peer_relay *r = mem_new(struct peer_relay);
	int e;

	r->ev = cfg->ev;
	r->rand = *cfg->rand;
	r->sweep.fn = on_sweep;
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
	for (size_t i = 0; i < 2; i++)
		dgram_close(r->sockets[i]);
	udprelay_free(r->core);
	vec_done(&r->fixed);
	vec_done(&r->ips);
	free(r);
}
