#pragma once
/*
 * The log: one line on standard error (or a sink), level first when it is not a
 * terminal, so that journald files it. The only mutable global of the tree.
 *
 * Cores do not log; the glue does, once, where it decides. Secrets never, user
 * addresses at debug. What a remote can trigger goes through log_limited.
 *
 * Threads: any.
 */
#include <stdbool.h>

#include "base/own.h"
#include "base/time.h"

enum log_level {
	LOG_ERROR, /* someone must act */
	LOG_WARN,  /* we carry on, worse */
	LOG_INFO,  /* state changes a user cares about */
	LOG_DEBUG,
	LOG_SILENT = -1,
};

void log_set_level(enum log_level level);
enum log_level log_get_level(void);
/* A short name in front of each line, kept by pointer. */
void log_set_name(const char *name);
/* NULL: standard error. The line has no newline at its end. */
void log_set_sink(void (*sink)(void *arg, enum log_level level, const char *line), void *arg);

void log_at(enum log_level level, const char *fmt, ...) PRINTF(2, 3);

#define log_error(...) log_at(LOG_ERROR, __VA_ARGS__)
#define log_warn(...) log_at(LOG_WARN, __VA_ARGS__)
#define log_info(...) log_at(LOG_INFO, __VA_ARGS__)
#define log_debug(...)                                  \
	do {                                            \
		if (log_get_level() >= LOG_DEBUG)       \
			log_at(LOG_DEBUG, __VA_ARGS__); \
	} while (0)

/* Logs "...: error text" and returns r. */
int log_ret(int r, const char *fmt, ...) PRINTF(2, 3);

/* A bucket of `burst` lines that refills one line every `every_us`; says how many it held back. */
struct log_limit {
	int64_t every_us;
	unsigned burst;
	unsigned spent, held; /* private */
	mono last;
};
bool log_limit_ok(struct log_limit *l, mono now);

#define log_limited(limit, now, level, ...)           \
	do {                                          \
		if (log_limit_ok((limit), (now)))     \
			log_at((level), __VA_ARGS__); \
	} while (0)
