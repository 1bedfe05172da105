#pragma once
/*
 * The records of a tailnet: users, nodes, keys. What is written to the store,
 * held in memory and shown to administrators is one of these.
 *
 * Shape	A record is built, then handed to the state (state.h) and never
 *		changed again: a change is a clone with other fields that takes
 *		the old one's place. A pointer read from the state is good until
 *		the next command; model_ref keeps a node longer.
 * Threads	none inside.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/ip.h"
#include "base/map.h"
#include "base/own.h"
#include "base/time.h"
#include "base/vec.h"
#include "crypto/keys.h"

enum {
	NAME_MAX_LEN = 63,    /* a DNS label */
	MODEL_TEXT_MAX = 512, /* names, e-mail, picture URLs */
	NODE_TAGS_MAX = 64,
	NODE_ROUTES_MAX = 1024,
	NODE_ENDPOINTS_MAX = 64,
	NODE_HOSTINFO_MAX = 64 << 10,
};

/* The owner that tagged nodes show to clients and in listings. */
#define USER_TAGGED_ID UINT64_C(2147455555)

struct texts {
	char **v;
	size_t n, cap;
};

void texts_done(struct texts *t);
void texts_add(struct texts *t, struct span text);
void texts_copy(struct texts *dst, const struct texts *src);
bool texts_has(const struct texts *t, const char *text);
bool texts_eq(const struct texts *a, const struct texts *b);
/* Sorted, each once. */
void texts_normalise(struct texts *t);
/* "a b c": how lists are kept in the store. Members have no spaces. */
char *texts_join(const struct texts *t);
void texts_split(struct texts *t, struct span joined);

struct prefixes {
	struct prefix *v;
	size_t n, cap;
};

void prefixes_done(struct prefixes *p);
void prefixes_copy(struct prefixes *dst, const struct prefixes *src);
bool prefixes_has(const struct prefixes *p, const struct prefix *one);
bool prefixes_eq(const struct prefixes *a, const struct prefixes *b);
void prefixes_normalise(struct prefixes *p);
char *prefixes_join(const struct prefixes *p);
/* ERR_MALFORMED, ERR_LIMIT */
NODISCARD int prefixes_split(struct prefixes *p, struct span joined);

struct endpoints {
	struct addr *v;
	size_t n, cap;
};

void endpoints_done(struct endpoints *e);
bool endpoints_eq(const struct endpoints *a, const struct endpoints *b);
char *endpoints_join(const struct endpoints *e);
NODISCARD int endpoints_split(struct endpoints *e, struct span joined);

struct user {
	struct map_node by_id; /* private to the state */
	uint64_t id;
	char *name; /* unique among users without a provider; may be empty with one */
	char *display_name;
	char *email;
	char *provider;    /* "oidc" or empty */
	char *provider_id; /* issuer/subject; empty for local users */
	char *picture_url;
	struct texts groups; /* as the identity provider named them at the last login */
	char *role;          /* of POL_ROLES; "": a member */
	wall created;
	unsigned nodes; /* how many it owns; the state counts */
};

struct user *user_new(void);
struct user *user_clone(const struct user *u);
void user_free(struct user *u);
DEFINE_AUTO(user_free, struct user *)
/* What a person is shown: name, else e-mail, else the provider's identifier, else the id. */
const char *user_login(const struct user *u, char dst[static 24]);

enum register_method {
	REGISTER_UNSPECIFIED,
	REGISTER_AUTH_KEY,
	REGISTER_CLI,
	REGISTER_OIDC,
};

const char *register_method_text(enum register_method m); /* "authkey", "cli", "oidc", "" */
enum register_method register_method_parse(struct span text);

/* The node as its peers see it, encoded; the map's (mapjson.h). Of one record, and gone with it. */
struct peer_cache {
	uint64_t version;
	size_t n;
	void *json;
};

struct node {
	struct map_node by_id, by_key, by_machine, by_name, by_ip4, by_ip6; /* the state's */
	unsigned refs;

	uint64_t id;
	struct machine_pub machine;
	struct node_pub key;
	struct disco_pub disco;
	struct ip ip4, ip6; /* all zero: none of this family */
	char *hostname;     /* as the client says it */
	char *given_name;   /* the DNS label, unique */
	bool renamed;       /* given_name is an administrator's: hostname changes leave it */
	uint64_t user_id;   /* 0: tagged */
	struct texts tags;  /* sorted; not empty means no user */
	enum register_method method;
	uint64_t auth_key_id; /* 0: none */
	bool ephemeral;
	bool authorized; /* false while an administrator has to approve the device */
	wall created, last_seen;
	wall expiry; /* of the key; 0: never */
	struct prefixes approved;
	char *attrs;      /* attributes.h; NULL: none */
	wall attrs_until; /* when the first of them ends; 0: none does */

	/* What the node reports of itself. */
	unsigned capver;
	struct endpoints endpoints;
	char *hostinfo; /* compact JSON without NetInfo; NULL: none yet */
	char *netinfo;  /* compact JSON; NULL: none yet */
	char *os;
	unsigned home_derp;
	struct prefixes advertised; /* Hostinfo.RoutableIPs */
	struct texts request_tags;  /* Hostinfo.RequestTags */

	/* Not stored. */
	bool online;
	uint64_t version; /* the journal's number of its last change */
	struct peer_cache *cache;
};

struct node *node_record_new(void);
struct node *node_clone(const struct node *n); /* with one reference and no place in any table */
struct node *node_ref(struct node *n);
void node_unref(struct node *n);
DEFINE_AUTO(node_unref, struct node *)

static inline bool node_expired(const struct node *n, wall now)
{
	return n->expiry.us != 0 && n->expiry.us <= now.us;
}

static inline bool node_is_tagged(const struct node *n)
{
	return n->tags.n > 0;
}

/* Advertised and approved. */
bool node_serves(const struct node *n, const struct prefix *route);
/* Approved and advertised 0.0.0.0/0 and ::/0. */
bool node_is_exit(const struct node *n);

struct auth_key {
	uint64_t id;
	char *prefix;     /* shown in listings; finds the key */
	char *hash;       /* see secret.h */
	uint64_t user_id; /* 0: a tagged key without an owner */
	bool reusable, ephemeral, used, revoked;
	struct texts tags;
	wall created, expiry; /* expiry 0: never */
	char *description;
};

struct auth_key *auth_key_new(void);
struct auth_key *auth_key_clone(const struct auth_key *k);
void auth_key_free(struct auth_key *k);
DEFINE_AUTO(auth_key_free, struct auth_key *)

struct api_key {
	uint64_t id;
	char *prefix, *hash;
	wall created, expiry, last_seen;
};

struct api_key *api_key_new(void);
struct api_key *api_key_clone(const struct api_key *k);
void api_key_free(struct api_key *k);
DEFINE_AUTO(api_key_free, struct api_key *)

/* One line of the audit log: who changed what, and how it was before and after (JSON). */
struct audit_entry {
	uint64_t id;
	wall at;
	const char *actor;          /* "socket:uid=0", "api:PREFIX", "node:17", "system" */
	const char *action;         /* "node.rename" */
	const char *target;         /* "node:17" */
	const char *before, *after; /* JSON or NULL */
};

enum { AUDIT_PAGE = 100, AUDIT_PAGE_MAX = 10000 };

/* How many entries to list when so many are asked for. */
static inline unsigned audit_page(int64_t asked)
{
	return asked < 1 || asked > AUDIT_PAGE_MAX ? AUDIT_PAGE : (unsigned)asked;
}
