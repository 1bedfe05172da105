#pragma once
/*
 * What nodes send over Noise, read strictly: sizes bounded, keys checked.
 * Hostinfo stays text: the node's words are kept, not our reading of them.
 */
#include <stdbool.h>

#include "base/mem.h"
#include "base/own.h"
#include "base/time.h"
#include "coordinator/model.h"

enum { REQUEST_MAX = 1 << 20 };

struct register_request {
	int64_t version;
	struct node_pub key, old_key; /* old_key: all zero for none */
	struct span auth_key;         /* empty: none */
	struct span followup;
	wall expiry; /* 0: no wish */
	bool ephemeral;
	struct span hostinfo; /* JSON; empty: none */
};

struct map_request {
	int64_t version;
	bool zstd, stream, omit_peers, read_only, keep_alive;
	struct node_pub key;
	struct disco_pub disco; /* all zero: none */
	struct span hostinfo;
	struct endpoints endpoints; /* of the arena */
	bool has_endpoints;
};

/* ERR_MALFORMED, ERR_LIMIT. Views of the text and the arena. */
NODISCARD int register_request_read(struct arena *a, struct span json,
                                    struct register_request *ret);
NODISCARD int map_request_read(struct arena *a, struct span json, struct map_request *ret);

/* {"NodePublic":"nodekey:...","Source":"..."} of a relay that asks whom to let in. */
NODISCARD int admit_request_read(struct arena *a, struct span json, struct node_pub *ret);
