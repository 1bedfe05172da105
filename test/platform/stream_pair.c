#include "test/platform/stream_pair.h"

#include "test/check.h"

static void on_open(struct stream *s, void *owner)
{
	struct end *e = owner;

	(void)s;
	e->opens++;
}

static size_t on_read(struct stream *s, void *owner, struct span bytes)
{
	struct end *e = owner;
	size_t use = e->use_at_most && e->use_at_most < bytes.n ? e->use_at_most : bytes.n;

	if (bytes.n < e->leave_under)
		return 0;
	buf_add(&e->got, bytes.p, use);
	if (e->echo)
		CHECK(stream_write(s, span_first(bytes, use)) >= 0);
	if (e->free_in_read) {
		stream_free(s);
		e->s = NULL;
		return 0;
	}
	if (use < bytes.n)
		stream_read_again(s);
	return use;
}

static void on_drained(struct stream *s, void *owner)
{
	struct end *e = owner;

	(void)s;
	e->drains++;
}

static void on_eof(struct stream *s, void *owner)
{
	struct end *e = owner;

	(void)s;
	e->eofs++;
}

static void on_closed(struct stream *s, void *owner, int why)
{
	struct end *e = owner;

	e->closes++;
	e->why = why;
	stream_free(s);
	e->s = NULL;
}

const struct stream_ops end_ops = {
	.open = on_open, .read = on_read, .drained = on_drained, .closed = on_closed
};
const struct stream_ops end_half_ops = {
	.open = on_open, .read = on_read, .drained = on_drained, .eof = on_eof, .closed = on_closed
};

void pair_open(struct pair *p, const struct stream_cfg *cfg)
{
	int fds[2];

	*p = (struct pair){ .ev = ev_new() };
	CHECK_OK(stream_pair(fds));
	p->a.fd = fds[0];
	p->b.fd = fds[1];
	CHECK_OK(stream_new(p->ev, fds[0], cfg, &end_ops, &p->a, &p->a.s));
	CHECK_OK(stream_new(p->ev, fds[1], cfg, &end_ops, &p->b, &p->b.s));
}

void pair_open_tls(struct pair *p, const struct stream_cfg *cfg, struct tls_server *server,
                   struct tls_client *client, const struct tls_peer *peer)
{
	pair_open(p, cfg);
	CHECK_OK(stream_start_tls_server(p->b.s, server));
	CHECK_OK(stream_start_tls_client(p->a.s, client, peer));
	pair_settle(p);
}

void pair_close(struct pair *p)
{
	stream_free(p->a.s);
	stream_free(p->b.s);
	buf_done(&p->a.got);
	buf_done(&p->b.got);
	ev_free(p->ev);
}

static size_t events(const struct pair *p)
{
	return p->a.got.n + p->b.got.n + p->a.closes + p->b.closes + p->a.eofs + p->b.eofs +
	       p->a.opens + p->b.opens + p->a.drains + p->b.drains;
}

void pair_settle(struct pair *p)
{
	for (unsigned quiet = 0; quiet < 6;) {
		size_t before = events(p);

		ev_turn(p->ev, 0);
		quiet = events(p) == before ? quiet + 1 : 0;
	}
}

struct tls_cert *test_cert(void)
{
	static const char *const names[] = { "relay.test", "127.0.0.1" };
	wall from = { wall_now().us - 3600 * US_PER_S };
	wall until = { wall_now().us + 3600 * US_PER_S };
	struct tls_cert *c = NULL;

	CHECK_OK(tls_cert_self_signed(names, 2, from, until, NULL, NULL, &c));
	return c;
}
