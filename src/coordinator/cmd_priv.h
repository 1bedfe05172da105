#pragma once
/* What the files of the command line share; nobody else includes this. */
#include "base/json.h"
#include "coordinator/config.h"

enum cmd_output { OUTPUT_TEXT, OUTPUT_JSON, OUTPUT_JSON_LINE, OUTPUT_YAML };

enum flag_kind {
	FLAG_TRUE, /* no value; JSON true */
	FLAG_TEXT,
	FLAG_NUMBER,
	FLAG_LIST,     /* commas between; may be given again */
	FLAG_DURATION, /* "90d"; sent as the time that long from now */
	FLAG_FILE,     /* the file's contents are sent */
	FLAG_LOCAL,    /* not sent: the command looks at it */
};

struct cmd_flag {
	const char *name; /* without dashes */
	char letter;      /* 0: none */
	enum flag_kind kind;
	const char *arg; /* its name in the operation's arguments */
	const char *def; /* sent if it was not given; NULL: nothing */
	const char *help;
};

/* A column of the text output: a title and the member shown, "user.name". */
struct cmd_column {
	const char *title, *member;
};

enum cmd_shape {
	SHAPE_TABLE,  /* a list of objects */
	SHAPE_OBJECT, /* the same columns for one */
	SHAPE_MEMBER, /* one member's text: columns[0] */
	SHAPE_TEXT,   /* the answer is a text */
	SHAPE_DONE,   /* `done` is said */
};

struct cmd {
	const char *group, *group_aliases; /* group NULL: no group; aliases with spaces */
	const char *name, *aliases;
	const char *op;         /* the operation; NULL: run */
	const char *positional; /* the operation's argument that is a word; NULL: none */
	const struct cmd_flag *flags;
	const struct cmd_column *columns;
	enum cmd_shape shape;
	const char *done, *help;
	int (*run)(struct config *cfg, int argc, char **argv);
	bool no_config; /* run gets NULL: it needs none */
};

extern const struct cmd cmd_table[];

/* What was asked for besides the command. */
struct cmd_global {
	const char *config; /* NULL: looked for */
	enum cmd_output output;
	bool force;
};

/* Prints an answer as asked. */
void cmd_print(const struct cmd *c, enum cmd_output output, const struct js *answer);
void cmd_print_error(enum cmd_output output, const char *message);
void cmd_usage(const char *program);
/* The file, environment and defaults. What is wrong was printed; unknown keys too. */
int cmd_load_config(const char *path, struct config *cfg);

int cmd_serve(struct config *cfg, int argc, char **argv);
int cmd_configtest(struct config *cfg, int argc, char **argv);
int cmd_import(struct config *cfg, int argc, char **argv);
int cmd_policy(struct config *cfg, int argc, char **argv);
int cmd_backup(struct config *cfg, int argc, char **argv);
int cmd_restore(struct config *cfg, int argc, char **argv);
int cmd_version(struct config *cfg, int argc, char **argv);
int cmd_generate(struct config *cfg, int argc, char **argv);
