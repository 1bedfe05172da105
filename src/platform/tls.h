#pragma once
/*
 * TLS contexts for streams: certificates to show, roots to trust. OpenSSL does
 * the work; TLS 1.2 is the least. Contexts and certificates are counted by
 * reference: a stream keeps what it uses. All of this is for the loop's thread.
 */
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "base/buf.h"
#include "base/own.h"
#include "base/span.h"
#include "base/time.h"

enum {
	TLS_FILE_MAX = 1 << 20, /* a certificate, key or root file */
	TLS_CHAIN_MAX = 16,     /* certificates in a chain we show or accept */
	TLS_NAME_MAX = 254,     /* a server name with its NUL */
	TLS_HASH_LEN = 32,
};

/* A chain and its private key. */
struct tls_cert;

/* PEM. ERR_MALFORMED, ERR_LIMIT, ERR_AUTH (the key is another one's) */
NODISCARD int tls_cert_from_pem(struct span chain, struct span key, struct tls_cert **ret);
/* The same from files. -errno */
NODISCARD int tls_cert_load(const char *chain_path, const char *key_path, struct tls_cert **ret);
struct tls_cert *tls_cert_ref(struct tls_cert *c);
void tls_cert_unref(struct tls_cert *c);
DEFINE_AUTO(tls_cert_unref, struct tls_cert *)

/*
 * A fresh P-256 key and a certificate signed by itself for the names (DNS names
 * or addresses). The PEM texts are for keeping; either may be NULL. ERR_MALFORMED
 */
NODISCARD int tls_cert_self_signed(const char *const *names, size_t n, wall from, wall until,
                                   struct buf *chain_pem, struct buf *key_pem,
                                   struct tls_cert **ret);
/* With the TLS-ALPN-01 extension (RFC 8737): what the ACME server looks for at `name`. */
NODISCARD int tls_cert_acme_challenge(const char *name, const uint8_t digest[static TLS_HASH_LEN],
                                      wall now, struct tls_cert **ret);
/*
 * Puts one more certificate at the end of the chain shown: self-signed Ed25519,
 * this common name and serial number, no CA. DERP relays tell their key that
 * way (see doc/relay.md). One of that name from before is replaced.
 */
NODISCARD int tls_cert_set_meta(struct tls_cert *c, const char *common_name, unsigned serial,
                                wall from, wall until);
/* SHA-256 of the leaf's DER, and when it ends. */
void tls_cert_hash(const struct tls_cert *c, uint8_t ret[static TLS_HASH_LEN]);
void tls_cert_validity(const struct tls_cert *c, wall *ret_from, wall *ret_until);
/* Whether the leaf is good for the host (DNS name or address). */
bool tls_cert_matches(const struct tls_cert *c, const char *host);

enum tls_alpn { TLS_ALPN_NONE, TLS_ALPN_HTTP1, TLS_ALPN_HTTP };

/* What a client opened with. */
struct tls_hello {
	const char *sni; /* "" if none; lower case */
	bool acme;       /* it is an ACME server's challenge (acme-tls/1) */
};

struct tls_server_cfg {
	enum tls_alpn alpn; /* NONE: no protocol; HTTP1: http/1.1; HTTP: h2, then http/1.1 */
	/*
	 * The certificate for this client; not referenced by the call. NULL refuses
	 * it. May be asked many times a second.
	 */
	struct tls_cert *(*choose)(void *owner, const struct tls_hello *hello);
	void *owner;
	unsigned tickets; /* session tickets sent to each client; 0: none, least memory */
};

struct tls_server;
NODISCARD int tls_server_new(const struct tls_server_cfg *cfg, struct tls_server **ret);
/* One certificate for everybody. */
NODISCARD int tls_server_new_cert(enum tls_alpn alpn, struct tls_cert *cert,
                                  struct tls_server **ret);
/* For tls_server_new_cert: from the next client on (a reload). */
void tls_server_set_cert(struct tls_server *s, struct tls_cert *cert);
struct tls_server *tls_server_ref(struct tls_server *s);
void tls_server_unref(struct tls_server *s);
DEFINE_AUTO(tls_server_unref, struct tls_server *)

struct tls_client;
/*
 * Trusts the system's roots (SSL_CERT_FILE and SSL_CERT_DIR are honoured), and
 * those in extra_ca (a PEM file, may be NULL). Roots are read when a connection
 * first needs them. -errno, ERR_MALFORMED
 */
NODISCARD int tls_client_new(const char *extra_ca, struct tls_client **ret);
struct tls_client *tls_client_ref(struct tls_client *c);
void tls_client_unref(struct tls_client *c);
DEFINE_AUTO(tls_client_unref, struct tls_client *)

enum tls_trust {
	TLS_TRUST_ROOTS,  /* a chain to a root, valid now, for `name` */
	TLS_TRUST_PINNED, /* the leaf's SHA-256 is `pin`, and it is valid now */
	TLS_TRUST_ANY,    /* whoever answers: another layer authenticates */
};

/* Whom a client expects. Copied by stream_start_tls_client. */
struct tls_peer {
	const char *sni;  /* sent in the clear; NULL or an address: not sent */
	const char *name; /* verified; NULL: sni. With PINNED: verified if not NULL */
	enum tls_trust trust;
	uint8_t pin[TLS_HASH_LEN];
	/*
	 * With PINNED: certificates whose common name starts with this are not counted
	 * when a single one is asked for. NULL: none are passed over.
	 */
	const char *pass_over;
	enum tls_alpn alpn;
};
