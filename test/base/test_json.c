#include "base/json.h"

#include <stdlib.h>

#include "test/check.h"

static int parse(struct arena *a, const char *text, struct js **ret, struct fault *f)
{
	return js_parse(a, span_str(text), true, ret, f);
}

/* clang-format off */
static const char *const accepted[] = {
	"null", " true ", "[]", "{}", "[1,2]", "{\"a\":1,\"b\":[{}]}", "\"\"", "-0", "0.5", "1e9", "-1.5E-3",
	"9223372036854775807", "\"\\u00e9\\ud83d\\ude00\\n\"", "[[[]]]", "{\"\":null}", "[ ]", "{ }",
};
static const char *const refused[] = {
	"", " ", "nul", "tru", "[", "]", "[1", "[1,]", "[,1]", "[,]", "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{a:1}", "{,}",
	"01", "-", "1.", ".5", "1e", "+1", "\"", "\"\\x\"", "\"\\u12g4\"", "\"\n\"", "\"\\", "1 2", "[1 2]", "{}}",
	"\"\xff\"", "\"\xc0\x80\"", "\"\xed\xa0\x80\"", "{\"a\":1 \"b\":2}", "{\"a\":1,\"a\":2}", "[1}", "{\"a\":1]", "NaN",
};
/* clang-format on */

static void what_the_grammar_allows_is_read(void)
{
	for (size_t i = 0; i < ARRAY_LEN(accepted); i++) {
		struct arena a = { 0 };
		struct js *v = NULL;
		struct fault f = { 0 };

		if (parse(&a, accepted[i], &v, &f) < 0)
			check_fail(__FILE__, __LINE__, "%s: %s", accepted[i], f.message);
		arena_done(&a);
	}
}

static void what_it_forbids_is_refused(void)
{
	for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
		struct arena a = { 0 };
		struct js *v = NULL;

		if (parse(&a, refused[i], &v, NULL) == 0)
			check_fail(__FILE__, __LINE__, "accepted %s", refused[i]);
		CHECK(v == NULL);
		arena_done(&a);
	}
}

static void an_error_names_line_and_column(void)
{
	struct arena a = { 0 };
	struct js *v = NULL;
	struct fault f = { 0 };

	CHECK_EQ(parse(&a, "{\n  \"a\": 1,\n  \"b\": x\n}", &v, &f), ERR_MALFORMED);
	CHECK_EQ(f.line, 3);
	CHECK_EQ(f.column, 8);
	CHECK_STR(f.message, "expected a value");
	arena_done(&a);
}

static void values_can_be_looked_up_and_know_their_place(void)
{
	static const char text[] =
		"{\"id\": 9007199254740993,\n \"ok\": true, \"name\": \"a\\u0062\"}";
	struct arena a = { 0 };
	struct js *v = NULL;
	struct fault f = { 0 };

	CHECK_OK(parse(&a, text, &v, &f));
	CHECK_EQ(js_int(js_get(v, "id"), 0), INT64_C(9007199254740993));
	CHECK(js_truth(js_get(v, "ok"), false));
	CHECK(span_is(js_text(js_get(v, "name")), "ab"));
	CHECK(js_get(v, "Name") == NULL);
	CHECK_EQ(js_int(js_get(v, "none"), -7), -7);
	CHECK_EQ(js_fault(span_str(text), js_get(v, "ok"), &f, "no %s", "good"), ERR_MALFORMED);
	CHECK_EQ(f.line, 2);
	CHECK_EQ(f.column, 8);
	CHECK_STR(f.message, "no good");
	arena_done(&a);
}

static void nesting_has_a_bound(void)
{
	char deep[JS_DEPTH_MAX * 4] = { 0 };
	struct arena a = { 0 };
	struct js *v = NULL;

	memset(deep, '[', JS_DEPTH_MAX + 1);
	memset(deep + JS_DEPTH_MAX + 1, ']', JS_DEPTH_MAX + 1);
	CHECK_EQ(parse(&a, deep, &v, NULL), ERR_LIMIT);
	memset(deep, 0, sizeof(deep));
	memset(deep, '[', JS_DEPTH_MAX);
	memset(deep + JS_DEPTH_MAX, ']', JS_DEPTH_MAX);
	CHECK_OK(parse(&a, deep, &v, NULL));
	arena_done(&a);
}

static void memory_has_a_bound(void)
{
	struct arena a = { 0 };
	struct js_rd r;
	struct span s;

	js_rd_init(&r, &a, SPAN_LIT("[\"abcdef\"]"));
	r.budget = 6;
	CHECK_OK(js_rd_enter(&r, JS_ARRAY));
	CHECK_EQ(js_rd_next(&r), 1);
	CHECK_EQ(js_rd_string(&r, &s), ERR_LIMIT);
	arena_done(&a);
}

static void integers_keep_their_64_bits_and_their_bounds(void)
{
	struct js_rd r;
	int64_t v = 0;

	js_rd_init(&r, NULL, SPAN_LIT("-9223372036854775808"));
	CHECK_OK(js_rd_int(&r, INT64_MIN, INT64_MAX, &v));
	CHECK(v == INT64_MIN);
	js_rd_init(&r, NULL, SPAN_LIT("9223372036854775808"));
	CHECK(js_rd_int(&r, INT64_MIN, INT64_MAX, &v) < 0);
	js_rd_init(&r, NULL, SPAN_LIT("65536"));
	CHECK(js_rd_int(&r, 0, 65535, &v) < 0);
	js_rd_init(&r, NULL, SPAN_LIT("1.5"));
	CHECK(js_rd_int(&r, 0, 65535, &v) < 0);
}

static void a_skipped_value_is_a_view_of_its_text(void)
{
	struct js_rd r;
	struct span s = { 0 }, key;

	js_rd_init(&r, NULL, SPAN_LIT("{\"x\": [1, {\"y\":\"]\"}] }"));
	CHECK_OK(js_rd_enter(&r, JS_OBJECT));
	CHECK_EQ(js_rd_next_key(&r, &key), 1);
	CHECK_OK(js_rd_skip(&r, &s));
	CHECK(span_is(s, "[1, {\"y\":\"]\"}]"));
	CHECK_EQ(js_rd_next_key(&r, &key), 0);
	CHECK_OK(js_rd_end(&r));
}

static void writing_escapes_as_go_does(void)
{
	AUTO_DONE(buf) struct buf out = { 0 };
	struct js_wr w = js_wr_of(&out);

	js_wr_str(&w, "<a>&\"\\\n\x01\xe2\x80\xa8\xff\xc3\xa9");
	CHECK_STR(buf_text(&out),
	          "\"\\u003ca\\u003e\\u0026\\\"\\\\\\n\\u0001\\u2028\\ufffd\xc3\xa9\"");
}

static void writing_places_commas_and_indents(void)
{
	AUTO_DONE(buf) struct buf out = { 0 };
	struct js_wr w = js_wr_of(&out);

	w.indent = "\t";
	js_wr_open(&w, JS_OBJECT);
	js_wr_kv_int(&w, "a", -1);
	js_wr_key(&w, "b");
	js_wr_open(&w, JS_ARRAY);
	js_wr_bool(&w, true);
	js_wr_double(&w, 0.1);
	js_wr_close(&w, JS_ARRAY);
	js_wr_key(&w, "c");
	js_wr_open(&w, JS_OBJECT);
	js_wr_close(&w, JS_OBJECT);
	js_wr_close(&w, JS_OBJECT);
	CHECK_STR(buf_text(&out),
	          "{\n\t\"a\": -1,\n\t\"b\": [\n\t\ttrue,\n\t\t0.1\n\t],\n\t\"c\": {}\n}");
}

static void a_tree_is_written_as_it_was_read(void)
{
	static const char text[] = "{\"a\":[1,-2.50,\"x\\\"y\",null,true],\"b\":{\"c\":{}}}";
	AUTO_DONE(buf) struct buf out = { 0 };
	struct js_wr w = js_wr_of(&out);
	struct arena a = { 0 };
	struct js *v = NULL;

	CHECK_OK(parse(&a, text, &v, NULL));
	js_wr_tree(&w, v);
	CHECK_STR(buf_text(&out), text);
	arena_done(&a);
}

int main(void)
{
	RUN(what_the_grammar_allows_is_read);
	RUN(what_it_forbids_is_refused);
	RUN(an_error_names_line_and_column);
	RUN(values_can_be_looked_up_and_know_their_place);
	RUN(nesting_has_a_bound);
	RUN(memory_has_a_bound);
	RUN(integers_keep_their_64_bits_and_their_bounds);
	RUN(a_skipped_value_is_a_view_of_its_text);
	RUN(writing_escapes_as_go_does);
	RUN(writing_places_commas_and_indents);
	RUN(a_tree_is_written_as_it_was_read);
	return check_done();
}
