#pragma once
/*
 * The test harness: TAP on standard output, one line a test. A test is a
 * function whose name is a sentence that is true when it passes.
 *
 *	int main(void)
 *	{
 *		RUN(every_truncation_is_refused);
 *		return check_done();
 *	}
 *
 * A failed check prints both values and where, and ends the test function's
 * verdict, not the function: checks never jump.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/span.h"

extern struct check_state {
	unsigned ran, failed;
	bool bad;         /* the running test has failed */
	const char *only; /* FAIRLEAD_TEST: run the tests whose name contains this */
} check_state;

void check_fail(const char *file, int line, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
bool check_begin(const char *name);
void check_end(const char *name);
/* "1..N"; the exit status. */
int check_done(void);
/* In place of a test: named and counted as skipped. */
void check_skip(const char *name, const char *why);

#define RUN(test)                         \
	do {                              \
		if (check_begin(#test)) { \
			test();           \
			check_end(#test); \
		}                         \
	} while (0)

#define CHECK(x)                                                  \
	do {                                                      \
		if (!(x))                                         \
			check_fail(__FILE__, __LINE__, "%s", #x); \
	} while (0)

/* Integers, enums, error codes. */
#define CHECK_EQ(got, want)                                                                      \
	do {                                                                                     \
		intmax_t got_ = (intmax_t)(got);                                                 \
		intmax_t want_ = (intmax_t)(want);                                               \
		if (got_ != want_)                                                               \
			check_fail(__FILE__, __LINE__, "%s is %jd, wanted %s = %jd", #got, got_, \
			           #want, want_);                                                \
	} while (0)

/* 0, or the error's text. */
#define CHECK_OK(got)                                                               \
	do {                                                                        \
		int got_ = (got);                                                   \
		if (got_ < 0)                                                       \
			check_fail(__FILE__, __LINE__, "%s is %d (%s)", #got, got_, \
			           err_text(got_));                                 \
	} while (0)

#define CHECK_STR(got, want)                                                                \
	do {                                                                                \
		const char *got_ = (got);                                                   \
		const char *want_ = (want);                                                 \
		if (!got_ || strcmp(got_, want_) != 0)                                      \
			check_fail(__FILE__, __LINE__, "%s is \"%s\", wanted \"%s\"", #got, \
			           got_ ? got_ : "(null)", want_);                          \
	} while (0)

void check_mem(const char *file, int line, const char *what, const void *got, const void *want,
               size_t n);
#define CHECK_MEM(got, want, n) check_mem(__FILE__, __LINE__, #got, (got), (want), (n))

/* Bytes from hex; exits on a typo. Returns the number of bytes. */
size_t check_hex(void *dst, size_t cap, const char *hex);
