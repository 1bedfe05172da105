#pragma once
/*
 * UDP ports below 1024 for a daemon that has given away the right to them: a
 * process forked off before, which holds CAP_NET_BIND_SERVICE and nothing else,
 * binds the sockets it is handed. It knows one message, reads nothing of the
 * network, and ends with the daemon, however that ends.
 *
 * Call lowport_start while there is one thread, and before there are secrets:
 * the other process has a copy of all memory.
 *
 * Threads	one asks.
 */
#include <stdint.h>

#include "base/own.h"

struct lowport;

/* *ret is NULL if we do not hold the capability: then nobody can help. -errno */
NODISCARD int lowport_start(struct lowport **ret);
void lowport_free(struct lowport *l);

/*
 * As udp_cfg.bind_low; l is a struct lowport, or NULL.
 *   -EACCES		nobody there who may
 *   -EADDRINUSE, -errno	as bind(2)
 */
NODISCARD int lowport_bind(void *l, int fd, uint16_t port);
