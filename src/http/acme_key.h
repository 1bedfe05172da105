#pragma once
/*
 * What ACME needs of keys: P-256 pairs, signatures in the form of JWS (RFC 7515,
 * ES256), the thumbprint of an account (RFC 7638), certificate requests.
 */
#include <stdint.h>

#include "base/buf.h"
#include "base/own.h"
#include "base/span.h"

enum {
	ACME_THUMB_MAX = 44, /* base64url of 32 bytes, NUL */
	ACME_COORD_MAX = 44,
	ACME_SIGNATURE_LEN = 64,
	ACME_NAMES_MAX = 16,
};

struct acme_key;

struct acme_key *acme_key_new(void);
/* PEM; P-256 only. ERR_MALFORMED */
NODISCARD int acme_key_parse(struct span pem, struct acme_key **ret);
/* Appends the PEM text of the private key; mark the buffer secret. */
void acme_key_pem(const struct acme_key *k, struct buf *ret);
void acme_key_free(struct acme_key *k);
DEFINE_AUTO(acme_key_free, struct acme_key *)

/* The public key's coordinates, base64url. */
void acme_key_coords(const struct acme_key *k, char x[static ACME_COORD_MAX],
                     char y[static ACME_COORD_MAX]);
void acme_key_thumbprint(const struct acme_key *k, char ret[static ACME_THUMB_MAX]);
/* r and s, 32 bytes each. */
NODISCARD int acme_key_sign(const struct acme_key *k, struct span text,
                            uint8_t ret[static ACME_SIGNATURE_LEN]);
/* A request in DER for these names. ERR_MALFORMED: a name that is none */
NODISCARD int acme_key_csr(const struct acme_key *k, const char *const *names, size_t n,
                           struct buf *ret);
