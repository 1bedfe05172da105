#include "platform/acme_keep.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/err.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rand.h"

enum { BOTH = ACME_HTTP_01 | ACME_TLS_ALPN_01, OTHER_WAY_S = 5 };
enum { LOOK_AGAIN_US = 1000 * 1000 * 1000 }; /* the wall clock may be set meanwhile */

/* A challenge that is being shown. */
struct shown {
	enum acme_challenge kind;
	char *name, *token, *authorisation;
	struct tls_cert *cert;
};

struct acme_keep {
	struct acme_keep_cfg cfg;
	char *path, *account_path;
	struct acme_key *account;
	struct acme_key *key; /* of the order under way */
	struct acme *order;
	struct fetch *fetch;
	struct ev_timer timer;
	struct tls_cert *cert;
	struct shown shown;
	unsigned failures;
	uint64_t jitter;
	mono due;
	char *error;
};

wall acme_renew_at(wall from, wall until, uint64_t jitter)
{
	int64_t life = until.us - from.us;
	int64_t third = life > 0 ? life / 3 : 0;

	/* Up to a tenth of the third sooner, so that many relays do not come at once. */
	return (wall){ until.us - third -
		       (third ? (int64_t)(jitter % (uint64_t)(third / 10 + 1)) : 0) };
}

int64_t acme_retry_s(unsigned failures, uint64_t jitter)
{
	unsigned doublings = failures > 10 ? 10 : failures ? failures - 1 : 0;
	int64_t s = (int64_t)ACME_RETRY_MIN_S << doublings;

	if (s > ACME_RETRY_MAX_S)
		s = ACME_RETRY_MAX_S;
	return s - (int64_t)(jitter % (uint64_t)(s / 4 + 1));
}

/* ---- challenges ---- */

static void hide(struct acme_keep *k)
{
	free(k->shown.name);
	free(k->shown.token);
	free(k->shown.authorisation);
	tls_cert_unref(k->shown.cert);
	k->shown = (struct shown){ 0 };
}

static int show(struct acme_keep *k, const struct acme_out *out)
{
	hide(k);
	k->shown = (struct shown){ .kind = out->challenge,
		                   .name = str_dup(out->name),
		                   .token = str_dup(out->token),
		                   .authorisation = str_dup(out->authorisation) };
	if (out->challenge != ACME_TLS_ALPN_01)
		return 0;
	return tls_cert_acme_challenge(out->name, out->digest, ev_wall(k->cfg.ev), &k->shown.cert);
}

/* For an address the server asks with its reverse name (RFC 8738 s.6), so any name will do. */
struct tls_cert *acme_keep_choose(struct acme_keep *k, const struct tls_hello *hello)
{
	bool arpa = span_ends(span_str(hello->sni), ".arpa");

	if (!hello->acme)
		return k->cert;
	if (k->shown.cert && (arpa || span_is_nocase(span_str(hello->sni), k->shown.name)))
		return k->shown.cert;
	return NULL;
}

const char *acme_keep_http01(const struct acme_keep *k, struct span path)
{
	if (k->shown.kind != ACME_HTTP_01 || !span_starts(path, ACME_HTTP01_PATH))
		return NULL;
	path = span_from(path, sizeof(ACME_HTTP01_PATH) - 1);
	return span_is(path, k->shown.token) ? k->shown.authorisation : NULL;
}

/* ---- the plan ---- */

static bool covers_all(const struct acme_keep *k)
{
	for (size_t i = 0; i < k->cfg.n_names; i++) {
		if (!tls_cert_matches(k->cert, k->cfg.names[i]))
			return false;
	}
	return true;
}

static void end_order(struct acme_keep *k)
{
	fetch_cancel(TAKE(k->fetch));
	acme_free(TAKE(k->order));
	acme_key_free(TAKE(k->key));
	hide(k);
}

static int64_t until_renewal(const struct acme_keep *k)
{
	wall from, until, at;
	int64_t us;

	if (!k->cert || !covers_all(k))
		return 0;
	tls_cert_validity(k->cert, &from, &until);
	at = acme_renew_at(from, until, k->jitter);
	us = at.us - ev_wall(k->cfg.ev).us;
	return us > 0 ? us : 0;
}

static void wake_at(struct acme_keep *k, int64_t us)
{
	k->due = mono_after(ev_now(k->cfg.ev), us);
	ev_timer_after(k->cfg.ev, &k->timer, us < LOOK_AGAIN_US ? us : LOOK_AGAIN_US);
}

static void failed(struct acme_keep *k, const char *why, int64_t not_before_s)
{
	int64_t s = acme_retry_s(++k->failures, k->jitter);

	/* The other kind of challenge may get through at once. */
	if (k->failures == 1 && k->cfg.challenges == BOTH)
		s = OTHER_WAY_S;
	if (s < not_before_s)
		s = not_before_s;
	free(k->error);
	k->error = str_dup(why);
	log_warn("certificate for %s: %s; trying again in %lld s", k->cfg.names[0], why,
	         (long long)s);
	end_order(k);
	wake_at(k, s * US_PER_S);
}

static int use(struct acme_keep *k, struct buf *pem)
{
	struct tls_cert *cert = NULL, *old = k->cert;
	int r = tls_cert_from_pem(buf_span(pem), buf_span(pem), &cert);

	if (r < 0)
		return r;
	k->cert = cert;
	tls_cert_unref(old);
	return 0;
}

static void got_chain(struct acme_keep *k, struct span chain)
{
	AUTO_DONE(buf) struct buf pem = { .secret = true };
	int r;

	acme_key_pem(k->key, &pem);
	buf_add_span(&pem, chain);
	r = use(k, &pem);
	if (r == 0)
		r = file_write_atomic(k->path, buf_span(&pem), 0600);
	if (r < 0) {
		failed(k, err_text(r), 0);
		return;
	}
	k->failures = 0;
	free(TAKE(k->error));
	end_order(k);
	k->jitter = rand_u64();
	wake_at(k, until_renewal(k));
	log_info("certificate for %s is new", k->cfg.names[0]);
	if (k->cfg.changed)
		k->cfg.changed(k->cfg.owner, k->cert);
}

/* ---- the order ---- */

static void pump(struct acme_keep *k);

static void on_fetched(void *owner, int r, const struct fetched *found)
{
	struct acme_keep *k = owner;
	const char *why = r < 0 ? fetch_error(k->fetch) : "";
	AUTO_FREE char *text = str_fmt("%s%s%s", r < 0 ? err_text(r) : "", *why ? ": " : "", why);

	k->fetch = NULL;
	if (r < 0)
		acme_no_answer(k->order, text);
	else
		acme_answer(k->order, ev_now(k->cfg.ev), found->head, found->body);
	pump(k);
}

static void request(struct acme_keep *k, const struct acme_out *out)
{
	struct fetch_cfg cfg = { .method = out->method,
		                 .url = out->url,
		                 .body = out->body,
		                 .type = out->body.n ? "application/jose+json" : NULL,
		                 .body_max = ACME_ANSWER_MAX };

	k->fetch = http_fetch(k->cfg.client, &cfg, on_fetched, k);
}

/* Until there is nothing to do but wait; the order may be over after. */
static void pump(struct acme_keep *k)
{
	struct acme_out out;

	while (k->order && acme_next(k->order, ev_now(k->cfg.ev), &out)) {
		switch (out.act) {
		case ACME_REQUEST:
			request(k, &out);
			break;
		case ACME_SHOW:
			if (show(k, &out) < 0)
				log_warn("certificate for %s: cannot show the challenge", out.name);
			break;
		case ACME_HIDE:
			hide(k);
			break;
		case ACME_DONE:
			got_chain(k, out.chain);
			return;
		case ACME_FAILED:
			failed(k, out.error, out.retry_s);
			return;
		}
	}
	if (k->order)
		ev_timer_set(k->cfg.ev, &k->timer, acme_deadline(k->order));
}

/* Both kinds are used in turn: one of the two ports is often not ours, or not reached. */
static unsigned challenges_now(const struct acme_keep *k)
{
	if (k->cfg.challenges != BOTH)
		return k->cfg.challenges;
	return k->failures % 2 ? ACME_HTTP_01 : ACME_TLS_ALPN_01;
}

static void begin(struct acme_keep *k)
{
	struct acme_order order = {
		.directory = k->cfg.directory ? k->cfg.directory : ACME_LETS_ENCRYPT,
		.contact = k->cfg.contact,
		.names = k->cfg.names,
		.n_names = k->cfg.n_names,
		.account = k->account,
		.challenges = challenges_now(k),
	};

	order.key = k->key = acme_key_new();
	k->order = acme_new(&order);
	pump(k);
}

static void on_timer(struct ev_timer *t, mono now)
{
	struct acme_keep *k = CONTAINER_OF(t, struct acme_keep, timer);

	if (k->order)
		pump(k);
	else if (k->failures > 0 ? mono_reached(k->due, now) : until_renewal(k) == 0)
		begin(k);
	else
		wake_at(k, k->failures > 0 ? mono_since(now, k->due) : until_renewal(k));
}

void acme_keep_renew(struct acme_keep *k)
{
	if (!k->order)
		begin(k);
}

/* ---- the folder ---- */

static char *file_for(const char *folder, const char *name)
{
	char *path = str_fmt("%s/%s.pem", folder, name);

	for (char *p = path + strlen(folder) + 1; *p; p++) {
		if (*p == '*' || *p == ':' || *p == '/')
			*p = '_';
	}
	return path;
}

static int make_account(struct acme_keep *k)
{
	AUTO_DONE(buf) struct buf pem = { .secret = true };

	k->account = acme_key_new();
	acme_key_pem(k->account, &pem);
	return file_write_atomic(k->account_path, buf_span(&pem), 0600);
}

static int read_account(struct acme_keep *k)
{
	AUTO_DONE(buf) struct buf pem = { .secret = true };
	int r = file_read(k->account_path, TLS_FILE_MAX, &pem);

	if (r == -ENOENT)
		return make_account(k);
	return r < 0 ? r : acme_key_parse(buf_span(&pem), &k->account);
}

/* What is missing or broken is ordered anew. */
static void read_cert(struct acme_keep *k)
{
	AUTO_DONE(buf) struct buf pem = { .secret = true };
	int r = file_read(k->path, TLS_FILE_MAX, &pem);

	if (r == 0)
		r = use(k, &pem);
	if (r < 0 && r != -ENOENT)
		(void)log_ret(r, "cannot use %s", k->path);
}

int acme_keep_new(const struct acme_keep_cfg *cfg, struct acme_keep **ret)
{
	if (cfg->n_names == 0 || cfg->n_names > ACME_NAMES_MAX)
		return ERR_LIMIT;

	AUTO(acme_keep_free) struct acme_keep *k = mem_new(struct acme_keep);
	int r = file_mkdirs(cfg->folder, 0700);

	k->cfg = *cfg;
	k->cfg.challenges = cfg->challenges ? cfg->challenges : BOTH;
	k->timer.fn = on_timer;
	k->jitter = rand_u64();
	k->path = file_for(cfg->folder, cfg->names[0]);
	k->account_path = str_fmt("%s/account.key", cfg->folder);
	if (r == 0 && chmod(cfg->folder, 0700) < 0)
		r = -errno;
	if (r == 0)
		r = read_account(k);
	if (r < 0)
		return r;
	read_cert(k);
	wake_at(k, until_renewal(k));
	*ret = TAKE(k);
	return 0;
}

void acme_keep_free(struct acme_keep *k)
{
	if (!k)
		return;
	if (k->cfg.ev)
		ev_timer_stop(k->cfg.ev, &k->timer);
	end_order(k);
	tls_cert_unref(k->cert);
	acme_key_free(k->account);
	free(k->path);
	free(k->account_path);
	free(k->error);
	free(k);
}

struct tls_cert *acme_keep_cert(const struct acme_keep *k)
{
	return k->cert;
}

const char *acme_keep_error(const struct acme_keep *k)
{
	return k->error ? k->error : "";
}

mono acme_keep_due(const struct acme_keep *k)
{
	return k->due;
}

const char *acme_keep_path(const struct acme_keep *k)
{
	return k->path;
}
