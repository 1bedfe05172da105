#include "cli/wgdev.h"

#include <errno.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "cli/wgnl.h"
#include "platform/genl.h"
#include "platform/local.h"
#include "platform/rtnl.h"
#include "wireguard/uapi.h"

void wgdev_names_done(struct wgdev_names *n)
{
	vec_done_free(n);
}

static int add_name(void *arg, const char *name)
{
	struct wgdev_names *names = arg;

	vec_push(names, str_dup(name));
	return 0;
}

static int add_link(void *arg, const struct rtnl_link *l)
{
	return strcmp(l->kind, "wireguard") == 0 ? add_name(arg, l->name) : 0;
}

int wgdev_list(struct wgdev_names *ret)
{
	AUTO(rtnl_free) struct rtnl *nl = NULL;
	int r = rtnl_open(&nl);

	if (r < 0)
		return r;
	r = rtnl_link_each(nl, add_link, ret);
	return r < 0 ? r : local_each(WGDEV_SOCKETS, ".sock", add_name, ret);
}

static char *socket_path(const char *name)
{
	return str_fmt("%s/%s.sock", WGDEV_SOCKETS, name);
}

static bool name_ok(const char *name)
{
	return *name && strlen(name) <= WGNL_NAME_MAX && !strchr(name, '/') &&
	       strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

bool wgdev_is_user(const char *name)
{
	if (!name_ok(name))
		return false;

	AUTO_FREE char *path = socket_path(name);
	AUTO(fd_close) int fd = -1;

	return local_connect(path, &fd) == 0;
}

bool wgdev_kernel_has(void)
{
	struct netlink nl;
	uint16_t family;

	if (genl_open(&nl, "wireguard", &family) < 0)
		return false;
	netlink_close(&nl);
	return true;
}

/* What the kernel says of a family it does not have is of no use to anybody. */
static int open_kernel(struct netlink *nl, uint16_t *family)
{
	int r = genl_open(nl, "wireguard", family);

	return r == -ENOENT ? -ENODEV : r;
}

static int read_message(void *arg, const struct nlmsghdr *msg)
{
	return wgnl_read(msg, arg);
}

static int kernel_get(const char *name, struct wg_info *ret)
{
	union {
		struct nlmsghdr align;
		uint8_t bytes[128];
	} buf;
	struct netlink nl;
	uint16_t family;
	int r = open_kernel(&nl, &family);

	if (r < 0)
		return r;
	do {
		wg_info_done(ret);
		r = netlink_call(&nl, wgnl_ask(buf.bytes, name, family), read_message, ret);
	} while (r == -EINTR);
	netlink_close(&nl);
	return r;
}

static int send_message(void *arg, struct nlmsghdr *msg)
{
	return netlink_call(arg, msg, NULL, NULL);
}

static int kernel_set(const char *name, const struct wg_change *c)
{
	struct netlink nl;
	uint16_t family;
	int r = open_kernel(&nl, &family);

	if (r < 0)
		return r;
	r = wgnl_write(c, name, family, send_message, &nl);
	netlink_close(&nl);
	return r;
}

static int user_ask(const char *name, struct span request, struct buf *reply)
{
	AUTO_FREE char *path = socket_path(name);

	return local_ask(path, request, "\n\n", WG_UAPI_MAX, reply);
}

int wgdev_get(const char *name, struct wg_info *ret)
{
	AUTO_DONE(buf) struct buf reply = { .secret = true };

	if (!name_ok(name))
		return -ENODEV;
	if (!wgdev_is_user(name))
		return kernel_get(name, ret);

	int r = user_ask(name, SPAN_LIT("get=1\n\n"), &reply);

	return r < 0 ? r : wg_uapi_read_get(buf_span(&reply), ret);
}

int wgdev_set(const char *name, const struct wg_change *c)
{
	AUTO_DONE(buf) struct buf reply = { 0 };
	AUTO_DONE(buf) struct buf request = { .secret = true, .max = WG_UAPI_MAX };

	if (!name_ok(name))
		return -ENODEV;
	if (!wgdev_is_user(name))
		return kernel_set(name, c);
	wg_uapi_write_set(&request, c);

	int r = buf_ok(&request);

	if (r == 0)
		r = user_ask(name, buf_span(&request), &reply);
	return r < 0 ? r : wg_uapi_read_errno(buf_span(&reply));
}

static void read_count(struct span line, uint64_t counts[static WG_DROP_MAX])
{
	size_t eq = span_find(line, '=');

	for (int d = 0; d < WG_DROP_MAX; d++)
		if (span_is(span_first(line, eq), wg_drop_name((enum wg_drop)d)))
			(void)!span_u64(span_from(line, eq + 1), UINT64_MAX, &counts[d]);
}

int wgdev_drops(const char *name, uint64_t ret[static WG_DROP_MAX])
{
	AUTO_DONE(buf) struct buf reply = { 0 };
	struct span line, rest;

	if (!name_ok(name))
		return -ENODEV;
	if (!wgdev_is_user(name)) {
		struct wg_info info = { 0 };
		int err = kernel_get(name, &info);

		wg_info_done(&info);
		return err < 0 ? err : -EOPNOTSUPP;
	}

	int r = user_ask(name, SPAN_LIT("get=drops\n\n"), &reply);

	/* Other programs close the connection on a request they do not know. */
	if (r == 0)
		r = wg_uapi_read_errno(buf_span(&reply));
	if (r < 0)
		return r == -EPROTO || r == -ECONNRESET ? -EOPNOTSUPP : r;
	memset(ret, 0, WG_DROP_MAX * sizeof(*ret));
	rest = buf_span(&reply);
	while (span_cut(&rest, '\n', &line))
		read_count(line, ret);
	return 0;
}
