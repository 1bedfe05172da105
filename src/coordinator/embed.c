#include "coordinator/embed.h"

#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "platform/udp.h"
#include "relay/pages.h"
#include "relay/relay.h"
#include "relay/stunsrv.h"

enum { STUN_PER_S = 20 };

struct stun_io {
	struct ev_io io;
	struct embed *embed;
	enum udp_family family;
};

struct embed {
	struct coord *co;
	struct relay *relay;
	struct udp *udp;
	struct stun_io stun_io[UDP_FAMILIES];
	struct stunsrv stun;
};

static bool known(void *arg, const struct node_pub *key)
{
	const struct coord *co = arg;
	const struct node *n = state_node_by_key(co->st, key);

	return n && n->authorized && !node_expired(n, ev_wall(co->ev));
}

static void admit(void *owner, struct relay_ask *ask)
{
	struct embed *e = owner;

	relay_answer(ask, !e->co->cfg->derp_verify || known(e->co, &ask->key));
}

void embed_recheck(struct embed *e)
{
	if (e && e->co->cfg->derp_verify)
		relay_recheck(e->relay, known, e->co);
}

/* ---- STUN ---- */

static size_t answer_stun(struct embed *e, const struct udp_frame *in, uint8_t *dst)
{
	if (in->cut || in->seg != in->n)
		return 0;
	return stunsrv_answer(&e->stun, ev_now(e->co->ev), &in->remote, span(in->p, in->n), dst);
}

static void on_stun(struct ev_io *io, unsigned events)
{
	struct stun_io *s = CONTAINER_OF(io, struct stun_io, io);
	struct embed *e = s->embed;
	struct udp_frame in[UDP_RECV_SLOTS], out[UDP_RECV_SLOTS];
	uint8_t answers[UDP_RECV_SLOTS][STUN_RESPONSE_MAX];
	size_t n_out = 0;
	int n = udp_recv(e->udp, s->family, in), why = 0;

	(void)events;
	for (int i = 0; i < n; i++) {
		size_t len = answer_stun(e, &in[i], answers[n_out]);

		if (!len)
			continue;
		/* From the address that was asked: clients behind firewalls hear no other. */
		out[n_out] = (struct udp_frame){ .p = answers[n_out],
			                         .n = (uint32_t)len,
			                         .seg = (uint16_t)len,
			                         .remote = in[i].remote,
			                         .local = in[i].local };
		n_out++;
	}
	if (n_out)
		(void)udp_send(e->udp, out, n_out, &why); /* a lost answer is asked for again */
}

static int open_stun(struct embed *e)
{
	const char *at = e->co->cfg->derp_stun_addr;
	const char *colon = strrchr(at, ':');
	uint64_t port = 0, key[2] = { rand_u64(), rand_u64() };
	struct udp_cfg cfg = { 0 };
	int r;

	if (!*at)
		return 0;
	if (!colon || span_u64(span_str(colon + 1), 65535, &port) < 0)
		return log_ret(ERR_MALFORMED, "derp.server.stun_listen_addr %s", at);
	cfg.port = (uint16_t)port;
	r = udp_open(&cfg, &e->udp);
	if (r < 0)
		return log_ret(r, "cannot listen on %s for STUN", at);
	stunsrv_init(&e->stun, STUN_PER_S, key);
	for (enum udp_family f = 0; r >= 0 && f < UDP_FAMILIES; f++) {
		int fd = udp_fd(e->udp, f);

		e->stun_io[f] = (struct stun_io){ .io = { .fn = on_stun },
			                          .embed = e,
			                          .family = f };
		if (fd >= 0)
			r = ev_io_start(e->co->ev, &e->stun_io[f].io, fd, EV_READ);
	}
	return r;
}

/* ---- requests ---- */

static void answer_page(struct http_req *req, struct page *p)
{
	for (size_t i = 0; i < p->n_fields; i++)
		http_put_field(req, p->field[i].name, p->field[i].value);
	http_answer(req, p->status, p->type, buf_span(&p->body));
	page_done(p);
}

void embed_upgrade(struct coord_call *c)
{
	struct embed *e = c->co->embed;
	struct relay_upgrade up;
	struct page page = { 0 };
	struct stream *s = NULL;

	if (!e) {
		http_answer_text(c->req, 404, "this server has no embedded relay");
		return;
	}
	relay_upgrade_of(c->req->head, &up);
	up.from = c->req->from;
	if (up.way != RELAY_WAY_NONE)
		s = http_hijack(c->req);
	if (s) {
		relay_accept(e->relay, s, &up);
		return;
	}
	page_no_upgrade(&page);
	answer_page(c->req, &page);
}

void embed_probe(struct coord_call *c)
{
	http_put_field(c->req, "Access-Control-Allow-Origin", "*");
	http_answer(c->req, c->co->embed ? 200 : 404, NULL, (struct span){ 0 });
}

/* ---- the whole ---- */

int embed_new(struct coord *co, const struct node_priv *key, struct embed **ret)
{
	struct embed *e = mem_new(struct embed);
	struct relay_env env = {
		.ev = co->ev, .rand = &co->rand, .key = key, .admit = admit, .owner = e
	};

	e->co = co;
	e->relay = relay_new(&env);
	/* Relaying works without; clients then learn their addresses elsewhere. */
	if (open_stun(e) < 0)
		log_warn("the embedded relay serves without STUN");
	*ret = e;
	return 0;
}

void embed_free(struct embed *e)
{
	if (!e)
		return;
	for (size_t f = 0; f < UDP_FAMILIES; f++)
		if (e->stun_io[f].io.active)
			ev_io_stop(e->co->ev, &e->stun_io[f].io);
	udp_close(e->udp);
	relay_free(e->relay);
	free(e);
}
