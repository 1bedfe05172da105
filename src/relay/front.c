#include "relay/front.h"

#include <stdio.h>

#include "base/mem.h"
#include "http/h1.h"

struct front {
	struct front_cfg cfg;
	struct front_counts counts;
	struct link conns;
	size_t n_open;
	double tokens;
	mono tokens_at;
};

struct conn {
	struct front *front;
	struct stream *stream;
	struct link all;
	struct h1_reader h1;
	enum front_kind kind;
	bool shaken; /* TLS is up */
	bool closing;
};

/* --- connections --- */

static void conn_drop(struct conn *c)
{
	list_remove(&c->all);
	c->front->n_open--;
	free(c);
}

static void conn_close(struct conn *c)
{
	stream_free(c->stream);
	conn_drop(c);
}

static void on_closed(struct stream *s, void *owner, int why)
{
	struct conn *c = owner;
	struct front_counts *n = &c->front->counts;
	bool tls = c->kind == FRONT_TLS && !c->shaken;

	(void)s;
	if (why == ERR_TIMEOUT) {
		n->tls_timeout += tls;
		n->http_timeout += !tls;
	}
	n->tls_failed += why == ERR_TLS;
	n->http_bad += why == ERR_LIMIT;
	conn_close(c);
}

static void on_open(struct stream *s, void *owner)
{
	struct conn *c = owner;
	struct stream_tls_info info;

	c->shaken = true;
	/* An ACME server only wants to see the certificate. */
	if (stream_tls_info(s, &info) == 0 && span_is(span_str(info.alpn), "acme-tls/1"))
		conn_close(c);
	else
		stream_deadline(s, mono_after(ev_now(c->front->cfg.ev), FRONT_TIMEOUT_US));
}

/* --- answers --- */

/* False: the connection ends with it. */
static bool answer(struct conn *c, const struct http_head *head, const struct page *p)
{
	AUTO_DONE(buf) struct buf out = { 0 };
	bool keep = c->h1.keep_alive && !c->h1.has_body && !p->close && p->status < 400;

	page_write(&out, head, p, keep);
	c->front->counts.requests++;
	if (stream_write(c->stream, buf_span(&out)) < 0)
		keep = false;
	return keep;
}

static void redirect(const struct conn *c, const struct http_head *head, struct page *ret)
{
	const char *host = c->front->cfg.page.host;

	*ret = (struct page){ .status = 302, .n_fields = 1 };
	if (!host || (!span_is(head->method, "GET") && !span_is(head->method, "HEAD"))) {
		*ret = (struct page){ .status = 400, .close = true };
		return;
	}
	ret->field[0].name = "Location";
	/* A target too long for us is cut to the front page. */
	if (head->target.n + strlen(host) + 9 < sizeof(ret->field[0].value))
		(void)snprintf(ret->field[0].value, sizeof(ret->field[0].value), "https://%s%.*s",
		               host, SPAN_FMT(head->target));
	else
		(void)snprintf(ret->field[0].value, sizeof(ret->field[0].value), "https://%s/",
		               host);
}

static bool acme(const struct conn *c, const struct http_head *head, struct page *ret)
{
	const struct front_cfg *cfg = &c->front->cfg;
	const char *text = cfg->acme ? cfg->acme(cfg->owner, head->target) : NULL;

	if (!text)
		return false;
	*ret = (struct page){ .status = 200, .type = "text/plain" };
	buf_add_str(&ret->body, text);
	return true;
}

static void find_page(const struct conn *c, const struct http_head *head, struct page *ret)
{
	struct page_env env = c->front->cfg.page;

	env.tls = c->kind == FRONT_TLS;
	env.trusted = ip_is_loopback(&stream_peer(c->stream)->ip);
	if (acme(c, head, ret))
		return;
	if (c->kind == FRONT_REDIRECT && !span_starts(head->target, "/generate_204"))
		redirect(c, head, ret);
	else
		(void)page_find(head, &env, ret);
}

/* A request's head. False: the connection is not ours any more. */
static bool on_head(struct conn *c, const struct http_head *head)
{
	struct relay_upgrade up;
	struct page page;
	bool keep;

	if (c->kind != FRONT_REDIRECT && page_is_derp(head)) {
		relay_upgrade_of(head, &up);
		if (up.way != RELAY_WAY_NONE && !c->h1.has_body) {
			struct stream *s = c->stream;
			struct relay *r = c->front->cfg.relay;

			conn_drop(c);
			relay_accept(r, s, &up);
			return false;
		}
		page_no_upgrade(&page);
	} else {
		find_page(c, head, &page);
	}
	keep = answer(c, head, &page);
	page_done(&page);
	if (keep) {
		stream_deadline(c->stream, mono_after(ev_now(c->front->cfg.ev), FRONT_TIMEOUT_US));
		return true;
	}
	stream_linger(c->stream, 2 * US_PER_S);
	conn_drop(c);
	return false;
}

static void refuse(struct conn *c)
{
	AUTO_DONE(buf) struct buf out = { 0 };

	c->front->counts.http_bad++;
	h1_write_status(&out, c->h1.refuse ? c->h1.refuse : 400);
	h1_put(&out, "Connection", "close");
	h1_put_u64(&out, "Content-Length", 0);
	h1_end_head(&out);
	(void)!stream_write(c->stream, buf_span(&out));
	stream_linger(c->stream, 2 * US_PER_S);
	conn_drop(c);
}

static size_t on_read(struct stream *s, void *owner, struct span in)
{
	struct conn *c = owner;
	size_t all = in.n;

	(void)s;
	for (;;) {
		struct http_head head;
		struct h1_step step;
		int r = h1_read(&c->h1, in, &head, &step);

		if (r < 0) {
			refuse(c);
			return all;
		}
		in = span_from(in, step.used);
		switch (step.event) {
		case H1_MORE:
			return all - in.n;
		case H1_HEAD:
			if (!on_head(c, &head))
				return all - in.n;
			break;
		case H1_BODY:
		case H1_END:
			break;
		case H1_RAW:
			conn_close(c);
			return all;
		}
	}
}

static const struct stream_ops ops = { .open = on_open, .read = on_read, .closed = on_closed };

/* --- accepting --- */

static bool within_rate(struct front *f)
{
	const struct front_cfg *cfg = &f->cfg;
	mono now = ev_now(cfg->ev);

	if (cfg->accept_per_s <= 0)
		return true;
	f->tokens += (double)mono_since(f->tokens_at, now) / (double)US_PER_S * cfg->accept_per_s;
	if (f->tokens > cfg->accept_burst)
		f->tokens = cfg->accept_burst;
	f->tokens_at = now;
	if (f->tokens < 1)
		return false;
	f->tokens--;
	return true;
}

void front_accept(struct front *f, enum front_kind kind, int fd, const struct addr *peer)
{
	static const struct stream_cfg limits = { .in_max = STREAM_IN_MAX };
	bool full = f->n_open >= f->cfg.open_max;

	(void)peer;
	f->counts.connections++;
	f->counts.refused_full += full;
	if (full || !within_rate(f)) {
		f->counts.refused_rate += !full;
		fd_close(fd);
		return;
	}

	struct conn *c = mem_new(struct conn);

	c->front = f;
	c->kind = kind;
	h1_reader_init(&c->h1, H1_REQUEST);
	if (stream_new(f->cfg.ev, fd, &limits, &ops, c, &c->stream) < 0) {
		free(c);
		return;
	}
	list_append(&f->conns, &c->all);
	f->n_open++;
	if (kind == FRONT_TLS && stream_start_tls_server(c->stream, f->cfg.tls) < 0) {
		conn_close(c);
		return;
	}
	stream_deadline(c->stream,
	                mono_after(ev_now(f->cfg.ev),
	                           kind == FRONT_TLS ? FRONT_TLS_TIMEOUT_US : FRONT_TIMEOUT_US));
}

struct front *front_new(const struct front_cfg *cfg)
{
	struct front *f = mem_new(struct front);

	f->cfg = *cfg;
	if (!f->cfg.open_max)
		f->cfg.open_max = FRONT_OPEN_MAX;
	f->cfg.page.relay = cfg->relay;
	f->tokens = cfg->accept_burst;
	f->tokens_at = ev_now(cfg->ev);
	list_init(&f->conns);
	if (cfg->tls)
		(void)tls_server_ref(cfg->tls);
	return f;
}

void front_free(struct front *f)
{
	if (!f)
		return;
	while (!list_empty(&f->conns))
		conn_close(list_first(&f->conns, struct conn, all));
	tls_server_unref(f->cfg.tls);
	free(f);
}

const struct front_counts *front_counts(const struct front *f)
{
	return &f->counts;
}

size_t front_open(const struct front *f)
{
	return f->n_open;
}

void front_metrics(const struct front *f, struct buf *out)
{
#define X(name, text)                                                                              \
	buf_fmt(out,                                                                               \
	        "# HELP fairlead_relay_http_" #name "_total " text                                 \
	        "\n# TYPE fairlead_relay_http_" #name "_total counter\nfairlead_relay_http_" #name \
	        "_total %llu\n",                                                                   \
	        (unsigned long long)f->counts.name);
	FRONT_COUNT_LIST(X)
#undef X
}
