#include "coordinator/visibility.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/sorted.h"

struct class
{
	struct map_node by_key;
	uint64_t key;
	struct node_ids members;
	VEC(struct class *) sees; /* may hold itself */
	struct view *view;        /* NULL: to be made */
	void *slot;
	void (*free_slot)(void *slot);
};

/* Which class a node is in. */
struct place {
	struct map_node by_id;
	uint64_t id;
	struct class *class;
};

struct visibility {
	const struct state *st;
	const struct judge *judge;
	struct map classes, places;
	struct view *nobody;
};

/* ---- views ---- */

struct view *view_ref(struct view *v)
{
	v->refs++;
	return v;
}

void view_unref(struct view *v)
{
	if (v && --v->refs == 0)
		free(v);
}

static struct view *view_of(const struct node_ids *ids)
{
	struct view *v = mem_alloc(sizeof(*v) + ids->n * sizeof(*ids->v));

	v->refs = 1;
	v->n = ids->n;
	if (ids->n)
		memcpy(v->ids, ids->v, ids->n * sizeof(*ids->v));
	return v;
}

bool view_has(const struct view *v, uint64_t id)
{
	return sorted_has(v->ids, v->n, id);
}

void view_diff(const struct view *from, const struct view *to, struct node_ids *added,
               struct node_ids *removed)
{
	size_t i = 0, j = 0;

	if (from == to)
		return;
	while (i < from->n || j < to->n) {
		if (i < from->n && j < to->n && from->ids[i] == to->ids[j]) {
			i++;
			j++;
		} else if (j >= to->n || (i < from->n && from->ids[i] < to->ids[j])) {
			vec_push(removed, from->ids[i++]);
		} else {
			vec_push(added, to->ids[j++]);
		}
	}
}

/* ---- classes ---- */

static uint64_t u64_hash(const struct map *m, uint64_t key)
{
	return map_hash(m, &key, sizeof(key));
}

static struct class *find_class(const struct visibility *v, uint64_t key)
{
	for (struct map_node *n = map_find(&v->classes, u64_hash(&v->classes, key)); n;
	     n = map_again(n)) {
		struct class *c = CONTAINER_OF(n, struct class, by_key);

		if (c->key == key)
			return c;
	}
	return NULL;
}

static struct place *find_place(const struct visibility *v, uint64_t id)
{
	for (struct map_node *n = map_find(&v->places, u64_hash(&v->places, id)); n;
	     n = map_again(n)) {
		struct place *p = CONTAINER_OF(n, struct place, by_id);

		if (p->id == id)
			return p;
	}
	return NULL;
}

const struct node *class_example(const struct visibility *v, const struct class *c)
{
	return c->members.n ? state_node(v->st, c->members.v[0]) : NULL;
}

static void forget_view(struct class *c)
{
	view_unref(c->view);
	c->view = NULL;
}

/* Whoever sees this class has to look again. Seeing is mutual. */
static void forget_views_around(struct class *c)
{
	forget_view(c);
	vec_each(struct class **, other, &c->sees)
		forget_view(*other);
}

static bool sees_itself(const struct class *c)
{
	for (size_t i = 0; i < c->sees.n; i++)
		if (c->sees.v[i] == c)
			return true;
	return false;
}

static void link_class(struct visibility *v, struct class *c, const struct node *example)
{
	for (struct map_node *n = map_first(&v->classes); n; n = map_next(&v->classes, n)) {
		struct class *other = CONTAINER_OF(n, struct class, by_key);
		const struct node *theirs = class_example(v, other);

		if (other == c || !theirs || !v->judge->sees(v->judge->arg, example, theirs))
			continue;
		vec_push(&c->sees, other);
		vec_push(&other->sees, c);
	}
}

static struct class *make_class(struct visibility *v, uint64_t key, const struct node *n)
{
	struct class *c = mem_new(struct class);

	c->key = key;
	map_insert(&v->classes, &c->by_key, u64_hash(&v->classes, key));
	node_ids_add(&c->members, n->id);
	link_class(v, c, n);
	return c;
}

/* Whether a class sees itself can be asked once there are two of it. */
static void add_member(struct visibility *v, struct class *c, const struct node *n)
{
	const struct node *other = class_example(v, c);

	if (c->members.n == 1 && other && v->judge->sees(v->judge->arg, other, n) &&
	    !sees_itself(c))
		vec_push(&c->sees, c);
	node_ids_add(&c->members, n->id);
}

static void free_class(struct visibility *v, struct class *c)
{
	map_remove(&v->classes, &c->by_key);
	if (c->slot)
		c->free_slot(c->slot);
	view_unref(c->view);
	vec_done(&c->members);
	vec_done(&c->sees);
	free(c);
}

static void unlink_class(struct visibility *v, struct class *c)
{
	vec_each(struct class **, other, &c->sees) {
		if (*other == c)
			continue;
		for (size_t i = 0; i < (*other)->sees.n; i++)
			if ((*other)->sees.v[i] == c) {
				vec_remove_swap(&(*other)->sees, i);
				break;
			}
	}
	free_class(v, c);
}

static void leave(struct visibility *v, struct place *p)
{
	struct class *c = p->class;

	for (size_t i = 0; i < c->members.n; i++)
		if (c->members.v[i] == p->id) {
			vec_remove(&c->members, i);
			break;
		}
	forget_views_around(c);
	if (!c->members.n)
		unlink_class(v, c);
	map_remove(&v->places, &p->by_id);
	free(p);
}

static void join(struct visibility *v, const struct node *n, uint64_t key)
{
	struct class *c = find_class(v, key);
	struct place *p = mem_new(struct place);

	if (c)
		add_member(v, c, n);
	else
		c = make_class(v, key, n);
	p->id = n->id;
	p->class = c;
	map_insert(&v->places, &p->by_id, u64_hash(&v->places, p->id));
	forget_views_around(c);
}

void visibility_node(struct visibility *v, uint64_t id)
{
	const struct node *n = state_node(v->st, id);
	struct place *p = find_place(v, id);
	uint64_t key = n && n->authorized ? v->judge->class_key(v->judge->arg, n) : 0;

	if (p && p->class->key == key)
		return;
	if (p)
		leave(v, p);
	if (key)
		join(v, n, key);
}

void visibility_user(struct visibility *v, uint64_t user)
{
	struct node_list all = { 0 };

	state_nodes(v->st, &all);
	vec_each(const struct node **, n, &all)
		if ((*n)->user_id == user)
			visibility_node(v, (*n)->id);
	vec_done(&all);
}

/* ---- the whole ---- */

static void clear(struct visibility *v)
{
	struct map_node *n;

	while ((n = map_first(&v->places))) {
		struct place *p = CONTAINER_OF(n, struct place, by_id);

		map_remove(&v->places, n);
		free(p);
	}
	while ((n = map_first(&v->classes)))
		free_class(v, CONTAINER_OF(n, struct class, by_key));
}

void visibility_rebuild(struct visibility *v)
{
	struct node_list all = { 0 };

	clear(v);
	state_nodes(v->st, &all);
	vec_each(const struct node **, n, &all)
		visibility_node(v, (*n)->id);
	vec_done(&all);
}

struct visibility *visibility_new(const struct state *st, const struct judge *judge)
{
	struct visibility *v = mem_new(struct visibility);

	v->st = st;
	v->judge = judge;
	v->nobody = view_of(&(struct node_ids){ 0 });
	map_init(&v->classes);
	map_init(&v->places);
	visibility_rebuild(v);
	return v;
}

void visibility_free(struct visibility *v)
{
	if (!v)
		return;
	clear(v);
	map_done(&v->classes);
	map_done(&v->places);
	view_unref(v->nobody);
	free(v);
}

struct class *visibility_class(const struct visibility *v, uint64_t id)
{
	const struct place *p = find_place(v, id);

	return p ? p->class : NULL;
}

static int by_id(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

struct view *visibility_view(struct visibility *v, struct class *c)
{
	struct node_ids ids = { 0 };

	if (!c)
		return v->nobody;
	if (c->view)
		return c->view;
	vec_each(struct class **, other, &c->sees) {
		vec_reserve(&ids, ids.n + (*other)->members.n);
		for (size_t i = 0; i < (*other)->members.n; i++)
			ids.v[ids.n++] = (*other)->members.v[i];
	}
	if (c->sees.n > 1)
		qsort(ids.v, ids.n, sizeof(*ids.v), by_id);
	c->view = view_of(&ids);
	vec_done(&ids);
	return c->view;
}

void **class_slot(struct class *c, void (*free_slot)(void *slot))
{
	c->free_slot = free_slot;
	return &c->slot;
}

size_t visibility_class_count(const struct visibility *v)
{
	return v->classes.n;
}
