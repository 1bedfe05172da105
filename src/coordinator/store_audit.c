#include <sodium.h>
#include <string.h>

#include "base/err.h"
#include "coordinator/store_sqlite.h"

/*
 * The chain: every entry holds SHA-256 over the hash of the one before it and
 * its own fields, each with its length, so that altering, inserting or removing
 * an entry breaks all that follow.
 */
enum { CHAIN_LEN = crypto_hash_sha256_BYTES };

static void chain_text(crypto_hash_sha256_state *h, const char *text)
{
	uint64_t n = text ? strlen(text) + 1 : 0;

	crypto_hash_sha256_update(h, (const uint8_t *)&n, sizeof(n));
	if (text)
		crypto_hash_sha256_update(h, (const uint8_t *)text, n);
}

static void chain_next(uint8_t chain[static CHAIN_LEN], const struct audit_entry *e)
{
	crypto_hash_sha256_state h;

	crypto_hash_sha256_init(&h);
	crypto_hash_sha256_update(&h, chain, CHAIN_LEN);
	crypto_hash_sha256_update(&h, (const uint8_t *)&e->id, sizeof(e->id));
	crypto_hash_sha256_update(&h, (const uint8_t *)&e->at.us, sizeof(e->at.us));
	chain_text(&h, e->actor);
	chain_text(&h, e->action);
	chain_text(&h, e->target);
	chain_text(&h, e->before);
	chain_text(&h, e->after);
	crypto_hash_sha256_final(&h, chain);
}

static int last_link(struct store_sqlite *s, uint64_t *ret_id, uint8_t chain[static CHAIN_LEN])
{
	sqlite3_stmt *st = sql_get(s, SQL_LAST_AUDIT);

	*ret_id = 0;
	memset(chain, 0, CHAIN_LEN);
	if (!st)
		return ERR_STORE;

	int rc = sqlite3_step(st);

	if (rc == SQLITE_ROW) {
		*ret_id = (uint64_t)sqlite3_column_int64(st, 0);
		if (sqlite3_column_bytes(st, 1) == CHAIN_LEN)
			memcpy(chain, sqlite3_column_blob(st, 1), CHAIN_LEN);
	}
	sqlite3_reset(st);
	return rc == SQLITE_ROW || rc == SQLITE_DONE ? 0 : sql_failed(s, rc, "audit");
}

int sqlite_add_audit(struct store *base, const struct audit_entry *e)
{
	struct store_sqlite *s = sqlite_of(base);
	struct audit_entry entry = *e;
	uint8_t chain[CHAIN_LEN];
	int r = last_link(s, &entry.id, chain);

	if (r < 0)
		return r;
	entry.id++;
	chain_next(chain, &entry);

	sqlite3_stmt *st = sql_get(s, SQL_ADD_AUDIT);

	if (!st)
		return ERR_STORE;
	sqlite3_bind_int64(st, 1, (int64_t)entry.id);
	sqlite3_bind_int64(st, 2, entry.at.us);
	sqlite3_bind_text(st, 3, entry.actor, -1, SQLITE_STATIC);
	sqlite3_bind_text(st, 4, entry.action, -1, SQLITE_STATIC);
	sqlite3_bind_text(st, 5, entry.target, -1, SQLITE_STATIC);
	sqlite3_bind_text(st, 6, entry.before, -1, SQLITE_STATIC);
	sqlite3_bind_text(st, 7, entry.after, -1, SQLITE_STATIC);
	sqlite3_bind_blob(st, 8, chain, CHAIN_LEN, SQLITE_STATIC);
	return sql_run(s, st, "audit");
}

static void read_entry(sqlite3_stmt *st, struct audit_entry *e)
{
	*e = (struct audit_entry){
		.id = (uint64_t)sqlite3_column_int64(st, 0),
		.at = { sqlite3_column_int64(st, 1) },
		.actor = (const char *)sqlite3_column_text(st, 2),
		.action = (const char *)sqlite3_column_text(st, 3),
		.target = (const char *)sqlite3_column_text(st, 4),
		.before = (const char *)sqlite3_column_text(st, 5),
		.after = (const char *)sqlite3_column_text(st, 6),
	};
}

int sqlite_list_audit(struct store *base, uint64_t before, unsigned limit,
                      void (*each)(void *arg, const struct audit_entry *e), void *arg)
{
	struct store_sqlite *s = sqlite_of(base);
	sqlite3_stmt *st = NULL;
	int rc = sqlite3_prepare_v2(s->db,
	                            "SELECT id, at, actor, action, target, before, after FROM audit"
	                            " WHERE ?1 = 0 OR id < ?1 ORDER BY id DESC LIMIT ?2",
	                            -1, &st, NULL);

	if (rc != SQLITE_OK)
		return sql_failed(s, rc, "audit");
	sqlite3_bind_int64(st, 1, (int64_t)before);
	sqlite3_bind_int64(st, 2, limit);
	while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
		struct audit_entry e;

		read_entry(st, &e);
		each(arg, &e);
	}
	sqlite3_finalize(st);
	return rc == SQLITE_DONE ? 0 : sql_failed(s, rc, "audit");
}

/* The row continues the chain: the next number, and the hash that follows. */
static bool continues(sqlite3_stmt *st, uint64_t *id, uint8_t chain[static CHAIN_LEN])
{
	struct audit_entry e;

	read_entry(st, &e);
	if (e.id != ++*id || !e.actor || !e.action || !e.target)
		return false;
	chain_next(chain, &e);
	return sqlite3_column_bytes(st, 7) == CHAIN_LEN &&
	       memcmp(chain, sqlite3_column_blob(st, 7), CHAIN_LEN) == 0;
}

int sqlite_verify_audit(struct store *base)
{
	struct store_sqlite *s = sqlite_of(base);
	sqlite3_stmt *st = NULL;
	uint8_t chain[CHAIN_LEN] = { 0 };
	uint64_t id = 0;
	bool whole = true;
	int rc = sqlite3_prepare_v2(
		s->db,
		"SELECT id, at, actor, action, target, before, after, chain FROM audit ORDER BY id",
		-1, &st, NULL);

	if (rc != SQLITE_OK)
		return sql_failed(s, rc, "audit");
	while (whole && (rc = sqlite3_step(st)) == SQLITE_ROW)
		whole = continues(st, &id, chain);
	sqlite3_finalize(st);
	if (!whole)
		return ERR_AUTH;
	return rc == SQLITE_DONE ? 0 : sql_failed(s, rc, "audit");
}
