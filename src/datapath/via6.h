#pragma once
/*
 * The router of a 4via6 site takes what is for it out of the tunnel and hands the host
 * IPv4 packets in its place, from one address that is nobody's, VIA6_HOST,
 * with a port for each conversation. The host forwards them under its own
 * address in the site's network, and what is answered comes back by the route
 * that VIA6_HOST has into the tunnel's interface (router/plan.h).
 *
 *	client -> site's address	becomes	VIA6_HOST:port -> IPv4 address
 *	IPv4 address -> VIA6_HOST:port	becomes	site's address -> client
 *
 * TCP, UDP, echo, and what ICMP says of them; UDP and TCP in fragments, too, an
 * echo in fragments not, as its checksum covers what no fragment tells. Started
 * by the client alone. Pure.
 *
 * Threads	one.
 * Source	tailscale v1.102.5 net/tsaddr, wgengine/netstack (which ends such
 *		connections in itself); RFC 7915 for the headers.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/own.h"
#include "base/time.h"
#include "base/via6.h"

struct via6;

enum {
	VIA6_PACKET_MAX = 1280, /* that becomes IPv6 */
	VIA6_ROOM = 48,         /* to be free around it */
};

struct via6 *via6_new(const uint64_t key[static 2]);
void via6_free(struct via6 *v);
DEFINE_AUTO(via6_free, struct via6 *)

/* Whole headers are there. To a site; to VIA6_HOST. */
bool via6_is_out(const uint8_t *packet);
bool via6_is_back(const uint8_t *packet);

/*
 * An IPv6 packet to a site becomes an IPv4 packet, in place: *p moves up.
 *   ERR_DENIED		to where nobody may be sent: the router itself as loopback,
 *			link-local, multicast, other tailnet addresses
 *   ERR_UNKNOWN	no kind of packet that is carried, or an error about no flow
 */
NODISCARD int via6_to_host(struct via6 *v, mono now, uint8_t **p, size_t *n);
/*
 * An IPv4 packet to VIA6_HOST, whose *n bytes begin VIA6_GROWTH behind `at`, becomes an
 * IPv6 packet at `at`. There are *n + VIA6_ROOM bytes from there.
 *   ERR_UNKNOWN	it belongs to no flow
 */
NODISCARD int via6_to_client(struct via6 *v, mono now, uint8_t *at, size_t *n);
