/* The SSH policy of one node. */
#include <stdlib.h>

#include "coordinator/policy/inner.h"

struct out {
	const struct pol_engine *e;
	const struct enode *n;
	struct pol_ssh *to;
	struct arena *a;
	const struct ssh_rule *rule;
	uint32_t set;
};

typedef VEC(const struct enode *) node_vec;

void pol_ssh_done(struct pol_ssh *s)
{
	vec_done(&s->rules);
	arena_done(&s->arena);
}

bool pol_has_ssh(const struct pol_engine *e)
{
	return e->p->ssh.n > 0;
}

/* ---- principals: by owner, then the tagged ones ---- */

static int by_owner(const void *a, const void *b)
{
	const struct enode *x = *(const struct enode *const *)a,
			   *y = *(const struct enode *const *)b;

	if (x->n.user != y->n.user)
		return x->n.user - 1 < y->n.user - 1 ? -1 : 1; /* 0, tagged, comes last */
	return (x->n.id > y->n.id) - (x->n.id < y->n.id);
}

static bool is_source(const struct out *o, const struct enode *n)
{
	return bit_get(n->class->listed, o->set);
}

static void collect_sources(const struct out *o, node_vec *to)
{
	for (struct map_node *m = map_first(&o->e->classes); m; m = map_next(&o->e->classes, m)) {
		struct eclass *c = CONTAINER_OF(m, struct eclass, by_bits);
		const struct enode *n;

		if (!bit_get(c->listed, o->set))
			continue;
		list_each(n, &c->members, in_class)
			vec_push(to, n);
	}
	if (to->n > 1)
		qsort(to->v, to->n, sizeof(*to->v), by_owner);
}

static void add_principals(struct out *o, struct pol_ssh_rule *r, const struct enode *const *nodes,
                           size_t n)
{
	struct src_list l = { .memory = o->a };

	for (size_t i = 0; i < n; i++)
		src_add_node(&l, nodes[i]);
	r->n_principals = l.v.n;
	r->principals = arena_dup(o->a, l.v.v, l.v.n * sizeof(*l.v.v));
	vec_done(&l.v);
}

/* ---- logins ---- */

static void base_logins(struct out *o, struct pol_ssh_rule *r)
{
	const struct ssh_rule *from = o->rule;
	struct pol_login *to = arena_new_n(o->a, struct pol_login, from->users.n + 2);
	size_t n = 0;
	bool root = false;

	for (size_t i = 0; i < from->users.n; i++)
		root |= span_is(from->users.v[i], "root");
	if (from->nonroot)
		to[n++] = (struct pol_login){ SPAN_LIT("*"), SPAN_LIT("=") };
	to[n++] = (struct pol_login){ SPAN_LIT("root"), root ? SPAN_LIT("root") : SPAN_LIT("") };
	for (size_t i = 0; i < from->users.n; i++)
		if (!span_is(from->users.v[i], "root"))
			to[n++] = (struct pol_login){ from->users.v[i], from->users.v[i] };
	r->logins = to;
	r->n_logins = n;
}

static struct pol_ssh_rule new_rule(struct out *o)
{
	const struct ssh_rule *from = o->rule;
	struct pol_ssh_rule r = { .check = from->action == SSH_CHECK,
		                  .check_period_us = from->check_period_us,
		                  .custom_period = from->custom_period,
		                  .n_accept_env = from->accept_env.n };

	r.accept_env = arena_dup(o->a, from->accept_env.v,
	                         from->accept_env.n * sizeof(*from->accept_env.v));
	base_logins(o, &r);
	return r;
}

/* A rule for these sources; nothing without any. */
static void add_rule(struct out *o, const struct enode *const *nodes, size_t n)
{
	struct pol_ssh_rule r;

	if (n == 0)
		return;
	r = new_rule(o);
	add_principals(o, &r, nodes, n);
	vec_push(&o->to->rules, r);
}

/* The part of the user's login before the @, if it is in a domain of the rule. */
static bool local_part(const struct out *o, uint64_t user, struct span *ret)
{
	const struct euser *u = engine_user(o->e, user);
	struct span email = u ? span_str(u->email) : (struct span){ 0 };
	size_t at = span_find(email, '@');

	for (size_t i = 0; at < email.n && i < o->rule->localparts.n; i++)
		if (span_eq_nocase(span_from(email, at + 1), o->rule->localparts.v[i])) {
			*ret = span_first(email, at);
			return true;
		}
	return false;
}

/* The base rule for one user's devices, and one for the login named like the user. */
static void add_user_rules(struct out *o, const struct enode *const *nodes, size_t n)
{
	struct span local;

	add_rule(o, nodes, n);
	if (n == 0 || nodes[0]->n.user == 0 || !local_part(o, nodes[0]->n.user, &local))
		return;
	struct pol_ssh_rule r = new_rule(o);

	local = span(arena_str(o->a, local), local.n);
	r.logins = arena_new(o->a, struct pol_login);
	r.logins[0] = (struct pol_login){ local, local };
	r.n_logins = 1;
	add_principals(o, &r, nodes, n);
	vec_push(&o->to->rules, r);
}

/* Runs over the sources, a user's devices at a time; tagged ones are one run. */
static void add_by_user(struct out *o, const node_vec *sources, uint64_t only)
{
	size_t i = 0;

	while (i < sources->n) {
		uint64_t user = sources->v[i]->n.user;
		size_t n = 1;

		while (i + n < sources->n && sources->v[i + n]->n.user == user)
			n++;
		if (only == 0 || user == only)
			add_user_rules(o, sources->v + i, n);
		i += n;
	}
}

/* ---- rules ---- */

static bool is_destination(const struct out *o)
{
	for (size_t i = 0; i < o->rule->dst.n; i++) {
		const struct sel *s = engine_sel(o->e, o->rule->dst.v[i]);

		if (!(s->kind == SEL_AUTO && s->autogroup == AG_SELF) &&
		    sel_names(o->e, o->rule->dst.v[i], &o->n->n))
			return true;
	}
	return false;
}

static bool has_self(const struct out *o)
{
	for (size_t i = 0; i < o->rule->dst.n; i++) {
		const struct sel *s = engine_sel(o->e, o->rule->dst.v[i]);

		if (s->kind == SEL_AUTO && s->autogroup == AG_SELF)
			return true;
	}
	return false;
}

static void add_self(struct out *o)
{
	node_vec own = { 0 };
	const struct enode *n;

	if (!o->n->owner)
		return;
	list_each(n, &o->n->owner->nodes, in_owner)
		if (is_source(o, n))
			vec_push(&own, n);
	if (own.n > 1)
		qsort(own.v, own.n, sizeof(*own.v), by_owner);
	if (o->rule->localparts.n)
		add_by_user(o, &own, 0);
	else
		add_rule(o, own.v, own.n);
	vec_done(&own);
}

static void one_rule(struct out *o)
{
	node_vec sources = { 0 };

	if (has_self(o))
		add_self(o);
	if (is_destination(o)) {
		collect_sources(o, &sources);
		if (o->rule->localparts.n)
			add_by_user(o, &sources, 0);
		else
			add_rule(o, sources.v, sources.n);
	} else if (o->rule->localparts.n && o->rule->dst.n && !has_self(o) && o->n->n.user &&
	           is_source(o, o->n)) {
		/* The hosted service sends a source its own user's rules; harmless, and expected.
		 */
		collect_sources(o, &sources);
		add_by_user(o, &sources, o->n->n.user);
	}
	vec_done(&sources);
}

void pol_ssh_of(const struct pol_engine *e, uint64_t id, struct pol_ssh *ret)
{
	struct out o = { .e = e, .n = engine_node(e, id), .to = ret, .a = &ret->arena };

	pol_ssh_done(ret);
	/* Check rules before the others, each in the order of the file. */
	for (unsigned pass = 0; o.n && pass < 2; pass++)
		for (size_t i = 0; i < e->p->ssh.n; i++) {
			o.rule = &e->p->ssh.v[i];
			o.set = e->ssh_set[i];
			if ((o.rule->action == SSH_CHECK) == (pass == 0))
				one_rule(&o);
		}
}

/* ---- asking ---- */

/* "" refuses; "*" speaks for logins that are not named. */
static bool lets_in(const struct pol_ssh_rule *r, struct span login)
{
	const struct pol_login *named = NULL, *any = NULL;

	for (size_t i = 0; i < r->n_logins; i++) {
		if (span_eq(r->logins[i].asked, login))
			named = &r->logins[i];
		if (span_is(r->logins[i].asked, "*"))
			any = &r->logins[i];
	}
	if (!named)
		named = any;
	return named && named->local.n > 0;
}

const struct pol_ssh_rule *pol_ssh_match(const struct pol_ssh *s, const char *principal,
                                         struct span login)
{
	vec_each(const struct pol_ssh_rule *, r, &s->rules) {
		if (!lets_in(r, login))
			continue;
		for (size_t i = 0; i < r->n_principals; i++)
			if (strcmp(r->principals[i], principal) == 0)
				return r;
	}
	return NULL;
}

bool pol_ssh_check_period(const struct pol_engine *e, uint64_t src, uint64_t dst, struct span login,
                          int64_t *ret_us, bool *ret_custom)
{
	const struct enode *n = engine_node(e, src);
	const struct pol_ssh_rule *found = NULL;
	struct pol_ssh rules = { 0 };
	char ip[IP_TEXT_MAX];

	if (!n)
		return false;
	pol_ssh_of(e, dst, &rules);
	if (ip_is4(&n->ip4))
		found = pol_ssh_match(&rules, ip_text(&n->ip4, ip), login);
	if (!found && !ip_is_zero(&n->n.ip6))
		found = pol_ssh_match(&rules, ip_text(&n->n.ip6, ip), login);
	if (found && found->check) {
		*ret_us = found->check_period_us;
		*ret_custom = found->custom_period;
	}
	bool check = found && found->check;

	pol_ssh_done(&rules);
	return check;
}

/* ---- text ---- */

/* server NULL: the short form, a word. */
static void write_action(struct js_wr *w, const struct pol_ssh_rule *r, const char *server)
{
	if (!server) {
		js_wr_str(w, r->check ? "check" : "accept");
		return;
	}
	js_wr_open(w, JS_OBJECT);
	if (r->check) {
		AUTO_DONE(buf) struct buf url = { 0 };

		buf_fmt(&url,
		        "%s/machine/ssh/action/$SRC_NODE_ID/to/$DST_NODE_ID?local_user=$LOCAL_USER",
		        server);
		js_wr_kv_str(w, "holdAndDelegate", buf_text(&url));
	} else {
		js_wr_kv_bool(w, "accept", true);
		js_wr_kv_bool(w, "allowAgentForwarding", true);
		js_wr_kv_bool(w, "allowLocalPortForwarding", true);
		js_wr_kv_bool(w, "allowRemotePortForwarding", true);
	}
	js_wr_close(w, JS_OBJECT);
}

static void write_principal(struct js_wr *w, const char *ip, const char *server)
{
	if (!server) {
		js_wr_str(w, ip);
		return;
	}
	js_wr_open(w, JS_OBJECT);
	js_wr_kv_str(w, "nodeIP", ip);
	js_wr_close(w, JS_OBJECT);
}

static void write_rule(struct js_wr *w, const struct pol_ssh_rule *r, const char *server)
{
	js_wr_open(w, JS_OBJECT);
	js_wr_key(w, "principals");
	js_wr_open(w, JS_ARRAY);
	for (size_t i = 0; i < r->n_principals; i++)
		write_principal(w, r->principals[i], server);
	js_wr_close(w, JS_ARRAY);
	js_wr_key(w, "sshUsers");
	js_wr_open(w, JS_OBJECT);
	for (size_t i = 0; i < r->n_logins; i++) {
		js_wr_key_span(w, r->logins[i].asked);
		js_wr_span(w, r->logins[i].local);
	}
	js_wr_close(w, JS_OBJECT);
	js_wr_key(w, "action");
	write_action(w, r, server);
	if (r->n_accept_env) {
		js_wr_key(w, "acceptEnv");
		js_wr_open(w, JS_ARRAY);
		for (size_t i = 0; i < r->n_accept_env; i++)
			js_wr_span(w, r->accept_env[i]);
		js_wr_close(w, JS_ARRAY);
	}
	js_wr_close(w, JS_OBJECT);
}

void pol_ssh_write(const struct pol_ssh *s, enum pol_form form, const char *server, struct js_wr *w)
{
	js_wr_open(w, JS_ARRAY);
	for (size_t i = 0; i < s->rules.n; i++)
		write_rule(w, &s->rules.v[i], form == POL_SHORT ? NULL : server);
	js_wr_close(w, JS_ARRAY);
}

void pol_ssh_json(const struct pol_ssh *s, const char *server, struct buf *out)
{
	struct js_wr w = js_wr_of(out);

	js_wr_open(&w, JS_OBJECT);
	js_wr_key(&w, "rules");
	pol_ssh_write(s, POL_WIRE, server, &w);
	js_wr_close(&w, JS_OBJECT);
}
