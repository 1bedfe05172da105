#pragma once
/*
 * Small files, whole. A write is atomic and durable: a reader, and a machine
 * that lost power, sees the old contents or the new.
 */
#include <sys/types.h>

#include "base/buf.h"
#include "base/own.h"
#include "base/span.h"

/* -errno; ERR_LIMIT if the file is longer than max. "-" is not special. Appends to ret. */
NODISCARD int file_read(const char *path, size_t max, struct buf *ret);
NODISCARD int file_read_fd(int fd, size_t max, struct buf *ret);
/* The same for a secret: ERR_DENIED if anybody but its owner has any right to it. */
NODISCARD int file_read_private(const char *path, size_t max, struct buf *ret);

/*
 * Writes path.tmp.XXXXXX beside the file, syncs, renames, syncs the folder. The
 * mode is exact, whatever the umask.  -errno
 */
NODISCARD int file_write_atomic(const char *path, struct span contents, mode_t mode);

/* An exclusive advisory lock for the life of the descriptor. -EWOULDBLOCK if somebody has it. */
NODISCARD int file_lock(const char *path, int *ret_fd);
/* The same for the life of this process: children do not have it. */
NODISCARD int file_claim(const char *path, int *ret_fd);

bool file_exists(const char *path);

/* The folder a path is in, "." for a bare name; the caller's to free. */
char *file_folder(const char *path);

/* The folder and those above it. -errno */
NODISCARD int file_mkdirs(const char *path, mode_t mode);

/* All of it, in the face of short writes. -errno */
NODISCARD int file_write_fd(int fd, struct span bytes);
