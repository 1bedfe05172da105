#pragma once
/* A doubly linked list whose links live in its members. A zeroed link is in no list. */
#include <stdbool.h>
#include <stddef.h>

#include "base/own.h"

struct link {
	struct link *next, *prev;
};

/* The head is a link too; an empty list points at itself. */
static inline void list_init(struct link *head)
{
	head->next = head->prev = head;
}

static inline bool list_empty(const struct link *head)
{
	return head->next == head;
}

static inline bool link_in_list(const struct link *l)
{
	return l->next != NULL;
}

static inline void list_insert_before(struct link *at, struct link *l)
{
	l->prev = at->prev;
	l->next = at;
	at->prev->next = l;
	at->prev = l;
}

static inline void list_append(struct link *head, struct link *l)
{
	list_insert_before(head, l);
}

static inline void list_prepend(struct link *head, struct link *l)
{
	list_insert_before(head->next, l);
}

/* Harmless on a link that is in no list. */
static inline void list_remove(struct link *l)
{
	if (!l->next)
		return;
	l->prev->next = l->next;
	l->next->prev = l->prev;
	l->next = l->prev = NULL;
}

/* The first member, or NULL. */
#define list_first(head, type, member) \
	(list_empty(head) ? NULL : CONTAINER_OF((head)->next, type, member))

/* for each member; the body must not remove it */
#define list_each(it, head, member)                                                           \
	for (it = CONTAINER_OF((head)->next, __typeof__(*it), member); &it->member != (head); \
	     it = CONTAINER_OF(it->member.next, __typeof__(*it), member))

/* for each member; the body may remove and free it */
#define list_each_safe(it, tmp, head, member)                             \
	for (it = CONTAINER_OF((head)->next, __typeof__(*it), member),    \
	    tmp = CONTAINER_OF(it->member.next, __typeof__(*it), member); \
	     &it->member != (head);                                       \
	     it = tmp, tmp = CONTAINER_OF(tmp->member.next, __typeof__(*tmp), member))
