#include "cli/completion.h"

#include <string.h>

static const struct {
	const char *shell, *script;
} scripts[] = {
	{ "bash",
	  "_fairlead() {\n"
	  "\tlocal IFS=$'\\n'\n"
	  "\tCOMPREPLY=($(fairlead __complete \"${COMP_WORDS[@]:1:COMP_CWORD}\" 2>/dev/null |"
	  " cut -f1))\n"
	  "}\n"
	  "complete -o default -F _fairlead fairlead\n" },
	{ "zsh", "#compdef fairlead\n"
	         "_fairlead() {\n"
	         "\tlocal -a found\n"
	         "\tlocal word help\n"
	         "\twhile IFS=$'\\t' read -r word help; do\n"
	         "\t\tfound+=(\"${word}:${help}\")\n"
	         "\tdone < <(fairlead __complete \"${(@)words[2,CURRENT]}\" 2>/dev/null)\n"
	         "\t(( $#found )) && _describe fairlead found || _files\n"
	         "}\n"
	         "compdef _fairlead fairlead\n" },
	{ "fish",
	  "complete -c fairlead -a "
	  "'(fairlead __complete (commandline -opc)[2..] (commandline -ct) 2>/dev/null)'\n" },
};

int completion_run(struct cli *cli, const void *opts, int argc, char **argv)
{
	(void)opts;
	(void)argc;
	for (size_t i = 0; i < ARRAY_LEN(scripts); i++)
		if (strcmp(argv[0], scripts[i].shell) == 0) {
			(void)fputs(scripts[i].script, cli->out);
			return 0;
		}
	return cmd_misuse(cli, "expected bash, zsh or fish, not \"%s\"", argv[0]);
}
