#pragma once
/*
 * Who sees whom, by classes. A class is the nodes with one class key (judge.h);
 * its view is the sorted ids of all nodes that its members see.
 *
 * Views are immutable and shared: a map session holds the one it was last sent,
 * and the difference of two views is what to add and to remove. A view holds
 * the viewer itself too, if its class sees itself.
 *
 * Threads	that of the loop.
 */
#include "base/own.h"
#include "coordinator/judge.h"
#include "coordinator/state.h"

struct view {
	unsigned refs;
	size_t n;
	uint64_t ids[];
};

struct view *view_ref(struct view *v);
void view_unref(struct view *v);
bool view_has(const struct view *v, uint64_t id);
/* In `to` and not in `from`, and the other way round; sorted, appended. */
void view_diff(const struct view *from, const struct view *to, struct node_ids *added,
               struct node_ids *removed);

struct class;
struct visibility;

struct visibility *visibility_new(const struct state *st, const struct judge *judge);
void visibility_free(struct visibility *v);

/* Everything anew: the policy changed. */
void visibility_rebuild(struct visibility *v);
/* One node came, went, or may have changed its class. */
void visibility_node(struct visibility *v, uint64_t id);
/* The user's groups or role changed: the same for all nodes of theirs. */
void visibility_user(struct visibility *v, uint64_t user);

/* NULL for nodes that see nobody and unknown ones. Good until the next change. */
struct class *visibility_class(const struct visibility *v, uint64_t id);
/* The present view of the class, brought up to date; the visibility's own. Never NULL. */
struct view *visibility_view(struct visibility *v, struct class *c);
/* Who follows the class may keep something there; freed by this function when the class goes. */
void **class_slot(struct class *c, void (*free_slot)(void *slot));
/* A member to ask the judge about. */
const struct node *class_example(const struct visibility *v, const struct class *c);
size_t visibility_class_count(const struct visibility *v);
