#pragma once
/*
 * The two MACs on handshake messages, and the cookies behind the second.
 *
 * mac1 says "I know your public key"; it is asked of every message before any
 * curve operation. mac2 says "I receive at the address I send from"; it is
 * asked only under load, and is made with a cookie that the responder gave out
 * for exactly that address and port.
 *
 * Source: WireGuard paper s.5.4.4, s.5.4.7.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/own.h"
#include "base/rand.h"
#include "base/time.h"
#include "crypto/keys.h"
#include "wireguard/handshake.h"
#include "wireguard/msg.h"

struct wg_path;

enum {
	WG_COOKIE = 16,
	WG_COOKIE_SECRET_S = 120, /* age of a responder's secret */
	WG_COOKIE_FRESH_S = 115,  /* an initiator stops using one before it is refused */
};

/* Any message with MACs at its end: where the part under mac1 stops. */
static inline struct wg_macs *wg_macs_of(uint8_t *msg, size_t n)
{
	return (struct wg_macs *)(void *)(msg + n - sizeof(struct wg_macs));
}

/* What an initiator remembers of one peer. */
struct wg_cookie_jar {
	uint8_t cookie[WG_COOKIE];
	uint8_t last_mac1[WG_MAC]; /* sent, and not yet answered by a cookie */
	mono born;
	bool held, asked;
};

/* Fills both MACs of a message to this peer. */
void wg_cookie_sign(struct wg_cookie_jar *jar, mono now, const struct node_pub *peer, uint8_t *msg,
                    size_t n);
/*
 * A cookie reply of this peer. It is used from the next message on; nothing is
 * sent again at once, and it says nothing about where the peer is.
 *   ERR_BADSTATE	no message of ours waits for one
 *   ERR_AUTH
 */
NODISCARD int wg_cookie_take(struct wg_cookie_jar *jar, mono now, const struct node_pub *peer,
                             const struct wg_cookie_reply *msg);

/* What a responder keeps: no state for a peer, one secret for all. */
struct wg_cookie_oven {
	uint8_t secret[32];
	mono born;
	bool made;
};

bool wg_mac1_ok(const struct wg_identity *id, const uint8_t *msg, size_t n);
/* Made with a cookie of ours for this sender, from a secret still young? */
bool wg_mac2_ok(const struct wg_cookie_oven *oven, mono now, const struct wg_path *from,
                const uint8_t *msg, size_t n);
/* The reply to a message; draws a new secret when the old one is due. */
void wg_cookie_bake(struct wg_cookie_oven *oven, mono now, struct rand_src *rand,
                    const struct wg_identity *id, const struct wg_path *to, const uint8_t *msg,
                    size_t n, struct wg_cookie_reply *ret);
