#pragma once
/*
 * Whether this host forwards packets, as a subnet router or exit node must. We
 * never switch that on: it is the administrator's to decide, and we say how.
 *
 * Source: tailscale v1.102.5 net/netutil/ip_forward.go.
 */
#include <stdbool.h>

#include "base/buf.h"
#include "base/own.h"

/*
 * Appends what is wrong, in the words of the local API's check-ip-forwarding, and
 * with them the command that mends it. Nothing if all is well.
 */
void host_forwarding_check(bool want4, bool want6, struct buf *out);
/* The command alone, for a line of its own; nothing if all is well. */
void host_forwarding_cure(bool want4, bool want6, struct buf *out);
