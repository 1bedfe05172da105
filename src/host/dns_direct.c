#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"
#include "host/dns_priv.h"

enum { RESOLV_MAX = 1 << 20 };

static char *path_in(const char *etc, const char *name)
{
	return str_fmt("%s/%s", etc, name);
}

int direct_read(const char *etc, struct buf *ret)
{
	AUTO_FREE char *path = path_in(etc, DIRECT_NAME);

	return file_read(path, RESOLV_MAX, ret);
}

static bool is_ours(struct span text)
{
	struct dns_resolv r = { 0 };
	bool ours;

	dns_resolv_parse(text, &r);
	ours = r.owner == DNS_OWNER_US;
	dns_resolv_done(&r);
	return ours;
}

/* Into the file that is there: it may be mounted on its own, as in containers. */
static int write_in_place(const char *path, struct span text)
{
	AUTO(fd_close) int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	return fd < 0 ? -errno : file_write_fd(fd, text);
}

static int put(const char *path, struct span text)
{
	int r = file_write_atomic(path, text, 0644);

	return r == -EBUSY || r == -EXDEV || r == -EACCES || r == -EROFS
	               ? write_in_place(path, text)
	               : r;
}

/* Moved as it is, a link stays a link; where moving is not possible, copied. */
static int move_aside(const char *path, const char *backup, struct span text)
{
	if (rename(path, backup) == 0)
		return 0;
	return errno == ENOENT ? 0 : file_write_atomic(backup, text, 0644);
}

int direct_set(const char *etc, struct span text)
{
	AUTO_FREE char *path = path_in(etc, DIRECT_NAME);
	AUTO_FREE char *backup = path_in(etc, DIRECT_BACKUP);
	AUTO_DONE(buf) struct buf now = { 0 };
	int r = file_read(path, RESOLV_MAX, &now);

	if (r < 0 && r != -ENOENT)
		return r;
	if (r == 0 && !is_ours(buf_span(&now))) {
		r = move_aside(path, backup, buf_span(&now));
		if (r < 0)
			return r;
	}
	return put(path, text);
}

int direct_restore(const char *etc)
{
	AUTO_FREE char *path = path_in(etc, DIRECT_NAME);
	AUTO_FREE char *backup = path_in(etc, DIRECT_BACKUP);
	AUTO_DONE(buf) struct buf now = { 0 }, old = { 0 };
	int r = file_read(path, RESOLV_MAX, &now);

	/* Somebody wrote it since: theirs is newer than what we kept. */
	if (r == 0 && !is_ours(buf_span(&now)))
		return unlink(backup) < 0 && errno != ENOENT ? -errno : 0;
	if (rename(backup, path) == 0)
		return 0;
	if (errno == ENOENT) /* there was none before us */
		return unlink(path) < 0 && errno != ENOENT ? -errno : 0;
	r = file_read(backup, RESOLV_MAX, &old);
	if (r == 0)
		r = write_in_place(path, buf_span(&old));
	if (r == 0)
		(void)unlink(backup);
	return r;
}

void direct_base(const char *etc, struct dns_resolv *ret)
{
	AUTO_FREE char *path = path_in(etc, DIRECT_NAME);
	AUTO_FREE char *backup = path_in(etc, DIRECT_BACKUP);
	AUTO_DONE(buf) struct buf now = { 0 }, old = { 0 };

	if (file_read(path, RESOLV_MAX, &now) == 0 && !is_ours(buf_span(&now)))
		dns_resolv_parse(buf_span(&now), ret);
	else if (file_read(backup, RESOLV_MAX, &old) == 0)
		dns_resolv_parse(buf_span(&old), ret);
}
