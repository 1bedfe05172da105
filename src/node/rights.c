#include "node/rights.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/span.h"
#include "platform/caps.h"

enum { DEPTH_MAX = 4 };

/* ---- folders ----------------------------------------------------------------- */

static char *folder_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return !slash          ? str_dup(".")
	       : slash == path ? str_dup("/")
	                       : span_dup(span(path, (size_t)(slash - path)));
}

/* /var, /etc, /tmp are nobody's, whatever was asked for. */
static bool may_be_ours(const char *path)
{
	struct stat st;
	size_t parts = 0;

	for (const char *p = path; *p; p++)
		parts += *p == '/' && p[1] && p[1] != '/';
	return path[0] == '/' && parts >= 2 && stat(path, &st) == 0 && S_ISDIR(st.st_mode) &&
	       !(st.st_mode & S_IWOTH);
}

/* Takes the descriptor. A link is left alone, and a file that has a second name. */
static void give(int dir, uid_t uid, gid_t gid, unsigned depth)
{
	DIR *d = fdopendir(dir);

	if (!d) {
		fd_close(dir);
		return;
	}
	for (const struct dirent *e; (e = readdir(d));) {
		struct stat st;

		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 ||
		    fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		if ((S_ISREG(st.st_mode) && st.st_nlink == 1) || S_ISDIR(st.st_mode))
			(void)!fchownat(dirfd(d), e->d_name, uid, gid, AT_SYMLINK_NOFOLLOW);
		if (S_ISDIR(st.st_mode) && depth < DEPTH_MAX) {
			int sub = openat(dirfd(d), e->d_name,
			                 O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

			if (sub >= 0)
				give(sub, uid, gid, depth + 1);
		}
	}
	closedir(d);
}

static void give_folder(const char *path, uid_t uid, gid_t gid)
{
	int dir = may_be_ours(path) ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;

	if (dir < 0)
		return;
	(void)!fchown(dir, uid, gid);
	give(dir, uid, gid, 0);
}

/* Whether the user could write there; asked as that user, before it is for good. */
static bool can_write(const char *path, uid_t uid, gid_t gid)
{
	bool can;

	if (setegid(gid) < 0 || seteuid(uid) < 0)
		return false;
	can = faccessat(AT_FDCWD, path, R_OK | W_OK | X_OK, AT_EACCESS) == 0;
	return seteuid(0) == 0 && setegid(0) == 0 && can;
}

/* ---- the user ------------------------------------------------------------------ */

struct places {
	char *state; /* the folder of the state file; NULL: none */
	const char *dir;
};

static bool in_reach(const struct places *at, uid_t uid, gid_t gid)
{
	return (!at->state || can_write(at->state, uid, gid)) &&
	       (!at->dir || can_write(at->dir, uid, gid));
}

/* NULL: we stay who we are. */
static const char *choose_user(const struct rights_cfg *cfg, const struct places *at, int *ret)
{
	const char *user = cfg->user ? cfg->user : RIGHTS_USER;
	uid_t uid;
	gid_t gid;

	*ret = 0;
	if (geteuid() != 0)
		return NULL;

	int r = caps_find_user(user, &uid, &gid);

	if (r < 0 && cfg->user) {
		*ret = log_ret(r, "user %s", user);
		return NULL;
	}
	if (r < 0) {
		log_warn("there is no user " RIGHTS_USER ": staying root, without its rights "
		         "(useradd --system " RIGHTS_USER ", or --user NAME)");
		return NULL;
	}
	if (uid == 0)
		return NULL;
	if (cfg->state_dir)
		give_folder(cfg->state_dir, uid, gid);
	if (at->state && strcmp(at->state, cfg->default_dir) == 0)
		give_folder(at->state, uid, gid);
	if (in_reach(at, uid, gid))
		return user;
	log_warn("user %s cannot write to the folder of the state: staying root, without its "
	         "rights",
	         user);
	return NULL;
}

/* ---- capabilities ---------------------------------------------------------------- */

/*
 * Since Linux 5.17 CAP_NET_RAW allows to mark our own sockets; before that it
 * takes CAP_NET_ADMIN, and with it everything that we wanted to be rid of.
 */
static bool raw_can_mark(void)
{
	static const int raw[] = { CAP_NET_RAW };
	pid_t pid = fork();
	int status = 1, mark = 1;

	if (pid == 0) {
		int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

		_exit(caps_keep(raw, ARRAY_LEN(raw)) < 0 ||
		      setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof(mark)) < 0);
	}
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return status == 0;
}

static int drop(const char *user)
{
	int keep[] = { CAP_NET_BIND_SERVICE, CAP_NET_RAW, CAP_NET_ADMIN };
	size_t n = ARRAY_LEN(keep) - 1;

	if (caps_have(CAP_NET_ADMIN) && !raw_can_mark()) {
		log_warn("this kernel lets only CAP_NET_ADMIN mark sockets: it is kept");
		n++;
	}
	return user ? caps_become(user, keep, n) : caps_keep(keep, n);
}

/* ---- files and system calls --------------------------------------------------------- */

static int confine_files(const struct places *at)
{
	const struct caps_path list[] = {
		{ "/", CAPS_FS_READ },
		{ "/dev/null", CAPS_FS_READ | CAPS_FS_WRITE },
		{ at->dir ? at->dir : "/dev/null", CAPS_FS_READ | CAPS_FS_WRITE },
		{ at->state ? at->state : "/dev/null", CAPS_FS_READ | CAPS_FS_WRITE },
		{ 0 },
	};

	return caps_landlock(list);
}

/*
 * What this part was seen to call in a life of all its work, and what other
 * machines' libc calls in its place. Files: those of our folder are read and
 * replaced. Sockets: plain ones. Nothing is executed.
 */
/* clang-format off */
static const char *const calls[] = {
	/* files */
	"access", "faccessat", "faccessat2", "fchmod", "fchmodat", "fstatat64", "fsync", "getdents64",
	"lstat", "mkdir", "mkdirat", "newfstatat", "open", "openat", "readlink", "readlinkat", "rename",
	"renameat", "renameat2", "rmdir", "stat", "statx", "unlink", "unlinkat",
	/* sockets */
	"accept4", "bind", "connect", "getpeername", "getsockname", "getsockopt", "ioctl", "listen",
	"recv", "recvfrom", "recvmmsg", "recvmsg", "send", "sendmmsg", "sendmsg", "sendto",
	"setsockopt", "shutdown", "socket/plain",
	/* ourselves, and the other part's end */
	"getrusage", "prctl", "sysinfo", "wait4", "waitid",
	NULL,
};
/* clang-format on */

static bool is_not_offered(int r)
{
	return r == -EOPNOTSUPP || r == -ENOSYS || r == -EINVAL || r == -EPERM;
}

/* A container may have no filters to give; the rest holds. */
static int or_without(int r, const char *what)
{
	if (!is_not_offered(r))
		return r;
	log_warn("no %s here: %s", what, err_text(r));
	return 0;
}

int rights_give_away(const struct rights_cfg *cfg)
{
	AUTO_FREE char *state = cfg->state_path ? folder_of(cfg->state_path) : NULL;
	struct places at = { state, cfg->state_dir };
	int r;
	const char *user = choose_user(cfg, &at, &r);

	if (r == 0)
		r = drop(user);
	if (r == 0)
		r = caps_no_dump();
	if (r == 0)
		r = caps_no_new_privs();
	if (r == 0)
		r = or_without(confine_files(&at), "confinement of files");
	if (r == 0)
		r = or_without(caps_seccomp(calls, CAPS_REFUSE), "filter of system calls");
	return r < 0 ? log_ret(r, "cannot give rights away") : 0;
}
