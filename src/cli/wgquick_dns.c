/*
 * DNS of a tunnel: by resolvconf as wg-quick does it, or, where there is none,
 * by systemd-resolved's command.
 */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"
#include "cli/wgquick.h"
#include "platform/proc.h"

enum { ARGS_MAX = 2 * WG_CONF_LINES_OF_A_KIND };

/* Debian's resolvconf orders interfaces by name; the first pattern "NAME*" is for tunnels. */
static char *resolvconf_name(const struct quick *q)
{
	AUTO_DONE(buf) struct buf text = { 0 };
	struct span line, rest;

	if (file_read("/etc/resolvconf/interface-order", 1 << 16, &text) < 0)
		return str_dup(q->name);
	rest = buf_span(&text);
	while (span_cut(&rest, '\n', &line)) {
		struct span stem = span_first(line, line.n ? line.n - 1 : 0);
		bool plain = span_ends(line, "*") && stem.n > 0;

		for (size_t i = 0; plain && i < stem.n; i++)
			plain = strchr("-0123456789", stem.p[i]) ||
			        ((stem.p[i] | 0x20) >= 'a' && (stem.p[i] | 0x20) <= 'z');
		if (plain)
			return str_fmt("%.*s.%s", SPAN_FMT(stem), q->name);
	}
	return str_dup(q->name);
}

static int by_resolvconf(struct quick *q)
{
	AUTO_FREE char *name = resolvconf_name(q);
	const char *const argv[] = { "resolvconf", "-a", name, "-m", "0", "-x", NULL };
	AUTO_DONE(buf) struct buf text = { 0 };
	char ip[IP_TEXT_MAX];

	vec_each(const struct ip *, d, &q->conf.quick.dns)
		buf_fmt(&text, "nameserver %s\n", ip_text(d, ip));
	for (size_t i = 0; i < q->conf.quick.search.n; i++)
		buf_fmt(&text, "%s%s%s", i ? " " : "search ", q->conf.quick.search.v[i],
		        i + 1 == q->conf.quick.search.n ? "\n" : "");
	quick_say(q, "resolvconf -a %s -m 0 -x", name);
	return proc_ok(
		&(struct proc_cmd){ .argv = argv, .input = buf_span(&text), .flags = PROC_TTY },
		NULL);
}

static int by_resolvectl(struct quick *q)
{
	const struct wg_quick *c = &q->conf.quick;
	AUTO_FREE const char **argv = mem_new_n(const char *, ARGS_MAX + 5);
	AUTO_FREE char(*text)[IP_TEXT_MAX] = mem_alloc((c->dns.n + 1) * IP_TEXT_MAX);
	size_t n = 0;

	argv[n++] = "resolvectl";
	argv[n++] = "dns";
	argv[n++] = q->name;
	for (size_t i = 0; i < c->dns.n; i++)
		argv[n++] = ip_text(&c->dns.v[i], text[i]);
	argv[n] = NULL;
	quick_say(q, "resolvectl dns %s ...", q->name);

	int r = proc_ok(&(struct proc_cmd){ .argv = argv, .flags = PROC_TTY }, NULL);

	if (r < 0)
		return r;
	/* "~.": names that no other interface claims are asked for here. */
	n = 1;
	argv[n++] = "domain";
	argv[n++] = q->name;
	argv[n++] = "~.";
	for (size_t i = 0; i < c->search.n; i++)
		argv[n++] = c->search.v[i];
	argv[n] = NULL;
	quick_say(q, "resolvectl domain %s ...", q->name);
	return proc_ok(&(struct proc_cmd){ .argv = argv, .flags = PROC_TTY }, NULL);
}

int quick_set_dns(struct quick *q)
{
	int r;

	if (!q->conf.quick.dns.n)
		return 0;
	q->dns_set = true;
	if (proc_find("resolvconf", NULL))
		r = by_resolvconf(q);
	else if (proc_find("resolvectl", NULL))
		r = by_resolvectl(q);
	else
		return quick_fail(q, -ENOENT,
		                  "DNS is set, and there is no resolvconf nor resolvectl to tell: "
		                  "install openresolv, or take DNS out of the file");
	return r < 0 ? quick_fail(q, r, "cannot set the resolvers") : 0;
}

void quick_unset_dns(struct quick *q)
{
	AUTO_FREE char *name = resolvconf_name(q);
	const char *const argv[] = { "resolvconf", "-d", name, "-f", NULL };

	/* resolved forgets with the link. */
	if (!q->conf.quick.dns.n || !proc_find("resolvconf", NULL))
		return;
	quick_say(q, "resolvconf -d %s -f", name);
	(void)!proc_ok(&(struct proc_cmd){ .argv = argv, .flags = PROC_TTY }, NULL);
}
