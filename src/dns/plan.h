#pragma once
/*
 * What the host's resolver must be told, so that names of the tailnet are asked
 * of us and no other name is without need. Pure: host/dns makes it so.
 *
 * A host whose manager can split asks us for some suffixes only. One that cannot
 * asks us for everything, and we need the resolvers it had (its base) to pass
 * the rest on to.
 *
 * Source: tailscale v1.102.5 net/dns/manager.go (compileConfig), manager_linux.go.
 */
#include <stdbool.h>

#include "base/buf.h"
#include "base/ip.h"
#include "base/own.h"
#include "base/vec.h"

enum { DNS_PLAN_MAX = 4096 }; /* search domains, suffixes, resolvers taken from a file */

/* A suffix with resolvers of its own. */
struct dns_plan_route {
	const char *suffix; /* without a dot at its end */
	const struct ip *servers;
	size_t n_servers;
	bool by_us; /* we are the authority, or the resolvers speak more than plain DNS on port 53
	             */
};

struct dns_plan_cfg {
	const char *const *search;
	size_t n_search;
	const struct ip *defaults; /* resolvers for everything else; none: the host's own */
	size_t n_defaults;
	bool defaults_by_us; /* they speak more than plain DNS on port 53 */
	const struct dns_plan_route *routes;
	size_t n_routes;
	bool has_hosts;        /* names that only we know, under no route */
	bool can_split;        /* of the host's manager */
	const struct ip *base; /* the host's resolvers before us */
	size_t n_base;
	bool service4_only; /* do not tell the IPv6 service address */
};

/* Strings are owned. Zeroed: leave the host alone. */
struct dns_os {
	VEC(struct ip) servers;
	VEC(char *) search;
	VEC(char *)
	match;          /* suffixes for our servers; none, with servers: they are for all names */
	bool need_base; /* our own resolver passes other names on to the base */
};

/*
 * Zero *ret before; end it with dns_os_done.
 *   ERR_UNKNOWN	the host cannot split, and its own resolvers are not known: *ret is empty
 */
NODISCARD int dns_plan(const struct dns_plan_cfg *cfg, struct dns_os *ret);
void dns_os_done(struct dns_os *o);
bool dns_os_eq(const struct dns_os *a, const struct dns_os *b);
bool dns_os_is_empty(const struct dns_os *o);
void dns_os_print(struct buf *out, const struct dns_os *o);

/* resolv.conf(5), as much of it as matters here. */
enum dns_owner {
	DNS_OWNER_NONE,
	DNS_OWNER_RESOLVED,
	DNS_OWNER_NM,
	DNS_OWNER_RESOLVCONF,
	DNS_OWNER_US
};

struct dns_resolv {
	enum dns_owner owner;  /* by the comments at the top, the last of them */
	bool names_resolvconf; /* one of them names it: Debian's names systemd-resolved as well */
	VEC(struct ip) servers;
	VEC(char *) search;
};

void dns_resolv_parse(struct span text, struct dns_resolv *ret);
void dns_resolv_done(struct dns_resolv *r);
/* A whole file, marked as ours; kept: where the former one is (NULL: not told). */
void dns_resolv_print(struct buf *out, const struct dns_os *o, const char *kept);
/* What a file of ours says of where the former one is; empty: nothing. */
struct span dns_resolv_kept(struct span text);

/* Which program keeps the host's resolver, and so is to be told. */
enum dns_manager {
	DNS_MANAGER_DIRECT, /* the file itself */
	DNS_MANAGER_RESOLVED,
	DNS_MANAGER_RESOLVCONF, /* Debian's */
	DNS_MANAGER_OPENRESOLV,
};

struct dns_host_facts {
	bool has_resolv_conf;
	struct span resolv_conf, nsswitch;
	bool resolved_answers; /* on the bus */
	bool nm_answers;       /* NetworkManager too */
	bool nm_uses_resolved;
	bool has_resolvconf, is_debian_resolvconf;
};

/* ret_why: a line for `dns status`. */
enum dns_manager dns_choose(const struct dns_host_facts *f, const char **ret_why);
const char *dns_manager_name(enum dns_manager m);
bool dns_manager_splits(enum dns_manager m);
