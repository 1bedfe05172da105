#pragma once
/*
 * Tells the service manager how we are: sd_notify(3) without its library. A
 * program that no manager started says nothing, and that is no error.
 */
#include <stdint.h>

#include "base/own.h"

/*
 * One datagram of lines, "READY=1", "STATUS=text", "STOPPING=1", "WATCHDOG=1".
 * -errno; 0 also where nobody listens.
 */
int sdnotify(const char *lines);
/* How often the manager wants to hear WATCHDOG=1; 0: not at all. Tell it twice as often. */
int64_t sdnotify_watchdog_us(void);
