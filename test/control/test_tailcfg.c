#include "control/tailcfg.h"

#include <stdlib.h>

#include "base/file.h"
#include "test/check.h"

/* What tailscale v1.102.5 writes for each type, full and empty: see golden/gen. */
static struct buf golden;

static bool next_case(struct span *rest, const struct js_type **type, struct span *json)
{
	struct span line;

	if (!span_cut(rest, '\n', &line) || line.n == 0)
		return false;

	size_t space = span_find(line, ' ');

	*type = tc_type_named(span_first(line, space));
	*json = span_from(line, space + 1);
	if (!*type)
		check_fail(__FILE__, __LINE__, "no type %.*s", SPAN_FMT(span_first(line, space)));
	return *type != NULL;
}

static void decode(struct arena *a, const struct js_type *t, struct span json, void *at,
                   struct buf *unknown)
{
	struct js_rd r;
	struct fault f = { 0 };

	js_rd_init(&r, a, json);
	r.unknown = unknown;
	if (js_rd_value(&r, t, at) < 0 || js_rd_end(&r) < 0) {
		(void)js_rd_fault(&r, &f);
		check_fail(__FILE__, __LINE__, "%s at %u: %s", t->name, f.column, f.message);
	}
}

static void no_field_of_the_real_client_is_left_unhandled(void)
{
	AUTO_DONE(buf) struct buf unknown = { 0 };
	struct span rest = buf_span(&golden), json;
	const struct js_type *t;
	unsigned n = 0;

	while (next_case(&rest, &t, &json)) {
		struct arena a = { 0 };

		decode(&a, t, json, arena_alloc(&a, t->size), &unknown);
		arena_done(&a);
		n++;
	}
	CHECK_STR(buf_text(&unknown), "");
	CHECK_EQ(n, 36);
}

static void what_the_real_client_writes_is_written_back_byte_for_byte(void)
{
	struct span rest = buf_span(&golden), json;
	const struct js_type *t;

	while (next_case(&rest, &t, &json)) {
		AUTO_DONE(buf) struct buf out = { 0 };
		struct arena a = { 0 };
		void *at = arena_alloc(&a, t->size);

		decode(&a, t, json, at, NULL);
		js_encode(&out, t, at);
		if (!span_eq(buf_span(&out), json)) {
			size_t i = 0;
			while (i < out.n && i < json.n && out.p[i] == json.p[i])
				i++;
			i = i > 40 ? i - 40 : 0;
			check_fail(__FILE__, __LINE__, "%s: got %.*s wanted %.*s", t->name,
			           SPAN_FMT(span_first(span_from(buf_span(&out), i), 90)),
			           SPAN_FMT(span_first(span_from(json, i), 90)));
		}
		arena_done(&a);
	}
}

static void a_clone_of_each_type_equals_it(void)
{
	struct span rest = buf_span(&golden), json;
	const struct js_type *t;

	while (next_case(&rest, &t, &json)) {
		struct arena a = { 0 };
		void *at = arena_alloc(&a, t->size);

		decode(&a, t, json, at, NULL);
		AUTO_FREE void *copy = js_clone(t, at);
		CHECK(js_same(t, copy, at));
		arena_done(&a);
		AUTO_DONE(buf) struct buf out = { 0 };
		js_encode(&out, t, copy);
		CHECK(span_eq(buf_span(&out), json));
	}
}

static void null_and_empty_allowed_ips_differ(void)
{
	struct arena a = { 0 };
	struct tc_node n;

	CHECK_OK(js_decode(&a, SPAN_LIT("{\"Addresses\":[\"100.64.0.1/32\"],\"AllowedIPs\":null}"),
	                   &tc_node_type, &n, NULL));
	CHECK_EQ(tc_node_allowed_ips(&n)->n, 1);
	CHECK_OK(js_decode(&a, SPAN_LIT("{\"Addresses\":[\"100.64.0.1/32\"],\"AllowedIPs\":[]}"),
	                   &tc_node_type, &n, NULL));
	CHECK_EQ(tc_node_allowed_ips(&n)->n, 0);
	arena_done(&a);
}

static void the_home_relay_is_read_from_either_field(void)
{
	struct tc_node n = { .derp = SPAN_LIT("127.3.3.40:17") };

	CHECK_EQ(tc_node_home_derp(&n), 17);
	n.home_derp = 9;
	CHECK_EQ(tc_node_home_derp(&n), 9);
	n = (struct tc_node){ .derp = SPAN_LIT("127.3.3.40:") };
	CHECK_EQ(tc_node_home_derp(&n), 0);
	n.derp = SPAN_LIT("1.2.3.4:5");
	CHECK_EQ(tc_node_home_derp(&n), 0);
}

static void an_exit_node_allows_both_default_routes(void)
{
	struct prefix v[2];
	struct tc_node n = { .allowed_ips = { v, 1, true } };

	CHECK_OK(prefix_parse(SPAN_LIT("0.0.0.0/0"), &v[0]));
	CHECK_OK(prefix_parse(SPAN_LIT("::/0"), &v[1]));
	CHECK(!tc_node_is_exit(&n));
	n.allowed_ips.n = 2;
	CHECK(tc_node_is_exit(&n));
}

static void the_examples_of_a_real_server_are_read(void)
{
	static const char text[] =
		"{\"Tags\":null,\"CapMap\":{\"https://tailscale.com/cap/ssh\":null,\"x\":[]},"
		"\"AllowedIPs\":null,\"HomeDERP\":7,\"DERP\":\"127.3.3.40:9\"}";
	struct arena a = { 0 };
	struct tc_node n;

	CHECK_OK(js_decode(&a, SPAN_LIT(text), &tc_node_type, &n, NULL));
	CHECK(tc_cap_find(&n.cap_map, "https://tailscale.com/cap/ssh") != NULL);
	CHECK(tc_cap_find(&n.cap_map, "x") != NULL);
	CHECK(tc_cap_find(&n.cap_map, "y") == NULL);
	CHECK_EQ(tc_node_home_derp(&n), 7);
	arena_done(&a);
}

int main(void)
{
	CHECK_OK(file_read(FAIRLEAD_GOLDEN "/tailcfg.txt", 1 << 20, &golden));
	RUN(no_field_of_the_real_client_is_left_unhandled);
	RUN(what_the_real_client_writes_is_written_back_byte_for_byte);
	RUN(a_clone_of_each_type_equals_it);
	RUN(null_and_empty_allowed_ips_differ);
	RUN(the_home_relay_is_read_from_either_field);
	RUN(an_exit_node_allows_both_default_routes);
	RUN(the_examples_of_a_real_server_are_read);
	buf_done(&golden);
	return check_done();
}
