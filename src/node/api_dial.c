/*
 * `dial`: a connection into the tailnet for a program of this machine, as it is
 * needed by `nc` and by ssh. A target that is not reached through the tunnel is
 * the program's own to dial: the daemon connects nowhere else on its behalf.
 */
#include <errno.h>
#include <stdio.h>

#include "base/err.h"
#include "http/h1.h"
#include "node/localapi.h"
#include "platform/dial.h"

#define PROTOCOL "ts-dial"

/* First a request that waits for the connection, then two streams joined. */
struct joint {
	struct link link;
	struct node *n;
	struct http_req *req;
	struct resolve *resolve;
	struct dial *dial;
	uint16_t port;
	struct stream *near, *far;
	unsigned ended; /* sides that will send no more */
};

static void joint_free(struct joint *j)
{
	list_remove(&j->link);
	if (j->resolve)
		resolve_cancel(j->resolve);
	dial_cancel(j->dial);
	stream_free(j->near);
	stream_free(j->far);
	free(j);
}

void api_dials_end(struct node *n)
{
	struct joint *j, *tmp;

	list_each_safe(j, tmp, &n->dials, link)
		joint_free(j);
}

/* ---- bytes both ways ---- */

static struct stream *other_end(const struct joint *j, const struct stream *s)
{
	return s == j->near ? j->far : j->near;
}

static size_t on_read(struct stream *s, void *owner, struct span bytes)
{
	int r = stream_write(other_end(owner, s), bytes);

	if (r == STREAM_FULL)
		stream_pause(s);
	return r < 0 ? 0 : bytes.n;
}

static void on_drained(struct stream *s, void *owner)
{
	stream_resume(other_end(owner, s));
}

static void on_eof(struct stream *s, void *owner)
{
	struct joint *j = owner;

	stream_shutdown(other_end(j, s));
	if (++j->ended == 2)
		joint_free(j);
}

static void on_closed(struct stream *s, void *owner, int why)
{
	(void)s;
	(void)why;
	joint_free(owner);
}

static const struct stream_ops joint_ops = {
	.read = on_read,
	.drained = on_drained,
	.eof = on_eof,
	.closed = on_closed,
};

static int join(struct joint *j)
{
	AUTO_DONE(buf) struct buf head = { 0 };

	h1_write_status(&head, 101);
	h1_put(&head, "Upgrade", PROTOCOL);
	h1_put(&head, "Connection", "upgrade");
	h1_end_head(&head);
	stream_hand_over(j->near, &joint_ops, j);
	stream_hand_over(j->far, &joint_ops, j);
	return stream_write(j->near, buf_span(&head));
}

/* ---- the request ---- */

static void on_left(struct http_req *req, void *arg)
{
	(void)req;
	joint_free(arg);
}

static void refuse(struct joint *j, const char *what, int r, const char *more)
{
	http_answer_text(TAKE(j->req), 502, "%s: %s%s%s", what, err_text(r), *more ? ": " : "",
	                 more);
	joint_free(j);
}

static void on_dialled(void *owner, int r, struct stream *s)
{
	struct joint *j = owner;

	if (r < 0) {
		AUTO_FREE char *more = str_dup(dial_error(j->dial));

		j->dial = NULL;
		refuse(j, "dial failure", r, more);
		return;
	}
	j->dial = NULL;
	j->far = s;
	j->near = http_hijack(j->req);
	if (!j->near) {
		http_answer_text(TAKE(j->req), 400, "make request over HTTP/1");
		joint_free(j);
		return;
	}
	if (join(j) < 0)
		joint_free(j);
}

static void answer_self(struct joint *j, const struct ip *ip)
{
	struct addr to = { .ip = *ip, .port = j->port };
	char text[ADDR_TEXT_MAX];

	http_put_field(j->req, "Dial-Self", "true");
	http_put_field(j->req, "Dial-Addr", addr_text(&to, text));
	api_empty(TAKE(j->req), 200);
	joint_free(j);
}

static void found(struct joint *j, const struct ip *ip)
{
	struct dial_cfg cfg = {
		.ev = j->n->ev, .host = "", .port = j->port, .addrs = ip, .n_addrs = 1
	};

	if (engine_is_inside(j->n, ip))
		j->dial = dial_start(&cfg, on_dialled, j);
	else
		answer_self(j, ip);
}

static void on_resolved(void *owner, int r, const struct resolved *names)
{
	struct joint *j = owner;

	j->resolve = NULL;
	if (r < 0)
		refuse(j, "resolve failure", r == -EAGAIN ? ERR_TIMEOUT : r,
		       r == -EAGAIN ? "the resolver does not answer" : "");
	else
		found(j, &names->ip[0]);
}

static void start(struct node *n, struct http_req *req, const char *host, uint16_t port)
{
	struct joint *j = mem_new(struct joint);
	struct http_later later = { .gone = on_left, .arg = j };
	struct netmap_peer *p = NULL;
	struct ip ip;

	*j = (struct joint){ .n = n, .req = req, .port = port };
	list_append(&n->dials, &j->link);
	http_answer_later(req, &later);
	if (node_map(n))
		p = netmap_peer_by_name(node_map(n), span_str(host));
	if (ip_parse(span_str(host), &ip) == 0)
		found(j, &ip);
	else if (p && p->node->addresses.n)
		found(j, &p->node->addresses.v[0].ip);
	else
		j->resolve = resolve_start(n->resolver, host, on_resolved, j);
}

static void dial(struct node *n, struct http_req *req, const struct route_match *m)
{
	const struct http_head *h = req->head;
	struct span network = http_find(h, "dial-network"), host = http_find(h, "dial-host");
	AUTO_FREE char *name = span_dup(host);
	uint64_t port = 0;

	(void)m;
	if (!http_has_token(h, "connection", "upgrade") ||
	    !span_is(http_find(h, "upgrade"), PROTOCOL))
		http_answer_text(req, 400, "bad ts-dial upgrade");
	else if (!host.n || !http_find(h, "dial-port").n)
		http_answer_text(req, 400, "missing Dial-Host or Dial-Port header");
	else if (span_u64(http_find(h, "dial-port"), UINT16_MAX, &port) < 0)
		http_answer_text(req, 502, "resolve failure: port %.*s is none",
		                 SPAN_FMT(http_find(h, "dial-port")));
	else if (network.n && !span_is(network, "tcp"))
		http_answer_text(req, 502, "dial failure: only tcp is connected");
	else
		start(n, req, name, (uint16_t)port);
}

/* clang-format off */
const struct api_row api_dial_rows[] = {
	{ { "POST", "/localapi/v0/dial" }, API_ANY, dial },
};
/* clang-format on */
const size_t api_dial_n = ARRAY_LEN(api_dial_rows);
