#pragma once
/*
 * Keys that people copy: pre-auth keys, API keys, the ids of pending logins.
 * Only a hash of the secret part is kept.
 *
 *	hskey-auth-PPPPPPPPPPPP-<64 characters>	pre-auth key
 *	hskey-api-PPPPPPPPPPPP-<64 characters>	API key
 *	hskey-authreq-<24 characters>		a pending login
 *
 * The secret is 48 random bytes, so a fast hash is enough: "sha256:<hex>".
 * Records that came from a Headscale installation hold bcrypt hashes; these are
 * verified too, and the caller replaces them after the first match.
 *
 * The alphabet is base64url, which has the dash in it: parts are found by length.
 */
#include "base/own.h"
#include "base/rand.h"
#include "base/span.h"

enum {
	SECRET_PREFIX_LEN = 12,
	SECRET_LEN = 64,
	SECRET_TEXT_MAX = 128,
	SECRET_HASH_MAX = 80,
	AUTH_ID_TEXT_MAX = 48,
};

enum secret_kind { SECRET_AUTH_KEY, SECRET_API_KEY };

struct secret {
	char text[SECRET_TEXT_MAX]; /* the whole key, shown once */
	char prefix[SECRET_PREFIX_LEN + 1];
	char hash[SECRET_HASH_MAX];
};

static inline void secret_wipe(struct secret *s)
{
	explicit_bzero(s, sizeof(*s));
}

void secret_new(enum secret_kind kind, struct rand_src *rand, struct secret *ret);

/* The two parts of a key as a person typed it. */
struct secret_parts {
	char prefix[SECRET_TEXT_MAX]; /* finds the record */
	struct span secret;           /* a view of the text */
};
/*
 * Also the forms from before prefixes: a bare pre-auth key (its prefix is
 * "legacy-" and its first 12 characters, its secret the whole), and API keys
 * "PREFIX7.SECRET".  ERR_MALFORMED
 */
NODISCARD int secret_parse(enum secret_kind kind, struct span text, struct secret_parts *ret);

void secret_hash(struct span secret, char dst[static SECRET_HASH_MAX]);

enum secret_verdict { SECRET_NO, SECRET_YES, SECRET_YES_REHASH };
/* Time depends on lengths alone. */
NODISCARD enum secret_verdict secret_verify(struct span secret, const char *hash);

/* "hskey-auth-PPPPPPPPPPPP-***": what is shown of a key that is kept. */
const char *secret_masked(enum secret_kind kind, const char *prefix,
                          char dst[static SECRET_TEXT_MAX]);

/* hskey-authreq-... */
void auth_id_new(struct rand_src *rand, char dst[static AUTH_ID_TEXT_MAX]);
bool auth_id_valid(struct span text);
