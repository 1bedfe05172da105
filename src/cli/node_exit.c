/* Exit nodes: which there are, and the one in use. */
#include <stdlib.h>
#include <string.h>

#include "cli/api.h"
#include "cli/node.h"
#include "cli/show.h"

struct exit_opts {
	const char *filter;
	bool probe;
};

static const struct exit_opts exit_defaults;

static char *state_of(const struct js *p)
{
	AUTO_FREE char *ago = show_ago(js_text(js_get(p, "LastSeen")));
	bool chosen = js_truth(js_get(p, "ExitNode"), false);
	bool offline = !js_truth(js_get(p, "Online"), true);

	if (js_truth(js_get(p, "Active"), false) || !(offline || chosen))
		return str_dup(chosen ? "selected" : "-");
	if (!offline)
		return str_dup("selected");
	return str_fmt("%soffline%s%s", chosen ? "selected but " : "", *ago ? ", last seen " : "",
	               ago);
}

static char *or_dash(const struct js *v)
{
	return js_text(v).n ? span_dup(js_text(v)) : str_dup("-");
}

static int by_place(const void *a, const void *b)
{
	const struct js *x = *(const struct js *const *)a, *y = *(const struct js *const *)b;
	static const char *const keys[] = { "Country", "City" };

	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		AUTO_FREE char *p = span_dup(js_text(js_get(js_get(x, "Location"), keys[i])));
		AUTO_FREE char *q = span_dup(js_text(js_get(js_get(y, "Location"), keys[i])));
		int r = strcmp(p, q);

		if (r)
			return r;
	}

	AUTO_FREE char *p = span_dup(js_text(js_get(x, "DNSName")));
	AUTO_FREE char *q = span_dup(js_text(js_get(y, "DNSName")));

	return strcmp(p, q);
}

static void add_row(struct table *t, const struct js *p)
{
	const struct js *place = js_get(p, "Location");
	AUTO_FREE char *ip = span_dup(js_text(js_first(js_get(p, "TailscaleIPs"))));
	struct span dns = js_text(js_get(p, "DNSName"));
	AUTO_FREE char *name = span_dup(span_first(dns, dns.n ? dns.n - 1 : 0));
	AUTO_FREE char *country = or_dash(js_get(place, "Country"));
	AUTO_FREE char *city = or_dash(js_get(place, "City"));
	AUTO_FREE char *state = state_of(p);

	table_add(t, 5, ip, name, country, city, state);
}

static int run_list(struct cli *cli, const void *opts, int argc, char **argv)
{
	const struct exit_opts *o = opts;
	AUTO_DONE(api_answer) struct api_answer a = { 0 };
	int r = api_call(cli, "GET", "status", span(NULL, 0), &a);
	const struct js *peers = js_get(a.json, "Peer");
	AUTO_FREE const struct js **v = mem_alloc(((peers ? peers->n : 0) + 1) * sizeof(*v));
	struct table t = { .n_columns = 5 };
	size_t n = 0;

	(void)argc;
	(void)argv;
	if (r != 0)
		return r;
	for (const struct js *p = js_first(peers); p; p = p->next)
		if (js_truth(js_get(p, "ExitNodeOption"), false) &&
		    (!o->filter || span_eq_nocase(js_text(js_get(js_get(p, "Location"), "Country")),
		                                  span_str(o->filter))))
			v[n++] = p;
	if (n == 0)
		return cmd_fail(cli, "no node offers to be an exit node%s%s",
		                o->filter ? " in " : "", o->filter ? o->filter : "");
	qsort(v, n, sizeof(v[0]), by_place);
	table_add(&t, 5, "IP", "HOSTNAME", "COUNTRY", "CITY", "STATUS");
	for (size_t i = 0; i < n; i++)
		add_row(&t, v[i]);
	table_print(&t, cli->out);
	table_done(&t);
	(void)fputs("\n# To use one: fairlead set --exit-node=NAME. To use none: --exit-node=\n",
	            cli->out);
	return 0;
}

static int run_suggest(struct cli *cli, const void *opts, int argc, char **argv)
{
	AUTO_DONE(api_answer) struct api_answer a = { 0 };
	int r = api_call(cli, "POST", "suggest-exit-node", span(NULL, 0), &a);
	struct span name = js_text(js_get(a.json, "Name"));

	(void)opts;
	(void)argc;
	(void)argv;
	if (r != 0)
		return r;
	if (!js_text(js_get(a.json, "ID")).n)
		(void)fputs("No exit node suggestion is available.\n", cli->out);
	else
		(void)fprintf(cli->out,
		              "Suggested exit node: %.*s\nTo use it: fairlead set "
		              "--exit-node=%.*s\n",
		              SPAN_FMT(name), SPAN_FMT(name));
	return 0;
}

static int enable(struct cli *cli, const char *on)
{
	AUTO_DONE(api_answer) struct api_answer a = { 0 };
	AUTO_FREE char *path = str_fmt("set-use-exit-node-enabled?enabled=%s", on);

	return api_call(cli, "POST", path, span(NULL, 0), &a);
}

static int run_connect(struct cli *cli, const void *opts, int argc, char **argv)
{
	(void)opts;
	(void)argc;
	(void)argv;
	return enable(cli, "true");
}

static int run_disconnect(struct cli *cli, const void *opts, int argc, char **argv)
{
	(void)opts;
	(void)argc;
	(void)argv;
	return enable(cli, "false");
}

/* clang-format off */
static const struct cmd_opt list_options[] = {
	{ "filter", CMD_STRING, offsetof(struct exit_opts, filter), "COUNTRY", "only those in this country" },
	{ 0 },
};
static const struct cmd_opt suggest_options[] = {
	{ "force-probe", CMD_FLAG, offsetof(struct exit_opts, probe), NULL, NULL },
	{ 0 },
};

static const struct cmd exit_commands[] = {
	{ .name = "list", .args = "", .help = "Show the exit nodes there are", .run = run_list,
	  .opts = list_options, .defaults = &exit_defaults, .opts_size = sizeof(exit_defaults) },
	{ .name = "suggest", .args = "", .help = "Name the one that is likely best", .run = run_suggest,
	  .opts = suggest_options, .defaults = &exit_defaults, .opts_size = sizeof(exit_defaults) },
	{ .name = "connect", .args = "", .help = "Use the one of last time again", .run = run_connect },
	{ .name = "disconnect", .args = "", .help = "Use none for now", .run = run_disconnect },
	{ 0 },
};
/* clang-format on */

const struct cmd node_exit_cmd = {
	.name = "exit-node",
	.args = "",
	.help = "Show and choose exit nodes",
	.sub = exit_commands,
};
