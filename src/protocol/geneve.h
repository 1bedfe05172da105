#pragma once
/*
 * The Geneve header in front of what goes over a peer relay: 8 bytes, no
 * options. Pure.
 * Source: RFC 8926 s.3.4; tailscale v1.102.5 net/packet/geneve.go.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/own.h"
#include "base/span.h"

enum {
	GENEVE_HEADER = 8,
	GENEVE_DISCO = 0x7a11,
	GENEVE_WIREGUARD = 0x7a12,
	GENEVE_VNI_MAX = (1 << 24) - 1,
};

struct geneve {
	bool control;      /* between a client and the relay itself */
	uint16_t protocol; /* GENEVE_DISCO or GENEVE_WIREGUARD */
	uint32_t vni;
};

/*
 * ERR_SHORT; ERR_VERSION for another version, options or an unknown protocol.
 * What follows the header is span_from(datagram, GENEVE_HEADER).
 */
NODISCARD int geneve_read(struct span datagram, struct geneve *ret);
void geneve_write(uint8_t dst[static GENEVE_HEADER], const struct geneve *g);
