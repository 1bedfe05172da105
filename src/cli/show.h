#pragma once
/* What the node's commands have in common when they show things: tables, nodes of the status. */
#include "base/json.h"
#include "base/vec.h"
#include "cli/cmd.h"

enum { TABLE_COLUMNS_MAX = 8 };

/* Columns as wide as their widest text, two spaces between; plain text. */
struct table {
	size_t n_columns;
	VEC(char *) cells;
};

/* n texts: the columns of one row. Copied. */
void table_add(struct table *t, size_t n, ...);
void table_print(const struct table *t, FILE *to);
void table_done(struct table *t);

/* The value on cli->out, indented by two spaces. */
void show_json(const struct cli *cli, const struct js *v);

/* Ourselves or a peer, by address, full name, short name or host name; NULL. */
const struct js *show_find(const struct js *status, const char *name);
/* How a person knows it. */
struct span show_name(const struct js *node);
/* "3m ago"; "" if never. */
char *show_ago(struct span time);
/* Why the node is not running, and what to do about it. Returns 1. */
int show_not_running(const struct cli *cli, const struct js *status, struct span state);
void show_health(const struct cli *cli, const struct js *status);
