/* An administrator asks a node something (c2n.h). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/json.h"
#include "coordinator/admin.h"
#include "coordinator/c2n.h"

enum { ASK_TIMEOUT_US = 4500 * 1000 };

typedef void refuse_fn(struct http_req *req, int error, const char *why);

struct asking {
	struct http_req *req;
	struct c2n_call *call;
	refuse_fn *refuse;
};

bool question_valid(const struct question *q)
{
	for (size_t i = 0; i < q->path.n; i++)
		if (q->path.p[i] <= ' ' || q->path.p[i] >= 0x7f)
			return false;
	return q->path.n && q->path.n <= QUESTION_PATH_MAX && q->path.p[0] == '/' &&
	       q->body.n <= QUESTION_BODY_MAX && (!q->method.n || http_is_token(q->method));
}

static const char *reason(int error)
{
	if (error == ERR_UNKNOWN)
		return "the node is not connected";
	if (error == ERR_TIMEOUT)
		return "the node did not answer in time";
	return err_text(error);
}

static void on_answer(void *owner, const struct c2n_answer *a)
{
	struct asking k = *(struct asking *)owner;
	AUTO_DONE(buf) struct buf out = { 0 };
	struct js_wr w = js_wr_of(&out);

	free(owner);
	if (a->error < 0) {
		k.refuse(k.req, ERR_BADSTATE, reason(a->error));
		return;
	}
	js_wr_open(&w, JS_OBJECT);
	js_wr_kv_int(&w, "status", a->status);
	js_wr_kv_span(&w, "type", a->type);
	js_wr_kv_span(&w, "body", a->body);
	js_wr_close(&w, JS_OBJECT);
	coord_answer_json(k.req, 200, buf_span(&out));
}

static void on_gone(struct http_req *req, void *arg)
{
	struct asking *k = arg;

	(void)req;
	c2n_cancel(k->call);
	free(k);
}

/* Who asked a node to do something. */
static int note(struct coord *co, const struct question *q, const char *method)
{
	AUTO_DONE(buf) struct buf what = { 0 };
	struct js_wr w = js_wr_of(&what);
	char target[40];

	(void)snprintf(target, sizeof(target), "node:%llu", (unsigned long long)q->node);
	js_wr_open(&w, JS_OBJECT);
	js_wr_kv_str(&w, "method", method);
	js_wr_kv_span(&w, "path", q->path);
	js_wr_close(&w, JS_OBJECT);
	return state_note(co->st, q->actor, "node.ask", target, buf_text(&what), ev_wall(co->ev));
}

void admin_ask_node(struct coord *co, struct http_req *req, const struct question *q,
                    refuse_fn *refuse)
{
	const char *method = q->method.n ? arena_str(&req->arena, q->method)
	                     : q->body.n ? "POST"
	                                 : "GET";
	int r = strcmp(method, "GET") == 0 ? 0 : note(co, q, method);

	if (r < 0) {
		refuse(req, r, err_text(r));
		return;
	}
	struct asking *k = mem_new(struct asking);
	struct http_later later = { .gone = on_gone, .arg = k };
	struct c2n_call *call;

	k->req = req;
	k->refuse = refuse;
	http_answer_later(req, &later);
	call = c2n_ask(co->c2n, q->node, method, arena_str(&req->arena, q->path), q->body,
	               ASK_TIMEOUT_US, on_answer, k);
	if (call)
		k->call = call;
}

/* ---- on the Unix socket ---- */

static void refuse(struct http_req *req, int error, const char *why)
{
	AUTO_DONE(buf) struct buf out = { 0 };
	struct js_wr w = js_wr_of(&out);

	js_wr_open(&w, JS_OBJECT);
	js_wr_kv_str(&w, "error", why);
	js_wr_close(&w, JS_OBJECT);
	coord_answer_json(req, error == ERR_MALFORMED ? 400 : 409, buf_span(&out));
}

static void on_body(struct http_req *req, void *arg, struct span body)
{
	struct coord *co = arg;
	char actor[64];
	struct js *args = NULL;

	if (js_parse(&req->arena, body, false, &args, NULL) < 0) {
		refuse(req, ERR_MALFORMED, "malformed request");
		return;
	}
	struct question q = { .node = (uint64_t)js_int(js_get(args, "id"), 0),
		              .method = js_text(js_get(args, "method")),
		              .path = js_text(js_get(args, "path")),
		              .body = js_text(js_get(args, "body")),
		              .actor = admin_actor(req, actor) };

	if (!state_node(co->st, q.node) || !question_valid(&q))
		refuse(req, ERR_MALFORMED,
		       "a node's id and a path such as /debug/health are needed");
	else
		admin_ask_node(co, req, &q, refuse);
}

void admin_ask(struct coord_call *c)
{
	http_read_body(c->req, QUESTION_BODY_MAX + (8 << 10), on_body, c->co);
}
