/* Who the token speaks of, and whether that one may in. */
#include <stdlib.h>

#include "base/enc.h"
#include "base/err.h"
#include "base/json.h"
#include "coordinator/oidc/oidc.h"

/* ---- reading claims ---- */

void oidc_provider_id(const char *issuer, struct span subject, struct buf *ret)
{
	struct span i = span_trim(span_str(issuer)), s = span_trim(subject);

	while (i.n && i.p[i.n - 1] == '/')
		i.n--;
	while (s.n && s.p[0] == '/')
		s = span_from(s, 1);
	buf_add_span(ret, i);
	buf_add_u8(ret, '/');
	buf_add_span(ret, s);
}

static void keep(struct arena *a, const struct js *claims, const char *name, const char **slot)
{
	struct span text = js_text(js_get(claims, name));

	if (!*slot || (!**slot && text.n))
		*slot = arena_str(a, text);
}

/* true, or "true" as some providers write. */
static bool is_true(const struct js *v)
{
	return js_truth(v, false) || span_is_nocase(js_text(v), "true");
}

/* A list of texts, or a single text. */
static void read_groups(struct arena *a, const struct js *v, struct oidc_identity *io)
{
	size_t max = v && v->kind == JS_ARRAY ? v->n : 1;

	if (!v || io->n_groups)
		return;
	io->groups = arena_new_n(a, const char *, max + 1);
	if (v->kind == JS_STRING && v->text.n)
		io->groups[io->n_groups++] = arena_str(a, v->text);
	for (const struct js *m = js_first(v); m && io->n_groups < OIDC_GROUPS_MAX; m = m->next)
		if (m->kind == JS_STRING && m->text.n)
			io->groups[io->n_groups++] = arena_str(a, m->text);
}

static void read_profile(struct arena *a, const struct js *claims, struct oidc_identity *io)
{
	bool had_email = io->email && *io->email;

	keep(a, claims, "name", &io->name);
	keep(a, claims, "preferred_username", &io->username);
	keep(a, claims, "email", &io->email);
	keep(a, claims, "picture", &io->picture);
	/* The word about an e-mail counts from where the e-mail is from. */
	if (!had_email)
		io->email_verified = is_true(js_get(claims, "email_verified"));
	read_groups(a, js_get(claims, "groups"), io);
}

/* ---- judging the token ---- */

static bool is_audience(const struct js *aud, const char *client)
{
	if (span_is(js_text(aud), client))
		return true;
	for (const struct js *m = js_first(aud); m; m = m->next)
		if (span_is(js_text(m), client))
			return true;
	return false;
}

static int64_t seconds(const struct js *v, int64_t alternative)
{
	double d = 0;

	if (!v || v->kind != JS_NUMBER)
		return alternative;
	AUTO_FREE char *text = span_dup(v->text);

	d = strtod(text, NULL);
	return d > -1e15 && d < 1e12 ? (int64_t)d : alternative;
}

static bool same_issuer(struct span a, const char *b)
{
	struct span x = a, y = span_str(b);

	while (x.n && x.p[x.n - 1] == '/')
		x.n--;
	while (y.n && y.p[y.n - 1] == '/')
		y.n--;
	return span_eq(x, y);
}

static const char *why_not(const struct oidc_cfg *cfg, const struct oidc_flow *f,
                           const struct js *claims, wall now)
{
	struct span nonce = js_text(js_get(claims, "nonce")), azp = js_text(js_get(claims, "azp"));
	const struct js *aud = js_get(claims, "aud");
	int64_t now_s = now.us / US_PER_S;

	if (!same_issuer(js_text(js_get(claims, "iss")), cfg->issuer))
		return "the token is another issuer's";
	if (!is_audience(aud, cfg->client_id))
		return "the token is for another client";
	if ((azp.n && !span_is(azp, cfg->client_id)) || (aud->n > 1 && azp.n == 0))
		return "the token was made out to another client";
	if (nonce.n != OIDC_TOKEN_LEN || !ct_eq(nonce.p, f->nonce, OIDC_TOKEN_LEN))
		return "the token belongs to another login";
	if (seconds(js_get(claims, "exp"), 0) + OIDC_SKEW_S <= now_s)
		return "the token has expired";
	if (seconds(js_get(claims, "iat"), now_s) > now_s + OIDC_SKEW_S ||
	    seconds(js_get(claims, "nbf"), now_s) > now_s + OIDC_SKEW_S)
		return "the token is from the future";
	if (span_trim(js_text(js_get(claims, "sub"))).n == 0)
		return "the token names nobody";
	return NULL;
}

static int read_answer(struct arena *a, unsigned status, struct span json, struct js **ret,
                       struct fault *reterr)
{
	if (json.n > OIDC_ANSWER_MAX || js_parse(a, json, false, ret, NULL) < 0)
		return fault_set(reterr, ERR_MALFORMED, 0, 0,
		                 "the provider answered %u without JSON", status);
	if (status == 200)
		return 0;
	return fault_set(reterr, ERR_DENIED, 0, 0, "the provider refused (%u): %.*s", status,
	                 SPAN_FMT(span_first(js_text(js_get(*ret, "error")), 80)));
}

int oidc_token(const struct oidc *o, const struct oidc_flow *f, unsigned status, struct span json,
               wall now, struct arena *a, struct oidc_identity *ret, struct fault *reterr)
{
	const struct oidc_cfg *cfg = oidc_config(o);
	AUTO_DONE(buf) struct buf id = { 0 };
	struct oidc_identity who = { 0 };
	struct js *answer = NULL, *claims = NULL;
	struct span payload;
	const char *why;
	int r = read_answer(a, status, json, &answer, reterr);

	if (r < 0)
		return r;
	r = jwt_verify(oidc_key_set(o), js_text(js_get(answer, "id_token")), a, &payload);
	/* Providers that name no keys, or keep the name, change them too. */
	if (r == ERR_NOKEY || r == ERR_AUTH)
		return fault_set(reterr, ERR_NOKEY, 0, 0, "the token's signature is not valid");
	if (r < 0)
		return fault_set(reterr, r, 0, 0, "the provider sent no token");
	if (js_parse(a, payload, true, &claims, NULL) < 0)
		return fault_set(reterr, ERR_MALFORMED, 0, 0, "the token's claims are no JSON");
	why = why_not(cfg, f, claims, now);
	if (why)
		return fault_set(reterr, ERR_AUTH, 0, 0, "%s", why);
	keep(a, claims, "sub", &who.subject);
	oidc_provider_id(cfg->issuer, js_text(js_get(claims, "sub")), &id);
	who.provider_id = arena_str(a, buf_span(&id));
	read_profile(a, claims, &who);
	who.expiry.us = seconds(js_get(claims, "exp"), 0) * US_PER_S;
	keep(a, answer, "access_token", &who.access_token);
	*ret = who;
	return 0;
}

int oidc_userinfo(struct span json, struct arena *a, struct oidc_identity *io)
{
	struct js *claims = NULL;

	if (json.n > OIDC_ANSWER_MAX || js_parse(a, json, false, &claims, NULL) < 0)
		return ERR_MALFORMED;
	if (!span_is(js_text(js_get(claims, "sub")), io->subject))
		return ERR_AUTH;
	read_profile(a, claims, io);
	return 0;
}

/* ---- who may in ---- */

static bool listed(const char *const *list, size_t n, const char *text)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(list[i], text) == 0)
			return true;
	return false;
}

static bool domain_listed(const struct oidc_cfg *cfg, const char *email)
{
	const char *at = strrchr(email, '@');

	for (size_t i = 0; at && i < cfg->n_domains; i++)
		if (strcasecmp(cfg->domains[i], at + 1) == 0)
			return true;
	return false;
}

static bool group_listed(const struct oidc_cfg *cfg, const struct oidc_identity *who)
{
	for (size_t i = 0; i < who->n_groups; i++)
		if (listed(cfg->groups, cfg->n_groups, who->groups[i]))
			return true;
	return false;
}

/* Each list that is there must be met: a domain does not make up for a missing group. */
int oidc_admit(const struct oidc *o, const struct oidc_identity *who, struct fault *reterr)
{
	const struct oidc_cfg *cfg = oidc_config(o);
	bool by_email = cfg->n_domains || cfg->n_users;

	if (by_email && cfg->email_verified_required && !who->email_verified)
		return fault_set(reterr, ERR_DENIED, 0, 0,
		                 "the provider has not verified the e-mail address");
	if (cfg->n_domains && !domain_listed(cfg, who->email))
		return fault_set(reterr, ERR_DENIED, 0, 0,
		                 "accounts of this e-mail domain may not join");
	if (cfg->n_users && !listed(cfg->users, cfg->n_users, who->email))
		return fault_set(reterr, ERR_DENIED, 0, 0, "this account may not join");
	if (cfg->n_groups && !group_listed(cfg, who))
		return fault_set(reterr, ERR_DENIED, 0, 0,
		                 "this account is in none of the groups that may join");
	return 0;
}
