#include "platform/caps.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <pwd.h>
#include <seccomp.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/err.h"
#include "base/span.h"

enum { CAP_WORDS = _LINUX_CAPABILITY_U32S_3 };

struct cap_sets {
	struct __user_cap_data_struct word[CAP_WORDS];
};

static int sets_read(struct cap_sets *ret)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };

	return syscall(SYS_capget, &head, ret->word) < 0 ? -errno : 0;
}

static int sets_write(const struct cap_sets *s)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };

	return syscall(SYS_capset, &head, s->word) < 0 ? -errno : 0;
}

static bool set_has(const struct cap_sets *s, int cap)
{
	return s->word[cap / 32].permitted >> cap % 32 & 1;
}

static void set_add(struct cap_sets *s, int cap)
{
	s->word[cap / 32].permitted |= 1u << cap % 32;
	s->word[cap / 32].effective |= 1u << cap % 32;
}

static bool cap_is_valid(int cap)
{
	return cap >= 0 && cap < CAP_WORDS * 32;
}

bool caps_have(int cap)
{
	struct cap_sets s;

	return cap_is_valid(cap) && sets_read(&s) == 0 &&
	       (s.word[cap / 32].effective >> cap % 32 & 1);
}

/* Needs CAP_SETPCAP; without it there is nothing in the set that exec could use but what we keep.
 */
static int empty_bounding_set(struct cap_sets *now, const struct cap_sets *but)
{
	if (!set_has(now, CAP_SETPCAP))
		return 0;

	/* A change of user leaves it permitted but not in effect. */
	set_add(now, CAP_SETPCAP);
	int r = sets_write(now);

	if (r < 0)
		return r;
	for (int cap = 0; cap < CAP_WORDS * 32; cap++) {
		if (set_has(but, cap) || prctl(PR_CAPBSET_READ, cap, 0, 0, 0) != 1)
			continue; /* kept, out already, or unknown to this kernel */
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0)
			return -errno;
	}
	return 0;
}

/* Those of the list that we have. */
static int sets_choose(const struct cap_sets *now, const int *list, size_t n, struct cap_sets *ret)
{
	*ret = (struct cap_sets){ 0 };
	for (size_t i = 0; i < n; i++) {
		if (!cap_is_valid(list[i]))
			return -EINVAL;
		if (set_has(now, list[i]))
			set_add(ret, list[i]);
	}
	return 0;
}

static int clear_ambient(void)
{
	/* EINVAL: a kernel before 4.3, which has no ambient set. */
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0 && errno != EINVAL)
		return -errno;
	return 0;
}

int caps_keep(const int *list, size_t n)
{
	static const struct cap_sets none;
	struct cap_sets now, want;
	int r = sets_read(&now);

	if (r == 0)
		r = sets_choose(&now, list, n, &want);
	if (r == 0)
		r = empty_bounding_set(&now, &none);
	if (r == 0)
		r = clear_ambient();
	return r < 0 ? r : sets_write(&want);
}

int caps_keep_for_children(const int *list, size_t n)
{
	struct cap_sets now, want;
	int r = sets_read(&now);

	if (r == 0)
		r = sets_choose(&now, list, n, &want);
	if (r == 0)
		r = empty_bounding_set(&now, &want);
	if (r == 0)
		r = clear_ambient();
	if (r < 0)
		return r;
	for (size_t i = 0; i < CAP_WORDS; i++)
		want.word[i].inheritable = want.word[i].permitted;
	r = sets_write(&want);
	for (int cap = 0; cap < CAP_WORDS * 32 && r == 0; cap++)
		if (set_has(&want, cap) &&
		    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0) < 0)
			r = -errno;
	return r;
}

int caps_find_user(const char *user, uid_t *ret_uid, gid_t *ret_gid)
{
	uint64_t number;

	if (span_u64(span_str(user), INT32_MAX, &number) == 0) {
		*ret_uid = (uid_t)number;
		*ret_gid = (gid_t)number;
		return 0;
	}
	errno = 0;

	const struct passwd *pw = getpwnam(user);

	if (!pw)
		return errno && errno != ENOENT ? -errno : ERR_UNKNOWN;
	*ret_uid = pw->pw_uid;
	*ret_gid = pw->pw_gid;
	return 0;
}

static int set_groups(const char *user, gid_t gid)
{
	bool is_name = user[0] < '0' || user[0] > '9';

	return (is_name ? initgroups(user, gid) : setgroups(0, NULL)) < 0 ? -errno : 0;
}

static int give_all(int folder, uid_t uid, gid_t gid)
{
	DIR *d = fdopendir(folder);
	struct dirent *e;
	int r = 0;

	if (!d)
		return -errno;
	while (r == 0 && (e = readdir(d))) {
		struct stat st;

		if (fstatat(folder, e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		    S_ISREG(st.st_mode) &&
		    fchownat(folder, e->d_name, uid, gid, AT_SYMLINK_NOFOLLOW) < 0)
			r = -errno;
	}
	(void)closedir(d);
	return r;
}

int caps_give(const char *user, const char *path)
{
	AUTO(fd_close) int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	struct stat st;
	uid_t uid;
	gid_t gid;

	if (geteuid() != 0 || (fd < 0 && errno == ENOENT))
		return 0;

	int r = fd < 0 ? -errno : caps_find_user(user, &uid, &gid);

	if (r == 0 && (fstat(fd, &st) < 0 || fchown(fd, uid, gid) < 0))
		r = -errno;
	if (r == 0 && S_ISDIR(st.st_mode))
		r = give_all(TAKE_FD(fd), uid, gid);
	return r;
}

int caps_become(const char *user, const int *list, size_t n)
{
	uid_t uid;
	gid_t gid;

	if (geteuid() != 0)
		return caps_keep(list, n);

	int r = caps_find_user(user, &uid, &gid);

	/* Root's permitted set would be cleared by the change of user. */
	if (r == 0 && prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0)
		r = -errno;
	if (r == 0)
		r = set_groups(user, gid);
	if (r < 0)
		return r;
	if (setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0)
		return -errno;
	if (prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0) < 0)
		return -errno;
	return caps_keep(list, n);
}

int caps_no_new_privs(void)
{
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? -errno : 0;
}

bool caps_is_filtered(void)
{
	return prctl(PR_GET_SECCOMP, 0, 0, 0, 0) == SECCOMP_MODE_FILTER;
}

int caps_no_dump(void)
{
	struct rlimit none = { 0, 0 };

	if (setrlimit(RLIMIT_CORE, &none) < 0)
		return -errno;
	return prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 ? -errno : 0;
}

/* clang-format off */
const char *const caps_base_calls[] = {
	/* memory */
	"brk", "madvise", "mmap", "mmap2", "mprotect", "mremap", "munmap",
	/* time and chance */
	"clock_getres", "clock_gettime", "clock_gettime64", "clock_nanosleep",
	"clock_nanosleep_time64", "getrandom", "gettimeofday", "nanosleep", "restart_syscall", "time",
	/* threads and signals */
	"clone", "clone3", "exit", "exit_group", "futex", "futex_time64", "get_robust_list", "getpid",
	"gettid", "rseq", "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "rt_sigtimedwait",
	"sched_getaffinity", "sched_yield", "set_robust_list", "set_tid_address", "sigaltstack",
	"sigreturn", "tgkill", "membarrier",
	/* descriptors */
	"close", "close_range", "dup", "dup2", "dup3", "fcntl", "fcntl64", "fstat", "fstat64", "lseek",
	"_llseek", "pread64", "pwrite64", "read", "readv", "write", "writev",
	/* the loop */
	"epoll_create1", "epoll_ctl", "epoll_pwait", "epoll_pwait2", "epoll_wait", "eventfd2", "poll",
	"ppoll", "ppoll_time64", "signalfd4", "timerfd_create", "timerfd_settime",
	"timerfd_settime64", "pipe2",
	/* who we are: libraries ask */
	"getegid", "geteuid", "getgid", "getuid", "prlimit64", "uname",
	NULL,
};
/* clang-format on */

/* Whoever may set marks with CAP_NET_RAW could listen to the whole host with these. */
static int allow_plain_sockets(scmp_filter_ctx ctx)
{
	static const scmp_datum_t families[] = { AF_INET, AF_INET6 };
	static const scmp_datum_t types[] = { SOCK_STREAM, SOCK_DGRAM };
	static const scmp_datum_t others[] = { AF_UNIX, AF_NETLINK };
	enum { TYPE_MASK = 0xf };
	int r = 0;

	for (size_t i = 0; i < ARRAY_LEN(families) && r == 0; i++)
		for (size_t k = 0; k < ARRAY_LEN(types) && r == 0; k++)
			r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(socket), 2,
			                     SCMP_A0(SCMP_CMP_EQ, families[i]),
			                     SCMP_A1(SCMP_CMP_MASKED_EQ, TYPE_MASK, types[k]));
	for (size_t i = 0; i < ARRAY_LEN(others) && r == 0; i++)
		r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1,
		                     SCMP_A0(SCMP_CMP_EQ, others[i]));
	return r;
}

static int allow(scmp_filter_ctx ctx, const char *const *names)
{
	for (; *names; names++) {
		if (strcmp(*names, "socket/plain") == 0) {
			int e = allow_plain_sockets(ctx);

			if (e < 0)
				return e;
			continue;
		}

		int nr = seccomp_syscall_resolve_name(*names);

		if (nr == __NR_SCMP_ERROR)
			return ERR_UNKNOWN;
		if (nr < 0)
			continue; /* another architecture's */

		int r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, nr, 0);

		if (r < 0)
			return r;
	}
	return 0;
}

static int filter_fill(scmp_filter_ctx ctx, const char *const *names)
{
	int r = allow(ctx, caps_base_calls);

	if (r < 0)
		return r;
	r = allow(ctx, names);
	if (r < 0)
		return r;
	r = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_TSYNC, 1);
	if (r < 0)
		return r;
	/* A binary tree rather than a list of a hundred comparisons; older libraries have no tree.
	 */
	(void)seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	r = seccomp_load(ctx);
	return r == -EINVAL || r == -ENOSYS ? -EOPNOTSUPP : r;
}

int caps_seccomp(const char *const *names, enum caps_refusal refusal)
{
	uint32_t otherwise = refusal == CAPS_KILL ? SCMP_ACT_KILL_PROCESS : SCMP_ACT_ERRNO(ENOSYS);
	scmp_filter_ctx ctx = seccomp_init(otherwise);

	if (!ctx)
		return -ENOMEM;

	int r = filter_fill(ctx, names);

	seccomp_release(ctx);
	return r;
}

enum {
	FS_READ = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR,
	FS_WRITE = LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR |
	           LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_DIR |
	           LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK |
	           LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_SYM,
	FS_EXEC = LANDLOCK_ACCESS_FS_EXECUTE,
	FS_OF_FILES = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE |
	              LANDLOCK_ACCESS_FS_EXECUTE,
};

static int landlock_add(int rules, const struct caps_path *p)
{
	AUTO(fd_close) int fd = open(p->path, O_PATH | O_CLOEXEC);
	struct stat st;

	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	if (fstat(fd, &st) < 0)
		return -errno;

	uint64_t rights = (p->rights & CAPS_FS_READ ? FS_READ : 0u) |
	                  (p->rights & CAPS_FS_WRITE ? FS_WRITE : 0u) |
	                  (p->rights & CAPS_FS_EXEC ? FS_EXEC : 0u);
	struct landlock_path_beneath_attr rule = {
		.allowed_access = S_ISDIR(st.st_mode) ? rights : rights & FS_OF_FILES,
		.parent_fd = fd,
	};

	if (syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0)
		return -errno;
	return 0;
}

int caps_landlock(const struct caps_path *list)
{
	struct landlock_ruleset_attr attr = {
		.handled_access_fs = (uint64_t)FS_READ | FS_WRITE | FS_EXEC,
	};
	AUTO(fd_close)
	int rules = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);

	if (rules < 0)
		return errno == ENOSYS || errno == EOPNOTSUPP ? -EOPNOTSUPP : -errno;
	for (; list->path; list++) {
		int r = landlock_add(rules, list);

		if (r < 0)
			return r;
	}
	return syscall(SYS_landlock_restrict_self, rules, 0) < 0 ? -errno : 0;
}

int caps_keep_few(const int *keep, size_t n, const char *const *calls)
{
	int r = caps_no_dump();

	if (r == 0)
		r = caps_keep(keep, n);
	if (r == 0)
		r = caps_no_new_privs();
	if (r == 0)
		r = caps_seccomp(calls, CAPS_REFUSE);
	/* A container may have no filters to give; the rest holds. */
	return r == -EOPNOTSUPP || r == -ENOSYS || r == -EINVAL ? 0 : r;
}
