#pragma once
/*
 * A plain UDP socket on the event loop, for traffic at control rate: port
 * mapping, DNS, a relay's STUN probes. The tunnel's own sockets are
 * platform/udp.h.
 *
 * Threads	that of the loop.
 */
#include <stdint.h>

#include "base/ip.h"
#include "base/own.h"
#include "base/span.h"
#include "platform/ev.h"

enum { DGRAM_MAX = 65535, DGRAM_BURST = 64 /* datagrams taken before others have their turn */ };

struct dgram;

struct dgram_cfg {
	struct ev *ev;
	struct addr bind;   /* the family's zero address and port 0: any */
	uint32_t mark;      /* SO_MARK; 0: none */
	const char *device; /* bound to this interface; NULL: none */
	bool freebind;      /* the address may not be there yet */
	bool share;         /* another may have the port for all addresses: ours is more exact */
	/* Gives the kernel's queues more room than anybody may ask for; NULL: not wanted. */
	void (*grow)(void *arg, int fd);
	void *grow_arg;
	/* The bytes are good until the call returns; freeing the socket in it is allowed. */
	void (*recv)(void *owner, const struct addr *from, struct span bytes);
	/*
	 * For a socket that speaks with one other alone: datagrams of others are not
	 * seen, and that nobody is there is told (-errno). Both or none.
	 */
	const struct addr *peer;
	void (*failed)(void *owner, int r);
	void *owner;
};

/* -errno */
NODISCARD int dgram_open(const struct dgram_cfg *cfg, struct dgram **ret);
void dgram_close(struct dgram *d);
DEFINE_AUTO(dgram_close, struct dgram *)
/* -errno; a full socket drops. */
NODISCARD int dgram_send(struct dgram *d, const struct addr *to, struct span bytes);
NODISCARD int dgram_local(const struct dgram *d, struct addr *ret);

/* Is it an address of this host? */
bool socket_has_address(const struct ip *ip);
/* SO_MARK on any socket, for routing rules. -errno; needs CAP_NET_ADMIN */
NODISCARD int socket_mark(int fd, uint32_t mark);
