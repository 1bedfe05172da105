#pragma once
/*
 * One certificate from an ACME server (RFC 8555), as a core: it says which
 * request to make and is told the answer. Challenges: HTTP-01, TLS-ALPN-01
 * (RFC 8737), for names and addresses (RFC 8738).
 *
 *	directory, nonce, account, order, for each name { authorisation, challenge,
 *	poll }, finalise, poll, certificate
 *
 *	while (acme_next(a, now, &out))
 *		ACME_REQUEST	make it; then acme_answer or acme_no_answer
 *		ACME_SHOW	the challenge can be asked for from now on, until ACME_HIDE
 *		ACME_DONE	chain is the certificate, for the key given
 *		ACME_FAILED	error says why; not before retry_s (0: as the caller likes)
 *
 * Between, sleep until acme_deadline.
 */
#include "base/buf.h"
#include "base/mem.h"
#include "base/time.h"
#include "http/acme_key.h"
#include "http/http.h"

enum {
	ACME_URL_MAX = 2048,
	ACME_ANSWER_MAX = 256 << 10,
	ACME_TOKEN_MAX = 256,
	ACME_POLLS_MAX = 60,
	ACME_BAD_NONCES_MAX = 40, /* in one order, however the server loses them */
};

enum acme_challenge { ACME_HTTP_01 = 1, ACME_TLS_ALPN_01 = 2 };

/* Kept by pointer: everything must live as long as the order. */
struct acme_order {
	const char *directory; /* URL */
	const char *contact;   /* "mailto:a@b", or NULL */
	const char *const *names;
	size_t n_names;
	const struct acme_key *account, *key; /* key: of the certificate */
	unsigned challenges;                  /* enum acme_challenge, those that can be shown */
};

enum acme_act { ACME_REQUEST, ACME_SHOW, ACME_HIDE, ACME_DONE, ACME_FAILED };

struct acme_out {
	enum acme_act act;
	/* ACME_REQUEST: a POST of application/jose+json if there is a body */
	const char *method, *url;
	struct span body;
	/* ACME_SHOW, ACME_HIDE */
	enum acme_challenge challenge;
	const char *name, *token, *authorisation; /* authorisation: HTTP-01's answer */
	uint8_t digest[32];                       /* TLS-ALPN-01's */
	/* ACME_DONE */
	struct span chain;
	/* ACME_FAILED */
	const char *error;
	int64_t retry_s;
};

struct acme;
struct acme *acme_new(const struct acme_order *order);
void acme_free(struct acme *a);
DEFINE_AUTO(acme_free, struct acme *)

/* Views are good until the next call. */
bool acme_next(struct acme *a, mono now, struct acme_out *out);
/* The answer to the last ACME_REQUEST. */
void acme_answer(struct acme *a, mono now, const struct http_head *head, struct span body);
/* There is none: what went wrong, in words. */
void acme_no_answer(struct acme *a, const char *why);
/* When acme_next has something to say next; MONO_NEVER while an answer is awaited. */
mono acme_deadline(const struct acme *a);
