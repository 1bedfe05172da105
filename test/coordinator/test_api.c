/* The REST API: every entry of its table, then what each does. */
#include "coordinator/api.h"

#include "base/err.h"
#include "base/json.h"
#include "test/check.h"
#include "test/coordinator/tailnet.h"

struct world {
	struct tailnet t;
	struct tailnet_policy *policy;
	struct api_env env;
	struct ip from;
	char bearer[200];
	struct api_answer a;
	struct js *json; /* of the answer; NULL: none */
	struct arena arena;
	unsigned audits;
	struct arena lasting;
	struct js *description; /* every answer is held against it */
};

static int set_policy(void *arg, struct span text, const char *actor, struct fault *reterr)
{
	struct world *w = arg;
	struct policy_issues issues = { 0 };
	int r = tailnet_policy_set(w->policy, text, POLICY_ON_WRITE, w->t.now, &issues);

	tailnet_policy_explain(&issues, reterr);
	policy_issues_done(&issues);
	return r < 0 ? r : state_policy_save(w->t.st, text, w->t.now, actor);
}

static int register_login(void *arg, struct span auth_id, uint64_t user, const char *actor,
                          const struct node **ret, struct fault *reterr)
{
	struct world *w = arg;
	char host[128];
	struct node_claim claim = tailnet_claim(7, host);

	if (!span_is(auth_id, "waiting"))
		return fault_set(reterr, ERR_UNKNOWN, 0, 0, "no such login");
	return state_register_for_user(w->t.st, &claim, user, REGISTER_CLI, (wall){ 0 }, w->t.now,
	                               actor, ret, reterr);
}

static int approve_login(void *arg, struct span auth_id, const char *actor, struct fault *reterr)
{
	(void)arg;
	(void)actor;
	return span_is(auth_id, "waiting") ? 0
	                                   : fault_set(reterr, ERR_UNKNOWN, 0, 0, "no such login");
}

static int reject_login(void *arg, struct span auth_id, const char *actor)
{
	(void)arg;
	(void)actor;
	return span_is(auth_id, "waiting") ? 0 : ERR_UNKNOWN;
}

static int plant_login(void *arg, struct span auth_id, struct span name, const struct js *routes,
                       struct node **ret)
{
	(void)arg;
	(void)routes;
	if (!span_is(auth_id, "planted"))
		return ERR_MALFORMED;
	*ret = node_record_new();
	free((*ret)->hostname);
	(*ret)->hostname = span_dup(name);
	return 0;
}

static void setup(struct world *w)
{
	struct secret secret;
	const struct api_key *k;
	struct api_env env = { .set_policy = set_policy,
		               .register_login = register_login,
		               .approve_login = approve_login,
		               .reject_login = reject_login,
		               .plant_login = plant_login,
		               .arg = w };

	*w = (struct world){ 0 };
	tailnet_open(&w->t, NULL);
	w->policy = tailnet_policy_new("https://c.test");
	tailnet_policy_attach(w->policy, w->t.st);
	env.st = w->t.st;
	env.policy = w->policy;
	w->env = env;
	CHECK_OK(state_api_key_create(w->t.st, (wall){ w->t.now.us + 3600 * US_PER_S }, w->t.now,
	                              "test", &secret, &k));
	(void)snprintf(w->bearer, sizeof(w->bearer), "Bearer %s", secret.text);
	secret_wipe(&secret);

	AUTO_DONE(buf) struct buf text = { 0 };

	api_describe(&text);
	CHECK_OK(js_parse(&w->lasting, buf_span(&text), true, &w->description, NULL));
}

static void teardown(struct world *w)
{
	api_answer_done(&w->a);
	arena_done(&w->arena);
	arena_done(&w->lasting);
	tailnet_close(&w->t);
	tailnet_policy_free(w->policy);
}

/* ---- the answer is as the description says ---- */

static const struct js *at(const struct js *v, const char *const *names)
{
	for (; *names; names++)
		v = js_get(v, *names);
	return v;
}
#define AT(v, ...) at((v), (const char *const[]){ __VA_ARGS__, NULL })

static bool is_kind(const struct js *v, const char *type)
{
	static const struct {
		const char *type;
		enum js_kind kind;
	} kinds[] = { { "string", JS_STRING },
		      { "boolean", JS_BOOL },
		      { "integer", JS_NUMBER },
		      { "array", JS_ARRAY },
		      { "object", JS_OBJECT } };

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if (strcmp(kinds[i].type, type) == 0)
			return v->kind == kinds[i].kind;
	return false;
}

static bool fits_format(const struct js *v, struct span format)
{
	uint64_t id;
	wall t;

	if (span_is(format, "uint64"))
		return span_u64(v->text, UINT64_MAX, &id) == 0;
	return !span_is(format, "date-time") || wall_parse(v->text, &t) >= 0;
}

static bool fits(const struct world *w, const struct js *schema, const struct js *v);

static bool fits_object(const struct world *w, const struct js *schema, const struct js *v)
{
	const struct js *more = js_get(schema, "additionalProperties");
	char name[64];

	for (const struct js *m = js_first(v); m; m = m->next) {
		(void)snprintf(name, sizeof(name), "%.*s", SPAN_FMT(m->key));
		const struct js *one = AT(schema, "properties", name);

		if (!fits(w, one ? one : more, m))
			return false;
	}
	for (const struct js *m = js_first(js_get(schema, "required")); m; m = m->next) {
		(void)snprintf(name, sizeof(name), "%.*s", SPAN_FMT(m->text));
		if (!js_get(v, name))
			return false;
	}
	return true;
}

/* Unknown members are no fit: the description is to have all of them. */
static bool fits(const struct world *w, const struct js *schema, const struct js *v)
{
	struct span ref = js_text(js_get(schema, "$ref"));
	const struct js *all = js_get(schema, "allOf");
	char text[64];

	if (!schema)
		return false;
	if (v->kind == JS_NULL && js_truth(js_get(schema, "nullable"), false))
		return true;
	if (all)
		return fits(w, all->first, v);
	if (ref.n) {
		(void)snprintf(text, sizeof(text), "%.*s",
		               SPAN_FMT(span_from(ref, strlen("#/components/schemas/"))));
		return fits(w, AT(w->description, "components", "schemas", text), v);
	}
	(void)snprintf(text, sizeof(text), "%.*s", SPAN_FMT(js_text(js_get(schema, "type"))));
	if (!*text)
		return true;
	if (!is_kind(v, text) || !fits_format(v, js_text(js_get(schema, "format"))))
		return false;
	for (const struct js *m = v->kind == JS_ARRAY ? v->first : NULL; m; m = m->next)
		if (!fits(w, js_get(schema, "items"), m))
			return false;
	return v->kind != JS_OBJECT || fits_object(w, schema, v);
}

static void lower(const char *method, char dst[static 8])
{
	size_t n = 0;

	for (; n < 7 && method[n]; n++)
		dst[n] = (char)(method[n] | 0x20);
	dst[n] = 0;
}

static void check_described(struct world *w, const struct api_request *r)
{
	struct arena arena = { 0 };
	struct route_match match;
	const char *allow;
	const struct api_row *row;
	char method[8];

	if (route_find(api_rows, api_rows_n, sizeof(api_rows[0]), r->method, r->path, &arena,
	               &match, &allow) == 0 &&
	    w->a.status && w->json) {
		row = match.row;
		lower(row->route.method, method);
		if (row->answers)
			CHECK(fits(w,
			           AT(w->description, "paths", row->route.pattern, method,
			              "responses", w->a.status == 200 ? "200" : "default",
			              "content", w->a.type, "schema"),
			           w->json));
	}
	arena_done(&arena);
}

static unsigned ask_as(struct world *w, const char *bearer, const char *method, const char *target,
                       const char *body)
{
	const char *mark = strchr(target, '?');
	struct api_request r = {
		.method = span_str(method),
		.path = mark ? span(target, (size_t)(mark - target)) : span_str(target),
		.query = span_str(mark ? mark + 1 : ""),
		.authorization = span_str(bearer),
		.body = span_str(body ? body : ""),
		.from = w->from,
		.now = w->t.now,
	};

	api_answer_done(&w->a);
	arena_done(&w->arena);
	w->a = (struct api_answer){ 0 };
	w->json = NULL;
	api_call(&w->env, &r, &w->a);
	if (js_parse(&w->arena, buf_span(&w->a.body), true, &w->json, NULL) < 0)
		w->json = NULL;
	check_described(w, &r);
	return w->a.status;
}

static unsigned ask(struct world *w, const char *method, const char *target, const char *body)
{
	return ask_as(w, w->bearer, method, target, body);
}

static const char *field(const struct world *w, const char *object, const char *name)
{
	static char text[256];
	struct span s = js_text(js_get(object ? js_get(w->json, object) : w->json, name));

	(void)snprintf(text, sizeof(text), "%.*s", SPAN_FMT(s));
	return text;
}

/* The pattern with something in place of each parameter. */
static void fill_in(const char *pattern, char dst[static 128])
{
	size_t n = 0;

	for (const char *p = pattern; *p && n < 120; p++) {
		if (*p != '{') {
			dst[n++] = *p;
			continue;
		}
		dst[n++] = '1';
		p = strchr(p, '}');
	}
	dst[n] = 0;
}

static void every_entry_asks_for_a_key_as_the_table_says(void)
{
	struct world w;
	char path[128];
	static const char *const bad[] = {
		"", "Bearer ", "Bearer x", "Basic abc",
		("Bearer hskey-api-AAAAAAAAAAAA-"
		 "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")
	};

	setup(&w);
	for (size_t i = 0; i < api_rows_n; i++) {
		fill_in(api_rows[i].route.pattern, path);
		for (size_t k = 0; k < ARRAY_LEN(bad); k++) {
			unsigned got = ask_as(&w, bad[k], api_rows[i].route.method, path, "{}");

			CHECK_EQ(got, api_rows[i].access == API_OPEN ? 200u : 401u);
			CHECK(got != 401 || span_is(buf_span(&w.a.body), "Unauthorized"));
		}
	}
	/* Nothing of the above did anything. */
	CHECK(state_user(w.t.st, w.t.ann) != NULL);
	for (size_t i = 0; i < api_rows_n; i++) {
		fill_in(api_rows[i].route.pattern, path);
		/* Deletes nothing that is: no such node, no such key. */
		if (strstr(path, "/user/1"))
			continue;
		CHECK(ask(&w, api_rows[i].route.method, path, "{}") != 401);
	}
	teardown(&w);
}

static void a_key_that_has_ended_opens_nothing(void)
{
	struct world w;

	setup(&w);
	w.t.now.us += 3601 * US_PER_S;
	CHECK_EQ(ask(&w, "GET", "/api/v1/user", NULL), 401);
	teardown(&w);
}

static void without_a_key_paths_are_not_told(void)
{
	struct world w;

	setup(&w);
	CHECK_EQ(ask_as(&w, "", "GET", "/api/v1/nothing", NULL), 401);
	CHECK_EQ(ask(&w, "GET", "/api/v1/nothing", NULL), 404);
	CHECK_EQ(ask(&w, "PATCH", "/api/v1/user", NULL), 405);
	CHECK_STR(w.a.allow, "POST, GET");
	teardown(&w);
}

static void users_are_made_listed_renamed_and_deleted(void)
{
	struct world w;
	char path[64];

	setup(&w);
	CHECK_EQ(ask(&w, "POST", "/api/v1/user", "{\"name\":\"eve\",\"display_name\":\"Eve\"}"),
	         200);
	CHECK_STR(field(&w, "user", "name"), "eve");
	CHECK_STR(field(&w, "user", "displayName"), "Eve");
	(void)snprintf(path, sizeof(path), "/api/v1/user/%s", field(&w, "user", "id"));
	CHECK_EQ(ask(&w, "POST", "/api/v1/user", "{\"name\":\"eve\"}"), 409);
	CHECK_EQ(js_int(js_get(w.json, "code"), 0), 6);
	CHECK_EQ(ask(&w, "GET", "/api/v1/user?name=eve", NULL), 200);
	CHECK_EQ(js_get(w.json, "users")->n, 1);
	(void)snprintf(path + strlen(path), sizeof(path) - strlen(path), "/rename/eva");
	CHECK_EQ(ask(&w, "POST", path, NULL), 200);
	CHECK_STR(field(&w, "user", "name"), "eva");
	*strstr(path, "/rename") = 0;
	CHECK_EQ(ask(&w, "DELETE", path, NULL), 200);
	CHECK(span_is(buf_span(&w.a.body), "{}"));
	CHECK_EQ(ask(&w, "DELETE", path, NULL), 404);
	CHECK_EQ(ask(&w, "DELETE", "/api/v1/user/x", NULL), 400);
	teardown(&w);
}

static void a_pre_auth_key_is_shown_once(void)
{
	struct world w;
	char key[200], body[200];

	setup(&w);
	(void)snprintf(
		body, sizeof(body),
		"{\"user\":\"%u\",\"reusable\":true,\"expiration\":\"2099-01-01T00:00:00Z\"}",
		(unsigned)w.t.ann);
	CHECK_EQ(ask(&w, "POST", "/api/v1/preauthkey", body), 200);
	(void)snprintf(key, sizeof(key), "%s", field(&w, "preAuthKey", "key"));
	CHECK_EQ(strlen(key), 11 + 12 + 1 + 64);
	CHECK_STR(field(&w, "preAuthKey", "expiration"), "2099-01-01T00:00:00Z");
	CHECK_EQ(ask(&w, "GET", "/api/v1/preauthkey", NULL), 200);
	CHECK_EQ(js_get(w.json, "preAuthKeys")->n, 1);
	CHECK(strstr(buf_text(&w.a.body), "-***\"") && !strstr(buf_text(&w.a.body), key));
	CHECK_EQ(ask(&w, "POST", "/api/v1/preauthkey/expire", "{\"id\":\"1\"}"), 200);
	CHECK_EQ(ask(&w, "DELETE", "/api/v1/preauthkey?id=1", NULL), 200);
	CHECK_EQ(ask(&w, "DELETE", "/api/v1/preauthkey?id=1", NULL), 404);
	CHECK_EQ(ask(&w, "POST", "/api/v1/preauthkey", "{\"user\":\"1\",\"aclTags\":[\"web\"]}"),
	         400);
	teardown(&w);
}

static void nodes_are_shown_and_changed(void)
{
	static const char *const fields[] = {
		"id",           "machineKey", "nodeKey",        "discoKey",
		"ipAddresses",  "name",       "user",           "lastSeen",
		"expiry",       "preAuthKey", "createdAt",      "registerMethod",
		"givenName",    "online",     "approvedRoutes", "availableRoutes",
		"subnetRoutes", "tags",       "authorized",     "attributes",
	};
	struct world w;

	setup(&w);
	AUTO_FREE char *key = tailnet_key(&w.t, w.t.ann, true, false, NULL);
	const struct node *n = tailnet_join(&w.t, 1, key);

	CHECK(n && n->id == 1);
	CHECK_EQ(ask(&w, "GET", "/api/v1/node/1", NULL), 200);
	for (size_t i = 0; i < ARRAY_LEN(fields); i++)
		CHECK(js_get(js_get(w.json, "node"), fields[i]) != NULL);
	CHECK_EQ(js_get(w.json, "node")->n, ARRAY_LEN(fields));
	CHECK_STR(field(&w, "node", "registerMethod"), "REGISTER_METHOD_AUTH_KEY");
	CHECK_EQ(ask(&w, "GET", "/api/v1/node?user=ann", NULL), 200);
	CHECK_EQ(js_get(w.json, "nodes")->n, 1);
	CHECK_EQ(ask(&w, "GET", "/api/v1/node?user=bob", NULL), 200);
	CHECK_EQ(js_get(w.json, "nodes")->n, 0);
	CHECK_EQ(ask(&w, "POST", "/api/v1/node/1/rename/box", NULL), 200);
	CHECK_STR(field(&w, "node", "givenName"), "box");
	CHECK_EQ(ask(&w, "POST", "/api/v1/node/1/approve_routes", "{\"routes\":[\"10.1.0.0/16\"]}"),
	         200);
	CHECK_EQ(ask(&w, "POST", "/api/v1/node/1/approve_routes", "{\"routes\":[\"x\"]}"), 400);
	CHECK_EQ(ask(&w, "POST", "/api/v1/node/1/expire?expiry=2099-01-01T00:00:00Z", NULL), 200);
	CHECK_STR(field(&w, "node", "expiry"), "2099-01-01T00:00:00Z");
	CHECK_EQ(ask(&w, "POST", "/api/v1/node/1/expire", "{\"disableExpiry\":true}"), 200);
	CHECK(js_get(js_get(w.json, "node"), "expiry")->kind == JS_NULL);
	CHECK_EQ(ask(&w, "POST",
	             "/api/v1/node/1/expire?disableExpiry=true&expiry=2099-01-01T00:00:00Z", NULL),
	         400);
	CHECK_EQ(ask(&w, "POST", "/api/v1/node/1/tags", "{\"tags\":[]}"), 400);
	CHECK_EQ(ask(&w, "POST", "/api/v1/node/1/tags", "{\"tags\":[\"tag:web\"]}"), 200);
	CHECK_STR(field(&w, "node", "name"), "host-1");
	CHECK_EQ(js_int(js_get(js_get(js_get(w.json, "node"), "user"), "x"), 5), 5);
	CHECK(span_is(js_text(js_get(js_get(js_get(w.json, "node"), "user"), "name")),
	              "tagged-devices"));
	CHECK_EQ(ask(&w, "DELETE", "/api/v1/node/1", NULL), 200);
	CHECK_EQ(ask(&w, "GET", "/api/v1/node/1", NULL), 404);
	teardown(&w);
}

static void waiting_devices_are_let_in_or_sent_away(void)
{
	struct world w;

	setup(&w);
	CHECK_EQ(ask(&w, "POST", "/api/v1/node/register?user=ann&key=waiting", NULL), 200);
	CHECK_STR(field(&w, "node", "name"), "host-7");
	CHECK_EQ(ask(&w, "POST", "/api/v1/auth/register",
	             "{\"user\":\"nobody\",\"authId\":\"waiting\"}"),
	         404);
	CHECK_EQ(ask(&w, "POST", "/api/v1/auth/register", "{\"user\":\"ann\",\"authId\":\"x\"}"),
	         404);
	CHECK_EQ(ask(&w, "POST", "/api/v1/auth/approve", "{\"authId\":\"waiting\"}"), 200);
	CHECK_EQ(ask(&w, "POST", "/api/v1/auth/reject", "{\"auth_id\":\"waiting\"}"), 200);
	CHECK_EQ(ask(&w, "POST", "/api/v1/auth/reject", "{\"authId\":\"x\"}"), 404);
	teardown(&w);
}

static void a_policy_is_checked_before_it_is_kept(void)
{
	struct world w;

	setup(&w);
	CHECK_EQ(ask(&w, "GET", "/api/v1/policy", NULL), 404);
	CHECK_EQ(ask(&w, "PUT", "/api/v1/policy", "{\"policy\":\"{\\\"aclz\\\":[]}\"}"), 400);
	CHECK_STR(field(&w, NULL, "message"),
	          "setting policy: parsing policy from bytes: line 1, column 2: unknown field: "
	          "\"aclz\"");
	CHECK_EQ(ask(&w, "PUT", "/api/v1/policy", "{\"policy\":\"{\"}"), 400);
	CHECK(strstr(field(&w, NULL, "message"), "parsing HuJSON: hujson: line 1, column 2: "));
	CHECK_EQ(ask(&w, "POST", "/api/v1/policy/check", "{\"policy\":\"{\\\"acls\\\":[]}\"}"),
	         200);
	CHECK_EQ(ask(&w, "GET", "/api/v1/policy", NULL), 404);
	CHECK_EQ(ask(&w, "PUT", "/api/v1/policy", "{\"policy\":\"// mine\\n{\\\"acls\\\":[]}\"}"),
	         200);
	CHECK_EQ(ask(&w, "GET", "/api/v1/policy", NULL), 200);
	CHECK_STR(field(&w, NULL, "policy"), "// mine\n{\"acls\":[]}");
	w.env.policy_in_file = true;
	CHECK_EQ(ask(&w, "PUT", "/api/v1/policy", "{\"policy\":\"{}\"}"), 409);
	CHECK_EQ(ask(&w, "GET", "/api/v1/policy", NULL), 200);
	teardown(&w);
}

static void who_guesses_keys_is_not_looked_at_for_a_while(void)
{
	struct world w;

	setup(&w);
	w.env.guesses = throttle_new(3, 10 * US_PER_S);
	w.from = ip4(192, 0, 2, 1);
	for (int i = 0; i < 3; i++)
		CHECK_EQ(ask_as(&w, "Bearer hskey-api-wrong", "GET", "/api/v1/user", NULL), 401);
	CHECK_EQ(ask_as(&w, "Bearer hskey-api-wrong", "GET", "/api/v1/user", NULL), 429);
	CHECK_EQ(ask_as(&w, w.bearer, "GET", "/api/v1/user", NULL), 429);
	w.from = ip4(192, 0, 2, 2);
	CHECK_EQ(ask_as(&w, w.bearer, "GET", "/api/v1/user", NULL), 200);
	w.from = ip4(192, 0, 2, 1);
	w.t.now.us += 10 * US_PER_S;
	CHECK_EQ(ask_as(&w, w.bearer, "GET", "/api/v1/user", NULL), 200);
	throttle_free(w.env.guesses);
	teardown(&w);
}

static void an_api_key_may_end_itself(void)
{
	struct world w;
	char body[100];

	setup(&w);
	CHECK_EQ(ask(&w, "POST", "/api/v1/apikey", "{\"expiration\":\"2099-01-01T00:00:00Z\"}"),
	         200);
	CHECK_EQ(strlen(field(&w, NULL, "apiKey")), 10 + 12 + 1 + 64);
	CHECK_EQ(ask(&w, "GET", "/api/v1/apikey", NULL), 200);
	CHECK_EQ(js_get(w.json, "apiKeys")->n, 2);
	(void)snprintf(body, sizeof(body), "{\"prefix\":\"%.12s\"}",
	               w.bearer + strlen("Bearer hskey-api-"));
	CHECK_EQ(ask(&w, "POST", "/api/v1/apikey/expire", body), 200);
	CHECK_EQ(ask(&w, "GET", "/api/v1/apikey", NULL), 401);
	teardown(&w);
}

static void note_audit(void *arg, const struct audit_entry *e)
{
	struct world *w = arg;

	w->audits += strncmp(e->actor, "api:", 4) == 0;
}

/* In this order each can be done; the stubs of logins keep no log of their own. */
/* clang-format off */
static const struct {
	const char *name, *target, *body;
	unsigned rows;
} changes[] = {
	{ "createUser", "/api/v1/user", "{\"name\":\"eve\"}", 1 },
	{ "renameUser", "/api/v1/user/3/rename/eva", NULL, 1 },
	{ "setUserRole", "/api/v1/user/3/role", "{\"role\":\"admin\"}", 1 },
	{ "deleteUser", "/api/v1/user/3", NULL, 1 },
	{ "createPreAuthKey", "/api/v1/preauthkey", "{\"user\":\"1\"}", 1 },
	{ "expirePreAuthKey", "/api/v1/preauthkey/expire", "{\"id\":\"1\"}", 1 },
	{ "deletePreAuthKey", "/api/v1/preauthkey?id=1", NULL, 1 },
	{ "registerNode", "/api/v1/node/register?user=ann&key=waiting", NULL, 1 },
	{ "setTags", "/api/v1/node/1/tags", "{\"tags\":[\"tag:a\"]}", 1 },
	{ "setApprovedRoutes", "/api/v1/node/1/approve_routes", "{\"routes\":[\"10.0.0.0/8\"]}", 1 },
	{ "expireNode", "/api/v1/node/1/expire", NULL, 1 },
	{ "renameNode", "/api/v1/node/1/rename/box", NULL, 1 },
	{ "approveNode", "/api/v1/node/1/approve", NULL, 1 },
	{ "setNodeAttribute", "/api/v1/node/1/attribute", "{\"name\":\"custom:a\",\"value\":\"b\"}", 1 },
	{ "deleteNode", "/api/v1/node/1", NULL, 1 },
	{ "authRegister", "/api/v1/auth/register", "{\"user\":\"ann\",\"authId\":\"waiting\"}", 1 },
	{ "createApiKey", "/api/v1/apikey", "{}", 1 },
	{ "expireApiKey", "/api/v1/apikey/expire", "{\"id\":\"2\"}", 1 },
	{ "deleteApiKey", "/api/v1/apikey/x?id=2", NULL, 1 },
	{ "setPolicy", "/api/v1/policy", "{\"policy\":\"{}\"}", 1 },
	{ "checkPolicy", "/api/v1/policy/check", "{\"policy\":\"{}\"}", 0 },
	{ "backfillNodeIPs", "/api/v1/node/backfillips?confirmed=true", NULL, 0 }, /* none is missing */
	{ "debugCreateNode", "/api/v1/debug/node", "{\"user\":\"ann\",\"key\":\"planted\",\"name\":\"n\"}", 0 },
	{ "authApprove", "/api/v1/auth/approve", "{\"authId\":\"waiting\"}", 0 },
	{ "authReject", "/api/v1/auth/reject", "{\"authId\":\"waiting\"}", 0 },
};
/* clang-format on */

static unsigned rows_of(struct world *w)
{
	struct store *s = state_store(w->t.st);

	w->audits = 0;
	CHECK_OK(s->ops->list_audit(s, 0, 100, note_audit, w));
	return w->audits;
}

static const struct api_row *row_named(const char *name)
{
	for (size_t i = 0; i < api_rows_n; i++)
		if (strcmp(api_rows[i].name, name) == 0)
			return &api_rows[i];
	return NULL;
}

static void every_change_is_one_row_of_the_audit_log_under_the_keys_name(void)
{
	size_t known = 1 + ARRAY_LEN(changes); /* askNode is answered by a node */
	struct world w;

	setup(&w);
	for (size_t i = 0; i < ARRAY_LEN(changes); i++) {
		const struct api_row *row = row_named(changes[i].name);
		unsigned before = rows_of(&w);

		CHECK_EQ(ask(&w, row ? row->route.method : "", changes[i].target, changes[i].body),
		         200);
		CHECK_EQ(rows_of(&w) - before, changes[i].rows);
	}
	for (size_t i = 0; i < api_rows_n; i++)
		known -= strcmp(api_rows[i].route.method, "GET") != 0;
	CHECK_EQ(known, 0); /* a new operation that changes something belongs above */
	teardown(&w);
}

static void problems_come_as_the_asker_wants_them(void)
{
	struct world w;
	struct api_request r = { .method = SPAN_LIT("GET"),
		                 .path = SPAN_LIT("/api/v1/node/9"),
		                 .accept = SPAN_LIT("application/problem+json"),
		                 .local = true };
	struct api_answer a = { 0 };

	setup(&w);
	api_call(&w.env, &r, &a);
	CHECK_EQ(a.status, 404);
	CHECK_STR(a.type, "application/problem+json");
	CHECK_STR(buf_text(&a.body),
	          "{\"title\":\"Not Found\",\"status\":404,\"detail\":\"node not found\"}");
	api_answer_done(&a);
	teardown(&w);
}

static void roles_attributes_and_approval_are_set(void)
{
	struct world w;

	setup(&w);
	AUTO_FREE char *key = tailnet_key(&w.t, w.t.ann, true, false, NULL);

	CHECK(tailnet_join(&w.t, 1, key) != NULL);
	CHECK_EQ(ask(&w, "POST", "/api/v1/user/1/role", "{\"role\":\"admin\"}"), 200);
	CHECK_STR(field(&w, "user", "role"), "admin");
	CHECK_EQ(ask(&w, "POST", "/api/v1/user/1/role", "{\"role\":\"king\"}"), 400);
	CHECK_EQ(ask(&w, "POST", "/api/v1/user/99/role", "{\"role\":\"admin\"}"), 404);
	CHECK_EQ(ask(&w, "POST", "/api/v1/user/1/role", "{\"role\":\"\"}"), 200);
	CHECK_STR(field(&w, "user", "role"), "");
	CHECK_EQ(ask(&w, "POST", "/api/v1/node/1/attribute",
	             "{\"name\":\"custom:tier\",\"value\":\"prod\"}"),
	         200);
	CHECK(span_is(js_text(AT(w.json, "node", "attributes", "custom:tier")), "prod"));
	CHECK_EQ(ask(&w, "POST", "/api/v1/node/1/attribute", "{\"name\":\"tier\"}"), 400);
	CHECK_EQ(ask(&w, "POST", "/api/v1/node/1/attribute", "{\"name\":\"custom:tier\"}"), 200);
	CHECK_EQ(AT(w.json, "node", "attributes")->n, 0);
	CHECK_EQ(ask(&w, "POST", "/api/v1/node/1/approve", NULL), 200);
	CHECK_EQ(ask(&w, "POST", "/api/v1/node/9/approve", NULL), 404);
	teardown(&w);
}

static void a_tag_that_the_policy_does_not_know_is_a_bad_request(void)
{
	struct world w;

	setup(&w);
	AUTO_FREE char *key = tailnet_key(&w.t, w.t.ann, true, false, NULL);

	CHECK(tailnet_join(&w.t, 1, key) != NULL);
	CHECK_EQ(ask(&w, "POST", "/api/v1/node/1/tags", "{\"tags\":[\"tag:unknown\"]}"), 400);
	CHECK_EQ(ask(&w, "POST", "/api/v1/node/9/tags", "{\"tags\":[\"tag:x\"]}"), 404);
	teardown(&w);
}

static void what_to_ask_a_node_is_checked_and_given_back(void)
{
	struct world w;

	setup(&w);
	AUTO_FREE char *key = tailnet_key(&w.t, w.t.ann, true, false, NULL);

	CHECK(tailnet_join(&w.t, 1, key) != NULL);
	CHECK_EQ(ask(&w, "POST", "/api/v1/node/1/ask", "{\"path\":\"/debug/health\"}"), 0);
	CHECK_EQ(w.a.question.node, 1);
	CHECK(span_is(w.a.question.path, "/debug/health"));
	CHECK_EQ(ask(&w, "POST", "/api/v1/node/1/ask", "{\"path\":\"/a b\"}"), 400);
	CHECK_EQ(ask(&w, "POST", "/api/v1/node/1/ask", "{\"path\":\"/\",\"method\":\"A B\"}"), 400);
	CHECK_EQ(ask(&w, "POST", "/api/v1/node/9/ask", "{\"path\":\"/echo\"}"), 404);
	teardown(&w);
}

static void the_audit_log_is_listed(void)
{
	struct world w;

	setup(&w);
	CHECK_EQ(ask(&w, "POST", "/api/v1/user", "{\"name\":\"eve\"}"), 200);
	CHECK_EQ(ask(&w, "GET", "/api/v1/audit?limit=1", NULL), 200);
	CHECK_EQ(js_get(w.json, "entries")->n, 1);
	CHECK(span_is(js_text(js_get(js_get(w.json, "entries")->first, "action")), "user.create"));
	teardown(&w);
}

static void the_description_has_every_entry(void)
{
	struct world w;
	char method[8];

	setup(&w);
	for (size_t i = 0; i < api_rows_n; i++) {
		const struct api_row *row = &api_rows[i];

		lower(row->route.method, method);
		CHECK((AT(w.description, "paths", row->route.pattern, method, "responses", "200",
		          "content", "application/json", "schema", "$ref") != NULL) ==
		      (row->answers != NULL));
	}
	teardown(&w);
}

static void both_descriptions_are_there_without_a_key(void)
{
	struct world w;

	setup(&w);
	CHECK_EQ(ask_as(&w, "", "GET", "/api/v1/openapi.yaml", NULL), 200);
	CHECK_STR(field(&w, NULL, "openapi"), "3.0.3");
	CHECK(AT(w.json, "components", "schemas", "Node", "properties", "approvedRoutes") != NULL);
	CHECK_EQ(ask_as(&w, "", "GET", "/swagger/v1/openapiv2.json", NULL), 200);
	CHECK_STR(field(&w, NULL, "swagger"), "2.0");
	CHECK(AT(w.json, "definitions", "v1Node", "properties", "approvedRoutes") != NULL);
	CHECK(span_is(js_text(AT(w.json, "paths", "/api/v1/user", "post", "operationId")),
	              "HeadscaleService_CreateUser"));
	teardown(&w);
}

int main(void)
{
	RUN(every_entry_asks_for_a_key_as_the_table_says);
	RUN(a_key_that_has_ended_opens_nothing);
	RUN(without_a_key_paths_are_not_told);
	RUN(users_are_made_listed_renamed_and_deleted);
	RUN(a_pre_auth_key_is_shown_once);
	RUN(nodes_are_shown_and_changed);
	RUN(waiting_devices_are_let_in_or_sent_away);
	RUN(a_policy_is_checked_before_it_is_kept);
	RUN(who_guesses_keys_is_not_looked_at_for_a_while);
	RUN(an_api_key_may_end_itself);
	RUN(every_change_is_one_row_of_the_audit_log_under_the_keys_name);
	RUN(problems_come_as_the_asker_wants_them);
	RUN(roles_attributes_and_approval_are_set);
	RUN(a_tag_that_the_policy_does_not_know_is_a_bad_request);
	RUN(what_to_ask_a_node_is_checked_and_given_back);
	RUN(the_audit_log_is_listed);
	RUN(the_description_has_every_entry);
	RUN(both_descriptions_are_there_without_a_key);
	return check_done();
}
