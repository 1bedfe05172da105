#pragma once
/*
 * What runs while a node is up: the mesh engine, the host's routes and firewall,
 * and the watch over the host's network. Told of the map and the preferences,
 * it works out what should be true and has it made so.
 */
#include "host/facts.h"
#include "host/warden.h"
#include "node/mesh.h"
#include "node/names.h"
#include "node/node_priv.h"
#include "platform/netmon.h"

enum { ENGINE_PINGS_MAX = 64 };

struct engine_ping {
	uint64_t token; /* 0: free */
	struct ip ip;
	int64_t node_id;
	bool inside; /* TSMP, ICMP: the path is not seen */
	void (*done)(void *arg, const struct engine_pong *pong);
	void *arg;
};

struct engine {
	struct node *n;
	struct mesh *mesh;
	struct netmon *mon;
	struct peerapi *peerapi;
	struct names *names; /* NULL until the interface has its addresses */
	bool names_bad[NAMES_TROUBLES];
	struct host_facts facts;
	struct ev_timer plan; /* the router's plan is to be made anew */
	struct buf overlaps;  /* accepted routes and the host's own networks, in words */
	struct ev_defer exit; /* the exit node is to be chosen anew */
	struct ev_timer host; /* the host's network is to be looked at */
	struct ev_timer trim; /* memory of the start is let go */
	struct ev_timer open; /* the exit node may be used */
	int bad_relay;        /* which said so last: */
	char relay_error[160];
	bool live;
	bool bound;     /* the tunnel's sockets have their port */
	bool exit_open; /* the exit node may be used; see engine_open_exit */
	uint64_t last_token;
	struct engine_ping pings[ENGINE_PINGS_MAX];
	struct mesh_endpoint endpoints[MESH_ENDPOINTS_MAX];
	size_t n_endpoints;
	/* what we report of our network; texts are kept here */
	struct tc_netinfo netinfo;
	bool has_netinfo;
	struct tc_latency latency[2 * 64];
	char latency_names[2 * 64][24];
};

/* Everything the map says, told to the mesh; delta NULL: all of it. */
void engine_map(struct engine *e, const struct netmap_delta *delta);
/* Our addresses and where the PeerAPI is, told to the mesh. */
void engine_self(struct engine *e);
/* Peer relays, as the map and the preferences say. */
void engine_relays(struct engine *e);
bool engine_relay_client(const struct netmap *m);
bool engine_relay_capable(const struct netmap *m, const struct tc_node *peer);
bool engine_may_relay(void *ctx, const struct node_pub *key);
void engine_relay_metrics(const struct engine *e, struct buf *out);
/* Works out which peer the preferences mean by their exit node. */
void engine_choose_exit(struct engine *e);
/* Our resolver and the host's, as they should be. */
void engine_names(struct engine *e);
/*
 * Traffic may leave at the exit node from now on. Not before the host's resolver was told
 * of ours, and those who looked it up just before have asked: the one of before would be
 * asked for private names through it.
 */
void engine_open_exit(struct engine *e);
/* The engine: the last plan has been carried out. */
void engine_planned(void *arg);
/* The host's addresses, routes and firewall as they should be. */
void engine_plan(struct engine *e);
