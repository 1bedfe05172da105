#pragma once
/*
 * Subcommands as data. One table gives parsing, --help and shell completion, so
 * they cannot drift apart.
 *
 * Options are --name VALUE, --name=VALUE, and -name likewise; a flag is --name
 * or --name=false. They may stand anywhere before "--", except for commands
 * marked CMD_RAW, whose arguments are their own.
 *
 * Exit statuses: 0 done, 1 failed, 2 the command line is wrong.
 */
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/own.h"

/* What a command works with. */
struct cli {
	const char *socket;  /* of the daemon, by --socket; NULL: where it is found */
	const char *program; /* "fairlead", or the name of the group for a program of its own */
	FILE *out, *err;
	bool color; /* out is a terminal that shows colours */
	/* Set by cmd_main for the command that runs. */
	const struct cmd *path[4]; /* the command and its groups, outermost first */
	size_t path_n;
	uint64_t given; /* bit i: opts[i] was on the command line */
};

enum cmd_kind {
	CMD_FLAG,     /* bool */
	CMD_STRING,   /* const char *: points into the command line */
	CMD_UINT,     /* uint32_t */
	CMD_DURATION, /* int64_t, microseconds */
};

enum { CMD_OPTS_MAX = 64, CMD_ARGS_ANY = 0xffff };

struct cmd_opt {
	const char *name; /* without the dashes */
	enum cmd_kind kind;
	size_t at;         /* offsetof in the command's option struct */
	const char *value; /* placeholder in help; NULL for CMD_FLAG */
	const char *help;  /* one line, no full stop; NULL: works, but is not listed */
};

enum cmd_flag {
	CMD_RAW = 1,    /* options too are given to run as they are; only --help alone is seen */
	CMD_HIDDEN = 2, /* not listed */
	/* Misuse ends with 1 here and below, as in the program that this stands for. */
	CMD_MISUSE_FAILS = 4,
};

struct cmd {
	const char *name, *args, *help; /* args: as in help, "" for none; help: one line */
	/* Returns an exit status. A group without run needs a subcommand. */
	int (*run)(struct cli *cli, const void *opts, int argc, char **argv);
	const struct cmd *sub;      /* a group's commands; ends with a NULL name */
	const struct cmd_opt *opts; /* ends with a NULL name */
	const void *defaults;       /* copied before parsing */
	size_t opts_size;
	unsigned args_min, args_max; /* CMD_ARGS_ANY: no maximum */
	unsigned flags;
	const char *details; /* more for --help, whole lines; may be NULL */
};

/* Picks the command of the table, parses, runs. Returns a process exit status. */
int cmd_main(struct cli *cli, const struct cmd *table, int argc, char **argv);

/* The option was on the command line, of the command that runs. */
bool cmd_given(const struct cli *cli, const char *name);

/*
 * A line on cli->err, in which whatever looks like a key is hidden: what is wrong
 * is mostly shown with the word that is wrong, and that word may be a key in the
 * place of a file's name. All that is told of errors goes through here.
 */
void cmd_note(const struct cli *cli, const char *fmt, ...) PRINTF(2, 3);
void cmd_vnote(const struct cli *cli, const char *prefix, const char *fmt, va_list ap) PRINTF(3, 0);
/* "fairlead wg: message" on cli->err; returns 1. */
int cmd_fail(const struct cli *cli, const char *fmt, ...) PRINTF(2, 3);
/* The same with a hint at --help; returns 2, or 1 under CMD_MISUSE_FAILS. */
int cmd_misuse(const struct cli *cli, const char *fmt, ...) PRINTF(2, 3);

/* The command's own help. */
void cmd_help(const struct cli *cli, FILE *to);

/* Words that may follow the last of argv, a line each ("word\thelp"). */
void cmd_complete(const struct cmd *table, FILE *to, int argc, char **argv);
