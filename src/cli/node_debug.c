/* A look inside: debug. */
#include <arpa/inet.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/ip.h"
#include "base/time.h"
#include "base/via6.h"
#include "cli/api.h"
#include "cli/node.h"
#include "cli/show.h"

/* ---- answers printed as they are ---------------------------------------------------- */

static int print(struct cli *cli, const char *method, const char *path, struct span body)
{
	AUTO_DONE(api_answer) struct api_answer a = { 0 };
	int r = api_call(cli, method, path, body, &a);

	if (r != 0)
		return r;
	if (a.json && (a.json->kind == JS_OBJECT || a.json->kind == JS_ARRAY))
		show_json(cli, a.json);
	else
		(void)fprintf(cli->out, "%.*s\n", SPAN_FMT(span_trim(buf_span(&a.body))));
	return 0;
}

/* The command's name says what to ask. */
static int run_print(struct cli *cli, const void *opts, int argc, char **argv)
{
	static const struct {
		const char *name, *method, *path;
	} rows[] = {
		{ "prefs", "GET", "prefs" },
		{ "derp-map", "GET", "derpmap" },
		{ "netmap", "POST", "debug?action=current-netmap" },
		{ "peer-disco-keys", "POST", "debug?action=peer-disco-keys" },
		{ "statedir", "POST", "debug?action=statedir" },
		{ "restun", "POST", "debug?action=restun" },
		{ "rebind", "POST", "debug?action=rebind" },
		{ "break-tcp-conns", "POST", "debug?action=break-tcp-conns" },
		{ "break-derp-conns", "POST", "debug?action=break-derp-conns" },
		{ "clear-netmap-cache", "POST", "debug?action=clear-netmap-cache" },
		{ "peer-relay-servers", "POST", "debug?action=peer-relay-servers" },
		{ "force-netmap-update", "POST", "debug?action=force-netmap-update" },
		{ "hostinfo", "GET", "fairlead-hostinfo" },
		{ "metrics", "GET", "metrics" },
		{ "paths", "GET", "fairlead-paths" },
	};
	const char *name = cli->path[cli->path_n - 1]->name;

	(void)opts;
	(void)argc;
	(void)argv;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (strcmp(rows[i].name, name) == 0)
			return print(cli, rows[i].method, rows[i].path, span(NULL, 0));
	return 1;
}

static int run_localapi(struct cli *cli, const void *opts, int argc, char **argv)
{
	const char *method = argc > 1 ? argv[0] : "GET", *path = argv[argc > 1 ? 1 : 0];
	struct span body = argc > 2 ? span_str(argv[2]) : span(NULL, 0);

	(void)opts;
	if (strncmp(path, "/localapi/v0/", 13) == 0)
		path += 13;
	return print(cli, method, path, body);
}

static int run_derp(struct cli *cli, const void *opts, int argc, char **argv)
{
	AUTO_DONE(api_answer) struct api_answer a = { 0 };
	AUTO_FREE char *path = str_fmt("debug-derp-region?region=%s", argv[0]);
	static const char *const parts[][2] = { { "Info", "" },
		                                { "Warnings", "warning: " },
		                                { "Errors", "error: " } };
	int r = api_call(cli, "POST", path, span(NULL, 0), &a);

	(void)opts;
	(void)argc;
	for (size_t i = 0; r == 0 && i < ARRAY_LEN(parts); i++)
		for (const struct js *x = js_first(js_get(a.json, parts[i][0])); x; x = x->next)
			(void)fprintf(cli->out, "%s%.*s\n", parts[i][1], SPAN_FMT(js_text(x)));
	return r ? r : js_first(js_get(a.json, "Errors")) ? 1 : 0;
}

static int run_reload(struct cli *cli, const void *opts, int argc, char **argv)
{
	AUTO_DONE(api_answer) struct api_answer a = { 0 };
	int r = api_call(cli, "POST", "reload-config", span(NULL, 0), &a);
	struct span err = js_text(js_get(a.json, "Err"));

	(void)opts;
	(void)argc;
	(void)argv;
	if (r != 0)
		return r;
	if (err.n)
		return cmd_fail(cli, "%.*s; the settings are as before", SPAN_FMT(err));
	if (!js_truth(js_get(a.json, "Reloaded"), false))
		return cmd_fail(cli, "the daemon was started without --config");
	(void)fputs("config reloaded\n", cli->out);
	return 0;
}

/* ---- watch-ipn ---------------------------------------------------------------------- */

struct watch_opts {
	uint32_t count, mask;
	bool initial, netmap;
};

static const struct watch_opts watch_defaults = { .initial = true, .netmap = false };

enum { MASK_STATE = 2, MASK_PREFS = 4, MASK_NETMAP = 8, MASK_HEALTH = 128, MASK_PEERS = 4096 };

static int run_watch(struct cli *cli, const void *opts, int argc, char **argv)
{
	const struct watch_opts *o = opts;
	unsigned mask = MASK_PEERS | (o->initial ? MASK_STATE | MASK_PREFS | MASK_HEALTH : 0) |
	                (o->netmap ? MASK_NETMAP : 0);
	AUTO_FREE char *path = str_fmt("watch-ipn-bus?mask=%u", o->mask ? o->mask : mask);
	struct api_watch w = { .fd = -1 };
	int r = api_watch_open(cli, path, &w), got = 0;

	(void)argc;
	(void)argv;
	for (uint32_t n = 0; r == 0 && got >= 0 && (o->count == 0 || n < o->count);) {
		struct js *line = NULL;

		got = api_watch_next(&w, 3600 * US_PER_S, &line);
		if (got <= 0)
			continue;
		show_json(cli, line);
		(void)fflush(cli->out);
		n++;
	}
	api_watch_done(&w);
	return r ? r : got < 0 ? cmd_fail(cli, "the node daemon ended") : 0;
}

/* ---- others ------------------------------------------------------------------------- */

static int run_resolve(struct cli *cli, const void *opts, int argc, char **argv)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *found = NULL;
	int r = getaddrinfo(argv[0], NULL, &hints, &found);

	(void)opts;
	(void)argc;
	if (r != 0)
		return cmd_fail(cli, "%s: %s", argv[0], gai_strerror(r));
	for (const struct addrinfo *a = found; a; a = a->ai_next) {
		char text[INET6_ADDRSTRLEN];

		if (getnameinfo(a->ai_addr, a->ai_addrlen, text, sizeof(text), NULL, 0,
		                NI_NUMERICHOST) == 0)
			(void)fprintf(cli->out, "%s\n", text);
	}
	freeaddrinfo(found);
	return 0;
}

static int run_via(struct cli *cli, const void *opts, int argc, char **argv)
{
	struct prefix p;
	struct ip out;
	char text[PREFIX_TEXT_MAX];
	uint64_t site;

	(void)opts;
	(void)argc;
	if (span_u64(span_str(argv[0]), UINT16_MAX, &site) < 0)
		return cmd_misuse(cli, "\"%s\" is no site: a number up to 65535", argv[0]);
	if (prefix_parse_strict(span_str(argv[1]), &p) < 0 || !prefix_is4(&p))
		return cmd_misuse(cli, "\"%s\" is no IPv4 subnet", argv[1]);
	out = via6_address((uint32_t)site, ip_v4(&p.ip));
	(void)fprintf(cli->out, "%s/%u\n", ip_text(&out, text), 96U + p.bits);
	return 0;
}

struct logs_opts {
	int64_t for_us;
};

static const struct logs_opts logs_defaults = { .for_us = 3600 * US_PER_S };

static int run_logs(struct cli *cli, const void *opts, int argc, char **argv)
{
	const struct logs_opts *o = opts;
	AUTO_DONE(api_answer) struct api_answer a = { 0 };
	AUTO_FREE char *path = str_fmt("component-debug-logging?component=%s&secs=%lld",
	                               argc ? argv[0] : "magicsock",
	                               (long long)(o->for_us / US_PER_S));
	int r = api_call(cli, "POST", path, span(NULL, 0), &a);
	struct span err = js_text(js_get(a.json, "Error"));

	return r ? r : err.n ? cmd_fail(cli, "%.*s", SPAN_FMT(err)) : 0;
}

/* clang-format off */
static const struct cmd_opt watch_options[] = {
	{ "count",   CMD_UINT, offsetof(struct watch_opts, count),   "N",    "end after so many" },
	{ "initial", CMD_FLAG, offsetof(struct watch_opts, initial), NULL,   "begin with how things are" },
	{ "netmap",  CMD_FLAG, offsetof(struct watch_opts, netmap),  NULL,   "with the whole map" },
	{ "mask",    CMD_UINT, offsetof(struct watch_opts, mask),    "BITS", NULL },
	{ 0 },
};
static const struct cmd_opt logs_options[] = {
	{ "for", CMD_DURATION, offsetof(struct logs_opts, for_us), "TIME", "how long; 0: end it" },
	{ 0 },
};

#define PRINT(word, what) { .name = word, .args = "", .help = what, .run = run_print }
static const struct cmd debug_commands[] = {
	PRINT("prefs", "The settings as the daemon has them"),
	PRINT("netmap", "What the coordinator has told"),
	PRINT("derp-map", "The relays there are"),
	{ .name = "derp", .args = "REGION", .help = "Try the relays of a region", .run = run_derp, .args_min = 1, .args_max = 1 },
	{ .name = "watch-ipn", .args = "", .help = "Print the daemon's notifications as they come", .run = run_watch,
	  .opts = watch_options, .defaults = &watch_defaults, .opts_size = sizeof(watch_defaults) },
	PRINT("metrics", "Counters, in the form of Prometheus"),
	PRINT("hostinfo", "What the daemon tells of this machine"),
	PRINT("paths", "Why peers are relayed"),
	{ .name = "resolve", .args = "NAME", .help = "Look a name up as programs do", .run = run_resolve, .args_min = 1, .args_max = 1 },
	PRINT("restun", "Look at the network anew"),
	PRINT("rebind", "The same"),
	PRINT("break-tcp-conns", "Connect anew to the coordinator"),
	PRINT("break-derp-conns", "Connect anew to the relays"),
	PRINT("force-netmap-update", "Fetch the whole map anew"),
	PRINT("peer-disco-keys", "Which peer uses which key on its way"),
	PRINT("peer-relay-servers", "Peers that would relay for us"),
	PRINT("clear-netmap-cache", "Forget the map that is kept for a start without the coordinator"),
	{ .name = "reload-config", .args = "", .help = "Read the file of --config anew", .run = run_reload },
	PRINT("statedir", "Where the daemon keeps its files"),
	{ .name = "component-logs", .args = "[COMPONENT]", .help = "Log more, for a while", .run = run_logs, .args_max = 1,
	  .opts = logs_options, .defaults = &logs_defaults, .opts_size = sizeof(logs_defaults) },
	{ .name = "via", .args = "SITE SUBNET", .help = "The IPv6 subnet that stands for an IPv4 one at a site", .run = run_via, .args_min = 2, .args_max = 2 },
	{ .name = "localapi", .args = "[METHOD] PATH [BODY]", .help = "Ask the daemon anything", .run = run_localapi, .args_min = 1, .args_max = 3 },
	{ 0 },
};
/* clang-format on */

const struct cmd node_debug_cmd = {
	.name = "debug",
	.args = "",
	.help = "A look inside",
	.sub = debug_commands,
};
