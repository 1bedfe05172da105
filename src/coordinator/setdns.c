#include "coordinator/setdns.h"

#include "base/enc.h"
#include "base/err.h"
#include "base/json.h"
#include "base/log.h"
#include "coordinator/outbound.h"
#include "http/url.h"

enum { VALUE_MAX = 255, HOOK_TIMEOUT_US = 30 * 1000 * 1000 };

/* A request held while the hook works. */
struct writing {
	struct http_req *req;
	struct fetch *fetch;
};

bool setdns_offered(const struct config *cfg)
{
	return *cfg->acme_hook && *cfg->base_domain && cfg->magic_dns;
}

static bool is_own_name(const struct config *cfg, const struct node *n, struct span name)
{
	AUTO_FREE char *own = str_fmt("_acme-challenge.%s.%s", n->given_name, cfg->base_domain);

	if (name.n && name.p[name.n - 1] == '.')
		name.n--;
	return span_is_nocase(name, own);
}

static void on_done(void *owner, int r, const struct fetched *found)
{
	struct writing *w = owner;
	struct http_req *req = w->req;

	free(w);
	if (r >= 0 && found->status / 100 == 2) {
		coord_answer_json(req, 200, SPAN_LIT("{}"));
		return;
	}
	log_warn("the DNS hook did not write a record: %s",
	         r < 0 ? err_text(r) : http_reason(found->status));
	http_answer_text(req, 502, "the DNS record could not be written");
}

static void on_gone(struct http_req *req, void *arg)
{
	struct writing *w = arg;

	(void)req;
	fetch_cancel(w->fetch);
	free(w);
}

static void put_body(struct span name, struct span value, struct buf *out)
{
	struct js_wr w = js_wr_of(out);
	AUTO_FREE char *fqdn = str_fmt("%.*s%s", SPAN_FMT(name),
	                               name.p[name.n - 1] == '.' ? "" : ".");

	js_wr_open(&w, JS_OBJECT);
	js_wr_kv_str(&w, "fqdn", fqdn);
	js_wr_kv_span(&w, "value", value);
	js_wr_close(&w, JS_OBJECT);
}

/* "Basic ..." of the user and password in the hook's URL; "" if there are none. */
static void put_authorization(const struct url *u, struct buf *out)
{
	AUTO_DONE(buf) struct buf plain = { .secret = true };
	AUTO_FREE char *text = mem_alloc(BASE64_LEN(u->userinfo.n) + 1);

	if (u->userinfo.n && url_decode(u->userinfo, URL_PLUS_IS_PLUS, &plain) >= 0)
		buf_fmt(out, "Basic %s", base64_encode(text, plain.p, plain.n));
}

static int ask_hook(struct coord *co, struct writing *w, struct span name, struct span value)
{
	AUTO_DONE(buf) struct buf body = { 0 };
	AUTO_DONE(buf) struct buf target = { 0 };
	AUTO_DONE(buf) struct buf auth = { .secret = true };
	struct url u;
	int r = url_parse(span_str(co->cfg->acme_hook), &u);

	if (r < 0)
		return log_ret(r, "dns.acme_hook is no URL");
	buf_fmt(&target, "%s://", u.https ? "https" : "http");
	url_put_authority(&target, &u);
	if (u.target.n > 1)
		buf_add_span(&target, u.target);
	buf_add_str(&target, "/present");
	put_body(name, value, &body);
	put_authorization(&u, &auth);

	struct http_field field = { SPAN_LIT("Authorization"), buf_span(&auth) };
	struct fetch_cfg cfg = {
		.method = "POST",
		.url = buf_text(&target),
		.type = "application/json",
		.body = buf_span(&body),
		.fields = &field,
		.n_fields = auth.n ? 1 : 0,
		.timeout_us = HOOK_TIMEOUT_US,
	};

	w->fetch = http_fetch(outbound_http(co->outbound), &cfg, on_done, w);
	return 0;
}

void setdns_write(struct coord_call *c, const struct node *n, struct span type, struct span name,
                  struct span value)
{
	struct writing *w;
	struct http_later later = { .gone = on_gone };

	if (!setdns_offered(c->co->cfg)) {
		http_answer_text(c->req, 501,
		                 "this server has no way to write DNS records (dns.acme_hook)");
		return;
	}
	if (!span_is(type, "TXT") || !value.n || value.n > VALUE_MAX ||
	    !is_own_name(c->co->cfg, n, name)) {
		http_answer_text(c->req, 400, "a TXT record of the node's own name is expected");
		return;
	}
	w = mem_new(struct writing);
	w->req = c->req;
	later.arg = w;
	http_answer_later(c->req, &later);
	if (ask_hook(c->co, w, name, value) < 0) {
		free(w);
		http_answer_text(c->req, 500, "the DNS hook is not set up rightly");
	}
}
