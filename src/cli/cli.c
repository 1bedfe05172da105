#include "cli/cli.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cmd.h"
#include "cli/completion.h"
#include "cli/wg.h"

static int run_version(struct cli *cli, const void *opts, int argc, char **argv)
{
	(void)opts;
	(void)argc;
	(void)argv;
	(void)fprintf(cli->out, "%s\n", FAIRLEAD_VERSION);
	return 0;
}

static const struct cmd commands[] = {
	{ .name = "wg",
	  .args = "",
	  .help = "Plain WireGuard interfaces, as wg(8) and wg-quick(8) handle them",
	  .run = wg_run_default,
	  .sub = wg_commands },
	{ .name = "completion",
	  .args = "bash|zsh|fish",
	  .help = "Print a script that completes commands and options in a shell",
	  .run = completion_run,
	  .args_min = 1,
	  .args_max = 1,
	  .details = "For bash: fairlead completion bash > /etc/bash_completion.d/fairlead\n" },
	{ .name = "version", .args = "", .help = "Print the version", .run = run_version },
	{ 0 },
};

static bool has_color(void)
{
	const char *term = getenv("TERM");

	return isatty(STDOUT_FILENO) && !getenv("NO_COLOR") && term && strcmp(term, "dumb") != 0;
}

int cli_main(int argc, char **argv)
{
	struct cli cli = {
		.program = "fairlead",
		.out = stdout,
		.err = stderr,
		.color = has_color(),
	};
	int status;

	if (argc > 1 && strcmp(argv[1], "__complete") == 0) {
		cmd_complete(commands, stdout, argc - 2, argv + 2);
		status = 0;
	} else {
		status = cmd_main(&cli, commands, argc - 1, argv + 1);
	}
	/* A full disk is an error too. */
	if (fflush(stdout) != 0 && status == 0)
		status = 1;
	return status;
}
