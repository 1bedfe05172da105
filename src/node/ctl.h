#pragma once
/*
 * Calls to the coordinator: HTTP/2 inside Noise inside an upgraded HTTP/1
 * connection. The connection is made when something is asked and kept; when it
 * breaks, the calls under way fail, and the next one makes a new one.
 *
 *	ask -> key (GET /key) -> dial, clear and HTTPS raced -> upgrade -> Noise -> HTTP/2
 *
 * When to try again is the caller's decision. Ends of calls are told from the
 * loop, never from within ctl_call.
 *
 * Threads	that of the loop.
 */
#include "base/buf.h"
#include "base/rand.h"
#include "crypto/keys.h"
#include "http/http.h"
#include "http/proxy.h"
#include "platform/http_client.h"

struct ctl;
struct ctl_call;

struct ctl_cfg {
	const struct http_client *http; /* loop, resolver, TLS, proxy; must live on */
	const char *url;                /* base, without a slash at the end */
	const struct machine_priv *machine;
	uint16_t version; /* capability version */
	bool force_https;
};

/* Why the last connection failed, in words; "" if it did not. */
const char *ctl_error(const struct ctl *c);
/* The base URL is none: ERR_MALFORMED. */
NODISCARD int ctl_new(const struct ctl_cfg *cfg, struct ctl **ret);
/* Calls under way are dropped without a word. */
void ctl_free(struct ctl *c);
DEFINE_AUTO(ctl_free, struct ctl *)
bool ctl_is_connected(const struct ctl *c);
/* The network changed: a connection that may be dead is not waited for. */
void ctl_reconnect(struct ctl *c);

struct ctl_call_cfg {
	const char *method, *path;
	struct span body;   /* copied */
	const char *hint;   /* Ts-Lb: a node key, for load balancers; NULL: none */
	size_t body_max;    /* of an answer kept whole; 0: 1 MiB */
	int64_t timeout_us; /* 0: none */
	/* Bytes of a long answer as they come; `done` gets no body then. Optional. */
	void (*bytes)(void *owner, struct span bytes);
	/* 0: complete. Otherwise why not: ERR_CLOSED, ERR_TIMEOUT, ERR_LIMIT, what dialling said.
	 */
	void (*done)(void *owner, int r, unsigned status, struct span body, int64_t retry_after_s);
	void *owner;
};

struct ctl_call *ctl_call(struct ctl *c, const struct ctl_call_cfg *cfg);
/* No more callbacks. NULL is allowed. */
void ctl_cancel(struct ctl_call *call);
