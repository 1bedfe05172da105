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
	int r = prefs_edit(node_prefs(n), body, &p, &f);

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
	struct fault f = { 0 };
	AUTO(prefs_free) struct prefs *p = NULL;
	AUTO_DONE(buf) struct buf out = { 0 };
	struct js_wr w = js_wr_of(&out);
	int r = prefs_parse(body, &p);

	(void)arg;
	if (r < 0) {
		http_answer_text(req, 400, "invalid JSON body");
		return;
	}
	js_wr_open(&w, JS_OBJECT);
	if (prefs_check(p, &f) < 0)
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

/* A request that waits while the coordinator is told; it may leave before. */
struct waiting {
	struct http_req *req; /* NULL: left */
};

static void waiter_left(struct http_req *req, void *arg)
{
	struct waiting *w = arg;

	(void)req;
	w->req = NULL;
}

static void on_logged_out(void *arg, int r)
{
	struct waiting *w = arg;

	if (w->req && r < 0)
		http_answer_text(w->req, 500, "%s", err_text(r));
	else if (w->req)
		api_empty(w->req, 204);
	free(w);
}

static void logout(struct node *n, struct http_req *req, const struct route_match *m)
{
	struct waiting *w = mem_new(struct waiting);
	struct http_later later = { .gone = waiter_left, .arg = w };

	(void)m;
	w->req = req;
	http_answer_later(req, &later);
	node_logout(n, on_logged_out, w);
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

/* ---- who is who ---- */

static const struct tc_node *find_node(const struct netmap *m, const char *who, bool *ret_bad)
{
	struct addr a;
	struct ip ip;
	struct node_pub key;
	struct netmap_peer *p = NULL;

	*ret_bad = false;
	if (node_pub_parse(span_str(who), &key) == 0) {
		p = netmap_peer_by_key(m, &key);
		return p ? p->node : node_pub_eq(&key, &m->self->key) ? m->self : NULL;
	}
	if (addr_parse(span_str(who), &a) == 0) {
		ip = a.ip;
	} else if (ip_parse(span_str(who), &ip) < 0) {
		*ret_bad = true;
		return NULL;
	}
	p = netmap_peer_by_ip(m, &ip);
	return p ? p->node : netmap_self_has_ip(m, &ip) ? m->self : NULL;
}

static void put_caps(struct node *n, struct js_wr *w, const struct tc_node *node)
{
	js_wr_key(w, "CapMap");
	engine_write_caps(n, w, node);
}

static void put_whois(struct node *n, struct js_wr *w, const struct tc_node *node)
{
	static const struct tc_user_profile nobody;
	static const struct tc_user_profile tagged = { .id = 0,
		                                       .login_name = SPAN_LIT("tagged-devices"),
		                                       .display_name = SPAN_LIT("Tagged Devices") };
	const struct tc_user_profile *u = netmap_user(node_map(n), node->user);

	if (!u)
		u = node->tags.n ? &tagged : &nobody;
	js_wr_open(w, JS_OBJECT);
	js_wr_key(w, "Node");
	js_wr_value(w, &tc_node_type, node);
	js_wr_key(w, "UserProfile");
	js_wr_value(w, &tc_user_profile_type, u);
	put_caps(n, w, node);
	js_wr_close(w, JS_OBJECT);
}

static void whois(struct node *n, struct http_req *req, const struct route_match *m)
{
	const char *who = api_query(req, "addr");
	const struct netmap *map = node_map(n);
	bool bad = false;
	const struct tc_node *node = map && who ? find_node(map, who, &bad) : NULL;
	AUTO_DONE(buf) struct buf body = { 0 };
	struct js_wr w = js_wr_of(&body);

	(void)m;
	if (!who || bad) {
		http_answer_text(req, 400, "invalid 'addr' parameter");
		return;
	}
	if (!node) {
		http_answer_text(req, 404, "no match for IP:port");
		return;
	}
	w.indent = "\t";
	put_whois(n, &w, node);
	api_json(req, &body);
}

static void peer_by_id(struct node *n, struct http_req *req, const struct route_match *m)
{
	const char *text = api_query(req, "id");
	const struct netmap *map = node_map(n);
	int64_t id = 0;
	struct netmap_peer *p;
	AUTO_DONE(buf) struct buf body = { 0 };

	(void)m;
	if (!text || tc_id_parse(span_str(text), &id) < 0) {
		http_answer_text(req, 400, "bad id");
		return;
	}
	p = map ? netmap_peer(map, id) : NULL;
	if (!p) {
		http_answer_text(req, 404, "no such peer");
		return;
	}
	js_encode(&body, &tc_node_type, p->node);
	api_json(req, &body);
}

static void user_profile(struct node *n, struct http_req *req, const struct route_match *m)
{
	const char *text = api_query(req, "id");
	const struct netmap *map = node_map(n);
	int64_t id = 0;
	const struct tc_user_profile *u;
	AUTO_DONE(buf) struct buf body = { 0 };

	(void)m;
	if (!text || tc_id_parse(span_str(text), &id) < 0) {
		http_answer_text(req, 400, "bad id");
		return;
	}
	u = map ? netmap_user(map, id) : NULL;
	if (!u) {
		http_answer_text(req, 404, "no such user");
		return;
	}
	js_encode(&body, &tc_user_profile_type, u);
	api_json(req, &body);
}

/* ---- ping ---- */

static void on_ping(void *arg, const struct engine_pong *pong)
{
	struct waiting *x = arg;
	AUTO_DONE(buf) struct buf body = { 0 };
	struct js_wr w = js_wr_of(&body);

	if (x->req) {
		engine_write_pong(&w, pong);
		api_json(x->req, &body);
	}
	free(x);
}

static void ping(struct node *n, struct http_req *req, const struct route_match *m)
{
	const char *text = api_query(req, "ip"), *type = api_query(req, "type");
	const char *size = api_query(req, "size");
	uint64_t bytes = 0;
	struct ip ip;
	struct waiting *x;
	struct http_later later = { .gone = waiter_left };

	(void)m;
	if (!text || ip_parse(span_str(text), &ip) < 0) {
		http_answer_text(req, 400, "invalid 'ip' parameter");
		return;
	}
	if (!type || !*type) {
		http_answer_text(req, 400, "missing 'type' parameter");
		return;
	}
	if (size && span_u64(span_str(size), 65535, &bytes) < 0) {
		http_answer_text(req, 400, "invalid 'size' parameter");
		return;
	}
	x = mem_new(struct waiting);
	x->req = req;
	later.arg = x;
	http_answer_later(req, &later);
	engine_ping(n, &ip, type, (size_t)bytes, on_ping, x);
}

/* ---- parts of the map ---- */

static void answer_part(struct http_req *req, const struct js_type *t, const void *at)
{
	AUTO_DONE(buf) struct buf body = { 0 };

	if (at)
		js_encode(&body, t, at);
	else
		buf_add_str(&body, "null");
	api_json(req, &body);
}

static void derpmap(struct node *n, struct http_req *req, const struct route_match *m)
{
	const struct netmap *map = node_map(n);

	(void)m;
	answer_part(req, &tc_derp_map_type, map ? map->derp_map : NULL);
}

static void dns_config(struct node *n, struct http_req *req, const struct route_match *m)
{
	static const struct tc_dns_config none;
	const struct netmap *map = node_map(n);

	(void)m;
	if (!map)
		http_answer_text(req, 503, "no netmap");
	else
		answer_part(req, &tc_dns_config_type, map->dns ? map->dns : &none);
}

static void cert_domains(struct node *n, struct http_req *req, const struct route_match *m)
{
	const struct netmap *map = node_map(n);
	const struct tc_dns_config *d = map ? map->dns : NULL;

	(void)m;
	answer_part(req, &js_t_strs, d && d->cert_domains.n ? &d->cert_domains : NULL);
}

static void answer_literal(struct http_req *req, const char *json)
{
	http_answer(req, 200, "application/json", span_str(json));
}

static void no_warning(struct node *n, struct http_req *req, const struct route_match *m)
{
	(void)n;
	(void)m;
	answer_literal(req, "{\"Warning\":\"\"}\n");
}

static void services(struct node *n, struct http_req *req, const struct route_match *m)
{
	(void)m;
	if (!node_map(n))
		http_answer_text(req, 503, "no netmap");
	else
		answer_literal(req, "{}\n");
}

/* Nothing is served: the configuration of nothing, with its tag. */
static void serve_config(struct node *n, struct http_req *req, const struct route_match *m)
{
	(void)n;
	(void)m;
	http_put_field(req, "Etag",
	               "74234e98afe7498fb5daf1f36ac2d78acc339464f950703b8c019892f982b90b");
	answer_literal(req, "null");
}

static void client_metrics(struct node *n, struct http_req *req, const struct route_match *m)
{
	(void)n;
	(void)m;
	answer_literal(req, "{}\n");
}

static void tka_status(struct node *n, struct http_req *req, const struct route_match *m)
{
	const struct persist *p = node_prefs(n)->persist;
	AUTO_DONE(buf) struct buf body = { 0 };
	struct js_wr w = js_wr_of(&body);
	struct lock_pub pub = { { 0 } };
	char text[KEY_TEXT_MAX];

	(void)m;
	if (p)
		lock_priv_public(&p->lock_key, &pub);
	js_wr_open(&w, JS_OBJECT);
	js_wr_kv_bool(&w, "Enabled", false);
	js_wr_key(&w, "Head");
	js_wr_null(&w);
	js_wr_kv_str(&w, "PublicKey", lock_pub_text(&pub, text));
	js_wr_key(&w, "NodeKey");
	js_wr_null(&w);
	js_wr_kv_bool(&w, "NodeKeySigned", false);
	js_wr_close(&w, JS_OBJECT);
	api_json(req, &body);
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
	{ { "GET",   V0 "whois" },                   API_READ,  whois             },
	{ { "GET",   V0 "peer-by-id" },              API_READ,  peer_by_id        },
	{ { "GET",   V0 "user-profile" },            API_READ,  user_profile      },
	{ { "POST",  V0 "ping" },                    API_ANY,   ping              },
	{ { "GET",   V0 "derpmap" },                 API_ANY,   derpmap           },
	{ { "GET",   V0 "dns-config" },              API_READ,  dns_config        },
	{ { "GET",   V0 "cert-domains" },            API_READ,  cert_domains      },
	{ { "GET",   V0 "services" },                API_ANY,   services          },
	{ { "GET",   V0 "serve-config" },            API_READ,  serve_config      },
	{ { "GET",   V0 "check-ip-forwarding" },     API_READ,  no_warning        },
	{ { "GET",   V0 "check-udp-gro-forwarding" }, API_READ, no_warning        },
	{ { "POST",  V0 "upload-client-metrics" },   API_ANY,   client_metrics    },
	{ { "GET",   V0 "tka/status" },              API_READ,  tka_status        },
};
/* clang-format on */
const size_t api_core_n = ARRAY_LEN(api_core_rows);
