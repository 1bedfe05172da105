#pragma once
/*
 * Bytes we own: grows to its maximum, never beyond. A zeroed struct is an empty
 * buffer with the default maximum.
 *
 * A buffer that met its maximum is `full`: later additions do nothing, so text
 * can be built straight down and asked once. buf_take_text gives NULL then.
 */
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/own.h"
#include "base/span.h"

enum { BUF_DEFAULT_MAX = 64 << 20 };

struct buf {
	uint8_t *p;
	size_t n;    /* bytes in use */
	size_t cap;  /* private */
	size_t max;  /* 0: BUF_DEFAULT_MAX */
	bool full;   /* something did not fit */
	bool secret; /* wiped when grown or freed */
};

void buf_done(struct buf *b);  /* and ready for use again, max and secret kept */
void buf_clear(struct buf *b); /* empty, memory kept, full forgotten */

static inline struct span buf_span(const struct buf *b)
{
	return (struct span){ b->p, b->n };
}

/* Room for n more bytes at the end, to be filled and then counted by b->n += k; NULL if full. */
uint8_t *buf_room(struct buf *b, size_t n);
void buf_add(struct buf *b, const void *p, size_t n);
void buf_add_span(struct buf *b, struct span s);
void buf_add_str(struct buf *b, const char *s);
void buf_add_u8(struct buf *b, uint8_t v);
void buf_fmt(struct buf *b, const char *fmt, ...) PRINTF(2, 3);
void buf_vfmt(struct buf *b, const char *fmt, va_list ap) PRINTF(2, 0);
/* Drops n bytes at the front; what follows moves down. */
void buf_drop(struct buf *b, size_t n);
/* The text with a NUL at its end; good until the buffer changes. Never NULL ("" when empty). */
const char *buf_text(struct buf *b);
/* The text, now the caller's to free; NULL if the buffer was full. The buffer is empty after. */
char *buf_take_text(struct buf *b);
/* ERR_LIMIT if anything was cut. */
NODISCARD int buf_ok(const struct buf *b);
