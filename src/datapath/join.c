#include <linux/virtio_net.h>
#include <netinet/in.h>
#include <string.h>

#include "datapath/checksum.h"
#include "datapath/offload.h"

#ifndef VIRTIO_NET_HDR_GSO_UDP_L4
#define VIRTIO_NET_HDR_GSO_UDP_L4 5
#endif

enum { PSH = 0x08, ACK = 0x10, TCP_HEAD = 20, UDP_HEAD = 8, DF = 0x40 };

/*
 * Fits: TCP with payload and no flag but ACK and PSH, or UDP with payload and a
 * checksum; in IPv4 without options and fragments, or IPv6 without extensions.
 */
static struct offload_packet look(uint8_t *p, size_t n, unsigned kinds)
{
	struct offload_packet k = { .p = p, .n = n, .v6 = p[0] >> 4 == 6 };
	uint8_t proto = k.v6 ? p[6] : p[9];

	k.ip_len = k.v6 ? 40 : 20;
	if (!k.v6 && (p[0] != 0x45 || (p[6] & ~DF) || p[7]))
		return k;
	if (proto == IPPROTO_TCP && (kinds & OFFLOAD_TCP) && n > k.ip_len + TCP_HEAD) {
		const uint8_t *tcp = p + k.ip_len;

		k.tcp = true;
		k.head = k.ip_len + (size_t)(tcp[12] >> 4) * 4;
		k.seq = be32_at(tcp + 4);
		k.fit = k.head >= k.ip_len + TCP_HEAD && n > k.head && (tcp[13] & ~PSH) == ACK;
	} else if (proto == IPPROTO_UDP && (kinds & OFFLOAD_UDP) && n > k.ip_len + UDP_HEAD) {
		const uint8_t *udp = p + k.ip_len;

		k.head = k.ip_len + UDP_HEAD;
		k.fit = be16_at(udp + 4) == n - k.ip_len && be16_at(udp + 6) != 0;
	}
	return k;
}

static uint64_t pseudo_header(const struct offload_packet *k, size_t len)
{
	uint64_t sum = k->v6 ? checksum_add(0, k->p + 8, 32) : checksum_add(0, k->p + 12, 8);

	sum = checksum_u16(sum, k->tcp ? IPPROTO_TCP : IPPROTO_UDP);
	/* A superframe's length fits as well: no more than 64 KiB are joined. */
	return checksum_u16(sum, (uint16_t)len);
}

static bool sum_is_right(struct offload_packet *k)
{
	if (!k->summed) {
		size_t len = k->n - k->ip_len;

		k->summed = true;
		k->good = checksum_fold(checksum_add(pseudo_header(k, len), k->p + k->ip_len,
		                                     len)) == 0xffff;
	}
	return k->good;
}

/* All that a superframe has once must be the same: addresses, ports, class, hops, options. */
static bool same_flow(const struct offload_packet *a, const struct offload_packet *b)
{
	const uint8_t *x = a->p + a->ip_len, *y = b->p + b->ip_len;

	if (a->v6 != b->v6 || a->tcp != b->tcp || a->head != b->head)
		return false;
	if (a->v6) {
		if (memcmp(a->p, b->p, 4) != 0 || memcmp(a->p + 6, b->p + 6, 34) != 0)
			return false;
	} else if (a->p[1] != b->p[1] || memcmp(a->p + 6, b->p + 6, 4) != 0 ||
	           memcmp(a->p + 12, b->p + 12, 8) != 0) {
		return false;
	}
	if (memcmp(x, y, 4) != 0)
		return false;
	/* Acknowledgement, header length, window, options. Flags are ACK and perhaps PSH. */
	return !a->tcp || (memcmp(x + 8, y + 8, 5) == 0 && memcmp(x + 14, y + 14, 2) == 0 &&
	                   memcmp(x + 18, y + 18, a->head - a->ip_len - 18) == 0);
}

static bool follows(struct offload_join *j, struct offload_packet *k)
{
	size_t payload = k->n - k->head;

	if (j->closed || !j->first.fit || !k->fit || j->n == OFFLOAD_JOIN_MAX ||
	    payload > j->payload || j->total + payload > OFFLOAD_FRAME_MAX)
		return false;
	if (k->tcp && k->seq != (uint32_t)(j->first.seq + (j->total - j->first.head)))
		return false;
	return same_flow(&j->first, k) && sum_is_right(&j->first) && sum_is_right(k);
}

static void begin(struct offload_join *j, const struct offload_packet *k)
{
	j->iov[0] = (struct iovec){ j->header, OFFLOAD_HEADER };
	j->iov[1] = (struct iovec){ k->p, k->n };
	j->n = 1;
	j->first = *k;
	j->total = k->n;
	j->payload = k->fit ? k->n - k->head : 0;
	j->closed = !k->fit || (k->tcp && (k->p[k->ip_len + 13] & PSH));
}

bool offload_join_add(struct offload_join *j, uint8_t *p, size_t n, unsigned kinds)
{
	struct offload_packet k = look(p, n, kinds);
	size_t payload = n - k.head;

	if (j->n == 0) {
		begin(j, &k);
		return true;
	}
	if (!follows(j, &k))
		return false;
	j->iov[++j->n] = (struct iovec){ p + k.head, payload };
	j->total += payload;
	if (k.tcp && (p[k.ip_len + 13] & PSH)) {
		j->first.p[k.ip_len + 13] |= PSH;
		j->closed = true;
	}
	/* Only the last may be shorter. */
	if (payload < j->payload)
		j->closed = true;
	return true;
}

void offload_join_finish(struct offload_join *j)
{
	struct virtio_net_hdr h = { 0 };
	const struct offload_packet *k = &j->first;
	uint8_t *p = k->p;

	if (j->n > 1) {
		size_t field = k->tcp ? 16 : 6;

		h.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
		h.gso_type = !k->tcp ? VIRTIO_NET_HDR_GSO_UDP_L4
		             : k->v6 ? VIRTIO_NET_HDR_GSO_TCPV6
		                     : VIRTIO_NET_HDR_GSO_TCPV4;
		h.gso_size = (uint16_t)j->payload;
		h.hdr_len = (uint16_t)k->head;
		h.csum_start = (uint16_t)k->ip_len;
		h.csum_offset = (uint16_t)field;
		if (k->v6) {
			put_be16(p + 4, (uint16_t)(j->total - 40));
		} else {
			put_be16(p + 2, (uint16_t)j->total);
			p[10] = p[11] = 0;
			checksum_put(p + 10, checksum_add(0, p, k->ip_len));
		}
		if (!k->tcp)
			put_be16(p + k->ip_len + 4, (uint16_t)(j->total - k->ip_len));
		/* What the kernel expects: the pseudo header's sum, not inverted. */
		uint16_t sum = checksum_fold(pseudo_header(k, j->total - k->ip_len));

		memcpy(p + k->ip_len + field, &sum, 2);
	}
	memcpy(j->header, &h, sizeof(h));
}
