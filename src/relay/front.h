#pragma once
/*
 * HTTP in front of a stand-alone relay: connections from the listeners, TLS or
 * not, to pages and to the relay. Every connection has a deadline until it is
 * an upgraded one; their number is bounded; how each ends badly is counted.
 */
#include "platform/tls.h"
#include "relay/pages.h"

#define FRONT_COUNT_LIST(X)                                              \
	X(connections, "connections accepted")                           \
	X(requests, "requests answered")                                 \
	X(refused_full, "connections closed at once: too many open")     \
	X(refused_rate, "connections closed at once: too many a second") \
	X(tls_failed, "TLS handshakes that failed")                      \
	X(tls_timeout, "TLS handshakes not finished in time")            \
	X(http_bad, "requests that were no HTTP")                        \
	X(http_timeout, "requests not finished in time")

struct front_counts {
#define X(name, text) uint64_t name;
	FRONT_COUNT_LIST(X)
#undef X
};

struct front_cfg {
	struct ev *ev;
	struct relay *relay;
	struct tls_server *tls; /* NULL: plain only */
	size_t open_max;        /* connections that are not upgraded yet */
	double accept_per_s;    /* 0: no limit */
	unsigned accept_burst;
	struct page_env page; /* tls and trusted are set for each request */
	/* The answer to an ACME server's GET of this path, or NULL. Optional. */
	const char *(*acme)(void *owner, struct span path);
	void *owner;
};

enum {
	FRONT_OPEN_MAX = 20000,
	FRONT_TIMEOUT_US = 30 * 1000 * 1000, /* from accept to the end of a request, and idle */
	FRONT_TLS_TIMEOUT_US = 10 * 1000 * 1000,
};

enum front_kind {
	FRONT_TLS,
	FRONT_PLAIN,    /* everything, without TLS: behind a proxy, or in a test */
	FRONT_REDIRECT, /* port 80 beside TLS: challenges and redirects */
};

struct front;
struct front *front_new(const struct front_cfg *cfg);
void front_free(struct front *f);
/* Takes the descriptor. */
void front_accept(struct front *f, enum front_kind kind, int fd, const struct addr *peer);
const struct front_counts *front_counts(const struct front *f);
size_t front_open(const struct front *f);
void front_metrics(const struct front *f, struct buf *out);
