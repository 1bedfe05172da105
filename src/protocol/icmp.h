#pragma once
/*
 * Echo requests of our own, sent through the tunnel, the answers to them, and the
 * word that a path has become narrow. RFC 792, RFC 1191, RFC 4443. Pure.
 */
#include "base/ip.h"
#include "protocol/ippkt.h"

enum {
	ICMP_ECHO_DATA = 8, /* random: who answers has seen the request */
	ICMP_ECHO_MAX = 40 + 8 + ICMP_ECHO_DATA,
	ICMP_NARROW_LEN = 20 + 8 + 20 + 8,
};

/* A whole packet; its size. src and to are of one family. */
size_t icmp_echo_write(uint8_t dst[static ICMP_ECHO_MAX], const struct ip *src, const struct ip *to,
                       const uint8_t data[static ICMP_ECHO_DATA]);
/* The data of an echo reply as long as ours; NULL if the packet is none. */
const uint8_t *icmp_echo_reply(const struct ippkt *ip, struct span packet);
/*
 * "Fragmentation needed", from src to a host that has sent it packets of up to 1280 bytes. It
 * quotes an echo reply: of errors about those Linux wants no proof that they were sent, and what
 * it learns holds for all it sends to src. IPv4 alone.
 */
void icmp_narrow_write(uint8_t dst[static ICMP_NARROW_LEN], const struct ip *src,
                       const struct ip *to, uint16_t mtu);
