#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http/h1.h"
#include "node/mesh_priv.h"
#include "platform/dial.h"

enum { REQUEST_US = 3000000 };

/* One HTTP request to the router. */
struct portmap_request {
	struct mesh *m;
	struct dial *dial;
	struct stream *stream;
	struct h1_reader http;
	struct buf out, body;
	unsigned status;
};

static void request_free(struct portmap_request *r)
{
	if (!r)
		return;
	dial_cancel(r->dial);
	stream_free(r->stream);
	buf_done(&r->out);
	buf_done(&r->body);
	free(r);
}

static void request_done(struct portmap_request *r, unsigned status)
{
	struct mesh *m = r->m;
	struct buf body = r->body;

	r->body = (struct buf){ 0 };
	m->portmap_request = NULL;
	request_free(r);
	portmap_http(m->portmap, mesh_now(m), status, buf_span(&body));
	buf_done(&body);
	mesh_poke(m);
}

static size_t on_read(struct stream *s, void *owner, struct span bytes)
{
	struct portmap_request *r = owner;
	struct span in = bytes;
	struct http_head head;
	struct h1_step step;

	(void)s;
	for (;;) {
		if (h1_read(&r->http, in, &head, &step) < 0) {
			request_done(r, 0);
			return bytes.n;
		}
		in = span_from(in, step.used);
		if (step.event == H1_MORE)
			return bytes.n - in.n;
		if (step.event == H1_HEAD)
			r->status = head.status;
		if (step.event == H1_BODY)
			buf_add_span(&r->body, step.body);
		if (step.event == H1_END || step.event == H1_RAW || r->body.full) {
			request_done(r, r->body.full ? 0 : r->status);
			return bytes.n;
		}
	}
}

static void on_eof(struct stream *s, void *owner)
{
	struct portmap_request *r = owner;
	bool complete = false;

	(void)s;
	if (h1_end_of_input(&r->http, &complete) < 0)
		complete = false;
	request_done(r, complete ? r->status : 0);
}

static void on_closed(struct stream *s, void *owner, int why)
{
	(void)s;
	(void)why;
	request_done(owner, 0);
}

static void on_dialed(void *owner, int ret, struct stream *s)
{
	static const struct stream_ops ops = { .read = on_read,
		                               .eof = on_eof,
		                               .closed = on_closed };
	struct portmap_request *r = owner;

	r->dial = NULL;
	if (ret < 0) {
		request_done(r, 0);
		return;
	}
	r->stream = s;
	stream_hand_over(s, &ops, r);
	stream_deadline(s, mono_after(mesh_now(r->m), REQUEST_US));
	if (stream_write(s, buf_span(&r->out)) < 0)
		request_done(r, 0);
}

static void write_request(struct portmap_request *r, const struct portmap_out *out)
{
	char host[ADDR_TEXT_MAX];

	h1_write_request(&r->out, out->soap_action ? SPAN_LIT("POST") : SPAN_LIT("GET"),
	                 span_str(out->path));
	h1_put(&r->out, "Host", addr_text(&out->addr, host));
	h1_put(&r->out, "Connection", "close");
	if (out->soap_action) {
		/* The service is named in the body; its URN stands between the first quotes. */
		const uint8_t *urn = memmem(out->bytes.p, out->bytes.n, "xmlns:u=\"", 9);
		struct span rest = urn ? span_from(out->bytes, (size_t)(urn - out->bytes.p) + 9)
		                       : span(NULL, 0);
		struct span name = span_first(rest, span_find(rest, '"'));
		AUTO_FREE char *action = str_fmt("\"%.*s#%s\"", SPAN_FMT(name), out->soap_action);

		h1_put(&r->out, "Content-Type", "text/xml; charset=\"utf-8\"");
		h1_put(&r->out, "SOAPAction", action);
		h1_put_u64(&r->out, "Content-Length", out->bytes.n);
	}
	h1_end_head(&r->out);
	buf_add_span(&r->out, out->bytes);
}

static void start_request(struct mesh *m, const struct portmap_out *out)
{
	struct portmap_request *r = mem_new(struct portmap_request);
	char host[IP_TEXT_MAX];
	struct dial_cfg cfg = { .ev = m->cfg.ev,
		                .host = ip_text(&out->addr.ip, host),
		                .port = out->addr.port,
		                .addrs = &out->addr.ip,
		                .n_addrs = 1,
		                .timeout_us = REQUEST_US,
		                .prepare = mesh_prepare_socket,
		                .prepare_arg = m };

	request_free(m->portmap_request);
	r->m = m;
	r->body.max = UPNP_BODY_MAX;
	h1_reader_init(&r->http, H1_RESPONSE);
	write_request(r, out);
	m->portmap_request = r;
	r->dial = dial_start(&cfg, on_dialed, r);
}

static void on_datagram(void *owner, const struct addr *from, struct span bytes)
{
	struct mesh *m = owner;

	portmap_recv(m->portmap, mesh_now(m), from, bytes);
	mesh_poke(m);
}

static bool open_socket(struct mesh *m)
{
	struct dgram_cfg cfg = { .ev = m->cfg.ev,
		                 .bind.ip = ip4(0, 0, 0, 0),
		                 .mark = m->cfg.no_mark ? 0 : MESH_FWMARK,
		                 .recv = on_datagram,
		                 .owner = m };

	return m->portmap_socket || dgram_open(&cfg, &m->portmap_socket) == 0;
}

void mesh_portmap_start(struct mesh *m, mono now)
{
	struct portmap_cfg cfg = { .gateway = m->gateway,
		                   .self = m->gateway_self,
		                   .local_port = mesh_port(m) };

	if (m->cfg.only_tcp443 || ip_is_zero(&m->gateway) || !open_socket(m))
		return;
	portmap_start(m->portmap, now, &cfg);
}

void mesh_portmap_pump(struct mesh *m, mono now)
{
	struct portmap_out out;

	portmap_timeout(m->portmap, now);
	while (portmap_next(m->portmap, &out)) {
		switch (out.act) {
		case PORTMAP_SEND:
			if (m->portmap_socket)
				(void)!dgram_send(m->portmap_socket, &out.addr, out.bytes);
			break;
		case PORTMAP_HTTP:
			start_request(m, &out);
			break;
		case PORTMAP_CHANGED:
			mesh_endpoints_changed(m, now);
			break;
		}
	}
}

void mesh_portmap_free(struct mesh *m)
{
	/* The router is told, if it listens; nobody waits for its answer. */
	portmap_stop(m->portmap, mesh_now(m));
	mesh_portmap_pump(m, mesh_now(m));
	request_free(TAKE(m->portmap_request));
	portmap_free(m->portmap);
	dgram_close(m->portmap_socket);
}
