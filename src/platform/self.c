#include "platform/self.h"

#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"

char *self_sibling(const char *name)
{
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (n <= 0)
		return str_dup(name);
	self[n] = '\0';

	char *slash = strrchr(self, '/');
	AUTO_FREE char *path = str_fmt("%.*s/%s", slash ? (int)(slash - self) : 0, self, name);

	return access(path, X_OK) == 0 ? TAKE(path) : str_dup(name);
}
