/* acls and grants. Both become rules: a destination has its own ports, or all share those of "ip".
 */
#include "base/err.h"
#include "coordinator/policy/parse.h"

/* A rule while its fields come in; they are put together when all are known. */
struct draft {
	const struct js *action, *proto, *src, *dst, *ip, *app, *via;
	struct ids postures;
};

#define KEEP(member)                                                              \
	static void keep_##member(struct px *x, const struct js *v, void *object) \
	{                                                                         \
		(void)x;                                                          \
		((struct draft *)object)->member = v;                             \
	}
KEEP(action)
KEEP(proto)
KEEP(src)
KEEP(dst)
KEEP(ip)
KEEP(app)
KEEP(via)

static void keep_postures(struct px *x, const struct js *v, void *object)
{
	px_posture_ids(x, v, &((struct draft *)object)->postures);
}

/* clang-format off */
static const struct px_field acl_fields[] = {
	{ "action",     NULL,    keep_action },
	{ "proto",      NULL,    keep_proto },
	{ "src",        "users", keep_src },
	{ "dst",        "ports", keep_dst },
	{ "srcPosture", NULL,    keep_postures },
};

static const struct px_field grant_fields[] = {
	{ "src",        NULL, keep_src },
	{ "dst",        NULL, keep_dst },
	{ "ip",         NULL, keep_ip },
	{ "app",        NULL, keep_app },
	{ "via",        NULL, keep_via },
	{ "srcPosture", NULL, keep_postures },
};
/* clang-format on */

/* ---- what both have ---- */

static void read_src(struct px *x, const struct js *v, void *object)
{
	px_ids_add(&((struct rule *)object)->src, px_sel(x, v->at, v->text, IN_SRC));
}

static bool self_source_ok(const struct rule *r, const struct sel *s)
{
	switch (s->kind) {
	case SEL_USER:
	case SEL_DOMAIN:
	case SEL_GROUP:
		return true;
	case SEL_AUTO:
		return s->autogroup != AG_TAGGED && s->autogroup != AG_DANGER_ALL &&
		       s->autogroup != AG_SHARED;
	case SEL_ALL:
		return r->is_acl;
	case SEL_TAG:
	case SEL_LITERAL:
	case SEL_SERVICE:
	case SEL_BAD:
		break;
	}
	return false;
}

/* autogroup:self means the devices of whoever asks, so the asker must be a person. */
static void check_self(struct px *x, const struct rule *r, const struct js *src)
{
	for (const struct js *m = js_first(src); r->has_self && m; m = m->next) {
		const char *why;
		uint32_t id = m->kind == JS_STRING ? policy_sel_find(x->p, m->text, &why)
		                                   : POLICY_NONE;

		if (id != POLICY_NONE && !self_source_ok(r, x->p->sels.v[id]))
			policy_issue(
				x->issues, m->at, POLICY_SELF_BAD_SOURCE,
				"\"%.*s\": autogroup:self can only be used with users, groups, or "
				"supported autogroups",
				SPAN_FMT(m->text));
	}
}

static void note_dst(struct rule *r, const struct sel *s)
{
	r->has_self |= s->kind == SEL_AUTO && s->autogroup == AG_SELF;
	r->internet |= s->internet;
}

static void finish(struct px *x, struct rule *r, struct draft *d)
{
	if (d->src)
		px_each(x, d->src, JS_STRING, read_src, r);
	if (d->src && d->src->kind == JS_ARRAY)
		check_self(x, r, d->src);
	r->postures = d->postures;
	if (r->postures.n == 0)
		for (size_t i = 0; i < x->p->default_postures.n; i++)
			px_ids_add(&r->postures, x->p->default_postures.v[i]);
	vec_push(&x->p->rules, *r);
}

/* ---- acls ---- */

struct acl_dst {
	struct rule *rule;
	int proto;
	struct span proto_text;
};

/* "tag:web:22" at its last colon, "[fd7a::1]:22", "[fd7a::]/64:22". False: reported. */
static bool split_dst(struct px *x, const struct js *v, struct span *ret_host,
                      struct span *ret_ports)
{
	struct span text = span_trim(v->text), host;
	size_t colon = text.n;

	for (size_t i = 0; i < text.n; i++)
		if (text.p[i] == ':')
			colon = i;
	if (colon == text.n) {
		policy_issue(x->issues, v->at, POLICY_DST_NO_COLON,
		             "\"%.*s\": hostport must contain a colon", SPAN_FMT(text));
		return false;
	}
	host = span_first(text, colon);
	*ret_ports = span_from(text, colon + 1);
	*ret_host = host;
	if (span_find(host, '[') == host.n && span_find(host, ']') == host.n)
		return true;
	size_t end = span_find(host, ']');
	struct ip ip;

	if (host.p[0] != '[' || end == host.n || ip_parse(span(host.p + 1, end - 1), &ip) < 0 ||
	    ip_is4(&ip) || (end + 1 < host.n && host.p[end + 1] != '/')) {
		policy_issue(x->issues, v->at, POLICY_BRACKETS,
		             "\"%.*s\": square brackets are only valid around IPv6 addresses",
		             SPAN_FMT(text));
		return false;
	}
	char *bare = arena_fmt(&x->p->arena, "%.*s%.*s", (int)end - 1, (const char *)host.p + 1,
	                       SPAN_FMT(span_from(host, end + 1)));

	*ret_host = span_str(bare);
	return true;
}

static void read_acl_dst(struct px *x, const struct js *v, void *object)
{
	struct acl_dst *a = object;
	struct rule *r = a->rule;
	struct px_ports ports = { r->ports.v, r->ports.n, r->ports.cap };
	struct span host, text;
	uint32_t sel;

	if (!split_dst(x, v, &host, &text))
		return;
	/* "autogroup:self" without ports: say so, not that "autogroup" is no host. */
	if (span_is(host, "autogroup") || span_is(host, "tag") || span_is(host, "group")) {
		policy_issue(x->issues, v->at, POLICY_PORT_SYNTAX,
		             "dst=\"%.*s\": port range \"%.*s\": invalid first integer",
		             SPAN_FMT(v->text), SPAN_FMT(text));
		return;
	}
	sel = px_sel(x, v->at, host, IN_DST);
	if (!px_port_list(x, v->at, text, a->proto, a->proto_text, &ports) || sel == POLICY_NONE) {
		r->ports.v = ports.v;
		r->ports.cap = ports.cap;
		return;
	}
	struct rule_dst d = { sel, (uint32_t)r->ports.n, (uint32_t)(ports.n - r->ports.n) };

	r->ports.v = ports.v;
	r->ports.n = ports.n;
	r->ports.cap = ports.cap;
	vec_push(&r->dst, d);
	note_dst(r, x->p->sels.v[sel]);
}

static void read_action(struct px *x, const struct js *v, const struct js *action)
{
	if (!action)
		policy_issue(x->issues, v->at, POLICY_ACTION,
		             "action must be specified: \"accept\"");
	else if (px_want(x, action, JS_STRING) && !span_is(action->text, "accept"))
		policy_issue(x->issues, action->at, POLICY_ACTION,
		             "action=\"%.*s\" is not supported", SPAN_FMT(action->text));
}

static void read_acl(struct px *x, const struct js *v, void *object)
{
	struct draft d = { 0 };
	struct rule r = { .at = v->at, .is_acl = true };
	struct acl_dst a = { .rule = &r, .proto = -1 };
	const char *why;

	(void)object;
	if (!px_object(x, v, acl_fields, ARRAY_LEN(acl_fields), PX_REFUSE_BUT_HASH, &d))
		return;
	read_action(x, v, d.action);
	if (d.proto && px_want(x, d.proto, JS_STRING)) {
		a.proto_text = d.proto->text;
		if (!policy_proto_parse(d.proto->text, &a.proto, &why))
			policy_issue(x->issues, d.proto->at, POLICY_PROTO, "proto=\"%.*s\": %s",
			             SPAN_FMT(d.proto->text), why);
	}
	if (d.dst)
		px_each(x, d.dst, JS_STRING, read_acl_dst, &a);
	finish(x, &r, &d);
}

void px_acls(struct px *x, const struct js *v)
{
	px_each(x, v, JS_OBJECT, read_acl, NULL);
}

/* ---- grants ---- */

static void read_ip(struct px *x, const struct js *v, void *object)
{
	struct px_ports *ports = object;
	struct span text = span_trim(v->text), proto_text = { 0 };
	size_t colon = span_find(text, ':');
	int proto = -1;
	const char *why;

	if (colon < text.n) {
		proto_text = span_first(text, colon);
		text = span_from(text, colon + 1);
		if (proto_text.n == 0 || !policy_proto_parse(proto_text, &proto, &why)) {
			policy_issue(x->issues, v->at, POLICY_PROTO, "\"%.*s\": %s",
			             SPAN_FMT(v->text), proto_text.n ? why : "protocol is empty");
			return;
		}
	}
	(void)px_port_list(x, v->at, text, proto, proto_text, ports);
}

static void read_grant_dst(struct px *x, const struct js *v, void *object)
{
	struct rule *r = object;
	uint32_t sel = px_sel(x, v->at, v->text, IN_DST);

	if (sel == POLICY_NONE)
		return;
	const struct sel *s = x->p->sels.v[sel];

	if (s->is_prefix && prefix_is_default(&s->prefix))
		policy_issue(x->issues, v->at, POLICY_DEFAULT_ROUTE_DST,
		             "dst \"%.*s\": to allow all IP addresses, use \"*\" or "
		             "\"autogroup:internet\"",
		             SPAN_FMT(v->text));
	if (r->app && s->kind == SEL_AUTO && s->autogroup == AG_INTERNET)
		policy_issue(x->issues, v->at, POLICY_APP_INTERNET,
		             "cannot use app grants with autogroup:internet");
	vec_push(&r->dst, ((struct rule_dst){ sel, 0, (uint32_t)r->ports.n }));
	note_dst(r, s);
}

static bool is_grantable(struct span cap)
{
	static const char *const names[] = { "drive", "relay",   "webui",  "kubernetes",
		                             "tsidp", "secrets", "golink", "tailsql" };
	struct span name = span_from(cap, strlen("tailscale.com/cap/"));

	for (size_t i = 0; span_starts(cap, "tailscale.com/cap/") && i < ARRAY_LEN(names); i++)
		if (span_is(name, names[i]))
			return true;
	return false;
}

static void check_cap(struct px *x, const struct js *m)
{
	size_t slash = span_find(m->key, '/'), colon = span_find(m->key, ':');

	if (slash == 0 || slash + 1 >= m->key.n || (colon < slash && colon + 1 == slash))
		policy_issue(x->issues, m->key_at, POLICY_CAP_FORM,
		             "\"%.*s\": capability name must have the form {domain}/{path}",
		             SPAN_FMT(m->key));
	else if ((span_starts(m->key, "tailscale.com/") || span_starts(m->key, "tailscale.io/")) &&
	         !is_grantable(m->key))
		policy_issue(x->issues, m->key_at, POLICY_CAP_RESERVED,
		             "\"%.*s\": capability name must not be in the tailscale.com domain",
		             SPAN_FMT(m->key));
	(void)px_want(x, m, JS_ARRAY);
}

static void read_app(struct px *x, const struct js *v, struct rule *r)
{
	if (!px_want(x, v, JS_OBJECT))
		return;
	for (const struct js *m = js_first(v); m; m = m->next)
		check_cap(x, m);
	if (v->n)
		r->app = v;
}

static void read_via(struct px *x, const struct js *v, void *object)
{
	px_ids_add(&((struct rule *)object)->via, px_sel(x, v->at, v->text, IN_VIA));
}

static void read_grant(struct px *x, const struct js *v, void *object)
{
	struct draft d = { 0 };
	struct rule r = { .at = v->at };
	struct px_ports ports = { 0 };

	(void)object;
	if (!px_object(x, v, grant_fields, ARRAY_LEN(grant_fields), PX_REFUSE, &d))
		return;
	if (d.ip)
		px_each(x, d.ip, JS_STRING, read_ip, &ports);
	r.ports.v = ports.v;
	r.ports.n = ports.n;
	r.ports.cap = ports.cap;
	if (d.app)
		read_app(x, d.app, &r);
	if ((!d.ip || d.ip->n == 0) && (!d.app || d.app->n == 0))
		policy_issue(x->issues, v->at, POLICY_GRANT_EMPTY,
		             "ip and app can not both be empty");
	if (d.dst)
		px_each(x, d.dst, JS_STRING, read_grant_dst, &r);
	if (d.via)
		px_each(x, d.via, JS_STRING, read_via, &r);
	finish(x, &r, &d);
}

void px_grants(struct px *x, const struct js *v)
{
	px_each(x, v, JS_OBJECT, read_grant, NULL);
}
