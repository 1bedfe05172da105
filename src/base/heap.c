#include "base/heap.h"

#include "base/mem.h"

void heap_done(struct heap *h)
{
	for (size_t i = 0; i < h->n; i++)
		h->v[i]->slot = 0;
	free(h->v);
	*h = (struct heap){ 0 };
}

static void put(struct heap *h, size_t i, struct heap_node *n)
{
	h->v[i] = n;
	n->slot = i + 1;
}

static void sift_up(struct heap *h, size_t i)
{
	struct heap_node *n = h->v[i];

	while (i > 0 && mono_before(n->at, h->v[(i - 1) / 2]->at)) {
		put(h, i, h->v[(i - 1) / 2]);
		i = (i - 1) / 2;
	}
	put(h, i, n);
}

static void sift_down(struct heap *h, size_t i)
{
	struct heap_node *n = h->v[i];

	for (;;) {
		size_t kid = i * 2 + 1;

		if (kid >= h->n)
			break;
		if (kid + 1 < h->n && mono_before(h->v[kid + 1]->at, h->v[kid]->at))
			kid++;
		if (!mono_before(h->v[kid]->at, n->at))
			break;
		put(h, i, h->v[kid]);
		i = kid;
	}
	put(h, i, n);
}

void heap_set(struct heap *h, struct heap_node *n, mono at)
{
	if (at.us == MONO_NEVER.us) {
		heap_remove(h, n);
		return;
	}
	n->at = at;
	if (!n->slot) {
		if (h->n == h->cap) {
			h->cap = h->cap ? h->cap * 2 : 16;
			h->v = mem_grow(h->v, h->cap, sizeof(*h->v));
		}
		put(h, h->n++, n);
	}
	sift_up(h, n->slot - 1);
	sift_down(h, n->slot - 1);
}

void heap_remove(struct heap *h, struct heap_node *n)
{
	if (!n->slot)
		return;

	size_t i = n->slot - 1;
	struct heap_node *last = h->v[--h->n];

	n->slot = 0;
	if (last == n)
		return;
	put(h, i, last);
	sift_up(h, i);
	sift_down(h, last->slot - 1);
}
