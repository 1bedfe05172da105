#pragma once
/*
 * DERP, the relay protocol: frames and their bodies, for both ends.
 *
 *	type (1) | length (4, big-endian, of what follows) | body
 *
 *	server -> SERVER_KEY	who I am
 *	client -> CLIENT_INFO	who I am, boxed: the proof that I hold the key
 *	server -> SERVER_INFO	boxed: you are in
 *
 * then SEND_PACKET up, RECV_PACKET down, and the control frames of the list.
 * The client's session is protocol/derp_client.h; the relay's is relay/.
 *
 * Readers ignore types they do not know and bodies too short to understand;
 * bytes after the known ones are for newer versions. Pure.
 *
 * Source: behaviour of derper and tailscaled v1.102.5, protocol version 2.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/ip.h"
#include "base/own.h"
#include "base/rand.h"
#include "base/span.h"
#include "base/wire.h"
#include "crypto/box.h"
#include "crypto/keys.h"

#define DERP_TYPE_LIST(X)                         \
	X(SERVER_KEY, 0x01, "server-key")         \
	X(CLIENT_INFO, 0x02, "client-info")       \
	X(SERVER_INFO, 0x03, "server-info")       \
	X(SEND_PACKET, 0x04, "send-packet")       \
	X(RECV_PACKET, 0x05, "recv-packet")       \
	X(KEEP_ALIVE, 0x06, "keep-alive")         \
	X(NOTE_PREFERRED, 0x07, "note-preferred") \
	X(PEER_GONE, 0x08, "peer-gone")           \
	X(PEER_PRESENT, 0x09, "peer-present")     \
	X(FORWARD_PACKET, 0x0a, "forward-packet") \
	X(WATCH_CONNS, 0x10, "watch-conns")       \
	X(CLOSE_PEER, 0x11, "close-peer")         \
	X(PING, 0x12, "ping")                     \
	X(PONG, 0x13, "pong")                     \
	X(HEALTH, 0x14, "health")                 \
	X(RESTARTING, 0x15, "restarting")

enum derp_type {
#define X(name, value, text) DERP_##name = value,
	DERP_TYPE_LIST(X)
#undef X
};

/* For logs and debug pages; "unknown" otherwise. */
const char *derp_type_text(uint8_t type);

enum {
	DERP_VERSION = 2,
	DERP_HEADER = 5,
	DERP_PACKET_MAX = 65536,                          /* payload of one packet */
	DERP_SERVER_FRAME_MAX = DERP_PACKET_MAX + 2 * 32, /* a relay reads no longer body */
	DERP_CLIENT_FRAME_MAX = 1 << 20,                  /* nor does a client */
	DERP_CLIENT_INFO_MIN = KEY_LEN + BOX_NONCE,
	DERP_CLIENT_INFO_MAX = 256 << 10,
	DERP_PING_LEN = 8,
	DERP_PING_BODY_MAX = 1000,
	DERP_MESH_KEY = 32,
	DERP_APP_NAME_MAX = 32,
	DERP_KEEP_ALIVE_S = 60, /* a relay sends one that often, and up to 5 s later */
	DERP_SILENCE_S = 120,   /* a client gives up on a relay that says nothing for so long */
	DERP_LOGIN_S = 10,      /* from the upgrade to CLIENT_INFO */
};

enum derp_gone {
	DERP_GONE_DISCONNECTED = 0, /* somebody who sent you something left the region */
	DERP_GONE_NOT_HERE = 1,     /* you sent disco to a key unknown here */
};

/* Bits of PEER_PRESENT. REGULAR stands alone. */
enum {
	DERP_PRESENT_REGULAR = 1,
	DERP_PRESENT_MESH = 2,
	DERP_PRESENT_PROBER = 4,
	DERP_PRESENT_NOT_IDEAL = 8,
};

/* Header values that clients put into the upgrade request. */
#define DERP_META_CERT_PREFIX "derpkey"

/* Disco in a packet is what must get through when a queue is full: paths depend on it. */
bool derp_looks_disco(struct span packet);

/* --- frames --- */

struct derp_frame {
	uint8_t type;
	struct span body;
};

/*
 * Cuts the next frame off the front of *in, in place.
 *   1			*ret is a frame
 *   0			bytes are missing; *in is unchanged
 *   ERR_LIMIT		its body is longer than max
 */
NODISCARD static inline int derp_cut(struct span *in, size_t max, struct derp_frame *ret)
{
	if (in->n < DERP_HEADER)
		return 0;

	size_t n = be32_at(in->p + 1);

	if (n > max)
		return ERR_LIMIT;
	if (n > in->n - DERP_HEADER)
		return 0;
	*ret = (struct derp_frame){ in->p[0], { in->p + DERP_HEADER, n } };
	*in = (struct span){ in->p + DERP_HEADER + n, in->n - DERP_HEADER - n };
	return 1;
}

static inline void derp_put_header(uint8_t dst[static DERP_HEADER], uint8_t type, size_t body)
{
	dst[0] = type;
	put_be32(dst + 1, (uint32_t)body);
}

/* Frames out of any pieces of a stream: keeps what is incomplete, at most one frame. */
struct derp_reader {
	struct buf held; /* private */
	size_t max;
	size_t given;
};

void derp_reader_init(struct derp_reader *r, size_t max_body);
void derp_reader_done(struct derp_reader *r);
/*
 * Takes from *in what it needs. As derp_cut; the frame is good until the next
 * call, or until the bytes behind *in go away.
 */
NODISCARD int derp_reader_next(struct derp_reader *r, struct span *in, struct derp_frame *ret);

/* --- writing; each appends one whole frame --- */

void derp_put(struct buf *out, enum derp_type type, struct span body);
void derp_put_server_key(struct buf *out, const struct node_pub *server);
/* packet.n <= DERP_PACKET_MAX, or the call does nothing and ERR_LIMIT comes back */
NODISCARD int derp_put_send(struct buf *out, const struct node_pub *dst, struct span packet);
NODISCARD int derp_put_forward(struct buf *out, const struct node_pub *src,
                               const struct node_pub *dst, struct span packet);
NODISCARD int derp_put_recv(struct buf *out, const struct node_pub *src, struct span packet);
void derp_put_note_preferred(struct buf *out, bool home);
void derp_put_gone(struct buf *out, const struct node_pub *peer, enum derp_gone reason);
void derp_put_present(struct buf *out, const struct node_pub *peer, const struct addr *from,
                      uint8_t flags);
void derp_put_close_peer(struct buf *out, const struct node_pub *peer);
void derp_put_restarting(struct buf *out, uint32_t reconnect_ms, uint32_t try_ms);

/* --- login --- */

/* What CLIENT_INFO says inside its box. */
struct derp_client_info {
	bool has_mesh_key;
	bool can_ack_pings;
	bool is_prober;
	int version;
	uint8_t mesh_key[DERP_MESH_KEY]; /* a secret */
	char app_name[DERP_APP_NAME_MAX + 1];
};

static inline void derp_client_info_wipe(struct derp_client_info *i)
{
	explicit_bzero(i, sizeof(*i));
}

void derp_put_client_info(struct buf *out, const struct box_shared *shared,
                          const struct node_pub *client, const struct derp_client_info *info,
                          struct rand_src *rand);
/*
 * The relay's side: opens the box with the relay's private key, which proves
 * that the client holds its own. ret_shared then seals SERVER_INFO.
 *   ERR_SHORT, ERR_LIMIT	outside of what a CLIENT_INFO may be
 *   ERR_AUTH			does not open, or a key of small order
 *   ERR_MALFORMED		not the JSON it should be; app name not printable or too long
 */
NODISCARD int derp_client_info_parse(struct span body, const struct node_priv *server,
                                     struct node_pub *ret_client, struct box_shared *ret_shared,
                                     struct derp_client_info *ret);

/* Bytes a client may send; 0: no limit told. */
struct derp_server_info {
	int version;
	uint64_t bucket_bytes_per_s, bucket_bytes;
};

void derp_put_server_info(struct buf *out, const struct box_shared *shared,
                          const struct derp_server_info *info, struct rand_src *rand);
NODISCARD int derp_server_info_parse(struct span body, const struct box_shared *shared,
                                     struct derp_server_info *ret);
/* ERR_MALFORMED without the magic or a usable key; bytes after the key are ignored. */
NODISCARD int derp_server_key_parse(struct span body, struct node_pub *ret);

/* --- bodies --- */

struct derp_send {
	const struct node_pub *dst; /* in the body */
	struct span packet;
};

struct derp_forward {
	const struct node_pub *src, *dst;
	struct span packet;
};

/* ERR_SHORT; ERR_LIMIT for a payload above DERP_PACKET_MAX */
NODISCARD int derp_send_parse(struct span body, struct derp_send *ret);
NODISCARD int derp_forward_parse(struct span body, struct derp_forward *ret);

struct derp_present {
	struct node_pub peer;
	struct addr from; /* not set by old relays */
	uint8_t flags;
};

NODISCARD int derp_present_parse(struct span body, struct derp_present *ret);
/* A relay that gives no reason means DISCONNECTED. */
NODISCARD int derp_gone_parse(struct span body, struct node_pub *ret_peer, uint8_t *ret_reason);
