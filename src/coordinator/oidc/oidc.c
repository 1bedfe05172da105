#include "coordinator/oidc/oidc.h"

#include <openssl/evp.h>
#include <stdlib.h>

#include "base/enc.h"
#include "base/err.h"
#include "base/json.h"
#include "http/form.h"
#include "http/url.h"

struct oidc {
	struct oidc_cfg cfg;
	char *authorize_url, *token_url, *userinfo_url, *jwks_url;
	bool secret_in_body; /* the provider does not take it in a header */
	struct jwks keys;
	struct map flows;
	struct oidc_flow *oldest, *newest;
};

struct oidc *oidc_new(const struct oidc_cfg *cfg)
{
	struct oidc *o = mem_new(struct oidc);

	o->cfg = *cfg;
	map_init(&o->flows);
	return o;
}

static void forget_provider(struct oidc *o)
{
	free(o->authorize_url);
	free(o->token_url);
	free(o->userinfo_url);
	free(o->jwks_url);
	o->authorize_url = o->token_url = o->userinfo_url = o->jwks_url = NULL;
}

static void take_out(struct oidc *o, struct oidc_flow *f)
{
	map_remove(&o->flows, &f->by_state);
	*(f->older ? &f->older->newer : &o->oldest) = f->newer;
	*(f->newer ? &f->newer->older : &o->newest) = f->older;
	f->older = f->newer = NULL;
}

void oidc_flow_free(struct oidc_flow *f)
{
	if (!f)
		return;
	free(f->subject);
	explicit_bzero(f, sizeof(*f));
	free(f);
}

void oidc_free(struct oidc *o)
{
	if (!o)
		return;
	while (o->oldest) {
		struct oidc_flow *f = o->oldest;

		take_out(o, f);
		oidc_flow_free(f);
	}
	map_done(&o->flows);
	jwks_done(&o->keys);
	forget_provider(o);
	free(o);
}

const struct oidc_cfg *oidc_config(const struct oidc *o)
{
	return &o->cfg;
}

const struct jwks *oidc_key_set(const struct oidc *o)
{
	return &o->keys;
}

/* ---- the provider ---- */

static struct span without_slash(const char *text)
{
	struct span s = span_str(text);

	while (s.n && s.p[s.n - 1] == '/')
		s.n--;
	return s;
}

void oidc_discovery_url(const struct oidc *o, struct buf *url)
{
	buf_add_span(url, without_slash(o->cfg.issuer));
	buf_add_str(url, "/.well-known/openid-configuration");
}

/* An endpoint of the document; NULL if it is no URL we may use. */
static char *endpoint(const struct oidc *o, const struct js *doc, const char *name)
{
	struct span text = js_text(js_get(doc, name));
	struct url url, issuer;

	if (text.n == 0 || url_parse(text, &url) < 0 ||
	    url_parse(span_str(o->cfg.issuer), &issuer) < 0 || (issuer.https && !url.https))
		return NULL;
	return span_dup(text);
}

static bool lists(const struct js *list, const char *text)
{
	for (const struct js *m = js_first(list); m; m = m->next)
		if (span_is(js_text(m), text))
			return true;
	return false;
}

int oidc_discovered(struct oidc *o, struct span json, struct fault *reterr)
{
	AUTO_DONE(arena) struct arena a = { 0 };
	struct js *doc = NULL;
	struct span issuer;

	if (json.n > OIDC_ANSWER_MAX || js_parse(&a, json, true, &doc, NULL) < 0)
		return fault_set(reterr, ERR_MALFORMED, 0, 0,
		                 "the provider's description is no JSON");
	issuer = js_text(js_get(doc, "issuer"));
	if (!span_eq(without_slash(arena_str(&a, issuer)), without_slash(o->cfg.issuer)))
		return fault_set(reterr, ERR_AUTH, 0, 0,
		                 "the provider calls itself \"%.*s\", and the configuration \"%s\"",
		                 SPAN_FMT(span_first(issuer, 80)), o->cfg.issuer);
	forget_provider(o);
	o->authorize_url = endpoint(o, doc, "authorization_endpoint");
	o->token_url = endpoint(o, doc, "token_endpoint");
	o->userinfo_url = endpoint(o, doc, "userinfo_endpoint");
	o->jwks_url = endpoint(o, doc, "jwks_uri");
	const struct js *methods = js_get(doc, "token_endpoint_auth_methods_supported");

	o->secret_in_body = methods && !lists(methods, "client_secret_basic") &&
	                    lists(methods, "client_secret_post");
	if (o->authorize_url && o->token_url && o->jwks_url)
		return 0;
	forget_provider(o);
	return fault_set(reterr, ERR_MALFORMED, 0, 0,
	                 "the provider's description lacks an endpoint, or it is not https");
}

int oidc_keys(struct oidc *o, struct span json)
{
	return jwks_parse(json, &o->keys);
}

bool oidc_is_ready(const struct oidc *o)
{
	return o->authorize_url && o->keys.keys.n > 0;
}

const char *oidc_jwks_url(const struct oidc *o)
{
	return o->jwks_url ? o->jwks_url : "";
}

const char *oidc_token_url(const struct oidc *o)
{
	return o->token_url ? o->token_url : "";
}

const char *oidc_userinfo_url(const struct oidc *o)
{
	return o->userinfo_url ? o->userinfo_url : "";
}

/* ---- out ---- */

static void random_token(struct rand_src *rand, char dst[static OIDC_TOKEN_LEN + 1])
{
	uint8_t raw[32];
	char text[BASE64_LEN(32) + 1];

	rand_fill(rand, raw, sizeof(raw));
	memcpy(dst, base64url_encode(text, raw, sizeof(raw)), OIDC_TOKEN_LEN);
	dst[OIDC_TOKEN_LEN] = 0;
	explicit_bzero(raw, sizeof(raw));
	explicit_bzero(text, sizeof(text));
}

static void forget_old(struct oidc *o, wall now)
{
	while (o->oldest && (o->flows.n >= OIDC_FLOWS_MAX || o->oldest->deadline.us <= now.us)) {
		struct oidc_flow *f = o->oldest;

		take_out(o, f);
		oidc_flow_free(f);
	}
}

static struct oidc_flow *new_flow(struct oidc *o, const char *subject, struct rand_src *rand,
                                  wall now)
{
	struct oidc_flow *f = mem_new(struct oidc_flow);

	random_token(rand, f->state);
	random_token(rand, f->nonce);
	random_token(rand, f->verifier);
	random_token(rand, f->cookie);
	f->subject = str_dup(subject);
	f->deadline.us = now.us + OIDC_FLOW_LIFE_S * US_PER_S;
	f->older = o->newest;
	*(o->newest ? &o->newest->newer : &o->oldest) = f;
	o->newest = f;
	map_insert(&o->flows, &f->by_state, map_hash(&o->flows, f->state, OIDC_TOKEN_LEN));
	return f;
}

static void add_challenge(const struct oidc *o, const struct oidc_flow *f, struct buf *query)
{
	uint8_t digest[32];
	char text[BASE64_LEN(32) + 1];

	if (o->cfg.pkce == OIDC_PKCE_NONE)
		return;
	if (o->cfg.pkce == OIDC_PKCE_PLAIN) {
		form_add(query, "code_challenge", span_str(f->verifier));
		form_add(query, "code_challenge_method", SPAN_LIT("plain"));
		return;
	}
	if (!EVP_Digest(f->verifier, OIDC_TOKEN_LEN, digest, NULL, EVP_sha256(), NULL))
		abort();
	form_add(query, "code_challenge", span_str(base64url_encode(text, digest, sizeof(digest))));
	form_add(query, "code_challenge_method", SPAN_LIT("S256"));
}

static void add_scopes(const struct oidc *o, struct buf *query)
{
	AUTO_DONE(buf) struct buf scopes = { 0 };

	for (size_t i = 0; i < o->cfg.n_scopes; i++)
		buf_fmt(&scopes, "%s%s", i ? " " : "", o->cfg.scopes[i]);
	if (o->cfg.n_scopes == 0)
		buf_add_str(&scopes, "openid profile email");
	form_add(query, "scope", buf_span(&scopes));
}

int oidc_begin(struct oidc *o, const char *subject, struct rand_src *rand, wall now,
               struct buf *url, const struct oidc_flow **ret)
{
	AUTO_DONE(buf) struct buf query = { 0 };

	if (!oidc_is_ready(o))
		return ERR_BADSTATE;
	forget_old(o, now);
	struct oidc_flow *f = new_flow(o, subject, rand, now);

	form_add(&query, "client_id", span_str(o->cfg.client_id));
	form_add(&query, "response_type", SPAN_LIT("code"));
	form_add(&query, "redirect_uri", span_str(o->cfg.redirect_uri));
	add_scopes(o, &query);
	form_add(&query, "state", span_str(f->state));
	form_add(&query, "nonce", span_str(f->nonce));
	add_challenge(o, f, &query);
	for (size_t i = 0; i < o->cfg.n_params; i++)
		form_add(&query, o->cfg.params[i].name, span_str(o->cfg.params[i].value));
	buf_add_str(url, o->authorize_url);
	buf_add_u8(url, strchr(o->authorize_url, '?') ? '&' : '?');
	buf_add_span(url, buf_span(&query));
	*ret = f;
	return 0;
}

const char *oidc_cookie_name(const char *state, char dst[static OIDC_COOKIE_NAME_MAX])
{
	size_t n = 0;

	memcpy(dst, "fl_login_", 9);
	for (; n < 12 && state[n]; n++)
		dst[9 + n] = state[n];
	dst[9 + n] = 0;
	return dst;
}

/* ---- and back ---- */

static struct oidc_flow *find_flow(struct oidc *o, const char *state)
{
	size_t n = state ? strlen(state) : 0;

	if (n != OIDC_TOKEN_LEN)
		return NULL;
	for (struct map_node *m = map_find(&o->flows, map_hash(&o->flows, state, n)); m;
	     m = map_again(m)) {
		struct oidc_flow *f = CONTAINER_OF(m, struct oidc_flow, by_state);

		if (ct_eq(f->state, state, n))
			return f;
	}
	return NULL;
}

static bool is_cookie(const struct oidc_flow *f, struct span cookie)
{
	return cookie.n == OIDC_TOKEN_LEN && ct_eq(f->cookie, cookie.p, cookie.n);
}

static void token_body(const struct oidc *o, const struct oidc_flow *f, const char *code,
                       struct buf *body)
{
	form_add(body, "grant_type", SPAN_LIT("authorization_code"));
	form_add(body, "code", span_str(code));
	form_add(body, "redirect_uri", span_str(o->cfg.redirect_uri));
	if (o->cfg.pkce != OIDC_PKCE_NONE)
		form_add(body, "code_verifier", span_str(f->verifier));
	if (o->secret_in_body || !*o->cfg.client_secret)
		form_add(body, "client_id", span_str(o->cfg.client_id));
	if (o->secret_in_body && *o->cfg.client_secret)
		form_add(body, "client_secret", span_str(o->cfg.client_secret));
}

int oidc_returned(struct oidc *o, const struct oidc_return *back, wall now, struct buf *ret_body,
                  struct oidc_flow **ret, struct fault *reterr)
{
	forget_old(o, now);
	struct oidc_flow *found = find_flow(o, back->state);

	if (!found)
		return fault_set(reterr, ERR_UNKNOWN, 0, 0,
		                 "this login is not known any more; please start again");
	/* Somebody else's browser must not use up the flow. */
	if (!is_cookie(found, back->cookie))
		return fault_set(reterr, ERR_AUTH, 0, 0,
		                 "this login was started in another browser");
	take_out(o, found);
	AUTO(oidc_flow_free) struct oidc_flow *f = found;

	if (back->issuer && !span_eq(without_slash(back->issuer), without_slash(o->cfg.issuer)))
		return fault_set(reterr, ERR_AUTH, 0, 0, "the answer is another provider's");
	if (back->error)
		return fault_set(reterr, ERR_DENIED, 0, 0, "the provider refused: %.60s%s%.100s",
		                 back->error, back->error_description ? ": " : "",
		                 back->error_description ? back->error_description : "");
	if (!back->code || !*back->code)
		return fault_set(reterr, ERR_MALFORMED, 0, 0, "the provider sent no code");
	token_body(o, f, back->code, ret_body);
	*ret = TAKE(f);
	return 0;
}

void oidc_token_authorization(const struct oidc *o, struct buf *value)
{
	AUTO_DONE(buf) struct buf pair = { .secret = true };

	if (o->secret_in_body || !*o->cfg.client_secret)
		return;
	/* RFC 6749 2.3.1: both are form-encoded before they are joined. */
	url_encode(&pair, span_str(o->cfg.client_id));
	buf_add_u8(&pair, ':');
	url_encode(&pair, span_str(o->cfg.client_secret));
	AUTO_FREE char *text = mem_alloc(BASE64_LEN(pair.n) + 1);

	buf_fmt(value, "Basic %s", base64_encode(text, pair.p, pair.n));
	explicit_bzero(text, BASE64_LEN(pair.n));
}
