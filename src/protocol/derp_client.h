#pragma once
/*
 * The client's end of one DERP connection, from the first byte after the HTTP
 * upgrade on. Bytes of the stream go in; events come out, one a call. What is
 * to be sent gathers in `out`, which the owner writes to the stream and clears.
 *
 *	derp_client_init(&c, &cfg, rand);
 *	while ((r = derp_client_recv(&c, &in, &event)) > 0) ...
 *
 * Fast start: a client that learnt the relay's key from its certificate sends
 * its login along with the HTTP request; the SERVER_KEY that comes anyway is
 * then passed over.
 *
 * Pings are answered here. Silence is the owner's to time: DERP_SILENCE_S.
 * Pure. Not for threads to share.
 */
#include "protocol/derp.h"

struct derp_client_cfg {
	struct node_priv key;
	struct node_pub server; /* zero: not known yet; set: fast start */
	struct derp_client_info info;
};

static inline void derp_client_cfg_wipe(struct derp_client_cfg *c)
{
	explicit_bzero(c, sizeof(*c));
}

enum derp_event_kind {
	DERP_EVENT_READY, /* SERVER_INFO came: the relay lets us in */
	DERP_EVENT_PACKET,
	DERP_EVENT_KEEP_ALIVE,
	DERP_EVENT_GONE,
	DERP_EVENT_PRESENT,
	DERP_EVENT_PONG,
	DERP_EVENT_HEALTH, /* text for the user; empty: well again */
	DERP_EVENT_RESTARTING,
};

struct derp_event {
	enum derp_event_kind kind;
	struct node_pub peer;          /* PACKET: from whom; GONE */
	struct span data;              /* PACKET, HEALTH: until the next call */
	uint8_t reason;                /* GONE: enum derp_gone */
	struct derp_present present;   /* PRESENT */
	struct derp_server_info info;  /* READY */
	uint8_t pong[DERP_PING_LEN];   /* PONG */
	uint32_t reconnect_ms, try_ms; /* RESTARTING */
};

struct derp_client {
	struct buf out;         /* the owner takes */
	struct node_pub server; /* zero until known */
	bool ready;
	struct derp_reader in; /* private */
	struct box_shared shared;
	struct derp_client_cfg cfg;
	struct rand_src *rand;
	bool sent_info;
};

/* cfg is copied, the copy wiped in the end. rand must live on. */
NODISCARD int derp_client_init(struct derp_client *c, const struct derp_client_cfg *cfg,
                               struct rand_src *rand);
void derp_client_done(struct derp_client *c);

/*
 * Takes from the front of *in.
 *   1			an event
 *   0			more bytes are needed
 *   ERR_MALFORMED, ERR_AUTH, ERR_LIMIT	not a relay we can talk to: give the connection up
 */
NODISCARD int derp_client_recv(struct derp_client *c, struct span *in, struct derp_event *ret);
