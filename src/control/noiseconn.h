#pragma once
/*
 * One Noise connection of the control protocol ("ts2021"), either end: bytes of
 * the stream in, plaintext out, and the other way round.
 *
 *	client: hello -> HTTP upgrade with it in a header -> recv, send
 *	server: accept(hello) -> policy on version and machine -> answer -> recv, send
 *
 * Records carry at most NOISECONN_PLAIN bytes; their borders mean nothing. The
 * client passes over the server's early payload (a challenge that nobody
 * answers), so what recv gives is HTTP/2 and nothing else.
 *
 * Pure: no socket, no randomness. Any failure is final: the connection is
 * wiped, and every later call gives ERR_BADSTATE. Partial input is normal; one
 * that waits between records holds no buffer. May be moved as long as nothing was
 * received.
 *
 * Source: tailscale v1.102.5, control/controlbase.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/own.h"
#include "base/span.h"
#include "crypto/keys.h"
#include "crypto/noise.h"

enum {
	NOISECONN_HELLO = 101,
	NOISECONN_ANSWER = 51,
	NOISECONN_FRAME = 4096, /* a whole record, header included */
	NOISECONN_HEADER = 3,
	NOISECONN_PLAIN = NOISECONN_FRAME - NOISECONN_HEADER - 16,
	NOISECONN_EARLY_MAX = 10 << 20, /* an early payload of more is refused */
};

enum noiseconn_state {
	NOISECONN_DEAD,
	NOISECONN_HELLO_SENT, /* client: waits for the answer */
	NOISECONN_ACCEPTED,   /* server: hello was good, not answered yet */
	NOISECONN_OPEN,
};

struct noiseconn {
	enum noiseconn_state state;
	uint16_t version; /* the client's capability version */
	bool client;
	struct machine_pub peer; /* server: who calls */
	char error[128];         /* what the other side said when it refused; a hint only */
	struct noise handshake;  /* private from here */
	uint8_t tx_key[32], rx_key[32];
	uint64_t tx_count, rx_count;
	uint16_t have;    /* bytes of a record that has not come whole */
	uint8_t *frame;   /* those bytes; NULL between records */
	bool early_known; /* client: the first bytes were looked at */
	uint8_t early_head[9];
	size_t early_have;
	size_t early_left; /* bytes of early payload still to pass over */
};

void noiseconn_wipe(struct noiseconn *c);

/* ERR_MALFORMED for a server key of small order. eph is the caller's fresh key. */
NODISCARD int noiseconn_connect(struct noiseconn *c, uint16_t version,
                                const struct machine_priv *machine,
                                const struct machine_pub *server, const struct machine_priv *eph,
                                uint8_t ret_hello[static NOISECONN_HELLO]);

/*
 * c->peer and c->version are who calls. Nothing was sent yet.
 *   ERR_MALFORMED	no initiation
 *   ERR_AUTH		not made for our key
 */
NODISCARD int noiseconn_accept(struct noiseconn *c, const struct machine_priv *server,
                               struct span hello);
NODISCARD int noiseconn_answer(struct noiseconn *c, const struct machine_priv *eph,
                               struct buf *wire);
/* The frame for a hello that noiseconn_accept refused. */
void noiseconn_refuse(struct buf *wire, const char *why);

/*
 * Bytes arrived. Plaintext is added to `plain`, at most as long as the input.
 *   ERR_MALFORMED, ERR_LIMIT, ERR_AUTH
 *   ERR_DENIED		the other side refused: c->error
 *   ERR_BADSTATE	dead, or a server that has not answered
 */
NODISCARD int noiseconn_recv(struct noiseconn *c, struct span wire, struct buf *plain);
/* ERR_BADSTATE unless open; ERR_LIMIT if `wire` is full or the counter is spent. */
NODISCARD int noiseconn_send(struct noiseconn *c, struct span plain, struct buf *wire);
/* Server, before anything else is sent: the challenge as early payload. */
NODISCARD int noiseconn_send_early(struct noiseconn *c, const struct challenge_pub *challenge,
                                   struct buf *wire);
