#include "coordinator/oidc/web.h"

#include <stdlib.h>

#include "base/enc.h"
#include "base/err.h"
#include "base/list.h"
#include "base/log.h"
#include "coordinator/oidc/pages.h"
#include "http/form.h"

enum { FORM_BODY_MAX = 16 << 10 };

/* A person who has logged in and has not said yes. */
struct pending {
	struct link link;
	char *auth_id;
	char csrf[OIDC_TOKEN_LEN + 1], cookie[OIDC_TOKEN_LEN + 1];
	struct arena arena;
	struct oidc_identity who;
	wall deadline;
};

struct web {
	struct ev *ev;
	struct rand_src *rand;
	struct web_env env;
	struct oidc_client *oidc;
	struct link pending; /* the oldest first */
	size_t n_pending;
	struct link callbacks;
};

/* A callback whose login is still being asked for. */
struct callback {
	struct link link;
	struct web *w;
	struct http_req *req;
	struct oidc_exchange *x;
};

struct web *web_new(struct ev *ev, struct rand_src *rand, const struct web_env *env,
                    struct oidc_client *oidc)
{
	struct web *w = mem_new(struct web);

	w->ev = ev;
	w->rand = rand;
	w->env = *env;
	w->oidc = oidc;
	list_init(&w->pending);
	list_init(&w->callbacks);
	return w;
}

static void pending_free(struct web *w, struct pending *p)
{
	list_remove(&p->link);
	w->n_pending--;
	free(p->auth_id);
	arena_done(&p->arena);
	explicit_bzero(p, sizeof(*p));
	free(p);
}

void web_free(struct web *w)
{
	struct pending *p, *tmp;
	struct callback *cb, *next;

	if (!w)
		return;
	list_each_safe(p, tmp, &w->pending, link)
		pending_free(w, p);
	list_each_safe(cb, next, &w->callbacks, link) {
		oidc_exchange_cancel(cb->x);
		free(cb);
	}
	free(w);
}

/* ---- answers ---- */

static void answer_page(struct http_req *req, unsigned status, struct buf *html)
{
	http_put_field(req, "Cache-Control", "no-store");
	http_put_field(req, "Content-Security-Policy", LOGIN_PAGE_CSP);
	http_answer(req, status, "text/html; charset=utf-8", buf_span(html));
}

static void answer_error(struct http_req *req, unsigned status, const char *title, const char *why)
{
	AUTO_DONE(buf) struct buf html = { 0 };

	login_page_error(&html, title, why);
	answer_page(req, status, &html);
}

static void answer_unknown(struct http_req *req)
{
	answer_error(req, 404, "This link is no longer valid",
	             "It has expired, or the device has joined already. Start again on the device "
	             "to get a new one.");
}

static void set_cookie(struct http_req *req, const char *name, const char *value, const char *path,
                       enum cookie_site site)
{
	AUTO_DONE(buf) struct buf text = { .secret = true };
	struct cookie c = { .name = name,
		            .value = value,
		            .path = path,
		            .max_age_s = *value ? WEB_PENDING_LIFE_S : -1,
		            .secure = req->secure,
		            .site = site };

	cookie_put(&text, &c);
	http_put_field(req, "Set-Cookie", buf_text(&text));
}

/* ---- the link on the device ---- */

static void show_command(struct web *w, struct http_req *req, const char *auth_id,
                         const struct web_login *login)
{
	AUTO_DONE(buf) struct buf html = { 0 };
	struct login_page_register page = { .server_name = w->env.tailnet,
		                            .auth_id = auth_id,
		                            .hostname = login->hostname,
		                            .session_to = login->session_to,
		                            .session_login = login->session_login };

	login_page_register(&html, &page);
	answer_page(req, 200, &html);
}

void web_register(struct web *w, struct http_req *req, const char *auth_id)
{
	AUTO_DONE(buf) struct buf url = { 0 };
	char name[OIDC_COOKIE_NAME_MAX];
	const struct oidc_flow *flow;
	struct web_login login;

	if (!w->env.find(w->env.arg, span_str(auth_id), &login)) {
		answer_unknown(req);
		return;
	}
	if (!w->oidc) {
		show_command(w, req, auth_id, &login);
		return;
	}
	if (oidc_begin(oidc_client_core(w->oidc), auth_id, w->rand, ev_wall(w->ev), &url, &flow) <
	    0) {
		answer_error(req, 503, "Signing in is not possible at the moment",
		             "The identity provider does not answer. Please try again later.");
		return;
	}
	/* Lax: the way back comes from the provider's site. */
	set_cookie(req, oidc_cookie_name(flow->state, name), flow->cookie, "/oidc/callback",
	           COOKIE_LAX);
	http_put_field(req, "Cache-Control", "no-store");
	http_answer_redirect(req, 302, buf_text(&url));
}

/* ---- back from the provider ---- */

static void random_token(struct web *w, char dst[static OIDC_TOKEN_LEN + 1])
{
	uint8_t raw[32];
	char text[BASE64_LEN(32) + 1];

	rand_fill(w->rand, raw, sizeof(raw));
	memcpy(dst, base64url_encode(text, raw, sizeof(raw)), OIDC_TOKEN_LEN);
	dst[OIDC_TOKEN_LEN] = 0;
	explicit_bzero(raw, sizeof(raw));
}

static void copy_identity(struct pending *p, const struct oidc_identity *who)
{
	struct arena *a = &p->arena;
	const char **groups = arena_new_n(a, const char *, who->n_groups + 1);

	for (size_t i = 0; i < who->n_groups; i++)
		groups[i] = arena_str(a, span_str(who->groups[i]));
	p->who = *who;
	p->who.provider_id = arena_str(a, span_str(who->provider_id));
	p->who.subject = arena_str(a, span_str(who->subject));
	p->who.name = arena_str(a, span_str(who->name));
	p->who.username = arena_str(a, span_str(who->username));
	p->who.email = arena_str(a, span_str(who->email));
	p->who.picture = arena_str(a, span_str(who->picture));
	p->who.groups = groups;
	p->who.access_token = "";
}

static void forget_old(struct web *w)
{
	struct pending *p;

	while ((p = list_first(&w->pending, struct pending, link)) &&
	       (w->n_pending >= WEB_PENDING_MAX || p->deadline.us <= ev_wall(w->ev).us))
		pending_free(w, p);
}

static struct pending *remember(struct web *w, const char *auth_id, const struct oidc_identity *who)
{
	forget_old(w);
	struct pending *p = mem_new(struct pending);

	p->auth_id = str_dup(auth_id);
	p->deadline.us = ev_wall(w->ev).us + WEB_PENDING_LIFE_S * US_PER_S;
	random_token(w, p->csrf);
	random_token(w, p->cookie);
	copy_identity(p, who);
	list_append(&w->pending, &p->link);
	w->n_pending++;
	return p;
}

static const char CONFIRM_COOKIE[] = "fl_confirm";

static void ask_to_confirm(struct web *w, struct http_req *req, const char *auth_id,
                           const struct oidc_identity *who)
{
	AUTO_DONE(buf) struct buf html = { 0 };
	AUTO_DONE(buf) struct buf action = { 0 };
	struct web_login login;

	if (!w->env.find(w->env.arg, span_str(auth_id), &login)) {
		answer_unknown(req);
		return;
	}
	struct pending *p = remember(w, auth_id, who);
	char from[ADDR_TEXT_MAX] = "";

	if (!ip_is_zero(&req->from.ip))
		(void)ip_text(&req->from.ip, from);
	buf_fmt(&action, "/register/confirm/%s", auth_id);
	struct login_page_confirm page = {
		.user = *who->username ? who->username : who->name,
		.email = who->email,
		.hostname = login.hostname,
		.os = login.os,
		.version = login.version,
		.machine_key = login.machine_key,
		.from = from,
		.session_to = login.session_to,
		.session_login = login.session_login,
		.action = buf_text(&action),
		.csrf = p->csrf,
	};

	login_page_confirm(&html, &page);
	set_cookie(req, CONFIRM_COOKIE, p->cookie, page.action, COOKIE_STRICT);
	answer_page(req, 200, &html);
}

static void callback_free(struct callback *cb)
{
	list_remove(&cb->link);
	free(cb);
}

static unsigned status_of(int error)
{
	switch (error) {
	case ERR_UNKNOWN:
	case ERR_MALFORMED:
		return 400;
	case ERR_DENIED:
	case ERR_AUTH:
	case ERR_NOKEY:
		return 403;
	case ERR_LIMIT:
		return 503;
	default:
		return 502;
	}
}

static void on_login(void *owner, const struct oidc_result *r)
{
	struct callback *cb = owner;
	struct http_req *req = cb->req;
	struct web *w = cb->w;

	callback_free(cb);
	if (r->error == 0) {
		ask_to_confirm(w, req, r->subject, r->who);
		return;
	}
	log_info("a login was refused: %s", r->fault.message);
	answer_error(req, status_of(r->error), "Signing in failed", r->fault.message);
}

static void on_gone(struct http_req *req, void *arg)
{
	struct callback *cb = arg;

	(void)req;
	oidc_exchange_cancel(cb->x);
	callback_free(cb);
}

void web_callback(struct web *w, struct http_req *req)
{
	char name[OIDC_COOKIE_NAME_MAX];
	struct form query;

	if (!w->oidc || form_parse(&req->arena, req->query, &query) < 0) {
		answer_error(req, 400, "Signing in failed", "This address is part of signing in.");
		return;
	}
	struct oidc_return back = { .state = form_get(&query, "state"),
		                    .code = form_get(&query, "code"),
		                    .error = form_get(&query, "error"),
		                    .error_description = form_get(&query, "error_description"),
		                    .issuer = form_get(&query, "iss") };
	struct callback *cb = mem_new(struct callback);
	struct http_later later = { .gone = on_gone, .arg = cb };

	if (back.state) {
		back.cookie = cookie_get(req->head, oidc_cookie_name(back.state, name));
		if (strlen(back.state) == OIDC_TOKEN_LEN)
			set_cookie(req, name, "", "/oidc/callback", COOKIE_LAX);
	}
	cb->w = w;
	cb->req = req;
	list_append(&w->callbacks, &cb->link);
	http_answer_later(req, &later);
	struct oidc_exchange *x = oidc_client_exchange(w->oidc, &back, on_login, cb);

	if (x)
		cb->x = x;
}

/* ---- yes ---- */

static struct pending *find_pending(struct web *w, const char *auth_id, struct span cookie,
                                    const char *csrf)
{
	struct pending *p;

	forget_old(w);
	if (cookie.n != OIDC_TOKEN_LEN || !csrf || strlen(csrf) != OIDC_TOKEN_LEN)
		return NULL;
	list_each(p, &w->pending, link)
		if (ct_eq(p->cookie, cookie.p, OIDC_TOKEN_LEN) &&
		    ct_eq(p->csrf, csrf, OIDC_TOKEN_LEN) && strcmp(p->auth_id, auth_id) == 0)
			return p;
	return NULL;
}

struct confirm {
	struct web *w;
	char *auth_id; /* the request's arena */
};

static wall expiry_of(const struct web *w, const struct oidc_identity *who)
{
	return oidc_config(oidc_client_core(w->oidc))->use_token_expiry ? who->expiry : (wall){ 0 };
}

static void on_confirm(struct http_req *req, void *arg, struct span body)
{
	struct confirm *c = arg;
	AUTO_DONE(buf) struct buf html = { 0 };
	struct form form = { 0 };
	struct fault why = { 0 };
	struct web_login login = { 0 };
	struct pending *p = NULL;

	if (form_parse(&req->arena, body, &form) == 0)
		p = find_pending(c->w, c->auth_id, cookie_get(req->head, CONFIRM_COOKIE),
		                 form_get(&form, "csrf"));
	if (!p) {
		answer_error(req, 403, "This page is no longer valid",
		             "Start again on the device to get a new link.");
		return;
	}
	bool session = c->w->env.find(c->w->env.arg, span_str(c->auth_id), &login) &&
	               login.session_to;
	int r = c->w->env.join(c->w->env.arg, span_str(c->auth_id), &p->who,
	                       expiry_of(c->w, &p->who), &why);

	pending_free(c->w, p);
	if (r == ERR_UNKNOWN) {
		answer_unknown(req);
	} else if (r < 0) {
		answer_error(req, 403,
		             session ? "The session was not allowed"
		                     : "The device was not connected",
		             why.message[0] ? why.message : err_text(r));
	} else {
		login_page_done(&html, session ? "Allowed" : "Connected",
		                session ? "The session goes on where you began it."
		                        : "The device has joined the network in your name.");
		answer_page(req, 200, &html);
	}
}

static void on_confirm_gone(struct http_req *req, void *arg)
{
	(void)req;
	(void)arg;
}

void web_confirm(struct web *w, struct http_req *req, const char *auth_id)
{
	struct confirm *c = arena_new(&req->arena, struct confirm);
	struct http_later later = { .gone = on_confirm_gone, .arg = c };

	if (!w->oidc) {
		answer_unknown(req);
		return;
	}
	c->w = w;
	c->auth_id = arena_str(&req->arena, span_str(auth_id));
	http_answer_later(req, &later);
	http_read_body(req, FORM_BODY_MAX, on_confirm, c);
}

void web_clients(struct web *w, struct http_req *req)
{
	AUTO_DONE(buf) struct buf html = { 0 };

	login_page_clients(&html, w->env.server_url);
	answer_page(req, 200, &html);
}
