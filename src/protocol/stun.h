#pragma once
/*
 * The piece of STUN that clients and relays speak: one binding request, one
 * answer. Both ends; nothing is kept between calls.
 *
 * A request carries SOFTWARE "tailnode" and ends in a FINGERPRINT; a relay
 * answers nothing else (seen in derper v1.102.5), so it is of no use to
 * reflect traffic with: the answer is never longer than the request.
 *
 * Pure. Source: RFC 8489 s.5, s.14; for the IPv4 part of mapped addresses s.14.2.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/ip.h"
#include "base/own.h"
#include "base/span.h"

enum {
	STUN_PORT = 3478,
	STUN_HEADER = 20,
	STUN_TXID = 12,
	STUN_REQUEST_LEN = 40,
	STUN_RESPONSE_MAX = STUN_HEADER + 24,
};

/* Whether a datagram on a shared socket is STUN at all. */
bool stun_is(struct span pkt);

/* The whole request. txid: unpredictable. */
void stun_request(uint8_t dst[static STUN_REQUEST_LEN], const uint8_t txid[static STUN_TXID]);

/*
 * Server side: the request's transaction.
 *   ERR_MALFORMED	not STUN, not a binding request, broken attributes
 *   ERR_DENIED		not from a client of this protocol
 *   ERR_AUTH		fingerprint missing, not last, or wrong
 */
NODISCARD int stun_request_parse(struct span pkt, uint8_t ret_txid[static STUN_TXID]);

/* The success response telling a client that it was seen at `from`; its length. */
size_t stun_response(uint8_t dst[static STUN_RESPONSE_MAX], const uint8_t txid[static STUN_TXID],
                     const struct addr *from);

/*
 * Client side: any server's success response. XOR-MAPPED-ADDRESS (also under
 * its old number) is preferred to MAPPED-ADDRESS. Bytes after the message are
 * ignored. The caller compares the transaction with those it has in flight.
 *   ERR_MALFORMED	not STUN, no address in it, broken attributes
 *   ERR_BADSTATE	not a success response
 */
NODISCARD int stun_response_parse(struct span pkt, uint8_t ret_txid[static STUN_TXID],
                                  struct addr *ret_mapped);
