/* Settings: set, get. */
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "cli/api.h"
#include "cli/node.h"
#include "cli/prefs.h"
#include "cli/show.h"

static const struct pref_opts defaults;

#define AT(member) offsetof(struct pref_opts, member)
#define OPTION(flag, kind, member, value, help, ...) { flag, CMD_##kind, AT(member), value, help },

/* clang-format off */
static const struct cmd_opt set_options[] = {
	PREFS_EVERYWHERE(OPTION)
	PREFS_OF_LOGIN(OPTION)
	PREFS_OF_SET(OPTION)
	{ "accept-risk", CMD_STRING, AT(accept_risk), "RISK", NULL },
	{ 0 },
};
/* clang-format on */

static int run_set(struct cli *cli, const void *opts, int argc, char **argv)
{
	const struct pref_opts *o = opts;
	AUTO_DONE(api_answer) struct api_answer prefs = { 0 };
	AUTO_DONE(api_answer) struct api_answer status = { 0 };
	AUTO_DONE(api_answer) struct api_answer done = { 0 };
	AUTO_DONE(buf) struct buf text = { 0 };
	struct js_wr w = js_wr_of(&text);
	int r;

	(void)argc;
	(void)argv;
	if (!cli->given)
		return cmd_misuse(cli, "nothing to set");
	r = api_call(cli, "GET", "prefs", span(NULL, 0), &prefs);
	if (r == 0)
		r = api_call(cli, "GET", "status", span(NULL, 0), &status);
	if (r != 0)
		return r;
	js_wr_open(&w, JS_OBJECT);
	r = prefs_patch(cli, PREF_OF_SET, false, o, prefs.json, status.json, &w);
	js_wr_close(&w, JS_OBJECT);
	return r ? r : api_call(cli, "PATCH", "prefs", buf_span(&text), &done);
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

/* ---- get ---- */

struct get_opts {
	bool json, set_flags;
};

static const struct get_opts get_defaults;

/* clang-format off */
static const struct cmd_opt get_options[] = {
	{ "json",      CMD_FLAG, offsetof(struct get_opts, json),      NULL, "as JSON" },
	{ "set-flags", CMD_FLAG, offsetof(struct get_opts, set_flags), NULL, "as the flags of `set` that make it so" },
	{ 0 },
};
/* clang-format on */

static int by_flag(const void *a, const void *b)
{
	const struct pref *const *x = a, *const *y = b;

	return strcmp((*x)->flag, (*y)->flag);
}

/* Those to be shown: one, or all that are listed, by name. */
static size_t choose(const char *one, const struct pref *ret[static 64])
{
	size_t n = 0;

	for (const struct pref *p = prefs_table; p->flag && n < 64; p++)
		if (p->of & PREF_OF_SET && (one ? strcmp(one, p->flag) == 0 : !p->hidden))
			ret[n++] = p;
	qsort(ret, n, sizeof(ret[0]), by_flag);
	return n;
}

static void put_json(struct js_wr *w, const struct pref *p, const char *text)
{
	if (p->kind == CMD_FLAG)
		js_wr_kv_bool(w, p->flag, strcmp(text, "true") == 0);
	else
		js_wr_kv_str(w, p->flag, text);
}

static void print_all(struct cli *cli, const struct get_opts *o, const struct pref **v, size_t n,
                      const struct js *prefs, const struct js *status)
{
	AUTO_DONE(buf) struct buf out = { 0 };
	struct js_wr w = js_wr_of(&out);

	w.indent = "  ";
	if (o->json)
		js_wr_open(&w, JS_OBJECT);
	for (size_t i = 0; i < n; i++) {
		AUTO_FREE char *text = pref_now(v[i], prefs, status);

		if (o->json)
			put_json(&w, v[i], text);
		else if (o->set_flags)
			buf_fmt(&out, "%s--%s=%s", i ? " " : "", v[i]->flag, text);
		else
			buf_fmt(&out, "%-30s  %s%s", v[i]->flag, text, i + 1 < n ? "\n" : "");
	}
	if (o->json)
		js_wr_close(&w, JS_OBJECT);
	(void)fprintf(cli->out, "%s\n", buf_text(&out));
}

static int run_get(struct cli *cli, const void *opts, int argc, char **argv)
{
	const struct get_opts *o = opts;
	const char *one = argc && strcmp(argv[0], "all") != 0 ? argv[0] : NULL;
	AUTO_DONE(api_answer) struct api_answer prefs = { 0 };
	AUTO_DONE(api_answer) struct api_answer status = { 0 };
	const struct pref *v[64];
	size_t n = choose(one, v);
	int r;

	if (n == 0)
		return cmd_fail(cli, "no setting is called \"%s\"; `fairlead get` lists them", one);
	r = api_call(cli, "GET", "prefs", span(NULL, 0), &prefs);
	if (r == 0)
		r = api_call(cli, "GET", "status", span(NULL, 0), &status);
	if (r != 0)
		return r;
	if (one && !o->json && !o->set_flags) {
		AUTO_FREE char *text = pref_now(v[0], prefs.json, status.json);

		(void)fprintf(cli->out, "%s\n", text);
		return 0;
	}
	print_all(cli, o, v, n, prefs.json, status.json);
	return 0;
}

const struct cmd node_get_cmd = {
	.name = "get",
	.args = "[SETTING]",
	.help = "Print the settings, or one, by the names they have in `set`",
	.run = run_get,
	.args_max = 1,
	.opts = get_options,
	.defaults = &get_defaults,
	.opts_size = sizeof(get_defaults),
};
