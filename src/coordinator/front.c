#include "coordinator/front.h"

#include <stdlib.h>

#include "base/err.h"
#include "base/file.h"
#include "base/log.h"
#include "coordinator/admin.h"
#include "coordinator/api.h"
#include "coordinator/logins.h"
#include "coordinator/oidc/web.h"
#include "coordinator/outbound.h"
#include "coordinator/secret.h"
#include "coordinator/sshcheck.h"

enum { SECRET_FILE_MAX = 4096, GUESSES = 20, GUESS_US = 6 * US_PER_S };

struct front {
	struct coord *co;
	struct api_env api;
	struct oidc_cfg cfg;
	struct oidc_client *oidc; /* NULL: administrators let devices in */
	struct web *web;
	char *redirect, *secret;
	struct oidc_param *params;
	char hostname[256], os[64], machine[KEY_TEXT_MAX], session_to[NAME_MAX_LEN + 1];
};

/* ---- what the pages ask ---- */

static void keep(char *dst, size_t cap, const char *text)
{
	size_t n = text ? strlen(text) : 0;

	n = n < cap ? n : cap - 1;
	if (n)
		memcpy(dst, text, n);
	dst[n] = 0;
}

static bool find_session(struct front *f, struct span auth_id, struct web_login *ret)
{
	struct sshcheck_info info;

	if (!sshchecks_find(f->co->sshchecks, auth_id, &info))
		return false;
	keep(f->hostname, sizeof(f->hostname), info.src->given_name);
	keep(f->session_to, sizeof(f->session_to), info.dst->given_name);
	*ret = (struct web_login){ f->hostname, "", "", "", f->session_to, info.login };
	return true;
}

static bool find_login(void *arg, struct span auth_id, struct web_login *ret)
{
	struct front *f = arg;
	struct login_info info;

	if (!auth_id_valid(auth_id))
		return false;
	if (!logins_find(f->co->logins, auth_id, &info))
		return find_session(f, auth_id, ret);
	keep(f->hostname, sizeof(f->hostname), info.hostname);
	keep(f->os, sizeof(f->os), info.os);
	(void)machine_pub_text(&info.machine, f->machine);
	*ret = (struct web_login){ f->hostname, f->os, "", f->machine, NULL, NULL };
	return true;
}

/* The user of this identity, made at the first login, brought up to date at each. */
static int login_user(struct front *f, const struct oidc_identity *who, const struct user **ret)
{
	struct texts groups = { 0 };
	struct user_spec spec = { .name = span_str(*who->username ? who->username : who->name),
		                  .display_name = span_str(who->name),
		                  .email = span_str(who->email),
		                  .provider = SPAN_LIT("oidc"),
		                  .provider_id = span_str(who->provider_id),
		                  .picture_url = span_str(who->picture),
		                  .groups = &groups };
	int r;

	for (size_t i = 0; i < who->n_groups; i++)
		texts_add(&groups, span_str(who->groups[i]));
	r = state_user_login(f->co->st, &spec, ev_wall(f->co->ev), ret);
	texts_done(&groups);
	return r;
}

static int join(void *arg, struct span auth_id, const struct oidc_identity *who, wall expiry,
                struct fault *reterr)
{
	struct front *f = arg;
	const struct user *u = NULL;
	const struct node *n = NULL;
	struct sshcheck_info session;
	int r = login_user(f, who, &u);

	if (r < 0)
		return fault_set(reterr, r, 0, 0, "the account cannot be kept: %s", err_text(r));
	if (sshchecks_find(f->co->sshchecks, auth_id, &session))
		return sshchecks_approve(f->co->sshchecks, auth_id, u->id, reterr);
	return logins_approve(f->co->logins, auth_id, u->id, REGISTER_OIDC, expiry, "oidc", &n,
	                      reterr);
}

/* ---- what the API asks ---- */

static int api_set_policy(void *arg, struct span text, const char *actor, struct fault *reterr)
{
	struct front *f = arg;

	return coord_set_policy(f->co, text, actor, reterr);
}

static int api_register(void *arg, struct span auth_id, uint64_t user, const char *actor,
                        const struct node **ret, struct fault *reterr)
{
	struct front *f = arg;

	return logins_approve(f->co->logins, auth_id, user, REGISTER_CLI, (wall){ 0 }, actor, ret,
	                      reterr);
}

/* What is decided here changes no record, and stands in the audit log all the same. */
static int note(struct coord *co, const char *actor, const char *action, struct span auth_id)
{
	AUTO_FREE char *target = str_fmt("auth:%.*s", SPAN_FMT(span_first(auth_id, 60)));

	return state_note(co->st, actor, action, target, NULL, ev_wall(co->ev));
}

/* A login that adds a node needs to know whose it is. */
int front_approve(struct coord *co, struct span auth_id, const char *actor, struct fault *reterr)
{
	struct login_info info;
	int r;

	if (logins_find(co->logins, auth_id, &info))
		return fault_set(reterr, ERR_BADSTATE, 0, 0,
		                 "a new node waits under this id: register it with its user");
	r = sshchecks_approve(co->sshchecks, auth_id, 0, reterr);
	return r < 0 ? r : note(co, actor, "auth.approve", auth_id);
}

int front_reject(struct coord *co, struct span auth_id, const char *actor)
{
	int r = logins_reject(co->logins, auth_id);

	if (r == ERR_UNKNOWN)
		r = sshchecks_reject(co->sshchecks, auth_id);
	return r < 0 ? r : note(co, actor, "auth.reject", auth_id);
}

static int api_approve(void *arg, struct span auth_id, const char *actor, struct fault *reterr)
{
	struct front *f = arg;

	return front_approve(f->co, auth_id, actor, reterr);
}

static int api_plant(void *arg, struct span auth_id, struct span name, const struct js *routes,
                     struct node **ret)
{
	struct front *f = arg;

	return logins_plant(f->co->logins, auth_id, name, routes, ret);
}

static int api_reject(void *arg, struct span auth_id, const char *actor)
{
	struct front *f = arg;

	return front_reject(f->co, auth_id, actor);
}

static void api_ask(void *arg, struct http_req *req, const struct question *q,
                    void (*refuse)(struct http_req *req, int error, const char *why))
{
	struct front *f = arg;

	admin_ask_node(f->co, req, q, refuse);
}

/* ---- putting it together ---- */

static int read_secret(struct front *f)
{
	const struct config *cfg = f->co->cfg;
	AUTO_DONE(buf) struct buf text = { .secret = true };
	int r;

	if (!*cfg->oidc_client_secret_path) {
		f->secret = str_dup(cfg->oidc_client_secret);
		return 0;
	}
	r = file_read(cfg->oidc_client_secret_path, SECRET_FILE_MAX, &text);
	if (r < 0)
		return log_ret(r, "cannot read %s", cfg->oidc_client_secret_path);
	f->secret = span_dup(span_trim(buf_span(&text)));
	return 0;
}

static enum oidc_pkce pkce_of(const struct config *cfg)
{
	if (!cfg->oidc_pkce)
		return OIDC_PKCE_NONE;
	return strcmp(cfg->oidc_pkce_method, "plain") == 0 ? OIDC_PKCE_PLAIN : OIDC_PKCE_S256;
}

static void set_oidc(struct front *f)
{
	const struct config *cfg = f->co->cfg;

	f->redirect = str_fmt("%s/oidc/callback", cfg->server_url);
	f->params = mem_new_n(struct oidc_param, cfg->oidc_params.n + 1);
	for (size_t i = 0; i < cfg->oidc_params.n; i++)
		f->params[i] = (struct oidc_param){ cfg->oidc_params.v[i].name,
			                            cfg->oidc_params.v[i].value };
	f->cfg = (struct oidc_cfg){
		.issuer = cfg->oidc_issuer,
		.client_id = cfg->oidc_client_id,
		.client_secret = f->secret,
		.redirect_uri = f->redirect,
		.scopes = (const char *const *)cfg->oidc_scope.v,
		.n_scopes = cfg->oidc_scope.n,
		.params = f->params,
		.n_params = cfg->oidc_params.n,
		.domains = (const char *const *)cfg->oidc_domains.v,
		.n_domains = cfg->oidc_domains.n,
		.users = (const char *const *)cfg->oidc_users.v,
		.n_users = cfg->oidc_users.n,
		.groups = (const char *const *)cfg->oidc_groups.v,
		.n_groups = cfg->oidc_groups.n,
		.email_verified_required = cfg->oidc_email_verified,
		.use_token_expiry = cfg->oidc_token_expiry,
		.pkce = pkce_of(cfg),
	};
}

static int start_oidc(struct front *f)
{
	struct coord *co = f->co;
	int r = read_secret(f);

	if (r < 0)
		return r;
	set_oidc(f);
	f->oidc = oidc_client_new(co->ev, outbound_http(co->outbound), &co->rand, &f->cfg);
	return 0;
}

int front_new(struct coord *co, struct front **ret)
{
	struct front *f = mem_new(struct front);
	struct web_env env = { .find = find_login,
		               .join = join,
		               .server_url = co->cfg->server_url,
		               .tailnet = co->cfg->base_domain,
		               .arg = f };
	int r = 0;

	f->co = co;
	f->api = (struct api_env){ .st = co->st,
		                   .policy = co->policy,
		                   .policy_in_file = strcmp(co->cfg->policy_mode, "database") != 0,
		                   .set_policy = api_set_policy,
		                   .register_login = api_register,
		                   .approve_login = api_approve,
		                   .reject_login = api_reject,
		                   .plant_login = api_plant,
		                   .ask = api_ask,
		                   .guesses = throttle_new(GUESSES, GUESS_US),
		                   .arg = f };
	if (*co->cfg->oidc_issuer)
		r = start_oidc(f);
	if (r < 0) {
		front_free(f);
		return r;
	}
	f->web = web_new(co->ev, &co->rand, &env, f->oidc);
	*ret = f;
	return 0;
}

uint64_t front_refused(const struct front *f)
{
	return throttle_refused(f->api.guesses);
}

void front_free(struct front *f)
{
	if (!f)
		return;
	throttle_free(f->api.guesses);
	web_free(f->web);
	oidc_client_free(f->oidc);
	if (f->secret)
		explicit_bzero(f->secret, strlen(f->secret));
	free(f->secret);
	free(f->redirect);
	free(f->params);
	free(f);
}

/* ---- routes ---- */

void front_register(struct coord_call *c)
{
	web_register(c->co->front->web, c->req, route_param(c->match, "auth_id"));
}

void front_callback(struct coord_call *c)
{
	web_callback(c->co->front->web, c->req);
}

void front_confirm(struct coord_call *c)
{
	web_confirm(c->co->front->web, c->req, route_param(c->match, "auth_id"));
}

void front_clients(struct coord_call *c)
{
	web_clients(c->co->front->web, c->req);
}

void front_api(struct coord_call *c)
{
	api_http(&c->co->front->api, c->req, c->local, ev_wall(c->co->ev));
}
