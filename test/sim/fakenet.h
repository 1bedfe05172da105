#pragma once
/*
 * A UDP network in one process, on a fake clock: hosts, NATs of each kind, links
 * that lose, repeat, delay and reorder. The same seed gives the same run.
 *
 *	struct fakenet *net = fakenet_new(1);
 *	struct fakenat *home = fakenet_nat(net, FAKENAT_PORT_RESTRICTED, ip4(198, 51, 100, 7),
 *NULL); struct fakehost *nas = fakenet_host(net, ip4(192, 168, 1, 2), home); fakehost_bind(nas,
 *41641, on_datagram, me); fakehost_send(nas, 41641, &to, bytes); fakenet_run(net,
 *mono_after(fakenet_now(net), 5 * US_PER_S), wake, me);
 *
 * Addresses: a host behind a NAT has a private address; the NAT's own address is
 * on its uplink (the internet, or another NAT). Hosts behind one NAT reach each
 * other directly by their private addresses. One address family a network is
 * enough for tests: a NAT passes only IPv4, IPv6 goes through untouched when
 * `v6` of the NAT is set and stays out otherwise.
 *
 * Threads	none.
 * Source	RFC 4787 for the words.
 */
#include <stdbool.h>

#include "base/ip.h"
#include "base/rand.h"
#include "base/span.h"
#include "base/time.h"

enum fakenat_kind {
	FAKENAT_FULL_CONE,       /* mapping by inside address alone, anybody may answer */
	FAKENAT_RESTRICTED,      /* ... who was sent to, from any port */
	FAKENAT_PORT_RESTRICTED, /* ... who was sent to, from that port */
	FAKENAT_SYMMETRIC,       /* a new outside port for each destination */
	FAKENAT_FIREWALL,        /* no translation, but only answers come in */
	FAKENAT_NO_UDP,          /* nothing passes */
};

enum { FAKENET_DATAGRAM_MAX = 65535 };

struct fakenet;
struct fakenat;
struct fakehost;

/* What happens to each datagram on its way. */
struct fakenet_link {
	double loss, repeat;         /* chance of each, 0..1 */
	int64_t delay_us, jitter_us; /* uniform in delay .. delay + jitter: jitter reorders */
	size_t mtu;                  /* larger UDP payloads vanish silently; 0: any size passes */
};

struct fakenet *fakenet_new(uint64_t seed);
void fakenet_free(struct fakenet *net); /* hosts and NATs with it */
mono fakenet_now(const struct fakenet *net);
void fakenet_set_link(struct fakenet *net, const struct fakenet_link *link);
struct rand_src *fakenet_rand(struct fakenet *net);

/* uplink NULL: on the internet. Mappings die after 30 s without a packet from inside. */
struct fakenat *fakenet_nat(struct fakenet *net, enum fakenat_kind kind, struct ip outside,
                            struct fakenat *uplink);
void fakenat_allow_v6(struct fakenat *nat);
/* As after a router's restart: another address, no mappings. */
void fakenat_rebind(struct fakenat *nat, struct ip outside);
/* A port mapped by hand or by a port-mapping protocol: everything to it goes inside. */
void fakenat_map(struct fakenat *nat, uint16_t outside_port, const struct addr *inside);

/* nat NULL: on the internet. */
struct fakehost *fakenet_host(struct fakenet *net, struct ip ip, struct fakenat *nat);
/* One more address of the host, behind the same NAT (IPv6 beside IPv4). */
void fakehost_add_address(struct fakehost *host, struct ip ip);
/* The host goes elsewhere: its addresses are gone, it has this one. Ports stay bound. */
void fakehost_move(struct fakehost *host, struct ip ip, struct fakenat *nat);
/* Cable out (true): nothing goes or comes. */
void fakehost_unplug(struct fakehost *host, bool out);
struct ip fakehost_ip(const struct fakehost *host);

typedef void fakehost_recv_fn(void *arg, const struct addr *from, const struct addr *to,
                              struct span datagram);
/* port 0 draws one. Returns the port; 0 if it is taken. */
uint16_t fakehost_bind(struct fakehost *host, uint16_t port, fakehost_recv_fn *recv, void *arg);
void fakehost_close(struct fakehost *host, uint16_t port);
/* False if the host has no address of that family, as a kernel says ENETUNREACH. */
bool fakehost_send(struct fakehost *host, uint16_t from_port, const struct addr *to,
                   struct span datagram);

/*
 * Runs the network to `until`. Between events wake(arg, now) is called; it does
 * what its owner has to do by then and returns when it wants to be called next.
 */
void fakenet_run(struct fakenet *net, mono until, mono (*wake)(void *arg, mono now), void *arg);

struct fakenet_stats {
	uint64_t sent, delivered, lost, filtered, nobody;
};
void fakenet_stats(const struct fakenet *net, struct fakenet_stats *ret);
