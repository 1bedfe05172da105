/*
 * What the kernel's netlink sends: links, addresses, routes, rules, WireGuard
 * devices. The first byte picks the reader, the rest is a message's body.
 */
#include <string.h>

#include "cli/wgnl.h"
#include "platform/rtmsg.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void read_with(unsigned which, const struct nlmsghdr *msg)
{
	struct rtnl_link link;
	struct rtnl_addr addr;
	struct rtnl_route route;
	struct rtnl_rule rule;
	struct wg_info info = { 0 };

	switch (which % 5) {
	case 0:
		(void)!rtnl_link_parse(msg, &link);
		break;
	case 1:
		(void)!rtnl_addr_parse(msg, &addr);
		break;
	case 2:
		(void)!rtnl_route_parse(msg, &route);
		break;
	case 3:
		(void)!rtnl_rule_parse(msg, &rule);
		break;
	default:
		(void)!wgnl_read(msg, &info);
		wg_info_done(&info);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct nlmsghdr *msg;

	if (n == 0 || n > 60000)
		return 0;
	/* Of exactly this size, so that a read past it is seen. */
	msg = calloc(1, sizeof(*msg) + n - 1);
	if (!msg)
		return 0;
	msg->nlmsg_len = (uint32_t)(sizeof(*msg) + n - 1);
	memcpy(msg + 1, data + 1, n - 1);
	read_with(data[0], msg);
	free(msg);
	return 0;
}
