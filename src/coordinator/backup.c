#include "coordinator/backup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/file.h"
#include "base/log.h"
#include "base/wire.h"
#include "coordinator/store_schema.h"
#include "coordinator/store_sqlite.h"

enum { CHUNK = 64 << 10, RESTORE_MAX = 1 << 30 };

/* A copy on its way. */
struct sending {
	struct http_req *req;
	int fd; /* of a file that has no name any more */
};

static void end(struct sending *s)
{
	fd_close(s->fd);
	free(s);
}

static void go_on(struct sending *s)
{
	uint8_t bytes[CHUNK];
	ssize_t n;
	int r = 0;

	while (r == 0 && (n = read(s->fd, bytes, sizeof(bytes))) > 0)
		r = http_send(s->req, span(bytes, (size_t)n));
	if (r != 0)
		return; /* `drained` or `gone` follows */
	if (n < 0)
		http_abort(s->req);
	else
		http_finish(s->req);
	end(s);
}

static void on_drained(struct http_req *req, void *arg)
{
	(void)req;
	go_on(arg);
}

static void on_gone(struct http_req *req, void *arg)
{
	(void)req;
	end(arg);
}

static int copy(struct coord *co, int *ret_fd)
{
	struct store *store = state_store(co->st);
	AUTO_FREE char *path = str_fmt("%s.copy", co->cfg->db_path);
	int r = state_flush(co->st);

	(void)unlink(path); /* of a server that was killed while it copied */
	if (r >= 0)
		r = store->ops->backup(store, path);
	if (r < 0)
		return r;
	*ret_fd = open(path, O_RDONLY | O_CLOEXEC);
	r = *ret_fd < 0 ? -errno : 0;
	(void)unlink(path);
	return r;
}

static void on_body(struct http_req *req, void *arg, struct span body)
{
	struct coord *co = arg;
	struct sending *s;
	int fd = -1, r = copy(co, &fd);

	(void)body;
	if (r < 0) {
		(void)log_ret(r, "backup");
		coord_answer_json(req, 500, SPAN_LIT("{\"error\":\"cannot copy the database\"}"));
		return;
	}
	s = mem_new(struct sending);
	*s = (struct sending){ req, fd };
	http_answer_later(req, &(struct http_later){ on_gone, on_drained, s });
	http_begin(req, 200, "application/vnd.sqlite3");
	go_on(s);
}

void backup_call(struct coord_call *c)
{
	http_read_body(c->req, 1 << 10, on_body, c->co);
}

/* ---- the other way ---- */

/* SQLite's file header: its magic, and at 60 the schema's version, which is ours. */
static int is_ours(struct span file)
{
	static const char magic[16] = "SQLite format 3";

	if (file.n < 100 || memcmp(file.p, magic, sizeof(magic)) != 0)
		return ERR_MALFORMED;
	return be32_at(file.p + 60) > 0 && be32_at(file.p + 60) <= store_schema_version
	               ? 0
	               : ERR_VERSION;
}

/* Opening checks it; what is older is brought up to date. */
static int check(const char *path)
{
	struct store *store = NULL;
	int r = store_sqlite_open(path, &store);

	if (r >= 0)
		store_close(store);
	return r;
}

static void remove_with_log(const char *path)
{
	static const char *const more[] = { "", "-wal", "-shm" };

	for (size_t i = 0; i < ARRAY_LEN(more); i++) {
		AUTO_FREE char *name = str_fmt("%s%s", path, more[i]);

		(void)unlink(name);
	}
}

/* Root restores for the server's own user: he owns the folder. */
static void keep_owner(const char *db, const char *file)
{
	AUTO_FREE char *folder = file_folder(db);
	struct stat st;

	if (geteuid() == 0 && stat(folder, &st) == 0 && chown(file, st.st_uid, st.st_gid) < 0)
		log_warn("%s belongs to root", file);
}

static int replace(const char *db, const char *by)
{
	AUTO_FREE char *before = str_fmt("%s.before-restore", db);
	AUTO_FREE char *wal = str_fmt("%s-wal", db);
	AUTO_FREE char *shm = str_fmt("%s-shm", db);

	if (access(db, F_OK) == 0) {
		/* Through SQLite, so that what is in its log comes along. */
		struct store *old = NULL;
		int r = store_sqlite_open(db, &old);

		remove_with_log(before);
		if (r >= 0) {
			r = old->ops->backup(old, before);
			store_close(old);
		} else if (rename(db, before) < 0) {
			r = -errno; /* it cannot be read: kept as it is */
		} else {
			r = 0;
		}
		if (r < 0)
			return log_ret(r, "cannot keep %s as %s", db, before);
	}
	(void)unlink(wal);
	(void)unlink(shm);
	keep_owner(db, by);
	return rename(by, db) < 0 ? log_ret(-errno, "cannot put the copy at %s", db) : 0;
}

int backup_restore(const struct config *cfg, const char *copy_path)
{
	AUTO_DONE(buf) struct buf bytes = { .max = RESTORE_MAX };
	AUTO_FREE char *new = str_fmt("%s.restore", cfg->db_path);
	AUTO(fd_close) int lock = -1;
	int r = coord_lock(cfg->db_path, &lock);

	if (r < 0)
		return r;
	r = file_read(copy_path, RESTORE_MAX, &bytes);

	if (r < 0)
		return log_ret(r, "cannot read %s", copy_path);
	r = is_ours(buf_span(&bytes));
	if (r < 0)
		return log_ret(r, "%s is no copy of a coordinator's database", copy_path);
	remove_with_log(new);
	r = file_write_atomic(new, buf_span(&bytes), 0600);
	if (r >= 0)
		r = check(new);
	if (r >= 0)
		r = replace(cfg->db_path, new);
	if (r < 0)
		remove_with_log(new);
	return r < 0 ? log_ret(r, "%s was not restored", copy_path) : 0;
}
