#pragma once
/*
 * Where to dial for the coordinator's Noise endpoint, and in which order.
 *
 * Port 80 in the clear comes first, since Noise needs no TLS around it and some
 * networks break TLS; HTTPS follows half a second later, or at once when the
 * first attempt fails. A coordinator on a private address is not tried over
 * HTTPS. After a connection that lasted less than two minutes HTTPS goes first,
 * as something in between may be cutting the other; but the clear one is still
 * tried (tailscaled does not, and loses servers that have no HTTPS).
 *
 * Source: tailscale v1.102.5, control/ts2021/client.go, control/controlhttp.
 */
#include "http/url.h"

enum { CTLPLAN_MAX = 2, CTLPLAN_SECOND_US = 500000, CTLPLAN_RECENT_US = 120000000 };

struct ctlplan {
	size_t n;
	struct ctlplan_try {
		bool https;
		uint16_t port;
	} try[CTLPLAN_MAX];
};

struct ctlplan ctlplan_of(const struct url *base, bool recent, bool force_https);
/* A loopback, private or link-local address, or "localhost". */
bool ctlplan_is_private(const struct url *base);
