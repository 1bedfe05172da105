#include "base/err.h"
#include "coordinator/store_sqlite.h"

int sqlite_put_kept(struct store *base, const char *kind, const char *id, wall until,
                    struct span json)
{
	sqlite3_stmt *st = sql_get(sqlite_of(base), SQL_PUT_KEPT);

	if (!st)
		return ERR_STORE;
	sqlite3_bind_text(st, 1, kind, -1, SQLITE_STATIC);
	sqlite3_bind_text(st, 2, id, -1, SQLITE_STATIC);
	sqlite3_bind_int64(st, 3, until.us);
	sqlite3_bind_text64(st, 4, (const char *)json.p, json.n, SQLITE_STATIC, SQLITE_UTF8);
	return sql_run(sqlite_of(base), st, "kept");
}

int sqlite_del_kept(struct store *base, const char *kind, const char *id)
{
	sqlite3_stmt *st = sql_get(sqlite_of(base), SQL_DEL_KEPT);

	if (!st)
		return ERR_STORE;
	sqlite3_bind_text(st, 1, kind, -1, SQLITE_STATIC);
	sqlite3_bind_text(st, 2, id, -1, SQLITE_STATIC);
	return sql_run(sqlite_of(base), st, "kept");
}

int sqlite_end_kept(struct store *base, wall now)
{
	sqlite3_stmt *st = sql_get(sqlite_of(base), SQL_END_KEPT);

	if (!st)
		return ERR_STORE;
	sqlite3_bind_int64(st, 1, now.us);
	return sql_run(sqlite_of(base), st, "kept");
}

int sqlite_list_kept(struct store *base, const char *kind,
                     void (*each)(void *arg, const char *id, wall until, struct span json),
                     void *arg)
{
	struct store_sqlite *s = sqlite_of(base);
	sqlite3_stmt *st = NULL;
	int rc = sqlite3_prepare_v2(
		s->db, "SELECT id, until, body FROM kept WHERE kind = ? ORDER BY until", -1, &st,
		NULL);

	if (rc != SQLITE_OK)
		return sql_failed(s, rc, "kept");
	sqlite3_bind_text(st, 1, kind, -1, SQLITE_STATIC);
	while ((rc = sqlite3_step(st)) == SQLITE_ROW)
		each(arg, (const char *)sqlite3_column_text(st, 0),
		     (wall){ sqlite3_column_int64(st, 1) },
		     span(sqlite3_column_text(st, 2), (size_t)sqlite3_column_bytes(st, 2)));
	sqlite3_finalize(st);
	return rc == SQLITE_DONE ? 0 : sql_failed(s, rc, "kept");
}
