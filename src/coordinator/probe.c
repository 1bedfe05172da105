#include "coordinator/probe.h"

#include <string.h>

#include "base/enc.h"
#include "base/json.h"
#include "coordinator/streams.h"

enum { ID_BYTES = 12, ID_TEXT = HEX_LEN(ID_BYTES) + 1 };

/* One router, asked in this round. */
struct asked {
	uint64_t node;
	char id[ID_TEXT];
	bool answered;
};

struct probe {
	struct coord *co;
	struct ev_timer round, verdict;
	VEC(struct asked) asked;
};

static bool shares_a_route(const struct state *st, const struct node *n)
{
	for (size_t i = 0; i < n->approved.n; i++)
		if (node_serves(n, &n->approved.v[i]) &&
		    routes_is_shared(state_routes(st), &n->approved.v[i]))
			return true;
	return false;
}

static void ask(struct probe *p, uint64_t node)
{
	struct asked *a = vec_add(&p->asked);
	struct buf json = { 0 };
	struct js_wr w = js_wr_of(&json);
	uint8_t raw[ID_BYTES];
	AUTO_FREE char *url = NULL;

	rand_fill(&p->co->rand, raw, sizeof(raw));
	hex_encode(a->id, raw, sizeof(raw));
	a->node = node;
	url = str_fmt("%s/machine/ping-response?id=%s", p->co->cfg->server_url, a->id);
	js_wr_open(&w, JS_OBJECT);
	js_wr_kv_str(&w, "URL", url);
	js_wr_close(&w, JS_OBJECT);
	if (streams_ping(p->co->streams, node, buf_span(&json)) < 0)
		p->asked.n--; /* without a stream it is not online, which says enough */
	buf_done(&json);
}

static void on_round(struct ev_timer *t, mono now)
{
	struct probe *p = CONTAINER_OF(t, struct probe, round);
	const struct state *st = p->co->st;
	struct node_list all = { 0 };
	struct node_ids routers = { 0 };

	(void)now;
	state_nodes(st, &all);
	vec_each(const struct node **, n, &all)
		if ((*n)->online && (*n)->approved.n && shares_a_route(st, *n))
			vec_push(&routers, (*n)->id);
	vec_done(&all);
	p->asked.n = 0;
	for (size_t i = 0; i < routers.n; i++)
		ask(p, routers.v[i]);
	vec_done(&routers);
	if (p->asked.n)
		ev_timer_after(p->co->ev, &p->verdict, p->co->cfg->ha_timeout_us);
	ev_timer_after(p->co->ev, &p->round, p->co->cfg->ha_interval_us);
}

static void on_verdict(struct ev_timer *t, mono now)
{
	struct probe *p = CONTAINER_OF(t, struct probe, verdict);
	bool anybody = false;

	(void)now;
	for (size_t i = 0; i < p->asked.n; i++)
		anybody |= p->asked.v[i].answered;
	for (size_t i = 0; anybody && i < p->asked.n; i++)
		state_node_healthy(p->co->st, p->asked.v[i].node, p->asked.v[i].answered);
}

void probe_answered(struct probe *p, struct span query)
{
	if (!span_starts(query, "id="))
		return;
	query = span_from(query, 3);
	for (size_t i = 0; i < p->asked.n; i++)
		if (span_is(query, p->asked.v[i].id))
			p->asked.v[i].answered = true;
}

struct probe *probe_new(struct coord *co)
{
	struct probe *p = mem_new(struct probe);

	p->co = co;
	p->round.fn = on_round;
	p->verdict.fn = on_verdict;
	if (co->cfg->ha_interval_us)
		ev_timer_after(co->ev, &p->round, co->cfg->ha_interval_us);
	return p;
}

void probe_free(struct probe *p)
{
	if (!p)
		return;
	ev_timer_stop(p->co->ev, &p->round);
	ev_timer_stop(p->co->ev, &p->verdict);
	vec_done(&p->asked);
	free(p);
}
