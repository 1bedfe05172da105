/* autoApprovers, nodeAttrs, tests, sshTests. */
#include "base/err.h"
#include "coordinator/policy/parse.h"

/* ---- autoApprovers ---- */

static void read_approver(struct px *x, const struct js *v, void *object)
{
	px_ids_add(object, px_sel(x, v->at, v->text, IN_APPROVER));
}

static void read_routes(struct px *x, const struct js *v, void *object)
{
	(void)object;
	if (!px_want(x, v, JS_OBJECT))
		return;
	px_refuse_dup(x, v);
	for (const struct js *m = js_first(v); m; m = m->next) {
		struct approver a = { 0 };

		if (prefix_parse(m->key, &a.prefix) < 0) {
			policy_issue(x->issues, m->key_at, POLICY_APPROVER,
			             "autoApprovers.routes: \"%.*s\" is no CIDR", SPAN_FMT(m->key));
			continue;
		}
		a.prefix = prefix_masked(a.prefix);
		if (m->kind != JS_NULL)
			px_each(x, m, JS_STRING, read_approver, &a.who);
		vec_push(&x->p->route_approvers, a);
	}
}

static void read_exit(struct px *x, const struct js *v, void *object)
{
	(void)object;
	px_each(x, v, JS_STRING, read_approver, &x->p->exit_approvers);
}

/* Services are virtual addresses, which no node here offers: the section is checked, and idle. */
static void read_services(struct px *x, const struct js *v, void *object)
{
	(void)object;
	if (!px_want(x, v, JS_OBJECT))
		return;
	px_refuse_dup(x, v);
	for (const struct js *m = js_first(v); m; m = m->next) {
		struct ids who = { 0 };

		if (!span_starts(m->key, "svc:") && !span_starts(m->key, "tag:"))
			policy_issue(x->issues, m->key_at, POLICY_APPROVER,
			             "autoApprovers.services: \"%.*s\" is no service or tag",
			             SPAN_FMT(m->key));
		px_each(x, m, JS_STRING, read_approver, &who);
		vec_done(&who);
	}
}

static const struct px_field approver_fields[] = {
	{ "routes", NULL, read_routes },
	{ "exitNode", NULL, read_exit },
	{ "services", NULL, read_services },
};

void px_approvers(struct px *x, const struct js *v)
{
	(void)px_object(x, v, approver_fields, ARRAY_LEN(approver_fields), PX_REFUSE, NULL);
}

/* ---- nodeAttrs ---- */

static void read_target(struct px *x, const struct js *v, void *object)
{
	px_ids_add(&((struct node_attr *)object)->target, px_sel(x, v->at, v->text, IN_TARGET));
}

static void read_targets(struct px *x, const struct js *v, void *object)
{
	px_each(x, v, JS_STRING, read_target, object);
}

static void read_attr(struct px *x, const struct js *v, void *object)
{
	(void)x;
	vec_push(&((struct node_attr *)object)->attrs, v->text);
}

static void read_attr_list(struct px *x, const struct js *v, void *object)
{
	px_each(x, v, JS_STRING, read_attr, object);
}

static void read_attr_app(struct px *x, const struct js *v, void *object)
{
	if (!px_want(x, v, JS_OBJECT))
		return;
	for (const struct js *m = js_first(v); m; m = m->next)
		(void)px_want(x, m, JS_ARRAY);
	((struct node_attr *)object)->app = v;
}

static void read_pool(struct px *x, const struct js *v, void *object)
{
	static const struct prefix reserved[] = {
		{ { { [10] = 0xff, [11] = 0xff, 100, 100, 100, 0 } }, 24 },
		{ { { [10] = 0xff, [11] = 0xff, 100, 115, 92, 0 } }, 23 },
	};
	static const struct prefix all = { { { [10] = 0xff, [11] = 0xff, 100, 64, 0, 0 } }, 10 };
	struct prefix p;
	const char *why = NULL;

	if (prefix_parse(span_trim(v->text), &p) < 0)
		why = "invalid CIDR";
	else if (!prefix_covers(&all, &p))
		why = "network outside 100.64.0.0/10";
	for (size_t i = 0; !why && i < ARRAY_LEN(reserved); i++)
		if (prefix_overlaps(&p, &reserved[i]))
			why = "network within reserved range";
	if (why)
		policy_issue(x->issues, v->at, POLICY_IPPOOL, "IPPool(%.*s): %s", SPAN_FMT(v->text),
		             why);
	else
		vec_push(&((struct node_attr *)object)->ip_pool, prefix_masked(p));
}

static void read_pools(struct px *x, const struct js *v, void *object)
{
	px_each(x, v, JS_STRING, read_pool, object);
}

static const struct px_field attr_fields[] = {
	{ "target", NULL, read_targets },
	{ "attr", NULL, read_attr_list },
	{ "app", NULL, read_attr_app },
	{ "ipPool", NULL, read_pools },
};

static void read_node_attr(struct px *x, const struct js *v, void *object)
{
	struct node_attr a = { .at = v->at };

	(void)object;
	(void)px_object(x, v, attr_fields, ARRAY_LEN(attr_fields), PX_REFUSE, &a);
	vec_push(&x->p->attrs, a);
}

void px_node_attrs(struct px *x, const struct js *v)
{
	px_each(x, v, JS_OBJECT, read_node_attr, NULL);
}

/* ---- tests: what they name is looked up when they run, as it may not exist ---- */

static void add_text(struct px *x, const struct js *v, void *object)
{
	(void)x;
	vec_push((struct spans *)object, span_trim(v->text));
}

static void read_test_src(struct px *x, const struct js *v, void *object)
{
	if (px_want(x, v, JS_STRING))
		((struct policy_test *)object)->src = span_trim(v->text);
}

static void read_test_accept(struct px *x, const struct js *v, void *object)
{
	px_each(x, v, JS_STRING, add_text, &((struct policy_test *)object)->accept);
}

static void read_test_deny(struct px *x, const struct js *v, void *object)
{
	px_each(x, v, JS_STRING, add_text, &((struct policy_test *)object)->deny);
}

static void read_test_proto(struct px *x, const struct js *v, void *object)
{
	struct policy_test *t = object;
	const char *why;

	if (!px_want(x, v, JS_STRING))
		return;
	t->proto_text = v->text;
	t->bad_proto = !policy_proto_parse(v->text, &t->proto, &why);
}

static void read_test_attrs(struct px *x, const struct js *v, void *object)
{
	if (px_want(x, v, JS_OBJECT))
		((struct policy_test *)object)->posture_attrs = v;
}

static const struct px_field test_fields[] = {
	{ "src", "user", read_test_src },
	{ "accept", "allow", read_test_accept },
	{ "deny", NULL, read_test_deny },
	{ "proto", NULL, read_test_proto },
	{ "srcPostureAttrs", NULL, read_test_attrs },
};

static void read_test(struct px *x, const struct js *v, void *object)
{
	struct policy_test t = { .at = v->at, .proto = -1 };

	(void)object;
	(void)px_object(x, v, test_fields, ARRAY_LEN(test_fields), PX_REFUSE, &t);
	vec_push(&x->p->tests, t);
}

void px_tests(struct px *x, const struct js *v)
{
	px_each(x, v, JS_OBJECT, read_test, NULL);
}

/* ---- sshTests ---- */

static void read_ssh_src(struct px *x, const struct js *v, void *object)
{
	if (px_want(x, v, JS_STRING))
		((struct policy_ssh_test *)object)->src = span_trim(v->text);
}

/* Ports, prefixes and the internet make no sense for a login, and are refused at once. */
static void read_ssh_dst_one(struct px *x, const struct js *v, void *object)
{
	struct span text = span_trim(v->text);
	struct prefix p;
	bool address = prefix_parse(text, &p) == 0;
	bool colon = span_find(text, ':') < text.n;
	bool named = span_starts(text, "tag:") || span_starts(text, "autogroup:") ||
	             span_starts(text, "group:");

	if (span_starts(text, "tag:") && !policy_tag(x->p, text)) {
		policy_issue(x->issues, v->at, POLICY_TAG_UNDEFINED, "unknown tag \"%.*s\"",
		             SPAN_FMT(text));
		return;
	}
	if ((address && (!prefix_is_host(&p) || span_find(text, '/') < text.n)) ||
	    (!address && colon && !named) || span_is(text, "*") ||
	    span_is(text, "autogroup:internet")) {
		policy_issue(x->issues, v->at, POLICY_SSH_BAD_DST,
		             "SSH tests dst contains disallowed element \"%.*s\"", SPAN_FMT(text));
		return;
	}
	vec_push(&((struct policy_ssh_test *)object)->dst, text);
}

static void read_ssh_dst(struct px *x, const struct js *v, void *object)
{
	px_each(x, v, JS_STRING, read_ssh_dst_one, object);
}

static void read_ssh_accept(struct px *x, const struct js *v, void *object)
{
	px_each(x, v, JS_STRING, add_text, &((struct policy_ssh_test *)object)->accept);
}

static void read_ssh_check(struct px *x, const struct js *v, void *object)
{
	px_each(x, v, JS_STRING, add_text, &((struct policy_ssh_test *)object)->check);
}

static void read_ssh_deny(struct px *x, const struct js *v, void *object)
{
	px_each(x, v, JS_STRING, add_text, &((struct policy_ssh_test *)object)->deny);
}

static const struct px_field ssh_test_fields[] = {
	{ "src", NULL, read_ssh_src },       { "dst", NULL, read_ssh_dst },
	{ "accept", NULL, read_ssh_accept }, { "check", NULL, read_ssh_check },
	{ "deny", NULL, read_ssh_deny },
};

static void read_ssh_test(struct px *x, const struct js *v, void *object)
{
	struct policy_ssh_test t = { .at = v->at };

	(void)object;
	(void)px_object(x, v, ssh_test_fields, ARRAY_LEN(ssh_test_fields), PX_REFUSE, &t);
	vec_push(&x->p->ssh_tests, t);
}

void px_ssh_tests(struct px *x, const struct js *v)
{
	px_each(x, v, JS_OBJECT, read_ssh_test, NULL);
}
