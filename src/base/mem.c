#include "base/mem.h"

#include <malloc.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

static void *check(void *p)
{
	if (!p) {
		fputs("out of memory\n", stderr);
		abort();
	}
	return p;
}

void *mem_alloc(size_t n)
{
	return check(malloc(n ? n : 1));
}

void *mem_zalloc(size_t count, size_t size)
{
	return check(calloc(count ? count : 1, size ? size : 1));
}

void *mem_grow(void *p, size_t count, size_t size)
{
	return check(reallocarray(p, count ? count : 1, size ? size : 1));
}

void mem_trim(void)
{
#ifdef __GLIBC__
	(void)malloc_trim(0);
#endif
}

void *mem_map(size_t n)
{
	void *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return check(p == MAP_FAILED ? NULL : p);
}

void mem_unmap(void *p, size_t n)
{
	/* With very many mappings a hole may be refused: then at least the pages go. */
	if (p && munmap(p, n) < 0)
		(void)madvise(p, n, MADV_DONTNEED);
}

void *mem_dup(const void *p, size_t n)
{
	void *copy = mem_alloc(n);

	if (n)
		memcpy(copy, p, n);
	return copy;
}

char *str_dup(const char *s)
{
	return s ? mem_dup(s, strlen(s) + 1) : NULL;
}

char *str_fmt(const char *fmt, ...)
{
	va_list ap;
	char *s = NULL;

	va_start(ap, fmt);
	int n = vasprintf(&s, fmt, ap);
	va_end(ap);
	return check(n < 0 ? NULL : s);
}

enum { CHUNK_MIN = 1024, CHUNK_MAX = 64 * 1024, ALIGN = 16 };

struct arena_chunk {
	struct arena_chunk *next;
	size_t size, used;
	_Alignas(ALIGN) uint8_t bytes[];
};

static struct arena_chunk *add_chunk(struct arena *a, size_t n)
{
	size_t size = a->head && a->head->size < CHUNK_MAX ? a->head->size * 2 : CHUNK_MIN;

	if (a->head && a->head->size >= CHUNK_MAX)
		size = CHUNK_MAX;
	if (size < n)
		size = n;

	struct arena_chunk *c = mem_alloc(sizeof(*c) + size);

	c->size = size;
	c->used = 0;
	c->next = a->head;
	a->head = c;
	a->total += size;
	return c;
}

void arena_done(struct arena *a)
{
	while (a->head) {
		struct arena_chunk *c = a->head;

		a->head = c->next;
		free(c);
	}
	*a = (struct arena){ 0 };
}

void *arena_alloc(struct arena *a, size_t n)
{
	if (n > SIZE_MAX / 2)
		(void)check(NULL);
	n = (n + ALIGN - 1) / ALIGN * ALIGN;

	struct arena_chunk *c = a->head;

	if (!c || c->size - c->used < n)
		c = add_chunk(a, n);

	void *p = c->bytes + c->used;

	c->used += n;
	a->used += n;
	memset(p, 0, n);
	return p;
}

void *arena_alloc_n(struct arena *a, size_t count, size_t size)
{
	size_t n;

	if (__builtin_mul_overflow(count, size, &n))
		(void)check(NULL);
	return arena_alloc(a, n);
}

void *arena_dup(struct arena *a, const void *p, size_t n)
{
	void *copy = arena_alloc(a, n);

	if (n)
		memcpy(copy, p, n);
	return copy;
}

char *arena_str(struct arena *a, struct span s)
{
	char *copy = arena_alloc(a, s.n + 1);

	if (s.n)
		memcpy(copy, s.p, s.n);
	return copy;
}

char *arena_fmt(struct arena *a, const char *fmt, ...)
{
	va_list ap, again;

	va_start(ap, fmt);
	va_copy(again, ap);
	int n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);

	char *s = n < 0 ? check(NULL) : arena_alloc(a, (size_t)n + 1);

	(void)vsnprintf(s, (size_t)n + 1, fmt, again);
	va_end(again);
	return s;
}
