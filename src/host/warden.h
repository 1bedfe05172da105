#pragma once
/*
 * The privileged part of the node daemon, and the way to ask it.
 *
 * What parses bytes of the network holds no right over this host; what changes
 * the host is a process of its own that reads nothing but the few messages of
 * host/warden_msg.h. It is forked off first, while there is one thread and root,
 * and knows by itself which interface, journals and socket are ours: the other
 * part cannot name a path, a command, a table or a rule.
 *
 *	interface	opened, and given over as a descriptor
 *	network		addresses, routes, rules, firewall table from a typed plan
 *	resolver	from a typed plan
 *	buffers		of UDP sockets, past the limit for others
 *
 * It also sees to what others take away (rules, the table), without being asked.
 * When the other part is gone, however it ended, it takes everything of ours
 * out of the host and ends too. Only the guard of an exit node stays if the
 * other part did not end in order: then traffic stops until the next start, or
 * `fairleadd --cleanup`. It is two processes, one of which only waits: if the
 * one at work is killed, the other does the same in its place.
 *
 * Threads	that of the loop.
 */
#include <stdbool.h>
#include <stdint.h>

#include "dns/plan.h"
#include "platform/ev.h"
#include "platform/tun.h"
#include "router/plan.h"

struct warden;

struct warden_cfg {
	const char *dev;    /* the tunnel's interface */
	const char *folder; /* of the journals */
	/* Socket files to be removed at the end, if nobody answers there then; NULL: none. */
	const char *sockets[2];
	const char *etc; /* NULL: "/etc" */
};

/* Forks. What a crash left in the host has been undone when this returns. -errno */
NODISCARD int warden_start(const struct warden_cfg *cfg, struct warden **ret);
/*
 * The loop is there: lost(arg) is called if the privileged part dies; nothing
 * can be asked of it any more then.   -errno
 */
NODISCARD int warden_watch(struct warden *w, struct ev *ev, void (*lost)(void *arg), void *arg);
/* In order: everything is undone, and the other part has ended. NULL is allowed. */
void warden_free(struct warden *w);
DEFINE_AUTO(warden_free, struct warden *)
/* For --cleanup: what a crash left in the host is undone, with the guard of an exit node. -errno */
NODISCARD int warden_cleanup(const struct warden_cfg *cfg);
/* For tests: the child. */
int warden_pid(const struct warden *w);

/* All of these: ERR_CLOSED if the other part is gone, ERR_TIMEOUT if it hangs, -errno. */

NODISCARD int warden_tun(struct warden *w, struct tun **ret);
/* As udp_cfg.grow; w is a struct warden. */
void warden_grow(void *w, int fd);

/*
 * Makes the host's network so. Does not wait: of several plans in a row the last
 * one counts. What goes wrong is logged there. done(arg) (may be NULL) once
 * one has been carried out, unless warden_unroute comes before.
 */
void warden_route(struct warden *w, const struct router_cfg *cfg, void (*done)(void *arg),
                  void *arg);
/* Before there is an interface: our marked sockets go round whatever default route there is. */
void warden_bypass(struct warden *w);
/* Takes it out. hold: but for the guard of an exit node that was in use. */
void warden_unroute(struct warden *w, bool hold);

/* The host's resolver: host/dns.h, there. */
struct warden_dns;
NODISCARD int warden_dns_new(struct warden *w, void (*changed)(void *arg, bool lost), void *arg,
                             struct warden_dns **ret);
void warden_dns_free(struct warden_dns *d);
NODISCARD int warden_dns_apply(struct warden_dns *d, const struct dns_os *want);
enum dns_manager warden_dns_manager(const struct warden_dns *d);
const char *warden_dns_why(const struct warden_dns *d);
const struct dns_resolv *warden_dns_base(const struct warden_dns *d);
