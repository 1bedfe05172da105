#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"
#include "host/dns_priv.h"

enum { RESOLV_MAX = 1 << 20 };

void direct_init(struct direct *d, const char *etc, const char *journal, const char *run)
{
	*d = (struct direct){ .path = str_fmt("%s/" DIRECT_NAME, etc),
		              .backup = str_fmt("%s/" DIRECT_BACKUP, etc),
		              .spare = str_fmt("%s.resolv", journal),
		              .etc = str_dup(etc),
		              .run = str_dup(run ? run : "/run"),
		              .lock = -1 };
}

void direct_done(struct direct *d)
{
	direct_release(d);
	free(d->path);
	free(d->backup);
	free(d->spare);
	free(d->etc);
	free(d->run);
	*d = (struct direct){ .lock = -1 };
}

int direct_read(const char *etc, struct buf *ret)
{
	AUTO_FREE char *path = str_fmt("%s/" DIRECT_NAME, etc);

	return file_read(path, RESOLV_MAX, ret);
}

/* Empty is what a crash leaves between the cutting and the writing of a file that cannot be moved.
 */
static bool is_ours(struct span text)
{
	struct dns_resolv r = { 0 };
	bool ours;

	dns_resolv_parse(text, &r);
	ours = r.owner == DNS_OWNER_US || text.n == 0;
	dns_resolv_done(&r);
	return ours;
}

/* ---- one daemon alone ---- */

/* In containers, and in namespaces of networks, the file may be mounted on its own. */
static bool is_mounted(const struct direct *d)
{
	struct statx file, folder;

	return statx(AT_FDCWD, d->path, AT_SYMLINK_NOFOLLOW, STATX_MNT_ID, &file) == 0 &&
	       statx(AT_FDCWD, d->etc, 0, STATX_MNT_ID, &folder) == 0 &&
	       file.stx_mnt_id != folder.stx_mnt_id;
}

int direct_take(struct direct *d)
{
	struct stat st;

	if (d->lock >= 0)
		return 0;
	if (stat(is_mounted(d) ? d->path : d->etc, &st) < 0)
		return -errno;

	AUTO_FREE char *path = str_fmt("%s/fairlead-resolv-%llx-%llx.lock", d->run,
	                               (unsigned long long)st.st_dev,
	                               (unsigned long long)st.st_ino);
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	/* Where no lock can be, there is hardly a second one either. */
	if (fd < 0)
		return 0;
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		int r = errno == EWOULDBLOCK ? ERR_EXISTS : -errno;

		fd_close(fd);
		return r;
	}
	d->lock = fd;
	return 0;
}

void direct_release(struct direct *d)
{
	fd_close(d->lock);
	d->lock = -1;
}

/* ---- writing ---- */

/* Into the file that is there, as a mounted one cannot be replaced. */
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

static bool exists(const char *path)
{
	return access(path, F_OK) == 0;
}

/*
 * Moved as it is, a link stays a link. A mounted one is copied to a place of our
 * own: its folder may be another host's, with a backup of that one in it.
 */
static int keep(const struct direct *d, struct span text)
{
	if (!is_mounted(d) && rename(d->path, d->backup) == 0)
		return 0;
	return file_write_atomic(d->spare, text, 0644);
}

/* Ours, though not from this life: what was before is where its head says. */
static int adopt(const struct direct *d, struct span text)
{
	struct span path = dns_resolv_kept(text);
	AUTO_FREE char *from = span_dup(path);
	AUTO_DONE(buf) struct buf old = { 0 };

	if (path.n == 0 || exists(d->spare) || strcmp(from, d->spare) == 0 ||
	    strcmp(from, d->backup) == 0 || file_read(from, RESOLV_MAX, &old) < 0)
		return 0;
	return file_write_atomic(d->spare, buf_span(&old), 0644);
}

const char *direct_kept(const struct direct *d)
{
	return exists(d->spare) || is_mounted(d) ? d->spare : d->backup;
}

int direct_set(struct direct *d, struct span text)
{
	AUTO_DONE(buf) struct buf now = { 0 };
	int r = file_read(d->path, RESOLV_MAX, &now);

	if (r == 0 && is_ours(buf_span(&now)))
		r = adopt(d, buf_span(&now));
	else if (r == 0)
		r = keep(d, buf_span(&now));
	else if (r == -ENOENT)
		r = 0;
	return r < 0 ? r : put(d->path, text);
}

static int forget(const struct direct *d)
{
	if (!is_mounted(d))
		(void)unlink(d->backup);
	return unlink(d->spare) < 0 && errno != ENOENT ? -errno : 0;
}

static int bring_back(const struct direct *d)
{
	AUTO_DONE(buf) struct buf old = { 0 };
	int r = file_read(d->spare, RESOLV_MAX, &old);

	if (r == 0) {
		r = put(d->path, buf_span(&old));
		return r < 0 ? r : unlink(d->spare) < 0 ? -errno : 0;
	}
	if (is_mounted(d))
		return write_in_place(d->path, span(NULL, 0));
	if (rename(d->backup, d->path) == 0)
		return 0;
	/* There was none before us. */
	return errno != ENOENT || (unlink(d->path) < 0 && errno != ENOENT) ? -errno : 0;
}

int direct_restore(struct direct *d)
{
	AUTO_DONE(buf) struct buf now = { 0 };
	int r = file_read(d->path, RESOLV_MAX, &now);

	/* Somebody wrote it since: theirs is newer than what we kept. */
	r = r == 0 && !is_ours(buf_span(&now)) ? forget(d) : bring_back(d);
	direct_release(d);
	return r;
}

void direct_base(const struct direct *d, struct dns_resolv *ret)
{
	AUTO_DONE(buf) struct buf now = { 0 }, old = { 0 };
	AUTO_FREE char *kept = NULL;

	if (file_read(d->path, RESOLV_MAX, &now) == 0 && !is_ours(buf_span(&now))) {
		dns_resolv_parse(buf_span(&now), ret);
		return;
	}
	kept = span_dup(dns_resolv_kept(buf_span(&now)));
	if (file_read(direct_kept(d), RESOLV_MAX, &old) == 0 ||
	    (*kept && file_read(kept, RESOLV_MAX, &old) == 0))
		dns_resolv_parse(buf_span(&old), ret);
}
