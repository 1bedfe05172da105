/* URLs, queries, cookies, paths, lists of proxies. */
#include "base/mem.h"
#include "http/form.h"
#include "http/proxy.h"
#include "http/route.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void find_path(struct span text, struct arena *a)
{
	static const struct route rows[] = { { "GET", "/a/{b}/c" }, { "POST", "/a/{rest...}" } };
	struct route_match m;
	const char *allow;
	struct span path, query;

	target_split(text, &path, &query);
	(void)!ROUTE_FIND(rows, ARRAY_LEN(rows), SPAN_LIT("GET"), path, a, &m, &allow);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct span text = { data, n };
	AUTO_DONE(arena) struct arena a = { 0 };
	AUTO_DONE(buf) struct buf b = { 0 };
	struct http_head head = { 0 };
	struct form form;
	struct url url;

	if (url_parse(text, &url) == 0)
		url_put_authority(&b, &url);
	if (form_parse(&a, text, &form) == 0)
		(void)form_get(&form, "a");
	find_path(text, &a);
	(void)!http_add(&head, SPAN_LIT("Cookie"), text);
	(void)cookie_get(&head, "a");
	(void)proxy_is_exempt(text, SPAN_LIT("www.a.test"), 80);
	return 0;
}
