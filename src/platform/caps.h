#pragma once
/*
 * Giving rights away: what a daemon does once it holds its descriptors.
 *
 * Each function is one measure and stands alone. The usual order is
 * caps_no_dump, caps_become (if the program has a user of its own) or
 * caps_keep, caps_no_new_privs, caps_landlock, caps_seccomp; nothing here can
 * be undone. All are for the whole process: call them while there is one
 * thread, or (caps_seccomp only) later, as it reaches threads that run already.
 *
 * Source: capabilities(7), prctl(2), seccomp(2), landlock(7).
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/own.h"

/*
 * Keeps the capabilities of the list (CAP_NET_ADMIN, ...) that we have, in the
 * permitted and effective sets, and no other anywhere; the ambient, inheritable
 * and bounding sets are emptied, so no program we start has any.   -errno
 */
NODISCARD int caps_keep(const int *list, size_t n);

/*
 * The same for a daemon that starts programs which need these rights too, such
 * as nft: the list stays in the inheritable, ambient and bounding sets.  -errno
 */
NODISCARD int caps_keep_for_children(const int *list, size_t n);

/*
 * Turns root into this user (a name, or a number with the same number for its
 * group) and its groups, with the capabilities of the list kept
 * as in caps_keep. A process that is not root is left as it is.
 *   ERR_UNKNOWN	no such user
 *   -errno
 */
NODISCARD int caps_become(const char *user, const int *list, size_t n);

/* Whether the capability is in our effective set. */
bool caps_have(int cap);

/* Nothing we execute gains rights. Needed before caps_seccomp without CAP_SYS_ADMIN. -errno */
NODISCARD int caps_no_new_privs(void);

/* A filter of system calls is in force already: a predecessor's, or a service manager's. */
bool caps_is_filtered(void);

/* No core file, no ptrace, /proc/self not readable by our own user. -errno */
NODISCARD int caps_no_dump(void);

/* What happens on a system call that is not allowed. */
enum caps_refusal {
	CAPS_REFUSE, /* ENOSYS: a newer libc falls back to an older call */
	CAPS_KILL,   /* SIGSYS for the process; for tests */
};

/*
 * Gives a file, or a folder and the files right in it, to the user: what root has
 * made and caps_become's user is to go on with. Links are not followed. Harmless
 * for a path that is not there, and for a process that is not root.  ERR_UNKNOWN, -errno
 */
NODISCARD int caps_give(const char *user, const char *path);

/* The user and the group that caps_become would make us. ERR_UNKNOWN, -errno */
NODISCARD int caps_find_user(const char *user, uid_t *ret_uid, gid_t *ret_gid);

/*
 * The filter of system calls: those of `names` (ends with NULL) and those that
 * libc, the event loop and the log need (caps_base_calls). A name this machine
 * does not have is skipped. Further filters only narrow. "socket/plain" stands for
 * socket(2) for local, Internet and netlink sockets, without raw ones.
 *   ERR_UNKNOWN	a name nobody knows: a typing error
 *   -errno		-EOPNOTSUPP: the kernel has no seccomp
 */
NODISCARD int caps_seccomp(const char *const *names, enum caps_refusal refusal);
/* For a process that keeps its user: no core files, these capabilities, these calls. -errno */
NODISCARD int caps_keep_few(const int *keep, size_t n, const char *const *calls);

/* Memory, time, threads, signals, epoll, reading and writing; ends with NULL. */
extern const char *const caps_base_calls[];

/* Files reachable from here on. A path that does not exist is skipped. */
enum { CAPS_FS_READ = 1, CAPS_FS_WRITE = 2, CAPS_FS_EXEC = 4 };

struct caps_path {
	const char *path; /* a folder with all below it, or a file; NULL ends the list */
	unsigned rights;
};

/* -errno; -EOPNOTSUPP: the kernel has no Landlock, nothing has changed. */
NODISCARD int caps_landlock(const struct caps_path *list);
