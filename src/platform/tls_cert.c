#include "platform/tls.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/rand.h"
#include "platform/tls_priv.h"

DEFINE_AUTO(X509_free, X509 *)
DEFINE_AUTO(EVP_PKEY_free, EVP_PKEY *)
DEFINE_AUTO(BIO_free_all, BIO *)
DEFINE_AUTO(X509_EXTENSION_free, X509_EXTENSION *)

static struct tls_cert *cert_new(void)
{
	struct tls_cert *c = mem_new(struct tls_cert);

	c->refs = 1;
	c->chain = sk_X509_new_null();
	return c;
}

struct tls_cert *tls_cert_ref(struct tls_cert *c)
{
	c->refs++;
	return c;
}

void tls_cert_unref(struct tls_cert *c)
{
	if (!c || --c->refs > 0)
		return;
	X509_free(c->leaf);
	EVP_PKEY_free(c->key);
	sk_X509_pop_free(c->chain, X509_free);
	free(c);
}

/* ---- reading ---- */

/* A key with a pass phrase is refused: nobody is there to be asked. */
static int no_passphrase(char *dst, int cap, int rw, void *arg)
{
	(void)dst;
	(void)cap;
	(void)rw;
	(void)arg;
	return -1;
}

static int read_chain(BIO *bio, struct tls_cert *c)
{
	int n = 0;

	for (X509 *x; (x = PEM_read_bio_X509(bio, NULL, no_passphrase, NULL)); n++) {
		if (n == TLS_CHAIN_MAX) {
			X509_free(x);
			return ERR_LIMIT;
		}
		if (n == 0)
			c->leaf = x;
		else
			(void)sk_X509_push(c->chain, x);
	}
	return n ? 0 : ERR_MALFORMED;
}

static int read_pem(struct span chain, struct span key, struct tls_cert *c)
{
	AUTO(BIO_free_all) BIO *chain_bio = BIO_new_mem_buf(chain.p, (int)chain.n);
	AUTO(BIO_free_all) BIO *key_bio = BIO_new_mem_buf(key.p, (int)key.n);
	int r = chain_bio ? read_chain(chain_bio, c) : -ENOMEM;

	if (r < 0)
		return r;
	c->key = key_bio ? PEM_read_bio_PrivateKey(key_bio, NULL, no_passphrase, NULL) : NULL;
	if (!c->key)
		return ERR_MALFORMED;
	return X509_check_private_key(c->leaf, c->key) == 1 ? 0 : ERR_AUTH;
}

int tls_cert_from_pem(struct span chain, struct span key, struct tls_cert **ret)
{
	AUTO(tls_cert_unref) struct tls_cert *c = cert_new();

	if (chain.n == 0 || key.n == 0)
		return ERR_MALFORMED;
	if (chain.n > TLS_FILE_MAX || key.n > TLS_FILE_MAX)
		return ERR_LIMIT;

	int r = read_pem(chain, key, c);

	ERR_clear_error();
	if (r == 0)
		*ret = TAKE(c);
	return r;
}

int tls_cert_load(const char *chain_path, const char *key_path, struct tls_cert **ret)
{
	AUTO_DONE(buf) struct buf chain = { 0 };
	AUTO_DONE(buf) struct buf key = { .secret = true };
	int r = file_read(chain_path, TLS_FILE_MAX, &chain);

	if (r == 0)
		r = file_read(key_path, TLS_FILE_MAX, &key);
	if (r == 0)
		r = tls_cert_from_pem(buf_span(&chain), buf_span(&key), ret);
	return r;
}

/* ---- making ---- */

static void set_name(X509 *x, const char *cn)
{
	X509_NAME *name = X509_get_subject_name(x);

	/* As it is: the length limit of 64 does not hold for the name a relay gives its key. */
	(void)X509_NAME_add_entry_by_NID(name, NID_commonName, V_ASN1_UTF8STRING,
	                                 (const uint8_t *)cn, -1, -1, 0);
	(void)X509_set_issuer_name(x, name);
}

static void set_times(X509 *x, wall from, wall until)
{
	(void)ASN1_TIME_set(X509_getm_notBefore(x), (time_t)(from.us / US_PER_S));
	(void)ASN1_TIME_set(X509_getm_notAfter(x), (time_t)(until.us / US_PER_S));
}

/* Positive and of 64 bits, as serial numbers ought to be. */
static uint64_t random_serial(void)
{
	return (rand_u64() >> 1) | 1;
}

static X509 *bare_cert(const char *cn, uint64_t serial, wall from, wall until)
{
	X509 *x = X509_new();

	(void)X509_set_version(x, X509_VERSION_3);
	(void)ASN1_INTEGER_set_uint64(X509_get_serialNumber(x), serial);
	set_name(x, cn);
	set_times(x, from, until);
	return x;
}

static int add_ext(X509 *x, int nid, const char *value)
{
	X509V3_CTX ctx;

	X509V3_set_ctx_nodb(&ctx);
	X509V3_set_ctx(&ctx, x, x, NULL, NULL, 0);

	AUTO(X509_EXTENSION_free) X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);

	return e && X509_add_ext(x, e, -1) == 1 ? 0 : ERR_MALFORMED;
}

/* What goes into a certificate's list of names is checked, as it is text for a parser. */
static bool is_plain_name(const char *name)
{
	size_t n = strlen(name);

	if (n == 0 || n >= TLS_NAME_MAX)
		return false;
	return strspn(name,
	              "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._*:") == n;
}

static int add_names(X509 *x, const char *const *names, size_t n)
{
	AUTO_DONE(buf) struct buf list = { .max = TLS_NAME_MAX * 16 };

	for (size_t i = 0; i < n; i++) {
		if (!is_plain_name(names[i]))
			return ERR_MALFORMED;
		buf_fmt(&list, "%s%s:%s", i ? "," : "", tls_name_is_ip(names[i]) ? "IP" : "DNS",
		        names[i]);
	}
	if (list.full || n == 0)
		return ERR_MALFORMED;
	return add_ext(x, NID_subject_alt_name, buf_text(&list));
}

static int finish(X509 *x, EVP_PKEY *key, const EVP_MD *md)
{
	if (!key || X509_set_pubkey(x, key) != 1 || X509_sign(x, key, md) == 0) {
		ERR_clear_error();
		return ERR_TLS;
	}
	return 0;
}

/* The common name has room for 64 bytes only; the names proper are in the extension. */
static X509 *leaf_for(const char *const *names, size_t n, wall from, wall until)
{
	const char *cn = n && strlen(names[0]) <= 64 ? names[0] : "fairlead";

	return bare_cert(cn, random_serial(), from, until);
}

static int sign_leaf(X509 *x, EVP_PKEY *key)
{
	int r = add_ext(x, NID_basic_constraints, "critical,CA:FALSE");

	if (r == 0)
		r = add_ext(x, NID_key_usage, "critical,digitalSignature");
	if (r == 0)
		r = add_ext(x, NID_ext_key_usage, "serverAuth");
	return r < 0 ? r : finish(x, key, EVP_sha256());
}

static void put_pem(BIO *bio, struct buf *ret)
{
	char *p = NULL;
	long n = BIO_get_mem_data(bio, &p);

	if (n > 0)
		buf_add(ret, p, (size_t)n);
}

static int write_pem(const struct tls_cert *c, struct buf *chain, struct buf *key)
{
	AUTO(BIO_free_all) BIO *chain_bio = BIO_new(BIO_s_mem());
	AUTO(BIO_free_all) BIO *key_bio = BIO_new(BIO_s_secmem());

	if (!chain_bio || !key_bio || PEM_write_bio_X509(chain_bio, c->leaf) != 1 ||
	    PEM_write_bio_PrivateKey(key_bio, c->key, NULL, NULL, 0, NULL, NULL) != 1)
		return -ENOMEM;
	if (chain)
		put_pem(chain_bio, chain);
	if (key)
		put_pem(key_bio, key);
	return 0;
}

int tls_cert_self_signed(const char *const *names, size_t n, wall from, wall until,
                         struct buf *chain_pem, struct buf *key_pem, struct tls_cert **ret)
{
	AUTO(tls_cert_unref) struct tls_cert *c = cert_new();

	c->leaf = leaf_for(names, n, from, until);
	c->key = EVP_EC_gen("P-256");

	int r = add_names(c->leaf, names, n);

	if (r == 0)
		r = sign_leaf(c->leaf, c->key);
	if (r == 0)
		r = write_pem(c, chain_pem, key_pem);
	if (r == 0)
		*ret = TAKE(c);
	return r;
}

/* id-pe-acmeIdentifier, critical: an OCTET STRING of the digest. RFC 8737 s.3 */
static int add_acme_ext(X509 *x, const uint8_t digest[static TLS_HASH_LEN])
{
	char value[64 + TLS_HASH_LEN * 3];
	char *at = value + snprintf(value, sizeof(value), "critical,DER:04:20");
	X509V3_CTX ctx;
	int nid = OBJ_txt2nid("1.3.6.1.5.5.7.1.31");

	if (nid == NID_undef)
		nid = OBJ_create("1.3.6.1.5.5.7.1.31", "acmeIdentifier", "ACME identifier");
	for (size_t i = 0; i < TLS_HASH_LEN; i++)
		at += snprintf(at, 4, ":%02X", digest[i]);
	X509V3_set_ctx_nodb(&ctx);
	X509V3_set_ctx(&ctx, x, x, NULL, NULL, 0);

	AUTO(X509_EXTENSION_free) X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);

	return e && X509_add_ext(x, e, -1) == 1 ? 0 : ERR_TLS;
}

int tls_cert_acme_challenge(const char *name, const uint8_t digest[static TLS_HASH_LEN], wall now,
                            struct tls_cert **ret)
{
	AUTO(tls_cert_unref) struct tls_cert *c = cert_new();
	wall from = { now.us - 3600 * US_PER_S }, until = { now.us + 7 * 86400 * US_PER_S };

	c->leaf = leaf_for(&name, 1, from, until);
	c->key = EVP_EC_gen("P-256");

	int r = add_names(c->leaf, &name, 1);

	if (r == 0)
		r = add_acme_ext(c->leaf, digest);
	if (r == 0)
		r = sign_leaf(c->leaf, c->key);
	if (r == 0)
		*ret = TAKE(c);
	return r;
}

static bool is_meta_of(const X509 *x, const X509 *meta)
{
	return X509_NAME_cmp(X509_get_subject_name(x), X509_get_subject_name(meta)) == 0;
}

/* One of the same name from before, which is always the last. */
static void drop_meta(struct tls_cert *c, const X509 *meta)
{
	int n = sk_X509_num(c->chain);

	if (n > 0 && is_meta_of(sk_X509_value(c->chain, n - 1), meta))
		X509_free(sk_X509_pop(c->chain));
}

int tls_cert_set_meta(struct tls_cert *c, const char *common_name, unsigned serial, wall from,
                      wall until)
{
	AUTO(X509_free) X509 *x = bare_cert(common_name, serial, from, until);
	AUTO(EVP_PKEY_free) EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");

	int r = add_ext(x, NID_basic_constraints, "critical,CA:FALSE");

	if (r == 0)
		r = finish(x, key, NULL);
	if (r == 0) {
		drop_meta(c, x);
		(void)sk_X509_push(c->chain, TAKE(x));
	}
	return r;
}

/* ---- looking ---- */

void tls_cert_hash(const struct tls_cert *c, uint8_t ret[static TLS_HASH_LEN])
{
	(void)X509_digest(c->leaf, EVP_sha256(), ret, NULL);
}

static wall from_asn1(const ASN1_TIME *t)
{
	struct tm tm = { 0 };

	if (ASN1_TIME_to_tm(t, &tm) != 1)
		return (wall){ 0 };
	return (wall){ (int64_t)timegm(&tm) * US_PER_S };
}

void tls_cert_validity(const struct tls_cert *c, wall *ret_from, wall *ret_until)
{
	*ret_from = from_asn1(X509_get0_notBefore(c->leaf));
	*ret_until = from_asn1(X509_get0_notAfter(c->leaf));
}
