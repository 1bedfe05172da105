#include "coordinator/setdns.h"

#include <stdlib.h>

#include "base/enc.h"
#include "base/err.h"
#include "base/json.h"
#include "base/log.h"
#include "coordinator/kept.h"
#include "coordinator/outbound.h"
#include "http/url.h"

enum {
	VALUE_MAX = 255,
	RECORDS_MAX = 1024, /* remembered; the operator's hook keeps what is beyond */
	HOOK_TIMEOUT_US = 30 * 1000 * 1000,
};

static const int64_t again_us = 600 * US_PER_S; /* after a clean-up that failed */
static const int64_t record_life_us = 24 * 3600 * US_PER_S;

/* A request held while the hook works. */
struct writing {
	struct coord *co;
	struct http_req *req;
	struct fetch *fetch;
	char *fqdn, *value;
};

/* One that was written, and goes. */
struct record {
	struct setdns *all;
	char *fqdn, *value;
	wall at, until; /* when it is taken away, and when that is given up */
	struct fetch *fetch;
};

struct setdns {
	struct coord *co;
	VEC(struct record *) records;
};

static void writing_free(struct writing *w)
{
	free(w->fqdn);
	free(w->value);
	free(w);
}

/* ---- what was written ---- */

static void record_free(struct record *r)
{
	if (r->fetch)
		fetch_cancel(r->fetch);
	free(r->fqdn);
	free(r->value);
	free(r);
}

static void record_drop(struct setdns *s, size_t i)
{
	struct record *r = s->records.v[i];

	kept_drop(state_store(s->co->st), KEPT_RECORD, r->value);
	vec_remove(&s->records, i);
	record_free(r);
}

static struct record *record_add(struct setdns *s, struct span fqdn, struct span value, wall at,
                                 wall until)
{
	struct record *r = mem_new(struct record);

	if (s->records.n >= RECORDS_MAX)
		record_drop(s, 0);
	r->all = s;
	r->fqdn = span_dup(fqdn);
	r->value = span_dup(value);
	r->at = at;
	r->until = until;
	vec_push(&s->records, r);
	return r;
}

static void remember(struct setdns *s, const struct writing *w)
{
	AUTO_DONE(buf) struct buf json = { 0 };
	struct js_wr wr = js_wr_of(&json);
	wall now = ev_wall(s->co->ev), at = { now.us + s->co->cfg->acme_cleanup_us };
	wall until = { at.us + record_life_us };

	(void)record_add(s, span_str(w->fqdn), span_str(w->value), at, until);
	js_wr_open(&wr, JS_OBJECT);
	js_wr_kv_str(&wr, "fqdn", w->fqdn);
	js_wr_kv_str(&wr, "value", w->value);
	js_wr_kv_int(&wr, "at", at.us);
	js_wr_close(&wr, JS_OBJECT);
	kept_put(state_store(s->co->st), KEPT_RECORD, w->value, until, buf_span(&json));
}

static void load_one(void *arg, const char *id, wall until, const struct js *record)
{
	(void)id;
	(void)record_add(arg, js_text(js_get(record, "fqdn")), js_text(js_get(record, "value")),
	                 (wall){ js_int(js_get(record, "at"), 0) }, until);
}

struct setdns *setdns_new(struct coord *co)
{
	struct setdns *s = mem_new(struct setdns);

	s->co = co;
	kept_load(state_store(co->st), KEPT_RECORD, ev_wall(co->ev), load_one, s);
	return s;
}

void setdns_free(struct setdns *s)
{
	if (!s)
		return;
	vec_each(struct record **, r, &s->records)
		record_free(*r);
	vec_done(&s->records);
	free(s);
}

/* ---- the hook ---- */

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
	bool written = r >= 0 && found->status / 100 == 2;

	if (written)
		remember(w->co->setdns, w);
	writing_free(w);
	if (written) {
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
	writing_free(w);
}

static void put_body(const char *fqdn, const char *value, struct buf *out)
{
	struct js_wr w = js_wr_of(out);

	js_wr_open(&w, JS_OBJECT);
	js_wr_kv_str(&w, "fqdn", fqdn);
	js_wr_kv_str(&w, "value", value);
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

/* verb: "present", "cleanup" */
static int ask_hook(struct coord *co, const char *verb, const char *fqdn, const char *value,
                    void (*done)(void *owner, int r, const struct fetched *found), void *owner,
                    struct fetch **ret)
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
	buf_fmt(&target, "/%s", verb);
	put_body(fqdn, value, &body);
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

	*ret = http_fetch(outbound_http(co->outbound), &cfg, done, owner);
	return 0;
}

/* ---- taking away ---- */

static void on_cleaned(void *owner, int r, const struct fetched *found)
{
	struct record *rec = owner;
	struct setdns *s = rec->all;

	rec->fetch = NULL;
	if (r < 0 || found->status / 100 != 2) {
		log_warn("the DNS hook did not take a record away: %s",
		         r < 0 ? err_text(r) : http_reason(found->status));
		rec->at.us += again_us;
		return;
	}
	for (size_t i = 0; i < s->records.n; i++)
		if (s->records.v[i] == rec) {
			record_drop(s, i);
			return;
		}
}

void setdns_tick(struct setdns *s)
{
	wall now = ev_wall(s->co->ev);

	for (size_t i = s->records.n; i--;) {
		struct record *r = s->records.v[i];

		if (r->fetch || r->at.us > now.us)
			continue;
		if (r->until.us <= now.us ||
		    ask_hook(s->co, "cleanup", r->fqdn, r->value, on_cleaned, r, &r->fetch) < 0)
			record_drop(s, i);
	}
}

/* ---- a node asks ---- */

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
	w->co = c->co;
	w->req = c->req;
	w->fqdn = str_fmt("%.*s%s", SPAN_FMT(name), name.p[name.n - 1] == '.' ? "" : ".");
	w->value = span_dup(value);
	later.arg = w;
	http_answer_later(c->req, &later);
	if (ask_hook(c->co, "present", w->fqdn, w->value, on_done, w, &w->fetch) < 0) {
		writing_free(w);
		http_answer_text(c->req, 500, "the DNS hook is not set up rightly");
	}
}
