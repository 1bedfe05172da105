#include "node/session.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/log.h"
#include "node/session_priv.h"

static struct ev *loop(const struct session *s)
{
	return s->cfg.http->ev;
}

static void set_text(char **slot, const char *text)
{
	char *old = *slot; /* which text may be */

	*slot = text && *text ? str_dup(text) : NULL;
	free(old);
}

void session_changed(struct session *s)
{
	s->cfg.hooks.changed(s->cfg.hooks.ctx);
}

static void set_state(struct session *s, enum session_state state, const char *error)
{
	s->state = state;
	set_text(&s->error, error);
	session_changed(s);
}

/* n squared times 10 ms, at most 30 s, half of it up to half again by chance. */
int64_t session_backoff(unsigned failures)
{
	uint64_t ms = (uint64_t)failures * failures * 10;

	if (ms > 30000)
		ms = 30000;
	return (int64_t)(ms / 2 + rand_below(ms + 1)) * US_PER_MS;
}

/* ---- registration ---- */

static void on_registered(void *owner, int r, unsigned status, struct span body, int64_t retry);

static void fill_keys(struct session *s, struct tc_register_request *q)
{
	struct persist *p = s->persist;

	node_priv_public(&s->trying, &q->node_key);
	if (!node_priv_is_zero(&p->old_node_key))
		node_priv_public(&p->old_node_key, &q->old_node_key);
	lock_priv_public(&p->lock_key, &q->nl_key);
}

static void send_register(struct session *s, struct tc_register_request *q)
{
	AUTO_DONE(buf) struct buf body = { .secret = true };
	char key[KEY_TEXT_MAX];
	struct ctl_call_cfg call = {
		.method = "POST",
		.path = "/machine/register",
		.hint = node_pub_text(&q->node_key, key),
		/* With Followup the server holds the call until the person is done. */
		.timeout_us = q->followup.n ? 0 : 60 * US_PER_S,
		.done = on_registered,
		.owner = s,
	};

	js_encode(&body, &tc_register_request_type, q);
	call.body = buf_span(&body);
	s->reg = ctl_call(s->ctl, &call);
}

static void ask_register(struct session *s)
{
	struct tc_hostinfo host = { 0 };
	struct tc_register_auth auth = { .auth_key = span_str(s->auth_key) };
	struct tc_register_request q = {
		.version = CAPVER_NODE,
		.auth = s->auth_key ? &auth : NULL,
		.hostinfo = &host,
		.ephemeral = s->cfg.ephemeral,
		.followup = span_str(s->auth_url),
	};

	if (s->reg)
		return;
	s->cfg.hooks.hostinfo(s->cfg.hooks.ctx, &host);
	fill_keys(s, &q);
	send_register(s, &q);
}

static void register_later(struct session *s, int64_t us)
{
	ev_timer_after(loop(s), &s->retry, us);
}

/* A new key for the same node; the old one is named so that the server knows whom it replaces. */
static void fresh_key(struct session *s)
{
	if (!node_priv_is_zero(&s->persist->node_key))
		s->persist->old_node_key = s->persist->node_key;
	node_priv_new(&s->trying);
	s->is_fresh = true;
}

static void registered(struct session *s, const struct tc_register_response *a)
{
	struct persist p = *s->persist;

	p.node_key = s->trying;
	p.user = (struct tc_user_profile){
		.id = a->user.id ? a->user.id : a->login.id,
		.login_name = a->login.login_name,
		.display_name = a->login.display_name,
		.profile_pic_url = a->login.profile_pic_url,
	};
	session_set_persist(s, &p);
	set_text(&s->auth_url, NULL);
	s->failures = 0;
	set_state(s, SESSION_POLL, NULL);
	s->cfg.hooks.logged_in(s->cfg.hooks.ctx, s->persist);
	session_poll(s);
	session_report(s);
}

static bool same_url(const struct session *s, struct span url)
{
	return s->auth_url && span_is(url, s->auth_url);
}

static void needs_login(struct session *s, struct span url)
{
	bool again = same_url(s, url);

	if (!again) {
		free(s->auth_url);
		s->auth_url = span_dup(url);
		set_state(s, SESSION_WAIT, NULL);
		s->cfg.hooks.browse(s->cfg.hooks.ctx, s->auth_url);
	}
	register_later(s, again ? session_backoff(++s->failures) : 0);
}

static void take_answer(struct session *s, const struct tc_register_response *a)
{
	if (a->error.n) {
		AUTO_FREE char *text = span_dup(a->error);

		set_text(&s->auth_url, NULL);
		set_state(s, SESSION_REFUSED, text);
	} else if (a->node_key_expired && s->is_fresh) {
		set_state(s, SESSION_REFUSED,
		          "weird: server says key expired right after it was made");
	} else if (a->node_key_expired) {
		fresh_key(s);
		register_later(s, 0);
	} else if (a->auth_url.n) {
		needs_login(s, a->auth_url);
	} else {
		registered(s, a);
	}
}

static void register_failed(struct session *s, int r, unsigned status, struct span body,
                            int64_t retry)
{
	char why[300];

	if (r < 0)
		(void)snprintf(why, sizeof(why), "register request: %s: %s", err_text(r),
		               ctl_error(s->ctl));
	else
		(void)snprintf(why, sizeof(why), "register request: http %u: %.*s", status,
		               SPAN_FMT(span_first(span_trim(body), 200)));
	if (!s->error || strcmp(s->error, why) != 0)
		log_warn("%s", why);
	set_state(s, s->state, why);
	register_later(s, retry > 0 ? retry * US_PER_S : session_backoff(++s->failures));
}

static void on_registered(void *owner, int r, unsigned status, struct span body, int64_t retry)
{
	struct session *s = owner;
	struct arena a = { 0 };
	struct tc_register_response answer;

	s->reg = NULL;
	if (r == 0 && status == 200)
		r = js_decode(&a, body, &tc_register_response_type, &answer, NULL);
	if (r < 0 || status != 200)
		register_failed(s, r, status, body, retry);
	else
		take_answer(s, &answer);
	arena_done(&a);
}

static void on_retry(struct ev_timer *t, mono now)
{
	struct session *s = CONTAINER_OF(t, struct session, retry);

	(void)now;
	if (s->state == SESSION_POLL)
		session_poll(s);
	else if (s->state == SESSION_REGISTER || s->state == SESSION_WAIT)
		ask_register(s);
}

void session_register_again(struct session *s)
{
	ctl_cancel(TAKE(s->poll));
	ctl_cancel(TAKE(s->lite));
	set_state(s, SESSION_REGISTER, s->error);
	register_later(s, session_backoff(++s->failures));
}

void session_retry_poll(struct session *s, int64_t us)
{
	ev_timer_after(loop(s), &s->retry, us);
}

/* ---- life ---- */

static void drop_persist(struct session *s)
{
	if (!s->persist)
		return;
	persist_wipe(s->persist);
	free(TAKE(s->persist));
}

void session_set_persist(struct session *s, const struct persist *p)
{
	struct persist *copy = js_clone(&persist_type, p);

	drop_persist(s);
	s->persist = copy;
}

int session_new(const struct session_cfg *cfg, struct session **ret)
{
	AUTO(session_free) struct session *s = mem_new(struct session);
	static const struct persist none;
	AUTO_FREE char *url = span_dup(prefs_control_url(cfg->prefs));
	struct ctl_cfg ctl = { .http = cfg->http,
		               .url = url,
		               .machine = cfg->machine,
		               .version = CAPVER_NODE,
		               .force_https = cfg->force_https };
	int r;

	s->cfg = *cfg;
	s->cfg.prefs = NULL;
	netmap_init(&s->map);
	session_set_persist(s, cfg->prefs->persist ? cfg->prefs->persist : &none);
	if (ct_is_zero(s->persist->lock_key.b, sizeof(s->persist->lock_key.b)))
		lock_priv_new(&s->persist->lock_key);
	set_text(&s->auth_key, cfg->auth_key);
	s->cfg.auth_key = NULL;
	s->retry.fn = on_retry;
	session_poll_init(s);
	r = ctl_new(&ctl, &s->ctl);
	if (r < 0)
		return r;
	*ret = TAKE(s);
	return 0;
}

static void logout_over(struct session *s, int r)
{
	void (*done)(void *arg, int r) = TAKE(s->logout_done);

	if (done)
		done(s->logout_arg, r);
}

static void stop(struct session *s)
{
	ev_timer_stop(loop(s), &s->retry);
	session_poll_stop(s);
	ctl_cancel(TAKE(s->reg));
	logout_over(s, ERR_BADSTATE);
}

void session_free(struct session *s)
{
	if (!s)
		return;
	stop(s);
	session_poll_done(s);
	ctl_free(s->ctl);
	netmap_done(&s->map);
	drop_persist(s);
	node_priv_wipe(&s->trying);
	if (s->auth_key)
		explicit_bzero(s->auth_key, strlen(s->auth_key));
	free(s->auth_key);
	free(s->auth_url);
	free(s->error);
	free(s);
}

void session_start(struct session *s, enum session_login how)
{
	stop(s);
	set_text(&s->auth_url, NULL);
	s->failures = 0;
	s->is_fresh = false;
	s->trying = s->persist->node_key;
	if (how == SESSION_FRESH_KEY || node_priv_is_zero(&s->trying))
		fresh_key(s);
	set_state(s, SESSION_REGISTER, NULL);
	register_later(s, 0);
}

void session_pause(struct session *s)
{
	stop(s);
	set_state(s, SESSION_IDLE, NULL);
}

/* ---- logging out ---- */

static void on_logged_out(void *owner, int r, unsigned status, struct span body, int64_t retry)
{
	struct session *s = owner;

	(void)body;
	(void)retry;
	s->reg = NULL;
	set_state(s, SESSION_LOGGED_OUT, NULL);
	logout_over(s, r < 0 ? r : status == 200 ? 0 : ERR_DENIED);
}

void session_put_expiry(struct session *s, wall at, struct buf *ret)
{
	struct tc_hostinfo host = { 0 };
	struct tc_register_request q = {
		.version = CAPVER_NODE,
		.hostinfo = &host,
		.expiry = at,
	};

	s->trying = s->persist->node_key;
	s->cfg.hooks.hostinfo(s->cfg.hooks.ctx, &host);
	fill_keys(s, &q);
	js_encode(ret, &tc_register_request_type, &q);
}

void session_logout(struct session *s, void (*done)(void *arg, int r), void *arg)
{
	AUTO_DONE(buf) struct buf body = { 0 };
	struct ctl_call_cfg call = { .method = "POST",
		                     .path = "/machine/register",
		                     .timeout_us = 10 * US_PER_S,
		                     .done = on_logged_out,
		                     .owner = s };

	stop(s);
	s->logout_done = done;
	s->logout_arg = arg;
	/* Any time in the past; this one is what tailscaled sends. */
	session_put_expiry(s, (wall){ 123 * US_PER_S }, &body);
	call.body = buf_span(&body);
	s->reg = ctl_call(s->ctl, &call);
}

/* ---- what is seen ---- */

struct session_status session_status(const struct session *s)
{
	return (struct session_status){
		.state = s->state,
		.auth_url = s->auth_url ? s->auth_url : "",
		.error = s->error ? s->error : "",
		.in_poll = s->in_poll,
		.has_map = s->map.self != NULL,
		.last_map = s->last_map,
		.bad_messages = s->bad_messages,
	};
}

const struct netmap *session_map(const struct session *s)
{
	return &s->map;
}

const struct persist *session_persist(const struct session *s)
{
	return s->persist;
}

struct ctl *session_ctl(struct session *s)
{
	return s->ctl;
}

void session_link_changed(struct session *s)
{
	ctl_reconnect(s->ctl);
}
