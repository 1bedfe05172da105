#pragma once
/*
 * The tests inside a policy: what must be reachable and what must not, checked
 * against the users and nodes there are before the policy is accepted.
 */
#include "coordinator/policy/engine.h"

enum pol_test_kind { POL_TEST_ACCEPT, POL_TEST_CHECK, POL_TEST_DENY, POL_TEST_ERROR };

const char *pol_test_kind_text(enum pol_test_kind k);

struct pol_test_failure {
	bool ssh;       /* in sshTests */
	unsigned index; /* of the entry */
	size_t at;      /* where it stands in the text */
	enum pol_test_kind kind;
	const char *target; /* the destination, or the login; NULL for an error */
	const char *node;   /* SSH: the destination node's name; NULL otherwise */
	const char *message;
};

struct pol_test_report {
	struct arena arena;
	VEC(struct pol_test_failure) failures;
};

void pol_run_tests(struct pol_engine *e, struct pol_test_report *ret);
void pol_test_report_done(struct pol_test_report *r);

/*
 * Everything that is asked of a policy before it takes effect: parsed, known
 * users unambiguous, tests passed. On success *ret is an engine with these users and
 * nodes; otherwise ERR_MALFORMED and issues say why (a failed test as TESTS_FAILED).
 * report may be NULL.
 */
struct pol_tailnet {
	const struct pol_user *users;
	size_t n_users;
	const struct pol_node *nodes;
	size_t n_nodes;
};
NODISCARD int pol_accept(struct span text, const struct pol_tailnet *tailnet,
                         struct pol_engine **ret, struct policy_issues *issues,
                         struct pol_test_report *report);
