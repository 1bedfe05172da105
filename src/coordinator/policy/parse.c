#include "coordinator/policy/parse.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/hujson.h"

const char *px_kind_text(enum js_kind kind)
{
	switch (kind) {
	case JS_NULL:
		return "null";
	case JS_BOOL:
		return "true or false";
	case JS_NUMBER:
		return "a number";
	case JS_STRING:
		return "a string";
	case JS_ARRAY:
		return "an array";
	case JS_OBJECT:
		return "an object";
	}
	return "a value";
}

bool px_want(struct px *x, const struct js *v, enum js_kind kind)
{
	if (v->kind == kind)
		return true;
	policy_issue(x->issues, v->at, POLICY_TYPE, "%.*s%sexpected %s, found %s", SPAN_FMT(v->key),
	             v->key.n ? ": " : "", px_kind_text(kind), px_kind_text(v->kind));
	return false;
}

static int by_name(const void *a, const void *b)
{
	const struct js *x = *(const struct js *const *)a, *y = *(const struct js *const *)b;
	size_t n = x->key.n < y->key.n ? x->key.n : y->key.n;
	int c = n ? strncasecmp((const char *)x->key.p, (const char *)y->key.p, n) : 0;

	if (c == 0)
		c = (x->key.n > y->key.n) - (x->key.n < y->key.n);
	return c ? c : (x->key_at > y->key_at) - (x->key_at < y->key_at);
}

void px_refuse_dup(struct px *x, const struct js *v)
{
	AUTO_FREE const struct js **sorted = mem_new_n(const struct js *, v->n + 1);
	size_t n = 0;

	for (const struct js *m = js_first(v); m; m = m->next)
		sorted[n++] = m;
	qsort(sorted, n, sizeof(*sorted), by_name);
	for (size_t i = 1; i < n; i++)
		if (span_eq_nocase(sorted[i - 1]->key, sorted[i]->key))
			policy_issue(x->issues, sorted[i]->key_at, POLICY_DUPLICATE_KEY,
			             "\"%.*s\" stands twice in this object",
			             SPAN_FMT(sorted[i]->key));
}

static const struct px_field *field_of(const struct px_field *fields, size_t n, struct span key)
{
	for (size_t i = 0; i < n; i++)
		if (span_is_nocase(key, fields[i].name) ||
		    (fields[i].alias && span_is_nocase(key, fields[i].alias)))
			return &fields[i];
	return NULL;
}

bool px_object(struct px *x, const struct js *v, const struct px_field *fields, size_t n,
               enum px_unknown unknown, void *object)
{
	uint64_t seen = 0;

	if (!px_want(x, v, JS_OBJECT))
		return false;
	px_refuse_dup(x, v);
	for (const struct js *m = js_first(v); m; m = m->next) {
		const struct px_field *f = field_of(fields, n, m->key);

		if (!f && unknown == PX_REFUSE_BUT_HASH && span_starts(m->key, "#"))
			continue;
		if (!f) {
			policy_issue(x->issues, m->key_at, POLICY_UNKNOWN_FIELD,
			             "unknown field: \"%.*s\"", SPAN_FMT(m->key));
			continue;
		}
		uint64_t bit = UINT64_C(1) << (f - fields);

		if (seen & bit && f->alias)
			policy_issue(x->issues, m->key_at, POLICY_DUPLICATE_KEY,
			             "\"%s\" and \"%s\" are the same field", f->name, f->alias);
		else if (m->kind != JS_NULL)
			f->read(x, m, object);
		seen |= bit;
	}
	return true;
}

void px_each(struct px *x, const struct js *v, enum js_kind kind,
             void (*read)(struct px *x, const struct js *v, void *object), void *object)
{
	if (!px_want(x, v, JS_ARRAY))
		return;
	for (const struct js *m = js_first(v); m; m = m->next)
		if (px_want(x, m, kind))
			read(x, m, object);
}

void px_ids_add(struct ids *ids, uint32_t id)
{
	if (id != POLICY_NONE)
		vec_push(ids, id);
}

/* ---- the top level ---- */

/* Sections refer to one another in any order, so they are found first and read in ours. */
struct sections {
	const struct js *groups, *hosts, *ipsets, *tag_owners, *acls, *grants, *ssh, *approvers,
		*node_attrs, *postures, *default_postures, *tests, *ssh_tests;
};

#define SECTION(member)                                                           \
	static void find_##member(struct px *x, const struct js *v, void *object) \
	{                                                                         \
		(void)x;                                                          \
		((struct sections *)object)->member = v;                          \
	}
SECTION(groups)
SECTION(hosts)
SECTION(ipsets)
SECTION(tag_owners)
SECTION(acls)
SECTION(grants)
SECTION(ssh)
SECTION(approvers)
SECTION(node_attrs)
SECTION(postures)
SECTION(default_postures)
SECTION(tests)
SECTION(ssh_tests)

static void read_randomize(struct px *x, const struct js *v, void *object)
{
	(void)object;
	if (px_want(x, v, JS_BOOL))
		x->p->randomize_client_port = v->truth;
}

static void read_disable_ipv4(struct px *x, const struct js *v, void *object)
{
	(void)object;
	if (px_want(x, v, JS_BOOL))
		x->p->disable_ipv4 = v->truth;
}

static void read_one_cgnat(struct px *x, const struct js *v, void *object)
{
	(void)object;
	if (!px_want(x, v, JS_STRING))
		return;
	if (v->text.n && !span_is(v->text, "mac-always") && !span_is(v->text, "mac-never"))
		policy_issue(x->issues, v->at, POLICY_TYPE,
		             "OneCGNATRoute is \"mac-always\", \"mac-never\" or \"\", not \"%.*s\"",
		             SPAN_FMT(v->text));
	x->p->one_cgnat = v->text;
}

static void read_derp_map(struct px *x, const struct js *v, void *object)
{
	(void)object;
	if (px_want(x, v, JS_OBJECT))
		x->p->derp_map = v;
}

/* Typing of custom attributes: of it, only whether a node may set one itself means something here.
 */
static void read_attr_config(struct px *x, const struct js *v, void *object)
{
	(void)object;
	if (px_want(x, v, JS_OBJECT))
		x->p->attr_config = v;
}

/* clang-format off */
static const struct px_field top_level[] = {
	{ "groups",              NULL, find_groups },
	{ "hosts",               NULL, find_hosts },
	{ "ipsets",              NULL, find_ipsets },
	{ "tagOwners",           NULL, find_tag_owners },
	{ "acls",                NULL, find_acls },
	{ "grants",              NULL, find_grants },
	{ "ssh",                 NULL, find_ssh },
	{ "autoApprovers",       NULL, find_approvers },
	{ "nodeAttrs",           NULL, find_node_attrs },
	{ "postures",            NULL, find_postures },
	{ "defaultSrcPosture",   NULL, find_default_postures },
	{ "attrConfig",          NULL, read_attr_config },
	{ "tests",               NULL, find_tests },
	{ "sshTests",            NULL, find_ssh_tests },
	{ "randomizeClientPort", NULL, read_randomize },
	{ "disableIPv4",         NULL, read_disable_ipv4 },
	{ "OneCGNATRoute",       NULL, read_one_cgnat },
	{ "derpMap",             NULL, read_derp_map },
};
/* clang-format on */

static void in_turn(struct px *x, const struct js *v, void (*read)(struct px *, const struct js *))
{
	if (v)
		read(x, v);
}

static void unused(struct px *x, size_t at, struct span name)
{
	policy_warning(x->issues, at, POLICY_UNUSED, "\"%.*s\" is not used", SPAN_FMT(name));
}

/* Most often a name that was mistyped somewhere else. */
static void warn_unused(struct px *x)
{
	const struct policy *p = x->p;

	for (size_t i = 0; i < p->groups.n; i++)
		if (!p->groups.v[i].used)
			unused(x, p->groups.v[i].at, p->groups.v[i].name);
	for (size_t i = 0; i < p->n_hosts; i++)
		if (!p->hosts[i].used)
			unused(x, p->hosts[i].at, p->hosts[i].name);
	for (size_t i = 0; i < p->ipsets.n; i++)
		if (!p->ipsets.v[i].used)
			unused(x, p->ipsets.v[i].at, p->ipsets.v[i].name);
	for (size_t i = 0; i < p->n_tags; i++)
		if (!p->tags[i].used)
			unused(x, p->tags[i].at, p->tags[i].name);
	for (size_t i = 0; i < p->postures.n; i++)
		if (!p->postures.v[i].used)
			unused(x, p->postures.v[i].at, p->postures.v[i].name);
}

/* Without any rule section everything inside the tailnet is allowed: "*" to "*". */
static void allow_all(struct px *x)
{
	struct rule r = { .internet = true };
	uint32_t all = px_sel(x, 0, SPAN_LIT("*"), IN_SRC);

	px_ids_add(&r.src, all);
	vec_push(&r.ports, ((struct port_range){ -1, 0, 65535 }));
	vec_push(&r.dst, ((struct rule_dst){ all, 0, 1 }));
	vec_push(&x->p->rules, r);
}

static void read_policy(struct px *x)
{
	struct sections s = { 0 };

	(void)px_object(x, x->p->root, top_level, ARRAY_LEN(top_level), PX_REFUSE, &s);
	in_turn(x, s.hosts, px_hosts);
	in_turn(x, s.ipsets, px_ipsets);
	in_turn(x, s.tag_owners, px_tags_declare);
	in_turn(x, s.groups, px_groups);
	in_turn(x, s.tag_owners, px_tags_owners);
	in_turn(x, s.postures, px_postures);
	in_turn(x, s.default_postures, px_default_postures);
	in_turn(x, s.acls, px_acls);
	in_turn(x, s.grants, px_grants);
	in_turn(x, s.ssh, px_ssh);
	in_turn(x, s.approvers, px_approvers);
	in_turn(x, s.node_attrs, px_node_attrs);
	in_turn(x, s.tests, px_tests);
	in_turn(x, s.ssh_tests, px_ssh_tests);
	if (!s.acls && !s.grants)
		allow_all(x);
	warn_unused(x);
}

/* ---- text to tree ---- */

/* The byte where the text stops being UTF-8; its length if it never does. */
static size_t utf8_valid(struct span s)
{
	size_t i = 0;

	while (i < s.n) {
		uint8_t c = s.p[i];
		size_t more = c < 0x80 ? 0 : c < 0xc2 ? 9 : c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3;

		if (more > 3 || c > 0xf4 || more > s.n - i - 1)
			return i;
		for (size_t k = 1; k <= more; k++)
			if ((s.p[i + k] & 0xc0) != 0x80)
				return i;
		if ((c == 0xe0 && s.p[i + 1] < 0xa0) || (c == 0xed && s.p[i + 1] > 0x9f) ||
		    (c == 0xf0 && s.p[i + 1] < 0x90) || (c == 0xf4 && s.p[i + 1] > 0x8f))
			return i;
		i += more + 1;
	}
	return i;
}

/* The reader's reasons in the words that people look up. */
static const struct {
	const char *ours, *theirs;
} SYNTAX_TEXTS[] = {
	{ "expected , or }", "after object value (expecting ',' or '}')" },
	{ "expected , or ]", "after array value (expecting ',' or ']')" },
	{ "expected : after the name", "after object name" },
	{ "expected a value", "at start of value" },
	{ "expected a name in quotes", "at start of object name" },
	{ "something stands after the value", "after top-level value" },
};

static size_t place_at(struct span text, unsigned line, unsigned column)
{
	size_t at = 0;

	for (unsigned l = 1; l < line && at < text.n; at++)
		if (text.p[at] == '\n')
			l++;
	return at + column - 1;
}

static void syntax_issue(struct policy_issues *issues, struct span text, const struct fault *f)
{
	size_t at = place_at(text, f->line, f->column);
	const char *where = NULL;

	for (size_t i = 0; i < ARRAY_LEN(SYNTAX_TEXTS); i++)
		if (strcmp(f->message, SYNTAX_TEXTS[i].ours) == 0)
			where = SYNTAX_TEXTS[i].theirs;
	if (where && at < text.n && text.p[at] >= ' ' && text.p[at] < 127)
		policy_issue(issues, at, POLICY_SYNTAX,
		             "hujson: line %u, column %u: invalid character '%c' %s", f->line,
		             f->column, text.p[at], where);
	else if (where && at >= text.n)
		policy_issue(issues, at, POLICY_SYNTAX,
		             "hujson: line %u, column %u: unexpected EOF %s", f->line, f->column,
		             where);
	else
		policy_issue(issues, at, POLICY_SYNTAX, "hujson: line %u, column %u: %s", f->line,
		             f->column, f->message);
}

static bool is_blank(struct span s)
{
	return span_trim(s).n == 0;
}

/* p->source is set. An empty file is an empty object; false: reported. */
static bool read_tree(struct policy *p, struct policy_issues *issues)
{
	struct span text = span(p->source, p->source_n);
	AUTO_FREE uint8_t *plain = mem_dup(p->source, p->source_n + 1);
	struct fault fault = { 0 };
	struct js *root = NULL;
	size_t bad = utf8_valid(text);

	if (bad < text.n) {
		struct js_place at = js_place_of(text, bad);

		policy_issue(issues, bad, POLICY_SYNTAX,
		             "hujson: line %u, column %u: invalid UTF-8", at.line, at.column);
		return false;
	}
	if (text.n >= 3 && memcmp(plain, "\xef\xbb\xbf", 3) == 0)
		memset(plain, ' ', 3);
	if (hujson_to_json(plain, text.n, &fault) < 0) {
		syntax_issue(issues, text, &fault);
		return false;
	}
	struct span json = is_blank(span(plain, text.n)) ? SPAN_LIT("{}") : span(plain, text.n);

	if (js_parse(&p->arena, json, false, &root, &fault) < 0) {
		syntax_issue(issues, text, &fault);
		return false;
	}
	p->root = root;
	return true;
}

int policy_parse(struct span text, struct policy **ret, struct policy_issues *issues)
{
	AUTO(policy_free) struct policy *p = mem_new(struct policy);
	struct px x = { .p = p, .issues = issues };

	map_init(&p->sel_by_text);
	map_init(&p->host_by_name);
	map_init(&p->tag_by_name);
	if (text.n > POLICY_TEXT_MAX) {
		policy_issue(issues, 0, POLICY_TOO_LARGE, "the policy is larger than %d bytes",
		             POLICY_TEXT_MAX);
		policy_issues_finish(issues, text, NULL);
		return ERR_MALFORMED;
	}
	p->source = arena_str(&p->arena, text);
	p->source_n = text.n;
	if (read_tree(p, issues))
		read_policy(&x);
	policy_issues_finish(issues, text, p->root);
	if (policy_issues_error(issues))
		return ERR_MALFORMED;
	*ret = TAKE(p);
	return 0;
}

static void rule_done(struct rule *r)
{
	vec_done(&r->src);
	vec_done(&r->postures);
	vec_done(&r->dst);
	vec_done(&r->ports);
	vec_done(&r->via);
}

static void ssh_rule_done(struct ssh_rule *r)
{
	vec_done(&r->src);
	vec_done(&r->dst);
	vec_done(&r->postures);
	vec_done(&r->users);
	vec_done(&r->localparts);
	vec_done(&r->accept_env);
	vec_done(&r->recorders);
}

static void free_rules(struct policy *p)
{
	vec_each(struct rule *, r, &p->rules)
		rule_done(r);
	vec_each(struct ssh_rule *, r, &p->ssh)
		ssh_rule_done(r);
	vec_each(struct approver *, a, &p->route_approvers)
		vec_done(&a->who);
	vec_each(struct node_attr *, a, &p->attrs) {
		vec_done(&a->target);
		vec_done(&a->attrs);
		vec_done(&a->ip_pool);
	}
	vec_each(struct policy_test *, t, &p->tests) {
		vec_done(&t->accept);
		vec_done(&t->deny);
	}
	vec_each(struct policy_ssh_test *, t, &p->ssh_tests) {
		vec_done(&t->dst);
		vec_done(&t->accept);
		vec_done(&t->check);
		vec_done(&t->deny);
	}
	vec_done(&p->rules);
	vec_done(&p->ssh);
	vec_done(&p->route_approvers);
	vec_done(&p->exit_approvers);
	vec_done(&p->attrs);
	vec_done(&p->tests);
	vec_done(&p->ssh_tests);
}

void policy_free(struct policy *p)
{
	if (!p)
		return;
	free_rules(p);
	vec_each(struct sel **, s, &p->sels)
		ipset_done(&(*s)->ranges);
	vec_done(&p->groups);
	vec_each(struct ipset_def *, s, &p->ipsets)
		ipset_done(&s->result);
	for (size_t i = 0; i < p->n_tags; i++)
		vec_done(&p->tags[i].owners);
	vec_done(&p->sels);
	vec_done(&p->ipsets);
	vec_done(&p->postures);
	vec_done(&p->default_postures);
	map_done(&p->sel_by_text);
	map_done(&p->host_by_name);
	map_done(&p->tag_by_name);
	arena_done(&p->arena);
	free(p);
}

struct span policy_source(const struct policy *p)
{
	return span(p->source, p->source_n);
}

bool policy_has_tag(const struct policy *p, struct span tag)
{
	return policy_tag(p, tag) != NULL;
}

bool policy_attr_by_node(const struct policy *p, struct span attr)
{
	for (const struct js *m = js_first(p ? p->attr_config : NULL); m; m = m->next)
		if (span_eq(m->key, attr))
			return js_truth(js_get(m, "allowSetByNode"), false);
	return false;
}

bool policy_tag_at(const struct policy *p, size_t i, struct span *ret)
{
	if (i >= p->n_tags)
		return false;
	*ret = p->tags[i].name;
	return true;
}

bool policy_randomize_client_port(const struct policy *p)
{
	return p->randomize_client_port;
}

bool policy_derp_map(const struct policy *p, struct buf *out)
{
	struct js_wr w = js_wr_of(out);

	if (p->derp_map)
		js_wr_tree(&w, p->derp_map);
	return p->derp_map != NULL;
}
