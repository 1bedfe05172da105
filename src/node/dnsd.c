#include "node/dnsd.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "dns/magic.h"
#include "node/dnsd_up.h"
#include "platform/dgram.h"
#include "platform/listen.h"
#include "platform/stream.h"
#include "platform/sysctl.h"

enum { LISTEN_MAX = 4, LENGTH = 2 };

struct endpoint {
	struct dnsd *d;
	struct dgram *udp;
	struct listener *tcp;
};

struct conn {
	struct link link;
	struct dnsd *d;
	struct stream *stream;
	unsigned under_way;
};

/* Who asked: by UDP, on a connection, or from inside the process. */
struct dnsd_ask {
	struct map_node by_token;
	uint64_t token;
	struct endpoint *at; /* UDP */
	struct addr from;
	struct conn *conn;
	void (*done)(void *owner, struct span answer);
	void *owner;
	struct dnsd *d;
};

struct dnsd {
	struct dnsd_cfg cfg;
	struct endpoint at[LISTEN_MAX];
	size_t n_at;
	struct dns_config *config;
	struct dns_forward *forward;
	struct dnsd_up *up;
	struct map asks;
	uint64_t last_token;
	struct link conns;
	size_t n_conns;
	struct ev_timer timer;
	struct ev_defer pump;
	bool taken; /* TCP, by another server */
	bool well;
	uint64_t seen_spoken, seen_silent, silent;
	uint8_t answer[DNS_TCP_MAX + LENGTH];
};

/* ---- answers ------------------------------------------------------------------ */

static void send_by_tcp(struct conn *c, struct span msg)
{
	uint8_t length[LENGTH];
	struct iovec iov[2] = { { length, LENGTH }, { (void *)(uintptr_t)msg.p, msg.n } };

	put_be16(length, (uint16_t)msg.n);
	/* A client that does not read loses its answers, and then its connection. */
	(void)!stream_writev(c->stream, iov, 2);
}

static void ask_free(struct dnsd_ask *a)
{
	map_remove(&a->d->asks, &a->by_token);
	if (a->conn)
		a->conn->under_way--;
	free(a);
}

static void answer(struct dnsd_ask *a, struct span msg)
{
	if (a->conn) {
		send_by_tcp(a->conn, msg);
		stream_read_again(a->conn->stream);
	} else if (a->at) {
		(void)!dgram_send(a->at->udp, &a->from, msg);
	}

	void (*done)(void *owner, struct span answer) = a->done;
	void *owner = a->owner;

	ask_free(a);
	if (done)
		done(owner, msg);
}

static struct dnsd_ask *find_ask(const struct dnsd *d, uint64_t token)
{
	uint64_t h = map_hash(&d->asks, &token, sizeof(token));

	for (struct map_node *n = map_find(&d->asks, h); n; n = map_again(n)) {
		struct dnsd_ask *a = CONTAINER_OF(n, struct dnsd_ask, by_token);

		if (a->token == token)
			return a;
	}
	return NULL;
}

static void note_health(struct dnsd *d)
{
	struct dns_forward_stats st;

	dns_forward_stats(d->forward, &st);

	uint64_t asked = st.answers - st.hits;
	bool spoken = asked - st.unanswered > d->seen_spoken;
	bool well = spoken || d->silent + (st.unanswered - d->seen_silent) < DNSD_SILENT;

	d->silent = spoken ? 0 : d->silent + (st.unanswered - d->seen_silent);
	d->seen_spoken = asked - st.unanswered;
	d->seen_silent = st.unanswered;
	if (well != d->well && d->cfg.health)
		d->cfg.health(d->cfg.ctx, well);
	d->well = well;
}

static void pump(struct ev_defer *defer)
{
	struct dnsd *d = CONTAINER_OF(defer, struct dnsd, pump);
	struct dns_forward_out out;

	dns_forward_timeout(d->forward, ev_now(d->cfg.ev));
	while (dns_forward_next(d->forward, &out)) {
		struct dnsd_ask *a;

		if (out.act != DNS_ANSWER) {
			dnsd_up_do(d->up, &out);
			continue;
		}
		a = find_ask(d, out.client);
		if (a)
			answer(a, out.msg);
	}
	note_health(d);
	ev_timer_set(d->cfg.ev, &d->timer, dns_forward_deadline(d->forward));
}

static void poke(struct dnsd *d)
{
	ev_defer(d->cfg.ev, &d->pump);
}

static void on_timer(struct ev_timer *t, mono now)
{
	(void)now;
	poke(CONTAINER_OF(t, struct dnsd, timer));
}

/* ---- queries ------------------------------------------------------------------- */

/* The answer at once, into d->answer; 0 if it is to be asked, negative if it gets none. */
static int try_local(struct dnsd *d, struct span msg, bool tcp, size_t *ret_n)
{
	struct dns_query q;
	int r = dns_query_read(msg, &q);

	if (r == ERR_MALFORMED || r == ERR_VERSION) {
		*ret_n = dns_error(d->answer, &q, r == ERR_VERSION ? DNS_NOTIMP : DNS_FORMERR);
		return 1;
	}
	if (r < 0)
		return r;
	if (!d->config)
		return 0;
	*ret_n = magic_answer(d->config, &q, d->answer, tcp ? DNS_TCP_MAX : q.udp_size);
	return *ret_n > 0;
}

static struct dnsd_ask *ask_new(struct dnsd *d)
{
	struct dnsd_ask *a = mem_new(struct dnsd_ask);

	a->d = d;
	a->token = ++d->last_token;
	map_insert(&d->asks, &a->by_token, map_hash(&d->asks, &a->token, sizeof(a->token)));
	return a;
}

static int forward(struct dnsd *d, const struct dnsd_ask *a, bool tcp, struct span msg)
{
	int r = dns_forward_query(d->forward, ev_now(d->cfg.ev), a->token, tcp, msg);

	poke(d);
	return r;
}

/*
 * This host, and those whose packets it forwards: containers, a network behind
 * it. A neighbour in the LAN who sends his here is told nothing of the tailnet.
 */
static bool may_ask(const struct addr *from)
{
	const char *forwards = ip_is4(&from->ip) ? "net/ipv4/ip_forward"
	                                         : "net/ipv6/conf/all/forwarding";
	int on = 0;

	return socket_has_address(&from->ip) || (sysctl_get(forwards, &on) == 0 && on);
}

static void on_datagram(void *owner, const struct addr *from, struct span bytes)
{
	struct endpoint *at = owner;
	struct dnsd *d = at->d;
	size_t n;
	int r = may_ask(from) ? try_local(d, bytes, false, &n) : ERR_DENIED;

	if (r > 0)
		(void)!dgram_send(at->udp, from, span(d->answer, n));
	if (r != 0)
		return;

	struct dnsd_ask *a = ask_new(d);

	a->at = at;
	a->from = *from;
	if (forward(d, a, false, bytes) < 0)
		ask_free(a);
}

static void conn_free(struct conn *c)
{
	struct dnsd *d = c->d;

	for (struct map_node *n = map_first(&d->asks), *next; n; n = next) {
		struct dnsd_ask *a = CONTAINER_OF(n, struct dnsd_ask, by_token);

		next = map_next(&d->asks, n);
		if (a->conn == c)
			ask_free(a);
	}
	stream_free(c->stream);
	list_remove(&c->link);
	d->n_conns--;
	free(c);
}

static void on_tcp_query(struct conn *c, struct span msg)
{
	struct dnsd *d = c->d;
	size_t n;
	int r = try_local(d, msg, true, &n);

	if (r > 0)
		send_by_tcp(c, span(d->answer, n));
	if (r != 0)
		return;

	struct dnsd_ask *a = ask_new(d);

	a->conn = c;
	c->under_way++;
	if (forward(d, a, true, msg) < 0)
		ask_free(a);
}

static size_t on_read(struct stream *s, void *owner, struct span bytes)
{
	struct conn *c = owner;
	struct span in = bytes;

	stream_deadline(s, mono_after(ev_now(c->d->cfg.ev), DNSD_TCP_IDLE_US));
	while (in.n >= LENGTH && c->under_way < DNSD_TCP_QUERIES_MAX) {
		size_t n = be16_at(in.p);

		if (n > DNS_FORWARD_QUERY_MAX) {
			conn_free(c);
			return bytes.n;
		}
		if (in.n - LENGTH < n)
			break;
		on_tcp_query(c, span(in.p + LENGTH, n));
		in = span_from(in, LENGTH + n);
	}
	return bytes.n - in.n;
}

static void on_closed(struct stream *s, void *owner, int why)
{
	(void)s;
	(void)why;
	conn_free(owner);
}

static void on_accepted(void *owner, struct listener *l, int fd, const struct addr *peer)
{
	static const struct stream_ops ops = { .read = on_read, .closed = on_closed };
	static const struct stream_cfg cfg = { .in_max = DNS_FORWARD_QUERY_MAX + LENGTH };
	struct endpoint *at = owner;
	struct dnsd *d = at->d;
	struct conn *c;

	(void)l;
	if (d->n_conns >= DNSD_TCP_MAX || !may_ask(peer)) {
		fd_close(fd);
		return;
	}
	c = mem_new(struct conn);
	c->d = d;
	if (stream_new(d->cfg.ev, fd, &cfg, &ops, c, &c->stream) < 0) {
		free(c);
		return;
	}
	list_append(&d->conns, &c->link);
	d->n_conns++;
	stream_deadline(c->stream, mono_after(ev_now(d->cfg.ev), DNSD_TCP_IDLE_US));
}

struct dnsd_ask *dnsd_query(struct dnsd *d, struct span msg,
                            void (*done)(void *owner, struct span answer), void *owner)
{
	size_t n;
	int r = try_local(d, msg, true, &n);

	if (r != 0) {
		done(owner, r > 0 ? span(d->answer, n) : span(NULL, 0));
		return NULL;
	}

	struct dnsd_ask *a = ask_new(d);

	a->done = done;
	a->owner = owner;
	if (forward(d, a, true, msg) < 0) {
		ask_free(a);
		done(owner, span(NULL, 0));
		return NULL;
	}
	return a;
}

struct dnsd_ask *dnsd_query_of(struct dnsd *d, struct span msg, const struct dns_upstream *v,
                               size_t n, void (*done)(void *owner, struct span answer), void *owner)
{
	struct dnsd_ask *a = ask_new(d);

	a->done = done;
	a->owner = owner;
	if (dns_forward_query_of(d->forward, ev_now(d->cfg.ev), a->token, msg, v, n) < 0) {
		ask_free(a);
		done(owner, span(NULL, 0));
		return NULL;
	}
	poke(d);
	return a;
}

void dnsd_cancel(struct dnsd_ask *a)
{
	if (a)
		ask_free(a);
}

/* ---- life ------------------------------------------------------------------------ */

/* Does another server have the port for all addresses, or ours alone? */
static bool is_wildcard(const struct dgram_cfg *cfg)
{
	struct dgram_cfg beside = *cfg;
	AUTO(dgram_close) struct dgram *probe = NULL;

	beside.bind.ip.b[sizeof(beside.bind.ip.b) - 1] ^= 1;
	return dgram_open(&beside, &probe) == -EADDRINUSE;
}

/*
 * dnsmasq and others listen for all addresses and allow a more exact one beside
 * theirs. By TCP there is no such way.
 */
static int open_udp(struct dgram_cfg *cfg, struct dgram **ret)
{
	int r = dgram_open(cfg, ret);

	if (r == -EADDRINUSE && is_wildcard(cfg)) {
		cfg->share = true;
		r = dgram_open(cfg, ret);
	}
	return r;
}

static int open_endpoint(struct dnsd *d, const struct addr *at)
{
	struct endpoint *e = &d->at[d->n_at];
	struct dgram_cfg udp = {
		.ev = d->cfg.ev, .bind = *at, .freebind = true, .recv = on_datagram, .owner = e
	};
	struct listen_cfg tcp = {
		.accepted = on_accepted, .owner = e, .backlog = DNSD_TCP_MAX, .freebind = true
	};
	int r = open_udp(&udp, &e->udp);

	if (r < 0)
		return r;
	e->d = d;
	d->n_at++;
	/* Without TCP most names still resolve: worse, but not nothing. */
	r = listener_tcp(d->cfg.ev, at, &tcp, &e->tcp);
	d->taken = d->taken || r == -EADDRINUSE;
	if (r < 0) {
		char text[ADDR_TEXT_MAX];

		log_warn("DNS over TCP at %s: %s", addr_text(at, text), err_text(r));
	}
	return 0;
}

static void on_up_reply(void *owner, uint32_t attempt, struct span msg)
{
	struct dnsd *d = owner;

	dns_forward_reply(d->forward, ev_now(d->cfg.ev), attempt, msg);
	poke(d);
}

static void on_up_failed(void *owner, uint32_t attempt)
{
	struct dnsd *d = owner;

	dns_forward_failed(d->forward, ev_now(d->cfg.ev), attempt);
	poke(d);
}

int dnsd_new(const struct dnsd_cfg *cfg, struct dnsd **ret)
{
	struct dnsd *d = mem_new(struct dnsd);
	struct dns_forward_env env = { .upgrade_https = cfg->tls != NULL };
	struct dnsd_up_cfg up = { .ev = cfg->ev,
		                  .tls = cfg->tls,
		                  .reply = on_up_reply,
		                  .failed = on_up_failed,
		                  .owner = d };
	int r = cfg->n_at ? -EADDRNOTAVAIL : 0;

	d->cfg = *cfg;
	d->well = true;
	d->timer.fn = on_timer;
	d->pump.fn = pump;
	rand_system(&env.rand);
	map_init(&d->asks);
	list_init(&d->conns);
	d->forward = dns_forward_new(&env);
	d->up = dnsd_up_new(&up);
	for (size_t i = 0; i < cfg->n_at && d->n_at < LISTEN_MAX; i++) {
		int bound = open_endpoint(d, &cfg->at[i]);

		if (r < 0)
			r = bound;
	}
	if (r < 0) {
		dnsd_free(d);
		return r;
	}
	*ret = d;
	return 0;
}

void dnsd_free(struct dnsd *d)
{
	struct conn *c, *next;
	struct map_node *n;

	if (!d)
		return;
	list_each_safe(c, next, &d->conns, link)
		conn_free(c);
	while ((n = map_first(&d->asks)))
		ask_free(CONTAINER_OF(n, struct dnsd_ask, by_token));
	map_done(&d->asks);
	for (size_t i = 0; i < d->n_at; i++) {
		dgram_close(d->at[i].udp);
		listener_free(d->at[i].tcp);
	}
	dnsd_up_free(d->up);
	dns_forward_free(d->forward);
	dns_config_free(d->config);
	ev_timer_stop(d->cfg.ev, &d->timer);
	ev_defer_stop(&d->pump);
	free(d);
}

void dnsd_set_config(struct dnsd *d, struct dns_config *take)
{
	struct dns_config *old = d->config;

	d->config = take;
	/* Jobs copied what they need of the old one. */
	dns_forward_config(d->forward, take);
	dns_config_free(old);
}

const struct dns_config *dnsd_config(const struct dnsd *d)
{
	return d->config;
}

void dnsd_flush(struct dnsd *d)
{
	dns_forward_flush(d->forward);
}

bool dnsd_tcp_taken(const struct dnsd *d)
{
	return d->taken;
}

void dnsd_stats(const struct dnsd *d, struct dns_forward_stats *ret)
{
	dns_forward_stats(d->forward, ret);
}
