#pragma once
/*
 * Memory. Nothing here returns NULL: out of memory ends the process with a
 * message. That is sound because every size a peer can influence is checked
 * against a named maximum before it comes here.
 */
#include <stddef.h>

#include "base/own.h"
#include "base/span.h"

/* Zeroed. */
#define mem_new(T) ((T *)mem_zalloc(1, sizeof(T)))
#define mem_new_n(T, n) ((T *)mem_zalloc((n), sizeof(T)))

void *mem_alloc(size_t n);
void *mem_zalloc(size_t count, size_t size);
/* New contents beyond the old size are not set. */
void *mem_grow(void *p, size_t count, size_t size);
/* After something large is gone: what the allocator holds of it goes back to the system. */
void mem_trim(void);
/*
 * Whole pages, zeroed. Those never touched cost nothing, and all go back at
 * once: for big buffers of which there are many and few are ever filled.
 */
void *mem_map(size_t n);
void mem_unmap(void *p, size_t n);
void *mem_dup(const void *p, size_t n);
char *str_dup(const char *s); /* NULL gives NULL */
char *str_fmt(const char *fmt, ...) PRINTF(1, 2);

/*
 * An arena for work with a clear end: one request, one map response, one
 * policy compile. Allocate freely, reset or free once. Chunks double up to
 * 64 KiB; larger requests get a chunk of their own. Not for threads to share.
 */
struct arena_chunk;

struct arena {
	struct arena_chunk *head; /* private */
	size_t used, total;
};

void arena_done(struct arena *a);             /* and ready for use again */
void *arena_alloc(struct arena *a, size_t n); /* zeroed, aligned to 16 */
void *arena_dup(struct arena *a, const void *p, size_t n);
char *arena_str(struct arena *a, struct span s); /* with a NUL at the end */
char *arena_fmt(struct arena *a, const char *fmt, ...) PRINTF(2, 3);

#define arena_new(a, T) ((T *)arena_alloc((a), sizeof(T)))
#define arena_new_n(a, T, n) ((T *)arena_alloc_n((a), (n), sizeof(T)))
void *arena_alloc_n(struct arena *a, size_t count, size_t size);
