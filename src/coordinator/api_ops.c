/* What the API can do, and the table of it. */
#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "coordinator/api_op.h"

/* ---- users ---- */

static int answer_user(struct api_op *o, uint64_t id)
{
	const struct user *u = state_user(o->st, id);

	if (!u)
		return api_refuse(o, ERR_UNKNOWN, "user not found");
	js_wr_key(&o->w, "user");
	api_put_user(&o->w, u);
	return 0;
}

static int user_create(struct api_op *o)
{
	struct user_spec spec = { .name = api_arg(o, "name"),
		                  .display_name = api_arg(o, "displayName"),
		                  .email = api_arg(o, "email"),
		                  .picture_url = api_arg(o, "pictureUrl") };
	const struct user *u = NULL;
	int r = state_user_create(o->st, &spec, o->req->now, o->actor, &u, &o->why);

	return r < 0 ? r : answer_user(o, u->id);
}

static int user_list(struct api_op *o)
{
	struct span name = api_arg(o, "name"), email = api_arg(o, "email");
	struct user_list all = { 0 };
	uint64_t id;
	int r = api_arg_id(o, "id", &id);

	if (r < 0)
		return r;
	state_users(o->st, &all);
	js_wr_key(&o->w, "users");
	js_wr_open(&o->w, JS_ARRAY);
	vec_each(const struct user **, u, &all)
		if ((!id || (*u)->id == id) && (!name.n || span_is(name, (*u)->name)) &&
		    (!email.n || span_is(email, (*u)->email)))
			api_put_user(&o->w, *u);
	js_wr_close(&o->w, JS_ARRAY);
	vec_done(&all);
	return 0;
}

static int user_rename(struct api_op *o)
{
	uint64_t id;
	int r = api_arg_id(o, "oldId", &id);

	if (r == 0)
		r = state_user_rename(o->st, id, api_arg(o, "newName"), o->req->now, o->actor,
		                      &o->why);
	return r < 0 ? r : answer_user(o, id);
}

static int user_delete(struct api_op *o)
{
	uint64_t id;
	int r = api_arg_id(o, "id", &id);

	return r < 0 ? r : state_user_delete(o->st, id, o->req->now, o->actor, &o->why);
}

/* ---- pre-auth keys ---- */

static int read_tags(struct api_op *o, const char *name, struct texts *ret)
{
	for (const struct js *m = js_first(api_arg_list(o, name)); m; m = m->next) {
		struct span tag = js_text(m);

		if (!span_starts(tag, "tag:") || ret->n == NODE_TAGS_MAX)
			return api_refuse(o, ERR_MALFORMED,
			                  "tag must start with the string 'tag:'");
		texts_add(ret, tag);
	}
	return 0;
}

static int auth_key_create(struct api_op *o)
{
	AUTO_WIPE(secret) secret = { 0 };
	struct texts tags = { 0 };
	struct auth_key_spec spec = { .reusable = api_arg_true(o, "reusable"),
		                      .ephemeral = api_arg_true(o, "ephemeral"),
		                      .tags = &tags };
	const struct auth_key *k = NULL;
	int r = api_arg_id(o, "user", &spec.user_id);

	if (r == 0)
		r = api_arg_time(o, "expiration", &spec.expiry);
	if (r == 0)
		r = read_tags(o, "aclTags", &tags);
	if (r == 0)
		r = state_auth_key_create(o->st, &spec, o->req->now, o->actor, &secret, &k,
		                          &o->why);
	texts_done(&tags);
	if (r < 0)
		return r;
	js_wr_key(&o->w, "preAuthKey");
	api_put_auth_key(&o->w, o->st, k, secret.text);
	return 0;
}

static int auth_key_list(struct api_op *o)
{
	struct auth_key_list all = { 0 };

	state_auth_keys(o->st, &all);
	js_wr_key(&o->w, "preAuthKeys");
	js_wr_open(&o->w, JS_ARRAY);
	vec_each(const struct auth_key **, k, &all)
		api_put_auth_key(&o->w, o->st, *k, NULL);
	js_wr_close(&o->w, JS_ARRAY);
	vec_done(&all);
	return 0;
}

static int auth_key_expire(struct api_op *o)
{
	uint64_t id;
	int r = api_arg_id(o, "id", &id);

	return r < 0 ? r : state_auth_key_expire(o->st, id, o->req->now, o->actor);
}

static int auth_key_delete(struct api_op *o)
{
	uint64_t id;
	int r = api_arg_id(o, "id", &id);

	return r < 0 ? r : state_auth_key_delete(o->st, id, o->req->now, o->actor);
}

/* ---- nodes ---- */

static int answer_node(struct api_op *o, uint64_t id)
{
	const struct node *n = state_node(o->st, id);

	if (!n)
		return api_refuse(o, ERR_UNKNOWN, "node not found");
	js_wr_key(&o->w, "node");
	api_put_node(&o->w, o->st, n);
	return 0;
}

/* The node that the path names. */
static int arg_node(struct api_op *o, uint64_t *ret)
{
	int r = api_arg_id(o, "nodeId", ret);

	if (r == 0 && !state_node(o->st, *ret))
		r = api_refuse(o, ERR_UNKNOWN, "node not found");
	return r;
}

/* By id or by name: consoles send either. */
static const struct user *arg_user(struct api_op *o, const char *name)
{
	struct span text = api_arg(o, name);
	const struct user *u = text.n ? state_user_by_name(o->st, text) : NULL;
	uint64_t id;

	if (!u && span_u64(text, INT64_MAX, &id) == 0)
		u = state_user(o->st, id);
	return u;
}

static bool node_is_of(const struct node *n, const struct user *u, struct span name)
{
	return name.n == 0 || (u && n->user_id == u->id) ||
	       (node_is_tagged(n) && span_is(name, "tagged-devices"));
}

static int node_list(struct api_op *o)
{
	const struct user *u = arg_user(o, "user");
	struct node_list all = { 0 };

	state_nodes(o->st, &all);
	js_wr_key(&o->w, "nodes");
	js_wr_open(&o->w, JS_ARRAY);
	vec_each(const struct node **, n, &all)
		if (node_is_of(*n, u, api_arg(o, "user")))
			api_put_node(&o->w, o->st, *n);
	js_wr_close(&o->w, JS_ARRAY);
	vec_done(&all);
	return 0;
}

static int node_get(struct api_op *o)
{
	uint64_t id;
	int r = arg_node(o, &id);

	return r < 0 ? r : answer_node(o, id);
}

static int node_delete(struct api_op *o)
{
	uint64_t id;
	int r = arg_node(o, &id);

	return r < 0 ? r : state_node_delete(o->st, id, o->req->now, o->actor);
}

static int node_tags(struct api_op *o)
{
	struct texts tags = { 0 };
	uint64_t id;
	int r = arg_node(o, &id);

	if (r == 0)
		r = read_tags(o, "tags", &tags);
	if (r == 0 && tags.n == 0)
		r = api_refuse(o, ERR_MALFORMED, "cannot remove all tags from a node");
	if (r == 0)
		r = state_node_set_tags(o->st, id, &tags, o->req->now, o->actor, &o->why);
	texts_done(&tags);
	return r < 0 ? r : answer_node(o, id);
}

static int node_routes(struct api_op *o)
{
	struct prefixes routes = { 0 };
	uint64_t id;
	int r = arg_node(o, &id);

	for (const struct js *m = js_first(api_arg_list(o, "routes")); r == 0 && m; m = m->next) {
		struct prefix p;

		if (routes.n == NODE_ROUTES_MAX || prefix_parse(js_text(m), &p) < 0)
			r = api_refuse(o, ERR_MALFORMED, "parsing route: %.*s",
			               SPAN_FMT(span_first(js_text(m), 60)));
		else
			vec_push(&routes, prefix_masked(p));
	}
	if (r == 0)
		r = state_node_approve_routes(o->st, id, &routes, o->req->now, o->actor);
	prefixes_done(&routes);
	return r < 0 ? r : answer_node(o, id);
}

static int node_expire(struct api_op *o)
{
	bool never = api_arg_true(o, "disableExpiry");
	wall at;
	uint64_t id;
	int r = arg_node(o, &id);

	if (r == 0)
		r = api_arg_time(o, "expiry", &at);
	if (r == 0 && never && at.us)
		r = api_refuse(o, ERR_MALFORMED, "cannot set both disable_expiry and expiry");
	if (r == 0)
		r = state_node_expire(o->st, id,
		                      never   ? (wall){ 0 }
		                      : at.us ? at
		                              : o->req->now,
		                      o->req->now, o->actor);
	return r < 0 ? r : answer_node(o, id);
}

static int node_rename(struct api_op *o)
{
	uint64_t id;
	int r = arg_node(o, &id);

	if (r == 0)
		r = state_node_rename(o->st, id, api_arg(o, "newName"), o->req->now, o->actor,
		                      &o->why);
	return r < 0 ? r : answer_node(o, id);
}

static int join_login(struct api_op *o, struct span auth_id)
{
	const struct user *u = arg_user(o, "user");
	const struct node *n = NULL;

	if (!u)
		return api_refuse(o, ERR_UNKNOWN, "user not found");
	int r = o->env->register_login(o->env->arg, auth_id, u->id, o->actor, &n, &o->why);

	return r < 0 ? r : answer_node(o, n->id);
}

static int node_register(struct api_op *o)
{
	return join_login(o, api_arg(o, "key"));
}

static int node_backfill(struct api_op *o)
{
	struct texts lines = { 0 };
	int r;

	if (!api_arg_true(o, "confirmed"))
		return api_refuse(o, ERR_MALFORMED, "not confirmed, aborting");
	r = state_backfill_ips(o->st, o->req->now, o->actor, &lines);
	js_wr_key(&o->w, "changes");
	js_wr_open(&o->w, JS_ARRAY);
	for (size_t i = 0; i < lines.n; i++)
		js_wr_str(&o->w, lines.v[i]);
	js_wr_close(&o->w, JS_ARRAY);
	texts_done(&lines);
	return r;
}

static int debug_node(struct api_op *o)
{
	const struct user *u = state_user_by_name(o->st, api_arg(o, "user"));
	AUTO(node_unref) struct node *n = NULL;
	int r;

	if (!u)
		return api_refuse(o, ERR_UNKNOWN, "user not found");
	r = o->env->plant_login(o->env->arg, api_arg(o, "key"), api_arg(o, "name"),
	                        api_arg_list(o, "routes"), &n);
	if (r < 0)
		return api_refuse(o, r, "key: not an id of a pending login, or taken");
	n->user_id = u->id;
	js_wr_key(&o->w, "node");
	api_put_node(&o->w, o->st, n);
	return 0;
}

/* ---- pending logins ---- */

static int auth_register(struct api_op *o)
{
	return join_login(o, api_arg(o, "authId"));
}

static int auth_approve(struct api_op *o)
{
	return o->env->approve_login(o->env->arg, api_arg(o, "authId"), o->actor, &o->why);
}

static int auth_reject(struct api_op *o)
{
	return o->env->reject_login(o->env->arg, api_arg(o, "authId"));
}

/* ---- API keys ---- */

static int api_key_create(struct api_op *o)
{
	AUTO_WIPE(secret) secret = { 0 };
	const struct api_key *k = NULL;
	wall expiry;
	int r = api_arg_time(o, "expiration", &expiry);

	if (r == 0)
		r = state_api_key_create(o->st, expiry, o->req->now, o->actor, &secret, &k);
	if (r == 0)
		js_wr_kv_str(&o->w, "apiKey", secret.text);
	return r;
}

static int api_key_list(struct api_op *o)
{
	struct api_key_list all = { 0 };

	state_api_keys(o->st, &all);
	js_wr_key(&o->w, "apiKeys");
	js_wr_open(&o->w, JS_ARRAY);
	vec_each(const struct api_key **, k, &all)
		api_put_api_key(&o->w, *k);
	js_wr_close(&o->w, JS_ARRAY);
	vec_done(&all);
	return 0;
}

/* By id, or by prefix: bare, or masked as it is listed. */
static int arg_api_key(struct api_op *o, uint64_t *ret)
{
	struct span prefix = api_arg(o, "prefix");
	const struct api_key *k = NULL;
	int r = api_arg_id(o, "id", ret);

	if (span_starts(prefix, "hskey-api-"))
		prefix = span_from(prefix, strlen("hskey-api-"));
	if (span_ends(prefix, "-***"))
		prefix = span_first(prefix, prefix.n - 4);
	if (r == 0 && !*ret && prefix.n)
		k = state_api_key_by_prefix(o->st, arena_str(o->arena, prefix));
	if (k)
		*ret = k->id;
	if (r == 0 && !state_api_key(o->st, *ret))
		r = api_refuse(o, ERR_UNKNOWN, "API key not found");
	return r;
}

static int api_key_expire(struct api_op *o)
{
	uint64_t id;
	int r = arg_api_key(o, &id);

	return r < 0 ? r : state_api_key_expire(o->st, id, o->req->now, o->actor);
}

static int api_key_delete(struct api_op *o)
{
	uint64_t id;
	int r = arg_api_key(o, &id);

	return r < 0 ? r : state_api_key_delete(o->st, id, o->req->now, o->actor);
}

/* ---- policy ---- */

static int policy_answer(struct api_op *o, struct span text, wall at)
{
	js_wr_kv_span(&o->w, "policy", text);
	api_kv_time(&o->w, "updatedAt", at);
	return 0;
}

static int policy_get(struct api_op *o)
{
	struct span text = policy_source(pol_engine_policy(tailnet_policy_engine(o->env->policy)));
	struct store *s = state_store(o->st);
	AUTO_FREE char *stored = NULL;
	wall at = { 0 };

	if (!o->env->policy_in_file && s->ops->get_policy(s, &stored, &at) < 0)
		return ERR_STORE;
	if (!o->env->policy_in_file && !stored)
		return api_refuse(o, ERR_UNKNOWN,
		                  "loading ACL from database: acl policy not found");
	return policy_answer(o, o->env->policy_in_file ? text : span_str(stored), at);
}

static int policy_put(struct api_op *o)
{
	struct span text = api_arg(o, "policy");

	if (o->env->policy_in_file)
		return api_refuse(o, ERR_BADSTATE,
		                  "update is disabled for modes other than 'database'");
	int r = o->env->set_policy(o->env->arg, text, o->actor, &o->why);

	return r < 0 ? r : policy_answer(o, text, o->req->now);
}

static int policy_check(struct api_op *o)
{
	struct policy_issues issues = { 0 };
	int r = tailnet_policy_check(o->env->policy, api_arg(o, "policy"), &issues);

	if (r < 0)
		tailnet_policy_explain(&issues, &o->why);
	policy_issues_done(&issues);
	return r;
}

/* ---- the server ---- */

static int health(struct api_op *o)
{
	struct store *s = state_store(o->st);

	js_wr_kv_bool(&o->w, "databaseConnectivity", s->ops->ping(s) >= 0);
	return 0;
}

static int describe(struct api_op *o)
{
	buf_clear(o->raw);
	api_describe(o->raw);
	o->type = "application/json";
	return 0;
}

static int browse(struct api_op *o)
{
	buf_clear(o->raw);
	buf_add_str(o->raw,
	            "<!DOCTYPE html><html lang=\"en\"><meta charset=\"utf-8\"><title>API</title>"
	            "<h1>API</h1><p>Description: <a href=\"/api/v1/openapi.yaml\">OpenAPI</a>. "
	            "Every request needs a key: <code>Authorization: Bearer KEY</code>.</p><ul>\n");
	for (size_t i = 0; i < api_rows_n; i++)
		buf_fmt(o->raw, "<li><code>%s %s</code> %s</li>\n", api_rows[i].route.method,
		        api_rows[i].route.pattern, api_rows[i].summary);
	buf_add_str(o->raw, "</ul></html>\n");
	o->type = "text/html; charset=utf-8";
	return 0;
}

/* ---- the table ---- */

/* clang-format off */
const struct api_row api_rows[] = {
	{ { "POST",   "/api/v1/user" }, API_KEY, user_create, "Make a user", "name displayName email pictureUrl", "user" },
	{ { "GET",    "/api/v1/user" }, API_KEY, user_list, "List users", "id name email", "users" },
	{ { "POST",   "/api/v1/user/{oldId}/rename/{newName}" }, API_KEY, user_rename, "Rename a user", "", "user" },
	{ { "DELETE", "/api/v1/user/{id}" }, API_KEY, user_delete, "Delete a user without nodes", "", "" },

	{ { "POST",   "/api/v1/preauthkey" }, API_KEY, auth_key_create, "Make a pre-auth key", "user reusable ephemeral expiration aclTags", "preAuthKey" },
	{ { "GET",    "/api/v1/preauthkey" }, API_KEY, auth_key_list, "List pre-auth keys", "", "preAuthKeys" },
	{ { "POST",   "/api/v1/preauthkey/expire" }, API_KEY, auth_key_expire, "End a pre-auth key", "id", "" },
	{ { "DELETE", "/api/v1/preauthkey" }, API_KEY, auth_key_delete, "Delete a pre-auth key", "id", "" },

	{ { "POST",   "/api/v1/node/register" }, API_KEY, node_register, "Let a waiting device in", "user key", "node" },
	{ { "POST",   "/api/v1/node/backfillips" }, API_KEY, node_backfill, "Give missing addresses", "confirmed", "changes" },
	{ { "GET",    "/api/v1/node" }, API_KEY, node_list, "List nodes", "user", "nodes" },
	{ { "GET",    "/api/v1/node/{nodeId}" }, API_KEY, node_get, "Show a node", "", "node" },
	{ { "DELETE", "/api/v1/node/{nodeId}" }, API_KEY, node_delete, "Delete a node", "", "" },
	{ { "POST",   "/api/v1/node/{nodeId}/tags" }, API_KEY, node_tags, "Replace a node's tags", "tags", "node" },
	{ { "POST",   "/api/v1/node/{nodeId}/approve_routes" }, API_KEY, node_routes, "Replace a node's approved routes", "routes", "node" },
	{ { "POST",   "/api/v1/node/{nodeId}/expire" }, API_KEY, node_expire, "Set when a node's key ends", "expiry disableExpiry", "node" },
	{ { "POST",   "/api/v1/node/{nodeId}/rename/{newName}" }, API_KEY, node_rename, "Rename a node", "", "node" },

	{ { "POST",   "/api/v1/debug/node" }, API_KEY, debug_node, "Make a login that waits, without a device", "user key name routes", "node" },
	{ { "POST",   "/api/v1/auth/register" }, API_KEY, auth_register, "Let a waiting device in", "user authId", "node" },
	{ { "POST",   "/api/v1/auth/approve" }, API_KEY, auth_approve, "Approve a waiting request", "authId", "" },
	{ { "POST",   "/api/v1/auth/reject" }, API_KEY, auth_reject, "Reject a waiting request", "authId", "" },

	{ { "POST",   "/api/v1/apikey" }, API_KEY, api_key_create, "Make an API key", "expiration", "apiKey" },
	{ { "GET",    "/api/v1/apikey" }, API_KEY, api_key_list, "List API keys", "", "apiKeys" },
	{ { "POST",   "/api/v1/apikey/expire" }, API_KEY, api_key_expire, "End an API key", "prefix id", "" },
	{ { "DELETE", "/api/v1/apikey/{prefix}" }, API_KEY, api_key_delete, "Delete an API key", "", "" },

	{ { "GET",    "/api/v1/policy" }, API_KEY, policy_get, "Show the policy", "", "policy" },
	{ { "PUT",    "/api/v1/policy" }, API_KEY, policy_put, "Replace the policy", "policy", "policy" },
	{ { "POST",   "/api/v1/policy/check" }, API_KEY, policy_check, "Check a policy", "policy", "" },

	{ { "GET",    "/api/v1/health" }, API_KEY, health, "Is the database well?", "", "databaseConnectivity" },
	{ { "GET",    "/api/v1/openapi.yaml" }, API_OPEN, describe, "This description", "", "" },
	{ { "GET",    "/swagger/v1/openapiv2.json" }, API_OPEN, describe, "This description", "", "" },
	{ { "GET",    "/api/v1/docs" }, API_OPEN, browse, "This description, to read", "", "" },
	{ { "GET",    "/swagger" }, API_OPEN, browse, "This description, to read", "", "" },
};
/* clang-format on */
const size_t api_rows_n = ARRAY_LEN(api_rows);

/* ---- the description: OpenAPI as JSON, which is YAML too ---- */

static void put_parameter(struct js_wr *w, struct span name, const char *in)
{
	js_wr_open(w, JS_OBJECT);
	js_wr_kv_span(w, "name", name);
	js_wr_kv_str(w, "in", in);
	js_wr_kv_bool(w, "required", strcmp(in, "path") == 0);
	js_wr_key(w, "schema");
	js_wr_raw(w, SPAN_LIT("{\"type\":\"string\"}"));
	js_wr_close(w, JS_OBJECT);
}

static void put_parameters(struct js_wr *w, const struct api_row *row)
{
	struct span rest = span_str(row->route.pattern), part, takes = span_str(row->takes), name;

	js_wr_key(w, "parameters");
	js_wr_open(w, JS_ARRAY);
	while (span_cut(&rest, '/', &part))
		if (span_starts(part, "{"))
			put_parameter(w, span(part.p + 1, part.n - 2), "path");
	while (strcmp(row->route.method, "GET") == 0 && span_word(&takes, &name))
		put_parameter(w, name, "query");
	js_wr_close(w, JS_ARRAY);
}

static void put_body(struct js_wr *w, const struct api_row *row)
{
	struct span takes = span_str(row->takes), name;

	if (strcmp(row->route.method, "GET") == 0 || !takes.n)
		return;
	js_wr_key(w, "requestBody");
	js_wr_raw(w, SPAN_LIT("{\"content\":{\"application/json\":{\"schema\":{\"type\":\"object\","
	                      "\"properties\":{"));
	for (bool first = true; span_word(&takes, &name); first = false)
		buf_fmt(w->out, "%s\"%.*s\":{}", first ? "" : ",", SPAN_FMT(name));
	buf_add_str(w->out, "}}}}}");
}

static void put_operation(struct js_wr *w, const struct api_row *row)
{
	char method[8] = "";

	for (size_t i = 0; i + 1 < sizeof(method) && row->route.method[i]; i++)
		method[i] = (char)(row->route.method[i] | 0x20);
	js_wr_key(w, method);
	js_wr_open(w, JS_OBJECT);
	js_wr_kv_str(w, "summary", row->summary);
	put_parameters(w, row);
	put_body(w, row);
	if (row->access == API_OPEN) {
		js_wr_key(w, "security");
		js_wr_raw(w, SPAN_LIT("[]"));
	}
	js_wr_key(w, "responses");
	js_wr_raw(w, SPAN_LIT("{\"200\":{\"description\":\"done\"},\"default\":{\"description\":"
	                      "\"why not\"}}"));
	js_wr_close(w, JS_OBJECT);
}

/* A path stands once, with all its methods. */
static bool described(size_t i)
{
	for (size_t k = 0; k < i; k++)
		if (strcmp(api_rows[k].route.pattern, api_rows[i].route.pattern) == 0)
			return true;
	return false;
}

void api_describe(struct buf *out)
{
	struct js_wr w = js_wr_of(out);

	js_wr_open(&w, JS_OBJECT);
	js_wr_kv_str(&w, "openapi", "3.0.3");
	js_wr_key(&w, "info");
	js_wr_raw(&w, SPAN_LIT("{\"title\":\"fairlead-coordinator\",\"version\":\"v1\"}"));
	js_wr_key(&w, "components");
	js_wr_raw(&w, SPAN_LIT("{\"securitySchemes\":{\"key\":{\"type\":\"http\",\"scheme\":"
	                       "\"bearer\"}}}"));
	js_wr_key(&w, "security");
	js_wr_raw(&w, SPAN_LIT("[{\"key\":[]}]"));
	js_wr_key(&w, "paths");
	js_wr_open(&w, JS_OBJECT);
	for (size_t i = 0; i < api_rows_n; i++) {
		if (described(i))
			continue;
		js_wr_key(&w, api_rows[i].route.pattern);
		js_wr_open(&w, JS_OBJECT);
		for (size_t k = i; k < api_rows_n; k++)
			if (strcmp(api_rows[k].route.pattern, api_rows[i].route.pattern) == 0)
				put_operation(&w, &api_rows[k]);
		js_wr_close(&w, JS_OBJECT);
	}
	js_wr_close(&w, JS_OBJECT);
	js_wr_close(&w, JS_OBJECT);
}
