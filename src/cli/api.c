#include "cli/api.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/err.h"
#include "http/h1.h"
#include "platform/local.h"

static const char *const sockets[] = {
	"/run/fairlead/fairleadd.sock",
	"/var/run/tailscale/tailscaled.sock",
};

static struct {
	const char *path;
} chosen;

void api_use_socket(const char *path)
{
	chosen.path = path;
}

static const char *socket_path(void)
{
	const char *env = getenv("FAIRLEAD_SOCKET");

	if (chosen.path)
		return chosen.path;
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

int api_try(const struct cli *cli, const char *method, const char *path, struct span body,
            struct api_answer *ret)
{
	const char *where = socket_path();
	AUTO_DONE(buf) struct buf request = { .secret = true };
	AUTO_DONE(buf) struct buf reply = { .max = API_ANSWER_MAX, .secret = true };
	AUTO_FREE char *target = str_fmt("/localapi/v0/%s", path);
	int r;

	*ret = (struct api_answer){ .body.max = API_ANSWER_MAX };
	h1_write_request(&request, span_str(method), span_str(target));
	h1_put(&request, "Host", "local-tailscaled.sock");
	h1_put(&request, "Connection", "close");
	if (body.n)
		h1_put(&request, "Content-Type", "application/json");
	h1_put_u64(&request, "Content-Length", body.n);
	h1_end_head(&request);
	buf_add_span(&request, body);
	r = local_ask(where, buf_span(&request), "", API_ANSWER_MAX, &reply);
	if (r < 0)
		return unreachable(cli, where, r);
	r = read_answer(buf_span(&reply), ret);
	if (r < 0)
		return cmd_fail(cli, "the node daemon's answer cannot be read: %s", err_text(r));
	/* Not everything is JSON: errors are a line of text. */
	(void)!js_parse(&ret->memory, buf_span(&ret->body), false, &ret->json, NULL);
	return 0;
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
