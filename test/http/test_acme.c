#include "http/acme.h"

#include <stdlib.h>

#include "test/check.h"

/* An order against answers by hand. */
static struct {
	struct acme *a;
	struct acme_key *account, *key;
	struct acme_out out;
	mono now;
	const char *names[2];
} w;

static void open_order(unsigned challenges)
{
	struct acme_order order = { .directory = "https://ca.test/dir",
		                    .contact = "mailto:a@b.test",
		                    .names = w.names,
		                    .n_names = 1,
		                    .challenges = challenges };

	w.names[0] = "relay.test";
	order.account = w.account = acme_key_new();
	order.key = w.key = acme_key_new();
	w.now = (mono){ 1000 };
	w.a = acme_new(&order);
}

static void close_order(void)
{
	acme_free(w.a);
	acme_key_free(w.account);
	acme_key_free(w.key);
}

/* The next thing; waits if it has to. */
static enum acme_act next(void)
{
	if (!acme_next(w.a, w.now, &w.out)) {
		CHECK(acme_deadline(w.a).us != MONO_NEVER.us);
		w.now = acme_deadline(w.a);
		CHECK(acme_next(w.a, w.now, &w.out));
	}
	return w.out.act;
}

static void answer(unsigned status, const char *location, const char *body)
{
	struct http_head head = { .status = status };

	http_put(&head, "Replay-Nonce", "nonce-1");
	if (location)
		http_put(&head, "Location", location);
	acme_answer(w.a, w.now, &head, span_str(body));
}

static void expect(const char *method, const char *url)
{
	CHECK_EQ(next(), ACME_REQUEST);
	if (w.out.act != ACME_REQUEST)
		return;
	CHECK_STR(w.out.method, method);
	CHECK_STR(w.out.url, url);
}

static const char directory[] =
	"{\"newNonce\":\"https://ca.test/nonce\",\"newAccount\":"
	"\"https://ca.test/account\",\"newOrder\":\"https://ca.test/order\"}";
static const char order_text[] = "{\"status\":\"pending\",\"finalize\":\"https://ca.test/fin\","
				 "\"authorizations\":[\"https://ca.test/authz\"]}";
static const char authz[] =
	"{\"status\":\"pending\",\"identifier\":{\"type\":\"dns\",\"value\":\"relay.test\"},"
	"\"challenges\":[{\"type\":\"http-01\",\"url\":\"https://ca.test/c1\",\"token\":\"tok-1\"},"
	"{\"type\":\"tls-alpn-01\",\"url\":\"https://ca.test/c2\",\"token\":\"tok_2\"}]}";

static void up_to_the_order(void)
{
	expect("GET", "https://ca.test/dir");
	answer(200, NULL, directory);
	expect("POST", "https://ca.test/account");
	answer(201, "https://ca.test/acct/7", "{}");
	expect("POST", "https://ca.test/order");
	answer(201, "https://ca.test/order/1", order_text);
	expect("POST", "https://ca.test/authz");
}

static void an_order_runs_to_its_certificate(void)
{
	open_order(ACME_HTTP_01);
	up_to_the_order();
	answer(200, NULL, authz);
	CHECK_EQ(next(), ACME_SHOW);
	CHECK_EQ(w.out.challenge, ACME_HTTP_01);
	CHECK_STR(w.out.token, "tok-1");
	CHECK(strncmp(w.out.authorisation, "tok-1.", 6) == 0 && strlen(w.out.authorisation) == 49);
	expect("POST", "https://ca.test/c1");
	answer(200, NULL, "{\"status\":\"processing\"}");
	CHECK(!acme_next(w.a, w.now, &w.out));
	expect("POST", "https://ca.test/authz");
	answer(200, NULL, "{\"status\":\"pending\"}");
	expect("POST", "https://ca.test/authz");
	answer(200, NULL, "{\"status\":\"valid\"}");
	CHECK_EQ(next(), ACME_HIDE);
	expect("POST", "https://ca.test/fin");
	answer(200, NULL, "{\"status\":\"processing\"}");
	expect("POST", "https://ca.test/order/1");
	answer(200, NULL, "{\"status\":\"valid\",\"certificate\":\"https://ca.test/cert\"}");
	expect("POST", "https://ca.test/cert");
	answer(200, NULL, "-----BEGIN CERTIFICATE-----\n...");
	CHECK_EQ(next(), ACME_DONE);
	CHECK(span_starts(w.out.chain, "-----BEGIN CERTIFICATE-----"));
	CHECK(!acme_next(w.a, w.now, &w.out));
	CHECK_EQ(acme_deadline(w.a).us, MONO_NEVER.us);
	close_order();
}

static void tls_alpn_is_taken_first_when_both_can_be_shown(void)
{
	open_order(ACME_HTTP_01 | ACME_TLS_ALPN_01);
	up_to_the_order();
	answer(200, NULL, authz);
	CHECK_EQ(next(), ACME_SHOW);
	CHECK_EQ(w.out.challenge, ACME_TLS_ALPN_01);
	CHECK_STR(w.out.name, "relay.test");
	expect("POST", "https://ca.test/c2");
	close_order();
}

static void a_nonce_is_fetched_when_none_came(void)
{
	struct http_head head = { .status = 200 };

	open_order(ACME_HTTP_01);
	expect("GET", "https://ca.test/dir");
	acme_answer(w.a, w.now, &head, span_str(directory));
	expect("HEAD", "https://ca.test/nonce");
	answer(200, NULL, "");
	expect("POST", "https://ca.test/account");
	close_order();
}

static void a_bad_nonce_is_tried_again_but_not_for_ever(void)
{
	open_order(ACME_HTTP_01);
	expect("GET", "https://ca.test/dir");
	answer(200, NULL, directory);
	for (int i = 0; i < ACME_BAD_NONCES_MAX + 1; i++) {
		expect("POST", "https://ca.test/account");
		answer(400, NULL, "{\"type\":\"urn:ietf:params:acme:error:badNonce\"}");
	}
	CHECK_EQ(next(), ACME_FAILED);
	close_order();
}

static void a_problem_ends_the_order_with_its_reason_and_its_pause(void)
{
	struct http_head head = { .status = 429 };

	open_order(ACME_HTTP_01);
	expect("GET", "https://ca.test/dir");
	answer(200, NULL, directory);
	expect("POST", "https://ca.test/account");
	http_put(&head, "Retry-After", "3600");
	acme_answer(w.a, w.now, &head,
	            SPAN_LIT("{\"type\":\"urn:x:rateLimited\",\"detail\":\"slow\\ndown\"}"));
	CHECK_EQ(next(), ACME_FAILED);
	CHECK_STR(w.out.error, "429 urn:x:rateLimited: slow down");
	CHECK_EQ(w.out.retry_s, 3600);
	close_order();
}

static void a_failed_challenge_is_hidden_and_explained(void)
{
	open_order(ACME_HTTP_01);
	up_to_the_order();
	answer(200, NULL, authz);
	CHECK_EQ(next(), ACME_SHOW);
	expect("POST", "https://ca.test/c1");
	answer(200, NULL, "{}");
	expect("POST", "https://ca.test/authz");
	answer(200, NULL,
	       "{\"status\":\"invalid\",\"challenges\":[{\"error\":{\"detail\":\"refused\"}}]}");
	CHECK_EQ(next(), ACME_HIDE);
	CHECK_EQ(next(), ACME_FAILED);
	CHECK_STR(w.out.error, "the challenge for relay.test failed: refused");
	close_order();
}

static void a_server_that_never_decides_is_given_up(void)
{
	unsigned polls = 0;

	open_order(ACME_HTTP_01);
	up_to_the_order();
	answer(200, NULL, authz);
	CHECK_EQ(next(), ACME_SHOW);
	expect("POST", "https://ca.test/c1");
	answer(200, NULL, "{}");
	while (polls < 1000 && next() == ACME_REQUEST) {
		polls++;
		answer(200, NULL, "{\"status\":\"pending\"}");
	}
	CHECK_EQ(polls, ACME_POLLS_MAX + 1);
	CHECK_EQ(w.out.act, ACME_HIDE);
	close_order();
}

static void answers_that_lack_what_is_needed_fail_at_every_step(void)
{
	static const char not_https[] = "{\"newNonce\":\"http://ca.test/n\",\"newAccount\":"
					"\"http://ca.test/a\",\"newOrder\":\"http://ca.test/o\"}";
	static const char *const bad[] = {
		"",
		"{}",
		"[]",
		"{\"newNonce\":1}",
		"rubbish",
		not_https,
	};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		open_order(ACME_HTTP_01);
		expect("GET", "https://ca.test/dir");
		answer(200, NULL, bad[i]);
		CHECK_EQ(next(), ACME_FAILED);
		close_order();
		open_order(ACME_HTTP_01);
		up_to_the_order();
		answer(200, NULL, bad[i]);
		CHECK_EQ(next(), ACME_FAILED);
		close_order();
	}
}

static void a_token_that_could_name_another_path_is_not_shown(void)
{
	open_order(ACME_HTTP_01);
	up_to_the_order();
	answer(200, NULL,
	       "{\"status\":\"pending\",\"challenges\":[{\"type\":\"http-01\","
	       "\"url\":\"https://ca.test/c1\",\"token\":\"../x\"}]}");
	CHECK_EQ(next(), ACME_FAILED);
	close_order();
}

static void keys_survive_their_text(void)
{
	AUTO_DONE(buf) struct buf pem = { .secret = true };
	AUTO(acme_key_free) struct acme_key *k = acme_key_new();
	AUTO(acme_key_free) struct acme_key *again = NULL;
	char a[ACME_THUMB_MAX], b[ACME_THUMB_MAX];
	struct acme_key *none;

	acme_key_pem(k, &pem);
	CHECK_OK(acme_key_parse(buf_span(&pem), &again));
	acme_key_thumbprint(k, a);
	acme_key_thumbprint(again, b);
	CHECK_STR(a, b);
	for (size_t n = 0; n + 2 < pem.n; n++)
		CHECK_EQ(acme_key_parse(span(pem.p, n), &none), ERR_MALFORMED);
}

static void names_that_are_none_make_no_request(void)
{
	static const char *const bad[] = { "a,DNS:evil.test", "", "a b" };
	AUTO(acme_key_free) struct acme_key *k = acme_key_new();
	AUTO_DONE(buf) struct buf der = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		CHECK_EQ(acme_key_csr(k, &bad[i], 1, &der), ERR_MALFORMED);
}

int main(void)
{
	RUN(an_order_runs_to_its_certificate);
	RUN(tls_alpn_is_taken_first_when_both_can_be_shown);
	RUN(a_nonce_is_fetched_when_none_came);
	RUN(a_bad_nonce_is_tried_again_but_not_for_ever);
	RUN(a_problem_ends_the_order_with_its_reason_and_its_pause);
	RUN(a_failed_challenge_is_hidden_and_explained);
	RUN(a_server_that_never_decides_is_given_up);
	RUN(answers_that_lack_what_is_needed_fail_at_every_step);
	RUN(a_token_that_could_name_another_path_is_not_shown);
	RUN(keys_survive_their_text);
	RUN(names_that_are_none_make_no_request);
	return check_done();
}
