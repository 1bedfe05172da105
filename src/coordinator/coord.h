#pragma once
/*
 * The coordinator: one object that owns the state, the map, the sessions and the
 * listeners, and the handlers of everything nodes and people ask of it.
 *
 * Requests from the network, from the Unix socket and from inside Noise come to
 * tables of routes; each table is one file's.
 *
 * Threads	one loop; everything here is its.
 */
#include "base/list.h"
#include "base/own.h"
#include "coordinator/config.h"
#include "coordinator/maphub.h"
#include "crypto/keys.h"
#include "http/route.h"
#include "platform/ev.h"
#include "platform/http_server.h"
#include "platform/listen.h"

struct coord;
struct noise_link;

/* A request and what belongs to it. */
struct coord_call {
	struct coord *co;
	struct http_req *req;
	const struct route_match *match;
	struct noise_link *link; /* inside Noise: whose machine; NULL outside */
	bool local;              /* on the Unix socket */
};

/* A way in: a listener, its server, and what may be asked there. */
enum coord_door_kind { DOOR_NET, DOOR_LOCAL, DOOR_METRICS, DOORS };

struct coord_door {
	struct coord *co;
	enum coord_door_kind kind;
	struct listener *listener;
	struct http_server *http;
};

struct coord_route {
	struct route route;
	void (*handle)(struct coord_call *c);
};

/* A login that waits for a person: the request, parked under its id. */
struct login;
struct logins;
struct sshchecks;
struct outbound;
struct c2n;
struct relaymap;
struct watches;
struct idtoken;
struct node_rpc;
struct setdns;
struct streams;
struct front;
struct site_cert;

struct coord {
	struct ev *ev;
	struct config *cfg;
	struct rand_src rand;
	struct machine_priv noise_key;
	struct machine_pub noise_pub;
	int lock; /* on the database: one server at a time; -1: none */
	struct state *st;
	struct tailnet_policy *policy;
	struct judge judge;
	struct map_settings settings;
	struct maphub *hub;
	struct coord_door *doors; /* where requests come in */
	struct http_server *http; /* of the network's door; Noise links are its too */
	struct site_cert *cert;   /* NULL: no TLS */
	struct logins *logins;
	struct sshchecks *sshchecks;
	struct outbound *outbound; /* requests to other servers */
	struct idtoken *idtoken;
	struct relaymap *relaymap;
	struct watches *watches;
	struct c2n *c2n; /* requests to nodes */
	struct node_rpc *rpc;
	struct setdns *setdns;
	struct streams *streams;
	struct probe *probe;
	struct embed *embed;    /* the relay; NULL: none */
	struct front *front;    /* login pages and the API */
	struct prefix *trusted; /* proxies */
	size_t n_trusted;
	struct ev_timer tick, flush;
	struct ev_signal signals;
	/* Sockets of the service manager: "net", "metrics", "http". */
	struct inherited inherited[LISTEN_INHERITED_MAX];
	size_t n_inherited;
	wall started;
};

/* -errno and our own; what is wrong was logged. The configuration stays the caller's. */
NODISCARD int coord_new(struct ev *ev, struct config *cfg, struct coord **ret);
/* Opens the listeners. */
NODISCARD int coord_listen(struct coord *co);
void coord_free(struct coord *co);
DEFINE_AUTO(coord_free, struct coord *)
/*
 * One who writes to the database at a time; held until the descriptor is closed.
 * ERR_BADSTATE: somebody has it.
 */
NODISCARD int coord_lock(const char *db_path, int *ret_fd);
/* SIGHUP: files that may have changed. */
void coord_reload(struct coord *co);
void coord_reload_policy(struct coord *co);
void coord_reload_names(struct coord *co);

/* Puts a policy in force and keeps it (database mode). ERR_MALFORMED, and why. */
NODISCARD int coord_set_policy(struct coord *co, struct span text, const char *actor,
                               struct fault *reterr);

/* JSON answers. */
void coord_answer_json(struct http_req *req, unsigned status, struct span json);
