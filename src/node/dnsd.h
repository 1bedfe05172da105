#pragma once
/*
 * The resolver at the service addresses, 100.100.100.100 and fd7a:115c:a1e0::53,
 * UDP and TCP port 53: dns/magic.h answers, dns/forward.h asks, here are their
 * sockets.
 *
 * The addresses need not be there yet when it starts: the router gives them to
 * the tunnel's interface. Upstreams are reached as the host's routes say: behind
 * a peer through the tunnel, and all of them where all traffic goes through it,
 * so that names are not told to others than traffic is.
 *
 * Bounded: queries under way (dns/forward.h), TCP connections, idle time, bytes
 * of a query.
 *
 * Threads	that of the loop.
 */
#include "dns/config.h"
#include "dns/forward.h"
#include "platform/ev.h"
#include "platform/tls.h"

enum {
	DNSD_TCP_MAX = 64, /* connections */
	DNSD_TCP_IDLE_US = 45000000,
	DNSD_TCP_QUERIES_MAX = 16, /* under way on one connection */
	DNSD_SILENT = 3,
};

struct dnsd;

struct dnsd_cfg {
	struct ev *ev;
	struct tls_client *tls; /* for DNS over HTTPS; NULL: plain alone */
	const struct addr *at;  /* where to listen, UDP and TCP each */
	size_t n_at;
	/*
	 * No upstream said a word to DNSD_SILENT questions in a row (false), or one
	 * spoke again (true). Optional.
	 */
	void (*health)(void *ctx, bool well);
	void *ctx;
};

/* -errno: nothing could be bound; -EADDRINUSE: another server has the port. */
NODISCARD int dnsd_new(const struct dnsd_cfg *cfg, struct dnsd **ret);
void dnsd_free(struct dnsd *d);
/* Another server answers by TCP in our place. */
bool dnsd_tcp_taken(const struct dnsd *d);
/* Takes a sealed configuration; NULL: every query is SERVFAIL. */
void dnsd_set_config(struct dnsd *d, struct dns_config *take);
const struct dns_config *dnsd_config(const struct dnsd *d);
/* The network changed: what was kept may be wrong there. */
void dnsd_flush(struct dnsd *d);

/*
 * A query from within the process: a command's, or a peer's that uses us as its
 * exit. done is called once, with the answer, or with an empty span if there is
 * none to be had (too many under way, or not a query).
 */
struct dnsd_ask;
struct dnsd_ask *dnsd_query(struct dnsd *d, struct span msg,
                            void (*done)(void *owner, struct span answer), void *owner);
/*
 * The same for a query that is to be asked of these, or (n = 0) of the upstreams
 * of its route; our own names are not told, and nothing is kept.
 */
struct dnsd_ask *dnsd_query_of(struct dnsd *d, struct span msg, const struct dns_upstream *v,
                               size_t n, void (*done)(void *owner, struct span answer),
                               void *owner);
void dnsd_cancel(struct dnsd_ask *a);

void dnsd_stats(const struct dnsd *d, struct dns_forward_stats *ret);
