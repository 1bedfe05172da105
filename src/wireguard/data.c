/* Packets: what they need of the device, each and by the batch. */
#include <string.h>

#include "crypto/aead.h"
#include "wireguard/peer.h"

static struct wg_peer *owner_peer(struct lpm_owner *o)
{
	return o ? CONTAINER_OF(o, struct wg_peer, prefixes) : NULL;
}

struct wg_peer *wg_route(const struct wg_device *dev, const struct ip *dst)
{
	return owner_peer(lpm_find(&dev->prefixes, dst));
}

struct wg_peer *wg_route4(const struct wg_device *dev, const uint8_t dst[static 4])
{
	return owner_peer(lpm_find4(&dev->prefixes, dst));
}

struct wg_peer *wg_route6(const struct wg_device *dev, const uint8_t dst[static 16])
{
	return owner_peer(lpm_find6(&dev->prefixes, dst));
}

/* ---- out ----------------------------------------------------------------- */

int wg_send_begin(struct wg_device *dev, mono now, struct wg_peer *p, unsigned n,
                  struct wg_keypair **ret_keys, uint64_t *ret_first)
{
	struct wg_keypair *k = p->current;

	now = wg_tick(dev, now);
	if (!wg_keypair_can_send(k, now)) {
		wg_peer_ask(dev, p, now, false);
		return ERR_NOKEY;
	}
	if (n > WG_REJECT_AFTER_MESSAGES - k->send_counter) {
		k->send_counter = WG_REJECT_AFTER_MESSAGES; /* spent */
		wg_peer_ask(dev, p, now, false);
		return ERR_NOKEY;
	}
	*ret_keys = k;
	*ret_first = k->send_counter;
	k->send_counter += n;
	return 0;
}

void wg_send_done(struct wg_device *dev, mono now, struct wg_peer *p, uint64_t bytes)
{
	now = wg_tick(dev, now);
	p->tx_bytes += bytes;
	wg_timers_traversal(&p->timers, now);
	wg_timers_any_sent(&p->timers);
	wg_timers_data_sent(&p->timers, now, wg_jitter(dev));
	wg_peer_fresh_after_send(dev, p, now);
	wg_peer_rearm(dev, p);
}

/* ---- in ------------------------------------------------------------------ */

struct wg_keypair *wg_recv_keypair(struct wg_device *dev, mono now, uint32_t index)
{
	struct wg_index *i = wg_index_find(dev, index);

	if (!i || !i->is_keypair) {
		wg_drop(dev, WG_DROP_INDEX, 1);
		return NULL;
	}

	struct wg_keypair *k = CONTAINER_OF(i, struct wg_keypair, index);

	if (!wg_keypair_can_receive(k, wg_tick(dev, now))) {
		wg_drop(dev, WG_DROP_EXPIRED, 1);
		return NULL;
	}
	return k;
}

bool wg_recv_accept(struct wg_device *dev, struct wg_keypair *k, uint64_t counter)
{
	if (k->dead) {
		wg_drop(dev, WG_DROP_EXPIRED, 1);
		return false;
	}

	int r = wg_replay_accept(&k->replay, counter);

	if (r < 0)
		wg_drop(dev, r == ERR_LIMIT ? WG_DROP_EXPIRED : WG_DROP_REPLAY, 1);
	return r == 0;
}

/* Only the initiator asks on time, or both ends would at once. */
static void fresh_after_recv(struct wg_device *dev, struct wg_peer *p, mono now)
{
	enum { LAST_MINUTE_S = WG_REJECT_AFTER_S - WG_KEEPALIVE_S - WG_REKEY_TIMEOUT_S };
	struct wg_keypair *k = p->current;

	if (!k || !k->initiator || k->last_minute || !wg_keypair_can_send(k, now))
		return;
	if (mono_since(k->born, now) > LAST_MINUTE_S * US_PER_S) {
		k->last_minute = true;
		wg_peer_ask(dev, p, now, false);
	}
}

void wg_recv_done(struct wg_device *dev, mono now, struct wg_keypair *k, const struct wg_path *from,
                  bool data, uint64_t bytes)
{
	struct wg_peer *p = k->index.peer;

	now = wg_tick(dev, now);
	if (k->dead)
		return;
	wg_peer_heard(dev, p, from);
	if (k == p->next)
		wg_peer_promote(dev, p, now);
	fresh_after_recv(dev, p, now);
	p->rx_bytes += bytes;
	wg_timers_any_received(&p->timers);
	wg_timers_traversal(&p->timers, now);
	if (data)
		wg_timers_data_received(&p->timers, now);
	wg_peer_rearm(dev, p);
}

bool wg_recv_source(struct wg_device *dev, const struct wg_peer *p, const struct ip *src)
{
	if (wg_route(dev, src) == p)
		return true;
	wg_drop(dev, WG_DROP_SOURCE, 1);
	return false;
}

/* ---- one packet ---------------------------------------------------------- */

void wg_seal(uint8_t *dst, const struct wg_keypair *k, uint64_t counter, struct span packet,
             size_t mtu)
{
	size_t padded = wg_padded_len(packet.n, mtu);
	uint8_t *body = dst + WG_DATA_HEADER;
	uint8_t nonce[12];

	if (packet.n)
		memmove(body, packet.p, packet.n);
	memset(body + packet.n, 0, padded - packet.n);
	wg_data_header(dst, k->remote_index, counter);
	aead_nonce_le(nonce, counter);
	aead_seal(body, k->send_key, nonce, span(body, padded), (struct span){ 0 });
}

int wg_open(uint8_t *dst, const struct wg_keypair *k, struct span datagram)
{
	uint8_t nonce[12];

	if (datagram.n < WG_DATA_OVERHEAD)
		return ERR_SHORT;
	aead_nonce_le(nonce, wg_data_counter(datagram.p));
	return aead_open(dst, k->recv_key, nonce, span_from(datagram, WG_DATA_HEADER),
	                 (struct span){ 0 });
}

int wg_inner_len(struct span plain, size_t *ret_len, struct ip *ret_src)
{
	unsigned version = plain.n ? plain.p[0] >> 4 : 0;
	size_t len;

	if (version == 4 && plain.n >= 20) {
		len = be16_at(plain.p + 2);
		if (len < 20 || len > plain.n)
			return ERR_MALFORMED;
		*ret_src = ip4_of(plain.p + 12);
	} else if (version == 6 && plain.n >= 40) {
		len = 40 + (size_t)be16_at(plain.p + 4);
		if (len > plain.n)
			return ERR_MALFORMED;
		*ret_src = ip6_of(plain.p + 8);
	} else {
		return ERR_MALFORMED;
	}
	*ret_len = len;
	return 0;
}
