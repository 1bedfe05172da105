#pragma once
/*
 * A table of prefixes, IPv4 and IPv6, each with one owner; looks up the owner of
 * the longest prefix that an address is in. Used for cryptokey routing and
 * wherever addresses belong to somebody.
 *
 * Inserting a prefix that is there already moves it to the new owner. Host bits
 * are cleared. An owner embeds a struct lpm_owner, zeroed, and finds itself by
 * CONTAINER_OF; its prefixes are listed in the order they came, a moved one
 * last.
 *
 * Shape	path-compressed binary tries in one array, 48 bytes a node and at
 *		most two nodes a prefix, linked by index. A lookup visits at most
 *		one node a bit.
 * Threads	none inside.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/ip.h"
#include "base/own.h"

/* Zeroed: owns nothing. */
struct lpm_owner {
	uint32_t first, last; /* private: nodes, 0: none */
	uint32_t n;           /* prefixes owned */
};

struct lpm_node; /* private */

/* Zeroed: an empty table. */
struct lpm {
	struct lpm_node *nodes; /* private, like all but n */
	uint32_t used, cap, free;
	uint32_t root[2];
	size_t n; /* prefixes */
};

/* Owners are left as they are: only for when they go too. */
void lpm_done(struct lpm *t);

void lpm_insert(struct lpm *t, struct prefix p, struct lpm_owner *owner);
/* The owner of exactly this prefix, or NULL. */
struct lpm_owner *lpm_get(const struct lpm *t, struct prefix p);
/* Takes the prefix out if this is its owner; says whether. */
bool lpm_remove(struct lpm *t, struct prefix p, struct lpm_owner *owner);
/* Takes all of the owner's prefixes out. */
void lpm_remove_all(struct lpm *t, struct lpm_owner *owner);

/* The owner of the longest prefix around the address, or NULL. */
struct lpm_owner *lpm_find(const struct lpm *t, const struct ip *ip);
struct lpm_owner *lpm_find4(const struct lpm *t, const uint8_t addr[static 4]);
struct lpm_owner *lpm_find6(const struct lpm *t, const uint8_t addr[static 16]);

/*
 * The owner's prefixes, oldest first: uint32_t at = 0;
 * while (lpm_each(t, owner, &at, &prefix)) ... The table must not change meanwhile.
 */
bool lpm_each(const struct lpm *t, const struct lpm_owner *owner, uint32_t *at, struct prefix *ret);
