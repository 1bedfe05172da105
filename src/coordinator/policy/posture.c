#include "coordinator/policy/posture.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/vec.h"

enum { POSTURE_VALUES_MAX = 1000 };

/* ---- versions ---- */

static bool is_digit(uint8_t c)
{
	return c >= '0' && c <= '9';
}

/* Cuts the leading run of digits, or of anything else, off the span. */
static struct span cut_run(struct span *s, bool digits)
{
	size_t n = 0;

	while (n < s->n && is_digit(s->p[n]) == digits)
		n++;
	struct span run = span_first(*s, n);

	*s = span_from(*s, n);
	return run;
}

static int span_cmp(struct span a, struct span b)
{
	size_t n = a.n < b.n ? a.n : b.n;
	int c = n ? memcmp(a.p, b.p, n) : 0;

	return c ? (c < 0 ? -1 : 1) : (a.n > b.n) - (a.n < b.n);
}

static int number_cmp(struct span a, struct span b)
{
	while (a.n > 1 && a.p[0] == '0')
		a = span_from(a, 1);
	while (b.n > 1 && b.p[0] == '0')
		b = span_from(b, 1);
	if (a.n != b.n)
		return a.n < b.n ? -1 : 1;
	return span_cmp(a, b);
}

int version_cmp(struct span a, struct span b)
{
	while (a.n || b.n) {
		struct span x = cut_run(&a, false), y = cut_run(&b, false);
		int c = span_cmp(x, y);

		if (c)
			return c;
		x = cut_run(&a, true);
		y = cut_run(&b, true);
		c = x.n && y.n ? number_cmp(x, y) : (x.n > 0) - (y.n > 0);
		if (c)
			return c;
	}
	return 0;
}

/* ---- reading ---- */

struct scan {
	struct arena *arena;
	struct span rest;
	const char *why;
};

static void skip_space(struct scan *s)
{
	s->rest = span_trim(s->rest);
}

static bool take(struct scan *s, const char *literal)
{
	size_t n = strlen(literal);

	skip_space(s);
	if (s->rest.n < n || !span_is_nocase(span_first(s->rest, n), literal))
		return false;
	s->rest = span_from(s->rest, n);
	return true;
}

static bool is_key_byte(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || is_digit(c) || c == '_' ||
	       c == '-' || c == '.' || c == ':';
}

static struct span take_key(struct scan *s)
{
	size_t n = 0;

	skip_space(s);
	while (n < s->rest.n && is_key_byte(s->rest.p[n]))
		n++;
	struct span key = span_first(s->rest, n);

	s->rest = span_from(s->rest, n);
	return key;
}

/* Longer before shorter. */
static const struct {
	const char *first, *second; /* two words, or one */
	enum posture_op op;
} OPS[] = {
	{ "==", NULL, POSTURE_EQ },      { "!=", NULL, POSTURE_NE },
	{ "<=", NULL, POSTURE_LE },      { ">=", NULL, POSTURE_GE },
	{ "<", NULL, POSTURE_LT },       { ">", NULL, POSTURE_GT },
	{ "IN", NULL, POSTURE_IN },      { "NOT", "IN", POSTURE_NOT_IN },
	{ "IS", "SET", POSTURE_IS_SET }, { "NOT", "SET", POSTURE_NOT_SET },
};

static bool take_op(struct scan *s, enum posture_op *ret)
{
	for (size_t i = 0; i < ARRAY_LEN(OPS); i++) {
		struct scan try = *s;

		if (!take(&try, OPS[i].first) || (OPS[i].second && !take(&try, OPS[i].second)))
			continue;
		s->rest = try.rest;
		*ret = OPS[i].op;
		return true;
	}
	return false;
}

static bool is_word(struct span s, bool *ret_number)
{
	bool dot = false;

	*ret_number = true;
	for (size_t i = 0; i < s.n; i++) {
		bool sign = i == 0 && s.p[i] == '-' && s.n > 1;

		if (!is_digit(s.p[i]) && !sign && (dot || s.p[i] != '.' || i == 0))
			*ret_number = false;
		dot |= s.p[i] == '.';
	}
	return s.n > 0 && (*ret_number || span_is(s, "true") || span_is(s, "false"));
}

static bool take_value(struct scan *s, struct span *ret, bool *ret_number)
{
	size_t n = 0;

	skip_space(s);
	*ret_number = false;
	if (s->rest.n && (s->rest.p[0] == '\'' || s->rest.p[0] == '"')) {
		char quote = (char)s->rest.p[0];

		s->rest = span_from(s->rest, 1);
		n = span_find(s->rest, quote);
		if (n == s->rest.n) {
			s->why = "the string has no end";
			return false;
		}
		*ret = span_first(s->rest, n);
		s->rest = span_from(s->rest, n + 1);
		return true;
	}
	while (n < s->rest.n && (is_key_byte(s->rest.p[n])))
		n++;
	*ret = span_first(s->rest, n);
	s->rest = span_from(s->rest, n);
	s->why = "expected a 'string', a number, true or false";
	return is_word(*ret, ret_number);
}

static bool take_list(struct scan *s, struct posture_check *c)
{
	VEC(struct span) values = { 0 };
	bool number, ok = take(s, "[");

	s->why = "expected a list ['a', 'b']";
	while (ok && !take(s, "]")) {
		struct span v;

		ok = (values.n == 0 || take(s, ",")) && values.n < POSTURE_VALUES_MAX &&
		     take_value(s, &v, &number);
		if (ok)
			vec_push(&values, v);
	}
	if (ok) {
		c->values = arena_dup(s->arena, values.v, values.n * sizeof(*values.v));
		c->n = values.n;
	}
	vec_done(&values);
	return ok;
}

static bool take_operand(struct scan *s, struct posture_check *c)
{
	switch (c->op) {
	case POSTURE_IS_SET:
	case POSTURE_NOT_SET:
		return true;
	case POSTURE_IN:
	case POSTURE_NOT_IN:
		return take_list(s, c);
	case POSTURE_EQ:
	case POSTURE_NE:
	case POSTURE_LT:
	case POSTURE_LE:
	case POSTURE_GT:
	case POSTURE_GE:
		break;
	}
	c->values = arena_new(s->arena, struct span);
	c->n = 1;
	return take_value(s, &c->values[0], &c->numeric);
}

static bool is_version_key(struct span key)
{
	return span_is(key, "node:osVersion") || span_is(key, "node:tsVersion");
}

static bool is_ordering(enum posture_op op)
{
	return op == POSTURE_LT || op == POSTURE_LE || op == POSTURE_GT || op == POSTURE_GE;
}

int posture_parse(struct arena *a, struct span text, struct posture_check *ret,
                  const char **ret_why)
{
	struct scan s = { .arena = a, .rest = span(arena_str(a, text), text.n) };
	struct posture_check c = { .key = take_key(&s) };
	static const struct span TRUE_TEXT = { (const uint8_t *)"true", 4 };

	*ret_why = "expected an attribute such as node:os";
	if (c.key.n == 0 || span_find(c.key, ':') == c.key.n)
		return ERR_MALFORMED;
	skip_space(&s);
	if (s.rest.n == 0) { /* a bare attribute is one that is true */
		c.op = POSTURE_EQ;
		c.values = arena_dup(a, &TRUE_TEXT, sizeof(TRUE_TEXT));
		c.n = 1;
		*ret = c;
		return 0;
	}
	*ret_why = "expected an operator: ==, !=, <, <=, >, >=, IN, NOT IN, IS SET, NOT SET";
	if (!take_op(&s, &c.op))
		return ERR_MALFORMED;
	if (!take_operand(&s, &c)) {
		*ret_why = s.why;
		return ERR_MALFORMED;
	}
	skip_space(&s);
	*ret_why = "something stands after the assertion";
	if (s.rest.n)
		return ERR_MALFORMED;
	*ret_why = "only numbers and versions can be ordered";
	if (is_ordering(c.op) && !c.numeric && !is_version_key(c.key))
		return ERR_MALFORMED;
	*ret = c;
	return 0;
}

/* ---- judging ---- */

static bool equals(const struct posture_check *c, struct span have, struct span want)
{
	if (is_version_key(c->key))
		return version_cmp(have, want) == 0;
	return span_eq(have, want);
}

static bool listed(const struct posture_check *c, struct span have)
{
	for (size_t i = 0; i < c->n; i++)
		if (equals(c, have, c->values[i]))
			return true;
	return false;
}

/* False if the attribute is no number where one is asked for. */
static bool compare(const struct posture_check *c, struct span have, int *ret)
{
	AUTO_FREE char *x = NULL;
	AUTO_FREE char *y = NULL;
	char *end;

	if (is_version_key(c->key)) {
		*ret = version_cmp(have, c->values[0]);
		return true;
	}
	x = span_dup(have);
	y = span_dup(c->values[0]);
	double a = strtod(x, &end), b;

	if (end == x || *end)
		return false;
	b = strtod(y, NULL);
	*ret = (a > b) - (a < b);
	return true;
}

static bool ordered(const struct posture_check *c, struct span have)
{
	int order;

	if (!compare(c, have, &order))
		return false;
	if (c->op == POSTURE_LT)
		return order < 0;
	if (c->op == POSTURE_LE)
		return order <= 0;
	return c->op == POSTURE_GT ? order > 0 : order >= 0;
}

bool posture_holds(const struct posture_check *c, const struct posture_attr *attrs, size_t n)
{
	const struct posture_attr *a = NULL;

	for (size_t i = 0; i < n && !a; i++)
		if (span_is(c->key, attrs[i].key))
			a = &attrs[i];
	if (!a)
		return c->op == POSTURE_NOT_SET;
	switch (c->op) {
	case POSTURE_IS_SET:
		return true;
	case POSTURE_NOT_SET:
		return false;
	case POSTURE_EQ:
	case POSTURE_IN:
		return listed(c, span_str(a->value));
	case POSTURE_NE:
	case POSTURE_NOT_IN:
		return !listed(c, span_str(a->value));
	case POSTURE_LT:
	case POSTURE_LE:
	case POSTURE_GT:
	case POSTURE_GE:
		return ordered(c, span_str(a->value));
	}
	return false;
}
