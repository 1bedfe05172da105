#include "base/buf.h"

#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"

void buf_done(struct buf *b)
{
	if (b->secret && b->p)
		explicit_bzero(b->p, b->cap);
	free(b->p);
	*b = (struct buf){ .max = b->max, .secret = b->secret };
}

void buf_clear(struct buf *b)
{
	if (b->secret && b->p)
		explicit_bzero(b->p, b->n);
	b->n = 0;
	b->full = false;
}

static void grow(struct buf *b, size_t cap)
{
	if (!b->secret) {
		b->p = mem_grow(b->p, cap, 1);
	} else {
		uint8_t *p = mem_alloc(cap);

		if (b->n)
			memcpy(p, b->p, b->n);
		if (b->p)
			explicit_bzero(b->p, b->cap);
		free(b->p);
		b->p = p;
	}
	b->cap = cap;
}

uint8_t *buf_room(struct buf *b, size_t n)
{
	size_t max = b->max ? b->max : BUF_DEFAULT_MAX;

	if (b->full || n > max || b->n > max - n) {
		b->full = true;
		return NULL;
	}
	if (b->cap - b->n < n || !b->p) {
		size_t cap = b->cap ? b->cap : 64;

		while (cap < b->n + n)
			cap *= 2;
		grow(b, cap);
	}
	return b->p + b->n;
}

void buf_add(struct buf *b, const void *p, size_t n)
{
	uint8_t *at = buf_room(b, n);

	if (!at || n == 0)
		return;
	memcpy(at, p, n);
	b->n += n;
}

void buf_add_span(struct buf *b, struct span s)
{
	buf_add(b, s.p, s.n);
}

void buf_add_str(struct buf *b, const char *s)
{
	buf_add(b, s, strlen(s));
}

void buf_add_u8(struct buf *b, uint8_t v)
{
	buf_add(b, &v, 1);
}

void buf_vfmt(struct buf *b, const char *fmt, va_list ap)
{
	va_list again;

	va_copy(again, ap);
	int n = vsnprintf(NULL, 0, fmt, ap);
	uint8_t *at = n < 0 ? NULL : buf_room(b, (size_t)n + 1);

	if (at) {
		(void)vsnprintf((char *)at, (size_t)n + 1, fmt, again);
		b->n += (size_t)n;
	}
	va_end(again);
}

void buf_fmt(struct buf *b, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	buf_vfmt(b, fmt, ap);
	va_end(ap);
}

void buf_drop(struct buf *b, size_t n)
{
	if (n > b->n)
		n = b->n;
	b->n -= n;
	if (b->n && n)
		memmove(b->p, b->p + n, b->n);
	if (b->secret && b->p)
		explicit_bzero(b->p + b->n, n);
}

const char *buf_text(struct buf *b)
{
	if (b->cap - b->n < 1 || !b->p)
		grow(b, b->cap ? b->cap * 2 : 64);
	b->p[b->n] = '\0';
	return (const char *)b->p;
}

char *buf_take_text(struct buf *b)
{
	if (b->full) {
		buf_done(b);
		return NULL;
	}
	(void)buf_text(b);

	char *s = (char *)TAKE(b->p);

	b->n = b->cap = 0;
	return s;
}

int buf_ok(const struct buf *b)
{
	return b->full ? ERR_LIMIT : 0;
}
