/* Whether a peer answers, and by which way: ping. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/err.h"
#include "base/ip.h"
#include "base/time.h"
#include "cli/api.h"
#include "cli/node.h"
#include "cli/show.h"

#define AT(type, field) offsetof(struct type, field)

struct ping_opts {
	uint32_t count, size;
	int64_t timeout_us;
	bool until_direct, tsmp, icmp, peerapi, verbose;
};

static const struct ping_opts ping_defaults = {
	.count = 10,
	.timeout_us = 5 * US_PER_S,
	.until_direct = true,
};

static const char *ping_type(const struct ping_opts *o)
{
	return o->tsmp ? "TSMP" : o->icmp ? "ICMP" : o->peerapi ? "peerapi" : "disco";
}

/* True: the answer came straight. */
static bool print_pong(const struct cli *cli, const struct js *pong, const struct ping_opts *o)
{
	struct span endpoint = js_text(js_get(pong, "Endpoint"));
	struct span relay = js_text(js_get(pong, "PeerRelay"));
	struct span code = js_text(js_get(pong, "DERPRegionCode"));
	struct span url = js_text(js_get(pong, "PeerAPIURL"));
	const struct js *latency = js_get(pong, "LatencySeconds");
	double ms = (latency ? strtod((const char *)latency->text.p, NULL) : 0) * 1000;

	if (url.n)
		(void)fprintf(cli->out, "hit peerapi of %.*s (%.*s) at %.*s",
		              SPAN_FMT(js_text(js_get(pong, "NodeIP"))),
		              SPAN_FMT(js_text(js_get(pong, "NodeName"))), SPAN_FMT(url));
	else
		(void)fprintf(cli->out, "pong from %.*s (%.*s) via ",
		              SPAN_FMT(js_text(js_get(pong, "NodeName"))),
		              SPAN_FMT(js_text(js_get(pong, "NodeIP"))));
	if (endpoint.n)
		(void)fprintf(cli->out, "%.*s", SPAN_FMT(endpoint));
	else if (relay.n)
		(void)fprintf(cli->out, "peer-relay(%.*s)", SPAN_FMT(relay));
	else if (code.n)
		(void)fprintf(cli->out, "DERP(%.*s)", SPAN_FMT(code));
	else if (!url.n)
		(void)fprintf(cli->out, "%s", ping_type(o));
	(void)fprintf(cli->out, ms < 10 ? " in %.1fms\n" : " in %.0fms\n", ms);
	(void)fflush(cli->out);
	return endpoint.n != 0;
}

static void nap(int64_t us)
{
	struct timespec ts = { .tv_sec = us / US_PER_S, .tv_nsec = us % US_PER_S * 1000 };

	(void)nanosleep(&ts, NULL);
}

/* 1: an answer, 2: a direct one, 0: none; negative: not to be tried again. */
static int ping_once(struct cli *cli, const struct ping_opts *o, struct span ip)
{
	AUTO_DONE(api_answer) struct api_answer a = { 0 };
	AUTO_FREE char *path = str_fmt("ping?ip=%.*s&type=%s&size=%u", SPAN_FMT(ip), ping_type(o),
	                               o->size);
	int r = api_try_for(cli, "POST", path, span(NULL, 0), o->timeout_us, &a);
	struct span err;

	if (r == ERR_TIMEOUT) {
		(void)fprintf(cli->out, "ping \"%.*s\" timed out\n", SPAN_FMT(ip));
		(void)fflush(cli->out);
		return 0;
	}
	if (r == 0 && a.status != 200)
		r = cmd_fail(cli, "%s", buf_text(&a.body));
	if (r != 0)
		return -1;
	err = js_text(js_get(a.json, "Err"));
	if (js_truth(js_get(a.json, "IsLocalIP"), false)) {
		(void)fprintf(cli->out, "%.*s\n", SPAN_FMT(err));
		return 2;
	}
	if (err.n) {
		(void)cmd_fail(cli, "%.*s", SPAN_FMT(err));
		return -1;
	}
	return print_pong(cli, a.json, o) ? 2 : 1;
}

static int run_ping(struct cli *cli, const void *opts, int argc, char **argv)
{
	const struct ping_opts *o = opts;
	AUTO_DONE(api_answer) struct api_answer a = { 0 };
	struct ip literal;
	int r = api_call(cli, "GET", "status", span(NULL, 0), &a);
	const struct js *node;
	struct span ip;
	bool any = false, direct = false;

	(void)argc;
	if (r != 0)
		return r;
	node = show_find(a.json, argv[0]);
	ip = node ? js_text(js_first(js_get(node, "TailscaleIPs"))) : span_str(argv[0]);
	if (ip_parse(ip, &literal) < 0)
		return cmd_fail(cli, "no node is called \"%s\"; `fairlead status` lists them",
		                argv[0]);
	for (uint32_t i = 0; o->count == 0 || i < o->count; i++) {
		int got = ping_once(cli, o, ip);

		if (got < 0)
			return 1;
		any = any || got > 0;
		direct = direct || got == 2;
		/* Through the tunnel no path is seen: one answer is all there is to learn. */
		if ((direct && o->until_direct) || (got > 0 && strcmp(ping_type(o), "disco") != 0))
			break;
		if (got && i + 1 != o->count)
			nap(US_PER_S);
	}
	if (!any)
		return cmd_fail(cli, "no reply");
	if (!direct && o->until_direct && strcmp(ping_type(o), "disco") == 0) {
		(void)fputs("direct connection not established\n", cli->out);
		return 1;
	}
	return 0;
}

/* clang-format off */
static const struct cmd_opt ping_options[] = {
	{ "c",            CMD_UINT,     AT(ping_opts, count),        "N",     "stop after N tries, 0 for never" },
	{ "timeout",      CMD_DURATION, AT(ping_opts, timeout_us),   "TIME",  "wait this long for each answer" },
	{ "until-direct", CMD_FLAG,     AT(ping_opts, until_direct), NULL,    "stop once a direct path answers" },
	{ "size",         CMD_UINT,     AT(ping_opts, size),         "BYTES", "of the whole UDP payload" },
	{ "tsmp",         CMD_FLAG,     AT(ping_opts, tsmp),         NULL,    "through the tunnel, without the host's IP" },
	{ "icmp",         CMD_FLAG,     AT(ping_opts, icmp),         NULL,    "through the tunnel and the host's IP" },
	{ "peerapi",      CMD_FLAG,     AT(ping_opts, peerapi),      NULL,    "the peer's own web service" },
	{ "verbose",      CMD_FLAG,     AT(ping_opts, verbose),      NULL,    NULL },
	{ 0 },
};
/* clang-format on */

const struct cmd node_ping_cmd = {
	.name = "ping",
	.args = "NODE",
	.help = "Ping a peer below IP and show which path answers",
	.run = run_ping,
	.args_min = 1,
	.args_max = 1,
	.opts = ping_options,
	.defaults = &ping_defaults,
	.opts_size = sizeof(ping_defaults),
};
