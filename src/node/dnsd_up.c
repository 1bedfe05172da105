#include "node/dnsd_up.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/list.h"
#include "base/mem.h"
#include "dns/public.h"
#include "http/url.h"
#include "platform/dgram.h"
#include "platform/dial.h"
#include "platform/http_client.h"
#include "platform/stream.h"

enum { TCP_US = 5000000, LENGTH = 2 };

struct attempt {
	struct link link;
	struct dnsd_up *u;
	uint32_t number;
	enum dns_forward_act act;
	struct addr to;
	char host[RESOLVE_NAME_MAX + 1]; /* of an HTTPS upstream whose addresses are known */
	struct resolved at;
	struct dgram *udp;
	struct dial *dial;
	struct stream *stream;
	struct fetch *fetch;
	struct buf msg;
	struct ev_defer fail; /* a failure found while starting */
};

struct dnsd_up {
	struct dnsd_up_cfg cfg;
	struct link attempts;
	struct resolver *resolver;
	struct http_client http;
};

static void attempt_free(struct attempt *a)
{
	ev_defer_stop(&a->fail);
	dgram_close(a->udp);
	dial_cancel(a->dial);
	stream_free(a->stream);
	fetch_cancel(a->fetch);
	buf_done(&a->msg);
	list_remove(&a->link);
	free(a);
}

static void over(struct attempt *a, struct span msg)
{
	struct dnsd_up *u = a->u;
	uint32_t number = a->number;
	/* The bytes may live in what is freed. */
	AUTO_FREE uint8_t *copy = mem_dup(msg.p, msg.n);

	attempt_free(a);
	if (msg.n)
		u->cfg.reply(u->cfg.owner, number, span(copy, msg.n));
	else
		u->cfg.failed(u->cfg.owner, number);
}

static void on_fail(struct ev_defer *d)
{
	over(CONTAINER_OF(d, struct attempt, fail), span(NULL, 0));
}

static void fail_later(struct attempt *a)
{
	ev_defer(a->u->cfg.ev, &a->fail);
}

/* ---- UDP ------------------------------------------------------------------------ */

static void on_datagram(void *owner, const struct addr *from, struct span bytes)
{
	struct attempt *a = owner;

	/* Not over yet: a forged answer is passed over, the true one may follow. */
	if (addr_eq(from, &a->to))
		a->u->cfg.reply(a->u->cfg.owner, a->number, bytes);
}

static void on_refused(void *owner, int r)
{
	(void)r;
	over(owner, span(NULL, 0));
}

static void start_udp(struct attempt *a, struct span msg)
{
	static const struct ip any6;
	struct dgram_cfg cfg = { .ev = a->u->cfg.ev,
		                 .bind.ip = ip_is4(&a->to.ip) ? ip4(0, 0, 0, 0) : any6,
		                 .peer = &a->to,
		                 .recv = on_datagram,
		                 .failed = on_refused,
		                 .owner = a };

	if (dgram_open(&cfg, &a->udp) < 0 || dgram_send(a->udp, &a->to, msg) < 0)
		fail_later(a);
}

/* ---- TCP ------------------------------------------------------------------------ */

static size_t on_read(struct stream *s, void *owner, struct span bytes)
{
	struct attempt *a = owner;

	(void)s;
	if (bytes.n < LENGTH || bytes.n - LENGTH < be16_at(bytes.p))
		return 0;
	over(a, span(bytes.p + LENGTH, be16_at(bytes.p)));
	return bytes.n;
}

static void on_closed(struct stream *s, void *owner, int why)
{
	(void)s;
	(void)why;
	over(owner, span(NULL, 0));
}

static void on_dialed(void *owner, int r, struct stream *s)
{
	static const struct stream_ops ops = { .read = on_read, .closed = on_closed };
	struct attempt *a = owner;
	uint8_t length[LENGTH];
	struct iovec iov[2] = { { length, LENGTH }, { a->msg.p, a->msg.n } };

	a->dial = NULL;
	if (r < 0) {
		over(a, span(NULL, 0));
		return;
	}
	a->stream = s;
	stream_hand_over(s, &ops, a);
	stream_deadline(s, mono_after(ev_now(a->u->cfg.ev), TCP_US));
	put_be16(length, (uint16_t)a->msg.n);
	if (stream_writev(s, iov, 2) < 0)
		fail_later(a);
}

static void start_tcp(struct attempt *a)
{
	static const struct stream_cfg stream = { .in_max = STREAM_IN_MAX };
	char host[IP_TEXT_MAX];
	struct dial_cfg cfg = { .ev = a->u->cfg.ev,
		                .host = ip_text(&a->to.ip, host),
		                .port = a->to.port,
		                .addrs = &a->to.ip,
		                .n_addrs = 1,
		                .timeout_us = TCP_US,
		                .stream = &stream };

	a->dial = dial_start(&cfg, on_dialed, a);
}

/* ---- HTTP ------------------------------------------------------------------------ */

/* A public resolver's name is not looked up: it might be asked of that very resolver. */
static bool known(void *owner, const char *host, struct resolved *ret)
{
	struct dnsd_up *u = owner;
	struct attempt *a;

	list_each(a, &u->attempts, link) {
		if (a->host[0] && strcmp(a->host, host) == 0) {
			*ret = a->at;
			return true;
		}
	}
	return false;
}

static void on_fetched(void *owner, int r, const struct fetched *found)
{
	struct attempt *a = owner;
	bool ok = r == 0 && found->status == 200 &&
	          http_media_is(http_find(found->head, "content-type"), "application/dns-message");
	struct span msg = ok ? found->body : span(NULL, 0);

	a->fetch = NULL;
	over(a, msg);
}

static void start_http(struct attempt *a, const char *url, struct span msg)
{
	static const struct http_field accept = {
		{ (const uint8_t *)"accept", 6 }, { (const uint8_t *)"application/dns-message", 23 }
	};
	struct fetch_cfg cfg = { .url = url,
		                 .fields = &accept,
		                 .n_fields = 1,
		                 .type = "application/dns-message",
		                 .body = msg,
		                 .body_max = DNS_TCP_MAX,
		                 .timeout_us = 2 * TCP_US };
	struct span host = span_str(strstr(url, "://") + 3);

	host = span_first(host, span_find(host, '/'));
	host = span_first(host, span_find(host, ':'));
	if (addr_is_set(&a->to))
		a->at = (struct resolved){ .n = 1, .ip = { a->to.ip } };
	else
		a->at.n = dns_public_addrs(span_str(url), a->at.ip);
	if (a->at.n && host.n < sizeof(a->host))
		memcpy(a->host, host.p, host.n);
	a->fetch = http_fetch(&a->u->http, &cfg, on_fetched, a);
}

/* ---- all of them ------------------------------------------------------------------- */

void dnsd_up_do(struct dnsd_up *u, const struct dns_forward_out *out)
{
	struct attempt *a;

	if (out->act == DNS_GIVE_UP) {
		list_each(a, &u->attempts, link) {
			if (a->number == out->attempt) {
				attempt_free(a);
				return;
			}
		}
		return;
	}
	a = mem_new(struct attempt);
	a->u = u;
	a->number = out->attempt;
	a->act = out->act;
	a->to = out->addr;
	a->fail.fn = on_fail;
	list_append(&u->attempts, &a->link);
	if (out->act == DNS_SEND_UDP) {
		start_udp(a, out->msg);
	} else if (out->act == DNS_SEND_TCP) {
		buf_add_span(&a->msg, out->msg);
		start_tcp(a);
	} else {
		start_http(a, out->url, out->msg);
	}
}

struct dnsd_up *dnsd_up_new(const struct dnsd_up_cfg *cfg)
{
	struct dnsd_up *u = mem_new(struct dnsd_up);
	struct resolver_cfg resolver = { .known = known, .owner = u };

	u->cfg = *cfg;
	list_init(&u->attempts);
	/* Without threads for look-ups, upstreams that are named are not reached. */
	(void)!resolver_new(cfg->ev, &resolver, &u->resolver);
	u->http = (struct http_client){ .ev = cfg->ev, .resolver = u->resolver, .tls = cfg->tls };
	return u;
}

void dnsd_up_free(struct dnsd_up *u)
{
	struct attempt *a, *next;

	if (!u)
		return;
	list_each_safe(a, next, &u->attempts, link)
		attempt_free(a);
	resolver_free(u->resolver);
	free(u);
}
