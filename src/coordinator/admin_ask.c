/* POST /admin/nodes.ask: an administrator asks a node something (c2n.h). */
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/json.h"
#include "coordinator/admin.h"
#include "coordinator/c2n.h"

enum { ASK_BODY_MAX = 64 << 10, ASK_TIMEOUT_US = 4500 * 1000, PATH_MAX_LEN = 512 };

struct asking {
	struct http_req *req;
	struct c2n_call *call;
};

static void refuse(struct http_req *req, unsigned status, const char *why)
{
	AUTO_DONE(buf) struct buf out = { 0 };
	struct js_wr w = js_wr_of(&out);

	js_wr_open(&w, JS_OBJECT);
	js_wr_kv_str(&w, "error", why);
	js_wr_close(&w, JS_OBJECT);
	coord_answer_json(req, status, buf_span(&out));
}

static void give_up(struct http_req *req, int error)
{
	if (error == ERR_UNKNOWN)
		refuse(req, 409, "the node is not connected");
	else if (error == ERR_TIMEOUT)
		refuse(req, 409, "the node did not answer in time");
	else
		refuse(req, 409, err_text(error));
}

static void on_answer(void *owner, const struct c2n_answer *a)
{
	struct asking *k = owner;
	struct http_req *req = k->req;
	AUTO_DONE(buf) struct buf out = { 0 };
	struct js_wr w = js_wr_of(&out);

	free(k);
	if (a->error < 0) {
		give_up(req, a->error);
		return;
	}
	js_wr_open(&w, JS_OBJECT);
	js_wr_kv_int(&w, "status", a->status);
	js_wr_kv_span(&w, "type", a->type);
	js_wr_kv_span(&w, "body", a->body);
	js_wr_close(&w, JS_OBJECT);
	coord_answer_json(req, 200, buf_span(&out));
}

static void on_gone(struct http_req *req, void *arg)
{
	struct asking *k = arg;

	(void)req;
	c2n_cancel(k->call);
	free(k);
}

/* Goes into a request line. */
static bool is_path(struct span s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] <= ' ' || s.p[i] >= 0x7f)
			return false;
	return s.n && s.n <= PATH_MAX_LEN && s.p[0] == '/';
}

static void ask(struct coord *co, struct http_req *req, const struct js *q)
{
	struct span path = js_text(js_get(q, "path")), body = js_text(js_get(q, "body"));
	struct span method = js_text(js_get(q, "method"));
	uint64_t id = (uint64_t)js_int(js_get(q, "id"), 0);
	struct asking *k;
	struct http_later later = { .gone = on_gone };
	struct c2n_call *call;

	if (!state_node(co->st, id) || !is_path(path) || (method.n && !http_is_token(method))) {
		refuse(req, 400, "a node's id and a path such as /debug/health are needed");
		return;
	}
	k = mem_new(struct asking);
	k->req = req;
	later.arg = k;
	http_answer_later(req, &later);
	call = c2n_ask(co->c2n, id,
	               method.n ? arena_str(&req->arena, method)
	               : body.n ? "POST"
	                        : "GET",
	               arena_str(&req->arena, path), body, ASK_TIMEOUT_US, on_answer, k);
	if (call)
		k->call = call;
}

static void on_body(struct http_req *req, void *arg, struct span body)
{
	struct js *q = NULL;

	if (js_parse(&req->arena, body, false, &q, NULL) < 0)
		refuse(req, 400, "malformed request");
	else
		ask(arg, req, q);
}

void admin_ask(struct coord_call *c)
{
	http_read_body(c->req, ASK_BODY_MAX, on_body, c->co);
}
