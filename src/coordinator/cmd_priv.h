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
	bool required;
};

enum cmd_cell {
	CELL_PLAIN,
	CELL_TIME,   /* "2006-01-02 15:04:05" */
	CELL_BOOL,   /* also where it is left out */
	CELL_LINES,  /* a list, one line each */
	CELL_KEY,    /* "[abcde]" */
	CELL_ONLINE, /* "online", "offline" */
	CELL_PAST,   /* a time that is over: "yes", "no" */
	CELL_OWNER,  /* of a pre-auth key: its tags, its user, "-" */
};

/* A column of the text output: a title and the member shown, "user.name". */
struct cmd_column {
	const char *title, *member;
	enum cmd_cell cell;
	const char *none; /* for a time that is not there */
};

enum cmd_shape {
	SHAPE_TABLE,       /* a list of objects */
	SHAPE_MEMBER,      /* one member's text: columns[0] */
	SHAPE_TEXT,        /* the answer is a text */
	SHAPE_DONE,        /* `done` is said; {} stands for a node's name */
	SHAPE_EXPIRY,      /* what became of a node's expiry */
	SHAPE_ALWAYS_DONE, /* `done`, whatever the output */
};

/* A question that --force answers. */
struct cmd_confirm {
	const char *op;       /* gives a list; its first member is asked about. NULL: none */
	const char *question; /* {name} and {id} are of that member */
	const char *declined; /* said then; NULL: nothing */
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
	const struct cmd_confirm *confirm;
};

extern const struct cmd cmd_table[];

/* What was asked for besides the command. */
struct cmd_global {
	const char *config; /* NULL: looked for */
	enum cmd_output output;
	bool force;
};

/* "json", "json-line", "yaml", "". ERR_UNKNOWN */
NODISCARD int cmd_output_parse(const char *name, enum cmd_output *ret);
/* Prints an answer as asked. */
void cmd_print(const struct cmd *c, enum cmd_output output, const struct js *answer);
/* {"name":"value"}, or the text. */
void cmd_print_object(enum cmd_output output, const char *name, const char *value,
                      const char *text);
void cmd_print_error(enum cmd_output output, const char *message);
/* Of one command. */
void cmd_help(const char *program, const struct cmd *c);
/* group: of its commands alone; NULL: of all. */
void cmd_usage(const char *program, const char *group);
/* cmd_yaml.c: the answer of an operation; op may be NULL. */
void cmd_yaml(const char *op, const struct js *answer, struct buf *out);
/* cmd_ask.c: asks the server and prints; the exit code. */
int cmd_ask(const struct config *cfg, const struct cmd *c, const struct cmd_global *g,
            struct span args);
/* The file, environment and defaults. What is wrong was printed; unknown keys too. */
int cmd_load_config(const char *path, struct config *cfg);

/* "-c FILE", "--config FILE", "--config=FILE"; NULL: not given. */
const char *cmd_flag_value(int argc, char **argv, char letter, const char *name);
const char *cmd_config_flag(int argc, char **argv);

/* cmd_policy.c: the flag that says to leave the server out; the exit code. */
int cmd_policy_live(const char *config, const char *path);
bool cmd_policy_wants_database(int argc, char **argv);
int cmd_policy_in_database(const char *config, const char *verb, int argc, char **argv);

int cmd_serve(struct config *cfg, int argc, char **argv);
int cmd_configtest(struct config *cfg, int argc, char **argv);
int cmd_import(struct config *cfg, int argc, char **argv);
int cmd_policy(struct config *cfg, int argc, char **argv);
int cmd_backup(struct config *cfg, int argc, char **argv);
int cmd_restore(struct config *cfg, int argc, char **argv);
int cmd_version(struct config *cfg, int argc, char **argv);
int cmd_generate(struct config *cfg, int argc, char **argv);
