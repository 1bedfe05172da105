/* What the node looks like: status, ip. */
#include <stdlib.h>
#include <string.h>

#include "base/time.h"
#include "cli/api.h"
#include "cli/node.h"
#include "cli/show.h"

/* ---- status ----------------------------------------------------------------------- */

struct status_opts {
	bool json, active, peers, self, header;
};

static const struct status_opts status_defaults = { .peers = true, .self = true };

static void put_path(struct buf *out, const struct js *node)
{
	struct span direct = js_text(js_get(node, "CurAddr"));
	struct span peer_relay = js_text(js_get(node, "PeerRelay"));
	struct span relay = js_text(js_get(node, "Relay"));

	if (direct.n)
		buf_fmt(out, "direct %.*s", SPAN_FMT(direct));
	else if (peer_relay.n)
		buf_fmt(out, "peer-relay %.*s", SPAN_FMT(peer_relay));
	else if (relay.n)
		buf_fmt(out, "relay \"%.*s\"", SPAN_FMT(relay));
	else
		buf_add_str(out, "no path yet");
}

static void put_offline(struct buf *out, const struct js *node, const char *before)
{
	AUTO_FREE char *ago = show_ago(js_text(js_get(node, "LastSeen")));

	if (!js_truth(js_get(node, "Online"), true))
		buf_fmt(out, "%soffline%s%s", before, *ago ? ", last seen " : "", ago);
}

static const char *exit_word(const struct js *node)
{
	return js_truth(js_get(node, "ExitNode"), false)         ? "exit node"
	       : js_truth(js_get(node, "ExitNodeOption"), false) ? "offers exit node"
	                                                         : NULL;
}

static void put_activity(struct buf *out, const struct js *node, bool traffic)
{
	const char *exit = exit_word(node);

	if (js_truth(js_get(node, "Active"), false)) {
		buf_add_str(out, "active; ");
		if (exit)
			buf_fmt(out, "%s; ", exit);
		put_path(out, node);
		put_offline(out, node, "; ");
	} else if (exit || traffic) {
		buf_fmt(out, "idle%s%s", exit ? "; " : "", exit ? exit : "");
		put_offline(out, node, "; ");
	} else if (!js_truth(js_get(node, "Online"), true)) {
		put_offline(out, node, "");
	} else {
		buf_add_str(out, "-");
	}
}

static void put_state(struct buf *out, const struct js *node, bool self)
{
	int64_t tx = js_int(js_get(node, "TxBytes"), 0);
	int64_t rx = js_int(js_get(node, "RxBytes"), 0);

	if (self)
		buf_fmt(out, "%s", exit_word(node) ? "idle; offers exit node" : "-");
	else
		put_activity(out, node, tx || rx);
	if (tx || rx)
		buf_fmt(out, ", tx %lld rx %lld", (long long)tx, (long long)rx);
}

static char *owner_of(const struct js *status, const struct js *node)
{
	char id[24];
	struct span login, at;

	if (js_first(js_get(node, "Tags")))
		return str_dup("tagged-devices");
	(void)snprintf(id, sizeof(id), "%lld", (long long)js_int(js_get(node, "UserID"), 0));
	login = js_text(js_get(js_get(js_get(status, "User"), id), "LoginName"));
	at = span_first(login, span_find(login, '@'));
	if (!login.n)
		return str_dup("-");
	return at.n < login.n ? str_fmt("%.*s@", SPAN_FMT(at)) : span_dup(login);
}

static void add_node(struct table *t, const struct js *status, const struct js *node, bool self)
{
	AUTO_FREE char *ip = span_dup(js_text(js_first(js_get(node, "TailscaleIPs"))));
	AUTO_FREE char *name = span_dup(show_name(node));
	AUTO_FREE char *owner = owner_of(status, node);
	AUTO_FREE char *os = span_dup(js_text(js_get(node, "OS")));
	AUTO_DONE(buf) struct buf state = { 0 };

	put_state(&state, node, self);
	table_add(t, 5, ip, name, owner, os, buf_text(&state));
}

/* Which of the two: in a person's words. */
static void print_exit(const struct cli *cli, const struct js *status)
{
	const struct js *exit = js_get(status, "ExitNodeStatus");

	for (const struct js *p = js_first(js_get(status, "Peer")); p; p = p->next) {
		if (!js_truth(js_get(p, "ExitNode"), false))
			continue;
		(void)fprintf(cli->out, "\n# All traffic goes through %.*s%s\n",
		              SPAN_FMT(show_name(p)),
		              js_truth(js_get(exit, "Online"), true)
		                      ? "."
		                      : ", which is offline: nothing gets out.");
		return;
	}
	(void)fputs(
		"\n# Only internal traffic goes through the network; the rest goes straight out.\n",
		cli->out);
}

static bool is_relayed(const struct js *p)
{
	return js_truth(js_get(p, "Active"), false) && js_text(js_get(p, "CurAddr")).n == 0 &&
	       js_text(js_get(p, "PeerRelay")).n == 0 && js_text(js_get(p, "Relay")).n;
}

/* Peers that are relayed, and why: as the daemon of ours says; another one says nothing. */
static void print_relayed(const struct cli *cli, const struct js *status)
{
	AUTO_DONE(api_answer) struct api_answer why = { 0 };
	bool asked = false;

	for (const struct js *p = js_first(js_get(status, "Peer")); p; p = p->next) {
		AUTO_FREE char *key = span_dup(js_text(js_get(p, "PublicKey")));
		struct span reason;

		if (!is_relayed(p))
			continue;
		if (!asked && api_try(cli, "GET", "fairlead-paths", span(NULL, 0), &why) != 0)
			return;
		asked = true;
		reason = js_text(js_get(js_get(why.json, key), "WhyRelayed"));
		if (reason.n)
			(void)fprintf(cli->out, "# %.*s is reached over a relay: %.*s.\n",
			              SPAN_FMT(show_name(p)), SPAN_FMT(reason));
	}
}

static int by_name(const void *a, const void *b)
{
	struct span x = show_name(*(const struct js *const *)a);
	struct span y = show_name(*(const struct js *const *)b);
	int r = memcmp(x.p, y.p, x.n < y.n ? x.n : y.n);

	return r ? r : x.n < y.n ? -1 : x.n > y.n;
}

static void add_peers(struct table *t, const struct js *status, bool active)
{
	const struct js *peers = js_get(status, "Peer");
	size_t n = peers ? peers->n : 0, i = 0;
	AUTO_FREE const struct js **v = mem_alloc((n + 1) * sizeof(struct js *));

	for (const struct js *p = js_first(peers); p && i < n; p = p->next)
		if (!js_truth(js_get(p, "ShareeNode"), false) &&
		    (!active || js_truth(js_get(p, "Active"), false)))
			v[i++] = p;
	qsort(v, i, sizeof(v[0]), by_name);
	for (size_t k = 0; k < i; k++)
		add_node(t, status, v[k], false);
}

void node_print_status(struct cli *cli, const struct js *status, bool self, bool peers, bool active,
                       bool header)
{
	struct table t = { .n_columns = 5 };

	if (header) {
		table_add(&t, 5, "IP", "Hostname", "Owner", "OS", "Status");
		table_add(&t, 5, "--", "--------", "-----", "--", "------");
	}
	if (self)
		add_node(&t, status, js_get(status, "Self"), true);
	if (peers)
		add_peers(&t, status, active);
	table_print(&t, cli->out);
	table_done(&t);
	print_exit(cli, status);
}

/* The tree without the peers that are not active. */
static void drop_idle(struct js *status)
{
	struct js *peers = status ? status->first : NULL;
	struct js **at;

	while (peers && !span_is(peers->key, "Peer"))
		peers = peers->next;
	if (!peers || peers->kind != JS_OBJECT)
		return;
	for (at = &peers->first; *at;) {
		if (js_truth(js_get(*at, "Active"), false)) {
			at = &(*at)->next;
		} else {
			*at = (*at)->next;
			peers->n--;
		}
	}
}

static int run_status(struct cli *cli, const void *opts, int argc, char **argv)
{
	const struct status_opts *o = opts;
	AUTO_DONE(api_answer) struct api_answer a = { 0 };
	int r = api_call(cli, "GET", o->peers ? "status" : "status?peers=false", span(NULL, 0), &a);
	struct span state;

	(void)argc;
	(void)argv;
	if (r != 0)
		return r;
	if (o->json) {
		if (o->active)
			drop_idle(a.json);
		show_json(cli, a.json);
		return 0;
	}
	state = js_text(js_get(a.json, "BackendState"));
	if (!span_is(state, "Running") && !span_is(state, "Starting"))
		return show_not_running(cli, a.json, state);
	node_print_status(cli, a.json, o->self, o->peers, o->active, o->header);
	print_relayed(cli, a.json);
	show_health(cli, a.json);
	return 0;
}

#define AT(type, field) offsetof(struct type, field)

/* clang-format off */
static const struct cmd_opt status_options[] = {
	{ "json",   CMD_FLAG, AT(status_opts, json),   NULL, "print the daemon's JSON" },
	{ "active", CMD_FLAG, AT(status_opts, active), NULL, "only peers with a session" },
	{ "peers",  CMD_FLAG, AT(status_opts, peers),  NULL, "show peers" },
	{ "self",   CMD_FLAG, AT(status_opts, self),   NULL, "show this machine" },
	{ "header", CMD_FLAG, AT(status_opts, header), NULL, "name the columns" },
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
	const char *assert_ip;
};

static const struct ip_opts ip_defaults;

static int assert_ip(const struct cli *cli, const struct js *node, const char *ip)
{
	for (const struct js *a = js_first(js_get(node, "TailscaleIPs")); a; a = a->next)
		if (span_is(js_text(a), ip))
			return 0;
	return cmd_fail(cli, "%s is no address of this machine in the tailnet", ip);
}

static int print_ips(struct cli *cli, const struct js *node, const struct ip_opts *o)
{
	unsigned printed = 0;

	for (const struct js *ip = js_first(js_get(node, "TailscaleIPs")); ip; ip = ip->next) {
		bool v6 = span_find(js_text(ip), ':') < js_text(ip).n;

		if ((o->four && v6) || (o->six && !v6) || (o->first && printed))
			continue;
		(void)fprintf(cli->out, "%.*s\n", SPAN_FMT(js_text(ip)));
		printed++;
	}
	if (printed)
		return 0;
	return cmd_fail(cli, "there is no %saddress%s",
	                o->four  ? "IPv4 "
	                : o->six ? "IPv6 "
	                         : "",
	                o->four || o->six ? "" : " yet; join with `fairlead up`");
}

static int run_ip(struct cli *cli, const void *opts, int argc, char **argv)
{
	const struct ip_opts *o = opts;
	AUTO_DONE(api_answer) struct api_answer a = { 0 };
	const struct js *node;
	int r;

	if (o->four + o->six + o->first > 1)
		return cmd_misuse(cli, "only one of -1, -4 and -6 can be asked for");
	r = api_call(cli, "GET", "status", span(NULL, 0), &a);
	if (r != 0)
		return r;
	if (o->assert_ip)
		return assert_ip(cli, js_get(a.json, "Self"), o->assert_ip);
	node = argc ? show_find(a.json, argv[0]) : js_get(a.json, "Self");
	if (!node)
		return cmd_fail(cli, "no node is called \"%s\"; `fairlead status` lists them",
		                argv[0]);
	return print_ips(cli, node, o);
}

/* clang-format off */
static const struct cmd_opt ip_options[] = {
	{ "4",      CMD_FLAG,   AT(ip_opts, four),      NULL, "only IPv4" },
	{ "6",      CMD_FLAG,   AT(ip_opts, six),       NULL, "only IPv6" },
	{ "1",      CMD_FLAG,   AT(ip_opts, first),     NULL, "only the first" },
	{ "assert", CMD_STRING, AT(ip_opts, assert_ip), "IP", "succeed only if this is one of them" },
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
