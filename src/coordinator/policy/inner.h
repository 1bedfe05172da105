#pragma once
/* The engine's inside, shared by the files that make it up; nobody else. */
#include "base/list.h"
#include "base/map.h"
#include "coordinator/policy/engine.h"
#include "coordinator/policy/model.h"

struct euser {
	uint64_t id;
	char *name, *email, *subject;
	enum pol_role role;
	char **groups;
	size_t n_groups;
	struct map_node by_id;
};

struct user_ids {
	uint64_t *v; /* sorted */
	size_t n, cap;
};

/* What a selector means with the users there are. */
struct esel {
	struct user_ids users; /* SEL_USER, SEL_GROUP, SEL_DOMAIN, role autogroups */
};

/* The interned sources of rules: the same selectors under the same postures. */
struct srcset {
	struct ids sels, postures;
	bool danger_all, wildcard;
	struct ipset literal; /* of the literal selectors, and of "*": sealed */
	struct pol_src text;  /* cached */
	struct arena memory;  /* of the text */
	bool stale;
};

/*
 * How nodes stand towards the rules. Bits by rule:
 *	addr	an address of the node is among the rule's sources
 *	from	that, or a route of the node overlaps them
 *	to	the rule's destinations hold an address of the node, overlap a route
 *		of it, or name the internet and the node is an exit
 * by source set:
 *	listed	the node's addresses are to be listed one by one
 */
struct eclass {
	struct map_node by_bits;
	struct link members;
	size_t n;
	bool self_any; /* an untagged member reaches its owner's devices by some rule */
	uint64_t *addr, *from, *to, *listed;
	uint64_t bits[];
};

struct enode {
	struct map_node by_id, by_ip4, by_ip6;
	struct link in_class, in_owner;
	struct eclass *class;
	struct eowner *owner; /* NULL: tagged, or without a user */
	struct pol_node n;    /* with texts of its own */
	struct ip ip4;        /* all zero under disable-ipv4 */
	bool exit4, exit6;
	struct arena memory;
};

/* A user's untagged nodes. */
struct eowner {
	struct map_node by_user;
	uint64_t user;
	struct link nodes;
	size_t n;
	struct pol_src **self[2]; /* by rule: sources of autogroup:self, as far as asked for */
	struct arena memory;      /* of those */
};

struct eroute {
	struct prefix prefix;
	struct pol_ids nodes; /* that have it approved; sorted */
};

struct pol_engine {
	struct policy *p;
	VEC(struct euser) users;
	struct map user_by_id;
	struct esel *sels;
	VEC(struct srcset) sets;
	uint32_t *rule_set, *ssh_set; /* rule index -> its source set */
	size_t rule_words, set_words;
	uint64_t *self_rules; /* bits of rules with autogroup:self */
	uint64_t *ssh_sets;   /* bits of the source sets that SSH rules use */
	uint64_t *companions; /* bits of rules whose sources are granted something back */
	bool any_self;
	bool by_address; /* devices of one person may stand differently */
	struct map nodes, by_ip4, by_ip6, classes, owners;
	VEC(struct eroute) routes; /* sorted: subnet routes of the tailnet */
	struct ipset tailnet;      /* the wildcard without routes: sealed */
	struct ipset internet;
	uint64_t *changed; /* scratch for pol_change.rules */
	struct changes *changes;
};

static inline bool bit_get(const uint64_t *bits, size_t i)
{
	return bits[i / 64] >> i % 64 & 1;
}

static inline void bit_set(uint64_t *bits, size_t i)
{
	bits[i / 64] |= UINT64_C(1) << i % 64;
}

static inline bool bits_meet(const uint64_t *a, const uint64_t *b, size_t words)
{
	for (size_t i = 0; i < words; i++)
		if (a[i] & b[i])
			return true;
	return false;
}

static inline size_t words_for(size_t bits)
{
	return bits / 64 + 1;
}

struct enode *engine_node(const struct pol_engine *e, uint64_t id);
struct enode *engine_node_by_ip(const struct pol_engine *e, const struct ip *ip);
const struct euser *engine_user(const struct pol_engine *e, uint64_t id);
static inline const struct sel *engine_sel(const struct pol_engine *e, uint32_t id)
{
	return e->p->sels.v[id];
}

/* Is the node one that the selector names (users, groups, tags, autogroups)? */
bool sel_names(const struct pol_engine *e, uint32_t sel, const struct pol_node *n);
/* The same, or an address of the node is in its literal addresses; "*": is in the tailnet. */
bool sel_has_src(const struct pol_engine *e, uint32_t sel, const struct enode *n);
bool sel_has_dst(const struct pol_engine *e, uint32_t sel, const struct enode *n);
/* Does the selector's address set overlap a subnet route? */
bool sel_meets_src(const struct pol_engine *e, uint32_t sel, const struct prefix *route);
bool sel_meets_dst(const struct pol_engine *e, uint32_t sel, const struct prefix *route);
/* For via: destinations that are nodes count for nothing. */
bool sel_meets_via(const struct pol_engine *e, uint32_t sel, const struct prefix *route);
bool pnode_has_tag(const struct pol_node *n, struct span tag);
bool enode_has_via(const struct pol_engine *e, const struct rule *r, const struct enode *n);
bool engine_postures_hold(const struct pol_engine *e, const struct ids *postures,
                          const struct posture_attr *attrs, size_t n);
bool enode_is_exit(const struct enode *n);
static inline bool prefix_is_subnet(const struct prefix *p)
{
	return p->bits != 0;
}

/* users.c */
void engine_free_users(struct pol_engine *e);
/* engine.c: the users changed, so what every node is may be different. */
void engine_judge_again(struct pol_engine *e);
/* Selectors were added to the policy from this index on: what they mean is looked up. */
void engine_new_sels(struct pol_engine *e, size_t first);
/* changes.c */
struct changes *changes_new(void);
void changes_free(struct changes *c);
void changes_note(struct pol_engine *e, uint64_t node, const struct pol_change *what);
void changes_all(struct pol_engine *e);
/* sets.c */
void engine_make_sets(struct pol_engine *e);
void engine_free_sets(struct pol_engine *e);
const struct pol_src *engine_set_text(struct pol_engine *e, uint32_t set);
/* class.c */
struct eclass *engine_classify(struct pol_engine *e, const struct enode *n);
bool classes_see(const struct pol_engine *e, const struct eclass *a, const struct eclass *b);
/* attrs.c */
bool engine_disables_ipv4(const struct pol_engine *e, const struct pol_node *n);

/* Texts and the JSON array of a list of ranges or addresses. */
struct src_list {
	struct arena *memory;
	VEC(const char *) v;
};
void src_add_range(struct src_list *l, const struct iprange *r);
void src_add_ip(struct src_list *l, const struct ip *ip);
void src_add_node(struct src_list *l, const struct enode *n);
struct pol_src src_finish(struct src_list *l);
