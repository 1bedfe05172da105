#include "coordinator/piece.h"

#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"

/* Level 1: a few times faster than the network, and maps are repetitive text. */
enum { LEVEL = 1 };

struct piece_coder {
	ZSTD_CCtx *ctx;
	struct buf scratch;
};

struct piece *piece_ref(struct piece *p)
{
	p->refs++;
	return p;
}

void piece_unref(struct piece *p)
{
	if (p && --p->refs == 0)
		free(p);
}

struct piece_coder *piece_coder_new(void)
{
	struct piece_coder *c = mem_new(struct piece_coder);

	c->ctx = ZSTD_createCCtx();
	if (!c->ctx) {
		log_error("out of memory");
		abort();
	}
	return c;
}

void piece_coder_free(struct piece_coder *c)
{
	if (!c)
		return;
	ZSTD_freeCCtx(c->ctx);
	buf_done(&c->scratch);
	free(c);
}

static struct piece *piece_of(struct span bytes)
{
	struct piece *p = mem_alloc(sizeof(*p) + bytes.n);

	p->refs = 1;
	p->n = bytes.n;
	if (bytes.n)
		memcpy(p->bytes, bytes.p, bytes.n);
	return p;
}

struct piece *piece_encode(struct piece_coder *c, enum piece_form form, struct span json)
{
	if (form == PIECE_PLAIN)
		return piece_of(json);

	size_t room = ZSTD_compressBound(json.n);

	buf_clear(&c->scratch);
	c->scratch.max = SIZE_MAX / 2;

	uint8_t *dst = buf_room(&c->scratch, room);
	size_t n = ZSTD_compressCCtx(c->ctx, dst, room, json.p, json.n, LEVEL);

	if (ZSTD_isError(n)) {
		/* With room for the worst case only a lack of memory is left. */
		log_error("zstd: %s", ZSTD_getErrorName(n));
		abort();
	}
	return piece_of(span(dst, n));
}

void mapmsg_done(struct mapmsg *m)
{
	for (size_t i = 0; i < m->pieces.n; i++)
		piece_unref(m->pieces.v[i]);
	vec_done(&m->pieces);
	m->n = 0;
}

void mapmsg_add(struct mapmsg *m, struct piece *taken)
{
	vec_push(&m->pieces, taken);
	m->n += taken->n;
}
