#pragma once
/*
 * Listening sockets. Each new connection is given away as a descriptor
 * (non-blocking, close-on-exec). When the process runs out of descriptors
 * accepting pauses for a moment instead of spinning, and is counted.
 */
#include <stddef.h>
#include <sys/types.h>

#include "base/ip.h"
#include "base/own.h"
#include "platform/ev.h"

struct listener;

enum {
	LISTEN_PER_TURN = 64, /* accepts in one turn of the loop */
	LISTEN_INHERITED_MAX = 16,
};

struct listen_cfg {
	/* Takes the descriptor. peer is all zero for Unix sockets. */
	void (*accepted)(void *owner, struct listener *l, int fd, const struct addr *peer);
	void *owner;
	unsigned backlog; /* 0: 1024 */
	bool freebind;    /* TCP: the address may not be there yet */
};

/*
 * "::" listens for both families where the kernel lets it. Port 0: any; ask
 * listener_addr. -errno
 */
NODISCARD int listener_tcp(struct ev *ev, const struct addr *at, const struct listen_cfg *cfg,
                           struct listener **ret);
/*
 * A socket file with exactly this mode. A file that nobody listens on any more
 * is replaced; one that is in use is -EADDRINUSE. Removed by listener_free.
 */
NODISCARD int listener_unix(struct ev *ev, const char *path, mode_t mode,
                            const struct listen_cfg *cfg, struct listener **ret);
/* Takes a descriptor that listens already (socket activation, a predecessor). */
NODISCARD int listener_from_fd(struct ev *ev, int fd, const struct listen_cfg *cfg,
                               struct listener **ret);
/* Closes it; a socket file goes, unless the socket was given away before. */
void listener_free(struct listener *l);
DEFINE_AUTO(listener_free, struct listener *)

void listener_pause(struct listener *l);
void listener_resume(struct listener *l);
/* Where it listens. ERR_UNKNOWN for Unix sockets */
NODISCARD int listener_addr(const struct listener *l, struct addr *ret);
/* The descriptor, which stays the listener's: for handing to a successor. */
int listener_fd(const struct listener *l);
/* From now on listener_free leaves the socket file: a successor has the socket. */
void listener_keep_file(struct listener *l);
/* How often accepting paused for want of descriptors or memory. */
uint64_t listener_starved(const struct listener *l);

/*
 * Sockets a service manager passed (LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES; see
 * sd_listen_fds(3)): their number, and for each its name ("" if it has none).
 * The environment is cleaned, the descriptors are made close-on-exec.
 */
struct inherited {
	int fd;
	char name[64];
};
size_t listen_inherited(struct inherited ret[static LISTEN_INHERITED_MAX]);
/* The first of that name, taken out of the list; -1 if there is none. */
int inherited_take(struct inherited *list, size_t n, const char *name);
