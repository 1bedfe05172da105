#include "platform/udp.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>

#include "base/mem.h"
#include "platform/sockaddr.h"

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif

enum {
	PORT_TRIES = 100, /* until both families have the same free port */
	CONTROL = 128,    /* bytes of ancillary data: source, class, segment */
	BUFFER_MAX = 7 << 20,
	FULL_WAIT_MS = 20,
};

struct half {
	int fd;
	bool gso;
};

struct udp {
	struct half half[UDP_FAMILIES];
	uint16_t port;
	bool no_gro;
	void (*grow)(void *arg, int fd);
	void *grow_arg;
	unsigned slots; /* to ask for next time */
	uint8_t *slab;  /* UDP_RECV_SLOTS * UDP_SLOT, touched as needed */
	struct mmsghdr msgs[UDP_SEND_MAX];
	struct iovec iov[UDP_SEND_MAX][2]; /* bytes; a tail */
	bool tail;
	uint8_t tail_byte;
	union sockaddr_any name[UDP_SEND_MAX];
	_Alignas(struct cmsghdr) uint8_t control[UDP_SEND_MAX][CONTROL];
};

_Static_assert((int)UDP_SEND_MAX >= (int)UDP_RECV_SLOTS, "one set of headers serves both ways");

/* ---- opening --------------------------------------------------------------- */

static void set_int(int fd, int level, int name, int value)
{
	(void)setsockopt(fd, level, name, &value, sizeof(value));
}

/* Kernel memory counts on small machines as well: a 64th of it, 7 MiB at most. */
static int buffer_size(void)
{
	struct sysinfo si;
	uint64_t want = BUFFER_MAX;

	if (sysinfo(&si) == 0 && (uint64_t)si.totalram * si.mem_unit / 64 < want)
		want = (uint64_t)si.totalram * si.mem_unit / 64;
	return (int)want;
}

int udp_grow(int fd)
{
	int want = buffer_size(), protocol = 0;
	socklen_t len = sizeof(protocol);

	if (getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &len) < 0)
		return -errno;
	if (protocol != IPPROTO_UDP)
		return -EINVAL;
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &want, sizeof(want)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &want, sizeof(want)) < 0)
		return -errno;
	return 0;
}

/* As far as the system lets us, and past that where somebody may. */
static void set_buffers(const struct udp *u, int fd)
{
	int want = buffer_size();

	set_int(fd, SOL_SOCKET, SO_RCVBUF, want);
	set_int(fd, SOL_SOCKET, SO_SNDBUF, want);
	if (u->grow)
		u->grow(u->grow_arg, fd);
	else
		(void)!udp_grow(fd);
}

static void set_options(const struct udp *u, struct half *h, bool v6)
{
	int off = 0;
	socklen_t len = sizeof(off);

	set_buffers(u, h->fd);
	if (v6) {
		set_int(h->fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
		set_int(h->fd, IPPROTO_IPV6, IPV6_RECVTCLASS, 1);
		set_int(h->fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_DONT);
	} else {
		set_int(h->fd, IPPROTO_IP, IP_PKTINFO, 1);
		set_int(h->fd, IPPROTO_IP, IP_RECVTOS, 1);
		set_int(h->fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DONT);
	}
	if (!u->no_gro)
		set_int(h->fd, IPPROTO_UDP, UDP_GRO, 1);
	/* Known to the kernel is enough; whether the device can do it shows when sending. */
	if (h->gso)
		h->gso = getsockopt(h->fd, IPPROTO_UDP, UDP_SEGMENT, &off, &len) == 0;
}

static int bind_port(const struct udp_cfg *cfg, int fd, bool v6, uint16_t port)
{
	struct addr any = { .ip = v6 ? (struct ip){ { 0 } } : ip4(0, 0, 0, 0), .port = port };
	union sockaddr_any name;
	socklen_t len = sockaddr_from(&any, v6, &name);

	if (bind(fd, &name.sa, len) == 0)
		return 0;
	if (errno == EACCES && cfg->bind_low)
		return cfg->bind_low(cfg->bind_low_arg, fd, port);
	return -errno;
}

static int open_half(struct udp *u, enum udp_family family, uint16_t port,
                     const struct udp_cfg *cfg)
{
	struct half *h = &u->half[family];
	bool v6 = family == UDP_V6;

	h->fd = socket(v6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (h->fd < 0)
		return -errno;
	h->gso = !cfg->no_gso;
	if (v6)
		set_int(h->fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
	set_options(u, h, v6);
	if (cfg->fwmark &&
	    setsockopt(h->fd, SOL_SOCKET, SO_MARK, &cfg->fwmark, sizeof(cfg->fwmark)) < 0)
		return -errno;
	return bind_port(cfg, h->fd, v6, port);
}

static void close_halves(struct udp *u)
{
	for (int i = 0; i < UDP_FAMILIES; i++) {
		fd_close(u->half[i].fd);
		u->half[i].fd = -1;
	}
}

static int bound_port(int fd, uint16_t *ret)
{
	union sockaddr_any name;
	socklen_t len = sizeof(name);
	struct addr a;

	if (getsockname(fd, &name.sa, &len) < 0)
		return -errno;
	int r = sockaddr_to(&name.sa, len, &a);
	if (r < 0)
		return r;
	*ret = a.port;
	return 0;
}

static bool no_such_family(int r)
{
	return r == -EAFNOSUPPORT || r == -EADDRNOTAVAIL || r == -EPROTONOSUPPORT;
}

static int open_both(struct udp *u, const struct udp_cfg *cfg)
{
	uint16_t port = cfg->port;
	int r4 = open_half(u, UDP_V4, port, cfg);

	if (r4 == 0)
		r4 = bound_port(u->half[UDP_V4].fd, &port);
	else if (no_such_family(r4))
		fd_close(TAKE_FD(u->half[UDP_V4].fd));
	if (r4 < 0 && !no_such_family(r4))
		return r4;

	int r6 = open_half(u, UDP_V6, port, cfg);

	if (r6 == 0)
		r6 = bound_port(u->half[UDP_V6].fd, &port);
	else if (no_such_family(r6))
		fd_close(TAKE_FD(u->half[UDP_V6].fd));
	if (r6 < 0 && (!no_such_family(r6) || r4 < 0))
		return r6;
	u->port = port;
	return 0;
}

bool udp_release_needs_tail(const char *release)
{
	unsigned major, minor, patch = 0;

	if (sscanf(release, "%u.%u.%u", &major, &minor, &patch) < 2 || major != 7)
		return false;
	return minor == 0 || (minor == 1 && patch < 5);
}

static bool choose_tail(enum udp_tail tail)
{
	struct utsname u;

	if (tail == UDP_TAIL_AUTO)
		return uname(&u) == 0 && udp_release_needs_tail(u.release);
	return tail == UDP_TAIL_ALWAYS;
}

int udp_open(const struct udp_cfg *cfg, struct udp **ret)
{
	struct udp *u = mem_new(struct udp);
	int r = -EADDRINUSE;

	u->half[UDP_V4].fd = u->half[UDP_V6].fd = -1;
	u->no_gro = cfg->no_gro;
	u->tail = choose_tail(cfg->tail);
	u->tail_byte = 7;
	u->grow = cfg->grow;
	u->grow_arg = cfg->grow_arg;
	u->slots = UDP_RECV_SLOTS;
	/* A free port of one family may be taken in the other: then both are drawn anew. */
	for (int i = 0; i < PORT_TRIES && r == -EADDRINUSE; i++) {
		close_halves(u);
		r = open_both(u, cfg);
		if (cfg->port)
			break;
	}
	if (r == 0) {
		u->slab = mmap(NULL, (size_t)UDP_RECV_SLOTS * UDP_SLOT, PROT_READ | PROT_WRITE,
		               MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (u->slab == MAP_FAILED) {
			r = -errno;
			u->slab = NULL;
		}
	}
	if (r < 0) {
		udp_close(u);
		return r;
	}
	*ret = u;
	return 0;
}

void udp_close(struct udp *u)
{
	if (!u)
		return;
	close_halves(u);
	if (u->slab)
		munmap(u->slab, (size_t)UDP_RECV_SLOTS * UDP_SLOT);
	free(u);
}

uint16_t udp_port(const struct udp *u)
{
	return u->port;
}

int udp_fd(const struct udp *u, enum udp_family family)
{
	return u->half[family].fd;
}

void udp_set_whole(struct udp *u, enum udp_family family, bool whole)
{
	int fd = u->half[family].fd;

	if (family == UDP_V6)
		set_int(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER,
		        whole ? IPV6_PMTUDISC_PROBE : IPV6_PMTUDISC_DONT);
	else
		set_int(fd, IPPROTO_IP, IP_MTU_DISCOVER,
		        whole ? IP_PMTUDISC_PROBE : IP_PMTUDISC_DONT);
}

int udp_set_fwmark(struct udp *u, uint32_t mark)
{
	for (int i = 0; i < UDP_FAMILIES; i++)
		if (u->half[i].fd >= 0 &&
		    setsockopt(u->half[i].fd, SOL_SOCKET, SO_MARK, &mark, sizeof(mark)) < 0)
			return -errno;
	return 0;
}

void udp_idle(struct udp *u)
{
	(void)madvise(u->slab, (size_t)UDP_RECV_SLOTS * UDP_SLOT, MADV_DONTNEED);
}

/* ---- receiving --------------------------------------------------------------- */

static void read_control(struct msghdr *m, struct udp_frame *f)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		const uint8_t *data = CMSG_DATA(c);
		size_t n = c->cmsg_len - CMSG_LEN(0);
		struct in_pktinfo v4;
		struct in6_pktinfo v6;
		int number = 0;

		if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO && n >= sizeof(v4)) {
			memcpy(&v4, data, sizeof(v4));
			f->local = ip4_of((const uint8_t *)&v4.ipi_addr);
			f->ifindex = (uint32_t)v4.ipi_ifindex;
		} else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO &&
		           n >= sizeof(v6)) {
			memcpy(&v6, data, sizeof(v6));
			f->local = ip6_of(v6.ipi6_addr.s6_addr);
			f->ifindex = v6.ipi6_ifindex;
		} else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TOS && n >= 1) {
			f->tos = data[0];
		} else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_TCLASS &&
		           n >= sizeof(number)) {
			memcpy(&number, data, sizeof(number));
			f->tos = (uint8_t)number;
		} else if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == UDP_GRO &&
		           n >= sizeof(number)) {
			memcpy(&number, data, sizeof(number));
			if (number > 0 && (uint32_t)number < f->n)
				f->seg = (uint16_t)number;
		}
	}
}

/* The kernel shortens lengths it is given, so every call starts from full ones. */
static void prepare_recv(struct udp *u, unsigned slots)
{
	for (unsigned i = 0; i < slots; i++) {
		u->iov[i][0] = (struct iovec){ u->slab + (size_t)i * UDP_SLOT, UDP_SLOT };
		u->msgs[i].msg_hdr = (struct msghdr){
			.msg_name = &u->name[i],
			.msg_namelen = sizeof(u->name[i]),
			.msg_iov = u->iov[i],
			.msg_iovlen = 1,
			.msg_control = u->control[i],
			.msg_controllen = CONTROL,
		};
	}
}

/* Single datagrams: many slots, each a page or so. Superframes: few, so that they stay cached. */
static unsigned slots_for(const struct udp *u, int got)
{
	for (int i = 0; i < got; i++)
		if (u->msgs[i].msg_len > UDP_SLOT / 8)
			return UDP_RECV_FEW;
	return UDP_RECV_SLOTS;
}

int udp_recv(struct udp *u, enum udp_family family, struct udp_frame *ret)
{
	int fd = u->half[family].fd, n;

	prepare_recv(u, u->slots);
	do
		n = recvmmsg(fd, u->msgs, u->slots, MSG_DONTWAIT, NULL);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN ? 0 : -errno;
	for (int i = 0; i < n; i++) {
		struct msghdr *m = &u->msgs[i].msg_hdr;
		struct udp_frame *f = &ret[i];

		*f = (struct udp_frame){ .p = u->iov[i][0].iov_base,
			                 .n = u->msgs[i].msg_len,
			                 .seg = (uint16_t)u->msgs[i].msg_len,
			                 .cut = (m->msg_flags & MSG_TRUNC) != 0 };
		if (sockaddr_to(&u->name[i].sa, m->msg_namelen, &f->remote) < 0)
			f->n = 0;
		read_control(m, f);
	}
	u->slots = slots_for(u, n);
	return n;
}

/* ---- sending ----------------------------------------------------------------- */

static void put_control(struct msghdr *m, int level, int type, const void *data, size_t n)
{
	struct cmsghdr *c = (void *)((uint8_t *)m->msg_control + m->msg_controllen);

	/* The kernel reads the padding's length too: no byte may be left over from before. */
	memset(c, 0, CMSG_SPACE(n));
	c->cmsg_level = level;
	c->cmsg_type = type;
	c->cmsg_len = CMSG_LEN(n);
	memcpy(CMSG_DATA(c), data, n);
	m->msg_controllen += CMSG_SPACE(n);
}

/*
 * The interface is named only where the address means nothing without it: it
 * would win over the routes, also when those have changed.
 */
static void put_source(struct msghdr *m, const struct udp_frame *f, bool v6)
{
	struct in_pktinfo i4 = { 0 };
	struct in6_pktinfo i6 = { .ipi6_ifindex = ip_is_link_local(&f->local) ? f->ifindex : 0 };

	if (v6) {
		memcpy(&i6.ipi6_addr, f->local.b, 16);
		put_control(m, IPPROTO_IPV6, IPV6_PKTINFO, &i6, sizeof(i6));
	} else {
		memcpy(&i4.ipi_spec_dst, ip_v4(&f->local), 4);
		put_control(m, IPPROTO_IP, IP_PKTINFO, &i4, sizeof(i4));
	}
}

/* So few equal ones come to no harm (as seen by those who found it). */
enum { TAIL_FROM = 8 };

static bool wants_tail(const struct udp *u, const struct udp_frame *f)
{
	return u->tail && f->seg > 1 && f->n % f->seg == 0 && f->n / f->seg >= TAIL_FROM;
}

/* The largest frames have no room for it. */
static bool goes_singly(const struct udp *u, const struct half *h, const struct udp_frame *f)
{
	if (f->seg >= f->n)
		return false;
	return !h->gso ||
	       (wants_tail(u, f) && (f->n >= UDP_FRAME_MAX || f->n / f->seg >= UDP_SEGMENTS_MAX));
}

static void prepare_send(struct udp *u, size_t i, const struct udp_frame *f, bool gso)
{
	struct msghdr *m = &u->msgs[i].msg_hdr;
	bool v6 = !ip_is4(&f->remote.ip);
	int tos = f->tos;

	u->iov[i][0] = (struct iovec){ f->p, f->n };
	u->iov[i][1] = (struct iovec){ &u->tail_byte, 1 };
	*m = (struct msghdr){ .msg_name = &u->name[i],
		              .msg_iov = u->iov[i],
		              .msg_iovlen = gso && wants_tail(u, f) ? 2 : 1,
		              .msg_control = u->control[i] };
	m->msg_namelen = sockaddr_from(&f->remote, v6, &u->name[i]);
	if (!ip_is_zero(&f->local))
		put_source(m, f, v6);
	if (tos)
		put_control(m, v6 ? IPPROTO_IPV6 : IPPROTO_IP, v6 ? IPV6_TCLASS : IP_TOS, &tos,
		            sizeof(tos));
	if (gso && f->seg < f->n)
		put_control(m, IPPROTO_UDP, UDP_SEGMENT, &f->seg, sizeof(f->seg));
	if (!m->msg_controllen)
		m->msg_control = NULL;
}

static bool wait_for_room(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLOUT };

	return poll(&p, 1, FULL_WAIT_MS) > 0 && (p.revents & POLLOUT);
}

static int send_prepared(struct udp *u, int fd, size_t first, size_t n)
{
	for (;;) {
		int sent = sendmmsg(fd, u->msgs + first, (unsigned)n, MSG_DONTWAIT);

		if (sent >= 0)
			return sent;
		if ((errno == EAGAIN || errno == ENOBUFS) && wait_for_room(fd))
			continue;
		if (errno != EINTR)
			return -errno;
	}
}

static size_t datagrams(const struct udp_frame *f)
{
	return f->seg && f->seg < f->n ? (f->n + f->seg - 1u) / f->seg : 1;
}

/* One frame, datagram by datagram. */
static size_t send_singly(struct udp *u, int fd, const struct udp_frame *f, int *ret_error)
{
	size_t went = 0;

	for (uint32_t at = 0; at < f->n; at += f->seg) {
		struct udp_frame one = *f;

		one.p = f->p + at;
		one.n = f->n - at < f->seg ? f->n - at : f->seg;
		prepare_send(u, 0, &one, false);
		int r = send_prepared(u, fd, 0, 1);
		if (r < 0)
			*ret_error = r;
		else
			went++;
	}
	return went;
}

/* The frame at the head was refused with `why`: what else can be done about it. */
static size_t send_otherwise(struct udp *u, struct half *h, struct udp_frame *f, int why,
                             int *ret_error)
{
	*ret_error = why;
	/* The address we would answer from is gone, or not on that route any more. */
	if (!ip_is_zero(&f->local) &&
	    (why == -EINVAL || why == -EADDRNOTAVAIL || why == -ENETUNREACH || why == -ENODEV ||
	     why == -EHOSTUNREACH)) {
		f->local = (struct ip){ { 0 } };
		f->ifindex = 0;
		prepare_send(u, 0, f, h->gso);
		int r = send_prepared(u, h->fd, 0, 1);
		if (r == 1) {
			*ret_error = 0;
			return datagrams(f);
		}
		*ret_error = why = r;
	}
	if (f->seg >= f->n)
		return 0;
	/* A device without checksum offload cannot take segments, ever. */
	if (why == -EIO)
		h->gso = false;
	/* A segment larger than the route's MTU can go as a datagram that gets fragmented. */
	if (why != -EIO && why != -EINVAL && why != -EMSGSIZE)
		return 0;
	*ret_error = 0;
	return send_singly(u, h->fd, f, ret_error);
}

/* Frames of one family. */
static size_t send_run(struct udp *u, struct half *h, struct udp_frame *f, size_t n, int *ret_error)
{
	size_t went = 0, at = 0;

	while (at < n) {
		size_t some = 0;

		if (goes_singly(u, h, &f[at])) {
			went += send_singly(u, h->fd, &f[at++], ret_error);
			continue;
		}
		for (; at + some < n && !goes_singly(u, h, &f[at + some]); some++)
			prepare_send(u, some, &f[at + some], h->gso);

		int r = send_prepared(u, h->fd, 0, some);

		if (r < 0) {
			went += send_otherwise(u, h, &f[at++], r, ret_error);
			continue;
		}
		for (int i = 0; i < r; i++)
			went += datagrams(&f[at++]);
	}
	return went;
}

size_t udp_send(struct udp *u, struct udp_frame *frames, size_t n, int *ret_error)
{
	size_t went = 0;

	*ret_error = 0;
	for (size_t i = 0, j; i < n; i = j) {
		bool v4 = ip_is4(&frames[i].remote.ip);
		struct half *h = &u->half[v4 ? UDP_V4 : UDP_V6];

		for (j = i + 1; j < n && j - i < UDP_SEND_MAX; j++)
			if (ip_is4(&frames[j].remote.ip) != v4)
				break;
		if (h->fd < 0)
			*ret_error = -EAFNOSUPPORT;
		else
			went += send_run(u, h, frames + i, j - i, ret_error);
	}
	return went;
}
