#include "platform/channel.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "base/err.h"
#include "base/wire.h"

enum { HEAD = 5 };

union control {
	struct cmsghdr align;
	uint8_t bytes[CMSG_SPACE(sizeof(int))];
};

int channel_pair(int ret[static 2])
{
	return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ret) < 0 ? -errno : 0;
}

static int error(void)
{
	return errno == EPIPE || errno == ECONNRESET ? ERR_CLOSED : -errno;
}

static int send_all(int fd, struct span bytes)
{
	while (bytes.n) {
		ssize_t n = send(fd, bytes.p, bytes.n, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return error();
		bytes = span_from(bytes, (size_t)n);
	}
	return 0;
}

/* The head alone carries the descriptor, so that the reader knows where it is. */
static int send_head(int fd, uint8_t head[static HEAD], int pass)
{
	union control control = { .bytes = { 0 } };
	struct iovec iov = { head, HEAD };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t n;

	if (pass >= 0) {
		msg.msg_control = control.bytes;
		msg.msg_controllen = sizeof(control.bytes);

		struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &pass, sizeof(int));
	}
	do
		n = sendmsg(fd, &msg, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n < 0 ? error() : send_all(fd, span(head + n, HEAD - (size_t)n));
}

int channel_send(int fd, uint8_t kind, struct span body, int pass)
{
	uint8_t head[HEAD] = { kind };

	if (body.n > CHANNEL_BODY_MAX)
		return ERR_LIMIT;
	put_be32(head + 1, (uint32_t)body.n);

	int r = send_head(fd, head, pass);

	return r < 0 ? r : send_all(fd, body);
}

static int take_fd(const struct msghdr *msg, int before)
{
	const struct cmsghdr *c = CMSG_FIRSTHDR(msg);
	int fd;

	if (!c || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS ||
	    c->cmsg_len != CMSG_LEN(sizeof(int)))
		return before;
	memcpy(&fd, CMSG_DATA(c), sizeof(fd));
	fd_close(before);
	return fd;
}

static int recv_all(int fd, uint8_t *p, size_t n, int *ret_fd)
{
	while (n) {
		union control control;
		struct iovec iov = { p, n };
		struct msghdr msg = { .msg_iov = &iov,
			              .msg_iovlen = 1,
			              .msg_control = control.bytes,
			              .msg_controllen = sizeof(control.bytes) };
		ssize_t got = recvmsg(fd, &msg, MSG_CMSG_CLOEXEC);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return got == 0 ? ERR_CLOSED : error();
		*ret_fd = take_fd(&msg, *ret_fd);
		p += got;
		n -= (size_t)got;
	}
	return 0;
}

static int await(int fd, int limit_ms)
{
	struct pollfd p = { fd, POLLIN, 0 };
	int n;

	do
		n = poll(&p, 1, limit_ms);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n == 0 ? ERR_TIMEOUT : 0;
}

int channel_recv(int fd, int limit_ms, struct channel_msg *ret)
{
	uint8_t head[HEAD];
	int r = await(fd, limit_ms);

	*ret = (struct channel_msg){ .fd = -1, .body.max = CHANNEL_BODY_MAX };
	if (r == 0)
		r = recv_all(fd, head, HEAD, &ret->fd);
	if (r < 0)
		return r;

	size_t n = be32_at(head + 1);
	uint8_t *at = n ? buf_room(&ret->body, n) : head;

	ret->kind = head[0];
	r = at ? recv_all(fd, at, n, &ret->fd) : ERR_LIMIT;
	if (r < 0) {
		channel_msg_done(ret);
		return r;
	}
	ret->body.n = n;
	return 0;
}
