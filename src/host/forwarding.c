#include "host/forwarding.h"

#include "base/mem.h"
#include "platform/rtnl.h"
#include "platform/sysctl.h"

static bool is_on(const char *path)
{
	int v;

	return sysctl_get(path, &v) == 0 && v != 0;
}

struct counting {
	struct buf *out;
	unsigned on, off;
};

static int see_link(void *arg, const struct rtnl_link *l)
{
	struct counting *c = arg;
	AUTO_FREE char *path = str_fmt("net/ipv4/conf/%s/forwarding", l->name);

	if (l->flags & IFF_LOOPBACK)
		return 0;
	if (is_on(path)) {
		c->on++;
		return 0;
	}
	c->off++;
	buf_fmt(c->out,
	        "Traffic received on %s won't be forwarded (net.ipv4.conf.%s.forwarding "
	        "disabled)\n",
	        l->name, l->name);
	return 0;
}

/* Off for all; an interface may have it on for itself. */
static void check4(struct buf *out)
{
	AUTO(rtnl_free) struct rtnl *nl = NULL;
	AUTO_DONE(buf) struct buf lines = { 0 };
	struct counting c = { .out = &lines };

	if (rtnl_open(&nl) == 0)
		(void)!rtnl_link_each(nl, see_link, &c);
	if (c.on) {
		buf_add_span(out, buf_span(&lines));
		buf_add_str(out, "Subnet routes and exit nodes may not work correctly.\n");
	} else {
		buf_add_str(
			out,
			"IP forwarding is disabled, subnet routing/exit nodes will not work.\n");
	}
	buf_add_str(out, "To enable it: sysctl -w net.ipv4.ip_forward=1\n");
}

void host_forwarding_check(bool want4, bool want6, struct buf *out)
{
	if (want4 && !is_on("net/ipv4/ip_forward"))
		check4(out);
	if (want6 && !is_on("net/ipv6/conf/all/forwarding"))
		buf_add_str(out,
		            "IPv6 forwarding is disabled, subnet routing/exit nodes may not work.\n"
		            "To enable it: sysctl -w net.ipv6.conf.all.forwarding=1\n");
}

void host_forwarding_cure(bool want4, bool want6, struct buf *out)
{
	bool four = want4 && !is_on("net/ipv4/ip_forward");
	bool six = want6 && !is_on("net/ipv6/conf/all/forwarding");

	if (four || six)
		buf_fmt(out, "sysctl -w%s%s", four ? " net.ipv4.ip_forward=1" : "",
		        six ? " net.ipv6.conf.all.forwarding=1" : "");
}
