#pragma once
/* Between the tls_*.c files and stream_tls.c; nobody else may see it. */
#include <openssl/ssl.h>

#include "platform/stream_priv.h"
#include "platform/tls.h"
#include "platform/tls_record.h"

struct tls_cert {
	unsigned refs;
	X509 *leaf;
	EVP_PKEY *key;
	STACK_OF(X509) * chain; /* without the leaf */
};

/* What a server and a client context have in common. */
struct tls_ctx {
	unsigned refs;
	SSL_CTX *ssl;
	BIO_METHOD *bio; /* reads the window of a stream, writes to its queue */
};

struct tls_server {
	struct tls_ctx ctx; /* first */
	struct tls_server_cfg cfg;
	struct tls_cert *cert; /* of tls_server_new_cert */
	struct tls_gear *gear; /* of connections without an SSL object */
};

struct tls_client {
	struct tls_ctx ctx; /* first */
	char *extra_ca;
	bool roots_read;
};

/* Whom a client expects; owned texts. */
struct tls_want {
	enum tls_trust trust;
	char *name, *pass_over; /* NULL: none */
	uint8_t pin[TLS_HASH_LEN];
};

/* What OpenSSL agreed on with a client; only until the handshake ends. */
struct tls_secrets {
	uint8_t in[TLS_SECRET_MAX], out[TLS_SECRET_MAX];
	size_t n_in, n_out;
};

struct tls_conn {
	SSL *ssl;                    /* until the handshake ends, or to the end */
	struct tls_records *records; /* afterwards, instead */
	struct tls_secrets *secrets;
	struct tls_server *server; /* one of the two */
	struct tls_client *client;
	struct tls_want *want; /* client */
	struct span win;       /* sealed bytes not yet read */
	bool open, acme;
	char alpn[12];
	char *error, *sni; /* sni: once there is no ssl */
};

BIO_METHOD *tls_bio_new(void);
void tls_ctx_done(struct tls_ctx *c);
NODISCARD int tls_client_read_roots(struct tls_client *c);
/* 0, or an X509_V_ERR code. */
int tls_verify(X509_STORE_CTX *store, const struct tls_want *want);
bool tls_name_is_ip(const char *name);
void tls_want_free(struct tls_want *w);
