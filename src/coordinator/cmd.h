#pragma once
/*
 * fairlead-coordinator's command line: `serve` and what administrators do
 * through the Unix socket. Installed under the name `headscale` it is that
 * program's: the same commands, aliases, flags, exit statuses and JSON.
 */

/* An exit status. */
int coordinator_main(int argc, char **argv);
