#pragma once
/*
 * Child processes: a fixed program with fixed arguments, what it reads given,
 * what it writes kept, and a time limit. No shell takes part, unless the caller
 * names one: only the hooks of wg-quick files do.
 *
 * Programs are looked for in the folders of the system (proc_find), never by
 * the PATH of whoever started us, and run with a small fixed environment
 * unless PROC_ENV says otherwise.
 *
 * Shape	proc_run waits. It is for commands that end at once (nft, resolvconf)
 *		and for the command line; a daemon's loop stands still for it.
 */
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/own.h"
#include "base/span.h"

enum { PROC_OUT_MAX = 1 << 20, PROC_LIMIT_US = 10 * 1000 * 1000 };

enum proc_flags {
	PROC_ENV = 1,      /* the child has our environment and is found by our PATH */
	PROC_TTY = 2,      /* output that is not kept goes where ours goes, else to /dev/null */
	PROC_WITH_ERR = 4, /* standard error is kept together with standard output */
	PROC_STDIN = 8,    /* without input: reads our standard input, else /dev/null */
};

struct proc_cmd {
	const char *const *argv; /* ends with NULL; argv[0] by name or by absolute path */
	struct span input;       /* its standard input */
	unsigned flags;
	int64_t limit_us; /* killed after this long; 0: PROC_LIMIT_US, -1: no limit */
};

/*
 * Runs it to its end. ret_out (NULL: not kept) gets its standard output.
 * ret_status: the exit status, or 128 + the signal that ended it.
 *   -ENOENT		no such program
 *   ERR_TIMEOUT	killed at the limit
 *   ERR_LIMIT		more output than PROC_OUT_MAX
 */
NODISCARD int proc_run(const struct proc_cmd *cmd, struct buf *ret_out, int *ret_status);

/* The same, and a status that is not 0 is an error: ERR_DENIED. */
NODISCARD int proc_ok(const struct proc_cmd *cmd, struct buf *ret_out);

/* Whether the system has the program; ret_path (may be NULL) is the caller's to free. */
bool proc_find(const char *name, char **ret_path);
