/*
 * YAML as Headscale's commands print it: the fields of its records under the
 * names of their Go structs in lower case, also those that are empty, with four
 * spaces a level.
 */
#include <string.h>

#include "coordinator/cmd_priv.h"

enum kind { NUMBER, TEXT, BOOL, TIME, LIST, RECORD };

struct field {
	const char *name; /* as in JSON */
	enum kind kind;
	const struct field *record;
};

/* clang-format off */
static const struct field user[] = {
	{ "id", NUMBER }, { "name", TEXT }, { "created_at", TIME }, { "display_name", TEXT },
	{ "email", TEXT }, { "provider_id", TEXT }, { "provider", TEXT },
	{ "profile_pic_url", TEXT }, { 0 },
};
static const struct field auth_key[] = {
	{ "user", RECORD, user }, { "id", NUMBER }, { "key", TEXT }, { "reusable", BOOL },
	{ "ephemeral", BOOL }, { "used", BOOL }, { "expiration", TIME }, { "created_at", TIME },
	{ "acl_tags", LIST }, { 0 },
};
static const struct field api_key[] = {
	{ "id", NUMBER }, { "prefix", TEXT }, { "expiration", TIME }, { "created_at", TIME },
	{ "last_seen", TIME }, { 0 },
};
static const struct field node[] = {
	{ "id", NUMBER }, { "machine_key", TEXT }, { "node_key", TEXT }, { "disco_key", TEXT },
	{ "ip_addresses", LIST }, { "name", TEXT }, { "user", RECORD, user }, { "last_seen", TIME },
	{ "expiry", TIME }, { "pre_auth_key", RECORD, auth_key }, { "created_at", TIME },
	{ "register_method", NUMBER }, { "given_name", TEXT }, { "online", BOOL },
	{ "approved_routes", LIST }, { "available_routes", LIST }, { "subnet_routes", LIST },
	{ "tags", LIST }, { 0 },
};
static const struct field changes[] = { { "changes", LIST }, { 0 } };
static const struct field connectivity[] = { { "database_connectivity", BOOL }, { 0 } };

static const struct {
	const char *op;
	const struct field *record;
} records[] = {
	{ "nodes.backfillips", changes }, { "users.delete", NULL }, { "nodes.delete", NULL },
	{ "nodes.ask", NULL },
	{ "users.", user }, { "nodes.", node }, { "preauthkeys.", auth_key }, { "apikeys.", api_key },
	{ "health", connectivity }, { "debug.", node },
};
/* clang-format on */

/* What is being written: in a list, the first level stands behind "- ". */
struct out {
	struct buf *b;
	bool in_list;
};

static void indent(const struct out *o, unsigned depth)
{
	unsigned n = depth ? depth * 4 : o->in_list ? 2 : 0;

	for (unsigned i = 0; i < n; i++)
		buf_add_u8(o->b, ' ');
}

/* ---- scalars ---- */

static bool reads_as_something_else(struct span s)
{
	static const char *const words[] = { "true", "false", "null", "yes", "no",   "on",
		                             "off",  "y",     "n",    "~",   ".nan", ".inf" };
	size_t dots = 0, digits = 0, others = 0;

	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (span_is_nocase(s, words[i]))
			return true;
	for (size_t i = 0; i < s.n; i++) {
		dots += s.p[i] == '.';
		digits += s.p[i] >= '0' && s.p[i] <= '9';
		others += i == 0 ? s.p[i] == '-' || s.p[i] == '+' : s.p[i] == '_';
	}
	return digits && dots <= 1 && dots + digits + others == s.n;
}

/* Characters that mean something where they stand. */
static bool needs_quotes(struct span s)
{
	if (strchr("-?:,[]{}#&*!|>'\"%@` ", s.p[0]) || s.p[s.n - 1] == ' ' || s.p[s.n - 1] == ':')
		return !(s.n > 1 && strchr("-?:", s.p[0]) && s.p[1] != ' ');
	for (size_t i = 1; i < s.n; i++)
		if ((s.p[i] == '#' && s.p[i - 1] == ' ') || (s.p[i] == ' ' && s.p[i - 1] == ':'))
			return true;
	return false;
}

static bool is_printable(struct span s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] < ' ' || s.p[i] == 0x7f)
			return false;
	return true;
}

static void put_text(struct buf *out, struct span s)
{
	struct js_wr w = js_wr_of(out);

	if (s.n == 0 || !is_printable(s) || reads_as_something_else(s)) {
		js_wr_span(&w, s); /* in double quotes YAML reads what JSON writes */
	} else if (needs_quotes(s)) {
		buf_add_u8(out, '\'');
		for (size_t i = 0; i < s.n; i++) {
			if (s.p[i] == '\'')
				buf_add_u8(out, '\'');
			buf_add_u8(out, s.p[i]);
		}
		buf_add_u8(out, '\'');
	} else {
		buf_add_span(out, s);
	}
}

/* ---- records ---- */

static void put_key(struct buf *b, const char *name)
{
	for (; *name; name++)
		if (*name != '_')
			buf_add_u8(b, (uint8_t)*name);
	buf_add_u8(b, ':');
}

static void put_record(const struct out *o, const struct field *f, const struct js *v,
                       unsigned depth);

static void put_time(const struct out *o, const struct js *v, unsigned depth)
{
	buf_add_u8(o->b, '\n');
	indent(o, depth + 1);
	buf_fmt(o->b, "seconds: %lld\n", (long long)js_int(js_get(v, "seconds"), 0));
	indent(o, depth + 1);
	buf_fmt(o->b, "nanos: %lld\n", (long long)js_int(js_get(v, "nanos"), 0));
}

static void put_list(const struct out *o, const struct js *v, unsigned depth)
{
	if (!js_first(v)) {
		buf_add_str(o->b, " []\n");
		return;
	}
	buf_add_u8(o->b, '\n');
	for (const struct js *m = js_first(v); m; m = m->next) {
		indent(o, depth + 1);
		buf_add_str(o->b, "- ");
		put_text(o->b, m->text);
		buf_add_u8(o->b, '\n');
	}
}

static void put_scalar(struct buf *b, enum kind kind, const struct js *v)
{
	buf_add_u8(b, ' ');
	if (kind == NUMBER)
		buf_fmt(b, "%lld", (long long)js_int(v, 0));
	else if (kind == BOOL)
		buf_add_str(b, js_truth(v, false) ? "true" : "false");
	else
		put_text(b, js_text(v));
	buf_add_u8(b, '\n');
}

static void put_member(const struct out *o, const struct field *f, const struct js *v,
                       unsigned depth)
{
	put_key(o->b, f->name);
	switch (f->kind) {
	case LIST:
		put_list(o, v, depth);
		break;
	case TIME:
		if (v)
			put_time(o, v, depth);
		else
			buf_add_str(o->b, " null\n");
		break;
	case RECORD:
		buf_add_str(o->b, v ? "\n" : " null\n");
		if (v)
			put_record(o, f->record, v, depth + 1);
		break;
	case NUMBER:
	case TEXT:
	case BOOL:
		put_scalar(o->b, f->kind, v);
		break;
	}
}

static void put_record(const struct out *o, const struct field *f, const struct js *v,
                       unsigned depth)
{
	for (const struct field *at = f; at->name; at++) {
		/* The first member of a list's record stands in the line of the dash. */
		if (at != f || depth || !o->in_list)
			indent(o, depth);
		put_member(o, at, js_get(v, at->name), depth);
	}
}

/* What has no table: an object of texts, or one text. */
static void put_plain(struct buf *b, const struct js *v)
{
	if (v->kind != JS_OBJECT) {
		put_text(b, v->text);
		buf_add_u8(b, '\n');
		return;
	}
	if (!js_first(v))
		buf_add_str(b, "{}\n");
	for (const struct js *m = js_first(v); m; m = m->next) {
		buf_add_span(b, m->key);
		buf_add_str(b, ": ");
		put_text(b, m->text);
		buf_add_u8(b, '\n');
	}
}

static const struct field *record_of(const char *op)
{
	for (size_t i = 0; op && i < ARRAY_LEN(records); i++)
		if (strncmp(op, records[i].op, strlen(records[i].op)) == 0)
			return records[i].record;
	return NULL;
}

void cmd_yaml(const char *op, const struct js *answer, struct buf *out)
{
	const struct field *record = record_of(op);
	struct out o = { out, answer->kind == JS_ARRAY };

	if (o.in_list && !js_first(answer)) {
		buf_add_str(out, "[]\n");
	} else if (o.in_list && record) {
		for (const struct js *m = js_first(answer); m; m = m->next) {
			buf_add_str(out, "- ");
			put_record(&o, record, m, 0);
		}
	} else if (answer->kind == JS_OBJECT && record && (js_first(answer) || record == changes)) {
		put_record(&o, record, answer, 0);
	} else {
		put_plain(out, answer);
	}
}
