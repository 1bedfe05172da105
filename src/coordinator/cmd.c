#include "coordinator/cmd.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/file.h"
#include "base/log.h"
#include "coordinator/cmd_priv.h"
#include "coordinator/coord.h"
#include "coordinator/dnsmap.h"
#include "coordinator/fence.h"
#include "coordinator/import.h"
#include "coordinator/policy/policy.h"
#include "crypto/init.h"
#include "crypto/keys.h"
#include "platform/handover.h"
#include "platform/sdnotify.h"

/* ---- the configuration ---- */

static const char *const config_places[] = {
	"/etc/headscale/config.yaml",
	"/etc/headscale/config.yml",
	"/etc/fairlead/coordinator.yaml",
	"config.yaml",
};

static const char *find_config(const char *given)
{
	if (given)
		return given;
	for (size_t i = 0; i < ARRAY_LEN(config_places); i++)
		if (access(config_places[i], R_OK) == 0)
			return config_places[i];
	return NULL;
}

static const char *state_dir(void)
{
	const char *dir = getenv("STATE_DIRECTORY"); /* of a systemd unit */

	return dir ? dir : "/var/lib/headscale";
}

int cmd_load_config(const char *path, struct config *cfg)
{
	extern char **environ;
	AUTO_DONE(buf) struct buf text = { 0 };
	struct fault why = { 0 };
	int r = 0;

	path = find_config(path ? path : getenv("HEADSCALE_CONFIG"));
	cfg->path = path;
	if (path) {
		r = file_read(path, CONFIG_FILE_MAX, &text);
		if (r < 0)
			return log_ret(r, "cannot read %s", path);
		r = config_parse(cfg, buf_span(&text), &why);
	}
	if (r >= 0)
		r = config_environment(cfg, environ, &why);
	if (r >= 0)
		r = config_finish(cfg, state_dir(), &why);
	if (r < 0 && why.line)
		log_error("%s:%u:%u: %s", path ? path : "configuration", why.line, why.column,
		          why.message);
	else if (r < 0)
		log_error("%s: %s", path ? path : "configuration", why.message);
	return r;
}

/* Before serving, and for configtest: what in the file has no effect. */
static void name_leftovers(const struct config *cfg)
{
	for (size_t i = 0; i < cfg->unknown.n; i++)
		log_warn("%s: unknown key: %s", cfg->path, cfg->unknown.v[i]);
	for (size_t i = 0; i < cfg->unused.n; i++)
		log_info("%s: not used: %s", cfg->path, cfg->unused.v[i]);
}

/* "-c FILE", "--config FILE", "--config=FILE" */
const char *cmd_flag_value(int argc, char **argv, char letter, const char *name)
{
	size_t n = strlen(name);

	for (int i = 0; i < argc; i++) {
		const char *a = argv[i];
		bool is_short = a[0] == '-' && a[1] == letter && !a[2];
		bool is_long = strncmp(a, "--", 2) == 0 && strncmp(a + 2, name, n) == 0;

		if (is_long && a[2 + n] == '=')
			return a + 3 + n;
		if ((is_short || (is_long && !a[2 + n])) && i + 1 < argc)
			return argv[i + 1];
	}
	return NULL;
}

/* ---- commands that run here ---- */

static void set_log_level(const char *name)
{
	static const struct {
		const char *name;
		enum log_level level;
	} levels[] = {
		{ "error", LOG_ERROR }, { "warn", LOG_WARN },   { "info", LOG_INFO },
		{ "debug", LOG_DEBUG }, { "trace", LOG_DEBUG },
	};

	for (size_t i = 0; i < ARRAY_LEN(levels); i++)
		if (strcmp(levels[i].name, name) == 0)
			log_set_level(levels[i].level);
}

/* log.format: json */
static void log_as_json(void *arg, enum log_level level, const char *line)
{
	static const char *const names[] = { "error", "warn", "info", "debug" };
	AUTO_DONE(buf) struct buf out = { 0 };
	struct js_wr w = js_wr_of(&out);
	char time[TIME_TEXT_MAX];

	(void)arg;
	js_wr_open(&w, JS_OBJECT);
	js_wr_kv_str(&w, "level", level >= 0 && level <= LOG_DEBUG ? names[level] : "info");
	js_wr_kv_str(&w, "time", wall_text(wall_now(), time));
	js_wr_kv_str(&w, "message", line);
	js_wr_close(&w, JS_OBJECT);
	fprintf(stderr, "%s\n", buf_text(&out));
}

static const char *option(int argc, char **argv, const char *name)
{
	for (int i = 0; i + 1 < argc; i++)
		if (strcmp(argv[i], name) == 0)
			return argv[i + 1];
	return NULL;
}

static bool has_option(int argc, char **argv, const char *name)
{
	for (int i = 0; i < argc; i++)
		if (strcmp(argv[i], name) == 0)
			return true;
	return false;
}

/*
 * With --domain alone: everything on one host, plain HTTP behind a proxy or TLS
 * where a certificate is configured.
 */
static void apply_domain(struct config *cfg, int argc, char **argv)
{
	const char *domain = option(argc, argv, "--domain");

	if (!domain)
		return;
	cfg->base_domain = arena_fmt(&cfg->arena, "tail.%s", domain);
	cfg->server_url = arena_fmt(&cfg->arena, "https://%s", domain);
	cfg->listen_addr = "0.0.0.0:8080";
}

/* Everything that needs rights, then no rights. */
static int start(struct config *cfg, struct ev *ev, int argc, char **argv, struct coord **ret)
{
	const char *user = option(argc, argv, "--user");
	int r = user ? fence_become(cfg, user) : 0;

	if (r >= 0)
		r = coord_new(ev, cfg, ret);
	if (r >= 0)
		r = coord_listen(*ret);
	if (r >= 0)
		r = fence_close(cfg, cfg->path, !has_option(argc, argv, "--no-sandbox"));
	return r;
}

/* serve [--domain NAME] [--user NAME] [--no-sandbox] */
int cmd_serve(struct config *cfg, int argc, char **argv)
{
	AUTO(ev_free) struct ev *ev = ev_new();
	AUTO(coord_free) struct coord *co = NULL;
	int status;

	(void)limits_raise_files();
	set_log_level(cfg->log_level);
	log_set_name("coordinator");
	if (strcmp(cfg->log_format, "json") == 0)
		log_set_sink(log_as_json, NULL);
	name_leftovers(cfg);
	apply_domain(cfg, argc, argv);
	if (!ev || start(cfg, ev, argc, argv, &co) < 0)
		return EXIT_FAILURE;
	(void)sdnotify("READY=1");
	status = ev_run(ev);
	(void)sdnotify("STOPPING=1");
	return status;
}

/* The files that the configuration names are read at start, too. */

static int test_names(const struct config *cfg)
{
	AUTO_DONE(buf) struct buf extra = { 0 };
	AUTO_DONE(buf) struct buf json = { 0 };
	struct fault why = { 0 };
	int r = 0;

	if (*cfg->extra_records_path)
		r = file_read(cfg->extra_records_path, DNS_RECORDS_FILE_MAX, &extra);
	if (r < 0)
		return log_ret(r, "cannot read %s", cfg->extra_records_path);
	r = dnsmap_json(cfg, buf_span(&extra), &json, &why);
	return r < 0 ? log_ret(r, "dns: %s", why.message) : 0;
}

static int test_policy(const struct config *cfg)
{
	bool in_file = strcmp(cfg->policy_mode, "file") == 0 && *cfg->policy_path;

	return in_file ? policy_check_file(cfg->policy_path) : 0;
}

int cmd_configtest(struct config *cfg, int argc, char **argv)
{
	(void)argc;
	(void)argv;
	name_leftovers(cfg);
	if (cfg->unknown.n || test_names(cfg) < 0 || test_policy(cfg) < 0)
		return EXIT_FAILURE;
	return EXIT_SUCCESS;
}

/* -o json and the like, for commands that read no other flags. */
static enum cmd_output output_flag(int argc, char **argv)
{
	const char *name = cmd_flag_value(argc, argv, 'o', "output");
	enum cmd_output output = OUTPUT_TEXT;

	if (name)
		(void)!cmd_output_parse(name, &output);
	return output;
}

int cmd_version(struct config *cfg, int argc, char **argv)
{
	enum cmd_output output = output_flag(argc, argv);

	(void)cfg;
	cmd_print_object(output, "version", FAIRLEAD_VERSION,
	                 "fairlead-coordinator version " FAIRLEAD_VERSION);
	return EXIT_SUCCESS;
}

int cmd_generate(struct config *cfg, int argc, char **argv)
{
	AUTO_WIPE(machine_priv) key;
	char text[KEY_TEXT_MAX];

	(void)cfg;
	if (argc < 1 || strcmp(argv[0], "private-key") != 0) {
		printf("Usage: generate private-key\n");
		return EXIT_SUCCESS;
	}
	machine_priv_new(&key);
	(void)machine_priv_text(&key, text);
	cmd_print_object(output_flag(argc, argv), "private_key", text, text);
	explicit_bzero(text, sizeof(text));
	return EXIT_SUCCESS;
}

static void print_leftovers(const struct config *cfg)
{
	for (size_t i = 0; i < cfg->unknown.n; i++)
		printf("  configuration: unknown key: %s\n", cfg->unknown.v[i]);
	for (size_t i = 0; i < cfg->unused.n; i++)
		printf("  configuration: not used: %s\n", cfg->unused.v[i]);
}

/* import headscale --config FILE [--dry-run] */
int cmd_import(struct config *cfg, int argc, char **argv)
{
	struct import_report report;
	bool dry = false;
	int r;

	for (int i = 1; i < argc; i++)
		dry |= strcmp(argv[i], "--dry-run") == 0;
	if (argc < 1 || strcmp(argv[0], "headscale") != 0) {
		fprintf(stderr, "Error: import headscale --config FILE [--dry-run]\n");
		return EXIT_FAILURE;
	}
	log_set_level(LOG_WARN);
	r = import_headscale(cfg, dry, &report);
	printf("%s: %u users, %u nodes, %u pre-auth keys, %u API keys, policy: %s, left out: %u\n",
	       dry ? "Would take over" : "Taken over", report.users, report.nodes, report.auth_keys,
	       report.api_keys, report.policy ? "yes" : "none", report.skipped);
	for (size_t i = 0; i < report.notes.n; i++)
		printf("  %s\n", report.notes.v[i]);
	if (dry)
		print_leftovers(cfg);
	import_report_done(&report);
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* ---- flags ---- */

struct parsing {
	const struct cmd *cmd;
	struct cmd_global global;
	struct buf json;
	bool any;
	const char *word[8]; /* positional */
	size_t words;
	uint64_t given; /* a bit a flag */
	const char *error;
	char message[160];
};

static void put_key(struct parsing *p, const char *name)
{
	buf_fmt(&p->json, "%s\"%s\":", p->any ? "," : "{", name);
	p->any = true;
}

static void put_list(struct parsing *p, const char *value)
{
	struct js_wr w = js_wr_of(&p->json);
	struct span rest = span_str(value), part;

	js_wr_open(&w, JS_ARRAY);
	while (rest.n && span_cut(&rest, ',', &part))
		if (span_trim(part).n)
			js_wr_span(&w, span_trim(part));
	js_wr_close(&w, JS_ARRAY);
}

static int fail(struct parsing *p, const char *what, const char *about)
{
	(void)snprintf(p->message, sizeof(p->message), "%s: %.100s", what, about);
	p->error = p->message;
	return ERR_MALFORMED;
}

static int put_file(struct parsing *p, const struct cmd_flag *f, const char *path)
{
	AUTO_DONE(buf) struct buf text = { .max = POLICY_TEXT_MAX };
	struct js_wr w = js_wr_of(&p->json);

	if (file_read(path, POLICY_TEXT_MAX, &text) < 0)
		return fail(p, "cannot read", path);
	put_key(p, f->arg);
	js_wr_span(&w, buf_span(&text));
	return 0;
}

static int put_flag(struct parsing *p, const struct cmd_flag *f, const char *value)
{
	struct js_wr w = js_wr_of(&p->json);
	char time[TIME_TEXT_MAX];
	uint64_t number = 0;
	int64_t us = 0;

	if (f->kind == FLAG_LOCAL)
		return 0;
	if (f->kind == FLAG_FILE)
		return put_file(p, f, value);
	if (f->kind == FLAG_NUMBER && span_u64(span_str(value), INT64_MAX, &number) < 0)
		return fail(p, "not a number", value);
	if (f->kind == FLAG_DURATION && duration_parse(span_str(value), &us) < 0)
		return fail(p, "not a duration", value);
	put_key(p, f->arg);
	switch (f->kind) {
	case FLAG_TRUE:
		js_wr_bool(&w, strcmp(value, "false") != 0);
		break;
	case FLAG_NUMBER:
		js_wr_uint(&w, number);
		break;
	case FLAG_LIST:
		put_list(p, value);
		break;
	case FLAG_DURATION:
		js_wr_str(&w, us ? wall_text((wall){ wall_now().us + us }, time) : "");
		break;
	case FLAG_TEXT:
	case FLAG_FILE:
	case FLAG_LOCAL:
		js_wr_str(&w, value);
		break;
	}
	return 0;
}

static const struct cmd_flag *flag_named(const struct cmd *c, struct span name)
{
	for (const struct cmd_flag *f = c->flags; f->name; f++)
		if (span_is(name, f->name) || (name.n == 1 && name.p[0] == (uint8_t)f->letter))
			return f;
	return NULL;
}

int cmd_output_parse(const char *name, enum cmd_output *ret)
{
	static const char *const names[] = { "", "json", "json-line", "yaml" };

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (strcmp(names[i], name) == 0) {
			*ret = (enum cmd_output)i;
			return 0;
		}
	return ERR_UNKNOWN;
}

static int set_output(struct parsing *p, const char *value)
{
	return cmd_output_parse(value, &p->global.output) < 0
	               ? fail(p, "unknown output format", value)
	               : 0;
}

/* -c, -o and --force may stand anywhere. 1: it was one of them. */
static int global_flag(struct parsing *p, struct span name, const char *value, bool *ret_took)
{
	*ret_took = true;
	if (span_is(name, "force")) {
		p->global.force = true;
		*ret_took = false;
		return 1;
	}
	if (span_is(name, "config") || span_is(name, "c")) {
		p->global.config = value;
		return value ? 1 : fail(p, "flag needs an argument", "config");
	}
	if (span_is(name, "output") || span_is(name, "o")) {
		int r = value ? set_output(p, value) : fail(p, "flag needs an argument", "output");

		return r < 0 ? r : 1;
	}
	return 0;
}

/* One argument; how many were used, at least 1. */
static int parse_one(struct parsing *p, int argc, char **argv)
{
	const char *arg = argv[0];
	struct span name = span_str(arg);
	size_t eq;
	const char *value;
	const struct cmd_flag *f;
	bool took = true;
	int r;

	if (arg[0] != '-' || !arg[1]) {
		if (p->words < ARRAY_LEN(p->word))
			p->word[p->words++] = arg;
		return 1;
	}
	name = span_from(name, arg[1] == '-' ? 2 : 1);
	eq = span_find(name, '=');
	value = eq < name.n ? (const char *)name.p + eq + 1 : argc > 1 ? argv[1] : NULL;
	name = span_first(name, eq);
	r = global_flag(p, name, value, &took);
	if (r < 0)
		return r;
	if (r == 0) {
		f = p->cmd ? flag_named(p->cmd, name) : NULL;
		if (!f)
			return fail(p, "unknown flag", arg);
		took = f->kind != FLAG_TRUE && f->kind != FLAG_LOCAL;
		if (!took && eq == name.n)
			value = "true";
		if (!value)
			return fail(p, "flag needs an argument", arg);
		p->given |= UINT64_C(1) << (f - p->cmd->flags);
		r = put_flag(p, f, value);
		if (r < 0)
			return r;
	}
	return took && (const char *)memchr(arg, '=', strlen(arg)) == NULL ? 2 : 1;
}

static bool one_of(const char *word, const char *names)
{
	struct span rest = span_str(names), name;

	while (span_word(&rest, &name))
		if (span_is(name, word))
			return true;
	return false;
}

static bool is_named(const char *word, const char *name, const char *aliases)
{
	return strcmp(word, name) == 0 || one_of(word, aliases);
}

/* The command that the words name, and how many of them that took. */
static const struct cmd *find_cmd(const char *const *word, size_t n, size_t *ret_used)
{
	for (const struct cmd *c = cmd_table; c->name; c++) {
		if (!c->group && n >= 1 && is_named(word[0], c->name, c->aliases)) {
			*ret_used = 1;
			return c;
		}
		if (c->group && n >= 2 && is_named(word[0], c->group, c->group_aliases) &&
		    is_named(word[1], c->name, c->aliases)) {
			*ret_used = 2;
			return c;
		}
	}
	return NULL;
}

enum { WORDS_MAX = 3 }; /* help, group, name */

/* The command's words come first among those that are no flags or values of global flags. */
static size_t words_of(int argc, char **argv, const char *word[static WORDS_MAX])
{
	size_t n = 0;

	for (int i = 1; i < argc && n < WORDS_MAX; i++) {
		bool global = strcmp(argv[i], "-c") == 0 || strcmp(argv[i], "--config") == 0 ||
		              strcmp(argv[i], "-o") == 0 || strcmp(argv[i], "--output") == 0;

		if (argv[i][0] != '-')
			word[n++] = argv[i];
		else
			i += global;
	}
	return n;
}

static const char *group_named(const char *word)
{
	for (const struct cmd *c = cmd_table; c->name; c++)
		if (c->group && is_named(word, c->group, c->group_aliases))
			return c->group;
	return NULL;
}

/* "required flag(s) "a", "b" not set", as cobra says it. */
static int check_required(struct parsing *p)
{
	AUTO_DONE(buf) struct buf names = { 0 };

	for (const struct cmd_flag *f = p->cmd->flags; f->name; f++)
		if (f->required && !(p->given & UINT64_C(1) << (f - p->cmd->flags)))
			buf_fmt(&names, "%s\"%s\"", names.n ? ", " : "", f->name);
	if (!names.n)
		return 0;
	(void)snprintf(p->message, sizeof(p->message), "required flag(s) %s not set",
	               buf_text(&names));
	p->error = p->message;
	return ERR_MALFORMED;
}

static int parse_all(struct parsing *p, int argc, char **argv)
{
	size_t own = p->cmd->group ? 2 : 1;
	int r;

	for (int i = 1; i < argc; i += r) {
		r = parse_one(p, argc - i, argv + i);
		if (r < 0)
			return r;
	}
	for (const struct cmd_flag *f = p->cmd->flags; f->name; f++)
		if (f->def && !(p->given & UINT64_C(1) << (f - p->cmd->flags))) {
			r = put_flag(p, f, f->def);
			if (r < 0)
				return r;
		}
	r = check_required(p);
	if (r < 0)
		return r;
	if (p->cmd->positional && p->words <= own) {
		p->error = "missing parameters";
		return ERR_MALFORMED;
	}
	if (p->cmd->positional) {
		struct js_wr w = js_wr_of(&p->json);

		put_key(p, p->cmd->positional);
		js_wr_str(&w, p->word[own]);
	}
	buf_add_str(&p->json, p->any ? "}" : "{}");
	return 0;
}

/* serve and the like take flags of their own: they see the words behind their name. */
static int run_here(const struct cmd *c, struct config *cfg, int argc, char **argv)
{
	int at = 1;

	/* Past the group's word, if there is one, and flags before the command. */
	while (at < argc && !is_named(argv[at], c->name, c->aliases))
		at++;
	return c->run(cfg, argc - at - 1, argv + at + 1);
}

const char *cmd_config_flag(int argc, char **argv)
{
	return cmd_flag_value(argc, argv, 'c', "config");
}

static int run_cmd(const struct cmd *c, int argc, char **argv)
{
	struct parsing p = { .cmd = c };
	struct config cfg;
	int status = EXIT_FAILURE;

	if (c->group && strcmp(c->group, "policy") == 0) {
		const char *file = cmd_flag_value(argc, argv, 'f', "file");

		if (cmd_policy_wants_database(argc, argv))
			return cmd_policy_in_database(cmd_config_flag(argc, argv), c->name, argc,
			                              argv);
		if (file && strcmp(c->name, "check") == 0)
			return cmd_policy_live(cmd_config_flag(argc, argv), file);
	}
	if (!c->run && parse_all(&p, argc, argv) < 0) {
		cmd_print_error(p.global.output, p.error);
		buf_done(&p.json);
		return EXIT_FAILURE;
	}
	if (c->no_config)
		return run_here(c, NULL, argc, argv);
	config_init(&cfg);
	if (cmd_load_config(cmd_config_flag(argc, argv), &cfg) >= 0)
		status = c->run ? run_here(c, &cfg, argc, argv)
		                : cmd_ask(&cfg, c, &p.global, buf_span(&p.json));
	config_done(&cfg);
	buf_done(&p.json);
	return status;
}

static int no_such_command(const char *program, const char *word)
{
	const char *group = word ? group_named(word) : NULL;
	AUTO_FREE char *message = NULL;

	if (!word || group) {
		cmd_usage(program, group);
		return EXIT_SUCCESS;
	}
	message = str_fmt("unknown command \"%s\" for \"%s\"", word, program);
	cmd_print_error(OUTPUT_TEXT, message);
	return EXIT_FAILURE;
}

int coordinator_main(int argc, char **argv)
{
	const char *slash = strrchr(argv[0], '/'), *words[WORDS_MAX] = { 0 };
	const char *program = slash ? slash + 1 : argv[0], **word = words;
	size_t used, n = words_of(argc, argv, words);
	bool help = n && strcmp(word[0], "help") == 0;

	word += help;
	n -= help;

	const struct cmd *c = find_cmd(word, n, &used);

	crypto_start();
	if (help || has_option(argc, argv, "--help") || has_option(argc, argv, "-h")) {
		if (c)
			cmd_help(program, c);
		else
			cmd_usage(program, n ? group_named(word[0]) : NULL);
		return EXIT_SUCCESS;
	}
	return c ? run_cmd(c, argc, argv) : no_such_command(program, word[0]);
}
