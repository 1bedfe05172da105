/* Settings on the command line: what stays, what is lost, what the daemon is told. */
#include "cli/prefs.h"

#include <stdlib.h>

#include "test/check.h"

#define AT(member) offsetof(struct pref_opts, member)
#define OPTION(flag, kind, member, value, help, ...) { flag, CMD_##kind, AT(member), value, help },

static const struct cmd_opt options[] = {
	PREFS_EVERYWHERE(OPTION) PREFS_OF_UP(OPTION) PREFS_OF_LOGIN(OPTION)
		PREFS_OF_SET(OPTION){ 0 },
};

static char *result;
static const char *now_prefs, *now_status;
static bool reset;
static unsigned of;
static FILE *nowhere;

static int run_lost(struct cli *cli, const void *opts, int argc, char **argv)
{
	struct pref_opts o = *(const struct pref_opts *)opts;
	struct arena a = { 0 };
	struct js *prefs = NULL, *status = NULL;

	(void)argc;
	(void)argv;
	o.reset = reset;
	CHECK_OK(js_parse(&a, span_str(now_prefs), false, &prefs, NULL));
	CHECK_OK(js_parse(&a, span_str(now_status), false, &status, NULL));
	result = prefs_lost(cli, of, &o, prefs, status);
	arena_done(&a);
	return 0;
}

static int run_patch(struct cli *cli, const void *opts, int argc, char **argv)
{
	struct pref_opts o = *(const struct pref_opts *)opts;
	struct arena a = { 0 };
	struct js *prefs = NULL, *status = NULL;
	struct buf out = { 0 };
	struct js_wr w = js_wr_of(&out);
	int r;

	(void)argc;
	(void)argv;
	o.reset = reset;
	CHECK_OK(js_parse(&a, span_str(now_prefs), false, &prefs, NULL));
	CHECK_OK(js_parse(&a, span_str(now_status), false, &status, NULL));
	js_wr_open(&w, JS_OBJECT);
	r = prefs_patch(cli, of, reset, &o, prefs, status, &w);
	js_wr_close(&w, JS_OBJECT);
	result = span_dup(buf_span(&out));
	buf_done(&out);
	arena_done(&a);
	return r;
}

static const struct pref_opts defaults;
static const struct cmd commands[] = {
	{ .name = "lost",
	  .args = "",
	  .help = "",
	  .run = run_lost,
	  .opts = options,
	  .defaults = &defaults,
	  .opts_size = sizeof(defaults) },
	{ .name = "patch",
	  .args = "",
	  .help = "",
	  .run = run_patch,
	  .opts = options,
	  .defaults = &defaults,
	  .opts_size = sizeof(defaults) },
	{ 0 },
};

/* Words separated by a space; a NULL at the end is not needed. */
static int run(const char *line)
{
	struct cli cli = { .program = "test", .out = nowhere, .err = nowhere };
	char *copy = str_dup(line), *argv[16], *save = NULL;
	int argc = 0, r;

	free(result);
	result = NULL;
	for (char *w = strtok_r(copy, " ", &save); w && argc < 16; w = strtok_r(NULL, " ", &save))
		argv[argc++] = w;
	r = cmd_main(&cli, commands, argc, argv);
	free(copy);
	return r;
}

static void fresh(void)
{
	now_prefs = "{\"CorpDNS\":true,\"NetfilterMode\":2,\"NoStatefulFiltering\":true,"
		    "\"ControlURL\":\"https://controlplane.tailscale.com\"}";
	now_status =
		"{\"Self\":{\"TailscaleIPs\":[\"100.64.0.1\"]},\"Peer\":{\"nodekey:1\":{"
		"\"ID\":\"n1\",\"TailscaleIPs\":[\"100.64.0.2\"],\"DNSName\":\"exit.ts.test.\","
		"\"ExitNodeOption\":true},\"nodekey:2\":{\"ID\":\"n2\",\"TailscaleIPs\":["
		"\"100.64.0.3\"],\"DNSName\":\"plain.ts.test.\"}}}";
	of = PREF_OF_UP;
	reset = false;
}

static void nothing_is_lost_where_all_is_standard(void)
{
	fresh();
	CHECK_EQ(run("lost --hostname=x"), 0);
	CHECK(!result);
}

static void every_kind_of_setting_that_would_be_lost_is_named(void)
{
	static const struct {
		const char *prefs, *lost;
	} rows[] = {
		{ "{\"CorpDNS\":false,\"NetfilterMode\":2,\"NoStatefulFiltering\":true}",
		  "--accept-dns=false" },
		{ "{\"CorpDNS\":true,\"NetfilterMode\":0,\"NoStatefulFiltering\":true}",
		  "--netfilter-mode=off" },
		{ "{\"CorpDNS\":true,\"RouteAll\":true,\"NoStatefulFiltering\":true}",
		  "--accept-routes" },
		{ "{\"CorpDNS\":true,\"NoSNAT\":true}", "--snat-subnet-routes=false" },
		{ "{\"CorpDNS\":true,\"Hostname\":\"a b\"}", "--hostname='a b'" },
		{ "{\"CorpDNS\":true,\"ControlURL\":\"https://x\"}", "--login-server=https://x" },
		{ "{\"CorpDNS\":true,\"AdvertiseTags\":[\"tag:a\",\"tag:b\"]}",
		  "--advertise-tags=tag:a,tag:b" },
		{ "{\"CorpDNS\":true,\"AdvertiseRoutes\":[\"10.0.0.0/8\",\"0.0.0.0/0\",\"::/0\"]}",
		  "--advertise-routes=10.0.0.0/8 --advertise-exit-node" },
		{ "{\"CorpDNS\":true,\"ExitNodeID\":\"n1\"}", "--exit-node=100.64.0.2" },
		{ "{\"CorpDNS\":true,\"AutoExitNode\":\"any\",\"ExitNodeID\":\"auto:any\"}",
		  "--exit-node=auto:any" },
		{ "{\"CorpDNS\":true,\"AppConnector\":{\"Advertise\":true}}",
		  "--advertise-connector" },
	};

	fresh();
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		now_prefs = rows[i].prefs;
		CHECK_EQ(run("lost"), 0);
		CHECK_STR(result ? result : "", rows[i].lost);
	}
}

static void what_was_given_comes_first_and_is_not_lost(void)
{
	fresh();
	now_prefs = "{\"CorpDNS\":false,\"ShieldsUp\":true}";
	CHECK_EQ(run("lost --shields-up=false --hostname=h"), 0);
	CHECK_STR(result, "--shields-up=false --hostname=h --accept-dns=false");
}

static void settings_of_set_alone_are_not_up_s_concern(void)
{
	fresh();
	now_prefs = "{\"CorpDNS\":true,\"ProfileName\":\"work\",\"RelayServerPort\":40000,"
	            "\"RunWebClient\":true}";
	CHECK_EQ(run("lost"), 0);
	CHECK(!result);
}

static void the_daemon_is_told_what_was_given_and_no_more(void)
{
	static const struct {
		const char *line, *patch;
	} rows[] = {
		{ "patch --shields-up", "{\"ShieldsUp\":true,\"ShieldsUpSet\":true}" },
		{ "patch --snat-subnet-routes=false", "{\"NoSNAT\":true,\"NoSNATSet\":true}" },
		{ "patch --advertise-connector",
		  "{\"AppConnector\":{\"Advertise\":true},\"AppConnectorSet\":true}" },
		{ "patch --auto-update=false --update-check=false",
		  "{\"AutoUpdate\":{\"Check\":false,\"Apply\":false},\"AutoUpdateSet\":{"
		  "\"CheckSet\":true,\"ApplySet\":true}}" },
		{ "patch --relay-server-port=40000",
		  "{\"RelayServerPort\":40000,\"RelayServerPortSet\":true}" },
		{ "patch --relay-server-port=",
		  "{\"RelayServerPort\":null,\"RelayServerPortSet\":true}" },
		{ "patch --exit-node=exit",
		  "{\"ExitNodeID\":\"n1\",\"ExitNodeIDSet\":true,\"ExitNodeIP\":\"\","
		  "\"ExitNodeIPSet\":true,\"AutoExitNode\":\"\",\"AutoExitNodeSet\":true}" },
		{ "patch --netfilter-mode=nodivert",
		  "{\"NetfilterMode\":1,\"NetfilterModeSet\":true}" },
	};

	fresh();
	of = PREF_OF_SET;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		CHECK_EQ(run(rows[i].line), 0);
		CHECK_STR(result, rows[i].patch);
	}
}

static void subnets_and_the_offer_to_be_an_exit_do_not_undo_each_other(void)
{
	fresh();
	of = PREF_OF_SET;
	now_prefs = "{\"AdvertiseRoutes\":[\"10.0.0.0/8\",\"0.0.0.0/0\",\"::/0\"]}";
	CHECK_EQ(run("patch --advertise-exit-node=false"), 0);
	CHECK_STR(result, "{\"AdvertiseRoutes\":[\"10.0.0.0/8\"],\"AdvertiseRoutesSet\":true}");
	CHECK_EQ(run("patch --advertise-routes=10.1.0.0/16"), 0);
	CHECK_STR(result, "{\"AdvertiseRoutes\":[\"10.1.0.0/16\",\"0.0.0.0/0\",\"::/"
	                  "0\"],\"AdvertiseRoutesSet\":true}");
}

static void a_reset_names_every_setting_of_up(void)
{
	fresh();
	reset = true;
	now_prefs = "{\"AdvertiseRoutes\":[\"10.0.0.0/"
	            "8\"],\"Hostname\":\"old\",\"AdvertiseTags\":[\"tag:x\"]}";
	CHECK_EQ(run("patch --advertise-tags=web"), 0);
	CHECK(strstr(result, "\"Hostname\":\"\",\"HostnameSet\":true"));
	CHECK(strstr(result, "\"AdvertiseRoutes\":[],\"AdvertiseRoutesSet\":true"));
	CHECK(strstr(result, "\"AdvertiseTags\":[\"tag:web\"],\"AdvertiseTagsSet\":true"));
	CHECK(!strstr(result, "ProfileName"));
}

static void what_is_no_such_thing_is_refused(void)
{
	static const char *const lines[] = {
		"patch --advertise-routes=10.1.2.3/24",
		"patch --advertise-routes=nonsense",
		"patch --advertise-routes=0.0.0.0/0",
		"patch --netfilter-mode=maybe",
		"patch --relay-server-port=70000",
		"patch --relay-server-static-endpoints=x",
		"patch --exit-node=nosuch",
		"patch --exit-node=100.64.0.1",
		"patch --exit-node=plain",
	};

	fresh();
	of = PREF_OF_SET;
	for (size_t i = 0; i < ARRAY_LEN(lines); i++)
		CHECK(run(lines[i]) != 0);
}

int main(void)
{
	nowhere = fopen("/dev/null", "w");
	RUN(nothing_is_lost_where_all_is_standard);
	RUN(every_kind_of_setting_that_would_be_lost_is_named);
	RUN(what_was_given_comes_first_and_is_not_lost);
	RUN(settings_of_set_alone_are_not_up_s_concern);
	RUN(the_daemon_is_told_what_was_given_and_no_more);
	RUN(subnets_and_the_offer_to_be_an_exit_do_not_undo_each_other);
	RUN(a_reset_names_every_setting_of_up);
	RUN(what_is_no_such_thing_is_refused);
	free(result);
	(void)fclose(nowhere);
	return check_done();
}
