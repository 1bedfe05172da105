#pragma once
/*
 * Memory for packets on their way: blocks of three sizes out of one budget.
 *
 * Blocks of the two small sizes come in slabs that are kept; large ones go back
 * to the system but for a few. So a relay at work allocates nothing, and one
 * that has been flooded does not stay fat. What does not fit the budget is
 * refused, never waited for.
 *
 * Not for threads to share.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/own.h"

enum pool_class { POOL_SMALL, POOL_PACKET, POOL_LARGE, POOL_CLASSES };

enum {
	POOL_SMALL_BYTES = 256,
	POOL_PACKET_BYTES = 1664, /* a tunnelled packet of a 1500-byte link with all headers */
	POOL_LARGE_BYTES = 72 << 10,
};

struct pool_block;

struct pool {
	size_t max, used; /* bytes; used counts whole blocks */
	size_t reserve;   /* on top of max, for pool_get_reserved */
	struct pool_block *free[POOL_CLASSES];
	size_t n_free_large;
	void *slabs; /* private */
};

void pool_init(struct pool *p, size_t max);
void pool_done(struct pool *p);

static inline enum pool_class pool_class_of(size_t n)
{
	if (n <= POOL_SMALL_BYTES)
		return POOL_SMALL;
	return n <= POOL_PACKET_BYTES ? POOL_PACKET : POOL_LARGE;
}

/* A block of at least n <= POOL_LARGE_BYTES bytes, not cleared; NULL if the budget is spent. */
void *pool_get(struct pool *p, size_t n);
/* The same, from the reserve too. */
void *pool_get_reserved(struct pool *p, size_t n);
/* n as given to pool_get. NULL is allowed. */
void pool_put(struct pool *p, void *block, size_t n);
