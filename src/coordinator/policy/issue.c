#include "coordinator/policy/issue.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/json.h"

const char *policy_code_text(enum policy_code code)
{
	static const char *const texts[] = {
#define X(name) #name,
		POLICY_CODES(X)
#undef X
	};

	return texts[code];
}

void policy_issues_done(struct policy_issues *all)
{
	vec_done(&all->list);
	arena_done(&all->arena);
	all->cut = false;
}

PRINTF(5, 0)
static void add(struct policy_issues *all, size_t at, enum policy_code code, bool warning,
                const char *fmt, va_list ap) PRINTF(5, 0);

PRINTF(5, 0)
static void add(struct policy_issues *all, size_t at, enum policy_code code, bool warning,
                const char *fmt, va_list ap)
{
	AUTO_DONE(buf) struct buf text = { .max = 2048 };

	if (all->list.n == POLICY_ISSUES_MAX) {
		all->cut = true;
		return;
	}
	buf_vfmt(&text, fmt, ap);
	struct policy_issue *i = vec_add(&all->list);

	i->at = at;
	i->order = (unsigned)all->list.n;
	i->code = code;
	i->warning = warning;
	i->message = arena_str(&all->arena, buf_span(&text));
}

void policy_issue(struct policy_issues *all, size_t at, enum policy_code code, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	add(all, at, code, false, fmt, ap);
	va_end(ap);
}

void policy_warning(struct policy_issues *all, size_t at, enum policy_code code, const char *fmt,
                    ...)
{
	va_list ap;

	va_start(ap, fmt);
	add(all, at, code, true, fmt, ap);
	va_end(ap);
}

const struct policy_issue *policy_issues_error(const struct policy_issues *all)
{
	const struct policy_issue *first = NULL;

	vec_each(const struct policy_issue *, i, &all->list)
		if (!i->warning && (!first || i->at < first->at))
			first = i;
	return first;
}

/* Stable: findings at one place stay in the order they were made. */
static int by_place(const void *a, const void *b)
{
	const struct policy_issue *x = a, *y = b;

	if (x->at != y->at)
		return x->at < y->at ? -1 : 1;
	return x->order < y->order ? -1 : 1;
}

static void add_step(struct buf *to, struct span step)
{
	buf_add_u8(to, '/');
	for (size_t i = 0; i < step.n; i++) {
		if (step.p[i] == '~' || step.p[i] == '/')
			buf_add_str(to, step.p[i] == '~' ? "~0" : "~1");
		else
			buf_add_u8(to, step.p[i]);
	}
}

/* Walks down to the value or name that begins at the place, or the innermost value around it. */
static void write_pointer(struct buf *to, const struct js *v, size_t at)
{
	while (v && v->at != at) {
		const struct js *inside = NULL;
		unsigned index = 0, i = 0;

		for (const struct js *m = js_first(v); m; m = m->next, i++) {
			size_t begins = v->kind == JS_OBJECT ? m->key_at : m->at;

			if (begins > at)
				break;
			inside = m;
			index = i;
		}
		if (inside && v->kind == JS_OBJECT)
			add_step(to, inside->key);
		else if (inside)
			buf_fmt(to, "/%u", index);
		if (inside && v->kind == JS_OBJECT && inside->key_at == at)
			return;
		v = inside;
	}
}

void policy_issues_finish(struct policy_issues *all, struct span text, const struct js *root)
{
	struct js_place place = { 1, 1 };
	size_t at = 0;

	if (all->list.n > 1)
		qsort(all->list.v, all->list.n, sizeof(*all->list.v), by_place);
	vec_each(struct policy_issue *, i, &all->list) {
		AUTO_DONE(buf) struct buf pointer = { .max = 4096 };

		for (; at < i->at && at < text.n; at++) {
			place.column++;
			if (text.p[at] == '\n')
				place = (struct js_place){ place.line + 1, 1 };
		}
		i->line = place.line;
		i->column = place.column;
		if (i->pointer && !root)
			continue;
		write_pointer(&pointer, root, i->at);
		i->pointer = arena_str(&all->arena, buf_span(&pointer));
	}
}
