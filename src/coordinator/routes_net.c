#include "coordinator/routes_net.h"

#include <string.h>

#include "base/err.h"
#include "base/json.h"
#include "coordinator/admin.h"
#include "coordinator/backup.h"
#include "coordinator/c2n.h"
#include "coordinator/embed.h"
#include "coordinator/front.h"
#include "coordinator/idtoken.h"
#include "coordinator/logins.h"
#include "coordinator/metrics.h"
#include "coordinator/node_rpc.h"
#include "coordinator/noise_link.h"
#include "coordinator/probe.h"
#include "coordinator/relaymap.h"
#include "coordinator/secret.h"
#include "coordinator/sshcheck.h"
#include "coordinator/streams.h"
#include "http/form.h"

/* ---- for everybody ---- */

static void get_key(struct coord_call *c)
{
	struct machine_pub none = { 0 };
	char legacy[KEY_TEXT_MAX], key[KEY_TEXT_MAX];
	struct buf out = { 0 };
	struct js_wr w = js_wr_of(&out);

	js_wr_open(&w, JS_OBJECT);
	js_wr_kv_str(&w, "legacyPublicKey", machine_pub_text(&none, legacy));
	js_wr_kv_str(&w, "publicKey", machine_pub_text(&c->co->noise_pub, key));
	js_wr_close(&w, JS_OBJECT);
	/* A page in a browser that runs a node reads it from another origin. */
	http_put_field(c->req, "Access-Control-Allow-Origin", "*");
	coord_answer_json(c->req, 200, buf_span(&out));
	buf_done(&out);
}

static void get_health(struct coord_call *c)
{
	struct store *s = state_store(c->co->st);
	bool ok = s->ops->ping(s) >= 0;

	http_answer(c->req, ok ? 200 : 500, "application/health+json; charset=utf-8",
	            ok ? SPAN_LIT("{\"status\":\"pass\"}") : SPAN_LIT("{\"status\":\"fail\"}"));
}

/* Web consoles choose by it how they speak to Headscale: it is the contract's version. */
#define CONTRACT "v0.29.2"

static void get_version(struct coord_call *c)
{
	coord_answer_json(c->req, 200,
	                  SPAN_LIT("{\"version\":\"" CONTRACT "\",\"name\":\"fairlead\","
	                           "\"fairlead\":\"" FAIRLEAD_VERSION "\"}"));
}

static void get_robots(struct coord_call *c)
{
	http_answer(c->req, 200, "text/plain", SPAN_LIT("User-agent: *\nDisallow: /"));
}

static void get_root(struct coord_call *c)
{
	http_answer_text(c->req, 200, "fairlead-coordinator %s", FAIRLEAD_VERSION);
}

static void verify_done(struct http_req *req, void *arg, struct span body)
{
	struct coord *co = arg;
	struct node_pub key;
	const struct node *n;
	bool allow;

	if (admit_request_read(&req->arena, body, &key) < 0) {
		http_answer_text(req, 400, "malformed request");
		return;
	}
	n = state_node_by_key(co->st, &key);
	allow = n && n->authorized && !node_expired(n, ev_wall(co->ev));
	coord_answer_json(req, 200,
	                  allow ? SPAN_LIT("{\"Allow\":true}") : SPAN_LIT("{\"Allow\":false}"));
}

enum { VERIFY_MAX = 4096 };

static void post_verify(struct coord_call *c)
{
	http_read_body(c->req, VERIFY_MAX, verify_done, c->co);
}

/* The answer to a PingRequest: the node is alive. */
static void head_ping(struct coord_call *c)
{
	probe_answered(c->co->probe, c->req->query);
	http_answer(c->req, 200, NULL, (struct span){ 0 });
}

const struct coord_route routes_net[] = {
	{ { "GET", "/key" }, get_key },
	{ { "POST", "/ts2021" }, noise_link_upgrade },
	{ { "GET", "/ts2021" }, noise_link_upgrade },
	{ { "GET", "/derp" }, embed_upgrade },
	{ { "GET", "/derp/probe" }, embed_probe },
	{ { "GET", "/derp/latency-check" }, embed_probe },
	{ { "GET", "/bootstrap-dns" }, relaymap_bootstrap_dns },
	{ { "GET", "/health" }, get_health },
	{ { "GET", "/version" }, get_version },
	{ { "GET", "/robots.txt" }, get_robots },
	{ { "GET", "/" }, get_root },
	{ { "POST", "/verify" }, post_verify },
	{ { "GET", "/register/{auth_id}" }, front_register },
	{ { "GET", "/auth/{auth_id}" }, front_register },
	{ { "POST", "/register/confirm/{auth_id}" }, front_confirm },
	{ { "GET", "/oidc/callback" }, front_callback },
	{ { "GET", "/.well-known/openid-configuration" }, idtoken_discovery },
	{ { "GET", "/.well-known/jwks.json" }, idtoken_jwks },
	{ { "GET", "/apple" }, front_clients },
	{ { "GET", "/windows" }, front_clients },
	{ { "*", "/api/v1/{rest...}" }, front_api },
	{ { "*", "/swagger" }, front_api },
	{ { "*", "/swagger/{rest...}" }, front_api },
	{ { "GET", "/machine/ping-response" }, head_ping },
};
const size_t routes_net_n = ARRAY_LEN(routes_net);

/* ---- inside Noise ---- */

/* A call whose body is being read: what the handler needs again when it is there. */
struct noise_body {
	struct coord_call call;
	void (*done)(struct coord_call *c, struct span body);
};

static void body_done(struct http_req *req, void *arg, struct span body)
{
	struct noise_body *b = arg;

	b->call.req = req;
	b->done(&b->call, body);
}

static void with_body(struct coord_call *c, void (*done)(struct coord_call *c, struct span body))
{
	struct noise_body *b = arena_new(&c->req->arena, struct noise_body);

	b->call = *c;
	b->call.match = NULL;
	b->done = done;
	http_read_body(c->req, REQUEST_MAX, body_done, b);
}

static void post_register(struct coord_call *c)
{
	with_body(c, logins_register);
}

static void post_map(struct coord_call *c)
{
	with_body(c, streams_map);
}

static void get_whoami(struct coord_call *c)
{
	char key[KEY_TEXT_MAX];

	http_answer_text(c->req, 200, "%s version %u",
	                 machine_pub_text(noise_link_machine(c->link), key),
	                 noise_link_version(c->link));
}

/* One route each: the body is read, then node_rpc.h. */
#define WITH_BODY(name)                               \
	static void name##_read(struct coord_call *c) \
	{                                             \
		with_body(c, name);                   \
	}
WITH_BODY(node_rpc_set_dns)
WITH_BODY(node_rpc_id_token)
WITH_BODY(node_rpc_attributes)
WITH_BODY(node_rpc_health)
WITH_BODY(node_rpc_audit)
WITH_BODY(node_rpc_feature)

static void no_tailnet_lock(struct coord_call *c)
{
	http_answer_text(c->req, 404, "this server does not offer tailnet lock");
}

static void no_web_client(struct coord_call *c)
{
	http_answer_text(c->req, 404, "this server does not log people in to a node's web page");
}

static void not_offered(struct coord_call *c)
{
	http_answer_text(c->req, 404, "this server does not offer that");
}

const struct coord_route routes_noise[] = {
	{ { "POST", "/machine/register" }, post_register },
	{ { "POST", "/machine/map" }, post_map },
	{ { "GET", "/machine/whoami" }, get_whoami },
	{ { "GET", "/machine/ssh/action/{src}/to/{dst}" }, sshchecks_action },
	{ { "POST", "/machine/c2n/{id}" }, c2n_answered },
	{ { "POST", "/machine/set-dns" }, node_rpc_set_dns_read },
	{ { "POST", "/machine/id-token" }, node_rpc_id_token_read },
	{ { "PATCH", "/machine/set-device-attr" }, node_rpc_attributes_read },
	{ { "POST", "/machine/update-health" }, node_rpc_health_read },
	{ { "POST", "/machine/audit-log" }, node_rpc_audit_read },
	{ { "POST", "/machine/feature/query" }, node_rpc_feature_read },
	{ { "*", "/machine/tka/{rest...}" }, no_tailnet_lock },
	{ { "*", "/machine/webclient/{rest...}" }, no_web_client },
	{ { "*", "/machine/{rest...}" }, not_offered },
};
const size_t routes_noise_n = ARRAY_LEN(routes_noise);

/* ---- for administrators, on the Unix socket ---- */

const struct coord_route routes_local[] = {
	{ { "*", "/api/v1/{rest...}" }, front_api },  { { "GET", "/health" }, get_health },
	{ { "GET", "/version" }, get_version },       { { "POST", "/admin/nodes.ask" }, admin_ask },
	{ { "POST", "/admin/backup" }, backup_call }, { { "POST", "/admin/{op}" }, admin_call },
};
const size_t routes_local_n = ARRAY_LEN(routes_local);

/* ---- for monitoring ---- */

const struct coord_route routes_metrics[] = {
	{ { "GET", "/metrics" }, metrics_get },
	{ { "GET", "/health" }, get_health },
};
const size_t routes_metrics_n = ARRAY_LEN(routes_metrics);
