#pragma once
/*
 * Generic netlink: families are found by name, and spoken to by number.
 * Source: linux/genetlink.h.
 */
#include "platform/netlink.h"

/* NETLINK_GENERIC, and the number of the family.  -ENOENT: the kernel has none of that name */
NODISCARD int genl_open(struct netlink *nl, const char *family, uint16_t *ret_id);

/* A message of the family at the start of buf (at least 64 bytes), ready for attributes. */
struct nlmsghdr *genl_begin(void *buf, uint16_t id, uint8_t cmd, uint16_t flags);

enum { GENL_HEAD = 4 }; /* bytes before the attributes, for nl_each */
