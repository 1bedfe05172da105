#pragma once
/*
 * A port on the home router mapped to ours, by NAT-PMP, PCP or UPnP: probes what
 * the router speaks, maps, renews at half the lifetime, gives it back.
 *
 * A core: feed it, then drain it. IPv4 and UDP alone.
 *
 *	portmap_start    we want a mapping; the gateway or our address changed
 *	portmap_recv     a datagram came to the socket we send from
 *	portmap_http     the answer to the request under way (status 0: it failed)
 *	portmap_timeout  at portmap_deadline() or later
 *	portmap_stop     give the mapping back
 *	portmap_next     what to do
 *
 * IDLE -> PROBE (250 ms) -> ASK (250 ms) -> MAPPED -> ... renew
 *                  \-> UPNP description -> status, address -> map -> MAPPED
 * A try that fails is made again after 10 minutes, or at the next portmap_start.
 *
 * The router is a stranger: answers count only from its address, UPnP URLs are
 * taken to its address whatever they name, an external address that no peer
 * could use is no mapping.
 *
 * Source: RFC 6886, RFC 6887, tailscale v1.102.5 net/portmapper (times, order).
 */
#include "base/rand.h"
#include "base/time.h"
#include "protocol/upnp.h"

enum {
	PORTMAP_PORT = 5351,
	PORTMAP_SSDP_PORT = 1900,
	PORTMAP_DATAGRAM_MAX = 1500,
};

enum portmap_by { PORTMAP_BY_NONE, PORTMAP_BY_PMP, PORTMAP_BY_PCP, PORTMAP_BY_UPNP };

struct portmap_cfg {
	struct ip gateway, self; /* IPv4; the gateway is a private address or nothing is done */
	uint16_t local_port;
	bool no_pmp, no_pcp, no_upnp;
};

enum portmap_act {
	PORTMAP_SEND,    /* bytes to addr */
	PORTMAP_HTTP,    /* one request to addr: GET path, or POST with soap_action and bytes */
	PORTMAP_CHANGED, /* the mapping came, changed or went: see portmap_mapping */
};

struct portmap_out {
	enum portmap_act act;
	struct addr addr;
	const char *path, *soap_action; /* HTTP; soap_action NULL: GET */
	struct span bytes;              /* good until the next call */
};

struct portmap;

struct portmap *portmap_new(const struct rand_src *rand);
void portmap_free(struct portmap *p);

void portmap_start(struct portmap *p, mono now, const struct portmap_cfg *cfg);
void portmap_recv(struct portmap *p, mono now, const struct addr *from, struct span datagram);
void portmap_http(struct portmap *p, mono now, unsigned status, struct span body);
void portmap_timeout(struct portmap *p, mono now);
mono portmap_deadline(const struct portmap *p);
void portmap_stop(struct portmap *p, mono now);
bool portmap_next(struct portmap *p, struct portmap_out *out);

/* False: none. It stays advertised until it ends, also while it is renewed. */
bool portmap_mapping(const struct portmap *p, mono now, struct addr *ret, enum portmap_by *ret_by);
/* What the router was seen to speak in the last 10 minutes. */
struct portmap_seen {
	bool pmp, pcp, upnp;
};
struct portmap_seen portmap_seen(const struct portmap *p, mono now);
