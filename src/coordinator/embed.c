#include "coordinator/embed.h"

#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "relay/pages.h"
#include "relay/relay.h"
#include "relay/stunport.h"

enum { STUN_PER_S = 20 };

struct embed {
	struct coord *co;
	struct relay *relay;
	struct stunport stun;
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

static int open_stun(struct embed *e)
{
	const char *at = e->co->cfg->derp_stun_addr;
	const char *colon = strrchr(at, ':');
	uint64_t port = 0, key[2] = { rand_u64(), rand_u64() };
	int r;

	if (!*at)
		return 0;
	if (!colon || span_u64(span_str(colon + 1), 65535, &port) < 0)
		return log_ret(ERR_MALFORMED, "derp.server.stun_listen_addr %s", at);
	stunsrv_init(&e->stun.srv, STUN_PER_S, key);
	r = stunport_open(&e->stun, e->co->ev, (uint16_t)port);
	return r < 0 ? log_ret(r, "cannot listen on %s for STUN", at) : 0;
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
	stunport_close(&e->stun);
	relay_free(e->relay);
	free(e);
}
