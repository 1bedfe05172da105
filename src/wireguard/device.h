#pragma once
/*
 * A WireGuard device as a pure core: peers, sessions, timers, cryptokey
 * routing. No socket, clock, thread or random source inside.
 *
 * Control. Feed it handshake datagrams, the time and configuration changes;
 * after every call drain wg_next() until it says false, then sleep until
 * wg_deadline(). What is to be done is worked out while draining, so pending
 * work costs a few bits a peer and the caller may stop half way and go on later.
 *
 *	wg_recv_handshake, wg_run_timers, wg_apply, wg_up ...   feed
 *	wg_next                                                 drain
 *
 * Data. Packets do not pass through queues. The caller looks the peer up, takes
 * keys and counters, runs the cipher itself over as many packets as it likes
 * (or calls wg_seal and wg_open for one), and reports once a batch:
 *
 *	out	wg_route -> wg_send_begin -> seal, send -> wg_send_done
 *		no session yet: wg_stage; wg_next hands the packet back when there is
 *	in	wg_recv_keypair -> open -> wg_recv_accept (each packet)
 *		-> wg_recv_done (once a batch of one keypair)
 *		-> wg_recv_source (each inner source address)
 *
 * Paths. Where a peer is reached is not decided here but by a struct
 * wg_path_policy: wg_path_plain does WireGuard's roaming, a mesh brings its own.
 *
 * Threads	one thread owns a device: counters and windows are plain integers.
 * Time		`now` may stand still but a step back is taken as no time passed.
 * Source	WireGuard paper; timers and limits as in Linux 6.x.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/ip.h"
#include "base/own.h"
#include "base/rand.h"
#include "base/span.h"
#include "base/time.h"
#include "wireguard/config.h"
#include "wireguard/drops.h"
#include "wireguard/keypair.h"
#include "wireguard/msg.h"

struct wg_device;
struct wg_peer;

enum {
	WG_STAGED_PER_PEER = 128,
	WG_STAGED_TOTAL = 4 << 20,  /* bytes, over all peers */
	WG_STAGED_MAX = 65535 + 64, /* bytes of one entry */
	WG_HANDSHAKE_TOS = 0x88,    /* AF41 on initiations and responses */
};

/*
 * One way to the other end of a datagram. Plain WireGuard uses `remote` and the
 * local address it answers from; `relay` belongs to the mesh, which gives the
 * number a meaning (0: straight over UDP).
 */
struct wg_path {
	struct addr remote;
	struct ip local;  /* our address it came to; all zero: let the kernel choose */
	uint32_t ifindex; /* interface it came in by; 0: not known */
	uint32_t relay;
	/* The most bytes a packet may have within; 0: nothing is known against any size. Guessed:
	 * new connections should keep to it, what is larger may go all the same. */
	uint16_t mtu;
	bool mtu_guessed;
};

/*
 * Who decides where a peer is sent to. Every function gets the `ctx` of
 * struct wg_device_cfg. They must not call back into the device.
 */
struct wg_path_policy {
	/* The way to use now; false: none is known. Also tells the policy that one is wanted. */
	bool (*get)(void *ctx, struct wg_peer *p, struct wg_path *ret);
	/* An authenticated, new packet of this peer came by this way (once a batch). */
	void (*heard)(void *ctx, struct wg_peer *p, const struct wg_path *from);
	/* The configuration names an endpoint (port 0: forgets it). */
	void (*configured)(void *ctx, struct wg_peer *p, const struct addr *endpoint);
	/* The peer does not answer, or our addresses changed: forget the local address in use. */
	void (*forget_local)(void *ctx, struct wg_peer *p);
	/* For display: the endpoint `wg show` prints; false: none. */
	bool (*shown)(void *ctx, const struct wg_peer *p, struct addr *ret);
};

/* The last authenticated source wins; needs no ctx. */
extern const struct wg_path_policy wg_path_plain;

struct wg_device_cfg {
	struct rand_src rand;                /* copied; draws keys, indices, jitter */
	const struct wg_path_policy *policy; /* NULL: wg_path_plain */
	void *policy_ctx;
};

/* The device is down, without identity and peers, until told otherwise. */
struct wg_device *wg_device_new(const struct wg_device_cfg *cfg);
void wg_device_free(struct wg_device *dev);

/* ---- configuration ------------------------------------------------------- */

/*
 * All of the change, or an error and nothing. Sessions survive unless their
 * peer is removed or the private key changes. Binding a port and setting the
 * mark is the caller's, before this (they can fail; this should not any more);
 * the port really bound is then told by wg_set_bound_port.
 *   ERR_LIMIT, ERR_MALFORMED	as wg_change_check, counting what is there already
 */
NODISCARD int wg_apply(struct wg_device *dev, mono now, const struct wg_change *change);
/* Would wg_apply take it? */
NODISCARD int wg_apply_check(const struct wg_device *dev, const struct wg_change *change);
/* A snapshot; end it with wg_info_done. */
void wg_describe(const struct wg_device *dev, mono now, wall wall_now, struct wg_info *ret);
uint16_t wg_listen_port(const struct wg_device *dev);
uint32_t wg_fwmark(const struct wg_device *dev);
void wg_set_bound_port(struct wg_device *dev, uint16_t port);

/* Interface up: peers with a persistent keepalive start at once. Down: sessions and timers end. */
void wg_up(struct wg_device *dev, mono now);
void wg_down(struct wg_device *dev, mono now);
bool wg_is_up(const struct wg_device *dev);
/* The machine was copied or slept: no key that exists now seals another packet. */
void wg_expire_sessions(struct wg_device *dev, mono now);
/* Our addresses or routes changed: local addresses in use are forgotten. */
void wg_forget_locals(struct wg_device *dev);

/* ---- control ------------------------------------------------------------- */

/*
 * A datagram of kind initiation, response or cookie reply (wg_msg_kind says
 * which; anything else is counted and dropped). Costs up to four curve
 * operations for a well-meant one, two hashes for a stranger's.
 */
void wg_recv_handshake(struct wg_device *dev, mono now, const struct wg_path *from,
                       struct span datagram);
/* Call at wg_deadline() or later; harmless before. */
void wg_run_timers(struct wg_device *dev, mono now);
/* May be early, never late: a timer that was put off is looked at when it was first due. */
mono wg_deadline(const struct wg_device *dev);

enum wg_act {
	WG_SEND,    /* put `bytes` on the wire to `path`; losing it is allowed */
	WG_UNSTAGE, /* a packet given to wg_stage: send it now, as if it came from the interface */
	WG_CAME_UP, /* the peer has a session and had none */
	WG_GAVE_UP, /* the peer did not answer for 90 s; what was staged is dropped */
};

struct wg_out {
	enum wg_act act;
	struct wg_peer *peer; /* NULL: a cookie reply to a stranger */
	struct wg_path path;  /* SEND */
	struct span bytes;    /* SEND, UNSTAGE; good until the next call of wg_next */
	uint8_t tos;          /* SEND: traffic class of the outer packet */
};

/* wall_now is the time of day, for the stamp in initiations. */
bool wg_next(struct wg_device *dev, mono now, wall wall_now, struct wg_out *ret);

/* ---- peers --------------------------------------------------------------- */

/*
 * A peer lives until wg_apply removes it. Its slot is below wg_slots(), is its
 * own while it lives and may be given to another after; the generation tells
 * the two apart.
 */
uint32_t wg_slots(const struct wg_device *dev);
struct wg_peer *wg_peer_at(const struct wg_device *dev, uint32_t slot); /* or NULL */
struct wg_peer *wg_peer_by_key(const struct wg_device *dev, const struct node_pub *key);
uint32_t wg_peer_slot(const struct wg_peer *p);
uint32_t wg_peer_generation(const struct wg_peer *p);
const struct node_pub *wg_peer_key(const struct wg_peer *p);
/* What the path policy says now. */
bool wg_peer_path(struct wg_device *dev, struct wg_peer *p, struct wg_path *ret);
/* The socket refused the local address in use: let the kernel choose. */
void wg_peer_forget_local(struct wg_device *dev, struct wg_peer *p);
bool wg_peer_has_session(const struct wg_peer *p, mono now);
/* The last completed handshake, MONO_NEVER if none. */
mono wg_peer_last_handshake(const struct wg_peer *p);
uint64_t wg_peer_rx_bytes(const struct wg_peer *p);
uint64_t wg_peer_tx_bytes(const struct wg_peer *p);
/* For a mesh: a handshake is wanted now (the usual limit of one in 5 s holds). */
void wg_want_session(struct wg_device *dev, mono now, struct wg_peer *p);
/* For a mesh: one word of the caller's beside each peer; NULL in a new peer. */
void *wg_peer_user(const struct wg_peer *p);
/* p NULL: nothing; a configuration may name our own key, and there is no peer then. */
void wg_peer_set_user(struct wg_peer *p, void *user);

/* ---- data out ------------------------------------------------------------ */

/* The peer whose prefix matches best, or NULL. Not counted. */
struct wg_peer *wg_route(const struct wg_device *dev, const struct ip *dst);
/* The 4 or 16 bytes of an address in a packet. */
struct wg_peer *wg_route4(const struct wg_device *dev, const uint8_t dst[static 4]);
struct wg_peer *wg_route6(const struct wg_device *dev, const uint8_t dst[static 16]);

/*
 * Keys for n packets of one batch: counters first .. first + n - 1 are the
 * caller's alone. n >= 1, packets and not keepalives.
 *   ERR_NOKEY		no session, or it is spent: a handshake is under way; wg_stage them
 */
NODISCARD int wg_send_begin(struct wg_device *dev, mono now, struct wg_peer *p, unsigned n,
                            struct wg_keypair **ret_keys, uint64_t *ret_first);
/* After the batch went to the socket: UDP payload bytes that really went. Once a batch. */
void wg_send_done(struct wg_device *dev, mono now, struct wg_peer *p, uint64_t bytes);
/*
 * Keeps a copy until there is a session and asks for one. Bytes are the
 * caller's own form (an IP packet, or a frame with its virtio header). The
 * oldest of the peer gives way when there is no room; drops are counted.
 */
void wg_stage(struct wg_device *dev, mono now, struct wg_peer *p, struct span bytes);
size_t wg_staged_bytes(const struct wg_device *dev);

/* ---- data in ------------------------------------------------------------- */

/* The session of a data message's receiver index, or NULL: counted, drop it. */
struct wg_keypair *wg_recv_keypair(struct wg_device *dev, mono now, uint32_t index);
/* After it authenticated, each packet in order of arrival. false: counted, drop it. */
bool wg_recv_accept(struct wg_device *dev, struct wg_keypair *k, uint64_t counter);
/*
 * Once a batch of accepted packets of one keypair, before they are delivered.
 * `from` is the way the last of them came, `data` says that at least one was no
 * keepalive, bytes are those of the UDP payloads.
 */
void wg_recv_done(struct wg_device *dev, mono now, struct wg_keypair *k, const struct wg_path *from,
                  bool data, uint64_t bytes);
/*
 * May this peer send from this inner address? True if it is the owner of the
 * best matching prefix; else it is counted and the packet dropped.
 */
bool wg_recv_source(struct wg_device *dev, const struct wg_peer *p, const struct ip *src);

/* ---- one packet, for tests and slow paths -------------------------------- */

/*
 * Seals one packet (n 0: a keepalive) with its padding into dst, which holds
 * wg_padded_len(n, mtu) + WG_DATA_OVERHEAD bytes. dst + WG_DATA_HEADER may be
 * the packet itself.
 */
void wg_seal(uint8_t *dst, const struct wg_keypair *k, uint64_t counter, struct span packet,
             size_t mtu);
/*
 * Opens a whole data message into dst (datagram.n - WG_DATA_OVERHEAD bytes, may
 * be its own packet part). Does not look at the replay window.
 *   ERR_AUTH, ERR_SHORT
 */
NODISCARD int wg_open(uint8_t *dst, const struct wg_keypair *k, struct span datagram);
/*
 * Length of the IP packet at the front of decrypted bytes, without padding.
 *   ERR_MALFORMED	not IPv4 or IPv6, or longer than what is there
 */
NODISCARD int wg_inner_len(struct span plain, size_t *ret_len, struct ip *ret_src);

/* ---- counters ------------------------------------------------------------ */

void wg_drop(struct wg_device *dev, enum wg_drop why, uint64_t packets);
uint64_t wg_drops(const struct wg_device *dev, enum wg_drop why);
