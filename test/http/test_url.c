#include "http/url.h"

#include "http/form.h"
#include "http/proxy.h"
#include "http/route.h"
#include "test/check.h"

static struct arena arena;

static const char *show(const char *text)
{
	static char line[400];
	struct url u;
	AUTO_DONE(buf) struct buf authority = { 0 };
	int r = url_parse(span_str(text), &u);

	if (r < 0)
		return r == ERR_MALFORMED ? "malformed" : r == ERR_UNKNOWN ? "unknown" : "limit";
	url_put_authority(&authority, &u);
	(void)snprintf(line, sizeof(line), "%s %.*s %u %.*s (%s)", u.https ? "https" : "http",
	               SPAN_FMT(u.host), u.port, SPAN_FMT(u.target), buf_text(&authority));
	return line;
}

static void urls_come_apart(void)
{
	CHECK_STR(show("https://a.b"), "https a.b 443 / (a.b)");
	CHECK_STR(show("HTTP://a.b:8080/x?y#z"), "http a.b 8080 /x?y (a.b:8080)");
	CHECK_STR(show("http://u:p@[::1]:80/"), "http ::1 80 / ([::1])");
	CHECK_STR(show("https://1.2.3.4:444"), "https 1.2.3.4 444 / (1.2.3.4:444)");
	CHECK_STR(show("https://a.b:/x"), "https a.b 443 /x (a.b)");
}

static void what_is_no_url_is_refused(void)
{
	static const char *const bad[] = { "",
		                           "a",
		                           "http:/a",
		                           "http://",
		                           "http://:80",
		                           "http://a:0",
		                           "http://a:x",
		                           "http://a:65536",
		                           "http://[::1",
		                           "http://[1.2.3.4]/",
		                           "http://a b/",
		                           "http://a/\x01",
		                           "http://a\\b/",
		                           "http://a%00/",
		                           "http://a:+1/",
		                           "http://a?b" };

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		CHECK_STR(show(bad[i]), "malformed");
	CHECK_STR(show("socks5://a"), "unknown");
}

static void escapes_are_undone_and_done(void)
{
	AUTO_DONE(buf) struct buf b = { 0 };

	CHECK_OK(url_decode(SPAN_LIT("a%2fb+c%C3%a4"), URL_PLUS_IS_SPACE, &b));
	CHECK_STR(buf_text(&b), "a/b c\xc3\xa4");
	buf_clear(&b);
	CHECK_EQ(url_decode(SPAN_LIT("%"), URL_PLUS_IS_PLUS, &b), ERR_MALFORMED);
	CHECK_EQ(url_decode(SPAN_LIT("%4"), URL_PLUS_IS_PLUS, &b), ERR_MALFORMED);
	CHECK_EQ(url_decode(SPAN_LIT("%4g"), URL_PLUS_IS_PLUS, &b), ERR_MALFORMED);
	CHECK_EQ(url_decode(SPAN_LIT("%00"), URL_PLUS_IS_PLUS, &b), ERR_MALFORMED);
	buf_clear(&b);
	url_encode(&b, SPAN_LIT("a/b c~\xc3"));
	CHECK_STR(buf_text(&b), "a%2Fb%20c~%C3");
}

static void forms_give_decoded_pairs(void)
{
	struct form f;
	AUTO_DONE(buf) struct buf b = { 0 };

	CHECK_OK(form_parse(&arena, SPAN_LIT("a=1&b=%26+x&&c&a=2"), &f));
	CHECK_EQ(f.n, 4);
	CHECK_STR(form_get(&f, "a"), "1");
	CHECK_STR(form_get(&f, "b"), "& x");
	CHECK_STR(form_get(&f, "c"), "");
	CHECK(form_get(&f, "d") == NULL);
	CHECK_OK(form_parse(&arena, SPAN_LIT(""), &f));
	CHECK_EQ(f.n, 0);
	CHECK_EQ(form_parse(&arena, SPAN_LIT("a=%zz"), &f), ERR_MALFORMED);
	form_add(&b, "x", SPAN_LIT("1&2"));
	form_add(&b, "y", SPAN_LIT(""));
	CHECK_STR(buf_text(&b), "x=1%262&y=");
}

static void a_form_with_too_many_pairs_is_refused(void)
{
	AUTO_DONE(buf) struct buf b = { 0 };
	struct form f;

	for (int i = 0; i < FORM_PAIRS_MAX; i++)
		form_add(&b, "a", SPAN_LIT("b"));
	CHECK_OK(form_parse(&arena, buf_span(&b), &f));
	form_add(&b, "a", SPAN_LIT("b"));
	CHECK_EQ(form_parse(&arena, buf_span(&b), &f), ERR_LIMIT);
}

static void cookies_are_found_and_written(void)
{
	struct http_head h = { 0 };
	struct cookie c = { .name = "s", .value = "abc", .max_age_s = 60, .secure = true };
	AUTO_DONE(buf) struct buf b = { 0 };

	http_put(&h, "Cookie", "ss=1; s=22;t=3");
	CHECK(span_is(cookie_get(&h, "s"), "22"));
	CHECK(span_is(cookie_get(&h, "t"), "3"));
	CHECK(cookie_get(&h, "u").p == NULL);
	cookie_put(&b, &c);
	CHECK_STR(buf_text(&b), "s=abc; Path=/; HttpOnly; SameSite=Lax; Max-Age=60; Secure");
}

static const struct row {
	struct route route;
	int id;
} rows[] = {
	{ { "GET", "/" }, 1 },
	{ { "GET", "/derp/probe" }, 2 },
	{ { "POST", "/api/user/{id}/name/{to}" }, 3 },
	{ { "GET", "/api/user/{id}" }, 4 },
	{ { "DELETE", "/api/user/{id}" }, 5 },
	{ { "*", "/debug/{rest...}" }, 6 },
	{ { "GET", "/dir/" }, 7 },
};

static struct route_match found;
static const char *allow;

static int route(const char *method, const char *path)
{
	int r = ROUTE_FIND(rows, ARRAY_LEN(rows), span_str(method), span_str(path), &arena, &found,
	                   &allow);

	return r < 0 ? r : ((const struct row *)found.row)->id;
}

static void paths_find_their_rows(void)
{
	CHECK_EQ(route("GET", "/"), 1);
	CHECK_EQ(route("HEAD", "/derp/probe"), 2);
	CHECK_EQ(route("POST", "/api/user/7/name/a%20b"), 3);
	CHECK_STR(route_param(&found, "id"), "7");
	CHECK_STR(route_param(&found, "to"), "a b");
	CHECK(route_param(&found, "x") == NULL);
	CHECK_EQ(route("DELETE", "/api/user/7"), 5);
	CHECK_EQ(route("BREW", "/debug/pprof/heap"), 6);
	CHECK_STR(route_param(&found, "rest"), "pprof/heap");
	CHECK_EQ(route("GET", "/debug/"), 6);
	CHECK_EQ(route("GET", "/dir/"), 7);
	CHECK_EQ(route("GET", "/dir"), ERR_UNKNOWN);
	CHECK_EQ(route("GET", "/derp/probe/"), ERR_UNKNOWN);
}

static void another_method_is_told_which_would_do(void)
{
	CHECK_EQ(route("PUT", "/api/user/7"), ERR_DENIED);
	CHECK_STR(allow, "GET, DELETE");
}

static void tricks_with_paths_find_nothing(void)
{
	CHECK_EQ(route("GET", ""), ERR_MALFORMED);
	CHECK_EQ(route("GET", "derp/probe"), ERR_MALFORMED);
	CHECK_EQ(route("GET", "/derp/../derp/probe"), ERR_MALFORMED);
	CHECK_EQ(route("GET", "/derp/%2e%2e/probe"), ERR_MALFORMED);
	CHECK_EQ(route("GET", "/derp//probe"), ERR_MALFORMED);
	CHECK_EQ(route("GET", "/api/user/a%2fb"), ERR_MALFORMED);
	CHECK_EQ(route("GET", "/api/user/%00"), ERR_MALFORMED);
	CHECK_EQ(route("GET", "/api/user/"), ERR_UNKNOWN);
}

static const struct proxy_env env = { .http = "http://p1:3128",
	                              .https = "p2:8080",
	                              .none = "example.com, .dot.test,10.0.0.0/8,h:99,192.0.2.1" };

static bool use(bool https, const char *host, uint16_t port)
{
	struct url u;
	bool yes = false;

	CHECK_OK(proxy_for(&env, https, span_str(host), port, &u, &yes));
	if (yes) {
		CHECK(span_is(u.host, https ? "p2" : "p1"));
		CHECK_EQ(u.port, https ? 8080 : 3128);
	}
	return yes;
}

static void the_environment_names_the_proxy_and_its_exceptions(void)
{
	CHECK(use(true, "a.b", 443));
	CHECK(use(false, "a.b", 80));
	CHECK(!use(true, "example.com", 443));
	CHECK(!use(true, "www.EXAMPLE.com", 443));
	CHECK(use(true, "notexample.com", 443));
	CHECK(!use(true, "x.dot.test", 443));
	CHECK(use(true, "dot.test", 443));
	CHECK(!use(true, "10.1.2.3", 443));
	CHECK(use(true, "11.1.2.3", 443));
	CHECK(!use(true, "h", 99));
	CHECK(use(true, "h", 98));
	CHECK(!use(true, "192.0.2.1", 1));
	CHECK(!use(true, "localhost", 1));
	CHECK(!use(true, "127.0.0.9", 1));
}

static void a_proxy_we_cannot_speak_to_is_an_error(void)
{
	struct proxy_env socks = { .https = "socks5://a:1" }, bad = { .https = "a b" };
	struct url u;
	bool yes;

	CHECK_EQ(proxy_for(&socks, true, SPAN_LIT("x"), 1, &u, &yes), ERR_UNKNOWN);
	CHECK_EQ(proxy_for(&bad, true, SPAN_LIT("x"), 1, &u, &yes), ERR_MALFORMED);
}

int main(void)
{
	RUN(urls_come_apart);
	RUN(what_is_no_url_is_refused);
	RUN(escapes_are_undone_and_done);
	RUN(forms_give_decoded_pairs);
	RUN(a_form_with_too_many_pairs_is_refused);
	RUN(cookies_are_found_and_written);
	RUN(paths_find_their_rows);
	RUN(another_method_is_told_which_would_do);
	RUN(tricks_with_paths_find_nothing);
	RUN(the_environment_names_the_proxy_and_its_exceptions);
	RUN(a_proxy_we_cannot_speak_to_is_an_error);
	arena_done(&arena);
	return check_done();
}
