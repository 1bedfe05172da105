#pragma once
/*
 * Inside of the mesh engine, for its own files alone.
 *
 *	mesh.c		the object, what the session tells it, the pump
 *	mesh_peers.c	peers, and the path policy WireGuard asks
 *	mesh_packets.c	packets on their way: filter, TSMP, disco, relays
 *	mesh_probe.c	netcheck, our own endpoints, names of relays
 *	mesh_portmap.c	sockets and requests of port mapping
 *	mesh_relay.c	peers that relay, and relaying for peers
 */
#include "base/vec.h"
#include "datapath/datapath.h"
#include "filter/flow.h"
#include "node/derplink.h"
#include "node/mesh.h"
#include "platform/dgram.h"
#include "platform/stream.h"
#include "protocol/tsmp.h"

enum {
	/* A path that is not plain UDP is given to mesh_relay: its number is the peer's and this.
	 */
	RELAY_BASE = 1,
	RESTUN_MIN_US = 20000000,
	RESTUN_MAX_US = 26000000,
	ACTIVE_US = 45000000,
	ENDPOINT_KEEP_US = 310 * 1000000,
	ENDPOINT_KEPT_PER_IP = 6,
	INNER_PINGS_MAX = 64,
	/* Linux forgets what it was told of a path after ten minutes. */
	NARROW_TELL_US = 300 * 1000000,
};

struct mesh_peer {
	struct map_node by_key;
	struct mesh *mesh;
	struct node_pub key;
	struct path_peer *path;
	uint32_t id;        /* index in mesh->ids */
	struct ip ip4, ip6; /* its first addresses; all zero: none */
	int last_region;    /* it was last heard over this relay */
	uint32_t last_vni;
	bool jailed, wg_only;
	bool want_narrow; /* tell it that its path is narrow, if it is */
	mono narrow_told;
	bool want_advert; /* a session began: tell our disco key inside of it */
};

/* An address of ours that was told to control, and when it was last true. */
struct kept_endpoint {
	struct mesh_endpoint e;
	mono at;
};

/* A ping through the tunnel on its way: TSMP or ICMP. */
struct inner_ping {
	uint8_t data[TSMP_PING_DATA];
	uint64_t token;
	mono sent;
};

struct naming;
struct probe_https;

struct mesh {
	struct mesh_cfg cfg;
	struct rand_src rand;
	struct datapath *dp;
	struct paths *paths;
	struct netcheck *netcheck;
	struct portmap *portmap;
	struct derplink *derp;
	struct filter *filter;
	struct flow_table *flows;
	struct map by_key;
	VEC(struct mesh_peer *) ids; /* NULL: free */

	struct arena relay_memory;
	struct derp_map relays;
	VEC(struct naming *) naming; /* look-ups of relays' names */
	int home;
	bool control_connected, restun_again;
	mono restun_at, last_traffic;

	struct ip *host_ips;
	size_t n_host_ips;
	struct addr *fixed;
	size_t n_fixed;
	bool have4, have6;
	struct ip gateway, gateway_self;
	struct mesh_endpoint own[MESH_ENDPOINTS_MAX];
	size_t n_own;
	VEC(struct kept_endpoint) kept;

	struct ip self4, self6; /* all zero: none */
	uint16_t peerapi4, peerapi6;
	VEC(struct inner_ping) pings;
	struct tsmp answer; /* type 0: none waits */
	struct node_pub answer_to;

	uint8_t *wrapped;          /* UDP_FRAME_MAX; NULL: nothing went by a peer relay yet */
	struct peer_relay *server; /* NULL: we do not relay */
	uint16_t server_port;      /* as asked for */
	VEC(struct addr) server_fixed;

	struct dgram *portmap_socket;
	struct portmap_request *portmap_request;
	VEC(struct probe_https *) https;

	struct ev_timer timer;
	struct ev_defer pump;
	uint64_t drops[MESH_DROPS];
	struct mesh_traffic traffic; /* what goes straight is counted by the data path */
};

static inline mono mesh_now(const struct mesh *m)
{
	return ev_now(m->cfg.ev);
}

static inline enum mesh_way mesh_way_of(const struct path_via *via)
{
	bool four = ip_is4(&via->addr.ip);

	return via->vni ? (four ? MESH_WAY_RELAY4 : MESH_WAY_RELAY6)
	                : (four ? MESH_WAY_DIRECT4 : MESH_WAY_DIRECT6);
}

static inline void mesh_count_in(struct mesh *m, enum mesh_way way, size_t bytes)
{
	m->traffic.in_packets[way]++;
	m->traffic.in_bytes[way] += bytes;
}

static inline void mesh_count_out(struct mesh *m, enum mesh_way way, size_t packets, size_t bytes)
{
	m->traffic.out_packets[way] += packets;
	m->traffic.out_bytes[way] += bytes;
}

/* Work for the pump: from any callback, also from inside the data path. */
static inline void mesh_poke(struct mesh *m)
{
	ev_defer(m->cfg.ev, &m->pump);
}

/* mesh_peers.c */
extern const struct wg_path_policy mesh_path_policy;
struct wg_peer *mesh_wg_peer(const struct mesh *m, const struct mesh_peer *p);
void mesh_peers_free(struct mesh *m);

/* A direct way is proved, and for less than the tunnel's packets: what fits. Else 0. */
uint16_t mesh_narrow_mtu(const struct path_choice *c);

/* mesh_packets.c */
void mesh_hooks_of(struct mesh *m, struct datapath_hooks *ret);
void mesh_derp_packet(void *ctx, int region, const struct node_pub *from, uint8_t *bytes, size_t n);
/* What the data path's hooks left to be sent. */
void mesh_send_waiting(struct mesh *m);
void mesh_time_out_pings(struct mesh *m, mono now);
mono mesh_pings_deadline(const struct mesh *m);

/* mesh_probe.c */
void mesh_copy_relays(struct mesh *m, const struct derp_map *map);
void mesh_probe_pump(struct mesh *m, mono now);
void mesh_probe_free(struct mesh *m);
/* Also in the middle of a run, whose answers are of no use any more. */
void mesh_restun_now(struct mesh *m);
void mesh_probe_schedule(struct mesh *m, mono now);
void mesh_endpoints_changed(struct mesh *m, mono now);
int mesh_prepare_socket(void *arg, int fd, const struct addr *to);

/* mesh_relay.c */
/* One datagram, or several of `seg` bytes end to end, the last perhaps shorter. */
void mesh_send_geneve(struct mesh *m, const struct path_via *via, uint16_t protocol,
                      struct span run, size_t seg);
size_t mesh_unwrap(void *ctx, struct span bytes, struct wg_path *path);
bool mesh_recv_geneve(struct mesh *m, const struct addr *from, struct span bytes);
void mesh_relay_asked(struct mesh *m, const struct paths_out *out);
void mesh_relay_hosts(struct mesh *m);
void mesh_relay_free(struct mesh *m);

/* mesh_portmap.c */
void mesh_portmap_start(struct mesh *m, mono now);
void mesh_portmap_pump(struct mesh *m, mono now);
void mesh_portmap_free(struct mesh *m);
