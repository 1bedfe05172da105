#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "coordinator/attributes.h"
#include "test/check.h"
#include "test/coordinator/tailnet.h"

static void a_one_off_key_lets_exactly_one_machine_in(void)
{
	struct tailnet t;
	unsigned in = 0;

	tailnet_open(&t, NULL);
	AUTO_FREE char *key = tailnet_key(&t, t.ann, false, false, NULL);

	for (unsigned i = 1; i <= 20; i++)
		in += tailnet_join(&t, i, key) != NULL;
	CHECK_EQ(in, 1);
	CHECK_EQ(state_node_count(t.st), 1);
	tailnet_close(&t);
}

static void a_restart_with_its_spent_key_is_let_in_and_another_node_key_is_not(void)
{
	struct tailnet t;
	char hostinfo[128];
	struct node_claim c = tailnet_claim(1, hostinfo);
	const struct node *n = NULL;
	struct fault why;

	tailnet_open(&t, NULL);
	AUTO_FREE char *key = tailnet_key(&t, t.ann, false, false, NULL);

	CHECK(tailnet_join(&t, 1, key) != NULL);
	CHECK(tailnet_join(&t, 1, key) != NULL);
	c.key.b[5] = 9;
	CHECK_EQ(state_register_with_key(t.st, &c, span_str(key), t.now, &n, &why), ERR_AUTH);
	CHECK_STR(why.message, "authkey already used");
	tailnet_close(&t);
}

static void a_key_that_is_wrong_expired_or_unknown_is_refused_with_the_clients_words(void)
{
	struct tailnet t;
	char hostinfo[128];
	struct node_claim c = tailnet_claim(1, hostinfo);
	const struct node *n = NULL;
	struct fault why;

	tailnet_open(&t, NULL);
	AUTO_FREE char *key = tailnet_key(&t, t.ann, true, false, NULL);
	char last = key[strlen(key) - 1];

	key[strlen(key) - 1] = last == 'A' ? 'B' : 'A';
	CHECK_EQ(state_register_with_key(t.st, &c, span_str(key), t.now, &n, &why), ERR_AUTH);
	CHECK_STR(why.message, "invalid pre auth key");
	key[strlen(key) - 1] = last;
	CHECK_OK(state_auth_key_expire(t.st, 1, t.now, "test"));
	CHECK_EQ(state_register_with_key(t.st, &c, span_str(key), t.now, &n, &why), ERR_AUTH);
	CHECK_STR(why.message, "authkey expired");
	tailnet_close(&t);
}

static void logging_in_again_with_a_new_key_keeps_id_name_and_addresses(void)
{
	struct tailnet t;
	char hostinfo[128];
	struct node_claim c = tailnet_claim(1, hostinfo);
	const struct node *n;

	tailnet_open(&t, NULL);
	AUTO_FREE char *key = tailnet_key(&t, t.ann, true, false, NULL);

	n = tailnet_join(&t, 1, key);

	uint64_t id = n->id;
	struct ip ip = n->ip4;

	c.old_key = c.key;
	c.key.b[9] = 77;
	CHECK_OK(state_register_with_key(t.st, &c, span_str(key), t.now, &n, NULL));
	CHECK_EQ(n->id, id);
	CHECK(ip_eq(&n->ip4, &ip));
	CHECK_STR(n->given_name, "host-1");
	CHECK(node_pub_eq(&n->key, &c.key));
	CHECK(state_node_by_key(t.st, &c.old_key) == NULL);
	tailnet_close(&t);
}

static void another_user_on_the_same_machine_gets_a_node_of_his_own(void)
{
	struct tailnet t;
	char hostinfo[128];
	struct node_claim c = tailnet_claim(1, hostinfo);
	const struct node *n;

	tailnet_open(&t, NULL);
	AUTO_FREE char *ann = tailnet_key(&t, t.ann, true, false, NULL);
	AUTO_FREE char *bob = tailnet_key(&t, t.bob, true, false, NULL);

	CHECK(tailnet_join(&t, 1, ann) != NULL);
	c.key.b[9] = 1;
	CHECK_OK(state_register_with_key(t.st, &c, span_str(bob), t.now, &n, NULL));
	CHECK_EQ(state_node_count(t.st), 2);
	CHECK_EQ(n->user_id, t.bob);
	CHECK_STR(n->given_name, "host-1-1");
	tailnet_close(&t);
}

static void many_of_one_name_get_numbers_of_their_own(void)
{
	struct tailnet t;

	tailnet_open(&t, NULL);
	AUTO_FREE char *key = tailnet_key(&t, t.ann, true, false, NULL);

	for (unsigned i = 1; i <= 100; i++) {
		struct node_claim c;
		char hostinfo[128];
		const struct node *n = NULL;

		c = tailnet_claim(i, hostinfo);
		c.hostinfo = SPAN_LIT("{\"Hostname\":\"iPhone\"}");
		CHECK_OK(state_register_with_key(t.st, &c, span_str(key), t.now, &n, NULL));
		/* Nobody left: so they are in turn. */
		AUTO_FREE char *want = i > 1 ? str_fmt("iphone-%u", i - 1) : str_dup("iphone");

		CHECK_STR(n ? n->given_name : "", want);
	}
	CHECK_OK(state_node_delete(t.st, 51, t.now, "test"));
	CHECK(state_node_by_name(t.st, SPAN_LIT("iphone-50")) == NULL);
	CHECK(state_node_by_name(t.st, SPAN_LIT("iphone-51")) != NULL);
	tailnet_close(&t);
}

static void a_node_key_held_by_another_machine_is_refused(void)
{
	struct tailnet t;
	char hostinfo[128];
	struct node_claim c = tailnet_claim(1, hostinfo);
	const struct node *n = NULL;
	struct fault why;

	tailnet_open(&t, NULL);
	AUTO_FREE char *key = tailnet_key(&t, t.ann, true, false, NULL);

	CHECK(tailnet_join(&t, 1, key) != NULL);
	c.machine.b[3] = 200;
	CHECK_EQ(state_register_with_key(t.st, &c, span_str(key), t.now, &n, &why), ERR_EXISTS);
	CHECK_STR(why.message, "node exists with a different machine key");
	tailnet_close(&t);
}

static void tags_come_from_the_key_and_such_nodes_have_no_user_and_no_expiry(void)
{
	struct tailnet t;
	const struct node *n;

	tailnet_open(&t, NULL);
	AUTO_FREE char *key = tailnet_key(&t, t.ann, true, false, "tag:db tag:a");

	n = tailnet_join(&t, 1, key);
	CHECK(n != NULL && n->user_id == 0 && n->tags.n == 2);
	CHECK_STR(n->tags.v[0], "tag:a");
	CHECK_EQ(n->expiry.us, 0);
	tailnet_close(&t);
}

static void asked_for_tags_are_given_only_where_the_policy_allows(void)
{
	static const struct {
		const char *user, *hostinfo;
		bool want;
	} rows[] = {
		{ "ann", "{\"Hostname\":\"a\",\"RequestTags\":[\"tag:web\"]}", true },
		{ "bob", "{\"Hostname\":\"a\",\"RequestTags\":[\"tag:web\"]}", false },
		{ "ann", "{\"Hostname\":\"a\",\"RequestTags\":[\"tag:db\"]}", false },
	};
	char hostinfo[128];

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct tailnet t;
		struct node_claim c = tailnet_claim(1, hostinfo);
		const struct node *n = NULL;

		tailnet_open(&t, NULL);
		c.hostinfo = span_str(rows[i].hostinfo);

		const struct user *u = state_user_by_name(t.st, span_str(rows[i].user));
		int r = state_register_for_user(t.st, &c, u->id, REGISTER_CLI, (wall){ 0 }, t.now,
		                                "test", &n, NULL);

		CHECK_EQ(r >= 0, rows[i].want);
		CHECK(!rows[i].want || (n->user_id == 0 && texts_has(&n->tags, "tag:web")));
		tailnet_close(&t);
	}
}

static void set_attrs(struct tailnet *t, const char *json, wall expiry, int want)
{
	__attribute__((cleanup(arena_done))) struct arena a = { 0 };
	struct js *update = NULL;
	struct fault why = { 0 };

	CHECK_OK(js_parse(&a, span_str(json), false, &update, &why));
	CHECK_EQ(state_node_set_attrs(t->st, 1, update, expiry, t->now, "test", &why), want);
}

static void what_was_answered_survives_a_restart(void)
{
	char path[] = "/tmp/fairlead-state-XXXXXX";
	AUTO_FREE char *db = str_fmt("%s/db.sqlite", mkdtemp(path));
	struct tailnet t;
	struct node_report report = { .hostinfo = SPAN_LIT("{\"Hostname\":\"new\",\"RoutableIPs\":"
		                                           "[\"10.1.0.0/16\"],\"NetInfo\":"
		                                           "{\"PreferredDERP\":7}}") };
	struct prefixes routes = { 0 };

	tailnet_open(&t, db);
	AUTO_FREE char *key = tailnet_key(&t, t.ann, false, true, NULL);

	CHECK(tailnet_join(&t, 4, key) != NULL);
	CHECK_OK(prefixes_split(&routes, SPAN_LIT("10.1.0.0/16")));
	CHECK_OK(state_node_report(t.st, 1, &report));
	CHECK_OK(state_node_approve_routes(t.st, 1, &routes, t.now, "test"));
	set_attrs(&t, "{\"custom:tier\":\"prod\"}", (wall){ t.now.us + US_PER_S }, 0);
	CHECK_OK(state_user_set_role(t.st, t.ann, SPAN_LIT("admin"), t.now, "test", NULL));
	CHECK_OK(state_flush(t.st));
	tailnet_close(&t);

	tailnet_open(&t, db);
	const struct node *n = state_node(t.st, 1);

	CHECK(n != NULL);
	CHECK_STR(n->given_name, "new");
	CHECK_EQ(n->home_derp, 7);
	CHECK(n->ephemeral && node_serves(n, &routes.v[0]));
	CHECK(state_auth_key(t.st, 1)->used);
	CHECK(n->attrs && strstr(n->attrs, "prod"));
	CHECK_EQ(n->attrs_until.us, t.now.us + US_PER_S);
	CHECK_STR(state_user(t.st, t.ann)->role, "admin");
	CHECK(tailnet_join(&t, 5, key) == NULL);
	CHECK_OK(state_store(t.st)->ops->verify_audit(state_store(t.st)));
	tailnet_close(&t);
	prefixes_done(&routes);
	unlink(db);
	rmdir(path);
}

static void ids_and_addresses_are_not_used_again_after_a_deletion(void)
{
	struct tailnet t;

	tailnet_open(&t, NULL);
	AUTO_FREE char *key = tailnet_key(&t, t.ann, true, false, NULL);
	struct ip first = tailnet_join(&t, 1, key)->ip4;

	CHECK_OK(state_node_delete(t.st, 1, t.now, "test"));
	const struct node *n = tailnet_join(&t, 2, key);

	CHECK_EQ(n->id, 2);
	CHECK(!ip_eq(&n->ip4, &first));
	tailnet_close(&t);
}

static void an_administrators_name_sticks_when_the_hostname_changes(void)
{
	struct tailnet t;
	struct node_report report = { .hostinfo = SPAN_LIT("{\"Hostname\":\"Other\"}") };
	struct fault why;

	tailnet_open(&t, NULL);
	AUTO_FREE char *key = tailnet_key(&t, t.ann, true, false, NULL);

	(void)tailnet_join(&t, 1, key);
	(void)tailnet_join(&t, 2, key);
	CHECK_EQ(state_node_rename(t.st, 1, SPAN_LIT("host-2"), t.now, "test", &why), ERR_EXISTS);
	CHECK_EQ(state_node_rename(t.st, 1, SPAN_LIT("Bad_Name"), t.now, "test", &why),
	         ERR_MALFORMED);
	CHECK_OK(state_node_rename(t.st, 1, SPAN_LIT("desk"), t.now, "test", &why));
	CHECK_OK(state_node_report(t.st, 1, &report));
	CHECK_STR(state_node(t.st, 1)->given_name, "desk");
	CHECK_STR(state_node(t.st, 1)->hostname, "Other");
	CHECK_OK(state_node_report(t.st, 2, &report));
	CHECK_STR(state_node(t.st, 2)->given_name, "other");
	tailnet_close(&t);
}

static void an_unchanged_report_is_no_change(void)
{
	struct tailnet t;
	struct node_report report = {
		.hostinfo = SPAN_LIT("{\"Hostname\":\"host-1\",\"OS\":\"linux\"}"), .capver = 131
	};

	tailnet_open(&t, NULL);
	AUTO_FREE char *key = tailnet_key(&t, t.ann, true, false, NULL);

	(void)tailnet_join(&t, 1, key);
	unsigned before = t.changes;

	CHECK_OK(state_node_report(t.st, 1, &report));
	CHECK_EQ(t.changes, before);
	tailnet_close(&t);
}

static void routes_fail_over_and_stay_where_they_are_when_the_first_returns(void)
{
	struct tailnet t;
	struct node_report report = { .hostinfo = SPAN_LIT("{\"Hostname\":\"r\",\"RoutableIPs\":"
		                                           "[\"10.99.1.0/24\"]}") };
	struct prefix p = { .ip = ip4(10, 99, 1, 0), .bits = 24 };

	tailnet_open(&t, NULL);
	AUTO_FREE char *key = tailnet_key(&t, t.ann, true, false, NULL);

	for (unsigned i = 1; i <= 2; i++) {
		(void)tailnet_join(&t, i, key);
		CHECK_OK(state_node_report(t.st, i, &report));
		state_node_online(t.st, i, true, t.now);
	}
	CHECK_EQ(routes_primary(state_routes(t.st), &p), 1);
	state_node_online(t.st, 1, false, t.now);
	CHECK_EQ(routes_primary(state_routes(t.st), &p), 2);
	state_node_online(t.st, 1, true, t.now);
	CHECK_EQ(routes_primary(state_routes(t.st), &p), 2);
	state_node_healthy(t.st, 2, false);
	CHECK_EQ(routes_primary(state_routes(t.st), &p), 1);
	state_node_healthy(t.st, 1, false);
	CHECK_EQ(routes_primary(state_routes(t.st), &p), 1);
	tailnet_close(&t);
}

static void a_router_that_is_not_there_carries_nothing(void)
{
	struct tailnet t;
	struct node_report report = { .hostinfo = SPAN_LIT("{\"Hostname\":\"r\",\"RoutableIPs\":"
		                                           "[\"10.99.1.0/24\"]}") };
	struct prefix p = { .ip = ip4(10, 99, 1, 0), .bits = 24 };
	struct prefixes served = { 0 };

	tailnet_open(&t, NULL);
	AUTO_FREE char *key = tailnet_key(&t, t.ann, true, false, NULL);

	(void)tailnet_join(&t, 1, key);
	state_node_online(t.st, 1, true, t.now);
	CHECK_OK(state_node_report(t.st, 1, &report));
	CHECK_EQ(routes_primary(state_routes(t.st), &p), 1);
	state_node_online(t.st, 1, false, t.now);
	CHECK_EQ(routes_primary(state_routes(t.st), &p), 0);
	state_served_routes(t.st, state_node(t.st, 1), true, &served);
	CHECK_EQ(served.n, 0);
	state_node_online(t.st, 1, true, t.now);
	CHECK_EQ(routes_primary(state_routes(t.st), &p), 1);
	tailnet_close(&t);
}

/* Clients that come back first keep their way while the router is on its own way back. */
static void after_a_start_routers_have_time_to_come_back(void)
{
	static const struct prefix v4 = { { { [10] = 0xff, [11] = 0xff, 100, 64 } }, .bits = 10 };
	struct prefix p = { .ip = ip4(10, 99, 1, 0), .bits = 24 };
	struct rand_src rand;
	struct state_cfg cfg = { .v4 = v4 };
	struct state_env env = { .rand = &rand };
	struct store *store = NULL;
	struct state *st = NULL;
	struct node *n = node_record_new();

	rand_seeded(&rand, 1);
	n->id = 1;
	n->authorized = true;
	n->ip4 = ip4(100, 64, 0, 1);
	free(n->given_name);
	n->given_name = str_dup("r");
	vec_push(&n->approved, p);
	vec_push(&n->advertised, p);
	CHECK_OK(store_sqlite_open(":memory:", &store));
	CHECK_OK(state_new(&cfg, &env, store, &st));
	CHECK_OK(state_import_node(st, n, (wall){ 1 }, "test"));
	CHECK_EQ(routes_primary(state_routes(st), &p), 1);
	state_settle(st);
	CHECK_EQ(routes_primary(state_routes(st), &p), 0);
	state_free(st);
}

static void one_default_route_brings_the_other(void)
{
	struct tailnet t;
	struct prefixes routes = { 0 };

	tailnet_open(&t, NULL);
	AUTO_FREE char *key = tailnet_key(&t, t.ann, true, false, NULL);

	(void)tailnet_join(&t, 1, key);
	CHECK_OK(prefixes_split(&routes, SPAN_LIT("0.0.0.0/0")));
	CHECK_OK(state_node_approve_routes(t.st, 1, &routes, t.now, "test"));
	CHECK_EQ(state_node(t.st, 1)->approved.n, 2);
	prefixes_done(&routes);
	tailnet_close(&t);
}

static void ephemeral_nodes_go_after_their_time_and_not_before_their_first_poll(void)
{
	struct tailnet t;
	const int64_t wait = 120 * US_PER_S;

	tailnet_open(&t, NULL);
	AUTO_FREE char *key = tailnet_key(&t, t.ann, true, true, NULL);

	(void)tailnet_join(&t, 1, key);
	(void)tailnet_join(&t, 2, key);
	state_node_online(t.st, 2, true, t.now);
	state_tick(t.st, (wall){ t.now.us + wait - 1 }, wait);
	CHECK_EQ(state_node_count(t.st), 2);
	state_tick(t.st, (wall){ t.now.us + wait + 1 }, wait);
	CHECK(state_node(t.st, 1) == NULL && state_node(t.st, 2) != NULL);
	tailnet_close(&t);
}

static void an_expiry_that_passes_is_announced_once(void)
{
	struct tailnet t;

	tailnet_open(&t, NULL);
	AUTO_FREE char *key = tailnet_key(&t, t.ann, true, false, NULL);

	(void)tailnet_join(&t, 1, key);
	CHECK_OK(state_node_expire(t.st, 1, (wall){ t.now.us + 10 }, t.now, "test"));
	state_tick(t.st, t.now, US_PER_S);
	unsigned before = t.changes;

	state_tick(t.st, (wall){ t.now.us + 20 }, US_PER_S);
	CHECK_EQ(t.changes, before + 1);
	state_tick(t.st, (wall){ t.now.us + 30 }, US_PER_S);
	CHECK_EQ(t.changes, before + 1);
	CHECK_EQ(state_change(t.st, state_seq(t.st))->what, NODE_EXPIRY);
	tailnet_close(&t);
}

static void attributes_are_simple_values_and_end_when_they_should(void)
{
	__attribute__((cleanup(arena_done))) struct arena a = { 0 };
	struct attr got[ATTRS_MAX];
	struct tailnet t;

	tailnet_open(&t, NULL);
	AUTO_FREE char *key = tailnet_key(&t, t.ann, true, false, NULL);

	CHECK(tailnet_join(&t, 1, key));
	set_attrs(&t, "{\"custom:a\":\"x y\",\"custom:b\":7,\"custom:c\":true}", (wall){ 0 }, 0);
	set_attrs(&t, "{\"node:os\":\"linux\"}", (wall){ 0 }, ERR_MALFORMED);
	set_attrs(&t, "{\"custom:\":1}", (wall){ 0 }, ERR_MALFORMED);
	set_attrs(&t, "{\"custom:l\":[1]}", (wall){ 0 }, ERR_MALFORMED);
	set_attrs(&t, "{\"custom:b\":null,\"custom:d\":\"soon\"}",
	          (wall){ t.now.us + 10 * US_PER_S }, 0);
	CHECK_EQ(attrs_read(&a, state_node(t.st, 1)->attrs, got), 3);
	CHECK_STR(got[0].name, "custom:a");
	CHECK_STR(got[0].value, "x y");
	CHECK_STR(got[1].value, "true");
	CHECK_STR(got[2].value, "soon");
	t.now.us += 11 * US_PER_S;
	state_tick(t.st, t.now, INT64_MAX / 2);
	CHECK_EQ(attrs_read(&a, state_node(t.st, 1)->attrs, got), 2);
	CHECK_EQ(state_node(t.st, 1)->attrs_until.us, 0);
	set_attrs(&t, "{\"custom:a\":null,\"custom:c\":null}", (wall){ 0 }, 0);
	CHECK(!state_node(t.st, 1)->attrs);
	tailnet_close(&t);
}

static void a_user_who_owns_nodes_cannot_be_deleted(void)
{
	struct tailnet t;
	struct fault why;

	tailnet_open(&t, NULL);
	AUTO_FREE char *key = tailnet_key(&t, t.ann, true, false, NULL);

	(void)tailnet_join(&t, 1, key);
	CHECK_EQ(state_user_delete(t.st, t.ann, t.now, "test", &why), ERR_BADSTATE);
	CHECK_OK(state_user_delete(t.st, t.bob, t.now, "test", &why));
	CHECK_OK(state_node_delete(t.st, 1, t.now, "test"));
	CHECK_OK(state_user_delete(t.st, t.ann, t.now, "test", &why));
	CHECK(state_auth_key(t.st, 1) == NULL);
	tailnet_close(&t);
}

static void a_login_finds_its_user_by_issuer_and_subject_alone(void)
{
	struct tailnet t;
	const struct user *u = NULL, *again = NULL;
	struct user_spec spec = { .name = SPAN_LIT("ann"),
		                  .email = SPAN_LIT("ann@x.test"),
		                  .provider = SPAN_LIT("oidc"),
		                  .provider_id = SPAN_LIT("https://idp/7") };

	tailnet_open(&t, NULL);
	CHECK_OK(state_user_login(t.st, &spec, t.now, &u));
	CHECK(u->id != t.ann);
	uint64_t id = u->id;

	spec.email = SPAN_LIT("new@x.test");
	CHECK_OK(state_user_login(t.st, &spec, t.now, &again));
	CHECK_EQ(again->id, id);
	CHECK_STR(again->email, "new@x.test");
	tailnet_close(&t);
}

static void api_keys_verify_until_they_expire(void)
{
	struct tailnet t;
	struct secret s;
	const struct api_key *k = NULL;

	tailnet_open(&t, NULL);
	CHECK_OK(state_api_key_create(t.st, (wall){ t.now.us + 100 }, t.now, "test", &s, &k));
	CHECK_OK(state_api_key_verify(t.st, span_str(s.text), t.now, &k));
	CHECK_EQ(state_api_key_verify(t.st, span_str(s.text), (wall){ t.now.us + 100 }, &k),
	         ERR_AUTH);
	s.text[strlen(s.text) - 1] ^= 1;
	CHECK_EQ(state_api_key_verify(t.st, span_str(s.text), t.now, &k), ERR_AUTH);
	tailnet_close(&t);
}

static void a_hash_of_another_program_is_replaced_at_its_first_use(void)
{
	struct tailnet t;
	struct api_key *k = api_key_new();
	const struct api_key *got = NULL;

	tailnet_open(&t, NULL);
	k->id = 5;
	free(k->prefix);
	free(k->hash);
	k->prefix = str_dup("abcdefg");
	/* bcrypt("secret"), cost 4 */
	k->hash = str_dup("$2a$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW");
	CHECK_EQ(secret_verify(SPAN_LIT("other"), k->hash), SECRET_NO);
	CHECK_OK(state_import_api_key(t.st, k, t.now, "test"));
	if (secret_verify(SPAN_LIT("secret"), state_api_key(t.st, 5)->hash) == SECRET_YES_REHASH) {
		CHECK_OK(state_api_key_verify(t.st, SPAN_LIT("abcdefg.secret"), t.now, &got));
		CHECK(strncmp(state_api_key(t.st, 5)->hash, "sha256:", 7) == 0);
	} else {
		check_fail(__FILE__, __LINE__, "a bcrypt hash does not verify");
	}
	tailnet_close(&t);
}

static void a_tampered_audit_log_is_noticed(void)
{
	char path[] = "/tmp/fairlead-audit-XXXXXX";
	AUTO_FREE char *db = str_fmt("%s/db.sqlite", mkdtemp(path));
	AUTO_FREE char *copy = str_fmt("%s/copy.sqlite", path);
	struct tailnet t;

	tailnet_open(&t, db);
	struct store *s = state_store(t.st);

	CHECK_OK(s->ops->verify_audit(s));
	CHECK_OK(s->ops->backup(s, copy));
	CHECK(s->ops->backup(s, copy) < 0);
	CHECK_OK(s->ops->check(s));
	tailnet_close(&t);
	unlink(db);
	unlink(copy);
	rmdir(path);
}

int main(void)
{
	RUN(a_one_off_key_lets_exactly_one_machine_in);
	RUN(a_restart_with_its_spent_key_is_let_in_and_another_node_key_is_not);
	RUN(a_key_that_is_wrong_expired_or_unknown_is_refused_with_the_clients_words);
	RUN(logging_in_again_with_a_new_key_keeps_id_name_and_addresses);
	RUN(another_user_on_the_same_machine_gets_a_node_of_his_own);
	RUN(many_of_one_name_get_numbers_of_their_own);
	RUN(a_node_key_held_by_another_machine_is_refused);
	RUN(tags_come_from_the_key_and_such_nodes_have_no_user_and_no_expiry);
	RUN(asked_for_tags_are_given_only_where_the_policy_allows);
	RUN(what_was_answered_survives_a_restart);
	RUN(ids_and_addresses_are_not_used_again_after_a_deletion);
	RUN(an_administrators_name_sticks_when_the_hostname_changes);
	RUN(an_unchanged_report_is_no_change);
	RUN(routes_fail_over_and_stay_where_they_are_when_the_first_returns);
	RUN(a_router_that_is_not_there_carries_nothing);
	RUN(after_a_start_routers_have_time_to_come_back);
	RUN(one_default_route_brings_the_other);
	RUN(ephemeral_nodes_go_after_their_time_and_not_before_their_first_poll);
	RUN(an_expiry_that_passes_is_announced_once);
	RUN(attributes_are_simple_values_and_end_when_they_should);
	RUN(a_user_who_owns_nodes_cannot_be_deleted);
	RUN(a_login_finds_its_user_by_issuer_and_subject_alone);
	RUN(api_keys_verify_until_they_expire);
	RUN(a_hash_of_another_program_is_replaced_at_its_first_use);
	RUN(a_tampered_audit_log_is_noticed);
	return check_done();
}
