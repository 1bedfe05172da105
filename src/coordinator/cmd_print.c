#include <stdio.h>
#include <string.h>

#include "base/time.h"
#include "coordinator/cmd_priv.h"

/* The member at a path with dots. */
static const struct js *member(const struct js *v, const char *path)
{
	const char *dot = strchr(path, '.');
	char name[64];

	if (!dot)
		return js_get(v, path);
	(void)snprintf(name, sizeof(name), "%.*s", (int)(dot - path), path);
	return member(js_get(v, name), dot + 1);
}

static void put_value(struct buf *out, const struct js *v)
{
	const struct js *seconds = js_get(v, "seconds");
	char time[TIME_TEXT_MAX];

	if (!v)
		return;
	if (seconds) {
		buf_add_str(out, wall_text((wall){ js_int(seconds, 0) * US_PER_S }, time));
		return;
	}
	if (v->kind == JS_ARRAY) {
		for (const struct js *m = js_first(v); m; m = m->next) {
			if (m != js_first(v))
				buf_add_str(out, ", ");
			put_value(out, m);
		}
		return;
	}
	if (v->kind == JS_BOOL)
		buf_add_str(out, v->truth ? "true" : "false");
	else
		buf_add_span(out, v->text);
}

enum { COLUMNS_MAX = 16 };

static void put_row(const struct cmd_column *columns, const struct js *row, size_t width[],
                    bool print)
{
	for (size_t i = 0; columns[i].title; i++) {
		struct buf cell = { 0 };

		if (row)
			put_value(&cell, member(row, columns[i].member));
		else
			buf_add_str(&cell, columns[i].title);
		if (cell.n > width[i])
			width[i] = cell.n;
		if (print)
			printf("%s%-*s", i ? " | " : "", columns[i + 1].title ? (int)width[i] : 0,
			       buf_text(&cell));
		buf_done(&cell);
	}
	if (print)
		printf("\n");
}

static void print_table(const struct cmd_column *columns, const struct js *list)
{
	size_t width[COLUMNS_MAX] = { 0 };

	for (int print = 0; print < 2; print++) {
		put_row(columns, NULL, width, print);
		for (const struct js *m = js_first(list); m; m = m->next)
			put_row(columns, m, width, print);
	}
}

static void print_text(const struct cmd *c, const struct js *answer)
{
	struct buf out = { 0 };

	switch (c->shape) {
	case SHAPE_TABLE:
		print_table(c->columns, answer);
		return;
	case SHAPE_OBJECT:
	case SHAPE_MEMBER:
		put_value(&out, member(answer, c->columns[0].member));
		break;
	case SHAPE_TEXT:
		put_value(&out, answer);
		break;
	case SHAPE_DONE:
		buf_add_str(&out, c->done);
		break;
	}
	printf("%s\n", buf_text(&out));
	buf_done(&out);
}

/* YAML of what JSON can say: block style, texts quoted as JSON does, which YAML reads. */
static void print_yaml(const struct js *v, unsigned depth, bool in_list)
{
	bool first = true;

	if (v->kind != JS_ARRAY && v->kind != JS_OBJECT) {
		struct buf out = { 0 };
		struct js_wr w = js_wr_of(&out);

		js_wr_tree(&w, v);
		printf("%s\n", buf_text(&out));
		buf_done(&out);
		return;
	}
	if (!js_first(v)) {
		printf(v->kind == JS_ARRAY ? "[]\n" : "{}\n");
		return;
	}
	for (const struct js *m = js_first(v); m; m = m->next) {
		bool nested = js_first(m) != NULL;

		printf("%*s", in_list && first ? 0 : (int)depth * 2, "");
		if (v->kind == JS_ARRAY)
			printf("- ");
		else
			printf("%.*s:%s", SPAN_FMT(m->key), nested ? "\n" : " ");
		print_yaml(m, depth + 1, v->kind == JS_ARRAY);
		first = false;
	}
}

void cmd_print(const struct cmd *c, enum cmd_output output, const struct js *answer)
{
	struct buf out = { 0 };
	struct js_wr w = js_wr_of(&out);

	switch (output) {
	case OUTPUT_TEXT:
		print_text(c, answer);
		return;
	case OUTPUT_YAML:
		print_yaml(answer, 0, false);
		return;
	case OUTPUT_JSON:
		w.indent = "\t";
		break;
	case OUTPUT_JSON_LINE:
		break;
	}
	js_wr_tree(&w, answer);
	printf("%s\n", buf_text(&out));
	buf_done(&out);
}

void cmd_print_error(enum cmd_output output, const char *message)
{
	struct buf out = { 0 };
	struct js_wr w = js_wr_of(&out);

	if (output == OUTPUT_TEXT) {
		fprintf(stderr, "Error: %s\n", message);
		return;
	}
	js_wr_open(&w, JS_OBJECT);
	js_wr_kv_str(&w, "error", message);
	js_wr_close(&w, JS_OBJECT);
	fprintf(stderr, "%s\n", buf_text(&out));
	buf_done(&out);
}

static void print_flags(const struct cmd_flag *flags)
{
	for (; flags->name; flags++) {
		if (flags->letter)
			printf("      -%c, --%-14s %s\n", flags->letter, flags->name, flags->help);
		else
			printf("          --%-14s %s\n", flags->name, flags->help);
	}
}

void cmd_usage(const char *program)
{
	printf("Usage: %s [-c FILE] [-o json|json-line|yaml] [--force] COMMAND ...\n\nCommands:\n",
	       program);
	for (const struct cmd *c = cmd_table; c->name; c++) {
		printf("  %s%s%s%s%s\n      %s\n", c->group ? c->group : "", c->group ? " " : "",
		       c->name, c->positional ? " " : "", c->positional ? "ARG" : "", c->help);
		print_flags(c->flags);
	}
}
