#pragma once
/*
 * systemd-resolved over D-Bus (org.freedesktop.resolve1): what one link of this
 * host asks of whom, and word when resolved starts anew, as it has forgotten us
 * then. Also whether NetworkManager hands names to it.
 *
 * Calls wait for the answer, a second at most. A bus that goes away is looked
 * for again. Without libsystemd nothing answers.
 *
 * Source: org.freedesktop.resolve1(5); NetworkManager's D-Bus reference.
 * Threads	that of the loop.
 */
#include <stdbool.h>
#include <stddef.h>

#include "base/ip.h"
#include "base/own.h"
#include "platform/ev.h"

enum { RESOLVE1_CALL_US = 1000 * 1000 };

struct resolve1;

struct resolve1_domain {
	const char *name;
	bool route_only; /* not searched in */
};

struct resolve1_link {
	const struct ip *servers;
	size_t n_servers;
	const struct resolve1_domain *domains;
	size_t n_domains;
	bool default_route; /* also for names under no link's domain */
};

/*
 * address: NULL: the system's bus. restarted is called from the loop; with ev
 * NULL never.   -errno: there is no bus; ERR_UNKNOWN: built without.
 */
NODISCARD int resolve1_open(struct ev *ev, const char *address, void (*restarted)(void *arg),
                            void *arg, struct resolve1 **ret);
void resolve1_free(struct resolve1 *b);

/* On the bus, started by it if need be. */
bool resolve1_answers(struct resolve1 *b);
/* NetworkManager is there; its way with DNS ("systemd-resolved", "default"), "" if it does not say.
 */
bool resolve1_nm_mode(struct resolve1 *b, char *dst, size_t cap);

/* ERR_DENIED: refused. -errno */
NODISCARD int resolve1_set(struct resolve1 *b, int index, const struct resolve1_link *link);
/* The link has nothing any more. */
NODISCARD int resolve1_revert(struct resolve1 *b, int index);
