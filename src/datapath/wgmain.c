#include "datapath/wgmain.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <net/if.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "crypto/aead_batch.h"
#include "crypto/init.h"
#include "datapath/datapath.h"
#include "platform/caps.h"
#include "platform/lowport.h"
#include "platform/uapi.h"
#include "wireguard/uapi.h"

struct program {
	struct ev *ev;
	struct lowport *lowport;
	struct datapath *dp;
	struct uapi *uapi;
	struct ev_signal signals;
};

struct options {
	const char *ifname;
	bool foreground;
};

/* ---- the control socket ------------------------------------------------------- */

static void reply_get(struct program *p, struct buf *reply)
{
	struct wg_info info = { 0 };

	wg_describe(datapath_device(p->dp), ev_now(p->ev), ev_wall(p->ev), &info);
	wg_uapi_write_get(reply, &info);
	wg_info_done(&info);
}

static void reply_drops(struct program *p, struct buf *reply)
{
	uint64_t counts[WG_DROP_MAX];

	for (int i = 0; i < WG_DROP_MAX; i++)
		counts[i] = wg_drops(datapath_device(p->dp), i);
	wg_uapi_write_drops(reply, counts);
}

static void reply_set(struct program *p, struct span lines, struct buf *reply)
{
	AUTO_DONE(buf) struct buf numbered = { .secret = true };
	struct wg_change change = { 0 };

	if (span_find(lines, '%') < lines.n) {
		wg_uapi_number_zones(lines, if_nametoindex, &numbered);
		lines = buf_span(&numbered);
	}
	int r = wg_uapi_read_set(lines, &change);

	if (r == 0)
		r = datapath_apply(p->dp, &change);
	wg_change_done(&change);
	wg_uapi_write_errno(reply, r);
}

static int request(void *arg, struct span in, bool eof, struct buf *reply)
{
	struct program *p = arg;
	enum wg_uapi_op op;
	struct span lines;
	size_t used;
	int r = wg_uapi_cut(in, eof, &op, &used, &lines);

	if (r <= 0)
		return r;
	switch (op) {
	case WG_UAPI_GET:
		reply_get(p, reply);
		break;
	case WG_UAPI_SET:
		reply_set(p, lines, reply);
		break;
	case WG_UAPI_DROPS:
		reply_drops(p, reply);
		break;
	}
	return (int)used;
}

static void stop(void *arg)
{
	struct program *p = arg;

	ev_stop(p->ev, 0);
}

static void on_signal(struct ev_signal *s, int signo)
{
	(void)signo;
	stop(CONTAINER_OF(s, struct program, signals));
}

/* ---- starting ------------------------------------------------------------------- */

static void usage(FILE *to)
{
	fputs("Usage: fairlead-wg [-f|--foreground] INTERFACE-NAME\n"
	      "       fairlead-wg --version\n",
	      to);
}

/* true: go on. */
static bool read_options(int argc, char **argv, struct options *o, int *ret_status)
{
	*ret_status = 1;
	if (argc == 2 && strcmp(argv[1], "--version") == 0) {
		puts("fairlead-wg " FAIRLEAD_VERSION);
		*ret_status = 0;
		return false;
	}
	if (argc == 2 && strcmp(argv[1], "--help") == 0) {
		usage(stdout);
		*ret_status = 0;
		return false;
	}
	const char *env = getenv("WG_PROCESS_FOREGROUND");

	o->foreground = env && strcmp(env, "1") == 0;
	if (argc == 3 && (strcmp(argv[1], "-f") == 0 || strcmp(argv[1], "--foreground") == 0)) {
		o->foreground = true;
		o->ifname = argv[2];
	} else if (argc == 2 && argv[1][0] != '-') {
		o->ifname = argv[1];
	} else {
		usage(stderr);
		return false;
	}
	return true;
}

static bool read_log_level(void)
{
	const char *s = getenv("LOG_LEVEL");

	if (!s || strcmp(s, "error") == 0)
		log_set_level(LOG_ERROR);
	else if (strcmp(s, "verbose") == 0 || strcmp(s, "debug") == 0)
		log_set_level(LOG_DEBUG);
	else if (strcmp(s, "silent") == 0)
		log_set_level(LOG_SILENT);
	return s && strcmp(s, "silent") != 0;
}

/* A descriptor somebody left us, or -1. */
static int inherited(const char *name)
{
	const char *s = getenv(name);
	uint64_t n;

	if (!s || span_u64(span_str(s), 1 << 20, &n) < 0)
		return -1;
	return (int)n;
}

static int open_tun(const char *ifname, struct tun **ret)
{
	int fd = inherited("WG_TUN_FD");
	int r = fd >= 0 ? tun_adopt(fd, ret) : tun_open(ifname, ret);

	const char *advice = tun_advice(r);

	if (r < 0)
		return log_ret(r, "cannot create the interface %s%s%s", ifname, *advice ? ": " : "",
		               advice);
	return fd >= 0 ? 0 : tun_set_mtu(*ret, WG_MTU_DEFAULT);
}

static int open_uapi(const char *ifname, int *ret)
{
	*ret = inherited("WG_UAPI_FD");
	if (*ret >= 0) {
		(void)fcntl(*ret, F_SETFD, FD_CLOEXEC);
		(void)fcntl(*ret, F_SETFL, fcntl(*ret, F_GETFL) | O_NONBLOCK);
		return 0;
	}
	int r = uapi_bind(ifname, ret);

	return r < 0 ? log_ret(r, "cannot open the control socket of %s", ifname) : 0;
}

/* The parent leaves once there is an interface and a socket that answers. */
static int into_background(bool keep_output)
{
	pid_t pid = fork();

	if (pid < 0)
		return -errno;
	if (pid > 0)
		_exit(0);
	setsid();

	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null < 0)
		return -errno;
	dup2(null, 0);
	if (!keep_output) {
		dup2(null, 1);
		dup2(null, 2);
	}
	close(null);
	return chdir("/") < 0 ? -errno : 0;
}

/* From here on we need the interface and the network, and nothing else of the system. */
static int give_rights_away(void)
{
	static const int keep[] = { CAP_NET_ADMIN };
	static const char *const calls[] = {
		"accept4",          "bind",     "getpeername", "getsockname", "getsockopt",
		"inotify_rm_watch", "ioctl",    "recvfrom",    "recvmmsg",    "recvmsg",
		"sendmmsg",         "sendmsg",  "sendto",      "setsockopt",  "shutdown",
		"socket",           "stat",     "newfstatat",  "statx",       "sysinfo",
		"unlink",           "unlinkat", "wait4",       NULL,
	};

	return caps_keep_few(keep, ARRAY_LEN(keep), calls);
}

static void read_disabled(struct datapath_cfg *cfg)
{
	struct span rest = span_str(getenv("FAIRLEAD_DISABLE")), word;

	while (rest.p && span_cut(&rest, ',', &word)) {
		cfg->no_udp_gso |= span_is(word, "udp-gso");
		cfg->no_udp_gro |= span_is(word, "udp-gro");
		cfg->no_udp_tail |= span_is(word, "udp-tail");
		cfg->no_tun_join |= span_is(word, "tun-gro");
	}
}

static int set_up(struct program *p, struct tun *tun, int uapi_fd)
{
	static const int signos[] = { SIGTERM, SIGINT };
	struct wg_device_cfg wg = { .policy = &wg_path_plain };
	struct uapi_ops ops = { request, stop, p, WG_UAPI_MAX };
	const char *ifname = tun_name(tun);

	p->ev = ev_new();
	p->signals.fn = on_signal;
	rand_system(&wg.rand);

	struct datapath_cfg cfg = { .ev = p->ev,
		                    .tun = tun,
		                    .dev = wg_device_new(&wg),
		                    .bind_low = lowport_bind,
		                    .bind_low_arg = p->lowport,
		                    .hooks = { .ctx = p, .gone = stop } };
	read_disabled(&cfg);
	int r = datapath_new(&cfg, &p->dp);

	if (r == 0)
		r = uapi_new(p->ev, uapi_fd, ifname, &ops, &p->uapi);
	else
		fd_close(uapi_fd);
	if (r == 0)
		r = ev_signal_start(p->ev, &p->signals, signos, ARRAY_LEN(signos));
	if (r == 0)
		r = give_rights_away();
	return r < 0 ? log_ret(r, "cannot start") : 0;
}

static int run(const struct options *o, bool keep_output)
{
	struct program p = { 0 };
	struct tun *tun = NULL;
	int uapi_fd = -1, status = 1;

	if (open_tun(o->ifname, &tun) < 0)
		return 1;
	/* The kernel may have chosen the name. */
	if (open_uapi(tun_name(tun), &uapi_fd) < 0) {
		tun_close(tun);
		return 1;
	}
	(void)aead_batch_pick();
	if (!o->foreground && into_background(keep_output) < 0)
		return 1;
	if (lowport_start(&p.lowport) < 0)
		log_warn("ports below %d cannot be had", IPPORT_RESERVED);
	if (set_up(&p, tun, uapi_fd) == 0)
		status = ev_run(p.ev);
	uapi_free(p.uapi);
	datapath_free(p.dp);
	lowport_free(p.lowport);
	if (p.ev) {
		ev_signal_stop(p.ev, &p.signals);
		ev_free(p.ev);
	}
	return status;
}

int wg_main(int argc, char **argv)
{
	struct options o = { 0 };
	int status;

	if (!read_options(argc, argv, &o, &status))
		return status;

	bool keep_output = read_log_level();

	log_set_name(o.ifname);
	signal(SIGPIPE, SIG_IGN);
	crypto_start();
	return run(&o, keep_output);
}
