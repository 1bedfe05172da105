#include "cli/cmd.h"

#include <stdlib.h>

#include "base/mem.h"
#include "test/check.h"

struct greet_opts {
	bool loud;
	const char *name;
	uint32_t times;
	int64_t wait_us;
};

static struct greet_opts seen;
static int seen_argc;
static char *seen_argv[8];
static uint64_t seen_given;

static int run_greet(struct cli *cli, const void *opts, int argc, char **argv)
{
	seen = *(const struct greet_opts *)opts;
	seen_argc = argc;
	seen_given = cli->given;
	for (int i = 0; i < argc && i < 8; i++)
		seen_argv[i] = argv[i];
	return 7;
}

static int run_raw(struct cli *cli, const void *opts, int argc, char **argv)
{
	(void)cli;
	(void)opts;
	seen_argc = argc;
	seen_argv[0] = argc ? argv[0] : NULL;
	return 0;
}

#define AT(field) offsetof(struct greet_opts, field)
static const struct cmd_opt greet_opts[] = {
	{ "loud", CMD_FLAG, AT(loud), NULL, "shout" },
	{ "name", CMD_STRING, AT(name), "WHO", "whom to greet" },
	{ "times", CMD_UINT, AT(times), "N", "how often" },
	{ "wait", CMD_DURATION, AT(wait_us), "TIME", "time between" },
	{ 0 },
};
static const struct greet_opts greet_defaults = { .name = "world", .times = 1 };

static const struct cmd inner[] = {
	{ .name = "raw",
	  .args = "WORD...",
	  .help = "Raw",
	  .run = run_raw,
	  .args_min = 1,
	  .args_max = CMD_ARGS_ANY,
	  .flags = CMD_RAW },
	{ 0 },
};

static const struct cmd table[] = {
	{ .name = "greet",
	  .args = "[PLACE]",
	  .help = "Greet somebody",
	  .run = run_greet,
	  .opts = greet_opts,
	  .defaults = &greet_defaults,
	  .opts_size = sizeof(greet_defaults),
	  .args_max = 1 },
	{ .name = "group", .args = "", .help = "More commands", .sub = inner },
	{ .name = "secret", .args = "", .help = "Not listed", .run = run_raw, .flags = CMD_HIDDEN },
	{ 0 },
};

/* Runs a command line given as words with single spaces; what it printed is in said. */
static char said[4096];

static int run(const char *line)
{
	char text[256], *argv[16], *save = NULL;
	int argc = 0;
	FILE *to = fmemopen(said, sizeof(said), "w");
	struct cli cli = { .program = "prog", .out = to, .err = to };

	said[0] = '\0';
	(void)snprintf(text, sizeof(text), "%s", line);
	for (char *w = strtok_r(text, " ", &save); w; w = strtok_r(NULL, " ", &save))
		argv[argc++] = w;

	int status = cmd_main(&cli, table, argc, argv);

	(void)fclose(to);
	return status;
}

static void options_stand_anywhere_and_have_defaults(void)
{
	CHECK_EQ(run("greet"), 7);
	CHECK_STR(seen.name, "world");
	CHECK_EQ(seen.times, 1);
	CHECK_EQ(seen_given, 0);
	CHECK_EQ(run("greet --name=you here -times 3 --loud --wait 1m30s"), 7);
	CHECK_STR(seen.name, "you");
	CHECK_EQ(seen.times, 3);
	CHECK(seen.loud);
	CHECK_EQ(seen.wait_us, 90 * 1000000);
	CHECK_EQ(seen_argc, 1);
	CHECK_STR(seen_argv[0], "here");
	CHECK_EQ(seen_given, 15);
	CHECK_EQ(run("greet --loud=false -- --name"), 7);
	CHECK(!seen.loud);
	CHECK_STR(seen_argv[0], "--name");
}

/* clang-format off */
static const struct {
	const char *line, *says;
} wrong[] = {
	{ "",                     "Usage: prog COMMAND" },
	{ "gret",                 "prog: unknown command \"gret\"" },
	{ "greet --nam x",        "prog greet: unknown option --nam" },
	{ "greet --times",        "--times needs a number" },
	{ "greet --times x",      "--times: expected a number, not \"x\"" },
	{ "greet --times -1",     "--times: expected a number" },
	{ "greet --wait soon",    "--wait: expected a time" },
	{ "greet --loud=maybe",   "--loud: expected true or false" },
	{ "greet a b",            "too many arguments: \"b\"" },
	{ "group",                "Usage: prog group" },
	{ "group nothing",        "prog group: unknown command \"nothing\"" },
	{ "group raw",            "missing argument: expected WORD" },
};
/* clang-format on */

static void a_wrong_command_line_says_what_was_expected(void)
{
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		CHECK_EQ(run(wrong[i].line), 2);
		if (!strstr(said, wrong[i].says))
			CHECK_STR(said, wrong[i].says);
	}
}

static void a_key_in_a_wrong_place_is_not_shown(void)
{
	static const char *const keys[] = {
		"yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=",
		"yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmkx",
		"c809f3e5317e9575c9b5ed78b638b7ce530dabe85ddab614220241801ddf0669",
	};

	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		AUTO_FREE char *line = str_fmt("greet a %s.conf", keys[i]);

		CHECK_EQ(run(line), 2);
		CHECK(strstr(said, "too many arguments: \"(hidden).conf\"") != NULL);
	}
	CHECK_EQ(run("greet a "
	             "nodekey:c809f3e5317e9575c9b5ed78b638b7ce530dabe85ddab614220241801ddf0669"),
	         2);
	CHECK(strstr(said, "\"nodekey:"
	                   "c809f3e5317e9575c9b5ed78b638b7ce530dabe85ddab614220241801ddf0669\"") !=
	      NULL);
	CHECK_EQ(run("greet a /etc/wireguard/anamewithoutanythingbutlowercase.conf"), 2);
	CHECK(strstr(said, "\"/etc/wireguard/anamewithoutanythingbutlowercase.conf\"") != NULL);
}

static void help_comes_from_the_table(void)
{
	CHECK_EQ(run("greet --help"), 0);
	CHECK_STR(said, "Usage: prog greet [OPTIONS] [PLACE]\n\nGreet somebody.\n\nOptions:\n"
	                "  --loud       shout\n  --name WHO   whom to greet\n"
	                "  --times N    how often\n  --wait TIME  time between\n");
	CHECK_EQ(run("--help"), 0);
	CHECK(strstr(said, "  greet  Greet somebody\n") != NULL);
	CHECK(strstr(said, "secret") == NULL);
	CHECK_EQ(run("group help"), 0);
	CHECK(strstr(said, "  raw  Raw\n") != NULL);
}

static void a_raw_command_sees_its_options(void)
{
	CHECK_EQ(run("group raw --x --help"), 0);
	CHECK_EQ(seen_argc, 2);
	CHECK_STR(seen_argv[0], "--x");
	CHECK_EQ(run("group raw --help"), 0);
	CHECK(strstr(said, "Usage: prog group raw WORD...") != NULL);
}

static void words_are_completed(void)
{
	char *start[] = { (char[]){ "g" } };
	char *opts[] = { (char[]){ "greet" }, (char[]){ "--t" } };
	char *sub[] = { (char[]){ "group" }, (char[]){ "" } };
	FILE *to = fmemopen(said, sizeof(said), "w");

	cmd_complete(table, to, 1, start);
	cmd_complete(table, to, 2, opts);
	cmd_complete(table, to, 2, sub);
	(void)fclose(to);
	CHECK_STR(said,
	          "greet\tGreet somebody\ngroup\tMore commands\n--times\thow often\nraw\tRaw\n");
}

int main(void)
{
	RUN(options_stand_anywhere_and_have_defaults);
	RUN(a_wrong_command_line_says_what_was_expected);
	RUN(a_key_in_a_wrong_place_is_not_shown);
	RUN(help_comes_from_the_table);
	RUN(a_raw_command_sees_its_options);
	RUN(words_are_completed);
	return check_done();
}
