#pragma once
/*
 * A policy file, read and checked: names resolved to numbers, texts to addresses
 * and ports. It knows nothing of the users and nodes of the tailnet; that is the
 * engine's part (engine.h).
 *
 * Every selector of the file is kept once, in `sels`, and spoken of by its index.
 * All memory is the policy's arena.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/ipset.h"
#include "base/json.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/span.h"
#include "base/vec.h"
#include "coordinator/policy/policy.h"
#include "coordinator/policy/posture.h"

enum sel_kind {
	SEL_ALL,
	SEL_USER,
	SEL_DOMAIN, /* user:*@domain */
	SEL_GROUP,
	SEL_TAG,
	SEL_AUTO,
	SEL_LITERAL, /* address, prefix, host name, IP set */
	SEL_SERVICE, /* svc:name: virtual addresses, which no node has */
	SEL_BAD,     /* refused; the policy is, too */
};

/* clang-format off */
#define POLICY_AUTOGROUPS(X) \
	X(MEMBER, "member") X(TAGGED, "tagged") X(SELF, "self") X(INTERNET, "internet") \
	X(DANGER_ALL, "danger-all") X(OWNER, "owner") X(ADMIN, "admin") \
	X(NETWORK_ADMIN, "network-admin") X(IT_ADMIN, "it-admin") \
	X(BILLING_ADMIN, "billing-admin") X(AUDITOR, "auditor") X(SHARED, "shared") \
	X(NONROOT, "nonroot")

enum autogroup {
#define X(name, text) AG_##name,
	POLICY_AUTOGROUPS(X)
#undef X
};
/* clang-format on */

struct sel {
	enum sel_kind kind;
	enum autogroup autogroup; /* SEL_AUTO */
	struct span text;         /* as written, trimmed */
	struct span name;         /* user without a trailing @, domain, "group:x", "tag:x" */
	uint32_t group;           /* SEL_GROUP: index; POLICY_NONE: from the directory */
	struct prefix prefix;     /* SEL_LITERAL that is one prefix */
	bool is_prefix;
	bool internet;       /* the text names the internet (section 9.1) */
	struct ipset ranges; /* SEL_LITERAL, autogroup:internet: sealed; owned by the policy */
	size_t at;           /* where it stands first */
	struct map_node by_text;
	uint32_t index; /* its own, in policy.sels */
};

#define POLICY_NONE UINT32_MAX

struct ids {
	uint32_t *v;
	size_t n, cap;
};

struct spans {
	struct span *v;
	size_t n, cap;
};

struct group {
	struct span name;
	size_t at;
	struct span *members; /* users, without a trailing @; in the arena */
	size_t n;
	bool used;
};

struct host {
	struct span name;
	size_t at;
	struct prefix prefix;
	struct map_node by_name;
	bool used;
};

struct ipset_def {
	struct span name;
	size_t at;
	const struct js *ops; /* an array of strings */
	struct ipset result;
	bool internet, used;
	enum { IPSET_NEW, IPSET_BUSY, IPSET_READY } state;
};

struct tag_def {
	struct span name; /* "tag:x" */
	size_t at;
	struct ids owners; /* selectors */
	struct map_node by_name;
	bool used;
};

struct posture_def {
	struct span name;
	size_t at;
	struct posture_check *checks;
	size_t n;
	bool used;
};

/* Protocol -1: whatever the client takes by default. */
struct port_range {
	int proto;
	uint16_t first, last;
};

struct rule_dst {
	uint32_t sel;
	uint32_t port_first, port_n; /* in the rule's ports */
};

/* An ACL or a grant. */
struct rule {
	size_t at;
	struct ids src;
	struct ids postures;
	VEC(struct rule_dst) dst;
	VEC(struct port_range) ports;
	const struct js *app; /* object, or NULL */
	struct ids via;       /* SEL_TAG */
	bool is_acl;
	bool has_self; /* autogroup:self among the destinations */
	bool internet; /* a destination names the internet */
};

enum ssh_action { SSH_ACCEPT, SSH_CHECK };

struct ssh_rule {
	size_t at;
	enum ssh_action action;
	struct ids src, dst, postures;
	VEC(struct span) users;      /* plain logins, in order */
	VEC(struct span) localparts; /* domains */
	bool nonroot;
	int64_t check_period_us; /* 0: always */
	bool custom_period;
	VEC(struct span) accept_env;
	struct ids recorders;
	bool enforce_recorder;
};

struct approver {
	struct prefix prefix;
	struct ids who;
};

struct node_attr {
	size_t at;
	struct ids target;
	VEC(struct span) attrs;
	const struct js *app;
	VEC(struct prefix) ip_pool;
};

struct policy_test {
	size_t at;
	struct span src, proto_text;
	int proto; /* -1: any of the default ones */
	bool bad_proto;
	struct spans accept, deny;
	const struct js *posture_attrs;
};

struct policy_ssh_test {
	size_t at;
	struct span src;
	struct spans dst, accept, check, deny;
};

struct policy {
	struct arena arena;
	char *source; /* byte for byte */
	size_t source_n;
	const struct js *root;

	VEC(struct sel *) sels;
	struct map sel_by_text;
	VEC(struct group) groups;
	struct host *hosts;
	size_t n_hosts;
	struct map host_by_name;
	VEC(struct ipset_def) ipsets;
	struct tag_def *tags;
	size_t n_tags;
	struct map tag_by_name;
	VEC(struct posture_def) postures;
	struct ids default_postures;

	VEC(struct rule) rules; /* without "acls" and "grants": one that allows all */
	VEC(struct ssh_rule) ssh;
	VEC(struct approver) route_approvers;
	struct ids exit_approvers;
	VEC(struct node_attr) attrs;
	VEC(struct policy_test) tests;
	VEC(struct policy_ssh_test) ssh_tests;

	bool randomize_client_port, disable_ipv4;
	struct span one_cgnat; /* "", "mac-always", "mac-never" */
	const struct js *derp_map, *attr_config;
};
