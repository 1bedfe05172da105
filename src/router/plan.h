#pragma once
/*
 * What the host's network must look like for a node of a tailnet: addresses and
 * MTU of the tunnel device, routes in a table of their own, rules that lead
 * there, and an nftables table of our own. Pure: facts in, plan out; host/router
 * makes it so.
 *
 * Packets of our own to the underlay carry ROUTER_MARK_BYPASS and never enter
 * the table; packets forwarded from the tunnel carry ROUTER_MARK_SUBNET.
 *
 *	5210  fwmark 0x80000/0xff0000  lookup main
 *	5230  fwmark 0x80000/0xff0000  lookup default
 *	5250  fwmark 0x80000/0xff0000  unreachable
 *	5270  all                      lookup 52
 *
 * Source: tailscale v1.102.5 wgengine/router/osrouter, ipn/ipnlocal/local.go.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/ip.h"
#include "base/own.h"
#include "base/vec.h"

#define ROUTER_NFT_TABLE "inet fairlead"

enum {
	ROUTER_TABLE = 52,
	ROUTER_RULES = 5200, /* the base of the rules' priorities */
	ROUTER_MARK_MASK = 0xff0000,
	ROUTER_MARK_SUBNET = 0x40000,
	ROUTER_MARK_BYPASS = 0x80000,
	ROUTER_MTU = 1280,
	/* Above this many peers one route to 100.64.0.0/10 stands for theirs. */
	ROUTER_PEER_ROUTES_MAX = 10000,
	ROUTER_NAME_MAX = 15,
};

enum router_netfilter {
	ROUTER_NETFILTER_OFF,
	ROUTER_NETFILTER_NODIVERT, /* chains that nothing jumps to, for the administrator to use */
	ROUTER_NETFILTER_ON,
};

/* A peer, for its routes and its counters. */
struct router_peer {
	const struct prefix *allowed; /* its own addresses and what it routes */
	size_t n_allowed;
	const struct ip *addrs; /* its own */
	size_t n_addrs;
	const char *name; /* for people, in the counters' comments */
	bool is_exit;     /* the exit node in use: its /0 counts */
};

/* A network this host is attached to by other interfaces. */
struct router_link_net {
	struct prefix prefix;
	bool internal; /* of the host alone: loopback, a bridge to virtual machines */
};

struct router_cfg {
	char dev[ROUTER_NAME_MAX + 1];
	uint32_t mtu; /* 0: ROUTER_MTU */
	const struct prefix *self;
	size_t n_self;
	const struct router_peer *peers;
	size_t n_peers;
	const struct router_link_net *nets;
	size_t n_nets;
	bool ip6; /* the host has IPv6 */
	bool accept_routes;
	bool use_exit;       /* chosen, whether it is there or not: without it traffic stops */
	bool exit_lan;       /* an exit node is used, and the host's own networks stay reachable */
	bool one_cgnat;      /* one route for all peers, however few */
	bool service_routes; /* 100.100.100.100 and its IPv6 sister are ours */
	enum router_netfilter netfilter;
	bool snat;         /* what we forward from the tunnel goes out under our address */
	bool stateful;     /* nothing new is forwarded into the tunnel */
	bool cgnat_drop;   /* tailnet addresses from elsewhere are forged */
	bool via6;         /* this host is a router of 4via6 sites: see datapath/via6.h */
	uint16_t udp_port; /* where peers reach us; 0: not known yet */
};

struct router_route {
	struct prefix dst;
	bool throw;   /* go on with the host's own tables */
	uint32_t mtu; /* 0: the device's */
};

struct router_rule {
	bool ip6;
	uint32_t priority;
	bool bypass; /* only packets with ROUTER_MARK_BYPASS */
	enum { ROUTER_LOOKUP, ROUTER_UNREACHABLE } action;
	uint32_t table;
};

/* A peer's address to be counted, both directions. */
struct router_counter {
	struct ip ip;
	char name[64]; /* fit for an nft comment */
};

struct router_plan {
	char dev[ROUTER_NAME_MAX + 1];
	uint32_t mtu;
	VEC(struct prefix) addresses;    /* sorted, like all lists here, and without doubles */
	VEC(struct router_route) routes; /* in ROUTER_TABLE */
	VEC(struct router_rule) rules;
	VEC(struct router_counter) counters; /* none without netfilter */
	struct buf nft; /* makes the table anew, without the counters' elements; empty: no table */
	bool guard;     /* default routes that lead nowhere, behind those into the tunnel: they stay
	                   when the     device goes, so that traffic stops rather than leaks */
	uint16_t udp_port;
	bool doors;                  /* through the chains of iptables, see router/doors.h */
	bool src_valid_mark;         /* reverse path checks must look at marks */
	VEC(struct prefix) shadowed; /* accepted routes that overlap networks of the host's own */
};

/* 100.100.100.100 and its IPv6 sister: asked there, never asking from there. */
bool router_is_service(const struct ip *ip);

/* Zero *ret before; end it with router_plan_done. */
void router_plan(const struct router_cfg *cfg, struct router_plan *ret);
void router_plan_done(struct router_plan *p);

/*
 * A sentence for each accepted route that overlaps a network of the host's own, and what becomes
 * of it.
 */
void router_overlaps(struct buf *out, const struct router_cfg *cfg);

/* For golden tests and `debug`: a line a thing. */
void router_plan_print(struct buf *out, const struct router_plan *p);

/* "add element" lines for counters that are in `want` and not in `have`, and the other way round.
 */
void router_counters_diff(struct buf *out, const struct router_counter *have, size_t n_have,
                          const struct router_counter *want, size_t n_want);
