/* Definitions: groups, hosts, ipsets, tagOwners, postures. */
#include "base/err.h"
#include "coordinator/policy/parse.h"

/* ---- groups ---- */

static bool read_member(struct px *x, const struct group *g, const struct js *m, struct span *ret)
{
	struct span text = span_trim(m->text);

	if (m->kind != JS_STRING) {
		(void)px_want(x, m, JS_STRING);
		return false;
	}
	if (span_starts(text, "group:")) {
		policy_issue(x->issues, m->at, POLICY_GROUP_NESTED,
		             "groups[\"%.*s\"]: \"%.*s\": group members cannot be recursive",
		             SPAN_FMT(g->name), SPAN_FMT(text));
		return false;
	}
	if (span_find(text, '@') == text.n) {
		policy_issue(x->issues, m->at, POLICY_USER_FORMAT,
		             "groups[\"%.*s\"]: \"%.*s\": username must contain @",
		             SPAN_FMT(g->name), SPAN_FMT(text));
		return false;
	}
	*ret = span_ends(text, "@") ? span_first(text, text.n - 1) : text;
	return true;
}

void px_groups(struct px *x, const struct js *v)
{
	if (!px_want(x, v, JS_OBJECT))
		return;
	px_refuse_dup(x, v);
	for (const struct js *m = js_first(v); m; m = m->next) {
		struct group g = { .name = m->key, .at = m->key_at };

		if (!span_starts(m->key, "group:") || m->key.n == strlen("group:")) {
			policy_issue(
				x->issues, m->key_at, POLICY_GROUP_NAME,
				"\"%.*s\": a group's name begins with group:", SPAN_FMT(m->key));
			continue;
		}
		if (m->kind != JS_ARRAY && m->kind != JS_NULL) {
			policy_issue(x->issues, m->at, POLICY_GROUP_VALUE,
			             "groups[\"%.*s\"]: expected an array of users, found %s",
			             SPAN_FMT(m->key), px_kind_text(m->kind));
			continue;
		}
		g.members = arena_new_n(&x->p->arena, struct span, m->n + 1);
		for (const struct js *e = js_first(m); e; e = e->next)
			if (read_member(x, &g, e, &g.members[g.n]))
				g.n++;
		if (m->n == 0)
			policy_warning(x->issues, m->key_at, POLICY_EMPTY_GROUP,
			               "\"%.*s\" has no members", SPAN_FMT(m->key));
		vec_push(&x->p->groups, g);
	}
}

/* ---- hosts ---- */

const struct host *policy_host(const struct policy *p, struct span name)
{
	uint64_t h = map_hash(&p->host_by_name, name.p, name.n);

	for (struct map_node *n = map_find(&p->host_by_name, h); n; n = map_again(n)) {
		struct host *host = CONTAINER_OF(n, struct host, by_name);

		if (span_eq(host->name, name)) {
			host->used = true;
			return host;
		}
	}
	return NULL;
}

static bool read_host(struct px *x, const struct js *m, struct host *ret)
{
	if (m->key.n == 0 || span_find(m->key, '@') < m->key.n ||
	    span_find(m->key, ':') < m->key.n) {
		policy_issue(x->issues, m->key_at, POLICY_HOST_NAME,
		             "\"%.*s\": a host's name has no @ and no :", SPAN_FMT(m->key));
		return false;
	}
	if (!px_want(x, m, JS_STRING))
		return false;
	if (prefix_parse(span_trim(m->text), &ret->prefix) < 0) {
		policy_issue(x->issues, m->at, POLICY_HOST_VALUE,
		             "hosts[\"%.*s\"]: \"%.*s\" is no IP address or CIDR", SPAN_FMT(m->key),
		             SPAN_FMT(m->text));
		return false;
	}
	struct prefix masked = prefix_masked(ret->prefix);

	if (!prefix_eq(&masked, &ret->prefix))
		policy_warning(x->issues, m->at, POLICY_HOST_BITS,
		               "hosts[\"%.*s\"]: \"%.*s\" has bits beyond its mask",
		               SPAN_FMT(m->key), SPAN_FMT(m->text));
	ret->prefix = masked;
	ret->name = m->key;
	ret->at = m->key_at;
	return true;
}

void px_hosts(struct px *x, const struct js *v)
{
	struct policy *p = x->p;

	if (!px_want(x, v, JS_OBJECT))
		return;
	px_refuse_dup(x, v);
	p->hosts = arena_new_n(&p->arena, struct host, v->n + 1);
	for (const struct js *m = js_first(v); m; m = m->next) {
		struct host *h = &p->hosts[p->n_hosts];

		if (m->kind == JS_NULL || !read_host(x, m, h))
			continue;
		map_insert(&p->host_by_name, &h->by_name,
		           map_hash(&p->host_by_name, h->name.p, h->name.n));
		p->n_hosts++;
	}
}

/* ---- ipsets ---- */

struct ipset_def *policy_ipset(const struct policy *p, struct span name)
{
	vec_each(struct ipset_def *, d, &p->ipsets)
		if (span_eq(d->name, name))
			return d;
	return NULL;
}

enum { IPSET_DEPTH_MAX = 32 };

static void build_ipset(struct px *x, struct ipset_def *d, unsigned depth);

/* What one element speaks of. False: reported. */
static bool operand(struct px *x, const struct js *e, struct span name, unsigned depth,
                    struct ipset *ret, bool *ret_internet)
{
	struct prefix prefix;
	struct ipset_def *other;
	const struct host *h = policy_host(x->p, name);

	if (h)
		prefix = h->prefix;
	if (h || prefix_parse(name, &prefix) == 0) {
		ipset_add_prefix(ret, &prefix);
		ipset_seal(ret);
		return true;
	}
	if (span_is(name, "autogroup:internet")) {
		policy_internet(ret);
		*ret_internet = true;
		return true;
	}
	other = policy_ipset(x->p, name);
	if (!other) {
		policy_issue(x->issues, e->at, POLICY_IPSET_MEMBER,
		             "\"%.*s\" is no IP address, CIDR, host, ipset or autogroup:internet",
		             SPAN_FMT(name));
		return false;
	}
	other->used = true;
	if (other->state == IPSET_BUSY || depth == IPSET_DEPTH_MAX) {
		policy_issue(x->issues, e->at, POLICY_IPSET_CYCLE, "\"%.*s\" contains itself",
		             SPAN_FMT(name));
		return false;
	}
	build_ipset(x, other, depth + 1);
	ipset_add_set(ret, &other->result);
	*ret_internet = other->internet;
	return true;
}

static void apply_element(struct px *x, struct ipset_def *d, const struct js *e, unsigned depth)
{
	AUTO_DONE(ipset) struct ipset set = { 0 };
	struct span rest = span_trim(e->text), word, name;
	bool internet = false, removes = false;

	if (!px_want(x, e, JS_STRING))
		return;
	if (!span_word(&rest, &word)) {
		policy_issue(x->issues, e->at, POLICY_IPSET_OP, "an element of an ipset is empty");
		return;
	}
	name = span_trim(rest);
	if (name.n == 0) {
		name = word;
	} else if (span_is(word, "remove")) {
		removes = true;
	} else if (!span_is(word, "add")) {
		policy_issue(x->issues, e->at, POLICY_IPSET_OP,
		             "\"%.*s\": expected add or remove and one address set",
		             SPAN_FMT(e->text));
		return;
	}
	if (!operand(x, e, name, depth, &set, &internet))
		return;
	if (removes) {
		ipset_subtract(&d->result, &set);
		return;
	}
	d->internet |= internet;
	ipset_add_set(&d->result, &set);
	ipset_seal(&d->result);
}

static void build_ipset(struct px *x, struct ipset_def *d, unsigned depth)
{
	if (d->state == IPSET_READY)
		return;
	d->state = IPSET_BUSY;
	for (const struct js *e = js_first(d->ops); e; e = e->next)
		apply_element(x, d, e, depth);
	d->state = IPSET_READY;
}

void px_ipsets(struct px *x, const struct js *v)
{
	if (!px_want(x, v, JS_OBJECT))
		return;
	px_refuse_dup(x, v);
	for (const struct js *m = js_first(v); m; m = m->next) {
		struct ipset_def d = { .name = m->key, .at = m->key_at, .ops = m };

		if (!span_starts(m->key, "ipset:") || m->key.n == strlen("ipset:"))
			policy_issue(
				x->issues, m->key_at, POLICY_IPSET_NAME,
				"\"%.*s\": an ipset's name begins with ipset:", SPAN_FMT(m->key));
		else if (m->kind != JS_NULL && px_want(x, m, JS_ARRAY))
			vec_push(&x->p->ipsets, d);
	}
	vec_each(struct ipset_def *, d, &x->p->ipsets)
		build_ipset(x, d, 0);
}

/* ---- tags ---- */

struct tag_def *policy_tag(const struct policy *p, struct span name)
{
	uint64_t h = map_hash(&p->tag_by_name, name.p, name.n);

	for (struct map_node *n = map_find(&p->tag_by_name, h); n; n = map_again(n)) {
		struct tag_def *t = CONTAINER_OF(n, struct tag_def, by_name);

		if (span_eq(t->name, name))
			return t;
	}
	return NULL;
}

static bool is_letter(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool tag_name_ok(struct px *x, const struct js *m)
{
	struct span name = span_from(m->key, strlen("tag:"));

	if (!span_starts(m->key, "tag:")) {
		policy_issue(
			x->issues, m->key_at, POLICY_TAG_NAME,
			"tagOwners[\"%.*s\"]: a tag's name begins with tag:", SPAN_FMT(m->key));
		return false;
	}
	if (name.n == 0 || !is_letter(name.p[0])) {
		policy_issue(
			x->issues, m->key_at, POLICY_TAG_NAME,
			"tagOwners[\"%.*s\"]: tag names must start with a letter, after 'tag:'",
			SPAN_FMT(m->key));
		return false;
	}
	for (size_t i = 0; i < name.n; i++) {
		uint8_t c = name.p[i];

		if (is_letter(c) || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_')
			continue;
		policy_issue(x->issues, m->key_at, POLICY_TAG_NAME,
		             "tagOwners[\"%.*s\"]: a tag's name has letters, digits and - only",
		             SPAN_FMT(m->key));
		return false;
	}
	return true;
}

/* Names first: a tag may be owned by one that stands further down. */
void px_tags_declare(struct px *x, const struct js *v)
{
	struct policy *p = x->p;

	if (!px_want(x, v, JS_OBJECT))
		return;
	px_refuse_dup(x, v);
	p->tags = arena_new_n(&p->arena, struct tag_def, v->n + 1);
	for (const struct js *m = js_first(v); m; m = m->next) {
		struct tag_def *t = &p->tags[p->n_tags];

		if (!tag_name_ok(x, m))
			continue;
		t->name = m->key;
		t->at = m->key_at;
		map_insert(&p->tag_by_name, &t->by_name,
		           map_hash(&p->tag_by_name, t->name.p, t->name.n));
		p->n_tags++;
	}
}

static void read_owner(struct px *x, const struct js *v, void *object)
{
	px_ids_add(object, px_sel(x, v->at, v->text, IN_OWNER));
}

void px_tags_owners(struct px *x, const struct js *v)
{
	for (const struct js *m = js_first(v); m; m = m->next) {
		struct tag_def *t = policy_tag(x->p, m->key);

		if (t && m->kind != JS_NULL)
			px_each(x, m, JS_STRING, read_owner, &t->owners);
	}
}

/* ---- postures ---- */

static void read_assertions(struct px *x, const struct js *v, struct posture_def *d)
{
	d->checks = arena_new_n(&x->p->arena, struct posture_check, v->n + 1);
	for (const struct js *e = js_first(v); e; e = e->next) {
		const char *why = NULL;

		if (!px_want(x, e, JS_STRING))
			continue;
		if (posture_parse(&x->p->arena, e->text, &d->checks[d->n], &why) < 0)
			policy_issue(x->issues, e->at, POLICY_POSTURE_SYNTAX, "\"%.*s\": %s",
			             SPAN_FMT(e->text), why);
		else
			d->n++;
	}
}

static void read_assertions_field(struct px *x, const struct js *v, void *object)
{
	if (px_want(x, v, JS_ARRAY))
		read_assertions(x, v, object);
}

/* What a person is told who fails; shown by clients of the vendor, kept for them. */
static void read_on_failure(struct px *x, const struct js *v, void *object)
{
	(void)object;
	(void)px_want(x, v, JS_OBJECT);
}

static const struct px_field posture_fields[] = {
	{ "assertions", NULL, read_assertions_field },
	{ "onFailure", NULL, read_on_failure },
};

void px_postures(struct px *x, const struct js *v)
{
	if (!px_want(x, v, JS_OBJECT))
		return;
	px_refuse_dup(x, v);
	for (const struct js *m = js_first(v); m; m = m->next) {
		struct posture_def d = { .name = m->key, .at = m->key_at };

		if (!span_starts(m->key, "posture:") || m->key.n == strlen("posture:")) {
			policy_issue(x->issues, m->key_at, POLICY_POSTURE_NAME,
			             "\"%.*s\": a posture's name begins with posture:",
			             SPAN_FMT(m->key));
			continue;
		}
		if (m->kind == JS_OBJECT)
			(void)px_object(x, m, posture_fields, ARRAY_LEN(posture_fields), PX_REFUSE,
			                &d);
		else if (px_want(x, m, JS_ARRAY))
			read_assertions(x, m, &d);
		vec_push(&x->p->postures, d);
	}
}

static void read_posture_name(struct px *x, const struct js *v, void *object)
{
	struct span name = span_trim(v->text);

	for (size_t i = 0; i < x->p->postures.n; i++)
		if (span_eq(x->p->postures.v[i].name, name)) {
			x->p->postures.v[i].used = true;
			px_ids_add(object, (uint32_t)i);
			return;
		}
	policy_issue(x->issues, v->at, POLICY_POSTURE_UNDEFINED,
	             "posture not defined in policy: \"%.*s\"", SPAN_FMT(name));
}

void px_posture_ids(struct px *x, const struct js *v, void *ids)
{
	px_each(x, v, JS_STRING, read_posture_name, ids);
}

void px_default_postures(struct px *x, const struct js *v)
{
	px_posture_ids(x, v, &x->p->default_postures);
}
