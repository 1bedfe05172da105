#pragma once
/*
 * Map sessions: what each client has been sent, and what it is to be sent next.
 *
 *	start -> next gives the full map -> changed ... next gives what differs
 *
 * Shape	A session is a view (visibility.h) and a place in the state's
 *		journal. What changed since is merged when the client can take it,
 *		so a slow reader costs one place in the journal, never a queue; one
 *		that fell out of the journal gets the whole map again.
 * Sharing	Sessions of one class with the same view and place get the same
 *		bytes, encoded once. A full map is built from an image of the class
 *		that may be somewhat old: the session starts at the image's place in
 *		the journal, and its first delta brings it up to date.
 * Pure		no socket, no clock; the owner drains sessions with mapsess_next.
 */
#include "base/list.h"
#include "base/own.h"
#include "coordinator/mapjson.h"
#include "coordinator/piece.h"
#include "coordinator/visibility.h"

struct maphub;
struct mapsess;

/* Texts that are the same for everybody: JSON objects. */
struct map_sections {
	struct span derp_map;
	struct span dns; /* NULL p: mapjson has nothing to say about names */
};

struct maphub *maphub_new(const struct state *st, const struct judge *judge,
                          const struct map_settings *settings);
void maphub_free(struct maphub *h);

/* Copies; sessions learn about what differs. Also announce it in the state's journal. */
void maphub_set_derp(struct maphub *h, struct span derp_map);
void maphub_set_dns(struct maphub *h, struct span dns);

/* For state_env.changed: keeps visibility up to date. */
void maphub_changed(struct maphub *h, const struct change *c);

/*
 * A stream of the node. once: for a single answer; it is not among the hub's
 * sessions then.
 */
/*
 * Ends a session's patience with an old image: this client holds a map, and a
 * peer that is not in the first message would be torn down and made anew.
 */
void mapsess_returns(struct mapsess *s);
struct mapsess *mapsess_new(struct maphub *h, uint64_t node, enum piece_form form, bool once);
void mapsess_free(struct mapsess *s);
/*
 * The next message, if there is one now: the first is the full map.
 *   1	a message; the caller's to send and free
 *   0	nothing to say
 *   ERR_UNKNOWN	the node is gone: end the stream
 */
NODISCARD int mapsess_next(struct mapsess *s, wall now, struct mapmsg *ret);
/* One more thing to say, with a message of its own: a PingRequest object. Copied. */
void mapsess_ping(struct mapsess *s, struct span ping_request);
uint64_t mapsess_node(const struct mapsess *s);

/* {"KeepAlive":true}, always the same bytes. */
struct piece *maphub_keepalive(struct maphub *h, enum piece_form form);

/* What the hub did, for metrics and tests. */
struct maphub_count {
	uint64_t full, delta, delta_shared, private, images;
};
const struct maphub_count *maphub_count(const struct maphub *h);
const struct visibility *maphub_visibility(const struct maphub *h);
