#include "platform/sysctl.h"

#include <errno.h>
#include <fcntl.h>

#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"

int sysctl_get(const char *path, int *ret)
{
	AUTO_FREE char *full = str_fmt("/proc/sys/%s", path);
	AUTO_DONE(buf) struct buf text = { 0 };
	int r = file_read(full, 256, &text);
	struct span s = span_trim(buf_span(&text));
	bool minus = span_starts(s, "-");
	uint64_t v;

	if (r < 0)
		return r;
	if (span_u64(span_from(s, minus), INT32_MAX, &v) < 0)
		return ERR_MALFORMED;
	*ret = minus ? -(int)v : (int)v;
	return 0;
}

int sysctl_set(const char *path, int value)
{
	AUTO_FREE char *full = str_fmt("/proc/sys/%s", path);
	AUTO_FREE char *text = str_fmt("%d", value);
	int now;

	if (sysctl_get(path, &now) == 0 && now == value)
		return 0;

	AUTO(fd_close) int fd = open(full, O_WRONLY | O_CLOEXEC);

	return fd < 0 ? -errno : file_write_fd(fd, span_str(text));
}
