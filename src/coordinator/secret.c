#include "coordinator/secret.h"

#include <crypt.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "base/enc.h"
#include "base/err.h"
#include "base/mem.h"

static const char *const heads[] = {
	[SECRET_AUTH_KEY] = "hskey-auth-",
	[SECRET_API_KEY] = "hskey-api-",
};

static const char hash_head[] = "sha256:";
static const char auth_id_head[] = "hskey-authreq-";
enum { AUTH_ID_RANDOM = 18, AUTH_ID_LEN = 24 };

void secret_hash(struct span secret, char dst[static SECRET_HASH_MAX])
{
	uint8_t digest[crypto_hash_sha256_BYTES];

	crypto_hash_sha256(digest, secret.p, secret.n);
	memcpy(dst, hash_head, sizeof(hash_head) - 1);
	hex_encode(dst + sizeof(hash_head) - 1, digest, sizeof(digest));
}

void secret_new(enum secret_kind kind, struct rand_src *rand, struct secret *ret)
{
	uint8_t raw[48];
	char secret[BASE64_LEN(48) + 1], prefix[BASE64_LEN(9) + 1];

	rand_fill(rand, raw, 9);
	base64url_encode(prefix, raw, 9);
	memcpy(ret->prefix, prefix, sizeof(ret->prefix));
	rand_fill(rand, raw, sizeof(raw));
	base64url_encode(secret, raw, sizeof(raw));
	secret_hash(span_str(secret), ret->hash);
	(void)snprintf(ret->text, sizeof(ret->text), "%s%s-%s", heads[kind], prefix, secret);
	explicit_bzero(raw, sizeof(raw));
	explicit_bzero(secret, sizeof(secret));
}

static void set_prefix(struct secret_parts *ret, const char *head, struct span prefix)
{
	(void)snprintf(ret->prefix, sizeof(ret->prefix), "%s%.*s", head, SPAN_FMT(prefix));
}

static int parse_legacy_auth(struct span text, struct secret_parts *ret)
{
	if (text.n < 32)
		return ERR_MALFORMED;
	set_prefix(ret, "legacy-", span_first(text, SECRET_PREFIX_LEN));
	ret->secret = text;
	return 0;
}

static int parse_legacy_api(struct span text, struct secret_parts *ret)
{
	size_t dot = span_find(text, '.');

	if (dot == 0 || dot > SECRET_PREFIX_LEN || dot + 1 >= text.n)
		return ERR_MALFORMED;
	set_prefix(ret, "", span_first(text, dot));
	ret->secret = span_from(text, dot + 1);
	return 0;
}

int secret_parse(enum secret_kind kind, struct span text, struct secret_parts *ret)
{
	if (text.n >= SECRET_TEXT_MAX || memchr(text.p ? text.p : (const uint8_t *)"", 0, text.n))
		return ERR_MALFORMED;
	if (!span_starts(text, heads[kind]))
		return kind == SECRET_AUTH_KEY ? parse_legacy_auth(text, ret)
		                               : parse_legacy_api(text, ret);

	struct span rest = span_from(text, strlen(heads[kind]));

	if (rest.n != SECRET_PREFIX_LEN + 1 + SECRET_LEN || rest.p[SECRET_PREFIX_LEN] != '-')
		return ERR_MALFORMED;
	set_prefix(ret, "", span_first(rest, SECRET_PREFIX_LEN));
	ret->secret = span_from(rest, SECRET_PREFIX_LEN + 1);
	return 0;
}

static enum secret_verdict verify_bcrypt(struct span secret, const char *hash)
{
	struct crypt_data *data = mem_new(struct crypt_data);
	char *plain = span_dup(secret);
	const char *got = crypt_rn(plain, hash, data, (int)sizeof(*data));
	size_t n = strlen(hash);
	bool same = got && strlen(got) == n && ct_eq(got, hash, n);

	explicit_bzero(plain, secret.n);
	free(plain);
	explicit_bzero(data, sizeof(*data));
	free(data);
	return same ? SECRET_YES_REHASH : SECRET_NO;
}

enum secret_verdict secret_verify(struct span secret, const char *hash)
{
	char mine[SECRET_HASH_MAX];

	if (strncmp(hash, "$2", 2) == 0)
		return verify_bcrypt(secret, hash);
	secret_hash(secret, mine);
	if (strlen(hash) != strlen(mine))
		return SECRET_NO;
	return ct_eq(mine, hash, strlen(mine)) ? SECRET_YES : SECRET_NO;
}

void auth_id_new(struct rand_src *rand, char dst[static AUTH_ID_TEXT_MAX])
{
	uint8_t raw[AUTH_ID_RANDOM];

	rand_fill(rand, raw, sizeof(raw));
	memcpy(dst, auth_id_head, sizeof(auth_id_head) - 1);
	base64url_encode(dst + sizeof(auth_id_head) - 1, raw, sizeof(raw));
}

bool auth_id_valid(struct span text)
{
	if (!span_starts(text, auth_id_head) || text.n != sizeof(auth_id_head) - 1 + AUTH_ID_LEN)
		return false;
	for (size_t i = 0; i < text.n; i++)
		if (!memchr("-_", text.p[i], 2) && (text.p[i] < '0' || text.p[i] > 'z'))
			return false;
	return true;
}

const char *secret_masked(enum secret_kind kind, const char *prefix,
                          char dst[static SECRET_TEXT_MAX])
{
	(void)snprintf(dst, SECRET_TEXT_MAX, "%s%s-***", heads[kind], prefix);
	return dst;
}
