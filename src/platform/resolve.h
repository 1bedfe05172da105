#pragma once
/*
 * Host names to addresses with getaddrinfo, which blocks: each look-up runs in
 * a thread of its own, a few at a time, and the answer comes from the loop. A
 * thread that is still waiting when the resolver is freed is left to end alone.
 */
#include <stdbool.h>
#include <stddef.h>

#include "base/ip.h"
#include "base/own.h"
#include "platform/ev.h"

enum {
	RESOLVE_ADDRS_MAX = 16,
	RESOLVE_THREADS = 8, /* at once; more wait */
	RESOLVE_WAITING_MAX = 1024,
	RESOLVE_NAME_MAX = 253,
};

struct resolved {
	size_t n;
	struct ip ip[RESOLVE_ADDRS_MAX]; /* best first (RFC 6724) */
};

struct resolver_cfg {
	/*
	 * Asked first, on the loop's thread: hosts the caller knows better (a static
	 * table, a dial plan, a test). True if it answered. Optional.
	 */
	bool (*known)(void *owner, const char *host, struct resolved *ret);
	void *owner;
};

struct resolver;
/* cfg may be NULL. -errno */
NODISCARD int resolver_new(struct ev *ev, const struct resolver_cfg *cfg, struct resolver **ret);
/* Requests not answered yet are dropped. */
void resolver_free(struct resolver *r);
DEFINE_AUTO(resolver_free, struct resolver *)

struct resolve;
/*
 * Calls done from the loop, never from here: 0, ERR_UNKNOWN (no such host),
 * -EAGAIN (the name servers are silent), ERR_LIMIT, ERR_MALFORMED. Address
 * literals, with or without brackets, resolve to themselves.
 */
struct resolve *resolve_start(struct resolver *r, const char *host,
                              void (*done)(void *owner, int r, const struct resolved *found),
                              void *owner);
/* Before done was called. */
void resolve_cancel(struct resolve *q);
