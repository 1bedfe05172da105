#pragma once
/*
 * The values of WireGuard's configuration as people write them: the same on a
 * command line and in a file. Pure; names are split here and resolved by the
 * caller. Messages in the faults never repeat a key, good or bad.
 *
 * Source: wg(8), "CONFIGURATION FILE FORMAT".
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/fault.h"
#include "base/own.h"
#include "wireguard/config.h"

enum {
	WG_KEY_TEXT = 44, /* base64 of 32 bytes */
	WG_HOST_MAX = 253,
	WG_SERVICE_MAX = 32,
};

/* All: ERR_MALFORMED, with f (may be NULL) saying what was expected. */
NODISCARD int wg_value_key(struct span text, uint8_t ret[static KEY_LEN], struct fault *f);
NODISCARD int wg_value_fwmark(struct span text, uint32_t *ret, struct fault *f);
NODISCARD int wg_value_keepalive(struct span text, uint16_t *ret, struct fault *f);
/* A number; a service name gives ERR_UNKNOWN and is the caller's to look up. */
NODISCARD int wg_value_port(struct span text, uint16_t *ret, struct fault *f);

/*
 * "10.0.0.2/32, fd00::/64", each with an optional + or - in front, spaces
 * anywhere; added to the peer. Sets WG_PEER_REPLACE_IPS, unless a sign says that
 * the list is a change to what is there.
 * *ret_loose (may be NULL) is set if a prefix has host bits.
 *   ERR_LIMIT	more than WG_PREFIXES_MAX
 */
NODISCARD int wg_value_allowed_ips(struct span text, struct wg_peer_change *peer, bool *ret_loose,
                                   struct fault *f);

/* "host:port" or "[v6]:port", cut in two. */
struct wg_endpoint {
	char host[WG_HOST_MAX + 1];
	char service[WG_SERVICE_MAX + 1];
};
NODISCARD int wg_value_endpoint(struct span text, struct wg_endpoint *ret, struct fault *f);
/* The address, if both parts are numbers and no zone is named; ERR_UNKNOWN if not. */
NODISCARD int wg_endpoint_numeric(const struct wg_endpoint *e, struct addr *ret);

/* As wg(8) prints them, which is as inet_ntop does. */
const char *wg_prefix_text(const struct prefix *p, char dst[static PREFIX_TEXT_MAX]);
const char *wg_addr_text(const struct addr *a, char dst[static ADDR_TEXT_MAX]);
