#include "base/mem.h"
#include "path/netcheck_priv.h"

enum {
	HISTORY_US = 305 * 1000000,
	HEARD_US = 8 * 1000000,
	HEARD_ALONE_US = 120 * 1000000,
	CLEARLY_US = 10000,
};

static const struct derp_node *https_node(const struct derp_region *r)
{
	for (size_t i = 0; i < r->n_nodes; i++) {
		if (!r->nodes[i].stun_only)
			return &r->nodes[i];
	}
	return NULL;
}

void netcheck_start_https(struct netcheck *n)
{
	n->https = true;
	n->https_at = 0;
	n->https_left = 0;
	for (size_t i = 0; i < n->cfg.map->n_regions; i++) {
		const struct derp_region *r = &n->cfg.map->regions[i];

		n->https_left += !r->no_measure && https_node(r) != NULL;
	}
}

bool netcheck_next_https(struct netcheck *n, struct netcheck_out *out)
{
	while (n->https_at < n->cfg.map->n_regions) {
		const struct derp_region *r = &n->cfg.map->regions[n->https_at++];
		const struct derp_node *node = r->no_measure ? NULL : https_node(r);

		if (!node)
			continue;
		*out = (struct netcheck_out){ .act = NETCHECK_HTTPS,
			                      .region = r->id,
			                      .node = node };
		return true;
	}
	return false;
}

void netcheck_https(struct netcheck *n, mono now, int region, int64_t latency_us)
{
	if (!n->running || !n->https || n->https_left == 0)
		return;
	for (size_t i = 0; i < n->run.n_regions; i++) {
		if (n->run.regions[i].id == region && latency_us > 0)
			n->run.regions[i].https_us = latency_us;
	}
	n->https_left--;
	netcheck_timeout(n, now);
}

void netcheck_remember(struct netcheck *n, mono now)
{
	size_t kept = 0;

	for (size_t i = 0; i < n->history.n; i++) {
		if (mono_since(n->history.v[i].at, now) <= HISTORY_US)
			n->history.v[kept++] = n->history.v[i];
	}
	n->history.n = kept;
	for (size_t i = 0; i < n->last.n_regions; i++) {
		int64_t us = netcheck_latency(&n->last.regions[i]);

		if (us && n->history.n < (size_t)HISTORY_MAX * DERP_REGIONS_MAX) {
			struct remembered *m = vec_add(&n->history);

			*m = (struct remembered){ now, n->last.regions[i].id, us };
		}
	}
}

static int64_t scaled(const struct derp_region *r, int64_t us)
{
	return r->score > 0 ? (int64_t)((double)us * r->score) : us;
}

/* The least of the last minutes, scaled; only for regions in the last report. */
static int64_t best_of(const struct netcheck *n, const struct derp_region *r, mono now)
{
	int64_t best = INT64_MAX;

	for (size_t i = 0; i < n->history.n; i++) {
		const struct remembered *m = &n->history.v[i];

		if (m->region == r->id && mono_since(m->at, now) <= HISTORY_US && m->us < best)
			best = m->us;
	}
	return best == INT64_MAX ? best : scaled(r, best);
}

static int64_t current_of(const struct netcheck *n, int id)
{
	for (size_t i = 0; n->have_last && i < n->last.n_regions; i++) {
		if (n->last.regions[i].id == id)
			return netcheck_latency(&n->last.regions[i]);
	}
	return 0;
}

static bool heard_within(const struct home_cfg *cfg, int region, mono now, int64_t us)
{
	for (size_t i = 0; i < cfg->n_heard; i++) {
		if (cfg->heard[i].region == region && mono_since(cfg->heard[i].at, now) <= us)
			return true;
	}
	return false;
}

static const struct derp_region *nearest(const struct netcheck *n, mono now,
                                         const struct derp_map *map, int64_t *ret_us)
{
	const struct derp_region *found = NULL;

	for (size_t i = 0; i < map->n_regions; i++) {
		const struct derp_region *r = &map->regions[i];
		int64_t us = r->no_measure || !current_of(n, r->id) ? INT64_MAX
		                                                    : best_of(n, r, now);

		/* A region to avoid is taken only where there is nothing else. */
		if (us == INT64_MAX || (found && !found->avoid && r->avoid))
			continue;
		if (!found || us < *ret_us || (found->avoid && !r->avoid)) {
			found = r;
			*ret_us = us;
		}
	}
	return found;
}

int netcheck_home(const struct netcheck *n, mono now, const struct home_cfg *cfg)
{
	const struct derp_region *current = derp_map_find(cfg->map, cfg->current);
	int64_t best_us = 0;
	const struct derp_region *best = nearest(n, now, cfg->map, &best_us);

	if (current && cfg->pinned)
		return current->id;
	if (!best)
		return current && heard_within(cfg, current->id, now, HEARD_ALONE_US) ? current->id
		                                                                      : 0;
	if (!current || current == best)
		return best->id;

	int64_t measured = current_of(n, current->id);
	int64_t us = scaled(current, measured);

	if (!measured && !heard_within(cfg, current->id, now, HEARD_US))
		return best->id;
	/* Not measured but heard: as near as anything. */
	if (us - best_us < CLEARLY_US || best_us * 3 > us * 2)
		return current->id;
	return best->id;
}
