#pragma once
/* What an administrator asks a node, over its map stream (c2n.h). */
#include "base/span.h"

enum { QUESTION_PATH_MAX = 512, QUESTION_BODY_MAX = 64 << 10 };

struct question {
	uint64_t node;
	struct span method; /* empty: GET, or POST with a body */
	struct span path, body;
	const char *actor; /* for the audit log, which has what is not a GET */
};

/* Its method and path may go into a request line. */
bool question_valid(const struct question *q);
