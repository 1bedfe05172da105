#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/ip.h"
#include "base/time.h"
#include "cli/api.h"
#include "cli/node.h"

/* ---- finding things in the status ------------------------------------------------- */

static struct span first_label(struct span name)
{
	return span_first(name, span_find(name, '.'));
}

static bool has_ip(const struct js *node, struct span ip)
{
	for (const struct js *a = js_first(js_get(node, "TailscaleIPs")); a; a = a->next) {
		if (span_eq(js_text(a), ip))
			return true;
	}
	return false;
}

static bool is_called(const struct js *node, struct span name)
{
	struct span dns = js_text(js_get(node, "DNSName"));

	if (dns.n && dns.p[dns.n - 1] == '.')
		dns.n--;
	return has_ip(node, name) || span_eq_nocase(dns, name) ||
	       span_eq_nocase(first_label(dns), name) ||
	       span_eq_nocase(js_text(js_get(node, "HostName")), name);
}

/* Ourselves or a peer, by address, full name, short name or host name. */
static const struct js *find_node(const struct js *status, const char *name)
{
	const struct js *self = js_get(status, "Self");

	if (is_called(self, span_str(name)))
		return self;
	for (const struct js *p = js_first(js_get(status, "Peer")); p; p = p->next) {
		if (is_called(p, span_str(name)))
			return p;
	}
	return NULL;
}

static struct span shown_name(const struct js *node)
{
	struct span dns = first_label(js_text(js_get(node, "DNSName")));

	return dns.n ? dns : js_text(js_get(node, "HostName"));
}

/* ---- status ----------------------------------------------------------------------- */

struct status_opts {
	bool json, active, peers, self;
};

static const struct status_opts status_defaults = { .peers = true, .self = true };

static void print_json(const struct cli *cli, const struct js *v)
{
	AUTO_DONE(buf) struct buf out = { 0 };
	struct js_wr w = js_wr_of(&out);

	w.indent = "  ";
	js_wr_tree(&w, v);
	(void)fprintf(cli->out, "%s\n", buf_text(&out));
}

static void print_last_seen(const struct cli *cli, const struct js *node)
{
	wall seen;
	int64_t s;

	if (wall_parse(js_text(js_get(node, "LastSeen")), &seen) < 0 || seen.us <= 0) {
		(void)fputs("offline", cli->out);
		return;
	}
	s = (wall_now().us - seen.us) / US_PER_S;
	if (s < 120)
		(void)fprintf(cli->out, "offline, last seen %llds ago", (long long)s);
	else if (s < 7200)
		(void)fprintf(cli->out, "offline, last seen %lldm ago", (long long)s / 60);
	else if (s < 2 * 86400)
		(void)fprintf(cli->out, "offline, last seen %lldh ago", (long long)s / 3600);
	else
		(void)fprintf(cli->out, "offline, last seen %lldd ago", (long long)s / 86400);
}

static void print_path(const struct cli *cli, const struct js *node)
{
	struct span direct = js_text(js_get(node, "CurAddr"));
	struct span peer_relay = js_text(js_get(node, "PeerRelay"));
	struct span relay = js_text(js_get(node, "Relay"));

	if (direct.n)
		(void)fprintf(cli->out, "direct %.*s", SPAN_FMT(direct));
	else if (peer_relay.n)
		(void)fprintf(cli->out, "peer-relay %.*s", SPAN_FMT(peer_relay));
	else if (relay.n)
		(void)fprintf(cli->out, "relay \"%.*s\"", SPAN_FMT(relay));
	else
		(void)fputs("no path yet", cli->out);
}

static void print_state(const struct cli *cli, const struct js *node, bool self)
{
	int64_t tx = js_int(js_get(node, "TxBytes"), 0);
	int64_t rx = js_int(js_get(node, "RxBytes"), 0);
	bool active = js_truth(js_get(node, "Active"), false);
	bool online = js_truth(js_get(node, "Online"), true);

	if (self) {
		(void)fputs("-", cli->out);
	} else if (active) {
		(void)fputs("active; ", cli->out);
		print_path(cli, node);
		if (!online)
			(void)fputs("; offline", cli->out);
	} else if (!online) {
		print_last_seen(cli, node);
	} else {
		(void)fputs(tx || rx ? "idle" : "-", cli->out);
	}
	if (js_truth(js_get(node, "ExitNode"), false))
		(void)fputs("; exit node", cli->out);
	else if (js_truth(js_get(node, "ExitNodeOption"), false))
		(void)fputs("; offers exit node", cli->out);
	if (tx || rx)
		(void)fprintf(cli->out, ", tx %lld rx %lld", (long long)tx, (long long)rx);
}

static struct span owner_of(const struct js *status, const struct js *node)
{
	char id[24];
	const struct js *tag = js_first(js_get(node, "Tags"));

	if (tag)
		return SPAN_LIT("tagged-devices");
	(void)snprintf(id, sizeof(id), "%lld", (long long)js_int(js_get(node, "UserID"), 0));

	const struct js *user = js_get(js_get(status, "User"), id);
	struct span login = js_text(js_get(user, "LoginName"));

	return login.n ? login : span_str("-");
}

static void print_node(const struct cli *cli, const struct js *status, const struct js *node,
                       bool self)
{
	const struct js *ip = js_first(js_get(node, "TailscaleIPs"));
	struct span owner = owner_of(status, node);
	struct span at = span_first(owner, span_find(owner, '@'));
	AUTO_FREE char *who = at.n < owner.n ? str_fmt("%.*s@", SPAN_FMT(at)) : span_dup(owner);

	(void)fprintf(cli->out, "%-15.*s  %-20.*s  %-12s  %-7.*s  ", SPAN_FMT(js_text(ip)),
	              SPAN_FMT(shown_name(node)), who, SPAN_FMT(js_text(js_get(node, "OS"))));
	print_state(cli, node, self);
	(void)fputs("\n", cli->out);
}

/* Which of the two: in a person's words. */
static void print_exit(const struct cli *cli, const struct js *status)
{
	for (const struct js *p = js_first(js_get(status, "Peer")); p; p = p->next) {
		if (!js_truth(js_get(p, "ExitNode"), false))
			continue;
		(void)fprintf(cli->out, "\n# All traffic goes through %.*s.\n",
		              SPAN_FMT(shown_name(p)));
		return;
	}
	(void)fputs(
		"\n# Only internal traffic goes through the network; the rest goes straight out.\n",
		cli->out);
}

/* Peers that are relayed, and why. */
static void print_relayed(const struct cli *cli, const struct js *status)
{
	for (const struct js *p = js_first(js_get(status, "Peer")); p; p = p->next) {
		bool relayed = js_truth(js_get(p, "Active"), false) &&
		               js_text(js_get(p, "CurAddr")).n == 0 &&
		               js_text(js_get(p, "PeerRelay")).n == 0;

		if (relayed)
			(void)fprintf(
				cli->out,
				"# %.*s is reached over a relay: no direct path answers (UDP is "
				"blocked, or both ends are behind NATs that change ports).\n",
				SPAN_FMT(shown_name(p)));
	}
}

static void print_health(const struct cli *cli, const struct js *status)
{
	const struct js *h = js_first(js_get(status, "Health"));

	if (h)
		(void)fputs("\n# Health check:\n", cli->out);
	for (; h; h = h->next)
		(void)fprintf(cli->out, "#     - %.*s\n", SPAN_FMT(js_text(h)));
}

/* Not running: why, in words; 1. */
static int not_running(const struct cli *cli, const struct js *status, struct span state)
{
	struct span url = js_text(js_get(status, "AuthURL"));

	if (span_is(state, "Stopped")) {
		(void)fputs("fairlead is stopped. Start it with: sudo fairlead up\n", cli->out);
	} else if (span_is(state, "NeedsLogin")) {
		(void)fputs("Logged out.\n", cli->out);
		if (url.n)
			(void)fprintf(cli->out, "Log in at: %.*s\n", SPAN_FMT(url));
	} else if (span_is(state, "NeedsMachineAuth")) {
		(void)fputs("This machine waits to be approved by an admin of the tailnet.\n",
		            cli->out);
	} else {
		(void)fprintf(cli->out, "unexpected state: %.*s\n", SPAN_FMT(state));
	}
	print_health(cli, status);
	return 1;
}

static int run_status(struct cli *cli, const void *opts, int argc, char **argv)
{
	const struct status_opts *o = opts;
	AUTO_DONE(api_answer) struct api_answer a = { 0 };
	int r = api_call(cli, "GET", o->peers ? "status" : "status?peers=false", span(NULL, 0), &a);

	(void)argc;
	(void)argv;
	if (r != 0)
		return r;
	if (o->json) {
		print_json(cli, a.json);
		return 0;
	}

	struct span state = js_text(js_get(a.json, "BackendState"));

	if (!span_is(state, "Running") && !span_is(state, "Starting"))
		return not_running(cli, a.json, state);
	if (o->self)
		print_node(cli, a.json, js_get(a.json, "Self"), true);
	for (const struct js *p = js_first(js_get(a.json, "Peer")); p && o->peers; p = p->next) {
		if (!o->active || js_truth(js_get(p, "Active"), false))
			print_node(cli, a.json, p, false);
	}
	print_exit(cli, a.json);
	print_relayed(cli, a.json);
	print_health(cli, a.json);
	return 0;
}

#define AT(type, field) offsetof(struct type, field)

/* clang-format off */
static const struct cmd_opt status_options[] = {
	{ "json",   CMD_FLAG, AT(status_opts, json),   NULL, "print the daemon's JSON" },
	{ "active", CMD_FLAG, AT(status_opts, active), NULL, "only peers with a session" },
	{ "peers",  CMD_FLAG, AT(status_opts, peers),  NULL, "show peers" },
	{ "self",   CMD_FLAG, AT(status_opts, self),   NULL, "show this machine" },
	{ 0 },
};
/* clang-format on */

const struct cmd node_status_cmd = {
	.name = "status",
	.args = "",
	.help = "Show this machine, its peers and the paths to them",
	.run = run_status,
	.opts = status_options,
	.defaults = &status_defaults,
	.opts_size = sizeof(status_defaults),
};

/* ---- ip ------------------------------------------------------------------------------- */

struct ip_opts {
	bool four, six, first;
};

static const struct ip_opts ip_defaults;

static int run_ip(struct cli *cli, const void *opts, int argc, char **argv)
{
	const struct ip_opts *o = opts;
	AUTO_DONE(api_answer) struct api_answer a = { 0 };
	int r = api_call(cli, "GET", "status", span(NULL, 0), &a);
	const struct js *node;
	unsigned printed = 0;

	if (r != 0)
		return r;
	node = argc ? find_node(a.json, argv[0]) : js_get(a.json, "Self");
	if (!node)
		return cmd_fail(cli, "no node is called \"%s\"", argv[0]);
	for (const struct js *ip = js_first(js_get(node, "TailscaleIPs")); ip; ip = ip->next) {
		bool v6 = span_find(js_text(ip), ':') < js_text(ip).n;

		if ((o->four && v6) || (o->six && !v6) || (o->first && printed))
			continue;
		(void)fprintf(cli->out, "%.*s\n", SPAN_FMT(js_text(ip)));
		printed++;
	}
	return printed ? 0 : cmd_fail(cli, "no such address");
}

/* clang-format off */
static const struct cmd_opt ip_options[] = {
	{ "4", CMD_FLAG, AT(ip_opts, four),  NULL, "only IPv4" },
	{ "6", CMD_FLAG, AT(ip_opts, six),   NULL, "only IPv6" },
	{ "1", CMD_FLAG, AT(ip_opts, first), NULL, "only the first" },
	{ 0 },
};
/* clang-format on */

const struct cmd node_ip_cmd = {
	.name = "ip",
	.args = "[NODE]",
	.help = "Print the addresses of this machine or another",
	.run = run_ip,
	.args_max = 1,
	.opts = ip_options,
	.defaults = &ip_defaults,
	.opts_size = sizeof(ip_defaults),
};

/* ---- ping ------------------------------------------------------------------------------ */

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
	double ms = strtod(js_get(pong, "LatencySeconds")
	                           ? (const char *)js_get(pong, "LatencySeconds")->text.p
	                           : "0",
	                   NULL) *
	            1000;

	(void)fprintf(cli->out, "pong from %.*s (%.*s) via ",
	              SPAN_FMT(js_text(js_get(pong, "NodeName"))),
	              SPAN_FMT(js_text(js_get(pong, "NodeIP"))));
	if (endpoint.n)
		(void)fprintf(cli->out, "%.*s", SPAN_FMT(endpoint));
	else if (relay.n)
		(void)fprintf(cli->out, "peer-relay(%.*s)", SPAN_FMT(relay));
	else if (code.n)
		(void)fprintf(cli->out, "DERP(%.*s)", SPAN_FMT(code));
	else
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
	int r = api_call(cli, "POST", path, span(NULL, 0), &a);
	struct span err;

	if (r != 0)
		return -1;
	err = js_text(js_get(a.json, "Err"));
	if (js_truth(js_get(a.json, "IsLocalIP"), false)) {
		(void)fprintf(cli->out, "%.*s\n", SPAN_FMT(err));
		return 2;
	}
	if (err.n) {
		(void)fprintf(cli->out, "ping \"%.*s\" timed out\n", SPAN_FMT(ip));
		return 0;
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
	node = find_node(a.json, argv[0]);
	ip = node ? js_text(js_first(js_get(node, "TailscaleIPs"))) : span_str(argv[0]);
	if (ip_parse(ip, &literal) < 0)
		return cmd_fail(cli, "no node is called \"%s\"", argv[0]);
	for (uint32_t i = 0; o->count == 0 || i < o->count; i++) {
		int got = ping_once(cli, o, ip);

		if (got < 0)
			return 1;
		any = any || got > 0;
		direct = direct || got == 2;
		if (direct && o->until_direct)
			break;
		if (i + 1 != o->count)
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

/* ---- whois, metrics ----------------------------------------------------------------------- */

struct json_opts {
	bool json;
};

static const struct json_opts json_defaults;

static const struct cmd_opt json_options[] = {
	{ "json", CMD_FLAG, AT(json_opts, json), NULL, "print the daemon's JSON" },
	{ 0 },
};

static int run_whois(struct cli *cli, const void *opts, int argc, char **argv)
{
	const struct json_opts *o = opts;
	AUTO_DONE(api_answer) struct api_answer a = { 0 };
	AUTO_FREE char *path = str_fmt("whois?addr=%s", argv[0]);
	int r = api_call(cli, "GET", path, span(NULL, 0), &a);
	const struct js *node = js_get(a.json, "Node");
	const struct js *user = js_get(a.json, "UserProfile");

	(void)argc;
	if (r != 0)
		return r;
	if (o->json) {
		print_json(cli, a.json);
		return 0;
	}
	(void)fprintf(cli->out, "Machine:\n  Name:          %.*s\n  ID:            %.*s\n",
	              SPAN_FMT(js_text(js_get(node, "Name"))),
	              SPAN_FMT(js_text(js_get(node, "StableID"))));
	(void)fputs("  Addresses:     [", cli->out);
	for (const struct js *p = js_first(js_get(node, "Addresses")); p; p = p->next)
		(void)fprintf(cli->out, "%.*s%s", SPAN_FMT(js_text(p)), p->next ? " " : "");
	(void)fputs("]\n", cli->out);
	if (!js_first(js_get(node, "Tags")))
		(void)fprintf(cli->out, "User:\n  Name:     %.*s\n  ID:       %lld\n",
		              SPAN_FMT(js_text(js_get(user, "LoginName"))),
		              (long long)js_int(js_get(user, "ID"), 0));
	return 0;
}

const struct cmd node_whois_cmd = {
	.name = "whois",
	.args = "ADDRESS[:PORT]",
	.help = "Who is behind an address of the tailnet",
	.run = run_whois,
	.args_min = 1,
	.args_max = 1,
	.opts = json_options,
	.defaults = &json_defaults,
	.opts_size = sizeof(json_defaults),
};

static int run_metrics(struct cli *cli, const void *opts, int argc, char **argv)
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

const struct cmd node_metrics_cmd = {
	.name = "metrics",
	.args = "[print]",
	.help = "Print the daemon's metrics in the form of Prometheus",
	.run = run_metrics,
	.args_max = 1,
};
