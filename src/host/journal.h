#pragma once
/*
 * What the router part has put into the host, in a small file: a line a thing,
 * read by the next start and by --cleanup.
 */
#include <stdbool.h>

#include "base/own.h"

struct journal {
	bool rules, routes, nft, guard;
	int mark_rule_old; /* src_valid_mark before we set it; -1: not changed */
};

#define JOURNAL_EMPTY ((struct journal){ .mark_rule_old = -1 })

static inline bool journal_eq(const struct journal *a, const struct journal *b)
{
	return a->rules == b->rules && a->routes == b->routes && a->nft == b->nft &&
	       a->guard == b->guard && a->mark_rule_old == b->mark_rule_old;
}

/* -ENOENT: none. Lines it does not know are of a newer version, and passed over. */
NODISCARD int journal_read(const char *path, struct journal *ret);
NODISCARD int journal_write(const char *path, const struct journal *j);
NODISCARD int journal_remove(const char *path);
