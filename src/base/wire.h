#pragma once
/*
 * Bounds-checked reading and writing of bytes from and for outside.
 *
 * A reader remembers its first failure. After that every read gives zero or
 * NULL and moves nothing, so a parser reads a whole message straight through
 * and asks once, at the end. A writer that ran out of room is bad and says so
 * in wr_end. Nothing here allocates; views point into the input and live as
 * long as it does.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/err.h"
#include "base/own.h"
#include "base/span.h"

struct rd {
	const uint8_t *p, *end;
	bool bad;
};

static inline struct rd rd_of(const void *bytes, size_t n)
{
	const uint8_t *p = bytes;

	return (struct rd){ .p = p, .end = n ? p + n : p };
}

static inline struct rd rd_span(struct span s)
{
	return rd_of(s.p, s.n);
}

static inline size_t rd_left(const struct rd *r)
{
	return r->bad ? 0 : (size_t)(r->end - r->p);
}

/* The next n bytes, in place; NULL if there are fewer. */
static inline const uint8_t *rd_view(struct rd *r, size_t n)
{
	const uint8_t *at = r->p;

	if (r->bad || n > (size_t)(r->end - r->p)) {
		r->bad = true;
		return NULL;
	}
	if (n)
		r->p += n;
	return at;
}

static inline uint16_t be16_at(const uint8_t *b)
{
	return (uint16_t)(b[0] << 8 | b[1]);
}

static inline uint32_t be32_at(const uint8_t *b)
{
	return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

static inline uint64_t be64_at(const uint8_t *b)
{
	return (uint64_t)be32_at(b) << 32 | be32_at(b + 4);
}

static inline uint16_t le16_at(const uint8_t *b)
{
	return (uint16_t)(b[1] << 8 | b[0]);
}

static inline uint32_t le32_at(const uint8_t *b)
{
	return (uint32_t)b[3] << 24 | (uint32_t)b[2] << 16 | (uint32_t)b[1] << 8 | b[0];
}

static inline uint64_t le64_at(const uint8_t *b)
{
	return (uint64_t)le32_at(b + 4) << 32 | le32_at(b);
}

static inline void put_be16(uint8_t *b, uint16_t v)
{
	b[0] = (uint8_t)(v >> 8);
	b[1] = (uint8_t)v;
}

static inline void put_be32(uint8_t *b, uint32_t v)
{
	put_be16(b, (uint16_t)(v >> 16));
	put_be16(b + 2, (uint16_t)v);
}

static inline void put_be64(uint8_t *b, uint64_t v)
{
	put_be32(b, (uint32_t)(v >> 32));
	put_be32(b + 4, (uint32_t)v);
}

static inline void put_le16(uint8_t *b, uint16_t v)
{
	b[0] = (uint8_t)v;
	b[1] = (uint8_t)(v >> 8);
}

static inline void put_le32(uint8_t *b, uint32_t v)
{
	put_le16(b, (uint16_t)v);
	put_le16(b + 2, (uint16_t)(v >> 16));
}

static inline void put_le64(uint8_t *b, uint64_t v)
{
	put_le32(b, (uint32_t)v);
	put_le32(b + 4, (uint32_t)(v >> 32));
}

static inline uint8_t rd_u8(struct rd *r)
{
	const uint8_t *b = rd_view(r, 1);

	return b ? b[0] : 0;
}

#define RD_DEFINE(bits, order)                                      \
	static inline uint##bits##_t rd_##order##bits(struct rd *r) \
	{                                                           \
		const uint8_t *b = rd_view(r, bits / 8);            \
                                                                    \
		return b ? order##bits##_at(b) : 0;                 \
	}
RD_DEFINE(16, be)
RD_DEFINE(32, be)
RD_DEFINE(64, be)
RD_DEFINE(16, le)
RD_DEFINE(32, le)
RD_DEFINE(64, le)
#undef RD_DEFINE

/* Exactly n bytes into dst, or n zeros and a failed reader. */
static inline void rd_copy(struct rd *r, void *dst, size_t n)
{
	const uint8_t *b = rd_view(r, n);

	if (b)
		memcpy(dst, b, n);
	else
		memset(dst, 0, n);
}

/* A reader over the next n bytes alone. A bad child does not spoil its parent. */
static inline struct rd rd_sub(struct rd *r, size_t n)
{
	const uint8_t *b = rd_view(r, n);

	return b ? rd_of(b, n) : (struct rd){ .bad = true };
}

/* All that is left, as a view; the reader is at its end after. */
static inline struct span rd_rest(struct rd *r)
{
	size_t n = rd_left(r);

	return span(rd_view(r, n), n);
}

/* For formats with nothing after the last field. */
NODISCARD static inline int rd_end(const struct rd *r)
{
	if (r->bad)
		return ERR_SHORT;
	return r->p == r->end ? 0 : ERR_TRAILING;
}

/* For formats that allow newer peers to append fields. */
NODISCARD static inline int rd_ok(const struct rd *r)
{
	return r->bad ? ERR_SHORT : 0;
}

struct wr {
	uint8_t *start, *p, *end;
	bool bad;
};

static inline struct wr wr_of(void *bytes, size_t n)
{
	uint8_t *p = bytes;

	return (struct wr){ .start = p, .p = p, .end = n ? p + n : p };
}

/* The next n bytes, to be filled by the caller; NULL if there is no room. */
static inline uint8_t *wr_view(struct wr *w, size_t n)
{
	uint8_t *at = w->p;

	if (w->bad || n > (size_t)(w->end - w->p)) {
		w->bad = true;
		return NULL;
	}
	if (n)
		w->p += n;
	return at;
}

static inline size_t wr_len(const struct wr *w)
{
	return (size_t)(w->p - w->start);
}

static inline void wr_u8(struct wr *w, uint8_t v)
{
	uint8_t *b = wr_view(w, 1);

	if (b)
		*b = v;
}

#define WR_DEFINE(bits, order)                                              \
	static inline void wr_##order##bits(struct wr *w, uint##bits##_t v) \
	{                                                                   \
		uint8_t *b = wr_view(w, bits / 8);                          \
                                                                            \
		if (b)                                                      \
			put_##order##bits(b, v);                            \
	}
WR_DEFINE(16, be)
WR_DEFINE(32, be)
WR_DEFINE(64, be)
WR_DEFINE(16, le)
WR_DEFINE(32, le)
WR_DEFINE(64, le)
#undef WR_DEFINE

static inline void wr_bytes(struct wr *w, const void *src, size_t n)
{
	uint8_t *b = wr_view(w, n);

	if (b && n)
		memcpy(b, src, n);
}

static inline void wr_zero(struct wr *w, size_t n)
{
	uint8_t *b = wr_view(w, n);

	if (b)
		memset(b, 0, n);
}

/* The number of bytes written, or ERR_LIMIT if they did not all fit. */
NODISCARD static inline int wr_end(const struct wr *w, size_t *ret_n)
{
	if (w->bad)
		return ERR_LIMIT;
	*ret_n = wr_len(w);
	return 0;
}
