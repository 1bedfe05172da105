#include "platform/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/time.h"

extern char **environ;

static const char *const folders[] = { "/usr/sbin", "/usr/bin",        "/sbin",
	                               "/bin",      "/usr/local/sbin", "/usr/local/bin" };

bool proc_find(const char *name, char **ret_path)
{
	if (strchr(name, '/')) {
		if (access(name, X_OK) < 0)
			return false;
		if (ret_path)
			*ret_path = str_dup(name);
		return true;
	}
	for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
		AUTO_FREE char *path = str_fmt("%s/%s", folders[i], name);

		if (access(path, X_OK) < 0)
			continue;
		if (ret_path)
			*ret_path = TAKE(path);
		return true;
	}
	return false;
}

struct child {
	pid_t pid;
	int pidfd;   /* readable once it has ended */
	int in, out; /* our ends of its pipes; -1: none or done */
	struct span input;
	struct buf *kept;
};

struct ends {
	int in[2], out[2]; /* [0] reads, [1] writes */
};

static void ends_done(struct ends *e)
{
	for (int i = 0; i < 2; i++) {
		fd_close(e->in[i]);
		fd_close(e->out[i]);
	}
}

static int ends_open(const struct proc_cmd *cmd, bool keep, struct ends *e)
{
	if (cmd->input.n && pipe2(e->in, O_CLOEXEC) < 0)
		return -errno;
	if (keep && pipe2(e->out, O_CLOEXEC) < 0)
		return -errno;
	/* Only our ends wait in poll; the child's stay as programs expect them. */
	if (e->in[1] >= 0 && fcntl(e->in[1], F_SETFL, O_NONBLOCK) < 0)
		return -errno;
	if (e->out[0] >= 0 && fcntl(e->out[0], F_SETFL, O_NONBLOCK) < 0)
		return -errno;
	return 0;
}

static int set_files(posix_spawn_file_actions_t *fa, const struct proc_cmd *cmd,
                     const struct ends *e)
{
	bool tty = cmd->flags & PROC_TTY;
	int r = 0;

	if (e->in[0] >= 0)
		r |= posix_spawn_file_actions_adddup2(fa, e->in[0], 0);
	else if (!(cmd->flags & PROC_STDIN))
		r |= posix_spawn_file_actions_addopen(fa, 0, "/dev/null", O_RDONLY, 0);
	if (e->out[1] >= 0)
		r |= posix_spawn_file_actions_adddup2(fa, e->out[1], 1);
	else if (!tty)
		r |= posix_spawn_file_actions_addopen(fa, 1, "/dev/null", O_WRONLY, 0);
	if (e->out[1] >= 0 && cmd->flags & PROC_WITH_ERR)
		r |= posix_spawn_file_actions_adddup2(fa, e->out[1], 2);
	else if (!tty)
		r |= posix_spawn_file_actions_addopen(fa, 2, "/dev/null", O_WRONLY, 0);
	return r ? -ENOMEM : 0;
}

/* The loop blocks signals and programs of ours ignore SIGPIPE; a child starts plain. */
static int set_signals(posix_spawnattr_t *attr)
{
	sigset_t none, usual;

	sigemptyset(&none);
	sigemptyset(&usual);
	sigaddset(&usual, SIGPIPE);
	sigaddset(&usual, SIGINT);
	sigaddset(&usual, SIGTERM);
	sigaddset(&usual, SIGHUP);
	sigaddset(&usual, SIGCHLD);
	if (posix_spawnattr_setsigmask(attr, &none) ||
	    posix_spawnattr_setsigdefault(attr, &usual) ||
	    posix_spawnattr_setflags(attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))
		return -ENOMEM;
	return 0;
}

/* posix_spawn takes the arguments as char *, and does not write to them. */
static char *const *unconst(const char *const *argv)
{
	union {
		const char *const *in;
		char *const *out;
	} u = { argv };

	return u.out;
}

static int spawn_with(const struct proc_cmd *cmd, const posix_spawn_file_actions_t *fa,
                      const posix_spawnattr_t *attr, pid_t *ret)
{
	static const char *const env[] = { "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C",
		                           "HOME=/", NULL };

	if (cmd->flags & PROC_ENV)
		return -posix_spawnp(ret, cmd->argv[0], fa, attr, unconst(cmd->argv), environ);

	AUTO_FREE char *path = NULL;

	if (!proc_find(cmd->argv[0], &path))
		return -ENOENT;
	return -posix_spawn(ret, path, fa, attr, unconst(cmd->argv), unconst(env));
}

static int spawn(const struct proc_cmd *cmd, const struct ends *e, pid_t *ret)
{
	posix_spawn_file_actions_t fa;
	posix_spawnattr_t attr;

	if (posix_spawn_file_actions_init(&fa))
		return -ENOMEM;
	if (posix_spawnattr_init(&attr)) {
		posix_spawn_file_actions_destroy(&fa);
		return -ENOMEM;
	}

	int r = set_files(&fa, cmd, e);

	if (r == 0)
		r = set_signals(&attr);
	if (r == 0)
		r = spawn_with(cmd, &fa, &attr, ret);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&fa);
	return r;
}

static void feed(struct child *c)
{
	ssize_t n = write(c->in, c->input.p, c->input.n);

	if (n > 0)
		c->input = span_from(c->input, (size_t)n);
	/* It may end without reading all; its status tells how it took that. */
	if (c->input.n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
		fd_close(c->in);
		c->in = -1;
	}
}

static int drain(struct child *c)
{
	uint8_t chunk[4096];
	ssize_t n = read(c->out, chunk, sizeof(chunk));

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	if (n == 0) {
		fd_close(c->out);
		c->out = -1;
		return 0;
	}
	if (c->kept->n + (size_t)n > PROC_OUT_MAX)
		return ERR_LIMIT;
	buf_add(c->kept, chunk, (size_t)n);
	return 0;
}

static int timeout_ms(mono until, mono now)
{
	if (until.us == MONO_NEVER.us)
		return -1;

	int64_t left = mono_since(now, until) / US_PER_MS + 1;

	return left > 60000 ? 60000 : left < 0 ? 0 : (int)left;
}

/* Feeds and drains until it has ended and its output too. */
static int attend(struct child *c, mono until)
{
	bool ended = false;

	while (!ended || c->out >= 0) {
		mono now = mono_now();
		struct pollfd p[3] = {
			{ c->in, POLLOUT, 0 },
			{ c->out, POLLIN, 0 },
			{ ended ? -1 : c->pidfd, POLLIN, 0 },
		};

		if (mono_reached(until, now))
			return ERR_TIMEOUT;
		/*
		 * What it started and left running (wg-quick hooks do that) may hold
		 * the pipe open for ever: a moment after its end is enough.
		 */
		int n = poll(p, 3, ended ? 100 : timeout_ms(until, now));

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n == 0 && ended)
			return 0;
		if (n <= 0)
			continue;
		if (p[0].revents)
			feed(c);
		if (p[1].revents) {
			int r = drain(c);

			if (r < 0)
				return r;
		}
		ended |= p[2].revents != 0;
	}
	return 0;
}

static int reap(pid_t pid)
{
	int status = 0;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return 127;
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static int follow(struct child *c, int64_t limit_us, int *ret_status)
{
	mono until = limit_us < 0 ? MONO_NEVER
	                          : mono_after(mono_now(), limit_us ? limit_us : PROC_LIMIT_US);
	int r = attend(c, until);

	if (r < 0)
		(void)kill(c->pid, SIGKILL);
	*ret_status = reap(c->pid);
	return r;
}

/* A write to a child that has gone must not end us. Blocked here, and taken back if it came. */
static void sigpipe_block(sigset_t *old)
{
	sigset_t pipe_only;

	sigemptyset(&pipe_only);
	sigaddset(&pipe_only, SIGPIPE);
	(void)pthread_sigmask(SIG_BLOCK, &pipe_only, old);
}

static void sigpipe_restore(const sigset_t *old)
{
	sigset_t pipe_only;
	struct timespec now = { 0 };

	sigemptyset(&pipe_only);
	sigaddset(&pipe_only, SIGPIPE);
	if (!sigismember(old, SIGPIPE))
		(void)sigtimedwait(&pipe_only, NULL, &now);
	(void)pthread_sigmask(SIG_SETMASK, old, NULL);
}

int proc_run(const struct proc_cmd *cmd, struct buf *ret_out, int *ret_status)
{
	__attribute__((cleanup(ends_done))) struct ends e = { { -1, -1 }, { -1, -1 } };
	int r = ends_open(cmd, ret_out != NULL, &e);
	pid_t pid = 0;
	sigset_t old;

	if (r < 0)
		return r;
	r = spawn(cmd, &e, &pid);
	if (r < 0)
		return r;

	AUTO(fd_close) int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	struct child c = { pid, pidfd, TAKE_FD(e.in[1]), TAKE_FD(e.out[0]), cmd->input, ret_out };

	fd_close(TAKE_FD(e.in[0]));
	fd_close(TAKE_FD(e.out[1]));
	sigpipe_block(&old);
	r = follow(&c, pidfd < 0 ? -1 : cmd->limit_us, ret_status);
	sigpipe_restore(&old);
	fd_close(c.in);
	fd_close(c.out);
	return r;
}

int proc_ok(const struct proc_cmd *cmd, struct buf *ret_out)
{
	int status = 0;
	int r = proc_run(cmd, ret_out, &status);

	if (r < 0)
		return r;
	return status == 0 ? 0 : ERR_DENIED;
}
