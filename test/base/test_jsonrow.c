#include "base/jsonrow.h"

#include <stdlib.h>

#include "test/check.h"

struct pet {
	struct span name;
	int64_t legs;
};

struct person {
	struct span name;
	enum js_obool tall;
	uint16_t age;
	struct pet *pet;
	JS_LIST_OF(struct pet) pets;
	JS_LIST_OF(struct span) aliases;
	JS_MAP_OF(bool) likes;
	JS_MAP_OF(struct pet *) named;
	struct span note; /* raw */
	struct span photo;
	wall born;
	struct prefix home;
	struct ip ip;
	struct addr at;
};

#define AT(f) offsetof(struct person, f)
/* clang-format off */
static const struct js_row pet_rows[] = {
	{ "name", &js_t_str, offsetof(struct pet, name) },
	{ "legs", &js_t_int, offsetof(struct pet, legs), JS_OMIT },
	{ 0 },
};
static const struct js_type pet_type = JS_STRUCT_OF("pet", struct pet, pet_rows);
static const struct js_row person_rows[] = {
	{ "Name",    &js_t_str,                     AT(name)                   },
	{ "Tall",    &js_t_obool,                   AT(tall)                   },
	{ "Age",     &js_t_u16,                     AT(age),     JS_OMIT       },
	{ "Pet",     JS_PTR_T(&pet_type),           AT(pet)                    },
	{ "Pets",    JS_LIST_T(&pet_type),          AT(pets),    JS_OMIT_NULL  },
	{ "Aliases", JS_LIST_T(&js_t_str),          AT(aliases), JS_OMIT       },
	{ "Likes",   JS_MAP_T(&js_t_bool),          AT(likes),   JS_OMIT       },
	{ "Named",   JS_MAP_T(JS_PTR_T(&pet_type)), AT(named),   JS_OMIT       },
	{ "Note",    &js_t_raw,                     AT(note),    JS_OMIT       },
	{ "Photo",   &js_t_b64,                     AT(photo),   JS_OMIT       },
	{ "Born",    &js_t_time,                    AT(born)                   },
	{ "Home",    &js_t_prefix,                  AT(home),    JS_OMIT       },
	{ "IP",      &js_t_ip,                      AT(ip)                     },
	{ "At",      &js_t_addr,                    AT(at)                     },
	{ 0 },
};
static const struct js_type person_type = JS_STRUCT_OF("person", struct person, person_rows);
/* clang-format on */

static const char full[] =
	"{\"Name\":\"Ada\",\"Tall\":false,\"Age\":36,\"Pet\":{\"name\":\"cat\",\"legs\":4},"
	"\"Pets\":[{\"name\":\"x\"},{\"name\":\"\",\"legs\":-1}],\"Aliases\":[\"a\",\"b\"],"
	"\"Likes\":{\"17\":true,\"x\":false},\"Named\":{\"k\":{\"name\":\"z\"},\"n\":null},"
	"\"Note\":{\"a\": [1]},\"Photo\":\"AAEC\",\"Born\":\"1815-12-10T00:00:00Z\","
	"\"Home\":\"10.0.0.0/8\",\"IP\":\"::1\",\"At\":\"1.2.3.4:5\"}";
static const char zero[] = "{\"Name\":\"\",\"Tall\":null,\"Pet\":null,\"Born\":\"0001-01-01T00:00:"
                           "00Z\",\"IP\":\"\",\"At\":\"\"}";

static void decode(struct arena *a, const char *text, struct person *ret)
{
	struct fault f = { 0 };

	if (js_decode(a, span_str(text), &person_type, ret, &f) < 0)
		check_fail(__FILE__, __LINE__, "%u:%u %s", f.line, f.column, f.message);
}

static void expect_text(const struct person *p, const char *want)
{
	AUTO_DONE(buf) struct buf out = { 0 };

	js_encode(&out, &person_type, p);
	CHECK_STR(buf_text(&out), want);
}

static void what_is_decoded_is_encoded_the_same(void)
{
	struct arena a = { 0 };
	struct person p;

	decode(&a, full, &p);
	CHECK_EQ(p.tall, OBOOL_FALSE);
	CHECK_EQ(p.pets.n, 2);
	CHECK_EQ(p.pets.v[1].legs, -1);
	CHECK(span_is(p.likes.v[0].key, "17") && p.likes.v[0].value);
	CHECK(p.named.v[1].value == NULL);
	CHECK_EQ(p.photo.n, 3);
	expect_text(&p, full);
	decode(&a, zero, &p);
	expect_text(&p, zero);
	arena_done(&a);
}

static void null_and_empty_are_told_apart(void)
{
	struct arena a = { 0 };
	struct person p;

	decode(&a, "{\"Pets\":[],\"Aliases\":null}", &p);
	CHECK(p.pets.set && p.pets.n == 0);
	CHECK(!p.aliases.set);
	expect_text(&p, "{\"Name\":\"\",\"Tall\":null,\"Pet\":null,\"Pets\":[],"
	                "\"Born\":\"0001-01-01T00:00:00Z\",\"IP\":\"\",\"At\":\"\"}");
	arena_done(&a);
}

static void names_match_in_any_case_and_any_order(void)
{
	struct arena a = { 0 };
	struct person p;

	decode(&a, "{\"AGE\":3,\"name\":\"x\",\"Tall\":true}", &p);
	CHECK_EQ(p.age, 3);
	CHECK(span_is(p.name, "x"));
	CHECK_EQ(p.tall, OBOOL_TRUE);
	arena_done(&a);
}

static void unknown_fields_are_passed_over_and_listed(void)
{
	AUTO_DONE(buf) struct buf unknown = { 0 };
	struct arena a = { 0 };
	struct person p = { 0 };
	struct js_rd r;

	js_rd_init(&r, &a, SPAN_LIT("{\"X\":[{\"y\":1}],\"Pet\":{\"tail\":null},\"Age\":9}"));
	r.unknown = &unknown;
	CHECK_OK(js_rd_value(&r, &person_type, &p));
	CHECK_STR(buf_text(&unknown), "person.X\npet.tail\n");
	CHECK_EQ(p.age, 9);
	arena_done(&a);
}

static void a_value_of_the_wrong_kind_is_refused_with_its_place(void)
{
	static const char *const bad[] = {
		"[]",
		"{\"Age\":-1}",
		"{\"Age\":65536}",
		"{\"Age\":\"1\"}",
		"{\"Pets\":{}}",
		"{\"Name\":1}",
		"{\"Home\":\"\"}",
		"{\"Home\":\"10.0.0.1\"}",
		"{\"Tall\":0}",
		"{\"IP\":\"x\"}",
		"{\"Photo\":\"A\"}",
		"{\"Born\":\"yesterday\"}",
		"{\"At\":\"1.2.3.4\"}",
	};
	struct fault f = { 0 };
	struct person p;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct arena a = { 0 };

		if (js_decode(&a, span_str(bad[i]), &person_type, &p, &f) == 0)
			check_fail(__FILE__, __LINE__, "accepted %s", bad[i]);
		CHECK(f.line == 1 && f.column >= 1);
		arena_done(&a);
	}
}

static void every_truncation_is_refused(void)
{
	struct person p;

	for (size_t n = 0; n < sizeof(full) - 1; n++) {
		struct arena a = { 0 };

		CHECK(js_decode(&a, span(full, n), &person_type, &p, NULL) < 0);
		arena_done(&a);
	}
}

static void a_clone_stands_on_its_own(void)
{
	struct arena a = { 0 };
	struct person p;

	decode(&a, full, &p);
	AUTO_FREE struct person *copy = js_clone(&person_type, &p);

	CHECK(js_same(&person_type, copy, &p));
	copy->pets.v[0].legs = 99;
	CHECK(!js_same(&person_type, copy, &p));
	copy->pets.v[0].legs = 0;
	arena_done(&a);
	expect_text(copy, full);
}

static void small_text_cannot_take_large_memory(void)
{
	struct arena a = { 0 };
	struct person p = { 0 };
	struct js_rd r;

	js_rd_init(&r, &a, SPAN_LIT("{\"Pets\":[{},{},{},{},{},{},{},{},{},{},{},{}]}"));
	r.budget = 10 * sizeof(struct pet);
	CHECK_EQ(js_rd_value(&r, &person_type, &p), ERR_LIMIT);
	arena_done(&a);
}

int main(void)
{
	RUN(what_is_decoded_is_encoded_the_same);
	RUN(null_and_empty_are_told_apart);
	RUN(names_match_in_any_case_and_any_order);
	RUN(unknown_fields_are_passed_over_and_listed);
	RUN(a_value_of_the_wrong_kind_is_refused_with_its_place);
	RUN(every_truncation_is_refused);
	RUN(a_clone_stands_on_its_own);
	RUN(small_text_cannot_take_large_memory);
	return check_done();
}
