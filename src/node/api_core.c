/* Status, preferences, login, the bus, who is who. */
#include <stdlib.h>

#include "base/err.h"
#include "node/localapi.h"

enum { BODY_MAX = 1 << 20 };

/* ---- status ---- */

static void get_status(struct node *n, struct http_req *req, const struct route_match *m)
{
	const char *peers = api_query(req, "peers");
	AUTO_DONE(buf) struct buf body = { 0 };
	struct js_wr w = js_wr_of(&body);

	(void)m;
	w.indent = "\t";
	status_write(n, &w, !peers || strcmp(peers, "false") != 0);
	api_json(req, &body);
}

/* ---- preferences ---- */

static void answer_prefs(struct node *n, struct http_req *req)
{
	AUTO_DONE(buf) struct buf body = { 0 };

	prefs_write_public(&body, node_prefs(n), "\t");
	api_json(req, &body);
}

static void get_prefs(struct node *n, struct http_req *req, const struct route_match *m)
{
	(void)m;
	answer_prefs(n, req);
}

static void bad_json(struct http_req *req, const struct fault *f)
{
	http_answer_text(req, 400, "invalid JSON: line %u column %u: %s", f->line, f->column,
	                 f->message);
}

static void refuse_edit(struct http_req *req, const char *why)
{
	AUTO_DONE(buf) struct buf body = { 0 };
	struct js_wr w = js_wr_of(&body);

	js_wr_open(&w, JS_OBJECT);
	js_wr_kv_str(&w, "Error", why);
	js_wr_close(&w, JS_OBJECT);
	http_answer(req, 400, "application/json", buf_span(&body));
}

static void on_prefs_body(struct http_req *req, void *arg, struct span body)
{
	struct node *n = arg;
	struct fault f = { 0 };
	struct prefs *p = NULL;
	int r = declared_refuses(n, &f);

	if (r == 0)
		r = prefs_edit(node_prefs(n), body, &p, &f);

	if (r == ERR_DENIED) {
		refuse_edit(req, f.message);
		return;
	}
	if (r < 0) {
		bad_json(req, &f);
		return;
	}
	r = node_set_prefs(n, p);
	if (r == ERR_EXISTS)
		refuse_edit(req, "profile name already in use");
	else if (r < 0)
		api_error(req, 500, err_text(r));
	else
		answer_prefs(n, req);
}

static void patch_prefs(struct node *n, struct http_req *req, const struct route_match *m)
{
	(void)m;
	http_read_body(req, BODY_MAX, on_prefs_body, n);
}

static void on_check_body(struct http_req *req, void *arg, struct span body)
{
	struct node *n = arg;
	struct fault f = { 0 };
	AUTO(prefs_free) struct prefs *p = NULL;
	AUTO_DONE(buf) struct buf out = { 0 };
	struct js_wr w = js_wr_of(&out);
	int r = prefs_parse(body, &p);

	if (r < 0) {
		http_answer_text(req, 400, "invalid JSON body");
		return;
	}
	js_wr_open(&w, JS_OBJECT);
	if (declared_refuses(n, &f) < 0 || prefs_check(p, &f) < 0)
		js_wr_kv_str(&w, "Error", f.message);
	js_wr_close(&w, JS_OBJECT);
	api_json(req, &out);
}

static void check_prefs(struct node *n, struct http_req *req, const struct route_match *m)
{
	(void)m;
	http_read_body(req, BODY_MAX, on_check_body, n);
}

/* ---- login ---- */

/* The given preferences with the identity there is. */
static int take_update(struct node *n, struct span json, struct prefs **ret, struct fault *f)
{
	AUTO(prefs_free) struct prefs *given = NULL;
	struct persist *own;
	int r = prefs_parse(json, &given);

	if (r < 0)
		return r;
	r = declared_refuses(n, f);
	if (r == 0)
		r = prefs_check(given, f);
	if (r < 0)
		return r;
	own = given->persist;
	given->persist = node_prefs(n)->persist;
	*ret = prefs_dup(given);
	given->persist = own;
	return 0;
}

struct start_options {
	struct span frontend_log_id, update_prefs, auth_key;
};

/* clang-format off */
static const struct js_row start_rows[] = {
	{ "FrontendLogID", &js_t_str, offsetof(struct start_options, frontend_log_id) },
	{ "UpdatePrefs",   &js_t_raw, offsetof(struct start_options, update_prefs)    },
	{ "AuthKey",       &js_t_str, offsetof(struct start_options, auth_key)        },
	{ 0 },
};
/* clang-format on */
static const struct js_type start_type = JS_STRUCT_OF("Options", struct start_options, start_rows);

static void on_start_body(struct http_req *req, void *arg, struct span body)
{
	struct node *n = arg;
	struct start_options o;
	struct fault f = { 0 };
	struct prefs *p = NULL;
	AUTO_FREE char *key = NULL;
	int r = js_decode(&req->arena, body, &start_type, &o, &f);

	if (r < 0) {
		bad_json(req, &f);
		return;
	}
	if (o.update_prefs.n && !span_is(o.update_prefs, "null"))
		r = take_update(n, o.update_prefs, &p, &f);
	if (r < 0) {
		http_answer_text(req, r == ERR_DENIED ? 500 : 400, "%s",
		                 f.message[0] ? f.message : err_text(r));
		return;
	}
	key = span_dup(o.auth_key);
	r = node_restart(n, p, key);
	explicit_bzero(key, strlen(key));
	if (r < 0)
		http_answer_text(req, 500, "%s", err_text(r));
	else
		api_empty(req, 204);
}

static void start(struct node *n, struct http_req *req, const struct route_match *m)
{
	(void)m;
	http_read_body(req, BODY_MAX, on_start_body, n);
}

static void login_interactive(struct node *n, struct http_req *req, const struct route_match *m)
{
	(void)m;
	node_login(n);
	api_empty(req, 204);
}

static void on_logged_out(void *arg, int r)
{
	struct http_req *req = api_wait_over(arg);

	if (req && r < 0)
		http_answer_text(req, 500, "%s", err_text(r));
	else if (req)
		api_empty(req, 204);
}

static void logout(struct node *n, struct http_req *req, const struct route_match *m)
{
	(void)m;
	node_logout(n, on_logged_out, api_wait(req));
}

static void reset_auth(struct node *n, struct http_req *req, const struct route_match *m)
{
	(void)m;
	while (profiles_n(n->profiles)) {
		AUTO_FREE char *id = span_dup(profiles_at(n->profiles, 0)->id);

		if (node_remove_profile(n, span_str(id)) < 0)
			break;
	}
	api_empty(req, 204);
}

/* ---- the bus ---- */

static void watch(struct node *n, struct http_req *req, const struct route_match *m)
{
	const char *text = api_query(req, "mask");
	uint64_t mask = 0;

	(void)m;
	if (text && *text && span_u64(span_str(text), UINT32_MAX, &mask) < 0) {
		http_answer_text(req, 400, "bad mask");
		return;
	}
	if ((mask & BUS_IN_PROCESS) ||
	    ((mask & BUS_RATE_LIMIT) &&
	     (mask & (BUS_PEER_CHANGES | BUS_NO_NETMAP | BUS_INITIAL_STATUS | BUS_PEER_PATCHES)))) {
		http_answer_text(req, 400, "these watch options do not go together");
		return;
	}
	if (n->bus.n >= BUS_WATCHERS_MAX) {
		http_answer_text(req, 503, "too many watchers");
		return;
	}
	bus_watch(n, req, (unsigned)mask);
}

#define V0 "/localapi/v0/"
/* clang-format off */
const struct api_row api_core_rows[] = {
	{ { "GET",   V0 "status" },                  API_READ,  get_status        },
	{ { "GET",   V0 "prefs" },                   API_READ,  get_prefs         },
	{ { "PATCH", V0 "prefs" },                   API_WRITE, patch_prefs       },
	{ { "POST",  V0 "check-prefs" },             API_WRITE, check_prefs       },
	{ { "POST",  V0 "start" },                   API_WRITE, start             },
	{ { "POST",  V0 "login-interactive" },       API_WRITE, login_interactive },
	{ { "POST",  V0 "logout" },                  API_WRITE, logout            },
	{ { "POST",  V0 "reset-auth" },              API_WRITE, reset_auth        },
	{ { "GET",   V0 "watch-ipn-bus" },           API_READ,  watch             },
};
/* clang-format on */
const size_t api_core_n = ARRAY_LEN(api_core_rows);
