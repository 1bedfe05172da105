#pragma once
/*
 * The policy of the running tailnet: the engine of policy/engine.h kept in step
 * with the state, and given to the map as its judge.
 *
 *	tailnet_policy_new	before the state: its callbacks come from here
 *	tailnet_policy_attach	after it: users and nodes are read
 *	tailnet_policy_set	a new text, accepted whole or refused whole
 *	tailnet_policy_changed	each change of the state, before the map hears of it
 *
 * Threads	that of the loop.
 */
#include "coordinator/judge.h"
#include "coordinator/policy/tests.h"
#include "coordinator/state.h"

struct tailnet_policy;

/* server_url: what SSH check rules delegate to; kept by pointer. */
struct tailnet_policy *tailnet_policy_new(const char *server_url);
void tailnet_policy_free(struct tailnet_policy *t);
DEFINE_AUTO(tailnet_policy_free, struct tailnet_policy *)

/* For struct state_env, with the policy as their argument. */
bool tailnet_policy_may_tag(void *t, const struct user *u, const struct texts *tags,
                            const char *tag);
bool tailnet_policy_tag_known(void *t, const char *tag);
bool tailnet_policy_auto_approves(void *t, const struct node *n, const struct prefix *route);

void tailnet_policy_ip_pools(void *t, const struct node *n, struct prefixes *ret);

void tailnet_policy_attach(struct tailnet_policy *t, struct state *st);
void tailnet_policy_judge(struct tailnet_policy *t, struct judge *ret);

enum policy_strictness {
	POLICY_ON_WRITE, /* tests inside must pass */
	POLICY_ON_START, /* tests that fail are warnings */
};

/*
 * Puts the text in force: routes are approved anew, the map is told. Nothing
 * changes on failure. Findings, warnings too, are appended.
 *   ERR_MALFORMED
 */
NODISCARD int tailnet_policy_set(struct tailnet_policy *t, struct span text,
                                 enum policy_strictness how, wall now,
                                 struct policy_issues *issues);
/* The same verdict, and nothing is put in force. */
NODISCARD int tailnet_policy_check(struct tailnet_policy *t, struct span text,
                                   struct policy_issues *issues);
/*
 * Call it now and then: runs the tests inside again when users or nodes have
 * changed, not more often than RETEST_US. What fails now and stopped nobody is
 * logged when its number changes.
 */
enum { RETEST_US = 30 * 1000 * 1000 };
void tailnet_policy_retest(struct tailnet_policy *t, wall now);
/* Tests that failed the last time. */
unsigned tailnet_policy_failing(const struct tailnet_policy *t);
/* "line 3, column 5: ..." of the first error. */
void tailnet_policy_explain(const struct policy_issues *issues, struct fault *ret);
void tailnet_policy_changed(struct tailnet_policy *t, const struct change *c);
struct pol_engine *tailnet_policy_engine(struct tailnet_policy *t);
