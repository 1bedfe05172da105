#pragma once
/* `fairlead completion SHELL`: a script that asks `fairlead __complete WORD...`. */
#include "cli/cmd.h"

int completion_run(struct cli *cli, const void *opts, int argc, char **argv);
