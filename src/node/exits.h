#pragma once
/*
 * Which peer is to be the exit node when nobody named one: the suggestion, and
 * the choice of `--exit-node=auto:any`. Pure.
 *
 * Those count that control lets be suggested, that offer both default routes and
 * are online. Near a relay that is near to us is near; among those without one
 * (plain WireGuard exits) the place on the map decides, then their priority. The
 * one suggested before stays as long as it is no worse.
 *
 * Source: tailscale v1.102.5 ipn/ipnlocal/local.go: suggestExitNodeUsingDERP.
 */
#include "netmap/netmap.h"
#include "node/prefs.h"

/* What the preferences name while no peer is known for them: nobody has this id. */
#define EXITS_UNRESOLVED "auto:any"

enum { EXITS_ALLOWANCE_M = 100000 };

struct exits_input {
	const struct netmap *map;
	int64_t home; /* our relay region; 0: not known yet */
	/* To a region, in seconds; negative: not known. */
	double (*latency)(void *ctx, int64_t region);
	void *ctx;
	struct span previous; /* the stable id of the last suggestion; may be empty */
	uint64_t chance;      /* a random number, for choices between equals */
};

/*
 * NULL in *ret: there is none.
 *   ERR_BADSTATE	no relay region of ours is known yet
 */
NODISCARD int exits_suggest(const struct exits_input *in, const struct tc_node **ret);

/*
 * The id of the exit node that the preferences mean, with this suggestion (may
 * be NULL): for `auto:`, and for an address, whose peer may have come meanwhile.
 * The preferences' own where there is nothing to work out.
 */
struct span exits_resolve(const struct prefs *p, const struct netmap *m,
                          const struct tc_node *suggestion);
