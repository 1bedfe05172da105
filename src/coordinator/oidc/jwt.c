#include "coordinator/oidc/jwt.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>
#include <stdlib.h>

#include "base/enc.h"
#include "base/err.h"
#include "base/json.h"

DEFINE_AUTO(EVP_PKEY_CTX_free, EVP_PKEY_CTX *)
DEFINE_AUTO(EVP_MD_CTX_free, EVP_MD_CTX *)
DEFINE_AUTO(OSSL_PARAM_BLD_free, OSSL_PARAM_BLD *)
DEFINE_AUTO(OSSL_PARAM_free, OSSL_PARAM *)
DEFINE_AUTO(BN_free, BIGNUM *)
DEFINE_AUTO(ECDSA_SIG_free, ECDSA_SIG *)

void jwks_done(struct jwks *set)
{
	vec_each(struct jwk *, k, &set->keys) {
		EVP_PKEY_free(k->key);
		free(k->kid);
	}
	vec_done(&set->keys);
}

/* base64url, as long as it may be; in the arena. */
static int decode(struct arena *a, struct span text, struct span *ret)
{
	size_t cap = text.n / 4 * 3 + 3, n;
	uint8_t *p = arena_alloc(a, cap);
	int r = base64_decode_any(p, cap, text, &n);

	*ret = r == 0 ? span(p, n) : (struct span){ 0 };
	return r;
}

/* ---- keys ---- */

static EVP_PKEY *from_params(const char *type, OSSL_PARAM_BLD *bld)
{
	AUTO(OSSL_PARAM_free) OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(bld);
	AUTO(EVP_PKEY_CTX_free) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
	EVP_PKEY *key = NULL;

	if (!params || !ctx || EVP_PKEY_fromdata_init(ctx) <= 0 ||
	    EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params) <= 0)
		return NULL;
	return key;
}

static EVP_PKEY *rsa_key(struct arena *a, const struct js *k)
{
	struct span n, e;

	if (decode(a, js_text(js_get(k, "n")), &n) < 0 ||
	    decode(a, js_text(js_get(k, "e")), &e) < 0)
		return NULL;
	if (n.n * 8 < JWT_RSA_BITS_MIN || n.n * 8 > JWT_RSA_BITS_MAX || e.n == 0 || e.n > 8)
		return NULL;
	AUTO(BN_free) BIGNUM *modulus = BN_bin2bn(n.p, (int)n.n, NULL);
	AUTO(BN_free) BIGNUM *exponent = BN_bin2bn(e.p, (int)e.n, NULL);
	AUTO(OSSL_PARAM_BLD_free) OSSL_PARAM_BLD *bld = OSSL_PARAM_BLD_new();

	if (!modulus || !exponent || !bld || BN_num_bits(modulus) < JWT_RSA_BITS_MIN ||
	    !OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_N, modulus) ||
	    !OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_E, exponent))
		return NULL;
	return from_params("RSA", bld);
}

static EVP_PKEY *ec_key(struct arena *a, const struct js *k)
{
	struct span x, y;
	uint8_t point[65] = { 4 };

	if (!span_is(js_text(js_get(k, "crv")), "P-256") ||
	    decode(a, js_text(js_get(k, "x")), &x) < 0 ||
	    decode(a, js_text(js_get(k, "y")), &y) < 0 || x.n != 32 || y.n != 32)
		return NULL;
	memcpy(point + 1, x.p, 32);
	memcpy(point + 33, y.p, 32);
	AUTO(OSSL_PARAM_BLD_free) OSSL_PARAM_BLD *bld = OSSL_PARAM_BLD_new();

	if (!bld ||
	    !OSSL_PARAM_BLD_push_utf8_string(bld, OSSL_PKEY_PARAM_GROUP_NAME, "prime256v1", 0) ||
	    !OSSL_PARAM_BLD_push_octet_string(bld, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof(point)))
		return NULL;
	return from_params("EC", bld);
}

static EVP_PKEY *ed_key(struct arena *a, const struct js *k)
{
	struct span x;

	if (!span_is(js_text(js_get(k, "crv")), "Ed25519") ||
	    decode(a, js_text(js_get(k, "x")), &x) < 0 || x.n != 32)
		return NULL;
	return EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, x.p, x.n);
}

static const struct {
	const char *kty, *alg;
	enum jwt_alg number;
	EVP_PKEY *(*read)(struct arena *a, const struct js *k);
} KINDS[] = {
	{ "RSA", "RS256", JWT_RS256, rsa_key },
	{ "EC", "ES256", JWT_ES256, ec_key },
	{ "OKP", "EdDSA", JWT_EDDSA, ed_key },
};

static void add_key(struct jwks *set, struct arena *a, const struct js *k)
{
	struct span use = js_text(js_get(k, "use")), alg = js_text(js_get(k, "alg"));
	EVP_PKEY *key = NULL;
	size_t i;

	if (use.n && !span_is(use, "sig"))
		return;
	for (i = 0; i < ARRAY_LEN(KINDS); i++)
		if (span_is(js_text(js_get(k, "kty")), KINDS[i].kty) &&
		    (alg.n == 0 || span_is(alg, KINDS[i].alg)))
			break;
	if (i < ARRAY_LEN(KINDS))
		key = KINDS[i].read(a, k);
	if (key)
		vec_push(&set->keys, ((struct jwk){ KINDS[i].number,
		                                    span_dup(js_text(js_get(k, "kid"))), key }));
}

int jwks_parse(struct span json, struct jwks *ret)
{
	AUTO_DONE(arena) struct arena a = { 0 };
	struct jwks set = { 0 };
	struct js *root = NULL;

	if (json.n > JWKS_MAX)
		return ERR_LIMIT;
	if (js_parse(&a, json, true, &root, NULL) < 0 || !js_get(root, "keys"))
		return ERR_MALFORMED;
	for (const struct js *k = js_first(js_get(root, "keys")); k && set.keys.n < JWKS_KEYS_MAX;
	     k = k->next)
		add_key(&set, &a, k);
	if (set.keys.n == 0)
		return ERR_NOKEY;
	jwks_done(ret);
	*ret = set;
	return 0;
}

/* ---- signatures ---- */

/* r and s, 32 bytes each, as the DER that OpenSSL wants. */
static int ecdsa_der(struct arena *a, struct span raw, struct span *ret)
{
	AUTO(ECDSA_SIG_free) ECDSA_SIG *sig = ECDSA_SIG_new();
	uint8_t *der = NULL;
	int n;

	if (raw.n != 64 || !sig)
		return ERR_AUTH;
	BIGNUM *r = BN_bin2bn(raw.p, 32, NULL), *s = BN_bin2bn(raw.p + 32, 32, NULL);

	if (!r || !s || !ECDSA_SIG_set0(sig, r, s)) {
		BN_free(r);
		BN_free(s);
		return ERR_AUTH;
	}
	n = i2d_ECDSA_SIG(sig, &der);
	if (n <= 0)
		return ERR_AUTH;
	*ret = span(arena_dup(a, der, (size_t)n), (size_t)n);
	OPENSSL_free(der);
	return 0;
}

static int check(const struct jwk *k, struct arena *a, struct span input, struct span sig)
{
	AUTO(EVP_MD_CTX_free) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	const EVP_MD *md = k->alg == JWT_EDDSA ? NULL : EVP_sha256();

	if (k->alg == JWT_ES256 && ecdsa_der(a, sig, &sig) < 0)
		return ERR_AUTH;
	if (!ctx || EVP_DigestVerifyInit(ctx, NULL, md, NULL, k->key) <= 0)
		return ERR_AUTH;
	return EVP_DigestVerify(ctx, sig.p, sig.n, input.p, input.n) == 1 ? 0 : ERR_AUTH;
}

static bool alg_of(struct span text, enum jwt_alg *ret)
{
	for (size_t i = 0; i < ARRAY_LEN(KINDS); i++)
		if (span_is(text, KINDS[i].alg)) {
			*ret = KINDS[i].number;
			return true;
		}
	return false;
}

/* Keys that fit the token's name and algorithm; without a name all of the algorithm are tried. */
static int check_with_set(const struct jwks *set, struct arena *a, enum jwt_alg alg,
                          struct span kid, struct span input, struct span sig)
{
	bool named = false, tried = false;

	vec_each(const struct jwk *, k, &set->keys) {
		bool same = span_is(kid, k->kid);

		named |= same && kid.n;
		if ((kid.n && *k->kid && !same) || k->alg != alg)
			continue;
		tried = true;
		if (check(k, a, input, sig) == 0)
			return 0;
	}
	return tried || named ? ERR_AUTH : ERR_NOKEY;
}

int jwt_verify(const struct jwks *set, struct span token, struct arena *a, struct span *ret_payload)
{
	struct span rest = token, part[3], header, payload, sig;
	struct js *head = NULL;
	enum jwt_alg alg;

	if (token.n > JWT_MAX)
		return ERR_MALFORMED;
	for (size_t i = 0; i < 3; i++)
		if (!span_cut(&rest, '.', &part[i]))
			return ERR_MALFORMED;
	if (rest.p || decode(a, part[0], &header) < 0 || decode(a, part[1], &payload) < 0 ||
	    decode(a, part[2], &sig) < 0 || js_parse(a, header, true, &head, NULL) < 0)
		return ERR_MALFORMED;
	/* "crit" names extensions that must be understood, and none is. */
	if (head->kind != JS_OBJECT || js_get(head, "crit"))
		return ERR_MALFORMED;
	if (!alg_of(js_text(js_get(head, "alg")), &alg))
		return ERR_AUTH;
	int r = check_with_set(set, a, alg, js_text(js_get(head, "kid")),
	                       span(token.p, part[0].n + 1 + part[1].n), sig);

	if (r == 0)
		*ret_payload = payload;
	return r;
}
