#include "wireguard/cookie.h"

#include <string.h>

#include "crypto/aead.h"
#include "crypto/blake2s.h"
#include "wireguard/device.h"

static void mac(uint8_t ret[static WG_MAC], const void *key, size_t key_len, const uint8_t *msg,
                size_t n)
{
	blake2s(ret, WG_MAC, key, key_len, span(msg, n));
}

/* The parts of a message under mac1 and under mac2. */
static size_t under_mac1(size_t n)
{
	return n - sizeof(struct wg_macs);
}

static size_t under_mac2(size_t n)
{
	return n - WG_MAC;
}

void wg_cookie_sign(struct wg_cookie_jar *jar, mono now, const struct node_pub *peer, uint8_t *msg,
                    size_t n)
{
	struct wg_macs *macs = wg_macs_of(msg, n);
	uint8_t key[32];

	blake2s_hash2(key, SPAN_LIT("mac1----"), SPAN_OF(peer->b));
	mac(macs->mac1, key, sizeof(key), msg, under_mac1(n));
	memcpy(jar->last_mac1, macs->mac1, WG_MAC);
	jar->asked = true;

	if (jar->held && mono_since(jar->born, now) < WG_COOKIE_FRESH_S * US_PER_S)
		mac(macs->mac2, jar->cookie, WG_COOKIE, msg, under_mac2(n));
	else
		memset(macs->mac2, 0, WG_MAC);
}

int wg_cookie_take(struct wg_cookie_jar *jar, mono now, const struct node_pub *peer,
                   const struct wg_cookie_reply *msg)
{
	uint8_t key[32], cookie[WG_COOKIE];

	if (!jar->asked)
		return ERR_BADSTATE;
	blake2s_hash2(key, SPAN_LIT("cookie--"), SPAN_OF(peer->b));

	int r = xaead_open(cookie, key, msg->nonce, SPAN_OF(msg->sealed_cookie),
	                   SPAN_OF(jar->last_mac1));

	if (r < 0)
		return r;
	memcpy(jar->cookie, cookie, WG_COOKIE);
	jar->born = now;
	jar->held = true;
	jar->asked = false;
	return 0;
}

bool wg_mac1_ok(const struct wg_identity *id, const uint8_t *msg, size_t n)
{
	uint8_t want[WG_MAC];

	mac(want, id->mac1_key, sizeof(id->mac1_key), msg, under_mac1(n));
	return ct_eq(want, msg + under_mac1(n), WG_MAC);
}

/* Address and port: with the address alone, others behind the same NAT would pass. */
static void cookie_for(uint8_t ret[static WG_COOKIE], const struct wg_cookie_oven *oven,
                       const struct wg_path *sender)
{
	uint8_t who[16 + 2 + 2 + 4];

	memcpy(who, sender->remote.ip.b, 16);
	put_be16(who + 16, sender->remote.port);
	put_be16(who + 18, sender->remote.zone);
	put_be32(who + 20, sender->relay);
	mac(ret, oven->secret, sizeof(oven->secret), who, sizeof(who));
}

static bool oven_is_warm(const struct wg_cookie_oven *oven, mono now)
{
	return oven->made && mono_since(oven->born, now) < WG_COOKIE_SECRET_S * US_PER_S;
}

bool wg_mac2_ok(const struct wg_cookie_oven *oven, mono now, const struct wg_path *from,
                const uint8_t *msg, size_t n)
{
	uint8_t cookie[WG_COOKIE], want[WG_MAC];

	if (!oven_is_warm(oven, now))
		return false;
	cookie_for(cookie, oven, from);
	mac(want, cookie, sizeof(cookie), msg, under_mac2(n));
	return ct_eq(want, msg + under_mac2(n), WG_MAC);
}

void wg_cookie_bake(struct wg_cookie_oven *oven, mono now, struct rand_src *rand,
                    const struct wg_identity *id, const struct wg_path *to, const uint8_t *msg,
                    size_t n, struct wg_cookie_reply *ret)
{
	uint8_t cookie[WG_COOKIE];

	if (!oven_is_warm(oven, now)) {
		rand_fill(rand, oven->secret, sizeof(oven->secret));
		oven->born = now;
		oven->made = true;
	}
	cookie_for(cookie, oven, to);
	put_le32(ret->type, WG_MSG_COOKIE);
	memcpy(ret->receiver, msg + 4, 4);
	rand_fill(rand, ret->nonce, sizeof(ret->nonce));
	xaead_seal(ret->sealed_cookie, id->cookie_key, ret->nonce, SPAN_OF(cookie),
	           span(msg + under_mac1(n), WG_MAC));
}
