#include "coordinator/idtoken.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/enc.h"
#include "base/err.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "http/acme_key.h"

enum { KEY_FILE_MAX = 8 << 10, LIFE_S = 5 * 60, JTI_LEN = 16 };

struct idtoken {
	struct coord *co;
	struct acme_key *key;
	char id[ACME_THUMB_MAX];
};

/* ---- the key ---- */

static char *key_path(const struct config *cfg)
{
	const char *slash = strrchr(cfg->noise_key_path, '/');
	int n = slash ? (int)(slash - cfg->noise_key_path) : 1;

	return str_fmt("%.*s/id_token_key.pem", n, slash ? cfg->noise_key_path : ".");
}

static int make_key(const char *path, struct acme_key **ret)
{
	AUTO_DONE(buf) struct buf pem = { .secret = true };

	*ret = acme_key_new();
	acme_key_pem(*ret, &pem);
	return file_write_atomic(path, buf_span(&pem), 0600);
}

static int load_key(const char *path, struct acme_key **ret)
{
	AUTO_DONE(buf) struct buf pem = { .secret = true };
	int r = file_read(path, KEY_FILE_MAX, &pem);

	if (r == -ENOENT)
		return make_key(path, ret);
	return r < 0 ? r : acme_key_parse(buf_span(&pem), ret);
}

int idtoken_new(struct coord *co, struct idtoken **ret)
{
	AUTO_FREE char *path = key_path(co->cfg);
	struct idtoken *t = mem_new(struct idtoken);
	int r = load_key(path, &t->key);

	t->co = co;
	if (r < 0) {
		idtoken_free(t);
		return log_ret(r, "the key of id tokens, %s", path);
	}
	acme_key_thumbprint(t->key, t->id);
	*ret = t;
	return 0;
}

void idtoken_free(struct idtoken *t)
{
	if (!t)
		return;
	acme_key_free(t->key);
	free(t);
}

/* ---- how to verify ---- */

static void put_list(struct js_wr *w, const char *name, const char *const *v, size_t n)
{
	js_wr_key(w, name);
	js_wr_open(w, JS_ARRAY);
	for (size_t i = 0; i < n; i++)
		js_wr_str(w, v[i]);
	js_wr_close(w, JS_ARRAY);
}

void idtoken_discovery(struct coord_call *c)
{
	static const char *const types[] = { "id_token" }, *const subjects[] = { "public" },
				 *const algorithms[] = { "ES256" }, *const scopes[] = { "openid" },
				 *const claims[] = { "aud",  "exp", "iat",       "iss",  "jti",
		                                     "nbf",  "sub", "key",       "nid",  "node",
		                                     "tags", "uid", "addresses", "user", "domain" };
	const char *base = c->co->cfg->server_url;
	AUTO_FREE char *jwks = str_fmt("%s/.well-known/jwks.json", base);
	AUTO_DONE(buf) struct buf out = { 0 };
	struct js_wr w = js_wr_of(&out);

	js_wr_open(&w, JS_OBJECT);
	js_wr_kv_str(&w, "issuer", base);
	js_wr_kv_str(&w, "jwks_uri", jwks);
	put_list(&w, "response_types_supported", types, ARRAY_LEN(types));
	put_list(&w, "subject_types_supported", subjects, ARRAY_LEN(subjects));
	put_list(&w, "id_token_signing_alg_values_supported", algorithms, ARRAY_LEN(algorithms));
	put_list(&w, "scopes_supported", scopes, ARRAY_LEN(scopes));
	put_list(&w, "claims_supported", claims, ARRAY_LEN(claims));
	js_wr_close(&w, JS_OBJECT);
	coord_answer_json(c->req, 200, buf_span(&out));
}

void idtoken_jwks(struct coord_call *c)
{
	const struct idtoken *t = c->co->idtoken;
	char x[ACME_COORD_MAX], y[ACME_COORD_MAX];
	AUTO_DONE(buf) struct buf out = { 0 };
	struct js_wr w = js_wr_of(&out);

	acme_key_coords(t->key, x, y);
	js_wr_open(&w, JS_OBJECT);
	js_wr_key(&w, "keys");
	js_wr_open(&w, JS_ARRAY);
	js_wr_open(&w, JS_OBJECT);
	js_wr_kv_str(&w, "kty", "EC");
	js_wr_kv_str(&w, "crv", "P-256");
	js_wr_kv_str(&w, "use", "sig");
	js_wr_kv_str(&w, "alg", "ES256");
	js_wr_kv_str(&w, "kid", t->id);
	js_wr_kv_str(&w, "x", x);
	js_wr_kv_str(&w, "y", y);
	js_wr_close(&w, JS_OBJECT);
	js_wr_close(&w, JS_ARRAY);
	js_wr_close(&w, JS_OBJECT);
	coord_answer_json(c->req, 200, buf_span(&out));
}

/* ---- tokens ---- */

static void put_owner(struct js_wr *w, const struct coord *co, const struct node *n)
{
	const char *domain = co->cfg->base_domain;
	const struct user *u = node_is_tagged(n) ? NULL : state_user(co->st, n->user_id);
	char login[24];

	if (u) {
		AUTO_FREE char *user = str_fmt("%s:%s", domain, user_login(u, login));

		js_wr_kv_str(w, "user", user);
		js_wr_kv_int(w, "uid", (int64_t)u->id);
		return;
	}
	js_wr_key(w, "tags");
	js_wr_open(w, JS_ARRAY);
	for (size_t i = 0; i < n->tags.n; i++) {
		AUTO_FREE char *tag = str_fmt("%s:%s", domain, n->tags.v[i]);

		js_wr_str(w, tag);
	}
	js_wr_close(w, JS_ARRAY);
}

static void put_addresses(struct js_wr *w, const struct node *n)
{
	const struct ip *ips[] = { &n->ip4, &n->ip6 };
	char text[PREFIX_TEXT_MAX];

	js_wr_key(w, "addresses");
	js_wr_open(w, JS_ARRAY);
	for (size_t i = 0; i < ARRAY_LEN(ips); i++) {
		struct prefix p = prefix_host(*ips[i]);

		if (!ip_is_zero(ips[i]))
			js_wr_str(w, prefix_text(&p, text));
	}
	js_wr_close(w, JS_ARRAY);
}

static void put_claims(const struct idtoken *t, const struct node *n, struct span audience,
                       struct buf *out)
{
	const struct config *cfg = t->co->cfg;
	const char *dot = *cfg->base_domain ? "." : "";
	AUTO_FREE char *name = str_fmt("%s%s%s", n->given_name, dot, cfg->base_domain);
	int64_t now = ev_wall(t->co->ev).us / US_PER_S;
	struct js_wr w = js_wr_of(out);
	uint8_t raw[JTI_LEN];
	char jti[HEX_LEN(JTI_LEN) + 1], key[KEY_TEXT_MAX];

	rand_fill(&t->co->rand, raw, sizeof(raw));
	hex_encode(jti, raw, sizeof(raw));
	js_wr_open(&w, JS_OBJECT);
	js_wr_kv_str(&w, "iss", cfg->server_url);
	js_wr_kv_str(&w, "sub", name);
	js_wr_kv_span(&w, "aud", audience);
	js_wr_kv_int(&w, "iat", now);
	js_wr_kv_int(&w, "nbf", now);
	js_wr_kv_int(&w, "exp", now + LIFE_S);
	js_wr_kv_str(&w, "jti", jti);
	js_wr_kv_str(&w, "key", node_pub_text(&n->key, key));
	js_wr_kv_int(&w, "nid", (int64_t)n->id);
	js_wr_kv_str(&w, "node", name);
	js_wr_kv_str(&w, "domain", cfg->base_domain);
	put_addresses(&w, n);
	put_owner(&w, t->co, n);
	js_wr_close(&w, JS_OBJECT);
}

static void add_encoded(struct buf *out, struct span bytes)
{
	AUTO_FREE char *text = mem_alloc(BASE64_LEN(bytes.n) + 1);

	buf_add_str(out, base64url_encode(text, bytes.p, bytes.n));
}

int idtoken_issue(struct idtoken *t, const struct node *n, struct span audience, struct buf *out)
{
	AUTO_DONE(buf) struct buf claims = { 0 };
	AUTO_DONE(buf) struct buf token = { 0 };
	AUTO_FREE char *head = str_fmt("{\"alg\":\"ES256\",\"typ\":\"JWT\",\"kid\":\"%s\"}", t->id);
	uint8_t signature[ACME_SIGNATURE_LEN];
	int r;

	put_claims(t, n, audience, &claims);
	add_encoded(&token, span_str(head));
	buf_add_str(&token, ".");
	add_encoded(&token, buf_span(&claims));
	r = acme_key_sign(t->key, buf_span(&token), signature);
	if (r < 0)
		return r;
	buf_add_str(&token, ".");
	add_encoded(&token, SPAN_OF(signature));
	buf_add_span(out, buf_span(&token));
	return 0;
}
