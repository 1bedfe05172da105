#include "coordinator/noise_link.h"

#include <string.h>

#include "base/enc.h"
#include "base/err.h"
#include "base/log.h"
#include "control/capver.h"
#include "control/noiseconn.h"
#include "http/form.h"
#include "http/ws.h"

struct noise_link {
	struct coord *co;
	struct stream *stream;
	struct http_conn *http;
	struct noiseconn noise;
	struct ws *ws; /* a browser's: Noise in binary messages; NULL: in the bytes themselves */
	struct addr from;
	bool busy; /* in a call that will look after `over` */
	bool over;
	struct ev_defer reap;
};

static const char upgrade_name[] = "tailscale-control-protocol";
static const char hello_name[] = "X-Tailscale-Handshake";
/* A dead client is noticed by what it does not acknowledge; an idle one costs a probe. */
static const struct stream_tcp tuning = { .keepalive_s = 60, .user_timeout_ms = 30000 };

const struct machine_pub *noise_link_machine(const struct noise_link *l)
{
	return &l->noise.peer;
}

unsigned noise_link_version(const struct noise_link *l)
{
	return l->noise.version;
}

void noise_link_address(const struct noise_link *l, struct addr *ret)
{
	*ret = l->from;
}

static void link_free(struct noise_link *l)
{
	ev_defer_stop(&l->reap);
	stream_free(l->stream);
	noiseconn_wipe(&l->noise);
	free(l->ws);
	free(l);
}

static void reap(struct ev_defer *d)
{
	link_free(CONTAINER_OF(d, struct noise_link, reap));
}

/* Nothing more comes or goes; whoever is on the stack may still look at the link. */
static void end(struct noise_link *l)
{
	l->over = true;
	ev_defer(l->co->ev, &l->reap);
}

/* ---- below: the stream ---- */

static int take_noise(struct noise_link *l, struct span bytes)
{
	struct buf plain = { 0 };
	int r = noiseconn_recv(&l->noise, bytes, &plain);

	if (plain.n)
		http_conn_input(l->http, buf_span(&plain));
	buf_done(&plain);
	return r;
}

static int control_message(struct noise_link *l, const struct ws_step *step)
{
	struct buf out = { 0 };
	bool ping = step->event == WS_PING;
	int r = 0;

	if (ping || step->event == WS_CLOSE) {
		ws_put(&out, ping ? WS_OP_PONG : WS_OP_CLOSE,
		       ping ? step->payload : span_first(step->payload, 2), NULL);
		r = stream_write(l->stream, buf_span(&out));
	}
	buf_done(&out);
	return step->event == WS_CLOSE ? ERR_CLOSED : r;
}

/* What came against the rules is said why; a text message, for one. */
static void close_ws(struct noise_link *l)
{
	struct buf out = { 0 };

	if (!l->ws->refuse)
		return;
	ws_put_close(&out, (enum ws_code)l->ws->refuse, NULL);
	(void)!stream_write(l->stream, buf_span(&out));
	buf_done(&out);
}

/* How much was used: the head of a frame that is not whole yet stays. */
static int take_messages(struct noise_link *l, struct span in, size_t *ret_used)
{
	struct buf noise = { 0 };
	struct ws_step step = { .used = in.n };
	int r = 0;

	*ret_used = 0;
	while (r >= 0 && !l->over && step.used && *ret_used < in.n) {
		r = ws_read(l->ws, span_from(in, *ret_used), STREAM_READ_MAX, &noise, &step);
		if (r < 0) {
			close_ws(l);
			break;
		}
		*ret_used += step.used;
		if (noise.n)
			r = take_noise(l, buf_span(&noise));
		buf_clear(&noise);
		if (r >= 0 && !l->over)
			r = control_message(l, &step);
	}
	buf_done(&noise);
	return r;
}

static size_t on_read(struct stream *s, void *owner, struct span bytes)
{
	struct noise_link *l = owner;
	size_t used = bytes.n;
	int r;

	(void)s;
	if (l->over)
		return bytes.n;
	r = l->ws ? take_messages(l, bytes, &used) : take_noise(l, bytes);
	if (r < 0 && !l->over) {
		http_conn_lost(l->http);
		end(l);
	}
	return l->over ? bytes.n : used;
}

static void on_drained(struct stream *s, void *owner)
{
	struct noise_link *l = owner;

	(void)s;
	if (!l->over)
		http_conn_drained(l->http);
}

static void on_closed(struct stream *s, void *owner, int why)
{
	struct noise_link *l = owner;

	(void)s;
	(void)why;
	if (l->over)
		return;
	http_conn_lost(l->http);
	end(l);
}

static const struct stream_ops stream_ops = {
	.read = on_read,
	.drained = on_drained,
	.closed = on_closed,
};

/* ---- above: HTTP/2 ---- */

static int write_noise(struct noise_link *l, struct span bytes)
{
	uint8_t head[WS_HEAD_MAX];
	struct iovec iov[] = {
		{ head, l->ws ? ws_head(head, WS_OP_BINARY, bytes.n, NULL) : 0 },
		{ (void *)(uintptr_t)bytes.p, bytes.n },
	};

	return stream_writev(l->stream, iov, ARRAY_LEN(iov));
}

static int pipe_write(void *arg, struct span bytes)
{
	struct noise_link *l = arg;
	struct buf wire = { 0 };
	int r;

	if (l->over)
		return ERR_CLOSED;
	r = noiseconn_send(&l->noise, bytes, &wire);
	if (r >= 0)
		r = write_noise(l, buf_span(&wire));
	buf_done(&wire);
	return r;
}

static size_t pipe_queued(void *arg)
{
	const struct noise_link *l = arg;

	return l->over ? 0 : stream_queued(l->stream);
}

enum { LINGER_US = 5 * 1000 * 1000 };

static void pipe_close(void *arg, bool flush)
{
	struct noise_link *l = arg;

	if (l->over)
		return;
	if (flush)
		stream_linger(TAKE(l->stream), LINGER_US);
	end(l);
}

static const struct http_pipe pipe_ops = {
	.write = pipe_write,
	.queued = pipe_queued,
	.close = pipe_close,
};

/* ---- the upgrade ---- */

static int parse_hello(struct span text, uint8_t ret[static NOISECONN_HELLO])
{
	uint8_t raw[NOISECONN_HELLO + 8];
	size_t n = 0;

	if (!text.n || text.n > BASE64_LEN(NOISECONN_HELLO) + 4)
		return ERR_MALFORMED;
	if (base64_decode_any(raw, sizeof(raw), text, &n) < 0 || n != NOISECONN_HELLO)
		return ERR_MALFORMED;
	memcpy(ret, raw, n);
	return 0;
}

/* A browser cannot set fields of a WebSocket's request: it puts the hello into the query. */
static struct span hello_text(struct http_req *req, bool websocket)
{
	struct form query;
	const char *text = NULL;

	if (!websocket)
		return http_find(req->head, hello_name);
	if (form_parse(&req->arena, req->query, &query) == 0)
		text = form_get(&query, hello_name);
	return span_str(text ? text : "");
}

static void put_switch(struct buf *out, const struct http_head *request, bool websocket)
{
	if (websocket)
		ws_put_answer(out, request, upgrade_name);
	else
		buf_fmt(out,
		        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: %s\r\n"
		        "Connection: upgrade\r\n\r\n",
		        upgrade_name);
}

/* The server's half of the handshake. */
static int put_handshake(struct noise_link *l, struct buf *out)
{
	AUTO_WIPE(machine_priv) eph;
	struct buf hello = { 0 };
	int r;

	machine_priv_new(&eph);
	r = noiseconn_answer(&l->noise, &eph, l->ws ? &hello : out);
	if (r >= 0 && l->ws)
		ws_put(out, WS_OP_BINARY, buf_span(&hello), NULL);
	buf_done(&hello);
	return r;
}

/* `out` has the 101 already: it goes out with the handshake in one write. */
static void open_link(struct coord *co, const struct noiseconn *noise, struct stream *s,
                      bool websocket, const struct addr *from, struct buf *out)
{
	struct noise_link *l = mem_new(struct noise_link);

	l->co = co;
	l->noise = *noise;
	l->from = *from;
	l->reap.fn = reap;
	l->stream = s;
	if (websocket) {
		l->ws = mem_new(struct ws);
		ws_init(l->ws, WS_SERVER);
	}
	if (put_handshake(l, out) < 0 || stream_write(s, buf_span(out)) < 0) {
		link_free(l);
		return;
	}
	stream_tune(s, &tuning);
	l->http = http_conn_new(co->http, &pipe_ops, l, from, true);
	stream_hand_over(s, &stream_ops, l);
}

/* False: not ours to upgrade, and answered. */
static bool is_upgrade(struct http_req *req, bool *ret_websocket)
{
	int r = ws_check_request(req->head, upgrade_name);

	*ret_websocket = r == 0;
	if (r == 0 || (span_is(req->head->method, "POST") &&
	               http_has_token(req->head, "Upgrade", upgrade_name)))
		return true;
	if (r == ERR_VERSION)
		http_put_field(req, "Sec-WebSocket-Version", "13");
	http_answer_text(req, r == ERR_VERSION ? 426 : 400,
	                 "missing or unknown Upgrade header; a reverse proxy in front of this "
	                 "server must pass upgrades of POST requests");
	return false;
}

/* False: refused, and answered. */
static bool accept_hello(struct coord_call *c, bool websocket, struct noiseconn *ret)
{
	uint8_t hello[NOISECONN_HELLO];

	if (parse_hello(hello_text(c->req, websocket), hello) < 0 ||
	    noiseconn_accept(ret, &c->co->noise_key, SPAN_OF(hello)) < 0) {
		http_answer_text(c->req, 400, "invalid %s header", hello_name);
		return false;
	}
	if (ret->version >= CAPVER_MIN)
		return true;
	http_answer_text(c->req, 400, "unsupported client version: %u, at least %u is needed",
	                 ret->version, CAPVER_MIN);
	noiseconn_wipe(ret);
	return false;
}

void noise_link_upgrade(struct coord_call *c)
{
	struct noiseconn noise = { 0 };
	struct addr from = c->req->from;
	struct buf out = { 0 };
	struct stream *s;
	bool websocket;

	if (!is_upgrade(c->req, &websocket) || !accept_hello(c, websocket, &noise))
		return;
	put_switch(&out, c->req->head, websocket);
	s = http_hijack(c->req);
	if (s)
		open_link(c->co, &noise, s, websocket, &from, &out);
	else
		http_answer_text(c->req, 400, "cannot upgrade this connection");
	buf_done(&out);
	noiseconn_wipe(&noise);
}
