#include "node/localapi.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/err.h"
#include "base/file.h"
#include "base/log.h"
#include "control/capver.h"
#include "http/url.h"

/* ---- answers ---- */

const char *api_query(struct http_req *req, const char *name)
{
	struct span rest = req->query, pair;

	while (span_cut(&rest, '&', &pair)) {
		size_t eq = span_find(pair, '=');
		struct buf text = { 0 };
		char *value = NULL;

		if (!span_is(span_first(pair, eq), name))
			continue;
		if (url_decode(span_from(pair, eq + 1), URL_PLUS_IS_SPACE, &text) == 0)
			value = arena_str(&req->arena, buf_span(&text));
		buf_done(&text);
		return value;
	}
	return NULL;
}

void api_json(struct http_req *req, struct buf *body)
{
	buf_add_u8(body, '\n');
	http_answer(req, 200, "application/json", buf_span(body));
}

void api_error(struct http_req *req, unsigned status, const char *text)
{
	AUTO_DONE(buf) struct buf body = { 0 };
	struct js_wr w = js_wr_of(&body);

	js_wr_open(&w, JS_OBJECT);
	js_wr_kv_str(&w, "error", text);
	js_wr_close(&w, JS_OBJECT);
	buf_add_u8(&body, '\n');
	http_answer(req, status, "application/json", buf_span(&body));
}

void api_empty(struct http_req *req, unsigned status)
{
	http_answer(req, status, NULL, span(NULL, 0));
}

/* ---- answering later ---- */

struct api_waiter {
	struct http_req *req; /* NULL: left */
	bool abandoned;
};

static void waiter_left(struct http_req *req, void *arg)
{
	struct api_waiter *w = arg;

	(void)req;
	w->req = NULL;
	if (w->abandoned)
		free(w);
}

struct api_waiter *api_wait(struct http_req *req)
{
	struct api_waiter *w = mem_new(struct api_waiter);
	struct http_later later = { .gone = waiter_left, .arg = w };

	w->req = req;
	http_answer_later(req, &later);
	return w;
}

struct http_req *api_wait_over(struct api_waiter *take)
{
	struct http_req *req = take->req;

	free(take);
	return req;
}

void api_wait_abandon(struct api_waiter *take)
{
	take->abandoned = true;
	if (!take->req)
		free(take);
}

/* ---- who may ---- */

static bool is_operator(const struct node *n, uid_t uid)
{
	AUTO_FREE char *name = span_dup(node_prefs(n)->operator_user);
	uid_t wanted;

	return *name && machine_user_id(name, &wanted) == 0 && wanted == uid;
}

bool api_may_write(const struct node *n, const struct http_req *req)
{
	struct stream_cred cred;

	if (!req->stream || stream_cred(req->stream, &cred) < 0)
		return false;
	return cred.uid == 0 || (geteuid() != 0 && cred.uid == geteuid()) ||
	       is_operator(n, cred.uid);
}

/* A page in a browser must not reach us under some name that leads here. */
static bool is_honest(const struct http_req *req)
{
	struct span host = req->head->authority;

	if (http_find(req->head, "origin").p || http_find(req->head, "referer").p)
		return false;
	return host.n == 0 || span_is(host, "local-tailscaled.sock");
}

static void put_common_fields(struct http_req *req)
{
	char cap[16];

	(void)snprintf(cap, sizeof(cap), "%d", CAPVER_NODE);
	http_put_field(req, "Tailscale-Cap", cap);
	http_put_field(req, "Content-Security-Policy",
	               "default-src 'none'; frame-ancestors 'none'; script-src 'none'; "
	               "script-src-elem 'none'; script-src-attr 'none'");
	http_put_field(req, "X-Frame-Options", "DENY");
	http_put_field(req, "X-Content-Type-Options", "nosniff");
}

/* ---- routing ---- */

static const struct {
	const struct api_row *rows;
	const size_t *n;
} tables[] = {
#define X(name) { api_##name##_rows, &api_##name##_n },
	API_TABLES(X)
#undef X
};

static int find(struct http_req *req, struct route_match *m)
{
	const char *allow;
	int r = ERR_UNKNOWN;

	for (size_t i = 0; i < ARRAY_LEN(tables); i++) {
		int e = ROUTE_FIND(tables[i].rows, *tables[i].n, req->head->method, req->path,
		                   &req->arena, m, &allow);
		if (e == 0)
			return 0;
		if (e == ERR_DENIED)
			r = e;
	}
	return r;
}

static void on_request(void *owner, struct http_req *req)
{
	struct node *n = owner;
	struct route_match m;
	const struct api_row *row;
	int r;

	put_common_fields(req);
	if (!is_honest(req)) {
		http_answer_text(req, 403, "invalid localapi request");
		return;
	}
	if (span_is(req->path, "/")) {
		http_answer(req, 200, "text/html",
		            SPAN_LIT("<html><title>fairlead</title>This is the local Tailscale "
		                     "daemon.\n"));
		return;
	}
	r = find(req, &m);
	if (r < 0) {
		if (r == ERR_DENIED)
			http_answer_text(req, 405, "method not allowed");
		else
			http_answer_text(req, 404, "404 page not found");
		return;
	}
	row = m.row;
	if (row->need == API_WRITE && !api_may_write(n, req)) {
		http_answer_text(req, 403, "access denied");
		return;
	}
	if (row->fn)
		row->fn(n, req, &m);
	else if (row->text[0] == '{' || row->text[0] == '[' || strcmp(row->text, "null") == 0)
		http_answer(req, row->status, "application/json", span_str(row->text));
	else
		http_answer_text(req, row->status, "%s", row->text);
}

static void on_accept(void *owner, struct listener *l, int fd, const struct addr *peer)
{
	struct node *n = owner;

	(void)l;
	http_server_accept(n->api, fd, peer, NULL);
}

static int make_folder(const char *socket)
{
	const char *slash = strrchr(socket, '/');
	AUTO_FREE char *folder = slash ? span_dup(span(socket, (size_t)(slash - socket))) : NULL;

	return folder && *folder ? file_mkdirs(folder, 0755) : 0;
}

/* Everybody may connect; what each may do is decided by who it is. */
static int listen_at(struct node *n, const char *path, struct listener **ret)
{
	struct listen_cfg listen = { .accepted = on_accept, .owner = n };
	int r = make_folder(path);

	return r < 0 ? r : listener_unix(n->ev, path, 0666, &listen, ret);
}

int localapi_start(struct node *n)
{
	struct http_server_cfg cfg = { .ev = n->ev, .request = on_request, .owner = n };
	int r;

	n->api = http_server_new(&cfg);
	r = listen_at(n, n->cfg.socket, &n->listener);
	if (r < 0)
		return r;
	if (n->cfg.also_socket && listen_at(n, n->cfg.also_socket, &n->also) < 0)
		log_info("%s is another daemon's", n->cfg.also_socket);
	return 0;
}

void localapi_stop(struct node *n)
{
	listener_free(TAKE(n->listener));
	listener_free(TAKE(n->also));
	http_server_free(TAKE(n->api));
	api_dials_end(n);
}
