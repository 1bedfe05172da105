#include "http/http.h"

#include <assert.h>
#include <stdio.h>
#include <time.h>

#include "base/err.h"

struct span http_find(const struct http_head *h, const char *name)
{
	for (size_t i = 0; i < h->n_fields; i++) {
		if (span_is_nocase(h->field[i].name, name))
			return h->field[i].value;
	}
	return (struct span){ 0 };
}

size_t http_count(const struct http_head *h, const char *name)
{
	size_t n = 0;

	for (size_t i = 0; i < h->n_fields; i++)
		n += span_is_nocase(h->field[i].name, name);
	return n;
}

static bool list_has(struct span list, const char *token)
{
	struct span part;

	while (span_cut(&list, ',', &part)) {
		if (span_is_nocase(span_trim(part), token))
			return true;
	}
	return false;
}

bool http_has_token(const struct http_head *h, const char *name, const char *token)
{
	for (size_t i = 0; i < h->n_fields; i++) {
		if (span_is_nocase(h->field[i].name, name) && list_has(h->field[i].value, token))
			return true;
	}
	return false;
}

int http_add(struct http_head *h, struct span name, struct span value)
{
	if (h->n_fields == HTTP_FIELDS_MAX)
		return ERR_LIMIT;
	h->field[h->n_fields++] = (struct http_field){ name, value };
	return 0;
}

void http_put(struct http_head *h, const char *name, const char *value)
{
	int r = http_add(h, span_str(name), span_str(value));

	assert(r == 0);
}

static struct span copy(struct arena *a, struct span s)
{
	return s.p ? span(arena_dup(a, s.p, s.n), s.n) : s;
}

struct http_head *http_head_dup(struct arena *a, const struct http_head *h)
{
	size_t size = offsetof(struct http_head, field) + h->n_fields * sizeof(h->field[0]);
	struct http_head *to = arena_alloc(a, sizeof(*to));

	memcpy(to, h, size);
	to->method = copy(a, h->method);
	to->target = copy(a, h->target);
	to->authority = copy(a, h->authority);
	to->scheme = copy(a, h->scheme);
	to->reason = copy(a, h->reason);
	for (size_t i = 0; i < h->n_fields; i++) {
		to->field[i].name = copy(a, h->field[i].name);
		to->field[i].value = copy(a, h->field[i].value);
	}
	return to;
}

static bool is_tchar(uint8_t c)
{
	if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'))
		return true;
	return c && strchr("!#$%&'*+-.^_`|~", c);
}

bool http_is_token(struct span s)
{
	for (size_t i = 0; i < s.n; i++) {
		if (!is_tchar(s.p[i]))
			return false;
	}
	return s.n > 0;
}

bool http_is_value(struct span s)
{
	for (size_t i = 0; i < s.n; i++) {
		if ((s.p[i] < 0x20 && s.p[i] != '\t') || s.p[i] == 0x7f)
			return false;
	}
	return true;
}

const char *http_reason(unsigned status)
{
	/* clang-format off */
	static const struct {
		unsigned status;
		const char *reason;
	} table[] = {
		{ 100, "Continue" },
		{ 101, "Switching Protocols" },
		{ 200, "OK" },
		{ 201, "Created" },
		{ 202, "Accepted" },
		{ 204, "No Content" },
		{ 206, "Partial Content" },
		{ 301, "Moved Permanently" },
		{ 302, "Found" },
		{ 303, "See Other" },
		{ 304, "Not Modified" },
		{ 307, "Temporary Redirect" },
		{ 308, "Permanent Redirect" },
		{ 400, "Bad Request" },
		{ 401, "Unauthorized" },
		{ 403, "Forbidden" },
		{ 404, "Not Found" },
		{ 405, "Method Not Allowed" },
		{ 406, "Not Acceptable" },
		{ 408, "Request Timeout" },
		{ 409, "Conflict" },
		{ 410, "Gone" },
		{ 411, "Length Required" },
		{ 412, "Precondition Failed" },
		{ 413, "Request Entity Too Large" },
		{ 414, "Request URI Too Long" },
		{ 415, "Unsupported Media Type" },
		{ 416, "Requested Range Not Satisfiable" },
		{ 417, "Expectation Failed" },
		{ 421, "Misdirected Request" },
		{ 422, "Unprocessable Entity" },
		{ 426, "Upgrade Required" },
		{ 429, "Too Many Requests" },
		{ 431, "Request Header Fields Too Large" },
		{ 500, "Internal Server Error" },
		{ 501, "Not Implemented" },
		{ 502, "Bad Gateway" },
		{ 503, "Service Unavailable" },
		{ 504, "Gateway Timeout" },
		{ 505, "HTTP Version Not Supported" },
		{ 507, "Insufficient Storage" },
	};
	/* clang-format on */

	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		if (table[i].status == status)
			return table[i].reason;
	}
	return "";
}

bool http_status_has_body(unsigned status)
{
	return status >= 200 && status != 204 && status != 304;
}

bool http_media_is(struct span content_type, const char *type)
{
	size_t end = span_find(content_type, ';');

	return span_is_nocase(span_trim(span_first(content_type, end)), type);
}

const char *http_date(int64_t unix_s, char dst[static HTTP_DATE_MAX])
{
	static const char days[] = "SunMonTueWedThuFriSat";
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	time_t t = (time_t)unix_s;
	struct tm tm = { 0 };

	(void)gmtime_r(&t, &tm);
	(void)snprintf(dst, HTTP_DATE_MAX, "%.3s, %02u %.3s %04u %02u:%02u:%02u GMT",
	               days + tm.tm_wday * 3, (unsigned)tm.tm_mday % 100u, months + tm.tm_mon * 3,
	               ((unsigned)tm.tm_year + 1900u) % 10000u, (unsigned)tm.tm_hour % 100u,
	               (unsigned)tm.tm_min % 100u, (unsigned)tm.tm_sec % 100u);
	return dst;
}
