#include "coordinator/tailnet_policy.h"

#include <stdlib.h>

#include "base/err.h"
#include "base/log.h"
#include "coordinator/attributes.h"

struct tailnet_policy {
	const char *server_url;
	struct state *st; /* NULL until attached */
	struct pol_engine *e;
	uint64_t base;            /* of the engine's numbers: they go on when it is replaced */
	struct pol_filter filter; /* scratch */
	struct pol_ssh ssh;
	struct pol_attrs attrs;
	bool untested; /* since users or nodes changed */
	wall tested;
	unsigned failing;
};

struct tailnet_policy *tailnet_policy_new(const char *server_url)
{
	struct tailnet_policy *t = mem_new(struct tailnet_policy);

	t->server_url = server_url;
	t->e = pol_engine_new(NULL);
	t->base = 1;
	return t;
}

void tailnet_policy_free(struct tailnet_policy *t)
{
	if (!t)
		return;
	pol_filter_done(&t->filter);
	pol_ssh_done(&t->ssh);
	pol_attrs_done(&t->attrs);
	pol_engine_free(t->e);
	free(t);
}

struct pol_engine *tailnet_policy_engine(struct tailnet_policy *t)
{
	return t->e;
}

/* ---- records as the engine takes them ---- */

/* A node of the state, with what only lives as long as this. */
struct view_of_node {
	struct arena arena;
	struct pol_node n;
};

static void view_done(struct view_of_node *v)
{
	arena_done(&v->arena);
}

static const char *os_name(struct arena *a, struct span os)
{
	char *name = arena_str(a, os);

	for (char *c = name; *c; c++)
		if (*c >= 'A' && *c <= 'Z')
			*c = (char)(*c - 'A' + 'a');
	return name;
}

/* "1.98.4": an even middle number is a stable release. */
static const char *track_of(struct span version)
{
	struct span rest = version, part = { 0 };
	uint64_t minor = 0;

	if (!span_cut(&rest, '.', &part) || !span_cut(&rest, '.', &part) ||
	    span_u64(part, 1000000, &minor) < 0)
		return "unstable";
	return minor % 2 ? "unstable" : "stable";
}

static void add_attr(struct posture_attr *to, size_t *n, const char *key, const char *value)
{
	if (*value)
		to[(*n)++] = (struct posture_attr){ key, value };
}

/* What postures may ask about: from the node's Hostinfo. */
static void read_attrs(struct view_of_node *v, const struct node *n)
{
	struct posture_attr *to = arena_new_n(&v->arena, struct posture_attr, 4 + ATTRS_MAX);
	struct attr own[ATTRS_MAX];
	size_t n_own = attrs_read(&v->arena, n->attrs, own);
	struct js *host = NULL;
	struct span version;
	char *release;

	v->n.attrs = to;
	for (size_t i = 0; i < n_own; i++)
		add_attr(to, &v->n.n_attrs, own[i].name, own[i].value);
	if (!n->hostinfo || js_parse(&v->arena, span_str(n->hostinfo), false, &host, NULL) < 0)
		return;
	version = js_text(js_get(host, "IPNVersion"));
	release = arena_str(&v->arena, span_first(version, span_find(version, '-')));
	add_attr(to, &v->n.n_attrs, "node:os", os_name(&v->arena, js_text(js_get(host, "OS"))));
	add_attr(to, &v->n.n_attrs, "node:osVersion",
	         arena_str(&v->arena, js_text(js_get(host, "OSVersion"))));
	add_attr(to, &v->n.n_attrs, "node:tsVersion", release);
	if (*release)
		add_attr(to, &v->n.n_attrs, "node:tsReleaseTrack", track_of(span_str(release)));
}

static void view_node(struct view_of_node *v, const struct node *n)
{
	struct prefix *routes = arena_new_n(&v->arena, struct prefix, n->approved.n + 1);

	v->n = (struct pol_node){
		.id = n->id,
		.name = n->given_name,
		.user = n->user_id,
		.ip4 = n->ip4,
		.ip6 = n->ip6,
		.tags = (const char *const *)n->tags.v,
		.n_tags = n->tags.n,
		.routes = routes,
		.usable = n->online,
	};
	for (size_t i = 0; i < n->approved.n; i++)
		if (prefixes_has(&n->advertised, &n->approved.v[i]))
			routes[v->n.n_routes++] = n->approved.v[i];
	read_attrs(v, n);
}

struct user_views {
	VEC(struct pol_user) list;
};

static void view_users(const struct state *st, struct user_views *v)
{
	struct user_list users = { 0 };

	state_users(st, &users);
	for (size_t i = 0; i < users.n; i++) {
		const struct user *u = users.v[i];
		struct pol_user one = {
			.id = u->id,
			.name = u->name,
			.email = u->email,
			.subject = u->provider_id,
			.groups = (const char *const *)u->groups.v,
			.n_groups = u->groups.n,
		};

		(void)pol_role_parse(span_str(u->role), &one.role);

		vec_push(&v->list, one);
	}
	vec_done(&users);
}

static void put_node(struct pol_engine *e, const struct node *n, struct pol_change *ret)
{
	struct view_of_node v = { 0 };

	view_node(&v, n);
	pol_engine_put(e, &v.n, ret);
	view_done(&v);
}

/* All users and nodes into an engine that has none. */
static void fill(struct tailnet_policy *t, struct pol_engine *e, struct policy_issues *issues)
{
	struct node_list nodes = { 0 };
	struct user_views users = { 0 };
	struct pol_change ignored;

	if (!t->st)
		return;
	view_users(t->st, &users);
	pol_engine_users(e, users.list.v, users.list.n, issues);
	state_nodes(t->st, &nodes);
	for (size_t i = 0; i < nodes.n; i++)
		if (nodes.v[i]->authorized)
			put_node(e, nodes.v[i], &ignored);
	vec_done(&users.list);
	vec_done(&nodes);
}

void tailnet_policy_attach(struct tailnet_policy *t, struct state *st)
{
	t->st = st;
	fill(t, t->e, NULL);
}

/* ---- the text ---- */

static void report_tests(struct pol_engine *e, enum policy_strictness how,
                         struct policy_issues *issues)
{
	struct pol_test_report report = { 0 };

	pol_run_tests(e, &report);
	vec_each(const struct pol_test_failure *, f, &report.failures) {
		const char *section = f->ssh ? "sshTests" : "tests";

		if (how == POLICY_ON_WRITE)
			policy_issue(issues, f->at, POLICY_TESTS_FAILED,
			             "test(s) failed: %s[%u]: %s", section, f->index, f->message);
		else
			policy_warning(issues, f->at, POLICY_TESTS_FAILED,
			               "test(s) failed: %s[%u]: %s", section, f->index, f->message);
	}
	pol_test_report_done(&report);
}

/* An engine for the text with everybody in it. */
static int build(struct tailnet_policy *t, struct span text, enum policy_strictness how,
                 struct policy_issues *issues, struct pol_engine **ret)
{
	struct policy *p = NULL;
	int r = policy_parse(text, &p, issues);

	if (r < 0)
		return r;
	AUTO(pol_engine_free) struct pol_engine *e = pol_engine_new(p);

	fill(t, e, issues);
	report_tests(e, how, issues);
	policy_issues_finish(issues, text, NULL);
	if (policy_issues_error(issues))
		return ERR_MALFORMED;
	*ret = TAKE(e);
	return 0;
}

int tailnet_policy_set(struct tailnet_policy *t, struct span text, enum policy_strictness how,
                       wall now, struct policy_issues *issues)
{
	struct pol_engine *e = NULL;
	int r = build(t, text, how, issues, &e);

	if (r < 0)
		return r;
	t->base += pol_engine_seq(t->e) + 1;
	pol_engine_free(t->e);
	t->e = e;
	t->untested = true;
	t->tested = (wall){ 0 };
	if (t->st) {
		state_auto_approve(t->st, now);
		state_announce(t->st, CHANGE_POLICY);
	}
	return 0;
}

int tailnet_policy_check(struct tailnet_policy *t, struct span text, struct policy_issues *issues)
{
	AUTO(pol_engine_free) struct pol_engine *e = NULL;

	return build(t, text, POLICY_ON_WRITE, issues, &e);
}

void tailnet_policy_explain(const struct policy_issues *issues, struct fault *ret)
{
	const struct policy_issue *i = policy_issues_error(issues);

	if (i)
		(void)fault_set(ret, ERR_MALFORMED, i->line, i->column, "line %u, column %u: %s",
		                i->line, i->column, i->message);
}

void tailnet_policy_retest(struct tailnet_policy *t, wall now)
{
	struct pol_test_report report = { 0 };
	unsigned failing;

	if (!t->untested || now.us - t->tested.us < RETEST_US)
		return;
	t->untested = false;
	t->tested = now;
	pol_run_tests(t->e, &report);
	failing = (unsigned)report.failures.n;
	if (failing && failing != t->failing)
		vec_each(const struct pol_test_failure *, f, &report.failures)
			log_warn("policy: %s[%u] fails now: %s", f->ssh ? "sshTests" : "tests",
			         f->index, f->message);
	if (!failing && t->failing)
		log_info("policy: its tests pass again");
	t->failing = failing;
	pol_test_report_done(&report);
}

unsigned tailnet_policy_failing(const struct tailnet_policy *t)
{
	return t->failing;
}

/* ---- changes ---- */

static void users_changed(struct tailnet_policy *t)
{
	struct user_views users = { 0 };

	view_users(t->st, &users);
	pol_engine_users(t->e, users.list.v, users.list.n, NULL);
	vec_done(&users.list);
}

void tailnet_policy_changed(struct tailnet_policy *t, const struct change *c)
{
	struct pol_change what;
	const struct node *n;

	if (!t->st)
		return;
	if (c->kind == CHANGE_USER) {
		users_changed(t);
		t->untested = true;
	}
	if (c->kind != CHANGE_NODE || !(c->what & NODE_JUDGED))
		return;
	t->untested = true;
	n = state_node(t->st, c->id);
	if (n && n->authorized)
		put_node(t->e, n, &what);
	else
		pol_engine_remove(t->e, c->id, &what);
}

/* ---- what the state asks ---- */

bool tailnet_policy_may_tag(void *arg, const struct user *u, const struct texts *tags,
                            const char *tag)
{
	struct tailnet_policy *t = arg;

	return pol_may_tag(t->e, u ? u->id : 0, tags ? (const char *const *)tags->v : NULL,
	                   tags ? tags->n : 0, span_str(tag));
}

bool tailnet_policy_tag_known(void *arg, const char *tag)
{
	struct tailnet_policy *t = arg;

	return policy_has_tag(pol_engine_policy(t->e), span_str(tag));
}

bool tailnet_policy_auto_approves(void *arg, const struct node *n, const struct prefix *route)
{
	struct tailnet_policy *t = arg;
	struct view_of_node v = { 0 };
	bool yes;

	view_node(&v, n);
	yes = pol_auto_approves(t->e, &v.n, route);
	view_done(&v);
	return yes;
}

void tailnet_policy_ip_pools(void *arg, const struct node *n, struct prefixes *ret)
{
	struct tailnet_policy *t = arg;
	struct pol_prefixes pools = { 0 };
	struct view_of_node v = { 0 };

	view_node(&v, n);
	pol_ip_pools(t->e, &v.n, &pools);
	for (size_t i = 0; i < pools.n; i++)
		vec_push(ret, pools.v[i]);
	vec_done(&pools);
	view_done(&v);
}

/* ---- the judge ---- */

static uint64_t judge_class_key(void *arg, const struct node *n)
{
	struct tailnet_policy *t = arg;

	return pol_class_key(t->e, n->id);
}

static bool judge_sees(void *arg, const struct node *a, const struct node *b)
{
	struct tailnet_policy *t = arg;

	return pol_sees(t->e, a->id, b->id);
}

static uint64_t primary_of(void *arg, const struct prefix *route)
{
	struct tailnet_policy *t = arg;

	return routes_primary(state_routes(t->st), route);
}

static void judge_routes(void *arg, const struct node *viewer, const struct node *peer,
                         struct prefixes *routes)
{
	struct tailnet_policy *t = arg;
	struct pol_primaries primaries = { primary_of, t };
	struct pol_prefixes shown = { 0 };

	pol_routes_shown(t->e, viewer->id, peer->id, &primaries, &shown);
	routes->n = 0;
	for (size_t i = 0; i < shown.n; i++)
		vec_push(routes, shown.v[i]);
	vec_done(&shown);
}

static void judge_filter(void *arg, const struct node *n, struct buf *json)
{
	struct tailnet_policy *t = arg;

	pol_filter_of(t->e, n->id, &t->filter);
	buf_add_str(json, "{\"base\":");
	pol_filter_json(&t->filter, json);
	buf_add_str(json, "}");
}

static void judge_ssh(void *arg, const struct node *n, struct buf *json)
{
	struct tailnet_policy *t = arg;

	pol_ssh_of(t->e, n->id, &t->ssh);
	pol_ssh_json(&t->ssh, t->server_url, json);
}

static void put_attrs(const struct pol_attrs *a, struct js_wr *w)
{
	for (size_t i = 0; i < a->list.n; i++) {
		js_wr_key_span(w, a->list.v[i].name);
		js_wr_raw(w, a->list.v[i].values);
	}
}

static void judge_attributes(void *arg, const struct node *n, struct js_wr *w)
{
	struct tailnet_policy *t = arg;

	pol_attrs_of(t->e, n->id, &t->attrs);
	put_attrs(&t->attrs, w);
}

static void judge_peer_attributes(void *arg, const struct node *n, struct js_wr *w)
{
	struct tailnet_policy *t = arg;

	pol_peer_attrs_of(t->e, n->id, &t->attrs);
	put_attrs(&t->attrs, w);
}

static uint64_t judge_stamp(void *arg)
{
	const struct tailnet_policy *t = arg;

	return t->base + pol_engine_seq(t->e);
}

static unsigned judge_touched(void *arg, const struct node *n, uint64_t since)
{
	struct tailnet_policy *t = arg;
	unsigned what;

	if (since < t->base)
		return JUDGED_ALL;
	what = pol_touched_since(t->e, n->id, since - t->base);
	return (what & POL_TOUCH_RULES ? JUDGED_RULES : 0) |
	       (what & POL_TOUCH_ATTRS ? JUDGED_ATTRIBUTES : 0);
}

void tailnet_policy_judge(struct tailnet_policy *t, struct judge *ret)
{
	*ret = (struct judge){
		.class_key = judge_class_key,
		.sees = judge_sees,
		.routes_for = judge_routes,
		.filter = judge_filter,
		.ssh = judge_ssh,
		.attributes = judge_attributes,
		.peer_attributes = judge_peer_attributes,
		.stamp = judge_stamp,
		.touched = judge_touched,
		.arg = t,
	};
}
