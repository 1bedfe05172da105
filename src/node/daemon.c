/* The daemon program: its command line, signals, start and end. */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "crypto/init.h"
#include "host/warden.h"
#include "node/node.h"
#include "node/rights.h"
#include "platform/sdnotify.h"

#define DEFAULT_STATE_DIR "/var/lib/fairlead"
#define DEFAULT_STATE DEFAULT_STATE_DIR "/fairleadd.state"
#define DEFAULT_SOCKET "/run/fairlead/fairleadd.sock"
#define WELL_KNOWN_SOCKET "/var/run/tailscale/tailscaled.sock"

struct options {
	const char *state, *state_dir, *socket, *tun, *user, *config;
	unsigned port, verbose;
	bool version, cleanup, no_mark;
};

enum { OPT_NONE = 256, OPT_NO_MARK, OPT_USER };

/* Those of tailscaled that mean something here, and those that may be given and mean nothing. */
static const struct option long_options[] = {
	{ "tun", required_argument, NULL, 't' },
	{ "port", required_argument, NULL, 'p' },
	{ "state", required_argument, NULL, 's' },
	{ "statedir", required_argument, NULL, 'd' },
	{ "socket", required_argument, NULL, 'S' },
	{ "config", required_argument, NULL, 'C' },
	{ "verbose", required_argument, NULL, 'v' },
	{ "version", no_argument, NULL, 'V' },
	{ "cleanup", no_argument, NULL, 'c' },
	{ "help", no_argument, NULL, 'h' },
	{ "user", required_argument, NULL, OPT_USER },
	{ "no-mark", no_argument, NULL, OPT_NO_MARK },
	{ "no-logs-no-support", no_argument, NULL, OPT_NONE },
	{ 0 },
};

static void usage(FILE *to)
{
	fputs("usage: fairleadd [options]\n"
	      "  --tun NAME       network interface, default fairlead0\n"
	      "  --port N         UDP port, default 41641; 0 for any\n"
	      "  --state FILE     state file, default " DEFAULT_STATE ";\n"
	      "                   \"mem:\" keeps nothing and joins as an ephemeral node\n"
	      "  --statedir DIR   folder of the state file and others\n"
	      "  --socket PATH    local API, default " DEFAULT_SOCKET "\n"
	      "                   and, if nobody has it, " WELL_KNOWN_SOCKET "\n"
	      "  --config FILE    settings declared there, HuJSON of form \"alpha0\"; with\n"
	      "                   \"optional:\" before it the file may be missing\n"
	      "  --user NAME      user of the part that speaks with the network, "
	      "default " RIGHTS_USER "\n"
	      "                   if there is one; a number will do; \"root\": stays root\n"
	      "  --verbose N      1: more in the log\n"
	      "  --cleanup        undo what a crashed daemon left behind, and exit\n"
	      "  --version\n",
	      to);
}

/* Negative: go on; else the exit status. */
static int parse(int argc, char **argv, struct options *o)
{
	int c;

	while ((c = getopt_long_only(argc, argv, "", long_options, NULL)) != -1) {
		switch (c) {
		case 't':
			o->tun = optarg;
			break;
		case 'p':
			o->port = (unsigned)strtoul(optarg, NULL, 10);
			break;
		case 's':
			o->state = optarg;
			break;
		case 'd':
			o->state_dir = optarg;
			break;
		case 'S':
			o->socket = optarg;
			break;
		case 'C':
			o->config = optarg;
			break;
		case 'v':
			o->verbose = (unsigned)strtoul(optarg, NULL, 10);
			break;
		case 'V':
			o->version = true;
			break;
		case 'c':
			o->cleanup = true;
			break;
		case OPT_USER:
			o->user = optarg;
			break;
		case OPT_NO_MARK:
			o->no_mark = true;
			break;
		case OPT_NONE:
			break;
		case 'h':
			usage(stdout);
			return 0;
		default:
			usage(stderr);
			return 2;
		}
	}
	if (optind < argc || o->port > UINT16_MAX) {
		usage(stderr);
		return 2;
	}
	return -1;
}

struct daemon {
	struct ev *ev;
	struct ev_signal signals;
};

static void on_signal(struct ev_signal *s, int signo)
{
	struct daemon *d = CONTAINER_OF(s, struct daemon, signals);

	log_info("signal %d, ending", signo);
	ev_stop(d->ev, 0);
}

/* Nothing can be asked of it any more; the service manager starts both parts anew. */
static void on_lost(void *arg)
{
	struct daemon *d = arg;

	ev_stop(d->ev, 1);
}

/* Programs look for a daemon where tailscaled is; who says where we are to be is taken at his word.
 */
static const char *also_at(const struct options *o)
{
	return strcmp(o->socket, DEFAULT_SOCKET) == 0 ? WELL_KNOWN_SOCKET : NULL;
}

static const char *journals(const struct options *o)
{
	return o->state_dir ? o->state_dir : "/run";
}

/* From here on, what speaks with the network has few rights. */
static int cannot_start(int r)
{
	bool rights = (r == -EPERM || r == -EACCES) && geteuid() != 0;

	if (r == -EWOULDBLOCK)
		return 1; /* was told */
	log_error("cannot start: %s%s", err_text(r), rights ? ": this needs root" : "");
	return 1;
}

static int serve(const struct options *o, const struct node_cfg *cfg, struct daemon *d)
{
	AUTO(node_free) struct node *n = NULL;
	struct rights_cfg rights = { .user = o->user,
		                     .state_path = cfg->state_path,
		                     .state_dir = o->state_dir,
		                     .default_dir = DEFAULT_STATE_DIR };
	int r = node_new(cfg, &n);

	if (r == 0)
		r = rights_give_away(&rights);
	if (r == 0)
		r = warden_watch(cfg->warden, cfg->ev, on_lost, d);
	if (r < 0) {
		return cannot_start(r);
	}
	(void)sdnotify("READY=1");
	node_start(n);
	r = ev_run(cfg->ev);
	(void)sdnotify("STOPPING=1");
	return r;
}

static const char *config_path(const struct options *o)
{
	static const char optional[] = "optional:";
	size_t n = sizeof(optional) - 1;

	return o->config && strncmp(o->config, optional, n) == 0 ? o->config + n : o->config;
}

/* A folder of tailscaled's, whose identity goes on here: its file is used as it is. */
static char *state_in(const char *folder)
{
	char *own = folder ? str_fmt("%s/fairleadd.state", folder) : NULL;
	char *theirs = folder ? str_fmt("%s/tailscaled.state", folder) : NULL;
	bool move = folder && access(own, F_OK) < 0 && access(theirs, F_OK) == 0;

	free(move ? own : theirs);
	return move ? theirs : own;
}

/* NULL: of nothing on disk. */
static char *folder_of(const char *state)
{
	const char *slash = strrchr(state, '/');

	return slash && slash != state ? span_dup(span(state, (size_t)(slash - state))) : NULL;
}

static struct warden_cfg warden_of(const struct options *o)
{
	return (struct warden_cfg){ .dev = o->tun,
		                    .folder = journals(o),
		                    .sockets = { o->socket, also_at(o) } };
}

/* Two daemons with one identity would take each other's place at the coordinator again and again.
 */
static int claim_state(const char *state, int *ret_fd)
{
	AUTO_FREE char *path = strcmp(state, "mem:") == 0 ? NULL : str_fmt("%s.lock", state);
	int r = path ? file_claim(path, ret_fd) : 0;

	if (r == -EWOULDBLOCK)
		log_error("another fairleadd is running on %s", state);
	else if (r < 0)
		(void)log_ret(r, "cannot keep a state in %s", state);
	return r;
}

static int run(const struct options *o)
{
	static const int signos[] = { SIGTERM, SIGINT };
	struct warden_cfg warden = warden_of(o);
	AUTO(warden_free) struct warden *w = NULL;
	AUTO_FREE char *in_dir = state_in(o->state_dir);
	const char *state = o->state ? o->state : in_dir ? in_dir : DEFAULT_STATE;
	AUTO(fd_close) int claim = -1;
	int r = file_mkdirs(o->state_dir ? o->state_dir : o->state ? "/" : DEFAULT_STATE_DIR, 0700);

	if (r == 0)
		r = claim_state(state, &claim);
	/* First of all: there is one thread, and all our rights. */
	if (r == 0)
		r = warden_start(&warden, &w);

	AUTO(ev_free) struct ev *ev = ev_new();
	struct daemon d = { .ev = ev, .signals.fn = on_signal };
	AUTO_FREE char *var = o->state_dir ? str_dup(o->state_dir) : folder_of(state);
	struct node_cfg cfg = {
		.ev = ev,
		.warden = w,
		.state_path = strcmp(state, "mem:") == 0 ? NULL : state,
		.state_dir = o->state_dir,
		.var_dir = var,
		.config_path = config_path(o),
		.config_optional = config_path(o) != o->config,
		.socket = o->socket,
		.also_socket = also_at(o),
		.tun_name = o->tun,
		.port = (uint16_t)o->port,
		.no_mark = o->no_mark,
	};

	if (r == 0)
		r = ev_signal_start(ev, &d.signals, signos, ARRAY_LEN(signos));
	if (r < 0) {
		return cannot_start(r);
	}
	r = serve(o, &cfg, &d);
	/* The loop ends before the other part does. */
	warden_free(TAKE(w));
	return r;
}

int node_main(int argc, char **argv)
{
	struct options o = { .socket = DEFAULT_SOCKET, .tun = "fairlead0", .port = 41641 };
	int r = parse(argc, argv, &o);

	if (r >= 0)
		return r;
	if (o.version) {
		printf("%s\n", FAIRLEAD_VERSION);
		return 0;
	}
	(void)signal(SIGPIPE, SIG_IGN);
	log_set_level(o.verbose ? LOG_DEBUG : LOG_INFO);
	crypto_start();
	if (!o.cleanup)
		return run(&o);

	struct warden_cfg warden = warden_of(&o);

	return warden_cleanup(&warden) < 0 ? 1 : 0;
}
