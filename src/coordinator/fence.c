#include "coordinator/fence.h"

#include <errno.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/file.h"
#include "base/log.h"
#include "platform/caps.h"

/* clang-format off */
static const char *const calls[] = {
	/* sockets */
	"accept4", "accept", "bind", "connect", "socket", "listen", "shutdown", "sendmsg", "sendmmsg",
	"sendto", "recvmsg", "recvmmsg", "recvfrom", "getsockopt", "setsockopt", "getsockname",
	"getpeername", "ioctl", "socketpair",
	/* the database, keys, certificates, and what is read again */
	"open", "openat", "creat", "newfstatat", "stat", "stat64", "lstat", "lstat64", "statx",
	"fstatat64", "access", "faccessat", "faccessat2", "readlink", "readlinkat", "getdents64",
	"rename", "renameat", "renameat2", "unlink", "unlinkat", "fsync", "fdatasync", "ftruncate",
	"ftruncate64", "fallocate", "fchmod", "fchown", "mkdir", "mkdirat", "rmdir", "umask", "getcwd",
	"utimensat", "statfs", "fstatfs",
	/* files that are watched */
	"inotify_init1", "inotify_add_watch", "inotify_rm_watch",
	/* asked by libraries */
	"arch_prctl", "prctl", "getrlimit", "sysinfo", "getppid", "mlock", "munlock",
	NULL,
};
/* clang-format on */

/* ---- another user ---- */

static int give_folder(const char *folder, mode_t mode, const struct passwd *to)
{
	int r = 0;

	if (access(folder, F_OK) == 0)
		return 0;
	r = file_mkdirs(folder, mode);
	if (r == 0 && chown(folder, to->pw_uid, to->pw_gid) < 0)
		r = -errno;
	return r < 0 ? log_ret(r, "cannot make %s", folder) : 0;
}

int fence_become(const struct config *cfg, const char *user)
{
	static const int low_ports[] = { CAP_NET_BIND_SERVICE };
	const char *const written[] = { cfg->db_path, cfg->noise_key_path, cfg->derp_key_path,
		                        cfg->unix_socket };
	const struct passwd *to = getpwnam(user);
	int r = to ? 0 : ERR_UNKNOWN;

	for (size_t i = 0; i < ARRAY_LEN(written) && r >= 0 && geteuid() == 0; i++) {
		AUTO_FREE char *folder = file_folder(written[i]);

		r = give_folder(folder, written[i] == cfg->unix_socket ? 0755 : 0750, to);
	}
	if (r >= 0)
		r = caps_become(user, low_ports, ARRAY_LEN(low_ports));
	return r < 0 ? log_ret(r, "cannot become the user %s", user) : 0;
}

/* ---- files ---- */

enum { PATHS_MAX = 96 };

struct paths {
	struct arena memory;
	struct caps_path list[PATHS_MAX];
	size_t n;
};

static void allow(struct paths *p, const char *path, unsigned rights)
{
	if (path && *path && p->n < PATHS_MAX - 1)
		p->list[p->n++] = (struct caps_path){ path, rights };
}

/* The folder, as a file that is written anew and moved into place is another one. */
static void allow_around(struct paths *p, const char *file, unsigned rights)
{
	AUTO_FREE char *folder = NULL;

	if (!file || !*file)
		return;
	folder = file_folder(file);
	allow(p, arena_str(&p->memory, span_str(folder)), rights);
}

static int fence_files(const struct config *cfg, const char *config_path)
{
	const char *const read[] = {
		config_path,        cfg->policy_path,  cfg->extra_records_path,
		cfg->tls_cert_path, cfg->tls_key_path, cfg->oidc_client_secret_path
	};
	const char *const written[] = { cfg->db_path, cfg->noise_key_path, cfg->derp_key_path,
		                        cfg->unix_socket };
	struct paths p = { 0 };
	int r;

	allow(&p, "/etc", CAPS_FS_READ);
	allow(&p, "/usr", CAPS_FS_READ);
	allow(&p, "/lib", CAPS_FS_READ);
	allow(&p, "/lib64", CAPS_FS_READ);
	allow(&p, "/run/systemd/resolve", CAPS_FS_READ);
	allow(&p, "/proc/self", CAPS_FS_READ);
	allow(&p, "/dev/null", CAPS_FS_READ | CAPS_FS_WRITE);
	allow(&p, "/dev/urandom", CAPS_FS_READ);
	allow(&p, getenv("NOTIFY_SOCKET"), CAPS_FS_READ | CAPS_FS_WRITE);
	if (*cfg->le_hostname)
		allow(&p, cfg->le_cache_dir, CAPS_FS_READ | CAPS_FS_WRITE);
	for (size_t i = 0; i < ARRAY_LEN(written); i++)
		allow_around(&p, written[i], CAPS_FS_READ | CAPS_FS_WRITE);
	for (size_t i = 0; i < ARRAY_LEN(read); i++)
		allow_around(&p, read[i], CAPS_FS_READ);
	for (size_t i = 0; i < cfg->derp_paths.n; i++)
		allow_around(&p, cfg->derp_paths.v[i], CAPS_FS_READ);
	r = caps_landlock(p.list);
	arena_done(&p.memory);
	return r == -EOPNOTSUPP ? 0 : r;
}

int fence_close(const struct config *cfg, const char *config_path, bool sandbox)
{
	int r = caps_no_dump();

	if (r >= 0)
		r = caps_keep(NULL, 0);
	if (r >= 0)
		r = caps_no_new_privs();
	if (r < 0)
		return log_ret(r, "cannot give up rights");
	if (!sandbox)
		return 0;
	r = fence_files(cfg, config_path);
	if (r < 0)
		return log_ret(r, "Landlock");
	r = caps_seccomp(calls, CAPS_REFUSE);
	return r < 0 && r != -EOPNOTSUPP ? log_ret(r, "filter of system calls") : 0;
}
