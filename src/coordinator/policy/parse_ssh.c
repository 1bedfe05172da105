/* SSH rules. */
#include "base/err.h"
#include "base/time.h"
#include "coordinator/policy/parse.h"

enum { CHECK_PERIOD_MAX_S = 168 * 3600, CHECK_PERIOD_DEFAULT_S = 12 * 3600 };

struct draft {
	struct ssh_rule rule;
	const struct js *action, *src, *dst, *users, *period;
};

#define KEEP(member)                                                              \
	static void keep_##member(struct px *x, const struct js *v, void *object) \
	{                                                                         \
		(void)x;                                                          \
		((struct draft *)object)->member = v;                             \
	}
KEEP(action)
KEEP(src)
KEEP(dst)
KEEP(users)
KEEP(period)

static void read_src(struct px *x, const struct js *v, void *object)
{
	px_ids_add(&((struct draft *)object)->rule.src, px_sel(x, v->at, v->text, IN_SSH_SRC));
}

static void read_dst(struct px *x, const struct js *v, void *object)
{
	px_ids_add(&((struct draft *)object)->rule.dst, px_sel(x, v->at, v->text, IN_SSH_DST));
}

static void read_recorder(struct px *x, const struct js *v, void *object)
{
	px_ids_add(&((struct draft *)object)->rule.recorders, px_sel(x, v->at, v->text, IN_VIA));
}

static void keep_recorder(struct px *x, const struct js *v, void *object)
{
	px_each(x, v, JS_STRING, read_recorder, object);
}

static void keep_enforce(struct px *x, const struct js *v, void *object)
{
	if (px_want(x, v, JS_BOOL))
		((struct draft *)object)->rule.enforce_recorder = v->truth;
}

static void keep_postures(struct px *x, const struct js *v, void *object)
{
	px_posture_ids(x, v, &((struct draft *)object)->rule.postures);
}

static void read_env(struct px *x, const struct js *v, void *object)
{
	struct span name = span_trim(v->text);

	if (name.n == 0)
		policy_issue(x->issues, v->at, POLICY_SSH_ENV, "acceptEnv values cannot be empty");
	else
		vec_push(&((struct draft *)object)->rule.accept_env, name);
}

static void keep_env(struct px *x, const struct js *v, void *object)
{
	px_each(x, v, JS_STRING, read_env, object);
}

/* clang-format off */
static const struct px_field fields[] = {
	{ "action",          NULL, keep_action },
	{ "src",             NULL, keep_src },
	{ "dst",             NULL, keep_dst },
	{ "users",           NULL, keep_users },
	{ "checkPeriod",     NULL, keep_period },
	{ "acceptEnv",       NULL, keep_env },
	{ "srcPosture",      NULL, keep_postures },
	{ "recorder",        NULL, keep_recorder },
	{ "enforceRecorder", NULL, keep_enforce },
};
/* clang-format on */

static void read_user(struct px *x, const struct js *v, void *object)
{
	struct ssh_rule *r = &((struct draft *)object)->rule;
	struct span text = span_trim(v->text);

	if (text.n == 0 || span_is(text, "*"))
		policy_issue(x->issues, v->at, POLICY_SSH_USERS, "user \"%.*s\" is not valid",
		             SPAN_FMT(text));
	else if (span_is(text, "autogroup:nonroot"))
		r->nonroot = true;
	else if (span_starts(text, "autogroup:"))
		policy_issue(x->issues, v->at, POLICY_SSH_USERS, "user \"%.*s\" is not valid",
		             SPAN_FMT(text));
	else if (span_starts(text, "localpart:*@"))
		vec_push(&r->localparts, span_from(text, strlen("localpart:*@")));
	else
		vec_push(&r->users, text);
}

static void read_users(struct px *x, const struct js *v, struct draft *d)
{
	if (!d->users || d->users->kind == JS_NULL || (d->users->kind == JS_ARRAY && !d->users->n))
		policy_issue(x->issues, d->users ? d->users->at : v->at, POLICY_SSH_USERS,
		             "users must be specified");
	else
		px_each(x, d->users, JS_STRING, read_user, d);
}

static void read_action(struct px *x, const struct js *v, struct draft *d)
{
	if (!d->action || (d->action->kind == JS_STRING && d->action->text.n == 0))
		policy_issue(x->issues, d->action ? d->action->at : v->at, POLICY_SSH_ACTION,
		             "action must be specified");
	else if (!px_want(x, d->action, JS_STRING))
		return;
	else if (span_is(d->action->text, "check"))
		d->rule.action = SSH_CHECK;
	else if (!span_is(d->action->text, "accept"))
		policy_issue(x->issues, d->action->at, POLICY_SSH_ACTION,
		             "\"%.*s\" is not a valid action", SPAN_FMT(d->action->text));
}

static void read_period(struct px *x, struct draft *d)
{
	struct span text;
	int64_t us;

	d->rule.check_period_us = CHECK_PERIOD_DEFAULT_S * US_PER_S;
	if (!d->period || !px_want(x, d->period, JS_STRING))
		return;
	text = span_trim(d->period->text);
	if (text.n == 0)
		return;
	d->rule.custom_period = true;
	if (d->rule.action != SSH_CHECK)
		policy_issue(x->issues, d->period->at, POLICY_SSH_CHECK_PERIOD,
		             "checkPeriod is only valid with \"check\" action");
	else if (span_is(text, "always"))
		d->rule.check_period_us = 0;
	else if (duration_parse(text, &us) < 0)
		policy_issue(x->issues, d->period->at, POLICY_SSH_CHECK_PERIOD,
		             "checkPeriod \"%.*s\" is no duration", SPAN_FMT(text));
	else if (us < 0)
		policy_issue(x->issues, d->period->at, POLICY_SSH_CHECK_PERIOD,
		             "checkPeriod %.*s is below zero", SPAN_FMT(text));
	else if (us > CHECK_PERIOD_MAX_S * US_PER_S)
		policy_issue(x->issues, d->period->at, POLICY_SSH_CHECK_PERIOD,
		             "checkPeriod %.*s is above the max (168h)", SPAN_FMT(text));
	else
		d->rule.check_period_us = us;
}

static bool is_tagged(const struct sel *s)
{
	return s->kind == SEL_TAG || (s->kind == SEL_AUTO && s->autogroup == AG_TAGGED);
}

/* A machine may not log in to a person's device; a person's device takes only its owner. */
static void check_pairs(struct px *x, const struct draft *d)
{
	const struct ssh_rule *r = &d->rule;
	bool tagged = false;

	for (size_t i = 0; i < r->src.n; i++)
		tagged |= is_tagged(x->p->sels.v[r->src.v[i]]);
	for (const struct js *m = js_first(d->dst); m; m = m->next) {
		const char *why;
		uint32_t id = m->kind == JS_STRING ? policy_sel_find(x->p, m->text, &why)
		                                   : POLICY_NONE;
		const struct sel *s = id == POLICY_NONE ? NULL : x->p->sels.v[id];

		if (!s || is_tagged(s))
			continue;
		if (tagged)
			policy_issue(
				x->issues, m->at, POLICY_SSH_TAG_TO_USER,
				"tags in SSH source cannot access \"%.*s\", a person's devices",
				SPAN_FMT(m->text));
		else if (s->kind == SEL_USER && (r->src.n != 1 || r->src.v[0] != id))
			policy_issue(
				x->issues, m->at, POLICY_SSH_USER_DST,
				"SSH destination \"%.*s\" is a user: the only source may be that "
				"same user",
				SPAN_FMT(m->text));
	}
	for (const struct js *m = js_first(d->src); m && r->action == SSH_CHECK; m = m->next) {
		const char *why;
		uint32_t id = m->kind == JS_STRING ? policy_sel_find(x->p, m->text, &why)
		                                   : POLICY_NONE;

		if (id != POLICY_NONE && is_tagged(x->p->sels.v[id]))
			policy_issue(x->issues, m->at, POLICY_SSH_BAD_SRC,
			             "invalid src \"%.*s\": a check needs a person to ask",
			             SPAN_FMT(m->text));
	}
}

static void read_rule(struct px *x, const struct js *v, void *object)
{
	struct draft d = { .rule = { .at = v->at } };

	(void)object;
	if (!px_object(x, v, fields, ARRAY_LEN(fields), PX_REFUSE, &d))
		return;
	read_action(x, v, &d);
	if (d.src)
		px_each(x, d.src, JS_STRING, read_src, &d);
	if (d.dst)
		px_each(x, d.dst, JS_STRING, read_dst, &d);
	read_users(x, v, &d);
	read_period(x, &d);
	check_pairs(x, &d);
	if (d.rule.postures.n == 0)
		for (size_t i = 0; i < x->p->default_postures.n; i++)
			px_ids_add(&d.rule.postures, x->p->default_postures.v[i]);
	vec_push(&x->p->ssh, d.rule);
}

void px_ssh(struct px *x, const struct js *v)
{
	px_each(x, v, JS_OBJECT, read_rule, NULL);
}
