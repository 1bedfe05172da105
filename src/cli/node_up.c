#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/err.h"
#include "base/file.h"
#include "base/ip.h"
#include "base/time.h"
#include "cli/api.h"
#include "cli/node.h"

enum { KEY_FILE_MAX = 4096, POLL_US = 200000, ROUTES_MAX = 4096 };

/* Flags of up, login and set that are preferences. The order is that of `options` below. */
struct pref_opts {
	bool accept_routes, accept_dns, exit_lan, shields_up, ssh, advertise_exit, report_posture;
	bool snat, stateful, connector;
	const char *exit_node, *advertise_routes, *advertise_tags, *hostname, *operator_user,
		*netfilter, *nickname;
	/* up and login alone */
	const char *login_server, *auth_key;
	int64_t timeout_us;
	bool reset, force_reauth, json, qr;
};

static const struct pref_opts defaults = { .accept_dns = true, .snat = true, .login_server = "" };

enum opt_index {
	OPT_ACCEPT_ROUTES,
	OPT_ACCEPT_DNS,
	OPT_EXIT_LAN,
	OPT_SHIELDS,
	OPT_SSH,
	OPT_ADVERTISE_EXIT,
	OPT_POSTURE,
	OPT_SNAT,
	OPT_STATEFUL,
	OPT_CONNECTOR,
	OPT_EXIT_NODE,
	OPT_ROUTES,
	OPT_TAGS,
	OPT_HOSTNAME,
	OPT_OPERATOR,
	OPT_NETFILTER,
	OPT_NICKNAME,
	OPT_LOGIN_SERVER,
};

#define AT(field) offsetof(struct pref_opts, field)

/* clang-format off */
#define PREF_OPTIONS                                                                                                             \
	{ "accept-routes",              CMD_FLAG,     AT(accept_routes),    NULL,      "use subnets that other nodes share" },        \
	{ "accept-dns",                 CMD_FLAG,     AT(accept_dns),       NULL,      "use the tailnet's names and resolvers" },     \
	{ "exit-node-allow-lan-access", CMD_FLAG,     AT(exit_lan),         NULL,      "keep the local network reachable beside an exit node" }, \
	{ "shields-up",                 CMD_FLAG,     AT(shields_up),       NULL,      "let nobody connect to this machine" },        \
	{ "ssh",                        CMD_FLAG,     AT(ssh),              NULL,      "let the policy's SSH rules in" },             \
	{ "advertise-exit-node",        CMD_FLAG,     AT(advertise_exit),   NULL,      "offer to be an exit node" },                  \
	{ "report-posture",             CMD_FLAG,     AT(report_posture),   NULL,      NULL },                                        \
	{ "snat-subnet-routes",         CMD_FLAG,     AT(snat),             NULL,      "forward to shared subnets under this machine's address" }, \
	{ "stateful-filtering",         CMD_FLAG,     AT(stateful),         NULL,      "let nothing new from shared subnets into the tailnet" }, \
	{ "advertise-connector",        CMD_FLAG,     AT(connector),        NULL,      NULL },                                        \
	{ "exit-node",                  CMD_STRING,   AT(exit_node),        "NODE",    "send all traffic through this node; empty: none" }, \
	{ "advertise-routes",           CMD_STRING,   AT(advertise_routes), "SUBNETS", "share these subnets, separated by commas" },  \
	{ "advertise-tags",             CMD_STRING,   AT(advertise_tags),   "TAGS",    "ask to be tagged" },                          \
	{ "hostname",                   CMD_STRING,   AT(hostname),         "NAME",    "in place of the machine's own" },             \
	{ "operator",                   CMD_STRING,   AT(operator_user),    "USER",    "a user who may change settings without root" }, \
	{ "netfilter-mode",             CMD_STRING,   AT(netfilter),        "MODE",    "on, nodivert, off" },                         \
	{ "nickname",                   CMD_STRING,   AT(nickname),         "NAME",    "of this login, for `fairlead switch`" }

static const struct cmd_opt up_options[] = {
	PREF_OPTIONS,
	{ "login-server", CMD_STRING,   AT(login_server), "URL",  "the coordinator" },
	{ "auth-key",     CMD_STRING,   AT(auth_key),     "KEY",  "join with this key; file:PATH reads it from there" },
	{ "authkey",      CMD_STRING,   AT(auth_key),     "KEY",  NULL },
	{ "timeout",      CMD_DURATION, AT(timeout_us),   "TIME", "give up after this; 0: never" },
	{ "reset",        CMD_FLAG,     AT(reset),        NULL,   "settings that are not named go back to their defaults" },
	{ "force-reauth", CMD_FLAG,     AT(force_reauth), NULL,   "log in anew" },
	{ "json",         CMD_FLAG,     AT(json),         NULL,   "report as JSON" },
	{ "qr",           CMD_FLAG,     AT(qr),           NULL,   NULL },
	{ 0 },
};

static const struct cmd_opt set_options[] = {
	PREF_OPTIONS,
	{ 0 },
};
/* clang-format on */

/* ---- preferences as the daemon takes them ------------------------------------------ */

struct patch {
	struct buf text;
	struct js_wr w;
};

static void set_bool(struct patch *p, const char *name, bool v)
{
	AUTO_FREE char *set = str_fmt("%sSet", name);

	js_wr_kv_bool(&p->w, name, v);
	js_wr_kv_bool(&p->w, set, true);
}

static void set_str(struct patch *p, const char *name, struct span v)
{
	AUTO_FREE char *set = str_fmt("%sSet", name);

	js_wr_kv_span(&p->w, name, v);
	js_wr_kv_bool(&p->w, set, true);
}

static bool is_given(const struct cli *cli, const struct pref_opts *o, enum opt_index i)
{
	return cli->given >> i & 1 || o->reset;
}

static struct span tag_of(struct span t)
{
	return span_trim(t);
}

static void put_tags(struct patch *p, const char *list)
{
	struct span rest = span_str(list);
	struct span tag;

	js_wr_key(&p->w, "AdvertiseTags");
	js_wr_open(&p->w, JS_ARRAY);
	while (rest.n && span_cut(&rest, ',', &tag)) {
		AUTO_FREE char *full = str_fmt(
			"%s%.*s",
			span_starts(tag_of(tag), "tag:") ? "" : "tag:", SPAN_FMT(tag_of(tag)));

		js_wr_str(&p->w, full);
	}
	js_wr_close(&p->w, JS_ARRAY);
	js_wr_kv_bool(&p->w, "AdvertiseTagsSet", true);
}

static bool is_exit_route(struct span s)
{
	return span_is(s, "0.0.0.0/0") || span_is(s, "::/0");
}

/*
 * Subnets and the offer to be an exit are one list for the daemon and two flags
 * for a person: what is not named stays.
 */
static int put_routes(struct cli *cli, struct patch *p, const struct pref_opts *o,
                      const struct js *prefs)
{
	bool exit = o->advertise_exit;
	struct span rest = span_str(o->advertise_routes ? o->advertise_routes : "");
	struct span text;
	const struct js *old = js_first(js_get(prefs, "AdvertiseRoutes"));

	js_wr_key(&p->w, "AdvertiseRoutes");
	js_wr_open(&p->w, JS_ARRAY);
	while (rest.n && span_cut(&rest, ',', &text)) {
		struct prefix prefix;
		char shown[PREFIX_TEXT_MAX];

		text = span_trim(text);
		if (prefix_parse_strict(text, &prefix) < 0)
			return cmd_misuse(
				cli,
				"--advertise-routes: \"%.*s\" is no subnet like 192.168.1.0/24",
				SPAN_FMT(text));
		js_wr_str(&p->w, prefix_text(&prefix, shown));
	}
	for (; old; old = old->next) {
		bool is_exit = is_exit_route(js_text(old));

		if (is_exit && !is_given(cli, o, OPT_ADVERTISE_EXIT))
			exit = true;
		if (!is_exit && !is_given(cli, o, OPT_ROUTES))
			js_wr_span(&p->w, js_text(old));
	}
	if (exit) {
		js_wr_str(&p->w, "0.0.0.0/0");
		js_wr_str(&p->w, "::/0");
	}
	js_wr_close(&p->w, JS_ARRAY);
	js_wr_kv_bool(&p->w, "AdvertiseRoutesSet", true);
	return 0;
}

static int put_exit(struct cli *cli, struct patch *p, const char *who, const struct js *status)
{
	struct span name = span_str(who ? who : "");
	struct span id = { NULL, 0 }, automatic = { NULL, 0 };
	struct ip ip;

	if (span_starts(name, "auto:")) {
		automatic = span_from(name, 5);
	} else if (name.n) {
		for (const struct js *x = js_first(js_get(status, "Peer")); x && !id.n;
		     x = x->next) {
			struct span dns = js_text(js_get(x, "DNSName"));
			bool match = span_eq_nocase(span_first(dns, span_find(dns, '.')), name) ||
			             (dns.n && span_eq_nocase(span_first(dns, dns.n - 1), name));

			for (const struct js *a = js_first(js_get(x, "TailscaleIPs")); a;
			     a = a->next)
				match = match || span_eq(js_text(a), name);
			if (match)
				id = js_text(js_get(x, "ID"));
		}
		if (!id.n && ip_parse(name, &ip) < 0)
			return cmd_fail(cli, "no peer is called \"%s\"", who);
	}
	set_str(p, "ExitNodeID", id);
	set_str(p, "ExitNodeIP", id.n || automatic.n ? span(NULL, 0) : name);
	set_str(p, "AutoExitNode", automatic);
	return 0;
}

static int put_netfilter(struct cli *cli, struct patch *p, const char *mode)
{
	static const char *const modes[] = { "off", "nodivert", "on" };

	for (int i = 0; i < 3; i++) {
		if (strcmp(mode ? mode : "on", modes[i]) == 0) {
			js_wr_kv_int(&p->w, "NetfilterMode", i);
			js_wr_kv_bool(&p->w, "NetfilterModeSet", true);
			return 0;
		}
	}
	return cmd_misuse(cli, "--netfilter-mode: on, nodivert or off, not \"%s\"", mode);
}

static void put_flags(const struct cli *cli, struct patch *p, const struct pref_opts *o)
{
	static const struct {
		enum opt_index opt;
		size_t at;
		const char *name;
		bool inverted;
	} rows[] = {
		{ OPT_ACCEPT_ROUTES, AT(accept_routes), "RouteAll", false },
		{ OPT_ACCEPT_DNS, AT(accept_dns), "CorpDNS", false },
		{ OPT_EXIT_LAN, AT(exit_lan), "ExitNodeAllowLANAccess", false },
		{ OPT_SHIELDS, AT(shields_up), "ShieldsUp", false },
		{ OPT_SSH, AT(ssh), "RunSSH", false },
		{ OPT_POSTURE, AT(report_posture), "PostureChecking", false },
		{ OPT_SNAT, AT(snat), "NoSNAT", true },
		{ OPT_STATEFUL, AT(stateful), "NoStatefulFiltering", true },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		bool v = *(const bool *)((const char *)o + rows[i].at);

		if (is_given(cli, o, rows[i].opt))
			set_bool(p, rows[i].name, v != rows[i].inverted);
	}
}

/* Everything that was named, into an object that stays open. */
static int put_prefs(struct cli *cli, struct patch *p, const struct pref_opts *o,
                     const struct js *prefs, const struct js *status)
{
	int r = 0;

	put_flags(cli, p, o);
	if (is_given(cli, o, OPT_HOSTNAME))
		set_str(p, "Hostname", span_str(o->hostname));
	if (is_given(cli, o, OPT_OPERATOR))
		set_str(p, "OperatorUser", span_str(o->operator_user));
	if (is_given(cli, o, OPT_NICKNAME))
		set_str(p, "ProfileName", span_str(o->nickname));
	if (is_given(cli, o, OPT_TAGS))
		put_tags(p, o->advertise_tags ? o->advertise_tags : "");
	if (is_given(cli, o, OPT_NETFILTER))
		r = put_netfilter(cli, p, o->netfilter);
	if (r == 0 && (is_given(cli, o, OPT_ROUTES) || is_given(cli, o, OPT_ADVERTISE_EXIT)))
		r = put_routes(cli, p, o, prefs);
	if (r == 0 && is_given(cli, o, OPT_EXIT_NODE))
		r = put_exit(cli, p, o->exit_node, status);
	return r;
}

/* Reads what is there, changes what was named; login_server and want_running with it for `up`. */
static int patch_prefs(struct cli *cli, const struct pref_opts *o, bool up)
{
	AUTO_DONE(api_answer) struct api_answer prefs = { 0 };
	AUTO_DONE(api_answer) struct api_answer status = { 0 };
	AUTO_DONE(api_answer) struct api_answer done = { 0 };
	struct patch p = { 0 };
	int r = api_call(cli, "GET", "prefs", span(NULL, 0), &prefs);

	if (r == 0)
		r = api_call(cli, "GET", "status", span(NULL, 0), &status);
	if (r != 0)
		return r;
	p.w = js_wr_of(&p.text);
	js_wr_open(&p.w, JS_OBJECT);
	r = put_prefs(cli, &p, o, prefs.json, status.json);
	if (up) {
		set_bool(&p, "WantRunning", true);
		set_bool(&p, "LoggedOut", false);
		if (cli->given >> OPT_LOGIN_SERVER & 1)
			set_str(&p, "ControlURL", span_str(o->login_server));
	}
	js_wr_close(&p.w, JS_OBJECT);
	if (r == 0)
		r = api_call(cli, "PATCH", "prefs", buf_span(&p.text), &done);
	buf_done(&p.text);
	return r;
}

/* ---- up ---------------------------------------------------------------------------- */

static void nap(void)
{
	struct timespec ts = { .tv_nsec = POLL_US * 1000 };

	(void)nanosleep(&ts, NULL);
}

static int read_key(struct cli *cli, const char *given, struct buf *ret)
{
	int r;

	ret->secret = true;
	if (strncmp(given, "file:", 5) != 0) {
		buf_add_str(ret, given);
		return 0;
	}
	r = file_read(given + 5, KEY_FILE_MAX, ret);
	return r < 0 ? cmd_fail(cli, "%s: %s", given + 5, err_text(r)) : 0;
}

static int start(struct cli *cli, const struct pref_opts *o)
{
	AUTO_DONE(buf) struct buf key = { .secret = true };
	AUTO_DONE(buf) struct buf body = { .secret = true };
	AUTO_DONE(api_answer) struct api_answer a = { 0 };
	struct js_wr w = js_wr_of(&body);
	int r = o->auth_key ? read_key(cli, o->auth_key, &key) : 0;

	if (r != 0)
		return r;
	js_wr_open(&w, JS_OBJECT);
	if (key.n)
		js_wr_kv_span(&w, "AuthKey", span_trim(buf_span(&key)));
	js_wr_close(&w, JS_OBJECT);
	return api_call(cli, "POST", "start", buf_span(&body), &a);
}

static int login_interactive(struct cli *cli)
{
	AUTO_DONE(api_answer) struct api_answer a = { 0 };

	return api_call(cli, "POST", "login-interactive", span(NULL, 0), &a);
}

static void show_url(struct cli *cli, const struct pref_opts *o, struct span url)
{
	if (o->json)
		(void)fprintf(
			cli->out,
			"{\n  \"AuthURL\": \"%.*s\",\n  \"BackendState\": \"NeedsLogin\"\n}\n",
			SPAN_FMT(url));
	else
		(void)fprintf(cli->err, "\nTo authenticate, visit:\n\n\t%.*s\n\n", SPAN_FMT(url));
	(void)fflush(cli->out);
}

struct waiting {
	bool asked, told_approval;
	struct buf url;
};

/* One look: 0 go on waiting, 1 running, negative: over. */
static int look(struct cli *cli, const struct pref_opts *o, struct waiting *w)
{
	AUTO_DONE(api_answer) struct api_answer a = { 0 };
	struct span state, url, err;

	if (api_call(cli, "GET", "status?peers=false", span(NULL, 0), &a) != 0)
		return -1;
	state = js_text(js_get(a.json, "BackendState"));
	url = js_text(js_get(a.json, "AuthURL"));
	if (span_is(state, "Running"))
		return 1;
	err = js_text(js_get(a.json, "ErrMessage"));
	if (err.n) {
		(void)cmd_fail(cli, "%.*s", SPAN_FMT(err));
		return -1;
	}
	if (span_is(state, "NeedsMachineAuth") && !w->told_approval) {
		w->told_approval = true;
		(void)fputs("\nThis machine waits to be approved by an admin of the tailnet.\n",
		            cli->err);
	}
	if (url.n && !span_eq(url, buf_span(&w->url))) {
		show_url(cli, o, url);
		buf_clear(&w->url);
		buf_add_span(&w->url, url);
	}
	if (span_is(state, "NeedsLogin") && !url.n && !w->asked && !o->auth_key) {
		w->asked = true;
		return login_interactive(cli) ? -1 : 0;
	}
	return 0;
}

static int wait_until_running(struct cli *cli, const struct pref_opts *o)
{
	struct waiting w = { 0 };
	mono began = mono_now();
	int got;

	while ((got = look(cli, o, &w)) == 0) {
		if (o->timeout_us > 0 && mono_since(began, mono_now()) > o->timeout_us) {
			got = -1;
			(void)cmd_fail(
				cli,
				"not running after %lld s; `fairlead status` says in what state",
				(long long)(o->timeout_us / US_PER_S));
			break;
		}
		nap();
	}
	if (got > 0 && w.url.n && !o->json)
		(void)fputs("Success.\n", cli->err);
	if (got > 0 && o->json)
		(void)fputs("{\n  \"BackendState\": \"Running\"\n}\n", cli->out);
	buf_done(&w.url);
	return got > 0 ? 0 : 1;
}

/* Never logged in here: the daemon waits to be told to, with a key too. */
static bool needs_login(struct cli *cli)
{
	AUTO_DONE(api_answer) struct api_answer a = { 0 };

	return api_call(cli, "GET", "status?peers=false", span(NULL, 0), &a) == 0 &&
	       !js_truth(js_get(a.json, "HaveNodeKey"), false);
}

static int run_up(struct cli *cli, const void *opts, int argc, char **argv)
{
	const struct pref_opts *o = opts;
	int r = patch_prefs(cli, o, true);

	(void)argc;
	(void)argv;
	if (r == 0)
		r = start(cli, o);
	if (r == 0 && (o->force_reauth || needs_login(cli)))
		r = login_interactive(cli);
	return r ? r : wait_until_running(cli, o);
}

const struct cmd node_up_cmd = {
	.name = "up",
	.args = "",
	.help = "Join the network, logging in if need be",
	.run = run_up,
	.opts = up_options,
	.defaults = &defaults,
	.opts_size = sizeof(defaults),
};

static int run_login(struct cli *cli, const void *opts, int argc, char **argv)
{
	AUTO_DONE(api_answer) struct api_answer a = { 0 };
	int r = api_call(cli, "PUT", "profiles/", span(NULL, 0), &a);

	return r ? r : run_up(cli, opts, argc, argv);
}

const struct cmd node_login_cmd = {
	.name = "login",
	.args = "",
	.help = "Log in to one more network, beside those there are",
	.run = run_login,
	.opts = up_options,
	.defaults = &defaults,
	.opts_size = sizeof(defaults),
};

static int run_down(struct cli *cli, const void *opts, int argc, char **argv)
{
	AUTO_DONE(api_answer) struct api_answer a = { 0 };

	(void)opts;
	(void)argc;
	(void)argv;
	return api_call(cli, "PATCH", "prefs",
	                SPAN_LIT("{\"WantRunning\":false,\"WantRunningSet\":true}"), &a);
}

const struct cmd node_down_cmd = {
	.name = "down",
	.args = "",
	.help = "Leave the network for now, staying logged in",
	.run = run_down,
};

static int run_logout(struct cli *cli, const void *opts, int argc, char **argv)
{
	AUTO_DONE(api_answer) struct api_answer a = { 0 };

	(void)opts;
	(void)argc;
	(void)argv;
	return api_call(cli, "POST", "logout", span(NULL, 0), &a);
}

const struct cmd node_logout_cmd = {
	.name = "logout",
	.args = "",
	.help = "Leave the network and end this machine's key",
	.run = run_logout,
};

/* ---- set, get ------------------------------------------------------------------------ */

static int run_set(struct cli *cli, const void *opts, int argc, char **argv)
{
	(void)argc;
	(void)argv;
	if (!cli->given)
		return cmd_misuse(cli, "nothing to set");
	return patch_prefs(cli, opts, false);
}

const struct cmd node_set_cmd = {
	.name = "set",
	.args = "",
	.help = "Change settings; those that are not named stay",
	.run = run_set,
	.opts = set_options,
	.defaults = &defaults,
	.opts_size = sizeof(defaults),
};

static int run_get(struct cli *cli, const void *opts, int argc, char **argv)
{
	AUTO_DONE(api_answer) struct api_answer a = { 0 };
	AUTO_DONE(buf) struct buf out = { 0 };
	struct js_wr w = js_wr_of(&out);
	int r = api_call(cli, "GET", "prefs", span(NULL, 0), &a);
	const struct js *one;

	(void)opts;
	if (r != 0)
		return r;
	one = argc ? js_get(a.json, argv[0]) : a.json;
	if (!one)
		return cmd_fail(cli, "no setting is called \"%s\"; `fairlead get` lists them",
		                argv[0]);
	w.indent = "  ";
	js_wr_tree(&w, one);
	(void)fprintf(cli->out, "%s\n", buf_text(&out));
	return 0;
}

const struct cmd node_get_cmd = {
	.name = "get",
	.args = "[SETTING]",
	.help = "Print the settings, or one",
	.run = run_get,
	.args_max = 1,
};

/* ---- switch, wait ---------------------------------------------------------------------- */

struct switch_opts {
	bool list;
};

static const struct switch_opts switch_defaults;

static void list_profiles(struct cli *cli, const struct js *all, const struct js *current)
{
	(void)fprintf(cli->out, "%-6s  %-20s  %s\n", "ID", "Tailnet", "Account");
	for (const struct js *p = js_first(all); p; p = p->next) {
		bool is = span_eq(js_text(js_get(p, "ID")), js_text(js_get(current, "ID")));
		struct span network = js_text(js_get(js_get(p, "NetworkProfile"), "DomainName"));

		(void)fprintf(cli->out, "%-6.*s  %-20.*s  %.*s%s\n",
		              SPAN_FMT(js_text(js_get(p, "ID"))), SPAN_FMT(network),
		              SPAN_FMT(js_text(js_get(p, "Name"))), is ? "*" : "");
	}
}

static int run_switch(struct cli *cli, const void *opts, int argc, char **argv)
{
	const struct switch_opts *o = opts;
	AUTO_DONE(api_answer) struct api_answer all = { 0 };
	AUTO_DONE(api_answer) struct api_answer current = { 0 };
	AUTO_DONE(api_answer) struct api_answer done = { 0 };
	int r = api_call(cli, "GET", "profiles/", span(NULL, 0), &all);

	if (r == 0)
		r = api_call(cli, "GET", "profiles/current", span(NULL, 0), &current);
	if (r != 0)
		return r;
	if (o->list || argc == 0) {
		list_profiles(cli, all.json, current.json);
		return 0;
	}
	for (const struct js *p = js_first(all.json); p; p = p->next) {
		struct span id = js_text(js_get(p, "ID"));
		AUTO_FREE char *path = str_fmt("profiles/%.*s", SPAN_FMT(id));

		if (span_is(id, argv[0]) || span_is(js_text(js_get(p, "Name")), argv[0]))
			return api_call(cli, "POST", path, span(NULL, 0), &done);
	}
	return cmd_fail(cli, "no login is called \"%s\"; `fairlead switch --list` names them",
	                argv[0]);
}

static const struct cmd_opt switch_options[] = {
	{ "list", CMD_FLAG, offsetof(struct switch_opts, list), NULL, "name the logins there are" },
	{ 0 },
};

const struct cmd node_switch_cmd = {
	.name = "switch",
	.args = "[LOGIN]",
	.help = "Use another login",
	.run = run_switch,
	.args_max = 1,
	.opts = switch_options,
	.defaults = &switch_defaults,
	.opts_size = sizeof(switch_defaults),
};

static const struct cmd_opt wait_options[] = {
	{ "timeout", CMD_DURATION, AT(timeout_us), "TIME", "give up after this; 0: never" },
	{ 0 },
};

static int run_wait(struct cli *cli, const void *opts, int argc, char **argv)
{
	struct pref_opts o = *(const struct pref_opts *)opts;

	(void)argc;
	(void)argv;
	/* Whoever waits does not log in. */
	o.auth_key = "";
	return wait_until_running(cli, &o);
}

const struct cmd node_wait_cmd = {
	.name = "wait",
	.args = "",
	.help = "Wait until the network is there",
	.run = run_wait,
	.opts = wait_options,
	.defaults = &defaults,
	.opts_size = sizeof(defaults),
};
