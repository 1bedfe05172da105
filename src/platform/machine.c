#include "platform/machine.h"

#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/err.h"
#include "base/file.h"

enum { RELEASE_MAX = 64 << 10, CGROUP_MAX = 64 << 10 };

static void set(char dst[static MACHINE_TEXT_MAX], struct span s)
{
	(void)snprintf(dst, MACHINE_TEXT_MAX, "%.*s",
	               SPAN_FMT(span_first(s, MACHINE_TEXT_MAX - 1)));
}

/* os-release: NAME=value, the value perhaps in quotes. */
static void take_line(struct machine_facts *h, struct span line)
{
	size_t eq = span_find(line, '=');
	struct span name = span_first(line, eq), value = span_from(line, eq + 1);

	if (value.n >= 2 && value.p[0] == '"' && value.p[value.n - 1] == '"')
		value = span(value.p + 1, value.n - 2);
	if (span_is(name, "ID"))
		set(h->distro, value);
	else if (span_is(name, "VERSION_ID"))
		set(h->distro_version, value);
	else if (span_is(name, "VERSION_CODENAME"))
		set(h->distro_code_name, value);
}

static void read_release(struct machine_facts *h)
{
	AUTO_DONE(buf) struct buf text = { 0 };
	struct span rest, line;

	if (file_read("/etc/os-release", RELEASE_MAX, &text) < 0)
		return;
	rest = buf_span(&text);
	while (span_cut(&rest, '\n', &line))
		take_line(h, span_trim(line));
}

static bool in_container(void)
{
	AUTO_DONE(buf) struct buf text = { 0 };

	if (access("/.dockerenv", F_OK) == 0 || access("/run/.containerenv", F_OK) == 0)
		return true;
	return file_read("/proc/1/cgroup", CGROUP_MAX, &text) == 0 &&
	       (strstr(buf_text(&text), "/docker/") || strstr(buf_text(&text), "/lxc/"));
}

void machine_facts(struct machine_facts *ret)
{
	struct utsname u = { 0 };

	*ret = (struct machine_facts){ 0 };
	if (uname(&u) == 0) {
		struct span name = span_str(u.nodename);

		set(ret->name, name);
		set(ret->hostname, span_first(name, span_find(name, '.')));
		set(ret->kernel, span_str(u.release));
		set(ret->machine, span_str(u.machine));
	}
	read_release(ret);
	ret->container = in_container();
}

int machine_user_id(const char *name, uid_t *ret)
{
	char bytes[4096];
	struct passwd pw, *found = NULL;
	int r = getpwnam_r(name, &pw, bytes, sizeof(bytes), &found);

	if (r > 0)
		return -r;
	if (!found)
		return ERR_UNKNOWN;
	*ret = found->pw_uid;
	return 0;
}
