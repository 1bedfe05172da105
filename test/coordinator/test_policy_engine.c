/*
 * Properties of the policy engine that hold for any policy: drawn policies on a
 * drawn tailnet, changed in ways whose effect is known beforehand.
 */
#include "coordinator/policy/engine.h"

#include "base/err.h"
#include "base/ipset.h"
#include "base/rand.h"
#include "coordinator/policy/tests.h"
#include "test/check.h"

enum { USERS = 4, NODES = 10, ROUNDS = 150 };

static const struct pol_user users[USERS] = {
	{ .id = 1, .name = "u1", .email = "u1@a.test", .role = POL_ROLE_OWNER },
	{ .id = 2, .name = "u2", .email = "u2@a.test", .role = POL_ROLE_ADMIN },
	{ .id = 3, .name = "u3", .email = "u3@b.test" },
	{ .id = 4, .name = "u4", .email = "u4@b.test" },
};
static const char *const tag_lists[3][2] = { { "tag:x", "tag:y" }, { "tag:x" }, { "tag:y" } };
static const size_t tag_counts[3] = { 2, 1, 1 };
static const struct prefix route_list[] = {
	{ { { [10] = 0xff, [11] = 0xff, 10, 20 } }, 16 },
	{ { { [10] = 0xff, [11] = 0xff } }, 0 },
};

static struct pol_node draw_node(struct rand_src *r, uint64_t id)
{
	struct pol_node n = {
		.id = id, .name = "n", .ip4 = ip4(100, 64, 0, (uint8_t)id), .usable = true
	};
	static const struct posture_attr linux_attr = { "node:os", "linux" };

	n.ip6 = (struct ip){ { 0xfd, 0x7a, 0x11, 0x5c, 0xa1, 0xe0, [15] = (uint8_t)id } };
	if (rand_src_below(r, 3)) {
		n.user = 1 + rand_src_below(r, USERS);
	} else {
		size_t t = rand_src_below(r, ARRAY_LEN(tag_lists));

		n.tags = tag_lists[t];
		n.n_tags = tag_counts[t];
	}
	if (rand_src_below(r, 4) == 0) {
		n.routes = route_list + rand_src_below(r, 2);
		n.n_routes = 1;
	}
	if (rand_src_below(r, 2)) {
		n.attrs = &linux_attr;
		n.n_attrs = 1;
	}
	return n;
}

static const char *pick(struct rand_src *r, const char *const *from, size_t n)
{
	return from[rand_src_below(r, n)];
}

/* One grant as text. */
static void draw_rule(struct rand_src *r, struct buf *to, bool posture)
{
	static const char *const src[] = { "*",
		                           "u1@",
		                           "u3@b.test",
		                           "group:g",
		                           "tag:x",
		                           "tag:y",
		                           "autogroup:member",
		                           "autogroup:tagged",
		                           "10.20.1.0/24",
		                           "100.64.0.3",
		                           "user:*@b.test",
		                           "autogroup:admin" };
	static const char *const dst[] = { "*",
		                           "u2@",
		                           "group:g",
		                           "tag:x",
		                           "tag:y",
		                           "10.20.0.0/24",
		                           "autogroup:member",
		                           "autogroup:internet",
		                           "100.64.0.5",
		                           "autogroup:tagged" };
	static const char *const ports[] = { "*", "22", "tcp:80-90", "udp:53" };

	buf_fmt(to, "{\"src\":[\"%s\"],\"dst\":[\"%s\",\"%s\"],\"ip\":[\"%s\"]%s}",
	        pick(r, src, ARRAY_LEN(src)), pick(r, dst, ARRAY_LEN(dst)),
	        pick(r, dst, ARRAY_LEN(dst)), pick(r, ports, ARRAY_LEN(ports)),
	        posture ? ",\"srcPosture\":[\"posture:l\"]" : "");
}

static const char HEAD[] = "{\"groups\":{\"group:g\":[\"u2@a.test\",\"u4@\"]},"
			   "\"tagOwners\":{\"tag:x\":[],\"tag:y\":[]},"
			   "\"postures\":{\"posture:l\":[\"node:os == 'linux'\"]},\"grants\":[";

static struct pol_engine *engine_of(const char *text, const struct pol_node *nodes, size_t n)
{
	struct pol_tailnet tailnet = { users, USERS, nodes, n };
	struct policy_issues issues = { 0 };
	struct pol_engine *e = NULL;

	if (pol_accept(span_str(text), &tailnet, &e, &issues, NULL) < 0)
		CHECK_STR(policy_issues_error(&issues)->message, "");
	policy_issues_done(&issues);
	return e;
}

static void join_rules(struct buf *out, struct buf *rules, size_t n, bool backwards)
{
	buf_clear(out);
	buf_add_str(out, HEAD);
	for (size_t i = 0; i < n; i++) {
		if (i)
			buf_add_u8(out, ',');
		buf_add_span(out, buf_span(&rules[backwards ? n - 1 - i : i]));
	}
	buf_add_str(out, "]}");
}

/* May src reach dst on TCP port 22 or 85? By the filter that dst gets. */
static bool allows(struct pol_engine *e, const struct pol_node *src, uint64_t dst)
{
	struct pol_filter f = { 0 };
	bool found = false;

	pol_filter_of(e, dst, &f);
	vec_each(const struct pol_filter_rule *, r, &f.rules)
		for (size_t i = 0; r->dst.n && i < r->src->n && !found; i++) {
			struct iprange range;

			found = strcmp(r->src->v[i], "*") == 0 ||
			        (iprange_parse(span_str(r->src->v[i]), &range) == 0 &&
			         iprange_has(&range, &src->ip4));
		}
	pol_filter_done(&f);
	return found;
}

struct world {
	struct rand_src rand;
	struct pol_node nodes[NODES];
	struct buf rules[4];
	size_t n;
	struct buf text;
};

static void draw_world(struct world *w, bool posture)
{
	w->n = 1 + rand_src_below(&w->rand, ARRAY_LEN(w->rules));
	for (uint64_t i = 0; i < NODES; i++)
		w->nodes[i] = draw_node(&w->rand, i + 1);
	for (size_t i = 0; i < w->n; i++) {
		buf_clear(&w->rules[i]);
		draw_rule(&w->rand, &w->rules[i], posture);
	}
}

static void world_done(struct world *w)
{
	for (size_t i = 0; i < ARRAY_LEN(w->rules); i++)
		buf_done(&w->rules[i]);
	buf_done(&w->text);
}

static void the_order_of_rules_means_nothing(void)
{
	struct world w = { 0 };

	rand_seeded(&w.rand, 1);
	for (unsigned round = 0; round < ROUNDS; round++) {
		draw_world(&w, false);
		join_rules(&w.text, w.rules, w.n, false);
		AUTO(pol_engine_free)
		struct pol_engine *a = engine_of(buf_text(&w.text), w.nodes, NODES);
		join_rules(&w.text, w.rules, w.n, true);
		AUTO(pol_engine_free)
		struct pol_engine *b = engine_of(buf_text(&w.text), w.nodes, NODES);

		for (uint64_t i = 1; a && b && i <= NODES; i++)
			for (uint64_t k = 1; k <= NODES; k++) {
				CHECK_EQ(pol_sees(a, i, k), pol_sees(b, i, k));
				CHECK_EQ(allows(a, &w.nodes[i - 1], k),
				         allows(b, &w.nodes[i - 1], k));
			}
	}
	world_done(&w);
}

static void one_rule_more_never_takes_anything_away(void)
{
	struct world w = { 0 };

	rand_seeded(&w.rand, 2);
	for (unsigned round = 0; round < ROUNDS; round++) {
		draw_world(&w, false);
		join_rules(&w.text, w.rules, w.n - 1, false);
		AUTO(pol_engine_free)
		struct pol_engine *less = engine_of(buf_text(&w.text), w.nodes, NODES);
		join_rules(&w.text, w.rules, w.n, false);
		AUTO(pol_engine_free)
		struct pol_engine *more = engine_of(buf_text(&w.text), w.nodes, NODES);

		for (uint64_t i = 1; less && more && i <= NODES; i++)
			for (uint64_t k = 1; k <= NODES; k++) {
				CHECK(!pol_sees(less, i, k) || pol_sees(more, i, k));
				CHECK(!allows(less, &w.nodes[i - 1], k) ||
				      allows(more, &w.nodes[i - 1], k));
			}
	}
	world_done(&w);
}

/* The same rules, each under a posture. */
static void a_posture_never_widens(void)
{
	struct world w = { 0 };
	struct rand_src saved;

	rand_seeded(&w.rand, 3);
	for (unsigned round = 0; round < ROUNDS; round++) {
		saved = w.rand;
		draw_world(&w, false);
		join_rules(&w.text, w.rules, w.n, false);
		AUTO(pol_engine_free)
		struct pol_engine *open = engine_of(buf_text(&w.text), w.nodes, NODES);
		w.rand = saved;
		draw_world(&w, true);
		join_rules(&w.text, w.rules, w.n, false);
		AUTO(pol_engine_free)
		struct pol_engine *strict = engine_of(buf_text(&w.text), w.nodes, NODES);

		for (uint64_t i = 1; open && strict && i <= NODES; i++)
			for (uint64_t k = 1; k <= NODES; k++) {
				CHECK(!pol_sees(strict, i, k) || pol_sees(open, i, k));
				CHECK(!allows(strict, &w.nodes[i - 1], k) ||
				      allows(open, &w.nodes[i - 1], k));
				CHECK(!allows(strict, &w.nodes[i - 1], k) ||
				      w.nodes[i - 1].n_attrs);
			}
	}
	world_done(&w);
}

static void visibility_follows_the_filters(void)
{
	struct world w = { 0 };

	rand_seeded(&w.rand, 4);
	for (unsigned round = 0; round < ROUNDS; round++) {
		draw_world(&w, false);
		join_rules(&w.text, w.rules, w.n, false);
		AUTO(pol_engine_free)
		struct pol_engine *e = engine_of(buf_text(&w.text), w.nodes, NODES);

		for (uint64_t i = 1; e && i <= NODES; i++)
			for (uint64_t k = 1; k <= NODES; k++) {
				CHECK(i == k || !allows(e, &w.nodes[i - 1], k) ||
				      pol_sees(e, i, k));
				CHECK_EQ(pol_sees(e, i, k), pol_sees(e, k, i));
			}
	}
	world_done(&w);
}

static void filter_text(struct pol_engine *e, uint64_t id, struct buf *to)
{
	struct pol_filter f = { 0 };

	buf_clear(to);
	pol_filter_of(e, id, &f);
	pol_filter_json(&f, to);
	pol_filter_done(&f);
}

/* Nodes come, go and change in any order; the end is as if they had always been so. */
static void changes_in_any_order_end_where_a_fresh_start_does(void)
{
	struct world w = { 0 };
	struct pol_change c;

	rand_seeded(&w.rand, 5);
	for (unsigned round = 0; round < ROUNDS; round++) {
		AUTO_DONE(buf) struct buf was = { 0 };
		AUTO_DONE(buf) struct buf is = { 0 };

		draw_world(&w, round & 1);
		join_rules(&w.text, w.rules, w.n, false);
		AUTO(pol_engine_free)
		struct pol_engine *moved = engine_of(buf_text(&w.text), NULL, 0);

		for (unsigned step = 0; moved && step < 30; step++) {
			struct pol_node n = draw_node(&w.rand, 1 + rand_src_below(&w.rand, NODES));
			uint64_t watch = 1 + rand_src_below(&w.rand, NODES);

			uint64_t at = pol_engine_seq(moved);

			filter_text(moved, watch, &was);
			if (rand_src_below(&w.rand, 4))
				pol_engine_put(moved, &n, &c);
			else
				pol_engine_remove(moved, n.id, &c);
			filter_text(moved, watch, &is);
			/* Who was not called touched kept the filter. */
			CHECK(watch == n.id || pol_filter_touched(moved, watch, &c) ||
			      span_eq(buf_span(&was), buf_span(&is)));
			CHECK(pol_touched_since(moved, watch, at) ||
			      span_eq(buf_span(&was), buf_span(&is)));
		}
		for (size_t i = 0; moved && i < NODES; i++)
			pol_engine_put(moved, &w.nodes[i], &c);
		AUTO(pol_engine_free)
		struct pol_engine *fresh = engine_of(buf_text(&w.text), w.nodes, NODES);

		for (uint64_t i = 1; moved && fresh && i <= NODES; i++) {
			filter_text(moved, i, &was);
			filter_text(fresh, i, &is);
			CHECK(span_eq(buf_span(&was), buf_span(&is)));
			for (uint64_t k = 1; k <= NODES; k++)
				CHECK_EQ(pol_sees(moved, i, k), pol_sees(fresh, i, k));
		}
		CHECK(!moved || !fresh || pol_engine_classes(moved) == pol_engine_classes(fresh));
	}
	world_done(&w);
}

/* Asked once after many changes, also after more than are remembered. */
static void whom_no_change_touched_kept_the_filter(void)
{
	struct world w = { 0 };
	struct buf was[NODES] = { { 0 } }, is = { 0 };
	struct pol_change c;

	rand_seeded(&w.rand, 8);
	for (unsigned round = 0; round < ROUNDS; round++) {
		unsigned steps = round % 16 == 15 ? 1500 : 1 + round % 7;

		draw_world(&w, round & 1);
		join_rules(&w.text, w.rules, w.n, false);
		AUTO(pol_engine_free)
		struct pol_engine *e = engine_of(buf_text(&w.text), w.nodes, NODES);
		uint64_t since = e ? pol_engine_seq(e) : 0;

		for (uint64_t i = 0; e && i < NODES; i++)
			filter_text(e, i + 1, &was[i]);
		for (unsigned k = 0; e && k < steps; k++) {
			struct pol_node n = draw_node(&w.rand, 1 + rand_src_below(&w.rand, NODES));

			pol_engine_put(e, &n, &c);
		}
		for (uint64_t i = 0; e && i < NODES; i++) {
			filter_text(e, i + 1, &is);
			CHECK(pol_touched_since(e, i + 1, since) ||
			      span_eq(buf_span(&was[i]), buf_span(&is)));
			CHECK(!pol_touched_since(e, i + 1, pol_engine_seq(e)));
		}
	}
	for (size_t i = 0; i < NODES; i++)
		buf_done(&was[i]);
	buf_done(&is);
	world_done(&w);
}

static void nodes_of_one_class_key_see_the_same(void)
{
	struct world w = { 0 };

	rand_seeded(&w.rand, 6);
	for (unsigned round = 0; round < ROUNDS; round++) {
		draw_world(&w, false);
		join_rules(&w.text, w.rules, w.n, false);
		AUTO(pol_engine_free)
		struct pol_engine *e = engine_of(buf_text(&w.text), w.nodes, NODES);

		for (uint64_t a = 1; e && a <= NODES; a++)
			for (uint64_t b = a + 1; b <= NODES; b++)
				for (uint64_t c = 1; c <= NODES; c++)
					CHECK(c == a || c == b ||
					      pol_class_key(e, a) != pol_class_key(e, b) ||
					      pol_sees(e, a, c) == pol_sees(e, b, c));
	}
	world_done(&w);
}

static void a_user_who_logs_in_later_is_found(void)
{
	static const char *const claims[] = { "eng" };
	static const struct pol_user late[] = {
		{ .id = 9, .name = "late", .email = "late@a.test", .groups = claims, .n_groups = 1 }
	};
	static const char text[] = "{\"tagOwners\":{\"tag:x\":[]},\"acls\":[{\"action\":\"accept\","
				   "\"src\":[\"group:eng@idp\"],\"dst\":[\"tag:x:22\"]}]}";
	struct pol_node nodes[2] = { { .id = 1, .name = "a", .user = 9, .ip4 = ip4(100, 64, 0, 1) },
		                     { .id = 2,
		                       .name = "b",
		                       .ip4 = ip4(100, 64, 0, 2),
		                       .tags = tag_lists[1],
		                       .n_tags = 1 } };
	AUTO(pol_engine_free) struct pol_engine *e = engine_of(text, nodes, 2);

	CHECK(!pol_sees(e, 1, 2));
	pol_engine_users(e, late, 1, NULL);
	CHECK(pol_sees(e, 1, 2));
	CHECK(allows(e, &nodes[0], 2));
}

static void a_name_of_two_users_is_refused(void)
{
	static const struct pol_user twins[] = {
		{ .id = 1, .name = "sam", .email = "sam@a.test" },
		{ .id = 2, .name = "sam", .email = "sam@b.test" }
	};
	struct pol_tailnet tailnet = { twins, 2, NULL, 0 };
	struct policy_issues issues = { 0 };
	struct pol_engine *e = NULL;

	CHECK_EQ(pol_accept(SPAN_LIT("{\"acls\":[{\"action\":\"accept\",\"src\":[\"sam@\"],"
	                             "\"dst\":[\"*:*\"]}]}"),
	                    &tailnet, &e, &issues, NULL),
	         ERR_MALFORMED);
	const struct policy_issue *i = policy_issues_error(&issues);

	CHECK(i && i->code == POLICY_AMBIGUOUS_USER && i->column == 36);
	CHECK_STR(i ? i->pointer : "", "/acls/0/src/0");
	policy_issues_done(&issues);
}

int main(void)
{
	RUN(the_order_of_rules_means_nothing);
	RUN(one_rule_more_never_takes_anything_away);
	RUN(a_posture_never_widens);
	RUN(visibility_follows_the_filters);
	RUN(changes_in_any_order_end_where_a_fresh_start_does);
	RUN(whom_no_change_touched_kept_the_filter);
	RUN(nodes_of_one_class_key_see_the_same);
	RUN(a_user_who_logs_in_later_is_found);
	RUN(a_name_of_two_users_is_refused);
	return check_done();
}
