#pragma once
/*
 * A whole tailnet on machines (test/sim/machine.h): the shipped coordinator with its
 * database, policy and protocol, shipped relays with STUN, shipped nodes with their
 * state files, a NAT of any kind before each.
 */
#include "platform/http_server.h"
#include "platform/listen.h"
#include "relay/relay.h"
#include "relay/stunsrv.h"
#include "test/sim/machine.h"

enum {
	TAILNET_NODES = 4,
	TAILNET_RELAYS = 2,
	TAILNET_TALK_US = 500000, /* each node says something to each other one so often */
};

struct config;
struct coord;
struct node; /* the daemon's; the coordinator's records have the same name */
struct tailnet;

#define TAILNET_CONTROL "203.0.113.100:8080"

struct relay_site {
	struct machine *m;
	struct node_priv key;
	struct rand_src rand;
	struct relay *relay; /* NULL: down */
	struct http_server *http;
	struct listener *listener;
	struct stunsrv stun;
};

struct device {
	struct tailnet *t;
	unsigned i;
	struct machine *m;
	struct node *node; /* NULL: off */
	char *dir, *state; /* its disk */
	struct ip ip;      /* in the tailnet; all zero before it is known */
	bool talks;
	mono next_talk;
	mono heard[TAILNET_NODES]; /* when something of that one came last; 0: never */
};

struct tailnet {
	struct world *w;
	char *dir; /* of all that is kept on disks */
	struct machine *control;
	struct config *cfg;
	struct coord *co; /* NULL: down */
	char auth_key[TAILNET_NODES][128];
	struct relay_site relays[TAILNET_RELAYS];
	struct device devices[TAILNET_NODES];
	/* allowed[a][b]: the policy lets a begin something with b. */
	bool allowed[TAILNET_NODES][TAILNET_NODES];
	bool ever_allowed[TAILNET_NODES][TAILNET_NODES];
	uint8_t addresses;   /* of the fake internet, given out so far */
	unsigned intrusions; /* packets that no policy ever allowed */
};

/* Servers up, nodes off, a policy drawn. */
void tailnet_begin(struct tailnet *t, uint64_t seed);
void tailnet_end(struct tailnet *t);
/* Time passes, and those who talk do. */
void tailnet_run(struct tailnet *t, int64_t us);
bool tailnet_chance(struct tailnet *t, unsigned one_in);

/* ---- servers ---- */

void relay_up(struct relay_site *r);
void relay_down(struct relay_site *r);
void control_up(struct tailnet *t);
void control_down(struct tailnet *t);
/* As by a power cut: the database is what it was at this moment, nobody hears of it. */
void control_crash(struct tailnet *t);
/* Draws who may talk to whom anew. */
void control_draw_policy(struct tailnet *t);
/* The device's key ends now. */
void control_expire(struct tailnet *t, struct device *d);

/* ---- devices ---- */

/* Starts its daemon; one that never logged in, or has to again, does so with its key. */
void device_on(struct device *d);
void device_off(struct device *d);
void device_login(struct device *d);
bool device_is_running(const struct device *d);
/* Behind a NAT of any kind, or none. */
struct fakenat *tailnet_draw_nat(struct tailnet *t, struct ip *ret_ip);
void device_move(struct device *d);
/* Everybody the policy lets a device hear of has been heard of lately; says who was not. */
bool devices_all_talk(struct tailnet *t, uint64_t seed);
/* Whom the policy keeps apart has not been heard since then. */
bool devices_keep_apart(struct tailnet *t, uint64_t seed, mono since);
