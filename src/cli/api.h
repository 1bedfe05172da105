#pragma once
/*
 * Asks the node daemon over its local socket: one request, one answer, waited
 * for. Answers are JSON, kept with their tree in an arena.
 */
#include "base/json.h"
#include "cli/cmd.h"
#include "http/h1.h"

enum { API_ANSWER_MAX = 64 << 20 };

struct api_answer {
	unsigned status;
	struct buf body;
	struct arena memory;
	struct js *json; /* NULL: the body is no JSON */
};

void api_answer_done(struct api_answer *a);

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
/*
 * The same for an answer that may not come: ERR_TIMEOUT (not told), 0, or an
 * exit status.
 */
NODISCARD int api_try_for(const struct cli *cli, const char *method, const char *path,
                          struct span body, int64_t timeout_us, struct api_answer *ret);

/* An answer of lines that goes on until one side has enough: the daemon's notifications. */
struct api_watch {
	int fd;
	struct h1_reader http;
	struct buf in, lines;
	struct arena memory; /* of the last line's tree */
	bool open;           /* the head has been read, with status 200 */
};

/* Returns when the daemon has said that it will tell. 0, or an exit status: why not was told. */
NODISCARD int api_watch_open(const struct cli *cli, const char *path, struct api_watch *ret);
/*
 * 1: a notification, good until the next call. 0: none in time. Negative: the
 * daemon left.
 */
NODISCARD int api_watch_next(struct api_watch *w, int64_t timeout_us, struct js **ret);
void api_watch_done(struct api_watch *w);
