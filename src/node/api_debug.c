/* What `debug` and the metrics commands ask. */
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "base/err.h"
#include "base/rand.h"
#include "node/localapi.h"

static void user_metrics(struct node *n, struct http_req *req, const struct route_match *m)
{
	AUTO_DONE(buf) struct buf body = { 0 };

	(void)m;
	engine_write_metrics(n, &body);
	http_answer(req, 200, "text/plain;version=0.0.4;charset=utf-8", buf_span(&body));
}

static void bugreport(struct node *n, struct http_req *req, const struct route_match *m)
{
	time_t now = (time_t)(ev_wall(n->ev).us / US_PER_S);
	struct tm tm;
	char when[32];

	(void)m;
	(void)gmtime_r(&now, &tm);
	(void)strftime(when, sizeof(when), "%Y%m%d%H%M%SZ", &tm);
	http_answer_text(req, 200, "BUG-%s-%s-%016" PRIx64, n->backend_log_id, when, rand_u64());
}

/* ---- debug actions ---- */

static void act_restun(struct node *n, struct http_req *req)
{
	engine_restun(n);
	http_answer_text(req, 200, "done");
}

static void act_reconnect(struct node *n, struct http_req *req)
{
	if (n->session)
		session_link_changed(n->session);
	http_answer_text(req, 200, "done");
}

static void act_break_relays(struct node *n, struct http_req *req)
{
	engine_break_relays(n);
	http_answer_text(req, 200, "done");
}

static void act_forget_map(struct node *n, struct http_req *req)
{
	node_forget_map(n);
	http_answer_text(req, 200, "done");
}

static void act_peer_relays(struct node *n, struct http_req *req)
{
	AUTO_DONE(buf) struct buf body = { 0 };
	struct js_wr w = js_wr_of(&body);

	engine_write_peer_relays(n, &w);
	api_json(req, &body);
}

static void act_state_dir(struct node *n, struct http_req *req)
{
	AUTO_DONE(buf) struct buf body = { 0 };
	struct js_wr w = js_wr_of(&body);

	js_wr_str(&w, n->cfg.state_dir ? n->cfg.state_dir : "");
	api_json(req, &body);
}

static void act_netmap(struct node *n, struct http_req *req)
{
	AUTO_DONE(buf) struct buf body = { 0 };
	struct js_wr w = js_wr_of(&body);

	if (!node_map(n)) {
		http_answer_text(req, 400, "no netmap");
		return;
	}
	status_write_netmap(node_map(n), &w);
	api_json(req, &body);
}

static void act_disco_keys(struct node *n, struct http_req *req)
{
	const struct netmap *m = node_map(n);
	AUTO_DONE(buf) struct buf body = { 0 };
	struct js_wr w = js_wr_of(&body);
	char node[KEY_TEXT_MAX], disco[KEY_TEXT_MAX];

	js_wr_open(&w, JS_OBJECT);
	for (struct netmap_peer *p = m ? netmap_first(m) : NULL; p; p = netmap_next(m, p))
		js_wr_kv_str(&w, node_pub_text(&p->node->key, node),
		             disco_pub_text(&p->node->disco, disco));
	js_wr_close(&w, JS_OBJECT);
	api_json(req, &body);
}

static const struct {
	const char *name;
	void (*fn)(struct node *n, struct http_req *req);
} actions[] = {
	{ "rebind", act_restun },
	{ "restun", act_restun },
	{ "break-tcp-conns", act_reconnect },
	{ "break-derp-conns", act_break_relays },
	{ "clear-netmap-cache", act_forget_map },
	{ "peer-relay-servers", act_peer_relays },
	{ "force-netmap-update", act_reconnect },
	{ "statedir", act_state_dir },
	{ "current-netmap", act_netmap },
	{ "peer-disco-keys", act_disco_keys },
};

static void debug(struct node *n, struct http_req *req, const struct route_match *m)
{
	const char *action = api_query(req, "action");

	(void)m;
	for (size_t i = 0; action && i < ARRAY_LEN(actions); i++)
		if (strcmp(action, actions[i].name) == 0) {
			actions[i].fn(n, req);
			return;
		}
	if (action)
		http_answer_text(req, 400, "not supported by this node: debug action \"%s\"",
		                 action);
	else
		http_answer_text(req, 400, "missing parameter 'action'");
}

/* There is one log: a component's name turns up all of it, for that long. */
static void component_logs(struct node *n, struct http_req *req, const struct route_match *m)
{
	static const char *const known[] = { "magicsock", "sockstats", "syspolicy" };
	const char *component = api_query(req, "component"), *secs = api_query(req, "secs");
	uint64_t s = 0;
	bool is_known = false;

	(void)m;
	for (size_t i = 0; component && i < ARRAY_LEN(known); i++)
		is_known |= strcmp(component, known[i]) == 0;
	if (secs && span_u64(span_str(secs), 86400, &s) < 0)
		s = 0;
	if (!is_known) {
		http_answer(req, 200, "application/json",
		            SPAN_LIT("{\"Error\":\"unknown component\"}\n"));
		return;
	}
	node_debug_log(n, s > 0 ? (int64_t)s * US_PER_S : 0);
	http_answer(req, 200, "application/json", SPAN_LIT("{\"Error\":\"\"}\n"));
}

static void goroutines(struct node *n, struct http_req *req, const struct route_match *m)
{
	(void)n;
	(void)m;
	http_answer_text(req, 200, "one thread, one loop");
}

static void disconnect_control(struct node *n, struct http_req *req, const struct route_match *m)
{
	(void)m;
	if (n->session)
		session_pause(n->session);
	api_empty(req, 200);
}

static void reload_config(struct node *n, struct http_req *req, const struct route_match *m)
{
	AUTO_DONE(buf) struct buf body = { 0 };
	struct js_wr w = js_wr_of(&body);
	struct fault f = { 0 };
	bool done = n->declared && declared_reload(n, &f) == 0;

	(void)m;
	js_wr_open(&w, JS_OBJECT);
	js_wr_kv_bool(&w, "Reloaded", done);
	js_wr_kv_str(&w, "Err", f.message);
	js_wr_close(&w, JS_OBJECT);
	api_json(req, &body);
}

/* ---- for our own command ---- */

static void netcheck(struct node *n, struct http_req *req, const struct route_match *m)
{
	AUTO_DONE(buf) struct buf body = { 0 };
	struct js_wr w = js_wr_of(&body);

	(void)m;
	engine_write_netcheck(n, &w);
	api_json(req, &body);
}

static void hostinfo(struct node *n, struct http_req *req, const struct route_match *m)
{
	AUTO_DONE(buf) struct buf body = { 0 };
	struct tc_hostinfo h = { 0 };

	(void)m;
	node_fill_hostinfo(n, &h);
	js_encode(&body, &tc_hostinfo_type, &h);
	api_json(req, &body);
}

static void paths(struct node *n, struct http_req *req, const struct route_match *m)
{
	const struct netmap *map = node_map(n);
	AUTO_DONE(buf) struct buf body = { 0 };
	struct js_wr w = js_wr_of(&body);
	char key[KEY_TEXT_MAX], why[400];

	(void)m;
	js_wr_open(&w, JS_OBJECT);
	for (struct netmap_peer *p = map ? netmap_first(map) : NULL; p; p = netmap_next(map, p)) {
		engine_why_relayed(n, p->node, why, sizeof(why));
		if (!*why)
			continue;
		js_wr_key(&w, node_pub_text(&p->node->key, key));
		js_wr_open(&w, JS_OBJECT);
		js_wr_kv_str(&w, "WhyRelayed", why);
		js_wr_close(&w, JS_OBJECT);
	}
	js_wr_close(&w, JS_OBJECT);
	api_json(req, &body);
}

#define V0 "/localapi/v0/"
/* clang-format off */
const struct api_row api_debug_rows[] = {
	{ { "GET",  V0 "usermetrics" },        API_ANY,   user_metrics       },
	{ { "GET",  V0 "metrics" },            API_WRITE, user_metrics       },
	{ { "POST", V0 "bugreport" },          API_READ,  bugreport          },
	{ { "POST", V0 "debug" },              API_WRITE, debug              },
	{ { "GET",  V0 "fairlead-hostinfo" }, API_READ, hostinfo },
	{ { "GET",  V0 "fairlead-netcheck" }, API_READ, netcheck },
	{ { "GET",  V0 "fairlead-paths" }, API_READ, paths },
	{ { "POST", V0 "component-debug-logging" }, API_WRITE, component_logs },
	{ { "GET",  V0 "goroutines" },         API_WRITE, goroutines         },
	{ { "POST", V0 "disconnect-control" }, API_WRITE, disconnect_control },
	{ { "POST", V0 "reload-config" },      API_WRITE, reload_config      },
};
/* clang-format on */
const size_t api_debug_n = ARRAY_LEN(api_debug_rows);
