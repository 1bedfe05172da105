#include "path/derpmap.h"

const struct derp_region *derp_map_find(const struct derp_map *m, int id)
{
	size_t lo = 0;
	size_t hi = m ? m->n_regions : 0;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (m->regions[mid].id == id)
			return &m->regions[mid];
		if (m->regions[mid].id < id)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}
