#pragma once
/*
 * Logins that wait for a person. A node that registers without a key is given a
 * URL with a random id; it asks again with that URL and is held until somebody
 * (an administrator's command, or the identity provider's answer) decides.
 *
 * Bounded in all and for each source (crowd.h): strangers push nobody's login out.
 * Over a restart they are kept in the store (kept.h); nodes come back to theirs.
 */
#include "coordinator/coord.h"
#include "coordinator/requests.h"

struct logins *logins_new(struct coord *co);
void logins_free(struct logins *l);

/* POST /machine/register with its body read. */
void logins_register(struct coord_call *c, struct span body);

/* What is known of a pending login: views, until it ends. NULL: unknown or over. */
struct login_info {
	const char *hostname, *os;
	struct machine_pub machine;
	struct node_pub key;
};
bool logins_find(struct logins *l, struct span auth_id, struct login_info *ret);
/*
 * The node joins as this user's; whoever waits is answered. expiry: of the key,
 * 0: the default.
 *   ERR_UNKNOWN	no such login, or no such user
 */
NODISCARD int logins_approve(struct logins *l, struct span auth_id, uint64_t user_id,
                             enum register_method method, wall expiry, const char *actor,
                             const struct node **ret, struct fault *reterr);
/*
 * For tests of what stands in front of us: a login with fresh keys under an id of
 * the caller's, as if a device of that name waited. The node is as it would
 * become, the caller's to unref. ERR_MALFORMED: no such ids; ERR_EXISTS
 */
NODISCARD int logins_plant(struct logins *l, struct span auth_id, struct span name,
                           const struct js *routes, struct node **ret);
/* Whoever waits is told, and starts over with a new URL. ERR_UNKNOWN */
NODISCARD int logins_reject(struct logins *l, struct span auth_id);
size_t logins_count(const struct logins *l);
/* How often somebody was told to wait. */
uint64_t logins_refused(const struct logins *l);
/* Drops those that are too old. */
void logins_tick(struct logins *l, mono now);
