#pragma once
/*
 * The provider over the network: finds it, keeps its keys fresh, and carries
 * logins through. An outage of the provider stops logins and nothing else; it
 * is asked again after a growing pause.
 *
 * Threads	that of the loop.
 */
#include "coordinator/oidc/oidc.h"
#include "platform/http_client.h"

struct oidc_client;

/* Everything given must live as long. Starts asking the provider at once. */
struct oidc_client *oidc_client_new(struct ev *ev, const struct http_client *http,
                                    struct rand_src *rand, const struct oidc_cfg *cfg);
/* Logins under way are dropped; their done is not called. */
void oidc_client_free(struct oidc_client *c);
DEFINE_AUTO(oidc_client_free, struct oidc_client *)
struct oidc *oidc_client_core(struct oidc_client *c);

/* How a login ended. Texts are good during the call only. */
struct oidc_result {
	int error; /* 0, or ERR_*: fault says why in words for a person */
	struct fault fault;
	const char *subject;             /* of oidc_begin */
	const struct oidc_identity *who; /* NULL on error */
};

struct oidc_exchange;
/*
 * The browser is back. done is called once: from here if it is refused at once,
 * else from the loop. NULL in the first case; otherwise what to cancel.
 */
struct oidc_exchange *oidc_client_exchange(struct oidc_client *c, const struct oidc_return *back,
                                           void (*done)(void *owner, const struct oidc_result *r),
                                           void *owner);
void oidc_exchange_cancel(struct oidc_exchange *x);
