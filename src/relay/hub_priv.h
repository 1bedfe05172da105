#pragma once
/* Between the files of the hub only. */
#include "base/mem.h"
#include "relay/hub.h"

struct hub_peer {
	struct map_node node; /* hub.peers */
	struct node_pub key;
	uint32_t n_clients;
	bool pinned;         /* somebody is at work on it */
	struct link clients; /* hub_client.of_peer; the first is the active one */
	struct link fwds;    /* hub_fwd.of_peer, earliest learnt first */
	struct link edges;   /* hub_edge.of_src */
};

/* A neighbour has this key. */
struct hub_fwd {
	struct hub_peer *peer;
	struct hub_client *link;
	struct link of_peer, of_link;
};

/* A whole frame, ready to be sent. */
struct hub_packet {
	struct hub_packet *next;
	uint32_t n;
	uint8_t frame[];
};

/* hub_peer.c */
struct hub_peer *hub_peer_find(const struct hub *h, const struct node_pub *key);
struct hub_peer *hub_peer_get(struct hub *h, const struct node_pub *key);
/* Frees it if nothing holds it any more. */
void hub_peer_check(struct hub *h, struct hub_peer *p);
struct hub_client *hub_peer_active(const struct hub_peer *p);
void hub_link_forget(struct hub *h, struct hub_client *link);
void hub_watch(struct hub *h, struct hub_client *watcher);
void hub_tell_present(struct hub *h, const struct hub_client *c);
void hub_left(struct hub *h, struct hub_peer *p);

/* hub_queue.c */
struct hub_edge *hub_edge_get(struct hub *h, struct hub_peer *src, struct hub_client *dst);
void hub_edge_free(struct hub *h, struct hub_edge *e, enum hub_drop why);
void hub_count_drop(struct hub *h, enum hub_drop why, struct span packet);
/* dst_key: for a link, whom the neighbour shall give it to */
void hub_send(struct hub *h, struct hub_edge *e, const struct node_pub *dst_key,
              struct span packet);
/* The next packet in turn, taken out of its line; NULL if nothing of at most `room` bytes waits. */
struct hub_packet *hub_take(struct hub *h, struct hub_client *c, size_t room);
void hub_packet_free(struct hub *h, struct hub_packet *p);

/* hub_out.c */
void hub_mark(struct hub *h, struct hub_client *c);
void hub_doom(struct hub *h, struct hub_client *c, int why);
/* Something was put into c->control. */
void hub_control_added(struct hub *h, struct hub_client *c);
/* Room for n bytes at the end of the stage, or NULL. */
uint8_t *hub_stage(struct hub *h, struct hub_client *c, size_t n);
void hub_out_done(struct hub *h, struct hub_client *c);
