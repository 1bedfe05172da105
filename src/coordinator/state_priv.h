#pragma once
/* What the files of the state share; nobody else includes this. */
#include "base/buf.h"
#include "coordinator/state.h"

struct state {
	struct state_cfg cfg;
	struct state_env env;
	struct store *store;

	struct map users, nodes, auth_keys, api_keys; /* by id */
	struct map auth_key_by_prefix;
	uint64_t next_user, next_node, next_auth_key, next_api_key;
	struct map node_by_key, node_by_machine, node_by_name, node_by_ip4, node_by_ip6;
	size_t online;

	struct ipam ipam;
	struct routes routes;
	struct node_ids unhealthy; /* routers that do not answer probes */
	struct node_ids dirty;     /* applied, not yet written */
	bool settled;              /* nodes had time to come back after the start */
	wall ticked;               /* expiries up to here were announced */

	uint64_t seq;
	struct change *journal; /* ring of JOURNAL_LEN */
};

/*
 * A command's effect: records to put, ids to delete. What is set is written in
 * one transaction, then applied, then entered in the journal. The records are
 * taken in any case.
 */
struct command {
	struct user *user;
	struct node *node;
	struct auth_key *auth_key;
	struct api_key *api_key;
	uint64_t del_user, del_node, del_auth_key, del_api_key;
	bool is_new;   /* the record put did not exist */
	unsigned what; /* enum node_change of `node` */
	bool set_policy;
	struct span policy;

	const char *actor, *action; /* action NULL: not for the audit log */
	char *before;               /* JSON, taken; NULL: it did not exist */
	wall now;
};
NODISCARD int state_apply(struct state *st, struct command *c);

/* Tables only; no store, no journal. */
void state_put_user(struct state *st, struct user *u);
void state_put_node(struct state *st, struct node *n);
void state_put_auth_key(struct state *st, struct auth_key *k);
void state_put_api_key(struct state *st, struct api_key *k);
void state_drop_user(struct state *st, uint64_t id);
void state_drop_node(struct state *st, uint64_t id);
void state_drop_auth_key(struct state *st, uint64_t id);
void state_drop_api_key(struct state *st, uint64_t id);
struct node *state_node_mut(struct state *st, uint64_t id);

void state_journal(struct state *st, enum change_kind kind, uint64_t id, unsigned what);
/* Elects primaries anew and tells about those that moved. */
void state_reroute(struct state *st);

/* A node applied at once and written at the next flush. Takes next. */
void state_apply_soft(struct state *st, struct node *next, unsigned what);

/* The users' and the keys' fields as JSON for the audit log. */
char *audit_user(const struct user *u);
char *audit_node(const struct node *n);
char *audit_auth_key(const struct auth_key *k);
char *audit_api_key(const struct api_key *k);

/* A free address of each family the node lacks; a DNS label of its own. */
NODISCARD int state_give_addresses(struct state *st, struct node *n);
void state_give_name(struct state *st, struct node *n);
/* Approves what the policy says of the node's advertised routes. True if something changed. */
bool state_approve_by_policy(struct state *st, struct node *n);
