#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"

static struct {
	enum log_level level;
	const char *name;
	void (*sink)(void *arg, enum log_level level, const char *line);
	void *arg;
} log_state = { .level = LOG_INFO };

void log_set_level(enum log_level level)
{
	__atomic_store_n(&log_state.level, level, __ATOMIC_RELAXED);
}

enum log_level log_get_level(void)
{
	return __atomic_load_n(&log_state.level, __ATOMIC_RELAXED);
}

void log_set_name(const char *name)
{
	log_state.name = name;
}

void log_set_sink(void (*sink)(void *arg, enum log_level level, const char *line), void *arg)
{
	log_state.sink = sink;
	log_state.arg = arg;
}

static void emit(enum log_level level, const char *line)
{
	static const char *const words[] = { "error: ", "warning: ", "", "debug: " };
	static const char *const journal[] = { "<3>", "<4>", "<6>", "<7>" };
	char out[1200];

	if (log_state.sink) {
		log_state.sink(log_state.arg, level, line);
		return;
	}

	const char *name = log_state.name ? log_state.name : "";
	const char *first = getenv("JOURNAL_STREAM") ? journal[level] : "";
	int n = snprintf(out, sizeof(out), "%s%s%s%s%s\n", first, name, *name ? ": " : "",
	                 words[level], line);

	if (n < 0)
		return;
	if ((size_t)n >= sizeof(out)) {
		n = sizeof(out) - 1;
		out[n - 1] = '\n';
	}
	/* One write a line, so that threads and processes do not mix theirs. */
	(void)!write(STDERR_FILENO, out, (size_t)n);
}

PRINTF(3, 0)
static void emit_v(enum log_level level, const char *tail, const char *fmt, va_list ap)
{
	char line[1024];
	int n = vsnprintf(line, sizeof(line), fmt, ap);

	if (n < 0)
		return;

	size_t used = (size_t)n < sizeof(line) ? (size_t)n : sizeof(line) - 1;

	if (tail)
		(void)snprintf(line + used, sizeof(line) - used, ": %s", tail);
	for (char *c = line; *c; c++) {
		/* What a peer sent must not forge a line of its own. */
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			*c = ' ';
	}
	emit(level, line);
}

void log_at(enum log_level level, const char *fmt, ...)
{
	va_list ap;

	if (level > log_get_level() || level < LOG_ERROR)
		return;
	va_start(ap, fmt);
	emit_v(level, NULL, fmt, ap);
	va_end(ap);
}

int log_ret(int r, const char *fmt, ...)
{
	va_list ap;

	if (log_get_level() < LOG_ERROR)
		return r;
	va_start(ap, fmt);
	emit_v(LOG_ERROR, err_text(r), fmt, ap);
	va_end(ap);
	return r;
}

bool log_limit_ok(struct log_limit *l, mono now)
{
	if (l->every_us > 0) {
		int64_t refill = mono_since(l->last, now) / l->every_us;

		if (refill > 0) {
			l->spent = refill >= l->spent ? 0 : l->spent - (unsigned)refill;
			l->last = now;
		}
	}
	if (l->spent >= l->burst) {
		l->held++;
		return false;
	}
	l->spent++;
	if (l->held) {
		log_at(LOG_INFO, "held back %u lines like the next one", l->held);
		l->held = 0;
	}
	return true;
}
