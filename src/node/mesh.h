#pragma once
/*
 * The mesh engine of one login: the tunnel, the paths to peers, the relays, the
 * packet filter, held together. It knows keys, prefixes and addresses; it knows
 * nothing of control, preferences or names. The session (node/session) tells it
 * what the network map says and hears what control must be told.
 *
 *	session -> mesh		mesh_set_relays, mesh_set_peer, mesh_remove_peer,
 *				mesh_set_filter, mesh_link_changed ...
 *	mesh -> session		struct mesh_hooks
 *
 * Inside:
 *	datapath	TUN and UDP, WireGuard            datapath/, wireguard/
 *	paths		which way to a peer               path/paths.h
 *	netcheck	what lies between us and the net  path/netcheck.h
 *	portmap		a port on the home router         protocol/portmap.h
 *	derplink	connections to relays             node/derplink.h
 *	filter		what peers may send us            filter/filter.h
 *
 * Order: hooks are called from the loop, never from within a call into the mesh.
 *
 * Threads	that of the loop.
 */
#include "filter/filter.h"
#include "http/proxy.h"
#include "node/peer_relay.h"
#include "path/netcheck.h"
#include "path/paths.h"
#include "platform/ev.h"
#include "platform/resolve.h"
#include "platform/tls.h"
#include "platform/tun.h"
#include "protocol/portmap.h"
#include "wireguard/config.h"

struct mesh;
struct mesh_peer;

enum {
	MESH_FWMARK = 0x80000, /* on all our own sockets: they go round the tunnel */
	MESH_ENDPOINTS_MAX = PATHS_OWN_ENDPOINTS_MAX,
	MESH_ALLOWED_MAX = 4096, /* prefixes of one peer */
};

/* How an address of ours became known; the numbers are those of the control protocol. */
enum mesh_endpoint_type {
	MESH_ENDPOINT_UNKNOWN,
	MESH_ENDPOINT_LOCAL,
	MESH_ENDPOINT_STUN,
	MESH_ENDPOINT_PORTMAPPED,
	MESH_ENDPOINT_STUN_LOCAL_PORT,
	MESH_ENDPOINT_EXPLICIT,
};

struct mesh_endpoint {
	struct addr addr;
	enum mesh_endpoint_type type;
};

/* What netcheck found, as control and status want it. */
struct mesh_netinfo {
	const struct netcheck_report *report; /* NULL: none yet */
	int home;                             /* region; 0: none */
	bool have_portmap;
	struct portmap_seen seen;
};

/* An answer to mesh_ping. */
struct mesh_pong {
	uint64_t token;
	int64_t rtt_us; /* negative: no answer */
	struct path_via via;
	int region;            /* not 0: over this relay */
	uint16_t peerapi_port; /* TSMP pings; 0: none */
};

struct mesh_hooks {
	void *ctx;
	/* The set of our own addresses is another than before: control must know. */
	void (*endpoints)(void *ctx, const struct mesh_endpoint *v, size_t n);
	/* netcheck ended, or the home relay is another. */
	void (*netinfo)(void *ctx, const struct mesh_netinfo *info);
	void (*pong)(void *ctx, const struct mesh_pong *pong);
	/*
	 * A packet from the host to an address nobody has (peer NULL), or to a peer;
	 * before anything else. True: taken (a service of the node itself).
	 */
	bool (*packet_out)(void *ctx, struct span packet);
	/* A peer rejected a connection of ours, or a relay says how it feels. */
	void (*relay_health)(void *ctx, int region, const char *text); /* "": well */
	/* The interface was deleted under us. */
	void (*gone)(void *ctx);
	/* May this peer have others' packets relayed by us? */
	bool (*may_relay)(void *ctx, const struct node_pub *peer);
};

struct mesh_cfg {
	struct ev *ev;
	struct tun *tun; /* taken */
	struct resolver *resolver;
	struct tls_client *tls;
	const struct proxy_env *proxy; /* to relays; NULL: none */
	struct node_priv node;
	struct disco_priv disco;
	uint16_t port;                   /* of the UDP sockets; 0, or it is taken: any */
	bool no_mark;                    /* SO_MARK is not allowed here (a test without root) */
	bool only_tcp443;                /* never UDP */
	bool never_direct;               /* data over relays alone, for tests */
	void (*grow)(void *arg, int fd); /* as in struct udp_cfg; may be NULL */
	void *grow_arg;
	struct mesh_hooks hooks;
};

/* -errno; the tun is freed on failure as well. The interface is left down: mesh_up. */
NODISCARD int mesh_new(const struct mesh_cfg *cfg, struct mesh **ret);
void mesh_free(struct mesh *m);
const struct tun *mesh_tun(const struct mesh *m);
/* The port bound in fact; 0 while down. */
uint16_t mesh_port(const struct mesh *m);
/* From now on this one, 0: any. -errno, and it stays what it was. */
NODISCARD int mesh_set_port(struct mesh *m, uint16_t port);

/* The relays there are; deep-copied. A home that is gone is given up. */
void mesh_set_relays(struct mesh *m, const struct derp_map *map);
/* The home of last time, for a start without control. */
void mesh_set_home(struct mesh *m, int region);
/* As they were set. */
const struct derp_map *mesh_relays(const struct mesh *m);
/* Connections to them are made again. */
void mesh_break_relays(struct mesh *m);
bool mesh_relay_connected(const struct mesh *m, int region);
/* While control is away the home stays where it is: nobody could learn of another. */
void mesh_control_connected(struct mesh *m, bool connected);

struct mesh_peer_cfg {
	struct path_peer_cfg path;
	const struct prefix *allowed; /* addresses and routes that are this peer's */
	size_t n_allowed;
	bool jailed;    /* may answer us but start nothing */
	struct psk psk; /* WireGuard-only peers may have one */
};

/* Adds or changes; found by the node key. ERR_LIMIT: refused, as before. */
NODISCARD int mesh_set_peer(struct mesh *m, const struct mesh_peer_cfg *cfg);
void mesh_remove_peer(struct mesh *m, const struct node_pub *key);
struct mesh_peer *mesh_peer(const struct mesh *m, const struct node_pub *key);
/* The owner of the best prefix for this address. */
struct mesh_peer *mesh_route(const struct mesh *m, const struct ip *dst);
const struct node_pub *mesh_peer_key(const struct mesh_peer *p);

/* Takes it; NULL drops everything. Flows that exist go on. */
void mesh_set_filter(struct mesh *m, struct filter *take);
const struct filter *mesh_filter(const struct mesh *m);
/* Our own addresses in the tailnet, first of each family: sources of TSMP. */
void mesh_set_self(struct mesh *m, const struct ip *v, size_t n, uint16_t peerapi4,
                   uint16_t peerapi6);
/* Addresses of the host's own interfaces, without the tunnel's, and the default gateway. */
struct mesh_host {
	const struct ip *ips;
	size_t n_ips;
	bool have4, have6;
	struct ip gateway, gateway_self; /* all zero: none */
	const struct addr *fixed;        /* configured by hand */
	size_t n_fixed;
};
/* major: routes or addresses changed, what was proved is proved no more. */
void mesh_host_changed(struct mesh *m, const struct mesh_host *host, bool major);

/* Peers that would relay between us and others; see paths_set_relays. */
void mesh_set_peer_relays(struct mesh *m, const struct node_pub *v, size_t n);
/* We relay for peers, on this port (0: any), and are also reached at `fixed`. NULL: we do not. */
struct mesh_relay_server {
	uint16_t port;
	const struct addr *fixed;
	size_t n_fixed;
};
/* -errno: the port cannot be had. Told the same again it changes nothing. */
NODISCARD int mesh_set_relay_server(struct mesh *m, const struct mesh_relay_server *cfg);
/* False: we do not relay. */
bool mesh_relay_server_stats(const struct mesh *m, struct peer_relay_stats *ret);

enum mesh_ping_kind { MESH_PING_DISCO, MESH_PING_TSMP, MESH_PING_ICMP };
/* ERR_UNKNOWN: no such peer */
NODISCARD int mesh_ping(struct mesh *m, const struct node_pub *key, enum mesh_ping_kind kind,
                        uint64_t token, size_t size);
/* A new netcheck run now. */
void mesh_restun(struct mesh *m);
/* Whether we are a router of 4via6 sites. */
void mesh_set_via6(struct mesh *m, bool on);
/* A packet to the host as if it came through the tunnel. */
void mesh_inject(struct mesh *m, struct span packet);

struct mesh_peer_status {
	struct path_peer_status path;
	mono last_handshake; /* MONO_NEVER: none */
	uint64_t rx_bytes, tx_bytes;
	bool in_engine; /* a WireGuard peer exists for it */
	bool derp_here; /* its relay is connected */
};
void mesh_peer_status(const struct mesh *m, const struct mesh_peer *p,
                      struct mesh_peer_status *ret);
void mesh_netinfo(const struct mesh *m, struct mesh_netinfo *ret);

#define MESH_DROP_LIST(X)                                       \
	X(FILTER_IN, "packet from a peer that no rule allows")  \
	X(FILTER_OUT, "packet from the host that may not go")   \
	X(NO_PATH, "no way to the peer: neither UDP nor relay") \
	X(DERP_FULL, "relay connection's queue is full")        \
	X(DERP_STRANGER, "packet from a relay for no peer of ours")

enum mesh_drop {
#define X(name, text) MESH_DROP_##name,
	MESH_DROP_LIST(X)
#undef X
		MESH_DROPS
};
/* The ways datagrams of sessions take. */
enum mesh_way {
	MESH_WAY_DERP,
	MESH_WAY_DIRECT4,
	MESH_WAY_DIRECT6,
	MESH_WAY_RELAY4,
	MESH_WAY_RELAY6,
	MESH_WAYS
};
struct mesh_traffic {
	uint64_t in_packets[MESH_WAYS], in_bytes[MESH_WAYS];
	uint64_t out_packets[MESH_WAYS], out_bytes[MESH_WAYS];
};
void mesh_traffic(const struct mesh *m, struct mesh_traffic *ret);

uint64_t mesh_drops(const struct mesh *m, enum mesh_drop why);
