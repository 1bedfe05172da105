/*
 * The login pages as a site of their own, for a test with a real provider:
 *
 *	oidc_site ISSUER PORT [group...]
 *
 * One device waits under the id "waiting". Every join is a line on standard
 * output: the identity, e-mail, groups, expiry.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "coordinator/oidc/web.h"
#include "http/route.h"
#include "platform/listen.h"

struct site {
	struct http_server *http;
	struct web *web;
	bool joined;
};

struct row {
	struct route route;
	void (*handle)(struct site *s, struct http_req *req, const struct route_match *m);
};

static void handle_register(struct site *s, struct http_req *req, const struct route_match *m)
{
	web_register(s->web, req, route_param(m, "id"));
}

static void handle_callback(struct site *s, struct http_req *req, const struct route_match *m)
{
	(void)m;
	web_callback(s->web, req);
}

static void handle_confirm(struct site *s, struct http_req *req, const struct route_match *m)
{
	web_confirm(s->web, req, route_param(m, "id"));
}

static const struct row rows[] = {
	{ { "GET", "/register/{id}" }, handle_register },
	{ { "GET", "/oidc/callback" }, handle_callback },
	{ { "POST", "/register/confirm/{id}" }, handle_confirm },
};

static void on_request(void *owner, struct http_req *req)
{
	struct site *s = owner;
	struct route_match m;
	const char *allow = NULL;

	if (ROUTE_FIND(rows, ARRAY_LEN(rows), req->head->method, req->path, &req->arena, &m,
	               &allow) < 0)
		http_answer_text(req, 404, "not found");
	else
		((const struct row *)m.row)->handle(s, req, &m);
}

static bool find(void *arg, struct span auth_id, struct web_login *ret)
{
	const struct site *s = arg;

	*ret = (struct web_login){ "<laptop>", "linux", "1.2.3", "mkey:00" };
	return !s->joined && span_is(auth_id, "waiting");
}

static int join(void *arg, struct span auth_id, const struct oidc_identity *who, wall expiry,
                struct fault *reterr)
{
	struct site *s = arg;

	(void)reterr;
	if (s->joined || !span_is(auth_id, "waiting"))
		return ERR_UNKNOWN;
	s->joined = true;
	(void)printf("joined %s %s", who->provider_id, who->email);
	for (size_t i = 0; i < who->n_groups; i++)
		(void)printf(" %s", who->groups[i]);
	(void)printf(" %s\n", expiry.us ? "expires" : "default");
	(void)fflush(stdout);
	return 0;
}

static void on_accept(void *owner, struct listener *l, int fd, const struct addr *peer)
{
	struct site *s = owner;

	(void)l;
	http_server_accept(s->http, fd, peer, NULL);
}

int main(int argc, char **argv)
{
	static char redirect[128];
	struct ev *ev = ev_new();
	struct rand_src rand;
	struct site s = { 0 };
	struct http_client client = { .ev = ev };
	struct http_server_cfg http = { .ev = ev, .request = on_request, .owner = &s };
	struct listen_cfg cfg = { .accepted = on_accept, .owner = &s };
	struct listener *l = NULL;
	struct addr at = { .ip = ip4(127, 0, 0, 1),
		           .port = (uint16_t)(argc > 2 ? atoi(argv[2]) : 0) };

	if (argc < 3)
		return 2;
	(void)snprintf(redirect, sizeof(redirect), "http://127.0.0.1:%u/oidc/callback", at.port);
	struct oidc_cfg oidc = { .issuer = argv[1],
		                 .client_id = "fairlead",
		                 .client_secret = "sec ret",
		                 .redirect_uri = redirect,
		                 .use_token_expiry = true,
		                 .groups = (const char *const *)argv + 3,
		                 .n_groups = (size_t)argc - 3 };
	struct web_env env = { .find = find,
		               .join = join,
		               .server_url = "http://127.0.0.1",
		               .tailnet = "test",
		               .arg = &s };

	rand_system(&rand);
	struct oidc_client *c = oidc_client_new(ev, &client, &rand, &oidc);

	s.http = http_server_new(&http);
	s.web = web_new(ev, &rand, &env, c);
	if (listener_tcp(ev, &at, &cfg, &l) < 0)
		return 1;
	int status = ev_run(ev);

	listener_free(l);
	http_server_free(s.http);
	web_free(s.web);
	oidc_client_free(c);
	ev_free(ev);
	return status;
}
