#pragma once
/*
 * The relays there are, as the path side of a node sees them: made from the
 * network map once, then read. Regions are sorted by id. Pure data.
 */
#include <stdbool.h>
#include <stddef.h>

#include "base/ip.h"

enum {
	DERP_REGIONS_MAX = 1024,
	DERP_NODES_MAX = 16, /* a region */
	DERP_NAME_MAX = 256,
	DERP_STUN_PORT = 3478,
	DERP_TLS_PORT = 443,
};

struct derp_node {
	const char *name, *host;
	const char *cert_name; /* NULL: host; "sha256-raw:HEX": a pinned certificate */
	struct ip ip4, ip6;    /* all zero: resolve the host */
	bool no4, no6;         /* that family is switched off */
	uint16_t stun_port;    /* 0: no STUN here */
	uint16_t derp_port;
	bool stun_only, insecure, can_port80;
	struct ip stun_ip; /* all zero: as ip4 and ip6 */
};

struct derp_region {
	int id;
	const char *code, *name;
	bool avoid;      /* not a home if another will do */
	bool no_measure; /* never measured, never a home */
	double score;    /* multiplies latency when a home is chosen; 1: as measured */
	const struct derp_node *nodes;
	size_t n_nodes;
};

struct derp_map {
	const struct derp_region *regions;
	size_t n_regions;
};

/* NULL: there is no such region. */
const struct derp_region *derp_map_find(const struct derp_map *m, int id);
