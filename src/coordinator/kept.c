#include "coordinator/kept.h"

#include "base/err.h"
#include "base/log.h"

/* A transaction of one step, whose result is r. */
static int finish(struct store *s, int r)
{
	if (r >= 0)
		r = s->ops->commit(s);
	if (r < 0)
		s->ops->rollback(s);
	return r;
}

void kept_put(struct store *s, const char *kind, const char *id, wall until, struct span json)
{
	int r = s->ops->begin(s);

	if (r >= 0)
		r = finish(s, s->ops->put_kept(s, kind, id, until, json));
	if (r < 0)
		(void)log_ret(r, "a restart will forget a %s", kind);
}

void kept_drop(struct store *s, const char *kind, const char *id)
{
	int r = s->ops->begin(s);

	if (r >= 0)
		r = finish(s, s->ops->del_kept(s, kind, id));
	if (r < 0)
		(void)log_ret(r, "cannot delete a %s that is over", kind);
}

struct loading {
	const char *kind;
	void (*each)(void *arg, const char *id, wall until, const struct js *record);
	void *arg;
};

static void load_one(void *arg, const char *id, wall until, struct span json)
{
	__attribute__((cleanup(arena_done))) struct arena a = { 0 };
	const struct loading *l = arg;
	struct js *record = NULL;

	if (js_parse(&a, json, false, &record, NULL) < 0)
		log_warn("a stored %s cannot be read", l->kind);
	else
		l->each(l->arg, id, until, record);
}

void kept_load(struct store *s, const char *kind, wall now,
               void (*each)(void *arg, const char *id, wall until, const struct js *record),
               void *arg)
{
	struct loading l = { kind, each, arg };
	int r = s->ops->begin(s);

	if (r >= 0)
		r = finish(s, s->ops->end_kept(s, now));
	if (r >= 0)
		r = s->ops->list_kept(s, kind, load_one, &l);
	if (r < 0)
		(void)log_ret(r, "cannot read what was kept of each %s", kind);
}
