#pragma once
/* One call of the API while it is being answered; shared by api.c and api_ops.c. */
#include "base/json.h"
#include "coordinator/api.h"
#include "coordinator/api_json.h"
#include "http/form.h"

struct api_op {
	const struct api_env *env;
	struct state *st;
	const struct api_request *req;
	const struct route_match *match;
	struct arena *arena;
	const struct js *body; /* an object, or NULL */
	struct form query;
	char actor[64];
	struct fault why;
	struct js_wr w;   /* the answer: an object is open */
	const char *type; /* NULL: JSON */
	struct buf *raw;  /* for answers that are no object */
	struct question question;
	bool later; /* a node is asked it */
};

/* An argument: from the path, the body (either spelling), the query, in this order. */
struct span api_arg(const struct api_op *o, const char *name);
bool api_arg_true(const struct api_op *o, const char *name);
/* 0: not given. ERR_MALFORMED */
NODISCARD int api_arg_id(struct api_op *o, const char *name, uint64_t *ret);
NODISCARD int api_arg_time(struct api_op *o, const char *name, wall *ret);
const struct js *api_arg_list(const struct api_op *o, const char *name);
int api_refuse(struct api_op *o, int r, const char *fmt, ...) PRINTF(3, 4);
