#pragma once
/*
 * TSMP: small messages between nodes inside the tunnel, IP protocol 99. They
 * never reach the host, and what the host sends by this protocol is dropped.
 *
 * A packet is an IP header without options and the message. Pure.
 * Source: tailscale v1.102.5 net/packet/tsmp.go.
 */
#include <stdbool.h>

#include "base/ip.h"
#include "base/own.h"
#include "base/span.h"
#include "crypto/keys.h"

enum {
	TSMP_PROTOCOL = 99,
	TSMP_PING_DATA = 8,
	TSMP_PACKET_MAX = 40 + 1 + KEY_LEN,
};

enum tsmp_type {
	TSMP_REJECTED = '!',
	TSMP_PING = 'p',
	TSMP_PONG = 'o',
	TSMP_DISCO_KEY = 'a',
};

enum tsmp_reason {
	TSMP_REASON_ACL = 'A',
	TSMP_REASON_SHIELDS = 'S',
	TSMP_REASON_FORWARDING = 'F',
	TSMP_REASON_HOST_FIREWALL = 'W',
	TSMP_REASON_TRANSIT_IP = 'T',
};

struct tsmp {
	enum tsmp_type type;
	struct ip src, dst;           /* of the IP header */
	uint8_t data[TSMP_PING_DATA]; /* PING, PONG */
	uint16_t peerapi_port;        /* PONG; 0: none */
	struct disco_pub disco;       /* DISCO_KEY */
	uint8_t protocol;             /* REJECTED: of the flow, 6 or 17 */
	uint8_t reason;               /* REJECTED: see enum tsmp_reason; others may come */
	uint16_t src_port, dst_port;  /* REJECTED: of the flow */
	bool maybe_broken;            /* REJECTED */
};

/*
 * src and dst are the IP header's, body what follows it.
 *   ERR_SHORT, ERR_VERSION (unknown type)
 */
NODISCARD int tsmp_read(const struct ip *src, const struct ip *dst, struct span body,
                        struct tsmp *ret);
/* The whole packet; its size. src and dst are of one family. */
size_t tsmp_write(uint8_t dst[static TSMP_PACKET_MAX], const struct tsmp *m);
