#pragma once
/*
 * The tailnet: the one truth about users, nodes, keys and routes, in memory over
 * a store.
 *
 * Shape	A command is checked, written to the store in one transaction,
 *		applied to memory and entered in the journal, in that order, in
 *		state_apply (state_apply.c). A command that fails changes nothing.
 *		Readers hold `const struct state *`; what it gives is good until the
 *		next command. Records are replaced, never changed in place.
 * Journal	Every change has a number. Whoever follows (map sessions) keeps the
 *		number it has seen and asks for what came after; who fell too far
 *		behind starts again from the whole.
 * Presence	online, last seen, endpoints and what a node reports of itself are
 *		applied at once and written within a second, many in one transaction.
 * Threads	that of the loop.
 */
#include "base/fault.h"
#include "base/json.h"
#include "base/own.h"
#include "base/rand.h"
#include "coordinator/ipam.h"
#include "coordinator/model.h"
#include "coordinator/routes.h"
#include "coordinator/secret.h"
#include "coordinator/store.h"

enum {
	JOURNAL_LEN = 1 << 16, /* changes kept for those who follow; a power of two */
	STATE_USERS_MAX = 200000,
	STATE_NODES_MAX = 1000000,
	STATE_KEYS_MAX = 100000,
};

enum change_kind {
	CHANGE_NODE,   /* id: the node; what: the fields */
	CHANGE_USER,   /* id: the user; its profile */
	CHANGE_POLICY, /* who sees whom, filters, SSH rules, node attributes */
	CHANGE_DNS,
	CHANGE_DERP,
};

/* Of CHANGE_NODE. */
enum node_change {
	NODE_ADDED = 1 << 0,
	NODE_REMOVED = 1 << 1,
	NODE_KEY = 1 << 2,
	NODE_DISCO = 1 << 3,
	NODE_ENDPOINTS = 1 << 4,
	NODE_HOME_DERP = 1 << 5,
	NODE_ONLINE = 1 << 6,
	NODE_EXPIRY = 1 << 7,
	NODE_HOSTINFO = 1 << 8, /* what peers see of it */
	NODE_NAME = 1 << 9,
	NODE_ROUTES = 1 << 10, /* approved, advertised or primary */
	NODE_OWNER = 1 << 11,  /* user or tags: who sees it may change */
	NODE_AUTHORIZED = 1 << 12,
	NODE_CAPVER = 1 << 13,
	NODE_ATTRS = 1 << 14, /* postures may hold, or not any more */
	/* What a patch can say; everything else needs the whole node. */
	NODE_PATCHABLE = NODE_KEY | NODE_DISCO | NODE_ENDPOINTS | NODE_HOME_DERP | NODE_ONLINE |
	                 NODE_EXPIRY | NODE_CAPVER,
	/* What the policy looks at. */
	NODE_CLASSIFYING = NODE_ADDED | NODE_REMOVED | NODE_OWNER | NODE_ROUTES | NODE_AUTHORIZED,
	/* The same, and what its postures and elections look at. */
	NODE_JUDGED = NODE_CLASSIFYING | NODE_ONLINE | NODE_HOSTINFO | NODE_ATTRS,
};

struct change {
	uint64_t seq; /* from 1 */
	enum change_kind kind;
	unsigned what;
	uint64_t id;
};

/* What the state asks of the world above it. */
struct state_env {
	struct rand_src *rand;
	/* After each change, in order. */
	void (*changed)(void *arg, const struct change *c);
	/* Policy: may this user (0: nobody) or a node with these tags carry the tag? */
	bool (*may_tag)(void *arg, const struct user *u, const struct texts *tags, const char *tag);
	/* Does the tag exist in the policy at all? */
	bool (*tag_known)(void *arg, const char *tag);
	/* Policy: is the route approved for this node without an administrator? */
	bool (*auto_approves)(void *arg, const struct node *n, const struct prefix *route);
	/* Policy: where new addresses of this node are taken from, while there are any. Optional.
	 */
	void (*ip_pools)(void *arg, const struct node *n, struct prefixes *ret);
	void *arg;
};

struct state_cfg {
	struct prefix v4, v6; /* an all-zero address with 0 bits: none of that family */
	enum ipam_order order;
	int64_t node_expiry_us; /* default life of a key; 0: for ever */
	bool device_approval;   /* new devices wait for an administrator */
};

struct state;

/* Loads everything. The store becomes the state's on success. */
NODISCARD int state_new(const struct state_cfg *cfg, const struct state_env *env,
                        struct store *store, struct state **ret);
void state_free(struct state *st);
DEFINE_AUTO(state_free, struct state *)
struct store *state_store(const struct state *st);
const struct state_cfg *state_config(const struct state *st);

/* ---- reading ---- */

const struct node *state_node(const struct state *st, uint64_t id);
const struct node *state_node_by_key(const struct state *st, const struct node_pub *key);
const struct node *state_node_by_name(const struct state *st, struct span given_name);
const struct node *state_node_by_ip(const struct state *st, const struct ip *ip);
/* The nodes of one machine: NULL to start, the last one to go on. */
const struct node *state_node_of_machine(const struct state *st, const struct machine_pub *key,
                                         const struct node *after);
size_t state_node_count(const struct state *st);
size_t state_online_count(const struct state *st);

const struct user *state_user(const struct state *st, uint64_t id);
const struct user *state_user_by_name(const struct state *st, struct span name);
const struct user *state_user_by_provider(const struct state *st, struct span provider_id);
const struct auth_key *state_auth_key(const struct state *st, uint64_t id);
const struct auth_key *state_auth_key_by_prefix(const struct state *st, const char *prefix);
const struct api_key *state_api_key(const struct state *st, uint64_t id);
const struct api_key *state_api_key_by_prefix(const struct state *st, const char *prefix);

/* All, sorted by id: appended to the vector. Views, good until the next command. */
struct node_list {
	const struct node **v;
	size_t n, cap;
};
struct user_list {
	const struct user **v;
	size_t n, cap;
};
struct auth_key_list {
	const struct auth_key **v;
	size_t n, cap;
};
struct api_key_list {
	const struct api_key **v;
	size_t n, cap;
};
void state_nodes(const struct state *st, struct node_list *ret);
void state_users(const struct state *st, struct user_list *ret);
void state_auth_keys(const struct state *st, struct auth_key_list *ret);
void state_api_keys(const struct state *st, struct api_key_list *ret);

/* Routes this node carries now: its primaries, and the exit routes it serves. */
void state_served_routes(const struct state *st, const struct node *n, bool with_exit,
                         struct prefixes *ret);
const struct routes *state_routes(const struct state *st);

/* The number of the newest change. */
uint64_t state_seq(const struct state *st);
/* Change number seq; NULL if it is no longer kept or not yet there. */
const struct change *state_change(const struct state *st, uint64_t seq);

/* ---- commands: users ---- */

/*
 * Errors all commands share: ERR_UNKNOWN (no such record), ERR_EXISTS (a unique
 * value is taken), ERR_LIMIT, ERR_MALFORMED, ERR_STORE. Where a person reads the
 * answer, `reterr` says more (NULL is allowed).
 *
 * actor: who did it, for the audit log.
 */
struct user_spec {
	struct span name, display_name, email, provider, provider_id, picture_url;
	const struct texts *groups; /* NULL: none */
};
NODISCARD int state_user_create(struct state *st, const struct user_spec *spec, wall now,
                                const char *actor, const struct user **ret, struct fault *reterr);
/* A login by the identity provider: finds the user by provider_id, or makes it; updates the rest.
 */
NODISCARD int state_user_login(struct state *st, const struct user_spec *spec, wall now,
                               const struct user **ret);
NODISCARD int state_user_rename(struct state *st, uint64_t id, struct span name, wall now,
                                const char *actor, struct fault *reterr);
/* One of POL_ROLES, or "". */
NODISCARD int state_user_set_role(struct state *st, uint64_t id, struct span role, wall now,
                                  const char *actor, struct fault *reterr);
/* ERR_BADSTATE while it owns nodes. Its pre-auth keys go with it. */
NODISCARD int state_user_delete(struct state *st, uint64_t id, wall now, const char *actor,
                                struct fault *reterr);

/* ---- commands: keys ---- */

struct auth_key_spec {
	uint64_t user_id; /* 0 only with tags */
	bool reusable, ephemeral;
	wall expiry;
	const struct texts *tags;
	struct span description;
};
NODISCARD int state_auth_key_create(struct state *st, const struct auth_key_spec *spec, wall now,
                                    const char *actor, struct secret *ret_secret,
                                    const struct auth_key **ret, struct fault *reterr);
NODISCARD int state_auth_key_expire(struct state *st, uint64_t id, wall now, const char *actor);
NODISCARD int state_auth_key_delete(struct state *st, uint64_t id, wall now, const char *actor);

NODISCARD int state_api_key_create(struct state *st, wall expiry, wall now, const char *actor,
                                   struct secret *ret_secret, const struct api_key **ret);
NODISCARD int state_api_key_expire(struct state *st, uint64_t id, wall now, const char *actor);
NODISCARD int state_api_key_delete(struct state *st, uint64_t id, wall now, const char *actor);
/* The bearer's key, valid now. ERR_AUTH */
NODISCARD int state_api_key_verify(struct state *st, struct span text, wall now,
                                   const struct api_key **ret);

/* ---- commands: nodes ---- */

/* What a node asks for when it registers, already authenticated. */
struct node_claim {
	struct machine_pub machine;
	struct node_pub key, old_key; /* old_key: all zero, or the key it replaces */
	unsigned capver;
	struct span hostinfo; /* JSON */
	wall expiry;          /* wished for; 0: none */
	bool ephemeral;
};

/*
 * Registers with a pre-auth key; a one-off key is spent in the same transaction.
 *   ERR_AUTH	not valid; reterr has the words the client shows
 */
NODISCARD int state_register_with_key(struct state *st, const struct node_claim *claim,
                                      struct span key_text, wall now, const struct node **ret,
                                      struct fault *reterr);
/* For a user who logged in, or whom an administrator named. expiry 0: the configured default. */
NODISCARD int state_register_for_user(struct state *st, const struct node_claim *claim,
                                      uint64_t user_id, enum register_method method, wall expiry,
                                      wall now, const char *actor, const struct node **ret,
                                      struct fault *reterr);

/* What a map request reports. Applied where it differs. */
struct node_report {
	const struct disco_pub *disco;     /* NULL or zero: as it was */
	const struct endpoints *endpoints; /* NULL: as they were */
	struct span hostinfo;
	unsigned capver;
};
NODISCARD int state_node_report(struct state *st, uint64_t id, const struct node_report *report);
/* Presence. Unknown ids are ignored. */
void state_node_online(struct state *st, uint64_t id, bool online, wall now);
/* The result of a route probe. */
void state_node_healthy(struct state *st, uint64_t id, bool healthy);

NODISCARD int state_node_rename(struct state *st, uint64_t id, struct span name, wall now,
                                const char *actor, struct fault *reterr);
/* Replaces the set; never empty. */
NODISCARD int state_node_set_tags(struct state *st, uint64_t id, const struct texts *tags, wall now,
                                  const char *actor, struct fault *reterr);
/* Replaces the set; one default route brings the other. */
NODISCARD int state_node_approve_routes(struct state *st, uint64_t id,
                                        const struct prefixes *routes, wall now, const char *actor);
/* The key ends at that time; 0: never. */
NODISCARD int state_node_expire(struct state *st, uint64_t id, wall at, wall now,
                                const char *actor);
NODISCARD int state_node_authorize(struct state *st, uint64_t id, wall now, const char *actor);
/* Attributes that the policy's postures ask for: attributes.h. expiry 0: none. */
NODISCARD int state_node_set_attrs(struct state *st, uint64_t id, const struct js *update,
                                   wall expiry, wall now, const char *actor, struct fault *reterr);
NODISCARD int state_node_move(struct state *st, uint64_t id, uint64_t user_id, wall now,
                              const char *actor);
NODISCARD int state_node_delete(struct state *st, uint64_t id, wall now, const char *actor);
/* Gives addresses of families that a node lacks. Appends a line per change. */
NODISCARD int state_backfill_ips(struct state *st, wall now, const char *actor, struct texts *ret);

/* ---- commands: the rest ---- */

/* An entry of the audit log that changes no record: what a node says it did. details: JSON. */
NODISCARD int state_note(struct state *st, const char *actor, const char *action,
                         const char *target, const char *details, wall now);
/* Keeps the text; whoever compiles it calls this after it was accepted. */
NODISCARD int state_policy_save(struct state *st, struct span text, wall now, const char *actor);
/* Routes that are advertised, and approved by the policy as it is now. */
void state_auto_approve(struct state *st, wall now);
/* Enters a change of something that is not the state's own: policy, DNS, relays. */
void state_announce(struct state *st, enum change_kind kind);

/*
 * Time passes: keys that expired are announced, ephemeral nodes that stayed away
 * for inactivity_us are deleted. Call every few seconds.
 */
void state_tick(struct state *st, wall now, int64_t inactivity_us);
/*
 * Whoever was there before the start has come back by now: a router that has not,
 * carries nothing any more.
 */
void state_settle(struct state *st);
/* Writes what was only applied. Call within a second of a change, and before the end. */
NODISCARD int state_flush(struct state *st);
bool state_is_dirty(const struct state *st);

/* A record from elsewhere, as it is, id included (import). ERR_EXISTS; taken in any case. */
NODISCARD int state_import_user(struct state *st, struct user *u, wall now, const char *actor);
NODISCARD int state_import_node(struct state *st, struct node *n, wall now, const char *actor);
NODISCARD int state_import_auth_key(struct state *st, struct auth_key *k, wall now,
                                    const char *actor);
NODISCARD int state_import_api_key(struct state *st, struct api_key *k, wall now,
                                   const char *actor);
