#include "platform/netlink.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>

#include "base/err.h"

int netlink_open(struct netlink *nl, int bus)
{
	AUTO(fd_close) int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, bus);
	int on = 1;

	if (fd < 0)
		return -errno;

	struct sockaddr_nl self = { .nl_family = AF_NETLINK };
	struct timeval limit = { .tv_sec = 10 };

	if (bind(fd, (struct sockaddr *)&self, sizeof(self)) < 0)
		return -errno;
	/* The kernel answers in the call; the limit is against a lost answer. */
	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) < 0)
		return -errno;
	/* Requests come back shorter in errors; kernels before 4.2 do not know it. */
	(void)setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof(on));
	(void)setsockopt(fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, &on, sizeof(on));
	nl->fd = TAKE_FD(fd);
	nl->seq = 0;
	return 0;
}

void netlink_close(struct netlink *nl)
{
	fd_close(nl->fd);
	nl->fd = -1;
}

struct answer {
	uint32_t seq;
	bool dump, over;
	int result; /* the first failure */
	netlink_fn *fn;
	void *arg;
};

static void answer_fail(struct answer *a, int r)
{
	if (a->result == 0)
		a->result = r;
}

static void read_verdict(struct answer *a, const struct nlmsghdr *msg)
{
	int code = 0;

	a->over = true;
	if (nl_has_head(msg, sizeof(code)))
		memcpy(&code, nl_head(msg), sizeof(code));
	if (code < 0)
		answer_fail(a, code < -4095 ? -EPROTO : code);
}

static void read_message(struct answer *a, const struct nlmsghdr *msg)
{
	if (msg->nlmsg_seq != a->seq)
		return; /* left over from a call that was given up */
	if (msg->nlmsg_flags & NLM_F_DUMP_INTR)
		answer_fail(a, -EINTR);
	switch (msg->nlmsg_type) {
	case NLMSG_NOOP:
		return;
	case NLMSG_ERROR:
	case NLMSG_DONE:
		read_verdict(a, msg);
		return;
	default:
		break;
	}
	if (a->fn && a->result == 0)
		answer_fail(a, a->fn(a->arg, msg));
}

static int read_datagram(struct netlink *nl, struct answer *a)
{
	static _Thread_local union {
		struct nlmsghdr align;
		uint8_t bytes[NETLINK_READ_MAX];
	} in;
	struct sockaddr_nl from;
	socklen_t from_len = sizeof(from);
	ssize_t got = recvfrom(nl->fd, in.bytes, sizeof(in.bytes), MSG_TRUNC,
	                       (struct sockaddr *)&from, &from_len);

	if (got < 0)
		return errno == EINTR ? 0 : errno == EAGAIN ? ERR_TIMEOUT : -errno;
	if (from_len != sizeof(from) || from.nl_pid != 0)
		return 0; /* not from the kernel */
	if ((size_t)got > sizeof(in.bytes))
		return ERR_LIMIT;

	int left = (int)got;

	for (const struct nlmsghdr *msg = &in.align; mnl_nlmsg_ok(msg, left) && !a->over;
	     msg = mnl_nlmsg_next(msg, &left))
		read_message(a, msg);
	return 0;
}

int netlink_call(struct netlink *nl, struct nlmsghdr *req, netlink_fn *fn, void *arg)
{
	struct answer a = {
		.seq = ++nl->seq,
		.dump = (req->nlmsg_flags & NLM_F_DUMP) == NLM_F_DUMP,
		.fn = fn,
		.arg = arg,
	};
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };

	req->nlmsg_seq = a.seq;
	req->nlmsg_flags |= NLM_F_REQUEST;
	if (!a.dump)
		req->nlmsg_flags |= NLM_F_ACK;
	if (sendto(nl->fd, req, req->nlmsg_len, 0, (struct sockaddr *)&kernel, sizeof(kernel)) < 0)
		return -errno;
	while (!a.over) {
		int r = read_datagram(nl, &a);

		if (r < 0)
			return r;
	}
	return a.result;
}

#define NL_GET(name, type)                             \
	bool name(const struct nlattr *a, type *ret)   \
	{                                              \
		if (nl_len(a) != sizeof(*ret))         \
			return false;                  \
		memcpy(ret, nl_data(a), sizeof(*ret)); \
		return true;                           \
	}
NL_GET(nl_u8, uint8_t)
NL_GET(nl_u16, uint16_t)
NL_GET(nl_u32, uint32_t)
NL_GET(nl_u64, uint64_t)

bool nl_str(const struct nlattr *a, char *dst, size_t cap)
{
	size_t n = strnlen((const char *)nl_data(a), nl_len(a));

	if (n >= cap)
		return false;
	memcpy(dst, nl_data(a), n);
	dst[n] = '\0';
	return true;
}

/* The attribute at p, if it lies before the end whole. */
static const struct nlattr *attr_at(const uint8_t *p, const uint8_t *end)
{
	const struct nlattr *a = (const struct nlattr *)(const void *)p;

	if (p > end || (size_t)(end - p) < sizeof(*a) || a->nla_len < sizeof(*a) ||
	    a->nla_len > (size_t)(end - p))
		return NULL;
	return a;
}

/* NULL if the padding of the last attribute was left out. */
static const uint8_t *after(const struct nlattr *a, const uint8_t *end)
{
	size_t step = NLA_ALIGN(a->nla_len);

	return step > (size_t)(end - (const uint8_t *)a) ? end : (const uint8_t *)a + step;
}

static const uint8_t *msg_end(const struct nlmsghdr *msg)
{
	return (const uint8_t *)msg + msg->nlmsg_len;
}

const struct nlattr *nl_first(const struct nlmsghdr *msg, size_t head)
{
	if (!nl_has_head(msg, head))
		return NULL;
	return attr_at((const uint8_t *)nl_head(msg) + NLMSG_ALIGN(head), msg_end(msg));
}

const struct nlattr *nl_next(const struct nlmsghdr *msg, const struct nlattr *a)
{
	return attr_at(after(a, msg_end(msg)), msg_end(msg));
}

const struct nlattr *nl_inner(const struct nlattr *outer)
{
	return attr_at(nl_data(outer), nl_data(outer) + nl_len(outer));
}

const struct nlattr *nl_inner_next(const struct nlattr *outer, const struct nlattr *a)
{
	const uint8_t *end = nl_data(outer) + nl_len(outer);

	return attr_at(after(a, end), end);
}
