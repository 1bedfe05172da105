#pragma once
/*
 * Which node carries which subnet route. A prefix that several nodes serve has
 * one primary: the present one while it is there and healthy, else the lowest
 * id that is. Where all that are there are ill, it stays where it was; where none
 * is there, nobody carries it. Default routes (exit nodes) have no primary: each
 * client chooses its own.
 *
 * 4via6 prefixes (fd7a:115c:a1e0:b1a::/64 and below) are routes like any other.
 *
 * Pure; the state feeds it and tells clients about the nodes it names.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/ip.h"
#include "base/own.h"
#include "base/vec.h"

/* One node serving one prefix: approved and advertised. */
struct route_offer {
	struct prefix prefix;
	uint64_t node;
	bool there;   /* online, and may be used; or may come back still, after a start */
	bool healthy; /* online, and answers probes */
};

struct subnet_route {
	struct prefix prefix;
	uint64_t primary; /* 0: nobody */
	unsigned servers; /* how many offer it */
};

struct routes {
	VEC(struct subnet_route) table; /* by prefix */
};

struct node_ids {
	uint64_t *v;
	size_t n, cap;
};

void routes_done(struct routes *t);
/* Sorts the offers. Appends to moved each node that gained or lost a prefix, once. */
void routes_update(struct routes *t, struct route_offer *offers, size_t n, struct node_ids *moved);
/* 0: none */
uint64_t routes_primary(const struct routes *t, const struct prefix *p);
/* Prefixes with two or more servers are worth probing. */
bool routes_is_shared(const struct routes *t, const struct prefix *p);

/* Sorted ids, each once. */
void node_ids_add(struct node_ids *ids, uint64_t id);
bool node_ids_has(const struct node_ids *ids, uint64_t id);
