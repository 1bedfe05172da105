#pragma once
/* Between the files that make machines: machine.c, machine_udp.c, machine_tcp.c, machine_host.c. */
#include "base/list.h"
#include "base/vec.h"
#include "platform/netmon.h"
#include "platform/tun.h"
#include "test/sim/machine.h"

struct inbox_item {
	struct addr from;
	size_t n;
	uint8_t *bytes;
};

/* What has come and waits to be read, with a descriptor that is readable meanwhile. */
struct inbox {
	struct machine *m;
	VEC(struct inbox_item) items;
	int fd;
};

enum { INBOX_MAX = 1024 };

struct tun {
	struct inbox in;
	struct tun_watch watch;
};

struct warden {
	struct machine *m;
	struct ev_timer planned;
	void (*done)(void *arg);
	void *done_arg;
};

struct machine {
	struct link link;
	struct world *w;
	struct ev *ev;
	struct fakehost *host;
	struct ip ip;
	int64_t clock_off;
	bool dirty, asleep, unplugged;
	mono deadline;
	struct warden warden;
	struct tun *tun;
	struct netmon *netmon;
	struct link listeners;
	void (*packet)(void *arg, struct span packet);
	void *packet_arg;
};

struct world {
	struct fakenet *net;
	struct fakenet_link link;
	struct rand_src rand;    /* the test's */
	struct rand_src secrets; /* for what programs draw */
	struct link machines;
	struct ev *wires_ev; /* the middles of all TCP connections */
	struct link wires;
};

/* Whose code runs; NULL: the test's. */
struct machine *machine_here(void);
/* It has something to do. */
static inline void machine_poke(struct machine *m)
{
	m->dirty = true;
}

void inbox_open(struct inbox *in, struct machine *m);
void inbox_done(struct inbox *in);
/* Drops what finds no room, as a kernel does. */
void inbox_put(struct inbox *in, const struct addr *from, struct span bytes);
/* The first one, which is the caller's to free; false: there is none. */
bool inbox_take(struct inbox *in, struct inbox_item *ret);

/* Takes what programs wrote; after one of them ran. */
void wires_look(struct world *w);
/* Hands over what has arrived. The next time something is to happen on a wire. */
mono wires_run(struct world *w, mono now);
/* This machine's connections are dead from here on. */
void wires_cut(struct machine *m);
void wires_free(struct world *w);
