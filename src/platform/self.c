#include "platform/self.h"

#include <limits.h>
#include <link.h>
#include <string.h>
#include <sys/mman.h>
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

/* What is not writable is as the file has it: nothing is lost. */
static int drop_code(struct dl_phdr_info *info, size_t size, void *arg)
{
	const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);

	(void)size;
	(void)arg;
	for (size_t i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *h = &info->dlpi_phdr[i];
		uintptr_t at = info->dlpi_addr + h->p_vaddr;
		uintptr_t from = at & ~(page - 1), to = (at + h->p_filesz) & ~(page - 1);

		if (h->p_type == PT_LOAD && !(h->p_flags & PF_W) && from < to)
			(void)madvise((void *)from, to - from, MADV_DONTNEED);
	}
	return 0;
}

void self_trim(void)
{
	mem_trim();
	(void)dl_iterate_phdr(drop_code, NULL);
}
