#pragma once
/*
 * What people and scripts meet: the login pages with the identity provider
 * behind them, and the REST API, put together with the coordinator's state.
 *
 * Threads	that of the loop.
 */
#include "coordinator/coord.h"

struct front;

/* After state, policy and logins. ERR_MALFORMED: the provider's settings; logged */
NODISCARD int front_new(struct coord *co, struct front **ret);
/* After the HTTP servers are gone. */
void front_free(struct front *f);

/* GET /register/{auth_id}, /auth/{auth_id}; GET /oidc/callback; POST /register/confirm/{auth_id} */
void front_register(struct coord_call *c);
void front_callback(struct coord_call *c);
void front_confirm(struct coord_call *c);
/* How to set up a client. */
void front_clients(struct coord_call *c);
/* Everything below /api/v1 and /swagger. */
void front_api(struct coord_call *c);

/* An administrator decides about a session that waits. ERR_UNKNOWN; ERR_BADSTATE: it is a new node
 */
NODISCARD int front_approve(struct coord *co, struct span auth_id, const char *actor,
                            struct fault *reterr);
NODISCARD int front_reject(struct coord *co, struct span auth_id, const char *actor);
/* API requests that were not looked at, for too many wrong keys before them. */
uint64_t front_refused(const struct front *f);
