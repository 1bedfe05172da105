#pragma once
/* Queries, forms and cookies: name=value lists in their three spellings. */
#include <stdbool.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/own.h"
#include "base/span.h"
#include "http/http.h"

enum { FORM_PAIRS_MAX = 256 };

/* One pair, decoded. Texts end in NUL and live in the arena. */
struct form_pair {
	const char *name, *value;
};

struct form {
	size_t n;
	struct form_pair *pair;
};

/*
 * A query ("a=1&b=2") or a body of type application/x-www-form-urlencoded.
 * ERR_MALFORMED (a broken escape, a NUL), ERR_LIMIT
 */
NODISCARD int form_parse(struct arena *a, struct span text, struct form *ret);
/* The first value of that name, or NULL. */
const char *form_get(const struct form *f, const char *name);
/* Appends "&name=value" ("name=value" to an empty buffer), encoded. */
void form_add(struct buf *b, const char *name, struct span value);

/* The first cookie of that name, as sent; .p is NULL if there is none. */
struct span cookie_get(const struct http_head *h, const char *name);

enum cookie_site { COOKIE_LAX, COOKIE_STRICT };
struct cookie {
	const char *name, *value; /* tokens, no decoding: hex or base64url */
	const char *path;         /* "/" if NULL */
	int64_t max_age_s;        /* 0: for the session; -1: forget it */
	bool secure;              /* only over https */
	enum cookie_site site;
};
/* The value for a Set-Cookie field; always HttpOnly. */
void cookie_put(struct buf *b, const struct cookie *c);
