#pragma once
/* The program `fairlead`: its table of commands, and what all of them share. */

/* Returns a process exit status. */
int cli_main(int argc, char **argv);
