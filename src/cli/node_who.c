/* Who is who: whois, whoami. */
#include "cli/api.h"
#include "cli/node.h"
#include "cli/show.h"

struct who_opts {
	bool json;
	const char *proto;
};

static const struct who_opts who_defaults;

static void print_caps(struct cli *cli, const struct js *caps)
{
	if (js_first(caps))
		(void)fputs("Capabilities:\n", cli->out);
	for (const struct js *c = js_first(caps); c; c = c->next) {
		AUTO_DONE(buf) struct buf out = { 0 };
		struct js_wr w = js_wr_of(&out);

		js_wr_tree(&w, c);
		(void)fprintf(cli->out, "  - %.*s: %s\n", SPAN_FMT(c->key), buf_text(&out));
	}
}

static void print_list(struct cli *cli, const char *what, const struct js *list)
{
	(void)fputs(what, cli->out);
	for (const struct js *p = js_first(list); p; p = p->next)
		(void)fprintf(cli->out, "%.*s%s", SPAN_FMT(js_text(p)), p->next ? " " : "");
	(void)fputs("]\n", cli->out);
}

static void print_who(struct cli *cli, const struct js *who)
{
	const struct js *node = js_get(who, "Node"), *user = js_get(who, "UserProfile");
	struct span name = js_text(js_get(node, "Name"));

	if (name.n && name.p[name.n - 1] == '.')
		name.n--;
	(void)fprintf(cli->out, "Machine:\n  Name:          %.*s\n  ID:            %.*s\n",
	              SPAN_FMT(name), SPAN_FMT(js_text(js_get(node, "StableID"))));
	print_list(cli, "  Addresses:     [", js_get(node, "Addresses"));
	if (js_get(node, "PrimaryRoutes"))
		print_list(cli, "  AllowedIPs:    [", js_get(node, "AllowedIPs"));
	if (js_first(js_get(node, "Tags")))
		print_list(cli, "  Tags:          [", js_get(node, "Tags"));
	else
		(void)fprintf(cli->out, "User:\n  Name:     %.*s\n  ID:       %lld\n",
		              SPAN_FMT(js_text(js_get(user, "LoginName"))),
		              (long long)js_int(js_get(user, "ID"), 0));
	print_caps(cli, js_get(who, "CapMap"));
}

static int show(struct cli *cli, const struct who_opts *o, const char *addr)
{
	AUTO_DONE(api_answer) struct api_answer a = { 0 };
	AUTO_FREE char *path = str_fmt("whois?addr=%s&proto=%s", addr, o->proto ? o->proto : "");
	int r = api_try(cli, "GET", path, span(NULL, 0), &a);

	if (r != 0)
		return r;
	if (a.status == 404)
		return cmd_fail(cli, "nobody in the tailnet has %s", addr);
	if (a.status != 200)
		return cmd_fail(cli, "\"%s\" is no address; give an IP, with a port or without",
		                addr);
	if (o->json)
		show_json(cli, a.json);
	else
		print_who(cli, a.json);
	return 0;
}

static int run_whois(struct cli *cli, const void *opts, int argc, char **argv)
{
	(void)argc;
	return show(cli, opts, argv[0]);
}

static int run_whoami(struct cli *cli, const void *opts, int argc, char **argv)
{
	AUTO_DONE(api_answer) struct api_answer a = { 0 };
	AUTO_FREE char *ip = NULL;
	int r = api_call(cli, "GET", "status?peers=false", span(NULL, 0), &a);

	(void)argc;
	(void)argv;
	if (r != 0)
		return r;
	ip = span_dup(js_text(js_first(js_get(a.json, "TailscaleIPs"))));
	return *ip ? show(cli, opts, ip)
	           : cmd_fail(cli, "this machine is in no tailnet; join with `fairlead up`");
}

/* clang-format off */
static const struct cmd_opt who_options[] = {
	{ "json",  CMD_FLAG,   offsetof(struct who_opts, json),  NULL,    "print the daemon's JSON" },
	{ "proto", CMD_STRING, offsetof(struct who_opts, proto), "PROTO", "tcp or udp; both if not given" },
	{ 0 },
};
/* clang-format on */

const struct cmd node_whois_cmd = {
	.name = "whois",
	.args = "ADDRESS[:PORT]",
	.help = "Who is behind an address of the tailnet",
	.run = run_whois,
	.args_min = 1,
	.args_max = 1,
	.opts = who_options,
	.defaults = &who_defaults,
	.opts_size = sizeof(who_defaults),
};

const struct cmd node_whoami_cmd = {
	.name = "whoami",
	.args = "",
	.help = "Who this machine is",
	.run = run_whoami,
	.opts = who_options,
	.defaults = &who_defaults,
	.opts_size = sizeof(who_defaults),
};
