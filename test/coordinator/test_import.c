#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/file.h"
#include "coordinator/import.h"
#include "coordinator/state.h"
#include "platform/listen.h"
#include "test/check.h"
#include "test/coordinator/tailnet.h"

static const char *folder; /* of the tables and rows of each version */

struct place {
	char dir[32];
	char *db, *kept;
	struct config cfg;
};

static void run_sql(sqlite3 *db, const char *kind, const char *version)
{
	AUTO_FREE char *path = str_fmt("%s/%s-%s.sql", folder, kind, version);
	AUTO_DONE(buf) struct buf text = { 0 };

	CHECK_OK(file_read(path, 1 << 20, &text));
	CHECK_EQ(sqlite3_exec(db, buf_text(&text), NULL, NULL, NULL), SQLITE_OK);
}

static void open_place(struct place *p, const char *schema, const char *rows)
{
	struct fault why;
	sqlite3 *db = NULL;

	memcpy(p->dir, "/tmp/fairlead-import-XXXXXX", 28);
	CHECK(mkdtemp(p->dir) != NULL);
	p->db = str_fmt("%s/db.sqlite", p->dir);
	p->kept = str_fmt("%s.headscale", p->db);
	config_init(&p->cfg);
	p->cfg.db_path = p->db;
	p->cfg.policy_mode = "database";
	CHECK_OK(config_finish(&p->cfg, p->dir, &why));
	CHECK_EQ(sqlite3_open(p->db, &db), SQLITE_OK);
	run_sql(db, "schema", schema);
	run_sql(db, "rows", rows);
	sqlite3_close(db);
}

/* What was made of it. */
struct taken {
	struct import_report report;
	struct rand_src rand;
	struct state *st;
};

static void take(struct taken *t, struct place *p)
{
	struct state_cfg cfg = { .v4 = p->cfg.v4, .v6 = p->cfg.v6 };
	struct state_env env = { .rand = &t->rand };
	struct store *store = NULL;

	CHECK_OK(import_headscale(&p->cfg, false, &t->report));
	rand_seeded(&t->rand, 1);
	CHECK_OK(store_sqlite_open(p->db, &store));
	CHECK_OK(state_new(&cfg, &env, store, &t->st));
}

static void taken_done(struct taken *t)
{
	state_free(t->st);
	import_report_done(&t->report);
}

static bool said(const struct import_report *r, const char *what)
{
	for (size_t i = 0; i < r->notes.n; i++)
		if (strstr(r->notes.v[i], what))
			return true;
	return false;
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

	open_place(&p, "0.29", "0.28");
	CHECK_OK(import_headscale(&p.cfg, true, &report));
	CHECK_EQ(report.nodes, 2);
	CHECK_EQ(report.skipped, 1);
	CHECK(said(&report, "node 18: its keys or addresses cannot be read"));
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

static void check_policy_of(const struct state *st)
{
	struct store *store = state_store(st);
	AUTO_FREE char *policy = NULL;
	wall at;

	CHECK_OK(store->ops->get_policy(store, &policy, &at));
	CHECK_STR(policy, "// mine\n{}");
}

static void ids_keys_names_and_addresses_are_taken_over_unchanged(void)
{
	static const char *const versions[] = { "0.28", "0.29" };

	for (size_t i = 0; i < ARRAY_LEN(versions); i++) {
		struct place p;
		struct taken t;

		open_place(&p, versions[i], "0.28");
		take(&t, &p);
		CHECK(!import_is_headscale(p.db) && import_is_headscale(p.kept));
		check_state_of(t.st);
		check_policy_of(t.st);
		taken_done(&t);
		close_place(&p);
	}
}

static void a_second_time_nothing_is_left_to_do(void)
{
	struct place p;
	struct import_report report;
	struct taken t;

	open_place(&p, "0.29", "0.28");
	take(&t, &p);
	taken_done(&t);
	CHECK_OK(import_headscale(&p.cfg, false, &report));
	CHECK_EQ(report.nodes, 0);
	CHECK(said(&report, "nothing is left to do"));
	import_report_done(&report);
	close_place(&p);
}

static void old_keys_open_the_new_door(void)
{
	static const char api_key[] = "abcdefg.tttttttttttttttttttttttt";
	const char s64[] = "SSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSS";
	AUTO_FREE char *auth_key = str_fmt("hskey-auth-unusedunused-%s", s64);
	const struct api_key *k = NULL;
	const struct node *n = NULL;
	struct fault why = { 0 };
	char host[128];
	struct place p;
	struct taken t;

	open_place(&p, "0.29", "0.28");
	take(&t, &p);
	CHECK_OK(state_api_key_verify(t.st, span_str(api_key), wall_now(), &k));
	CHECK(k && k->id == 1 && strncmp(k->hash, "sha256:", 7) == 0);

	struct node_claim claim = tailnet_claim(7, host);

	CHECK_OK(state_register_with_key(t.st, &claim, span_str(auth_key), wall_now(), &n, &why));
	CHECK(n && n->id == 20 && n->user_id == 3);
	CHECK(state_auth_key(t.st, 7)->used);
	taken_done(&t);
	close_place(&p);
}

static void check_older(const struct state *st)
{
	CHECK(texts_has(&state_node(st, 1)->tags, "tag:srv") && !state_node(st, 1)->user_id);
	CHECK_EQ(state_node(st, 2)->user_id, 2);
	CHECK(strncmp(state_auth_key(st, 4)->hash, "sha256:", 7) == 0);
}

/* As Headscale's own step from 0.27 to 0.28 has it. */
static void check_wishes(const struct state *st)
{
	const struct node *n = state_node(st, 3), *both = state_node(st, 6);

	CHECK(texts_has(&n->tags, "tag:web") && n->tags.n == 1 && !n->user_id);
	CHECK(state_node(st, 4)->tags.n == 0 && state_node(st, 4)->user_id == 1);
	CHECK(state_node(st, 5)->tags.n == 0 && state_node(st, 5)->user_id == 1);
	CHECK(texts_has(&both->tags, "tag:ops") && texts_has(&both->tags, "tag:old"));
	CHECK_EQ(both->tags.n, 2);
	CHECK_EQ(state_node(st, 7)->tags.n, 1);
}

static void older_tables_are_read_and_tags_asked_for_are_judged_by_the_policy(void)
{
	static const char *const versions[] = { "0.26", "0.27" };

	for (size_t i = 0; i < ARRAY_LEN(versions); i++) {
		struct place p;
		struct taken t;

		open_place(&p, versions[i], "0.26");
		take(&t, &p);
		CHECK_EQ(t.report.nodes, 7);
		CHECK_EQ(t.report.skipped, 0);
		check_older(t.st);
		check_wishes(t.st);
		CHECK_EQ(t.report.notes.n, 5);
		CHECK(said(&t.report, "node 3: has tag:web, which it asked for"));
		CHECK(said(&t.report, "nodes tag -i 4 -t tag:none"));
		taken_done(&t);
		close_place(&p);
	}
}

static void a_policy_that_is_not_accepted_is_named_and_gives_no_tags(void)
{
	struct import_report report;
	struct place p;
	sqlite3 *db = NULL;

	open_place(&p, "0.27", "0.26");
	CHECK_EQ(sqlite3_open(p.db, &db), SQLITE_OK);
	CHECK_EQ(sqlite3_exec(db, "UPDATE policies SET data='{\"aclz\":[]}'", NULL, NULL, NULL),
	         SQLITE_OK);
	sqlite3_close(db);
	CHECK_OK(import_headscale(&p.cfg, true, &report));
	CHECK(said(&report, "policy: not accepted here: line 1, column 2: unknown field"));
	CHECK(said(&report, "node 3: asked for tag:web"));
	import_report_done(&report);
	close_place(&p);
}

static void a_server_that_runs_is_not_taken_over(void)
{
	struct import_report report;
	struct place p;
	AUTO(ev_free) struct ev *ev = ev_new();
	struct listen_cfg quiet = { .backlog = 4 };
	struct listener *l = NULL;

	open_place(&p, "0.29", "0.28");
	p.cfg.unix_socket = arena_fmt(&p.cfg.arena, "%s/sock", p.dir);
	CHECK_OK(listener_unix(ev, p.cfg.unix_socket, 0700, &quiet, &l));
	CHECK_OK(import_headscale(&p.cfg, true, &report));
	import_report_done(&report);
	CHECK_EQ(import_headscale(&p.cfg, false, &report), ERR_BADSTATE);
	CHECK(import_is_headscale(p.db));
	import_report_done(&report);
	listener_free(l);
	unlink(p.cfg.unix_socket);
	close_place(&p);
}

static void tables_of_before_026_are_refused(void)
{
	struct import_report report;
	struct place p;
	sqlite3 *db = NULL;

	open_place(&p, "0.26", "0.26");
	CHECK_EQ(sqlite3_open(p.db, &db), SQLITE_OK);
	CHECK_EQ(
		sqlite3_exec(db, "ALTER TABLE nodes DROP COLUMN approved_routes", NULL, NULL, NULL),
		SQLITE_OK);
	sqlite3_close(db);
	CHECK(import_headscale(&p.cfg, false, &report) < 0);
	CHECK(import_is_headscale(p.db));
	import_report_done(&report);
	close_place(&p);
}

int main(int argc, char **argv)
{
	folder = argc > 1 ? argv[1] : ".";
	RUN(a_dry_run_reports_and_writes_nothing);
	RUN(ids_keys_names_and_addresses_are_taken_over_unchanged);
	RUN(a_second_time_nothing_is_left_to_do);
	RUN(old_keys_open_the_new_door);
	RUN(older_tables_are_read_and_tags_asked_for_are_judged_by_the_policy);
	RUN(a_policy_that_is_not_accepted_is_named_and_gives_no_tags);
	RUN(a_server_that_runs_is_not_taken_over);
	RUN(tables_of_before_026_are_refused);
	return check_done();
}
