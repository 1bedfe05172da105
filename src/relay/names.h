#pragma once
/*
 * /bootstrap-dns: the addresses of a few names, for clients whose own DNS fails.
 * Looked up every ten minutes; what was found last is told meanwhile.
 */
#include "base/buf.h"
#include "platform/resolve.h"

enum { NAMES_MAX = 64, NAMES_EVERY_US = 10 * 60 * 1000 * 1000 };

struct names;
/* Comma-separated. */
struct names *relay_names_new(struct ev *ev, struct resolver *resolver, const char *published,
                              const char *unpublished);
void relay_names_free(struct names *n);
/* JSON: name to list of addresses. */
const struct buf *relay_names_published(const struct names *n);
/* The same for one name, published or not; NULL if it is not ours. */
const struct buf *relay_names_find(const struct names *n, struct span name);
