/* Several logins on one machine: switch. */
#include <string.h>
#include <time.h>

#include "base/err.h"
#include "base/time.h"
#include "cli/api.h"
#include "cli/node.h"
#include "cli/show.h"

struct switch_opts {
	bool list, json;
};

static const struct switch_opts switch_defaults;

enum { SWITCH_US = 30000000 };

static struct span tailnet_of(const struct js *p)
{
	const struct js *net = js_get(p, "NetworkProfile");
	struct span shown = js_text(js_get(net, "DisplayName"));

	return shown.n ? shown : js_text(js_get(net, "DomainName"));
}

static bool is_current(const struct js *p, const struct js *current)
{
	return span_eq(js_text(js_get(p, "ID")), js_text(js_get(current, "ID")));
}

static void list_table(struct cli *cli, const struct js *all, const struct js *current)
{
	struct table t = { .n_columns = 3 };

	table_add(&t, 3, "ID", "Tailnet", "Account");
	for (const struct js *p = js_first(all); p; p = p->next) {
		AUTO_FREE char *id = span_dup(js_text(js_get(p, "ID")));
		AUTO_FREE char *net = span_dup(tailnet_of(p));
		AUTO_FREE char *name = str_fmt("%.*s%s", SPAN_FMT(js_text(js_get(p, "Name"))),
		                               is_current(p, current) ? "*" : "");

		table_add(&t, 3, id, net, name);
	}
	table_print(&t, cli->out);
	table_done(&t);
}

static void list_json(struct cli *cli, const struct js *all, const struct js *current)
{
	AUTO_DONE(buf) struct buf out = { 0 };
	struct js_wr w = js_wr_of(&out);

	w.indent = "  ";
	js_wr_open(&w, JS_ARRAY);
	for (const struct js *p = js_first(all); p; p = p->next) {
		js_wr_open(&w, JS_OBJECT);
		js_wr_kv_span(&w, "id", js_text(js_get(p, "ID")));
		js_wr_kv_span(&w, "nickname", js_text(js_get(p, "Name")));
		js_wr_kv_span(&w, "tailnet", tailnet_of(p));
		js_wr_kv_span(&w, "account",
		              js_text(js_get(js_get(p, "UserProfile"), "LoginName")));
		js_wr_kv_bool(&w, "selected", is_current(p, current));
		js_wr_close(&w, JS_OBJECT);
	}
	js_wr_close(&w, JS_ARRAY);
	(void)fprintf(cli->out, "%s\n", buf_text(&out));
}

static bool has_name(const struct js *p, unsigned by, const char *name)
{
	const struct js *net = js_get(p, "NetworkProfile");
	const struct js *const texts[] = { js_get(p, "ID"), js_get(net, "DomainName"),
		                           js_get(p, "Name"), js_get(net, "DisplayName") };

	return span_is(js_text(texts[by]), name);
}

/* By id, tailnet, account, shown name: in that order. */
static const struct js *find(const struct js *all, const char *name)
{
	for (unsigned by = 0; by < 4; by++)
		for (const struct js *p = js_first(all); p; p = p->next)
			if (has_name(p, by, name))
				return p;
	return NULL;
}

static void nap(void)
{
	struct timespec ts = { .tv_nsec = 100000000 };

	(void)nanosleep(&ts, NULL);
}

/* Until it is clear what the other login has come to. */
static int await(struct cli *cli)
{
	mono began = mono_now();

	while (mono_since(began, mono_now()) < SWITCH_US) {
		AUTO_DONE(api_answer) struct api_answer a = { 0 };
		struct span state;
		int r = api_call(cli, "GET", "status?peers=false", span(NULL, 0), &a);

		if (r != 0)
			return r;
		state = js_text(js_get(a.json, "BackendState"));
		if (span_is(state, "Running")) {
			(void)fputs("Success.\n", cli->out);
			return 0;
		}
		if (span_is(state, "NeedsLogin")) {
			(void)fputs("Logged out.\nTo log in, run:\n  fairlead up\n", cli->out);
			return 0;
		}
		if (!span_is(state, "NoState") && !span_is(state, "Starting"))
			return show_not_running(cli, a.json, state);
		nap();
	}
	return cmd_fail(cli, "still not running; `fairlead status` says in what state");
}

struct profiles {
	struct api_answer all, current;
};

static void profiles_done(struct profiles *p)
{
	api_answer_done(&p->all);
	api_answer_done(&p->current);
}

static int ask(struct cli *cli, struct profiles *ret)
{
	int r = api_call(cli, "GET", "profiles/", span(NULL, 0), &ret->all);

	return r ? r : api_call(cli, "GET", "profiles/current", span(NULL, 0), &ret->current);
}

static int act(struct cli *cli, const char *method, const char *name)
{
	AUTO_DONE(profiles) struct profiles p = { 0 };
	AUTO_DONE(api_answer) struct api_answer done = { 0 };
	AUTO_FREE char *path = NULL;
	const struct js *x;
	int r = ask(cli, &p);

	if (r != 0)
		return r;
	x = find(p.all.json, name);
	if (!x)
		return cmd_fail(cli,
		                "no login is called \"%s\"; `fairlead switch --list` names them",
		                name);
	if (is_current(x, p.current.json)) {
		(void)fprintf(cli->out, "Already on account \"%s\"\n", name);
		return 0;
	}
	path = str_fmt("profiles/%.*s", SPAN_FMT(js_text(js_get(x, "ID"))));
	r = api_call(cli, method, path, span(NULL, 0), &done);
	if (r != 0 || strcmp(method, "POST") != 0)
		return r;
	(void)fprintf(cli->out, "Switching to account \"%s\"\n", name);
	(void)fflush(cli->out);
	return await(cli);
}

static int run_switch(struct cli *cli, const void *opts, int argc, char **argv)
{
	const struct switch_opts *o = opts;
	AUTO_DONE(profiles) struct profiles p = { 0 };
	int r;

	if (argc == 2 && strcmp(argv[0], "remove") == 0)
		return act(cli, "DELETE", argv[1]);
	if (argc == 2)
		return cmd_misuse(cli, "too many arguments: \"%s\" is not expected", argv[1]);
	if (argc == 1 && !o->list)
		return act(cli, "POST", argv[0]);
	r = ask(cli, &p);
	if (r != 0)
		return r;
	if (o->json)
		list_json(cli, p.all.json, p.current.json);
	else
		list_table(cli, p.all.json, p.current.json);
	return 0;
}

/* clang-format off */
static const struct cmd_opt switch_options[] = {
	{ "list", CMD_FLAG, offsetof(struct switch_opts, list), NULL, "name the logins there are" },
	{ "json", CMD_FLAG, offsetof(struct switch_opts, json), NULL, "as JSON" },
	{ 0 },
};
/* clang-format on */

const struct cmd node_switch_cmd = {
	.name = "switch",
	.args = "[remove] [LOGIN]",
	.help = "Use another login, or forget one",
	.run = run_switch,
	.args_max = 2,
	.opts = switch_options,
	.defaults = &switch_defaults,
	.opts_size = sizeof(switch_defaults),
	.details = "A login is named by its id, its tailnet, its account or its nickname.\n",
};
