#pragma once
/*
 * The kernel's WireGuard over generic netlink: its messages from a struct
 * wg_change and to a struct wg_info. Pure but for the send function it is given.
 *
 * Large changes are split over several messages as the kernel's header
 * describes: what replaces stands in the first fragment only.
 *
 * Source: linux/wireguard.h.
 */
#include "base/own.h"
#include "platform/netlink.h"
#include "wireguard/config.h"

enum { WGNL_NAME_MAX = 15 };

/*
 * Gives each message to `send`, in order; it adds sequence numbers itself. The
 * first negative result ends it.
 */
NODISCARD int wgnl_write(const struct wg_change *c, const char *name, uint16_t family,
                         int (*send)(void *arg, struct nlmsghdr *msg), void *arg);

/* A message asking for the device; buf has room for 64 bytes or more. */
struct nlmsghdr *wgnl_ask(void *buf, const char *name, uint16_t family);

/*
 * One message of the answer, added to *ret: a peer that did not fit into one
 * goes on in the next.  ERR_MALFORMED, ERR_LIMIT
 */
NODISCARD int wgnl_read(const struct nlmsghdr *msg, struct wg_info *ret);
