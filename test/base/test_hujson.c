#include "base/hujson.h"

#include <stdlib.h>

#include "base/json.h"
#include "test/check.h"

/* clang-format off */
static const struct {
	const char *in, *want;
} cases[] = {
	{ "{}",                       "{}" },
	{ "{} // end",                "{}       " },
	{ "/* a\n b */{}",            "    \n     {}" },
	{ "[1,]",                     "[1 ]" },
	{ "[1, // c\n]",              "[1      \n]" },
	{ "{\"a\":1,/**/}",           "{\"a\":1     }" },
	{ "[\"//\", \"/*\", \",]\",]", "[\"//\", \"/*\", \",]\" ]" },
	{ "[\"\\\"//\"]",             "[\"\\\"//\"]" },
	{ "[1,,]",                    "[1,,]" },
	{ "[,]",                      "[,]" },
	{ "{,}",                      "{,}" },
	{ "[1,],",                    "[1 ]," },
	{ "[[1,],]",                  "[[1 ] ]" },
	{ "1 / 2",                    "1 / 2" },
	{ "\"open",                   "\"open" },
	{ "\"open\\",                 "\"open\\" },
};
/* clang-format on */

static void comments_and_trailing_commas_become_spaces(void)
{
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		AUTO_FREE char *text = str_dup(cases[i].in);

		CHECK_OK(hujson_to_json((uint8_t *)text, strlen(text), NULL));
		CHECK_STR(text, cases[i].want);
	}
}

static void an_endless_comment_is_named_with_its_place(void)
{
	char text[] = "{\n  /* no end *";
	struct fault f = { 0 };

	CHECK_EQ(hujson_to_json((uint8_t *)text, strlen(text), &f), ERR_MALFORMED);
	CHECK_EQ(f.line, 2);
	CHECK_EQ(f.column, 3);
}

int main(void)
{
	RUN(comments_and_trailing_commas_become_spaces);
	RUN(an_endless_comment_is_named_with_its_place);
	return check_done();
}
