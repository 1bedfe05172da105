#include "cli/wgquick.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"
#include "cli/wg.h"
#include "cli/wgconf.h"
#include "cli/wgdev.h"
#include "cli/wgresolve.h"
#include "platform/proc.h"
#include "platform/self.h"
#include "wireguard/value.h"

#define AUTO_QUICK __attribute__((cleanup(quick_done))) struct quick

static void quick_done(struct quick *q)
{
	wg_conf_done(&q->conf);
	rtnl_free(q->nl);
	free(q->path);
}

void quick_say(const struct quick *q, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	cmd_vnote(q->cli, "[#] ", fmt, ap);
	va_end(ap);
	(void)fflush(q->cli->err);
}

int quick_fail(const struct quick *q, int r, const char *fmt, ...)
{
	AUTO_DONE(buf) struct buf what = { 0 };
	va_list ap;

	va_start(ap, fmt);
	buf_vfmt(&what, fmt, ap);
	va_end(ap);
	cmd_note(q->cli, "%s: %.*s: %s", q->name, SPAN_FMT(buf_span(&what)), err_text(r));
	return r;
}

static bool name_char(char c)
{
	return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') ||
	       (c && strchr("_=+.-", c));
}

static bool name_ok(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!name_char(s[i]))
			return false;
	return n > 0 && n < IFNAMSIZ;
}

bool quick_name(const char *path, char ret[static IFNAMSIZ])
{
	const char *slash = strrchr(path, '/');
	const char *base = slash ? slash + 1 : path;
	size_t n = strlen(base);

	if (n < 6 || strcmp(base + n - 5, ".conf") != 0 || !name_ok(base, n - 5))
		return false;
	memcpy(ret, base, n - 5);
	ret[n - 5] = '\0';
	return true;
}

/* Whether strangers may read the file: its own rights, and those of its folder. */
static bool is_readable_by_all(const char *path)
{
	AUTO_FREE char *folder = span_dup(span(path, (size_t)(strrchr(path, '/') - path) + 1));
	struct stat file, dir;

	return stat(path, &file) == 0 && stat(folder, &dir) == 0 &&
	       (file.st_mode & dir.st_mode & S_IRWXO);
}

/* Reads the file named on the command line; 0, or an exit status after a complaint. */
static int load(struct quick *q, struct cli *cli, const char *arg)
{
	*q = (struct quick){ .cli = cli, .old_mark_rule = -1 };

	AUTO_FREE char *path = name_ok(arg, strlen(arg)) && !strchr(arg, '/')
	                               ? str_fmt("/etc/wireguard/%s.conf", arg)
	                               : str_dup(arg);

	if (access(path, F_OK) < 0)
		return cmd_fail(cli, "`%s' does not exist", path);
	if (!quick_name(path, q->name))
		return cmd_fail(
			cli, "The config file must be a valid interface name, followed by .conf");
	q->path = realpath(path, NULL);
	if (!q->path)
		return cmd_fail(cli, "%s: %s", path, err_text(-errno));
	if (is_readable_by_all(q->path))
		cmd_note(cli, "Warning: `%s' is world accessible", q->path);
	return wgconf_read(cli, q->path, WG_CONF_QUICK, &q->conf) < 0;
}

static int open_system(struct quick *q)
{
	int r;

	if (geteuid() != 0)
		return cmd_fail(q->cli, "must be run as root");
	r = rtnl_open(&q->nl);
	return r < 0 ? cmd_fail(q->cli, "cannot reach the kernel's network part: %s", err_text(r))
	             : 0;
}

/* The snippet with the interface's name for each %i. */
static char *expand(const struct quick *q, const char *hook)
{
	AUTO_DONE(buf) struct buf out = { 0 };

	for (const char *c = hook; *c; c++) {
		if (c[0] == '%' && c[1] == 'i') {
			buf_add_str(&out, q->name);
			c++;
		} else {
			buf_add_u8(&out, (uint8_t)*c);
		}
	}
	return str_dup(buf_text(&out));
}

static int run_hook(struct quick *q, const char *hook)
{
	AUTO_FREE char *text = expand(q, hook);
	const char *shell = proc_find("bash", NULL) ? "bash" : "sh";
	const char *const argv[] = { shell, "-c", text, NULL };
	int status;

	quick_say(q, "%s", text);

	int r = proc_run(&(struct proc_cmd){ .argv = argv,
	                                     .flags = PROC_ENV | PROC_TTY | PROC_STDIN,
	                                     .limit_us = -1 },
	                 NULL, &status);

	if (r < 0)
		return quick_fail(q, r, "cannot run a command of the file");
	return status == 0
	               ? 0
	               : quick_fail(q, ERR_DENIED, "a command of the file ended with %d", status);
}

static int run_hooks(struct quick *q, char *const *hooks, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		int r = run_hook(q, hooks[i]);

		if (r < 0)
			return r;
	}
	return 0;
}

/* The program that runs devices: the one we were asked for, or the one beside us. */
static int start_program(struct quick *q)
{
	const char *asked = getenv("WG_QUICK_USERSPACE_IMPLEMENTATION");
	AUTO_FREE char *ours = self_sibling("fairlead-wg");
	const char *program = asked && *asked ? asked : ours;
	const char *const argv[] = { program, q->name, NULL };
	int status;

	quick_say(q, "%s %s", program, q->name);

	int r = proc_run(&(struct proc_cmd){ .argv = argv, .flags = PROC_ENV | PROC_TTY }, NULL,
	                 &status);

	if (r < 0)
		return quick_fail(q, r, "cannot start %s", program);
	return status == 0 ? 0 : quick_fail(q, ERR_DENIED, "%s ended with %d", program, status);
}

static int add_in_kernel(struct quick *q)
{
	quick_say(q, "ip link add %s type wireguard", q->name);
	return rtnl_link_add(q->nl, q->name, "wireguard");
}

static int make_interface(struct quick *q)
{
	int r = q->backend == WG_BACKEND_USER ? -EOPNOTSUPP : add_in_kernel(q);

	if (r == -EOPNOTSUPP && q->backend == WG_BACKEND_KERNEL)
		return quick_fail(q, r, "this kernel has no WireGuard: try --backend user");
	if (r < 0 && r != -EOPNOTSUPP)
		return quick_fail(q, r, "cannot make the interface");
	if (r < 0)
		r = start_program(q);
	if (r < 0)
		return r;
	q->made = true;
	r = rtnl_link_get(q->nl, q->name, &q->link);
	return r < 0 ? quick_fail(q, r, "the interface did not come") : 0;
}

static int configure(struct quick *q)
{
	quick_say(q, "wg setconf %s %s", q->name, q->path);

	int r = wgdev_set(q->name, &q->conf.change);

	return r < 0 ? quick_fail(q, r, "cannot configure the interface") : 0;
}

static int pre_up(struct quick *q)
{
	return run_hooks(q, q->conf.quick.pre_up.v, q->conf.quick.pre_up.n);
}

static int post_up(struct quick *q)
{
	return run_hooks(q, q->conf.quick.post_up.v, q->conf.quick.post_up.n);
}

static bool interrupted(void)
{
	sigset_t waiting;

	return sigpending(&waiting) == 0 &&
	       (sigismember(&waiting, SIGINT) || sigismember(&waiting, SIGTERM));
}

static int (*const up_steps[])(struct quick *q) = {
	pre_up,       make_interface, configure,        quick_add_addresses,
	quick_set_up, quick_set_dns,  quick_add_routes, post_up,
};

static int bring_up(struct quick *q)
{
	int r = 0;

	for (size_t i = 0; i < ARRAY_LEN(up_steps) && r == 0; i++)
		r = interrupted() ? quick_fail(q, -EINTR, "stopped") : up_steps[i](q);
	if (r == 0)
		return 0;
	if (q->dns_set)
		quick_unset_dns(q);
	if (q->made)
		(void)quick_remove(q);
	return r;
}

struct up_opts {
	const char *backend;
};

static int backend_of(const char *text, enum wg_backend *ret)
{
	static const char *const words[] = { "auto", "kernel", "user" };

	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (strcmp(text, words[i]) == 0) {
			*ret = (enum wg_backend)i;
			return 0;
		}
	return ERR_UNKNOWN;
}

int wg_run_up(struct cli *cli, const void *opts, int argc, char **argv)
{
	const struct up_opts *o = opts;
	enum wg_backend backend;
	AUTO_QUICK q;
	struct rtnl_link l;
	sigset_t stop;

	(void)argc;
	q = (struct quick){ 0 };
	if (backend_of(o->backend, &backend) < 0)
		return cmd_misuse(cli, "--backend: expected auto, kernel or user, not \"%s\"",
		                  o->backend);
	if (load(&q, cli, argv[0]) || open_system(&q))
		return 1;
	q.backend = backend;
	if (rtnl_link_get(q.nl, q.name, &l) == 0)
		return cmd_fail(cli, "`%s' already exists", q.name);
	if (wg_resolve_conf(cli, q.path, &q.conf) < 0)
		return 1;
	(void)quick_remove_left(&q);
	/* From here on a signal is looked for between steps, so that all can be undone. */
	sigemptyset(&stop);
	sigaddset(&stop, SIGINT);
	sigaddset(&stop, SIGTERM);
	(void)sigprocmask(SIG_BLOCK, &stop, NULL);
	return bring_up(&q) < 0;
}

static bool is_wireguard(const char *name)
{
	struct wgdev_names names = { 0 };
	bool found = false;

	if (wgdev_list(&names) == 0)
		for (size_t i = 0; i < names.n; i++)
			found |= strcmp(names.v[i], name) == 0;
	wgdev_names_done(&names);
	return found;
}

static int find_device(struct quick *q)
{
	if (!is_wireguard(q->name) || rtnl_link_get(q->nl, q->name, &q->link) < 0)
		return cmd_fail(q->cli, "`%s' is not a WireGuard interface", q->name);
	return 0;
}

static int see_address(void *arg, const struct rtnl_addr *a)
{
	struct quick *q = arg;

	if (a->index == q->link.index)
		vec_push(&q->conf.quick.addresses, a->prefix);
	return 0;
}

static int open_device(struct quick *q)
{
	return open_system(q) || find_device(q);
}

/* The file anew from the state of things: the live addresses and MTU, the file's hooks. */
static int save(struct quick *q)
{
	AUTO_DONE(buf) struct buf conf = { .secret = true }, text = { .secret = true };
	__attribute__((cleanup(wg_info_done))) struct wg_info info = { 0 };
	struct span rest, head = SPAN_LIT("[Interface]\n");
	int r = wgdev_get(q->name, &info);

	if (r < 0)
		return quick_fail(q, r, "cannot read the interface");
	q->conf.quick.addresses.n = 0;
	r = rtnl_addr_each(q->nl, see_address, q);
	if (r < 0)
		return quick_fail(q, r, "cannot read the addresses");
	if (q->conf.quick.mtu)
		q->conf.quick.mtu = q->link.mtu;
	wg_conf_print(&conf, &info);
	rest = span_from(buf_span(&conf), head.n);
	buf_add_span(&text, head);
	wg_quick_print(&text, &q->conf.quick);
	buf_add_span(&text, rest);
	r = file_write_atomic(q->path, buf_span(&text), 0600);
	return r < 0 ? quick_fail(q, r, "cannot write %s", q->path) : 0;
}

int wg_run_save(struct cli *cli, const void *opts, int argc, char **argv)
{
	AUTO_QUICK q;

	(void)opts;
	(void)argc;
	q = (struct quick){ 0 };
	if (load(&q, cli, argv[0]) || open_device(&q))
		return 1;
	return save(&q) < 0;
}

/* Its daemon was killed, and the interface went with it. Whether something was left of it. */
static bool remove_left(struct quick *q)
{
	bool left = quick_remove_left(q);

	quick_unset_dns(q);
	return left;
}

int wg_run_down(struct cli *cli, const void *opts, int argc, char **argv)
{
	AUTO_QUICK q;

	(void)opts;
	(void)argc;
	q = (struct quick){ 0 };
	if (load(&q, cli, argv[0]) || open_system(&q))
		return 1;
	if (rtnl_link_get(q.nl, q.name, &q.link) < 0 && remove_left(&q))
		return run_hooks(&q, q.conf.quick.post_down.v, q.conf.quick.post_down.n) < 0;
	if (find_device(&q))
		return 1;
	if (run_hooks(&q, q.conf.quick.pre_down.v, q.conf.quick.pre_down.n) < 0)
		return 1;
	if (q.conf.quick.save && save(&q) < 0)
		return 1;

	int r = quick_remove(&q);

	quick_unset_dns(&q);
	if (r < 0 || run_hooks(&q, q.conf.quick.post_down.v, q.conf.quick.post_down.n) < 0)
		return 1;
	return 0;
}

int wg_run_strip(struct cli *cli, const void *opts, int argc, char **argv)
{
	AUTO_QUICK q;

	(void)opts;
	(void)argc;
	q = (struct quick){ 0 };
	if (load(&q, cli, argv[0]))
		return 1;
	(void)fwrite(q.conf.stripped.p, 1, q.conf.stripped.n, cli->out);
	(void)fputc('\n', cli->out);
	return 0;
}
