#include "coordinator/policy/case.h"

#include <stdlib.h>

#include "base/err.h"
#include "base/json.h"
#include "coordinator/policy/tests.h"

/* One case set up: its users, its nodes, and the engine once the policy is accepted. */
struct setup {
	struct arena arena;
	VEC(struct pol_user) users;
	VEC(struct pol_node) nodes;
	VEC(const struct js *) node_js; /* as the topology has them, for what is advertised */
	VEC(const struct js *) overrides;
	struct pol_engine *e;
	struct policy_issues issues;
	struct pol_test_report report;
};

static void setup_done(struct setup *s)
{
	pol_engine_free(s->e);
	policy_issues_done(&s->issues);
	pol_test_report_done(&s->report);
	vec_done(&s->users);
	vec_done(&s->nodes);
	vec_done(&s->node_js);
	vec_done(&s->overrides);
	arena_done(&s->arena);
}

static const char *text_of(struct setup *s, const struct js *object, const char *name)
{
	return arena_str(&s->arena, js_text(js_get(object, name)));
}

/* ---- users and nodes ---- */

static void add_user(struct setup *s, const struct js *u)
{
	struct pol_user user = { .id = (uint64_t)js_int(js_get(u, "id"), 0),
		                 .name = text_of(s, u, "name"),
		                 .email = text_of(s, u, "email") };

	(void)pol_role_parse(js_text(js_get(u, "role")), &user.role);
	vec_push(&s->users, user);
}

static uint64_t user_id(const struct setup *s, struct span name)
{
	vec_each(const struct pol_user *, u, &s->users)
		if (name.n && span_is(name, u->name))
			return u->id;
	return 0;
}

/* A field of the node, or what the case puts in its place. */
static const struct js *node_field(const struct js *node, const struct js *override,
                                   const char *name)
{
	const struct js *v = js_get(override, name);

	return v ? v : js_get(node, name);
}

static bool has_text(const struct js *list, struct span text)
{
	for (const struct js *m = js_first(list); m; m = m->next)
		if (span_eq(js_text(m), text))
			return true;
	return false;
}

/* Routes count once they are both advertised and approved. */
static void set_routes(struct setup *s, struct pol_node *n, const struct js *advertised,
                       const struct js *approved)
{
	struct prefix *v = arena_new_n(&s->arena, struct prefix,
	                               (advertised ? advertised->n : 0) + 1);

	for (const struct js *m = js_first(advertised); m; m = m->next)
		if (has_text(approved, js_text(m)) &&
		    prefix_parse(js_text(m), &v[n->n_routes]) == 0)
			n->n_routes++;
	n->routes = v;
}

static void set_tags(struct setup *s, struct pol_node *n, const struct js *tags)
{
	const char **v = arena_new_n(&s->arena, const char *, (tags ? tags->n : 0) + 1);

	for (const struct js *m = js_first(tags); m; m = m->next)
		v[n->n_tags++] = arena_str(&s->arena, js_text(m));
	n->tags = v;
}

static void set_attrs(struct setup *s, struct pol_node *n, const struct js *attrs)
{
	struct posture_attr *v = arena_new_n(&s->arena, struct posture_attr,
	                                     (attrs ? attrs->n : 0) + 1);

	for (const struct js *m = js_first(attrs); m; m = m->next)
		v[n->n_attrs++] = (struct posture_attr){
			arena_str(&s->arena, m->key),
			m->kind == JS_BOOL ? (m->truth ? "true" : "false")
					   : arena_str(&s->arena, m->text),
		};
	n->attrs = v;
}

static void set_ip(struct span text, struct ip *ret)
{
	if (ip_parse(text, ret) < 0)
		*ret = (struct ip){ { 0 } };
}

static void add_node(struct setup *s, const struct js *node, const struct js *override)
{
	struct pol_node n = {
		.id = (uint64_t)js_int(js_get(node, "id"), 0),
		.name = text_of(s, node, "name"),
		.user = user_id(s, js_text(node_field(node, override, "user"))),
		.usable = js_truth(node_field(node, override, "online"), true) &&
		          js_truth(node_field(node, override, "healthy"), true),
	};

	set_ip(js_text(node_field(node, override, "ipv4")), &n.ip4);
	set_ip(js_text(node_field(node, override, "ipv6")), &n.ip6);
	set_tags(s, &n, node_field(node, override, "tags"));
	set_attrs(s, &n, node_field(node, override, "attributes"));
	set_routes(s, &n, node_field(node, override, "advertised"),
	           node_field(node, override, "approved"));
	vec_push(&s->nodes, n);
	vec_push(&s->node_js, node);
	vec_push(&s->overrides, override);
}

static void set_up(struct setup *s, const struct js *file, const struct js *one)
{
	AUTO_DONE(buf) struct buf policy = { 0 };
	struct js_wr w = js_wr_of(&policy);
	const struct js *raw = js_get(one, "policy_text");

	for (const struct js *u = js_first(js_get(file, "users")); u; u = u->next)
		add_user(s, u);
	for (const struct js *n = js_first(js_get(file, "topology")); n; n = n->next)
		if (has_text(js_get(one, "nodes"), js_text(js_get(n, "name")))) {
			char *name = arena_str(&s->arena, js_text(js_get(n, "name")));

			add_node(s, n, js_get(js_get(one, "overrides"), name));
		}
	if (raw)
		buf_add_span(&policy, js_text(raw));
	else if (js_get(one, "policy"))
		js_wr_tree(&w, js_get(one, "policy"));
	struct pol_tailnet tailnet = { s->users.v, s->users.n, s->nodes.v, s->nodes.n };

	if (pol_accept(buf_span(&policy), &tailnet, &s->e, &s->issues, &s->report) < 0)
		s->e = NULL;
}

/* ---- results ---- */

static void write_rules(struct setup *s, struct js_wr *w)
{
	struct pol_filter f = { 0 };

	js_wr_open(w, JS_OBJECT);
	vec_each(const struct pol_node *, n, &s->nodes) {
		pol_filter_of(s->e, n->id, &f);
		if (f.rules.n == 0)
			continue;
		js_wr_key(w, n->name);
		pol_filter_write(&f, POL_SHORT, w);
	}
	js_wr_close(w, JS_OBJECT);
	pol_filter_done(&f);
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void write_names(struct js_wr *w, const char **names, size_t n)
{
	if (n > 1)
		qsort(names, n, sizeof(*names), by_text);
	js_wr_open(w, JS_ARRAY);
	for (size_t i = 0; i < n; i++)
		js_wr_str(w, names[i]);
	js_wr_close(w, JS_ARRAY);
}

static const char *name_of(const struct setup *s, uint64_t id)
{
	vec_each(const struct pol_node *, n, &s->nodes)
		if (n->id == id)
			return n->name;
	return "?";
}

static void write_peers(struct setup *s, struct js_wr *w)
{
	js_wr_open(w, JS_OBJECT);
	vec_each(const struct pol_node *, n, &s->nodes) {
		struct pol_ids ids = { 0 };
		VEC(const char *) names = { 0 };

		pol_peers(s->e, n->id, &ids);
		for (size_t i = 0; i < ids.n; i++)
			vec_push(&names, name_of(s, ids.v[i]));
		js_wr_key(w, n->name);
		write_names(w, names.v, names.n);
		vec_done(&names);
		vec_done(&ids);
	}
	js_wr_close(w, JS_OBJECT);
}

static void write_prefixes(struct js_wr *w, const struct pol_prefixes *p)
{
	char text[PREFIX_TEXT_MAX];

	js_wr_open(w, JS_ARRAY);
	for (size_t i = 0; i < p->n; i++)
		js_wr_str(w, prefix_text(&p->v[i], text));
	js_wr_close(w, JS_ARRAY);
}

/* All routers are well: the lowest id carries a prefix. */
static uint64_t lowest(void *arg, const struct prefix *route)
{
	const struct setup *s = arg;
	uint64_t best = 0;

	vec_each(const struct pol_node *, n, &s->nodes)
		for (size_t i = 0; n->usable && i < n->n_routes; i++)
			if (prefix_eq(&n->routes[i], route) && (best == 0 || n->id < best))
				best = n->id;
	return best;
}

/* Writes the key of the outer object only when the first inner pair comes. */
static void write_pair(struct js_wr *w, const char *viewer, const char *peer, bool *first)
{
	if (*first) {
		js_wr_key(w, viewer);
		js_wr_open(w, JS_OBJECT);
		*first = false;
	}
	js_wr_key(w, peer);
}

/* whole: with the peer's addresses, of pairs where they are not simply its two. */
static void write_allowed(struct setup *s, struct js_wr *w, bool whole)
{
	struct pol_primaries primaries = { lowest, s };

	js_wr_open(w, JS_OBJECT);
	vec_each(const struct pol_node *, viewer, &s->nodes) {
		bool first = true;

		vec_each(const struct pol_node *, peer, &s->nodes) {
			struct pol_prefixes p = { 0 };
			size_t own = 0;

			if (!pol_sees(s->e, viewer->id, peer->id))
				continue;
			if (whole)
				pol_addresses(s->e, peer->id, &p);
			own = p.n;
			pol_routes_shown(s->e, viewer->id, peer->id, &primaries, &p);
			if (p.n > own || (whole && own < 2)) {
				write_pair(w, viewer->name, peer->name, &first);
				write_prefixes(w, &p);
			}
			vec_done(&p);
		}
		if (!first)
			js_wr_close(w, JS_OBJECT);
	}
	js_wr_close(w, JS_OBJECT);
}

static void write_only_routes(struct setup *s, struct js_wr *w)
{
	write_allowed(s, w, false);
}

static void write_whole_allowed(struct setup *s, struct js_wr *w)
{
	write_allowed(s, w, true);
}

static void write_addresses(struct setup *s, struct js_wr *w)
{
	js_wr_open(w, JS_OBJECT);
	vec_each(const struct pol_node *, n, &s->nodes) {
		struct pol_prefixes p = { 0 };

		pol_addresses(s->e, n->id, &p);
		js_wr_key(w, n->name);
		write_prefixes(w, &p);
		vec_done(&p);
	}
	js_wr_close(w, JS_OBJECT);
}

static void write_attr_names(struct js_wr *w, const struct pol_attrs *a)
{
	js_wr_open(w, JS_ARRAY);
	for (size_t i = 0; i < a->list.n; i++)
		js_wr_span(w, a->list.v[i].name);
	js_wr_close(w, JS_ARRAY);
}

static void write_caps(struct setup *s, struct js_wr *w)
{
	struct pol_attrs a = { 0 };

	js_wr_open(w, JS_OBJECT);
	vec_each(const struct pol_node *, n, &s->nodes) {
		pol_attrs_of(s->e, n->id, &a);
		if (a.list.n == 0)
			continue;
		js_wr_key(w, n->name);
		write_attr_names(w, &a);
	}
	js_wr_close(w, JS_OBJECT);
	pol_attrs_done(&a);
}

static void write_peer_caps(struct setup *s, struct js_wr *w)
{
	struct pol_attrs a = { 0 };

	js_wr_open(w, JS_OBJECT);
	vec_each(const struct pol_node *, viewer, &s->nodes) {
		js_wr_key(w, viewer->name);
		js_wr_open(w, JS_OBJECT);
		vec_each(const struct pol_node *, peer, &s->nodes) {
			if (!pol_sees(s->e, viewer->id, peer->id))
				continue;
			pol_peer_attrs_of(s->e, peer->id, &a);
			if (a.list.n == 0)
				continue;
			js_wr_key(w, peer->name);
			write_attr_names(w, &a);
		}
		js_wr_close(w, JS_OBJECT);
	}
	js_wr_close(w, JS_OBJECT);
	pol_attrs_done(&a);
}

static void write_ssh(struct setup *s, struct js_wr *w)
{
	struct pol_ssh ssh = { 0 };

	js_wr_open(w, JS_OBJECT);
	vec_each(const struct pol_node *, n, &s->nodes) {
		pol_ssh_of(s->e, n->id, &ssh);
		if (ssh.rules.n == 0)
			continue;
		js_wr_key(w, n->name);
		pol_ssh_write(&ssh, POL_SHORT, NULL, w);
	}
	js_wr_close(w, JS_OBJECT);
	pol_ssh_done(&ssh);
}

static void write_approved(struct setup *s, struct js_wr *w)
{
	js_wr_open(w, JS_OBJECT);
	for (size_t i = 0; i < s->nodes.n; i++) {
		const struct js *advertised = node_field(s->node_js.v[i], s->overrides.v[i],
		                                         "advertised");
		struct pol_prefixes p = { 0 };

		for (const struct js *m = js_first(advertised); m; m = m->next) {
			struct prefix route;

			if (prefix_parse(js_text(m), &route) == 0 &&
			    pol_auto_approves(s->e, &s->nodes.v[i], &route))
				vec_push(&p, route);
		}
		js_wr_key(w, s->nodes.v[i].name);
		write_prefixes(w, &p);
		vec_done(&p);
	}
	js_wr_close(w, JS_OBJECT);
}

static void write_may_request(struct setup *s, struct js_wr *w)
{
	js_wr_open(w, JS_OBJECT);
	vec_each(const struct pol_node *, n, &s->nodes) {
		VEC(const char *) names = { 0 };
		struct span tag;

		for (size_t i = 0; policy_tag_at(pol_engine_policy(s->e), i, &tag); i++)
			if (pol_may_tag(s->e, n->user, n->tags, n->n_tags, tag))
				vec_push(&names, arena_str(&s->arena, tag));
		js_wr_key(w, n->name);
		write_names(w, names.v, names.n);
		vec_done(&names);
	}
	js_wr_close(w, JS_OBJECT);
}

static void write_failures(struct setup *s, struct js_wr *w, bool ssh)
{
	js_wr_open(w, JS_ARRAY);
	vec_each(const struct pol_test_failure *, f, &s->report.failures) {
		if (f->ssh != ssh)
			continue;
		js_wr_open(w, JS_ARRAY);
		js_wr_uint(w, f->index);
		js_wr_str(w, pol_test_kind_text(f->kind));
		if (f->target)
			js_wr_str(w, f->target);
		if (f->node)
			js_wr_str(w, f->node);
		js_wr_close(w, JS_ARRAY);
	}
	js_wr_close(w, JS_ARRAY);
}

static void write_tests_failed(struct setup *s, struct js_wr *w)
{
	write_failures(s, w, false);
}

static void write_ssh_tests_failed(struct setup *s, struct js_wr *w)
{
	write_failures(s, w, true);
}

static void write_error(struct setup *s, struct js_wr *w)
{
	const struct policy_issue *i = policy_issues_error(&s->issues);

	if (!i) {
		js_wr_null(w);
		return;
	}
	js_wr_open(w, JS_OBJECT);
	js_wr_kv_int(w, "line", i->line);
	js_wr_kv_int(w, "column", i->column);
	js_wr_kv_str(w, "code", policy_code_text(i->code));
	js_wr_kv_str(w, "message", i->message);
	js_wr_kv_str(w, "pointer", i->pointer);
	js_wr_close(w, JS_OBJECT);
}

static const struct {
	const char *key;
	bool when_refused; /* has a meaning also for a refused policy */
	void (*write)(struct setup *s, struct js_wr *w);
} RESULTS[] = {
	{ "rules", false, write_rules },
	{ "peers", false, write_peers },
	{ "allowed", false, write_only_routes },
	{ "peer_allowed", false, write_whole_allowed },
	{ "addresses", false, write_addresses },
	{ "caps", false, write_caps },
	{ "peer_caps", false, write_peer_caps },
	{ "ssh", false, write_ssh },
	{ "approved", false, write_approved },
	{ "may_request_tag", false, write_may_request },
	{ "tests_failed", true, write_tests_failed },
	{ "ssh_tests_failed", true, write_ssh_tests_failed },
};

static void run_case(const struct js *file, const struct js *one, struct js_wr *w)
{
	const struct js *expect = js_get(one, "expect");
	struct setup s = { 0 };

	set_up(&s, file, one);
	js_wr_key_span(w, js_text(js_get(one, "id")));
	js_wr_open(w, JS_OBJECT);
	js_wr_kv_bool(w, "ok", s.e != NULL);
	for (size_t i = 0; i < ARRAY_LEN(RESULTS); i++)
		if (js_get(expect, RESULTS[i].key) && (s.e || RESULTS[i].when_refused)) {
			js_wr_key(w, RESULTS[i].key);
			RESULTS[i].write(&s, w);
		}
	if (!s.e) {
		js_wr_key(w, "error");
		write_error(&s, w);
	}
	js_wr_close(w, JS_OBJECT);
	setup_done(&s);
}

int policy_cases_run(struct span text, struct buf *out, struct fault *reterr)
{
	AUTO_DONE(arena) struct arena arena = { 0 };
	struct js *file = NULL;
	struct js_wr w = { .out = out, .indent = "  ", .plain = true };
	int r = js_parse(&arena, text, false, &file, reterr);

	if (r < 0)
		return r;
	if (!js_get(file, "cases") || js_get(file, "cases")->kind != JS_ARRAY)
		return js_fault(text, file, reterr, "expected an object with \"cases\"");
	js_wr_open(&w, JS_OBJECT);
	for (const struct js *one = js_first(js_get(file, "cases")); one; one = one->next)
		run_case(file, one, &w);
	js_wr_close(&w, JS_OBJECT);
	buf_add_u8(out, '\n');
	return 0;
}
