#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "test/check.h"

static char folder[] = "/tmp/fairlead-test-XXXXXX";

static char *at(const char *name)
{
	return str_fmt("%s/%s", folder, name);
}

static void a_write_replaces_whole_and_sets_the_mode(void)
{
	AUTO_FREE char *path = at("state");
	struct buf b = { 0 };
	struct stat st;

	CHECK_OK(file_write_atomic(path, SPAN_LIT("first, and longer"), 0644));
	CHECK_OK(file_write_atomic(path, SPAN_LIT("second"), 0600));
	CHECK_OK(file_read(path, 100, &b));
	CHECK_STR(buf_text(&b), "second");
	CHECK(stat(path, &st) == 0 && (st.st_mode & 0777) == 0600);
	buf_done(&b);
}

static void a_file_over_the_limit_is_refused(void)
{
	AUTO_FREE char *path = at("big");
	struct buf b = { 0 };

	CHECK_OK(file_write_atomic(path, SPAN_LIT("12345"), 0600));
	CHECK_EQ(file_read(path, 4, &b), ERR_LIMIT);
	buf_clear(&b);
	CHECK_OK(file_read(path, 5, &b));
	buf_done(&b);
}

static void a_missing_file_is_errno(void)
{
	struct buf b = { 0 };

	CHECK_EQ(file_read("/nonexistent/x", 4, &b), -ENOENT);
	CHECK_EQ(file_write_atomic("/nonexistent/x", SPAN_LIT("x"), 0600), -ENOENT);
}

static void a_lock_is_held_by_one(void)
{
	AUTO_FREE char *path = at("lock");
	int a = -1, b = -1;

	CHECK_OK(file_lock(path, &a));
	CHECK_EQ(file_lock(path, &b), -EWOULDBLOCK);
	fd_close(a);
	CHECK_OK(file_lock(path, &b));
	fd_close(b);
}

int main(void)
{
	if (!mkdtemp(folder))
		return 1;
	RUN(a_write_replaces_whole_and_sets_the_mode);
	RUN(a_file_over_the_limit_is_refused);
	RUN(a_missing_file_is_errno);
	RUN(a_lock_is_held_by_one);
	for (size_t i = 0; i < 3; i++) {
		AUTO_FREE char *path = at(((const char *[]){ "state", "big", "lock" })[i]);

		(void)unlink(path);
	}
	(void)rmdir(folder);
	return check_done();
}
