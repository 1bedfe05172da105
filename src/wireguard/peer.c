#include "wireguard/peer.h"

#include <assert.h>
#include <string.h>

#include "base/mem.h"

/* Long before anything: the first handshake goes out at once. */
#define LONG_AGO ((mono){ INT64_MIN / 2 })

/* ---- indices ------------------------------------------------------------- */

struct wg_index *wg_index_find(const struct wg_device *dev, uint32_t number)
{
	struct map_node *n = map_find(&dev->indices, number);

	return n ? CONTAINER_OF(n, struct wg_index, node) : NULL;
}

/*
 * Indices are uniformly random: they tell nothing about how many there are. So
 * they also serve as their own hash.
 */
uint32_t wg_index_new(struct wg_device *dev, struct wg_index *index, struct wg_peer *p)
{
	uint32_t number;

	do
		number = rand_src_u32(&dev->rand);
	while (wg_index_find(dev, number));
	index->peer = p;
	map_insert(&dev->indices, &index->node, number);
	return number;
}

void wg_index_drop(struct wg_device *dev, struct wg_index *index)
{
	map_remove(&dev->indices, &index->node);
}

/* ---- keypairs ------------------------------------------------------------ */

/* Out of its slot and the index table at once; the memory goes with wg_reap. */
static void keypair_end(struct wg_device *dev, struct wg_keypair **slot)
{
	struct wg_keypair *k = TAKE(*slot);

	if (!k)
		return;
	wg_index_drop(dev, &k->index);
	k->dead = true;
	list_append(&dev->graves, &k->grave);
}

void wg_reap(struct wg_device *dev)
{
	struct wg_keypair *k, *tmp;

	list_each_safe(k, tmp, &dev->graves, grave) {
		list_remove(&k->grave);
		aead_key_done(&k->send);
		aead_key_done(&k->recv);
		explicit_bzero(k, sizeof(*k));
		free(k);
	}
}

void wg_peer_drop_pending(struct wg_device *dev, struct wg_peer *p)
{
	struct wg_pending *pending = TAKE(p->pending);

	if (!pending)
		return;
	if (pending->index.peer)
		wg_index_drop(dev, &pending->index);
	wg_handshake_wipe(&pending->hs);
	free(pending);
}

void wg_peer_drop_sessions(struct wg_device *dev, struct wg_peer *p)
{
	keypair_end(dev, &p->next);
	keypair_end(dev, &p->current);
	keypair_end(dev, &p->previous);
}

void wg_peer_expire(struct wg_peer *p)
{
	if (p->current)
		p->current->expired = true;
	if (p->next)
		p->next->expired = true;
}

/*
 * As initiator we know that the peer has the keys: it answered. So the new pair
 * is used at once, and of the older ones the better known stays for what is
 * still under way. As responder we do not know: the new pair only receives
 * until the peer has used it.
 */
static void take_keypair(struct wg_device *dev, struct wg_peer *p, struct wg_keypair *k)
{
	keypair_end(dev, &p->previous);
	if (k->initiator) {
		if (p->next) {
			keypair_end(dev, &p->current);
			p->previous = TAKE(p->next);
		} else {
			p->previous = TAKE(p->current);
		}
		p->current = k;
	} else {
		keypair_end(dev, &p->next);
		p->next = k;
	}
}

void wg_peer_begin_session(struct wg_device *dev, struct wg_peer *p, mono now)
{
	struct wg_pending *pending = p->pending;
	struct wg_keypair *k = mem_new(struct wg_keypair);

	k->local_index = pending->hs.local_index;
	k->remote_index = pending->hs.remote_index;
	k->initiator = pending->hs.state == WG_HS_RESPONSE_CONSUMED;
	k->born = now;
	k->index = (struct wg_index){ .peer = p, .is_keypair = true };
	wg_session_keys(&pending->hs, k->send_key, k->recv_key);

	/* The number stays, what it stands for changes. */
	wg_peer_drop_pending(dev, p);
	map_insert(&dev->indices, &k->index.node, k->local_index);
	take_keypair(dev, p, k);
	wg_timers_session_derived(&p->timers, now);
	wg_peer_rearm(dev, p);
}

void wg_peer_handshake_complete(struct wg_device *dev, struct wg_peer *p, mono now)
{
	wg_timers_handshake_complete(&p->timers);
	p->handshake_done = now;
	wg_peer_rearm(dev, p);
}

void wg_peer_promote(struct wg_device *dev, struct wg_peer *p, mono now)
{
	bool had = wg_keypair_can_send(p->current, now);

	keypair_end(dev, &p->previous);
	p->previous = TAKE(p->current);
	p->current = TAKE(p->next);
	wg_peer_handshake_complete(dev, p, now);
	if (!had)
		wg_peer_want(dev, p, WG_TELL_UP);
	if (p->staged)
		wg_peer_want(dev, p, WG_WANT_UNSTAGE);
}

/* ---- wishes -------------------------------------------------------------- */

void wg_peer_want(struct wg_device *dev, struct wg_peer *p, enum wg_want want)
{
	p->wants |= want;
	if (!link_in_list(&p->work))
		list_append(&dev->work, &p->work);
}

void wg_peer_rearm(struct wg_device *dev, struct wg_peer *p)
{
	mono at = wg_timers_next(&p->timers);

	/* Later ones are found when the earlier time comes: cheaper than moving each time. */
	if (at.us != MONO_NEVER.us && (!heap_has(&p->wake) || mono_before(at, p->wake.at)))
		heap_set(&dev->wakes, &p->wake, at);
}

void wg_peer_ask(struct wg_device *dev, struct wg_peer *p, mono now, bool retry)
{
	if (!dev->up || !dev->id.set)
		return;
	if (!retry)
		p->timers.attempts = 0;
	if (mono_since(p->handshake_sent, now) < WG_REKEY_TIMEOUT_S * US_PER_S)
		return;
	wg_peer_want(dev, p, WG_WANT_INITIATION);
}

void wg_peer_flush(struct wg_device *dev, struct wg_peer *p, mono now)
{
	if (!p->staged)
		return;
	if (wg_keypair_can_send(p->current, now))
		wg_peer_want(dev, p, WG_WANT_UNSTAGE);
	else
		wg_peer_ask(dev, p, now, false);
}

void wg_peer_keepalive(struct wg_device *dev, struct wg_peer *p, mono now)
{
	if (p->staged)
		wg_peer_flush(dev, p, now);
	else if (wg_keypair_can_send(p->current, now))
		wg_peer_want(dev, p, WG_WANT_KEEPALIVE);
	else
		wg_peer_ask(dev, p, now, false);
}

void wg_peer_fresh_after_send(struct wg_device *dev, struct wg_peer *p, mono now)
{
	const struct wg_keypair *k = p->current;

	if (!k)
		return;
	if (k->send_counter > WG_REKEY_AFTER_MESSAGES ||
	    (k->initiator && mono_since(k->born, now) > WG_REKEY_AFTER_S * US_PER_S))
		wg_peer_ask(dev, p, now, false);
}

void wg_peer_heard(struct wg_device *dev, struct wg_peer *p, const struct wg_path *from)
{
	dev->policy->heard(dev->policy_ctx, p, from);
}

const uint8_t *wg_peer_static_static(struct wg_device *dev, struct wg_peer *p)
{
	if (!dev->id.set)
		return NULL;

	struct wg_contact *c = wg_peer_contact(p);

	if (c->ss_state == WG_SS_UNKNOWN) {
		int r = wg_static_static(&dev->id, &p->key, c->static_static);

		c->ss_state = r < 0 ? WG_SS_BAD : WG_SS_GOOD;
	}
	return c->ss_state == WG_SS_GOOD ? c->static_static : NULL;
}

struct wg_contact *wg_peer_contact(struct wg_peer *p)
{
	if (!p->contact) {
		p->contact = mem_new(struct wg_contact);
		p->contact->initiation_in = LONG_AGO;
	}
	return p->contact;
}

const struct psk *wg_peer_psk(const struct wg_peer *p)
{
	static const struct psk none;

	return p->psk ? p->psk : &none;
}

static void drop_secret(void *at, size_t n)
{
	if (at)
		explicit_bzero(at, n);
	free(at);
}

void wg_peer_set_psk(struct wg_peer *p, const struct psk *psk)
{
	drop_secret(TAKE(p->psk), sizeof(*p->psk));
	if (!ct_is_zero(psk, sizeof(*psk)))
		p->psk = mem_dup(psk, sizeof(*psk));
}

/* ---- staged packets ------------------------------------------------------ */

struct wg_staged *wg_peer_unstage(struct wg_device *dev, struct wg_peer *p)
{
	struct wg_staged *s = p->staged;

	if (!s)
		return NULL;
	p->staged = s->next;
	if (!p->staged)
		p->staged_end = &p->staged;
	p->staged_n--;
	dev->staged_bytes -= sizeof(*s) + s->n;
	return s;
}

static bool drop_oldest(struct wg_device *dev, struct wg_peer *p, enum wg_drop why)
{
	struct wg_staged *s = wg_peer_unstage(dev, p);

	free(s);
	if (s)
		wg_drop(dev, why, 1);
	return s;
}

void wg_peer_drop_staged(struct wg_device *dev, struct wg_peer *p, enum wg_drop why)
{
	while (drop_oldest(dev, p, why))
		;
}

void wg_stage(struct wg_device *dev, mono now, struct wg_peer *p, struct span bytes)
{
	size_t size = sizeof(struct wg_staged) + bytes.n;

	now = wg_tick(dev, now);
	if (!dev->up) {
		wg_drop(dev, WG_DROP_DOWN, 1);
		return;
	}
	if (bytes.n > WG_STAGED_MAX) {
		wg_drop(dev, WG_DROP_STAGED_FULL, 1);
		return;
	}
	while (p->staged_n >= WG_STAGED_PER_PEER || dev->staged_bytes + size > WG_STAGED_TOTAL) {
		if (!drop_oldest(dev, p, WG_DROP_STAGED_FULL)) {
			wg_drop(dev, WG_DROP_STAGED_FULL, 1); /* others fill it */
			return;
		}
	}

	struct wg_staged *s = mem_alloc(size);

	s->next = NULL;
	s->n = (uint32_t)bytes.n;
	memcpy(s->bytes, bytes.p, bytes.n);
	*p->staged_end = s;
	p->staged_end = &s->next;
	p->staged_n++;
	dev->staged_bytes += size;
	wg_peer_flush(dev, p, now);
}

/* ---- life ---------------------------------------------------------------- */

struct wg_peer *wg_peer_new(struct wg_device *dev, const struct node_pub *key)
{
	struct wg_peer *p = mem_new(struct wg_peer);

	p->key = *key;
	p->generation = ++dev->generation;
	p->stamp_out_ns = dev->stamp_floor_ns;
	p->handshake_sent = LONG_AGO;
	p->handshake_done = MONO_NEVER;
	p->staged_end = &p->staged;
	wg_timers_init(&p->timers);
	if (dev->free_slots.n) {
		p->slot = dev->free_slots.v[--dev->free_slots.n];
		dev->slots.v[p->slot] = p;
	} else {
		p->slot = (uint32_t)dev->slots.n;
		vec_push(&dev->slots, p);
	}
	map_insert(&dev->peers, &p->by_key, map_hash(&dev->peers, key, sizeof(*key)));
	return p;
}

void wg_peer_reset(struct wg_device *dev, struct wg_peer *p)
{
	wg_timers_stop(&p->timers);
	heap_remove(&dev->wakes, &p->wake);
	wg_peer_drop_staged(dev, p, WG_DROP_STAGED_STALE);
	wg_peer_drop_pending(dev, p);
	wg_peer_drop_sessions(dev, p);
	list_remove(&p->work);
	p->wants = 0;
	p->handshake_sent = LONG_AGO;
}

void wg_peer_free(struct wg_device *dev, struct wg_peer *p)
{
	wg_peer_reset(dev, p);
	lpm_remove_all(&dev->prefixes, &p->prefixes);
	map_remove(&dev->peers, &p->by_key);
	dev->slots.v[p->slot] = NULL;
	if (p->stamp_out_ns > dev->stamp_floor_ns)
		dev->stamp_floor_ns = p->stamp_out_ns;
	vec_push(&dev->free_slots, p->slot);
	drop_secret(p->psk, sizeof(*p->psk));
	drop_secret(p->contact, sizeof(*p->contact));
	free(p);
}

/* ---- what the outside may know ------------------------------------------- */

uint32_t wg_peer_slot(const struct wg_peer *p)
{
	return p->slot;
}

uint32_t wg_peer_generation(const struct wg_peer *p)
{
	return p->generation;
}

const struct node_pub *wg_peer_key(const struct wg_peer *p)
{
	return &p->key;
}

bool wg_peer_path(struct wg_device *dev, struct wg_peer *p, struct wg_path *ret)
{
	return dev->policy->get(dev->policy_ctx, p, ret);
}

void wg_peer_forget_local(struct wg_device *dev, struct wg_peer *p)
{
	dev->policy->forget_local(dev->policy_ctx, p);
}

bool wg_peer_has_session(const struct wg_peer *p, mono now)
{
	return wg_keypair_can_send(p->current, now);
}

mono wg_peer_last_handshake(const struct wg_peer *p)
{
	return p->handshake_done;
}

uint64_t wg_peer_rx_bytes(const struct wg_peer *p)
{
	return p->rx_bytes;
}

uint64_t wg_peer_tx_bytes(const struct wg_peer *p)
{
	return p->tx_bytes;
}

void wg_want_session(struct wg_device *dev, mono now, struct wg_peer *p)
{
	now = wg_tick(dev, now);
	if (!wg_keypair_can_send(p->current, now))
		wg_peer_ask(dev, p, now, false);
}

void *wg_peer_user(const struct wg_peer *p)
{
	return p->user;
}

void wg_peer_set_user(struct wg_peer *p, void *user)
{
	if (p)
		p->user = user;
}
