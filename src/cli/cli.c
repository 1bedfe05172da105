#include "cli/cli.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cmd.h"
#include "cli/completion.h"
#include "cli/node.h"
#include "cli/wg.h"

static const struct cmd wg_cmd = {
	.name = "wg",
	.args = "",
	.help = "Plain WireGuard interfaces, as wg(8) and wg-quick(8) handle them",
	.run = wg_run_default,
	.flags = CMD_MISUSE_FAILS,
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

/* In the order of --help. */
static const struct cmd *const all[] = {
	&node_up_cmd,      &node_down_cmd,      &node_set_cmd,      &node_get_cmd,
	&node_login_cmd,   &node_logout_cmd,    &node_switch_cmd,   &node_status_cmd,
	&node_ip_cmd,      &node_ping_cmd,      &node_whois_cmd,    &node_whoami_cmd,
	&node_dns_cmd,     &node_exit_cmd,      &node_netcheck_cmd, &node_wait_cmd,
	&node_metrics_cmd, &node_bugreport_cmd, &node_debug_cmd,    &wg_cmd,
	&completion_cmd,   &node_version_cmd,
};

/* --socket PATH may stand in front of the command. Returns the arguments taken, or -1. */
static int global_options(struct cli *cli, int argc, char **argv)
{
	int taken = 0;

	while (taken < argc &&
	       strncmp(argv[taken] + (strncmp(argv[taken], "--", 2) == 0), "-socket", 7) == 0) {
		const char *rest = strstr(argv[taken++], "-socket") + 7;

		if (*rest == '=')
			cli->socket = rest + 1;
		else if (*rest == '\0' && taken < argc)
			cli->socket = argv[taken++];
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
	struct cmd commands[ARRAY_LEN(all) + 2] = { 0 };
	int taken = global_options(&cli, argc - 1, argv + 1);
	int status;

	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		commands[i] = *all[i];
	commands[ARRAY_LEN(all)] = node_version_cmd;
	commands[ARRAY_LEN(all)].name = "--version";
	commands[ARRAY_LEN(all)].flags |= CMD_HIDDEN;
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
