#include "coordinator/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"

void texts_done(struct texts *t)
{
	vec_done_free(t);
}

void texts_add(struct texts *t, struct span text)
{
	vec_push(t, span_dup(text));
}

void texts_copy(struct texts *dst, const struct texts *src)
{
	*dst = (struct texts){ 0 };
	vec_reserve(dst, src->n);
	for (size_t i = 0; i < src->n; i++)
		dst->v[dst->n++] = str_dup(src->v[i]);
}

bool texts_has(const struct texts *t, const char *text)
{
	for (size_t i = 0; i < t->n; i++)
		if (strcmp(t->v[i], text) == 0)
			return true;
	return false;
}

bool texts_eq(const struct texts *a, const struct texts *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (strcmp(a->v[i], b->v[i]) != 0)
			return false;
	return true;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

void texts_normalise(struct texts *t)
{
	size_t kept = 0;

	if (t->n > 1)
		qsort(t->v, t->n, sizeof(*t->v), by_text);
	for (size_t i = 0; i < t->n; i++)
		if (kept && strcmp(t->v[kept - 1], t->v[i]) == 0)
			free(t->v[i]);
		else
			t->v[kept++] = t->v[i];
	t->n = kept;
}

char *texts_join(const struct texts *t)
{
	struct buf out = { 0 };

	for (size_t i = 0; i < t->n; i++)
		buf_fmt(&out, "%s%s", i ? " " : "", t->v[i]);
	return buf_take_text(&out);
}

void texts_split(struct texts *t, struct span joined)
{
	struct span word;

	while (span_word(&joined, &word))
		texts_add(t, word);
}

void prefixes_done(struct prefixes *p)
{
	vec_done(p);
}

void prefixes_copy(struct prefixes *dst, const struct prefixes *src)
{
	*dst = (struct prefixes){ 0 };
	if (!src->n)
		return;
	vec_reserve(dst, src->n);
	memcpy(dst->v, src->v, src->n * sizeof(*src->v));
	dst->n = src->n;
}

bool prefixes_has(const struct prefixes *p, const struct prefix *one)
{
	for (size_t i = 0; i < p->n; i++)
		if (prefix_eq(&p->v[i], one))
			return true;
	return false;
}

bool prefixes_eq(const struct prefixes *a, const struct prefixes *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (!prefix_eq(&a->v[i], &b->v[i]))
			return false;
	return true;
}

static int by_prefix(const void *a, const void *b)
{
	return prefix_cmp(a, b);
}

void prefixes_normalise(struct prefixes *p)
{
	size_t kept = 0;

	if (p->n > 1)
		qsort(p->v, p->n, sizeof(*p->v), by_prefix);
	for (size_t i = 0; i < p->n; i++)
		if (!kept || !prefix_eq(&p->v[kept - 1], &p->v[i]))
			p->v[kept++] = p->v[i];
	p->n = kept;
}

char *prefixes_join(const struct prefixes *p)
{
	struct buf out = { 0 };
	char text[PREFIX_TEXT_MAX];

	for (size_t i = 0; i < p->n; i++)
		buf_fmt(&out, "%s%s", i ? " " : "", prefix_text(&p->v[i], text));
	return buf_take_text(&out);
}

int prefixes_split(struct prefixes *p, struct span joined)
{
	struct span word;

	while (span_word(&joined, &word)) {
		struct prefix one;
		int r = prefix_parse(word, &one);

		if (r < 0)
			return r;
		if (p->n >= NODE_ROUTES_MAX)
			return ERR_LIMIT;
		vec_push(p, prefix_masked(one));
	}
	return 0;
}

void endpoints_done(struct endpoints *e)
{
	vec_done(e);
}

bool endpoints_eq(const struct endpoints *a, const struct endpoints *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (!addr_eq(&a->v[i], &b->v[i]))
			return false;
	return true;
}

char *endpoints_join(const struct endpoints *e)
{
	struct buf out = { 0 };
	char text[ADDR_TEXT_MAX];

	for (size_t i = 0; i < e->n; i++)
		buf_fmt(&out, "%s%s", i ? " " : "", addr_text(&e->v[i], text));
	return buf_take_text(&out);
}

int endpoints_split(struct endpoints *e, struct span joined)
{
	struct span word;

	while (span_word(&joined, &word)) {
		struct addr one;
		int r = addr_parse(word, &one);

		if (r < 0)
			return r;
		if (e->n >= NODE_ENDPOINTS_MAX)
			return ERR_LIMIT;
		vec_push(e, one);
	}
	return 0;
}

struct user *user_new(void)
{
	struct user *u = mem_new(struct user);

	u->name = str_dup("");
	u->display_name = str_dup("");
	u->email = str_dup("");
	u->provider = str_dup("");
	u->provider_id = str_dup("");
	u->picture_url = str_dup("");
	u->role = str_dup("");
	return u;
}

struct user *user_clone(const struct user *u)
{
	struct user *c = mem_dup(u, sizeof(*u));

	c->by_id = (struct map_node){ 0 };
	c->name = str_dup(u->name);
	c->display_name = str_dup(u->display_name);
	c->email = str_dup(u->email);
	c->provider = str_dup(u->provider);
	c->provider_id = str_dup(u->provider_id);
	c->picture_url = str_dup(u->picture_url);
	c->role = str_dup(u->role);
	texts_copy(&c->groups, &u->groups);
	return c;
}

void user_free(struct user *u)
{
	if (!u)
		return;
	free(u->name);
	free(u->display_name);
	free(u->email);
	free(u->provider);
	free(u->provider_id);
	free(u->picture_url);
	free(u->role);
	texts_done(&u->groups);
	free(u);
}

const char *user_login(const struct user *u, char dst[static 24])
{
	if (*u->name)
		return u->name;
	if (*u->email)
		return u->email;
	if (*u->provider_id)
		return u->provider_id;
	(void)snprintf(dst, 24, "%llu", (unsigned long long)u->id);
	return dst;
}

static const char *const methods[] = {
	[REGISTER_UNSPECIFIED] = "",
	[REGISTER_AUTH_KEY] = "authkey",
	[REGISTER_CLI] = "cli",
	[REGISTER_OIDC] = "oidc",
};

const char *register_method_text(enum register_method m)
{
	return methods[m];
}

enum register_method register_method_parse(struct span text)
{
	for (size_t i = 1; i < ARRAY_LEN(methods); i++)
		if (span_is(text, methods[i]))
			return (enum register_method)i;
	return REGISTER_UNSPECIFIED;
}

struct node *node_record_new(void)
{
	struct node *n = mem_new(struct node);

	n->refs = 1;
	n->cache = mem_new(struct peer_cache);
	n->authorized = true;
	n->hostname = str_dup("");
	n->given_name = str_dup("");
	n->os = str_dup("");
	return n;
}

struct node *node_clone(const struct node *n)
{
	struct node *c = mem_dup(n, sizeof(*n));
	struct map_node none = { 0 };

	c->by_id = c->by_key = c->by_machine = c->by_name = c->by_ip4 = c->by_ip6 = none;
	c->refs = 1;
	c->cache = mem_new(struct peer_cache);
	c->hostname = str_dup(n->hostname);
	c->given_name = str_dup(n->given_name);
	c->hostinfo = str_dup(n->hostinfo);
	c->netinfo = str_dup(n->netinfo);
	c->attrs = str_dup(n->attrs);
	c->os = str_dup(n->os);
	texts_copy(&c->tags, &n->tags);
	texts_copy(&c->request_tags, &n->request_tags);
	prefixes_copy(&c->approved, &n->approved);
	prefixes_copy(&c->advertised, &n->advertised);
	c->endpoints = (struct endpoints){ 0 };
	for (size_t i = 0; i < n->endpoints.n; i++)
		vec_push(&c->endpoints, n->endpoints.v[i]);
	return c;
}

struct node *node_ref(struct node *n)
{
	n->refs++;
	return n;
}

void node_unref(struct node *n)
{
	if (!n || --n->refs)
		return;
	free(n->hostname);
	free(n->given_name);
	free(n->hostinfo);
	free(n->netinfo);
	free(n->attrs);
	free(n->os);
	texts_done(&n->tags);
	texts_done(&n->request_tags);
	prefixes_done(&n->approved);
	prefixes_done(&n->advertised);
	endpoints_done(&n->endpoints);
	free(n->cache->json);
	free(n->cache);
	free(n);
}

bool node_serves(const struct node *n, const struct prefix *route)
{
	return prefixes_has(&n->approved, route) && prefixes_has(&n->advertised, route);
}

bool node_is_exit(const struct node *n)
{
	struct prefix all4 = { .ip = ip4(0, 0, 0, 0) }, all6 = { 0 };

	return node_serves(n, &all4) && node_serves(n, &all6);
}

struct auth_key *auth_key_new(void)
{
	struct auth_key *k = mem_new(struct auth_key);

	k->prefix = str_dup("");
	k->hash = str_dup("");
	k->description = str_dup("");
	return k;
}

struct auth_key *auth_key_clone(const struct auth_key *k)
{
	struct auth_key *c = mem_dup(k, sizeof(*k));

	c->prefix = str_dup(k->prefix);
	c->hash = str_dup(k->hash);
	c->description = str_dup(k->description);
	texts_copy(&c->tags, &k->tags);
	return c;
}

void auth_key_free(struct auth_key *k)
{
	if (!k)
		return;
	free(k->prefix);
	free(k->hash);
	free(k->description);
	texts_done(&k->tags);
	free(k);
}

struct api_key *api_key_new(void)
{
	struct api_key *k = mem_new(struct api_key);

	k->prefix = str_dup("");
	k->hash = str_dup("");
	return k;
}

struct api_key *api_key_clone(const struct api_key *k)
{
	struct api_key *c = mem_dup(k, sizeof(*k));

	c->prefix = str_dup(k->prefix);
	c->hash = str_dup(k->hash);
	return c;
}

void api_key_free(struct api_key *k)
{
	if (!k)
		return;
	free(k->prefix);
	free(k->hash);
	free(k);
}
