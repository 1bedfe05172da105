#pragma once
/*
 * A netlink socket for questions and answers: one request at a time, read to
 * its end. For events see platform/netmon.h.
 *
 * The kernel answers at once, so calls may be made on the loop's thread. A
 * message is checked for its size before anybody sees it; what is inside is
 * checked by who parses it.
 */
#include <stdint.h>

#include <libmnl/libmnl.h>

#include "base/own.h"

enum {
	NETLINK_READ_MAX = 32 << 10, /* the kernel fills dumps up to this */
	NETLINK_SEND_MAX = 16 << 10, /* largest request we build */
};

struct netlink {
	int fd; /* private */
	uint32_t seq;
};

/* bus: NETLINK_ROUTE, NETLINK_GENERIC.  -errno */
NODISCARD int netlink_open(struct netlink *nl, int bus);
void netlink_close(struct netlink *nl);

/* A message of the answer. A negative result ends the call with it, after the rest was read. */
typedef int netlink_fn(void *arg, const struct nlmsghdr *msg);

/*
 * Sends the request (its sequence number is set here, NLM_F_ACK added unless it
 * is a dump) and gives each message of the answer to fn; NULL drops them.
 *   -errno	what the kernel answered
 *   -EINTR	what was dumped changed meanwhile: ask again
 */
NODISCARD int netlink_call(struct netlink *nl, struct nlmsghdr *req, netlink_fn *fn, void *arg);

/* An attribute's value, if it has this size. */
bool nl_u8(const struct nlattr *a, uint8_t *ret);
bool nl_u16(const struct nlattr *a, uint16_t *ret);
bool nl_u32(const struct nlattr *a, uint32_t *ret);
bool nl_u64(const struct nlattr *a, uint64_t *ret);
/* With or without a NUL at its end; false if it is longer than cap - 1. */
bool nl_str(const struct nlattr *a, char *dst, size_t cap);

/* for each attribute behind the fixed header of `n` bytes; sizes are checked */
#define nl_each(it, msg, n) \
	for (const struct nlattr *it = nl_first((msg), (n)); it; it = nl_next((msg), it))
const struct nlattr *nl_first(const struct nlmsghdr *msg, size_t head);
const struct nlattr *nl_next(const struct nlmsghdr *msg, const struct nlattr *a);

/* for each attribute nested in another */
#define nl_each_in(it, outer) \
	for (const struct nlattr *it = nl_inner((outer)); it; it = nl_inner_next((outer), it))
const struct nlattr *nl_inner(const struct nlattr *outer);
const struct nlattr *nl_inner_next(const struct nlattr *outer, const struct nlattr *a);

static inline uint16_t nl_type(const struct nlattr *a)
{
	return a->nla_type & NLA_TYPE_MASK;
}

static inline size_t nl_len(const struct nlattr *a)
{
	return a->nla_len - sizeof(*a);
}

static inline const uint8_t *nl_data(const struct nlattr *a)
{
	return (const uint8_t *)(a + 1);
}

/* Whether there is a whole fixed header of n bytes. */
static inline bool nl_has_head(const struct nlmsghdr *msg, size_t n)
{
	return msg->nlmsg_len >= NLMSG_HDRLEN + NLMSG_ALIGN(n);
}

static inline const void *nl_head(const struct nlmsghdr *msg)
{
	return (const uint8_t *)msg + NLMSG_HDRLEN;
}
