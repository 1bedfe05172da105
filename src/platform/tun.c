#include "platform/tun.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <linux/rtnetlink.h>
#include <linux/virtio_net.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "base/mem.h"
#include "base/wire.h"
#include "platform/netlink.h"

/* Newer than the headers of the reference system. */
#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

#define POLL_US (1 * US_PER_S)

struct tun {
	int fd, ioctl_fd, link_fd;
	int ifindex;
	char name[TUN_NAME];
	unsigned caps, mtu;
	bool up, away; /* away: in another network namespace, so we hear no events */
	struct ev *ev;
	struct ev_io link_io;
	struct ev_timer poll;
	struct tun_watch watch;
};

int tun_fd(const struct tun *t)
{
	return t->fd;
}

const char *tun_name(const struct tun *t)
{
	return t->name;
}

unsigned tun_caps(const struct tun *t)
{
	return t->caps;
}

unsigned tun_mtu(const struct tun *t)
{
	return t->mtu;
}

bool tun_is_up(const struct tun *t)
{
	return t->up;
}

/* ---- opening --------------------------------------------------------------- */

/* What we can take apart, best first; the kernel takes a set or refuses it. */
static void offer_offloads(struct tun *t)
{
	static const struct {
		unsigned flags, caps;
	} sets[] = {
		{ TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_USO4 | TUN_F_USO6,
		  TUN_TCP | TUN_UDP },
		{ TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6, TUN_TCP },
		{ TUN_F_CSUM, 0 },
		{ 0, 0 },
	};

	for (size_t i = 0; i < ARRAY_LEN(sets); i++) {
		if (ioctl(t->fd, TUNSETOFFLOAD, (unsigned long)sets[i].flags) < 0)
			continue;
		t->caps = sets[i].caps;
		return;
	}
}

static struct ifreq request(const struct tun *t)
{
	struct ifreq r = { 0 };

	memcpy(r.ifr_name, t->name, TUN_NAME);
	return r;
}

/* What the interface is like, as far as this namespace can see. */
static int look(struct tun *t)
{
	struct ifreq mtu = request(t), flags = mtu, index = mtu;

	if (ioctl(t->ioctl_fd, SIOCGIFMTU, &mtu) < 0 ||
	    ioctl(t->ioctl_fd, SIOCGIFFLAGS, &flags) < 0 ||
	    ioctl(t->ioctl_fd, SIOCGIFINDEX, &index) < 0)
		return -errno;
	t->mtu = (unsigned)mtu.ifr_mtu;
	t->up = (flags.ifr_flags & IFF_UP) != 0;
	t->ifindex = index.ifr_ifindex;
	return 0;
}

static int finish_open(struct tun *t)
{
	int header = TUN_HEADER;

	t->ioctl_fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (t->ioctl_fd < 0)
		return -errno;
	if (ioctl(t->fd, TUNSETVNETHDRSZ, &header) < 0)
		return -errno;
	offer_offloads(t);
	return look(t);
}

static struct tun *empty(int fd)
{
	struct tun *t = mem_new(struct tun);

	t->fd = fd;
	t->ioctl_fd = t->link_fd = -1;
	return t;
}

int tun_open(const char *name, struct tun **ret)
{
	struct ifreq r = { .ifr_flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR };
	size_t n = strlen(name);

	if (n == 0 || n >= IFNAMSIZ)
		return -EINVAL;
	memcpy(r.ifr_name, name, n);

	int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return -errno;

	struct tun *t = empty(fd);
	int err = ioctl(fd, TUNSETIFF, &r) < 0 ? -errno : 0;

	memcpy(t->name, r.ifr_name, TUN_NAME - 1);
	if (err == 0)
		err = finish_open(t);
	if (err < 0) {
		tun_close(t);
		return err;
	}
	*ret = t;
	return 0;
}

const char *tun_advice(int r)
{
	if ((r == -EPERM || r == -EACCES) && geteuid() != 0)
		return "this needs root";
	if (r == -ENOENT || r == -ENODEV || r == -ENXIO)
		return "there is no /dev/net/tun here: load the module tun, or give the container "
		       "that device and NET_ADMIN";
	return r == -EBUSY ? "the network interface is in use by another program" : "";
}

int tun_adopt(int fd, struct tun **ret)
{
	struct tun *t = empty(fd);
	struct ifreq r = { 0 };
	int err = ioctl(fd, TUNGETIFF, &r) < 0 ? -errno : 0;

	if (err == 0 && (!(r.ifr_flags & IFF_VNET_HDR) || (r.ifr_flags & IFF_TAP)))
		err = -EINVAL;
	if (err == 0 && fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) < 0)
		err = -errno;
	(void)fcntl(fd, F_SETFD, FD_CLOEXEC);
	memcpy(t->name, r.ifr_name, TUN_NAME - 1);
	if (err == 0)
		err = finish_open(t);
	if (err < 0) {
		tun_close(t);
		return err;
	}
	*ret = t;
	return 0;
}

void tun_close(struct tun *t)
{
	if (!t)
		return;
	if (t->ev) {
		ev_io_stop(t->ev, &t->link_io);
		ev_timer_stop(t->ev, &t->poll);
	}
	fd_close(t->link_fd);
	fd_close(t->ioctl_fd);
	fd_close(t->fd);
	free(t);
}

int tun_set_mtu(struct tun *t, unsigned mtu)
{
	struct ifreq r = request(t);

	r.ifr_mtu = (int)mtu;
	if (ioctl(t->ioctl_fd, SIOCSIFMTU, &r) < 0)
		return -errno;
	t->mtu = mtu;
	return 0;
}

/* ---- frames ------------------------------------------------------------------- */

int tun_read(struct tun *t, void *buf, size_t cap)
{
	ssize_t n;

	do
		n = read(t->fd, buf, cap);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN ? 0 : -errno;
	return (int)n;
}

int tun_write(struct tun *t, const struct iovec *iov, int n)
{
	ssize_t r;

	do
		r = writev(t->fd, iov, n);
	while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : 0;
}

/*
 * 192.0.2.1 to itself, two one-byte segments of TCP: the stack drops it for its
 * addresses after the driver has looked at the header, which is all we ask.
 */
void tun_probe_writes(struct tun *t)
{
	static const uint8_t packet[42] = {
		0x45, 0,    0,    42,   0, 0, 0x40, 0,    64, 6,
		0xb6, 0xcc, 192,  0,    2, 1, 192,  0,    2,  1, /* IPv4 */
		0,    9,    0,    9,    0, 0, 0,    1,    0,  0,
		0,    1,    0x50, 0x10, 0, 0, 0x84, 0x21, 0,  0, /* TCP */
		'-',  '-',
	};
	struct virtio_net_hdr head = {
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
		.hdr_len = 40,
		.gso_size = 1,
		.csum_start = 20,
		.csum_offset = 16,
	};
	uint8_t frame[TUN_HEADER + sizeof(packet)];
	struct iovec iov = { frame, sizeof(frame) };

	memcpy(frame, &head, TUN_HEADER);
	memcpy(frame + TUN_HEADER, packet, sizeof(packet));
	if (tun_write(t, &iov, 1) == -EINVAL)
		t->caps = 0;
}

/* ---- following the interface ----------------------------------------------------- */

static void gone(struct tun *t)
{
	ev_io_stop(t->ev, &t->link_io);
	ev_timer_stop(t->ev, &t->poll);
	t->watch.gone(t->watch.arg);
}

/*
 * From here on nobody tells us. A write of nothing does: the driver refuses it
 * with EIO if the interface is down, with EBADFD if it is gone, and else with
 * EINVAL, as it has no header.
 */
static void poll_away(struct ev_timer *timer, mono now)
{
	struct tun *t = CONTAINER_OF(timer, struct tun, poll);
	bool was = t->up;

	(void)now;
	if (look(t) == 0) {
		t->away = false;
		t->watch.changed(t->watch.arg);
		return;
	}
	int err = write(t->fd, NULL, 0) < 0 ? errno : 0;

	if (err == EBADFD) {
		gone(t);
		return;
	}
	t->up = err != EIO;
	ev_timer_after(t->ev, &t->poll, POLL_US);
	if (t->up != was)
		t->watch.changed(t->watch.arg);
}

static void link_message(struct tun *t, const struct nlmsghdr *msg)
{
	struct ifinfomsg info;
	unsigned mtu = t->mtu;
	bool up;

	if (msg->nlmsg_type != RTM_NEWLINK && msg->nlmsg_type != RTM_DELLINK)
		return;
	if (!nl_has_head(msg, sizeof(info)))
		return;
	memcpy(&info, nl_head(msg), sizeof(info));
	if (info.ifi_index != t->ifindex || t->away)
		return;
	if (msg->nlmsg_type == RTM_DELLINK) {
		/* Deleted, or moved to another namespace; the descriptor knows. */
		t->away = true;
		ev_timer_after(t->ev, &t->poll, 0);
		return;
	}
	nl_each(a, msg, sizeof(info))
	{
		uint32_t value;

		if (nl_type(a) == IFLA_MTU && nl_u32(a, &value))
			mtu = value;
		else if (nl_type(a) == IFLA_IFNAME)
			(void)nl_str(a, t->name, sizeof(t->name));
	}
	up = (info.ifi_flags & IFF_UP) != 0;
	if (up == t->up && mtu == t->mtu)
		return;
	t->up = up;
	t->mtu = mtu;
	t->watch.changed(t->watch.arg);
}

static bool is_about_routes(uint16_t type)
{
	return type == RTM_NEWADDR || type == RTM_DELADDR || type == RTM_NEWROUTE ||
	       type == RTM_DELROUTE;
}

static void link_events(struct ev_io *io, unsigned events)
{
	struct tun *t = CONTAINER_OF(io, struct tun, link_io);
	_Alignas(struct nlmsghdr) uint8_t buf[16 << 10];
	ssize_t n = recv(t->link_fd, buf, sizeof(buf), MSG_DONTWAIT);

	(void)events;
	/* Messages were lost (ENOBUFS): ask. */
	if (n < 0) {
		if (errno == ENOBUFS && look(t) == 0)
			t->watch.changed(t->watch.arg);
		return;
	}

	bool rerouted = false;
	int left = (int)n;

	for (const struct nlmsghdr *m = (const void *)buf; mnl_nlmsg_ok(m, left);
	     m = mnl_nlmsg_next(m, &left)) {
		rerouted |= is_about_routes(m->nlmsg_type);
		link_message(t, m);
	}
	if (rerouted)
		t->watch.rerouted(t->watch.arg);
}

int tun_watch(struct tun *t, struct ev *ev, const struct tun_watch *w)
{
	struct sockaddr_nl name = { .nl_family = AF_NETLINK,
		                    .nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR |
		                                 RTMGRP_IPV6_IFADDR | RTMGRP_IPV4_ROUTE };

	t->watch = *w;
	t->ev = ev;
	t->link_io.fn = link_events;
	t->poll.fn = poll_away;
	t->link_fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
	if (t->link_fd < 0 || bind(t->link_fd, (const void *)&name, sizeof(name)) < 0)
		return -errno;
	/* What happened between opening and now. */
	(void)look(t);
	return ev_io_start(ev, &t->link_io, t->link_fd, EV_READ);
}
