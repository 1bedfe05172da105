#pragma once
/*
 * The node's packet filter: which packets from peers may enter.
 *
 * A filter is built from the rules the coordinator sends and never changes
 * after; a new one is published in its place. Rules only allow: what no rule
 * names is dropped. What is remembered of outgoing traffic lives apart, in a
 * flow table (flow.h), so replacing the filter breaks no flow.
 *
 *	not IP, cut off, hidden transport, multicast or link-local destination	drop
 *	later fragment								accept
 *	destination that is neither ours nor routed by us			drop
 *	ICMP error, echo reply; TCP that opens nothing; TSMP			accept
 *	answer to a UDP or SCTP packet we sent					accept
 *	ICMP		if any rule lets the source reach the destination at all
 *	TCP, UDP, SCTP	if a rule matches protocol, source, destination, port
 *	others		if a rule names the protocol with every port
 *
 * Who sent a packet is not our business: the tunnel only passes source
 * addresses that belong to the peer.
 *
 * Shape	sources of all rules are cut into disjoint ranges, each with the
 *		list of rules it is in, so a look-up is one binary search and
 *		a walk over the rules that name this source.
 * Threads	read-only once built; any number of readers.
 * Source	tailscale.com/wgengine/filter at v1.102.5.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/ipset.h"
#include "base/own.h"
#include "base/span.h"
#include "base/time.h"
#include "protocol/ippkt.h"

struct filter;
struct flow_table;

enum {
	FILTER_RULES_MAX = 100000,
	FILTER_ENTRIES_MAX = 4000000, /* sources, destinations and grants, together */
};

/* ---- the verdict ---- */

#define FILTER_VERDICTS(X)                                          \
	X(ACCEPT, "accepted")                                       \
	X(NOT_IP, "not a whole IP packet")                          \
	X(UNKNOWN_PROTOCOL, "transport protocol unknown or hidden") \
	X(MULTICAST, "multicast destination")                       \
	X(LINK_LOCAL, "link-local destination")                     \
	X(NOT_LOCAL, "destination is not ours and not behind us")   \
	X(NO_RULE, "no rule allows it")

/* clang-format off */
enum filter_verdict {
#define X(name, text) FILTER_##name,
	FILTER_VERDICTS(X)
#undef X
	FILTER_VERDICT_MAX
};
/* clang-format on */

/* Text for a log line; never NULL. */
const char *filter_verdict_text(enum filter_verdict v);

/* A peer that control calls jailed may answer us but start nothing. */
enum filter_trust { FILTER_PEER, FILTER_JAILED };

/* flows may be NULL: nothing is known of outgoing traffic. */
NODISCARD enum filter_verdict filter_in(const struct filter *f, struct flow_table *flows,
                                        const struct ippkt *p, enum filter_trust trust, mono now);
/* Checks a packet of ours and remembers its flow. */
NODISCARD enum filter_verdict filter_out(struct flow_table *flows, const struct ippkt *p, mono now);

/* Would a new connection pass? For questions about access, not for packets. */
bool filter_allows(const struct filter *f, uint8_t proto, const struct ip *src,
                   const struct ip *dst, uint16_t dst_port);
bool filter_is_local(const struct filter *f, const struct ip *dst);

/* An application capability; views good as long as the filter. */
struct filter_cap {
	struct span name;
	struct span values; /* JSON: an array, or null */
};

/* Calls each for every capability src has towards dst; one name may come more than once. */
void filter_caps(const struct filter *f, const struct ip *src, const struct ip *dst,
                 void (*each)(void *ctx, const struct filter_cap *cap), void *ctx);

void filter_free(struct filter *f);
DEFINE_AUTO(filter_free, struct filter *)

/* ---- building ---- */

struct filter_build;

/*
 * What a source "cap:NAME" stands for: adds the addresses of the peers that
 * have that node capability now.
 */
struct filter_env {
	void (*members)(void *ctx, struct span capability, struct ipset *ret);
	void *ctx;
};

/* env may be NULL: such sources name nobody. */
struct filter_build *filter_build_new(const struct filter_env *env);
void filter_build_free(struct filter_build *b);
DEFINE_AUTO(filter_build_free, struct filter_build *)

/* The addresses packets may be for: our own, and the routes we advertise. */
void filter_build_local(struct filter_build *b, const struct ipset *sealed);

/*
 * One rule: begin, then sources, protocols, destinations, grants in any order.
 *   ERR_MALFORMED	the text is no "*", address, CIDR, range, "cap:NAME":
 *			this entry is left out, the others stay good
 *   ERR_LIMIT		over FILTER_RULES_MAX or FILTER_ENTRIES_MAX
 */
NODISCARD int filter_build_rule(struct filter_build *b);
NODISCARD int filter_build_src(struct filter_build *b, struct span text);
/* None at all: TCP, UDP and ICMP of both families. Out of 0..255: ignored. */
void filter_build_proto(struct filter_build *b, int64_t number);
NODISCARD int filter_build_dst(struct filter_build *b, struct span text, uint16_t first,
                               uint16_t last);
NODISCARD int filter_build_grant(struct filter_build *b, const struct prefix *dst, struct span name,
                                 struct span values);

enum filter_mode { FILTER_BY_RULES, FILTER_SHIELDS_UP };

/* Takes and frees the builder. Shields up: as if there were no rules. */
struct filter *filter_build_done(struct filter_build *take, enum filter_mode mode);

/*
 * Adds what an advertised default route of one family (bits is 0) makes local:
 * the internet, without our own networks but with our own addresses, and
 * without the private, shared, link-local, multicast and tailnet ranges, so
 * that an exit node never opens its LAN. Leaves the set sealed.
 */
void filter_add_exit(struct ipset *local, const struct prefix *route,
                     const struct ipset *own_networks, const struct ipset *own_addresses);
