/* Joining and leaving: up, login, down, logout. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/enc.h"
#include "base/err.h"
#include "base/file.h"
#include "base/time.h"
#include "cli/api.h"
#include "cli/node.h"
#include "cli/prefs.h"
#include "cli/qr.h"

enum { KEY_FILE_MAX = 4096, QR_PIXELS = 128, PATIENCE_US = 3000000 };

enum { STATE_NEEDS_APPROVAL = 3, STATE_RUNNING = 6 }; /* as numbers of a notification */

static const struct pref_opts defaults = { .login_server = "",
	                                   .qr_format = "auto",
	                                   .host_routes = true };

#define AT(member) offsetof(struct pref_opts, member)
#define OPTION(flag, kind, member, value, help, ...) { flag, CMD_##kind, AT(member), value, help },

/* clang-format off */
#define LOGIN_OPTIONS                                                                                              \
	PREFS_EVERYWHERE(OPTION)                                                                                   \
	PREFS_OF_UP(OPTION)                                                                                        \
	{ "auth-key",    CMD_STRING,   AT(auth_key),    "KEY",    "join with this key; file:PATH reads it from there" }, \
	{ "authkey",     CMD_STRING,   AT(auth_key),    "KEY",    NULL },                                         \
	{ "timeout",     CMD_DURATION, AT(timeout_us),  "TIME",   "give up after this; 0: never" },                \
	{ "qr",          CMD_FLAG,     AT(qr),          NULL,     "show the link to log in as a QR code too" },    \
	{ "qr-format",   CMD_STRING,   AT(qr_format),   "FORMAT", "small, large, ascii or auto" },                 \
	{ "host-routes", CMD_FLAG,     AT(host_routes), NULL,     NULL },                                         \
	{ "accept-risk", CMD_STRING,   AT(accept_risk), "RISK",   NULL }

static const struct cmd_opt up_options[] = {
	LOGIN_OPTIONS,
	{ "reset",        CMD_FLAG, AT(reset),        NULL, "settings that are not named go back to their defaults" },
	{ "force-reauth", CMD_FLAG, AT(force_reauth), NULL, "log in anew" },
	{ "json",         CMD_FLAG, AT(json),         NULL, "report as JSON" },
	{ 0 },
};

static const struct cmd_opt login_options[] = {
	LOGIN_OPTIONS,
	PREFS_OF_LOGIN(OPTION)
	{ 0 },
};
/* clang-format on */

/* ---- what is to change ---- */

struct job {
	const struct pref_opts *o;
	unsigned of;
	struct api_answer prefs, status;
	bool was_running;
	char *url;     /* shown last */
	bool told;     /* something was printed */
	bool told_why; /* a word about the wait */
};

static void job_done(struct job *j)
{
	api_answer_done(&j->prefs);
	api_answer_done(&j->status);
	free(j->url);
}

static struct span state_of(const struct job *j)
{
	return js_text(js_get(j->status.json, "BackendState"));
}

static bool has_key(const struct job *j)
{
	return js_truth(js_get(j->status.json, "HaveNodeKey"), false);
}

/* Only how to go about it was said, and there is a login to go on with. */
static bool is_bare(const struct cli *cli, const struct job *j)
{
	const struct js *user = js_get(js_get(j->prefs.json, "Config"), "UserProfile");

	if (j->o->reset || j->o->force_reauth || cmd_given(cli, "auth-key") ||
	    cmd_given(cli, "authkey") || !js_text(js_get(user, "LoginName")).n)
		return false;
	for (const struct pref *p = prefs_table; p->flag; p++)
		if (cmd_given(cli, p->flag))
			return false;
	return !span_is(state_of(j), "NeedsLogin");
}

static bool is_same(const struct cli *cli, const struct job *j, const char *flag)
{
	const struct pref *p = pref_find(flag);
	AUTO_FREE char *now = pref_now(p, j->prefs.json, j->status.json);
	AUTO_FREE char *after = pref_after(cli, p, j->o, j->prefs.json, j->status.json);

	return strcmp(now, after) == 0;
}

/* A running node whose login stays takes the settings as they come. */
static bool is_edit(const struct cli *cli, const struct job *j)
{
	return span_is(state_of(j), "Running") && !j->o->force_reauth && !j->o->auth_key &&
	       is_same(cli, j, "advertise-tags") && is_same(cli, j, "login-server");
}

static int refuse_loss(struct cli *cli, const struct job *j)
{
	/* Before the first `up` there is nothing to lose. */
	bool fresh = js_text(js_get(j->prefs.json, "ControlURL")).n == 0;
	AUTO_FREE char *lost = NULL;

	if (j->o->reset || fresh)
		return 0;
	lost = prefs_lost(cli, j->of, j->o, j->prefs.json, j->status.json);
	if (!lost)
		return 0;
	return cmd_fail(cli,
	                "settings that are not named here would go back to their defaults.\n"
	                "To change one and keep the others, use `fairlead set`. To keep them all "
	                "here, name them:\n\n\tfairlead up %s\n\nTo let them go, add --reset.",
	                lost);
}

static int check_flags(struct cli *cli, const struct job *j)
{
	enum qr_format format;

	if (!j->o->host_routes)
		return cmd_misuse(cli, "--host-routes cannot be switched off");
	if (qr_format_parse(j->o->qr_format, &format) < 0)
		return cmd_misuse(cli, "--qr-format: small, large, ascii or auto, not \"%s\"",
		                  j->o->qr_format);
	if (span_is(state_of(j), "Running") && !j->o->force_reauth &&
	    !is_same(cli, j, "login-server"))
		return cmd_fail(cli, "can't change --login-server without --force-reauth\n"
		                     "To be in both networks in turn, use `fairlead login`.");
	return refuse_loss(cli, j);
}

static int patch(struct cli *cli, const struct job *j, bool bare)
{
	AUTO_DONE(api_answer) struct api_answer a = { 0 };
	AUTO_DONE(buf) struct buf text = { 0 };
	struct js_wr w = js_wr_of(&text);
	int r = 0;

	js_wr_open(&w, JS_OBJECT);
	if (!bare)
		r = prefs_patch(cli, j->of, j->o->reset, j->o, j->prefs.json, j->status.json, &w);
	js_wr_kv_bool(&w, "WantRunning", true);
	js_wr_kv_bool(&w, "WantRunningSet", true);
	if (!bare) {
		js_wr_kv_bool(&w, "LoggedOut", false);
		js_wr_kv_bool(&w, "LoggedOutSet", true);
	}
	/* What a fresh machine takes for its coordinator is written down as such. */
	if (!bare && !cmd_given(cli, "login-server") && !j->o->reset &&
	    js_text(js_get(j->prefs.json, "ControlURL")).n == 0) {
		js_wr_kv_str(&w, "ControlURL", pref_find("login-server")->standard);
		js_wr_kv_bool(&w, "ControlURLSet", true);
	}
	js_wr_close(&w, JS_OBJECT);
	return r ? r : api_call(cli, "PATCH", "prefs", buf_span(&text), &a);
}

/* Sharing routes without forwarding them helps nobody. */
static void warn_forwarding(struct cli *cli, const struct job *j)
{
	static const char *const checks[] = { "check-ip-forwarding", "check-udp-gro-forwarding" };
	static const char *const flags[] = { "advertise-routes", "advertise-exit-node",
		                             "advertise-connector" };
	bool wanted = false;

	for (size_t i = 0; i < ARRAY_LEN(flags); i++) {
		AUTO_FREE char *v = pref_after(cli, pref_find(flags[i]), j->o, j->prefs.json,
		                               j->status.json);

		wanted |= cmd_given(cli, flags[i]) && *v && strcmp(v, "false") != 0;
	}
	for (size_t i = 0; wanted && i < ARRAY_LEN(checks); i++) {
		AUTO_DONE(api_answer) struct api_answer a = { 0 };
		struct span text;

		if (api_try(cli, "GET", checks[i], span(NULL, 0), &a) != 0)
			continue;
		text = js_text(js_get(a.json, "Warning"));
		if (text.n)
			(void)fprintf(cli->err, "Warning: %.*s\n", SPAN_FMT(text));
	}
}

/* ---- logging in ---- */

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

/* ---- waiting ---- */

static void show_json(const struct cli *cli, const char *state, const char *url, const char *error)
{
	AUTO_DONE(buf) struct buf out = { 0 }, png = { 0 };
	struct js_wr w = js_wr_of(&out);

	w.indent = "\t";
	js_wr_open(&w, JS_OBJECT);
	if (url)
		js_wr_kv_str(&w, "AuthURL", url);
	if (url && qr_png(url, QR_PIXELS, &png) == 0) {
		AUTO_FREE char *text = mem_alloc(BASE64_LEN(png.n) + 1);
		AUTO_FREE char *data = str_fmt("data:image/png;base64,%s",
		                               base64_encode(text, png.p, png.n));

		js_wr_kv_str(&w, "QR", data);
	}
	if (*state)
		js_wr_kv_str(&w, "BackendState", state);
	if (error)
		js_wr_kv_str(&w, "Error", error);
	js_wr_close(&w, JS_OBJECT);
	(void)fprintf(cli->out, "%s\n", buf_text(&out));
	(void)fflush(cli->out);
}

static void show_url(struct cli *cli, struct job *j, struct span url)
{
	enum qr_format format = QR_SMALL;

	/* With a key a link is a left-over of a login before. */
	if (!url.n || j->o->auth_key || (j->url && span_is(url, j->url)))
		return;
	free(j->url);
	j->url = span_dup(url);
	j->told = true;
	if (j->o->json) {
		AUTO_FREE char *state = span_dup(state_of(j));

		show_json(cli, state, j->url, NULL);
		return;
	}
	(void)fprintf(cli->err, "\nTo authenticate, visit:\n\n\t%s\n\n", j->url);
	(void)!qr_format_parse(j->o->qr_format, &format);
	if (j->o->qr)
		qr_print(cli->err, j->url, format);
}

static void show_approval(struct cli *cli, struct job *j)
{
	if (j->o->json) {
		show_json(cli, "NeedsMachineAuth", NULL, NULL);
		return;
	}
	if (!j->told)
		(void)fputc('\n', cli->err);
	j->told = true;
	(void)fputs("This machine waits to be approved by an administrator of the tailnet.\n",
	            cli->err);
}

/* What a refusal means for the one who typed the command. */
static const char *advice(const struct job *j, struct span error)
{
	static const struct {
		const char *word, *advice;
	} rows[] = {
		{ "expired", "The key is too old: ask for a new one." },
		{ "used",
		  "The key is good for one machine, and another has it: ask for a new one, or a "
		  "reusable one." },
		{ "invalid", "The coordinator does not know the key: was it typed whole, for this "
		             "--login-server, and is it younger than its end and unused?" },
		{ "not found",
		  "The coordinator does not know the key: was it typed whole, for this "
		  "--login-server?" },
	};
	AUTO_FREE char *text = span_dup(error);

	for (size_t i = 0; j->o->auth_key && i < ARRAY_LEN(rows); i++)
		if (strstr(text, rows[i].word))
			return rows[i].advice;
	return NULL;
}

static int show_error(struct cli *cli, const struct job *j, struct span error)
{
	const char *more = advice(j, error);
	AUTO_FREE char *text = span_dup(error);

	if (j->o->json)
		show_json(cli, "", NULL, text);
	if (more)
		return cmd_fail(cli, "%s\n%s", text, more);
	return cmd_fail(cli, "%s", text);
}

/* 0: go on; 1: running; negative: over, and why was told. */
static int take(struct cli *cli, struct job *j, const struct js *n, bool *waits_for_key)
{
	struct span error = js_text(js_get(n, "ErrMessage"));
	struct span key = js_text(js_get(js_get(n, "SelfChange"), "Key"));
	struct span old = js_text(js_get(js_get(j->status.json, "Self"), "PublicKey"));
	int64_t state = js_int(js_get(n, "State"), -1);

	if (error.n) {
		(void)show_error(cli, j, error);
		return -1;
	}
	if (state == STATE_NEEDS_APPROVAL)
		show_approval(cli, j);
	if (state >= 0)
		j->was_running = state == STATE_RUNNING;
	if (key.n && !span_eq(key, old))
		*waits_for_key = false;
	show_url(cli, j, js_text(js_get(n, "BrowseToURL")));
	return j->was_running && !*waits_for_key;
}

/* What is wrong, by the daemon's word: a view of the answer, empty if nothing is. */
static struct span trouble(struct cli *cli, struct api_answer *a)
{
	if (api_try(cli, "GET", "status?peers=false", span(NULL, 0), a) != 0)
		return span(NULL, 0);
	return js_text(js_first(js_get(a->json, "Health")));
}

/* Somebody sits in front of it: a word after a while of silence. */
static void show_patience(struct cli *cli, struct job *j)
{
	AUTO_DONE(api_answer) struct api_answer a = { 0 };
	struct span why;

	if (j->told || j->told_why || j->o->json || !isatty(STDERR_FILENO))
		return;
	j->told_why = true;
	why = trouble(cli, &a);
	(void)fprintf(cli->err, "Waiting%s%.*s ...\n", why.n ? ": " : "", SPAN_FMT(why));
}

static int too_late(struct cli *cli, const struct job *j)
{
	static const char text[] = "timeout waiting for the node to be running; `fairlead status` "
				   "says in what state it is";
	AUTO_DONE(api_answer) struct api_answer a = { 0 };
	struct span why = trouble(cli, &a);

	if (j->o->json)
		show_json(cli, "", NULL, text);
	return cmd_fail(cli, "%s%s%.*s", text, why.n ? "\n" : "", SPAN_FMT(why));
}

static int await(struct cli *cli, struct job *j, struct api_watch *watch)
{
	mono began = mono_now();
	bool waits_for_key = j->o->force_reauth;

	for (;;) {
		int64_t limit = j->o->timeout_us, past = mono_since(began, mono_now());
		struct js *n;
		int r, got;

		if (limit > 0 && past >= limit)
			return too_late(cli, j);
		r = api_watch_next(
			watch, limit > 0 && limit - past < PATIENCE_US ? limit - past : PATIENCE_US,
			&n);
		if (r < 0)
			return cmd_fail(cli, "the node daemon ended");
		if (r == 0) {
			show_patience(cli, j);
			continue;
		}
		got = take(cli, j, n, &waits_for_key);
		if (got)
			return got > 0 ? 0 : 1;
	}
}

static void succeed(struct cli *cli, const struct job *j)
{
	AUTO_DONE(api_answer) struct api_answer a = { 0 };

	if (j->o->json)
		show_json(cli, "Running", NULL, NULL);
	else if (j->told)
		(void)fputs("Success.\n", cli->err);
	if (api_try(cli, "GET", "status?peers=false", span(NULL, 0), &a) != 0)
		return;
	for (const struct js *h = js_first(js_get(a.json, "Health")); h; h = h->next)
		(void)fprintf(cli->err, "Warning: %.*s\n", SPAN_FMT(js_text(h)));
}

static int run_change(struct cli *cli, struct job *j, struct api_watch *watch)
{
	bool bare = is_bare(cli, j), login = !bare;
	int r = patch(cli, j, bare);

	if (r == 0 && login)
		r = start(cli, j->o);
	if (r == 0 && login && (j->o->force_reauth || !has_key(j)))
		r = login_interactive(cli);
	if (r != 0)
		return r;
	if (bare && span_is(state_of(j), "Running"))
		return 0;
	if (bare && span_is(state_of(j), "NeedsMachineAuth"))
		show_approval(cli, j);
	r = await(cli, j, watch);
	if (r == 0)
		succeed(cli, j);
	return r;
}

static int up(struct cli *cli, struct job *j)
{
	struct api_watch watch = { .fd = -1 };
	int r = api_call(cli, "GET", "status", span(NULL, 0), &j->status);

	if (r == 0)
		r = api_call(cli, "GET", "prefs", span(NULL, 0), &j->prefs);
	if (r != 0)
		return r;
	r = is_bare(cli, j) ? 0 : check_flags(cli, j);
	if (r != 0)
		return r;
	warn_forwarding(cli, j);
	if (!is_bare(cli, j) && is_edit(cli, j))
		return patch(cli, j, false);
	/* From before the change, so that nothing is missed. */
	r = api_watch_open(cli, "watch-ipn-bus?mask=0", &watch);
	if (r == 0)
		r = run_change(cli, j, &watch);
	api_watch_done(&watch);
	return r;
}

static int run_up(struct cli *cli, const void *opts, int argc, char **argv)
{
	struct job j = { .o = opts, .of = PREF_OF_UP };
	int r = up(cli, &j);

	(void)argc;
	(void)argv;
	job_done(&j);
	return r;
}

const struct cmd node_up_cmd = {
	.name = "up",
	.args = "",
	.help = "Join the network, logging in if need be",
	.run = run_up,
	.opts = up_options,
	.defaults = &defaults,
	.opts_size = sizeof(defaults),
	.details = "Without options it goes on as before. With options, settings that are not\n"
		   "standard must be named too, or let go with --reset; `fairlead set` changes\n"
		   "one setting and keeps the others.\n",
};

static int run_login(struct cli *cli, const void *opts, int argc, char **argv)
{
	AUTO_DONE(api_answer) struct api_answer a = { 0 };
	struct job j = { .o = opts, .of = PREF_OF_LOGIN };
	int r = api_call(cli, "PUT", "profiles/", span(NULL, 0), &a);

	(void)argc;
	(void)argv;
	if (r == 0)
		r = up(cli, &j);
	job_done(&j);
	return r;
}

const struct cmd node_login_cmd = {
	.name = "login",
	.args = "",
	.help = "Log in to one more network, beside those there are",
	.run = run_login,
	.opts = login_options,
	.defaults = &defaults,
	.opts_size = sizeof(defaults),
};

/* ---- leaving ---- */

struct leave_opts {
	const char *reason, *accept_risk;
};

static const struct leave_opts leave_defaults;

static const struct cmd_opt leave_options[] = {
	{ "reason", CMD_STRING, offsetof(struct leave_opts, reason), "TEXT", NULL },
	{ "accept-risk", CMD_STRING, offsetof(struct leave_opts, accept_risk), "RISK", NULL },
	{ 0 },
};

static int run_down(struct cli *cli, const void *opts, int argc, char **argv)
{
	AUTO_DONE(api_answer) struct api_answer status = { 0 };
	AUTO_DONE(api_answer) struct api_answer a = { 0 };
	int r = api_call(cli, "GET", "status?peers=false", span(NULL, 0), &status);

	(void)opts;
	(void)argc;
	(void)argv;
	if (r != 0)
		return r;
	if (span_is(js_text(js_get(status.json, "BackendState")), "Stopped")) {
		(void)fputs("It is stopped already.\n", cli->err);
		return 0;
	}
	return api_call(cli, "PATCH", "prefs",
	                SPAN_LIT("{\"WantRunning\":false,\"WantRunningSet\":true}"), &a);
}

const struct cmd node_down_cmd = {
	.name = "down",
	.args = "",
	.help = "Leave the network for now, staying logged in",
	.run = run_down,
	.opts = leave_options,
	.defaults = &leave_defaults,
	.opts_size = sizeof(leave_defaults),
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
	.opts = leave_options,
	.defaults = &leave_defaults,
	.opts_size = sizeof(leave_defaults),
};
