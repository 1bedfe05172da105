#include "relay/mesh.h"

#include "base/log.h"
#include "base/mem.h"
#include "protocol/derp_client.h"

struct link_up {
	struct hub_client hub; /* in the hub while `joined` */
	struct mesh *mesh;
	char *host, *dial_host;
	uint16_t port;
	bool plain, joined, upgraded, ourselves;
	struct dial *dial;
	struct stream *stream;
	struct derp_client derp;
	struct ev_timer retry, silence;
	struct log_limit log;
};

struct mesh {
	struct mesh_cfg cfg;
	struct node_priv key;
	uint8_t mesh_key[DERP_MESH_KEY];
	struct link_up *links;
	size_t n;
};

/* --- losing it --- */

static void lose(struct link_up *l, const char *why)
{
	struct ev *ev = l->mesh->cfg.ev;

	log_limited(&l->log, ev_now(ev), LOG_WARN, "mesh: no connection to %s: %s", l->host, why);
	if (l->joined) {
		l->joined = false;
		hub_leave(relay_hub(l->mesh->cfg.relay), &l->hub, ev_now(ev));
		relay_kick(l->mesh->cfg.relay);
	}
	stream_free(TAKE(l->stream));
	derp_client_done(&l->derp);
	ev_timer_stop(ev, &l->silence);
	ev_timer_after(ev, &l->retry, MESH_RETRY_US);
}

static void on_closed(struct stream *s, void *owner, int why)
{
	const char *tls = stream_tls_error(s);

	lose(owner, tls[0] ? tls : err_text(why));
}

static void on_silence(struct ev_timer *t, mono now)
{
	(void)now;
	lose(CONTAINER_OF(t, struct link_up, silence), "it said nothing for two minutes");
}

/* --- frames --- */

static ssize_t link_write(struct hub_client *c, const struct iovec *iov, size_t n)
{
	return stream_try_write(CONTAINER_OF(c, struct link_up, hub)->stream, iov, n);
}

static void on_drained(struct stream *s, void *owner)
{
	struct link_up *l = owner;

	(void)s;
	if (!l->joined)
		return;
	hub_writable(relay_hub(l->mesh->cfg.relay), &l->hub);
	relay_kick(l->mesh->cfg.relay);
}

static void join(struct link_up *l)
{
	struct hub *h = relay_hub(l->mesh->cfg.relay);

	l->hub = (struct hub_client){ .addr = *stream_peer(l->stream), .link_write = link_write };
	hub_join(h, &l->hub, HUB_LINK, NULL, ev_now(l->mesh->cfg.ev));
	l->joined = true;
	derp_put(&l->derp.out, DERP_WATCH_CONNS, span(NULL, 0));
	log_info("mesh: connected to %s", l->host);
}

/* What the session core wants sent; by way of the hub once frames of ours may be under way. */
static void send_out(struct link_up *l)
{
	if (!l->derp.out.n)
		return;
	if (l->joined)
		hub_put_control(relay_hub(l->mesh->cfg.relay), &l->hub, buf_span(&l->derp.out));
	else
		(void)!stream_write(l->stream, buf_span(&l->derp.out));
	buf_clear(&l->derp.out);
}

static void on_event(struct link_up *l, const struct derp_event *e)
{
	struct hub *h = relay_hub(l->mesh->cfg.relay);

	switch (e->kind) {
	case DERP_EVENT_READY:
		join(l);
		return;
	case DERP_EVENT_PRESENT:
		if (l->joined)
			hub_link_present(h, &l->hub, &e->present.peer);
		return;
	case DERP_EVENT_GONE:
		if (l->joined && e->reason == DERP_GONE_DISCONNECTED)
			hub_link_gone(h, &l->hub, &e->peer);
		return;
	case DERP_EVENT_PACKET:
	case DERP_EVENT_KEEP_ALIVE:
	case DERP_EVENT_PONG:
	case DERP_EVENT_HEALTH:
	case DERP_EVENT_RESTARTING:
		return;
	}
}

/* The answer to our upgrade; false: more is needed, or it is lost. */
static bool upgrade(struct link_up *l, struct span *in)
{
	const uint8_t *end = in->n ? memmem(in->p, in->n, "\r\n\r\n", 4) : NULL;

	if (!end)
		return false;
	if (!span_starts(*in, "HTTP/1.1 101")) {
		lose(l, "it refused the upgrade");
		return false;
	}
	*in = span_from(*in, (size_t)(end + 4 - in->p));
	l->upgraded = true;
	return true;
}

static size_t on_read(struct stream *s, void *owner, struct span in)
{
	struct link_up *l = owner;
	struct mesh *m = l->mesh;
	size_t all = in.n;
	struct derp_event e;
	int r;

	(void)s;
	ev_timer_after(m->cfg.ev, &l->silence, DERP_SILENCE_S * US_PER_S);
	if (!l->upgraded && !upgrade(l, &in))
		return l->stream ? all - in.n : all;
	while ((r = derp_client_recv(&l->derp, &in, &e)) > 0)
		on_event(l, &e);
	if (node_pub_eq(&l->derp.server, relay_public(m->cfg.relay))) {
		log_info("mesh: %s is ourselves", l->host);
		l->ourselves = true;
		lose(l, "it is ourselves");
		ev_timer_stop(m->cfg.ev, &l->retry);
		return all;
	}
	if (r < 0) {
		lose(l, err_text(r));
		return all;
	}
	send_out(l);
	relay_kick(m->cfg.relay);
	return all - in.n;
}

/* --- dialling --- */

static const struct stream_ops ops = {
	.read = on_read,
	.drained = on_drained,
	.closed = on_closed,
};

static void start_session(struct link_up *l)
{
	AUTO_DONE(buf) struct buf out = { 0 };
	AUTO_WIPE(derp_client_cfg) cfg = { .key = l->mesh->key };

	cfg.info = (struct derp_client_info){ .has_mesh_key = true, .can_ack_pings = true };
	memcpy(cfg.info.mesh_key, l->mesh->mesh_key, DERP_MESH_KEY);
	l->upgraded = false;
	(void)!derp_client_init(&l->derp, &cfg, l->mesh->cfg.rand);
	buf_fmt(&out,
	        "GET /derp HTTP/1.1\r\nHost: %s\r\nUpgrade: DERP\r\nConnection: Upgrade\r\n\r\n",
	        l->host);
	(void)!stream_write(l->stream, buf_span(&out));
	stream_tune(l->stream,
	            &(struct stream_tcp){ RELAY_TCP_KEEPALIVE_S, RELAY_TCP_USER_TIMEOUT_MS, 0 });
	ev_timer_after(l->mesh->cfg.ev, &l->silence, DERP_LOGIN_S * US_PER_S);
}

static void on_dialled(void *owner, int r, struct stream *s)
{
	struct link_up *l = owner;

	if (r < 0) {
		const char *why = dial_error(l->dial);

		l->dial = NULL;
		lose(l, why[0] ? why : err_text(r));
		return;
	}
	l->dial = NULL;
	l->stream = s;
	stream_hand_over(s, &ops, l);
	start_session(l);
}

static void on_retry(struct ev_timer *t, mono now)
{
	struct link_up *l = CONTAINER_OF(t, struct link_up, retry);
	const struct mesh_cfg *m = &l->mesh->cfg;
	struct tls_peer peer = { .sni = l->host, .trust = TLS_TRUST_ROOTS };
	struct dial_cfg cfg = {
		.ev = m->ev,
		.resolver = m->resolver,
		.host = l->dial_host ? l->dial_host : l->host,
		.port = l->port,
		.tls = l->plain ? NULL : m->tls,
		.peer = &peer,
	};

	(void)now;
	l->dial = dial_start(&cfg, on_dialled, l);
}

/* --- setting up --- */

static int parse_host(struct span text, struct link_up *ret)
{
	size_t slash;
	uint64_t port = 0;

	ret->plain = span_starts(text, "http://");
	if (ret->plain)
		text = span_from(text, 7);
	slash = span_find(text, '/');
	if (slash < text.n)
		ret->dial_host = span_dup(span_from(text, slash + 1));
	text = span_first(text, slash);

	size_t colon = span_find(text, ':');

	if (colon < text.n && span_u64(span_from(text, colon + 1), UINT16_MAX, &port) < 0)
		return ERR_MALFORMED;
	if (colon == 0 || (colon < text.n && port == 0))
		return ERR_MALFORMED;
	ret->host = span_dup(span_first(text, colon));
	ret->port = port ? (uint16_t)port : ret->plain ? 80 : 443;
	return 0;
}

static int add_links(struct mesh *m, struct span hosts)
{
	struct span part;

	while (span_cut(&hosts, ',', &part)) {
		struct link_up *l = &m->links[m->n];

		part = span_trim(part);
		if (!part.n)
			continue;
		if (m->n == MESH_LINKS_MAX)
			return ERR_LIMIT;
		l->mesh = m;
		l->retry.fn = on_retry;
		l->silence.fn = on_silence;
		l->log = (struct log_limit){ .every_us = 60 * US_PER_S, .burst = 3 };
		m->n++;

		int r = parse_host(part, l);

		if (r < 0)
			return r;
	}
	return 0;
}

int relay_mesh_new(const struct mesh_cfg *cfg, struct span hosts, struct mesh **ret)
{
	struct mesh *m = mem_new(struct mesh);

	m->cfg = *cfg;
	m->key = *cfg->key;
	memcpy(m->mesh_key, cfg->mesh_key, DERP_MESH_KEY);
	m->links = mem_new_n(struct link_up, MESH_LINKS_MAX);

	int r = add_links(m, hosts);

	if (r < 0) {
		relay_mesh_free(m);
		return r;
	}
	for (size_t i = 0; i < m->n; i++)
		ev_timer_after(cfg->ev, &m->links[i].retry, 0);
	*ret = m;
	return 0;
}

static void link_done(struct link_up *l)
{
	struct mesh_cfg *cfg = &l->mesh->cfg;

	if (l->joined)
		hub_leave(relay_hub(cfg->relay), &l->hub, ev_now(cfg->ev));
	dial_cancel(l->dial);
	stream_free(l->stream);
	derp_client_done(&l->derp);
	ev_timer_stop(cfg->ev, &l->retry);
	ev_timer_stop(cfg->ev, &l->silence);
	free(l->host);
	free(l->dial_host);
}

void relay_mesh_free(struct mesh *m)
{
	if (!m)
		return;
	for (size_t i = 0; i < m->n; i++)
		link_done(&m->links[i]);
	free(m->links);
	node_priv_wipe(&m->key);
	explicit_bzero(m->mesh_key, sizeof(m->mesh_key));
	free(m);
}

void relay_mesh_state(const struct mesh *m, size_t *ret_all, size_t *ret_up)
{
	*ret_all = *ret_up = 0;
	for (size_t i = 0; m && i < m->n; i++) {
		*ret_all += !m->links[i].ourselves;
		*ret_up += m->links[i].joined;
	}
}
