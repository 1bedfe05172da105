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
/* The same with another patience than ten seconds. */
NODISCARD int local_ask_for(const char *path, struct span request, const char *until, size_t max,
                            int64_t timeout_us, struct buf *reply);

/* For answers that go on: all of the bytes, and what comes, as it comes. */
NODISCARD int local_send(int fd, struct span bytes);
/*
 * Appends to `in`. The number of bytes; 0: the other side closed.
 *   ERR_TIMEOUT	nothing came in time
 */
NODISCARD int local_recv(int fd, int64_t timeout_us, struct buf *in);

/*
 * Calls fn with the name, less the suffix, of each socket in the folder that
 * somebody listens on. No folder is an empty one.
 */
NODISCARD int local_each(const char *folder, const char *suffix,
                         int (*fn)(void *arg, const char *name), void *arg);
