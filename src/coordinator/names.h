#pragma once
/*
 * The DNS labels of nodes: made from what the client calls itself, unique by a
 * number at the end.
 *
 * Source: tailscale v1.102.5 util/dnsname SanitizeHostname; apostrophes vanish,
 * spaces, dots, underscores and at signs become dashes.
 */
#include "base/own.h"
#include "coordinator/model.h"

/* At most 63 characters of a-z 0-9 -, neither end a dash; "node" if nothing is left. */
void name_sanitise(struct span hostname, char dst[static NAME_MAX_LEN + 1]);

/* What an administrator may give. ERR_MALFORMED */
NODISCARD int name_check(struct span label);

/*
 * base, then base-1, base-2 ...: the first that is not taken. Past a few dozen, where
 * thousands share a name, one that is not taken and whose predecessor is.
 */
void name_unique(const char *base, bool (*taken)(const void *arg, const char *name),
                 const void *arg, char dst[static NAME_MAX_LEN + 1]);
