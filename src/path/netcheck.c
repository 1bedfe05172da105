#include "path/netcheck.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/vec.h"
#include "path/netcheck_priv.h"

enum {
	RUN_US = 5000000,
	STUN_US = 3000000,
	FULL_GAP_US = 100000,
	FULL_TRIES = 3,
	UNKNOWN_LATENCY_US = 200000,
	ENOUGH_REGIONS = 3,
	FAST_REGIONS = 3,
};

struct netcheck *netcheck_new(const struct rand_src *rand)
{
	struct netcheck *n = mem_new(struct netcheck);

	n->rand = *rand;
	return n;
}

static void report_done(struct netcheck_report *r)
{
	free(r->regions);
	*r = (struct netcheck_report){ 0 };
}

void netcheck_free(struct netcheck *n)
{
	if (!n)
		return;
	report_done(&n->run);
	report_done(&n->last);
	vec_done(&n->probes);
	vec_done(&n->history);
	free(n);
}

bool netcheck_running(const struct netcheck *n)
{
	return n->running;
}

const struct netcheck_report *netcheck_report(const struct netcheck *n)
{
	return n->have_last ? &n->last : NULL;
}

int64_t netcheck_latency(const struct netcheck_region *r)
{
	int64_t best = r->v4_us;

	if (r->v6_us && (!best || r->v6_us < best))
		best = r->v6_us;
	return best ? best : r->https_us;
}

static struct netcheck_region *region_in(struct netcheck_report *rep, int id)
{
	for (size_t i = 0; i < rep->n_regions; i++) {
		if (rep->regions[i].id == id)
			return &rep->regions[i];
	}
	return NULL;
}

static int64_t last_latency(struct netcheck *n, int id)
{
	const struct netcheck_region *r = n->have_last ? region_in(&n->last, id) : NULL;

	return r ? netcheck_latency(r) : 0;
}

/* The node a try is made at: they take turns. NULL if none can do it. */
static const struct derp_node *node_for(const struct derp_region *r, unsigned try, bool v6)
{
	for (size_t i = 0; i < r->n_nodes; i++) {
		const struct derp_node *node = &r->nodes[(try + i) % r->n_nodes];

		if (node->stun_port && !(v6 ? node->no6 : node->no4))
			return node;
	}
	return NULL;
}

static void plan_probe(struct netcheck *n, const struct derp_region *r, unsigned try, bool v6,
                       mono at)
{
	const struct derp_node *node = node_for(r, try, v6);

	if (!node || (v6 ? !n->cfg.have6 : !n->cfg.have4))
		return;

	struct probe *p = vec_add(&n->probes);

	p->region = r->id;
	p->node = node;
	p->v6 = v6;
	p->due = at;
	rand_fill(&n->rand, p->txid, sizeof(p->txid));
}

static bool measurable(const struct derp_region *r)
{
	return !r->no_measure && r->n_nodes > 0;
}

static void plan_full(struct netcheck *n, mono now)
{
	for (size_t i = 0; i < n->cfg.map->n_regions; i++) {
		const struct derp_region *r = &n->cfg.map->regions[i];

		for (unsigned try = 0; measurable(r) && try < FULL_TRIES; try++) {
			mono at = mono_after(now, (int64_t)try * FULL_GAP_US);

			plan_probe(n, r, try, false, at);
			plan_probe(n, r, try, true, at);
		}
	}
}

struct ranked {
	const struct derp_region *r;
	int64_t us;
};

static int nearer(const void *a, const void *b)
{
	const struct ranked *x = a, *y = b;

	return x->us < y->us ? -1 : x->us > y->us;
}

static void plan_region(struct netcheck *n, const struct ranked *k, size_t rank, mono now)
{
	bool home = k->r->id == n->cfg.home;
	unsigned tries = home ? 4 : rank < 2 ? 2 : 1;
	int64_t gap = (k->us == INT64_MAX ? UNKNOWN_LATENCY_US : k->us) * 12 / 10;
	bool two_families = n->cfg.have4 && n->cfg.have6;

	for (unsigned try = 0; try < tries; try++) {
		mono at = mono_after(now, try * gap + (try > 1 ? try * 50000 : 0));
		bool skip4 = two_families && rank >= 2 && !home && rank % 2 == 1;
		bool skip6 = try > 0 || (two_families && rank >= 2 && !home && rank % 2 == 0) ||
		             (rank >= 2 && !n->last.ipv6);

		if (!skip4)
			plan_probe(n, k->r, try, false, at);
		if (!skip6)
			plan_probe(n, k->r, try, true, at);
	}
}

static void plan_incremental(struct netcheck *n, mono now)
{
	struct ranked *all = mem_new_n(struct ranked, n->cfg.map->n_regions);
	size_t count = 0;

	for (size_t i = 0; i < n->cfg.map->n_regions; i++) {
		const struct derp_region *r = &n->cfg.map->regions[i];
		int64_t us = last_latency(n, r->id);

		if (measurable(r) && (!r->avoid || r->id == n->cfg.home))
			all[count++] = (struct ranked){ r, us ? us : INT64_MAX };
	}
	qsort(all, count, sizeof(*all), nearer);
	for (size_t i = 0; i < count; i++) {
		if (i < FAST_REGIONS || all[i].r->id == n->cfg.home)
			plan_region(n, &all[i], i, now);
	}
	free(all);
}

static bool wants_full(const struct netcheck *n, mono now)
{
	return n->cfg.full || !n->have_last || !n->last.udp || n->last_full.us == 0 ||
	       mono_since(n->last_full, now) > NETCHECK_FULL_EVERY_US;
}

void netcheck_start(struct netcheck *n, mono now, const struct netcheck_cfg *cfg)
{
	report_done(&n->run);
	n->probes.n = 0;
	n->cfg = *cfg;
	n->running = true;
	n->told = false;
	n->https = false;
	n->https_left = 0;
	n->started = now;
	n->stun_end = mono_after(now, STUN_US);
	n->run.full = wants_full(n, now);
	n->run.n_regions = cfg->map->n_regions;
	n->run.regions = mem_new_n(struct netcheck_region, n->run.n_regions);
	for (size_t i = 0; i < n->run.n_regions; i++)
		n->run.regions[i].id = cfg->map->regions[i].id;
	if (cfg->no_udp)
		n->stun_end = now;
	else if (n->run.full)
		plan_full(n, now);
	else
		plan_incremental(n, now);
	if (n->probes.n == 0)
		n->stun_end = now;
}

/* Would the answer teach us anything yet? */
static bool worth_sending(struct netcheck *n, const struct probe *p)
{
	const struct netcheck_region *r = region_in(&n->run, p->region);

	if (!r)
		return false;
	if (p->v6 ? r->v6_us : r->v4_us)
		return false;
	if (!netcheck_latency(r))
		return true;
	return p->v6 ? !n->run.ipv6 : n->run.mapping_varies == TRI_UNKNOWN;
}

bool netcheck_next(struct netcheck *n, struct netcheck_out *out)
{
	if (!n->running) {
		if (!n->told && n->have_last) {
			n->told = true;
			*out = (struct netcheck_out){ .act = NETCHECK_DONE };
			return true;
		}
		return false;
	}
	if (n->https)
		return netcheck_next_https(n, out);
	vec_each(struct probe *, p, &n->probes) {
		if (p->state != PROBE_DUE)
			continue;
		p->state = PROBE_SENT;
		stun_request(n->request, p->txid);
		*out = (struct netcheck_out){ .act = NETCHECK_STUN,
			                      .region = p->region,
			                      .node = p->node,
			                      .v6 = p->v6,
			                      .bytes = SPAN_OF(n->request) };
		return true;
	}
	return false;
}

static void note_mapped(struct netcheck_report *rep, const struct addr *mapped)
{
	for (size_t i = 0; i < rep->n_mapped; i++) {
		if (addr_eq(&rep->mapped[i].addr, mapped)) {
			rep->mapped[i].times++;
			return;
		}
	}
	if (rep->n_mapped < NETCHECK_MAPPED_MAX)
		rep->mapped[rep->n_mapped++] = (struct netcheck_mapped){ *mapped, 1 };
}

static void note_answer(struct netcheck *n, const struct probe *p, const struct addr *mapped,
                        int64_t us)
{
	struct netcheck_report *rep = &n->run;
	struct netcheck_region *r = region_in(rep, p->region);
	int64_t *slot = p->v6 ? &r->v6_us : &r->v4_us;

	if (us < 1)
		us = 1;
	if (!*slot || us < *slot)
		*slot = us;
	rep->udp = true;
	note_mapped(rep, mapped);
	if (p->v6) {
		rep->ipv6 = true;
		rep->global6 = *mapped;
		return;
	}
	rep->ipv4 = true;
	if (!addr_is_set(&rep->global4)) {
		rep->global4 = *mapped;
		rep->global4_region = p->region;
	} else if (!addr_eq(&rep->global4, mapped)) {
		rep->mapping_varies = TRI_TRUE;
	} else if (rep->mapping_varies == TRI_UNKNOWN && p->region != rep->global4_region) {
		rep->mapping_varies = TRI_FALSE;
	}
}

static size_t regions_heard(const struct netcheck_report *rep)
{
	size_t count = 0;

	for (size_t i = 0; i < rep->n_regions; i++)
		count += netcheck_latency(&rep->regions[i]) > 0;
	return count;
}

bool netcheck_recv(struct netcheck *n, mono now, struct span datagram)
{
	uint8_t txid[STUN_TXID];
	struct addr mapped;

	if (!n->running || n->https || stun_response_parse(datagram, txid, &mapped) < 0)
		return false;
	vec_each(struct probe *, p, &n->probes) {
		if (p->state != PROBE_SENT || memcmp(p->txid, txid, STUN_TXID) != 0)
			continue;
		p->state = PROBE_OVER;
		note_answer(n, p, &mapped, mono_since(p->sent, now));
		/* Three regions tell enough; the rest get as long again, twice that in a full run.
		 */
		if (regions_heard(&n->run) == ENOUGH_REGIONS) {
			int64_t more = mono_since(n->started, now) * (n->run.full ? 2 : 1);

			n->stun_end = mono_min(n->stun_end, mono_after(now, more));
		}
		netcheck_timeout(n, now);
		return true;
	}
	return false;
}

static void finish(struct netcheck *n, mono now)
{
	report_done(&n->last);
	n->run.at = now;
	n->last = n->run;
	n->run = (struct netcheck_report){ 0 };
	n->have_last = true;
	n->running = false;
	if (n->last.full)
		n->last_full = now;
	netcheck_remember(n, now);
}

static bool is_answered(struct netcheck *n, const struct probe *p)
{
	const struct netcheck_region *r = region_in(&n->run, p->region);

	return r && (p->v6 ? r->v6_us : r->v4_us);
}

static bool all_over(struct netcheck *n)
{
	vec_each(struct probe *, p, &n->probes) {
		if (p->state != PROBE_OVER && !is_answered(n, p))
			return false;
	}
	return true;
}

void netcheck_timeout(struct netcheck *n, mono now)
{
	if (!n->running)
		return;
	if (n->https) {
		if (n->https_left == 0 || mono_since(n->started, now) >= RUN_US)
			finish(n, now);
		return;
	}
	vec_each(struct probe *, p, &n->probes) {
		if (p->state == PROBE_WAITING && !worth_sending(n, p))
			p->state = PROBE_OVER;
		if (p->state == PROBE_WAITING && mono_reached(p->due, now)) {
			p->state = PROBE_DUE;
			p->sent = now;
		}
	}
	if (!all_over(n) && !mono_reached(n->stun_end, now))
		return;
	if (n->run.udp)
		finish(n, now);
	else
		netcheck_start_https(n);
	if (n->running && n->https && n->https_left == 0)
		finish(n, now);
}

mono netcheck_deadline(const struct netcheck *n)
{
	if (!n->running)
		return MONO_NEVER;
	if (n->https)
		return mono_after(n->started, RUN_US);

	mono next = n->stun_end;

	for (size_t i = 0; i < n->probes.n; i++) {
		if (n->probes.v[i].state == PROBE_WAITING)
			next = mono_min(next, n->probes.v[i].due);
	}
	return next;
}
