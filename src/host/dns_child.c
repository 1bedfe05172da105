/* Managers that are told by a command of theirs. */
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/time.h"
#include "base/vec.h"
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

/* busctl's arguments: words, some of which we own. */
struct words {
	VEC(char *) v;
};

static void word(struct words *w, const char *text)
{
	vec_push(&w->v, str_dup(text));
}

static void number(struct words *w, unsigned long n)
{
	vec_push(&w->v, str_fmt("%lu", n));
}

static void words_done(struct words *w)
{
	for (size_t i = 0; i < w->v.n; i++)
		free(w->v.v[i]);
	vec_done(&w->v);
}

enum { CALL_LIMIT_S = 3 }; /* more than what busctl is told */

/* A method of a D-Bus object of resolved; its arguments' types and values follow. */
static void begin(struct words *w, const char *bus, const char *interface, const char *method)
{
	*w = (struct words){ 0 };
	word(w, "busctl");
	if (bus)
		vec_push(&w->v, str_fmt("--address=%s", bus));
	word(w, "--timeout=1");
	word(w, "call");
	word(w, "org.freedesktop.resolve1");
	word(w, "/org/freedesktop/resolve1");
	word(w, interface);
	word(w, method);
}

static int call(struct words *w)
{
	vec_push(&w->v, NULL);

	int r = proc_ok(&(struct proc_cmd){ .argv = (const char *const *)w->v.v,
	                                    .limit_us = CALL_LIMIT_S * US_PER_S },
	                NULL);

	words_done(w);
	return r;
}

#define MANAGER "org.freedesktop.resolve1.Manager"

bool resolved_answers(const char *bus)
{
	struct words w;

	begin(&w, bus, "org.freedesktop.DBus.Peer", "Ping");
	return call(&w) == 0;
}

static int set_servers(const char *bus, int index, const struct dns_os *os)
{
	struct words w;

	begin(&w, bus, MANAGER, "SetLinkDNS");
	word(&w, "ia(iay)");
	number(&w, (unsigned long)index);
	number(&w, os->servers.n);
	vec_each(const struct ip *, ip, &os->servers) {
		bool v4 = ip_is4(ip);
		const uint8_t *b = v4 ? ip_v4(ip) : ip->b;
		size_t n = v4 ? 4 : 16;

		number(&w, v4 ? 2 : 10); /* AF_INET, AF_INET6 */
		number(&w, n);
		for (size_t i = 0; i < n; i++)
			number(&w, b[i]);
	}
	return call(&w);
}

static bool is_search(const struct dns_os *os, const char *name)
{
	for (size_t i = 0; i < os->search.n; i++)
		if (strcmp(os->search.v[i], name) == 0)
			return true;
	return false;
}

/*
 * A search domain routes too. Told twice, the second time for routing only, it
 * would not be searched any more (seen in systemd 252).
 */
static int set_domains(const char *bus, int index, const struct dns_os *os)
{
	bool all = os->servers.n && !os->match.n;
	size_t routing = all;
	struct words w;

	for (size_t i = 0; i < os->match.n; i++)
		routing += !is_search(os, os->match.v[i]);

	begin(&w, bus, MANAGER, "SetLinkDomains");
	word(&w, "ia(sb)");
	number(&w, (unsigned long)index);
	number(&w, os->search.n + routing);
	for (size_t i = 0; i < os->search.n; i++) {
		word(&w, os->search.v[i]);
		word(&w, "false");
	}
	for (size_t i = 0; i < os->match.n; i++) {
		if (is_search(os, os->match.v[i]))
			continue;
		word(&w, os->match.v[i]);
		word(&w, "true"); /* for routing only */
	}
	if (all) {
		word(&w, ".");
		word(&w, "true");
	}
	return call(&w);
}

static int set_default_route(const char *bus, int index, bool yes)
{
	struct words w;

	begin(&w, bus, MANAGER, "SetLinkDefaultRoute");
	word(&w, "ib");
	number(&w, (unsigned long)index);
	word(&w, yes ? "true" : "false");
	return call(&w);
}

/* What our resolver does not do. Versions that lack a method are content without. */
static void switch_off(const char *bus, int index)
{
	static const char *const methods[] = { "SetLinkLLMNR", "SetLinkMulticastDNS",
		                               "SetLinkDNSSEC", "SetLinkDNSOverTLS" };

	for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
		struct words w;

		begin(&w, bus, MANAGER, methods[i]);
		word(&w, "is");
		number(&w, (unsigned long)index);
		word(&w, "no");
		(void)!call(&w);
	}
}

int resolved_set(const char *bus, int index, const struct dns_os *os)
{
	struct words w;
	int r = set_servers(bus, index, os);

	if (r == 0)
		r = set_domains(bus, index, os);
	if (r < 0)
		return r;
	(void)!set_default_route(bus, index, os->servers.n && !os->match.n);
	switch_off(bus, index);
	begin(&w, bus, MANAGER, "FlushCaches");
	(void)!call(&w);
	return 0;
}

int resolved_unset(const char *bus, int index)
{
	struct words w;

	begin(&w, bus, MANAGER, "RevertLink");
	word(&w, "i");
	number(&w, (unsigned long)index);
	return call(&w);
}
