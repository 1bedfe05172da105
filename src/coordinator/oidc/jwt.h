#pragma once
/*
 * Signed tokens of identity providers: reads a key set (RFC 7517) and verifies
 * JSON Web Signatures in compact form (RFC 7515) by RS256, ES256 and EdDSA.
 *
 * A token never chooses how it is judged: its algorithm must be the one of the
 * key it names, keys come from the provider alone, and there is no "none" and
 * no HMAC. Encrypted tokens are refused.
 */
#include "base/mem.h"
#include "base/own.h"
#include "base/span.h"
#include "base/vec.h"

enum {
	JWT_MAX = 64 << 10,
	JWKS_MAX = 256 << 10,
	JWKS_KEYS_MAX = 100,
	JWT_RSA_BITS_MIN = 2048,
	JWT_RSA_BITS_MAX = 8192,
};

enum jwt_alg { JWT_RS256, JWT_ES256, JWT_EDDSA };

struct jwk {
	enum jwt_alg alg;
	char *kid; /* "": none given */
	void *key; /* EVP_PKEY */
};

/* Zeroed: no keys. */
struct jwks {
	VEC(struct jwk) keys;
};

void jwks_done(struct jwks *set);
/*
 * Replaces the set. Keys of other kinds or uses are passed over.
 *   ERR_MALFORMED, ERR_LIMIT; ERR_NOKEY: none of the keys is of use
 */
NODISCARD int jwks_parse(struct span json, struct jwks *ret);

/*
 * Verifies, and gives the payload (JSON, in the arena). Claims are the caller's to judge.
 *   ERR_MALFORMED	no signed token
 *   ERR_NOKEY		signed by a key that is not in the set: fetch it again
 *   ERR_AUTH		the signature is wrong, or the algorithm is not the key's
 */
NODISCARD int jwt_verify(const struct jwks *set, struct span token, struct arena *a,
                         struct span *ret_payload);
