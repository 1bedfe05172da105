/* The policy of a running tailnet follows its state. */
#include "base/err.h"
#include "coordinator/tailnet_policy.h"
#include "test/check.h"
#include "test/coordinator/tailnet.h"

static const char TEXT[] =
	"{\"tagOwners\":{\"tag:web\":[\"ann@\"]},"
	"\"acls\":[{\"action\":\"accept\",\"src\":[\"ann@\"],\"dst\":[\"tag:web:22\"]}],"
	"\"autoApprovers\":{\"routes\":{\"10.0.0.0/8\":[\"tag:web\"]}}}";

struct live {
	struct tailnet t;
	struct tailnet_policy *p;
	struct judge judge;
	const struct node *laptop, *web;
};

static void on_change(void *arg, const struct change *c)
{
	tailnet_policy_changed(arg, c);
}

static void setup(struct live *l)
{
	struct policy_issues issues = { 0 };

	*l = (struct live){ 0 };
	tailnet_open(&l->t, NULL);
	l->p = tailnet_policy_new("https://c.test");
	tailnet_policy_attach(l->p, l->t.st);
	tailnet_listen(&l->t, on_change, l->p);
	tailnet_policy_judge(l->p, &l->judge);
	CHECK_OK(tailnet_policy_set(l->p, SPAN_LIT(TEXT), POLICY_ON_WRITE, l->t.now, &issues));
	policy_issues_done(&issues);

	AUTO_FREE char *ann = tailnet_key(&l->t, l->t.ann, true, false, NULL);
	AUTO_FREE char *web = tailnet_key(&l->t, l->t.ann, true, false, "tag:web");

	l->laptop = tailnet_join(&l->t, 1, ann);
	l->web = tailnet_join(&l->t, 2, web);
	CHECK(l->laptop && l->web);
}

static void teardown(struct live *l)
{
	tailnet_listen(&l->t, NULL, NULL);
	tailnet_close(&l->t);
	tailnet_policy_free(l->p);
}

static bool sees(struct live *l, const struct node *a, const struct node *b)
{
	return l->judge.sees(l->judge.arg, a, b);
}

static void nodes_that_join_are_judged(void)
{
	struct live l;
	AUTO_DONE(buf) struct buf filter = { 0 };

	setup(&l);
	AUTO_FREE char *key = tailnet_key(&l.t, l.t.bob, true, false, NULL);
	const struct node *other = tailnet_join(&l.t, 3, key);

	CHECK(sees(&l, l.laptop, l.web) && sees(&l, l.web, l.laptop));
	CHECK(!sees(&l, other, l.web) && !sees(&l, other, l.laptop));
	l.judge.filter(l.judge.arg, l.web, &filter);
	CHECK(strstr(buf_text(&filter), "\"First\":22,\"Last\":22") != NULL);
	buf_clear(&filter);
	l.judge.filter(l.judge.arg, other, &filter);
	CHECK_STR(buf_text(&filter), "{\"base\":[]}");
	teardown(&l);
}

static void a_change_of_tags_counts_at_once(void)
{
	struct live l;
	struct texts tags = { 0 };
	uint64_t stamp;

	setup(&l);
	stamp = l.judge.stamp(l.judge.arg);
	texts_add(&tags, SPAN_LIT("tag:other"));
	CHECK_OK(state_node_set_tags(l.t.st, l.web->id, &tags, l.t.now, "test", NULL));
	CHECK(!sees(&l, l.laptop, state_node(l.t.st, 2)));
	CHECK(l.judge.stamp(l.judge.arg) > stamp);
	texts_done(&tags);
	teardown(&l);
}

static void a_bad_text_changes_nothing(void)
{
	struct live l;
	struct policy_issues issues = { 0 };
	struct fault why = { 0 };

	setup(&l);
	CHECK_EQ(tailnet_policy_set(l.p, SPAN_LIT("{\"acls\":[{}]}"), POLICY_ON_WRITE, l.t.now,
	                            &issues),
	         ERR_MALFORMED);
	tailnet_policy_explain(&issues, &why);
	CHECK_STR(why.message, "line 1, column 10: action must be specified: \"accept\"");
	CHECK(sees(&l, l.laptop, l.web));
	policy_issues_done(&issues);
	teardown(&l);
}

static void tests_that_fail_stop_a_write_but_not_a_start(void)
{
	static const char text[] =
		"{\"acls\":[],\"tests\":[{\"src\":\"ann@\",\"accept\":[\"100.64.0.2:22\"]}]}";
	struct live l;
	struct policy_issues issues = { 0 };

	setup(&l);
	CHECK_EQ(tailnet_policy_check(l.p, SPAN_LIT(text), &issues), ERR_MALFORMED);
	CHECK_EQ(tailnet_policy_set(l.p, SPAN_LIT(text), POLICY_ON_WRITE, l.t.now, &issues),
	         ERR_MALFORMED);
	CHECK(sees(&l, l.laptop, l.web));
	policy_issues_done(&issues);
	CHECK_OK(tailnet_policy_set(l.p, SPAN_LIT(text), POLICY_ON_START, l.t.now, &issues));
	CHECK(!sees(&l, l.laptop, l.web));
	policy_issues_done(&issues);
	teardown(&l);
}

static void tags_and_routes_are_the_policys_to_allow(void)
{
	struct live l;
	struct prefix inside = { ip4(10, 1, 0, 0), 16 }, outside = { ip4(192, 168, 0, 0), 16 };

	setup(&l);
	CHECK(tailnet_policy_may_tag(l.p, state_user(l.t.st, l.t.ann), NULL, "tag:web"));
	CHECK(!tailnet_policy_may_tag(l.p, state_user(l.t.st, l.t.bob), NULL, "tag:web"));
	CHECK(tailnet_policy_tag_known(l.p, "tag:web") && !tailnet_policy_tag_known(l.p, "tag:no"));
	CHECK(tailnet_policy_auto_approves(l.p, l.web, &inside));
	CHECK(!tailnet_policy_auto_approves(l.p, l.web, &outside));
	CHECK(!tailnet_policy_auto_approves(l.p, l.laptop, &inside));
	teardown(&l);
}

static void tests_run_again_when_nodes_change_and_what_fails_then_is_counted(void)
{
	struct live l;
	struct texts tags = { 0 };
	struct policy_issues issues = { 0 };

	setup(&l);
	CHECK_OK(tailnet_policy_set(
		l.p,
		SPAN_LIT("{\"tagOwners\":{\"tag:web\":[],\"tag:other\":[]},"
	                 "\"acls\":[{\"action\":\"accept\",\"src\":[\"ann@\"],"
	                 "\"dst\":[\"tag:web:22\"]}],\"tests\":[{\"src\":\"ann@\","
	                 "\"accept\":[\"tag:web:22\"]}]}"),
		POLICY_ON_WRITE, l.t.now, &issues));
	tailnet_policy_retest(l.p, l.t.now);
	CHECK_EQ(tailnet_policy_failing(l.p), 0);
	texts_add(&tags, SPAN_LIT("tag:other"));
	CHECK_OK(state_node_set_tags(l.t.st, l.web->id, &tags, l.t.now, "test", NULL));
	tailnet_policy_retest(l.p, l.t.now);
	CHECK_EQ(tailnet_policy_failing(l.p), 0); /* not so soon */
	l.t.now.us += RETEST_US;
	tailnet_policy_retest(l.p, l.t.now);
	CHECK_EQ(tailnet_policy_failing(l.p), 1);
	texts_done(&tags);
	policy_issues_done(&issues);
	teardown(&l);
}

int main(void)
{
	RUN(nodes_that_join_are_judged);
	RUN(a_change_of_tags_counts_at_once);
	RUN(a_bad_text_changes_nothing);
	RUN(tests_that_fail_stop_a_write_but_not_a_start);
	RUN(tags_and_routes_are_the_policys_to_allow);
	RUN(tests_run_again_when_nodes_change_and_what_fails_then_is_counted);
	return check_done();
}
