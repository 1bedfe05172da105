#pragma once
/*
 * Absolute http and https URLs (RFC 3986 as far as these need it), and percent
 * encoding. Views point into the text that was parsed.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/own.h"
#include "base/span.h"

enum { URL_MAX = 2048, URL_HOST_MAX = 253 };

struct url {
	bool https;
	struct span userinfo; /* as written, "" if none */
	struct span host;     /* a name or an address, no brackets */
	bool host_is_ip6;
	uint16_t port; /* of the scheme if none is written */
	bool port_written;
	struct span target; /* "/path?query", never empty: "/" if none is written; no fragment */
};

/* ERR_MALFORMED, ERR_LIMIT, ERR_UNKNOWN (another scheme) */
NODISCARD int url_parse(struct span text, struct url *ret);
/* "host", "host:port", "[::1]:80": what goes into Host. The port is left out if it is the scheme's.
 */
void url_put_authority(struct buf *b, const struct url *u);
/* "host" and port from "host:port", "[v6]:port"; the port is needed unless fallback is not 0. */
NODISCARD int host_port_parse(struct span text, uint16_t fallback, struct span *ret_host,
                              uint16_t *ret_port);

/* Path and query of a request target; an absolute one (to a proxy) loses its front. */
void target_split(struct span target, struct span *ret_path, struct span *ret_query);

enum url_plus { URL_PLUS_IS_PLUS, URL_PLUS_IS_SPACE };
/* Appends the decoded text. ERR_MALFORMED: a broken escape, or a NUL */
NODISCARD int url_decode(struct span s, enum url_plus plus, struct buf *ret);
/* All but letters, digits, "-._~" becomes %XX. */
void url_encode(struct buf *b, struct span s);
