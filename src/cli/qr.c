#include "cli/qr.h"

#include <stdlib.h>
#include <string.h>

#include "base/enc.h"
#include "base/err.h"
#include "base/wire.h"

enum { QUIET = 2, SIDE_MAX = 177, PNG_ROW_MAX = 8192 };

struct code {
	unsigned side; /* modules, without the quiet zone */
	uint8_t dark[SIDE_MAX][SIDE_MAX];
};

#if HAVE_QRENCODE
#include <qrencode.h>

static int encode(const char *text, struct code *ret)
{
	QRcode *q = QRcode_encodeString8bit(text, 0, QR_ECLEVEL_L);

	if (!q)
		return ERR_LIMIT;
	ret->side = (unsigned)q->width;
	for (unsigned y = 0; y < ret->side; y++)
		for (unsigned x = 0; x < ret->side; x++)
			ret->dark[y][x] = q->data[y * ret->side + x] & 1;
	QRcode_free(q);
	return 0;
}
#else
static int encode(const char *text, struct code *ret)
{
	(void)text;
	(void)ret;
	return ERR_UNKNOWN;
}
#endif

/* Around the code it is light. */
static bool is_dark(const struct code *c, int y, int x)
{
	return y >= 0 && x >= 0 && y < (int)c->side && x < (int)c->side && c->dark[y][x];
}

int qr_format_parse(const char *text, enum qr_format *ret)
{
	static const struct {
		const char *name;
		enum qr_format format;
	} names[] = {
		{ "auto", QR_SMALL },
		{ "small", QR_SMALL },
		{ "large", QR_LARGE },
		{ "ascii", QR_ASCII },
	};

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (strcmp(text, names[i].name) == 0) {
			*ret = names[i].format;
			return 0;
		}
	return ERR_UNKNOWN;
}

/* Light is what is lit, as terminals are dark. */
static void print_small(FILE *to, const struct code *c)
{
	static const char *const half[2][2] = { { "\u2588", "\u2580" }, { "\u2584", " " } };
	int side = (int)c->side + QUIET;

	for (int y = -QUIET; y < side; y += 2) {
		for (int x = -QUIET; x < side; x++)
			(void)fputs(half[is_dark(c, y, x)][is_dark(c, y + 1, x)], to);
		(void)fputc('\n', to);
	}
}

static void print_wide(FILE *to, const struct code *c, const char *light, const char *dark)
{
	int side = (int)c->side + QUIET;

	for (int y = -QUIET; y < side; y++) {
		for (int x = -QUIET; x < side; x++)
			(void)fputs(is_dark(c, y, x) ? dark : light, to);
		(void)fputc('\n', to);
	}
}

void qr_print(FILE *to, const char *text, enum qr_format format)
{
	struct code c = { 0 };

	if (encode(text, &c) < 0)
		return;
	if (format == QR_SMALL)
		print_small(to, &c);
	else if (format == QR_LARGE)
		print_wide(to, &c, "\033[47m  \033[0m", "\033[40m  \033[0m");
	else
		print_wide(to, &c, "##", "  ");
}

/* ---- PNG, without compression ---- */

static uint32_t crc32_of(struct span s)
{
	uint32_t crc = ~0U;

	for (size_t i = 0; i < s.n; i++) {
		crc ^= s.p[i];
		for (unsigned k = 0; k < 8; k++)
			crc = crc >> 1 ^ (crc & 1 ? 0xedb88320U : 0);
	}
	return ~crc;
}

static void add_be32(struct buf *out, uint32_t v)
{
	uint8_t at[4];

	put_be32(at, v);
	buf_add(out, at, sizeof(at));
}

static void add_chunk(struct buf *out, const char *name, struct span body)
{
	AUTO_DONE(buf) struct buf summed = { 0 };

	buf_add_str(&summed, name);
	buf_add_span(&summed, body);
	add_be32(out, (uint32_t)body.n);
	buf_add_span(out, buf_span(&summed));
	add_be32(out, crc32_of(buf_span(&summed)));
}

static uint32_t adler32_of(struct span s)
{
	uint32_t a = 1, b = 0;

	for (size_t i = 0; i < s.n; i++) {
		a = (a + s.p[i]) % 65521;
		b = (b + a) % 65521;
	}
	return b << 16 | a;
}

/* A zlib stream of stored blocks. */
static void add_stored(struct buf *out, struct span raw)
{
	uint32_t sum = adler32_of(raw);

	buf_add(out, "\x78\x01", 2);
	do {
		size_t n = raw.n < 65535 ? raw.n : 65535;
		uint8_t head[5] = { raw.n == n };

		put_le16(head + 1, (uint16_t)n);
		put_le16(head + 3, (uint16_t)~n);
		buf_add(out, head, sizeof(head));
		buf_add_span(out, span_first(raw, n));
		raw = span_from(raw, n);
	} while (raw.n);
	add_be32(out, sum);
}

/* One byte a pixel, each row after a byte that says "as it is". */
static void add_pixels(struct buf *raw, const struct code *c, unsigned scale)
{
	unsigned side = (c->side + 2 * QUIET) * scale;

	for (unsigned y = 0; y < side; y++) {
		buf_add_u8(raw, 0);
		for (unsigned x = 0; x < side; x++)
			buf_add_u8(raw,
			           is_dark(c, (int)(y / scale) - QUIET, (int)(x / scale) - QUIET)
			                   ? 0
			                   : 255);
	}
}

int qr_png(const char *text, unsigned pixels, struct buf *out)
{
	AUTO_DONE(buf) struct buf raw = { 0 }, packed = { 0 }, head = { 0 };
	struct code c = { 0 };
	unsigned scale, side;
	int r = encode(text, &c);

	if (r < 0)
		return r;
	scale = pixels / (c.side + 2 * QUIET);
	scale = scale ? scale : 1;
	side = (c.side + 2 * QUIET) * scale;
	if (side > PNG_ROW_MAX)
		return ERR_LIMIT;
	add_be32(&head, side);
	add_be32(&head, side);
	buf_add(&head, "\x08\x00\x00\x00\x00", 5); /* grey, 8 bits */
	add_pixels(&raw, &c, scale);
	add_stored(&packed, buf_span(&raw));
	buf_add(out, "\x89PNG\r\n\x1a\n", 8);
	add_chunk(out, "IHDR", buf_span(&head));
	add_chunk(out, "IDAT", buf_span(&packed));
	add_chunk(out, "IEND", span(NULL, 0));
	return 0;
}
