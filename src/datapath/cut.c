#include <linux/virtio_net.h>
#include <netinet/in.h>
#include <string.h>

#include "datapath/checksum.h"
#include "datapath/offload.h"

#ifndef VIRTIO_NET_HDR_GSO_UDP_L4
#define VIRTIO_NET_HDR_GSO_UDP_L4 5
#endif

_Static_assert(sizeof(struct virtio_net_hdr) == OFFLOAD_HEADER, "virtio layout");

enum { FIN = 0x01, PSH = 0x08, CWR = 0x80, TCP_HEAD = 20, UDP_HEAD = 8 };

/* A packet that is no superframe: the kernel may have left its checksum to us. */
static int single(struct offload_cut *c, uint8_t *p, size_t n, const struct virtio_net_hdr *h)
{
	c->mss = 0;
	c->head = 0;
	if (!(h->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM))
		return 0;

	size_t start = h->csum_start, at = start + h->csum_offset;

	if (start >= n || at + 2 > n)
		return ERR_MALFORMED;
	/* The field holds the sum of the pseudo header, so it is summed too. */
	checksum_put(p + at, checksum_add(0, p + start, n - start));
	/* In UDP a zero says that there is no checksum. */
	if (h->csum_offset == 6 && p[at] == 0 && p[at + 1] == 0)
		p[at] = p[at + 1] = 0xff;
	return 0;
}

static int superframe(struct offload_cut *c, const struct virtio_net_hdr *h)
{
	unsigned type = h->gso_type & ~(unsigned)VIRTIO_NET_HDR_GSO_ECN;
	size_t transport = h->csum_start;

	c->tcp = type == VIRTIO_NET_HDR_GSO_TCPV4 || type == VIRTIO_NET_HDR_GSO_TCPV6;
	if (!c->tcp && type != VIRTIO_NET_HDR_GSO_UDP_L4)
		return ERR_MALFORMED;
	if ((type == VIRTIO_NET_HDR_GSO_TCPV4 && c->v6) ||
	    (type == VIRTIO_NET_HDR_GSO_TCPV6 && !c->v6))
		return ERR_MALFORMED;
	if (!(h->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) || h->gso_size == 0 ||
	    transport < (c->v6 ? 40u : 20u) || transport + (c->tcp ? TCP_HEAD : UDP_HEAD) > c->n)
		return ERR_MALFORMED;
	c->ip_len = transport;
	c->head = transport + (c->tcp ? (size_t)(c->p[transport + 12] >> 4) * 4 : UDP_HEAD);
	c->mss = h->gso_size;
	if (c->head < transport + (c->tcp ? TCP_HEAD : UDP_HEAD) || c->head >= c->n ||
	    c->head > OFFLOAD_HEADERS_MAX)
		return ERR_MALFORMED;
	/* Only so much is a packet after all. */
	return c->head + c->mss <= OFFLOAD_FRAME_MAX ? 0 : ERR_MALFORMED;
}

int offload_cut_begin(struct offload_cut *c, uint8_t *frame, size_t n)
{
	struct virtio_net_hdr h;

	if (n < OFFLOAD_HEADER + 20)
		return ERR_MALFORMED;
	memcpy(&h, frame, sizeof(h));
	*c = (struct offload_cut){ .p = frame + OFFLOAD_HEADER, .n = n - OFFLOAD_HEADER };
	unsigned version = c->p[0] >> 4;

	c->v6 = version == 6;
	if ((version != 4 && version != 6) || (c->v6 && c->n < 40) || c->n > OFFLOAD_FRAME_MAX)
		return ERR_MALFORMED;
	if (!c->v6 && (size_t)(c->p[0] & 15) * 4 > c->n)
		return ERR_MALFORMED;
	if (h.gso_type == VIRTIO_NET_HDR_GSO_NONE)
		return single(c, frame + OFFLOAD_HEADER, c->n, &h);
	return superframe(c, &h);
}

size_t offload_cut_room(const struct offload_cut *c)
{
	size_t left = c->n - c->head - c->at;

	if (c->at && left == 0)
		return 0;
	if (!c->mss)
		return left;
	return c->head + (left < c->mss ? left : c->mss);
}

static uint64_t pseudo_header(const uint8_t *ip, bool v6, uint8_t proto, size_t len)
{
	uint64_t sum = v6 ? checksum_add(0, ip + 8, 32) : checksum_add(0, ip + 12, 8);

	sum = checksum_u16(sum, proto);
	return checksum_u16(sum, (uint16_t)len);
}

static void fix_ip(const struct offload_cut *c, uint8_t *ip, size_t total)
{
	if (c->v6) {
		put_be16(ip + 4, (uint16_t)(total - 40));
		return;
	}
	put_be16(ip + 2, (uint16_t)total);
	put_be16(ip + 4, (uint16_t)(be16_at(c->p + 4) + c->index));
	ip[10] = ip[11] = 0;
	checksum_put(ip + 10, checksum_add(0, ip, c->ip_len));
}

static void fix_tcp(const struct offload_cut *c, uint8_t *tcp, bool last)
{
	put_be32(tcp + 4, be32_at(c->p + c->ip_len + 4) + (uint32_t)c->at);
	if (!last)
		tcp[13] &= (uint8_t) ~(FIN | PSH);
	if (c->index)
		tcp[13] &= (uint8_t)~CWR;
	tcp[16] = tcp[17] = 0;
}

static size_t cut_segment(struct offload_cut *c, uint8_t *dst)
{
	size_t left = c->n - c->head - c->at, some = left < c->mss ? left : c->mss;
	uint8_t *l4 = dst + c->ip_len;
	size_t l4_len = c->head - c->ip_len + some;

	memcpy(dst, c->p, c->head);
	fix_ip(c, dst, c->head + some);
	if (c->tcp) {
		fix_tcp(c, l4, some == left);
	} else {
		put_be16(l4 + 4, (uint16_t)l4_len);
		l4[6] = l4[7] = 0;
	}

	uint64_t sum = pseudo_header(dst, c->v6, c->tcp ? IPPROTO_TCP : IPPROTO_UDP, l4_len);

	sum = checksum_add(sum, l4, c->head - c->ip_len);
	sum = checksum_copy(sum, dst + c->head, c->p + c->head + c->at, some);
	checksum_put(l4 + (c->tcp ? 16 : 6), sum);
	if (!c->tcp && l4[6] == 0 && l4[7] == 0)
		l4[6] = l4[7] = 0xff;
	c->at += some;
	c->index++;
	return c->ip_len + l4_len;
}

size_t offload_cut_next(struct offload_cut *c, uint8_t *dst)
{
	if (c->mss)
		return cut_segment(c, dst);
	memcpy(dst, c->p, c->n);
	c->at = c->n;
	return c->n;
}
