#pragma once
/* Features of a network card by their names in ethtool -k. */
#include <stdbool.h>

#include "base/own.h"

/* -errno; ERR_UNKNOWN: no feature has that name here */
NODISCARD int ethtool_feature(const char *dev, const char *name, bool *ret);
/* Needs CAP_NET_ADMIN. -EOPNOTSUPP: the card keeps it as it is. */
NODISCARD int ethtool_set_feature(const char *dev, const char *name, bool on);
