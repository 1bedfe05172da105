#include "node/conffile.h"

#include <errno.h>

#include "base/err.h"
#include "test/check.h"

static struct conffile *parse(const char *text)
{
	struct conffile *c = NULL;
	struct fault f = { 0 };

	CHECK_OK(conffile_parse(span_str(text), &c, &f));
	CHECK_STR(f.message, "");
	return c;
}

static void refuse(const char *text, const char *why)
{
	struct conffile *c = NULL;
	struct fault f = { 0 };

	CHECK_EQ(conffile_parse(span_str(text), &c, &f), ERR_MALFORMED);
	if (!strstr(f.message, why))
		CHECK_STR(f.message, why);
	CHECK(!c);
}

static struct prefs *applied(const char *text)
{
	AUTO(conffile_free) struct conffile *c = parse(text);
	AUTO(prefs_free) struct prefs *old = prefs_new();
	struct prefs *p = NULL;
	struct fault f = { 0 };

	CHECK_OK(conffile_apply(c, old, &p, &f));
	return p;
}

static void what_the_file_names_is_taken_and_the_rest_stays(void)
{
	AUTO(prefs_free)
	struct prefs *p = applied("// by hand\n"
	                          "{\"version\": \"alpha0\", \"ServerURL\": "
	                          "\"https://ctl.example\", \"Hostname\": \"box\",\n"
	                          " \"acceptRoutes\": true, \"AdvertiseRoutes\": "
	                          "[\"10.1.0.0/16\",], \"AdvertiseExitNode\": true,\n"
	                          " \"NetfilterMode\": \"nodivert\", \"OperatorUser\": \"ann\", "
	                          "\"RelayServerPort\": 7000}");

	CHECK(span_is(p->control_url, "https://ctl.example"));
	CHECK(span_is(p->hostname, "box"));
	CHECK(span_is(p->operator_user, "ann"));
	CHECK(p->want_running && p->route_all && p->corp_dns);
	CHECK_EQ(p->advertise_routes.n, 3);
	CHECK(prefs_offers_exit(p));
	CHECK_EQ(p->netfilter_mode, NETFILTER_NODIVERT);
	CHECK_EQ(*p->relay_server_port, 7000);
}

static void enabled_is_true_unless_it_is_said_to_be_false(void)
{
	AUTO(prefs_free) struct prefs *on = applied("{\"version\":\"alpha0\"}");
	AUTO(prefs_free)
	struct prefs *off = applied(
		"{\"version\":\"alpha0\",\"enabled\":false,\"acceptDNS\":false}");

	CHECK(on->want_running);
	CHECK(!off->want_running && !off->corp_dns);
}

static void an_exit_node_is_named_by_address_or_by_id(void)
{
	AUTO(prefs_free)
	struct prefs *ip = applied("{\"version\":\"alpha0\",\"exitNode\":\"100.64.0.9\"}");
	AUTO(prefs_free)
	struct prefs *id = applied("{\"version\":\"alpha0\",\"exitNode\":\"nXYZ\"}");

	CHECK(!ip_is_zero(&ip->exit_node_ip));
	CHECK_EQ(ip->exit_node_id.n, 0);
	CHECK(span_is(id->exit_node_id, "nXYZ"));
}

static void it_is_locked_unless_it_says_not(void)
{
	AUTO(conffile_free) struct conffile *c = parse("{\"version\":\"alpha0\"}");
	AUTO(conffile_free)
	struct conffile *open = parse(
		"{\"version\":\"alpha0\",\"locked\":false,\"AuthKey\":\"file:/k\","
		"\"StaticEndpoints\":[\"192.0.2.1:41641\"]}");

	CHECK(conffile_locked(c) && !conffile_locked(open));
	CHECK_EQ(conffile_auth_key(c).n, 0);
	CHECK(span_is(conffile_auth_key(open), "file:/k"));
	CHECK_EQ(conffile_endpoints(open)->n, 1);
}

static void what_is_not_understood_is_refused_with_its_name(void)
{
	refuse("{}", "no \"version\"");
	refuse("{\"version\":\"beta1\"}", "beta1");
	refuse("{\"version\":\"alpha0\",\"Hostnme\":\"x\"}", "Hostnme");
	refuse("{\"version\":\"alpha0\",\"Hostname\":7}", "");
	refuse("{\"version\":\"alpha0\"} x", "");
	refuse("[]", "");
}

static void what_contradicts_itself_is_denied(void)
{
	static const char *const texts[] = {
		"{\"version\":\"alpha0\",\"AdvertiseExitNode\":true,\"exitNode\":\"100.64.0.9\"}",
		"{\"version\":\"alpha0\",\"AdvertiseRoutes\":[\"10.1.2.3/16\"]}",
		"{\"version\":\"alpha0\",\"NetfilterMode\":\"maybe\"}",
	};
	AUTO(prefs_free) struct prefs *old = prefs_new();

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		AUTO(conffile_free) struct conffile *c = parse(texts[i]);
		struct prefs *p = NULL;
		struct fault f = { 0 };

		CHECK_EQ(conffile_apply(c, old, &p, &f), ERR_DENIED);
		CHECK(f.message[0]);
	}
}

static void every_truncation_is_refused(void)
{
	static const char text[] = "{\"version\":\"alpha0\",\"Locked\":true,\"Hostname\":\"x\"}";

	for (size_t n = 0; n + 1 < sizeof(text) - 1; n++) {
		struct conffile *c = NULL;

		CHECK(conffile_parse(span(text, n), &c, NULL) < 0);
	}
}

static void a_file_that_is_not_there_is_told(void)
{
	struct conffile *c = NULL;
	struct fault f = { 0 };

	CHECK_EQ(conffile_load("/nonexistent/conf", &c, &f), -ENOENT);
	CHECK(f.message[0]);
}

int main(void)
{
	RUN(what_the_file_names_is_taken_and_the_rest_stays);
	RUN(enabled_is_true_unless_it_is_said_to_be_false);
	RUN(an_exit_node_is_named_by_address_or_by_id);
	RUN(it_is_locked_unless_it_says_not);
	RUN(what_is_not_understood_is_refused_with_its_name);
	RUN(what_contradicts_itself_is_denied);
	RUN(every_truncation_is_refused);
	RUN(a_file_that_is_not_there_is_told);
	return check_done();
}
