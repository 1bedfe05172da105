#pragma once
/*
 * What HTTP/1 and HTTP/2 have in common: heads, fields, tokens, statuses.
 * RFC 9110. Everything in a head is a view; whoever keeps one copies it.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/own.h"
#include "base/span.h"

enum {
	HTTP_FIELDS_MAX = 64,
	HTTP_HEAD_MAX = 32 << 10, /* bytes of a whole head */
	HTTP_NAME_MAX = 256,      /* bytes of a field's name */
};

struct http_field {
	struct span name, value;
};

/* A request's or a response's. What does not apply is empty. */
struct http_head {
	struct span method, target; /* request; target as sent, "/path?query" */
	struct span authority;      /* request: Host or :authority */
	struct span scheme;         /* HTTP/2 requests */
	unsigned status;            /* response */
	struct span reason;         /* HTTP/1 responses */
	unsigned minor;             /* HTTP/1: of the version; HTTP/2: 0 */
	size_t n_fields;
	struct http_field field[HTTP_FIELDS_MAX];
};

/* The first value of that name in any case; .p is NULL if there is none. */
struct span http_find(const struct http_head *h, const char *name);
/* How many fields have that name. */
size_t http_count(const struct http_head *h, const char *name);
/* Whether a comma-separated list field, in all its occurrences, has the token (any case). */
bool http_has_token(const struct http_head *h, const char *name, const char *token);
/* ERR_LIMIT at HTTP_FIELDS_MAX. Views are kept. */
NODISCARD int http_add(struct http_head *h, struct span name, struct span value);
/* The same for texts that outlive the head; a full head is the caller's mistake and asserted. */
void http_put(struct http_head *h, const char *name, const char *value);
/* Everything the head looks at, copied into the arena. */
struct http_head *http_head_dup(struct arena *a, const struct http_head *h);

/* RFC 9110 tchar, one or more. */
bool http_is_token(struct span s);
/* No control character but the tab. */
bool http_is_value(struct span s);
/* "OK", "Not Found"; "" if there is no name for it. */
const char *http_reason(unsigned status);
/* 1xx, 204 and 304 have no body. */
bool http_status_has_body(unsigned status);

/* The media type of a Content-Type is this one, whatever its parameters. */
bool http_media_is(struct span content_type, const char *type);
/* "Sun, 06 Nov 1994 08:49:37 GMT" */
enum { HTTP_DATE_MAX = 32 };
const char *http_date(int64_t unix_s, char dst[static HTTP_DATE_MAX]);
