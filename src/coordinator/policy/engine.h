#pragma once
/*
 * A policy at work on a tailnet: given the users and nodes, it says who sees
 * whom, what each node's packet filter lets in, which routes a peer is shown
 * with, who may log in by SSH, and which attributes a node has.
 *
 * Shape	Nodes that stand alike towards every rule share a class; who sees
 *		whom is decided between classes. Sources of rules are interned, so
 *		a change touches the sets it flips and says which rules those are;
 *		nothing is ever computed for pairs of nodes.
 * Time		putting or removing a node: the selectors of the policy, once.
 *		peers: the classes, then the peers found. A filter: the rules.
 * Threads	that of the owner. What queries return is good until the next
 *		change, unless it says otherwise.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/ip.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/own.h"
#include "base/span.h"
#include "base/vec.h"
#include "coordinator/policy/policy.h"
#include "coordinator/policy/posture.h"

struct pol_engine;

/* clang-format off */
#define POL_ROLES(X) \
	X(MEMBER, "member") X(OWNER, "owner") X(ADMIN, "admin") X(NETWORK_ADMIN, "network-admin") \
	X(IT_ADMIN, "it-admin") X(BILLING_ADMIN, "billing-admin") X(AUDITOR, "auditor")

enum pol_role {
#define X(name, text) POL_ROLE_##name,
	POL_ROLES(X)
#undef X
};
/* clang-format on */

/* " member owner ..." */
extern const char pol_role_names[];
/* False: no such role. */
bool pol_role_parse(struct span text, enum pol_role *ret);

struct pol_user {
	uint64_t id;
	const char *name, *email,
		*subject; /* subject: the provider's identifier; NULL or "": none */
	enum pol_role role;
	const char *const *groups; /* of the directory, "group:x@domain" or "x" */
	size_t n_groups;
};

struct pol_node {
	uint64_t id;
	const char *name;   /* for messages */
	uint64_t user;      /* 0: none; ignored while there are tags */
	struct ip ip4, ip6; /* all zero: none of that family */
	const char *const *tags;
	size_t n_tags;
	const struct prefix *routes; /* advertised and approved, default routes included */
	size_t n_routes;
	const struct posture_attr *attrs;
	size_t n_attrs;
	bool usable; /* online and healthy: may be elected for a via route */
};

/* Takes the policy; NULL: none, which allows everything inside the tailnet. */
struct pol_engine *pol_engine_new(struct policy *take);
void pol_engine_free(struct pol_engine *e);
DEFINE_AUTO(pol_engine_free, struct pol_engine *)
const struct policy *pol_engine_policy(const struct pol_engine *e); /* NULL: none */

/*
 * All users, in place of those before; every node is looked at again. Findings:
 * AMBIGUOUS_USER errors (a token that means two users) and UNKNOWN_USER warnings.
 * issues may be NULL.
 */
void pol_engine_users(struct pol_engine *e, const struct pol_user *users, size_t n,
                      struct policy_issues *issues);

/* What a change of one node means for the others. */
struct pol_change {
	bool any;          /* something the policy looks at is different */
	bool sources;      /* some rule's sources: ask pol_filter_touched */
	bool routes;       /* the approved routes of the tailnet: every "*" source */
	bool ssh;          /* some SSH rule's principals */
	uint64_t users[2]; /* owners before and after; their autogroup:self rules */
	uint64_t *rules; /* bits of rules whose sources changed; the engine's, until the next change
	                  */
};

/* Adds the node or puts it in place of the one with its id. Everything is copied. */
void pol_engine_put(struct pol_engine *e, const struct pol_node *n, struct pol_change *ret);
/* Unknown ids are ignored. */
void pol_engine_remove(struct pol_engine *e, uint64_t id, struct pol_change *ret);
/* May the node's filter be different after this change? Its own change always counts. */
bool pol_filter_touched(const struct pol_engine *e, uint64_t node, const struct pol_change *c);
/*
 * Changes are numbered. What of this node may be different from what it was when
 * the number was `since`; 0: nothing.
 */
enum pol_touch {
	POL_TOUCH_RULES = 1 << 0, /* its filter and SSH rules */
	POL_TOUCH_ATTRS = 1 << 1,
};
uint64_t pol_engine_seq(const struct pol_engine *e);
unsigned pol_touched_since(struct pol_engine *e, uint64_t node, uint64_t since);
size_t pol_engine_classes(const struct pol_engine *e);

/* ---- who sees whom ---- */

/* Is each in the other's map? Symmetric; false for a node itself and for unknown ids. */
bool pol_sees(const struct pol_engine *e, uint64_t a, uint64_t b);

/*
 * Nodes with one key see the same nodes and are seen by the same, all of each
 * other or none, and are shown the same routes. Keys of two engines do not compare.
 * Never 0 but for unknown ids.
 */
uint64_t pol_class_key(const struct pol_engine *e, uint64_t id);

struct pol_ids {
	uint64_t *v;
	size_t n, cap;
};
/* Everyone the node sees, in no order, each once; appended. */
void pol_peers(const struct pol_engine *e, uint64_t id, struct pol_ids *ret);

/* ---- filters ---- */

/* The sources of a rule, shared by all who have it. */
struct pol_src {
	const char **v;
	size_t n;
	struct span json; /* as a JSON array */
};

struct pol_dst {
	const char *ip;
	uint16_t first, last;
};

struct pol_cap {
	struct span name, values; /* values: JSON, an array or null */
};

struct pol_grant {
	struct prefix *dsts;
	size_t n_dsts;
	struct pol_cap *caps;
	size_t n_caps;
};

/* As tailcfg.FilterRule: either destinations or grants. */
struct pol_filter_rule {
	const struct pol_src *src;
	int proto; /* -1: the client's default */
	VEC(struct pol_dst) dst;
	VEC(struct pol_grant) grants;
};

struct pol_filter {
	struct arena arena;
	VEC(struct pol_filter_rule) rules;
};

/* ret: zeroed or used before, is filled anew. */
void pol_filter_of(struct pol_engine *e, uint64_t id, struct pol_filter *ret);
void pol_filter_done(struct pol_filter *f);
/*
 * As clients read it; or short, as people and the test cases write it: destinations
 * as "ip:ports", principals as addresses, the action as a word.
 */
enum pol_form { POL_WIRE, POL_SHORT };
/* A JSON array of FilterRule. */
void pol_filter_write(const struct pol_filter *f, enum pol_form form, struct js_wr *w);
void pol_filter_json(const struct pol_filter *f, struct buf *out); /* POL_WIRE */

/* ---- routes ---- */

/* Who carries a subnet route now: the node's id, 0 for nobody. */
struct pol_primaries {
	uint64_t (*of)(void *arg, const struct prefix *route);
	void *arg;
};

struct pol_prefixes {
	struct prefix *v;
	size_t n, cap;
};

/*
 * The routes, beyond its own addresses, that the viewer's map shows in the peer's
 * AllowedIPs; sorted, appended. viewer == peer: all its own approved routes.
 */
void pol_routes_shown(const struct pol_engine *e, uint64_t viewer, uint64_t peer,
                      const struct pol_primaries *primaries, struct pol_prefixes *ret);
/* Node.Addresses: both families, or IPv6 alone under disable-ipv4. */
void pol_addresses(const struct pol_engine *e, uint64_t id, struct pol_prefixes *ret);

/* ---- approval and ownership ---- */

/* Is a route this node advertises approved without an administrator? The node need not be put. */
bool pol_auto_approves(const struct pol_engine *e, const struct pol_node *n,
                       const struct prefix *route);
/* May this user, or a node that holds these tags, ask for the tag? */
bool pol_may_tag(const struct pol_engine *e, uint64_t user, const char *const *tags, size_t n_tags,
                 struct span tag);

/* ---- attributes ---- */

struct pol_attr {
	struct span name;
	struct span values; /* JSON: null, or an array */
};
struct pol_attrs {
	struct arena arena;
	VEC(struct pol_attr) list; /* sorted by name, each once */
};
/* What nodeAttrs and the tailnet-wide options give the node's CapMap. */
void pol_attrs_of(const struct pol_engine *e, uint64_t id, struct pol_attrs *ret);
void pol_attrs_done(struct pol_attrs *a);
bool pol_has_attr(const struct pol_engine *e, uint64_t id, const char *name);
/* The part of them that others see in their view of this peer. */
void pol_peer_attrs_of(const struct pol_engine *e, uint64_t id, struct pol_attrs *ret);
/* The address pools (ipPool) for a node, of new addresses; appended. */
void pol_ip_pools(const struct pol_engine *e, const struct pol_node *n, struct pol_prefixes *ret);

/* ---- SSH ---- */

struct pol_login {
	struct span asked, local; /* local: "" refuses, "=" is the name asked for */
};

struct pol_ssh_rule {
	const char **principals;
	size_t n_principals;
	struct pol_login *logins;
	size_t n_logins;
	bool check;
	int64_t check_period_us; /* 0: always ask */
	bool custom_period;
	struct span *accept_env;
	size_t n_accept_env;
};

struct pol_ssh {
	struct arena arena;
	VEC(struct pol_ssh_rule) rules;
};

/* The rules of a destination, in order. Without any the node gets no SSH policy. */
void pol_ssh_of(const struct pol_engine *e, uint64_t id, struct pol_ssh *ret);
void pol_ssh_done(struct pol_ssh *s);
/* The rules, a JSON array. */
void pol_ssh_write(const struct pol_ssh *s, enum pol_form form, const char *server,
                   struct js_wr *w);
/* tailcfg.SSHPolicy; server is the URL that check rules delegate to, without a trailing slash. */
void pol_ssh_json(const struct pol_ssh *s, const char *server, struct buf *out);
/*
 * The first rule that lets the source in as the login; NULL: none.
 */
const struct pol_ssh_rule *pol_ssh_match(const struct pol_ssh *s, const char *principal,
                                         struct span login);
bool pol_has_ssh(const struct pol_engine *e);
/* For a check: how long ago the pair may have authenticated. False: no check rule applies. */
bool pol_ssh_check_period(const struct pol_engine *e, uint64_t src, uint64_t dst, struct span login,
                          int64_t *ret_us, bool *ret_custom);
