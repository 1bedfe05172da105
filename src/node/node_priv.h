#pragma once
/* What the parts of the node share. Only files of node/ that put parts together include this. */
#include "http/proxy.h"
#include "node/bus.h"
#include "node/conffile.h"
#include "node/health_track.h"
#include "node/node.h"
#include "node/prefs.h"
#include "node/profile.h"
#include "node/session.h"
#include "platform/http_client.h"
#include "platform/http_server.h"
#include "platform/listen.h"
#include "platform/machine.h"

struct engine;

struct node {
	struct node_cfg cfg;
	struct ev *ev;
	struct resolver *resolver;
	struct tls_client *tls;
	struct proxy_env proxy;
	struct http_client http;
	struct store *store;
	struct profiles *profiles;
	struct machine_facts facts;
	char *backend_log_id;
	struct disco_priv disco;

	struct session *session; /* NULL: none is wanted */
	struct engine *engine;   /* the mesh of the session; NULL while stopped */
	enum ipn_state state;
	bool ending;               /* the program ends in order */
	bool blocked;              /* a login is under way: not to be taken for stopped */
	char *control_hosts;       /* the file of node/control_hosts.h; NULL: none */
	bool control_noted;        /* in this run */
	char *suggested_exit;      /* the last one, by its stable id */
	char *auth_key;            /* for the next session */
	struct conffile *declared; /* NULL: preferences are set by hand */
	char *declared_key;        /* to log in with when nobody gives another; NULL: none */
	struct ev_timer expiry;
	struct health health;
	unsigned health_shown; /* bits of enum health_code: as it was told last */
	struct ev_timer health_timer;
	struct ev_timer keep_map;
	mono map_kept;          /* when it was written last; 0: not in this session */
	struct ev_timer quiet;  /* ends what node_debug_log began */
	int log_level;          /* to go back to then */
	struct ev_defer settle; /* works the state out anew */
	char *err_message;

	struct bus bus;
	struct http_server *api;
	struct listener *listener, *also;
	struct link dials; /* connections made for programs of this machine */
};

static inline const struct prefs *node_prefs(const struct node *n)
{
	return profiles_prefs(n->profiles);
}

/* NULL before the first message of the coordinator. */
static inline const struct netmap *node_map(const struct node *n)
{
	const struct netmap *m = n->session ? session_map(n->session) : NULL;

	return m && m->self ? m : NULL;
}

const char *ipn_state_name(enum ipn_state s);
/* Something changed that the state may depend on; looked at from the loop. */
void node_settle(struct node *n);
bool node_key_expired(const struct node *n);
bool node_has_key(const struct node *n);

/* ---- what the local API asks for ---- */

/* Takes the preferences and acts on the difference. ERR_EXISTS, -errno: they are as before. */
NODISCARD int node_set_prefs(struct node *n, struct prefs *take);
/* Begins anew with these preferences (NULL: the present ones). */
NODISCARD int node_restart(struct node *n, struct prefs *take, const char *auth_key);
void node_login(struct node *n);
/* done(arg, r) once the coordinator knows, or cannot be told. */
void node_logout(struct node *n, void (*done)(void *arg, int r), void *arg);
NODISCARD int node_switch_profile(struct node *n, struct span id);
void node_new_profile(struct node *n);
NODISCARD int node_remove_profile(struct node *n, struct span id);

/* ---- preferences declared in a file ---- */

/* Reads it, if there is to be one, and makes the preferences so. What is wrong is logged. */
NODISCARD int declared_open(struct node *n);
/* The same anew; on failure all is as before, and the fault says why. */
NODISCARD int declared_reload(struct node *n, struct fault *f);
void declared_done(struct node *n);
/* ERR_DENIED: only the file changes preferences. */
NODISCARD int declared_refuses(const struct node *n, struct fault *f);

/* Everything is logged for so long; 0: no longer. */
void node_debug_log(struct node *n, int64_t us);
void node_fill_hostinfo(struct node *n, struct tc_hostinfo *ret);

/* ---- the engine: the mesh and the host's own configuration, of a running node ---- */

NODISCARD int engine_start(struct node *n);
void engine_stop(struct node *n);
/* Accepted routes that overlap the host's own networks, in words; "" if there are none. */
const char *engine_overlaps(const struct node *n);
/* All traffic is to go through an exit node, up or not: else it stops. */
bool engine_wants_exit(const struct node *n);
/* The map changed; NULL: everything is to be looked at again. */
void engine_apply(struct node *n, const struct netmap_delta *delta);
/* What is wrong with names: an enum names_trouble. */
bool engine_names_bad(const struct node *n, int which);
/* The coordinator is reached, or no longer. */
void engine_control(struct node *n);
/* A relay or a peer is connected. */
bool engine_is_live(const struct node *n);
bool engine_has_tun(const struct node *n);
/* The PeerAPI listens elsewhere: peers and the coordinator must hear of it. */
void engine_peerapi_changed(struct node *n);
/* Adds what it knows to our report. */
void engine_fill_hostinfo(struct node *n, struct tc_hostinfo *ret);

struct engine_health {
	bool up;      /* there is an engine */
	bool settled; /* its interface was brought up */
	bool network; /* the host has an address */
	uint16_t port;
	int home;
	bool home_connected;
	int bad_relay;           /* a relay that says it is unwell ... */
	const char *relay_error; /* ... and how; "" */
};
void engine_health(const struct node *n, struct engine_health *ret);

struct engine_peer {
	struct addr direct; /* not set: none in use */
	struct addr relay_server;
	uint32_t relay_vni;
	uint64_t rx_bytes, tx_bytes;
	wall last_handshake, last_write;
	bool active, in_engine, in_magicsock;
};
void engine_peer(const struct node *n, const struct node_pub *key, struct engine_peer *ret);
/* The capabilities the peer has towards us, as a JSON object; null: none. */
void engine_write_caps(const struct node *n, struct js_wr *w, const struct tc_node *peer);
void engine_write_metrics(const struct node *n, struct buf *out);
void engine_restun(struct node *n);
/* Connections to relays are made again. */
void engine_break_relays(struct node *n);
/* First addresses of the peers that would relay for us, as a JSON list. */
void engine_write_peer_relays(const struct node *n, struct js_wr *w);
/* The map on disk goes, and comes back when it changes. */
void node_forget_map(struct node *n);

/* What `ping` shows. */
struct engine_pong {
	struct ip ip, node_ip;
	char node_name[256], err[160];
	double latency_s;
	struct addr endpoint, relay_server;
	uint32_t relay_vni;
	int64_t derp_region;
	char derp_code[64];
	uint16_t peerapi_port;
	char peerapi_url[128];
	bool is_local;
	bool timed_out;
};
/* type: "disco", "TSMP", "ICMP", "peerapi". done is called once, maybe from here. */
void engine_ping(struct node *n, const struct ip *ip, const char *type, size_t size,
                 void (*done)(void *arg, const struct engine_pong *pong), void *arg);
void engine_write_pong(struct js_wr *w, const struct engine_pong *pong);
/* Why a peer is reached over a relay, in words; "" if it is not, or nothing is known. */
void engine_why_relayed(const struct node *n, const struct tc_node *peer, char *dst, size_t cap);
/* The last look at the network, as `netcheck` prints it; null: none yet. */
void engine_write_netcheck(const struct node *n, struct js_wr *w);
/* The address is reached through the tunnel. */
bool engine_is_inside(const struct node *n, const struct ip *ip);
size_t engine_endpoints(const struct node *n, struct addr *ret, size_t max);
int64_t engine_home_derp(const struct node *n);
/*
 * The exit node we would choose; NULL in *ret: there is none. The answer is kept,
 * and given again while it is as good.   ERR_BADSTATE: too early to say
 */
NODISCARD int engine_suggest_exit(struct node *n, const struct tc_node **ret);

/* ---- views ---- */

void status_write(const struct node *n, struct js_wr *w, bool peers);
/* A node as programs see it: with what is implied filled in, and names to be shown. */
void status_write_node(const struct netmap *m, struct js_wr *w, const struct tc_node *node);
/* The whole map, for `debug netmap` and old programs. */
void status_write_netmap(const struct netmap *m, struct js_wr *w);
/* Gathers what is wrong anew, and tells if it is something else than before. */
void health_look(struct node *n);
/* How many warnings are shown. */
size_t health_count(const struct node *n);
/* Texts of what is wrong, as `status` shows them. */
void health_write(const struct node *n, struct js_wr *w);
/* The state object of the bus. */
void health_write_state(const struct node *n, struct js_wr *w);
/* "" or the region's code. */
struct span status_region_code(const struct netmap *m, int64_t region);

/* ---- the local API ---- */

NODISCARD int localapi_start(struct node *n);
void localapi_stop(struct node *n);
/* Answers an HTTP request of the coordinator. */
void c2n_answer(struct node *n, struct span request, struct buf *ret);
