#pragma once
/*
 * Parts of map responses as JSON text. Pure: state and policy in, text out.
 *
 * Source: the control protocol, as tailscale v1.102.5 reads it.
 */
#include "base/buf.h"
#include "coordinator/judge.h"
#include "coordinator/state.h"

/* What the configuration says of every map. */
struct map_settings {
	const char *base_domain; /* "" for none */
	const char *domain;      /* shown as the tailnet's name */
	bool taildrop, auto_update, logtail;
	bool certificates; /* nodes may have some: by set-dns */
};

struct map_world {
	const struct state *st;
	const struct judge *judge;
	const struct map_settings *settings;
	wall now;
};

/* The node as others see it. For routers the viewer decides on the routes shown. */
void mapjson_peer(const struct map_world *w, const struct node *n, const struct node *viewer,
                  struct buf *out);
/* The same, from the record's cache where no viewer matters. */
void mapjson_peer_cached(const struct map_world *w, const struct node *n, const struct node *viewer,
                         struct buf *out);
/* The node as it is told about itself. */
void mapjson_self(const struct map_world *w, const struct node *n, struct buf *out);
/* A PeerChange of the named fields (NODE_PATCHABLE). */
void mapjson_patch(const struct node *n, unsigned what, struct buf *out);
/* Whether a patch can say it. */
bool mapjson_patchable(const struct node *n, unsigned what);
/* The profile of a user; USER_TAGGED_ID for tagged nodes. */
void mapjson_profile(const struct state *st, uint64_t user, struct buf *out);
/* Who a node's User is. */
uint64_t mapjson_owner(const struct node *n);
/* "name.base.", or the label alone. */
void mapjson_fqdn(const struct map_settings *s, const struct node *n, struct buf *out);
