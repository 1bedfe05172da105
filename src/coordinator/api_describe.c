/*
 * The API's description: OpenAPI, made of the table of routes and of the records
 * below, in the words of both contracts.
 *
 * What a request takes and an answer holds is one text, fields between blanks:
 *
 *	name		a text
 *	name:KIND	id (a number as text), bool, int, time, map (of texts), or a record
 *	name:KIND?	may be null
 *	name:KIND*	a list
 *	?name		(of requests) in the query
 *	~name		(of requests) in the query of 0.29, in the body of the coming one
 */
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "coordinator/api.h"

/* clang-format off */
static const struct record {
	const char *name, *fields;
} records[] = {
	{ "User", "id:id name createdAt:time displayName email providerId provider profilePicUrl role" },
	{ "PreAuthKey", "user:User? id:id key reusable:bool ephemeral:bool used:bool expiration:time? "
	                "createdAt:time? aclTags:text*" },
	{ "ApiKey", "id:id prefix expiration:time? createdAt:time? lastSeen:time?" },
	{ "Node", "id:id machineKey nodeKey discoKey ipAddresses:text* name user:User? lastSeen:time? "
	          "expiry:time? preAuthKey:PreAuthKey? createdAt:time? registerMethod givenName online:bool "
	          "approvedRoutes:text* availableRoutes:text* subnetRoutes:text* tags:text* authorized:bool "
	          "attributes:map" },
	{ "AuditEntry", "id:id at:time actor action target before:any after:any" },
	{ "Status", "code:int message details:any*" },
	{ "Problem", "title status:int detail" },
};

static const struct scalar {
	const char *name, *type, *format;
} scalars[] = {
	{ "",     "string", NULL },
	{ "text", "string", NULL },
	{ "id",   "string", "uint64" },
	{ "bool", "boolean", NULL },
	{ "int",  "integer", "int32" },
	{ "time", "string", "date-time" },
	{ "map",  "object", NULL },
	{ "any",  NULL, NULL },
};
/* clang-format on */

/* What differs between the two contracts. */
struct dialect {
	bool coming;           /* OpenAPI 3.0; else 2.0 */
	const char *refs;      /* where records are */
	const char *prefix;    /* of their names */
	const char *operation; /* and of the operations' */
	const char *null;      /* the word for "may be null" */
};

static const struct dialect contract_029 = { false, "#/definitions/", "v1", "HeadscaleService_",
	                                     "x-nullable" };
static const struct dialect contract_coming = { true, "#/components/schemas/", "", "", "nullable" };

struct describing {
	const struct dialect *d;
	struct js_wr w;
};

enum { API_NAME_MAX = 96 };

struct field {
	char place; /* '?', '~', or 0: the body */
	struct span name, kind;
	bool list, null;
};

static bool next_field(struct span *rest, struct field *ret)
{
	struct span word;

	if (!span_word(rest, &word))
		return false;
	*ret = (struct field){ 0 };
	if (span_starts(word, "?") || span_starts(word, "~")) {
		ret->place = (char)word.p[0];
		word = span_from(word, 1);
	}
	ret->list = span_ends(word, "*");
	ret->null = span_ends(word, "?");
	word = span_first(word, word.n - (ret->list || ret->null));
	ret->name = span_first(word, span_find(word, ':'));
	ret->kind = span_from(word, ret->name.n + (ret->name.n < word.n));
	return true;
}

/* ---- schemas ---- */

static void put_ref(struct describing *g, struct span name)
{
	char text[API_NAME_MAX];

	(void)snprintf(text, sizeof(text), "%s%.*s", g->d->refs, SPAN_FMT(name));
	js_wr_open(&g->w, JS_OBJECT);
	js_wr_kv_str(&g->w, "$ref", text);
	js_wr_close(&g->w, JS_OBJECT);
}

static void put_record_ref(struct describing *g, struct span record)
{
	char text[API_NAME_MAX];

	(void)snprintf(text, sizeof(text), "%s%.*s", g->d->prefix, SPAN_FMT(record));
	put_ref(g, span_str(text));
}

static const struct scalar *find_scalar(struct span kind)
{
	for (size_t i = 0; i < ARRAY_LEN(scalars); i++)
		if (span_is(kind, scalars[i].name))
			return &scalars[i];
	return NULL;
}

static void put_scalar(struct describing *g, const struct scalar *s)
{
	if (s->type)
		js_wr_kv_str(&g->w, "type", s->type);
	if (s->format)
		js_wr_kv_str(&g->w, "format", s->format);
	if (strcmp(s->name, "map") == 0) {
		js_wr_key(&g->w, "additionalProperties");
		js_wr_raw(&g->w, SPAN_LIT("{\"type\":\"string\"}"));
	}
}

static void put_kind(struct describing *g, const struct field *f)
{
	const struct scalar *s = find_scalar(f->kind);

	if (!s && !f->null) {
		put_record_ref(g, f->kind);
		return;
	}
	js_wr_open(&g->w, JS_OBJECT);
	if (s) {
		put_scalar(g, s);
	} else { /* nothing may stand beside a $ref */
		js_wr_key(&g->w, "allOf");
		js_wr_open(&g->w, JS_ARRAY);
		put_record_ref(g, f->kind);
		js_wr_close(&g->w, JS_ARRAY);
	}
	if (f->null)
		js_wr_kv_bool(&g->w, g->d->null, true);
	js_wr_close(&g->w, JS_OBJECT);
}

static void put_schema(struct describing *g, const struct field *f)
{
	if (!f->list) {
		put_kind(g, f);
		return;
	}
	js_wr_open(&g->w, JS_OBJECT);
	js_wr_kv_str(&g->w, "type", "array");
	js_wr_key(&g->w, "items");
	put_kind(g, f);
	js_wr_close(&g->w, JS_OBJECT);
}

static bool in_body(const struct describing *g, const struct field *f)
{
	return !f->place || (f->place == '~' && g->d->coming);
}

/* The fields that stand in a body. An answer always has them all. */
static void put_object(struct describing *g, const char *fields, bool answer)
{
	struct span rest = span_str(fields);
	struct field f;

	js_wr_open(&g->w, JS_OBJECT);
	js_wr_kv_str(&g->w, "type", "object");
	js_wr_key(&g->w, "properties");
	js_wr_open(&g->w, JS_OBJECT);
	while (next_field(&rest, &f))
		if (in_body(g, &f)) {
			js_wr_key_span(&g->w, f.name);
			put_schema(g, &f);
		}
	js_wr_close(&g->w, JS_OBJECT);
	if (answer && *fields) {
		js_wr_key(&g->w, "required");
		js_wr_open(&g->w, JS_ARRAY);
		for (rest = span_str(fields); next_field(&rest, &f);)
			js_wr_span(&g->w, f.name);
		js_wr_close(&g->w, JS_ARRAY);
	}
	js_wr_close(&g->w, JS_OBJECT);
}

/* ---- requests and answers of their own ---- */

static bool has_body(const struct describing *g, const struct api_row *row)
{
	struct span rest = span_str(row->takes);
	struct field f;

	while (next_field(&rest, &f))
		if (in_body(g, &f))
			return true;
	return false;
}

static char capital(const struct api_row *row)
{
	return (char)(row->name[0] - 'a' + 'A');
}

static const char *answer_name(const struct describing *g, const struct api_row *row,
                               char dst[static API_NAME_MAX])
{
	(void)snprintf(dst, API_NAME_MAX, "%s%c%sResponse", g->d->prefix, capital(row),
	               row->name + 1);
	return dst;
}

/* 0.29 names those apart that have something in the path, too. */
static const char *request_name(const struct describing *g, const struct api_row *row,
                                char dst[static API_NAME_MAX])
{
	bool body = !g->d->coming && strchr(row->route.pattern, '{');

	(void)snprintf(dst, API_NAME_MAX, "%s%c%s%s", body ? "HeadscaleService" : g->d->prefix,
	               capital(row), row->name + 1, body ? "Body" : "Request");
	return dst;
}

static void put_definitions(struct describing *g)
{
	char name[API_NAME_MAX];

	js_wr_open(&g->w, JS_OBJECT);
	for (size_t i = 0; i < ARRAY_LEN(records); i++) {
		(void)snprintf(name, sizeof(name), "%s%s", g->d->prefix, records[i].name);
		js_wr_key(&g->w, name);
		put_object(g, records[i].fields, true);
	}
	for (const struct api_row *row = api_rows; row < api_rows + api_rows_n; row++) {
		if (!row->answers)
			continue;
		if (has_body(g, row)) {
			js_wr_key(&g->w, request_name(g, row, name));
			put_object(g, row->takes, false);
		}
		js_wr_key(&g->w, answer_name(g, row, name));
		put_object(g, row->answers, true);
	}
	js_wr_close(&g->w, JS_OBJECT);
}

/* ---- operations ---- */

/* A parameter's type: beside its name in 2.0, in a schema in 3.0. */
static void put_parameter(struct describing *g, const struct field *f, const char *in)
{
	js_wr_open(&g->w, JS_OBJECT);
	js_wr_kv_span(&g->w, "name", f->name);
	js_wr_kv_str(&g->w, "in", in);
	js_wr_kv_bool(&g->w, "required", strcmp(in, "path") == 0);
	if (g->d->coming) {
		js_wr_key(&g->w, "schema");
		put_kind(g, f);
	} else {
		put_scalar(g, find_scalar(f->kind));
	}
	js_wr_close(&g->w, JS_OBJECT);
}

static void put_path_parameters(struct describing *g, const struct api_row *row)
{
	struct span rest = span_str(row->route.pattern), part;

	while (span_cut(&rest, '/', &part))
		if (span_starts(part, "{")) {
			struct field f = { .name = span(part.p + 1, part.n - 2),
				           .kind = SPAN_LIT("text") };

			if (span_ends(f.name, "Id") || span_is(f.name, "id"))
				f.kind = SPAN_LIT("id");
			put_parameter(g, &f, "path");
		}
}

static void put_parameters(struct describing *g, const struct api_row *row)
{
	struct span takes = span_str(row->takes);
	char name[API_NAME_MAX];
	struct field f;

	js_wr_key(&g->w, "parameters");
	js_wr_open(&g->w, JS_ARRAY);
	put_path_parameters(g, row);
	while (next_field(&takes, &f))
		if (!in_body(g, &f))
			put_parameter(g, &f, "query");
	if (!g->d->coming && has_body(g, row)) {
		js_wr_open(&g->w, JS_OBJECT);
		js_wr_kv_str(&g->w, "name", "body");
		js_wr_kv_str(&g->w, "in", "body");
		js_wr_kv_bool(&g->w, "required", true);
		js_wr_key(&g->w, "schema");
		put_ref(g, span_str(request_name(g, row, name)));
		js_wr_close(&g->w, JS_OBJECT);
	}
	js_wr_close(&g->w, JS_ARRAY);
}

/* In 3.0 what a body is, under its type; in 2.0 the schema alone. */
static void put_content(struct describing *g, const char *type, struct span ref)
{
	if (g->d->coming) {
		js_wr_key(&g->w, type);
		js_wr_open(&g->w, JS_OBJECT);
	}
	js_wr_key(&g->w, "schema");
	put_ref(g, ref);
	if (g->d->coming)
		js_wr_close(&g->w, JS_OBJECT);
}

static void put_request_body(struct describing *g, const struct api_row *row)
{
	char name[API_NAME_MAX];

	if (!g->d->coming || !has_body(g, row))
		return;
	js_wr_key(&g->w, "requestBody");
	js_wr_open(&g->w, JS_OBJECT);
	js_wr_key(&g->w, "content");
	js_wr_open(&g->w, JS_OBJECT);
	put_content(g, "application/json", span_str(request_name(g, row, name)));
	js_wr_close(&g->w, JS_OBJECT);
	js_wr_close(&g->w, JS_OBJECT);
}

static void open_response(struct describing *g, const char *status, const char *description)
{
	js_wr_key(&g->w, status);
	js_wr_open(&g->w, JS_OBJECT);
	js_wr_kv_str(&g->w, "description", description);
	if (g->d->coming) {
		js_wr_key(&g->w, "content");
		js_wr_open(&g->w, JS_OBJECT);
	}
}

static void close_response(struct describing *g)
{
	if (g->d->coming)
		js_wr_close(&g->w, JS_OBJECT);
	js_wr_close(&g->w, JS_OBJECT);
}

static void put_responses(struct describing *g, const struct api_row *row)
{
	char name[API_NAME_MAX];

	js_wr_key(&g->w, "responses");
	js_wr_open(&g->w, JS_OBJECT);
	open_response(g, "200", "done");
	put_content(g, "application/json", span_str(answer_name(g, row, name)));
	close_response(g);
	open_response(g, "default", "why not");
	(void)snprintf(name, sizeof(name), "%sStatus", g->d->prefix);
	put_content(g, "application/json", span_str(name));
	if (g->d->coming)
		put_content(g, "application/problem+json", SPAN_LIT("Problem"));
	close_response(g);
	js_wr_close(&g->w, JS_OBJECT);
}

static void put_operation(struct describing *g, const struct api_row *row)
{
	char text[API_NAME_MAX];
	size_t n = 0;

	for (; n + 1 < sizeof(text) && row->route.method[n]; n++)
		text[n] = (char)(row->route.method[n] | 0x20);
	text[n] = 0;
	js_wr_key(&g->w, text);
	js_wr_open(&g->w, JS_OBJECT);
	(void)snprintf(text, sizeof(text), "%s%c%s", g->d->operation,
	               g->d->coming ? row->name[0] : capital(row), row->name + 1);
	js_wr_kv_str(&g->w, "operationId", text);
	js_wr_kv_str(&g->w, "summary", row->summary);
	put_parameters(g, row);
	put_request_body(g, row);
	put_responses(g, row);
	js_wr_close(&g->w, JS_OBJECT);
}

/* A path stands once, with all its methods. The description does not describe itself. */
static bool is_first(const struct api_row *row)
{
	for (const struct api_row *k = api_rows; k < row; k++)
		if (strcmp(k->route.pattern, row->route.pattern) == 0)
			return false;
	return row->answers != NULL;
}

static void put_paths(struct describing *g)
{
	const struct api_row *end = api_rows + api_rows_n;

	js_wr_open(&g->w, JS_OBJECT);
	for (const struct api_row *row = api_rows; row < end; row++) {
		if (!is_first(row))
			continue;
		js_wr_key(&g->w, row->route.pattern);
		js_wr_open(&g->w, JS_OBJECT);
		for (const struct api_row *k = row; k < end; k++)
			if (strcmp(k->route.pattern, row->route.pattern) == 0)
				put_operation(g, k);
		js_wr_close(&g->w, JS_OBJECT);
	}
	js_wr_close(&g->w, JS_OBJECT);
}

static void put_info(struct describing *g)
{
	js_wr_kv_str(&g->w, g->d->coming ? "openapi" : "swagger", g->d->coming ? "3.0.3" : "2.0");
	js_wr_key(&g->w, "info");
	js_wr_raw(&g->w, SPAN_LIT("{\"title\":\"Headscale API of fairlead-coordinator\","
	                          "\"version\":\"v1\"}"));
	js_wr_key(&g->w, "security");
	js_wr_raw(&g->w, SPAN_LIT("[{\"bearer\":[]}]"));
}

/* As 0.29 has it: OpenAPI 2.0. */
void api_describe_029(struct buf *out)
{
	struct describing g = { &contract_029, js_wr_of(out) };

	js_wr_open(&g.w, JS_OBJECT);
	put_info(&g);
	js_wr_key(&g.w, "consumes");
	js_wr_raw(&g.w, SPAN_LIT("[\"application/json\"]"));
	js_wr_key(&g.w, "produces");
	js_wr_raw(&g.w, SPAN_LIT("[\"application/json\"]"));
	js_wr_key(&g.w, "securityDefinitions");
	js_wr_raw(&g.w, SPAN_LIT("{\"bearer\":{\"type\":\"apiKey\",\"in\":\"header\","
	                         "\"name\":\"Authorization\"}}"));
	js_wr_key(&g.w, "paths");
	put_paths(&g);
	js_wr_key(&g.w, "definitions");
	put_definitions(&g);
	js_wr_close(&g.w, JS_OBJECT);
}

/* As the coming one has it: OpenAPI 3.0, as JSON, which is YAML too. */
void api_describe(struct buf *out)
{
	struct describing g = { &contract_coming, js_wr_of(out) };

	js_wr_open(&g.w, JS_OBJECT);
	put_info(&g);
	js_wr_key(&g.w, "paths");
	put_paths(&g);
	js_wr_key(&g.w, "components");
	js_wr_open(&g.w, JS_OBJECT);
	js_wr_key(&g.w, "securitySchemes");
	js_wr_raw(&g.w, SPAN_LIT("{\"bearer\":{\"type\":\"http\",\"scheme\":\"bearer\"}}"));
	js_wr_key(&g.w, "schemas");
	put_definitions(&g);
	js_wr_close(&g.w, JS_OBJECT);
	js_wr_close(&g.w, JS_OBJECT);
}
