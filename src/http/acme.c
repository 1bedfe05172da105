#include "http/acme.h"

#include <assert.h>
#include <openssl/sha.h>
#include <stdarg.h>
#include <stdlib.h>

#include "base/enc.h"
#include "base/err.h"
#include "base/ip.h"
#include "base/json.h"

enum { POLL_US = 1000 * 1000, POLL_MAX_S = 60, RETRY_MAX_S = 7 * 86400 };

enum step {
	GET_DIRECTORY,
	GET_NONCE,
	POST_ACCOUNT,
	POST_ORDER,
	POST_AUTHZ,     /* what is to be proven for a name */
	POST_CHALLENGE, /* "look now" */
	POLL_AUTHZ,
	POST_FINALIZE,
	POLL_ORDER,
	GET_CHAIN,
	FINISHED,
};

struct acme {
	struct acme_order order;
	enum step step, after_nonce;
	bool asked;      /* an answer is awaited */
	bool show, hide; /* a challenge to be told of */
	bool failed, told;
	mono not_before; /* of the next request */
	unsigned polls, bad_nonces;
	struct arena arena; /* URLs and texts of this order */
	const char *new_nonce, *new_account, *new_order;
	const char *nonce; /* to be used once, or NULL */
	const char *account_url, *order_url, *finalize_url, *chain_url;
	const char *authz[ACME_NAMES_MAX];
	size_t n_authz, at_authz;
	enum acme_challenge challenge;
	const char *challenge_url, *name, *token, *authorisation;
	uint8_t digest[32];
	struct buf body; /* of the request */
	struct buf chain;
	const char *error;
	int64_t retry_s;
};

struct acme *acme_new(const struct acme_order *order)
{
	struct acme *a = mem_new(struct acme);

	assert(order->n_names > 0 && order->n_names <= ACME_NAMES_MAX);
	a->order = *order;
	return a;
}

void acme_free(struct acme *a)
{
	if (!a)
		return;
	arena_done(&a->arena);
	buf_done(&a->body);
	buf_done(&a->chain);
	free(a);
}

/* ---- failing ---- */

PRINTF(2, 3) static void fail(struct acme *a, const char *fmt, ...)
{
	AUTO_DONE(buf) struct buf b = { .max = 1024 };
	va_list ap;

	if (a->failed)
		return;
	va_start(ap, fmt);
	buf_vfmt(&b, fmt, ap);
	va_end(ap);
	a->failed = true;
	a->hide = a->show || a->authorisation;
	a->show = false;
	a->not_before = (mono){ 0 };
	a->error = arena_str(&a->arena, buf_span(&b));
}

/* Text from the server goes to the log: only what is printable, and not too much. */
static const char *printable(struct acme *a, struct span s)
{
	char *text = arena_str(&a->arena, span_first(s, 300));

	for (char *p = text; *p; p++) {
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = ' ';
	}
	return text;
}

/* ---- requests ---- */

static char *base64url(struct arena *a, struct span s)
{
	return base64url_encode(arena_alloc(a, BASE64_LEN(s.n) + 1), s.p, s.n);
}

static void put_protected(struct acme *a, const char *url, struct buf *b)
{
	struct js_wr w = js_wr_of(b);
	char x[ACME_COORD_MAX], y[ACME_COORD_MAX];

	js_wr_open(&w, JS_OBJECT);
	js_wr_kv_str(&w, "alg", "ES256");
	if (a->account_url) {
		js_wr_kv_str(&w, "kid", a->account_url);
	} else {
		acme_key_coords(a->order.account, x, y);
		js_wr_key(&w, "jwk");
		js_wr_open(&w, JS_OBJECT);
		js_wr_kv_str(&w, "crv", "P-256");
		js_wr_kv_str(&w, "kty", "EC");
		js_wr_kv_str(&w, "x", x);
		js_wr_kv_str(&w, "y", y);
		js_wr_close(&w, JS_OBJECT);
	}
	js_wr_kv_str(&w, "nonce", a->nonce);
	js_wr_kv_str(&w, "url", url);
	js_wr_close(&w, JS_OBJECT);
}

/* The signed envelope; an empty payload is a POST-as-GET (RFC 8555 s.6.3). */
static void sign(struct acme *a, const char *url, struct span payload)
{
	AUTO_DONE(arena) struct arena tmp = { 0 };
	AUTO_DONE(buf) struct buf head = { 0 }, input = { 0 };
	uint8_t signature[ACME_SIGNATURE_LEN];
	const char *head64, *payload64;
	struct js_wr w = js_wr_of(&a->body);

	put_protected(a, url, &head);
	head64 = base64url(&tmp, buf_span(&head));
	payload64 = base64url(&tmp, payload);
	buf_fmt(&input, "%s.%s", head64, payload64);
	if (acme_key_sign(a->order.account, buf_span(&input), signature) < 0) {
		fail(a, "cannot sign with the account key");
		return;
	}
	buf_clear(&a->body);
	js_wr_open(&w, JS_OBJECT);
	js_wr_kv_str(&w, "protected", head64);
	js_wr_kv_str(&w, "payload", payload64);
	js_wr_kv_str(&w, "signature", base64url(&tmp, SPAN_OF(signature)));
	js_wr_close(&w, JS_OBJECT);
	a->nonce = NULL;
}

static void put_account(struct acme *a, struct buf *b)
{
	struct js_wr w = js_wr_of(b);

	js_wr_open(&w, JS_OBJECT);
	js_wr_kv_bool(&w, "termsOfServiceAgreed", true);
	if (a->order.contact) {
		js_wr_key(&w, "contact");
		js_wr_open(&w, JS_ARRAY);
		js_wr_str(&w, a->order.contact);
		js_wr_close(&w, JS_ARRAY);
	}
	js_wr_close(&w, JS_OBJECT);
}

static void put_order(struct acme *a, struct buf *b)
{
	struct js_wr w = js_wr_of(b);
	struct ip ip;

	js_wr_open(&w, JS_OBJECT);
	js_wr_key(&w, "identifiers");
	js_wr_open(&w, JS_ARRAY);
	for (size_t i = 0; i < a->order.n_names; i++) {
		const char *name = a->order.names[i];

		js_wr_open(&w, JS_OBJECT);
		js_wr_kv_str(&w, "type", ip_parse(span_str(name), &ip) == 0 ? "ip" : "dns");
		js_wr_kv_str(&w, "value", name);
		js_wr_close(&w, JS_OBJECT);
	}
	js_wr_close(&w, JS_ARRAY);
	js_wr_close(&w, JS_OBJECT);
}

static void put_csr(struct acme *a, struct buf *b)
{
	AUTO_DONE(buf) struct buf der = { 0 };
	struct js_wr w = js_wr_of(b);

	if (acme_key_csr(a->order.key, a->order.names, a->order.n_names, &der) < 0) {
		fail(a, "the names make no certificate request");
		return;
	}
	js_wr_open(&w, JS_OBJECT);
	js_wr_kv_str(&w, "csr", base64url(&a->arena, buf_span(&der)));
	js_wr_close(&w, JS_OBJECT);
}

static const char *step_url(const struct acme *a)
{
	switch (a->step) {
	case GET_DIRECTORY:
		return a->order.directory;
	case GET_NONCE:
		return a->new_nonce;
	case POST_ACCOUNT:
		return a->new_account;
	case POST_ORDER:
		return a->new_order;
	case POST_AUTHZ:
	case POLL_AUTHZ:
		return a->authz[a->at_authz];
	case POST_CHALLENGE:
		return a->challenge_url;
	case POST_FINALIZE:
		return a->finalize_url;
	case POLL_ORDER:
		return a->order_url;
	case GET_CHAIN:
		return a->chain_url;
	case FINISHED:
		break;
	}
	return NULL;
}

static void put_payload(struct acme *a, struct buf *b)
{
	switch (a->step) {
	case POST_ACCOUNT:
		put_account(a, b);
		return;
	case POST_ORDER:
		put_order(a, b);
		return;
	case POST_CHALLENGE:
		buf_add_str(b, "{}");
		return;
	case POST_FINALIZE:
		put_csr(a, b);
		return;
	case GET_DIRECTORY:
	case GET_NONCE:
	case POST_AUTHZ:
	case POLL_AUTHZ:
	case POLL_ORDER:
	case GET_CHAIN:
	case FINISHED:
		return;
	}
}

static bool is_plain(enum step step)
{
	return step == GET_DIRECTORY || step == GET_NONCE;
}

static bool ask(struct acme *a, struct acme_out *out)
{
	AUTO_DONE(buf) struct buf payload = { 0 };

	if (!is_plain(a->step) && !a->nonce) {
		a->after_nonce = a->step;
		a->step = GET_NONCE;
	}
	buf_clear(&a->body);
	if (!is_plain(a->step)) {
		put_payload(a, &payload);
		if (!a->failed)
			sign(a, step_url(a), buf_span(&payload));
	}
	if (a->failed)
		return false;
	a->asked = true;
	*out = (struct acme_out){ .act = ACME_REQUEST,
		                  .method = a->step == GET_NONCE ? "HEAD"
		                            : is_plain(a->step)  ? "GET"
		                                                 : "POST",
		                  .url = step_url(a),
		                  .body = buf_span(&a->body) };
	return true;
}

/* ---- answers ---- */

/* A URL out of an answer: https as we came, or what the tests' server is. */
static const char *keep_url(struct acme *a, struct span s)
{
	bool tls = strncmp(a->order.directory, "https://", 8) == 0;

	if (s.n == 0 || s.n > ACME_URL_MAX || !span_starts(s, tls ? "https://" : "http"))
		return NULL;
	return arena_str(&a->arena, s);
}

static const char *url_of(struct acme *a, const struct js *object, const char *name)
{
	return keep_url(a, js_text(js_get(object, name)));
}

static const char *location(struct acme *a, const struct http_head *head)
{
	return keep_url(a, http_find(head, "location"));
}

static void wait_for_poll(struct acme *a, mono now, const struct http_head *head)
{
	uint64_t s = 0;

	if (span_u64(http_find(head, "retry-after"), POLL_MAX_S, &s) < 0)
		s = 0;
	a->not_before = mono_after(now, s ? (int64_t)s * US_PER_S : POLL_US);
	if (++a->polls > ACME_POLLS_MAX)
		fail(a, "the server does not come to an end");
}

static void got_directory(struct acme *a, const struct js *v)
{
	a->new_nonce = url_of(a, v, "newNonce");
	a->new_account = url_of(a, v, "newAccount");
	a->new_order = url_of(a, v, "newOrder");
	if (!a->new_nonce || !a->new_account || !a->new_order)
		fail(a, "the directory lacks what is needed");
	a->step = POST_ACCOUNT;
}

static void got_account(struct acme *a, const struct http_head *head)
{
	a->account_url = location(a, head);
	if (!a->account_url)
		fail(a, "the account has no URL");
	a->step = POST_ORDER;
}

static void got_order(struct acme *a, const struct http_head *head, const struct js *v)
{
	const struct js *list = js_get(v, "authorizations");

	a->order_url = location(a, head);
	a->finalize_url = url_of(a, v, "finalize");
	for (const struct js *m = js_first(list); m && a->n_authz < ACME_NAMES_MAX; m = m->next)
		a->authz[a->n_authz++] = keep_url(a, js_text(m));
	for (size_t i = 0; i < a->n_authz; i++) {
		if (!a->authz[i])
			a->n_authz = 0;
	}
	if (!a->order_url || !a->finalize_url || a->n_authz == 0)
		fail(a, "the order lacks what is needed");
	a->step = POST_AUTHZ;
}

static bool is_token(struct span s)
{
	for (size_t i = 0; i < s.n; i++) {
		uint8_t c = s.p[i];

		if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') &&
		    c != '-' && c != '_')
			return false;
	}
	return s.n > 0 && s.n <= ACME_TOKEN_MAX;
}

static bool take_challenge(struct acme *a, const struct js *v, const char *type,
                           enum acme_challenge kind)
{
	struct span token = js_text(js_get(v, "token"));
	char thumb[ACME_THUMB_MAX];

	if (!(a->order.challenges & kind) || !span_is(js_text(js_get(v, "type")), type) ||
	    !is_token(token))
		return false;
	a->challenge_url = url_of(a, v, "url");
	if (!a->challenge_url)
		return false;
	acme_key_thumbprint(a->order.account, thumb);
	a->challenge = kind;
	a->token = arena_str(&a->arena, token);
	a->authorisation = arena_fmt(&a->arena, "%s.%s", a->token, thumb);
	(void)SHA256((const uint8_t *)a->authorisation, strlen(a->authorisation), a->digest);
	return true;
}

static bool pick_challenge(struct acme *a, const struct js *v)
{
	const struct js *list = js_get(v, "challenges");

	for (const struct js *m = js_first(list); m; m = m->next) {
		if (take_challenge(a, m, "tls-alpn-01", ACME_TLS_ALPN_01))
			return true;
	}
	for (const struct js *m = js_first(list); m; m = m->next) {
		if (take_challenge(a, m, "http-01", ACME_HTTP_01))
			return true;
	}
	return false;
}

static void next_authz(struct acme *a)
{
	a->hide = a->authorisation != NULL;
	a->polls = 0;
	a->step = ++a->at_authz < a->n_authz ? POST_AUTHZ : POST_FINALIZE;
}

static void got_authz(struct acme *a, const struct js *v)
{
	struct span status = js_text(js_get(v, "status"));

	if (span_is(status, "valid")) {
		next_authz(a);
	} else if (!span_is(status, "pending")) {
		fail(a, "authorisation is %s", printable(a, status));
	} else if (!pick_challenge(a, v)) {
		fail(a, "the server offers no challenge that can be met here");
	} else {
		a->name = printable(a, js_text(js_get(js_get(v, "identifier"), "value")));
		a->show = true;
		a->step = POST_CHALLENGE;
	}
}

/* The reason is in the challenge that failed. */
static const char *why_invalid(struct acme *a, const struct js *v)
{
	for (const struct js *m = js_first(js_get(v, "challenges")); m; m = m->next) {
		struct span detail = js_text(js_get(js_get(m, "error"), "detail"));

		if (detail.n)
			return printable(a, detail);
	}
	return "no reason given";
}

static void polled_authz(struct acme *a, mono now, const struct http_head *head, const struct js *v)
{
	struct span status = js_text(js_get(v, "status"));

	if (span_is(status, "valid"))
		next_authz(a);
	else if (span_is(status, "pending") || span_is(status, "processing"))
		wait_for_poll(a, now, head);
	else
		fail(a, "the challenge for %s failed: %s", a->name, why_invalid(a, v));
}

static void polled_order(struct acme *a, mono now, const struct http_head *head, const struct js *v)
{
	struct span status = js_text(js_get(v, "status"));

	a->step = POLL_ORDER;
	if (span_is(status, "valid")) {
		a->chain_url = url_of(a, v, "certificate");
		if (!a->chain_url)
			fail(a, "the order has no certificate");
		a->step = GET_CHAIN;
	} else if (span_is(status, "processing") || span_is(status, "ready") ||
	           span_is(status, "pending")) {
		wait_for_poll(a, now, head);
	} else {
		fail(a, "the order is %s", printable(a, status));
	}
}

static void got_chain(struct acme *a, struct span body)
{
	if (!span_starts(body, "-----BEGIN CERTIFICATE-----")) {
		fail(a, "the certificate is no certificate");
		return;
	}
	buf_add_span(&a->chain, body);
	a->step = FINISHED;
}

/* RFC 7807 problem documents, and a nonce that was too old is not the end. */
static void got_problem(struct acme *a, const struct http_head *head, const struct js *v)
{
	struct span type = js_text(js_get(v, "type"));
	uint64_t s = 0;

	if (span_ends(type, ":badNonce") && ++a->bad_nonces <= ACME_BAD_NONCES_MAX)
		return; /* the same step again, with the nonce that came with the refusal */
	if (span_u64(http_find(head, "retry-after"), RETRY_MAX_S, &s) == 0)
		a->retry_s = (int64_t)s;
	fail(a, "%u %s: %s", head->status, printable(a, type),
	     printable(a, js_text(js_get(v, "detail"))));
}

static void dispatch(struct acme *a, mono now, const struct http_head *head, const struct js *v,
                     struct span body)
{
	switch (a->step) {
	case GET_DIRECTORY:
		got_directory(a, v);
		return;
	case GET_NONCE:
		a->step = a->after_nonce;
		if (!a->nonce)
			fail(a, "the server gives no nonce");
		return;
	case POST_ACCOUNT:
		got_account(a, head);
		return;
	case POST_ORDER:
		got_order(a, head, v);
		return;
	case POST_AUTHZ:
		got_authz(a, v);
		return;
	case POST_CHALLENGE:
		a->not_before = mono_after(now, POLL_US / 4);
		a->step = POLL_AUTHZ;
		return;
	case POLL_AUTHZ:
		polled_authz(a, now, head, v);
		return;
	case POST_FINALIZE:
	case POLL_ORDER:
		polled_order(a, now, head, v);
		return;
	case GET_CHAIN:
		got_chain(a, body);
		return;
	case FINISHED:
		return;
	}
}

void acme_answer(struct acme *a, mono now, const struct http_head *head, struct span body)
{
	AUTO_DONE(arena) struct arena tmp = { 0 };
	struct span nonce = http_find(head, "replay-nonce");
	struct js *v = NULL;

	if (!a->asked || a->failed)
		return;
	a->asked = false;
	if (is_token(nonce))
		a->nonce = arena_str(&a->arena, nonce);
	if (body.n > 0 && body.n <= ACME_ANSWER_MAX && body.p[0] == '{')
		(void)!js_parse(&tmp, body, false, &v, NULL);
	if (head->status / 100 != 2)
		got_problem(a, head, v);
	else
		dispatch(a, now, head, v, body);
}

void acme_no_answer(struct acme *a, const char *why)
{
	if (!a->asked)
		return;
	a->asked = false;
	fail(a, "no answer from the server: %s", why);
}

/* ---- draining ---- */

static void tell_challenge(struct acme *a, enum acme_act act, struct acme_out *out)
{
	*out = (struct acme_out){ .act = act,
		                  .challenge = a->challenge,
		                  .name = a->name,
		                  .token = a->token,
		                  .authorisation = a->authorisation };
	memcpy(out->digest, a->digest, sizeof(a->digest));
	a->show = a->hide = false;
	if (act == ACME_HIDE)
		a->authorisation = NULL;
}

static bool is_over(const struct acme *a)
{
	return a->failed || a->step == FINISHED;
}

static bool tell_end(struct acme *a, struct acme_out *out)
{
	if (a->told)
		return false;
	a->told = true;
	*out = (struct acme_out){ .act = a->failed ? ACME_FAILED : ACME_DONE,
		                  .error = a->error,
		                  .retry_s = a->retry_s,
		                  .chain = buf_span(&a->chain) };
	return true;
}

bool acme_next(struct acme *a, mono now, struct acme_out *out)
{
	if (a->show || a->hide) {
		tell_challenge(a, a->show ? ACME_SHOW : ACME_HIDE, out);
		return true;
	}
	if (is_over(a))
		return tell_end(a, out);
	if (a->asked || !mono_reached(a->not_before, now))
		return false;
	if (ask(a, out))
		return true;
	return acme_next(a, now, out); /* it failed: hide, then say so */
}

mono acme_deadline(const struct acme *a)
{
	if (a->asked || (is_over(a) && a->told))
		return MONO_NEVER;
	return a->not_before;
}
