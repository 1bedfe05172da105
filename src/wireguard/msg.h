#pragma once
/*
 * The four messages on the wire, fixed layouts, little-endian. Look at a
 * datagram with wg_msg_kind before anything else; a struct may be laid over its
 * bytes after that.
 *
 * Source: WireGuard paper s.5.4; type and three reserved bytes are one word.
 */
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"
#include "base/wire.h"

enum wg_msg_kind {
	WG_MSG_INITIATION = 1,
	WG_MSG_RESPONSE = 2,
	WG_MSG_COOKIE = 3,
	WG_MSG_DATA = 4,
};

enum {
	WG_INITIATION_LEN = 148,
	WG_RESPONSE_LEN = 92,
	WG_COOKIE_LEN = 64,
	WG_DATA_HEADER = 16,
	WG_TAG = 16,
	WG_DATA_OVERHEAD = WG_DATA_HEADER + WG_TAG,
	WG_KEEPALIVE_LEN = WG_DATA_OVERHEAD,
	WG_PADDING = 16,
	WG_MAC = 16,
};

struct wg_macs {
	uint8_t mac1[WG_MAC], mac2[WG_MAC];
};

struct wg_initiation {
	uint8_t type[4], sender[4];
	uint8_t ephemeral[32];
	uint8_t sealed_static[32 + WG_TAG];
	uint8_t sealed_stamp[12 + WG_TAG];
	struct wg_macs macs;
};

struct wg_response {
	uint8_t type[4], sender[4], receiver[4];
	uint8_t ephemeral[32];
	uint8_t sealed_nothing[WG_TAG];
	struct wg_macs macs;
};

struct wg_cookie_reply {
	uint8_t type[4], receiver[4];
	uint8_t nonce[24];
	uint8_t sealed_cookie[16 + WG_TAG];
};

_Static_assert(sizeof(struct wg_initiation) == WG_INITIATION_LEN, "wire layout");
_Static_assert(offsetof(struct wg_initiation, macs) == 116, "wire layout");
_Static_assert(sizeof(struct wg_response) == WG_RESPONSE_LEN, "wire layout");
_Static_assert(offsetof(struct wg_response, macs) == 60, "wire layout");
_Static_assert(sizeof(struct wg_cookie_reply) == WG_COOKIE_LEN, "wire layout");

/*
 * The kind of a datagram whose length fits it.
 *   ERR_SHORT		fewer than four bytes
 *   ERR_VERSION	a type not spoken here, or reserved bytes in use
 *   ERR_MALFORMED	wrong length for its type
 */
NODISCARD int wg_msg_kind(struct span datagram);

static inline uint32_t wg_data_receiver(const uint8_t *msg)
{
	return le32_at(msg + 4);
}

static inline uint64_t wg_data_counter(const uint8_t *msg)
{
	return le64_at(msg + 8);
}

/* The first 16 bytes of a data message; the sealed packet follows. */
static inline void wg_data_header(uint8_t ret[static WG_DATA_HEADER], uint32_t receiver,
                                  uint64_t counter)
{
	put_le32(ret, WG_MSG_DATA);
	put_le32(ret + 4, receiver);
	put_le64(ret + 8, counter);
}

/*
 * Length of a packet with its padding: a multiple of 16, but never beyond the
 * interface's MTU (0: no such bound). A packet larger than the MTU is padded as
 * if it were cut at it, as the kernel does for segments.
 */
static inline size_t wg_padded_len(size_t len, size_t mtu)
{
	size_t last = mtu && len > mtu ? len % mtu : len;
	size_t full = (last + (WG_PADDING - 1)) & ~(size_t)(WG_PADDING - 1);

	if (mtu && full > mtu)
		full = mtu;
	return len - last + full;
}
