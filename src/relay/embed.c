#include "relay/embed.h"

static void answer(struct http_req *req, struct page *p)
{
	for (size_t i = 0; i < p->n_fields; i++)
		http_put_field(req, p->field[i].name, p->field[i].value);
	http_answer(req, p->status, p->type, buf_span(&p->body));
	page_done(p);
}

static void serve_derp(struct relay *r, struct http_req *req)
{
	struct relay_upgrade up;
	struct stream *s;
	struct page p;

	relay_upgrade_of(req->head, &up);
	up.from = req->from;
	s = up.way == RELAY_WAY_NONE ? NULL : http_hijack(req);
	if (s) {
		relay_accept(r, s, &up);
		return;
	}
	page_no_upgrade(&p);
	p.n_fields = 0; /* the server minds the connection itself */
	answer(req, &p);
}

bool relay_serve(struct relay *r, const struct page_env *env, struct http_req *req)
{
	struct page_env here = *env;
	struct page p;

	if (page_is_derp(req->head)) {
		serve_derp(r, req);
		return true;
	}
	here.relay = r;
	here.tls = req->secure;
	if (!page_find(req->head, &here, &p)) {
		page_done(&p);
		return false;
	}
	answer(req, &p);
	return true;
}
