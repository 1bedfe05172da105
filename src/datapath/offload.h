#pragma once
/*
 * Superframes: one frame of the interface is many packets of a flow. Pure.
 *
 * Cutting	A frame as the kernel hands it over (a virtio header, one IP packet
 *		of up to 64 KiB, checksum perhaps not worked out) becomes the packets
 *		it stands for, each with headers and checksums of its own.
 * Joining	Packets that follow each other in a TCP stream, or in a run of equal
 *		UDP datagrams, become one frame again, without moving their payload.
 *		A packet is joined only if its checksum is right: the kernel would
 *		otherwise put a right one on wrong bytes.
 *
 * Source: virtio 1.2 s.5.1.6; Linux net/ipv4/{tcp,udp}_offload.c for the rules.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/err.h"
#include "base/own.h"

enum {
	OFFLOAD_HEADER = 10,       /* struct virtio_net_hdr */
	OFFLOAD_HEADERS_MAX = 256, /* of IP and transport, with what options may be there */
	OFFLOAD_JOIN_MAX = 64,     /* packets of one frame */
	OFFLOAD_FRAME_MAX = 65535,
};

/* ---- cutting --------------------------------------------------------------- */

struct offload_cut {
	const uint8_t *p; /* private from here: the packet */
	size_t n;
	size_t ip_len, head; /* of the IP header; of both */
	size_t mss;          /* payload of each; 0: a single packet, taken whole */
	size_t at;           /* payload already cut */
	uint16_t index;
	bool v6, tcp;
};

/*
 * Takes a frame; it must stay while packets are cut from it, and a lone
 * packet's checksum is completed in it.
 *   ERR_MALFORMED	not IP, or headers that do not fit its virtio header
 */
NODISCARD int offload_cut_begin(struct offload_cut *c, uint8_t *frame, size_t n);
/* An upper bound for the next packet; 0: all done. */
size_t offload_cut_room(const struct offload_cut *c);
/* Writes the next packet; its length. Only if offload_cut_room was not 0. */
size_t offload_cut_next(struct offload_cut *c, uint8_t *dst);

/* ---- joining --------------------------------------------------------------- */

enum { OFFLOAD_TCP = 1, OFFLOAD_UDP = 2 }; /* what may be joined; as enum tun_cap */

/* Where a packet's parts are. */
struct offload_packet {
	uint8_t *p;
	size_t n;
	size_t ip_len, head;
	uint32_t seq; /* TCP */
	bool v6, tcp;
	bool fit;    /* of a kind that may be joined */
	bool summed; /* its checksum has been looked at */
	bool good;   /* and is right */
};

struct offload_join {
	struct iovec iov[1 + OFFLOAD_JOIN_MAX]; /* the virtio header, then packets */
	int n;                                  /* packets */
	struct offload_packet first;            /* private from here */
	size_t payload, last, total;
	bool closed;
	uint8_t header[OFFLOAD_HEADER];
};

static inline void offload_join_init(struct offload_join *j)
{
	j->n = 0;
}

/*
 * Adds a packet, in place; its bytes must stay (and may be changed) until the
 * frame is finished. false: it does not fit in; finish the frame, then add it
 * again. An empty frame takes every packet.
 */
bool offload_join_add(struct offload_join *j, uint8_t *p, size_t n, unsigned kinds);
/* Completes headers: iov[0 .. n] is then what to write. The frame is empty after the write. */
void offload_join_finish(struct offload_join *j);
