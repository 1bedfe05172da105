#pragma once
/*
 * Messages between two parts of one program, over a pair of sockets: a kind, a
 * body, and perhaps a descriptor. Both ends wait for a message to go or come
 * whole; the kernel keeps their order.
 *
 * Shape	channel_pair, then fork or start the other part; each keeps one end.
 */
#include <stdint.h>

#include "base/buf.h"
#include "base/own.h"
#include "base/span.h"

enum { CHANNEL_BODY_MAX = 16 << 20 };

struct channel_msg {
	uint8_t kind;
	struct buf body;
	int fd; /* -1: none; the receiver's to close */
};

static inline void channel_msg_done(struct channel_msg *m)
{
	buf_done(&m->body);
	fd_close(m->fd);
	m->fd = -1;
}

/* Both closed on exec. -errno */
NODISCARD int channel_pair(int ret[static 2]);

/* pass: a descriptor the other end gets a copy of, or -1.   ERR_CLOSED, ERR_LIMIT, -errno */
NODISCARD int channel_send(int fd, uint8_t kind, struct span body, int pass);

/* Ends with channel_msg_done.
 *   ERR_CLOSED		the other end has gone
 *   ERR_LIMIT		too long; the channel is of no more use
 *   ERR_TIMEOUT	nothing came for limit_ms (-1: waits on)
 *   -errno
 */
NODISCARD int channel_recv(int fd, int limit_ms, struct channel_msg *ret);
