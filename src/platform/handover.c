#include "platform/handover.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/span.h"

#define PREDECESSOR "FAIRLEAD_PREDECESSOR"

enum { FIRST = 3, ASIDE = 64 };

/* In the child, which has one thread: descriptors to 3 and up, then the program. */
static void become(char *const *argv, const struct handover_fd *fds, size_t n, const char *names,
                   const char *parent)
{
	char pid[24], count[24];
	sigset_t none;
	int aside[HANDOVER_FDS_MAX];

	/* First out of the way: a source may sit where another one must go. */
	for (size_t i = 0; i < n; i++)
		aside[i] = fcntl(fds[i].fd, F_DUPFD, ASIDE);
	for (size_t i = 0; i < n; i++) {
		if (aside[i] < 0 || dup2(aside[i], FIRST + (int)i) < 0)
			_exit(127);
		(void)close(aside[i]);
	}
	(void)snprintf(pid, sizeof(pid), "%ld", (long)getpid());
	(void)snprintf(count, sizeof(count), "%zu", n);
	(void)setenv("LISTEN_PID", pid, 1);
	(void)setenv("LISTEN_FDS", count, 1);
	(void)setenv("LISTEN_FDNAMES", names, 1);
	(void)setenv(PREDECESSOR, parent, 1);
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	(void)execv("/proc/self/exe", argv);
	_exit(127);
}

int handover_start(char *const *argv, const struct handover_fd *fds, size_t n, pid_t *ret)
{
	AUTO_DONE(buf) struct buf names = { 0 };
	char parent[24];

	if (n > HANDOVER_FDS_MAX)
		return -E2BIG;
	for (size_t i = 0; i < n; i++)
		buf_fmt(&names, "%s%s", i ? ":" : "", fds[i].name);
	(void)snprintf(parent, sizeof(parent), "%ld", (long)getpid());

	pid_t pid = fork();

	if (pid < 0)
		return -errno;
	if (pid == 0)
		become(argv, fds, n, buf_text(&names), parent);
	*ret = pid;
	return 0;
}

bool handover_is_successor(void)
{
	return getenv(PREDECESSOR) != NULL;
}

void handover_done(void)
{
	const char *text = getenv(PREDECESSOR);
	uint64_t pid;

	if (!text || span_u64(span_str(text), INT32_MAX, &pid) < 0 || pid < 2)
		return;
	/* Only our parent can have started us so. */
	if ((pid_t)pid == getppid())
		(void)kill((pid_t)pid, SIGTERM);
	(void)unsetenv(PREDECESSOR);
}

size_t limits_raise_files(void)
{
	struct rlimit l;

	if (getrlimit(RLIMIT_NOFILE, &l) < 0)
		return 1024;
	if (l.rlim_cur < l.rlim_max) {
		l.rlim_cur = l.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &l);
	}
	return (size_t)l.rlim_cur;
}
