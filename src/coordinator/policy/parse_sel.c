/* Selectors: what a string names, and whether it may stand where it stands. */
#include "base/err.h"
#include "coordinator/policy/parse.h"

#define KIND(k) (1u << SEL_##k)
#define AG(a) (1u << AG_##a)

enum {
	ROLES = AG(OWNER) | AG(ADMIN) | AG(NETWORK_ADMIN) | AG(IT_ADMIN) | AG(BILLING_ADMIN) |
	        AG(AUDITOR),
	PEOPLE = KIND(USER) | KIND(GROUP) | KIND(TAG) | KIND(AUTO),
};

/* clang-format off */
static const struct {
	unsigned kinds, autogroups;
	enum policy_code code; /* for a kind that may not stand here */
} PLACES[] = {
	[IN_SRC]      = { PEOPLE | KIND(ALL) | KIND(DOMAIN) | KIND(LITERAL),
			  AG(MEMBER) | AG(TAGGED) | AG(DANGER_ALL) | AG(SHARED) | ROLES, POLICY_BAD_SELECTOR },
	[IN_DST]      = { PEOPLE | KIND(ALL) | KIND(DOMAIN) | KIND(LITERAL) | KIND(SERVICE),
			  AG(MEMBER) | AG(TAGGED) | AG(SELF) | AG(INTERNET) | ROLES, POLICY_BAD_SELECTOR },
	[IN_SSH_SRC]  = { PEOPLE | KIND(DOMAIN), AG(MEMBER) | AG(TAGGED), POLICY_SSH_BAD_SRC },
	[IN_SSH_DST]  = { KIND(USER) | KIND(TAG) | KIND(AUTO),
			  AG(SELF) | AG(MEMBER) | AG(TAGGED), POLICY_SSH_BAD_DST },
	[IN_TARGET]   = { PEOPLE | KIND(ALL) | KIND(DOMAIN) | KIND(LITERAL),
			  AG(MEMBER) | AG(TAGGED) | ROLES, POLICY_NODEATTR_TARGET },
	[IN_OWNER]    = { PEOPLE, AG(MEMBER) | AG(TAGGED) | ROLES, POLICY_OWNER },
	[IN_APPROVER] = { PEOPLE, AG(MEMBER) | AG(TAGGED) | ROLES, POLICY_APPROVER },
	[IN_VIA]      = { KIND(TAG), 0, POLICY_VIA_NOT_TAG },
	[IN_TEST]     = { PEOPLE | KIND(LITERAL) | KIND(SERVICE), AG(MEMBER) | AG(TAGGED) | AG(SELF) | ROLES,
			  POLICY_BAD_SELECTOR },
};

static const char *const AUTOGROUP_TEXTS[] = {
#define X(name, text) text,
	POLICY_AUTOGROUPS(X)
#undef X
};
/* clang-format on */

void policy_internet(struct ipset *ret)
{
	static const char *const private[] = { "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16",
		                               "169.254.0.0/16", "100.64.0.0/10" };
	struct prefix all4 = { ip4(0, 0, 0, 0), 0 };
	struct prefix global6 = { { { 0x20 } }, 3 };
	AUTO_DONE(ipset) struct ipset minus = { 0 };

	ipset_add_prefix(ret, &all4);
	ipset_add_prefix(ret, &global6);
	ipset_seal(ret);
	for (size_t i = 0; i < ARRAY_LEN(private); i++) {
		struct iprange r;

		if (iprange_parse(span_str(private[i]), &r) == 0)
			ipset_add_range(&minus, &r);
	}
	ipset_seal(&minus);
	ipset_subtract(ret, &minus);
}

/* ---- classification ---- */

/* Why a selector was refused: a code and a sentence in the policy's arena. */
struct refusal {
	enum policy_code code;
	const char *why;
};

static bool refuse(struct refusal *f, enum policy_code code, const char *why)
{
	f->code = code;
	f->why = why;
	return false;
}

static bool classify_autogroup(struct policy *p, struct sel *s, struct refusal *f)
{
	struct span name = span_from(s->text, strlen("autogroup:"));

	s->kind = SEL_AUTO;
	for (size_t i = 0; i < ARRAY_LEN(AUTOGROUP_TEXTS); i++)
		if (span_is(name, AUTOGROUP_TEXTS[i])) {
			s->autogroup = (enum autogroup)i;
			s->internet = i == AG_INTERNET;
			if (i == AG_INTERNET)
				policy_internet(&s->ranges);
			return true;
		}
	return refuse(f, POLICY_AUTOGROUP_UNKNOWN,
	              arena_fmt(&p->arena, "autogroup not known: \"%.*s\"", SPAN_FMT(s->text)));
}

static bool classify_group(struct policy *p, struct sel *s, struct refusal *f)
{
	s->kind = SEL_GROUP;
	s->group = POLICY_NONE;
	for (size_t i = 0; i < p->groups.n; i++)
		if (span_eq(p->groups.v[i].name, s->text))
			s->group = (uint32_t)i;
	if (s->group != POLICY_NONE) {
		p->groups.v[s->group].used = true;
		return true;
	}
	/* Groups of the directory live outside the file. */
	if (span_find(s->text, '@') < s->text.n)
		return true;
	return refuse(
		f, POLICY_GROUP_UNDEFINED,
		arena_fmt(&p->arena, "group not defined in policy: \"%.*s\"", SPAN_FMT(s->text)));
}

static bool classify_tag(struct policy *p, struct sel *s, struct refusal *f)
{
	struct tag_def *t = policy_tag(p, s->text);

	s->kind = SEL_TAG;
	if (t) {
		t->used = true;
		return true;
	}
	return refuse(f, POLICY_TAG_UNDEFINED,
	              arena_fmt(&p->arena, "tag not found: \"%.*s\"", SPAN_FMT(s->text)));
}

static bool classify_ipset(struct policy *p, struct sel *s, struct refusal *f)
{
	struct ipset_def *d = policy_ipset(p, s->text);

	s->kind = SEL_LITERAL;
	if (!d)
		return refuse(f, POLICY_IPSET_UNDEFINED,
		              arena_fmt(&p->arena, "ipset not defined in policy: \"%.*s\"",
		                        SPAN_FMT(s->text)));
	d->used = true;
	s->internet = d->internet;
	ipset_add_set(&s->ranges, &d->result);
	return true;
}

static void set_prefix(struct sel *s, const struct prefix *prefix)
{
	s->kind = SEL_LITERAL;
	s->prefix = prefix_masked(*prefix);
	s->is_prefix = true;
	s->internet = prefix->bits == 0;
	ipset_add_prefix(&s->ranges, &s->prefix);
	ipset_seal(&s->ranges);
}

static bool classify_host(struct policy *p, struct sel *s, struct refusal *f)
{
	const struct host *h = policy_host(p, s->text);

	if (s->text.n == 0 || span_find(s->text, ':') < s->text.n)
		return refuse(
			f, POLICY_BAD_SELECTOR,
			arena_fmt(&p->arena, "invalid alias format: \"%.*s\"", SPAN_FMT(s->text)));
	if (!h)
		return refuse(f, POLICY_HOST_UNDEFINED,
		              arena_fmt(&p->arena, "host not defined in policy: \"%.*s\"",
		                        SPAN_FMT(s->text)));
	set_prefix(s, &h->prefix);
	return true;
}

static bool classify_user(struct policy *p, struct sel *s, struct refusal *f)
{
	s->kind = SEL_USER;
	s->name = s->text;
	if (span_starts(s->text, "user:") && !span_starts(s->text, "user:*@"))
		return refuse(f, POLICY_BAD_SELECTOR,
		              arena_fmt(&p->arena, "only user:*@DOMAIN stands for users: \"%.*s\"",
		                        SPAN_FMT(s->text)));
	if (span_starts(s->text, "user:*@")) {
		s->kind = SEL_DOMAIN;
		s->name = span_from(s->text, strlen("user:*@"));
	} else if (span_ends(s->text, "@")) {
		s->name = span_first(s->text, s->text.n - 1);
	}
	return true;
}

static bool classify(struct policy *p, struct sel *s, struct refusal *f)
{
	struct prefix prefix;

	s->name = s->text;
	if (prefix_parse(s->text, &prefix) == 0) {
		set_prefix(s, &prefix);
		return true;
	}
	if (span_is(s->text, "*")) {
		s->kind = SEL_ALL;
		s->internet = true;
		return true;
	}
	if (span_starts(s->text, "group:"))
		return classify_group(p, s, f);
	if (span_find(s->text, '@') < s->text.n)
		return classify_user(p, s, f);
	if (span_starts(s->text, "tag:"))
		return classify_tag(p, s, f);
	if (span_starts(s->text, "autogroup:"))
		return classify_autogroup(p, s, f);
	if (span_starts(s->text, "ipset:"))
		return classify_ipset(p, s, f);
	if (span_starts(s->text, "svc:")) {
		s->kind = SEL_SERVICE;
		return true;
	}
	return classify_host(p, s, f);
}

static uint32_t find_known(const struct policy *p, struct span text)
{
	uint64_t h = map_hash(&p->sel_by_text, text.p, text.n);

	for (struct map_node *n = map_find(&p->sel_by_text, h); n; n = map_again(n)) {
		const struct sel *s = CONTAINER_OF(n, struct sel, by_text);

		if (span_eq(s->text, text))
			return s->index;
	}
	return POLICY_NONE;
}

static uint32_t find_or_add(struct policy *p, struct span text, struct refusal *f)
{
	uint32_t known;

	text = span_trim(text);
	if (span_is(text, "autogroup:members"))
		text = SPAN_LIT("autogroup:member");
	known = find_known(p, text);
	if (known != POLICY_NONE)
		return known;
	struct sel *s = arena_new(&p->arena, struct sel);

	s->text = span(arena_str(&p->arena, text), text.n);
	if (!classify(p, s, f)) {
		ipset_done(&s->ranges);
		return POLICY_NONE;
	}
	s->index = (uint32_t)p->sels.n;
	vec_push(&p->sels, s);
	map_insert(&p->sel_by_text, &s->by_text, map_hash(&p->sel_by_text, text.p, text.n));
	return s->index;
}

uint32_t policy_sel_find(struct policy *p, struct span text, const char **ret_why)
{
	struct refusal f = { 0 };
	uint32_t id = find_or_add(p, text, &f);

	*ret_why = f.why;
	return id;
}

/* ---- places ---- */

static void note_spelling(struct px *x, size_t at, struct span text)
{
	bool one = span_is(text, "autogroup:member"), many = span_is(text, "autogroup:members");

	if ((one && x->saw_members) || (many && x->saw_member))
		policy_issue(x->issues, at, POLICY_AUTOGROUP_UNKNOWN,
		             "autogroup:member and autogroup:members are the same group: use one "
		             "spelling");
	x->saw_member |= one;
	x->saw_members |= many;
}

static void report_unknown(struct px *x, size_t at, struct span text, enum sel_place place,
                           const struct refusal *f)
{
	if (place == IN_VIA && f->code == POLICY_TAG_UNDEFINED)
		policy_issue(x->issues, at, f->code, "tag \"%.*s\" not found", SPAN_FMT(text));
	else if (place == IN_VIA)
		policy_issue(x->issues, at, POLICY_VIA_NOT_TAG,
		             "via can only be a tag, not \"%.*s\"", SPAN_FMT(text));
	else if (f->code == POLICY_TAG_UNDEFINED && place == IN_SRC)
		policy_issue(x->issues, at, f->code, "src=%s", f->why);
	else if (f->code == POLICY_TAG_UNDEFINED && place == IN_DST)
		policy_issue(x->issues, at, f->code, "dst=\"%.*s\": %s", SPAN_FMT(text), f->why);
	else if (place == IN_TARGET &&
	         (f->code == POLICY_HOST_UNDEFINED || f->code == POLICY_BAD_SELECTOR))
		policy_issue(x->issues, at, POLICY_NODEATTR_TARGET, "\"%.*s\": invalid address",
		             SPAN_FMT(text));
	else
		policy_issue(x->issues, at, f->code, "%s", f->why);
}

static void report_autogroup(struct px *x, size_t at, const struct sel *s, enum sel_place place)
{
	static const char *const sides[] = {
		[IN_SRC] = "on the src side of a rule",
		[IN_DST] = "on the dst side of a rule",
		[IN_SSH_SRC] = "as src of an SSH rule",
		[IN_SSH_DST] = "as dst of an SSH rule",
		[IN_TARGET] = "as a nodeAttrs target",
		[IN_OWNER] = "as a tag owner",
		[IN_APPROVER] = "as an approver",
		[IN_VIA] = "in via",
		[IN_TEST] = "in a test",
	};

	if (s->autogroup == AG_DANGER_ALL && place == IN_DST)
		policy_issue(x->issues, at, POLICY_AUTOGROUP_NOT_HERE,
		             "cannot use autogroup:danger-all as a dst");
	else
		policy_issue(x->issues, at, POLICY_AUTOGROUP_NOT_HERE, "\"%.*s\" not valid %s",
		             SPAN_FMT(s->text), sides[place]);
}

static void report_kind(struct px *x, size_t at, const struct sel *s, enum sel_place place)
{
	static const char *const formats[] = {
		[IN_SRC] = "\"%.*s\" cannot be a src",
		[IN_DST] = "\"%.*s\" cannot be a dst",
		[IN_SSH_SRC] = "invalid src \"%.*s\"",
		[IN_SSH_DST] = "invalid dst \"%.*s\"",
		[IN_TARGET] = "\"%.*s\": invalid target",
		[IN_OWNER] = "\"%.*s\" is not a user, group, tag or autogroup",
		[IN_APPROVER] = "\"%.*s\" is not a user, group, tag or autogroup",
		[IN_VIA] = "via can only be a tag, not \"%.*s\"",
		[IN_TEST] = "\"%.*s\" cannot be in a test",
	};

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	policy_issue(x->issues, at, PLACES[place].code, formats[place], SPAN_FMT(s->text));
#pragma GCC diagnostic pop
}

uint32_t px_sel(struct px *x, size_t at, struct span text, enum sel_place place)
{
	struct refusal f = { 0 };
	uint32_t id;

	text = span_trim(text);
	note_spelling(x, at, text);
	id = find_or_add(x->p, text, &f);
	if (id == POLICY_NONE) {
		report_unknown(x, at, text, place, &f);
		return POLICY_NONE;
	}
	struct sel *s = x->p->sels.v[id];

	if (s->at == 0)
		s->at = at;
	if (!(PLACES[place].kinds >> s->kind & 1)) {
		report_kind(x, at, s, place);
		return POLICY_NONE;
	}
	if (s->kind == SEL_AUTO && !(PLACES[place].autogroups >> s->autogroup & 1)) {
		report_autogroup(x, at, s, place);
		return POLICY_NONE;
	}
	return id;
}
