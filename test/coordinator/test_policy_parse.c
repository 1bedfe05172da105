/* Policies that are refused: code, place and pointer of each finding. */
#include "base/buf.h"
#include "base/err.h"
#include "coordinator/policy/policy.h"
#include "coordinator/policy/posture.h"
#include "test/check.h"

/* The first error as "CODE line:column pointer", or "ok". */
static const char *verdict(const char *text)
{
	static char out[256];
	struct policy_issues issues = { 0 };
	struct policy *p = NULL;

	(void)snprintf(out, sizeof(out), "ok");
	if (policy_parse(span_str(text), &p, &issues) < 0) {
		const struct policy_issue *i = policy_issues_error(&issues);

		(void)snprintf(out, sizeof(out), "%s %u:%u %s", policy_code_text(i->code), i->line,
		               i->column, i->pointer);
	}
	policy_free(p);
	policy_issues_done(&issues);
	return out;
}

/* clang-format off */
static const struct {
	const char *text, *want;
} FILES[] = {
	{ "", "ok" },
	{ "// nothing but a comment", "ok" },
	{ "\xef\xbb\xbf{}", "ok" },
	{ "{", "SYNTAX 1:2 " },
	{ "{\"acls\": [1 2]}", "SYNTAX 1:13 " },
	{ "/* open", "SYNTAX 1:1 " },
	{ "{\"hosts\": \"\xff\"}", "SYNTAX 1:12 " },
	{ "{\"acls\":[],\"Acls\":[]}", "DUPLICATE_KEY 1:12 /Acls" },
	{ "{\"acls\":{}}", "TYPE 1:9 /acls" },
	{ "{\"acls\":[{\"action\":\"deny\"}]}", "ACTION 1:20 /acls/0/action" },
	{ "{\"acls\":[{\"src\":[\"*\"]}]}", "ACTION 1:10 /acls/0" },
	{ "{\"acls\":[{\"action\":\"accept\",\"src\":[\"nohost\"]}]}", "HOST_UNDEFINED 1:36 /acls/0/src/0" },
	{ "{\"acls\":[{\"action\":\"accept\",\"src\":[\"group:x\"]}]}", "GROUP_UNDEFINED 1:36 /acls/0/src/0" },
	{ "{\"acls\":[{\"action\":\"accept\",\"src\":[\"a:b\"]}]}", "BAD_SELECTOR 1:36 /acls/0/src/0" },
	{ "{\"acls\":[{\"action\":\"accept\",\"src\":[\"autogroup:nope\"]}]}", "AUTOGROUP_UNKNOWN 1:36 /acls/0/src/0" },
	{ "{\"acls\":[{\"action\":\"accept\",\"src\":[\"autogroup:self\"]}]}", "AUTOGROUP_NOT_HERE 1:36 /acls/0/src/0" },
	{ "{\"acls\":[{\"action\":\"accept\",\"dst\":[\"*\"]}]}", "DST_NO_COLON 1:36 /acls/0/dst/0" },
	{ "{\"acls\":[{\"action\":\"accept\",\"dst\":[\"*:0\"]}]}", "PORT_RANGE 1:36 /acls/0/dst/0" },
	{ "{\"acls\":[{\"action\":\"accept\",\"dst\":[\"*:9-8\"]}]}", "PORT_RANGE 1:36 /acls/0/dst/0" },
	{ "{\"acls\":[{\"action\":\"accept\",\"dst\":[\"*:70000\"]}]}", "PORT_RANGE 1:36 /acls/0/dst/0" },
	{ "{\"acls\":[{\"action\":\"accept\",\"dst\":[\"*:1-2-3\"]}]}", "PORT_SYNTAX 1:36 /acls/0/dst/0" },
	{ "{\"acls\":[{\"action\":\"accept\",\"dst\":[\"autogroup:self\"]}]}", "PORT_SYNTAX 1:36 /acls/0/dst/0" },
	{ "{\"acls\":[{\"action\":\"accept\",\"dst\":[\"[10.0.0.1]:22\"]}]}", "BRACKETS 1:36 /acls/0/dst/0" },
	{ "{\"acls\":[{\"action\":\"accept\",\"dst\":[\"[fd7a::]/64:22\",\"fd7a::1:22\"]}]}", "ok" },
	{ "{\"acls\":[{\"action\":\"accept\",\"proto\":\"06\"}]}", "PROTO 1:37 /acls/0/proto" },
	{ "{\"acls\":[{\"action\":\"accept\",\"proto\":\"256\"}]}", "PROTO 1:37 /acls/0/proto" },
	{ "{\"grants\":[{\"src\":[],\"dst\":[],\"app\":{\"nodomain\":[]}}]}", "CAP_FORM 1:38 /grants/0/app/nodomain" },
	{ "{\"grants\":[{\"dst\":[\"autogroup:internet\"],\"app\":{\"a/b\":[]}}]}", "APP_INTERNET 1:20 /grants/0/dst/0" },
	{ "{\"tagOwners\":{\"tag:1\":[]}}", "TAG_NAME 1:15 /tagOwners/tag:1" },
	{ "{\"tagOwners\":{\"tag:a\":[\"1.2.3.4\"]}}", "OWNER 1:24 /tagOwners/tag:a/0" },
	{ "{\"tagOwners\":{\"tag:a\":[\"tag:b\"],\"tag:b\":[\"tag:a\"]}}", "ok" },
	{ "{\"groups\":{\"g\":[]}}", "GROUP_NAME 1:12 /groups/g" },
	{ "{\"groups\":{\"group:g\":\"x\"}}", "GROUP_VALUE 1:22 /groups/group:g" },
	{ "{\"groups\":{\"group:g\":[\"bob\"]}}", "USER_FORMAT 1:23 /groups/group:g/0" },
	{ "{\"ipsets\":{\"ipset:a\":[\"ipset:b\"],\"ipset:b\":[\"ipset:a\"]}}", "IPSET_CYCLE 1:45 /ipsets/ipset:b/0" },
	{ "{\"ipsets\":{\"ipset:a\":[\"swap 10.0.0.0/8\"]}}", "IPSET_OP 1:23 /ipsets/ipset:a/0" },
	{ "{\"ipsets\":{\"ipset:a\":[\"tag:x\"]}}", "IPSET_MEMBER 1:23 /ipsets/ipset:a/0" },
	{ "{\"postures\":{\"posture:a\":[\"node:os =\"]}}", "POSTURE_SYNTAX 1:27 /postures/posture:a/0" },
	{ "{\"defaultSrcPosture\":[\"posture:a\"]}", "POSTURE_UNDEFINED 1:23 /defaultSrcPosture/0" },
	{ "{\"ssh\":[{\"action\":\"Accept\",\"users\":[\"a\"]}]}", "SSH_ACTION 1:19 /ssh/0/action" },
	{ "{\"ssh\":[{\"action\":\"accept\",\"users\":null}]}", "SSH_USERS 1:9 /ssh/0" },
	{ "{\"ssh\":[{\"action\":\"accept\",\"users\":[\"*\"]}]}", "SSH_USERS 1:37 /ssh/0/users/0" },
	{ "{\"ssh\":[{\"action\":\"accept\",\"users\":[\"a\"],\"checkPeriod\":\"1h\"}]}", "SSH_CHECK_PERIOD 1:56 /ssh/0/checkPeriod" },
	{ "{\"nodeAttrs\":[{\"target\":[\"%bogus%\"]}]}", "NODEATTR_TARGET 1:26 /nodeAttrs/0/target/0" },
	{ "{\"nodeAttrs\":[{\"target\":[\"*\"],\"ipPool\":[\"100.100.100.0/24\"]}]}", "IPPOOL 1:41 /nodeAttrs/0/ipPool/0" },
	{ "{\"autoApprovers\":{\"routes\":{\"x\":[]}}}", "APPROVER 1:29 /autoApprovers/routes/x" },
	{ "{\"sshTests\":[{\"dst\":[\"10.0.0.0/8\"]}]}", "SSH_BAD_DST 1:22 /sshTests/0/dst/0" },
};
/* clang-format on */

static void every_mistake_is_named_where_it_stands(void)
{
	for (size_t i = 0; i < ARRAY_LEN(FILES); i++)
		CHECK_STR(verdict(FILES[i].text), FILES[i].want);
}

static void all_mistakes_of_a_file_are_found(void)
{
	struct policy_issues issues = { 0 };
	struct policy *p = NULL;

	CHECK_EQ(
		policy_parse(SPAN_LIT("{\"x\":1,\n\"acls\":[{\"action\":\"no\",\"src\":[\"tag:a\"],"
	                              "\"dst\":[\"tag:b:1\"]}]}"),
	                     &p, &issues),
		ERR_MALFORMED);
	CHECK_EQ(issues.list.n, 4);
	CHECK_EQ(issues.list.v[0].line, 1);
	CHECK_EQ(issues.list.v[3].code, POLICY_TAG_UNDEFINED);
	policy_issues_done(&issues);
}

static void a_hundred_thousand_group_members_are_read(void)
{
	AUTO_DONE(buf) struct buf text = { 0 };
	AUTO(policy_free) struct policy *p = NULL;
	struct policy_issues issues = { 0 };

	buf_add_str(&text, "{\"groups\":{\"group:all\":[");
	for (unsigned i = 0; i < 100000; i++)
		buf_fmt(&text, "%s\"user%u@example.com\"", i ? "," : "", i);
	buf_add_str(&text, "]}}");
	CHECK_OK(policy_parse(buf_span(&text), &p, &issues));
	CHECK(p && span_eq(policy_source(p), buf_span(&text)));
	policy_issues_done(&issues);
}

/* clang-format off */
static const struct {
	const char *check, *key, *value;
	bool want;
} POSTURES[] = {
	{ "node:os == 'linux'", "node:os", "linux", true },
	{ "node:os != 'linux'", "node:os", "linux", false },
	{ "node:os != 'linux'", "other:x", "", false },
	{ "node:os NOT SET", "other:x", "", true },
	{ "node:os is set", "node:os", "", true },
	{ "node:os in ['a','linux']", "node:os", "linux", true },
	{ "node:os NOT IN ['a','b']", "node:os", "linux", true },
	{ "node:os NOT IN ['a','b']", "other:x", "", false },
	{ "node:tsVersion >= '1.9'", "node:tsVersion", "1.10", true },
	{ "node:tsVersion < '12.0'", "node:tsVersion", "12", true },
	{ "node:tsVersion == '1.09'", "node:tsVersion", "1.9", true },
	{ "custom:score > 9", "custom:score", "10", true },
	{ "custom:score > 9", "custom:score", "ten", false },
	{ "custom:ok", "custom:ok", "true", true },
	{ "custom:ok == true", "custom:ok", "false", false },
};
/* clang-format on */

static void postures_judge_as_the_documentation_says(void)
{
	for (size_t i = 0; i < ARRAY_LEN(POSTURES); i++) {
		AUTO_DONE(arena) struct arena arena = { 0 };
		struct posture_attr attr = { POSTURES[i].key, POSTURES[i].value };
		struct posture_check c;
		const char *why;

		CHECK_OK(posture_parse(&arena, span_str(POSTURES[i].check), &c, &why));
		CHECK_EQ(posture_holds(&c, &attr, 1), POSTURES[i].want);
	}
}

static void malformed_postures_are_refused(void)
{
	static const char *const bad[] = { "",
		                           "os == 'x'",
		                           "node:os = 'x'",
		                           "node:os == x",
		                           "node:os == 'x' y",
		                           "node:os > 'x'",
		                           "node:os IN 'x'",
		                           "node:os IN ['x'",
		                           "node:os == 'x" };

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		AUTO_DONE(arena) struct arena arena = { 0 };
		struct posture_check c;
		const char *why;

		CHECK_EQ(posture_parse(&arena, span_str(bad[i]), &c, &why), ERR_MALFORMED);
	}
}

int main(void)
{
	RUN(every_mistake_is_named_where_it_stands);
	RUN(all_mistakes_of_a_file_are_found);
	RUN(a_hundred_thousand_group_members_are_read);
	RUN(postures_judge_as_the_documentation_says);
	RUN(malformed_postures_are_refused);
	return check_done();
}
