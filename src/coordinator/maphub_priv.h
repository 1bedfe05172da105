#pragma once
/* What the files of the map share; nobody else includes this. */
#include "coordinator/maphub.h"

/* Changes of a stretch of the journal, one entry a node or user. */
struct merged_node {
	uint64_t id;
	unsigned what;
};

struct merged {
	uint64_t from, to;             /* after `from`, up to and with `to` */
	VEC(struct merged_node) nodes; /* by id */
	struct node_ids users;
};

/* What a class is told between two moments; also kept when there is nothing to say. */
struct delta {
	struct view *from, *to;
	uint64_t since, until;
	enum piece_form form;
	struct piece *piece;  /* NULL: nothing to say */
	struct node_ids full; /* nodes sent whole, and the new ones: not for these themselves */
};

enum { DELTAS_KEPT = 4, MERGED_KEPT = 4 };

/* The peers of a class, encoded in chunks, as they were at `seq`. */
struct image {
	unsigned refs;
	struct view *view;
	uint64_t seq;
	enum piece_form form;
	struct node_ids owners;
	uint64_t steering;          /* as in struct mapsess */
	VEC(struct piece *) chunks; /* each ",{...},{...}" of up to IMAGE_CHUNK nodes */
};
enum { IMAGE_CHUNK = 64 };

struct class_cache {
	struct image *image[PIECE_FORMS];
	struct delta deltas[DELTAS_KEPT];
	unsigned next_delta;
	uint64_t steering_epoch, steering; /* of members that are no routers */
};

struct maphub {
	const struct state *st;
	const struct judge *judge;
	const struct map_settings *settings;
	struct visibility *vis;
	struct piece_coder *coder;
	struct link sessions;

	char *derp, *dns; /* JSON */
	bool dns_is_own;  /* each node is told its own */
	uint64_t derp_version, dns_version;
	struct piece *derp_piece[PIECE_FORMS]; /* {"DERPMap":... */
	struct piece *end_piece[PIECE_FORMS];  /* ]} */
	struct piece *keepalive[PIECE_FORMS];

	struct merged merged[MERGED_KEPT];
	unsigned next_merged;
	struct buf scratch;
	struct maphub_count count;
	struct node_ids routers;
	uint64_t steering_epoch; /* counts events after which routes may be shown to others */
};

/* A PingRequest. */
struct ping {
	struct ping *next;
	char *json;
};

struct mapsess {
	struct link link;
	struct maphub *hub;
	uint64_t node;
	enum piece_form form;
	bool once, started, self_dirty;
	bool returns; /* it may hold a map already */
	struct view *view;
	uint64_t seq;
	uint64_t derp_version, dns_version, stamp;
	uint64_t filter_sum, ssh_sum, attr_sum, dns_sum;
	uint64_t steering_epoch, steering; /* what the policy did to the routes it was shown */
	struct ping *pings;                /* to be said, the oldest first */
};

struct map_world maphub_world(const struct maphub *h, wall now);
/* Of the class; made when first asked for. NULL class: NULL. */
struct class_cache *maphub_cache(struct maphub *h, struct class *c);

/* mapfull.c */
int mapfull_build(struct mapsess *s, const struct node *n, wall now, struct mapmsg *ret);
void image_unref(struct image *i);

/* mapsteer.c */
void mapsteer_begin(struct maphub *h);
void mapsteer_changed(struct maphub *h, const struct change *c);
/* A number for what the policy does to the routes of the routers this node sees. */
uint64_t mapsteer_sum(struct maphub *h, const struct map_world *w, const struct node *viewer);
/* The routers this node sees, whole, as a JSON array. */
void mapsteer_put(struct maphub *h, const struct map_world *w, const struct node *viewer,
                  struct buf *out);

/* mapdns.c */
bool mapdns_is_own(struct span dns);
/* DNSConfig as this node is told it. */
void mapdns_put(const struct maphub *h, const struct map_world *w, const struct node *n,
                struct buf *out);

/* mapdelta.c */
const struct merged *mapdelta_merged(struct maphub *h, uint64_t from);
void merged_done(struct merged *m);
unsigned merged_what(const struct merged *m, uint64_t id);
void delta_done(struct delta *d);
/* Brings the session to the present; a message or nothing. */
int mapdelta_next(struct mapsess *s, const struct node *n, wall now, struct mapmsg *ret);
