/* The path policy of plain WireGuard: the last authenticated source wins. */
#include "wireguard/peer.h"

static bool plain_get(void *ctx, struct wg_peer *p, struct wg_path *ret)
{
	(void)ctx;
	if (!addr_is_set(&p->plain.remote))
		return false;
	*ret = p->plain;
	return true;
}

static void plain_heard(void *ctx, struct wg_peer *p, const struct wg_path *from)
{
	(void)ctx;
	if (addr_is_set(&from->remote))
		p->plain = *from;
}

static void plain_configured(void *ctx, struct wg_peer *p, const struct addr *endpoint)
{
	(void)ctx;
	p->plain = (struct wg_path){ .remote = *endpoint };
}

static void plain_forget_local(void *ctx, struct wg_peer *p)
{
	(void)ctx;
	p->plain.local = (struct ip){ 0 };
	p->plain.ifindex = 0;
}

static bool plain_shown(void *ctx, const struct wg_peer *p, struct addr *ret)
{
	(void)ctx;
	*ret = p->plain.remote;
	return addr_is_set(ret);
}

const struct wg_path_policy wg_path_plain = {
	.get = plain_get,
	.heard = plain_heard,
	.configured = plain_configured,
	.forget_local = plain_forget_local,
	.shown = plain_shown,
};
