#pragma once
/* What the files of the SQLite store share; nobody else includes this. */
#include <sqlite3.h>

#include "coordinator/store.h"

enum sql_id {
	SQL_BEGIN,
	SQL_COMMIT,
	SQL_ROLLBACK,
	SQL_PUT_USER,
	SQL_DEL_USER,
	SQL_PUT_NODE,
	SQL_DEL_NODE,
	SQL_PUT_AUTH_KEY,
	SQL_DEL_AUTH_KEY,
	SQL_PUT_API_KEY,
	SQL_DEL_API_KEY,
	SQL_PUT_POLICY,
	SQL_ADD_AUDIT,
	SQL_LAST_AUDIT,
	SQL_PUT_NUMBER,
	SQL_GET_NUMBER,
	SQL_PUT_KEPT,
	SQL_DEL_KEPT,
	SQL_END_KEPT,
	SQL_MAX,
};

struct store_sqlite {
	struct store base;
	sqlite3 *db;
	char *path;
	sqlite3_stmt *stmt[SQL_MAX]; /* prepared at first use */
};

static inline struct store_sqlite *sqlite_of(struct store *s)
{
	return (struct store_sqlite *)s;
}

/* Logs what SQLite says and gives our code for its result. */
int sql_failed(struct store_sqlite *s, int rc, const char *what);
/* The prepared statement, reset; NULL after it was logged why not. */
sqlite3_stmt *sql_get(struct store_sqlite *s, enum sql_id id);
/* Runs a statement without rows. */
int sql_run(struct store_sqlite *s, sqlite3_stmt *st, const char *what);
int sql_exec(struct store_sqlite *s, const char *sql);

/* store_audit.c */
int sqlite_add_audit(struct store *base, const struct audit_entry *e);
int sqlite_list_audit(struct store *base, uint64_t before, unsigned limit,
                      void (*each)(void *arg, const struct audit_entry *e), void *arg);
int sqlite_verify_audit(struct store *base);

/* store_kept.c */
int sqlite_put_kept(struct store *base, const char *kind, const char *id, wall until,
                    struct span json);
int sqlite_del_kept(struct store *base, const char *kind, const char *id);
int sqlite_end_kept(struct store *base, wall now);
int sqlite_list_kept(struct store *base, const char *kind,
                     void (*each)(void *arg, const char *id, wall until, struct span json),
                     void *arg);

/* store_load.c */
int sqlite_load(struct store *base, struct store_sink *sink);
