#include "platform/tls.h"

#include <arpa/inet.h>
#include <assert.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

#include "base/enc.h"
#include "base/err.h"
#include "base/mem.h"
#include "platform/tls_priv.h"

#define ACME_ALPN "acme-tls/1"

/* ---- in common ---- */

static int ctx_init(struct tls_ctx *c, const SSL_METHOD *method)
{
	c->refs = 1;
	c->bio = tls_bio_new();
	c->ssl = SSL_CTX_new(method);
	if (!c->ssl)
		return ERR_TLS;
	(void)SSL_CTX_set_min_proto_version(c->ssl, TLS1_2_VERSION);
	/* 128-bit AES first, as Go's servers prefer it: as strong as our curves, a quarter faster.
	 */
	(void)SSL_CTX_set_ciphersuites(c->ssl,
	                               "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256:"
	                               "TLS_AES_256_GCM_SHA384");
	(void)SSL_CTX_set_options(c->ssl, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
	                                          SSL_OP_CIPHER_SERVER_PREFERENCE);
	/* Idle connections hold no record buffers; writes may come from another place. */
	(void)SSL_CTX_set_mode(c->ssl, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_NO_AUTO_CHAIN |
	                                       SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	(void)SSL_CTX_set_session_cache_mode(c->ssl, SSL_SESS_CACHE_OFF);
	(void)SSL_CTX_set_max_cert_list(c->ssl, 64 << 10);
	return 0;
}

void tls_ctx_done(struct tls_ctx *c)
{
	SSL_CTX_free(c->ssl);
	BIO_meth_free(c->bio);
}

bool tls_name_is_ip(const char *name)
{
	uint8_t raw[16];

	return inet_pton(AF_INET, name, raw) == 1 || inet_pton(AF_INET6, name, raw) == 1;
}

/* ---- server ---- */

/*
 * The line is "LABEL CLIENT_RANDOM SECRET", in hex: the one way to the traffic
 * secrets, meant for debuggers. They stay in this process.
 */
static void on_secret(const SSL *ssl, const char *line)
{
	struct tls_conn *c = SSL_get_app_data(ssl);
	struct span rest = span_str(line), label, random, hex;

	if (!c->secrets || !span_word(&rest, &label) || !span_word(&rest, &random) ||
	    !span_word(&rest, &hex) || hex.n > (size_t)HEX_LEN(TLS_SECRET_MAX))
		return;
	if (span_is(label, "CLIENT_TRAFFIC_SECRET_0") &&
	    hex_decode(c->secrets->in, hex.n / 2, hex) == 0)
		c->secrets->n_in = hex.n / 2;
	if (span_is(label, "SERVER_TRAFFIC_SECRET_0") &&
	    hex_decode(c->secrets->out, hex.n / 2, hex) == 0)
		c->secrets->n_out = hex.n / 2;
}

static bool offers_acme(const unsigned char *ext, size_t n)
{
	static const char want[] = "\x0a" ACME_ALPN;
	size_t len = sizeof(want) - 1;

	/* RFC 8737: this protocol and no other. */
	return n == len + 2 && memcmp(ext + 2, want, len) == 0;
}

static int on_hello(SSL *ssl, int *alert, void *arg)
{
	struct tls_conn *c = SSL_get_app_data(ssl);
	const unsigned char *ext;
	size_t n;

	(void)alert;
	(void)arg;
	if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_application_layer_protocol_negotiation, &ext,
	                              &n))
		c->acme = offers_acme(ext, n);
	return SSL_CLIENT_HELLO_SUCCESS;
}

static void lower(const char *name, char dst[static TLS_NAME_MAX])
{
	size_t i = 0;

	for (; name && name[i] && i < TLS_NAME_MAX - 1; i++)
		dst[i] = (char)(name[i] >= 'A' && name[i] <= 'Z' ? name[i] | 0x20 : name[i]);
	dst[i] = '\0';
}

static int on_cert(SSL *ssl, void *arg)
{
	struct tls_server *s = arg;
	struct tls_conn *c = SSL_get_app_data(ssl);
	char sni[TLS_NAME_MAX];

	lower(SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name), sni);

	struct tls_hello hello = { .sni = sni, .acme = c->acme };
	struct tls_cert *cert = s->cfg.choose(s->cfg.owner, &hello);

	if (!cert)
		return 0;
	return SSL_use_cert_and_key(ssl, cert->leaf, cert->key, cert->chain, 1);
}

static int on_alpn(SSL *ssl, const unsigned char **ret, unsigned char *ret_n,
                   const unsigned char *in, unsigned n, void *arg)
{
	static const uint8_t acme[] = "\x0a" ACME_ALPN;
	static const uint8_t http[] = "\x02h2\x08http/1.1";
	struct tls_server *s = arg;
	struct tls_conn *c = SSL_get_app_data(ssl);
	struct span ours = span(http, sizeof(http) - 1);
	unsigned char *chosen = NULL;

	if (c->acme)
		ours = span(acme, sizeof(acme) - 1);
	else if (s->cfg.alpn == TLS_ALPN_HTTP1)
		ours = span_from(ours, 3);
	else if (s->cfg.alpn == TLS_ALPN_NONE)
		return SSL_TLSEXT_ERR_NOACK;
	if (SSL_select_next_proto(&chosen, ret_n, ours.p, (unsigned)ours.n, in, n) !=
	    OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_NOACK;
	*ret = chosen;
	return SSL_TLSEXT_ERR_OK;
}

int tls_server_new(const struct tls_server_cfg *cfg, struct tls_server **ret)
{
	AUTO(tls_server_unref) struct tls_server *s = mem_new(struct tls_server);
	int r = ctx_init(&s->ctx, TLS_server_method());

	if (r < 0)
		return r;
	s->cfg = *cfg;
	SSL_CTX_set_client_hello_cb(s->ctx.ssl, on_hello, NULL);
	SSL_CTX_set_cert_cb(s->ctx.ssl, on_cert, s);
	SSL_CTX_set_alpn_select_cb(s->ctx.ssl, on_alpn, s);
	(void)SSL_CTX_set_num_tickets(s->ctx.ssl, cfg->tickets);
	if (cfg->tickets == 0) {
		(void)SSL_CTX_set_options(s->ctx.ssl, SSL_OP_NO_TICKET);
		SSL_CTX_set_keylog_callback(s->ctx.ssl, on_secret);
		s->gear = tls_gear_new();
	}
	*ret = TAKE(s);
	return 0;
}

static struct tls_cert *the_one(void *owner, const struct tls_hello *hello)
{
	struct tls_server *s = owner;

	return hello->acme ? NULL : s->cert;
}

int tls_server_new_cert(enum tls_alpn alpn, struct tls_cert *cert, struct tls_server **ret)
{
	struct tls_server_cfg cfg = { .alpn = alpn, .choose = the_one };
	struct tls_server *s;
	int r = tls_server_new(&cfg, &s);

	if (r < 0)
		return r;
	s->cfg.owner = s;
	s->cert = tls_cert_ref(cert);
	*ret = s;
	return 0;
}

void tls_server_set_cert(struct tls_server *s, struct tls_cert *cert)
{
	struct tls_cert *old = s->cert;

	s->cert = tls_cert_ref(cert);
	tls_cert_unref(old);
}

struct tls_server *tls_server_ref(struct tls_server *s)
{
	s->ctx.refs++;
	return s;
}

void tls_server_unref(struct tls_server *s)
{
	if (!s || --s->ctx.refs > 0)
		return;
	tls_ctx_done(&s->ctx);
	tls_gear_free(s->gear);
	tls_cert_unref(s->cert);
	free(s);
}

/* ---- client ---- */

static int on_verify(X509_STORE_CTX *store, void *arg)
{
	SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
	struct tls_conn *c = SSL_get_app_data(ssl);

	(void)arg;

	int e = tls_verify(store, c->want);

	X509_STORE_CTX_set_error(store, e);
	return e == X509_V_OK;
}

int tls_client_new(const char *extra_ca, struct tls_client **ret)
{
	AUTO(tls_client_unref) struct tls_client *c = mem_new(struct tls_client);
	int r = ctx_init(&c->ctx, TLS_client_method());

	if (r < 0)
		return r;
	c->extra_ca = str_dup(extra_ca);
	SSL_CTX_set_verify(c->ctx.ssl, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_cert_verify_callback(c->ctx.ssl, on_verify, c);
	*ret = TAKE(c);
	return 0;
}

int tls_client_read_roots(struct tls_client *c)
{
	if (c->roots_read)
		return 0;
	ERR_clear_error();
	(void)SSL_CTX_set_default_verify_paths(c->ctx.ssl);
	if (c->extra_ca && SSL_CTX_load_verify_file(c->ctx.ssl, c->extra_ca) != 1) {
		ERR_clear_error();
		return ERR_MALFORMED;
	}
	ERR_clear_error();
	c->roots_read = true;
	return 0;
}

struct tls_client *tls_client_ref(struct tls_client *c)
{
	c->ctx.refs++;
	return c;
}

void tls_client_unref(struct tls_client *c)
{
	if (!c || --c->ctx.refs > 0)
		return;
	tls_ctx_done(&c->ctx);
	free(c->extra_ca);
	free(c);
}

void tls_want_free(struct tls_want *w)
{
	if (!w)
		return;
	free(w->name);
	free(w->pass_over);
	free(w);
}

/* ---- trust ---- */

static bool name_fits(X509 *cert, const char *name)
{
	if (tls_name_is_ip(name))
		return X509_check_ip_asc(cert, name, 0) == 1;
	return X509_check_host(cert, name, 0, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS, NULL) == 1;
}

bool tls_cert_matches(const struct tls_cert *c, const char *host)
{
	return name_fits(c->leaf, host);
}

static int verify_roots(X509_STORE_CTX *store, const struct tls_want *want)
{
	X509 *leaf = X509_STORE_CTX_get0_cert(store);

	if (X509_verify_cert(store) != 1) {
		int e = X509_STORE_CTX_get_error(store);

		return e == X509_V_OK ? X509_V_ERR_UNSPECIFIED : e;
	}
	if (!want->name || !name_fits(leaf, want->name))
		return X509_V_ERR_HOSTNAME_MISMATCH;
	return X509_V_OK;
}

static bool is_passed_over(X509 *cert, const char *prefix)
{
	char name[256];
	int n = X509_NAME_get_text_by_NID(X509_get_subject_name(cert), NID_commonName, name,
	                                  sizeof(name));

	return prefix && n > 0 && span_starts(span(name, (size_t)n), prefix);
}

static bool is_in_time(X509 *cert)
{
	return X509_cmp_current_time(X509_get0_notBefore(cert)) < 0 &&
	       X509_cmp_current_time(X509_get0_notAfter(cert)) > 0;
}

/* The chain but for those passed over must be the pinned certificate alone. */
static int verify_pin(X509_STORE_CTX *store, const struct tls_want *want)
{
	STACK_OF(X509) *chain = X509_STORE_CTX_get0_untrusted(store);
	X509 *leaf = X509_STORE_CTX_get0_cert(store);
	uint8_t hash[TLS_HASH_LEN];
	int counted = 0;

	for (int i = 0; i < sk_X509_num(chain); i++)
		counted += !is_passed_over(sk_X509_value(chain, i), want->pass_over);
	if (want->pass_over && counted != 1)
		return X509_V_ERR_CERT_CHAIN_TOO_LONG;
	if (X509_digest(leaf, EVP_sha256(), hash, NULL) != 1 ||
	    !ct_eq(hash, want->pin, sizeof(hash)))
		return X509_V_ERR_CERT_UNTRUSTED;
	if (!is_in_time(leaf))
		return X509_V_ERR_CERT_HAS_EXPIRED;
	if (want->name && !name_fits(leaf, want->name))
		return X509_V_ERR_HOSTNAME_MISMATCH;
	return X509_V_OK;
}

int tls_verify(X509_STORE_CTX *store, const struct tls_want *want)
{
	switch (want->trust) {
	case TLS_TRUST_ROOTS:
		return verify_roots(store, want);
	case TLS_TRUST_PINNED:
		return verify_pin(store, want);
	case TLS_TRUST_ANY:
		return X509_V_OK;
	}
	return X509_V_ERR_UNSPECIFIED;
}
