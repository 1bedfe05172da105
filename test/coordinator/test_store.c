#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "coordinator/kept.h"
#include "coordinator/state.h"
#include "coordinator/store_schema.h"
#include "test/check.h"

/* What a database of the first version holds; later columns get their defaults. */
static const char rows[] =
	"INSERT INTO users (id, name, display_name, email, provider, provider_id, picture_url, "
	"groups,"
	" created) VALUES (3, 'ann', 'Ann', 'ann@x.test', '', '', '', '', 1700000000000000);"
	"INSERT INTO nodes (id, machine_key, node_key, disco_key, ipv4, ipv6, hostname, given_name,"
	" renamed, user_id, tags, method, auth_key_id, ephemeral, authorized, created, last_seen, "
	"expiry,"
	" approved, capver, endpoints, hostinfo, netinfo, home_derp) VALUES (7,"
	" 'mkey:1111111111111111111111111111111111111111111111111111111111111111',"
	" 'nodekey:2222222222222222222222222222222222222222222222222222222222222222',"
	" 'discokey:3333333333333333333333333333333333333333333333333333333333333333',"
	" '100.64.0.9', 'fd7a:115c:a1e0::9', 'box', 'desk', 1, 3, '', 'authkey', 0, 0, 1,"
	" 1700000000000000, 0, 0, '10.0.0.0/8', 106, '192.0.2.1:41641', '{}', NULL, 1);"
	"INSERT INTO policies (id, at, author, text) VALUES (1, 1700000000000000, 'x', '{}');";

struct place {
	char dir[32];
	char *db;
};

static void sql(const struct place *p, const char *text)
{
	sqlite3 *db = NULL;

	CHECK_EQ(sqlite3_open(p->db, &db), SQLITE_OK);
	CHECK_EQ(sqlite3_exec(db, text, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

static int version_of(const char *path)
{
	sqlite3 *db = NULL;
	sqlite3_stmt *st = NULL;
	int version = -1;

	if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL) == SQLITE_OK &&
	    sqlite3_prepare_v2(db, "PRAGMA user_version", -1, &st, NULL) == SQLITE_OK &&
	    sqlite3_step(st) == SQLITE_ROW)
		version = sqlite3_column_int(st, 0);
	sqlite3_finalize(st);
	sqlite3_close(db);
	return version;
}

/* A database as version `v` of the schema left it. */
static void open_place(struct place *p, unsigned v)
{
	AUTO_FREE char *version = str_fmt("PRAGMA user_version = %u", v);

	memcpy(p->dir, "/tmp/fairlead-store-XXXXXX", 27);
	CHECK(mkdtemp(p->dir) != NULL);
	p->db = str_fmt("%s/db.sqlite", p->dir);
	for (unsigned i = 0; i < v && i < store_schema_version; i++) {
		sql(p, store_schema_steps[i]);
		if (i == 0)
			sql(p, rows);
	}
	if (v)
		sql(p, version);
}

static void close_place(struct place *p)
{
	static const char *const ends[] = { "", "-wal", "-shm" };

	for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
		AUTO_FREE char *name = str_fmt("%s%s", p->db, ends[i]);

		(void)unlink(name);
	}
	CHECK_EQ(rmdir(p->dir), 0);
	free(p->db);
}

static void check_rows(const struct state *st)
{
	const struct node *n = state_node(st, 7);
	char text[IP_TEXT_MAX];

	CHECK_STR(state_user(st, 3)->email, "ann@x.test");
	CHECK(n && n->renamed && n->user_id == 3);
	CHECK_STR(n->given_name, "desk");
	CHECK_STR(ip_text(&n->ip4, text), "100.64.0.9");
	CHECK_EQ(n->approved.n, 1);
	CHECK_EQ(n->endpoints.n, 1);
}

static void each_older_schema_is_brought_up_to_date_and_a_copy_of_it_kept(void)
{
	for (unsigned v = 1; v <= store_schema_version; v++) {
		struct place p;
		struct rand_src rand;
		struct state_cfg cfg = { 0 };
		struct state_env env = { .rand = &rand };
		struct store *store = NULL;
		struct state *st = NULL;

		rand_seeded(&rand, 1);
		open_place(&p, v);
		AUTO_FREE char *copy = str_fmt("%s.v%u.backup", p.db, v);

		CHECK_OK(store_sqlite_open(p.db, &store));
		CHECK_OK(state_new(&cfg, &env, store, &st));
		check_rows(st);
		state_free(st);
		CHECK_EQ(version_of(p.db), (int)store_schema_version);
		if (v < store_schema_version)
			CHECK_EQ(version_of(copy), (int)v);
		else
			CHECK(access(copy, F_OK) < 0);
		(void)unlink(copy);
		close_place(&p);
	}
}

struct seen {
	unsigned n;
	char ids[64];
};

static void note(void *arg, const char *id, wall until, const struct js *record)
{
	struct seen *s = arg;

	(void)until;
	s->n++;
	(void)snprintf(s->ids + strlen(s->ids), sizeof(s->ids) - strlen(s->ids), "%s=%d ", id,
	               (int)js_int(js_get(record, "x"), 0));
}

static void what_was_kept_is_there_again_until_its_end(void)
{
	struct place p;
	struct store *store = NULL;
	struct seen logins = { 0 }, passes = { 0 }, later = { 0 };

	open_place(&p, 0);
	CHECK_OK(store_sqlite_open(p.db, &store));
	kept_put(store, KEPT_LOGIN, "c", (wall){ 300 }, SPAN_LIT("{\"x\":3}"));
	kept_put(store, KEPT_LOGIN, "a", (wall){ 100 }, SPAN_LIT("{\"x\":0}"));
	kept_put(store, KEPT_LOGIN, "b", (wall){ 200 }, SPAN_LIT("{\"x\":2}"));
	kept_put(store, KEPT_LOGIN, "a", (wall){ 100 }, SPAN_LIT("{\"x\":1}"));
	kept_put(store, KEPT_LOGIN, "d", (wall){ 400 }, SPAN_LIT("{\"x\":4}"));
	kept_put(store, KEPT_SSH_PASS, "a", (wall){ 900 }, SPAN_LIT("{\"x\":9}"));
	kept_drop(store, KEPT_LOGIN, "d");
	store_close(store);
	CHECK_OK(store_sqlite_open(p.db, &store));
	kept_load(store, KEPT_LOGIN, (wall){ 50 }, note, &logins);
	kept_load(store, KEPT_SSH_PASS, (wall){ 50 }, note, &passes);
	kept_load(store, KEPT_LOGIN, (wall){ 200 }, note, &later);
	CHECK_STR(logins.ids, "a=1 b=2 c=3 ");
	CHECK_STR(passes.ids, "a=9 ");
	CHECK_STR(later.ids, "c=3 ");
	store_close(store);
	close_place(&p);
}

static void a_newer_schema_is_refused_and_left_alone(void)
{
	struct place p;
	struct store *store = NULL;

	open_place(&p, store_schema_version + 1);
	CHECK_EQ(store_sqlite_open(p.db, &store), ERR_VERSION);
	CHECK_EQ(version_of(p.db), (int)store_schema_version + 1);
	close_place(&p);
}

static void a_step_that_fails_changes_nothing(void)
{
	struct place p;
	struct store *store = NULL;

	open_place(&p, 1);
	AUTO_FREE char *copy = str_fmt("%s.v1.backup", p.db);

	/* The column that the second step adds is there already. */
	sql(&p, "ALTER TABLE users ADD COLUMN role TEXT");
	CHECK(store_sqlite_open(p.db, &store) < 0);
	CHECK_EQ(version_of(p.db), 1);
	sql(&p, "ALTER TABLE users DROP COLUMN role");
	(void)unlink(copy);
	CHECK_OK(store_sqlite_open(p.db, &store));
	store_close(store);
	(void)unlink(copy);
	close_place(&p);
}

int main(void)
{
	RUN(each_older_schema_is_brought_up_to_date_and_a_copy_of_it_kept);
	RUN(what_was_kept_is_there_again_until_its_end);
	RUN(a_newer_schema_is_refused_and_left_alone);
	RUN(a_step_that_fails_changes_nothing);
	return check_done();
}
