#pragma once
/*
 * What is between us and the internet: does UDP pass, at which address are we
 * seen, does the NAT map by destination, how far is each relay.
 *
 * A core, one run at a time:
 *
 *	netcheck_start -> { netcheck_recv | netcheck_https | netcheck_timeout }...
 *	               -> NETCHECK_DONE, once
 *
 * A full run asks every region up to three times by each family; an incremental
 * one the three fastest of last time and the home. Where no UDP answers, HTTPS
 * latency stands in. At most 5 s.
 *
 * STUN must go out of the sockets that WireGuard uses: it is their mapping that
 * is measured.
 *
 * Source: tailscale v1.102.5 net/netcheck/netcheck.go (plan, times).
 */
#include "base/rand.h"
#include "base/time.h"
#include "path/derpmap.h"
#include "protocol/stun.h"

enum {
	NETCHECK_MAPPED_MAX = 16, /* addresses we were seen at, of each family */
	NETCHECK_FULL_EVERY_US = 300 * 1000000,
};

enum tristate { TRI_UNKNOWN, TRI_FALSE, TRI_TRUE };

struct netcheck_region {
	int id;
	int64_t v4_us, v6_us, https_us; /* 0: no answer */
};

struct netcheck_mapped {
	struct addr addr;
	unsigned times;
};

struct netcheck_report {
	mono at;
	bool full, udp, ipv4, ipv6;
	enum tristate mapping_varies;
	struct addr global4, global6; /* port 0: not seen */
	int global4_region;           /* who saw global4 first */
	struct netcheck_mapped mapped[NETCHECK_MAPPED_MAX];
	size_t n_mapped;
	struct netcheck_region *regions; /* those of the map, in its order */
	size_t n_regions;
};

/* The least of what was measured; 0: nothing. UDP counts before HTTPS. */
int64_t netcheck_latency(const struct netcheck_region *r);

enum netcheck_act {
	NETCHECK_STUN,  /* send bytes to node's STUN port by family */
	NETCHECK_HTTPS, /* time GET /derp/latency-check on node; then netcheck_https */
	NETCHECK_DONE,  /* the report is ready */
};

struct netcheck_out {
	enum netcheck_act act;
	int region;
	const struct derp_node *node;
	bool v6;
	struct span bytes; /* good until the next call */
};

struct netcheck_cfg {
	const struct derp_map *map; /* must stay until DONE */
	bool have4, have6;          /* does this host have an address of that family? */
	int home;                   /* 0: none yet */
	bool full;                  /* ask for a full run */
	bool no_udp;                /* do not try UDP at all */
};

struct netcheck;

struct netcheck *netcheck_new(const struct rand_src *rand);
void netcheck_free(struct netcheck *n);
/* A run under way is abandoned. */
void netcheck_start(struct netcheck *n, mono now, const struct netcheck_cfg *cfg);
bool netcheck_running(const struct netcheck *n);
/* True if the datagram answered one of our requests; false: offer it to somebody else. */
bool netcheck_recv(struct netcheck *n, mono now, struct span datagram);
/* latency_us <= 0: it failed. */
void netcheck_https(struct netcheck *n, mono now, int region, int64_t latency_us);
void netcheck_timeout(struct netcheck *n, mono now);
mono netcheck_deadline(const struct netcheck *n);
bool netcheck_next(struct netcheck *n, struct netcheck_out *out);
/* The last finished run; NULL before the first. Good until the next DONE. */
const struct netcheck_report *netcheck_report(const struct netcheck *n);

/*
 * Which relay is home.
 */
struct home_heard {
	int region;
	mono at;
};

struct home_cfg {
	const struct derp_map *map;
	int current;                    /* 0: none */
	const struct home_heard *heard; /* when a frame last came from a region */
	size_t n_heard;
	bool pinned; /* control is away: nobody could learn of a change */
};

/*
 * The region to live at; 0: none is known. Takes the best of the last 5 minutes
 * and leaves the current one only for another that is clearly nearer: by more
 * than 10 ms and a third.
 */
int netcheck_home(const struct netcheck *n, mono now, const struct home_cfg *cfg);
