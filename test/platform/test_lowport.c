#include "platform/lowport.h"

#include <errno.h>
#include <linux/capability.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "platform/caps.h"
#include "platform/sockaddr.h"
#include "test/check.h"

enum { LOW = 1019, STREAM = 1 << 0, TAKEN = 1 << 1, SIX = 1 << 2 };

static int socket_of(int family, int type)
{
	return socket(family, type | SOCK_CLOEXEC, 0);
}

/* Bits of what was not as it should be. */
static int without_the_right(struct lowport *l)
{
	int four = socket_of(AF_INET, SOCK_DGRAM), again = socket_of(AF_INET, SOCK_DGRAM);
	int stream = socket_of(AF_INET, SOCK_STREAM), six = socket_of(AF_INET6, SOCK_DGRAM), on = 1;
	uint16_t port = LOW;
	int wrong = 0, r;

	/* This machine may use the port. */
	while ((r = lowport_bind(l, four, port)) == -EADDRINUSE && port > 1)
		port--;
	if (r < 0)
		return -r;
	if (lowport_bind(l, again, port) != -EADDRINUSE)
		wrong |= TAKEN;
	if (lowport_bind(l, stream, port) != -EINVAL)
		wrong |= STREAM;
	if (six >= 0) {
		(void)setsockopt(six, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
		if (lowport_bind(l, six, port) < 0)
			wrong |= SIX;
	}
	return wrong;
}

static int child(void)
{
	struct lowport *l = NULL;
	int r = lowport_start(&l);

	if (r < 0 || !l || caps_keep(NULL, 0) < 0 || caps_have(CAP_NET_BIND_SERVICE))
		return 100;
	r = without_the_right(l);
	lowport_free(l);
	/* Nobody is left behind. */
	return r == 0 && waitpid(-1, NULL, WNOHANG) != -1 ? 101 : r;
}

static void a_low_port_can_be_had_after_the_right_was_given_away(void)
{
	int status = 0;
	pid_t pid;

	if (!caps_have(CAP_NET_BIND_SERVICE))
		return;
	pid = fork();
	if (pid == 0)
		_exit(child());
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK(WIFEXITED(status));
	CHECK_EQ(WEXITSTATUS(status), 0);
}

static void without_the_right_nobody_can_help(void)
{
	CHECK_EQ(lowport_bind(NULL, 0, 1), -EACCES);
}

int main(void)
{
	RUN(a_low_port_can_be_had_after_the_right_was_given_away);
	RUN(without_the_right_nobody_can_help);
	return check_done();
}
