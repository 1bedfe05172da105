#pragma once
/*
 * A relay as a library: give it streams that asked for DERP, and it logs them
 * in and carries their packets. The stand-alone daemon (relay/daemon.h) and the
 * coordinator both put their HTTP server in front of it.
 *
 *	struct relay *r = relay_new(&env);
 *	...a request for /derp came: relay_upgrade_of(head, &up) says how...
 *	relay_accept(r, stream, &up);
 *
 * Pages under /derp and the others every relay has are in relay/pages.h.
 *
 * Threads	that of the loop.
 */
#include "base/rand.h"
#include "http/http.h"
#include "http/ws.h"
#include "platform/ev.h"
#include "platform/stream.h"
#include "relay/hub.h"

/* Why a connection ended. */
#define RELAY_CLOSE_LIST(X)                                                              \
	X(PEER, "peer", "the client closed it")                                          \
	X(NETWORK, "network", "the network broke it")                                    \
	X(LOGIN_TIMEOUT, "login_timeout", "the login did not come in time")              \
	X(LOGIN_BAD, "login_bad", "the login was none, or did not open")                 \
	X(DENIED, "denied", "not admitted")                                              \
	X(FULL, "full", "as many clients as there may be")                               \
	X(BAD_FRAME, "bad_frame", "a frame broke the rules")                             \
	X(SLOW, "slow", "the client stopped reading")                                    \
	X(UNFINISHED, "unfinished", "a frame, or a TLS record, was begun and not ended") \
	X(MEMORY, "memory", "the client's unfinished or unread frames held too much")    \
	X(KICKED, "kicked", "a neighbour asked for it")                                  \
	X(SHUTDOWN, "shutdown", "the relay ends")

enum relay_close {
#define X(name, label, text) RELAY_CLOSE_##name,
	RELAY_CLOSE_LIST(X)
#undef X
		RELAY_CLOSES
};

struct relay_counts {
	uint64_t accepted;    /* connections that asked for DERP */
	uint64_t fast_starts; /* of these, without waiting for an HTTP answer */
	uint64_t websockets;
	uint64_t logins;
	uint64_t throttled; /* times a client had to wait for its rate */
	uint64_t held_back; /* times one had to wait as it flooded somebody's queue */
	uint64_t closed[RELAY_CLOSES];
};

/* May this client come in? To be answered by relay_answer, once, now or later. */
struct relay_ask {
	struct node_pub key;
	struct addr from;
	char app_name[DERP_APP_NAME_MAX + 1];
	struct relay_session *session; /* private */
};
void relay_answer(struct relay_ask *ask, bool allow);

struct relay_env {
	struct ev *ev;
	struct rand_src *rand;
	const struct node_priv *key; /* copied */
	const uint8_t *mesh_key;     /* DERP_MESH_KEY bytes, copied; NULL: no mesh */
	/* Whom to let in; NULL: everybody. Holders of the mesh key are not asked about. */
	void (*admit)(void *owner, struct relay_ask *ask);
	void *owner;
	/* All zero: the defaults. */
	size_t pool_max;           /* HUB_POOL_DEFAULT */
	uint32_t client_queue_max; /* HUB_CLIENT_DEFAULT */
	size_t clients_max;        /* no limit */
	int64_t write_timeout_us;  /* RELAY_WRITE_TIMEOUT_US; negative: never */
	uint64_t rate_bytes_per_s; /* what one client may send; 0: no limit */
	uint64_t rate_burst;       /* at least RELAY_BURST_MIN */
	unsigned keepalive_s;      /* TCP: RELAY_TCP_KEEPALIVE_S */
	unsigned user_timeout_ms;  /* TCP: RELAY_TCP_USER_TIMEOUT_MS */
};

enum {
	RELAY_WRITE_TIMEOUT_US = 2 * 1000 * 1000,
	RELAY_MESH_WRITE_TIMEOUT_US = 30 * 1000 * 1000,
	RELAY_UNFINISHED_US = 30 * 1000 * 1000, /* for a frame that has begun */
	RELAY_TCP_KEEPALIVE_S = 600,
	RELAY_TCP_USER_TIMEOUT_MS = 15000,
	RELAY_UNSENT_LOW = 128 << 10, /* the kernel holds little: who is next is decided here */
	RELAY_BURST_MIN = DERP_PACKET_MAX + KEY_LEN,
};

struct relay;

struct relay *relay_new(const struct relay_env *env);
void relay_free(struct relay *r); /* closes what is open */
DEFINE_AUTO(relay_free, struct relay *)
/* Everybody's connection, now; others may come afterwards. */
void relay_close_all(struct relay *r);

/* How a request asks for DERP. */
enum relay_way { RELAY_WAY_NONE, RELAY_WAY_DERP, RELAY_WAY_FAST, RELAY_WAY_WEBSOCKET };

struct relay_upgrade {
	enum relay_way way;
	bool not_ideal;               /* the client would rather be at another node of the region */
	char ws_key[WS_KEY_TEXT + 1]; /* of a WebSocket */
	struct addr from; /* whom the client is said to be, if not the stream's other end */
};

/* NONE: no upgrade was asked for, which is to be answered 426. Pure. */
void relay_upgrade_of(const struct http_head *head, struct relay_upgrade *ret);

/*
 * Takes the stream, whose request has been read and not yet been answered.
 * Bytes behind the request are the client's first frames.
 */
void relay_accept(struct relay *r, struct stream *take, const struct relay_upgrade *up);

struct hub *relay_hub(struct relay *r);
const struct relay_counts *relay_counts(const struct relay *r);
const struct node_pub *relay_public(const struct relay *r);
/* Connections that have not logged in yet. */
size_t relay_pending(const struct relay *r);
/* Limits for clients from now on, and for those that are here. */
void relay_set_rate(struct relay *r, uint64_t bytes_per_s, uint64_t burst);
/* What gathered in the hub by a call from elsewhere goes out in this turn. */
void relay_kick(struct relay *r);
/* Asks about every client again and closes those that are not wanted any more. */
void relay_recheck(struct relay *r, bool (*allowed)(void *arg, const struct node_pub *key),
                   void *arg);
