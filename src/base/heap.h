#pragma once
/*
 * A heap of deadlines whose nodes live in their owners. The earliest is first;
 * among equals the order is not defined. A zeroed struct is an empty heap, a
 * zeroed node is in no heap. Not for threads to share.
 */
#include <stdbool.h>
#include <stddef.h>

#include "base/time.h"

struct heap_node {
	mono at;
	size_t slot; /* private: 1 + place in the array, 0 when in no heap */
};

struct heap {
	struct heap_node **v; /* private */
	size_t n, cap;
};

void heap_done(struct heap *h);
/* Inserts, or moves if it is in already. MONO_NEVER takes it out. */
void heap_set(struct heap *h, struct heap_node *n, mono at);
void heap_remove(struct heap *h, struct heap_node *n); /* harmless if it is in no heap */

static inline bool heap_has(const struct heap_node *n)
{
	return n->slot != 0;
}

static inline struct heap_node *heap_first(const struct heap *h)
{
	return h->n ? h->v[0] : NULL;
}

static inline mono heap_deadline(const struct heap *h)
{
	return h->n ? h->v[0]->at : MONO_NEVER;
}
