#pragma once
/*
 * Echo requests of our own, sent through the tunnel, and the answers to them.
 * RFC 792, RFC 4443. Pure.
 */
#include "base/ip.h"
#include "protocol/ippkt.h"

enum {
	ICMP_ECHO_DATA = 8, /* random: who answers has seen the request */
	ICMP_ECHO_MAX = 40 + 8 + ICMP_ECHO_DATA,
};

/* A whole packet; its size. src and to are of one family. */
size_t icmp_echo_write(uint8_t dst[static ICMP_ECHO_MAX], const struct ip *src, const struct ip *to,
                       const uint8_t data[static ICMP_ECHO_DATA]);
/* The data of an echo reply as long as ours; NULL if the packet is none. */
const uint8_t *icmp_echo_reply(const struct ippkt *ip, struct span packet);
