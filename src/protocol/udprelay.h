#pragma once
/*
 * A peer relay: a node with a good address carries datagrams between two others
 * that cannot reach each other. It sees Geneve headers and sealed bytes only.
 *
 *	udprelay_allocate	a node asks (over DERP) for an endpoint for a pair
 *	udprelay_recv		a datagram on the relay's own socket: what to do with it
 *	udprelay_timeout	at udprelay_deadline() or later
 *
 * A pair of disco keys has one endpoint, known by its VNI. Each of the two binds
 * its leg: BIND, CHALLENGE (a MAC over the address it came from), ANSWER from
 * the same address. Once both are bound, what comes from one bound address goes
 * unchanged to the other. A leg that answers anew from elsewhere has moved.
 *
 * Strangers. An unknown VNI or disco key costs a table look-up; a datagram never
 * makes the relay send more than came in; endpoints are bounded.
 *
 * Pure: no socket, no clock, no thread inside. Whether an asker is allowed to
 * allocate is the caller's to decide.
 * Source: tailscale v1.102.5 net/udprelay/server.go.
 */
#include "base/ip.h"
#include "base/own.h"
#include "base/rand.h"
#include "base/span.h"
#include "base/time.h"
#include "crypto/keys.h"
#include "protocol/disco.h"

enum {
	UDPRELAY_BIND_S = 30,    /* both legs bound, or the endpoint goes */
	UDPRELAY_STEADY_S = 300, /* silence of either leg that ends it */
	UDPRELAY_SWEEP_S = 30,
	UDPRELAY_SECRET_S = 120,  /* a challenge is good for this long, and at most twice */
	UDPRELAY_MAX = 4096,      /* endpoints at a time */
	UDPRELAY_REPLY_MAX = 256, /* a challenge with its headers */
};

struct udprelay;

/* rand is copied. The disco key is new at every start. */
struct udprelay *udprelay_new(mono now, const struct rand_src *rand);
void udprelay_free(struct udprelay *r);
const struct disco_pub *udprelay_key(const struct udprelay *r);
/* Where clients reach the relay, best first; at most DISCO_ENDPOINTS_MAX are kept. */
void udprelay_addresses(struct udprelay *r, const struct addr *v, size_t n);

/*
 * The endpoint of the pair, a new one if it has none. The order of the pair does
 * not matter.
 *   ERR_DENIED		the asker is not one of the two, or a key cannot be a client's
 *   ERR_BADSTATE	no address is known yet: give no answer, it will ask again
 *   ERR_LIMIT		UDPRELAY_MAX are in use
 */
NODISCARD int udprelay_allocate(struct udprelay *r, mono now, const struct disco_pub *asker,
                                const struct disco_pub clients[static 2],
                                struct disco_relay_endpoint *ret);

/*
 * What a datagram leads to: true if `bytes` go to `to`. They are the datagram
 * itself or an answer, good until the next call.
 */
struct udprelay_out {
	struct addr to;
	struct span bytes;
};
NODISCARD bool udprelay_recv(struct udprelay *r, mono now, const struct addr *from,
                             struct span datagram, struct udprelay_out *ret);

/*
 * The same for datagrams of `seg` bytes end to end, the last perhaps shorter, as
 * sockets join them: true if all of them go to one place. Else nothing was done,
 * and each is to be fed by itself.
 */
NODISCARD bool udprelay_recv_run(struct udprelay *r, mono now, const struct addr *from,
                                 struct span run, size_t seg, struct udprelay_out *ret);

void udprelay_timeout(struct udprelay *r, mono now);
mono udprelay_deadline(const struct udprelay *r); /* MONO_NEVER without endpoints */
size_t udprelay_count(const struct udprelay *r);
/* Of these, with both legs bound. */
size_t udprelay_open(const struct udprelay *r);
/* Datagrams and bytes carried from one client to another. */
void udprelay_carried(const struct udprelay *r, uint64_t *ret_datagrams, uint64_t *ret_bytes);
