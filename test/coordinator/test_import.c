#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "coordinator/import.h"
#include "coordinator/state.h"
#include "test/check.h"

/* The tables of Headscale 0.29, as far as they matter, with a row of each kind. */
static const char headscale[] =
	"CREATE TABLE migrations (id text PRIMARY KEY);"
	"CREATE TABLE users (id integer PRIMARY KEY, name text, display_name text, email text,"
	" provider_identifier text, provider text, profile_pic_url text, created_at datetime,"
	" updated_at datetime, deleted_at datetime);"
	"CREATE TABLE pre_auth_keys (id integer PRIMARY KEY, key text, prefix text, hash blob, "
	"user_id"
	" integer, reusable numeric, ephemeral numeric, used numeric, tags text, expiration "
	"datetime,"
	" created_at datetime);"
	"CREATE TABLE api_keys (id integer PRIMARY KEY, prefix text, hash blob, expiration "
	"datetime,"
	" last_seen datetime, created_at datetime);"
	"CREATE TABLE nodes (id integer PRIMARY KEY, machine_key text, node_key text, disco_key "
	"text,"
	" endpoints text, host_info text, ipv4 text, ipv6 text, hostname text, given_name text,"
	" user_id integer, register_method text, tags text, auth_key_id integer, last_seen "
	"datetime,"
	" expiry datetime, approved_routes text, created_at datetime, updated_at datetime, "
	"deleted_at"
	" datetime);"
	"CREATE TABLE policies (id integer PRIMARY KEY, data text);"
	"INSERT INTO users VALUES (3,'ann','Ann','ann@x.test',NULL,'','','2026-01-02"
	" 03:04:05.123456789+00:00',NULL,NULL),(4,'gone','','',NULL,'','',NULL,NULL,'2026-01-01"
	" 00:00:00+00:00');"
	"INSERT INTO pre_auth_keys VALUES (5,'','abcdefghijkl',CAST('$2a$10$x' AS "
	"BLOB),3,1,0,1,NULL,NULL,NULL),"
	" (6,'0123456789abcdef0123456789abcdef0123456789abcdef','',NULL,3,1,1,0,'[\"tag:a\"]',NULL,"
	"NULL);"
	"INSERT INTO api_keys VALUES (1,'abcdefg',CAST('$2a$10$y' AS BLOB),'2030-01-01 "
	"00:00:00+00:00',NULL,NULL);"
	"INSERT INTO nodes VALUES (17,"
	" 'mkey:1111111111111111111111111111111111111111111111111111111111111111',"
	" 'nodekey:2222222222222222222222222222222222222222222222222222222222222222',"
	" 'discokey:3333333333333333333333333333333333333333333333333333333333333333',"
	" '[\"192.0.2.1:41641\"]','{\"OS\":\"linux\",\"Hostname\":\"box\",\"RoutableIPs\":[\"10.0."
	"0.0/8\"]}',"
	" '100.64.0.9','fd7a:115c:a1e0::9','box','desk',3,'authkey',NULL,5,NULL,"
	" '0001-01-01 00:00:00+00:00','[\"10.0.0.0/8\"]','2026-01-02 03:04:05+00:00',NULL,NULL),"
	" (18,'mkey:11','nodekey:1','','','','','','bad','bad',3,'cli',NULL,NULL,NULL,NULL,NULL,"
	"NULL,NULL,NULL),"
	" (19,'mkey:4444444444444444444444444444444444444444444444444444444444444444',"
	" 'nodekey:5555555555555555555555555555555555555555555555555555555555555555','','','',"
	" '100.64.0.10',NULL,'srv','srv',NULL,'authkey','[\"tag:web\"]',6,NULL,NULL,NULL,NULL,NULL,"
	"NULL);"
	"INSERT INTO policies VALUES (1,'{\"acls\":[]}'),(2,'// mine\n{}');";

/*
 * As 0.26 and 0.27 kept it: columns in another order, forced_tags, keys as they
 * are typed, no prefix; node 2 lost its user, node 3 asked for a tag.
 */
static const char headscale_026[] =
	"CREATE TABLE migrations (id text PRIMARY KEY);"
	"CREATE TABLE users (id integer PRIMARY KEY AUTOINCREMENT, created_at datetime,"
	" updated_at datetime, deleted_at datetime, name text, display_name text, email text,"
	" provider_identifier text, provider text, profile_pic_url text);"
	"CREATE TABLE pre_auth_keys (id integer PRIMARY KEY AUTOINCREMENT, key text, user_id "
        "integer,"
	" reusable numeric, ephemeral numeric DEFAULT false, used numeric DEFAULT false, tags text,"
	" created_at datetime, expiration datetime);"
	"CREATE TABLE api_keys (id integer PRIMARY KEY AUTOINCREMENT, prefix text, hash blob,"
	" created_at datetime, expiration datetime, last_seen datetime);"
	"CREATE TABLE nodes (id integer PRIMARY KEY AUTOINCREMENT, machine_key text, node_key text,"
	" disco_key text, endpoints text, host_info text, ipv4 text, ipv6 text, hostname text,"
	" given_name varchar(63), user_id integer, register_method text, forced_tags text,"
	" auth_key_id integer, expiry datetime, last_seen datetime, approved_routes text,"
	" created_at datetime, updated_at datetime, deleted_at datetime);"
	"CREATE TABLE policies (id integer PRIMARY KEY AUTOINCREMENT, created_at datetime,"
	" updated_at datetime, deleted_at datetime, data text);"
	"INSERT INTO users (id, name) VALUES (1, 'ann'), (2, 'bob');"
	"INSERT INTO pre_auth_keys (id, key, user_id, reusable) VALUES"
	" (4, '0123456789abcdef0123456789abcdef0123456789abcdef', 2, 1);"
	"INSERT INTO nodes (id, machine_key, node_key, host_info, ipv4, hostname, given_name, "
        "user_id,"
	" forced_tags, auth_key_id) VALUES"
	" (1, 'mkey:1111111111111111111111111111111111111111111111111111111111111111',"
	" 'nodekey:1111111111111111111111111111111111111111111111111111111111111111', '{}',"
	" '100.64.0.1', 'a', 'a', 1, '[\"tag:srv\"]', NULL),"
	" (2, 'mkey:2222222222222222222222222222222222222222222222222222222222222222',"
	" 'nodekey:2222222222222222222222222222222222222222222222222222222222222222', '{}',"
	" '100.64.0.2', 'b', 'b', NULL, 'null', 4),"
	" (3, 'mkey:3333333333333333333333333333333333333333333333333333333333333333',"
	" 'nodekey:3333333333333333333333333333333333333333333333333333333333333333',"
	" '{\"RequestTags\":[\"tag:web\"]}', '100.64.0.3', 'c', 'c', 1, '[]', NULL);";

struct place {
	char dir[32];
	char *db, *kept;
	struct config cfg;
};

static void open_place_of(struct place *p, const char *schema)
{
	struct fault why;
	sqlite3 *db = NULL;

	memcpy(p->dir, "/tmp/fairlead-import-XXXXXX", 28);
	CHECK(mkdtemp(p->dir) != NULL);
	p->db = str_fmt("%s/db.sqlite", p->dir);
	p->kept = str_fmt("%s.headscale", p->db);
	config_init(&p->cfg);
	p->cfg.db_path = p->db;
	CHECK_OK(config_finish(&p->cfg, p->dir, &why));
	CHECK_EQ(sqlite3_open(p->db, &db), SQLITE_OK);
	CHECK_EQ(sqlite3_exec(db, schema, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

static void open_place(struct place *p)
{
	open_place_of(p, headscale);
}

static void close_place(struct place *p)
{
	unlink(p->db);
	unlink(p->kept);
	CHECK_EQ(rmdir(p->dir), 0);
	config_done(&p->cfg);
	free(p->db);
	free(p->kept);
}

static void a_dry_run_reports_and_writes_nothing(void)
{
	struct place p;
	struct import_report report;

	open_place(&p);
	CHECK_OK(import_headscale(&p.cfg, true, &report));
	CHECK_EQ(report.nodes, 2);
	CHECK_EQ(report.skipped, 1);
	CHECK(import_is_headscale(p.db));
	CHECK(access(p.kept, F_OK) < 0);
	import_report_done(&report);
	close_place(&p);
}

static void check_state_of(const struct state *st)
{
	const struct node *n = state_node(st, 17), *tagged = state_node(st, 19);
	struct prefix route = { .ip = ip4(10, 0, 0, 0), .bits = 8 };
	char text[IP_TEXT_MAX];

	CHECK(state_user(st, 3) && !state_user(st, 4));
	CHECK_EQ(state_user(st, 3)->created.us, 1767323045123456);
	CHECK(n && tagged && !state_node(st, 18));
	CHECK_STR(n->given_name, "desk");
	CHECK_STR(ip_text(&n->ip4, text), "100.64.0.9");
	CHECK(n->renamed && n->expiry.us == 0 && n->endpoints.n == 1);
	CHECK(node_serves(n, &route));
	CHECK(tagged->user_id == 0 && tagged->ephemeral && texts_has(&tagged->tags, "tag:web"));
	CHECK_STR(state_auth_key(st, 5)->hash, "$2a$10$x");
	CHECK(strncmp(state_auth_key(st, 6)->hash, "sha256:", 7) == 0);
	CHECK_STR(state_api_key(st, 1)->prefix, "abcdefg");
}

static void ids_keys_names_and_addresses_are_taken_over_unchanged(void)
{
	struct place p;
	struct import_report report;
	struct rand_src rand;
	struct state_cfg cfg = { 0 };
	struct state_env env = { .rand = &rand };
	struct store *store = NULL;
	struct state *st = NULL;
	char *policy = NULL;
	wall at;

	open_place(&p);
	CHECK_OK(import_headscale(&p.cfg, false, &report));
	CHECK(!import_is_headscale(p.db) && import_is_headscale(p.kept));
	rand_seeded(&rand, 1);
	CHECK_OK(store_sqlite_open(p.db, &store));
	CHECK_OK(state_new(&cfg, &env, store, &st));
	check_state_of(st);
	CHECK_OK(store->ops->get_policy(store, &policy, &at));
	CHECK_STR(policy, "// mine\n{}");
	free(policy);
	state_free(st);
	import_report_done(&report);
	CHECK(import_headscale(&p.cfg, false, &report) < 0);
	import_report_done(&report);
	close_place(&p);
}

static void an_older_schema_is_read_too_and_what_it_lost_is_found_or_named(void)
{
	struct place p;
	struct import_report report;
	struct rand_src rand;
	struct state_cfg cfg = { 0 };
	struct state_env env = { .rand = &rand };
	struct store *store = NULL;
	struct state *st = NULL;

	open_place_of(&p, headscale_026);
	CHECK_OK(import_headscale(&p.cfg, false, &report));
	CHECK_EQ(report.nodes, 3);
	CHECK_EQ(report.skipped, 0);
	CHECK_EQ(report.notes.n, 1);
	CHECK(report.notes.n && strstr(report.notes.v[0], "nodes tag -i 3 -t tag:web"));
	rand_seeded(&rand, 1);
	CHECK_OK(store_sqlite_open(p.db, &store));
	CHECK_OK(state_new(&cfg, &env, store, &st));
	CHECK(texts_has(&state_node(st, 1)->tags, "tag:srv") && !state_node(st, 1)->user_id);
	CHECK_EQ(state_node(st, 2)->user_id, 2);
	CHECK_EQ(state_node(st, 3)->user_id, 1);
	CHECK(strncmp(state_auth_key(st, 4)->hash, "sha256:", 7) == 0);
	state_free(st);
	import_report_done(&report);
	close_place(&p);
}

int main(void)
{
	RUN(a_dry_run_reports_and_writes_nothing);
	RUN(an_older_schema_is_read_too_and_what_it_lost_is_found_or_named);
	RUN(ids_keys_names_and_addresses_are_taken_over_unchanged);
	return check_done();
}
