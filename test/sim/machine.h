#pragma once
/*
 * Machines on a fake internet, in one process and on one fake clock. What runs on
 * them are the shipped programs' own parts, from the event loop up: the platform
 * below (sockets, the interface, the host's network, the clock) is implemented
 * here, on test/sim/fakenet.
 *
 *	struct world *w = world_new(1);
 *	struct machine *m = machine_new(w, ip4(192, 168, 1, 2), nat);
 *	machine_enter(m);
 *	... node_new(&(struct node_cfg){ .ev = machine_ev(m), ... }) ...
 *	machine_leave(m);
 *	world_run(w, 5 * US_PER_S);
 *
 * Code of a machine runs from its loop, or between machine_enter and machine_leave:
 * what it opens is opened there, and the clock is that machine's.
 *
 *	UDP	datagrams of fakenet, through NATs
 *	TCP	byte streams that arrive whole and in order or break; through any NAT,
 *		outward, with the delays of a link that loses
 *	TUN	frames to and from the test
 *	clock, random numbers	for all code of this process (link options in meson.build)
 *
 * Threads	none.
 */
#include "host/warden.h"
#include "test/sim/fakenet.h"

struct world;
struct machine;

struct world *world_new(uint64_t seed);
/* Programs of the machines are ended before. */
void world_free(struct world *w);
struct fakenet *world_net(struct world *w);
struct rand_src *world_rand(struct world *w);
mono world_now(const struct world *w);
/* For datagrams and connections alike. */
void world_set_link(struct world *w, const struct fakenet_link *link);
void world_run(struct world *w, int64_t us);

/* On, with a loop of its own. */
struct machine *machine_new(struct world *w, struct ip ip, struct fakenat *nat);
struct ev *machine_ev(struct machine *m);
struct fakehost *machine_host(struct machine *m);
struct warden *machine_warden(struct machine *m);
void machine_enter(struct machine *m);
void machine_leave(struct machine *m);

/* Another network: the programs are told, connections made from the old address are dead. */
void machine_move(struct machine *m, struct ip ip, struct fakenat *nat);
/* Cable out. */
void machine_unplug(struct machine *m, bool out);
/* Nothing runs meanwhile; what arrives is lost, but for what streams hold. */
void machine_sleep(struct machine *m, bool asleep);
/* How far its wall clock is off. */
void machine_set_clock(struct machine *m, int64_t off_us);
/* No packet of its connections goes out any more, as after a power cut: nobody is told. */
void machine_cut(struct machine *m);

/*
 * A connection from `from` to a listener of this machine; port 0: to its Unix socket,
 * by this process. The other end, which is the caller's; -1: nobody listens there.
 */
int machine_connect(struct machine *m, uint16_t port, const struct addr *from);

/* A packet of the host to the tunnel; nothing happens without one. */
void machine_packet(struct machine *m, struct span packet);
/* What comes out of the tunnel. */
void machine_on_packet(struct machine *m, void (*fn)(void *arg, struct span packet), void *arg);
