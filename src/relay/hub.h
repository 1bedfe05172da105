#pragma once
/*
 * The relay itself: which key is on which connection, and what waits for whom.
 *
 * Pure: bytes of connections that have logged in go in (hub_recv); what a
 * connection is to be sent leaves through the one function the hub is given,
 * which takes what the socket has room for. No clock, no socket, no thread.
 *
 * A packet for a connection that keeps up is copied once, behind what else goes
 * there in this turn of the loop, and many leave in one write. A connection
 * that does not keep up gets a queue: bounded in bytes, out of the pool all
 * share, one line per sender, served by deficit round robin. When it is full
 * the oldest packet of the longest line is dropped, data before disco, so that
 * a flood costs the flooder.
 *
 *	peer	a node key: its connections here, most lately heard first (that one
 *		gets what is sent to the key), and the neighbours that hold it
 *	client	one connection; of a node, of a neighbour that joined us, or ours
 *		to a neighbour (HUB_LINK)
 *	edge	"dst was sent something by src": src's line at dst, and the
 *		memory that dst must hear when src leaves the region
 *
 * Source: behaviour of derper v1.102.5 (who is told what), except for the
 * queues, which there are 32 packets for all senders together.
 */
#include <sys/uio.h>

#include "base/buf.h"
#include "base/list.h"
#include "base/map.h"
#include "base/time.h"
#include "protocol/derp.h"
#include "relay/pool.h"

/* Why a packet went nowhere. */
#define HUB_DROP_LIST(X)                                                           \
	X(UNKNOWN_DEST, "unknown_dest", "no connection of that key in the region") \
	X(UNKNOWN_DEST_FWD, "unknown_dest_on_fwd",                                 \
	  "a neighbour forwarded for a key that is not here")                      \
	X(GONE, "gone_disconnected", "the connection went before its queue did")   \
	X(SENDER_GONE, "sender_gone", "the sender left the region first")          \
	X(QUEUE_HEAD, "queue_head", "oldest, to make room in a full queue")        \
	X(QUEUE_TAIL, "queue_tail", "newest, as the queue holds only disco")       \
	X(POOL, "pool_full", "all packet memory is in use")

enum hub_drop {
#define X(name, label, text) HUB_DROP_##name,
	HUB_DROP_LIST(X)
#undef X
		HUB_DROPS
};

#define HUB_COUNT_LIST(X)                                                                 \
	X(packets_in, "packets received from clients")                                    \
	X(bytes_in, "payload bytes received from clients")                                \
	X(disco_in, "packets received that look like path discovery")                     \
	X(packets_out, "packets handed to clients' connections")                          \
	X(bytes_out, "bytes of those, with their frame headers")                          \
	X(forwarded_in, "packets received from neighbours")                               \
	X(forwarded_out, "packets handed to neighbours")                                  \
	X(queued, "packets that had to wait")                                             \
	X(pings, "pings answered")                                                        \
	X(gone_sent, "notices that a peer left")                                          \
	X(not_here_sent, "notices that a peer is not here")                               \
	X(home_in, "clients that made this relay their home")                             \
	X(home_out, "clients that moved their home away")                                 \
	X(unknown_frames, "frames of types not known")                                    \
	X(control_overflow, "clients closed as they left too many control frames unread") \
	X(half_frames_evicted, "clients closed as unfinished frames held too much memory")

struct hub_counts {
#define X(name, text) uint64_t name;
	HUB_COUNT_LIST(X)
#undef X
	uint64_t drops[HUB_DROPS][2]; /* data, disco */
	uint64_t drop_bytes[HUB_DROPS][2];
};

enum hub_role {
	HUB_NODE,
	HUB_MESH, /* logged in with the mesh key: may watch, forward and close */
	HUB_LINK, /* our own connection to a neighbour: gets FORWARD_PACKET */
};

enum hub_kind { HUB_DATA, HUB_DISCO, HUB_KINDS };

struct hub_packet;

struct hub_flow {
	struct link active; /* in client.active[kind], when not empty */
	struct hub_packet *head, *tail;
	uint32_t bytes;
	int32_t deficit;
};

struct hub_edge {
	struct hub_peer *src;
	struct hub_client *dst;
	struct map_node node; /* hub.edges */
	struct link of_src, of_dst;
	struct hub_flow flow[HUB_KINDS];
};

struct hub_client {
	/* the owner reads, the hub writes */
	struct hub_peer *peer; /* NULL for a link */
	enum hub_role role;
	bool home, watching, blocked;
	int doomed; /* why the owner must close it, once it comes from hub_next_doomed */
	struct addr addr;
	uint8_t present_flags;
	uint64_t bytes_in, packets_in, bytes_out, packets_out, dropped;
	uint32_t queued; /* bytes waiting in lines */
	mono blocked_since;
	mono since;

	/* private */
	struct link of_peer, all, dirty, doom, in_blocked, in_stashes, in_watchers;
	struct link fwds; /* of a link: hub_fwd.of_link */
	/* a link's own writer; NULL: the hub's */
	ssize_t (*link_write)(struct hub_client *c, const struct iovec *iov, size_t n);
	struct link edges; /* hub_edge.of_dst, most lately used last */
	struct link active[HUB_KINDS];
	uint32_t n_edges;
	uint8_t turn; /* which kind is served next */
	uint8_t pong[DERP_PING_LEN];
	bool want_pong;
	/* frames on their way into the socket, in a block of the pool */
	uint8_t *stage;
	void *stage_block;
	uint32_t stage_n, stage_sent, stage_cap, stage_block_n;
	bool stage_begun; /* its first byte is within a frame */
	uint8_t *stash;   /* the beginning of a frame */
	uint32_t stash_n, stash_cap;
	mono stash_since;
	struct buf control;
	uint32_t control_sent;
	/* the last destination: most packets go where the one before went */
	struct hub_edge *last;
	uint64_t last_gen;
	struct node_pub last_key;
	/* NOT_HERE notices: a bucket of three, one more each second */
	mono not_here_at;
	uint8_t not_here_left;
};

struct hub_cfg {
	size_t pool_max;     /* bytes of packets in all queues */
	uint32_t client_max; /* bytes waiting for one client */
	uint32_t link_max;   /* the same for a neighbour */
	/*
	 * Takes what the connection has room for now; the number of bytes, fewer than
	 * offered if it must wait (hub_writable is called then), negative if it is
	 * lost. Must not call back into the hub.
	 */
	ssize_t (*write)(struct hub_client *c, const struct iovec *iov, size_t n);
};

enum {
	HUB_POOL_DEFAULT = 64 << 20,
	HUB_CLIENT_DEFAULT = 192 << 10,
	HUB_LINK_DEFAULT = 4 << 20,
	HUB_EDGES_MAX = 8192,       /* senders remembered for one client */
	HUB_STASH_MAX = 64 << 20,   /* unfinished frames of all clients */
	HUB_CONTROL_MAX = 64 << 10, /* control frames waiting for a node */
	HUB_CONTROL_MESH_MAX = 64 << 20,
	HUB_STAGE_RESERVE = 16 << 20, /* on top of the pool, for those who keep up */
	HUB_NOT_HERE_BURST = 3,
};

struct hub {
	struct hub_cfg cfg;
	struct hub_counts count;
	uint64_t own_drops; /* packets dropped because their own sender's line was the longest */
	size_t n_clients, n_home, n_peers_local, n_peers_remote, n_dup_keys;
	struct map peers, edges; /* private from here */
	struct pool pool, stash_pool;
	struct link clients, dirty, doomed, blocked, stashes, watchers;
	uint64_t gen; /* changes whenever an edge or a way to a key may have become wrong */
	mono now;
	struct node_pub self;
};

void hub_init(struct hub *h, const struct hub_cfg *cfg, const struct node_pub *self);
/* Every client must have been removed. */
void hub_done(struct hub *h);

/*
 * A connection has logged in. The client is the caller's memory, zeroed but for
 * addr and present_flags. SERVER_INFO must be on its way already.
 */
void hub_join(struct hub *h, struct hub_client *c, enum hub_role role, const struct node_pub *key,
              mono now);
/* Harmless for a client that has not joined. */
void hub_leave(struct hub *h, struct hub_client *c, mono now);

/*
 * Bytes from a connection, all of which are used.
 *   ERR_SHORT, ERR_LIMIT, ERR_MALFORMED	a frame that breaks the rules
 *   ERR_DENIED				needs the mesh key
 * The owner closes the connection then.
 */
NODISCARD int hub_recv(struct hub *h, struct hub_client *c, struct span bytes, mono now);

/* The connection has room again. */
void hub_writable(struct hub *h, struct hub_client *c);
/* Writes what has gathered; to be called once a turn of the loop. */
void hub_flush(struct hub *h);
static inline bool hub_has_output(const struct hub *h)
{
	return !list_empty(&h->dirty);
}
void hub_keep_alive(struct hub *h, struct hub_client *c);
/* Clients that must be closed (doomed says why), one a call; NULL: no more. */
struct hub_client *hub_next_doomed(struct hub *h);
/*
 * Dooms with ERR_TIMEOUT those whose frame has been unfinished since before `then`,
 * but for those that `excused` (not read from, say), for whom time begins anew.
 */
void hub_doom_unfinished(struct hub *h, mono then, bool (*excused)(struct hub_client *c));
static inline bool hub_has_unfinished(const struct hub *h)
{
	return !list_empty(&h->stashes);
}
/* What is wrong with the hub's own books, or NULL. For the debug pages and tests. */
const char *hub_check(const struct hub *h);
/* The client that has been blocked longest, or NULL. */
struct hub_client *hub_longest_blocked(const struct hub *h);

/* --- the region --- */

/* What a neighbour's link says: it has the key, or has it no more. */
void hub_link_present(struct hub *h, struct hub_client *link, const struct node_pub *key);
void hub_link_gone(struct hub *h, struct hub_client *link, const struct node_pub *key);
/* A frame of our own on a link: WATCH_CONNS, a pong. */
void hub_put_control(struct hub *h, struct hub_client *c, struct span frame);

/* For the debug pages. */
struct hub_client *hub_find(struct hub *h, const struct node_pub *key);
const struct node_pub *hub_key(const struct hub_client *c); /* NULL for a link */
