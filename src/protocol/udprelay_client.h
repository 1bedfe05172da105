#pragma once
/*
 * A node's half of a peer relay: asking one for an endpoint, and binding our leg
 * of it. Both are small cores for one peer and one relay; the messages over DERP
 * and the pings through the relay are the caller's, as it has them anyway.
 *
 *	udprelay_ask	ALLOCATE, once more after 3 s, given up after 10 s
 *	udprelay_bind	BIND to every address of the relay, ANSWER to the first
 *			challenge; then PROBE: ping the peer through this address. A
 *			pong there proves the path, and the caller is done.
 *
 * The peer does the same with the endpoint that CALL_ME_MAYBE_VIA tells it, so
 * the first ping may find its leg not bound yet: a relayed ping of the peer asks
 * for another of ours, ten in all.
 *
 * Pure. Source: tailscale v1.102.5 wgengine/magicsock/relaymanager.go.
 */
#include <stdbool.h>

#include "base/own.h"
#include "base/rand.h"
#include "base/time.h"
#include "protocol/disco.h"

enum {
	UDPRELAY_ASK_AGAIN_S = 3,
	UDPRELAY_ASK_S = 10,
	UDPRELAY_HANDSHAKE_S = 30,
	UDPRELAY_PINGS_MAX = 10,
	UDPRELAY_BIND_LEN = 8 + 152, /* with its Geneve header */
};

/* ---- asking -------------------------------------------------------------- */

enum udprelay_ask_act {
	UDPRELAY_ASK_WAIT, /* nothing now */
	UDPRELAY_ASK_SEND, /* `msg` to the relay's node, over DERP */
	UDPRELAY_ASK_OVER, /* no answer in time; told once */
};

struct udprelay_ask {
	struct disco_pub clients[2]; /* private, like all */
	uint32_t generation;
	mono asked, again;
	bool over;
};

/* generation is not 0 and not used before by this node. */
void udprelay_ask_init(struct udprelay_ask *q, mono now, const struct disco_pub *self,
                       const struct disco_pub *peer, uint32_t generation);
enum udprelay_ask_act udprelay_ask_next(struct udprelay_ask *q, mono now, struct disco_msg *msg);
mono udprelay_ask_deadline(const struct udprelay_ask *q);
/* Is this message of the relay the answer, and is it one that can be used? It ends the asking. */
bool udprelay_ask_answered(struct udprelay_ask *q, const struct disco_msg *msg);

/* May we use an endpoint that somebody tells us of, for this pair? */
bool udprelay_endpoint_ok(const struct disco_relay_endpoint *ep, const struct disco_pub *self,
                          const struct disco_pub *peer);

/* ---- binding ------------------------------------------------------------- */

enum udprelay_bind_act {
	UDPRELAY_BIND_SEND,  /* `bytes` by UDP to `to` */
	UDPRELAY_BIND_PROBE, /* a ping to the peer through `to` and the endpoint's VNI */
	UDPRELAY_BIND_OVER,  /* not proved in time; told once */
};

struct udprelay_bind_out {
	enum udprelay_bind_act act;
	struct addr to;
	struct span bytes; /* good until the next call */
};

struct udprelay_bind {
	struct disco_pub self, peer; /* private, like all */
	struct disco_relay_endpoint ep;
	struct box_shared shared;
	struct rand_src rand;
	uint32_t generation;
	mono deadline;
	size_t asked;   /* addresses that BIND was sent to */
	struct addr by; /* whose challenge we answered; port 0: none yet */
	struct disco_bind answer;
	bool answer_due, over;
	unsigned probes_due, probes;
	uint8_t packet[UDPRELAY_BIND_LEN];
};

static inline void udprelay_bind_wipe(struct udprelay_bind *b)
{
	explicit_bzero(b, sizeof(*b));
}

/* ERR_MALFORMED: the relay's key gives no secret; rand is copied. */
NODISCARD int udprelay_bind_init(struct udprelay_bind *b, mono now, const struct disco_priv *priv,
                                 const struct disco_pub *peer,
                                 const struct disco_relay_endpoint *ep, uint32_t generation,
                                 const struct rand_src *rand);
/* A control datagram with the endpoint's VNI, Geneve header and all. False: not for this. */
bool udprelay_bind_recv(struct udprelay_bind *b, const struct addr *from, struct span datagram);
/* The peer's ping came through the endpoint. */
void udprelay_bind_heard_ping(struct udprelay_bind *b);
/* To be drained after every call, and at the deadline. */
bool udprelay_bind_next(struct udprelay_bind *b, mono now, struct udprelay_bind_out *ret);

static inline mono udprelay_bind_deadline(const struct udprelay_bind *b)
{
	return b->over ? MONO_NEVER : b->deadline;
}
