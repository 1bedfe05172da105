#include "test/sim/fakenet.h"

#include <assert.h>
#include <stdlib.h>

#include "base/heap.h"
#include "base/list.h"
#include "base/mem.h"
#include "base/vec.h"

enum {
	MAPPING_LIFE_US = 30 * 1000000,
	PORT_FIRST = 20000,
	HOPS_MAX = 8,
	TURNS_MAX = 100000, /* wake-ups without progress of the clock */
};

struct packet {
	struct heap_node timer;
	struct addr from, to;
	struct fakenat *at; /* the network it travels in now; NULL: the internet */
	size_t n;
	uint8_t bytes[];
};

/* One outside port of a NAT. */
struct mapping {
	struct addr inside, outside;
	struct addr peer; /* symmetric: the only destination it serves */
	bool fixed;       /* made by hand: never dies, lets everybody in */
	mono last_out;
	VEC(struct addr) sent_to;
};

struct fakenat {
	struct link link;
	struct fakenet *net;
	struct fakenat *uplink;
	enum fakenat_kind kind;
	struct ip outside;
	bool v6;
	uint16_t next_port;
	VEC(struct mapping) mappings;
};

struct port {
	uint16_t number;
	fakehost_recv_fn *recv;
	void *arg;
};

struct fakehost {
	struct link link;
	struct fakenet *net;
	struct fakenat *nat;
	bool unplugged;
	VEC(struct ip) ips;
	VEC(struct port) ports;
};

struct fakenet {
	mono now;
	struct rand_src rand;
	struct fakenet_link link;
	struct heap packets;
	struct link hosts, nats;
	struct fakenet_stats stats;
};

struct fakenet *fakenet_new(uint64_t seed)
{
	struct fakenet *net = mem_new(struct fakenet);

	net->now = (mono){ 1000 * US_PER_S };
	net->link.delay_us = 5000;
	rand_seeded(&net->rand, seed);
	list_init(&net->hosts);
	list_init(&net->nats);
	return net;
}

static void forget_mappings(struct fakenat *nat)
{
	for (size_t i = 0; i < nat->mappings.n; i++)
		vec_done(&nat->mappings.v[i].sent_to);
	vec_done(&nat->mappings);
}

void fakenet_free(struct fakenet *net)
{
	struct fakehost *h, *next_h;
	struct fakenat *n, *next_n;
	struct heap_node *p;

	if (!net)
		return;
	while ((p = heap_first(&net->packets))) {
		heap_remove(&net->packets, p);
		free(CONTAINER_OF(p, struct packet, timer));
	}
	heap_done(&net->packets);
	list_each_safe(h, next_h, &net->hosts, link) {
		vec_done(&h->ips);
		vec_done(&h->ports);
		free(h);
	}
	list_each_safe(n, next_n, &net->nats, link) {
		forget_mappings(n);
		free(n);
	}
	free(net);
}

mono fakenet_now(const struct fakenet *net)
{
	return net->now;
}

struct rand_src *fakenet_rand(struct fakenet *net)
{
	return &net->rand;
}

void fakenet_set_link(struct fakenet *net, const struct fakenet_link *link)
{
	net->link = *link;
}

void fakenet_stats(const struct fakenet *net, struct fakenet_stats *ret)
{
	*ret = net->stats;
}

struct fakenat *fakenet_nat(struct fakenet *net, enum fakenat_kind kind, struct ip outside,
                            struct fakenat *uplink)
{
	struct fakenat *nat = mem_new(struct fakenat);

	nat->net = net;
	nat->kind = kind;
	nat->outside = outside;
	nat->uplink = uplink;
	nat->next_port = PORT_FIRST;
	list_append(&net->nats, &nat->link);
	return nat;
}

void fakenat_allow_v6(struct fakenat *nat)
{
	nat->v6 = true;
}

void fakenat_rebind(struct fakenat *nat, struct ip outside)
{
	forget_mappings(nat);
	nat->outside = outside;
}

void fakenat_map(struct fakenat *nat, uint16_t outside_port, const struct addr *inside)
{
	struct mapping *m = vec_add(&nat->mappings);

	m->inside = *inside;
	m->outside = (struct addr){ .ip = nat->outside, .port = outside_port };
	m->fixed = true;
}

struct fakehost *fakenet_host(struct fakenet *net, struct ip ip, struct fakenat *nat)
{
	struct fakehost *h = mem_new(struct fakehost);

	h->net = net;
	h->nat = nat;
	vec_push(&h->ips, ip);
	list_append(&net->hosts, &h->link);
	return h;
}

void fakehost_add_address(struct fakehost *host, struct ip ip)
{
	vec_push(&host->ips, ip);
}

void fakehost_move(struct fakehost *host, struct ip ip, struct fakenat *nat)
{
	host->ips.n = 0;
	vec_push(&host->ips, ip);
	host->nat = nat;
}

void fakehost_unplug(struct fakehost *host, bool out)
{
	host->unplugged = out;
}

struct ip fakehost_ip(const struct fakehost *host)
{
	return host->ips.v[0];
}

static struct port *find_port(struct fakehost *h, uint16_t number)
{
	for (size_t i = 0; i < h->ports.n; i++) {
		if (h->ports.v[i].number == number)
			return &h->ports.v[i];
	}
	return NULL;
}

uint16_t fakehost_bind(struct fakehost *host, uint16_t port, fakehost_recv_fn *recv, void *arg)
{
	while (port == 0 || (find_port(host, port) && port >= 32768)) {
		port = (uint16_t)(32768 + rand_src_below(&host->net->rand, 28000));
		if (!find_port(host, port))
			break;
	}
	if (find_port(host, port))
		return 0;

	struct port *p = vec_add(&host->ports);

	*p = (struct port){ port, recv, arg };
	return port;
}

void fakehost_close(struct fakehost *host, uint16_t port)
{
	struct port *p = find_port(host, port);

	if (p)
		vec_remove_swap(&host->ports, (size_t)(p - host->ports.v));
}

static bool chance(struct fakenet *net, double p)
{
	return p > 0 && (double)rand_src_below(&net->rand, 1000000) < p * 1e6;
}

static void put_on_the_way(struct fakenet *net, const struct addr *from, const struct addr *to,
                           struct fakenat *at, struct span datagram)
{
	struct packet *p = mem_zalloc(1, sizeof(*p) + datagram.n);
	int64_t us = net->link.delay_us;

	if (net->link.jitter_us)
		us += (int64_t)rand_src_below(&net->rand, (uint64_t)net->link.jitter_us);
	p->from = *from;
	p->to = *to;
	p->at = at;
	p->n = datagram.n;
	if (datagram.n)
		memcpy(p->bytes, datagram.p, datagram.n);
	heap_set(&net->packets, &p->timer, mono_after(net->now, us));
}

bool fakehost_send(struct fakehost *host, uint16_t from_port, const struct addr *to,
                   struct span datagram)
{
	struct fakenet *net = host->net;
	struct addr from = { .port = from_port };
	bool found = false;

	assert(datagram.n <= FAKENET_DATAGRAM_MAX);
	for (size_t i = 0; i < host->ips.n && !found; i++) {
		if (ip_is4(&host->ips.v[i]) == ip_is4(&to->ip)) {
			from.ip = host->ips.v[i];
			found = true;
		}
	}
	if (!found)
		return false;
	net->stats.sent++;
	if (host->unplugged || chance(net, net->link.loss) ||
	    (net->link.mtu && datagram.n > net->link.mtu)) {
		net->stats.lost++;
		return true;
	}
	put_on_the_way(net, &from, to, host->nat, datagram);
	if (chance(net, net->link.repeat))
		put_on_the_way(net, &from, to, host->nat, datagram);
	return true;
}

static bool alive(const struct fakenat *nat, const struct mapping *m)
{
	return m->fixed || mono_since(m->last_out, nat->net->now) <= MAPPING_LIFE_US;
}

static void purge_mappings(struct fakenat *nat)
{
	for (size_t i = nat->mappings.n; i-- > 0;) {
		if (alive(nat, &nat->mappings.v[i]))
			continue;
		vec_done(&nat->mappings.v[i].sent_to);
		vec_remove_swap(&nat->mappings, i);
	}
}

static struct mapping *mapping_out(struct fakenat *nat, const struct addr *inside,
                                   const struct addr *to)
{
	for (size_t i = 0; i < nat->mappings.n; i++) {
		struct mapping *m = &nat->mappings.v[i];

		if (!addr_eq(&m->inside, inside) || !alive(nat, m))
			continue;
		if (m->fixed || nat->kind != FAKENAT_SYMMETRIC || addr_eq(&m->peer, to))
			return m;
	}

	purge_mappings(nat);

	struct mapping *m = vec_add(&nat->mappings);

	m->inside = *inside;
	m->peer = *to;
	m->outside = (struct addr){ .ip = nat->outside, .port = nat->next_port++ };
	if (nat->kind == FAKENAT_FIREWALL)
		m->outside = *inside;
	return m;
}

static void note_sent(struct mapping *m, const struct addr *to, mono now)
{
	m->last_out = now;
	for (size_t i = 0; i < m->sent_to.n; i++) {
		if (addr_eq(&m->sent_to.v[i], to))
			return;
	}
	vec_push(&m->sent_to, *to);
}

static bool lets_in(const struct fakenat *nat, const struct mapping *m, const struct addr *from)
{
	if (m->fixed || nat->kind == FAKENAT_FULL_CONE)
		return true;
	for (size_t i = 0; i < m->sent_to.n; i++) {
		const struct addr *to = &m->sent_to.v[i];

		if (ip_eq(&to->ip, &from->ip) &&
		    (nat->kind == FAKENAT_RESTRICTED || to->port == from->port))
			return true;
	}
	return false;
}

static struct fakehost *host_at(struct fakenet *net, const struct fakenat *nat, const struct ip *ip)
{
	struct fakehost *h;

	list_each(h, &net->hosts, link) {
		if (h->nat != nat)
			continue;
		for (size_t i = 0; i < h->ips.n; i++) {
			if (ip_eq(&h->ips.v[i], ip))
				return h;
		}
	}
	return NULL;
}

static struct fakenat *nat_with(struct fakenet *net, const struct fakenat *uplink,
                                const struct ip *ip)
{
	struct fakenat *n;

	list_each(n, &net->nats, link) {
		if (n->uplink == uplink && n->kind != FAKENAT_FIREWALL && ip_eq(&n->outside, ip))
			return n;
	}
	return NULL;
}

/* The firewall or v6-passing NAT on this network behind which the address lives. */
static struct fakenat *gate_of(struct fakenet *net, const struct fakenat *uplink,
                               const struct ip *ip)
{
	struct fakenat *n;

	list_each(n, &net->nats, link) {
		bool through = n->kind == FAKENAT_FIREWALL || (n->v6 && !ip_is4(ip));

		if (n->uplink == uplink && through && host_at(net, n, ip))
			return n;
	}
	return NULL;
}

/* Rewrites the source on the way out; false if it may not pass. */
static bool pass_out(struct fakenat *nat, struct packet *p)
{
	if (nat->kind == FAKENAT_NO_UDP)
		return false;
	if (!ip_is4(&p->from.ip) && !nat->v6 && nat->kind != FAKENAT_FIREWALL)
		return false;

	struct mapping *m = mapping_out(nat, &p->from, &p->to);

	/* IPv6 is not translated, only filtered. */
	if (!ip_is4(&p->from.ip))
		m->outside = p->from;
	note_sent(m, &p->to, nat->net->now);
	p->from = m->outside;
	p->at = nat->uplink;
	return true;
}

/* Finds the inside of what comes to the NAT; false if it may not pass. */
static bool pass_in(struct fakenat *nat, struct packet *p)
{
	for (size_t i = 0; i < nat->mappings.n; i++) {
		struct mapping *m = &nat->mappings.v[i];

		if (!addr_eq(&m->outside, &p->to) || !alive(nat, m) || !lets_in(nat, m, &p->from))
			continue;
		if (nat->kind == FAKENAT_SYMMETRIC && !m->fixed && !addr_eq(&m->peer, &p->from))
			continue;
		p->to = m->inside;
		p->at = nat;
		return true;
	}
	return false;
}

static void hand_over(struct fakehost *h, struct packet *p)
{
	struct port *port = h->unplugged ? NULL : find_port(h, p->to.port);

	if (!port) {
		h->net->stats.nobody++;
		return;
	}
	h->net->stats.delivered++;
	port->recv(port->arg, &p->from, &p->to, span(p->bytes, p->n));
}

static void deliver(struct fakenet *net, struct packet *p)
{
	for (unsigned hop = 0; hop < HOPS_MAX; hop++) {
		struct fakehost *h = host_at(net, p->at, &p->to.ip);

		if (h) {
			hand_over(h, p);
			return;
		}

		struct fakenat *in = nat_with(net, p->at, &p->to.ip);

		if (!in)
			in = gate_of(net, p->at, &p->to.ip);
		if (in ? !pass_in(in, p) : !p->at || !pass_out(p->at, p)) {
			net->stats.filtered++;
			return;
		}
	}
	net->stats.filtered++;
}

void fakenet_run(struct fakenet *net, mono until, mono (*wake)(void *arg, mono now), void *arg)
{
	unsigned turns = 0;

	for (;;) {
		mono asked = wake ? wake(arg, net->now) : MONO_NEVER;
		mono next = mono_min(heap_deadline(&net->packets), asked);

		if (mono_before(until, next)) {
			net->now = until;
			return;
		}
		turns = mono_before(net->now, next) ? 0 : turns + 1;
		assert(turns < TURNS_MAX && "somebody asks to be woken in the past for ever");
		if (mono_before(net->now, next))
			net->now = next;

		struct heap_node *n = heap_first(&net->packets);

		if (n && mono_reached(n->at, net->now)) {
			struct packet *p = CONTAINER_OF(n, struct packet, timer);

			heap_remove(&net->packets, n);
			deliver(net, p);
			free(p);
		}
	}
}
