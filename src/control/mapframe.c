#include "control/mapframe.h"

#include <zstd.h>

#include "base/err.h"
#include "base/wire.h"

/* A body is taken in pieces, so that a length alone takes no memory. */
enum { HEAD = 4, TEXT_STEP = 64 << 10 };

static void dctx_free(ZSTD_DCtx *z)
{
	ZSTD_freeDCtx(z);
}
DEFINE_AUTO(dctx_free, ZSTD_DCtx *)

void mapframe_rd_done(struct mapframe_rd *m)
{
	buf_done(&m->body);
	buf_done(&m->text);
	*m = (struct mapframe_rd){ .zstd = m->zstd };
}

/* The frame says how long its text is. */
static int inflate_known(ZSTD_DCtx *z, struct span in, size_t n, struct buf *out)
{
	uint8_t *at = buf_room(out, n ? n : 1);
	size_t got = at ? ZSTD_decompressDCtx(z, at, n, in.p, in.n) : 0;

	if (!at)
		return ERR_LIMIT;
	if (ZSTD_isError(got) || got != n)
		return ERR_MALFORMED;
	out->n += got;
	return 0;
}

static int inflate_unknown(ZSTD_DCtx *z, struct span in, struct buf *out)
{
	ZSTD_inBuffer src = { in.p, in.n, 0 };
	size_t more = 1;

	if (ZSTD_isError(ZSTD_DCtx_setParameter(z, ZSTD_d_windowLogMax, MAPFRAME_WINDOW_LOG)))
		return ERR_LIMIT;
	while (more) {
		ZSTD_outBuffer dst = { buf_room(out, TEXT_STEP), TEXT_STEP, 0 };

		if (!dst.dst || out->n > MAPFRAME_TEXT_MAX)
			return ERR_LIMIT;
		more = ZSTD_decompressStream(z, &dst, &src);
		if (ZSTD_isError(more))
			return ERR_MALFORMED;
		out->n += dst.pos;
		if (more && src.pos == src.size && dst.pos < dst.size)
			return ERR_SHORT;
	}
	return src.pos == src.size ? 0 : ERR_TRAILING;
}

static int inflate_frame(ZSTD_DCtx *z, struct span in, struct buf *out)
{
	unsigned long long n = ZSTD_getFrameContentSize(in.p, in.n);

	if (n == ZSTD_CONTENTSIZE_ERROR)
		return ERR_MALFORMED;
	if (n == ZSTD_CONTENTSIZE_UNKNOWN)
		return inflate_unknown(z, in, out);
	if (n > MAPFRAME_TEXT_MAX - out->n)
		return ERR_LIMIT;
	return inflate_known(z, in, (size_t)n, out);
}

/* One frame or several in a row, whose texts are one text. */
static int inflate_text(struct span in, struct buf *out)
{
	AUTO(dctx_free) ZSTD_DCtx *z = ZSTD_createDCtx();
	int r = 0;

	if (!z)
		return ERR_MALFORMED;
	buf_clear(out);
	out->max = MAPFRAME_TEXT_MAX + TEXT_STEP;
	do {
		size_t n = ZSTD_findFrameCompressedSize(in.p, in.n);

		if (ZSTD_isError(n))
			return ERR_MALFORMED;
		r = inflate_frame(z, span_first(in, n), out);
		in = span_from(in, n);
	} while (r >= 0 && in.n);
	return r;
}

static int take_head(struct mapframe_rd *m, struct span *in)
{
	size_t n = HEAD - m->have < in->n ? HEAD - m->have : in->n;

	memcpy(m->head + m->have, in->p, n);
	m->have += n;
	*in = span_from(*in, n);
	if (m->have < HEAD)
		return 0;
	m->left = le32_at(m->head);
	m->body.max = MAPFRAME_MAX;
	buf_clear(&m->body);
	if (m->left == 0)
		return ERR_MALFORMED;
	return m->left > MAPFRAME_MAX ? ERR_LIMIT : 0;
}

static int finish(struct mapframe_rd *m, struct span *ret)
{
	int r;

	m->have = 0;
	if (!m->zstd) {
		*ret = buf_span(&m->body);
		return 1;
	}
	r = inflate_text(buf_span(&m->body), &m->text);
	if (r < 0)
		return r;
	buf_done(&m->body);
	*ret = buf_span(&m->text);
	return 1;
}

int mapframe_read(struct mapframe_rd *m, struct span *in, struct span *ret_json)
{
	if (in->n && m->have < HEAD) {
		int r = take_head(m, in);
		if (r < 0)
			return r;
	}
	if (in->n == 0)
		return 0;

	struct span part = span_first(*in, m->left);

	buf_add_span(&m->body, part);
	m->left -= part.n;
	*in = span_from(*in, part.n);
	if (buf_ok(&m->body) < 0)
		return ERR_LIMIT;
	return m->left ? 0 : finish(m, ret_json);
}

int mapframe_write(struct buf *out, struct span json, bool zstd, int level)
{
	size_t room = zstd ? ZSTD_compressBound(json.n) : json.n;
	uint8_t *at = room <= MAPFRAME_MAX ? buf_room(out, HEAD + room) : NULL;
	size_t n = json.n;

	if (!at)
		return ERR_LIMIT;
	if (zstd)
		n = ZSTD_compress(at + HEAD, room, json.p, json.n, level);
	else
		memcpy(at + HEAD, json.p, json.n);
	if (zstd && ZSTD_isError(n))
		return ERR_LIMIT;
	put_le32(at, (uint32_t)n);
	out->n += HEAD + n;
	return 0;
}

int mapframe_write_keepalive(struct buf *out, bool zstd)
{
	/* zstd with one raw block: magic, single segment of 18 bytes, last block. */
	static const uint8_t head[] = { 0x28, 0xb5, 0x2f, 0xfd, 0x20, 0x12, 0x91, 0x00, 0x00 };
	static const char text[] = "{\"KeepAlive\":true}";
	uint8_t size[HEAD];

	put_le32(size, (uint32_t)(sizeof(text) - 1 + (zstd ? sizeof(head) : 0)));
	buf_add(out, size, HEAD);
	if (zstd)
		buf_add(out, head, sizeof(head));
	buf_add_str(out, text);
	return buf_ok(out);
}
