#include <stdio.h>
#include <string.h>

#include "base/enc.h"
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

/* ---- cells ---- */

static void put_texts(struct buf *out, const struct js *v, const char *between)
{
	for (const struct js *m = js_first(v); m; m = m->next) {
		if (m != js_first(v))
			buf_add_str(out, between);
		buf_add_span(out, m->text);
	}
}

static wall time_of(const struct js *v)
{
	return (wall){ js_int(js_get(v, "seconds"), 0) * US_PER_S };
}

/* "2006-01-02 15:04:05", UTC */
static void put_time(struct buf *out, const struct js *v)
{
	char text[TIME_TEXT_MAX];

	(void)wall_text(time_of(v), text);
	text[10] = ' ';
	text[19] = 0;
	buf_add_str(out, text);
}

/* The first five characters of the key in base64, as "[abcde]". */
static void put_short_key(struct buf *out, struct span key)
{
	uint8_t raw[32];
	char text[BASE64_LEN(sizeof(raw)) + 1];
	size_t colon = span_find(key, ':');

	if (key.n - colon != 65 || hex_decode(raw, sizeof(raw), span_from(key, colon + 1)) < 0)
		return;
	base64_encode(text, raw, sizeof(raw));
	buf_fmt(out, "[%.5s]", text);
}

static void put_plain(struct buf *out, const struct js *v)
{
	if (!v)
		return;
	if (v->kind == JS_ARRAY)
		put_texts(out, v, ", ");
	else if (v->kind == JS_BOOL)
		buf_add_str(out, v->truth ? "true" : "false");
	else
		buf_add_span(out, v->text);
}

static void put_cell(struct buf *out, const struct cmd_column *c, const struct js *row)
{
	const struct js *v = member(row, c->member);

	switch (c->cell) {
	case CELL_PLAIN:
		put_plain(out, v);
		break;
	case CELL_TIME:
		if (v)
			put_time(out, v);
		else
			buf_add_str(out, c->none ? c->none : "");
		break;
	case CELL_BOOL:
		buf_add_str(out, js_truth(v, false) ? "true" : "false");
		break;
	case CELL_LINES:
		put_texts(out, v, "\n");
		break;
	case CELL_KEY:
		put_short_key(out, js_text(v));
		break;
	case CELL_ONLINE:
		buf_add_str(out, js_truth(v, false) ? "online" : "offline");
		break;
	case CELL_PAST:
		buf_add_str(out, v && time_of(v).us < wall_now().us ? "yes" : "no");
		break;
	case CELL_OWNER:
		if (js_first(js_get(row, "acl_tags")))
			put_texts(out, js_get(row, "acl_tags"), "\n");
		else if (v)
			put_plain(out, v);
		else
			buf_add_str(out, "-");
		break;
	}
}

/* ---- tables ---- */

enum { COLUMNS_MAX = 16 };

static size_t characters(struct span s)
{
	size_t n = 0;

	for (size_t i = 0; i < s.n; i++)
		n += (s.p[i] & 0xc0) != 0x80;
	return n;
}

/* Of the widest line. */
static size_t width_of(struct span cell)
{
	struct span line;
	size_t most = 0;

	while (cell.p && span_cut(&cell, '\n', &line))
		most = characters(line) > most ? characters(line) : most;
	return most;
}

/* A row takes as many lines as its longest cell. */
static void print_row(struct span cells[], size_t n, const size_t width[])
{
	bool more = true;

	while (more) {
		more = false;
		for (size_t i = 0; i < n; i++) {
			struct span line = { 0 };

			if (cells[i].p)
				(void)span_cut(&cells[i], '\n', &line);
			more |= cells[i].p != NULL;
			printf("%s%.*s%*s", i ? " | " : "", SPAN_FMT(line),
			       (int)(width[i] - characters(line)), "");
		}
		printf("\n");
	}
}

static void cells_of(const struct cmd_column *columns, const struct js *row,
                     struct buf cells[COLUMNS_MAX])
{
	for (size_t i = 0; columns[i].title; i++) {
		buf_clear(&cells[i]);
		if (row)
			put_cell(&cells[i], &columns[i], row);
		else
			buf_add_str(&cells[i], columns[i].title);
	}
}

static void print_table(const struct cmd_column *columns, const struct js *list)
{
	size_t width[COLUMNS_MAX] = { 0 }, n = 0;
	struct buf cells[COLUMNS_MAX] = { { 0 } };

	while (columns[n].title)
		n++;
	for (int print = 0; print < 2; print++) {
		const struct js *row = NULL;

		do {
			struct span views[COLUMNS_MAX];

			cells_of(columns, row, cells);
			for (size_t i = 0; i < n; i++) {
				views[i] = span(buf_text(&cells[i]), cells[i].n);
				if (width_of(views[i]) > width[i])
					width[i] = width_of(views[i]);
			}
			if (print)
				print_row(views, n, width);
			row = row ? row->next : js_first(list);
		} while (row);
	}
	printf("\n");
	for (size_t i = 0; i < n; i++)
		buf_done(&cells[i]);
}

/* ---- text ---- */

/* What was done to a node's expiry shows in the node. */
static const char *expiry_text(const struct js *node)
{
	const struct js *at = js_get(node, "expiry");

	if (!at)
		return "Node expiry disabled";
	return time_of(at).us <= wall_now().us ? "Node expired" : "Node expiration updated";
}

/* "{}" stands for the node's name. */
static void put_done(struct buf *out, const char *done, const struct js *answer)
{
	const char *at = strstr(done, "{}");

	if (at)
		buf_add(out, done, (size_t)(at - done));
	if (at)
		buf_add_span(out, js_text(js_get(answer, "given_name")));
	buf_add_str(out, at ? at + 2 : done);
}

static void print_text(const struct cmd *c, const struct js *answer)
{
	AUTO_DONE(buf) struct buf out = { 0 };

	switch (c->shape) {
	case SHAPE_TABLE:
		print_table(c->columns, answer);
		return;
	case SHAPE_MEMBER:
		put_plain(&out, member(answer, c->columns[0].member));
		break;
	case SHAPE_TEXT:
		put_plain(&out, answer);
		break;
	case SHAPE_EXPIRY:
		buf_add_str(&out, expiry_text(answer));
		break;
	case SHAPE_DONE:
	case SHAPE_ALWAYS_DONE:
		put_done(&out, c->done, answer);
		break;
	}
	printf("%s\n", buf_text(&out));
}

static void print_json(const struct js *answer, const char *indent)
{
	AUTO_DONE(buf) struct buf out = { 0 };
	struct js_wr w = js_wr_of(&out);

	w.indent = indent;
	/* An empty list is one that Go never made. */
	if (answer->kind == JS_ARRAY && !js_first(answer))
		buf_add_str(&out, "null");
	else
		js_wr_tree(&w, answer);
	printf("%s\n", buf_text(&out));
}

void cmd_print(const struct cmd *c, enum cmd_output output, const struct js *answer)
{
	AUTO_DONE(buf) struct buf out = { 0 };

	/* These speak one language whatever was asked for. */
	if (c->shape == SHAPE_ALWAYS_DONE || c->op == NULL || strcmp(c->op, "policy.get") == 0)
		output = OUTPUT_TEXT;
	switch (output) {
	case OUTPUT_TEXT:
		print_text(c, answer);
		break;
	case OUTPUT_YAML:
		cmd_yaml(c->op, answer, &out);
		printf("%s\n", buf_text(&out));
		break;
	case OUTPUT_JSON:
		print_json(answer, "\t");
		break;
	case OUTPUT_JSON_LINE:
		print_json(answer, NULL);
		break;
	}
}

static void put_object(enum cmd_output output, const char *name, const char *value, FILE *to)
{
	AUTO_DONE(buf) struct buf out = { 0 };
	__attribute__((cleanup(arena_done))) struct arena arena = { 0 };
	struct js_wr w = js_wr_of(&out);
	struct js *v = NULL;

	w.indent = output == OUTPUT_JSON ? "\t" : NULL;
	js_wr_open(&w, JS_OBJECT);
	js_wr_kv_str(&w, name, value);
	js_wr_close(&w, JS_OBJECT);
	if (output == OUTPUT_YAML && js_parse(&arena, buf_span(&out), false, &v, NULL) >= 0) {
		buf_clear(&out);
		cmd_yaml(NULL, v, &out);
	}
	fprintf(to, "%s\n", buf_text(&out));
}

void cmd_print_object(enum cmd_output output, const char *name, const char *value, const char *text)
{
	if (output == OUTPUT_TEXT)
		printf("%s\n", text);
	else
		put_object(output, name, value, stdout);
}

void cmd_print_error(enum cmd_output output, const char *message)
{
	if (output == OUTPUT_TEXT)
		fprintf(stderr, "Error: %s\n", message);
	else
		put_object(output, "error", message, stderr);
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

static void print_cmd(const struct cmd *c)
{
	printf("  %s%s%s%s%s\n      %s\n", c->group ? c->group : "", c->group ? " " : "", c->name,
	       c->positional ? " " : "", c->positional ? "ARG" : "", c->help);
	print_flags(c->flags);
}

static void print_names(const char *title, const char *names)
{
	struct span rest = span_str(names), name;
	const char *between = title;

	for (; span_word(&rest, &name); between = ", ")
		printf("%s%.*s", between, SPAN_FMT(name));
	if (between != title)
		printf("\n");
}

void cmd_help(const char *program, const struct cmd *c)
{
	printf("Usage: %s [-c FILE] [-o json|json-line|yaml] [--force] %s%s%s ...\n\n", program,
	       c->group ? c->group : "", c->group ? " " : "", c->name);
	print_cmd(c);
	print_names("\nAlso: ", c->aliases);
}

void cmd_usage(const char *program, const char *group)
{
	printf("Usage: %s [-c FILE] [-o json|json-line|yaml] [--force] COMMAND ...\n\nCommands:\n",
	       program);
	for (const struct cmd *c = cmd_table; c->name; c++) {
		if (group && (!c->group || strcmp(c->group, group) != 0))
			continue;
		print_cmd(c);
	}
}
