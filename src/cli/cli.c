#include "cli/cli.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/api.h"
#include "cli/cmd.h"
#include "cli/completion.h"
#include "cli/node.h"
#include "cli/wg.h"

static int run_version(struct cli *cli, const void *opts, int argc, char **argv)
{
	(void)opts;
	(void)argc;
	(void)argv;
	(void)fprintf(cli->out, "%s\n", FAIRLEAD_VERSION);
	return 0;
}

static const struct cmd wg_cmd = {
	.name = "wg",
	.args = "",
	.help = "Plain WireGuard interfaces, as wg(8) and wg-quick(8) handle them",
	.run = wg_run_default,
	.sub = wg_commands,
};

static const struct cmd completion_cmd = {
	.name = "completion",
	.args = "bash|zsh|fish",
	.help = "Print a script that completes commands and options in a shell",
	.run = completion_run,
	.args_min = 1,
	.args_max = 1,
	.details = "For bash: fairlead completion bash > /etc/bash_completion.d/fairlead\n",
};

static const struct cmd version_cmd = {
	.name = "version",
	.args = "",
	.help = "Print the version",
	.run = run_version,
};

/* In the order of --help. */
static const struct cmd *const all[] = {
	&node_up_cmd,      &node_down_cmd,   &node_set_cmd,    &node_get_cmd,
	&node_login_cmd,   &node_logout_cmd, &node_switch_cmd, &node_status_cmd,
	&node_ip_cmd,      &node_ping_cmd,   &node_whois_cmd,  &node_wait_cmd,
	&node_metrics_cmd, &wg_cmd,          &completion_cmd,  &version_cmd,
};

/* --socket PATH may stand in front of the command. Returns the arguments taken, or -1. */
static int global_options(int argc, char **argv)
{
	int taken = 0;

	while (taken < argc && strncmp(argv[taken], "--socket", 8) == 0) {
		const char *rest = argv[taken++] + 8;

		if (*rest == '=')
			api_use_socket(rest + 1);
		else if (*rest == '\0' && taken < argc)
			api_use_socket(argv[taken++]);
		else
			return -1;
	}
	return taken;
}

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
	struct cmd commands[ARRAY_LEN(all) + 1] = { 0 };
	int taken = global_options(argc - 1, argv + 1);
	int status;

	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		commands[i] = *all[i];
	if (taken < 0) {
		status = cmd_misuse(&cli, "--socket takes a path");
	} else if (argc > 1 && strcmp(argv[1], "__complete") == 0) {
		cmd_complete(commands, stdout, argc - 2, argv + 2);
		status = 0;
	} else {
		status = cmd_main(&cli, commands, argc - 1 - taken, argv + 1 + taken);
	}
	/* A full disk is an error too. */
	if (fflush(stdout) != 0 && status == 0)
		status = 1;
	return status;
}
