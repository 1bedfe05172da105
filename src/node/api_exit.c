/* The exit node, switched on and off without being forgotten. */
#include "base/err.h"
#include "node/exits.h"
#include "node/localapi.h"

static bool take_bool(const char *text, bool *ret)
{
	static const char *const yes[] = { "1", "t", "T", "true", "TRUE", "True" };
	static const char *const no[] = { "0", "f", "F", "false", "FALSE", "False" };

	for (size_t i = 0; text && i < ARRAY_LEN(yes); i++) {
		*ret = strcmp(text, yes[i]) == 0;
		if (*ret || strcmp(text, no[i]) == 0)
			return true;
	}
	return false;
}

/* Back to the exit node of before. */
static const char *switch_on(struct prefs *p)
{
	if (p->exit_node_prior.n == 0)
		return ip_is_zero(&p->exit_node_ip) ? "no exit node IP to enable & prior exit node "
		                                      "IP was never resolved an a node"
		                                    : "no prior exit node to enable";
	p->exit_node_id = p->exit_node_prior;
	if (span_starts(p->exit_node_prior, "auto:")) {
		p->auto_exit_node = span_from(p->exit_node_prior, 5);
		p->exit_node_id = SPAN_LIT(EXITS_UNRESOLVED);
	}
	return NULL;
}

static void switch_off(struct prefs *p, struct span automatic)
{
	p->exit_node_prior = automatic.n ? automatic : p->exit_node_id;
	p->exit_node_id = span(NULL, 0);
	p->exit_node_ip = (struct ip){ 0 };
	p->auto_exit_node = span(NULL, 0);
}

static void answer_prefs(struct node *n, struct http_req *req)
{
	AUTO_DONE(buf) struct buf body = { 0 };

	prefs_write_public(&body, node_prefs(n), "\t");
	api_json(req, &body);
}

static void set_enabled(struct node *n, struct http_req *req, const struct route_match *m)
{
	struct prefs p = *node_prefs(n);
	AUTO_FREE char *automatic = str_fmt("auto:%.*s", SPAN_FMT(p.auto_exit_node));
	const char *why = NULL;
	struct fault f = { 0 };
	bool on;
	int r = 0;

	(void)m;
	if (!take_bool(api_query(req, "enabled"), &on)) {
		http_answer_text(req, 400, "invalid 'enabled' parameter");
		return;
	}
	if (on == (p.exit_node_id.n > 0)) {
		answer_prefs(n, req);
		return;
	}
	if (declared_refuses(n, &f) < 0)
		why = f.message;
	else if (on)
		why = switch_on(&p);
	else
		switch_off(&p, p.auto_exit_node.n ? span_str(automatic) : span(NULL, 0));
	if (!why)
		r = node_set_prefs(n, prefs_dup(&p));
	if (why || r < 0)
		http_answer_text(req, 500, "%s", why ? why : err_text(r));
	else
		answer_prefs(n, req);
}

static void suggest(struct node *n, struct http_req *req, const struct route_match *m)
{
	AUTO_DONE(buf) struct buf body = { 0 };
	const struct tc_node *found = NULL;
	struct js_wr w = { .out = &body, .indent = "\t" };

	(void)m;
	if (engine_suggest_exit(n, &found) < 0) {
		api_error(req, 500, "no preferred DERP, try again later");
		return;
	}
	js_wr_open(&w, JS_OBJECT);
	js_wr_kv_span(&w, "ID", found ? found->stable_id : span(NULL, 0));
	js_wr_kv_span(&w, "Name", found ? found->name : span(NULL, 0));
	if (found && found->hostinfo && found->hostinfo->location) {
		AUTO_DONE(buf) struct buf place = { 0 };

		js_encode(&place, &tc_location_type, found->hostinfo->location);
		js_wr_key(&w, "Location");
		js_wr_raw(&w, buf_span(&place));
	}
	js_wr_close(&w, JS_OBJECT);
	api_json(req, &body);
}

#define V0 "/localapi/v0/"
/* clang-format off */
const struct api_row api_exit_rows[] = {
	{ { "GET", V0 "suggest-exit-node" }, API_READ, suggest },
	{ { "POST", V0 "suggest-exit-node" }, API_READ, suggest },
	{ { "POST", V0 "set-use-exit-node-enabled" }, API_WRITE, set_enabled },
};
/* clang-format on */
const size_t api_exit_n = ARRAY_LEN(api_exit_rows);
