#pragma once
/*
 * The host's resolver told what dns/plan.h planned, by whoever keeps it:
 * systemd-resolved, resolvconf, openresolv, or the file /etc/resolv.conf itself,
 * whose former contents are kept beside it and come back. Journaled: the end of
 * the program, its next start after a crash, and host_dns_cleanup undo it.
 *
 * When another program overwrites the file, what it wrote is kept as the new
 * former contents and ours is put back, ten times in five seconds at most.
 *
 * systemd-resolved is spoken to over D-Bus (platform/resolve1.h), and told again
 * when it starts anew.
 */
#include "base/own.h"
#include "dns/plan.h"
#include "platform/ev.h"

struct host_dns;

struct host_dns_cfg {
	const char *dev;     /* the tunnel device */
	const char *journal; /* path of the journal */
	const char *etc;     /* NULL: "/etc" */
	const char *bus;     /* D-Bus address; NULL: the system's */
	const char *run;     /* NULL: "/run" */
	/*
	 * On the loop. lost: somebody overwrites the file again and again, and we
	 * have given up for now (health "resolv-conf-overwritten"). Else: the base
	 * may have changed; plan anew. May be NULL.
	 */
	void (*changed)(void *arg, bool lost);
	void *arg;
};

/* Undoes what a crash left, and finds out who keeps the resolver. -errno */
NODISCARD int host_dns_new(struct ev *ev, const struct host_dns_cfg *cfg, struct host_dns **ret);
/* Undoes everything. NULL is allowed. */
void host_dns_free(struct host_dns *d);

enum dns_manager host_dns_manager(const struct host_dns *d);
const char *host_dns_why(const struct host_dns *d);
/* The host's resolvers and search domains without ours. */
const struct dns_resolv *host_dns_base(const struct host_dns *d);

/*
 * Makes it so; an empty plan undoes. -errno, ERR_DENIED (the program that was
 * asked refused), ERR_TIMEOUT, ERR_EXISTS (another daemon of ours keeps the file;
 * changed is called when it may be worth another try)
 */
NODISCARD int host_dns_apply(struct host_dns *d, const struct dns_os *want);

/* resolv.conf as it stands in this folder (NULL: "/etc"); empty if there is none. */
void host_dns_file(const char *etc, struct dns_resolv *ret);

/* For --cleanup. 0 if there is no journal. */
NODISCARD int host_dns_cleanup(const struct host_dns_cfg *cfg);
