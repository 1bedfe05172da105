#include "cli/wgnl.h"

#include <linux/wireguard.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "base/err.h"
#include "platform/genl.h"
#include "platform/sockaddr.h"

enum {
	/* Attributes of newer kernels than the headers we build with. */
	ALLOWEDIP_FLAGS = 4,
	ALLOWEDIP_REMOVE_ME = 1,

	PEER_ROOM = 256,     /* more than all of a peer but its prefixes */
	PREFIX_ROOM = 64,    /* more than a prefix */
	PEERS_MAX = 1 << 20, /* the kernel's own maximum */
};

struct writer {
	union {
		struct nlmsghdr align;
		uint8_t bytes[NETLINK_SEND_MAX];
	} buf;
	struct nlmsghdr *msg;
	struct nlattr *peers, *peer, *ips; /* the open nests, NULL if closed */
	const char *name;
	uint16_t family;
	int (*send)(void *arg, struct nlmsghdr *msg);
	void *arg;
};

static bool has_room(const struct writer *w, size_t n)
{
	return sizeof(w->buf) - w->msg->nlmsg_len >= n;
}

static void begin(struct writer *w)
{
	memset(&w->buf, 0, sizeof(w->buf));
	w->msg = genl_begin(w->buf.bytes, w->family, WG_CMD_SET_DEVICE, NLM_F_ACK);
	mnl_attr_put_strz(w->msg, WGDEVICE_A_IFNAME, w->name);
}

static void close_nest(struct writer *w, struct nlattr **nest)
{
	if (*nest)
		mnl_attr_nest_end(w->msg, *nest);
	*nest = NULL;
}

static int flush(struct writer *w)
{
	close_nest(w, &w->ips);
	close_nest(w, &w->peer);
	close_nest(w, &w->peers);

	int r = w->send(w->arg, w->msg);

	explicit_bzero(&w->buf, sizeof(w->buf));
	return r;
}

static void open_peer(struct writer *w, const struct wg_peer_change *p)
{
	if (!w->peers)
		w->peers = mnl_attr_nest_start(w->msg, WGDEVICE_A_PEERS);
	w->peer = mnl_attr_nest_start(w->msg, 0);
	mnl_attr_put(w->msg, WGPEER_A_PUBLIC_KEY, KEY_LEN, p->key.b);
}

static void put_endpoint(struct writer *w, const struct addr *a)
{
	union sockaddr_any sa;
	socklen_t n = sockaddr_from(a, !ip_is4(&a->ip), &sa);

	mnl_attr_put(w->msg, WGPEER_A_ENDPOINT, n, &sa);
}

static void put_peer(struct writer *w, const struct wg_peer_change *p)
{
	uint32_t flags = (p->set & WG_PEER_REMOVE ? WGPEER_F_REMOVE_ME : 0u) |
	                 (p->set & WG_PEER_REPLACE_IPS ? WGPEER_F_REPLACE_ALLOWEDIPS : 0u) |
	                 (p->set & WG_PEER_UPDATE_ONLY ? WGPEER_F_UPDATE_ONLY : 0u);

	open_peer(w, p);
	if (flags)
		mnl_attr_put_u32(w->msg, WGPEER_A_FLAGS, flags);
	if (p->set & WG_PEER_REMOVE)
		return;
	if (p->set & WG_PEER_SET_PSK)
		mnl_attr_put(w->msg, WGPEER_A_PRESHARED_KEY, KEY_LEN, p->psk.b);
	if (p->set & WG_PEER_SET_ENDPOINT && addr_is_set(&p->endpoint))
		put_endpoint(w, &p->endpoint);
	if (p->set & WG_PEER_SET_KEEPALIVE)
		mnl_attr_put_u16(w->msg, WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL, p->keepalive_s);
}

static void put_prefix(struct writer *w, const struct wg_ip_change *ip)
{
	bool v4 = prefix_is4(&ip->prefix);

	if (!w->ips)
		w->ips = mnl_attr_nest_start(w->msg, WGPEER_A_ALLOWEDIPS);

	struct nlattr *nest = mnl_attr_nest_start(w->msg, 0);

	mnl_attr_put_u16(w->msg, WGALLOWEDIP_A_FAMILY, v4 ? AF_INET : AF_INET6);
	if (v4)
		mnl_attr_put(w->msg, WGALLOWEDIP_A_IPADDR, 4, ip_v4(&ip->prefix.ip));
	else
		mnl_attr_put(w->msg, WGALLOWEDIP_A_IPADDR, 16, ip->prefix.ip.b);
	mnl_attr_put_u8(w->msg, WGALLOWEDIP_A_CIDR_MASK, ip->prefix.bits);
	if (ip->remove)
		mnl_attr_put_u32(w->msg, ALLOWEDIP_FLAGS, ALLOWEDIP_REMOVE_ME);
	mnl_attr_nest_end(w->msg, nest);
}

/* A nest's length has 16 bits, which the size of a message keeps below. */
_Static_assert(NETLINK_SEND_MAX < 65536, "nested attributes have 16 bits of length");

static int next_message(struct writer *w)
{
	int r = flush(w);

	if (r == 0)
		begin(w);
	return r;
}

static int write_peer(struct writer *w, const struct wg_peer_change *p)
{
	int r = has_room(w, PEER_ROOM) ? 0 : next_message(w);

	if (r < 0)
		return r;
	put_peer(w, p);
	for (size_t i = 0; i < p->ips.n && !(p->set & WG_PEER_REMOVE); i++) {
		if (!has_room(w, PREFIX_ROOM)) {
			r = next_message(w);
			if (r < 0)
				return r;
			open_peer(w, p);
		}
		put_prefix(w, &p->ips.v[i]);
	}
	close_nest(w, &w->ips);
	close_nest(w, &w->peer);
	return 0;
}

int wgnl_write(const struct wg_change *c, const char *name, uint16_t family,
               int (*send)(void *arg, struct nlmsghdr *msg), void *arg)
{
	struct writer w = { .name = name, .family = family, .send = send, .arg = arg };

	if (strlen(name) > WGNL_NAME_MAX)
		return ERR_LIMIT;
	begin(&w);
	if (c->set & WG_SET_PRIVATE_KEY)
		mnl_attr_put(w.msg, WGDEVICE_A_PRIVATE_KEY, KEY_LEN, c->private_key.b);
	if (c->set & WG_SET_LISTEN_PORT)
		mnl_attr_put_u16(w.msg, WGDEVICE_A_LISTEN_PORT, c->listen_port);
	if (c->set & WG_SET_FWMARK)
		mnl_attr_put_u32(w.msg, WGDEVICE_A_FWMARK, c->fwmark);
	if (c->set & WG_REPLACE_PEERS)
		mnl_attr_put_u32(w.msg, WGDEVICE_A_FLAGS, WGDEVICE_F_REPLACE_PEERS);
	vec_each(const struct wg_peer_change *, p, &c->peers) {
		int r = write_peer(&w, p);

		if (r < 0)
			return r;
	}
	return flush(&w);
}

struct nlmsghdr *wgnl_ask(void *buf, const char *name, uint16_t family)
{
	struct nlmsghdr *msg = genl_begin(buf, family, WG_CMD_GET_DEVICE, NLM_F_DUMP);
	char short_name[WGNL_NAME_MAX + 1] = "";

	memcpy(short_name, name, strnlen(name, WGNL_NAME_MAX));
	mnl_attr_put_strz(msg, WGDEVICE_A_IFNAME, short_name);
	return msg;
}

static int read_key(const struct nlattr *a, uint8_t ret[static KEY_LEN])
{
	if (nl_len(a) != KEY_LEN)
		return ERR_MALFORMED;
	memcpy(ret, nl_data(a), KEY_LEN);
	return 0;
}

static int read_prefix(const struct nlattr *outer, struct prefix *ret)
{
	struct prefix p = { 0 };
	uint16_t family = 0;
	bool have = false, bits = false;

	nl_each_in(a, outer)
	{
		if (nl_type(a) == WGALLOWEDIP_A_FAMILY)
			(void)nl_u16(a, &family);
		else if (nl_type(a) == WGALLOWEDIP_A_CIDR_MASK)
			bits = nl_u8(a, &p.bits);
		else if (nl_type(a) == WGALLOWEDIP_A_IPADDR && nl_len(a) == 4) {
			p.ip = ip4_of(nl_data(a));
			have = true;
		} else if (nl_type(a) == WGALLOWEDIP_A_IPADDR && nl_len(a) == 16) {
			p.ip = ip6_of(nl_data(a));
			have = true;
		}
	}
	if (!have || !bits || (family == AF_INET) != prefix_is4(&p) || p.bits > prefix_max_bits(&p))
		return ERR_MALFORMED;
	*ret = p;
	return 0;
}

static int read_prefixes(const struct nlattr *outer, struct wg_peer_info *peer)
{
	nl_each_in(a, outer)
	{
		struct prefix p;
		int r = read_prefix(a, &p);

		if (r < 0)
			return r;
		if (peer->ips.n >= WG_PREFIXES_MAX)
			return ERR_LIMIT;
		vec_push(&peer->ips, p);
	}
	return 0;
}

static void read_time(const struct nlattr *a, wall *ret)
{
	int64_t ts[2]; /* struct __kernel_timespec */
	int64_t us;

	if (nl_len(a) != sizeof(ts))
		return;
	memcpy(ts, nl_data(a), sizeof(ts));
	if (!__builtin_mul_overflow(ts[0], US_PER_S, &us) &&
	    !__builtin_add_overflow(us, ts[1] / 1000, &us))
		ret->us = us;
}

static void read_endpoint(const struct nlattr *a, struct addr *ret)
{
	union sockaddr_any sa = { 0 };

	if (nl_len(a) > sizeof(sa))
		return;
	memcpy(&sa, nl_data(a), nl_len(a));
	(void)!sockaddr_to(&sa.sa, (socklen_t)nl_len(a), ret);
}

static int read_peer_attr(const struct nlattr *a, struct wg_peer_info *p)
{
	switch (nl_type(a)) {
	case WGPEER_A_PRESHARED_KEY:
		return read_key(a, p->psk.b);
	case WGPEER_A_ENDPOINT:
		read_endpoint(a, &p->endpoint);
		break;
	case WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL:
		(void)nl_u16(a, &p->keepalive_s);
		break;
	case WGPEER_A_LAST_HANDSHAKE_TIME:
		read_time(a, &p->last_handshake);
		break;
	case WGPEER_A_RX_BYTES:
		(void)nl_u64(a, &p->rx_bytes);
		break;
	case WGPEER_A_TX_BYTES:
		(void)nl_u64(a, &p->tx_bytes);
		break;
	case WGPEER_A_ALLOWEDIPS:
		return read_prefixes(a, p);
	default:
		break;
	}
	return 0;
}

static int read_peer(const struct nlattr *outer, struct wg_info *ret)
{
	struct node_pub key;
	bool have = false;

	nl_each_in(a, outer) if (nl_type(a) == WGPEER_A_PUBLIC_KEY) have = read_key(a, key.b) == 0;
	if (!have)
		return ERR_MALFORMED;
	if (ret->peers.n >= PEERS_MAX)
		return ERR_LIMIT;

	struct wg_peer_info *p = ret->peers.n ? &ret->peers.v[ret->peers.n - 1] : NULL;

	if (!p || !node_pub_eq(&p->key, &key))
		p = wg_info_add_peer(ret, &key);
	nl_each_in(a, outer)
	{
		int r = read_peer_attr(a, p);

		if (r < 0)
			return r;
	}
	return 0;
}

static int read_device_attr(const struct nlattr *a, struct wg_info *ret)
{
	int r = 0;

	switch (nl_type(a)) {
	case WGDEVICE_A_PRIVATE_KEY:
		return read_key(a, ret->private_key.b);
	case WGDEVICE_A_PUBLIC_KEY:
		return read_key(a, ret->public_key.b);
	case WGDEVICE_A_LISTEN_PORT:
		(void)nl_u16(a, &ret->listen_port);
		break;
	case WGDEVICE_A_FWMARK:
		(void)nl_u32(a, &ret->fwmark);
		break;
	case WGDEVICE_A_PEERS:
		for (const struct nlattr *p = nl_inner(a); p && r == 0; p = nl_inner_next(a, p))
			r = read_peer(p, ret);
		break;
	default:
		break;
	}
	return r;
}

int wgnl_read(const struct nlmsghdr *msg, struct wg_info *ret)
{
	nl_each(a, msg, GENL_HEAD)
	{
		int r = read_device_attr(a, ret);

		if (r < 0)
			return r;
	}
	return 0;
}
