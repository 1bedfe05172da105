#include "coordinator/api.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/err.h"
#include "coordinator/admin.h"
#include "coordinator/api_op.h"
#include "platform/http_server.h"

void api_answer_done(struct api_answer *a)
{
	buf_done(&a->body);
	arena_done(&a->arena);
}

int api_refuse(struct api_op *o, int r, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(o->why.message, sizeof(o->why.message), fmt, ap);
	va_end(ap);
	return r;
}

/* ---- arguments ---- */

/* "displayName" as "display_name". */
static void snake(const char *camel, char dst[static 64])
{
	size_t n = 0;

	for (; *camel && n < 62; camel++) {
		bool upper = *camel >= 'A' && *camel <= 'Z';

		if (upper)
			dst[n++] = '_';
		dst[n++] = (char)(upper ? *camel - 'A' + 'a' : *camel);
	}
	dst[n] = 0;
}

static const struct js *member(const struct api_op *o, const char *name)
{
	const struct js *v = js_get(o->body, name);
	char other[64];

	if (v)
		return v;
	snake(name, other);
	return js_get(o->body, other);
}

static struct span from_query(const struct api_op *o, const char *name)
{
	const char *v = form_get(&o->query, name);
	char other[64];

	snake(name, other);
	if (!v)
		v = form_get(&o->query, other);
	return span_str(v ? v : "");
}

struct span api_arg(const struct api_op *o, const char *name)
{
	const char *in_path = route_param(o->match, name);
	const struct js *v = member(o, name);

	if (in_path)
		return span_str(in_path);
	if (v && (v->kind == JS_STRING || v->kind == JS_NUMBER))
		return v->text;
	return from_query(o, name);
}

bool api_arg_true(const struct api_op *o, const char *name)
{
	const struct js *v = member(o, name);

	return v ? js_truth(v, false) : span_is(from_query(o, name), "true");
}

int api_arg_id(struct api_op *o, const char *name, uint64_t *ret)
{
	struct span text = api_arg(o, name);

	*ret = 0;
	if (text.n && span_u64(text, INT64_MAX, ret) < 0)
		return api_refuse(o, ERR_MALFORMED, "%s: not an id: %.*s", name,
		                  SPAN_FMT(span_first(text, 40)));
	return 0;
}

int api_arg_time(struct api_op *o, const char *name, wall *ret)
{
	struct span text = api_arg(o, name);

	*ret = (wall){ 0 };
	if (text.n && wall_parse(text, ret) < 0)
		return api_refuse(o, ERR_MALFORMED, "%s: not a time: %.*s", name,
		                  SPAN_FMT(span_first(text, 40)));
	return 0;
}

const struct js *api_arg_list(const struct api_op *o, const char *name)
{
	const struct js *v = member(o, name);

	return v && v->kind == JS_ARRAY ? v : NULL;
}

/* ---- failures ---- */

static const struct {
	int error;
	unsigned status, code; /* of HTTP, of gRPC */
	const char *title;
} FAILURES[] = {
	{ ERR_MALFORMED, 400, 3, "Bad Request" }, { ERR_UNKNOWN, 404, 5, "Not Found" },
	{ ERR_EXISTS, 409, 6, "Conflict" },       { ERR_LIMIT, 413, 8, "Content Too Large" },
	{ ERR_DENIED, 403, 7, "Forbidden" },      { ERR_AUTH, 401, 16, "Unauthorized" },
	{ ERR_BADSTATE, 409, 9, "Conflict" },
};

static void write_failure(const struct api_request *req, struct api_answer *ret, unsigned status,
                          unsigned code, const char *title, const char *why)
{
	bool problem = strstr(arena_str(&ret->arena, req->accept), "application/problem+json") !=
	               NULL;
	struct js_wr w = js_wr_of(&ret->body);

	buf_clear(&ret->body);
	ret->status = status;
	ret->type = problem ? "application/problem+json" : "application/json";
	js_wr_open(&w, JS_OBJECT);
	if (problem) {
		js_wr_kv_str(&w, "title", title);
		js_wr_kv_int(&w, "status", status);
		js_wr_kv_str(&w, "detail", why);
	} else {
		js_wr_kv_int(&w, "code", code);
		js_wr_kv_str(&w, "message", why);
		js_wr_key(&w, "details");
		js_wr_open(&w, JS_ARRAY);
		js_wr_close(&w, JS_ARRAY);
	}
	js_wr_close(&w, JS_OBJECT);
}

static void fail(const struct api_request *req, struct api_answer *ret, int error, const char *why)
{
	const char *text = why && *why ? why : err_text(error);

	for (size_t i = 0; i < ARRAY_LEN(FAILURES); i++)
		if (FAILURES[i].error == error) {
			write_failure(req, ret, FAILURES[i].status, FAILURES[i].code,
			              FAILURES[i].title, text);
			return;
		}
	write_failure(req, ret, 500, 2, "Internal Server Error", text);
}

/* ---- who asks ---- */

static bool admit(struct api_op *o, enum api_access access)
{
	struct span a = span_trim(o->req->authorization);
	const struct api_key *key = NULL;

	(void)snprintf(o->actor, sizeof(o->actor), "%s",
	               o->req->socket ? o->req->socket : "socket");
	if (access == API_OPEN || o->req->local)
		return true;
	if (a.n < 7 || !span_is_nocase(span_first(a, 7), "Bearer "))
		return false;
	if (state_api_key_verify(o->st, span_trim(span_from(a, 7)), o->req->now, &key) < 0)
		return false;
	(void)snprintf(o->actor, sizeof(o->actor), "api:%s", key->prefix);
	return true;
}

/* ---- a call ---- */

static int read_arguments(struct api_op *o)
{
	struct js *body = NULL;

	if (form_parse(o->arena, o->req->query, &o->query) < 0)
		return api_refuse(o, ERR_MALFORMED, "the query is malformed");
	if (span_trim(o->req->body).n == 0)
		return 0;
	if (js_parse(o->arena, o->req->body, false, &body, &o->why) < 0)
		return ERR_MALFORMED;
	if (body->kind != JS_OBJECT)
		return api_refuse(o, ERR_MALFORMED, "the body must be a JSON object");
	o->body = body;
	return 0;
}

static void run(struct api_op *o, const struct api_row *row, struct api_answer *ret)
{
	int r = read_arguments(o);

	js_wr_open(&o->w, JS_OBJECT);
	if (r == 0)
		r = row->run(o);
	if (r < 0) {
		fail(o->req, ret, r, o->why.message);
		return;
	}
	if (o->later) {
		ret->question = o->question;
		return;
	}
	if (!o->type)
		js_wr_close(&o->w, JS_OBJECT);
	ret->status = 200;
	ret->type = o->type ? o->type : "application/json";
}

void api_call(const struct api_env *env, const struct api_request *req, struct api_answer *ret)
{
	struct route_match match;
	struct api_op o = { .env = env,
		            .st = env->st,
		            .req = req,
		            .match = &match,
		            .arena = &ret->arena,
		            .raw = &ret->body };
	int r = route_find(api_rows, api_rows_n, sizeof(api_rows[0]), req->method, req->path,
	                   &ret->arena, &match, &ret->allow);
	const struct api_row *row = r == 0 ? match.row : NULL;

	o.w = js_wr_of(&ret->body);
	/* Who has no key learns nothing, not even which paths there are. */
	if (!req->local && !throttle_has(env->guesses, &req->from, req->now)) {
		write_failure(req, ret, 429, 8, "Too Many Requests",
		              "too many wrong keys: wait a minute");
	} else if (!admit(&o, row ? row->access : API_KEY)) {
		(void)throttle_take(env->guesses, &req->from, req->now);
		ret->status = 401;
		ret->type = "text/plain";
		buf_add_str(&ret->body, "Unauthorized");
	} else if (row) {
		run(&o, row, ret);
	} else if (r == ERR_DENIED) {
		write_failure(req, ret, 405, 12, "Method Not Allowed", "method not allowed");
	} else {
		fail(req, ret, r, "not found");
	}
}

/* ---- over HTTP ---- */

struct serving {
	const struct api_env *env;
	bool local;
	wall now;
};

static void send(struct http_req *req, const struct api_answer *a)
{
	if (a->status == 405 && a->allow)
		http_put_field(req, "Allow", a->allow);
	if (a->status == 401)
		http_put_field(req, "WWW-Authenticate", "Bearer");
	http_answer(req, a->status, a->type, buf_span(&a->body));
}

/* The node that was asked does not answer. */
static void refuse_later(struct http_req *req, int error, const char *why)
{
	struct api_request r = { .accept = http_find(req->head, "Accept") };
	struct api_answer a = { 0 };

	fail(&r, &a, error, why);
	send(req, &a);
	api_answer_done(&a);
}

static void on_body(struct http_req *req, void *arg, struct span body)
{
	const struct serving *s = arg;
	struct api_answer a = { 0 };
	char actor[64];
	struct api_request r = { .method = req->head->method,
		                 .path = req->path,
		                 .query = req->query,
		                 .authorization = http_find(req->head, "Authorization"),
		                 .accept = http_find(req->head, "Accept"),
		                 .body = body,
		                 .local = s->local,
		                 .socket = s->local ? admin_actor(req, actor) : NULL,
		                 .from = req->from.ip,
		                 .now = s->now };

	api_call(s->env, &r, &a);
	if (!a.status)
		s->env->ask(s->env->arg, req, &a.question, refuse_later);
	else
		send(req, &a);
	api_answer_done(&a);
}

static void on_gone(struct http_req *req, void *arg)
{
	(void)req;
	(void)arg;
}

void api_http(const struct api_env *env, struct http_req *req, bool local, wall now)
{
	struct serving *s = arena_new(&req->arena, struct serving);
	struct http_later later = { .gone = on_gone, .arg = s };

	*s = (struct serving){ env, local, now };
	http_answer_later(req, &later);
	http_read_body(req, API_BODY_MAX, on_body, s);
}
