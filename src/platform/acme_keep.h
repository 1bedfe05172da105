#pragma once
/*
 * Keeps one certificate from an ACME server fresh: reads it from a folder,
 * orders it when it is missing, covers other names, or has used two thirds of its
 * life, and tries again with growing pauses when that fails.
 *
 * The folder (mode 0700) holds the account's key and NAME.pem, key and chain in
 * one file, so that the two can never be of different ages.
 *
 * Challenges are answered by whoever listens: acme_keep_choose goes into the
 * `choose` of a TLS server, acme_keep_http01 into the pages of port 80.
 */
#include "http/acme.h"
#include "platform/http_client.h"
#include "platform/tls.h"

#define ACME_LETS_ENCRYPT "https://acme-v02.api.letsencrypt.org/directory"
#define ACME_HTTP01_PATH "/.well-known/acme-challenge/"

enum {
	ACME_RETRY_MIN_S = 60,
	ACME_RETRY_MAX_S = 6 * 3600,
};

/* Texts and the client must live as long as the keeper. */
struct acme_keep_cfg {
	struct ev *ev;
	const struct http_client *client;
	const char *directory; /* NULL: ACME_LETS_ENCRYPT */
	const char *contact;   /* "mailto:...", or NULL */
	const char *folder;
	const char *const *names;
	size_t n_names;
	unsigned challenges; /* of enum acme_challenge; 0: both */
	/* There is another certificate than before. Called from the loop. Optional. */
	void (*changed)(void *owner, struct tls_cert *cert);
	void *owner;
};

struct acme_keep;
/* -errno; ERR_MALFORMED: the account's key file is broken; ERR_LIMIT: too many names */
NODISCARD int acme_keep_new(const struct acme_keep_cfg *cfg, struct acme_keep **ret);
void acme_keep_free(struct acme_keep *k);
DEFINE_AUTO(acme_keep_free, struct acme_keep *)

/* What there is now, also when it has expired; NULL before the first. */
struct tls_cert *acme_keep_cert(const struct acme_keep *k);
/* The certificate for this client: a challenge's, ours, or NULL. */
struct tls_cert *acme_keep_choose(struct acme_keep *k, const struct tls_hello *hello);
/* The body for GET of this path, text/plain; NULL: not one of ours (404). */
const char *acme_keep_http01(const struct acme_keep *k, struct span path);
/* Orders now, whatever the plan was (an operator's wish). */
void acme_keep_renew(struct acme_keep *k);
/* The file with key and chain. */
const char *acme_keep_path(const struct acme_keep *k);
/* Why the last attempt failed; "" if it did not. */
const char *acme_keep_error(const struct acme_keep *k);
/* When the next attempt is due. */
mono acme_keep_due(const struct acme_keep *k);

/* Pure, for tests: when to renew what lasts from..until; jitter is any number. */
wall acme_renew_at(wall from, wall until, uint64_t jitter);
/* The pause after this many failures in a row. */
int64_t acme_retry_s(unsigned failures, uint64_t jitter);
