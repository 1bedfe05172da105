#pragma once
/*
 * Where a tailnet is kept. The state (state.h) is the only caller: it loads
 * everything once at the start and afterwards only writes whole records, so a
 * store needs no queries. SQLite stands behind it; a PostgreSQL store would be
 * a second table of these functions.
 *
 * Every write happens between store_begin and store_commit. A write that fails
 * spoils the transaction: the caller rolls back and answers with the error.
 *
 *	ERR_STORE	the database refused (logged once, with its own words)
 *	-ENOSPC, -EROFS	the disk is full, or cannot be written
 *	ERR_EXISTS	a unique value is taken: the guard behind the state's checks
 *	ERR_VERSION	written by a newer version of this program
 *	ERR_MALFORMED	a stored record cannot be read, or the file is damaged
 *
 * Threads	none inside.
 */
#include "base/own.h"
#include "coordinator/model.h"

struct store;

/* Called for each record while loading; they become the callee's. */
struct store_sink {
	void (*user)(struct store_sink *s, struct user *u);
	void (*node)(struct store_sink *s, struct node *n);
	void (*auth_key)(struct store_sink *s, struct auth_key *k);
	void (*api_key)(struct store_sink *s, struct api_key *k);
};

struct policy_revision {
	uint64_t id;
	wall at;
	const char *author, *text;
};

struct store_ops {
	void (*close)(struct store *s);
	int (*load)(struct store *s, struct store_sink *sink);
	int (*begin)(struct store *s);
	int (*commit)(struct store *s);
	void (*rollback)(struct store *s);

	int (*put_user)(struct store *s, const struct user *u);
	int (*del_user)(struct store *s, uint64_t id);
	int (*put_node)(struct store *s, const struct node *n);
	int (*del_node)(struct store *s, uint64_t id);
	int (*put_auth_key)(struct store *s, const struct auth_key *k);
	int (*del_auth_key)(struct store *s, uint64_t id);
	int (*put_api_key)(struct store *s, const struct api_key *k);
	int (*del_api_key)(struct store *s, uint64_t id);

	/* Revisions are kept; the newest is the policy. get gives NULL text if there is none. */
	int (*put_policy)(struct store *s, struct span text, const char *author, wall at);
	int (*get_policy)(struct store *s, char **ret_text, wall *ret_at);

	/* Appends to the chain of entries: each holds the hash of the one before it. */
	int (*add_audit)(struct store *s, const struct audit_entry *e);
	/* The newest `limit` entries before id `before` (0: from the end), newest first. */
	int (*list_audit)(struct store *s, uint64_t before, unsigned limit,
	                  void (*each)(void *arg, const struct audit_entry *e), void *arg);
	/* ERR_AUTH if an entry was altered or is missing. */
	int (*verify_audit)(struct store *s);

	/* kept.h: records of a kind with an id and an end. end_kept deletes what is over. */
	int (*put_kept)(struct store *s, const char *kind, const char *id, wall until,
	                struct span json);
	int (*del_kept)(struct store *s, const char *kind, const char *id);
	int (*end_kept)(struct store *s, wall now);
	int (*list_kept)(struct store *s, const char *kind,
	                 void (*each)(void *arg, const char *id, wall until, struct span json),
	                 void *arg);

	/* Small values by name: counters of ids, settings. An unknown name gives 0. */
	int (*get_number)(struct store *s, const char *name, uint64_t *ret);
	int (*put_number)(struct store *s, const char *name, uint64_t value);

	int (*ping)(struct store *s);  /* can it be written? */
	int (*check)(struct store *s); /* whole file and foreign keys */
	int (*backup)(struct store *s,
	              const char *path); /* while in use; the file must not exist */
};

struct store {
	const struct store_ops *ops;
};

/*
 * Opens or creates the database at path (":memory:" for tests), brings it to
 * the present schema in one transaction, after a copy of an older one was put
 * beside it, and checks its integrity.
 */
NODISCARD int store_sqlite_open(const char *path, struct store **ret);

static inline void store_close(struct store *s)
{
	if (s)
		s->ops->close(s);
}
DEFINE_AUTO(store_close, struct store *)
