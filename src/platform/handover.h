#pragma once
/*
 * Starting our own program anew with our listening sockets: nobody who connects
 * meanwhile is refused. The new process finds them as if a service manager had
 * passed them (listen_inherited), and calls handover_done when it serves.
 */
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/own.h"

struct handover_fd {
	int fd;
	const char *name; /* no colon */
};

enum { HANDOVER_FDS_MAX = 16 };

/* /proc/self/exe with these arguments. The new process, or -errno. */
NODISCARD int handover_start(char *const *argv, const struct handover_fd *fds, size_t n,
                             pid_t *ret);
/* In the new process: ends the old one with SIGTERM. Nothing happens if there is none. */
void handover_done(void);
/* We were started by handover_start, and handover_done has not been called yet. */
bool handover_is_successor(void);

/* As many descriptors as the system lets us have; the number. */
size_t limits_raise_files(void);
