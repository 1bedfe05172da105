#include "coordinator/relaymap.h"

#include <stdlib.h>

#include "base/err.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "coordinator/derpmap.h"
#include "coordinator/outbound.h"
#include "coordinator/tailnet_policy.h"
#include "http/form.h"
#include "relay/names.h"

/* Until there is a first map; nodes may be without a relay meanwhile. */
enum { RETRY_US = 10 * 1000 * 1000 };

/* A map that is fetched; the last one that was good is kept. */
struct source {
	struct relaymap *all;
	const char *url;
	struct buf text;
	struct fetch *fetch; /* NULL: not now */
};

struct relaymap {
	struct coord *co;
	struct source *sources;
	size_t n;
	struct ev_timer again;
	struct names *names;
	char *published; /* what `names` looks up */
};

/* ---- putting it together ---- */

static int add_files(const struct config *cfg, struct derpmap *d)
{
	struct fault why = { 0 };

	for (size_t i = 0; i < cfg->derp_paths.n; i++) {
		AUTO_DONE(buf) struct buf text = { 0 };
		int r = file_read(cfg->derp_paths.v[i], DERPMAP_MAX, &text);

		if (r >= 0)
			r = derpmap_add_yaml(d, buf_span(&text), &why);
		if (r < 0)
			return log_ret(r, "relay map %s line %u: %s", cfg->derp_paths.v[i],
			               why.line, why.message);
	}
	return 0;
}

static int add_policy(const struct coord *co, struct derpmap *d)
{
	const struct policy *p = pol_engine_policy(tailnet_policy_engine(co->policy));
	AUTO_DONE(buf) struct buf text = { 0 };
	struct fault why = { 0 };
	int r = 0;

	if (p && policy_derp_map(p, &text))
		r = derpmap_add_json(d, buf_span(&text), &why);
	return r < 0 ? log_ret(r, "derpMap of the policy: %s", why.message) : 0;
}

/* "host,host": names of relays and ours, for /bootstrap-dns. */
static char *names_of(const struct config *cfg, struct span map)
{
	__attribute__((cleanup(arena_done))) struct arena a = { 0 };
	struct buf out = { 0 };
	struct js *tree = NULL;
	char host[256];

	buf_add_str(&out, config_host(cfg, host));
	if (js_parse(&a, map, false, &tree, NULL) < 0)
		return buf_take_text(&out);
	for (const struct js *r = js_first(js_get(tree, "Regions")); r; r = r->next)
		for (const struct js *n = js_first(js_get(r, "Nodes")); n; n = n->next) {
			struct span name = js_text(js_get(n, "HostName"));

			if (name.n && !span_is(name, host))
				buf_fmt(&out, ",%.*s", SPAN_FMT(name));
		}
	return buf_take_text(&out);
}

static void publish(struct relaymap *m, struct span map)
{
	AUTO_FREE char *now = names_of(m->co->cfg, map);

	if (m->published && strcmp(now, m->published) == 0)
		return;
	relay_names_free(m->names);
	free(m->published);
	m->published = TAKE(now);
	m->names = relay_names_new(m->co->ev, outbound_http(m->co->outbound)->resolver,
	                           m->published, "");
}

static int put_in_force(struct relaymap *m)
{
	const struct config *cfg = m->co->cfg;
	AUTO_DONE(derpmap) struct derpmap d = { 0 };
	AUTO_DONE(buf) struct buf json = { 0 };
	struct fault why = { 0 };
	int r = 0;

	for (size_t i = 0; i < m->n; i++)
		if (m->sources[i].text.n)
			/* It was good when it came. */
			(void)!derpmap_add_json(&d, buf_span(&m->sources[i].text), &why);
	r = add_files(cfg, &d);
	if (r >= 0 && cfg->derp_enabled && cfg->derp_auto_region)
		derpmap_add_embedded(&d, cfg);
	if (r >= 0)
		r = add_policy(m->co, &d);
	if (r < 0)
		return r;
	derpmap_json(&d, &json);
	maphub_set_derp(m->co->hub, buf_span(&json));
	state_announce(m->co->st, CHANGE_DERP);
	publish(m, buf_span(&json));
	return 0;
}

/* ---- fetching ---- */

static int take(struct source *s, const struct fetched *found)
{
	AUTO_DONE(derpmap) struct derpmap d = { 0 };
	struct fault why = { 0 };
	int r = found->status == 200 ? derpmap_add_json(&d, found->body, &why) : ERR_DENIED;

	if (r < 0)
		return r;
	buf_clear(&s->text);
	buf_add_span(&s->text, found->body);
	return 0;
}

static void on_fetched(void *owner, int r, const struct fetched *found)
{
	struct source *s = owner;
	const struct config *cfg = s->all->co->cfg;

	s->fetch = NULL;
	if (r >= 0)
		r = take(s, found);
	if (r >= 0) {
		(void)put_in_force(s->all);
		return;
	}
	log_warn("cannot fetch the relay map %s: %s; trying again", s->url, err_text(r));
	if (!s->text.n &&
	    !(cfg->derp_auto_update && cfg->derp_update_us && cfg->derp_update_us <= RETRY_US))
		ev_timer_after(s->all->co->ev, &s->all->again, RETRY_US);
}

static void on_again(struct ev_timer *t, mono now)
{
	struct relaymap *m = CONTAINER_OF(t, struct relaymap, again);
	const struct config *cfg = m->co->cfg;

	(void)now;
	for (size_t i = 0; i < m->n; i++) {
		struct source *s = &m->sources[i];
		struct fetch_cfg get = { .url = s->url, .body_max = DERPMAP_MAX, .redirects = 3 };

		if (!s->fetch)
			s->fetch = http_fetch(outbound_http(m->co->outbound), &get, on_fetched, s);
	}
	if (cfg->derp_auto_update && cfg->derp_update_us)
		ev_timer_after(m->co->ev, t, cfg->derp_update_us);
}

/* ---- the whole ---- */

int relaymap_new(struct coord *co, struct relaymap **ret)
{
	struct relaymap *m = mem_new(struct relaymap);

	m->co = co;
	m->again.fn = on_again;
	m->n = co->cfg->derp_urls.n;
	m->sources = mem_new_n(struct source, m->n + 1);
	for (size_t i = 0; i < m->n; i++)
		m->sources[i] = (struct source){ .all = m, .url = co->cfg->derp_urls.v[i] };
	*ret = m;
	if (m->n)
		ev_timer_after(co->ev, &m->again, 0);
	return put_in_force(m);
}

void relaymap_free(struct relaymap *m)
{
	if (!m)
		return;
	ev_timer_stop(m->co->ev, &m->again);
	for (size_t i = 0; i < m->n; i++) {
		fetch_cancel(m->sources[i].fetch);
		buf_done(&m->sources[i].text);
	}
	relay_names_free(m->names);
	free(m->published);
	free(m->sources);
	free(m);
}

void relaymap_reload(struct relaymap *m)
{
	(void)put_in_force(m);
}

void relaymap_bootstrap_dns(struct coord_call *c)
{
	const struct names *names = c->co->relaymap->names;
	const struct buf *found = NULL;
	struct form query;
	const char *q = NULL;

	if (form_parse(&c->req->arena, c->req->query, &query) == 0)
		q = form_get(&query, "q");
	if (q)
		found = relay_names_find(names, span_str(q));
	coord_answer_json(c->req, 200, buf_span(found ? found : relay_names_published(names)));
}
