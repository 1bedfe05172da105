#include "coordinator/oidc/oidc_client.h"

#include <stdlib.h>

#include "base/err.h"
#include "base/list.h"
#include "base/log.h"

enum {
	RETRY_FIRST_US = 2 * 1000 * 1000,
	RETRY_MAX_US = 5 * 60 * 1000 * 1000,
	REFRESH_US = 60 * 60 * 1000 * INT64_C(1000),
	KEYS_PAUSE_US = 10 * 1000 * 1000, /* between fetches that unknown keys ask for */
	EXCHANGES_MAX = 1000,
};

struct oidc_client {
	struct ev *ev;
	const struct http_client *http;
	struct rand_src *rand;
	struct oidc *core;
	struct fetch *fetch; /* of the description or the keys; one at a time */
	struct ev_timer timer;
	int64_t retry_us;
	mono keys_at;
	bool complained;
	struct link exchanges;
	size_t n_exchanges;
};

/* ---- the provider ---- */

static void get(struct oidc_client *c, const char *url,
                void (*done)(void *owner, int r, const struct fetched *found))
{
	struct fetch_cfg cfg = { .url = url, .body_max = OIDC_ANSWER_MAX, .redirects = 3 };

	c->fetch = http_fetch(c->http, &cfg, done, c);
}

static void try_again(struct oidc_client *c, const char *what)
{
	if (!c->complained)
		log_warn("identity provider: %s; logins wait until it is well", what);
	c->complained = true;
	ev_timer_after(c->ev, &c->timer, c->retry_us);
	c->retry_us = c->retry_us * 2 < RETRY_MAX_US ? c->retry_us * 2 : RETRY_MAX_US;
}

static void on_keys(void *owner, int r, const struct fetched *found)
{
	struct oidc_client *c = owner;

	c->fetch = NULL;
	if (r < 0 || found->status != 200 || oidc_keys(c->core, found->body) < 0) {
		try_again(c, "its keys cannot be read");
		return;
	}
	if (c->complained)
		log_info("identity provider: well again");
	c->complained = false;
	c->retry_us = RETRY_FIRST_US;
	c->keys_at = ev_now(c->ev);
	ev_timer_after(c->ev, &c->timer, REFRESH_US);
}

static void on_discovery(void *owner, int r, const struct fetched *found)
{
	struct oidc_client *c = owner;
	struct fault why = { 0 };

	c->fetch = NULL;
	if (r < 0 || found->status != 200) {
		try_again(c, r < 0 ? err_text(r) : "it does not describe itself");
		return;
	}
	if (oidc_discovered(c->core, found->body, &why) < 0) {
		try_again(c, why.message);
		return;
	}
	get(c, oidc_jwks_url(c->core), on_keys);
}

static void discover(struct oidc_client *c)
{
	AUTO_DONE(buf) struct buf url = { 0 };

	if (c->fetch)
		return;
	oidc_discovery_url(c->core, &url);
	get(c, buf_text(&url), on_discovery);
}

static void on_timer(struct ev_timer *t, mono now)
{
	(void)now;
	discover(CONTAINER_OF(t, struct oidc_client, timer));
}

struct oidc_client *oidc_client_new(struct ev *ev, const struct http_client *http,
                                    struct rand_src *rand, const struct oidc_cfg *cfg)
{
	struct oidc_client *c = mem_new(struct oidc_client);

	c->ev = ev;
	c->http = http;
	c->rand = rand;
	c->core = oidc_new(cfg);
	c->retry_us = RETRY_FIRST_US;
	c->timer.fn = on_timer;
	list_init(&c->exchanges);
	discover(c);
	return c;
}

struct oidc *oidc_client_core(struct oidc_client *c)
{
	return c->core;
}

/* ---- one login ---- */

struct oidc_exchange {
	struct link link;
	struct oidc_client *c;
	void (*done)(void *owner, const struct oidc_result *r);
	void *owner;
	struct arena arena;
	struct oidc_flow *flow;
	struct fetch *fetch;
	unsigned status; /* of the token endpoint */
	struct span answer;
	bool keys_asked;
	struct oidc_identity who;
};

static void exchange_free(struct oidc_exchange *x)
{
	list_remove(&x->link);
	x->c->n_exchanges--;
	fetch_cancel(x->fetch);
	oidc_flow_free(x->flow);
	arena_done(&x->arena);
	free(x);
}

void oidc_exchange_cancel(struct oidc_exchange *x)
{
	if (x)
		exchange_free(x);
}

void oidc_client_free(struct oidc_client *c)
{
	struct oidc_exchange *x, *tmp;

	if (!c)
		return;
	list_each_safe(x, tmp, &c->exchanges, link)
		exchange_free(x);
	fetch_cancel(c->fetch);
	ev_timer_stop(c->ev, &c->timer);
	oidc_free(c->core);
	free(c);
}

static void end(struct oidc_exchange *x, int error, const struct fault *why)
{
	struct oidc_result r = { .error = error, .subject = x->flow->subject };

	if (error == 0)
		r.who = &x->who;
	else if (why && why->message[0])
		r.fault = *why;
	else
		(void)fault_set(&r.fault, error, 0, 0, "the identity provider: %s",
		                err_text(error));
	x->done(x->owner, &r);
	exchange_free(x);
}

static void admit(struct oidc_exchange *x)
{
	struct fault why = { 0 };
	int r = oidc_admit(x->c->core, &x->who, &why);

	end(x, r, &why);
}

static void on_userinfo(void *owner, int r, const struct fetched *found)
{
	struct oidc_exchange *x = owner;

	x->fetch = NULL;
	/* Without it the token's claims stand alone; what speaks of somebody else is refused. */
	if (r >= 0 && found->status == 200)
		r = oidc_userinfo(found->body, &x->arena, &x->who);
	if (r == ERR_AUTH)
		end(x, r, NULL);
	else
		admit(x);
}

static void ask_userinfo(struct oidc_exchange *x)
{
	AUTO_DONE(buf) struct buf bearer = { .secret = true };
	const char *url = oidc_userinfo_url(x->c->core);

	if (!*url || !*x->who.access_token) {
		admit(x);
		return;
	}
	buf_fmt(&bearer, "Bearer %s", x->who.access_token);
	struct http_field field = { SPAN_LIT("Authorization"), buf_span(&bearer) };
	struct fetch_cfg cfg = {
		.url = url, .fields = &field, .n_fields = 1, .body_max = OIDC_ANSWER_MAX
	};

	x->fetch = http_fetch(x->c->http, &cfg, on_userinfo, x);
}

static void judge_token(struct oidc_exchange *x);

static void on_new_keys(void *owner, int r, const struct fetched *found)
{
	struct oidc_exchange *x = owner;

	x->fetch = NULL;
	if (r >= 0 && found->status == 200)
		r = oidc_keys(x->c->core, found->body);
	x->c->keys_at = ev_now(x->c->ev);
	if (r < 0)
		end(x, r, NULL);
	else
		judge_token(x);
}

/* A token signed by no key that we have: the provider may have changed its keys. */
static bool may_ask_keys(const struct oidc_exchange *x)
{
	return !x->keys_asked && mono_since(x->c->keys_at, ev_now(x->c->ev)) >= KEYS_PAUSE_US;
}

static void judge_token(struct oidc_exchange *x)
{
	struct fault why = { 0 };
	int r = oidc_token(x->c->core, x->flow, x->status, x->answer, ev_wall(x->c->ev), &x->arena,
	                   &x->who, &why);

	if (r == ERR_NOKEY && may_ask_keys(x)) {
		struct fetch_cfg cfg = { .url = oidc_jwks_url(x->c->core),
			                 .body_max = OIDC_ANSWER_MAX };

		x->keys_asked = true;
		x->fetch = http_fetch(x->c->http, &cfg, on_new_keys, x);
	} else if (r < 0) {
		end(x, r, &why);
	} else {
		ask_userinfo(x);
	}
}

static void on_token(void *owner, int r, const struct fetched *found)
{
	struct oidc_exchange *x = owner;

	x->fetch = NULL;
	if (r < 0) {
		end(x, r, NULL);
		return;
	}
	x->status = found->status;
	x->answer = span(arena_dup(&x->arena, found->body.p, found->body.n), found->body.n);
	judge_token(x);
}

static void ask_token(struct oidc_exchange *x, struct span body)
{
	AUTO_DONE(buf) struct buf basic = { .secret = true };
	struct http_field fields[2] = { { SPAN_LIT("Accept"), SPAN_LIT("application/json") } };
	struct fetch_cfg cfg = { .url = oidc_token_url(x->c->core),
		                 .method = "POST",
		                 .body = body,
		                 .type = "application/x-www-form-urlencoded",
		                 .body_max = OIDC_ANSWER_MAX,
		                 .fields = fields,
		                 .n_fields = 1 };

	oidc_token_authorization(x->c->core, &basic);
	if (basic.n) {
		fields[1] = (struct http_field){ SPAN_LIT("Authorization"), buf_span(&basic) };
		cfg.n_fields = 2;
	}
	x->fetch = http_fetch(x->c->http, &cfg, on_token, x);
}

struct oidc_exchange *oidc_client_exchange(struct oidc_client *c, const struct oidc_return *back,
                                           void (*done)(void *owner, const struct oidc_result *r),
                                           void *owner)
{
	AUTO_DONE(buf) struct buf body = { .secret = true };
	struct oidc_result refused = { .subject = "" };
	struct oidc_flow *flow = NULL;

	refused.error = c->n_exchanges < EXCHANGES_MAX
	                        ? oidc_returned(c->core, back, ev_wall(c->ev), &body, &flow,
	                                        &refused.fault)
	                        : fault_set(&refused.fault, ERR_LIMIT, 0, 0,
	                                    "too many logins at once; please try again");
	if (refused.error < 0) {
		done(owner, &refused);
		return NULL;
	}
	struct oidc_exchange *x = mem_new(struct oidc_exchange);

	x->c = c;
	x->done = done;
	x->owner = owner;
	x->flow = flow;
	list_append(&c->exchanges, &x->link);
	c->n_exchanges++;
	ask_token(x, buf_span(&body));
	return x;
}
