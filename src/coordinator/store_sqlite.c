#include "coordinator/store_sqlite.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "coordinator/store_schema.h"

/*
 * One connection, write-ahead log, synchronous NORMAL: a killed process loses
 * nothing that was committed; a machine that loses power may lose the last
 * moments but never the file.
 */
static const char setup[] = "PRAGMA journal_mode = WAL;"
			    "PRAGMA synchronous = NORMAL;"
			    "PRAGMA foreign_keys = ON;"
			    "PRAGMA busy_timeout = 10000;"
			    "PRAGMA temp_store = MEMORY;"
			    "PRAGMA cache_size = -4096;";

/* clang-format off */
static const char *const statements[SQL_MAX] = {
	[SQL_BEGIN] = "BEGIN IMMEDIATE",
	[SQL_COMMIT] = "COMMIT",
	[SQL_ROLLBACK] = "ROLLBACK",
	[SQL_PUT_USER] =
		"INSERT INTO users (id, name, display_name, email, provider, provider_id, picture_url,"
		" groups, created, role) VALUES (?,?,?,?,?,?,?,?,?,?) ON CONFLICT (id) DO UPDATE SET"
		" name=excluded.name, display_name=excluded.display_name, email=excluded.email,"
		" provider=excluded.provider, provider_id=excluded.provider_id,"
		" picture_url=excluded.picture_url, groups=excluded.groups, role=excluded.role",
	[SQL_DEL_USER] = "DELETE FROM users WHERE id = ?",
	[SQL_PUT_NODE] =
		"INSERT INTO nodes (id, machine_key, node_key, disco_key, ipv4, ipv6, hostname,"
		" given_name, renamed, user_id, tags, method, auth_key_id, ephemeral, authorized, created,"
		" last_seen, expiry, approved, capver, endpoints, hostinfo, netinfo, home_derp,"
		" attrs) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT (id) DO UPDATE SET"
		" machine_key=excluded.machine_key, node_key=excluded.node_key,"
		" disco_key=excluded.disco_key, ipv4=excluded.ipv4, ipv6=excluded.ipv6,"
		" hostname=excluded.hostname, given_name=excluded.given_name, renamed=excluded.renamed,"
		" user_id=excluded.user_id, tags=excluded.tags, method=excluded.method,"
		" auth_key_id=excluded.auth_key_id, ephemeral=excluded.ephemeral,"
		" authorized=excluded.authorized, last_seen=excluded.last_seen, expiry=excluded.expiry,"
		" approved=excluded.approved, capver=excluded.capver, endpoints=excluded.endpoints,"
		" hostinfo=excluded.hostinfo, netinfo=excluded.netinfo, home_derp=excluded.home_derp,"
		" attrs=excluded.attrs",
	[SQL_DEL_NODE] = "DELETE FROM nodes WHERE id = ?",
	[SQL_PUT_AUTH_KEY] =
		"INSERT INTO auth_keys (id, prefix, hash, user_id, reusable, ephemeral, used, revoked, tags,"
		" created, expiry, description) VALUES (?,?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT (id) DO UPDATE"
		" SET hash=excluded.hash, user_id=excluded.user_id, used=excluded.used,"
		" revoked=excluded.revoked, expiry=excluded.expiry, description=excluded.description",
	[SQL_DEL_AUTH_KEY] = "DELETE FROM auth_keys WHERE id = ?",
	[SQL_PUT_API_KEY] =
		"INSERT INTO api_keys (id, prefix, hash, created, expiry, last_seen) VALUES (?,?,?,?,?,?)"
		" ON CONFLICT (id) DO UPDATE SET hash=excluded.hash, expiry=excluded.expiry,"
		" last_seen=excluded.last_seen",
	[SQL_DEL_API_KEY] = "DELETE FROM api_keys WHERE id = ?",
	[SQL_PUT_POLICY] = "INSERT INTO policies (at, author, text) VALUES (?,?,?)",
	[SQL_ADD_AUDIT] =
		"INSERT INTO audit (id, at, actor, action, target, before, after, chain)"
		" VALUES (?,?,?,?,?,?,?,?)",
	[SQL_LAST_AUDIT] = "SELECT id, chain FROM audit ORDER BY id DESC LIMIT 1",
	[SQL_PUT_NUMBER] =
		"INSERT INTO numbers (name, value) VALUES (?,?)"
		" ON CONFLICT (name) DO UPDATE SET value=excluded.value",
	[SQL_GET_NUMBER] = "SELECT value FROM numbers WHERE name = ?",
	[SQL_PUT_KEPT] =
		"INSERT INTO kept (kind, id, until, body) VALUES (?,?,?,?)"
		" ON CONFLICT (kind, id) DO UPDATE SET until=excluded.until, body=excluded.body",
	[SQL_DEL_KEPT] = "DELETE FROM kept WHERE kind = ? AND id = ?",
	[SQL_END_KEPT] = "DELETE FROM kept WHERE until <= ?",
};
/* clang-format on */

int sql_failed(struct store_sqlite *s, int rc, const char *what)
{
	log_error("database: %s: %s", what, sqlite3_errmsg(s->db));
	switch (rc & 0xff) {
	case SQLITE_CONSTRAINT:
		return ERR_EXISTS;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return ERR_MALFORMED;
	case SQLITE_FULL:
		return -ENOSPC;
	case SQLITE_READONLY:
		return -EROFS;
	default:
		return ERR_STORE;
	}
}

int sql_exec(struct store_sqlite *s, const char *sql)
{
	int rc = sqlite3_exec(s->db, sql, NULL, NULL, NULL);

	return rc == SQLITE_OK ? 0 : sql_failed(s, rc, "set-up");
}

sqlite3_stmt *sql_get(struct store_sqlite *s, enum sql_id id)
{
	if (!s->stmt[id]) {
		int rc = sqlite3_prepare_v3(s->db, statements[id], -1, SQLITE_PREPARE_PERSISTENT,
		                            &s->stmt[id], NULL);

		if (rc != SQLITE_OK)
			(void)sql_failed(s, rc, "prepare");
	}
	if (s->stmt[id])
		sqlite3_reset(s->stmt[id]);
	return s->stmt[id];
}

int sql_run(struct store_sqlite *s, sqlite3_stmt *st, const char *what)
{
	int rc = sqlite3_step(st);
	int r = rc == SQLITE_DONE || rc == SQLITE_ROW ? 0 : sql_failed(s, rc, what);

	sqlite3_reset(st);
	sqlite3_clear_bindings(st);
	return r;
}

static int run_plain(struct store *base, enum sql_id id, const char *what)
{
	sqlite3_stmt *st = sql_get(sqlite_of(base), id);

	return st ? sql_run(sqlite_of(base), st, what) : ERR_STORE;
}

static int sqlite_begin(struct store *base)
{
	return run_plain(base, SQL_BEGIN, "begin");
}

static int sqlite_commit(struct store *base)
{
	return run_plain(base, SQL_COMMIT, "commit");
}

static void sqlite_rollback(struct store *base)
{
	if (!sqlite3_get_autocommit(sqlite_of(base)->db))
		(void)run_plain(base, SQL_ROLLBACK, "rollback");
}

static void bind_text(sqlite3_stmt *st, int i, const char *text)
{
	sqlite3_bind_text(st, i, text, -1, SQLITE_TRANSIENT);
}

static void bind_taken(sqlite3_stmt *st, int i, char *text)
{
	sqlite3_bind_text(st, i, text, -1, free);
}

static void bind_ip(sqlite3_stmt *st, int i, const struct ip *ip)
{
	char text[IP_TEXT_MAX];

	if (!ip_is_zero(ip))
		bind_text(st, i, ip_text(ip, text));
}

static void bind_id(sqlite3_stmt *st, int i, uint64_t id)
{
	if (id)
		sqlite3_bind_int64(st, i, (int64_t)id);
}

static int sqlite_put_user(struct store *base, const struct user *u)
{
	sqlite3_stmt *st = sql_get(sqlite_of(base), SQL_PUT_USER);

	if (!st)
		return ERR_STORE;
	bind_id(st, 1, u->id);
	bind_text(st, 2, u->name);
	bind_text(st, 3, u->display_name);
	bind_text(st, 4, u->email);
	bind_text(st, 5, u->provider);
	bind_text(st, 6, u->provider_id);
	bind_text(st, 7, u->picture_url);
	bind_taken(st, 8, texts_join(&u->groups));
	sqlite3_bind_int64(st, 9, u->created.us);
	bind_text(st, 10, u->role);
	return sql_run(sqlite_of(base), st, "users");
}

static int sqlite_put_node(struct store *base, const struct node *n)
{
	sqlite3_stmt *st = sql_get(sqlite_of(base), SQL_PUT_NODE);
	char text[KEY_TEXT_MAX];

	if (!st)
		return ERR_STORE;
	bind_id(st, 1, n->id);
	bind_text(st, 2, machine_pub_text(&n->machine, text));
	bind_text(st, 3, node_pub_text(&n->key, text));
	bind_text(st, 4, disco_pub_text(&n->disco, text));
	bind_ip(st, 5, &n->ip4);
	bind_ip(st, 6, &n->ip6);
	bind_text(st, 7, n->hostname);
	bind_text(st, 8, n->given_name);
	sqlite3_bind_int(st, 9, n->renamed);
	bind_id(st, 10, n->user_id);
	bind_taken(st, 11, texts_join(&n->tags));
	bind_text(st, 12, register_method_text(n->method));
	sqlite3_bind_int64(st, 13, (int64_t)n->auth_key_id);
	sqlite3_bind_int(st, 14, n->ephemeral);
	sqlite3_bind_int(st, 15, n->authorized);
	sqlite3_bind_int64(st, 16, n->created.us);
	sqlite3_bind_int64(st, 17, n->last_seen.us);
	sqlite3_bind_int64(st, 18, n->expiry.us);
	bind_taken(st, 19, prefixes_join(&n->approved));
	sqlite3_bind_int64(st, 20, n->capver);
	bind_taken(st, 21, endpoints_join(&n->endpoints));
	bind_text(st, 22, n->hostinfo);
	bind_text(st, 23, n->netinfo);
	sqlite3_bind_int64(st, 24, n->home_derp);
	bind_text(st, 25, n->attrs);
	return sql_run(sqlite_of(base), st, "nodes");
}

static int sqlite_put_auth_key(struct store *base, const struct auth_key *k)
{
	sqlite3_stmt *st = sql_get(sqlite_of(base), SQL_PUT_AUTH_KEY);

	if (!st)
		return ERR_STORE;
	bind_id(st, 1, k->id);
	bind_text(st, 2, k->prefix);
	bind_text(st, 3, k->hash);
	bind_id(st, 4, k->user_id);
	sqlite3_bind_int(st, 5, k->reusable);
	sqlite3_bind_int(st, 6, k->ephemeral);
	sqlite3_bind_int(st, 7, k->used);
	sqlite3_bind_int(st, 8, k->revoked);
	bind_taken(st, 9, texts_join(&k->tags));
	sqlite3_bind_int64(st, 10, k->created.us);
	sqlite3_bind_int64(st, 11, k->expiry.us);
	bind_text(st, 12, k->description);
	return sql_run(sqlite_of(base), st, "auth_keys");
}

static int sqlite_put_api_key(struct store *base, const struct api_key *k)
{
	sqlite3_stmt *st = sql_get(sqlite_of(base), SQL_PUT_API_KEY);

	if (!st)
		return ERR_STORE;
	bind_id(st, 1, k->id);
	bind_text(st, 2, k->prefix);
	bind_text(st, 3, k->hash);
	sqlite3_bind_int64(st, 4, k->created.us);
	sqlite3_bind_int64(st, 5, k->expiry.us);
	sqlite3_bind_int64(st, 6, k->last_seen.us);
	return sql_run(sqlite_of(base), st, "api_keys");
}

static int delete_by_id(struct store *base, enum sql_id which, uint64_t id)
{
	sqlite3_stmt *st = sql_get(sqlite_of(base), which);

	if (!st)
		return ERR_STORE;
	bind_id(st, 1, id);
	return sql_run(sqlite_of(base), st, "delete");
}

static int sqlite_del_user(struct store *base, uint64_t id)
{
	return delete_by_id(base, SQL_DEL_USER, id);
}

static int sqlite_del_node(struct store *base, uint64_t id)
{
	return delete_by_id(base, SQL_DEL_NODE, id);
}

static int sqlite_del_auth_key(struct store *base, uint64_t id)
{
	return delete_by_id(base, SQL_DEL_AUTH_KEY, id);
}

static int sqlite_del_api_key(struct store *base, uint64_t id)
{
	return delete_by_id(base, SQL_DEL_API_KEY, id);
}

static int sqlite_put_policy(struct store *base, struct span text, const char *author, wall at)
{
	sqlite3_stmt *st = sql_get(sqlite_of(base), SQL_PUT_POLICY);

	if (!st)
		return ERR_STORE;
	sqlite3_bind_int64(st, 1, at.us);
	bind_text(st, 2, author);
	sqlite3_bind_text64(st, 3, text.n ? (const char *)text.p : "", text.n, SQLITE_TRANSIENT,
	                    SQLITE_UTF8);
	return sql_run(sqlite_of(base), st, "policies");
}

static int sqlite_get_policy(struct store *base, char **ret_text, wall *ret_at)
{
	struct store_sqlite *s = sqlite_of(base);
	sqlite3_stmt *st = NULL;
	int rc = sqlite3_prepare_v2(s->db, "SELECT text, at FROM policies ORDER BY id DESC LIMIT 1",
	                            -1, &st, NULL);

	if (rc != SQLITE_OK)
		return sql_failed(s, rc, "policies");
	rc = sqlite3_step(st);
	*ret_text = rc == SQLITE_ROW ? str_dup((const char *)sqlite3_column_text(st, 0)) : NULL;
	*ret_at = (wall){ rc == SQLITE_ROW ? sqlite3_column_int64(st, 1) : 0 };
	sqlite3_finalize(st);
	return rc == SQLITE_ROW || rc == SQLITE_DONE ? 0 : sql_failed(s, rc, "policies");
}

static int sqlite_get_number(struct store *base, const char *name, uint64_t *ret)
{
	sqlite3_stmt *st = sql_get(sqlite_of(base), SQL_GET_NUMBER);

	if (!st)
		return ERR_STORE;
	bind_text(st, 1, name);

	int rc = sqlite3_step(st);

	*ret = rc == SQLITE_ROW ? (uint64_t)sqlite3_column_int64(st, 0) : 0;
	sqlite3_reset(st);
	return rc == SQLITE_ROW || rc == SQLITE_DONE ? 0 : sql_failed(sqlite_of(base), rc, name);
}

static int sqlite_put_number(struct store *base, const char *name, uint64_t value)
{
	sqlite3_stmt *st = sql_get(sqlite_of(base), SQL_PUT_NUMBER);

	if (!st)
		return ERR_STORE;
	bind_text(st, 1, name);
	sqlite3_bind_int64(st, 2, (int64_t)value);
	return sql_run(sqlite_of(base), st, "numbers");
}

static int sqlite_ping(struct store *base)
{
	int r = sqlite_begin(base);

	if (r >= 0)
		sqlite_rollback(base);
	return r;
}

static int count_row(void *arg, int n, char **values, char **names)
{
	unsigned *complaints = arg;

	(void)names;
	if (n > 0 && values[0] && strcmp(values[0], "ok") != 0) {
		if (++*complaints <= 5)
			log_error("database: integrity: %s", values[0]);
	}
	return 0;
}

static int sqlite_check(struct store *base)
{
	struct store_sqlite *s = sqlite_of(base);
	unsigned complaints = 0;
	int rc = sqlite3_exec(s->db, "PRAGMA quick_check; PRAGMA foreign_key_check", count_row,
	                      &complaints, NULL);

	if (rc != SQLITE_OK)
		return sql_failed(s, rc, "integrity");
	return complaints ? ERR_MALFORMED : 0;
}

static int sqlite_backup(struct store *base, const char *path)
{
	struct store_sqlite *s = sqlite_of(base);
	sqlite3_stmt *st = NULL;
	int rc = sqlite3_prepare_v2(s->db, "VACUUM INTO ?", -1, &st, NULL);

	if (rc != SQLITE_OK)
		return sql_failed(s, rc, "backup");
	bind_text(st, 1, path);
	rc = sqlite3_step(st);

	int r = rc == SQLITE_DONE ? 0 : sql_failed(s, rc, "backup");

	sqlite3_finalize(st);
	return r;
}

static void sqlite_close(struct store *base)
{
	struct store_sqlite *s = sqlite_of(base);

	for (size_t i = 0; i < SQL_MAX; i++)
		sqlite3_finalize(s->stmt[i]);
	sqlite3_close(s->db);
	free(s->path);
	free(s);
}

static const struct store_ops sqlite_ops = {
	.close = sqlite_close,
	.load = sqlite_load,
	.begin = sqlite_begin,
	.commit = sqlite_commit,
	.rollback = sqlite_rollback,
	.put_user = sqlite_put_user,
	.del_user = sqlite_del_user,
	.put_node = sqlite_put_node,
	.del_node = sqlite_del_node,
	.put_auth_key = sqlite_put_auth_key,
	.del_auth_key = sqlite_del_auth_key,
	.put_api_key = sqlite_put_api_key,
	.del_api_key = sqlite_del_api_key,
	.put_policy = sqlite_put_policy,
	.get_policy = sqlite_get_policy,
	.add_audit = sqlite_add_audit,
	.list_audit = sqlite_list_audit,
	.verify_audit = sqlite_verify_audit,
	.put_kept = sqlite_put_kept,
	.del_kept = sqlite_del_kept,
	.end_kept = sqlite_end_kept,
	.list_kept = sqlite_list_kept,
	.get_number = sqlite_get_number,
	.put_number = sqlite_put_number,
	.ping = sqlite_ping,
	.check = sqlite_check,
	.backup = sqlite_backup,
};

static int user_version(struct store_sqlite *s, unsigned *ret)
{
	sqlite3_stmt *st = NULL;
	int rc = sqlite3_prepare_v2(s->db, "PRAGMA user_version", -1, &st, NULL);

	if (rc != SQLITE_OK)
		return sql_failed(s, rc, "version");
	rc = sqlite3_step(st);
	*ret = rc == SQLITE_ROW ? (unsigned)sqlite3_column_int(st, 0) : 0;
	sqlite3_finalize(st);
	return rc == SQLITE_ROW ? 0 : sql_failed(s, rc, "version");
}

static int migrate_from(struct store_sqlite *s, unsigned have)
{
	char version[64];
	int r = sqlite_begin(&s->base);

	for (unsigned v = have; r >= 0 && v < store_schema_version; v++)
		r = sql_exec(s, store_schema_steps[v]);
	(void)snprintf(version, sizeof(version), "PRAGMA user_version = %u", store_schema_version);
	if (r >= 0)
		r = sql_exec(s, version);
	if (r >= 0)
		r = sqlite_commit(&s->base);
	if (r < 0)
		sqlite_rollback(&s->base);
	return r;
}

static int migrate(struct store_sqlite *s)
{
	unsigned have = 0;
	int r = user_version(s, &have);

	if (r < 0 || have == store_schema_version)
		return r;
	if (have > store_schema_version) {
		log_error("%s was written by a newer version of this program", s->path);
		return ERR_VERSION;
	}
	if (have > 0) {
		AUTO_FREE char *copy = str_fmt("%s.v%u.backup", s->path, have);

		r = sqlite_backup(&s->base, copy);
		if (r < 0)
			return r;
	}
	return migrate_from(s, have);
}

/* Made before SQLite would, which lets everybody read; its other files take the mode over. */
static void make_private(const char *path)
{
	if (strcmp(path, ":memory:") != 0)
		fd_close(open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600));
}

int store_sqlite_open(const char *path, struct store **ret)
{
	struct store_sqlite *s = mem_new(struct store_sqlite);
	AUTO(store_close) struct store *base = &s->base;

	s->base.ops = &sqlite_ops;
	s->path = str_dup(path);
	make_private(path);

	int rc = sqlite3_open_v2(path, &s->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL);

	if (rc != SQLITE_OK)
		return sql_failed(s, rc, path);

	int r = sql_exec(s, setup);

	if (r >= 0)
		r = sqlite_check(base);
	if (r >= 0)
		r = migrate(s);
	if (r < 0)
		return r;
	*ret = TAKE(base);
	return 0;
}
