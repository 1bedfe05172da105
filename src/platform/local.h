#pragma once
/*
 * Unix stream sockets in the file system, from the client's side: for commands
 * that ask a daemon one question and wait for the answer.
 */
#include <stddef.h>

#include "base/buf.h"
#include "base/own.h"
#include "base/span.h"

/* -errno; -ECONNREFUSED: the file is there, and nobody listens. */
NODISCARD int local_connect(const char *path, int *ret_fd);

/*
 * Sends the request, and reads until the other side closes, or
 * until `until` (may be empty) stands at the end of what came.
 *   ERR_LIMIT		more than max bytes
 *   ERR_TIMEOUT	nothing for ten seconds
 */
NODISCARD int local_ask(const char *path, struct span request, const char *until, size_t max,
                        struct buf *reply);

/*
 * Calls fn with the name, less the suffix, of each socket in the folder that
 * somebody listens on. No folder is an empty one.
 */
NODISCARD int local_each(const char *folder, const char *suffix,
                         int (*fn)(void *arg, const char *name), void *arg);
