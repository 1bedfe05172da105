#pragma once
/* fairlead-relay: everything wired together. */

/* The exit status: 0, 1 (could not run), 2 (the command line or the file is wrong). */
int relay_main(int argc, char **argv);
