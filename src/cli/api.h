#pragma once
/*
 * Asks the node daemon over its local socket: one request, one answer, waited
 * for. Answers are JSON, kept with their tree in an arena.
 */
#include "base/json.h"
#include "cli/cmd.h"

enum { API_ANSWER_MAX = 64 << 20 };

struct api_answer {
	unsigned status;
	struct buf body;
	struct arena memory;
	struct js *json; /* NULL: the body is no JSON */
};

void api_answer_done(struct api_answer *a);

/* --socket of the command line; NULL: where the daemon's socket is found. */
void api_use_socket(const char *path);
/*
 * method "GET", "POST", "PATCH", "DELETE", "PUT"; path "status?peers=false". The
 * answer's status is 2xx on success; otherwise what is wrong is told on cli->err
 * and the exit status returned (not 0).
 */
NODISCARD int api_call(const struct cli *cli, const char *method, const char *path,
                       struct span body, struct api_answer *ret);
/* The same, an answer of any status. 0: there is one. */
NODISCARD int api_try(const struct cli *cli, const char *method, const char *path, struct span body,
                      struct api_answer *ret);
