#include "http/acme_key.h"

#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

#include "base/enc.h"
#include "base/err.h"
#include "base/ip.h"
#include "base/mem.h"

enum { COORD_LEN = 32, SIGNATURE_DER_MAX = 80 };

struct acme_key {
	EVP_PKEY *pkey;
};

DEFINE_AUTO(BIO_free_all, BIO *)
DEFINE_AUTO(EVP_MD_CTX_free, EVP_MD_CTX *)
DEFINE_AUTO(X509_REQ_free, X509_REQ *)
DEFINE_AUTO(ECDSA_SIG_free, ECDSA_SIG *)

static struct acme_key *wrap(EVP_PKEY *pkey)
{
	struct acme_key *k = mem_new(struct acme_key);

	k->pkey = pkey;
	return k;
}

struct acme_key *acme_key_new(void)
{
	return wrap(EVP_EC_gen("P-256"));
}

void acme_key_free(struct acme_key *k)
{
	if (!k)
		return;
	EVP_PKEY_free(k->pkey);
	free(k);
}

static bool is_p256(EVP_PKEY *pkey)
{
	char group[32] = "";

	if (!EVP_PKEY_is_a(pkey, "EC") ||
	    EVP_PKEY_get_utf8_string_param(pkey, OSSL_PKEY_PARAM_GROUP_NAME, group, sizeof(group),
	                                   NULL) != 1)
		return false;
	return strcmp(group, "prime256v1") == 0;
}

static int no_passphrase(char *dst, int cap, int rw, void *arg)
{
	(void)dst;
	(void)cap;
	(void)rw;
	(void)arg;
	return -1;
}

int acme_key_parse(struct span pem, struct acme_key **ret)
{
	if (pem.n == 0 || pem.n > INT32_MAX)
		return ERR_MALFORMED;

	AUTO(BIO_free_all) BIO *bio = BIO_new_mem_buf(pem.p, (int)pem.n);
	EVP_PKEY *pkey = bio ? PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL) : NULL;

	ERR_clear_error();
	if (!pkey || !is_p256(pkey)) {
		EVP_PKEY_free(pkey);
		return ERR_MALFORMED;
	}
	*ret = wrap(pkey);
	return 0;
}

void acme_key_pem(const struct acme_key *k, struct buf *ret)
{
	AUTO(BIO_free_all) BIO *bio = BIO_new(BIO_s_secmem());
	char *p = NULL;

	if (!bio || PEM_write_bio_PrivateKey(bio, k->pkey, NULL, NULL, 0, NULL, NULL) != 1)
		return;

	long n = BIO_get_mem_data(bio, &p);

	buf_add(ret, p, n > 0 ? (size_t)n : 0);
}

static void coord(const struct acme_key *k, const char *name, char dst[static ACME_COORD_MAX])
{
	uint8_t raw[COORD_LEN] = { 0 };
	BIGNUM *bn = NULL;

	if (EVP_PKEY_get_bn_param(k->pkey, name, &bn) == 1)
		(void)BN_bn2binpad(bn, raw, sizeof(raw));
	BN_free(bn);
	(void)base64url_encode(dst, raw, sizeof(raw));
}

void acme_key_coords(const struct acme_key *k, char x[static ACME_COORD_MAX],
                     char y[static ACME_COORD_MAX])
{
	coord(k, OSSL_PKEY_PARAM_EC_PUB_X, x);
	coord(k, OSSL_PKEY_PARAM_EC_PUB_Y, y);
}

void acme_key_thumbprint(const struct acme_key *k, char ret[static ACME_THUMB_MAX])
{
	char x[ACME_COORD_MAX], y[ACME_COORD_MAX];
	AUTO_DONE(buf) struct buf b = { 0 };
	uint8_t digest[SHA256_DIGEST_LENGTH];

	acme_key_coords(k, x, y);
	/* The members in this order and without space: RFC 7638 s.3. */
	buf_fmt(&b, "{\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":\"%s\",\"y\":\"%s\"}", x, y);
	(void)SHA256(b.p, b.n, digest);
	(void)base64url_encode(ret, digest, sizeof(digest));
}

static int split_signature(const uint8_t *der, size_t n, uint8_t ret[static ACME_SIGNATURE_LEN])
{
	AUTO(ECDSA_SIG_free) ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &der, (long)n);

	if (!sig || BN_bn2binpad(ECDSA_SIG_get0_r(sig), ret, COORD_LEN) < 0 ||
	    BN_bn2binpad(ECDSA_SIG_get0_s(sig), ret + COORD_LEN, COORD_LEN) < 0)
		return ERR_TLS;
	return 0;
}

int acme_key_sign(const struct acme_key *k, struct span text,
                  uint8_t ret[static ACME_SIGNATURE_LEN])
{
	AUTO(EVP_MD_CTX_free) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	uint8_t der[SIGNATURE_DER_MAX];
	size_t n = sizeof(der);

	if (!ctx || EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, k->pkey) != 1 ||
	    EVP_DigestSign(ctx, der, &n, text.p, text.n) != 1) {
		ERR_clear_error();
		return ERR_TLS;
	}
	return split_signature(der, n, ret);
}

static bool is_plain_name(const char *name)
{
	static const char ok[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.:";
	size_t n = strlen(name);

	return n > 0 && n < 254 && strspn(name, ok) == n;
}

static int add_names(X509_REQ *req, const char *const *names, size_t n)
{
	AUTO_DONE(buf) struct buf list = { 0 };
	struct ip ip;

	for (size_t i = 0; i < n; i++) {
		if (!is_plain_name(names[i]))
			return ERR_MALFORMED;
		buf_fmt(&list, "%s%s:%s", i ? "," : "",
		        ip_parse(span_str(names[i]), &ip) == 0 ? "IP" : "DNS", names[i]);
	}

	STACK_OF(X509_EXTENSION) *exts = sk_X509_EXTENSION_new_null();
	X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, buf_text(&list));
	int r = e ? 0 : ERR_MALFORMED;

	if (e)
		(void)sk_X509_EXTENSION_push(exts, e);
	if (r == 0 && X509_REQ_add_extensions(req, exts) != 1)
		r = -ENOMEM;
	sk_X509_EXTENSION_pop_free(exts, X509_EXTENSION_free);
	return r;
}

int acme_key_csr(const struct acme_key *k, const char *const *names, size_t n, struct buf *ret)
{
	AUTO(X509_REQ_free) X509_REQ *req = X509_REQ_new();
	uint8_t *der = NULL;
	int r, len;

	if (!req || n == 0 || n > ACME_NAMES_MAX)
		return ERR_MALFORMED;
	r = add_names(req, names, n);
	if (r < 0)
		return r;
	if (X509_REQ_set_pubkey(req, k->pkey) != 1 ||
	    X509_REQ_sign(req, k->pkey, EVP_sha256()) == 0) {
		ERR_clear_error();
		return ERR_TLS;
	}
	len = i2d_X509_REQ(req, &der);
	if (len <= 0)
		return -ENOMEM;
	buf_add(ret, der, (size_t)len);
	OPENSSL_free(der);
	return 0;
}
