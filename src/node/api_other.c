/*
 * What this daemon does not do, said so that programs understand it: nothing is
 * served, no files are shared, no certificates fetched, no policy imposed.
 */
#include <stdlib.h>

#include "base/err.h"
#include "node/localapi.h"

enum { SERVE_CONFIG_MAX = 1 << 20 };

#define NO_FILES "{\"error\":\"this node does not share files\"}\n"
/* The tag of a configuration is the SHA-256 of its text; this is that of "null". */
#define NOTHING_SERVED "74234e98afe7498fb5daf1f36ac2d78acc339464f950703b8c019892f982b90b"

static void services(struct node *n, struct http_req *req, const struct route_match *m)
{
	(void)m;
	if (!node_map(n))
		http_answer_text(req, 503, "no netmap");
	else
		http_answer(req, 200, "application/json", SPAN_LIT("{}\n"));
}

static void serve_config(struct node *n, struct http_req *req, const struct route_match *m)
{
	(void)n;
	(void)m;
	http_put_field(req, "Etag", NOTHING_SERVED);
	http_answer(req, 200, "application/json", SPAN_LIT("null"));
}

/* Serving nothing is what this daemon does; asked for that, it has no reason to refuse. */
static void on_serve_config(struct http_req *req, void *arg, struct span body)
{
	struct js *config = NULL;
	bool something = false;

	(void)arg;
	if (js_parse(&req->arena, body, false, &config, NULL) < 0) {
		api_error(req, 400, "decoding config: this is no JSON");
		return;
	}
	for (const struct js *m = js_first(config); m; m = m->next)
		something |= js_first(m) != NULL;
	if (something)
		api_error(req, 500,
		          "updating config: this node does not serve (fairlead has no "
		          "serve and no funnel)");
	else
		api_empty(req, 200);
}

static void set_serve_config(struct node *n, struct http_req *req, const struct route_match *m)
{
	(void)m;
	http_read_body(req, SERVE_CONFIG_MAX, on_serve_config, n);
}

static bool is_cert_domain(const struct tc_dns_config *d, const char *domain)
{
	for (size_t i = 0; d && i < d->cert_domains.n; i++)
		if (span_is(d->cert_domains.v[i], domain))
			return true;
	return false;
}

/* Certificates are for root, the operator, and one user named in the environment. */
static bool may_have_cert(const struct node *n, const struct http_req *req)
{
	const char *user = getenv("TS_PERMIT_CERT_UID");
	struct stream_cred cred;
	uint64_t number;
	uid_t uid;

	if (api_may_write(n, req))
		return true;
	if (!user || !req->stream || stream_cred(req->stream, &cred) < 0)
		return false;
	if (span_u64(span_str(user), UINT32_MAX, &number) == 0)
		return cred.uid == number;
	return machine_user_id(user, &uid) == 0 && cred.uid == uid;
}

static void cert(struct node *n, struct http_req *req, const struct route_match *m)
{
	const struct netmap *map = node_map(n);
	const struct tc_dns_config *d = map ? map->dns : NULL;
	const char *domain = route_param(m, "domain");

	if (!may_have_cert(n, req))
		http_answer_text(req, 403, "cert access denied");
	else if (!d || !d->cert_domains.n)
		http_answer_text(req, 500,
		                 "your Tailscale account does not support getting TLS certs");
	else if (!is_cert_domain(d, domain))
		http_answer_text(req, 500, "invalid domain \"%s\"", domain);
	else
		api_error(req, 500, "this daemon does not obtain certificates");
}

static void drive_shares(struct node *n, struct http_req *req, const struct route_match *m)
{
	const struct netmap *map = node_map(n);

	(void)m;
	if (!map || !tc_cap_find(&map->self->cap_map, "drive:share"))
		http_answer_text(req, 403,
		                 "taildrive sharing not enabled, please add the attribute "
		                 "\"drive:share\" to this node in your ACLs' \"nodeAttrs\" "
		                 "section");
	else
		http_answer_text(req, 501, "this node does not share folders");
}

static void update_check(struct node *n, struct http_req *req, const struct route_match *m)
{
	const struct netmap *map = node_map(n);
	AUTO_DONE(buf) struct buf body = { 0 };

	(void)m;
	if (map && map->client_version)
		js_encode(&body, &tc_client_version_type, map->client_version);
	else
		buf_add_str(&body, "{}");
	api_json(req, &body);
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
#define NOT_HERE(path) { { "*", V0 path }, API_WRITE, NULL, 501, "not supported by this node" }

const struct api_row api_other_rows[] = {
	{ { "GET",  V0 "services" },              API_ANY,   services },
	{ { "GET",  V0 "serve-config" },          API_READ,  serve_config },
	{ { "POST", V0 "serve-config" },          API_WRITE, set_serve_config },
	{ { "GET",  V0 "cert/{domain}" },         API_READ,  cert },
	{ { "*",    V0 "drive/shares" },          API_ANY,   drive_shares },
	{ { "*",    V0 "files/{rest...}" },       API_WRITE, NULL, 500, NO_FILES },
	{ { "GET",  V0 "file-targets" },          API_READ,  NULL, 500, NO_FILES },
	{ { "*",    V0 "file-put/{rest...}" },    API_WRITE, NULL, 500, NO_FILES },
	{ { "GET",  V0 "update/check" },          API_ANY,   update_check },
	{ { "POST", V0 "update/install" },        API_ANY,   NULL, 501, "this daemon is updated by the system's packages" },
	{ { "GET",  V0 "tka/status" },            API_READ,  tka_status },
	{ { "*",    V0 "policy/{scope...}" },     API_READ,  NULL, 200, "{}\n" },
	{ { "GET",  V0 "appc-route-info" },       API_ANY,   NULL, 200, "{}\n" },
	{ { "POST", V0 "upload-client-metrics" }, API_ANY,   NULL, 200, "{}\n" },
	{ { "*",    V0 "routecheck" },            API_ANY,   NULL, 503, "routecheck is not enabled" },
	NOT_HERE("debug-bus-events"),
	NOT_HERE("debug-bus-graph"),
	NOT_HERE("debug-bus-queues"),
	NOT_HERE("debug-capture"),
	NOT_HERE("debug-dial-types"),
	NOT_HERE("debug-optional-features"),
	NOT_HERE("debug-packet-filter-matches"),
	NOT_HERE("debug-packet-filter-rules"),
	NOT_HERE("debug-peer-endpoint-changes"),
	NOT_HERE("debug-peer-relay-sessions"),
	NOT_HERE("debug-portmap"),
	NOT_HERE("debug-rotate-disco-key"),
	{ { "GET",  V0 "logtap" },                API_WRITE, NULL, 501, "not supported by this node: its log is the system's (journalctl -u fairleadd)" },
	NOT_HERE("tka/{what...}"),
	NOT_HERE("drive/fileserver-address"),
	NOT_HERE("dev-set-state-store"),
	{ { "POST", V0 "shutdown" },              API_WRITE, NULL, 403, "shutdown access denied by policy" },
	{ { "GET",  V0 "pprof" },                 API_WRITE, NULL, 503, "not implemented on this platform" },
};
/* clang-format on */
const size_t api_other_n = ARRAY_LEN(api_other_rows);
