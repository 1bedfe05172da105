#pragma once
/*
 * Which conversation a port of VIA6_HOST stands for (via6.h).
 *
 * A table of fixed size, eight places to a bucket; in a full bucket the flow
 * that would end first gives way. A flow's place is its port, so the way back is
 * one look. The bucket comes from a random key: ports cannot be foretold.
 *
 * Threads	one.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/ip.h"
#include "base/own.h"
#include "base/time.h"

enum {
	VIA6_FLOWS = 8192,
	VIA6_PORT_FIRST = 32768,
	VIA6_TCP_S = 2 * 3600 + 240, /* RFC 5382 s.5 */
	VIA6_TCP_ENDING_S = 240,
	VIA6_UDP_S = 300, /* RFC 4787 s.4.3 */
	VIA6_ECHO_S = 60, /* RFC 5508 s.3.2 */
};

/* An echo's identifier is the client's port; `port` is 0. */
struct via6_key {
	struct ip client, site; /* as the client has them */
	uint16_t client_port, port;
	uint8_t proto; /* IPPKT_TCP, IPPKT_UDP, IPPKT_ICMP6 */
};

struct via6_flow {
	struct via6_key key;
	bool ending; /* TCP: a FIN or RST was seen */
	mono until;  /* 0: none is here */
};

struct via6_flows;

struct via6_flows *via6_flows_new(const uint64_t key[static 2]);
void via6_flows_free(struct via6_flows *t);

/* The one with this key; NULL: there is none. */
struct via6_flow *via6_flow_find(struct via6_flows *t, const struct via6_key *key);
/* The same, or a new one. */
struct via6_flow *via6_flow_get(struct via6_flows *t, const struct via6_key *key);
/* NULL: none has this port. */
struct via6_flow *via6_flow_at(struct via6_flows *t, uint16_t port);
uint16_t via6_flow_port(const struct via6_flows *t, const struct via6_flow *f);
/* A packet of it was seen, with these TCP flags. */
void via6_flow_touch(struct via6_flow *f, mono now, uint8_t tcp_flags);
