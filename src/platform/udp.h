#pragma once
/*
 * The tunnel's UDP sockets: one for IPv4 and one for IPv6 on the same port,
 * non-blocking, with segmentation both ways (UDP_SEGMENT, UDP_GRO).
 *
 * A frame is one datagram, or several of one length end to end (the last may be
 * shorter) that go to or came from one address: `seg` is that length. What the
 * kernel or a device cannot do is noticed and done the slow way.
 *
 * Local addresses travel along: a received frame says which of our addresses it
 * came to, and a frame sent with `local` set leaves from there.
 *
 * Threads	one thread uses a pair.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/ip.h"
#include "base/own.h"

enum {
	/*
	 * More would be taken by newer kernels; but a wireguard-go that gets such a
	 * frame whole (same host, veth, virtio) stops receiving for good.
	 */
	UDP_SEGMENTS_MAX = 64,
	UDP_FRAME_MAX = 65507,
	UDP_RECV_SLOTS = 16,
	UDP_RECV_FEW = 4,  /* superframes are taken so many at a time, so that they stay cached */
	UDP_SLOT = 65536,  /* the largest datagram fits, so nothing is ever cut */
	UDP_SEND_MAX = 64, /* frames of one udp_send */
};

/*
 * Linux 7.0 to 7.1.4 corrupts frames of which all datagrams have one length, with
 * some network cards. A last one of a single byte keeps it from that; peers drop
 * it as too short. It has brought down the firmware of one card, so it can be
 * switched off.
 */
enum udp_tail { UDP_TAIL_AUTO, UDP_TAIL_NEVER, UDP_TAIL_ALWAYS };

struct udp;

struct udp_cfg {
	uint16_t port; /* 0: any */
	uint32_t fwmark;
	bool no_gso, no_gro; /* for machines where they are broken */
	enum udp_tail tail;
	/* Asks somebody with more rights to call udp_grow. NULL: done here. */
	void (*grow)(void *arg, int fd);
	void *grow_arg;
	/* Asks somebody who may for a port that bind(2) refuses us (EACCES). NULL: there is nobody.
	 */
	int (*bind_low)(void *arg, int fd, uint16_t port);
	void *bind_low_arg;
};

/*
 * A family this machine does not have is left out.
 *   -EADDRINUSE	the port is taken
 *   -errno		fwmark needs CAP_NET_ADMIN
 */
NODISCARD int udp_open(const struct udp_cfg *cfg, struct udp **ret);
void udp_close(struct udp *u);
uint16_t udp_port(const struct udp *u);
/* Buffers past the system's limit. -EPERM without CAP_NET_ADMIN; -EINVAL: no UDP socket */
NODISCARD int udp_grow(int fd);
/* Whether UDP_TAIL_AUTO adds it on this release, as uname gives it. */
bool udp_release_needs_tail(const char *release);

enum udp_family { UDP_V4, UDP_V6, UDP_FAMILIES };

/* From here on datagrams are (not) sent whole or not at all, whatever the path is said to carry. */
void udp_set_whole(struct udp *u, enum udp_family family, bool whole);
NODISCARD int udp_set_fwmark(struct udp *u, uint32_t mark);

/* To wait on; -1 if the family is not there. */
int udp_fd(const struct udp *u, enum udp_family family);

struct udp_frame {
	uint8_t *p;
	uint32_t n;
	uint16_t seg; /* length of each datagram; n if it is one */
	uint8_t tos;  /* traffic class of the outer packet */
	bool cut;     /* received: the datagram was longer than the slot */
	struct addr remote;
	struct ip local;  /* all zero: not known, or for the kernel to choose */
	uint32_t ifindex; /* where it came in; sending, for a link-local `local` */
};

/*
 * What has come, up to UDP_RECV_SLOTS frames; 0 if there is nothing. The bytes
 * are the caller's to change, until the next call.  -errno
 */
NODISCARD int udp_recv(struct udp *u, enum udp_family family, struct udp_frame *ret);

/*
 * Sends frames in order, waiting a little if the socket is full. The number of
 * datagrams that went, and *ret_error, the reason for the last that did not (0).
 * A frame whose local address is gone is sent from another; its `local` is
 * cleared then.
 */
size_t udp_send(struct udp *u, struct udp_frame *frames, size_t n, int *ret_error);

/* Memory of received frames goes back to the kernel; for idle times. */
void udp_idle(struct udp *u);
