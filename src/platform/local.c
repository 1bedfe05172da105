#include "platform/local.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/time.h"

int local_connect(const char *path, int *ret_fd)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	struct stat st;

	if (strlen(path) >= sizeof(to.sun_path))
		return -ENAMETOOLONG;
	memcpy(to.sun_path, path, strlen(path) + 1);
	if (stat(path, &st) < 0)
		return -errno;
	if (!S_ISSOCK(st.st_mode))
		return -ENOTSOCK;

	AUTO(fd_close) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0)
		return -errno;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

int local_send(int fd, struct span bytes)
{
	while (bytes.n) {
		ssize_t n = send(fd, bytes.p, bytes.n, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? ERR_TIMEOUT : -errno;
		bytes = span_from(bytes, (size_t)n);
	}
	return 0;
}

int local_recv(int fd, int64_t timeout_us, struct buf *in)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	int ms = (int)(timeout_us / US_PER_MS < INT_MAX ? timeout_us / US_PER_MS : INT_MAX);
	int r = poll(&p, 1, ms);
	uint8_t *at;
	ssize_t n;

	if (r <= 0)
		return r == 0 || errno == EINTR ? ERR_TIMEOUT : -errno;
	at = buf_room(in, 64 << 10);
	if (!at)
		return ERR_LIMIT;
	n = recv(fd, at, 64 << 10, 0);
	if (n < 0)
		return errno == EINTR || errno == EAGAIN ? ERR_TIMEOUT : -errno;
	in->n += (size_t)n;
	return (int)n;
}

static int read_reply(int fd, const char *until, size_t max, struct buf *reply)
{
	for (;;) {
		uint8_t *at = buf_room(reply, 64 << 10);

		if (!at || reply->n > max)
			return ERR_LIMIT;

		ssize_t n = recv(fd, at, 64 << 10, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? ERR_TIMEOUT : -errno;
		reply->n += (size_t)n;
		if (n == 0 || (*until && span_ends(buf_span(reply), until)))
			return 0;
	}
}

int local_ask(const char *path, struct span request, const char *until, size_t max,
              struct buf *reply)
{
	return local_ask_for(path, request, until, max, 10 * US_PER_S, reply);
}

int local_ask_for(const char *path, struct span request, const char *until, size_t max,
                  int64_t timeout_us, struct buf *reply)
{
	struct timeval limit = { .tv_sec = timeout_us / US_PER_S,
		                 .tv_usec = timeout_us % US_PER_S };
	AUTO(fd_close) int fd = -1;
	int r = local_connect(path, &fd);

	if (r < 0)
		return r;
	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) < 0)
		return -errno;
	r = local_send(fd, request);
	return r < 0 ? r : read_reply(fd, until, max, reply);
}

static int visit(const char *folder, const char *name, const char *suffix,
                 int (*fn)(void *arg, const char *name), void *arg)
{
	if (!span_ends(span_str(name), suffix) || strlen(name) == strlen(suffix))
		return 0;

	AUTO_FREE char *path = str_fmt("%s/%s", folder, name);
	AUTO_FREE char *stem = span_dup(span(name, strlen(name) - strlen(suffix)));
	AUTO(fd_close) int fd = -1;

	return local_connect(path, &fd) < 0 ? 0 : fn(arg, stem);
}

int local_each(const char *folder, const char *suffix, int (*fn)(void *arg, const char *name),
               void *arg)
{
	DIR *d = opendir(folder);
	int r = 0;

	if (!d)
		return errno == ENOENT ? 0 : -errno;
	for (struct dirent *e = readdir(d); e && r >= 0; e = readdir(d))
		r = visit(folder, e->d_name, suffix, fn, arg);
	(void)closedir(d);
	return r < 0 ? r : 0;
}
