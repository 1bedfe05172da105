/* Commands that ask the server over its Unix socket. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/file.h"
#include "coordinator/backup.h"
#include "coordinator/cmd_priv.h"
#include "platform/http_client.h"

/* ---- one question ---- */

struct asking {
	struct ev *ev;
	struct arena arena;
	struct js *answer; /* NULL: `error` says why */
	char *error;
};

static void asking_done(struct asking *a)
{
	arena_done(&a->arena);
	free(a->error);
}

static void read_answer(struct asking *a, const struct fetched *found)
{
	/* The answer's bytes are gone when this returns. */
	struct span body = span(arena_dup(&a->arena, found->body.p, found->body.n), found->body.n);
	struct js *answer = NULL;

	if (js_parse(&a->arena, body, false, &answer, NULL) < 0)
		a->error = str_dup("the server's answer makes no sense");
	else if (found->status != 200)
		a->error = span_dup(js_text(js_get(answer, "error")));
	else
		a->answer = answer;
}

static void on_answer(void *owner, int r, const struct fetched *found)
{
	struct asking *a = owner;

	if (r < 0)
		a->error = str_fmt("cannot reach the server over its socket: %s", err_text(r));
	else
		read_answer(a, found);
	ev_stop(a->ev, 0);
}

static void ask(const struct config *cfg, const char *op, struct span args, struct asking *a)
{
	AUTO(ev_free) struct ev *ev = ev_new();
	struct http_client client = { .ev = ev };
	AUTO_FREE char *url = str_fmt("http://local/admin/%s", op);
	struct fetch_cfg fetch = {
		.method = "POST",
		.url = url,
		.unix_path = cfg->unix_socket,
		.type = "application/json",
		.body = args,
		.body_max = 256 << 20,
	};

	*a = (struct asking){ .ev = ev };
	if (ev && http_fetch(&client, &fetch, on_answer, a))
		(void)ev_run(ev);
	if (!a->answer && !a->error)
		a->error = str_dup("cannot ask the server");
}

/* ---- is it meant? ---- */

static void put_question(const struct cmd_confirm *c, const struct js *about, FILE *to)
{
	static const struct {
		const char *mark, *member;
	} marks[] = { { "{name}", "name" }, { "{id}", "id" } };
	const char *s = c->question;

	while (*s) {
		size_t k = 0;

		while (k < ARRAY_LEN(marks) &&
		       strncmp(s, marks[k].mark, strlen(marks[k].mark)) != 0)
			k++;
		if (k < ARRAY_LEN(marks)) {
			const struct js *v = js_get(about, marks[k].member);

			fprintf(to, "%.*s", SPAN_FMT(v ? v->text : (struct span){ 0 }));
			s += strlen(marks[k].mark);
		} else {
			fputc(*s++, to);
		}
	}
}

static bool person_agrees(void)
{
	char line[64], word[16] = "";

	if (!fgets(line, sizeof(line), stdin) || sscanf(line, "%15s", word) != 1)
		return false;
	return span_is_nocase(span_str(word), "y") || span_is_nocase(span_str(word), "yes") ||
	       span_is_nocase(span_str(word), "sure");
}

enum consent { AGREED, DECLINED, FAILED };

static enum consent confirm(const struct config *cfg, const struct cmd *c,
                            const struct cmd_global *g, struct span args)
{
	__attribute__((cleanup(asking_done))) struct asking a = { 0 };

	if (!c->confirm || g->force)
		return AGREED;
	if (c->confirm->op) {
		ask(cfg, c->confirm->op, args, &a);
		/* None, or more than one: the operation itself says what is wrong. */
		if (a.answer && (!js_first(a.answer) || js_first(a.answer)->next))
			return AGREED;
		if (a.error) {
			cmd_print_error(g->output, a.error);
			return FAILED;
		}
	}
	put_question(c->confirm, js_first(a.answer), stderr);
	fprintf(stderr, " [y/n] ");
	if (person_agrees())
		return AGREED;
	if (c->confirm->declined)
		cmd_print_object(g->output, "Result", c->confirm->declined, c->confirm->declined);
	return DECLINED;
}

int cmd_ask(const struct config *cfg, const struct cmd *c, const struct cmd_global *g,
            struct span args)
{
	__attribute__((cleanup(asking_done))) struct asking a = { 0 };
	enum consent consent = confirm(cfg, c, g, args);

	if (consent != AGREED)
		return consent == DECLINED ? EXIT_SUCCESS : EXIT_FAILURE;
	ask(cfg, c->op, args, &a);
	if (a.answer)
		cmd_print(c, g->output, a.answer);
	else
		cmd_print_error(g->output, a.error);
	return a.answer ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* ---- copies of the database ---- */

struct copying {
	struct ev *ev;
	const char *path;
	int status;
};

static void on_copy(void *owner, int r, const struct fetched *found)
{
	struct copying *c = owner;

	if (r < 0) {
		fprintf(stderr, "Error: cannot reach the server over its socket: %s\n",
		        err_text(r));
	} else if (found->status != 200) {
		fprintf(stderr, "Error: the server says: %.*s\n", SPAN_FMT(found->body));
	} else if ((r = file_write_atomic(c->path, found->body, 0600)) < 0) {
		fprintf(stderr, "Error: %s: %s\n", c->path, err_text(r));
	} else {
		printf("Database copied\n");
		c->status = EXIT_SUCCESS;
	}
	ev_stop(c->ev, 0);
}

/* backup FILE */
int cmd_backup(struct config *cfg, int argc, char **argv)
{
	AUTO(ev_free) struct ev *ev = ev_new();
	struct copying c = { ev, argc > 0 ? argv[0] : NULL, EXIT_FAILURE };
	struct http_client client = { .ev = ev };
	struct fetch_cfg fetch = {
		.method = "POST",
		.url = "http://local/admin/backup",
		.unix_path = cfg->unix_socket,
		.body_max = 1 << 30,
	};

	if (!c.path || !ev) {
		fprintf(stderr, "Error: backup FILE\n");
		return EXIT_FAILURE;
	}
	if (http_fetch(&client, &fetch, on_copy, &c))
		(void)ev_run(ev);
	return c.status;
}

/* restore FILE */
int cmd_restore(struct config *cfg, int argc, char **argv)
{
	if (argc < 1) {
		fprintf(stderr, "Error: restore FILE\n");
		return EXIT_FAILURE;
	}
	if (backup_restore(cfg, argv[0]) < 0)
		return EXIT_FAILURE;
	printf("Database restored; what was there is %s.before-restore\n", cfg->db_path);
	return EXIT_SUCCESS;
}
