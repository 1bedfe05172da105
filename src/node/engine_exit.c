/* The exit node: suggested, chosen by `auto:any`, found by its address. */
#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "base/rand.h"
#include "node/engine.h"
#include "node/exits.h"

/* Of the last reports, in seconds: the better of both families. */
static double region_latency(void *ctx, int64_t region)
{
	const struct engine *e = ctx;
	double best = -1;

	for (size_t i = 0; e && i < e->netinfo.derp_latency.n; i++) {
		const struct tc_latency *l = &e->netinfo.derp_latency.v[i];
		uint64_t id;

		if (span_u64(span_first(l->key, span_find(l->key, '-')), INT32_MAX, &id) == 0 &&
		    (int64_t)id == region && (best < 0 || l->value < best))
			best = l->value;
	}
	return best;
}

int engine_suggest_exit(struct node *n, const struct tc_node **ret)
{
	struct exits_input in = { .map = node_map(n),
		                  .home = engine_home_derp(n),
		                  .latency = region_latency,
		                  .ctx = n->engine,
		                  .previous = span_str(n->suggested_exit ? n->suggested_exit
		                                                         : "") };
	int r;

	rand_bytes(&in.chance, sizeof(in.chance));
	r = exits_suggest(&in, ret);
	if (r == 0 && *ret) {
		char *id = span_dup((*ret)->stable_id);

		free(n->suggested_exit);
		n->suggested_exit = id;
	}
	return r;
}

void engine_choose_exit(struct engine *e)
{
	struct node *n = e->n;
	const struct netmap *m = node_map(n);
	const struct prefs *now = node_prefs(n);
	const struct tc_node *suggestion = NULL;
	struct prefs p = *now;

	if (!m || !prefs_uses_exit(now))
		return;
	if (now->auto_exit_node.n && engine_suggest_exit(n, &suggestion) < 0)
		suggestion = NULL;
	p.exit_node_id = exits_resolve(now, m, suggestion);
	if (span_eq(p.exit_node_id, now->exit_node_id))
		return;
	p.exit_node_ip = (struct ip){ 0 };
	log_info("exit node: %.*s", SPAN_FMT(p.exit_node_id));

	int r = node_set_prefs(n, prefs_dup(&p));

	if (r < 0)
		(void)log_ret(r, "cannot keep the exit node");
}
