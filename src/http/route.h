#pragma once
/*
 * Method and path to a row of a table. The rows are the caller's own structs
 * and begin with a struct route; the table can so carry handlers, permissions,
 * documentation.
 *
 *	/derp/probe		this path
 *	/api/v1/user/{id}	a segment as parameter, never empty
 *	/debug/{rest...}	all that follows, may be empty or have slashes
 *
 * The first row that fits wins: put the special before the general. Segments
 * are decoded one by one; "." and ".." segments, empty ones in the middle and
 * decoded slashes or NULs fit nothing.
 */
#include "base/mem.h"
#include "base/own.h"
#include "base/span.h"

enum { ROUTE_PARAMS_MAX = 8, ROUTE_SEGMENTS_MAX = 32 };

struct route {
	const char *method; /* "GET" fits HEAD too; "*" fits every method */
	const char *pattern;
};

struct route_match {
	const void *row;
	size_t n;
	struct route_param {
		struct span name; /* in the pattern */
		const char *value;
	} param[ROUTE_PARAMS_MAX];
};

/*
 *   ERR_UNKNOWN	no row has that path (404)
 *   ERR_DENIED		some have, but not with that method (405); *ret_allow lists theirs: "GET,
 * POST" ERR_MALFORMED	the path is none (400)
 */
NODISCARD int route_find(const void *rows, size_t n_rows, size_t row_size, struct span method,
                         struct span path, struct arena *a, struct route_match *ret,
                         const char **ret_allow);
/* The parameter's value; NULL if the pattern has none of that name. */
const char *route_param(const struct route_match *m, const char *name);

#define ROUTE_FIND(rows, n, method, path, a, ret, ret_allow) \
	route_find((rows), (n), sizeof((rows)[0]), (method), (path), (a), (ret), (ret_allow))
