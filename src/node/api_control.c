/* What only the coordinator can answer: asked there in the node's name, and its answer given as it
 * is. */
#include "base/err.h"
#include "control/capver.h"
#include "node/localapi.h"

enum { ASK_US = 30000000, BODY_MAX = 64 << 10 };

struct asked {
	struct http_req *req;
	struct ctl_call *call;
	const char *success; /* what is answered then; NULL: what the coordinator wrote */
};

static void asker_left(struct http_req *req, void *arg)
{
	struct asked *a = arg;

	(void)req;
	ctl_cancel(a->call);
	free(a);
}

static void on_answer(void *owner, int r, unsigned status, struct span body, int64_t retry)
{
	struct asked *a = owner;
	struct http_req *req = a->req;
	const char *success = a->success;
	AUTO_FREE char *why = NULL;

	(void)retry;
	free(a);
	if (r < 0) {
		why = str_fmt("the coordinator did not answer: %s", err_text(r));
		api_error(req, 500, why);
	} else if (success && status != 200) {
		why = str_fmt("the coordinator refused: status %u: %.*s", status,
		              SPAN_FMT(span_first(span_trim(body), 200)));
		api_error(req, 500, why);
	} else {
		http_answer(req, status, "application/json", success ? span_str(success) : body);
	}
}

struct question {
	const char *method, *path;
	const struct js_type *type;
	const void *message;
	const char *success;
};

static void ask_bytes(struct node *n, struct http_req *req, const struct question *q,
                      struct span body)
{
	struct asked *a = mem_new(struct asked);
	struct http_later later = { .gone = asker_left, .arg = a };
	struct ctl_call_cfg cfg = { .method = q->method,
		                    .path = q->path,
		                    .body = body,
		                    .timeout_us = ASK_US,
		                    .done = on_answer,
		                    .owner = a };

	*a = (struct asked){ .req = req, .success = q->success };
	http_answer_later(req, &later);
	a->call = ctl_call(session_ctl(n->session), &cfg);
}

static void ask(struct node *n, struct http_req *req, const struct question *q)
{
	AUTO_DONE(buf) struct buf body = { 0 };

	js_encode(&body, q->type, q->message);
	ask_bytes(n, req, q, buf_span(&body));
}

/* In whose name we ask; NULL: there is no map, and that was answered. */
static const struct tc_node *asking(struct node *n, struct http_req *req)
{
	const struct netmap *map = node_map(n);

	if (!map)
		http_answer_text(req, 503, "no netmap");
	return map ? map->self : NULL;
}

static void id_token(struct node *n, struct http_req *req, const struct route_match *m)
{
	const char *aud = api_query(req, "aud");
	struct tc_token_request t = { .cap_version = CAPVER_NODE };
	struct question q = { "POST", "/machine/id-token", &tc_token_request_type, &t, NULL };
	const struct tc_node *self = asking(n, req);

	(void)m;
	if (!self)
		return;
	t.audience = aud ? span_trim(span_str(aud)) : span(NULL, 0);
	t.node_key = self->key;
	if (t.audience.n)
		ask(n, req, &q);
	else
		http_answer_text(req, 400, "no audience requested");
}

static void set_dns(struct node *n, struct http_req *req, const struct route_match *m)
{
	const char *name = api_query(req, "name"), *value = api_query(req, "value");
	struct tc_set_dns_request t = { .version = CAPVER_NODE, .type = SPAN_LIT("TXT") };
	struct question q = { "POST", "/machine/set-dns", &tc_set_dns_request_type, &t, "{}\n" };
	const struct tc_node *self = asking(n, req);

	(void)m;
	if (!self)
		return;
	t.node_key = self->key;
	t.name = span_str(name);
	t.value = span_str(value);
	if (name && value)
		ask(n, req, &q);
	else
		http_answer_text(req, 400, "missing 'name' or 'value' parameter");
}

static void query_feature(struct node *n, struct http_req *req, const struct route_match *m)
{
	const char *feature = api_query(req, "feature");
	struct tc_query_feature_request t = { .feature = span_str(feature) };
	struct question q = { "POST", "/machine/feature/query", &tc_query_feature_request_type, &t,
		              NULL };
	const struct tc_node *self;

	(void)m;
	if (!feature || !*feature) {
		http_answer_text(req, 500, "missing feature");
		return;
	}
	self = asking(n, req);
	if (!self)
		return;
	t.node_key = self->key;
	ask(n, req, &q);
}

static void on_attrs(struct http_req *req, void *arg, struct span body)
{
	struct node *n = arg;
	struct tc_set_device_attrs t = { .version = CAPVER_NODE };
	AUTO_FREE char *text = str_fmt("{\"Update\":%.*s}", SPAN_FMT(body));
	struct question q = { "PATCH", "/machine/set-device-attr", &tc_set_device_attrs_type, &t,
		              "{}\n" };
	const struct tc_node *self;
	int r = js_decode(&req->arena, span_str(text), &tc_set_device_attrs_type, &t, NULL);

	if (r < 0) {
		http_answer_text(req, 400, "%s", err_text(r));
		return;
	}
	self = asking(n, req);
	if (!self)
		return;
	t.version = CAPVER_NODE;
	t.node_key = self->key;
	ask(n, req, &q);
}

static void set_attrs(struct node *n, struct http_req *req, const struct route_match *m)
{
	(void)m;
	http_read_body(req, BODY_MAX, on_attrs, n);
}

static void set_expiry_sooner(struct node *n, struct http_req *req, const struct route_match *m)
{
	const char *text = api_query(req, "expiry");
	struct question q = { "POST", "/machine/register", NULL, NULL, "done\n" };
	AUTO_DONE(buf) struct buf body = { 0 };
	uint64_t at;

	(void)m;
	if (!text || span_u64(span_str(text), UINT32_MAX, &at) < 0) {
		http_answer_text(req, 400, "missing 'expiry' parameter, a unix timestamp");
		return;
	}
	if (!asking(n, req))
		return;
	session_put_expiry(n->session, (wall){ (int64_t)at * US_PER_S }, &body);
	ask_bytes(n, req, &q, buf_span(&body));
}

#define V0 "/localapi/v0/"
/* clang-format off */
const struct api_row api_control_rows[] = {
	{ { "GET",   V0 "id-token" },               API_WRITE, id_token      },
	{ { "POST",  V0 "id-token" },               API_WRITE, id_token      },
	{ { "POST",  V0 "set-dns" },                API_WRITE, set_dns       },
	{ { "POST",  V0 "query-feature" },          API_READ,  query_feature },
	{ { "PATCH", V0 "alpha-set-device-attrs" }, API_WRITE, set_attrs     },
	{ { "POST",  V0 "set-expiry-sooner" },      API_WRITE, set_expiry_sooner },
};
/* clang-format on */
const size_t api_control_n = ARRAY_LEN(api_control_rows);
