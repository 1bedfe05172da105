#pragma once
/* Kernel settings under /proc/sys, by their path there: "net/ipv4/ip_forward". */
#include "base/own.h"

/* A whole number. -errno; ERR_MALFORMED */
NODISCARD int sysctl_get(const char *path, int *ret);
/* Writes only if it is another value already. -errno */
NODISCARD int sysctl_set(const char *path, int value);
