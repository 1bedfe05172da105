#include "coordinator/policy/tests.h"

#include <stdlib.h>

#include "base/err.h"
#include "coordinator/policy/inner.h"
#include "coordinator/policy/parse.h"

const char *pol_test_kind_text(enum pol_test_kind k)
{
	static const char *const texts[] = { "accept", "check", "deny", "error" };

	return texts[k];
}

void pol_test_report_done(struct pol_test_report *r)
{
	vec_done(&r->failures);
	arena_done(&r->arena);
}

struct run {
	struct pol_engine *e;
	struct pol_test_report *to;
	unsigned index;
	size_t at;
	bool ssh;
};

static void fail(struct run *x, enum pol_test_kind kind, struct span target, const char *node,
                 const char *message)
{
	struct pol_test_failure *f = vec_add(&x->to->failures);

	f->ssh = x->ssh;
	f->index = x->index;
	f->at = x->at;
	f->kind = kind;
	f->target = target.p ? arena_str(&x->to->arena, target) : NULL;
	f->node = node ? arena_str(&x->to->arena, span_str(node)) : NULL;
	f->message = message;
}

static bool entry_error(struct run *x, const char *why)
{
	fail(x, POL_TEST_ERROR, (struct span){ 0 }, NULL, arena_str(&x->to->arena, span_str(why)));
	return false;
}

/* ---- ends of a connection ---- */

/* An address, and the node that has it. */
struct end {
	struct ip ip;
	const struct enode *node; /* NULL: no node's */
};

typedef VEC(struct end) ends;

static void add_node(ends *to, const struct enode *n)
{
	if (ip_is4(&n->ip4))
		vec_push(to, ((struct end){ n->ip4, n }));
	if (!ip_is_zero(&n->n.ip6))
		vec_push(to, ((struct end){ n->n.ip6, n }));
}

static void add_named(const struct pol_engine *e, uint32_t sel, ends *to)
{
	for (struct map_node *m = map_first(&e->nodes); m; m = map_next(&e->nodes, m)) {
		const struct enode *n = CONTAINER_OF(m, struct enode, by_id);

		if (sel_names(e, sel, &n->n))
			add_node(to, n);
	}
}

static bool is_single(const struct sel *s)
{
	return s->is_prefix && prefix_is_host(&s->prefix);
}

/* The selector of a test, resolved now: users who logged in since count. */
static uint32_t test_sel(struct run *x, struct span text, const char **ret_why)
{
	struct policy *p = x->e->p;
	size_t before = p->sels.n;
	uint32_t id = policy_sel_find(p, text, ret_why);

	if (p->sels.n > before)
		engine_new_sels(x->e, before);
	return id;
}

static bool source_ends(struct run *x, struct span text, ends *to)
{
	const char *why = NULL;
	uint32_t id = text.n ? test_sel(x, text, &why) : POLICY_NONE;

	if (id == POLICY_NONE)
		return entry_error(x, text.n ? why : "src must be specified");
	const struct sel *s = engine_sel(x->e, id);

	if (s->kind == SEL_ALL)
		return entry_error(x, "src \"*\" is not allowed in a test");
	if (s->kind == SEL_LITERAL && !is_single(s))
		return entry_error(x, "src must be one address, user, group, tag or host");
	if (s->kind == SEL_LITERAL)
		vec_push(to,
		         ((struct end){ s->prefix.ip, engine_node_by_ip(x->e, &s->prefix.ip) }));
	else
		add_named(x->e, id, to);
	return to->n ? true : entry_error(x, "src resolves to no address");
}

/* ---- may one address reach another? ---- */

struct question {
	const struct pol_engine *e;
	const struct posture_attr *attrs; /* in place of the source's own; NULL: its own */
	size_t n_attrs;
	int proto;
	uint16_t port;
};

static bool addr_in(const struct pol_engine *e, uint32_t id, const struct end *a, bool as_src)
{
	const struct sel *s = engine_sel(e, id);

	switch (s->kind) {
	case SEL_ALL:
		if (!as_src || ipset_has(&e->tailnet, &a->ip))
			return true;
		for (size_t i = 0; i < e->routes.n; i++)
			if (prefix_contains(&e->routes.v[i].prefix, &a->ip))
				return true;
		return false;
	case SEL_AUTO:
		if (s->autogroup == AG_DANGER_ALL)
			return true;
		if (s->autogroup == AG_INTERNET)
			return ipset_has(&s->ranges, &a->ip);
		break;
	case SEL_LITERAL:
		return ipset_has(&s->ranges, &a->ip);
	case SEL_USER:
	case SEL_DOMAIN:
	case SEL_GROUP:
	case SEL_TAG:
	case SEL_SERVICE:
	case SEL_BAD:
		break;
	}
	return a->node && sel_names(e, id, &a->node->n);
}

static bool is_source(const struct question *q, const struct rule *r, const struct end *src)
{
	bool in = false;

	for (size_t i = 0; !in && i < r->src.n; i++)
		in = addr_in(q->e, r->src.v[i], src, true);
	if (!in || r->postures.n == 0 || !src->node)
		return in;
	return q->attrs ? engine_postures_hold(q->e, &r->postures, q->attrs, q->n_attrs)
	                : engine_postures_hold(q->e, &r->postures, src->node->n.attrs,
	                                       src->node->n.n_attrs);
}

static bool proto_matches(int rule, int asked)
{
	bool usual = rule == 6 || rule == 17 || rule == 1 || rule == 58;

	return rule == -1 || (asked == -1 ? usual : rule == asked);
}

static bool ports_match(const struct question *q, const struct rule *r, const struct rule_dst *d)
{
	for (uint32_t i = 0; i < d->port_n; i++) {
		const struct port_range *p = &r->ports.v[d->port_first + i];

		if (proto_matches(p->proto, q->proto) && p->first <= q->port && q->port <= p->last)
			return true;
	}
	return false;
}

static bool is_destination(const struct question *q, const struct rule_dst *d,
                           const struct end *src, const struct end *dst)
{
	const struct sel *s = engine_sel(q->e, d->sel);

	if (s->kind == SEL_AUTO && s->autogroup == AG_SELF)
		return src->node && dst->node && src->node->owner &&
		       src->node->owner == dst->node->owner;
	return addr_in(q->e, d->sel, dst, false);
}

static bool reaches(const struct question *q, const struct end *src, const struct end *dst)
{
	vec_each(const struct rule *, r, &q->e->p->rules) {
		if (!is_source(q, r, src))
			continue;
		for (size_t i = 0; i < r->dst.n; i++)
			if (ports_match(q, r, &r->dst.v[i]) &&
			    is_destination(q, &r->dst.v[i], src, dst))
				return true;
	}
	return false;
}

/* Every source must reach some address of the destination. */
static bool all_reach(const struct question *q, const ends *src, const ends *dst)
{
	for (size_t i = 0; i < src->n; i++) {
		bool some = false;

		for (size_t k = 0; !some && k < dst->n; k++)
			some = reaches(q, &src->v[i], &dst->v[k]);
		if (!some)
			return false;
	}
	return true;
}

/* ---- one entry of tests ---- */

static bool destination_ends(struct run *x, struct span text, const ends *src, uint16_t *ret_port,
                             ends *to)
{
	const char *why = NULL;
	size_t colon = text.n;
	uint64_t port;
	uint32_t id;
	struct span host;

	for (size_t i = 0; i < text.n; i++)
		if (text.p[i] == ':')
			colon = i;
	host = span_first(text, colon);
	if (host.n > 2 && host.p[0] == '[' && host.p[host.n - 1] == ']')
		host = span(host.p + 1, host.n - 2);
	if (span_u64(span_from(text, colon + 1), 65535, &port) < 0)
		return entry_error(x, "a destination is host:port, with one port");
	id = test_sel(x, host, &why);
	if (id == POLICY_NONE)
		return entry_error(x, why);
	const struct sel *s = engine_sel(x->e, id);

	if (s->kind == SEL_ALL || (s->kind == SEL_AUTO && s->autogroup == AG_INTERNET) ||
	    (s->kind == SEL_LITERAL && (!is_single(s) || span_find(host, '/') < host.n)))
		return entry_error(x, "a destination must be a single host");
	*ret_port = (uint16_t)port;
	if (s->kind == SEL_LITERAL)
		vec_push(to,
		         ((struct end){ s->prefix.ip, engine_node_by_ip(x->e, &s->prefix.ip) }));
	else if (s->kind == SEL_AUTO && s->autogroup == AG_SELF)
		for (size_t i = 0; i < src->n; i++)
			vec_push(to, src->v[i]);
	else
		add_named(x->e, id, to);
	return true;
}

/* False: the entry is broken, and reported. */
static bool run_side(struct run *x, struct question *q, const struct policy_test *t,
                     const ends *src, bool accept)
{
	const struct spans *list = accept ? &t->accept : &t->deny;

	for (size_t i = 0; i < list->n; i++) {
		ends dst = { 0 };
		bool ok = destination_ends(x, list->v[i], src, &q->port, &dst);
		bool allowed = ok && all_reach(q, src, &dst);

		vec_done(&dst);
		if (!ok)
			return false;
		if (allowed != accept)
			fail(x, accept ? POL_TEST_ACCEPT : POL_TEST_DENY, list->v[i], NULL,
			     arena_fmt(&x->to->arena, "%.*s -> %.*s (%.*s): expected %s, got %s",
			               SPAN_FMT(t->src), SPAN_FMT(list->v[i]),
			               SPAN_FMT(t->proto_text.n ? t->proto_text : SPAN_LIT("any")),
			               accept ? "ALLOWED" : "DENIED",
			               allowed ? "ALLOWED" : "DENIED"));
	}
	return true;
}

static char *attr_value(struct arena *a, const struct js *v)
{
	if (v->kind == JS_BOOL)
		return arena_str(a, v->truth ? SPAN_LIT("true") : SPAN_LIT("false"));
	return arena_str(a, v->text);
}

static void set_attrs(struct run *x, struct question *q, const struct js *object)
{
	struct posture_attr *attrs = arena_new_n(&x->to->arena, struct posture_attr, object->n + 1);

	for (const struct js *m = js_first(object); m; m = m->next)
		attrs[q->n_attrs++] = (struct posture_attr){ arena_str(&x->to->arena, m->key),
			                                     attr_value(&x->to->arena, m) };
	q->attrs = attrs;
}

/* A broken entry counts once, as broken. */
static void keep_last(struct pol_test_report *r, size_t before)
{
	r->failures.v[before] = r->failures.v[r->failures.n - 1];
	r->failures.n = before + 1;
}

static void run_test(struct run *x, const struct policy_test *t)
{
	struct question q = { .e = x->e, .proto = t->proto };
	ends src = { 0 };
	size_t before = x->to->failures.n;

	if (t->accept.n == 0 && t->deny.n == 0)
		(void)entry_error(x, "accept and deny are both empty");
	else if (t->bad_proto || (t->proto >= 0 && !policy_proto_has_ports(t->proto) &&
	                          t->proto != 1 && t->proto != 58))
		(void)entry_error(x, "proto must be tcp, udp, sctp or icmp");
	else if (source_ends(x, t->src, &src)) {
		if (t->posture_attrs)
			set_attrs(x, &q, t->posture_attrs);
		if (!run_side(x, &q, t, &src, true) || !run_side(x, &q, t, &src, false))
			keep_last(x->to, before);
	}
	vec_done(&src);
}

/* ---- one entry of sshTests ---- */

static bool ssh_verdict_fits(const struct pol_ssh *rules, const struct end *src, struct span login,
                             enum pol_test_kind kind, const char **ret_got)
{
	char ip[IP_TEXT_MAX];
	const struct pol_ssh_rule *r = pol_ssh_match(rules, ip_text(&src->ip, ip), login);

	*ret_got = !r ? "DENIED" : r->check ? "ALLOWED via check" : "ALLOWED via accept";
	if (kind == POL_TEST_DENY)
		return !r;
	return r && r->check == (kind == POL_TEST_CHECK);
}

static void run_logins(struct run *x, const struct policy_ssh_test *t, const struct spans *logins,
                       enum pol_test_kind kind, const ends *src, const struct enode *dst,
                       const struct pol_ssh *rules)
{
	static const char *const wanted[] = { "ALLOWED via accept", "ALLOWED via check", "DENIED",
		                              "" };

	for (size_t i = 0; i < logins->n; i++)
		for (size_t k = 0; k < src->n; k++) {
			const char *got;

			if (ssh_verdict_fits(rules, &src->v[k], logins->v[i], kind, &got))
				continue;
			fail(x, kind, logins->v[i], dst->n.name,
			     arena_fmt(&x->to->arena, "%.*s/%.*s -> %s: expected %s, got %s",
			               SPAN_FMT(t->src), SPAN_FMT(logins->v[i]), dst->n.name,
			               wanted[kind], got));
			break;
		}
}

static bool ssh_destinations(struct run *x, struct span text, const ends *src, ends *to)
{
	const char *why = NULL;
	uint32_t id = test_sel(x, text, &why);

	if (id == POLICY_NONE)
		return entry_error(x, why);
	const struct sel *s = engine_sel(x->e, id);

	if (s->kind == SEL_LITERAL) {
		const struct enode *n = is_single(s) ? engine_node_by_ip(x->e, &s->prefix.ip)
		                                     : NULL;

		if (!n)
			return entry_error(x, "dst is no node's address");
		vec_push(to, ((struct end){ s->prefix.ip, n }));
	} else if (s->kind == SEL_AUTO && s->autogroup == AG_SELF) {
		for (size_t i = 0; i < src->n; i++)
			if (src->v[i].node && src->v[i].node->owner)
				vec_push(to, src->v[i]);
	} else {
		add_named(x->e, id, to);
	}
	return true;
}

static int by_node(const void *a, const void *b)
{
	const struct end *x = a, *y = b;

	return (x->node->n.id > y->node->n.id) - (x->node->n.id < y->node->n.id);
}

static void run_ssh_test(struct run *x, const struct policy_ssh_test *t)
{
	ends src = { 0 }, dst = { 0 };
	bool ok = true;

	if (t->accept.n + t->check.n + t->deny.n == 0)
		ok = entry_error(x, "accept, check and deny are all empty");
	else if (t->dst.n == 0)
		ok = entry_error(x, "dst must be specified");
	ok = ok && source_ends(x, t->src, &src);
	for (size_t i = 0; ok && i < t->dst.n; i++)
		ok = ssh_destinations(x, t->dst.v[i], &src, &dst);
	if (dst.n > 1)
		qsort(dst.v, dst.n, sizeof(*dst.v), by_node);
	for (size_t i = 0; ok && i < dst.n; i++) {
		struct pol_ssh rules = { 0 };

		if (i > 0 && dst.v[i].node == dst.v[i - 1].node)
			continue;
		pol_ssh_of(x->e, dst.v[i].node->n.id, &rules);
		run_logins(x, t, &t->accept, POL_TEST_ACCEPT, &src, dst.v[i].node, &rules);
		run_logins(x, t, &t->check, POL_TEST_CHECK, &src, dst.v[i].node, &rules);
		run_logins(x, t, &t->deny, POL_TEST_DENY, &src, dst.v[i].node, &rules);
		pol_ssh_done(&rules);
	}
	vec_done(&src);
	vec_done(&dst);
}

/* ---- all ---- */

void pol_run_tests(struct pol_engine *e, struct pol_test_report *ret)
{
	struct run x = { .e = e, .to = ret };

	pol_test_report_done(ret);
	for (size_t i = 0; i < e->p->tests.n; i++) {
		x.index = (unsigned)i;
		x.at = e->p->tests.v[i].at;
		run_test(&x, &e->p->tests.v[i]);
	}
	x.ssh = true;
	for (size_t i = 0; i < e->p->ssh_tests.n; i++) {
		x.index = (unsigned)i;
		x.at = e->p->ssh_tests.v[i].at;
		run_ssh_test(&x, &e->p->ssh_tests.v[i]);
	}
}

static void report_failures(const struct pol_test_report *r, struct policy_issues *issues)
{
	vec_each(const struct pol_test_failure *, f, &r->failures)
		policy_issue(issues, f->at, POLICY_TESTS_FAILED, "test(s) failed: %s[%u]: %s",
		             f->ssh ? "sshTests" : "tests", f->index, f->message);
}

int pol_accept(struct span text, const struct pol_tailnet *tailnet, struct pol_engine **ret,
               struct policy_issues *issues, struct pol_test_report *report)
{
	struct policy *p = NULL;
	struct pol_test_report local = { 0 }, *r = report ? report : &local;
	struct pol_change ignored;
	int err = policy_parse(text, &p, issues);

	if (err < 0)
		return err;
	AUTO(pol_engine_free) struct pol_engine *e = pol_engine_new(p);

	pol_engine_users(e, tailnet->users, tailnet->n_users, issues);
	for (size_t i = 0; i < tailnet->n_nodes; i++)
		pol_engine_put(e, &tailnet->nodes[i], &ignored);
	pol_run_tests(e, r);
	report_failures(r, issues);
	policy_issues_finish(issues, text, p->root);
	pol_test_report_done(&local);
	if (policy_issues_error(issues))
		return ERR_MALFORMED;
	*ret = TAKE(e);
	return 0;
}
