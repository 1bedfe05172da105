#include "protocol/ippkt.h"

#include "base/wire.h"

enum {
	IP4_HEADER = 20,
	IP6_HEADER = 40,
	IP6_EXTENSIONS_MAX = 6,
	/* Offsets in 8-byte blocks below which a fragment may overlap the largest IPv4 header and
	 * a TCP header of the one before it. */
	FRAGMENT_OFFSET_MIN = (60 + 20) / 8,
	HOP_BY_HOP = 0,
	ROUTING = 43,
	FRAGMENT6 = 44,
	NO_NEXT_HEADER = 59,
	DESTINATION_OPTIONS = 60,
};

/* The least a first fragment must show of each transport header. */
static uint32_t header_min(uint8_t proto)
{
	switch (proto) {
	case IPPKT_ICMP:
	case IPPKT_ICMP6:
		return 4;
	case IPPKT_IGMP:
	case IPPKT_UDP:
		return 8;
	case IPPKT_TCP:
		return 20;
	case IPPKT_SCTP:
		return 12;
	case IPPKT_TSMP:
		return 7;
	default:
		return 0;
	}
}

static void read_tcp(struct ippkt *p, const uint8_t *t, uint32_t room)
{
	uint32_t header = (uint32_t)(t[12] >> 4) * 4;

	p->tcp_flags = t[13];
	if (header < 20 || header > room)
		p->proto = IPPKT_UNKNOWN;
	else
		p->data = p->transport + header;
}

/* p->transport and p->proto are set; the rest of the packet follows them. */
static void read_transport(struct ippkt *p, struct span packet)
{
	uint32_t room = p->len - p->transport;
	uint32_t need = header_min(p->proto);
	const uint8_t *t = packet.p + p->transport;

	if (room < need || p->proto == IPPKT_FRAGMENT ||
	    (p->proto == IPPKT_TSMP && p->fragmented)) {
		p->proto = IPPKT_UNKNOWN;
		return;
	}
	p->data = p->transport + (p->proto == IPPKT_TSMP ? 0 : need);
	if (ippkt_has_ports(p)) {
		p->src_port = be16_at(t);
		p->dst_port = be16_at(t + 2);
	}
	if (p->proto == IPPKT_TCP)
		read_tcp(p, t, room);
	if ((p->proto == IPPKT_ICMP || p->proto == IPPKT_ICMP6) && room >= 8) {
		p->icmp_type = t[0];
		p->icmp_code = t[1];
	}
	/* The other family's ICMP means nothing here. */
	if (p->proto == (p->version == 4 ? IPPKT_ICMP6 : IPPKT_ICMP))
		p->proto = IPPKT_UNKNOWN;
}

static void later_fragment(struct ippkt *p, uint16_t offset)
{
	p->proto = offset < FRAGMENT_OFFSET_MIN ? IPPKT_UNKNOWN : IPPKT_FRAGMENT;
}

static void read_ip4(struct ippkt *p, struct span packet)
{
	const uint8_t *h = packet.p;
	uint32_t header = (uint32_t)(h[0] & 0x0f) * 4;
	uint16_t fragment = be16_at(h + 6);

	p->len = be16_at(h + 2);
	p->src = ip4_of(h + 12);
	p->dst = ip4_of(h + 16);
	if (header < IP4_HEADER || header > p->len || p->len > packet.n)
		return;
	p->proto = h[9];
	p->transport = header;
	p->fragmented = (fragment & 0x2000) != 0;
	if (fragment & 0x1fff)
		later_fragment(p, fragment & 0x1fff);
	else
		read_transport(p, packet);
}

enum step { STEP_ON, STEP_TRANSPORT, STEP_STOP };

/* One extension header at p->transport. STEP_STOP: p->proto holds the verdict. */
static enum step step_over(struct ippkt *p, struct span packet, uint8_t *next, bool first)
{
	const uint8_t *x = packet.p + p->transport;
	uint32_t room = p->len - p->transport, size;

	if (*next != HOP_BY_HOP && *next != ROUTING && *next != FRAGMENT6 &&
	    *next != DESTINATION_OPTIONS)
		return STEP_TRANSPORT;
	if (room < 8 || (*next == HOP_BY_HOP && !first))
		return STEP_STOP;
	size = *next == FRAGMENT6 ? 8 : ((uint32_t)x[1] + 1) * 8;
	if (size > room)
		return STEP_STOP;
	/* A routing header with segments left changes the destination after us. */
	if (*next == ROUTING && x[3] != 0)
		return STEP_STOP;
	if (*next == FRAGMENT6) {
		uint16_t word = be16_at(x + 2);

		if (p->fragmented)
			return STEP_STOP;
		if (word >> 3) {
			later_fragment(p, word >> 3);
			return STEP_STOP;
		}
		p->fragmented = (word & 1) != 0;
	}
	*next = x[0];
	p->transport += size;
	return STEP_ON;
}

static void read_ip6(struct ippkt *p, struct span packet)
{
	const uint8_t *h = packet.p;
	uint8_t next = h[6];
	enum step step = STEP_ON;

	p->len = be16_at(h + 4) + (uint32_t)IP6_HEADER;
	p->src = ip6_of(h + 8);
	p->dst = ip6_of(h + 24);
	/* IPv4 inside IPv6 notation never belongs on the wire, and would look like IPv4 to us. */
	if (p->len > packet.n || ip_is4(&p->src) || ip_is4(&p->dst))
		return;
	p->transport = IP6_HEADER;
	for (unsigned i = 0; step == STEP_ON && i < IP6_EXTENSIONS_MAX; i++)
		step = step_over(p, packet, &next, i == 0);
	if (step != STEP_TRANSPORT || next == NO_NEXT_HEADER)
		return;
	p->proto = next;
	read_transport(p, packet);
}

void ippkt_parse(struct span packet, struct ippkt *ret)
{
	*ret = (struct ippkt){ .proto = IPPKT_UNKNOWN };
	if (packet.n < IP4_HEADER)
		return;
	if (packet.p[0] >> 4 == 4) {
		ret->version = 4;
		read_ip4(ret, packet);
	} else if (packet.p[0] >> 4 == 6 && packet.n >= IP6_HEADER) {
		ret->version = 6;
		read_ip6(ret, packet);
	}
}

bool ippkt_is_icmp_error(const struct ippkt *p)
{
	if (p->proto == IPPKT_ICMP)
		return p->icmp_type == 3 || p->icmp_type == 11 || p->icmp_type == 12;
	return p->proto == IPPKT_ICMP6 && p->icmp_type >= 1 && p->icmp_type <= 4;
}

bool ippkt_is_echo_request(const struct ippkt *p)
{
	return p->icmp_code == 0 && ((p->proto == IPPKT_ICMP && p->icmp_type == 8) ||
	                             (p->proto == IPPKT_ICMP6 && p->icmp_type == 128));
}

/* ICMP too short to have a type reads as type 0, which is an echo reply in IPv4: look at the data.
 */
bool ippkt_is_echo_reply(const struct ippkt *p)
{
	if (p->icmp_code != 0 || p->len < p->transport + 8)
		return false;
	return (p->proto == IPPKT_ICMP && p->icmp_type == 0) ||
	       (p->proto == IPPKT_ICMP6 && p->icmp_type == 129);
}

static uint32_t sum_add(uint32_t sum, const uint8_t *p, size_t n)
{
	uint64_t wide = sum;

	for (; n >= 2; n -= 2, p += 2)
		wide += be16_at(p);
	if (n)
		wide += (uint64_t)p[0] << 8;
	while (wide >> 32)
		wide = (wide & 0xffffffff) + (wide >> 32);
	return (uint32_t)wide;
}

uint16_t ip_checksum(struct span s, uint32_t start)
{
	uint32_t sum = sum_add(start, s.p, s.n);

	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

uint32_t ip_pseudo_sum(const struct ip *src, const struct ip *dst, uint8_t proto, uint32_t len)
{
	bool v4 = ip_is4(src);
	uint32_t sum = sum_add(proto, v4 ? ip_v4(src) : src->b, v4 ? 4 : 16);

	sum = sum_add(sum, v4 ? ip_v4(dst) : dst->b, v4 ? 4 : 16);
	return sum + (len >> 16) + (len & 0xffff);
}

void ip_header_write(uint8_t *dst, const struct ip *src, const struct ip *to, uint8_t proto,
                     size_t body)
{
	enum { TTL = 64 };
	size_t header = ip_header_size(src);

	memset(dst, 0, header);
	if (ip_is4(src)) {
		dst[0] = 0x45;
		put_be16(dst + 2, (uint16_t)(header + body));
		dst[8] = TTL;
		dst[9] = proto;
		memcpy(dst + 12, ip_v4(src), 4);
		memcpy(dst + 16, ip_v4(to), 4);
		put_be16(dst + 10, ip_checksum(span(dst, header), 0));
	} else {
		dst[0] = 0x60;
		put_be16(dst + 4, (uint16_t)body);
		dst[6] = proto;
		dst[7] = TTL;
		memcpy(dst + 8, src->b, 16);
		memcpy(dst + 24, to->b, 16);
	}
}
