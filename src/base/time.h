#pragma once
/*
 * Time. Two clocks that cannot be mixed up, both in microseconds.
 *
 * mono	counts from boot and goes on in suspend (CLOCK_BOOTTIME): ages, timers
 * wall	since 1970-01-01 UTC: certificates, expiry dates, TAI64N
 *
 * Cores take the time as an argument; only platform/ and programs read a clock.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/own.h"
#include "base/span.h"

typedef struct {
	int64_t us;
} mono;

typedef struct {
	int64_t us;
} wall;

#define MONO_NEVER ((mono){ INT64_MAX })

#define US_PER_MS INT64_C(1000)
#define US_PER_S INT64_C(1000000)

static inline mono mono_after(mono t, int64_t us)
{
	int64_t sum;

	return __builtin_add_overflow(t.us, us, &sum) ? MONO_NEVER : (mono){ sum };
}

static inline int64_t mono_since(mono earlier, mono now)
{
	return now.us - earlier.us;
}

static inline bool mono_reached(mono deadline, mono now)
{
	return deadline.us <= now.us;
}

static inline bool mono_before(mono a, mono b)
{
	return a.us < b.us;
}

static inline mono mono_min(mono a, mono b)
{
	return a.us < b.us ? a : b;
}

mono mono_now(void);
wall wall_now(void);

/*
 * RFC 3339 as Go's time.Time prints it in JSON: "2006-01-02T15:04:05.999999Z",
 * fraction without trailing zeros, left out when zero.
 */
enum { TIME_TEXT_MAX = 40 };
const char *wall_text(wall t, char dst[static TIME_TEXT_MAX]);
/* Any RFC 3339 time with zone; finer than a microsecond is cut. ERR_MALFORMED */
NODISCARD int wall_parse(struct span text, wall *ret);

/*
 * Durations in Go's form: "1h30m", "90s", "1.5h", "300ms"; also "7d", "2w", "1y".
 * ERR_MALFORMED, ERR_LIMIT
 */
NODISCARD int duration_parse(struct span text, int64_t *ret_us);
/* Go's form: "1h30m0s", "2.5s", "0s". */
const char *duration_text(int64_t us, char dst[static TIME_TEXT_MAX]);
