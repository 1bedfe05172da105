/* Who is who, what the map says, and pings. */
#include <stdio.h>

#include "base/err.h"
#include "node/localapi.h"
#include "node/peerapi.h"

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
	status_write_node(node_map(n), w, node);
	js_wr_key(w, "UserProfile");
	js_wr_value(w, &tc_user_profile_type, u);
	js_wr_key(w, "CapMap");
	engine_write_caps(n, w, node);
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
		http_answer_text(req, 400, "%s 'addr' parameter", who ? "invalid" : "missing");
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

/* False: answered. */
static bool take_id(struct http_req *req, int64_t *ret)
{
	const char *text = api_query(req, "id");

	if (text && tc_id_parse(span_str(text), ret) == 0)
		return true;
	http_answer_text(req, 400, "invalid 'id' parameter");
	return false;
}

static void peer_by_id(struct node *n, struct http_req *req, const struct route_match *m)
{
	const struct netmap *map = node_map(n);
	AUTO_DONE(buf) struct buf body = { 0 };
	struct js_wr w = js_wr_of(&body);
	struct netmap_peer *p;
	int64_t id = 0;

	(void)m;
	if (!take_id(req, &id))
		return;
	p = map ? netmap_peer(map, id) : NULL;
	if (!p) {
		http_answer_text(req, 404, "no peer with ID %lld", (long long)id);
		return;
	}
	status_write_node(map, &w, p->node);
	api_json(req, &body);
}

static void user_profile(struct node *n, struct http_req *req, const struct route_match *m)
{
	const struct netmap *map = node_map(n);
	const struct tc_user_profile *u;
	AUTO_DONE(buf) struct buf body = { 0 };
	int64_t id = 0;

	(void)m;
	if (!take_id(req, &id))
		return;
	u = map ? netmap_user(map, id) : NULL;
	if (!u) {
		http_answer_text(req, 404, "no user with ID %lld", (long long)id);
		return;
	}
	js_encode(&body, &tc_user_profile_type, u);
	api_json(req, &body);
}

/* ---- pings ---- */

static void answer_pong(struct http_req *req, const struct engine_pong *pong)
{
	AUTO_DONE(buf) struct buf body = { 0 };
	struct js_wr w = js_wr_of(&body);

	engine_write_pong(&w, pong);
	api_json(req, &body);
}

/* How long to wait is the asker's to decide: silence is not answered. */
static void on_pong(void *arg, const struct engine_pong *pong)
{
	struct http_req *req = pong->timed_out ? NULL : api_wait_over(arg);

	if (pong->timed_out)
		api_wait_abandon(arg);
	else if (req)
		answer_pong(req, pong);
}

/* A request to a peer's own web service: it answers above IP. */
struct web_ping {
	struct http_req *req;
	struct fetch *fetch;
	struct http_client
		inside; /* of the tunnel: no proxy, and no mark that would lead round it */
	mono sent;
	struct engine_pong pong;
};

static void web_ping_left(struct http_req *req, void *arg)
{
	struct web_ping *p = arg;

	(void)req;
	fetch_cancel(p->fetch);
	free(p);
}

static void on_web_pong(void *owner, int r, const struct fetched *found)
{
	struct web_ping *p = owner;

	p->pong.latency_s = (double)mono_since(p->sent, ev_now(p->inside.ev)) / US_PER_S;
	if (r < 0)
		(void)snprintf(p->pong.err, sizeof(p->pong.err), "%s %s", err_text(r),
		               fetch_error(p->fetch));
	else if (found->status != 200)
		(void)snprintf(p->pong.err, sizeof(p->pong.err), "HTTP status %u", found->status);
	answer_pong(p->req, &p->pong);
	free(p);
}

static void start_web_ping(struct node *n, struct http_req *req, const struct engine_pong *pong)
{
	struct web_ping *p = mem_new(struct web_ping);
	struct http_later later = { .gone = web_ping_left, .arg = p };
	struct fetch_cfg cfg = { .method = "HEAD" };
	AUTO_FREE char *url = str_fmt("%s/", pong->peerapi_url);

	*p = (struct web_ping){ .req = req,
		                .inside = { .ev = n->ev, .resolver = n->resolver },
		                .sent = ev_now(n->ev),
		                .pong = *pong };
	cfg.url = url;
	http_answer_later(req, &later);
	p->fetch = http_fetch(&p->inside, &cfg, on_web_pong, p);
}

static void ping_web(struct node *n, struct http_req *req, const struct ip *ip)
{
	struct engine_pong pong = { .ip = *ip, .node_ip = *ip };
	const struct netmap *map = node_map(n);
	struct netmap_peer *p = map ? netmap_peer_by_ip(map, ip) : NULL;

	if (!p) {
		(void)snprintf(pong.err, sizeof(pong.err), "%s",
		               map ? "no matching peer" : "no netmap");
	} else {
		(void)snprintf(pong.node_name, sizeof(pong.node_name), "%.*s",
		               SPAN_FMT(p->node->name));
		if (!peerapi_url_of(map->self, p->node, pong.peerapi_url))
			(void)snprintf(pong.err, sizeof(pong.err), "no peer API");
	}
	if (pong.err[0])
		answer_pong(req, &pong);
	else
		start_web_ping(n, req, &pong);
}

static void ping(struct node *n, struct http_req *req, const struct route_match *m)
{
	const char *text = api_query(req, "ip"), *type = api_query(req, "type");
	const char *size = api_query(req, "size");
	uint64_t bytes = 0;
	struct ip ip;

	(void)m;
	if (!text || ip_parse(span_str(text), &ip) < 0)
		http_answer_text(req, 400, "%s", text ? "invalid IP" : "missing 'ip' parameter");
	else if (!type || !*type)
		http_answer_text(req, 400, "missing 'type' parameter");
	else if (size && *size && span_u64(span_str(size), 65535, &bytes) < 0)
		http_answer_text(req, 400, "invalid 'size' parameter");
	else if (bytes && strcmp(type, "disco") != 0)
		http_answer_text(req, 400, "'size' parameter is only supported with disco pings");
	else if (strcmp(type, "peerapi") == 0)
		ping_web(n, req, &ip);
	else
		engine_ping(n, &ip, type, (size_t)bytes, on_pong, api_wait(req));
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

#define V0 "/localapi/v0/"
/* clang-format off */
const struct api_row api_who_rows[] = {
	{ { "GET",  V0 "whois" },        API_READ, whois        },
	{ { "GET",  V0 "peer-by-id" },   API_READ, peer_by_id   },
	{ { "GET",  V0 "user-profile" }, API_READ, user_profile },
	{ { "POST", V0 "ping" },         API_ANY,  ping         },
	{ { "GET",  V0 "derpmap" },      API_ANY,  derpmap      },
	{ { "GET",  V0 "dns-config" },   API_READ, dns_config   },
	{ { "GET",  V0 "cert-domains" }, API_READ, cert_domains },
};
/* clang-format on */
const size_t api_who_n = ARRAY_LEN(api_who_rows);
