#pragma once
/*
 * Pieces of map responses, encoded once and shared by all who get them.
 *
 * A map response is one piece or several in a row. Plain, they are stretches of
 * one JSON text; with zstd each is a frame of its own, and a row of frames
 * decodes to the joined text (tailscale v1.102.5 util/zstdframe: "zero or more
 * frames"). So a peer list is compressed once and sent to thousands.
 */
#include <stddef.h>
#include <stdint.h>

#include "base/own.h"
#include "base/span.h"
#include "base/vec.h"

enum piece_form { PIECE_PLAIN, PIECE_ZSTD, PIECE_FORMS };

struct piece {
	unsigned refs;
	size_t n;
	uint8_t bytes[];
};

struct piece *piece_ref(struct piece *p);
void piece_unref(struct piece *p);

struct piece_coder;
struct piece_coder *piece_coder_new(void);
void piece_coder_free(struct piece_coder *c);
struct piece *piece_encode(struct piece_coder *c, enum piece_form form, struct span json);

/* One map response. */
struct mapmsg {
	VEC(struct piece *) pieces;
	size_t n; /* bytes in all */
};

void mapmsg_done(struct mapmsg *m);
/* Takes the reference. */
void mapmsg_add(struct mapmsg *m, struct piece *taken);
