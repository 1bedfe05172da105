#include "host/dns.h"

#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "host/dns_priv.h"
#include "platform/filewatch.h"
#include "platform/proc.h"

enum {
	FILE_MAX = 1 << 20,
	SETTLE_US = 250 * 1000,      /* others may write in several steps */
	FIGHT_SPAN_US = 5000 * 1000, /* in which ... */
	FIGHT_MAX = 10,              /* ... so many repairs are tried */
	REFUSED_US = 10000 * 1000,   /* another daemon of ours has the file: asked again after */
};

#define CHILD_NAME_DEBIAN "tun-fairlead.inet"
#define CHILD_NAME "fairlead"

struct host_dns {
	struct ev *ev;
	char *dev, *journal, *etc, *bus;
	struct direct file;
	struct resolve1 *resolved; /* NULL: no bus */
	void (*changed)(void *arg, bool lost);
	void *arg;
	enum dns_manager manager;
	const char *why;
	struct dns_resolv base;
	struct dns_os now; /* what is in force */
	struct buf text;   /* of the file, as we wrote it */
	bool active;       /* something of ours is in the host */
	bool refused;      /* the file is another daemon's */
	struct filewatch watch;
	struct ev_timer settle;
	mono fight_start;
	unsigned repairs;
};

static const char *child_name(enum dns_manager m)
{
	return m == DNS_MANAGER_OPENRESOLV ? CHILD_NAME : CHILD_NAME_DEBIAN;
}

/* The journal: one line, the manager and what it needs to forget us. */
static int write_journal(const struct host_dns *d)
{
	AUTO_FREE char *line = str_fmt("%s %u\n", dns_manager_name(d->manager),
	                               if_nametoindex(d->dev));

	return file_write_atomic(d->journal, span_str(line), 0600);
}

static int undo(enum dns_manager m, struct direct *file, struct resolve1 *bus, int index)
{
	switch (m) {
	case DNS_MANAGER_DIRECT:
		return direct_restore(file);
	case DNS_MANAGER_RESOLVED:
		/* With the link its settings are gone. */
		if (index > 0 && bus)
			(void)!resolve1_revert(bus, index);
		return 0;
	case DNS_MANAGER_RESOLVCONF:
	case DNS_MANAGER_OPENRESOLV:
		return resolvconf_unset(m, child_name(m));
	}
	return 0;
}

static int undo_line(struct span line, struct resolve1 *bus, struct direct *file)
{
	struct span name, number;
	uint64_t index = 0;

	line = span_trim(line);
	if (!span_word(&line, &name))
		return 0;
	if (span_word(&line, &number))
		(void)!span_u64(number, INT32_MAX, &index);
	for (int m = DNS_MANAGER_DIRECT; m <= DNS_MANAGER_OPENRESOLV; m++) {
		enum dns_manager manager = (enum dns_manager)m;

		if (!span_is(name, dns_manager_name(manager)))
			continue;
		/* Another daemon took the file over after our end, and what was before with it. */
		if (manager == DNS_MANAGER_DIRECT && direct_take(file) == ERR_EXISTS)
			return 0;
		return undo(manager, file, bus, (int)index);
	}
	return 0;
}

int host_dns_cleanup(const struct host_dns_cfg *cfg)
{
	AUTO_DONE(buf) struct buf text = { 0 };
	struct direct file;
	struct resolve1 *bus = NULL;
	int r = file_read(cfg->journal, 4096, &text);

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	direct_init(&file, cfg->etc ? cfg->etc : "/etc", cfg->journal, cfg->run);
	(void)!resolve1_open(NULL, cfg->bus, NULL, NULL, &bus);
	r = undo_line(buf_span(&text), bus, &file);
	resolve1_free(bus);
	direct_done(&file);
	if (r < 0)
		return r;
	return unlink(cfg->journal) < 0 && errno != ENOENT ? -errno : 0;
}

void host_dns_file(const char *etc, struct dns_resolv *ret)
{
	AUTO_DONE(buf) struct buf text = { 0 };

	*ret = (struct dns_resolv){ 0 };
	if (direct_read(etc ? etc : "/etc", &text) == 0)
		dns_resolv_parse(buf_span(&text), ret);
}

static void find_manager(struct host_dns *d)
{
	AUTO_FREE char *nss_path = str_fmt("%s/nsswitch.conf", d->etc);
	AUTO_DONE(buf) struct buf resolv = { 0 }, nss = { 0 };
	/* Asked first: resolved writes its file when it is woken. */
	struct dns_host_facts f = { .resolved_answers = d->resolved &&
		                                        resolve1_answers(d->resolved) };
	char mode[64] = "";

	f.nm_answers = d->resolved && resolve1_nm_mode(d->resolved, mode, sizeof(mode));
	f.nm_uses_resolved = strcmp(mode, "systemd-resolved") == 0;

	f.has_resolv_conf = direct_read(d->etc, &resolv) == 0;
	(void)!file_read(nss_path, FILE_MAX, &nss);
	f.resolv_conf = buf_span(&resolv);
	f.nsswitch = buf_span(&nss);
	f.has_resolvconf = proc_find("resolvconf", NULL);
	f.is_debian_resolvconf = f.has_resolvconf && resolvconf_is_debian();
	d->manager = dns_choose(&f, &d->why);
}

static bool is_ours(const struct ip *ip)
{
	static const struct ip service4 = { { [10] = 0xff, [11] = 0xff, 100, 100, 100, 100 } };
	static const struct ip service6 = { { 0xfd, 0x7a, 0x11, 0x5c, 0xa1, 0xe0, [15] = 0x53 } };

	return ip_eq(ip, &service4) || ip_eq(ip, &service6);
}

/* Never ourselves: that would be a loop. */
static void read_base(struct host_dns *d)
{
	dns_resolv_done(&d->base);
	direct_base(&d->file, &d->base);
	for (size_t i = d->base.servers.n; i-- > 0;)
		if (is_ours(&d->base.servers.v[i]))
			vec_remove(&d->base.servers, i);
}

/* The file's text: without resolvers of ours the host keeps its own; its search list stays. */
static void make_text(const struct host_dns *d, const struct dns_os *want, struct buf *out)
{
	struct dns_os whole = { 0 };

	vec_each(const struct ip *, s, &want->servers)
		vec_push(&whole.servers, *s);
	for (size_t i = 0; i < want->search.n; i++)
		vec_push(&whole.search, want->search.v[i]);
	if (!want->servers.n)
		vec_each(const struct ip *, s, &d->base.servers)
			vec_push(&whole.servers, *s);
	for (size_t i = 0; i < d->base.search.n; i++)
		vec_push(&whole.search, d->base.search.v[i]);
	dns_resolv_print(out, &whole,
	                 d->manager == DNS_MANAGER_DIRECT ? direct_kept(&d->file) : NULL);
	vec_done(&whole.servers);
	vec_done(&whole.search); /* the texts are others' */
}

static int set(struct host_dns *d, const struct dns_os *want)
{
	buf_clear(&d->text);
	make_text(d, want, &d->text);
	switch (d->manager) {
	case DNS_MANAGER_DIRECT:
		return direct_set(&d->file, buf_span(&d->text));
	case DNS_MANAGER_RESOLVED:
		return resolved_set(d->resolved, (int)if_nametoindex(d->dev), want);
	case DNS_MANAGER_RESOLVCONF:
	case DNS_MANAGER_OPENRESOLV:
		return resolvconf_set(d->manager, child_name(d->manager), buf_span(&d->text));
	}
	return 0;
}

static int unset(struct host_dns *d)
{
	int r;

	if (!d->active)
		return 0;
	r = undo(d->manager, &d->file, d->resolved, (int)if_nametoindex(d->dev));
	if (r < 0)
		return r;
	d->active = false;
	dns_os_done(&d->now);
	return unlink(d->journal) < 0 && errno != ENOENT ? -errno : 0;
}

static void copy(const struct dns_os *from, struct dns_os *to)
{
	dns_os_done(to);
	vec_each(const struct ip *, s, &from->servers)
		vec_push(&to->servers, *s);
	for (size_t i = 0; i < from->search.n; i++)
		vec_push(&to->search, str_dup(from->search.v[i]));
	for (size_t i = 0; i < from->match.n; i++)
		vec_push(&to->match, str_dup(from->match.v[i]));
	to->need_base = from->need_base;
}

int host_dns_apply(struct host_dns *d, const struct dns_os *want)
{
	int r;

	d->refused = false;
	if (dns_os_is_empty(want))
		return unset(d);
	if (d->active && dns_os_eq(&d->now, want))
		return 0;
	r = d->manager == DNS_MANAGER_DIRECT ? direct_take(&d->file) : 0;
	d->refused = r == ERR_EXISTS;
	if (d->refused)
		ev_timer_after(d->ev, &d->settle, REFUSED_US);
	if (r < 0)
		return r;
	r = write_journal(d);
	if (r < 0)
		return r;
	d->active = true;
	r = set(d, want);
	if (r == 0)
		copy(want, &d->now);
	else
		dns_os_done(&d->now);
	return r;
}

/* Somebody wrote the file. */
static bool is_intact(struct host_dns *d)
{
	AUTO_DONE(buf) struct buf now = { 0 };

	return direct_read(d->etc, &now) == 0 && span_eq(buf_span(&now), buf_span(&d->text));
}

static bool may_repair(struct host_dns *d, mono now)
{
	if (mono_since(d->fight_start, now) > FIGHT_SPAN_US) {
		d->fight_start = now;
		d->repairs = 0;
	}
	return ++d->repairs <= FIGHT_MAX;
}

static void on_settled(struct ev_timer *t, mono now)
{
	struct host_dns *d = CONTAINER_OF(t, struct host_dns, settle);
	bool lost;

	if (d->refused && d->changed) {
		read_base(d);
		d->changed(d->arg, false);
		return;
	}
	if (!d->active || d->manager != DNS_MANAGER_DIRECT || is_intact(d))
		return;
	read_base(d);
	lost = !may_repair(d, now) || set(d, &d->now) < 0;
	/* Given up for now; once they rest, once more. */
	if (lost)
		ev_timer_after(d->ev, &d->settle, FIGHT_SPAN_US);
	if (d->changed)
		d->changed(d->arg, lost);
}

static void on_file(struct filewatch *w)
{
	struct host_dns *d = CONTAINER_OF(w, struct host_dns, watch);

	if (d->refused || !ev_timer_active(&d->settle))
		ev_timer_after(d->ev, &d->settle, SETTLE_US);
}

/* It knows nothing of us any more. */
static void on_resolved_restarted(void *arg)
{
	struct host_dns *d = arg;
	int r = 0;

	if (!d->active || d->manager != DNS_MANAGER_RESOLVED)
		return;
	r = set(d, &d->now);
	if (r < 0)
		(void)log_ret(r, "systemd-resolved started anew and cannot be told");
	else
		log_info("systemd-resolved started anew; told again");
}

int host_dns_new(struct ev *ev, const struct host_dns_cfg *cfg, struct host_dns **ret)
{
	int r = host_dns_cleanup(cfg);

	if (r < 0)
		return r;

	struct host_dns *d = mem_new(struct host_dns);

	d->ev = ev;
	d->dev = str_dup(cfg->dev);
	d->journal = str_dup(cfg->journal);
	d->etc = str_dup(cfg->etc ? cfg->etc : "/etc");
	d->bus = str_dup(cfg->bus);
	d->changed = cfg->changed;
	d->arg = cfg->arg;
	d->watch.changed = on_file;
	d->settle.fn = on_settled;
	direct_init(&d->file, d->etc, d->journal, cfg->run);
	(void)!resolve1_open(ev, d->bus, on_resolved_restarted, d, &d->resolved);
	find_manager(d);
	read_base(d);
	/* Without the watch others may win, no more. */
	(void)!filewatch_start(ev, &d->watch, d->etc, DIRECT_NAME);
	*ret = d;
	return 0;
}

void host_dns_free(struct host_dns *d)
{
	if (!d)
		return;
	ev_timer_stop(d->ev, &d->settle);
	filewatch_stop(&d->watch);
	(void)!unset(d);
	direct_done(&d->file);
	resolve1_free(d->resolved);
	dns_os_done(&d->now);
	dns_resolv_done(&d->base);
	buf_done(&d->text);
	free(d->dev);
	free(d->journal);
	free(d->etc);
	free(d->bus);
	free(d);
}

enum dns_manager host_dns_manager(const struct host_dns *d)
{
	return d->manager;
}

const char *host_dns_why(const struct host_dns *d)
{
	return d->why;
}

const struct dns_resolv *host_dns_base(const struct host_dns *d)
{
	return &d->base;
}
