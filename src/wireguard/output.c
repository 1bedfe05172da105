/* What goes out: peers' wishes are carried out one at a time, while draining. */
#include <string.h>

#include "base/mem.h"
#include "wireguard/peer.h"

/* Fills a SEND to the peer. false: nobody knows where it is. */
static bool send_to(struct wg_device *dev, struct wg_peer *p, const void *bytes, size_t n,
                    uint8_t tos, struct wg_out *ret)
{
	*ret = (struct wg_out){ .act = WG_SEND, .peer = p, .bytes = span(bytes, n), .tos = tos };
	if (!wg_peer_path(dev, p, &ret->path)) {
		wg_drop(dev, WG_DROP_NO_ENDPOINT, 1);
		return false;
	}
	p->tx_bytes += n;
	return true;
}

static void note_sent(struct wg_peer *p, mono now)
{
	wg_timers_traversal(&p->timers, now);
	wg_timers_any_sent(&p->timers);
}

static bool create_initiation(struct wg_device *dev, struct wg_peer *p, wall wall_now)
{
	const uint8_t *ss = wg_peer_static_static(dev, p);
	uint8_t ephemeral[32], stamp[WG_STAMP_LEN];
	uint32_t number;
	int r;

	if (!ss)
		return false;
	wg_peer_drop_pending(dev, p);
	p->pending = mem_new(struct wg_pending);
	number = wg_index_new(dev, &p->pending->index, p);
	rand_fill(&dev->rand, ephemeral, sizeof(ephemeral));
	wg_stamp(stamp, wall_now, &p->stamp_out_ns);
	r = wg_initiation_create(&p->pending->hs, &dev->id, &p->key, ss, ephemeral, stamp, number,
	                         &dev->out.initiation);
	explicit_bzero(ephemeral, sizeof(ephemeral));
	if (r < 0)
		wg_peer_drop_pending(dev, p);
	return r == 0;
}

static bool do_initiation(struct wg_device *dev, struct wg_peer *p, mono now, wall wall_now,
                          struct wg_out *ret)
{
	struct wg_initiation *msg = &dev->out.initiation;
	struct wg_path path;
	bool sent = false;

	if (mono_since(p->handshake_sent, now) < WG_REKEY_TIMEOUT_S * US_PER_S)
		return false;
	/* With nowhere to send to the series runs all the same: an address may turn up. */
	if (wg_peer_path(dev, p, &path)) {
		if (!create_initiation(dev, p, wall_now))
			return false;
		wg_cookie_sign(&wg_peer_contact(p)->jar, now, &p->key, (uint8_t *)msg,
		               sizeof(*msg));
		sent = send_to(dev, p, msg, sizeof(*msg), WG_HANDSHAKE_TOS, ret);
	} else {
		wg_drop(dev, WG_DROP_NO_ENDPOINT, 1);
	}
	p->handshake_sent = now;
	note_sent(p, now);
	wg_timers_initiation_sent(&p->timers, now, wg_jitter(dev));
	return sent;
}

/* The keys are there before the answer is on the wire. */
static bool do_response(struct wg_device *dev, struct wg_peer *p, mono now, struct wg_out *ret)
{
	struct wg_response *msg = &dev->out.response;
	uint8_t ephemeral[32];
	uint32_t number;
	int r;

	if (!p->pending || p->pending->hs.state != WG_HS_INITIATION_CONSUMED)
		return false;
	p->handshake_sent = now;
	rand_fill(&dev->rand, ephemeral, sizeof(ephemeral));
	number = wg_index_new(dev, &p->pending->index, p);
	r = wg_response_create(&p->pending->hs, &p->key, wg_peer_psk(p), ephemeral, number, msg);
	explicit_bzero(ephemeral, sizeof(ephemeral));
	if (r < 0) {
		wg_peer_drop_pending(dev, p);
		return false;
	}
	wg_cookie_sign(&wg_peer_contact(p)->jar, now, &p->key, (uint8_t *)msg, sizeof(*msg));
	wg_peer_begin_session(dev, p, now);
	note_sent(p, now);
	return send_to(dev, p, msg, sizeof(*msg), WG_HANDSHAKE_TOS, ret);
}

static bool do_keepalive(struct wg_device *dev, struct wg_peer *p, mono now, struct wg_out *ret)
{
	struct wg_keypair *k = p->current;

	if (!wg_keypair_can_send(k, now)) {
		wg_peer_ask(dev, p, now, false);
		return false;
	}
	wg_seal(dev->out.keepalive, k, k->send_counter++, (struct span){ 0 }, 0);
	note_sent(p, now);
	wg_peer_fresh_after_send(dev, p, now);
	return send_to(dev, p, dev->out.keepalive, sizeof(dev->out.keepalive), 0, ret);
}

static bool do_unstage(struct wg_device *dev, struct wg_peer *p, mono now, struct wg_out *ret)
{
	if (!wg_keypair_can_send(p->current, now)) {
		wg_peer_ask(dev, p, now, false);
		return false;
	}

	struct wg_staged *s = wg_peer_unstage(dev, p);

	if (!s)
		return false;
	if (p->staged)
		wg_peer_want(dev, p, WG_WANT_UNSTAGE);
	dev->unstaged = s;
	*ret = (struct wg_out){ .act = WG_UNSTAGE, .peer = p, .bytes = span(s->bytes, s->n) };
	return true;
}

static bool tell(struct wg_peer *p, enum wg_act act, struct wg_out *ret)
{
	*ret = (struct wg_out){ .act = act, .peer = p };
	return true;
}

/* One wish of the peer: true if something is to be done outside. */
static bool step(struct wg_device *dev, struct wg_peer *p, mono now, wall wall_now,
                 struct wg_out *ret)
{
	/* In the order in which they are carried out. */
	enum wg_want want = p->wants & -p->wants;

	p->wants &= ~(unsigned)want;
	switch (want) {
	case WG_TELL_UP:
		return tell(p, WG_CAME_UP, ret);
	case WG_WANT_RESPONSE:
		return do_response(dev, p, now, ret);
	case WG_WANT_INITIATION:
		return do_initiation(dev, p, now, wall_now, ret);
	case WG_WANT_UNSTAGE:
		return do_unstage(dev, p, now, ret);
	case WG_WANT_KEEPALIVE:
		return do_keepalive(dev, p, now, ret);
	case WG_TELL_GAVE_UP:
		return tell(p, WG_GAVE_UP, ret);
	}
	return false;
}

static bool next_cookie(struct wg_device *dev, struct wg_out *ret)
{
	if (!dev->cookies.n)
		return false;

	const struct wg_cookie_out *c = &dev->cookies.v[--dev->cookies.n];

	dev->out.cookie = c->msg;
	*ret = (struct wg_out){ .act = WG_SEND,
		                .path = c->to,
		                .bytes = span(&dev->out.cookie, sizeof(dev->out.cookie)) };
	return true;
}

bool wg_next(struct wg_device *dev, mono now, wall wall_now, struct wg_out *ret)
{
	now = wg_tick(dev, now);
	free(TAKE(dev->unstaged));
	if (next_cookie(dev, ret))
		return true;
	while (!list_empty(&dev->work)) {
		struct wg_peer *p = list_first(&dev->work, struct wg_peer, work);
		bool out = p->wants && step(dev, p, now, wall_now, ret);

		wg_peer_rearm(dev, p);
		if (!p->wants)
			list_remove(&p->work);
		if (out)
			return true;
	}
	wg_reap(dev);
	return false;
}
