#pragma once
/*
 * The control socket of a userspace WireGuard device: a Unix stream socket named
 * after the interface, where wg(8) looks for it. What is said on it is not
 * known here.
 *
 * Several clients at once; one that sends nothing or goes away is normal (wg
 * tests sockets by connecting). Removing the socket's file is a documented way
 * to end the device.
 */
#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/own.h"
#include "base/span.h"
#include "platform/ev.h"

#define UAPI_DIR "/var/run/wireguard"

enum { UAPI_CLIENTS_MAX = 64 };

struct uapi;

/*
 * Binds and listens, readable for root alone.
 *   -EADDRINUSE	somebody answers there
 *   -errno
 */
NODISCARD int uapi_bind(const char *ifname, int *ret_fd);

struct uapi_ops {
	/*
	 * One operation at the front of what a client has sent: its reply is appended.
	 * eof: no more will come. The number of bytes it took; 0: not complete;
	 * negative: close the connection (after what was replied).
	 */
	int (*request)(void *arg, struct span in, bool eof, struct buf *reply);
	/* The socket's file was removed. */
	void (*removed)(void *arg);
	void *arg;
	size_t request_max; /* a larger one closes the connection */
};

/* Takes the descriptor and answers on it. -errno */
NODISCARD int uapi_new(struct ev *ev, int fd, const char *ifname, const struct uapi_ops *ops,
                       struct uapi **ret);
/* Ends all connections and removes the file, unless it is somebody else's by now. */
void uapi_free(struct uapi *u);
