#include "platform/proc.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

#include "base/mem.h"
#include "test/check.h"

static void input_goes_in_and_output_comes_back(void)
{
	static const char *const argv[] = { "cat", NULL };
	AUTO_DONE(buf) struct buf out = { 0 }, big = { 0 };

	CHECK_OK(proc_ok(&(struct proc_cmd){ .argv = argv, .input = SPAN_LIT("hello") }, &out));
	CHECK_STR(buf_text(&out), "hello");

	/* More than the pipes hold, so both directions have to move in turns. */
	for (int i = 0; i < 300000; i++)
		buf_add_u8(&big, (uint8_t)i);
	buf_clear(&out);
	CHECK_OK(proc_ok(&(struct proc_cmd){ .argv = argv, .input = buf_span(&big) }, &out));
	CHECK(span_eq(buf_span(&out), buf_span(&big)));
}

static void exit_status_and_signal_are_told(void)
{
	static const char *const exits[] = { "sh", "-c", "exit 3", NULL };
	static const char *const dies[] = { "sh", "-c", "kill -TERM $$", NULL };
	int status = -1;

	CHECK_OK(proc_run(&(struct proc_cmd){ .argv = exits }, NULL, &status));
	CHECK_EQ(status, 3);
	CHECK_OK(proc_run(&(struct proc_cmd){ .argv = dies }, NULL, &status));
	CHECK_EQ(status, 128 + SIGTERM);
	CHECK_EQ(proc_ok(&(struct proc_cmd){ .argv = exits }, NULL), ERR_DENIED);
}

static void a_missing_program_is_an_error(void)
{
	static const char *const argv[] = { "no-such-program-here", NULL };
	int status;

	CHECK_EQ(proc_run(&(struct proc_cmd){ .argv = argv }, NULL, &status), -ENOENT);
	CHECK(!proc_find("no-such-program-here", NULL));
	CHECK(proc_find("sh", NULL));
}

static void a_child_that_hangs_is_killed_at_its_limit(void)
{
	static const char *const argv[] = { "sleep", "30", NULL };
	int status = 0;

	CHECK_EQ(proc_run(&(struct proc_cmd){ .argv = argv, .limit_us = 50000 }, NULL, &status),
	         ERR_TIMEOUT);
	CHECK_EQ(status, 128 + SIGKILL);
}

static void a_child_that_does_not_read_its_input_does_no_harm(void)
{
	static const char *const argv[] = { "true", NULL };
	AUTO_DONE(buf) struct buf big = { 0 };

	(void)buf_room(&big, 200000);
	big.n = 200000;
	memset(big.p, 'x', big.n);
	CHECK_OK(proc_ok(&(struct proc_cmd){ .argv = argv, .input = buf_span(&big) }, NULL));
}

static void a_grandchild_that_holds_the_pipe_does_not_hold_us(void)
{
	static const char *const argv[] = { "sh", "-c", "sleep 2 & echo done", NULL };
	AUTO_DONE(buf) struct buf out = { 0 };

	CHECK_OK(proc_ok(&(struct proc_cmd){ .argv = argv, .limit_us = 1500000 }, &out));
	CHECK_STR(buf_text(&out), "done\n");
}

static void too_much_output_is_cut_off(void)
{
	static const char *const argv[] = { "cat", "/dev/zero", NULL };
	AUTO_DONE(buf) struct buf out = { 0 };

	CHECK_EQ(proc_ok(&(struct proc_cmd){ .argv = argv }, &out), ERR_LIMIT);
}

static void the_environment_is_small_and_fixed(void)
{
	static const char *const argv[] = { "env", NULL };
	AUTO_DONE(buf) struct buf out = { 0 };

	(void)setenv("LD_PRELOAD_NOT", "1", 1);
	CHECK_OK(proc_ok(&(struct proc_cmd){ .argv = argv }, &out));
	CHECK(strstr(buf_text(&out), "LD_PRELOAD_NOT") == NULL);
	CHECK(strstr(buf_text(&out), "LC_ALL=C") != NULL);
}

int main(void)
{
	RUN(input_goes_in_and_output_comes_back);
	RUN(exit_status_and_signal_are_told);
	RUN(a_missing_program_is_an_error);
	RUN(a_child_that_hangs_is_killed_at_its_limit);
	RUN(a_child_that_does_not_read_its_input_does_no_harm);
	RUN(a_grandchild_that_holds_the_pipe_does_not_hold_us);
	RUN(too_much_output_is_cut_off);
	RUN(the_environment_is_small_and_fixed);
	return check_done();
}
