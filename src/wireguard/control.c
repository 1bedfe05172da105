/* Handshake messages in: who may be heard, and what they lead to. */
#include <string.h>

#include "base/mem.h"
#include "wireguard/peer.h"

/* ---- load ---------------------------------------------------------------- */

/* One handshake more from anybody: too many altogether? Then so for a second. */
static bool all_loaded(struct wg_device *dev, mono now)
{
	const int64_t cost = US_PER_S / WG_ALL_PER_S;

	dev->load_us += mono_since(dev->load_at, now);
	dev->load_at = now;
	if (dev->load_us > US_PER_S)
		dev->load_us = US_PER_S;
	if (dev->load_us >= cost)
		dev->load_us -= cost;
	else
		dev->loaded_until = mono_after(now, US_PER_S);
	return mono_before(now, dev->loaded_until);
}

/* Who is counted: the address, or the mesh's number where many come by one relay. */
static struct ip source_of(const struct wg_path *from)
{
	struct ip source = from->remote.ip;

	if (from->relay) {
		source = (struct ip){ { 0 } };
		put_be32(source.b, from->relay);
	}
	return source;
}

/*
 * Must this source prove its address? It must if it alone sends too much; that
 * is its own affair and does not count against the others.
 */
static bool under_load(struct wg_device *dev, mono now, const struct wg_path *from)
{
	struct ip source = source_of(from);

	if (!wg_ratelimit_allow(&dev->by_source, now, &source))
		return true;
	return all_loaded(dev, now);
}

static void reply_cookie(struct wg_device *dev, mono now, const struct wg_path *from,
                         struct span msg)
{
	if (dev->cookies.n >= WG_COOKIES_PENDING) {
		wg_drop(dev, WG_DROP_COOKIE_FULL, 1);
		return;
	}
	wg_drop(dev, WG_DROP_COOKIE_ASKED, 1);

	struct wg_cookie_out *out = vec_add(&dev->cookies);

	out->to = *from;
	wg_cookie_bake(&dev->oven, now, &dev->rand, &dev->id, from, msg.p, msg.n, &out->msg);
}

/* The MACs, before any curve operation. */
static bool admitted(struct wg_device *dev, mono now, const struct wg_path *from, struct span msg)
{
	if (!wg_mac1_ok(&dev->id, msg.p, msg.n)) {
		wg_drop(dev, WG_DROP_MAC1, 1);
		return false;
	}
	if (!under_load(dev, now, from))
		return true;
	if (!wg_mac2_ok(&dev->oven, now, from, msg.p, msg.n)) {
		reply_cookie(dev, now, from, msg);
		return false;
	}

	struct ip source = source_of(from);

	if (!wg_ratelimit_allow(&dev->proven, now, &source)) {
		wg_drop(dev, WG_DROP_RATE, 1);
		return false;
	}
	return true;
}

/* ---- messages ------------------------------------------------------------ */

/* An authenticated handshake message, whatever it leads to. */
static void note_received(struct wg_device *dev, struct wg_peer *p, mono now, size_t bytes)
{
	p->rx_bytes += bytes;
	wg_timers_any_received(&p->timers);
	wg_timers_traversal(&p->timers, now);
	wg_peer_rearm(dev, p);
}

/* WG_DROP_MAX if the initiation is good: *ret_hs and *ret_peer are set then. */
static enum wg_drop read_initiation(struct wg_device *dev, mono now,
                                    const struct wg_initiation *msg, struct wg_handshake *ret_hs,
                                    struct wg_peer **ret_peer, uint8_t stamp[static WG_STAMP_LEN])
{
	struct node_pub key;

	if (wg_initiation_open(&dev->id, msg, ret_hs, &key) < 0)
		return WG_DROP_HANDSHAKE_AUTH;

	struct wg_peer *p = wg_peer_by_key(dev, &key);

	if (!p)
		return WG_DROP_UNKNOWN_PEER;

	const uint8_t *ss = wg_peer_static_static(dev, p);

	if (!ss || wg_initiation_finish(ret_hs, ss, msg, stamp) < 0)
		return WG_DROP_HANDSHAKE_AUTH;
	if (memcmp(stamp, p->contact->stamp_in, WG_STAMP_LEN) <= 0)
		return WG_DROP_STALE_STAMP;
	if (mono_since(p->contact->initiation_in, now) < WG_FLOOD_US)
		return WG_DROP_FLOOD;
	*ret_peer = p;
	return WG_DROP_MAX;
}

static void recv_initiation(struct wg_device *dev, mono now, const struct wg_path *from,
                            const struct wg_initiation *msg)
{
	AUTO_WIPE(wg_handshake) hs = { 0 };
	uint8_t stamp[WG_STAMP_LEN];
	struct wg_peer *p = NULL;
	enum wg_drop why = read_initiation(dev, now, msg, &hs, &p, stamp);

	if (why != WG_DROP_MAX) {
		wg_drop(dev, why, 1);
		return;
	}
	wg_peer_drop_pending(dev, p);
	p->pending = mem_new(struct wg_pending);
	p->pending->hs = hs;
	memcpy(p->contact->stamp_in, stamp, WG_STAMP_LEN);
	p->contact->initiation_in = now;
	wg_peer_heard(dev, p, from);
	note_received(dev, p, now, sizeof(*msg));
	wg_peer_want(dev, p, WG_WANT_RESPONSE);
}

static void recv_response(struct wg_device *dev, mono now, const struct wg_path *from,
                          const struct wg_response *msg)
{
	struct wg_index *index = wg_index_find(dev, le32_at(msg->receiver));

	if (!index || index->is_keypair ||
	    index->peer->pending->hs.state != WG_HS_INITIATION_CREATED) {
		wg_drop(dev, WG_DROP_NO_HANDSHAKE, 1);
		return;
	}

	struct wg_peer *p = index->peer;

	if (wg_response_consume(&p->pending->hs, &dev->id, wg_peer_psk(p), msg) < 0) {
		wg_drop(dev, WG_DROP_HANDSHAKE_AUTH, 1);
		return;
	}

	bool had = wg_keypair_can_send(p->current, now);

	wg_peer_heard(dev, p, from);
	wg_peer_begin_session(dev, p, now);
	wg_peer_handshake_complete(dev, p, now);
	if (!had)
		wg_peer_want(dev, p, WG_TELL_UP);
	wg_peer_keepalive(dev, p, now); /* or what waits: the peer must hear from the new keys */
	note_received(dev, p, now, sizeof(*msg));
}

/* Says nothing about where the peer is: an attacker on the path could have sent it on. */
static void recv_cookie(struct wg_device *dev, mono now, const struct wg_cookie_reply *msg)
{
	struct wg_index *index = wg_index_find(dev, le32_at(msg->receiver));

	if (!index) {
		wg_drop(dev, WG_DROP_COOKIE_UNASKED, 1);
		return;
	}

	struct wg_peer *p = index->peer;
	int r = wg_cookie_take(&wg_peer_contact(p)->jar, now, &p->key, msg);

	if (r < 0)
		wg_drop(dev, r == ERR_AUTH ? WG_DROP_COOKIE_AUTH : WG_DROP_COOKIE_UNASKED, 1);
}

static enum wg_drop kind_drop(int kind)
{
	if (kind == ERR_SHORT)
		return WG_DROP_SHORT;
	return kind == ERR_MALFORMED ? WG_DROP_LENGTH : WG_DROP_TYPE;
}

void wg_recv_handshake(struct wg_device *dev, mono now, const struct wg_path *from,
                       struct span datagram)
{
	int kind = wg_msg_kind(datagram);

	now = wg_tick(dev, now);
	if (kind < 0 || kind == WG_MSG_DATA) {
		wg_drop(dev, kind_drop(kind), 1);
		return;
	}
	if (!dev->up || !dev->id.set) {
		wg_drop(dev, dev->up ? WG_DROP_NO_IDENTITY : WG_DROP_DOWN, 1);
		return;
	}
	if (kind == WG_MSG_COOKIE)
		recv_cookie(dev, now, (const void *)datagram.p);
	else if (!admitted(dev, now, from, datagram))
		return;
	else if (kind == WG_MSG_INITIATION)
		recv_initiation(dev, now, from, (const void *)datagram.p);
	else
		recv_response(dev, now, from, (const void *)datagram.p);
}

/* ---- timers -------------------------------------------------------------- */

static void retransmit(struct wg_device *dev, struct wg_peer *p, mono now)
{
	if (p->timers.attempts <= WG_ATTEMPTS_MAX) {
		p->timers.attempts++;
		wg_peer_forget_local(dev, p);
		wg_peer_ask(dev, p, now, true);
		/*
		 * Too soon after a response of ours: both began at once, and neither
		 * got through. The series must not end here.
		 */
		if (!(p->wants & WG_WANT_INITIATION))
			wg_timers_initiation_sent(&p->timers, p->handshake_sent, wg_jitter(dev));
		return;
	}
	wg_timers_any_sent(&p->timers); /* no keepalive either */
	wg_peer_drop_staged(dev, p, WG_DROP_STAGED_STALE);
	if (!wg_timer_armed(&p->timers, WG_TIMER_ZERO_KEYS))
		wg_timers_session_derived(&p->timers, now);
	wg_peer_want(dev, p, WG_TELL_GAVE_UP);
}

static void run_peer(struct wg_device *dev, struct wg_peer *p, mono now)
{
	struct wg_timers *t = &p->timers;

	if (wg_timer_take(t, WG_TIMER_RETRANSMIT, now))
		retransmit(dev, p, now);
	if (wg_timer_take(t, WG_TIMER_KEEPALIVE, now)) {
		wg_peer_keepalive(dev, p, now);
		if (t->need_another) {
			t->need_another = false;
			wg_timers_data_received(t, now);
		}
	}
	if (wg_timer_take(t, WG_TIMER_NEW_HANDSHAKE, now)) {
		wg_peer_forget_local(dev, p);
		wg_peer_ask(dev, p, now, false);
	}
	if (wg_timer_take(t, WG_TIMER_ZERO_KEYS, now)) {
		wg_peer_drop_pending(dev, p);
		wg_peer_drop_sessions(dev, p);
	}
	if (wg_timer_take(t, WG_TIMER_PERSISTENT, now) && t->persistent_s)
		wg_peer_keepalive(dev, p, now);
}

void wg_run_timers(struct wg_device *dev, mono now)
{
	struct heap_node *n;

	now = wg_tick(dev, now);
	while ((n = heap_first(&dev->wakes)) && mono_reached(n->at, now)) {
		struct wg_peer *p = CONTAINER_OF(n, struct wg_peer, wake);

		heap_remove(&dev->wakes, n);
		run_peer(dev, p, now);
		wg_peer_rearm(dev, p);
	}
}

mono wg_deadline(const struct wg_device *dev)
{
	return list_empty(&dev->work) && !dev->cookies.n ? heap_deadline(&dev->wakes) : dev->now;
}
