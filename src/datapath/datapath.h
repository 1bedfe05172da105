#pragma once
/*
 * The data path: packets between one TUN device and the tunnel's UDP sockets,
 * run to completion on the thread of the event loop, which also does the
 * device's handshakes and timers.
 *
 *	out	TUN frame -> peer -> cut into packets -> sealed together ->
 *		one UDP frame a run of equal lengths
 *	in	UDP frame -> session -> opened together, in place -> inner
 *		source checked -> joined -> one TUN write
 *
 * What is decided once a superframe is decided once: route, session, nonces,
 * timers, endpoint. Nothing is allocated for a packet, and no packet waits for
 * others: what has come is taken together, and no longer.
 *
 * It follows the interface: up opens the sockets, down closes them.
 *
 * A mesh hooks in where plain WireGuard has nothing to say (struct
 * datapath_hooks); every hook may be NULL.
 *
 * Threads	that of the loop.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/own.h"
#include "base/span.h"
#include "platform/ev.h"
#include "platform/tun.h"
#include "platform/udp.h"
#include "wireguard/device.h"

struct datapath;

enum datapath_verdict { DATAPATH_PASS, DATAPATH_DROP, DATAPATH_TAKEN };

struct datapath_hooks {
	void *ctx;
	/* Datagrams that are no WireGuard message. true: it was for somebody else; not counted. */
	bool (*datagram)(void *ctx, const struct udp_frame *from, struct span bytes);
	/*
	 * One of those that carries a WireGuard message behind a header of its own: the
	 * header's length, and the way it came in *path (`remote` is set); 0: it does not.
	 * Asked before `datagram`.
	 */
	size_t (*wrapped)(void *ctx, struct span bytes, struct wg_path *path);
	/*
	 * WireGuard datagrams of a path with `relay` set: one, or several of `seg` bytes
	 * end to end, the last perhaps shorter.
	 */
	void (*relay)(void *ctx, const struct wg_path *path, struct span run, size_t seg);
	/*
	 * A packet on its way; once a superframe outward. NULL peer: nobody has that
	 * address. Not DATAPATH_PASS: it is gone, counted if DATAPATH_DROP.
	 */
	enum datapath_verdict (*out)(void *ctx, struct wg_peer *p, struct span packet);
	enum datapath_verdict (*in)(void *ctx, struct wg_peer *p, struct span packet);
	/* WG_CAME_UP and WG_GAVE_UP. */
	void (*peer)(void *ctx, struct wg_peer *p, enum wg_act what);
	/* The interface is gone, or was deleted. */
	void (*gone)(void *ctx);
};

struct datapath_cfg {
	struct ev *ev;
	struct tun *tun;       /* taken */
	struct wg_device *dev; /* taken */
	struct datapath_hooks hooks;
	bool any_port; /* another one where the port that is wanted is taken */
	bool no_udp_gso, no_udp_gro, no_tun_join; /* for kernels where they are broken */
	bool no_udp_tail;                         /* UDP_TAIL_NEVER */
	void (*grow)(void *arg, int fd);          /* as in struct udp_cfg; may be NULL */
	void *grow_arg;
	int (*bind_low)(void *arg, int fd, uint16_t port); /* as in struct udp_cfg; may be NULL */
	void *bind_low_arg;
};

/* On failure tun and dev are freed as well. -errno */
NODISCARD int datapath_new(const struct datapath_cfg *cfg, struct datapath **ret);
void datapath_free(struct datapath *d);

struct wg_device *datapath_device(const struct datapath *d);
const struct tun *datapath_tun(const struct datapath *d);

/*
 * A change of configuration, with binding the port and setting the mark: all of
 * it or nothing.
 *   -EADDRINUSE, -errno, and those of wg_apply
 */
NODISCARD int datapath_apply(struct datapath *d, const struct wg_change *change);

/* Whether this is a router of 4via6 sites (datapath/via6.h). Conversations end when it is no more.
 */
void datapath_set_via6(struct datapath *d, bool on);

/* Carries out what the device wants; call after feeding it from outside. */
void datapath_drain(struct datapath *d);

/* A WireGuard datagram that came by another way (a relay). Its bytes are changed. */
void datapath_recv(struct datapath *d, const struct wg_path *from, uint8_t *bytes, size_t n);
/* Bytes out of the tunnel's own socket (path discovery). -errno */
NODISCARD int datapath_send_raw(struct datapath *d, const struct addr *to, struct span bytes);
/* Datagrams of `seg` bytes end to end, the last perhaps shorter; UDP_FRAME_MAX in all. -errno */
NODISCARD int datapath_send_run(struct datapath *d, const struct addr *to, struct span run,
                                size_t seg);
/* As datapath_send_raw, and it is not fragmented on its way. -errno, -EMSGSIZE */
NODISCARD int datapath_send_whole(struct datapath *d, const struct addr *to, struct span bytes);
/* A packet to the interface, as if it came through the tunnel; not filtered. */
void datapath_inject(struct datapath *d, struct span packet);
/*
 * A packet of our own to a peer, as if it came from the interface; not filtered.
 * Waits for a session if there is none. Not from within a hook.
 */
void datapath_to_peer(struct datapath *d, struct wg_peer *p, struct span packet);

/* Data of sessions that went straight over UDP: by IPv4, by IPv6. Bytes are those of datagrams. */
struct datapath_traffic {
	uint64_t in_packets[2], in_bytes[2], out_packets[2], out_bytes[2];
};
const struct datapath_traffic *datapath_traffic(const struct datapath *d);
