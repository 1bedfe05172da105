#pragma once
/* Shared by netcheck.c (the run by UDP) and netcheck_home.c (HTTPS, history, the home). */
#include "base/vec.h"
#include "path/netcheck.h"

enum { HISTORY_MAX = 32 };

enum probe_state { PROBE_WAITING, PROBE_DUE, PROBE_SENT, PROBE_OVER };

struct probe {
	int region;
	const struct derp_node *node;
	bool v6;
	enum probe_state state;
	mono due, sent;
	uint8_t txid[STUN_TXID];
};

/* One region's latency in one finished run. */
struct remembered {
	mono at;
	int region;
	int64_t us;
};

struct netcheck {
	struct rand_src rand;
	struct netcheck_cfg cfg;
	struct netcheck_report run, last;
	bool running, have_last, told;
	bool https; /* no UDP: the second half of the run */
	size_t https_at, https_left;
	mono started, stun_end, last_full;
	VEC(struct probe) probes;
	uint8_t request[STUN_REQUEST_LEN];
	VEC(struct remembered) history;
};

void netcheck_start_https(struct netcheck *n);
bool netcheck_next_https(struct netcheck *n, struct netcheck_out *out);
void netcheck_remember(struct netcheck *n, mono now);
