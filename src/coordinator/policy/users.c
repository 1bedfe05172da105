/* The users of the tailnet, and which of them a selector means. */
#include <stdlib.h>

#include "coordinator/policy/inner.h"

void engine_free_users(struct pol_engine *e)
{
	vec_each(struct euser *, u, &e->users) {
		free(u->name);
		free(u->email);
		free(u->subject);
		for (size_t i = 0; i < u->n_groups; i++)
			free(u->groups[i]);
		free(u->groups);
	}
	vec_done(&e->users);
	map_done(&e->user_by_id);
	map_init(&e->user_by_id);
}

/* Every text a user may be named by. */
struct token {
	struct map_node by_text;
	const char *text;
	uint64_t user;
	bool subject;
};

struct tokens {
	struct arena arena;
	struct map map;
};

static void add_token(struct tokens *t, const char *text, uint64_t user, bool subject)
{
	if (!text || !*text)
		return;
	struct token *k = arena_new(&t->arena, struct token);

	*k = (struct token){ .text = text, .user = user, .subject = subject };
	map_insert(&t->map, &k->by_text, map_hash(&t->map, text, strlen(text)));
}

/* 0: nobody. A subject goes before names; two users at one level are ambiguous. */
static uint64_t find_user(const struct tokens *t, struct span text, bool *ret_ambiguous)
{
	uint64_t by_subject = 0, by_name = 0;
	bool many = false;

	for (struct map_node *m = map_find(&t->map, map_hash(&t->map, text.p, text.n)); m;
	     m = map_again(m)) {
		const struct token *k = CONTAINER_OF(m, struct token, by_text);
		uint64_t *slot = k->subject ? &by_subject : &by_name;

		if (!span_is(text, k->text) || *slot == k->user)
			continue;
		many |= *slot != 0;
		*slot = k->user;
	}
	*ret_ambiguous = many;
	return by_subject ? by_subject : by_name;
}

struct resolve {
	struct pol_engine *e;
	struct tokens tokens;
	struct policy_issues *issues;
};

static void add_named(struct resolve *r, struct user_ids *to, struct span token, size_t at)
{
	bool ambiguous;
	uint64_t id = find_user(&r->tokens, token, &ambiguous);

	if (ambiguous && r->issues)
		policy_issue(r->issues, at, POLICY_AMBIGUOUS_USER,
		             "multiple users found: token \"%.*s\"", SPAN_FMT(token));
	else if (!id && r->issues)
		policy_warning(r->issues, at, POLICY_UNKNOWN_USER,
		               "no user \"%.*s\" has logged in yet", SPAN_FMT(token));
	if (id && !ambiguous)
		vec_push(to, id);
}

/*
 * The provider names its groups "eng"; the policy says group:eng@domain, which
 * also matches the claim written in full.
 */
static bool in_directory_group(const struct euser *u, struct span group)
{
	struct span full = span_from(group, strlen("group:"));
	struct span local = span_first(full, span_find(full, '@'));

	for (size_t i = 0; i < u->n_groups; i++)
		if (span_is(group, u->groups[i]) || span_is(full, u->groups[i]) ||
		    span_is(local, u->groups[i]))
			return true;
	return false;
}

static bool in_domain(const struct euser *u, struct span domain)
{
	struct span email = span_str(u->email);
	struct span host = span_from(email, span_find(email, '@') + 1);

	return host.n && span_eq(host, domain);
}

static bool has_role(const struct euser *u, enum autogroup ag)
{
	switch (ag) {
	case AG_OWNER:
		return u->role == POL_ROLE_OWNER;
	case AG_ADMIN:
		return u->role == POL_ROLE_ADMIN || u->role == POL_ROLE_OWNER;
	case AG_NETWORK_ADMIN:
		return u->role == POL_ROLE_NETWORK_ADMIN;
	case AG_IT_ADMIN:
		return u->role == POL_ROLE_IT_ADMIN;
	case AG_BILLING_ADMIN:
		return u->role == POL_ROLE_BILLING_ADMIN;
	case AG_AUDITOR:
		return u->role == POL_ROLE_AUDITOR;
	case AG_MEMBER:
	case AG_TAGGED:
	case AG_SELF:
	case AG_INTERNET:
	case AG_DANGER_ALL:
	case AG_SHARED:
	case AG_NONROOT:
		break;
	}
	return false;
}

static bool user_matches(const struct sel *s, const struct euser *u)
{
	if (s->kind == SEL_DOMAIN)
		return in_domain(u, s->name);
	if (s->kind == SEL_GROUP)
		return in_directory_group(u, s->text);
	return s->kind == SEL_AUTO && has_role(u, s->autogroup);
}

static int by_number(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static void resolve_sel(struct resolve *r, uint32_t id)
{
	const struct sel *s = engine_sel(r->e, id);
	struct user_ids *to = &r->e->sels[id].users;

	to->n = 0;
	if (s->kind == SEL_USER) {
		add_named(r, to, s->name, s->at);
	} else if (s->kind == SEL_GROUP && s->group != POLICY_NONE) {
		const struct group *g = &r->e->p->groups.v[s->group];

		for (size_t i = 0; i < g->n; i++)
			add_named(r, to, g->members[i], g->at);
	} else {
		for (size_t i = 0; i < r->e->users.n; i++)
			if (user_matches(s, &r->e->users.v[i]))
				vec_push(to, r->e->users.v[i].id);
	}
	if (to->n > 1)
		qsort(to->v, to->n, sizeof(*to->v), by_number);
}

static void copy_user(struct pol_engine *e, const struct pol_user *u)
{
	struct euser *to = vec_add(&e->users);

	to->id = u->id;
	to->name = str_dup(u->name ? u->name : "");
	to->email = str_dup(u->email ? u->email : "");
	to->subject = str_dup(u->subject ? u->subject : "");
	to->role = u->role;
	to->groups = mem_new_n(char *, u->n_groups + 1);
	to->n_groups = u->n_groups;
	for (size_t i = 0; i < u->n_groups; i++)
		to->groups[i] = str_dup(u->groups[i]);
}

static void fill_tokens(struct pol_engine *e, struct tokens *t)
{
	map_init(&t->map);
	vec_each(struct euser *, u, &e->users) {
		add_token(t, u->name, u->id, false);
		add_token(t, u->email, u->id, false);
		add_token(t, u->subject, u->id, true);
	}
}

static void tokens_done(struct tokens *t)
{
	map_done(&t->map);
	arena_done(&t->arena);
}

void engine_new_sels(struct pol_engine *e, size_t first)
{
	struct resolve r = { .e = e };

	e->sels = mem_grow(e->sels, e->p->sels.n + 1, sizeof(*e->sels));
	memset(e->sels + first, 0, (e->p->sels.n + 1 - first) * sizeof(*e->sels));
	fill_tokens(e, &r.tokens);
	for (size_t i = first; i < e->p->sels.n; i++)
		resolve_sel(&r, (uint32_t)i);
	tokens_done(&r.tokens);
}

void pol_engine_users(struct pol_engine *e, const struct pol_user *users, size_t n,
                      struct policy_issues *issues)
{
	struct resolve r = { .e = e, .issues = issues };

	engine_free_users(e);
	for (size_t i = 0; i < n; i++)
		copy_user(e, &users[i]);
	vec_each(struct euser *, u, &e->users)
		map_insert(&e->user_by_id, &u->by_id,
		           map_hash(&e->user_by_id, &u->id, sizeof(u->id)));
	fill_tokens(e, &r.tokens);
	for (uint32_t i = 0; i < e->p->sels.n; i++)
		resolve_sel(&r, i);
	tokens_done(&r.tokens);
	engine_judge_again(e);
}
