#pragma once
/* Shared by the files that read a policy; nobody else. */
#include "coordinator/policy/model.h"

struct px {
	struct policy *p;
	struct policy_issues *issues;
	bool saw_member, saw_members; /* both spellings of one autogroup */
};

/* Where a selector stands decides what it may be. */
enum sel_place {
	IN_SRC,
	IN_DST,
	IN_SSH_SRC,
	IN_SSH_DST,
	IN_TARGET,
	IN_OWNER,
	IN_APPROVER,
	IN_VIA,
	IN_TEST,
};

/* One field of an object: an optional second name is the older spelling. */
struct px_field {
	const char *name, *alias;
	void (*read)(struct px *x, const struct js *v, void *object);
};

enum px_unknown {
	PX_REFUSE,
	PX_REFUSE_BUT_HASH, /* names that begin with # are a web console's */
};

/*
 * Reads an object by its rows: names in any letter case, null as if absent,
 * unknown and repeated names refused. False: it is no object.
 */
bool px_object(struct px *x, const struct js *v, const struct px_field *fields, size_t n,
               enum px_unknown unknown, void *object);
/* Refuses names that stand twice in an object, in any letter case. */
void px_refuse_dup(struct px *x, const struct js *v);
/* Each member of an array; the elements must be of the kind. */
void px_each(struct px *x, const struct js *v, enum js_kind kind,
             void (*read)(struct px *x, const struct js *v, void *object), void *object);
bool px_want(struct px *x, const struct js *v, enum js_kind kind);
const char *px_kind_text(enum js_kind kind);

/* The selector's index, POLICY_NONE if it is refused (and reported). */
uint32_t px_sel(struct px *x, size_t at, struct span text, enum sel_place place);
/* The same without reporting: what a test names may not exist. */
uint32_t policy_sel_find(struct policy *p, struct span text, const char **ret_why);
void px_ids_add(struct ids *ids, uint32_t id);

/* "22,80-90", "*": appended to ports. False and reported if malformed. */
struct px_ports {
	struct port_range *v;
	size_t n, cap;
};
bool px_port_list(struct px *x, size_t at, struct span text, int proto, struct span proto_text,
                  struct px_ports *ret);
/* A protocol's name or number; "" is -1. False: *ret_why says why not. */
bool policy_proto_parse(struct span text, int *ret, const char **ret_why);
bool policy_proto_has_ports(int proto);

/* The sections. */
void px_groups(struct px *x, const struct js *v);
void px_hosts(struct px *x, const struct js *v);
void px_ipsets(struct px *x, const struct js *v);
void px_tags_declare(struct px *x, const struct js *v);
void px_tags_owners(struct px *x, const struct js *v);
void px_postures(struct px *x, const struct js *v);
void px_default_postures(struct px *x, const struct js *v);
void px_posture_ids(struct px *x, const struct js *v, void *ids);
void px_acls(struct px *x, const struct js *v);
void px_grants(struct px *x, const struct js *v);
void px_ssh(struct px *x, const struct js *v);
void px_approvers(struct px *x, const struct js *v);
void px_node_attrs(struct px *x, const struct js *v);
void px_tests(struct px *x, const struct js *v);
void px_ssh_tests(struct px *x, const struct js *v);

const struct host *policy_host(const struct policy *p, struct span name);
struct tag_def *policy_tag(const struct policy *p, struct span name);
struct ipset_def *policy_ipset(const struct policy *p, struct span name);
/* The set of autogroup:internet: sealed, the caller's to free. */
void policy_internet(struct ipset *ret);
