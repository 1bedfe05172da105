#pragma once
/*
 * What is wrong with a policy: each finding with its place, a code that stays
 * the same from version to version, and a sentence that holds the text at fault.
 * Findings are collected; only a syntax error ends the reading.
 */
#include <stdbool.h>
#include <stddef.h>

#include "base/mem.h"
#include "base/own.h"
#include "base/span.h"
#include "base/vec.h"

/* clang-format off */
#define POLICY_CODES(X) \
	X(SYNTAX) X(DUPLICATE_KEY) X(UNKNOWN_FIELD) X(TYPE) X(BAD_SELECTOR) X(HOST_UNDEFINED) \
	X(HOST_NAME) X(HOST_VALUE) \
	X(GROUP_UNDEFINED) X(GROUP_NAME) X(GROUP_NESTED) X(GROUP_VALUE) X(TAG_UNDEFINED) X(TAG_NAME) \
	X(USER_FORMAT) X(AMBIGUOUS_USER) X(AUTOGROUP_UNKNOWN) X(AUTOGROUP_NOT_HERE) \
	X(SELF_BAD_SOURCE) X(ACTION) X(PROTO) X(PROTO_NO_PORTS) X(PORT_SYNTAX) X(PORT_RANGE) \
	X(DST_NO_COLON) X(BRACKETS) X(GRANT_EMPTY) X(VIA_NOT_TAG) X(CAP_FORM) X(CAP_RESERVED) \
	X(DEFAULT_ROUTE_DST) X(APP_INTERNET) X(IPSET_UNDEFINED) X(IPSET_NAME) X(IPSET_OP) \
	X(IPSET_CYCLE) X(IPSET_MEMBER) X(POSTURE_UNDEFINED) X(POSTURE_NAME) X(POSTURE_SYNTAX) \
	X(SSH_ACTION) X(SSH_USERS) X(SSH_ENV) X(SSH_CHECK_PERIOD) X(SSH_BAD_SRC) X(SSH_BAD_DST) \
	X(SSH_TAG_TO_USER) X(SSH_USER_DST) X(NODEATTR_TARGET) X(IPPOOL) X(APPROVER) X(OWNER) \
	X(TESTS_FAILED) X(TOO_LARGE) \
	/* warnings */ \
	X(UNKNOWN_USER) X(EMPTY_GROUP) X(HOST_BITS) X(UNUSED)

enum policy_code {
#define X(name) POLICY_##name,
	POLICY_CODES(X)
#undef X
};
/* clang-format on */

const char *policy_code_text(enum policy_code code);

enum { POLICY_ISSUES_MAX = 1000 };

struct policy_issue {
	size_t at;      /* byte of the text */
	unsigned order; /* in which it was found; private */
	enum policy_code code;
	bool warning;
	unsigned line, column; /* from 1; filled in by policy_issues_finish */
	char *pointer;         /* JSON pointer of the value, "" for the whole; by finish too */
	char *message;
};

/* Zeroed: none. Texts are the arena's. */
struct policy_issues {
	struct arena arena;
	VEC(struct policy_issue) list;
	bool cut; /* more than POLICY_ISSUES_MAX were found */
};

void policy_issues_done(struct policy_issues *all);
void policy_issue(struct policy_issues *all, size_t at, enum policy_code code, const char *fmt, ...)
	PRINTF(4, 5);
void policy_warning(struct policy_issues *all, size_t at, enum policy_code code, const char *fmt,
                    ...) PRINTF(4, 5);
/* The first error in the order of the text; NULL: there are only warnings, or nothing. */
const struct policy_issue *policy_issues_error(const struct policy_issues *all);

struct js;
/* Sorts by place and fills in lines, columns and pointers. Without a root pointers stay. */
void policy_issues_finish(struct policy_issues *all, struct span text, const struct js *root);
