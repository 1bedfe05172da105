#include "cli/api.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/err.h"
#include "base/time.h"
#include "http/h1.h"
#include "platform/local.h"

enum { HEAD_US = 10000000, ANSWER_US = 40000000 };

static const char *const sockets[] = {
	"/run/fairlead/fairleadd.sock",
	"/var/run/tailscale/tailscaled.sock",
};

static const char *socket_path(const struct cli *cli)
{
	const char *env = getenv("FAIRLEAD_SOCKET");

	if (cli->socket)
		return cli->socket;
	if (env && *env)
		return env;
	for (size_t i = 0; i < ARRAY_LEN(sockets); i++) {
		if (access(sockets[i], F_OK) == 0)
			return sockets[i];
	}
	return sockets[0];
}

void api_answer_done(struct api_answer *a)
{
	buf_done(&a->body);
	arena_done(&a->memory);
	*a = (struct api_answer){ 0 };
}

static int read_answer(struct span in, struct api_answer *ret)
{
	struct h1_reader http;
	struct http_head head;
	struct h1_step step;
	bool complete;
	int r;

	h1_reader_init(&http, H1_RESPONSE);
	for (;;) {
		r = h1_read(&http, in, &head, &step);
		if (r < 0)
			return r;
		in = span_from(in, step.used);
		if (step.event == H1_HEAD)
			ret->status = head.status;
		if (step.event == H1_BODY)
			buf_add_span(&ret->body, step.body);
		if (step.event == H1_END)
			return 0;
		if (step.event == H1_MORE || step.event == H1_RAW)
			break;
	}
	r = h1_end_of_input(&http, &complete);
	return r < 0 ? r : complete ? 0 : ERR_SHORT;
}

static int unreachable(const struct cli *cli, const char *path, int r)
{
	if (r == -ENOENT || r == -ECONNREFUSED)
		return cmd_fail(cli,
		                "the node daemon is not running (no answer at %s)\n"
		                "start it: sudo systemctl start fairleadd, or sudo fairleadd",
		                path);
	if (r == -EACCES || r == -EPERM)
		return cmd_fail(cli, "%s: not allowed; try with sudo", path);
	return cmd_fail(cli, "%s: %s", path, err_text(r));
}

static void write_request(struct buf *out, const char *method, const char *path, struct span body)
{
	AUTO_FREE char *target = str_fmt("/localapi/v0/%s", path);

	h1_write_request(out, span_str(method), span_str(target));
	h1_put(out, "Host", "local-tailscaled.sock");
	h1_put(out, "Connection", "close");
	if (body.n)
		h1_put(out, "Content-Type", "application/json");
	h1_put_u64(out, "Content-Length", body.n);
	h1_end_head(out);
	buf_add_span(out, body);
}

int api_try_for(const struct cli *cli, const char *method, const char *path, struct span body,
                int64_t timeout_us, struct api_answer *ret)
{
	const char *where = socket_path(cli);
	AUTO_DONE(buf) struct buf request = { .secret = true };
	AUTO_DONE(buf) struct buf reply = { .max = API_ANSWER_MAX, .secret = true };
	int r;

	*ret = (struct api_answer){ .body.max = API_ANSWER_MAX };
	write_request(&request, method, path, body);
	r = local_ask_for(where, buf_span(&request), "", API_ANSWER_MAX, timeout_us, &reply);
	if (r == ERR_TIMEOUT)
		return r;
	if (r < 0)
		return unreachable(cli, where, r);
	r = read_answer(buf_span(&reply), ret);
	if (r < 0)
		return cmd_fail(cli, "the node daemon's answer cannot be read: %s", err_text(r));
	/* Not everything is JSON: errors are a line of text. */
	(void)!js_parse(&ret->memory, buf_span(&ret->body), false, &ret->json, NULL);
	return 0;
}

int api_try(const struct cli *cli, const char *method, const char *path, struct span body,
            struct api_answer *ret)
{
	int r = api_try_for(cli, method, path, body, ANSWER_US, ret);

	return r == ERR_TIMEOUT ? cmd_fail(cli, "the node daemon does not answer") : r;
}

static int refused(const struct cli *cli, struct api_answer *a)
{
	struct span error = js_text(js_get(a->json, "error"));
	struct span text = error.n ? error : span_trim(buf_span(&a->body));

	if (a->status == 403)
		return cmd_fail(cli, "%.*s\nThis needs root, or --operator=USER set by root.",
		                SPAN_FMT(text));
	return cmd_fail(cli, "%.*s", SPAN_FMT(text));
}

int api_call(const struct cli *cli, const char *method, const char *path, struct span body,
             struct api_answer *ret)
{
	int status = api_try(cli, method, path, body, ret);

	if (status == 0 && ret->status / 100 != 2)
		status = refused(cli, ret);
	return status;
}

/* ---- notifications ---- */

void api_watch_done(struct api_watch *w)
{
	fd_close(w->fd);
	buf_done(&w->in);
	buf_done(&w->lines);
	arena_done(&w->memory);
}

/* Takes from what came all that is whole: the body's bytes go to lines. Negative: it is no HTTP. */
static int take(struct api_watch *w, unsigned *ret_status)
{
	struct span in = buf_span(&w->in);
	struct http_head head;
	struct h1_step step;
	int r;

	while ((r = h1_read(&w->http, in, &head, &step)) == 0) {
		in = span_from(in, step.used);
		if (step.event == H1_HEAD)
			*ret_status = head.status;
		else if (step.event == H1_BODY)
			buf_add_span(&w->lines, step.body);
		else if (step.event != H1_MORE)
			r = ERR_CLOSED;
		if (step.event == H1_MORE || r < 0)
			break;
	}
	buf_drop(&w->in, w->in.n - in.n);
	return r;
}

static int receive(struct api_watch *w, int64_t timeout_us, unsigned *ret_status)
{
	int r = local_recv(w->fd, timeout_us, &w->in);

	if (r <= 0)
		return r == 0 ? ERR_CLOSED : r;
	return take(w, ret_status);
}

int api_watch_open(const struct cli *cli, const char *path, struct api_watch *ret)
{
	const char *where = socket_path(cli);
	AUTO_DONE(buf) struct buf request = { 0 };
	unsigned status = 0;
	int r;

	*ret = (struct api_watch){ .fd = -1,
		                   .lines.max = API_ANSWER_MAX,
		                   .in.max = API_ANSWER_MAX };
	h1_reader_init(&ret->http, H1_RESPONSE);
	write_request(&request, "GET", path, span(NULL, 0));
	r = local_connect(where, &ret->fd);
	if (r == 0)
		r = local_send(ret->fd, buf_span(&request));
	while (r == 0 && status == 0)
		r = receive(ret, HEAD_US, &status);
	if (r < 0)
		return unreachable(cli, where, r);
	return status == 200 ? 0
	                     : cmd_fail(cli, "the node daemon tells nothing: status %u", status);
}

int api_watch_next(struct api_watch *w, int64_t timeout_us, struct js **ret)
{
	mono end = mono_after(mono_now(), timeout_us);
	unsigned status;

	for (;;) {
		struct span all = buf_span(&w->lines);
		size_t n = span_find(all, '\n');
		int64_t left = mono_since(mono_now(), end);
		int r;

		if (n < all.n) {
			arena_done(&w->memory);
			r = js_parse(&w->memory, span_first(all, n), false, ret, NULL);
			buf_drop(&w->lines, n + 1);
			return r < 0 ? r : 1;
		}
		if (left <= 0)
			return 0;
		r = receive(w, left, &status);
		if (r < 0 && r != ERR_TIMEOUT)
			return r;
	}
}
