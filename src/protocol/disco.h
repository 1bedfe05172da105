#pragma once
/*
 * Disco: how two nodes, and a node and a peer relay, find a path to each other.
 *
 * A datagram is a magic, the sender's disco key in clear, and a NaCl box of one
 * message between the two disco keys. Parsers ignore what follows the part they
 * know; unknown types and versions are for the caller to drop in silence.
 *
 * Pure; nothing allocates.
 * Source: tailscale v1.102.5 disco/disco.go, disco/disco_fuzzer.go.
 */
#include <stdbool.h>

#include "base/ip.h"
#include "base/own.h"
#include "base/rand.h"
#include "base/span.h"
#include "crypto/box.h"
#include "crypto/keys.h"

enum {
	DISCO_MAGIC = 6,
	DISCO_TXID = 12,
	DISCO_ENDPOINT = 18, /* bytes of one endpoint in a list */
	DISCO_CHALLENGE = 32,
	DISCO_HEADER = DISCO_MAGIC + KEY_LEN,         /* what identifies the sender */
	DISCO_OVERHEAD = DISCO_HEADER + BOX_OVERHEAD, /* around a message */
	DISCO_MIN = DISCO_OVERHEAD + 2,
	DISCO_ENDPOINTS_MAX = 64, /* read of one list; the rest is dropped */
	DISCO_MESSAGE_MAX = 2 + 128 + DISCO_ENDPOINTS_MAX * DISCO_ENDPOINT,
	DISCO_PING_MAX = 9000, /* a padded ping that probes a path's size */
};

enum disco_type {
	DISCO_PING = 1,
	DISCO_PONG = 2,
	DISCO_CALL_ME_MAYBE = 3,
	DISCO_BIND = 4, /* to a peer relay */
	DISCO_BIND_CHALLENGE = 5,
	DISCO_BIND_ANSWER = 6,
	DISCO_CALL_ME_MAYBE_VIA = 7,
	DISCO_ALLOCATE = 8, /* an endpoint on a peer relay */
	DISCO_ALLOCATED = 9,
};

struct disco_txid {
	uint8_t b[DISCO_TXID];
};

/* Of BIND, BIND_CHALLENGE and BIND_ANSWER. */
struct disco_bind {
	uint32_t vni, generation; /* generation is not 0 */
	struct disco_pub remote;  /* the other client of the pair */
	uint8_t challenge[DISCO_CHALLENGE];
};

/* An endpoint on a peer relay. */
struct disco_relay_endpoint {
	struct disco_pub server; /* all zero: the message was of an unknown version */
	struct disco_pub clients[2];
	uint64_t lamport_id;
	uint32_t vni;
	int64_t bind_us, steady_us; /* lifetimes */
	size_t n_addrs;
	struct addr addrs[DISCO_ENDPOINTS_MAX];
};

struct disco_msg {
	enum disco_type type;
	struct disco_txid txid; /* PING, PONG */
	struct node_pub node;   /* PING: the sender's node key, zero if it sent none */
	size_t padding;         /* PING: zero bytes after it, both ways */
	struct addr source;     /* PONG: where the ping came from */
	size_t n_endpoints;     /* CALL_ME_MAYBE */
	struct addr endpoints[DISCO_ENDPOINTS_MAX];
	struct disco_bind bind;
	struct disco_pub clients[2];       /* ALLOCATE */
	uint32_t generation;               /* ALLOCATE, ALLOCATED */
	struct disco_relay_endpoint relay; /* CALL_ME_MAYBE_VIA, ALLOCATED */
};

/* Could it be disco? The sender it names, unproved. Never true for a WireGuard message. */
bool disco_sender(struct span datagram, struct disco_pub *ret);

/*
 * Opens a datagram with the key shared with its sender.
 *   ERR_SHORT	no room for a message
 *   ERR_AUTH	not sealed for us by that key
 *   ERR_VERSION	an unknown type
 *   ERR_MALFORMED	too short for its type, or larger than anybody sends
 */
NODISCARD int disco_open(struct span datagram, const struct box_shared *key, struct disco_msg *ret);
/* The message alone, type first; the same errors but ERR_AUTH. */
NODISCARD int disco_read(struct span plain, struct disco_msg *ret);

/*
 * Seals a message into dst.  ERR_LIMIT if it does not fit. PING's padding is
 * what stands in `padding`.
 */
NODISCARD int disco_seal(uint8_t *dst, size_t cap, const struct disco_msg *m,
                         const struct disco_pub *self, const struct box_shared *key,
                         struct rand_src *rand, size_t *ret_n);
/* The message alone. */
NODISCARD int disco_write(uint8_t *dst, size_t cap, const struct disco_msg *m, size_t *ret_n);

/*
 * The padding that makes a PING (with its node key) a UDP payload of this size;
 * 0 if it is too small for one.
 */
size_t disco_padding_for(size_t datagram);

static inline bool disco_txid_eq(const struct disco_txid *a, const struct disco_txid *b)
{
	return memcmp(a->b, b->b, DISCO_TXID) == 0;
}

/* For logs: "ping", "call-me-maybe". */
const char *disco_type_text(enum disco_type type);
