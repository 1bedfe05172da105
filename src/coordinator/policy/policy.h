#pragma once
/*
 * The policy file of a tailnet: who reaches what.
 *
 *	policy_parse	text -> policy, or every error in it with line and column
 *	engine.h	policy + users + nodes -> filters, visibility, SSH, attributes
 *	tests.h		the tests inside the file, run before it is accepted
 *
 * The language is Tailscale's and Headscale's: HuJSON with groups, hosts, ipsets,
 * tagOwners, postures, acls, grants, ssh, autoApprovers, nodeAttrs, tests.
 */
#include "base/own.h"
#include "base/span.h"
#include "coordinator/policy/issue.h"

struct policy;

enum { POLICY_TEXT_MAX = 32 << 20 };

/*
 * Reads and checks. Warnings and errors are appended to issues, sorted and with
 * their places filled in. ERR_MALFORMED if there was an error; *ret is not written then.
 */
NODISCARD int policy_parse(struct span text, struct policy **ret, struct policy_issues *issues);
void policy_free(struct policy *p);
DEFINE_AUTO(policy_free, struct policy *)

/* The text it was made from, byte for byte. */
struct span policy_source(const struct policy *p);
/* Is the tag declared? */
bool policy_has_tag(const struct policy *p, struct span tag);
/* The i-th tag declared, in the order of the file; false: there are fewer. */
bool policy_tag_at(const struct policy *p, size_t i, struct span *ret);
/* attrConfig: may a node set this attribute of its own? */
bool policy_attr_by_node(const struct policy *p, struct span attr);
/* The tailnet-wide options. */
bool policy_randomize_client_port(const struct policy *p);
/* The derpMap section as JSON text in the buffer; false: there is none. */
struct buf;
bool policy_derp_map(const struct policy *p, struct buf *out);

/* What is wrong with the file goes to standard error. */
NODISCARD int policy_check_file(const char *path);
/*
 * `fairlead-coordinator policy ...`: check FILE, compile --case FILE, without a server.
 * argv[0] is "policy". An exit status.
 */
int policy_cmd_main(int argc, char **argv);
