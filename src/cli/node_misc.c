/* version, wait, metrics, bugreport, netcheck. */
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/err.h"
#include "base/file.h"
#include "base/ip.h"
#include "base/time.h"
#include "cli/api.h"
#include "cli/node.h"
#include "cli/show.h"
#include "platform/rtnl.h"

enum { RUNNING = 6, NAP_US = 100000 };

static void nap(void)
{
	struct timespec ts = { .tv_nsec = NAP_US * 1000 };

	(void)nanosleep(&ts, NULL);
}

/* ---- version ----------------------------------------------------------------------- */

struct version_opts {
	bool daemon, json;
};

static const struct version_opts version_defaults;

static void print_version_json(struct cli *cli, const char *daemon)
{
	AUTO_DONE(buf) struct buf out = { 0 };
	struct js_wr w = js_wr_of(&out);
	struct span all = span_str(FAIRLEAD_VERSION);

	w.indent = "\t";
	js_wr_open(&w, JS_OBJECT);
	js_wr_kv_span(&w, "majorMinorPatch", span_first(all, span_find(all, '-')));
	js_wr_kv_str(&w, "short", FAIRLEAD_VERSION);
	js_wr_kv_str(&w, "long", FAIRLEAD_VERSION);
	if (daemon)
		js_wr_kv_str(&w, "daemonLong", daemon);
	js_wr_close(&w, JS_OBJECT);
	(void)fprintf(cli->out, "%s\n", buf_text(&out));
}

static int run_version(struct cli *cli, const void *opts, int argc, char **argv)
{
	const struct version_opts *o = opts;
	AUTO_DONE(api_answer) struct api_answer a = { 0 };
	AUTO_FREE char *daemon = NULL;
	int r = o->daemon ? api_call(cli, "GET", "status?peers=false", span(NULL, 0), &a) : 0;

	(void)argc;
	(void)argv;
	if (r != 0)
		return r;
	if (o->daemon)
		daemon = span_dup(js_text(js_get(a.json, "Version")));
	if (o->json)
		print_version_json(cli, daemon);
	else if (o->daemon)
		(void)fprintf(cli->out, "Client: %s\nDaemon: %s\n", FAIRLEAD_VERSION, daemon);
	else
		(void)fprintf(cli->out, "%s\n", FAIRLEAD_VERSION);
	return 0;
}

/* clang-format off */
static const struct cmd_opt version_options[] = {
	{ "daemon", CMD_FLAG, offsetof(struct version_opts, daemon), NULL, "the daemon's too" },
	{ "json",   CMD_FLAG, offsetof(struct version_opts, json),   NULL, "as JSON" },
	{ 0 },
};
/* clang-format on */

const struct cmd node_version_cmd = {
	.name = "version",
	.args = "",
	.help = "Print the version",
	.run = run_version,
	.opts = version_options,
	.defaults = &version_defaults,
	.opts_size = sizeof(version_defaults),
};

/* ---- wait --------------------------------------------------------------------------- */

struct wait_opts {
	int64_t timeout_us;
};

static const struct wait_opts wait_defaults;

static int64_t left_of(const struct wait_opts *o, mono began)
{
	return o->timeout_us > 0 ? o->timeout_us - mono_since(began, mono_now()) : 3600 * US_PER_S;
}

/* The daemon may be on its way up: its absence is not told until the end. */
static int await_daemon(struct cli *cli, const struct wait_opts *o, mono began)
{
	struct cli quiet = *cli;
	int r = 1;

	quiet.err = fopen("/dev/null", "w");
	while (quiet.err && r != 0 && left_of(o, began) > 0) {
		AUTO_DONE(api_answer) struct api_answer a = { 0 };

		r = api_try(&quiet, "GET", "status?peers=false", span(NULL, 0), &a);
		if (r != 0)
			nap();
	}
	if (quiet.err)
		(void)fclose(quiet.err);
	if (r != 0) {
		AUTO_DONE(api_answer) struct api_answer a = { 0 };

		r = api_try(cli, "GET", "status?peers=false", span(NULL, 0), &a);
	}
	return r;
}

static int await_running(struct cli *cli, const struct wait_opts *o, mono began)
{
	struct api_watch watch = { .fd = -1 };
	int64_t state = -1;
	int r = api_watch_open(cli, "watch-ipn-bus?mask=2", &watch);

	while (r == 0 && state != RUNNING) {
		int64_t left = left_of(o, began);
		struct js *n = NULL;
		int got = left > 0 ? api_watch_next(&watch, left, &n) : 0;

		if (got < 0)
			r = cmd_fail(cli, "the node daemon ended");
		else if (got == 0 && left <= 0)
			r = cmd_fail(cli, "not running yet; `fairlead status` says why");
		else if (got > 0)
			state = js_int(js_get(n, "State"), state);
	}
	api_watch_done(&watch);
	return r;
}

static int see_addr(void *arg, const struct rtnl_addr *a)
{
	struct prefix *wanted = arg;

	if (ip_eq(&a->prefix.ip, &wanted->ip))
		wanted->bits = 1;
	return 0;
}

static bool is_ours(const struct ip *ip)
{
	AUTO(rtnl_free) struct rtnl *nl = NULL;
	struct prefix wanted = { .ip = *ip };

	return rtnl_open(&nl) == 0 && rtnl_addr_each(nl, see_addr, &wanted) == 0 && wanted.bits;
}

static int await_address(struct cli *cli, const struct wait_opts *o, mono began)
{
	AUTO_DONE(api_answer) struct api_answer a = { 0 };
	struct ip ip;
	int r = api_call(cli, "GET", "status?peers=false", span(NULL, 0), &a);

	if (r != 0 || !js_truth(js_get(a.json, "TUN"), false) ||
	    ip_parse(js_text(js_first(js_get(a.json, "TailscaleIPs"))), &ip) < 0)
		return r;
	while (!is_ours(&ip)) {
		if (left_of(o, began) <= 0)
			return cmd_fail(cli, "no interface has the address yet");
		nap();
	}
	return 0;
}

static int run_wait(struct cli *cli, const void *opts, int argc, char **argv)
{
	mono began = mono_now();
	int r = await_daemon(cli, opts, began);

	(void)argc;
	(void)argv;
	if (r == 0)
		r = await_running(cli, opts, began);
	return r ? r : await_address(cli, opts, began);
}

static const struct cmd_opt wait_options[] = {
	{ "timeout", CMD_DURATION, offsetof(struct wait_opts, timeout_us), "TIME",
	  "give up after this; 0: never" },
	{ 0 },
};

const struct cmd node_wait_cmd = {
	.name = "wait",
	.args = "",
	.help = "Wait until the network is there, and this machine's address with it",
	.run = run_wait,
	.opts = wait_options,
	.defaults = &wait_defaults,
	.opts_size = sizeof(wait_defaults),
};

/* ---- metrics ------------------------------------------------------------------------ */

static int run_metrics_print(struct cli *cli, const void *opts, int argc, char **argv)
{
	AUTO_DONE(api_answer) struct api_answer a = { 0 };
	int r = api_call(cli, "GET", "usermetrics", span(NULL, 0), &a);

	(void)opts;
	(void)argc;
	(void)argv;
	if (r == 0)
		(void)fprintf(cli->out, "%s", buf_text(&a.body));
	return r;
}

static int run_metrics_write(struct cli *cli, const void *opts, int argc, char **argv)
{
	AUTO_DONE(api_answer) struct api_answer a = { 0 };
	int r = api_call(cli, "GET", "usermetrics", span(NULL, 0), &a);

	(void)opts;
	(void)argc;
	if (r != 0)
		return r;
	r = file_write_atomic(argv[0], buf_span(&a.body), 0644);
	return r < 0 ? cmd_fail(cli, "%s: %s", argv[0], err_text(r)) : 0;
}

/* clang-format off */
static const struct cmd metrics_commands[] = {
	{ .name = "print", .args = "", .help = "Print them", .run = run_metrics_print },
	{ .name = "write", .args = "FILE", .help = "Write them to a file, for a collector of text files",
	  .run = run_metrics_write, .args_min = 1, .args_max = 1 },
	{ 0 },
};
/* clang-format on */

const struct cmd node_metrics_cmd = {
	.name = "metrics",
	.args = "",
	.help = "The daemon's metrics in the form of Prometheus",
	.run = run_metrics_print,
	.sub = metrics_commands,
};

/* ---- bugreport ---------------------------------------------------------------------- */

struct bug_opts {
	bool diagnose, record;
};

static const struct bug_opts bug_defaults;

static int mark(struct cli *cli)
{
	AUTO_DONE(api_answer) struct api_answer a = { 0 };
	int r = api_call(cli, "POST", "bugreport", span(NULL, 0), &a);

	if (r == 0)
		(void)fprintf(cli->out, "%.*s\n", SPAN_FMT(span_trim(buf_span(&a.body))));
	(void)fflush(cli->out);
	return r;
}

static int diagnose(struct cli *cli)
{
	static const char *const parts[] = { "status", "fairlead-netcheck", "fairlead-paths",
		                             "usermetrics" };

	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		AUTO_DONE(api_answer) struct api_answer a = { 0 };
		int r = api_call(cli, "GET", parts[i], span(NULL, 0), &a);

		if (r != 0)
			return r;
		(void)fprintf(cli->out, "\n## %s\n\n%s\n", parts[i], buf_text(&a.body));
	}
	return 0;
}

static int run_bugreport(struct cli *cli, const void *opts, int argc, char **argv)
{
	const struct bug_opts *o = opts;
	int r = mark(cli);

	(void)argc;
	(void)argv;
	if (r == 0 && o->record) {
		(void)fputs("Now do what goes wrong, then press Enter.\n", cli->out);
		(void)fflush(cli->out);
		(void)getchar();
		r = mark(cli);
	}
	return r == 0 && o->diagnose ? diagnose(cli) : r;
}

/* clang-format off */
static const struct cmd_opt bug_options[] = {
	{ "diagnose", CMD_FLAG, offsetof(struct bug_opts, diagnose), NULL, "print what the daemon knows, too" },
	{ "record",   CMD_FLAG, offsetof(struct bug_opts, record),   NULL, "a mark before and after what goes wrong" },
	{ 0 },
};
/* clang-format on */

const struct cmd node_bugreport_cmd = {
	.name = "bugreport",
	.args = "[NOTE]",
	.help = "Print a mark that is found again in the daemon's log",
	.run = run_bugreport,
	.args_max = 1,
	.opts = bug_options,
	.defaults = &bug_defaults,
	.opts_size = sizeof(bug_defaults),
};

/* ---- netcheck ----------------------------------------------------------------------- */

struct netcheck_opts {
	const char *format;
	int64_t every_us;
	bool verbose;
};

static const struct netcheck_opts netcheck_defaults = { .format = "" };

enum { NETCHECK_US = 8000000, HERE_MAX = 64 };

static const char *yes_no(const struct js *v)
{
	return v && v->kind == JS_BOOL ? (v->truth ? "yes" : "no") : "unknown";
}

static void add_family(struct table *t, const struct js *r, const char *name, const char *works,
                       const char *global)
{
	AUTO_FREE char *addr = span_dup(js_text(js_get(r, global)));
	AUTO_FREE char *text = js_truth(js_get(r, works), false)
	                               ? str_fmt("yes%s%s", *addr ? ", seen as " : "", addr)
	                               : str_dup("no");

	table_add(t, 2, name, text);
}

static void add_portmap(struct table *t, const struct js *r)
{
	static const char *const keys[] = { "UPnP", "PMP", "PCP" };
	static const char *const names[] = { "UPnP", "NAT-PMP", "PCP" };
	AUTO_DONE(buf) struct buf text = { 0 };

	for (size_t i = 0; i < 3; i++)
		if (js_truth(js_get(r, keys[i]), false))
			buf_fmt(&text, "%s%s", text.n ? ", " : "", names[i]);
	table_add(t, 2, "Router maps ports", text.n ? buf_text(&text) : "no");
}

struct region {
	const struct js *js;
	int64_t ns; /* 0: no answer */
};

static int by_latency(const void *a, const void *b)
{
	int64_t x = ((const struct region *)a)->ns, y = ((const struct region *)b)->ns;

	if (!x != !y)
		return x ? -1 : 1;
	return x < y ? -1 : x > y;
}

static void print_regions(struct cli *cli, const struct js *r, const struct js *map)
{
	const struct js *regions = js_get(map, "Regions"), *latency = js_get(r, "RegionLatency");
	size_t max = regions ? regions->n : 0, n = 0;
	AUTO_FREE struct region *v = mem_alloc((max + 1) * sizeof(*v));
	struct table t = { .n_columns = 4 };
	int64_t home = js_int(js_get(r, "PreferredDERP"), 0);

	for (const struct js *x = js_first(regions); x && n < max; x = x->next) {
		AUTO_FREE char *id = span_dup(x->key);

		v[n++] = (struct region){ x, js_int(js_get(latency, id), 0) };
	}
	qsort(v, n, sizeof(v[0]), by_latency);
	table_add(&t, 4, "RELAY", "LATENCY", "NAME", "");
	for (size_t i = 0; i < n; i++) {
		AUTO_FREE char *code = span_dup(js_text(js_get(v[i].js, "RegionCode")));
		AUTO_FREE char *name = span_dup(js_text(js_get(v[i].js, "RegionName")));
		AUTO_FREE char *ms = v[i].ns ? str_fmt("%.1f ms", (double)v[i].ns / 1e6)
		                             : str_dup("no answer");
		bool is_home = js_int(js_get(v[i].js, "RegionID"), -1) == home;

		table_add(&t, 4, code, ms, name, is_home ? "home" : "");
	}
	table_print(&t, cli->out);
	table_done(&t);
}

static void print_report(struct cli *cli, const struct js *r, const struct js *map)
{
	struct table t = { .n_columns = 2 };
	const struct js *varies = js_get(r, "MappingVariesByDestIP");

	table_add(&t, 2, "UDP", yes_no(js_get(r, "UDP")));
	add_family(&t, r, "IPv4", "IPv4", "GlobalV4");
	add_family(&t, r, "IPv6", "IPv6", "GlobalV6");
	table_add(&t, 2, "NAT keeps one port for all",
	          varies && varies->kind == JS_BOOL ? (varies->truth ? "no" : "yes") : "unknown");
	add_portmap(&t, r);
	table_print(&t, cli->out);
	table_done(&t);
	(void)fputc('\n', cli->out);
	print_regions(cli, r, map);
}

/* A new look if we may ask for one, else the daemon's last. */
static int take_report(struct cli *cli, struct api_answer *ret)
{
	AUTO_DONE(api_answer) struct api_answer old = { 0 }, asked = { 0 };
	mono began = mono_now();
	struct span before;
	int r = api_call(cli, "GET", "fairlead-netcheck", span(NULL, 0), &old);

	if (r == 0)
		r = api_try(cli, "POST", "debug?action=restun", span(NULL, 0), &asked);
	if (r != 0)
		return r;
	before = js_text(js_get(old.json, "Now"));
	if (isatty(STDERR_FILENO))
		(void)fputs("Looking at the network ...\r", cli->err);
	do {
		api_answer_done(ret);
		r = api_call(cli, "GET", "fairlead-netcheck", span(NULL, 0), ret);
		if (r != 0 || asked.status != 200)
			return r;
		if (js_first(ret->json) && !span_eq(js_text(js_get(ret->json, "Now")), before))
			return 0;
		nap();
	} while (mono_since(began, mono_now()) < NETCHECK_US);
	return 0;
}

static int check_once(struct cli *cli, const struct netcheck_opts *o)
{
	AUTO_DONE(api_answer) struct api_answer report = { 0 }, map = { 0 };
	int r = take_report(cli, &report);

	if (r == 0)
		r = api_call(cli, "GET", "derpmap", span(NULL, 0), &map);
	if (r != 0)
		return r;
	if (!js_first(report.json))
		return cmd_fail(cli,
		                "the node is not running, and so has not looked at the network: "
		                "fairlead up");
	if (strcmp(o->format, "json") == 0)
		show_json(cli, report.json);
	else if (strcmp(o->format, "json-line") == 0)
		(void)fprintf(cli->out, "%.*s\n", SPAN_FMT(span_trim(buf_span(&report.body))));
	else
		print_report(cli, report.json, map.json);
	(void)fflush(cli->out);
	return 0;
}

static int run_netcheck(struct cli *cli, const void *opts, int argc, char **argv)
{
	const struct netcheck_opts *o = opts;
	int r;

	(void)argc;
	(void)argv;
	if (*o->format && strcmp(o->format, "json") != 0 && strcmp(o->format, "json-line") != 0)
		return cmd_misuse(cli, "--format: json or json-line, not \"%s\"", o->format);
	do {
		struct timespec ts = { .tv_sec = o->every_us / US_PER_S,
			               .tv_nsec = o->every_us % US_PER_S * 1000 };

		r = check_once(cli, o);
		if (r == 0 && o->every_us > 0)
			(void)nanosleep(&ts, NULL);
	} while (r == 0 && o->every_us > 0);
	return r;
}

/* clang-format off */
static const struct cmd_opt netcheck_options[] = {
	{ "format",  CMD_STRING,   offsetof(struct netcheck_opts, format),   "FORMAT", "json, or json-line" },
	{ "every",   CMD_DURATION, offsetof(struct netcheck_opts, every_us), "TIME",   "again and again" },
	{ "verbose", CMD_FLAG,     offsetof(struct netcheck_opts, verbose),  NULL,     NULL },
	{ 0 },
};
/* clang-format on */

const struct cmd node_netcheck_cmd = {
	.name = "netcheck",
	.args = "",
	.help = "What lies between this machine and the net, and how far the relays are",
	.run = run_netcheck,
	.opts = netcheck_options,
	.defaults = &netcheck_defaults,
	.opts_size = sizeof(netcheck_defaults),
};
