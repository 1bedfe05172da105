#pragma once
/*
 * The PeerAPI: HTTP on our addresses in the tailnet, for peers alone. A port an
 * address, told to others in our report; who asks is known by the address the
 * connection comes from, which the tunnel has verified.
 *
 * The packet filter lets connections to these ports pass. What each peer may do
 * is decided here, request by request; pages are rows of a table (peerapi_row).
 *
 * Bounded: connections in all and of one peer (http_server), questions under way
 * of one peer, sizes of requests.
 *
 * Source: tailscale v1.102.5 ipn/ipnlocal/peerapi.go.
 * Threads	that of the loop.
 */
#include "control/tailcfg_map.h"
#include "node/node_priv.h"

enum {
	PEERAPI_CONNS_MAX = 512,
	PEERAPI_CONNS_PEER_MAX = 16,
	PEERAPI_ASKS_PEER_MAX = 64, /* DNS questions under way */
	PEERAPI_URL_MAX = 80,
	PEERAPI_ADDRS_MAX = 4,
};

/* ---- of others ---- */

/* "http://100.64.0.2:41000"; false: the peer serves none that we could reach. */
bool peerapi_url_of(const struct tc_node *self, const struct tc_node *peer,
                    char dst[static PEERAPI_URL_MAX]);
/* It answers DNS queries for those whose exit node it is. */
bool peerapi_proxies_dns(const struct tc_node *peer);

/* ---- ours ---- */

struct peerapi;

/* Whom a request is from. */
struct peerapi_peer {
	struct ip ip;
	const struct tc_node *node;
	struct span display_name; /* of its user */
	bool is_self;             /* the same user as ours */
	bool is_self_untagged;    /* and neither has tags */
};

struct peerapi_row {
	struct route route;
	void (*fn)(struct peerapi *a, struct http_req *req, const struct peerapi_peer *peer);
};
extern const struct peerapi_row peerapi_dns_rows[];
extern const size_t peerapi_dns_n;

struct peerapi *peerapi_new(struct node *n);
void peerapi_free(struct peerapi *a);
struct node *peerapi_node(const struct peerapi *a);
/*
 * Listens on these addresses and no others. Those that are not on the interface
 * yet are tried again. True: ports changed, others must hear of it.
 */
bool peerapi_bind(struct peerapi *a, const struct ip *v, size_t n);
/* 0: none */
uint16_t peerapi_port(const struct peerapi *a, bool four);
/* Adds our services; the texts are the PeerAPI's. */
void peerapi_fill_hostinfo(const struct peerapi *a, struct tc_hostinfo *ret);

/* ---- for peerapi_dns.c ---- */

/* Questions under way, of all peers. */
struct link *peerapi_asks(struct peerapi *a);
