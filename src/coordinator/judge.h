#pragma once
/*
 * What the map needs to know of the policy, as a table of functions: who sees
 * whom, what a node may do. The policy engine stands behind it; the open judge
 * lets everybody see and reach everybody.
 *
 * Nodes with the same class key see, and are seen by, the same nodes, and either
 * all of each other or none, with the same routes. That is what makes a
 * change cost what it touches: visibility is computed between classes, and what
 * is sent is encoded once a class.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/json.h"
#include "coordinator/model.h"
#include "coordinator/routes.h"

enum {
	JUDGED_RULES = 1 << 0, /* filter and ssh */
	JUDGED_ATTRIBUTES = 1 << 1,
	JUDGED_ALL = JUDGED_RULES | JUDGED_ATTRIBUTES,
};

struct judge {
	/* Equal for nodes of one class. 0 is kept for nodes that see nobody. */
	uint64_t (*class_key)(void *arg, const struct node *n);
	/* Is each in the other's map? Symmetric; never asked of a node and itself. */
	bool (*sees)(void *arg, const struct node *a, const struct node *b);
	/* Of the routes the peer carries (primaries and exit routes): those the viewer is given. */
	void (*routes_for)(void *arg, const struct node *viewer, const struct node *peer,
	                   struct prefixes *routes);
	/* The packet filter of this node: the value of PacketFilters, an object. */
	void (*filter)(void *arg, const struct node *n, struct buf *json);
	/* SSHPolicy, an object. */
	void (*ssh)(void *arg, const struct node *n, struct buf *json);
	/* Node attributes besides the ones every node has: key and value for each. */
	void (*attributes)(void *arg, const struct node *n, struct js_wr *w);
	/* What a peer's capability map shows to others. Usually nothing. */
	void (*peer_attributes)(void *arg, const struct node *n, struct js_wr *w);
	/*
	 * Counts up when filter, ssh or attributes of some node may have changed;
	 * maps are compared with what was sent only then.
	 */
	uint64_t (*stamp)(void *arg);
	/* Which may have changed for this node since that count, of JUDGED_*. NULL: all. */
	unsigned (*touched)(void *arg, const struct node *n, uint64_t since);
	void *arg;
};

extern const struct judge judge_open;
