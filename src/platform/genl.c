#include "platform/genl.h"

#include <errno.h>
#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <string.h>

#include "base/err.h"

_Static_assert(sizeof(struct genlmsghdr) == GENL_HEAD, "a generic netlink header is 4 bytes");

struct nlmsghdr *genl_begin(void *buf, uint16_t id, uint8_t cmd, uint16_t flags)
{
	struct nlmsghdr *msg = mnl_nlmsg_put_header(buf);

	msg->nlmsg_type = id;
	msg->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);

	struct genlmsghdr *g = mnl_nlmsg_put_extra_header(msg, sizeof(*g));

	g->cmd = cmd;
	g->version = 1;
	return msg;
}

static int find_id(void *arg, const struct nlmsghdr *msg)
{
	nl_each(a, msg, GENL_HEAD) if (nl_type(a) == CTRL_ATTR_FAMILY_ID)(void) nl_u16(a, arg);
	return 0;
}

static int family_id(struct netlink *nl, const char *family, uint16_t *ret)
{
	union {
		struct nlmsghdr align;
		uint8_t bytes[128];
	} m;
	struct nlmsghdr *msg = genl_begin(m.bytes, GENL_ID_CTRL, CTRL_CMD_GETFAMILY, 0);
	uint16_t id = 0;

	if (strlen(family) >= GENL_NAMSIZ)
		return -EINVAL;
	mnl_attr_put_strz(msg, CTRL_ATTR_FAMILY_NAME, family);

	int r = netlink_call(nl, msg, find_id, &id);

	if (r < 0)
		return r;
	if (id == 0)
		return -ENOENT;
	*ret = id;
	return 0;
}

int genl_open(struct netlink *nl, const char *family, uint16_t *ret_id)
{
	int r = netlink_open(nl, NETLINK_GENERIC);

	if (r < 0)
		return r;
	r = family_id(nl, family, ret_id);
	if (r < 0)
		netlink_close(nl);
	return r;
}
