/* Managers that are told by a command of theirs. */
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "host/dns_priv.h"
#include "platform/proc.h"

int resolvconf_set(enum dns_manager m, const char *name, struct span text)
{
	const char *const debian[] = { "resolvconf", "-a", name, NULL };
	const char *const openresolv[] = { "resolvconf", "-m", "0", "-x", "-a", name, NULL };

	return proc_ok(
		&(struct proc_cmd){ .argv = m == DNS_MANAGER_OPENRESOLV ? openresolv : debian,
	                            .input = text },
		NULL);
}

int resolvconf_unset(enum dns_manager m, const char *name)
{
	const char *const debian[] = { "resolvconf", "-d", name, NULL };
	const char *const openresolv[] = { "resolvconf", "-f", "-d", name, NULL };

	return proc_ok(
		&(struct proc_cmd){ .argv = m == DNS_MANAGER_OPENRESOLV ? openresolv : debian },
		NULL);
}

enum { DEBIAN_NO_SUCH_OPTION = 99 };

bool resolvconf_is_debian(void)
{
	static const char *const argv[] = { "resolvconf", "--version", NULL };
	AUTO_DONE(buf) struct buf out = { 0 };
	int status = 0;

	if (proc_run(&(struct proc_cmd){ .argv = argv }, &out, &status) < 0)
		return false;
	return status == DEBIAN_NO_SUCH_OPTION || span_starts(buf_span(&out), "Debian resolvconf");
}
