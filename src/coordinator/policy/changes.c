/*
 * Changes of nodes, numbered, so that one who has not looked for a while can be
 * told whether any of them means something for a node. All who stand at the same
 * number, and most do, share one sum of what came since.
 */
#include <stdlib.h>
#include <string.h>

#include "coordinator/policy/inner.h"

struct note {
	bool sources, ssh;
	uint64_t users[2], node;
	uint64_t *rules; /* NULL without sources */
};

struct sum {
	uint64_t since, upto; /* equal: none */
	bool sources, ssh;
	uint64_t *rules;
	struct pol_ids users, nodes; /* sorted */
};

enum { NOTES_KEPT = 1024, SUMS_KEPT = 4 };

struct changes {
	uint64_t seq, floor; /* what was before the floor is not known one by one */
	struct note note[NOTES_KEPT];
	struct sum sum[SUMS_KEPT];
	unsigned next_sum;
};

struct changes *changes_new(void)
{
	return mem_new(struct changes);
}

static void sum_done(struct sum *s)
{
	free(s->rules);
	vec_done(&s->users);
	vec_done(&s->nodes);
	*s = (struct sum){ 0 };
}

void changes_free(struct changes *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < NOTES_KEPT; i++)
		free(c->note[i].rules);
	for (size_t i = 0; i < SUMS_KEPT; i++)
		sum_done(&c->sum[i]);
	free(c);
}

void changes_note(struct pol_engine *e, uint64_t node, const struct pol_change *what)
{
	struct changes *c = e->changes;
	struct note *n;

	if (!what->any && !what->sources && !what->routes && !what->ssh)
		return;
	c->seq++;
	n = &c->note[c->seq % NOTES_KEPT];
	free(n->rules);
	*n = (struct note){ .sources = what->sources,
		            .ssh = what->ssh,
		            .users = { what->users[0], what->users[1] },
		            .node = node };
	if (what->sources)
		n->rules = mem_dup(what->rules, e->rule_words * sizeof(*what->rules));
	if (c->seq >= NOTES_KEPT && c->floor < c->seq - NOTES_KEPT + 1)
		c->floor = c->seq - NOTES_KEPT + 1;
}

void changes_all(struct pol_engine *e)
{
	e->changes->floor = ++e->changes->seq;
}

uint64_t pol_engine_seq(const struct pol_engine *e)
{
	return e->changes->seq;
}

static int by_number(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static void sort(struct pol_ids *ids)
{
	if (ids->n)
		qsort(ids->v, ids->n, sizeof(*ids->v), by_number);
}

static bool has(const struct pol_ids *ids, uint64_t id)
{
	return ids->n && bsearch(&id, ids->v, ids->n, sizeof(id), by_number);
}

static void add_note(struct sum *s, const struct note *n, size_t words)
{
	s->sources |= n->sources;
	s->ssh |= n->ssh;
	for (size_t i = 0; n->rules && i < words; i++)
		s->rules[i] |= n->rules[i];
	for (size_t i = 0; i < 2; i++)
		if (n->users[i])
			vec_push(&s->users, n->users[i]);
	vec_push(&s->nodes, n->node);
}

static const struct sum *sum_since(struct pol_engine *e, uint64_t since)
{
	struct changes *c = e->changes;

	for (size_t i = 0; i < SUMS_KEPT; i++)
		if (c->sum[i].since == since && c->sum[i].upto == c->seq)
			return &c->sum[i];

	struct sum *s = &c->sum[c->next_sum++ % SUMS_KEPT];

	sum_done(s);
	s->since = since;
	s->upto = c->seq;
	s->rules = mem_new_n(uint64_t, e->rule_words);
	for (uint64_t k = since + 1; k <= c->seq; k++)
		add_note(s, &c->note[k % NOTES_KEPT], e->rule_words);
	sort(&s->users);
	sort(&s->nodes);
	return s;
}

unsigned pol_touched_since(struct pol_engine *e, uint64_t node, uint64_t since)
{
	const struct changes *c = e->changes;
	const struct enode *n = engine_node(e, node);

	if (since >= c->seq)
		return 0;
	if (!n || since < c->floor)
		return POL_TOUCH_RULES | POL_TOUCH_ATTRS;

	const struct sum *s = sum_since(e, since);
	struct pol_change all = { .any = true, .sources = s->sources, .rules = s->rules };

	/* Attributes are given to a node for what it is itself. */
	if (has(&s->nodes, node))
		return POL_TOUCH_RULES | POL_TOUCH_ATTRS;
	if (s->ssh || ((e->any_self || pol_has_ssh(e)) && n->n.user && has(&s->users, n->n.user)) ||
	    pol_filter_touched(e, node, &all))
		return POL_TOUCH_RULES;
	return 0;
}
