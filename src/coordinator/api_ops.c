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

static int user_role(struct api_op *o)
{
	uint64_t id;
	int r = api_arg_id(o, "id", &id);

	if (r == 0)
		r = state_user_set_role(o->st, id, api_arg(o, "role"), o->req->now, o->actor,
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
	if (r == ERR_UNKNOWN && state_node(o->st, id))
		return ERR_MALFORMED; /* the node is there: a tag is not */
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

static int node_approve(struct api_op *o)
{
	uint64_t id;
	int r = arg_node(o, &id);

	if (r == 0)
		r = state_node_authorize(o->st, id, o->req->now, o->actor);
	return r < 0 ? r : answer_node(o, id);
}

/* Without a value the attribute is taken away. */
static int node_attribute(struct api_op *o)
{
	const struct js *value = js_get(o->body, "value");
	struct js one = { .kind = JS_NULL, .key = api_arg(o, "name") };
	struct js update = { .kind = JS_OBJECT, .n = 1, .first = &one };
	wall expiry;
	uint64_t id;
	int r = arg_node(o, &id);

	if (value) {
		one.kind = value->kind;
		one.truth = value->truth;
		one.text = value->text;
	}
	if (r == 0)
		r = api_arg_time(o, "expiry", &expiry);
	if (r == 0)
		r = state_node_set_attrs(o->st, id, &update, expiry, o->req->now, o->actor,
		                         &o->why);
	return r < 0 ? r : answer_node(o, id);
}

/* What the node says comes later: api_http asks. */
static int node_ask(struct api_op *o)
{
	int r = arg_node(o, &o->question.node);

	o->question.path = api_arg(o, "path");
	o->question.method = api_arg(o, "method");
	o->question.body = api_arg(o, "body");
	o->question.actor = arena_str(o->arena, span_str(o->actor));
	if (r == 0 && !question_valid(&o->question))
		r = api_refuse(o, ERR_MALFORMED, "a path such as /debug/health is needed");
	o->later = r == 0;
	return r;
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
	return o->env->reject_login(o->env->arg, api_arg(o, "authId"), o->actor);
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

/* Web consoles tell a mistake in the text from other failures by Headscale's words. */
static int mistaken_policy(struct api_op *o)
{
	const char *said = arena_str(o->arena, span_str(o->why.message));
	const char *syntax = strstr(said, "hujson: ");

	if (syntax)
		return api_refuse(o, ERR_MALFORMED,
		                  "setting policy: parsing policy: parsing HuJSON: %s", syntax);
	return api_refuse(o, ERR_MALFORMED, "setting policy: parsing policy from bytes: %s", said);
}

static int policy_put(struct api_op *o)
{
	struct span text = api_arg(o, "policy");

	if (o->env->policy_in_file)
		return api_refuse(o, ERR_BADSTATE,
		                  "update is disabled for modes other than 'database'");
	int r = o->env->set_policy(o->env->arg, text, o->actor, &o->why);

	if (r == ERR_MALFORMED)
		return mistaken_policy(o);
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

static void put_audit(void *arg, const struct audit_entry *e)
{
	struct api_op *o = arg;

	api_put_audit(&o->w, e);
}

static int audit(struct api_op *o)
{
	struct store *s = state_store(o->st);
	uint64_t before, limit;
	int r = api_arg_id(o, "before", &before);

	if (r == 0)
		r = api_arg_id(o, "limit", &limit);
	if (r < 0)
		return r;
	js_wr_key(&o->w, "entries");
	js_wr_open(&o->w, JS_ARRAY);
	r = s->ops->list_audit(s, before, audit_page((int64_t)limit), put_audit, o);
	js_wr_close(&o->w, JS_ARRAY);
	return r;
}

static int describe(struct api_op *o)
{
	buf_clear(o->raw);
	api_describe(o->raw);
	o->type = "application/json";
	return 0;
}

static int describe_029(struct api_op *o)
{
	buf_clear(o->raw);
	api_describe_029(o->raw);
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
	{ { "POST",   "/api/v1/user" }, API_KEY, user_create, "createUser", "Make a user", "name displayName email pictureUrl", "user:User" },
	{ { "GET",    "/api/v1/user" }, API_KEY, user_list, "listUsers", "List users", "?id:id ?name ?email", "users:User*" },
	{ { "POST",   "/api/v1/user/{oldId}/rename/{newName}" }, API_KEY, user_rename, "renameUser", "Rename a user", "", "user:User" },
	{ { "POST",   "/api/v1/user/{id}/role" }, API_KEY, user_role, "setUserRole", "Give a user a role that the policy knows", "role", "user:User" },
	{ { "DELETE", "/api/v1/user/{id}" }, API_KEY, user_delete, "deleteUser", "Delete a user without nodes", "", "" },

	{ { "POST",   "/api/v1/preauthkey" }, API_KEY, auth_key_create, "createPreAuthKey", "Make a pre-auth key", "user:id reusable:bool ephemeral:bool expiration:time aclTags:text*", "preAuthKey:PreAuthKey" },
	{ { "GET",    "/api/v1/preauthkey" }, API_KEY, auth_key_list, "listPreAuthKeys", "List pre-auth keys", "", "preAuthKeys:PreAuthKey*" },
	{ { "POST",   "/api/v1/preauthkey/expire" }, API_KEY, auth_key_expire, "expirePreAuthKey", "End a pre-auth key", "id:id", "" },
	{ { "DELETE", "/api/v1/preauthkey" }, API_KEY, auth_key_delete, "deletePreAuthKey", "Delete a pre-auth key", "?id:id", "" },

	{ { "POST",   "/api/v1/node/register" }, API_KEY, node_register, "registerNode", "Let a waiting device in", "?user ?key", "node:Node" },
	{ { "POST",   "/api/v1/node/backfillips" }, API_KEY, node_backfill, "backfillNodeIPs", "Give missing addresses", "?confirmed:bool", "changes:text*" },
	{ { "GET",    "/api/v1/node" }, API_KEY, node_list, "listNodes", "List nodes", "?user", "nodes:Node*" },
	{ { "GET",    "/api/v1/node/{nodeId}" }, API_KEY, node_get, "getNode", "Show a node", "", "node:Node" },
	{ { "DELETE", "/api/v1/node/{nodeId}" }, API_KEY, node_delete, "deleteNode", "Delete a node", "", "" },
	{ { "POST",   "/api/v1/node/{nodeId}/tags" }, API_KEY, node_tags, "setTags", "Replace a node's tags", "tags:text*", "node:Node" },
	{ { "POST",   "/api/v1/node/{nodeId}/approve_routes" }, API_KEY, node_routes, "setApprovedRoutes", "Replace a node's approved routes", "routes:text*", "node:Node" },
	{ { "POST",   "/api/v1/node/{nodeId}/expire" }, API_KEY, node_expire, "expireNode", "Set when a node's key ends", "~expiry:time ~disableExpiry:bool", "node:Node" },
	{ { "POST",   "/api/v1/node/{nodeId}/rename/{newName}" }, API_KEY, node_rename, "renameNode", "Rename a node", "", "node:Node" },
	{ { "POST",   "/api/v1/node/{nodeId}/approve" }, API_KEY, node_approve, "approveNode", "Approve a device", "", "node:Node" },
	{ { "POST",   "/api/v1/node/{nodeId}/attribute" }, API_KEY, node_attribute, "setNodeAttribute", "Set an attribute that postures ask for, or end it", "name value:text? expiry:time", "node:Node" },
	{ { "POST",   "/api/v1/node/{nodeId}/ask" }, API_KEY, node_ask, "askNode", "Ask a node, such as /debug/health", "path method body", "status:int type body" },

	{ { "POST",   "/api/v1/debug/node" }, API_KEY, debug_node, "debugCreateNode", "Make a login that waits, without a device", "user key name routes:text*", "node:Node" },
	{ { "POST",   "/api/v1/auth/register" }, API_KEY, auth_register, "authRegister", "Let a waiting device in", "user authId", "node:Node" },
	{ { "POST",   "/api/v1/auth/approve" }, API_KEY, auth_approve, "authApprove", "Approve a waiting request", "authId", "" },
	{ { "POST",   "/api/v1/auth/reject" }, API_KEY, auth_reject, "authReject", "Reject a waiting request", "authId", "" },

	{ { "POST",   "/api/v1/apikey" }, API_KEY, api_key_create, "createApiKey", "Make an API key", "expiration:time", "apiKey" },
	{ { "GET",    "/api/v1/apikey" }, API_KEY, api_key_list, "listApiKeys", "List API keys", "", "apiKeys:ApiKey*" },
	{ { "POST",   "/api/v1/apikey/expire" }, API_KEY, api_key_expire, "expireApiKey", "End an API key", "prefix id:id", "" },
	{ { "DELETE", "/api/v1/apikey/{prefix}" }, API_KEY, api_key_delete, "deleteApiKey", "Delete an API key", "?id:id", "" },

	{ { "GET",    "/api/v1/policy" }, API_KEY, policy_get, "getPolicy", "Show the policy", "", "policy updatedAt:time?" },
	{ { "PUT",    "/api/v1/policy" }, API_KEY, policy_put, "setPolicy", "Replace the policy", "policy", "policy updatedAt:time?" },
	{ { "POST",   "/api/v1/policy/check" }, API_KEY, policy_check, "checkPolicy", "Check a policy", "policy", "" },

	{ { "GET",    "/api/v1/audit" }, API_KEY, audit, "listAudit", "List administrative changes, the newest first", "?before:id ?limit:int", "entries:AuditEntry*" },
	{ { "GET",    "/api/v1/health" }, API_KEY, health, "health", "Is the database well?", "", "databaseConnectivity:bool" },
	{ { "GET",    "/api/v1/openapi.yaml" }, API_OPEN, describe, "openapi", "This description, OpenAPI 3.0", "", NULL },
	{ { "GET",    "/swagger/v1/openapiv2.json" }, API_OPEN, describe_029, "openapi2", "This description, OpenAPI 2.0", "", NULL },
	{ { "GET",    "/api/v1/docs" }, API_OPEN, browse, "docs", "This description, to read", "", NULL },
	{ { "GET",    "/swagger" }, API_OPEN, browse, "swagger", "This description, to read", "", NULL },
};
/* clang-format on */
const size_t api_rows_n = ARRAY_LEN(api_rows);
