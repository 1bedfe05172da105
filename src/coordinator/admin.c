#include "coordinator/admin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "coordinator/front.h"
#include "coordinator/logins.h"
#include "coordinator/streams.h"
#include "coordinator/tailnet_policy.h"

enum { ADMIN_BODY_MAX = 4 << 20 };

/* One operation being carried out. */
struct op {
	struct coord *co;
	struct state *st;
	const struct js *args;
	const char *actor;
	wall now;
	struct js_wr w; /* the answer; one value is written */
	struct fault why;
};

static struct span arg_text(const struct op *o, const char *name)
{
	return js_text(js_get(o->args, name));
}

static uint64_t arg_id(const struct op *o, const char *name)
{
	return (uint64_t)js_int(js_get(o->args, name), 0);
}

static bool arg_true(const struct op *o, const char *name)
{
	return js_truth(js_get(o->args, name), false);
}

static int refuse(struct op *o, int r, const char *what)
{
	return fault_set(&o->why, r, 0, 0, "%s", what);
}

/* An RFC 3339 time; 0 if it is not given. */
static int arg_time(struct op *o, const char *name, wall *ret)
{
	struct span text = arg_text(o, name);

	*ret = (wall){ 0 };
	if (!text.n || wall_parse(text, ret) >= 0)
		return 0;
	return fault_set(&o->why, ERR_MALFORMED, 0, 0, "%s: not a time: %.*s", name,
	                 SPAN_FMT(span_first(text, 60)));
}

static void arg_texts(const struct op *o, const char *name, struct texts *ret)
{
	for (const struct js *m = js_first(js_get(o->args, name)); m; m = m->next)
		texts_add(ret, js_text(m));
}

/* ---- users ---- */

static int users_create(struct op *o)
{
	struct user_spec spec = { .name = arg_text(o, "name"),
		                  .display_name = arg_text(o, "display_name"),
		                  .email = arg_text(o, "email"),
		                  .picture_url = arg_text(o, "picture_url") };
	const struct user *u = NULL;
	int r = state_user_create(o->st, &spec, o->now, o->actor, &u, &o->why);

	if (r >= 0)
		admin_put_user(&o->w, u);
	return r;
}

/* By id, name or e-mail, whichever are given. */
static bool user_fits(const struct op *o, const struct user *u)
{
	uint64_t id = arg_id(o, "id");
	struct span name = arg_text(o, "name"), email = arg_text(o, "email");

	return (!id || u->id == id) && (!name.n || span_is(name, u->name)) &&
	       (!email.n || span_is(email, u->email));
}

static int users_list(struct op *o)
{
	struct user_list all = { 0 };

	state_users(o->st, &all);
	js_wr_open(&o->w, JS_ARRAY);
	vec_each(const struct user **, u, &all)
		if (user_fits(o, *u))
			admin_put_user(&o->w, *u);
	js_wr_close(&o->w, JS_ARRAY);
	vec_done(&all);
	return 0;
}

static int one_user(struct op *o, uint64_t *ret)
{
	struct user_list all = { 0 };
	unsigned found = 0;

	if (!arg_id(o, "id") && !arg_text(o, "name").n && !arg_text(o, "email").n)
		return refuse(o, ERR_MALFORMED, "--name or --identifier flag is required");
	state_users(o->st, &all);
	vec_each(const struct user **, u, &all)
		if (user_fits(o, *u)) {
			*ret = (*u)->id;
			found++;
		}
	vec_done(&all);
	return found == 1 ? 0 : refuse(o, ERR_EXISTS, "multiple users match query, specify an ID");
}

static int users_rename(struct op *o)
{
	uint64_t id = 0;
	int r = one_user(o, &id);

	if (r >= 0)
		r = state_user_rename(o->st, id, arg_text(o, "new_name"), o->now, o->actor,
		                      &o->why);
	if (r >= 0)
		admin_put_user(&o->w, state_user(o->st, id));
	return r;
}

static int users_role(struct op *o)
{
	uint64_t id = 0;
	int r = one_user(o, &id);

	if (r >= 0)
		r = state_user_set_role(o->st, id, arg_text(o, "role"), o->now, o->actor, &o->why);
	if (r >= 0)
		admin_put_user(&o->w, state_user(o->st, id));
	return r;
}

static void put_empty(struct op *o)
{
	js_wr_open(&o->w, JS_OBJECT);
	js_wr_close(&o->w, JS_OBJECT);
}

static int users_delete(struct op *o)
{
	uint64_t id = 0;
	int r = one_user(o, &id);

	if (r >= 0)
		r = state_user_delete(o->st, id, o->now, o->actor, &o->why);
	if (r >= 0)
		put_empty(o);
	return r;
}

/* ---- pre-auth keys ---- */

static int keys_create(struct op *o)
{
	struct texts tags = { 0 };
	struct auth_key_spec spec = { .user_id = arg_id(o, "user"),
		                      .reusable = arg_true(o, "reusable"),
		                      .ephemeral = arg_true(o, "ephemeral"),
		                      .tags = &tags };
	AUTO_WIPE(secret) secret;
	const struct auth_key *k = NULL;
	int r = arg_time(o, "expiration", &spec.expiry);

	arg_texts(o, "acl_tags", &tags);
	if (r >= 0)
		r = state_auth_key_create(o->st, &spec, o->now, o->actor, &secret, &k, &o->why);
	if (r >= 0)
		admin_put_auth_key(&o->w, o->st, k, secret.text);
	texts_done(&tags);
	return r;
}

static int keys_list(struct op *o)
{
	struct auth_key_list all = { 0 };

	state_auth_keys(o->st, &all);
	js_wr_open(&o->w, JS_ARRAY);
	vec_each(const struct auth_key **, k, &all)
		admin_put_auth_key(&o->w, o->st, *k, NULL);
	js_wr_close(&o->w, JS_ARRAY);
	vec_done(&all);
	return 0;
}

static int keys_expire(struct op *o)
{
	if (!arg_id(o, "id"))
		return refuse(o, ERR_MALFORMED, "missing --id parameter: missing parameters");

	int r = state_auth_key_expire(o->st, arg_id(o, "id"), o->now, o->actor);

	if (r >= 0)
		put_empty(o);
	return r == ERR_UNKNOWN ? refuse(o, r, "AuthKey not found") : r;
}

static int keys_delete(struct op *o)
{
	if (!arg_id(o, "id"))
		return refuse(o, ERR_MALFORMED, "missing --id parameter: missing parameters");

	int r = state_auth_key_delete(o->st, arg_id(o, "id"), o->now, o->actor);

	if (r >= 0)
		put_empty(o);
	return r == ERR_UNKNOWN ? refuse(o, r, "AuthKey not found") : r;
}

/* ---- API keys ---- */

static int apikeys_create(struct op *o)
{
	AUTO_WIPE(secret) secret;
	const struct api_key *k = NULL;
	wall expiry;
	int r = arg_time(o, "expiration", &expiry);

	if (r >= 0)
		r = state_api_key_create(o->st, expiry, o->now, o->actor, &secret, &k);
	if (r >= 0)
		js_wr_str(&o->w, secret.text);
	return r;
}

static int apikeys_list(struct op *o)
{
	struct api_key_list all = { 0 };

	state_api_keys(o->st, &all);
	js_wr_open(&o->w, JS_ARRAY);
	vec_each(const struct api_key **, k, &all)
		admin_put_api_key(&o->w, *k);
	js_wr_close(&o->w, JS_ARRAY);
	vec_done(&all);
	return 0;
}

/* By id, or by prefix in any of the forms it is shown in. */
static int one_api_key(struct op *o, uint64_t *ret)
{
	struct span prefix = arg_text(o, "prefix");
	char text[64];
	const struct api_key *k;

	if (!prefix.n && !arg_id(o, "id"))
		return refuse(o, ERR_MALFORMED,
		              "either --id or --prefix must be provided: missing parameters");
	if (prefix.n && arg_id(o, "id"))
		return refuse(o, ERR_MALFORMED,
		              "only one of --id or --prefix can be provided: missing parameters");
	if (span_starts(prefix, "hskey-api-"))
		prefix = span_first(span_from(prefix, 10), SECRET_PREFIX_LEN);
	(void)snprintf(text, sizeof(text), "%.*s", SPAN_FMT(span_first(prefix, 60)));
	k = prefix.n ? state_api_key_by_prefix(o->st, text) : state_api_key(o->st, arg_id(o, "id"));
	if (!k)
		return refuse(o, ERR_UNKNOWN, "API key not found");
	*ret = k->id;
	return 0;
}

static int apikeys_expire(struct op *o)
{
	uint64_t id = 0;
	int r = one_api_key(o, &id);

	if (r >= 0)
		r = state_api_key_expire(o->st, id, o->now, o->actor);
	if (r >= 0)
		put_empty(o);
	return r;
}

static int apikeys_delete(struct op *o)
{
	uint64_t id = 0;
	int r = one_api_key(o, &id);

	if (r >= 0)
		r = state_api_key_delete(o->st, id, o->now, o->actor);
	if (r >= 0)
		put_empty(o);
	return r;
}

/* ---- nodes ---- */

static bool owned_by(const struct op *o, const struct node *n, struct span user)
{
	const struct user *u = state_user(o->st, n->user_id);

	return !user.n || (u && !node_is_tagged(n) && span_is(user, u->name));
}

static int nodes_list(struct op *o)
{
	struct node_list all = { 0 };
	uint64_t id = arg_id(o, "id");

	state_nodes(o->st, &all);
	js_wr_open(&o->w, JS_ARRAY);
	vec_each(const struct node **, n, &all)
		if (owned_by(o, *n, arg_text(o, "user")) && (!id || (*n)->id == id))
			admin_put_node(&o->w, o->st, *n);
	js_wr_close(&o->w, JS_ARRAY);
	vec_done(&all);
	return 0;
}

/* Of those that have any. */
static int nodes_routes(struct op *o)
{
	struct node_list all = { 0 };
	uint64_t id = arg_id(o, "id");

	state_nodes(o->st, &all);
	js_wr_open(&o->w, JS_ARRAY);
	vec_each(const struct node **, n, &all)
		if ((!id || (*n)->id == id) && ((*n)->advertised.n || (*n)->approved.n))
			admin_put_node(&o->w, o->st, *n);
	js_wr_close(&o->w, JS_ARRAY);
	vec_done(&all);
	return 0;
}

static int answer_node(struct op *o, uint64_t id, int r)
{
	const struct node *n = state_node(o->st, id);

	if (r == ERR_UNKNOWN && !*o->why.message)
		return refuse(o, r, "node not found");
	if (r >= 0 && n)
		admin_put_node(&o->w, o->st, n);
	return r;
}

static int nodes_register(struct op *o)
{
	const struct user *u = state_user_by_name(o->st, arg_text(o, "user"));
	const struct node *n = NULL;
	int r;

	if (!u)
		u = state_user(o->st, arg_id(o, "user_id"));
	if (!u)
		return refuse(o, ERR_UNKNOWN, "user not found");
	r = logins_approve(o->co->logins, arg_text(o, "key"), u->id, REGISTER_CLI, (wall){ 0 },
	                   o->actor, &n, &o->why);
	return answer_node(o, n ? n->id : 0, r);
}

static int nodes_expire(struct op *o)
{
	uint64_t id = arg_id(o, "id");
	wall at;
	int r = arg_time(o, "expiry", &at);

	if (r < 0)
		return r;
	if (arg_true(o, "disable") && at.us)
		return refuse(o, ERR_MALFORMED, "expiry and disable exclude each other");
	if (!at.us && !arg_true(o, "disable"))
		at = o->now;
	return answer_node(o, id, state_node_expire(o->st, id, at, o->now, o->actor));
}

static int nodes_rename(struct op *o)
{
	uint64_t id = arg_id(o, "id");

	return answer_node(
		o, id,
		state_node_rename(o->st, id, arg_text(o, "new_name"), o->now, o->actor, &o->why));
}

static int nodes_delete(struct op *o)
{
	uint64_t id = arg_id(o, "id");
	int r = state_node_delete(o->st, id, o->now, o->actor);

	if (r >= 0) {
		streams_end(o->co->streams, id);
		js_wr_open(&o->w, JS_OBJECT);
		js_wr_kv_str(&o->w, "Result", "Node deleted");
		js_wr_close(&o->w, JS_OBJECT);
	}
	return r == ERR_UNKNOWN ? refuse(o, r, "node not found") : r;
}

static int nodes_tag(struct op *o)
{
	uint64_t id = arg_id(o, "id");
	struct texts tags = { 0 };
	int r;

	arg_texts(o, "tags", &tags);
	r = state_node_set_tags(o->st, id, &tags, o->now, o->actor, &o->why);
	texts_done(&tags);
	return answer_node(o, id, r);
}

static int nodes_approve_routes(struct op *o)
{
	uint64_t id = arg_id(o, "id");
	struct prefixes routes = { 0 };
	int r = 0;

	for (const struct js *m = js_first(js_get(o->args, "routes")); m && r >= 0; m = m->next) {
		r = prefixes_split(&routes, js_text(m));
		if (r < 0)
			(void)fault_set(&o->why, r, 0, 0, "not a route: %.*s",
			                SPAN_FMT(span_first(js_text(m), 60)));
	}
	if (r >= 0)
		r = state_node_approve_routes(o->st, id, &routes, o->now, o->actor);
	prefixes_done(&routes);
	return answer_node(o, id, r);
}

static int nodes_approve(struct op *o)
{
	uint64_t id = arg_id(o, "id");

	return answer_node(o, id, state_node_authorize(o->st, id, o->now, o->actor));
}

/* One attribute, or its end. */
static int nodes_attribute(struct op *o)
{
	uint64_t id = arg_id(o, "id");
	struct js update = { .kind = JS_OBJECT, .n = 1 }, one = { .kind = JS_STRING };
	wall expiry;
	int r = arg_time(o, "expiry", &expiry);

	if (r < 0)
		return r;
	one.key = arg_text(o, "name");
	one.text = arg_text(o, "value");
	if (!js_get(o->args, "value"))
		one.kind = JS_NULL;
	update.first = &one;
	return answer_node(
		o, id, state_node_set_attrs(o->st, id, &update, expiry, o->now, o->actor, &o->why));
}

static int nodes_backfill(struct op *o)
{
	struct texts lines = { 0 };
	int r = state_backfill_ips(o->st, o->now, o->actor, &lines);

	js_wr_open(&o->w, JS_OBJECT);
	if (lines.n) {
		js_wr_key(&o->w, "changes");
		js_wr_open(&o->w, JS_ARRAY);
		for (size_t i = 0; i < lines.n; i++)
			js_wr_str(&o->w, lines.v[i]);
		js_wr_close(&o->w, JS_ARRAY);
	}
	js_wr_close(&o->w, JS_OBJECT);
	texts_done(&lines);
	return r;
}

/* A login that `auth register` can let in, without a device. */
static int debug_create_node(struct op *o)
{
	const struct user *u = state_user_by_name(o->st, arg_text(o, "user"));
	AUTO(node_unref) struct node *n = NULL;
	int r;

	if (!u)
		return refuse(o, ERR_UNKNOWN, "user not found");
	r = logins_plant(o->co->logins, arg_text(o, "key"), arg_text(o, "name"),
	                 js_get(o->args, "routes"), &n);
	if (r < 0)
		return refuse(o, r, "parsing machine key: not an id of a pending login, or taken");
	n->user_id = u->id;
	admin_put_node(&o->w, o->st, n);
	return 0;
}

static int auth_approve(struct op *o)
{
	int r = front_approve(o->co, arg_text(o, "key"), o->actor, &o->why);

	if (r >= 0)
		put_empty(o);
	return r;
}

static int auth_reject(struct op *o)
{
	int r = front_reject(o->co, arg_text(o, "key"), o->actor);

	if (r >= 0)
		put_empty(o);
	return r == ERR_UNKNOWN ? refuse(o, r, "auth session not found") : r;
}

/* ---- the rest ---- */

static int get_health(struct op *o)
{
	struct store *s = state_store(o->st);
	int r = s->ops->ping(s);

	js_wr_open(&o->w, JS_OBJECT);
	js_wr_kv_bool(&o->w, "database_connectivity", r >= 0);
	js_wr_close(&o->w, JS_OBJECT);
	return r;
}

static void put_audit(void *arg, const struct audit_entry *e)
{
	struct op *o = arg;
	char time[TIME_TEXT_MAX];

	js_wr_open(&o->w, JS_OBJECT);
	js_wr_kv_int(&o->w, "id", (int64_t)e->id);
	js_wr_kv_str(&o->w, "at", wall_text(e->at, time));
	js_wr_kv_str(&o->w, "actor", e->actor);
	js_wr_kv_str(&o->w, "action", e->action);
	js_wr_kv_str(&o->w, "target", e->target);
	if (e->before) {
		js_wr_key(&o->w, "before");
		js_wr_raw(&o->w, span_str(e->before));
	}
	if (e->after) {
		js_wr_key(&o->w, "after");
		js_wr_raw(&o->w, span_str(e->after));
	}
	js_wr_close(&o->w, JS_OBJECT);
}

static int audit_list(struct op *o)
{
	struct store *s = state_store(o->st);
	int64_t limit = js_int(js_get(o->args, "limit"), 0);
	int r;

	js_wr_open(&o->w, JS_ARRAY);
	r = s->ops->list_audit(s, arg_id(o, "before"), audit_page(limit), put_audit, o);
	js_wr_close(&o->w, JS_ARRAY);
	return r;
}

static int audit_verify(struct op *o)
{
	struct store *s = state_store(o->st);
	int r = s->ops->verify_audit(s);

	if (r >= 0)
		put_empty(o);
	return r == ERR_AUTH ? refuse(o, r, "the audit log was altered") : r;
}

static int policy_get(struct op *o)
{
	struct store *s = state_store(o->st);
	char *text = NULL;
	wall at = { 0 };
	int r = s->ops->get_policy(s, &text, &at);

	if (r < 0)
		return r;
	if (!text)
		return refuse(o, ERR_UNKNOWN, "no policy is stored: everybody may reach everybody");
	js_wr_open(&o->w, JS_OBJECT);
	js_wr_kv_str(&o->w, "policy", text);
	js_wr_close(&o->w, JS_OBJECT);
	free(text);
	return 0;
}

static int policy_set(struct op *o)
{
	struct span text = arg_text(o, "policy");
	int r = coord_set_policy(o->co, text, o->actor, &o->why);

	if (r < 0)
		return r;
	js_wr_open(&o->w, JS_OBJECT);
	js_wr_kv_span(&o->w, "policy", text);
	js_wr_close(&o->w, JS_OBJECT);
	return 0;
}

static int policy_check(struct op *o)
{
	struct policy_issues issues = { 0 };
	int r = tailnet_policy_check(o->co->policy, arg_text(o, "policy"), &issues);

	if (r < 0)
		tailnet_policy_explain(&issues, &o->why);
	else
		put_empty(o);
	policy_issues_done(&issues);
	return r;
}

static const struct {
	const char *name;
	int (*run)(struct op *o);
} ops[] = {
	{ "users.create", users_create },
	{ "users.list", users_list },
	{ "users.rename", users_rename },
	{ "users.delete", users_delete },
	{ "users.role", users_role },
	{ "preauthkeys.create", keys_create },
	{ "preauthkeys.list", keys_list },
	{ "preauthkeys.expire", keys_expire },
	{ "preauthkeys.delete", keys_delete },
	{ "apikeys.create", apikeys_create },
	{ "apikeys.list", apikeys_list },
	{ "apikeys.expire", apikeys_expire },
	{ "apikeys.delete", apikeys_delete },
	{ "nodes.list", nodes_list },
	{ "nodes.routes", nodes_routes },
	{ "nodes.register", nodes_register },
	{ "nodes.expire", nodes_expire },
	{ "nodes.rename", nodes_rename },
	{ "nodes.delete", nodes_delete },
	{ "nodes.tag", nodes_tag },
	{ "nodes.approve-routes", nodes_approve_routes },
	{ "nodes.approve", nodes_approve },
	{ "nodes.attribute", nodes_attribute },
	{ "nodes.backfillips", nodes_backfill },
	{ "debug.create-node", debug_create_node },
	{ "auth.approve", auth_approve },
	{ "auth.reject", auth_reject },
	{ "policy.get", policy_get },
	{ "policy.set", policy_set },
	{ "policy.check", policy_check },
	{ "health", get_health },
	{ "audit.list", audit_list },
	{ "audit.verify", audit_verify },
};

/* ---- requests ---- */

static unsigned status_of(int r)
{
	switch (r) {
	case ERR_UNKNOWN:
		return 404;
	case ERR_EXISTS:
	case ERR_BADSTATE:
		return 409;
	case ERR_MALFORMED:
	case ERR_LIMIT:
	case ERR_DENIED:
		return 400;
	default:
		return 500;
	}
}

static void answer(struct http_req *req, const struct op *o, struct buf *out, int r)
{
	if (r < 0) {
		struct js_wr w = js_wr_of(out);

		buf_clear(out);
		js_wr_open(&w, JS_OBJECT);
		js_wr_kv_str(&w, "error", *o->why.message ? o->why.message : err_text(r));
		js_wr_close(&w, JS_OBJECT);
	}
	coord_answer_json(req, r < 0 ? status_of(r) : 200, buf_span(out));
}

struct pending {
	struct coord *co;
	const char *op;
	char actor[64];
};

static void run(struct http_req *req, void *arg, struct span body)
{
	const struct pending *p = arg;
	AUTO_DONE(buf) struct buf out = { .secret = true };
	struct op o = { .co = p->co,
		        .st = p->co->st,
		        .actor = p->actor,
		        .now = ev_wall(p->co->ev),
		        .w = js_wr_of(&out) };
	struct js *args = NULL;
	int r = ERR_UNKNOWN;

	if (body.n)
		r = js_parse(&req->arena, body, false, &args, &o.why);
	o.args = args;
	if (body.n && r < 0) {
		answer(req, &o, &out, ERR_MALFORMED);
		return;
	}
	r = refuse(&o, ERR_UNKNOWN, "no such operation");
	for (size_t i = 0; i < ARRAY_LEN(ops); i++)
		if (strcmp(ops[i].name, p->op) == 0) {
			o.why = (struct fault){ 0 };
			r = ops[i].run(&o);
		}
	answer(req, &o, &out, r);
}

const char *admin_actor(const struct http_req *req, char dst[static 64])
{
	struct stream_cred cred;

	(void)snprintf(dst, 64, "socket");
	if (req->stream && stream_cred(req->stream, &cred) >= 0)
		(void)snprintf(dst, 64, "socket:uid=%u", (unsigned)cred.uid);
	return dst;
}

void admin_call(struct coord_call *c)
{
	struct pending *p = arena_new(&c->req->arena, struct pending);

	p->co = c->co;
	p->op = route_param(c->match, "op");
	(void)admin_actor(c->req, p->actor);
	http_read_body(c->req, ADMIN_BODY_MAX, run, p);
}
