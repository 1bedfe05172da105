#pragma once
/*
 * SSH sessions that need a check: the daemon that is asked for the session holds
 * it and asks us (GET /machine/ssh/action/SRC/to/DST, over Noise); we answer with
 * a link for the person, and then with yes or no.
 *
 * A yes holds for the check period of the policy's rule: with a period of its
 * own for this pair of nodes, with the default one for every check of the source.
 *
 * Bounded. What was allowed outlasts a restart (kept.h); checks that were waiting
 * are begun anew by the daemon that asks again.
 */
#include "coordinator/coord.h"

struct sshchecks;

struct sshchecks *sshchecks_new(struct coord *co);
void sshchecks_free(struct sshchecks *s);
/* Drops what is too old. */
void sshchecks_tick(struct sshchecks *s, mono now);

/* GET /machine/ssh/action/{src}/to/{dst}?local_user=NAME[&auth_id=ID] */
void sshchecks_action(struct coord_call *c);

/* A check that waits: views, until it ends. False: unknown or decided. */
struct sshcheck_info {
	const struct node *src, *dst;
	const char *login;
};
bool sshchecks_find(struct sshchecks *s, struct span auth_id, struct sshcheck_info *ret);
/*
 * The person has shown who they are: user_id, or 0 for an administrator who vouches.
 *   ERR_UNKNOWN	nothing waits under this id
 *   ERR_DENIED		somebody else's device
 */
NODISCARD int sshchecks_approve(struct sshchecks *s, struct span auth_id, uint64_t user_id,
                                struct fault *reterr);
/* ERR_UNKNOWN */
NODISCARD int sshchecks_reject(struct sshchecks *s, struct span auth_id);
