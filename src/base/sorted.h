#pragma once
/* Ids in ascending order, none twice. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Where id stands, or would: how many are below it. */
static inline size_t sorted_place(const uint64_t *ids, size_t n, uint64_t id)
{
	size_t lo = 0, hi = n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (ids[mid] < id)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static inline bool sorted_has(const uint64_t *ids, size_t n, uint64_t id)
{
	size_t at = sorted_place(ids, n, id);

	return at < n && ids[at] == id;
}
