#include "cli/cmd.h"

#include <stdarg.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/span.h"
#include "base/time.h"

enum { USAGE = 2 };

static void print_path(const struct cli *cli, FILE *to)
{
	(void)fputs(cli->program, to);
	for (size_t i = 0; i < cli->path_n; i++)
		(void)fprintf(to, " %s", cli->path[i]->name);
}

static bool in_base64(char c)
{
	return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || c == '+' ||
	       c == '/' || c == '=';
}

/* Letters of both cases and digits: long words of hex or base64 have them, names of files hardly.
 */
static bool looks_random(struct span word)
{
	bool upper = false, lower = false, digit = false, hex = true;

	for (size_t i = 0; i < word.n; i++) {
		char c = (char)word.p[i];

		upper |= c >= 'A' && c <= 'Z';
		lower |= c >= 'a' && c <= 'z';
		digit |= c >= '0' && c <= '9';
		hex &= (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f');
	}
	return hex || (upper && lower && digit);
}

/* The public keys of a tailnet say what they are: "nodekey:" and hex. */
static bool is_named(struct span before)
{
	return span_ends(before, ":") && !span_ends(before, "privkey:");
}

/* Prints a text, with "(hidden)" for each word that may be most of a key. */
static void put_hiding(struct span text, FILE *to)
{
	enum { KEY_CHARS = 40 }; /* 43 of base64 are a key; a typing error should hide no less */

	for (size_t i = 0, n; i < text.n; i += n) {
		for (n = 0; i + n < text.n && in_base64((char)text.p[i + n]);)
			n++;
		if (n >= KEY_CHARS && looks_random(span(text.p + i, n)) &&
		    !is_named(span_first(text, i))) {
			(void)fputs("(hidden)", to);
			continue;
		}
		n += n == 0;
		(void)fwrite(text.p + i, 1, n, to);
	}
}

void cmd_vnote(const struct cli *cli, const char *prefix, const char *fmt, va_list ap)
{
	AUTO_DONE(buf) struct buf line = { .secret = true };

	buf_vfmt(&line, fmt, ap);
	buf_add_u8(&line, '\n');
	(void)fputs(prefix, cli->err);
	put_hiding(buf_span(&line), cli->err);
}

void cmd_note(const struct cli *cli, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	cmd_vnote(cli, "", fmt, ap);
	va_end(ap);
}

static void say(const struct cli *cli, const char *fmt, va_list ap) PRINTF(2, 0);
static void say(const struct cli *cli, const char *fmt, va_list ap)
{
	print_path(cli, cli->err);
	cmd_vnote(cli, ": ", fmt, ap);
}

int cmd_fail(const struct cli *cli, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(cli, fmt, ap);
	va_end(ap);
	return 1;
}

int cmd_misuse(const struct cli *cli, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(cli, fmt, ap);
	va_end(ap);
	(void)fputs("See: ", cli->err);
	print_path(cli, cli->err);
	(void)fputs(" --help\n", cli->err);
	return cli->path_n && cli->path[0]->flags & CMD_MISUSE_FAILS ? 1 : USAGE;
}

bool cmd_given(const struct cli *cli, const char *name)
{
	const struct cmd *c = cli->path_n ? cli->path[cli->path_n - 1] : NULL;

	for (size_t i = 0; c && c->opts && c->opts[i].name; i++)
		if (cli->given >> i & 1 && strcmp(c->opts[i].name, name) == 0)
			return true;
	return false;
}

static bool has_opts(const struct cmd *c)
{
	return c->opts && c->opts[0].name;
}

static void print_commands(const struct cmd *table, FILE *to)
{
	size_t width = 0;

	for (const struct cmd *c = table; c->name; c++)
		if (!(c->flags & CMD_HIDDEN) && strlen(c->name) > width)
			width = strlen(c->name);
	(void)fputs("\nCommands:\n", to);
	for (const struct cmd *c = table; c->name; c++)
		if (!(c->flags & CMD_HIDDEN))
			(void)fprintf(to, "  %-*s  %s\n", (int)width, c->name, c->help);
}

static size_t opt_width(const struct cmd_opt *o)
{
	return strlen(o->name) + (o->value ? strlen(o->value) + 1 : 0);
}

static void print_opts(const struct cmd_opt *opts, FILE *to)
{
	size_t width = 0;

	for (const struct cmd_opt *o = opts; o->name; o++)
		if (o->help && opt_width(o) > width)
			width = opt_width(o);
	(void)fputs("\nOptions:\n", to);
	for (const struct cmd_opt *o = opts; o->name; o++) {
		if (!o->help)
			continue;
		(void)fprintf(to, "  --%s%s%s%*s  %s\n", o->name, o->value ? " " : "",
		              o->value ? o->value : "", (int)(width - opt_width(o)), "", o->help);
	}
}

void cmd_help(const struct cli *cli, FILE *to)
{
	const struct cmd *c = cli->path_n ? cli->path[cli->path_n - 1] : NULL;

	(void)fputs("Usage: ", to);
	print_path(cli, to);
	if (!c) {
		(void)fputs(" COMMAND ...\n", to);
		return;
	}
	if (has_opts(c))
		(void)fputs(" [OPTIONS]", to);
	if (c->sub)
		(void)fputs(" COMMAND ...", to);
	if (c->args && c->args[0])
		(void)fprintf(to, " %s", c->args);
	(void)fprintf(to, "\n\n%s.\n", c->help);
	if (c->details)
		(void)fprintf(to, "\n%s", c->details);
	if (c->sub)
		print_commands(c->sub, to);
	if (has_opts(c))
		print_opts(c->opts, to);
}

static bool is_help(const char *arg)
{
	return strcmp(arg, "--help") == 0 || strcmp(arg, "-help") == 0 || strcmp(arg, "-h") == 0;
}

static int set_flag(const char *value, bool *ret)
{
	if (!value || strcmp(value, "true") == 0 || strcmp(value, "1") == 0)
		*ret = true;
	else if (strcmp(value, "false") == 0 || strcmp(value, "0") == 0)
		*ret = false;
	else
		return ERR_MALFORMED;
	return 0;
}

static int set_uint(const char *value, uint32_t *ret)
{
	uint64_t v;
	int r = span_u64(span_str(value), UINT32_MAX, &v);

	if (r < 0)
		return r;
	*ret = (uint32_t)v;
	return 0;
}

static int set_value(const struct cmd_opt *o, void *opts, const char *value)
{
	void *at = (char *)opts + o->at;

	switch (o->kind) {
	case CMD_FLAG:
		return set_flag(value, at);
	case CMD_STRING:
		*(const char **)at = value;
		return 0;
	case CMD_UINT:
		return set_uint(value, at);
	case CMD_DURATION:
		return duration_parse(span_str(value), at);
	}
	return ERR_UNKNOWN;
}

static const char *expected(enum cmd_kind kind)
{
	static const char *const words[] = {
		[CMD_FLAG] = "true or false",
		[CMD_STRING] = "text",
		[CMD_UINT] = "a number",
		[CMD_DURATION] = "a time such as 90s or 1h30m",
	};

	return words[kind];
}

/* Takes the option at argv[*i], and its value if that is the next argument. */
static int take_option(struct cli *cli, const struct cmd *c, void *opts, int argc, char **argv,
                       int *i)
{
	const char *name = argv[*i] + (argv[*i][1] == '-' ? 2 : 1);
	size_t n = strcspn(name, "=");
	const char *value = name[n] == '=' ? name + n + 1 : NULL;

	for (size_t k = 0; c->opts && c->opts[k].name; k++) {
		const struct cmd_opt *o = &c->opts[k];

		if (strlen(o->name) != n || memcmp(o->name, name, n) != 0)
			continue;
		if (!value && o->kind != CMD_FLAG) {
			if (*i + 1 >= argc)
				return cmd_misuse(cli, "--%s needs %s", o->name, expected(o->kind));
			value = argv[++*i];
		}
		if (set_value(o, opts, value) < 0)
			return cmd_misuse(cli, "--%s: expected %s, not \"%s\"", o->name,
			                  expected(o->kind), value ? value : "");
		cli->given |= UINT64_C(1) << k;
		return 0;
	}
	return cmd_misuse(cli, "unknown option --%.*s", (int)n, name);
}

/* Options out, arguments moved to the front; a wanted --help is told by *ret_help. */
static int parse(struct cli *cli, const struct cmd *c, void *opts, int *argc, char **argv,
                 bool *ret_help)
{
	int n = 0, i = 0;

	for (; i < *argc; i++) {
		if (strcmp(argv[i], "--") == 0) {
			i++;
			break;
		}
		if (argv[i][0] != '-' || argv[i][1] == '\0') {
			argv[n++] = argv[i];
			continue;
		}
		if (is_help(argv[i])) {
			*ret_help = true;
			return 0;
		}

		int r = take_option(cli, c, opts, *argc, argv, &i);

		if (r)
			return r;
	}
	for (; i < *argc; i++)
		argv[n++] = argv[i];
	*argc = n;
	return 0;
}

static int run_leaf(struct cli *cli, const struct cmd *c, int argc, char **argv)
{
	AUTO_FREE void *opts = mem_zalloc(1, c->opts_size + 1);
	bool help = c->flags & CMD_RAW && argc == 1 && (is_help(argv[0]));

	if (c->defaults)
		memcpy(opts, c->defaults, c->opts_size);
	cli->given = 0;
	if (!(c->flags & CMD_RAW)) {
		int r = parse(cli, c, opts, &argc, argv, &help);

		if (r)
			return r;
	}
	if (help) {
		cmd_help(cli, cli->out);
		return 0;
	}
	if ((unsigned)argc < c->args_min)
		return cmd_misuse(cli, "missing argument: expected %s", c->args);
	if (c->args_max != CMD_ARGS_ANY && (unsigned)argc > c->args_max)
		return cmd_misuse(cli, "too many arguments: \"%s\" is not expected",
		                  argv[c->args_max]);
	return c->run(cli, opts, argc, argv);
}

static const struct cmd *find(const struct cmd *table, const char *name)
{
	for (const struct cmd *c = table; c && c->name; c++)
		if (strcmp(c->name, name) == 0)
			return c;
	return NULL;
}

static void group_help(const struct cli *cli, const struct cmd *table, FILE *to)
{
	cmd_help(cli, to);
	if (!cli->path_n)
		print_commands(table, to);
}

int cmd_main(struct cli *cli, const struct cmd *table, int argc, char **argv)
{
	const struct cmd *group = cli->path_n ? cli->path[cli->path_n - 1] : NULL;

	if (argc == 0 && group && group->run)
		return run_leaf(cli, group, argc, argv);
	if (argc == 0) {
		group_help(cli, table, cli->err);
		return USAGE;
	}
	if (is_help(argv[0]) || strcmp(argv[0], "help") == 0) {
		group_help(cli, table, cli->out);
		return 0;
	}

	const struct cmd *c = find(table, argv[0]);

	if (!c)
		return cmd_misuse(cli, "unknown command \"%s\"", argv[0]);
	if (cli->path_n < ARRAY_LEN(cli->path))
		cli->path[cli->path_n++] = c;
	if (c->sub)
		return cmd_main(cli, c->sub, argc - 1, argv + 1);
	return run_leaf(cli, c, argc - 1, argv + 1);
}

void cmd_complete(const struct cmd *table, FILE *to, int argc, char **argv)
{
	const struct cmd *c = NULL;
	const char *last = argc ? argv[argc - 1] : "";

	for (int i = 0; i + 1 < argc && table; i++) {
		c = find(table, argv[i]);
		table = c ? c->sub : NULL;
	}
	if (last[0] == '-') {
		for (const struct cmd_opt *o = c ? c->opts : NULL; o && o->name; o++)
			if (o->help && strncmp(o->name, last + strspn(last, "-"),
			                       strlen(last + strspn(last, "-"))) == 0)
				(void)fprintf(to, "--%s\t%s\n", o->name, o->help);
		return;
	}
	for (const struct cmd *s = table; s && s->name; s++)
		if (!(s->flags & CMD_HIDDEN) && strncmp(s->name, last, strlen(last)) == 0)
			(void)fprintf(to, "%s\t%s\n", s->name, s->help);
}
