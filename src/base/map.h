#pragma once
/*
 * A hash table whose nodes live in its members. Keys are the member's business:
 * hash the key with map_hash (SipHash-1-3 under a random key of this table, so
 * strangers cannot choose collisions), then walk the nodes of that hash.
 *
 *	for (struct map_node *n = map_find(m, h); n; n = map_again(n)) ...
 *
 * Zeroed memory is not a table: map_init first. Not for threads to share.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/own.h"

struct map_node {
	struct map_node *next; /* private */
	uint64_t hash;
};

struct map {
	struct map_node **slots; /* private */
	size_t mask;
	size_t n; /* members */
	uint64_t key[2];
};

void map_init(struct map *m);
void map_done(struct map *m); /* members are the caller's to free, before */

uint64_t siphash(const uint64_t key[static 2], const void *p, size_t n);

static inline uint64_t map_hash(const struct map *m, const void *key, size_t n)
{
	return siphash(m->key, key, n);
}

struct map_node *map_find(const struct map *m, uint64_t hash);
struct map_node *map_again(const struct map_node *n);
void map_insert(struct map *m, struct map_node *n, uint64_t hash);
/* The node must be in the table. */
void map_remove(struct map *m, struct map_node *n);

/* Every member in no order; removing the current one is allowed if `next` was taken before. */
struct map_node *map_first(const struct map *m);
struct map_node *map_next(const struct map *m, const struct map_node *n);
