#pragma once
/*
 * STUN served on a UDP port, for both families, on the loop. Answers go out from
 * the address that was asked: clients behind firewalls hear no other.
 *
 * One thread, the loop's.
 */
#include "platform/ev.h"
#include "platform/udp.h"
#include "relay/stunsrv.h"

struct stunport {
	struct stunsrv srv; /* stunsrv_init() before the port is opened; kept while it is closed */
	struct ev *ev;
	struct udp *udp; /* NULL: closed */
	struct stunport_io {
		struct ev_io io;
		struct stunport *port;
		enum udp_family family;
	} io[UDP_FAMILIES];
};

/* An error of udp_open or ev_io_start; closed then. */
int stunport_open(struct stunport *p, struct ev *ev, uint16_t port);
/* May be closed already. */
void stunport_close(struct stunport *p);
