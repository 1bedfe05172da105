#pragma once
/*
 * The frames of a map stream: u32 little-endian length, then one JSON text or
 * that text as one zstd frame or several in a row (a server may share parts of
 * a message between clients). Pure, either end.
 *
 * Bounds: a frame is at most MAPFRAME_MAX long, the text in it at most
 * MAPFRAME_TEXT_MAX. A zstd frame that does not say its size may not ask for a
 * window beyond MAPFRAME_WINDOW_LOG.
 *
 * Source: tailscale v1.102.5, control/controlclient/direct.go (decodeMsg).
 */
#include <stdbool.h>

#include "base/buf.h"
#include "base/own.h"
#include "base/span.h"

enum {
	MAPFRAME_MAX = 64 << 20,
	MAPFRAME_TEXT_MAX = 128 << 20,
	MAPFRAME_WINDOW_LOG = 25,
};

/* A zeroed struct, but for `zstd`, is a reader at the start of a stream. */
struct mapframe_rd {
	bool zstd;       /* as the request asked */
	uint8_t head[4]; /* private from here */
	size_t have;
	size_t left;
	struct buf body, text;
};

void mapframe_rd_done(struct mapframe_rd *m);

/*
 * Takes bytes off the front of *in up to the end of a message.
 *   1			*ret_json is it, until the next call
 *   0			*in is used up; more is to come
 *   ERR_LIMIT, ERR_MALFORMED
 */
NODISCARD int mapframe_read(struct mapframe_rd *m, struct span *in, struct span *ret_json);

/* One message. Level as zstd's; ERR_LIMIT if `out` is full. */
NODISCARD int mapframe_write(struct buf *out, struct span json, bool zstd, int level);
/* {"KeepAlive":true}, always the same bytes, so that clients may know it by them. */
NODISCARD int mapframe_write_keepalive(struct buf *out, bool zstd);
