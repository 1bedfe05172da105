#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/mem.h"

int file_read_fd(int fd, size_t max, struct buf *ret)
{
	size_t start = ret->n;

	for (;;) {
		uint8_t *at = buf_room(ret, 4096);

		if (!at)
			return ERR_LIMIT;

		ssize_t n = read(fd, at, 4096);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return 0;
		ret->n += (size_t)n;
		if (ret->n - start > max)
			return ERR_LIMIT;
	}
}

int file_read(const char *path, size_t max, struct buf *ret)
{
	AUTO(fd_close) int fd = open(path, O_RDONLY | O_CLOEXEC);

	return fd < 0 ? -errno : file_read_fd(fd, max, ret);
}

int file_read_private(const char *path, size_t max, struct buf *ret)
{
	AUTO(fd_close) int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (S_ISREG(st.st_mode) && (st.st_mode & 077))
		return ERR_DENIED;
	return file_read_fd(fd, max, ret);
}

bool file_exists(const char *path)
{
	return access(path, F_OK) == 0;
}

int file_write_fd(int fd, struct span bytes)
{
	while (bytes.n) {
		ssize_t n = write(fd, bytes.p, bytes.n);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		bytes = span_from(bytes, (size_t)n);
	}
	return 0;
}

static int fill_and_rename(int fd, const char *tmp, const char *path, struct span contents,
                           mode_t mode)
{
	int r = file_write_fd(fd, contents);

	if (r < 0)
		return r;
	if (fchmod(fd, mode) < 0 || fsync(fd) < 0 || rename(tmp, path) < 0)
		return -errno;
	return 0;
}

static int sync_folder_of(const char *path)
{
	const char *slash = strrchr(path, '/');
	AUTO_FREE char *folder = slash ? span_dup(span(path,
	                                               slash == path ? 1 : (size_t)(slash - path)))
	                               : str_dup(".");
	AUTO(fd_close) int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	/* Some file systems cannot sync a folder; the rename is still atomic there. */
	if (fsync(fd) < 0 && errno != EINVAL)
		return -errno;
	return 0;
}

int file_write_atomic(const char *path, struct span contents, mode_t mode)
{
	AUTO_FREE char *tmp = str_fmt("%s.tmp.XXXXXX", path);
	AUTO(fd_close) int fd = mkostemp(tmp, O_CLOEXEC);

	if (fd < 0)
		return -errno;

	int r = fill_and_rename(fd, tmp, path, contents, mode);

	if (r < 0) {
		(void)unlink(tmp);
		return r;
	}
	return sync_folder_of(path);
}

int file_lock(const char *path, int *ret_fd)
{
	AUTO(fd_close) int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0)
		return -errno;
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return -errno;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

int file_claim(const char *path, int *ret_fd)
{
	struct flock whole = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	AUTO(fd_close) int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0)
		return -errno;
	if (fcntl(fd, F_SETLK, &whole) < 0)
		return errno == EACCES || errno == EAGAIN ? -EWOULDBLOCK : -errno;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

int file_mkdirs(const char *path, mode_t mode)
{
	AUTO_FREE char *p = str_dup(path);

	for (char *at = p + 1; *at; at++) {
		if (*at != '/')
			continue;
		*at = '\0';
		if (mkdir(p, 0755) < 0 && errno != EEXIST)
			return -errno;
		*at = '/';
	}
	if (mkdir(p, mode) < 0 && errno != EEXIST)
		return -errno;
	return 0;
}

char *file_folder(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? span_dup(span(path, slash == path ? 1 : (size_t)(slash - path)))
	             : str_dup(".");
}
