/* Every measure is for the process that takes it, so each test is a child. */
#include "platform/caps.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "platform/proc.h"
#include "test/check.h"

/* The exit status of a child that runs fn, or 256 + the signal that ended it. */
static int in_child(int (*fn)(void))
{
	pid_t pid = fork();
	int status = 0;

	if (pid == 0)
		_exit(fn());
	if (waitpid(pid, &status, 0) != pid)
		return -1;
	return WIFSIGNALED(status) ? 256 + WTERMSIG(status) : WEXITSTATUS(status);
}

static int keep_net_admin(void)
{
	static const int keep[] = { CAP_NET_ADMIN };
	bool had = caps_have(CAP_NET_ADMIN);

	if (caps_keep(keep, ARRAY_LEN(keep)) < 0)
		return 1;
	if (caps_have(CAP_NET_ADMIN) != had || caps_have(CAP_SYS_ADMIN) || caps_have(CAP_SETPCAP))
		return 2;
	/* Given away for good. */
	if (prctl(PR_CAPBSET_READ, CAP_SYS_ADMIN, 0, 0, 0) == 1 && had)
		return 3;
	return 0;
}

static void only_the_listed_capabilities_stay(void)
{
	CHECK_EQ(in_child(keep_net_admin), 0);
}

static int keep_for_children(void)
{
	static const int keep[] = { CAP_NET_ADMIN };
	static const char *const argv[] = { "sh", "-c", "grep CapEff /proc/self/status", NULL };
	AUTO_DONE(buf) struct buf out = { 0 };
	bool had = caps_have(CAP_NET_ADMIN);

	if (caps_keep_for_children(keep, ARRAY_LEN(keep)) < 0 || caps_no_new_privs() < 0)
		return 1;
	if (caps_have(CAP_SYS_ADMIN) || caps_have(CAP_NET_ADMIN) != had)
		return 2;
	if (proc_ok(&(struct proc_cmd){ .argv = argv }, &out) < 0)
		return 3;
	return strcmp(buf_text(&out),
	              had ? "CapEff:\t0000000000001000\n" : "CapEff:\t0000000000000000\n") == 0
	               ? 0
	               : 4;
}

static void children_have_the_listed_capabilities_if_they_shall(void)
{
	CHECK_EQ(in_child(keep_for_children), 0);
}

static int become_nobody(void)
{
	static const int keep[] = { CAP_NET_ADMIN };
	bool had = caps_have(CAP_NET_ADMIN);
	bool root = geteuid() == 0;

	if (caps_become("nobody", keep, ARRAY_LEN(keep)) < 0)
		return 1;
	if (root && (geteuid() == 0 || setuid(0) == 0))
		return 2;
	return caps_have(CAP_NET_ADMIN) == had && !caps_have(CAP_SETUID) ? 0 : 3;
}

static void another_user_keeps_the_listed_capabilities(void)
{
	CHECK_EQ(in_child(become_nobody), 0);
	if (geteuid() == 0)
		CHECK_EQ(caps_become("no-such-user-here", NULL, 0), ERR_UNKNOWN);
}

static int no_dump(void)
{
	struct rlimit core;

	if (caps_no_dump() < 0 || caps_no_new_privs() < 0)
		return 1;
	if (prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) != 0 || prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
		return 2;
	return getrlimit(RLIMIT_CORE, &core) == 0 && core.rlim_max == 0 ? 0 : 3;
}

static void a_process_can_be_made_unreadable(void)
{
	CHECK_EQ(in_child(no_dump), 0);
}

static const char *const socket_only[] = { "socket", NULL };

static int filtered(void)
{
	if (caps_no_new_privs() < 0 || caps_seccomp(socket_only, CAPS_REFUSE) < 0)
		return 1;
	if (mkdir("/tmp/fl-caps-never", 0700) == 0 || errno != ENOSYS)
		return 2;
	return socket(AF_UNIX, SOCK_STREAM, 0) >= 0 ? 0 : 3;
}

static int killed(void)
{
	if (caps_no_new_privs() < 0 || caps_seccomp(socket_only, CAPS_KILL) < 0)
		return 1;
	(void)mkdir("/tmp/fl-caps-never", 0700);
	return 0;
}

static int mistyped(void)
{
	static const char *const names[] = { "sokcet", NULL };

	return caps_seccomp(names, CAPS_REFUSE) == ERR_UNKNOWN ? 0 : 1;
}

static void calls_outside_the_list_are_refused(void)
{
	CHECK_EQ(in_child(filtered), 0);
	CHECK_EQ(in_child(killed), 256 + SIGSYS);
	CHECK_EQ(in_child(mistyped), 0);
}

static int locked_in(void)
{
	static const struct caps_path paths[] = {
		{ "/dev", CAPS_FS_READ | CAPS_FS_WRITE },
		{ "/no/such/path", CAPS_FS_READ },
		{ NULL, 0 },
	};

	if (caps_no_new_privs() < 0)
		return 1;

	int r = caps_landlock(paths);

	if (r == -EOPNOTSUPP)
		return 77;
	if (r < 0)
		return 2;
	if (open("/etc/passwd", O_RDONLY) >= 0 || errno != EACCES)
		return 3;
	return open("/dev/null", O_RDWR) >= 0 ? 0 : 4;
}

static void files_outside_the_list_are_out_of_reach(void)
{
	int status = in_child(locked_in);

	if (status != 77)
		CHECK_EQ(status, 0);
}

int main(void)
{
	RUN(only_the_listed_capabilities_stay);
	RUN(children_have_the_listed_capabilities_if_they_shall);
	RUN(another_user_keeps_the_listed_capabilities);
	RUN(a_process_can_be_made_unreadable);
	RUN(calls_outside_the_list_are_refused);
	RUN(files_outside_the_list_are_out_of_reach);
	return check_done();
}
