#pragma once
/*
 * From a host name to an open stream: resolve, race the addresses (RFC 8305:
 * families in turn, the next one started when the last has been silent for a
 * moment or has failed), ask a proxy for a tunnel if there is one, shake hands
 * if TLS is wanted. One deadline over all of it.
 */
#include "http/url.h"
#include "platform/ev.h"
#include "platform/resolve.h"
#include "platform/stream.h"
#include "platform/tls.h"

enum {
	DIAL_ATTEMPTS_MAX = 16,
	DIAL_STAGGER_US = 250 * 1000,
	DIAL_TIMEOUT_US = 10 * 1000 * 1000,
};

/* Texts and arrays need to live until dial_start returns only. */
struct dial_cfg {
	struct ev *ev;
	struct resolver *resolver; /* may be NULL if addrs are given or host is an address */
	const char *host;          /* no brackets; also the name TLS checks unless peer says else */
	uint16_t port;
	const struct ip *addrs; /* tried instead of resolving */
	size_t n_addrs;
	const struct url *proxy; /* of proxy_for; NULL: straight there */

	struct tls_client *tls;      /* NULL: plain */
	const struct tls_peer *peer; /* NULL: host, by the system's roots, no ALPN */

	int64_t timeout_us; /* 0: DIAL_TIMEOUT_US */
	int64_t delay4_us;  /* IPv4 starts this much later, when there is IPv6 too */
	const struct stream_cfg *stream;

	/*
	 * Called for each new socket before it connects (mark it, bind it): 0, or the
	 * attempt fails with this error. Optional.
	 */
	int (*prepare)(void *arg, int fd, const struct addr *to);
	void *prepare_arg;
};

struct dial;
/*
 * done is called once, from the loop: 0 and the stream, whose owner must be set
 * with stream_hand_over before returning; or why not (the error of the attempt
 * that got furthest) and NULL. ERR_DENIED: the proxy refused.
 */
struct dial *dial_start(const struct dial_cfg *cfg,
                        void (*done)(void *owner, int r, struct stream *s), void *owner);
/* Before done was called; NULL is allowed. */
void dial_cancel(struct dial *d);
/* In done: what TLS or the proxy said, for a log line; "" if nothing. Valid during the call. */
const char *dial_error(const struct dial *d);

/* A Unix socket, at once. -errno */
NODISCARD int dial_unix(const char *path, int *ret_fd);
