#pragma once
/*
 * What an IP packet is, as far as a packet filter needs to know.
 *
 * Reads the IPv4 or IPv6 header, steps over IPv6 extension headers, and finds
 * the transport protocol, ports and TCP flags. It fails closed: whatever is cut
 * off, contradicts itself or hides its transport header is IPPKT_UNKNOWN, and
 * the filter drops that. Nothing is allocated and nothing is kept; offsets are
 * from the start of the packet. A packet may carry bytes after its own length.
 *
 * Fragments: the first one must hold the whole fixed transport header; later
 * ones are IPPKT_FRAGMENT, unless they start so early that they could overlap
 * that header (RFC 1858), which makes them IPPKT_UNKNOWN. Behaviour is that of
 * tailscaled 1.102 except that options, hop-by-hop and used-up routing headers
 * are stepped over where tailscaled drops the packet.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/ip.h"
#include "base/span.h"

enum ip_proto {
	IPPKT_UNKNOWN = 0, /* also hop-by-hop's number, which is never a transport */
	IPPKT_ICMP = 1,
	IPPKT_IGMP = 2,
	IPPKT_TCP = 6,
	IPPKT_UDP = 17,
	IPPKT_ICMP6 = 58,
	IPPKT_TSMP = 99, /* messages between nodes, below IP hosts */
	IPPKT_SCTP = 132,
	IPPKT_FRAGMENT = 255, /* reserved on the wire; here: a later fragment */
};

enum tcp_flag {
	TCP_FIN = 0x01,
	TCP_SYN = 0x02,
	TCP_RST = 0x04,
	TCP_PSH = 0x08,
	TCP_ACK = 0x10,
	TCP_URG = 0x20,
};

struct ippkt {
	struct ip src, dst;
	uint16_t src_port, dst_port; /* TCP, UDP, SCTP; else 0 */
	uint8_t version;             /* 4, 6, or 0: not IP */
	uint8_t proto;               /* enum ip_proto, or any other number on the wire */
	uint8_t tcp_flags;
	bool fragmented;          /* a first fragment: more follow */
	uint32_t transport, data; /* offsets; data is after the transport header, if known */
	uint32_t len;             /* by the IP header */
	uint8_t icmp_type, icmp_code;
};

/* Always fills *ret; look at proto. */
void ippkt_parse(struct span packet, struct ippkt *ret);

static inline bool ippkt_is_new_tcp(const struct ippkt *p)
{
	return (p->tcp_flags & (TCP_SYN | TCP_ACK)) == TCP_SYN;
}

static inline bool ippkt_has_ports(const struct ippkt *p)
{
	return p->proto == IPPKT_TCP || p->proto == IPPKT_UDP || p->proto == IPPKT_SCTP;
}

/* ICMP of either family. */
bool ippkt_is_icmp_error(const struct ippkt *p);
bool ippkt_is_echo_request(const struct ippkt *p);
bool ippkt_is_echo_reply(const struct ippkt *p);

/* The 16-bit one's complement sum of RFC 1071 over a span, folded and inverted. */
uint16_t ip_checksum(struct span s, uint32_t start);
/* The start value for a transport checksum: the pseudo header of either family. */
uint32_t ip_pseudo_sum(const struct ip *src, const struct ip *dst, uint8_t proto, uint32_t len);

/* A header without options: 20 bytes or 40, by the family of src. */
static inline size_t ip_header_size(const struct ip *src)
{
	return ip_is4(src) ? 20 : 40;
}
/* For a packet of ours with so many bytes after the header; dst has room for it. */
void ip_header_write(uint8_t *dst, const struct ip *src, const struct ip *to, uint8_t proto,
                     size_t body);
