#include "coordinator/noise_link.h"

#include <string.h>

#include "base/enc.h"
#include "base/err.h"
#include "base/log.h"
#include "control/capver.h"
#include "control/noiseconn.h"

struct noise_link {
	struct coord *co;
	struct stream *stream;
	struct http_conn *http;
	struct noiseconn noise;
	struct addr from;
	bool busy; /* in a call that will look after `over` */
	bool over;
	struct ev_defer reap;
};

static const char upgrade_name[] = "tailscale-control-protocol";
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

static size_t on_read(struct stream *s, void *owner, struct span bytes)
{
	struct noise_link *l = owner;
	struct buf plain = { 0 };
	int r;

	(void)s;
	if (l->over)
		return bytes.n;
	r = noiseconn_recv(&l->noise, bytes, &plain);
	if (plain.n)
		http_conn_input(l->http, buf_span(&plain));
	buf_done(&plain);
	if (r < 0 && !l->over) {
		http_conn_lost(l->http);
		end(l);
	}
	return bytes.n;
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

static int pipe_write(void *arg, struct span bytes)
{
	struct noise_link *l = arg;
	struct buf wire = { 0 };
	int r;

	if (l->over)
		return ERR_CLOSED;
	r = noiseconn_send(&l->noise, bytes, &wire);
	if (r >= 0)
		r = stream_write(l->stream, buf_span(&wire));
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

static int read_hello(const struct http_req *req, uint8_t ret[static NOISECONN_HELLO])
{
	struct span text = http_find(req->head, "X-Tailscale-Handshake");
	uint8_t raw[NOISECONN_HELLO + 8];
	size_t n = 0;

	if (!text.n || text.n > BASE64_LEN(NOISECONN_HELLO) + 4)
		return ERR_MALFORMED;
	if (base64_decode_any(raw, sizeof(raw), text, &n) < 0 || n != NOISECONN_HELLO)
		return ERR_MALFORMED;
	memcpy(ret, raw, n);
	return 0;
}

/* The 101 and the server's half of the handshake, in one write. */
static int answer(struct noise_link *l)
{
	AUTO_WIPE(machine_priv) eph;
	struct buf out = { 0 };
	int r;

	machine_priv_new(&eph);
	buf_fmt(&out,
	        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: %s\r\nConnection: upgrade\r\n\r\n",
	        upgrade_name);
	r = noiseconn_answer(&l->noise, &eph, &out);
	if (r >= 0)
		r = stream_write(l->stream, buf_span(&out));
	buf_done(&out);
	return r;
}

static void open_link(struct coord *co, const struct noiseconn *noise, struct stream *s,
                      const struct addr *from)
{
	struct noise_link *l = mem_new(struct noise_link);

	l->co = co;
	l->noise = *noise;
	l->from = *from;
	l->reap.fn = reap;
	l->stream = s;
	if (answer(l) < 0) {
		link_free(l);
		return;
	}
	stream_tune(s, &tuning);
	l->http = http_conn_new(co->http, &pipe_ops, l, from, true);
	stream_hand_over(s, &stream_ops, l);
}

void noise_link_upgrade(struct coord_call *c)
{
	struct http_req *req = c->req;
	uint8_t hello[NOISECONN_HELLO];
	struct noiseconn noise = { 0 };
	struct addr from = req->from;
	struct stream *s;

	if (!http_has_token(req->head, "Upgrade", upgrade_name)) {
		http_answer_text(
			req, 400,
			"missing or unknown Upgrade header; a reverse proxy in front of this "
			"server must pass upgrades of POST requests");
		return;
	}
	if (read_hello(req, hello) < 0 ||
	    noiseconn_accept(&noise, &c->co->noise_key, SPAN_OF(hello)) < 0) {
		http_answer_text(req, 400, "invalid X-Tailscale-Handshake header");
		return;
	}
	if (noise.version < CAPVER_MIN) {
		http_answer_text(req, 400, "unsupported client version: %u, at least %u is needed",
		                 noise.version, CAPVER_MIN);
		noiseconn_wipe(&noise);
		return;
	}
	s = http_hijack(req);
	if (s)
		open_link(c->co, &noise, s, &from);
	else
		http_answer_text(req, 400, "cannot upgrade this connection");
	noiseconn_wipe(&noise);
}
