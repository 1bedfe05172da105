/*
 * Login by a provider, both sides in one process: the test signs tokens as a
 * provider would, by each algorithm, and bends them one claim at a time.
 */
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>

#include "base/enc.h"
#include "base/err.h"
#include "base/mem.h"
#include "coordinator/oidc/oidc.h"
#include "coordinator/oidc/pages.h"
#include "http/form.h"
#include "test/check.h"

static const wall NOW = { INT64_C(1800000000) * 1000000 };

/* ---- the provider's side ---- */

struct signer {
	enum jwt_alg alg;
	const char *kid;
	EVP_PKEY *key;
};

static const char *const ALGS[] = { "RS256", "ES256", "EdDSA" };

static struct signer new_signer(enum jwt_alg alg, const char *kid)
{
	struct signer s = { .alg = alg, .kid = kid };

	if (alg == JWT_RS256)
		s.key = EVP_RSA_gen(2048);
	else if (alg == JWT_ES256)
		s.key = EVP_EC_gen("P-256");
	else
		s.key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	CHECK(s.key != NULL);
	return s;
}

static void add_b64(struct buf *to, const void *p, size_t n)
{
	AUTO_FREE char *text = mem_alloc(BASE64_LEN(n) + 1);

	buf_add_str(to, base64url_encode(text, p, n));
}

static void add_bn(struct buf *to, const EVP_PKEY *key, const char *param, size_t pad)
{
	BIGNUM *n = NULL;
	uint8_t raw[1024];
	int len;

	CHECK(EVP_PKEY_get_bn_param(key, param, &n));
	len = pad ? BN_bn2binpad(n, raw, (int)pad) : BN_bn2bin(n, raw);
	add_b64(to, raw, (size_t)len);
	BN_free(n);
}

static void add_jwk(struct buf *to, const struct signer *s)
{
	buf_fmt(to, "{\"use\":\"sig\",\"kid\":\"%s\",", s->kid);
	if (s->alg == JWT_RS256) {
		buf_add_str(to, "\"kty\":\"RSA\",\"alg\":\"RS256\",\"n\":\"");
		add_bn(to, s->key, OSSL_PKEY_PARAM_RSA_N, 0);
		buf_add_str(to, "\",\"e\":\"");
		add_bn(to, s->key, OSSL_PKEY_PARAM_RSA_E, 0);
	} else if (s->alg == JWT_ES256) {
		buf_add_str(to, "\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"");
		add_bn(to, s->key, OSSL_PKEY_PARAM_EC_PUB_X, 32);
		buf_add_str(to, "\",\"y\":\"");
		add_bn(to, s->key, OSSL_PKEY_PARAM_EC_PUB_Y, 32);
	} else {
		uint8_t raw[32];
		size_t n = sizeof(raw);

		CHECK(EVP_PKEY_get_raw_public_key(s->key, raw, &n));
		buf_add_str(to, "\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"");
		add_b64(to, raw, n);
	}
	buf_add_str(to, "\"}");
}

static void add_signature(struct buf *token, const struct signer *s)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	uint8_t sig[1024], raw[64];
	size_t n = sizeof(sig);
	const uint8_t *p = sig;

	CHECK(EVP_DigestSignInit(ctx, NULL, s->alg == JWT_EDDSA ? NULL : EVP_sha256(), NULL,
	                         s->key) > 0);
	CHECK(EVP_DigestSign(ctx, sig, &n, token->p, token->n) > 0);
	EVP_MD_CTX_free(ctx);
	buf_add_u8(token, '.');
	if (s->alg != JWT_ES256) {
		add_b64(token, sig, n);
		return;
	}
	ECDSA_SIG *parts = d2i_ECDSA_SIG(NULL, &p, (long)n);

	BN_bn2binpad(ECDSA_SIG_get0_r(parts), raw, 32);
	BN_bn2binpad(ECDSA_SIG_get0_s(parts), raw + 32, 32);
	ECDSA_SIG_free(parts);
	add_b64(token, raw, sizeof(raw));
}

static void sign(struct buf *token, const struct signer *s, const char *alg, const char *claims)
{
	AUTO_DONE(buf) struct buf head = { 0 };

	buf_clear(token);
	buf_fmt(&head, "{\"alg\":\"%s\",\"kid\":\"%s\"}", alg, s->kid);
	add_b64(token, head.p, head.n);
	buf_add_u8(token, '.');
	add_b64(token, claims, strlen(claims));
	add_signature(token, s);
}

/* ---- keys and signatures ---- */

static void each_algorithm_verifies_and_a_bent_token_does_not(void)
{
	for (enum jwt_alg alg = JWT_RS256; alg <= JWT_EDDSA; alg++) {
		AUTO_DONE(arena) struct arena a = { 0 };
		AUTO_DONE(buf) struct buf set_text = { 0 };
		AUTO_DONE(buf) struct buf token = { 0 };
		struct jwks set = { 0 };
		struct signer s = new_signer(alg, "k1");
		struct span payload;

		buf_add_str(&set_text, "{\"keys\":[");
		add_jwk(&set_text, &s);
		buf_add_str(&set_text, "]}");
		CHECK_OK(jwks_parse(buf_span(&set_text), &set));
		sign(&token, &s, ALGS[alg], "{\"sub\":\"x\"}");
		CHECK_OK(jwt_verify(&set, buf_span(&token), &a, &payload));
		CHECK(span_is(payload, "{\"sub\":\"x\"}"));
		for (size_t n = 0; n < token.n; n++)
			CHECK(jwt_verify(&set, span(token.p, n), &a, &payload) < 0);
		for (size_t i = 0; i < token.n; i += 3) {
			/* The last digit of a part may hold bits that mean nothing. */
			bool last = i + 1 == token.n || token.p[i + 1] == '.';

			token.p[i] ^= 2;
			CHECK(last || jwt_verify(&set, buf_span(&token), &a, &payload) < 0);
			token.p[i] ^= 2;
		}
		sign(&token, &s, ALGS[(alg + 1) % 3], "{}");
		CHECK_EQ(jwt_verify(&set, buf_span(&token), &a, &payload), ERR_AUTH);
		sign(&token, &s, "none", "{}");
		CHECK_EQ(jwt_verify(&set, buf_span(&token), &a, &payload), ERR_AUTH);
		sign(&token, &s, "HS256", "{}");
		CHECK_EQ(jwt_verify(&set, buf_span(&token), &a, &payload), ERR_AUTH);
		s.kid = "k2";
		sign(&token, &s, ALGS[alg], "{}");
		CHECK_EQ(jwt_verify(&set, buf_span(&token), &a, &payload), ERR_NOKEY);
		jwks_done(&set);
		EVP_PKEY_free(s.key);
	}
}

static void key_sets_of_no_use_are_refused(void)
{
	static const struct {
		const char *text;
		int want;
	} sets[] = {
		{ "", ERR_MALFORMED },
		{ "{}", ERR_MALFORMED },
		{ "{\"keys\":[]}", ERR_NOKEY },
		{ "{\"keys\":[{\"kty\":\"oct\",\"k\":\"AAAA\"}]}", ERR_NOKEY },
		{ "{\"keys\":[{\"kty\":\"RSA\",\"n\":\"AQAB\",\"e\":\"AQAB\"}]}", ERR_NOKEY },
		{ "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AA\",\"y\":\"AA\"}]}",
		  ERR_NOKEY },
		{ "{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"!\"}]}", ERR_NOKEY },
	};
	struct jwks set = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(sets); i++)
		CHECK_EQ(jwks_parse(span_str(sets[i].text), &set), sets[i].want);
}

/* ---- a whole login ---- */

static const char DISCOVERY[] =
	"{\"issuer\":\"https://id.test/\",\"authorization_endpoint\":\"https://id.test/auth?x=1\","
	"\"token_endpoint\":\"https://id.test/token\",\"jwks_uri\":\"https://id.test/keys\"}";

static struct oidc_cfg config(void)
{
	return (struct oidc_cfg){ .issuer = "https://id.test",
		                  .client_id = "me",
		                  .client_secret = "s3:cret",
		                  .redirect_uri = "https://c.test/oidc/callback" };
}

struct login {
	struct rand_src rand;
	struct oidc *o;
	struct signer s;
	struct buf url, body, token, answer, claims;
	const struct oidc_flow *begun;
	struct oidc_flow *flow;
	char state[OIDC_TOKEN_LEN + 1], cookie[OIDC_TOKEN_LEN + 1];
	struct arena arena;
	struct fault fault;
};

static void setup(struct login *l, const struct oidc_cfg *cfg)
{
	AUTO_DONE(buf) struct buf keys = { 0 };

	*l = (struct login){ .o = oidc_new(cfg), .s = new_signer(JWT_ES256, "k1") };
	rand_seeded(&l->rand, 5);
	CHECK_OK(oidc_discovered(l->o, span_str(DISCOVERY), &l->fault));
	buf_add_str(&keys, "{\"keys\":[");
	add_jwk(&keys, &l->s);
	buf_add_str(&keys, "]}");
	CHECK_OK(oidc_keys(l->o, buf_span(&keys)));
	CHECK_OK(oidc_begin(l->o, "authreq-1", &l->rand, NOW, &l->url, &l->begun));
	memcpy(l->state, l->begun->state, sizeof(l->state));
	memcpy(l->cookie, l->begun->cookie, sizeof(l->cookie));
}

static void teardown(struct login *l)
{
	oidc_flow_free(l->flow);
	oidc_free(l->o);
	EVP_PKEY_free(l->s.key);
	buf_done(&l->url);
	buf_done(&l->body);
	buf_done(&l->token);
	buf_done(&l->answer);
	buf_done(&l->claims);
	arena_done(&l->arena);
}

static int come_back(struct login *l, const char *cookie, wall now)
{
	struct oidc_return back = { .state = l->state, .code = "c0de", .cookie = span_str(cookie) };

	return oidc_returned(l->o, &back, now, &l->body, &l->flow, &l->fault);
}

/* The provider's answer with the claims as given, the nonce put in. */
static int answer(struct login *l, const char *claims_fmt, struct oidc_identity *ret)
{
	const char *at = strstr(claims_fmt, "NONCE");

	buf_clear(&l->claims);
	buf_add(&l->claims, claims_fmt, at ? (size_t)(at - claims_fmt) : strlen(claims_fmt));
	if (at) {
		buf_add_str(&l->claims, l->flow->nonce);
		buf_add_str(&l->claims, at + 5);
	}
	sign(&l->token, &l->s, "ES256", buf_text(&l->claims));
	buf_clear(&l->answer);
	buf_fmt(&l->answer, "{\"access_token\":\"at\",\"id_token\":\"%s\"}", buf_text(&l->token));
	return oidc_token(l->o, l->flow, 200, buf_span(&l->answer), NOW, &l->arena, ret, &l->fault);
}

static const char GOOD[] = "{\"iss\":\"https://id.test\",\"aud\":\"me\",\"nonce\":\"NONCE\","
			   "\"exp\":1800000600,\"iat\":1800000000,\"sub\":\"u-1\",\"name\":\"Ann\","
			   "\"email\":\"ann@acme.test\",\"email_verified\":\"true\","
			   "\"groups\":[\"eng\",\"ops\"]}";

static void a_login_ends_with_issuer_and_subject(void)
{
	struct oidc_cfg cfg = config();
	struct oidc_identity who;
	struct login l;
	AUTO_DONE(buf) struct buf basic = { 0 };
	struct form form;

	setup(&l, &cfg);
	CHECK(span_starts(buf_span(&l.url), "https://id.test/auth?x=1&client_id=me&"));
	CHECK(strstr(buf_text(&l.url), "code_challenge_method=S256") != NULL);
	CHECK(strstr(buf_text(&l.url), l.begun->verifier) == NULL);
	CHECK_OK(come_back(&l, l.cookie, NOW));
	CHECK_OK(form_parse(&l.arena, buf_span(&l.body), &form));
	CHECK_STR(form_get(&form, "code"), "c0de");
	CHECK_STR(form_get(&form, "code_verifier"), l.flow->verifier);
	CHECK_STR(l.flow->subject, "authreq-1");
	oidc_token_authorization(l.o, &basic);
	CHECK_STR(buf_text(&basic), "Basic bWU6czMlM0FjcmV0");
	CHECK_OK(answer(&l, GOOD, &who));
	CHECK_STR(who.provider_id, "https://id.test/u-1");
	CHECK_STR(who.name, "Ann");
	CHECK(who.email_verified);
	CHECK_EQ(who.n_groups, 2);
	CHECK_EQ(who.expiry.us, INT64_C(1800000600) * 1000000);
	teardown(&l);
}

static void a_flow_serves_once_and_only_its_browser(void)
{
	struct oidc_cfg cfg = config();
	struct login l;

	setup(&l, &cfg);
	CHECK_EQ(come_back(&l, "", NOW), ERR_AUTH);
	l.cookie[0] ^= 1;
	CHECK_EQ(come_back(&l, l.cookie, NOW), ERR_AUTH);
	l.cookie[0] ^= 1;
	CHECK_OK(come_back(&l, l.cookie, NOW));
	oidc_flow_free(TAKE(l.flow));
	CHECK_EQ(come_back(&l, l.cookie, NOW), ERR_UNKNOWN);
	teardown(&l);
	setup(&l, &cfg);
	CHECK_EQ(come_back(&l, l.cookie, (wall){ NOW.us + 16 * 60 * US_PER_S }), ERR_UNKNOWN);
	teardown(&l);
}

static void a_bent_claim_is_refused(void)
{
	static const struct {
		const char *claims;
	} bent[] = {
		{ "{\"iss\":\"https://"
		  "evil.test\",\"aud\":\"me\",\"nonce\":\"NONCE\",\"exp\":1800000600,\"sub\":"
		  "\"u\"}" },
		{ "{\"iss\":\"https://"
		  "id.test\",\"aud\":\"you\",\"nonce\":\"NONCE\",\"exp\":1800000600,\"sub\":"
		  "\"u\"}" },
		{ "{\"iss\":\"https://"
		  "id.test\",\"aud\":[\"me\",\"you\"],\"nonce\":\"NONCE\",\"exp\":1800000600,"
		  "\"sub\":\"u\"}" },
		{ "{\"iss\":\"https://"
		  "id.test\",\"aud\":\"me\",\"azp\":\"you\",\"nonce\":\"NONCE\",\"exp\":1800000600,"
		  "\"sub\":\"u\"}" },
		{ "{\"iss\":\"https://"
		  "id.test\",\"aud\":\"me\",\"nonce\":\"other\",\"exp\":1800000600,\"sub\":"
		  "\"u\"}" },
		{ "{\"iss\":\"https://id.test\",\"aud\":\"me\",\"exp\":1800000600,\"sub\":\"u\"}" },
		{ "{\"iss\":\"https://"
		  "id.test\",\"aud\":\"me\",\"nonce\":\"NONCE\",\"exp\":1799999900,\"sub\":"
		  "\"u\"}" },
		{ "{\"iss\":\"https://"
		  "id.test\",\"aud\":\"me\",\"nonce\":\"NONCE\",\"sub\":\"u\"}" },
		{ "{\"iss\":\"https://"
		  "id.test\",\"aud\":\"me\",\"nonce\":\"NONCE\",\"exp\":1800000600,\"iat\":"
		  "1800000100,\"sub\":\"u\"}" },
		{ "{\"iss\":\"https://"
		  "id.test\",\"aud\":\"me\",\"nonce\":\"NONCE\",\"exp\":1800000600,\"sub\":\" "
		  "\"}" },
		{ "[]" },
	};
	struct oidc_cfg cfg = config();
	struct oidc_identity who;
	struct login l;

	setup(&l, &cfg);
	CHECK_OK(come_back(&l, l.cookie, NOW));
	for (size_t i = 0; i < ARRAY_LEN(bent); i++)
		CHECK(answer(&l, bent[i].claims, &who) < 0);
	CHECK_OK(answer(&l, GOOD, &who));
	CHECK_EQ(oidc_token(l.o, l.flow, 400, SPAN_LIT("{\"error\":\"invalid_grant\"}"), NOW,
	                    &l.arena, &who, &l.fault),
	         ERR_DENIED);
	teardown(&l);
}

static void key_rotates_to(const char *name)
{
	struct oidc_cfg cfg = config();
	struct oidc_identity who;
	struct login l;
	AUTO_DONE(buf) struct buf keys = { 0 };

	setup(&l, &cfg);
	CHECK_OK(come_back(&l, l.cookie, NOW));
	EVP_PKEY_free(l.s.key);
	l.s = new_signer(JWT_ES256, name);
	CHECK_EQ(answer(&l, GOOD, &who), ERR_NOKEY);
	buf_add_str(&keys, "{\"keys\":[");
	add_jwk(&keys, &l.s);
	buf_add_str(&keys, "]}");
	CHECK_OK(oidc_keys(l.o, buf_span(&keys)));
	CHECK_OK(answer(&l, GOOD, &who));
	teardown(&l);
}

static void a_rotated_key_asks_for_the_keys_again_whatever_its_name(void)
{
	key_rotates_to("k2");
	key_rotates_to("k1");
}

static void userinfo_fills_in_but_never_for_another(void)
{
	struct oidc_cfg cfg = config();
	struct oidc_identity who;
	struct login l;

	setup(&l, &cfg);
	CHECK_OK(come_back(&l, l.cookie, NOW));
	CHECK_OK(answer(&l,
	                "{\"iss\":\"https://id.test\",\"aud\":[\"me\"],\"nonce\":\"NONCE\","
	                "\"exp\":1800000600,\"sub\":\"u-1\"}",
	                &who));
	CHECK_STR(who.email, "");
	CHECK_EQ(oidc_userinfo(SPAN_LIT("{\"sub\":\"u-2\",\"email\":\"x@y.z\"}"), &l.arena, &who),
	         ERR_AUTH);
	CHECK_OK(oidc_userinfo(
		SPAN_LIT("{\"sub\":\"u-1\",\"email\":\"x@y.z\",\"email_verified\":true,"
	                 "\"groups\":\"only\"}"),
		&l.arena, &who));
	CHECK_STR(who.email, "x@y.z");
	CHECK(who.email_verified && who.n_groups == 1);
	teardown(&l);
}

static int admit(struct oidc_cfg cfg, const struct oidc_identity *who)
{
	AUTO(oidc_free) struct oidc *o = oidc_new(&cfg);

	return oidc_admit(o, who, NULL);
}

static void every_list_that_is_there_must_be_met(void)
{
	static const char *const domains[] = { "acme.test" }, *const users[] = { "ann@acme.test" },
				 *const groups[] = { "ops" };
	const char *member_of[] = { "eng", "ops" };
	struct oidc_identity ann = {
		.email = "ann@acme.test", .email_verified = true, .groups = member_of, .n_groups = 2
	};
	struct oidc_identity bob = { .email = "bob@evil.acme.test.x", .email_verified = true };
	struct oidc_cfg cfg = config();

	CHECK_OK(admit(cfg, &bob));
	cfg.domains = domains;
	cfg.n_domains = 1;
	CHECK_OK(admit(cfg, &ann));
	CHECK_EQ(admit(cfg, &bob), ERR_DENIED);
	cfg.groups = groups;
	cfg.n_groups = 1;
	CHECK_OK(admit(cfg, &ann));
	ann.n_groups = 1;
	CHECK_EQ(admit(cfg, &ann), ERR_DENIED);
	ann.n_groups = 2;
	cfg.users = users;
	cfg.n_users = 1;
	cfg.email_verified_required = true;
	CHECK_OK(admit(cfg, &ann));
	ann.email_verified = false;
	CHECK_EQ(admit(cfg, &ann), ERR_DENIED);
}

static void a_provider_that_calls_itself_otherwise_is_refused(void)
{
	struct oidc_cfg cfg = config();
	AUTO(oidc_free) struct oidc *o = oidc_new(&cfg);
	AUTO_DONE(buf) struct buf url = { 0 };

	oidc_discovery_url(o, &url);
	CHECK_STR(buf_text(&url), "https://id.test/.well-known/openid-configuration");
	CHECK_EQ(oidc_discovered(o, SPAN_LIT("{\"issuer\":\"https://other.test\"}"), NULL),
	         ERR_AUTH);
	CHECK_EQ(oidc_discovered(o, SPAN_LIT("{\"issuer\":\"https://id.test\"}"), NULL),
	         ERR_MALFORMED);
	CHECK_EQ(oidc_discovered(
			 o,
			 SPAN_LIT("{\"issuer\":\"https://id.test\",\"authorization_endpoint\":"
	                          "\"http://id.test/a\",\"token_endpoint\":\"https://id.test/t\","
	                          "\"jwks_uri\":\"https://id.test/k\"}"),
			 NULL),
	         ERR_MALFORMED);
	CHECK(!oidc_is_ready(o));
}

static void pages_escape_what_strangers_say(void)
{
	AUTO_DONE(buf) struct buf html = { 0 };
	struct login_page_confirm p = { .user = "x",
		                        .email = "a@b",
		                        .hostname = "<script>alert('1')</script>",
		                        .action = "/register/confirm/x",
		                        .csrf = "\"t",
		                        .os = "",
		                        .from = "" };

	login_page_confirm(&html, &p);
	CHECK(strstr(buf_text(&html), "<script>") == NULL);
	CHECK(strstr(buf_text(&html), "&lt;script&gt;alert(&#39;1&#39;)") != NULL);
	CHECK(strstr(buf_text(&html), "value=\"&quot;t\"") != NULL);
}

static void a_name_cannot_turn_round_how_it_is_read(void)
{
	AUTO_DONE(buf) struct buf html = { 0 };

	login_html_escape(&html, SPAN_LIT("a\xe2\x80\xaegnp.exe\xe2\x81\xa6\xe2\x80"));
	CHECK_STR(buf_text(&html), "a\xef\xbf\xbdgnp.exe\xef\xbf\xbd\xe2\x80");
}

static void the_pages_style_is_the_one_that_is_allowed(void)
{
	AUTO_DONE(buf) struct buf html = { 0 };
	uint8_t digest[32];
	char text[BASE64_LEN(32) + 1];
	const char *from, *to;

	login_page_error(&html, "No", "this account may not join");
	CHECK(strstr(buf_text(&html), "<p>This account may not join.</p>") != NULL);
	from = strstr(buf_text(&html), "<style>") + strlen("<style>");
	to = strstr(from, "</style>");
	CHECK(EVP_Digest(from, (size_t)(to - from), digest, NULL, EVP_sha256(), NULL) == 1);
	CHECK(strstr(LOGIN_PAGE_CSP, base64_encode(text, digest, sizeof(digest))) != NULL);
	CHECK(strstr(LOGIN_PAGE_CSP, "unsafe") == NULL);
}

int main(void)
{
	RUN(each_algorithm_verifies_and_a_bent_token_does_not);
	RUN(key_sets_of_no_use_are_refused);
	RUN(a_login_ends_with_issuer_and_subject);
	RUN(a_flow_serves_once_and_only_its_browser);
	RUN(a_bent_claim_is_refused);
	RUN(a_rotated_key_asks_for_the_keys_again_whatever_its_name);
	RUN(userinfo_fills_in_but_never_for_another);
	RUN(every_list_that_is_there_must_be_met);
	RUN(a_provider_that_calls_itself_otherwise_is_refused);
	RUN(pages_escape_what_strangers_say);
	RUN(a_name_cannot_turn_round_how_it_is_read);
	RUN(the_pages_style_is_the_one_that_is_allowed);
	return check_done();
}
