#include "relay/pool.h"

#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"

enum { SLAB_BLOCKS = 64, LARGE_KEPT = 32 };

struct pool_block {
	struct pool_block *next;
};

struct slab {
	struct slab *next;
	_Alignas(16) uint8_t blocks[];
};

static size_t class_bytes(enum pool_class c)
{
	static const size_t bytes[POOL_CLASSES] = {
		[POOL_SMALL] = POOL_SMALL_BYTES,
		[POOL_PACKET] = POOL_PACKET_BYTES,
		[POOL_LARGE] = POOL_LARGE_BYTES,
	};

	return bytes[c];
}

void pool_init(struct pool *p, size_t max)
{
	*p = (struct pool){ .max = max };
}

void pool_done(struct pool *p)
{
	while (p->slabs) {
		struct slab *s = p->slabs;

		p->slabs = s->next;
		free(s);
	}
	while (p->free[POOL_LARGE]) {
		struct pool_block *b = p->free[POOL_LARGE];

		p->free[POOL_LARGE] = b->next;
		free(b);
	}
	pool_init(p, p->max);
}

static void push(struct pool *p, enum pool_class c, void *block)
{
	struct pool_block *b = block;

	b->next = p->free[c];
	p->free[c] = b;
}

static void add_slab(struct pool *p, enum pool_class c)
{
	size_t bytes = class_bytes(c);
	struct slab *s = mem_alloc(sizeof(*s) + SLAB_BLOCKS * bytes);

	s->next = p->slabs;
	p->slabs = s;
	for (size_t i = SLAB_BLOCKS; i-- > 0;)
		push(p, c, s->blocks + i * bytes);
}

static void *get(struct pool *p, size_t n, size_t max)
{
	enum pool_class c = pool_class_of(n);
	size_t bytes = class_bytes(c);

	assert(n <= POOL_LARGE_BYTES);
	if (p->used > max || bytes > max - p->used)
		return NULL;
	p->used += bytes;
	if (!p->free[c]) {
		if (c == POOL_LARGE)
			return mem_alloc(bytes);
		add_slab(p, c);
	}

	struct pool_block *b = p->free[c];

	p->free[c] = b->next;
	if (c == POOL_LARGE)
		p->n_free_large--;
	return b;
}

void *pool_get(struct pool *p, size_t n)
{
	return get(p, n, p->max);
}

void *pool_get_reserved(struct pool *p, size_t n)
{
	return get(p, n, p->max + p->reserve);
}

void pool_put(struct pool *p, void *block, size_t n)
{
	enum pool_class c = pool_class_of(n);

	if (!block)
		return;
	p->used -= class_bytes(c);
	if (c == POOL_LARGE && p->n_free_large >= LARGE_KEPT) {
		free(block);
		return;
	}
	if (c == POOL_LARGE)
		p->n_free_large++;
	push(p, c, block);
}
