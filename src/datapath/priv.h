#pragma once
/*
 * Inside of the data path: for the .c files of this folder and their tests alone.
 *
 *	datapath.c	the object, its loop, its sockets
 *	tx.c		interface to peers
 *	rx.c		peers to interface
 *	icmp.c		telling the sender that there is no way, or a narrow one
 *	mss.c		telling both ends of a TCP connection of a narrow way
 *	via6.c		IPv4 networks behind us that are known by IPv6 addresses
 *	cut.c join.c	superframes (offload.h)
 */
#include "crypto/aead_batch.h"
#include "datapath/datapath.h"
#include "datapath/offload.h"
#include "datapath/via6.h"

enum {
	/* Frames taken in one go before the other direction has its turn. */
	TX_FRAMES = 64,
	TX_BYTES = 256 << 10,
	RX_ROUNDS = 4,
	LONE_MAX = 2048, /* shorter frames and datagrams are a packet, not many in one */
	AGAIN_US = 20,   /* a turn so soon after the last is for what that one left */
	/* From a packet's arrival to the interface's turn, if its answer was there already. */
	ANSWER_US = 200,
	/* Sealed packets of one batch: a superframe cut up, with all headers and paddings. */
	TX_SLAB = 96 << 10,
	TX_SLOT_MAX = 65535 + WG_PADDING + WG_DATA_OVERHEAD,
	TX_CONTROL_MAX = 4096, /* of datagrams that are not data */
	IDLE_US = 1000 * 1000, /* after this the slabs are given back */
};

/* Packets to one peer, in one slab, not yet sealed. */
struct tx {
	uint8_t *frame; /* TUN_FRAME_MAX, read into */
	bool lone;      /* the last turn found one frame, or none */
	mono taken;     /* when that was */
	uint8_t *slab;  /* TX_SLAB: header, packet, padding, tag; end to end */
	size_t used;
	struct wg_peer *peer; /* NULL: nothing pending */
	uint8_t tos;
	size_t n;
	struct aead_msg msgs[AEAD_BATCH_MAX];
	uint32_t plain[AEAD_BATCH_MAX]; /* packet lengths without padding */
	struct udp_frame runs[AEAD_BATCH_MAX];
};

/* Datagrams of one session, not yet opened. */
struct rx {
	struct wg_keypair *keys; /* NULL: nothing pending */
	uint32_t index;
	struct wg_path from;
	size_t n;
	struct aead_msg msgs[AEAD_BATCH_MAX];
	uint8_t tos[AEAD_BATCH_MAX];
	struct offload_join join;
	struct udp_frame frames[UDP_RECV_SLOTS];
};

struct datapath {
	struct ev *ev;
	struct tun *tun;
	struct wg_device *dev;
	struct datapath_hooks hooks;
	bool any_port, no_udp_gso, no_udp_gro, no_udp_tail, no_tun_join;
	void (*grow)(void *arg, int fd);
	void *grow_arg;
	int (*bind_low)(void *arg, int fd, uint16_t port);
	void *bind_low_arg;
	struct udp *udp; /* NULL while the interface is down */
	bool probed, busy;
	bool answers;   /* the last lone packet was answered before its delivery returned */
	mono delivered; /* when that came */
	mono now;
	size_t mtu;
	unsigned join_kinds; /* OFFLOAD_TCP, OFFLOAD_UDP */
	struct ev_io tun_io, udp_io[UDP_FAMILIES];
	struct ev_timer timer, idle;
	unsigned icmp_tokens;
	mono icmp_refilled;
	struct tx tx;
	struct rx rx;
	struct via6 *via6; /* NULL: no router of sites */
	struct datapath_traffic traffic;
};

/* One frame from the interface, into the pending batch. */
void tx_frame(struct datapath *d, uint8_t *frame, size_t n);
/* A packet of our own, or one that waited for a session, into the pending batch. */
void tx_packet(struct datapath *d, struct wg_peer *p, struct span packet);
/* Seals and sends what is pending. */
void tx_flush(struct datapath *d);
/* A datagram that is no data message. -errno */
int tx_send(struct datapath *d, const struct wg_path *path, uint8_t tos, struct span bytes);

void rx_frame(struct datapath *d, const struct udp_frame *f);
void rx_datagram(struct datapath *d, const struct wg_path *from, uint8_t tos, uint8_t *p, size_t n);
/* Opens and delivers what is pending. */
void rx_flush(struct datapath *d);
void rx_write(struct datapath *d);

/* To the sender of this packet, with the same restraint: so much would have gone. */
void icmp_too_big(struct datapath *d, struct span packet, uint16_t mtu);
/* To the peer that sent this packet: nobody takes it there. */
void icmp_refuse(struct datapath *d, struct wg_peer *peer, struct span packet);
/* To the sender of this packet, unless it is one that gets no answer, or there were too many. */
void icmp_unreachable(struct datapath *d, struct span packet);
