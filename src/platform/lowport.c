#include "platform/lowport.h"

#include <errno.h>
#include <linux/capability.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/wire.h"
#include "platform/caps.h"
#include "platform/channel.h"
#include "platform/self.h"
#include "platform/sockaddr.h"

enum { BIND = 1, ANSWER_LIMIT_MS = 5000 };

struct lowport {
	int fd;
	pid_t pid;
};

/* ---- the other process ----------------------------------------------------- */

static int socket_option(int fd, int name, int *ret)
{
	socklen_t len = sizeof(*ret);

	return getsockopt(fd, SOL_SOCKET, name, ret, &len) < 0 ? -errno : 0;
}

static int bind_any(int fd, uint16_t port)
{
	int family, protocol;
	int r = socket_option(fd, SO_DOMAIN, &family);

	if (r == 0)
		r = socket_option(fd, SO_PROTOCOL, &protocol);
	if (r < 0)
		return r;
	if (protocol != IPPROTO_UDP || (family != AF_INET && family != AF_INET6))
		return -EINVAL;

	bool v6 = family == AF_INET6;
	struct addr any = { .ip = v6 ? (struct ip){ { 0 } } : ip4(0, 0, 0, 0), .port = port };
	union sockaddr_any name;
	socklen_t len = sockaddr_from(&any, v6, &name);

	return bind(fd, &name.sa, len) < 0 ? -errno : 0;
}

static int give_rights_away(void)
{
	static const int keep[] = { CAP_NET_BIND_SERVICE };
	static const char *const calls[] = { "bind",    "getsockopt", "recvmsg",
		                             "sendmsg", "sendto",     NULL };

	return caps_keep_few(keep, ARRAY_LEN(keep), calls);
}

static int serve(int fd)
{
	struct channel_msg m;
	int r;

	while ((r = channel_recv(fd, -1, &m)) == 0) {
		uint8_t answer[4];

		r = m.kind == BIND && m.body.n == 2 && m.fd >= 0 ? bind_any(m.fd, be16_at(m.body.p))
		                                                 : -EINVAL;
		put_be32(answer, (uint32_t)-r);
		channel_msg_done(&m);
		r = channel_send(fd, BIND, span(answer, sizeof(answer)), -1);
		if (r < 0)
			break;
	}
	return r;
}

/* The interface, the control socket and the terminal are not this process's business. */
static int keep_one_fd(int fd)
{
	if (dup2(fd, 0) < 0)
		return -errno;
	return close_range(1, ~0U, 0) < 0 ? -errno : 0;
}

static int other_process(int fd)
{
	/* It is the daemon that is told to end; we end after it. */
	(void)signal(SIGTERM, SIG_IGN);
	(void)signal(SIGINT, SIG_IGN);
	(void)signal(SIGHUP, SIG_IGN);
	(void)prctl(PR_SET_NAME, "fairlead-port", 0, 0, 0);

	int r = keep_one_fd(fd);

	if (r == 0)
		r = give_rights_away();
	if (r < 0)
		return r;
	self_trim();
	return serve(0);
}

/* ---- the daemon's side ------------------------------------------------------- */

int lowport_start(struct lowport **ret)
{
	int ends[2];

	*ret = NULL;
	if (!caps_have(CAP_NET_BIND_SERVICE))
		return 0;

	int r = channel_pair(ends);
	pid_t pid = r == 0 ? fork() : -1;

	if (pid == 0)
		_exit(other_process(ends[1]) == ERR_CLOSED ? 0 : 1);
	if (r < 0)
		return r;
	r = pid < 0 ? -errno : 0;
	fd_close(ends[1]);
	if (r < 0) {
		fd_close(ends[0]);
		return r;
	}
	*ret = mem_new(struct lowport);
	**ret = (struct lowport){ .fd = ends[0], .pid = pid };
	return 0;
}

void lowport_free(struct lowport *l)
{
	if (!l)
		return;
	fd_close(l->fd);
	(void)waitpid(l->pid, NULL, 0);
	free(l);
}

int lowport_bind(void *arg, int fd, uint16_t port)
{
	struct lowport *l = arg;
	uint8_t body[2];
	struct channel_msg m;

	if (!l)
		return -EACCES;
	put_be16(body, port);

	int r = channel_send(l->fd, BIND, span(body, sizeof(body)), fd);

	if (r == 0)
		r = channel_recv(l->fd, ANSWER_LIMIT_MS, &m);
	if (r < 0)
		return -EACCES;
	r = m.body.n == 4 ? -(int)be32_at(m.body.p) : -EACCES;
	channel_msg_done(&m);
	return r;
}
