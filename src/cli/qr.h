#pragma once
/* A link as a QR code: for a camera in front of the terminal, or for a page. */
#include <stdio.h>

#include "base/buf.h"

enum qr_format {
	QR_SMALL, /* two rows a line, by half blocks: needs UTF-8 */
	QR_LARGE, /* two spaces a module, by colours */
	QR_ASCII,
};

/* "auto", "small", "large", "ascii". ERR_UNKNOWN */
NODISCARD int qr_format_parse(const char *text, enum qr_format *ret);
/* Nothing, if the text does not fit a code or this build has none. */
void qr_print(FILE *to, const char *text, enum qr_format format);
/* A PNG file of about that many pixels a side. ERR_LIMIT, ERR_UNKNOWN (not in this build) */
NODISCARD int qr_png(const char *text, unsigned pixels, struct buf *out);
