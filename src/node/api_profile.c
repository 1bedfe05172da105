/* Profiles: several accounts on one machine. */
#include "base/err.h"
#include "node/localapi.h"

static void list(struct node *n, struct http_req *req, const struct route_match *m)
{
	AUTO_DONE(buf) struct buf body = { 0 };
	struct js_wr w = js_wr_of(&body);

	(void)m;
	js_wr_open(&w, JS_ARRAY);
	for (size_t i = 0; i < profiles_n(n->profiles); i++)
		js_wr_value(&w, &profile_type, profiles_at(n->profiles, i));
	js_wr_close(&w, JS_ARRAY);
	api_json(req, &body);
}

static void answer_profile(struct http_req *req, const struct profile *p)
{
	AUTO_DONE(buf) struct buf body = { 0 };

	js_encode(&body, &profile_type, p);
	api_json(req, &body);
}

static void current(struct node *n, struct http_req *req, const struct route_match *m)
{
	(void)m;
	answer_profile(req, profiles_current(n->profiles));
}

static void add(struct node *n, struct http_req *req, const struct route_match *m)
{
	(void)m;
	node_new_profile(n);
	api_empty(req, 201);
}

static void get(struct node *n, struct http_req *req, const struct route_match *m)
{
	const struct profile *p = profiles_find(n->profiles, span_str(route_param(m, "id")));

	if (p)
		answer_profile(req, p);
	else
		http_answer_text(req, 404, "Profile not found");
}

static void answer(struct http_req *req, int r)
{
	if (r == ERR_UNKNOWN)
		http_answer_text(req, 404, "Profile not found");
	else if (r < 0)
		http_answer_text(req, 500, "%s", err_text(r));
	else
		api_empty(req, 204);
}

static void choose(struct node *n, struct http_req *req, const struct route_match *m)
{
	answer(req, node_switch_profile(n, span_str(route_param(m, "id"))));
}

static void drop(struct node *n, struct http_req *req, const struct route_match *m)
{
	answer(req, node_remove_profile(n, span_str(route_param(m, "id"))));
}

#define V0 "/localapi/v0/"
/* clang-format off */
const struct api_row api_profile_rows[] = {
	{ { "GET",    V0 "profiles/" },        API_WRITE, list    },
	{ { "PUT",    V0 "profiles/" },        API_WRITE, add     },
	{ { "GET",    V0 "profiles/current" }, API_WRITE, current },
	{ { "GET",    V0 "profiles/{id}" },    API_WRITE, get     },
	{ { "POST",   V0 "profiles/{id}" },    API_WRITE, choose  },
	{ { "DELETE", V0 "profiles/{id}" },    API_WRITE, drop    },
};
/* clang-format on */
const size_t api_profile_n = ARRAY_LEN(api_profile_rows);
